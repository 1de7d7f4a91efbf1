/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The icon in the tray: a StatusNotifierItem with a menu (com.canonical.dbusmenu) on the session
 * bus. It knows no plans and no jobs; it shows what it is told and says what was clicked.
 *
 * Without a tray on the desktop nothing is shown, and nothing is wrong; the icon comes when the
 * tray comes, and again when the tray is started anew.
 *
 *   open (), backup (plan id), pause (seconds), pause-until-tomorrow (), resume (), quit ()
 *     were clicked; to pause for 0 seconds is to pause until resumed
 *   notify::visible */

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  KP_TRAY_IDLE,
  KP_TRAY_RUNNING,
  KP_TRAY_PAUSED,
  KP_TRAY_ATTENTION,
} KpTrayState;

#define KP_TYPE_TRAY (kp_tray_get_type ())
G_DECLARE_FINAL_TYPE (KpTray, kp_tray, KP, TRAY, GObject)

KpTray *kp_tray_new (GDBusConnection *bus, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_tray_set_state (KpTray *tray, KpTrayState state);
void kp_tray_set_paused (KpTray *tray, gboolean is_paused);
void kp_tray_set_tooltip (KpTray *tray, const char *title, const char *text);
void kp_tray_begin_plans (KpTray *tray);
void kp_tray_add_plan (KpTray *tray, const char *id, const char *name, gboolean can_run);
void kp_tray_end_plans (KpTray *tray);
gboolean kp_tray_is_visible (KpTray *tray);
char *kp_tray_take_activation_token (KpTray *tray);

G_END_DECLS

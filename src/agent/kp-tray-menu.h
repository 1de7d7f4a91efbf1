/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A menu on the bus (com.canonical.dbusmenu), for a tray to show: one level of entries and
 * separators. It knows nothing of what they mean; each has an action and may have a target, as
 * those of a GMenu, and says them when it is clicked.
 *
 * An entry keeps its id for as long as the menu lives, also while it is not in it, so that a click
 * on a menu that is out of date never hits another entry.
 *
 *   activated (action, target): an entry was clicked; target is NULL where it has none */

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_TRAY_MENU (kp_tray_menu_get_type ())
G_DECLARE_FINAL_TYPE (KpTrayMenu, kp_tray_menu, KP, TRAY_MENU, GObject)

KpTrayMenu *kp_tray_menu_new (GDBusConnection *bus, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_tray_menu_set_notice (KpTrayMenu *menu, gboolean is_notice);
void kp_tray_menu_begin (KpTrayMenu *menu);
void kp_tray_menu_add (KpTrayMenu *menu,
                       const char *action,
                       const char *target,
                       const char *label,
                       gboolean is_enabled);
void kp_tray_menu_add_separator (KpTrayMenu *menu);
void kp_tray_menu_end (KpTrayMenu *menu);

G_END_DECLS

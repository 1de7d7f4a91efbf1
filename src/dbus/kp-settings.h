/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the user prefers, for all plans: written by the application, and read by the agent too. */

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_SETTING_NOTIFY_FINISHED "notify-finished"
#define KP_SETTING_NOTIFY_PROBLEMS "notify-problems"
#define KP_SETTING_NOTIFY_OVERDUE "notify-overdue"

/* Of what went well. In the order of the choices in the preferences. */
typedef enum
{
  KP_NOTIFY_NEVER,
  KP_NOTIFY_ASKED, /* when somebody started it, or it took long enough to be seen */
  KP_NOTIFY_CHANGES,
  KP_NOTIFY_ALWAYS,
} KpNotifyFinished;

GSettings *kp_settings_open (void);
KpNotifyFinished kp_settings_get_notify_finished (GSettings *settings);
gboolean kp_settings_get_boolean (GSettings *settings, const char *key, gboolean otherwise);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Notifications, each under an id of ours: showing one again replaces it. Through
 * org.freedesktop.Notifications, in a sandbox through the Notification portal. Where there is no
 * server nothing is shown, and nothing is wrong. At most one a second goes out; of those that come
 * faster under one id, the last.
 *
 * One that shows progress and that the user closed stays closed, until it has something else to
 * say.
 *
 *   action (id, action): a button was pressed; "default" is the notification itself */

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  KP_NOTIFICATION_LOW, /* comes and goes without a sound */
  KP_NOTIFICATION_NORMAL,
  KP_NOTIFICATION_CRITICAL, /* stays until it is dealt with */
} KpNotificationUrgency;

typedef struct
{
  const char *title;
  const char *body; /* plain text */
  KpNotificationUrgency urgency;
  int percent;                /* the "value" hint; -1 for none */
  const char *const *buttons; /* pairs of action and label, ended by NULL; or NULL */
} KpNotification;

#define KP_TYPE_NOTIFIER (kp_notifier_get_type ())
G_DECLARE_FINAL_TYPE (KpNotifier, kp_notifier, KP, NOTIFIER, GObject)

KpNotifier *kp_notifier_new (GDBusConnection *bus);
void kp_notifier_show (KpNotifier *notifier, const char *id, const KpNotification *notification);
void kp_notifier_withdraw (KpNotifier *notifier, const char *id);
char *kp_notifier_take_activation_token (KpNotifier *notifier);

G_END_DECLS

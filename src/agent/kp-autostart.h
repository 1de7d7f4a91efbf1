/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Whether the agent starts at login: a file in the user's autostart folder, in a sandbox a request
 * to the Background portal, which is told the wanted value each time it is asked for anything. */

#include <gio/gio.h>

G_BEGIN_DECLS

gboolean kp_autostart_is_enabled (void);
void kp_autostart_set_async (GDBusConnection *bus,
                             gboolean enabled,
                             GAsyncReadyCallback callback,
                             void *user_data);
gboolean kp_autostart_set_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_autostart_set_status (GDBusConnection *bus, const char *message);

G_END_DECLS

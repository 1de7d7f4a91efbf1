/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The desktop as it is reached from inside a sandbox: xdg-desktop-portal on the session bus.
 *
 * A request is a call whose answer comes later as a signal, maybe after the user was asked
 * (org.freedesktop.portal.Request). */

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_PORTAL_NAME "org.freedesktop.portal.Desktop"
#define KP_PORTAL_PATH "/org/freedesktop/portal/desktop"
#define KP_PORTAL_REQUEST "org.freedesktop.portal.Request"

gboolean kp_portal_is_needed (void);
void kp_portal_pretend (gboolean is_needed);

void kp_portal_request_async (GDBusConnection *bus,
                              const char *interface,
                              const char *method,
                              GVariantDict *options,
                              GAsyncReadyCallback callback,
                              void *user_data);
GVariant *kp_portal_request_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

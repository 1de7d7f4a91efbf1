/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What both ends of the agent's D-Bus interface need beside the generated code: names, and errors
 * that keep their codes on the way. */

#include "kp-error.h"

#include "kp-dbus-generated.h"

G_BEGIN_DECLS

#define KP_AGENT_BUS_NAME "io.github.keepsake_backup.Keepsake.Agent"
#define KP_AGENT_ROOT_PATH "/io/github/keepsake_backup/Keepsake"
#define KP_AGENT_MANAGER_PATH KP_AGENT_ROOT_PATH "/Manager"
#define KP_AGENT_TESTING_PATH KP_AGENT_ROOT_PATH "/Testing"
#define KP_AGENT_ERROR_PREFIX "io.github.keepsake_backup.Keepsake.Error."

void kp_dbus_register_errors (void);
char *kp_dbus_plan_path (const char *plan_id);
char *kp_dbus_job_path (guint64 number);
GVariant *kp_dbus_bytes (const char *bytes);
char *kp_dbus_dup_bytes (GVariant *bytes);
guint64 kp_dbus_get_count (GVariant *dict, const char *name);

void kp_dbus_return_error (GDBusMethodInvocation *invocation, GError *error);
gboolean kp_dbus_options_check (GVariant *options, const char *const *known, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_dbus_options_get_moment (GVariant *options, gint64 *moment, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

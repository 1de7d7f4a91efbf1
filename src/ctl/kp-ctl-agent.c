/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* The way to the agent, and what stands in it. */

#include "kp-ctl-plans.h"

/**
 * kp_ctl_session_bus:
 * @error: %KP_ERROR_FAILED
 *
 * Returns: (transfer full): the bus of this session, whose end is not ours
 */
GDBusConnection *
kp_ctl_session_bus (GError **error)
{
  g_autoptr (GError) local_error = NULL;
  GDBusConnection *bus = g_bus_get_sync (G_BUS_TYPE_SESSION, NULL, &local_error);

  kp_dbus_register_errors ();
  if (bus != NULL)
    {
      g_dbus_connection_set_exit_on_close (bus, FALSE);
      return bus;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_FAILED, "There is no session bus here (%s)",
               local_error->message);
  return NULL;
}

/**
 * kp_ctl_agent_runs:
 *
 * Whether there is an agent that need not be started.
 */
gboolean
kp_ctl_agent_runs (GDBusConnection *bus)
{
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
      g_variant_new ("(s)", KP_AGENT_BUS_NAME), G_VARIANT_TYPE ("(b)"), G_DBUS_CALL_FLAGS_NONE, -1,
      NULL, NULL);
  gboolean runs = FALSE;

  if (reply != NULL)
    g_variant_get (reply, "(b)", &runs);
  return runs;
}

/* Nobody who has the name, nor anybody who could be started. */
static gboolean
is_absence (const GError *error)
{
  static const GDBusError codes[] = {
    G_DBUS_ERROR_SERVICE_UNKNOWN,    G_DBUS_ERROR_NAME_HAS_NO_OWNER,
    G_DBUS_ERROR_SPAWN_EXEC_FAILED,  G_DBUS_ERROR_SPAWN_FORK_FAILED,
    G_DBUS_ERROR_SPAWN_CHILD_EXITED, G_DBUS_ERROR_SPAWN_CHILD_SIGNALED,
    G_DBUS_ERROR_SPAWN_FAILED,       G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND,
    G_DBUS_ERROR_SPAWN_FILE_INVALID,
  };

  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (g_error_matches (error, G_DBUS_ERROR, (int) codes[i]))
      return TRUE;
  return FALSE;
}

/**
 * kp_ctl_explain_agent_error:
 * @error: (inout): what a call gave; a sentence afterwards
 */
void
kp_ctl_explain_agent_error (GError **error)
{
  g_autoptr (GError) cause = g_steal_pointer (error);

  g_dbus_error_strip_remote_error (cause);
  if (cause->domain == KP_ERROR)
    *error = g_steal_pointer (&cause);
  else if (is_absence (cause))
    g_set_error (error, KP_ERROR, KP_ERROR_FAILED,
                 "The agent (keepsake-agent) does not run and cannot be started: %s",
                 cause->message);
  else
    g_set_error (error, KP_ERROR, KP_ERROR_FAILED, "The agent does not answer: %s", cause->message);
}

/**
 * kp_ctl_call_agent:
 * @error: %KP_ERROR_FAILED
 *
 * Returns: (transfer full): the agent, which is started if it does not run
 */
KpDBusManager *
kp_ctl_call_agent (GDBusConnection *bus, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
      "StartServiceByName", g_variant_new ("(su)", KP_AGENT_BUS_NAME, 0), G_VARIANT_TYPE ("(u)"),
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, &local_error);
  KpDBusManager *manager = NULL;

  if (reply != NULL)
    manager = kp_dbus_manager_proxy_new_sync (bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                              KP_AGENT_BUS_NAME, KP_AGENT_MANAGER_PATH, NULL,
                                              &local_error);
  if (manager != NULL)
    return manager;
  kp_ctl_explain_agent_error (&local_error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

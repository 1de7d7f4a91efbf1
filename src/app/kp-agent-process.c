/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-agent-process.h"

#include "kp-dbus.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* How long a process that was asked to end may take. */
#define GRACE_SECONDS 3

#define AGENT_NAME "keepsake-agent"

/* A process that was asked to end; the descriptor stands for it even when its number is another's.
 */
typedef struct
{
  int fd;
  guint watch;
  guint timeout;
} Ending;

static gboolean
exited_cb (int fd, GIOCondition condition, void *data)
{
  Ending *ending = data;

  g_clear_handle_id (&ending->timeout, g_source_remove);
  close (ending->fd);
  g_free (ending);
  return G_SOURCE_REMOVE;
}

static gboolean
grace_over_cb (void *data)
{
  Ending *ending = data;

  ending->timeout = 0;
  if (pidfd_send_signal (ending->fd, SIGKILL, NULL, 0) < 0)
    g_message ("The agent cannot be ended: %s", g_strerror (errno));
  return G_SOURCE_REMOVE;
}

/* Whether it is what it should be. What was replaced by an update has more behind its name. */
static gboolean
is_agent (guint32 pid)
{
  g_autofree char *link = g_strdup_printf ("/proc/%u/exe", pid);
  g_autofree char *program = g_file_read_link (link, NULL);
  g_autofree char *name = program != NULL ? g_path_get_basename (program) : NULL;

  return name != NULL && g_str_has_prefix (name, AGENT_NAME);
}

static gboolean
end (guint32 pid)
{
  int fd = pidfd_open ((pid_t) pid, 0);

  /* The number is looked at behind the descriptor: from there on it cannot become another's. */
  if (fd < 0 || !is_agent (pid) || pidfd_send_signal (fd, SIGTERM, NULL, 0) < 0)
    {
      g_message ("The agent, process %u, cannot be ended", pid);
      if (fd >= 0)
        close (fd);
      return FALSE;
    }
  Ending *ending = g_new0 (Ending, 1);
  ending->fd = fd;
  ending->watch = g_unix_fd_add (fd, G_IO_IN, exited_cb, ending);
  ending->timeout = g_timeout_add_seconds (GRACE_SECONDS, grace_over_cb, ending);
  return TRUE;
}

static void
pid_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint32 pid;

  if (answer == NULL)
    {
      g_message ("The agent's process: %s", error->message);
      g_task_return_boolean (task, FALSE);
      return;
    }
  g_variant_get (answer, "(u)", &pid);
  g_task_return_boolean (task, end (pid));
}

/**
 * kp_agent_process_can_end:
 *
 * Returns: whether the agent's process is one that we can see; in a sandbox each of both is in one
 *   of its own
 */
gboolean
kp_agent_process_can_end (void)
{
  return !g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS);
}

/**
 * kp_agent_process_end_async:
 *
 * Ends the process that has the agent's name on the bus. That it is gone is seen by its name.
 */
void
kp_agent_process_end_async (GDBusConnection *bus, GAsyncReadyCallback callback, void *user_data)
{
  GTask *task = g_task_new (bus, NULL, callback, user_data);

  g_return_if_fail (kp_agent_process_can_end ());

  g_dbus_connection_call (bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                          g_variant_new ("(s)", KP_AGENT_BUS_NAME), G_VARIANT_TYPE ("(u)"),
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, pid_cb, task);
}

/**
 * kp_agent_process_end_finish:
 *
 * Returns: whether it was asked to end; not one that is no agent, or not ours
 */
gboolean
kp_agent_process_end_finish (GAsyncResult *result)
{
  return g_task_propagate_boolean (G_TASK (result), NULL);
}

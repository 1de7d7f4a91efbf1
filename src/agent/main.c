/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent.h"
#include "kp-dbus.h"
#include "kp-process.h"

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct
{
  GMainLoop *loop;
  GDBusConnection *bus;
  KpAgent *agent;
  KpClock *clock;
  gboolean at_login;
  gboolean owned; /* the name was ours */
  int status;
} Process;

static void
quit_cb (KpAgent *agent, Process *process)
{
  g_main_loop_quit (process->loop);
}

static void
acquired_cb (GDBusConnection *bus, const char *name, void *data)
{
  Process *process = data;
  g_autoptr (GError) error = NULL;

  g_set_object (&process->bus, bus);
  process->agent = kp_agent_new (bus, process->clock, process->at_login, &error);
  if (process->agent == NULL)
    {
      g_printerr ("keepsake-agent: %s\n", error->message);
      process->status = EXIT_FAILURE;
      g_main_loop_quit (process->loop);
      return;
    }
  g_signal_connect (process->agent, "quit", G_CALLBACK (quit_cb), process);
}

static void
owned_cb (GDBusConnection *bus, const char *name, void *data)
{
  Process *process = data;

  process->owned = TRUE;
  if (process->agent != NULL)
    kp_agent_begin (process->agent);
}

/* There is no bus, somebody else has the name, or the session ends. */
static void
lost_cb (GDBusConnection *bus, const char *name, void *data)
{
  Process *process = data;

  if (process->owned)
    {
      kp_agent_quit (process->agent);
      return;
    }
  if (bus == NULL)
    {
      g_printerr ("keepsake-agent: There is no session bus; the agent belongs into a desktop "
                  "session. On a server, use keepsakectl run --foreground.\n");
      process->status = EXIT_FAILURE;
    }
  else
    g_printerr ("keepsake-agent: The agent runs already\n");
  g_main_loop_quit (process->loop);
}

static gboolean
signal_cb (void *data)
{
  Process *process = data;

  if (process->agent != NULL)
    kp_agent_quit (process->agent);
  else
    g_main_loop_quit (process->loop);
  return G_SOURCE_CONTINUE;
}

/* Ends the process while a thread of a job hangs, perhaps for ever. Nothing may be freed below it,
 * and nothing is lost: whatever is written is so written that SIGKILL may come at any time. The
 * catalogue of the plan says no more than the server has confirmed, the record of the job says
 * "running" until somebody opens the history, finds that the lock on it is gone and calls it
 * interrupted, and the agent has saved its own state. The name is given up already; that took an
 * answer of the bus, so what was told before is sent. A thread that the kernel cannot end keeps the
 * process and with it the files: the connection is closed here, or it would go on having a tray
 * icon. */
G_NORETURN static void
leave_threads_behind (Process *process)
{
  g_autoptr (GError) error = NULL;

  if (!g_dbus_connection_close_sync (process->bus, NULL, &error))
    g_info ("The session bus: %s", error->message);
  _exit (process->status);
}

static KpClock *
make_clock (void)
{
#ifdef KP_FAULT_INJECTION
  const char *test_time = g_getenv ("KEEPSAKE_TEST_CLOCK");

  if (test_time != NULL)
    return kp_clock_new_for_test (g_ascii_strtoll (test_time, NULL, 10));
#endif
  return kp_clock_new ();
}

static int
run (gboolean at_login)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (KpClock) clock = make_clock ();
  Process process = { .loop = loop, .clock = clock, .at_login = at_login };
  guint sources[] = { g_unix_signal_add (SIGTERM, signal_cb, &process),
                      g_unix_signal_add (SIGINT, signal_cb, &process),
                      g_unix_signal_add (SIGHUP, signal_cb, &process) };
  /* The objects are there before the name, so that whoever waits for the name finds them. */
  guint owner
      = g_bus_own_name (G_BUS_TYPE_SESSION, KP_AGENT_BUS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                        acquired_cb, owned_cb, lost_cb, &process, NULL);

  g_main_loop_run (loop);
  g_bus_unown_name (owner);
  if (process.agent != NULL && kp_agent_has_left_jobs (process.agent))
    leave_threads_behind (&process);
  g_clear_object (&process.agent);
  g_clear_object (&process.bus);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
  return process.status;
}

int
main (int argc, char **argv)
{
  gboolean at_login = FALSE;
  gboolean show_version = FALSE;
  const GOptionEntry entries[] = {
    { "autostart", 0, 0, G_OPTION_ARG_NONE, &at_login,
      "Started at login: give the desktop time first", NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, "Print the version", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = NULL;
  g_autoptr (GError) error = NULL;

  kp_process_prepare ();
  if (setlocale (LC_ALL, "") == NULL)
    g_debug ("The locale is not installed");
  bindtextdomain (GETTEXT_PACKAGE, KP_LOCALE_DIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_set_prgname ("keepsake-agent");

  context = g_option_context_new (NULL);
  g_option_context_set_summary (context, "Runs backups when they are due. The session bus starts "
                                         "it when it is needed.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      g_printerr ("keepsake-agent: %s; see keepsake-agent --help\n", error->message);
      return EXIT_FAILURE;
    }
  if (show_version)
    {
      g_print ("keepsake-agent %s\n", KP_VERSION);
      return EXIT_SUCCESS;
    }
  kp_dbus_register_errors ();
  return run (at_login);
}

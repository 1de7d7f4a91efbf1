/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-inhibitor.h"
#include "kp-portal.h"

#include "private-bus.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <unistd.h>

#define LOGIND "org.freedesktop.login1"
#define LOGIND_INTERFACE LOGIND ".Manager"
#define PORTAL_INTERFACE "org.freedesktop.portal.Inhibit"
#define HANDLE KP_PORTAL_PATH "/request/a/b"

static const char logind_xml[] = "<node><interface name='" LOGIND_INTERFACE "'>"
                                 "<method name='Inhibit'>"
                                 "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
                                 "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
                                 "<arg type='h' direction='out'/></method></interface></node>";
static const char portal_xml[] = "<node><interface name='" PORTAL_INTERFACE "'>"
                                 "<method name='Inhibit'>"
                                 "<arg type='s' direction='in'/><arg type='u' direction='in'/>"
                                 "<arg type='a{sv}' direction='in'/>"
                                 "<arg type='o' direction='out'/></method></interface></node>";
static const char request_xml[] = "<node><interface name='" KP_PORTAL_REQUEST "'>"
                                  "<method name='Close'/></interface></node>";

/* There is one of each for the process, as it is with the buses that the inhibitor asks for. */
static PrivateBus bus;
static GDBusMethodInvocation *asked; /* not answered yet */
static char *parameters_text;
static guint n_closed;

static void
inhibit_cb (GDBusConnection *connection,
            const char *sender,
            const char *path,
            const char *interface,
            const char *method,
            GVariant *parameters,
            GDBusMethodInvocation *invocation,
            void *user_data)
{
  asked = invocation;
  g_free (parameters_text);
  parameters_text = g_variant_print (parameters, FALSE);
}

static void
close_cb (GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *method,
          GVariant *parameters,
          GDBusMethodInvocation *invocation,
          void *user_data)
{
  n_closed++;
  g_dbus_method_invocation_return_value (invocation, NULL);
}

/* Gives the lock, and returns the other end of it. */
static int
answer_with_lock (void)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GError) error = NULL;
  int ends[2];

  g_assert_true (g_unix_open_pipe (ends, FD_CLOEXEC, &error));
  g_unix_set_fd_nonblocking (ends[0], TRUE, NULL);
  g_unix_fd_list_append (fds, ends[1], &error);
  g_assert_no_error (error);
  close (ends[1]);
  g_dbus_method_invocation_return_value_with_unix_fd_list (g_steal_pointer (&asked),
                                                           g_variant_new ("(h)", 0), fds);
  return ends[0];
}

/* Whether nobody holds the lock any more. */
static gboolean
is_released (int end)
{
  char byte;

  return read (end, &byte, 1) == 0;
}

static void
test_logind (void)
{
  KpInhibitor *inhibitor = kp_inhibitor_new ();

  kp_portal_pretend (FALSE);
  kp_inhibitor_set (inhibitor, FALSE, NULL);
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  kp_inhibitor_set (inhibitor, TRUE, "Backing up still");
  wait_for (asked != NULL);
  g_assert_cmpstr (parameters_text, ==, "('sleep', 'Keepsake', 'Backing up', 'block')");
  int end = answer_with_lock ();
  wait_for (kp_inhibitor_is_held (inhibitor));
  private_bus_settle (&bus);
  g_assert_false (is_released (end));

  kp_inhibitor_set (inhibitor, FALSE, NULL);
  g_assert_false (kp_inhibitor_is_held (inhibitor));
  wait_for (is_released (end));
  close (end);

  /* It ends with what it holds. */
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  end = answer_with_lock ();
  wait_for (kp_inhibitor_is_held (inhibitor));
  g_assert_finalize_object (inhibitor);
  wait_for (is_released (end));
  close (end);
}

static void
test_late_lock (void)
{
  g_autoptr (KpInhibitor) inhibitor = kp_inhibitor_new ();

  kp_portal_pretend (FALSE);
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  kp_inhibitor_set (inhibitor, FALSE, NULL);
  int end = answer_with_lock ();
  wait_for (is_released (end));
  close (end);
  g_assert_false (kp_inhibitor_is_held (inhibitor));

  /* Of two that were asked for, the one that counts is the second. */
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  GDBusMethodInvocation *first = g_steal_pointer (&asked);
  kp_inhibitor_set (inhibitor, FALSE, NULL);
  kp_inhibitor_set (inhibitor, TRUE, "Backing up again");
  wait_for (asked != NULL);
  GDBusMethodInvocation *second = g_steal_pointer (&asked);
  asked = first;
  int first_end = answer_with_lock ();
  wait_for (is_released (first_end));
  asked = second;
  int second_end = answer_with_lock ();
  wait_for (kp_inhibitor_is_held (inhibitor));
  g_assert_false (is_released (second_end));
  close (first_end);
  close (second_end);
}

static void
test_refused (void)
{
  g_autoptr (KpInhibitor) inhibitor = kp_inhibitor_new ();

  kp_portal_pretend (FALSE);
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  g_dbus_method_invocation_return_error (g_steal_pointer (&asked), G_DBUS_ERROR,
                                         G_DBUS_ERROR_ACCESS_DENIED, "no");
  private_bus_settle (&bus);
  g_assert_false (kp_inhibitor_is_held (inhibitor));
}

static void
test_portal (void)
{
  g_autoptr (KpInhibitor) inhibitor = kp_inhibitor_new ();

  kp_portal_pretend (TRUE);
  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  g_assert_cmpstr (parameters_text, ==, "('', 4, {'reason': <'Backing up'>})");
  g_dbus_method_invocation_return_value (g_steal_pointer (&asked), g_variant_new ("(o)", HANDLE));
  wait_for (kp_inhibitor_is_held (inhibitor));
  kp_inhibitor_set (inhibitor, FALSE, NULL);
  wait_for (n_closed == 1);

  kp_inhibitor_set (inhibitor, TRUE, "Backing up");
  wait_for (asked != NULL);
  kp_inhibitor_set (inhibitor, FALSE, NULL);
  g_dbus_method_invocation_return_value (g_steal_pointer (&asked), g_variant_new ("(o)", HANDLE));
  wait_for (n_closed == 2);
  g_assert_false (kp_inhibitor_is_held (inhibitor));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  private_bus_up (&bus);
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address (bus.daemon), TRUE);
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", g_test_dbus_get_bus_address (bus.daemon), TRUE);
  private_bus_export (bus.theirs, "/org/freedesktop/login1", logind_xml, inhibit_cb, NULL);
  private_bus_export (bus.theirs, KP_PORTAL_PATH, portal_xml, inhibit_cb, NULL);
  private_bus_export (bus.theirs, HANDLE, request_xml, close_cb, NULL);
  private_bus_own (bus.theirs, LOGIND);
  private_bus_own (bus.theirs, KP_PORTAL_NAME);

  g_test_add_func ("/agent/inhibitor/logind", test_logind);
  g_test_add_func ("/agent/inhibitor/late-lock", test_late_lock);
  g_test_add_func ("/agent/inhibitor/refused", test_refused);
  g_test_add_func ("/agent/inhibitor/portal", test_portal);
  int status = g_test_run ();

  for (int type = G_BUS_TYPE_SYSTEM; type <= G_BUS_TYPE_SESSION; type++)
    {
      g_autoptr (GDBusConnection) shared = g_bus_get_sync ((GBusType) type, NULL, NULL);
      g_dbus_connection_set_exit_on_close (shared, FALSE);
    }
  private_bus_down (&bus);
  g_free (parameters_text);
  return status;
}

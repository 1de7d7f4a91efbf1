/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Preloaded by tests that would mostly wait (fixtures/impatience.py). What is waited for comes to
 * pass in the same way and as often, only sooner. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <gio/gio.h>

/* A part of the default, 25 seconds. */
#define CALL_TIMEOUT_MS 3000

/* Only the pauses between attempts are drawn with this (kp_s3_backoff): they take a twentieth of
 * the longest. */
double
g_random_double (void)
{
  return 0.05;
}

/* The agent waits for so many seconds for one thing only: that its jobs end, when it has to end
 * itself. A test in which they cannot has made sure of that. */
#define QUIT_PATIENCE 30

guint
g_timeout_add_seconds (guint interval, GSourceFunc function, void *data)
{
  gboolean is_agent = g_strcmp0 (g_get_prgname (), "keepsake-agent") == 0;

  if (is_agent && interval == QUIT_PATIENCE)
    interval = 2;
  return g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, interval, function, data, NULL);
}

/* While the file is there, no call to the agent can be answered: the test has stopped it. */
void
g_dbus_proxy_call (GDBusProxy *proxy,
                   const char *method,
                   GVariant *parameters,
                   GDBusCallFlags flags,
                   int timeout_msec,
                   GCancellable *cancellable,
                   GAsyncReadyCallback callback,
                   void *data)
{
  static __typeof__ (g_dbus_proxy_call) *original = NULL;
  const char *file = g_getenv ("IMPATIENT_WHILE");

  if (original == NULL)
    original = (__typeof__ (original)) dlsym (RTLD_NEXT, "g_dbus_proxy_call");
  if (timeout_msec == -1 && file != NULL && g_file_test (file, G_FILE_TEST_EXISTS)
      && g_str_has_prefix (g_dbus_proxy_get_interface_name (proxy), "io.github.keepsake_backup."))
    timeout_msec = CALL_TIMEOUT_MS;
  original (proxy, method, parameters, flags, timeout_msec, cancellable, callback, data);
}

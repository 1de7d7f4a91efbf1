/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-autostart.h"
#include "kp-error.h"
#include "kp-portal.h"

#include "private-bus.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define BACKGROUND "org.freedesktop.portal.Background"

static const char xml[] = "<node><interface name='" BACKGROUND "'>"
                          "<method name='RequestBackground'>"
                          "<arg type='s' direction='in'/><arg type='a{sv}' direction='in'/>"
                          "<arg type='o' direction='out'/></method>"
                          "<method name='SetStatus'><arg type='a{sv}' direction='in'/></method>"
                          "</interface></node>";

typedef struct
{
  PrivateBus bus;
  char *path;       /* of the file, below XDG_CONFIG_HOME */
  guint32 response; /* of the portal */
  gboolean grants;
  gboolean was_wanted;
  char *status;
} Fixture;

static void
portal_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *method,
           GVariant *parameters,
           GDBusMethodInvocation *invocation,
           void *user_data)
{
  Fixture *fixture = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) options = NULL;
  const char *token = NULL;

  if (g_str_equal (method, "SetStatus"))
    {
      g_variant_get (parameters, "(@a{sv})", &options);
      g_variant_lookup (options, "message", "s", &fixture->status);
      g_dbus_method_invocation_return_value (invocation, NULL);
      return;
    }

  g_autofree const char **command = NULL;
  gboolean is_activatable = TRUE;
  g_variant_get (parameters, "(&s@a{sv})", NULL, &options);
  g_assert_true (g_variant_lookup (options, "autostart", "b", &fixture->was_wanted));
  g_assert_true (g_variant_lookup (options, "handle_token", "&s", &token));
  g_assert_true (g_variant_lookup (options, "commandline", "^a&s", &command));
  g_assert_true (g_variant_lookup (options, "dbus-activatable", "b", &is_activatable));
  g_assert_true (g_str_has_suffix (command[0], "/keepsake-agent"));
  g_assert_cmpstr (command[1], ==, "--autostart");
  g_assert_false (is_activatable);

  g_autofree char *name = g_strdelimit (g_strdup (sender + 1), ".", '_');
  g_autofree char *request = g_strdup_printf (KP_PORTAL_PATH "/request/%s/%s", name, token);
  GVariantDict results = G_VARIANT_DICT_INIT (NULL);
  g_variant_dict_insert (&results, "background", "b", TRUE);
  g_variant_dict_insert (&results, "autostart", "b", fixture->grants);
  /* The answer may come before the call returns. */
  g_dbus_connection_emit_signal (
      connection, sender, request, KP_PORTAL_REQUEST, "Response",
      g_variant_new ("(u@a{sv})", fixture->response, g_variant_dict_end (&results)), &error);
  g_assert_no_error (error);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(o)", request));
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  private_bus_up (&fixture->bus);
  fixture->path = g_build_filename (g_get_user_config_dir (), "autostart",
                                    "io.github.keepsake_backup.Keepsake.Agent.desktop", NULL);
  kp_portal_pretend (data != NULL);
  private_bus_export (fixture->bus.theirs, KP_PORTAL_PATH, xml, portal_cb, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  private_bus_down (&fixture->bus);
  g_remove (fixture->path);
  g_free (fixture->path);
  g_free (fixture->status);
}

static void
done_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static gboolean
set (Fixture *fixture, gboolean enabled, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  kp_autostart_set_async (fixture->bus.ours, enabled, done_cb, &result);
  wait_for (result != NULL);
  return kp_autostart_set_finish (result, error);
}

static void
write_file (Fixture *fixture, const char *text)
{
  g_autofree char *folder = g_path_get_dirname (fixture->path);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_file_set_contents (fixture->path, text, -1, &error);
  g_assert_no_error (error);
}

static void
test_file (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GKeyFile) file = g_key_file_new ();

  g_assert_false (kp_autostart_is_enabled ());
  g_assert_true (set (fixture, FALSE, &error));
  g_assert_no_error (error);

  g_assert_true (set (fixture, TRUE, &error));
  g_assert_no_error (error);
  g_assert_true (kp_autostart_is_enabled ());
  g_key_file_load_from_file (file, fixture->path, G_KEY_FILE_NONE, &error);
  g_assert_no_error (error);
  g_autofree char *exec = g_key_file_get_string (file, "Desktop Entry", "Exec", NULL);
  g_autofree char *type = g_key_file_get_string (file, "Desktop Entry", "Type", NULL);
  g_assert_true (g_str_has_suffix (exec, "/keepsake-agent\" --autostart"));
  g_assert_cmpint (exec[0], ==, '"');
  g_assert_cmpstr (type, ==, "Application");
  g_assert_true (g_key_file_get_boolean (file, "Desktop Entry", "X-GNOME-UsesNotifications", NULL));

  g_assert_true (set (fixture, FALSE, &error));
  g_assert_false (kp_autostart_is_enabled ());
  g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
}

static void
test_hidden (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  write_file (fixture, "[Desktop Entry]\nType=Application\nExec=x\n");
  g_assert_true (kp_autostart_is_enabled ());
  write_file (fixture, "[Desktop Entry]\nType=Application\nX-GNOME-Autostart-enabled=false\n");
  g_assert_false (kp_autostart_is_enabled ());
  write_file (fixture, "no such file");
  g_assert_false (kp_autostart_is_enabled ());
  write_file (fixture, "[Desktop Entry]\n# mine\nHidden=true\nX-Mine=1\n");
  g_assert_false (kp_autostart_is_enabled ());

  /* What somebody added stays. */
  g_assert_true (set (fixture, TRUE, &error));
  g_assert_true (kp_autostart_is_enabled ());
  g_assert_true (g_file_get_contents (fixture->path, &text, NULL, &error));
  g_assert_nonnull (strstr (text, "X-Mine=1"));
  g_assert_nonnull (strstr (text, "# mine"));
  g_assert_null (strstr (text, "Hidden"));
}

static void
test_cannot_write (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = g_path_get_dirname (fixture->path);
  g_autoptr (GError) error = NULL;

  g_rmdir (folder); /* of a test before */
  g_assert_true (g_file_set_contents (folder, "a file where the folder should be", -1, NULL));
  g_assert_false (set (fixture, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_true (set (fixture, FALSE, &error));
  g_remove (folder);
}

static void
test_status_outside (Fixture *fixture, gconstpointer data)
{
  private_bus_own (fixture->bus.theirs, KP_PORTAL_NAME);
  kp_autostart_set_status (fixture->bus.ours, "Waiting");
  private_bus_settle (&fixture->bus);
  g_assert_null (fixture->status);
}

static void
test_portal (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  private_bus_own (fixture->bus.theirs, KP_PORTAL_NAME);
  fixture->grants = TRUE;
  g_assert_true (set (fixture, TRUE, &error));
  g_assert_no_error (error);
  g_assert_true (fixture->was_wanted);
  g_assert_true (kp_autostart_is_enabled ());

  fixture->grants = FALSE;
  g_assert_true (set (fixture, FALSE, &error));
  g_assert_no_error (error);
  g_assert_false (fixture->was_wanted);
  g_assert_false (kp_autostart_is_enabled ());

  g_assert_false (set (fixture, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  g_assert_false (kp_autostart_is_enabled ());
  g_clear_error (&error);

  /* What the user says when asked */
  fixture->grants = TRUE;
  fixture->response = 1;
  g_assert_false (set (fixture, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
}

static void
test_no_portal (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (set (fixture, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  g_assert_false (kp_autostart_is_enabled ());
}

static void
test_status (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new ("two\nlines ");

  private_bus_own (fixture->bus.theirs, KP_PORTAL_NAME);
  for (int i = 0; i < 100; i++)
    g_string_append (text, "ä");
  kp_autostart_set_status (fixture->bus.ours, text->str);
  wait_for (fixture->status != NULL);
  g_assert_true (g_str_has_prefix (fixture->status, "two lines ä"));
  g_assert_true (g_str_has_suffix (fixture->status, "ä…"));
  g_assert_cmpint (g_utf8_strlen (fixture->status, -1), ==, 96);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("keepsake-test-XXXXXX", &error);

  g_assert_no_error (error);
  g_setenv ("XDG_CONFIG_HOME", folder, TRUE);
  g_test_init (&argc, &argv, NULL);

#define ADD(path, sandbox, function)                                                               \
  g_test_add (path, Fixture, sandbox, set_up, function, tear_down)
  ADD ("/agent/autostart/file", NULL, test_file);
  ADD ("/agent/autostart/hidden", NULL, test_hidden);
  ADD ("/agent/autostart/cannot-write", NULL, test_cannot_write);
  ADD ("/agent/autostart/status-outside", NULL, test_status_outside);
  ADD ("/agent/autostart/portal", "sandbox", test_portal);
  ADD ("/agent/autostart/no-portal", "sandbox", test_no_portal);
  ADD ("/agent/autostart/status", "sandbox", test_status);

  int status = g_test_run ();
  g_autofree char *autostart = g_build_filename (folder, "autostart", NULL);
  g_rmdir (autostart);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  return status;
}

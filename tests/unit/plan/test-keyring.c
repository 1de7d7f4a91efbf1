/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What needs no keyring that runs. The rest is in tests/e2e/test_keyring.py. Each test that asks
 * libsecret runs in a process of its own, as libsecret chooses its keyring once. */

#include "kp-error.h"
#include "kp-keyring.h"

#include <glib/gstdio.h>
#include <string.h>

#define PLAN "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a"

#ifdef __SANITIZE_ADDRESS__
/* libsecret leaks a little with each blocking call, below frames that only a slow look finds. */
const char *__asan_default_options (void);
const char *__lsan_default_options (void);
const char *__lsan_default_suppressions (void);

const char *
__asan_default_options (void)
{
  return "fast_unwind_on_malloc=0";
}

const char *
__lsan_default_options (void)
{
  return "print_suppressions=0";
}

const char *
__lsan_default_suppressions (void)
{
  return "leak:libsecret-1.so";
}
#endif

static void
run_in_subprocess (void)
{
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

static void
test_unavailable (void)
{
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (KpS3Credentials) keys = kp_s3_credentials_new ("access", "secret", NULL);
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ())
    {
      run_in_subprocess ();
      return;
    }
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/at/all", TRUE);
  for (int may_prompt = FALSE; may_prompt <= TRUE; may_prompt++)
    {
      g_assert_cmpint (kp_keyring_lookup (PLAN, may_prompt, &credentials, NULL, &error), ==,
                       KP_KEYRING_UNAVAILABLE);
      g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
      g_assert_true (
          g_str_has_prefix (error->message, "There is no keyring in this session, or it does not"));
      g_assert_null (credentials);
      g_clear_error (&error);
    }
  g_assert_false (kp_keyring_store (PLAN, "Photos", keys, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  g_assert_null (strstr (error->message, "secret"));
  g_clear_error (&error);
  g_assert_false (kp_keyring_clear (PLAN, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
}

static void
finished_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  GAsyncResult **out = data;

  *out = g_object_ref (result);
}

static void
test_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ())
    {
      run_in_subprocess ();
      return;
    }
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/at/all", TRUE);
  g_cancellable_cancel (cancellable);
  g_assert_cmpint (kp_keyring_lookup (PLAN, FALSE, &credentials, cancellable, &error), ==,
                   KP_KEYRING_FAILED);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  kp_keyring_lookup_async (PLAN, TRUE, cancellable, finished_cb, &result);
  g_assert_null (result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (kp_keyring_lookup_finish (result, &credentials, &error), ==, KP_KEYRING_FAILED);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (credentials);
}

static void
delete_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_assert_cmpint (g_unlink (file), ==, 0);
    }
  g_assert_cmpint (g_rmdir (path), ==, 0);
}

/* The other place where libsecret keeps things, which it uses in a sandbox. */
static void
test_file_backend (void)
{
  g_autoptr (KpS3Credentials) keys = kp_s3_credentials_new ("access", "secret", "token");
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_test_subprocess ())
    {
      run_in_subprocess ();
      return;
    }
  g_autofree char *directory = g_dir_make_tmp ("keepsake-keyring-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "default.keyring", NULL);
  g_autofree char *content = NULL;
  gsize length;
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/at/all", TRUE);
  g_setenv ("SECRET_BACKEND", "file", TRUE);
  g_setenv ("SECRET_FILE_TEST_PATH", path, TRUE);
  g_setenv ("SECRET_FILE_TEST_PASSWORD", "password", TRUE);

  g_assert_cmpint (kp_keyring_lookup (PLAN, TRUE, &credentials, NULL, &error), ==,
                   KP_KEYRING_MISSING);
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
  g_clear_error (&error);

  g_assert_true (kp_keyring_store (PLAN, "Photos", keys, NULL, &error));
  g_assert_no_error (error);
  kp_keyring_lookup_async (PLAN, FALSE, NULL, finished_cb, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (kp_keyring_lookup_finish (result, &credentials, &error), ==, KP_KEYRING_FOUND);
  g_assert_no_error (error);
  g_assert_cmpstr (kp_s3_credentials_get_access_key (credentials), ==, "access");
  g_assert_cmpstr (kp_s3_credentials_get_secret_key (credentials), ==, "secret");
  g_assert_cmpstr (kp_s3_credentials_get_session_token (credentials), ==, "token");
  g_clear_pointer (&credentials, kp_s3_credentials_unref);

  g_assert_true (g_file_get_contents (path, &content, &length, NULL));
  g_assert_null (memmem (content, length, "secret", 6));

  g_assert_true (kp_keyring_clear (PLAN, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (kp_keyring_lookup (PLAN, FALSE, &credentials, NULL, &error), ==,
                   KP_KEYRING_MISSING);
  delete_folder (directory);
}

static void
test_status_names (void)
{
  g_assert_cmpstr (kp_keyring_status_name (KP_KEYRING_FOUND), ==, "found");
  g_assert_cmpstr (kp_keyring_status_name (KP_KEYRING_FAILED), ==, "failed");
}

static void
test_aws_profiles (void)
{
  static const struct
  {
    const char *content;
    const char *profiles[5];
  } cases[] = {
    { "", { NULL } },
    { "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", { "default", NULL } },
    { "  [ work ]  \r\n  aws_access_key_id=A\r\n", { "work", NULL } },
    { "# [no]\n[empty]\n[profile home]\nregion = x\n\taws_access_key_id=A\n[default]\n"
      "aws_access_key_id=B\naws_access_key_id=C\n",
      { "home", "default", NULL } },
    { "aws_access_key_id=A\n[sso]\nsso_account_id=1\n[last]\naws_access_key_id", { "last", NULL } },
    { "[broken\naws_access_key_id=A\n[\xff]\naws_access_key_id=A\n", { NULL } },
  };
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("keepsake-aws-XXXXXX", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_true (g_file_set_contents (path, cases[i].content, -1, NULL));
      g_auto (GStrv) profiles = kp_keyring_list_aws_profiles (path);
      g_assert_cmpstrv (profiles, cases[i].profiles);
    }
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_auto (GStrv) none = kp_keyring_list_aws_profiles (path);
  g_assert_cmpuint (g_strv_length (none), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/keyring/unavailable", test_unavailable);
  g_test_add_func ("/plan/keyring/cancelled", test_cancelled);
  g_test_add_func ("/plan/keyring/file-backend", test_file_backend);
  g_test_add_func ("/plan/keyring/status-names", test_status_names);
  g_test_add_func ("/plan/keyring/aws-profiles", test_aws_profiles);
  return g_test_run ();
}

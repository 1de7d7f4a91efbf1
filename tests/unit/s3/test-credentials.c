/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-s3-credentials.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* Set by main(), which also removes the folder. */
static char *directory;

static char *
path_of (const char *name)
{
  return g_build_filename (directory, name, NULL);
}

static void
write_bytes (const char *path, const char *bytes, gssize length, int mode)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, bytes, length, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_chmod (path, mode), ==, 0);
}

static char *
write_file (const char *name, const char *text)
{
  char *path = path_of (name);

  write_bytes (path, text, -1, 0600);
  return path;
}

static void
assert_keys (KpS3Credentials *credentials,
             const char *access,
             const char *secret,
             const char *token)
{
  g_assert_nonnull (credentials);
  g_assert_cmpstr (kp_s3_credentials_get_access_key (credentials), ==, access);
  g_assert_cmpstr (kp_s3_credentials_get_secret_key (credentials), ==, secret);
  g_assert_cmpstr (kp_s3_credentials_get_session_token (credentials), ==, token);
}

static void
test_new (void)
{
  g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_new ("A", "S", NULL);
  g_autoptr (KpS3Credentials) temporary = kp_s3_credentials_new ("A", "S", "T");
  KpS3Credentials *copy = g_boxed_copy (KP_TYPE_S3_CREDENTIALS, temporary);

  assert_keys (credentials, "A", "S", NULL);
  g_assert_true (copy == temporary);
  g_boxed_free (KP_TYPE_S3_CREDENTIALS, copy);
  assert_keys (temporary, "A", "S", "T");
}

static void
set_environment (const char *access, const char *secret, const char *token)
{
  const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" };
  const char *const values[] = { access, secret, token };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (values[i] != NULL)
      g_setenv (names[i], values[i], TRUE);
    else
      g_unsetenv (names[i]);
}

static void
test_environment (void)
{
  static const struct
  {
    const char *access;
    const char *secret;
    const char *token;
    gboolean found;
    const char *expected_token;
  } cases[] = {
    { "A", "S", NULL, TRUE, NULL },  { "A", "S", "T", TRUE, "T" },
    { "A", "S", "", TRUE, NULL },    { "A", NULL, "T", FALSE, NULL },
    { NULL, "S", "T", FALSE, NULL }, { "A", "", "T", FALSE, NULL },
    { "", "S", "T", FALSE, NULL },   { NULL, NULL, NULL, FALSE, NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      set_environment (cases[i].access, cases[i].secret, cases[i].token);
      g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_from_environment ();
      if (cases[i].found)
        assert_keys (credentials, "A", "S", cases[i].expected_token);
      else
        g_assert_null (credentials);
    }
  set_environment (NULL, NULL, NULL);
}

static const char credentials_text[] = "; a comment before everything\n"
                                       "# another\n"
                                       "\n"
                                       "[default]\n"
                                       "aws_access_key_id = DEFAULT\n"
                                       "aws_secret_access_key=s3cr=t/+\n"
                                       ";aws_session_token = not this\n"
                                       "\n"
                                       "[temporary]\r\n"
                                       "aws_access_key_id = TEMPORARY\t \r\n"
                                       "aws_secret_access_key =   secret\r\n"
                                       "aws_session_token = FwoGZXIvYXdzEJr==\r\n"
                                       "[half]\n"
                                       "aws_access_key_id = HALF\n"
                                       "[two words]\n"
                                       "aws_access_key_id = WORDS\n"
                                       "aws_secret_access_key = words\n"
                                       "[no-newline]\n"
                                       "aws_access_key_id = LAST\n"
                                       "aws_secret_access_key = last";

static const char config_text[] = "[default]\n"
                                  "region = eu-central-1\n"
                                  "output = json\n"
                                  "[profile temporary]\n"
                                  ";region = eu-west-1\n"
                                  "region=us-west-2 \n"
                                  "endpoint_url = http://127.0.0.1:7480\n"
                                  "ca_bundle = /etc/ssl/own.pem\n"
                                  "s3 =\n"
                                  "  max_concurrent_requests = 20\n"
                                  "[profile half]\n"
                                  "aws_access_key_id = OTHER\n"
                                  "aws_secret_access_key = half\n"
                                  "[profile only-here]\n"
                                  "aws_access_key_id = CONFIG\n"
                                  "aws_secret_access_key = config\n"
                                  "aws_session_token = token\n";

static void
test_profiles (void)
{
  static const struct
  {
    const char *profile;
    const char *access;
    const char *secret;
    const char *token;
  } cases[] = {
    { "default", "DEFAULT", "s3cr=t/+", NULL },
    { "temporary", "TEMPORARY", "secret", "FwoGZXIvYXdzEJr==" },
    /* never one key of one file and the other of another */
    { "half", "OTHER", "half", NULL },
    { "two words", "WORDS", "words", NULL },
    { "no-newline", "LAST", "last", NULL },
    { "only-here", "CONFIG", "config", "token" },
  };
  g_autofree char *credentials_file = write_file ("credentials", credentials_text);
  g_autofree char *config_file = write_file ("config", config_text);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_from_profile (
          credentials_file, config_file, cases[i].profile, &error);

      g_test_message ("%s", cases[i].profile);
      g_assert_no_error (error);
      assert_keys (credentials, cases[i].access, cases[i].secret, cases[i].token);
    }
}

static void
assert_no_profile (const char *credentials_file,
                   const char *config_file,
                   const char *profile,
                   KpError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (kp_s3_credentials_from_profile (credentials_file, config_file, profile, &error));
  g_assert_error (error, KP_ERROR, (int) code);
}

static void
test_missing_profile (void)
{
  g_autofree char *credentials_file = write_file ("credentials", credentials_text);
  g_autofree char *config_file = write_file ("config", config_text);
  g_autofree char *empty = write_file ("empty", "");
  g_autofree char *missing = path_of ("missing");

  assert_no_profile (credentials_file, config_file, "nobody", KP_ERROR_NOT_FOUND);
  assert_no_profile (credentials_file, config_file, "", KP_ERROR_NOT_FOUND);
  assert_no_profile (credentials_file, missing, "half", KP_ERROR_NOT_FOUND);
  assert_no_profile (missing, missing, "default", KP_ERROR_NOT_FOUND);
  assert_no_profile (empty, empty, "default", KP_ERROR_NOT_FOUND);

  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Credentials) credentials
      = kp_s3_credentials_from_profile (missing, config_file, "only-here", &error);
  g_assert_no_error (error);
  assert_keys (credentials, "CONFIG", "config", "token");
}

static void
test_broken_profile (void)
{
  static const char *const texts[] = {
    "not a key file\n",
    "aws_access_key_id = A\n",
    "[default\naws_access_key_id = A\n",
    "[default]\naws_access_key_id\n",
    "[default]\naws_access_key_id = caf\xE9\n",
  };
  g_autofree char *missing = path_of ("missing");

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *path = write_file ("broken", texts[i]);
      KpS3ProfileSettings settings;
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", texts[i]);
      assert_no_profile (path, missing, "default", KP_ERROR_BAD_CREDENTIALS);
      assert_no_profile (missing, path, "default", KP_ERROR_BAD_CREDENTIALS);
      g_assert_false (kp_s3_profile_settings_load (&settings, path, "default", &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS);
      g_assert_nonnull (strstr (error->message, path));
    }
}

static void
test_settings (void)
{
  g_autofree char *config_file = write_file ("config", config_text);
  g_autofree char *missing = path_of ("missing");
  static const struct
  {
    const char *profile;
    const char *region;
    const char *endpoint;
    const char *ca_bundle;
  } cases[] = {
    { "default", "eu-central-1", NULL, NULL },
    { "temporary", "us-west-2", "http://127.0.0.1:7480", "/etc/ssl/own.pem" },
    { "only-here", NULL, NULL, NULL },
    { "nobody", NULL, NULL, NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (KpS3ProfileSettings) settings = { NULL };
      g_autoptr (GError) error = NULL;

      g_assert_true (
          kp_s3_profile_settings_load (&settings, config_file, cases[i].profile, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (settings.region, ==, cases[i].region);
      g_assert_cmpstr (settings.endpoint, ==, cases[i].endpoint);
      g_assert_cmpstr (settings.ca_bundle, ==, cases[i].ca_bundle);
    }

  g_auto (KpS3ProfileSettings) settings = { NULL };
  g_autoptr (GError) error = NULL;
  g_assert_true (kp_s3_profile_settings_load (&settings, missing, "default", &error));
  g_assert_no_error (error);
  g_assert_null (settings.region);
}

static void
test_passwd (void)
{
  static const struct
  {
    const char *text;
    const char *access;
    const char *secret;
  } cases[] = {
    { "ACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "ACCESS:SECRET", "ACCESS", "SECRET" },
    { "ACCESS:SECRET\r\n", "ACCESS", "SECRET" },
    { "  ACCESS:SECRET  \n\n", "ACCESS", "SECRET" },
    { "ACCESS:SE/CR+ET=\n", "ACCESS", "SE/CR+ET=" },
    { "# a comment\n\nACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "#OLD:OLDER\nACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "A:S\nACCESS:SECRET\n", "A", "S" },
    { "bucket:ACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "bucket:ACCESS:SECRET", "ACCESS", "SECRET" },
    /* The bucket's own line is preferred, wherever it stands. */
    { "A:S\nbucket:ACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "bucket:ACCESS:SECRET\nA:S\n", "ACCESS", "SECRET" },
    { "other:O:S\nbucket:ACCESS:SECRET\nA:S\n", "ACCESS", "SECRET" },
    { "other:O:S\nACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "BUCKET:O:S\nACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "bucket2:O:S\nbucke:O:S\nACCESS:SECRET\n", "ACCESS", "SECRET" },
    { "no colon here\nACCESS:SECRET\n", "ACCESS", "SECRET" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = write_file ("passwd", cases[i].text);
      g_autoptr (GError) error = NULL;
      g_autoptr (KpS3Credentials) credentials
          = kp_s3_credentials_from_passwd_file (path, "bucket", &error);

      g_test_message ("%s", cases[i].text);
      g_assert_no_error (error);
      assert_keys (credentials, cases[i].access, cases[i].secret, NULL);
    }
}

static void
test_passwd_without_keys (void)
{
  static const struct
  {
    const char *text;
    gssize length;
  } cases[] = {
    { "", -1 },
    { "\n\n", -1 },
    { "# ACCESS:SECRET\n", -1 },
    { "ACCESS\nSECRET\n", -1 },
    { "other:ACCESS:SECRET\n", -1 },
    /* binary */
    { "\x7F\x45LF\x02\x01\x01\xFF\xFE:\x80\n", -1 },
    { "caf\xE9:SECRET\n", -1 },
    { "\0\0\0\0ACCESS:SECRET\n", 18 },
  };
  g_autofree char *missing = path_of ("missing");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = path_of ("passwd");
      g_autoptr (GError) error = NULL;

      write_bytes (path, cases[i].text, cases[i].length, 0600);
      g_assert_null (kp_s3_credentials_from_passwd_file (path, "bucket", &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS);
      g_assert_null (strstr (error->message, "SECRET\n"));
    }

  g_autoptr (GError) error = NULL;
  g_assert_null (kp_s3_credentials_from_passwd_file (missing, "bucket", &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
}

static void
test_passwd_mode (void)
{
  static const int accepted[] = { 0600, 0400, 0700, 0200 };
  static const int refused[] = { 0640, 0644, 0604, 0660, 0620, 0601, 0610, 0777 };

  for (gsize i = 0; i < G_N_ELEMENTS (accepted); i++)
    {
      g_autofree char *path = path_of ("passwd");
      g_autoptr (GError) error = NULL;

      write_bytes (path, "ACCESS:SECRET\n", -1, accepted[i]);
      if (g_access (path, R_OK) != 0)
        continue;
      g_autoptr (KpS3Credentials) credentials
          = kp_s3_credentials_from_passwd_file (path, "bucket", &error);
      g_assert_no_error (error);
      assert_keys (credentials, "ACCESS", "SECRET", NULL);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      g_autofree char *path = path_of ("passwd");
      g_autoptr (GError) error = NULL;

      write_bytes (path, "ACCESS:SECRET\n", -1, refused[i]);
      g_test_message ("%03o", (unsigned) refused[i]);
      g_assert_null (kp_s3_credentials_from_passwd_file (path, "bucket", &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS);
      /* What to do stands in the message, and the secret does not. */
      g_assert_nonnull (strstr (error->message, "chmod 600"));
      g_assert_null (strstr (error->message, "SECRET"));
    }
}

/* A message is printed and logged; what stands in the file must not be. */
static void
test_no_secret_in_messages (void)
{
  static const char *const texts[] = {
    "[default]\naws_secret_access_key wJalrXUtnFEMI\n",
    "wJalrXUtnFEMI\n",
    "aws_secret_access_key = wJalrXUtnFEMI\n",
    "[wJalrXUtnFEMI\n",
    "[default]\nwJalrXUtnFEMI[de = x\n",
  };
  g_autofree char *missing = path_of ("missing");

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *path = write_file ("broken", texts[i]);
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", texts[i]);
      g_assert_null (kp_s3_credentials_from_profile (path, missing, "default", &error));
      g_assert_nonnull (error);
      g_assert_null (strstr (error->message, "wJalrXUtnFEMI"));
    }
}

/* A file that opens and cannot be read is not one without keys. */
static void
test_unreadable (void)
{
  g_autofree char *folder = path_of ("folder");
  g_autofree char *missing = path_of ("missing");
  KpS3ProfileSettings settings;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  assert_no_profile (folder, missing, "default", KP_ERROR_BAD_CREDENTIALS);
  g_assert_false (kp_s3_profile_settings_load (&settings, folder, "default", &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS);
}

/* What the environment says comes first; where it says all, nobody needs the file. */
static void
test_broken_settings (void)
{
  static const char *const names[]
      = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL" };
  g_autofree char *path = write_file ("broken", "[default]\nregion wJalrXUtnFEMI\n");
  KpS3ProfileSettings settings;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_unsetenv (names[i]);
  for (gsize i = 0; i <= G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean ok = kp_s3_profile_settings_load (&settings, path, "default", &error);

      g_assert_cmpint (ok, ==, i == G_N_ELEMENTS (names));
      if (!ok)
        {
          g_assert_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS);
          g_assert_nonnull (strstr (error->message, path));
          g_assert_nonnull (strstr (error->message, "key = value"));
          g_assert_null (strstr (error->message, "wJalrXUtnFEMI"));
          g_setenv (names[i], "set", TRUE);
        }
      g_assert_null (settings.region);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_unsetenv (names[i]);
}

static void
remove_directory (void)
{
  static const char *const names[]
      = { "credentials", "config", "empty", "broken", "passwd", "folder" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = path_of (names[i]);
      g_remove (path);
    }
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  g_free (directory);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("keepsake-test-XXXXXX", &error);
  g_assert_no_error (error);
  g_test_add_func ("/s3/credentials/new", test_new);
  g_test_add_func ("/s3/credentials/environment", test_environment);
  g_test_add_func ("/s3/credentials/profiles", test_profiles);
  g_test_add_func ("/s3/credentials/missing-profile", test_missing_profile);
  g_test_add_func ("/s3/credentials/broken-profile", test_broken_profile);
  g_test_add_func ("/s3/credentials/settings", test_settings);
  g_test_add_func ("/s3/credentials/passwd", test_passwd);
  g_test_add_func ("/s3/credentials/passwd-without-keys", test_passwd_without_keys);
  g_test_add_func ("/s3/credentials/passwd-mode", test_passwd_mode);
  g_test_add_func ("/s3/credentials/no-secret-in-messages", test_no_secret_in_messages);
  g_test_add_func ("/s3/credentials/unreadable", test_unreadable);
  g_test_add_func ("/s3/credentials/broken-settings", test_broken_settings);
  int status = g_test_run ();
  remove_directory ();
  return status;
}

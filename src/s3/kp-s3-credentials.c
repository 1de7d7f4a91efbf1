/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-credentials.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_SIZE (1024 * 1024)

struct _KpS3Credentials
{
  gatomicrefcount ref_count;
  char *access_key;
  char *secret_key;    /* by dup_locked () */
  char *session_token; /* the same, or NULL */
};

G_DEFINE_BOXED_TYPE (KpS3Credentials,
                     kp_s3_credentials,
                     kp_s3_credentials_ref,
                     kp_s3_credentials_unref)

static void
wipe (char *secret)
{
  if (secret == NULL)
    return;
  OPENSSL_cleanse (secret, strlen (secret));
  g_free (secret);
}

/* Bytes of memory that is neither paged out nor written to a core file, where the system grants it;
 * and the smallest block of it. What does not fit is in usual memory. */
#define LOCKED_SIZE (32 * 1024)
#define LOCKED_MIN 64

static char *
dup_locked (const char *secret)
{
  static gsize prepared = 0;

  if (secret == NULL)
    return NULL;
  if (g_once_init_enter (&prepared))
    g_once_init_leave (&prepared, (gsize) CRYPTO_secure_malloc_init (LOCKED_SIZE, LOCKED_MIN) + 1);
  gsize size = strlen (secret) + 1;
  char *copy = OPENSSL_secure_malloc (size);
  if (copy == NULL)
    copy = OPENSSL_malloc (size);
  g_assert (copy != NULL);
  memcpy (copy, secret, size);
  return copy;
}

static void
free_locked (char *secret)
{
  if (secret != NULL)
    OPENSSL_secure_clear_free (secret, strlen (secret) + 1);
}

typedef char Secret;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Secret, wipe)

/**
 * kp_s3_credentials_new:
 * @session_token: (nullable): for temporary keys
 */
KpS3Credentials *
kp_s3_credentials_new (const char *access_key, const char *secret_key, const char *session_token)
{
  KpS3Credentials *credentials = g_new0 (KpS3Credentials, 1);

  g_atomic_ref_count_init (&credentials->ref_count);
  credentials->access_key = g_strdup (access_key);
  credentials->secret_key = dup_locked (secret_key);
  credentials->session_token = dup_locked (session_token);
  return credentials;
}

KpS3Credentials *
kp_s3_credentials_ref (KpS3Credentials *credentials)
{
  g_atomic_ref_count_inc (&credentials->ref_count);
  return credentials;
}

void
kp_s3_credentials_unref (KpS3Credentials *credentials)
{
  if (!g_atomic_ref_count_dec (&credentials->ref_count))
    return;
  g_free (credentials->access_key);
  free_locked (credentials->secret_key);
  free_locked (credentials->session_token);
  g_free (credentials);
}

static const char *
get_environment (const char *name)
{
  const char *value = g_getenv (name);

  return value != NULL && *value != '\0' ? value : NULL;
}

/**
 * kp_s3_credentials_from_environment:
 *
 * Returns: (transfer full) (nullable): the keys of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 *   AWS_SESSION_TOKEN; %NULL unless the first two are set
 */
KpS3Credentials *
kp_s3_credentials_from_environment (void)
{
  const char *access_key = get_environment ("AWS_ACCESS_KEY_ID");
  const char *secret_key = get_environment ("AWS_SECRET_ACCESS_KEY");

  if (access_key == NULL || secret_key == NULL)
    return NULL;
  return kp_s3_credentials_new (access_key, secret_key, get_environment ("AWS_SESSION_TOKEN"));
}

/* Reads a whole small file. The mode is asked of the open file, so that nobody can swap it between
 * the question and the reading. */
static Secret *
read_secret_file (const char *path, struct stat *st, GError **error)
{
  int saved_errno;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat (fd, st) < 0)
    {
      saved_errno = errno;
      if (fd >= 0)
        close (fd);
      g_set_error (error, KP_ERROR,
                   saved_errno == ENOENT ? KP_ERROR_NOT_FOUND : KP_ERROR_BAD_CREDENTIALS,
                   "Cannot read the credentials file “%s”: %s", path, g_strerror (saved_errno));
      return NULL;
    }

  gsize length = 0;
  g_autoptr (Secret) text = g_malloc0 (MAX_FILE_SIZE + 1);
  gssize n = 0;
  while (
      length < MAX_FILE_SIZE
      && ((n = read (fd, text + length, MAX_FILE_SIZE - length)) > 0 || (n < 0 && errno == EINTR)))
    length += n > 0 ? (gsize) n : 0;
  saved_errno = errno;
  close (fd);
  if (n < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                   "Cannot read the credentials file “%s”: %s", path, g_strerror (saved_errno));
      return NULL;
    }
  if (!g_utf8_validate (text, -1, NULL))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                   "The credentials file “%s” is not a text file", path);
      return NULL;
    }
  return g_steal_pointer (&text);
}

/* The format of the AWS command line is that of GKeyFile but for comments that start with ";". */
static gboolean
load_profile_file (GKeyFile *file, const char *path, GError **error)
{
  struct stat st;
  g_autoptr (Secret) text = read_secret_file (path, &st, error);

  if (text == NULL)
    return FALSE;
  for (char *line = text; line != NULL && *line != '\0'; line = strchr (line, '\n'))
    {
      line += *line == '\n' ? 1 : 0;
      if (*line == ';')
        *line = '#';
    }
  /* Its own message holds the line that it does not understand, and that may be the secret. */
  if (!g_key_file_load_from_data (file, text, (gsize) -1, G_KEY_FILE_NONE, NULL))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                   "Cannot understand “%s”: each line has to be “key = value”, below a line with "
                   "the name of the profile in brackets",
                   path);
      return FALSE;
    }
  return TRUE;
}

/* In the credentials file a group is called NAME; in the config file "profile NAME", but
 * "default". */
static Secret *
get_profile_value (GKeyFile *file, const char *profile, const char *key)
{
  g_autofree char *long_name = g_strconcat ("profile ", profile, NULL);
  char *value = g_key_file_get_value (file, profile, key, NULL);

  if (value == NULL)
    value = g_key_file_get_value (file, long_name, key, NULL);
  return value != NULL ? g_strstrip (value) : NULL;
}

/**
 * kp_s3_credentials_from_profile:
 * @credentials_file: usually ~/.aws/credentials
 * @config_file: usually ~/.aws/config, which may hold keys too
 * @profile: "default" or another name
 * @error: %KP_ERROR_NOT_FOUND when neither file has keys for @profile, %KP_ERROR_BAD_CREDENTIALS
 *   when a file cannot be read
 */
KpS3Credentials *
kp_s3_credentials_from_profile (const char *credentials_file,
                                const char *config_file,
                                const char *profile,
                                GError **error)
{
  const char *const paths[] = { credentials_file, config_file };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GKeyFile) file = g_key_file_new ();
      g_autoptr (GError) local_error = NULL;

      if (!load_profile_file (file, paths[i], &local_error))
        {
          if (kp_error_is (local_error, KP_ERROR_NOT_FOUND))
            continue;
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }

      g_autoptr (Secret) access_key = get_profile_value (file, profile, "aws_access_key_id");
      g_autoptr (Secret) secret_key = get_profile_value (file, profile, "aws_secret_access_key");
      g_autoptr (Secret) token = get_profile_value (file, profile, "aws_session_token");
      if (access_key != NULL && secret_key != NULL)
        return kp_s3_credentials_new (access_key, secret_key, token);
    }

  g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND,
               "There are no keys for the profile “%s” in “%s”", profile, credentials_file);
  return NULL;
}

/* Whether the environment says all that settings and keys of a profile could. */
static gboolean
environment_says_all (void)
{
  return get_environment ("AWS_ACCESS_KEY_ID") != NULL
         && get_environment ("AWS_SECRET_ACCESS_KEY") != NULL
         && (get_environment ("AWS_REGION") != NULL
             || get_environment ("AWS_DEFAULT_REGION") != NULL)
         && (get_environment ("AWS_ENDPOINT_URL_S3") != NULL
             || get_environment ("AWS_ENDPOINT_URL") != NULL);
}

/**
 * kp_s3_profile_settings_load:
 * @settings: filled with what the profile says; empty where @config_file does not exist
 * @error: %KP_ERROR_BAD_CREDENTIALS when the file cannot be read
 *
 * Where the environment has keys, region and endpoint, and so is asked before the profile, a file
 * that cannot be understood is no obstacle.
 */
gboolean
kp_s3_profile_settings_load (KpS3ProfileSettings *settings,
                             const char *config_file,
                             const char *profile,
                             GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;

  *settings = (KpS3ProfileSettings){ NULL };
  if (!load_profile_file (file, config_file, &local_error))
    {
      if (kp_error_is (local_error, KP_ERROR_NOT_FOUND) || environment_says_all ())
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  settings->region = get_profile_value (file, profile, "region");
  settings->endpoint = get_profile_value (file, profile, "endpoint_url");
  settings->ca_bundle = get_profile_value (file, profile, "ca_bundle");
  return TRUE;
}

void
kp_s3_profile_settings_clear (KpS3ProfileSettings *settings)
{
  g_clear_pointer (&settings->region, g_free);
  g_clear_pointer (&settings->endpoint, g_free);
  g_clear_pointer (&settings->ca_bundle, g_free);
}

/**
 * kp_s3_credentials_from_passwd_file:
 * @path: a file as s3fs uses it: lines of "ACCESS:SECRET" or "BUCKET:ACCESS:SECRET"
 * @bucket: a line for this bucket is preferred to one for all
 * @error: %KP_ERROR_BAD_CREDENTIALS when others may read the file, or no line fits;
 *   %KP_ERROR_NOT_FOUND when it does not exist
 */
KpS3Credentials *
kp_s3_credentials_from_passwd_file (const char *path, const char *bucket, GError **error)
{
  struct stat st;
  g_autoptr (Secret) text = read_secret_file (path, &st, error);
  g_autoptr (KpS3Credentials) found = NULL;

  if (text == NULL)
    return NULL;
  if ((st.st_mode & 077) != 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                   "Others may read the credentials file “%s” (mode %03o); run: chmod 600 '%s'",
                   path, (unsigned) st.st_mode & 0777, path);
      return NULL;
    }

  char *rest = text;
  char *line;
  while ((line = strsep (&rest, "\n")) != NULL)
    {
      g_strstrip (line);
      if (*line == '\0' || *line == '#')
        continue;

      char *first = strchr (line, ':');
      char *second = first != NULL ? strchr (first + 1, ':') : NULL;
      if (first == NULL)
        continue;
      *first = '\0';
      if (second == NULL)
        {
          if (found == NULL)
            found = kp_s3_credentials_new (line, first + 1, NULL);
          continue;
        }
      *second = '\0';
      if (g_str_equal (line, bucket))
        return kp_s3_credentials_new (first + 1, second + 1, NULL);
    }

  if (found == NULL)
    g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                 "The credentials file “%s” has no line ACCESS:SECRET, nor one for the bucket “%s”",
                 path, bucket);
  return g_steal_pointer (&found);
}

const char *
kp_s3_credentials_get_access_key (KpS3Credentials *credentials)
{
  return credentials->access_key;
}

const char *
kp_s3_credentials_get_secret_key (KpS3Credentials *credentials)
{
  return credentials->secret_key;
}

/**
 * kp_s3_credentials_get_session_token:
 *
 * Returns: (nullable): the token of temporary keys
 */
const char *
kp_s3_credentials_get_session_token (KpS3Credentials *credentials)
{
  return credentials->session_token;
}

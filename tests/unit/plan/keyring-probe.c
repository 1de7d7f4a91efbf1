/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Drives the keyring from a script.
 *
 *   keyring-probe store PLAN NAME     reads "ACCESS:SECRET[:TOKEN]" from standard input
 *   keyring-probe lookup PLAN…        prints "STATUS MESSAGE" or "found ACCESS:SECRET[:TOKEN]"
 *   keyring-probe unlock PLAN…        the same, and may prompt
 *   keyring-probe async PLAN…         the same as lookup, through the main loop
 *   keyring-probe clear PLAN
 *
 * With several plans it looks up one after the other, each when a line comes in, so that a script
 * can change things in between. Ends with 0, or 1 and "ERROR-NAME MESSAGE". */

#include "kp-error.h"
#include "kp-keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static char *
read_line (void)
{
  char *line = NULL;
  size_t size = 0;

  if (getline (&line, &size, stdin) < 0)
    exit (2);
  line[strcspn (line, "\n")] = '\0';
  return line;
}

static void
print_result (KpKeyringStatus status, KpS3Credentials *credentials, const GError *error)
{
  if (credentials == NULL)
    printf ("%s %s\n", kp_keyring_status_name (status), error->message);
  else
    printf ("%s %s:%s%s%s\n", kp_keyring_status_name (status),
            kp_s3_credentials_get_access_key (credentials),
            kp_s3_credentials_get_secret_key (credentials),
            kp_s3_credentials_get_session_token (credentials) != NULL ? ":" : "",
            kp_s3_credentials_get_session_token (credentials) != NULL
                ? kp_s3_credentials_get_session_token (credentials)
                : "");
  fflush (stdout);
}

static void
lookup_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GError) error = NULL;
  KpKeyringStatus status = kp_keyring_lookup_finish (result, &credentials, &error);

  print_result (status, credentials, error);
  g_main_loop_quit (data);
}

static void
look_up (const char *how, const char *plan)
{
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GError) error = NULL;

  if (strcmp (how, "async") == 0)
    {
      g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
      kp_keyring_lookup_async (plan, FALSE, NULL, lookup_cb, loop);
      g_main_loop_run (loop);
      return;
    }
  KpKeyringStatus status
      = kp_keyring_lookup (plan, strcmp (how, "unlock") == 0, &credentials, NULL, &error);
  print_result (status, credentials, error);
}

static gboolean
store (const char *plan, const char *name, GError **error)
{
  char *line = read_line ();
  g_auto (GStrv) parts = g_strsplit (line, ":", 3);
  g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_new (parts[0], parts[1], parts[2]);

  free (line);
  return kp_keyring_store (plan, name, credentials, NULL, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  if (argc < 3)
    return 2;
  if (strcmp (argv[1], "store") == 0 && argc == 4)
    ok = store (argv[2], argv[3], &error);
  else if (strcmp (argv[1], "clear") == 0)
    ok = kp_keyring_clear (argv[2], NULL, &error);
  else
    for (int i = 2; i < argc; i++)
      {
        if (i > 2)
          free (read_line ());
        look_up (argv[1], argv[i]);
      }

  if (!ok)
    printf ("%s %s\n", kp_error_name (error->code), error->message);
  return ok ? 0 : 1;
}

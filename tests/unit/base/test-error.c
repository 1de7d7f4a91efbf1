/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"

#include <gio/gio.h>
#include <string.h>

/* The names that docs/formats.md promises to scripts: one after "Errors:", up to the full stop. */
static GStrv
read_documented (void)
{
  g_autofree char *path
      = g_test_build_filename (G_TEST_DIST, "..", "..", "docs", "formats.md", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  const char *start = strstr (text, "\nErrors: `");
  g_assert_nonnull (start);
  start += strlen ("\nErrors: `");
  const char *end = strstr (start, "`.");
  g_assert_nonnull (end);
  g_autofree char *list = g_strdelimit (g_strndup (start, (gsize) (end - start)), "\n", ' ');
  return g_strsplit (list, " ", -1);
}

static void
test_documented (void)
{
  g_auto (GStrv) documented = read_documented ();

  for (int code = 0; code < KP_N_ERRORS; code++)
    {
      const char *name = kp_error_name (code);
      g_assert_nonnull (name);
      g_test_message ("%s", name);
      g_assert_true (g_strv_contains ((const char *const *) documented, name));
      for (int other = 0; other < code; other++)
        g_assert_cmpstr (name, !=, kp_error_name (other));
    }
  g_assert_cmpuint (g_strv_length (documented), ==, KP_N_ERRORS);
}

/* Whoever has to press Ctrl-C, or whose keys are wrong, wants no thousand lines about files. */
static void
test_stops_job (void)
{
  static const KpError stops[] = { KP_ERROR_BAD_CREDENTIALS, KP_ERROR_NO_SUCH_BUCKET,
                                   KP_ERROR_OFFLINE, KP_ERROR_QUOTA, KP_ERROR_LOCAL_STORAGE };
  static const KpError goes_on[] = { KP_ERROR_NOT_FOUND, KP_ERROR_CORRUPT, KP_ERROR_CONFLICT,
                                     KP_ERROR_NAME_TOO_LONG, KP_ERROR_ARCHIVED };
  g_autoptr (GError) cancelled = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_autoptr (GError) other = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "");

  for (gsize i = 0; i < G_N_ELEMENTS (stops); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (KP_ERROR, (int) stops[i], "");
      g_assert_true (kp_error_stops_job (error));
      g_assert_true (kp_error_is (error, stops[i]));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (goes_on); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (KP_ERROR, (int) goes_on[i], "");
      g_assert_false (kp_error_stops_job (error));
    }
  g_assert_true (kp_error_stops_job (cancelled));
  g_assert_false (kp_error_stops_job (other));
  g_assert_false (kp_error_is (NULL, KP_ERROR_FAILED));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/error/documented", test_documented);
  g_test_add_func ("/base/error/stops-job", test_stops_job);
  return g_test_run ();
}

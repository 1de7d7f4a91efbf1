/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-sandbox.h"

#include <glib/gstdio.h>
#include <unistd.h>

static void
assert_hidden (const char *const *paths, gboolean are_hidden)
{
  for (gsize i = 0; paths[i] != NULL; i++)
    {
      g_test_message ("%s", paths[i]);
      g_assert_true (kp_sandbox_hides (paths[i]) == are_hidden);
    }
}

/* One test for all, as GLib loses the folders of one when the next gets its own. */
static void
test_hides (void)
{
  static const char *const own[]
      = { "/",    "/etc",       "/etc/",        "/usr/share",     "/tmp/Restored",
          "/var", "/var/tmp/x", "/home/../etc", "/run/user/1000", "/app/bin",
          NULL };
  static const char *const seen[] = { "/home/user",
                                      "/etcetera",
                                      "/data/photos",
                                      "/mnt/disk",
                                      "/run/media/user/disk",
                                      "/run/host/etc",
                                      "/run/flatpak/doc/1a2b3c/x",
                                      NULL };
  const char *home = g_get_home_dir (); /* below /tmp, in tests */
  g_autofree char *info = g_build_filename (home, "info", NULL);
  g_autofree char *link = g_build_filename (home, "link", NULL);
  g_autofree char *through = g_build_filename (link, "not/there", NULL);
  g_autofree char *document = g_build_filename (g_get_user_runtime_dir (), "doc/1a2b3c", NULL);
  g_autofree char *share = g_build_filename (g_get_user_runtime_dir (), "gvfs/share", NULL);
  g_autofree char *beside = g_strconcat (home, "2", NULL);

  g_assert_cmpint (g_mkdir_with_parents (home, 0700), ==, 0);
  /* To a file that nobody can delete: GLib follows links when it deletes the folders of a test. */
  g_assert_cmpint (symlink ("/proc/version", link), ==, 0);

  /* No sandbox. */
  assert_hidden (own, FALSE);

  g_assert_true (g_file_set_contents (
      info, "[Application]\nname=x\n[Context]\nfilesystems=host:ro;~/.var/app:ro;\n", -1, NULL));
  kp_sandbox_pretend (info);
  assert_hidden (own, TRUE);
  assert_hidden (seen, FALSE);
  g_assert_false (kp_sandbox_hides (home));
  g_assert_false (kp_sandbox_hides (info));
  g_assert_false (kp_sandbox_hides (document));
  g_assert_true (kp_sandbox_hides (beside) == g_str_has_prefix (beside, "/tmp/"));
  g_assert_true (kp_sandbox_hides (link));
  g_assert_true (kp_sandbox_hides (through));

  /* What somebody has granted by its path. */
  g_assert_true (
      g_file_set_contents (info,
                           "[Context]\nfilesystems=host:ro;/var/lib/music:ro;/tmp/all;!/usr/x;"
                           "xdg-run/gvfs;\n",
                           -1, NULL));
  g_assert_false (kp_sandbox_hides ("/var/lib/music"));
  g_assert_false (kp_sandbox_hides ("/var/lib/music/a"));
  g_assert_false (kp_sandbox_hides (share));
  g_assert_true (kp_sandbox_hides ("/var/lib"));
  g_assert_false (kp_sandbox_hides ("/tmp/all/x"));
  g_assert_true (kp_sandbox_hides ("/tmp/allx"));
  g_assert_true (kp_sandbox_hides ("/usr/x"));
  kp_sandbox_pretend (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  g_test_add_func ("/base/sandbox/hides", test_hides);
  return g_test_run ();
}

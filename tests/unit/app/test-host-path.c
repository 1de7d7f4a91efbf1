/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-host-path.h"
#include "kp-sandbox.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/xattr.h>

#define ATTRIBUTE "user.document-portal.host-path"

static char *
make_folder (const char *top, const char *name)
{
  char *path = g_build_filename (top, name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0700), ==, 0);
  return path;
}

static gboolean
mark (const char *path, const char *value, gsize length)
{
  if (setxattr (path, ATTRIBUTE, value, length, 0) == 0)
    return TRUE;
  g_test_skip ("the file system of the tests has no extended attributes");
  return FALSE;
}

static void
assert_found (const char *path, const char *expected)
{
  g_autofree char *found = kp_host_path_find (path);

  g_assert_cmpstr (found, ==, expected);
}

/* One test for all, as GLib loses the folders of one when the next gets its own. */
static void
test_find (void)
{
  const char *top = g_get_user_runtime_dir ();
  g_autofree char *real = make_folder (top, "real/Pictures");
  g_autofree char *document = make_folder (top, "doc/1a2b3c/Pictures");
  g_autofree char *other = make_folder (top, "document/Pictures");

  /* One outside of the sandbox, what the portal makes of it, and one that only looks so. */
  assert_found ("/", "/");
  assert_found (document, document);
  if (!mark (document, real, strlen (real)))
    return;
  assert_found (document, real);
  /* Some versions of the portal end it with a zero. */
  mark (document, real, strlen (real) + 1);
  assert_found (document, real);

  /* Not there. */
  mark (document, "/there/is/no/such/folder", 24);
  assert_found (document, document);
  mark (document, "tmp", 3);
  assert_found (document, document);

  /* In the sandbox, but another of that name; else it would have been found. */
  g_autofree char *info = g_build_filename (top, "info", NULL);
  g_assert_true (g_file_set_contents (info, "[Context]\nfilesystems=host:ro;\n", -1, NULL));
  mark (document, "/etc", 4);
  assert_found (document, "/etc");
  kp_sandbox_pretend (info);
  assert_found (document, document);
  mark (document, "/opt", 4);
  assert_found (document, "/opt");
  kp_sandbox_pretend (NULL);

  /* Anybody can write such an attribute on a folder of his own. */
  mark (other, real, strlen (real));
  assert_found (other, other);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  g_test_add_func ("/app/host-path/find", test_find);
  return g_test_run ();
}

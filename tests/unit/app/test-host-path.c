/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-host-path.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/xattr.h>

#define ATTRIBUTE "user.document-portal.host-path"

typedef struct
{
  char *top;
  char *real;     /* a folder outside of the sandbox */
  char *document; /* what the portal would have made of it */
  char *other;    /* a folder that only looks like one of the portal's */
} Fixture;

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
set_up (Fixture *fixture, const void *data)
{
  fixture->top = g_strdup (g_get_user_runtime_dir ());
  fixture->real = make_folder (fixture->top, "real/Pictures");
  fixture->document = make_folder (fixture->top, "doc/1a2b3c/Pictures");
  fixture->other = make_folder (fixture->top, "document/Pictures");
}

static void
tear_down (Fixture *fixture, const void *data)
{
  g_free (fixture->top);
  g_free (fixture->real);
  g_free (fixture->document);
  g_free (fixture->other);
}

static void
assert_found (const char *path, const char *expected)
{
  g_autofree char *found = kp_host_path_find (path);

  g_assert_cmpstr (found, ==, expected);
}

static void
test_document (Fixture *fixture, const void *data)
{
  assert_found (fixture->document, fixture->document);
  if (!mark (fixture->document, fixture->real, strlen (fixture->real)))
    return;
  assert_found (fixture->document, fixture->real);
  /* Some versions of the portal end it with a zero. */
  mark (fixture->document, fixture->real, strlen (fixture->real) + 1);
  assert_found (fixture->document, fixture->real);
}

static void
test_not_there (Fixture *fixture, const void *data)
{
  if (!mark (fixture->document, "/there/is/no/such/folder", 24))
    return;
  assert_found (fixture->document, fixture->document);
  mark (fixture->document, "tmp", 3);
  assert_found (fixture->document, fixture->document);
}

/* Anybody can write such an attribute on a folder of his own. */
static void
test_other (Fixture *fixture, const void *data)
{
  if (!mark (fixture->other, fixture->real, strlen (fixture->real)))
    return;
  assert_found (fixture->other, fixture->other);
  assert_found ("/", "/");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  g_test_add ("/app/host-path/document", Fixture, NULL, set_up, test_document, tear_down);
  g_test_add ("/app/host-path/not-there", Fixture, NULL, set_up, test_not_there, tear_down);
  g_test_add ("/app/host-path/other", Fixture, NULL, set_up, test_other, tear_down);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-source.h"
#include "offline-service.h"
#include "temporary-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static KpSource *
open_source (const char *argument, const char *stored_as)
{
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
  KpSource *source = kp_source_new (argument, stored_as, location);
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_source_open (source, &error));
  g_assert_no_error (error);
  return source;
}

static void
assert_not_opened (const char *argument, KpError code)
{
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
  g_autoptr (KpSource) source = kp_source_new (argument, NULL, location);
  g_autoptr (GError) error = NULL;

  g_assert_false (kp_source_open (source, &error));
  g_assert_error (error, KP_ERROR, (int) code);
}

/* As with rsync: with a slash at the end, the contents. */
static void
test_keys (void)
{
  static const struct
  {
    const char *address;
    const char *argument;
    const char *stored_as;
    const char *path;
    const char *key;
    const char *filter_path;
  } cases[] = {
    { "s3://bucket/p", "/home/a/photos", NULL, "/home/a/photos", "p/photos/", "photos/" },
    { "s3://bucket/p", "/home/a/photos/", NULL, "/home/a/photos", "p/", "" },
    { "s3://bucket/p", "/home/a/photos//", NULL, "/home/a/photos", "p/", "" },
    { "s3://bucket/p", "/home/a/photos/.", NULL, "/home/a/photos", "p/", "" },
    { "s3://bucket/p", "/home//a/./photos", NULL, "/home/a/photos", "p/photos/", "photos/" },
    { "s3://bucket/p", "/home/a/b/../photos", NULL, "/home/a/photos", "p/photos/", "photos/" },
    { "s3://bucket", "/home/a/photos", NULL, "/home/a/photos", "photos/", "photos/" },
    { "s3://bucket", "/home/a/photos/", NULL, "/home/a/photos", "", "" },
    { "s3://bucket/p", "/", NULL, "/", "p/", "" },
    { "s3://bucket", "/", NULL, "/", "", "" },
    { "s3://bucket/p", "/home/caf\xE9", NULL, "/home/caf\xE9", "p/caf\xEE\x83\xA9/", "caf\xE9/" },
    /* a name of the user's choice */
    { "s3://bucket/p", "/home/a/photos", "Pictures", "/home/a/photos", "p/Pictures/", "Pictures/" },
    { "s3://bucket/p", "/home/a/photos/", "Pictures", "/home/a/photos", "p/Pictures/",
      "Pictures/" },
    { "s3://bucket/p", "/home/a/photos", "", "/home/a/photos", "p/", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location = offline_location_new (cases[i].address);
      g_autoptr (KpSource) source = kp_source_new (cases[i].argument, cases[i].stored_as, location);

      g_test_message ("%s", cases[i].argument);
      g_assert_cmpstr (source->path, ==, cases[i].path);
      g_assert_cmpstr (source->key, ==, cases[i].key);
      g_assert_cmpstr (source->filter_path, ==, cases[i].filter_path);
      g_assert_false (source->is_file);
      g_assert_cmpint (source->fd, ==, -1);
    }
}

static void
test_relative (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
  g_autofree char *before = g_get_current_dir ();

  temporary_tree_make_directory (tree, "folder");
  g_assert_cmpint (fchdir (tree->fd), ==, 0);
  g_autofree char *real = g_get_current_dir ();
  g_autofree char *expected = g_build_filename (real, "folder", NULL);
  g_autoptr (KpSource) named = kp_source_new ("folder", NULL, location);
  g_autoptr (KpSource) here = kp_source_new (".", NULL, location);
  g_assert_cmpint (chdir (before), ==, 0);

  g_assert_cmpstr (named->path, ==, expected);
  g_assert_cmpstr (named->key, ==, "p/folder/");
  g_assert_cmpstr (here->path, ==, real);
  g_assert_cmpstr (here->key, ==, "p/");
}

static void
test_folder (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  struct stat st;
  char text[16];

  temporary_tree_make_directory (tree, "folder");
  temporary_tree_make_directory (tree, "folder/sub");
  temporary_tree_write (tree, "folder/sub/file", "hello", -1);
  temporary_tree_link (tree, "sub", "folder/link");
  temporary_tree_make_fifo (tree, "folder/fifo");
  g_autofree char *path = temporary_tree_path (tree, "folder");
  g_autoptr (KpSource) source = open_source (path, NULL);

  g_assert_false (source->is_file);
  g_assert_true (temporary_tree_stat (tree, "folder", &st));
  g_assert_cmpuint (source->identity.dev, ==, st.st_dev);
  g_assert_false (source->identity.is_mount_point);

  int fd = kp_source_open_file (source, "sub/file", O_RDONLY);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (read (fd, text, sizeof text), ==, 5);
  close (fd);
  fd = kp_source_open_file (source, "", O_RDONLY | O_DIRECTORY);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  /* Nobody writes to it: that must not make us wait. */
  fd = kp_source_open_file (source, "fifo", O_RDONLY);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  static const char *const refused[]
      = { "link/file", "link", "../folder/sub/file", "..", "/etc/passwd", "missing", "sub/file/x" };
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    g_assert_cmpint (kp_source_open_file (source, refused[i], O_RDONLY), ==, -1);

  g_autofree char *root = kp_source_full_path (source, "");
  g_autofree char *below = kp_source_full_path (source, "sub/file");
  g_autofree char *expected = g_strconcat (path, "/sub/file", NULL);
  g_assert_cmpstr (root, ==, path);
  g_assert_cmpstr (below, ==, expected);
}

/* Whatever is renamed later, the job reads one tree. */
static void
test_folder_is_kept (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  temporary_tree_make_directory (tree, "folder");
  temporary_tree_write (tree, "folder/file", "hello", -1);
  g_autofree char *path = temporary_tree_path (tree, "folder");
  g_autoptr (KpSource) source = open_source (path, NULL);
  g_assert_cmpint (renameat (tree->fd, "folder", tree->fd, "other"), ==, 0);
  temporary_tree_make_directory (tree, "folder");
  int fd = kp_source_open_file (source, "file", O_RDONLY);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
}

static void
test_single_file (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  struct stat st;
  char text[16];

  temporary_tree_write (tree, "caf\xE9.txt", "hello", -1);
  g_autofree char *path = temporary_tree_path (tree, "caf\xE9.txt");
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (KpSource) source = open_source (path, i == 0 ? NULL : "renamed");

      g_assert_true (source->is_file);
      g_assert_cmpstr (source->key, ==, i == 0 ? "p/caf\xEE\x83\xA9.txt" : "p/renamed");
      g_assert_cmpstr (source->file_name, ==, "caf\xE9.txt");
      g_assert_cmpstr (source->filter_path, ==, i == 0 ? "caf\xE9.txt/" : "renamed/");
      /* It is on the file system that its folder is on. */
      g_assert_cmpint (fstat (tree->fd, &st), ==, 0);
      g_assert_cmpuint (source->identity.dev, ==, st.st_dev);

      int fd = kp_source_open_file (source, "", O_RDONLY);
      g_assert_cmpint (fd, >=, 0);
      g_assert_cmpint (read (fd, text, sizeof text), ==, 5);
      close (fd);
      g_autofree char *full_path = kp_source_full_path (source, "");
      g_assert_cmpstr (full_path, ==, path);
    }
}

/* Which objects are a source's: also those that it had as a file when it is a folder now, or the
 * reverse. */
static void
test_covers (void)
{
  static const struct
  {
    const char *argument;
    const char *key;
    const char *below; /* NULL: not the source's */
  } cases[] = {
    { "/a/x", "p/x/", "" },    { "/a/x", "p/x/a/b", "a/b" }, { "/a/x", "p/x", "" },
    { "/a/x", "p/xy", NULL },  { "/a/x", "p/x-y/z", NULL },  { "/a/x", "p/", NULL },
    { "/a/x/", "p/", "" },     { "/a/x/", "p/a", "a" },      { "/a/x/", "p", NULL },
    { "/a/x/", "pq/a", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
      g_autoptr (KpSource) source = kp_source_new (cases[i].argument, NULL, location);

      g_test_message ("%s: %s", cases[i].argument, cases[i].key);
      g_assert_cmpint (kp_source_covers (source, cases[i].key), ==, cases[i].below != NULL);
      if (cases[i].below != NULL)
        g_assert_cmpstr (kp_source_get_below (source, cases[i].key), ==, cases[i].below);
    }
}

/* What the source was before it was opened, it may be again. */
static void
test_turned (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  temporary_tree_write (tree, "file", "hello", -1);
  temporary_tree_make_directory (tree, "folder");
  g_autofree char *file_path = temporary_tree_path (tree, "file");
  g_autofree char *folder_path = temporary_tree_path (tree, "folder");
  g_autoptr (KpSource) file = open_source (file_path, NULL);
  g_autoptr (KpSource) folder = open_source (folder_path, NULL);
  g_assert_false (kp_source_has_key (file, "p/file/"));
  g_assert_false (kp_source_has_key (file, "p/file/a"));
  g_assert_false (kp_source_has_key (folder, "p/folder"));

  g_assert_cmpint (renameat (tree->fd, "file", tree->fd, "other"), ==, 0);
  g_assert_true (kp_source_has_key (file, "p/file/a"));
  g_assert_cmpint (renameat (tree->fd, "folder", tree->fd, "file"), ==, 0);
  g_assert_true (kp_source_has_key (file, "p/file/a"));
  g_assert_true (kp_source_has_key (folder, "p/folder"));
  temporary_tree_write (tree, "folder", "hello", -1);
  g_assert_true (kp_source_has_key (folder, "p/folder"));
}

static void
test_missing (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  static const char *const missing[]
      = { "missing", "missing/", "missing/x", "file/", "file/.", "file/x", "dangling" };

  temporary_tree_write (tree, "file", "hello", -1);
  temporary_tree_link (tree, "nowhere", "dangling");
  for (gsize i = 0; i < G_N_ELEMENTS (missing); i++)
    {
      g_autofree char *path = temporary_tree_path (tree, missing[i]);
      g_test_message ("%s", missing[i]);
      assert_not_opened (path, KP_ERROR_SOURCE_MISSING);
    }
}

static void
test_unreadable (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autofree char *folder = temporary_tree_path (tree, "folder");

  if (geteuid () == 0)
    {
      g_test_skip ("root may read everything");
      return;
    }
  temporary_tree_make_directory (tree, "folder");
  g_assert_cmpint (fchmodat (tree->fd, "folder", 0, 0), ==, 0);
  assert_not_opened (folder, KP_ERROR_SOURCE_UNREADABLE);
}

static void
test_mount_point (void)
{
  struct stat proc;
  struct stat root;

  if (stat ("/proc", &proc) != 0 || stat ("/", &root) != 0 || proc.st_dev == root.st_dev)
    {
      g_test_skip ("there is no /proc of its own");
      return;
    }
  g_autoptr (KpSource) source = open_source ("/proc", NULL);
  g_autoptr (KpSource) below = open_source ("/proc/self/", NULL);
  g_assert_true (source->identity.is_mount_point);
  g_assert_cmpuint (source->identity.dev, ==, proc.st_dev);
  g_assert_false (below->identity.is_mount_point);
  g_assert_cmpuint (below->identity.fsid, ==, source->identity.fsid);
}

static void
test_read_link (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autofree char *longest = g_strnfill (4000, 't');
  const char *const targets[] = { "a", "../..", "/etc/passwd", "caf\xE9\n", longest };
  static const char *const refused[] = { "file", "", "missing", "folder", "folder-link/link" };
  g_autoptr (GError) error = NULL;
  g_autoptr (KpSource) source = open_source (tree->path, NULL);

  temporary_tree_write (tree, "file", "hello", -1);
  temporary_tree_make_directory (tree, "folder");
  temporary_tree_link (tree, "x", "folder/link");
  temporary_tree_link (tree, "folder", "folder-link");
  for (gsize i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      g_autofree char *name = g_strdup_printf ("folder/%zu", i);
      temporary_tree_link (tree, targets[i], name);
      g_autofree char *found = kp_source_read_link (source, name, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (found, ==, targets[i]);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      g_assert_null (kp_source_read_link (source, refused[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE);
      g_clear_error (&error);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/source/keys", test_keys);
  g_test_add_func ("/mirror/source/relative", test_relative);
  g_test_add_func ("/mirror/source/folder", test_folder);
  g_test_add_func ("/mirror/source/folder-is-kept", test_folder_is_kept);
  g_test_add_func ("/mirror/source/single-file", test_single_file);
  g_test_add_func ("/mirror/source/covers", test_covers);
  g_test_add_func ("/mirror/source/turned", test_turned);
  g_test_add_func ("/mirror/source/missing", test_missing);
  g_test_add_func ("/mirror/source/unreadable", test_unreadable);
  g_test_add_func ("/mirror/source/mount-point", test_mount_point);
  g_test_add_func ("/mirror/source/read-link", test_read_link);
  return g_test_run ();
}

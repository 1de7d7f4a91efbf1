/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "temporary-tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TemporaryTree *
temporary_tree_new (void)
{
  TemporaryTree *tree = g_new0 (TemporaryTree, 1);
  g_autoptr (GError) error = NULL;

  tree->path = g_dir_make_tmp ("keepsake-test-XXXXXX", &error);
  g_assert_no_error (error);
  tree->fd = open (tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (tree->fd, >=, 0);
  return tree;
}

static int
remove_cb (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  return remove (path);
}

void
temporary_tree_free (TemporaryTree *tree)
{
  close (tree->fd);
  g_assert_cmpint (nftw (tree->path, remove_cb, 20, FTW_DEPTH | FTW_PHYS), ==, 0);
  g_free (tree->path);
  g_free (tree);
}

/* Returns (transfer full): the absolute path of @path; a slash at its end stays. */
char *
temporary_tree_path (TemporaryTree *tree, const char *path)
{
  return g_strconcat (tree->path, *path != '\0' ? "/" : "", path, NULL);
}

void
temporary_tree_make_directory (TemporaryTree *tree, const char *path)
{
  g_assert_cmpint (mkdirat (tree->fd, path, 0755), ==, 0);
}

void
temporary_tree_write (TemporaryTree *tree, const char *path, const char *data, gssize length)
{
  int fd = openat (tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

  g_assert_cmpint (fd, >=, 0);
  if (length < 0)
    length = (gssize) strlen (data);
  g_assert_cmpint (write (fd, data, (gsize) length), ==, length);
  g_assert_cmpint (close (fd), ==, 0);
}

void
temporary_tree_link (TemporaryTree *tree, const char *target, const char *path)
{
  g_assert_cmpint (symlinkat (target, tree->fd, path), ==, 0);
}

void
temporary_tree_make_fifo (TemporaryTree *tree, const char *path)
{
  g_assert_cmpint (mkfifoat (tree->fd, path, 0600), ==, 0);
}

int
temporary_tree_open (TemporaryTree *tree, const char *path, int flags)
{
  int fd = openat (tree->fd, path, flags | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

/* Returns whether there is anything; of a symbolic link, tells about the link. */
gboolean
temporary_tree_stat (TemporaryTree *tree, const char *path, struct stat *st)
{
  return fstatat (tree->fd, path, st, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean
temporary_tree_has (TemporaryTree *tree, const char *path, const char *data, gsize length)
{
  g_autofree char *full_path = temporary_tree_path (tree, path);
  g_autofree char *found = NULL;
  gsize found_length;

  return g_file_get_contents (full_path, &found, &found_length, NULL) && found_length == length
         && memcmp (found, data, length) == 0;
}

/* Returns how many names a folder holds. */
guint
temporary_tree_count (TemporaryTree *tree, const char *path)
{
  g_autofree char *full_path = temporary_tree_path (tree, path);
  g_autoptr (GDir) directory = g_dir_open (full_path, 0, NULL);
  guint n = 0;

  g_assert_nonnull (directory);
  while (g_dir_read_name (directory) != NULL)
    n++;
  return n;
}

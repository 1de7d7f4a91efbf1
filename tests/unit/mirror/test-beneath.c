/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* All of it twice: with openat2(), and as on a kernel or in a sandbox without it. */

#include "kp-beneath.h"
#include "temporary-tree.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static gboolean has_openat2 = TRUE;

long syscall (long number, ...);

/* Stands before that of the C library, so that one call can be missing. */
long
syscall (long number, ...)
{
  static long (*next) (long number, ...);
  long arguments[6];
  va_list list;

  if (number == SYS_openat2 && !has_openat2)
    {
      errno = ENOSYS;
      return -1;
    }
  if (next == NULL)
    next = (long (*) (long, ...)) dlsym (RTLD_NEXT, "syscall");
  va_start (list, number);
  for (int i = 0; i < 6; i++)
    arguments[i] = va_arg (list, long);
  va_end (list);
  return next (number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
               arguments[5]);
}

static TemporaryTree *
new_tree (void)
{
  TemporaryTree *tree = temporary_tree_new ();

  temporary_tree_make_directory (tree, "dir");
  temporary_tree_make_directory (tree, "dir/sub");
  temporary_tree_make_directory (tree, "dir/sub/...");
  temporary_tree_write (tree, "dir/file", "contents", -1);
  temporary_tree_link (tree, "dir", "link");
  temporary_tree_link (tree, "dir/file", "link-to-file");
  temporary_tree_link (tree, "/", "link-out");
  temporary_tree_link (tree, "..", "dir/link-up");
  temporary_tree_link (tree, "nowhere", "dangling");
  temporary_tree_make_fifo (tree, "dir/fifo");
  return tree;
}

static void
test_is_safe (void)
{
  static const char *const safe[]
      = { "a", "a/b", "a/b/c", "...", ".a", "a.", "..a", "a/...", "a/..b/.c", " ", "\n", "\xFF" };
  static const char *const unsafe[]
      = { "",     "/",   "/a",   "a/",    "a//b",   "//",   ".",   "..",       "./a",
          "../a", "a/.", "a/..", "a/./b", "a/../b", "a/b/", "/..", "a/../../b" };

  for (gsize i = 0; i < G_N_ELEMENTS (safe); i++)
    g_assert_true (kp_beneath_is_safe (safe[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (unsafe); i++)
    g_assert_false (kp_beneath_is_safe (unsafe[i]));
}

static void
test_open (const void *data)
{
  static const struct
  {
    const char *path;
    int flags;
    int error; /* 0: opens */
  } cases[] = {
    { "", O_RDONLY | O_DIRECTORY, 0 },
    { "", O_PATH, 0 },
    { "dir", O_RDONLY | O_DIRECTORY, 0 },
    { "dir/sub/...", O_PATH | O_DIRECTORY, 0 },
    { "dir/file", O_RDONLY, 0 },
    { "dir/file", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0 },
    { "dir/fifo", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0 },

    { "missing", O_RDONLY, ENOENT },
    { "dir/missing", O_RDONLY, ENOENT },
    { "missing/file", O_RDONLY, ENOENT },
    { "dir/file/x", O_RDONLY, ENOTDIR },
    { "dir/file", O_RDONLY | O_DIRECTORY, ENOTDIR },

    /* a link in the way, or in the place */
    { "link", O_RDONLY | O_DIRECTORY, -1 },
    { "link-to-file", O_RDONLY, ELOOP },
    { "dangling", O_RDONLY, ELOOP },
    { "link/file", O_RDONLY, -1 },
    { "link/sub", O_RDONLY, -1 },
    { "link-out/etc", O_RDONLY, -1 },
    { "link-out/etc/passwd", O_RDONLY, -1 },
    { "dir/link-up/dir/file", O_RDONLY, -1 },
    { "dangling/x", O_RDONLY, -1 },

    /* a way out */
    { "..", O_RDONLY, EXDEV },
    { ".", O_RDONLY, EXDEV },
    { "/", O_RDONLY, EXDEV },
    { "/etc/passwd", O_RDONLY, EXDEV },
    { "../..", O_RDONLY, EXDEV },
    { "dir/..", O_RDONLY, EXDEV },
    { "dir/../..", O_RDONLY, EXDEV },
    { "dir/../dir/file", O_RDONLY, EXDEV },
    { "dir//file", O_RDONLY, EXDEV },
    { "dir/", O_RDONLY, EXDEV },
  };
  g_autoptr (TemporaryTree) tree = new_tree ();

  has_openat2 = data != NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      errno = 0;
      int fd = kp_beneath_open (tree->fd, cases[i].path, cases[i].flags);

      g_test_message ("%s: %s", cases[i].path, g_strerror (errno));
      if (cases[i].error == 0)
        {
          g_assert_cmpint (fd, >=, 0);
          g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
          close (fd);
          continue;
        }
      g_assert_cmpint (fd, ==, -1);
      /* -1: a link where a folder has to be may count as either. */
      if (cases[i].error > 0)
        g_assert_cmpint (errno, ==, cases[i].error);
      else
        g_assert_true (errno == ELOOP || errno == ENOTDIR);
    }
  has_openat2 = TRUE;
}

/* It is the file that is meant, and a link itself where it is not to be followed. */
static void
test_open_what (const void *data)
{
  g_autoptr (TemporaryTree) tree = new_tree ();
  struct stat expected;
  struct stat st;
  char text[16];

  has_openat2 = data != NULL;
  int fd = kp_beneath_open (tree->fd, "dir/file", O_RDONLY);
  g_assert_cmpint (read (fd, text, sizeof text), ==, 8);
  g_assert_cmpmem (text, 8, "contents", 8);
  close (fd);

  fd = kp_beneath_open (tree->fd, "link-to-file", O_PATH);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_true (S_ISLNK (st.st_mode));
  close (fd);

  fd = kp_beneath_open (tree->fd, "", O_PATH | O_DIRECTORY);
  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_cmpint (fstat (tree->fd, &expected), ==, 0);
  g_assert_cmpuint (st.st_ino, ==, expected.st_ino);
  close (fd);
  has_openat2 = TRUE;
}

static void
test_make_directories (const void *data)
{
  static const char *const paths[]
      = { "", "dir", "dir/sub", "new", "new/a/b/c", "new/a/b/c", "dir/sub/.../x", "dir/sub/new/y" };
  g_autoptr (TemporaryTree) tree = new_tree ();

  has_openat2 = data != NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      struct stat st;
      struct stat expected;
      g_autofree char *full_path = temporary_tree_path (tree, paths[i]);
      int fd = kp_beneath_make_directories (tree->fd, paths[i]);

      g_test_message ("%s", paths[i]);
      g_assert_cmpint (fd, >=, 0);
      g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
      g_assert_cmpint (fstat (fd, &st), ==, 0);
      g_assert_cmpint (stat (full_path, &expected), ==, 0);
      g_assert_true (S_ISDIR (st.st_mode));
      g_assert_cmpuint (st.st_ino, ==, expected.st_ino);
      /* Whether others may look into a new folder is not known yet. */
      if (i >= 3)
        g_assert_cmphex (st.st_mode & 07777, ==, 0700);
      close (fd);
    }
  has_openat2 = TRUE;
}

static void
test_make_directories_refused (const void *data)
{
  static const char *const paths[] = {
    "dir/file",
    "dir/file/x",
    "link",
    "link/new",
    "link-out/tmp/keepsake-test-new",
    "dangling",
    "dangling/x",
    "..",
    "../new",
    "dir/../new",
    "new/../../new",
    "/tmp/new",
    "new//twice",
    "dir/link-up/new",
    "new/",
  };
  g_autoptr (TemporaryTree) tree = new_tree ();
  guint before = temporary_tree_count (tree, "");
  guint before_in_dir = temporary_tree_count (tree, "dir");

  has_openat2 = data != NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      errno = 0;
      g_assert_cmpint (kp_beneath_make_directories (tree->fd, paths[i]), ==, -1);
      g_test_message ("%s: %s", paths[i], g_strerror (errno));
      g_assert_cmpint (errno, !=, 0);
      g_assert_cmpint (errno, !=, ENOENT);
      /* Nothing was made on the way. */
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, before);
      g_assert_cmpuint (temporary_tree_count (tree, "dir"), ==, before_in_dir);
    }
  has_openat2 = TRUE;
  g_assert_false (g_file_test ("/tmp/keepsake-test-new", G_FILE_TEST_EXISTS));
}

static guint
count_descriptors (void)
{
  g_autoptr (GDir) directory = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  g_assert_nonnull (directory);
  while (g_dir_read_name (directory) != NULL)
    n++;
  return n;
}

static void
test_no_descriptor_left (const void *data)
{
  g_autoptr (TemporaryTree) tree = new_tree ();
  g_autoptr (GString) path = g_string_new ("a");
  guint before = count_descriptors ();

  has_openat2 = data != NULL;
  for (int i = 0; i < 300; i++)
    g_string_append (path, "/a");
  for (int i = 0; i < 3; i++)
    {
      int fd = kp_beneath_make_directories (tree->fd, path->str);
      g_assert_cmpint (fd, >=, 0);
      close (fd);
      g_assert_cmpint (kp_beneath_open (tree->fd, "dir/missing", O_RDONLY), ==, -1);
      g_assert_cmpint (kp_beneath_open (tree->fd, "link/file", O_RDONLY), ==, -1);
      g_assert_cmpint (kp_beneath_open (tree->fd, "..", O_RDONLY), ==, -1);
      g_assert_cmpint (kp_beneath_make_directories (tree->fd, "dir/file/x"), ==, -1);
      g_assert_cmpint (kp_beneath_make_directories (tree->fd, "link/x"), ==, -1);
    }
  has_openat2 = TRUE;
  g_assert_cmpuint (count_descriptors (), ==, before);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    GTestDataFunc test;
  } tests[] = {
    { "open", test_open },
    { "open-what", test_open_what },
    { "make-directories", test_make_directories },
    { "make-directories-refused", test_make_directories_refused },
    { "no-descriptor-left", test_no_descriptor_left },
  };

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/beneath/is-safe", test_is_safe);
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    {
      g_autofree char *with = g_strconcat ("/mirror/beneath/", tests[i].name, NULL);
      g_autofree char *without = g_strconcat (with, "-without-openat2", NULL);

      g_test_add_data_func (with, "openat2", tests[i].test);
      g_test_add_data_func (without, NULL, tests[i].test);
    }
  return g_test_run ();
}

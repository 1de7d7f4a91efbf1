/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-target.h"
#include "temporary-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SECOND G_GINT64_CONSTANT (1000000000)
#define BLOCK 4096

/* What we may give a file to: ourselves. */
static KpFileInfo
info_of (guint32 mode, guint64 size)
{
  return (KpFileInfo){ .mode = mode,
                       .uid = geteuid (),
                       .gid = getegid (),
                       .size = size,
                       .mtime = 1700000000 * SECOND + 123456789,
                       .atime = 1600000000 * SECOND + 1 };
}

static KpTargetFile *
new_file (TemporaryTree *tree, const char *path)
{
  g_autoptr (GError) error = NULL;
  KpTargetFile *file = kp_target_file_new (tree->fd, path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (file);
  return file;
}

static void
create (KpTargetFile *file, const KpFileInfo *info, const char *link_target)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes
      = link_target != NULL ? g_bytes_new (link_target, strlen (link_target)) : NULL;
  gboolean ok = kp_target_file_create (file, info, bytes, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
}

static void
write_at (KpTargetFile *file, guint64 offset, const void *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_bytes_new (data, length);
  gboolean ok = kp_target_file_write (file, offset, bytes, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
}

static void
commit (KpTargetFile *file, const KpFileInfo *info, GPtrArray *xattrs)
{
  g_autoptr (GError) error = NULL;
  gboolean is_ours;
  gboolean ok = kp_target_file_commit (file, info, xattrs, &is_ours, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  g_assert_false (is_ours);
}

static gboolean
set_directory (TemporaryTree *tree,
               const char *path,
               const KpFileInfo *info,
               GPtrArray *xattrs,
               GError **error)
{
  gboolean is_ours;

  return kp_target_set_directory (tree->fd, path, info, xattrs, &is_ours, error);
}

/* A whole regular file. */
static void
put (TemporaryTree *tree, const char *path, const char *text)
{
  KpFileInfo info = info_of (S_IFREG | 0640, strlen (text));
  g_autoptr (KpTargetFile) file = new_file (tree, path);

  create (file, &info, NULL);
  write_at (file, 0, text, strlen (text));
  commit (file, &info, NULL);
}

static void
assert_metadata (TemporaryTree *tree, const char *path, const KpFileInfo *info)
{
  struct stat st;
  KpFileInfo found;

  g_assert_true (temporary_tree_stat (tree, path, &st));
  kp_file_info_from_stat (&found, &st);
  if (S_ISLNK (info->mode))
    g_assert_true (S_ISLNK (found.mode));
  else
    g_assert_cmphex (found.mode, ==, info->mode);
  g_assert_cmpuint (found.uid, ==, info->uid);
  g_assert_cmpuint (found.gid, ==, info->gid);
  g_assert_cmpint (found.mtime, ==, info->mtime);
  g_assert_cmpint (found.atime, ==, info->atime);
}

static void
test_regular (void)
{
  static const guint32 modes[] = { 0644, 0600, 0400, 0, 0777, 04755, 02750, 01644, 07777 };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      KpFileInfo info = info_of (S_IFREG | modes[i], 5);
      g_autofree char *path = g_strdup_printf ("folder/%04o", modes[i]);
      g_autoptr (KpTargetFile) file = new_file (tree, path);
      struct stat st;

      create (file, &info, NULL);
      write_at (file, 0, "hello", 5);
      /* Nothing stands under the name, and at most one other name beside it. */
      g_assert_false (temporary_tree_stat (tree, path, &st));
      g_assert_cmpuint (temporary_tree_count (tree, "folder"), <=, i + 1);
      commit (file, &info, NULL);
      g_assert_cmpuint (temporary_tree_count (tree, "folder"), ==, i + 1);
      assert_metadata (tree, path, &info);
      if ((modes[i] & 0400) != 0 || geteuid () == 0)
        g_assert_true (temporary_tree_has (tree, path, "hello", 5));
    }
}

static void
test_times (void)
{
  static const gint64 times[]
      = { 0, 1, SECOND - 1, -1, -SECOND / 2, -SECOND, -3 * SECOND / 2, 4000000000 * SECOND };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (times); i++)
    {
      KpFileInfo info = info_of (S_IFREG | 0644, 0);
      g_autofree char *path = g_strdup_printf ("%zu", i);
      g_autoptr (KpTargetFile) file = new_file (tree, path);

      info.mtime = times[i];
      info.atime = times[(i + 1) % G_N_ELEMENTS (times)];
      create (file, &info, NULL);
      commit (file, &info, NULL);
      assert_metadata (tree, path, &info);
    }
}

static void
test_abort (void)
{
  static const guint32 types[] = { S_IFREG, S_IFLNK, S_IFIFO };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpFileInfo info = info_of (types[i] | 0644, 1000);
      KpTargetFile *file = new_file (tree, "file");

      create (file, &info, "target");
      g_assert_cmpuint (temporary_tree_count (tree, ""), <=, 1);
      kp_target_file_free (file);
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 0);
    }
  /* before anything was created */
  kp_target_file_free (new_file (tree, "file"));
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 0);
}

/* The file has its whole length from the start, and what is not written is zeros. */
static void
test_holes (void)
{
  static const gsize size = 8 * 1024 * 1024;
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autofree char *data = g_malloc0 (size);
  KpFileInfo info = info_of (S_IFREG | 0644, size);
  g_autoptr (KpTargetFile) file = new_file (tree, "sparse");
  struct stat st;

  data[5 * BLOCK + 17] = 'x';
  data[size - 1] = 'y';
  create (file, &info, NULL);
  write_at (file, 0, data, size);
  commit (file, &info, NULL);
  g_assert_true (temporary_tree_stat (tree, "sparse", &st));
  g_assert_cmpuint (st.st_size, ==, size);
  g_assert_cmpuint (st.st_blocks * 512, <=, 32 * BLOCK);
  g_assert_true (temporary_tree_has (tree, "sparse", data, size));
}

/* Runs of zeros and of others, of lengths around those of blocks, in pieces out of order. */
static void
test_any_bytes (void)
{
  for (int round = 0; round < 50; round++)
    {
      g_autoptr (TemporaryTree) tree = temporary_tree_new ();
      gsize size = (gsize) g_test_rand_int_range (0, 40 * BLOCK);
      g_autofree char *data = g_malloc0 (size + 1);
      gsize piece = (gsize) g_test_rand_int_range (1, 5 * BLOCK);
      gsize n_pieces = (size + piece - 1) / piece;
      KpFileInfo info = info_of (S_IFREG | 0644, size);
      g_autoptr (KpTargetFile) file = new_file (tree, "file");

      for (gsize i = 0; i < size;)
        {
          gsize run = (gsize) g_test_rand_int_range (1, 3 * BLOCK);
          gboolean zeros = g_test_rand_bit ();
          for (; run > 0 && i < size; run--, i++)
            data[i] = (char) (zeros ? 0 : g_test_rand_int_range (0, 256));
        }
      create (file, &info, NULL);
      for (gsize i = 0; i < n_pieces; i++)
        {
          gsize offset = (n_pieces - 1 - i) * piece;
          write_at (file, offset, data + offset, MIN (piece, size - offset));
        }
      commit (file, &info, NULL);
      g_assert_true (temporary_tree_has (tree, "file", data, size));
    }
}

typedef struct
{
  KpTargetFile *file;
  guint8 first;
} Writer;

static void *
writer_main (void *data)
{
  Writer *writer = data;

  for (guint i = writer->first; i < 200; i += 4)
    {
      char block[BLOCK];
      memset (block, (int) i, sizeof block);
      write_at (writer->file, i * BLOCK, block, sizeof block);
    }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 0644, 200 * BLOCK);
  g_autoptr (KpTargetFile) file = new_file (tree, "file");
  g_autofree char *expected = g_malloc (200 * BLOCK);
  Writer writers[4];
  GThread *threads[4];

  create (file, &info, NULL);
  for (guint i = 0; i < 4; i++)
    {
      writers[i] = (Writer){ file, (guint8) i };
      threads[i] = g_thread_new ("writer", writer_main, &writers[i]);
    }
  for (guint i = 0; i < 4; i++)
    g_thread_join (threads[i]);
  commit (file, &info, NULL);
  for (guint i = 0; i < 200; i++)
    memset (expected + i * BLOCK, (int) i, BLOCK);
  g_assert_true (temporary_tree_has (tree, "file", expected, 200 * BLOCK));
}

static void
test_overwrite (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  struct stat before;
  struct stat after;

  temporary_tree_write (tree, "file", "old and longer", -1);
  temporary_tree_write (tree, "elsewhere", "not to be touched", -1);
  temporary_tree_link (tree, "elsewhere", "link");
  temporary_tree_make_fifo (tree, "fifo");
  g_assert_true (temporary_tree_stat (tree, "file", &before));
  put (tree, "file", "new");
  put (tree, "link", "new");
  put (tree, "fifo", "new");

  g_assert_true (temporary_tree_stat (tree, "file", &after));
  g_assert_cmpuint (after.st_ino, !=, before.st_ino);
  g_assert_true (temporary_tree_has (tree, "file", "new", 3));
  g_assert_true (temporary_tree_stat (tree, "link", &after));
  g_assert_true (S_ISREG (after.st_mode));
  g_assert_true (temporary_tree_has (tree, "elsewhere", "not to be touched", 17));
  g_assert_true (temporary_tree_has (tree, "fifo", "new", 3));
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 4);
}

/* What is there stays, and nothing is left beside it. */
static void
test_folder_in_the_place (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 0644, 3);

  temporary_tree_make_directory (tree, "folder");
  temporary_tree_write (tree, "folder/file", "old", -1);
  temporary_tree_make_directory (tree, "empty");
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean is_ours;
      KpTargetFile *file = new_file (tree, i == 0 ? "folder" : "empty");
      create (file, &info, NULL);
      g_assert_false (kp_target_file_commit (file, &info, NULL, &is_ours, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
      kp_target_file_free (file);
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 2);
    }
  g_assert_true (temporary_tree_has (tree, "folder/file", "old", 3));
}

static void
test_in_the_way (void)
{
  static const char *const paths[]
      = { "file/x", "file/x/y", "link/x", "link/x/y", "link-out/x", "dangling/x" };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (TemporaryTree) outside = temporary_tree_new ();

  temporary_tree_write (tree, "file", "old", -1);
  temporary_tree_make_directory (tree, "folder");
  temporary_tree_link (tree, "folder", "link");
  temporary_tree_link (tree, outside->path, "link-out");
  temporary_tree_link (tree, "nowhere", "dangling");
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_target_file_new (tree->fd, paths[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
    }
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 5);
  g_assert_cmpuint (temporary_tree_count (tree, "folder"), ==, 0);
  g_assert_cmpuint (temporary_tree_count (outside, ""), ==, 0);
}

static void
test_bad_names (void)
{
  static const char *const paths[]
      = { "",   ".",   "..",    "../x", "a/../x", "a/..",  "/tmp/x",  "a//b",
          "a/", "./x", "a/./x", "/",    "//x",    "a/b/.", "../../x", "a/.." };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_target_file_new (tree->fd, paths[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_NAME);
    }
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 0);
}

/* Names as long as any may be, of any bytes. */
static void
test_odd_names (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autofree char *longest = g_strnfill (255, 'n');
  g_autofree char *too_long = g_strnfill (256, 'n');
  g_autoptr (GError) error = NULL;
  KpFileInfo info = info_of (S_IFREG | 0644, 0);
  gboolean is_ours;

  put (tree, longest, "1");
  put (tree, "...", "2");
  put (tree, "caf\xE9\n\x01", "3");
  g_assert_true (temporary_tree_has (tree, longest, "1", 1));
  g_assert_true (temporary_tree_has (tree, "...", "2", 1));
  g_assert_true (temporary_tree_has (tree, "caf\xE9\n\x01", "3", 1));

  KpTargetFile *file = new_file (tree, too_long);
  create (file, &info, NULL);
  g_assert_false (kp_target_file_commit (file, &info, NULL, &is_ours, &error));
  g_assert_cmpint (error->domain, ==, KP_ERROR);
  kp_target_file_free (file);
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 3);
}

static void
test_links (void)
{
  static const char *const targets[]
      = { "a", "/etc/passwd", "../../..", "caf\xE9\n", "does not exist" };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      KpFileInfo info = info_of (S_IFLNK | 0777, strlen (targets[i]));
      g_autoptr (KpTargetFile) file = new_file (tree, "link");
      char found[100];

      create (file, &info, targets[i]);
      commit (file, &info, NULL);
      assert_metadata (tree, "link", &info);
      ssize_t length = readlinkat (tree->fd, "link", found, sizeof found);
      g_assert_cmpmem (found, length, targets[i], strlen (targets[i]));
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 1);
    }
}

/* What stands there stays, and nothing is left beside it. */
static void
test_links_that_are_none (void)
{
  g_autofree char *long_text = g_strnfill (1024 * 1024, 'x');
  const struct
  {
    const char *text;
    gsize length;
  } targets[] = {
    { "", 0 },           { "etc\0/passwd", 11 },     { "passwd\0", 7 },
    { long_text, 4096 }, { long_text, 1024 * 1024 },
  };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  put (tree, "link", "stays");
  for (gsize i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      KpFileInfo info = info_of (S_IFLNK | 0777, targets[i].length);
      g_autoptr (GBytes) bytes = g_bytes_new (targets[i].text, targets[i].length);
      g_autoptr (KpTargetFile) file = new_file (tree, "link");
      g_autoptr (GError) error = NULL;

      g_assert_false (kp_target_file_create (file, &info, bytes, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CORRUPT);
      g_assert_nonnull (strstr (error->message, "symbolic link"));
    }
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 1);
}

static void
test_special_files (void)
{
  static const guint32 types[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpFileInfo info = info_of (types[i] | 0620, 0);
      g_autofree char *path = g_strdup_printf ("%zu", i);
      KpTargetFile *file = new_file (tree, path);
      g_autoptr (GError) error = NULL;
      struct stat st;

      if (i >= 2)
        info.rdev = makedev (1, 3);
      if (kp_target_file_create (file, &info, NULL, &error))
        {
          commit (file, &info, NULL);
          assert_metadata (tree, path, &info);
          g_assert_true (temporary_tree_stat (tree, path, &st));
          if (i >= 2)
            g_assert_cmphex (st.st_rdev, ==, makedev (1, 3));
        }
      else
        {
          /* Device nodes need root, and the message says so. */
          g_assert_cmpuint (i, >=, 2);
          g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
          g_assert_nonnull (strstr (error->message, "root"));
        }
      kp_target_file_free (file);
    }
}

static void
test_stat (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  static const char *const paths[] = { "file", "link", "folder", "missing" };

  temporary_tree_write (tree, "file", "hello", -1);
  temporary_tree_link (tree, "file", "link");
  temporary_tree_make_directory (tree, "folder");
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (KpTargetFile) file = new_file (tree, paths[i]);
      g_autoptr (GError) error = NULL;
      KpFileInfo info = { 0 };
      gboolean exists = i == 3;
      static const guint32 types[] = { S_IFREG, S_IFLNK, S_IFDIR };

      g_assert_true (kp_target_file_stat (file, &info, &exists, &error));
      g_assert_no_error (error);
      g_assert_cmpint (exists, ==, i < 3);
      if (exists)
        g_assert_cmphex (info.mode & S_IFMT, ==, types[i]);
    }
}

/* The clock of a file system goes in steps. */
static gint64
wait_for_next_tick (TemporaryTree *tree)
{
  gint64 before = kp_target_get_time (tree->fd);
  gint64 end = g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND;
  gint64 now;

  do
    now = kp_target_get_time (tree->fd);
  while (now == before && g_get_monotonic_time () < end);
  g_assert_cmpint (now, >, before);
  g_assert_cmpint (now, <, G_MAXINT64);
  return now;
}

static void
commit_protected (TemporaryTree *tree, const char *path, gint64 since, gboolean is_refused)
{
  g_autoptr (KpTargetFile) file = new_file (tree, path);
  g_autoptr (GError) error = NULL;
  KpFileInfo info = info_of (S_IFREG | 0644, 3);
  gboolean is_ours;

  kp_target_file_protect (file, since);
  create (file, &info, NULL);
  write_at (file, 0, "new", 3);
  gboolean ok = kp_target_file_commit (file, &info, NULL, &is_ours, &error);
  g_assert_cmpint (ok, ==, !is_refused);
  if (is_refused)
    g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
}

/* What was made since a time is not replaced, nor taken for something older. */
static void
test_protect (void)
{
  static const char *const since[] = { "file", "link", "folder" };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info;
  gboolean exists;

  temporary_tree_write (tree, "old", "old", -1);
  gint64 time = wait_for_next_tick (tree);
  temporary_tree_write (tree, "file", "first", -1);
  temporary_tree_link (tree, "file", "link");
  temporary_tree_make_directory (tree, "folder");
  for (gsize i = 0; i < G_N_ELEMENTS (since); i++)
    {
      g_autoptr (KpTargetFile) file = new_file (tree, since[i]);
      g_autoptr (GError) error = NULL;

      g_assert_true (kp_target_file_stat (file, &info, &exists, &error));
      kp_target_file_protect (file, time);
      g_assert_false (kp_target_file_stat (file, &info, &exists, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
      commit_protected (tree, since[i], time, TRUE);
    }
  g_assert_true (temporary_tree_has (tree, "file", "first", 5));

  commit_protected (tree, "old", time, FALSE);
  g_assert_true (temporary_tree_has (tree, "old", "new", 3));
  /* As a second name for the same. */
  commit_protected (tree, "old", time, TRUE);
  commit_protected (tree, "fresh", time, FALSE);
  g_assert_true (temporary_tree_has (tree, "fresh", "new", 3));
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 5);
}

static void
change_nothing (TemporaryTree *tree)
{
}

static void
write_file (TemporaryTree *tree)
{
  temporary_tree_write (tree, "file", "mine", -1);
}

static void
put_another (TemporaryTree *tree)
{
  temporary_tree_write (tree, "another", "mine", -1);
  g_assert_no_errno (renameat (tree->fd, "another", tree->fd, "file"));
}

static void
remove_it (TemporaryTree *tree)
{
  g_assert_no_errno (unlinkat (tree->fd, "file", 0));
}

/* Nothing takes the place of what came there, or became another, after the look at it. */
static void
test_replace_only_what_was_seen (void)
{
  static const struct
  {
    void (*change) (TemporaryTree *);
    gboolean was_there;
    gboolean is_refused;
  } cases[] = {
    { change_nothing, FALSE, FALSE }, { write_file, FALSE, TRUE }, { put_another, FALSE, TRUE },
    { change_nothing, TRUE, FALSE },  { write_file, TRUE, TRUE },  { put_another, TRUE, TRUE },
    { remove_it, TRUE, FALSE },
  };
  static const guint32 types[] = { S_IFREG, S_IFLNK, S_IFIFO };

  for (gsize i = 0; i < G_N_ELEMENTS (cases) * G_N_ELEMENTS (types); i++)
    {
      guint32 type = types[i % G_N_ELEMENTS (types)];
      gsize j = i / G_N_ELEMENTS (types);
      g_autoptr (TemporaryTree) tree = temporary_tree_new ();
      g_autoptr (KpTargetFile) file = new_file (tree, "file");
      g_autoptr (GError) error = NULL;
      KpFileInfo info = info_of (type | 0644, 0);
      KpFileInfo found;
      gboolean exists;
      gboolean is_ours;
      struct stat st;

      if (cases[j].was_there)
        temporary_tree_write (tree, "file", "older", -1);
      kp_target_file_replace_only_what_was_seen (file);
      g_assert_true (kp_target_file_stat (file, &found, &exists, &error));
      g_assert_cmpint (exists, ==, cases[j].was_there);
      create (file, &info, S_ISLNK (type) ? "elsewhere" : NULL);
      cases[j].change (tree);
      gboolean ok = kp_target_file_commit (file, &info, NULL, &is_ours, &error);
      g_assert_cmpint (ok, ==, !cases[j].is_refused);
      if (cases[j].is_refused)
        {
          g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
          g_assert_true (temporary_tree_has (tree, "file", "mine", 4));
          continue;
        }
      g_assert_no_error (error);
      g_assert_true (temporary_tree_stat (tree, "file", &st));
      g_assert_cmphex (st.st_mode & S_IFMT, ==, type);
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 1);
    }
}

static gboolean
has_xattr (TemporaryTree *tree, const char *path, const char *name, const char *value)
{
  char found[100];
  int fd = temporary_tree_open (tree, path, O_RDONLY);
  ssize_t length = fgetxattr (fd, name, found, sizeof found);

  close (fd);
  return length == (ssize_t) strlen (value) && memcmp (found, value, (gsize) length) == 0;
}

static gboolean
xattrs_work (TemporaryTree *tree)
{
  return fsetxattr (tree->fd, "user.test", "", 0, 0) == 0 || errno != ENOTSUP;
}

static void
test_xattrs (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse ("{\"user.a\":\"YQ==\",\"user.b\":\"\"}");
  KpFileInfo info = info_of (S_IFREG | 0400, 0);
  KpFileInfo folder = info_of (S_IFDIR | 0700, 0);
  g_autoptr (GError) error = NULL;

  if (!xattrs_work (tree))
    {
      g_test_skip ("the file system has no extended attributes");
      return;
    }
  g_autoptr (KpTargetFile) file = new_file (tree, "folder/file");
  create (file, &info, NULL);
  commit (file, &info, xattrs);
  g_assert_true (set_directory (tree, "folder", &folder, xattrs, &error));
  g_assert_no_error (error);
  g_assert_true (has_xattr (tree, "folder/file", "user.a", "a"));
  g_assert_true (has_xattr (tree, "folder/file", "user.b", ""));
  g_assert_true (has_xattr (tree, "folder", "user.a", "a"));
  assert_metadata (tree, "folder/file", &info);
  assert_metadata (tree, "folder", &folder);
}

static void
test_directory (void)
{
  static const guint32 modes[] = { 0755, 0700, 01777, 02775, 0555 };
  static const char *const bad[] = { "missing", "file", "link", "link/x", "..", "/tmp" };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo root = info_of (S_IFDIR | 0750, 0);
  g_autoptr (GError) error = NULL;

  temporary_tree_write (tree, "file", "", 0);
  temporary_tree_link (tree, "folder", "link");
  temporary_tree_make_directory (tree, "folder");
  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      KpFileInfo info = info_of (S_IFDIR | modes[i], 0);
      g_assert_true (set_directory (tree, "folder", &info, NULL, &error));
      g_assert_no_error (error);
      assert_metadata (tree, "folder", &info);
    }
  g_assert_true (set_directory (tree, "", &root, NULL, &error));
  g_assert_no_error (error);
  assert_metadata (tree, ".", &root);

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (set_directory (tree, bad[i], &root, NULL, &error));
      g_assert_cmpint (error->domain, ==, KP_ERROR);
      g_clear_error (&error);
    }
}

/* An owner that is not known stays. */
static void
test_unknown_owner (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 0644, 0);
  g_autoptr (KpTargetFile) file = new_file (tree, "file");
  struct stat st;

  info.uid = (guint32) -1;
  info.gid = (guint32) -1;
  create (file, &info, NULL);
  commit (file, &info, NULL);
  g_assert_true (temporary_tree_stat (tree, "file", &st));
  g_assert_cmpuint (st.st_uid, ==, geteuid ());
}

/* "The contents are there", the message says: an attribute that cannot be set must not cost them.
 */
static void
test_contents_despite_attributes (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  /* Linux takes no attribute of this name, as other file systems take none at all. */
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse ("{\"user.\":\"YQ==\"}");
  KpFileInfo info = info_of (S_IFREG | 0644, 5);
  g_autoptr (GError) error = NULL;
  gboolean is_ours;
  KpTargetFile *file = new_file (tree, "file");

  g_assert_cmpuint (xattrs->len, ==, 1);
  create (file, &info, NULL);
  write_at (file, 0, "hello", 5);
  g_assert_false (kp_target_file_commit (file, &info, xattrs, &is_ours, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "contents are there"));
  kp_target_file_free (file);
  /* What can be set, is. */
  assert_metadata (tree, "file", &info);
  g_assert_true (temporary_tree_has (tree, "file", "hello", 5));
  g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 1);
}

/* A file system that ends in 2038, or a time beyond all of them: told, and the bytes stay. */
static void
test_time_that_cannot_be (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 0644, 5);
  g_autoptr (GError) error = NULL;
  struct stat st;
  gboolean is_ours;

  info.mtime = kp_metadata_make_time (16000000000, 0); /* 2477 */
  KpTargetFile *file = new_file (tree, "file");
  create (file, &info, NULL);
  write_at (file, 0, "hello", 5);
  gboolean ok = kp_target_file_commit (file, &info, NULL, &is_ours, &error);
  kp_target_file_free (file);
  g_assert_true (temporary_tree_has (tree, "file", "hello", 5));
  g_assert_true (temporary_tree_stat (tree, "file", &st));
  g_assert_true (ok == (st.st_mtim.tv_sec == 16000000000));
  if (!ok)
    g_assert_nonnull (
        strstr (error->message, "The contents are there, but the time cannot be set"));
}

/* Names that a killed restore left: those of others, those in use and those of users stay. */
static void
test_sweep (void)
{
  static const char *const kept[]
      = { ".keepsake-0123456", ".keepsake-012345678", ".keepsake-0123456g",
          "keepsake-01234567", ".keepsake-01234567~", ".keepsake-ABCDEF01" };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  struct stat st;
  gboolean made;
  guint32 mode;

  temporary_tree_make_directory (tree, "folder");
  for (gsize i = 0; i < G_N_ELEMENTS (kept); i++)
    {
      g_autofree char *path = g_build_filename ("folder", kept[i], NULL);
      temporary_tree_write (tree, path, "mine", -1);
    }
  temporary_tree_write (tree, "folder/.keepsake-0badcafe", "left", -1);
  temporary_tree_write (tree, "folder/.keepsake-11111111", "in use", -1);
  temporary_tree_make_directory (tree, "folder/.keepsake-22222222");
  temporary_tree_link (tree, "elsewhere", "folder/.keepsake-33333333"); /* a moment old */
  int used = temporary_tree_open (tree, "folder/.keepsake-11111111", O_RDONLY);
  g_assert_cmpint (flock (used, LOCK_EX | LOCK_NB), ==, 0);

  g_assert_true (kp_target_enter_directory (tree->fd, "folder", &made, &mode));
  g_assert_false (made);
  g_assert_false (temporary_tree_stat (tree, "folder/.keepsake-0badcafe", &st));
  g_assert_true (temporary_tree_stat (tree, "folder/.keepsake-11111111", &st));
  g_assert_true (temporary_tree_stat (tree, "folder/.keepsake-22222222", &st));
  g_assert_true (temporary_tree_stat (tree, "folder/.keepsake-33333333", &st));
  g_assert_cmpuint (temporary_tree_count (tree, "folder"), ==, G_N_ELEMENTS (kept) + 3);

  close (used);
  g_assert_true (kp_target_enter_directory (tree->fd, "folder", &made, &mode));
  g_assert_false (temporary_tree_stat (tree, "folder/.keepsake-11111111", &st));
}

/* What is being written now is not swept away by another restore, with a name or without one. */
static void
test_sweep_beside_writers (void)
{
  static const guint32 types[] = { S_IFREG, S_IFLNK, S_IFIFO };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  gboolean made;
  guint32 mode;

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpFileInfo info = info_of (types[i] | 0644, 5);
      g_autoptr (KpTargetFile) file = new_file (tree, "file");

      create (file, &info, "hello");
      g_assert_true (kp_target_enter_directory (tree->fd, "", &made, &mode));
      commit (file, &info, NULL);
      g_assert_cmpuint (temporary_tree_count (tree, ""), ==, 1);
    }
}

static void
test_enter_and_leave (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GError) error = NULL;
  struct stat st;
  gboolean made;
  guint32 mode;

  /* Nobody else looks into it before its mode is known. */
  g_assert_true (kp_target_enter_directory (tree->fd, "new", &made, &mode));
  g_assert_true (made);
  g_assert_cmphex (mode, ==, 0);
  g_assert_true (temporary_tree_stat (tree, "new", &st));
  g_assert_cmphex (st.st_mode, ==, S_IFDIR | KP_TARGET_UNFINISHED_MODE);
  /* Nor after a restore that was killed. */
  g_assert_true (kp_target_enter_directory (tree->fd, "new", &made, &mode));
  g_assert_true (made);
  g_assert_cmphex (mode, ==, 0);
  g_assert_true (kp_target_enter_directory (tree->fd, "new/below", &made, &mode));
  g_assert_true (made);
  g_assert_true (kp_target_leave_directory (tree->fd, "new/below", 0555, &error));
  g_assert_no_error (error);

  g_assert_true (kp_target_enter_directory (tree->fd, "new/below", &made, &mode));
  g_assert_false (made);
  g_assert_cmphex (mode, ==, 0555);
  g_assert_true (kp_target_leave_directory (tree->fd, "new/below", 0555, &error));
  g_assert_true (temporary_tree_stat (tree, "new/below", &st));
  g_assert_cmphex (st.st_mode, ==, S_IFDIR | 0555);

  temporary_tree_write (tree, "file", "", 0);
  temporary_tree_link (tree, "new", "link");
  g_assert_false (kp_target_enter_directory (tree->fd, "file", &made, &mode));
  g_assert_false (kp_target_enter_directory (tree->fd, "file/x", &made, &mode));
  g_assert_false (kp_target_enter_directory (tree->fd, "link", &made, &mode));
  g_assert_false (kp_target_enter_directory (tree->fd, "link/x", &made, &mode));
  g_assert_false (kp_target_enter_directory (tree->fd, "../x", &made, &mode));
  g_assert_false (kp_target_leave_directory (tree->fd, "link", 0777, &error));
  g_assert_cmpuint (temporary_tree_count (tree, "new"), ==, 1);
}

static void
assert_corrected (TemporaryTree *tree,
                  const char *path,
                  const KpFileInfo *info,
                  GPtrArray *xattrs,
                  gboolean expected)
{
  g_autoptr (KpTargetFile) file = new_file (tree, path);
  g_autoptr (GError) error = NULL;
  gboolean changed;
  gboolean is_ours;
  gboolean ok = kp_target_file_correct (file, info, xattrs, &changed, &is_ours, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  g_assert_cmpint (changed, ==, expected);
}

/* A file that is there already, but was not given all that belongs to it. */
static void
test_correct (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse ("{\"user.a\":\"YQ==\"}");
  KpFileInfo info = info_of (S_IFREG | 0640, 5);
  KpFileInfo fifo = info_of (S_IFIFO | 0640, 0);
  KpFileInfo link = info_of (S_IFLNK | 0777, 4);

  put (tree, "file", "hello");
  assert_corrected (tree, "file", &info, NULL, FALSE);
  info.mode = S_IFREG | 0400;
  assert_corrected (tree, "file", &info, NULL, TRUE);
  assert_metadata (tree, "file", &info);
  if (xattrs_work (tree))
    {
      assert_corrected (tree, "file", &info, xattrs, TRUE);
      g_assert_true (has_xattr (tree, "file", "user.a", "a"));
      assert_corrected (tree, "file", &info, xattrs, FALSE);
    }
  assert_metadata (tree, "file", &info);

  temporary_tree_make_fifo (tree, "fifo");
  g_assert_cmpint (fchmodat (tree->fd, "fifo", 0600, 0), ==, 0);
  assert_corrected (tree, "fifo", &fifo, NULL, TRUE);
  assert_corrected (tree, "fifo", &fifo, NULL, FALSE);
  temporary_tree_link (tree, "file", "link");
  assert_corrected (tree, "link", &link, NULL, FALSE);
  assert_metadata (tree, "file", &info);
}

/* A link in the place of the fifo that was made a moment ago, as its folder's owner could put it:
 * what it leads to keeps its owner and mode. */
static void
test_no_link_is_followed (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFIFO | 0666, 0);
  g_autoptr (GError) error = NULL;
  gboolean is_ours;
  struct stat st;

  temporary_tree_make_directory (tree, "folder");
  temporary_tree_write (tree, "secret", "", 0);
  g_assert_cmpint (fchmodat (tree->fd, "secret", 0600, 0), ==, 0);
  KpTargetFile *file = new_file (tree, "folder/fifo");
  create (file, &info, NULL);
  g_autofree char *folder = temporary_tree_path (tree, "folder");
  g_autoptr (GDir) names = g_dir_open (folder, 0, NULL);
  g_autofree char *name = g_build_filename ("folder", g_dir_read_name (names), NULL);
  g_assert_cmpint (unlinkat (tree->fd, name, 0), ==, 0);
  temporary_tree_link (tree, "../secret", name);

  g_assert_false (kp_target_file_commit (file, &info, NULL, &is_ours, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  kp_target_file_free (file);
  g_assert_true (temporary_tree_stat (tree, "secret", &st));
  g_assert_cmphex (st.st_mode, ==, S_IFREG | 0600);
}

/* What runs as its owner must not run as us. */
static void
test_no_setuid_for_others (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 06755, 0);
  g_autoptr (KpTargetFile) file = new_file (tree, "file");
  g_autoptr (GError) error = NULL;
  gboolean is_ours;
  struct stat st;

  info.uid = (guint32) -1;
  info.gid = (guint32) -1;
  create (file, &info, NULL);
  g_assert_true (kp_target_file_commit (file, &info, NULL, &is_ours, &error));
  g_assert_no_error (error);
  g_assert_true (temporary_tree_stat (tree, "file", &st));
  g_assert_cmphex (st.st_mode, ==, S_IFREG | 0755);
}

static void
test_md5_and_restart (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpFileInfo info = info_of (S_IFREG | 0644, 5 * BLOCK);
  g_autoptr (KpTargetFile) file = new_file (tree, "file");
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_malloc0 (5 * BLOCK);

  create (file, &info, NULL);
  write_at (file, 2 * BLOCK, "wrong", 5);
  g_assert_true (kp_target_file_restart (file, 5 * BLOCK, &error));
  data[0] = 'x';
  write_at (file, 0, data, 5 * BLOCK);
  static const GChecksumType types[] = { G_CHECKSUM_MD5, G_CHECKSUM_SHA256 };
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autoptr (GBytes) found = kp_target_file_digest (file, types[i], 0, 5 * BLOCK, NULL, &error);
      g_autoptr (GChecksum) checksum = g_checksum_new (types[i]);
      guint8 expected[32];
      gsize length = sizeof expected;

      g_assert_no_error (error);
      g_checksum_update (checksum, (guchar *) data, 5 * BLOCK);
      g_checksum_get_digest (checksum, expected, &length);
      g_assert_cmpmem (g_bytes_get_data (found, NULL), g_bytes_get_size (found), expected, length);
    }
  g_assert_null (kp_target_file_digest (file, G_CHECKSUM_MD5, 0, 5 * BLOCK + 1, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/target/regular", test_regular);
  g_test_add_func ("/mirror/target/times", test_times);
  g_test_add_func ("/mirror/target/abort", test_abort);
  g_test_add_func ("/mirror/target/holes", test_holes);
  g_test_add_func ("/mirror/target/any-bytes", test_any_bytes);
  g_test_add_func ("/mirror/target/threads", test_threads);
  g_test_add_func ("/mirror/target/overwrite", test_overwrite);
  g_test_add_func ("/mirror/target/folder-in-the-place", test_folder_in_the_place);
  g_test_add_func ("/mirror/target/in-the-way", test_in_the_way);
  g_test_add_func ("/mirror/target/bad-names", test_bad_names);
  g_test_add_func ("/mirror/target/odd-names", test_odd_names);
  g_test_add_func ("/mirror/target/links", test_links);
  g_test_add_func ("/mirror/target/links-that-are-none", test_links_that_are_none);
  g_test_add_func ("/mirror/target/special-files", test_special_files);
  g_test_add_func ("/mirror/target/stat", test_stat);
  g_test_add_func ("/mirror/target/xattrs", test_xattrs);
  g_test_add_func ("/mirror/target/directory", test_directory);
  g_test_add_func ("/mirror/target/unknown-owner", test_unknown_owner);
  g_test_add_func ("/mirror/target/contents-despite-attributes", test_contents_despite_attributes);
  g_test_add_func ("/mirror/target/time-that-cannot-be", test_time_that_cannot_be);
  g_test_add_func ("/mirror/target/sweep", test_sweep);
  g_test_add_func ("/mirror/target/sweep-beside-writers", test_sweep_beside_writers);
  g_test_add_func ("/mirror/target/enter-and-leave", test_enter_and_leave);
  g_test_add_func ("/mirror/target/correct", test_correct);
  g_test_add_func ("/mirror/target/no-link-is-followed", test_no_link_is_followed);
  g_test_add_func ("/mirror/target/no-setuid-for-others", test_no_setuid_for_others);
  g_test_add_func ("/mirror/target/protect", test_protect);
  g_test_add_func ("/mirror/target/replace-only-what-was-seen", test_replace_only_what_was_seen);
  g_test_add_func ("/mirror/target/md5-and-restart", test_md5_and_restart);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-scan.h"
#include "offline-service.h"
#include "temporary-tree.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  TemporaryTree *tree;
  KpS3Service *service;
  KpReport *report;
  KpCatalogue *catalogue;
  KpFilter *filter;
  KpScanResult result;
  guint64 n_entries; /* of all sources so far */
  GString *failed;   /* "path error\n" of each file that failed */
  GString *rows;     /* "key path\n" of each row, sorted by key */
} Fixture;

static void
event_cb (const KpEvent *event, void *user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpint (event->type, ==, KP_EVENT_FAILED);
  g_assert_true (g_str_has_prefix (event->path, fixture->tree->path));
  g_string_append_printf (fixture->failed, "%s %s\n", event->path + strlen (fixture->tree->path),
                          kp_error_name (event->error->code));
}

static void
set_up (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;

  fixture->tree = temporary_tree_new ();
  fixture->service = offline_service_new ();
  fixture->failed = g_string_new (NULL);
  fixture->rows = g_string_new (NULL);
  fixture->report = kp_report_new (fixture->service, event_cb, fixture);
  fixture->filter = kp_filter_new ();
  fixture->catalogue = kp_catalogue_open_temporary (&error);
  g_assert_no_error (error);
  g_assert_nonnull (fixture->catalogue);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  kp_catalogue_free (fixture->catalogue);
  kp_filter_unref (fixture->filter);
  kp_report_free (fixture->report);
  kp_scan_result_clear (&fixture->result);
  g_object_unref (fixture->service);
  g_string_free (fixture->failed, TRUE);
  g_string_free (fixture->rows, TRUE);
  temporary_tree_free (fixture->tree);
}

static int
compare_rows (const void *a, const void *b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
read_rows (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (fixture->catalogue, &error);
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  int found;

  g_assert_no_error (error);
  do
    {
      g_auto (KpComparison) row = { 0 };
      found = kp_cursor_next_comparison (cursor, &row, &error);
      g_assert_no_error (error);
      if (found == 1)
        g_ptr_array_add (lines, g_strdup_printf ("%s %s\n", row.local.key, row.local.path));
    }
  while (found == 1);
  g_ptr_array_sort (lines, compare_rows);
  g_string_truncate (fixture->rows, 0);
  for (guint i = 0; i < lines->len; i++)
    g_string_append (fixture->rows, g_ptr_array_index (lines, i));
}

/* Scans @path of the tree, for the bucket and prefix of @address. */
static void
scan (Fixture *fixture, const char *address, const char *path, const char *stored_as)
{
  g_autoptr (KpS3Location) location = offline_location_new (address);
  g_autofree char *full_path = temporary_tree_path (fixture->tree, path);
  g_autoptr (KpSource) source = kp_source_new (full_path, stored_as, location);
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_source_open (source, &error));
  g_assert_no_error (error);
  gboolean ok = kp_scan_source (source, 0, fixture->filter, FALSE, fixture->catalogue,
                                fixture->report, &fixture->result, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
  fixture->n_entries += source->n_entries;
  read_rows (fixture);
}

static void
exclude (Fixture *fixture, const char *pattern)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_filter_add_exclude (fixture->filter, pattern, &error));
  g_assert_no_error (error);
}

static void
make_tree (TemporaryTree *tree)
{
  temporary_tree_make_directory (tree, "src");
  temporary_tree_write (tree, "src/a", "hello", -1);
  temporary_tree_write (tree, "src/b.tmp", "", 0);
  temporary_tree_write (tree, "src/caf\xE9", "", 0);
  temporary_tree_write (tree, "src/caf\xC3\xA9", "", 0);
  temporary_tree_write (tree, "src/.hidden", "", 0);
  temporary_tree_write (tree, "src/line\nfeed", "", 0);
  temporary_tree_make_directory (tree, "src/empty");
  temporary_tree_make_directory (tree, "src/sub");
  temporary_tree_write (tree, "src/sub/a", "", 0);
  temporary_tree_make_directory (tree, "src/sub/cache");
  temporary_tree_write (tree, "src/sub/cache/x", "", 0);
  temporary_tree_make_fifo (tree, "src/fifo");
  temporary_tree_link (tree, "nowhere", "src/dangling");
  temporary_tree_link (tree, "..", "src/sub/up");
  temporary_tree_link (tree, "/etc", "src/sub/etc");
}

static void
test_keys (Fixture *fixture, const void *data)
{
  KpProgress progress;

  make_tree (fixture->tree);
  scan (fixture, "s3://bucket/p", "src", NULL);
  g_assert_cmpstr (fixture->rows->str, ==,
                   "p/src/ \n"
                   "p/src/.hidden .hidden\n"
                   "p/src/a a\n"
                   "p/src/b.tmp b.tmp\n"
                   "p/src/caf\xC3\xA9 caf\xC3\xA9\n"
                   "p/src/caf\xEE\x83\xA9 caf\xE9\n"
                   "p/src/dangling dangling\n"
                   "p/src/empty/ empty\n"
                   "p/src/fifo fifo\n"
                   "p/src/line\nfeed line\nfeed\n"
                   "p/src/sub/ sub\n"
                   "p/src/sub/a sub/a\n"
                   "p/src/sub/cache/ sub/cache\n"
                   "p/src/sub/cache/x sub/cache/x\n"
                   "p/src/sub/etc sub/etc\n"
                   "p/src/sub/up sub/up\n");
  g_assert_cmpuint (fixture->n_entries, ==, 15);
  g_assert_cmpuint (fixture->result.unreadable, ==, 0);
  g_assert_cmpuint (fixture->result.too_long, ==, 0);
  g_assert_cmpuint (fixture->result.left_out->len, ==, 0);
  g_assert_cmpstr (fixture->failed->str, ==, "");
  kp_report_get_progress (fixture->report, &progress);
  g_assert_cmpuint (progress.files_scanned, >=, 15);
}

/* The contents of a folder at the root of a bucket: only the root itself has no object. */
static void
test_bucket_root (Fixture *fixture, const void *data)
{
  temporary_tree_make_directory (fixture->tree, "src");
  temporary_tree_write (fixture->tree, "src/a", "", 0);
  scan (fixture, "s3://bucket", "src/", NULL);
  g_assert_cmpstr (fixture->rows->str, ==, "a a\n");
  g_assert_cmpuint (fixture->n_entries, ==, 1);
}

static void
test_empty (Fixture *fixture, const void *data)
{
  temporary_tree_make_directory (fixture->tree, "src");
  scan (fixture, "s3://bucket/p", "src/", NULL);
  g_assert_cmpstr (fixture->rows->str, ==, "p/ \n");
  g_assert_cmpuint (fixture->n_entries, ==, 0);
}

static void
test_single_file (Fixture *fixture, const void *data)
{
  temporary_tree_write (fixture->tree, "file", "hello", -1);
  temporary_tree_write (fixture->tree, "other", "hello", -1);
  scan (fixture, "s3://bucket/p", "file", NULL);
  g_assert_cmpstr (fixture->rows->str, ==, "p/file \n");
  g_assert_cmpuint (fixture->n_entries, ==, 1);
}

/* What a row says of its file is what the file system says. */
static void
test_info (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  int found;
  guint n = 0;

  make_tree (fixture->tree);
  scan (fixture, "s3://bucket/p", "src", NULL);
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (fixture->catalogue, &error);
  do
    {
      g_auto (KpComparison) row = { 0 };
      struct stat st;
      KpFileInfo expected;

      found = kp_cursor_next_comparison (cursor, &row, &error);
      g_assert_no_error (error);
      if (found != 1)
        break;
      n++;
      g_autofree char *path = g_strconcat ("src/", row.local.path, NULL);
      g_assert_true (temporary_tree_stat (fixture->tree, path, &st));
      kp_file_info_from_stat (&expected, &st);
      g_assert_cmpuint (row.local.source, ==, 0);
      g_assert_cmphex (row.local.info.mode, ==, expected.mode);
      g_assert_cmpuint (row.local.info.uid, ==, expected.uid);
      g_assert_cmpuint (row.local.info.gid, ==, expected.gid);
      g_assert_cmpuint (row.local.info.size, ==, expected.size);
      g_assert_cmpint (row.local.info.mtime, ==, expected.mtime);
      g_assert_cmpint (row.local.info.ctime, ==, expected.ctime);
      g_assert_cmpuint (row.local.info.ino, ==, expected.ino);
      g_assert_cmpuint (row.local.info.nlink, ==, expected.nlink);
      g_assert_false (row.listed);
      g_assert_false (row.has_known);
    }
  while (TRUE);
  g_assert_cmpuint (n, ==, 16);
}

/* Patterns see the names as rsync shows them: with the source's own name before. */
static void
test_excluded (Fixture *fixture, const void *data)
{
  make_tree (fixture->tree);
  exclude (fixture, "*.tmp");
  exclude (fixture, "/src/a");
  exclude (fixture, "cache/");
  exclude (fixture, "caf?");
  exclude (fixture, "/sub/");
  exclude (fixture, "fifo/");
  scan (fixture, "s3://bucket/p", "src", NULL);
  g_assert_cmpstr (fixture->rows->str, ==,
                   "p/src/ \n"
                   "p/src/.hidden .hidden\n"
                   "p/src/caf\xC3\xA9 caf\xC3\xA9\n"
                   "p/src/dangling dangling\n"
                   "p/src/empty/ empty\n"
                   "p/src/fifo fifo\n"
                   "p/src/line\nfeed line\nfeed\n"
                   "p/src/sub/ sub\n"
                   "p/src/sub/a sub/a\n"
                   "p/src/sub/etc sub/etc\n"
                   "p/src/sub/up sub/up\n");
  g_assert_cmpuint (fixture->n_entries, ==, 10);
  g_assert_cmpstr (fixture->failed->str, ==, "");
}

static void
test_excluded_below_contents (Fixture *fixture, const void *data)
{
  make_tree (fixture->tree);
  exclude (fixture, "/a");
  exclude (fixture, "/src/");
  exclude (fixture, "/sub/");
  scan (fixture, "s3://bucket", "src/", NULL);
  g_assert_cmpstr (fixture->rows->str, ==,
                   ".hidden .hidden\n"
                   "b.tmp b.tmp\n"
                   "caf\xC3\xA9 caf\xC3\xA9\n"
                   "caf\xEE\x83\xA9 caf\xE9\n"
                   "dangling dangling\n"
                   "empty/ empty\n"
                   "fifo fifo\n"
                   "line\nfeed line\nfeed\n");
}

/* A key may have 1024 bytes. What is longer is said, and costs nothing else. */
static void
test_too_long (Fixture *fixture, const void *data)
{
  g_autofree char *name = g_strnfill (250, 'd');
  g_autofree char *fits = g_strnfill (16, 'f');
  g_autofree char *too_long = g_strnfill (17, 'f');
  g_autofree char *folder_fits = g_strnfill (15, 'g');
  g_autofree char *folder_too_long = g_strnfill (16, 'g');
  /* Three bytes each in a key. */
  g_autofree char *escaped = g_strnfill (6, '\xE9');
  const char *const names[] = { fits, too_long, escaped, folder_fits, folder_too_long, NULL };
  g_autoptr (GString) deep = g_string_new ("s");

  /* "p/s/" and four folders of 251 bytes: 1008. */
  temporary_tree_make_directory (fixture->tree, deep->str);
  for (int i = 0; i < 4; i++)
    {
      g_string_append_printf (deep, "/%s", name);
      temporary_tree_make_directory (fixture->tree, deep->str);
    }
  for (int i = 0; names[i] != NULL; i++)
    {
      g_autofree char *path = g_strdup_printf ("%s/%s", deep->str, names[i]);
      if (i < 3)
        temporary_tree_write (fixture->tree, path, "", 0);
      else
        temporary_tree_make_directory (fixture->tree, path);
      if (i == 4)
        {
          g_autofree char *below = g_strdup_printf ("%s/x", path);
          temporary_tree_write (fixture->tree, below, "", 0);
        }
    }
  temporary_tree_write (fixture->tree, "s/z", "", 0);
  scan (fixture, "s3://bucket/p", "s", NULL);

  g_autofree char *expected = g_strdup_printf ("/%s/%s name-too-long\n"
                                               "/%s/%s name-too-long\n"
                                               "/%s/%s/x name-too-long\n"
                                               "/%s/%s name-too-long\n",
                                               deep->str, too_long, deep->str, folder_too_long,
                                               deep->str, folder_too_long, deep->str, escaped);
  g_assert_cmpstr (fixture->failed->str, ==, expected);
  g_assert_cmpuint (fixture->result.too_long, ==, 4);
  g_assert_cmpuint (fixture->result.unreadable, ==, 0);

  g_auto (GStrv) lines = g_strsplit (fixture->rows->str, "\n", -1);
  gsize longest = 0;
  for (char **line = lines; **line != '\0'; line++)
    longest = MAX (longest, (gsize) (strchr (*line, ' ') - *line));
  g_assert_cmpuint (longest, ==, 1024);
  /* root, four folders, both that fit, and the last. */
  g_assert_cmpuint (g_strv_length (lines) - 1, ==, 8);
  g_assert_nonnull (strstr (fixture->rows->str, "p/s/z z\n"));
}

static void
test_unreadable (Fixture *fixture, const void *data)
{
  if (geteuid () == 0)
    {
      g_test_skip ("root may read everything");
      return;
    }
  temporary_tree_make_directory (fixture->tree, "src");
  temporary_tree_make_directory (fixture->tree, "src/closed");
  temporary_tree_write (fixture->tree, "src/closed/a", "", 0);
  temporary_tree_make_directory (fixture->tree, "src/names-only");
  temporary_tree_write (fixture->tree, "src/names-only/a", "", 0);
  temporary_tree_write (fixture->tree, "src/z", "", 0);
  g_assert_cmpint (fchmodat (fixture->tree->fd, "src/closed", 0, 0), ==, 0);
  g_assert_cmpint (fchmodat (fixture->tree->fd, "src/names-only", 0400, 0), ==, 0);
  scan (fixture, "s3://bucket/p", "src", NULL);
  g_assert_cmpint (fchmodat (fixture->tree->fd, "src/closed", 0700, 0), ==, 0);
  g_assert_cmpint (fchmodat (fixture->tree->fd, "src/names-only", 0700, 0), ==, 0);

  g_assert_cmpstr (fixture->failed->str, ==,
                   "/src/closed source-unreadable\n"
                   "/src/names-only/a source-unreadable\n");
  g_assert_cmpuint (fixture->result.unreadable, ==, 2);
  /* The folders themselves could be looked at, and so could the rest. */
  g_assert_cmpstr (fixture->rows->str, ==,
                   "p/src/ \n"
                   "p/src/closed/ closed\n"
                   "p/src/names-only/ names-only\n"
                   "p/src/z z\n");
}

/* More names than are sorted at once. */
static void
test_many_names (Fixture *fixture, const void *data)
{
  static const int n_names = 20000;
  g_autoptr (GError) error = NULL;
  int found;
  guint n = 0;

  temporary_tree_make_directory (fixture->tree, "src");
  for (int i = 0; i < n_names; i++)
    {
      g_autofree char *path = g_strdup_printf ("src/%05d", i);
      int fd = openat (fixture->tree->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      g_assert_cmpint (fd, >=, 0);
      close (fd);
    }
  g_assert_true (kp_catalogue_begin (fixture->catalogue, &error));
  scan (fixture, "s3://bucket/p", "src", NULL);
  g_assert_true (kp_catalogue_commit (fixture->catalogue, &error));
  g_assert_cmpuint (fixture->n_entries, ==, n_names);
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (fixture->catalogue, &error);
  do
    {
      g_auto (KpComparison) row = { 0 };
      found = kp_cursor_next_comparison (cursor, &row, &error);
      n += found == 1;
    }
  while (found == 1);
  g_assert_cmpuint (n, ==, n_names + 1);
}

static void
test_cancelled (Fixture *fixture, const void *data)
{
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
  g_autoptr (KpSource) source = kp_source_new (fixture->tree->path, NULL, location);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  make_tree (fixture->tree);
  g_assert_true (kp_source_open (source, &error));
  g_cancellable_cancel (cancellable);
  g_assert_false (kp_scan_source (source, 0, fixture->filter, FALSE, fixture->catalogue,
                                  fixture->report, &fixture->result, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Each source of a job keeps its number, and the counts add up. */
static void
test_two_sources (Fixture *fixture, const void *data)
{
  static const char *const paths[] = { "one", "two" };
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/p");
  g_autoptr (GError) error = NULL;
  int found;

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autofree char *file = g_strconcat (paths[i], "/a", NULL);
      g_autofree char *full_path = temporary_tree_path (fixture->tree, paths[i]);
      g_autoptr (KpSource) source = kp_source_new (full_path, NULL, location);

      temporary_tree_make_directory (fixture->tree, paths[i]);
      temporary_tree_write (fixture->tree, file, "", 0);
      g_assert_true (kp_source_open (source, &error));
      g_assert_true (kp_scan_source (source, i, fixture->filter, FALSE, fixture->catalogue,
                                     fixture->report, &fixture->result, NULL, &error));
      fixture->n_entries += source->n_entries;
    }
  g_assert_no_error (error);
  g_assert_cmpuint (fixture->n_entries, ==, 2);
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (fixture->catalogue, &error);
  do
    {
      g_auto (KpComparison) row = { 0 };
      found = kp_cursor_next_comparison (cursor, &row, &error);
      if (found == 1)
        g_assert_cmpuint (row.local.source, ==, g_str_has_prefix (row.local.key, "p/two/"));
    }
  while (found == 1);
}

int
main (int argc, char **argv)
{
#define ADD(path, test) g_test_add (path, Fixture, NULL, set_up, test, tear_down)
  g_test_init (&argc, &argv, NULL);
  ADD ("/mirror/scan/keys", test_keys);
  ADD ("/mirror/scan/bucket-root", test_bucket_root);
  ADD ("/mirror/scan/empty", test_empty);
  ADD ("/mirror/scan/single-file", test_single_file);
  ADD ("/mirror/scan/info", test_info);
  ADD ("/mirror/scan/excluded", test_excluded);
  ADD ("/mirror/scan/excluded-below-contents", test_excluded_below_contents);
  ADD ("/mirror/scan/too-long", test_too_long);
  ADD ("/mirror/scan/unreadable", test_unreadable);
  ADD ("/mirror/scan/many-names", test_many_names);
  ADD ("/mirror/scan/cancelled", test_cancelled);
  ADD ("/mirror/scan/two-sources", test_two_sources);
  return g_test_run ();
}

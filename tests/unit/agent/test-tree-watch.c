/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-plan.h"
#include "kp-tree-watch.h"

#include "../mirror/temporary-tree.h"
#include "private-bus.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MANY 1000

/* Where the agent is said to write itself. */
#define OWN "state/keepsake"

typedef struct
{
  TemporaryTree *tree;
  KpFilter *filter;
  GPtrArray *sources;
  KpTreeWatch *watch;
  guint n_changed;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->tree = temporary_tree_new ();
  fixture->filter = kp_filter_new ();
  fixture->sources = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  if (fixture->watch != NULL)
    g_assert_finalize_object (g_steal_pointer (&fixture->watch));
  g_ptr_array_unref (fixture->sources);
  kp_filter_unref (fixture->filter);
  temporary_tree_free (fixture->tree);
}

static void
add_source (Fixture *fixture, const char *path, const char *as)
{
  g_autofree char *full = temporary_tree_path (fixture->tree, path);

  g_ptr_array_add (fixture->sources, kp_plan_source_new (full, as));
}

static void
changed_cb (KpTreeWatch *watch, Fixture *fixture)
{
  fixture->n_changed++;
}

static void
start (Fixture *fixture, guint max_watches)
{
  if (fixture->sources->len == 0)
    add_source (fixture, "", "");
  g_autofree char *own = temporary_tree_path (fixture->tree, OWN);
  fixture->watch = kp_tree_watch_new (fixture->sources, fixture->filter, own, max_watches);
  g_signal_connect (fixture->watch, "changed", G_CALLBACK (changed_cb), fixture);
  wait_for (kp_tree_watch_is_ready (fixture->watch));
}

/* Until it is told that something changed since the last time. */
static void
expect_change (Fixture *fixture)
{
  wait_for (fixture->n_changed > 0);
  fixture->n_changed = 0;
}

/* Gives it the time in which it would have read and told what it should not: a rest and the
 * interval between two. A slow machine makes this test weaker, never fail. */
static void
expect_no_change (Fixture *fixture)
{
  guint before = fixture->n_changed;
  gint64 end = g_get_monotonic_time () + 1500 * G_TIME_SPAN_MILLISECOND;

  while (g_get_monotonic_time () < end)
    wait_once (wait_deadline (), "time");
  g_assert_cmpuint (fixture->n_changed, ==, before);
}

static void
expect_watches (Fixture *fixture, guint n)
{
  wait_for (kp_tree_watch_get_n_watches (fixture->watch) == n);
}

static void
rename_in (Fixture *fixture, const char *from, const char *to)
{
  g_assert_cmpint (renameat (fixture->tree->fd, from, fixture->tree->fd, to), ==, 0);
}

static void
test_files (Fixture *fixture, gconstpointer data)
{
  temporary_tree_write (fixture->tree, "a", "1", 1);
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 1);
  g_assert_null (kp_tree_watch_get_complaint (fixture->watch));
  g_assert_cmpuint (fixture->n_changed, ==, 0);

  temporary_tree_write (fixture->tree, "a", "2", 1);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "b", "2", 1);
  expect_change (fixture);
  g_assert_cmpint (fchmodat (fixture->tree->fd, "b", 0600, 0), ==, 0);
  expect_change (fixture);
  rename_in (fixture, "b", "c");
  expect_change (fixture);
  g_assert_cmpint (unlinkat (fixture->tree->fd, "c", 0), ==, 0);
  expect_change (fixture);

  /* Reading is no change. */
  int fd = temporary_tree_open (fixture->tree, "a", O_RDONLY);
  char byte;
  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  close (fd);
  expect_no_change (fixture);
}

static void
test_nested_folders (Fixture *fixture, gconstpointer data)
{
  temporary_tree_make_directory (fixture->tree, "a");
  temporary_tree_make_directory (fixture->tree, "a/b");
  temporary_tree_make_directory (fixture->tree, "a/b/c");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 4);
  temporary_tree_write (fixture->tree, "a/b/c/file", "1", 1);
  expect_change (fixture);

  /* What was made in a new folder before it was noticed is watched too. */
  temporary_tree_make_directory (fixture->tree, "n");
  temporary_tree_make_directory (fixture->tree, "n/o");
  temporary_tree_make_directory (fixture->tree, "n/o/p");
  expect_watches (fixture, 7);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "n/o/p/file", "1", 1);
  expect_change (fixture);
}

static void
test_rename (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "in", "");
  temporary_tree_make_directory (fixture->tree, "in");
  temporary_tree_make_directory (fixture->tree, "in/a");
  temporary_tree_make_directory (fixture->tree, "in/a/b");
  temporary_tree_make_directory (fixture->tree, "out");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 3);

  rename_in (fixture, "in/a", "in/z");
  expect_change (fixture);
  expect_watches (fixture, 3);
  temporary_tree_write (fixture->tree, "in/z/b/file", "1", 1);
  expect_change (fixture);

  rename_in (fixture, "in/z", "out/z");
  expect_change (fixture);
  expect_watches (fixture, 1);
  temporary_tree_write (fixture->tree, "out/z/b/file", "2", 1);
  expect_no_change (fixture);

  rename_in (fixture, "out/z", "in/y");
  expect_watches (fixture, 3);
  expect_change (fixture);

  g_assert_cmpint (unlinkat (fixture->tree->fd, "in/y/b/file", 0), ==, 0);
  g_assert_cmpint (unlinkat (fixture->tree->fd, "in/y/b", AT_REMOVEDIR), ==, 0);
  expect_watches (fixture, 2);
}

/* A folder takes the place of the empty one it was in. */
static void
test_child_replaces_parent (Fixture *fixture, gconstpointer data)
{
  temporary_tree_make_directory (fixture->tree, "d");
  temporary_tree_make_directory (fixture->tree, "d/sub");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 3);
  rename_in (fixture, "d/sub", "sub");
  rename_in (fixture, "sub", "d");
  expect_watches (fixture, 2);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "d/file", "1", 1);
  expect_change (fixture);
}

static void
test_links (Fixture *fixture, gconstpointer data)
{
  g_autofree char *outside = temporary_tree_path (fixture->tree, "out");

  add_source (fixture, "in", "");
  temporary_tree_make_directory (fixture->tree, "in");
  temporary_tree_make_directory (fixture->tree, "out");
  temporary_tree_link (fixture->tree, outside, "in/link");
  temporary_tree_link (fixture->tree, ".", "in/loop");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 1);
  temporary_tree_write (fixture->tree, "out/file", "1", 1);
  expect_no_change (fixture);
}

static void
test_filter (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  /* Patterns see the name in the store. */
  add_source (fixture, "in", "Stored");
  g_assert_true (kp_filter_add_exclude (fixture->filter, "/Stored/cache/", &error));
  g_assert_true (kp_filter_add_exclude (fixture->filter, "*.tmp", &error));
  temporary_tree_make_directory (fixture->tree, "in");
  temporary_tree_make_directory (fixture->tree, "in/cache");
  temporary_tree_make_directory (fixture->tree, "in/cache/deep");
  temporary_tree_make_directory (fixture->tree, "in/kept");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 2);

  temporary_tree_write (fixture->tree, "in/cache/file", "1", 1);
  temporary_tree_write (fixture->tree, "in/kept/a.tmp", "1", 1);
  temporary_tree_make_directory (fixture->tree, "in/kept/b.tmp");
  expect_no_change (fixture);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 2);
  temporary_tree_write (fixture->tree, "in/kept/a.txt", "1", 1);
  expect_change (fixture);
}

/* A backup writes there, and must not be the reason for the next one. */
static void
test_own_folder (Fixture *fixture, gconstpointer data)
{
  temporary_tree_make_directory (fixture->tree, "state");
  temporary_tree_make_directory (fixture->tree, OWN);
  temporary_tree_make_directory (fixture->tree, OWN "/catalogue");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 2);
  g_assert_null (kp_tree_watch_get_complaint (fixture->watch));
  temporary_tree_write (fixture->tree, OWN "/history", "1", 1);
  temporary_tree_write (fixture->tree, OWN "/catalogue/new", "1", 1);
  temporary_tree_make_directory (fixture->tree, OWN "/more");
  expect_no_change (fixture);

  /* Somebody has moved it away and it was made anew. */
  rename_in (fixture, OWN, "old");
  expect_change (fixture);
  expect_watches (fixture, 5);
  temporary_tree_make_directory (fixture->tree, OWN);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, OWN "/history", "1", 1);
  expect_no_change (fixture);
  temporary_tree_write (fixture->tree, "old/history", "2", 1);
  expect_change (fixture);
}

static void
test_own_folder_is_the_source (Fixture *fixture, gconstpointer data)
{
  temporary_tree_make_directory (fixture->tree, "state");
  temporary_tree_make_directory (fixture->tree, OWN);
  add_source (fixture, OWN, "");
  start (fixture, MANY);
  g_assert_nonnull (strstr (kp_tree_watch_get_complaint (fixture->watch), "own records"));
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 0);
}

static void
test_single_file (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "in/file", "file");
  temporary_tree_make_directory (fixture->tree, "in");
  temporary_tree_make_directory (fixture->tree, "in/folder");
  temporary_tree_write (fixture->tree, "in/file", "1", 1);
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 1);
  temporary_tree_write (fixture->tree, "in/other", "1", 1);
  temporary_tree_make_directory (fixture->tree, "in/new");
  expect_no_change (fixture);

  /* As an editor saves it. */
  rename_in (fixture, "in/other", "in/file");
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "in/file", "2", 1);
  expect_change (fixture);
}

/* One folder that belongs to two sources. */
static void
test_overlap (Fixture *fixture, gconstpointer data)
{
  temporary_tree_make_directory (fixture->tree, "a");
  temporary_tree_make_directory (fixture->tree, "a/b");
  add_source (fixture, "", "");
  add_source (fixture, "a", "A");
  start (fixture, MANY);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 3);

  /* The second is not where it was, but the first still sees it. */
  rename_in (fixture, "a", "z");
  wait_for (kp_tree_watch_get_complaint (fixture->watch) != NULL);
  expect_watches (fixture, 3);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "z/b/file", "1", 1);
  expect_change (fixture);
}

static void
test_limit (Fixture *fixture, gconstpointer data)
{
  for (int i = 0; i < 20; i++)
    {
      g_autofree char *name = g_strdup_printf ("%d", i);
      temporary_tree_make_directory (fixture->tree, name);
    }
  start (fixture, 21);
  g_assert_null (kp_tree_watch_get_complaint (fixture->watch));

  int n_notified = 0;
  g_signal_connect_swapped (fixture->watch, "notify::complaint", G_CALLBACK (g_atomic_int_inc),
                            &n_notified);
  temporary_tree_make_directory (fixture->tree, "20");
  wait_for (kp_tree_watch_get_complaint (fixture->watch) != NULL);
  g_assert_cmpint (n_notified, ==, 1);
  g_assert_nonnull (strstr (kp_tree_watch_get_complaint (fixture->watch), "21"));
  expect_change (fixture);

  /* What is watched is watched still. */
  temporary_tree_write (fixture->tree, "3/file", "1", 1);
  expect_change (fixture);
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 21);
}

static void
test_missing_source (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "missing", "");
  start (fixture, MANY);
  g_assert_nonnull (strstr (kp_tree_watch_get_complaint (fixture->watch), "missing"));
  g_assert_cmpuint (kp_tree_watch_get_n_watches (fixture->watch), ==, 0);
  g_assert_false (kp_tree_watch_would_see_more (fixture->watch));
  temporary_tree_make_directory (fixture->tree, "missing");
  g_assert_true (kp_tree_watch_would_see_more (fixture->watch));
}

static void
test_source_goes_away (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "in", "");
  temporary_tree_make_directory (fixture->tree, "in");
  temporary_tree_make_directory (fixture->tree, "in/a");
  start (fixture, MANY);
  g_assert_false (kp_tree_watch_would_see_more (fixture->watch));
  rename_in (fixture, "in", "out");
  wait_for (kp_tree_watch_get_complaint (fixture->watch) != NULL);
  expect_change (fixture);
  expect_watches (fixture, 0);
  g_assert_false (kp_tree_watch_would_see_more (fixture->watch));
  rename_in (fixture, "out", "in");
  g_assert_true (kp_tree_watch_would_see_more (fixture->watch));
}

/* Events are lost when more come than the kernel keeps. Nobody reads while this goes on. */
static void
test_overflow (Fixture *fixture, gconstpointer data)
{
  g_autofree char *limit = NULL;

  g_assert_true (
      g_file_get_contents ("/proc/sys/fs/inotify/max_queued_events", &limit, NULL, NULL));
  guint64 n = g_ascii_strtoull (limit, NULL, 10);
  if (n > 100000)
    {
      g_test_skip ("this system keeps too many events");
      return;
    }
  temporary_tree_make_directory (fixture->tree, "old");
  temporary_tree_write (fixture->tree, "a", "1", 1);
  temporary_tree_write (fixture->tree, "b", "1", 1);
  start (fixture, MANY);

  /* Two in turn, as equal ones are joined. */
  for (guint64 i = 0; i <= n / 2; i++)
    {
      g_assert_cmpint (fchmodat (fixture->tree->fd, "a", 0600, 0), ==, 0);
      g_assert_cmpint (fchmodat (fixture->tree->fd, "b", 0600, 0), ==, 0);
    }
  temporary_tree_make_directory (fixture->tree, "lost");
  temporary_tree_make_directory (fixture->tree, "lost/inner");
  rename_in (fixture, "old", "new");
  expect_watches (fixture, 4);
  expect_change (fixture);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "lost/inner/file", "1", 1);
  expect_change (fixture);
  temporary_tree_write (fixture->tree, "new/file", "1", 1);
  expect_change (fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  ADD ("/agent/tree-watch/files", test_files);
  ADD ("/agent/tree-watch/nested-folders", test_nested_folders);
  ADD ("/agent/tree-watch/rename", test_rename);
  ADD ("/agent/tree-watch/child-replaces-parent", test_child_replaces_parent);
  ADD ("/agent/tree-watch/links", test_links);
  ADD ("/agent/tree-watch/filter", test_filter);
  ADD ("/agent/tree-watch/single-file", test_single_file);
  ADD ("/agent/tree-watch/own-folder", test_own_folder);
  ADD ("/agent/tree-watch/own-folder-is-the-source", test_own_folder_is_the_source);
  ADD ("/agent/tree-watch/overlap", test_overlap);
  ADD ("/agent/tree-watch/limit", test_limit);
  ADD ("/agent/tree-watch/missing-source", test_missing_source);
  ADD ("/agent/tree-watch/source-goes-away", test_source_goes_away);
  ADD ("/agent/tree-watch/overflow", test_overflow);

  return g_test_run ();
}

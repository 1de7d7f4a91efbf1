/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Names that were one file come back as files of their own, each from its own object, and are made
 * one again when all of them are there. */

#include "kp-restore-private.h"

#include "kp-beneath.h"
#include "kp-name.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many different files are made of the names of one at most, by the backups of as many moments.
 */
#define MAX_FIRSTS 8

/* So many names are told that stay files of their own: on a disk without hard links it is all. */
#define MAX_APART_NAMES 20

/* A name that was one of several. */
typedef struct
{
  char *path;
  gboolean is_new; /* this restore has written it */
  struct stat st;  /* as it stands there; no inode when it does not */
  guint n_ours;    /* how many of the names are the same file already */
} Name;

static void
name_clear (void *data)
{
  Name *name = data;

  g_free (name->path);
}

/**
 * kp_restore_remember_link:
 * @task: what was restored
 */
gboolean
kp_restore_remember_link (KpRestore *restore, const RestoreTask *task, GError **error)
{
  gboolean is_there = task->outcome == OUTCOME_RESTORED || task->outcome == OUTCOME_UNCHANGED
                      || task->outcome == OUTCOME_CORRECTED;

  return restore->options.dry_run || !is_there || task->hard_link == NULL
         || !S_ISREG (task->info.mode)
         || kp_catalogue_add_linked (restore->catalogue, task->hard_link, task->path,
                                     task->outcome == OUTCOME_RESTORED, error);
}

static void
stat_name (KpRestore *restore, Name *name)
{
  int fd = kp_beneath_open (restore->target_fd, name->path, O_PATH);

  if (fd < 0 || fstat (fd, &name->st) < 0)
    name->st = (struct stat){ 0 };
  if (fd >= 0)
    close (fd);
}

static int
compare_files (const void *a, const void *b)
{
  const struct stat *of_a = &((const Name *) a)->st;
  const struct stat *of_b = &((const Name *) b)->st;

  if (of_a->st_dev != of_b->st_dev)
    return of_a->st_dev < of_b->st_dev ? -1 : 1;
  return of_a->st_ino == of_b->st_ino ? 0 : of_a->st_ino < of_b->st_ino ? -1 : 1;
}

/* Those that are most names already come first, and the rest is joined to them; those of one file
 * are together. */
static int
compare_names (const void *a, const void *b)
{
  const Name *name_a = a;
  const Name *name_b = b;

  if (name_a->n_ours != name_b->n_ours)
    return name_a->n_ours > name_b->n_ours ? -1 : 1;
  int order = compare_files (a, b);
  return order != 0 ? order : g_strcmp0 (name_a->path, name_b->path);
}

/* Looks at what stands under the names, and puts those first that are most names of one file. */
static void
count_ours (KpRestore *restore, GArray *names)
{
  guint end;

  for (guint i = 0; i < names->len; i++)
    stat_name (restore, &g_array_index (names, Name, i));
  g_array_sort (names, compare_files);
  for (guint start = 0; start < names->len; start = end)
    {
      const Name *first = &g_array_index (names, Name, start);
      for (end = start + 1; end < names->len; end++)
        if (compare_files (first, &g_array_index (names, Name, end)) != 0)
          break;
      for (guint i = start; i < end; i++)
        g_array_index (names, Name, i).n_ours = end - start;
    }
  g_array_sort (names, compare_names);
}

/* A file that has further names, somewhere else, gets no more of them: whoever writes to those does
 * not mean ours. */
static gboolean
is_ours_alone (const Name *name)
{
  return name->st.st_ino != 0 && name->st.st_nlink == name->n_ours;
}

/* Joins @name to the first of @firsts that it is equal to, or makes it one of them. */
static void
join_name (KpRestore *restore, GPtrArray *firsts, Name *name)
{
  KpJoinFile other = { name->path, name->is_new, is_ours_alone (name) };
  KpJoin result = KP_JOIN_DIFFERENT;

  for (guint i = 0; i < firsts->len && result == KP_JOIN_DIFFERENT; i++)
    {
      const Name *first = g_ptr_array_index (firsts, i);
      KpJoinFile file = { first->path, first->is_new, TRUE };
      result = kp_target_join (restore->target_fd, &file, &other, restore->cancellable);
    }
  if (result == KP_JOIN_DIFFERENT && firsts->len < MAX_FIRSTS && other.is_ours_alone)
    g_ptr_array_add (firsts, name);
}

/* Says which of the names are files of their own, beside the one that has most of the names. */
static void
report_apart (KpRestore *restore, GArray *names, guint *n_apart)
{
  const Name *last = NULL;

  count_ours (restore, names);
  for (guint i = 0; i < names->len; i++)
    {
      const Name *name = &g_array_index (names, Name, i);
      gboolean is_another = name->st.st_ino != 0 && last != NULL && compare_files (last, name) != 0;
      if (name->st.st_ino != 0)
        last = name;
      if (!is_another || ++*n_apart > MAX_APART_NAMES)
        continue;
      g_autofree char *shown = kp_name_display (name->path);
      kp_report_notice (restore->report,
                        "“%s” was another name of a file (a hard link), and is a file of its own "
                        "now",
                        shown);
    }
}

/* Makes the names of one file one again. Those that are not equal any more, or lie on a disk that
 * cannot do it, stay as they were restored. */
static void
join_names (KpRestore *restore, GArray *names, guint *n_apart)
{
  g_autoptr (GPtrArray) firsts = g_ptr_array_new ();

  count_ours (restore, names);
  for (guint i = 0; i < names->len && !g_cancellable_is_cancelled (restore->cancellable); i++)
    join_name (restore, firsts, &g_array_index (names, Name, i));
  if (!g_cancellable_is_cancelled (restore->cancellable))
    report_apart (restore, names, n_apart);
}

/**
 * kp_restore_join_links:
 * @error: %G_IO_ERROR_CANCELLED; of the catalogue
 *
 * Makes hard links of the names that were hard links of one file. To be called when all that is
 * going to be restored is there.
 */
gboolean
kp_restore_join_links (KpRestore *restore, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_linked (restore->catalogue, error);
  g_autoptr (GArray) names = g_array_new (FALSE, TRUE, sizeof (Name));
  g_autofree char *identity = NULL;
  guint n_apart = 0;
  int result = cursor != NULL ? 1 : -1;

  g_array_set_clear_func (names, name_clear);
  while (result == 1)
    {
      g_autofree char *next = NULL;
      Name name = { 0 };

      result = kp_cursor_next_linked (cursor, &next, &name.path, &name.is_new, error);
      if (result < 0)
        return FALSE;
      if (result == 0 || g_strcmp0 (next, identity) != 0)
        {
          join_names (restore, names, &n_apart);
          g_array_set_size (names, 0);
          g_free (identity);
          identity = g_steal_pointer (&next);
        }
      if (result == 1)
        g_array_append_val (names, name);
      if (g_cancellable_set_error_if_cancelled (restore->cancellable, error))
        return FALSE;
    }
  if (n_apart > 0)
    kp_report_notice (
        restore->report,
        "%u files were names of others (hard links), and could not be made that again: "
        "they differ, are in use, have names elsewhere, or the disk cannot do it",
        n_apart);
  return result == 0;
}

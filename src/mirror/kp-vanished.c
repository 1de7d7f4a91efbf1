/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Objects whose files are gone. Found after the scan, judged by the guard when all transfers have
 * ended, deleted last. */

#include "kp-error.h"
#include "kp-guard.h"
#include "kp-keep.h"
#include "kp-kept.h"
#include "kp-name.h"

#include <string.h>

/* The source to which @key belongs, or NULL: then it is not ours to delete. */
static KpSource *
find_source (KpMirror *mirror, const char *key)
{
  KpSource *found = NULL;

  /* One may lie within another in the bucket. */
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      if (source->fd >= 0 && !source->is_file && g_str_has_prefix (key, source->key)
          && (found == NULL || strlen (source->key) > strlen (found->key)))
        found = source;
    }
  /* Or what the source was before, a file that is a folder now, or the reverse. */
  for (guint i = 0; found == NULL && i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      if (source->fd >= 0 && kp_source_covers (source, key) && !g_str_equal (key, source->key))
        found = source;
    }
  return found;
}

/* As with rsync, what the patterns exclude is not deleted either. */
static gboolean
is_excluded (KpMirror *mirror, KpSource *source, const char *key)
{
  g_autofree char *path = kp_name_from_key (kp_source_get_below (source, key), NULL);
  gsize length = path != NULL ? strlen (path) : 0;
  gboolean is_directory = length > 0 && path[length - 1] == '/';

  if (length == 0 || kp_filter_is_empty (mirror->options.filter))
    return FALSE;
  if (is_directory)
    path[length - 1] = '\0';
  g_autofree char *filter_path = g_strconcat (source->filter_path, path, NULL);
  return kp_filter_excludes_tree (mirror->options.filter, filter_path, is_directory);
}

static gboolean
is_left_out (KpMirror *mirror, const char *key)
{
  for (guint i = 0; mirror->scan.left_out != NULL && i < mirror->scan.left_out->len; i++)
    if (g_str_has_prefix (key, g_ptr_array_index (mirror->scan.left_out, i)))
      return TRUE;
  return FALSE;
}

/**
 * kp_vanished_is_kept:
 * @key: of an object of @source
 *
 * Whether it is not deleted, whatever became of its file.
 */
gboolean
kp_vanished_is_kept (KpMirror *mirror, KpSource *source, const char *key)
{
  return is_excluded (mirror, source, key) || is_left_out (mirror, key)
         || kp_kept_is_anybodys (key);
}

/* A folder and whether names in it came or went during the scan. */
typedef struct
{
  const KpSource *source; /* NULL for none yet */
  char *path;
  gboolean has_changed;
} Folder;

/* A file that was moved while the folders were looked through may be seen under neither name: its
 * object may be all that there is of it. The folder that it left tells, of which the keys of one
 * follow each other; @folder is that of the last one. Some folders change all the time: what was
 * not there the last time either is not on the move. */
static gboolean
may_be_on_the_move (KpMirror *mirror, KpSource *source, const char *key, Folder *folder)
{
  g_autofree char *path = kp_name_from_key (kp_source_get_below (source, key), NULL);

  /* What was a folder is none since before the scan began. */
  if (path == NULL || source->is_file)
    return FALSE;
  if (g_str_has_suffix (path, "/"))
    path[strlen (path) - 1] = '\0';
  char *slash = strrchr (path, '/');
  *(slash != NULL ? slash : path) = '\0';
  if (folder->source != source || !g_str_equal (folder->path, path))
    {
      g_free (folder->path);
      folder->source = source;
      folder->path = g_steal_pointer (&path);
      folder->has_changed = kp_source_has_changed (source, folder->path, mirror->scan_began);
    }
  return folder->has_changed;
}

/* Whether the object has to go: not for a name that was only changed, and which is no deletion in
 * the eyes of the guard. */
static gboolean
count_vanished (KpMirror *mirror,
                KpSource *source,
                const char *key,
                const KpVanished *vanished,
                Folder *folder,
                guint64 *n_vanished,
                gboolean *is_due,
                GError **error)
{
  gboolean is_renamed;

  if (!kp_catalogue_is_renamed (mirror->catalogue, key, &is_renamed, error))
    return FALSE;
  *is_due = is_renamed || vanished->was_gone || !may_be_on_the_move (mirror, source, key, folder);
  if (!*is_due && !mirror->options.dry_run)
    return kp_catalogue_hold_deletion (mirror->catalogue, key, error);
  if (is_renamed || !*is_due)
    return TRUE;
  *n_vanished += 1;
  source->n_vanished++;
  if (vanished->is_remembered)
    return TRUE;
  source->n_strange++;
  source->n_foreign += source->is_file || g_strcmp0 (key, source->file_key) == 0 ? 1 : 0;
  return TRUE;
}

/**
 * kp_vanished_find:
 * @n_vanished: (out): how many are gone for good
 * @n_deletions: (out): those, and the old names of what was renamed
 *
 * Adds a deletion to the change set for each object below the sources that has no file.
 */
gboolean
kp_vanished_find (KpMirror *mirror, guint64 *n_vanished, guint64 *n_deletions, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_vanished (mirror->catalogue, error);
  Folder folder = { NULL, NULL, FALSE };
  guint64 n_left = 0;
  int result = 1;

  *n_vanished = 0;
  *n_deletions = 0;
  if (cursor == NULL
      || (!mirror->options.dry_run && !kp_catalogue_sweep_doomed (mirror->catalogue, error)))
    return FALSE;
  while (result == 1)
    {
      g_autofree char *key = NULL;
      KpVanished vanished;
      gboolean is_due;
      result = kp_cursor_next_vanished (cursor, &key, &vanished, error);
      if (result != 1)
        break;
      KpSource *source = find_source (mirror, key);
      if (source == NULL || kp_vanished_is_kept (mirror, source, key))
        continue;
      if (!count_vanished (mirror, source, key, &vanished, &folder, n_vanished, &is_due, error)
          || (is_due
              && !kp_catalogue_add_change (mirror->catalogue, KP_ACTION_DELETE, key, 0, NULL,
                                           error)))
        {
          result = -1;
          break;
        }
      *n_deletions += is_due ? 1 : 0;
      n_left += is_due ? 0 : 1;
    }
  g_free (folder.path);
  if (n_left > 0)
    kp_report_notice (mirror->report,
                      "%" G_GUINT64_FORMAT
                      " objects stay until the next run, as something was moved "
                      "or deleted in their folders while these were looked through",
                      n_left);
  return result == 0;
}

/* What would go of each source. */
static GArray *
judge_sources (KpMirror *mirror, GError **error)
{
  g_autoptr (GArray) sources = g_array_new (FALSE, FALSE, sizeof (KpGuardSource));

  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      KpGuardSource share
          = { .path = source->path,
              .deletions = source->n_vanished,
              .strange = source->n_strange,
              .foreign = source->n_foreign,
              .was_folder = source->is_file,
              .is_unknown = source->is_unknown && !mirror->options.accept_new_file_system };

      if (!kp_catalogue_count_listed_below (mirror->catalogue, source->folder_key, &share.known,
                                            error))
        return NULL;
      g_array_append_val (sources, share);
    }
  return g_steal_pointer (&sources);
}

/**
 * kp_vanished_judge:
 * @n_vanished: how many objects are gone for good
 * @n_deletions: how many would be deleted
 *
 * Asks the guard. When it objects, the reason is kept in the mirror's result.
 */
gboolean
kp_vanished_judge (KpMirror *mirror, guint64 n_vanished, guint64 n_deletions, GError **error)
{
  guint64 n_scanned;
  KpGuardCase guard_case = { .source_missing = mirror->source_missing,
                             .unreadable = mirror->unreadable,
                             .unsaved = mirror->unsaved,
                             .deletions = n_vanished,
                             .has_consent = mirror->options.has_max_delete,
                             .consent = mirror->options.max_delete };

  if (n_deletions == 0)
    return TRUE;
  g_autoptr (GArray) sources = judge_sources (mirror, error);
  if (sources == NULL
      || !kp_catalogue_count (mirror->catalogue, &n_scanned, &guard_case.known, error)
      || !kp_roots_examine (mirror, error))
    return FALSE;
  guard_case.sources = (const KpGuardSource *) sources->data;
  guard_case.n_sources = sources->len;
  guard_case.moved_source = mirror->moved_root;
  guard_case.empty_source = mirror->emptied_root;
  g_free (mirror->guard_reason);
  mirror->guard_reason = kp_guard_judge (&guard_case);
  if (mirror->guard_reason != NULL)
    mirror->result.deletions_held = n_deletions;
  return TRUE;
}

typedef struct
{
  KpMirror *mirror;
  GHashTable *failed; /* of keys, at most KP_S3_DELETE_AT_ONCE */
} Deletion;

static void
delete_failed_cb (const char *key, const GError *error, void *user_data)
{
  Deletion *deletion = user_data;

  if (g_hash_table_add (deletion->failed, g_strdup (key)))
    {
      deletion->mirror->result.failed++;
      kp_report_failed (deletion->mirror->report, key, error);
    }
}

static void
change_free (void *data)
{
  kp_change_clear (data);
  g_free (data);
}

/* The file may be there again. */
static gboolean
has_file (KpMirror *mirror, const char *key)
{
  KpSource *source = find_source (mirror, key);

  return source == NULL || kp_source_has_key (source, key);
}

/* Keeps what is going to be deleted, where the plan says so. What could not be kept is not deleted.
 */
static gboolean
keep_batch (KpMirror *mirror, GPtrArray *changes, GError **error)
{
  if (mirror->keep == NULL)
    return TRUE;
  if (!kp_keep_before_deleting (mirror->keep, changes, error))
    return FALSE;
  /* That took its time. */
  for (guint i = changes->len; i-- > 0;)
    if (has_file (mirror, ((KpChange *) g_ptr_array_index (changes, i))->local.key))
      g_ptr_array_remove_index_fast (changes, i);
  return TRUE;
}

static gboolean
take_deletion (Deletion *deletion, const KpChange *change, GError **error)
{
  KpMirror *mirror = deletion->mirror;
  const char *key = change->local.key;

  if (!kp_catalogue_end_deletion (mirror->catalogue, key, error))
    return FALSE;
  if (g_hash_table_contains (deletion->failed, key))
    return !change->has_known
           || kp_catalogue_put_known (mirror->catalogue, key, &change->known, error);
  mirror->result.deleted++;
  kp_report_done (mirror->report, kp_action_name (KP_ACTION_DELETE), key, 0);
  return kp_catalogue_remove_damaged (mirror->catalogue, key, error);
}

/* Where the server denies them all, their rows are not put back: an attempt before, of which the
 * answer was lost, or a request for one key that no document can hold, may have deleted something,
 * and a row that outlives its object would be taken for a loss. That they were to be deleted is
 * remembered. */
static gboolean
delete_batch (KpMirror *mirror, KpS3Client *client, GPtrArray *changes, GError **error)
{
  g_autoptr (GHashTable) failed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  Deletion deletion = { mirror, failed };

  if (!keep_batch (mirror, changes, error))
    return FALSE;
  for (guint i = 0; i < changes->len; i++)
    g_ptr_array_add (keys, ((KpChange *) g_ptr_array_index (changes, i))->local.key);
  if (keys->len == 0)
    return TRUE;
  if (!kp_catalogue_forget (mirror->catalogue, (const char *const *) keys->pdata, keys->len, error)
      || !kp_s3_client_delete_many (client, (const char *const *) keys->pdata, keys->len,
                                    delete_failed_cb, &deletion, mirror->cancellable, error)
      || !kp_catalogue_begin (mirror->catalogue, error))
    return FALSE;
  for (guint i = 0; i < changes->len; i++)
    if (!take_deletion (&deletion, g_ptr_array_index (changes, i), error))
      return FALSE;
  g_ptr_array_set_size (changes, 0);
  return kp_catalogue_commit (mirror->catalogue, error);
}

/* Whether the deletion still makes sense: its file may be there again, and an old name is only
 * deleted when the file is stored under the new one. */
static gboolean
is_still_due (KpMirror *mirror, const char *key, gboolean *due, guint64 *n_open, GError **error)
{
  gboolean open;

  if (!kp_catalogue_is_rename_open (mirror->catalogue, key, &open, error))
    return FALSE;
  *n_open += open ? 1 : 0;
  *due = !open && !has_file (mirror, key);
  return TRUE;
}

/* A file that was gone before it could be sent may have been moved to where the scan had been
 * already. If it was changed and renamed before, what is going to be deleted may be all that there
 * is of it. */
static gboolean
hold_deletions (KpMirror *mirror, GError **error)
{
  guint64 n_held;

  if (mirror->out_of_sight == 0)
    return TRUE;
  if (!kp_catalogue_hold_deletions (mirror->catalogue, &n_held, error))
    return FALSE;
  if (n_held > 0)
    kp_report_notice (mirror->report,
                      "%" G_GUINT64_FORMAT " objects stay until the next run, as files were moved "
                      "or deleted before they could be sent",
                      n_held);
  return TRUE;
}

/**
 * kp_vanished_delete:
 * @error: the server refuses as a whole; single keys are reported
 *
 * Carries out the deletions of the change set. Only to be called when the guard has passed them.
 */
gboolean
kp_vanished_delete (KpMirror *mirror, GError **error)
{
  g_autoptr (KpS3Client) client = kp_s3_client_new (mirror->service);
  g_autoptr (KpCursor) cursor = NULL;
  g_autoptr (GPtrArray) batch = g_ptr_array_new_with_free_func (change_free);
  guint64 n_open = 0;
  int result = 1;

  if (!hold_deletions (mirror, error) || !kp_catalogue_make_durable (mirror->catalogue, error))
    return FALSE;
  cursor = kp_catalogue_list_changes (mirror->catalogue, KP_ACTION_DELETE, KP_ACTION_DELETE, error);
  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_autofree KpChange *change = g_new0 (KpChange, 1);
      gboolean due = FALSE;

      result = kp_cursor_next_change (cursor, change, error);
      if (result == 1 && !is_still_due (mirror, change->local.key, &due, &n_open, error))
        {
          kp_change_clear (change);
          return FALSE;
        }
      if (due)
        g_ptr_array_add (batch, g_steal_pointer (&change));
      else
        kp_change_clear (change);
      if ((result == 0 || batch->len == KP_S3_DELETE_AT_ONCE)
          && !delete_batch (mirror, client, batch, error))
        return FALSE;
    }
  if (n_open > 0)
    kp_report_notice (mirror->report,
                      "%" G_GUINT64_FORMAT
                      " objects stay under their old names until the files are "
                      "stored under the new ones",
                      n_open);
  return result == 0;
}

/* The file or folder of the scan whose name in the bucket is taken as well by the vanished object
 * @key: a file that was a folder, or the reverse. NULL for none. */
static gboolean
find_clash (KpMirror *mirror, KpSource *source, const char *key, char **clash, GError **error)
{
  g_autofree char *name = g_strdup (key);
  gboolean found;

  *clash = NULL;
  if (!g_str_has_suffix (key, "/"))
    {
      g_autofree char *folder = g_strconcat (key, "/", NULL);
      if (!kp_catalogue_is_scanned (mirror->catalogue, folder, &found, error))
        return FALSE;
      if (found)
        *clash = g_steal_pointer (&folder);
    }
  for (char *slash; *clash == NULL && (slash = strrchr (name, '/')) != NULL
                    && (gsize) (slash - name) + 1 >= strlen (source->folder_key);)
    {
      *slash = '\0';
      if (!kp_catalogue_is_scanned (mirror->catalogue, name, &found, error))
        return FALSE;
      /* A name that ends with a slash, as of a key with two in a row, is a folder's. */
      if (found && !g_str_has_suffix (name, "/"))
        *clash = g_strdup (name);
    }
  return TRUE;
}

/**
 * kp_vanished_report_clashes:
 *
 * What is not deleted may stand in the way of what is there now: a bucket can hold a file and a
 * folder of one name, a file system cannot, and a restore could give back only one. To be called
 * where nothing is deleted.
 */
gboolean
kp_vanished_report_clashes (KpMirror *mirror, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_vanished (mirror->catalogue, error);
  g_autofree char *last = NULL;
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_autofree char *key = NULL;
      g_autofree char *clash = NULL;

      KpVanished vanished;
      result = kp_cursor_next_vanished (cursor, &key, &vanished, error);
      KpSource *source = result == 1 ? find_source (mirror, key) : NULL;
      if (source == NULL)
        continue;
      if (!find_clash (mirror, source, key, &clash, error))
        return FALSE;
      if (clash == NULL || g_strcmp0 (clash, last) == 0)
        continue;
      g_autofree char *path = kp_name_from_key (kp_source_get_below (source, clash), NULL);
      if (path != NULL && g_str_has_suffix (path, "/"))
        path[strlen (path) - 1] = '\0';
      g_autofree char *full_path = kp_source_full_path (source, path != NULL ? path : clash);
      g_autoptr (GError) clash_error = g_error_new_literal (
          KP_ERROR, KP_ERROR_CONFLICT,
          "The bucket still holds what had this name before, a file instead of a folder or the "
          "reverse, and only one of both could be restored; --delete deletes the old one");
      mirror->result.failed++;
      kp_report_failed (mirror->report, full_path, clash_error);
      g_free (last);
      last = g_steal_pointer (&clash);
    }
  return result == 0;
}

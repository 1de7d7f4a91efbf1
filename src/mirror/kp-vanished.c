/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Objects whose files are gone. Found after the scan, judged by the guard when all transfers have
 * ended, deleted last. */

#include "kp-error.h"
#include "kp-guard.h"
#include "kp-mirror-private.h"
#include "kp-s3-client.h"
#include "kp-name.h"

#include <string.h>

#define KEYS_AT_ONCE 1000

/* The source below which @key lies, or NULL: then it is not ours to delete. */
static KpSource *
find_source (KpMirror *mirror, const char *key)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      if (source->fd >= 0 && !source->is_file && g_str_has_prefix (key, source->key))
        return source;
    }
  return NULL;
}

/* As with rsync, what the patterns exclude is not deleted either. */
static gboolean
is_excluded (KpMirror *mirror, KpSource *source, const char *key)
{
  g_autofree char *path = kp_name_from_key (key + strlen (source->key), NULL);
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
  int result = 1;

  *n_vanished = 0;
  *n_deletions = 0;
  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_autofree char *key = NULL;
      result = kp_cursor_next_key (cursor, &key, error);
      if (result != 1)
        break;
      KpSource *source = find_source (mirror, key);
      if (source == NULL || is_excluded (mirror, source, key) || is_left_out (mirror, key))
        continue;
      /* A name that was only changed is not a deletion in the eyes of the guard. */
      gboolean is_renamed;
      if (!kp_catalogue_is_renamed (mirror->catalogue, key, &is_renamed, error))
        return FALSE;
      *n_vanished += is_renamed ? 0 : 1;
      *n_deletions += 1;
      if (!kp_catalogue_add_change (mirror->catalogue, KP_ACTION_DELETE, key, 0, NULL, error))
        return FALSE;
    }
  return result == 0;
}

/* What only can be said of each source: empty now and not before, or on another file system. */
static gboolean
examine_sources (KpMirror *mirror, KpGuardCase *guard_case, GError **error)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      KpRootIdentity before;
      gboolean found;

      if (source->fd < 0 || source->is_file)
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, source->path, &before, &found, error))
        return FALSE;
      /* Device numbers change at a reboot, and so does what some file systems give as their id:
       * only both together, or a disk that was mounted here and is not, mean another file system.
       */
      if (found && !mirror->options.accept_new_file_system
          && ((before.dev != source->identity.dev && before.fsid != source->identity.fsid)
              || (before.is_mount_point && !source->identity.is_mount_point)))
        guard_case->moved_source = source->path;

      gboolean has_files;
      gboolean has_objects;
      if (!kp_catalogue_has_scanned_below (mirror->catalogue, source->key, &has_files, error)
          || !kp_catalogue_has_listed_below (mirror->catalogue, source->key, &has_objects, error))
        return FALSE;
      if (!has_files && has_objects)
        guard_case->empty_source = source->path;
    }
  return TRUE;
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
  if (!kp_catalogue_count (mirror->catalogue, &n_scanned, &guard_case.known, error)
      || !examine_sources (mirror, &guard_case, error))
    return FALSE;
  g_free (mirror->guard_reason);
  mirror->guard_reason = kp_guard_judge (&guard_case);
  if (mirror->guard_reason != NULL)
    mirror->result.deletions_held = n_deletions;
  return TRUE;
}

typedef struct
{
  KpMirror *mirror;
  GHashTable *failed; /* of keys, at most KEYS_AT_ONCE */
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

static gboolean
delete_batch (KpMirror *mirror, KpS3Client *client, GPtrArray *keys, GError **error)
{
  g_autoptr (GHashTable) failed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Deletion deletion = { mirror, failed };

  if (keys->len == 0)
    return TRUE;
  if (!kp_s3_client_delete_many (client, (const char *const *) keys->pdata, keys->len,
                                 delete_failed_cb, &deletion, mirror->cancellable, error)
      || !kp_catalogue_begin (mirror->catalogue, error))
    return FALSE;
  for (guint i = 0; i < keys->len; i++)
    {
      const char *key = g_ptr_array_index (keys, i);
      if (g_hash_table_contains (failed, key))
        continue;
      if (!kp_catalogue_remove_known (mirror->catalogue, key, error))
        return FALSE;
      mirror->result.deleted++;
      kp_report_done (mirror->report, kp_action_name (KP_ACTION_DELETE), key, 0);
    }
  g_ptr_array_set_size (keys, 0);
  return kp_catalogue_commit (mirror->catalogue, error);
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
  g_autoptr (KpCursor) cursor
      = kp_catalogue_list_changes (mirror->catalogue, KP_ACTION_DELETE, KP_ACTION_DELETE, error);
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_auto (KpChange) change = { 0 };
      result = kp_cursor_next_change (cursor, &change, error);
      if (result == 1)
        g_ptr_array_add (keys, g_steal_pointer (&change.local.key));
      if ((result == 0 || keys->len == KEYS_AT_ONCE) && !delete_batch (mirror, client, keys, error))
        return FALSE;
    }
  return result == 0;
}

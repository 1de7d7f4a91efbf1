/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Which version of each object was there at a moment. Versions come in any number and, of one key,
 * in either order, so the table holds for each key the best that has been seen so far. */

#include "kp-catalogue-private.h"

/* What is known of a key at the moment in question. */
typedef enum
{
  PAST_THERE,
  PAST_GONE,     /* deleted: a delete marker says so */
  PAST_LATER,    /* nothing, but something is there today that was stored later */
  PAST_REPLACED, /* as before; what it took the place of was kept, and may have been there still */
} PastState;

/* As the statements have them. */
G_STATIC_ASSERT (PAST_THERE == 0 && PAST_GONE == 1 && PAST_LATER == 2 && PAST_REPLACED == 3);

static void
bind_entry (sqlite3_stmt *statement,
            const KpS3Entry *entry,
            const char *key,
            PastState state,
            gint64 stored,
            const char *from_key)
{
  /* "null" is the version of what was stored while the bucket kept none. */
  gboolean is_plain = entry->is_latest && g_strcmp0 (entry->version_id, "null") == 0;

  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_number (statement, 2, state);
  sqlite3_bind_int64 (statement, 3, stored);
  kp_sql_bind_number (statement, 4, entry->is_latest);
  kp_sql_bind_number (statement, 5, entry->size);
  kp_sql_bind_text (statement, 6, entry->etag);
  kp_sql_bind_text (statement, 7, entry->storage_class);
  kp_sql_bind_text (statement, 8, is_plain ? NULL : entry->version_id);
  kp_sql_bind_bytes (statement, 9, from_key);
}

/**
 * kp_catalogue_add_version:
 * @entry: an object, a version of one, or the mark of its deletion
 * @at: the moment, in microseconds since 1970; what was stored later was not there
 * @oldest_first: of versions of one time, which the listing has one behind the other, the last is
 *   the newest
 */
gboolean
kp_catalogue_add_version (KpCatalogue *catalogue,
                          const KpS3Entry *entry,
                          gint64 at,
                          gboolean oldest_first,
                          GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_VERSION];
  gboolean is_later = entry->modified_us > at;

  g_rec_mutex_lock (&catalogue->lock);
  bind_entry (statement, entry, entry->key,
              is_later                  ? PAST_LATER
              : entry->is_delete_marker ? PAST_GONE
                                        : PAST_THERE,
              is_later ? -1 : entry->modified_us, NULL);
  kp_sql_bind_number (statement, 10, oldest_first);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_add_kept:
 * @entry: an object that was kept when another took its place, or when it was deleted
 * @mirror_key: the key that it had
 * @was_deleted: rather than replaced
 * @at: the moment in question, in Unix seconds
 * @was_there: whether the run that kept it began only after that
 *
 * To be called in the order of the runs that kept the objects, and after all versions. The first
 * run after the moment has what was there. Without one, what was replaced before is what was there
 * until something took its place; as a run takes its time, that may have been later.
 */
gboolean
kp_catalogue_add_kept (KpCatalogue *catalogue,
                       const KpS3Entry *entry,
                       const char *mirror_key,
                       gboolean was_deleted,
                       gint64 at,
                       gboolean was_there,
                       GError **error)
{
  PastState state = was_there ? PAST_THERE : was_deleted ? PAST_LATER : PAST_REPLACED;
  gboolean ok = TRUE;

  g_rec_mutex_lock (&catalogue->lock);
  for (int i = 0; ok && i < (was_there ? 2 : 1); i++)
    {
      sqlite3_stmt *statement
          = catalogue->statements[i == 0 ? STATEMENT_REPLACE_LATER : STATEMENT_ADD_KEPT];
      bind_entry (statement, entry, mirror_key, state, 0, entry->key);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  /* It is copied just before another takes its place: until then it was there. */
  if (ok && state == PAST_REPLACED && entry->last_modified >= at)
    {
      sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_BEFORE];
      bind_entry (statement, entry, mirror_key, state, 0, entry->key);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  else if (ok && !was_there)
    ok = kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_BEFORE, mirror_key, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_list_past:
 * @n_objects: (out): that were there
 *
 * Makes what was there the listing, for kp_catalogue_list_listed() and all else that asks it.
 */
gboolean
kp_catalogue_list_past (KpCatalogue *catalogue, guint64 *n_objects, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run (catalogue, catalogue->statements[STATEMENT_LIST_PAST], error);
  *n_objects = ok ? (guint64) sqlite3_changes (catalogue->db) : 0;
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_go_back:
 * @key: of a kept object in the listing that came only after the moment in question
 * @found: (out): whether what it took the place of was kept, too
 *
 * A run is named by its beginning: what it replaced was there until the run came to it, and what it
 * put there may have come after the moment, and was kept by a later run in turn. Then the former
 * takes its place in the listing; else there was nothing.
 */
gboolean
kp_catalogue_go_back (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run_for_key (catalogue, STATEMENT_TAKE_BEFORE, key, error);
  *found = ok && sqlite3_changes (catalogue->db) > 0;
  if (ok && *found)
    ok = kp_catalogue_run_for_key (catalogue, STATEMENT_LIST_AGAIN, key, error);
  else
    /* Nor is it listed again with another part of the past. */
    ok = ok && kp_catalogue_run_for_key (catalogue, STATEMENT_SET_GONE, key, error)
         && kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_LISTED, key, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

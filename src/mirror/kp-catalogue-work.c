/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The temporary tables of a running job: scan, listing, changes. */

#include "kp-catalogue-private.h"

#include "kp-error.h"

/* Sources may overlap, so that one file is met twice; but two files with one key would overwrite
 * each other in the bucket. The lock is held. */
static gboolean
check_same_file (KpCatalogue *catalogue, const KpScanned *scanned, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_SCANNED_FILE];
  gboolean found;
  gboolean same = TRUE;

  kp_sql_bind_bytes (statement, 1, scanned->key);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, &found, error);
  if (ok && found)
    same = kp_sql_column_number (statement, 0) == scanned->info.dev
           && kp_sql_column_number (statement, 1) == scanned->info.ino;
  sqlite3_reset (statement);
  if (ok && !same && !S_ISDIR (scanned->info.mode))
    {
      g_set_error (
          error, KP_ERROR, KP_ERROR_USAGE,
          "Two sources have different files that would both be stored as “%s”; mirror them "
          "to different prefixes",
          scanned->key);
      return FALSE;
    }
  return ok;
}

/**
 * kp_catalogue_add_scanned:
 *
 * Adds a row to the scan. Of a file with several names, the first key in order is remembered too,
 * and how many there are.
 */
gboolean
kp_catalogue_add_scanned (KpCatalogue *catalogue, const KpScanned *scanned, GError **error)
{
  const KpFileInfo *info = &scanned->info;
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_SCANNED];
  gboolean ok;

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, scanned->key);
  kp_sql_bind_number (statement, 2, scanned->source);
  kp_sql_bind_bytes (statement, 3, scanned->path);
  kp_sql_bind_number (statement, 4, info->size);
  kp_sql_bind_number (statement, 5, info->mode);
  kp_sql_bind_number (statement, 6, info->uid);
  kp_sql_bind_number (statement, 7, info->gid);
  kp_sql_bind_number (statement, 8, (guint64) info->mtime);
  kp_sql_bind_number (statement, 9, (guint64) info->ctime);
  kp_sql_bind_number (statement, 10, (guint64) info->atime);
  kp_sql_bind_number (statement, 11, info->dev);
  kp_sql_bind_number (statement, 12, info->ino);
  kp_sql_bind_number (statement, 13, info->rdev);
  kp_sql_bind_number (statement, 14, info->nlink);
  ok = kp_catalogue_run (catalogue, statement, error);
  gboolean is_new = ok && sqlite3_changes (catalogue->db) > 0;
  if (ok && !is_new)
    ok = check_same_file (catalogue, scanned, error);
  if (ok && is_new && S_ISREG (info->mode) && info->nlink > 1)
    {
      statement = catalogue->statements[STATEMENT_ADD_LINK];
      kp_sql_bind_number (statement, 1, info->dev);
      kp_sql_bind_number (statement, 2, info->ino);
      kp_sql_bind_bytes (statement, 3, scanned->key);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_trust_links:
 *
 * For a scan that has not seen all there is: a file of which it has one name is still taken for one
 * of several, where the object says so.
 */
gboolean
kp_catalogue_trust_links (KpCatalogue *catalogue, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run (catalogue, catalogue->statements[STATEMENT_TRUST_LINKS], error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_add_linked:
 * @name: who the file is
 * @path: where one of its names was restored
 * @is_new: whether the restore wrote it, and did not find it there
 */
gboolean
kp_catalogue_add_linked (KpCatalogue *catalogue,
                         const char *name,
                         const char *path,
                         gboolean is_new,
                         GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_LINKED];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_text (statement, 1, name);
  kp_sql_bind_bytes (statement, 2, path);
  kp_sql_bind_number (statement, 3, is_new ? 1 : 0);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_add_listed:
 * @entries: (element-type KpS3Entry): a page of a listing
 */
gboolean
kp_catalogue_add_listed (KpCatalogue *catalogue, GPtrArray *entries, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_LISTED];
  gboolean ok = TRUE;

  g_rec_mutex_lock (&catalogue->lock);
  for (guint i = 0; i < entries->len && ok; i++)
    {
      const KpS3Entry *entry = g_ptr_array_index (entries, i);
      kp_sql_bind_bytes (statement, 1, entry->key);
      kp_sql_bind_number (statement, 2, entry->size);
      kp_sql_bind_text (statement, 3, entry->etag);
      kp_sql_bind_text (statement, 4, entry->storage_class);
      kp_sql_bind_number (statement, 5, (guint64) entry->last_modified);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_add_change:
 * @bytes: that its bodies will send
 * @from_key: (nullable): what a link copies
 */
gboolean
kp_catalogue_add_change (KpCatalogue *catalogue,
                         KpAction action,
                         const char *key,
                         guint64 bytes,
                         const char *from_key,
                         GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_CHANGE];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_number (statement, 1, action);
  kp_sql_bind_bytes (statement, 2, key);
  kp_sql_bind_number (statement, 3, bytes);
  kp_sql_bind_bytes (statement, 4, from_key);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_hold_deletions:
 * @n_held: (out): how many there were
 *
 * kp_catalogue_hold_deletion() for all of the change set, which loses them, but for what was gone
 * when an earlier job looked, too, and old names of what is renamed. In a transaction of its own.
 */
gboolean
kp_catalogue_hold_deletions (KpCatalogue *catalogue, guint64 *n_held, GError **error)
{
  G_STATIC_ASSERT (KP_ACTION_RENAME == 0 && KP_ACTION_DELETE == 7);
  static const char text[]
      = "UPDATE change SET done = 1 WHERE action = 7"
        " AND NOT EXISTS (SELECT 1 FROM change r WHERE r.from_key = change.key AND r.action = 0)"
        " AND NOT EXISTS (SELECT 1 FROM doomed d JOIN listing l ON l.key = d.key"
        "  WHERE d.key = change.key AND d.etag = l.etag);"
        "INSERT OR REPLACE INTO doomed SELECT l.key, l.etag, 0 FROM change c"
        " JOIN listing l ON l.key = c.key WHERE c.action = 7 AND c.done = 1;"
        "DELETE FROM change WHERE action = 7 AND done = 1;";

  if (!kp_catalogue_begin (catalogue, error))
    return FALSE;
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = sqlite3_exec (catalogue->db, text, NULL, NULL, NULL) == SQLITE_OK
                || kp_catalogue_set_error (catalogue, error);
  *n_held = (guint64) sqlite3_changes (catalogue->db);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok && kp_catalogue_commit (catalogue, error);
}

/**
 * kp_catalogue_find_first_link:
 * @info: of a file with several names
 *
 * Returns: (transfer full) (nullable): the first key, in order, of the scan's names for that file
 */
char *
kp_catalogue_find_first_link (KpCatalogue *catalogue, const KpFileInfo *info, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_FIND_LINK];
  gboolean found;
  char *key = NULL;

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_number (statement, 1, info->dev);
  kp_sql_bind_number (statement, 2, info->ino);
  if (kp_catalogue_fetch (catalogue, statement, &found, error) && found)
    key = kp_sql_column_bytes (statement, 0);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return key;
}

static gboolean
fetch_two (KpCatalogue *catalogue, Statement which, guint64 *first, guint64 *second, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[which];
  gboolean found;

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, &found, error);
  if (ok)
    {
      *first = kp_sql_column_number (statement, 0);
      *second = kp_sql_column_number (statement, 1);
    }
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_sum_listed (KpCatalogue *catalogue, guint64 *n_objects, guint64 *bytes, GError **error)
{
  return fetch_two (catalogue, STATEMENT_SUM_LISTED, n_objects, bytes, error);
}

gboolean
kp_catalogue_count (KpCatalogue *catalogue, guint64 *n_scanned, guint64 *n_listed, GError **error)
{
  return fetch_two (catalogue, STATEMENT_COUNT, n_scanned, n_listed, error);
}

gboolean
kp_catalogue_count_known (KpCatalogue *catalogue, guint64 *n_objects, GError **error)
{
  guint64 nothing;

  return fetch_two (catalogue, STATEMENT_COUNT_KNOWN, n_objects, &nothing, error);
}

/**
 * kp_catalogue_is_listed:
 * @found: (out): whether the listing has the key
 */
gboolean
kp_catalogue_is_listed (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_IS_LISTED, key, found, error);
}

/**
 * kp_catalogue_has_listed_below:
 * @prefix: key text
 * @found: (out): whether the listing has a key that starts with @prefix and goes on
 */
gboolean
kp_catalogue_has_listed_below (KpCatalogue *catalogue,
                               const char *prefix,
                               gboolean *found,
                               GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_LISTED_BELOW];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, prefix);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);
  if (ok && *found)
    {
      g_autofree char *next = kp_sql_column_bytes (statement, 0);
      *found = g_str_has_prefix (next, prefix);
    }
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_remove_listed:
 * @key: is no longer in the listing then
 */
gboolean
kp_catalogue_remove_listed (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_LISTED, key, error);
}

/**
 * kp_catalogue_remembers:
 * @key: whole key
 * @found: (out): whether this computer has stored an object under @key, or, if that ends with a
 *   slash, below it, and does not know it to be gone
 */
gboolean
kp_catalogue_remembers (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_REMEMBERED];
  /* No byte of UTF-8 is 0xFF, so this is behind all keys with the prefix. */
  g_autofree char *end
      = g_str_has_suffix (key, "/") ? g_strconcat (key, "\xFF", NULL) : g_strdup (key);

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_bytes (statement, 2, end);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_count_listed_below:
 * @prefix: key text
 * @count: (out): how many keys of the listing start with @prefix
 */
gboolean
kp_catalogue_count_listed_below (KpCatalogue *catalogue,
                                 const char *prefix,
                                 guint64 *count,
                                 GError **error)
{
  static const char text[] = "SELECT count(*) FROM listing WHERE key >= ? AND key < ?";
  /* No byte of UTF-8 is 0xFF, so this is behind all keys with the prefix. */
  g_autofree char *end = g_strconcat (prefix, "\xFF", NULL);
  sqlite3_stmt *statement = NULL;
  gboolean ok = FALSE;
  gboolean found;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) != SQLITE_OK)
    kp_catalogue_set_error (catalogue, error);
  else
    {
      kp_sql_bind_bytes (statement, 1, prefix);
      kp_sql_bind_bytes (statement, 2, end);
      ok = kp_catalogue_fetch (catalogue, statement, &found, error);
    }
  if (ok)
    *count = kp_sql_column_number (statement, 0);
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

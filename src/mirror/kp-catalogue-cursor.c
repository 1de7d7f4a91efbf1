/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Going through the catalogue's tables row by row. */

#include "kp-catalogue-private.h"

#include <string.h>

#define SCAN_COLUMNS                                                                               \
  "s.key, s.source, s.path, s.size, s.mode, s.uid, s.gid, s.mtime, s.ctime, s.atime, s.dev, "      \
  "s.ino, "                                                                                        \
  "s.rdev, s.nlink, s.nlink > 1 AND EXISTS (SELECT 1 FROM link k WHERE k.dev = s.dev"              \
  " AND k.ino = s.ino AND k.names > 1)"
#define LISTED_COLUMNS "l.size, l.etag, l.modified"
#define KNOWN_COLUMNS                                                                              \
  "o.etag, o.size, o.mode, o.uid, o.gid, o.mtime, o.ctime, o.ino, o.rdev, o.sha256, o.xattrs, "    \
  "o.xattrs_left_out, o.hard_link, o.stored"
#define N_SCAN_COLUMNS 15
#define N_LISTED_COLUMNS 3
#define N_KNOWN_COLUMNS 14

struct _KpCursor
{
  KpCatalogue *catalogue; /* not owned */
  sqlite3_stmt *statement;

  /* Of changes: read ahead in short pieces, so that no read transaction stays open while the job
   * writes. One that did would keep the WAL from being reset for as long as the job runs. */
  GQueue ahead; /* of KpChange */
  sqlite3_int64 last_seq;
  gboolean at_end;
};

#define READ_AHEAD 256

static KpCursor *
open_cursor (KpCatalogue *catalogue, const char *text, GError **error)
{
  sqlite3_stmt *statement = NULL;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) != SQLITE_OK)
    kp_catalogue_set_error (catalogue, error);
  g_rec_mutex_unlock (&catalogue->lock);
  if (statement == NULL)
    return NULL;

  KpCursor *cursor = g_new0 (KpCursor, 1);
  cursor->catalogue = catalogue;
  cursor->statement = statement;
  return cursor;
}

static void
change_free (void *data)
{
  kp_change_clear (data);
  g_free (data);
}

void
kp_cursor_free (KpCursor *cursor)
{
  g_queue_clear_full (&cursor->ahead, change_free);
  g_rec_mutex_lock (&cursor->catalogue->lock);
  sqlite3_finalize (cursor->statement);
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  g_free (cursor);
}

/* Steps a cursor; the catalogue's lock must be held until the row is read. */
static int
step (KpCursor *cursor, GError **error)
{
  int result = sqlite3_step (cursor->statement);

  if (result == SQLITE_ROW)
    return 1;
  if (result == SQLITE_DONE)
    return 0;
  kp_catalogue_set_error (cursor->catalogue, error);
  return -1;
}

static void
read_scanned (sqlite3_stmt *statement, int column, KpScanned *scanned)
{
  scanned->key = kp_sql_column_bytes (statement, column);
  scanned->source = kp_sql_column_u32 (statement, column + 1);
  scanned->path = kp_sql_column_bytes (statement, column + 2);
  scanned->info = (KpFileInfo){
    .size = kp_sql_column_number (statement, column + 3),
    .mode = kp_sql_column_u32 (statement, column + 4),
    .uid = kp_sql_column_u32 (statement, column + 5),
    .gid = kp_sql_column_u32 (statement, column + 6),
    .mtime = sqlite3_column_int64 (statement, column + 7),
    .ctime = sqlite3_column_int64 (statement, column + 8),
    .atime = sqlite3_column_int64 (statement, column + 9),
    .dev = kp_sql_column_number (statement, column + 10),
    .ino = kp_sql_column_number (statement, column + 11),
    .rdev = kp_sql_column_number (statement, column + 12),
    .nlink = kp_sql_column_number (statement, column + 13),
  };
  scanned->is_linked = sqlite3_column_int (statement, column + 14) != 0;
}

static gboolean
read_known (sqlite3_stmt *statement, int column, KpKnown *known)
{
  const char *etag = (const char *) sqlite3_column_text (statement, column);

  if (etag == NULL)
    return FALSE;
  known->etag = g_strdup (etag);
  known->info = (KpFileInfo){
    .size = kp_sql_column_number (statement, column + 1),
    .mode = kp_sql_column_u32 (statement, column + 2),
    .uid = kp_sql_column_u32 (statement, column + 3),
    .gid = kp_sql_column_u32 (statement, column + 4),
    .mtime = sqlite3_column_int64 (statement, column + 5),
    .ctime = sqlite3_column_int64 (statement, column + 6),
    .ino = kp_sql_column_number (statement, column + 7),
    .rdev = kp_sql_column_number (statement, column + 8),
    .nlink = 1,
  };
  known->sha256 = kp_sql_column_gbytes (statement, column + 9);
  known->xattrs = kp_sql_column_gbytes (statement, column + 10);
  known->xattrs_left_out = sqlite3_column_int (statement, column + 11) != 0;
  known->hard_link = g_strdup ((const char *) sqlite3_column_text (statement, column + 12));
  known->stored = sqlite3_column_int64 (statement, column + 13);
  return TRUE;
}

/**
 * kp_catalogue_compare:
 *
 * Goes through the scan in the order of keys, with what the listing and the catalogue say.
 */
KpCursor *
kp_catalogue_compare (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT " SCAN_COLUMNS ", " LISTED_COLUMNS ", " KNOWN_COLUMNS
                      " FROM scan s LEFT JOIN listing l USING (key) LEFT JOIN object o USING (key)"
                      " ORDER BY s.key",
                      error);
}

static void
read_comparison (sqlite3_stmt *statement, KpComparison *row)
{
  int column = N_SCAN_COLUMNS;

  read_scanned (statement, 0, &row->local);
  row->listed_size = kp_sql_column_number (statement, column);
  row->listed_etag = g_strdup ((const char *) sqlite3_column_text (statement, column + 1));
  row->listed = row->listed_etag != NULL;
  row->listed_modified = sqlite3_column_int64 (statement, column + 2);
  row->has_known = read_known (statement, column + N_LISTED_COLUMNS, &row->known);
}

int
kp_cursor_next_comparison (KpCursor *cursor, KpComparison *row, GError **error)
{
  *row = (KpComparison){ 0 };
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    read_comparison (cursor->statement, row);
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

/**
 * kp_catalogue_list_changes:
 * @first: the first kind of action to list
 * @last: the last one
 *
 * Goes through the change set in the order in which it was made.
 */
KpCursor *
kp_catalogue_list_changes (KpCatalogue *catalogue, KpAction first, KpAction last, GError **error)
{
  g_autofree char *text = g_strdup_printf (
      "SELECT c.action, c.bytes, c.from_key, c.key, " SCAN_COLUMNS ", " KNOWN_COLUMNS
      ", c.seq, l.storage_class, l.etag, k.etag, k.size, k.storage_class"
      " FROM change c LEFT JOIN scan s USING (key)"
      " LEFT JOIN object o ON o.key = coalesce(c.from_key, c.key)"
      " LEFT JOIN listing l ON l.key = coalesce(c.from_key, c.key)"
      " LEFT JOIN listing k ON k.key = c.key"
      " WHERE c.seq > ? AND c.action BETWEEN %d AND %d ORDER BY c.seq LIMIT %d",
      (int) first, (int) last, READ_AHEAD);

  return open_cursor (catalogue, text, error);
}

/* NULL for the usual one. */
static char *
read_class (sqlite3_stmt *statement, int column)
{
  const char *storage_class = (const char *) sqlite3_column_text (statement, column);

  return g_strcmp0 (storage_class, "STANDARD") != 0 ? g_strdup (storage_class) : NULL;
}

static gboolean
read_changes_ahead (KpCursor *cursor, GError **error)
{
  sqlite3_stmt *statement = cursor->statement;
  int result;

  sqlite3_bind_int64 (statement, 1, cursor->last_seq);
  while ((result = step (cursor, error)) == 1)
    {
      KpChange *row = g_new0 (KpChange, 1);
      row->action = (KpAction) sqlite3_column_int (statement, 0);
      row->bytes = kp_sql_column_number (statement, 1);
      row->from_key = kp_sql_column_bytes (statement, 2);
      read_scanned (statement, 4, &row->local);
      if (row->local.key == NULL)
        row->local.key = kp_sql_column_bytes (statement, 3);
      int column = 4 + N_SCAN_COLUMNS;
      row->has_known = read_known (statement, column, &row->known);
      column += N_KNOWN_COLUMNS;
      cursor->last_seq = sqlite3_column_int64 (statement, column);
      row->storage_class = read_class (statement, column + 1);
      row->listed_etag = g_strdup ((const char *) sqlite3_column_text (statement, column + 2));
      row->old.etag = g_strdup ((const char *) sqlite3_column_text (statement, column + 3));
      row->old.size = kp_sql_column_number (statement, column + 4);
      row->old.storage_class = read_class (statement, column + 5);
      g_queue_push_tail (&cursor->ahead, row);
    }
  sqlite3_reset (statement);
  cursor->at_end = cursor->ahead.length < READ_AHEAD;
  return result == 0;
}

int
kp_cursor_next_change (KpCursor *cursor, KpChange *row, GError **error)
{
  gboolean ok = TRUE;

  *row = (KpChange){ 0 };
  if (cursor->ahead.length == 0 && !cursor->at_end)
    {
      g_rec_mutex_lock (&cursor->catalogue->lock);
      ok = read_changes_ahead (cursor, error);
      g_rec_mutex_unlock (&cursor->catalogue->lock);
    }
  if (!ok)
    return -1;

  g_autofree KpChange *next = g_queue_pop_head (&cursor->ahead);
  if (next == NULL)
    return 0;
  *row = *next;
  return 1;
}

/**
 * kp_catalogue_list_vanished:
 *
 * Goes through the keys that are in the listing and not in the scan, for
 * kp_cursor_next_vanished().
 */
KpCursor *
kp_catalogue_list_vanished (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT l.key, o.key IS NOT NULL OR ifnull(d.asked, 0), d.key IS NOT NULL"
                      " FROM listing l"
                      " LEFT JOIN scan s ON s.key = l.key"
                      " LEFT JOIN object o ON o.key = l.key AND o.etag = l.etag"
                      " LEFT JOIN doomed d ON d.key = l.key AND d.etag = l.etag"
                      " WHERE s.key IS NULL ORDER BY l.key",
                      error);
}

/**
 * kp_cursor_next_vanished:
 *
 * Returns: as kp_cursor_next_key()
 */
int
kp_cursor_next_vanished (KpCursor *cursor, char **key, KpVanished *vanished, GError **error)
{
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = kp_cursor_next_key (cursor, key, error);
  vanished->is_remembered = result == 1 && sqlite3_column_int (cursor->statement, 1) != 0;
  vanished->was_gone = result == 1 && sqlite3_column_int (cursor->statement, 2) != 0;
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

int
kp_cursor_next_key (KpCursor *cursor, char **key, GError **error)
{
  *key = NULL;
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    *key = kp_sql_column_bytes (cursor->statement, 0);
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

/**
 * kp_catalogue_list_linked:
 *
 * Returns: (transfer full): all of kp_catalogue_add_linked(), those of one file together, or %NULL
 */
KpCursor *
kp_catalogue_list_linked (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue, "SELECT name, path, is_new FROM linked ORDER BY name, path",
                      error);
}

/**
 * kp_cursor_next_linked:
 *
 * Returns: 1 with the next one, 0 at the end, -1 with an error
 */
int
kp_cursor_next_linked (KpCursor *cursor, char **name, char **path, gboolean *is_new, GError **error)
{
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    {
      *name = g_strdup ((const char *) sqlite3_column_text (cursor->statement, 0));
      *path = kp_sql_column_bytes (cursor->statement, 1);
      *is_new = sqlite3_column_int (cursor->statement, 2) != 0;
    }
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

/**
 * kp_catalogue_list_listed:
 *
 * Goes through the listing in the order of keys.
 */
KpCursor *
kp_catalogue_list_listed (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT l.key, l.size, p.stored, l.storage_class, p.version_id, p.from_key,"
                      " l.etag FROM listing l LEFT JOIN past p USING (key) ORDER BY l.key",
                      error);
}

int
kp_cursor_next_listed (KpCursor *cursor, KpListed *row, GError **error)
{
  sqlite3_stmt *statement = cursor->statement;

  *row = (KpListed){ 0 };
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    {
      row->key = kp_sql_column_bytes (statement, 0);
      row->size = kp_sql_column_number (statement, 1);
      row->stored = sqlite3_column_int64 (statement, 2) / G_USEC_PER_SEC;
      row->storage_class = g_strdup ((const char *) sqlite3_column_text (statement, 3));
      row->version_id = g_strdup ((const char *) sqlite3_column_text (statement, 4));
      row->from_key = kp_sql_column_bytes (statement, 5);
      row->etag = g_strdup ((const char *) sqlite3_column_text (statement, 6));
    }
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

void
kp_listed_clear (KpListed *row)
{
  g_free (row->key);
  g_free (row->etag);
  g_free (row->storage_class);
  g_free (row->version_id);
  g_free (row->from_key);
}

/**
 * kp_catalogue_list_known_backwards:
 *
 * Goes through the objects from the last key to the first: what lies in a folder comes before it.
 */
KpCursor *
kp_catalogue_list_known_backwards (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT " KNOWN_COLUMNS ", o.key FROM object o ORDER BY o.key DESC", error);
}

int
kp_cursor_next_known (KpCursor *cursor, char **key, KpKnown *known, GError **error)
{
  *key = NULL;
  *known = (KpKnown){ 0 };
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    {
      read_known (cursor->statement, 0, known);
      *key = kp_sql_column_bytes (cursor->statement, N_KNOWN_COLUMNS);
    }
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

/**
 * kp_catalogue_list_candidates:
 *
 * Goes through what kp_catalogue_find_candidates() has found, in the order in which it is to be
 * looked at.
 */
KpCursor *
kp_catalogue_list_candidates (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT " SCAN_COLUMNS ", " LISTED_COLUMNS ", " KNOWN_COLUMNS
                      ", c.key, coalesce(p.offset, 0), d.key IS NOT NULL"
                      " FROM candidate c JOIN listing l USING (key) LEFT JOIN scan s USING (key)"
                      " LEFT JOIN object o USING (key) LEFT JOIN damaged d USING (key)"
                      " LEFT JOIN proof p ON p.key = c.key AND p.etag = l.etag ORDER BY c.seq",
                      error);
}

/**
 * kp_catalogue_list_damaged:
 *
 * Goes through the objects of the listing that are marked as damaged, whether they can be compared
 * with something or not. For kp_cursor_next_candidate(), too.
 */
KpCursor *
kp_catalogue_list_damaged (KpCatalogue *catalogue, GError **error)
{
  return open_cursor (catalogue,
                      "SELECT " SCAN_COLUMNS ", " LISTED_COLUMNS ", " KNOWN_COLUMNS ", d.key, 0, 1"
                      " FROM damaged d JOIN listing l USING (key) LEFT JOIN scan s USING (key)"
                      " LEFT JOIN object o USING (key) ORDER BY d.key",
                      error);
}

int
kp_cursor_next_candidate (KpCursor *cursor, KpCandidate *candidate, GError **error)
{
  KpComparison *row = &candidate->row;
  int column = N_SCAN_COLUMNS + N_LISTED_COLUMNS + N_KNOWN_COLUMNS;

  *candidate = (KpCandidate){ 0 };
  g_rec_mutex_lock (&cursor->catalogue->lock);
  int result = step (cursor, error);
  if (result == 1)
    {
      read_comparison (cursor->statement, row);
      if (row->local.key == NULL)
        row->local.key = kp_sql_column_bytes (cursor->statement, column);
      candidate->offset = kp_sql_column_number (cursor->statement, column + 1);
      candidate->is_damaged = sqlite3_column_int (cursor->statement, column + 2) != 0;
    }
  g_rec_mutex_unlock (&cursor->catalogue->lock);
  return result;
}

/**
 * kp_catalogue_list_lost:
 * @first: the first key to look at
 * @end: the key behind the last
 *
 * Goes through the keys of objects that are neither in the scan nor in the listing.
 */
KpCursor *
kp_catalogue_list_lost (KpCatalogue *catalogue, const char *first, const char *end, GError **error)
{
  KpCursor *cursor = open_cursor (catalogue,
                                  "SELECT o.key FROM object o LEFT JOIN listing l USING (key)"
                                  " LEFT JOIN scan s USING (key) WHERE o.key >= ? AND o.key < ?"
                                  " AND l.key IS NULL AND s.key IS NULL ORDER BY o.key",
                                  error);

  if (cursor == NULL)
    return NULL;
  /* The texts need not live as long as the cursor. */
  sqlite3_bind_blob64 (cursor->statement, 1, first, strlen (first), SQLITE_TRANSIENT);
  sqlite3_bind_blob64 (cursor->statement, 2, end, strlen (end), SQLITE_TRANSIENT);
  return cursor;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-record.h"

#include "kp-catalogue-private.h"

#include <string.h>
#include <sys/stat.h>

struct _KpRecord
{
  sqlite3 *db;
  sqlite3_stmt *find;
  sqlite3_stmt *chunks;
  sqlite3_stmt *next;
};

/* A catalogue of another version has other columns: then the statements cannot be prepared, and
 * nothing is known. */
static KpRecord *
open_file (const char *path)
{
  static const char find[] = "SELECT etag, size, mode, mtime, sha256 FROM object WHERE key = ?";
  static const char chunks[]
      = "SELECT c.offset, c.length, c.sha256 FROM chunked k JOIN chunk c ON c.object = k.id"
        " WHERE k.key = ? AND k.etag = ? ORDER BY c.offset";
  static const char next[]
      = "SELECT key FROM object WHERE key > ? AND key >= ? ORDER BY key LIMIT 1";
  g_autoptr (KpRecord) record = g_new0 (KpRecord, 1);

  if (sqlite3_open_v2 (path, &record->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL)
          == SQLITE_OK
      && sqlite3_prepare_v2 (record->db, find, -1, &record->find, NULL) == SQLITE_OK
      && sqlite3_prepare_v2 (record->db, chunks, -1, &record->chunks, NULL) == SQLITE_OK
      && sqlite3_prepare_v2 (record->db, next, -1, &record->next, NULL) == SQLITE_OK)
    return g_steal_pointer (&record);
  g_debug ("Cannot ask %s: %s", path, sqlite3_errmsg (record->db));
  return NULL;
}

/* When it was written to last; -1 where it is not there. */
static gint64
get_time (const char *path)
{
  g_autofree char *log = g_strconcat (path, "-wal", NULL);
  struct stat st;
  struct stat log_st;

  if (stat (path, &st) < 0)
    return -1;
  return stat (log, &log_st) == 0 ? MAX (st.st_mtim.tv_sec, log_st.st_mtim.tv_sec)
                                  : st.st_mtim.tv_sec;
}

/**
 * kp_record_open:
 * @state_dir: of the mirrors
 * @location: of a mirror, or something in it
 *
 * For one thread. Where mirrors lie in one another, the one that was written to last knows best.
 *
 * Returns: (transfer full) (nullable): %NULL where nothing is recorded
 */
KpRecord *
kp_record_open (const char *state_dir, KpS3Location *location)
{
  g_autofree char *prefix = g_strdup (kp_s3_location_get_prefix (location));
  g_autofree char *newest = NULL;
  gint64 newest_time = -1;

  for (;;)
    {
      g_autoptr (KpS3Location) mirror = kp_s3_location_with_prefix (location, prefix);
      g_autofree char *path = kp_catalogue_dup_path (state_dir, mirror);
      gint64 time = get_time (path);
      char *slash = strrchr (prefix, '/');

      if (time > newest_time)
        {
          newest_time = time;
          g_free (newest);
          newest = g_steal_pointer (&path);
        }
      if (*prefix == '\0')
        return newest != NULL ? open_file (newest) : NULL;
      *(slash != NULL ? slash : prefix) = '\0';
    }
}

void
kp_record_free (KpRecord *record)
{
  sqlite3_finalize (record->find);
  sqlite3_finalize (record->chunks);
  sqlite3_finalize (record->next);
  sqlite3_close (record->db);
  g_free (record);
}

/**
 * kp_record_find:
 * @known: (out): only ETag, size, mode, mtime and SHA-256
 *
 * Returns: whether the object was stored, or looked at, by this computer
 */
gboolean
kp_record_find (KpRecord *record, const char *key, KpKnown *known)
{
  *known = (KpKnown){ 0 };
  kp_sql_bind_bytes (record->find, 1, key);
  gboolean found = sqlite3_step (record->find) == SQLITE_ROW;
  if (found)
    {
      known->etag = g_strdup ((const char *) sqlite3_column_text (record->find, 0));
      known->info.size = kp_sql_column_number (record->find, 1);
      known->info.mode = kp_sql_column_u32 (record->find, 2);
      known->info.mtime = sqlite3_column_int64 (record->find, 3);
      known->sha256 = kp_sql_column_gbytes (record->find, 4);
    }
  sqlite3_reset (record->find);
  return found;
}

/**
 * kp_record_find_chunks:
 * @etag: as recorded
 *
 * Returns: (transfer full) (nullable) (element-type KpChunk): the pieces of a large file, which is
 *   not hashed as a whole; %NULL where they are not known
 */
GArray *
kp_record_find_chunks (KpRecord *record, const char *key, const char *etag)
{
  g_autoptr (GArray) chunks = g_array_new (FALSE, FALSE, sizeof (KpChunk));

  kp_sql_bind_bytes (record->chunks, 1, key);
  kp_sql_bind_text (record->chunks, 2, etag);
  while (sqlite3_step (record->chunks) == SQLITE_ROW)
    {
      KpChunk chunk;
      if (!kp_catalogue_read_chunk (record->chunks, &chunk))
        break;
      g_array_append_val (chunks, chunk);
    }
  sqlite3_reset (record->chunks);
  return chunks->len > 0 ? g_steal_pointer (&chunks) : NULL;
}

/**
 * kp_record_next:
 * @prefix: of the keys
 * @after: (nullable): the key before
 *
 * Returns: (transfer full) (nullable): the next key that is recorded
 */
char *
kp_record_next (KpRecord *record, const char *prefix, const char *after)
{
  g_autofree char *key = NULL;

  kp_sql_bind_bytes (record->next, 1, after != NULL ? after : "");
  kp_sql_bind_bytes (record->next, 2, prefix);
  if (sqlite3_step (record->next) == SQLITE_ROW)
    key = kp_sql_column_bytes (record->next, 0);
  sqlite3_reset (record->next);
  return key != NULL && g_str_has_prefix (key, prefix) ? g_steal_pointer (&key) : NULL;
}

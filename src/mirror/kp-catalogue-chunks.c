/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* What is inside of large objects, which contents the bucket has, and uploads that were begun. */

#include "kp-catalogue-private.h"

#include <string.h>

static gboolean
exists (KpCatalogue *catalogue, sqlite3_stmt *statement, gboolean *found, GError **error)
{
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);

  sqlite3_reset (statement);
  return ok;
}

/* The lock is held. */
static gboolean
replace_chunks (KpCatalogue *catalogue,
                const char *key,
                const char *etag,
                GArray *chunks,
                GError **error)
{
  sqlite3_stmt *add_chunked = catalogue->statements[STATEMENT_ADD_CHUNKED];
  sqlite3_stmt *add_chunk = catalogue->statements[STATEMENT_ADD_CHUNK];
  sqlite3_stmt *drop_orphans = catalogue->statements[STATEMENT_DROP_ORPHANS];

  if (!kp_catalogue_run_for_key (catalogue, STATEMENT_DROP_CHUNKS, key, error)
      || !kp_catalogue_run_for_key (catalogue, STATEMENT_DROP_CHUNKED, key, error))
    return FALSE;
  kp_sql_bind_bytes (add_chunked, 1, key);
  kp_sql_bind_text (add_chunked, 2, etag);
  if (!kp_catalogue_run (catalogue, add_chunked, error))
    return FALSE;
  /* SQLite gives an id out again, and chunks of the one before may be there: of a catalogue that an
   * older version wrote. */
  sqlite3_int64 id = sqlite3_last_insert_rowid (catalogue->db);
  sqlite3_bind_int64 (drop_orphans, 1, id);
  gboolean ok = kp_catalogue_run (catalogue, drop_orphans, error);
  for (guint i = 0; i < chunks->len && ok; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      sqlite3_bind_int64 (add_chunk, 1, id);
      kp_sql_bind_number (add_chunk, 2, chunk->offset);
      kp_sql_bind_number (add_chunk, 3, chunk->length);
      sqlite3_bind_blob (add_chunk, 4, chunk->sha256, sizeof chunk->sha256, SQLITE_STATIC);
      ok = kp_catalogue_run (catalogue, add_chunk, error);
    }
  return ok;
}

static gboolean
execute (KpCatalogue *catalogue, const char *text, GError **error)
{
  return sqlite3_exec (catalogue->db, text, NULL, NULL, NULL) == SQLITE_OK
         || kp_catalogue_set_error (catalogue, error);
}

/* Ends a savepoint with all or nothing of what came after it. @error is set already where @ok is
 * FALSE. */
static gboolean
end_savepoint (KpCatalogue *catalogue, gboolean ok, GError **error)
{
  if (!ok)
    execute (catalogue, "ROLLBACK TO chunks", NULL);
  return execute (catalogue, "RELEASE chunks", ok ? error : NULL) && ok;
}

/**
 * kp_catalogue_put_chunks:
 * @etag: of the object that @chunks describe
 * @chunks: (element-type KpChunk): all of its chunks, in order
 *
 * Records the insides of an object, once the server has confirmed it. All of them or nothing, also
 * where a transaction is committed after a failure: copies are made by such a list, and bytes that
 * it does not tell of would count as proved.
 */
gboolean
kp_catalogue_put_chunks (KpCatalogue *catalogue,
                         const char *key,
                         const char *etag,
                         GArray *chunks,
                         GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok
      = execute (catalogue, "SAVEPOINT chunks", error)
        && end_savepoint (catalogue, replace_chunks (catalogue, key, etag, chunks, error), error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_read_chunk:
 * @statement: stands at a row of offset, length and SHA-256
 *
 * Returns: whether there is a SHA-256; else it is all zeros
 */
gboolean
kp_catalogue_read_chunk (sqlite3_stmt *statement, KpChunk *chunk)
{
  const void *hash = sqlite3_column_blob (statement, 2);

  *chunk = (KpChunk){ .offset = kp_sql_column_number (statement, 0),
                      .length = kp_sql_column_u32 (statement, 1) };
  if (hash == NULL || sqlite3_column_bytes (statement, 2) != sizeof chunk->sha256)
    return FALSE;
  memcpy (chunk->sha256, hash, sizeof chunk->sha256);
  return TRUE;
}

/* The statement is bound and the lock held. */
static GArray *
read_chunks (KpCatalogue *catalogue, sqlite3_stmt *statement, GError **error)
{
  g_autoptr (GArray) chunks = g_array_new (FALSE, TRUE, sizeof (KpChunk));
  int result;

  while ((result = sqlite3_step (statement)) == SQLITE_ROW)
    {
      KpChunk chunk;
      kp_catalogue_read_chunk (statement, &chunk);
      g_array_append_val (chunks, chunk);
    }
  if (result != SQLITE_DONE)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_reset (statement);
  return result == SQLITE_DONE ? g_steal_pointer (&chunks) : NULL;
}

/**
 * kp_catalogue_get_chunks:
 * @etag: of the object as it is now
 *
 * Returns: (transfer full) (element-type KpChunk): its chunks in order; empty where they are not
 * known
 */
GArray *
kp_catalogue_get_chunks (KpCatalogue *catalogue, const char *key, const char *etag, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_GET_CHUNKS];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_text (statement, 2, etag);
  GArray *chunks = read_chunks (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return chunks;
}

/**
 * kp_catalogue_put_new_chunks:
 *
 * Keeps the chunks of a local file from comparing until it is transferred.
 */
gboolean
kp_catalogue_put_new_chunks (KpCatalogue *catalogue,
                             const char *key,
                             GArray *chunks,
                             GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_ADD_NEW_CHUNK];

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run_for_key (catalogue, STATEMENT_DROP_NEW_CHUNKS, key, error);
  for (guint i = 0; i < chunks->len && ok; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      kp_sql_bind_bytes (statement, 1, key);
      kp_sql_bind_number (statement, 2, chunk->offset);
      kp_sql_bind_number (statement, 3, chunk->length);
      sqlite3_bind_blob (statement, 4, chunk->sha256, sizeof chunk->sha256, SQLITE_STATIC);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_get_new_chunks:
 *
 * Returns: (transfer full) (element-type KpChunk): what kp_catalogue_put_new_chunks() kept; empty
 * when nothing
 */
GArray *
kp_catalogue_get_new_chunks (KpCatalogue *catalogue, const char *key, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_GET_NEW_CHUNKS];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  GArray *chunks = read_chunks (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return chunks;
}

/**
 * kp_catalogue_find_chunk:
 * @key: (out) (nullable): an object that has the chunk, and that the listing shows unchanged; %NULL
 * for none
 * @etag: (out) (nullable): its ETag
 */
gboolean
kp_catalogue_find_chunk (KpCatalogue *catalogue,
                         const guint8 *sha256,
                         char **key,
                         char **etag,
                         GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_FIND_CHUNK];
  gboolean found;

  *key = NULL;
  *etag = NULL;
  g_rec_mutex_lock (&catalogue->lock);
  sqlite3_bind_blob (statement, 1, sha256, KP_CHUNK_HASH_SIZE, SQLITE_STATIC);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, &found, error);
  if (ok && found)
    {
      *key = kp_sql_column_bytes (statement, 0);
      *etag = g_strdup ((const char *) sqlite3_column_text (statement, 1));
    }
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_has_chunks (KpCatalogue *catalogue, gboolean *found, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = exists (catalogue, catalogue->statements[STATEMENT_HAS_CHUNKS], found, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_has_content:
 * @found: (out): whether any object of @size bytes has a known hash, so that hashing a new file of
 *   that size can pay
 */
gboolean
kp_catalogue_has_content (KpCatalogue *catalogue, guint64 size, gboolean *found, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_HAS_CONTENT];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_number (statement, 1, size);
  gboolean ok = exists (catalogue, statement, found, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_find_content:
 * @key: (out) (nullable): an object with these bytes that the listing shows unchanged; rather one
 * whose file is gone; %NULL for none
 * @is_vanished: (out): whether its file is gone
 */
gboolean
kp_catalogue_find_content (KpCatalogue *catalogue,
                           guint64 size,
                           GBytes *sha256,
                           char **key,
                           gboolean *is_vanished,
                           GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_FIND_CONTENT];
  gboolean found;

  *key = NULL;
  *is_vanished = FALSE;
  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_number (statement, 1, size);
  kp_sql_bind_gbytes (statement, 2, sha256);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, &found, error);
  if (ok && found)
    {
      *key = kp_sql_column_bytes (statement, 0);
      *is_vanished = sqlite3_column_int (statement, 1) != 0;
    }
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_is_scanned (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_IS_SCANNED, key, found, error);
}

/**
 * kp_catalogue_is_renamed:
 * @found: (out): whether the change set copies the object @key to a new name of the same file
 */
gboolean
kp_catalogue_is_renamed (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_IS_RENAMED, key, found, error);
}

/**
 * kp_catalogue_set_rename_done:
 * @from_key: the old name
 * @key: the new one, under which the file is stored now
 */
gboolean
kp_catalogue_set_rename_done (KpCatalogue *catalogue,
                              const char *from_key,
                              const char *key,
                              GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_RENAME_DONE];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, from_key);
  kp_sql_bind_bytes (statement, 2, key);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_is_rename_open:
 * @open: (out): whether the object @key was to be copied to a new name, and under none of those the
 *   file is stored
 */
gboolean
kp_catalogue_is_rename_open (KpCatalogue *catalogue,
                             const char *key,
                             gboolean *open,
                             GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_RENAME_OPEN, key, open, error);
}

/**
 * kp_catalogue_add_doubts:
 *
 * To be called before copies that cannot be pinned are made: until each is recorded, the object
 * under its key may have our headers and somebody else's bytes.
 */
gboolean
kp_catalogue_add_doubts (KpCatalogue *catalogue, GError **error)
{
  G_STATIC_ASSERT (KP_ACTION_RENAME == 0 && KP_ACTION_COPY == 1 && KP_ACTION_METADATA == 5
                   && KP_ACTION_LINK == 6);

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run (catalogue, catalogue->statements[STATEMENT_ADD_DOUBTS], error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_is_doubted:
 * @found: (out): whether a job ended between kp_catalogue_add_doubts() and the record of this key
 */
gboolean
kp_catalogue_is_doubted (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_IS_DOUBTED, key, found, error);
}

gboolean
kp_catalogue_remove_doubt (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_DOUBT, key, error);
}

/**
 * kp_catalogue_sweep_chunks:
 *
 * Forgets the insides of objects that are no more, or are other ones now. In one transaction:
 * chunks without an object would become those of the next one that gets its id.
 */
gboolean
kp_catalogue_sweep_chunks (KpCatalogue *catalogue, GError **error)
{
  static const char text[] = "DELETE FROM chunked WHERE NOT EXISTS (SELECT 1 FROM object o"
                             " WHERE o.key = chunked.key AND o.etag = chunked.etag);"
                             "DELETE FROM chunk WHERE object NOT IN (SELECT id FROM chunked);";

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = execute (catalogue, "SAVEPOINT chunks", error)
                && end_savepoint (catalogue, execute (catalogue, text, error), error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_put_beginning:
 * @time: the server's, in Unix seconds
 *
 * Remembers that an upload is about to be begun. If the job is killed before the server's answer is
 * recorded, this is all that tells of it.
 */
gboolean
kp_catalogue_put_beginning (KpCatalogue *catalogue, const char *key, gint64 time, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_BEGINNING];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_number (statement, 2, (guint64) time);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_remove_beginning (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_BEGINNING, key, error);
}

KpBeginning *
kp_beginning_copy (const KpBeginning *beginning)
{
  KpBeginning *copy = g_new (KpBeginning, 1);

  copy->key = g_strdup (beginning->key);
  copy->time = beginning->time;
  return copy;
}

void
kp_beginning_free (KpBeginning *beginning)
{
  g_free (beginning->key);
  g_free (beginning);
}

/**
 * kp_catalogue_list_beginnings:
 *
 * Returns: (transfer full) (element-type KpBeginning): what earlier jobs left of
 *   kp_catalogue_put_beginning()
 */
GPtrArray *
kp_catalogue_list_beginnings (KpCatalogue *catalogue, GError **error)
{
  g_autoptr (GPtrArray) beginnings
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_beginning_free);
  sqlite3_stmt *statement = NULL;
  int result = SQLITE_ERROR;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, "SELECT key, time FROM beginning", -1, &statement, NULL)
      == SQLITE_OK)
    while ((result = sqlite3_step (statement)) == SQLITE_ROW)
      {
        KpBeginning *beginning = g_new (KpBeginning, 1);
        beginning->key = kp_sql_column_bytes (statement, 0);
        beginning->time = sqlite3_column_int64 (statement, 1);
        g_ptr_array_add (beginnings, beginning);
      }
  if (result != SQLITE_DONE)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return result == SQLITE_DONE ? g_steal_pointer (&beginnings) : NULL;
}

/**
 * kp_catalogue_put_upload:
 *
 * Remembers an upload, so that a later job can go on with it, or end it. It is no beginning any
 * more.
 */
gboolean
kp_catalogue_put_upload (KpCatalogue *catalogue, const KpUploadRow *upload, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_UPLOAD];

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok
      = kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_BEGINNING, upload->key, error)
        && kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_UPLOAD_PARTS, upload->key, error);
  kp_sql_bind_bytes (statement, 1, upload->key);
  kp_sql_bind_text (statement, 2, upload->upload_id);
  kp_sql_bind_number (statement, 3, upload->info.size);
  kp_sql_bind_number (statement, 4, (guint64) upload->info.mtime);
  kp_sql_bind_number (statement, 5, (guint64) upload->info.ctime);
  kp_sql_bind_number (statement, 6, upload->info.ino);
  kp_sql_bind_text (statement, 7, upload->layout);
  ok = ok && kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

static KpUploadRow *
read_upload (sqlite3_stmt *statement)
{
  KpUploadRow *upload = g_new0 (KpUploadRow, 1);

  upload->key = kp_sql_column_bytes (statement, 0);
  upload->upload_id = g_strdup ((const char *) sqlite3_column_text (statement, 1));
  upload->info.mode = S_IFREG;
  upload->info.size = kp_sql_column_number (statement, 2);
  upload->info.mtime = sqlite3_column_int64 (statement, 3);
  upload->info.ctime = sqlite3_column_int64 (statement, 4);
  upload->info.ino = kp_sql_column_number (statement, 5);
  upload->layout = g_strdup ((const char *) sqlite3_column_text (statement, 6));
  return upload;
}

void
kp_upload_row_free (KpUploadRow *upload)
{
  g_free (upload->key);
  g_free (upload->upload_id);
  g_free (upload->layout);
  g_free (upload);
}

/**
 * kp_catalogue_get_upload:
 *
 * Returns: (transfer full) (nullable): the upload that was begun for @key; %NULL without @error for
 *   none
 */
KpUploadRow *
kp_catalogue_get_upload (KpCatalogue *catalogue, const char *key, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_GET_UPLOAD];
  KpUploadRow *upload = NULL;
  gboolean found;

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  if (kp_catalogue_fetch (catalogue, statement, &found, error) && found)
    upload = read_upload (statement);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return upload;
}

/**
 * kp_catalogue_list_stale_uploads:
 *
 * @larger_than: bytes; what is sent of files that are not larger needs no upload
 *
 * Returns: (transfer full) (element-type KpUploadRow): uploads that were begun for files which this
 * job is not going to send in parts
 */
GPtrArray *
kp_catalogue_list_stale_uploads (KpCatalogue *catalogue, guint64 larger_than, GError **error)
{
  static const char text[]
      = "SELECT key, upload_id, size, mtime, ctime, ino, layout FROM upload WHERE key NOT IN"
        " (SELECT key FROM change JOIN scan USING (key) WHERE action BETWEEN ? AND ?"
        " AND scan.size > ?)";
  g_autoptr (GPtrArray) uploads
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_upload_row_free);
  sqlite3_stmt *statement = NULL;
  int result = SQLITE_ERROR;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) == SQLITE_OK)
    {
      sqlite3_bind_int (statement, 1, KP_ACTION_ASSEMBLE);
      sqlite3_bind_int (statement, 2, KP_ACTION_DELTA);
      kp_sql_bind_number (statement, 3, larger_than);
      while ((result = sqlite3_step (statement)) == SQLITE_ROW)
        g_ptr_array_add (uploads, read_upload (statement));
    }
  if (result != SQLITE_DONE)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return result == SQLITE_DONE ? g_steal_pointer (&uploads) : NULL;
}

gboolean
kp_catalogue_remove_upload (KpCatalogue *catalogue, const char *key, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_BEGINNING, key, error)
                && kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_UPLOAD, key, error)
                && kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_UPLOAD_PARTS, key, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_put_upload_part (KpCatalogue *catalogue,
                              const char *key,
                              unsigned number,
                              const char *etag,
                              GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_UPLOAD_PART];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_number (statement, 2, number);
  kp_sql_bind_text (statement, 3, etag);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_get_upload_parts:
 *
 * Returns: (transfer full): the ETags of the parts that the server confirmed, by their numbers
 */
GHashTable *
kp_catalogue_get_upload_parts (KpCatalogue *catalogue, const char *key, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_GET_UPLOAD_PARTS];
  g_autoptr (GHashTable) parts = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  int result;

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  while ((result = sqlite3_step (statement)) == SQLITE_ROW)
    g_hash_table_insert (parts, GUINT_TO_POINTER (kp_sql_column_u32 (statement, 0)),
                         g_strdup ((const char *) sqlite3_column_text (statement, 1)));
  if (result != SQLITE_DONE)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return result == SQLITE_DONE ? g_steal_pointer (&parts) : NULL;
}

/**
 * kp_catalogue_get_split_keys:
 * @prefix: key text
 * @n: how many pieces
 *
 * Returns: (transfer full) (element-type utf8): up to @n - 1 known keys that cut what is known
 *   below @prefix into pieces of about the same number of objects
 */
GPtrArray *
kp_catalogue_get_split_keys (KpCatalogue *catalogue, const char *prefix, unsigned n, GError **error)
{
  sqlite3_stmt *count = catalogue->statements[STATEMENT_COUNT_KNOWN_IN];
  sqlite3_stmt *skip = catalogue->statements[STATEMENT_SKIP_KNOWN_IN];
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  /* No byte of UTF-8 is 0xFF, so this is behind all keys with the prefix. */
  g_autofree char *end = g_strconcat (prefix, "\xFF", NULL);
  gboolean found;

  if (n <= 1)
    return g_steal_pointer (&keys);
  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (count, 1, prefix);
  kp_sql_bind_bytes (count, 2, end);
  gboolean ok = kp_catalogue_fetch (catalogue, count, &found, error);
  guint64 left = ok ? kp_sql_column_number (count, 0) : 0;
  sqlite3_reset (count);

  /* The last of each piece, from that of the piece before. SQLite only counts what it skips; to
   * number all keys, it would write them all down first. */
  guint64 length = left / n + 1;
  for (; ok && left >= length; left -= length)
    {
      gboolean is_first = keys->len == 0;
      const char *from = is_first ? prefix : g_ptr_array_index (keys, keys->len - 1);
      kp_sql_bind_bytes (skip, 1, from);
      kp_sql_bind_bytes (skip, 2, end);
      kp_sql_bind_number (skip, 3, is_first ? length - 1 : length);
      ok = kp_catalogue_fetch (catalogue, skip, &found, error);
      if (ok && found)
        g_ptr_array_add (keys, kp_sql_column_bytes (skip, 0));
      sqlite3_reset (skip);
    }
  g_rec_mutex_unlock (&catalogue->lock);
  return ok ? g_steal_pointer (&keys) : NULL;
}

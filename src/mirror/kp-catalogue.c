/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "config.h"

#include "kp-catalogue-private.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA_VERSION 5

/* An older file that lacks only tables, or columns: it gets them, and keeps what it knows. */
#define OLDEST_VERSION 2

/* The parts of docs/formats.md, "The catalogue". Keys and paths are BLOBs: they compare byte by
 * byte, which is the order of S3 listings.
 *
 * WAL with synchronous=NORMAL: a commit survives kill -9, as it is in the page cache; a power cut
 * may take the last commits, but leaves the file sound. What is lost so is known to the bucket: the
 * next job sees an object it has no row for and looks at it with a HEAD. An fsync for each file
 * would make ten thousand small files wait for the disk ten thousand times. */
static const char schema[]
    = "PRAGMA journal_mode = WAL;"
      "PRAGMA synchronous = NORMAL;"
      "PRAGMA temp_store = FILE;"
      "PRAGMA cache_size = -4096;"
      "PRAGMA temp.cache_size = -8192;"
      "CREATE TABLE IF NOT EXISTS object ("
      "  key BLOB PRIMARY KEY, etag TEXT NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL,"
      "  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mtime INTEGER NOT NULL,"
      "  ctime INTEGER NOT NULL, ino INTEGER NOT NULL, rdev INTEGER NOT NULL,"
      "  sha256 BLOB, xattrs BLOB, xattrs_left_out INTEGER NOT NULL, hard_link TEXT,"
      "  stored INTEGER NOT NULL DEFAULT 0)"
      "  WITHOUT ROWID;"
      "CREATE INDEX IF NOT EXISTS object_by_content ON object (size, sha256)"
      "  WHERE sha256 IS NOT NULL;"
      "CREATE TABLE IF NOT EXISTS chunked ("
      "  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, etag TEXT NOT NULL);"
      "CREATE TABLE IF NOT EXISTS chunk ("
      "  object INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,"
      "  sha256 BLOB NOT NULL, PRIMARY KEY (object, offset)) WITHOUT ROWID;"
      "CREATE INDEX IF NOT EXISTS chunk_by_hash ON chunk (sha256);"
      "CREATE TABLE IF NOT EXISTS doubt (key BLOB PRIMARY KEY) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS beginning (key BLOB PRIMARY KEY, time INTEGER NOT NULL)"
      "  WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS upload ("
      "  key BLOB PRIMARY KEY, upload_id TEXT NOT NULL, size INTEGER NOT NULL,"
      "  mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, ino INTEGER NOT NULL,"
      "  layout TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS upload_part ("
      "  key BLOB NOT NULL, number INTEGER NOT NULL, etag TEXT NOT NULL,"
      "  PRIMARY KEY (key, number)) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS root ("
      "  path BLOB PRIMARY KEY, dev INTEGER NOT NULL, fsid INTEGER NOT NULL,"
      "  is_mount_point INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS proof ("
      "  key BLOB PRIMARY KEY, etag TEXT NOT NULL, proved INTEGER NOT NULL,"
      "  looked INTEGER NOT NULL, offset INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS damaged (key BLOB PRIMARY KEY) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS doomed ("
      "  key BLOB PRIMARY KEY, etag TEXT NOT NULL, asked INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TEMP TABLE scan ("
      "  key BLOB PRIMARY KEY, source INTEGER, path BLOB, size INTEGER, mode INTEGER, uid INTEGER,"
      "  gid INTEGER, mtime INTEGER, ctime INTEGER, atime INTEGER, dev INTEGER, ino INTEGER,"
      "  rdev INTEGER, nlink INTEGER) WITHOUT ROWID;"
      "CREATE TEMP TABLE listing ("
      "  key BLOB PRIMARY KEY, size INTEGER, etag TEXT, storage_class TEXT, modified INTEGER)"
      "  WITHOUT ROWID;"
      "CREATE TEMP TABLE past ("
      "  key BLOB PRIMARY KEY, state INTEGER, stored INTEGER, latest INTEGER, size INTEGER,"
      "  etag TEXT, storage_class TEXT, version_id TEXT, from_key BLOB) WITHOUT ROWID;"
      /* Of what a look may find not to be of the moment: what it took the place of, by then. */
      "CREATE TEMP TABLE past_before ("
      "  key BLOB PRIMARY KEY, size INTEGER, etag TEXT, storage_class TEXT, from_key BLOB)"
      "  WITHOUT ROWID;"
      "CREATE TEMP TABLE candidate (seq INTEGER PRIMARY KEY, key BLOB);"
      "CREATE TEMP TABLE new_chunk ("
      "  key BLOB, offset INTEGER, length INTEGER, sha256 BLOB, PRIMARY KEY (key, offset))"
      "  WITHOUT ROWID;"
      "CREATE TEMP TABLE change ("
      "  seq INTEGER PRIMARY KEY, action INTEGER, key BLOB, bytes INTEGER, from_key BLOB,"
      "  done INTEGER NOT NULL DEFAULT 0);"
      "CREATE INDEX temp.change_by_source ON change (from_key) WHERE from_key IS NOT NULL;"
      /* Keys are unique in the scan, so the first one stands for all names of a file. */
      "CREATE TEMP TABLE link ("
      "  dev INTEGER, ino INTEGER, key BLOB, names INTEGER, PRIMARY KEY (dev, ino)) WITHOUT ROWID;"
      /* What a restore has put in place of the files that had several names. */
      "CREATE TEMP TABLE linked ("
      "  name TEXT, path BLOB, is_new INTEGER, PRIMARY KEY (name, path)) WITHOUT ROWID;";

/* What an older file lacks besides tables, from the oldest on. */
static const struct
{
  gint64 last_without; /* the version */
  const char *text;
} upgrades[] = {
  { 3, "BEGIN;"
       "ALTER TABLE object ADD COLUMN hard_link TEXT;"
       "PRAGMA user_version = 4;"
       "COMMIT;" },
  { 4, "BEGIN;"
       "ALTER TABLE object ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;"
       /* Lists of chunks that are not those of their object. */
       "DELETE FROM chunked WHERE (SELECT total (length) FROM chunk WHERE object = chunked.id)"
       " IS NOT (SELECT size FROM object o WHERE o.key = chunked.key AND o.etag = chunked.etag);"
       "DELETE FROM chunk WHERE object NOT IN (SELECT id FROM chunked);"
       "PRAGMA user_version = 5;"
       "COMMIT;" },
};

static const char *const statement_texts[N_STATEMENTS] = {
  [STATEMENT_BEGIN] = "BEGIN",
  [STATEMENT_COMMIT] = "COMMIT",
  [STATEMENT_ADD_SCANNED]
  = "INSERT OR IGNORE INTO scan VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
  [STATEMENT_ADD_LINK] = ("INSERT INTO link VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE"
                          " SET key = min(key, excluded.key), names = names + 1"),
  /* What stands alone in the table, and is known to be one of several. */
  [STATEMENT_TRUST_LINKS] = ("UPDATE link SET names = 2 WHERE names = 1 AND EXISTS"
                             " (SELECT 1 FROM object o WHERE o.key = link.key"
                             " AND o.hard_link IS NOT NULL)"),
  [STATEMENT_ADD_LINKED] = "INSERT OR IGNORE INTO linked VALUES (?, ?, ?)",
  [STATEMENT_ADD_LISTED] = "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?)",
  [STATEMENT_ADD_VERSION]
  = ("INSERT INTO past VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
     " ON CONFLICT DO UPDATE SET state = excluded.state, stored = excluded.stored,"
     "  latest = excluded.latest, size = excluded.size, etag = excluded.etag,"
     "  storage_class = excluded.storage_class, version_id = excluded.version_id"
     " WHERE excluded.stored > stored OR (excluded.stored = stored"
     "  AND (excluded.latest > latest OR (excluded.latest = latest AND ?10)))"),
  [STATEMENT_REPLACE_LATER]
  = ("UPDATE past SET state = ?2, stored = ?3, latest = ?4, size = ?5, etag = ?6,"
     " storage_class = ?7, version_id = ?8, from_key = ?9 WHERE key = ?1 AND state IN (2, 3)"),
  [STATEMENT_ADD_KEPT] = "INSERT OR IGNORE INTO past VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
  [STATEMENT_SET_GONE] = "UPDATE past SET state = 1 WHERE key = ?",
  [STATEMENT_ADD_BEFORE] = "INSERT OR REPLACE INTO past_before VALUES (?1, ?5, ?6, ?7, ?9)",
  [STATEMENT_REMOVE_BEFORE] = "DELETE FROM past_before WHERE key = ?",
  [STATEMENT_TAKE_BEFORE]
  = ("UPDATE past SET size = b.size, etag = b.etag, storage_class = b.storage_class,"
     " version_id = NULL, from_key = b.from_key FROM past_before b"
     " WHERE past.key = b.key AND b.key = ?1 AND past.from_key IS NOT b.from_key"),
  [STATEMENT_LIST_AGAIN]
  = ("INSERT OR REPLACE INTO listing SELECT key, size, coalesce(etag, ''), storage_class, 0"
     " FROM past WHERE key = ?1"),
  [STATEMENT_LIST_PAST]
  = ("INSERT OR REPLACE INTO listing SELECT key, size, coalesce(etag, ''), storage_class, 0"
     " FROM past WHERE state IN (0, 3)"),
  [STATEMENT_IS_LISTED] = "SELECT 1 FROM listing WHERE key = ?",
  [STATEMENT_REMOVE_LISTED] = "DELETE FROM listing WHERE key = ?",
  [STATEMENT_ADD_CHANGE] = "INSERT INTO change (action, key, bytes, from_key) VALUES (?, ?, ?, ?)",
  [STATEMENT_PUT_KNOWN]
  = "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
  [STATEMENT_PUT_STORED] = "UPDATE object SET stored = ?2 WHERE key = ?1",
  [STATEMENT_REMOVE_KNOWN] = "DELETE FROM object WHERE key = ?",
  [STATEMENT_ADD_DOOMED] = ("INSERT OR REPLACE INTO doomed SELECT key, etag, 1 FROM listing"
                            " WHERE key = ?"),
  [STATEMENT_ADD_HELD] = ("INSERT OR IGNORE INTO doomed SELECT key, etag, 0 FROM listing"
                          " WHERE key = ?"),
  [STATEMENT_REMOVE_DOOMED] = "DELETE FROM doomed WHERE key = ?",
  [STATEMENT_SWEEP_DOOMED] = "DELETE FROM doomed WHERE key IN (SELECT key FROM scan)",
  [STATEMENT_FIND_LINK] = "SELECT key FROM link WHERE dev = ? AND ino = ?",
  [STATEMENT_COUNT] = "SELECT (SELECT count(*) FROM scan), (SELECT count(*) FROM listing)",
  /* Nothing has as many bytes, but a server may say so, and sum() would fail then. */
  [STATEMENT_SUM_LISTED] = "SELECT count(*), CAST(min(total(size), 4e18) AS INTEGER) FROM listing",
  [STATEMENT_LISTED_BELOW] = "SELECT key FROM listing WHERE key > ? ORDER BY key LIMIT 1",
  /* KP_ACTION_RENAME is 0. */
  [STATEMENT_IS_RENAMED] = "SELECT 1 FROM change WHERE from_key = ? AND action = 0",
  [STATEMENT_RENAME_DONE] = ("UPDATE change SET done = 1 WHERE from_key = ? AND key = ?"
                             " AND action = 0"),
  [STATEMENT_RENAME_OPEN]
  = ("SELECT 1 FROM change WHERE from_key = ? AND action = 0 GROUP BY from_key"
     " HAVING max(done) = 0"),
  [STATEMENT_REMEMBERED] = ("SELECT 1 FROM object WHERE key BETWEEN ?1 AND ?2"
                            " UNION ALL SELECT 1 FROM doomed WHERE key BETWEEN ?1 AND ?2 LIMIT 1"),
  [STATEMENT_COUNT_KNOWN] = "SELECT count(*), 0 FROM object",
  [STATEMENT_COUNT_KNOWN_IN] = "SELECT count(*) FROM object WHERE key >= ? AND key < ?",
  [STATEMENT_SKIP_KNOWN_IN]
  = "SELECT key FROM object WHERE key >= ? AND key < ? ORDER BY key LIMIT 1 OFFSET ?",
  [STATEMENT_SCANNED_FILE] = "SELECT dev, ino FROM scan WHERE key = ?",
  [STATEMENT_IS_SCANNED] = "SELECT 1 FROM scan WHERE key = ?",
  [STATEMENT_HAS_CHUNKS] = "SELECT 1 FROM chunked LIMIT 1",
  /* Only objects that are still as we left them, going by the listing. */
  [STATEMENT_FIND_CHUNK]
  = ("SELECT k.key, k.etag FROM chunk c JOIN chunked k ON k.id = c.object"
     " JOIN listing l ON l.key = k.key AND l.etag = k.etag WHERE c.sha256 = ?"
     " AND NOT EXISTS (SELECT 1 FROM damaged d WHERE d.key = k.key) LIMIT 1"),
  [STATEMENT_HAS_CONTENT] = "SELECT 1 FROM object WHERE size = ? AND sha256 IS NOT NULL LIMIT 1",
  [STATEMENT_FIND_CONTENT]
  = ("SELECT o.key, s.key IS NULL FROM object o JOIN listing l ON l.key = o.key AND l.etag = o.etag"
     " LEFT JOIN scan s ON s.key = o.key WHERE o.size = ? AND o.sha256 = ?"
     " AND NOT EXISTS (SELECT 1 FROM damaged d WHERE d.key = o.key) ORDER BY 2 DESC LIMIT 1"),
  [STATEMENT_DROP_CHUNKS]
  = "DELETE FROM chunk WHERE object IN (SELECT id FROM chunked WHERE key = ?)",
  [STATEMENT_DROP_CHUNKED] = "DELETE FROM chunked WHERE key = ?",
  [STATEMENT_ADD_CHUNKED] = "INSERT INTO chunked (key, etag) VALUES (?, ?)",
  [STATEMENT_DROP_ORPHANS] = "DELETE FROM chunk WHERE object = ?",
  [STATEMENT_ADD_CHUNK] = "INSERT INTO chunk VALUES (?, ?, ?, ?)",
  [STATEMENT_GET_CHUNKS]
  = ("SELECT c.offset, c.length, c.sha256 FROM chunked k JOIN chunk c ON c.object = k.id"
     " WHERE k.key = ? AND k.etag = ? ORDER BY c.offset"),
  [STATEMENT_DROP_NEW_CHUNKS] = "DELETE FROM new_chunk WHERE key = ?",
  [STATEMENT_ADD_NEW_CHUNK] = "INSERT INTO new_chunk VALUES (?, ?, ?, ?)",
  [STATEMENT_GET_NEW_CHUNKS]
  = "SELECT offset, length, sha256 FROM new_chunk WHERE key = ? ORDER BY offset",
  /* KP_ACTION_RENAME, _COPY, _METADATA and _LINK. */
  [STATEMENT_ADD_DOUBTS]
  = "INSERT OR IGNORE INTO doubt SELECT key FROM change WHERE action IN (0, 1, 5, 6)",
  [STATEMENT_IS_DOUBTED] = "SELECT 1 FROM doubt WHERE key = ?",
  [STATEMENT_REMOVE_DOUBT] = "DELETE FROM doubt WHERE key = ?",
  [STATEMENT_PUT_BEGINNING] = "INSERT OR REPLACE INTO beginning VALUES (?, ?)",
  [STATEMENT_REMOVE_BEGINNING] = "DELETE FROM beginning WHERE key = ?",
  [STATEMENT_PUT_UPLOAD] = "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?, ?)",
  [STATEMENT_GET_UPLOAD]
  = "SELECT key, upload_id, size, mtime, ctime, ino, layout FROM upload WHERE key = ?",
  [STATEMENT_REMOVE_UPLOAD] = "DELETE FROM upload WHERE key = ?",
  [STATEMENT_REMOVE_UPLOAD_PARTS] = "DELETE FROM upload_part WHERE key = ?",
  [STATEMENT_PUT_UPLOAD_PART] = "INSERT OR REPLACE INTO upload_part VALUES (?, ?, ?)",
  [STATEMENT_GET_UPLOAD_PARTS] = "SELECT number, etag FROM upload_part WHERE key = ?",
  [STATEMENT_GET_ROOT] = "SELECT dev, fsid, is_mount_point FROM root WHERE path = ?",
  [STATEMENT_REMOVE_ROOT] = "DELETE FROM root WHERE path = ?",
  [STATEMENT_PUT_ROOT] = "INSERT OR REPLACE INTO root VALUES (?, ?, ?, ?)",
  [STATEMENT_PUT_PROOF] = "INSERT OR REPLACE INTO proof VALUES (?1, ?2, ?3, ?3, 0)",
  /* One that was begun and never proved goes on before others are looked at again; one that was
   * proved before stays so, and takes its turn. */
  [STATEMENT_PUT_PIECE]
  = ("INSERT INTO proof VALUES (?1, ?2, 0, 0, ?4) ON CONFLICT DO UPDATE SET"
     " proved = CASE WHEN etag = excluded.etag THEN proved ELSE 0 END,"
     " looked = CASE WHEN etag = excluded.etag AND proved > 0 THEN ?3 ELSE 0 END,"
     " offset = excluded.offset, etag = excluded.etag"),
  [STATEMENT_PUT_ATTEMPT] = ("INSERT INTO proof VALUES (?, ?, 0, ?, 0) ON CONFLICT DO UPDATE SET"
                             " proved = CASE WHEN etag = excluded.etag THEN proved ELSE 0 END,"
                             " offset = CASE WHEN etag = excluded.etag THEN offset ELSE 0 END,"
                             " etag = excluded.etag, looked = excluded.looked"),
  [STATEMENT_REMOVE_PROOF] = "DELETE FROM proof WHERE key = ?",
  [STATEMENT_PUT_DAMAGED] = "INSERT OR IGNORE INTO damaged VALUES (?)",
  [STATEMENT_HAS_DAMAGED] = "SELECT 1 FROM damaged LIMIT 1",
  [STATEMENT_COUNT_DAMAGED] = "SELECT count(*) FROM damaged JOIN listing USING (key)",
  [STATEMENT_IS_DAMAGED] = "SELECT 1 FROM damaged WHERE key = ?",
  [STATEMENT_REMOVE_DAMAGED] = "DELETE FROM damaged WHERE key = ?",
};

gboolean
kp_catalogue_set_error (KpCatalogue *catalogue, GError **error)
{
  int code = sqlite3_errcode (catalogue->db);
  const char *message = sqlite3_errmsg (catalogue->db);

  switch (code & 0xFF)
    {
    case SQLITE_FULL:
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "The disk is full that holds the catalogue “%s”, or the temporary files; free "
                   "some space and start again",
                   catalogue->path);
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      g_set_error (
          error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
          "The catalogue “%s” is damaged (%s); delete it: the next run makes a new one from "
          "the bucket",
          catalogue->path, message);
      break;
    default:
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot use the catalogue “%s”: %s",
                   catalogue->path, message);
      break;
    }
  return FALSE;
}

/* Runs a bound statement that gives no rows, and makes it ready for the next time. */
gboolean
kp_catalogue_run (KpCatalogue *catalogue, sqlite3_stmt *statement, GError **error)
{
  int result = sqlite3_step (statement);

  if (result != SQLITE_DONE && result != SQLITE_ROW)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_reset (statement);
  return result == SQLITE_DONE || result == SQLITE_ROW;
}

/* Steps a statement that gives at most one row, with the lock held. */
gboolean
kp_catalogue_fetch (KpCatalogue *catalogue,
                    sqlite3_stmt *statement,
                    gboolean *found,
                    GError **error)
{
  int result = sqlite3_step (statement);

  *found = result == SQLITE_ROW;
  if (result != SQLITE_ROW && result != SQLITE_DONE)
    return kp_catalogue_set_error (catalogue, error);
  return TRUE;
}

/* Runs a statement whose only value is @key, and that gives no rows. */
gboolean
kp_catalogue_run_for_key (KpCatalogue *catalogue, Statement which, const char *key, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[which];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/* Whether a statement whose only value is @key gives a row. */
gboolean
kp_catalogue_has_key (KpCatalogue *catalogue,
                      Statement which,
                      const char *key,
                      gboolean *found,
                      GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[which];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/* One catalogue is used by one job at a time. The lock belongs to the open file, so that the kernel
 * takes it back whatever ends the process. */
static gboolean
take_lock (KpCatalogue *catalogue, GError **error)
{
  g_autofree char *path = g_strconcat (catalogue->path, ".lock", NULL);
  char owner[32] = "";
  gboolean busy;

  catalogue->lock_fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (catalogue->lock_fd < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create “%s”: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  if (flock (catalogue->lock_fd, LOCK_EX | LOCK_NB) == 0)
    {
      g_snprintf (owner, sizeof owner, "%d\n", (int) getpid ());
      /* Only for the message below; nothing depends on it. */
      if (ftruncate (catalogue->lock_fd, 0) < 0
          || pwrite (catalogue->lock_fd, owner, strlen (owner), 0) < 0)
        g_debug ("Cannot write “%s”: %s", path, g_strerror (errno));
      return TRUE;
    }

  busy = errno == EWOULDBLOCK;
  if (busy && pread (catalogue->lock_fd, owner, sizeof owner - 1, 0) > 0)
    g_strstrip (owner);
  if (busy)
    g_set_error (error, KP_ERROR, KP_ERROR_BUSY,
                 "Another job is already working on this destination (process %s); wait until it "
                 "has ended",
                 owner);
  else
    g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot lock “%s”: %s", path,
                 g_strerror (errno));
  return FALSE;
}

/**
 * kp_catalogue_dup_path:
 *
 * Returns: (transfer full): where the catalogue of a destination is, or would be
 */
char *
kp_catalogue_dup_path (const char *state_dir, KpS3Location *location)
{
  g_autofree char *identity = kp_s3_location_get_identity (location);
  g_autofree char *hash = kp_s3_sha256_hex (identity, strlen (identity));

  return g_strdup_printf ("%s/catalogue/%.32s.db", state_dir, hash);
}

static gboolean
prepare (KpCatalogue *catalogue, GError **error)
{
  for (int i = 0; i < N_STATEMENTS; i++)
    if (sqlite3_prepare_v3 (catalogue->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                            &catalogue->statements[i], NULL)
        != SQLITE_OK)
      return kp_catalogue_set_error (catalogue, error);
  return TRUE;
}

/* The first column of the first row, or NULL. */
static char *
ask (KpCatalogue *catalogue, const char *text)
{
  sqlite3_stmt *statement = NULL;
  char *answer = NULL;

  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) == SQLITE_OK
      && sqlite3_step (statement) == SQLITE_ROW)
    answer = g_strdup ((const char *) sqlite3_column_text (statement, 0));
  sqlite3_finalize (statement);
  return answer;
}

static gboolean
set_version (KpCatalogue *catalogue, GError **error)
{
  g_autofree char *text = g_strdup_printf ("PRAGMA user_version = %d", SCHEMA_VERSION);

  return sqlite3_exec (catalogue->db, text, NULL, NULL, NULL) == SQLITE_OK
         || kp_catalogue_set_error (catalogue, error);
}

/* Whether the file is one that we can go on with. An older one is made to be. */
static gboolean
check_soundness (KpCatalogue *catalogue, gboolean *unusable, GError **error)
{
  g_autofree char *version = ask (catalogue, "PRAGMA user_version");

  if (version == NULL)
    {
      int code = sqlite3_errcode (catalogue->db) & 0xFF;
      *unusable = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
      return kp_catalogue_set_error (catalogue, error);
    }
  gint64 number = g_ascii_strtoll (version, NULL, 10);
  if (number == 0)
    return set_version (catalogue, error);
  if (number < OLDEST_VERSION || number > SCHEMA_VERSION)
    {
      *unusable = TRUE;
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "The catalogue was made by another version of Keepsake (%s)", version);
      return FALSE;
    }

  g_autofree char *soundness = ask (catalogue, "PRAGMA quick_check (1)");
  if (g_strcmp0 (soundness, "ok") != 0)
    {
      *unusable = TRUE;
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "The catalogue is damaged");
      return FALSE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (upgrades); i++)
    if (number <= upgrades[i].last_without
        && sqlite3_exec (catalogue->db, upgrades[i].text, NULL, NULL, NULL) != SQLITE_OK)
      {
        /* It has not the tables that its version has: sound or not, nothing can be made of it. */
        *unusable = (sqlite3_errcode (catalogue->db) & 0xFF) == SQLITE_ERROR;
        return kp_catalogue_set_error (catalogue, error);
      }
  return TRUE;
}

#ifdef KP_FAULT_INJECTION
/* A statement outside of a transaction commits by itself, so it is SQLite that has to count. What
 * touches the temporary tables alone changes nothing that a next job finds. */
static int
count_commit_cb (void *user_data)
{
  KpCatalogue *catalogue = user_data;

  if (sqlite3_txn_state (catalogue->db, "main") != SQLITE_TXN_WRITE)
    return 0;
  if (++catalogue->n_commits == catalogue->crash_at && !catalogue->crash_behind)
    raise (SIGKILL);
  return 0;
}

/* A statement has ended; if it was to commit, that is done. */
static int
crash_behind_commit_cb (unsigned event, void *user_data, void *statement, void *duration)
{
  KpCatalogue *catalogue = user_data;

  if (catalogue->n_commits == catalogue->crash_at)
    raise (SIGKILL);
  return 0;
}

/* KEEPSAKE_CRASH_AT=N ends the process as a power cut would: before the Nth commit to the file, or
 * with KEEPSAKE_CRASH_AT=+N right behind it. */
static void
crash_if_asked (KpCatalogue *catalogue)
{
  const char *at = g_getenv ("KEEPSAKE_CRASH_AT");

  if (at == NULL)
    return;
  catalogue->crash_at = g_ascii_strtoull (at, NULL, 10);
  catalogue->crash_behind = *at == '+';
  sqlite3_commit_hook (catalogue->db, count_commit_cb, catalogue);
  if (catalogue->crash_behind)
    sqlite3_trace_v2 (catalogue->db, SQLITE_TRACE_PROFILE, crash_behind_commit_cb, catalogue);
}
#endif

static gboolean
open_database (KpCatalogue *catalogue, const char *path, gboolean *unusable, GError **error)
{
  if (sqlite3_open_v2 (path, &catalogue->db,
                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
                           | SQLITE_OPEN_PRIVATECACHE,
                       NULL)
      != SQLITE_OK)
    return kp_catalogue_set_error (catalogue, error);
  sqlite3_busy_timeout (catalogue->db, 10000);
#ifdef KP_FAULT_INJECTION
  crash_if_asked (catalogue);
#endif
  if (!check_soundness (catalogue, unusable, error))
    return FALSE;
  if (sqlite3_exec (catalogue->db, schema, NULL, NULL, NULL) != SQLITE_OK)
    return kp_catalogue_set_error (catalogue, error);
  return set_version (catalogue, error) && prepare (catalogue, error);
}

static void
close_database (KpCatalogue *catalogue)
{
  for (int i = 0; i < N_STATEMENTS; i++)
    g_clear_pointer (&catalogue->statements[i], sqlite3_finalize);
  g_clear_pointer (&catalogue->db, sqlite3_close);
}

/**
 * kp_catalogue_exists:
 *
 * Returns: whether there is a catalogue of this destination
 */
gboolean
kp_catalogue_exists (const char *state_dir, KpS3Location *location)
{
  g_autofree char *path = kp_catalogue_dup_path (state_dir, location);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* What it knew, the bucket tells. */
static gboolean
set_aside (KpCatalogue *catalogue, GError **error)
{
  close_database (catalogue);
  catalogue->set_aside = kp_sql_set_aside (catalogue->path, error);
  return catalogue->set_aside != NULL;
}

/**
 * kp_catalogue_open:
 * @state_dir: usually $XDG_STATE_HOME/keepsake; made when missing
 * @location: which destination; each has a catalogue of its own
 * @error: %KP_ERROR_BUSY while another job uses it; %KP_ERROR_LOCAL_STORAGE
 *
 * A file that is damaged, or was made by another version, is set aside: see
 * kp_catalogue_get_set_aside().
 */
KpCatalogue *
kp_catalogue_open (const char *state_dir, KpS3Location *location, GError **error)
{
  g_autoptr (KpCatalogue) catalogue = g_new0 (KpCatalogue, 1);

  catalogue->lock_fd = -1;
  catalogue->path = kp_catalogue_dup_path (state_dir, location);
  g_rec_mutex_init (&catalogue->lock);

  g_autofree char *directory = g_path_get_dirname (catalogue->path);
  if (g_mkdir_with_parents (directory, 0700) < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create the folder “%s”: %s",
                   directory, g_strerror (errno));
      return NULL;
    }
  if (!take_lock (catalogue, error))
    return NULL;
  g_autoptr (GError) local_error = NULL;
  gboolean unusable = FALSE;
  if (!open_database (catalogue, catalogue->path, &unusable, &local_error))
    {
      if (!unusable)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
      if (!set_aside (catalogue, error)
          || !open_database (catalogue, catalogue->path, &unusable, error))
        return NULL;
    }
  return g_steal_pointer (&catalogue);
}

/**
 * kp_catalogue_open_temporary:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * The work tables alone, in a file without a name that ends with the catalogue: for jobs that
 * record nothing.
 */
KpCatalogue *
kp_catalogue_open_temporary (GError **error)
{
  g_autoptr (KpCatalogue) catalogue = g_new0 (KpCatalogue, 1);

  catalogue->lock_fd = -1;
  catalogue->path = g_strdup (g_get_tmp_dir ());
  g_rec_mutex_init (&catalogue->lock);
  gboolean unusable = FALSE;
  if (!open_database (catalogue, "", &unusable, error))
    return NULL;
  return g_steal_pointer (&catalogue);
}

void
kp_catalogue_free (KpCatalogue *catalogue)
{
  close_database (catalogue);
  if (catalogue->lock_fd >= 0)
    close (catalogue->lock_fd);
  g_rec_mutex_clear (&catalogue->lock);
  g_free (catalogue->path);
  g_free (catalogue->set_aside);
  g_free (catalogue);
}

const char *
kp_catalogue_get_path (KpCatalogue *catalogue)
{
  return catalogue->path;
}

/**
 * kp_catalogue_get_set_aside:
 *
 * Returns: (nullable): where an unusable catalogue was moved, in place of which a new one was
 * begun; %NULL when none was
 */
const char *
kp_catalogue_get_set_aside (KpCatalogue *catalogue)
{
  return catalogue->set_aside;
}

static gboolean
run_simple (KpCatalogue *catalogue, Statement which, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_run (catalogue, catalogue->statements[which], error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_begin:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Groups what follows until kp_catalogue_commit(), by whichever thread.
 */
gboolean
kp_catalogue_begin (KpCatalogue *catalogue, GError **error)
{
  return run_simple (catalogue, STATEMENT_BEGIN, error);
}

gboolean
kp_catalogue_commit (KpCatalogue *catalogue, GError **error)
{
  return run_simple (catalogue, STATEMENT_COMMIT, error);
}

/**
 * kp_catalogue_make_durable:
 *
 * From here on, what is committed survives a power cut. To be called outside of a transaction.
 */
gboolean
kp_catalogue_make_durable (KpCatalogue *catalogue, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok
      = sqlite3_exec (catalogue->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK
        || kp_catalogue_set_error (catalogue, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_sync:
 *
 * What was committed so far survives a power cut. To be called outside of a transaction.
 */
gboolean
kp_catalogue_sync (KpCatalogue *catalogue, GError **error)
{
  g_rec_mutex_lock (&catalogue->lock);
  int code = sqlite3_wal_checkpoint_v2 (catalogue->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  gboolean ok
      = code == SQLITE_OK || code == SQLITE_BUSY || kp_catalogue_set_error (catalogue, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_put_known:
 *
 * Records what an object holds, once the server has confirmed it.
 */
gboolean
kp_catalogue_put_known (KpCatalogue *catalogue,
                        const char *key,
                        const KpKnown *known,
                        GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_KNOWN];
  const KpFileInfo *info = &known->info;

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_text (statement, 2, known->etag);
  kp_sql_bind_number (statement, 3, info->size);
  kp_sql_bind_number (statement, 4, info->mode);
  kp_sql_bind_number (statement, 5, info->uid);
  kp_sql_bind_number (statement, 6, info->gid);
  kp_sql_bind_number (statement, 7, (guint64) info->mtime);
  kp_sql_bind_number (statement, 8, (guint64) info->ctime);
  kp_sql_bind_number (statement, 9, info->ino);
  kp_sql_bind_number (statement, 10, info->rdev);
  kp_sql_bind_gbytes (statement, 11, known->sha256);
  kp_sql_bind_gbytes (statement, 12, known->xattrs);
  kp_sql_bind_number (statement, 13, known->xattrs_left_out);
  kp_sql_bind_text (statement, 14, known->hard_link);
  kp_sql_bind_number (statement, 15, (guint64) known->stored);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_put_stored:
 * @stored: when the object was stored, in Unix seconds of the server; 0: not known
 *
 * For an object that is known already.
 */
gboolean
kp_catalogue_put_stored (KpCatalogue *catalogue, const char *key, gint64 stored, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_STORED];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_number (statement, 2, (guint64) stored);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_remove_known (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_KNOWN, key, error);
}

/**
 * kp_catalogue_forget:
 * @keys: of @n objects that are about to be deleted
 *
 * In a transaction of its own. A row that outlives its object would be taken for a loss; where the
 * job ends in between, an object without a row is left, of which the next job sees that it is
 * there, and remembers that it was to be deleted.
 */
gboolean
kp_catalogue_forget (KpCatalogue *catalogue, const char *const *keys, gsize n, GError **error)
{
  if (!kp_catalogue_begin (catalogue, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!kp_catalogue_remove_known (catalogue, keys[i], error)
        || !kp_catalogue_run_for_key (catalogue, STATEMENT_ADD_DOOMED, keys[i], error))
      return FALSE;
  return kp_catalogue_commit (catalogue, error);
}

/**
 * kp_catalogue_sweep_doomed:
 *
 * Forgets deletions of which the files are there again.
 */
gboolean
kp_catalogue_sweep_doomed (KpCatalogue *catalogue, GError **error)
{
  return run_simple (catalogue, STATEMENT_SWEEP_DOOMED, error);
}

/**
 * kp_catalogue_hold_deletion:
 * @key: of an object whose file is gone, but perhaps only on the move: the next job knows
 */
gboolean
kp_catalogue_hold_deletion (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_ADD_HELD, key, error);
}

/**
 * kp_catalogue_end_deletion:
 * @key: one of kp_catalogue_forget(), of which the server has answered
 */
gboolean
kp_catalogue_end_deletion (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_DOOMED, key, error);
}

void
kp_scanned_clear (KpScanned *scanned)
{
  g_clear_pointer (&scanned->key, g_free);
  g_clear_pointer (&scanned->path, g_free);
}

void
kp_known_clear (KpKnown *known)
{
  g_clear_pointer (&known->etag, g_free);
  g_clear_pointer (&known->sha256, g_bytes_unref);
  g_clear_pointer (&known->xattrs, g_bytes_unref);
  g_clear_pointer (&known->hard_link, g_free);
}

void
kp_known_copy (KpKnown *to, const KpKnown *from)
{
  to->etag = g_strdup (from->etag);
  to->info = from->info;
  to->sha256 = from->sha256 != NULL ? g_bytes_ref (from->sha256) : NULL;
  to->xattrs_left_out = from->xattrs_left_out;
  to->xattrs = from->xattrs != NULL ? g_bytes_ref (from->xattrs) : NULL;
  to->hard_link = g_strdup (from->hard_link);
  to->stored = from->stored;
}

void
kp_comparison_clear (KpComparison *row)
{
  kp_scanned_clear (&row->local);
  g_clear_pointer (&row->listed_etag, g_free);
  kp_known_clear (&row->known);
}

void
kp_candidate_clear (KpCandidate *candidate)
{
  kp_comparison_clear (&candidate->row);
}

void
kp_change_clear (KpChange *row)
{
  kp_scanned_clear (&row->local);
  g_clear_pointer (&row->from_key, g_free);
  g_clear_pointer (&row->storage_class, g_free);
  g_clear_pointer (&row->listed_etag, g_free);
  g_clear_pointer (&row->old.etag, g_free);
  g_clear_pointer (&row->old.storage_class, g_free);
  kp_known_clear (&row->known);
}

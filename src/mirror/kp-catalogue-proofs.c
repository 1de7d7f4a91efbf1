/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* What is remembered of verifications: when each object was last proved, and which are damaged. A
 * proof is of one ETag: what is stored under the key later has none. */

#include "kp-catalogue-private.h"

/* S_IFMT, S_IFREG and S_IFLNK, for SQL. */
#define IS_FILE(column) "(" column " & 61440) = 32768"
#define HAS_BYTES(column) "(" column " & 61440) IN (32768, 40960)"

/* Prepares, once in a while, a statement that is not worth keeping. */
static gboolean
run_once (KpCatalogue *catalogue, const char *text, const char *key, GError **error)
{
  sqlite3_stmt *statement = NULL;
  gboolean ok = FALSE;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) != SQLITE_OK)
    kp_catalogue_set_error (catalogue, error);
  else
    {
      if (key != NULL)
        kp_sql_bind_bytes (statement, 1, key);
      ok = kp_catalogue_run (catalogue, statement, error);
    }
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_put_proof:
 * @etag: of the object that was read
 * @now: seconds since 1970
 * @offset: 0 when all of it was equal; else how many bytes from its start on were, by now
 *
 * Records that an object was read and found to be what it should be.
 */
gboolean
kp_catalogue_put_proof (KpCatalogue *catalogue,
                        const char *key,
                        const char *etag,
                        gint64 now,
                        guint64 offset,
                        GError **error)
{
  Statement which = offset == 0 ? STATEMENT_PUT_PROOF : STATEMENT_PUT_PIECE;
  sqlite3_stmt *statement = catalogue->statements[which];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_text (statement, 2, etag);
  kp_sql_bind_number (statement, 3, (guint64) now);
  if (offset > 0)
    kp_sql_bind_number (statement, 4, offset);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_put_attempt:
 * @etag: of the object in the listing
 * @now: seconds since 1970
 *
 * Records that an object could not be compared, so that others are tried before it is again.
 */
gboolean
kp_catalogue_put_attempt (KpCatalogue *catalogue,
                          const char *key,
                          const char *etag,
                          gint64 now,
                          GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_ATTEMPT];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, key);
  kp_sql_bind_text (statement, 2, etag);
  kp_sql_bind_number (statement, 3, (guint64) now);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_remove_proof (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_PROOF, key, error);
}

/**
 * kp_catalogue_put_damaged:
 *
 * Marks an object that does not hold what was stored: the next job sends its file whole, whatever
 * size, times and ETag say, and copies nothing from it.
 */
gboolean
kp_catalogue_put_damaged (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_PUT_DAMAGED, key, error)
         && kp_catalogue_remove_proof (catalogue, key, error);
}

gboolean
kp_catalogue_remove_damaged (KpCatalogue *catalogue, const char *key, GError **error)
{
  return kp_catalogue_run_for_key (catalogue, STATEMENT_REMOVE_DAMAGED, key, error);
}

/**
 * kp_catalogue_has_damaged:
 * @found: (out): whether any object is marked; hardly ever one is
 */
gboolean
kp_catalogue_has_damaged (KpCatalogue *catalogue, gboolean *found, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_HAS_DAMAGED];

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_count_damaged:
 * @n_damaged: (out): objects of the listing that are marked
 */
gboolean
kp_catalogue_count_damaged (KpCatalogue *catalogue, guint64 *n_damaged, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_COUNT_DAMAGED];
  gboolean found;

  g_rec_mutex_lock (&catalogue->lock);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, &found, error);
  if (ok)
    *n_damaged = kp_sql_column_number (statement, 0);
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_is_damaged (KpCatalogue *catalogue, const char *key, gboolean *found, GError **error)
{
  return kp_catalogue_has_key (catalogue, STATEMENT_IS_DAMAGED, key, found, error);
}

/**
 * kp_catalogue_find_candidates:
 * @n_candidates: (out): how many there are
 *
 * Fills the table of objects that can be compared with something: with the file as it is, be it
 * another by now than the one that was stored, with the SHA-256 that is known of it, or with those
 * of its chunks. Those come first that are marked as damaged, then those that were never looked at,
 * or longest ago, in an order of chance where that is the same: so each is met in time, and nobody
 * can know which is next.
 */
gboolean
kp_catalogue_find_candidates (KpCatalogue *catalogue, guint64 *n_candidates, GError **error)
{
  static const char text[]
      = "INSERT INTO candidate (key)"
        " SELECT l.key FROM listing l LEFT JOIN scan s USING (key) LEFT JOIN object o USING (key)"
        " LEFT JOIN proof p ON p.key = l.key AND p.etag = l.etag"
        " LEFT JOIN damaged d ON d.key = l.key"
        " WHERE (s.key IS NOT NULL AND (" HAS_BYTES ("s.mode") " OR " HAS_BYTES (
            "o.mode") "))"
                      " OR (o.key IS NOT NULL AND " IS_FILE (
                          "o.mode") "   AND (o.sha256 IS NOT NULL OR EXISTS"
                                    "    (SELECT 1 FROM chunked k WHERE k.key = o.key AND k.etag = "
                                    "o.etag)))"
                                    " ORDER BY d.key IS NULL, coalesce(p.looked, 0), random()";
  gboolean ok;

  g_rec_mutex_lock (&catalogue->lock);
  ok = run_once (catalogue, text, NULL, error);
  *n_candidates = ok ? (guint64) sqlite3_changes (catalogue->db) : 0;
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_add_coverage:
 * @first: the first key to count
 * @end: the key behind the last
 * @coverage: (inout): what is added to
 *
 * Counts objects with bytes of their own, and those of them that were proved since they were
 * stored.
 */
gboolean
kp_catalogue_add_coverage (KpCatalogue *catalogue,
                           const char *first,
                           const char *end,
                           KpCoverage *coverage,
                           GError **error)
{
  static const char text[]
      = "SELECT count(*), coalesce(sum(o.size), 0), count(p.key),"
        " coalesce(sum(CASE WHEN p.key IS NOT NULL THEN o.size END), 0), min(p.proved)"
        " FROM object o LEFT JOIN proof p ON p.key = o.key AND p.etag = o.etag AND p.proved > 0"
        " WHERE o.key >= ? AND o.key < ? AND " HAS_BYTES ("o.mode");
  sqlite3_stmt *statement = NULL;
  gboolean ok = FALSE;
  gboolean found;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) != SQLITE_OK)
    kp_catalogue_set_error (catalogue, error);
  else
    {
      kp_sql_bind_bytes (statement, 1, first);
      kp_sql_bind_bytes (statement, 2, end);
      ok = kp_catalogue_fetch (catalogue, statement, &found, error);
    }
  if (ok)
    {
      coverage->objects += kp_sql_column_number (statement, 0);
      coverage->bytes += kp_sql_column_number (statement, 1);
      coverage->objects_proved += kp_sql_column_number (statement, 2);
      coverage->bytes_proved += kp_sql_column_number (statement, 3);
      gint64 oldest = sqlite3_column_int64 (statement, 4);
      if (oldest > 0 && (coverage->oldest_proof == 0 || oldest < coverage->oldest_proof))
        coverage->oldest_proof = oldest;
    }
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_sweep_proofs:
 *
 * Forgets what was proved of objects that are no more. That an object is damaged is remembered
 * until it is stored anew or deleted: a damaged one may be one that there is no row of.
 */
gboolean
kp_catalogue_sweep_proofs (KpCatalogue *catalogue, GError **error)
{
  return run_once (catalogue,
                   "DELETE FROM proof WHERE NOT EXISTS"
                   " (SELECT 1 FROM object o WHERE o.key = proof.key)",
                   NULL, error);
}

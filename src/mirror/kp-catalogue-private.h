/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the files of the catalogue share: kp-catalogue.c opens it and keeps what is known of
 * objects, kp-catalogue-work.c holds the tables of a running job, kp-catalogue-cursor.c goes
 * through them, kp-catalogue-past.c finds out what was there, kp-catalogue-chunks.c knows the
 * insides of large objects and unfinished uploads, kp-catalogue-proofs.c what was verified. And
 * what kp-record.c, which reads the same file, needs of it. */

#include "kp-catalogue.h"
#include "kp-sql.h"

G_BEGIN_DECLS

/* Statements that are prepared once and used often. */
typedef enum
{
  STATEMENT_BEGIN,
  STATEMENT_COMMIT,
  STATEMENT_ADD_SCANNED,
  STATEMENT_ADD_LINK,
  STATEMENT_TRUST_LINKS,
  STATEMENT_ADD_LINKED,
  STATEMENT_ADD_LISTED,
  STATEMENT_ADD_VERSION,
  STATEMENT_REPLACE_LATER,
  STATEMENT_ADD_KEPT,
  STATEMENT_SET_GONE,
  STATEMENT_ADD_BEFORE,
  STATEMENT_REMOVE_BEFORE,
  STATEMENT_TAKE_BEFORE,
  STATEMENT_LIST_AGAIN,
  STATEMENT_LIST_PAST,
  STATEMENT_REMOVE_LISTED,
  STATEMENT_IS_LISTED,
  STATEMENT_ADD_CHANGE,
  STATEMENT_PUT_KNOWN,
  STATEMENT_PUT_STORED,
  STATEMENT_REMOVE_KNOWN,
  STATEMENT_ADD_DOOMED,
  STATEMENT_ADD_HELD,
  STATEMENT_REMOVE_DOOMED,
  STATEMENT_SWEEP_DOOMED,
  STATEMENT_FIND_LINK,
  STATEMENT_COUNT,
  STATEMENT_SUM_LISTED,
  STATEMENT_LISTED_BELOW,
  STATEMENT_REMEMBERED,
  STATEMENT_SCANNED_FILE,
  STATEMENT_IS_SCANNED,
  STATEMENT_IS_RENAMED,
  STATEMENT_RENAME_DONE,
  STATEMENT_RENAME_OPEN,
  STATEMENT_COUNT_KNOWN,
  STATEMENT_COUNT_KNOWN_IN,
  STATEMENT_SKIP_KNOWN_IN,
  STATEMENT_HAS_CHUNKS,
  STATEMENT_FIND_CHUNK,
  STATEMENT_HAS_CONTENT,
  STATEMENT_FIND_CONTENT,
  STATEMENT_DROP_CHUNKS,
  STATEMENT_DROP_CHUNKED,
  STATEMENT_DROP_ORPHANS,
  STATEMENT_ADD_CHUNKED,
  STATEMENT_ADD_CHUNK,
  STATEMENT_GET_CHUNKS,
  STATEMENT_DROP_NEW_CHUNKS,
  STATEMENT_ADD_NEW_CHUNK,
  STATEMENT_GET_NEW_CHUNKS,
  STATEMENT_ADD_DOUBTS,
  STATEMENT_IS_DOUBTED,
  STATEMENT_REMOVE_DOUBT,
  STATEMENT_PUT_BEGINNING,
  STATEMENT_REMOVE_BEGINNING,
  STATEMENT_PUT_UPLOAD,
  STATEMENT_GET_UPLOAD,
  STATEMENT_REMOVE_UPLOAD,
  STATEMENT_REMOVE_UPLOAD_PARTS,
  STATEMENT_PUT_UPLOAD_PART,
  STATEMENT_GET_UPLOAD_PARTS,
  STATEMENT_GET_ROOT,
  STATEMENT_PUT_ROOT,
  STATEMENT_REMOVE_ROOT,
  STATEMENT_PUT_PROOF,
  STATEMENT_PUT_PIECE,
  STATEMENT_PUT_ATTEMPT,
  STATEMENT_REMOVE_PROOF,
  STATEMENT_PUT_DAMAGED,
  STATEMENT_HAS_DAMAGED,
  STATEMENT_COUNT_DAMAGED,
  STATEMENT_IS_DAMAGED,
  STATEMENT_REMOVE_DAMAGED,
  N_STATEMENTS,
} Statement;

struct _KpCatalogue
{
  char *path;
  char *set_aside; /* where an unusable file was moved; NULL for none */
  /* Of tests that end the process: */
  guint64 n_commits;
  guint64 crash_at; /* the commit */
  gboolean crash_behind;
  int lock_fd;
  GRecMutex lock;
  sqlite3 *db;
  sqlite3_stmt *statements[N_STATEMENTS];
};

gboolean kp_catalogue_set_error (KpCatalogue *catalogue, GError **error);
gboolean kp_catalogue_run (KpCatalogue *catalogue, sqlite3_stmt *statement, GError **error);
gboolean kp_catalogue_fetch (KpCatalogue *catalogue,
                             sqlite3_stmt *statement,
                             gboolean *found,
                             GError **error);
gboolean kp_catalogue_run_for_key (KpCatalogue *catalogue,
                                   Statement which,
                                   const char *key,
                                   GError **error);
gboolean kp_catalogue_has_key (KpCatalogue *catalogue,
                               Statement which,
                               const char *key,
                               gboolean *found,
                               GError **error);
gboolean kp_catalogue_read_chunk (sqlite3_stmt *statement, KpChunk *chunk);

G_END_DECLS

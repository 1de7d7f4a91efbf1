/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the files of the history share: kp-history.c opens it, records and forgets,
 * kp-history-queries.c answers what is asked of it. */

#include "kp-history.h"

#include <sqlite3.h>

G_BEGIN_DECLS

struct _KpHistory
{
  char *path;
  GMutex lock;
  sqlite3 *db;
  gboolean is_damaged; /* SQLite has said so */
  int lock_fd;         /* or -1 */
  GHashTable *open;    /* (element-type gint64): jobs that this connection has begun */
};

typedef sqlite3_stmt Statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Statement, sqlite3_finalize)

Statement *kp_history_query (KpHistory *history,
                             GError **error,
                             const char *sql,
                             const char *types,
                             ...) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_next_row (KpHistory *history, Statement *statement, GError **error);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Values into and out of SQLite statements, and what becomes of a file that SQLite cannot use.
 * Strings and bytes are bound without a copy: they must live until the statement is reset. Keys and
 * paths are BLOBs, so that they compare byte by byte. */

#include <glib.h>
#include <sqlite3.h>

G_BEGIN_DECLS

void kp_sql_bind_text (sqlite3_stmt *statement, int index, const char *text);
void kp_sql_bind_bytes (sqlite3_stmt *statement, int index, const char *bytes);
void kp_sql_bind_gbytes (sqlite3_stmt *statement, int index, GBytes *bytes);
void kp_sql_bind_number (sqlite3_stmt *statement, int index, guint64 number);
char *kp_sql_column_bytes (sqlite3_stmt *statement, int column);
GBytes *kp_sql_column_gbytes (sqlite3_stmt *statement, int column);
guint64 kp_sql_column_number (sqlite3_stmt *statement, int column);
guint32 kp_sql_column_u32 (sqlite3_stmt *statement, int column);

char *kp_sql_set_aside (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

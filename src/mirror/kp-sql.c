/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-sql.h"

#include <string.h>

void
kp_sql_bind_text (sqlite3_stmt *statement, int index, const char *text)
{
  sqlite3_bind_text (statement, index, text, -1, SQLITE_STATIC);
}

void
kp_sql_bind_bytes (sqlite3_stmt *statement, int index, const char *bytes)
{
  if (bytes == NULL)
    sqlite3_bind_null (statement, index);
  else
    sqlite3_bind_blob64 (statement, index, bytes, strlen (bytes), SQLITE_STATIC);
}

void
kp_sql_bind_gbytes (sqlite3_stmt *statement, int index, GBytes *bytes)
{
  gsize size = 0;
  const void *data = bytes != NULL ? g_bytes_get_data (bytes, &size) : NULL;

  if (data == NULL)
    sqlite3_bind_null (statement, index);
  else
    sqlite3_bind_blob64 (statement, index, data, size, SQLITE_STATIC);
}

void
kp_sql_bind_number (sqlite3_stmt *statement, int index, guint64 number)
{
  sqlite3_bind_int64 (statement, index, (sqlite3_int64) number);
}

char *
kp_sql_column_bytes (sqlite3_stmt *statement, int column)
{
  const char *data = sqlite3_column_blob (statement, column);

  if (data == NULL)
    return sqlite3_column_type (statement, column) == SQLITE_NULL ? NULL : g_strdup ("");
  return g_strndup (data, (gsize) sqlite3_column_bytes (statement, column));
}

GBytes *
kp_sql_column_gbytes (sqlite3_stmt *statement, int column)
{
  const void *data = sqlite3_column_blob (statement, column);

  return data != NULL ? g_bytes_new (data, (gsize) sqlite3_column_bytes (statement, column)) : NULL;
}

guint64
kp_sql_column_number (sqlite3_stmt *statement, int column)
{
  return (guint64) sqlite3_column_int64 (statement, column);
}

guint32
kp_sql_column_u32 (sqlite3_stmt *statement, int column)
{
  return (guint32) sqlite3_column_int64 (statement, column);
}

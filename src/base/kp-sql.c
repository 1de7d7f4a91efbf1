/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-sql.h"

#include "kp-error.h"

#include <errno.h>
#include <stdio.h>
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

/**
 * kp_sql_set_aside:
 * @path: of a database that nobody has open any more
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Moves a file that we cannot use out of the way: whoever wants to know what happened to it still
 * can.
 *
 * Returns: (transfer full): where it is now, beside its old place
 */
char *
kp_sql_set_aside (const char *path, GError **error)
{
  static const char *const endings[] = { "", "-wal", "-shm" };
  g_autofree char *aside = g_strdup_printf ("%s.set-aside-%" G_GINT64_FORMAT, path,
                                            g_get_real_time () / G_USEC_PER_SEC);

  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *from = g_strconcat (path, endings[i], NULL);
      g_autofree char *to = g_strconcat (aside, endings[i], NULL);
      if (rename (from, to) < 0 && errno != ENOENT)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                       "Cannot move the unusable file “%s” out of the way: %s", from,
                       g_strerror (errno));
          return NULL;
        }
    }
  return g_steal_pointer (&aside);
}

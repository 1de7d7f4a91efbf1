/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Where the sources, and the disks mounted below them, were when we last saw them. */

#include "kp-catalogue-private.h"

/**
 * kp_catalogue_get_root:
 * @path: of a source
 * @identity: (out): where it was last time
 * @found: (out): whether there was a last time
 */
gboolean
kp_catalogue_get_root (KpCatalogue *catalogue,
                       const char *path,
                       KpRootIdentity *identity,
                       gboolean *found,
                       GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_GET_ROOT];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, path);
  gboolean ok = kp_catalogue_fetch (catalogue, statement, found, error);
  if (ok && *found)
    {
      identity->dev = kp_sql_column_number (statement, 0);
      identity->fsid = kp_sql_column_number (statement, 1);
      identity->is_mount_point = sqlite3_column_int (statement, 2) != 0;
    }
  sqlite3_reset (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_put_root (KpCatalogue *catalogue,
                       const char *path,
                       const KpRootIdentity *identity,
                       GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_PUT_ROOT];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, path);
  kp_sql_bind_number (statement, 2, identity->dev);
  kp_sql_bind_number (statement, 3, identity->fsid);
  kp_sql_bind_number (statement, 4, identity->is_mount_point);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

gboolean
kp_catalogue_remove_root (KpCatalogue *catalogue, const char *path, GError **error)
{
  sqlite3_stmt *statement = catalogue->statements[STATEMENT_REMOVE_ROOT];

  g_rec_mutex_lock (&catalogue->lock);
  kp_sql_bind_bytes (statement, 1, path);
  gboolean ok = kp_catalogue_run (catalogue, statement, error);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/**
 * kp_catalogue_list_mounts_below:
 * @path: absolute, of a folder
 *
 * Returns: (transfer full) (element-type filename): the folders below @path at which something was
 *   mounted
 */
GPtrArray *
kp_catalogue_list_mounts_below (KpCatalogue *catalogue, const char *path, GError **error)
{
  static const char text[]
      = "SELECT path FROM root WHERE path > ? AND path < ? AND is_mount_point ORDER BY path";
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  /* '0' is the character behind '/'. */
  g_autofree char *start = g_str_equal (path, "/") ? g_strdup ("/") : g_strconcat (path, "/", NULL);
  g_autofree char *end = g_str_equal (path, "/") ? g_strdup ("0") : g_strconcat (path, "0", NULL);
  sqlite3_stmt *statement = NULL;
  int result = SQLITE_ERROR;

  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) == SQLITE_OK)
    {
      kp_sql_bind_bytes (statement, 1, start);
      kp_sql_bind_bytes (statement, 2, end);
      while ((result = sqlite3_step (statement)) == SQLITE_ROW)
        g_ptr_array_add (paths, kp_sql_column_bytes (statement, 0));
    }
  if (result != SQLITE_DONE)
    kp_catalogue_set_error (catalogue, error);
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return result == SQLITE_DONE ? g_steal_pointer (&paths) : NULL;
}

/**
 * kp_catalogue_find_emptied_folder:
 * @source: number of a source
 * @path: (out) (nullable): below its root; %NULL for none
 *
 * A folder that is empty on the disk, and is not in the bucket.
 */
gboolean
kp_catalogue_find_emptied_folder (KpCatalogue *catalogue, guint source, char **path, GError **error)
{
  /* What || makes is text, which compares with no blob. S_IFMT is 61440, S_IFDIR 16384. */
  static const char text[]
      = "SELECT s.path FROM scan s WHERE s.source = ? AND (s.mode & 61440) = 16384"
        " AND NOT EXISTS (SELECT 1 FROM scan c"
        "  WHERE c.key > s.key AND c.key < CAST(s.key || x'FF' AS BLOB))"
        " AND EXISTS (SELECT 1 FROM listing l"
        "  WHERE l.key > s.key AND l.key < CAST(s.key || x'FF' AS BLOB)) LIMIT 1";
  sqlite3_stmt *statement = NULL;
  gboolean ok = FALSE;
  gboolean found = FALSE;

  *path = NULL;
  g_rec_mutex_lock (&catalogue->lock);
  if (sqlite3_prepare_v2 (catalogue->db, text, -1, &statement, NULL) != SQLITE_OK)
    kp_catalogue_set_error (catalogue, error);
  else
    {
      kp_sql_bind_number (statement, 1, source);
      ok = kp_catalogue_fetch (catalogue, statement, &found, error);
    }
  if (ok && found)
    *path = kp_sql_column_bytes (statement, 0);
  sqlite3_finalize (statement);
  g_rec_mutex_unlock (&catalogue->lock);
  return ok;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The folders of a restore are made before what lies in them, and get their metadata when all of
 * that is there: each file changes their times, and their mode may forbid to write into them. Until
 * then what they get waits in a table. */

#include "kp-restore-private.h"

#include "kp-beneath.h"

#include <string.h>
#include <sys/stat.h>

/* In the table of folders, in the place of an ETag: what is known of one. */
#define ONLY_MODE "mode"
#define AS_IT_WAS "as it was"
#define ALL_METADATA "all"

/**
 * kp_restore_remember_folder:
 * @task: the object of a folder that was made
 * @error: of the catalogue
 *
 * Notes down what the folder gets in the end. One that stays as it is has what it had noted down.
 */
gboolean
kp_restore_remember_folder (KpRestore *self, const RestoreTask *task, GError **error)
{
  g_autoptr (GBytes) xattrs
      = task->xattrs != NULL ? g_bytes_new (task->xattrs, strlen (task->xattrs)) : NULL;
  KpKnown known = { .etag = (char *) ALL_METADATA, .info = task->info, .xattrs = xattrs };

  if (task->is_kept)
    return TRUE;
  return kp_catalogue_put_known (self->catalogue, task->path, &known, error);
}

/* Makes a folder that is about to be filled, and notes down the mode that it has to have in the
 * end, unless its own object says more: where that cannot be fetched, a new one stays private. */
static gboolean
enter_folder (KpRestore *self, const char *path, gboolean has_object, GError **error)
{
  KpKnown known = { .etag = (char *) ONLY_MODE };
  gboolean exists = kp_target_stat_directory (self->target_fd, path, &known.info);
  gboolean is_new;
  guint32 mode;

  if (!kp_target_enter_directory (self->target_fd, path, &is_new, &mode))
    return TRUE;
  self->folder_is_new = is_new || (*path == '\0' && self->target_is_new);
  if (self->folder_is_new)
    mode = has_object ? KP_TARGET_UNFINISHED_MODE : self->default_mode;
  else if (exists && self->options.overwrite == KP_OVERWRITE_NEVER)
    known.etag = (char *) AS_IT_WAS;
  known.info.mode = S_IFDIR | mode;
  return kp_catalogue_put_known (self->catalogue, path, &known, error);
}

/**
 * kp_restore_enter_folders:
 * @path: of an object, below the target; the last one was before it in the order of keys
 * @error: of the catalogue
 *
 * Enters the folders on the way to the object that the last object did not lie in. In the order of
 * keys all that lies in a folder is together, and its own object comes first.
 */
gboolean
kp_restore_enter_folders (KpRestore *self, const char *path, GError **error)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *folder = g_strndup (path, slash != NULL ? (gsize) (slash - path) : 0);
  gboolean has_object = slash == NULL ? *path == '\0' : slash[1] == '\0';
  const char *last = self->folder;
  gsize length = 0;

  /* Of a path that leads elsewhere, not even the first folder. */
  if (!kp_beneath_is_safe (has_object ? folder : path) && *path != '\0')
    return TRUE;
  if (last == NULL && !enter_folder (self, "", has_object && *folder == '\0', error))
    return FALSE;
  while (folder[length] != '\0')
    {
      gsize end = length + strcspn (folder + length, "/");
      gboolean is_in = last != NULL && strncmp (last, folder, end) == 0
                       && (last[end] == '/' || last[end] == '\0');
      if (!is_in)
        {
          g_autofree char *part = g_strndup (folder, end);
          last = NULL;
          if (!enter_folder (self, part, has_object && folder[end] == '\0', error))
            return FALSE;
        }
      length = end + (folder[end] == '/' ? 1 : 0);
    }
  g_free (self->folder);
  self->folder = g_steal_pointer (&folder);
  return TRUE;
}

static gboolean
finish_folder (KpRestore *self, const char *path, KpKnown *known, GError **error)
{
  if (g_str_equal (known->etag, AS_IT_WAS))
    kp_target_put_back_times (self->target_fd, path, &known->info);
  if (!g_str_equal (known->etag, ALL_METADATA))
    return kp_target_leave_directory (self->target_fd, path, known->info.mode & 07777, error);

  g_autofree char *text = known->xattrs != NULL ? g_strndup (g_bytes_get_data (known->xattrs, NULL),
                                                             g_bytes_get_size (known->xattrs))
                                                : NULL;
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);
  gboolean is_ours;

  known->info.atime = known->info.mtime;
  gboolean ok
      = kp_target_set_directory (self->target_fd, path, &known->info, xattrs, &is_ours, error);
  self->is_ours |= is_ours;
  return ok;
}

/**
 * kp_restore_finish_folders:
 * @deadline: monotonic time in microseconds, after which no other folder is begun; 0 for none
 * @error: of the catalogue. Folders that fail alone are reported and counted.
 *
 * Gives the folders what was noted down of them, the innermost first.
 */
gboolean
kp_restore_finish_folders (KpRestore *self, gint64 deadline, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_known_backwards (self->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 && (deadline == 0 || g_get_monotonic_time () < deadline))
    {
      g_autofree char *path = NULL;
      g_auto (KpKnown) known = { 0 };
      g_autoptr (GError) local_error = NULL;

      result = kp_cursor_next_known (cursor, &path, &known, error);
      if (result == 1 && !finish_folder (self, path, &known, &local_error))
        kp_restore_report_failure (self, path, local_error);
    }
  return result >= 0;
}

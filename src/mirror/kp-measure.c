/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-measure.h"

#include "kp-error.h"
#include "kp-name.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

/* The path as the filter sees it: below the prefix, without what lies above the source. */
static char *
filter_path_of (const FTSENT *entry, gsize root_length, const char *stored_as)
{
  const char *below = entry->fts_path + root_length;

  while (*below == '/')
    below++;
  return g_strconcat (stored_as, *stored_as != '\0' ? "/" : "", below, NULL);
}

static void
count (KpMeasure *measure, const FTSENT *entry, gboolean is_excluded)
{
  guint64 bytes = entry->fts_info == FTS_F ? (guint64) entry->fts_statp->st_size : 0;

  if (is_excluded)
    {
      measure->excluded_files++;
      measure->excluded_bytes += bytes;
    }
  else
    {
      measure->files++;
      measure->bytes += bytes;
    }
}

/**
 * kp_measure:
 * @path: a folder or a file
 * @stored_as: its name below the prefix, for patterns that are anchored
 * @measure: (inout): added to
 * @error: %KP_ERROR_SOURCE_MISSING, %KP_ERROR_SOURCE_UNREADABLE, %G_IO_ERROR_CANCELLED. What cannot
 *   be read below it counts as nothing
 *
 * Stays on the file system, as a mirror does.
 */
gboolean
kp_measure (const char *path,
            const char *stored_as,
            KpFilter *filter,
            KpMeasure *measure,
            GCancellable *cancellable,
            GError **error)
{
  g_autofree char *root = g_canonicalize_filename (path, "/");
  char *roots[] = { root, NULL };
  gsize root_length = g_str_equal (root, "/") ? 0 : strlen (root);
  FTS *walk = fts_open (roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
  int excluded_level = -1; /* of the excluded folder that we are in */
  gboolean ok = walk != NULL;
  FTSENT *entry;

  if (walk == NULL)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_FAILED, g_strerror (errno));
  while (ok && (entry = fts_read (walk)) != NULL)
    {
      ok = !g_cancellable_set_error_if_cancelled (cancellable, error);
      if (entry->fts_level == FTS_ROOTLEVEL && entry->fts_errno != 0)
        {
          g_autofree char *name = kp_name_display (root);
          g_set_error (error, KP_ERROR,
                       entry->fts_errno == ENOENT ? (int) KP_ERROR_SOURCE_MISSING
                                                  : (int) KP_ERROR_SOURCE_UNREADABLE,
                       "Cannot open “%s”: %s", name, g_strerror (entry->fts_errno));
          ok = FALSE;
        }
      if (entry->fts_info == FTS_DP && entry->fts_level == excluded_level)
        excluded_level = -1;
      if (!ok || entry->fts_info == FTS_DP || entry->fts_info == FTS_NS
          || entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
        continue;

      gboolean is_folder = entry->fts_info == FTS_D;
      gboolean is_excluded = excluded_level >= 0;
      if (!is_excluded && entry->fts_level > FTS_ROOTLEVEL)
        {
          g_autofree char *filter_path = filter_path_of (entry, root_length, stored_as);
          is_excluded = kp_filter_excludes (filter, filter_path, is_folder);
          if (is_excluded && is_folder)
            excluded_level = entry->fts_level;
        }
      if (!is_folder)
        count (measure, entry, is_excluded);
    }
  if (walk != NULL)
    fts_close (walk);
  return ok;
}

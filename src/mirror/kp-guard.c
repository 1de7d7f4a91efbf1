/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-guard.h"

#include "kp-name.h"

static gboolean
is_too_much (guint64 deletions, guint64 known, guint64 count)
{
  return deletions > count && deletions > known / 100.0 * KP_GUARD_PERCENT;
}

/* One source may be small beside the others, and be all that somebody has of something. */
static char *
judge_source (const KpGuardSource *source, guint64 all_deletions)
{
  g_autofree char *name = kp_name_display (source->path);

  if (source->was_folder && source->deletions > KP_GUARD_COUNT_UNKNOWN)
    return g_strdup_printf (
        "“%s” is a file and was a folder before; is its disk mounted? If all %" G_GUINT64_FORMAT
        " objects of the folder are meant to be deleted, say --max-delete %" G_GUINT64_FORMAT,
        name, source->deletions, all_deletions);
  if (source->is_unknown && is_too_much (source->deletions, source->known, KP_GUARD_COUNT_UNKNOWN))
    return g_strdup_printf (
        "nothing is remembered of “%s”, and %" G_GUINT64_FORMAT " of its %" G_GUINT64_FORMAT
        " objects would be deleted; if everything is there and that is meant, say --max-delete "
        "%" G_GUINT64_FORMAT,
        name, source->deletions, source->known, all_deletions);
  if (source->strange > KP_GUARD_COUNT_UNKNOWN || source->foreign > 0)
    return g_strdup_printf (
        "%" G_GUINT64_FORMAT " of the objects of “%s” that would be deleted are not remembered to "
        "have been stored by this computer. If its files are of an older time than the backup, "
        "restore what is missing first; if that is meant, say --max-delete %" G_GUINT64_FORMAT,
        source->strange, name, all_deletions);
  if (is_too_much (source->deletions, source->known, KP_GUARD_COUNT))
    return g_strdup_printf ("%" G_GUINT64_FORMAT " of the %" G_GUINT64_FORMAT
                            " objects of “%s” would be deleted, more than %d %%; if that is meant, "
                            "say --max-delete %" G_GUINT64_FORMAT,
                            source->deletions, source->known, name, KP_GUARD_PERCENT,
                            all_deletions);
  return NULL;
}

/**
 * kp_guard_judge:
 *
 * Returns: (transfer full) (nullable): why nothing may be deleted, and what to do, as a sentence;
 * %NULL when the deletions may go on
 */
char *
kp_guard_judge (const KpGuardCase *guard_case)
{
  if (guard_case->source_missing)
    return g_strdup ("a source folder is missing; is its disk connected?");
  if (guard_case->moved_source != NULL)
    {
      g_autofree char *name = kp_name_display (guard_case->moved_source);
      return g_strdup_printf ("“%s” is on another file system than before; is its disk mounted? If "
                              "the folder has really moved, say --accept-new-file-system once",
                              name);
    }
  if (guard_case->empty_source != NULL)
    {
      g_autofree char *name = kp_name_display (guard_case->empty_source);
      return g_strdup_printf ("“%s” is empty and was not before; is its disk mounted?", name);
    }
  if (guard_case->unreadable > 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT " files or folders could not be read, so what is "
                            "missing may only be out of sight",
                            guard_case->unreadable);
  if (guard_case->unsaved > 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT
                            " files could not be stored, and what would be deleted "
                            "may be their only copy under an older name",
                            guard_case->unsaved);
  if (guard_case->has_consent)
    {
      if (guard_case->deletions > guard_case->consent)
        return g_strdup_printf ("%" G_GUINT64_FORMAT " objects would be deleted, more than the "
                                "%" G_GUINT64_FORMAT " allowed by --max-delete",
                                guard_case->deletions, guard_case->consent);
    }
  else if (is_too_much (guard_case->deletions, guard_case->known, KP_GUARD_COUNT))
    return g_strdup_printf (
        "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " objects would be deleted, "
        "more than %d %%; if that is meant, say --max-delete %" G_GUINT64_FORMAT,
        guard_case->deletions, guard_case->known, KP_GUARD_PERCENT, guard_case->deletions);

  for (gsize i = 0; !guard_case->has_consent && i < guard_case->n_sources; i++)
    {
      char *reason = judge_source (&guard_case->sources[i], guard_case->deletions);
      if (reason != NULL)
        return reason;
    }
  return NULL;
}

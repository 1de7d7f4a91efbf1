/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-compare.h"

/**
 * kp_compare_object_size:
 *
 * Returns: how many bytes the body of an object for this file has
 */
guint64
kp_compare_object_size (const KpFileInfo *info)
{
  return S_ISREG (info->mode) || S_ISLNK (info->mode) ? info->size : 0;
}

/**
 * kp_compare_same_metadata:
 *
 * Whether an object written for @a has the same headers as one for @b would have, but for ctime,
 * atime and extended attributes.
 */
gboolean
kp_compare_same_metadata (const KpFileInfo *a, const KpFileInfo *b)
{
  return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime == b->mtime
         && a->rdev == b->rdev;
}

/**
 * kp_compare_is_touched:
 * @row: of an object that is listed and known by the same ETag
 * @now: the server's time when it was listed or later, in Unix seconds
 *
 * Whether somebody else has written the object since: with the same bytes, but perhaps other
 * headers. Where the server's times cannot be, or are not known, nothing is said.
 */
gboolean
kp_compare_is_touched (const KpComparison *row, gint64 now)
{
  return row->known.stored > 0 && row->listed_modified > 0
         && row->listed_modified - KP_COMPARE_CLOCK_SLACK > row->known.stored
         && row->listed_modified - KP_COMPARE_CLOCK_SLACK <= now;
}

/**
 * kp_compare_decide:
 * @checksum: never believe size and times
 *
 * Never gives %KP_DECISION_LOOK_AT_HEADERS: see kp_compare_is_touched().
 */
KpDecision
kp_compare_decide (const KpComparison *row, gboolean checksum)
{
  const KpFileInfo *local = &row->local.info;
  const KpFileInfo *known = &row->known.info;

  if (!row->listed)
    return KP_DECISION_PUT;
  if (row->listed_size != kp_compare_object_size (local))
    return KP_DECISION_PUT;
  if (!row->has_known)
    return KP_DECISION_LOOK_AT_OBJECT;
  /* Somebody else wrote this object, or we did and were stopped before we could note it. */
  if (!g_str_equal (row->listed_etag, row->known.etag))
    return KP_DECISION_LOOK_AT_OBJECT;

  if ((local->mode & S_IFMT) != (known->mode & S_IFMT) || local->size != known->size)
    return KP_DECISION_PUT;
  gboolean same = kp_compare_same_metadata (local, known) && local->ctime == known->ctime
                  && local->ino == known->ino;
  if (!S_ISREG (local->mode))
    /* These cost one small request: nothing is gained by looking closer. */
    return same ? KP_DECISION_UNCHANGED : KP_DECISION_PUT;
  /* A new name of a file changes its ctime; that it is one of several may not have been said. */
  same = same && row->local.is_linked == (row->known.hard_link != NULL);
  return same && !checksum ? KP_DECISION_UNCHANGED : KP_DECISION_LOOK_AT_FILE;
}

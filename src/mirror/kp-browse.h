/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a mirror holds, for somebody who looks for a file. Blocks; for a thread of its own. */

#include "kp-s3-client.h"

G_BEGIN_DECLS

typedef struct
{
  char *path; /* below the mirror's prefix, file name bytes */
  gboolean is_folder;
  guint64 size;
  gint64 stored; /* seconds since 1970 UTC; 0 where it is not known */
} KpBrowseEntry;

typedef struct
{
  gboolean recursive;
  const char *match; /* or NULL: only names with this in them, in any case */
  guint limit;       /* entries at most */
  gint64 at;         /* what there was then, Unix seconds; 0 for now */
} KpBrowseOptions;

GPtrArray *kp_browse_list (KpS3Service *service,
                           const char *folder,
                           const KpBrowseOptions *options,
                           gboolean *complete,
                           gint64 *complete_since,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
GBytes *kp_browse_fetch (KpS3Service *service,
                         const char *path,
                         gint64 at,
                         guint64 limit,
                         GCancellable *cancellable,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

void kp_browse_entry_free (KpBrowseEntry *entry);

G_END_DECLS

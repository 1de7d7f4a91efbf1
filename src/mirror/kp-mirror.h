/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* One run of a mirror: scan the sources and list the bucket, make the change set, transfer, and
 * last of all delete what the guard has passed. Blocks; for a thread of its own. Progress may be
 * asked for from any thread. */

#include "kp-filter.h"
#include "kp-report.h"

G_BEGIN_DECLS

#define KP_TYPE_MIRROR (kp_mirror_get_type ())
G_DECLARE_FINAL_TYPE (KpMirror, kp_mirror, KP, MIRROR, GObject)

typedef struct
{
  const char *state_dir; /* where catalogues are kept */
  KpFilter *filter;
  const char *storage_class;       /* or NULL: the bucket's default */
  unsigned jobs;                   /* workers; 0 to find out */
  gboolean delete_vanished;        /* --delete */
  unsigned keep_days;              /* how long to keep what is deleted or replaced; 0: not at all */
  gboolean dry_run;                /* send and delete nothing */
  gboolean checksum;               /* read every file */
  gboolean all_file_systems;       /* enter what is mounted in the sources */
  gboolean misses_disks;           /* a disk mounted in a source that is not entered is a failure */
  gboolean accept_new_file_system; /* the sources have really moved */
  gboolean has_max_delete;
  guint64 max_delete; /* consent to so many deletions */
} KpMirrorOptions;

typedef struct
{
  guint64 put;       /* files, folders and links sent as a whole */
  guint64 delta;     /* large files of which a part was sent */
  guint64 copied;    /* names that the server copied: renamed, of equal bytes, or hard links */
  guint64 metadata;  /* objects that only got new headers */
  guint64 deleted;   /* objects */
  guint64 kept;      /* objects that were copied before they were deleted or replaced */
  guint64 swept;     /* of those kept by earlier runs, whose time was over */
  guint64 unchanged; /* files, folders and links */
  guint64 failed;
  guint64 bytes_sent;       /* of bodies that the server confirmed */
  guint64 bytes_saved;      /* of changed files, that did not have to be sent */
  guint64 still_damaged;    /* objects that a verification has found to be, and nobody could mend */
  guint64 deletions_held;   /* that the guard held back */
  const char *guard_reason; /* or NULL */
} KpMirrorResult;

KpMirror *kp_mirror_new (KpS3Service *service,
                         const KpMirrorOptions *options,
                         KpEventFunc func,
                         void *user_data);
void kp_mirror_add_source (KpMirror *mirror, const char *argument, const char *stored_as);
gboolean kp_mirror_run (KpMirror *mirror, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_mirror_get_progress (KpMirror *mirror, KpProgress *progress);
void kp_mirror_get_result (KpMirror *mirror, KpMirrorResult *result);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the phases of a mirror share. Only kp-mirror.c, kp-change-set.c, kp-keep.c, kp-roots.c,
 * kp-stale.c, kp-sweep.c, kp-transfer.c, kp-transfer-record.c, kp-upload.c and kp-vanished.c see
 * it. */

#include "kp-mirror.h"
#include "kp-s3-client.h"
#include "kp-scan.h"

G_BEGIN_DECLS

typedef struct _KpKeep KpKeep;

struct _KpMirror
{
  GObject parent_instance;

  KpS3Service *service;
  KpMirrorOptions options; /* its pointers are owned */
  GPtrArray *sources;      /* of KpSource */
  KpReport *report;

  /* Of the run. */
  KpCatalogue *catalogue;
  GCancellable
      *cancellable;     /* ours: cancelled with the caller's, or when going on makes no sense */
  gint64 scan_began;    /* by the clock of file systems, in nanoseconds */
  gint64 listing_began; /* monotonic */
  KpScanResult scan;
  KpMirrorResult result; /* used by the thread of kp_mirror_run() */
  gboolean source_missing;
  guint64 unreadable;   /* files and folders that could not be read */
  guint64 unsaved;      /* files that are in the bucket under no version at all */
  gboolean look_failed; /* a large file could not be compared, and is not in the change set */
  guint64 out_of_sight; /* the same of those that were gone before they could be sent */
  GPtrArray
      *beginnings_left; /* of KpBeginning: uploads to be looked for by the next job; or NULL */
  KpKeep *keep;         /* or NULL: what is deleted or replaced is not kept */
  char *guard_reason;
  char *moved_root;   /* a folder on another file system than before, or NULL */
  char *emptied_root; /* a folder that is empty as if its disk was not mounted, or NULL */
};

KpSource *kp_mirror_get_source (KpMirror *mirror, guint index);
void kp_mirror_fail_file (KpMirror *mirror,
                          const KpScanned *local,
                          gboolean has_object,
                          const GError *error);
gboolean kp_mirror_is_same_file (gboolean has_known, const KpKnown *known, const KpScanned *local);
void kp_mirror_fail_xattrs (KpMirror *mirror, const KpScanned *local);

gboolean kp_change_set_make (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_change_set_print (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_stale_report_left (KpMirror *mirror, const char *key, const GError *error);
gboolean kp_stale_end_uploads (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_stale_remember (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_stale_end_twins (KpMirror *mirror,
                         KpS3Client *client,
                         const char *key,
                         const char *upload_id,
                         unsigned most,
                         gint64 began);
gboolean kp_transfer_run (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_vanished_find (KpMirror *mirror,
                           guint64 *n_vanished,
                           guint64 *n_deletions,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_vanished_judge (KpMirror *mirror,
                            guint64 n_vanished,
                            guint64 n_deletions,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_vanished_delete (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_vanished_report_clashes (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_vanished_is_kept (KpMirror *mirror, KpSource *source, const char *key);
void kp_roots_report_left_out (KpMirror *mirror);
gboolean kp_roots_begin (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_roots_is_away (KpMirror *mirror,
                           KpSource *source,
                           const char *key,
                           gboolean *is_away,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_roots_examine (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_roots_remember (KpMirror *mirror, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What is reported of an object that is kept before an action ends it. */
#define KP_KEEP_ACTION "keep"

const char *kp_action_name (KpAction action);

G_END_DECLS

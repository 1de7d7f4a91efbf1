/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Keeping what a run deletes or replaces, for buckets without versions: the server copies the old
 * object beside the mirror before the run ends it there, and what was kept for long enough is swept
 * away. kp-kept.h tells the names.
 *
 * It never touches the mirror's own objects, and deletes nothing that it has not named. */

#include "kp-kept.h"
#include "kp-mirror-private.h"

G_BEGIN_DECLS

typedef enum
{
  KP_KEEP_DONE,       /* there is a copy of just the object that was judged */
  KP_KEEP_GONE,       /* there is no such object any more: nothing is lost */
  KP_KEEP_IMPOSSIBLE, /* this object can never be kept; with an error */
  KP_KEEP_FAILED,     /* it may go well another time; with an error */
} KpKeepOutcome;

typedef enum
{
  KP_KEEP_BEGINNING, /* an upload is about to be begun */
  KP_KEEP_BEGUN,     /* the server has begun it */
  KP_KEEP_ENDED,     /* it is completed or aborted */
} KpKeepStep;

/* Puts into the catalogue what becomes of the upload of a very large copy, so that the next job can
 * end it when this one is killed. Returns when it is recorded. */
typedef gboolean (*KpKeepRecordFunc) (KpKeepStep step,
                                      const char *kept_key,
                                      const char *upload_id,
                                      void *user_data,
                                      GError **error);

KpKeep *kp_keep_new (KpMirror *mirror);
void kp_keep_free (KpKeep *keep);
void kp_keep_begin_deleting (KpKeep *keep);
guint64 kp_keep_get_count (KpKeep *keep);
void kp_keep_tell_versions (KpKeep *keep);
KpKeepOutcome kp_keep_object (KpKeep *keep,
                              KpS3Client *client,
                              KpKeptReason reason,
                              const char *key,
                              const KpEnded *old,
                              KpKeepRecordFunc record,
                              void *user_data,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_keep_before_deleting (KpKeep *keep, GPtrArray *changes, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_keep_sweep (KpMirror *mirror);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpKeep, kp_keep_free)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Deletes what the bucket holds of a plan that is no longer wanted: the objects of its sources,
 * what was kept of them, and uploads that were never completed. Old versions, where the bucket
 * keeps such, stay.
 *
 * It counts before it deletes, and never touches what another plan covers. Blocks; for a thread of
 * its own. Progress may be asked for from any thread. */

#include "kp-report.h"

G_BEGIN_DECLS

#define KP_TYPE_ERASE (kp_erase_get_type ())
G_DECLARE_FINAL_TYPE (KpErase, kp_erase, KP, ERASE, GObject)

typedef struct
{
  guint64 objects; /* that are there, or were */
  guint64 bytes;   /* of those */
  guint64 deleted;
  guint64 deleted_bytes;
  guint64 remaining; /* that are not deleted, or may not be, though it had begun to */
  guint64 spared;    /* that lie in the sources, but another plan covers them */
  guint64 failed;
  gboolean keeps_versions; /* the bucket does; FALSE also where it does not tell */
  gboolean tells_versions; /* whether that is known */
} KpEraseResult;

KpErase *kp_erase_new (KpS3Service *service,
                       const char *state_dir,
                       KpEventFunc func,
                       void *user_data);
void kp_erase_add_source (KpErase *erase, const char *path, const char *stored_as);
void kp_erase_spare (KpErase *erase,
                     KpS3Location *location,
                     const char *path,
                     const char *stored_as);
void kp_erase_consent (KpErase *erase, guint64 max_delete);

gboolean kp_erase_count (KpErase *erase, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_erase_run (KpErase *erase, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_erase_get_progress (KpErase *erase, KpProgress *progress);
void kp_erase_get_result (KpErase *erase, KpEraseResult *result);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The proof: reads objects back and compares them with the files, byte for byte. Changes nothing.
 * Blocks; for a thread of its own. */

#include "kp-filter.h"
#include "kp-report.h"

G_BEGIN_DECLS

#define KP_TYPE_VERIFY (kp_verify_get_type ())
G_DECLARE_FINAL_TYPE (KpVerify, kp_verify, KP, VERIFY, GObject)

typedef struct
{
  const char *state_dir; /* of the mirrors, which leave it out */
  KpFilter *filter;
  double sample; /* which share of the files to read back: above 0, up to 1 */
  gboolean all_file_systems;
  unsigned jobs; /* workers; 0 to find out */
} KpVerifyOptions;

typedef struct
{
  guint64 equal;   /* files and links whose bytes were compared */
  guint64 missing; /* not in the bucket */
  guint64 changed; /* the file was changed since it was stored */
  guint64 damaged; /* size and time say it is the same, the bytes differ */
  guint64 failed;  /* could not be compared */
  guint64 bytes;   /* compared */
} KpVerifyResult;

KpVerify *kp_verify_new (KpS3Service *service,
                         const KpVerifyOptions *options,
                         KpEventFunc func,
                         void *user_data);
void kp_verify_add_source (KpVerify *verify, const char *argument, const char *stored_as);
gboolean kp_verify_run (KpVerify *verify, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_verify_get_progress (KpVerify *verify, KpProgress *progress);
void kp_verify_get_result (KpVerify *verify, KpVerifyResult *result);

G_END_DECLS

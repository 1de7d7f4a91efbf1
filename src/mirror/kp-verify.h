/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The proof: reads objects back and compares them with the files, byte for byte, or, where a file
 * is another by now, with what the catalogue has recorded of it. Changes nothing in the bucket and
 * no file. In the catalogue, if the destination has one, it records what was proved and what is
 * damaged; so verifications with bounds come to everything in time, and the next backup sends again
 * what has to be. Blocks; for a thread of its own. */

#include "kp-catalogue.h"
#include "kp-filter.h"
#include "kp-report.h"

G_BEGIN_DECLS

#define KP_TYPE_VERIFY (kp_verify_get_type ())
G_DECLARE_FINAL_TYPE (KpVerify, kp_verify, KP, VERIFY, GObject)

/* What is read at most when nobody has asked for more. */
#define KP_VERIFY_MAX_FILES 200
#define KP_VERIFY_MAX_BYTES (G_GUINT64_CONSTANT (1) << 30)

typedef struct
{
  const char *state_dir; /* of the mirrors, which leave it out, and of their catalogues */
  KpFilter *filter;
  double sample;     /* which share of the files to read back: above 0, up to 1 */
  guint64 max_files; /* at most so many; 0: as many as there are */
  guint64 max_bytes; /* at most about so many, but always something; 0: no bound */
  gboolean strict;   /* whatever is not in the bucket as it is here is a problem, also what the next
                        backup is going to store */
  gint64 now;        /* for the record, seconds since 1970; 0: ask the clock */
  gboolean all_file_systems;
  unsigned jobs; /* workers; 0 to find out */
} KpVerifyOptions;

typedef struct
{
  guint64 equal;    /* files and links whose bytes were compared */
  guint64 missing;  /* not in the bucket */
  guint64 changed;  /* the file was changed since it was stored; only when strict */
  guint64 damaged;  /* the object is not what was stored */
  guint64 archived; /* cannot be read back without a request */
  guint64 failed;   /* could not be compared */
  guint64 bytes;    /* compared */
  gboolean has_coverage;
  KpCoverage coverage; /* over all verifications */
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

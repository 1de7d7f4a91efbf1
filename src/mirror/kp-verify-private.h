/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-verify.c (which objects, what came of them) and kp-verify-compare.c (one of them, in a
 * worker) share. */

#include "kp-budget.h"
#include "kp-pool.h"
#include "kp-scan.h"
#include "kp-verify.h"

G_BEGIN_DECLS

struct _KpVerify
{
  GObject parent_instance;

  KpS3Service *service;
  KpVerifyOptions options;
  GPtrArray *sources; /* of KpSource */
  KpReport *report;

  /* Of the run. */
  KpCatalogue *catalogue;
  gboolean has_catalogue; /* or it is a temporary one, with the work tables alone */
  GCancellable *cancellable;
  KpScanResult scan;
  KpPool *pool;
  KpBudget *budget;
  GAsyncQueue *results; /* of KpVerifyTask */
  unsigned outstanding;
  guint64 max_files;      /* 0: all */
  guint64 chosen_files;   /* taken on by now */
  guint64 chosen_damaged; /* of those: known to be damaged before */
  guint64 chosen_bytes;
  gint64 commit_at; /* monotonic */
  KpVerifyResult result;
};

typedef enum
{
  KP_VERIFY_EQUAL,     /* to the file as it is */
  KP_VERIFY_AS_STORED, /* equal to what was recorded; the file is another by now, or gone */
  KP_VERIFY_CHANGED,   /* nothing to compare with: the file was changed since */
  KP_VERIFY_DAMAGED,   /* size and time of the file are those recorded, the object is another */
  KP_VERIFY_LOCAL,     /* as stored, but the file is not, and nobody changed it that we know of */
  KP_VERIFY_MISSING,   /* the listing had it */
} KpVerifyOutcome;

/* One object, on its way to a worker and back. */
typedef struct
{
  KpVerify *verify;
  KpCandidate candidate;
  GArray *chunks; /* of KpChunk: of a large object as stored; or NULL */
  guint64 offset; /* where to begin */
  guint64 length; /* how much to read; up to the end but for what is too large for once */

  KpVerifyOutcome outcome;
  char *etag; /* of the object that was read */
  guint64 bytes;
  GError *error;
} KpVerifyTask;

void kp_verify_compare (KpVerifyTask *task, KpS3Client *client);

G_END_DECLS

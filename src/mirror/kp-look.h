/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A closer look at what size, time and ETag leave open: whether a file and an object have the same
 * bytes and say the same of themselves. Reads the file, or asks for the object with a HEAD. */

#include "kp-compare.h"
#include "kp-mirror-private.h"

G_BEGIN_DECLS

/* One row that needed a closer look, on its way to a worker and back. */
typedef struct
{
  KpMirror *mirror;
  KpComparison row;
  KpDecision question;
  gint64 listed_at;    /* the server's time before the listing */
  gboolean is_doubted; /* the object may have our headers and other bytes */
  gboolean is_touched; /* the object has the recorded ETag, and perhaps other headers than ours */
  GArray *old_chunks;  /* of KpChunk: of the object that a large file is compared with; or NULL */

  /* The answer. */
  gboolean same_content;
  gboolean same_metadata;
  gboolean went_away;   /* the file is gone, or another one than at the scan */
  gboolean is_unseen;   /* touched, and the key may not look at it */
  gboolean was_touched; /* by somebody else: what was proved of its bytes is not any more */
  GArray *chunks;       /* of KpChunk: of a large file */
  KpKnown known;        /* to be recorded when nothing differs */
  KpKnown as_stored;    /* what an object without a row holds; without an ETag: not looked at */
  GError *error;
} KpLook;

void kp_look_free (void *look);
void kp_look_closely (KpLook *look, KpS3Client *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpLook, kp_look_free)

G_END_DECLS

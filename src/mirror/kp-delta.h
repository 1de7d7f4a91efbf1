/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The cheapest way to make an object of several parts out of objects that the server already has
 * and bytes that must be sent. Pure: knows no network and no file. */

#include "kp-chunker.h"

G_BEGIN_DECLS

/* One part of the new object. */
typedef struct
{
  guint64 offset; /* in the new object */
  guint64 length; /* bytes */
  int source;     /* number of the object to copy from; -1: send the bytes */
  guint64 source_offset;
} KpPart;

/* Where a chunk of the new object can be had. */
typedef struct
{
  guint64 length; /* bytes */
  int source;     /* -1: nowhere */
  guint64 source_offset;
} KpPiece;

typedef struct
{
  guint64 min_part;    /* the smallest part but the last, in bytes */
  guint64 max_copy;    /* the largest part that is copied, in bytes */
  guint64 upload_part; /* the usual size of parts that are sent, in bytes; at least min_part */
  unsigned max_parts;
} KpDeltaLimits;

GArray *kp_delta_plan (const KpPiece *pieces, gsize n_pieces, const KpDeltaLimits *limits);
GArray *kp_delta_plan_whole (guint64 size, const KpDeltaLimits *limits);
guint64 kp_delta_bytes_to_send (GArray *parts);

G_END_DECLS

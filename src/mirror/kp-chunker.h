/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Content-defined chunking: cuts a file where its bytes say so, so that a change moves only the
 * cuts near it. Gear hash with normalised cut points (Xia et al., "FastCDC", USENIX ATC 2016).
 * Pure.
 *
 * The cuts of a given file must never change between versions of this program, or every large file
 * is sent again; docs/formats.md describes them. */

#include <glib.h>

G_BEGIN_DECLS

/* Bytes. */
#define KP_CHUNK_MIN (256 * 1024)
#define KP_CHUNK_AVERAGE (1024 * 1024)
#define KP_CHUNK_MAX (4 * 1024 * 1024)

#define KP_CHUNK_HASH_SIZE 32

typedef struct
{
  guint64 offset; /* bytes from the start of the file */
  guint32 length; /* bytes */
  guint8 sha256[KP_CHUNK_HASH_SIZE];
} KpChunk;

gsize kp_chunker_cut (const guint8 *data, gsize length);
gboolean kp_chunks_cover (const GArray *chunks, guint64 size);

G_END_DECLS

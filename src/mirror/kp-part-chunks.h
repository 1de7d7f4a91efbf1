/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The chunks of a file, found in its parts while these are in memory to be sent: so the file is
 * read once, and the chunks are of the very bytes that were sent.
 *
 * A worker is given its part only when it has the memory for one, as those with later parts wait
 * for it. Where a part cannot be read there are no chunks. */

#include "kp-chunker.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _KpPartChunks KpPartChunks;

KpPartChunks *kp_part_chunks_new (unsigned n_parts);
void kp_part_chunks_free (KpPartChunks *self);
unsigned kp_part_chunks_begin (KpPartChunks *self) G_GNUC_WARN_UNUSED_RESULT;
void kp_part_chunks_add (KpPartChunks *self,
                         unsigned part,
                         const guint8 *bytes, /* (nullable) */
                         gsize length,
                         GCancellable *cancellable);
GArray *kp_part_chunks_finish (KpPartChunks *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpPartChunks, kp_part_chunks_free)

G_END_DECLS

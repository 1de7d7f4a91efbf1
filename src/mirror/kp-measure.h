/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* How much a folder holds, and how much of that a filter leaves out. Reads names and sizes, no
 * contents. Blocks; for a thread of its own. */

#include "kp-filter.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 files;
  guint64 bytes; /* of their contents */
  guint64 excluded_files;
  guint64 excluded_bytes;
} KpMeasure;

gboolean kp_measure (const char *path,
                     const char *stored_as,
                     KpFilter *filter,
                     KpMeasure *measure,
                     GCancellable *cancellable,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* How a large object is put together: its parts, and the objects that some of them are copied from.
 * Immutable once made. */

#include "kp-catalogue.h"
#include "kp-delta.h"
#include "kp-s3-provider.h"

G_BEGIN_DECLS

typedef struct
{
  char *key;
  char *etag;
} KpLayoutSource;

typedef struct
{
  GArray *parts;      /* of KpPart; their sources are numbers in… */
  GPtrArray *sources; /* …of KpLayoutSource */
  guint64 size;       /* bytes of the object */
  guint64 to_send;    /* bytes that have to be sent */
} KpLayout;

KpDeltaLimits kp_layout_limits (const KpS3Provider *provider);
KpLayout *kp_layout_new_whole (guint64 size, const KpDeltaLimits *limits);
KpLayout *kp_layout_new_delta (KpCatalogue *catalogue,
                               const char *key,
                               const char *etag,
                               GArray *chunks,
                               const KpDeltaLimits *limits,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpLayout *kp_layout_new_copy (const char *key,
                              const char *etag,
                              guint64 size,
                              const KpDeltaLimits *limits);
void kp_layout_free (KpLayout *layout);
char *kp_layout_fingerprint (const KpLayout *layout);
gboolean kp_layout_has_copies (const KpLayout *layout);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpLayout, kp_layout_free)

G_END_DECLS

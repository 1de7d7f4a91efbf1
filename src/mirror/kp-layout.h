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

gboolean kp_layout_can_copy_from (const KpS3Provider *provider, const char *key);
gboolean kp_layout_needs_parts (const KpS3Provider *provider, const char *etag, guint64 size);
gboolean kp_layout_check_size (const KpS3Provider *provider, guint64 size, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpLayout *kp_layout_new_whole (guint64 size, const KpS3Provider *provider);
KpLayout *kp_layout_new_delta (KpCatalogue *catalogue,
                               const KpS3Provider *provider,
                               const char *key,
                               const char *etag,
                               GArray *chunks,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpLayout *kp_layout_new_copy (const char *key,
                              const char *etag,
                              guint64 size,
                              const KpS3Provider *provider);
void kp_layout_free (KpLayout *layout);
char *kp_layout_fingerprint (const KpLayout *layout);
gboolean kp_layout_has_copies (const KpLayout *layout);
const KpLayoutSource *kp_layout_get_only_source (const KpLayout *layout, const char *key);
gboolean kp_layout_copies_from_others (const KpLayout *layout, const char *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpLayout, kp_layout_free)

G_END_DECLS

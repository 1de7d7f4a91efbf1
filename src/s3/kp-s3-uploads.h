/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What is there of uploads that were begun and not ended: the pages in which a server says so.
 * kp-s3-client.h asks for them.
 *
 * No server that repeats itself is believed, nor one that says there is more and not where. */

#include "kp-s3-client.h"
#include "kp-s3-xml.h"

G_BEGIN_DECLS

gboolean kp_s3_parts_read_page (GPtrArray *parts,
                                KpS3Xml *xml,
                                char **marker,
                                gboolean *more,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  char *prefix;
  GPtrArray *uploads; /* of KpS3Upload: those below prefix, so far */
  GHashTable *ids;    /* of all that was listed */
  char *key_marker;   /* where the next page starts, or NULL … */
  char *id_marker;    /* … and with which upload of that key */
  unsigned n_pages;   /* that were followed by another */
  gboolean more;
} KpS3UploadPages;

KpS3UploadPages *kp_s3_upload_pages_new (const char *prefix);
void kp_s3_upload_pages_free (KpS3UploadPages *pages);
gboolean kp_s3_upload_pages_read (KpS3UploadPages *pages, KpS3Xml *xml, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3UploadPages, kp_s3_upload_pages_free)

G_END_DECLS

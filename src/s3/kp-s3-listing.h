/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A listing of a bucket, page by page: ListObjectsV2 with encoding-type=url, ListObjects where that
 * is all the server has, ListObjectVersions for the past.
 *
 * It never believes a server that repeats itself: each page has to lead beyond the one before. Keys
 * come in the order of their bytes, but not from every server: see kp_s3_listing_is_unordered().
 * Then one that is added while the pages are read may come twice, as one may that came before that
 * was found out. */

#include "kp-s3-client.h"
#include "kp-s3-xml.h"

G_BEGIN_DECLS

typedef struct _KpS3Listing KpS3Listing;

KpS3Listing *kp_s3_listing_new (const char *prefix, const char *delimiter, const char *start_after);
KpS3Listing *kp_s3_listing_new_of_versions (const char *prefix);
void kp_s3_listing_set_end (KpS3Listing *listing, const char *end);
void kp_s3_listing_set_hidden (KpS3Listing *listing, const char *prefix, const char *last);
void kp_s3_listing_free (KpS3Listing *listing);
gboolean kp_s3_listing_is_finished (KpS3Listing *listing);
gboolean kp_s3_listing_has_met_end (KpS3Listing *listing);
gboolean kp_s3_listing_is_unordered (KpS3Listing *listing);
gboolean kp_s3_listing_set_unordered (KpS3Listing *listing);
GPtrArray *kp_s3_listing_next_page (KpS3Listing *listing,
                                    KpS3Client *client,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_s3_listing_read_page (KpS3Listing *listing,
                                    KpS3Xml *xml,
                                    unsigned *version,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Listing, kp_s3_listing_free)

G_END_DECLS

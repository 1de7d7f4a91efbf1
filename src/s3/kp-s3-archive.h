/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Objects in archive storage classes, which have to be asked for before they can be read. */

#include "kp-s3-client.h"

G_BEGIN_DECLS

/* How fast, and at what price, an object comes back. */
typedef enum
{
  KP_S3_TIER_NONE, /* it is not asked for */
  KP_S3_TIER_STANDARD,
  KP_S3_TIER_BULK,
  KP_S3_TIER_EXPEDITED,
} KpS3Tier;

gboolean kp_s3_tier_parse (const char *text, KpS3Tier *tier, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
const char *kp_s3_tier_describe_wait (KpS3Tier tier);

gboolean kp_s3_archive_retrieve (KpS3Client *client,
                                 const char *key,
                                 const char *version_id,
                                 KpS3Tier tier,
                                 unsigned days,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

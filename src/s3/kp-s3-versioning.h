/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Having a bucket keep old versions of what lies below a prefix, for so many days. */

#include "kp-s3-client.h"

G_BEGIN_DECLS

/* How long an unfinished upload is kept: a large file at a small rate may take weeks. */
#define KP_S3_UNFINISHED_DAYS 30

char *kp_s3_versioning_make_rule (KpS3Location *location, unsigned days);
char *kp_s3_versioning_add_rule (KpS3Location *location,
                                 unsigned days,
                                 const char *present,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
unsigned kp_s3_versioning_find_days (KpS3Location *location, const char *lifecycle);
gboolean kp_s3_versioning_get_days (KpS3Client *client,
                                    unsigned *days,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_s3_versioning_enable (KpS3Client *client,
                                  unsigned days,
                                  GCancellable *cancellable,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

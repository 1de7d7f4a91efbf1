/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Objects of buckets that keep versions: what is deleted there is only hidden. */

#include "kp-s3-client.h"
#include "kp-s3-xml.h"

G_BEGIN_DECLS

gboolean kp_s3_versions_delete_all (KpS3Client *client,
                                    const char *key,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_s3_versions_read_page (KpS3Xml *xml, const char *key) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

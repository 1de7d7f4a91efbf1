/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Where objects live: endpoint, region, bucket and prefix. Immutable.
 *
 * Builds request addresses itself, byte for byte as they are signed: GUri must never normalise a
 * path, or a key with dot segments would leave its bucket. */

#include "kp-s3-provider.h"

#include <glib-object.h>

G_BEGIN_DECLS

#define KP_TYPE_S3_LOCATION (kp_s3_location_get_type ())

typedef struct _KpS3Location KpS3Location;

GType kp_s3_location_get_type (void);
KpS3Location *kp_s3_location_new (const char *address,
                                  const char *endpoint,
                                  const char *region,
                                  const char *provider_id,
                                  gboolean allow_http,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Location *kp_s3_location_with_region (KpS3Location *location, const char *region);
KpS3Location *kp_s3_location_with_prefix (KpS3Location *location, const char *prefix);
KpS3Location *kp_s3_location_ref (KpS3Location *location);
void kp_s3_location_unref (KpS3Location *location);

const char *kp_s3_location_get_bucket (KpS3Location *location);
const char *kp_s3_location_get_prefix (KpS3Location *location);
const char *kp_s3_location_get_region (KpS3Location *location);
gboolean kp_s3_location_guesses_region (KpS3Location *location);
const char *kp_s3_location_get_endpoint (KpS3Location *location);
gboolean kp_s3_location_was_written (KpS3Location *location);
gboolean kp_s3_location_is_virtual_style (KpS3Location *location);
const KpS3Provider *kp_s3_location_get_provider (KpS3Location *location);
char *kp_s3_location_get_key (KpS3Location *location, const char *relative);
char *kp_s3_location_to_string (KpS3Location *location);
char *kp_s3_location_get_identity (KpS3Location *location);
gboolean kp_s3_location_has_server_of (KpS3Location *location, KpS3Location *other);
GUri *kp_s3_location_build_uri (KpS3Location *location, const char *key, const char *query);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Location, kp_s3_location_unref)

G_END_DECLS

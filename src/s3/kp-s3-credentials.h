/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* An access key with its secret, and the places that people keep them in. Immutable.
 *
 * The secret is wiped when the last reference goes, and is never printed. */

#include <glib-object.h>

G_BEGIN_DECLS

#define KP_TYPE_S3_CREDENTIALS (kp_s3_credentials_get_type ())

typedef struct _KpS3Credentials KpS3Credentials;

/* What a profile says besides the keys. */
typedef struct
{
  char *region;
  char *endpoint;
  char *ca_bundle;
} KpS3ProfileSettings;

GType kp_s3_credentials_get_type (void);
KpS3Credentials *kp_s3_credentials_new (const char *access_key,
                                        const char *secret_key,
                                        const char *session_token);
KpS3Credentials *kp_s3_credentials_ref (KpS3Credentials *credentials);
void kp_s3_credentials_unref (KpS3Credentials *credentials);

KpS3Credentials *kp_s3_credentials_from_environment (void);
KpS3Credentials *kp_s3_credentials_from_profile (const char *credentials_file,
                                                 const char *config_file,
                                                 const char *profile,
                                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Credentials *kp_s3_credentials_from_passwd_file (const char *path,
                                                     const char *bucket,
                                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_s3_profile_settings_load (KpS3ProfileSettings *settings,
                                      const char *config_file,
                                      const char *profile,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_s3_profile_settings_clear (KpS3ProfileSettings *settings);

const char *kp_s3_credentials_get_access_key (KpS3Credentials *credentials);
const char *kp_s3_credentials_get_secret_key (KpS3Credentials *credentials);
const char *kp_s3_credentials_get_session_token (KpS3Credentials *credentials);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Credentials, kp_s3_credentials_unref)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpS3ProfileSettings, kp_s3_profile_settings_clear)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* AWS Signature Version 4 for S3, as pure functions: the time is an argument.
 *
 * Source: "Authenticating Requests: Using the Authorization Header", Amazon S3 API reference. S3
 * differs from other services: the path is signed as it is sent, never normalised and never encoded
 * a second time. */

#include <glib.h>

G_BEGIN_DECLS

/* SHA-256 of no bytes at all, in hexadecimal. */
#define KP_S3_SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct
{
  const char *name; /* lower case */
  const char *value;
} KpS3Header;

char *kp_s3_uri_encode (const char *text, gboolean keep_slash);
char *kp_s3_sha256_hex (const void *data, gsize length);
char *kp_s3_md5_base64 (const void *data, gsize length);
char *kp_s3_md5_hex (const void *data, gsize length);

char *kp_s3_sign_date (gint64 unix_seconds);
char *kp_s3_sign_canonical_request (const char *method,
                                    const char *path,
                                    const char *query,
                                    const KpS3Header *headers,
                                    gsize n_headers,
                                    const char *payload_sha256);
/* What signs all requests of one day in one region: derived from the secret, and as secret. */
#define KP_S3_SIGNING_KEY_SIZE 32

void kp_s3_sign_derive_key (guint8 *signing_key,
                            const char *date,
                            const char *region,
                            const char *secret_key);
char *kp_s3_sign_with_key (const char *method,
                           const char *path,
                           const char *query,
                           const KpS3Header *headers,
                           gsize n_headers,
                           const char *payload_sha256,
                           const char *date,
                           const char *region,
                           const char *access_key,
                           const guint8 *signing_key);
char *kp_s3_sign_authorization (const char *method,
                                const char *path,
                                const char *query,
                                const KpS3Header *headers,
                                gsize n_headers,
                                const char *payload_sha256,
                                const char *date,
                                const char *region,
                                const char *access_key,
                                const char *secret_key);

G_END_DECLS

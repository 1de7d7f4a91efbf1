/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* One S3 request: sent, judged, and sent again where that can help.
 *
 * The body is an immutable GBytes and is handed to libsoup, with a fresh signature, in the
 * message's "starting" signal: libsoup restarts requests on dead connections by itself, and would
 * otherwise send nothing and call it a success. Never give it a live file. */

#include "kp-s3-client.h"
#include "kp-s3-reply.h"
#include "kp-s3-xml.h"

G_BEGIN_DECLS

typedef struct _KpS3Request KpS3Request;

KpS3Request *kp_s3_request_new (KpS3Operation operation, const char *method, const char *key);
void kp_s3_request_free (KpS3Request *request);
void kp_s3_request_add_query (KpS3Request *request, const char *name, const char *value);
void kp_s3_request_add_header (KpS3Request *request, const char *name, const char *value);
void kp_s3_request_add_headers (KpS3Request *request, KpS3HeaderList *headers);
void kp_s3_request_set_body (KpS3Request *request, GBytes *body, const char *sha256);
void kp_s3_request_set_reply_limit (KpS3Request *request, gsize bytes);
void kp_s3_request_set_is_stored (KpS3Request *request);
void kp_s3_request_set_hides_errors (KpS3Request *request);
void kp_s3_request_set_may_be_empty (KpS3Request *request);

KpS3Reply *kp_s3_request_send (KpS3Request *request,
                               KpS3Client *client,
                               GCancellable *cancellable,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Xml *kp_s3_request_send_for_document (KpS3Request *request,
                                          KpS3Client *client,
                                          GCancellable *cancellable,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_s3_request_send_deletion (KpS3Request *request,
                                      KpS3Client *client,
                                      GCancellable *cancellable,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Request, kp_s3_request_free)

G_END_DECLS

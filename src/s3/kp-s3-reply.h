/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a server has answered to one request: status, head and the whole body. What to make of it is
 * for kp-s3-request.c and for who has asked. */

#include "kp-s3-xml.h"

#include <libsoup/soup.h>

G_BEGIN_DECLS

typedef struct _KpS3Reply KpS3Reply;

KpS3Reply *kp_s3_reply_new (SoupMessage *message, GBytes *body);
void kp_s3_reply_free (KpS3Reply *reply);

unsigned kp_s3_reply_get_status (KpS3Reply *reply);
const char *kp_s3_reply_get_header (KpS3Reply *reply, const char *name);
GDateTime *kp_s3_reply_get_date (KpS3Reply *reply);
SoupMessageHeaders *kp_s3_reply_get_headers (KpS3Reply *reply);
GBytes *kp_s3_reply_get_body (KpS3Reply *reply);
KpS3Xml *kp_s3_reply_get_xml (KpS3Reply *reply, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Xml *kp_s3_reply_steal_xml (KpS3Reply *reply, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_s3_message_is_empty (SoupMessage *message);
gboolean kp_s3_reply_is_empty (KpS3Reply *reply);
gboolean kp_s3_reply_is_whole (KpS3Reply *reply);
unsigned kp_s3_reply_get_attempts (KpS3Reply *reply);
void kp_s3_reply_set_attempts (KpS3Reply *reply, unsigned attempts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Reply, kp_s3_reply_free)

G_END_DECLS

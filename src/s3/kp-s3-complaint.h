/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a server says about a failure, and how that is said to people. What it means, and whether
 * trying again can help, is decided by kp-s3-verdict. */

#include "kp-error.h"
#include "kp-s3-reply.h"
#include "kp-s3-service.h"

G_BEGIN_DECLS

typedef struct
{
  unsigned status; /* of HTTP */
  char *code;      /* of an <Error> document, or NULL */
  char *message;   /* the same */
  char *region;    /* where the bucket is, or NULL */
} KpS3Complaint;

void kp_s3_complaint_read (KpS3Complaint *complaint, KpS3Reply *reply);
void kp_s3_complaint_clear (KpS3Complaint *complaint);

GError *kp_s3_complaint_describe (const KpS3Complaint *complaint,
                                  KpError code,
                                  KpS3Operation operation,
                                  const char *key,
                                  KpS3Service *service,
                                  KpS3Location *location);
GError *kp_s3_describe_transport (const GError *transport_error,
                                  KpError code,
                                  KpS3Location *location);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpS3Complaint, kp_s3_complaint_clear)

G_END_DECLS

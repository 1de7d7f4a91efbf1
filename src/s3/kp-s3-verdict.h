/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The one place that decides what a failed request means: whether trying again can help, how, and
 * which of our errors it is. Pure functions. */

#include "kp-error.h"

G_BEGIN_DECLS

typedef enum
{
  KP_S3_VERDICT_OK,
  KP_S3_VERDICT_PERMANENT, /* trying again would meet the same answer */
  KP_S3_VERDICT_TRANSIENT, /* try again after a pause */
  KP_S3_VERDICT_SLOW_DOWN, /* try again after a pause, and send less at once */
  KP_S3_VERDICT_CLOCK,     /* correct the clock once, then try again */
  KP_S3_VERDICT_REGION,    /* sign for another region once, then try again */
  KP_S3_VERDICT_UNCLEAR,   /* it may be either: try again once */
  KP_S3_VERDICT_MD5,       /* send the MD5 of the body, too: once, then always */
} KpS3Verdict;

KpS3Verdict kp_s3_judge_reply (unsigned status, const char *s3_code, KpError *code);
gboolean kp_s3_asks_for_md5 (unsigned status, const char *s3_code, const char *message);
KpS3Verdict kp_s3_judge_transport (const GError *transport_error, KpError *code);
gint64 kp_s3_backoff (unsigned attempt, double random);
gint64 kp_s3_parse_retry_after (const char *value, gint64 now);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-verdict.h"

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <math.h>
#include <string.h>

#define BACKOFF_BASE (250 * G_TIME_SPAN_MILLISECOND)
#define BACKOFF_MAX (20 * G_TIME_SPAN_SECOND)
#define RETRY_AFTER_MAX (5 * G_TIME_SPAN_MINUTE)

/* Codes of the <Error> document. Source: "List of error codes", Amazon S3 API reference, and what
 * other servers were seen to send. */
static const struct
{
  const char *s3_code;
  KpS3Verdict verdict;
  KpError code;
} known_codes[] = {
  { "InvalidAccessKeyId", KP_S3_VERDICT_PERMANENT, KP_ERROR_BAD_CREDENTIALS },
  { "SignatureDoesNotMatch", KP_S3_VERDICT_PERMANENT, KP_ERROR_BAD_CREDENTIALS },
  { "InvalidToken", KP_S3_VERDICT_PERMANENT, KP_ERROR_BAD_CREDENTIALS },
  { "ExpiredToken", KP_S3_VERDICT_PERMANENT, KP_ERROR_BAD_CREDENTIALS },
  { "AccessDenied", KP_S3_VERDICT_PERMANENT, KP_ERROR_ACCESS_DENIED },
  { "AllAccessDisabled", KP_S3_VERDICT_PERMANENT, KP_ERROR_ACCESS_DENIED },
  { "AccountProblem", KP_S3_VERDICT_PERMANENT, KP_ERROR_ACCESS_DENIED },
  { "UserSuspended", KP_S3_VERDICT_PERMANENT, KP_ERROR_ACCESS_DENIED },
  { "SecondLevelDomainForbidden", KP_S3_VERDICT_PERMANENT, KP_ERROR_USAGE },
  { "PathStyleDomainForbidden", KP_S3_VERDICT_PERMANENT, KP_ERROR_USAGE },
  { "NoSuchBucket", KP_S3_VERDICT_PERMANENT, KP_ERROR_NO_SUCH_BUCKET },
  { "InvalidBucketName", KP_S3_VERDICT_PERMANENT, KP_ERROR_NO_SUCH_BUCKET },
  { "InvalidObjectState", KP_S3_VERDICT_PERMANENT, KP_ERROR_ARCHIVED },
  { "ObjectNotInActiveTierError", KP_S3_VERDICT_PERMANENT, KP_ERROR_ARCHIVED },
  { "NoSuchKey", KP_S3_VERDICT_PERMANENT, KP_ERROR_NOT_FOUND },
  { "NoSuchUpload", KP_S3_VERDICT_PERMANENT, KP_ERROR_NOT_FOUND },
  { "NoSuchVersion", KP_S3_VERDICT_PERMANENT, KP_ERROR_NOT_FOUND },
  { "RequestTimeTooSkewed", KP_S3_VERDICT_CLOCK, KP_ERROR_CLOCK_SKEW },
  { "RequestExpired", KP_S3_VERDICT_CLOCK, KP_ERROR_CLOCK_SKEW },
  { "PermanentRedirect", KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { "TemporaryRedirect", KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { "AuthorizationHeaderMalformed", KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { "IllegalLocationConstraintException", KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { "QuotaExceeded", KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
  { "XMinioStorageFull", KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
  { "XMinioAdminBucketQuotaExceeded", KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
  { "storage_cap_exceeded", KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
  { "InsufficientStorage", KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
  { "SlowDown", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "ServiceUnavailable", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "TooManyRequests", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "Throttling", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "ThrottlingException", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "RequestLimitExceeded", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "RequestRateLimitExceeded", KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { "InternalError", KP_S3_VERDICT_TRANSIENT, KP_ERROR_SERVER },
  { "RequestTimeout", KP_S3_VERDICT_TRANSIENT, KP_ERROR_SERVER },
  { "IncompleteBody", KP_S3_VERDICT_TRANSIENT, KP_ERROR_SERVER },
  { "BadDigest", KP_S3_VERDICT_TRANSIENT, KP_ERROR_CORRUPT },
  { "XAmzContentSHA256Mismatch", KP_S3_VERDICT_TRANSIENT, KP_ERROR_CORRUPT },
  { "OperationAborted", KP_S3_VERDICT_TRANSIENT, KP_ERROR_CONFLICT },
  { "ConditionalRequestConflict", KP_S3_VERDICT_TRANSIENT, KP_ERROR_CONFLICT },
  { "PreconditionFailed", KP_S3_VERDICT_PERMANENT, KP_ERROR_CONFLICT },
  { "InvalidRange", KP_S3_VERDICT_PERMANENT, KP_ERROR_CONFLICT },
  { "NotImplemented", KP_S3_VERDICT_PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
  { "MethodNotAllowed", KP_S3_VERDICT_PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
  { "KeyTooLongError", KP_S3_VERDICT_PERMANENT, KP_ERROR_NAME_TOO_LONG },
  { "MetadataTooLarge", KP_S3_VERDICT_PERMANENT, KP_ERROR_METADATA_TOO_LARGE },
};

static const struct
{
  unsigned status;
  KpS3Verdict verdict;
  KpError code;
} known_statuses[] = {
  { 301, KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { 302, KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { 307, KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { 308, KP_S3_VERDICT_REGION, KP_ERROR_WRONG_REGION },
  { 401, KP_S3_VERDICT_PERMANENT, KP_ERROR_BAD_CREDENTIALS },
  { 403, KP_S3_VERDICT_PERMANENT, KP_ERROR_ACCESS_DENIED },
  { 404, KP_S3_VERDICT_PERMANENT, KP_ERROR_NOT_FOUND },
  { 405, KP_S3_VERDICT_PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
  { 408, KP_S3_VERDICT_TRANSIENT, KP_ERROR_SERVER },
  { 409, KP_S3_VERDICT_PERMANENT, KP_ERROR_CONFLICT },
  { 412, KP_S3_VERDICT_PERMANENT, KP_ERROR_CONFLICT },
  { 416, KP_S3_VERDICT_PERMANENT, KP_ERROR_CONFLICT },
  { 429, KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { 501, KP_S3_VERDICT_PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
  { 503, KP_S3_VERDICT_SLOW_DOWN, KP_ERROR_SERVER },
  { 507, KP_S3_VERDICT_PERMANENT, KP_ERROR_QUOTA },
};

/**
 * kp_s3_judge_reply:
 * @status: the HTTP status
 * @s3_code: (nullable): <Code> of an <Error> document, which also may come with status 200
 * @code: (out): the error it stands for, unless the verdict is %KP_S3_VERDICT_OK
 */
KpS3Verdict
kp_s3_judge_reply (unsigned status, const char *s3_code, KpError *code)
{
  *code = KP_ERROR_SERVER;

  if (s3_code != NULL)
    for (gsize i = 0; i < G_N_ELEMENTS (known_codes); i++)
      if (g_str_equal (s3_code, known_codes[i].s3_code))
        {
          *code = known_codes[i].code;
          return known_codes[i].verdict;
        }

  if (status >= 200 && status < 300)
    /* CopyObject and CompleteMultipartUpload start their reply before they know the end. */
    return s3_code == NULL ? KP_S3_VERDICT_OK : KP_S3_VERDICT_TRANSIENT;

  for (gsize i = 0; i < G_N_ELEMENTS (known_statuses); i++)
    if (status == known_statuses[i].status)
      {
        *code = known_statuses[i].code;
        return known_statuses[i].verdict;
      }
  if (status >= 500)
    return KP_S3_VERDICT_TRANSIENT;
  if (status >= 400)
    *code = KP_ERROR_REFUSED;
  return KP_S3_VERDICT_PERMANENT;
}

/**
 * kp_s3_asks_for_md5:
 * @status: the HTTP status
 * @s3_code: (nullable): <Code> of an <Error> document
 * @message: (nullable): its <Message>
 *
 * "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock
 * parameters", and the same of "Put Part requests": Amazon and Backblaze have no code for it.
 *
 * Returns: whether the request was refused for want of the MD5 of its body
 */
gboolean
kp_s3_asks_for_md5 (unsigned status, const char *s3_code, const char *message)
{
  return status == 400 && g_strcmp0 (s3_code, "InvalidRequest") == 0 && message != NULL
         && strcasestr (message, "Content-MD5") != NULL;
}

/**
 * kp_s3_judge_transport:
 * @transport_error: an error of libsoup, GIO, TLS or our own reading of the reply
 * @code: (out): the error it stands for
 */
KpS3Verdict
kp_s3_judge_transport (const GError *transport_error, KpError *code)
{
  *code = KP_ERROR_OFFLINE;

  if (g_error_matches (transport_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return KP_S3_VERDICT_PERMANENT;
  if (transport_error->domain == G_TLS_ERROR
      && !g_error_matches (transport_error, G_TLS_ERROR, G_TLS_ERROR_EOF)
      && !g_error_matches (transport_error, G_TLS_ERROR, G_TLS_ERROR_MISC))
    {
      *code = KP_ERROR_TLS;
      return KP_S3_VERDICT_PERMANENT;
    }
  if (transport_error->domain == KP_ERROR)
    {
      *code = transport_error->code;
      return kp_error_stops_job (transport_error) ? KP_S3_VERDICT_PERMANENT
                                                  : KP_S3_VERDICT_TRANSIENT;
    }
  return KP_S3_VERDICT_TRANSIENT;
}

/**
 * kp_s3_backoff:
 * @attempt: how many attempts have failed, from 1
 * @random: a random number in [0, 1)
 *
 * Exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog).
 *
 * Returns: how long to wait, in microseconds
 */
gint64
kp_s3_backoff (unsigned attempt, double random)
{
  double ceiling
      = MIN ((double) BACKOFF_BASE * exp2 ((double) MIN (attempt, 32) - 1), (double) BACKOFF_MAX);

  return (gint64) (ceiling * random);
}

/**
 * kp_s3_parse_retry_after:
 * @value: (nullable): the value of a Retry-After header: seconds, or an HTTP date
 * @now: the present time, in Unix seconds
 *
 * Returns: how long the server asks us to wait, in microseconds, at most five minutes; 0 when it
 * does not ask
 */
gint64
kp_s3_parse_retry_after (const char *value, gint64 now)
{
  guint64 seconds;

  if (value == NULL)
    return 0;
  if (!g_ascii_string_to_unsigned (value, 10, 0, G_MAXUINT64, &seconds, NULL))
    {
      g_autoptr (GDateTime) date = soup_date_time_new_from_http_string (value);
      gint64 then = date != NULL ? g_date_time_to_unix (date) : now;
      seconds = (guint64) MAX (then - now, 0);
    }
  return (gint64) MIN (seconds, RETRY_AFTER_MAX / G_USEC_PER_SEC) * G_USEC_PER_SEC;
}

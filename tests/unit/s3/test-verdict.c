/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-verdict.h"

#include <gio/gio.h>
#include <libsoup/soup.h>

#define OK KP_S3_VERDICT_OK
#define PERMANENT KP_S3_VERDICT_PERMANENT
#define TRANSIENT KP_S3_VERDICT_TRANSIENT
#define SLOW_DOWN KP_S3_VERDICT_SLOW_DOWN
#define CLOCK KP_S3_VERDICT_CLOCK
#define REGION KP_S3_VERDICT_REGION

static void
test_replies (void)
{
  static const struct
  {
    unsigned status;
    const char *s3_code;
    KpS3Verdict verdict;
    KpError code;
  } cases[] = {
    /* By the status alone, as for HEAD. */
    { 301, NULL, REGION, KP_ERROR_WRONG_REGION },
    { 302, NULL, REGION, KP_ERROR_WRONG_REGION },
    { 304, NULL, PERMANENT, KP_ERROR_SERVER },
    { 307, NULL, REGION, KP_ERROR_WRONG_REGION },
    { 308, NULL, REGION, KP_ERROR_WRONG_REGION },
    { 400, NULL, PERMANENT, KP_ERROR_REFUSED },
    { 401, NULL, PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { 403, NULL, PERMANENT, KP_ERROR_ACCESS_DENIED },
    { 404, NULL, PERMANENT, KP_ERROR_NOT_FOUND },
    { 405, NULL, PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    { 408, NULL, TRANSIENT, KP_ERROR_SERVER },
    { 409, NULL, PERMANENT, KP_ERROR_CONFLICT },
    { 411, NULL, PERMANENT, KP_ERROR_REFUSED },
    { 412, NULL, PERMANENT, KP_ERROR_CONFLICT },
    { 416, NULL, PERMANENT, KP_ERROR_CONFLICT },
    { 418, NULL, PERMANENT, KP_ERROR_REFUSED },
    { 429, NULL, SLOW_DOWN, KP_ERROR_SERVER },
    { 500, NULL, TRANSIENT, KP_ERROR_SERVER },
    { 501, NULL, PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    { 502, NULL, TRANSIENT, KP_ERROR_SERVER },
    { 503, NULL, SLOW_DOWN, KP_ERROR_SERVER },
    { 504, NULL, TRANSIENT, KP_ERROR_SERVER },
    { 507, NULL, PERMANENT, KP_ERROR_QUOTA },
    { 599, NULL, TRANSIENT, KP_ERROR_SERVER },

    /* A code that we do not know leaves it to the status. */
    { 400, "InvalidArgument", PERMANENT, KP_ERROR_REFUSED },
    { 403, "SomethingNew", PERMANENT, KP_ERROR_ACCESS_DENIED },
    { 404, "", PERMANENT, KP_ERROR_NOT_FOUND },
    { 500, "SomethingNew", TRANSIENT, KP_ERROR_SERVER },
    { 503, "SomethingNew", SLOW_DOWN, KP_ERROR_SERVER },

    /* Codes, with the status that Amazon's list of errors has for them. */
    { 403, "InvalidAccessKeyId", PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { 403, "SignatureDoesNotMatch", PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { 400, "InvalidToken", PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { 400, "ExpiredToken", PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { 403, "AccessDenied", PERMANENT, KP_ERROR_ACCESS_DENIED },
    { 403, "AllAccessDisabled", PERMANENT, KP_ERROR_ACCESS_DENIED },
    { 403, "AccountProblem", PERMANENT, KP_ERROR_ACCESS_DENIED },
    { 404, "NoSuchBucket", PERMANENT, KP_ERROR_NO_SUCH_BUCKET },
    { 400, "InvalidBucketName", PERMANENT, KP_ERROR_NO_SUCH_BUCKET },
    { 403, "InvalidObjectState", PERMANENT, KP_ERROR_ARCHIVED },
    { 403, "ObjectNotInActiveTierError", PERMANENT, KP_ERROR_ARCHIVED },
    { 404, "NoSuchKey", PERMANENT, KP_ERROR_NOT_FOUND },
    { 404, "NoSuchUpload", PERMANENT, KP_ERROR_NOT_FOUND },
    { 404, "NoSuchVersion", PERMANENT, KP_ERROR_NOT_FOUND },
    { 403, "RequestTimeTooSkewed", CLOCK, KP_ERROR_CLOCK_SKEW },
    { 301, "PermanentRedirect", REGION, KP_ERROR_WRONG_REGION },
    { 307, "TemporaryRedirect", REGION, KP_ERROR_WRONG_REGION },
    { 400, "AuthorizationHeaderMalformed", REGION, KP_ERROR_WRONG_REGION },
    { 400, "IllegalLocationConstraintException", REGION, KP_ERROR_WRONG_REGION },
    { 403, "QuotaExceeded", PERMANENT, KP_ERROR_QUOTA },
    { 507, "XMinioStorageFull", PERMANENT, KP_ERROR_QUOTA },
    { 503, "SlowDown", SLOW_DOWN, KP_ERROR_SERVER },
    { 503, "ServiceUnavailable", SLOW_DOWN, KP_ERROR_SERVER },
    { 429, "TooManyRequests", SLOW_DOWN, KP_ERROR_SERVER },
    /* Wasabi throttles with a status that means "never" elsewhere. */
    { 400, "RequestRateLimitExceeded", SLOW_DOWN, KP_ERROR_SERVER },
    { 500, "InternalError", TRANSIENT, KP_ERROR_SERVER },
    { 400, "RequestTimeout", TRANSIENT, KP_ERROR_SERVER },
    { 400, "IncompleteBody", TRANSIENT, KP_ERROR_SERVER },
    { 400, "BadDigest", TRANSIENT, KP_ERROR_CORRUPT },
    { 400, "XAmzContentSHA256Mismatch", TRANSIENT, KP_ERROR_CORRUPT },
    { 409, "OperationAborted", TRANSIENT, KP_ERROR_CONFLICT },
    { 409, "ConditionalRequestConflict", TRANSIENT, KP_ERROR_CONFLICT },
    { 412, "PreconditionFailed", PERMANENT, KP_ERROR_CONFLICT },
    { 416, "InvalidRange", PERMANENT, KP_ERROR_CONFLICT },
    { 501, "NotImplemented", PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    { 405, "MethodNotAllowed", PERMANENT, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    { 400, "KeyTooLongError", PERMANENT, KP_ERROR_NAME_TOO_LONG },
    { 400, "MetadataTooLarge", PERMANENT, KP_ERROR_METADATA_TOO_LARGE },

    /* The reply of a copy or of Complete begins before its end is known. */
    { 200, "InternalError", TRANSIENT, KP_ERROR_SERVER },
    { 200, "SlowDown", SLOW_DOWN, KP_ERROR_SERVER },
    { 200, "NoSuchUpload", PERMANENT, KP_ERROR_NOT_FOUND },
    { 200, "PreconditionFailed", PERMANENT, KP_ERROR_CONFLICT },
    { 200, "SomethingNew", TRANSIENT, KP_ERROR_SERVER },
    { 200, "", TRANSIENT, KP_ERROR_SERVER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpError code = KP_N_ERRORS;
      KpS3Verdict verdict = kp_s3_judge_reply (cases[i].status, cases[i].s3_code, &code);

      g_test_message ("%u %s", cases[i].status, cases[i].s3_code != NULL ? cases[i].s3_code : "");
      g_assert_cmpint (verdict, ==, cases[i].verdict);
      g_assert_cmpstr (kp_error_name ((int) code), ==, kp_error_name ((int) cases[i].code));
    }
}

static void
test_success (void)
{
  for (unsigned status = 200; status < 300; status++)
    {
      KpError code;
      g_assert_cmpint (kp_s3_judge_reply (status, NULL, &code), ==, OK);
    }
}

/* No status but 2xx may ever count as a success. */
static void
test_no_other_success (void)
{
  for (unsigned status = 0; status < 1000; status++)
    {
      KpError code = KP_N_ERRORS;
      if (status >= 200 && status < 300)
        continue;
      g_assert_cmpint (kp_s3_judge_reply (status, NULL, &code), !=, OK);
      g_assert_cmpint (code, <, KP_N_ERRORS);
    }
}

static void
test_transport (void)
{
  const struct
  {
    GQuark domain;
    int error;
    KpS3Verdict verdict;
    KpError code;
  } cases[] = {
    { G_IO_ERROR, G_IO_ERROR_TIMED_OUT, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, TRANSIENT, KP_ERROR_OFFLINE },
    { G_IO_ERROR, G_IO_ERROR_FAILED, TRANSIENT, KP_ERROR_OFFLINE },
    { G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, TRANSIENT, KP_ERROR_OFFLINE },
    { G_RESOLVER_ERROR, G_RESOLVER_ERROR_TEMPORARY_FAILURE, TRANSIENT, KP_ERROR_OFFLINE },
    { SOUP_SESSION_ERROR, SOUP_SESSION_ERROR_PARSING, TRANSIENT, KP_ERROR_OFFLINE },
    /* A certificate stays what it is; a connection that ended in the middle need not. */
    { G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, PERMANENT, KP_ERROR_TLS },
    { G_TLS_ERROR, G_TLS_ERROR_NOT_TLS, PERMANENT, KP_ERROR_TLS },
    { G_TLS_ERROR, G_TLS_ERROR_HANDSHAKE, PERMANENT, KP_ERROR_TLS },
    { G_TLS_ERROR, G_TLS_ERROR_EOF, TRANSIENT, KP_ERROR_OFFLINE },
    { G_TLS_ERROR, G_TLS_ERROR_MISC, TRANSIENT, KP_ERROR_OFFLINE },
    /* Ours. */
    { KP_ERROR, KP_ERROR_SERVER, TRANSIENT, KP_ERROR_SERVER },
    { KP_ERROR, KP_ERROR_CORRUPT, TRANSIENT, KP_ERROR_CORRUPT },
    { KP_ERROR, KP_ERROR_BAD_CREDENTIALS, PERMANENT, KP_ERROR_BAD_CREDENTIALS },
    { KP_ERROR, KP_ERROR_LOCAL_STORAGE, PERMANENT, KP_ERROR_LOCAL_STORAGE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (cases[i].domain, cases[i].error, "test");
      KpError code = KP_N_ERRORS;

      g_test_message ("%s %d", g_quark_to_string (cases[i].domain), cases[i].error);
      g_assert_cmpint (kp_s3_judge_transport (error, &code), ==, cases[i].verdict);
      g_assert_cmpstr (kp_error_name ((int) code), ==, kp_error_name ((int) cases[i].code));
    }

  g_autoptr (GError) cancelled = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "test");
  KpError code;
  g_assert_cmpint (kp_s3_judge_transport (cancelled, &code), ==, PERMANENT);
}

static void
test_backoff (void)
{
  gint64 before = 0;

  for (unsigned attempt = 1; attempt < 200; attempt++)
    {
      gint64 ceiling = kp_s3_backoff (attempt, 1.0);

      g_assert_cmpint (kp_s3_backoff (attempt, 0.0), ==, 0);
      g_assert_cmpint (kp_s3_backoff (attempt, 0.5), ==, ceiling / 2);
      g_assert_cmpint (ceiling, >=, before);
      g_assert_cmpint (ceiling, <=, 20 * G_TIME_SPAN_SECOND);
      for (int i = 0; i < 100; i++)
        {
          gint64 wait = kp_s3_backoff (attempt, g_test_rand_double ());
          g_assert_cmpint (wait, >=, 0);
          g_assert_cmpint (wait, <=, ceiling);
        }
      before = ceiling;
    }
  g_assert_cmpint (kp_s3_backoff (1, 1.0), ==, 250 * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (kp_s3_backoff (2, 1.0), ==, 500 * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (kp_s3_backoff (3, 1.0), ==, G_TIME_SPAN_SECOND);
  g_assert_cmpint (kp_s3_backoff (G_MAXUINT, 1.0), ==, 20 * G_TIME_SPAN_SECOND);
}

static void
test_retry_after (void)
{
  /* Sun, 06 Nov 1994 08:49:37 GMT, in each of the three formats of RFC 7231. */
  const gint64 now = 784111777;
  static const struct
  {
    const char *value;
    gint64 seconds;
  } cases[] = {
    { NULL, 0 },
    { "0", 0 },
    { "1", 1 },
    { "120", 120 },
    { "299", 299 },
    { "300", 300 },
    { "301", 300 },
    { "86400", 300 },
    { "2147483647", 300 },
    { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
    { "Sun, 06 Nov 1994 08:49:47 GMT", 10 },
    { "Sun, 06 Nov 1994 08:54:36 GMT", 299 },
    { "Sun, 06 Nov 1994 09:49:37 GMT", 300 },
    { "Tue, 06 Nov 2294 08:49:37 GMT", 300 },
    { "Sunday, 06-Nov-94 08:49:47 GMT", 10 },
    { "Sun Nov  6 08:49:47 1994", 10 },
    /* in the past */
    { "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    /* nothing that can be understood */
    { "", 0 },
    { " ", 0 },
    { "-1", 0 },
    { "soon", 0 },
    { "1.5", 0 },
    { "10 seconds", 0 },
    { "0x10", 0 },
    { "1e9", 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("%s", cases[i].value != NULL ? cases[i].value : "(none)");
      g_assert_cmpint (kp_s3_parse_retry_after (cases[i].value, now), ==,
                       cases[i].seconds * G_USEC_PER_SEC);
    }
}

/* A number of seconds that is beyond all measure is still one: wait, but no longer than we would.
 */
static void
test_retry_after_huge (void)
{
  g_assert_cmpint (kp_s3_parse_retry_after ("2147483648", 0), ==, 5 * G_TIME_SPAN_MINUTE);
  g_assert_cmpint (kp_s3_parse_retry_after ("99999999999", 0), ==, 5 * G_TIME_SPAN_MINUTE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/verdict/replies", test_replies);
  g_test_add_func ("/s3/verdict/success", test_success);
  g_test_add_func ("/s3/verdict/no-other-success", test_no_other_success);
  g_test_add_func ("/s3/verdict/transport", test_transport);
  g_test_add_func ("/s3/verdict/backoff", test_backoff);
  g_test_add_func ("/s3/verdict/retry-after", test_retry_after);
  g_test_add_func ("/s3/verdict/retry-after-huge", test_retry_after_huge);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Each request that arrives has its signature worked out again: see fake-server.h. */

#include "fake-server.h"
#include "kp-error.h"
#include "kp-s3-request.h"

#include <string.h>

#define MINUTE 60

static KpS3Request *
get_request (void)
{
  return kp_s3_request_new (KP_S3_OPERATION_GET, "GET", "key");
}

static KpS3Request *
put_request (const char *text)
{
  KpS3Request *request = kp_s3_request_new (KP_S3_OPERATION_PUT, "PUT", "key");
  g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));

  kp_s3_request_set_body (request, body, NULL);
  return request;
}

static KpS3Reply *
send_well (Fixture *fixture, KpS3Request *request)
{
  g_autoptr (GError) error = NULL;
  KpS3Reply *reply = kp_s3_request_send (request, fixture->client, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (reply);
  return reply;
}

static void
send_and_forget (Fixture *fixture, KpS3Request *request)
{
  kp_s3_reply_free (send_well (fixture, request));
}

static void
send_badly (Fixture *fixture, KpS3Request *request, KpError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
  g_assert_error (error, KP_ERROR, (int) code);
  g_assert_null (strstr (error->message, FAKE_SECRET_KEY));
}

static void
assert_reply_text (KpS3Reply *reply, const char *text)
{
  gsize length;
  const void *data = g_bytes_get_data (kp_s3_reply_get_body (reply), &length);

  g_assert_cmpmem (data, length, text, strlen (text));
}

static void
test_get (void)
{
  static const FakeReply replies[] = { { .headers = "x-amz-meta-a: b\r\n", .body = "hello" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "hello");
  g_assert_cmpuint (kp_s3_reply_get_status (reply), ==, 200);
  g_assert_cmpuint (kp_s3_reply_get_attempts (reply), ==, 1);
  g_assert_cmpstr (kp_s3_reply_get_header (reply, "X-Amz-Meta-A"), ==, "b");
  g_assert_null (kp_s3_reply_get_header (reply, "ETag"));

  const FakeRequest *sent = fake_server_get_request (fixture->server, 0);
  g_autofree char *host = g_strdup_printf ("127.0.0.1:%u", fake_server_get_port (fixture->server));
  g_assert_cmpstr (sent->method, ==, "GET");
  g_assert_cmpstr (sent->path, ==, "/bucket/key");
  g_assert_cmpstr (sent->query, ==, "");
  g_assert_cmpstr (sent->region, ==, "here-1");
  g_assert_cmpstr (fake_request_get_header (sent, "host"), ==, host);
  g_assert_cmpint (ABS (sent->time - g_get_real_time () / G_USEC_PER_SEC), <=, MINUTE);
  g_assert_null (fake_request_get_header (sent, "x-amz-security-token"));
  /* What proxies change must not be signed. */
  g_assert_null (strstr (fake_request_get_header (sent, "authorization"), "accept-encoding"));
  g_assert_null (strstr (fake_request_get_header (sent, "authorization"), "user-agent"));
}

static void
test_put (void)
{
  static const FakeReply replies[] = { { 0 }, { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = put_request ("the body");
  g_autoptr (KpS3Request) empty = put_request ("");
  KpS3Statistics statistics;

  kp_s3_request_add_header (request, "content-type", "text/plain");
  kp_s3_request_add_header (request, "x-amz-meta-blanks", "a   b");
  kp_s3_request_add_header (request, "x-amz-meta-none", NULL);
  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  send_and_forget (fixture, empty);

  const FakeRequest *sent = fake_server_get_request (fixture->server, 0);
  g_assert_cmpstr (sent->method, ==, "PUT");
  g_assert_true (fake_request_has_body (sent, "the body"));
  g_assert_cmpstr (fake_request_get_header (sent, "content-type"), ==, "text/plain");
  g_assert_null (fake_request_get_header (sent, "x-amz-meta-none"));
  sent = fake_server_get_request (fixture->server, 1);
  g_assert_true (fake_request_has_body (sent, ""));
  g_assert_cmpstr (fake_request_get_header (sent, "content-length"), ==, "0");

  fixture_get_statistics (fixture, &statistics);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_PUT], ==, 2);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_GET], ==, 0);
  g_assert_cmpuint (statistics.retries, ==, 0);
  g_assert_cmpuint (statistics.slow_downs, ==, 0);
  g_assert_cmpuint (statistics.bytes_up, >, strlen ("the body") + 2 * 300);
  g_assert_cmpuint (statistics.bytes_down, >, 0);
}

static void
learn_later_time (void *data)
{
  kp_s3_service_learn_time (data, g_get_real_time () / G_USEC_PER_SEC + 5 * MINUTE);
}

/* libsoup sends a request again when a kept-alive connection dies before the reply, and on its own
 * it would send it without a body and call that a success. */
static void
test_restart_keeps_body (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply replies[] = {
    { 0 },
    { .action = FAKE_CLOSE, .hook = learn_later_time, .data = fixture->service },
    { .headers = "ETag: \"e\"\r\n" },
  };
  g_autofree char *text = g_strnfill (3 * 1024 * 1024 + 17, 'x');
  g_autoptr (KpS3Request) first = put_request ("first");
  g_autoptr (KpS3Request) second = put_request (text);

  fixture_script (fixture, replies);
  send_and_forget (fixture, first);
  g_autoptr (KpS3Reply) second_reply = send_well (fixture, second);
  g_assert_cmpstr (kp_s3_reply_get_header (second_reply, "ETag"), ==, "\"e\"");

  const FakeRequest *before = fake_server_get_request (fixture->server, 0);
  const FakeRequest *lost = fake_server_get_request (fixture->server, 1);
  const FakeRequest *again = fake_server_get_request (fixture->server, 2);
  /* It was the case that the test is about. */
  g_assert_cmpuint (lost->connection, ==, before->connection);
  g_assert_cmpuint (again->connection, !=, lost->connection);
  g_assert_true (fake_request_has_body (lost, text));
  g_assert_true (fake_request_has_body (again, text));
  g_assert_cmpint (again->time, >=, lost->time + 4 * MINUTE);
}

static void
test_lost_reply (void)
{
  static const FakeReply replies[] = { { .action = FAKE_CLOSE }, { .body = "here" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = put_request ("the body");

  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  g_assert_true (fake_request_has_body (fake_server_get_request (fixture->server, 1), "the body"));
}

static void
test_no_reply_at_all (void)
{
  static const FakeReply replies[] = { { .action = FAKE_CLOSE }, { .action = FAKE_CLOSE } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_OFFLINE);
}

/* A port that is taken and that nobody listens on. */
static void
test_refused_connection (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) taken
      = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_autoptr (GSocketAddress) any_port = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_assert_no_error (error);
  g_socket_bind (taken, any_port, FALSE, &error);
  g_assert_no_error (error);
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (taken, &error);
  g_autofree char *endpoint = g_strdup_printf (
      "http://127.0.0.1:%u", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));
  g_autoptr (KpS3Location) location
      = kp_s3_location_new ("s3://bucket", endpoint, NULL, NULL, FALSE, &error);
  g_autoptr (KpS3Service) service
      = kp_s3_service_new (location, kp_s3_service_get_credentials (fixture->service), NULL,
                           kp_s3_service_get_upload_throttle (fixture->service),
                           kp_s3_service_get_download_throttle (fixture->service), &error);
  g_assert_no_error (error);
  g_autoptr (KpS3Client) client = kp_s3_client_new (service);
  g_autoptr (KpS3Request) request = get_request ();

  kp_s3_client_set_max_attempts (client, 2);
  g_assert_null (kp_s3_request_send (request, client, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_OFFLINE);
  g_assert_nonnull (strstr (error->message, endpoint));
}

static void
test_server_error (void)
{
  static const FakeReply replies[]
      = { { .status = 500, .body = ERROR_XML ("InternalError") }, { .body = "here" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = put_request ("the body");
  KpS3Statistics statistics;

  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "here");
  g_assert_cmpuint (kp_s3_reply_get_attempts (reply), ==, 2);
  g_assert_true (fake_request_has_body (fake_server_get_request (fixture->server, 1), "the body"));
  fixture_get_statistics (fixture, &statistics);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_PUT], ==, 2);
  g_assert_cmpuint (statistics.retries, ==, 1);
  g_assert_cmpuint (statistics.slow_downs, ==, 0);
}

static void
test_attempts_are_limited (void)
{
  static const FakeReply replies[] = { { .status = 500 }, { .status = 502 }, { .status = 504 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_SERVER);
  g_assert_cmpuint (fake_server_get_n_requests (fixture->server), ==, 2);
  kp_s3_client_set_max_attempts (fixture->client, 1);
  send_badly (fixture, request, KP_ERROR_SERVER);
}

static void
test_slow_down (void)
{
  static const FakeReply replies[] = {
    { .status = 503, .body = ERROR_XML ("SlowDown") },
    { .status = 503 },
    { .status = 400, .body = ERROR_XML ("RequestRateLimitExceeded") },
    { .status = 429 },
    { 0 },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();
  KpS3Statistics statistics;

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_SERVER);
  fixture_get_statistics (fixture, &statistics);
  g_assert_cmpuint (statistics.slow_downs, ==, 2);
  kp_s3_client_set_max_attempts (fixture->client, 3);
  send_and_forget (fixture, request);
  fixture_get_statistics (fixture, &statistics);
  g_assert_cmpuint (statistics.slow_downs, ==, 4);
}

static void
test_retry_after (void)
{
  static const FakeReply replies[] = { { .status = 503, .headers = "Retry-After: 1\r\n" }, { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();
  gint64 start = g_get_monotonic_time ();

  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, G_TIME_SPAN_SECOND);
}

/* Trying again would meet the same answer. */
static void
test_permanent (void)
{
  static const struct
  {
    FakeReply reply;
    KpError code;
  } cases[] = {
    { { .status = 403, .body = ERROR_XML ("AccessDenied") }, KP_ERROR_ACCESS_DENIED },
    { { .status = 403, .body = ERROR_XML ("SignatureDoesNotMatch") }, KP_ERROR_BAD_CREDENTIALS },
    { { .status = 403, .body = ERROR_XML ("InvalidAccessKeyId") }, KP_ERROR_BAD_CREDENTIALS },
    { { .status = 400, .body = ERROR_XML ("ExpiredToken") }, KP_ERROR_BAD_CREDENTIALS },
    { { .status = 401, .headers = "WWW-Authenticate: Basic realm=\"x\"\r\n" },
      KP_ERROR_BAD_CREDENTIALS },
    { { .status = 407, .headers = "Proxy-Authenticate: Basic realm=\"x\"\r\n" }, KP_ERROR_REFUSED },
    { { .status = 404, .body = ERROR_XML ("NoSuchKey") }, KP_ERROR_NOT_FOUND },
    { { .status = 404, .body = ERROR_XML ("NoSuchBucket") }, KP_ERROR_NO_SUCH_BUCKET },
    { { .status = 404, .body = "<html>not found</html>" }, KP_ERROR_NOT_FOUND },
    { { .status = 412, .body = ERROR_XML ("PreconditionFailed") }, KP_ERROR_CONFLICT },
    { { .status = 501, .body = ERROR_XML ("NotImplemented") }, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    { { .status = 507 }, KP_ERROR_QUOTA },
    { { .status = 400, .body = ERROR_XML ("InvalidArgument") }, KP_ERROR_REFUSED },
    { { .status = 304 }, KP_ERROR_SERVER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3Request) request = put_request ("body");

      g_test_message ("%u %s", cases[i].reply.status, cases[i].reply.body);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      send_badly (fixture, request, cases[i].code);
    }
}

static void
test_message_has_servers_words (void)
{
  static const FakeReply replies[]
      = { { .status = 403,
            .body = FAKE_XML "<Error><Code>AccessDenied</Code>"
                             "<Message>Ask &lt;root&gt;</Message></Error>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
  g_assert_nonnull (strstr (error->message, "[403 AccessDenied: Ask <root>]"));
  g_assert_nonnull (strstr (error->message, FAKE_ACCESS_KEY));
}

/* ---- The clock ---- */

static char *
date_header (gint64 seconds_off)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autoptr (GDateTime) then = g_date_time_add_seconds (now, (double) seconds_off);

  return g_date_time_format (then, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n");
}

static void
assert_signed_off_by (Fixture *fixture, guint index, gint64 seconds)
{
  const FakeRequest *request = fake_server_get_request (fixture->server, index);
  gint64 off = request->time - g_get_real_time () / G_USEC_PER_SEC;

  g_assert_cmpint (ABS (off - seconds), <=, MINUTE);
}

static void
test_clock (void)
{
  static const gint64 offsets[] = { 20 * MINUTE, -20 * MINUTE, 400 * 24 * 60 * MINUTE };

  for (gsize i = 0; i < G_N_ELEMENTS (offsets); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autofree char *date = date_header (offsets[i]);
      const FakeReply replies[] = {
        { .status = 403, .headers = date, .body = ERROR_XML ("RequestTimeTooSkewed") },
        { 0 },
        { 0 },
      };
      g_autoptr (KpS3Request) request = put_request ("the body");

      fixture_script (fixture, replies);
      send_and_forget (fixture, request);
      send_and_forget (fixture, request);
      assert_signed_off_by (fixture, 0, 0);
      assert_signed_off_by (fixture, 1, offsets[i]);
      assert_signed_off_by (fixture, 2, offsets[i]);
      g_assert_true (
          fake_request_has_body (fake_server_get_request (fixture->server, 1), "the body"));
      g_assert_cmpuint (fixture->notices->len, ==, 1);
      g_assert_nonnull (
          strstr (g_ptr_array_index (fixture->notices, 0), offsets[i] > 0 ? "behind" : "ahead of"));
    }
}

/* Once: a server that cannot be pleased is not asked for ever. */
static void
test_clock_once (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *date = date_header (20 * MINUTE);
  const FakeReply replies[] = {
    { .status = 403, .headers = date, .body = ERROR_XML ("RequestTimeTooSkewed") },
    { .status = 403, .headers = date, .body = ERROR_XML ("RequestTimeTooSkewed") },
    { .status = 403, .body = ERROR_XML ("RequestTimeTooSkewed") },
    { .status = 403, .headers = "Date: today\r\n", .body = ERROR_XML ("RequestTimeTooSkewed") },
  };
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_CLOCK_SKEW);
  g_assert_cmpuint (fake_server_get_n_requests (fixture->server), ==, 2);
  g_assert_cmpuint (fixture->notices->len, ==, 1);
  /* The server does not say what time it is. */
  send_badly (fixture, request, KP_ERROR_CLOCK_SKEW);
  send_badly (fixture, request, KP_ERROR_CLOCK_SKEW);
}

/* A HEAD has no body to say why: the Date tells. */
static void
test_clock_of_head (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *right_date = date_header (0);
  g_autofree char *other_date = date_header (20 * MINUTE);
  const FakeReply replies[] = {
    { .status = 403, .headers = right_date },
    { .status = 403 },
    { .status = 403, .headers = other_date },
    { 0 },
  };
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_HEAD, "HEAD", "key");

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_ACCESS_DENIED);
  send_badly (fixture, request, KP_ERROR_ACCESS_DENIED);
  send_and_forget (fixture, request);
  assert_signed_off_by (fixture, 3, 20 * MINUTE);
}

/* What its 400 means nobody can tell: it is sent once more, and no more often. */
static void
test_400_of_head (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply replies[]
      = { { .status = 400 }, { 0 }, { .status = 400 }, { .status = 400 }, { .status = 400 } };
  g_autoptr (KpS3Request) head = kp_s3_request_new (KP_S3_OPERATION_HEAD, "HEAD", "key");
  g_autoptr (KpS3Request) get = get_request ();

  fixture_script (fixture, replies);
  kp_s3_client_set_max_attempts (fixture->client, 3);
  send_and_forget (fixture, head);
  g_assert_cmpuint (fake_server_get_n_requests (fixture->server), ==, 2);
  send_badly (fixture, head, KP_ERROR_REFUSED);
  g_assert_cmpuint (fake_server_get_n_requests (fixture->server), ==, 4);
  send_badly (fixture, get, KP_ERROR_REFUSED);
  g_assert_cmpuint (fake_server_get_n_requests (fixture->server), ==, 5);
}

/* With temporary keys it may be that they have expired, which a GET would say. */
static void
test_400_of_head_with_token (void)
{
  static const struct
  {
    FakeReply reply; /* to the GET */
    KpError code;
    const char *said;
  } cases[] = {
    { { .status = 400, .body = ERROR_XML ("ExpiredToken") },
      KP_ERROR_BAD_CREDENTIALS,
      "temporary keys" },
    { { .status = 400, .body = ERROR_XML ("InvalidRequest") },
      KP_ERROR_REFUSED,
      "[400 InvalidRequest: m]" },
    { { .status = 400, .body = ERROR_XML ("RequestTimeout") }, KP_ERROR_REFUSED, "[400]" },
    { { .status = 400 }, KP_ERROR_REFUSED, "[400]" },
    { { .status = 403, .body = ERROR_XML ("AccessDenied") }, KP_ERROR_REFUSED, "[400]" },
    { { .status = 503 }, KP_ERROR_REFUSED, "[400]" },
    { { .status = 206, .headers = "Content-Range: bytes 0-0/9\r\n", .body = "x" },
      KP_ERROR_REFUSED,
      "[400]" },
    { { .body = "all of it" }, KP_ERROR_REFUSED, "[400]" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply replies[] = { { .status = 400 }, { .status = 400 }, cases[i].reply };
      g_autoptr (Fixture) fixture = fixture_new (NULL, "token");
      g_autoptr (KpS3Request) head = kp_s3_request_new (KP_S3_OPERATION_HEAD, "HEAD", "a b");
      g_autoptr (GError) error = NULL;
      KpS3Statistics statistics;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      kp_s3_request_add_query (head, "versionId", "v/1");
      fixture_script (fixture, replies);
      g_assert_null (kp_s3_request_send (head, fixture->client, NULL, &error));
      g_assert_error (error, KP_ERROR, (int) cases[i].code);
      g_assert_nonnull (strstr (error->message, cases[i].said));
      assert_sent (fixture, 2, "GET", "/bucket/a%20b", "versionId=v%2F1");
      assert_sent_header (fixture, 2, "range", "bytes=0-0");
      fixture_get_statistics (fixture, &statistics);
      g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_GET], ==, 1);
    }
}

/* ---- The MD5 ---- */

static void
learn_md5 (void *data)
{
  kp_s3_service_learn_md5 (data);
}

#define LOCKED(what)                                                                               \
  FAKE_XML "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP "       \
           "header is required for " what                                                          \
           " requests with Object Lock parameters</Message></Error>"
#define MD5_OF_THE_BODY "MGYXYYX8yjXSbBsWEqkeeA=="

/* A bucket whose Object Lock has a retention period by default says so at the first upload, and
 * never again. */
static void
test_md5 (void)
{
  static const FakeReply replies[]
      = { { 0 }, { .status = 400, .body = LOCKED ("Put Object") }, { 0 }, { 0 },
          { 0 }, { .status = 400, .body = LOCKED ("Put Part") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  KpS3Statistics statistics;

  fixture_script (fixture, replies);
  kp_s3_client_set_max_attempts (fixture->client, 1);
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (KpS3Request) request = put_request ("the body");
      if (i != 3)
        kp_s3_request_set_is_stored (request);
      send_and_forget (fixture, request);
    }
  for (guint i = 0; i < 5; i++)
    {
      const FakeRequest *sent = fake_server_get_request (fixture->server, i);
      gboolean expected = i == 2 || i == 3;
      g_assert_true (fake_request_has_body (sent, "the body"));
      g_assert_cmpstr (fake_request_get_header (sent, "content-md5"), ==,
                       expected ? MD5_OF_THE_BODY : NULL);
      g_assert_true (
          (strstr (fake_request_get_header (sent, "authorization"), "content-md5") != NULL)
          == expected);
    }
  fixture_get_statistics (fixture, &statistics);
  g_assert_cmpuint (statistics.retries, ==, 1);

  /* Whoever is not content with it is not asked again. */
  g_autoptr (KpS3Request) request = put_request ("the body");
  kp_s3_request_set_is_stored (request);
  send_badly (fixture, request, KP_ERROR_REFUSED);
}

static void
test_md5_of_no_use (void)
{
  static const struct
  {
    FakeReply reply;
    gboolean is_stored;
  } cases[] = {
    { { .status = 400, .body = ERROR_XML ("InvalidRequest") }, TRUE },
    { { .status = 400, .body = LOCKED ("Put Object") }, FALSE },
    { { .status = 403, .body = LOCKED ("Put Object") }, TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3Request) request = put_request ("the body");
      g_autoptr (GError) error = NULL;

      if (cases[i].is_stored)
        kp_s3_request_set_is_stored (request);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
      g_assert_nonnull (error);
      g_assert_false (kp_s3_service_needs_md5 (fixture->service));
    }
}

/* Two uploads at the same time are both refused before one of them has learnt. */
static void
test_md5_learnt_meanwhile (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply replies[] = {
    { .status = 400, .body = LOCKED ("Put Object"), .hook = learn_md5, .data = fixture->service },
    { 0 }
  };
  g_autoptr (KpS3Request) request = put_request ("the body");

  kp_s3_request_set_is_stored (request);
  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  const FakeRequest *sent = fake_server_get_request (fixture->server, 1);
  g_assert_cmpstr (fake_request_get_header (sent, "content-md5"), ==, MD5_OF_THE_BODY);
}

/* ---- The region ---- */

#define MALFORMED(region)                                                                          \
  FAKE_XML "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>"                  \
           "<Region>" region "</Region></Error>"

static void
test_region (void)
{
  static const struct
  {
    const char *method;
    FakeReply reply;
  } cases[] = {
    { "PUT", { .status = 400, .body = MALFORMED ("eu-north-1") } },
    { "PUT",
      { .status = 301,
        .headers = "x-amz-bucket-region: eu-north-1\r\n",
        .body = ERROR_XML ("PermanentRedirect") } },
    { "PUT", { .status = 307, .headers = "x-amz-bucket-region: eu-north-1\r\n" } },
    { "HEAD", { .status = 301, .headers = "x-amz-bucket-region: eu-north-1\r\n" } },
    { "HEAD", { .status = 400, .headers = "x-amz-bucket-region: eu-north-1\r\n" } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply others[] = { { 0 }, { 0 } };
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3Request) request
          = kp_s3_request_new (KP_S3_OPERATION_PUT, cases[i].method, "key");

      fake_server_script (fixture->server, &cases[i].reply, 1);
      fixture_script (fixture, others);
      send_and_forget (fixture, request);
      send_and_forget (fixture, request);
      g_assert_cmpstr (fake_server_get_request (fixture->server, 0)->region, ==, "here-1");
      g_assert_cmpstr (fake_server_get_request (fixture->server, 1)->region, ==, "eu-north-1");
      g_assert_cmpstr (fake_server_get_request (fixture->server, 2)->region, ==, "eu-north-1");
      g_assert_cmpuint (fixture->notices->len, ==, 1);
      g_assert_nonnull (strstr (g_ptr_array_index (fixture->notices, 0), "eu-north-1"));
    }
}

static void
test_region_once (void)
{
  static const FakeReply replies[] = {
    { .status = 400, .body = MALFORMED ("eu-north-1") },
    { .status = 400, .body = MALFORMED ("eu-south-1") },
  };
  static const FakeReply no_use[] = {
    { .status = 400, .body = MALFORMED ("here-1") },
    { .status = 400, .body = MALFORMED ("") },
    { .status = 400, .body = MALFORMED ("eu&#x1B;[31m") },
    { .status = 400, .body = MALFORMED ("example.org/") },
    { .status = 400, .body = MALFORMED ("EU") },
    { .status = 400, .body = MALFORMED ("a-region-of-more-than-forty-letters-is-none") },
    { .status = 301, .headers = "x-amz-bucket-region: a.b\r\n" },
    { .status = 400, .body = ERROR_XML ("AuthorizationHeaderMalformed") },
    { .status = 301 },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_WRONG_REGION);

  /* The region that it was signed for, or none. */
  for (gsize i = 0; i < G_N_ELEMENTS (no_use); i++)
    {
      g_autoptr (Fixture) other = fixture_new (NULL, NULL);
      fake_server_script (other->server, &no_use[i], 1);
      send_badly (other, request, KP_ERROR_WRONG_REGION);
      g_assert_cmpuint (other->notices->len, ==, 0);
    }
}

/* What a server says is printed: in one line, of bounded length, without what steers a terminal. */
static void
test_message_is_plain_text (void)
{
  g_autofree char *filler = g_strnfill (5000, 'x');
  g_autofree char *body = g_strconcat (FAKE_XML "<Error><Code>Access&#x9B;Denied\n</Code><Message>",
                                       "\xC2\x9B"
                                       "2J\n\t",
                                       filler, "</Message></Error>", NULL);
  const FakeReply replies[] = { { .status = 403, .body = body } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_ACCESS_DENIED);
  g_assert_cmpuint (strlen (error->message), <, 1000);
  for (const char *p = error->message; *p != '\0'; p = g_utf8_next_char (p))
    g_assert_false (g_unichar_iscntrl (g_utf8_get_char (p)));
}

/* ---- Servers that are slow on purpose, or broken ---- */

static void
assert_given_up (const char *method, const FakeReply *reply)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_GET, method, "key");
  const FakeReply replies[] = { *reply, { 0 } };
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  kp_s3_service_set_timeout (fixture->service, 1);
  kp_s3_client_set_max_attempts (fixture->client, 1);
  fixture_script (fixture, replies);
  g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_OFFLINE);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 6 * G_TIME_SPAN_SECOND);
  /* That one was given up, and not the next. */
  send_and_forget (fixture, request);
}

/* The socket's timeout begins anew with each byte. */
static void
test_trickle (void)
{
  g_autofree char *text = g_strnfill (500, 'x');
  const FakeReply reply = { .action = FAKE_TRICKLE, .body = text };
  const FakeReply head = { .action = FAKE_TRICKLE,
                           .headers = "x-amz-meta-a: 01234567890123456789012345678901234567890"
                                      "1234567890123456789\r\n" };

  assert_given_up ("GET", &reply);
  assert_given_up ("HEAD", &head);
}

/* A cancelled request ends as cancelled, not as one that the server was too slow for. */
static void
test_trickle_cancelled (void)
{
  g_autofree char *text = g_strnfill (500, 'x');
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply reply = { .action = FAKE_TRICKLE,
                            .body = text,
                            .hook = (void (*) (void *)) g_cancellable_cancel,
                            .data = cancellable };
  const FakeReply replies[] = { reply, { 0 } };
  g_autoptr (KpS3Request) request = get_request ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_request_send (request, fixture->client, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  send_and_forget (fixture, request);
}

/* All requests of a client hear one cancellable, and none leaves anything behind in it. */
static void
test_one_cancellable (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply replies[] = { { 0 }, { 0 }, { 0 } };
  GCancellable *ours = kp_s3_watch_get_cancellable (kp_s3_client_get_watch (fixture->client));
  unsigned signal = g_signal_lookup ("cancelled", G_TYPE_CANCELLABLE);

  fixture_script (fixture, replies);
  for (gsize i = 0; i < G_N_ELEMENTS (replies); i++)
    {
      g_autoptr (KpS3Request) request = put_request ("text");
      g_autoptr (KpS3Reply) reply
          = kp_s3_request_send (request, fixture->client, cancellable, NULL);

      g_assert_nonnull (reply);
      g_assert_true (kp_s3_watch_get_cancellable (kp_s3_client_get_watch (fixture->client))
                     == ours);
      g_assert_false (g_signal_has_handler_pending (ours, signal, 0, TRUE));
      g_assert_false (g_signal_has_handler_pending (cancellable, signal, 0, TRUE));
      g_assert_cmpuint (G_OBJECT (cancellable)->ref_count, ==, 1);
    }
}

/* Our own limit makes nobody too slow: five seconds each, with one second of patience. */
static void
test_slow_by_limit (void)
{
  g_autofree char *text = g_strnfill (2500, 'x');
  const FakeReply replies[] = { { .body = text }, { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) get = get_request ();
  g_autoptr (KpS3Request) put = put_request (text);

  kp_s3_service_set_timeout (fixture->service, 1);
  kp_s3_client_set_max_attempts (fixture->client, 1);
  kp_throttle_set_rate (kp_s3_service_get_download_throttle (fixture->service), 500);
  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, get);
  assert_reply_text (reply, text);
  kp_throttle_set_rate (kp_s3_service_get_upload_throttle (fixture->service), 500);
  send_and_forget (fixture, put);
  g_assert_true (fake_request_has_body (fake_server_get_request (fixture->server, 1), text));
}

/* While S3 puts parts together, it keeps the connection awake with a blank now and then. */
static void
test_long_operation (void)
{
  const FakeReply replies[]
      = { { .action = FAKE_TRICKLE, .body = "          <CompleteMultipartUploadResult/>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_MULTIPART, "POST", "key");

  kp_s3_service_set_timeout (fixture->service, 1);
  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
}

/* libsoup would turn a PUT into a GET, and send our signature to whoever the server names. */
static void
test_redirect (void)
{
  static const unsigned statuses[] = { 301, 302, 303, 307, 308 };
  static const char *const methods[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };

  for (gsize i = 0; i < G_N_ELEMENTS (statuses); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (methods); j++)
      {
        g_autoptr (FakeServer) elsewhere = fake_server_new ();
        g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
        g_autofree char *location = g_strdup_printf ("Location: http://127.0.0.1:%u/bucket/key\r\n",
                                                     fake_server_get_port (elsewhere));
        const FakeReply reply = { .status = statuses[i], .headers = location };
        g_autoptr (KpS3Request) request
            = kp_s3_request_new (KP_S3_OPERATION_PUT, methods[j], "key");
        g_autoptr (GError) error = NULL;

        fake_server_script (fixture->server, &reply, 1);
        g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
        g_assert_cmpint (error->domain, ==, KP_ERROR);
        g_assert_cmpuint (fake_server_get_n_requests (elsewhere), ==, 0);
      }
}

/* ---- Replies that are not what they should be ---- */

static void
test_reply_limit (void)
{
  static const FakeAction actions[] = { FAKE_SEND, FAKE_SEND_CHUNKED };

  for (gsize i = 0; i < G_N_ELEMENTS (actions); i++)
    {
      const FakeReply replies[] = {
        { .action = actions[i], .body = "0123456789" },
        { .action = actions[i], .body = "0123456789A" },
        { .action = actions[i], .body = "0123456789A" },
        { .action = actions[i], .body = "" },
        { .action = actions[i], .body = "x" },
        { .action = actions[i], .body = "x" },
      };
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3Request) request = get_request ();
      g_autoptr (KpS3Request) nothing = get_request ();

      kp_s3_request_set_reply_limit (request, 10);
      kp_s3_request_set_reply_limit (nothing, 0);
      fixture_script (fixture, replies);
      g_autoptr (KpS3Reply) fits = send_well (fixture, request);
      assert_reply_text (fits, "0123456789");
      send_badly (fixture, request, KP_ERROR_SERVER);
      g_autoptr (KpS3Reply) empty = send_well (fixture, nothing);
      assert_reply_text (empty, "");
      send_badly (fixture, nothing, KP_ERROR_SERVER);
    }
}

/* What is announced is not yet there: it must not take memory. */
static void
test_absurd_length (void)
{
  static const char headers[] = "Content-Length: 9223372036854775807\r\n";
  static const FakeReply replies[]
      = { { .action = FAKE_SEND_SHORT, .headers = headers, .body = "xy" },
          { .action = FAKE_SEND_SHORT, .status = 404, .headers = headers, .body = "xy" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_request_send (request, fixture->client, NULL, &error));
  g_assert_cmpint (error->domain, ==, KP_ERROR);
}

static void
test_short_reply (void)
{
  static const FakeReply replies[]
      = { { .action = FAKE_SEND_SHORT, .body = "hello" }, { .body = "hello" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "hello");
}

/* To libsoup a chunked reply that was cut is a whole one. */
static void
test_cut_document (void)
{
  static const FakeReply replies[] = {
    { .action = FAKE_SEND_CUT, .body = "<Result><Key>k</Key>" },
    { .action = FAKE_SEND_CHUNKED, .body = "<Result><Key>k</Key></Result>" },
    { .action = FAKE_SEND_CUT, .body = "" },
    { .action = FAKE_SEND_CUT, .body = FAKE_XML "   " },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  kp_s3_request_set_hides_errors (request);
  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "<Result><Key>k</Key></Result>");
  send_badly (fixture, request, KP_ERROR_SERVER);
}

static void
test_hidden_error (void)
{
  static const FakeReply replies[] = {
    /* transient: once more */
    { .action = FAKE_SEND_CHUNKED, .body = ERROR_XML ("InternalError") },
    { .body = "<Result/>" },
    /* and not for ever */
    { .body = ERROR_XML ("InternalError") },
    { .body = ERROR_XML ("SlowDown") },
    /* for good */
    { .body = ERROR_XML ("AccessDenied") },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  kp_s3_request_set_hides_errors (request);
  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "<Result/>");
  send_badly (fixture, request, KP_ERROR_SERVER);
  send_badly (fixture, request, KP_ERROR_ACCESS_DENIED);
}

static void
test_hidden_error_without_code (void)
{
  static const FakeReply replies[]
      = { { .body = "<Error/>" }, { .body = "<Error><Message>m</Message></Error>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  kp_s3_request_set_hides_errors (request);
  fixture_script (fixture, replies);
  send_badly (fixture, request, KP_ERROR_SERVER);
}

/* An object may well begin like an error. */
static void
test_no_hidden_error (void)
{
  static const FakeReply replies[] = { { .body = ERROR_XML ("InternalError") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, ERROR_XML ("InternalError"));
}

/* An object that was stored packed has to come back packed. */
static void
test_packed_reply (void)
{
  static const FakeReply replies[]
      = { { .headers = "Content-Encoding: gzip\r\n", .body = "\x1F\x8Bnot really" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = get_request ();

  fixture_script (fixture, replies);
  g_autoptr (KpS3Reply) reply = send_well (fixture, request);
  assert_reply_text (reply, "\x1F\x8Bnot really");
}

/* ---- Being cancelled ---- */

static void
cancel (void *data)
{
  g_cancellable_cancel (data);
}

static void
assert_cancelled_soon (Fixture *fixture, GCancellable *cancellable)
{
  g_autoptr (KpS3Request) request = put_request ("body");
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  g_assert_null (kp_s3_request_send (request, fixture->client, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 10 * G_TIME_SPAN_SECOND);
}

/* The server may still hold the cancellable when we have given up: it goes last. */
static void
test_cancelled_while_hanging (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  const FakeReply replies[] = { { .action = FAKE_HANG, .hook = cancel, .data = cancellable } };

  fixture_script (fixture, replies);
  assert_cancelled_soon (fixture, cancellable);
}

static void
test_cancelled_before (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  g_cancellable_cancel (cancellable);
  assert_cancelled_soon (fixture, cancellable);
}

typedef struct
{
  KpS3Service *service;
  GCancellable *cancellable;
} Canceller;

static void *
cancel_when_slowed_down (void *data)
{
  Canceller *canceller = data;
  KpS3Statistics statistics = { { 0 } };

  for (int i = 0; i < 30000 && statistics.slow_downs == 0; i++)
    {
      kp_s3_service_get_statistics (canceller->service, &statistics);
      g_usleep (1000);
    }
  g_cancellable_cancel (canceller->cancellable);
  return NULL;
}

static void
test_cancelled_while_pausing (void)
{
  static const FakeReply replies[] = { { .status = 503, .headers = "Retry-After: 100\r\n" } };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  Canceller canceller = { fixture->service, cancellable };

  fixture_script (fixture, replies);
  GThread *thread = g_thread_new ("canceller", cancel_when_slowed_down, &canceller);
  assert_cancelled_soon (fixture, cancellable);
  g_thread_join (thread);
}

/* ---- What is sent ---- */

/* The server worked out the signature of each from what it received. */
static void
test_keys (void)
{
  static const char *const keys[][2] = {
    { "a/../b", "a/../b" },
    { "..", ".." },
    { "./a/.", "./a/." },
    { "//x", "//x" },
    { "a//b/", "a//b/" },
    { "%2F", "%252F" },
    { "100%", "100%25" },
    { "a b+c", "a%20b%2Bc" },
    { "?a=b&c#d", "%3Fa%3Db%26c%23d" },
    { "'(*)!$,;:@[]\\^`{|}~\"<>",
      "%27%28%2A%29%21%24%2C%3B%3A%40%5B%5D%5C%5E%60%7B%7C%7D~%22%3C%3E" },
    { "\x01\n\r\t\x7F", "%01%0A%0D%09%7F" },
    { "\xC3\xA9\xEE\x83\xA9\xF0\x9F\x98\x80", "%C3%A9%EE%83%A9%F0%9F%98%80" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      static const FakeReply reply = { 0 };
      g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_GET, "GET", keys[i][0]);
      g_autofree char *expected = g_strconcat ("/bucket/", keys[i][1], NULL);

      kp_s3_request_add_query (request, "x", keys[i][0]);
      fake_server_script (fixture->server, &reply, 1);
      send_and_forget (fixture, request);
      g_assert_cmpstr (fake_server_get_request (fixture->server, i)->path, ==, expected);
    }
}

static void
test_query (void)
{
  static const FakeReply replies[] = { { 0 }, { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", NULL);

  kp_s3_request_add_query (request, "uploads", "");
  kp_s3_request_add_query (request, "prefix", "a/b c");
  kp_s3_request_add_query (request, "nothing", NULL);
  kp_s3_request_add_query (request, "part-number-marker", "2");
  kp_s3_request_add_query (request, "part", "1");
  kp_s3_request_add_query (request, "Part", "3");
  kp_s3_request_add_query (request, "part", "0");
  kp_s3_request_add_query (request, "\xC3\xA9&", "=+");
  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  send_and_forget (fixture, request);

  for (guint i = 0; i < 2; i++)
    {
      const FakeRequest *sent = fake_server_get_request (fixture->server, i);
      g_assert_cmpstr (sent->path, ==, "/bucket");
      g_assert_cmpstr (sent->query, ==,
                       "%C3%A9%26=%3D%2B&Part=3&part=0&part=1&part-number-marker=2"
                       "&prefix=a%2Fb%20c&uploads=");
    }
}

static void
test_session_token (void)
{
  static const FakeReply replies[] = { { .status = 500 }, { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, "FwoGZXIvYXdzEJr//+token==");
  g_autoptr (KpS3Request) request = put_request ("body");

  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  for (guint i = 0; i < 2; i++)
    {
      const FakeRequest *sent = fake_server_get_request (fixture->server, i);
      g_assert_cmpstr (fake_request_get_header (sent, "x-amz-security-token"), ==,
                       "FwoGZXIvYXdzEJr//+token==");
      g_assert_nonnull (
          strstr (fake_request_get_header (sent, "authorization"), "x-amz-security-token"));
    }
}

/* The hash that the caller has is used, and not worked out again. */
static void
test_known_hash (void)
{
  static const FakeReply replies[] = { { 0 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_PUT, "PUT", "key");
  g_autoptr (GBytes) body = g_bytes_new_static ("Welcome to Amazon S3.", 21);

  kp_s3_request_set_body (request, body,
                          "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
  fixture_script (fixture, replies);
  send_and_forget (fixture, request);
  g_assert_cmpstr (fake_request_get_header (fake_server_get_request (fixture->server, 0),
                                            "x-amz-content-sha256"),
                   ==, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/request/get", test_get);
  g_test_add_func ("/s3/request/put", test_put);
  g_test_add_func ("/s3/request/restart-keeps-body", test_restart_keeps_body);
  g_test_add_func ("/s3/request/lost-reply", test_lost_reply);
  g_test_add_func ("/s3/request/no-reply-at-all", test_no_reply_at_all);
  g_test_add_func ("/s3/request/refused-connection", test_refused_connection);
  g_test_add_func ("/s3/request/server-error", test_server_error);
  g_test_add_func ("/s3/request/attempts-are-limited", test_attempts_are_limited);
  g_test_add_func ("/s3/request/slow-down", test_slow_down);
  g_test_add_func ("/s3/request/retry-after", test_retry_after);
  g_test_add_func ("/s3/request/permanent", test_permanent);
  g_test_add_func ("/s3/request/message-has-servers-words", test_message_has_servers_words);
  g_test_add_func ("/s3/request/clock", test_clock);
  g_test_add_func ("/s3/request/clock-once", test_clock_once);
  g_test_add_func ("/s3/request/clock-of-head", test_clock_of_head);
  g_test_add_func ("/s3/request/400-of-head", test_400_of_head);
  g_test_add_func ("/s3/request/400-of-head-with-token", test_400_of_head_with_token);
  g_test_add_func ("/s3/request/md5", test_md5);
  g_test_add_func ("/s3/request/md5-of-no-use", test_md5_of_no_use);
  g_test_add_func ("/s3/request/md5-learnt-meanwhile", test_md5_learnt_meanwhile);
  g_test_add_func ("/s3/request/region", test_region);
  g_test_add_func ("/s3/request/region-once", test_region_once);
  g_test_add_func ("/s3/request/redirect", test_redirect);
  g_test_add_func ("/s3/request/reply-limit", test_reply_limit);
  g_test_add_func ("/s3/request/absurd-length", test_absurd_length);
  g_test_add_func ("/s3/request/short-reply", test_short_reply);
  g_test_add_func ("/s3/request/cut-document", test_cut_document);
  g_test_add_func ("/s3/request/hidden-error", test_hidden_error);
  g_test_add_func ("/s3/request/no-hidden-error", test_no_hidden_error);
  g_test_add_func ("/s3/request/packed-reply", test_packed_reply);
  g_test_add_func ("/s3/request/cancelled-while-hanging", test_cancelled_while_hanging);
  g_test_add_func ("/s3/request/cancelled-before", test_cancelled_before);
  g_test_add_func ("/s3/request/cancelled-while-pausing", test_cancelled_while_pausing);
  g_test_add_func ("/s3/request/keys", test_keys);
  g_test_add_func ("/s3/request/query", test_query);
  g_test_add_func ("/s3/request/session-token", test_session_token);
  g_test_add_func ("/s3/request/known-hash", test_known_hash);
  g_test_add_func ("/s3/request/message-is-plain-text", test_message_is_plain_text);
  g_test_add_func ("/s3/request/trickle", test_trickle);
  g_test_add_func ("/s3/request/trickle-cancelled", test_trickle_cancelled);
  g_test_add_func ("/s3/request/one-cancellable", test_one_cancellable);
  g_test_add_func ("/s3/request/slow-by-limit", test_slow_by_limit);
  g_test_add_func ("/s3/request/long-operation", test_long_operation);
  g_test_add_func ("/s3/request/hidden-error-without-code", test_hidden_error_without_code);
  return g_test_run ();
}

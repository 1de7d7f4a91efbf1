/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What each operation sends, and what it makes of the answer. That everything is signed,
 * fake-server sees to; how requests are repeated is in test-request.c,
 * uploads in parts are in test-uploads.c. */

#include "fake-server.h"
#include "kp-error.h"

#include <string.h>

static void
assert_bytes (GBytes *bytes, const char *text)
{
  gsize length;
  const void *data = g_bytes_get_data (bytes, &length);

  g_assert_cmpmem (data, length, text, strlen (text));
}

static void
test_defaults (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  KpS3Client *client = kp_s3_client_new (fixture->service);

  g_assert_cmpuint (kp_s3_client_get_max_attempts (client), ==, KP_S3_MAX_ATTEMPTS);
  g_assert_true (kp_s3_client_get_service (client) == fixture->service);
  g_assert_cmpuint (kp_s3_client_get_head_size (client), ==, 0);
  kp_s3_client_set_head_size (client, 812);
  g_assert_cmpuint (kp_s3_client_get_head_size (client), ==, 812);

  /* Both would change what we send or receive behind our back. */
  SoupSession *session = kp_s3_client_get_session (client);
  g_assert_false (soup_session_has_feature (session, SOUP_TYPE_CONTENT_DECODER));
  g_assert_false (soup_session_has_feature (session, SOUP_TYPE_AUTH_MANAGER));
  g_assert_cmpuint (soup_session_get_timeout (session), >, 0);
  kp_s3_client_free (client);
}

static void
test_put (void)
{
  static const FakeReply replies[] = { { .headers = "ETag: \"" MD5_A "\"\r\n" },
                                       { .body = "<html>Log in first</html>" },
                                       { .headers = "ETag: \"" MD5_B "\"\r\n" },
                                       { .status = 403 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3HeaderList) headers = some_headers ();
  g_autoptr (GBytes) body = g_bytes_new_static ("hello", 5);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag
      = kp_s3_client_put (fixture->client, "a/b c", headers, body, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, MD5_A);
  assert_sent (fixture, 0, "PUT", "/bucket/a/b%20c", "");
  assert_sent_body (fixture, 0, "hello");
  assert_some_headers (fixture, 0);

  /* A page of another server on the way is no success. */
  g_autofree char *second = kp_s3_client_put (fixture->client, "k", NULL, body, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (second, ==, MD5_B);

  g_assert_null (kp_s3_client_put (fixture->client, "k", NULL, body, NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_ACCESS_DENIED);
}

#define MD5_OF_HELLO "5d41402abc4b2a76b9719d911017c592"

/* A success without an ETag may come from something on the way: the object has to be there, and to
 * be the one that was sent. */
static void
test_put_without_etag (void)
{
#define STORED "Content-Length: 5\r\nx-amz-meta-mode: 33188\r\n"
  static const struct
  {
    const char *headers; /* of the answer to the PUT */
    FakeReply head;
    const char *query; /* of the HEAD */
    const char *etag;  /* NULL for none… */
    KpError code;      /* …and an error */
  } cases[] = {
    { NULL, { .headers = STORED "ETag: \"e\"\r\n" }, "", "e", 0 },
    { NULL, { .headers = STORED "ETag: \"" MD5_OF_HELLO "\"\r\n" }, "", MD5_OF_HELLO, 0 },
    { "x-amz-version-id: v/1\r\n",
      { .headers = STORED "ETag: \"e\"\r\n" },
      "versionId=v%2F1",
      "e",
      0 },
    { "ETag: \"\"\r\n", { .headers = STORED }, "", "", 0 },
    { NULL, { .status = 404 }, "", NULL, KP_ERROR_SERVER },
    /* one that was there before */
    { NULL,
      { .headers = "Content-Length: 6\r\nx-amz-meta-mode: 33188\r\n" },
      "",
      NULL,
      KP_ERROR_SERVER },
    { NULL,
      { .headers = "Content-Length: 5\r\nx-amz-meta-mode: 33152\r\n" },
      "",
      NULL,
      KP_ERROR_SERVER },
    { NULL, { .headers = STORED "ETag: \"" MD5_A "\"\r\n" }, "", NULL, KP_ERROR_SERVER },
    /* whoever answers anything so */
    { NULL, { 0 }, "", NULL, KP_ERROR_SERVER },
    { NULL, { .status = 403 }, "", NULL, KP_ERROR_ACCESS_DENIED },
  };
#undef STORED
  g_autoptr (GBytes) body = g_bytes_new_static ("hello", 5);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply replies[] = { { .headers = cases[i].headers }, cases[i].head };
      g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
      g_autoptr (KpS3HeaderList) headers = some_headers ();
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      fixture_script (fixture, replies);
      g_autofree char *etag
          = kp_s3_client_put (fixture->client, "k", headers, body, NULL, NULL, &error);
      g_assert_cmpstr (etag, ==, cases[i].etag);
      if (etag != NULL)
        g_assert_no_error (error);
      else
        g_assert_error (error, KP_ERROR, (int) cases[i].code);
      assert_sent (fixture, 1, "HEAD", "/bucket/k", cases[i].query);
    }
}

static char *
put_or_send_part (Fixture *fixture, gboolean is_part, GBytes *body, GError **error)
{
  return is_part ? kp_s3_client_upload_part (fixture->client, "k", "id", 1, body, NULL, NULL, error)
                 : kp_s3_client_put (fixture->client, "k", NULL, body, NULL, NULL, error);
}

/* A server that says the MD5s of what it stores is held to them. */
static void
test_stored_otherwise (void)
{
  static const struct
  {
    const char *provider;
    const char *headers;
    gboolean is_wrong;
  } cases[] = {
    { "minio", "ETag: \"" MD5_OF_HELLO "\"\r\n", FALSE },
    { "minio", "ETag: \"5D41402ABC4B2A76B9719D911017C592\"\r\n", FALSE },
    { "minio", "ETag: \"" MD5_A "\"\r\n", TRUE },
    { "minio", "ETag: " MD5_A "\r\nx-amz-server-side-encryption: AES256\r\n", TRUE },
    /* of what is no MD5, nothing can be said */
    { "minio", "ETag: \"opaque\"\r\n", FALSE },
    { "minio", NULL, FALSE },
    { "minio", "ETag: " MD5_A "\r\nx-amz-server-side-encryption: aws:kms\r\n", FALSE },
    { "minio", "ETag: " MD5_A "\r\nx-amz-server-side-encryption-customer-algorithm: AES256\r\n",
      FALSE },
    { "gcs", "ETag: " MD5_A "\r\nx-goog-encryption-kms-key-name: k\r\n", FALSE },
    { "other", "ETag: \"" MD5_A "\"\r\n", FALSE },
  };
  static const FakeReply head = { .headers = "Content-Length: 5\r\n" };
  g_autoptr (GBytes) body = g_bytes_new_static ("hello", 5);

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (cases); i++)
    {
      gsize j = i / 2;
      const FakeReply reply = { .headers = cases[j].headers };
      g_autoptr (Fixture) fixture = fixture_new (cases[j].provider, NULL);
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, j);
      fake_server_script (fixture->server, &reply, 1);
      if (cases[j].is_wrong)
        fake_server_script (fixture->server, &reply, 1);
      else if (cases[j].headers == NULL && i % 2 == 0)
        fake_server_script (fixture->server, &head, 1);
      g_autofree char *etag = put_or_send_part (fixture, i % 2 == 1, body, &error);
      if (cases[j].is_wrong)
        {
          g_assert_null (etag);
          g_assert_error (error, KP_ERROR, KP_ERROR_CORRUPT);
        }
      else
        {
          g_assert_no_error (error);
          g_assert_nonnull (etag);
        }
    }
}

/* What went wrong once is sent again, and is right then. */
static void
test_stored_otherwise_once (void)
{
  static const FakeReply replies[] = { { .headers = "ETag: \"" MD5_A "\"\r\n" },
                                       { .headers = "ETag: \"" MD5_OF_HELLO "\"\r\n" } };
  g_autoptr (Fixture) fixture = fixture_new ("ceph", NULL);
  g_autoptr (GBytes) body = g_bytes_new_static ("hello", 5);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag = kp_s3_client_put (fixture->client, "k", NULL, body, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, MD5_OF_HELLO);
  assert_sent_body (fixture, 1, "hello");
}

/* Of large bodies the first is looked at, and then one of eight. */
static void
test_stored_otherwise_large (void)
{
  static const FakeReply wrong = { .headers = "ETag: \"" MD5_A "\"\r\n" };
  g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
  g_autofree char *data = g_malloc0 (64 * 1024 + 1);
  g_autoptr (GBytes) body = g_bytes_new_static (data, 64 * 1024 + 1);
  g_autoptr (GBytes) smaller = g_bytes_new_static (data, 64 * 1024);

  kp_s3_client_set_max_attempts (fixture->client, 1);
  for (int i = 0; i < 18; i++)
    {
      g_autoptr (GError) error = NULL;
      fake_server_script (fixture->server, &wrong, 1);
      g_autofree char *etag = put_or_send_part (fixture, i % 2 == 0, body, &error);
      g_assert_cmpint (etag == NULL, ==, i % 8 == 0);
    }
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;
      fake_server_script (fixture->server, &wrong, 1);
      g_assert_null (put_or_send_part (fixture, i == 0, smaller, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CORRUPT);
    }
}

static void
test_get (void)
{
  static const FakeReply replies[] = {
    { .status = 206,
      .headers = "ETag: \"" MD5_A "\"\r\nContent-Range: bytes 5-14/443\r\nx-amz-meta-mode: 1\r\n",
      .body = "0123456789" },
    { .body = "whole" },
    /* an object that ends earlier */
    { .status = 206, .headers = "Content-Range: bytes 0-2/3\r\n", .body = "012" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Object) object = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GBytes) bytes
      = kp_s3_client_get (fixture->client, "k", "v/1+", 5, 10, MD5_A, &object, NULL, &error);
  g_assert_no_error (error);
  assert_bytes (bytes, "0123456789");
  g_assert_cmpuint (object->size, ==, 443);
  g_assert_cmpstr (object->etag, ==, MD5_A);
  g_assert_cmpstr (kp_s3_object_get_metadata (object, "mode"), ==, "1");
  assert_sent (fixture, 0, "GET", "/bucket/k", "versionId=v%2F1%2B");
  assert_sent_header (fixture, 0, "range", "bytes=5-14");
  assert_sent_header (fixture, 0, "if-match", "\"" MD5_A "\"");

  g_autoptr (GBytes) whole
      = kp_s3_client_get (fixture->client, "k", NULL, 0, 5, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_bytes (whole, "whole");
  assert_sent (fixture, 1, "GET", "/bucket/k", "");
  assert_sent_header (fixture, 1, "range", "bytes=0-4");
  assert_sent_header (fixture, 1, "if-match", NULL);

  g_autoptr (GBytes) fewer
      = kp_s3_client_get (fixture->client, "k", NULL, 0, 100, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_bytes (fewer, "012");
}

static void
test_get_refused (void)
{
  static const struct
  {
    FakeReply reply;
    KpError code;
  } cases[] = {
    { { .status = 404, .body = ERROR_XML ("NoSuchKey") }, KP_ERROR_NOT_FOUND },
    { { .status = 412, .body = ERROR_XML ("PreconditionFailed") }, KP_ERROR_CONFLICT },
    { { .status = 416, .body = ERROR_XML ("InvalidRange") }, KP_ERROR_CONFLICT },
    { { .status = 403, .body = ERROR_XML ("InvalidObjectState") }, KP_ERROR_ARCHIVED },
    /* the beginning, where another place was asked for */
    { { .body = "0123" }, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
    /* as of a server that does not know If-Match */
    { { .status = 206,
        .headers = "Content-Range: bytes 5-8/10\r\nETag: \"other\"\r\n",
        .body = "5678" },
      KP_ERROR_CONFLICT },
    /* another part */
    { { .status = 206,
        .headers = "Content-Range: bytes 0-3/10\r\nETag: \"e\"\r\n",
        .body = "0123" },
      KP_ERROR_SERVER },
    /* more than was asked for */
    { { .status = 206, .headers = "Content-Range: bytes 5-9/10\r\n", .body = "01234" },
      KP_ERROR_SERVER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (GError) error = NULL;
      KpS3Object *object = NULL;

      kp_s3_client_set_max_attempts (fixture->client, 1);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_null (
          kp_s3_client_get (fixture->client, "k", NULL, 5, 4, "e", &object, NULL, &error));
      g_assert_error (error, KP_ERROR, (int) cases[i].code);
      g_assert_null (object);
    }
}

/* A chunked reply that was cut looks whole to libsoup; its Content-Range says what is missing. */
static void
test_get_cut (void)
{
  static const char range[] = "Content-Range: bytes 0-9/443\r\n";
  static const FakeReply replies[] = {
    { .action = FAKE_SEND_CUT, .status = 206, .headers = range, .body = "01234" },
    { .action = FAKE_SEND_CHUNKED, .status = 206, .headers = range, .body = "0123456789" },
    { .action = FAKE_SEND_CUT, .status = 206, .headers = range, .body = "01234" },
    { .action = FAKE_SEND_CUT, .status = 206, .headers = range, .body = "" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GBytes) bytes
      = kp_s3_client_get (fixture->client, "k", NULL, 0, 10, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_bytes (bytes, "0123456789");
  g_assert_null (kp_s3_client_get (fixture->client, "k", NULL, 0, 10, NULL, NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
}

static void
test_head (void)
{
  static const FakeReply replies[] = {
    { .headers = "Content-Length: 434234\r\nETag: \"" MD5_A "\"\r\n"
                 "Last-Modified: Wed, 25 Nov 2009 12:00:00 GMT\r\nx-amz-meta-mode: 33188\r\n" },
    { .status = 404 },
    { .headers = "Content-Length: 1\r\n" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (KpS3Object) object = kp_s3_client_head (fixture->client, "a/", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (object->size, ==, 434234);
  g_assert_cmpstr (object->etag, ==, MD5_A);
  g_assert_cmpint (object->last_modified, ==, 1259150400);
  assert_sent (fixture, 0, "HEAD", "/bucket/a/", "");

  g_assert_null (kp_s3_client_head (fixture->client, "a", NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
  g_clear_error (&error);

  g_autoptr (KpS3Object) version = kp_s3_client_head (fixture->client, "a", "v", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (version->size, ==, 1);
  assert_sent (fixture, 2, "HEAD", "/bucket/a", "versionId=v");
}

static void
test_copy (void)
{
  static const FakeReply replies[] = {
    { .body = FAKE_XML "<CopyObjectResult " XMLNS "><ETag>&quot;" MD5_A "&quot;</ETag>"
                       "</CopyObjectResult>" },
    { .body = "<CopyObjectResult><ETag>" MD5_B "</ETag></CopyObjectResult>" },
  };
  g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
  g_autoptr (KpS3HeaderList) headers = some_headers ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag
      = kp_s3_client_copy (fixture->client, "a b/%\xC3\xA9+", MD5_B, "k", headers, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, MD5_A);
  assert_sent (fixture, 0, "PUT", "/bucket/k", "");
  assert_sent_body (fixture, 0, "");
  assert_sent_header (fixture, 0, "content-length", "0");
  assert_sent_header (fixture, 0, "x-amz-copy-source", "bucket/a%20b/%25%C3%A9%2B");
  assert_sent_header (fixture, 0, "x-amz-copy-source-if-match", "\"" MD5_B "\"");
  assert_sent_header (fixture, 0, "x-amz-metadata-directive", "REPLACE");
  assert_some_headers (fixture, 0);

  g_autofree char *plain = kp_s3_client_copy (fixture->client, "a", NULL, "k", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (plain, ==, MD5_B);
  assert_sent_header (fixture, 1, "x-amz-copy-source-if-match", NULL);
  assert_sent_header (fixture, 1, "x-amz-metadata-directive", NULL);
}

/* All that the source has but its class, which is told. */
static void
test_copy_as_is (void)
{
  static const FakeReply replies[] = {
    { .headers = "x-amz-version-id: null\r\n",
      .body = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>" },
    { .headers = "x-amz-version-id: 3sL4k\r\n",
      .body = "<CopyObjectResult><ETag>f</ETag></CopyObjectResult>" },
    { .body = ERROR_XML ("PreconditionFailed") },
  };
  g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag
      = kp_s3_client_copy_as_is (fixture->client, "a", MD5_A, "k", "STANDARD_IA", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, "e");
  assert_sent (fixture, 0, "PUT", "/bucket/k", "");
  assert_sent_header (fixture, 0, "x-amz-copy-source", "bucket/a");
  assert_sent_header (fixture, 0, "x-amz-copy-source-if-match", "\"" MD5_A "\"");
  assert_sent_header (fixture, 0, "x-amz-metadata-directive", "COPY");
  assert_sent_header (fixture, 0, "x-amz-storage-class", "STANDARD_IA");
  g_assert_false (kp_s3_service_makes_versions (kp_s3_client_get_service (fixture->client)));

  g_autofree char *plain
      = kp_s3_client_copy_as_is (fixture->client, "a", NULL, "k", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (plain, ==, "f");
  assert_sent_header (fixture, 1, "x-amz-copy-source-if-match", NULL);
  assert_sent_header (fixture, 1, "x-amz-storage-class", NULL);
  g_assert_true (kp_s3_service_makes_versions (kp_s3_client_get_service (fixture->client)));

  /* Status 200, and an error in the body. */
  g_assert_null (kp_s3_client_copy_as_is (fixture->client, "a", MD5_A, "k", NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
}

/* A header that the server does not know could be refused, or be ignored. */
static void
test_copy_without_if_match (void)
{
  static const FakeReply replies[]
      = { { .body = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>" },
          { .body = "<CopyPartResult><ETag>e</ETag></CopyPartResult>" } };
  g_autoptr (Fixture) fixture = fixture_new ("other", NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag = kp_s3_client_copy (fixture->client, "a", MD5_A, "k", NULL, NULL, &error);
  g_autofree char *part
      = kp_s3_client_copy_part (fixture->client, "a", MD5_A, 0, 9, "k", "id", 1, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, "e");
  g_assert_cmpstr (part, ==, "e");
  assert_sent_header (fixture, 0, "x-amz-copy-source-if-match", NULL);
  assert_sent_header (fixture, 1, "x-amz-copy-source-if-match", NULL);
}

static void
test_copy_refused (void)
{
  static const struct
  {
    FakeReply reply;
    KpError code;
  } cases[] = {
    { { .status = 412, .body = ERROR_XML ("PreconditionFailed") }, KP_ERROR_CONFLICT },
    { { .body = ERROR_XML ("InternalError") }, KP_ERROR_SERVER },
    { { .body = ERROR_XML ("AccessDenied") }, KP_ERROR_ACCESS_DENIED },
    { { .body = "" }, KP_ERROR_SERVER },
    { { .body = "<CopyObjectResult/>" }, KP_ERROR_SERVER },
    { { .body = "<html><body>Welcome</body></html>" }, KP_ERROR_SERVER },
    { { .action = FAKE_SEND_CUT, .body = "<CopyObjectResult><ETag>e</ETag>" }, KP_ERROR_SERVER },
    { { .status = 501 }, KP_ERROR_UNSUPPORTED_BY_PROVIDER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
      g_autoptr (GError) error = NULL;

      kp_s3_client_set_max_attempts (fixture->client, 1);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_null (kp_s3_client_copy (fixture->client, "a", MD5_A, "k", NULL, NULL, &error));
      g_assert_error (error, KP_ERROR, (int) cases[i].code);
    }
}

static void
test_delete (void)
{
  static const FakeReply replies[] = { { .status = 204 },
                                       { .status = 404, .body = ERROR_XML ("NoSuchKey") },
                                       { .status = 403, .body = ERROR_XML ("AccessDenied") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_true (kp_s3_client_delete (fixture->client, "a", NULL, &error));
  g_assert_true (kp_s3_client_delete (fixture->client, "a", NULL, &error));
  g_assert_no_error (error);
  g_assert_false (kp_s3_client_delete (fixture->client, "a", NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_ACCESS_DENIED);
  assert_sent (fixture, 0, "DELETE", "/bucket/a", "");
}

/* ---- Deleting many ---- */

typedef struct
{
  GString *keys; /* that failed, each with its error */
} Failures;

static void
failed_cb (const char *key, const GError *error, void *user_data)
{
  Failures *failures = user_data;

  g_assert_cmpint (error->domain, ==, KP_ERROR);
  g_string_append_printf (failures->keys, "%s %s;", key, kp_error_name (error->code));
}

static gboolean
delete_many (Fixture *fixture, const char *const *keys, char **failed, GError **error)
{
  Failures failures = { g_string_new (NULL) };
  gboolean ok = kp_s3_client_delete_many (fixture->client, keys, g_strv_length ((char **) keys),
                                          failed_cb, &failures, NULL, error);

  *failed = g_string_free (failures.keys, FALSE);
  return ok;
}

static void
test_delete_many (void)
{
  static const char *const keys[] = { "a", "b&<>\"'c", " \xC3\xA9 +%20 ", NULL };
  static const char document[] = FAKE_XML "<Delete " XMLNS "><Quiet>true</Quiet>"
                                          "<Object><Key>a</Key></Object>"
                                          "<Object><Key>b&amp;&lt;&gt;&quot;&apos;c</Key></Object>"
                                          "<Object><Key> \xC3\xA9 +%20 </Key></Object></Delete>";
  static const FakeReply replies[] = { { .body = FAKE_XML "<DeleteResult " XMLNS "/>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *failed = NULL;
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_true (delete_many (fixture, keys, &failed, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (failed, ==, "");
  assert_sent (fixture, 0, "POST", "/bucket", "delete=");
  /* &apos; and &#39; are the same. */
  g_autoptr (GString) body = g_string_new_len (g_bytes_get_data (sent (fixture, 0)->body, NULL),
                                               (gssize) g_bytes_get_size (sent (fixture, 0)->body));
  g_string_replace (body, "&#39;", "&apos;", 0);
  g_assert_cmpstr (body->str, ==, document);

  guchar digest[16];
  gsize length = sizeof digest;
  g_autoptr (GChecksum) md5 = g_checksum_new (G_CHECKSUM_MD5);
  g_checksum_update (md5, g_bytes_get_data (sent (fixture, 0)->body, NULL),
                     (gssize) g_bytes_get_size (sent (fixture, 0)->body));
  g_checksum_get_digest (md5, digest, &length);
  g_autofree char *expected = g_base64_encode (digest, sizeof digest);
  assert_sent_header (fixture, 0, "content-md5", expected);
}

/* In XML, they would be refused or be another key. */
static void
test_delete_many_one_by_one (void)
{
  static const char *const keys[]
      = { "a\rb",     "plain",    "tab\there",    "a\nb",         "\x01",
          "\x1F\x7F", "\xC2\x85", "\xEF\xBF\xBE", "\xEF\xBF\xBF", NULL };
  static const char *const paths[]
      = { "a%0Db", "tab%09here", "a%0Ab", "%01", "%1F%7F", "%C2%85", "%EF%BF%BE", "%EF%BF%BF" };
  static const FakeReply gone = { .status = 204 };
  static const FakeReply result = { .body = "<DeleteResult/>" };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *failed = NULL;
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    fake_server_script (fixture->server, &gone, 1);
  fake_server_script (fixture->server, &result, 1);
  g_assert_true (delete_many (fixture, keys, &failed, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (failed, ==, "");
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autofree char *path = g_strconcat ("/bucket/", paths[i], NULL);
      assert_sent (fixture, i, "DELETE", path, "");
    }
  guint last = G_N_ELEMENTS (paths);
  assert_sent (fixture, last, "POST", "/bucket", "delete=");
  assert_sent_body (fixture, last,
                    FAKE_XML "<Delete " XMLNS "><Quiet>true</Quiet><Object><Key>plain</Key>"
                             "</Object></Delete>");
}

static void
test_delete_many_failures (void)
{
  static const char *const keys[] = { "a\x01", "a", "b&", "c", NULL };
  static const FakeReply replies[] = {
    { .status = 409, .body = ERROR_XML ("Conflict") },
    { .body = FAKE_XML "<DeleteResult " XMLNS ">"
                       "<Error><Key>a</Key><Code>InternalError</Code><Message>We</Message></Error>"
                       "<Deleted><Key>c</Key></Deleted>"
                       "<Error><Key>b&amp;</Key><Code>AccessDenied</Code></Error></DeleteResult>" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *failed = NULL;
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_true (delete_many (fixture, keys, &failed, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (failed, ==, "a\x01 conflict;a server;b& access-denied;");
}

/* Only a DeleteResult says by its silence that a key is gone: with a name space or without, empty
 * or not. */
static void
test_delete_many_other_document (void)
{
  static const char *const keys[] = { "a", "b", NULL };
  static const struct
  {
    FakeReply reply;
    gboolean is_right;
  } cases[] = {
    { { .body = FAKE_XML "<DeleteResult " XMLNS "></DeleteResult>" }, TRUE },
    { { .body = "<DeleteResult/>" }, TRUE },
    { { .action = FAKE_SEND_CHUNKED, .body = FAKE_XML "\n <DeleteResult " XMLNS "/>\n" }, TRUE },
    { { .body = "<html><body>Log in first</body></html>" }, FALSE },
    { { .body = FAKE_XML "<ListBucketResult " XMLNS "/>" }, FALSE },
    { { .body = FAKE_XML "<x><DeleteResult/></x>" }, FALSE },
    { { .body = "" }, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autofree char *failed = NULL;
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      kp_s3_client_set_max_attempts (fixture->client, 1);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_cmpint (delete_many (fixture, keys, &failed, &error), ==, cases[i].is_right);
      g_assert_cmpstr (failed, ==, "");
      if (cases[i].is_right)
        g_assert_no_error (error);
      else
        g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
    }
}

/* Alibaba's OSS sends no document where nothing failed ("DeleteMultipleObjects"). */
static void
test_delete_many_without_document (void)
{
  static const char *const keys[] = { "a", "b", NULL };
  static const struct
  {
    FakeReply reply;
    gboolean is_right;
  } cases[] = {
    { { .body = "" }, TRUE },
    { { .body = FAKE_XML "<DeleteResult " XMLNS "/>" }, TRUE },
    { { .action = FAKE_SEND_CUT, .body = "" }, FALSE },
    { { .action = FAKE_SEND_CHUNKED, .body = "" }, FALSE },
    { { .body = "<html><body>Log in first</body></html>" }, FALSE },
    { { .status = 500 }, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new ("alibaba", NULL);
      g_autofree char *failed = NULL;
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      kp_s3_client_set_max_attempts (fixture->client, 1);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_cmpint (delete_many (fixture, keys, &failed, &error), ==, cases[i].is_right);
      g_assert_true ((error == NULL) == cases[i].is_right);
      g_assert_cmpstr (failed, ==, "");
    }
}

static void
test_delete_many_stops (void)
{
  static const char *const keys[] = { "a\x01", "a", NULL };
  static const char *const only_plain[] = { "a", NULL };
  static const char *const only_odd[] = { "\x01", "\x02", NULL };
  static const char *const nothing[] = { NULL };
  static const FakeReply replies[] = {
    { .status = 403, .body = ERROR_XML ("AccessDenied") },
    { .status = 403, .body = ERROR_XML ("AccessDenied") },
    { .body = ERROR_XML ("AccessDenied") },
    { .status = 204 },
    { .status = 204 },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  for (int i = 0; i < 3; i++)
    {
      g_autofree char *failed = NULL;
      g_autoptr (GError) error = NULL;
      g_assert_false (delete_many (fixture, i == 0 ? keys : only_plain, &failed, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_ACCESS_DENIED);
    }

  g_autofree char *failed = NULL;
  g_autofree char *none = NULL;
  g_autoptr (GError) error = NULL;
  g_assert_true (delete_many (fixture, only_odd, &failed, &error));
  g_assert_true (delete_many (fixture, nothing, &none, &error));
  g_assert_no_error (error);
}

/* A server that does not know the call is asked once. */
static void
test_delete_many_not_implemented (void)
{
  static const char *const keys[] = { "a", "b c", "d", NULL };
  static const char *const more[] = { "e", NULL };
  static const FakeReply refusals[] = { { .status = 501, .body = ERROR_XML ("NotImplemented") },
                                        { .status = 405 },
                                        { .body = ERROR_XML ("NotImplemented") } };
  static const FakeReply replies[] = { { .status = 204 },
                                       { .status = 409, .body = ERROR_XML ("Conflict") },
                                       { .status = 204 },
                                       { .status = 204 } };

  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autofree char *failed = NULL;
      g_autofree char *none = NULL;
      g_autoptr (GError) error = NULL;

      fake_server_script (fixture->server, &refusals[i], 1);
      fixture_script (fixture, replies);
      g_assert_true (delete_many (fixture, keys, &failed, &error));
      g_assert_true (delete_many (fixture, more, &none, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (failed, ==, "b c conflict;");
      g_assert_cmpstr (none, ==, "");
      assert_sent (fixture, 0, "POST", "/bucket", "delete=");
      assert_sent (fixture, 1, "DELETE", "/bucket/a", "");
      assert_sent (fixture, 2, "DELETE", "/bucket/b%20c", "");
      assert_sent (fixture, 3, "DELETE", "/bucket/d", "");
      assert_sent (fixture, 4, "DELETE", "/bucket/e", "");
    }
}

static void
test_get_versioning (void)
{
  static const FakeReply replies[] = {
    { .body = "<VersioningConfiguration " XMLNS "><Status>Enabled</Status>"
              "</VersioningConfiguration>" },
    { .body = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>" },
    { .body = "<VersioningConfiguration/>" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean enabled = i > 0;
      gboolean has_been = i > 1;

      g_assert_true (
          kp_s3_client_get_versioning (fixture->client, &enabled, &has_been, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (enabled, ==, i == 0);
      g_assert_cmpint (has_been, ==, i <= 1);
    }
  assert_sent (fixture, 0, "GET", "/bucket", "versioning=");
}

/* Keys of a listing are bytes; a key that is not UTF-8 no document can hold. */
static void
test_delete_many_not_utf8 (void)
{
  /* Each in memory of its own, so that a sanitizer sees a reader that goes too far. */
  g_autofree char *cut = g_strdup ("caf\xE9");
  g_autofree char *long_cut = g_strdup ("\xF8");
  const char *const keys[] = { cut, long_cut, NULL };
  static const FakeReply replies[] = { { .status = 204 }, { .status = 204 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *failed = NULL;
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_true (delete_many (fixture, keys, &failed, &error));
  g_assert_no_error (error);
  assert_sent (fixture, 0, "DELETE", "/bucket/caf%E9", "");
  assert_sent (fixture, 1, "DELETE", "/bucket/%F8", "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/client/defaults", test_defaults);
  g_test_add_func ("/s3/client/put", test_put);
  g_test_add_func ("/s3/client/put-without-etag", test_put_without_etag);
  g_test_add_func ("/s3/client/stored-otherwise", test_stored_otherwise);
  g_test_add_func ("/s3/client/stored-otherwise-once", test_stored_otherwise_once);
  g_test_add_func ("/s3/client/stored-otherwise-large", test_stored_otherwise_large);
  g_test_add_func ("/s3/client/get", test_get);
  g_test_add_func ("/s3/client/get-refused", test_get_refused);
  g_test_add_func ("/s3/client/get-cut", test_get_cut);
  g_test_add_func ("/s3/client/head", test_head);
  g_test_add_func ("/s3/client/copy", test_copy);
  g_test_add_func ("/s3/client/copy-as-is", test_copy_as_is);
  g_test_add_func ("/s3/client/copy-without-if-match", test_copy_without_if_match);
  g_test_add_func ("/s3/client/copy-refused", test_copy_refused);
  g_test_add_func ("/s3/client/delete", test_delete);
  g_test_add_func ("/s3/client/delete-many", test_delete_many);
  g_test_add_func ("/s3/client/delete-many-one-by-one", test_delete_many_one_by_one);
  g_test_add_func ("/s3/client/delete-many-failures", test_delete_many_failures);
  g_test_add_func ("/s3/client/delete-many-other-document", test_delete_many_other_document);
  g_test_add_func ("/s3/client/delete-many-without-document", test_delete_many_without_document);
  g_test_add_func ("/s3/client/delete-many-stops", test_delete_many_stops);
  g_test_add_func ("/s3/client/delete-many-not-implemented", test_delete_many_not_implemented);
  g_test_add_func ("/s3/client/get-versioning", test_get_versioning);
  g_test_add_func ("/s3/client/delete-many-not-utf8", test_delete_many_not_utf8);
  return g_test_run ();
}

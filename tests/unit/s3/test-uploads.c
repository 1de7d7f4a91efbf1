/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Uploads in parts: what each operation sends, and what it makes of the answer. */

#include "fake-server.h"
#include "kp-error.h"

#include <string.h>

static void
test_create_upload (void)
{
  static const FakeReply replies[] = {
    { .body = FAKE_XML "<InitiateMultipartUploadResult " XMLNS "><Bucket>bucket</Bucket>"
                       "<Key>k</Key><UploadId>VXBs/b+2F==</UploadId>"
                       "</InitiateMultipartUploadResult>" },
    { .body = "<InitiateMultipartUploadResult/>" },
    { .body = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>" },
    { .body = ERROR_XML ("AccessDenied") },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3HeaderList) headers = some_headers ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *id = kp_s3_client_create_upload (fixture->client, "k", headers, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (id, ==, "VXBs/b+2F==");
  assert_sent (fixture, 0, "POST", "/bucket/k", "uploads=");
  assert_sent_header (fixture, 0, "content-length", "0");
  assert_some_headers (fixture, 0);

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GError) other = NULL;
      g_assert_null (kp_s3_client_create_upload (fixture->client, "k", NULL, NULL, &other));
      g_assert_error (other, KP_ERROR, (i < 2 ? KP_ERROR_SERVER : KP_ERROR_ACCESS_DENIED));
    }
}

static void
test_upload_part (void)
{
  static const FakeReply replies[] = { { .headers = "ETag: \"" MD5_A "\"\r\n" },
                                       { .status = 404, .body = ERROR_XML ("NoSuchUpload") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GBytes) body = g_bytes_new_static ("part", 4);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag
      = kp_s3_client_upload_part (fixture->client, "k", "i/d+=", 10000, body, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, MD5_A);
  assert_sent (fixture, 0, "PUT", "/bucket/k", "partNumber=10000&uploadId=i%2Fd%2B%3D");
  assert_sent_body (fixture, 0, "part");

  g_assert_null (
      kp_s3_client_upload_part (fixture->client, "k", "id", 1, body, NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
}

static void
test_copy_part (void)
{
  static const FakeReply replies[] = {
    { .body = FAKE_XML "<CopyPartResult " XMLNS "><ETag>\"" MD5_A "\"</ETag></CopyPartResult>" },
    { .body = ERROR_XML ("InternalError") },
    { .body = "<CopyPartResult><ETag>e</ETag></CopyPartResult>" },
  };
  g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag = kp_s3_client_copy_part (fixture->client, "a b", MD5_B, 5242880, 10485760,
                                                  "k", "id", 7, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, MD5_A);
  assert_sent (fixture, 0, "PUT", "/bucket/k", "partNumber=7&uploadId=id");
  assert_sent_header (fixture, 0, "x-amz-copy-source", "bucket/a%20b");
  assert_sent_header (fixture, 0, "x-amz-copy-source-range", "bytes=5242880-15728639");
  assert_sent_header (fixture, 0, "x-amz-copy-source-if-match", "\"" MD5_B "\"");

  g_autofree char *second
      = kp_s3_client_copy_part (fixture->client, "a", NULL, 0, 1, "k", "id", 1, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (second, ==, "e");
}

/* An object that is too large for CopyObject: parts that lie behind 4 GiB, each pinned to the ETag
 * that was seen, so that no other object's bytes come between. */
static void
test_copy_part_large (void)
{
  static const FakeReply copied = { .body = "<CopyPartResult><ETag>e</ETag></CopyPartResult>" };
  static const FakeReply changed = { .status = 412, .body = ERROR_XML ("PreconditionFailed") };
  const guint64 part = G_GUINT64_CONSTANT (5) << 30;
  static const char *const ranges[]
      = { "bytes=0-5368709119", "bytes=5368709120-10737418239", "bytes=10737418240-10737418240" };
  g_autoptr (Fixture) fixture = fixture_new ("minio", NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++)
    {
      fake_server_script (fixture->server, &copied, 1);
      g_autofree char *etag
          = kp_s3_client_copy_part (fixture->client, "k", "parts-9", i * part, i < 2 ? part : 1,
                                    "k", "id", i + 1, NULL, &error);
      g_assert_no_error (error);
      assert_sent_header (fixture, i, "x-amz-copy-source-range", ranges[i]);
      assert_sent_header (fixture, i, "x-amz-copy-source-if-match", "\"parts-9\"");
    }
  fake_server_script (fixture->server, &changed, 1);
  g_assert_null (kp_s3_client_copy_part (fixture->client, "k", "parts-9", 3 * part, part, "k", "id",
                                         4, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
}

static const char *const part_etags[] = { MD5_A, MD5_B };

/* MD5 of both MD5s, worked out with md5sum. */
static char *
etag_of_parts (void)
{
  static const guchar digests[]
      = { 0x9b, 0x2c, 0xf5, 0x35, 0xf2, 0x77, 0x31, 0xc9, 0x74, 0x34, 0x36,
          0x45, 0xa3, 0x98, 0x53, 0x28, 0x70, 0xee, 0x17, 0x38, 0xb6, 0xb2,
          0x1e, 0x2c, 0x8a, 0x43, 0xf3, 0xa5, 0xab, 0x0e, 0xee, 0x71 };
  g_autofree char *hex = g_compute_checksum_for_data (G_CHECKSUM_MD5, digests, sizeof digests);

  return g_strconcat (hex, "-2", NULL);
}

#define COMPLETED(etag)                                                                            \
  FAKE_XML "  \n  <CompleteMultipartUploadResult " XMLNS "><Location>l</Location>"                 \
           "<ETag>" etag "</ETag></CompleteMultipartUploadResult>"

static void
test_complete_upload (void)
{
  g_autofree char *of_parts = etag_of_parts ();
  g_autofree char *document = g_strdup_printf (COMPLETED ("&quot;%s&quot;"), of_parts);
  const FakeReply replies[] = {
    { .action = FAKE_SEND_CHUNKED, .body = document },
    /* Ceph 16 */
    { .body = COMPLETED ("") },
    /* begun with 200, failed, and done when asked again */
    { .body = ERROR_XML ("InternalError") },
    { .body = document },
    /* cut short */
    { .action = FAKE_SEND_CUT, .body = FAKE_XML "    " },
    { .body = document },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  for (gsize i = 0; i < 4; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *etag = kp_s3_client_complete_upload (fixture->client, "k", "i/d", NULL,
                                                            part_etags, 2, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (etag, ==, of_parts);
    }
  assert_sent (fixture, 0, "POST", "/bucket/k", "uploadId=i%2Fd");
  assert_sent_header (fixture, 0, "content-type", "application/xml");
  assert_sent_body (fixture, 0,
                    "<CompleteMultipartUpload " XMLNS ">"
                    "<Part><PartNumber>1</PartNumber><ETag>&quot;" MD5_A "&quot;</ETag></Part>"
                    "<Part><PartNumber>2</PartNumber><ETag>&quot;" MD5_B "&quot;</ETag></Part>"
                    "</CompleteMultipartUpload>");
}

/* Some servers name another ETag than their listings do: the object itself has the true one. */
static void
test_complete_upload_another_etag (void)
{
  static const struct
  {
    const char *headers; /* of the answer to the upload's end */
    FakeReply head;
    const char *query; /* of the HEAD */
    const char *etag;
  } cases[] = {
    { NULL, { .headers = "ETag: \"listed-9\"\r\nx-amz-meta-mode: 33188\r\n" }, "", "listed-9" },
    { "x-amz-version-id: v/1\r\n",
      { .headers = "ETag: \"listed-9\"\r\nx-amz-meta-mode: 33188\r\n" },
      "versionId=v%2F1",
      "listed-9" },
    /* somebody else's, who came between */
    { NULL, { .headers = "ETag: \"listed-9\"\r\nx-amz-meta-mode: 33152\r\n" }, "", "theirs-2" },
    { NULL, { .headers = "ETag: \"listed-9\"\r\n" }, "", "theirs-2" },
    /* the upload has been put together all the same */
    { NULL, { .status = 404 }, "", "theirs-2" },
    { NULL, { .status = 403 }, "", "theirs-2" },
    { NULL, { .headers = "Content-Length: 7\r\n" }, "", "theirs-2" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply replies[]
          = { { .headers = cases[i].headers, .body = COMPLETED ("&quot;theirs-2&quot;") },
              cases[i].head };
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3HeaderList) headers = some_headers ();
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      fixture_script (fixture, replies);
      g_autofree char *etag = kp_s3_client_complete_upload (fixture->client, "k", "id", headers,
                                                            part_etags, 2, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (etag, ==, cases[i].etag);
      assert_sent (fixture, 1, "HEAD", "/bucket/k", cases[i].query);
    }
}

/* ETags are the server's: neither their length nor their letters can be relied on. */
static void
test_complete_upload_odd_etags (void)
{
  static const char *const odd[] = { "a&b<c>", "0123456789abcdef0123456789abcdeg" };
  static const FakeReply replies[] = { { .body = COMPLETED ("") },
                                       { .headers = "ETag: \"odd\"\r\n" },
                                       { .status = 404, .body = ERROR_XML ("NoSuchUpload") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag
      = kp_s3_client_complete_upload (fixture->client, "k", "id", NULL, odd, 2, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, "odd");
  g_autofree char *body = g_strndup (g_bytes_get_data (sent (fixture, 0)->body, NULL),
                                     g_bytes_get_size (sent (fixture, 0)->body));
  g_assert_nonnull (strstr (body, "&quot;a&amp;b&lt;c&gt;&quot;"));

  /* Without MD5s nothing can be said about the object that is there. */
  g_assert_null (
      kp_s3_client_complete_upload (fixture->client, "k", "id", NULL, odd, 2, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
}

/* The answer to the first attempt was lost; the second finds no upload. */
static void
test_complete_upload_twice (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autofree char *of_parts = etag_of_parts ();
  g_autofree char *header = g_strdup_printf (
      "ETag: \"%s\"\r\nContent-Length: 9999\r\nx-amz-meta-mode: 33188\r\n", of_parts);
  const FakeReply replies[] = {
    { .action = FAKE_CLOSE },
    { .status = 404, .body = ERROR_XML ("NoSuchUpload") },
    { .headers = header },
  };
  g_autoptr (KpS3HeaderList) headers = some_headers ();
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autofree char *etag = kp_s3_client_complete_upload (fixture->client, "k", "id", headers,
                                                        part_etags, 2, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (etag, ==, of_parts);
  assert_sent (fixture, 1, "POST", "/bucket/k", "uploadId=id");
  assert_sent (fixture, 2, "HEAD", "/bucket/k", "");
}

/* And the object is another one: an older one may have the same bytes. */
static void
test_complete_upload_gone (void)
{
  g_autofree char *of_parts = etag_of_parts ();
  g_autofree char *other_mode
      = g_strdup_printf ("ETag: \"%s\"\r\nx-amz-meta-mode: 33152\r\n", of_parts);
  g_autofree char *no_mode = g_strdup_printf ("ETag: \"%s\"\r\n", of_parts);
  const FakeReply heads[] = {
    { .headers = other_mode },
    { .headers = no_mode },
    { .headers = "ETag: \"" MD5_A "\"\r\nContent-Length: 1\r\n" },
    { .headers = "Content-Length: 1\r\n" },
    { .status = 404 },
    { .status = 403 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (heads); i++)
    {
      static const FakeReply no_upload = { .status = 404, .body = ERROR_XML ("NoSuchUpload") };
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3HeaderList) headers = some_headers ();
      g_autoptr (GError) error = NULL;

      fake_server_script (fixture->server, &no_upload, 1);
      fake_server_script (fixture->server, &heads[i], 1);
      g_assert_null (kp_s3_client_complete_upload (fixture->client, "k", "id", headers, part_etags,
                                                   2, NULL, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
    }
}

static void
test_complete_upload_refused (void)
{
  static const struct
  {
    FakeReply reply;
    KpError code;
  } cases[] = {
    { { .body = ERROR_XML ("InternalError") }, KP_ERROR_SERVER },
    { { .body = ERROR_XML ("InvalidPart") }, KP_ERROR_SERVER },
    { { .status = 400, .body = ERROR_XML ("InvalidPart") }, KP_ERROR_REFUSED },
    { { .status = 400, .body = ERROR_XML ("EntityTooSmall") }, KP_ERROR_REFUSED },
    { { .body = "" }, KP_ERROR_SERVER },
    { { .action = FAKE_SEND_CUT, .body = "<CompleteMultipartUploadResult>" }, KP_ERROR_SERVER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (GError) error = NULL;

      kp_s3_client_set_max_attempts (fixture->client, 1);
      fake_server_script (fixture->server, &cases[i].reply, 1);
      g_assert_null (kp_s3_client_complete_upload (fixture->client, "k", "id", NULL, part_etags, 2,
                                                   NULL, &error));
      g_assert_error (error, KP_ERROR, (int) cases[i].code);
    }
}

static void
test_abort_upload (void)
{
  static const FakeReply replies[] = { { .status = 204 },
                                       { .status = 404, .body = ERROR_XML ("NoSuchUpload") },
                                       { .status = 403 } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_true (kp_s3_client_abort_upload (fixture->client, "k", "id", NULL, &error));
  g_assert_true (kp_s3_client_abort_upload (fixture->client, "k", "id", NULL, &error));
  g_assert_no_error (error);
  g_assert_false (kp_s3_client_abort_upload (fixture->client, "k", "id", NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_ACCESS_DENIED);
  assert_sent (fixture, 0, "DELETE", "/bucket/k", "uploadId=id");
}

#define PART(number, size, etag)                                                                   \
  "<Part><PartNumber>" number "</PartNumber><Size>" size "</Size><ETag>\"" etag "\"</ETag></Part>"

static void
test_list_parts (void)
{
  static const FakeReply replies[] = {
    { .body = FAKE_XML "<ListPartsResult " XMLNS "><IsTruncated>true</IsTruncated>"
                       "<PartNumberMarker>0</PartNumberMarker>"
                       "<NextPartNumberMarker>2</NextPartNumberMarker>"
                       "<Initiator><ID>i</ID></Initiator>" PART ("1", "8388608", MD5_A)
                           PART ("2", "8388608", MD5_B) "</ListPartsResult>" },
    { .body = "<ListPartsResult><IsTruncated>false</IsTruncated>" PART (
          "10000", "5497558138880", MD5_A) PART ("3", "8388608", MD5_B) "</ListPartsResult>" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GPtrArray) parts = kp_s3_client_list_parts (fixture->client, "k", "id", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (parts->len, ==, 4);
  const KpS3Part *part = g_ptr_array_index (parts, 1);
  g_assert_cmpuint (part->number, ==, 2);
  g_assert_cmpuint (part->size, ==, 8388608);
  g_assert_cmpstr (part->etag, ==, MD5_B);
  part = g_ptr_array_index (parts, 3);
  g_assert_cmpuint (part->number, ==, 10000);
  g_assert_cmpuint (part->size, ==, 5497558138880);
  assert_sent (fixture, 0, "GET", "/bucket/k", "uploadId=id");
  assert_sent (fixture, 1, "GET", "/bucket/k", "part-number-marker=2&uploadId=id");
}

/* A server that leads us in a circle must not keep us there. */
static void
test_list_parts_refused (void)
{
  static const FakeReply circle[]
      = { { .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                    "<NextPartNumberMarker>1</NextPartNumberMarker>" PART (
                        "1", "5", MD5_A) "</ListPartsResult>" },
          { .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                    "<NextPartNumberMarker>2</NextPartNumberMarker>" PART (
                        "1", "5", MD5_A) "</ListPartsResult>" } };
  static const FakeReply nothing[]
      = { { .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                    "<NextPartNumberMarker>2</NextPartNumberMarker></ListPartsResult>" } };
  static const FakeReply too_many[]
      = { { .body = "<ListPartsResult>" PART ("10001", "5", MD5_A) "</ListPartsResult>" } };
  static const FakeReply wrapped[]
      = { { .body = "<ListPartsResult>" PART ("4294967297", "5", MD5_A) "</ListPartsResult>" } };
  static const FakeReply gone[] = { { .status = 404, .body = ERROR_XML ("NoSuchUpload") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, circle);
  fixture_script (fixture, nothing);
  fixture_script (fixture, too_many);
  fixture_script (fixture, wrapped);
  fixture_script (fixture, gone);
  for (int i = 0; i < 4; i++)
    {
      g_assert_null (kp_s3_client_list_parts (fixture->client, "k", "id", NULL, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CORRUPT);
      g_clear_error (&error);
    }
  g_assert_null (kp_s3_client_list_parts (fixture->client, "k", "id", NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
}

/* As servers have it that keep each part that was sent, once more or not: none of the twins counts,
 * and the pages behind them are read. */
static void
test_list_parts_twice (void)
{
  static const FakeReply replies[]
      = { { .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                    "<NextPartNumberMarker>2</NextPartNumberMarker>" PART ("2", "5", MD5_A)
                        PART ("1", "5", MD5_A) PART ("2", "5", MD5_B) "</ListPartsResult>" },
          { .body = "<ListPartsResult>" PART ("3", "5", MD5_A) PART ("3", "5", MD5_A)
                PART ("3", "5", MD5_B) PART ("4", "5", MD5_B) "</ListPartsResult>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GPtrArray) parts = kp_s3_client_list_parts (fixture->client, "k", "id", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (parts->len, ==, 2);
  g_assert_cmpuint (((KpS3Part *) g_ptr_array_index (parts, 0))->number, ==, 1);
  g_assert_cmpuint (((KpS3Part *) g_ptr_array_index (parts, 1))->number, ==, 4);
  assert_sent (fixture, 1, "GET", "/bucket/k", "part-number-marker=2&uploadId=id");
}

static void
test_list_uploads (void)
{
  static const FakeReply replies[] = {
    { .body
      = FAKE_XML "<ListMultipartUploadsResult " XMLNS "><IsTruncated>true</IsTruncated>"
                 "<NextKeyMarker>p/b c</NextKeyMarker><NextUploadIdMarker>i/2</NextUploadIdMarker>"
                 "<Upload><Key>p/a</Key><UploadId>i1</UploadId><Owner><ID>o</ID></Owner></Upload>"
                 "<Upload><Key>other/a</Key><UploadId>i0</UploadId></Upload>"
                 "<Upload><Key>p/b c</Key><UploadId>i/2</UploadId>"
                 "<Initiated>2026-11-22T20:39:10.000Z</Initiated></Upload>"
                 "<CommonPrefixes><Prefix>p/x/</Prefix></CommonPrefixes>"
                 "</ListMultipartUploadsResult>" },
    { .body = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
              "<Upload><Key>p/b c</Key><UploadId>i3</UploadId></Upload>"
              "</ListMultipartUploadsResult>" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GPtrArray) uploads = kp_s3_client_list_uploads (fixture->client, "p/", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (uploads->len, ==, 3);
  const KpS3Upload *upload = g_ptr_array_index (uploads, 1);
  g_assert_cmpstr (upload->key, ==, "p/b c");
  g_assert_cmpstr (upload->upload_id, ==, "i/2");
  g_assert_cmpint (upload->initiated, ==, 1795379950);
  assert_sent (fixture, 0, "GET", "/bucket", "prefix=p%2F&uploads=");
  assert_sent (fixture, 1, "GET", "/bucket",
               "key-marker=p%2Fb%20c&prefix=p%2F&upload-id-marker=i%2F2&uploads=");
}

#define UPLOADS(key, more)                                                                         \
  "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"                                    \
  "<NextKeyMarker>" key "</NextKeyMarker>" more "</ListMultipartUploadsResult>"
#define UPLOAD "<Upload><Key>p/a</Key><UploadId>i1</UploadId></Upload>"

static void
test_list_uploads_refused (void)
{
  static const FakeReply circle[]
      = { { .body = UPLOADS ("p/a", UPLOAD) }, { .body = UPLOADS ("p/b", UPLOAD) } };
  static const FakeReply nothing[] = { { .body = UPLOADS ("p/a", "") } };
  static const FakeReply nowhere[]
      = { { .body = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>" UPLOAD
                    "</ListMultipartUploadsResult>" } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, circle);
  fixture_script (fixture, nothing);
  fixture_script (fixture, nowhere);
  for (int i = 0; i < 3; i++)
    {
      g_assert_null (kp_s3_client_list_uploads (fixture->client, "p/", NULL, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
      g_clear_error (&error);
    }
}

/* Only a CompleteMultipartUploadResult says that the object is there. */
static void
test_complete_upload_other_document (void)
{
  static const FakeReply replies[] = {
    { .body = "<html><body>Welcome</body></html>" },
    { .body = "<Error><Message>no code</Message></Error>" },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  kp_s3_client_set_max_attempts (fixture->client, 1);
  fixture_script (fixture, replies);
  for (gsize i = 0; i < G_N_ELEMENTS (replies); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_s3_client_complete_upload (fixture->client, "k", "id", NULL, part_etags, 2,
                                                   NULL, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/uploads/create-upload", test_create_upload);
  g_test_add_func ("/s3/uploads/upload-part", test_upload_part);
  g_test_add_func ("/s3/uploads/copy-part", test_copy_part);
  g_test_add_func ("/s3/uploads/copy-part-large", test_copy_part_large);
  g_test_add_func ("/s3/uploads/complete-upload", test_complete_upload);
  g_test_add_func ("/s3/uploads/complete-upload-another-etag", test_complete_upload_another_etag);
  g_test_add_func ("/s3/uploads/complete-upload-odd-etags", test_complete_upload_odd_etags);
  g_test_add_func ("/s3/uploads/complete-upload-twice", test_complete_upload_twice);
  g_test_add_func ("/s3/uploads/complete-upload-gone", test_complete_upload_gone);
  g_test_add_func ("/s3/uploads/complete-upload-refused", test_complete_upload_refused);
  g_test_add_func ("/s3/uploads/abort-upload", test_abort_upload);
  g_test_add_func ("/s3/uploads/list-parts", test_list_parts);
  g_test_add_func ("/s3/uploads/list-parts-refused", test_list_parts_refused);
  g_test_add_func ("/s3/uploads/list-parts-twice", test_list_parts_twice);
  g_test_add_func ("/s3/uploads/list-uploads", test_list_uploads);
  g_test_add_func ("/s3/uploads/list-uploads-refused", test_list_uploads_refused);
  g_test_add_func ("/s3/uploads/complete-upload-other-document",
                   test_complete_upload_other_document);
  return g_test_run ();
}

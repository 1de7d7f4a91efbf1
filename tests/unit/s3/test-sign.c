/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* The examples are those of "Authenticating Requests: Using the Authorization Header", Amazon S3
 * API reference: hash of the canonical request and signature stand there. */

#include "kp-s3-sign.h"

#include <string.h>

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define DATE "20130524T000000Z"
#define HOST "examplebucket.s3.amazonaws.com"
#define BODY "Welcome to Amazon S3."
#define BODY_SHA256 "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

#define MAX_HEADERS 6

typedef struct
{
  const char *method;
  const char *path;
  const char *query;
  KpS3Header headers[MAX_HEADERS];
  const char *payload_sha256;
  const char *signed_headers;
  const char *canonical_sha256; /* NULL where the reference does not say it */
  const char *signature;
} Example;

static const Example get_object = {
  .method = "GET",
  .path = "/test.txt",
  .headers = { { "host", HOST },
               { "range", "bytes=0-9" },
               { "x-amz-content-sha256", KP_S3_SHA256_EMPTY },
               { "x-amz-date", DATE } },
  .payload_sha256 = KP_S3_SHA256_EMPTY,
  .signed_headers = "host;range;x-amz-content-sha256;x-amz-date",
  .canonical_sha256 = "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
  .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
};

static const Example put_object = {
  .method = "PUT",
  .path = "/test%24file.text",
  .headers = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
               { "host", HOST },
               { "x-amz-content-sha256", BODY_SHA256 },
               { "x-amz-date", DATE },
               { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
  .payload_sha256 = BODY_SHA256,
  .signed_headers = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
  .canonical_sha256 = "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
  .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
};

static const Example get_lifecycle = {
  .method = "GET",
  .path = "/",
  .query = "lifecycle=",
  .headers
  = { { "host", HOST }, { "x-amz-content-sha256", KP_S3_SHA256_EMPTY }, { "x-amz-date", DATE } },
  .payload_sha256 = KP_S3_SHA256_EMPTY,
  .signed_headers = "host;x-amz-content-sha256;x-amz-date",
  .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
};

static const Example list_objects = {
  .method = "GET",
  .path = "/",
  .query = "max-keys=2&prefix=J",
  .headers
  = { { "host", HOST }, { "x-amz-content-sha256", KP_S3_SHA256_EMPTY }, { "x-amz-date", DATE } },
  .payload_sha256 = KP_S3_SHA256_EMPTY,
  .signed_headers = "host;x-amz-content-sha256;x-amz-date",
  .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
};

static gsize
count_headers (const Example *example)
{
  gsize n = 0;

  while (n < MAX_HEADERS && example->headers[n].name != NULL)
    n++;
  return n;
}

static char *
sign_example (const Example *example, const KpS3Header *headers)
{
  return kp_s3_sign_authorization (example->method, example->path, example->query, headers,
                                   count_headers (example), example->payload_sha256, DATE,
                                   "us-east-1", ACCESS_KEY, SECRET_KEY);
}

static void
test_example (const void *data)
{
  const Example *example = data;
  g_autofree char *request = kp_s3_sign_canonical_request (
      example->method, example->path, example->query, example->headers, count_headers (example),
      example->payload_sha256);
  g_autofree char *authorization = sign_example (example, example->headers);
  g_autofree char *expected
      = g_strdup_printf ("AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/20130524/us-east-1/s3/"
                         "aws4_request,SignedHeaders=%s,Signature=%s",
                         example->signed_headers, example->signature);

  if (example->canonical_sha256 != NULL)
    {
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, request, -1);
      g_assert_cmpstr (hash, ==, example->canonical_sha256);
    }
  g_assert_cmpstr (authorization, ==, expected);
}

/* Written out, so that a mistake shows where it is. */
static void
test_canonical_request (void)
{
  g_autofree char *request = kp_s3_sign_canonical_request (
      get_object.method, get_object.path, get_object.query, get_object.headers,
      count_headers (&get_object), get_object.payload_sha256);

  g_assert_cmpstr (request, ==,
                   "GET\n"
                   "/test.txt\n"
                   "\n"
                   "host:" HOST "\n"
                   "range:bytes=0-9\n"
                   "x-amz-content-sha256:" KP_S3_SHA256_EMPTY "\n"
                   "x-amz-date:" DATE "\n"
                   "\n"
                   "host;range;x-amz-content-sha256;x-amz-date\n" KP_S3_SHA256_EMPTY);
}

/* The path is signed as it is sent: neither normalised nor encoded again. */
static void
test_path_as_sent (void)
{
  static const char *const paths[] = { "/b/a/../c", "//x", "/b/%2F", "/b/%25", "/b/./" };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autofree char *request = kp_s3_sign_canonical_request (
          "GET", paths[i], "a=%2F", get_object.headers, 1, KP_S3_SHA256_EMPTY);
      g_auto (GStrv) lines = g_strsplit (request, "\n", -1);

      g_assert_cmpstr (lines[1], ==, paths[i]);
      g_assert_cmpstr (lines[2], ==, "a=%2F");
    }
}

static void
test_order_of_headers (void)
{
  KpS3Header shuffled[MAX_HEADERS];
  gsize n = count_headers (&put_object);
  g_autofree char *expected = sign_example (&put_object, put_object.headers);

  memcpy (shuffled, put_object.headers, sizeof shuffled);
  for (int round = 0; round < 200; round++)
    {
      for (gsize i = n - 1; i > 0; i--)
        {
          gsize j = (gsize) g_test_rand_int_range (0, (gint32) i + 1);
          KpS3Header other = shuffled[i];
          shuffled[i] = shuffled[j];
          shuffled[j] = other;
        }
      g_autofree char *authorization = sign_example (&put_object, shuffled);
      g_assert_cmpstr (authorization, ==, expected);
    }
}

static void
test_blanks_in_values (void)
{
  static const struct
  {
    const char *value;
    const char *folded;
  } cases[] = {
    { "", "" },       { "   ", "" },      { "a", "a" },
    { "  a", "a" },   { "a  ", "a" },     { "\t a \t b\t\tc ", "a b c" },
    { "a b", "a b" }, { "a   b", "a b" }, { "\"a   b\"", "\"a b\"" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpS3Header header = { "x-amz-meta-a", cases[i].value };
      g_autofree char *request
          = kp_s3_sign_canonical_request ("GET", "/", NULL, &header, 1, KP_S3_SHA256_EMPTY);
      g_autofree char *expected = g_strdup_printf ("GET\n/\n\nx-amz-meta-a:%s\n\nx-amz-meta-a\n"
                                                   "%s",
                                                   cases[i].folded, KP_S3_SHA256_EMPTY);

      g_assert_cmpstr (request, ==, expected);
    }
}

/* Whatever goes into a signature changes it. */
static void
test_all_counts (void)
{
  static const char *const regular[]
      = { "GET", "/p", "a=1", "host", "v", "payload", DATE, "us-east-1", "secret" };
  static const char *const other[]
      = { "PUT", "/q", "a=2", "hosts", "w", "payloae", "20130524T000001Z", "us-east-2", "secreu" };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (gsize i = 0; i <= G_N_ELEMENTS (regular); i++)
    {
      const char *word[G_N_ELEMENTS (regular)];

      memcpy (word, regular, sizeof word);
      if (i < G_N_ELEMENTS (regular))
        word[i] = other[i];
      KpS3Header header = { word[3], word[4] };
      char *authorization = kp_s3_sign_authorization (word[0], word[1], word[2], &header, 1,
                                                      word[5], word[6], word[7], "key", word[8]);
      char *signature = g_strdup (strstr (authorization, "Signature="));
      g_free (authorization);
      g_assert_cmpuint (strlen (signature), ==, strlen ("Signature=") + 64);
      g_assert_true (g_hash_table_add (seen, signature));
    }
}

/* One key signs all requests of a day in a region. */
static void
test_signing_key (void)
{
  guint8 key[KP_S3_SIGNING_KEY_SIZE];
  guint8 later[KP_S3_SIGNING_KEY_SIZE];
  guint8 next_day[KP_S3_SIGNING_KEY_SIZE];
  guint8 elsewhere[KP_S3_SIGNING_KEY_SIZE];

  kp_s3_sign_derive_key (key, DATE, "us-east-1", SECRET_KEY);
  kp_s3_sign_derive_key (later, "20130524T235959Z", "us-east-1", SECRET_KEY);
  kp_s3_sign_derive_key (next_day, "20130525T000000Z", "us-east-1", SECRET_KEY);
  kp_s3_sign_derive_key (elsewhere, DATE, "us-east-2", SECRET_KEY);
  g_assert_cmpmem (key, sizeof key, later, sizeof later);
  g_assert_true (memcmp (key, next_day, sizeof key) != 0);
  g_assert_true (memcmp (key, elsewhere, sizeof key) != 0);

  g_autofree char *expected = sign_example (&put_object, put_object.headers);
  g_autofree char *authorization = kp_s3_sign_with_key (
      put_object.method, put_object.path, put_object.query, put_object.headers,
      count_headers (&put_object), put_object.payload_sha256, DATE, "us-east-1", ACCESS_KEY, key);
  g_assert_cmpstr (authorization, ==, expected);
}

/* GLib's HMAC is the judge, of keys around a block of SHA-256 (64 bytes with the "AWS4" in front).
 */
static void
test_length_of_secrets (void)
{
  static const gsize lengths[] = { 0, 1, 40, 59, 60, 61, 127, 200 };
  static const char *const texts[] = { "20130524", "us-east-1", "s3", "aws4_request" };

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autofree char *secret = g_strnfill (lengths[i], 'k');
      g_autofree char *seed = g_strconcat ("AWS4", secret, NULL);
      g_autoptr (GBytes) expected = g_bytes_new (seed, strlen (seed));
      guint8 key[KP_S3_SIGNING_KEY_SIZE];

      for (gsize j = 0; j < G_N_ELEMENTS (texts); j++)
        {
          GHmac *hmac = g_hmac_new (G_CHECKSUM_SHA256, g_bytes_get_data (expected, NULL),
                                    g_bytes_get_size (expected));
          guint8 digest[32];
          gsize length = sizeof digest;

          g_hmac_update (hmac, (const guchar *) texts[j], -1);
          g_hmac_get_digest (hmac, digest, &length);
          g_hmac_unref (hmac);
          g_bytes_unref (expected);
          expected = g_bytes_new (digest, length);
        }
      kp_s3_sign_derive_key (key, DATE, "us-east-1", secret);
      g_assert_cmpmem (key, sizeof key, g_bytes_get_data (expected, NULL),
                       g_bytes_get_size (expected));
    }
}

static void
test_date (void)
{
  static const struct
  {
    gint64 seconds;
    const char *date;
  } cases[] = {
    { 0, "19700101T000000Z" },          { 1369353600, DATE },
    { 1582934399, "20200228T235959Z" }, { 1582934400, "20200229T000000Z" },
    { 4102444799, "20991231T235959Z" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *date = kp_s3_sign_date (cases[i].seconds);
      g_assert_cmpstr (date, ==, cases[i].date);
    }
}

/* FIPS 180-2, appendix B, and the message of no bytes. */
static void
test_sha256 (void)
{
  static const struct
  {
    const char *message;
    const char *hex;
  } cases[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
  };
  g_autofree char *million = g_strnfill (1000000, 'a');

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *hex = kp_s3_sha256_hex (cases[i].message, strlen (cases[i].message));
      g_assert_cmpstr (hex, ==, cases[i].hex);
    }
  g_autofree char *hex = kp_s3_sha256_hex (million, 1000000);
  g_assert_cmpstr (hex, ==, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  g_autofree char *none = kp_s3_sha256_hex (NULL, 0);
  g_assert_cmpstr (none, ==, KP_S3_SHA256_EMPTY);
}

/* RFC 1321, appendix A.5; the header has the bytes in Base64. */
static void
test_md5 (void)
{
  static const struct
  {
    const char *message;
    const char *hex;
  } cases[] = {
    { "", "d41d8cd98f00b204e9800998ecf8427e" },
    { "a", "0cc175b9c0f1b6a831c399e269772661" },
    { "abc", "900150983cd24fb0d6963f7d28e17f72" },
    { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
    { "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
    { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
      "d174ab98d277d9f5a5611c2c9f419d9f" },
    { "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
      "57edf4a22be3c955ac49da2e2107b67a" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guchar digest[16];
      for (gsize j = 0; j < sizeof digest; j++)
        digest[j] = (guchar) (g_ascii_xdigit_value (cases[i].hex[2 * j]) << 4
                              | g_ascii_xdigit_value (cases[i].hex[2 * j + 1]));
      g_autofree char *expected = g_base64_encode (digest, sizeof digest);
      g_autofree char *base64 = kp_s3_md5_base64 (cases[i].message, strlen (cases[i].message));

      g_assert_cmpstr (base64, ==, expected);
    }
  /* RFC 1864 says what the header looks like. */
  g_autofree char *example = kp_s3_md5_base64 ("", 0);
  g_assert_cmpstr (example, ==, "1B2M2Y8AsgTpgAmY7PhCfg==");
}

static void
test_uri_encode (void)
{
  static const char unreserved[]
      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

  for (int byte = 1; byte < 256; byte++)
    for (int keep_slash = 0; keep_slash < 2; keep_slash++)
      {
        const char text[] = { 'a', (char) byte, 'b', '\0' };
        gboolean stays = strchr (unreserved, byte) != NULL || (byte == '/' && keep_slash);
        g_autofree char *encoded = kp_s3_uri_encode (text, keep_slash);
        g_autofree char *expected
            = stays ? g_strdup (text) : g_strdup_printf ("a%%%02Xb", (unsigned) byte);

        g_assert_cmpstr (encoded, ==, expected);
      }

  g_autofree char *nothing = kp_s3_uri_encode ("", TRUE);
  g_assert_cmpstr (nothing, ==, "");
  g_autofree char *blank = kp_s3_uri_encode ("a b+c%20/\xC3\xA9", FALSE);
  g_assert_cmpstr (blank, ==, "a%20b%2Bc%2520%2F%C3%A9");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/s3/sign/get-object", &get_object, test_example);
  g_test_add_data_func ("/s3/sign/put-object", &put_object, test_example);
  g_test_add_data_func ("/s3/sign/get-lifecycle", &get_lifecycle, test_example);
  g_test_add_data_func ("/s3/sign/list-objects", &list_objects, test_example);
  g_test_add_func ("/s3/sign/canonical-request", test_canonical_request);
  g_test_add_func ("/s3/sign/path-as-sent", test_path_as_sent);
  g_test_add_func ("/s3/sign/order-of-headers", test_order_of_headers);
  g_test_add_func ("/s3/sign/blanks-in-values", test_blanks_in_values);
  g_test_add_func ("/s3/sign/all-counts", test_all_counts);
  g_test_add_func ("/s3/sign/signing-key", test_signing_key);
  g_test_add_func ("/s3/sign/length-of-secrets", test_length_of_secrets);
  g_test_add_func ("/s3/sign/date", test_date);
  g_test_add_func ("/s3/sign/sha256", test_sha256);
  g_test_add_func ("/s3/sign/md5", test_md5);
  g_test_add_func ("/s3/sign/uri-encode", test_uri_encode);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-sign.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define SHA256_SIZE 32
#define MD5_SIZE 16

#define BLANKS " \t"

/* OpenSSL looks for an algorithm by its name, each time that it is given one which was not fetched:
 * for short texts that takes longer than to make the digest. */
static const EVP_MD *
fetch_once (EVP_MD **md, const char *name)
{
  if (g_once_init_enter (md))
    {
      EVP_MD *fetched = EVP_MD_fetch (NULL, name, NULL);
      if (fetched == NULL)
        g_error ("libcrypto has no %s", name);
      g_once_init_leave (md, fetched);
    }
  return *md;
}

static void
make_sha256 (const void *data, gsize length, guchar digest[SHA256_SIZE])
{
  static EVP_MD *sha256;

  if (!EVP_Digest (data, length, digest, NULL, fetch_once (&sha256, "SHA256"), NULL))
    g_error ("libcrypto cannot make a SHA-256");
}

static void
make_md5 (const void *data, gsize length, guchar digest[MD5_SIZE])
{
  static EVP_MD *md5;

  if (!EVP_Digest (data, length, digest, NULL, fetch_once (&md5, "MD5"), NULL))
    g_error ("libcrypto cannot make an MD5");
}

static char *
make_hex (const guchar *bytes, gsize length)
{
  static const char digits[] = "0123456789abcdef";
  char *hex = g_malloc (2 * length + 1);

  for (gsize i = 0; i < length; i++)
    {
      hex[2 * i] = digits[bytes[i] >> 4];
      hex[2 * i + 1] = digits[bytes[i] & 15];
    }
  hex[2 * length] = '\0';
  return hex;
}

/* OpenSSL would look for HMAC and its digest each time: a context that has found them is made once,
 * and copied. */
static EVP_MAC_CTX *
get_hmac (void)
{
  static EVP_MAC_CTX *context;

  if (g_once_init_enter (&context))
    {
      char digest[] = "SHA256";
      const OSSL_PARAM parameters[]
          = { OSSL_PARAM_construct_utf8_string (OSSL_MAC_PARAM_DIGEST, digest, 0),
              OSSL_PARAM_construct_end () };
      EVP_MAC *mac = EVP_MAC_fetch (NULL, "HMAC", NULL);
      EVP_MAC_CTX *made = mac != NULL ? EVP_MAC_CTX_new (mac) : NULL;
      if (made == NULL || !EVP_MAC_CTX_set_params (made, parameters))
        g_error ("libcrypto has no HMAC-SHA-256");
      EVP_MAC_free (mac);
      g_once_init_leave (&context, made);
    }
  return context;
}

static void
hmac (const guchar *key, gsize key_length, const char *text, guchar out[SHA256_SIZE])
{
  EVP_MAC_CTX *context = EVP_MAC_CTX_dup (get_hmac ());

  if (context == NULL || !EVP_MAC_init (context, key, key_length, NULL)
      || !EVP_MAC_update (context, (const guchar *) text, strlen (text))
      || !EVP_MAC_final (context, out, NULL, SHA256_SIZE))
    g_error ("libcrypto cannot make an HMAC-SHA-256");
  EVP_MAC_CTX_free (context);
}

/**
 * kp_s3_uri_encode:
 * @text: any bytes, ended by NUL
 * @keep_slash: %TRUE for the path, %FALSE for query names and values
 *
 * Every byte except A-Z a-z 0-9 - _ . ~ becomes %XX in upper case. Dots stay, so that the caller
 * must keep libsoup from removing dot segments: see kp_s3_location_build_uri().
 */
char *
kp_s3_uri_encode (const char *text, gboolean keep_slash)
{
  static const char digits[] = "0123456789ABCDEF";
  GString *encoded = g_string_sized_new (strlen (text) + 16);

  for (const guchar *p = (const guchar *) text; *p != '\0'; p++)
    if (g_ascii_isalnum (*p) || *p == '-' || *p == '_' || *p == '.' || *p == '~'
        || (*p == '/' && keep_slash))
      {
        g_string_append_c (encoded, (char) *p);
      }
    else
      {
        g_string_append_c (encoded, '%');
        g_string_append_c (encoded, digits[*p >> 4]);
        g_string_append_c (encoded, digits[*p & 15]);
      }
  return g_string_free (encoded, FALSE);
}

/**
 * kp_s3_sha256_hex:
 * @length: bytes of @data
 *
 * Returns: (transfer full): 64 hexadecimal digits
 */
char *
kp_s3_sha256_hex (const void *data, gsize length)
{
  guchar digest[SHA256_SIZE];

  make_sha256 (data, length, digest);
  return make_hex (digest, sizeof digest);
}

/**
 * kp_s3_md5_base64:
 *
 * Returns: (transfer full): the value of a Content-MD5 header (RFC 1864)
 */
char *
kp_s3_md5_base64 (const void *data, gsize length)
{
  guchar digest[MD5_SIZE];

  make_md5 (data, length, digest);
  return g_base64_encode (digest, sizeof digest);
}

/**
 * kp_s3_md5_hex:
 *
 * Returns: (transfer full): 32 hexadecimal digits in small letters, as an ETag has them
 */
char *
kp_s3_md5_hex (const void *data, gsize length)
{
  guchar digest[MD5_SIZE];

  make_md5 (data, length, digest);
  return make_hex (digest, sizeof digest);
}

/**
 * kp_s3_sign_date:
 *
 * Returns: (transfer full): the value of x-amz-date, "20130524T000000Z"
 */
char *
kp_s3_sign_date (gint64 unix_seconds)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (unix_seconds);
  int year, month, day;

  g_date_time_get_ymd (time, &year, &month, &day);
  return g_strdup_printf ("%04d%02d%02dT%02d%02d%02dZ", year, month, day,
                          g_date_time_get_hour (time), g_date_time_get_minute (time),
                          g_date_time_get_second (time));
}

static int
compare_headers (const void *a, const void *b)
{
  return strcmp (((const KpS3Header *) a)->name, ((const KpS3Header *) b)->name);
}

static KpS3Header *
sort_headers (const KpS3Header *headers, gsize n_headers)
{
  KpS3Header *sorted = g_memdup2 (headers, n_headers * sizeof *headers);

  qsort (sorted, n_headers, sizeof *sorted, compare_headers);
  return sorted;
}

/* Trims the value and folds runs of blanks within it to one. */
static void
append_header_value (GString *text, const char *value)
{
  value += strspn (value, BLANKS);
  while (*value != '\0')
    {
      gsize length = strcspn (value, BLANKS);
      g_string_append_len (text, value, (gssize) length);
      value += length;
      length = strspn (value, BLANKS);
      value += length;
      if (length > 0 && *value != '\0')
        g_string_append_c (text, ' ');
    }
}

static char *
signed_header_names (const KpS3Header *sorted, gsize n_headers)
{
  GString *names = g_string_sized_new (256);

  for (gsize i = 0; i < n_headers; i++)
    {
      if (i > 0)
        g_string_append_c (names, ';');
      g_string_append (names, sorted[i].name);
    }
  return g_string_free (names, FALSE);
}

static char *
canonical_request (const char *method,
                   const char *path,
                   const char *query,
                   const KpS3Header *sorted,
                   gsize n_headers,
                   const char *signed_headers,
                   const char *payload_sha256)
{
  GString *text = g_string_sized_new (1024);

  g_string_append (text, method);
  g_string_append_c (text, '\n');
  g_string_append (text, path);
  g_string_append_c (text, '\n');
  g_string_append (text, query != NULL ? query : "");
  g_string_append_c (text, '\n');
  for (gsize i = 0; i < n_headers; i++)
    {
      g_string_append (text, sorted[i].name);
      g_string_append_c (text, ':');
      append_header_value (text, sorted[i].value);
      g_string_append_c (text, '\n');
    }
  g_string_append_c (text, '\n');
  g_string_append (text, signed_headers);
  g_string_append_c (text, '\n');
  g_string_append (text, payload_sha256);
  return g_string_free (text, FALSE);
}

/**
 * kp_s3_sign_canonical_request:
 * @path: the path exactly as it is sent, encoded
 * @query: (nullable): the query exactly as it is sent: encoded, sorted, "uploads=" without a value
 * @headers: the headers to sign, in any order
 *
 * Returns: (transfer full): the canonical request, for tests and for error reports
 */
char *
kp_s3_sign_canonical_request (const char *method,
                              const char *path,
                              const char *query,
                              const KpS3Header *headers,
                              gsize n_headers,
                              const char *payload_sha256)
{
  g_autofree KpS3Header *sorted = sort_headers (headers, n_headers);
  g_autofree char *names = signed_header_names (sorted, n_headers);

  return canonical_request (method, path, query, sorted, n_headers, names, payload_sha256);
}

/**
 * kp_s3_sign_derive_key:
 * @signing_key: (out): %KP_S3_SIGNING_KEY_SIZE bytes; to be wiped after use
 * @date: the value of x-amz-date; only the day counts
 *
 * Copies of the secret made on the way are wiped.
 */
void
kp_s3_sign_derive_key (guint8 *signing_key,
                       const char *date,
                       const char *region,
                       const char *secret_key)
{
  guchar key[SHA256_SIZE];
  guchar next[SHA256_SIZE];
  char day[9];
  gsize seed_length = strlen (secret_key) + 4;
  g_autofree char *seed = g_strconcat ("AWS4", secret_key, NULL);

  g_strlcpy (day, date, sizeof day);
  hmac ((const guchar *) seed, seed_length, day, key);
  OPENSSL_cleanse (seed, seed_length);
  hmac (key, sizeof key, region, next);
  hmac (next, sizeof next, "s3", key);
  hmac (key, sizeof key, "aws4_request", signing_key);
  OPENSSL_cleanse (key, sizeof key);
  OPENSSL_cleanse (next, sizeof next);
}

/**
 * kp_s3_sign_with_key:
 * @path: the path exactly as it is sent, encoded
 * @query: (nullable): the query exactly as it is sent
 * @headers: the headers to sign, in any order: "host" and every "x-amz-*" among them
 * @payload_sha256: SHA-256 of the body in hexadecimal, also the value of x-amz-content-sha256
 * @date: the value of x-amz-date
 * @signing_key: from kp_s3_sign_derive_key() for the same day and region
 *
 * Returns: (transfer full): the value of the Authorization header
 */
char *
kp_s3_sign_with_key (const char *method,
                     const char *path,
                     const char *query,
                     const KpS3Header *headers,
                     gsize n_headers,
                     const char *payload_sha256,
                     const char *date,
                     const char *region,
                     const char *access_key,
                     const guint8 *signing_key)
{
  guchar signature[SHA256_SIZE];
  char day[9];

  g_strlcpy (day, date, sizeof day);

  g_autofree KpS3Header *sorted = sort_headers (headers, n_headers);
  g_autofree char *names = signed_header_names (sorted, n_headers);
  g_autofree char *request
      = canonical_request (method, path, query, sorted, n_headers, names, payload_sha256);
  g_autofree char *request_hash = kp_s3_sha256_hex (request, strlen (request));
  g_autofree char *scope = g_strconcat (day, "/", region, "/s3/aws4_request", NULL);
  g_autofree char *to_sign
      = g_strconcat ("AWS4-HMAC-SHA256\n", date, "\n", scope, "\n", request_hash, NULL);

  hmac (signing_key, KP_S3_SIGNING_KEY_SIZE, to_sign, signature);
  g_autofree char *signature_hex = make_hex (signature, sizeof signature);
  return g_strconcat ("AWS4-HMAC-SHA256 Credential=", access_key, "/", scope,
                      ",SignedHeaders=", names, ",Signature=", signature_hex, NULL);
}

/**
 * kp_s3_sign_authorization:
 *
 * kp_s3_sign_derive_key() and kp_s3_sign_with_key() in one.
 *
 * Returns: (transfer full): the value of the Authorization header
 */
char *
kp_s3_sign_authorization (const char *method,
                          const char *path,
                          const char *query,
                          const KpS3Header *headers,
                          gsize n_headers,
                          const char *payload_sha256,
                          const char *date,
                          const char *region,
                          const char *access_key,
                          const char *secret_key)
{
  guint8 signing_key[KP_S3_SIGNING_KEY_SIZE];

  kp_s3_sign_derive_key (signing_key, date, region, secret_key);
  char *value = kp_s3_sign_with_key (method, path, query, headers, n_headers, payload_sha256, date,
                                     region, access_key, signing_key);
  OPENSSL_cleanse (signing_key, sizeof signing_key);
  return value;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-s3-location.h"

#include <libsoup/soup.h>
#include <string.h>

static KpS3Location *
locate (const char *address, const char *endpoint, const char *region, const char *provider)
{
  g_autoptr (GError) error = NULL;
  KpS3Location *location = kp_s3_location_new (address, endpoint, region, provider, FALSE, &error);

  g_assert_no_error (error);
  g_assert_nonnull (location);
  return location;
}

static void
assert_refused (const char *address, const char *endpoint, const char *provider, const char *named)
{
  g_autoptr (GError) error = NULL;

  g_test_message ("%s at %s", address, endpoint != NULL ? endpoint : "(none)");
  g_assert_null (kp_s3_location_new (address, endpoint, NULL, provider, FALSE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  /* The message names what was wrong, but repeats no secret. */
  g_assert_nonnull (strstr (error->message, named));
  g_assert_null (strstr (error->message, "hidden"));
}

static char *
build (KpS3Location *location, const char *key, const char *query)
{
  g_autoptr (GUri) uri = kp_s3_location_build_uri (location, key, query);

  return g_uri_to_string (uri);
}

static void
test_addresses (void)
{
  static const struct
  {
    const char *address;
    const char *bucket;
    const char *prefix;
    const char *text; /* as printed */
  } cases[] = {
    { "s3://bucket", "bucket", "", "s3://bucket" },
    { "s3://bucket/", "bucket", "", "s3://bucket" },
    { "s3://bucket///", "bucket", "", "s3://bucket" },
    { "s3://bucket/a", "bucket", "a", "s3://bucket/a" },
    { "s3://bucket/a/", "bucket", "a", "s3://bucket/a" },
    { "s3://bucket/a/b//", "bucket", "a/b", "s3://bucket/a/b" },
    { "s3://bucket/a b+c%20?#&", "bucket", "a b+c%20?#&", "s3://bucket/a b+c%20?#&" },
    { "s3://bucket/...", "bucket", "...", "s3://bucket/..." },
    { "s3://bucket/.a/..b", "bucket", ".a/..b", "s3://bucket/.a/..b" },
    { "s3://a.b-c_D9", "a.b-c_D9", "", "s3://a.b-c_D9" },
    /* a prefix is a name too: bytes that are not UTF-8 are escaped as in every key */
    { "s3://bucket/caf\xE9", "bucket", "caf\xEE\x83\xA9", "s3://bucket/caf\xEE\x83\xA9" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location = locate (cases[i].address, NULL, NULL, NULL);
      g_autofree char *text = kp_s3_location_to_string (location);

      g_assert_cmpstr (kp_s3_location_get_bucket (location), ==, cases[i].bucket);
      g_assert_cmpstr (kp_s3_location_get_prefix (location), ==, cases[i].prefix);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

static void
test_bad_addresses (void)
{
  static const char *const cases[][2] = {
    { "", "“”" },
    { "bucket", "bucket" },
    { "s3:bucket", "s3:bucket" },
    { "S3://bucket", "S3://bucket" },
    { "https://bucket", "https://bucket" },
    { "s3://", "“”" },
    { "s3:///prefix", "“”" },
    { "s3://ab", "“ab”" },
    { "s3://-abc", "“-abc”" },
    { "s3://.abc", "“.abc”" },
    { "s3://a..b", "“a..b”" },
    { "s3://buck et", "“buck et”" },
    { "s3://buck\xC3\xA9t", "buck" },
    { "s3://KEY:hidden@bucket", "leave out what stands before the “@”" },
    { "s3://bucket:80", "“bucket:80”" },
    { "s3://bucket?x", "“bucket?x”" },
    { "s3://1234567890123456789012345678901234567890123456789012345678901234", "“1234567890" },
    { "s3://bucket//a", "s3://bucket//a" },
    { "s3://bucket/a//b", "s3://bucket/a//b" },
    { "s3://bucket/.", "s3://bucket/." },
    { "s3://bucket/..", "s3://bucket/.." },
    { "s3://bucket/a/../b", "s3://bucket/a/../b" },
    { "s3://bucket/./a", "s3://bucket/./a" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_refused (cases[i][0], NULL, NULL, cases[i][1]);
}

static void
test_key (void)
{
  g_autoptr (KpS3Location) whole = locate ("s3://bucket", NULL, NULL, NULL);
  g_autoptr (KpS3Location) below = locate ("s3://bucket/a/b/", NULL, NULL, NULL);
  g_autofree char *whole_root = kp_s3_location_get_key (whole, "");
  g_autofree char *whole_file = kp_s3_location_get_key (whole, "c/d");
  g_autofree char *below_root = kp_s3_location_get_key (below, "");
  g_autofree char *below_file = kp_s3_location_get_key (below, "c/d");

  g_assert_cmpstr (whole_root, ==, "");
  g_assert_cmpstr (whole_file, ==, "c/d");
  g_assert_cmpstr (below_root, ==, "a/b/");
  g_assert_cmpstr (below_file, ==, "a/b/c/d");
}

static void
test_endpoints (void)
{
  static const struct
  {
    const char *endpoint;
    const char *provider;
    const char *region;
    const char *uri; /* of the key "k" in "bucket" */
  } cases[] = {
    { NULL, "aws", "us-east-1", "https://bucket.s3.us-east-1.amazonaws.com/k" },
    { "https://s3.eu-west-1.amazonaws.com", "aws", "eu-west-1",
      "https://bucket.s3.eu-west-1.amazonaws.com/k" },
    { "S3.EU-West-1.AmazonAWS.com", "aws", "eu-west-1",
      "https://bucket.S3.EU-West-1.AmazonAWS.com/k" },
    { "https://s3.amazonaws.com", "aws", "us-east-1", "https://bucket.s3.amazonaws.com/k" },
    { "https://s3.eu-west-1.amazonaws.com:8443", "aws", "us-east-1",
      "https://bucket.s3.eu-west-1.amazonaws.com:8443/k" },
    { "https://s3.dualstack.eu-west-1.amazonaws.com", "aws", "us-east-1",
      "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/k" },
    { "https://nbg1.your-objectstorage.com", "hetzner", "nbg1",
      "https://bucket.nbg1.your-objectstorage.com/k" },
    { "https://s3.sbg.io.cloud.ovh.net", "ovh", "sbg", "https://bucket.s3.sbg.io.cloud.ovh.net/k" },
    { "s3.fr-par.scw.cloud", "scaleway", "fr-par", "https://bucket.s3.fr-par.scw.cloud/k" },
    { "https://s3.us-west-004.backblazeb2.com/", "b2", "us-west-004",
      "https://s3.us-west-004.backblazeb2.com/bucket/k" },
    { "https://storage.example.org", "other", "us-east-1", "https://storage.example.org/bucket/k" },
    { "storage.example.org:9000", "other", "us-east-1",
      "https://storage.example.org:9000/bucket/k" },
    { "https://example.org/s3/", "other", "us-east-1", "https://example.org/s3/bucket/k" },
    { "https://example.org/a%20b/c///", "other", "us-east-1",
      "https://example.org/a%20b/c/bucket/k" },
    { "HTTPS://example.org", "other", "us-east-1", "https://example.org/bucket/k" },
    { "http://127.0.0.1:7480", "other", "us-east-1", "http://127.0.0.1:7480/bucket/k" },
    { "http://127.9.9.9", "other", "us-east-1", "http://127.9.9.9/bucket/k" },
    { "http://[::1]:7480", "other", "us-east-1", "http://[::1]:7480/bucket/k" },
    { "http://localhost:7480", "other", "us-east-1", "http://localhost:7480/bucket/k" },
    { "https://192.0.2.1", "other", "us-east-1", "https://192.0.2.1/bucket/k" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location = locate ("s3://bucket", cases[i].endpoint, NULL, NULL);
      g_autofree char *uri = build (location, "k", NULL);

      g_assert_cmpstr (kp_s3_location_get_provider (location)->id, ==, cases[i].provider);
      g_assert_cmpstr (kp_s3_location_get_region (location), ==, cases[i].region);
      g_assert_cmpstr (uri, ==, cases[i].uri);
    }
}

/* Two jobs must not work on one destination because they write it differently. */
static void
test_identity (void)
{
  static const struct
  {
    const char *address;
    const char *endpoint;
  } same[] = {
    { "s3://bucket/a/b", "https://s3.example.org" },
    { "s3://bucket/a/b/", "s3.example.org" },
    { "s3://bucket/a/b", "HTTPS://S3.Example.ORG/" },
    { "s3://bucket/a/b//", "https://s3.example.org:443///" },
  }, others[] = {
    { "s3://bucket/a", "https://s3.example.org" },
    { "s3://bucket/a/B", "https://s3.example.org" },
    { "s3://Bucket/a/b", "https://s3.example.org" },
    { "s3://bucket/a/b", "https://s3.example.org:8443" },
    { "s3://bucket/a/b", "https://s3.example.org/s3" },
    { "s3://bucket/a/b", "https://s3.example.net" },
  };
  g_autoptr (KpS3Location) first = locate (same[0].address, same[0].endpoint, NULL, NULL);
  g_autofree char *expected = kp_s3_location_get_identity (first);

  for (gsize i = 1; i < G_N_ELEMENTS (same); i++)
    {
      g_autoptr (KpS3Location) location = locate (same[i].address, same[i].endpoint, NULL, NULL);
      g_autofree char *identity = kp_s3_location_get_identity (location);
      g_assert_cmpstr (identity, ==, expected);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_autoptr (KpS3Location) location
          = locate (others[i].address, others[i].endpoint, NULL, NULL);
      g_autofree char *identity = kp_s3_location_get_identity (location);
      g_assert_cmpstr (identity, !=, expected);
    }
}

/* Whoever learns from a notice which region it is, and writes it from then on, keeps what is known
 * of the destination; but only where a bucket of that name cannot be in two regions. */
static void
test_identity_and_region (void)
{
  static const struct
  {
    const char *provider;
    const char *endpoint;
    const char *region;
    const char *identity;
  } cases[] = {
    { NULL, NULL, NULL, "provider aws\n\n\nbucket\na" },
    { NULL, NULL, "eu-central-1", "provider aws\n\n\nbucket\na" },
    { "aws", "https://S3.eu-west-1.amazonaws.com", NULL, "provider aws\n\n\nbucket\na" },
    { "wasabi", NULL, "eu-central-2", "provider wasabi\n\n\nbucket\na" },
    { "b2", "s3.us-west-004.backblazeb2.com", NULL, "provider b2\n\n\nbucket\na" },
    /* the same, but other places for all we know */
    { "aws", "https://s3.eu-west-1.amazonaws.com:8443", NULL,
      "s3.eu-west-1.amazonaws.com\n8443\n\nbucket\na" },
    { "aws", "https://s3.eu-west-1.amazonaws.com/x", NULL,
      "s3.eu-west-1.amazonaws.com\n443\n/x\nbucket\na" },
    { NULL, NULL, "cn-northwest-1", "provider aws-cn\n\n\nbucket\na" },
    { NULL, "https://s3.cn-north-1.amazonaws.com.cn", NULL, "provider aws-cn\n\n\nbucket\na" },
    { "aws", "https://s3.cn-north-1.amazonaws.com.cn", NULL,
      "s3.cn-north-1.amazonaws.com.cn\n443\n\nbucket\na" },
    { "aws", "https://s3.dualstack.eu-west-1.amazonaws.com", NULL,
      "s3.dualstack.eu-west-1.amazonaws.com\n443\n\nbucket\na" },
    { "aws", "https://s3.amazonaws.com", NULL, "s3.amazonaws.com\n443\n\nbucket\na" },
    { "aws", "https://storage.example.org", NULL, "storage.example.org\n443\n\nbucket\na" },
    /* regions that know nothing of each other */
    { "ovh", NULL, "gra", "s3.gra.io.cloud.ovh.net\n443\n\nbucket\na" },
    { "ovh", NULL, "sbg", "s3.sbg.io.cloud.ovh.net\n443\n\nbucket\na" },
    { "gcs", NULL, NULL, "storage.googleapis.com\n443\n\nbucket\na" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location
          = locate ("s3://bucket/a", cases[i].endpoint, cases[i].region, cases[i].provider);
      g_autofree char *identity = kp_s3_location_get_identity (location);
      g_assert_cmpstr (identity, ==, cases[i].identity);
    }

  /* The redirect itself is no move either. */
  g_autoptr (KpS3Location) before = locate ("s3://bucket/a", NULL, NULL, NULL);
  g_autoptr (KpS3Location) after = kp_s3_location_with_region (before, "eu-central-1");
  g_autofree char *identity = kp_s3_location_get_identity (after);
  g_assert_cmpstr (identity, ==, cases[0].identity);
}

/* Keys that are for one must not be sent to another. */
static void
test_server (void)
{
  static const struct
  {
    const char *endpoint;
    const char *region;
    const char *provider;
  } same[] = {
    { "https://s3.eu-central-1.amazonaws.com", NULL, NULL },
    { "S3.EU-Central-1.amazonaws.com:443/", "us-east-1", "other" },
    { NULL, "eu-central-1", NULL },
  }, others[] = {
    { NULL, NULL, NULL },
    { NULL, "eu-west-1", NULL },
    { NULL, "eu-central-1", "wasabi" },
    { "https://s3.eu-central-1.amazonaws.com:8443", NULL, NULL },
    { "https://s3.eu-central-1.amazonaws.com/x", NULL, NULL },
    { "https://s3.eu-central-1.amazonaws.com.example.org", NULL, NULL },
  };
  g_autoptr (KpS3Location) first = locate ("s3://bucket", same[0].endpoint, NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (same); i++)
    {
      g_autoptr (KpS3Location) location
          = locate ("s3://other/a", same[i].endpoint, same[i].region, same[i].provider);
      g_assert_true (kp_s3_location_has_server_of (location, first));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_autoptr (KpS3Location) location
          = locate ("s3://bucket", others[i].endpoint, others[i].region, others[i].provider);
      g_assert_false (kp_s3_location_has_server_of (location, first));
      g_assert_false (kp_s3_location_has_server_of (first, location));
    }

  g_autoptr (KpS3Location) open = locate ("s3://bucket", "http://127.0.0.1:443", NULL, NULL);
  g_autoptr (KpS3Location) encrypted = locate ("s3://bucket", "https://127.0.0.1", NULL, NULL);
  g_assert_false (kp_s3_location_has_server_of (open, encrypted));
}

static void
test_bad_endpoints (void)
{
  static const char *const cases[] = {
    "",
    "https://",
    "http://",
    "https:///",
    "https:///path",
    "ftp://example.org",
    "s3://example.org",
    "https://example.org?x=y",
    "https://example.org/#top",
    "https://user:hidden@example.org",
    "http://user:hidden word@example.org",
    "ftp://:hidden@example.org",
    "user:hidden@example.org",
    "https://example.org:port",
    "https://example.org:99999",
    "https://[::1",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_refused ("s3://bucket", cases[i], NULL, "endpoint");
}

/* It becomes part of the host's name where the endpoint comes from a template, and of a header
 * always. */
static void
test_bad_regions (void)
{
  static const char *const cases[]
      = { "", "x/../", "example.org/", "x@y", "x y", "x\ny", "caf\xC3\xA9", "a\x1B[31m", "x?y#z" };
  static const char *const endpoints[] = { NULL, "https://s3.example.org" };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (endpoints); j++)
      {
        g_autoptr (GError) error = NULL;
        g_assert_null (
            kp_s3_location_new ("s3://bucket", endpoints[j], cases[i], NULL, FALSE, &error));
        g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
        g_assert_nonnull (strstr (error->message, "region"));
        g_assert_null (strchr (error->message, '\x1B'));
        g_assert_null (strchr (error->message, '\n'));
      }
}

/* Everybody on the way could read what goes to another computer without TLS. */
static void
test_plain_http (void)
{
  static const char *const elsewhere[] = {
    "http://s3.example.org",
    "http://192.168.1.10:9000",
    "http://10.0.0.1",
    "http://[2001:db8::1]",
    "http://0.0.0.0",
    "http://localhost.example.org",
    "http://127.0.0.1.example.org",
    "http://example.org/127.0.0.1",
    "HTTP://s3.example.org",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (elsewhere); i++)
    {
      g_autoptr (GError) error = NULL;

      assert_refused ("s3://bucket", elsewhere[i], NULL, "--allow-http");
      g_autoptr (KpS3Location) location
          = kp_s3_location_new ("s3://bucket", elsewhere[i], NULL, NULL, TRUE, &error);
      g_assert_no_error (error);
      g_assert_nonnull (location);
    }

  g_autoptr (KpS3Location) here = locate ("s3://bucket", "http://LOCALHOST:80", NULL, NULL);
  g_autoptr (GUri) uri = kp_s3_location_build_uri (here, "k", NULL);
  g_assert_cmpstr (g_uri_get_scheme (uri), ==, "http");
}

static void
test_providers (void)
{
  g_autoptr (KpS3Location) wasabi = locate ("s3://bucket", NULL, "eu-central-1", "wasabi");
  g_autofree char *wasabi_uri = build (wasabi, "k", NULL);
  g_assert_cmpstr (kp_s3_location_get_endpoint (wasabi), ==,
                   "https://s3.eu-central-1.wasabisys.com");
  g_assert_cmpstr (kp_s3_location_get_region (wasabi), ==, "eu-central-1");
  g_assert_cmpstr (wasabi_uri, ==, "https://bucket.s3.eu-central-1.wasabisys.com/k");

  /* Amazon's regions in China have another domain. */
  g_autoptr (KpS3Location) china = locate ("s3://bucket", NULL, "cn-northwest-1", NULL);
  g_assert_cmpstr (kp_s3_location_get_provider (china)->id, ==, "aws-cn");
  g_assert_cmpstr (kp_s3_location_get_endpoint (china), ==,
                   "https://s3.cn-northwest-1.amazonaws.com.cn");
  g_autoptr (KpS3Location) alibaba = locate ("s3://bucket", NULL, "eu-central-1", "alibaba");
  g_autofree char *alibaba_uri = build (alibaba, "k", NULL);
  g_assert_cmpstr (alibaba_uri, ==, "https://bucket.s3.oss-eu-central-1.aliyuncs.com/k");
  g_autoptr (KpS3Location) tencent
      = locate ("s3://backup-1250000000", "https://cos.ap-tokyo.myqcloud.com", NULL, NULL);
  g_autofree char *tencent_uri = build (tencent, "k", NULL);
  g_assert_cmpstr (tencent_uri, ==, "https://backup-1250000000.cos.ap-tokyo.myqcloud.com/k");
  g_assert_cmpstr (kp_s3_location_get_region (tencent), ==, "ap-tokyo");

  /* A template without a region. */
  g_autoptr (KpS3Location) gcs = locate ("s3://bucket", NULL, NULL, "gcs");
  g_assert_cmpstr (kp_s3_location_get_endpoint (gcs), ==, "https://storage.googleapis.com");
  g_assert_cmpstr (kp_s3_location_get_region (gcs), ==, "auto");

  /* A profile that was asked for counts more than the host. */
  g_autoptr (KpS3Location) minio
      = locate ("s3://bucket", "https://s3.amazonaws.com", NULL, "minio");
  g_autofree char *minio_uri = build (minio, "k", NULL);
  g_assert_cmpstr (kp_s3_location_get_provider (minio)->id, ==, "minio");
  g_assert_cmpstr (minio_uri, ==, "https://s3.amazonaws.com/bucket/k");

  assert_refused ("s3://bucket", NULL, "nobody", "“nobody”");
  assert_refused ("s3://bucket", NULL, "minio", "--endpoint-url");
  assert_refused ("s3://bucket", NULL, "r2", "--endpoint-url");
  assert_refused ("s3://bucket", NULL, "other", "--endpoint-url");
}

/* With a dot in the bucket's name no wildcard certificate matches; with what no host name can have
 * there is no such host. An IP address has no names below it. */
static void
test_virtual_style (void)
{
  static const struct
  {
    const char *bucket;
    const char *endpoint;
    const char *provider;
    const char *uri; /* of "k" */
    const char *bucket_uri;
  } cases[] = {
    { "my-bucket1", "https://s3.amazonaws.com", NULL, "https://my-bucket1.s3.amazonaws.com/k",
      "https://my-bucket1.s3.amazonaws.com/" },
    { "my.bucket", "https://s3.amazonaws.com", NULL, "https://s3.amazonaws.com/my.bucket/k",
      "https://s3.amazonaws.com/my.bucket" },
    { "My_Bucket", "https://s3.amazonaws.com", NULL, "https://s3.amazonaws.com/My_Bucket/k",
      "https://s3.amazonaws.com/My_Bucket" },
    { "bucket", "http://127.0.0.1:9000", "aws", "http://127.0.0.1:9000/bucket/k",
      "http://127.0.0.1:9000/bucket" },
    { "bucket", "http://[::1]:9000", "aws", "http://[::1]:9000/bucket/k",
      "http://[::1]:9000/bucket" },
    { "bucket", "https://example.org/base", "aws", "https://bucket.example.org/base/k",
      "https://bucket.example.org/base/" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *address = g_strconcat ("s3://", cases[i].bucket, NULL);
      g_autoptr (KpS3Location) location
          = locate (address, cases[i].endpoint, NULL, cases[i].provider);
      g_autofree char *uri = build (location, "k", NULL);
      g_autofree char *bucket_uri = build (location, NULL, NULL);
      g_autofree char *with_query = build (location, NULL, "uploads=&x=%2F");
      g_autofree char *expected = g_strconcat (cases[i].bucket_uri, "?uploads=&x=%2F", NULL);

      g_assert_cmpstr (uri, ==, cases[i].uri);
      g_assert_cmpstr (bucket_uri, ==, cases[i].bucket_uri);
      g_assert_cmpstr (with_query, ==, expected);
    }
}

static void
test_with_region (void)
{
  g_autoptr (KpS3Location) from_template = locate ("s3://bucket/p", NULL, "us-east-1", NULL);
  g_autoptr (KpS3Location) moved = kp_s3_location_with_region (from_template, "eu-north-1");
  g_autofree char *uri = build (moved, "p/k", NULL);
  g_autofree char *text = kp_s3_location_to_string (moved);

  g_assert_cmpstr (kp_s3_location_get_region (moved), ==, "eu-north-1");
  g_assert_cmpstr (kp_s3_location_get_endpoint (moved), ==, "https://s3.eu-north-1.amazonaws.com");
  g_assert_cmpstr (uri, ==, "https://bucket.s3.eu-north-1.amazonaws.com/p/k");
  g_assert_cmpstr (text, ==, "s3://bucket/p");
  /* The one it was made from is what it was. */
  g_assert_cmpstr (kp_s3_location_get_region (from_template), ==, "us-east-1");

  /* Whoever writes what is in the provider's documentation has said no more than a region. */
  g_autoptr (KpS3Location) own
      = locate ("s3://bucket", "https://s3.us-east-1.amazonaws.com/", NULL, NULL);
  g_autoptr (KpS3Location) own_moved = kp_s3_location_with_region (own, "eu-north-1");
  g_autofree char *own_uri = build (own_moved, "k", NULL);
  g_assert_cmpstr (own_uri, ==, "https://bucket.s3.eu-north-1.amazonaws.com/k");
  g_assert_true (kp_s3_location_was_written (own));
  g_assert_false (kp_s3_location_was_written (from_template));

  /* That says nothing else only as long as no server does. */
  g_autoptr (KpS3Location) both
      = locate ("s3://bucket", "https://s3.us-east-1.amazonaws.com", "eu-north-1", NULL);
  g_autoptr (KpS3Location) deeper = kp_s3_location_with_prefix (both, "p");
  g_assert_cmpstr (kp_s3_location_get_region (deeper), ==, "eu-north-1");
  g_assert_true (kp_s3_location_has_server_of (deeper, own));
  g_autoptr (KpS3Location) both_moved = kp_s3_location_with_region (both, "eu-north-1");
  g_assert_true (kp_s3_location_has_server_of (both_moved, own_moved));

  /* Where the user said another endpoint, it stays. */
  g_autoptr (KpS3Location) given = locate ("s3://bucket", "http://127.0.0.1:7480/base", "a", NULL);
  g_autoptr (KpS3Location) given_moved = kp_s3_location_with_region (given, "b");
  g_autofree char *given_uri = build (given_moved, "k", NULL);
  g_assert_cmpstr (kp_s3_location_get_region (given_moved), ==, "b");
  g_assert_cmpstr (kp_s3_location_get_provider (given_moved)->id, ==, "other");
  g_assert_cmpstr (given_uri, ==, "http://127.0.0.1:7480/base/bucket/k");
}

/* Where a region that nobody has said is no more than a guess. */
static void
test_guessed_region (void)
{
  static const struct
  {
    const char *endpoint;
    const char *region;
    const char *provider;
    gboolean guesses;
  } cases[] = {
    { "https://s3.example.org", NULL, NULL, TRUE },
    { "http://127.0.0.1:9000", NULL, "minio", TRUE },
    { "https://s3.example.org", "here-1", NULL, FALSE },
    { NULL, NULL, NULL, FALSE },
    { NULL, NULL, "gcs", FALSE },
    { "https://s3.eu-west-1.amazonaws.com", NULL, NULL, FALSE },
    { "https://s3.amazonaws.com", NULL, NULL, FALSE },
    { "https://storage.googleapis.com", NULL, NULL, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Location) location
          = locate ("s3://bucket", cases[i].endpoint, cases[i].region, cases[i].provider);
      g_autoptr (KpS3Location) deeper = kp_s3_location_with_prefix (location, "p");
      g_autoptr (KpS3Location) moved = kp_s3_location_with_region (location, "there-1");

      g_test_message ("%s", cases[i].endpoint != NULL ? cases[i].endpoint : "(none)");
      g_assert_cmpint (kp_s3_location_guesses_region (location), ==, cases[i].guesses);
      g_assert_cmpint (kp_s3_location_guesses_region (deeper), ==, cases[i].guesses);
      g_assert_false (kp_s3_location_guesses_region (moved));
    }
}

/* The path that libsoup is going to send. */
static char *
path_in_message (KpS3Location *location, const char *key, const char *query)
{
  g_autoptr (GUri) uri = kp_s3_location_build_uri (location, key, query);
  g_autoptr (SoupMessage) message = soup_message_new_from_uri ("GET", uri);

  g_assert_cmpstr (g_uri_get_path (soup_message_get_uri (message)), ==, g_uri_get_path (uri));
  g_assert_cmpstr (g_uri_get_query (soup_message_get_uri (message)), ==, query);
  return g_strdup (g_uri_get_path (soup_message_get_uri (message)));
}

/* Whatever the key is, its object is asked for, and nothing outside of the bucket. */
static void
test_paths_verbatim (void)
{
  static const struct
  {
    const char *key;
    const char *path; /* below the bucket */
  } cases[] = {
    { "", "" },
    { "a", "a" },
    { "a/", "a/" },
    { "a//b", "a//b" },
    { "/", "/" },
    { "//x", "//x" },
    { ".", "." },
    { "..", ".." },
    { "./a", "./a" },
    { "a/./b", "a/./b" },
    { "a/../b", "a/../b" },
    { "../../other-bucket/k", "../../other-bucket/k" },
    { "a/..", "a/.." },
    { "a/../", "a/../" },
    { "a/.../b", "a/.../b" },
    { "%2F", "%252F" },
    { "%2E%2E/x", "%252E%252E/x" },
    { "100%", "100%25" },
    { "a b+c", "a%20b%2Bc" },
    { "?a=b&c#d;e", "%3Fa%3Db%26c%23d%3Be" },
    { "a\\b:c@d", "a%5Cb%3Ac%40d" },
    { "http://x/", "http%3A//x/" },
    { "[x]{y}|^`\"<>", "%5Bx%5D%7By%7D%7C%5E%60%22%3C%3E" },
    { "~-_.", "~-_." },
    { "\x01\n\r\t\x7F", "%01%0A%0D%09%7F" },
    { "\xC3\xA9\xF0\x9F\x98\x80", "%C3%A9%F0%9F%98%80" },
  };
  g_autoptr (KpS3Location) path_style = locate ("s3://bucket", "http://127.0.0.1:9", NULL, NULL);
  g_autoptr (KpS3Location) virtual_style = locate ("s3://bucket", NULL, NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *sent = path_in_message (path_style, cases[i].key, NULL);
      g_autofree char *sent_virtual = path_in_message (virtual_style, cases[i].key, "a=%2F..%2F");
      g_autofree char *expected = g_strconcat ("/bucket/", cases[i].path, NULL);

      g_test_message ("%s", cases[i].path);
      g_assert_cmpstr (sent, ==, expected);
      g_assert_cmpstr (sent_virtual, ==, expected + strlen ("/bucket"));
    }
}

/* Each character up to U+00FF, as first, middle and last one of a key. */
static void
test_all_characters (void)
{
  g_autoptr (KpS3Location) location = locate ("s3://bucket", "http://127.0.0.1:9", NULL, NULL);

  for (gunichar c = 1; c < 256; c++)
    {
      char utf8[7] = "";
      g_unichar_to_utf8 (c, utf8);
      g_autofree char *key = g_strconcat (utf8, "a/", utf8, "/b", utf8, NULL);
      g_autofree char *sent = path_in_message (location, key, NULL);
      g_autofree char *decoded = g_uri_unescape_string (sent, NULL);
      g_autofree char *expected = g_strconcat ("/bucket/", key, NULL);

      g_assert_cmpstr (decoded, ==, expected);
      for (const char *p = sent; *p != '\0'; p++)
        if (!g_ascii_isalnum (*p) && strchr ("-_.~/%", *p) == NULL)
          g_error ("U+%04X is sent as “%s”", c, sent);
    }
}

static void
test_boxed (void)
{
  g_autoptr (KpS3Location) location = locate ("s3://bucket", NULL, NULL, NULL);
  KpS3Location *copy = g_boxed_copy (KP_TYPE_S3_LOCATION, location);

  g_assert_true (copy == location);
  g_boxed_free (KP_TYPE_S3_LOCATION, copy);
  g_assert_cmpstr (kp_s3_location_get_bucket (location), ==, "bucket");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/location/addresses", test_addresses);
  g_test_add_func ("/s3/location/bad-addresses", test_bad_addresses);
  g_test_add_func ("/s3/location/key", test_key);
  g_test_add_func ("/s3/location/endpoints", test_endpoints);
  g_test_add_func ("/s3/location/bad-endpoints", test_bad_endpoints);
  g_test_add_func ("/s3/location/identity", test_identity);
  g_test_add_func ("/s3/location/identity-and-region", test_identity_and_region);
  g_test_add_func ("/s3/location/server", test_server);
  g_test_add_func ("/s3/location/bad-regions", test_bad_regions);
  g_test_add_func ("/s3/location/plain-http", test_plain_http);
  g_test_add_func ("/s3/location/providers", test_providers);
  g_test_add_func ("/s3/location/virtual-style", test_virtual_style);
  g_test_add_func ("/s3/location/with-region", test_with_region);
  g_test_add_func ("/s3/location/guessed-region", test_guessed_region);
  g_test_add_func ("/s3/location/paths-verbatim", test_paths_verbatim);
  g_test_add_func ("/s3/location/all-characters", test_all_characters);
  g_test_add_func ("/s3/location/boxed", test_boxed);
  return g_test_run ();
}

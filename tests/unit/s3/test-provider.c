/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-provider.h"

#include <string.h>

#define MEBIBYTE (1024 * 1024)
#define GIBIBYTE (1024 * G_GUINT64_CONSTANT (1048576))

/* A template has an address to fill in and nothing but the two words that we know. */
static void
check_endpoint (const KpS3Provider *provider)
{
  g_auto (GStrv) by_region = g_strsplit (provider->endpoint, "{region}", -1);
  g_autofree char *one_filled = g_strjoinv ("r", by_region);
  g_auto (GStrv) by_account = g_strsplit (one_filled, "{account}", -1);
  g_autofree char *filled = g_strjoinv ("a", by_account);

  if (*provider->endpoint == '\0')
    return;
  g_assert_true (g_str_has_prefix (filled, "https://"));
  g_assert_null (strpbrk (filled, "{}"));
  g_autoptr (GUri) uri = g_uri_parse (filled, G_URI_FLAGS_NONE, NULL);
  g_assert_nonnull (uri);
  g_assert_cmpstr (g_uri_get_path (uri), ==, "");
  /* What we fill in is recognised again. */
  g_assert_true (kp_s3_provider_for_host (g_uri_get_host (uri)) == provider);
}

static void
check_words (const char *const *words)
{
  for (; *words != NULL; words++)
    {
      g_assert_cmpstr (*words, !=, "");
      g_assert_null (strpbrk (*words, " \t\"',"));
    }
}

static void
test_profiles (void)
{
  const KpS3Provider *const *providers = kp_s3_provider_list ();
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = 0;

  g_assert_cmpstr (providers[0]->id, ==, "other");
  for (; providers[n] != NULL; n++)
    {
      const KpS3Provider *provider = providers[n];

      g_test_message ("%s", provider->id);
      g_assert_true (g_hash_table_add (ids, (char *) provider->id));
      g_assert_true (g_hash_table_add (names, (char *) provider->name));
      g_assert_cmpstr (provider->name, !=, "");
      g_assert_true (g_utf8_validate (provider->name, -1, NULL));
      g_assert_nonnull (provider->regions[0]);
      check_words (provider->regions);
      check_words (provider->hosts);
      check_endpoint (provider);
      g_assert_true (provider->list_version == 1 || provider->list_version == 2);
      /* S3 knows no more than 10,000 parts of 5 MiB to 5 GiB, and copies up to 5 GiB. Where no
       * parts are copied, the limit is that of an object. */
      g_assert_cmpuint (provider->max_parts, >, 0);
      g_assert_cmpuint (provider->max_parts, <=, 10000);
      g_assert_cmpuint (provider->min_part, >=, 5 * MEBIBYTE);
      g_assert_cmpuint (provider->min_part, <=, provider->max_copy);
      g_assert_cmpuint (provider->max_copy, <=,
                        (provider->part_copy == KP_S3_SUPPORT_NO ? 5 * 1024 : 5) * GIBIBYTE);
      g_assert_nonnull (provider->note);
      if (provider->always_versioned)
        g_assert_cmpint (provider->versioning, ==, KP_S3_SUPPORT_YES);
      g_assert_true (kp_s3_provider_find (provider->id) == provider);
    }
  g_assert_cmpuint (n, >=, 10);
  g_assert_true (kp_s3_provider_list () == providers);
}

/* What the file says in so many words comes out. */
static void
test_fields (void)
{
  const KpS3Provider *other = kp_s3_provider_find ("other");
  const KpS3Provider *aws = kp_s3_provider_find ("aws");
  const KpS3Provider *b2 = kp_s3_provider_find ("b2");
  const KpS3Provider *gcs = kp_s3_provider_find ("gcs");
  const KpS3Provider *seaweedfs = kp_s3_provider_find ("seaweedfs");

  g_assert_cmpstr (other->endpoint, ==, "");
  g_assert_null (other->hosts[0]);
  g_assert_false (other->virtual_style);
  g_assert_cmpint (other->part_copy, ==, KP_S3_SUPPORT_TRY);
  g_assert_false (other->md5_etag);

  g_assert_cmpstr (aws->name, ==, "Amazon S3");
  g_assert_cmpstr (aws->regions[0], ==, "us-east-1");
  g_assert_true (aws->virtual_style);
  g_assert_cmpuint (aws->list_version, ==, 2);
  g_assert_true (aws->url_encoding);
  g_assert_cmpint (aws->part_copy, ==, KP_S3_SUPPORT_YES);
  g_assert_true (aws->copy_if_match);
  g_assert_cmpuint (aws->max_parts, ==, 10000);
  g_assert_cmpuint (aws->min_part, ==, 5 * MEBIBYTE);
  g_assert_cmpuint (aws->max_copy, ==, 5 * GIBIBYTE);
  g_assert_true (aws->md5_etag);
  g_assert_false (aws->always_versioned);

  g_assert_true (b2->always_versioned);
  g_assert_cmpstr (b2->note, !=, "");
  g_assert_cmpint (gcs->part_copy, ==, KP_S3_SUPPORT_NO);
  g_assert_cmpuint (gcs->max_copy, >, 5 * GIBIBYTE);
  g_assert_true (kp_s3_provider_find ("r2")->equal_parts);
  g_assert_false (aws->equal_parts);
  g_assert_cmpuint (seaweedfs->list_version, ==, 1);
  g_assert_false (seaweedfs->url_encoding);
  g_assert_false (seaweedfs->ordered);
  g_assert_true (aws->ordered);
  g_assert_cmpuint (kp_s3_provider_find ("scaleway")->max_parts, ==, 1000);
  g_assert_cmpint (kp_s3_provider_find ("r2")->versioning, ==, KP_S3_SUPPORT_NO);

  const KpS3Provider *alibaba = kp_s3_provider_find ("alibaba");
  g_assert_true (alibaba->virtual_style);
  g_assert_true (alibaba->quiet_delete_is_empty);
  g_assert_false (aws->quiet_delete_is_empty);
  g_assert_cmpuint (alibaba->max_copy, ==, GIBIBYTE);
  g_assert_true (kp_s3_provider_find ("tencent")->virtual_style);
  g_assert_cmpuint (kp_s3_provider_find ("tencent")->list_version, ==, 1);

  g_assert_null (kp_s3_provider_find ("AWS"));
  g_assert_null (kp_s3_provider_find (""));
  g_assert_null (kp_s3_provider_find ("nobody"));
}

static void
test_hosts (void)
{
  static const struct
  {
    const char *host;
    const char *id;
  } cases[] = {
    { "s3.amazonaws.com", "aws" },
    { "s3.eu-central-1.amazonaws.com", "aws" },
    { "S3.EU-Central-1.AmazonAWS.com", "aws" },
    { "s3.dualstack.us-west-2.amazonaws.com", "aws" },
    { "s3-fips.us-gov-west-1.amazonaws.com", "aws" },
    { "s3.cn-north-1.amazonaws.com.cn", "aws-cn" },
    { "s3.oss-cn-hangzhou.aliyuncs.com", "alibaba" },
    { "oss-eu-central-1.aliyuncs.com", "alibaba" },
    { "cos.ap-guangzhou.myqcloud.com", "tencent" },
    { "s3.us-west-004.backblazeb2.com", "b2" },
    { "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", "r2" },
    { "0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com", "r2" },
    { "s3.wasabisys.com", "wasabi" },
    { "s3.eu-central-2.wasabisys.com", "wasabi" },
    { "fra1.digitaloceanspaces.com", "digitalocean" },
    { "storage.googleapis.com", "gcs" },
    { "fsn1.your-objectstorage.com", "hetzner" },
    { "s3.fr-par.scw.cloud", "scaleway" },
    { "s3.gra.io.cloud.ovh.net", "ovh" },
    { "s3.gra.cloud.ovh.net", "ovh" },
    { "s3.us-east-va.io.cloud.ovh.us", "ovh" },

    { "localhost", "other" },
    { "127.0.0.1", "other" },
    { "::1", "other" },
    { "minio.example.org", "other" },
    { "amazonaws.com", "other" },
    { "notamazonaws.com", "other" },
    { "s3.amazonaws.com.example.org", "other" },
    { "s3.amazonaws.example.org", "other" },
    { "googleapis.com", "other" },
    { "wasabisys.com.", "other" },
    { "*", "other" },
    { "", "other" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("%s", cases[i].host);
      g_assert_cmpstr (kp_s3_provider_for_host (cases[i].host)->id, ==, cases[i].id);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/provider/profiles", test_profiles);
  g_test_add_func ("/s3/provider/fields", test_fields);
  g_test_add_func ("/s3/provider/hosts", test_hosts);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-s3-service.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define MINUTE 60

typedef struct
{
  KpS3Service *service;
  KpThrottle *upload;
  KpThrottle *download;
  guint n_notices; /* atomic */
  char *notice;    /* the last */
} Fixture;

static void
notice_cb (const char *sentence, void *user_data)
{
  Fixture *fixture = user_data;

  g_assert_true (g_utf8_validate (sentence, -1, NULL));
  g_atomic_int_inc (&fixture->n_notices);
  g_free (fixture->notice);
  fixture->notice = g_strdup (sentence);
}

/* Nothing is ever sent: a service opens no connection. */
static KpS3Service *
new_service (Fixture *fixture, const char *endpoint, const char *ca_bundle, GError **error)
{
  g_autoptr (KpS3Location) location
      = kp_s3_location_new ("s3://bucket/p", endpoint, NULL, NULL, FALSE, NULL);
  g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_new ("A", "S", NULL);

  return kp_s3_service_new (location, credentials, ca_bundle, fixture->upload, fixture->download,
                            error);
}

static void
set_up (Fixture *fixture, const void *endpoint)
{
  g_autoptr (GError) error = NULL;

  fixture->upload = kp_throttle_new (0);
  fixture->download = kp_throttle_new (0);
  fixture->service = new_service (fixture, endpoint, NULL, &error);
  g_assert_no_error (error);
  kp_s3_service_set_notice_func (fixture->service, notice_cb, fixture);
}

static void
tear_down (Fixture *fixture, const void *endpoint)
{
  g_assert_finalize_object (fixture->service);
  g_assert_finalize_object (fixture->upload);
  g_assert_finalize_object (fixture->download);
  g_free (fixture->notice);
}

static void
test_new (Fixture *fixture, const void *endpoint)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (fixture->service);

  g_assert_cmpstr (kp_s3_location_get_endpoint (location), ==, endpoint);
  g_assert_cmpstr (
      kp_s3_credentials_get_access_key (kp_s3_service_get_credentials (fixture->service)), ==, "A");
  g_assert_null (kp_s3_service_get_tls_database (fixture->service));
  g_assert_true (kp_s3_service_get_upload_throttle (fixture->service) == fixture->upload);
  g_assert_true (kp_s3_service_get_download_throttle (fixture->service) == fixture->download);
  g_assert_cmpuint (kp_s3_service_get_list_version (fixture->service), ==, 2);
  kp_s3_service_fall_back_to_list_v1 (fixture->service);
  g_assert_cmpuint (kp_s3_service_get_list_version (fixture->service), ==, 1);

  /* Never for ever. */
  g_assert_cmpuint (kp_s3_service_get_timeout (fixture->service), >, 0);
  kp_s3_service_set_timeout (fixture->service, 7);
  g_assert_cmpuint (kp_s3_service_get_timeout (fixture->service), ==, 7);
}

static void
test_ca_bundle (Fixture *fixture, const void *endpoint)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("keepsake-test-XXXXXX.pem", &path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (write (fd, "no certificate\n", 15), ==, 15);
  close (fd);
  g_autofree char *missing = g_strconcat (path, "-missing", NULL);
  const char *const bundles[] = { path, missing };

  for (gsize i = 0; i < G_N_ELEMENTS (bundles); i++)
    {
      g_assert_null (new_service (fixture, endpoint, bundles[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, bundles[i]));
      g_clear_error (&error);
    }
  g_assert_cmpint (g_unlink (path), ==, 0);
}

static gint64
offset_of_now (Fixture *fixture)
{
  return kp_s3_service_get_now (fixture->service) - g_get_real_time () / G_USEC_PER_SEC;
}

static void
test_time (Fixture *fixture, const void *endpoint)
{
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;

  g_assert_cmpint (ABS (offset_of_now (fixture)), <=, 1);
  /* A small difference is no news. */
  kp_s3_service_learn_time (fixture->service, now + 30);
  g_assert_cmpint (ABS (offset_of_now (fixture) - 30), <=, 2);
  g_assert_cmpuint (fixture->n_notices, ==, 0);
  kp_s3_service_learn_time (fixture->service, now + 20 * MINUTE);
  g_assert_cmpint (ABS (offset_of_now (fixture) - 20 * MINUTE), <=, 2);
  g_assert_cmpuint (fixture->n_notices, ==, 1);
  /* The other threads that were refused learn the same. */
  kp_s3_service_learn_time (fixture->service, now + 20 * MINUTE + 1);
  g_assert_cmpuint (fixture->n_notices, ==, 1);
  kp_s3_service_learn_time (fixture->service, now - 20 * MINUTE);
  g_assert_cmpint (ABS (offset_of_now (fixture) + 20 * MINUTE), <=, 2);
  g_assert_cmpuint (fixture->n_notices, ==, 2);
}

static void
test_region (Fixture *fixture, const void *endpoint)
{
  g_autoptr (KpS3Location) before = kp_s3_service_ref_location (fixture->service);

  g_assert_cmpstr (kp_s3_location_get_region (before), ==, "us-east-1");
  /* It was signed for that region already: once more would change nothing. */
  g_assert_false (kp_s3_service_learn_region (fixture->service, before, "us-east-1"));
  g_assert_cmpuint (fixture->n_notices, ==, 0);

  g_assert_true (kp_s3_service_learn_region (fixture->service, before, "eu-north-1"));
  g_autoptr (KpS3Location) after = kp_s3_service_ref_location (fixture->service);
  g_assert_cmpstr (kp_s3_location_get_region (after), ==, "eu-north-1");
  g_assert_cmpstr (kp_s3_location_get_prefix (after), ==, "p");
  g_assert_cmpuint (fixture->n_notices, ==, 1);

  /* Another thread was refused at the same time: it has to send again, but that is no news. */
  g_assert_true (kp_s3_service_learn_region (fixture->service, before, "eu-north-1"));
  g_assert_cmpuint (fixture->n_notices, ==, 1);
  g_assert_false (kp_s3_service_learn_region (fixture->service, after, "eu-north-1"));
}

/* Where the address that was written is the provider's for another region, what has to be written
 * is another address: with a region alone, the request would go to the same server. */
static void
test_region_of_endpoint (Fixture *fixture, const void *endpoint)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Location) before = kp_s3_service_ref_location (fixture->service);

  g_assert_true (kp_s3_service_learn_region (fixture->service, before, "eu-north-1"));
  g_autoptr (KpS3Location) after = kp_s3_service_ref_location (fixture->service);
  g_assert_cmpstr (kp_s3_location_get_endpoint (after), ==, "https://s3.eu-north-1.amazonaws.com");
  g_assert_cmpstr (fixture->notice, ==,
                   "The bucket “bucket” is in the region eu-north-1, which is not that of "
                   "https://s3.us-east-1.amazonaws.com; going on there. Write --endpoint-url "
                   "https://s3.eu-north-1.amazonaws.com to save a request");

  /* The region was right, and the address was not. */
  g_autoptr (KpS3Location) both
      = kp_s3_location_new ("s3://bucket/p", endpoint, "eu-north-1", NULL, FALSE, &error);
  g_assert_no_error (error);
  g_autoptr (KpS3Service) service
      = kp_s3_service_new (both, kp_s3_service_get_credentials (fixture->service), NULL,
                           fixture->upload, fixture->download, &error);
  g_assert_no_error (error);
  g_assert_true (kp_s3_service_learn_region (service, both, "eu-north-1"));
  g_autoptr (KpS3Location) there = kp_s3_service_ref_location (service);
  g_assert_true (kp_s3_location_has_server_of (there, after));
  g_assert_false (kp_s3_service_learn_region (service, there, "eu-north-1"));
}

static void *
count_main (void *data)
{
  for (int i = 0; i < 10000; i++)
    {
      kp_s3_service_count (data, KP_S3_OPERATION_PUT, i % 10 == 0);
      kp_s3_service_count (data, KP_S3_OPERATION_HEAD, FALSE);
      if (i % 100 == 0)
        kp_s3_service_count_slow_down (data);
    }
  return NULL;
}

static void
test_statistics (Fixture *fixture, const void *endpoint)
{
  KpS3Statistics statistics;
  GThread *threads[4];

  kp_s3_service_get_statistics (fixture->service, &statistics);
  for (int i = 0; i < KP_S3_N_OPERATIONS; i++)
    g_assert_cmpuint (statistics.requests[i], ==, 0);
  g_assert_cmpuint (statistics.retries, ==, 0);

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("count", count_main, fixture->service);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  kp_throttle_charge (fixture->upload, 100);
  kp_throttle_charge (fixture->download, 200);

  kp_s3_service_get_statistics (fixture->service, &statistics);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_PUT], ==, 40000);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_HEAD], ==, 40000);
  g_assert_cmpuint (statistics.requests[KP_S3_OPERATION_LIST], ==, 0);
  g_assert_cmpuint (statistics.retries, ==, 4000);
  g_assert_cmpuint (statistics.slow_downs, ==, 400);
  g_assert_cmpuint (statistics.bytes_up, ==, 100);
  g_assert_cmpuint (statistics.bytes_down, ==, 200);
}

static void
test_notice (Fixture *fixture, const void *endpoint)
{
  kp_s3_service_notice (fixture->service, "%s %d", "one", 1);
  g_assert_cmpuint (fixture->n_notices, ==, 1);
  kp_s3_service_set_notice_func (fixture->service, NULL, NULL);
  kp_s3_service_notice (fixture->service, "two");
  g_assert_cmpuint (fixture->n_notices, ==, 1);
}

/* What the server says, whatever this computer's clock says. */
static void
test_server_time (Fixture *fixture, const void *endpoint)
{
  KpS3Service *service = fixture->service;
  gint64 then = 1774612800;

  g_assert_cmpint (kp_s3_service_get_server_time (service), ==, 0);
  kp_s3_service_hear_time (service, NULL);
  kp_s3_service_hear_time (service, "yesterday");
  g_assert_cmpint (kp_s3_service_get_server_time (service), ==, 0);
  kp_s3_service_hear_time (service, "Fri, 27 Mar 2026 12:00:00 GMT");
  g_assert_cmpint (kp_s3_service_get_server_time (service), >=, then);
  g_assert_cmpint (kp_s3_service_get_server_time (service), <, then + 3600);
  kp_s3_service_hear_time (service, "Fri, 27 Mar 2026 11:00:00 GMT");
  g_assert_cmpint (kp_s3_service_get_server_time (service), <, then);
  /* Nothing is signed by it, and nobody is told. */
  g_assert_cmpint (ABS (offset_of_now (fixture)), <=, 1);
  g_assert_cmpuint (fixture->n_notices, ==, 0);

  g_assert_false (kp_s3_service_makes_versions (service));
  kp_s3_service_learn_versions (service);
  g_assert_true (kp_s3_service_makes_versions (service));
}

/* The region's name comes from a reply, and goes into the endpoint's template: it must neither lead
 * our requests to another host nor end the process. */
static void
test_bad_region (Fixture *fixture, const void *endpoint)
{
  static const char *const regions[]
      = { "example.org/", "example.org:444/", "x@example.org/", "x?y", "x#y", "x/../", "x y" };

  for (gsize i = 0; i < G_N_ELEMENTS (regions); i++)
    {
      g_autoptr (KpS3Location) before = kp_s3_service_ref_location (fixture->service);

      g_test_message ("%s", regions[i]);
      kp_s3_service_learn_region (fixture->service, before, regions[i]);
      g_autoptr (KpS3Location) after = kp_s3_service_ref_location (fixture->service);
      g_autoptr (GUri) uri = kp_s3_location_build_uri (after, "k", NULL);
      g_assert_true (g_str_has_suffix (g_uri_get_host (uri), ".amazonaws.com"));
      g_assert_cmpstr (g_uri_get_path (uri), ==, "/k");
    }
}

int
main (int argc, char **argv)
{
  static const char given[] = "http://127.0.0.1:9";
  static const char aws[] = "https://s3.us-east-1.amazonaws.com";

#define ADD(path, endpoint, test) g_test_add (path, Fixture, endpoint, set_up, test, tear_down)
  g_test_init (&argc, &argv, NULL);
  ADD ("/s3/service/new", given, test_new);
  ADD ("/s3/service/ca-bundle", given, test_ca_bundle);
  ADD ("/s3/service/time", given, test_time);
  ADD ("/s3/service/server-time", given, test_server_time);
  ADD ("/s3/service/region", given, test_region);
  ADD ("/s3/service/region-of-template", NULL, test_region);
  ADD ("/s3/service/region-of-own-endpoint", aws, test_region);
  ADD ("/s3/service/region-of-endpoint", aws, test_region_of_endpoint);
  ADD ("/s3/service/statistics", aws, test_statistics);
  ADD ("/s3/service/notice", given, test_notice);
  ADD ("/s3/service/bad-region", NULL, test_bad_region);
  return g_test_run ();
}

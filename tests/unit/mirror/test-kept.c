/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-kept.h"
#include "offline-service.h"

/* 2026-11-28T18:30:05Z */
#define RUN G_GINT64_CONSTANT (1795890605)

static const char *const addresses[] = { "s3://bucket", "s3://bucket/laptop", "s3://bucket/a b/ü" };

static void
test_layout (void)
{
  static const char *const expected[][3] = {
    { ".keepsake-kept/", ".keepsake-kept/2026-11-28T18:30:05Z/deleted/Pictures/a.jpg",
      ".keepsake-kept/2026-11-28T18:30:05Z/replaced/Pictures/" },
    { "laptop.keepsake-kept/", "laptop.keepsake-kept/2026-11-28T18:30:05Z/deleted/Pictures/a.jpg",
      "laptop.keepsake-kept/2026-11-28T18:30:05Z/replaced/Pictures/" },
    { "a b/ü.keepsake-kept/", "a b/ü.keepsake-kept/2026-11-28T18:30:05Z/deleted/Pictures/a.jpg",
      "a b/ü.keepsake-kept/2026-11-28T18:30:05Z/replaced/Pictures/" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (addresses); i++)
    {
      g_autoptr (KpS3Location) location = offline_location_new (addresses[i]);
      g_autofree char *prefix = kp_kept_get_prefix (location);
      g_autofree char *file = kp_s3_location_get_key (location, "Pictures/a.jpg");
      g_autofree char *folder = kp_s3_location_get_key (location, "Pictures/");
      g_autofree char *deleted = kp_kept_key (location, RUN, KP_KEPT_DELETED, file);
      g_autofree char *replaced = kp_kept_key (location, RUN, KP_KEPT_REPLACED, folder);

      g_assert_cmpstr (prefix, ==, expected[i][0]);
      g_assert_cmpstr (deleted, ==, expected[i][1]);
      g_assert_cmpstr (replaced, ==, expected[i][2]);
    }
}

static void
test_own_folder (void)
{
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/laptop");
  g_autofree char *key = kp_kept_key (location, RUN, KP_KEPT_REPLACED, "laptop/");
  g_autofree char *mirror_key = NULL;

  g_assert_cmpstr (key, ==, "laptop.keepsake-kept/2026-11-28T18:30:05Z/replaced/");
  g_assert_true (kp_kept_parse (location, key, NULL, NULL, &mirror_key));
  g_assert_cmpstr (mirror_key, ==, "laptop/");
}

static void
test_there_and_back (void)
{
  static const char *const names[] = {
    "a", "a/", "a//b", "deleted/x", "2026-11-28T18:30:05Z/deleted/x", "%2F", "ü\xee\x83\xbf", " \n",
  };
  static const gint64 times[] = { 0, 951782400 /* 29 February */, RUN, 253402300799 };

  for (gsize i = 0; i < G_N_ELEMENTS (addresses); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (names); j++)
      for (gsize k = 0; k < G_N_ELEMENTS (times); k++)
        for (int reason = KP_KEPT_DELETED; reason <= KP_KEPT_REPLACED; reason++)
          {
            g_autoptr (KpS3Location) location = offline_location_new (addresses[i]);
            g_autofree char *own = kp_s3_location_get_key (location, names[j]);
            g_autofree char *key = kp_kept_key (location, times[k], (KpKeptReason) reason, own);
            g_autofree char *mirror_key = NULL;
            gint64 run = -1;
            gboolean was_deleted = -1;

            g_test_message ("%s", key);
            g_assert_true (kp_kept_parse (location, key, &run, &was_deleted, &mirror_key));
            g_assert_cmpint (run, ==, times[k]);
            g_assert_cmpint (was_deleted, ==, reason == KP_KEPT_DELETED);
            g_assert_cmpstr (mirror_key, ==, own);
            g_assert_true (kp_kept_parse (location, key, NULL, NULL, NULL));
            g_assert_true (kp_kept_is_below (location, key));
          }
}

/* The sweep deletes what can be parsed: nothing else may be. */
static void
test_foreign (void)
{
  static const char *const foreign[] = {
    "",
    "laptop",
    "laptop/",
    "laptop/2026-11-28T18:30:05Z/deleted/a",
    "laptop/.keepsake-kept/2026-11-28T18:30:05Z/deleted/a",
    ".keepsake-kept/2026-11-28T18:30:05Z/deleted/a",
    "desktop.keepsake-kept/2026-11-28T18:30:05Z/deleted/a",
    "laptop.keepsake-kept",
    "laptop.keepsake-kept/",
    "laptop.keepsake-kept/README",
    "laptop.keepsake-kept//deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/deleted",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/Deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/delete/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/deletedx/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z//a",
    "laptop.keepsake-kept/2026-11-28T18:30:05Z/moved/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05/deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05z/deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05.5Z/deleted/a",
    "laptop.keepsake-kept/2026-11-28 18:30:05Z/deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:05+00/deleted/a",
    "laptop.keepsake-kept/2026-11-31T18:30:05Z/deleted/a",
    "laptop.keepsake-kept/2025-02-29T18:30:05Z/deleted/a",
    "laptop.keepsake-kept/2026-13-01T18:30:05Z/deleted/a",
    "laptop.keepsake-kept/2026-00-01T18:30:05Z/deleted/a",
    "laptop.keepsake-kept/2026-11-28T24:30:05Z/deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:60:05Z/deleted/a",
    "laptop.keepsake-kept/2026-11-28T18:30:60Z/deleted/a",
    "laptop.keepsake-kept/0000-01-01T00:00:00Z/deleted/a",
    "laptop.keepsake-kept/1969-12-31T23:59:59Z/deleted/a",
    "laptop.keepsake-kept/-026-11-28T18:30:05Z/deleted/a",
    "laptop.keepsake-kept/ 026-11-28T18:30:05Z/deleted/a",
  };
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket/laptop");

  for (gsize i = 0; i < G_N_ELEMENTS (foreign); i++)
    {
      g_autofree char *mirror_key = NULL;
      gint64 run = -7;
      gboolean was_deleted = -7;

      g_test_message ("%s", foreign[i]);
      g_assert_false (kp_kept_parse (location, foreign[i], &run, &was_deleted, &mirror_key));
      g_assert_cmpint (run, ==, -7);
      g_assert_cmpint (was_deleted, ==, -7);
      g_assert_null (mirror_key);
    }

  g_autoptr (KpS3Location) root = offline_location_new ("s3://bucket");
  g_assert_false (
      kp_kept_parse (root, ".keepsake-kept/2026-11-28T18:30:05Z/deleted/", NULL, NULL, NULL));
  g_assert_false (kp_kept_parse (
      root, ".keepsake-kept/2026-11-28T18:30:05Z/deleted/.keepsake-kept/x", NULL, NULL, NULL));
  g_assert_false (
      kp_kept_parse (root, "a/.keepsake-kept/2026-11-28T18:30:05Z/deleted/a", NULL, NULL, NULL));
}

static void
test_is_below (void)
{
  g_autoptr (KpS3Location) root = offline_location_new ("s3://bucket");
  g_autoptr (KpS3Location) laptop = offline_location_new ("s3://bucket/laptop");

  g_assert_true (kp_kept_is_below (root, ".keepsake-kept/"));
  g_assert_true (kp_kept_is_below (root, ".keepsake-kept/README"));
  g_assert_false (kp_kept_is_below (root, ".keepsake-kept"));
  g_assert_false (kp_kept_is_below (root, ".keepsake-kept-not/a"));
  g_assert_false (kp_kept_is_below (root, "laptop/.keepsake-kept/a"));
  g_assert_true (kp_kept_is_below (laptop, "laptop.keepsake-kept/a"));
  g_assert_false (kp_kept_is_below (laptop, "laptop/.keepsake-kept/a"));
  g_assert_false (kp_kept_is_below (laptop, ".keepsake-kept/a"));
}

/* A listing gives the runs in their order. */
static void
test_order (void)
{
  static const gint64 times[] = { 0, 59, 60, 86399, 86400, 951782399, RUN, RUN + 1, 253402300799 };

  for (gsize i = 1; i < G_N_ELEMENTS (times); i++)
    {
      g_autofree char *before = kp_kept_run_to_string (times[i - 1]);
      g_autofree char *after = kp_kept_run_to_string (times[i]);
      g_assert_cmpstr (before, <, after);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/kept/layout", test_layout);
  g_test_add_func ("/mirror/kept/own-folder", test_own_folder);
  g_test_add_func ("/mirror/kept/there-and-back", test_there_and_back);
  g_test_add_func ("/mirror/kept/foreign", test_foreign);
  g_test_add_func ("/mirror/kept/is-below", test_is_below);
  g_test_add_func ("/mirror/kept/order", test_order);
  return g_test_run ();
}

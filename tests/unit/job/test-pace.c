/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-pace.h"

#define SECOND G_USEC_PER_SEC

static void
test_steady (void)
{
  KpPace pace = { .n = 0 };

  for (gint64 i = 0; i <= 100; i++)
    kp_pace_add (&pace, 1000 * SECOND + i * SECOND / 10, (guint64) i * 100);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 1000);
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 60000, 0), ==, 60);
}

/* Only the last seconds count. */
static void
test_change (void)
{
  KpPace pace = { .n = 0 };
  guint64 bytes = 0;
  gint64 now = 0;

  for (int i = 0; i < 600; i++)
    kp_pace_add (&pace, now += SECOND / 10, bytes += 1000);
  for (int i = 0; i < 60; i++)
    kp_pace_add (&pace, now += SECOND / 10, bytes += 10);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 100);
  for (int i = 0; i < 60; i++)
    kp_pace_add (&pace, now += SECOND / 10, bytes);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 0);
}

/* However often it is asked, it remembers the whole window. */
static void
test_many_samples (void)
{
  KpPace pace = { .n = 0 };

  for (gint64 i = 0; i <= 10000; i++)
    kp_pace_add (&pace, i * SECOND / 1000, i < 8000 ? 0 : (guint64) (i - 8000));
  /* 2000 bytes in the last 5 seconds. */
  g_assert_cmpuint (kp_pace_get_rate (&pace), >=, 380);
  g_assert_cmpuint (kp_pace_get_rate (&pace), <=, 420);
}

static void
test_too_soon (void)
{
  KpPace pace = { .n = 0 };

  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 0);
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 1000, 0), ==, -1);
  kp_pace_add (&pace, 0, 0);
  kp_pace_add (&pace, SECOND / 4, 1000000);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 0);
  /* The limit alone has to do. */
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 1000, 10), ==, 100);
}

static void
test_limit (void)
{
  KpPace pace = { .n = 0 };

  for (gint64 i = 0; i <= 20; i++)
    kp_pace_add (&pace, i * SECOND / 4, (guint64) i * 250);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 1000);
  /* The line was faster than the limit that has just been set. */
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 5000, 100), ==, 50);
  /* And is slower than the one that is not reached. */
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 5000, 1000000), ==, 5);
  /* Never "0 s left". */
  g_assert_cmpint (kp_pace_get_seconds_left (&pace, 1, 0), ==, 1);
}

/* Something had to be sent again. */
static void
test_going_back (void)
{
  KpPace pace = { .n = 0 };

  kp_pace_add (&pace, 0, 5000);
  kp_pace_add (&pace, SECOND, 1000);
  g_assert_cmpuint (kp_pace_get_rate (&pace), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/job/pace/steady", test_steady);
  g_test_add_func ("/job/pace/change", test_change);
  g_test_add_func ("/job/pace/many-samples", test_many_samples);
  g_test_add_func ("/job/pace/too-soon", test_too_soon);
  g_test_add_func ("/job/pace/limit", test_limit);
  g_test_add_func ("/job/pace/going-back", test_going_back);
  return g_test_run ();
}

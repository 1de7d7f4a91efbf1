/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-watchdog.h"

/* In microseconds, a little more than 32 bits hold. */
#define LONG 4295

static gboolean
is_bitten (KpS3Watch *watch)
{
  return g_cancellable_is_cancelled (kp_s3_watch_get_cancellable (watch));
}

/* The thread looks at both at once: when the short one is over, it has left the long one alone. */
static void
test_long (void)
{
  KpS3Watchdog *watchdog = kp_s3_watchdog_new ();
  KpS3Watch *long_one = kp_s3_watch_new (watchdog);
  KpS3Watch *short_one = kp_s3_watch_new (watchdog);

  kp_s3_watch_begin (long_one, LONG, NULL);
  kp_s3_watch_begin (short_one, 1, NULL);
  while (!is_bitten (short_one))
    g_usleep (10 * G_TIME_SPAN_MILLISECOND);
  g_assert_true (kp_s3_watch_end (short_one));
  g_assert_false (kp_s3_watch_end (long_one));
  kp_s3_watch_free (short_one);
  kp_s3_watch_free (long_one);
  kp_s3_watchdog_free (watchdog);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/watchdog/long", test_long);
  return g_test_run ();
}

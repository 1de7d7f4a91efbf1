/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-token-bucket.h"

#define SECOND G_TIME_SPAN_SECOND
#define RATE 262144

static gsize
take_all (KpTokenBucket *bucket, gint64 now)
{
  gsize total = 0;
  gsize taken;

  while ((taken = kp_token_bucket_take (bucket, 100, now)) > 0)
    total += taken;
  return total;
}

static void
test_starts_empty (void)
{
  KpTokenBucket bucket;

  kp_token_bucket_init (&bucket, RATE, 500);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1, 500), ==, 0);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 1, 500), ==, 4);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1, 503), ==, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1, 504), ==, 1);
}

static void
test_quantum (void)
{
  static const struct
  {
    guint64 rate;
    gsize quantum;
  } cases[] = {
    { 1, 512 },     { 1024, 512 },      { 25600, 512 },
    { RATE, 5242 }, { 2097152, 41943 }, { 100 << 20, 2097152 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpTokenBucket bucket;
      gint64 night = 8 * 3600 * SECOND;

      kp_token_bucket_init (&bucket, cases[i].rate, 0);
      g_assert_cmpuint (kp_token_bucket_quantum (&bucket), ==, cases[i].quantum);
      g_assert_cmpuint (kp_token_bucket_take (&bucket, G_MAXSIZE, night), ==, cases[i].quantum);
      if (cases[i].rate >= 25600)
        g_assert_cmpuint (cases[i].quantum, <=, cases[i].rate / 20);
    }
}

/* After any idle time at most 1/20 s of the rate comes at once. */
static void
test_no_burst (void)
{
  static const gint64 idle[] = { SECOND / 20, SECOND, 3600 * SECOND, G_MAXINT64 / 2 };

  for (gsize i = 0; i < G_N_ELEMENTS (idle); i++)
    {
      KpTokenBucket bucket;

      kp_token_bucket_init (&bucket, RATE, 0);
      gsize burst = take_all (&bucket, idle[i]);
      g_assert_cmpuint (burst, <=, RATE / 20);
      g_assert_cmpuint (burst, >=, RATE / 30);
    }
}

/* A stream that always has more to send, under a scheduler that is always late. */
static void
check_mean (guint64 rate, gsize wanted, gint64 lateness)
{
  enum
  {
    SECONDS = 20
  };
  const gint64 end = SECONDS * SECOND;
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) sums = g_array_new (FALSE, FALSE, sizeof (guint64));
  KpTokenBucket bucket;
  guint64 total = 0;
  guint tail = 0;

  kp_token_bucket_init (&bucket, rate, 0);
  for (gint64 now = 0; now < end;)
    {
      gsize taken = kp_token_bucket_take (&bucket, wanted, now);
      if (taken == 0)
        {
          gint64 wait = kp_token_bucket_wait (&bucket, wanted, now);
          g_assert_cmpint (wait, >, 0);
          now += wait + g_test_rand_int_range (0, (int) lateness + 1);
          continue;
        }

      g_array_append_val (times, now);
      g_array_append_val (sums, total); /* what had been sent before */
      total += taken;
      while (g_array_index (times, gint64, tail) <= now - SECOND)
        tail++;
      g_assert_cmpuint (total - g_array_index (sums, guint64, tail), <=, rate + rate / 20);
    }

  g_assert_cmpuint (total, <=, rate * SECONDS);
  g_assert_cmpuint (total, >=, rate * SECONDS / 100 * 99);
}

static void
test_mean (void)
{
  static const guint64 rates[] = { 20000, 65536, RATE, 2097152, 64 << 20 };
  static const gsize wanted[] = { 1000, 8192, 65536 };
  static const gint64 lateness[] = { 0, 60, 3000, 15000 };

  for (gsize i = 0; i < G_N_ELEMENTS (rates); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (wanted); j++)
      for (gsize k = 0; k < G_N_ELEMENTS (lateness); k++)
        check_mean (rates[i], wanted[j], lateness[k]);
}

/* A stream that is stopped now and then for longer than the bucket can save, as by a server that
 * takes its time. Sums: bytes before each grant. */
static guint64
most_within (GArray *times, GArray *sums, guint64 total, gint64 length)
{
  guint64 most = 0;
  guint tail = 0;

  for (guint i = 0; i < times->len; i++)
    {
      guint64 after = i + 1 < sums->len ? g_array_index (sums, guint64, i + 1) : total;
      while (g_array_index (times, gint64, tail) <= g_array_index (times, gint64, i) - length)
        tail++;
      most = MAX (most, after - g_array_index (sums, guint64, tail));
    }
  return most;
}

static void
check_stops (guint64 rate, gint64 stop, double least)
{
  const gint64 end = 60 * SECOND;
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) sums = g_array_new (FALSE, FALSE, sizeof (guint64));
  KpTokenBucket bucket;
  guint64 total = 0;
  gint64 next_stop = 2 * SECOND;

  kp_token_bucket_init (&bucket, rate, 0);
  for (gint64 now = 0; now < end;)
    {
      gsize taken = kp_token_bucket_take (&bucket, 8192, now);
      if (taken == 0)
        {
          now += kp_token_bucket_wait (&bucket, 8192, now);
          continue;
        }
      g_array_append_val (times, now);
      g_array_append_val (sums, total);
      total += taken;
      if (now >= next_stop)
        {
          now += stop;
          next_stop = now + 2 * SECOND;
        }
    }

  g_test_message ("%" G_GUINT64_FORMAT " B/s, stops of %" G_GINT64_FORMAT " us: %.2f %%", rate,
                  stop, 100.0 * (double) total / (double) (60 * rate));
  g_assert_cmpfloat ((double) total, >=, least * (double) (60 * rate));
  g_assert_cmpuint (total, <=, 60 * rate);
  g_assert_cmpuint (most_within (times, sums, total, SECOND), <=, rate * 1065 / 1000);
  g_assert_cmpuint (most_within (times, sums, total, 10 * SECOND), <=, rate * 1024 / 100);
}

static void
test_arrears (void)
{
  static const guint64 rates[] = { 65536, RATE, 2097152, 64 << 20 };

  for (gsize i = 0; i < G_N_ELEMENTS (rates); i++)
    {
      check_stops (rates[i], SECOND / 20, 0.995);
      check_stops (rates[i], SECOND / 15, 0.985);
      check_stops (rates[i], SECOND, 0.6); /* only the bounds matter */
    }
}

/* Without a limit, and after a change of it, nobody is owed anything. */
static void
test_arrears_end (void)
{
  KpTokenBucket bucket;

  kp_token_bucket_init (&bucket, RATE, 0);
  kp_token_bucket_set_rate (&bucket, RATE, 60 * SECOND);
  take_all (&bucket, 60 * SECOND);
  gint64 wait = kp_token_bucket_wait (&bucket, 5000, 60 * SECOND);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 5000, 60 * SECOND + wait - 1), ==, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 5000, 60 * SECOND + wait), ==, 5000);
}

static void
test_low_rate (void)
{
  KpTokenBucket bucket;

  kp_token_bucket_init (&bucket, 10, 0);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 8192, 0), ==, 51200 * SECOND / 1000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 8192, 51199 * SECOND / 1000), ==, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 8192, 51200 * SECOND / 1000), ==, 512);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 5, 51700 * SECOND / 1000), ==, 5);
}

static void
test_set_rate (void)
{
  KpTokenBucket bucket;

  /* Down: what was saved is cut to what the new rate allows. */
  kp_token_bucket_init (&bucket, 2097152, 0);
  kp_token_bucket_set_rate (&bucket, RATE, SECOND);
  g_assert_cmpuint (take_all (&bucket, SECOND), <=, RATE / 20);

  /* Up: what was earned at the old rate is not revalued. */
  kp_token_bucket_init (&bucket, 1000, 0);
  kp_token_bucket_set_rate (&bucket, 1000000, SECOND / 10);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 1100, SECOND / 10), ==, 1000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1100, SECOND / 10 + 1000), ==, 1100);

  /* Off, with a debt: everything goes. On again: from zero. */
  kp_token_bucket_charge (&bucket, 1 << 20, SECOND);
  kp_token_bucket_set_rate (&bucket, 0, SECOND);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, G_MAXSIZE, SECOND), ==, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1 << 30, SECOND), ==, 1 << 30);
  kp_token_bucket_charge (&bucket, 1 << 20, SECOND);
  kp_token_bucket_refund (&bucket, 1 << 20, SECOND);
  kp_token_bucket_set_rate (&bucket, RATE, 60 * SECOND);
  g_assert_cmpuint (take_all (&bucket, 60 * SECOND), ==, 0);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 2622, 60 * SECOND), ==, 10003);
}

static void
test_charge (void)
{
  KpTokenBucket bucket;

  /* 1000 bytes of headers: 1000 bytes' worth of time before the next grant. */
  kp_token_bucket_init (&bucket, 100000, 0);
  kp_token_bucket_charge (&bucket, 1000, 0);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 500, 0), ==, 15000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 500, 15000), ==, 500);

  /* Charged to the full bucket of an idle line, not to the empty one of an hour ago. */
  kp_token_bucket_charge (&bucket, 10000, 3600 * SECOND);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 2000, 3600 * SECOND), ==, 80000);

  /* No number is too large. */
  kp_token_bucket_charge (&bucket, G_MAXSIZE, 3600 * SECOND);
  kp_token_bucket_charge (&bucket, G_MAXSIZE, 3600 * SECOND);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 1, 3600 * SECOND), >, 3600 * SECOND);
  kp_token_bucket_set_rate (&bucket, G_MAXUINT64, 3600 * SECOND);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 1, 3600 * SECOND), >, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1, G_MAXINT64 / 2), ==, 1);
}

static void
test_refund (void)
{
  KpTokenBucket bucket;

  kp_token_bucket_init (&bucket, 100000, 0);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 2000, 20000), ==, 2000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1500, 20000), ==, 0);
  kp_token_bucket_refund (&bucket, 1500, 20000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 1500, 20000), ==, 1500);

  /* It fills the bucket, and does not enlarge it. */
  kp_token_bucket_refund (&bucket, 1 << 20, 20000);
  g_assert_cmpuint (take_all (&bucket, 20000), <=, 100000 / 20);
  kp_token_bucket_refund (&bucket, G_MAXSIZE, 20000);
  gsize burst = take_all (&bucket, 20000);
  g_assert_cmpuint (burst, >, 0);
  g_assert_cmpuint (burst, <=, 100000 / 20);
}

static void
test_clock_goes_back (void)
{
  KpTokenBucket bucket;

  kp_token_bucket_init (&bucket, 100000, SECOND);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 2000, SECOND / 2), ==, 0);
  g_assert_cmpint (kp_token_bucket_wait (&bucket, 2000, SECOND / 2), ==, 20000);
  g_assert_cmpuint (kp_token_bucket_take (&bucket, 2000, SECOND + 20000), ==, 2000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/throttle/token-bucket/starts-empty", test_starts_empty);
  g_test_add_func ("/throttle/token-bucket/quantum", test_quantum);
  g_test_add_func ("/throttle/token-bucket/no-burst", test_no_burst);
  g_test_add_func ("/throttle/token-bucket/mean", test_mean);
  g_test_add_func ("/throttle/token-bucket/arrears", test_arrears);
  g_test_add_func ("/throttle/token-bucket/arrears-end", test_arrears_end);
  g_test_add_func ("/throttle/token-bucket/low-rate", test_low_rate);
  g_test_add_func ("/throttle/token-bucket/set-rate", test_set_rate);
  g_test_add_func ("/throttle/token-bucket/charge", test_charge);
  g_test_add_func ("/throttle/token-bucket/refund", test_refund);
  g_test_add_func ("/throttle/token-bucket/clock-goes-back", test_clock_goes_back);
  return g_test_run ();
}

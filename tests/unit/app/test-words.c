/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-words.h"

#include <locale.h>

/* Wednesday, 4 March 2026, 15:00 UTC */
#define NOW G_GINT64_CONSTANT (1772636400)
#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define KIB G_GUINT64_CONSTANT (1024)
#define MIB (1024 * KIB)

/* Takes @text. */
static void
assert_words (char *text, const char *expected)
{
  g_assert_cmpstr (text, ==, expected);
  g_free (text);
}

static void
test_past (void)
{
  assert_words (kp_words_past (NOW, NOW), "just now");
  assert_words (kp_words_past (NOW + HOUR, NOW), "just now");
  assert_words (kp_words_past (NOW - 59, NOW), "just now");
  assert_words (kp_words_past (NOW - MINUTE, NOW), "1 minute ago");
  assert_words (kp_words_past (NOW - HOUR + 1, NOW), "59 minutes ago");
  assert_words (kp_words_past (NOW - HOUR, NOW), "1 hour ago");
  assert_words (kp_words_past (NOW - 15 * HOUR, NOW), "15 hours ago");
  assert_words (kp_words_past (NOW - 15 * HOUR - 1, NOW), "yesterday at 23:59");
  assert_words (kp_words_past (NOW - 2 * DAY, NOW), "on Monday at 15:00");
  assert_words (kp_words_past (NOW - 6 * DAY, NOW), "on Thursday at 15:00");
  assert_words (kp_words_past (NOW - 7 * DAY, NOW), "on 25 February");
  assert_words (kp_words_past (NOW - 100 * DAY, NOW), "on 24 November 2025");
}

/* A few hours ago is said so, also when midnight lies between. */
static void
test_past_over_midnight (void)
{
  gint64 night = NOW + 10 * HOUR; /* 01:00 */

  assert_words (kp_words_past (night - 3 * HOUR, night), "3 hours ago");
  assert_words (kp_words_past (night - 6 * HOUR, night), "yesterday at 19:00");
}

static void
test_future (void)
{
  assert_words (kp_words_future (NOW, NOW), "now");
  assert_words (kp_words_future (NOW - DAY, NOW), "now");
  assert_words (kp_words_future (NOW + 1, NOW), "in 1 minute");
  assert_words (kp_words_future (NOW + 12 * MINUTE, NOW), "in 12 minutes");
  assert_words (kp_words_future (NOW + HOUR, NOW), "today at 16:00");
  assert_words (kp_words_future (NOW + 9 * HOUR, NOW), "tomorrow at 00:00");
  assert_words (kp_words_future (NOW + 2 * DAY, NOW), "on Friday at 15:00");
  assert_words (kp_words_future (NOW + 7 * DAY, NOW), "on 11 March at 15:00");
}

static void
test_size (void)
{
  assert_words (kp_words_size (0), "0 B");
  assert_words (kp_words_size (1023), "1023 B");
  assert_words (kp_words_size (1024), "1.0 KiB");
  assert_words (kp_words_size (1536), "1.5 KiB");
  assert_words (kp_words_size (98 * KIB), "98 KiB");
  assert_words (kp_words_size (1024 * KIB - 1), "1.0 MiB");
  assert_words (kp_words_size (5 * MIB), "5.0 MiB");
  assert_words (kp_words_size (G_MAXUINT64), "16384 PiB");
}

static void
test_rate (void)
{
  assert_words (kp_words_rate (0), "no limit");
  assert_words (kp_words_rate (256 * KIB), "256 KiB/s");
}

static void
test_duration (void)
{
  assert_words (kp_words_duration (0), "less than a minute");
  assert_words (kp_words_duration (59), "less than a minute");
  assert_words (kp_words_duration (60), "1 min");
  assert_words (kp_words_duration (12 * MINUTE + 29), "12 min");
  assert_words (kp_words_duration (HOUR), "1 h");
  assert_words (kp_words_duration (3 * HOUR + 20 * MINUTE), "3 h 20 min");
  assert_words (kp_words_duration (2 * DAY), "2 days");
  assert_words (kp_words_duration (2 * DAY + 5 * HOUR), "2 d 5 h");
  assert_words (kp_words_duration (60 * DAY), "60 days");
}

static void
test_estimate (void)
{
  assert_words (kp_words_estimate (3 * MIB, 0),
                "The first backup sends 3.0 MiB as fast as the line allows.");
  assert_words (kp_words_estimate (98 * KIB, 256 * KIB),
                "The first backup sends 98 KiB, in less than a minute at 256 KiB/s.");
  assert_words (kp_words_estimate (3000 * MIB, 256 * KIB),
                "The first backup sends 2.9 GiB: about 3 h 20 min at 256 KiB/s.");
}

static void
test_files (void)
{
  assert_words (kp_words_files (0), "0 files");
  assert_words (kp_words_files (1), "1 file");
  assert_words (kp_words_files (12), "12 files");
}

static void
test_schedule (void)
{
  assert_words (kp_words_schedule ("manual"), "Only when you ask for it");
  assert_words (kp_words_schedule ("@watch"), "Soon after something changed");
  assert_words (kp_words_schedule ("@watch 10m"), "Soon after something changed");
  assert_words (kp_words_schedule ("@hourly"), "Every hour");
  assert_words (kp_words_schedule ("@daily"), "Every day");
  assert_words (kp_words_schedule ("@daily 12:30"), "Every day at 12:30");
  assert_words (kp_words_schedule ("@weekly"), "Every week");
  assert_words (kp_words_schedule ("@weekly Fri"), "Every Friday");
  assert_words (kp_words_schedule ("@weekly Fri 08:00"), "Every Friday at 08:00");
  assert_words (kp_words_schedule ("@monthly"), "Every month");
  assert_words (kp_words_schedule ("@monthly 15"), "On day 15 of every month");
  assert_words (kp_words_schedule ("@monthly 15 08:00"), "On day 15 of every month at 08:00");
  assert_words (kp_words_schedule ("0 4 * * 1"), "By the timetable “0 4 * * 1”");
  assert_words (kp_words_schedule ("nonsense"), "nonsense");
}

static void
test_shorten (void)
{
  g_autofree char *long_text = g_strnfill (100 * 1024, 'x');
  g_autofree char *shortened = kp_words_shorten (long_text, 300);

  g_assert_cmpint (g_utf8_strlen (shortened, -1), ==, 301);
  assert_words (kp_words_shorten ("four", 4), "four");
  assert_words (kp_words_shorten ("four", 3), "fou…");
  assert_words (kp_words_shorten ("四个字的", 2), "四个…");
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  setlocale (LC_ALL, "C.UTF-8");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/words/past", test_past);
  g_test_add_func ("/app/words/past-over-midnight", test_past_over_midnight);
  g_test_add_func ("/app/words/future", test_future);
  g_test_add_func ("/app/words/size", test_size);
  g_test_add_func ("/app/words/rate", test_rate);
  g_test_add_func ("/app/words/duration", test_duration);
  g_test_add_func ("/app/words/estimate", test_estimate);
  g_test_add_func ("/app/words/files", test_files);
  g_test_add_func ("/app/words/schedule", test_schedule);
  g_test_add_func ("/app/words/shorten", test_shorten);
  return g_test_run ();
}

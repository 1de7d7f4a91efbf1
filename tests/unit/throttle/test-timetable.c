/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-timetable.h"

#include <stdio.h>
#include <string.h>

#define K G_GUINT64_CONSTANT (1024)
#define M (1024 * K)

/* 2 November 2026 is a Monday. */
static GDateTime *
local_time (const char *weekday_and_time)
{
  static const char *const days = "MonTueWedThuFriSatSun";
  int hour = 0;
  int minute = 0;
  int second = 0;
  char day[4];

  sscanf (weekday_and_time, "%3s %d:%d:%d", day, &hour, &minute, &second);
  int date = 2 + (int) (strstr (days, day) - days) / 3;
  g_autoptr (GTimeZone) zone = g_time_zone_new_offset (3600);
  return g_date_time_new (zone, 2026, 11, date, hour, minute, second);
}

static const char daily[] = "08:00,512K 19:00,10M 23:00,off";
static const char weekly[] = "Mon-00:00,512K Fri-23:59,10M Sat-10:00,1M Sun-20:00,off";
static const char apart[] = "08:00,256K:2M;19:00,off:1M";
static const char mixed[] = "08:00,1M sAtUrDaY-08:00,2M SUN-09:30,off 18:00,3M Sat-18:00,3M";
static const char late[] = "Wed-12:00,1K Thu-12:00,2K";

static const struct
{
  const char *text;
  const char *when;
  guint64 up;
  guint64 down;
  gint64 next_up;
  gint64 next_down;
} cases[] = {
  { "512K", "Mon 00:00:00", 512 * K, 512 * K, -1, -1 },
  { " off ;", "Sun 23:59:59", 0, 0, -1, -1 },
  { "10M:100k", "Wed 12:00:00", 10 * M, 100 * K, -1, -1 },
  { "262144", "Wed 12:00:00", 256 * K, 256 * K, -1, -1 },

  { daily, "Mon 07:59:59", 0, 0, 1, 1 },
  { daily, "Mon 08:00:00", 512 * K, 512 * K, 11 * 3600, 11 * 3600 },
  { daily, "Thu 18:59:30", 512 * K, 512 * K, 30, 30 },
  { daily, "Thu 19:00:00", 10 * M, 10 * M, 4 * 3600, 4 * 3600 },
  { daily, "Thu 23:00:00", 0, 0, 9 * 3600, 9 * 3600 },
  { daily, "Sun 23:30:00", 0, 0, 8 * 3600 + 1800, 8 * 3600 + 1800 },
  { daily, "Sun 07:00:00", 0, 0, 3600, 3600 },

  { weekly, "Mon 00:00:00", 512 * K, 512 * K, 4 * 86400 + 86340, 4 * 86400 + 86340 },
  { weekly, "Wed 03:00:00", 512 * K, 512 * K, 3 * 86400 - 10860, 3 * 86400 - 10860 },
  { weekly, "Fri 23:58:59", 512 * K, 512 * K, 1, 1 },
  { weekly, "Fri 23:59:00", 10 * M, 10 * M, 36060, 36060 },
  { weekly, "Sat 09:00:00", 10 * M, 10 * M, 3600, 3600 },
  { weekly, "Sat 10:00:00", 1 * M, 1 * M, 34 * 3600, 34 * 3600 },
  { weekly, "Sun 19:59:00", 1 * M, 1 * M, 60, 60 },
  { weekly, "Sun 20:00:00", 0, 0, 4 * 3600, 4 * 3600 },
  { weekly, "Sun 23:59:59", 0, 0, 1, 1 },

  { apart, "Mon 12:00:00", 256 * K, 2 * M, 7 * 3600, 7 * 3600 },
  { apart, "Mon 20:00:00", 0, 1 * M, 12 * 3600, 12 * 3600 },
  { "08:00,1M:2M 09:00,1M:3M", "Mon 08:30:00", 1 * M, 2 * M, -1, 1800 },

  /* A later entry for the same minute replaces the earlier one; equal neighbours are no change. */
  { mixed, "Fri 09:00:00", 1 * M, 1 * M, 9 * 3600, 9 * 3600 },
  { mixed, "Sat 09:00:00", 2 * M, 2 * M, 9 * 3600, 9 * 3600 },
  { mixed, "Sun 09:00:00", 1 * M, 1 * M, 1800, 1800 },
  { mixed, "Sun 10:00:00", 0, 0, 8 * 3600, 8 * 3600 },
  { mixed, "Sat 18:00:00", 3 * M, 3 * M, 14 * 3600, 14 * 3600 },
  { "08:00,1M 08:00,2M", "Mon 10:00:00", 2 * M, 2 * M, -1, -1 },

  /* Before the first entry of the week its last one holds; order in the text does not matter. */
  { late, "Mon 00:00:00", 2 * K, 2 * K, 60 * 3600, 60 * 3600 },
  { late, "Wed 12:00:00", 1 * K, 1 * K, 86400, 86400 },
  { late, "Fri 00:00:00", 2 * K, 2 * K, 132 * 3600, 132 * 3600 },
  { "Thu-12:00,2K Wed-12:00,1K", "Mon 00:00:00", 2 * K, 2 * K, 60 * 3600, 60 * 3600 },
  { "Thu-12:00,2K Wed-12:00,1K", "Sun 00:00:00", 2 * K, 2 * K, 84 * 3600, 84 * 3600 },
  { "Wed-12:00,2K", "Mon 00:00:00", 2 * K, 2 * K, -1, -1 },
};

static void
test_rates (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (KpTimetable) timetable = kp_timetable_parse (cases[i].text, &error);
      g_autoptr (GDateTime) when = local_time (cases[i].when);

      g_assert_no_error (error);
      g_test_message ("%s at %s", cases[i].text, cases[i].when);
      g_assert_cmpuint (kp_timetable_rate_at (timetable, when, KP_DIRECTION_UP), ==, cases[i].up);
      g_assert_cmpuint (kp_timetable_rate_at (timetable, when, KP_DIRECTION_DOWN), ==,
                        cases[i].down);
      g_assert_cmpint (kp_timetable_next_change (timetable, when, KP_DIRECTION_UP), ==,
                       cases[i].next_up);
      g_assert_cmpint (kp_timetable_next_change (timetable, when, KP_DIRECTION_DOWN), ==,
                       cases[i].next_down);
    }
}

/* What next_change promises, for every minute of the week: the rate stays until then and is
 * another one then. */
static void
test_next_change (void)
{
  static const char *const texts[] = { daily, weekly, apart, mixed, late };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (KpTimetable) timetable = kp_timetable_parse (texts[i], NULL);
      g_autoptr (GDateTime) monday = local_time ("Mon 00:00:30");

      for (int minute = 0; minute < 7 * 24 * 60; minute += 7)
        {
          g_autoptr (GDateTime) now = g_date_time_add_minutes (monday, minute);
          guint64 rate = kp_timetable_rate_at (timetable, now, KP_DIRECTION_UP);
          gint64 seconds = kp_timetable_next_change (timetable, now, KP_DIRECTION_UP);

          g_assert_cmpint (seconds, >, 0);
          g_autoptr (GDateTime) before = g_date_time_add_seconds (now, (double) seconds - 1);
          g_autoptr (GDateTime) after = g_date_time_add_seconds (now, (double) seconds);
          g_assert_cmpuint (kp_timetable_rate_at (timetable, before, KP_DIRECTION_UP), ==, rate);
          g_assert_cmpuint (kp_timetable_rate_at (timetable, after, KP_DIRECTION_UP), !=, rate);
        }
    }
}

static void
test_refused (void)
{
  /* What the message has to name. */
  static const struct
  {
    const char *text;
    const char *entry;
  } bad[] = {
    { "", "“”" },
    { " ; ", "“ ; ”" },
    { "fast", "“fast”" },
    { "0", "“0”" },
    { "512K:", "“512K:”" },
    { ":512K", "“:512K”" },
    { "1M:2M:3M", "“1M:2M:3M”" },
    { "512K 1M", "“512K”" },
    { "512K 08:00,1M", "“512K”" },
    { "08:00,1M bad", "“bad”" },
    { "08:00", "“08:00”" },
    { "8:00,1M", "“8:00,1M”" },
    { "08:00,1M 24:00,2M", "“24:00,2M”" },
    { "08:60,1M", "“08:60,1M”" },
    { "08-00,1M", "“08-00,1M”" },
    { "08x00,1M", "“08x00,1M”" },
    { "+8:00,1M", "“+8:00,1M”" },
    { "08:0 0,1M", "“08:0”" },
    { ",1M", "“,1M”" },
    { "08:00,", "“08:00,”" },
    { "08:00,0", "“08:00,0”" },
    { "08:00,512", "“08:00,512”" },
    { "08:00,1M:512", "“08:00,1M:512”" },
    { "08:00,fast", "“08:00,fast”" },
    { "08:00,1M,2M", "“08:00,1M,2M”" },
    { "08:00,1M,09:00,2M", "“08:00,1M,09:00,2M”" },
    { "Mo-08:00,1M", "“Mo-08:00,1M”" },
    { "Monda-08:00,1M", "“Monda-08:00,1M”" },
    { "-08:00,1M", "“-08:00,1M”" },
    { "Mon-,1M", "“Mon-,1M”" },
    { "Mon,1M", "“Mon,1M”" },
    { "Mon-Fri-08:00,1M", "“Mon-Fri-08:00,1M”" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", bad[i].text);
      g_assert_null (kp_timetable_parse (bad[i].text, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, bad[i].entry));
    }
}

static void
test_boxed (void)
{
  g_autoptr (KpTimetable) timetable = kp_timetable_parse ("1M", NULL);
  KpTimetable *copy = g_boxed_copy (KP_TYPE_TIMETABLE, timetable);

  g_assert_true (copy == timetable);
  g_boxed_free (KP_TYPE_TIMETABLE, copy);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/throttle/timetable/rates", test_rates);
  g_test_add_func ("/throttle/timetable/next-change", test_next_change);
  g_test_add_func ("/throttle/timetable/refused", test_refused);
  g_test_add_func ("/throttle/timetable/boxed", test_boxed);
  return g_test_run ();
}

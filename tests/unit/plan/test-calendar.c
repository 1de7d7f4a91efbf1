/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-calendar.h"
#include "kp-error.h"

#include <stdio.h>
#include <string.h>

static gint64
wall_from_text (const char *text)
{
  g_autoptr (GTimeZone) utc = g_time_zone_new_utc ();
  g_autofree char *iso = g_strconcat (text, ":00", NULL);
  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (iso, utc);

  g_assert_nonnull (time);
  return g_date_time_to_unix (time);
}

static char *
wall_to_text (gint64 wall)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (wall);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M") : g_strdup ("never");
}

static gboolean
parse (KpCalendar *calendar, const char *text, GError **error)
{
  g_auto (GStrv) fields = g_strsplit (text, " ", -1);

  g_assert_cmpuint (g_strv_length (fields), ==, 5);
  return kp_calendar_parse_cron (calendar, (const char *const *) fields, error);
}

/* Each line: the fields, a time, and the times that follow it. 2026-11-02 is a Monday. */
static const struct
{
  const char *fields;
  const char *after;
  const char *next[4];
} cases[] = {
  { "* * * * *", "2026-11-02 10:00", { "2026-11-02 10:01", "2026-11-02 10:02" } },
  { "* * * * *", "2026-12-31 23:59", { "2027-01-01 00:00" } },
  { "0 0 1 1 *", "2026-11-02 10:00", { "2027-01-01 00:00", "2028-01-01 00:00" } },
  { "30 12 * * *", "2026-11-02 12:29", { "2026-11-02 12:30", "2026-11-03 12:30" } },
  { "30 12 * * *", "2026-11-02 12:30", { "2026-11-03 12:30" } },
  { "59 23 31 12 *", "2026-11-02 10:00", { "2026-12-31 23:59", "2027-12-31 23:59" } },

  /* ranges, steps and lists */
  { "*/20 * * * *",
    "2026-11-02 10:00",
    { "2026-11-02 10:20", "2026-11-02 10:40", "2026-11-02 11:00" } },
  { "*/25 * * * *",
    "2026-11-02 10:00",
    { "2026-11-02 10:25", "2026-11-02 10:50", "2026-11-02 11:00" } },
  { "10-50/20 8 * * *",
    "2026-11-02 10:00",
    { "2026-11-03 08:10", "2026-11-03 08:30", "2026-11-03 08:50", "2026-11-04 08:10" } },
  { "0 8-10,20 * * *",
    "2026-11-02 08:00",
    { "2026-11-02 09:00", "2026-11-02 10:00", "2026-11-02 20:00", "2026-11-03 08:00" } },
  { "5,5,10-10,59 0 * * *",
    "2026-11-02 10:00",
    { "2026-11-03 00:05", "2026-11-03 00:10", "2026-11-03 00:59", "2026-11-04 00:05" } },
  { "0 0-23/12 * * *", "2026-11-02 00:00", { "2026-11-02 12:00", "2026-11-03 00:00" } },
  { "0 */100 * * *", "2026-11-02 00:00", { "2026-11-03 00:00" } },
  { "00 09 01 * *", "2026-11-02 00:00", { "2026-12-01 09:00" } },

  /* names and Sundays */
  { "0 9 * * Mon", "2026-11-02 09:00", { "2026-11-09 09:00" } },
  { "0 9 * * mon-FRI", "2026-11-06 09:00", { "2026-11-09 09:00", "2026-11-10 09:00" } },
  { "0 9 * * Saturday,Sun",
    "2026-11-02 09:00",
    { "2026-11-07 09:00", "2026-11-08 09:00", "2026-11-14 09:00" } },
  { "0 9 * * Sat-Sun", "2026-11-02 09:00", { "2026-11-07 09:00", "2026-11-08 09:00" } },
  { "0 9 * * 6-7", "2026-11-02 09:00", { "2026-11-07 09:00", "2026-11-08 09:00" } },
  { "0 9 * * 0", "2026-11-02 09:00", { "2026-11-08 09:00", "2026-11-15 09:00" } },
  { "0 9 * * 7", "2026-11-02 09:00", { "2026-11-08 09:00", "2026-11-15 09:00" } },
  { "0 9 * * 0-1", "2026-11-02 09:00", { "2026-11-08 09:00", "2026-11-09 09:00" } },
  { "0 9 * * */2",
    "2026-11-07 09:00",
    { "2026-11-08 09:00", "2026-11-10 09:00", "2026-11-12 09:00", "2026-11-14 09:00" } },
  { "0 0 1 jan,JULY *", "2026-11-02 09:00", { "2027-01-01 00:00", "2027-07-01 00:00" } },
  { "0 0 1 Mar-May *",
    "2026-11-02 09:00",
    { "2027-03-01 00:00", "2027-04-01 00:00", "2027-05-01 00:00", "2028-03-01 00:00" } },

  /* The thirteenth, and every Friday. */
  { "0 0 13 * Fri",
    "2026-11-02 09:00",
    { "2026-11-06 00:00", "2026-11-13 00:00", "2026-11-20 00:00", "2026-11-27 00:00" } },
  { "0 0 13 * Fri", "2026-12-11 09:00", { "2026-12-13 00:00", "2026-12-18 00:00" } },
  /* A star makes it both: every odd day that is a Friday. */
  { "0 0 */2 * Fri", "2026-11-02 09:00", { "2026-11-13 00:00", "2026-11-27 00:00" } },
  { "0 0 13 * */5",
    "2026-11-02 09:00",
    { "2026-11-13 00:00", "2026-12-13 00:00", "2027-06-13 00:00" } },
  { "0 0 1-7 * *", "2026-11-06 09:00", { "2026-11-07 00:00", "2026-12-01 00:00" } },

  /* short months, leap years */
  { "0 0 31 * *",
    "2026-11-02 09:00",
    { "2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00", "2027-05-31 00:00" } },
  { "0 0 30 */2 *", "2026-11-02 09:00", { "2026-11-30 00:00", "2027-01-30 00:00" } },
  { "0 0 30 2,4 *", "2026-11-02 09:00", { "2027-04-30 00:00", "2028-04-30 00:00" } },
  { "0 0 29 2 *", "2026-11-02 09:00", { "2028-02-29 00:00", "2032-02-29 00:00" } },
  { "0 0 29 2 *", "2096-11-02 09:00", { "2104-02-29 00:00" } },
  { "0 0 29 2 */7", "2026-11-02 09:00", { "2032-02-29 00:00", "2060-02-29 00:00" } },
  { "0 0 29 2 */7", "2088-11-02 09:00", { "2128-02-29 00:00" } },
  { "0 0 30 2 Mon", "2027-01-25 00:00", { "2027-02-01 00:00", "2027-02-08 00:00" } },

  /* before 1970 */
  { "30 12 * * *", "1969-12-31 12:29", { "1969-12-31 12:30", "1970-01-01 12:30" } },
  { "30 12 * * *", "1960-02-28 12:30", { "1960-02-29 12:30" } },
};

static void
test_next (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      KpCalendar calendar;
      gint64 wall = wall_from_text (cases[i].after);

      g_test_message ("%s after %s", cases[i].fields, cases[i].after);
      g_assert_true (parse (&calendar, cases[i].fields, &error));
      g_assert_no_error (error);
      for (gsize j = 0; j < G_N_ELEMENTS (cases[i].next) && cases[i].next[j] != NULL; j++)
        {
          wall = kp_calendar_next (&calendar, wall);
          g_autofree char *text = wall_to_text (wall);
          g_assert_cmpstr (text, ==, cases[i].next[j]);
        }
    }
}

/* Another way to the same answer: ask every minute of two years whether it fits. */
static gboolean
fits (const KpCalendar *calendar, GDateTime *time)
{
  int weekday = g_date_time_get_day_of_week (time) % 7;
  gboolean day = (calendar->days >> g_date_time_get_day_of_month (time) & 1) != 0;
  gboolean day_of_week = (calendar->weekdays >> weekday & 1) != 0;

  return (calendar->minutes >> g_date_time_get_minute (time) & 1) != 0
         && (calendar->hours >> g_date_time_get_hour (time) & 1) != 0
         && (calendar->months >> g_date_time_get_month (time) & 1) != 0
         && (calendar->either_day ? day || day_of_week : day && day_of_week);
}

static void
test_every_minute (void)
{
  static const char *const texts[] = {
    "7 3 * * *", "*/31 5-6 13 * Fri", "0 0 31 * *", "59 23 28-31 2,12 *", "*/7 */5 */9 */4 */3",
  };
  gint64 start = wall_from_text ("2027-06-30 23:58");

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      KpCalendar calendar;
      g_assert_true (parse (&calendar, texts[i], NULL));
      gint64 expected = kp_calendar_next (&calendar, start - 30);

      for (gint64 wall = start; wall < start + (gint64) 2 * 366 * 86400; wall += 60)
        {
          g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (wall);
          if (!fits (&calendar, time))
            continue;
          g_assert_cmpint (wall, ==, expected);
          expected = kp_calendar_next (&calendar, wall);
          g_assert_cmpint (kp_calendar_next (&calendar, wall + 30), ==, expected);
        }
    }
}

static void
test_last_day (void)
{
  static const char *const expected[] = {
    "2026-12-31 00:00", "2027-01-31 00:00", "2027-02-28 00:00",
    "2027-03-31 00:00", "2027-04-30 00:00", "2027-05-31 00:00",
  };
  KpCalendar calendar;
  gint64 wall = wall_from_text ("2026-12-30 12:00");

  g_assert_true (parse (&calendar, "0 0 31 * *", NULL));
  calendar.last_day = TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      wall = kp_calendar_next (&calendar, wall);
      g_autofree char *text = wall_to_text (wall);
      g_assert_cmpstr (text, ==, expected[i]);
    }

  calendar.days = 1u << 15;
  wall = kp_calendar_next (&calendar, wall);
  g_autofree char *text = wall_to_text (wall);
  g_assert_cmpstr (text, ==, "2027-06-15 00:00");
}

static void
test_period (void)
{
  static const struct
  {
    const char *fields;
    guint64 seconds;
  } periods[] = {
    { "* * * * *", 60 },
    { "*/15 * * * *", 900 },
    { "0 * * * *", 3600 },
    { "30 12 * * *", 86400 },
    { "0 9,21 * * *", 43200 },
    { "0 9 * * Mon", 7 * 86400 },
    { "0 9 * * Mon-Fri", 86400 * 7 / 5 },
    { "*/5 9 * * Mon", 7 * 86400 },
    { "0 0 1 * *", 2629800 },
    { "0 0 1 1 *", 31557600 },
    { "0 0 29 2 *", (guint64) 4 * 31557600 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (periods); i++)
    {
      KpCalendar calendar;
      g_assert_true (parse (&calendar, periods[i].fields, NULL));
      g_assert_cmpuint (kp_calendar_get_period (&calendar), ==, periods[i].seconds);
    }
}

static void
test_refused (void)
{
  static const struct
  {
    const char *fields;
    const char *message;
  } bad[] = {
    { "60 * * * *", "in the minute “60”: there is no minute 60; write 0 to 59" },
    { "* 24 * * *", "in the hour “24”: there is no hour 24; write 0 to 23" },
    { "* * 0 * *", "in the day of the month “0”: there is no day of the month 0; write 1 to 31" },
    { "* * * 13 *", "in the month “13”: there is no month 13; write 1 to 12" },
    { "* * * * 8", "in the weekday “8”: there is no weekday 8; write 0 to 7" },
    { "99999 * * * *", "in the minute “99999”: “99999” is not a minute; write 0 to 59" },
    { "-1 * * * *", "in the minute “-1”: “” is not a minute; write 0 to 59" },
    { "+1 * * * *", "in the minute “+1”: “+1” is not a minute; write 0 to 59" },
    { "1, * * * *", "in the minute “1,”: “” is not a minute; write 0 to 59" },
    { "1-2-3 * * * *", "in the minute “1-2-3”: “2-3” is not a minute; write 0 to 59" },
    { "** * * * *", "in the minute “**”: “**” is not a minute; write 0 to 59" },
    { "*-5 * * * *", "in the minute “*-5”: “*” is not a minute; write 0 to 59" },
    { "5/15 * * * *",
      "in the minute “5/15”: only a range can have a step; write for example 5-59/15" },
    { "*/0 * * * *", "in the minute “*/0”: “0” is not a step; write for example */2" },
    { "*/ * * * *", "in the minute “*/”: “” is not a step; write for example */2" },
    { "*/x * * * *", "in the minute “*/x”: “x” is not a step; write for example */2" },
    { "*/1/2 * * * *", "in the minute “*/1/2”: “1/2” is not a step; write for example */2" },
    { "30-20 * * * *",
      "in the minute “30-20”: the range 30-20 goes backwards; write two ranges with a comma" },
    { "* * * * Fri-Mon",
      "in the weekday “Fri-Mon”: the range Fri-Mon goes backwards; write two ranges with a comma" },
    { "Jan * * * *", "in the minute “Jan”: “Jan” is not a minute; write 0 to 59" },
    { "* * * Mon *", "in the month “Mon”: “Mon” is not a month; write 1 to 12, or Jan, Feb …" },
    { "* * * * Mo", "in the weekday “Mo”: “Mo” is not a weekday; write 0 to 7, or Mon, Tue …" },
    { "* * L * *", "in the day of the month “L”: “L” is not a day of the month; write 1 to 31" },
    { "0 0 30 2 *", "there is no day 30 in the month 2, so it would never run" },
    { "0 0 31 Feb,Apr,Jun *",
      "there is no day 31 in the month Feb,Apr,Jun, so it would never run" },
    { "0 0 31 4 */2", "there is no day 31 in the month 4, so it would never run" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      KpCalendar calendar;

      g_test_message ("%s", bad[i].fields);
      g_assert_false (parse (&calendar, bad[i].fields, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_cmpstr (error->message, ==, bad[i].message);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/calendar/next", test_next);
  g_test_add_func ("/plan/calendar/every-minute", test_every_minute);
  g_test_add_func ("/plan/calendar/last-day", test_last_day);
  g_test_add_func ("/plan/calendar/period", test_period);
  g_test_add_func ("/plan/calendar/refused", test_refused);
  return g_test_run ();
}

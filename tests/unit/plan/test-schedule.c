/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-schedule.h"

#include <string.h>

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

/* "2026-10-25T02:30:00+02:00", with an offset where a zone does not say which of two is meant. */
static gint64
unix_time (const char *text, GTimeZone *zone)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (text, zone);

  g_assert_nonnull (time);
  return g_date_time_to_unix (time);
}

static char *
describe (gint64 unix_seconds, GTimeZone *zone)
{
  if (unix_seconds == G_MAXINT64)
    return g_strdup ("never");
  if (unix_seconds == 0)
    return g_strdup ("not due");
  g_autoptr (GDateTime) utc = g_date_time_new_from_unix_utc (unix_seconds);
  g_autoptr (GDateTime) local = g_date_time_to_timezone (utc, zone);
  return g_date_time_format (local, "%Y-%m-%dT%H:%M:%S%z");
}

static GTimeZone *
find_zone (const char *name)
{
  GTimeZone *zone = g_time_zone_new_identifier (name);

  g_assert_nonnull (zone);
  return zone;
}

static KpSchedule *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  KpSchedule *schedule = kp_schedule_parse (text, &error);

  g_assert_no_error (error);
  return schedule;
}

static const struct
{
  const char *text;
  const char *canonical;
  KpScheduleKind kind;
  guint64 quiet;
  guint64 period;
} parses[] = {
  { "manual", "manual", KP_SCHEDULE_MANUAL, 0, 0 },
  { " Manual ", "manual", KP_SCHEDULE_MANUAL, 0, 0 },
  { "@watch", "@watch 5m", KP_SCHEDULE_WATCH, 300, DAY },
  { "@watch 90s", "@watch 90s", KP_SCHEDULE_WATCH, 90, DAY },
  { "@watch 1h30m", "@watch 90m", KP_SCHEDULE_WATCH, 5400, DAY },
  { "@watch 7200", "@watch 2h", KP_SCHEDULE_WATCH, 7200, DAY },
  { "@watch 1d", "@watch 24h", KP_SCHEDULE_WATCH, 86400, DAY },
  { "@hourly", "@hourly", KP_SCHEDULE_HOURLY, 0, HOUR },
  { "@daily", "@daily 12:30", KP_SCHEDULE_DAILY, 0, DAY },
  { "@Daily  00:05", "@daily 00:05", KP_SCHEDULE_DAILY, 0, DAY },
  { "@weekly", "@weekly Mon 12:30", KP_SCHEDULE_WEEKLY, 0, 7 * DAY },
  { "@weekly sunday", "@weekly Sun 12:30", KP_SCHEDULE_WEEKLY, 0, 7 * DAY },
  { "@weekly 23:59", "@weekly Mon 23:59", KP_SCHEDULE_WEEKLY, 0, 7 * DAY },
  { "@weekly Fri\t07:00", "@weekly Fri 07:00", KP_SCHEDULE_WEEKLY, 0, 7 * DAY },
  { "@monthly", "@monthly 1 12:30", KP_SCHEDULE_MONTHLY, 0, 31 * DAY },
  { "@monthly 31", "@monthly 31 12:30", KP_SCHEDULE_MONTHLY, 0, 31 * DAY },
  { "@monthly 09 06:00", "@monthly 9 06:00", KP_SCHEDULE_MONTHLY, 0, 31 * DAY },
  { "*/15  9-17 * * Mon-Fri", "*/15 9-17 * * Mon-Fri", KP_SCHEDULE_CRON, 0, DAY * 7 / 5 },
  { "0 * * * *", "0 * * * *", KP_SCHEDULE_CRON, 0, HOUR },
};

static void
test_parse (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (parses); i++)
    {
      g_autoptr (KpSchedule) schedule = parse (parses[i].text);
      g_autoptr (KpSchedule) again = parse (kp_schedule_to_string (schedule));

      g_test_message ("%s", parses[i].text);
      g_assert_cmpint (kp_schedule_get_kind (schedule), ==, parses[i].kind);
      g_assert_cmpstr (kp_schedule_to_string (schedule), ==, parses[i].canonical);
      g_assert_cmpuint (kp_schedule_get_quiet_seconds (schedule), ==, parses[i].quiet);
      g_assert_cmpuint (kp_schedule_get_period (schedule), ==, parses[i].period);
      g_assert_true (kp_schedule_equal (schedule, again));
    }
}

static void
test_refused (void)
{
  static const struct
  {
    const char *text;
    const char *names; /* what the message has to name */
  } bad[] = {
    { "", "The schedule is empty" },
    { " \n", "The schedule is empty" },
    { "daily", "“daily” is not known; write manual, @watch 5m, @hourly, @daily 12:30" },
    { "@dayly", "“@dayly” is not known" },
    { "@reboot", "“@reboot” is not known" },
    { "@", "“@” is not known" },
    { "@daily 25:00", "In the schedule “@daily 25:00”: “25:00” is not a time" },
    { "@daily 12:60", "“12:60” is not a time; write it from 00:00 to 23:59" },
    { "@daily 9:00", "“9:00” is not a time" },
    { "@daily 12-30", "“12-30” is not a time" },
    { "@daily Mon", "“Mon” is not a time" },
    { "@daily 12:30 13:30", "“13:30” is too much" },
    { "@hourly 5", "“5” is too much" },
    { "manual now", "“now” is too much" },
    { "@weekly Mo 12:30", "“Mo” is not a weekday; write Mon, Tue" },
    { "@weekly 1 12:30", "“1” is not a weekday" },
    { "@weekly 12:30 Mon", "“Mon” is too much" },
    { "@weekly Mon Tue", "“Tue” is not a time" },
    { "@weekly Mon 12:30 x", "“x” is too much" },
    { "@monthly 0 12:30", "“0” is not a day of the month; write 1 to 31" },
    { "@monthly 32", "“32” is not a day of the month" },
    { "@monthly 001", "“001” is not a day of the month" },
    { "@monthly Mon", "“Mon” is not a day of the month" },
    { "@watch 0", "“0” cannot be waited for; write from 1s to 24h" },
    { "@watch 25h", "“25h” cannot be waited for" },
    { "@watch soon", "“soon” is not a duration" },
    { "@watch 5m 6m", "“6m” is too much" },
    { "* * * *", "cron has five fields (minute, hour, day of the month, month, weekday) and these "
                 "are 4" },
    { "* * * * * *", "these are 6" },
    { "61 * * * *", "In the schedule “61 * * * *”: in the minute “61”: there is no minute 61" },
    { "0 0 30 2 *", "there is no day 30 in the month 2, so it would never run" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", bad[i].text);
      g_assert_null (kp_schedule_parse (bad[i].text, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, bad[i].names));
    }
}

static const char berlin[] = "Europe/Berlin";
static const char new_york[] = "America/New_York";

/* Berlin: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00.
 * New York: 2026-03-08 02:00 → 03:00, 2026-11-01 02:00 → 01:00. */
static const struct
{
  const char *text;
  const char *zone;
  const char *after;
  const char *next[4];
} cases[] = {
  { "manual", berlin, "2026-11-02T10:00:00", { "never" } },
  { "@watch", berlin, "2026-11-02T10:00:00", { "never" } },
  { "@hourly",
    berlin,
    "2026-11-02T10:00:00",
    { "2026-11-02T11:00:00+0100", "2026-11-02T12:00:00+0100" } },
  { "@hourly", berlin, "2026-11-02T10:59:59", { "2026-11-02T11:00:00+0100" } },
  { "@daily", berlin, "2026-11-02T12:29:59", { "2026-11-02T12:30:00+0100" } },
  { "@daily", berlin, "2026-11-02T12:30:00", { "2026-11-03T12:30:00+0100" } },
  { "@daily 00:00", berlin, "2026-12-31T23:59:59", { "2027-01-01T00:00:00+0100" } },
  { "@daily 23:59", "Asia/Kathmandu", "2026-12-31T23:59:00", { "2027-01-01T23:59:00+0545" } },
  { "@weekly",
    new_york,
    "2026-12-25T00:00:00",
    { "2026-12-28T12:30:00-0500", "2027-01-04T12:30:00-0500" } },
  { "@weekly Sun 00:30", berlin, "2026-11-02T00:00:00", { "2026-11-08T00:30:00+0100" } },
  { "@monthly",
    berlin,
    "2026-11-02T00:00:00",
    { "2026-12-01T12:30:00+0100", "2027-01-01T12:30:00+0100" } },
  { "@monthly 31",
    berlin,
    "2027-01-31T12:30:00",
    { "2027-02-28T12:30:00+0100", "2027-03-31T12:30:00+0200", "2027-04-30T12:30:00+0200" } },
  { "@monthly 31",
    berlin,
    "2028-02-01T00:00:00",
    { "2028-02-29T12:30:00+0100", "2028-03-31T12:30:00+0200" } },
  { "@monthly 29",
    berlin,
    "2027-02-01T00:00:00",
    { "2027-02-28T12:30:00+0100", "2027-03-29T12:30:00+0200" } },
  { "0 0 29 2 *",
    berlin,
    "2026-11-02T00:00:00",
    { "2028-02-29T00:00:00+0100", "2032-02-29T00:00:00+0100" } },

  /* Spring: what the clock leaps over is due right after the gap, once. */
  { "@daily 02:30",
    berlin,
    "2026-03-28T02:30:00",
    { "2026-03-29T03:00:00+0200", "2026-03-30T02:30:00+0200" } },
  { "@daily 02:00",
    berlin,
    "2026-03-28T12:00:00",
    { "2026-03-29T03:00:00+0200", "2026-03-30T02:00:00+0200" } },
  { "@daily 01:59", berlin, "2026-03-28T12:00:00", { "2026-03-29T01:59:00+0100" } },
  { "@daily 03:00", berlin, "2026-03-28T12:00:00", { "2026-03-29T03:00:00+0200" } },
  { "@daily 02:30",
    new_york,
    "2026-03-07T12:00:00",
    { "2026-03-08T03:00:00-0400", "2026-03-09T02:30:00-0400" } },
  { "@daily 12:30",
    new_york,
    "2026-03-07T00:00:00",
    { "2026-03-07T12:30:00-0500", "2026-03-08T12:30:00-0400" } },
  { "*/20 2 * * *",
    berlin,
    "2026-03-28T02:30:00",
    { "2026-03-28T02:40:00+0100", "2026-03-29T03:00:00+0200", "2026-03-30T02:00:00+0200" } },
  { "30 2,3 * * *",
    berlin,
    "2026-03-28T12:00:00",
    { "2026-03-29T03:00:00+0200", "2026-03-29T03:30:00+0200", "2026-03-30T02:30:00+0200" } },
  { "@hourly",
    berlin,
    "2026-03-29T00:30:00",
    { "2026-03-29T01:00:00+0100", "2026-03-29T03:00:00+0200", "2026-03-29T04:00:00+0200" } },
  { "0 2 29 3 *", berlin, "2026-01-01T00:00:00", { "2026-03-29T03:00:00+0200" } },

  /* Autumn: what the clock shows twice is due at the first. */
  { "@daily 02:30",
    berlin,
    "2026-10-24T12:00:00",
    { "2026-10-25T02:30:00+0200", "2026-10-26T02:30:00+0100" } },
  { "@daily 02:30", berlin, "2026-10-25T02:29:59+01:00", { "2026-10-26T02:30:00+0100" } },
  { "@daily 02:00",
    berlin,
    "2026-10-24T12:00:00",
    { "2026-10-25T02:00:00+0200", "2026-10-26T02:00:00+0100" } },
  { "@daily 03:00", berlin, "2026-10-25T02:30:00+02:00", { "2026-10-25T03:00:00+0100" } },
  { "@daily 01:30",
    new_york,
    "2026-10-31T12:00:00",
    { "2026-11-01T01:30:00-0400", "2026-11-02T01:30:00-0500" } },
  { "*/30 2 * * *",
    berlin,
    "2026-10-25T02:00:00+02:00",
    { "2026-10-25T02:30:00+0200", "2026-10-26T02:00:00+0100" } },
  { "0 2 25 10 *",
    berlin,
    "2026-01-01T00:00:00",
    { "2026-10-25T02:00:00+0200", "2027-10-25T02:00:00+0200" } },

  /* Every hour is every hour that passes. */
  { "@hourly",
    berlin,
    "2026-10-25T01:30:00",
    { "2026-10-25T02:00:00+0200", "2026-10-25T02:00:00+0100", "2026-10-25T03:00:00+0100" } },
  { "30 * * * *",
    new_york,
    "2026-11-01T00:40:00",
    { "2026-11-01T01:30:00-0400", "2026-11-01T01:30:00-0500", "2026-11-01T02:30:00-0500" } },
  { "*/20 * * * *",
    berlin,
    "2026-10-25T02:30:00+02:00",
    { "2026-10-25T02:40:00+0200", "2026-10-25T02:00:00+0100", "2026-10-25T02:20:00+0100",
      "2026-10-25T02:40:00+0100" } },
  { "30 * 25 10 *",
    berlin,
    "2026-10-25T02:00:00+02:00",
    { "2026-10-25T02:30:00+0200", "2026-10-25T02:30:00+0100", "2026-10-25T03:30:00+0100" } },

  /* Half an hour of summer time, midnight in the gap, a day that never was. */
  { "@daily 02:15",
    "Australia/Lord_Howe",
    "2026-10-03T12:00:00",
    { "2026-10-04T02:30:00+1100", "2026-10-05T02:15:00+1100" } },
  { "@daily 01:45",
    "Australia/Lord_Howe",
    "2026-04-04T12:00:00",
    { "2026-04-05T01:45:00+1100", "2026-04-06T01:45:00+1030" } },
  { "@hourly",
    "Australia/Lord_Howe",
    "2026-04-04T10:10:00",
    { "2026-04-04T11:00:00+1100", "2026-04-04T12:00:00+1100" } },
  { "@hourly",
    "Australia/Lord_Howe",
    "2026-04-05T00:10:00",
    { "2026-04-05T01:00:00+1100", "2026-04-05T02:00:00+1030", "2026-04-05T03:00:00+1030" } },
  { "@daily 00:00",
    "America/Asuncion",
    "2023-09-30T12:00:00",
    { "2023-10-01T01:00:00-0300", "2023-10-02T00:00:00-0300" } },
  { "@daily 12:30",
    "Pacific/Apia",
    "2011-12-29T12:00:00",
    { "2011-12-29T12:30:00-1000", "2011-12-31T00:00:00+1400", "2011-12-31T12:30:00+1400" } },
};

static void
test_next_after (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpSchedule) schedule = parse (cases[i].text);
      g_autoptr (GTimeZone) zone = find_zone (cases[i].zone);
      gint64 time = unix_time (cases[i].after, zone);

      g_test_message ("%s after %s in %s", cases[i].text, cases[i].after, cases[i].zone);
      for (gsize j = 0; j < G_N_ELEMENTS (cases[i].next) && cases[i].next[j] != NULL; j++)
        {
          time = kp_schedule_next_after (schedule, time, zone);
          g_autofree char *text = describe (time, zone);
          g_assert_cmpstr (text, ==, cases[i].next[j]);
        }
    }
}

static const char *const all_kinds[] = {
  "@hourly",           "@daily 02:30",          "@daily 00:00",   "@weekly Sun 01:30",
  "@monthly 31 02:00", "*/17 * * * *",          "*/20 1-3 * * *", "30 2 * * Sun",
  "0 0 13 * Fri",      "59 23 28-31 * *",       "0 */5 * * *",    "15 2 29 2 *",
  "0 12 * * Mon-Fri",  "*/30 2 25-31 3,10 Sun",
};

static const char *const zones[] = {
  "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC",
};

/* Whatever the moment: the next time is later, nothing lies in between, and seen from a second
 * before it is the same. */
static void
test_strictly_increasing (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (all_kinds); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (zones); j++)
      {
        g_autoptr (KpSchedule) schedule = parse (all_kinds[i]);
        g_autoptr (GTimeZone) zone = find_zone (zones[j]);
        gint64 time = 1767225600 + g_test_rand_int_range (0, 400 * DAY);

        for (int n = 0; n < 500; n++)
          {
            gint64 next = kp_schedule_next_after (schedule, time, zone);

            g_assert_cmpint (next, >, time);
            g_assert_cmpint (kp_schedule_next_after (schedule, next - 1, zone), ==, next);
            gint64 between = time + (gint64) (g_test_rand_double () * (double) (next - time));
            g_assert_cmpint (kp_schedule_next_after (schedule, between, zone), ==, next);
            time = next;
          }
      }
}

/* At any time after a missed one it is the same that is due: the last before now; and none once a
 * run has followed it. */
static void
test_due_once (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (all_kinds); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (zones); j++)
      {
        g_autoptr (KpSchedule) schedule = parse (all_kinds[i]);
        g_autoptr (GTimeZone) zone = find_zone (zones[j]);
        gint64 due = 1767225600 + g_test_rand_int_range (0, 400 * DAY);

        for (int n = 0; n < 30; n++)
          {
            due = kp_schedule_next_after (schedule, due, zone);
            gint64 next = kp_schedule_next_after (schedule, due, zone);
            gint64 last_run = due - g_test_rand_int_range (1, 60 * DAY);

            g_assert_cmpint (kp_schedule_due_since (schedule, last_run, due, zone), ==, due);
            g_assert_cmpint (kp_schedule_due_since (schedule, due - 1, next - 1, zone), ==, due);
            gint64 now = due + (gint64) (g_test_rand_double () * (double) (next - due));
            g_assert_cmpint (kp_schedule_due_since (schedule, last_run, now, zone), ==, due);
            g_assert_cmpint (kp_schedule_due_since (schedule, due, now, zone), ==, 0);
            g_assert_cmpint (kp_schedule_due_since (schedule, now, now, zone), ==, 0);
            g_assert_cmpint (kp_schedule_due_since (schedule, now, next - 1, zone), ==, 0);
          }
      }
}

static const struct
{
  const char *text;
  const char *last_run; /* or NULL: never */
  const char *now;
  const char *due;
} due_cases[] = {
  { "@daily", NULL, "2026-11-02T09:00:00", "2026-11-02T09:00:00+0100" },
  { "@watch", NULL, "2026-11-02T09:00:00", "2026-11-02T09:00:00+0100" },
  { "0 0 29 2 *", NULL, "2026-11-02T09:00:00", "2026-11-02T09:00:00+0100" },
  { "manual", NULL, "2026-11-02T09:00:00", "not due" },
  { "manual", "2026-01-01T09:00:00", "2026-11-02T09:00:00", "not due" },
  { "@watch", "2026-01-01T09:00:00", "2026-11-02T09:00:00", "not due" },
  { "@daily", "2026-11-01T12:31:00", "2026-11-02T12:29:59", "not due" },
  { "@daily", "2026-11-01T12:31:00", "2026-11-02T12:30:00", "2026-11-02T12:30:00+0100" },
  { "@daily", "2026-10-20T12:31:00", "2026-11-02T12:00:00", "2026-11-01T12:30:00+0100" },
  { "@daily", "2026-11-02T12:30:00", "2026-11-02T20:00:00", "not due" },
  { "@daily", "2026-11-02T12:29:59", "2026-11-02T20:00:00", "2026-11-02T12:30:00+0100" },
  /* One in the night of the gap, one in the night of the double hour. */
  { "@daily 02:30", "2026-03-29T03:00:00", "2026-03-29T12:00:00", "not due" },
  { "@daily 02:30", "2026-03-29T01:00:00", "2026-03-29T12:00:00", "2026-03-29T03:00:00+0200" },
  { "@daily 02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "not due" },
  { "@daily 02:30", "2026-10-25T02:00:00+02:00", "2026-10-25T02:10:00+01:00",
    "2026-10-25T02:30:00+0200" },
  /* A year away. */
  { "* * * * *", "2025-11-02T09:00:30", "2026-11-02T09:00:30", "2026-11-02T09:00:00+0100" },
  { "@monthly 31", "2026-01-15T00:00:00", "2026-03-01T00:00:00", "2026-02-28T12:30:00+0100" },
  /* The clock was wrong: ran tomorrow, or ten years on. */
  { "@daily", "2026-11-03T12:31:00", "2026-11-02T20:00:00", "not due" },
  { "@hourly", "2036-11-02T12:31:00", "2026-11-02T20:00:00", "not due" },
  { "@hourly", "2026-11-02T20:00:00", "2026-11-02T20:00:00", "not due" },
};

static void
test_due_since (void)
{
  g_autoptr (GTimeZone) zone = find_zone (berlin);

  for (gsize i = 0; i < G_N_ELEMENTS (due_cases); i++)
    {
      g_autoptr (KpSchedule) schedule = parse (due_cases[i].text);
      gint64 last_run = due_cases[i].last_run != NULL ? unix_time (due_cases[i].last_run, zone) : 0;
      gint64 now = unix_time (due_cases[i].now, zone);

      g_test_message ("%s: ran %s, now %s", due_cases[i].text, due_cases[i].last_run,
                      due_cases[i].now);
      gint64 due = kp_schedule_due_since (schedule, last_run, now, zone);
      g_autofree char *text = describe (due, zone);
      g_assert_cmpstr (text, ==, due_cases[i].due);
    }
}

/* Looks once a minute, as a scheduler would, and runs at once. */
static char *
simulate (KpSchedule *schedule,
          GTimeZone *zone,
          const char *start,
          int days,
          const char *asleep_from,
          const char *asleep_until)
{
  gint64 begin = unix_time (start, zone);
  gint64 sleep_begin = unix_time (asleep_from, zone);
  gint64 sleep_end = unix_time (asleep_until, zone);
  gint64 last_run = 0;
  g_autoptr (GString) runs = g_string_new (NULL);

  for (gint64 now = begin; now < begin + (gint64) days * DAY; now += MINUTE)
    {
      if (now >= sleep_begin && now < sleep_end)
        continue;
      gint64 due = kp_schedule_due_since (schedule, last_run, now, zone);
      if (due == 0)
        continue;
      g_autoptr (GDateTime) utc = g_date_time_new_from_unix_utc (now);
      g_autoptr (GDateTime) local = g_date_time_to_timezone (utc, zone);
      g_autofree char *text = g_date_time_format (local, "%d-%H:%M");
      g_string_append_printf (runs, "%s%s", runs->len > 0 ? " " : "", text);
      last_run = now;
    }
  return g_string_free (g_steal_pointer (&runs), FALSE);
}

static void
test_ten_days (void)
{
  g_autoptr (GTimeZone) zone = find_zone (berlin);
  g_autoptr (KpSchedule) daily = parse ("@daily 12:30");
  g_autoptr (KpSchedule) weekly = parse ("@weekly Thu 09:00");

  /* New at 10:00, so it runs at once; asleep on three days; summer time ends on the 25th. */
  g_autofree char *runs = simulate (daily, zone, "2026-10-19T10:00:00", 10, "2026-10-21T08:00:00",
                                    "2026-10-24T09:15:00");
  g_assert_cmpstr (runs, ==,
                   "19-10:00 19-12:30 20-12:30 24-09:15 24-12:30 25-12:30 26-12:30 27-12:30 "
                   "28-12:30");

  /* Asleep over several times and awake just before the next: once, not again at the next of the
   * same kind. */
  g_autofree char *weekly_runs = simulate (weekly, zone, "2026-10-01T12:00:00", 30,
                                           "2026-10-08T08:00:00", "2026-10-23T09:15:00");
  g_assert_cmpstr (weekly_runs, ==, "01-12:00 23-09:15 29-09:00");
}

static void
test_clock_set_back (void)
{
  g_autoptr (GTimeZone) zone = find_zone (berlin);
  g_autoptr (KpSchedule) schedule = parse ("@daily 12:30");
  gint64 last_run = unix_time ("2026-11-05T12:30:00", zone);
  gint64 noon = unix_time ("2026-11-02T12:00:00", zone);

  /* Three days too far; then the clock is put right. It waits, and is due in time from then on. */
  g_assert_cmpint (kp_schedule_due_since (schedule, last_run, noon, zone), ==, 0);
  last_run = MIN (last_run, noon);
  gint64 half_past = unix_time ("2026-11-02T12:30:00", zone);
  g_assert_cmpint (kp_schedule_due_since (schedule, last_run, half_past - 1, zone), ==, 0);
  g_assert_cmpint (kp_schedule_due_since (schedule, last_run, half_past, zone), ==, half_past);
}

static void
test_far_away (void)
{
  static const gint64 times[] = { G_MININT64, -1, 0, 1, 253402300798, G_MAXINT64 };
  g_autoptr (GTimeZone) zone = find_zone (berlin);

  for (gsize i = 0; i < G_N_ELEMENTS (all_kinds); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (times); j++)
      {
        g_autoptr (KpSchedule) schedule = parse (all_kinds[i]);
        gint64 next = kp_schedule_next_after (schedule, times[j], zone);

        g_assert_true (next > times[j] || next == G_MAXINT64);
        kp_schedule_due_since (schedule, times[j], 1800000000, zone);
        kp_schedule_due_since (schedule, 1800000000, times[j], zone);
      }
}

static void
test_spread (void)
{
  static const char id[] = "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a";
  int buckets[10] = { 0 };

  /* The same everywhere and for ever. */
  g_assert_cmpint (kp_schedule_spread (id, 300), ==, 215);
  g_assert_cmpint (kp_schedule_spread (id, 0), ==, 0);

  for (int i = 0; i < 10000; i++)
    {
      g_autofree char *uuid = g_uuid_string_random ();
      gint64 seconds = kp_schedule_spread (uuid, 299);

      g_assert_cmpint (seconds, >=, 0);
      g_assert_cmpint (seconds, <=, 299);
      buckets[seconds / 30]++;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (buckets); i++)
    {
      g_assert_cmpint (buckets[i], >, 800);
      g_assert_cmpint (buckets[i], <, 1200);
    }
}

static void
test_boxed (void)
{
  g_autoptr (KpSchedule) schedule = parse ("@daily");
  KpSchedule *copy = g_boxed_copy (KP_TYPE_SCHEDULE, schedule);

  g_assert_true (copy == schedule);
  g_boxed_free (KP_TYPE_SCHEDULE, copy);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/schedule/parse", test_parse);
  g_test_add_func ("/plan/schedule/refused", test_refused);
  g_test_add_func ("/plan/schedule/next-after", test_next_after);
  g_test_add_func ("/plan/schedule/strictly-increasing", test_strictly_increasing);
  g_test_add_func ("/plan/schedule/due-once", test_due_once);
  g_test_add_func ("/plan/schedule/due-since", test_due_since);
  g_test_add_func ("/plan/schedule/ten-days", test_ten_days);
  g_test_add_func ("/plan/schedule/clock-set-back", test_clock_set_back);
  g_test_add_func ("/plan/schedule/far-away", test_far_away);
  g_test_add_func ("/plan/schedule/spread", test_spread);
  g_test_add_func ("/plan/schedule/boxed", test_boxed);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-moment.h"

#include "kp-error.h"
#include "kp-size.h"

#include <string.h>

#define AGO " ago"

/* Of minutes, hours … ago. */
#define MAX_NUMBER 100000

#define DATE_LENGTH 10

typedef struct
{
  const char *name;
  GDateTime *(*add) (GDateTime *time, int number);
} Unit;

static const Unit units[] = {
  { "m", g_date_time_add_minutes },      { "min", g_date_time_add_minutes },
  { "minute", g_date_time_add_minutes }, { "h", g_date_time_add_hours },
  { "hour", g_date_time_add_hours },     { "d", g_date_time_add_days },
  { "day", g_date_time_add_days },       { "w", g_date_time_add_weeks },
  { "week", g_date_time_add_weeks },     { "month", g_date_time_add_months },
  { "year", g_date_time_add_years },
};

/* "18:00" or "18:00:30"; nothing is the end of the day. */
static gboolean
parse_clock (const char *text, int *hour, int *minute, int *second)
{
  guint64 numbers[3] = { 23, 59, 59 };
  static const guint64 largest[3] = { 23, 59, 59 };

  if (*text != '\0')
    {
      g_auto (GStrv) parts = g_strsplit (text, ":", -1);
      guint n = g_strv_length (parts);

      if (n < 2 || n > 3)
        return FALSE;
      numbers[2] = 0;
      for (guint i = 0; i < n; i++)
        if (strlen (parts[i]) > 2
            || !g_ascii_string_to_unsigned (parts[i], 10, 0, largest[i], &numbers[i], NULL))
          return FALSE;
    }
  *hour = (int) numbers[0];
  *minute = (int) numbers[1];
  *second = (int) numbers[2];
  return TRUE;
}

/* @clock: "" for the end of the day, or now on the present one */
static GDateTime *
on_day (GDateTime *day, const char *clock, GDateTime *now)
{
  int hour;
  int minute;
  int second;
  int year;
  int month;
  int number;

  if (!parse_clock (clock, &hour, &minute, &second))
    return NULL;
  g_date_time_get_ymd (day, &year, &month, &number);
  g_autoptr (GDateTime) time
      = g_date_time_new (g_date_time_get_timezone (now), year, month, number, hour, minute, second);
  g_autoptr (GDateTime) start
      = g_date_time_new (g_date_time_get_timezone (now), year, month, number, 0, 0, 0);
  if (time == NULL)
    return NULL;
  gboolean is_today = g_date_time_compare (start, now) <= 0 && g_date_time_compare (now, time) < 0;
  return g_date_time_ref (*clock == '\0' && is_today ? now : time);
}

/* The text behind @word and a blank, "" where there is no more, or NULL. */
static const char *
behind (const char *text, const char *word)
{
  gsize length = strlen (word);

  if (g_ascii_strncasecmp (text, word, length) != 0
      || (text[length] != '\0' && text[length] != ' '))
    return NULL;
  return text[length] == ' ' ? text + length + 1 : text + length;
}

static GDateTime *
parse_named_day (const char *text, GDateTime *now)
{
  const char *clock = behind (text, "today");

  if (clock != NULL)
    return on_day (now, clock, now);
  clock = behind (text, "yesterday");
  if (clock == NULL)
    return NULL;
  g_autoptr (GDateTime) day = g_date_time_add_days (now, -1);
  return on_day (day, clock, now);
}

/* "3 days ago", "90 min ago", "2h ago" */
static GDateTime *
parse_ago (const char *text, GDateTime *now)
{
  char *name = NULL;

  if (!g_ascii_isdigit (*text) || !g_str_has_suffix (text, AGO))
    return NULL;
  g_autofree char *span = g_strndup (text, strlen (text) - strlen (AGO));
  guint64 number = g_ascii_strtoull (span, &name, 10);
  name = g_strstrip (name);
  gsize length = strlen (name);
  if (length > 1 && name[length - 1] == 's')
    name[length - 1] = '\0';
  if (number > MAX_NUMBER)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_str_equal (name, units[i].name))
      return units[i].add (now, -(int) number);
  return NULL;
}

/* "2026-11-27", "2026-11-27 18:00", "2026-11-27T18:00:00Z", "…+01:00" */
static GDateTime *
parse_date (const char *text, GDateTime *now)
{
  GTimeZone *zone = g_date_time_get_timezone (now);
  g_autofree char *copy = g_strdup (text);
  gsize length = strlen (text);

  if (length < DATE_LENGTH || text[4] != '-' || text[7] != '-'
      || (length > DATE_LENGTH && text[DATE_LENGTH] != ' ' && text[DATE_LENGTH] != 'T'))
    return NULL;
  copy[DATE_LENGTH] = '\0';
  g_autofree char *midnight = g_strconcat (copy, "T00:00:00", NULL);
  g_autoptr (GDateTime) day = g_date_time_new_from_iso8601 (midnight, zone);
  if (day == NULL || length == DATE_LENGTH)
    return day != NULL ? on_day (day, "", now) : NULL;

  const char *clock = text + DATE_LENGTH + 1;
  GDateTime *time = *clock != '\0' ? on_day (day, clock, now) : NULL;
  if (time != NULL)
    return time;
  g_autofree char *whole = g_strconcat (copy, "T", clock, NULL);
  return g_date_time_new_from_iso8601 (whole, zone);
}

/**
 * kp_moment_parse:
 * @text: "2026-11-27", "2026-11-27 18:00", "2026-11-27T18:00:00Z", "yesterday", "yesterday 18:00",
 *   "today 9:30", "3 days ago", "2 hours ago", "now"; a day without an hour is its end. Times
 *   without a zone are in that of @now.
 * @moment: (out): Unix seconds, above 0, which means now elsewhere
 * @error: %KP_ERROR_USAGE, also for what is still to come
 */
gboolean
kp_moment_parse (const char *text, GDateTime *now, gint64 *moment, GError **error)
{
  g_autofree char *copy = g_strstrip (g_strdup (text));
  g_autoptr (GDateTime) time = NULL;

  if (g_ascii_strcasecmp (copy, "now") == 0)
    time = g_date_time_ref (now);
  if (time == NULL)
    time = parse_named_day (copy, now);
  if (time == NULL)
    time = parse_ago (copy, now);
  if (time == NULL)
    time = parse_date (copy, now);
  if (time == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is no time; write “2026-11-27 18:00”, “yesterday 18:00” or “3 days ago”",
                   text);
      return FALSE;
    }
  *moment = g_date_time_to_unix (time);
  if (*moment <= 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is before anything was stored; times begin in 1970", text);
      return FALSE;
    }
  if (*moment <= g_date_time_to_unix (now))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is still to come; only the past can be shown",
               text);
  return FALSE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-calendar.h"

#include "kp-error.h"

#include <string.h>

#define SECONDS_PER_DAY 86400
#define JULIAN_OF_1970 719163

/* The 28 years in which every date has met every weekday, leap days included. */
#define CYCLE_START_YEAR 2001
#define CYCLE_YEARS 28

/* 29 February can be as rare on a given weekday as every 40 years: 2100 is no leap year. */
#define SEARCH_YEARS 41

static const char *const weekday_names[]
    = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", NULL };
static const char *const month_names[]
    = { "january", "february",  "march",   "april",    "may",      "june", "july",
        "august",  "september", "october", "november", "december", NULL };

typedef struct
{
  const char *what;
  int first;
  int last;
  const char *const *names; /* or NULL */
  int first_name;           /* what the first of them stands for */
} Field;

/* In the order of crontab(5). Sunday is 0 and 7. */
static const Field fields_of_cron[] = {
  { "minute", 0, 59, NULL, 0 },           { "hour", 0, 23, NULL, 0 },
  { "day of the month", 1, 31, NULL, 0 }, { "month", 1, 12, month_names, 1 },
  { "weekday", 0, 7, weekday_names, 0 },
};

/* "Mon" or "Monday", in any case. Returns -1 if it is neither. */
static int
find_name (const char *const *names, const char *text)
{
  for (int i = 0; names[i] != NULL; i++)
    if (g_ascii_strcasecmp (text, names[i]) == 0
        || (strlen (text) == 3 && g_ascii_strncasecmp (text, names[i], 3) == 0))
      return i;
  return -1;
}

/**
 * kp_calendar_parse_weekday:
 * @text: "Mon" or "Monday", in any case
 *
 * Returns: 0 (Sunday) to 6, or -1 if it is no weekday
 */
int
kp_calendar_parse_weekday (const char *text)
{
  return find_name (weekday_names, text);
}

static gboolean
parse_value (const Field *field, const char *text, int *value, GError **error)
{
  gsize length = strlen (text);

  if (field->names != NULL)
    {
      int i = find_name (field->names, text);
      if (i >= 0)
        {
          *value = i + field->first_name;
          return TRUE;
        }
    }
  if (length == 0 || length > 4 || text[strspn (text, "0123456789")] != '\0')
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is not a %s; write %d to %d%s", text,
                   field->what, field->first, field->last,
                   field->names == NULL            ? ""
                   : field->names == weekday_names ? ", or Mon, Tue …"
                                                   : ", or Jan, Feb …");
      return FALSE;
    }
  *value = (int) g_ascii_strtoll (text, NULL, 10);
  if (*value < field->first || *value > field->last)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "there is no %s %s; write %d to %d",
                   field->what, text, field->first, field->last);
      return FALSE;
    }
  return TRUE;
}

static gboolean
parse_range (const Field *field, char *text, int *first, int *last, GError **error)
{
  if (g_str_equal (text, "*"))
    {
      *first = field->first;
      *last = field->last;
      return TRUE;
    }

  char *dash = strchr (text, '-');
  if (dash == NULL)
    {
      if (!parse_value (field, text, first, error))
        return FALSE;
      *last = *first;
      return TRUE;
    }

  *dash = '\0';
  if (!parse_value (field, text, first, error) || !parse_value (field, dash + 1, last, error))
    return FALSE;
  /* "Sat-Sun": at the end of a range, Sunday is the seventh day. */
  if (field->names == weekday_names && *last == 0 && *first > 0)
    *last = 7;
  if (*first > *last)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "the range %s-%s goes backwards; write two ranges with a comma", text, dash + 1);
      return FALSE;
    }
  return TRUE;
}

/* One element of a list: "*", "5", "1-5", each but the number alone with "/STEP". */
static gboolean
parse_element (const Field *field, char *text, guint64 *bits, GError **error)
{
  int first;
  int last;
  int step = 1;
  char *slash = strchr (text, '/');

  if (slash != NULL)
    {
      *slash = '\0';
      const char *digits = slash + 1;
      gsize length = strlen (digits);
      if (length == 0 || length > 3 || digits[strspn (digits, "0123456789")] != '\0'
          || (step = (int) g_ascii_strtoll (digits, NULL, 10)) == 0)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "“%s” is not a step; write for example %s/2", digits, text);
          return FALSE;
        }
      if (*text != '*' && strchr (text, '-') == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "only a range can have a step; write for example %s-%d/%d", text,
                       field->last, step);
          return FALSE;
        }
    }
  if (!parse_range (field, text, &first, &last, error))
    return FALSE;

  for (int value = first; value <= last; value += step)
    *bits |= G_GUINT64_CONSTANT (1) << value;
  return TRUE;
}

static gboolean
parse_field (const Field *field, const char *text, guint64 *bits, GError **error)
{
  g_auto (GStrv) elements = g_strsplit (text, ",", -1);

  *bits = 0;
  for (char **element = elements; *element != NULL; element++)
    if (!parse_element (field, *element, bits, error))
      {
        g_prefix_error (error, "in the %s “%s”: ", field->what, text);
        return FALSE;
      }
  return TRUE;
}

static gboolean
is_matching_day (const KpCalendar *calendar, const GDate *date)
{
  guint32 from_this_day = calendar->days >> g_date_get_day (date);
  gboolean fits_day = (from_this_day & 1) != 0;
  gboolean fits_weekday = (calendar->weekdays >> (g_date_get_weekday (date) % 7) & 1) != 0;

  if (calendar->last_day && g_date_is_last_of_month (date))
    fits_day = from_this_day != 0;
  return calendar->either_day ? fits_day || fits_weekday : fits_day && fits_weekday;
}

/* The first matching day at or after @date. Returns FALSE where there is none before @end_year. */
static gboolean
find_day (const KpCalendar *calendar, GDate *date, int end_year)
{
  while (g_date_get_year (date) < end_year)
    {
      if ((calendar->months >> g_date_get_month (date) & 1) == 0)
        {
          g_date_set_day (date, 1);
          g_date_add_months (date, 1);
        }
      else if (is_matching_day (calendar, date))
        return TRUE;
      else
        g_date_add_days (date, 1);
    }
  return FALSE;
}

static int
count_days_of_cycle (const KpCalendar *calendar)
{
  GDate date;
  int count = 0;

  g_date_clear (&date, 1);
  g_date_set_dmy (&date, 1, G_DATE_JANUARY, CYCLE_START_YEAR);
  while (find_day (calendar, &date, CYCLE_START_YEAR + CYCLE_YEARS))
    {
      count++;
      g_date_add_days (&date, 1);
    }
  return count;
}

/**
 * kp_calendar_parse_cron:
 * @calendar: (out): what the fields mean
 * @fields: the five fields of crontab(5)
 * @error: %KP_ERROR_USAGE, naming the field; also for a date that never comes
 *
 * As in Vixie's cron, a day of the month and a weekday that are both restricted mean "either"; one
 * that begins with "*", even "*" with a step, is not restricted.
 */
gboolean
kp_calendar_parse_cron (KpCalendar *calendar, const char *const *fields, GError **error)
{
  guint64 bits[G_N_ELEMENTS (fields_of_cron)];

  for (gsize i = 0; i < G_N_ELEMENTS (fields_of_cron); i++)
    if (!parse_field (&fields_of_cron[i], fields[i], &bits[i], error))
      return FALSE;

  *calendar = (KpCalendar){
    .minutes = bits[0],
    .hours = (guint32) bits[1],
    .days = (guint32) bits[2],
    .months = (guint32) bits[3],
    .weekdays = (guint32) (bits[4] | bits[4] >> 7) & 0x7F,
    .either_day = *fields[2] != '*' && *fields[4] != '*',
  };
  if (count_days_of_cycle (calendar) == 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "there is no day %s in the month %s, so it would never run", fields[2],
                   fields[3]);
      return FALSE;
    }
  return TRUE;
}

/* The first of the set bits at or after @from, or -1. */
static int
next_bit (guint64 bits, guint from)
{
  if (from > 63)
    return -1;
  bits &= ~G_GUINT64_CONSTANT (0) << from;
  return bits != 0 ? __builtin_ctzll (bits) : -1;
}

/* The first time of day at or after a minute of the day, in seconds, or -1. */
static gint64
next_time_of_day (const KpCalendar *calendar, guint minute_of_day)
{
  guint this_hour = minute_of_day / 60;
  int minute = next_bit (calendar->minutes, minute_of_day % 60);

  if (next_bit (calendar->hours, this_hour) == (int) this_hour && minute >= 0)
    return (gint64) this_hour * 3600 + minute * 60;
  int hour = next_bit (calendar->hours, this_hour + 1);
  return hour >= 0 ? (gint64) hour * 3600 + next_bit (calendar->minutes, 0) * 60 : -1;
}

/**
 * kp_calendar_next:
 * @wall: a wall time
 *
 * Returns: the first matching minute strictly after @wall; %G_MAXINT64 if there is none in the next
 *   40 years, which no calendar that was parsed has
 */
gint64
kp_calendar_next (const KpCalendar *calendar, gint64 wall)
{
  gint64 day_number = wall / SECONDS_PER_DAY - (wall % SECONDS_PER_DAY < 0);
  guint next_minute = (guint) (wall - day_number * SECONDS_PER_DAY) / 60 + 1;
  GDate date;

  g_date_clear (&date, 1);
  g_date_set_julian (&date, (guint32) (day_number + JULIAN_OF_1970));
  guint32 today = g_date_get_julian (&date);
  int end_year = g_date_get_year (&date) + SEARCH_YEARS;

  while (find_day (calendar, &date, end_year))
    {
      guint32 julian = g_date_get_julian (&date);
      gint64 time_of_day = next_time_of_day (calendar, julian == today ? next_minute : 0);
      if (time_of_day >= 0)
        return ((gint64) julian - JULIAN_OF_1970) * SECONDS_PER_DAY + time_of_day;
      g_date_add_days (&date, 1);
    }
  return G_MAXINT64;
}

/**
 * kp_calendar_get_period:
 *
 * Returns: the usual distance in seconds between two matches. Where not every day has one, that is
 *   the mean distance of the days, as "every five minutes on the first of the month" is a monthly
 *   thing.
 */
guint64
kp_calendar_get_period (const KpCalendar *calendar)
{
  const int cycle = CYCLE_YEARS * 1461 / 4;
  int days = count_days_of_cycle (calendar);
  int times = __builtin_popcountll (calendar->minutes) * __builtin_popcount (calendar->hours);

  g_return_val_if_fail (days > 0 && times > 0, SECONDS_PER_DAY);
  if (days < cycle)
    return (guint64) cycle * SECONDS_PER_DAY / (guint64) days;
  return SECONDS_PER_DAY / (guint64) times;
}

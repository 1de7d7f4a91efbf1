/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "config.h"

#include "kp-words.h"

#include "kp-schedule.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* --- times ---------------------------------------------------------------------------------- */

/* Whole days from one local date to the other. */
static int
days_between (GDateTime *from, GDateTime *to)
{
  GDate a, b;

  g_date_clear (&a, 1);
  g_date_clear (&b, 1);
  g_date_set_dmy (&a, (GDateDay) g_date_time_get_day_of_month (from),
                  (GDateMonth) g_date_time_get_month (from),
                  (GDateYear) g_date_time_get_year (from));
  g_date_set_dmy (&b, (GDateDay) g_date_time_get_day_of_month (to),
                  (GDateMonth) g_date_time_get_month (to), (GDateYear) g_date_time_get_year (to));
  return g_date_days_between (&a, &b);
}

/**
 * kp_words_past:
 * @time: seconds since 1970 UTC
 *
 * Returns: (transfer full): "just now", "12 minutes ago", "yesterday at 15:30" and so on, in the
 *   local time zone; a time after @now is "just now", as clocks are set
 */
char *
kp_words_past (gint64 time, gint64 now)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time);
  g_autoptr (GDateTime) today = g_date_time_new_from_unix_local (now);
  gint64 age = now - time;

  if (age < MINUTE)
    return g_strdup (_ ("just now"));
  if (age < HOUR)
    return g_strdup_printf (ngettext ("%d minute ago", "%d minutes ago", (gulong) (age / MINUTE)),
                            (int) (age / MINUTE));
  int days = days_between (then, today);
  if (days == 0 || age < 6 * HOUR)
    return g_strdup_printf (ngettext ("%d hour ago", "%d hours ago", (gulong) (age / HOUR)),
                            (int) (age / HOUR));
  if (days == 1)
    /* Translators: g_date_time_format(); a time of yesterday, in the middle of a sentence */
    return g_date_time_format (then, _ ("yesterday at %H:%M"));
  if (days < 7)
    /* Translators: g_date_time_format(); %A is the day of the week */
    return g_date_time_format (then, _ ("on %A at %H:%M"));
  if (g_date_time_get_year (then) == g_date_time_get_year (today))
    /* Translators: g_date_time_format(); a date of this year */
    return g_date_time_format (then, _ ("on %-d %B"));
  /* Translators: g_date_time_format(); a date with its year */
  return g_date_time_format (then, _ ("on %-d %B %Y"));
}

/**
 * kp_words_future:
 *
 * Returns: (transfer full): "in 5 minutes", "today at 15:30", "tomorrow at 08:00" and so on; a time
 *   that has passed is "now"
 */
char *
kp_words_future (gint64 time, gint64 now)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time);
  g_autoptr (GDateTime) today = g_date_time_new_from_unix_local (now);
  gint64 left = time - now;

  if (left <= 0)
    return g_strdup (_ ("now"));
  if (left < HOUR)
    {
      int minutes = (int) ((left + MINUTE - 1) / MINUTE);
      return g_strdup_printf (ngettext ("in %d minute", "in %d minutes", (gulong) minutes),
                              minutes);
    }
  switch (days_between (today, then))
    {
    case 0:
      /* Translators: g_date_time_format() */
      return g_date_time_format (then, _ ("today at %H:%M"));
    case 1:
      /* Translators: g_date_time_format() */
      return g_date_time_format (then, _ ("tomorrow at %H:%M"));
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
      return g_date_time_format (then, _ ("on %A at %H:%M"));
    default:
      /* Translators: g_date_time_format(); a date and a time */
      return g_date_time_format (then, _ ("on %-d %B at %H:%M"));
    }
}

/* --- numbers -------------------------------------------------------------------------------- */

/**
 * kp_words_size:
 *
 * Returns: (transfer full): "999 B", "1.5 KiB", "23 MiB", never more precise than is true
 */
char *
kp_words_size (guint64 bytes)
{
  static const char *const units[]
      = { N_ ("%s KiB"), N_ ("%s MiB"), N_ ("%s GiB"), N_ ("%s TiB"), N_ ("%s PiB") };
  double value = (double) bytes / 1024;
  gsize unit = 0;

  if (bytes < 1024)
    /* Translators: a number of bytes */
    return g_strdup_printf (_ ("%u B"), (unsigned) bytes);
  while (value >= 1023.5 && unit + 1 < G_N_ELEMENTS (units))
    {
      value /= 1024;
      unit++;
    }
  g_autofree char *number = g_strdup_printf (value < 9.95 ? "%.1f" : "%.0f", value);
  const char *format = _ (units[unit]);
  const char *place = strstr (format, "%s");

  /* The format comes out of a table, where the compiler cannot check it. */
  if (place == NULL)
    return g_strdup (number);
  g_autofree char *before = g_strndup (format, (gsize) (place - format));
  return g_strconcat (before, number, place + 2, NULL);
}

/**
 * kp_words_rate:
 *
 * Returns: (transfer full): "256 KiB/s", or "no limit" for 0
 */
char *
kp_words_rate (guint64 bytes_per_second)
{
  if (bytes_per_second == 0)
    return g_strdup (_ ("no limit"));
  g_autofree char *size = kp_words_size (bytes_per_second);
  /* Translators: a size each second */
  return g_strdup_printf (_ ("%s/s"), size);
}

/**
 * kp_words_duration:
 *
 * Returns: (transfer full): as precise as somebody wants to know it: "less than a minute",
 *   "12 min", "3 h 20 min", "2 d 5 h", "60 d"
 */
char *
kp_words_duration (guint64 seconds)
{
  guint64 minutes = (seconds + MINUTE / 2) / MINUTE;
  guint64 hours = minutes / 60;
  guint64 days = (hours + 12) / 24;

  if (seconds < MINUTE)
    return g_strdup (_ ("less than a minute"));
  if (minutes < 60)
    /* Translators: minutes */
    return g_strdup_printf (_ ("%u min"), (unsigned) minutes);
  if (hours < 24 && minutes % 60 == 0)
    /* Translators: hours */
    return g_strdup_printf (_ ("%u h"), (unsigned) hours);
  if (hours < 24)
    /* Translators: hours and minutes */
    return g_strdup_printf (_ ("%u h %u min"), (unsigned) hours, (unsigned) (minutes % 60));
  if (hours < 7 * 24 && hours % 24 != 0)
    /* Translators: days and hours */
    return g_strdup_printf (_ ("%u d %u h"), (unsigned) (hours / 24), (unsigned) (hours % 24));
  return g_strdup_printf (ngettext ("%" PRIu64 " day", "%" PRIu64 " days", (gulong) days), days);
}

/**
 * kp_words_estimate:
 * @bytes: to send
 * @bytes_per_second: 0 when there is no limit
 *
 * Returns: (transfer full): how long the first backup takes, or what decides that
 */
char *
kp_words_estimate (guint64 bytes, guint64 bytes_per_second)
{
  g_autofree char *size = kp_words_size (bytes);

  if (bytes_per_second == 0)
    /* Translators: %s is a size */
    return g_strdup_printf (_ ("The first backup sends %s as fast as the line allows."), size);
  g_autofree char *rate = kp_words_rate (bytes_per_second);
  g_autofree char *duration = kp_words_duration (bytes / bytes_per_second);
  if (bytes / bytes_per_second < MINUTE)
    /* Translators: the first %s is a size, the second a rate */
    return g_strdup_printf (_ ("The first backup sends %s, in less than a minute at %s."), size,
                            rate);
  /* Translators: a size, a duration and a rate */
  return g_strdup_printf (_ ("The first backup sends %s: about %s at %s."), size, duration, rate);
}

char *
kp_words_files (guint64 n)
{
  return g_strdup_printf (ngettext ("%'" PRIu64 " file", "%'" PRIu64 " files", (gulong) n), n);
}

/* --- schedules ------------------------------------------------------------------------------ */

static char *
describe_weekly (const char *const *words)
{
  static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
  const char *day = words[1] != NULL && strchr (words[1], ':') == NULL ? words[1] : NULL;
  const char *time = words[1] == NULL ? NULL : day == NULL ? words[1] : words[2];

  for (gsize i = 0; day != NULL && i < G_N_ELEMENTS (days); i++)
    if (g_ascii_strncasecmp (day, days[i], 3) == 0)
      {
        /* 1 January 2024 was a Monday. */
        g_autoptr (GDateTime) date = g_date_time_new_utc (2024, 1, 1 + (int) i, 0, 0, 0);
        g_autofree char *name = g_date_time_format (date, "%A");
        if (time != NULL)
          /* Translators: a day of the week and a time */
          return g_strdup_printf (_ ("Every %s at %s"), name, time);
        /* Translators: a day of the week */
        return g_strdup_printf (_ ("Every %s"), name);
      }
  return g_strdup (_ ("Every week"));
}

static char *
describe_monthly (const char *const *words)
{
  const char *day = words[1] != NULL && strchr (words[1], ':') == NULL ? words[1] : NULL;
  const char *time = words[1] == NULL ? NULL : day == NULL ? words[1] : words[2];

  if (day != NULL && time != NULL)
    /* Translators: a day of the month (1 to 31) and a time */
    return g_strdup_printf (_ ("On day %s of every month at %s"), day, time);
  if (day != NULL)
    /* Translators: a day of the month (1 to 31) */
    return g_strdup_printf (_ ("On day %s of every month"), day);
  return g_strdup (_ ("Every month"));
}

/**
 * kp_words_schedule:
 * @text: a schedule as in a plan
 *
 * Returns: (transfer full): "Every day at 12:30"
 */
char *
kp_words_schedule (const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  const char *const *w = (const char *const *) words;
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, NULL);

  if (schedule == NULL)
    return g_strdup (text);
  switch (kp_schedule_get_kind (schedule))
    {
    case KP_SCHEDULE_MANUAL:
      return g_strdup (_ ("Only when you ask for it"));
    case KP_SCHEDULE_WATCH:
      return g_strdup (_ ("Soon after something changed"));
    case KP_SCHEDULE_HOURLY:
      return g_strdup (_ ("Every hour"));
    case KP_SCHEDULE_DAILY:
      if (w[1] != NULL)
        /* Translators: %s is a time */
        return g_strdup_printf (_ ("Every day at %s"), w[1]);
      return g_strdup (_ ("Every day"));
    case KP_SCHEDULE_WEEKLY:
      return describe_weekly (w);
    case KP_SCHEDULE_MONTHLY:
      return describe_monthly (w);
    case KP_SCHEDULE_CRON:
    default:
      /* Translators: %s are the five fields of crontab(5) */
      return g_strdup_printf (_ ("By the timetable “%s”"), text);
    }
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-schedule.h"

#include "kp-calendar.h"
#include "kp-error.h"
#include "kp-size.h"

#include <string.h>

#define SECONDS_PER_HOUR 3600
#define SECONDS_PER_DAY 86400
#define ALL_HOURS 0xFFFFFFu
#define ALL_DAYS 0xFFFFFFFEu
#define ALL_MONTHS 0x1FFEu
#define ALL_WEEKDAYS 0x7Fu

/* A little after noon most computers that are used at all are running. */
#define DEFAULT_HOUR 12
#define DEFAULT_MINUTE 30
#define DEFAULT_WEEKDAY 1
#define DEFAULT_DAY 1
#define DEFAULT_QUIET (5 * 60)
#define MAX_QUIET SECONDS_PER_DAY

/* The last second of the year 9999, and the first of 1900: outside, zones know nothing. */
#define MAX_TIME G_GINT64_CONSTANT (253402300799)
#define MIN_TIME G_GINT64_CONSTANT (-2208988800)

#define WHAT_TO_WRITE                                                                              \
  "write manual, @watch 5m, @hourly, @daily 12:30, @weekly Mon 12:30, @monthly 1 12:30, or the "   \
  "five fields of cron"

struct _KpSchedule
{
  KpScheduleKind kind;
  KpCalendar calendar;   /* of all but manual and @watch */
  guint64 quiet_seconds; /* of @watch */
  guint64 period;
  char *text;
};

G_DEFINE_BOXED_TYPE (KpSchedule, kp_schedule, kp_schedule_ref, kp_schedule_unref)

static const struct
{
  const char *name;
  KpScheduleKind kind;
  guint max_words;
} nicknames[] = {
  { "manual", KP_SCHEDULE_MANUAL, 0 },  { "@watch", KP_SCHEDULE_WATCH, 1 },
  { "@hourly", KP_SCHEDULE_HOURLY, 0 }, { "@daily", KP_SCHEDULE_DAILY, 1 },
  { "@weekly", KP_SCHEDULE_WEEKLY, 2 }, { "@monthly", KP_SCHEDULE_MONTHLY, 2 },
};

static const char *const weekdays[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* "HH:MM" */
static gboolean
parse_time_of_day (const char *text, int *hour, int *minute, GError **error)
{
  if (strlen (text) == 5 && text[2] == ':' && g_ascii_isdigit (text[0]) && g_ascii_isdigit (text[1])
      && g_ascii_isdigit (text[3]) && g_ascii_isdigit (text[4]))
    {
      *hour = g_ascii_digit_value (text[0]) * 10 + g_ascii_digit_value (text[1]);
      *minute = g_ascii_digit_value (text[3]) * 10 + g_ascii_digit_value (text[4]);
      if (*hour < 24 && *minute < 60)
        return TRUE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is not a time; write it from 00:00 to 23:59",
               text);
  return FALSE;
}

static gboolean
parse_watch (KpSchedule *schedule, const char *quiet, GError **error)
{
  guint64 seconds = DEFAULT_QUIET;

  if (quiet != NULL && !kp_duration_parse (quiet, &seconds, error))
    return FALSE;
  if (seconds == 0 || seconds > MAX_QUIET)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” cannot be waited for; write from 1s to 24h", quiet);
      return FALSE;
    }
  schedule->quiet_seconds = seconds;
  if (seconds % 3600 == 0)
    schedule->text = g_strdup_printf ("@watch %" G_GUINT64_FORMAT "h", seconds / 3600);
  else if (seconds % 60 == 0)
    schedule->text = g_strdup_printf ("@watch %" G_GUINT64_FORMAT "m", seconds / 60);
  else
    schedule->text = g_strdup_printf ("@watch %" G_GUINT64_FORMAT "s", seconds);
  return TRUE;
}

static gboolean
parse_day_of_month (const char *text, int *day, GError **error)
{
  gsize length = strlen (text);

  *day = length < 3 && text[strspn (text, "0123456789")] == '\0'
             ? (int) g_ascii_strtoll (text, NULL, 10)
             : 0;
  if (*day >= 1 && *day <= 31)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is not a day of the month; write 1 to 31 and then the time, as in 1 12:30",
               text);
  return FALSE;
}

static gboolean
parse_weekday (const char *text, int *weekday, GError **error)
{
  *weekday = kp_calendar_parse_weekday (text);
  if (*weekday >= 0)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is not a weekday; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, and then the "
               "time, as in Mon 12:30",
               text);
  return FALSE;
}

/* @words: those behind the nickname: a day, a time, both or none */
static gboolean
parse_daily_or_rarer (KpSchedule *schedule, char **words, GError **error)
{
  int hour = DEFAULT_HOUR;
  int minute = DEFAULT_MINUTE;
  int weekday = DEFAULT_WEEKDAY;
  int day = DEFAULT_DAY;
  KpCalendar *calendar = &schedule->calendar;

  if (*words != NULL && strchr (*words, ':') == NULL)
    {
      if (schedule->kind == KP_SCHEDULE_WEEKLY && !parse_weekday (*words++, &weekday, error))
        return FALSE;
      if (schedule->kind == KP_SCHEDULE_MONTHLY && !parse_day_of_month (*words++, &day, error))
        return FALSE;
    }
  if (*words != NULL && !parse_time_of_day (*words++, &hour, &minute, error))
    return FALSE;
  if (*words != NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is too much", *words);
      return FALSE;
    }

  calendar->minutes = G_GUINT64_CONSTANT (1) << minute;
  calendar->hours = 1u << hour;
  if (schedule->kind == KP_SCHEDULE_WEEKLY)
    {
      calendar->weekdays = 1u << weekday;
      schedule->text = g_strdup_printf ("@weekly %s %02d:%02d", weekdays[weekday], hour, minute);
    }
  else if (schedule->kind == KP_SCHEDULE_MONTHLY)
    {
      calendar->days = 1u << day;
      calendar->last_day = TRUE;
      schedule->text = g_strdup_printf ("@monthly %d %02d:%02d", day, hour, minute);
    }
  else
    {
      schedule->text = g_strdup_printf ("@daily %02d:%02d", hour, minute);
    }
  return TRUE;
}

/* @words: the nickname at @i and what stands behind it */
static gboolean
parse_nickname (KpSchedule *schedule, gsize i, char **words, GError **error)
{
  guint n_words = g_strv_length (words + 1);

  schedule->kind = nicknames[i].kind;
  schedule->calendar = (KpCalendar){ .minutes = 1,
                                     .hours = ALL_HOURS,
                                     .days = ALL_DAYS,
                                     .months = ALL_MONTHS,
                                     .weekdays = ALL_WEEKDAYS };
  if (n_words > nicknames[i].max_words)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is too much",
                   words[nicknames[i].max_words + 1]);
      return FALSE;
    }

  switch (schedule->kind)
    {
    case KP_SCHEDULE_WATCH:
      return parse_watch (schedule, words[1], error);
    case KP_SCHEDULE_HOURLY:
    case KP_SCHEDULE_MANUAL:
      schedule->text = g_strdup (nicknames[i].name);
      return TRUE;
    case KP_SCHEDULE_DAILY:
    case KP_SCHEDULE_WEEKLY:
    case KP_SCHEDULE_MONTHLY:
      return parse_daily_or_rarer (schedule, words + 1, error);
    case KP_SCHEDULE_CRON:
    default:
      g_assert_not_reached ();
    }
}

static gboolean
parse_cron (KpSchedule *schedule, char **words, GError **error)
{
  guint n_words = g_strv_length (words);

  if (n_words != 5)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "cron has five fields (minute, hour, day of the month, month, weekday) and "
                   "these are %u; " WHAT_TO_WRITE,
                   n_words);
      return FALSE;
    }
  schedule->kind = KP_SCHEDULE_CRON;
  schedule->text = g_strjoinv (" ", words);
  return kp_calendar_parse_cron (&schedule->calendar, (const char *const *) words, error);
}

static guint64
find_period (const KpSchedule *schedule)
{
  switch (schedule->kind)
    {
    case KP_SCHEDULE_MANUAL:
      return 0;
    case KP_SCHEDULE_HOURLY:
      return SECONDS_PER_HOUR;
    case KP_SCHEDULE_WATCH: /* at the least */
    case KP_SCHEDULE_DAILY:
      return SECONDS_PER_DAY;
    case KP_SCHEDULE_WEEKLY:
      return 7 * SECONDS_PER_DAY;
    case KP_SCHEDULE_MONTHLY:
      return 31 * SECONDS_PER_DAY;
    case KP_SCHEDULE_CRON:
    default:
      return kp_calendar_get_period (&schedule->calendar);
    }
}

static void
schedule_clear (gpointer data)
{
  KpSchedule *schedule = data;
  g_free (schedule->text);
}

/* The words of @text, without the empty ones. */
static char **
split_words (const char *text)
{
  g_auto (GStrv) words = g_strsplit_set (text, " \t\r\n", -1);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (char **word = words; *word != NULL; word++)
    if (**word != '\0')
      g_strv_builder_add (builder, *word);
  return g_strv_builder_end (builder);
}

/**
 * kp_schedule_parse:
 * @text: see the top of this header
 * @error: %KP_ERROR_USAGE, naming what makes no sense and what to write instead
 *
 * Returns: (transfer full): the schedule
 */
KpSchedule *
kp_schedule_parse (const char *text, GError **error)
{
  g_autoptr (KpSchedule) schedule = g_atomic_rc_box_new0 (KpSchedule);
  g_auto (GStrv) words = split_words (text);
  gboolean ok = FALSE;
  gsize i = 0;

  if (*words == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "The schedule is empty; " WHAT_TO_WRITE);
      return NULL;
    }

  while (i < G_N_ELEMENTS (nicknames) && g_ascii_strcasecmp (words[0], nicknames[i].name) != 0)
    i++;
  if (i < G_N_ELEMENTS (nicknames))
    ok = parse_nickname (schedule, i, words, error);
  else if (strchr ("0123456789*", *words[0]) != NULL)
    ok = parse_cron (schedule, words, error);
  else
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is not known; " WHAT_TO_WRITE, words[0]);

  if (!ok)
    {
      g_prefix_error (error, "In the schedule “%s”: ", text);
      return NULL;
    }
  schedule->period = find_period (schedule);
  return g_steal_pointer (&schedule);
}

/**
 * kp_schedule_ref:
 *
 * Returns: (transfer full): @schedule
 */
KpSchedule *
kp_schedule_ref (KpSchedule *schedule)
{
  return g_atomic_rc_box_acquire (schedule);
}

/**
 * kp_schedule_unref:
 * @schedule: (transfer full)
 */
void
kp_schedule_unref (KpSchedule *schedule)
{
  g_atomic_rc_box_release_full (schedule, schedule_clear);
}

KpScheduleKind
kp_schedule_get_kind (KpSchedule *schedule)
{
  return schedule->kind;
}

/**
 * kp_schedule_to_string:
 *
 * Returns: the schedule in full, with the times that were left out: what kp_schedule_parse() reads
 *   as the same schedule
 */
const char *
kp_schedule_to_string (KpSchedule *schedule)
{
  return schedule->text;
}

gboolean
kp_schedule_equal (KpSchedule *a, KpSchedule *b)
{
  return g_str_equal (a->text, b->text);
}

/**
 * kp_schedule_get_quiet_seconds:
 *
 * Returns: how long nothing may have changed before @watch is due, in seconds; 0 for the others
 */
guint64
kp_schedule_get_quiet_seconds (KpSchedule *schedule)
{
  return schedule->quiet_seconds;
}

/**
 * kp_schedule_get_period:
 *
 * Returns: how far apart the runs usually are, at the most, in seconds, to tell when one is
 *   overdue; 0 for manual
 */
guint64
kp_schedule_get_period (KpSchedule *schedule)
{
  return schedule->period;
}

static gboolean
has_calendar (KpSchedule *schedule)
{
  return schedule->kind != KP_SCHEDULE_MANUAL && schedule->kind != KP_SCHEDULE_WATCH;
}

/* What the wall clock is ahead of UTC at a moment, in seconds. */
static gint64
get_offset (GTimeZone *zone, gint64 moment)
{
  int interval = g_time_zone_find_interval (zone, G_TIME_TYPE_UNIVERSAL, moment);

  return g_time_zone_get_offset (zone, MAX (interval, 0));
}

/* The moments at which the wall clock shows @wall, as a rule one. Where it leaps over @wall, both
 * are the first after the gap. No zone has changed its offset twice in the two days looked at. */
static void
find_moments (GTimeZone *zone, gint64 wall, gint64 *first, gint64 *last)
{
  gint64 before = wall - SECONDS_PER_DAY;
  gint64 after = wall + SECONDS_PER_DAY;
  gint64 offset_before = get_offset (zone, before);
  gint64 offset_after = get_offset (zone, after);

  *first = wall - offset_before;
  *last = wall - offset_after;
  if (offset_before == offset_after)
    return;

  while (after - before > 1)
    {
      gint64 middle = before + (after - before) / 2;
      if (get_offset (zone, middle) == offset_before)
        before = middle;
      else
        after = middle;
    }
  gint64 change = after;

  gboolean shown_before = *first < change;
  gboolean shown_after = *last >= change;
  if (!shown_before && !shown_after)
    *first = *last = change;
  else if (!shown_after)
    *last = *first;
  else if (!shown_before)
    *first = *last;
}

/**
 * kp_schedule_next_after:
 * @unix_seconds: a moment
 * @zone: whose wall clock counts
 *
 * Returns: the first moment strictly after @unix_seconds when the schedule is due, in seconds since
 *   1970 UTC; %G_MAXINT64 for manual and @watch
 */
gint64
kp_schedule_next_after (KpSchedule *schedule, gint64 unix_seconds, GTimeZone *zone)
{
  if (!has_calendar (schedule) || unix_seconds >= MAX_TIME)
    return G_MAXINT64;
  unix_seconds = MAX (unix_seconds, MIN_TIME);

  gboolean every_hour = schedule->calendar.hours == ALL_HOURS;
  gint64 offset = get_offset (zone, unix_seconds);
  gint64 wall = unix_seconds + offset;
  gint64 best = G_MAXINT64;

  /* What is shown now, or a little earlier on the wall, may be shown again. */
  if (every_hour)
    wall -= MAX (0, offset - get_offset (zone, unix_seconds + SECONDS_PER_DAY));

  /* Later on the wall is later in time, for first and for last moments alike. So no earlier time
   * on the wall needs a look, and the first one with a new first moment ends the search. */
  while ((wall = kp_calendar_next (&schedule->calendar, wall)) != G_MAXINT64)
    {
      gint64 first;
      gint64 last;

      find_moments (zone, wall, &first, &last);
      if (every_hour && last > unix_seconds)
        best = MIN (best, last);
      if (first > unix_seconds)
        return MIN (best, first);
    }
  return best;
}

/**
 * kp_schedule_due_since:
 * @last_run_start: when the last run began, in seconds since 1970 UTC; 0 if there was none
 * @now: the present, likewise
 * @zone: whose wall clock counts
 *
 * What was missed is made up for once: however many times have passed, they are one. A last run in
 * the future, left by a clock that was wrong, counts as now. A caller who keeps on passing it is
 * told that nothing is due until then, so it should pass the last run that is not in the future,
 * which is the one of kp_history_get_summary().
 *
 * Returns: the latest time at or before @now that no run has followed; @now for a plan that never
 *   ran; 0 if nothing is due
 */
gint64
kp_schedule_due_since (KpSchedule *schedule, gint64 last_run_start, gint64 now, GTimeZone *zone)
{
  if (schedule->kind == KP_SCHEDULE_MANUAL)
    return 0;
  if (last_run_start <= 0)
    return now;
  if (last_run_start >= now || kp_schedule_next_after (schedule, last_run_start, zone) > now)
    return 0;

  /* The next time after a moment never goes back when the moment goes on: search for the last
   * moment that has it before now. */
  gint64 moment = last_run_start;
  gint64 end = now;
  while (end - moment > 1)
    {
      gint64 middle = moment + (end - moment) / 2;
      if (kp_schedule_next_after (schedule, middle, zone) <= now)
        moment = middle;
      else
        end = middle;
    }
  return kp_schedule_next_after (schedule, moment, zone);
}

/**
 * kp_schedule_spread:
 * @plan_id: of the plan
 * @max_seconds: the longest delay
 *
 * Returns: from 0 to @max_seconds, the same for a plan every time and another for the next one, so
 *   that a million installations do not knock at the same second
 */
gint64
kp_schedule_spread (const char *plan_id, guint max_seconds)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, plan_id, -1);

  hash[15] = '\0';
  return (gint64) (g_ascii_strtoull (hash, NULL, 16) % ((guint64) max_seconds + 1));
}

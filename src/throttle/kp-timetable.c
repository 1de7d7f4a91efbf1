/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-timetable.h"

#include "kp-error.h"
#include "kp-size.h"

#include <string.h>

#define SEPARATORS " \t\r\n;"
#define MINUTES_PER_DAY (24 * 60)
#define MINUTES_PER_WEEK (7 * MINUTES_PER_DAY)
#define N_DIRECTIONS (KP_DIRECTION_DOWN + 1)

typedef struct
{
  int minute; /* of the week, which begins on Monday as GDateTime's does */
  guint64 rates[N_DIRECTIONS];
} Slot;

struct _KpTimetable
{
  GArray *slots; /* (element-type Slot): by minute, no minute twice, at least one */
};

G_DEFINE_BOXED_TYPE (KpTimetable, kp_timetable, kp_timetable_ref, kp_timetable_unref)

static const char *const weekdays[]
    = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" };

/* "Mon" or "Monday", in any case. Returns -1 if it is neither. */
static int
parse_weekday (const char *text)
{
  for (gsize i = 0; i < G_N_ELEMENTS (weekdays); i++)
    if (g_ascii_strcasecmp (text, weekdays[i]) == 0
        || (strlen (text) == 3 && g_ascii_strncasecmp (text, weekdays[i], 3) == 0))
      return (int) i;
  return -1;
}

/* "HH:MM". Returns the minute of the day, or -1. */
static int
parse_time_of_day (const char *text)
{
  if (strlen (text) != 5 || text[2] != ':' || !g_ascii_isdigit (text[0])
      || !g_ascii_isdigit (text[1]) || !g_ascii_isdigit (text[3]) || !g_ascii_isdigit (text[4]))
    return -1;

  int hour = g_ascii_digit_value (text[0]) * 10 + g_ascii_digit_value (text[1]);
  int minute = g_ascii_digit_value (text[3]) * 10 + g_ascii_digit_value (text[4]);
  return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

static gboolean
parse_rate (const char *text, gboolean needs_unit, guint64 *rate, GError **error)
{
  if (needs_unit && *text != '\0' && text[strspn (text, "0123456789.")] == '\0')
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” does not say of what; write for example %sK or %sM", text, text, text);
      return FALSE;
    }
  return kp_rate_parse (text, rate, error);
}

/* "RATE" or "UPLOAD:DOWNLOAD" */
static gboolean
parse_rates (const char *text, gboolean needs_unit, guint64 rates[N_DIRECTIONS], GError **error)
{
  const char *colon = strchr (text, ':');
  if (colon == NULL)
    {
      if (!parse_rate (text, needs_unit, &rates[KP_DIRECTION_UP], error))
        return FALSE;
      rates[KP_DIRECTION_DOWN] = rates[KP_DIRECTION_UP];
      return TRUE;
    }

  g_autofree char *up = g_strndup (text, (gsize) (colon - text));
  return parse_rate (up, needs_unit, &rates[KP_DIRECTION_UP], error)
         && parse_rate (colon + 1, needs_unit, &rates[KP_DIRECTION_DOWN], error);
}

/* The slot of one minute; an entry that comes later in the text replaces an earlier one. */
static void
put_slot (GArray *slots, const Slot *slot)
{
  guint i = 0;

  while (i < slots->len && g_array_index (slots, Slot, i).minute < slot->minute)
    i++;
  if (i < slots->len && g_array_index (slots, Slot, i).minute == slot->minute)
    g_array_index (slots, Slot, i) = *slot;
  else
    g_array_insert_val (slots, i, *slot);
}

static gboolean
parse_entry (GArray *slots, const char *entry, GError **error)
{
  Slot slot;
  const char *comma = strchr (entry, ',');

  if (comma == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "has no time; write for example 08:00,512K or Mon-08:00,512K");
      return FALSE;
    }

  g_autofree char *when = g_strndup (entry, (gsize) (comma - entry));
  char *time_of_day = when;
  char *dash = strchr (when, '-');
  int weekday = -1;

  if (dash != NULL)
    {
      *dash = '\0';
      time_of_day = dash + 1;
      weekday = parse_weekday (when);
      if (weekday < 0)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "“%s” is not a weekday; write Mon, Tue, Wed, Thu, Fri, Sat or Sun", when);
          return FALSE;
        }
    }

  int minute = parse_time_of_day (time_of_day);
  if (minute < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is not a time; write it from 00:00 to 23:59", time_of_day);
      return FALSE;
    }
  if (!parse_rates (comma + 1, TRUE, slot.rates, error))
    return FALSE;

  for (int day = 0; day < 7; day++)
    if (weekday < 0 || weekday == day)
      {
        slot.minute = day * MINUTES_PER_DAY + minute;
        put_slot (slots, &slot);
      }
  return TRUE;
}

static KpTimetable *
timetable_new (void)
{
  KpTimetable *timetable = g_atomic_rc_box_new0 (KpTimetable);
  timetable->slots = g_array_new (FALSE, FALSE, sizeof (Slot));
  return timetable;
}

/**
 * kp_timetable_parse:
 * @text: see the top of this header
 * @error: %KP_ERROR_USAGE, naming the entry that makes no sense
 *
 * Returns: (transfer full): the timetable
 */
KpTimetable *
kp_timetable_parse (const char *text, GError **error)
{
  g_autoptr (KpTimetable) timetable = timetable_new ();
  g_auto (GStrv) entries = g_strsplit_set (text, SEPARATORS, -1);
  const char *first = NULL;
  gsize n_entries = 0;

  for (char **entry = entries; *entry != NULL; entry++)
    if (**entry != '\0')
      {
        if (first == NULL)
          first = *entry;
        n_entries++;
      }

  if (n_entries == 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "The limit “%s” is empty; write for example 512K, 08:00,512K or off", text);
      return NULL;
    }

  if (n_entries == 1 && strchr (first, ',') == NULL)
    {
      Slot always = { .minute = 0 };
      if (!parse_rates (first, FALSE, always.rates, error))
        {
          if (strchr (first, ':') != NULL)
            g_prefix_error (error, "In the limit “%s”: ", first);
          return NULL;
        }
      put_slot (timetable->slots, &always);
      return g_steal_pointer (&timetable);
    }

  for (char **entry = entries; *entry != NULL; entry++)
    if (**entry != '\0' && !parse_entry (timetable->slots, *entry, error))
      {
        g_prefix_error (error, "In the timetable entry “%s”: ", *entry);
        return NULL;
      }
  return g_steal_pointer (&timetable);
}

/**
 * kp_timetable_ref:
 *
 * Returns: (transfer full): @timetable
 */
KpTimetable *
kp_timetable_ref (KpTimetable *timetable)
{
  return g_atomic_rc_box_acquire (timetable);
}

static void
timetable_clear (gpointer data)
{
  KpTimetable *timetable = data;
  g_array_unref (timetable->slots);
}

/**
 * kp_timetable_unref:
 * @timetable: (transfer full)
 */
void
kp_timetable_unref (KpTimetable *timetable)
{
  g_atomic_rc_box_release_full (timetable, timetable_clear);
}

static int
minute_of_week (GDateTime *local)
{
  return (g_date_time_get_day_of_week (local) - 1) * MINUTES_PER_DAY
         + g_date_time_get_hour (local) * 60 + g_date_time_get_minute (local);
}

/* The slot in force: the last one that began, or the last one of the week before. */
static guint
slot_at (KpTimetable *timetable, GDateTime *local)
{
  int minute = minute_of_week (local);
  guint n_slots = timetable->slots->len;

  for (guint i = n_slots; i > 0; i--)
    if (g_array_index (timetable->slots, Slot, i - 1).minute <= minute)
      return i - 1;
  return n_slots - 1;
}

/**
 * kp_timetable_rate_at:
 * @local: the time on the wall
 *
 * Returns: the limit in bytes per second; 0 is none
 */
guint64
kp_timetable_rate_at (KpTimetable *timetable, GDateTime *local, KpDirection direction)
{
  guint slot = slot_at (timetable, local);
  return g_array_index (timetable->slots, Slot, slot).rates[direction];
}

/**
 * kp_timetable_next_change:
 * @local: the time on the wall
 *
 * Returns: the seconds, at least 1, until kp_timetable_rate_at() gives another answer; -1 if it
 *   never will. A clock that is set in between, or summer time, makes it wrong: look again.
 */
gint64
kp_timetable_next_change (KpTimetable *timetable, GDateTime *local, KpDirection direction)
{
  guint n_slots = timetable->slots->len;
  guint present = slot_at (timetable, local);
  guint64 rate = g_array_index (timetable->slots, Slot, present).rates[direction];

  for (guint i = 1; i < n_slots; i++)
    {
      const Slot *slot = &g_array_index (timetable->slots, Slot, (present + i) % n_slots);
      if (slot->rates[direction] == rate)
        continue;

      int minutes = slot->minute - minute_of_week (local);
      if (minutes <= 0)
        minutes += MINUTES_PER_WEEK;
      return (gint64) minutes * 60 - g_date_time_get_second (local);
    }
  return -1;
}

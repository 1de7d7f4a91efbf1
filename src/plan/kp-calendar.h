/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Which minutes of the calendar a schedule means: what crontab(5) calls the time and date fields.
 *
 * Only the clock on the wall: no time zone, no summer time, no present. A wall time is counted in
 * seconds from 1970-01-01 00:00 of the wall, as if every day had 86400 of them. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 minutes;     /* bits 0..59 */
  guint32 hours;       /* bits 0..23 */
  guint32 days;        /* bits 1..31 */
  guint32 months;      /* bits 1..12 */
  guint32 weekdays;    /* bits 0..6, 0 is Sunday */
  gboolean either_day; /* a day of the month or a weekday is enough; otherwise both must fit */
  gboolean last_day;   /* months that are too short for the day have it on their last */
} KpCalendar;

gboolean kp_calendar_parse_cron (KpCalendar *calendar, const char *const *fields, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_calendar_parse_weekday (const char *text);

gint64 kp_calendar_next (const KpCalendar *calendar, gint64 wall);
guint64 kp_calendar_get_period (const KpCalendar *calendar);

G_END_DECLS

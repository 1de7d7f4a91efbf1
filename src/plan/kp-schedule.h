/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* When a plan is due:
 *
 *   manual                 only when somebody asks for it
 *   @watch [5m]            when something changed and then was quiet for so long
 *   @hourly                at the full hour
 *   @daily [12:30]
 *   @weekly [Mon] [12:30]
 *   @monthly [1] [12:30]   a month that is too short has it on its last day
 *   30 12 * * Mon-Fri      the five fields of crontab(5)
 *
 * A schedule never changes once it is made and looks at no clock: time and zone are passed in. It
 * never waits, and it never decides whether a plan may run now.
 *
 * Summer time: a time that the wall clock leaps over is due at the first moment after the gap; a
 * time that it shows twice is due at the first. Only a schedule that names no hour (@hourly, or
 * cron's fields with "*" for the hour) is due at both, as its runs would otherwise be two hours
 * apart. */

#include <glib-object.h>

G_BEGIN_DECLS

typedef enum
{
  KP_SCHEDULE_MANUAL,
  KP_SCHEDULE_WATCH,
  KP_SCHEDULE_HOURLY,
  KP_SCHEDULE_DAILY,
  KP_SCHEDULE_WEEKLY,
  KP_SCHEDULE_MONTHLY,
  KP_SCHEDULE_CRON,
} KpScheduleKind;

#define KP_TYPE_SCHEDULE (kp_schedule_get_type ())

typedef struct _KpSchedule KpSchedule;

GType kp_schedule_get_type (void);
KpSchedule *kp_schedule_parse (const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpSchedule *kp_schedule_ref (KpSchedule *schedule);
void kp_schedule_unref (KpSchedule *schedule);

KpScheduleKind kp_schedule_get_kind (KpSchedule *schedule);
const char *kp_schedule_to_string (KpSchedule *schedule);
gboolean kp_schedule_equal (KpSchedule *a, KpSchedule *b);
guint64 kp_schedule_get_quiet_seconds (KpSchedule *schedule);
guint64 kp_schedule_get_period (KpSchedule *schedule);

gint64 kp_schedule_next_after (KpSchedule *schedule, gint64 unix_seconds, GTimeZone *zone);
gint64 kp_schedule_due_since (KpSchedule *schedule,
                              gint64 last_run_start,
                              gint64 now,
                              GTimeZone *zone);
gint64 kp_schedule_spread (const char *plan_id, guint max_seconds);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpSchedule, kp_schedule_unref)

G_END_DECLS

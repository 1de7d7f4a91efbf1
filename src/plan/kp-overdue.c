/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-overdue.h"

#define SECONDS_PER_DAY 86400
#define PERIODS 3

/**
 * kp_overdue_since:
 * @summary: of the plan's past
 * @known_since: since when there is the plan, in seconds since 1970 UTC; 0 where that is not known
 *
 * A plan is overdue after three of its periods without success, and a day at least. They count from
 * its last success, or from when there is the plan.
 *
 * Returns: the last second at which it is not overdue yet; 0 when it never will be, as things are
 */
gint64
kp_overdue_since (KpSchedule *schedule, const KpHistorySummary *summary, gint64 known_since)
{
  gint64 period = (gint64) kp_schedule_get_period (schedule);
  gint64 since = summary->last_success > 0 ? summary->last_success : known_since;

  if (kp_schedule_get_kind (schedule) == KP_SCHEDULE_MANUAL || since <= 0)
    return 0;
  return since + MAX (PERIODS * period, SECONDS_PER_DAY);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-overdue.h"

#define SECONDS_PER_DAY 86400
#define PERIODS 3

/* Since when a backup was wanted and none went to its end: the first attempt, or the first time
 * that was due and held back. 0 when none is wanted. */
static gint64
find_want (const KpHistorySummary *summary, gint64 due_since)
{
  if (summary->failing_since == 0 || due_since == 0)
    return MAX (summary->failing_since, due_since);
  return MIN (summary->failing_since, due_since);
}

/**
 * kp_overdue_since:
 * @summary: of the plan's past
 * @known_since: since when there is the plan, in seconds since 1970 UTC
 * @due_since: since when it is due and does not run, likewise; 0 when it is not
 *
 * A plan is overdue after three of its periods without success, and a day at least. Where a clock
 * says when it runs, they count from its last success, or from when there is the plan. With @watch
 * nothing has to run while nothing changes: there they count from when a backup was wanted first.
 *
 * Returns: the last second at which it is not overdue yet; 0 when it never will be, as things are
 */
gint64
kp_overdue_since (KpSchedule *schedule,
                  const KpHistorySummary *summary,
                  gint64 known_since,
                  gint64 due_since)
{
  gint64 period = (gint64) kp_schedule_get_period (schedule);
  gint64 since = summary->last_success > 0 ? summary->last_success : known_since;

  if (kp_schedule_get_kind (schedule) == KP_SCHEDULE_MANUAL)
    return 0;
  if (period == 0)
    {
      gint64 want = find_want (summary, due_since);
      if (want == 0)
        return 0;
      since = MAX (since, want);
    }
  return since > 0 ? since + MAX (PERIODS * period, SECONDS_PER_DAY) : 0;
}

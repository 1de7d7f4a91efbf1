/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-overdue.h"

#define DAY 86400
#define KNOWN 1793620800

/* What is not said is 0. */
typedef struct
{
  const char *schedule;
  KpHistorySummary summary;
  gint64 expected; /* seconds after KNOWN; 0 for never */
} Case;

static const Case cases[] = {
  /* A new plan has as long as one that had a success when it was made. */
  { .schedule = "@daily", .expected = 3 * DAY },
  { .schedule = "@daily", .summary.last_success = KNOWN + 7, .expected = 3 * DAY + 7 },
  { .schedule = "@weekly", .expected = 21 * DAY },
  /* A day at least. */
  { .schedule = "@hourly", .expected = DAY },
  { .schedule = "0 */12 * * *", .expected = 36 * 3600 },
  /* Attempts are no success. */
  { .schedule = "@daily",
    .summary
    = { .last_success = KNOWN + 7, .last_start = KNOWN + DAY, .failing_since = KNOWN + DAY },
    .expected = 3 * DAY + 7 },

  /* It looks once a day, whatever was seen. */
  { .schedule = "@watch", .summary.last_success = KNOWN + 7, .expected = 3 * DAY + 7 },
  { .schedule = "@watch",
    .summary = { .last_success = KNOWN, .failing_since = KNOWN + 5 * DAY },
    .expected = 3 * DAY },
  { .schedule = "@watch", .expected = 3 * DAY },

  { .schedule = "manual", .summary.failing_since = KNOWN, .expected = 0 },
};

static void
test_cases (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (KpSchedule) schedule = kp_schedule_parse (cases[i].schedule, &error);
      g_assert_no_error (error);
      gint64 since = kp_overdue_since (schedule, &cases[i].summary, KNOWN);

      g_test_message ("%zu: %s", i, cases[i].schedule);
      g_assert_cmpint (since, ==, cases[i].expected != 0 ? KNOWN + cases[i].expected : 0);
    }
}

/* The command line may not know since when there is the plan. */
static void
test_unknown_beginning (void)
{
  g_autoptr (KpSchedule) schedule = kp_schedule_parse ("@daily", NULL);

  g_assert_cmpint (kp_overdue_since (schedule, &(KpHistorySummary){ 0 }, 0), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/overdue/cases", test_cases);
  g_test_add_func ("/plan/overdue/unknown-beginning", test_unknown_beginning);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What somebody writes for a schedule: words, or the five fields of cron. */

#include "kp-schedule.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static const gint64 now = 1795379950;
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, &error);

  g_assert ((schedule == NULL) == (error != NULL));
  if (schedule == NULL)
    return 0;

  /* It is written so that it is understood again, and the same. */
  g_autoptr (KpSchedule) again = kp_schedule_parse (kp_schedule_to_string (schedule), NULL);
  g_assert (again != NULL && kp_schedule_equal (schedule, again));

  g_autoptr (GTimeZone) zone = g_time_zone_new_identifier ("Europe/Berlin");
  gint64 next = kp_schedule_next_after (schedule, now, zone);
  g_assert (next <= 0 || next > now);
  kp_schedule_get_period (schedule);
  return 0;
}

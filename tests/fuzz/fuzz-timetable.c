/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-timetable.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpTimetable) timetable = kp_timetable_parse (text, &error);
  g_autoptr (GDateTime) time = g_date_time_new_utc (2026, 11, 22, 20, 39, 10);

  g_assert ((timetable == NULL) == (error != NULL));
  if (timetable == NULL)
    return 0;
  kp_timetable_rate_at (timetable, time, KP_DIRECTION_UP);
  g_assert (kp_timetable_next_change (timetable, time, KP_DIRECTION_DOWN) >= -1);
  return 0;
}

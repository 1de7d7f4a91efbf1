/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-pace.h"

/* What is looked at: long enough to be calm, short enough to notice a change. */
#define WINDOW (5 * G_USEC_PER_SEC)

/* Less says nothing about a rate. */
#define MIN_SPAN (G_USEC_PER_SEC / 2)

/* Samples nearer to each other than this are one, so that they cover the window. */
#define MIN_DISTANCE (WINDOW / (KP_PACE_SAMPLES - 4))

static unsigned
at (const KpPace *pace, unsigned i)
{
  return (pace->first + i) % KP_PACE_SAMPLES;
}

/**
 * kp_pace_add:
 * @now: monotonic time in microseconds
 * @bytes_moved: since the job began; fewer than before when something has to be sent again
 */
void
kp_pace_add (KpPace *pace, gint64 now, guint64 bytes_moved)
{
  if (pace->n > 1 && now - pace->samples[at (pace, pace->n - 2)].time < MIN_DISTANCE)
    pace->n--;
  while (pace->n > 2 && now - pace->samples[at (pace, 1)].time > WINDOW)
    {
      pace->first = at (pace, 1);
      pace->n--;
    }
  if (pace->n == KP_PACE_SAMPLES)
    {
      pace->first = at (pace, 1);
      pace->n--;
    }
  unsigned last = at (pace, pace->n++);
  pace->samples[last].time = now;
  pace->samples[last].bytes = bytes_moved;
}

/**
 * kp_pace_get_rate:
 *
 * Returns: bytes per second over the last seconds; 0 when nothing moved, or when it is too soon to
 *   tell
 */
guint64
kp_pace_get_rate (const KpPace *pace)
{
  if (pace->n < 2)
    return 0;
  unsigned last = at (pace, pace->n - 1);
  gint64 span = pace->samples[last].time - pace->samples[pace->first].time;
  if (span < MIN_SPAN || pace->samples[last].bytes <= pace->samples[pace->first].bytes)
    return 0;
  return (guint64) ((double) (pace->samples[last].bytes - pace->samples[pace->first].bytes)
                    * G_USEC_PER_SEC / (double) span);
}

/**
 * kp_pace_get_seconds_left:
 * @limit: the present limit in bytes per second; 0 is none
 *
 * Goes by the slower of what the line gave and what the limit allows. While nothing has moved yet,
 * the limit alone has to do.
 *
 * Returns: seconds, at least 1; -1 when there is no telling
 */
gint64
kp_pace_get_seconds_left (const KpPace *pace, guint64 bytes_left, guint64 limit)
{
  guint64 rate = kp_pace_get_rate (pace);

  if (limit > 0 && (rate == 0 || rate > limit))
    rate = limit;
  if (rate == 0)
    return -1;
  return (gint64) MAX (bytes_left / rate, 1);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* How fast a job moves, and how long it will take: from what went over the line in the last
 * seconds, and from the present limit. Only arithmetic; the time is passed in. */

#include <glib.h>

G_BEGIN_DECLS

#define KP_PACE_SAMPLES 64

typedef struct
{
  struct
  {
    gint64 time; /* monotonic, microseconds */
    guint64 bytes;
  } samples[KP_PACE_SAMPLES];
  unsigned first;
  unsigned n;
} KpPace;

void kp_pace_add (KpPace *pace, gint64 now, guint64 bytes_moved);
guint64 kp_pace_get_rate (const KpPace *pace);
gint64 kp_pace_get_seconds_left (const KpPace *pace, guint64 bytes_left, guint64 limit);

G_END_DECLS

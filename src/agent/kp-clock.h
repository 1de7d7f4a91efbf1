/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The clock on the wall with one alarm. The alarm goes by that clock: it goes off late after the
 * computer slept, and in time after the clock was set. Nothing wakes up in between.
 *
 * A test's clock stands still until it is moved.
 *
 *   resumed (): the computer has slept; told before an alarm that is late for it. logind tells the
 *     same, but maybe later than the alarm goes off, and in a sandbox not at all
 *   alarm (): the time of the alarm has come
 *   jumped (): somebody set the clock; what was computed from it is to be computed again */

#include <glib-object.h>

G_BEGIN_DECLS

#define KP_TYPE_CLOCK (kp_clock_get_type ())
G_DECLARE_FINAL_TYPE (KpClock, kp_clock, KP, CLOCK, GObject)

KpClock *kp_clock_new (void);
KpClock *kp_clock_new_for_test (gint64 unix_seconds);

gint64 kp_clock_get_now (KpClock *clock);
void kp_clock_set_alarm (KpClock *clock, gint64 unix_seconds);
gint64 kp_clock_get_alarm (KpClock *clock);
void kp_clock_set_time (KpClock *clock, gint64 unix_seconds);
void kp_clock_sleep (KpClock *clock, gint64 seconds);

G_END_DECLS

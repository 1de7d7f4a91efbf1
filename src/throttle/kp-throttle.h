/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The limit on one direction of the whole process: whoever sends a byte asks here first.
 *
 * Streams that wait are served first come, first served, one quantum (1/50 s of the rate) at a
 * time. The rate may change while they wait. No second sees more than 105 % of the rate, and the
 * mean is the rate; rates so low that a quantum is KP_TOKEN_BUCKET_MIN_QUANTUM are coarser.
 *
 * Any thread may call any function; none may be called from a signal handler. */

#include "kp-timetable.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_THROTTLE (kp_throttle_get_type ())
G_DECLARE_FINAL_TYPE (KpThrottle, kp_throttle, KP, THROTTLE, GObject)

/* Returns (transfer full): the time on the wall. Is called with the throttle locked, so it must not
 * use the throttle. */
typedef GDateTime *(*KpWallClockFunc) (gpointer user_data);

KpThrottle *kp_throttle_new (guint64 bytes_per_second);
KpThrottle *kp_throttle_new_with_clock (guint64 bytes_per_second,
                                        KpWallClockFunc clock,
                                        gpointer user_data);

void kp_throttle_set_rate (KpThrottle *self, guint64 bytes_per_second);
guint64 kp_throttle_get_rate (KpThrottle *self);
void kp_throttle_set_timetable (KpThrottle *self, KpTimetable *timetable, KpDirection direction);
void kp_throttle_recheck (KpThrottle *self);
void kp_throttle_set_suspended (KpThrottle *self, gboolean suspended);
gboolean kp_throttle_get_suspended (KpThrottle *self);

gsize kp_throttle_acquire (KpThrottle *self,
                           gsize wanted,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_throttle_refund (KpThrottle *self, gsize bytes);
void kp_throttle_charge (KpThrottle *self, gsize bytes);
guint64 kp_throttle_get_total (KpThrottle *self);
guint kp_throttle_get_waiting (KpThrottle *self);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Limits by weekday and hour, in the syntax of rclone's --bwlimit:
 *
 *   "512K"                                        always
 *   "08:00,512K 19:00,10M 23:00,off"              every day
 *   "Mon-00:00,512K Fri-23:59,10M Sun-20:00,off"  by weekday, "Mon" or "Monday"
 *   "08:00,256K:2M"                               upload and download apart
 *
 * Entries are separated by blanks or semicolons. An entry holds until the next one, over midnight
 * and over the end of the week. The units are those of kp_rate_parse(). rclone reads a number
 * without a unit as KiB and we read one as bytes; beside a time, where rclone's tables are pasted,
 * such a number is refused.
 *
 * A timetable never changes once it is made, knows nothing of time zones and looks at no clock:
 * what is passed in is the time on the wall. */

#include <glib-object.h>

G_BEGIN_DECLS

typedef enum
{
  KP_DIRECTION_UP,
  KP_DIRECTION_DOWN,
} KpDirection;

#define KP_TYPE_TIMETABLE (kp_timetable_get_type ())

typedef struct _KpTimetable KpTimetable;

GType kp_timetable_get_type (void);
KpTimetable *kp_timetable_parse (const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpTimetable *kp_timetable_ref (KpTimetable *timetable);
void kp_timetable_unref (KpTimetable *timetable);

guint64 kp_timetable_rate_at (KpTimetable *timetable, GDateTime *local, KpDirection direction);
gint64 kp_timetable_next_change (KpTimetable *timetable, GDateTime *local, KpDirection direction);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpTimetable, kp_timetable_unref)

G_END_DECLS

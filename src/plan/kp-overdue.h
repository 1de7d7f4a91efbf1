/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Since when the absence of success has to alarm, whatever its reason is. The agent and the command
 * line ask the same function, so that they never say two things. */

#include "kp-history.h"
#include "kp-schedule.h"

G_BEGIN_DECLS

gint64 kp_overdue_since (KpSchedule *schedule, const KpHistorySummary *summary, gint64 known_since);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The set-up's third page: when, how fast, under which conditions, and what becomes of deleted
 * files. */

#include "kp-plan.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_SETUP_SCHEDULE (kp_setup_schedule_get_type ())
G_DECLARE_FINAL_TYPE (KpSetupSchedule, kp_setup_schedule, KP, SETUP_SCHEDULE, AdwBin)

void kp_setup_schedule_load (KpSetupSchedule *self, KpPlan *plan);
gboolean kp_setup_schedule_check (KpSetupSchedule *self);
void kp_setup_schedule_apply (KpSetupSchedule *self, KpPlan *plan);
void kp_setup_schedule_set_bytes (KpSetupSchedule *self, guint64 bytes);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-plan.c (the object) and kp-plan-json.c (its file) share. */

#include "kp-plan.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

KpPlan *kp_plan_new_with_id (const char *id);

/* The members of the file that we do not know, by the object they stand in. */
typedef enum
{
  KP_PLAN_LEVEL_TOP,
  KP_PLAN_LEVEL_DESTINATION,
  KP_PLAN_LEVEL_CONDITIONS,
} KpPlanLevel;

#define KP_PLAN_N_LEVELS (KP_PLAN_LEVEL_CONDITIONS + 1)

JsonObject *kp_plan_get_unknown (KpPlan *plan, KpPlanLevel level);
void kp_plan_set_unknown (KpPlan *plan, KpPlanLevel level, JsonObject *members);

G_END_DECLS

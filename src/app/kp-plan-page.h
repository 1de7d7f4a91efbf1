/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* All about one plan: how it stands, its job, its limit, what it did, and what can be done with it.
 */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_PLAN_PAGE (kp_plan_page_get_type ())
G_DECLARE_FINAL_TYPE (KpPlanPage, kp_plan_page, KP, PLAN_PAGE, AdwBin)

GtkWidget *kp_plan_page_new (KpPlanProxy *plan);
KpPlanProxy *kp_plan_page_get_plan (KpPlanPage *self);

G_END_DECLS

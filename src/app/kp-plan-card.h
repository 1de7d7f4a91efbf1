/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A plan on the overview: its name, how it stands, and the one button that helps. */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_PLAN_CARD (kp_plan_card_get_type ())
G_DECLARE_FINAL_TYPE (KpPlanCard, kp_plan_card, KP, PLAN_CARD, GtkListBoxRow)

GtkWidget *kp_plan_card_new (KpPlanProxy *plan);
KpPlanProxy *kp_plan_card_get_plan (KpPlanCard *self);

G_END_DECLS

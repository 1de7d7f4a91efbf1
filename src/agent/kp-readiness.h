/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the computer's state says against a job now: no network, a metered one, battery, power
 * saver. It knows no plans: whether a plan minds is the plan's business. Nothing is polled.
 *
 *   changed ()
 *   resumed (): the computer woke up */

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  KP_CONDITION_OFFLINE = 1 << 0,
  KP_CONDITION_METERED = 1 << 1,
  KP_CONDITION_BATTERY = 1 << 2,
  KP_CONDITION_POWER_SAVER = 1 << 3,
} KpConditions;

#define KP_TYPE_READINESS (kp_readiness_get_type ())
G_DECLARE_FINAL_TYPE (KpReadiness, kp_readiness, KP, READINESS, GObject)

KpReadiness *kp_readiness_new (void);
KpConditions kp_readiness_get_conditions (KpReadiness *readiness);

GStrv kp_conditions_to_strv (KpConditions conditions);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* One plan as the agent shows it, with its job: what rows, cards and pages bind to. "changed" comes
 * once for all that changed in one turn of the main loop. Never blocks. */

#include "kp-dbus.h"
#include "kp-plan.h"
#include "kp-words.h"

G_BEGIN_DECLS

#define KP_TYPE_PLAN_PROXY (kp_plan_proxy_get_type ())
G_DECLARE_FINAL_TYPE (KpPlanProxy, kp_plan_proxy, KP, PLAN_PROXY, GObject)

KpPlanProxy *kp_plan_proxy_new (KpDBusPlan *dbus);
const char *kp_plan_proxy_get_id (KpPlanProxy *self);
char *kp_plan_proxy_dup_place (KpPlanProxy *plan);
const char *kp_plan_proxy_get_name (KpPlanProxy *self);
KpDBusPlan *kp_plan_proxy_get_dbus (KpPlanProxy *self);
KpPlan *kp_plan_proxy_get_plan (KpPlanProxy *self);
KpDBusJob *kp_plan_proxy_get_job (KpPlanProxy *self);
gboolean kp_plan_proxy_can_run (KpPlanProxy *self);
void kp_plan_proxy_set_job (KpPlanProxy *self, KpDBusJob *job);
void kp_plan_proxy_note_job (KpPlanProxy *self, KpDBusJob *job);
guint kp_plan_proxy_get_erasures_failed (KpPlanProxy *self);
guint kp_plan_proxy_get_jobs_seen (KpPlanProxy *self);
void kp_plan_proxy_set_paused_until (KpPlanProxy *self, gint64 paused_until);
KpStanding *kp_plan_proxy_describe (KpPlanProxy *self);

gint64 kp_app_now (void);
void kp_job_read_facts (KpDBusJob *job, KpJobFacts *facts);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The plans in a folder, one file each, as a GListModel of KpPlan in the order of their names.
 *
 * A file that cannot be read or understood is a problem of its own and hides no other; where the
 * plan was good before, what it said then still holds. The store's plans are its own: to change
 * one, copy it, change the copy and save that. The object stays the same while the plan exists.
 *
 * Belongs to the thread whose main context was the default when it was made.
 *
 *   added (KpPlan), changed (KpPlan), removed (KpPlan)
 *   problem (path, GError), and with %NULL once it is over
 *
 * Each change is told once, whether we made it or somebody with an editor. */

#include "kp-plan.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  char *path;
  GError *error;
} KpPlanProblem;

#define KP_TYPE_PLAN_STORE (kp_plan_store_get_type ())
G_DECLARE_FINAL_TYPE (KpPlanStore, kp_plan_store, KP, PLAN_STORE, GObject)

KpPlanStore *kp_plan_store_new (const char *directory);
const char *kp_plan_store_get_directory (KpPlanStore *store);
const char *kp_plan_store_get_file (KpPlanStore *store, const char *id);

gboolean kp_plan_store_load (KpPlanStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_plan_store_watch (KpPlanStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_plan_store_save (KpPlanStore *store, KpPlan *plan, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_plan_store_remove (KpPlanStore *store, const char *id, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

KpPlan *kp_plan_store_get (KpPlanStore *store, const char *id);
KpPlan *kp_plan_store_find (KpPlanStore *store, const char *text, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_plan_store_get_problems (KpPlanStore *store);

void kp_plan_problem_free (KpPlanProblem *problem);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpPlanProblem, kp_plan_problem_free)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-stored.h"

/**
 * kp_stored_copy_others:
 * @plans: (element-type KpPlan): all there are
 *
 * Returns: (transfer full) (element-type KpPlan): all but @plan itself, for another thread
 */
GPtrArray *
kp_stored_copy_others (KpPlan *plan, GListModel *plans)
{
  GPtrArray *others = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < g_list_model_get_n_items (plans); i++)
    {
      g_autoptr (KpPlan) other = g_list_model_get_item (plans, i);
      if (!g_str_equal (kp_plan_get_id (other), kp_plan_get_id (plan)))
        g_ptr_array_add (others, kp_plan_copy (other));
    }
  return others;
}

/* A plan whose destination makes no sense can have stored nothing. */
static void
spare_plan (KpErase *erase, KpPlan *other)
{
  g_autoptr (KpS3Location) location = kp_plan_dup_location (other, NULL);
  GPtrArray *sources = kp_plan_get_sources (other);

  for (guint i = 0; location != NULL && i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      kp_erase_spare (erase, location, source->path, source->as);
    }
}

/**
 * kp_stored_new_erase:
 * @others: (element-type KpPlan): what they cover stays
 * @service: of the plan's destination
 * @state_dir: (nullable): as for kp_erase_new()
 *
 * Returns: (transfer full): what counts and deletes the objects of @plan
 */
KpErase *
kp_stored_new_erase (KpPlan *plan,
                     GPtrArray *others,
                     KpS3Service *service,
                     const char *state_dir,
                     KpEventFunc func,
                     void *user_data)
{
  KpErase *erase = kp_erase_new (service, state_dir, func, user_data);
  GPtrArray *sources = kp_plan_get_sources (plan);

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      kp_erase_add_source (erase, source->path, source->as);
    }
  for (guint i = 0; i < others->len; i++)
    spare_plan (erase, g_ptr_array_index (others, i));
  return erase;
}

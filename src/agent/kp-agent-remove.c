/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

/* The end of a plan, with or without what the storage holds of it. */

#include "kp-agent-private.h"

#include "kp-error.h"
#include "kp-keyring.h"

typedef struct
{
  KpAgent *agent;
  char *plan_id;
  char *name; /* of the plan */
  GError *error;
} Keys;

static gboolean
keys_cleared_cb (void *data)
{
  Keys *keys = data;

  if (keys->error != NULL)
    {
      g_info ("The keys of a removed plan: %s", keys->error->message);
      /* Elsewhere there may never have been any. */
      if (kp_error_is (keys->error, KP_ERROR_KEYRING_LOCKED))
        kp_agent_announce_keys_left (keys->agent, keys->plan_id, keys->name, keys->error->message);
    }
  g_object_unref (keys->agent);
  g_free (keys->plan_id);
  g_free (keys->name);
  g_clear_error (&keys->error);
  g_free (keys);
  return G_SOURCE_REMOVE;
}

/* In a thread, as the keyring may take its time, and may ask for a password. */
static void *
clear_keys_main (void *data)
{
  Keys *keys = data;

  if (!kp_keyring_clear (keys->plan_id, NULL, &keys->error) && keys->error == NULL)
    g_warn_if_reached ();
  g_idle_add (keys_cleared_cb, keys);
  return NULL;
}

/**
 * kp_agent_forget_plan:
 * @error: %KP_ERROR_BUSY while a job of it runs; %KP_ERROR_LOCAL_STORAGE: it is still there
 *
 * Removes the plan, its keys and its history. @plan is no longer valid then.
 */
gboolean
kp_agent_forget_plan (KpAgentPlan *plan, GError **error)
{
  KpAgent *self = plan->agent;
  g_autofree char *id = g_strdup (kp_plan_get_id (plan->plan));
  g_autofree char *name = g_strdup (kp_plan_get_name (plan->plan));

  if (plan->job != NULL || plan->in_preflight)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_BUSY,
                   "A job of “%s” runs; cancel it first, or wait for its end",
                   kp_plan_get_name (plan->plan));
      return FALSE;
    }
  /* It goes first, as nothing is begun without it; and then all else, as far as that can be done:
   * it is no plan's any more. */
  if (!kp_plan_store_remove (self->store, id, error))
    return FALSE;
  g_autoptr (GError) history_error = NULL;
  if (!kp_history_forget_plan (self->history, id, &history_error))
    g_warning ("The history of a removed plan: %s", history_error->message);
  kp_agent_state_forget_plan (self->state, id);
  Keys *keys = g_new0 (Keys, 1);
  keys->agent = g_object_ref (self);
  keys->plan_id = g_steal_pointer (&id);
  keys->name = g_steal_pointer (&name);
  g_thread_unref (g_thread_new ("keepsake-keys", clear_keys_main, keys));
  return TRUE;
}

static KpJob *
make_erase (KpAgentPlan *plan, const KpJobSettings *settings, void *data)
{
  const guint64 *max_delete = data;
  KpJob *job = kp_job_new_erase (plan->plan, settings, G_LIST_MODEL (plan->agent->store));

  kp_job_consent (job, *max_delete);
  return job;
}

/**
 * kp_agent_check_plans_readable:
 * @error: %KP_ERROR_DELETE_GUARD
 *
 * Before objects are deleted, or anybody is asked whether they are to be: what a plan covers that
 * cannot be read is not known.
 */
gboolean
kp_agent_check_plans_readable (KpAgent *self, GError **error)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (self->store);

  if (problems->len == 0)
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_DELETE_GUARD,
                       "Nothing is deleted while there is a plan that cannot be read: it may cover "
                       "the same objects");
  return FALSE;
}

/**
 * kp_agent_erase_async:
 * @max_delete: of how many objects somebody was told
 *
 * Begins or queues the deletion of all that the storage holds of the plan. To be finished with
 * kp_agent_run_finish(). kp_agent_plan_erased() removes the plan itself at the end.
 */
void
kp_agent_erase_async (KpAgentPlan *plan,
                      guint64 max_delete,
                      GAsyncReadyCallback callback,
                      void *user_data)
{
  GError *error = NULL;

  if (!kp_agent_check_plans_readable (plan->agent, &error))
    {
      g_autoptr (GTask) task = g_task_new (plan->agent, NULL, callback, user_data);
      g_task_return_error (task, error);
      return;
    }
  kp_agent_run_async (plan, make_erase, g_memdup2 (&max_delete, sizeof max_delete), g_free, TRUE,
                      FALSE, callback, user_data);
}

/**
 * kp_agent_plan_erased:
 * @job: of any kind, that has ended
 *
 * Removes the plan when the job has deleted all that the storage held of it. Where something is
 * left, the plan is the way to it, and stays. So does one that cannot be removed: the history knows
 * that nothing is stored of it, so that it is not due, and brings nothing back by itself.
 */
void
kp_agent_plan_erased (KpAgentPlan *plan, KpJob *job)
{
  g_autoptr (GError) error = NULL;
  const KpJobResult *result = kp_job_get_result (job);

  if (kp_job_get_kind (job) != KP_HISTORY_ERASE || result->error != NULL
      || result->counts.failed > 0)
    return;
  if (kp_agent_forget_plan (plan, &error))
    return;
  g_warning ("A plan whose objects were deleted stays: %s", error->message);
  kp_agent_announce_not_removed (plan, error->message);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-error.h"
#include "kp-preflight.h"
#include "kp-verify.h"

/* How often to look again while something is in the way that nothing tells the end of. Mounts are
 * told, so folders can wait; gnome-keyring says nothing when it is unlocked at login. */
#define RECHECK_FOLDERS 300
#define RECHECK_KEYS 60

KpAgentJob *
kp_agent_get_running_job (KpAgent *self)
{
  for (guint i = 0; i < self->jobs->len; i++)
    {
      KpAgentJob *job = g_ptr_array_index (self->jobs, i);
      if (kp_agent_job_has_started (job))
        return job;
    }
  return NULL;
}

static gint64
job_clock_cb (void *data)
{
  return kp_clock_get_now (data);
}

static KpJobSettings
get_settings (KpAgent *self)
{
  return (KpJobSettings){ .state_dir = self->state_dir,
                          .upload = self->upload,
                          .download = self->download,
                          .history = self->history,
                          .clock = job_clock_cb,
                          .clock_data = self->clock };
}

static KpAgentJob *
find_agent_job (KpAgent *self, KpJob *job)
{
  for (guint i = 0; i < self->jobs->len; i++)
    if (kp_agent_job_get_job (g_ptr_array_index (self->jobs, i)) == job)
      return g_ptr_array_index (self->jobs, i);
  return NULL;
}

static void
job_state_cb (KpJob *job, GParamSpec *pspec, KpAgent *self)
{
  KpAgentPlan *plan = kp_agent_find_plan (self, kp_plan_get_id (kp_job_get_plan (job)));

  if (plan != NULL)
    kp_agent_plan_show (plan);
  kp_agent_announce_job (self, find_agent_job (self, job));
  /* One that was cancelled in the queue has nobody else who clears it away. */
  if (kp_job_has_ended (job))
    kp_agent_consider_soon (self);
}

static void
job_progress_cb (KpJob *job, GParamSpec *pspec, KpAgent *self)
{
  kp_agent_announce_job (self, find_agent_job (self, job));
}

static KpAgentJob *
add_job (KpAgentPlan *plan, KpJob *job, KpS3Credentials *credentials)
{
  KpAgent *self = plan->agent;
  KpAgentJob *agent_job = kp_agent_job_new (job, ++self->n_jobs, kp_clock_get_now (self->clock));

  kp_agent_job_set_credentials (agent_job, credentials);
  kp_agent_job_export (agent_job, self->server);
  g_signal_connect_object (job, "notify::state", G_CALLBACK (job_state_cb), self, 0);
  g_signal_connect_object (job, "notify::fraction", G_CALLBACK (job_progress_cb), self, 0);
  g_ptr_array_add (self->jobs, agent_job);
  plan->job = g_object_ref (agent_job);
  kp_agent_plan_release (plan);
  kp_agent_plan_show (plan);
  return agent_job;
}

static void
remember_deletions (KpAgent *self, const char *plan_id, KpJob *job)
{
  const KpJobResult *result = kp_job_get_result (job);

  if (kp_job_get_kind (job) == KP_HISTORY_BACKUP && result->error == NULL)
    kp_agent_state_set (self->state, plan_id, "deletions-held", (gint64) result->deletions_held);
}

/* The last job of a plan that ended stays on the bus, so that one who looks late sees it. */
static void
retire_job (KpAgent *self, KpAgentPlan *plan, KpAgentJob *job)
{
  if (plan == NULL)
    {
      kp_agent_job_unexport (job, self->server);
      return;
    }
  if (plan->ended_job != NULL)
    kp_agent_job_unexport (plan->ended_job, self->server);
  g_set_object (&plan->ended_job, job);
  g_clear_object (&plan->job);
}

static void finish_waiting_start (KpAgent *self, const char *plan_id);

/* One that waited in the queue has the plan as it was when somebody asked for it. */
static gboolean
has_destination_of (KpJob *job, KpAgentPlan *plan)
{
  g_autoptr (KpS3Location) of_job = kp_plan_dup_location (kp_job_get_plan (job), NULL);
  g_autoptr (KpS3Location) of_plan = kp_plan_dup_location (plan->plan, NULL);

  if (of_job == NULL || of_plan == NULL)
    return FALSE;
  g_autofree char *there = kp_s3_location_get_identity (of_job);
  g_autofree char *here = kp_s3_location_get_identity (of_plan);
  return g_str_equal (there, here);
}

static void
job_ended (KpAgent *self, KpAgentJob *job)
{
  const char *id = kp_agent_job_get_plan_id (job);
  KpAgentPlan *plan = kp_agent_find_plan (self, id);
  g_autoptr (KpAgentJob) keep = g_object_ref (job);

  if (plan != NULL)
    remember_deletions (self, id, kp_agent_job_get_job (job));
  g_ptr_array_remove (self->jobs, job);
  retire_job (self, plan, job);
  g_autoptr (KpHistoryJob) record = kp_job_dup_record (kp_agent_job_get_job (job));
  kp_scheduler_job_ended (self->scheduler, id, record);
  /* There is none of a job that never began. */
  if (plan != NULL && record != NULL && record->kind == KP_HISTORY_BACKUP)
    kp_scheduler_note_backup (self->scheduler, id,
                              has_destination_of (kp_agent_job_get_job (job), plan));
  kp_scheduler_refresh (self->scheduler);
  if (plan != NULL)
    {
      kp_agent_plan_show (plan);
      kp_agent_announce_end (plan, job);
      kp_agent_plan_erased (plan, kp_agent_job_get_job (job));
    }
  finish_waiting_start (self, id);
  kp_agent_consider_soon (self);
}

static void
executed_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgent) self = data;
  g_autoptr (GError) error = NULL;

  if (!kp_job_execute_finish (KP_JOB (source), result, &error))
    g_info ("The job ended: %s", error->message);
  job_ended (self, find_agent_job (self, KP_JOB (source)));
}

void
kp_agent_start_job (KpAgent *self, KpAgentJob *job)
{
  /* It may have waited for hours. */
  if (kp_job_get_kind (kp_agent_job_get_job (job)) == KP_HISTORY_ERASE)
    kp_job_spare (kp_agent_job_get_job (job), G_LIST_MODEL (self->store));
  kp_agent_job_start (job, executed_cb, g_object_ref (self));
  if (kp_agent_get_upload_limit (self) != KP_LIMIT_OF_PLANS)
    kp_throttle_set_rate (self->upload, (guint64) kp_agent_get_upload_limit (self));
  KpAgentPlan *plan = kp_agent_find_plan (self, kp_agent_job_get_plan_id (job));
  if (plan != NULL)
    kp_agent_plan_show (plan);
  kp_agent_announce_job (self, job);
}

/* One that nobody asked for, of a plan that was switched off, does not begin and does not go on.
 * One that moves comes to its end: half a backup is of less use, and whoever does not want it sees
 * it, and can cancel it.
 *
 * Returns: whether it was cancelled */
static gboolean
cancel_if_unwanted (KpAgent *self, KpAgentJob *job)
{
  const KpAgentPlan *plan = kp_agent_find_plan (self, kp_agent_job_get_plan_id (job));
  KpJobState state = kp_job_get_state (kp_agent_job_get_job (job));
  gboolean stands_still
      = state == KP_JOB_QUEUED || state == KP_JOB_WAITING || state == KP_JOB_PAUSED;

  return stands_still && plan != NULL && !kp_plan_get_enabled (plan->plan)
         && !kp_agent_job_is_manual (job) && kp_job_cancel (kp_agent_job_get_job (job), NULL);
}

/**
 * kp_agent_drop_cancelled_jobs:
 *
 * Ends those that were cancelled before their turn came, or are of a plan that was switched off.
 */
void
kp_agent_drop_cancelled_jobs (KpAgent *self)
{
  for (guint i = self->jobs->len; i-- > 0;)
    {
      KpAgentJob *job = g_ptr_array_index (self->jobs, i);
      if (kp_agent_job_has_started (job))
        continue;
      if (cancel_if_unwanted (self, job) || kp_job_has_ended (kp_agent_job_get_job (job)))
        job_ended (self, job);
    }
}

/* Whose conditions count: somebody may have changed them while the job waits. Where the plan goes
 * elsewhere by now, they are those of before, as the way to that place may mind nothing. */
static KpPlan *
get_plan_of_today (KpAgent *self, KpAgentJob *job)
{
  KpAgentPlan *plan = kp_agent_find_plan (self, kp_agent_job_get_plan_id (job));
  KpJob *kp_job = kp_agent_job_get_job (job);

  return plan != NULL && has_destination_of (kp_job, plan) ? plan->plan : kp_job_get_plan (kp_job);
}

/* What of the computer's state is in the way of the job; or NULL. */
static const char *
find_condition_of_job (KpAgent *self, KpAgentJob *job)
{
  const char *reason;

  return kp_agent_find_condition (self, get_plan_of_today (self, job), kp_agent_job_is_manual (job),
                                  &reason);
}

/* Whether a job that nobody asked for stands still, so that it can give its place to one that
 * somebody wants. One that was paused by itself is left alone: it would begin anew, unpaused. */
static gboolean
can_make_way (KpAgent *self, KpAgentJob *job)
{
  KpJobState state = kp_job_get_state (kp_agent_job_get_job (job));

  return !kp_agent_job_is_manual (job)
         && (state == KP_JOB_QUEUED || state == KP_JOB_WAITING
             || (state == KP_JOB_PAUSED && self->paused_until != 0));
}

/**
 * kp_agent_plan_can_run:
 *
 * Returns: whether a job that somebody asks for has not to wait for another one of the plan
 */
gboolean
kp_agent_plan_can_run (KpAgentPlan *plan)
{
  return plan->job == NULL || can_make_way (plan->agent, plan->job);
}

static gboolean
can_another_begin (KpAgent *self)
{
  for (guint i = 0; i < self->jobs->len; i++)
    {
      KpAgentJob *job = g_ptr_array_index (self->jobs, i);
      if (!kp_agent_job_has_started (job)
          && kp_job_get_state (kp_agent_job_get_job (job)) == KP_JOB_QUEUED
          && find_condition_of_job (self, job) == NULL)
        return TRUE;
    }
  return FALSE;
}

/**
 * kp_agent_hold_running_job:
 *
 * Lets the running job wait for what is in its way now, or wait no longer. One that nobody asked
 * for makes way then for one that could begin, and goes on later: the power supply, or the end of a
 * pause, may be hours away from whoever wants a file back.
 */
void
kp_agent_hold_running_job (KpAgent *self)
{
  KpAgentJob *job = kp_agent_get_running_job (self);

  if (job == NULL)
    return;
  KpJob *kp_job = kp_agent_job_get_job (job);
  kp_job_set_waiting (kp_job, find_condition_of_job (self, job));
  if (cancel_if_unwanted (self, job))
    return;
  if (can_make_way (self, job) && can_another_begin (self))
    kp_job_make_way (kp_job);
}

/* --- starting ------------------------------------------------------------------------------- */

/* A job that is to be made when folders and keys are found to be there. */
typedef struct
{
  KpAgent *agent;
  char *plan_id;
  KpAgentMakeJob make_job;
  void *data;
  GDestroyNotify data_free;
  GTask *task;                  /* of who asked for it, or NULL */
  guint *n_underway;            /* the agent's count that it is in */
  KpS3Credentials *credentials; /* once they were found */
} Start;

static void
start_free (Start *start)
{
  if (start->data_free != NULL)
    start->data_free (start->data);
  g_clear_object (&start->task);
  g_clear_pointer (&start->credentials, kp_s3_credentials_unref);
  g_object_unref (start->agent);
  g_free (start->plan_id);
  g_free (start);
}

static void
start_failed (Start *start, GError *error)
{
  if (start->task != NULL)
    g_task_return_error (start->task, error);
  else
    g_error_free (error);
}

static GError *
make_gone_error (void)
{
  return g_error_new_literal (KP_ERROR, KP_ERROR_NOT_FOUND, "The plan is no longer there");
}

static GError *
make_busy_error (KpAgentPlan *plan)
{
  return g_error_new (KP_ERROR, KP_ERROR_BUSY, "A job of “%s” runs or waits already",
                      kp_plan_get_name (plan->plan));
}

static void
hold_after_preflight (KpAgentPlan *plan, const char *reason, const GError *error)
{
  KpAgent *self = plan->agent;

  gint64 interval = g_str_equal (reason, KP_HELD_SOURCE_MISSING) ? RECHECK_FOLDERS : RECHECK_KEYS;

  kp_agent_plan_hold (plan, reason, error->message);
  plan->recheck_at = kp_clock_get_now (self->clock) + interval;
  kp_scheduler_look_again_at (self->scheduler, plan->recheck_at);
  kp_agent_plan_show (plan);
}

/* Whether what was due when its preflight began still is, and nothing holds it: the keyring may
 * take its time, and somebody may have paused, or switched the plan off. */
static gboolean
is_still_due (KpAgentPlan *plan)
{
  KpAgent *self = plan->agent;
  const char *id = kp_plan_get_id (plan->plan);

  kp_scheduler_refresh (self->scheduler);
  return kp_agent_plan_find_due (plan) != 0
         && !kp_agent_plan_hold_if_necessary (plan, kp_scheduler_get_timing (self->scheduler, id),
                                              kp_clock_get_now (self->clock));
}

static void
set_underway (Start *start, KpAgentPlan *plan, gboolean is_underway)
{
  if (plan != NULL)
    {
      plan->in_preflight = is_underway;
      plan->may_ask = is_underway && start->n_underway == &start->agent->n_prompts;
    }
  if (is_underway)
    (*start->n_underway)++;
  else
    (*start->n_underway)--;
}

/* What was in the way has ended. */
static void
make_started_job (Start *start, KpAgentPlan *plan)
{
  KpJobSettings settings = get_settings (start->agent);
  g_autoptr (KpJob) job = start->make_job (plan, &settings, start->data);
  KpAgentJob *agent_job = add_job (plan, job, start->credentials);

  if (start->task != NULL)
    g_task_return_pointer (start->task, g_object_ref (agent_job), g_object_unref);
}

/* Another job of the plan stands still: it ends first, unless this one would stand still as well.
 *
 * Returns: whether @start goes on with finish_waiting_start() */
static gboolean
wait_for_job_of_plan (Start *start, KpAgentPlan *plan)
{
  KpAgent *self = start->agent;
  const char *reason;
  const char *condition = kp_agent_find_condition (self, plan->plan, TRUE, &reason);

  if (!kp_agent_plan_can_run (plan) || condition != NULL)
    {
      start_failed (start, condition == NULL
                               ? make_busy_error (plan)
                               : g_error_new_literal (KP_ERROR, KP_ERROR_OFFLINE, condition));
      return FALSE;
    }
  set_underway (start, plan, TRUE);
  g_ptr_array_add (self->starts, start);
  kp_job_make_way (kp_agent_job_get_job (plan->job));
  return TRUE;
}

static void
preflight_cb (GObject *source, GAsyncResult *result, void *data)
{
  Start *start = data;
  KpAgent *self = start->agent;
  KpAgentPlan *plan = kp_agent_find_plan (self, start->plan_id);
  g_autoptr (GError) error = NULL;
  KpPreflight preflight;
  gboolean ok = kp_preflight_finish (result, &preflight, &error);
  gboolean is_waiting = FALSE;

  set_underway (start, plan, FALSE);
  start->credentials = preflight.credentials;
  if (plan == NULL || self->quitting)
    start_failed (start, make_gone_error ());
  else if (!ok)
    {
      /* Somebody who asked is told at once, but the reason is news for everybody else too. */
      if (start->task == NULL || plan->held_by != NULL)
        hold_after_preflight (plan, preflight.held_by, error);
      start_failed (start, g_steal_pointer (&error));
    }
  else if (plan->job != NULL)
    is_waiting = wait_for_job_of_plan (start, plan);
  else if (start->task != NULL || is_still_due (plan))
    make_started_job (start, plan);
  if (!is_waiting)
    start_free (start);
  kp_agent_consider_soon (self);
}

/* The job of the plan that made way has ended. */
static void
finish_waiting_start (KpAgent *self, const char *plan_id)
{
  KpAgentPlan *plan = kp_agent_find_plan (self, plan_id);

  for (guint i = 0; i < self->starts->len; i++)
    {
      Start *start = g_ptr_array_index (self->starts, i);
      if (!g_str_equal (start->plan_id, plan_id))
        continue;
      g_ptr_array_remove_index (self->starts, i);
      set_underway (start, plan, FALSE);
      if (plan == NULL || self->quitting)
        start_failed (start, make_gone_error ());
      else
        make_started_job (start, plan);
      start_free (start);
      return;
    }
}

static void
begin_start (KpAgentPlan *plan, Start *start, gboolean may_prompt, gboolean needs_sources)
{
  start->agent = g_object_ref (plan->agent);
  start->plan_id = g_strdup (kp_plan_get_id (plan->plan));
  start->n_underway = may_prompt ? &plan->agent->n_prompts : &plan->agent->n_preflights;
  set_underway (start, plan, TRUE);
  kp_preflight_async (plan->plan, may_prompt, needs_sources, preflight_cb, start);
}

/**
 * kp_agent_run_async:
 * @make_job: called when nothing is in the way
 * @may_prompt: whether the keyring may ask the user, who is there
 *
 * Begins or queues a job that somebody asks for. It goes before what is merely due, and one of the
 * plan that nobody asked for and that stands still makes way for it.
 */
void
kp_agent_run_async (KpAgentPlan *plan,
                    KpAgentMakeJob make_job,
                    void *data,
                    GDestroyNotify data_free,
                    gboolean may_prompt,
                    gboolean needs_sources,
                    GAsyncReadyCallback callback,
                    void *user_data)
{
  g_autoptr (GTask) task = g_task_new (plan->agent, NULL, callback, user_data);

  if (plan->in_preflight || !kp_agent_plan_can_run (plan))
    {
      g_task_return_error (task, make_busy_error (plan));
      if (data_free != NULL)
        data_free (data);
      return;
    }
  Start *start = g_new0 (Start, 1);
  start->make_job = make_job;
  start->data = data;
  start->data_free = data_free;
  start->task = g_steal_pointer (&task);
  begin_start (plan, start, may_prompt, needs_sources);
}

/**
 * kp_agent_run_finish:
 * @error: %KP_ERROR_BUSY; those of kp_preflight_finish()
 *
 * Returns: (transfer full): the job, begun or queued
 */
KpAgentJob *
kp_agent_run_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

KpJob *
kp_agent_make_manual_backup (KpAgentPlan *plan, const KpJobSettings *settings, void *data)
{
  return kp_job_new_backup (plan->plan, KP_HISTORY_MANUAL, settings);
}

static KpJob *
make_due_job (KpAgentPlan *plan, const KpJobSettings *settings, void *data)
{
  const KpTiming *timing
      = kp_scheduler_get_timing (plan->agent->scheduler, kp_plan_get_id (plan->plan));

  if (timing->due_since == 0 && timing->verify_due > 0)
    {
      KpJob *job = kp_job_new_verify (plan->plan, KP_HISTORY_SCHEDULED, settings, 1);
      kp_job_set_bounds (job, KP_VERIFY_MAX_FILES, KP_VERIFY_MAX_BYTES);
      return job;
    }
  return kp_job_new_backup (plan->plan, timing->trigger, settings);
}

/**
 * kp_agent_run_due_plan:
 *
 * Begins or queues the job for which the plan is due, unless folders or keys are missing: then it
 * is held.
 */
void
kp_agent_run_due_plan (KpAgentPlan *plan)
{
  Start *start = g_new0 (Start, 1);

  start->make_job = make_due_job;
  begin_start (plan, start, FALSE, TRUE);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-preflight.h"

#include <glib/gi18n.h>

/* After login others need the computer, and after waking up the network needs a moment. */
#define QUIET_AFTER_LOGIN 120
#define QUIET_AFTER_RESUME 20

/* A due time that is so much in the past was missed. */
#define MISSED (30 * 60)

/* So many missed times are told one by one; the rest is one more. */
#define MAX_MISSED 1000

/* The rewriting of the state file that the time of the last look is worth. */
#define LOOK_INTERVAL 600

/* Seconds without progress after which a job does not seem to come to its end. More than it takes
 * to read a file of a terabyte from a good disk. */
#define STANDSTILL (3 * 3600)

/* Seconds after which a job is no reason any more why another plan has no backup. */
#define LONG_JOB 86400

/* Seconds that jobs have to end when the process is to end. More than they need to abort what they
 * ask of a server; what hangs in a network mount that has lost its server may never end. */
#define QUIT_PATIENCE 30

#define HOUR_OF_MORNING 5
#define HISTORY_KEPT (2 * 365 * G_GINT64_CONSTANT (86400))

enum
{
  SIGNAL_QUIT,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpAgent, kp_agent, G_TYPE_OBJECT)

KpAgentPlan *
kp_agent_find_plan (KpAgent *self, const char *id)
{
  return g_hash_table_lookup (self->plans, id);
}

/* --- deciding ------------------------------------------------------------------------------- */

/* Due times that passed while nobody could look: the computer slept, was off, or nobody was logged
 * in. Each is told with its reason. */
static void
record_missed (KpAgent *self, KpAgentPlan *plan, gint64 now)
{
  KpSchedule *schedule = kp_plan_get_schedule (plan->plan);
  const KpTiming *timing = kp_scheduler_get_timing (self->scheduler, kp_plan_get_id (plan->plan));
  g_autoptr (GTimeZone) zone = g_time_zone_new_local ();
  gint64 moment = MAX (self->last_look, timing->summary.last_start);

  if (self->last_look == 0 || timing->summary.last_start == 0)
    return;
  for (int i = 0; i < MAX_MISSED; i++)
    {
      g_autoptr (GError) error = NULL;
      moment = kp_schedule_next_after (schedule, moment, zone);
      if (moment > now - MISSED)
        return;
      if (!kp_history_add_skip (self->history, kp_plan_get_id (plan->plan), "not-running",
                                _ ("The computer slept, was off, or nobody was logged in"), now,
                                &error))
        g_warning ("%s", error->message);
    }
}

static void
look (KpAgent *self, gint64 now)
{
  gint64 recorded = kp_agent_state_get (self->state, NULL, "last-look");
  GHashTableIter iter;
  void *value;

  if (self->last_look == 0)
    self->last_look = recorded;
  /* What was to be waited for a moment must not take as long as the clock was set back. */
  gboolean was_set_back = now < self->last_look;
  if (was_set_back)
    self->quiet_until = MIN (self->quiet_until, now + QUIET_AFTER_LOGIN);
  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      KpAgentPlan *plan = value;
      if (was_set_back)
        plan->recheck_at = 0;
      if (kp_plan_get_enabled (plan->plan))
        record_missed (self, plan, now);
    }
  self->last_look = now;
  if (recorded > now || now - recorded >= LOOK_INTERVAL)
    kp_agent_state_set (self->state, NULL, "last-look", now);
}

static void
end_pause_in_time (KpAgent *self, gint64 now)
{
  if (self->paused_until > 0 && self->paused_until <= now)
    kp_agent_set_paused (self, 0);
  else if (self->paused_until > 0)
    kp_scheduler_look_again_at (self->scheduler, self->paused_until);
}

static gboolean
is_job_held (KpAgentJob *job)
{
  KpJobState state = kp_job_get_state (kp_agent_job_get_job (job));

  return state == KP_JOB_WAITING || state == KP_JOB_PAUSED;
}

static gboolean
stands_still (KpAgent *self, KpAgentJob *job, gint64 now)
{
  kp_scheduler_look_again_at (self->scheduler, now + STANDSTILL);
  return kp_agent_job_find_standstill (job, now) >= STANDSTILL;
}

/* Whether the running job will come to its end, and what waits for it to its turn. */
static gboolean
will_end (KpAgent *self, gint64 now)
{
  KpAgentJob *job = kp_agent_get_running_job (self);

  if (job == NULL)
    return TRUE;
  gint64 too_long = kp_agent_job_get_started (job) + LONG_JOB;
  if (now >= too_long || is_job_held (job) || stands_still (self, job, now))
    return FALSE;
  kp_scheduler_look_again_at (self->scheduler, too_long);
  return TRUE;
}

/* Whether a plan that is overdue will not be backed up soon by itself. */
static gboolean
needs_alarm (KpAgentPlan *plan, gint64 due, gboolean is_held, gint64 now)
{
  KpAgent *self = plan->agent;

  if (plan->job != NULL && kp_agent_job_has_started (plan->job))
    return is_job_held (plan->job) || stands_still (self, plan->job, now);
  if (plan->job != NULL)
    return is_job_held (plan->job) || !will_end (self, now);
  /* Somebody who is asked for a password may be away. */
  if (plan->in_preflight)
    return plan->may_ask && now >= self->quiet_until;
  if (due == 0)
    return TRUE;
  /* Not what is about to begin, as after some days without the computer. */
  return is_held && now >= self->quiet_until
         && (g_strcmp0 (plan->held_by, KP_HELD_ANOTHER_JOB) != 0 || !will_end (self, now));
}

/* Looks at each plan that is due. Returns the one that has waited longest and that nothing holds
 * back. */
static KpAgentPlan *
choose_plan (KpAgent *self, gint64 now)
{
  KpAgentPlan *best = NULL;
  gint64 best_due = G_MAXINT64;
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      KpAgentPlan *plan = value;
      const KpTiming *timing
          = kp_scheduler_get_timing (self->scheduler, kp_plan_get_id (plan->plan));
      gint64 due = kp_agent_plan_find_due (plan);
      gboolean is_held = FALSE;

      if (plan->job == NULL && !plan->in_preflight)
        {
          if (due == 0)
            {
              kp_agent_plan_release (plan);
              kp_agent_forget_notifications (plan);
            }
          else
            is_held = kp_agent_plan_hold_if_necessary (plan, timing, now);
          if (due != 0 && !is_held && due < best_due)
            {
              best = plan;
              best_due = due;
            }
        }
      if (timing->overdue && needs_alarm (plan, due, is_held, now))
        kp_agent_announce_overdue (plan);
    }
  return best;
}

/* Hears of mounts while a plan waits for one, and only then: some systems mount something every few
 * seconds, and each time would wake us up. */
static void
hear_of_mounts (KpAgent *self, gboolean is_needed)
{
  if (is_needed == (self->mounts != NULL))
    return;
  if (!is_needed)
    {
      g_signal_handlers_disconnect_by_data (self->mounts, self);
      g_clear_object (&self->mounts);
      return;
    }
  self->mounts = g_unix_mount_monitor_get ();
  g_signal_connect_object (self->mounts, "mounts-changed", G_CALLBACK (kp_agent_recheck_held_plans),
                           self, G_CONNECT_SWAPPED);
}

static void
show_everything (KpAgent *self)
{
  GHashTableIter iter;
  void *value;
  gboolean is_mount_awaited = FALSE;
  g_auto (GStrv) conditions = kp_conditions_to_strv (kp_readiness_get_conditions (self->readiness));

  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const KpAgentPlan *plan = value;
      is_mount_awaited |= g_strcmp0 (plan->held_by, KP_HELD_SOURCE_MISSING) == 0;
      kp_agent_plan_show (value);
    }
  hear_of_mounts (self, is_mount_awaited);
  kp_agent_show_problems (self);
  kp_dbus_manager_set_conditions (self->manager, (const char *const *) conditions);
  kp_dbus_manager_set_paused_until (self->manager, self->paused_until);
  kp_dbus_manager_set_upload_limit (self->manager, kp_agent_get_upload_limit (self));
  kp_agent_announce_state (self);
}

static void
settle (KpAgent *self)
{
  if (self->jobs->len > 0 || self->n_preflights > 0 || self->n_prompts > 0
      || self->consider_source != NULL)
    return;
  for (guint i = 0; i < self->settling->len; i++)
    g_dbus_method_invocation_return_value (g_object_ref (g_ptr_array_index (self->settling, i)),
                                           NULL);
  g_ptr_array_set_size (self->settling, 0);
}

static void
end_quitting (KpAgent *self)
{
  self->has_quit = TRUE;
  g_clear_handle_id (&self->quit_timer, g_source_remove);
  kp_agent_state_set (self->state, NULL, "last-look", kp_clock_get_now (self->clock));
  g_signal_emit (self, signals[SIGNAL_QUIT], 0);
}

static void
quit_if_at_rest (KpAgent *self)
{
  if (self->quitting && !self->has_quit && self->jobs->len == 0)
    end_quitting (self);
}

/* What others hold for us goes now: the process may stay for as long as a thread of it hangs. */
static gboolean
out_of_patience_cb (void *data)
{
  KpAgent *self = data;

  self->quit_timer = 0;
  for (guint i = 0; i < self->jobs->len; i++)
    {
      const char *id = kp_agent_job_get_plan_id (g_ptr_array_index (self->jobs, i));
      g_message ("A job of plan %s does not end", id);
      kp_notifier_withdraw (self->notifier, id);
    }
  kp_inhibitor_set (self->inhibitor, FALSE, NULL);
  end_quitting (self);
  return G_SOURCE_REMOVE;
}

static gboolean
consider_cb (void *data)
{
  KpAgent *self = data;
  gint64 now = kp_clock_get_now (self->clock);

  g_clear_pointer (&self->consider_source, g_source_unref);
  kp_agent_drop_cancelled_jobs (self);
  if (self->jobs->len == 0)
    self->passing_limit = KP_LIMIT_OF_PLANS;
  if (self->quitting)
    {
      quit_if_at_rest (self);
      return G_SOURCE_REMOVE;
    }
  kp_scheduler_refresh (self->scheduler);
  look (self, now);
  end_pause_in_time (self, now);
  kp_agent_hold_running_job (self);

  if (kp_agent_get_running_job (self) == NULL && self->jobs->len > 0)
    kp_agent_start_job (self, g_ptr_array_index (self->jobs, 0));
  KpAgentPlan *plan = choose_plan (self, now);
  if (plan != NULL)
    kp_agent_run_due_plan (plan);
  show_everything (self);
  settle (self);
  return G_SOURCE_REMOVE;
}

/**
 * kp_agent_consider_soon:
 *
 * Something changed: decide anew, once, when the main loop comes to it.
 */
void
kp_agent_consider_soon (KpAgent *self)
{
  if (self->consider_source != NULL || self->has_quit || !self->begun)
    return;
  self->consider_source = g_idle_source_new ();
  g_source_set_priority (self->consider_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->consider_source, consider_cb, self, NULL);
  g_source_attach (self->consider_source, NULL);
}

/* --- pause, limit, quit --------------------------------------------------------------------- */

/**
 * kp_agent_set_paused:
 * @until: seconds since 1970 UTC; 0 to go on; %KP_PAUSED_UNTIL_RESUMED
 */
void
kp_agent_set_paused (KpAgent *self, gint64 until)
{
  self->paused_until = until;
  kp_agent_state_set (self->state, NULL, "paused-until", until);
  for (guint i = 0; i < self->jobs->len; i++)
    {
      KpJob *job = kp_agent_job_get_job (g_ptr_array_index (self->jobs, i));
      if (kp_job_has_ended (job))
        continue;
      if (until != 0 && !kp_job_pause (job, NULL))
        g_warn_if_reached ();
      /* One that was paused by itself, too: the tray has one entry for both. */
      if (until == 0 && kp_job_get_state (job) == KP_JOB_PAUSED && !kp_job_resume (job, NULL))
        g_warn_if_reached ();
    }
  if (until == 0)
    kp_scheduler_forget_failures (self->scheduler);
  kp_agent_consider_soon (self);
}

/**
 * kp_agent_next_morning:
 *
 * Returns: when tomorrow begins for people
 */
gint64
kp_agent_next_morning (KpAgent *self)
{
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (kp_clock_get_now (self->clock));
  g_autoptr (GDateTime) morning
      = g_date_time_new_local (g_date_time_get_year (now), g_date_time_get_month (now),
                               g_date_time_get_day_of_month (now), HOUR_OF_MORNING, 0, 0);
  g_autoptr (GDateTime) tomorrow = g_date_time_add_days (morning, 1);

  return g_date_time_to_unix (tomorrow);
}

/**
 * kp_agent_get_upload_limit:
 *
 * Returns: what was set by hand and holds now; bytes per second, 0 for none, %KP_LIMIT_OF_PLANS
 */
gint64
kp_agent_get_upload_limit (KpAgent *self)
{
  return self->passing_limit != KP_LIMIT_OF_PLANS ? self->passing_limit : self->upload_limit;
}

/**
 * kp_agent_set_upload_limit:
 * @rate: bytes per second, 0 for none, %KP_LIMIT_OF_PLANS
 * @until_idle: no longer than until the jobs have ended; then what held before holds again
 */
void
kp_agent_set_upload_limit (KpAgent *self, gint64 rate, gboolean until_idle)
{
  KpAgentJob *job = kp_agent_get_running_job (self);

  self->passing_limit = until_idle ? rate : KP_LIMIT_OF_PLANS;
  if (!until_idle)
    self->upload_limit = rate;
  rate = kp_agent_get_upload_limit (self);
  if (rate != KP_LIMIT_OF_PLANS)
    kp_throttle_set_rate (self->upload, (guint64) rate);
  else if (job != NULL)
    {
      g_autoptr (KpTimetable) limits
          = kp_plan_dup_limits (kp_job_get_plan (kp_agent_job_get_job (job)), NULL);
      kp_throttle_set_timetable (self->upload, limits, KP_DIRECTION_UP);
    }
  kp_agent_consider_soon (self);
}

/* A job that somebody asked for and whose turn did not come is nowhere else. */
static void
record_never_begun (KpAgent *self, KpJob *job)
{
  g_autoptr (GError) error = NULL;

  if (!kp_history_add_skip (self->history, kp_plan_get_id (kp_job_get_plan (job)), "not-running",
                            _ ("The agent was stopped before the job could begin"),
                            kp_clock_get_now (self->clock), &error))
    g_warning ("%s", error->message);
}

/**
 * kp_agent_quit:
 *
 * Ends what runs so that it can go on later, then emits "quit"; after half a minute in any case.
 */
void
kp_agent_quit (KpAgent *self)
{
  if (self->quitting)
    return;
  self->quitting = TRUE;
  self->begun = TRUE;
  for (guint i = 0; i < self->jobs->len; i++)
    {
      KpJob *job = kp_agent_job_get_job (g_ptr_array_index (self->jobs, i));
      if (kp_job_has_ended (job))
        continue;
      kp_job_interrupt (job);
      if (kp_job_get_history_id (job) == 0)
        record_never_begun (self, job);
    }
  if (self->jobs->len > 0)
    self->quit_timer = g_timeout_add_seconds (QUIT_PATIENCE, out_of_patience_cb, self);
  kp_agent_consider_soon (self);
}

/**
 * kp_agent_has_left_jobs:
 *
 * Returns: whether, after "quit", there are threads of jobs that do not end, so that nothing they
 *   use may be freed
 */
gboolean
kp_agent_has_left_jobs (KpAgent *self)
{
  return self->has_quit && self->jobs->len > 0;
}

/* --- plans come and go ---------------------------------------------------------------------- */

static void
plan_added_cb (KpAgent *self, KpPlan *plan)
{
  KpAgentPlan *agent_plan = kp_agent_plan_new (self, plan);

  g_hash_table_replace (self->plans, g_strdup (kp_plan_get_id (plan)), agent_plan);
  kp_scheduler_set_plan (self->scheduler, plan);
  kp_scheduler_refresh (self->scheduler);
  kp_agent_plan_show_settings (agent_plan);
  kp_agent_plan_show (agent_plan);
  g_dbus_object_manager_server_export (self->server, G_DBUS_OBJECT_SKELETON (agent_plan->object));
  kp_agent_consider_soon (self);
}

static void
plan_changed_cb (KpAgent *self, KpPlan *plan)
{
  KpAgentPlan *agent_plan = kp_agent_find_plan (self, kp_plan_get_id (plan));

  /* What was in the way may be what was mended. */
  if (agent_plan->recheck_at != 0)
    kp_agent_plan_release (agent_plan);
  kp_agent_plan_show_settings (agent_plan);
  kp_scheduler_set_plan (self->scheduler, plan);
  kp_agent_consider_soon (self);
}

static void
plan_removed_cb (KpAgent *self, KpPlan *plan)
{
  const char *id = kp_plan_get_id (plan);
  KpAgentPlan *agent_plan = kp_agent_find_plan (self, id);

  if (agent_plan == NULL)
    return;
  if (agent_plan->job != NULL && !kp_job_has_ended (kp_agent_job_get_job (agent_plan->job))
      && !kp_job_cancel (kp_agent_job_get_job (agent_plan->job), NULL))
    g_warn_if_reached ();
  kp_agent_forget_plan_notifications (agent_plan);
  g_dbus_object_manager_server_unexport (
      self->server, g_dbus_object_get_object_path (G_DBUS_OBJECT (agent_plan->object)));
  if (agent_plan->ended_job != NULL)
    kp_agent_job_unexport (agent_plan->ended_job, self->server);
  kp_scheduler_remove_plan (self->scheduler, id);
  g_hash_table_remove (self->plans, id);
  kp_agent_consider_soon (self);
}

static void
plan_problem_cb (KpAgent *self, const char *path, const GError *error)
{
  if (error != NULL)
    g_warning ("%s", error->message);
  kp_agent_show_problems (self);
}

/* --- what tells that something may be possible again ---------------------------------------- */

/**
 * kp_agent_recheck_held_plans:
 *
 * Looks again at once at what a preflight found missing.
 */
void
kp_agent_recheck_held_plans (KpAgent *self)
{
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    ((KpAgentPlan *) value)->recheck_at = 0;
  kp_agent_consider_soon (self);
}

static void
conditions_changed_cb (KpAgent *self)
{
  if ((kp_readiness_get_conditions (self->readiness) & KP_CONDITION_OFFLINE) == 0)
    kp_scheduler_forget_failures (self->scheduler);
  kp_agent_consider_soon (self);
}

static void
resumed_cb (KpAgent *self)
{
  KpAgentJob *job = kp_agent_get_running_job (self);

  self->quiet_until = kp_clock_get_now (self->clock) + QUIET_AFTER_RESUME;
  if (job != NULL)
    kp_agent_job_forget_standstill (job);
  kp_throttle_recheck (self->upload);
  kp_throttle_recheck (self->download);
  kp_agent_recheck_held_plans (self);
}

static void
keyring_changed_cb (GDBusConnection *bus,
                    const char *sender,
                    const char *path,
                    const char *interface,
                    const char *signal,
                    GVariant *parameters,
                    void *data)
{
  kp_agent_recheck_held_plans (data);
}

static void
watch_the_world (KpAgent *self)
{
  self->keyring_subscription = g_dbus_connection_signal_subscribe (
      self->bus, "org.freedesktop.secrets", "org.freedesktop.DBus.Properties", "PropertiesChanged",
      NULL, "org.freedesktop.Secret.Collection", G_DBUS_SIGNAL_FLAGS_NONE, keyring_changed_cb, self,
      NULL);
  g_signal_connect_object (self->readiness, "changed", G_CALLBACK (conditions_changed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->readiness, "resumed", G_CALLBACK (resumed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->clock, "resumed", G_CALLBACK (resumed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->scheduler, "due", G_CALLBACK (kp_agent_consider_soon), self,
                           G_CONNECT_SWAPPED);
}

/* --- the object ----------------------------------------------------------------------------- */

static void
kp_agent_dispose (GObject *object)
{
  KpAgent *self = KP_AGENT (object);

  if (self->consider_source != NULL)
    g_source_destroy (self->consider_source);
  g_clear_pointer (&self->consider_source, g_source_unref);
  g_clear_handle_id (&self->quit_timer, g_source_remove);
  if (self->keyring_subscription != 0)
    g_dbus_connection_signal_unsubscribe (self->bus, self->keyring_subscription);
  self->keyring_subscription = 0;
  g_clear_object (&self->mounts);
  g_clear_object (&self->tray);
  g_clear_object (&self->notifier);
  g_clear_object (&self->settings);
  g_clear_object (&self->inhibitor);
  g_clear_pointer (&self->jobs, g_ptr_array_unref);
  g_clear_pointer (&self->plans, g_hash_table_unref);
  g_clear_pointer (&self->settling, g_ptr_array_unref);
  g_clear_pointer (&self->starts, g_ptr_array_unref);
  g_clear_pointer (&self->counts, g_ptr_array_unref);
  g_clear_object (&self->scheduler);
  g_clear_object (&self->store);
  g_clear_object (&self->readiness);
  g_clear_object (&self->manager);
  g_clear_object (&self->server);
  g_clear_pointer (&self->history, kp_history_unref);
  g_clear_pointer (&self->state, kp_agent_state_free);
  g_clear_object (&self->upload);
  g_clear_object (&self->download);
  g_clear_object (&self->clock);
  g_clear_object (&self->bus);
  G_OBJECT_CLASS (kp_agent_parent_class)->dispose (object);
}

static void
kp_agent_finalize (GObject *object)
{
  g_free (KP_AGENT (object)->state_dir);
  g_free (KP_AGENT (object)->portal_status);
  g_free (KP_AGENT (object)->watch_problem);
  g_free (KP_AGENT (object)->history_problem);
  g_free (KP_AGENT (object)->plan_problems);
  G_OBJECT_CLASS (kp_agent_parent_class)->finalize (object);
}

static void
kp_agent_class_init (KpAgentClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kp_agent_dispose;
  G_OBJECT_CLASS (klass)->finalize = kp_agent_finalize;
  signals[SIGNAL_QUIT] = g_signal_new ("quit", KP_TYPE_AGENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                       NULL, G_TYPE_NONE, 0);
}

static void
kp_agent_init (KpAgent *self)
{
  self->plans = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify) kp_agent_plan_free);
  self->jobs = g_ptr_array_new_with_free_func (g_object_unref);
  self->settling = g_ptr_array_new_with_free_func (g_object_unref);
  self->starts = g_ptr_array_new ();
  self->upload = kp_throttle_new (0);
  self->download = kp_throttle_new (0);
  self->upload_limit = KP_LIMIT_OF_PLANS;
  self->passing_limit = KP_LIMIT_OF_PLANS;
  self->dock_percent = -1;
}

static void
open_files (KpAgent *self)
{
  g_autofree char *history = g_build_filename (self->state_dir, KP_HISTORY_FILE_NAME, NULL);
  g_autofree char *state = g_build_filename (self->state_dir, "agent.ini", NULL);
  g_autofree char *plans = g_build_filename (g_get_user_config_dir (), "keepsake", "plans", NULL);

  /* That nothing can be recorded is no reason to back nothing up. */
  self->history = kp_history_open_in_any_case (history, &self->history_problem);
  if (self->history_problem != NULL)
    g_warning ("%s", self->history_problem);
  g_autoptr (GError) prune_error = NULL;
  if (!kp_history_prune (self->history, kp_clock_get_now (self->clock) - HISTORY_KEPT,
                         &prune_error))
    g_warning ("%s", prune_error->message);
  self->state = kp_agent_state_open (state);
  self->store = kp_plan_store_new (plans);
  self->scheduler = kp_scheduler_new (self->clock, self->history, self->state, self->state_dir);
}

static gboolean
load_plans (KpAgent *self, GError **error)
{
  g_signal_connect_object (self->store, "added", G_CALLBACK (plan_added_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->store, "changed", G_CALLBACK (plan_changed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->store, "removed", G_CALLBACK (plan_removed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->store, "problem", G_CALLBACK (plan_problem_cb), self,
                           G_CONNECT_SWAPPED);
  g_autoptr (GError) watch_error = NULL;
  if (!kp_plan_store_load (self->store, error))
    return FALSE;
  /* That edits are not noticed is no reason to back nothing up. */
  if (!kp_plan_store_watch (self->store, &watch_error))
    {
      g_warning ("%s", watch_error->message);
      self->watch_problem = g_strdup (watch_error->message);
    }
  return TRUE;
}

/**
 * kp_agent_new:
 * @bus: the session bus, on which the objects appear; nothing is begun yet
 * @at_login: give the desktop time before anything starts by itself
 * @error: %KP_ERROR_LOCAL_STORAGE
 */
KpAgent *
kp_agent_new (GDBusConnection *bus, KpClock *clock, gboolean at_login, GError **error)
{
  g_autoptr (KpAgent) self = g_object_new (KP_TYPE_AGENT, NULL);

  self->bus = g_object_ref (bus);
  self->clock = g_object_ref (clock);
  self->state_dir = g_build_filename (g_get_user_state_dir (), "keepsake", NULL);
#ifdef KP_FAULT_INJECTION
  self->loopback_is_remote = g_getenv ("KEEPSAKE_TEST_LOOPBACK_IS_REMOTE") != NULL;
#endif
  open_files (self);
  if (at_login)
    self->quiet_until = kp_clock_get_now (clock) + QUIET_AFTER_LOGIN;
  self->paused_until = kp_agent_state_get (self->state, NULL, "paused-until");
  self->readiness = kp_readiness_new ();
  self->server = g_dbus_object_manager_server_new (KP_AGENT_ROOT_PATH);
  self->manager = kp_dbus_manager_skeleton_new ();
  kp_agent_connect_manager (self);
  kp_agent_connect_testing (self);
  if (!load_plans (self, error))
    return NULL;
  kp_agent_show_problems (self);
  g_dbus_object_manager_server_set_connection (self->server, bus);
  return g_steal_pointer (&self);
}

/**
 * kp_agent_begin:
 *
 * From here on jobs are started and the tray shows an icon: we are the only agent of the session.
 */
void
kp_agent_begin (KpAgent *self)
{
  self->begun = TRUE;
  kp_agent_announce_start (self);
  kp_agent_show_problems (self);
  watch_the_world (self);
  kp_agent_consider_soon (self);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-agent-variants.h"
#include "kp-error.h"

#include <glib/gi18n.h>

/* A weekday says nothing of another week. */
#define DAYS_WITH_NAMES 6

#define KEY_DELETIONS_HELD "deletions-held"

KpAgentPlan *
kp_agent_plan_new (KpAgent *agent, KpPlan *plan)
{
  KpAgentPlan *self = g_new0 (KpAgentPlan, 1);
  g_autofree char *path = kp_dbus_plan_path (kp_plan_get_id (plan));

  self->agent = agent;
  self->plan = g_object_ref (plan);
  self->skeleton = kp_dbus_plan_skeleton_new ();
  self->object = kp_dbus_object_skeleton_new (path);
  kp_dbus_object_skeleton_set_plan (self->object, self->skeleton);
  kp_agent_connect_plan (self);
  return self;
}

void
kp_agent_plan_free (KpAgentPlan *self)
{
  g_signal_handlers_disconnect_matched (self->skeleton, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL,
                                        self);
  g_clear_object (&self->job);
  g_clear_object (&self->ended_job);
  g_clear_object (&self->object);
  g_clear_object (&self->skeleton);
  g_clear_object (&self->plan);
  g_free (self->held_message);
  g_free (self);
}

/**
 * kp_agent_format_time:
 *
 * Returns: (transfer full): the time for people, with the day where that is not today
 */
char *
kp_agent_format_time (gint64 unix_seconds, gint64 now)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (unix_seconds);
  g_autoptr (GDateTime) today = g_date_time_new_from_unix_local (now);

  if (time == NULL || today == NULL)
    return g_strdup ("?");
  if (g_date_time_get_year (time) == g_date_time_get_year (today)
      && g_date_time_get_day_of_year (time) == g_date_time_get_day_of_year (today))
    return g_date_time_format (time, "%H:%M");
  return g_date_time_format (time, ABS (now - unix_seconds) < DAYS_WITH_NAMES * 86400 ? "%a %H:%M"
                                                                                      : "%x %H:%M");
}

/* What comes and goes by itself within the hour belongs on no record. */
static gboolean
is_worth_recording (const char *reason)
{
  return !g_str_equal (reason, KP_HELD_ANOTHER_JOB) && !g_str_equal (reason, KP_HELD_WAKING_UP);
}

/**
 * kp_agent_plan_hold:
 * @reason: for scripts, static
 * @message: a sentence for people
 *
 * The plan is due and does not run. Told to the history once for each due time and reason.
 */
void
kp_agent_plan_hold (KpAgentPlan *self, const char *reason, const char *message)
{
  KpAgent *agent = self->agent;
  const char *id = kp_plan_get_id (self->plan);
  const KpTiming *timing = kp_scheduler_get_timing (agent->scheduler, id);
  gint64 due = timing != NULL ? MAX (timing->due_since, timing->verify_due) : 0;
  gboolean is_news = self->held_by == NULL || !g_str_equal (self->held_by, reason);

  if ((is_news || due != self->held_due) && is_worth_recording (reason))
    {
      g_autoptr (GError) error = NULL;
      if (!kp_history_add_skip (agent->history, id, reason, message,
                                kp_clock_get_now (agent->clock), &error))
        g_warning ("%s", error->message);
    }
  /* What was found missing is not looked for meanwhile, and is looked for anew after it. */
  if (is_news)
    self->recheck_at = 0;
  self->held_by = reason;
  self->held_due = due;
  if (self->held_message != message)
    {
      g_free (self->held_message);
      self->held_message = g_strdup (message);
    }
  if (is_news)
    kp_agent_announce_held (self);
}

void
kp_agent_plan_release (KpAgentPlan *self)
{
  self->held_by = NULL;
  self->recheck_at = 0;
  g_clear_pointer (&self->held_message, g_free);
}

/**
 * kp_agent_plan_get_deletions_held:
 *
 * Returns: how many objects the last job did not delete because somebody has to consent
 */
guint64
kp_agent_plan_get_deletions_held (KpAgentPlan *self)
{
  return (guint64) kp_agent_state_get (self->agent->state, kp_plan_get_id (self->plan),
                                       KEY_DELETIONS_HELD);
}

static gboolean
last_job_failed (const KpTiming *timing)
{
  return timing != NULL && timing->last != NULL
         && (timing->last->state == KP_HISTORY_FAILED || timing->last->counts.failed > 0);
}

/* The verification that found damage which is there still, as far as anybody knows. One that did
 * not go to its end says nothing of what was found before it. */
static const KpHistoryJob *
find_alarm (const KpTiming *timing)
{
  const KpHistoryJob *last = timing != NULL ? timing->last_verdict : NULL;

  if (last == NULL || timing->is_mended
      || g_strcmp0 (last->reason, kp_error_name (KP_ERROR_CORRUPT)) != 0)
    return NULL;
  return last;
}

/**
 * kp_agent_plan_find_verify_problem:
 *
 * Returns: (nullable): what the last verification found to be wrong, as long as no backup has sent
 *   it again
 */
const char *
kp_agent_plan_find_verify_problem (KpAgentPlan *self)
{
  const KpHistoryJob *alarm
      = find_alarm (kp_scheduler_get_timing (self->agent->scheduler, kp_plan_get_id (self->plan)));

  if (alarm == NULL)
    return NULL;
  return alarm->message != NULL ? alarm->message : "";
}

/**
 * kp_agent_plan_needs_attention:
 *
 * Whether somebody should have a look: something failed, is overdue, or waits for an answer.
 */
gboolean
kp_agent_plan_needs_attention (KpAgentPlan *self)
{
  const KpTiming *timing
      = kp_scheduler_get_timing (self->agent->scheduler, kp_plan_get_id (self->plan));

  if (!kp_plan_get_enabled (self->plan))
    return FALSE;
  return last_job_failed (timing) || (timing != NULL && timing->overdue)
         || (timing != NULL && timing->summary.erased_at > 0)
         || kp_agent_plan_get_deletions_held (self) > 0
         || kp_agent_plan_find_verify_problem (self) != NULL
         || (self->held_by != NULL && g_str_has_prefix (self->held_by, "keyring-"));
}

static const char *
describe_state (KpAgentPlan *self)
{
  if (self->job != NULL)
    {
      KpJobState state = kp_job_get_state (kp_agent_job_get_job (self->job));
      if (state == KP_JOB_PAUSED)
        return "paused";
      return kp_agent_job_has_started (self->job) ? "running" : "queued";
    }
  if (!kp_plan_get_enabled (self->plan))
    return "disabled";
  return self->held_by != NULL ? "held" : "idle";
}

static void
show_verification (KpAgentPlan *self, const KpTiming *timing)
{
  const KpHistoryJob *alarm = find_alarm (timing);
  /* Its files are what there is to be seen. */
  const KpHistoryJob *last = alarm != NULL ? alarm : timing->last_verify;
  g_autofree char *message
      = g_utf8_make_valid (last != NULL && last->message != NULL ? last->message : "", -1);

  kp_dbus_plan_set_last_verified (self->skeleton, timing->summary.last_verified);
  kp_dbus_plan_set_last_verify_job (self->skeleton, last != NULL ? last->id : 0);
  kp_dbus_plan_set_last_verify_result (self->skeleton,
                                       last != NULL ? kp_history_state_name (last->state) : "");
  kp_dbus_plan_set_last_verify_message (self->skeleton, message);
  kp_dbus_plan_set_last_verify_failed (self->skeleton, last != NULL ? last->counts.failed : 0);
  kp_dbus_plan_set_verify_problem (self->skeleton, alarm != NULL);
  kp_dbus_plan_set_verify_coverage (self->skeleton,
                                    kp_agent_variant_coverage (&timing->summary.coverage));
}

static void
show_past (KpAgentPlan *self, const KpTiming *timing)
{
  const KpHistoryJob *last = timing->last;
  g_autofree char *message
      = g_utf8_make_valid (last != NULL && last->message != NULL ? last->message : "", -1);

  kp_dbus_plan_set_last_start (self->skeleton, timing->summary.last_start);
  kp_dbus_plan_set_last_success (self->skeleton, timing->summary.last_success);
  kp_dbus_plan_set_last_complete (self->skeleton, timing->summary.last_complete);
  kp_dbus_plan_set_erased (self->skeleton, kp_agent_variant_erased (&timing->summary));
  show_verification (self, timing);
  kp_dbus_plan_set_last_result (self->skeleton,
                                last != NULL ? kp_history_state_name (last->state) : "");
  kp_dbus_plan_set_last_reason (self->skeleton,
                                last != NULL && last->reason != NULL ? last->reason : "");
  kp_dbus_plan_set_last_message (self->skeleton, message);
}

/**
 * kp_agent_plan_show_settings:
 *
 * Shows what the user set up, after it was changed.
 */
void
kp_agent_plan_show_settings (KpAgentPlan *self)
{
  g_autofree char *json = kp_plan_to_json (self->plan);

  kp_dbus_plan_set_id (self->skeleton, kp_plan_get_id (self->plan));
  kp_dbus_plan_set_name (self->skeleton, kp_plan_get_name (self->plan));
  kp_dbus_plan_set_plan (self->skeleton, json);
  kp_dbus_plan_set_enabled (self->skeleton, kp_plan_get_enabled (self->plan));
}

/**
 * kp_agent_plan_show:
 *
 * Brings the object on the bus up to date. What did not change sends nothing.
 */
void
kp_agent_plan_show (KpAgentPlan *self)
{
  KpDBusPlan *skeleton = self->skeleton;
  const char *id = kp_plan_get_id (self->plan);
  const KpTiming *timing = kp_scheduler_get_timing (self->agent->scheduler, id);
  const char *note = kp_scheduler_get_watch_note (self->agent->scheduler, id);

  kp_dbus_plan_set_state (skeleton, describe_state (self));
  kp_dbus_plan_set_held_by (skeleton, self->held_by != NULL ? self->held_by : "");
  kp_dbus_plan_set_held_message (skeleton, self->held_message != NULL ? self->held_message : "");
  kp_dbus_plan_set_deletions_held (skeleton, kp_agent_plan_get_deletions_held (self));
  kp_dbus_plan_set_watch_note (skeleton, note != NULL ? note : "");
  kp_dbus_plan_set_job (skeleton, self->job != NULL ? kp_agent_job_get_path (self->job) : "/");
  if (timing == NULL)
    return;
  kp_dbus_plan_set_due_since (skeleton, timing->due_since);
  kp_dbus_plan_set_next_run (skeleton, timing->next_run);
  kp_dbus_plan_set_overdue (skeleton, timing->overdue);
  show_past (self, timing);
}

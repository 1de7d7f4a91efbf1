/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include <glib/gi18n.h>

static gboolean
goes_to_this_computer (KpAgent *self, KpPlan *plan)
{
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, NULL);
  g_autoptr (GUri) uri = NULL;

  if (location == NULL || self->loopback_is_remote)
    return FALSE;
  uri = g_uri_parse (kp_s3_location_get_endpoint (location), G_URI_FLAGS_NONE, NULL);
  const char *host = uri != NULL ? g_uri_get_host (uri) : NULL;
  if (host == NULL)
    return FALSE;
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  return g_str_equal (host, "localhost")
         || (address != NULL && g_inet_address_get_is_loopback (address));
}

/**
 * kp_agent_find_condition:
 * @is_manual: whether somebody asked for the job, who minds less
 * @reason: (out): for scripts, static; set only with the result
 *
 * Returns: (nullable): what of the computer's state this plan minds, a sentence
 */
const char *
kp_agent_find_condition (KpAgent *self, KpPlan *plan, gboolean is_manual, const char **reason)
{
  KpConditions conditions = kp_readiness_get_conditions (self->readiness);

  if ((conditions & (KP_CONDITION_OFFLINE | KP_CONDITION_METERED)) != 0
      && goes_to_this_computer (self, plan))
    conditions &= ~(KpConditions) (KP_CONDITION_OFFLINE | KP_CONDITION_METERED);
  if (conditions & KP_CONDITION_OFFLINE)
    {
      *reason = "offline";
      return _ ("There is no network connection");
    }
  if (is_manual)
    return NULL;
  if (conditions & KP_CONDITION_METERED && kp_plan_get_metered (plan) == KP_PLAN_CONDITION_WAIT)
    {
      *reason = "metered";
      return _ ("Waiting for a network that is not metered");
    }
  if (kp_plan_get_battery (plan) != KP_PLAN_CONDITION_WAIT)
    return NULL;
  if (conditions & KP_CONDITION_BATTERY)
    {
      *reason = "battery";
      return _ ("Waiting for the power supply");
    }
  if (conditions & KP_CONDITION_POWER_SAVER)
    {
      *reason = "power-saver";
      return _ ("Waiting for power saving to end");
    }
  return NULL;
}

static char *
describe_pause (KpAgent *self, gint64 now)
{
  if (self->paused_until == KP_PAUSED_UNTIL_RESUMED)
    return g_strdup (_ ("Backups are paused"));
  g_autofree char *time = kp_agent_format_time (self->paused_until, now);
  /* Translators: %s is a time, as in "15:30" or "Tue 05:00" */
  return g_strdup_printf (_ ("Backups are paused until %s"), time);
}

static char *
describe_back_off (const KpTiming *timing, gint64 now)
{
  g_autofree char *time = kp_agent_format_time (timing->retry_at, now);
  const char *message = timing->last != NULL && timing->last->message != NULL
                            ? timing->last->message
                            : _ ("The last job failed");

  /* Translators: the first %s is why the last job failed, the second a time */
  return g_strdup_printf (_ ("%s. Trying again at %s"), message, time);
}

/**
 * kp_agent_plan_find_due:
 *
 * Returns: since when the plan is to be backed up or verified by itself; 0 if it is not, or if it
 * is switched off
 */
gint64
kp_agent_plan_find_due (KpAgentPlan *plan)
{
  const KpTiming *timing
      = kp_scheduler_get_timing (plan->agent->scheduler, kp_plan_get_id (plan->plan));

  if (!kp_plan_get_enabled (plan->plan))
    return 0;
  return timing->due_since > 0 ? timing->due_since : timing->verify_due;
}

/**
 * kp_agent_plan_hold_if_necessary:
 * @timing: of the plan, which is due
 *
 * Returns: whether anything but missing folders and keys is in its way, which it says then
 */
gboolean
kp_agent_plan_hold_if_necessary (KpAgentPlan *plan, const KpTiming *timing, gint64 now)
{
  KpAgent *self = plan->agent;
  g_autofree char *message = NULL;
  const char *reason = NULL;
  const char *sentence;

  if (self->paused_until != 0)
    {
      reason = KP_HELD_PAUSED;
      message = describe_pause (self, now);
    }
  else if ((sentence = kp_agent_find_condition (self, plan->plan, FALSE, &reason)) != NULL)
    message = g_strdup (sentence);
  else if (timing->retry_at > now)
    {
      reason = KP_HELD_BACK_OFF;
      message = describe_back_off (timing, now);
    }
  else if (now < self->quiet_until)
    {
      reason = KP_HELD_WAKING_UP;
      message = g_strdup (_ ("Waiting a moment after the start"));
      kp_scheduler_look_again_at (self->scheduler, self->quiet_until);
    }
  else if (plan->recheck_at > now)
    {
      /* Said already. */
      kp_scheduler_look_again_at (self->scheduler, plan->recheck_at);
      kp_agent_plan_hold (plan, plan->held_by, plan->held_message);
      return TRUE;
    }
  else if (self->jobs->len > 0 || self->n_preflights > 0)
    {
      reason = KP_HELD_ANOTHER_JOB;
      message = g_strdup (_ ("Waiting for another job to end"));
    }
  if (reason == NULL)
    return FALSE;
  kp_agent_plan_hold (plan, reason, message);
  return TRUE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-autostart.h"
#include "kp-error.h"
#include "kp-launcher-entry.h"
#include "kp-portal.h"
#include "kp-size.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#define SECONDS_PER_DAY 86400

/* A job that ends sooner, and that nobody asked for, is not worth a notification of its progress.
 */
#define WORTH_NOTIFYING 3

/* The same through the portal, which has nothing to show progress with; and where its first version
 * is new to a program, two that follow soon may come in any order. */
#define WORTH_NOTIFYING_PORTAL 10

/* --- state ---------------------------------------------------------------------------------- */

static KpAgentJob *
find_shown_job (KpAgent *self)
{
  for (guint i = 0; i < self->jobs->len; i++)
    {
      KpAgentJob *job = g_ptr_array_index (self->jobs, i);
      if (kp_agent_job_has_started (job) && !kp_job_has_ended (kp_agent_job_get_job (job)))
        return job;
    }
  return NULL;
}

static KpAgentPlan *
find_plan_with_problem (KpAgent *self)
{
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (kp_agent_plan_needs_attention (value))
      return value;
  return NULL;
}

/* "42 %, 1.2 MB/s, 5 min left" */
static char *
describe_progress (KpJob *job)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gint64 left = kp_job_get_seconds_left (job);
  guint64 rate = kp_job_get_rate (job);
  KpProgress progress;

  if (kp_job_get_waiting (job) != NULL)
    return g_strdup (kp_job_get_waiting (job));
  kp_job_get_progress (job, &progress);
  if (progress.bytes_total == 0)
    {
      switch (kp_job_get_state (job))
        {
        case KP_JOB_PAUSED:
          return g_strdup (_ ("Paused"));
        case KP_JOB_TRANSFERRING:
          return kp_job_get_kind (job) == KP_HISTORY_ERASE
                     /* Translators: %d is a number of percent */
                     ? g_strdup_printf (_ ("%d %%"), (int) (kp_job_get_fraction (job) * 100))
                     : g_strdup (_ ("Finishing"));
        case KP_JOB_COMPARING:
          return g_strdup (_ ("Comparing"));
        case KP_JOB_QUEUED:
        case KP_JOB_SCANNING:
        case KP_JOB_WAITING:
        case KP_JOB_FINISHED:
        case KP_JOB_FAILED:
        case KP_JOB_CANCELLED:
        default:
          return g_strdup (_ ("Looking for changes"));
        }
    }
  /* Translators: %d is a number of percent */
  g_string_append_printf (text, _ ("%d %%"), (int) (kp_job_get_fraction (job) * 100));
  if (rate > 0)
    {
      g_autofree char *formatted = kp_rate_format (rate);
      g_string_append_printf (text, ", %s", formatted);
    }
  if (left > 0)
    {
      g_autofree char *duration = kp_duration_format ((guint64) left);
      /* Translators: %s is a duration, as in "5 min" */
      g_string_append_printf (text, _ (", %s left"), duration);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static const char *
find_state (KpAgent *self, KpTrayState *tray_state)
{
  KpAgentJob *job = find_shown_job (self);

  if (job != NULL && kp_job_get_state (kp_agent_job_get_job (job)) != KP_JOB_PAUSED)
    {
      *tray_state = KP_TRAY_RUNNING;
      return "running";
    }
  if (find_plan_with_problem (self) != NULL || self->plan_problems != NULL)
    {
      *tray_state = KP_TRAY_ATTENTION;
      return "attention";
    }
  if (self->paused_until != 0 || job != NULL)
    {
      *tray_state = KP_TRAY_PAUSED;
      return "paused";
    }
  *tray_state = KP_TRAY_IDLE;
  return "idle";
}

static gint64
find_last_success (KpAgent *self)
{
  GHashTableIter iter;
  void *key;
  gint64 last = 0;

  g_hash_table_iter_init (&iter, self->plans);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    {
      const KpTiming *timing = kp_scheduler_get_timing (self->scheduler, key);
      if (timing != NULL)
        last = MAX (last, timing->summary.last_success);
    }
  return last;
}

static const char *
get_plan_problems_title (KpAgent *self)
{
  return g_dngettext (GETTEXT_PACKAGE, "A backup plan cannot be read",
                      "Some backup plans cannot be read", self->n_plan_problems);
}

static void
show_tooltip (KpAgent *self, KpTrayState state)
{
  KpAgentJob *job = find_shown_job (self);
  KpAgentPlan *problem = find_plan_with_problem (self);
  gint64 now = kp_clock_get_now (self->clock);
  gint64 last = find_last_success (self);
  g_autofree char *text = NULL;

  if (job != NULL)
    {
      KpJob *kp_job = kp_agent_job_get_job (job);
      text = describe_progress (kp_job);
      kp_tray_set_tooltip (self->tray, kp_plan_get_name (kp_job_get_plan (kp_job)), text);
      return;
    }
  if (state == KP_TRAY_ATTENTION && problem != NULL)
    {
      const KpTiming *timing
          = kp_scheduler_get_timing (self->scheduler, kp_plan_get_id (problem->plan));
      const char *mismatch = kp_agent_plan_find_verify_problem (problem);
      const char *reason = problem->held_message != NULL ? problem->held_message
                           : mismatch != NULL            ? mismatch
                           : timing != NULL && timing->summary.erased_at > 0
                               ? _ ("Its backup is deleted, or a part of it")
                           : timing != NULL && timing->last != NULL && timing->last->message != NULL
                               ? timing->last->message
                               : _ ("There was no backup for too long");
      kp_tray_set_tooltip (self->tray, kp_plan_get_name (problem->plan), reason);
      return;
    }
  if (state == KP_TRAY_ATTENTION)
    {
      kp_tray_set_tooltip (self->tray, get_plan_problems_title (self), self->plan_problems);
      return;
    }
  if (state == KP_TRAY_PAUSED)
    text = g_strdup (_ ("Backups are paused"));
  else if (last > 0)
    {
      g_autofree char *time = kp_agent_format_time (last, now);
      /* Translators: %s is a time, as in "15:30" or "Tue 15:30" */
      text = g_strdup_printf (_ ("Last backup: %s"), time);
    }
  else
    text = g_strdup (_ ("No backup yet"));
  kp_tray_set_tooltip (self->tray, "Keepsake", text);
}

static void
show_tray (KpAgent *self, KpTrayState state)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->store));

  kp_tray_set_state (self->tray, state);
  show_tooltip (self, state);
  kp_tray_set_paused (self->tray, self->paused_until != 0);
  kp_tray_begin_plans (self->tray);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (G_LIST_MODEL (self->store), i);
      KpAgentPlan *agent_plan = kp_agent_find_plan (self, kp_plan_get_id (plan));
      kp_tray_add_plan (self->tray, kp_plan_get_id (plan), kp_plan_get_name (plan),
                        agent_plan != NULL && kp_agent_plan_can_run (agent_plan));
    }
  kp_tray_end_plans (self->tray);
}

static gboolean
is_transferring_for_somebody (KpAgentJob *job)
{
  return job != NULL && kp_agent_job_is_manual (job)
         && kp_job_get_state (kp_agent_job_get_job (job)) == KP_JOB_TRANSFERRING;
}

static char *
describe_job (KpJob *job)
{
  const char *name = kp_plan_get_name (kp_job_get_plan (job));

  switch (kp_job_get_kind (job))
    {
    case KP_HISTORY_RESTORE:
      /* Translators: %s is the name of a plan */
      return g_strdup_printf (_ ("Restoring from “%s”"), name);
    case KP_HISTORY_VERIFY:
      /* Translators: %s is the name of a plan */
      return g_strdup_printf (_ ("Verifying “%s”"), name);
    case KP_HISTORY_ERASE:
      /* Translators: %s is the name of a plan */
      return g_strdup_printf (_ ("Deleting the backup of “%s”"), name);
    case KP_HISTORY_BACKUP:
    default:
      /* Translators: %s is the name of a plan */
      return g_strdup_printf (_ ("Backing up “%s”"), name);
    }
}

/* The desktop's list of what runs in the background needs no more than whole percents: a hundred
 * calls for a job, not ten a second. */
static void
tell_portal (KpAgent *self, KpAgentJob *job)
{
  g_autofree char *status = NULL;

  if (job == NULL)
    status = g_strdup (_ ("Waiting for the next backup"));
  else
    {
      KpJob *kp_job = kp_agent_job_get_job (job);
      g_autofree char *what = describe_job (kp_job);
      status = kp_job_get_waiting (kp_job) != NULL
                   ? g_strdup (kp_job_get_waiting (kp_job))
                   : g_strdup_printf (
                       /* Translators: %s is what is done, %d a number of percent */
                       _ ("%s: %d %%"), what, (int) (kp_job_get_fraction (kp_job) * 100));
    }
  if (g_strcmp0 (status, self->portal_status) == 0)
    return;
  kp_autostart_set_status (self->bus, status);
  g_free (self->portal_status);
  self->portal_status = g_steal_pointer (&status);
}

/* A dock's bar has room for whole percents; and nothing is told where nothing has changed, as each
 * signal wakes up all who listen. */
static void
tell_docks (KpAgent *self, KpAgentJob *job)
{
  double fraction = job != NULL ? kp_job_get_fraction (kp_agent_job_get_job (job)) : -1;
  int percent = job != NULL ? (int) (fraction * 100) : -1;

  if (percent == self->dock_percent)
    return;
  self->dock_percent = percent;
  kp_launcher_entry_update (self->bus, fraction);
}

/**
 * kp_agent_announce_state:
 *
 * Brings tray, launcher and the portal's line up to date.
 */
void
kp_agent_announce_state (KpAgent *self)
{
  KpTrayState tray_state;
  const char *state = find_state (self, &tray_state);
  KpAgentJob *job = find_shown_job (self);

  kp_dbus_manager_set_state (self->manager, state);
  if (self->tray != NULL)
    show_tray (self, tray_state);
  g_autofree char *what = job != NULL ? describe_job (kp_agent_job_get_job (job)) : NULL;
  kp_inhibitor_set (self->inhibitor, is_transferring_for_somebody (job), what != NULL ? what : "");
  tell_docks (self, job);
  tell_portal (self, job);
}

/* --- notifications -------------------------------------------------------------------------- */

/* The same failure, tried again by itself, is told once. */
static gboolean
is_known_failure (KpAgentPlan *plan, KpAgentJob *job)
{
  KpAgent *self = plan->agent;
  const char *id = kp_plan_get_id (plan->plan);
  const KpTiming *timing = kp_scheduler_get_timing (self->scheduler, id);
  gint64 told = kp_agent_state_get (self->state, id, "failure-told");

  if (kp_agent_job_is_manual (job))
    return FALSE;
  gint64 now = kp_clock_get_now (self->clock);

  return told != 0 && told <= now && timing != NULL && timing->summary.last_success < told
         && now - told < SECONDS_PER_DAY;
}

static gboolean
is_worth_notifying (KpAgent *self, KpAgentJob *job)
{
  KpProgress progress;
  KpJob *kp_job = kp_agent_job_get_job (job);
  KpAgentPlan *plan = kp_agent_find_plan (self, kp_agent_job_get_plan_id (job));

  if (kp_settings_get_notify_finished (self->settings) == KP_NOTIFY_NEVER)
    return FALSE;
  /* It would take the place of the failure, which nobody may have seen yet. */
  if (plan != NULL && is_known_failure (plan, job))
    return FALSE;
  kp_job_get_progress (kp_job, &progress);
  if (progress.transfer_started == 0 || progress.bytes_total == 0)
    return FALSE;
  gint64 passed = g_get_monotonic_time () - progress.transfer_started;
  if (kp_portal_is_needed ())
    return passed > WORTH_NOTIFYING_PORTAL * G_USEC_PER_SEC;
  return kp_agent_job_is_manual (job) || passed > WORTH_NOTIFYING * G_USEC_PER_SEC;
}

static void
notify_progress (KpAgent *self, KpAgentJob *job)
{
  KpJob *kp_job = kp_agent_job_get_job (job);
  g_autofree char *body = describe_progress (kp_job);

  g_autofree char *title = describe_job (kp_job);

  kp_agent_job_set_notified (job);
  kp_notifier_show (self->notifier, kp_agent_job_get_plan_id (job),
                    &(KpNotification){ .title = title,
                                       .body = body,
                                       .urgency = KP_NOTIFICATION_LOW,
                                       .percent = (int) (kp_job_get_fraction (kp_job) * 100) });
}

/**
 * kp_agent_announce_job:
 *
 * The job moved on.
 */
void
kp_agent_announce_job (KpAgent *self, KpAgentJob *job)
{
  KpJob *kp_job = kp_agent_job_get_job (job);

  if (kp_job_has_ended (kp_job) || !kp_agent_job_has_started (job))
    return;
  if (is_worth_notifying (self, job))
    notify_progress (self, job);
  kp_agent_announce_state (self);
}

/* Files that a job sent, received, or brought up to date. */
static guint64
count_changes (const KpHistoryCounts *counts)
{
  return counts->put + counts->delta + counts->copied + counts->metadata;
}

static char *
describe_success (KpJob *job)
{
  const KpJobResult *result = kp_job_get_result (job);
  g_autofree char *sent = kp_size_format (result->counts.bytes_sent);
  guint64 files = count_changes (&result->counts);

  if (kp_job_get_kind (job) == KP_HISTORY_VERIFY)
    return g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%" PRIu64 " file is equal",
                                         "%" PRIu64 " files are equal",
                                         (gulong) result->counts.unchanged),
                            result->counts.unchanged);
  if (files == 0)
    return g_strdup (_ ("Nothing had changed"));
  /* Translators: %s is a size, as in "1.5 MiB" */
  return g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%" PRIu64 " file, %s",
                                       "%" PRIu64 " files, %s", (gulong) files),
                          files, sent);
}

static gboolean
is_success_told (KpAgent *self, KpAgentJob *job)
{
  const KpHistoryCounts *counts = &kp_job_get_result (kp_agent_job_get_job (job))->counts;

  switch (kp_settings_get_notify_finished (self->settings))
    {
    case KP_NOTIFY_NEVER:
      return FALSE;
    case KP_NOTIFY_CHANGES:
      return count_changes (counts) > 0 || counts->deleted > 0;
    case KP_NOTIFY_ALWAYS:
      return TRUE;
    case KP_NOTIFY_ASKED:
    default:
      return kp_agent_job_is_notified (job) || kp_agent_job_is_manual (job);
    }
}

static gboolean
are_problems_told (KpAgent *self)
{
  return kp_settings_get_boolean (self->settings, KP_SETTING_NOTIFY_PROBLEMS, TRUE);
}

/* @buttons: pairs of action and label, ended by %NULL */
static void
show_critical (KpAgentPlan *plan, const char *title, const char *body, const char *const *buttons)
{
  plan->is_told = FALSE;
  kp_notifier_show (plan->agent->notifier, kp_plan_get_id (plan->plan),
                    &(KpNotification){ .title = title,
                                       .body = body,
                                       .urgency = KP_NOTIFICATION_CRITICAL,
                                       .percent = -1,
                                       .buttons = buttons });
}

static void
show_problem (KpAgentPlan *plan, const char *title, const char *body)
{
  gboolean is_locked = plan->held_by != NULL && g_str_equal (plan->held_by, "keyring-locked");
  const char *buttons[] = { is_locked ? ACTION_UNLOCK : ACTION_RUN,
                            is_locked ? _ ("Unlock Keyring") : _ ("Back Up Now"), ACTION_DETAILS,
                            _ ("Details"), NULL };

  /* While its job runs there is nothing to begin. */
  show_critical (plan, title, body, kp_agent_plan_can_run (plan) ? buttons : buttons + 2);
}

/* In any case what was said before of the plan is over. */
static void
notify_problem (KpAgentPlan *plan, const char *title, const char *body)
{
  if (are_problems_told (plan->agent))
    show_problem (plan, title, body);
  else
    kp_notifier_withdraw (plan->agent->notifier, kp_plan_get_id (plan->plan));
}

/* An alarm: what the storage holds is not what was sent to it. Told each time. */
static void
notify_mismatch (KpAgentPlan *plan, const char *message)
{
  /* Translators: %s is the name of a plan */
  g_autofree char *title
      = g_strdup_printf (_ ("“%s”: damage was found"), kp_plan_get_name (plan->plan));
  /* Translators: %s is a sentence that names files */
  g_autofree char *body = g_strdup_printf (
      _ ("%s. What is damaged in the storage is sent again by the next backup."), message);

  notify_problem (plan, title, body);
}

/* What is left of a backup that is deleted, each a sentence: with the plan its job goes, too, so
 * this is the last that can be said of it. */
static char *
describe_erased (KpJob *job)
{
  const KpJobResult *result = kp_job_get_result (job);
  g_auto (GStrv) notices = kp_job_dup_notices (job);
  g_autofree char *bytes = kp_size_format (result->erased_bytes);
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_printf (text,
                   /* Translators: objects in the storage; %s is a size, as in "1.5 MiB" */
                   g_dngettext (GETTEXT_PACKAGE, "%" PRIu64 " object, %s",
                                "%" PRIu64 " objects, %s", (gulong) result->counts.deleted),
                   result->counts.deleted, bytes);
  for (gsize i = 0; notices[i] != NULL; i++)
    g_string_append_printf (text, ". %s", notices[i]);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static char *
make_erased_id (KpAgentPlan *plan)
{
  return g_strconcat (kp_plan_get_id (plan->plan), "-erased", NULL);
}

/* Somebody asked for it and was warned: how it ended is told in any case. */
static void
notify_erased (KpAgentPlan *plan, KpJob *job, const char *problem)
{
  const char *name = kp_plan_get_name (plan->plan);
  const char *plan_id = kp_plan_get_id (plan->plan);
  /* With the plan goes what was said of it. */
  g_autofree char *id = problem != NULL ? g_strdup (plan_id) : make_erased_id (plan);
  const char *buttons[] = { ACTION_DETAILS, _ ("Details"), NULL };
  g_autofree char *count = describe_erased (job);
  if (problem == NULL)
    kp_notifier_withdraw (plan->agent->notifier, plan_id);
  if (problem != NULL ? !are_problems_told (plan->agent)
                      : kp_settings_get_notify_finished (plan->agent->settings) == KP_NOTIFY_NEVER)
    {
      kp_notifier_withdraw (plan->agent->notifier, kp_plan_get_id (plan->plan));
      return;
    }
  g_autofree char *title = g_strdup_printf (
      /* Translators: %s is the name of a plan */
      problem != NULL ? _ ("The backup of “%s” is not all deleted")
                      /* Translators: %s is the name of a plan */
                      : _ ("“%s” and its backup are deleted"),
      name);

  kp_notifier_show (plan->agent->notifier, id,
                    &(KpNotification){ .title = title,
                                       .body = problem != NULL ? problem : count,
                                       .urgency = problem != NULL ? KP_NOTIFICATION_CRITICAL
                                                                  : KP_NOTIFICATION_LOW,
                                       .percent = -1,
                                       .buttons = problem != NULL ? buttons : NULL });
}

/**
 * kp_agent_announce_end:
 *
 * The plan's job has ended: quietly when all went well, otherwise so that it is seen.
 */
void
kp_agent_announce_end (KpAgentPlan *plan, KpAgentJob *job)
{
  KpAgent *self = plan->agent;
  const char *id = kp_plan_get_id (plan->plan);
  const char *name = kp_plan_get_name (plan->plan);
  KpJob *kp_job = kp_agent_job_get_job (job);
  const char *reason;
  g_autofree char *message = kp_job_describe_end (kp_job, &reason);
  gboolean was_notified = kp_agent_job_is_notified (job) || plan->is_told;

  /* Whatever comes now takes the place of that. */
  plan->is_told = FALSE;
  if (kp_job_get_state (kp_job) == KP_JOB_CANCELLED)
    {
      kp_notifier_withdraw (self->notifier, id);
      return;
    }
  if (kp_job_get_kind (kp_job) == KP_HISTORY_ERASE)
    {
      notify_erased (plan, kp_job, message);
      return;
    }
  if (message != NULL && kp_job_get_kind (kp_job) == KP_HISTORY_VERIFY
      && kp_job_get_state (kp_job) == KP_JOB_FINISHED
      && g_strcmp0 (reason, kp_error_name (KP_ERROR_CORRUPT)) == 0)
    {
      notify_mismatch (plan, message);
      return;
    }
  if (message != NULL)
    {
      /* Translators: %s is the name of a plan */
      g_autofree char *title = g_strdup_printf (
          kp_job_get_state (kp_job) == KP_JOB_FAILED ? _ ("“%s” failed") : _ ("“%s” needs a look"),
          name);
      if (is_known_failure (plan, job))
        {
          if (was_notified)
            notify_problem (plan, title, message);
          return;
        }
      kp_agent_state_set (self->state, id, "failure-told", kp_clock_get_now (self->clock));
      notify_problem (plan, title, message);
      return;
    }
  kp_agent_state_set (self->state, id, "failure-told", 0);
  if (!is_success_told (self, job))
    {
      kp_notifier_withdraw (self->notifier, id);
      return;
    }
  /* Translators: %s is the name of a plan */
  g_autofree char *title = g_strdup_printf (_ ("“%s” is done"), name);
  g_autofree char *body = describe_success (kp_job);
  kp_notifier_show (
      self->notifier, id,
      &(KpNotification){
          .title = title, .body = body, .urgency = KP_NOTIFICATION_LOW, .percent = -1 });
}

/**
 * kp_agent_announce_not_removed:
 * @message: why
 *
 * What is stored of the plan is deleted, and the plan was to go with it. In place of what was said
 * of the deletion.
 */
void
kp_agent_announce_not_removed (KpAgentPlan *plan, const char *message)
{
  const char *buttons[] = { ACTION_DETAILS, _ ("Details"), NULL };
  /* Translators: %s is the name of a plan */
  g_autofree char *title = g_strdup_printf (_ ("The backup of “%s” is deleted, but not the plan"),
                                            kp_plan_get_name (plan->plan));
  /* Translators: %s is why, a sentence */
  g_autofree char *body = g_strdup_printf (_ ("%s. It does not run by itself any more."), message);
  g_autofree char *erased_id = make_erased_id (plan);

  kp_notifier_withdraw (plan->agent->notifier, erased_id);
  show_critical (plan, title, body, buttons);
}

/**
 * kp_agent_announce_keys_left:
 * @name: of a plan that was removed
 * @message: why
 *
 * Nobody else knows to whom they belong.
 */
void
kp_agent_announce_keys_left (KpAgent *self,
                             const char *plan_id,
                             const char *name,
                             const char *message)
{
  g_autofree char *id = g_strconcat (plan_id, "-keys", NULL);
  /* Translators: %s is the name of a plan */
  g_autofree char *title = g_strdup_printf (_ ("The keys of “%s” are still in the keyring"), name);

  if (self->notifier != NULL)
    kp_notifier_show (
        self->notifier, id,
        &(KpNotification){
            .title = title, .body = message, .urgency = KP_NOTIFICATION_CRITICAL, .percent = -1 });
}

/**
 * kp_agent_announce_held:
 *
 * The plan is held for a new reason. Only what somebody has to do something about is told.
 */
void
kp_agent_announce_held (KpAgentPlan *plan)
{
  gboolean is_locked = plan->held_by != NULL && g_str_equal (plan->held_by, "keyring-locked");

  if (plan->held_by == NULL || (!is_locked && !g_str_equal (plan->held_by, "keyring-missing"))
      || !are_problems_told (plan->agent))
    return;
  const char *buttons[] = { is_locked ? ACTION_UNLOCK : ACTION_DETAILS,
                            is_locked ? _ ("Unlock Keyring") : _ ("Details"), NULL };
  /* Translators: %s is the name of a plan */
  g_autofree char *title
      = g_strdup_printf (_ ("“%s” cannot be backed up"), kp_plan_get_name (plan->plan));
  show_critical (plan, title, plan->held_message, buttons);
  plan->is_told = TRUE;
}

/* Why a plan that is overdue has no backup; "" where that is plain to see. */
static const char *
get_hindrance (KpAgentPlan *plan)
{
  const char *waiting = plan->held_message;

  if (plan->job != NULL)
    {
      KpJob *job = kp_agent_job_get_job (plan->job);
      waiting = kp_job_get_waiting (job);
      if (waiting == NULL && !kp_agent_job_has_started (plan->job))
        return _ ("Waiting for another job to end");
      if (waiting == NULL && kp_job_get_state (job) != KP_JOB_PAUSED)
        return _ ("Its job does not get on; a disk or a network share may not answer");
    }
  return waiting != NULL ? waiting : "";
}

/**
 * kp_agent_announce_overdue:
 *
 * The plan has had no success for too long. Told once a day.
 */
void
kp_agent_announce_overdue (KpAgentPlan *plan)
{
  KpAgent *self = plan->agent;
  const char *id = kp_plan_get_id (plan->plan);
  const KpTiming *timing = kp_scheduler_get_timing (self->scheduler, id);
  gint64 now = kp_clock_get_now (self->clock);
  gint64 told = kp_agent_state_get (self->state, id, "overdue-told");

  if ((told <= now && now - told < SECONDS_PER_DAY)
      || !kp_settings_get_boolean (self->settings, KP_SETTING_NOTIFY_OVERDUE, TRUE))
    return;
  kp_agent_state_set (self->state, id, "overdue-told", now);
  const char *reason = get_hindrance (plan);
  g_autofree char *time = kp_agent_format_time (timing->summary.last_success, now);
  /* Translators: %s is the name of a plan */
  g_autofree char *title = g_strdup_printf (_ ("“%s” is overdue"), kp_plan_get_name (plan->plan));
  /* Translators: the first %s is a time, the second why nothing happens */
  g_autofree char *body = timing->summary.last_success > 0
                              ? g_strdup_printf (_ ("The last backup was on %s. %s"), time, reason)
                              : g_strdup_printf (_ ("There has been no backup yet. %s"), reason);
  show_problem (plan, title, g_strstrip (body));
}

/* The files, not the plans: what is in them is not known. */
static void
notify_plan_problems (KpAgent *self)
{
  const char *buttons[] = { ACTION_DETAILS, _ ("Details"), NULL };

  if (self->plan_problems == NULL || !are_problems_told (self))
    kp_notifier_withdraw (self->notifier, PLAN_PROBLEMS_ID);
  else
    kp_notifier_show (self->notifier, PLAN_PROBLEMS_ID,
                      &(KpNotification){ .title = get_plan_problems_title (self),
                                         .body = self->plan_problems,
                                         .urgency = KP_NOTIFICATION_CRITICAL,
                                         .percent = -1,
                                         .buttons = buttons });
}

/**
 * kp_agent_announce_plan_problems:
 * @problems: (element-type KpPlanProblem): may be those that are known already
 *
 * What is set up in a file that cannot be read may not be backed up, and nothing else would tell.
 * To be called again after kp_agent_announce_start(): before it there is nothing to tell it with.
 */
void
kp_agent_announce_plan_problems (KpAgent *self, GPtrArray *problems)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (self->notifier == NULL)
    return;
  for (guint i = 0; i < problems->len; i++)
    {
      const KpPlanProblem *problem = g_ptr_array_index (problems, i);
      g_string_append_printf (text, "%s%s", i > 0 ? "\n" : "", problem->error->message);
    }
  g_autofree char *old = g_steal_pointer (&self->plan_problems);
  self->n_plan_problems = problems->len;
  if (problems->len > 0)
    self->plan_problems = g_utf8_make_valid (text->str, -1);
  if (g_strcmp0 (old, self->plan_problems) == 0)
    return;
  notify_plan_problems (self);
  kp_agent_consider_soon (self);
}

/**
 * kp_agent_forget_plan_notifications:
 *
 * The plan is removed: nothing that is said of it, and no button, means anything any more.
 */
void
kp_agent_forget_plan_notifications (KpAgentPlan *plan)
{
  if (plan->agent->notifier != NULL)
    kp_notifier_withdraw (plan->agent->notifier, kp_plan_get_id (plan->plan));
  plan->is_told = FALSE;
}

/**
 * kp_agent_forget_notifications:
 *
 * What was said of why the plan is held is no longer true.
 */
void
kp_agent_forget_notifications (KpAgentPlan *plan)
{
  if (plan->is_told)
    kp_notifier_withdraw (plan->agent->notifier, kp_plan_get_id (plan->plan));
  plan->is_told = FALSE;
}

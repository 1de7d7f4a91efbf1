/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* When is a plan due? From its schedule, its history, changes in its folders and the clock. Never
 * whether it may run now. Between two alarms of the clock, of which there is at least one a day, it
 * sleeps.
 *
 *   due (): time has passed, or something changed; look at the plans again */

#include "kp-agent-state.h"
#include "kp-clock.h"
#include "kp-history.h"
#include "kp-plan.h"

G_BEGIN_DECLS

/* What is known of a plan's time. Times are seconds since 1970 UTC, 0 is never. */
typedef struct
{
  gint64 due_since; /* 0: not due */
  KpHistoryTrigger trigger;
  gint64 retry_at;   /* after failures: not before */
  gint64 next_run;   /* 0: no clock decides that */
  gint64 look_at;    /* when @watch looks whatever it has seen; 0 for the others */
  gint64 verify_due; /* since when; 0: not due */
  gboolean overdue;  /* no success for too long */
  gint64 overdue_at; /* when it will be, or was */
  KpHistorySummary summary;
  KpHistoryJob *last;         /* backup that ended, or NULL */
  KpHistoryJob *last_verify;  /* verification that ended, or NULL */
  KpHistoryJob *last_verdict; /* verification that went to its end, or NULL */
  gboolean is_mended;         /* what that has found: a backup has sent it again */
} KpTiming;

#define KP_TYPE_SCHEDULER (kp_scheduler_get_type ())
G_DECLARE_FINAL_TYPE (KpScheduler, kp_scheduler, KP, SCHEDULER, GObject)

KpScheduler *kp_scheduler_new (KpClock *clock,
                               KpHistory *history,
                               KpAgentState *state,
                               const char *own_folder);
void kp_scheduler_set_plan (KpScheduler *scheduler, KpPlan *plan);
void kp_scheduler_remove_plan (KpScheduler *scheduler, const char *plan_id);
void kp_scheduler_refresh (KpScheduler *scheduler);
void kp_scheduler_look_again_at (KpScheduler *scheduler, gint64 unix_seconds);
void kp_scheduler_forget_failures (KpScheduler *scheduler);
void kp_scheduler_note_backup (KpScheduler *scheduler, const char *plan_id, gboolean is_here);
void kp_scheduler_job_ended (KpScheduler *scheduler, const char *plan_id, const KpHistoryJob *job);
const KpTiming *kp_scheduler_get_timing (KpScheduler *scheduler, const char *plan_id);
const char *kp_scheduler_get_history_problem (KpScheduler *scheduler);
const char *kp_scheduler_get_watch_note (KpScheduler *scheduler, const char *plan_id);

G_END_DECLS

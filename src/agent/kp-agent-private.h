/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-agent.c (decides), kp-agent-hold.c (what is in the way), kp-agent-jobs.c (begins and ends
 * jobs), kp-agent-plan.c (shows a plan), kp-agent-remove.c (ends a plan),
 * kp-agent-methods.c (hears the bus), kp-agent-announce.c (tray, notifications) and
 * kp-agent-clicks.c (what is pressed there) share. All of it belongs to the main thread. */

#include "kp-agent-job.h"
#include "kp-agent-state.h"
#include "kp-agent.h"
#include "kp-dbus.h"
#include "kp-inhibitor.h"
#include "kp-notifier.h"
#include "kp-plan-store.h"
#include "kp-readiness.h"
#include "kp-scheduler.h"
#include "kp-settings.h"
#include "kp-tray.h"

#include <gio/gunixmounts.h>

G_BEGIN_DECLS

/* Reasons for which a plan is held, beside those of KpConditions and kp-preflight.h. */
#define KP_HELD_PAUSED "paused"
#define KP_HELD_ANOTHER_JOB "another-job"
#define KP_HELD_BACK_OFF "back-off"
#define KP_HELD_WAKING_UP "waking-up"

#define KP_PAUSED_UNTIL_RESUMED (-1)
#define KP_LIMIT_OF_PLANS (-1)

typedef struct
{
  KpAgent *agent;
  KpPlan *plan; /* the store's */
  KpDBusObjectSkeleton *object;
  KpDBusPlan *skeleton;
  KpAgentJob *job;       /* that runs or waits, or NULL */
  KpAgentJob *ended_job; /* the last that ended, or NULL */
  gboolean in_preflight; /* an answer is awaited */
  gboolean may_ask;      /* … and may be that of a person */
  gboolean is_told;      /* somebody was told why it is held */

  const char *held_by; /* static, or NULL */
  char *held_message;
  gint64 held_due;   /* the due time that was held back */
  gint64 recheck_at; /* when to look again at what a preflight found */
} KpAgentPlan;

struct _KpAgent
{
  GObject parent_instance;

  GDBusConnection *bus;
  GDBusObjectManagerServer *server;
  KpDBusManager *manager;
  char *state_dir;
  KpClock *clock;
  KpReadiness *readiness;
  KpHistory *history;
  KpAgentState *state;
  KpPlanStore *store;
  KpScheduler *scheduler;
  KpThrottle *upload;
  KpThrottle *download;
  gboolean loopback_is_remote; /* for tests */

  GHashTable *plans;    /* (element-type utf8 KpAgentPlan): by id */
  GPtrArray *jobs;      /* (element-type KpAgentJob): not ended, in their order */
  guint64 n_jobs;       /* so far */
  guint n_preflights;   /* that ask nobody, and end soon */
  guint n_prompts;      /* preflights that may ask, and for which nothing waits */
  GPtrArray *starts;    /* of kp-agent-jobs.c, that wait for the end of a job */
  gint64 paused_until;  /* 0: not paused; KP_PAUSED_UNTIL_RESUMED */
  gint64 quiet_until;   /* nothing is started by itself before */
  gint64 upload_limit;  /* or KP_LIMIT_OF_PLANS */
  gint64 passing_limit; /* over it until the jobs have ended; or KP_LIMIT_OF_PLANS */
  gint64 last_look;     /* when plans were looked at before */
  GSource *consider_source;
  gboolean begun;
  gboolean quitting;
  gboolean has_quit;
  guint quit_timer;    /* ends the wait for jobs, in real time; or 0 */
  GPtrArray *settling; /* of GDBusMethodInvocation: tests that wait for quiet */
  GPtrArray *counts;   /* that run, of kp-agent-queries.c; or NULL */
  guint keyring_subscription;
  GUnixMountMonitor *mounts; /* while a plan waits for one, or NULL */

  KpTray *tray;
  KpNotifier *notifier;
  GSettings *settings; /* (nullable) */
  KpInhibitor *inhibitor;
  char *plan_problems; /* of files that are no plans, each a sentence in a line; or NULL */
  guint n_plan_problems;
  char *watch_problem;   /* why edits of plans are not noticed, or NULL */
  char *history_problem; /* what was wrong with it at the start, or NULL */
  char *portal_status;   /* what the portal was told last, or NULL */
  int dock_percent;      /* what docks were told last; -1 for nothing to show */
};

/* kp-agent.c */
void kp_agent_consider_soon (KpAgent *agent);
void kp_agent_recheck_held_plans (KpAgent *agent);
void kp_agent_set_paused (KpAgent *agent, gint64 until);
gint64 kp_agent_get_upload_limit (KpAgent *agent);
void kp_agent_set_upload_limit (KpAgent *agent, gint64 rate, gboolean until_idle);
KpAgentPlan *kp_agent_find_plan (KpAgent *agent, const char *id);
gint64 kp_agent_next_morning (KpAgent *agent);

/* kp-agent-hold.c */
const char *kp_agent_find_condition (KpAgent *agent,
                                     KpPlan *plan,
                                     gboolean is_manual,
                                     const char **reason);
gint64 kp_agent_plan_find_due (KpAgentPlan *plan);
gboolean kp_agent_plan_hold_if_necessary (KpAgentPlan *plan, const KpTiming *timing, gint64 now);

/* kp-agent-jobs.c */
typedef KpJob *(*KpAgentMakeJob) (KpAgentPlan *plan, const KpJobSettings *settings, void *data);
void kp_agent_run_async (KpAgentPlan *plan,
                         KpAgentMakeJob make_job,
                         void *data,
                         GDestroyNotify data_free,
                         gboolean may_prompt,
                         gboolean needs_sources,
                         GAsyncReadyCallback callback,
                         void *user_data);
KpAgentJob *kp_agent_run_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpJob *kp_agent_make_manual_backup (KpAgentPlan *plan, const KpJobSettings *settings, void *data);
KpAgentJob *kp_agent_get_running_job (KpAgent *agent);
void kp_agent_start_job (KpAgent *agent, KpAgentJob *job);
void kp_agent_drop_cancelled_jobs (KpAgent *agent);
void kp_agent_hold_running_job (KpAgent *agent);
gboolean kp_agent_plan_can_run (KpAgentPlan *plan);
void kp_agent_run_due_plan (KpAgentPlan *plan);

/* kp-agent-remove.c */
gboolean kp_agent_forget_plan (KpAgentPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_agent_check_plans_readable (KpAgent *agent, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_agent_erase_async (KpAgentPlan *plan,
                           guint64 max_delete,
                           GAsyncReadyCallback callback,
                           void *user_data);
void kp_agent_plan_erased (KpAgentPlan *plan, KpJob *job);

/* kp-agent-plan.c */
KpAgentPlan *kp_agent_plan_new (KpAgent *agent, KpPlan *plan);
void kp_agent_plan_free (KpAgentPlan *plan);
void kp_agent_plan_hold (KpAgentPlan *plan, const char *reason, const char *message);
void kp_agent_plan_release (KpAgentPlan *plan);
void kp_agent_plan_show_settings (KpAgentPlan *plan);
void kp_agent_plan_show (KpAgentPlan *plan);
guint64 kp_agent_plan_get_deletions_held (KpAgentPlan *plan);
const char *kp_agent_plan_find_verify_problem (KpAgentPlan *plan);
gboolean kp_agent_plan_needs_attention (KpAgentPlan *plan);
char *kp_agent_format_time (gint64 unix_seconds, gint64 now);

/* kp-agent-methods.c */
void kp_agent_connect_manager (KpAgent *agent);
void kp_agent_connect_plan (KpAgentPlan *plan);
void kp_agent_connect_testing (KpAgent *agent);
void kp_agent_show_problems (KpAgent *agent);

/* kp-agent-queries.c */
void kp_agent_connect_manager_queries (KpAgent *agent);
void kp_agent_connect_plan_queries (KpAgentPlan *plan);

/* kp-agent-clicks.c */

/* The buttons of notifications. */
#define ACTION_DETAILS "details"
#define ACTION_RUN "run"
#define ACTION_UNLOCK "unlock"

/* Of the notification of plan files that cannot be read. No plan's id: those are UUIDs. */
#define PLAN_PROBLEMS_ID "plans"

void kp_agent_announce_start (KpAgent *agent);

/* kp-agent-announce.c */
void kp_agent_announce_state (KpAgent *agent);
void kp_agent_announce_job (KpAgent *agent, KpAgentJob *job);
void kp_agent_announce_end (KpAgentPlan *plan, KpAgentJob *job);
void kp_agent_announce_not_removed (KpAgentPlan *plan, const char *message);
void kp_agent_announce_keys_left (KpAgent *agent,
                                  const char *plan_id,
                                  const char *name,
                                  const char *message);
void kp_agent_announce_held (KpAgentPlan *plan);
void kp_agent_announce_overdue (KpAgentPlan *plan);
void kp_agent_announce_plan_problems (KpAgent *agent, GPtrArray *problems);
void kp_agent_forget_notifications (KpAgentPlan *plan);
void kp_agent_forget_plan_notifications (KpAgentPlan *plan);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* One run of one plan: a backup, a restore, a verification or the deletion of what is stored; its
 * state, its progress, its end.
 *
 * The work is done in a thread of the job's own. Properties are notified in the main context that
 * was the thread's default when the job was made, at most ten times a second. A job works on a copy
 * of the plan, so that an edit takes effect at the next one. It decides nothing about when to run,
 * and never asks the keyring: keys are handed to it.
 *
 * With a history, the job's beginning, its failed files and its end are recorded there. */

#include "kp-history.h"
#include "kp-plan.h"
#include "kp-report.h"
#include "kp-restore.h"

G_BEGIN_DECLS

/* Why a job ended, in its history, where that is no error: it waited, and was interrupted for what
 * could begin. */
#define KP_JOB_REASON_MADE_WAY "another-job"

typedef enum
{
  KP_JOB_QUEUED,
  KP_JOB_SCANNING,
  KP_JOB_COMPARING,
  KP_JOB_TRANSFERRING, /* also deleting, at the end */
  KP_JOB_WAITING,      /* something holds it back */
  KP_JOB_PAUSED,       /* somebody does */
  KP_JOB_FINISHED,     /* went to its end; files may have failed */
  KP_JOB_FAILED,
  KP_JOB_CANCELLED,
} KpJobState;

/* Seconds since 1970 UTC. */
typedef gint64 (*KpJobClock) (void *user_data);

/* What a job works with. */
typedef struct
{
  const char *state_dir; /* where catalogues are kept */
  const char *ca_bundle; /* (nullable): PEM file of authorities to trust */
  KpThrottle *upload;
  KpThrottle *download;
  KpHistory *history; /* (nullable): where to record it */
  KpJobClock clock;   /* (nullable): for the record; called from any thread */
  void *clock_data;
} KpJobSettings;

/* What came of it. */
typedef struct
{
  KpHistoryCounts counts;
  guint64 kept;               /* objects that were copied before they were deleted or replaced */
  guint64 swept;              /* of those of earlier jobs, whose time was over */
  KpHistoryCoverage coverage; /* of a verification that knows it */
  guint64 erased_bytes;       /* of the objects that were deleted with their plan */
  guint64 spared;             /* objects that stay when a plan's are deleted: another covers them */
  guint64 archived;           /* of what a restore could not give back: in an archive */
  guint64 requested;          /* of those: was asked for */
  guint64 still_damaged;      /* objects that a verification has found to be, after a backup */
  guint64 deletions_held;
  char *guard_reason; /* or NULL */
  GError *error;      /* what ended the job before its time, or NULL */
} KpJobResult;

#define KP_TYPE_JOB (kp_job_get_type ())
G_DECLARE_FINAL_TYPE (KpJob, kp_job, KP, JOB, GObject)

KpJob *kp_job_new_backup (KpPlan *plan, KpHistoryTrigger trigger, const KpJobSettings *settings);
KpJob *kp_job_new_verify (KpPlan *plan,
                          KpHistoryTrigger trigger,
                          const KpJobSettings *settings,
                          double sample);
void kp_job_set_bounds (KpJob *job, guint64 max_files, guint64 max_bytes);
KpJob *kp_job_new_restore (KpPlan *plan,
                           const KpJobSettings *settings,
                           const char *path,
                           const char *target,
                           const KpRestoreOptions *options);
KpJob *kp_job_new_erase (KpPlan *plan, const KpJobSettings *settings, GListModel *plans);
void kp_job_spare (KpJob *job, GListModel *plans);
void kp_job_consent (KpJob *job, guint64 max_delete);
void kp_job_accept_new_file_system (KpJob *job);
void kp_job_set_event_func (KpJob *job, KpEventFunc func, void *user_data);

void kp_job_execute_async (KpJob *job,
                           KpS3Credentials *credentials,
                           GAsyncReadyCallback callback,
                           void *user_data);
gboolean kp_job_execute_finish (KpJob *job, GAsyncResult *result, GError **error);

gboolean kp_job_pause (KpJob *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_job_resume (KpJob *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_job_cancel (KpJob *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_job_interrupt (KpJob *job);
void kp_job_make_way (KpJob *job);
void kp_job_set_waiting (KpJob *job, const char *reason);

KpPlan *kp_job_get_plan (KpJob *job);
KpHistoryKind kp_job_get_kind (KpJob *job);
KpHistoryTrigger kp_job_get_trigger (KpJob *job);
KpJobState kp_job_get_state (KpJob *job);
gboolean kp_job_has_ended (KpJob *job);
const char *kp_job_get_waiting (KpJob *job);
void kp_job_get_progress (KpJob *job, KpProgress *progress);
double kp_job_get_fraction (KpJob *job);
guint64 kp_job_get_rate (KpJob *job);
gint64 kp_job_get_seconds_left (KpJob *job);
char *kp_job_dup_current_file (KpJob *job);
GStrv kp_job_dup_notices (KpJob *job);
GPtrArray *kp_job_list_failures (KpJob *job, guint limit);
const KpJobResult *kp_job_get_result (KpJob *job);
char *kp_job_describe_end (KpJob *job, const char **reason);
KpHistoryJob *kp_job_dup_record (KpJob *job);
gint64 kp_job_get_history_id (KpJob *job);

const char *kp_job_state_name (KpJobState state);

G_END_DECLS

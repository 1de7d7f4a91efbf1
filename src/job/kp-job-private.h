/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-job.c (states, pause, what is asked), kp-job-work.c (what the job's thread does) and
 * kp-job-result.c (what came of it, in words) share. */

#include "kp-erase.h"
#include "kp-job.h"
#include "kp-mirror.h"
#include "kp-pace.h"
#include "kp-verify.h"

G_BEGIN_DECLS

struct _KpJob
{
  GObject parent_instance;

  /* Set before the start, and then left alone. */
  KpPlan *plan;
  KpHistoryKind kind;
  KpHistoryTrigger trigger;
  char *state_dir;
  char *ca_bundle;
  KpThrottle *upload;
  KpThrottle *download;
  KpHistory *history;
  KpJobClock clock;
  void *clock_data;
  double sample;
  guint64 max_files; /* 0: no bound */
  guint64 max_bytes; /* 0: no bound */
  char *path;
  char *target;
  KpRestoreOptions restore_options;
  char **paths; /* of those */
  gboolean has_max_delete;
  guint64 max_delete;
  gboolean accept_new_file_system;
  GPtrArray *others; /* of KpPlan: what they cover is not deleted; or NULL */
  KpEventFunc event_func;
  void *event_data;
  GMainContext *context;
  GCancellable *cancellable;

  /* Of the run; one of the four does the work. */
  KpS3Service *service;
  KpMirror *mirror;
  KpRestore *restore;
  KpVerify *verify;
  KpErase *erase;
  gint64 history_id;
  gint64 started; /* 0: it has not begun */
  gint64 ended;
  GTask *task; /* until it has returned */
  GThread *thread;

  /* Of the owner's thread. */
  KpJobState end; /* KP_JOB_QUEUED until it has ended */
  KpJobState shown;
  gboolean paused;
  gboolean interrupted; /* cancelled by nobody who does not want it */
  gboolean made_way;    /* interrupted for another job */
  char *waiting;
  GSource *ticker;
  KpPace pace;
  KpProgress progress;

  GMutex lock; /* guards what follows */
  char *current_file;
  GPtrArray *notices;  /* of char* */
  GPtrArray *failures; /* of KpHistoryFailure; mismatches first */
  guint n_mismatches;  /* of those: damage that a verification has found */
  KpJobResult result;
};

/* kp-job-work.c */
gboolean kp_job_prepare (KpJob *job, KpS3Credentials *credentials, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_job_work (KpJob *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gint64 kp_job_get_now (KpJob *job);
void kp_job_keep_notice (KpJob *job, const char *text);

/* kp-job-result.c */
char *kp_job_describe_result (KpJob *job, const char **reason);

G_END_DECLS

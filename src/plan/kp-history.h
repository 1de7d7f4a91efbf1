/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What became of every plan: each job with its result and the files that failed, and each time a
 * plan was due and held back, with the reason. An SQLite file; it decides nothing and is needed for
 * no restore.
 *
 * All functions may be called from any thread, and by several processes at once. A job whose
 * process has ended without saying how is found at the next opening, and marked as interrupted.
 *
 * Times are seconds since 1970 UTC; 0 is "never" or "not yet". Lists are newest first, going by the
 * order in which things were recorded, as clocks are set. */

#include <glib-object.h>

G_BEGIN_DECLS

/* Below $XDG_STATE_HOME/keepsake, where agent and command line share it. */
#define KP_HISTORY_FILE_NAME "history.sqlite"

/* How many failed files of a job are named. All are counted. */
#define KP_HISTORY_MAX_FAILURES 1000

/* How many jobs, and how many skips, of a plan stay whatever their age. */
#define KP_HISTORY_MIN_KEPT 500

typedef enum
{
  KP_HISTORY_BACKUP,
  KP_HISTORY_RESTORE,
  KP_HISTORY_VERIFY,
  KP_HISTORY_ERASE, /* of what the storage holds of the plan */
} KpHistoryKind;

typedef enum
{
  KP_HISTORY_SCHEDULED,
  KP_HISTORY_MANUAL,
  KP_HISTORY_CATCH_UP, /* for a time that was missed */
  KP_HISTORY_WATCH,    /* because something changed */
} KpHistoryTrigger;

typedef enum
{
  KP_HISTORY_RUNNING,
  KP_HISTORY_FINISHED, /* went to its end, though some files may have failed */
  KP_HISTORY_FAILED,
  KP_HISTORY_CANCELLED,
  KP_HISTORY_INTERRUPTED, /* its process ended before it did */
} KpHistoryState;

/* Of a deletion of what is stored, "unchanged" are the objects that it had not deleted when it
 * ended, or, as long as it runs, those that it is about to delete: both are 0 if it never began to.
 */
typedef struct
{
  guint64 put;
  guint64 delta;
  guint64 copied;
  guint64 metadata;
  guint64 deleted;
  guint64 unchanged;
  guint64 failed;
  guint64 bytes_sent;
  guint64 bytes_saved;
} KpHistoryCounts;

/* What a verification says of all that is stored: how much of it was read back and proved by now,
 * in this one or an earlier one. */
typedef struct
{
  guint64 objects; /* of files and links; 0: nothing is known */
  guint64 objects_proved;
  guint64 bytes;
  guint64 bytes_proved;
  gint64 oldest_proof; /* of those that count as proved; 0 for none */
} KpHistoryCoverage;

typedef struct
{
  gint64 id;
  char *plan_id;
  KpHistoryKind kind;
  KpHistoryTrigger trigger;
  gint64 started;
  gint64 ended; /* 0 while it runs, and when nobody saw it end */
  KpHistoryState state;
  char *reason;  /* name of an error, or NULL */
  char *message; /* or NULL */
  KpHistoryCounts counts;
  KpHistoryCoverage coverage; /* of verifications */
} KpHistoryJob;

typedef struct
{
  char *path; /* any bytes */
  char *reason;
  char *message;
} KpHistoryFailure;

typedef struct
{
  char *plan_id;
  gint64 from;
  gint64 until;  /* when it was last held back for this reason */
  guint64 count; /* how often */
  char *reason;
  char *message; /* the latest */
} KpHistorySkip;

typedef struct
{
  gint64 last_start;          /* of a backup, however it ended, that is not in the future */
  gint64 last_success;        /* end of the last backup that went to its end */
  gint64 last_complete;       /* and in which no file failed */
  gint64 last_verified;       /* end of the last verification that found nothing wrong */
  gint64 failing_since;       /* start of the first backup after the last that went to its end */
  KpHistoryCoverage coverage; /* of the last verification that knew one */
  gint64 erased_at;           /* when a deletion of what is stored was over that has taken, or may
                                 have taken, something since the last backup that went to its end; 0:
                                 there was none */
  guint64 erased;             /* objects that such deletions are known to have taken */
  gboolean erased_all;        /* the last of them left nothing */
} KpHistorySummary;

typedef struct _KpHistory KpHistory;

KpHistory *kp_history_open (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpHistory *kp_history_open_in_any_case (const char *path, char **problem);
KpHistory *kp_history_ref (KpHistory *history);
void kp_history_unref (KpHistory *history);

gint64 kp_history_begin_job (KpHistory *history,
                             const char *plan_id,
                             KpHistoryKind kind,
                             KpHistoryTrigger trigger,
                             gint64 now,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_add_failure (KpHistory *history,
                                 gint64 job_id,
                                 const KpHistoryFailure *replaced,
                                 const char *path,
                                 const char *reason,
                                 const char *message,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_set_counts (KpHistory *history,
                                gint64 job_id,
                                const KpHistoryCounts *counts,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_end_job (KpHistory *history,
                             gint64 job_id,
                             KpHistoryState state,
                             const char *reason,
                             const char *message,
                             const KpHistoryCounts *counts,
                             gint64 now,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_set_coverage (KpHistory *history,
                                  gint64 job_id,
                                  const KpHistoryCoverage *coverage,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_add_skip (KpHistory *history,
                              const char *plan_id,
                              const char *reason,
                              const char *message,
                              gint64 now,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

KpHistoryJob *kp_history_get_job (KpHistory *history, gint64 job_id, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_history_list_jobs (KpHistory *history,
                                 const char *plan_id,
                                 guint limit,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_history_list_past (KpHistory *history,
                                 const char *plan_id,
                                 guint limit,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_history_list_failures (KpHistory *history, gint64 job_id, guint limit, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_history_list_skips (KpHistory *history,
                                  const char *plan_id,
                                  guint limit,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_get_summary (KpHistory *history,
                                 const char *plan_id,
                                 gint64 now,
                                 KpHistorySummary *summary,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_history_is_mended (GPtrArray *jobs, const KpHistoryJob *verification);

gboolean kp_history_mark_interrupted (KpHistory *history, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_prune (KpHistory *history, gint64 before, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_history_forget_plan (KpHistory *history, const char *plan_id, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

const char *kp_history_kind_name (KpHistoryKind kind);
const char *kp_history_trigger_name (KpHistoryTrigger trigger);
const char *kp_history_state_name (KpHistoryState state);

KpHistoryJob *kp_history_job_copy (const KpHistoryJob *job);
void kp_history_job_free (KpHistoryJob *job);
void kp_history_failure_free (KpHistoryFailure *failure);
void kp_history_skip_free (KpHistorySkip *skip);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpHistory, kp_history_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpHistoryJob, kp_history_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpHistoryFailure, kp_history_failure_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpHistorySkip, kp_history_skip_free)

G_END_DECLS

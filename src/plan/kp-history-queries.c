/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

/* What is asked of the history: jobs, the files that failed, skips, and a summary of each plan. */

#include "kp-error.h"
#include "kp-history-private.h"

#define COVERAGE_COLUMNS "c.objects, c.objects_proved, c.bytes, c.bytes_proved, c.oldest_proof"
#define JOB_COLUMNS                                                                                \
  "id, plan, kind, trigger, started, ended, state, reason, message, put, delta, copied, "          \
  "metadata, deleted, unchanged, failed, bytes_sent, bytes_saved, " COVERAGE_COLUMNS
#define JOB_TABLE "job LEFT JOIN coverage c ON c.job = job.id"

static const char *const kind_names[] = { "backup", "restore", "verify", "erase", NULL };
static const char *const trigger_names[] = { "scheduled", "manual", "catch-up", "watch", NULL };
static const char *const state_names[]
    = { "running", "finished", "failed", "cancelled", "interrupted", NULL };

const char *
kp_history_kind_name (KpHistoryKind kind)
{
  return kind_names[kind];
}

const char *
kp_history_trigger_name (KpHistoryTrigger trigger)
{
  return trigger_names[trigger];
}

const char *
kp_history_state_name (KpHistoryState state)
{
  return state_names[state];
}

KpHistoryJob *
kp_history_job_copy (const KpHistoryJob *job)
{
  KpHistoryJob *copy = g_memdup2 (job, sizeof *job);

  copy->plan_id = g_strdup (job->plan_id);
  copy->reason = g_strdup (job->reason);
  copy->message = g_strdup (job->message);
  return copy;
}

void
kp_history_job_free (KpHistoryJob *job)
{
  g_free (job->plan_id);
  g_free (job->reason);
  g_free (job->message);
  g_free (job);
}

void
kp_history_failure_free (KpHistoryFailure *failure)
{
  g_free (failure->path);
  g_free (failure->reason);
  g_free (failure->message);
  g_free (failure);
}

void
kp_history_skip_free (KpHistorySkip *skip)
{
  g_free (skip->plan_id);
  g_free (skip->reason);
  g_free (skip->message);
  g_free (skip);
}

static char *
column_text (Statement *statement, int column)
{
  return g_strdup ((const char *) sqlite3_column_text (statement, column));
}

/* A word that a newer version has written is taken for the first. */
static int
column_word (Statement *statement, int column, const char *const *names)
{
  const char *word = (const char *) sqlite3_column_text (statement, column);

  for (int i = 0; names[i] != NULL; i++)
    if (g_strcmp0 (names[i], word) == 0)
      return i;
  return 0;
}

typedef gpointer (*ReadRow) (Statement *statement);

/* NULL reads as 0. */
static void
read_coverage (Statement *statement, int column, KpHistoryCoverage *coverage)
{
  coverage->objects = (guint64) sqlite3_column_int64 (statement, column);
  coverage->objects_proved = (guint64) sqlite3_column_int64 (statement, column + 1);
  coverage->bytes = (guint64) sqlite3_column_int64 (statement, column + 2);
  coverage->bytes_proved = (guint64) sqlite3_column_int64 (statement, column + 3);
  coverage->oldest_proof = sqlite3_column_int64 (statement, column + 4);
}

static gpointer
read_job (Statement *statement)
{
  KpHistoryJob *job = g_new0 (KpHistoryJob, 1);
  KpHistoryCounts *counts = &job->counts;
  guint64 *const numbers[] = { &counts->put,      &counts->delta,      &counts->copied,
                               &counts->metadata, &counts->deleted,    &counts->unchanged,
                               &counts->failed,   &counts->bytes_sent, &counts->bytes_saved };

  job->id = sqlite3_column_int64 (statement, 0);
  job->plan_id = column_text (statement, 1);
  job->kind = (KpHistoryKind) column_word (statement, 2, kind_names);
  job->trigger = (KpHistoryTrigger) column_word (statement, 3, trigger_names);
  job->started = sqlite3_column_int64 (statement, 4);
  job->ended = sqlite3_column_int64 (statement, 5);
  job->state = (KpHistoryState) column_word (statement, 6, state_names);
  job->reason = column_text (statement, 7);
  job->message = column_text (statement, 8);
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    *numbers[i] = (guint64) sqlite3_column_int64 (statement, 9 + (int) i);
  read_coverage (statement, 9 + (int) G_N_ELEMENTS (numbers), &job->coverage);
  return job;
}

static gpointer
read_failure (Statement *statement)
{
  KpHistoryFailure *failure = g_new0 (KpHistoryFailure, 1);

  failure->path
      = g_strndup (sqlite3_column_blob (statement, 0), (gsize) sqlite3_column_bytes (statement, 0));
  failure->reason = column_text (statement, 1);
  failure->message = column_text (statement, 2);
  return failure;
}

static gpointer
read_skip (Statement *statement)
{
  KpHistorySkip *skip = g_new0 (KpHistorySkip, 1);

  skip->plan_id = column_text (statement, 0);
  skip->from = sqlite3_column_int64 (statement, 1);
  skip->until = sqlite3_column_int64 (statement, 2);
  skip->count = (guint64) sqlite3_column_int64 (statement, 3);
  skip->reason = column_text (statement, 4);
  skip->message = column_text (statement, 5);
  return skip;
}

static GPtrArray *
read_rows (KpHistory *self,
           Statement *statement,
           ReadRow read_row,
           GDestroyNotify free_row,
           GError **error)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (free_row);
  g_autoptr (GError) local_error = NULL;

  if (statement == NULL)
    return NULL;
  while (kp_history_next_row (self, statement, &local_error))
    g_ptr_array_add (rows, read_row (statement));
  if (local_error == NULL)
    return g_steal_pointer (&rows);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/**
 * kp_history_get_job:
 * @error: %KP_ERROR_NOT_FOUND, %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full): the job
 */
KpHistoryJob *
kp_history_get_job (KpHistory *self, gint64 job_id, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (Statement) statement = kp_history_query (
      self, error, "SELECT " JOB_COLUMNS " FROM " JOB_TABLE " WHERE id = ?", "i", job_id);
  g_autoptr (GPtrArray) rows
      = read_rows (self, statement, read_job, (GDestroyNotify) kp_history_job_free, error);

  if (rows == NULL)
    return NULL;
  if (rows->len == 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND, "There is no job %" G_GINT64_FORMAT,
                   job_id);
      return NULL;
    }
  return g_ptr_array_steal_index (rows, 0);
}

/**
 * kp_history_list_jobs:
 * @plan_id: (nullable): %NULL for all plans
 * @limit: at most so many
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full) (element-type KpHistoryJob): the latest jobs
 */
GPtrArray *
kp_history_list_jobs (KpHistory *self, const char *plan_id, guint limit, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (Statement) statement
      = plan_id != NULL ? kp_history_query (self, error,
                                            "SELECT " JOB_COLUMNS " FROM " JOB_TABLE
                                            " WHERE plan = ? ORDER BY id DESC LIMIT ?",
                                            "si", plan_id, (gint64) limit)
                        : kp_history_query (self, error,
                                            "SELECT " JOB_COLUMNS " FROM " JOB_TABLE
                                            " ORDER BY id DESC LIMIT ?",
                                            "i", (gint64) limit);

  return read_rows (self, statement, read_job, (GDestroyNotify) kp_history_job_free, error);
}

/**
 * kp_history_list_past:
 * @limit: at most so many, but for what is asked for in any case
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * What tells how a plan stands: as kp_history_list_jobs(), and however many jobs came after them,
 * the last verification that ended otherwise than with its process, and the last that went to its
 * end. A plan that runs every hour has 200 jobs in eight days, and is verified once a month.
 *
 * Returns: (transfer full) (element-type KpHistoryJob): the jobs, newest first
 */
GPtrArray *
kp_history_list_past (KpHistory *self, const char *plan_id, guint limit, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (Statement) statement = kp_history_query (
      self, error,
      "SELECT " JOB_COLUMNS " FROM " JOB_TABLE " WHERE id IN"
      " (SELECT id FROM (SELECT id FROM job WHERE plan = ?1 ORDER BY id DESC LIMIT ?2)"
      "  UNION SELECT max(id) FROM job WHERE plan = ?1 AND kind = 'verify'"
      "   AND state NOT IN ('running', 'interrupted')"
      "  UNION SELECT max(id) FROM job WHERE plan = ?1 AND kind = 'verify' AND state = 'finished')"
      " ORDER BY id DESC",
      "si", plan_id, (gint64) limit);

  return read_rows (self, statement, read_job, (GDestroyNotify) kp_history_job_free, error);
}

/**
 * kp_history_list_failures:
 * @limit: at most so many
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full) (element-type KpHistoryFailure): the first files of the job that failed,
 *   in the order in which they did
 */
GPtrArray *
kp_history_list_failures (KpHistory *self, gint64 job_id, guint limit, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (Statement) statement = kp_history_query (
      self, error, "SELECT path, reason, message FROM failure WHERE job = ? ORDER BY id LIMIT ?",
      "ii", job_id, (gint64) limit);

  return read_rows (self, statement, read_failure, (GDestroyNotify) kp_history_failure_free, error);
}

/**
 * kp_history_list_skips:
 * @plan_id: (nullable): %NULL for all plans
 * @limit: at most so many
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full) (element-type KpHistorySkip): the latest skips
 */
GPtrArray *
kp_history_list_skips (KpHistory *self, const char *plan_id, guint limit, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (Statement) statement
      = kp_history_query (self, error,
                          "SELECT plan, since, until, count, reason, message FROM skip"
                          " WHERE ?1 IS NULL OR plan = ?1 ORDER BY id DESC LIMIT ?2",
                          "si", plan_id, (gint64) limit);

  return read_rows (self, statement, read_skip, (GDestroyNotify) kp_history_skip_free, error);
}

static gboolean
read_last_coverage (KpHistory *self,
                    const char *plan_id,
                    KpHistoryCoverage *coverage,
                    GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Statement) statement
      = kp_history_query (self, error,
                          "SELECT " COVERAGE_COLUMNS " FROM job JOIN coverage c ON c.job = job.id"
                          " WHERE plan = ? ORDER BY id DESC LIMIT 1",
                          "s", plan_id);

  if (statement == NULL)
    return FALSE;
  if (kp_history_next_row (self, statement, &local_error))
    read_coverage (statement, 0, coverage);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Deletions of what is stored after the last backup that went to its end. One that ended without a
 * word may have taken what it was about to take; one that went to its end says exactly what. */
static gboolean
read_erased (KpHistory *self, const char *plan_id, KpHistorySummary *summary, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Statement) statement
      = kp_history_query (self, error,
                          "SELECT max(max(started, ended)), sum(deleted),"
                          " max(id) = max(id) FILTER (WHERE state = 'finished' AND failed = 0)"
                          " FROM job WHERE plan = ?1 AND kind = 'erase' AND state <> 'running'"
                          " AND (deleted > 0 OR (unchanged > 0 AND state <> 'finished'))"
                          " AND id > coalesce((SELECT max(id) FROM job"
                          "  WHERE plan = ?1 AND kind = 'backup' AND state = 'finished'), 0)",
                          "s", plan_id);

  if (statement == NULL)
    return FALSE;
  if (kp_history_next_row (self, statement, &local_error))
    {
      /* NULL reads as 0. */
      summary->erased_at = sqlite3_column_int64 (statement, 0);
      summary->erased = (guint64) sqlite3_column_int64 (statement, 1);
      summary->erased_all = sqlite3_column_int64 (statement, 2) != 0;
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/**
 * kp_history_get_summary:
 * @now: the present, so that a job that a wrong clock put into the future counts for nothing
 * @summary: (out): what the schedule and the overview have to know
 * @error: %KP_ERROR_LOCAL_STORAGE
 */
gboolean
kp_history_get_summary (KpHistory *self,
                        const char *plan_id,
                        gint64 now,
                        KpHistorySummary *summary,
                        GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Statement) statement = kp_history_query (
      self, error,
      "SELECT max(started) FILTER (WHERE kind = 'backup' AND started <= ?2),"
      " max(ended) FILTER (WHERE kind = 'backup' AND state = 'finished' AND ended <= ?2),"
      " max(ended) FILTER (WHERE kind = 'backup' AND state = 'finished' AND failed = 0"
      "  AND ended <= ?2),"
      " max(ended) FILTER (WHERE kind = 'verify' AND state = 'finished' AND failed = 0"
      "  AND ended <= ?2),"
      " (SELECT min(started) FROM job WHERE plan = ?1 AND kind = 'backup' AND started <= ?2"
      "  AND id > coalesce((SELECT max(id) FROM job"
      "   WHERE plan = ?1 AND kind = 'backup' AND state = 'finished' AND ended <= ?2), 0))"
      " FROM job WHERE plan = ?1",
      "si", plan_id, now);

  *summary = (KpHistorySummary){ 0 };
  if (statement == NULL)
    return FALSE;
  if (!kp_history_next_row (self, statement, &local_error))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  /* NULL reads as 0. */
  summary->last_start = sqlite3_column_int64 (statement, 0);
  summary->last_success = sqlite3_column_int64 (statement, 1);
  summary->last_complete = sqlite3_column_int64 (statement, 2);
  summary->last_verified = sqlite3_column_int64 (statement, 3);
  summary->failing_since = sqlite3_column_int64 (statement, 4);
  return read_erased (self, plan_id, summary, error)
         && read_last_coverage (self, plan_id, &summary->coverage, error);
}

/**
 * kp_history_is_mended:
 * @jobs: (element-type KpHistoryJob): newest first
 * @verification: one of them
 *
 * Whether a backup has sent again since then what the verification found damaged: any that went
 * well, be it that it deleted nothing. One that could not do so for all of it says so.
 */
gboolean
kp_history_is_mended (GPtrArray *jobs, const KpHistoryJob *verification)
{
  /* Clocks are set, and a second is long: what came later goes by the order of the record. */
  for (guint i = 0; i < jobs->len && jobs->pdata[i] != verification; i++)
    {
      const KpHistoryJob *job = g_ptr_array_index (jobs, i);

      if (job->kind != KP_HISTORY_BACKUP || job->state != KP_HISTORY_FINISHED)
        continue;
      if (g_strcmp0 (job->reason, kp_error_name (KP_ERROR_CORRUPT)) == 0)
        return FALSE;
      if (job->counts.failed == 0
          && (job->reason == NULL
              || g_str_equal (job->reason, kp_error_name (KP_ERROR_DELETE_GUARD))))
        return TRUE;
    }
  return FALSE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-history.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAN "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a"
#define OTHER "0c5b1f44-2f0d-4d9b-8c35-6f0e1d3a8a35"
#define NOON 1793620800

typedef struct
{
  char *home;
  char *path; /* two folders down, not there yet */
} Fixture;

static void
delete_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inner = g_build_filename (path, name, NULL);
      delete_tree (inner);
    }
  g_remove (path);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->home = g_dir_make_tmp ("keepsake-history-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->path = g_build_filename (fixture->home, "state", "keepsake", "history.db", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  delete_tree (fixture->home);
  g_free (fixture->home);
  g_free (fixture->path);
}

static KpHistory *
open_history (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  KpHistory *history = kp_history_open (fixture->path, &error);

  g_assert_no_error (error);
  return history;
}

static gint64
begin_job (KpHistory *history, const char *plan, KpHistoryKind kind, gint64 now)
{
  g_autoptr (GError) error = NULL;
  gint64 id = kp_history_begin_job (history, plan, kind, KP_HISTORY_SCHEDULED, now, &error);

  g_assert_no_error (error);
  g_assert_cmpint (id, >, 0);
  return id;
}

static void
end_job (KpHistory *history, gint64 id, KpHistoryState state, guint64 failed, gint64 now)
{
  g_autoptr (GError) error = NULL;
  const KpHistoryCounts counts = { .failed = failed };

  g_assert_true (kp_history_end_job (history, id, state, NULL, NULL, &counts, now, &error));
  g_assert_no_error (error);
}

static gint64
add_job (KpHistory *history,
         const char *plan,
         KpHistoryKind kind,
         KpHistoryState state,
         guint64 failed,
         gint64 started)
{
  gint64 id = begin_job (history, plan, kind, started);

  end_job (history, id, state, failed, started + 60);
  return id;
}

static void
add_failure (KpHistory *history, gint64 job, const char *path)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_history_add_failure (history, job, NULL, path, "changed-while-reading",
                                         "It never stood still", &error));
  g_assert_no_error (error);
}

static void
add_skip (KpHistory *history, const char *plan, const char *reason, gint64 now)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *message = g_strdup_printf ("%s at %" G_GINT64_FORMAT, reason, now);

  g_assert_true (kp_history_add_skip (history, plan, reason, message, now, &error));
  g_assert_no_error (error);
}

static KpHistoryState
state_of (KpHistory *history, gint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpHistoryJob) job = kp_history_get_job (history, id, &error);

  g_assert_no_error (error);
  return job->state;
}

static guint
count_jobs (KpHistory *history, const char *plan)
{
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (history, plan, G_MAXUINT, NULL);

  g_assert_nonnull (jobs);
  return jobs->len;
}

/* "reason from-until xcount; …" */
static char *
describe_skips (KpHistory *history, const char *plan, guint limit)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) skips = kp_history_list_skips (history, plan, limit, &error);
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < skips->len; i++)
    {
      const KpHistorySkip *skip = skips->pdata[i];
      g_string_append_printf (text, "%s %d-%d x%d; ", skip->reason, (int) skip->from,
                              (int) skip->until, (int) skip->count);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
assert_skips (KpHistory *history, const char *plan, const char *expected)
{
  g_autofree char *text = describe_skips (history, plan, 100);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_open (Fixture *fixture, gconstpointer data)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", ".lock" };
  struct stat st;

  mode_t mask = umask (0);
  g_autoptr (KpHistory) history = open_history (fixture);
  begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);
  umask (mask);
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (fixture->path, suffixes[i], NULL);
      g_assert_cmpint (g_stat (path, &st), ==, 0);
      g_assert_cmpint (st.st_mode & 0777, ==, 0600);
    }
  g_clear_pointer (&history, kp_history_unref);

  g_assert_cmpint (g_chmod (fixture->path, 0644), ==, 0);
  history = open_history (fixture);
  g_assert_cmpint (g_stat (fixture->path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
}

static void
test_job (Fixture *fixture, gconstpointer data)
{
  static const KpHistoryCounts counts = { 1, 2, 3, 4, 5, 6, 7, G_MAXINT64, 9 };
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;
  gint64 id
      = kp_history_begin_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_CATCH_UP, NOON, &error);
  g_assert_no_error (error);

  g_autoptr (KpHistoryJob) running = kp_history_get_job (history, id, &error);
  g_assert_no_error (error);
  g_assert_cmpint (running->state, ==, KP_HISTORY_RUNNING);
  g_assert_cmpint (running->ended, ==, 0);
  g_assert_null (running->reason);
  g_assert_cmpuint (running->counts.bytes_sent, ==, 0);

  g_assert_true (kp_history_end_job (history, id, KP_HISTORY_FAILED, "quota", "Full \xff.", &counts,
                                     NOON + 90, &error));
  g_assert_no_error (error);
  /* Another process sees the same. */
  g_autoptr (KpHistory) other = open_history (fixture);
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (other, PLAN, 10, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (jobs->len, ==, 1);
  const KpHistoryJob *job = jobs->pdata[0];
  g_assert_cmpint (job->id, ==, id);
  g_assert_cmpstr (job->plan_id, ==, PLAN);
  g_assert_cmpint (job->kind, ==, KP_HISTORY_VERIFY);
  g_assert_cmpint (job->trigger, ==, KP_HISTORY_CATCH_UP);
  g_assert_cmpint (job->started, ==, NOON);
  g_assert_cmpint (job->ended, ==, NOON + 90);
  g_assert_cmpint (job->state, ==, KP_HISTORY_FAILED);
  g_assert_cmpstr (job->reason, ==, "quota");
  g_assert_cmpstr (job->message, ==, "Full \xef\xbf\xbd.");
  g_assert_cmpmem (&job->counts, sizeof counts, &counts, sizeof counts);

  g_assert_null (kp_history_get_job (history, id + 1, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
  g_clear_error (&error);
  /* The plan was forgotten meanwhile. */
  end_job (history, 12345, KP_HISTORY_FINISHED, 0, NOON);
}

static void
test_names (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  g_assert_cmpstr (kp_history_kind_name (KP_HISTORY_VERIFY), ==, "verify");
  g_assert_cmpstr (kp_history_trigger_name (KP_HISTORY_WATCH), ==, "watch");
  g_assert_cmpstr (kp_history_state_name (KP_HISTORY_INTERRUPTED), ==, "interrupted");

  /* Every word that is written is read. */
  for (int kind = KP_HISTORY_BACKUP; kind <= KP_HISTORY_VERIFY; kind++)
    for (int trigger = KP_HISTORY_SCHEDULED; trigger <= KP_HISTORY_WATCH; trigger++)
      for (int state = KP_HISTORY_FINISHED; state <= KP_HISTORY_INTERRUPTED; state++)
        {
          gint64 id = kp_history_begin_job (history, PLAN, (KpHistoryKind) kind,
                                            (KpHistoryTrigger) trigger, NOON, NULL);
          end_job (history, id, (KpHistoryState) state, 0, NOON);
          g_autoptr (KpHistoryJob) job = kp_history_get_job (history, id, NULL);
          g_assert_cmpint (job->kind, ==, kind);
          g_assert_cmpint (job->trigger, ==, trigger);
          g_assert_cmpint (job->state, ==, state);
        }
}

static void
test_lists (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  /* The clock is set back in between; the order is that of the records. */
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON + 1);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON - 1000);
  g_autoptr (GPtrArray) all = kp_history_list_jobs (history, NULL, 10, NULL);
  g_autoptr (GPtrArray) two = kp_history_list_jobs (history, NULL, 2, NULL);
  g_autoptr (GPtrArray) plan = kp_history_list_jobs (history, PLAN, 10, NULL);
  g_autoptr (GPtrArray) none = kp_history_list_jobs (history, "nobody", 10, NULL);

  g_assert_cmpuint (all->len, ==, 3);
  g_assert_cmpuint (two->len, ==, 2);
  g_assert_cmpuint (plan->len, ==, 2);
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_cmpint (((KpHistoryJob *) all->pdata[0])->started, ==, NOON - 1000);
  g_assert_cmpint (((KpHistoryJob *) all->pdata[2])->started, ==, NOON);
}

/* What a verification has found is not too long ago because many backups came after it. */
static void
test_past (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;

  g_autoptr (GPtrArray) none = kp_history_list_past (history, PLAN, 3, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (none->len, ==, 0);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, NOON);
  gint64 verdict = add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 2, NOON);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
  gint64 verify = add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_CANCELLED, 0, NOON);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_INTERRUPTED, 0, NOON);
  for (int i = 0; i < 3; i++)
    {
      add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
      add_job (history, OTHER, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, NOON);
    }
  begin_job (history, PLAN, KP_HISTORY_VERIFY, NOON);

  g_autoptr (GPtrArray) jobs = kp_history_list_past (history, PLAN, 3, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (jobs->len, ==, 5);
  g_assert_cmpint (((KpHistoryJob *) jobs->pdata[0])->state, ==, KP_HISTORY_RUNNING);
  g_assert_cmpint (((KpHistoryJob *) jobs->pdata[2])->kind, ==, KP_HISTORY_BACKUP);
  g_assert_cmpint (((KpHistoryJob *) jobs->pdata[3])->id, ==, verify);
  g_assert_cmpint (((KpHistoryJob *) jobs->pdata[4])->id, ==, verdict);
  g_autoptr (GPtrArray) all = kp_history_list_past (history, PLAN, 100, &error);
  g_assert_cmpuint (all->len, ==, 9);
}

static void
test_failures (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;
  gint64 other = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);
  gint64 id = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);

  add_failure (history, other, "/another");
  add_failure (history, id, "/caf\xe9/\n");
  for (int i = 1; i < KP_HISTORY_MAX_FAILURES + 20; i++)
    {
      g_autofree char *path = g_strdup_printf ("/%d", i);
      add_failure (history, id, path);
    }

  /* All are counted, even if nobody ends the job. */
  g_autoptr (KpHistoryJob) job = kp_history_get_job (history, id, NULL);
  g_assert_cmpuint (job->counts.failed, ==, KP_HISTORY_MAX_FAILURES + 20);
  g_autoptr (GPtrArray) failures = kp_history_list_failures (history, id, G_MAXUINT, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (failures->len, ==, KP_HISTORY_MAX_FAILURES);
  const KpHistoryFailure *first = failures->pdata[0];
  g_assert_cmpstr (first->path, ==, "/caf\xe9/\n");
  g_assert_cmpstr (first->reason, ==, "changed-while-reading");
  g_assert_cmpstr (first->message, ==, "It never stood still");
  const KpHistoryFailure *last = failures->pdata[failures->len - 1];
  g_assert_cmpstr (last->path, ==, "/999");

  /* What matters more takes the place of another. */
  const KpHistoryFailure replaced = { .path = (char *) "/1", .reason = (char *) first->reason };
  g_assert_true (
      kp_history_add_failure (history, id, &replaced, "/bad\xe9", "corrupt", "Bad", &error));
  g_assert_no_error (error);
  g_autoptr (GPtrArray) after = kp_history_list_failures (history, id, G_MAXUINT, &error);
  g_assert_cmpuint (after->len, ==, KP_HISTORY_MAX_FAILURES);
  const KpHistoryFailure *second = after->pdata[1];
  g_assert_cmpstr (second->path, ==, "/bad\xe9");
  g_assert_cmpstr (second->reason, ==, "corrupt");
  g_assert_cmpstr (second->message, ==, "Bad");
  g_autoptr (KpHistoryJob) counted = kp_history_get_job (history, id, NULL);
  g_assert_cmpuint (counted->counts.failed, ==, KP_HISTORY_MAX_FAILURES + 21);

  g_autoptr (GPtrArray) few = kp_history_list_failures (history, id, 3, NULL);
  g_assert_cmpuint (few->len, ==, 3);
  g_autoptr (GPtrArray) others = kp_history_list_failures (history, other, 10, NULL);
  g_assert_cmpuint (others->len, ==, 1);

  /* There is no such job: nothing is kept that nobody could find. */
  add_failure (history, 999, "/x");
  g_autoptr (GPtrArray) none = kp_history_list_failures (history, 999, 10, NULL);
  g_assert_cmpuint (none->len, ==, 0);
}

static void
test_skips (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  add_skip (history, PLAN, "metered", 100);
  add_skip (history, PLAN, "metered", 160);
  add_skip (history, OTHER, "offline", 170);
  add_skip (history, PLAN, "metered", 220);
  assert_skips (history, PLAN, "metered 100-220 x3; ");

  add_skip (history, PLAN, "offline", 300);
  add_skip (history, PLAN, "metered", 400);
  assert_skips (history, PLAN, "metered 400-400 x1; offline 300-300 x1; metered 100-220 x3; ");

  /* A job in between ends the series, and one of another plan does not. */
  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 450);
  add_skip (history, PLAN, "metered", 500);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 550);
  add_skip (history, PLAN, "metered", 600);
  g_autofree char *latest = describe_skips (history, PLAN, 2);
  g_assert_cmpstr (latest, ==, "metered 600-600 x1; metered 400-500 x2; ");

  /* The clock is set back. */
  add_skip (history, PLAN, "metered", 590);
  g_autofree char *set_back = describe_skips (history, PLAN, 1);
  g_assert_cmpstr (set_back, ==, "metered 600-600 x2; ");

  g_autoptr (GPtrArray) all = kp_history_list_skips (history, NULL, 100, NULL);
  g_assert_cmpuint (all->len, ==, 5);
  const KpHistorySkip *skip = all->pdata[0];
  g_assert_cmpstr (skip->plan_id, ==, PLAN);
  g_assert_cmpstr (skip->message, ==, "metered at 590");

  /* Still the same series in another process. */
  g_autoptr (KpHistory) other = open_history (fixture);
  add_skip (other, PLAN, "metered", 700);
  g_autofree char *other_process = describe_skips (history, PLAN, 1);
  g_assert_cmpstr (other_process, ==, "metered 600-700 x3; ");
}

static void
assert_summary (KpHistory *history,
                gint64 now,
                gint64 start,
                gint64 success,
                gint64 complete,
                gint64 verified)
{
  g_autoptr (GError) error = NULL;
  KpHistorySummary summary;

  g_assert_true (kp_history_get_summary (history, PLAN, now, &summary, &error));
  g_assert_no_error (error);
  g_assert_cmpint (summary.last_start, ==, start);
  g_assert_cmpint (summary.last_success, ==, success);
  g_assert_cmpint (summary.last_complete, ==, complete);
  g_assert_cmpint (summary.last_verified, ==, verified);
}

static void
add_erase (KpHistory *history, KpHistoryState state, guint64 deleted, guint64 left, gint64 started)
{
  g_autoptr (GError) error = NULL;
  const KpHistoryCounts about = { .unchanged = deleted + left };
  const KpHistoryCounts counts = { .deleted = deleted, .unchanged = left };
  gint64 id = begin_job (history, PLAN, KP_HISTORY_ERASE, started);

  g_assert_true (kp_history_set_counts (history, id, &about, &error));
  g_assert_no_error (error);
  if (state != KP_HISTORY_RUNNING)
    g_assert_true (
        kp_history_end_job (history, id, state, NULL, NULL, &counts, started + 60, &error));
  g_assert_no_error (error);
}

static void
assert_erased (KpHistory *history, gint64 at, guint64 objects, gboolean all)
{
  g_autoptr (GError) error = NULL;
  KpHistorySummary summary;

  g_assert_true (kp_history_get_summary (history, PLAN, NOON, &summary, &error));
  g_assert_no_error (error);
  g_assert_cmpint (summary.erased_at, ==, at);
  g_assert_cmpuint (summary.erased, ==, objects);
  g_assert_cmpint (summary.erased_all, ==, all);
}

/* What deletions have taken counts until a backup goes to its end. */
static void
test_erased (Fixture *fixture, gconstpointer data)
{
  KpHistory *history = open_history (fixture);

  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 1000);
  /* Refused, and one that could delete nothing. */
  add_erase (history, KP_HISTORY_FAILED, 0, 0, 2000);
  add_erase (history, KP_HISTORY_FINISHED, 0, 5, 3000);
  assert_erased (history, 0, 0, FALSE);
  add_erase (history, KP_HISTORY_CANCELLED, 3, 2, 4000);
  assert_erased (history, 4060, 3, FALSE);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FAILED, 0, 5000);
  add_erase (history, KP_HISTORY_FAILED, 0, 2, 6000);
  assert_erased (history, 6060, 3, FALSE);
  add_erase (history, KP_HISTORY_FINISHED, 2, 0, 7000);
  assert_erased (history, 7060, 5, TRUE);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 1, 8000);
  assert_erased (history, 0, 0, FALSE);

  /* Its process is killed when it has begun to. */
  add_erase (history, KP_HISTORY_RUNNING, 0, 7, 9000);
  assert_erased (history, 0, 0, FALSE);
  kp_history_unref (history);
  history = open_history (fixture);
  assert_erased (history, 9000, 0, FALSE);
  kp_history_unref (history);
}

static void
test_summary (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  assert_summary (history, NOON, 0, 0, 0, 0);
  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 900);
  assert_summary (history, NOON, 0, 0, 0, 0);

  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 1000);
  assert_summary (history, NOON, 1000, 1060, 1060, 0);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 2, 2000);
  assert_summary (history, NOON, 2000, 2060, 1060, 0);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FAILED, 0, 3000);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_CANCELLED, 0, 4000);
  assert_summary (history, NOON, 4000, 2060, 1060, 0);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, 5000);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 1, 6000);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FAILED, 0, 7000);
  add_job (history, PLAN, KP_HISTORY_RESTORE, KP_HISTORY_FINISHED, 0, 8000);
  assert_summary (history, NOON, 4000, 2060, 1060, 5060);
  begin_job (history, PLAN, KP_HISTORY_BACKUP, 9000);
  assert_summary (history, NOON, 9000, 2060, 1060, 5060);

  /* What a wrong clock put into the future counts for nothing. */
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON + 86400);
  assert_summary (history, NOON, 9000, 2060, 1060, 5060);
  assert_summary (history, NOON + 2 * 86400, NOON + 86400, NOON + 86460, NOON + 86460, 5060);
}

static void
test_coverage (Fixture *fixture, gconstpointer data)
{
  const KpHistoryCoverage coverage = { 10, 4, 1000, 400, 900 };
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;
  KpHistorySummary summary;

  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, 1000);
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (history, PLAN, 10, &error);
  g_assert_no_error (error);
  const KpHistoryJob *job = g_ptr_array_index (jobs, 0);
  g_assert_cmpint (job->coverage.objects, ==, 0);
  g_assert_true (kp_history_set_coverage (history, job->id, &coverage, &error));
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 2000);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FAILED, 0, 3000);

  g_autoptr (KpHistoryJob) again = kp_history_get_job (history, job->id, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (&again->coverage, sizeof coverage, &coverage, sizeof coverage);
  g_assert_true (kp_history_get_summary (history, PLAN, NOON, &summary, &error));
  g_assert_cmpmem (&summary.coverage, sizeof coverage, &coverage, sizeof coverage);
  g_assert_true (kp_history_get_summary (history, OTHER, NOON, &summary, &error));
  g_assert_cmpint (summary.coverage.objects, ==, 0);

  g_assert_true (kp_history_forget_plan (history, PLAN, &error));
  g_assert_true (kp_history_get_summary (history, PLAN, NOON, &summary, &error));
  g_assert_cmpint (summary.coverage.objects, ==, 0);
}

static void
assert_failing_since (KpHistory *history, gint64 expected)
{
  g_autoptr (GError) error = NULL;
  KpHistorySummary summary;

  g_assert_true (kp_history_get_summary (history, PLAN, NOON, &summary, &error));
  g_assert_no_error (error);
  g_assert_cmpint (summary.failing_since, ==, expected);
}

/* A list of "v" for the verification, and newer backups, in the order in which they ended: well
 * "+", with files that failed "f", failed "x", with deletions held back "g", with damage that stays
 * "d". */
static gboolean
is_mended (const char *backups)
{
  g_autoptr (GPtrArray) jobs = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = strlen (backups); i-- > 0;)
    {
      KpHistoryJob *job = g_new0 (KpHistoryJob, 1);

      job->kind = backups[i] == 'v' ? KP_HISTORY_VERIFY : KP_HISTORY_BACKUP;
      job->state = backups[i] == 'x' ? KP_HISTORY_FAILED : KP_HISTORY_FINISHED;
      job->counts.failed = backups[i] == 'f';
      job->reason = backups[i] == 'g'   ? (char *) "delete-guard"
                    : backups[i] == 'd' ? (char *) "corrupt"
                    : backups[i] == 'f' ? (char *) "failed"
                                        : NULL;
      g_ptr_array_add (jobs, job);
      if (backups[i] == 'v')
        return kp_history_is_mended (jobs, job);
    }
  g_assert_not_reached ();
}

static void
test_mended (Fixture *fixture, gconstpointer data)
{
  g_assert_false (is_mended ("v"));
  g_assert_false (is_mended ("+v"));
  g_assert_true (is_mended ("v+"));
  g_assert_true (is_mended ("v+xfg"));
  g_assert_false (is_mended ("vxf"));
  g_assert_true (is_mended ("vxfg"));
  g_assert_false (is_mended ("vd"));
  g_assert_false (is_mended ("v+d"));
  g_assert_true (is_mended ("vd+"));
}

static void
test_failing_since (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FAILED, 0, 900);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FAILED, 0, 950);
  assert_failing_since (history, 0);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FAILED, 0, 1000);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_CANCELLED, 0, 2000);
  add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, 2500);
  assert_failing_since (history, 1000);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 3, 3000);
  assert_failing_since (history, 0);
  begin_job (history, PLAN, KP_HISTORY_BACKUP, 4000);
  assert_failing_since (history, 4000);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON + 86400);
  assert_failing_since (history, 4000);
}

/* Begins a job in another process, which then waits to be killed. */
static pid_t
begin_in_child (Fixture *fixture, gint64 *id)
{
  int channel[2];

  g_assert_cmpint (pipe (channel), ==, 0);
  pid_t child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0)
    {
      KpHistory *history = kp_history_open (fixture->path, NULL);
      gint64 job = history != NULL ? kp_history_begin_job (history, PLAN, KP_HISTORY_BACKUP,
                                                           KP_HISTORY_SCHEDULED, NOON, NULL)
                                   : 0;
      if (write (channel[1], &job, sizeof job) == sizeof job)
        pause ();
      _exit (1);
    }
  g_assert_cmpint (read (channel[0], id, sizeof *id), ==, sizeof *id);
  g_assert_cmpint (*id, >, 0);
  close (channel[0]);
  close (channel[1]);
  return child;
}

static void
kill_child (pid_t child)
{
  int status;

  g_assert_cmpint (kill (child, SIGKILL), ==, 0);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
}

static void
test_interrupted (Fixture *fixture, gconstpointer data)
{
  gint64 killed;
  gint64 alive;
  g_autoptr (GError) error = NULL;

  kill_child (begin_in_child (fixture, &killed));
  pid_t child = begin_in_child (fixture, &alive);

  /* The second child, when it opened the history, has found the first dead; it lives itself. */
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (KpHistoryJob) job = kp_history_get_job (history, killed, NULL);
  g_assert_cmpint (job->state, ==, KP_HISTORY_INTERRUPTED);
  g_assert_cmpint (job->ended, ==, 0);
  g_assert_cmpint (state_of (history, alive), ==, KP_HISTORY_RUNNING);
  gint64 ours = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);
  g_assert_true (kp_history_mark_interrupted (history, &error));
  g_assert_no_error (error);
  g_assert_cmpint (state_of (history, alive), ==, KP_HISTORY_RUNNING);
  g_assert_cmpint (state_of (history, ours), ==, KP_HISTORY_RUNNING);

  kill_child (child);
  g_assert_cmpint (state_of (history, alive), ==, KP_HISTORY_RUNNING);
  g_assert_true (kp_history_mark_interrupted (history, &error));
  g_assert_cmpint (state_of (history, alive), ==, KP_HISTORY_INTERRUPTED);
  g_assert_cmpint (state_of (history, ours), ==, KP_HISTORY_RUNNING);

  /* Another connection of this process knows of ours, as long as we are there. */
  g_autoptr (KpHistory) other = open_history (fixture);
  g_assert_cmpint (state_of (other, ours), ==, KP_HISTORY_RUNNING);
  end_job (history, ours, KP_HISTORY_FINISHED, 0, NOON);
  gint64 lost = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);
  g_assert_true (kp_history_mark_interrupted (other, NULL));
  g_assert_cmpint (state_of (other, lost), ==, KP_HISTORY_RUNNING);
  g_clear_pointer (&history, kp_history_unref);
  g_assert_true (kp_history_mark_interrupted (other, NULL));
  g_assert_cmpint (state_of (other, lost), ==, KP_HISTORY_INTERRUPTED);
  g_assert_cmpint (state_of (other, ours), ==, KP_HISTORY_FINISHED);
}

static void
test_prune (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;
  const guint n_jobs = KP_HISTORY_MIN_KEPT + 100;

  gint64 verified = add_job (history, PLAN, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED, 0, 10);
  gint64 complete = add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, 20);
  gint64 success = add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 3, 30);
  gint64 running = begin_job (history, PLAN, KP_HISTORY_BACKUP, 40);
  gint64 gone = begin_job (history, PLAN, KP_HISTORY_BACKUP, 50);
  add_failure (history, gone, "/gone");
  end_job (history, gone, KP_HISTORY_FAILED, 1, 60);
  gint64 kept = 0;
  for (guint i = 0; i < n_jobs; i++)
    {
      kept = begin_job (history, PLAN, KP_HISTORY_BACKUP, 100 + i);
      if (i == n_jobs - 1)
        add_failure (history, kept, "/kept");
      end_job (history, kept, KP_HISTORY_FAILED, 0, 200 + i);
      add_skip (history, PLAN, i % 2 == 0 ? "metered" : "offline", 100 + i);
    }
  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FAILED, 0, 10);
  add_skip (history, OTHER, "metered", 10);

  /* Nothing is as old as that. */
  g_assert_true (kp_history_prune (history, 5, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, n_jobs + 5);

  g_assert_true (kp_history_prune (history, 150, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, n_jobs - 50 + 4);

  g_assert_true (kp_history_prune (history, NOON, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, KP_HISTORY_MIN_KEPT + 4);
  g_assert_cmpuint (count_jobs (history, OTHER), ==, 1);
  g_assert_cmpint (state_of (history, verified), ==, KP_HISTORY_FINISHED);
  g_assert_cmpint (state_of (history, complete), ==, KP_HISTORY_FINISHED);
  g_assert_cmpint (state_of (history, success), ==, KP_HISTORY_FINISHED);
  g_assert_cmpint (state_of (history, running), ==, KP_HISTORY_RUNNING);
  g_autoptr (GPtrArray) gone_failures = kp_history_list_failures (history, gone, 10, NULL);
  g_assert_cmpuint (gone_failures->len, ==, 0);
  g_autoptr (GPtrArray) kept_failures = kp_history_list_failures (history, kept, 10, NULL);
  g_assert_cmpuint (kept_failures->len, ==, 1);
  g_autoptr (GPtrArray) skips = kp_history_list_skips (history, PLAN, G_MAXUINT, NULL);
  g_assert_cmpuint (skips->len, ==, KP_HISTORY_MIN_KEPT);
  g_autoptr (GPtrArray) other_skips = kp_history_list_skips (history, OTHER, 10, NULL);
  g_assert_cmpuint (other_skips->len, ==, 1);

  /* What is gone gives its id to no other. */
  g_assert_cmpint (begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON), >, kept);
}

static void
test_forget (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;

  gint64 id = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON);
  add_failure (history, id, "/x");
  add_skip (history, PLAN, "metered", NOON);
  add_job (history, OTHER, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
  add_skip (history, OTHER, "metered", NOON);
  g_assert_true (kp_history_forget_plan (history, PLAN, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, 0);
  g_assert_cmpuint (count_jobs (history, OTHER), ==, 1);
  assert_skips (history, PLAN, "");
  g_autoptr (GPtrArray) failures = kp_history_list_failures (history, id, 10, NULL);
  g_assert_cmpuint (failures->len, ==, 0);
  end_job (history, id, KP_HISTORY_FINISHED, 0, NOON);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, 0);
}

static void
run_sql (const char *path, const char *sql)
{
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
}

static void
assert_refused (Fixture *fixture, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  gsize length_before = 0;
  gsize length_after = 0;

  g_file_get_contents (fixture->path, &before, &length_before, NULL);
  g_assert_null (kp_history_open (fixture->path, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_assert_nonnull (strstr (error->message, fixture->path));
  g_assert_nonnull (strstr (error->message, message));
  /* And left as it was. */
  g_file_get_contents (fixture->path, &after, &length_after, NULL);
  g_assert_cmpmem (before, length_before, after, length_after);
}

static void
test_wrong_file (Fixture *fixture, gconstpointer data)
{
  g_autofree char *directory = g_path_get_dirname (fixture->path);
  g_autofree char *noise = g_strnfill (10000, 'x');

  g_assert_cmpint (g_mkdir_with_parents (directory, 0700), ==, 0);
  g_assert_true (g_file_set_contents (fixture->path, noise, 10000, NULL));
  assert_refused (fixture, "is damaged");
  g_assert_cmpint (g_unlink (fixture->path), ==, 0);

  run_sql (fixture->path, "CREATE TABLE recipe (name)");
  assert_refused (fixture, "is not a history of Keepsake; move it away");
  g_assert_cmpint (g_unlink (fixture->path), ==, 0);

  run_sql (fixture->path, "PRAGMA user_version = 1");
  assert_refused (fixture, "is not a history of Keepsake");
  g_assert_cmpint (g_unlink (fixture->path), ==, 0);

  g_autoptr (KpHistory) history = open_history (fixture);
  g_clear_pointer (&history, kp_history_unref);
  run_sql (fixture->path, "PRAGMA user_version = 2");
  assert_refused (fixture,
                  "was written by a newer Keepsake (format 2, and this one knows up to 1)");
  g_assert_cmpint (g_unlink (fixture->path), ==, 0);

  g_assert_cmpint (g_mkdir (fixture->path, 0700), ==, 0);
  assert_refused (fixture, "Cannot");
  g_assert_cmpint (g_rmdir (fixture->path), ==, 0);

  /* A file stands where the folder should be. */
  delete_tree (directory);
  g_assert_true (g_file_set_contents (directory, "", 0, NULL));
  g_autoptr (GError) error = NULL;
  g_assert_null (kp_history_open (fixture->path, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
}

/* It was good when it was opened. */
static void
test_damaged_later (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) history = open_history (fixture);
  g_autoptr (GError) error = NULL;
  KpHistorySummary summary;

  run_sql (fixture->path, "DROP TABLE job");
  g_assert_cmpint (
      kp_history_begin_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_MANUAL, NOON, &error), ==,
      0);
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_null (kp_history_list_jobs (history, NULL, 10, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_false (kp_history_get_summary (history, PLAN, NOON, &summary, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_false (kp_history_add_skip (history, PLAN, "metered", "", NOON, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  /* No transaction was left open. */
  g_assert_false (kp_history_prune (history, NOON, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_assert_nonnull (strstr (error->message, "no such table: job"));
}

/* (transfer full) (nullable): what was said */
static char *
open_in_any_case (Fixture *fixture, KpHistory **history)
{
  char *problem = NULL;

  *history = kp_history_open_in_any_case (fixture->path, &problem);
  g_assert_nonnull (*history);
  return problem;
}

static guint
count_set_aside (Fixture *fixture)
{
  g_autofree char *directory = g_path_get_dirname (fixture->path);
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;
  guint n = 0;

  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_prefix (name, "history.db.set-aside-") && !g_str_has_suffix (name, "-wal")
        && !g_str_has_suffix (name, "-shm"))
      n++;
  return n;
}

static void
make_history_of_jobs (Fixture *fixture, int n)
{
  g_autoptr (KpHistory) history = open_history (fixture);

  for (int i = 0; i < n; i++)
    add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON + i);
}

/* Writes noise over the file, from @from to its end; a negative one counts from there. */
static void
damage (Fixture *fixture, gssize from)
{
  g_autofree char *content = NULL;
  gsize length = 0;

  g_assert_true (g_file_get_contents (fixture->path, &content, &length, NULL));
  if (from < 0)
    from += (gssize) length;
  g_assert_cmpint (from, >=, 0);
  g_assert_cmpint (from, <, (gssize) length);
  memset (content + from, 'x', length - (gsize) from);
  g_assert_true (g_file_set_contents (fixture->path, content, (gssize) length, NULL));
}

static void
test_set_aside (Fixture *fixture, gconstpointer data)
{
  static const gssize beginnings[] = { 0, 4096, -4096 };
  KpHistory *history;

  for (guint i = 0; i < G_N_ELEMENTS (beginnings); i++)
    {
      make_history_of_jobs (fixture, 200);
      damage (fixture, beginnings[i]);
      g_autofree char *directory = g_path_get_dirname (fixture->path);
      g_autofree char *problem = open_in_any_case (fixture, &history);
      g_assert_nonnull (strstr (problem, "was damaged and is set aside"));
      g_assert_nonnull (strstr (problem, directory));
      g_assert_cmpuint (count_set_aside (fixture), ==, 1);
      g_assert_cmpuint (count_jobs (history, PLAN), ==, 0);
      add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
      kp_history_unref (history);

      /* The new one stays. */
      g_assert_null (open_in_any_case (fixture, &history));
      g_assert_cmpuint (count_jobs (history, PLAN), ==, 1);
      kp_history_unref (history);
      delete_tree (directory);
    }
}

/* Whoever has it open would go on with a file that nobody finds. */
static void
test_damaged_and_in_use (Fixture *fixture, gconstpointer data)
{
  KpHistory *history;

  make_history_of_jobs (fixture, 200);
  g_autoptr (KpHistory) user = open_history (fixture);
  damage (fixture, 4096);
  g_autofree char *problem = open_in_any_case (fixture, &history);
  g_assert_nonnull (strstr (problem, "is damaged"));
  g_assert_nonnull (strstr (problem, "the jobs are not recorded"));
  g_assert_cmpuint (count_set_aside (fixture), ==, 0);
  add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
  g_assert_cmpuint (count_jobs (history, PLAN), ==, 1);
  kp_history_unref (history);

  g_clear_pointer (&user, kp_history_unref);
  g_autofree char *second_problem = open_in_any_case (fixture, &history);
  g_assert_nonnull (strstr (second_problem, "is set aside"));
  g_assert_cmpuint (count_set_aside (fixture), ==, 1);
  kp_history_unref (history);
}

/* What we cannot use is not ours to move. */
static void
test_left_alone (Fixture *fixture, gconstpointer data)
{
  static const char *const statements[]
      = { "PRAGMA user_version = 2", "PRAGMA user_version = 2; CREATE TABLE newer (name)",
          "PRAGMA application_id = 5" };

  for (guint i = 0; i < G_N_ELEMENTS (statements); i++)
    {
      KpHistory *history;
      make_history_of_jobs (fixture, 3);
      run_sql (fixture->path, statements[i]);
      g_autofree char *problem = open_in_any_case (fixture, &history);
      g_assert_nonnull (strstr (problem, fixture->path));
      g_assert_nonnull (strstr (problem, "the jobs are not recorded"));
      add_job (history, PLAN, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED, 0, NOON);
      g_assert_cmpuint (count_jobs (history, PLAN), ==, 1);
      kp_history_unref (history);
      g_assert_cmpuint (count_set_aside (fixture), ==, 0);
      run_sql (fixture->path, "PRAGMA application_id = 1265649769; PRAGMA user_version = 1");
      g_autoptr (KpHistory) again = open_history (fixture);
      g_assert_cmpuint (count_jobs (again, PLAN), ==, 3);
      g_clear_pointer (&again, kp_history_unref);
      g_autofree char *directory = g_path_get_dirname (fixture->path);
      delete_tree (directory);
    }
}

#define N_THREADS 4
#define N_ROUNDS 25

static gpointer
work_thread (gpointer data)
{
  KpHistory *history = data;

  for (int i = 0; i < N_ROUNDS; i++)
    {
      gint64 id = begin_job (history, PLAN, KP_HISTORY_BACKUP, NOON + i);
      add_failure (history, id, "/x");
      g_assert_true (kp_history_mark_interrupted (history, NULL));
      g_assert_cmpint (state_of (history, id), ==, KP_HISTORY_RUNNING);
      end_job (history, id, KP_HISTORY_FINISHED, 1, NOON + i);
      add_skip (history, PLAN, i % 2 == 0 ? "metered" : "offline", NOON + i);
      g_assert_cmpuint (count_jobs (history, PLAN), >, 0);
    }
  return NULL;
}

/* Two connections, each used by several threads. */
static void
test_threads (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpHistory) first = open_history (fixture);
  g_autoptr (KpHistory) second = open_history (fixture);
  GThread *threads[N_THREADS];

  for (int i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("work", work_thread, i % 2 == 0 ? first : second);
  for (int i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);

  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (first, PLAN, G_MAXUINT, NULL);
  g_assert_cmpuint (jobs->len, ==, N_THREADS * N_ROUNDS);
  for (guint i = 0; i < jobs->len; i++)
    {
      const KpHistoryJob *job = jobs->pdata[i];
      g_assert_cmpint (job->state, ==, KP_HISTORY_FINISHED);
      g_assert_cmpuint (job->counts.failed, ==, 1);
    }
  g_autoptr (GPtrArray) skips = kp_history_list_skips (second, PLAN, G_MAXUINT, NULL);
  guint64 count = 0;
  for (guint i = 0; i < skips->len; i++)
    count += ((KpHistorySkip *) skips->pdata[i])->count;
  g_assert_cmpuint (count, ==, N_THREADS * N_ROUNDS);
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/plan/history/open", test_open);
  ADD ("/plan/history/job", test_job);
  ADD ("/plan/history/names", test_names);
  ADD ("/plan/history/lists", test_lists);
  ADD ("/plan/history/past", test_past);
  ADD ("/plan/history/failures", test_failures);
  ADD ("/plan/history/skips", test_skips);
  ADD ("/plan/history/summary", test_summary);
  ADD ("/plan/history/erased", test_erased);
  ADD ("/plan/history/coverage", test_coverage);
  ADD ("/plan/history/mended", test_mended);
  ADD ("/plan/history/failing-since", test_failing_since);
  ADD ("/plan/history/interrupted", test_interrupted);
  ADD ("/plan/history/prune", test_prune);
  ADD ("/plan/history/forget", test_forget);
  ADD ("/plan/history/wrong-file", test_wrong_file);
  ADD ("/plan/history/damaged-later", test_damaged_later);
  ADD ("/plan/history/set-aside", test_set_aside);
  ADD ("/plan/history/damaged-and-in-use", test_damaged_and_in_use);
  ADD ("/plan/history/left-alone", test_left_alone);
  ADD ("/plan/history/threads", test_threads);
  return g_test_run ();
}

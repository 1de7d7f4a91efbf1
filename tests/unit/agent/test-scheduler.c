/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "../mirror/temporary-tree.h"
#include "private-bus.h"

#include "kp-error.h"
#include "kp-job.h"
#include "kp-scheduler.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define HOUR 3600
#define DAY 86400

/* 2026-03-02 09:00 UTC, a Monday */
#define NOW G_GINT64_CONSTANT (1772442000)
#define HALF_PAST_TWELVE (NOW + 7 * HOUR / 2)
#define SPREAD 300

typedef struct
{
  TemporaryTree *tree;
  KpClock *clock;
  KpHistory *history;
  KpAgentState *state;
  KpScheduler *scheduler;
  KpPlan *plan;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->tree = temporary_tree_new ();
  temporary_tree_make_directory (fixture->tree, "source");
  g_autofree char *history = temporary_tree_path (fixture->tree, "history");
  g_autofree char *state = temporary_tree_path (fixture->tree, "agent.ini");
  fixture->clock = kp_clock_new_for_test (NOW);
  fixture->history = kp_history_open (history, &error);
  g_assert_no_error (error);
  fixture->state = kp_agent_state_open (state);
  fixture->scheduler = kp_scheduler_new (fixture->clock, fixture->history, fixture->state, state);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_finalize_object (g_steal_pointer (&fixture->scheduler));
  g_clear_object (&fixture->plan);
  g_clear_pointer (&fixture->history, kp_history_unref);
  g_clear_pointer (&fixture->state, kp_agent_state_free);
  g_assert_finalize_object (g_steal_pointer (&fixture->clock));
  temporary_tree_free (fixture->tree);
}

static void
add_plan (Fixture *fixture, const char *schedule)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *source = temporary_tree_path (fixture->tree, "source");
  g_autoptr (KpSchedule) parsed = kp_schedule_parse (schedule, &error);
  g_autoptr (GPtrArray) sources
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);

  g_assert_no_error (error);
  g_ptr_array_add (sources, kp_plan_source_new (source, "source"));
  fixture->plan = kp_plan_new ();
  kp_plan_set_sources (fixture->plan, sources);
  kp_plan_set_schedule (fixture->plan, parsed);
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_OFF);
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  kp_scheduler_refresh (fixture->scheduler);
}

static const KpTiming *
timing_at (Fixture *fixture, gint64 now)
{
  kp_clock_set_time (fixture->clock, now);
  kp_scheduler_refresh (fixture->scheduler);
  return kp_scheduler_get_timing (fixture->scheduler, kp_plan_get_id (fixture->plan));
}

/* A job that took a minute, as the history has it. */
static void
add_job (Fixture *fixture, KpHistoryKind kind, gint64 start, KpHistoryState state, int reason)
{
  g_autoptr (GError) error = NULL;
  gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan), kind,
                                    KP_HISTORY_SCHEDULED, start, &error);
  g_assert_no_error (error);
  gboolean ok = kp_history_end_job (
      fixture->history, id, state, reason >= 0 ? kp_error_name (reason) : NULL,
      reason >= 0 ? "It failed" : NULL, &(KpHistoryCounts){ 0 }, start + 60, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
}

static void
add_success (Fixture *fixture, gint64 start)
{
  add_job (fixture, KP_HISTORY_BACKUP, start, KP_HISTORY_FINISHED, -1);
}

/* --- the clock ------------------------------------------------------------------------------- */

static void
test_new_plan (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  const KpTiming *timing = timing_at (fixture, NOW + 5);
  g_assert_cmpint (timing->due_since, ==, NOW);
  g_assert_cmpint (timing->trigger, ==, KP_HISTORY_SCHEDULED);

  /* It stays one due time, however often one looks. */
  g_assert_cmpint (timing_at (fixture, NOW + DAY)->due_since, ==, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + DAY)->overdue_at, ==, NOW + 3 * DAY);
}

/* Nothing is there yet, whatever was stored elsewhere. */
static void
test_new_destination (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@monthly");
  kp_plan_set_bucket (fixture->plan, "my-backup");
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR)->due_since, ==, 0);

  /* Anything else of it is no reason. */
  kp_plan_set_name (fixture->plan, "Other");
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR)->due_since, ==, 0);
  kp_plan_set_prefix (fixture->plan, "elsewhere");
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  g_assert_cmpint (timing_at (fixture, NOW + 2 * HOUR)->due_since, ==, NOW + HOUR);
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * HOUR)->due_since, ==, NOW + HOUR);

  /* One that was still for the old one, and one for the new one. */
  const char *id = kp_plan_get_id (fixture->plan);
  add_success (fixture, NOW + 4 * HOUR);
  kp_scheduler_note_backup (fixture->scheduler, id, FALSE);
  g_assert_cmpint (timing_at (fixture, NOW + 5 * HOUR)->due_since, ==, NOW + HOUR);
  add_success (fixture, NOW + 5 * HOUR);
  kp_scheduler_note_backup (fixture->scheduler, id, TRUE);
  g_assert_cmpint (timing_at (fixture, NOW + 6 * HOUR)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 6 * HOUR)->next_run, !=, 0);
  kp_scheduler_note_backup (fixture->scheduler, id, FALSE);
  g_assert_cmpint (timing_at (fixture, NOW + 7 * HOUR)->due_since, ==, NOW + 6 * HOUR);
}

/* What was wrong with the old one is no reason to wait, and nothing of it is verified. */
static void
test_new_destination_after_failures (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily");
  kp_plan_set_bucket (fixture->plan, "my-backup");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_WEEKLY);
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + DAY)->verify_due, !=, 0);
  add_job (fixture, KP_HISTORY_BACKUP, NOW + DAY, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  g_assert_cmpint (timing_at (fixture, NOW + DAY + 70)->retry_at, >, NOW + DAY + 70);
  kp_plan_set_prefix (fixture->plan, "elsewhere");
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  const KpTiming *timing = timing_at (fixture, NOW + DAY + 80);
  g_assert_cmpint (timing->retry_at, ==, 0);
  g_assert_cmpint (timing->due_since, !=, 0);

  add_success (fixture, NOW + DAY + 100);
  kp_scheduler_note_backup (fixture->scheduler, kp_plan_get_id (fixture->plan), TRUE);
  g_assert_cmpint (timing_at (fixture, NOW + 2 * DAY)->verify_due, !=, 0);
  kp_plan_set_prefix (fixture->plan, "once more");
  kp_clock_set_time (fixture->clock, NOW + 2 * DAY);
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  g_assert_cmpint (timing_at (fixture, NOW + 10 * DAY)->verify_due, ==, 0);
}

static void
test_spread (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  add_success (fixture, NOW);
  gint64 spread = kp_schedule_spread (kp_plan_get_id (fixture->plan), SPREAD);
  gint64 due = HALF_PAST_TWELVE + spread;

  g_assert_cmpint (timing_at (fixture, NOW + HOUR)->next_run, ==, due);
  g_assert_cmpint (kp_clock_get_alarm (fixture->clock), ==, due);
  if (spread > 0)
    {
      g_assert_cmpint (timing_at (fixture, due - 1)->due_since, ==, 0);
      g_assert_cmpint (timing_at (fixture, due - 1)->next_run, ==, due);
    }
  g_assert_cmpint (timing_at (fixture, due)->due_since, ==, HALF_PAST_TWELVE);
  g_assert_cmpint (timing_at (fixture, due)->next_run, ==, due + DAY);
}

/* However many times were missed, they are made up for once. */
static void
test_missed (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  add_success (fixture, NOW);
  const KpTiming *timing = timing_at (fixture, NOW + 5 * DAY);
  g_assert_cmpint (timing->due_since, ==, HALF_PAST_TWELVE + 4 * DAY);
  g_assert_cmpint (timing->trigger, ==, KP_HISTORY_CATCH_UP);
  add_success (fixture, NOW + 5 * DAY);
  g_assert_cmpint (timing_at (fixture, NOW + 5 * DAY + 60)->due_since, ==, 0);
}

/* Once a day at least, whatever the plans say. */
static void
test_alarm (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@monthly 28 12:30");
  add_success (fixture, NOW);
  timing_at (fixture, NOW + 60);
  g_assert_cmpint (kp_clock_get_alarm (fixture->clock), ==, NOW + 60 + DAY);
  kp_scheduler_look_again_at (fixture->scheduler, NOW + 100);
  g_assert_cmpint (kp_clock_get_alarm (fixture->clock), ==, NOW + 100);
}

/* The clock was a year ahead while jobs ran; nothing must wait for that year. */
static void
test_clock_set_back (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_WEEKLY);
  add_success (fixture, NOW - DAY);
  add_job (fixture, KP_HISTORY_BACKUP, NOW + 365 * DAY, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  const KpTiming *timing = timing_at (fixture, NOW);
  g_assert_cmpint (timing->due_since, !=, 0);
  g_assert_cmpint (timing->retry_at, <=, NOW);

  add_success (fixture, NOW + 365 * DAY);
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 365 * DAY, KP_HISTORY_FINISHED, -1);
  timing = timing_at (fixture, NOW + DAY);
  g_assert_cmpint (timing->due_since, ==, HALF_PAST_TWELVE);
  g_assert_cmpint (timing->verify_due, !=, 0);
}

/* --- failures -------------------------------------------------------------------------------- */

static void
test_back_off (Fixture *fixture, gconstpointer data)
{
  static const int minutes[] = { 5, 10, 20, 40, 60, 60 };
  gint64 start = NOW;

  add_plan (fixture, "@daily 12:30");
  for (gsize i = 0; i < G_N_ELEMENTS (minutes); i++)
    {
      add_job (fixture, KP_HISTORY_BACKUP, start, KP_HISTORY_FAILED, KP_ERROR_SERVER);
      const KpTiming *timing = timing_at (fixture, start + 61);
      g_assert_cmpint (timing->due_since, !=, 0);
      g_assert_cmpint (timing->retry_at, ==, start + 60 + minutes[i] * 60);
      g_assert_cmpint (kp_clock_get_alarm (fixture->clock), <=, timing->retry_at);
      start = timing->retry_at;
    }
  /* The network is another one: no wait, until it fails again. */
  kp_scheduler_forget_failures (fixture->scheduler);
  g_assert_cmpint (timing_at (fixture, start)->retry_at, ==, 0);
  g_assert_cmpint (timing_at (fixture, start)->due_since, !=, 0);
  kp_scheduler_job_ended (fixture->scheduler, kp_plan_get_id (fixture->plan), NULL);
  g_assert_cmpint (timing_at (fixture, start)->retry_at, !=, 0);
  add_success (fixture, start);
  g_assert_cmpint (timing_at (fixture, start + 61)->retry_at, ==, 0);
  g_assert_cmpint (timing_at (fixture, start + 61)->due_since, ==, 0);
}

/* Only somebody can do something about a wrong key: no trying in between. */
static void
test_failure_that_stays (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  add_job (fixture, KP_HISTORY_BACKUP, NOW, KP_HISTORY_FAILED, KP_ERROR_BAD_CREDENTIALS);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * HOUR)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 4 * HOUR)->due_since, ==, HALF_PAST_TWELVE);
}

/* Its process ended, and could not say so. */
static void
add_crash (Fixture *fixture, gint64 start)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = temporary_tree_path (fixture->tree, "history");
  KpHistory *crashed = kp_history_open (path, &error);
  g_assert_no_error (error);
  gint64 id = kp_history_begin_job (crashed, kp_plan_get_id (fixture->plan), KP_HISTORY_BACKUP,
                                    KP_HISTORY_SCHEDULED, start, &error);
  g_assert_cmpint (id, >, 0);
  kp_history_unref (crashed);
  g_assert_true (kp_history_mark_interrupted (fixture->history, &error));
}

static void
test_interrupted (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  for (int i = 0; i < 3; i++)
    {
      add_crash (fixture, NOW + i);
      g_assert_cmpint (timing_at (fixture, NOW + 60)->due_since, ==, NOW + i);
      g_assert_cmpint (timing_at (fixture, NOW + 60)->retry_at, ==, 0);
    }
  /* What takes its process along each time does not do so for ever. */
  add_crash (fixture, NOW + 4);
  g_assert_cmpint (timing_at (fixture, NOW + 60)->due_since, ==, 0);
}

/* A first backup that takes days of a computer that is on for some hours goes on at each login. */
static void
test_ended_with_its_session (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@monthly");
  for (int i = 0; i < 10; i++)
    {
      add_job (fixture, KP_HISTORY_BACKUP, NOW + i * HOUR, KP_HISTORY_INTERRUPTED, -1);
      g_assert_cmpint (timing_at (fixture, NOW + i * HOUR + 600)->due_since, ==, NOW + i * HOUR);
    }
}

/* It waited, and somebody asked for another job: that may come as often as it likes. */
static void
test_made_way (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  for (int i = 0; i < 10; i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan),
                                        KP_HISTORY_BACKUP, KP_HISTORY_SCHEDULED, NOW + i, &error);
      g_assert_no_error (error);
      g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_INTERRUPTED,
                                         KP_JOB_REASON_MADE_WAY, "Interrupted",
                                         &(KpHistoryCounts){ 0 }, NOW + i + 1, &error));
      g_assert_cmpint (timing_at (fixture, NOW + 60)->due_since, ==, NOW + i);
    }
}

static void
test_cancelled (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  add_job (fixture, KP_HISTORY_BACKUP, NOW, KP_HISTORY_CANCELLED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 60)->due_since, ==, 0);
}

/* --- what the history does not have ----------------------------------------------------------- */

/* A job that took a minute; @id is 0 where nothing of it could be recorded. */
static void
see_job (Fixture *fixture,
         gint64 id,
         KpHistoryKind kind,
         gint64 start,
         KpHistoryState state,
         int reason)
{
  const KpHistoryJob job = { .id = id,
                             .kind = kind,
                             .started = start,
                             .ended = start + 60,
                             .state = state,
                             .reason = reason >= 0 ? (char *) kp_error_name (reason) : NULL };

  kp_scheduler_job_ended (fixture->scheduler, kp_plan_get_id (fixture->plan), &job);
}

/* As when the disk is full: the history tells of the past, and nothing is added to it. */
static void
test_not_recorded (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@daily 12:30");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_WEEKLY);
  add_success (fixture, NOW - 30 * DAY);
  add_job (fixture, KP_HISTORY_VERIFY, NOW - 29 * DAY, KP_HISTORY_FINISHED, -1);
  const KpTiming *timing = timing_at (fixture, NOW);
  g_assert_cmpint (timing->due_since, !=, 0);
  g_assert_true (timing->overdue);

  /* Tried again after a pause, as ever. */
  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  timing = timing_at (fixture, NOW + 61);
  g_assert_cmpint (timing->due_since, ==, NOW);
  g_assert_cmpint (timing->retry_at, ==, NOW + 60 + 5 * 60);
  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW + 360, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  g_assert_cmpint (timing_at (fixture, NOW + 421)->retry_at, ==, NOW + 420 + 10 * 60);

  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW + 1020, KP_HISTORY_FINISHED, -1);
  timing = timing_at (fixture, NOW + 1081);
  g_assert_cmpint (timing->due_since, ==, 0);
  g_assert_false (timing->overdue);
  g_assert_cmpint (timing->summary.last_success, ==, NOW + 1080);
  g_assert_cmpint (timing->summary.failing_since, ==, 0);
  g_assert_cmpint (timing->last->ended, ==, NOW + 1080);
  /* An edit of the plan forgets nothing. */
  kp_scheduler_set_plan (fixture->scheduler, fixture->plan);
  timing = timing_at (fixture, NOW + 1082);
  g_assert_cmpint (timing->due_since, ==, 0);

  g_assert_cmpint (timing->verify_due, !=, 0);
  see_job (fixture, 0, KP_HISTORY_VERIFY, NOW + 1100, KP_HISTORY_FINISHED, -1);
  timing = timing_at (fixture, NOW + 1161);
  g_assert_cmpint (timing->verify_due, ==, 0);
  g_assert_cmpint (timing->summary.last_verified, ==, NOW + 1160);
  g_assert_cmpint (timing_at (fixture, NOW + 1100 + 7 * DAY)->verify_due, ==, NOW + 1100 + 7 * DAY);

  /* Recorded again. */
  add_job (fixture, KP_HISTORY_BACKUP, NOW + 8 * DAY, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  timing = timing_at (fixture, NOW + 8 * DAY + 61);
  g_assert_cmpint (timing->retry_at, ==, NOW + 8 * DAY + 60 + 5 * 60);
  g_assert_cmpint (timing->summary.failing_since, ==, NOW + 8 * DAY);
  g_assert_cmpint (timing->summary.last_success, ==, NOW + 1080);
}

/* A job that the history knows is no other one. */
static void
test_end_not_recorded (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  add_plan (fixture, "@daily 12:30");
  gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan),
                                    KP_HISTORY_BACKUP, KP_HISTORY_SCHEDULED, NOW, &error);
  g_assert_no_error (error);
  timing_at (fixture, NOW + 1);
  see_job (fixture, id, KP_HISTORY_BACKUP, NOW, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  const KpTiming *timing = timing_at (fixture, NOW + 61);
  g_assert_cmpint (timing->last->id, ==, id);
  g_assert_cmpint (timing->retry_at, ==, NOW + 60 + 5 * 60);

  g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_FAILED,
                                     kp_error_name (KP_ERROR_OFFLINE), "It failed",
                                     &(KpHistoryCounts){ 0 }, NOW + 60, &error));
  g_assert_cmpint (timing_at (fixture, NOW + 61)->retry_at, ==, NOW + 60 + 5 * 60);
  g_assert_cmpstr (timing->last->message, ==, "It failed");

  /* Nor is one after which another process began one. */
  id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan), KP_HISTORY_BACKUP,
                             KP_HISTORY_SCHEDULED, NOW + 100, &error);
  add_success (fixture, NOW + 110);
  timing_at (fixture, NOW + 170);
  g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_FAILED,
                                     kp_error_name (KP_ERROR_OFFLINE), "It failed",
                                     &(KpHistoryCounts){ 0 }, NOW + 160, &error));
  see_job (fixture, id, KP_HISTORY_BACKUP, NOW + 100, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  g_assert_cmpint (timing_at (fixture, NOW + 171)->last->state, ==, KP_HISTORY_FINISHED);
}

/* What was deleted after a backup that was not recorded stays deleted. */
static void
test_erased_later (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const KpHistoryCounts counts = { .deleted = 5 };

  add_plan (fixture, "@daily 12:30");
  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW, KP_HISTORY_FINISHED, -1);
  gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan),
                                    KP_HISTORY_ERASE, KP_HISTORY_MANUAL, NOW + DAY, &error);
  g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_FINISHED, NULL, NULL, &counts,
                                     NOW + DAY, &error));
  g_assert_no_error (error);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * DAY)->due_since, ==, 0);

  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW + 3 * DAY, KP_HISTORY_FINISHED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 5 * DAY)->due_since, !=, 0);
  const KpHistoryJob erase = { .kind = KP_HISTORY_ERASE,
                               .started = NOW + 5 * DAY,
                               .ended = NOW + 5 * DAY,
                               .state = KP_HISTORY_FINISHED,
                               .counts = counts };
  kp_scheduler_job_ended (fixture->scheduler, kp_plan_get_id (fixture->plan), &erase);
  g_assert_cmpint (timing_at (fixture, NOW + 7 * DAY)->due_since, ==, 0);
}

static void
test_unreadable (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = temporary_tree_path (fixture->tree, "history");
  sqlite3 *db = NULL;

  add_plan (fixture, "@daily 12:30");
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + 100)->due_since, ==, 0);
  g_assert_null (kp_scheduler_get_history_problem (fixture->scheduler));

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, "DROP TABLE job", NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
  g_test_expect_message ("keepsake-agent", G_LOG_LEVEL_WARNING, "*no such table*");
  g_assert_cmpint (timing_at (fixture, NOW + 200)->due_since, ==, NOW);
  g_test_assert_expected_messages ();
  g_assert_nonnull (kp_scheduler_get_history_problem (fixture->scheduler));

  /* Once, and then as the schedule says. Said once, too. */
  see_job (fixture, 0, KP_HISTORY_BACKUP, NOW + 200, KP_HISTORY_FINISHED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 261)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 4 * HOUR)->due_since, ==, HALF_PAST_TWELVE);
  g_assert_cmpint (timing_at (fixture, NOW + 4 * HOUR)->overdue_at, ==, NOW + 260 + 3 * DAY);
}

/* --- verification ---------------------------------------------------------------------------- */

/* The plan was to go with all that is stored of it: it brings nothing of that back by itself. */
static void
test_erased (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const KpHistoryCounts counts = { .deleted = 5 };

  add_plan (fixture, "@daily 12:30");
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * DAY)->due_since, >, 0);
  gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan),
                                    KP_HISTORY_ERASE, KP_HISTORY_MANUAL, NOW + DAY, &error);
  g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_FINISHED, NULL, NULL, &counts,
                                     NOW + DAY, &error));
  g_assert_no_error (error);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * DAY)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 3 * DAY)->next_run, ==, 0);
  add_success (fixture, NOW + 2 * DAY);
  g_assert_cmpint (timing_at (fixture, NOW + 4 * DAY)->due_since, >, 0);
}

static void
test_verify (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@monthly 28 12:30");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_WEEKLY);
  g_assert_cmpint (timing_at (fixture, NOW)->verify_due, ==, 0);
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + 100)->verify_due, ==, NOW + 60);

  /* Who cancels it does not want it again at once. */
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 100, KP_HISTORY_CANCELLED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 200)->verify_due, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 100 + DAY)->verify_due, ==, NOW + 100 + DAY);
  add_job (fixture, KP_HISTORY_VERIFY, NOW + DAY, KP_HISTORY_FAILED, KP_ERROR_OFFLINE);
  g_assert_cmpint (timing_at (fixture, NOW + DAY + 200)->verify_due, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 2 * DAY)->verify_due, ==, NOW + 2 * DAY);
  /* One that was cut off is gone on with. */
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 2 * DAY, KP_HISTORY_INTERRUPTED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 2 * DAY + 60)->verify_due, !=, 0);
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 2 * DAY, KP_HISTORY_FINISHED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 9 * DAY - 1)->verify_due, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 9 * DAY)->verify_due, ==, NOW + 9 * DAY);
}

/* What was found to be damaged is sent again by the next backup; then it is looked at soon. */
static void
test_verify_after_damage (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  add_plan (fixture, "@monthly 28 12:30");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_MONTHLY);
  add_success (fixture, NOW);
  gint64 id = kp_history_begin_job (fixture->history, kp_plan_get_id (fixture->plan),
                                    KP_HISTORY_VERIFY, KP_HISTORY_SCHEDULED, NOW + 100, &error);
  g_assert_no_error (error);
  g_assert_true (kp_history_end_job (fixture->history, id, KP_HISTORY_FINISHED, "corrupt", "Bad",
                                     &(KpHistoryCounts){ .failed = 2 }, NOW + 160, &error));
  const KpTiming *timing = timing_at (fixture, NOW + 10 * DAY);
  g_assert_cmpint (timing->verify_due, ==, 0);
  g_assert_cmpint (timing->last_verify->id, ==, id);

  add_success (fixture, NOW + 200);
  g_assert_cmpint (timing_at (fixture, NOW + DAY)->verify_due, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 100 + DAY)->verify_due, ==, NOW + 100 + DAY);
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 2 * DAY, KP_HISTORY_FINISHED, -1);
  g_assert_cmpint (timing_at (fixture, NOW + 10 * DAY)->verify_due, ==, 0);
}

/* A plan that runs all the time is verified no more often than another. */
static void
test_verify_among_many_backups (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@hourly");
  kp_plan_set_verify (fixture->plan, KP_PLAN_VERIFY_MONTHLY);
  add_success (fixture, NOW);
  add_job (fixture, KP_HISTORY_VERIFY, NOW + 100, KP_HISTORY_FINISHED, -1);
  for (int i = 1; i <= 250; i++)
    add_success (fixture, NOW + i * HOUR);
  const KpTiming *timing = timing_at (fixture, NOW + 251 * HOUR);
  g_assert_cmpint (timing->verify_due, ==, 0);
  g_assert_nonnull (timing->last_verify);
  g_assert_cmpint (timing->last_verify->started, ==, NOW + 100);
  g_assert_cmpint (timing_at (fixture, NOW + 100 + 30 * DAY)->verify_due, ==, NOW + 100 + 30 * DAY);
}

/* --- watching -------------------------------------------------------------------------------- */

static void
wait_for_change (Fixture *fixture, gint64 now)
{
  kp_clock_set_time (fixture->clock, now);
  wait_for (timing_at (fixture, now)->next_run == now + 300);
}

static void
test_watch (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@watch 5m");
  g_assert_cmpint (timing_at (fixture, NOW)->due_since, ==, NOW);
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + DAY - 1)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + DAY - 1)->next_run, ==, 0);

  temporary_tree_write (fixture->tree, "source/two", "2", -1);
  wait_for_change (fixture, NOW + HOUR);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR + 299)->due_since, ==, 0);
  const KpTiming *timing = timing_at (fixture, NOW + HOUR + 301);
  g_assert_cmpint (timing->due_since, ==, NOW + HOUR + 300);
  g_assert_cmpint (timing->trigger, ==, KP_HISTORY_WATCH);

  /* A change in the second in which the job begins. */
  add_success (fixture, NOW + HOUR + 301);
  temporary_tree_write (fixture->tree, "source/three", "3", -1);
  wait_for_change (fixture, NOW + HOUR + 301);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR + 601)->due_since, ==, NOW + HOUR + 601);
}

/* Not every change can be seen. */
static void
test_watch_looks_once_a_day (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@watch 5m");
  add_success (fixture, NOW);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR)->due_since, ==, 0);
  g_assert_cmpint (kp_clock_get_alarm (fixture->clock), ==, NOW + DAY);
  const KpTiming *timing = timing_at (fixture, NOW + 2 * DAY);
  g_assert_cmpint (timing->due_since, ==, NOW + DAY);
  g_assert_cmpint (timing->trigger, ==, KP_HISTORY_SCHEDULED);
  g_assert_cmpint (timing->overdue_at, ==, NOW + 60 + 3 * DAY);
  /* Held, with a change each day: that is no reason to wait for longer. */
  for (int i = 1; i < 5; i++)
    {
      g_autofree char *name = g_strdup_printf ("source/%d", i);
      temporary_tree_write (fixture->tree, name, "1", -1);
      kp_clock_set_time (fixture->clock, NOW + i * DAY);
      g_assert_cmpint (timing_at (fixture, NOW + i * DAY + HOUR)->overdue_at, ==,
                       NOW + 60 + 3 * DAY);
    }
  g_assert_true (timing_at (fixture, NOW + 5 * DAY)->overdue);
}

/* A folder in which something changes all the time. */
static void
test_watch_what_is_never_quiet (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@watch 5m");
  add_success (fixture, NOW);
  gint64 now = NOW + HOUR;
  gint64 first = now;

  g_assert_cmpint (timing_at (fixture, now)->due_since, ==, 0);
  for (int i = 0; timing_at (fixture, now)->due_since == 0; i++, now += 240)
    {
      g_autofree char *name = g_strdup_printf ("source/%d", i);
      temporary_tree_write (fixture->tree, name, "1", -1);
      wait_for (timing_at (fixture, now)->next_run == MIN (now + 300, first + HOUR));
      g_assert_cmpint (now, <=, first + HOUR);
    }
  g_assert_cmpint (timing_at (fixture, now)->due_since, ==, first + HOUR);
}

static void
end_job (Fixture *fixture, gint64 start, KpHistoryKind kind, KpHistoryState state)
{
  KpHistoryJob job
      = { .kind = kind, .state = state, .started = start, .ended = start, .plan_id = NULL };

  add_job (fixture, kind, start, state, -1);
  kp_clock_set_time (fixture->clock, start);
  kp_scheduler_job_ended (fixture->scheduler, kp_plan_get_id (fixture->plan), &job);
}

static const char *
watch_note (Fixture *fixture)
{
  return kp_scheduler_get_watch_note (fixture->scheduler, kp_plan_get_id (fixture->plan));
}

static void
move (Fixture *fixture, const char *from, const char *to)
{
  g_assert_cmpint (renameat (fixture->tree->fd, from, fixture->tree->fd, to), ==, 0);
}

/* A disk that is not there at first, and one that comes back: watched again, with one run more. */
static void
test_watch_what_comes (Fixture *fixture, gconstpointer data)
{
  gint64 now = NOW;

  move (fixture, "source", "away");
  add_plan (fixture, "@watch 5m");
  for (int i = 0; i < 2; i++, now += 3 * HOUR)
    {
      wait_for (watch_note (fixture) != NULL);
      move (fixture, "away", "source");
      /* Only a backup has looked at it, and only one that went to its end. */
      end_job (fixture, now, KP_HISTORY_VERIFY, KP_HISTORY_FINISHED);
      end_job (fixture, now, KP_HISTORY_BACKUP, KP_HISTORY_FAILED);
      g_assert_nonnull (watch_note (fixture));
      end_job (fixture, now, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED);
      g_assert_null (watch_note (fixture));
      g_assert_cmpint (timing_at (fixture, now + 299)->due_since, ==, 0);
      g_assert_cmpint (timing_at (fixture, now + 300)->due_since, ==, now + 300);
      end_job (fixture, now + 300, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED);
      g_assert_cmpint (timing_at (fixture, now + 2 * HOUR)->due_since, ==, 0);
      temporary_tree_write (fixture->tree, "source/new", "1", -1);
      wait_for_change (fixture, now + 2 * HOUR);
      add_success (fixture, now + 2 * HOUR + 300);
      move (fixture, "source", "away");
    }
}

/* One that comes and goes is no reason for one run after the other. */
static void
test_watch_what_comes_and_goes (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "@watch 5m");
  for (int i = 0; i < 2; i++)
    {
      move (fixture, "source", "away");
      wait_for (watch_note (fixture) != NULL);
      move (fixture, "away", "source");
      end_job (fixture, NOW + i * 600, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED);
      g_assert_true ((watch_note (fixture) == NULL) == (i == 0));
    }
  g_assert_cmpint (timing_at (fixture, NOW + 600 + HOUR - 1)->due_since, ==, 0);
  g_assert_cmpint (timing_at (fixture, NOW + 600 + HOUR)->due_since, ==, NOW + 600 + HOUR);
  end_job (fixture, NOW + 600 + HOUR, KP_HISTORY_BACKUP, KP_HISTORY_FINISHED);
  g_assert_null (watch_note (fixture));
}

/* Minutes that come closer than a plan is late. */
static void
test_close_times (Fixture *fixture, gconstpointer data)
{
  add_plan (fixture, "* * * * *");
  gint64 spread = kp_schedule_spread (kp_plan_get_id (fixture->plan), SPREAD);

  add_success (fixture, NOW + 1);
  g_assert_cmpint (timing_at (fixture, NOW + 30)->due_since, ==, 0);
  if (spread > 0)
    {
      const KpTiming *early = timing_at (fixture, NOW + 60 + spread - 1);
      g_assert_cmpint (early->due_since, ==, 0);
      g_assert_cmpint (early->next_run, ==, NOW + 60 + spread);
    }
  g_assert_cmpint (timing_at (fixture, NOW + 60 + spread)->due_since, !=, 0);
  g_assert_cmpint (timing_at (fixture, NOW + HOUR)->due_since, !=, 0);
}

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  g_test_init (&argc, &argv, NULL);
  ADD ("/agent/scheduler/new-plan", test_new_plan);
  ADD ("/agent/scheduler/new-destination", test_new_destination);
  ADD ("/agent/scheduler/new-destination-after-failures", test_new_destination_after_failures);
  ADD ("/agent/scheduler/spread", test_spread);
  ADD ("/agent/scheduler/missed", test_missed);
  ADD ("/agent/scheduler/alarm", test_alarm);
  ADD ("/agent/scheduler/clock-set-back", test_clock_set_back);
  ADD ("/agent/scheduler/back-off", test_back_off);
  ADD ("/agent/scheduler/failure-that-stays", test_failure_that_stays);
  ADD ("/agent/scheduler/interrupted", test_interrupted);
  ADD ("/agent/scheduler/ended-with-its-session", test_ended_with_its_session);
  ADD ("/agent/scheduler/made-way", test_made_way);
  ADD ("/agent/scheduler/cancelled", test_cancelled);
  ADD ("/agent/scheduler/erased", test_erased);
  ADD ("/agent/scheduler/not-recorded", test_not_recorded);
  ADD ("/agent/scheduler/end-not-recorded", test_end_not_recorded);
  ADD ("/agent/scheduler/erased-later", test_erased_later);
  ADD ("/agent/scheduler/unreadable", test_unreadable);
  ADD ("/agent/scheduler/verify", test_verify);
  ADD ("/agent/scheduler/verify-after-damage", test_verify_after_damage);
  ADD ("/agent/scheduler/verify-among-many-backups", test_verify_among_many_backups);
  ADD ("/agent/scheduler/watch", test_watch);
  ADD ("/agent/scheduler/watch-looks-once-a-day", test_watch_looks_once_a_day);
  ADD ("/agent/scheduler/watch-what-is-never-quiet", test_watch_what_is_never_quiet);
  ADD ("/agent/scheduler/watch-what-comes", test_watch_what_comes);
  ADD ("/agent/scheduler/watch-what-comes-and-goes", test_watch_what_comes_and_goes);
  ADD ("/agent/scheduler/close-times", test_close_times);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-job.h"

#include <glib/gstdio.h>
#include <gio/gio.h>

/* What a whole job does is for tests/e2e; here is what it says of itself, against a port at which
 * nobody listens. */

typedef struct
{
  char *folder;
  KpThrottle *upload;
  KpThrottle *download;
  KpHistory *history;
  KpJobSettings settings;
  KpPlan *plan;
  KpS3Credentials *credentials;
  GMainLoop *loop;
  GError *error;
  GString *states;
} Fixture;

static gint64
clock_cb (void *data)
{
  return 1234567890;
}

static void
set_up (Fixture *fixture, const void *data)
{
  g_autofree char *history = NULL;
  g_autoptr (GError) error = NULL;

  fixture->folder = g_dir_make_tmp ("keepsake-job-XXXXXX", &error);
  g_assert_no_error (error);
  history = g_build_filename (fixture->folder, "history.sqlite", NULL);
  fixture->history = kp_history_open (history, &error);
  g_assert_no_error (error);
  fixture->upload = kp_throttle_new (0);
  fixture->download = kp_throttle_new (0);
  fixture->settings = (KpJobSettings){ .state_dir = fixture->folder,
                                       .upload = fixture->upload,
                                       .download = fixture->download,
                                       .history = fixture->history,
                                       .clock = clock_cb };
  fixture->plan = kp_plan_new ();
  kp_plan_set_name (fixture->plan, "Photos");
  kp_plan_add_source (fixture->plan, fixture->folder, "Photos");
  kp_plan_set_endpoint (fixture->plan, "http://127.0.0.1:9");
  kp_plan_set_bucket (fixture->plan, "bucket");
  kp_plan_set_upload_limit (fixture->plan, "256K");
  fixture->credentials = kp_s3_credentials_new ("key", "secret", NULL);
  fixture->loop = g_main_loop_new (NULL, FALSE);
  fixture->states = g_string_new (NULL);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  g_autofree char *command = g_strdup_printf ("rm -rf %s", fixture->folder);

  kp_history_unref (fixture->history);
  g_object_unref (fixture->upload);
  g_object_unref (fixture->download);
  g_object_unref (fixture->plan);
  kp_s3_credentials_unref (fixture->credentials);
  g_main_loop_unref (fixture->loop);
  g_clear_error (&fixture->error);
  g_string_free (fixture->states, TRUE);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (fixture->folder);
}

static void
executed_cb (GObject *source, GAsyncResult *result, void *data)
{
  Fixture *fixture = data;

  g_clear_error (&fixture->error);
  g_assert_false (kp_job_execute_finish (KP_JOB (source), result, &fixture->error));
  g_main_loop_quit (fixture->loop);
}

static void
state_cb (KpJob *job, GParamSpec *pspec, Fixture *fixture)
{
  g_string_append_printf (fixture->states, "%s ", kp_job_state_name (kp_job_get_state (job)));
}

static KpJob *
new_backup (Fixture *fixture)
{
  KpJob *job = kp_job_new_backup (fixture->plan, KP_HISTORY_MANUAL, &fixture->settings);

  g_signal_connect (job, "notify::state", G_CALLBACK (state_cb), fixture);
  return job;
}

/* It must be gone, thread and all, when the last reference is. */
static void
assert_finalized (KpJob *job)
{
  g_assert_finalize_object (job);
}

/* What the job says of itself is what was recorded. */
static void
assert_same_record (KpJob *job, const KpHistoryJob *entry)
{
  g_autoptr (KpHistoryJob) record = kp_job_dup_record (job);

  g_assert_cmpint (record->id, ==, entry->id);
  g_assert_cmpstr (record->plan_id, ==, entry->plan_id);
  g_assert_cmpint (record->kind, ==, entry->kind);
  g_assert_cmpint (record->trigger, ==, entry->trigger);
  g_assert_cmpint (record->started, ==, entry->started);
  g_assert_cmpint (record->ended, ==, entry->ended);
  g_assert_cmpint (record->state, ==, entry->state);
  g_assert_cmpstr (record->reason, ==, entry->reason);
  g_assert_cmpstr (record->message, ==, entry->message);
}

static void
test_failure (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  g_assert_cmpstr (kp_job_state_name (kp_job_get_state (job)), ==, "queued");
  g_assert_null (kp_job_get_result (job));
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_assert_false (kp_job_has_ended (job));
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  g_assert_cmpstr (fixture->states->str, ==, "scanning failed ");
  g_assert_error (kp_job_get_result (job)->error, KP_ERROR, KP_ERROR_OFFLINE);
  /* The plan's limit holds. */
  g_assert_cmpuint (kp_throttle_get_rate (fixture->upload), ==, 256 * 1024);
  g_assert_cmpuint (kp_throttle_get_rate (fixture->download), ==, 0);

  g_autoptr (KpHistoryJob) entry
      = kp_history_get_job (fixture->history, kp_job_get_history_id (job), &error);
  g_assert_no_error (error);
  g_assert_cmpint (entry->state, ==, KP_HISTORY_FAILED);
  g_assert_cmpstr (entry->reason, ==, "offline");
  g_assert_cmpint (entry->started, ==, 1234567890);
  g_assert_cmpint (entry->ended, ==, 1234567890);
  g_assert_cmpint (entry->trigger, ==, KP_HISTORY_MANUAL);
  assert_same_record (job, entry);
  assert_finalized (job);
}

typedef struct
{
  GThread *owner;
  GMutex lock;
  GCond ticked;
  unsigned ticks;
} Ticks;

static void
tick_cb (KpJob *job, GParamSpec *pspec, Ticks *ticks)
{
  g_mutex_lock (&ticks->lock);
  ticks->ticks++;
  g_cond_signal (&ticks->ticked);
  g_mutex_unlock (&ticks->lock);
}

/* Asked for the time of the end, it lets the owner look at the job twice before it answers. */
static gint64
slow_clock_cb (void *data)
{
  Ticks *ticks = data;
  gint64 limit = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  if (g_thread_self () == ticks->owner)
    return 1;
  g_mutex_lock (&ticks->lock);
  unsigned enough = ticks->ticks + 2;
  while (ticks->ticks < enough)
    g_assert_true (g_cond_wait_until (&ticks->ticked, &ticks->lock, limit));
  g_mutex_unlock (&ticks->lock);
  return 2;
}

/* Between the end of the engine and that of the job, no other phase is shown. */
static void
test_state_at_the_end (Fixture *fixture, const void *data)
{
  Ticks ticks = { .owner = g_thread_self () };

  g_mutex_init (&ticks.lock);
  g_cond_init (&ticks.ticked);
  fixture->settings.clock = slow_clock_cb;
  fixture->settings.clock_data = &ticks;
  KpJob *job = new_backup (fixture);
  g_signal_connect (job, "notify::fraction", G_CALLBACK (tick_cb), &ticks);
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  g_assert_cmpstr (fixture->states->str, ==, "scanning failed ");
  assert_finalized (job);
  g_mutex_clear (&ticks.lock);
  g_cond_clear (&ticks.ticked);
}

/* Who edits the plan meanwhile edits the next run. */
static void
test_edited_plan (Fixture *fixture, const void *data)
{
  KpJob *job = new_backup (fixture);

  kp_plan_set_upload_limit (fixture->plan, "1M");
  kp_plan_set_name (fixture->plan, "Another");
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_cmpuint (kp_throttle_get_rate (fixture->upload), ==, 256 * 1024);
  g_assert_cmpstr (kp_plan_get_name (kp_job_get_plan (job)), !=, "Another");
  assert_finalized (job);
}

static void
test_second_start (Fixture *fixture, const void *data)
{
  KpJob *job = new_backup (fixture);

  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_PENDING);
  assert_finalized (job);
}

static void
test_cancel (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  /* Held, it does not even try to connect. */
  g_assert_true (kp_job_pause (job, &error));
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_PAUSED);
  g_assert_true (kp_job_cancel (job, &error));
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_CANCELLED);

  g_assert_false (kp_job_cancel (job, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_false (kp_job_pause (job, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_false (kp_job_resume (job, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
  assert_finalized (job);
}

static void
test_cancel_before_the_start (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  g_assert_true (kp_job_cancel (job, &error));
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_CANCELLED);
  g_assert_cmpstr (fixture->states->str, ==, "cancelled ");
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (fixture->history, NULL, 10, &error);
  g_assert_cmpuint (jobs->len, ==, 0);
  g_assert_null (kp_job_dup_record (job));
  assert_finalized (job);
}

static void
test_hold (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  kp_job_set_waiting (job, "Waiting for a network");
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_WAITING);
  g_assert_true (kp_job_pause (job, &error));
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_PAUSED);
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  /* Both have to end. */
  g_assert_true (kp_job_resume (job, &error));
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_WAITING);
  g_assert_cmpstr (kp_job_get_waiting (job), ==, "Waiting for a network");
  g_assert_false (kp_job_resume (job, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
  g_assert_cmpint (kp_job_get_rate (job), ==, 0);
  kp_job_set_waiting (job, NULL);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  g_assert_cmpstr (fixture->states->str, ==, "waiting paused waiting scanning failed ");
  assert_finalized (job);
}

/* @data: the reason that the history has to give */
static void
test_interrupted (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  g_assert_true (kp_job_pause (job, &error));
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  if (data != NULL)
    kp_job_make_way (job);
  kp_job_interrupt (job);
  g_main_loop_run (fixture->loop);
  g_autoptr (KpHistoryJob) entry
      = kp_history_get_job (fixture->history, kp_job_get_history_id (job), &error);
  g_assert_no_error (error);
  g_assert_cmpint (entry->state, ==, KP_HISTORY_INTERRUPTED);
  g_assert_cmpstr (entry->reason, ==, data);
  g_assert_nonnull (entry->message);
  assert_finalized (job);
}

/* Somebody did not want it any more, before its process ended. */
static void
test_cancelled_and_interrupted (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  KpJob *job = new_backup (fixture);

  g_assert_true (kp_job_pause (job, &error));
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_assert_true (kp_job_cancel (job, &error));
  kp_job_make_way (job);
  kp_job_interrupt (job);
  g_main_loop_run (fixture->loop);
  g_autoptr (KpHistoryJob) entry
      = kp_history_get_job (fixture->history, kp_job_get_history_id (job), &error);
  g_assert_no_error (error);
  g_assert_cmpint (entry->state, ==, KP_HISTORY_CANCELLED);
  g_assert_cmpstr (entry->reason, !=, KP_JOB_REASON_MADE_WAY);
  assert_finalized (job);
}

/* What does not get as far as its thread ends as others do. */
static void
test_plan_that_cannot_work (Fixture *fixture, const void *data)
{
  kp_plan_set_bucket (fixture->plan, "no/bucket");
  KpJob *job = new_backup (fixture);
  /* The job has a copy. */
  kp_plan_set_bucket (fixture->plan, "bucket");
  kp_job_execute_async (job, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_cmpint (kp_job_get_state (job), ==, KP_JOB_FAILED);
  assert_finalized (job);
}

static void
test_other_kinds (Fixture *fixture, const void *data)
{
  const KpRestoreOptions options = { .overwrite = KP_OVERWRITE_NEVER };
  g_autofree char *target = g_build_filename (fixture->folder, "target", NULL);
  KpJob *verify = kp_job_new_verify (fixture->plan, KP_HISTORY_SCHEDULED, &fixture->settings, 0.5);
  KpJob *restore = kp_job_new_restore (fixture->plan, &fixture->settings, "a/b", target, &options);

  g_assert_cmpint (kp_job_get_kind (verify), ==, KP_HISTORY_VERIFY);
  kp_job_execute_async (verify, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  assert_finalized (verify);
  g_assert_cmpint (kp_job_get_kind (restore), ==, KP_HISTORY_RESTORE);
  kp_job_execute_async (restore, fixture->credentials, executed_cb, fixture);
  g_main_loop_run (fixture->loop);
  g_assert_error (fixture->error, KP_ERROR, KP_ERROR_OFFLINE);
  assert_finalized (restore);
}

#define ADD(name, func) g_test_add ("/job/job/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_setenv ("SOUP_FORCE_HTTP1", "1", TRUE);
  g_test_init (&argc, &argv, NULL);
  ADD ("failure", test_failure);
  ADD ("state-at-the-end", test_state_at_the_end);
  ADD ("edited-plan", test_edited_plan);
  ADD ("second-start", test_second_start);
  ADD ("cancel", test_cancel);
  ADD ("cancel-before-the-start", test_cancel_before_the_start);
  ADD ("hold", test_hold);
  ADD ("interrupted", test_interrupted);
  ADD ("cancelled-and-interrupted", test_cancelled_and_interrupted);
  g_test_add ("/job/job/made-way", Fixture, KP_JOB_REASON_MADE_WAY, set_up, test_interrupted,
              tear_down);
  ADD ("plan-that-cannot-work", test_plan_that_cannot_work);
  ADD ("other-kinds", test_other_kinds);
  return g_test_run ();
}

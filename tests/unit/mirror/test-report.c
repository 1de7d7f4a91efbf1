/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-report.h"
#include "offline-service.h"

#include <string.h>

#define N_THREADS 8
#define N_EVENTS 5000

typedef struct
{
  KpS3Service *service;
  KpReport *report;
  GString *events; /* a line each */
  int inside;      /* atomic: callbacks that run now */
  guint n_events;  /* without a lock: that is what is tested */
} Fixture;

static void
event_cb (const KpEvent *event, void *user_data)
{
  Fixture *fixture = user_data;

  switch (event->type)
    {
    case KP_EVENT_PHASE:
      g_string_append_printf (fixture->events, "phase %d\n", event->phase);
      break;
    case KP_EVENT_DONE:
      g_string_append_printf (fixture->events, "done %s %s %" G_GUINT64_FORMAT "\n", event->action,
                              event->path, event->bytes);
      break;
    case KP_EVENT_FAILED:
      g_string_append_printf (fixture->events, "failed %s %s\n", event->path,
                              event->error->message);
      break;
    case KP_EVENT_NOTICE:
    default:
      g_string_append_printf (fixture->events, "notice %s\n", event->text);
      break;
    }
}

static void
counting_cb (const KpEvent *event, void *user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpint (g_atomic_int_add (&fixture->inside, 1), ==, 0);
  guint before = fixture->n_events;
  g_thread_yield ();
  fixture->n_events = before + 1;
  g_atomic_int_add (&fixture->inside, -1);
}

static void
set_up (Fixture *fixture, const void *func)
{
  fixture->service = offline_service_new ();
  fixture->events = g_string_new (NULL);
  fixture->report = kp_report_new (fixture->service, (KpEventFunc) func, fixture);
}

static void
tear_down (Fixture *fixture, const void *func)
{
  kp_report_free (fixture->report);
  g_assert_finalize_object (fixture->service);
  g_string_free (fixture->events, TRUE);
}

static KpProgress
progress_of (Fixture *fixture)
{
  KpProgress progress;

  kp_report_get_progress (fixture->report, &progress);
  return progress;
}

static void
test_events (Fixture *fixture, const void *func)
{
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, KP_ERROR_CORRUPT, "burnt");

  kp_report_begin_phase (fixture->report, KP_PHASE_SCANNING);
  kp_report_done (fixture->report, "put", "a\xFF", 42);
  kp_report_failed (fixture->report, "/b", error);
  kp_report_notice (fixture->report, "%d %s", 2, "things");
  kp_report_begin_phase (fixture->report, KP_PHASE_FINISHED);
  g_assert_cmpstr (fixture->events->str, ==,
                   "phase 1\ndone put a\xFF 42\nfailed /b burnt\nnotice 2 things\nphase 5\n");
}

static void
test_counts (Fixture *fixture, const void *func)
{
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, KP_ERROR_CORRUPT, "burnt");
  KpProgress progress = progress_of (fixture);

  g_assert_cmpint (progress.phase, ==, KP_PHASE_STARTING);
  g_assert_cmpuint (progress.files_scanned, ==, 0);
  g_assert_cmpint (progress.transfer_started, ==, 0);

  kp_report_begin_phase (fixture->report, KP_PHASE_SCANNING);
  kp_report_add_scanned (fixture->report, 10);
  kp_report_add_scanned (fixture->report, 5);
  kp_report_add_listed (fixture->report, 1000);
  kp_report_set_total (fixture->report, 20, 5000);
  kp_report_add_total (fixture->report, 3, 500);
  kp_report_add_total (fixture->report, -1, -250);
  kp_report_done (fixture->report, "put", "a", 77);
  kp_report_done (fixture->report, "put", "b", 77);
  kp_report_failed (fixture->report, "c", error);
  kp_report_add_bytes (fixture->report, 300);
  kp_report_add_bytes (fixture->report, -100);

  progress = progress_of (fixture);
  g_assert_cmpint (progress.phase, ==, KP_PHASE_SCANNING);
  g_assert_cmpuint (progress.files_scanned, ==, 15);
  g_assert_cmpuint (progress.objects_listed, ==, 1000);
  g_assert_cmpuint (progress.actions_total, ==, 22);
  g_assert_cmpuint (progress.bytes_total, ==, 5250);
  g_assert_cmpuint (progress.actions_done, ==, 2);
  g_assert_cmpuint (progress.failed, ==, 1);
  /* Bytes count when they are confirmed, not when an action says how many it moved. */
  g_assert_cmpuint (progress.bytes_done, ==, 200);
  g_assert_cmpint (progress.transfer_started, ==, 0);

  kp_report_set_total (fixture->report, 1, 2);
  progress = progress_of (fixture);
  g_assert_cmpuint (progress.actions_total, ==, 1);
  g_assert_cmpuint (progress.bytes_total, ==, 2);
}

/* What is on the way lies between what is confirmed and what there is to do. */
static void
test_moved (Fixture *fixture, const void *func)
{
  KpThrottle *upload = kp_s3_service_get_upload_throttle (fixture->service);
  KpThrottle *download = kp_s3_service_get_download_throttle (fixture->service);
  gint64 before = g_get_monotonic_time ();

  /* Listings do not count. */
  kp_throttle_charge (upload, 100000);
  kp_report_set_total (fixture->report, 1, 5000);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 0);
  kp_report_begin_phase (fixture->report, KP_PHASE_TRANSFERRING);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 0);
  g_assert_cmpint (progress_of (fixture).transfer_started, >=, before);
  g_assert_cmpint (progress_of (fixture).transfer_started, <=, g_get_monotonic_time ());

  kp_throttle_charge (upload, 1000);
  kp_throttle_charge (download, 200);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 1200);
  /* A phase that comes twice does not begin anew. */
  gint64 started = progress_of (fixture).transfer_started;
  kp_report_begin_phase (fixture->report, KP_PHASE_TRANSFERRING);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 1200);
  kp_report_add_bytes (fixture->report, 700);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 1200);
  /* Copied by the server: confirmed, and never on the way. */
  kp_report_add_bytes (fixture->report, 2000);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 2700);
  /* Heads and repeated requests may be more than there is to do. */
  kp_throttle_charge (upload, 100000);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 5000);
  /* More than there was to do, as a file grew. */
  kp_report_add_bytes (fixture->report, 3000);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 5700);

  kp_report_begin_phase (fixture->report, KP_PHASE_DELETING);
  g_assert_cmpint (progress_of (fixture).transfer_started, ==, started);
}

static void *
reporting_main (void *data)
{
  Fixture *fixture = data;
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, KP_ERROR_CORRUPT, "burnt");

  for (int i = 0; i < N_EVENTS; i++)
    switch (i % 5)
      {
      case 0:
        kp_report_done (fixture->report, "put", "a", 1);
        break;
      case 1:
        kp_report_failed (fixture->report, "b", error);
        break;
      case 2:
        kp_report_notice (fixture->report, "notice");
        break;
      case 3:
        kp_report_begin_phase (fixture->report, KP_PHASE_COMPARING);
        break;
      default:
        kp_report_add_bytes (fixture->report, 3);
        kp_report_add_scanned (fixture->report, 1);
        kp_report_add_listed (fixture->report, 2);
        kp_report_add_total (fixture->report, 1, 4);
        progress_of (fixture);
        break;
      }
  return NULL;
}

/* From any thread, but never from two at once. */
static void
test_threads (Fixture *fixture, const void *func)
{
  GThread *threads[N_THREADS];
  const guint each = N_THREADS * N_EVENTS / 5;

  for (gsize i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("reporting", reporting_main, fixture);
  for (gsize i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);

  KpProgress progress = progress_of (fixture);
  g_assert_cmpuint (progress.actions_done, ==, each);
  g_assert_cmpuint (progress.failed, ==, each);
  g_assert_cmpuint (progress.bytes_done, ==, 3 * each);
  g_assert_cmpuint (progress.files_scanned, ==, each);
  g_assert_cmpuint (progress.objects_listed, ==, 2 * each);
  g_assert_cmpuint (progress.actions_total, ==, each);
  g_assert_cmpuint (progress.bytes_total, ==, 4 * each);
  if (func != NULL)
    g_assert_cmpuint (fixture->n_events, ==, 4 * each);
}

/* Tokens may have been taken before the transfer began and given back after. */
static void
test_refund (Fixture *fixture, const void *func)
{
  KpThrottle *upload = kp_s3_service_get_upload_throttle (fixture->service);

  kp_throttle_charge (upload, 8192);
  kp_report_set_total (fixture->report, 1, 5000);
  kp_report_begin_phase (fixture->report, KP_PHASE_TRANSFERRING);
  kp_throttle_refund (upload, 8000);
  g_assert_cmpuint (progress_of (fixture).bytes_moved, ==, 0);
}

int
main (int argc, char **argv)
{
#define ADD(path, func, test) g_test_add (path, Fixture, func, set_up, test, tear_down)
  g_test_init (&argc, &argv, NULL);
  ADD ("/mirror/report/events", event_cb, test_events);
  ADD ("/mirror/report/counts", event_cb, test_counts);
  ADD ("/mirror/report/counts-without-listener", NULL, test_counts);
  ADD ("/mirror/report/moved", event_cb, test_moved);
  ADD ("/mirror/report/threads", counting_cb, test_threads);
  ADD ("/mirror/report/threads-without-listener", NULL, test_threads);
  ADD ("/mirror/report/refund", event_cb, test_refund);
  return g_test_run ();
}

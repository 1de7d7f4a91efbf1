/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-pace.h"

#include <glib-unix.h>

/* A job in its thread, and the main loop that waits for it. */
typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
  KpThrottle *throttle; /* of the direction in which the files go */
  KpCtlJobFunc func;
  KpCtlProgressFunc progress_func;
  void *job;
  GCancellable *cancellable;
  GMainLoop *loop;
  KpPace pace;
  gboolean ok;
  GError *error;
} Run;

static gboolean
stop_loop_cb (void *data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

static void *
job_main (void *data)
{
  Run *run = data;

  run->ok = run->func (run->job, run->cancellable, &run->error);
  g_idle_add (stop_loop_cb, run->loop);
  return NULL;
}

static gboolean
interrupted_cb (void *data)
{
  Run *run = data;

  g_cancellable_cancel (run->cancellable);
  return G_SOURCE_CONTINUE;
}

static void
notice_cb (const char *sentence, void *user_data)
{
  kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE, .text = sentence }, user_data);
}

/**
 * kp_ctl_toggle_limits:
 *
 * What SIGUSR2 asks for: takes the limits off, and puts them on again.
 */
void
kp_ctl_toggle_limits (KpCtlOutput *output, KpThrottle *upload, KpThrottle *download)
{
  gboolean suspend = !kp_throttle_get_suspended (upload);

  kp_throttle_set_suspended (upload, suspend);
  kp_throttle_set_suspended (download, suspend);
  notice_cb (suspend ? "The limits are off until the next SIGUSR2" : "The limits are on again",
             output);
}

static gboolean
toggle_limit_cb (void *data)
{
  Run *run = data;

  kp_ctl_toggle_limits (run->output, kp_s3_service_get_upload_throttle (run->service),
                        kp_s3_service_get_download_throttle (run->service));
  return G_SOURCE_CONTINUE;
}

static gboolean
progress_cb (void *data)
{
  Run *run = data;
  KpProgress progress;

  run->progress_func (run->job, &progress);
  kp_pace_add (&run->pace, g_get_monotonic_time (), progress.bytes_moved);
  guint64 bytes_left = progress.bytes_total - MIN (progress.bytes_moved, progress.bytes_total);
  gint64 seconds_left
      = kp_pace_get_seconds_left (&run->pace, bytes_left, kp_throttle_get_rate (run->throttle));
  kp_ctl_output_progress (run->output, &progress, kp_pace_get_rate (&run->pace), seconds_left);
  return G_SOURCE_CONTINUE;
}

/**
 * kp_ctl_run_job:
 * @direction: in which the files go
 * @func: run in a thread of its own
 * @progress_func: (nullable): asked several times a second
 * @error: what @func gave
 */
gboolean
kp_ctl_run_job (KpCtlOutput *output,
                KpS3Service *service,
                KpDirection direction,
                KpCtlJobFunc func,
                KpCtlProgressFunc progress_func,
                void *job,
                GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Run run
      = { .output = output,
          .service = service,
          .throttle = direction == KP_DIRECTION_UP ? kp_s3_service_get_upload_throttle (service)
                                                   : kp_s3_service_get_download_throttle (service),
          .func = func,
          .progress_func = progress_func,
          .job = job,
          .cancellable = cancellable,
          .loop = loop };
  unsigned sources[] = { g_unix_signal_add (SIGINT, interrupted_cb, &run),
                         g_unix_signal_add (SIGTERM, interrupted_cb, &run),
                         g_unix_signal_add (SIGHUP, interrupted_cb, &run),
                         g_unix_signal_add (SIGUSR2, toggle_limit_cb, &run), 0 };
  unsigned interval = kp_ctl_output_get_interval (output);

  kp_s3_service_set_notice_func (service, notice_cb, output);
  if (progress_func != NULL && interval > 0)
    sources[4] = g_timeout_add (interval, progress_cb, &run);
  GThread *thread = g_thread_new ("keepsake-job", job_main, &run);
  g_main_loop_run (loop);
  g_thread_join (thread);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != 0)
      g_source_remove (sources[i]);

  kp_ctl_output_end_progress (output);
  if (!run.ok)
    g_propagate_error (error, run.error);
  return run.ok;
}

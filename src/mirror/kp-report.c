/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-report.h"

struct _KpReport
{
  KpS3Service *service;
  KpEventFunc func;
  void *user_data;
  GMutex event_lock; /* held while func runs, so that events come one by one */

  GMutex lock; /* guards what follows */
  KpProgress progress;
  guint64 traffic_before; /* bytes of both directions when the transfer began */
};

/**
 * kp_report_new:
 * @service: whose throttles tell how much is on the way
 * @func: (nullable): called for each event
 */
KpReport *
kp_report_new (KpS3Service *service, KpEventFunc func, void *user_data)
{
  KpReport *report = g_new0 (KpReport, 1);

  report->service = g_object_ref (service);
  report->func = func;
  report->user_data = user_data;
  g_mutex_init (&report->event_lock);
  g_mutex_init (&report->lock);
  return report;
}

void
kp_report_free (KpReport *report)
{
  g_object_unref (report->service);
  g_mutex_clear (&report->event_lock);
  g_mutex_clear (&report->lock);
  g_free (report);
}

static void
emit (KpReport *report, const KpEvent *event)
{
  if (report->func == NULL)
    return;
  g_mutex_lock (&report->event_lock);
  report->func (event, report->user_data);
  g_mutex_unlock (&report->event_lock);
}

static guint64
traffic (KpReport *report)
{
  return kp_throttle_get_total (kp_s3_service_get_upload_throttle (report->service))
         + kp_throttle_get_total (kp_s3_service_get_download_throttle (report->service));
}

void
kp_report_begin_phase (KpReport *report, KpPhase phase)
{
  g_mutex_lock (&report->lock);
  report->progress.phase = phase;
  if (phase == KP_PHASE_TRANSFERRING && report->progress.transfer_started == 0)
    {
      report->progress.transfer_started = g_get_monotonic_time ();
      report->traffic_before = traffic (report);
    }
  g_mutex_unlock (&report->lock);

  KpEvent event = { .type = KP_EVENT_PHASE, .phase = phase };
  emit (report, &event);
}

/**
 * kp_report_done:
 * @action: what was done, as a word for scripts
 * @path: file name bytes
 * @bytes: that it moved; counted by kp_report_add_bytes(), not here
 */
void
kp_report_done (KpReport *report, const char *action, const char *path, guint64 bytes)
{
  KpEvent event = { .type = KP_EVENT_DONE, .action = action, .path = path, .bytes = bytes };

  g_mutex_lock (&report->lock);
  report->progress.actions_done++;
  g_mutex_unlock (&report->lock);
  emit (report, &event);
}

void
kp_report_failed (KpReport *report, const char *path, const GError *error)
{
  KpEvent event = { .type = KP_EVENT_FAILED, .path = path, .error = error };

  g_mutex_lock (&report->lock);
  report->progress.failed++;
  g_mutex_unlock (&report->lock);
  emit (report, &event);
}

void
kp_report_notice (KpReport *report, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  KpEvent event = { .type = KP_EVENT_NOTICE, .text = text };
  emit (report, &event);
}

void
kp_report_add_scanned (KpReport *report, guint64 files)
{
  g_mutex_lock (&report->lock);
  report->progress.files_scanned += files;
  g_mutex_unlock (&report->lock);
}

void
kp_report_add_listed (KpReport *report, guint64 objects)
{
  g_mutex_lock (&report->lock);
  report->progress.objects_listed += objects;
  g_mutex_unlock (&report->lock);
}

void
kp_report_add_compared (KpReport *report, guint64 looks)
{
  g_mutex_lock (&report->lock);
  report->progress.compared += looks;
  g_mutex_unlock (&report->lock);
}

void
kp_report_set_total (KpReport *report, guint64 actions, guint64 bytes)
{
  g_mutex_lock (&report->lock);
  report->progress.actions_total = actions;
  report->progress.bytes_total = bytes;
  g_mutex_unlock (&report->lock);
}

void
kp_report_add_total (KpReport *report, gint64 actions, gint64 bytes)
{
  g_mutex_lock (&report->lock);
  report->progress.actions_total += (guint64) actions;
  report->progress.bytes_total += (guint64) bytes;
  g_mutex_unlock (&report->lock);
}

/**
 * kp_report_add_bytes:
 * @bytes: confirmed; negative when they have to be moved again
 */
void
kp_report_add_bytes (KpReport *report, gint64 bytes)
{
  g_mutex_lock (&report->lock);
  report->progress.bytes_done += (guint64) bytes;
  g_mutex_unlock (&report->lock);
}

void
kp_report_get_progress (KpReport *report, KpProgress *progress)
{
  g_mutex_lock (&report->lock);
  *progress = report->progress;
  guint64 now = traffic (report);
  /* Less than before where tokens were given back. */
  guint64 moved = progress->transfer_started != 0 && now > report->traffic_before
                      ? now - report->traffic_before
                      : 0;
  g_mutex_unlock (&report->lock);

  /* The traffic has heads and repeated requests in it, so it may only fill the gap between what is
   * confirmed and what there is to do. */
  progress->bytes_moved
      = CLAMP (moved, progress->bytes_done, MAX (progress->bytes_total, progress->bytes_done));
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-size.h"

#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_INTERVAL 200  /* milliseconds */
#define JSON_INTERVAL 1000 /* milliseconds */
#define RATE_WINDOW (5 * G_TIME_SPAN_SECOND)
#define CLEAR_LINE "\r\033[K"

/* One look at the progress, for the rate over the last seconds. */
typedef struct
{
  gint64 time;
  guint64 bytes;
} Sample;

struct _KpCtlOutput
{
  KpS3Service *service;
  gboolean json;
  gboolean verbose; /* name each file */
  gboolean terminal;

  GMutex lock; /* one line at a time, from whatever thread */
  gboolean line_drawn;
  GArray *samples; /* of Sample; the main thread's */
};

/**
 * kp_ctl_output_new:
 * @dry_run: name each file, as that is the result
 */
KpCtlOutput *
kp_ctl_output_new (const KpCtlOptions *options, KpS3Service *service, gboolean dry_run)
{
  KpCtlOutput *output = g_new0 (KpCtlOutput, 1);

  output->service = g_object_ref (service);
  output->json = options->json;
  output->verbose = options->verbose || dry_run;
  output->terminal = !options->json && isatty (STDERR_FILENO);
  output->samples = g_array_new (FALSE, FALSE, sizeof (Sample));
  g_mutex_init (&output->lock);
  return output;
}

void
kp_ctl_output_free (KpCtlOutput *output)
{
  g_array_unref (output->samples);
  g_mutex_clear (&output->lock);
  g_object_unref (output->service);
  g_free (output);
}

gboolean
kp_ctl_output_is_json (KpCtlOutput *output)
{
  return output->json;
}

static void
print_line (KpCtlOutput *output, FILE *file, const char *line)
{
  g_mutex_lock (&output->lock);
  if (output->line_drawn)
    fputs (CLEAR_LINE, stderr);
  output->line_drawn = FALSE;
  fprintf (file, "%s\n", line);
  fflush (file);
  g_mutex_unlock (&output->lock);
}

void
kp_ctl_output_line (KpCtlOutput *output, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *line = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  print_line (output, stdout, line);
}

void
kp_ctl_output_error_line (KpCtlOutput *output, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *line = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  print_line (output, stderr, line);
}

/**
 * kp_ctl_output_json:
 * @type: of the object
 * @...: triples of a member's name, "s" or "u" or "b", and a string, guint64 or gboolean; ended by
 *   %NULL. A string that is %NULL is left out.
 */
void
kp_ctl_output_json (KpCtlOutput *output, const char *type, ...)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  va_list arguments;
  const char *name;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "type");
  json_builder_add_string_value (builder, type);
  va_start (arguments, type);
  while ((name = va_arg (arguments, const char *)) != NULL)
    {
      const char *kind = va_arg (arguments, const char *);
      const char *text;

      switch (*kind)
        {
        case 's':
          text = va_arg (arguments, const char *);
          if (text == NULL)
            break;
          json_builder_set_member_name (builder, name);
          json_builder_add_string_value (builder, text);
          break;
        case 'u':
          json_builder_set_member_name (builder, name);
          json_builder_add_int_value (builder, (gint64) va_arg (arguments, guint64));
          break;
        default:
          json_builder_set_member_name (builder, name);
          json_builder_add_boolean_value (builder, va_arg (arguments, gboolean));
          break;
        }
    }
  va_end (arguments);
  json_builder_end_object (builder);

  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  g_autofree char *line = json_generator_to_data (generator, NULL);
  print_line (output, stdout, line);
}

static const char *
phase_name (KpPhase phase)
{
  switch (phase)
    {
    case KP_PHASE_STARTING:
      return "starting";
    case KP_PHASE_SCANNING:
      return "scanning";
    case KP_PHASE_COMPARING:
      return "comparing";
    case KP_PHASE_TRANSFERRING:
      return "transferring";
    case KP_PHASE_DELETING:
      return "deleting";
    case KP_PHASE_FINISHED:
    default:
      return "finished";
    }
}

/**
 * kp_ctl_output_event_cb:
 * @user_data: a #KpCtlOutput
 *
 * A #KpEventFunc that prints.
 */
void
kp_ctl_output_event_cb (const KpEvent *event, void *user_data)
{
  KpCtlOutput *output = user_data;
  g_autofree char *name = event->path != NULL ? kp_name_display (event->path) : NULL;

  switch (event->type)
    {
    case KP_EVENT_PHASE:
      if (output->json)
        kp_ctl_output_json (output, "phase", "phase", "s", phase_name (event->phase), NULL);
      break;
    case KP_EVENT_DONE:
      if (output->json)
        kp_ctl_output_json (output, "action", "action", "s", event->action, "key", "s", name,
                            "bytes", "u", event->bytes, NULL);
      else if (output->verbose)
        kp_ctl_output_line (output, "%-8s %s", event->action, name);
      break;
    case KP_EVENT_FAILED:
      if (output->json)
        kp_ctl_output_json (output, "failed", "path", "s", name, "error", "s",
                            event->error->domain == KP_ERROR ? kp_error_name (event->error->code)
                                                             : "failed",
                            "message", "s", event->error->message, NULL);
      else
        kp_ctl_output_error_line (output, "failed   %s: %s", name, event->error->message);
      break;
    case KP_EVENT_NOTICE:
    default:
      if (output->json)
        kp_ctl_output_json (output, "notice", "message", "s", event->text, NULL);
      else
        kp_ctl_output_error_line (output, "note     %s.", event->text);
      break;
    }
}

/* Bytes per second over the last seconds; 0 while there is too little to tell. */
static double
recent_rate (KpCtlOutput *output, const KpProgress *progress)
{
  Sample now = { g_get_monotonic_time (), progress->bytes_moved };

  g_array_append_val (output->samples, now);
  while (output->samples->len > 2
         && now.time - g_array_index (output->samples, Sample, 0).time > RATE_WINDOW)
    g_array_remove_index (output->samples, 0);
  const Sample *first = &g_array_index (output->samples, Sample, 0);
  double seconds = (double) (now.time - first->time) / G_USEC_PER_SEC;
  return seconds > 0.5 && now.bytes > first->bytes ? (double) (now.bytes - first->bytes) / seconds
                                                   : 0;
}

/* From what is still to be sent, and the slower of what the line gave and the present limit. */
static char *
time_left (KpCtlOutput *output, const KpProgress *progress, double rate)
{
  guint64 limit = kp_throttle_get_rate (kp_s3_service_get_upload_throttle (output->service));
  guint64 left = progress->bytes_total - MIN (progress->bytes_moved, progress->bytes_total);

  if (left == 0)
    return g_strdup ("finishing");
  if (limit > 0 && (rate == 0 || rate > (double) limit))
    rate = (double) limit;
  if (rate < 1)
    return g_strdup ("waiting");
  double seconds = (double) left / rate;
  if (seconds < 5)
    return g_strdup ("a moment left");
  g_autofree char *duration = kp_duration_format ((guint64) seconds);
  return g_strconcat (duration, " left", NULL);
}

static char *
progress_text (KpCtlOutput *output, const KpProgress *progress)
{
  switch (progress->phase)
    {
    case KP_PHASE_SCANNING:
      return g_strdup_printf ("Scanning: %" G_GUINT64_FORMAT " files here, %" G_GUINT64_FORMAT
                              " objects there",
                              progress->files_scanned, progress->objects_listed);
    case KP_PHASE_COMPARING:
      return g_strdup_printf ("Comparing %" G_GUINT64_FORMAT " files", progress->files_scanned);
    case KP_PHASE_TRANSFERRING:
      {
        double rate = recent_rate (output, progress);
        g_autofree char *moved = kp_size_format (progress->bytes_moved);
        g_autofree char *total = kp_size_format (progress->bytes_total);
        g_autofree char *rate_text = kp_rate_format (MAX ((guint64) rate, 1));
        g_autofree char *left = time_left (output, progress, rate);
        unsigned percent = progress->bytes_total > 0
                               ? (unsigned) ((double) progress->bytes_moved * 100
                                             / (double) progress->bytes_total)
                               : 0;
        if (progress->bytes_total == 0)
          return g_strdup_printf ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " done",
                                  progress->actions_done, progress->actions_total);
        return g_strdup_printf ("%3u %%  %s of %s  %s  %s  (%" G_GUINT64_FORMAT
                                " of %" G_GUINT64_FORMAT " files)",
                                percent, moved, total, rate > 0 ? rate_text : "", left,
                                progress->actions_done, progress->actions_total);
      }
    case KP_PHASE_DELETING:
      return g_strdup ("Deleting");
    case KP_PHASE_STARTING:
    case KP_PHASE_FINISHED:
    default:
      return NULL;
    }
}

static void
draw (KpCtlOutput *output, const KpProgress *progress)
{
  g_autofree char *text = progress_text (output, progress);
  struct winsize size;
  glong width = 80;

  if (text == NULL)
    return;
  if (ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
    width = size.ws_col;
  g_autofree char *fitting = g_utf8_substring (text, 0, MIN (g_utf8_strlen (text, -1), width - 1));

  g_mutex_lock (&output->lock);
  fprintf (stderr, CLEAR_LINE "%s", fitting);
  fflush (stderr);
  output->line_drawn = TRUE;
  g_mutex_unlock (&output->lock);
}

/**
 * kp_ctl_output_statistics:
 * @started: monotonic time in microseconds
 *
 * The last lines of --verbose.
 */
void
kp_ctl_output_statistics (KpCtlOutput *output, gint64 started)
{
  static const char *const names[KP_S3_N_OPERATIONS]
      = { "list", "head", "get", "put", "copy", "multipart", "delete", "bucket" };
  KpS3Statistics statistics;
  guint64 total = 0;
  double seconds = (double) (g_get_monotonic_time () - started) / G_USEC_PER_SEC;
  g_autoptr (GString) kinds = g_string_new (NULL);

  if (!output->verbose || output->json)
    return;
  kp_s3_service_get_statistics (output->service, &statistics);
  for (int i = 0; i < KP_S3_N_OPERATIONS; i++)
    {
      total += statistics.requests[i];
      if (statistics.requests[i] > 0)
        g_string_append_printf (kinds, "%s%s %" G_GUINT64_FORMAT, kinds->len > 0 ? ", " : "",
                                names[i], statistics.requests[i]);
    }
  g_autofree char *up = kp_size_format (statistics.bytes_up);
  g_autofree char *down = kp_size_format (statistics.bytes_down);
  kp_ctl_output_line (output,
                      "%" G_GUINT64_FORMAT " requests (%s), %" G_GUINT64_FORMAT
                      " of them repeated; %s sent, %s received; %.1f s",
                      total, kinds->str, statistics.retries, up, down, seconds);
}

/* A job in its thread, and the main loop that waits for it. */
typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
  KpCtlJobFunc func;
  KpCtlProgressFunc progress_func;
  void *job;
  GCancellable *cancellable;
  GMainLoop *loop;
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

/* SIGUSR2 takes the limits off, and puts them on again. */
static gboolean
toggle_limit_cb (void *data)
{
  Run *run = data;
  KpThrottle *upload = kp_s3_service_get_upload_throttle (run->service);
  gboolean suspend = !kp_throttle_get_suspended (upload);

  kp_throttle_set_suspended (upload, suspend);
  kp_throttle_set_suspended (kp_s3_service_get_download_throttle (run->service), suspend);
  kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE,
                                      .text = suspend ? "The limits are off until the next SIGUSR2"
                                                      : "The limits are on again" },
                          run->output);
  return G_SOURCE_CONTINUE;
}

static gboolean
progress_cb (void *data)
{
  Run *run = data;
  KpProgress progress;

  run->progress_func (run->job, &progress);
  if (!run->output->json)
    draw (run->output, &progress);
  else
    kp_ctl_output_json (run->output, "progress", "phase", "s", phase_name (progress.phase),
                        "files_scanned", "u", progress.files_scanned, "actions_done", "u",
                        progress.actions_done, "actions_total", "u", progress.actions_total,
                        "bytes_done", "u", progress.bytes_done, "bytes_total", "u",
                        progress.bytes_total, NULL);
  return G_SOURCE_CONTINUE;
}

static void
notice_cb (const char *sentence, void *user_data)
{
  kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE, .text = sentence }, user_data);
}

/**
 * kp_ctl_run_job:
 * @func: run in a thread of its own
 * @progress_func: (nullable): asked several times a second
 * @error: what @func gave
 */
gboolean
kp_ctl_run_job (KpCtlOutput *output,
                KpS3Service *service,
                KpCtlJobFunc func,
                KpCtlProgressFunc progress_func,
                void *job,
                GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Run run = { .output = output,
              .service = service,
              .func = func,
              .progress_func = progress_func,
              .job = job,
              .cancellable = cancellable,
              .loop = loop };
  unsigned sources[] = { g_unix_signal_add (SIGINT, interrupted_cb, &run),
                         g_unix_signal_add (SIGTERM, interrupted_cb, &run),
                         g_unix_signal_add (SIGHUP, interrupted_cb, &run),
                         g_unix_signal_add (SIGUSR2, toggle_limit_cb, &run), 0 };

  kp_s3_service_set_notice_func (service, notice_cb, output);
  if (progress_func != NULL && (output->terminal || output->json))
    sources[4] = g_timeout_add (output->json ? JSON_INTERVAL : DRAW_INTERVAL, progress_cb, &run);
  GThread *thread = g_thread_new ("keepsake-job", job_main, &run);
  g_main_loop_run (loop);
  g_thread_join (thread);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != 0)
      g_source_remove (sources[i]);

  g_mutex_lock (&output->lock);
  if (output->line_drawn)
    fputs (CLEAR_LINE, stderr);
  output->line_drawn = FALSE;
  g_mutex_unlock (&output->lock);
  if (!run.ok)
    g_propagate_error (error, run.error);
  return run.ok;
}

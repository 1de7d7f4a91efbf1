/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-size.h"

#include <json-glib/json-glib.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_INTERVAL 200  /* milliseconds */
#define JSON_INTERVAL 1000 /* milliseconds */
#define CLEAR_LINE "\r\033[K"

/* Why standard output takes no more; 0 while it does. */
static int write_error;

static gboolean is_json_wanted;

struct _KpCtlOutput
{
  KpS3Service *service; /* or NULL */
  gboolean json;
  gboolean verbose; /* name each file */
  gboolean terminal;

  GMutex lock; /* one line at a time, from whatever thread */
  gboolean line_drawn;
};

/**
 * kp_ctl_output_new:
 * @service: (nullable): whose requests --verbose counts at the end
 * @dry_run: name each file, as that is the result
 */
KpCtlOutput *
kp_ctl_output_new (const KpCtlOptions *options, KpS3Service *service, gboolean dry_run)
{
  KpCtlOutput *output = g_new0 (KpCtlOutput, 1);

  if (service != NULL)
    output->service = g_object_ref (service);
  output->json = options->json;
  output->verbose = options->verbose || dry_run;
  output->terminal = !options->json && isatty (STDERR_FILENO);
  g_mutex_init (&output->lock);
  return output;
}

void
kp_ctl_output_free (KpCtlOutput *output)
{
  g_mutex_clear (&output->lock);
  g_clear_object (&output->service);
  g_free (output);
}

/**
 * kp_ctl_output_close:
 *
 * To be called once, at the end. Returns: 0, or why not all that was printed has arrived: a full
 *   disk is heard of only here; -1 when GLib printed it and knows not why
 */
int
kp_ctl_output_close (void)
{
  gboolean lost = ferror (stdout) != 0;

  errno = 0;
  if (fclose (stdout) == 0 && !lost)
    return 0;
  if (write_error == 0)
    write_error = errno;
  return write_error != 0 ? write_error : -1;
}

/**
 * kp_ctl_output_is_lost:
 *
 * Whether nobody gets any more what is printed: a pipe was closed, or a disk is full. Where the
 * output is all that a command is for, it may end.
 */
gboolean
kp_ctl_output_is_lost (void)
{
  return write_error != 0;
}

/**
 * kp_ctl_output_expect_json:
 * @arguments: of the command, not read yet
 *
 * To be called first, for kp_ctl_output_error().
 */
void
kp_ctl_output_expect_json (char **arguments)
{
  for (char **argument = arguments;
       *argument != NULL && !is_json_wanted && !g_str_equal (*argument, "--"); argument++)
    is_json_wanted = g_str_equal (*argument, "--json");
}

/**
 * kp_ctl_output_error:
 * @name: of an error, for scripts
 *
 * Says as a JSON object, where that is wanted, why the command ends.
 */
void
kp_ctl_output_error (const char *name, const char *message, KpExit code)
{
  KpCtlOptions options = { .json = TRUE };

  if (!is_json_wanted)
    return;
  KpCtlOutput *output = kp_ctl_output_new (&options, NULL, FALSE);
  kp_ctl_output_json (output, "error", "error", "s", name, "message", "s", message, "exit_code",
                      "i", (gint64) code, NULL);
  kp_ctl_output_free (output);
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
  if (fflush (file) != 0 && file == stdout)
    write_error = errno;
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

/* Reads one value of kp_ctl_output_json(). NULL: left out. */
static JsonNode *
make_node (const char *kind, va_list *arguments)
{
  JsonNode *node = NULL;
  const char *text;

  switch (*kind)
    {
    case 's':
      text = va_arg (*arguments, const char *);
      if (text != NULL)
        node = json_node_init_string (json_node_alloc (), text);
      break;
    case 'u':
      node = json_node_init_int (json_node_alloc (), (gint64) va_arg (*arguments, guint64));
      break;
    case 'i':
      node = json_node_init_int (json_node_alloc (), va_arg (*arguments, gint64));
      break;
    case 'n':
      node = va_arg (*arguments, JsonNode *);
      break;
    default:
      node = json_node_init_boolean (json_node_alloc (), va_arg (*arguments, gboolean));
      break;
    }
  return node;
}

/**
 * kp_ctl_output_json:
 * @type: of the object
 * @...: triples of a member's name, a letter and a value; ended by %NULL. "s": a string, "u": a
 *   guint64, "i": a gint64, "b": a gboolean, "n": a JsonNode (transfer full). A string or node that
 *   is %NULL is left out.
 */
void
kp_ctl_output_json (KpCtlOutput *output, const char *type, ...)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  va_list arguments;
  const char *name;

  json_object_set_string_member (object, "type", type);
  va_start (arguments, type);
  while ((name = va_arg (arguments, const char *)) != NULL)
    {
      const char *kind = va_arg (arguments, const char *);
      JsonNode *node = make_node (kind, &arguments);
      if (node != NULL)
        json_object_set_member (object, name, node);
    }
  va_end (arguments);

  json_node_set_object (root, object);
  g_autofree char *line = json_to_string (root, FALSE);
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

static char *
time_left (const KpProgress *progress, gint64 seconds)
{
  if (progress->bytes_moved >= progress->bytes_total)
    return g_strdup ("finishing");
  if (seconds < 0)
    return g_strdup ("waiting");
  if (seconds < 5)
    return g_strdup ("a moment left");
  g_autofree char *duration = kp_duration_format ((guint64) seconds);
  return g_strconcat (duration, " left", NULL);
}

static char *
transfer_text (const KpProgress *progress, guint64 rate, gint64 seconds_left)
{
  if (progress->bytes_total == 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " done",
                            progress->actions_done, progress->actions_total);

  g_autofree char *moved = kp_size_format (progress->bytes_moved);
  g_autofree char *total = kp_size_format (progress->bytes_total);
  g_autofree char *rate_text = rate > 0 ? kp_rate_format (rate) : g_strdup ("");
  g_autofree char *left = time_left (progress, seconds_left);
  unsigned percent
      = (unsigned) ((double) progress->bytes_moved * 100 / (double) progress->bytes_total);
  return g_strdup_printf (
      "%3u %%  %s of %s  %s  %s  (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " files)", percent,
      moved, total, rate_text, left, progress->actions_done, progress->actions_total);
}

static char *
progress_text (const KpProgress *progress, guint64 rate, gint64 seconds_left)
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
      return transfer_text (progress, rate, seconds_left);
    case KP_PHASE_DELETING:
      return g_strdup ("Deleting");
    case KP_PHASE_STARTING:
    case KP_PHASE_FINISHED:
    default:
      return NULL;
    }
}

/**
 * kp_ctl_output_draw:
 * @text: for the line at the bottom of the terminal, in place of what it showed before
 */
void
kp_ctl_output_draw (KpCtlOutput *output, const char *text)
{
  struct winsize size;
  glong width = 80;

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
 * kp_ctl_output_end_progress:
 *
 * Takes away the line at the bottom of the terminal.
 */
void
kp_ctl_output_end_progress (KpCtlOutput *output)
{
  g_mutex_lock (&output->lock);
  if (output->line_drawn)
    fputs (CLEAR_LINE, stderr);
  output->line_drawn = FALSE;
  g_mutex_unlock (&output->lock);
}

/**
 * kp_ctl_output_get_interval:
 *
 * Returns: how often to call kp_ctl_output_progress(), in milliseconds; 0 for never, as nobody is
 *   looking
 */
unsigned
kp_ctl_output_get_interval (KpCtlOutput *output)
{
  if (output->json)
    return JSON_INTERVAL;
  return output->terminal ? DRAW_INTERVAL : 0;
}

/**
 * kp_ctl_output_progress:
 * @rate: bytes per second over the last seconds; 0 when not known
 * @seconds_left: -1 when not known
 */
void
kp_ctl_output_progress (KpCtlOutput *output,
                        const KpProgress *progress,
                        guint64 rate,
                        gint64 seconds_left)
{
  if (output->json)
    {
      kp_ctl_output_json (output, "progress", "phase", "s", phase_name (progress->phase),
                          "files_scanned", "u", progress->files_scanned, "actions_done", "u",
                          progress->actions_done, "actions_total", "u", progress->actions_total,
                          "bytes_done", "u", progress->bytes_done, "bytes_total", "u",
                          progress->bytes_total, NULL);
      return;
    }
  g_autofree char *text = progress_text (progress, rate, seconds_left);
  if (text != NULL)
    kp_ctl_output_draw (output, text);
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
      = { "list", "head", "get", "put", "copy", "multipart", "delete", "retrieve", "bucket" };
  KpS3Statistics statistics;
  guint64 total = 0;
  double seconds = (double) (g_get_monotonic_time () - started) / G_USEC_PER_SEC;
  g_autoptr (GString) kinds = g_string_new (NULL);

  if (!output->verbose || output->json || output->service == NULL)
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

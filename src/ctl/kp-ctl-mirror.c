/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-mirror.h"

static const char examples[]
    = "Examples:\n"
      "  Keep a folder safe, at 256 KB/s, deletions included:\n"
      "    keepsakectl mirror ~/Pictures s3://my-bucket/laptop --delete --upload-limit 256K\n"
      "  See what that would do:\n"
      "    keepsakectl mirror ~/Pictures s3://my-bucket/laptop --delete --dry-run\n"
      "  The contents of a folder, to a server of your own:\n"
      "    keepsakectl mirror ~/Pictures/ s3://my-bucket/pictures --endpoint-url "
      "https://s3.example.org\n"
      "\n"
      "A SOURCE without a slash at the end is stored as PREFIX/NAME; with one, its contents go "
      "into\n"
      "PREFIX, as with rsync. Patterns are rsync's. kill -USR2 takes the limits off, and on "
      "again.\n"
      "\n"
      "Exit codes: 0 done; 1 usage, or a fault of this computer; 2 done, but some files failed;\n"
      "3 deletions held back by the delete guard; 4 keys or permission; 5 network or server; 6 "
      "stopped.";

typedef struct
{
  KpFilter *filter;
  guint64 max_delete;
  gboolean has_max_delete;
} Parsed;

static gboolean
filter_cb (const char *option, const char *value, void *data, GError **error)
{
  Parsed *parsed = data;

  return kp_ctl_add_pattern (parsed->filter, option, value, error);
}

static gboolean
max_delete_cb (const char *option, const char *value, void *data, GError **error)
{
  Parsed *parsed = data;

  parsed->has_max_delete = TRUE;
  return kp_ctl_parse_objects (value, &parsed->max_delete, error);
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  return kp_mirror_run (job, cancellable, error);
}

static void
progress_cb (void *job, KpProgress *progress)
{
  kp_mirror_get_progress (job, progress);
}

static KpExit
report_result (KpCtlOutput *output, const KpMirrorResult *result, gboolean dry_run, gint64 started)
{
  kp_ctl_report_backup (output, result, dry_run);
  kp_ctl_output_statistics (output, started);
  kp_ctl_report_guard (output, result);
  return kp_ctl_backup_exit_code (result);
}

KpExit
kp_ctl_mirror (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (KpFilter) filter = kp_filter_new ();
  g_autofree char *state_dir = kp_ctl_state_dir ();
  g_autofree char *storage_class = NULL;
  g_autofree char *keep_deleted = NULL;
  Parsed parsed = { .filter = filter };
  KpMirrorOptions mirror_options = { .state_dir = state_dir, .filter = filter };
  int jobs = 0;
  const GOptionEntry entries[] = {
    { "delete", 0, 0, G_OPTION_ARG_NONE, &mirror_options.delete_vanished,
      "Delete objects whose files are gone, as far as the delete guard lets", NULL },
    { "keep-deleted", 0, 0, G_OPTION_ARG_STRING, &keep_deleted,
      "With --delete: keep what is deleted or replaced for so long, as in 30d", "DAYS" },
    { "max-delete", 0, 0, G_OPTION_ARG_CALLBACK, max_delete_cb,
      "Consent to up to so many deletions", "N" },
    { "accept-new-file-system", 0, 0, G_OPTION_ARG_NONE, &mirror_options.accept_new_file_system,
      "The sources have moved to another disk; deletions are meant", NULL },
    { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &mirror_options.dry_run, "Only say what would be done",
      NULL },
    { "checksum", 'c', 0, G_OPTION_ARG_NONE, &mirror_options.checksum,
      "Read every file, whatever its size and times say", NULL },
    { "exclude", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb, "Leave out what matches", "PATTERN" },
    { "include", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb,
      "Keep what matches, whatever later patterns say", "PATTERN" },
    { "exclude-from", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, filter_cb,
      "Patterns from a file, one a line", "FILE" },
    { "all-file-systems", 0, 0, G_OPTION_ARG_NONE, &mirror_options.all_file_systems,
      "Enter what is mounted below the sources", NULL },
    { "storage-class", 0, 0, G_OPTION_ARG_STRING, &storage_class, "STANDARD_IA, GLACIER_IR …",
      "CLASS" },
    { "jobs", 0, 0, G_OPTION_ARG_INT, &jobs, "Connections at once; found out if left out", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, entries, &parsed, "SOURCE… s3://BUCKET/PREFIX",
                               "Makes the bucket hold what the folders hold, and sends only what "
                               "changed.",
                               examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);

  unsigned n = g_strv_length (arguments);
  if (n < 3 || jobs < 0)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl mirror SOURCE… s3://BUCKET/PREFIX; see keepsakectl "
                           "mirror --help");
      return kp_ctl_fail (error);
    }
  if (!kp_ctl_parse_days (keep_deleted, &mirror_options.keep_days, &error))
    return kp_ctl_fail (error);
  if (mirror_options.keep_days > 0 && !mirror_options.delete_vanished)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "--keep-deleted says what becomes of what --delete deletes; give both");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[n - 1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);

  mirror_options.jobs = (unsigned) jobs;
  mirror_options.storage_class = storage_class;
  mirror_options.has_max_delete = parsed.has_max_delete;
  mirror_options.max_delete = parsed.max_delete;
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, mirror_options.dry_run);
  g_autoptr (KpMirror) mirror
      = kp_mirror_new (service, &mirror_options, kp_ctl_output_event_cb, output);
  for (unsigned i = 1; i < n - 1; i++)
    kp_mirror_add_source (mirror, arguments[i], NULL);
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_UP, run_cb, progress_cb, mirror, &error))
    return kp_ctl_fail (error);

  KpMirrorResult result;
  kp_mirror_get_result (mirror, &result);
  return report_result (output, &result, mirror_options.dry_run, started);
}

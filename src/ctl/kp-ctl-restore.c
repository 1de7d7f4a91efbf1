/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-restore.h"
#include "kp-size.h"

static const char examples[]
    = "Examples:\n"
      "  All that a mirror holds, to a new folder:\n"
      "    keepsakectl restore s3://my-bucket/laptop ~/Restored\n"
      "  One folder, or one file:\n"
      "    keepsakectl restore s3://my-bucket/laptop/Pictures/2026 ~/Restored\n"
      "    keepsakectl restore s3://my-bucket/laptop/Pictures/cat.jpg ~/Restored\n"
      "  As all of it was then, where the bucket keeps versions or the mirror keeps deletions:\n"
      "    keepsakectl restore s3://my-bucket/laptop ~/Restored --at 'yesterday 18:00'\n"
      "  Some of it, and first only say what would come:\n"
      "    keepsakectl restore s3://my-bucket/laptop ~/Restored --path Pictures/2026 --exclude "
      "'*.tmp' -n\n"
      "\n"
      "What the address names goes into TARGET. Files that are there already with the same size "
      "and\n"
      "time are not fetched again; newer ones stay unless --overwrite always is said. Nothing is "
      "ever\n"
      "written outside of TARGET.";

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  return kp_restore_run (job, cancellable, error);
}

static void
progress_cb (void *job, KpProgress *progress)
{
  kp_restore_get_progress (job, progress);
}

static gboolean
parse_overwrite (const char *text, KpOverwrite *overwrite, GError **error)
{
  if (text == NULL || kp_overwrite_parse (text, overwrite))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is no answer to --overwrite; write never, older or always", text);
  return FALSE;
}

static gboolean
parse_retrieval (const char *retrieve, const char *wait, KpRestoreOptions *options, GError **error)
{
  guint64 seconds = 0;

  if (retrieve != NULL && !kp_s3_tier_parse (retrieve, &options->retrieve, error))
    return FALSE;
  if (wait != NULL && retrieve == NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "--retrieve-wait goes with --retrieve, which says what to wait for");
      return FALSE;
    }
  if (wait != NULL && !kp_duration_parse (wait, &seconds, error))
    return FALSE;
  options->retrieve_poll = (unsigned) MIN (seconds, G_MAXINT);
  return TRUE;
}

static gboolean
filter_cb (const char *option, const char *value, void *filter, GError **error)
{
  return kp_ctl_add_pattern (filter, option, value, error);
}

static KpExit
report_result (KpCtlOutput *output, const KpRestoreResult *result, gboolean dry_run, gint64 started)
{
  KpExit code = result->failed > 0 ? KP_EXIT_INCOMPLETE : KP_EXIT_DONE;
  g_autofree char *bytes = kp_size_format (result->bytes);

  if (kp_ctl_output_is_json (output))
    {
      kp_ctl_output_json (output, "result", "exit_code", "u", (guint64) code, "restored", "u",
                          result->restored, "unchanged", "u", result->unchanged, "kept", "u",
                          result->kept, "failed", "u", result->failed, "archived", "u",
                          result->archived, "bytes", "u", result->bytes, NULL);
      return code;
    }
  kp_ctl_output_line (output,
                      "%s: %" G_GUINT64_FORMAT " restored (%s), %" G_GUINT64_FORMAT
                      " were there already, %" G_GUINT64_FORMAT
                      " kept as they are, %" G_GUINT64_FORMAT " failed",
                      dry_run ? "Would be" : "Done", result->restored, bytes, result->unchanged,
                      result->kept, result->failed);
  kp_ctl_output_statistics (output, started);
  return code;
}

KpExit
kp_ctl_restore (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (KpFilter) filter = kp_filter_new ();
  g_autofree char *state_dir = kp_ctl_state_dir ();
  g_autofree char *overwrite = NULL;
  g_autofree char *at = NULL;
  g_autofree char *retrieve = NULL;
  g_autofree char *wait = NULL;
  g_auto (GStrv) paths = NULL;
  KpRestoreOptions restore_options = { .overwrite = KP_OVERWRITE_OLDER, .filter = filter };
  int jobs = 0;
  const GOptionEntry entries[] = {
    { "at", 0, 0, G_OPTION_ARG_STRING, &at,
      "As it was then: 'yesterday 18:00', '3 days ago', 2026-11-27T18:00", "TIME" },
    { "overwrite", 0, 0, G_OPTION_ARG_STRING, &overwrite,
      "What happens to files that exist: never, older (the default), always", "WHEN" },
    { "path", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &paths,
      "Only this file or folder below the address; may be given several times", "PATH" },
    { "exclude", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb, "Leave in the bucket what matches",
      "PATTERN" },
    { "include", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb,
      "Restore what matches, whatever later patterns say", "PATTERN" },
    { "exclude-from", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, filter_cb,
      "Patterns from a file, one a line", "FILE" },
    { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &restore_options.dry_run,
      "Only say what would be restored", NULL },
    { "no-space-check", 0, 0, G_OPTION_ARG_NONE, &restore_options.no_space_check,
      "Begin although the disk seems to be too small", NULL },
    { "retrieve", 0, 0, G_OPTION_ARG_STRING, &retrieve,
      "Ask for what lies in an archive: standard, bulk or expedited", "HOW" },
    { "retrieve-wait", 0, 0, G_OPTION_ARG_STRING, &wait, "Wait for it, and look so often: 15m",
      "INTERVAL" },
    { "jobs", 0, 0, G_OPTION_ARG_INT, &jobs, "Connections at once; found out if left out", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, entries, filter, "s3://BUCKET/PREFIX[/PATH] TARGET",
                               "Brings files back.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error)
      || !parse_overwrite (overwrite, &restore_options.overwrite, &error)
      || !parse_retrieval (retrieve, wait, &restore_options, &error)
      || !kp_ctl_parse_moment (at, &restore_options.at, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 3 || jobs < 0)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl restore s3://BUCKET/PREFIX TARGET; see keepsakectl "
                           "restore --help");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);

  restore_options.jobs = (unsigned) jobs;
  restore_options.state_dir = state_dir;
  restore_options.paths = (const char *const *) paths;
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, restore_options.dry_run);
  g_autoptr (KpRestore) restore
      = kp_restore_new (service, arguments[2], &restore_options, kp_ctl_output_event_cb, output);
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, progress_cb, restore, &error))
    return kp_ctl_fail (error);

  KpRestoreResult result;
  kp_restore_get_result (restore, &result);
  return report_result (output, &result, restore_options.dry_run, started);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl-plans.h"
#include "kp-error.h"
#include "kp-size.h"
#include "kp-verify.h"

#include <string.h>

static const char examples[]
    = "Examples:\n"
      "    keepsakectl verify ~/Pictures s3://my-bucket/laptop\n"
      "    keepsakectl verify ~/Pictures s3://my-bucket/laptop --sample 5%\n"
      "\n"
      "Says which files are missing in the bucket, were changed since they were stored, or are "
      "damaged\n"
      "there. Changes nothing in the bucket; what was proved is remembered where a mirror has been "
      "run.";

static gboolean
filter_cb (const char *option, const char *value, void *data, GError **error)
{
  if (g_str_equal (option, "--exclude"))
    return kp_filter_add_exclude (data, value, error);
  if (g_str_equal (option, "--include"))
    return kp_filter_add_include (data, value, error);
  return kp_filter_add_file (data, value, TRUE, error);
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  return kp_verify_run (job, cancellable, error);
}

static void
progress_cb (void *job, KpProgress *progress)
{
  kp_verify_get_progress (job, progress);
}

static KpExit
report_result (KpCtlOutput *output, const KpVerifyResult *result, gint64 started)
{
  const KpHistoryCoverage coverage = { .objects = result->coverage.objects,
                                       .objects_proved = result->coverage.objects_proved,
                                       .bytes = result->coverage.bytes,
                                       .bytes_proved = result->coverage.bytes_proved,
                                       .oldest_proof = result->coverage.oldest_proof };
  gboolean all_equal = result->missing + result->changed + result->damaged + result->failed == 0;
  KpExit code = all_equal ? KP_EXIT_DONE : KP_EXIT_INCOMPLETE;
  g_autofree char *bytes = kp_size_format (result->bytes);

  if (kp_ctl_output_is_json (output))
    {
      kp_ctl_output_json (output, "result", "exit_code", "u", (guint64) code, "equal", "u",
                          result->equal, "missing", "u", result->missing, "changed", "u",
                          result->changed, "damaged", "u", result->damaged, "failed", "u",
                          result->failed, "bytes", "u", result->bytes, "coverage", "n",
                          kp_ctl_coverage_node (&coverage), NULL);
      return code;
    }
  kp_ctl_output_line (output,
                      "Done: %" G_GUINT64_FORMAT " equal (%s compared), %" G_GUINT64_FORMAT
                      " missing, %" G_GUINT64_FORMAT " changed since, %" G_GUINT64_FORMAT
                      " damaged, %" G_GUINT64_FORMAT " failed",
                      result->equal, bytes, result->missing, result->changed, result->damaged,
                      result->failed);
  g_autofree char *text = kp_ctl_describe_coverage (&coverage, g_get_real_time () / G_USEC_PER_SEC);
  if (text != NULL)
    kp_ctl_output_line (output, "%s", text);
  kp_ctl_output_statistics (output, started);
  return code;
}

KpExit
kp_ctl_verify (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (KpFilter) filter = kp_filter_new ();
  g_autofree char *sample = NULL;
  g_autofree char *state_dir = kp_ctl_state_dir ();
  KpVerifyOptions verify_options
      = { .state_dir = state_dir, .filter = filter, .sample = 1, .strict = TRUE };
  int jobs = 0;
  const GOptionEntry entries[] = {
    { "exclude", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb, "Leave out what matches", "PATTERN" },
    { "include", 0, 0, G_OPTION_ARG_CALLBACK, filter_cb,
      "Keep what matches, whatever later patterns say", "PATTERN" },
    { "exclude-from", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, filter_cb,
      "Patterns from a file, one a line", "FILE" },
    { "sample", 0, 0, G_OPTION_ARG_STRING, &sample,
      "Only a share of the files: those not looked at for the longest time", "N%" },
    { "all-file-systems", 0, 0, G_OPTION_ARG_NONE, &verify_options.all_file_systems,
      "Enter what is mounted below the sources", NULL },
    { "jobs", 0, 0, G_OPTION_ARG_INT, &jobs, "Connections at once; found out if left out", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_option_context (
      &options, entries, filter, "SOURCE… s3://BUCKET/PREFIX",
      "Reads objects back and compares them with the files, byte for byte.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error)
      || !kp_ctl_parse_share (sample, &verify_options.sample, &error))
    return kp_ctl_fail (error);
  unsigned n = g_strv_length (arguments);
  if (n < 3 || jobs < 0)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl verify SOURCE… s3://BUCKET/PREFIX; see keepsakectl "
                           "verify --help");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[n - 1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);

  verify_options.jobs = (unsigned) jobs;
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, FALSE);
  g_autoptr (KpVerify) verify
      = kp_verify_new (service, &verify_options, kp_ctl_output_event_cb, output);
  for (unsigned i = 1; i < n - 1; i++)
    kp_verify_add_source (verify, arguments[i], NULL);
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, progress_cb, verify, &error))
    return kp_ctl_fail (error);

  KpVerifyResult result;
  kp_verify_get_result (verify, &result);
  return report_result (output, &result, started);
}

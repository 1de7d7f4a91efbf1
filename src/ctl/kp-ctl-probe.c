/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-s3-probe.h"

static const char examples[]
    = "Examples:\n"
      "    keepsakectl probe s3://my-bucket\n"
      "    keepsakectl probe s3://my-bucket --endpoint-url https://s3.example.org\n"
      "\n"
      "Writes small objects and an upload of 5 MiB below the prefix, and deletes them again.";

typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
} Probe;

static void
result_cb (const KpS3ProbeResult *result, void *user_data)
{
  KpCtlOutput *output = user_data;

  if (kp_ctl_output_is_json (output))
    kp_ctl_output_json (output, "probe", "what", "s", result->what, "works", "b", result->works,
                        "detail", "s", result->detail, NULL);
  else
    kp_ctl_output_line (output, "%-12s %s%s%s", result->what, result->works ? "yes" : "no",
                        result->detail != NULL ? "  " : "",
                        result->detail != NULL ? result->detail : "");
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  Probe *probe = job;

  return kp_s3_probe (probe->service, result_cb, probe->output, cancellable, error);
}

KpExit
kp_ctl_probe (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, NULL, "s3://BUCKET[/PREFIX]",
                               "Finds out what a server can do, and says it in words.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl probe s3://BUCKET; see keepsakectl probe --help");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, FALSE);
  Probe probe = { .output = output, .service = service };
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, NULL, &probe, &error))
    return kp_ctl_fail (error);
  kp_ctl_output_statistics (output, started);
  return KP_EXIT_DONE;
}

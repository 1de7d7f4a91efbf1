/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-s3-probe.h"
#include "kp-s3-versioning.h"
#include "kp-size.h"

static const char examples[]
    = "Examples:\n"
      "    keepsakectl probe s3://my-bucket\n"
      "    keepsakectl probe s3://my-bucket --endpoint-url https://s3.example.org\n"
      "\n"
      "Have the bucket keep old versions for 90 days, after a look at what that sets:\n"
      "    keepsakectl probe s3://my-bucket/laptop --enable-versioning 90d -n\n"
      "    keepsakectl probe s3://my-bucket/laptop --enable-versioning 90d\n"
      "\n"
      "Writes small objects and an upload of 5 MiB below the prefix, and deletes them again.";

static const char versioning_offer[]
    = "\nOld versions can be kept: --enable-versioning 90d has the bucket do it, with -n first to "
      "see\n"
      "what that sets; or a mirror keeps what it deletes: mirror --delete --keep-deleted 30d.";

#define SECONDS_PER_DAY (24 * 60 * 60)
#define MAX_DAYS 3650

typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
  gboolean has_no_versions;
  unsigned days; /* for which old versions are to be kept */
} Probe;

static void
result_cb (const KpS3ProbeResult *result, void *user_data)
{
  Probe *probe = user_data;
  KpCtlOutput *output = probe->output;

  if (g_str_equal (result->what, "versions") && !result->works)
    probe->has_no_versions = TRUE;
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

  return kp_s3_probe (probe->service, result_cb, probe, cancellable, error);
}

static gboolean
enable_cb (void *job, GCancellable *cancellable, GError **error)
{
  Probe *probe = job;
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (probe->service);
  gboolean ok = kp_s3_versioning_enable (client, probe->days, cancellable, error);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return ok;
}

static gboolean
parse_days (const char *text, unsigned *days, GError **error)
{
  guint64 seconds;

  if (!kp_duration_parse (text, &seconds, error))
    return FALSE;
  *days = (unsigned) MIN (seconds / SECONDS_PER_DAY, MAX_DAYS + 1);
  if (*days >= 1 && *days <= MAX_DAYS)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is no time to keep old versions; write 1d to %dd", text, MAX_DAYS);
  return FALSE;
}

/* What is going to be set is shown before it is. */
static gboolean
enable_versioning (Probe *probe, gboolean dry_run, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (probe->service);
  g_autofree char *rule = kp_s3_versioning_make_rule (location, probe->days);

  if (!kp_ctl_output_is_json (probe->output))
    kp_ctl_output_line (
        probe->output,
        "The bucket “%s” keeps versions of all its objects; and of its lifecycle:\n%s",
        kp_s3_location_get_bucket (location), rule);
  if (dry_run)
    return TRUE;
  if (!kp_ctl_run_job (probe->output, probe->service, KP_DIRECTION_DOWN, enable_cb, NULL, probe,
                       error))
    return FALSE;
  if (kp_ctl_output_is_json (probe->output))
    kp_ctl_output_json (probe->output, "versioning", "days", "u", (guint64) probe->days, NULL);
  else
    kp_ctl_output_line (probe->output, "Old versions are kept for %u days from now on.",
                        probe->days);
  return TRUE;
}

KpExit
kp_ctl_probe (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autofree char *enable = NULL;
  gboolean dry_run = FALSE;
  const GOptionEntry entries[] = {
    { "enable-versioning", 0, 0, G_OPTION_ARG_STRING, &enable,
      "Have the bucket keep old versions for so long: 90d", "DAYS" },
    { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_run, "Only show what that would set", NULL },
    { NULL },
  };
  Probe probe = { .output = NULL };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, entries, NULL, "s3://BUCKET[/PREFIX]",
                               "Finds out what a server can do, and says it in words.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error)
      || (enable != NULL && !parse_days (enable, &probe.days, &error)))
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
  probe.output = output;
  probe.service = service;
  gboolean ok = enable != NULL ? enable_versioning (&probe, dry_run, &error)
                               : kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, NULL,
                                                 &probe, &error);
  if (!ok)
    return kp_ctl_fail (error);
  if (probe.has_no_versions && !kp_ctl_output_is_json (output))
    kp_ctl_output_line (output, "%s", versioning_offer);
  kp_ctl_output_statistics (output, started);
  return KP_EXIT_DONE;
}

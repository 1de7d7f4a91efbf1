/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "run", and its way without an agent: the job in this process. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-job.h"
#include "kp-keyring.h"
#include "kp-size.h"

#include <glib-unix.h>

static const char examples[]
    = "Examples:\n"
      "  Now, by the agent of this session; Ctrl-C cancels:\n"
      "    keepsakectl run Photos\n"
      "  From cron or a systemd timer, without agent and session:\n"
      "    keepsakectl run Photos --foreground\n"
      "  After the delete guard has asked:\n"
      "    keepsakectl run Photos --max-delete 500\n"
      "  Read back a twentieth of the files and compare:\n"
      "    keepsakectl run Photos --verify --sample 5%\n"
      "\n"
      "--foreground takes keys from the keyring, if it is open; else from the environment, the "
      "default\n"
      "profile or ~/.passwd-s3fs, as keepsakectl mirror does. kill -USR2 takes the limits off, and "
      "on\n"
      "again.\n"
      "\n"
      "Exit codes: 0 done; 1 usage, or a fault of this computer; 2 done, but some files failed;\n"
      "3 deletions held back by the delete guard; 4 keys or permission; 5 network or server; 6 "
      "cancelled.";

/* --- the end, in words ---------------------------------------------------------------------- */

static KpExit
report_verify (KpCtlOutput *output,
               const KpHistoryCounts *counts,
               const KpHistoryCoverage *coverage)
{
  gboolean all_equal = counts->failed == 0 && counts->put == 0;
  KpExit code = all_equal ? KP_EXIT_DONE : KP_EXIT_INCOMPLETE;
  g_autofree char *bytes = kp_size_format (counts->bytes_sent);

  if (kp_ctl_output_is_json (output))
    kp_ctl_output_json (output, "result", "exit_code", "u", (guint64) code, "equal", "u",
                        counts->unchanged, "changed", "u", counts->put, "failed", "u",
                        counts->failed, "bytes", "u", counts->bytes_sent, "coverage", "n",
                        kp_ctl_coverage_node (coverage), NULL);
  else
    {
      g_autofree char *text
          = kp_ctl_describe_coverage (coverage, g_get_real_time () / G_USEC_PER_SEC);
      kp_ctl_output_line (output,
                          "Done: %" G_GUINT64_FORMAT " equal (%s compared), %" G_GUINT64_FORMAT
                          " changed since, %" G_GUINT64_FORMAT " missing, damaged or failed",
                          counts->unchanged, bytes, counts->put, counts->failed);
      if (text != NULL)
        kp_ctl_output_line (output, "%s", text);
    }
  return code;
}

/**
 * kp_ctl_report_counts:
 * @coverage: of a verification
 * @rest: what is not among the counts: of what was kept, and of what the delete guard held back
 *
 * Says how a job ended that went to its end, and returns the exit code.
 */
KpExit
kp_ctl_report_counts (KpCtlOutput *output,
                      gboolean verify,
                      const KpHistoryCounts *counts,
                      const KpHistoryCoverage *coverage,
                      KpMirrorResult rest)
{
  KpMirrorResult result = rest;

  result.put = counts->put;
  result.delta = counts->delta;
  result.copied = counts->copied;
  result.metadata = counts->metadata;
  result.deleted = counts->deleted;
  result.unchanged = counts->unchanged;
  result.failed = counts->failed;
  result.bytes_sent = counts->bytes_sent;
  result.bytes_saved = counts->bytes_saved;
  if (verify)
    return report_verify (output, counts, coverage);
  kp_ctl_report_backup (output, &result, FALSE);
  kp_ctl_report_guard (output, &result);
  return kp_ctl_backup_exit_code (&result);
}

static KpExit
report_erase (KpCtlOutput *output, const KpJobResult *result)
{
  KpExit code = result->counts.failed > 0 ? KP_EXIT_INCOMPLETE : KP_EXIT_DONE;
  g_autofree char *bytes = kp_size_format (result->erased_bytes);

  if (kp_ctl_output_is_json (output))
    kp_ctl_output_json (output, "result", "exit_code", "u", (guint64) code, "deleted", "u",
                        result->counts.deleted, "deleted_bytes", "u", result->erased_bytes,
                        "spared", "u", result->spared, "failed", "u", result->counts.failed, NULL);
  else
    kp_ctl_output_line (output,
                        "Done: %" G_GUINT64_FORMAT " objects deleted (%s), %" G_GUINT64_FORMAT
                        " could not be deleted",
                        result->counts.deleted, bytes, result->counts.failed);
  return code;
}

/* --- in this process ------------------------------------------------------------------------ */

typedef struct
{
  KpCtlOutput *output;
  KpJob *job;
  KpThrottle *upload;
  KpThrottle *download;
  GMainLoop *loop;
  GError *error; /* what ended the job */
} Here;

static void
say (KpCtlOutput *output, const char *sentence)
{
  kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE, .text = sentence }, output);
}

/**
 * kp_ctl_find_plan_keys:
 * @error: %KP_ERROR_BAD_CREDENTIALS
 *
 * What was asked for; the keyring, if it is open; then where "mirror" looks.
 */
KpS3Credentials *
kp_ctl_find_plan_keys (KpPlan *plan, const KpCtlRunOptions *options, GError **error)
{
  gboolean is_asked_for = options->profile != NULL || options->passwd_file != NULL;
  KpS3Credentials *credentials = NULL;
  g_autoptr (GError) keyring_error = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!is_asked_for
      && kp_keyring_lookup (kp_plan_get_id (plan), FALSE, &credentials, NULL, &keyring_error)
             == KP_KEYRING_FOUND)
    return credentials;
  credentials = kp_ctl_find_credentials (options->profile, options->passwd_file,
                                         kp_plan_get_bucket (plan), &local_error);
  if (credentials != NULL)
    return credentials;
  if (is_asked_for || !kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS, local_error->message);
  else
    g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                 "There are no keys for “%s” (%s): use keepsakectl credentials set, or set "
                 "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --profile NAME or "
                 "--passwd-file FILE",
                 kp_plan_get_name (plan), keyring_error->message);
  return NULL;
}

static gboolean
cancel_cb (void *data)
{
  Here *here = data;
  g_autoptr (GError) error = NULL;

  if (!kp_job_cancel (here->job, &error))
    g_debug ("%s", error->message);
  return G_SOURCE_CONTINUE;
}

/* The session or the computer ends; nobody has changed their mind. */
static gboolean
interrupt_cb (void *data)
{
  Here *here = data;

  if (!kp_job_has_ended (here->job))
    kp_job_interrupt (here->job);
  return G_SOURCE_CONTINUE;
}

static gboolean
toggle_limits_cb (void *data)
{
  Here *here = data;

  kp_ctl_toggle_limits (here->output, here->upload, here->download);
  return G_SOURCE_CONTINUE;
}

static gboolean
progress_cb (void *data)
{
  Here *here = data;
  KpProgress progress;

  kp_job_get_progress (here->job, &progress);
  kp_ctl_output_progress (here->output, &progress, kp_job_get_rate (here->job),
                          kp_job_get_seconds_left (here->job));
  return G_SOURCE_CONTINUE;
}

static void
ended_cb (GObject *source, GAsyncResult *result, void *data)
{
  Here *here = data;

  if (!kp_job_execute_finish (here->job, result, &here->error))
    g_debug ("%s", here->error->message);
  g_main_loop_quit (here->loop);
}

static void
execute (Here *here, KpS3Credentials *credentials)
{
  unsigned interval = kp_ctl_output_get_interval (here->output);
  unsigned sources[] = { g_unix_signal_add (SIGINT, cancel_cb, here),
                         g_unix_signal_add (SIGTERM, interrupt_cb, here),
                         g_unix_signal_add (SIGHUP, interrupt_cb, here),
                         g_unix_signal_add (SIGUSR2, toggle_limits_cb, here),
                         interval > 0 ? g_timeout_add (interval, progress_cb, here) : 0 };

  kp_job_execute_async (here->job, credentials, ended_cb, here);
  g_main_loop_run (here->loop);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != 0)
      g_source_remove (sources[i]);
  kp_ctl_output_end_progress (here->output);
}

static KpJob *
make_job (KpPlan *plan, const KpCtlRunOptions *options, const KpJobSettings *settings)
{
  KpHistoryTrigger trigger = options->scheduled ? KP_HISTORY_SCHEDULED : KP_HISTORY_MANUAL;

  if (options->erase != NULL)
    {
      KpJob *erase = kp_job_new_erase (plan, settings, options->erase);
      kp_job_consent (erase, options->max_delete);
      return erase;
    }
  if (options->verify)
    {
      KpJob *verify = kp_job_new_verify (plan, trigger, settings, options->sample);
      kp_job_set_bounds (verify, options->max_files, options->max_bytes);
      return verify;
    }
  KpJob *job = kp_job_new_backup (plan, trigger, settings);
  if (options->has_max_delete)
    kp_job_consent (job, options->max_delete);
  if (options->accept_new_file_system)
    kp_job_accept_new_file_system (job);
  return job;
}

/**
 * kp_ctl_run_here:
 *
 * Runs the job in this process.
 */
KpExit
kp_ctl_run_here (KpCtlOutput *output, KpPlan *plan, const KpCtlRunOptions *options)
{
  g_autoptr (GError) error = NULL;
  /* The end of the session must not be ours: libsecret uses the same connection. */
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (NULL);
  g_autoptr (KpS3Credentials) credentials = kp_ctl_find_plan_keys (plan, options, &error);
  if (credentials == NULL)
    return kp_ctl_fail (error);

  g_autofree char *state_dir = kp_ctl_state_dir ();
  g_autoptr (KpThrottle) upload = kp_throttle_new (0);
  g_autoptr (KpThrottle) download = kp_throttle_new (0);
  g_autoptr (KpHistory) history = kp_ctl_open_history (&error);
  if (history == NULL)
    {
      /* The files matter more than what is written about them. */
      g_autofree char *notice = g_strdup_printf ("The job is not recorded: %s", error->message);
      say (output, notice);
      g_clear_error (&error);
    }
  KpJobSettings settings = { .state_dir = state_dir,
                             .ca_bundle = options->ca_bundle,
                             .upload = upload,
                             .download = download,
                             .history = history };
  g_autoptr (KpJob) job = make_job (plan, options, &settings);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Here here
      = { .output = output, .job = job, .upload = upload, .download = download, .loop = loop };
  kp_job_set_event_func (job, kp_ctl_output_event_cb, output);
  execute (&here, credentials);
  if (here.error != NULL)
    {
      KpExit code = kp_ctl_fail (here.error);
      g_clear_error (&here.error);
      return code;
    }
  const KpJobResult *result = kp_job_get_result (job);
  if (options->erase != NULL)
    return report_erase (output, result);
  return kp_ctl_report_counts (output, options->verify, &result->counts, &result->coverage,
                               (KpMirrorResult){ .kept = result->kept,
                                                 .swept = result->swept,
                                                 .deletions_held = result->deletions_held,
                                                 .guard_reason = result->guard_reason });
}

/* --- the command ---------------------------------------------------------------------------- */

static void
run_options_clear (KpCtlRunOptions *options)
{
  g_free (options->profile);
  g_free (options->passwd_file);
  g_free (options->ca_bundle);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpCtlRunOptions, run_options_clear)

static gboolean
check_options (KpCtlRunOptions *options,
               gboolean foreground,
               const char *sample,
               const char *max_delete,
               const char *max_files,
               const char *max_bytes,
               GError **error)
{
  const char *wrong = NULL;

  if (!kp_ctl_parse_share (sample, &options->sample, error))
    return FALSE;
  options->has_max_delete = max_delete != NULL;
  if (max_delete != NULL && !kp_ctl_parse_objects (max_delete, &options->max_delete, error))
    return FALSE;

  if ((max_files != NULL && !kp_ctl_parse_objects (max_files, &options->max_files, error))
      || (max_bytes != NULL && !kp_size_parse (max_bytes, &options->max_bytes, error)))
    return FALSE;
  if ((max_files != NULL || max_bytes != NULL) && !options->verify)
    wrong = "--max-files and --max-bytes are for --verify";
  else if (sample != NULL && !options->verify)
    wrong = "--sample is for --verify";
  else if (options->verify && (options->has_max_delete || options->accept_new_file_system))
    wrong = "--verify deletes nothing; leave --max-delete and --accept-new-file-system out";
  else if (foreground && options->detach)
    wrong = "--foreground and --detach contradict each other; give one of them";
  else if (!foreground
           && (options->profile != NULL || options->passwd_file != NULL
               || options->ca_bundle != NULL || options->scheduled))
    wrong = "--profile, --passwd-file, --ca-bundle and --scheduled are for --foreground; the agent "
            "takes keys from the keyring";
  if (wrong != NULL)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, wrong);
  return wrong == NULL;
}

KpExit
kp_ctl_run (char **arguments)
{
  KpCtlOptions common = { .json = FALSE };
  g_auto (KpCtlRunOptions) options = { .sample = 1 };
  gboolean foreground = FALSE;
  g_autofree char *sample = NULL;
  g_autofree char *max_delete = NULL;
  g_autofree char *max_files = NULL;
  g_autofree char *max_bytes = NULL;
  const GOptionEntry entries[] = {
    { "foreground", 0, 0, G_OPTION_ARG_NONE, &foreground,
      "Run it in this process, without agent and session", NULL },
    { "detach", 0, 0, G_OPTION_ARG_NONE, &options.detach,
      "Leave it to the agent and return at once", NULL },
    { "max-delete", 0, 0, G_OPTION_ARG_STRING, &max_delete, "Consent to up to so many deletions",
      "N" },
    { "accept-new-file-system", 0, 0, G_OPTION_ARG_NONE, &options.accept_new_file_system,
      "The folders have moved to another disk; deletions are meant", NULL },
    { "verify", 0, 0, G_OPTION_ARG_NONE, &options.verify,
      "Send nothing; read objects back and compare them with the files", NULL },
    { "sample", 0, 0, G_OPTION_ARG_STRING, &sample,
      "Only a share of the files: those not looked at for the longest time", "N%" },
    { "max-files", 0, 0, G_OPTION_ARG_STRING, &max_files, "At most so many, in the same order",
      "N" },
    { "max-bytes", 0, 0, G_OPTION_ARG_STRING, &max_bytes, "At most so much, as in 1G", "SIZE" },
    { "scheduled", 0, 0, G_OPTION_ARG_NONE, &options.scheduled,
      "Record it as scheduled, for timers", NULL },
    { "profile", 0, 0, G_OPTION_ARG_STRING, &options.profile, "Profile in ~/.aws/credentials",
      "NAME" },
    { "passwd-file", 0, 0, G_OPTION_ARG_FILENAME, &options.passwd_file,
      "File with ACCESS:SECRET, as for s3fs; its mode must be 600", "FILE" },
    { "ca-bundle", 0, 0, G_OPTION_ARG_FILENAME, &options.ca_bundle,
      "Certificate authorities to trust (PEM)", "FILE" },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &common.verbose, "Name each file (--foreground)",
      NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &common.json, "Print a JSON object a line", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "PLAN", "Runs a plan now.", examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("PLAN");
  if (!check_options (&options, foreground, sample, max_delete, max_files, max_bytes, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpPlan) plan = kp_ctl_load_plan (arguments[1], &error);
  if (plan == NULL)
    return kp_ctl_fail (error);
  if (options.ca_bundle == NULL)
    options.ca_bundle = g_strdup (g_getenv ("AWS_CA_BUNDLE"));
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&common, NULL, FALSE);
  return foreground ? kp_ctl_run_here (output, plan, &options)
                    : kp_ctl_run_by_agent (output, plan, &options);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "run" by the agent: asks for a job and watches it to its end. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-name.h"

#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

/* An agent notices a new plan within a second or so. */
#define PATIENCE (5 * G_TIME_SPAN_SECOND)
#define LOOK_AGAIN 100 /* milliseconds */

#define MAX_FAILURES 1000

typedef struct
{
  KpCtlOutput *output;
  KpDBusJob *job;
  GMainLoop *loop;
  guint n_notices; /* that were said */
  char *phase;     /* that was said */
} Watch;

/* --- the beginning -------------------------------------------------------------------------- */

static KpDBusPlan *
find_plan (KpDBusManager *manager, KpPlan *plan, GError **error)
{
  GDBusConnection *bus = g_dbus_proxy_get_connection (G_DBUS_PROXY (manager));
  gint64 deadline = g_get_monotonic_time () + PATIENCE;
  g_autofree char *path = NULL;
  g_autoptr (GError) local_error = NULL;

  while (!kp_dbus_manager_call_find_plan_sync (
      manager, kp_plan_get_id (plan), g_variant_new ("a{sv}", NULL), &path, NULL, &local_error))
    {
      if (!kp_error_is (local_error, KP_ERROR_NOT_FOUND) || g_get_monotonic_time () > deadline)
        {
          kp_ctl_explain_agent_error (&local_error);
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
      g_clear_error (&local_error);
      g_usleep (LOOK_AGAIN * 1000);
    }
  return kp_dbus_plan_proxy_new_sync (bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, KP_AGENT_BUS_NAME,
                                      path, NULL, error);
}

static GVariant *
make_options (const KpCtlRunOptions *options)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  if (options->verify)
    {
      g_variant_dict_insert (&dict, "kind", "s", "verify");
      g_variant_dict_insert (&dict, "sample", "d", options->sample);
      if (options->max_files > 0)
        g_variant_dict_insert (&dict, "max-files", "t", options->max_files);
      if (options->max_bytes > 0)
        g_variant_dict_insert (&dict, "max-bytes", "t", options->max_bytes);
    }
  if (options->has_max_delete)
    g_variant_dict_insert (&dict, "max-delete", "t", options->max_delete);
  if (options->accept_new_file_system)
    g_variant_dict_insert (&dict, "accept-new-file-system", "b", TRUE);
  return g_variant_dict_end (&dict);
}

/* Asks for the job. Where somebody sits at a terminal, the desktop may ask to unlock the keyring.
 */
static char *
ask_for_job (KpDBusPlan *plan, const KpCtlRunOptions *options, GError **error)
{
  char *path = NULL;
  g_autoptr (GError) local_error = NULL;

  g_dbus_proxy_set_default_timeout (G_DBUS_PROXY (plan), G_MAXINT);
  if (kp_dbus_plan_call_run_sync (plan, make_options (options), &path, NULL, &local_error))
    return path;
  if (!kp_error_is (local_error, KP_ERROR_KEYRING_LOCKED) || !isatty (STDERR_FILENO))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (!kp_dbus_plan_call_unlock_keyring_sync (plan, g_variant_new ("a{sv}", NULL), NULL, error)
      || !kp_dbus_plan_call_run_sync (plan, make_options (options), &path, NULL, error))
    return NULL;
  return path;
}

static KpDBusJob *
start (KpPlan *plan, const KpCtlRunOptions *options, GError **error)
{
  g_autofree char *path = NULL;
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (error);

  if (bus == NULL)
    {
      kp_ctl_add_remedy (error, "add --foreground to run the plan without an agent");
      return NULL;
    }
  g_autoptr (KpDBusManager) manager = kp_ctl_call_agent (bus, error);
  if (manager == NULL)
    {
      kp_ctl_add_remedy (error, "add --foreground to run the plan without an agent");
      return NULL;
    }
  g_autoptr (KpDBusPlan) there = find_plan (manager, plan, error);
  if (there == NULL)
    return NULL;
  g_autoptr (GError) local_error = NULL;
  KpDBusJob *job = NULL;
  path = ask_for_job (there, options, &local_error);
  if (path != NULL)
    job = kp_dbus_job_proxy_new_sync (bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, KP_AGENT_BUS_NAME,
                                      path, NULL, &local_error);
  if (job != NULL)
    return job;
  kp_ctl_explain_agent_error (&local_error);
  if (kp_error_is (local_error, KP_ERROR_BAD_CREDENTIALS))
    kp_ctl_add_remedy (&local_error, "keepsakectl credentials set asks for them");
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/* --- while it runs -------------------------------------------------------------------------- */

static const char *
get_state (Watch *watch)
{
  const char *state = kp_dbus_job_get_state (watch->job);

  return state != NULL ? state : "";
}

static gboolean
has_ended (Watch *watch)
{
  static const char *const ends[] = { "finished", "failed", "cancelled", NULL };

  return g_strv_contains (ends, get_state (watch));
}

static KpPhase
phase_of (const char *state)
{
  if (g_str_equal (state, "scanning"))
    return KP_PHASE_SCANNING;
  if (g_str_equal (state, "comparing"))
    return KP_PHASE_COMPARING;
  return g_str_equal (state, "transferring") ? KP_PHASE_TRANSFERRING : KP_PHASE_STARTING;
}

static void
say_notices (Watch *watch)
{
  const char *const *notices = kp_dbus_job_get_notices (watch->job);
  guint n = notices != NULL ? g_strv_length ((char **) notices) : 0;

  for (; watch->n_notices < n; watch->n_notices++)
    kp_ctl_output_event_cb (
        &(KpEvent){ .type = KP_EVENT_NOTICE, .text = notices[watch->n_notices] }, watch->output);
}

static void
say_phase (Watch *watch)
{
  const char *state = get_state (watch);
  KpPhase phase = phase_of (state);

  if (phase == KP_PHASE_STARTING || g_strcmp0 (watch->phase, state) == 0)
    return;
  g_free (watch->phase);
  watch->phase = g_strdup (state);
  kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_PHASE, .phase = phase }, watch->output);
}

static gboolean
progress_cb (void *data)
{
  Watch *watch = data;
  GVariant *there = kp_dbus_job_get_progress (watch->job);
  const char *state = get_state (watch);
  const char *waiting = kp_dbus_job_get_waiting (watch->job);
  gint64 left = -1;
  KpProgress progress = {
    .phase = phase_of (state),
    .files_scanned = kp_dbus_get_count (there, "files-scanned"),
    .objects_listed = kp_dbus_get_count (there, "objects-listed"),
    .actions_total = kp_dbus_get_count (there, "files-total"),
    .actions_done = kp_dbus_get_count (there, "files-done"),
    .bytes_total = kp_dbus_get_count (there, "bytes-total"),
    .bytes_done = kp_dbus_get_count (there, "bytes-done"),
    .bytes_moved = kp_dbus_get_count (there, "bytes-moved"),
    .failed = kp_dbus_get_count (there, "failed"),
  };

  if (there != NULL)
    g_variant_lookup (there, "left", "x", &left);
  if (progress.phase != KP_PHASE_STARTING)
    kp_ctl_output_progress (watch->output, &progress, kp_dbus_get_count (there, "rate"), left);
  else if (!kp_ctl_output_is_json (watch->output))
    {
      g_autofree char *text = g_strdup_printf (
          "%s%s%s", g_str_equal (state, "paused") ? "Paused" : "Waiting",
          waiting != NULL && *waiting != '\0' ? ": " : "", waiting != NULL ? waiting : "");
      kp_ctl_output_draw (watch->output, text);
    }
  return G_SOURCE_CONTINUE;
}

static void
changed_cb (GDBusProxy *proxy, GVariant *changed, GStrv invalidated, void *data)
{
  Watch *watch = data;

  say_notices (watch);
  say_phase (watch);
  if (has_ended (watch))
    g_main_loop_quit (watch->loop);
}

static void
owner_cb (GObject *object, GParamSpec *pspec, void *data)
{
  Watch *watch = data;

  g_main_loop_quit (watch->loop);
}

/* What is heard of the end is the state of the job; that it has ended before is no error. */
static gboolean
cancel_cb (void *data)
{
  Watch *watch = data;

  kp_dbus_job_call_cancel (watch->job, g_variant_new ("a{sv}", NULL), NULL, NULL, NULL);
  return G_SOURCE_CONTINUE;
}

static void
watch_to_end (Watch *watch)
{
  unsigned interval = kp_ctl_output_get_interval (watch->output);
  unsigned sources[] = { g_unix_signal_add (SIGINT, cancel_cb, watch),
                         g_unix_signal_add (SIGTERM, cancel_cb, watch),
                         g_unix_signal_add (SIGHUP, cancel_cb, watch),
                         interval > 0 ? g_timeout_add (interval, progress_cb, watch) : 0 };

  g_signal_connect (watch->job, "g-properties-changed", G_CALLBACK (changed_cb), watch);
  g_signal_connect (watch->job, "notify::g-name-owner", G_CALLBACK (owner_cb), watch);
  say_notices (watch);
  say_phase (watch);
  if (!has_ended (watch))
    g_main_loop_run (watch->loop);
  g_signal_handlers_disconnect_by_data (watch->job, watch);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != 0)
      g_source_remove (sources[i]);
  kp_ctl_output_end_progress (watch->output);
}

/* --- the end -------------------------------------------------------------------------------- */

static int
error_code_of (const char *name)
{
  for (int code = 0; code < KP_N_ERRORS; code++)
    if (g_str_equal (kp_error_name (code), name))
      return code;
  return KP_ERROR_FAILED;
}

static void
say_failures (Watch *watch)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GVariant) failures = NULL;
  g_autoptr (GError) call_error = NULL;
  GVariantIter iter;
  GVariant *path_bytes;
  const char *reason;
  const char *message;

  g_variant_dict_insert (&options, "limit", "u", MAX_FAILURES);
  if (!kp_dbus_job_call_get_failures_sync (watch->job, g_variant_dict_end (&options), &failures,
                                           NULL, &call_error))
    {
      g_debug ("%s", call_error->message);
      return;
    }
  g_variant_iter_init (&iter, failures);
  while (g_variant_iter_next (&iter, "(@ay&s&s)", &path_bytes, &reason, &message))
    {
      g_autoptr (GVariant) owned = path_bytes;
      g_autofree char *path = kp_dbus_dup_bytes (owned);
      g_autoptr (GError) error = g_error_new_literal (KP_ERROR, error_code_of (reason), message);
      kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_FAILED, .path = path, .error = error },
                              watch->output);
    }
}

static KpExit
fail_as (int domain_code, gboolean cancelled, const char *message)
{
  g_autoptr (GError) error = cancelled
                                 ? g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, message)
                                 : g_error_new_literal (KP_ERROR, domain_code, message);

  return kp_ctl_fail (error);
}

static KpExit
report_end (Watch *watch, const KpCtlRunOptions *options)
{
  GVariant *result = kp_dbus_job_get_result (watch->job);
  const char *state = get_state (watch);
  const char *reason = "failed";
  const char *message = "The job failed";
  const char *guard = NULL;

  if (!has_ended (watch))
    return fail_as (KP_ERROR_FAILED, FALSE,
                    "The agent ended while the job ran; it goes on when the agent starts again");
  if (result != NULL)
    {
      g_variant_lookup (result, "reason", "&s", &reason);
      g_variant_lookup (result, "message", "&s", &message);
      g_variant_lookup (result, "guard", "&s", &guard);
    }
  if (kp_dbus_get_count (result, "failed") > 0)
    say_failures (watch);
  if (!g_str_equal (state, "finished"))
    return fail_as (error_code_of (reason), g_str_equal (state, "cancelled"), message);

  KpHistoryCounts counts = {
    .put = kp_dbus_get_count (result, "put"),
    .delta = kp_dbus_get_count (result, "delta"),
    .copied = kp_dbus_get_count (result, "copied"),
    .metadata = kp_dbus_get_count (result, "metadata"),
    .deleted = kp_dbus_get_count (result, "deleted"),
    .unchanged = kp_dbus_get_count (result, "unchanged"),
    .failed = kp_dbus_get_count (result, "failed"),
    .bytes_sent = kp_dbus_get_count (result, "bytes-sent"),
    .bytes_saved = kp_dbus_get_count (result, "bytes-saved"),
  };
  KpHistoryCoverage coverage = { .objects = 0 };
  g_autoptr (GVariant) about = g_variant_lookup_value (result, "coverage", G_VARIANT_TYPE_VARDICT);
  if (about != NULL)
    {
      coverage = (KpHistoryCoverage){ .objects = kp_dbus_get_count (about, "objects"),
                                      .objects_proved = kp_dbus_get_count (about, "objects-proved"),
                                      .bytes = kp_dbus_get_count (about, "bytes"),
                                      .bytes_proved = kp_dbus_get_count (about, "bytes-proved") };
      g_variant_lookup (about, "oldest-proof", "x", &coverage.oldest_proof);
    }
  return kp_ctl_report_counts (watch->output, options->verify, &counts, &coverage,
                               (KpMirrorResult){
                                   .kept = kp_dbus_get_count (result, "kept"),
                                   .swept = kp_dbus_get_count (result, "swept"),
                                   .deletions_held = kp_dbus_get_count (result, "deletions-held"),
                                   .guard_reason = guard != NULL && *guard != '\0' ? guard : NULL,
                               });
}

/**
 * kp_ctl_run_by_agent:
 *
 * Has the agent run the job, and stays until its end unless it is to be detached.
 */
KpExit
kp_ctl_run_by_agent (KpCtlOutput *output, KpPlan *plan, const KpCtlRunOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpDBusJob) job = start (plan, options, &error);

  if (job == NULL)
    return kp_ctl_fail (error);
  if (options->detach)
    {
      if (kp_ctl_output_is_json (output))
        kp_ctl_output_json (output, "started", "id", "s", kp_plan_get_id (plan), "name", "s",
                            kp_plan_get_name (plan), NULL);
      else
        kp_ctl_output_line (output, "Begun; keepsakectl status says how it goes.");
      return KP_EXIT_DONE;
    }
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Watch watch = { .output = output, .job = job, .loop = loop };
  watch_to_end (&watch);
  g_free (watch.phase);
  return report_end (&watch, options);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-agent-variants.h"
#include "kp-autostart.h"
#include "kp-error.h"
#include "kp-preflight.h"
#include "kp-verify.h"

#include <string.h>

#define DEFAULT_HISTORY 100

static const char *const no_options[] = { NULL };

/* Answers with @error, which it takes; says to GDBus that this was handled. */
static gboolean
fail (GDBusMethodInvocation *invocation, GError *error)
{
  kp_dbus_return_error (invocation, error);
  return TRUE;
}

static gboolean
succeed (GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_value (invocation, NULL);
  return TRUE;
}

/* @error: (nullable): takes it */
static gboolean
finish (GDBusMethodInvocation *invocation, GError *error)
{
  return error != NULL ? fail (invocation, error) : succeed (invocation);
}

/* --- the manager ---------------------------------------------------------------------------- */

static gboolean
add_plan_cb (KpDBusManager *manager,
             GDBusMethodInvocation *invocation,
             const char *text,
             GVariant *options,
             KpAgent *self)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  g_autoptr (KpPlan) plan = kp_plan_new_from_json (text, "plan", &error);
  if (plan == NULL)
    return fail (invocation, error);
  const char *id = kp_plan_get_id (plan);
  if (kp_plan_store_get (self->store, id) != NULL)
    return fail (invocation, g_error_new (KP_ERROR, KP_ERROR_CONFLICT,
                                          "There is a plan with the id “%s” already", id));
  if (!kp_plan_store_save (self->store, plan, &error))
    return fail (invocation, error);
  g_autofree char *path = kp_dbus_plan_path (id);
  kp_dbus_manager_complete_add_plan (manager, invocation, path);
  return TRUE;
}

static gboolean
find_plan_cb (KpDBusManager *manager,
              GDBusMethodInvocation *invocation,
              const char *text,
              GVariant *options,
              KpAgent *self)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  /* Whoever asks may have changed it just now. */
  if (!kp_plan_store_load (self->store, &error))
    return fail (invocation, error);
  KpPlan *plan = kp_plan_store_find (self->store, text, &error);
  if (plan == NULL)
    return fail (invocation, error);
  g_autofree char *path = kp_dbus_plan_path (kp_plan_get_id (plan));
  kp_dbus_manager_complete_find_plan (manager, invocation, path);
  return TRUE;
}

static gboolean
pause_cb (KpDBusManager *manager,
          GDBusMethodInvocation *invocation,
          guint64 seconds,
          GVariant *options,
          KpAgent *self)
{
  GError *error = NULL;
  gboolean until_tomorrow = FALSE;
  gint64 now = kp_clock_get_now (self->clock);

  if (!kp_dbus_options_check (options, (const char *[]){ "until-tomorrow", "b", NULL }, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "until-tomorrow", "b", &until_tomorrow);
  if (until_tomorrow)
    kp_agent_set_paused (self, kp_agent_next_morning (self));
  else if (seconds == 0 || seconds > (guint64) (G_MAXINT64 - now))
    kp_agent_set_paused (self, KP_PAUSED_UNTIL_RESUMED);
  else
    kp_agent_set_paused (self, now + (gint64) seconds);
  return succeed (invocation);
}

static gboolean
resume_cb (KpDBusManager *manager,
           GDBusMethodInvocation *invocation,
           GVariant *options,
           KpAgent *self)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  kp_agent_set_paused (self, 0);
  return succeed (invocation);
}

static gboolean
set_upload_limit_cb (KpDBusManager *manager,
                     GDBusMethodInvocation *invocation,
                     gint64 rate,
                     GVariant *options,
                     KpAgent *self)
{
  GError *error = NULL;
  gboolean until_idle = FALSE;

  if (!kp_dbus_options_check (options, (const char *[]){ "until-idle", "b", NULL }, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "until-idle", "b", &until_idle);
  if (rate < KP_LIMIT_OF_PLANS)
    return fail (invocation,
                 g_error_new (KP_ERROR, KP_ERROR_USAGE,
                              "%" G_GINT64_FORMAT " is no rate; -1 stands for what plans say, 0 "
                              "for no limit",
                              rate));
  kp_agent_set_upload_limit (self, rate, until_idle);
  /* Whoever has the answer knows the limit, too. */
  kp_dbus_manager_set_upload_limit (manager, kp_agent_get_upload_limit (self));
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (manager));
  return succeed (invocation);
}

static void
autostart_set_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GDBusMethodInvocation) invocation = data;
  KpAgent *self = g_object_get_data (G_OBJECT (invocation), "agent");
  GError *error = NULL;

  if (!kp_autostart_set_finish (result, &error))
    g_debug ("%s", error->message);
  kp_dbus_manager_set_autostart (self->manager, kp_autostart_is_enabled ());
  finish (g_object_ref (invocation), error);
}

static gboolean
set_autostart_cb (KpDBusManager *manager,
                  GDBusMethodInvocation *invocation,
                  gboolean enabled,
                  GVariant *options,
                  KpAgent *self)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  g_object_set_data_full (G_OBJECT (invocation), "agent", g_object_ref (self), g_object_unref);
  kp_autostart_set_async (self->bus, enabled, autostart_set_cb, g_object_ref (invocation));
  g_object_unref (invocation);
  return TRUE;
}

static gboolean
quit_cb (KpDBusManager *manager,
         GDBusMethodInvocation *invocation,
         GVariant *options,
         KpAgent *self)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  succeed (invocation);
  kp_agent_quit (self);
  return TRUE;
}

/**
 * kp_agent_show_problems:
 *
 * Shows on the bus and at the desktop the files in the plans' folder that cannot be used; on the
 * bus also the folder itself where it cannot be watched, and the history where it could not be
 * used, or cannot be read.
 */
void
kp_agent_show_problems (KpAgent *self)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (self->store);
  const char *history_problem = kp_scheduler_get_history_problem (self->scheduler);
  GVariantBuilder builder;

  if (history_problem == NULL)
    history_problem = self->history_problem;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(ays)"));
  for (guint i = 0; i < problems->len; i++)
    {
      const KpPlanProblem *problem = g_ptr_array_index (problems, i);
      g_autofree char *message = g_utf8_make_valid (problem->error->message, -1);
      g_variant_builder_add (&builder, "(@ays)", kp_dbus_bytes (problem->path), message);
    }
  if (self->watch_problem != NULL)
    {
      const char *folder = kp_plan_store_get_directory (self->store);
      g_autofree char *message = g_utf8_make_valid (self->watch_problem, -1);
      g_variant_builder_add (&builder, "(@ays)", kp_dbus_bytes (folder), message);
    }
  if (history_problem != NULL)
    {
      g_autofree char *path = g_build_filename (self->state_dir, KP_HISTORY_FILE_NAME, NULL);
      g_autofree char *message = g_utf8_make_valid (history_problem, -1);
      g_variant_builder_add (&builder, "(@ays)", kp_dbus_bytes (path), message);
    }
  kp_dbus_manager_set_problems (self->manager, g_variant_builder_end (&builder));
  kp_agent_announce_plan_problems (self, problems);
}

void
kp_agent_connect_manager (KpAgent *self)
{
  g_autoptr (KpDBusObjectSkeleton) object = kp_dbus_object_skeleton_new (KP_AGENT_MANAGER_PATH);

  kp_dbus_manager_set_version (self->manager, KP_VERSION);
  kp_dbus_manager_set_state (self->manager, "idle");
  kp_dbus_manager_set_autostart (self->manager, kp_autostart_is_enabled ());
  kp_dbus_manager_set_upload_limit (self->manager, KP_LIMIT_OF_PLANS);
  g_signal_connect_object (self->manager, "handle-add-plan", G_CALLBACK (add_plan_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-find-plan", G_CALLBACK (find_plan_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-pause", G_CALLBACK (pause_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-resume", G_CALLBACK (resume_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-set-upload-limit",
                           G_CALLBACK (set_upload_limit_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-set-autostart", G_CALLBACK (set_autostart_cb),
                           self, 0);
  g_signal_connect_object (self->manager, "handle-quit", G_CALLBACK (quit_cb), self, 0);
  kp_agent_connect_manager_queries (self);
  kp_dbus_object_skeleton_set_manager (object, self->manager);
  g_dbus_object_manager_server_export (self->server, G_DBUS_OBJECT_SKELETON (object));
}

/* --- plans: jobs ---------------------------------------------------------------------------- */

/* What Run was asked for. */
typedef struct
{
  gboolean verify;
  double sample;
  guint64 max_files; /* 0: no bound */
  guint64 max_bytes; /* 0: no bound */
  gboolean has_max_delete;
  guint64 max_delete;
  gboolean accept_new_file_system;
} RunRequest;

static KpJob *
make_requested_job (KpAgentPlan *plan, const KpJobSettings *settings, void *data)
{
  const RunRequest *request = data;

  if (request->verify)
    {
      KpJob *verify = kp_job_new_verify (plan->plan, KP_HISTORY_MANUAL, settings, request->sample);
      kp_job_set_bounds (verify, request->max_files, request->max_bytes);
      return verify;
    }
  KpJob *job = kp_job_new_backup (plan->plan, KP_HISTORY_MANUAL, settings);
  if (request->has_max_delete)
    kp_job_consent (job, request->max_delete);
  if (request->accept_new_file_system)
    kp_job_accept_new_file_system (job);
  return job;
}

static void
job_begun_cb (GObject *source, GAsyncResult *result, void *data)
{
  GDBusMethodInvocation *invocation = data;
  GError *error = NULL;
  g_autoptr (KpAgentJob) job = kp_agent_run_finish (result, &error);

  if (job == NULL)
    fail (invocation, error);
  else
    g_dbus_method_invocation_return_value (invocation,
                                           g_variant_new ("(o)", kp_agent_job_get_path (job)));
}

static gboolean
read_run_request (GVariant *options, RunRequest *request, GError **error)
{
  static const char *const known[] = {
    "kind", "s",         "max-delete", "t",         "sample", "d",       "accept-new-file-system",
    "b",    "max-files", "t",          "max-bytes", "t",      "bounded", "b",
    NULL
  };
  const char *kind = "backup";
  gboolean bounded = FALSE;

  *request = (RunRequest){ .sample = 1 };
  if (!kp_dbus_options_check (options, known, error))
    return FALSE;
  g_variant_lookup (options, "kind", "&s", &kind);
  request->verify = g_str_equal (kind, "verify");
  request->has_max_delete = g_variant_lookup (options, "max-delete", "t", &request->max_delete);
  g_variant_lookup (options, "accept-new-file-system", "b", &request->accept_new_file_system);
  g_variant_lookup (options, "sample", "d", &request->sample);
  if (g_variant_lookup (options, "bounded", "b", &bounded) && bounded)
    {
      request->max_files = KP_VERIFY_MAX_FILES;
      request->max_bytes = KP_VERIFY_MAX_BYTES;
    }
  g_variant_lookup (options, "max-files", "t", &request->max_files);
  g_variant_lookup (options, "max-bytes", "t", &request->max_bytes);
  if (!request->verify && !g_str_equal (kind, "backup"))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "There is no kind of job “%s”; it is backup or verify", kind);
      return FALSE;
    }
  if (!(request->sample > 0 && request->sample <= 1))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "The sample must be above 0 and at most 1");
      return FALSE;
    }
  return TRUE;
}

static gboolean
run_cb (KpDBusPlan *skeleton,
        GDBusMethodInvocation *invocation,
        GVariant *options,
        KpAgentPlan *plan)
{
  RunRequest request;
  GError *error = NULL;

  if (!read_run_request (options, &request, &error))
    return fail (invocation, error);
  kp_agent_run_async (plan, make_requested_job, g_memdup2 (&request, sizeof request), g_free, FALSE,
                      TRUE, job_begun_cb, invocation);
  return TRUE;
}

/* What Restore was asked for. */
typedef struct
{
  char *path;
  char *target;
  KpRestoreOptions options;
  KpFilter *filter;
  char **paths;
} RestoreRequest;

static void
restore_request_free (void *data)
{
  RestoreRequest *request = data;

  g_free (request->path);
  g_free (request->target);
  kp_filter_unref (request->filter);
  g_strfreev (request->paths);
  g_free (request);
}

static KpJob *
make_restore (KpAgentPlan *plan, const KpJobSettings *settings, void *data)
{
  const RestoreRequest *request = data;

  return kp_job_new_restore (plan->plan, settings, request->path, request->target,
                             &request->options);
}

static gboolean
read_overwrite (GVariant *options, KpOverwrite *overwrite, GError **error)
{
  const char *name = "never";

  g_variant_lookup (options, "overwrite", "&s", &name);
  if (kp_overwrite_parse (name, overwrite))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is not known; overwrite is never, older or always", name);
  return FALSE;
}

static gboolean
read_restore_kind (GVariant *options, KpRestoreKind *kind, GError **error)
{
  const char *name = NULL;

  *kind = KP_RESTORE_ANY;
  g_variant_lookup (options, "kind", "&s", &name);
  if (name == NULL || kp_restore_kind_parse (name, kind))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is not known; kind is file or folder", name);
  return FALSE;
}

static gboolean
read_restore_request (GVariant *path,
                      GVariant *target,
                      GVariant *options,
                      RestoreRequest *request,
                      GError **error)
{
  static const char *const known[]
      = { "overwrite",      "s", "at",       "x", "paths", "aay", "exclude", "as",
          "no-space-check", "b", "retrieve", "s", "kind",  "s",   NULL };
  g_autofree const char **exclude = NULL;
  const char *retrieve = NULL;

  request->path = kp_dbus_dup_bytes (path);
  request->target = kp_dbus_dup_bytes (target);
  if (!kp_dbus_options_check (options, known, error)
      || !read_overwrite (options, &request->options.overwrite, error)
      || !read_restore_kind (options, &request->options.kind, error)
      || !kp_dbus_options_get_moment (options, &request->options.at, error))
    return FALSE;
  g_variant_lookup (options, "no-space-check", "b", &request->options.no_space_check);
  g_variant_lookup (options, "retrieve", "&s", &retrieve);
  if (retrieve != NULL && !kp_s3_tier_parse (retrieve, &request->options.retrieve, error))
    return FALSE;
  /* Nothing waits here for the archive, which may take days: no other job could begin meanwhile. */
  request->options.retrieve_poll = 0;
  g_variant_lookup (options, "paths", "^aay", &request->paths);
  g_variant_lookup (options, "exclude", "^a&s", &exclude);
  for (gsize i = 0; exclude != NULL && exclude[i] != NULL; i++)
    if (!kp_filter_add_exclude (request->filter, exclude[i], error))
      return FALSE;
  request->options.filter = request->filter;
  request->options.paths = (const char *const *) request->paths;
  if (!g_path_is_absolute (request->target)
      || strlen (request->target) != g_variant_n_children (target)
      || strlen (request->path) != g_variant_n_children (path))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "The target must be an absolute path, and neither path may hold a zero "
                           "byte");
      return FALSE;
    }
  return TRUE;
}

static gboolean
restore_cb (KpDBusPlan *skeleton,
            GDBusMethodInvocation *invocation,
            GVariant *path,
            GVariant *target,
            GVariant *options,
            KpAgentPlan *plan)
{
  RestoreRequest *request = g_new0 (RestoreRequest, 1);
  GError *error = NULL;

  request->filter = kp_filter_new ();
  if (!read_restore_request (path, target, options, request, &error))
    {
      restore_request_free (request);
      return fail (invocation, error);
    }
  kp_agent_run_async (plan, make_restore, request, restore_request_free, FALSE, FALSE, job_begun_cb,
                      invocation);
  return TRUE;
}

/* --- plans: the rest ------------------------------------------------------------------------ */

/* Somebody else may have saved the plan since the change was begun. */
static gboolean
check_is_still (KpPlanStore *store, const char *before, KpPlan *changed, GError **error)
{
  g_autoptr (KpPlan) old = kp_plan_new_from_json (before, "before", error);

  if (old == NULL || !kp_plan_store_load (store, error))
    return FALSE;
  KpPlan *now = kp_plan_store_get (store, kp_plan_get_id (changed));
  if (now != NULL && (kp_plan_equal (now, old) || kp_plan_equal (now, changed)))
    return TRUE;
  g_set_error (
      error, KP_ERROR, KP_ERROR_CONFLICT,
      "The plan “%s” was changed by somebody else meanwhile; open it again, to change what "
      "it is now",
      kp_plan_get_name (old));
  return FALSE;
}

static gboolean
update_cb (KpDBusPlan *skeleton,
           GDBusMethodInvocation *invocation,
           const char *text,
           GVariant *options,
           KpAgentPlan *plan)
{
  static const char *const known[] = { "before", "s", NULL };
  KpPlanStore *store = plan->agent->store;
  const char *before = NULL;
  GError *error = NULL;

  if (!kp_dbus_options_check (options, known, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "before", "&s", &before);
  g_autoptr (KpPlan) changed = kp_plan_new_from_json (text, "plan", &error);
  if (changed == NULL)
    return fail (invocation, error);
  if (!g_str_equal (kp_plan_get_id (changed), kp_plan_get_id (plan->plan)))
    return fail (invocation, g_error_new (KP_ERROR, KP_ERROR_USAGE,
                                          "This plan has the id “%s”; an id cannot be changed",
                                          kp_plan_get_id (plan->plan)));
  /* From here on the plan may be gone. */
  if ((before != NULL && !check_is_still (store, before, changed, &error))
      || !kp_plan_store_save (store, changed, &error))
    return fail (invocation, error);
  return succeed (invocation);
}

static void
erase_begun_cb (GObject *source, GAsyncResult *result, void *data)
{
  GError *error = NULL;
  g_autoptr (KpAgentJob) job = kp_agent_run_finish (result, &error);

  finish (data, error);
}

static gboolean
remove_cb (KpDBusPlan *skeleton,
           GDBusMethodInvocation *invocation,
           GVariant *options,
           KpAgentPlan *plan)
{
  static const char *const known[] = { "delete-objects", "b", "max-delete", "t", NULL };
  GError *error = NULL;
  gboolean delete_objects = FALSE;
  guint64 max_delete = G_MAXUINT64;

  if (!kp_dbus_options_check (options, known, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "delete-objects", "b", &delete_objects);
  if (g_variant_lookup (options, "max-delete", "t", &max_delete) && !delete_objects)
    return fail (invocation, g_error_new_literal (KP_ERROR, KP_ERROR_USAGE,
                                                  "“max-delete” is for “delete-objects”"));
  if (delete_objects)
    kp_agent_erase_async (plan, max_delete, erase_begun_cb, invocation);
  else if (!kp_agent_forget_plan (plan, &error))
    return fail (invocation, error);
  else
    return succeed (invocation);
  return TRUE;
}

typedef struct
{
  KpAgent *agent;
  GDBusMethodInvocation *invocation;
} Unlock;

static void
unlocked_cb (GObject *source, GAsyncResult *result, void *data)
{
  Unlock *unlock = data;
  GError *error = NULL;
  KpPreflight preflight;

  if (!kp_preflight_finish (result, &preflight, &error))
    g_debug ("%s", error->message);
  g_clear_pointer (&preflight.credentials, kp_s3_credentials_unref);
  finish (unlock->invocation, error);
  kp_agent_recheck_held_plans (unlock->agent);
  g_object_unref (unlock->agent);
  g_free (unlock);
}

static gboolean
unlock_keyring_cb (KpDBusPlan *skeleton,
                   GDBusMethodInvocation *invocation,
                   GVariant *options,
                   KpAgentPlan *plan)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, no_options, &error))
    return fail (invocation, error);
  Unlock *unlock = g_new0 (Unlock, 1);
  unlock->agent = g_object_ref (plan->agent);
  unlock->invocation = invocation;
  kp_preflight_async (plan->plan, TRUE, FALSE, unlocked_cb, unlock);
  return TRUE;
}

static gboolean
get_history_cb (KpDBusPlan *skeleton,
                GDBusMethodInvocation *invocation,
                GVariant *options,
                KpAgentPlan *plan)
{
  const char *id = kp_plan_get_id (plan->plan);
  KpHistory *history = plan->agent->history;
  GError *error = NULL;
  guint limit = DEFAULT_HISTORY;

  if (!kp_dbus_options_check (options, (const char *[]){ "limit", "u", NULL }, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "limit", "u", &limit);
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (history, id, limit, &error);
  if (jobs == NULL)
    return fail (invocation, error);
  g_autoptr (GPtrArray) skips = kp_history_list_skips (history, id, limit, &error);
  if (skips == NULL)
    return fail (invocation, error);
  kp_dbus_plan_complete_get_history (skeleton, invocation, kp_agent_variant_jobs (jobs),
                                     kp_agent_variant_skips (skips));
  return TRUE;
}

static gboolean
get_failures_cb (KpDBusPlan *skeleton,
                 GDBusMethodInvocation *invocation,
                 gint64 job_id,
                 GVariant *options,
                 KpAgentPlan *plan)
{
  KpHistory *history = plan->agent->history;
  GError *error = NULL;
  guint limit = KP_HISTORY_MAX_FAILURES;

  if (!kp_dbus_options_check (options, (const char *[]){ "limit", "u", NULL }, &error))
    return fail (invocation, error);
  g_variant_lookup (options, "limit", "u", &limit);
  g_autoptr (KpHistoryJob) job = kp_history_get_job (history, job_id, &error);
  if (job == NULL)
    return fail (invocation, error);
  if (!g_str_equal (job->plan_id, kp_plan_get_id (plan->plan)))
    return fail (invocation, g_error_new (KP_ERROR, KP_ERROR_NOT_FOUND,
                                          "This plan has no job %" G_GINT64_FORMAT, job_id));
  g_autoptr (GPtrArray) failures = kp_history_list_failures (history, job_id, limit, &error);
  if (failures == NULL)
    return fail (invocation, error);
  kp_dbus_plan_complete_get_failures (skeleton, invocation, kp_agent_variant_failures (failures));
  return TRUE;
}

void
kp_agent_connect_plan (KpAgentPlan *plan)
{
  static const struct
  {
    const char *signal;
    GCallback callback;
  } handlers[] = {
    { "handle-run", G_CALLBACK (run_cb) },
    { "handle-restore", G_CALLBACK (restore_cb) },
    { "handle-update", G_CALLBACK (update_cb) },
    { "handle-remove", G_CALLBACK (remove_cb) },
    { "handle-unlock-keyring", G_CALLBACK (unlock_keyring_cb) },
    { "handle-get-history", G_CALLBACK (get_history_cb) },
    { "handle-get-failures", G_CALLBACK (get_failures_cb) },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (handlers); i++)
    g_signal_connect (plan->skeleton, handlers[i].signal, handlers[i].callback, plan);
  kp_agent_connect_plan_queries (plan);
}

/* --- for tests ------------------------------------------------------------------------------ */

#ifdef KP_FAULT_INJECTION

static gboolean
set_time_cb (KpDBusTesting *testing, GDBusMethodInvocation *invocation, gint64 time, KpAgent *self)
{
  kp_clock_set_time (self->clock, time);
  kp_dbus_testing_complete_set_time (testing, invocation);
  return TRUE;
}

static gboolean
sleep_cb (KpDBusTesting *testing, GDBusMethodInvocation *invocation, gint64 seconds, KpAgent *self)
{
  kp_clock_sleep (self->clock, seconds);
  kp_dbus_testing_complete_sleep (testing, invocation);
  return TRUE;
}

static gboolean
settle_cb (KpDBusTesting *testing, GDBusMethodInvocation *invocation, KpAgent *self)
{
  g_ptr_array_add (self->settling, g_object_ref (invocation));
  kp_agent_consider_soon (self);
  return TRUE;
}

void
kp_agent_connect_testing (KpAgent *self)
{
  g_autoptr (KpDBusTesting) testing = NULL;
  g_autoptr (KpDBusObjectSkeleton) object = NULL;

  if (g_getenv ("KEEPSAKE_TEST_CLOCK") == NULL)
    return;
  testing = kp_dbus_testing_skeleton_new ();
  object = kp_dbus_object_skeleton_new (KP_AGENT_TESTING_PATH);
  g_signal_connect_object (testing, "handle-set-time", G_CALLBACK (set_time_cb), self, 0);
  g_signal_connect_object (testing, "handle-sleep", G_CALLBACK (sleep_cb), self, 0);
  g_signal_connect_object (testing, "handle-settle", G_CALLBACK (settle_cb), self, 0);
  kp_dbus_object_skeleton_set_testing (object, testing);
  g_dbus_object_manager_server_export (self->server, G_DBUS_OBJECT_SKELETON (object));
}

#else

void
kp_agent_connect_testing (KpAgent *self)
{
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-agent-job.h"

#include "kp-agent-variants.h"

struct _KpAgentJob
{
  GObject parent_instance;

  KpJob *job;
  char *path;
  KpS3Credentials *credentials; /* while it waits for its turn */
  gboolean started;
  gboolean notified;
  guint64 progress; /* when somebody looked last */
  gint64 moved_at;  /* when that was another one than the time before; 0: not looked at yet */
  KpDBusObjectSkeleton *object;
  KpDBusJob *skeleton;
};

G_DEFINE_FINAL_TYPE (KpAgentJob, kp_agent_job, G_TYPE_OBJECT)

static void
show_progress (KpAgentJob *self)
{
  g_autofree char *file = kp_job_dup_current_file (self->job);
  g_auto (GStrv) notices = kp_job_dup_notices (self->job);

  kp_dbus_job_set_progress (self->skeleton, kp_agent_variant_progress (self->job));
  kp_dbus_job_set_current_file (self->skeleton, file != NULL ? file : "");
  kp_dbus_job_set_notices (self->skeleton, (const char *const *) notices);
}

static void
show_state (KpAgentJob *self)
{
  const char *waiting = kp_job_get_waiting (self->job);

  self->moved_at = 0;
  kp_dbus_job_set_state (self->skeleton, kp_job_state_name (kp_job_get_state (self->job)));
  kp_dbus_job_set_waiting (self->skeleton, waiting != NULL ? waiting : "");
  show_progress (self);
  if (kp_job_has_ended (self->job))
    kp_dbus_job_set_result (self->skeleton, kp_agent_variant_result (self->job));
}

/* --- methods -------------------------------------------------------------------------------- */

static gboolean
reply (GDBusMethodInvocation *invocation, gboolean ok, GError *error)
{
  if (ok)
    g_dbus_method_invocation_return_value (invocation, NULL);
  else
    kp_dbus_return_error (invocation, error);
  return TRUE;
}

static gboolean
pause_cb (KpDBusJob *skeleton, GDBusMethodInvocation *invocation, GVariant *options, void *data)
{
  KpAgentJob *self = data;
  GError *error = NULL;
  gboolean ok = kp_dbus_options_check (options, (const char *[]){ NULL }, &error)
                && kp_job_pause (self->job, &error);

  return reply (invocation, ok, error);
}

static gboolean
resume_cb (KpDBusJob *skeleton, GDBusMethodInvocation *invocation, GVariant *options, void *data)
{
  KpAgentJob *self = data;
  GError *error = NULL;
  gboolean ok = kp_dbus_options_check (options, (const char *[]){ NULL }, &error)
                && kp_job_resume (self->job, &error);

  return reply (invocation, ok, error);
}

static gboolean
cancel_cb (KpDBusJob *skeleton, GDBusMethodInvocation *invocation, GVariant *options, void *data)
{
  g_autoptr (KpAgentJob) self = g_object_ref (data);
  GError *error = NULL;
  gboolean ok = kp_dbus_options_check (options, (const char *[]){ NULL }, &error)
                && kp_job_cancel (self->job, &error);

  return reply (invocation, ok, error);
}

static gboolean
get_failures_cb (KpDBusJob *skeleton,
                 GDBusMethodInvocation *invocation,
                 GVariant *options,
                 void *data)
{
  KpAgentJob *self = data;
  GError *error = NULL;
  guint limit = KP_HISTORY_MAX_FAILURES;

  if (!kp_dbus_options_check (options, (const char *[]){ "limit", "u", NULL }, &error))
    return reply (invocation, FALSE, error);
  g_variant_lookup (options, "limit", "u", &limit);
  g_autoptr (GPtrArray) failures = kp_job_list_failures (self->job, limit);
  kp_dbus_job_complete_get_failures (skeleton, invocation, kp_agent_variant_failures (failures));
  return TRUE;
}

/* --- the object ----------------------------------------------------------------------------- */

static void
kp_agent_job_finalize (GObject *object)
{
  KpAgentJob *self = KP_AGENT_JOB (object);

  g_clear_pointer (&self->credentials, kp_s3_credentials_unref);
  g_clear_object (&self->job);
  g_clear_object (&self->object);
  g_clear_object (&self->skeleton);
  g_free (self->path);
  G_OBJECT_CLASS (kp_agent_job_parent_class)->finalize (object);
}

static void
kp_agent_job_class_init (KpAgentJobClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_agent_job_finalize;
}

static void
kp_agent_job_init (KpAgentJob *self)
{
}

/**
 * kp_agent_job_new:
 * @number: of the job, as long as this agent lives
 * @now: seconds since 1970 UTC
 */
KpAgentJob *
kp_agent_job_new (KpJob *job, guint64 number, gint64 now)
{
  KpAgentJob *self = g_object_new (KP_TYPE_AGENT_JOB, NULL);

  self->job = g_object_ref (job);
  self->path = kp_dbus_job_path (number);
  self->skeleton = kp_dbus_job_skeleton_new ();
  g_autofree char *plan_path = kp_dbus_plan_path (kp_agent_job_get_plan_id (self));
  kp_dbus_job_set_plan (self->skeleton, plan_path);
  kp_dbus_job_set_kind (self->skeleton, kp_history_kind_name (kp_job_get_kind (job)));
  kp_dbus_job_set_trigger (self->skeleton, kp_history_trigger_name (kp_job_get_trigger (job)));
  kp_dbus_job_set_started (self->skeleton, now);
  kp_dbus_job_set_result (self->skeleton, g_variant_new ("a{sv}", NULL));
  show_state (self);

  g_signal_connect_object (job, "notify::state", G_CALLBACK (show_state), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (job, "notify::waiting", G_CALLBACK (show_state), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (job, "notify::fraction", G_CALLBACK (show_progress), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->skeleton, "handle-pause", G_CALLBACK (pause_cb), self, 0);
  g_signal_connect_object (self->skeleton, "handle-resume", G_CALLBACK (resume_cb), self, 0);
  g_signal_connect_object (self->skeleton, "handle-cancel", G_CALLBACK (cancel_cb), self, 0);
  g_signal_connect_object (self->skeleton, "handle-get-failures", G_CALLBACK (get_failures_cb),
                           self, 0);
  return self;
}

void
kp_agent_job_export (KpAgentJob *self, GDBusObjectManagerServer *server)
{
  self->object = kp_dbus_object_skeleton_new (self->path);
  kp_dbus_object_skeleton_set_job (self->object, self->skeleton);
  g_dbus_object_manager_server_export (server, G_DBUS_OBJECT_SKELETON (self->object));
}

void
kp_agent_job_unexport (KpAgentJob *self, GDBusObjectManagerServer *server)
{
  g_dbus_object_manager_server_unexport (server, self->path);
  g_clear_object (&self->object);
}

KpJob *
kp_agent_job_get_job (KpAgentJob *self)
{
  return self->job;
}

const char *
kp_agent_job_get_path (KpAgentJob *self)
{
  return self->path;
}

const char *
kp_agent_job_get_plan_id (KpAgentJob *self)
{
  return kp_plan_get_id (kp_job_get_plan (self->job));
}

gboolean
kp_agent_job_is_manual (KpAgentJob *self)
{
  return kp_job_get_trigger (self->job) == KP_HISTORY_MANUAL;
}

gboolean
kp_agent_job_has_started (KpAgentJob *self)
{
  return self->started;
}

/**
 * kp_agent_job_is_notified:
 *
 * Returns: whether a notification of its progress was shown
 */
gboolean
kp_agent_job_is_notified (KpAgentJob *self)
{
  return self->notified;
}

void
kp_agent_job_set_notified (KpAgentJob *self)
{
  self->notified = TRUE;
}

/**
 * kp_agent_job_get_started:
 *
 * Returns: when it was asked for; seconds since 1970 UTC
 */
gint64
kp_agent_job_get_started (KpAgentJob *self)
{
  return kp_dbus_job_get_started (self->skeleton);
}

/**
 * kp_agent_job_find_standstill:
 * @now: seconds since 1970 UTC
 *
 * Compares the job's progress with what it was when this was called before. Reading a large file to
 * compare it counts as a standstill.
 *
 * Returns: for how many seconds nothing has moved, as far as somebody looked
 */
gint64
kp_agent_job_find_standstill (KpAgentJob *self, gint64 now)
{
  KpProgress found;

  kp_job_get_progress (self->job, &found);
  guint64 progress = found.files_scanned + found.objects_listed + found.compared
                     + found.actions_done + found.bytes_moved + found.failed;
  if (self->moved_at == 0 || self->moved_at > now || progress != self->progress)
    {
      self->progress = progress;
      self->moved_at = now;
    }
  return now - self->moved_at;
}

/**
 * kp_agent_job_forget_standstill:
 *
 * The computer has slept, and the job with it.
 */
void
kp_agent_job_forget_standstill (KpAgentJob *self)
{
  self->moved_at = 0;
}

/**
 * kp_agent_job_set_credentials:
 *
 * Keeps the keys until the job starts, and no longer.
 */
void
kp_agent_job_set_credentials (KpAgentJob *self, KpS3Credentials *credentials)
{
  g_clear_pointer (&self->credentials, kp_s3_credentials_unref);
  self->credentials = kp_s3_credentials_ref (credentials);
}

void
kp_agent_job_start (KpAgentJob *self, GAsyncReadyCallback callback, void *user_data)
{
  g_return_if_fail (self->credentials != NULL && !self->started);

  self->started = TRUE;
  kp_job_execute_async (self->job, self->credentials, callback, user_data);
  g_clear_pointer (&self->credentials, kp_s3_credentials_unref);
}

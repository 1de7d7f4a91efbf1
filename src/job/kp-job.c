/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-job"

#include "kp-job-private.h"

#include "kp-error.h"
#include "kp-stored.h"

#define TICK 200 /* milliseconds */

enum
{
  PROP_0,
  PROP_STATE,
  PROP_WAITING,
  PROP_FRACTION,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (KpJob, kp_job, G_TYPE_OBJECT)

/* --- what is told --------------------------------------------------------------------------- */

static void
update_state (KpJob *self)
{
  KpJobState state = kp_job_get_state (self);

  if (state == self->shown)
    return;
  self->shown = state;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
}

static void
read_progress (KpJob *self)
{
  KpPhase phase = self->progress.phase;

  if (self->mirror != NULL)
    kp_mirror_get_progress (self->mirror, &self->progress);
  else if (self->restore != NULL)
    kp_restore_get_progress (self->restore, &self->progress);
  else if (self->verify != NULL)
    kp_verify_get_progress (self->verify, &self->progress);
  else if (self->erase != NULL)
    kp_erase_get_progress (self->erase, &self->progress);
  /* The engine has ended, and ended_cb() is on its way: until then all stays as it was. It may have
   * ended in any phase. */
  if (self->progress.phase == KP_PHASE_FINISHED)
    self->progress.phase = phase;
}

static gboolean
tick_cb (void *data)
{
  KpJob *self = data;

  read_progress (self);
  kp_pace_add (&self->pace, g_get_monotonic_time (), self->progress.bytes_moved);
  update_state (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_FRACTION]);
  return G_SOURCE_CONTINUE;
}

static void
stop_ticking (KpJob *self)
{
  if (self->ticker == NULL)
    return;
  g_source_destroy (self->ticker);
  g_clear_pointer (&self->ticker, g_source_unref);
}

static void
start_ticking (KpJob *self)
{
  if (self->ticker != NULL)
    return;
  self->pace = (KpPace){ .n = 0 };
  self->ticker = g_timeout_source_new (TICK);
  g_source_set_callback (self->ticker, tick_cb, self, NULL);
  g_source_attach (self->ticker, self->context);
}

/* Whoever shows how the job ended keeps it for long after that, and needs no keys. */
static void
forget_engine (KpJob *self)
{
  g_clear_object (&self->mirror);
  g_clear_object (&self->restore);
  g_clear_object (&self->verify);
  g_clear_object (&self->erase);
  g_clear_object (&self->service);
}

/* --- the run -------------------------------------------------------------------------------- */

/* Seconds since 1970, by the clock of whoever made the job. */
gint64
kp_job_get_now (KpJob *self)
{
  return self->clock != NULL ? self->clock (self->clock_data) : g_get_real_time () / G_USEC_PER_SEC;
}

static KpHistoryState
get_end_state (KpJob *self)
{
  if (self->result.error == NULL)
    return KP_HISTORY_FINISHED;
  if (!g_error_matches (self->result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return KP_HISTORY_FAILED;
  return self->interrupted ? KP_HISTORY_INTERRUPTED : KP_HISTORY_CANCELLED;
}

static void
record_end (KpJob *self)
{
  g_autoptr (GError) error = NULL;
  const char *reason;
  g_autofree char *message = kp_job_describe_result (self, &reason);

  self->ended = kp_job_get_now (self);
  if (self->history_id == 0)
    return;
  if (self->result.coverage.objects > 0
      && !kp_history_set_coverage (self->history, self->history_id, &self->result.coverage, &error))
    {
      g_warning ("%s", error->message);
      g_clear_error (&error);
    }
  if (!kp_history_end_job (self->history, self->history_id, get_end_state (self), reason, message,
                           &self->result.counts, self->ended, &error))
    g_warning ("%s", error->message);
}

/* Back in the owner's thread. */
static gboolean
ended_cb (void *data)
{
  KpJob *self = data;
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  g_clear_pointer (&self->thread, g_thread_join);
  stop_ticking (self);
  read_progress (self);
  forget_engine (self);
  if (self->result.error == NULL)
    self->end = KP_JOB_FINISHED;
  else if (g_error_matches (self->result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    self->end = KP_JOB_CANCELLED;
  else
    self->end = KP_JOB_FAILED;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_FRACTION]);
  update_state (self);

  if (self->result.error != NULL)
    g_task_return_error (task, g_error_copy (self->result.error));
  else
    g_task_return_boolean (task, TRUE);
  return G_SOURCE_REMOVE;
}

static void *
job_main (void *data)
{
  KpJob *self = data;
  g_autoptr (GError) error = NULL;

  if (!kp_job_work (self, &error))
    g_debug ("The job ended: %s", error->message);
  self->result.error = g_steal_pointer (&error);
  record_end (self);

  g_autoptr (GSource) source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, ended_cb, g_object_ref (self), g_object_unref);
  g_source_attach (source, self->context);
  return NULL;
}

static void
record_begin (KpJob *self)
{
  g_autoptr (GError) error = NULL;

  self->started = kp_job_get_now (self);
  if (self->history == NULL)
    return;
  self->history_id = kp_history_begin_job (self->history, kp_plan_get_id (self->plan), self->kind,
                                           self->trigger, self->started, &error);
  if (self->history_id != 0)
    return;
  /* The files matter more than what is written about them. */
  g_autofree char *notice
      = g_strconcat ("This job will be missing in the history: ", error->message, NULL);
  kp_job_keep_notice (self, notice);
  g_warning ("%s", notice);
}

/* --- the object ----------------------------------------------------------------------------- */

static void
kp_job_finalize (GObject *object)
{
  KpJob *self = KP_JOB (object);

  /* The thread, while it runs, and the source that ends it hold a reference. */
  stop_ticking (self);
  forget_engine (self);
  g_clear_object (&self->plan);
  g_clear_object (&self->upload);
  g_clear_object (&self->download);
  g_clear_pointer (&self->history, kp_history_unref);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->context, g_main_context_unref);
  g_clear_pointer (&self->notices, g_ptr_array_unref);
  g_clear_pointer (&self->failures, g_ptr_array_unref);
  g_clear_error (&self->result.error);
  g_free (self->result.guard_reason);
  g_free (self->state_dir);
  g_free (self->ca_bundle);
  g_free (self->path);
  g_free (self->target);
  g_clear_pointer (&self->restore_options.filter, kp_filter_unref);
  g_strfreev (self->paths);
  g_clear_pointer (&self->others, g_ptr_array_unref);
  g_free (self->waiting);
  g_free (self->current_file);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (kp_job_parent_class)->finalize (object);
}

static void
kp_job_get_property (GObject *object, guint property_id, GValue *value, GParamSpec *pspec)
{
  KpJob *self = KP_JOB (object);

  switch (property_id)
    {
    case PROP_STATE:
      g_value_set_int (value, (int) kp_job_get_state (self));
      break;
    case PROP_WAITING:
      g_value_set_string (value, self->waiting);
      break;
    case PROP_FRACTION:
      g_value_set_double (value, kp_job_get_fraction (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    }
}

static void
kp_job_class_init (KpJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->finalize = kp_job_finalize;
  object_class->get_property = kp_job_get_property;
  properties[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, KP_JOB_QUEUED, KP_JOB_CANCELLED,
                                             KP_JOB_QUEUED, flags);
  properties[PROP_WAITING] = g_param_spec_string ("waiting", NULL, NULL, NULL, flags);
  properties[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0, flags);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
kp_job_init (KpJob *self)
{
  g_mutex_init (&self->lock);
  self->context = g_main_context_ref_thread_default ();
  self->cancellable = g_cancellable_new ();
  self->notices = g_ptr_array_new_with_free_func (g_free);
  self->failures = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_history_failure_free);
}

static KpJob *
new_job (KpPlan *plan, KpHistoryKind kind, KpHistoryTrigger trigger, const KpJobSettings *settings)
{
  KpJob *self = g_object_new (KP_TYPE_JOB, NULL);

  self->plan = kp_plan_copy (plan);
  self->kind = kind;
  self->trigger = trigger;
  self->state_dir = g_strdup (settings->state_dir);
  self->ca_bundle = g_strdup (settings->ca_bundle);
  self->upload = g_object_ref (settings->upload);
  self->download = g_object_ref (settings->download);
  self->history = settings->history != NULL ? kp_history_ref (settings->history) : NULL;
  self->clock = settings->clock;
  self->clock_data = settings->clock_data;
  return self;
}

/**
 * kp_job_new_backup:
 * @plan: copied
 * @settings: copied
 */
KpJob *
kp_job_new_backup (KpPlan *plan, KpHistoryTrigger trigger, const KpJobSettings *settings)
{
  return new_job (plan, KP_HISTORY_BACKUP, trigger, settings);
}

/**
 * kp_job_new_verify:
 * @plan: copied
 * @settings: copied
 * @sample: which share of the files to read back: above 0, up to 1
 */
KpJob *
kp_job_new_verify (KpPlan *plan,
                   KpHistoryTrigger trigger,
                   const KpJobSettings *settings,
                   double sample)
{
  KpJob *self = new_job (plan, KP_HISTORY_VERIFY, trigger, settings);

  self->sample = sample;
  return self;
}

/**
 * kp_job_set_bounds:
 * @max_files: 0 for no bound
 * @max_bytes: 0 for no bound
 *
 * How much a verification reads at most, of what was not looked at for the longest time. For a job
 * that was not started yet.
 */
void
kp_job_set_bounds (KpJob *self, guint64 max_files, guint64 max_bytes)
{
  self->max_files = max_files;
  self->max_bytes = max_bytes;
}

/**
 * kp_job_new_restore:
 * @plan: copied
 * @settings: copied
 * @path: below the plan's prefix, bytes; "" for all
 * @target: folder to restore into
 * @options: copied
 */
KpJob *
kp_job_new_restore (KpPlan *plan,
                    const KpJobSettings *settings,
                    const char *path,
                    const char *target,
                    const KpRestoreOptions *options)
{
  KpJob *self = new_job (plan, KP_HISTORY_RESTORE, KP_HISTORY_MANUAL, settings);

  self->path = g_strdup (path);
  self->target = g_strdup (target);
  self->restore_options = *options;
  self->paths = g_strdupv ((char **) options->paths);
  self->restore_options.paths = (const char *const *) self->paths;
  if (options->filter != NULL)
    kp_filter_ref (options->filter);
  return self;
}

/**
 * kp_job_new_erase:
 * @plan: copied; no file of it is looked at
 * @settings: copied
 * @plans: (element-type KpPlan): all there are, copied; what another one covers stays
 *
 * Deletes what the storage holds of the plan. The plan itself stays, whoever made the job removes
 * it.
 */
KpJob *
kp_job_new_erase (KpPlan *plan, const KpJobSettings *settings, GListModel *plans)
{
  KpJob *self = new_job (plan, KP_HISTORY_ERASE, KP_HISTORY_MANUAL, settings);

  self->others = kp_stored_copy_others (plan, plans);
  return self;
}

/**
 * kp_job_spare:
 * @plans: (element-type KpPlan): as of now
 *
 * What these cover stays, too, beside what those cover of which the job knows: a plan may have come
 * since, and one whose file is damaged now is not among them. For a job of kp_job_new_erase() that
 * was not started yet.
 */
void
kp_job_spare (KpJob *self, GListModel *plans)
{
  g_autoptr (GPtrArray) now = kp_stored_copy_others (self->plan, plans);

  g_return_if_fail (self->kind == KP_HISTORY_ERASE);
  g_ptr_array_extend (self->others, now, (GCopyFunc) (void (*) (void)) g_object_ref, NULL);
}

/**
 * kp_job_consent:
 * @max_delete: how many objects may be deleted without the guard's asking; of a deletion of all
 *   that is stored: of how many somebody was told
 *
 * For a job that was not started yet.
 */
void
kp_job_consent (KpJob *self, guint64 max_delete)
{
  self->has_max_delete = TRUE;
  self->max_delete = max_delete;
}

/**
 * kp_job_accept_new_file_system:
 *
 * The sources have really moved to another disk. For a job that was not started yet.
 */
void
kp_job_accept_new_file_system (KpJob *self)
{
  self->accept_new_file_system = TRUE;
}

/**
 * kp_job_set_event_func:
 * @func: called from any thread, one at a time
 *
 * For a job that was not started yet.
 */
void
kp_job_set_event_func (KpJob *self, KpEventFunc func, void *user_data)
{
  self->event_func = func;
  self->event_data = user_data;
}

/**
 * kp_job_execute_async:
 * @callback: called in the job's main context, when the job's thread is no more
 *
 * Runs the job; once. kp_job_execute_finish() gives %G_IO_ERROR_PENDING for a second start.
 */
void
kp_job_execute_async (KpJob *self,
                      KpS3Credentials *credentials,
                      GAsyncReadyCallback callback,
                      void *user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  GError *error = NULL;

  g_task_set_source_tag (task, kp_job_execute_async);
  if (self->task != NULL || self->end != KP_JOB_QUEUED)
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_PENDING, "The job was started before");
      return;
    }
  record_begin (self);
  if (!kp_job_prepare (self, credentials, &error))
    {
      self->result.error = error;
      record_end (self);
      self->end = KP_JOB_FAILED;
      update_state (self);
      g_task_return_error (task, g_error_copy (error));
      return;
    }
  self->task = g_steal_pointer (&task);
  start_ticking (self);
  self->thread = g_thread_new ("keepsake-job", job_main, self);
  update_state (self);
}

/**
 * kp_job_execute_finish:
 * @error: what ended the job before its end: any #KpError, %G_IO_ERROR_CANCELLED, or
 *   %G_IO_ERROR_PENDING
 *
 * Files that failed alone are in the result and no error.
 */
gboolean
kp_job_execute_finish (KpJob *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- pause, resume, cancel ------------------------------------------------------------------ */

static gboolean
check_running (KpJob *self, GError **error)
{
  if (!kp_job_has_ended (self))
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT, "The job has ended already");
  return FALSE;
}

static void
hold_or_release (KpJob *self)
{
  gboolean held = self->paused || self->waiting != NULL;

  if (self->service != NULL)
    kp_s3_service_set_held (self->service, held);
  if (self->thread != NULL && held)
    stop_ticking (self);
  else if (self->thread != NULL)
    start_ticking (self);
  update_state (self);
}

/**
 * kp_job_pause:
 * @error: %KP_ERROR_CONFLICT when it has ended
 *
 * Requests under way go to their end, then the connections are closed. Pausing twice is once.
 */
gboolean
kp_job_pause (KpJob *self, GError **error)
{
  if (!check_running (self, error))
    return FALSE;
  self->paused = TRUE;
  hold_or_release (self);
  return TRUE;
}

/**
 * kp_job_resume:
 * @error: %KP_ERROR_CONFLICT when it has ended or was not paused
 */
gboolean
kp_job_resume (KpJob *self, GError **error)
{
  if (!check_running (self, error))
    return FALSE;
  if (!self->paused)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT, "The job is not paused");
      return FALSE;
    }
  self->paused = FALSE;
  hold_or_release (self);
  return TRUE;
}

/**
 * kp_job_cancel:
 * @error: %KP_ERROR_CONFLICT when it has ended
 *
 * Ends it soon. What was finished stays, uploads in parts are kept for the next job.
 */
gboolean
kp_job_cancel (KpJob *self, GError **error)
{
  if (!check_running (self, error))
    return FALSE;
  g_cancellable_cancel (self->cancellable);
  if (self->thread == NULL)
    {
      self->end = KP_JOB_CANCELLED;
      g_set_error_literal (&self->result.error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                           "Cancelled before it began");
      update_state (self);
    }
  return TRUE;
}

/**
 * kp_job_interrupt:
 *
 * Cancels the job because the process ends, and not because somebody does not want it. The history
 * says so, and whoever reads it knows that the job is still wanted; one that somebody has cancelled
 * is not.
 */
void
kp_job_interrupt (KpJob *self)
{
  if (self->interrupted || g_cancellable_is_cancelled (self->cancellable))
    return;
  self->interrupted = TRUE;
  if (!kp_job_has_ended (self) && !kp_job_cancel (self, NULL))
    g_warn_if_reached ();
}

/**
 * kp_job_make_way:
 *
 * Interrupts the job, which stands still, because another one need not.
 */
void
kp_job_make_way (KpJob *self)
{
  if (self->interrupted)
    return;
  kp_job_interrupt (self);
  self->made_way = self->interrupted;
}

/**
 * kp_job_set_waiting:
 * @reason: (nullable): a sentence for people; %NULL to go on
 *
 * Holds the job as a pause does, because of something that the user cannot or need not end.
 */
void
kp_job_set_waiting (KpJob *self, const char *reason)
{
  if (kp_job_has_ended (self) || g_strcmp0 (self->waiting, reason) == 0)
    return;
  g_free (self->waiting);
  self->waiting = g_strdup (reason);
  hold_or_release (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_WAITING]);
}

/* --- what is asked -------------------------------------------------------------------------- */

/**
 * kp_job_get_plan:
 *
 * Returns: (transfer none): the job's copy
 */
KpPlan *
kp_job_get_plan (KpJob *self)
{
  return self->plan;
}

KpHistoryKind
kp_job_get_kind (KpJob *self)
{
  return self->kind;
}

KpHistoryTrigger
kp_job_get_trigger (KpJob *self)
{
  return self->trigger;
}

KpJobState
kp_job_get_state (KpJob *self)
{
  if (self->end != KP_JOB_QUEUED)
    return self->end;
  if (self->paused)
    return KP_JOB_PAUSED;
  if (self->waiting != NULL)
    return KP_JOB_WAITING;
  if (self->task == NULL)
    return KP_JOB_QUEUED;

  switch (self->progress.phase)
    {
    case KP_PHASE_COMPARING:
      return KP_JOB_COMPARING;
    case KP_PHASE_TRANSFERRING:
    case KP_PHASE_DELETING:
      return KP_JOB_TRANSFERRING;
    case KP_PHASE_STARTING:
    case KP_PHASE_SCANNING:
    case KP_PHASE_FINISHED:
    default:
      return KP_JOB_SCANNING;
    }
}

gboolean
kp_job_has_ended (KpJob *self)
{
  return self->end != KP_JOB_QUEUED;
}

/**
 * kp_job_get_waiting:
 *
 * Returns: (nullable): why it waits
 */
const char *
kp_job_get_waiting (KpJob *self)
{
  return self->waiting;
}

/**
 * kp_job_get_progress:
 * @progress: (out): as of the last tenth of a second or so
 */
void
kp_job_get_progress (KpJob *self, KpProgress *progress)
{
  *progress = self->progress;
}

/**
 * kp_job_get_fraction:
 *
 * Returns: how much of what there is to move has moved, from 0 to 1
 */
double
kp_job_get_fraction (KpJob *self)
{
  if (self->end == KP_JOB_FINISHED)
    return 1;
  if (self->progress.bytes_total > 0)
    return MIN ((double) self->progress.bytes_moved / (double) self->progress.bytes_total, 1);
  if (self->progress.actions_total > 0)
    return MIN ((double) self->progress.actions_done / (double) self->progress.actions_total, 1);
  return 0;
}

/**
 * kp_job_get_rate:
 *
 * Returns: bytes per second over the last seconds
 */
guint64
kp_job_get_rate (KpJob *self)
{
  return self->ticker != NULL ? kp_pace_get_rate (&self->pace) : 0;
}

/**
 * kp_job_get_seconds_left:
 *
 * Returns: at the present pace and limit; -1 when there is no telling
 */
gint64
kp_job_get_seconds_left (KpJob *self)
{
  const KpProgress *progress = &self->progress;
  KpThrottle *throttle = self->kind == KP_HISTORY_BACKUP ? self->upload : self->download;

  if (self->ticker == NULL || progress->phase != KP_PHASE_TRANSFERRING)
    return -1;
  return kp_pace_get_seconds_left (
      &self->pace, progress->bytes_total - MIN (progress->bytes_moved, progress->bytes_total),
      kp_throttle_get_rate (throttle));
}

/**
 * kp_job_dup_current_file:
 *
 * Returns: (transfer full) (nullable): the last that was dealt with, for people to read
 */
char *
kp_job_dup_current_file (KpJob *self)
{
  g_mutex_lock (&self->lock);
  char *file = g_strdup (self->current_file);
  g_mutex_unlock (&self->lock);
  return file;
}

/**
 * kp_job_dup_notices:
 *
 * Returns: (transfer full): sentences that the user should see
 */
GStrv
kp_job_dup_notices (KpJob *self)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->notices->len; i++)
    g_strv_builder_add (builder, g_ptr_array_index (self->notices, i));
  g_mutex_unlock (&self->lock);
  return g_strv_builder_end (builder);
}

/**
 * kp_job_list_failures:
 * @limit: how many at most; of more than %KP_HISTORY_MAX_FAILURES only the number is known
 *
 * Returns: (transfer full) (element-type KpHistoryFailure): in the order in which they failed, but
 *   damage that a verification has found first
 */
GPtrArray *
kp_job_list_failures (KpJob *self, guint limit)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_history_failure_free);

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < MIN (limit, self->failures->len); i++)
    {
      const KpHistoryFailure *failure = g_ptr_array_index (self->failures, i);
      KpHistoryFailure *copy = g_new0 (KpHistoryFailure, 1);
      copy->path = g_strdup (failure->path);
      copy->reason = g_strdup (failure->reason);
      copy->message = g_strdup (failure->message);
      g_ptr_array_add (list, copy);
    }
  g_mutex_unlock (&self->lock);
  return list;
}

/**
 * kp_job_get_result:
 *
 * Returns: (transfer none) (nullable): what came of it; %NULL while it has not ended
 */
const KpJobResult *
kp_job_get_result (KpJob *self)
{
  return kp_job_has_ended (self) ? &self->result : NULL;
}

/**
 * kp_job_describe_end:
 * @reason: (out) (nullable): for scripts
 *
 * Returns: (transfer full) (nullable): what did not go well, as a sentence
 */
char *
kp_job_describe_end (KpJob *self, const char **reason)
{
  g_return_val_if_fail (kp_job_has_ended (self), NULL);
  return kp_job_describe_result (self, reason);
}

/**
 * kp_job_dup_record:
 *
 * Returns: (transfer full) (nullable): the job, which has ended, as it should be in the history,
 *   whether it is or not; %NULL when it ended before it began
 */
KpHistoryJob *
kp_job_dup_record (KpJob *self)
{
  const char *reason;

  g_return_val_if_fail (kp_job_has_ended (self), NULL);
  if (self->started == 0)
    return NULL;
  KpHistoryJob *record = g_new0 (KpHistoryJob, 1);
  record->id = self->history_id;
  record->plan_id = g_strdup (kp_plan_get_id (self->plan));
  record->kind = self->kind;
  record->trigger = self->trigger;
  record->started = self->started;
  record->ended = self->ended;
  record->state = get_end_state (self);
  record->message = kp_job_describe_result (self, &reason);
  record->reason = g_strdup (reason);
  record->counts = self->result.counts;
  record->coverage = self->result.coverage;
  return record;
}

/**
 * kp_job_get_history_id:
 *
 * Returns: its number in the history; 0 when it is not there
 */
gint64
kp_job_get_history_id (KpJob *self)
{
  return self->history_id;
}

/**
 * kp_job_state_name:
 *
 * Returns: the state as scripts see it ("transferring"), never translated
 */
const char *
kp_job_state_name (KpJobState state)
{
  static const char *const names[] = { "queued", "scanning", "comparing", "transferring", "waiting",
                                       "paused", "finished", "failed",    "cancelled" };

  return names[state];
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-job"

#include "kp-job-private.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-stored.h"

#define MAX_NOTICES 100

/* --- what happens while it works ------------------------------------------------------------ */

/* Whether it is damage that a verification has found, and not only what could not be read. */
static gboolean
is_mismatch (KpJob *self, const GError *error)
{
  static const KpError codes[] = { KP_ERROR_CORRUPT, KP_ERROR_NOT_FOUND, KP_ERROR_CONFLICT };

  for (gsize i = 0; self->kind == KP_HISTORY_VERIFY && i < G_N_ELEMENTS (codes); i++)
    if (kp_error_is (error, codes[i]))
      return TRUE;
  return FALSE;
}

/* Damage goes before the rest, and where there are too many takes the place of another, so that
 * whatever else fails does not hide it.
 *
 * Returns: (transfer full) (nullable): in whose place it is */
static KpHistoryFailure *
insert_failure (KpJob *self, KpHistoryFailure *failure, gboolean is_damage)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  KpHistoryFailure *replaced = NULL;

  if (self->failures->len < KP_HISTORY_MAX_FAILURES)
    g_ptr_array_insert (self->failures, is_damage ? (int) self->n_mismatches : -1, failure);
  else if (is_damage && self->n_mismatches < self->failures->len)
    {
      replaced = self->failures->pdata[self->n_mismatches];
      self->failures->pdata[self->n_mismatches] = failure;
    }
  else
    {
      kp_history_failure_free (failure);
      return NULL;
    }
  self->n_mismatches += is_damage;
  return replaced;
}

static void
keep_failure (KpJob *self, const KpEvent *event)
{
  const char *reason
      = event->error->domain == KP_ERROR ? kp_error_name (event->error->code) : "failed";
  const char *message = event->error->message;
  KpHistoryFailure *failure = g_new0 (KpHistoryFailure, 1);
  g_autoptr (GError) error = NULL;

  failure->path = g_strdup (event->path);
  failure->reason = g_strdup (reason);
  failure->message = g_strdup (message);
  g_autoptr (KpHistoryFailure) replaced
      = insert_failure (self, failure, is_mismatch (self, event->error));
  if (self->history_id != 0
      && !kp_history_add_failure (self->history, self->history_id, replaced, event->path, reason,
                                  message, &error))
    g_warning ("%s", error->message);
}

/**
 * kp_job_keep_notice:
 * @text: a sentence that the user should see
 *
 * From any thread.
 */
void
kp_job_keep_notice (KpJob *self, const char *text)
{
  g_mutex_lock (&self->lock);
  if (self->notices->len < MAX_NOTICES)
    g_ptr_array_add (self->notices, g_strdup (text));
  g_mutex_unlock (&self->lock);
}

/* That something may be missing from here on has to be known even if nobody lives to say so. */
static void
note_deletion (KpJob *self)
{
  g_autoptr (GError) error = NULL;
  KpProgress progress;

  if (self->history_id == 0)
    return;
  kp_erase_get_progress (self->erase, &progress);
  KpHistoryCounts counts = { .unchanged = progress.actions_total };
  if (!kp_history_set_counts (self->history, self->history_id, &counts, &error))
    g_warning ("%s", error->message);
}

/* From any thread, one at a time. */
static void
event_cb (const KpEvent *event, void *user_data)
{
  KpJob *self = user_data;

  switch (event->type)
    {
    case KP_EVENT_DONE:
      g_mutex_lock (&self->lock);
      g_free (self->current_file);
      self->current_file = kp_name_display (event->path);
      g_mutex_unlock (&self->lock);
      break;
    case KP_EVENT_FAILED:
      keep_failure (self, event);
      break;
    case KP_EVENT_NOTICE:
      kp_job_keep_notice (self, event->text);
      break;
    case KP_EVENT_PHASE:
      if (event->phase == KP_PHASE_DELETING && self->erase != NULL)
        note_deletion (self);
      break;
    default:
      break;
    }
  if (self->event_func != NULL)
    self->event_func (event, self->event_data);
}

static void
service_notice_cb (const char *sentence, void *user_data)
{
  event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE, .text = sentence }, user_data);
}

/* --- before it begins ----------------------------------------------------------------------- */

static KpFilter *
make_filter (KpJob *self, GError **error)
{
  g_autoptr (KpFilter) filter = kp_filter_new ();
  const char *const *patterns = kp_plan_get_exclude (self->plan);

  for (gsize i = 0; patterns[i] != NULL; i++)
    if (!kp_filter_add_exclude (filter, patterns[i], error))
      return NULL;
  return g_steal_pointer (&filter);
}

static void
prepare_backup (KpJob *self, KpFilter *filter)
{
  const char *storage_class = kp_plan_get_storage_class (self->plan);
  KpPlanDelete delete = kp_plan_get_delete (self->plan);
  KpMirrorOptions options = {
    .state_dir = self->state_dir,
    .filter = filter,
    .storage_class = *storage_class != '\0' ? storage_class : NULL,
    .delete_vanished = delete != KP_PLAN_DELETE_NEVER,
    .keep_days = delete == KP_PLAN_DELETE_KEEP ? kp_plan_get_keep_days (self->plan) : 0,
    .has_max_delete = self->has_max_delete,
    .max_delete = self->max_delete,
    .accept_new_file_system = self->accept_new_file_system,
    /* Nobody reads what a job has noticed. */
    .misses_disks = TRUE,
  };
  GPtrArray *sources = kp_plan_get_sources (self->plan);

  self->mirror = kp_mirror_new (self->service, &options, event_cb, self);
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      kp_mirror_add_source (self->mirror, source->path, source->as);
    }
}

static void
prepare_verify (KpJob *self, KpFilter *filter)
{
  KpVerifyOptions options = { .state_dir = self->state_dir,
                              .filter = filter,
                              .sample = self->sample,
                              .max_files = self->max_files,
                              .max_bytes = self->max_bytes,
                              .now = kp_job_get_now (self) };
  GPtrArray *sources = kp_plan_get_sources (self->plan);

  self->verify = kp_verify_new (self->service, &options, event_cb, self);
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      kp_verify_add_source (self->verify, source->path, source->as);
    }
}

static void
prepare_restore (KpJob *self)
{
  self->restore_options.state_dir = self->state_dir;
  self->restore
      = kp_restore_new (self->service, self->target, &self->restore_options, event_cb, self);
}

static void
prepare_erase (KpJob *self)
{
  self->erase = kp_stored_new_erase (self->plan, self->others, self->service, self->state_dir,
                                     event_cb, self);
  if (self->has_max_delete)
    kp_erase_consent (self->erase, self->max_delete);
}

static KpS3Location *
find_location (KpJob *self, GError **error)
{
  if (self->path == NULL || *self->path == '\0')
    return kp_plan_dup_location (self->plan, error);

  g_autoptr (KpPlan) below = kp_plan_copy (self->plan);
  g_autofree char *prefix
      = g_strconcat (kp_plan_get_prefix (self->plan),
                     *kp_plan_get_prefix (self->plan) != '\0' ? "/" : "", self->path, NULL);
  kp_plan_set_prefix (below, prefix);
  return kp_plan_dup_location (below, error);
}

/**
 * kp_job_prepare:
 * @error: %KP_ERROR_USAGE when the plan cannot work
 *
 * Puts together what does the work. Nothing is sent yet.
 */
gboolean
kp_job_prepare (KpJob *self, KpS3Credentials *credentials, GError **error)
{
  g_autoptr (KpTimetable) limits = kp_plan_dup_limits (self->plan, error);
  if (limits == NULL)
    return FALSE;
  g_autoptr (KpFilter) filter = make_filter (self, error);
  if (filter == NULL)
    return FALSE;
  g_autoptr (KpS3Location) location = find_location (self, error);
  if (location == NULL)
    return FALSE;
  self->service = kp_s3_service_new (location, credentials, self->ca_bundle, self->upload,
                                     self->download, error);
  if (self->service == NULL)
    return FALSE;

  kp_throttle_set_timetable (self->upload, limits, KP_DIRECTION_UP);
  kp_throttle_set_timetable (self->download, limits, KP_DIRECTION_DOWN);
  kp_s3_service_set_notice_func (self->service, service_notice_cb, self);
  kp_s3_service_set_held (self->service, self->paused || self->waiting != NULL);
  switch (self->kind)
    {
    case KP_HISTORY_RESTORE:
      prepare_restore (self);
      break;
    case KP_HISTORY_VERIFY:
      prepare_verify (self, filter);
      break;
    case KP_HISTORY_ERASE:
      prepare_erase (self);
      break;
    case KP_HISTORY_BACKUP:
    default:
      prepare_backup (self, filter);
      break;
    }
  return TRUE;
}

/* --- the work ------------------------------------------------------------------------------- */

static gboolean
run_backup (KpJob *self, GError **error)
{
  KpMirrorResult result;

  gboolean ok = kp_mirror_run (self->mirror, self->cancellable, error);
  kp_mirror_get_result (self->mirror, &result);
  self->result.counts = (KpHistoryCounts){
    .put = result.put,
    .delta = result.delta,
    .copied = result.copied,
    .metadata = result.metadata,
    .deleted = result.deleted,
    .unchanged = result.unchanged,
    .failed = result.failed,
    .bytes_sent = result.bytes_sent,
    .bytes_saved = result.bytes_saved,
  };
  self->result.kept = result.kept;
  self->result.swept = result.swept;
  self->result.still_damaged = result.still_damaged;
  self->result.deletions_held = result.deletions_held;
  self->result.guard_reason = g_strdup (result.guard_reason);
  return ok;
}

static gboolean
run_restore (KpJob *self, GError **error)
{
  KpRestoreResult result;

  gboolean ok = kp_restore_run (self->restore, self->cancellable, error);
  kp_restore_get_result (self->restore, &result);
  self->result.counts = (KpHistoryCounts){ .put = result.restored,
                                           .unchanged = result.unchanged + result.kept,
                                           .failed = result.failed,
                                           .bytes_sent = result.bytes };
  self->result.archived = result.archived;
  self->result.requested = result.requested;
  return ok;
}

static gboolean
run_verify (KpJob *self, GError **error)
{
  KpVerifyResult result;

  gboolean ok = kp_verify_run (self->verify, self->cancellable, error);
  kp_verify_get_result (self->verify, &result);
  self->result.counts
      = (KpHistoryCounts){ .unchanged = result.equal,
                           .put = result.changed,
                           .failed = result.missing + result.damaged + result.failed,
                           .bytes_sent = result.bytes };
  if (ok && result.has_coverage)
    self->result.coverage = (KpHistoryCoverage){
      .objects = result.coverage.objects,
      .objects_proved = result.coverage.objects_proved,
      .bytes = result.coverage.bytes,
      .bytes_proved = result.coverage.bytes_proved,
      .oldest_proof = result.coverage.oldest_proof,
    };
  return ok;
}

static gboolean
run_erase (KpJob *self, GError **error)
{
  KpEraseResult result;

  gboolean ok = kp_erase_run (self->erase, self->cancellable, error);
  kp_erase_get_result (self->erase, &result);
  self->result.counts = (KpHistoryCounts){ .deleted = result.deleted,
                                           .unchanged = result.remaining,
                                           .failed = result.failed };
  self->result.erased_bytes = result.deleted_bytes;
  self->result.spared = result.spared;
  return ok;
}

/**
 * kp_job_work:
 * @error: what ended it before its end: any #KpError, or %G_IO_ERROR_CANCELLED
 *
 * Does it, in the job's thread. The result is in the job however it ends.
 */
gboolean
kp_job_work (KpJob *self, GError **error)
{
  if (self->mirror != NULL)
    return run_backup (self, error);
  if (self->restore != NULL)
    return run_restore (self, error);
  if (self->erase != NULL)
    return run_erase (self, error);
  return run_verify (self, error);
}

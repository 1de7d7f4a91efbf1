/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* What came of the actions of a transfer. Workers hand their tasks back; the job's thread records
 * in the catalogue what the server has confirmed, counts and reports, and finds out whether it is
 * of use to go on. */

#include "kp-content.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-transfer-private.h"

/* How long a finished action may wait to be recorded, in microseconds. The queue of the pool is
 * long enough for the workers meanwhile. */
#define RECORD_WITHIN (15 * G_TIME_SPAN_MILLISECOND)

/* How long a worker waits for a record before it looks whether the job was cancelled. */
#define LOOK_AGAIN (50 * G_TIME_SPAN_MILLISECOND)

/* So many files in a row that the server would not take, and the job stops asking. */
#define MAX_SERVER_FAILURES 10

/* The same for what it says it will never take, if it has taken nothing so far: else it is the
 * names that it does not like. */
#define MAX_REFUSALS 100

/* Gives the number of the task. */
static guint64
hand_back (KpTask *task)
{
  KpTransfer *transfer = task->transfer;

  g_mutex_lock (&transfer->lock);
  guint64 number = ++transfer->n_results;
  if (task->is_awaited)
    transfer->wake_at = 0;
  g_async_queue_push (transfer->results, task);
  if (number >= transfer->wake_at)
    g_cond_signal (&transfer->enough_results);
  g_mutex_unlock (&transfer->lock);
  return number;
}

/**
 * kp_task_finish:
 * @task: (transfer full)
 *
 * Hands a task back to the job's thread, with what came of it.
 */
void
kp_task_finish (KpTask *task)
{
  hand_back (task);
}

/**
 * kp_task_finish_and_wait:
 * @task: (transfer full)
 * @error: %G_IO_ERROR_CANCELLED, as a job that ends cancels the wait
 *
 * The same, and waits until what it says is recorded.
 */
gboolean
kp_task_finish_and_wait (KpTask *task, GError **error)
{
  KpTransfer *transfer = task->transfer;
  GCancellable *cancellable = transfer->mirror->cancellable;

  task->is_awaited = TRUE;
  guint64 number = hand_back (task);
  g_mutex_lock (&transfer->lock);
  while (transfer->n_recorded < number && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&transfer->recorded_more, &transfer->lock,
                       g_get_monotonic_time () + LOOK_AGAIN);
  g_mutex_unlock (&transfer->lock);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* Tells those who wait that @n more tasks are in the catalogue. */
static void
announce_recorded (KpTransfer *transfer, unsigned n)
{
  g_mutex_lock (&transfer->lock);
  transfer->n_recorded += n;
  g_cond_broadcast (&transfer->recorded_more);
  g_mutex_unlock (&transfer->lock);
}

static void
count_result (KpMirror *mirror, const KpTask *task)
{
  KpMirrorResult *result = &mirror->result;

  result->bytes_sent += task->bytes;
  switch (task->carried_out)
    {
    case KP_ACTION_ASSEMBLE:
    case KP_ACTION_DELTA:
      result->delta++;
      result->bytes_saved += task->known.info.size - MIN (task->bytes, task->known.info.size);
      break;
    case KP_ACTION_RENAME:
    case KP_ACTION_COPY:
    case KP_ACTION_LINK:
      result->copied++;
      result->bytes_saved += task->known.info.size;
      break;
    case KP_ACTION_METADATA:
      result->metadata++;
      result->bytes_saved += task->known.info.size;
      break;
    case KP_ACTION_PUT:
    case KP_ACTION_DELETE:
    default:
      result->put++;
      break;
    }
}

/* What the catalogue learns of a finished action: the object, and the insides of a large one, which
 * a copy shares with what it was copied from. */
static gboolean
record_object (KpMirror *mirror, KpTask *task, GError **error)
{
  KpCatalogue *catalogue = mirror->catalogue;
  const KpChange *change = &task->change;
  const char *key = change->local.key;

  if (change->action != KP_ACTION_PUT && change->action != KP_ACTION_DELTA
      && !kp_catalogue_remove_doubt (catalogue, key, error))
    return FALSE;
  /* A new object: nobody has read it back yet, whatever was said of the one before. */
  if (!kp_catalogue_remove_proof (catalogue, key, error)
      || !kp_catalogue_remove_damaged (catalogue, key, error))
    return FALSE;
  if (!S_ISREG (task->known.info.mode) || task->known.info.size <= KP_PART_SIZE)
    return kp_catalogue_put_known (catalogue, key, &task->known, error);
  if (task->chunks == NULL && change->has_known && task->carried_out != KP_ACTION_PUT)
    {
      const char *from_key = change->from_key != NULL ? change->from_key : key;
      task->chunks = kp_catalogue_get_chunks (catalogue, from_key, change->known.etag, error);
      if (task->chunks == NULL)
        return FALSE;
    }
  return kp_catalogue_put_known (catalogue, key, &task->known, error)
         && kp_catalogue_remove_upload (catalogue, key, error)
         && (task->chunks == NULL || task->chunks->len == 0
             || kp_catalogue_put_chunks (catalogue, key, task->known.etag, task->chunks, error));
}

/* Whether some version of the file is in the bucket under its name. What is known for a rename or a
 * link is what it would have been copied from. */
static gboolean
has_object (const KpTask *task)
{
  const KpChange *change = &task->change;

  return change->from_key == NULL
         && kp_mirror_is_same_file (change->has_known, &change->known, &change->local);
}

/* One file could not be stored. */
static void
fail_action (KpTransfer *transfer, const KpTask *task)
{
  kp_mirror_fail_file (transfer->mirror, &task->change.local, has_object (task), task->error);
}

/* Files that were denied while it could still be that everything is. */
static void
fail_denied (KpTransfer *transfer)
{
  KpTask *task;

  while ((task = g_queue_pop_head (&transfer->denied)) != NULL)
    {
      fail_action (transfer, task);
      kp_task_free (task);
    }
}

/* Records what a task has come to that ended without an error. */
static gboolean
record_success (KpMirror *mirror, KpTask *task, GError **error)
{
  return task->is_left ? kp_catalogue_put_known (mirror->catalogue, task->change.local.key,
                                                 &task->known, error)
                       : record_object (mirror, task, error);
}

static gboolean
take_left (KpTransfer *transfer, KpTask *task, GError **error)
{
  KpMirror *mirror = transfer->mirror;

  transfer->names_unsaid++;
  mirror->result.unchanged++;
  kp_report_add_total (mirror->report, -1, 0);
  return record_success (mirror, task, error);
}

static gboolean
take_success (KpTransfer *transfer, KpTask *task, GError **error)
{
  KpMirror *mirror = transfer->mirror;
  const KpScanned *local = &task->change.local;

  transfer->has_success = TRUE;
  transfer->server_failures = 0;
  transfer->denials = 0;
  fail_denied (transfer);
  transfer->names_left_out += task->names_left_out ? 1 : 0;
  if (!record_success (mirror, task, error)
      || (task->change.action == KP_ACTION_RENAME
          && !kp_catalogue_set_rename_done (mirror->catalogue, task->change.from_key, local->key,
                                            error)))
    return FALSE;
  count_result (mirror, task);
  kp_report_done (mirror->report, kp_action_name (task->carried_out), local->key, task->bytes);
  if (task->known.xattrs_left_out)
    kp_mirror_fail_xattrs (mirror, local);
  return TRUE;
}

/* A key that may not write this one object is one failed file; a key that may not write at all ends
 * the job. Takes @task over where that is not known yet. Returns FALSE when the job cannot go on.
 */
static gboolean
take_denial (KpTransfer *transfer, KpTask **task, GError **error)
{
  if (transfer->has_success)
    {
      if (++transfer->denials >= MAX_SERVER_FAILURES)
        {
          g_propagate_error (error, g_steal_pointer (&(*task)->error));
          return FALSE;
        }
      fail_action (transfer, *task);
      return TRUE;
    }
  g_queue_push_tail (&transfer->denied, g_steal_pointer (task));
  if (transfer->denied.length < MAX_SERVER_FAILURES)
    return TRUE;
  KpTask *first = g_queue_peek_head (&transfer->denied);
  g_propagate_error (error, g_error_copy (first->error));
  return FALSE;
}

/* An action has ended, in the job's thread. Returns FALSE when the job cannot go on. */
static gboolean
take_action (KpTransfer *transfer, KpTask **owned, GError **error)
{
  KpMirror *mirror = transfer->mirror;
  KpTask *task = *owned;

  transfer->outstanding--;
  if (task->error == NULL)
    return task->is_left ? take_left (transfer, task, error) : take_success (transfer, task, error);
  if (task->vanished)
    {
      g_autofree char *name = kp_name_display (task->change.local.key);
      kp_report_notice (mirror->report, "“%s” was deleted before it could be read", name);
      mirror->out_of_sight += has_object (task) ? 0 : 1;
      return TRUE;
    }
  if (kp_error_is (task->error, KP_ERROR_ACCESS_DENIED))
    return take_denial (transfer, owned, error);

  transfer->server_failures += kp_error_is (task->error, KP_ERROR_SERVER) ? 1 : 0;
  transfer->refusals
      += !transfer->has_success && kp_error_is (task->error, KP_ERROR_REFUSED) ? 1 : 0;
  if (kp_error_stops_job (task->error) || transfer->server_failures >= MAX_SERVER_FAILURES
      || transfer->refusals >= MAX_REFUSALS)
    {
      g_propagate_error (error, g_steal_pointer (&task->error));
      return FALSE;
    }
  fail_action (transfer, task);
  return TRUE;
}

static gboolean
take_result (KpTransfer *transfer, KpTask **owned, GError **error)
{
  KpCatalogue *catalogue = transfer->mirror->catalogue;
  KpTask *task = *owned;

  switch (task->kind)
    {
    case KP_TASK_BEGINNING:
      return kp_catalogue_put_beginning (catalogue, task->change.local.key,
                                         kp_s3_service_get_now (transfer->mirror->service), error);
    case KP_TASK_NOT_BEGUN:
      return kp_catalogue_remove_beginning (catalogue, task->row->key, error);
    case KP_TASK_UPLOAD_BEGUN:
      return kp_catalogue_put_upload (catalogue, task->row, error);
    case KP_TASK_PART_DONE:
      return kp_catalogue_put_upload_part (catalogue, task->row->key, task->part, task->etag,
                                           error);
    case KP_TASK_UPLOAD_GONE:
      return kp_catalogue_remove_upload (catalogue, task->row->key, error);
    case KP_TASK_ACTION:
    case KP_TASK_PART:
    case KP_TASK_CHUNKS:
    default:
      return take_action (transfer, owned, error);
    }
}

/* Waits until half of what workers have in hand is there, somebody waits for a record, or the time
 * is over; then takes the next. To be woken for each would cost more than to record it. */
static KpTask *
next_result (KpTransfer *transfer, gint64 now, gint64 deadline)
{
  KpTask *next = NULL;

  if (transfer->outstanding == 0)
    return g_async_queue_try_pop (transfer->results);
  if (now >= deadline)
    return NULL;
  g_mutex_lock (&transfer->lock);
  transfer->wake_at = transfer->n_results + MAX (transfer->outstanding / 2, 1);
  next = g_async_queue_try_pop (transfer->results);
  while (next == NULL && transfer->n_results < transfer->wake_at
         && g_cond_wait_until (&transfer->enough_results, &transfer->lock, deadline))
    ;
  g_mutex_unlock (&transfer->lock);
  return next != NULL ? next : g_async_queue_try_pop (transfer->results);
}

/**
 * kp_transfer_take_results:
 * @error: what makes it useless to go on; %G_IO_ERROR_CANCELLED; of the catalogue
 *
 * Waits for a task that was handed back, at most a tenth of a second, and takes it and all that
 * comes within a moment. They are recorded in one transaction: a commit for each small file would
 * cost more than the file. What a kill takes of that moment is found again by asking the server.
 * Who waits does so as the server is going to have something that only the catalogue knows of, an
 * upload in parts: a power cut must not take that either.
 */
gboolean
kp_transfer_take_results (KpTransfer *transfer, GError **error)
{
  KpTask *next = g_async_queue_timeout_pop (transfer->results, 100 * G_TIME_SPAN_MILLISECOND);
  gint64 deadline = g_get_monotonic_time () + RECORD_WITHIN;
  gboolean somebody_waits = FALSE;
  gboolean ok = TRUE;
  unsigned n = 0;

  if (next == NULL)
    {
      kp_pool_adapt (transfer->pool, g_get_monotonic_time ());
      return !g_cancellable_set_error_if_cancelled (transfer->mirror->cancellable, error);
    }
  if (!kp_catalogue_begin (transfer->mirror->catalogue, error))
    {
      kp_task_free (next);
      return FALSE;
    }
  while (ok && next != NULL)
    {
      g_autoptr (KpTask) task = next;
      gboolean is_awaited = task->is_awaited;

      ok = take_result (transfer, &task, error);
      n++;
      gint64 now = g_get_monotonic_time ();
      kp_pool_adapt (transfer->pool, now);
      somebody_waits = somebody_waits || is_awaited;
      if (is_awaited)
        deadline = now;
      next = ok ? next_result (transfer, now, deadline) : NULL;
    }
  /* What was recorded before a failure is true and stays. */
  ok = kp_catalogue_commit (transfer->mirror->catalogue, ok ? error : NULL) && ok
       && (!somebody_waits || kp_catalogue_sync (transfer->mirror->catalogue, error));
  if (ok)
    announce_recorded (transfer, n);
  return ok;
}

/**
 * kp_transfer_drain:
 *
 * To be called when there are no workers any more. After a failure, records what they still
 * finished, so that it is not sent again: in one transaction, as the process may be ended
 * meanwhile.
 */
void
kp_transfer_drain (KpTransfer *transfer)
{
  KpCatalogue *catalogue = transfer->mirror->catalogue;
  g_autoptr (GError) commit_error = NULL;
  KpTask *next;

  if (!kp_catalogue_begin (catalogue, &commit_error))
    {
      g_debug ("Cannot record what was finished: %s", commit_error->message);
      return;
    }
  while ((next = g_async_queue_try_pop (transfer->results)) != NULL)
    {
      g_autoptr (KpTask) task = next;
      g_autoptr (GError) error = NULL;
      gboolean ok = task->kind != KP_TASK_ACTION ? take_result (transfer, &task, &error)
                    : task->error == NULL        ? record_success (transfer->mirror, task, &error)
                                                 : TRUE;
      if (!ok)
        g_debug ("Cannot record what was finished: %s", error->message);
    }
  if (!kp_catalogue_commit (catalogue, &commit_error))
    g_debug ("Cannot record what was finished: %s", commit_error->message);
}

/**
 * kp_transfer_check_denials:
 * @error: %KP_ERROR_ACCESS_DENIED
 *
 * To be called when all was tried. Where everything was denied, that is the end of the job, not of
 * some files.
 */
gboolean
kp_transfer_check_denials (KpTransfer *transfer, GError **error)
{
  KpTask *first = g_queue_peek_head (&transfer->denied);

  if (first == NULL)
    return TRUE;
  g_propagate_error (error, g_error_copy (first->error));
  return FALSE;
}

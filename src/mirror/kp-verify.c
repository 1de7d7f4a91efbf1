/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-verify.h"

#include "kp-budget.h"
#include "kp-compare.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-pool.h"
#include "kp-restore.h"
#include "kp-s3-listing.h"
#include "kp-scan.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RANGE_SIZE KP_PART_SIZE
#define FIRST_ATTEMPTS 4

struct _KpVerify
{
  GObject parent_instance;

  KpS3Service *service;
  KpVerifyOptions options;
  GPtrArray *sources; /* of KpSource */
  KpReport *report;

  /* Of the run. */
  KpCatalogue *catalogue; /* temporary */
  GCancellable *cancellable;
  KpScanResult scan;
  KpPool *pool;
  KpBudget *budget;
  GAsyncQueue *results; /* of Task */
  unsigned outstanding;
  KpVerifyResult result;
};

G_DEFINE_FINAL_TYPE (KpVerify, kp_verify, G_TYPE_OBJECT)

typedef enum
{
  OUTCOME_EQUAL,
  OUTCOME_CHANGED,
  OUTCOME_DAMAGED,
} Outcome;

typedef struct
{
  KpVerify *verify;
  KpScanned local;
  Outcome outcome;
  guint64 bytes;
  GError *error;
} Task;

static void
kp_verify_finalize (GObject *object)
{
  KpVerify *self = KP_VERIFY (object);

  g_clear_object (&self->service);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->sources, g_ptr_array_unref);
  g_clear_pointer (&self->report, kp_report_free);
  g_clear_pointer (&self->options.filter, kp_filter_unref);
  g_free ((char *) self->options.state_dir);
  G_OBJECT_CLASS (kp_verify_parent_class)->finalize (object);
}

static void
kp_verify_class_init (KpVerifyClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_verify_finalize;
}

static void
kp_verify_init (KpVerify *self)
{
  self->sources = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_source_free);
}

/**
 * kp_verify_new:
 * @options: copied
 * @func: (nullable): called for each event, from any thread but one at a time
 */
KpVerify *
kp_verify_new (KpS3Service *service,
               const KpVerifyOptions *options,
               KpEventFunc func,
               void *user_data)
{
  KpVerify *self = g_object_new (KP_TYPE_VERIFY, NULL);

  self->service = g_object_ref (service);
  self->options = *options;
  self->options.filter = kp_filter_ref (options->filter);
  self->options.state_dir = g_strdup (options->state_dir);
  self->report = kp_report_new (service, func, user_data);
  return self;
}

/**
 * kp_verify_add_source:
 *
 * As for kp_mirror_add_source().
 */
void
kp_verify_add_source (KpVerify *self, const char *argument, const char *stored_as)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);

  g_ptr_array_add (self->sources, kp_source_new (argument, stored_as, location));
}

static void
task_free (void *data)
{
  Task *task = data;

  kp_scanned_clear (&task->local);
  g_clear_error (&task->error);
  g_free (task);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Task, task_free)

/* Compares one range. Returns FALSE with an error, or with @same unset. */
static gboolean
compare_range (Task *task,
               KpS3Client *client,
               GBytes *expected,
               guint64 offset,
               const char *etag,
               gboolean *same,
               GError **error)
{
  g_autoptr (GBytes) stored
      = kp_s3_client_get (client, task->local.key, NULL, offset, g_bytes_get_size (expected), etag,
                          NULL, task->verify->cancellable, error);

  if (stored == NULL)
    return FALSE;
  *same = g_bytes_equal (stored, expected);
  task->bytes += g_bytes_get_size (stored);
  kp_report_add_bytes (task->verify->report, (gint64) g_bytes_get_size (stored));
  return TRUE;
}

static gboolean
compare_bytes (Task *task,
               KpS3Client *client,
               const KpS3Object *object,
               gboolean *same,
               GError **error)
{
  KpSource *source = g_ptr_array_index (task->verify->sources, task->local.source);
  const KpFileInfo *info = &task->local.info;
  g_autoptr (GError) local_error = NULL;
  KpFileInfo after;

  *same = TRUE;
  if (S_ISLNK (info->mode))
    {
      char *target = kp_source_read_link (source, task->local.path, error);
      if (target == NULL)
        return FALSE;
      g_autoptr (GBytes) bytes = g_bytes_new_take (target, strlen (target));
      return g_bytes_get_size (bytes) == 0
             || compare_range (task, client, bytes, 0, object->etag, same, error);
    }

  int fd = kp_source_open_file (source, task->local.path, O_RDONLY);
  if (fd < 0)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE, "Cannot read the file");
      return FALSE;
    }
  for (guint64 offset = 0; *same && local_error == NULL && offset < info->size;
       offset += RANGE_SIZE)
    {
      g_autoptr (GBytes) bytes
          = kp_content_read (fd, offset, MIN (RANGE_SIZE, info->size - offset), &local_error);
      if (bytes != NULL
          && !compare_range (task, client, bytes, offset, object->etag, same, &local_error))
        break;
    }
  /* A file that changes now differs for a reason. */
  if (local_error == NULL && kp_content_stat (fd, &after, &local_error)
      && !kp_file_info_same_content (info, &after))
    g_set_error_literal (&local_error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                         "The file changed while it was read");
  close (fd);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Two ranges are in memory at once: the file's and the object's. */
static gboolean
compare_within_budget (Task *task,
                       KpS3Client *client,
                       const KpS3Object *object,
                       gboolean *same,
                       GError **error)
{
  KpVerify *self = task->verify;
  guint64 held = 2 * MIN (task->local.info.size, RANGE_SIZE);

  if (!kp_budget_take (self->budget, held, self->cancellable, error))
    return FALSE;
  gboolean ok = compare_bytes (task, client, object, same, error);
  kp_budget_give_back (self->budget, held);
  return ok;
}

/* Runs in a worker. */
static void
task_cb (KpS3Client *client, void *item, void *user_data)
{
  Task *task = item;
  const KpFileInfo *info = &task->local.info;
  KpFileInfo stored;
  gboolean same = FALSE;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, task->local.key, NULL, task->verify->cancellable, &task->error);

  if (object != NULL)
    {
      kp_metadata_from_object (&stored, object, task->local.key);
      if (object->size != kp_compare_object_size (info) || stored.mtime != info->mtime)
        task->outcome = OUTCOME_CHANGED;
      else if (compare_within_budget (task, client, object, &same, &task->error))
        task->outcome = same ? OUTCOME_EQUAL : OUTCOME_DAMAGED;
    }
  g_async_queue_push (task->verify->results, task);
}

static void
report_problem (KpVerify *self, const KpScanned *local, KpError code, const char *text)
{
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, (int) code, text);
  g_autofree char *path
      = kp_source_full_path (g_ptr_array_index (self->sources, local->source), local->path);

  kp_report_failed (self->report, path, error);
}

static gboolean
take_result (KpVerify *self, Task *task, GError **error)
{
  self->outstanding--;
  self->result.bytes += task->bytes;
  if (task->error != NULL && kp_error_stops_job (task->error))
    {
      g_propagate_error (error, g_steal_pointer (&task->error));
      return FALSE;
    }
  if (task->error != NULL)
    {
      self->result.failed++;
      report_problem (self, &task->local, (KpError) task->error->code, task->error->message);
    }
  else if (task->outcome == OUTCOME_CHANGED)
    {
      self->result.changed++;
      report_problem (self, &task->local, KP_ERROR_CONFLICT,
                      "The file was changed since it was stored; mirror again");
    }
  else if (task->outcome == OUTCOME_DAMAGED)
    {
      self->result.damaged++;
      report_problem (self, &task->local, KP_ERROR_CORRUPT,
                      "The bytes in the bucket differ from the file, though size and time are the "
                      "same; mirror with --checksum to send it again");
    }
  else
    {
      self->result.equal++;
      kp_report_done (self->report, "equal", task->local.key, task->bytes);
    }
  return TRUE;
}

static gboolean
take_results (KpVerify *self, GError **error)
{
  Task *next = g_async_queue_timeout_pop (self->results, 100 * G_TIME_SPAN_MILLISECOND);
  gboolean ok = TRUE;

  kp_pool_adapt (self->pool, g_get_monotonic_time ());
  while (ok && next != NULL)
    {
      g_autoptr (Task) task = next;
      ok = take_result (self, task, error);
      next = ok ? g_async_queue_try_pop (self->results) : NULL;
    }
  return ok && !g_cancellable_set_error_if_cancelled (self->cancellable, error);
}

static gboolean
is_hidden (KpVerify *self, const char *key, gboolean *hidden, GError **error)
{
  g_autofree char *folder = g_strconcat (key, "/", NULL);

  *hidden = FALSE;
  return g_str_has_suffix (key, "/")
         || kp_catalogue_has_listed_below (self->catalogue, folder, hidden, error);
}

static void
report_hidden_key (KpVerify *self, const char *key)
{
  g_autoptr (GError) error
      = g_error_new_literal (KP_ERROR, KP_ERROR_CONFLICT, KP_RESTORE_HIDDEN_BY_FOLDER);

  self->result.failed++;
  kp_report_failed (self->report, key, error);
}

/* Reports what a restore could not give back: files of whose name there is a folder in the bucket,
 * too. In the order of keys, other names may stand between a file and what lies in the folder
 * ("a", "a.txt", "a/b"), but all of them begin with the file's: so those files are enough to be
 * remembered whose name the last key begins with. */
static gboolean
report_hidden (KpVerify *self, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (self->catalogue, error);
  int result = cursor != NULL ? 1 : -1;

  while (result == 1)
    {
      g_auto (KpListed) listed = { 0 };

      result = kp_cursor_next_listed (cursor, &listed, error);
      if (result != 1)
        break;
      const char *key = listed.key;
      while (files->len > 0 && !g_str_has_prefix (key, g_ptr_array_index (files, files->len - 1)))
        g_ptr_array_set_size (files, (gint) files->len - 1);
      const char *last = files->len > 0 ? g_ptr_array_index (files, files->len - 1) : NULL;
      if (last != NULL && key[strlen (last)] == '/')
        {
          report_hidden_key (self, last);
          g_ptr_array_set_size (files, (gint) files->len - 1);
        }
      if (!g_str_has_suffix (key, "/"))
        g_ptr_array_add (files, g_steal_pointer (&listed.key));
    }
  return result == 0;
}

/* Only what has bytes to compare; of the rest, that it is there. */
static void
take_row (KpVerify *self, KpComparison *row)
{
  const KpFileInfo *info = &row->local.info;

  if (!row->listed)
    {
      self->result.missing++;
      report_problem (self, &row->local, KP_ERROR_NOT_FOUND,
                      "It is not in the bucket; mirror again");
      return;
    }
  if ((!S_ISREG (info->mode) && !S_ISLNK (info->mode))
      || g_random_double () >= self->options.sample)
    return;
  Task *task = g_new0 (Task, 1);
  task->verify = self;
  task->local = row->local;
  row->local = (KpScanned){ 0 };
  self->outstanding++;
  kp_report_add_total (self->report, 1, (gint64) task->local.info.size);
  kp_pool_push (self->pool, task);
}

static gboolean
compare_all (KpVerify *self, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (self->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 || self->outstanding > 0)
    {
      for (unsigned room = kp_pool_get_room (self->pool); result == 1 && room > 0; room--)
        {
          g_auto (KpComparison) row = { 0 };
          result = kp_cursor_next_comparison (cursor, &row, error);
          if (result < 0)
            return FALSE;
          gboolean hidden = FALSE;
          if (result == 1 && row.listed && !is_hidden (self, row.local.key, &hidden, error))
            return FALSE;
          if (result == 1 && !hidden)
            take_row (self, &row);
        }
      if (self->outstanding > 0 && !take_results (self, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
list_and_scan (KpVerify *self, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (KpS3Client) client = kp_s3_client_new (self->service);

  kp_s3_client_set_max_attempts (client, FIRST_ATTEMPTS);
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = g_ptr_array_index (self->sources, i);
      if (!kp_source_open (source, error))
        return FALSE;
      kp_source_leave_out (source, self->options.state_dir);
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new (source->key, NULL, NULL);
      kp_kept_hide (location, listing);
      while (!kp_s3_listing_is_finished (listing))
        {
          g_autoptr (GPtrArray) page
              = kp_s3_listing_next_page (listing, client, self->cancellable, error);
          if (page == NULL || !kp_catalogue_add_listed (self->catalogue, page, error))
            return FALSE;
          kp_report_add_listed (self->report, page->len);
          kp_s3_client_set_max_attempts (client, KP_S3_MAX_ATTEMPTS);
        }
      if (!kp_scan_source (source, i, self->options.filter, self->options.all_file_systems,
                           self->catalogue, self->report, &self->scan, self->cancellable, error))
        return FALSE;
    }
  self->result.failed += self->scan.unreadable + self->scan.too_long;
  return TRUE;
}

static gboolean
run_phases (KpVerify *self, GError **error)
{
  kp_report_begin_phase (self->report, KP_PHASE_SCANNING);
  if (!kp_catalogue_begin (self->catalogue, error) || !list_and_scan (self, error))
    return FALSE;

  kp_report_begin_phase (self->report, KP_PHASE_TRANSFERRING);
  self->results = g_async_queue_new_full (task_free);
  self->budget = kp_budget_new (KP_MEMORY_BUDGET);
  self->pool = kp_pool_new (self->service, self->options.jobs, task_cb, task_free, self);
  gboolean ok = report_hidden (self, error) && compare_all (self, error);
  if (!ok)
    g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->pool, kp_pool_free);
  g_clear_pointer (&self->budget, kp_budget_free);
  g_clear_pointer (&self->results, g_async_queue_unref);
  return ok;
}

static void
forward_cancel_cb (GCancellable *theirs, GCancellable *ours)
{
  g_cancellable_cancel (ours);
}

/**
 * kp_verify_run:
 * @error: what ended it before its time; differences are in the result and no error
 *
 * Runs once.
 */
gboolean
kp_verify_run (KpVerify *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gulong handler = 0;

  g_return_val_if_fail (self->cancellable == NULL, FALSE);

  self->cancellable = g_cancellable_new ();
  self->catalogue = kp_catalogue_open_temporary (error);
  gboolean ok = self->catalogue != NULL;
  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (forward_cancel_cb), self->cancellable,
                                     NULL);
  g_main_context_push_thread_default (context);
  ok = ok && run_phases (self, error);
  g_main_context_pop_thread_default (context);
  g_cancellable_disconnect (cancellable, handler);

  kp_scan_result_clear (&self->scan);
  g_clear_pointer (&self->catalogue, kp_catalogue_free);
  kp_report_begin_phase (self->report, KP_PHASE_FINISHED);
  return ok;
}

void
kp_verify_get_progress (KpVerify *self, KpProgress *progress)
{
  kp_report_get_progress (self->report, progress);
}

/**
 * kp_verify_get_result:
 * @result: (out): what came of it; to be called when kp_verify_run() has returned
 */
void
kp_verify_get_result (KpVerify *self, KpVerifyResult *result)
{
  *result = self->result;
}

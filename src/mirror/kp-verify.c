/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-verify-private.h"

#include "kp-cancel.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-restore.h"
#include "kp-s3-listing.h"

#include <math.h>
#include <string.h>

#define FIRST_ATTEMPTS 4

/* How often what has been found out is made to last, in microseconds. */
#define COMMIT_EVERY (500 * G_TIME_SPAN_MILLISECOND)

G_DEFINE_FINAL_TYPE (KpVerify, kp_verify, G_TYPE_OBJECT)

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
  KpVerifyTask *task = data;

  kp_candidate_clear (&task->candidate);
  g_clear_pointer (&task->chunks, g_array_unref);
  g_clear_error (&task->error);
  g_free (task->etag);
  g_free (task);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpVerifyTask, task_free)

/* Runs in a worker. */
static void
task_cb (KpS3Client *client, void *item, void *user_data)
{
  KpVerifyTask *task = item;

  kp_verify_compare (task, client);
  g_async_queue_push (task->verify->results, task);
}

/* --- what came of it ------------------------------------------------------------------------ */

static gint64
get_now (KpVerify *self)
{
  return self->options.now > 0 ? self->options.now : g_get_real_time () / G_USEC_PER_SEC;
}

/* Where the file is, or was; bytes. */
static char *
find_path (KpVerify *self, const KpScanned *local)
{
  if (local->path != NULL)
    return kp_source_full_path (g_ptr_array_index (self->sources, local->source), local->path);
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = g_ptr_array_index (self->sources, i);
      if (source->is_file ? !g_str_equal (local->key, source->key)
                          : !g_str_has_prefix (local->key, source->key))
        continue;
      g_autofree char *path = source->is_file
                                  ? g_strdup ("")
                                  : kp_name_from_key (local->key + strlen (source->key), NULL);
      if (path != NULL)
        return kp_source_full_path (source, path);
    }
  return g_strdup (local->key);
}

static void
report_problem (KpVerify *self, const KpScanned *local, KpError code, const char *text)
{
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, (int) code, text);
  g_autofree char *path = find_path (self, local);

  kp_report_failed (self->report, path, error);
}

/* What is to be done about an object that is not what it should be. */
static const char *
describe_damage (KpVerify *self, const KpScanned *local)
{
  if (local->path == NULL)
    return "What the bucket holds is not what was stored, and the file is no longer here; if the "
           "bucket keeps versions, restore an older one";
  if (!self->has_catalogue)
    return "The bytes in the bucket differ from the file, though size and time are the same; "
           "mirror with --checksum to send it again";
  return "The bytes in the bucket differ from what was stored; the next backup sends the file "
         "again";
}

static void
report_damage (KpVerify *self, const KpScanned *local)
{
  self->result.damaged++;
  report_problem (self, local, KP_ERROR_CORRUPT, describe_damage (self, local));
}

/* Leaves the listing, as all that is said of it is said: see report_known_damage(). */
static gboolean
take_damaged (KpVerify *self, const KpScanned *local, GError **error)
{
  report_damage (self, local);
  return kp_catalogue_put_damaged (self->catalogue, local->key, error)
         && kp_catalogue_remove_listed (self->catalogue, local->key, error);
}

static gboolean
take_missing (KpVerify *self, const KpScanned *local, GError **error)
{
  self->result.missing++;
  report_problem (self, local, KP_ERROR_NOT_FOUND,
                  self->options.strict ? "It is not in the bucket; mirror again"
                                       : "It is no longer in the bucket, though it was stored; the "
                                         "next backup sends it again");
  return kp_catalogue_remove_proof (self->catalogue, local->key, error);
}

static gboolean
is_read_to_its_end (const KpVerifyTask *task)
{
  return task->offset + task->length >= task->candidate.row.listed_size;
}

static gboolean
take_proved (KpVerify *self, const KpVerifyTask *task, GError **error)
{
  const KpScanned *local = &task->candidate.row.local;
  guint64 end = task->offset + task->length;
  gboolean is_whole = is_read_to_its_end (task);

  if (!is_whole)
    kp_report_notice (self->report,
                      "“%s” is larger than what is read at once: %" G_GUINT64_FORMAT
                      " of %" G_GUINT64_FORMAT " bytes are equal so far, and the next verification "
                      "goes on from there",
                      local->key, end, task->candidate.row.listed_size);
  else if (task->outcome == KP_VERIFY_AS_STORED && self->options.strict && local->path != NULL)
    {
      self->result.changed++;
      report_problem (self, local, KP_ERROR_CONFLICT,
                      "The file was changed since it was stored; mirror again");
    }
  else
    {
      self->result.equal++;
      kp_report_done (self->report, "equal", local->key, task->bytes);
    }
  return kp_catalogue_put_proof (self->catalogue, local->key, task->etag, get_now (self),
                                 is_whole ? 0 : end, error)
         && (!is_whole || kp_catalogue_remove_damaged (self->catalogue, local->key, error));
}

/* Of what nothing is known, others are looked at before it is again. */
static gboolean
take_unproved (KpVerify *self, const KpVerifyTask *task, GError **error)
{
  const KpComparison *row = &task->candidate.row;

  return kp_catalogue_put_attempt (self->catalogue, row->local.key, row->listed_etag,
                                   get_now (self), error);
}

static gboolean
take_outcome (KpVerify *self, const KpVerifyTask *task, GError **error)
{
  const KpScanned *local = &task->candidate.row.local;

  switch (task->outcome)
    {
    case KP_VERIFY_DAMAGED:
      return take_damaged (self, local, error);
    case KP_VERIFY_MISSING:
      return take_missing (self, local, error)
             && kp_catalogue_remove_listed (self->catalogue, local->key, error);
    case KP_VERIFY_LOCAL:
      self->result.failed++;
      report_problem (self, local, KP_ERROR_CONFLICT,
                      "The file here is not what was stored, though nobody has written it since: "
                      "this disk may be failing. The bucket has it as it was; restore it beside "
                      "this one and compare");
      /* Or the next backup would send what is here in its place. */
      return take_unproved (self, task, error)
             && (!is_read_to_its_end (task)
                 || kp_catalogue_remove_damaged (self->catalogue, local->key, error));
    case KP_VERIFY_CHANGED:
      if (self->options.strict && !task->candidate.is_damaged)
        {
          self->result.changed++;
          report_problem (self, local, KP_ERROR_CONFLICT,
                          "The file was changed since it was stored; mirror again");
        }
      return take_unproved (self, task, error);
    case KP_VERIFY_EQUAL:
    case KP_VERIFY_AS_STORED:
    default:
      return take_proved (self, task, error);
    }
}

static gboolean
take_result (KpVerify *self, KpVerifyTask *task, GError **error)
{
  self->outstanding--;
  self->result.bytes += task->bytes;
  if (task->error == NULL)
    return take_outcome (self, task, error);
  if (kp_error_stops_job (task->error))
    {
      g_propagate_error (error, g_steal_pointer (&task->error));
      return FALSE;
    }
  if (kp_error_is (task->error, KP_ERROR_ARCHIVED) && !self->options.strict)
    self->result.archived++;
  else if (!task->candidate.is_damaged)
    {
      self->result.failed++;
      report_problem (self, &task->candidate.row.local, (KpError) task->error->code,
                      task->error->message);
    }
  return take_unproved (self, task, error);
}

/* What has been proved so far survives a job that is stopped. */
static gboolean
commit_sometimes (KpVerify *self, GError **error)
{
  gint64 now = g_get_monotonic_time ();

  if (now < self->commit_at)
    return TRUE;
  self->commit_at = now + COMMIT_EVERY;
  return kp_catalogue_commit (self->catalogue, error)
         && kp_catalogue_begin (self->catalogue, error);
}

static gboolean
take_results (KpVerify *self, GError **error)
{
  KpVerifyTask *next = g_async_queue_timeout_pop (self->results, 100 * G_TIME_SPAN_MILLISECOND);
  gboolean ok = TRUE;

  kp_pool_adapt (self->pool, g_get_monotonic_time ());
  while (ok && next != NULL)
    {
      g_autoptr (KpVerifyTask) task = next;
      ok = take_result (self, task, error);
      next = ok ? g_async_queue_try_pop (self->results) : NULL;
    }
  return ok && commit_sometimes (self, error)
         && !g_cancellable_set_error_if_cancelled (self->cancellable, error);
}

/* --- what is not there ---------------------------------------------------------------------- */

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

/* What ought to be in the bucket and is not shows in the listing: all of it, whatever the bounds
 * are. What was not stored yet is for the next backup. */
static gboolean
find_missing (KpVerify *self, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (self->catalogue, error);
  int result = cursor != NULL ? 1 : -1;

  while (result == 1)
    {
      g_auto (KpComparison) row = { 0 };
      result = kp_cursor_next_comparison (cursor, &row, error);
      if (result == 1 && !row.listed && (row.has_known || self->options.strict)
          && !take_missing (self, &row.local, error))
        return FALSE;
    }
  return result == 0;
}

/* The key behind all of a source's. No byte of UTF-8 is 0xFF. */
static char *
get_end (KpSource *source)
{
  return g_strconcat (source->key, source->is_file ? "\x01" : "\xFF", NULL);
}

/* Objects of files that are no longer here, deleted by somebody else: not a fault, as far as we can
 * know, but not to pass in silence either. Told once. */
static gboolean
find_lost (KpVerify *self, GError **error)
{
  guint64 n = 0;

  /* In a folder that cannot be read, there may be a file. */
  if (self->options.strict || self->scan.unreadable > 0)
    return TRUE;
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = g_ptr_array_index (self->sources, i);
      g_autofree char *end = get_end (source);
      g_autoptr (KpCursor) cursor
          = kp_catalogue_list_lost (self->catalogue, source->key, end, error);
      int result = cursor != NULL ? 1 : -1;
      while (result == 1)
        {
          g_autofree char *key = NULL;
          result = kp_cursor_next_key (cursor, &key, error);
          if (result == 1 && !kp_catalogue_remove_known (self->catalogue, key, error))
            return FALSE;
          n += result == 1;
        }
      if (result < 0)
        return FALSE;
    }
  if (n > 0)
    kp_report_notice (self->report,
                      "Of %" G_GUINT64_FORMAT " files that are no longer here, somebody else has "
                      "deleted the objects in the bucket, too",
                      n);
  return TRUE;
}

/* What an earlier verification has found to be damaged is so until it is proved to be good again,
 * be it that there was no time for it now, or nothing to compare it with: no verification may end
 * as if all were well. What this one has found itself is in the listing no more. */
static gboolean
report_known_damage (KpVerify *self, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_damaged (self->catalogue, error);
  int result = cursor != NULL ? 1 : -1;

  while (result == 1)
    {
      g_auto (KpCandidate) candidate = { 0 };
      result = kp_cursor_next_candidate (cursor, &candidate, error);
      if (result == 1)
        report_damage (self, &candidate.row.local);
    }
  return result == 0;
}

/* --- which objects -------------------------------------------------------------------------- */

/* How much of an object is to be read now. The first one that is chosen is read whatever its size
 * is, if need be in pieces, one in each verification; so the oldest is always among those looked
 * at, and after as many verifications as there are objects, all have been. The same for those that
 * are known to be damaged, but they get no more than half: nobody may ever mend them. 0: not now.
 */
static guint64
choose_length (KpVerify *self, const KpCandidate *candidate, guint64 offset)
{
  guint64 left = candidate->row.listed_size - offset;
  guint64 max = self->options.max_bytes;
  guint64 half = MAX (max / 2, 1);
  guint64 alike = self->chosen_files - (candidate->is_damaged ? 0 : self->chosen_damaged);

  if (max == 0 || self->chosen_bytes + left <= (candidate->is_damaged ? half : max))
    return left;
  if (alike > 0)
    return 0;
  if (candidate->row.listed_size <= KP_PART_SIZE)
    return left;
  return candidate->is_damaged || self->chosen_damaged > 0 ? half : max;
}

static gboolean
are_enough_damaged (KpVerify *self)
{
  return self->max_files > 1 && self->chosen_damaged >= self->max_files / 2;
}

/* Takes the candidate over if it is chosen. */
static gboolean
take_candidate (KpVerify *self, KpCandidate *candidate, GError **error)
{
  KpComparison *row = &candidate->row;
  guint64 offset = candidate->offset < row->listed_size ? candidate->offset : 0;
  guint64 length = choose_length (self, candidate, offset);
  gboolean hidden;

  if ((length == 0 && row->listed_size > 0) || (candidate->is_damaged && are_enough_damaged (self)))
    return TRUE;
  if (row->local.path != NULL && !is_hidden (self, row->local.key, &hidden, error))
    return FALSE;
  if (row->local.path != NULL && hidden)
    return TRUE;

  g_autoptr (KpVerifyTask) task = g_new0 (KpVerifyTask, 1);
  task->verify = self;
  task->candidate = *candidate;
  task->offset = offset;
  task->length = length;
  *candidate = (KpCandidate){ 0 };
  row = &task->candidate.row;
  if (row->has_known && row->known.info.size > KP_PART_SIZE)
    {
      task->chunks
          = kp_catalogue_get_chunks (self->catalogue, row->local.key, row->known.etag, error);
      if (task->chunks == NULL)
        return FALSE;
      if (!kp_chunks_cover (task->chunks, row->known.info.size))
        g_array_set_size (task->chunks, 0);
    }
  self->chosen_files++;
  self->chosen_damaged += task->candidate.is_damaged;
  self->chosen_bytes += length;
  self->outstanding++;
  kp_report_add_total (self->report, 1, (gint64) length);
  kp_pool_push (self->pool, g_steal_pointer (&task));
  return TRUE;
}

static gboolean
is_enough (KpVerify *self)
{
  return self->max_files > 0 && self->chosen_files >= self->max_files;
}

static gboolean
compare_chosen (KpVerify *self, GError **error)
{
  guint64 n_candidates;
  int result = 1;

  if (!kp_catalogue_find_candidates (self->catalogue, &n_candidates, error))
    return FALSE;
  self->max_files = self->options.max_files;
  if (self->options.sample < 1)
    {
      guint64 share = MAX ((guint64) ceil ((double) n_candidates * self->options.sample), 1);
      self->max_files = self->max_files > 0 ? MIN (self->max_files, share) : share;
    }
  g_autoptr (KpCursor) cursor = kp_catalogue_list_candidates (self->catalogue, error);
  if (cursor == NULL)
    return FALSE;
  while (result == 1 || self->outstanding > 0)
    {
      for (unsigned room = kp_pool_get_room (self->pool); result == 1 && room > 0; room--)
        {
          g_auto (KpCandidate) candidate = { 0 };
          result = is_enough (self) ? 0 : kp_cursor_next_candidate (cursor, &candidate, error);
          if (result < 0 || (result == 1 && !take_candidate (self, &candidate, error)))
            return FALSE;
        }
      if (self->outstanding > 0 && !take_results (self, error))
        return FALSE;
    }
  return TRUE;
}

/* Whether another source's keys are all of this one's, too. */
static gboolean
is_covered (KpVerify *self, guint index)
{
  KpSource *source = g_ptr_array_index (self->sources, index);

  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *other = g_ptr_array_index (self->sources, i);
      if (i != index && !other->is_file && g_str_has_prefix (source->key, other->key)
          && (i < index || !g_str_equal (source->key, other->key)))
        return TRUE;
    }
  return FALSE;
}

static gboolean
sum_up (KpVerify *self, GError **error)
{
  if (self->result.archived > 0)
    kp_report_notice (self->report,
                      "%" G_GUINT64_FORMAT " files could not be read back, as they are in an "
                      "archive and nobody asked for them",
                      self->result.archived);
  if (!self->has_catalogue)
    return TRUE;
  if (!kp_catalogue_sweep_proofs (self->catalogue, error))
    return FALSE;
  self->result.has_coverage = TRUE;
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = g_ptr_array_index (self->sources, i);
      g_autofree char *end = get_end (source);
      if (!is_covered (self, i)
          && !kp_catalogue_add_coverage (self->catalogue, source->key, end, &self->result.coverage,
                                         error))
        return FALSE;
    }
  return TRUE;
}

/* --- the run -------------------------------------------------------------------------------- */

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
  self->commit_at = g_get_monotonic_time () + COMMIT_EVERY;
  gboolean ok = report_hidden (self, error) && find_missing (self, error) && find_lost (self, error)
                && compare_chosen (self, error) && report_known_damage (self, error);
  if (!ok)
    g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->pool, kp_pool_free);
  g_clear_pointer (&self->budget, kp_budget_free);
  g_clear_pointer (&self->results, g_async_queue_unref);
  /* What was proved before it was stopped stays proved. */
  return (!ok || sum_up (self, error)) && kp_catalogue_commit (self->catalogue, ok ? error : NULL)
         && ok;
}

/* The destination's catalogue, where there is one: then nobody else works on the destination
 * meanwhile, as an object that is replaced while it is read would look damaged. Who only asks about
 * a folder does not wait for that, and has to do without. */
static gboolean
open_catalogue (KpVerify *self, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (GError) local_error = NULL;

  if (kp_catalogue_exists (self->options.state_dir, location))
    {
      self->catalogue = kp_catalogue_open (self->options.state_dir, location, &local_error);
      self->has_catalogue = self->catalogue != NULL;
      if (self->catalogue == NULL
          && !(self->options.strict && kp_error_is (local_error, KP_ERROR_BUSY)))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (self->catalogue != NULL && kp_catalogue_get_set_aside (self->catalogue) != NULL)
        kp_report_notice (self->report,
                          "The catalogue could not be used and is set aside as “%s”; the next "
                          "backup makes a new one from the bucket",
                          kp_catalogue_get_set_aside (self->catalogue));
      if (self->catalogue == NULL)
        kp_report_notice (self->report, "%s. What is found is not recorded", local_error->message);
    }
  if (self->catalogue == NULL)
    self->catalogue = kp_catalogue_open_temporary (error);
  return self->catalogue != NULL;
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
  gboolean ok = open_catalogue (self, error);
  handler = kp_cancel_follow (self->cancellable, cancellable);
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

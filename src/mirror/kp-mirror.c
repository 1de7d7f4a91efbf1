/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-cancel.h"
#include "kp-error.h"
#include "kp-keep.h"
#include "kp-mirror-private.h"
#include "kp-s3-listing.h"

#include <time.h>
#include <unistd.h>

/* Before the first answer there is nobody to wait for: a wrong address should be told soon. */
#define FIRST_ATTEMPTS 4

/* A page of a listing has a thousand keys; fewer pages than a few are not worth a connection. */
#define KEYS_PER_LISTER 4000
#define MAX_LISTERS 8

G_DEFINE_FINAL_TYPE (KpMirror, kp_mirror, G_TYPE_OBJECT)

static void
kp_mirror_finalize (GObject *object)
{
  KpMirror *self = KP_MIRROR (object);

  g_clear_pointer (&self->sources, g_ptr_array_unref);
  g_clear_pointer (&self->report, kp_report_free);
  g_clear_object (&self->service);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->options.filter, kp_filter_unref);
  g_free ((char *) self->options.state_dir);
  g_free ((char *) self->options.storage_class);
  g_clear_pointer (&self->keep, kp_keep_free);
  g_clear_pointer (&self->beginnings_left, g_ptr_array_unref);
  g_free (self->guard_reason);
  g_free (self->moved_root);
  g_free (self->emptied_root);
  G_OBJECT_CLASS (kp_mirror_parent_class)->finalize (object);
}

static void
kp_mirror_class_init (KpMirrorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_mirror_finalize;
}

static void
kp_mirror_init (KpMirror *self)
{
  self->sources = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_source_free);
}

/**
 * kp_mirror_new:
 * @options: copied
 * @func: (nullable): called for each event, from any thread but one at a time
 */
KpMirror *
kp_mirror_new (KpS3Service *service,
               const KpMirrorOptions *options,
               KpEventFunc func,
               void *user_data)
{
  KpMirror *self = g_object_new (KP_TYPE_MIRROR, NULL);

  self->service = g_object_ref (service);
  self->options = *options;
  self->options.filter = kp_filter_ref (options->filter);
  self->options.state_dir = g_strdup (options->state_dir);
  self->options.storage_class = g_strdup (options->storage_class);
  self->report = kp_report_new (service, func, user_data);
  return self;
}

/**
 * kp_mirror_add_source:
 * @argument: a path; with a slash at the end it stands for its contents
 * @stored_as: (nullable): name below the prefix; %NULL for its own
 */
void
kp_mirror_add_source (KpMirror *self, const char *argument, const char *stored_as)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);

  g_ptr_array_add (self->sources, kp_source_new (argument, stored_as, location));
}

KpSource *
kp_mirror_get_source (KpMirror *self, guint index)
{
  return g_ptr_array_index (self->sources, index);
}

/* Whether the object was made from this very file, whatever it held then. One that was made from
 * another file of the same name is no version of it: that may be under the name it had before. */
gboolean
kp_mirror_is_same_file (gboolean has_known, const KpKnown *known, const KpScanned *local)
{
  return has_known && known->info.ino == local->info.ino;
}

/* One file that failed, counted by what that means for deletions. @has_object says whether some
 * version of it is in the bucket under its name. */
void
kp_mirror_fail_file (KpMirror *self,
                     const KpScanned *local,
                     gboolean has_object,
                     const GError *error)
{
  g_autofree char *path
      = kp_source_full_path (kp_mirror_get_source (self, local->source), local->path);

  self->result.failed++;
  if (kp_error_is (error, KP_ERROR_SOURCE_UNREADABLE))
    self->unreadable++;
  else if (!has_object)
    self->unsaved++;
  kp_report_failed (self->report, path, error);
}

/* Said by every job, as long as it is so: the object is not all that the file is. */
void
kp_mirror_fail_xattrs (KpMirror *self, const KpScanned *local)
{
  g_autoptr (GError) error
      = g_error_new (KP_ERROR, KP_ERROR_METADATA_TOO_LARGE,
                     "The contents are safe, but the extended attributes do not fit into the %d "
                     "bytes that S3 has for them",
                     KP_METADATA_MAX);

  kp_mirror_fail_file (self, local, TRUE, error);
}

/* Two names in the bucket for different folders would overwrite each other at each run, and what is
 * kept is no folder of anybody's. */
static gboolean
check_sources (KpMirror *self, GError **error)
{
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (self, i);
      if (g_str_has_prefix (source->key, source->reserved))
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "“%s” cannot be stored as “%s”, where deleted and replaced files are kept; "
                       "give it another name",
                       source->path, source->key);
          return FALSE;
        }
    }
  for (guint i = 0; i < self->sources->len; i++)
    for (guint j = i + 1; j < self->sources->len; j++)
      {
        KpSource *a = kp_mirror_get_source (self, i);
        KpSource *b = kp_mirror_get_source (self, j);
        if (g_str_equal (a->key, b->key))
          {
            g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                         "“%s” and “%s” would both be stored as “%s”; mirror them to different "
                         "prefixes",
                         a->path, b->path, a->key);
            return FALSE;
          }
      }
  return TRUE;
}

static gboolean
open_sources (KpMirror *self, GError **error)
{
  guint opened = 0;
  g_autoptr (GError) last = NULL;

  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (self, i);

      g_clear_error (&last);
      if (kp_source_open (source, &last))
        {
          opened++;
          continue;
        }
      if (source->fd >= 0)
        close (source->fd);
      source->fd = -1;
      self->source_missing = TRUE;
      self->result.failed++;
      if (self->sources->len > 1)
        kp_report_failed (self->report, source->path, last);
    }
  if (opened > 0)
    return TRUE;
  /* Of several, each has been reported. */
  if (self->sources->len > 1)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_SOURCE_MISSING,
                         "None of the sources can be read");
  else
    g_propagate_error (error, g_steal_pointer (&last));
  return FALSE;
}

/* One thread's piece of the listing. */
typedef struct
{
  KpMirror *mirror;
  const char *prefix;
  char *start_after; /* or NULL: from the start */
  char *end;         /* last key of the piece, or NULL: to the end */
  gboolean in_order; /* the server was thought to list in the order of keys */
  gboolean is_gappy; /* what lies behind the piece need not be in the next one */
  GError *error;
  GThread *thread;
} ListJob;

static void
list_job_free (void *data)
{
  ListJob *job = data;

  g_free (job->start_after);
  g_free (job->end);
  g_clear_error (&job->error);
  g_free (job);
}

/* Whether the job is for what lies between two keys, and that may be anywhere in the listing, as
 * the server turned out to list in another order. */
static gboolean
is_useless (const ListJob *job)
{
  return job->in_order && (job->start_after != NULL || job->end != NULL)
         && !kp_s3_service_lists_in_order (job->mirror->service);
}

/* Whether another job goes on where this one ends. */
static gboolean
is_continued (const ListJob *job)
{
  return job->end != NULL && !g_str_equal (job->end, job->prefix);
}

static void *
list_main (void *data)
{
  ListJob *job = data;
  KpMirror *self = job->mirror;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (job->prefix, NULL, job->start_after);

  kp_s3_listing_set_end (listing, job->end);
  kp_kept_hide (location, listing);
  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (self->service);
  kp_s3_client_set_max_attempts (client, FIRST_ATTEMPTS);
  while (!is_useless (job) && !kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, client, self->cancellable, &job->error);
      if (page == NULL || !kp_catalogue_add_listed (self->catalogue, page, &job->error))
        break;
      kp_report_add_listed (self->report, page->len);
      kp_s3_client_set_max_attempts (client, KP_S3_MAX_ATTEMPTS);
    }
  job->is_gappy = is_continued (job) && !kp_s3_listing_has_met_end (listing);
  /* The scan, and the other pieces, need not go on. */
  if (job->error != NULL)
    g_cancellable_cancel (self->cancellable);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* Whether another source's listing already covers this one's. */
static gboolean
is_covered (KpMirror *self, guint index)
{
  KpSource *source = kp_mirror_get_source (self, index);

  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *other = kp_mirror_get_source (self, i);
      if (i != index && !other->is_file && g_str_has_prefix (source->key, other->key))
        return TRUE;
    }
  return FALSE;
}

/* Adds a job for the keys with @prefix behind @start_after, up to @end. */
static void
add_list_job (KpMirror *self,
              GPtrArray *jobs,
              const char *prefix,
              const char *start_after,
              const char *end)
{
  ListJob *job = g_new0 (ListJob, 1);

  job->mirror = self;
  job->prefix = prefix;
  job->in_order = kp_s3_service_lists_in_order (self->service);
  job->start_after = g_strdup (start_after);
  job->end = g_strdup (end);
  g_ptr_array_add (jobs, job);
}

/* Cuts what is to be listed of a folder into pieces of about the same length, going by the keys
 * that the catalogue knows. Of a server that lists in another order, it is one. */
static gboolean
add_folder (KpMirror *self, GPtrArray *jobs, const char *prefix, GError **error)
{
  const char *start_after = NULL;
  guint64 known;

  if (!kp_catalogue_count_known (self->catalogue, &known, error))
    return FALSE;
  unsigned n = kp_s3_service_lists_in_order (self->service)
                   ? (unsigned) CLAMP (known / KEYS_PER_LISTER, 1, MAX_LISTERS)
                   : 1;
  g_autoptr (GPtrArray) splits = kp_catalogue_get_split_keys (self->catalogue, prefix, n, error);
  if (splits == NULL)
    return FALSE;
  for (guint i = 0; i < splits->len; i++)
    {
      const char *end = g_ptr_array_index (splits, i);
      add_list_job (self, jobs, prefix, start_after, end);
      start_after = end;
    }
  add_list_job (self, jobs, prefix, start_after, NULL);
  return TRUE;
}

/* Whether the bucket may hold what the source was before, a file that is a folder now, or the
 * reverse: this computer has stored it, or does not know the source. */
static gboolean
may_have_turned (KpMirror *self, const KpSource *source, gboolean *turned, GError **error)
{
  const char *key = source->is_file ? source->folder_key : source->file_key;
  KpRootIdentity before;
  gboolean found;

  *turned = FALSE;
  if (key == NULL)
    return TRUE;
  if (!kp_catalogue_get_root (self->catalogue, source->path, &before, &found, error)
      || !kp_catalogue_remembers (self->catalogue, key, turned, error))
    return FALSE;
  *turned = *turned || !found;
  return TRUE;
}

/* Gives each piece of the listing to a thread. */
static gboolean
start_listing (KpMirror *self, GPtrArray *jobs, GError **error)
{
  for (guint i = 0; i < self->sources->len; i++)
    {
      const KpSource *source = kp_mirror_get_source (self, i);
      gboolean turned;

      if (is_covered (self, i))
        continue;
      if (!may_have_turned (self, source, &turned, error))
        return FALSE;
      if (source->is_file || turned)
        add_list_job (self, jobs, source->file_key, NULL, source->file_key);
      if ((!source->is_file || turned) && !add_folder (self, jobs, source->folder_key, error))
        return FALSE;
    }
  for (guint i = 0; i < jobs->len; i++)
    {
      ListJob *job = g_ptr_array_index (jobs, i);
      job->thread = g_thread_new ("keepsake-list", list_main, job);
    }
  return TRUE;
}

/* Waits for the listing. Gives the error that cancelled the others, not theirs. */
static void
end_listing (GPtrArray *jobs, GError **error)
{
  g_autoptr (GError) first = NULL;

  for (guint i = 0; i < jobs->len; i++)
    {
      ListJob *job = g_ptr_array_index (jobs, i);
      if (job->thread != NULL)
        g_thread_join (job->thread);
      if (job->error != NULL
          && (first == NULL || g_error_matches (first, G_IO_ERROR, G_IO_ERROR_CANCELLED)))
        {
          g_clear_error (&first);
          first = g_steal_pointer (&job->error);
        }
    }
  if (first != NULL)
    g_propagate_error (error, g_steal_pointer (&first));
}

/* Where a piece has shown that the server does not list in the order of keys, or the object at its
 * end was not met, so that it may be so: the pieces again, each folder as a whole. What was listed
 * of it is there twice, and the later one counts. */
static gboolean
list_again (KpMirror *self, GPtrArray *jobs, GError **error)
{
  g_autoptr (GHashTable) prefixes = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) again = g_ptr_array_new_with_free_func (list_job_free);

  for (guint i = 0; i < jobs->len; i++)
    {
      const ListJob *job = g_ptr_array_index (jobs, i);
      if ((job->is_gappy || is_useless (job)) && g_hash_table_add (prefixes, (char *) job->prefix))
        add_list_job (self, again, job->prefix, NULL, is_continued (job) ? NULL : job->end);
    }
  for (guint i = 0; i < again->len; i++)
    {
      ListJob *job = g_ptr_array_index (again, i);
      list_main (job);
      if (job->error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&job->error));
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
scan_sources (KpMirror *self, GError **error)
{
  for (guint i = 0; i < self->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (self, i);
      if (source->fd >= 0
          && !kp_scan_source (source, i, self->options.filter, self->options.all_file_systems,
                              self->catalogue, self->report, &self->scan, self->cancellable, error))
        return FALSE;
    }
  kp_roots_report_left_out (self);
  self->unreadable += self->scan.unreadable;
  self->unsaved += self->scan.too_long;
  self->result.failed += self->scan.unreadable + self->scan.too_long;
  /* Names that could not be seen are not gone. */
  return self->unreadable == 0 || kp_catalogue_trust_links (self->catalogue, error);
}

/* Walks the sources here while other threads list the bucket. */
static gboolean
scan_and_list (KpMirror *self, GError **error)
{
  g_autoptr (GPtrArray) jobs = g_ptr_array_new_with_free_func (list_job_free);
  g_autoptr (GError) scan_error = NULL;
  g_autoptr (GError) list_error = NULL;

  struct timespec now;

  kp_report_begin_phase (self->report, KP_PHASE_SCANNING);
  clock_gettime (CLOCK_REALTIME_COARSE, &now);
  self->listing_began = g_get_monotonic_time ();
  self->scan_began = kp_metadata_make_time (now.tv_sec, now.tv_nsec);
  if (!start_listing (self, jobs, error) || !kp_catalogue_begin (self->catalogue, error))
    {
      g_cancellable_cancel (self->cancellable);
      end_listing (jobs, NULL);
      return FALSE;
    }
  gboolean ok = scan_sources (self, &scan_error);
  if (!ok)
    g_cancellable_cancel (self->cancellable);
  end_listing (jobs, &list_error);

  /* Whoever failed first cancelled the other. */
  if (list_error != NULL && (ok || g_error_matches (scan_error, G_IO_ERROR, G_IO_ERROR_CANCELLED)))
    {
      g_propagate_error (error, g_steal_pointer (&list_error));
      return FALSE;
    }
  if (!ok)
    {
      g_propagate_error (error, g_steal_pointer (&scan_error));
      return FALSE;
    }
  return list_again (self, jobs, error) && kp_catalogue_commit (self->catalogue, error);
}

static gboolean
make_change_set (KpMirror *self, guint64 *n_vanished, guint64 *n_deletions, GError **error)
{
  *n_vanished = 0;
  *n_deletions = 0;
  kp_report_begin_phase (self->report, KP_PHASE_COMPARING);
  return kp_catalogue_begin (self->catalogue, error) && kp_change_set_make (self, error)
         && (!self->options.delete_vanished
             || kp_vanished_find (self, n_vanished, n_deletions, error))
         && kp_catalogue_commit (self->catalogue, error);
}

static gboolean
run_phases (KpMirror *self, GError **error)
{
  guint64 n_vanished;
  guint64 n_deletions;

  if (!scan_and_list (self, error) || !kp_roots_begin (self, error)
      || !make_change_set (self, &n_vanished, &n_deletions, error))
    return FALSE;
  if (self->options.dry_run)
    return kp_vanished_judge (self, n_vanished, n_deletions, error)
           && kp_change_set_print (self, error);

  kp_report_begin_phase (self->report, KP_PHASE_TRANSFERRING);
  if (self->options.keep_days > 0)
    self->keep = kp_keep_new (self);
  if (!kp_transfer_run (self, error) || !kp_vanished_judge (self, n_vanished, n_deletions, error))
    return FALSE;
  if (!self->options.delete_vanished || self->guard_reason != NULL)
    {
      if (!kp_vanished_report_clashes (self, error))
        return FALSE;
    }
  else if (n_deletions > 0)
    {
      kp_report_begin_phase (self->report, KP_PHASE_DELETING);
      if (self->keep != NULL)
        kp_keep_begin_deleting (self->keep);
      if (!kp_vanished_delete (self, error))
        return FALSE;
    }
  if (!kp_roots_remember (self, error))
    return FALSE;
  /* Where something is badly wrong today, nothing of yesterday goes either. */
  if (self->keep != NULL && self->guard_reason == NULL && !self->source_missing)
    kp_keep_sweep (self);
  if (self->keep != NULL)
    kp_keep_tell_versions (self->keep);
  return kp_catalogue_count_damaged (self->catalogue, &self->result.still_damaged, error);
}

/**
 * kp_mirror_run:
 * @error: what ended the job before its time: any #KpError for which kp_error_stops_job(), or
 *   %G_IO_ERROR_CANCELLED. Files that failed alone, and deletions that the guard held back, are in
 * the result and no error.
 *
 * Runs once. What has been sent when it ends early is recorded, and the next run goes on from
 * there.
 */
gboolean
kp_mirror_run (KpMirror *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (GMainContext) context = g_main_context_new ();
  gulong handler = 0;

  g_return_val_if_fail (self->catalogue == NULL && self->cancellable == NULL, FALSE);

  if (!check_sources (self, error) || !open_sources (self, error))
    return FALSE;
  self->catalogue = kp_catalogue_open (self->options.state_dir, location, error);
  if (self->catalogue == NULL)
    return FALSE;

  /* Its files change while the job runs. */
  for (guint i = 0; i < self->sources->len; i++)
    kp_source_leave_out (kp_mirror_get_source (self, i), self->options.state_dir);
  if (kp_catalogue_get_set_aside (self->catalogue) != NULL)
    kp_report_notice (self->report,
                      "The catalogue could not be used and is set aside as “%s”; a new one is made "
                      "from the bucket",
                      kp_catalogue_get_set_aside (self->catalogue));

  self->cancellable = g_cancellable_new ();
  handler = kp_cancel_follow (self->cancellable, cancellable);
  g_main_context_push_thread_default (context);
  gboolean ok = run_phases (self, error);
  if (self->keep != NULL)
    self->result.kept = kp_keep_get_count (self->keep);
  g_clear_pointer (&self->keep, kp_keep_free);
  g_main_context_pop_thread_default (context);
  g_cancellable_disconnect (cancellable, handler);

  kp_scan_result_clear (&self->scan);
  g_clear_pointer (&self->catalogue, kp_catalogue_free);
  kp_report_begin_phase (self->report, KP_PHASE_FINISHED);
  return ok;
}

void
kp_mirror_get_progress (KpMirror *self, KpProgress *progress)
{
  kp_report_get_progress (self->report, progress);
}

/**
 * kp_mirror_get_result:
 * @result: (out): what came of it; its strings live as long as @self. To be called when
 *   kp_mirror_run() has returned
 */
void
kp_mirror_get_result (KpMirror *self, KpMirrorResult *result)
{
  *result = self->result;
  result->guard_reason = self->guard_reason;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The second phase: one row for each action that the job is going to take. What size, time and ETag
 * leave open is settled by a closer look, in the workers. */

#include "kp-compare.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-layout.h"
#include "kp-look.h"
#include "kp-mirror-private.h"
#include "kp-pool.h"

/* How often what has been found out is made to last, in microseconds. */
#define COMMIT_EVERY (500 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  KpMirror *mirror;
  KpPool *pool;
  GAsyncQueue *answers; /* of KpLook */
  const KpS3Provider *provider;
  gboolean has_chunks;  /* the catalogue knows the insides of objects */
  gboolean has_damaged; /* a verification has found objects that are damaged; a backup finds none */
  unsigned outstanding;
  gint64 now;       /* the server's time after the listing, in Unix seconds */
  gint64 listed_at; /* the server's time before the listing */
  guint unseen;     /* objects that were touched, and that the key may not look at */
  gint64 commit_at; /* monotonic */
  guint64 actions;
  guint64 bytes;
} ChangeSet;

/* Runs in a worker. */
static void
look_cb (KpS3Client *client, void *item, void *user_data)
{
  ChangeSet *set = user_data;
  KpLook *look = item;

  kp_look_closely (look, client);
  g_async_queue_push (set->answers, look);
}

static gboolean
add_change (ChangeSet *set,
            KpAction action,
            const char *key,
            guint64 bytes,
            const char *from_key,
            GError **error)
{
  set->actions++;
  set->bytes += bytes;
  return kp_catalogue_add_change (set->mirror->catalogue, action, key, bytes, from_key, error);
}

/* A file with several names is sent once; the other names are copies of the first. */
static gboolean
add_put (ChangeSet *set, const KpScanned *local, GError **error)
{
  if (S_ISREG (local->info.mode) && local->info.nlink > 1 && local->info.size > 0)
    {
      g_autoptr (GError) local_error = NULL;
      g_autofree char *first
          = kp_catalogue_find_first_link (set->mirror->catalogue, &local->info, &local_error);

      if (local_error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (first != NULL && !g_str_equal (first, local->key))
        return add_change (set, KP_ACTION_LINK, local->key, 0, first, error);
    }
  return add_change (set, KP_ACTION_PUT, local->key, kp_compare_object_size (&local->info), NULL,
                     error);
}

/* A small new file whose bytes the bucket has under another name is copied by the server. */
static gboolean
add_new_small (ChangeSet *set, const KpLook *look, GError **error)
{
  const KpScanned *local = &look->row.local;
  g_autofree char *from_key = NULL;
  gboolean is_vanished = FALSE;

  if (look->known.sha256 != NULL && !look->row.listed
      && !kp_catalogue_find_content (set->mirror->catalogue, local->info.size, look->known.sha256,
                                     &from_key, &is_vanished, error))
    return FALSE;
  if (from_key == NULL)
    return add_put (set, local, error);
  return add_change (set, is_vanished ? KP_ACTION_RENAME : KP_ACTION_COPY, local->key, 0, from_key,
                     error);
}

/* A large file, changed or new: what the bucket has of its chunks is copied. */
static gboolean
add_large (ChangeSet *set, const KpLook *look, GError **error)
{
  const KpScanned *local = &look->row.local;
  KpCatalogue *catalogue = set->mirror->catalogue;

  if (!kp_catalogue_put_new_chunks (catalogue, local->key, look->chunks, error))
    return FALSE;
  g_autoptr (KpLayout) layout = kp_layout_new_delta (catalogue, set->provider, local->key,
                                                     look->row.listed_etag, look->chunks, error);
  if (layout == NULL)
    return FALSE;
  if (layout->to_send >= layout->size)
    return add_put (set, local, error);

  /* A copy over an object that exists could overwrite what another copy needs; of a delta, the
   * sources are looked at before it is completed. */
  const KpLayoutSource *source
      = look->row.listed ? NULL : kp_layout_get_only_source (layout, local->key);
  if (source == NULL)
    return add_change (set,
                       kp_layout_copies_from_others (layout, local->key) ? KP_ACTION_ASSEMBLE
                                                                         : KP_ACTION_DELTA,
                       local->key, layout->to_send, NULL, error);
  gboolean is_scanned;
  return kp_catalogue_is_scanned (catalogue, source->key, &is_scanned, error)
         && add_change (set, is_scanned ? KP_ACTION_COPY : KP_ACTION_RENAME, local->key, 0,
                        source->key, error);
}

static void
count_unchanged (ChangeSet *set, const KpScanned *local, const KpKnown *known)
{
  set->mirror->result.unchanged++;
  if (known->xattrs_left_out)
    kp_mirror_fail_xattrs (set->mirror, local);
}

static gboolean
take_answer (ChangeSet *set, KpLook *look, GError **error)
{
  KpCatalogue *catalogue = set->mirror->catalogue;
  const char *key = look->row.local.key;

  set->outstanding--;
  kp_report_add_compared (set->mirror->report, 1);
  if (look->error != NULL && kp_error_stops_job (look->error))
    {
      g_propagate_error (error, g_steal_pointer (&look->error));
      return FALSE;
    }
  if (look->error != NULL)
    {
      kp_mirror_fail_file (
          set->mirror, &look->row.local,
          kp_mirror_is_same_file (look->row.has_known, &look->row.known, &look->row.local),
          look->error);
      set->mirror->look_failed
          = set->mirror->look_failed || look->row.local.info.size > KP_PART_SIZE;
      return TRUE;
    }
  set->unseen += look->is_unseen ? 1 : 0;
  if (look->was_touched && !kp_catalogue_remove_proof (catalogue, key, error))
    return FALSE;
  if (!look->same_content && look->chunks != NULL && !look->went_away)
    return add_large (set, look, error);
  if (!look->same_content)
    return add_new_small (set, look, error);
  /* Found while proving an object that was known only by its ETag. */
  if (look->chunks != NULL
      && !kp_catalogue_put_chunks (catalogue, key, look->known.etag, look->chunks, error))
    return FALSE;
  if (!look->same_metadata)
    /* The row must not say more than the bucket holds, or a job that is killed before the copy
     * would take it for done. */
    return (look->as_stored.etag == NULL
            || kp_catalogue_put_known (catalogue, key, &look->as_stored, error))
           && add_change (set, KP_ACTION_METADATA, key, 0, NULL, error);
  count_unchanged (set, &look->row.local, &look->known);
  return kp_catalogue_put_known (catalogue, key, &look->known, error)
         && (!look->is_doubted || kp_catalogue_remove_doubt (catalogue, key, error));
}

static gboolean
take_answers (ChangeSet *set, gboolean wait, GError **error)
{
  KpLook *next;

  while (set->outstanding > 0
         && (next = wait ? g_async_queue_timeout_pop (set->answers, 100 * G_TIME_SPAN_MILLISECOND)
                         : g_async_queue_try_pop (set->answers))
                != NULL)
    {
      g_autoptr (KpLook) look = next;
      wait = FALSE;
      if (!take_answer (set, look, error))
        return FALSE;
    }
  kp_pool_adapt (set->pool, g_get_monotonic_time ());
  return !g_cancellable_set_error_if_cancelled (set->mirror->cancellable, error);
}

/* Whether reading a file that has to be sent may show that the server has its bytes already, or
 * most of them. */
static gboolean
is_worth_reading (ChangeSet *set, const KpComparison *row, gboolean *worth, GError **error)
{
  const KpFileInfo *info = &row->local.info;

  *worth = FALSE;
  if (!S_ISREG (info->mode) || info->size == 0)
    return TRUE;
  if (info->size > KP_PART_SIZE)
    {
      *worth = set->has_chunks;
      return TRUE;
    }
  return row->listed || kp_catalogue_has_content (set->mirror->catalogue, info->size, worth, error);
}

/* The chunks of the object that a large file is compared with. */
static gboolean
load_old_chunks (ChangeSet *set, KpLook *look, GError **error)
{
  const KpComparison *row = &look->row;

  if (row->local.info.size <= KP_PART_SIZE || !row->listed || !row->has_known
      || !g_str_equal (row->listed_etag, row->known.etag))
    return TRUE;
  look->old_chunks
      = kp_catalogue_get_chunks (set->mirror->catalogue, row->local.key, row->known.etag, error);
  return look->old_chunks != NULL;
}

/* Of an object that was stored by a version that did not record when, or by a server that did not
 * say: what the listing says is taken for it, without a request. */
static gboolean
take_listed_time (ChangeSet *set, const KpComparison *row, GError **error)
{
  if (row->known.stored != 0 || row->listed_modified <= 0 || row->listed_modified >= set->listed_at)
    return TRUE;
  return kp_catalogue_put_stored (set->mirror->catalogue, row->local.key, row->listed_modified,
                                  error);
}

static gboolean
take_row (ChangeSet *set, KpComparison *row, GError **error)
{
  KpDecision decision = kp_compare_decide (row, set->mirror->options.checksum);
  g_autoptr (GError) size_error = NULL;
  gboolean worth_reading = TRUE;
  gboolean is_damaged = FALSE;

  if (decision != KP_DECISION_UNCHANGED && S_ISREG (row->local.info.mode)
      && !kp_layout_check_size (set->provider, row->local.info.size, &size_error))
    {
      kp_mirror_fail_file (set->mirror, &row->local,
                           kp_mirror_is_same_file (row->has_known, &row->known, &row->local),
                           size_error);
      return TRUE;
    }
  /* What a verification found to be damaged looks right: size, times and ETag may all be the same.
   * Nothing of it is worth being copied, either. */
  if (set->has_damaged && row->listed
      && !kp_catalogue_is_damaged (set->mirror->catalogue, row->local.key, &is_damaged, error))
    return FALSE;
  if (is_damaged)
    return add_change (set, KP_ACTION_PUT, row->local.key,
                       kp_compare_object_size (&row->local.info), NULL, error);

  gboolean is_touched = (decision == KP_DECISION_UNCHANGED || decision == KP_DECISION_LOOK_AT_FILE)
                        && kp_compare_is_touched (row, set->now);
  if (decision == KP_DECISION_UNCHANGED && !is_touched)
    {
      count_unchanged (set, &row->local, &row->known);
      return take_listed_time (set, row, error);
    }
  if (decision == KP_DECISION_UNCHANGED)
    decision = KP_DECISION_LOOK_AT_HEADERS;
  if (decision == KP_DECISION_PUT)
    {
      if (!is_worth_reading (set, row, &worth_reading, error))
        return FALSE;
      if (!worth_reading)
        return add_put (set, &row->local, error);
      decision = KP_DECISION_LOOK_AT_FILE;
    }

  KpLook *look = g_new0 (KpLook, 1);
  look->mirror = set->mirror;
  look->question = decision;
  look->listed_at = set->listed_at;
  look->is_touched = is_touched;
  look->row = *row;
  *row = (KpComparison){ 0 };
  if (!load_old_chunks (set, look, error)
      || (decision == KP_DECISION_LOOK_AT_OBJECT
          && !kp_catalogue_is_doubted (set->mirror->catalogue, look->row.local.key,
                                       &look->is_doubted, error)))
    {
      kp_look_free (look);
      return FALSE;
    }
  set->outstanding++;
  kp_pool_push (set->pool, look);
  while (kp_pool_get_room (set->pool) == 0)
    if (!take_answers (set, TRUE, error))
      return FALSE;
  return TRUE;
}

/* What has been found out so far survives a job that is stopped: on a large tree it took hours. */
static gboolean
commit_sometimes (ChangeSet *set, GError **error)
{
  gint64 now = g_get_monotonic_time ();

  if (now < set->commit_at)
    return TRUE;
  set->commit_at = now + COMMIT_EVERY;
  return kp_catalogue_commit (set->mirror->catalogue, error)
         && kp_catalogue_begin (set->mirror->catalogue, error);
}

static gboolean
compare_all (ChangeSet *set, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_compare (set->mirror->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_auto (KpComparison) row = { 0 };
      result = kp_cursor_next_comparison (cursor, &row, error);
      if (result < 0 || (result == 1 && !take_row (set, &row, error)))
        return FALSE;
      if (set->outstanding > 0
          && (!take_answers (set, FALSE, error) || !commit_sometimes (set, error)))
        return FALSE;
    }
  while (set->outstanding > 0)
    if (!take_answers (set, TRUE, error) || !commit_sometimes (set, error))
      return FALSE;
  return TRUE;
}

static void
set_times (ChangeSet *set)
{
  KpS3Service *service = set->mirror->service;
  gint64 heard = kp_s3_service_get_server_time (service);
  gint64 passed = g_get_monotonic_time () - set->mirror->listing_began;

  set->now = heard != 0 ? heard : kp_s3_service_get_now (service);
  /* The second that has begun counts, too: rather too early than too late. */
  set->listed_at = set->now - passed / G_USEC_PER_SEC - 1;
}

/**
 * kp_change_set_make:
 * @error: any #KpError of a HEAD; %KP_ERROR_LOCAL_STORAGE; %G_IO_ERROR_CANCELLED
 *
 * Fills the catalogue's table of changes, but for deletions.
 */
gboolean
kp_change_set_make (KpMirror *mirror, GError **error)
{
  g_autoptr (GAsyncQueue) answers = g_async_queue_new_full (kp_look_free);
  ChangeSet set = { .mirror = mirror,
                    .answers = answers,
                    .commit_at = g_get_monotonic_time () + COMMIT_EVERY };
  gboolean ok;

  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (mirror->service);
  set.provider = kp_s3_location_get_provider (location);
  set_times (&set);
  if (!kp_catalogue_has_chunks (mirror->catalogue, &set.has_chunks, error)
      || !kp_catalogue_has_damaged (mirror->catalogue, &set.has_damaged, error))
    return FALSE;
  set.pool = kp_pool_new (mirror->service, mirror->options.jobs, look_cb, kp_look_free, &set);
  ok = compare_all (&set, error);
  if (!ok)
    g_cancellable_cancel (mirror->cancellable);
  kp_pool_free (set.pool);
  if (set.unseen > 0)
    kp_report_notice (
        mirror->report,
        "%u objects were written again in the bucket by somebody else, and the key "
        "may not look at them: whether they still say of their files what they should "
        "is not known",
        set.unseen);
  kp_report_set_total (mirror->report, set.actions, set.bytes);
  return ok;
}

const char *
kp_action_name (KpAction action)
{
  static const char *const names[KP_N_ACTIONS] = {
    [KP_ACTION_RENAME] = "rename", [KP_ACTION_COPY] = "copy",     [KP_ACTION_ASSEMBLE] = "delta",
    [KP_ACTION_PUT] = "put",       [KP_ACTION_DELTA] = "delta",   [KP_ACTION_METADATA] = "metadata",
    [KP_ACTION_LINK] = "link",     [KP_ACTION_DELETE] = "delete",
  };

  return names[action];
}

static void
count_change (KpMirrorResult *result, KpAction action)
{
  guint64 *const counters[KP_N_ACTIONS] = {
    [KP_ACTION_RENAME] = &result->copied,  [KP_ACTION_COPY] = &result->copied,
    [KP_ACTION_ASSEMBLE] = &result->delta, [KP_ACTION_PUT] = &result->put,
    [KP_ACTION_DELTA] = &result->delta,    [KP_ACTION_METADATA] = &result->metadata,
    [KP_ACTION_LINK] = &result->copied,    [KP_ACTION_DELETE] = &result->deleted,
  };

  ++*counters[action];
}

/**
 * kp_change_set_print:
 *
 * Reports every change as if it were done: the whole of what --dry-run does. Deletions that the
 * guard held back are not among them.
 */
gboolean
kp_change_set_print (KpMirror *mirror, GError **error)
{
  KpAction last = mirror->guard_reason != NULL ? KP_ACTION_LINK : KP_ACTION_DELETE;
  g_autoptr (KpCursor) cursor
      = kp_catalogue_list_changes (mirror->catalogue, KP_ACTION_RENAME, last, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_auto (KpChange) change = { 0 };
      result = kp_cursor_next_change (cursor, &change, error);
      if (result != 1)
        break;
      kp_report_done (mirror->report, kp_action_name (change.action), change.local.key,
                      change.bytes);
      count_change (&mirror->result, change.action);
      if (mirror->options.keep_days > 0 && change.old.etag != NULL)
        {
          kp_report_done (mirror->report, KP_KEEP_ACTION, change.local.key, 0);
          mirror->result.kept++;
        }
      mirror->result.bytes_sent += change.bytes;
    }
  return result == 0;
}

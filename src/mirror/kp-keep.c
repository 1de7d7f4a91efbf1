/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-keep.h"

#include "kp-error.h"
#include "kp-layout.h"
#include "kp-name.h"
#include "kp-pool.h"
#include "kp-transfer-private.h"

#include <string.h>

/* The name of a run is made later than those that are there, but for one whose clock was wrong. */
#define FUTURE_MAX (24 * 60 * 60)

/* So many in a row that could not be kept, and the job stops asking. */
#define MAX_FAILURES 10

/* How long a name is used, in seconds: what is kept is kept from the time in its name on. */
#define NAME_LIFE (60 * 60)

/* A run of so many seconds needs no other name for what it deletes. */
#define SHORT_RUN 60

struct _KpKeep
{
  KpMirror *mirror; /* not owned */
  KpS3Location *location;
  const KpS3Provider *provider;
  gint64 began; /* when the run began to transfer, by the server's clock, in Unix seconds */

  GMutex lock;  /* guards what follows */
  gint64 run;   /* what stands in the names; 0 until the first object is kept */
  gint64 named; /* when that was found, by the server's clock */
  guint64 count;

  /* Of the job's thread. */
  KpPool *pool;      /* for deletions; NULL until there are any */
  GAsyncQueue *done; /* of Item */
  unsigned failures; /* in a row */
};

/* An object that is about to be deleted. */
typedef struct
{
  KpKeep *keep;
  KpChange *change; /* not owned */
  KpKeepOutcome outcome;
  GError *error;
} Item;

static void
item_free (void *data)
{
  Item *item = data;

  g_clear_error (&item->error);
  g_free (item);
}

/**
 * kp_keep_new:
 *
 * To be called when the transfer begins. Costs no request before the first object is kept.
 */
KpKeep *
kp_keep_new (KpMirror *mirror)
{
  KpKeep *keep = g_new0 (KpKeep, 1);
  gint64 heard = kp_s3_service_get_server_time (mirror->service);

  keep->mirror = mirror;
  keep->location = kp_s3_service_ref_location (mirror->service);
  keep->provider = kp_s3_location_get_provider (keep->location);
  keep->began = heard != 0 ? heard : kp_s3_service_get_now (mirror->service);
  keep->done = g_async_queue_new_full (item_free);
  g_mutex_init (&keep->lock);
  return keep;
}

void
kp_keep_free (KpKeep *keep)
{
  g_clear_pointer (&keep->pool, kp_pool_free);
  g_async_queue_unref (keep->done);
  kp_s3_location_unref (keep->location);
  g_mutex_clear (&keep->lock);
  g_free (keep);
}

/**
 * kp_keep_get_count:
 *
 * Returns: how many objects were kept
 */
guint64
kp_keep_get_count (KpKeep *keep)
{
  g_mutex_lock (&keep->lock);
  guint64 count = keep->count;
  g_mutex_unlock (&keep->lock);
  return count;
}

/**
 * kp_keep_tell_versions:
 *
 * The user pays for the same thing twice: that is worth a word, where something was kept and an
 * answer has shown it. To be called at the end.
 */
void
kp_keep_tell_versions (KpKeep *keep)
{
  if (kp_keep_get_count (keep) > 0 && kp_s3_service_makes_versions (keep->mirror->service))
    kp_report_notice (keep->mirror->report,
                      "The bucket keeps old versions by itself: to keep deleted and replaced files "
                      "beside the backup as well is not needed");
}

/* Finds a time for the names of this run that is later than those of all runs before: they may have
 * been in the same second, or the clock was set back since. */
static gboolean
find_run (KpKeep *keep, KpS3Client *client, GError **error)
{
  g_autofree char *prefix = kp_kept_get_prefix (keep->location);
  gint64 now = MAX (keep->began, kp_s3_service_get_now (keep->mirror->service));
  g_autofree char *name = kp_kept_run_to_string (now);
  g_autofree char *start = g_strconcat (prefix, name, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, "/", start);
  gint64 run = now;

  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, client, keep->mirror->cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          g_autofree char *earlier = g_strdup (entry->key + strlen (prefix));
          gint64 time;

          if (!entry->is_prefix || *earlier == '\0')
            continue;
          earlier[strlen (earlier) - 1] = '\0';
          if (kp_kept_parse_run (earlier, &time) && time >= run && time - now <= FUTURE_MAX)
            run = time + 1;
        }
    }
  keep->run = run;
  keep->named = now;
  return TRUE;
}

static gboolean
get_run (KpKeep *keep, KpS3Client *client, gint64 *run, GError **error)
{
  g_mutex_lock (&keep->lock);
  if (kp_s3_service_get_now (keep->mirror->service) - keep->named > NAME_LIFE)
    keep->run = 0;
  gboolean ok = keep->run != 0 || find_run (keep, client, error);
  *run = keep->run;
  g_mutex_unlock (&keep->lock);
  return ok;
}

/**
 * kp_keep_begin_deleting:
 *
 * What is deleted now may have waited for days for the end of the transfer: its time begins now, or
 * a minute ago.
 */
void
kp_keep_begin_deleting (KpKeep *keep)
{
  g_mutex_lock (&keep->lock);
  if (kp_s3_service_get_now (keep->mirror->service) - keep->named > SHORT_RUN)
    keep->run = 0;
  g_mutex_unlock (&keep->lock);
}

/* Whether the object is still the one that was judged. */
static gboolean
check_source (KpKeep *keep, KpS3Client *client, const char *key, const KpEnded *old, GError **error)
{
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, key, NULL, keep->mirror->cancellable, error);

  if (object == NULL)
    return FALSE;
  if (*old->etag == '\0' || g_str_equal (object->etag, old->etag))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT,
               "“%s” was changed in the bucket by somebody else; the next run looks at it again",
               key);
  return FALSE;
}

static void
take_back (KpKeep *keep, KpS3Client *client, const char *kept_key)
{
  g_autoptr (GError) error = NULL;

  if (!kp_s3_client_delete (client, kept_key, keep->mirror->cancellable, &error))
    g_debug ("Cannot delete %s: %s", kept_key, error->message);
}

/* Copies with one request. The copy must be of the object that was judged: where the provider
 * cannot pin it to an ETag, its own ETag proves it, or else another look at the source. */
static gboolean
copy_whole (KpKeep *keep,
            KpS3Client *client,
            const char *key,
            const KpEnded *old,
            const char *kept_key,
            GError **error)
{
  GCancellable *cancellable = keep->mirror->cancellable;
  const char *pin = *old->etag != '\0' ? old->etag : NULL;
  g_autoptr (GError) local_error = NULL;
  g_autofree char *etag = kp_s3_client_copy_as_is (client, key, pin, kept_key, old->storage_class,
                                                   cancellable, &local_error);

  /* A storage class that a lifecycle rule gave an object may be one that nobody can write. */
  if (kp_error_is (local_error, KP_ERROR_REFUSED) && old->storage_class != NULL)
    {
      g_clear_error (&local_error);
      etag = kp_s3_client_copy_as_is (client, key, pin, kept_key, NULL, cancellable, &local_error);
    }
  if (etag == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (keep->provider->copy_if_match || g_str_equal (etag, old->etag)
      || check_source (keep, client, key, old, error))
    return TRUE;
  take_back (keep, client, kept_key);
  return FALSE;
}

/* All that an upload can be told of what the object was. */
static KpS3HeaderList *
copy_headers (const KpS3Object *object, const KpEnded *old)
{
  KpS3HeaderList *headers = kp_s3_header_list_new ();
  GHashTableIter iter;
  void *name;
  void *value;

  if (object->content_type != NULL)
    kp_s3_header_list_add (headers, "content-type", object->content_type);
  if (old->storage_class != NULL)
    kp_s3_header_list_add (headers, "x-amz-storage-class", old->storage_class);
  g_hash_table_iter_init (&iter, object->metadata);
  while (g_hash_table_iter_next (&iter, &name, &value))
    {
      g_autofree char *header = g_strconcat ("x-amz-meta-", name, NULL);
      kp_s3_header_list_add (headers, header, value);
    }
  return headers;
}

static gboolean
copy_parts (KpKeep *keep,
            KpS3Client *client,
            const char *key,
            const KpEnded *old,
            const char *kept_key,
            const char *upload_id,
            KpS3HeaderList *headers,
            GError **error)
{
  GCancellable *cancellable = keep->mirror->cancellable;
  g_autoptr (KpLayout) layout = kp_layout_new_copy (key, old->etag, old->size, keep->provider);
  g_autoptr (GPtrArray) etags = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < layout->parts->len; i++)
    {
      const KpPart *part = &g_array_index (layout->parts, KpPart, i);
      char *etag
          = kp_s3_client_copy_part (client, key, old->etag, part->source_offset, part->length,
                                    kept_key, upload_id, i + 1, cancellable, error);
      if (etag == NULL)
        return FALSE;
      g_ptr_array_add (etags, etag);
    }
  if (!keep->provider->copy_if_match && !check_source (keep, client, key, old, error))
    return FALSE;
  g_autofree char *etag = kp_s3_client_complete_upload (client, kept_key, upload_id, headers,
                                                        (const char *const *) etags->pdata,
                                                        etags->len, cancellable, error);
  return etag != NULL;
}

/* Begins an upload of which the next job knows, should this one be killed. */
static char *
begin_upload (KpKeep *keep,
              KpS3Client *client,
              const char *kept_key,
              KpS3HeaderList *headers,
              KpKeepRecordFunc record,
              void *user_data,
              GError **error)
{
  gint64 began = kp_s3_service_get_now (keep->mirror->service);

  if (!record (KP_KEEP_BEGINNING, kept_key, NULL, user_data, error))
    return NULL;
  g_autofree char *upload_id
      = kp_s3_client_create_upload (client, kept_key, headers, keep->mirror->cancellable, error);
  if (upload_id == NULL || !record (KP_KEEP_BEGUN, kept_key, upload_id, user_data, error))
    return NULL;
  kp_stale_end_twins (keep->mirror, client, kept_key, upload_id,
                      kp_s3_client_get_attempts (client) - 1, began);
  return g_steal_pointer (&upload_id);
}

/* Copies what is too large for one request. */
static gboolean
copy_in_parts (KpKeep *keep,
               KpS3Client *client,
               const char *key,
               const KpEnded *old,
               const char *kept_key,
               KpKeepRecordFunc record,
               void *user_data,
               GError **error)
{
  GCancellable *cancellable = keep->mirror->cancellable;
  g_autoptr (GError) local_error = NULL;

  if (keep->provider->part_copy == KP_S3_SUPPORT_NO
      || !kp_layout_can_copy_from (keep->provider, key))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
                   "The storage cannot copy an object of %" G_GUINT64_FORMAT " bytes", old->size);
      return FALSE;
    }
  g_autoptr (KpS3Object) object = kp_s3_client_head (client, key, NULL, cancellable, error);
  if (object == NULL)
    return FALSE;
  g_autoptr (KpS3HeaderList) headers = copy_headers (object, old);
  g_autofree char *upload_id
      = begin_upload (keep, client, kept_key, headers, record, user_data, error);
  if (upload_id == NULL)
    return FALSE;
  gboolean ok = copy_parts (keep, client, key, old, kept_key, upload_id, headers, &local_error);
  gboolean ended
      = ok
        || (!g_cancellable_is_cancelled (cancellable)
            && kp_s3_client_abort_upload (client, kept_key, upload_id, cancellable, NULL));
  if (ended && !record (KP_KEEP_ENDED, kept_key, upload_id, user_data, ok ? error : NULL))
    return FALSE;
  if (ok)
    return TRUE;
  /* Of the source, or of the upload: who knows. */
  if (kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    local_error->code = KP_ERROR_CONFLICT;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static void
count_kept (KpKeep *keep, const char *key)
{
  g_mutex_lock (&keep->lock);
  keep->count++;
  g_mutex_unlock (&keep->lock);
  kp_report_add_total (keep->mirror->report, 1, 0);
  kp_report_done (keep->mirror->report, KP_KEEP_ACTION, key, 0);
}

/* What is the same tomorrow. */
static gboolean
is_hopeless (const GError *error)
{
  return kp_error_is (error, KP_ERROR_NAME_TOO_LONG) || kp_error_is (error, KP_ERROR_ARCHIVED)
         || kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER);
}

/* Whether the object that a copy did not find is really gone: a gateway that knows no copies, or a
 * replica that lags, may say so of one that is there. */
static gboolean
is_gone (KpKeep *keep, KpS3Client *client, const char *key, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, key, NULL, keep->mirror->cancellable, &local_error);

  if (kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return TRUE;
  if (object == NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else
    g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT,
                 "the server says that “%s” is not there to be copied, but it is", key);
  return FALSE;
}

/**
 * kp_keep_object:
 * @reason: what is going to happen to the object
 * @key: its whole key
 * @old: what was listed under it, and judged
 * @record: called for objects that are too large for one copy
 * @error: %KP_ERROR_CONFLICT when it is not the object any more that was judged;
 *   %KP_ERROR_NAME_TOO_LONG, %KP_ERROR_ARCHIVED; others of kp_s3_request_send()
 *
 * Copies an object that is about to be deleted or replaced, with its metadata. For any thread. To
 * be called again for the same object does no harm, as long as nobody has replaced it.
 */
KpKeepOutcome
kp_keep_object (KpKeep *keep,
                KpS3Client *client,
                KpKeptReason reason,
                const char *key,
                const KpEnded *old,
                KpKeepRecordFunc record,
                void *user_data,
                GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean ok = FALSE;
  gint64 run;

  if (!get_run (keep, client, &run, error))
    return KP_KEEP_FAILED;
  g_autofree char *kept_key = kp_kept_key (keep->location, run, reason, key);
  if (strlen (kept_key) > KP_KEY_MAX)
    g_set_error (&local_error, KP_ERROR, KP_ERROR_NAME_TOO_LONG,
                 "its name would have %" G_GSIZE_FORMAT " bytes there, and %d are allowed",
                 strlen (kept_key), KP_KEY_MAX);
  else
    ok = old->size > keep->provider->max_copy
             ? copy_in_parts (keep, client, key, old, kept_key, record, user_data, &local_error)
             : copy_whole (keep, client, key, old, kept_key, &local_error);
  if (ok)
    {
      count_kept (keep, key);
      return KP_KEEP_DONE;
    }
  if (kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return is_gone (keep, client, key, error) ? KP_KEEP_GONE : KP_KEEP_FAILED;
  KpKeepOutcome outcome = is_hopeless (local_error) ? KP_KEEP_IMPOSSIBLE : KP_KEEP_FAILED;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return outcome;
}

/* Keys may be good for the mirror's prefix alone: so the error names the other one. */
static void
say_where (KpKeep *keep, GError **error, const char *what)
{
  g_autofree char *prefix = kp_kept_get_prefix (keep->location);

  g_prefix_error (error, "%s below “%s”: ", what, prefix);
}

/* --- what is replaced ----------------------------------------------------------------------- */

/* Hands what becomes of an upload to the job's thread. */
static gboolean
record_task_cb (KpKeepStep step,
                const char *kept_key,
                const char *upload_id,
                void *user_data,
                GError **error)
{
  static const KpTaskKind kinds[] = { [KP_KEEP_BEGINNING] = KP_TASK_BEGINNING,
                                      [KP_KEEP_BEGUN] = KP_TASK_UPLOAD_BEGUN,
                                      [KP_KEEP_ENDED] = KP_TASK_UPLOAD_GONE };
  KpTask *task = user_data;
  KpTask *note = kp_task_new (task->transfer, kinds[step]);

  note->change.local.key = g_strdup (kept_key);
  note->row = g_new0 (KpUploadRow, 1);
  note->row->key = g_strdup (kept_key);
  note->row->upload_id = g_strdup (upload_id);
  note->row->layout = g_strdup ("");
  return kp_task_finish_and_wait (note, error);
}

/**
 * kp_task_keep:
 * @error: the old object could not be kept: nothing may replace it
 *
 * To be called just before the task's object is written: keeps the one that it replaces, if there
 * is one and the plan says so. What can never be kept is replaced all the same, and that is said.
 * For workers.
 */
gboolean
kp_task_keep (KpTask *task, KpS3Client *client, GError **error)
{
  KpMirror *mirror = task->transfer->mirror;
  const KpChange *change = &task->change;
  const char *key = change->local.key;
  const KpEnded *old = &change->old;
  KpEnded remembered = { .etag = change->known.etag, .size = change->known.info.size };
  g_autoptr (GError) local_error = NULL;

  /* A listing may leave out what is there: then what we stored has to be asked for. */
  if (old->etag == NULL && change->has_known && change->from_key == NULL)
    old = &remembered;
  if (mirror->keep == NULL || task->is_kept || old->etag == NULL || *old->etag == '\0')
    return TRUE;
  KpKeepOutcome outcome = kp_keep_object (mirror->keep, client, KP_KEPT_REPLACED, key, old,
                                          record_task_cb, task, &local_error);
  if (outcome == KP_KEEP_FAILED)
    {
      task->keep_failed = TRUE;
      if (!kp_error_stops_job (local_error) || kp_error_is (local_error, KP_ERROR_ACCESS_DENIED))
        say_where (mirror->keep, &local_error,
                   "Not stored, as what the bucket has of it so far could not be kept");
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (outcome == KP_KEEP_IMPOSSIBLE)
    {
      g_autofree char *name = kp_name_display (key);
      kp_report_notice (mirror->report,
                        "The old version of “%s” was replaced and could not be kept: %s", name,
                        local_error->message);
    }
  task->is_kept = TRUE;
  return TRUE;
}

/* --- what is deleted ------------------------------------------------------------------------ */

/* In the job's thread, with no transaction open. */
static gboolean
record_directly_cb (KpKeepStep step,
                    const char *kept_key,
                    const char *upload_id,
                    void *user_data,
                    GError **error)
{
  KpMirror *mirror = user_data;
  KpUploadRow row
      = { .key = (char *) kept_key, .upload_id = (char *) upload_id, .layout = (char *) "" };

  switch (step)
    {
    case KP_KEEP_BEGINNING:
      return kp_catalogue_put_beginning (mirror->catalogue, kept_key,
                                         kp_s3_service_get_now (mirror->service), error);
    case KP_KEEP_BEGUN:
      return kp_catalogue_put_upload (mirror->catalogue, &row, error);
    case KP_KEEP_ENDED:
    default:
      return kp_catalogue_remove_upload (mirror->catalogue, kept_key, error);
    }
}

static void
keep_item (Item *item, KpS3Client *client)
{
  const KpChange *change = item->change;

  item->outcome
      = kp_keep_object (item->keep, client, KP_KEPT_DELETED, change->local.key, &change->old,
                        record_directly_cb, item->keep->mirror, &item->error);
}

/* Runs in a worker. */
static void
item_cb (KpS3Client *client, void *data, void *user_data)
{
  Item *item = data;

  keep_item (item, client);
  g_async_queue_push (item->keep->done, item);
}

/* Of an object that could not be kept. Returns FALSE when it makes no sense to go on. */
static gboolean
take_failure (KpKeep *keep, Item *item, GError **error)
{
  KpMirror *mirror = keep->mirror;
  gboolean is_denied = kp_error_is (item->error, KP_ERROR_ACCESS_DENIED);

  if (is_denied || !kp_error_stops_job (item->error))
    say_where (keep, &item->error, "Not deleted in the bucket, as it could not be kept first");
  keep->failures += is_denied || kp_error_is (item->error, KP_ERROR_SERVER) ? 1 : 0;
  if ((kp_error_stops_job (item->error) && !is_denied) || keep->failures >= MAX_FAILURES)
    {
      g_propagate_error (error, g_steal_pointer (&item->error));
      return FALSE;
    }
  mirror->result.failed++;
  kp_report_failed (mirror->report, item->change->local.key, item->error);
  return TRUE;
}

static gboolean
take_item (KpKeep *keep, Item *item, GPtrArray *changes, GError **error)
{
  if (item->error != NULL)
    {
      if (!take_failure (keep, item, error))
        return FALSE;
      g_ptr_array_remove_fast (changes, item->change);
      return TRUE;
    }
  keep->failures = 0;
  return TRUE;
}

/* Very large objects are kept here, one after the other: only this thread may write to the
 * catalogue. */
static gboolean
keep_large (KpKeep *keep, GPtrArray *changes, GError **error)
{
  g_autoptr (KpS3Client) client = NULL;

  for (guint i = changes->len; i-- > 0;)
    {
      KpChange *change = g_ptr_array_index (changes, i);
      Item item = { .keep = keep, .change = change };

      if (change->old.etag == NULL || change->old.size <= keep->provider->max_copy)
        continue;
      if (client == NULL)
        client = kp_s3_client_new (keep->mirror->service);
      keep_item (&item, client);
      gboolean ok = take_item (keep, &item, changes, error);
      g_clear_error (&item.error);
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

/* Hands all others to workers. */
static unsigned
push_items (KpKeep *keep, GPtrArray *changes)
{
  unsigned n = 0;

  for (guint i = 0; i < changes->len; i++)
    {
      KpChange *change = g_ptr_array_index (changes, i);

      if (change->old.etag == NULL || change->old.size > keep->provider->max_copy)
        continue;
      Item *item = g_new0 (Item, 1);
      item->keep = keep;
      item->change = change;
      kp_pool_push (keep->pool, item);
      n++;
    }
  return n;
}

/**
 * kp_keep_before_deleting:
 * @changes: (element-type KpChange): deletions; those whose object could not be kept are reported
 *   and removed
 * @error: what makes it useless to go on; then nothing of them may be deleted
 *
 * Keeps all these objects. In the job's thread.
 */
gboolean
kp_keep_before_deleting (KpKeep *keep, GPtrArray *changes, GError **error)
{
  KpMirror *mirror = keep->mirror;
  gboolean ok = TRUE;

  if (keep->pool == NULL)
    keep->pool = kp_pool_new (mirror->service, mirror->options.jobs, item_cb, item_free, keep);
  unsigned outstanding = push_items (keep, changes);
  while (ok && outstanding > 0)
    {
      g_autofree Item *item = g_async_queue_timeout_pop (keep->done, 100 * G_TIME_SPAN_MILLISECOND);

      kp_pool_adapt (keep->pool, g_get_monotonic_time ());
      if (item != NULL)
        {
          outstanding--;
          ok = take_item (keep, item, changes, error);
          g_clear_error (&item->error);
        }
      else
        ok = !g_cancellable_set_error_if_cancelled (mirror->cancellable, error);
    }
  if (!ok)
    {
      /* The changes go out of scope: no worker may have one in hand. */
      g_cancellable_cancel (mirror->cancellable);
      g_clear_pointer (&keep->pool, kp_pool_free);
      return FALSE;
    }
  return keep_large (keep, changes, error);
}

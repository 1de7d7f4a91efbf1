/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-past.h"

#include "kp-cancel.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-metadata.h"
#include "kp-pool.h"
#include "kp-s3-listing.h"
#include "kp-s3-versioning.h"

#include <string.h>

#define SECONDS_PER_DAY G_GINT64_CONSTANT (86400)

typedef struct
{
  KpS3Client *client;
  KpCatalogue *catalogue;
  const char *prefix;
  gboolean is_key; /* the prefix is the one key in question */
  gint64 at;       /* Unix seconds */
  KpPastResult *result;
  KpPastFunc func;
  void *user_data;
  GCancellable *cancellable;

  char *last_key;         /* of the versions */
  gboolean oldest_first;  /* of one key, as far as is known */
  gboolean seen_versions; /* of which not all are of today */
  gboolean keeps;         /* somebody keeps here, be it of another source */
} Past;

/* A moment is as long as its second, as that is what servers tell of times. */
static gint64
end_of_second (gint64 at)
{
  return at * G_USEC_PER_SEC + (G_USEC_PER_SEC - 1);
}

/* A mirror at the bucket's root has what is kept of it below the root. */
static gboolean
is_ours (const Past *past, const char *key)
{
  return past->is_key ? g_str_equal (key, past->prefix)
                      : *past->prefix != '\0' || !g_str_has_prefix (key, KP_KEPT_NAME "/");
}

static gboolean
tells_of_past (const KpS3Entry *entry)
{
  return entry->is_delete_marker || !entry->is_latest
         || (entry->version_id != NULL && !g_str_equal (entry->version_id, "null"));
}

static gboolean
add_version (Past *past, const KpS3Entry *entry, GError **error)
{
  gboolean is_same = g_strcmp0 (past->last_key, entry->key) == 0;

  if (is_same && entry->is_latest)
    past->oldest_first = TRUE;
  if (!is_same)
    {
      g_free (past->last_key);
      past->last_key = g_strdup (entry->key);
    }
  past->seen_versions |= tells_of_past (entry);
  return kp_catalogue_add_version (past->catalogue, entry, end_of_second (past->at),
                                   past->oldest_first, error);
}

static gboolean
add_pages (Past *past, KpS3Listing *listing, GError **error)
{
  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, past->client, past->cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          if (is_ours (past, entry->key) && !add_version (past, entry, error))
            return FALSE;
        }
      if (past->func != NULL)
        past->func (page->len, past->user_data);
    }
  return TRUE;
}

/* Where the server has no listing of versions, what is there today is all there is. */
static gboolean
add_versions (Past *past, GError **error)
{
  g_autoptr (KpS3Listing) versions = kp_s3_listing_new_of_versions (past->prefix);
  g_autoptr (GError) local_error = NULL;

  if (past->is_key)
    kp_s3_listing_set_end (versions, past->prefix);
  if (add_pages (past, versions, &local_error))
    return TRUE;
  if (!kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  g_autoptr (KpS3Listing) objects = kp_s3_listing_new (past->prefix, NULL, NULL);
  if (past->is_key)
    kp_s3_listing_set_end (objects, past->prefix);
  return add_pages (past, objects, error);
}

/* @mirror_length: bytes of @mirror_key that are the mirror's own prefix, with its slash */
typedef gboolean (*KeptFunc) (const KpS3Entry *entry,
                              const char *mirror_key,
                              gsize mirror_length,
                              gint64 run,
                              gboolean was_deleted,
                              void *user_data,
                              GError **error);

/* Goes through what is kept of one mirror below @prefix, which has to come in the order of its
 * runs. */
static gboolean
list_kept_below (KpS3Client *client,
                 KpS3Location *mirror,
                 const char *prefix,
                 KeptFunc func,
                 void *user_data,
                 GCancellable *cancellable,
                 GError **error)
{
  g_autofree char *own = kp_s3_location_get_key (mirror, "");
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, NULL, NULL);
  gint64 last = 0;

  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, client, cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          g_autofree char *key = NULL;
          gboolean was_deleted;
          gint64 run;
          if (!kp_kept_parse (mirror, entry->key, &run, &was_deleted, &key))
            continue;
          if (run < last)
            {
              g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                                   "The server lists what is kept in no order of time; name a "
                                   "provider with --provider for which Keepsake knows that, such "
                                   "as seaweedfs");
              return FALSE;
            }
          last = run;
          if (!func (entry, key, strlen (own), run, was_deleted, user_data, error))
            return FALSE;
        }
    }
  return TRUE;
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Returns what the keys of each run that has kept something begin with, in the order of time. */
static GPtrArray *
list_runs (KpS3Client *client, const char *prefix, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) runs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, "/", NULL);

  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, client, cancellable, error);
      if (page == NULL)
        return NULL;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          if (entry->is_prefix)
            g_ptr_array_add (runs, g_strdup (entry->key));
        }
    }
  g_ptr_array_sort (runs, compare_names);
  return g_steal_pointer (&runs);
}

/* Goes through what is kept of one mirror, in the order of its runs. */
static gboolean
list_kept_of (KpS3Client *client,
              KpS3Location *mirror,
              KeptFunc func,
              void *user_data,
              GCancellable *cancellable,
              GError **error)
{
  g_autofree char *prefix = kp_kept_get_prefix (mirror);

  if (kp_s3_service_lists_in_order (kp_s3_client_get_service (client)))
    return list_kept_below (client, mirror, prefix, func, user_data, cancellable, error);

  g_autoptr (GPtrArray) runs = list_runs (client, prefix, cancellable, error);
  for (guint i = 0; runs != NULL && i < runs->len; i++)
    {
      const char *run = g_ptr_array_index (runs, i);
      gboolean is_same = i > 0 && g_str_equal (run, g_ptr_array_index (runs, i - 1));
      if (!is_same && !list_kept_below (client, mirror, run, func, user_data, cancellable, error))
        return FALSE;
    }
  return runs != NULL;
}

/* An address says "a/b/c", and not which part of that the mirror's own prefix is: whatever is kept
 * beside "", "a", "a/b" or all of it may be of the mirror in question. */
static gboolean
list_kept (KpS3Client *client,
           const char *prefix,
           KeptFunc func,
           void *user_data,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (KpS3Location) location
      = kp_s3_service_ref_location (kp_s3_client_get_service (client));

  for (const char *end = prefix;;)
    {
      g_autofree char *part = g_strndup (prefix, (gsize) (end - prefix));
      g_autoptr (KpS3Location) mirror = kp_s3_location_with_prefix (location, part);
      if (!list_kept_of (client, mirror, func, user_data, cancellable, error))
        return FALSE;
      end = strchr (*end == '/' ? end + 1 : end, '/');
      if (end == NULL)
        return TRUE;
    }
}

/* Several plans may store below one prefix, and not all of them keep. Each source has a folder
 * there that says whose an object is; the one that has none, as its contents lie at the top, keeps
 * the object of the top itself, too. */
static gboolean
is_of_same_source (const Past *past, const char *mirror_key, gsize mirror_length)
{
  const char *source = mirror_key + mirror_length;
  gsize length = strcspn (source, "/");
  const char *asked = strlen (past->prefix) > mirror_length ? past->prefix + mirror_length : "";

  return *asked == '\0' || *source == '\0'
         || (strcspn (asked, "/") == length && strncmp (source, asked, length) == 0);
}

static gboolean
add_kept_cb (const KpS3Entry *entry,
             const char *mirror_key,
             gsize mirror_length,
             gint64 run,
             gboolean was_deleted,
             void *user_data,
             GError **error)
{
  Past *past = user_data;

  past->keeps = TRUE;
  if ((past->result->kept_since == 0 || run < past->result->kept_since)
      && is_of_same_source (past, mirror_key, mirror_length))
    past->result->kept_since = run;
  if (!g_str_has_prefix (mirror_key, past->prefix) || !is_ours (past, mirror_key))
    return TRUE;
  return kp_catalogue_add_kept (past->catalogue, entry, mirror_key, was_deleted, past->at,
                                run > past->at, error);
}

/* --- when what is kept was first there ------------------------------------------------------- */

/* One look at an object that was kept. */
typedef struct
{
  char *key;
  char *from_key;
  gboolean came_later;
  GError *error;
} Look;

typedef struct
{
  Past *past;
  GCancellable *cancellable;
  GAsyncQueue *results;
  unsigned outstanding;
  gint64 clock_offset; /* of the server's clock to this computer's, in microseconds */
} Looks;

static void
look_free (void *data)
{
  Look *look = data;

  g_free (look->key);
  g_free (look->from_key);
  g_clear_error (&look->error);
  g_free (look);
}

/* When something was stored is not known of what is kept. But its file was what it was from its
 * ctime on: what has a later one was not there yet. Of files in a folder that was renamed later, it
 * does not tell: they are there under both names. Nor where it is later than the run that kept the
 * object, which was stored before: then the clock that it is of was ahead. */
static void
look_cb (KpS3Client *client, void *item, void *user_data)
{
  Looks *looks = user_data;
  Look *look = item;
  KpFileInfo info;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, look->from_key, NULL, looks->cancellable, &look->error);

  if (object != NULL && kp_s3_object_get_metadata (object, "ctime") != NULL)
    {
      kp_metadata_from_object (&info, object, look->key);
      /* All by the server's clock, as far as this computer's is the one that wrote the ctime. */
      gint64 ctime = info.ctime / 1000 + looks->clock_offset;
      gint64 run;
      look->came_later = ctime > end_of_second (looks->past->at)
                         && kp_kept_find_run (look->from_key, &run) && ctime <= end_of_second (run);
    }
  g_async_queue_push (looks->results, look);
}

static gboolean
take_look (Looks *looks, KpPool *pool, GError **error)
{
  Look *next = g_async_queue_timeout_pop (looks->results, 100 * G_TIME_SPAN_MILLISECOND);
  Past *past = looks->past;

  kp_pool_adapt (pool, g_get_monotonic_time ());
  if (next == NULL)
    return !g_cancellable_set_error_if_cancelled (past->cancellable, error);
  looks->outstanding--;
  gboolean is_there = TRUE;
  gboolean ok
      = !next->came_later || kp_catalogue_go_back (past->catalogue, next->key, &is_there, error);
  if (!is_there)
    past->result->found--;
  /* The restore of it says what is wrong, if that lasts. */
  if (next->error != NULL && kp_error_stops_job (next->error))
    {
      g_propagate_error (error, g_steal_pointer (&next->error));
      ok = FALSE;
    }
  look_free (next);
  return ok;
}

static gboolean
look_at_all (Looks *looks, KpPool *pool, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (looks->past->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 || looks->outstanding > 0)
    {
      for (unsigned room = kp_pool_get_room (pool); result == 1 && room > 0; room--)
        {
          g_auto (KpListed) listed = { 0 };
          result = kp_cursor_next_listed (cursor, &listed, error);
          if (result < 0)
            return FALSE;
          if (result == 0 || listed.from_key == NULL)
            continue;
          Look *look = g_new0 (Look, 1);
          look->key = g_steal_pointer (&listed.key);
          look->from_key = g_steal_pointer (&listed.from_key);
          looks->outstanding++;
          kp_pool_push (pool, look);
        }
      if (looks->outstanding > 0 && !take_look (looks, pool, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
remove_what_came_later (Past *past, GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncQueue) results = g_async_queue_new_full (look_free);
  Looks looks = { .past = past, .cancellable = cancellable, .results = results };
  KpS3Service *service = kp_s3_client_get_service (past->client);
  gulong handler = 0;

  looks.clock_offset
      = (kp_s3_service_get_now (service) - g_get_real_time () / G_USEC_PER_SEC) * G_USEC_PER_SEC;
  if (past->result->kept_since == 0)
    return TRUE;
  handler = kp_cancel_follow (cancellable, past->cancellable);
  KpPool *pool = kp_pool_new (service, 0, look_cb, look_free, &looks);
  gboolean ok = look_at_all (&looks, pool, error);
  if (!ok)
    g_cancellable_cancel (cancellable);
  kp_pool_free (pool);
  g_cancellable_disconnect (past->cancellable, handler);
  return ok;
}

/* From when on nothing is missing, as far as can be known: the lifecycle rule that Keepsake sets
 * ends old versions, and a mirror that keeps has begun to at some time. Where others keep, and of
 * this source nothing is kept, it is another mirror's that does not, or nothing of it ended. */
static void
find_gap (Past *past)
{
  g_autoptr (GError) error = NULL;
  unsigned days = 0;
  gint64 now = kp_s3_service_get_now (kp_s3_client_get_service (past->client));

  if (!past->seen_versions)
    {
      past->result->complete_since = past->result->kept_since;
      past->result->is_unsure = past->keeps && past->result->kept_since == 0;
    }
  else if (!kp_s3_versioning_get_days (past->client, &days, past->cancellable, &error))
    g_debug ("How long versions are kept is not known: %s", error->message);
  if (days > 0)
    past->result->complete_since = now - days * SECONDS_PER_DAY;
}

/**
 * kp_past_describe_gap:
 *
 * Returns: (transfer full) (nullable): what may be missing of a moment, a sentence; %NULL for
 *   nothing that is known
 */
char *
kp_past_describe_gap (const KpPastResult *result, gint64 at)
{
  if (result->is_unsure)
    return g_strdup (
        "Nothing of this is kept: if anything of it was deleted or replaced, files may "
        "be missing of the time that was asked for");
  if (result->complete_since <= at)
    return NULL;
  g_autoptr (GDateTime) since = g_date_time_new_from_unix_local (result->complete_since);
  g_autofree char *text = g_date_time_format (since, "%Y-%m-%d %H:%M");
  return g_strdup_printf (
      "What was deleted or replaced before %s is no longer kept: of the time that "
      "was asked for, files may be missing",
      text);
}

/* Below the name of a file there never was anything: then its own versions tell. */
static gboolean
ask_file (Past *past, gboolean *has_past, GError **error)
{
  g_autofree char *key = g_strdup (past->prefix);
  gsize length = strlen (key);
  g_autoptr (GError) local_error = NULL;

  *has_past = FALSE;
  if (past->is_key || length == 0)
    return TRUE;
  key[length - 1] = '\0';
  g_autoptr (KpS3Listing) versions = kp_s3_listing_new_of_versions (key);
  kp_s3_listing_set_end (versions, key);
  while (!*has_past && local_error == NULL && !kp_s3_listing_is_finished (versions))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (versions, past->client, past->cancellable, &local_error);
      for (guint i = 0; page != NULL && i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          *has_past |= g_str_equal (entry->key, key) && tells_of_past (entry);
        }
    }
  if (local_error == NULL || kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* A server that has no versions need not know the question. */
static gboolean
ask_bucket (Past *past, gboolean *has_past, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean enabled;

  *has_past = FALSE;
  if (kp_s3_client_get_versioning (past->client, &enabled, has_past, past->cancellable,
                                   &local_error)
      || kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
    return TRUE;
  g_propagate_prefixed_error (error, g_steal_pointer (&local_error),
                              "Whether this bucket keeps old versions cannot be found out: ");
  return FALSE;
}

/* Where nothing of the past was found: whether that is because nothing happened. */
static gboolean
check_has_past (Past *past, GError **error)
{
  gboolean has_past = past->seen_versions || past->keeps;

  if (!has_past && !ask_file (past, &has_past, error))
    return FALSE;
  if (!has_past && !ask_bucket (past, &has_past, error))
    return FALSE;
  if (has_past)
    return TRUE;
  g_set_error_literal (
      error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
      "This bucket keeps no old versions, and the mirror keeps no deleted files: there is only "
      "what is in it now. Leave out --at to restore that; “keepsakectl probe” says how to keep "
      "versions from now on");
  return FALSE;
}

/**
 * kp_past_list:
 * @catalogue: a temporary one, in whose listing the result is; begun
 * @prefix: of whole keys, with a slash at the end, or ""; a whole key if @is_key
 * @at: the moment, Unix seconds
 * @result: (out): also where there is nothing
 * @func: (nullable): called for each page
 * @error: %KP_ERROR_UNSUPPORTED_BY_PROVIDER where the bucket does not keep the past; those of
 *   kp_s3_listing_next_page(), and of kp_s3_client_get_versioning() where no version was found;
 *   %KP_ERROR_LOCAL_STORAGE
 *
 * Takes a request for each thousand versions, one or more for what is kept beside the mirror, and
 * one for each object that was kept and may have been there.
 * The source of ListObjectVersions is Amazon's API reference; both orders of versions are met:
 * newest first at Amazon, oldest first at Hitachi HCP.
 */
gboolean
kp_past_list (KpS3Client *client,
              KpCatalogue *catalogue,
              const char *prefix,
              gboolean is_key,
              gint64 at,
              KpPastResult *result,
              KpPastFunc func,
              void *user_data,
              GCancellable *cancellable,
              GError **error)
{
  Past past = { .client = client,
                .catalogue = catalogue,
                .prefix = prefix,
                .is_key = is_key,
                .at = CLAMP (at, 0, G_MAXINT64 / G_USEC_PER_SEC - 1),
                .result = result,
                .func = func,
                .user_data = user_data,
                .cancellable = cancellable };

  *result = (KpPastResult){ 0 };
  gboolean ok = add_versions (&past, error)
                && list_kept (client, prefix, add_kept_cb, &past, cancellable, error)
                && kp_catalogue_list_past (catalogue, &result->found, error)
                && remove_what_came_later (&past, error) && check_has_past (&past, error);
  if (ok)
    find_gap (&past);
  g_free (past.last_key);
  return ok;
}

void
kp_past_version_free (KpPastVersion *version)
{
  g_free (version->version_id);
  g_free (version->from_key);
  g_free (version->storage_class);
  g_free (version);
}

static KpPastVersion *
version_new (const KpS3Entry *entry)
{
  KpPastVersion *version = g_new0 (KpPastVersion, 1);

  version->size = entry->size;
  version->stored = entry->last_modified;
  version->storage_class = g_strdup (entry->storage_class);
  version->version_id = g_strdup (entry->version_id);
  version->is_deletion = entry->is_delete_marker;
  return version;
}

typedef struct
{
  const char *key;
  GPtrArray *versions;
} Versions;

static gboolean
collect_kept_cb (const KpS3Entry *entry,
                 const char *mirror_key,
                 gsize mirror_length,
                 gint64 run,
                 gboolean was_deleted,
                 void *user_data,
                 GError **error)
{
  Versions *all = user_data;

  if (!g_str_equal (mirror_key, all->key))
    return TRUE;
  KpPastVersion *version = version_new (entry);
  version->stored = 0;
  version->until = run;
  version->from_key = g_strdup (entry->key);
  g_clear_pointer (&version->version_id, g_free);
  g_ptr_array_add (all->versions, version);
  return TRUE;
}

static gboolean
collect_versions (KpS3Client *client, Versions *all, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new_of_versions (all->key);

  kp_s3_listing_set_end (listing, all->key);
  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, client, cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          if (g_str_equal (entry->key, all->key))
            g_ptr_array_add (all->versions, version_new (entry));
        }
    }
  return TRUE;
}

static gboolean
collect_present (KpS3Client *client, Versions *all, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, all->key, NULL, cancellable, &local_error);

  if (object == NULL)
    {
      if (kp_error_is (local_error, KP_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  KpPastVersion *version = g_new0 (KpPastVersion, 1);
  version->size = object->size;
  version->stored = object->last_modified;
  version->storage_class = g_strdup (object->storage_class);
  g_ptr_array_add (all->versions, version);
  return TRUE;
}

/* Newest first: by when they were stored, or, of those that are kept beside the mirror, until when
 * they were there. */
static int
compare_versions (const void *a, const void *b)
{
  const KpPastVersion *one = *(KpPastVersion *const *) a;
  const KpPastVersion *two = *(KpPastVersion *const *) b;
  gint64 first = one->from_key != NULL ? one->until : one->stored;
  gint64 second = two->from_key != NULL ? two->until : two->stored;

  return first < second ? 1 : first > second ? -1 : 0;
}

/* What followed a version ended it. */
static void
set_ends (GPtrArray *versions)
{
  gint64 next = 0;

  for (guint i = 0; i < versions->len; i++)
    {
      KpPastVersion *version = g_ptr_array_index (versions, i);
      if (version->from_key == NULL)
        version->until = next;
      next = version->from_key == NULL ? version->stored : next;
    }
}

static gboolean
collect (KpS3Client *client, Versions *all, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (!collect_versions (client, all, cancellable, &local_error))
    {
      if (!kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (!collect_present (client, all, cancellable, error))
        return FALSE;
    }
  return list_kept (client, all->key, collect_kept_cb, all, cancellable, error);
}

/**
 * kp_past_list_versions:
 * @key: whole key of one object
 * @error: those of kp_s3_listing_next_page(); %KP_ERROR_NOT_FOUND where there never was such an
 *   object, as far as is known
 *
 * Blocks; for a thread of its own.
 *
 * Returns: (transfer full) (element-type KpPastVersion): newest first
 */
GPtrArray *
kp_past_list_versions (KpS3Service *service,
                       const char *key,
                       GCancellable *cancellable,
                       GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GPtrArray) versions
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_past_version_free);
  Versions all = { key, versions };

  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (service);
  gboolean ok = collect (client, &all, cancellable, error);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  if (!ok)
    return NULL;
  if (versions->len == 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND,
                   "There is no file “%s” in the bucket, nor an old version of one", key);
      return NULL;
    }
  g_ptr_array_sort (versions, compare_versions);
  set_ends (versions);
  return g_steal_pointer (&versions);
}

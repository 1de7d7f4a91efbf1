/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The second phase: one row for each action that the job is going to take. What size, time and ETag
 * leave open is settled here by looking at the file, or with a HEAD at the object, in the workers.
 */

#include "kp-compare.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-layout.h"
#include "kp-mirror-private.h"
#include "kp-pool.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How often what has been found out is made to last, in microseconds. */
#define COMMIT_EVERY (500 * G_TIME_SPAN_MILLISECOND)

/* One row that needed a closer look, on its way to a worker and back. */
typedef struct
{
  KpMirror *mirror;
  KpComparison row;
  KpDecision question;
  gboolean is_doubted; /* the object may have our headers and other bytes */
  gboolean is_touched; /* the object has the recorded ETag, and perhaps other headers than ours */
  GArray *old_chunks;  /* of KpChunk: of the object that a large file is compared with; or NULL */

  /* The answer. */
  gboolean same_content;
  gboolean same_metadata;
  gboolean went_away;   /* the file is gone, or another one than at the scan */
  gboolean is_unseen;   /* touched, and the key may not look at it */
  gboolean was_touched; /* by somebody else: what was proved of its bytes is not any more */
  GArray *chunks;       /* of KpChunk: of a large file */
  KpKnown known;        /* to be recorded when nothing differs */
  KpKnown as_stored;    /* what an object without a row holds; without an ETag: not looked at */
  GError *error;
} Look;

typedef struct
{
  KpMirror *mirror;
  KpPool *pool;
  GAsyncQueue *answers; /* of Look */
  const KpS3Provider *provider;
  gboolean only_whole;  /* the provider can copy objects, but not make one of parts of others */
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

static void
look_free (void *data)
{
  Look *look = data;

  kp_comparison_clear (&look->row);
  kp_known_clear (&look->known);
  kp_known_clear (&look->as_stored);
  g_clear_pointer (&look->old_chunks, g_array_unref);
  g_clear_pointer (&look->chunks, g_array_unref);
  g_clear_error (&look->error);
  g_free (look);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Look, look_free)

static gboolean
is_md5_etag (const char *etag)
{
  return strspn (etag, "0123456789abcdef-") == strlen (etag) && strlen (etag) >= 32;
}

static gboolean
same_bytes (GBytes *a, GBytes *b)
{
  return a != NULL && b != NULL && g_bytes_equal (a, b);
}

/* What the object has to say of the other names of the file. */
static char *
read_hard_link (const Look *look, int fd)
{
  return look->row.local.is_linked && fd >= 0 ? kp_metadata_read_hard_link (fd) : NULL;
}

/* Hashes the file; the answer only counts when it is still the one of the scan. */
static gboolean
hash_file (Look *look, int fd, gboolean with_etag, KpContentHashes *hashes, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (look->mirror->service);
  const KpFileInfo *info = &look->row.local.info;
  KpFileInfo after;

  return kp_content_hash (
             fd, info->size,
             kp_content_part_size (info->size, kp_s3_location_get_provider (location)->max_parts),
             with_etag, hashes, look->mirror->cancellable, error)
         && kp_content_stat (fd, &after, error) && kp_file_info_same_content (info, &after);
}

static gboolean
same_chunks (GArray *a, GArray *b)
{
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++)
    if (memcmp (g_array_index (a, KpChunk, i).sha256, g_array_index (b, KpChunk, i).sha256,
                KP_CHUNK_HASH_SIZE)
        != 0)
      return FALSE;
  return TRUE;
}

/* Finds the chunks of a large file; they only count when it is still the one of the scan. */
static gboolean
find_chunks (Look *look, int fd, GError **error)
{
  const KpFileInfo *info = &look->row.local.info;
  KpFileInfo after;

  look->chunks = kp_content_chunks (fd, info->size, NULL, NULL, look->mirror->cancellable, error);
  return look->chunks != NULL && kp_content_stat (fd, &after, error)
         && kp_file_info_same_content (info, &after);
}

/* Compares a regular file with the object that the catalogue knows, if any: large ones by their
 * chunks where those are known, others by SHA-256, or else by the ETag. */
static void
look_at_file (Look *look, int fd)
{
  const KpKnown *known = &look->row.known;
  const KpFileInfo *info = &look->row.local.info;
  gboolean is_large = info->size > KP_PART_SIZE;
  gboolean by_chunks = is_large && look->old_chunks != NULL && look->old_chunks->len > 0;
  gboolean has_object = look->row.listed && look->row.has_known;
  gboolean by_etag
      = has_object && !by_chunks && known->sha256 == NULL && look->row.listed_size == info->size;
  g_auto (KpContentHashes) hashes = { NULL };
  g_autoptr (GPtrArray) xattrs = kp_xattrs_read (fd, &look->error);

  if (xattrs == NULL || (is_large && !find_chunks (look, fd, &look->error)))
    return;
  if ((!is_large || by_etag) && !hash_file (look, fd, by_etag, &hashes, &look->error))
    return;
  if (by_chunks)
    look->same_content = same_chunks (look->chunks, look->old_chunks);
  else if (by_etag)
    look->same_content
        = is_md5_etag (look->row.listed_etag) && g_str_equal (hashes.etag, look->row.listed_etag);
  else
    look->same_content = has_object && same_bytes (hashes.sha256, known->sha256);

  look->known = (KpKnown){ .etag = g_strdup (look->row.listed_etag),
                           .info = *info,
                           .sha256 = hashes.sha256 != NULL ? g_bytes_ref (hashes.sha256) : NULL,
                           .xattrs = kp_xattrs_digest (xattrs),
                           .xattrs_left_out = known->xattrs_left_out,
                           .hard_link = read_hard_link (look, fd) };
  look->same_metadata = look->same_content && kp_compare_same_metadata (info, &known->info)
                        && kp_xattrs_same_digest (look->known.xattrs, known->xattrs)
                        && g_strcmp0 (look->known.hard_link, known->hard_link) == 0;
}

/* Whether the object holds the link's target, going by its MD5. */
static gboolean
same_target (Look *look, const KpS3Object *object)
{
  KpSource *source = kp_mirror_get_source (look->mirror, look->row.local.source);
  g_autofree char *target = kp_source_read_link (source, look->row.local.path, NULL);
  g_autofree char *md5
      = target != NULL ? g_compute_checksum_for_string (G_CHECKSUM_MD5, target, -1) : NULL;

  return g_strcmp0 (md5, object->etag) == 0;
}

/* Whether the ETag of an object in one piece must be the MD5 of its bytes. */
static gboolean
proves_difference (Look *look, const char *etag)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (look->mirror->service);

  return kp_s3_location_get_provider (location)->md5_etag && strlen (etag) == 32
         && is_md5_etag (etag);
}

/* Whether a file of equal size has the bytes of an object that the catalogue does not know. Equal
 * size and mtime are not enough to call the bytes equal, as they are for other tools: either the
 * hash is right, or, where the ETag is none, the ctime written with the object is still the file's,
 * so that nobody touched it since. Of a copy that a killed job had not made sure of, only the hash
 * counts.
 *
 * The file is read in any case: its hashes and chunks are what spares sending it when it is renamed
 * or changed next. */
static gboolean
has_bytes_of (Look *look, int fd, const KpS3Object *object, const KpFileInfo *stored)
{
  const KpFileInfo *info = &look->row.local.info;
  gboolean is_large = info->size > KP_PART_SIZE;
  gboolean by_hash = is_md5_etag (object->etag);
  g_auto (KpContentHashes) hashes = { NULL };

  if ((is_large && !find_chunks (look, fd, &look->error))
      || ((by_hash || !is_large) && !hash_file (look, fd, by_hash, &hashes, &look->error)))
    return FALSE;
  if (!is_large)
    {
      look->known.sha256 = g_bytes_ref (hashes.sha256);
      look->as_stored.sha256 = g_bytes_ref (hashes.sha256);
    }
  if (by_hash && g_str_equal (hashes.etag, object->etag))
    return TRUE;
  return !proves_difference (look, object->etag) && look->same_metadata
         && info->ctime == stored->ctime && !look->mirror->options.checksum
         && !look->is_doubted
         /* We had stored this very state already: then it was overwritten since. */
         && !(look->row.has_known && look->row.known.info.ctime == info->ctime);
}

/* Compares what the object says of the file with what is to be said, but for its other names.
 * Returns FALSE with the look's error. */
static gboolean
compare_headers (Look *look, int fd, const KpS3Object *object, KpFileInfo *stored)
{
  const KpFileInfo *info = &look->row.local.info;
  gboolean has_metadata = kp_metadata_from_object (stored, object, look->row.local.key);
  const char *stored_xattrs = kp_s3_object_get_metadata (object, "xattr");
  g_autoptr (GPtrArray) xattrs = NULL;
  g_autofree char *xattr_text = NULL;

  if (fd >= 0)
    {
      xattrs = kp_xattrs_read (fd, &look->error);
      if (xattrs == NULL)
        return FALSE;
      xattr_text = kp_xattrs_format (xattrs);
    }
  kp_known_clear (&look->known);
  g_clear_pointer (&look->chunks, g_array_unref);
  look->known = (KpKnown){ .etag = g_strdup (object->etag),
                           .info = *info,
                           .xattrs = xattrs != NULL ? kp_xattrs_digest (xattrs) : NULL,
                           .hard_link = read_hard_link (look, fd) };
  g_autoptr (GPtrArray) parsed_xattrs = kp_xattrs_parse (stored_xattrs);
  look->as_stored
      = (KpKnown){ .etag = g_strdup (object->etag),
                   .info = *stored,
                   .xattrs = kp_xattrs_digest (parsed_xattrs),
                   .hard_link = g_strdup (kp_s3_object_get_metadata (object, "hardlink")) };
  look->as_stored.info.ctime = 0;
  look->same_metadata = has_metadata && kp_compare_same_metadata (info, stored)
                        && g_strcmp0 (xattr_text, stored_xattrs) == 0;
  return TRUE;
}

/* Other names of the file come and go, and say nothing of its bytes. */
static void
compare_names (Look *look)
{
  look->same_metadata
      = look->same_metadata && g_strcmp0 (look->known.hard_link, look->as_stored.hard_link) == 0;
}

/* Compares a file with an object that the catalogue does not know. */
static void
look_at_object (Look *look, int fd, const KpS3Object *object)
{
  const KpFileInfo *info = &look->row.local.info;
  KpFileInfo stored;

  look->same_content = FALSE;
  if (!compare_headers (look, fd, object, &stored))
    return;
  if (S_ISLNK (info->mode))
    look->same_content = look->same_metadata && same_target (look, object);
  else if (!S_ISREG (info->mode))
    look->same_content = look->same_metadata;
  else if (info->size == 0 && object->size == 0)
    look->same_content = TRUE;
  else if (fd >= 0 && object->size == info->size)
    look->same_content = has_bytes_of (look, fd, object, &stored);
  compare_names (look);
}

/* Compares a file with an object that has the recorded ETag, and with that the file's bytes. */
static void
look_at_headers (Look *look, int fd, const KpS3Object *object)
{
  const KpKnown *known = &look->row.known;
  /* Of a file that was read for another reason. */
  g_autoptr (GBytes) sha256 = g_steal_pointer (&look->known.sha256);
  g_autoptr (GArray) chunks = g_steal_pointer (&look->chunks);
  KpFileInfo stored;

  if (sha256 == NULL && known->sha256 != NULL)
    sha256 = g_bytes_ref (known->sha256);
  look->same_content = FALSE;
  if (!compare_headers (look, fd, object, &stored))
    return;
  compare_names (look);
  /* What has no bytes of a file is written again as easily as copied. */
  look->same_content = S_ISREG (look->row.local.info.mode) || look->same_metadata;
  look->chunks = g_steal_pointer (&chunks);
  look->known.xattrs_left_out = known->xattrs_left_out;
  look->known.sha256 = sha256 != NULL ? g_bytes_ref (sha256) : NULL;
  look->as_stored.sha256 = g_steal_pointer (&sha256);
  look->as_stored.info.ino = known->info.ino;
  /* Until it is written again it is one that was touched. */
  look->as_stored.stored = known->stored;
}

/* A key that may write and not read cannot tell what was done to an object. To send the file for
 * that could be for nothing, and again in each run. */
static void
take_for_ours (Look *look)
{
  g_clear_error (&look->error);
  look->is_unseen = TRUE;
  if (look->question != KP_DECISION_LOOK_AT_HEADERS)
    return;
  kp_known_copy (&look->known, &look->row.known);
  look->same_content = TRUE;
  look->same_metadata = TRUE;
}

/* What is recorded as the time at which an object was stored. One that was not over when the
 * listing began is not: there are servers that always tell the present, and whoever believed that
 * would find the object touched in each run. Then the next run takes what it is told.
 *
 * Returns: Unix seconds, or 0 */
static gint64
stored_time (ChangeSet *set, const Look *look, const KpS3Object *object)
{
  gint64 time
      = MAX (look->row.listed_modified, object != NULL ? object->last_modified : (gint64) 0);

  if (object == NULL && !look->is_unseen && look->row.has_known && look->row.known.stored != 0)
    return look->row.known.stored;
  return time > 0 && time < set->listed_at ? time : 0;
}

/* Runs in a worker. */
static void
look_cb (KpS3Client *client, void *item, void *user_data)
{
  ChangeSet *set = user_data;
  Look *look = item;
  const KpScanned *local = &look->row.local;
  KpSource *source = kp_mirror_get_source (look->mirror, local->source);
  GCancellable *cancellable = look->mirror->cancellable;
  g_autoptr (KpS3Object) object = NULL;
  int fd = -1;

  if (look->question != KP_DECISION_LOOK_AT_FILE)
    object = kp_s3_client_head (client, local->key, NULL, cancellable, &look->error);
  if (look->error == NULL && (S_ISREG (local->info.mode) || S_ISDIR (local->info.mode)))
    {
      KpFileInfo now;

      /* What is read here is believed until the next change of the times, so that such a change has
       * to show. */
      fd = kp_source_open_file (source, local->path, O_RDONLY);
      look->went_away
          = fd < 0 || !kp_content_wait_settled (fd, &now, NULL, NULL)
            || (S_ISREG (local->info.mode) && !kp_file_info_same_content (&local->info, &now));
    }
  /* A file that cannot be opened is left to the transfer, which says so. */
  if (look->error == NULL && !look->went_away && object == NULL)
    {
      look_at_file (look, fd);
      if (look->error == NULL && look->is_touched && look->same_content && look->same_metadata)
        object = kp_s3_client_head (client, local->key, NULL, cancellable, &look->error);
      look->same_content = look->same_content && !kp_error_is (look->error, KP_ERROR_NOT_FOUND);
    }
  if (look->error == NULL && !look->went_away && object != NULL)
    {
      look->was_touched = look->is_touched;
      if (look->is_touched && g_str_equal (object->etag, look->row.known.etag))
        look_at_headers (look, fd, object);
      else
        look_at_object (look, fd, object);
    }
  if (fd >= 0)
    close (fd);
  if (look->is_touched && kp_error_is (look->error, KP_ERROR_ACCESS_DENIED))
    take_for_ours (look);
  look->known.stored = stored_time (set, look, object);
  /* Listed, but not there: deleted by somebody since. */
  if (kp_error_is (look->error, KP_ERROR_NOT_FOUND)
      /* A key that may write and not read: then the file is sent. */
      || kp_error_is (look->error, KP_ERROR_ACCESS_DENIED)
      || kp_error_is (look->error, KP_ERROR_CHANGED_WHILE_READING)
      || kp_error_is (look->error, KP_ERROR_SOURCE_UNREADABLE))
    g_clear_error (&look->error);
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
add_new_small (ChangeSet *set, const Look *look, GError **error)
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
add_large (ChangeSet *set, const Look *look, GError **error)
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
take_answer (ChangeSet *set, Look *look, GError **error)
{
  KpCatalogue *catalogue = set->mirror->catalogue;
  const char *key = look->row.local.key;

  set->outstanding--;
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
  Look *next;

  while (set->outstanding > 0
         && (next = wait ? g_async_queue_timeout_pop (set->answers, 100 * G_TIME_SPAN_MILLISECOND)
                         : g_async_queue_try_pop (set->answers))
                != NULL)
    {
      g_autoptr (Look) look = next;
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
load_old_chunks (ChangeSet *set, Look *look, GError **error)
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
  gboolean worth_reading = TRUE;
  gboolean is_damaged = FALSE;

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

  Look *look = g_new0 (Look, 1);
  look->mirror = set->mirror;
  look->question = decision;
  look->is_touched = is_touched;
  look->row = *row;
  *row = (KpComparison){ 0 };
  if (!load_old_chunks (set, look, error)
      || (decision == KP_DECISION_LOOK_AT_OBJECT
          && !kp_catalogue_is_doubted (set->mirror->catalogue, look->row.local.key,
                                       &look->is_doubted, error)))
    {
      look_free (look);
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
  g_autoptr (GAsyncQueue) answers = g_async_queue_new_full (look_free);
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
  set.pool = kp_pool_new (mirror->service, mirror->options.jobs, look_cb, look_free, &set);
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

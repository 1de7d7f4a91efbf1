/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The workers of a restore: one object each, or one range of a large one. */

#include "kp-restore-private.h"

#include "kp-beneath.h"
#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One range of a large object. */
#define RANGE_SIZE KP_PART_SIZE

/* So many objects whose ETags are not their MD5s, and no other, say that none is. */
#define DOUBTS_THAT_DECIDE 3

/* How long a copy of what comes out of an archive stays: longer than most restores take. */
#define RETRIEVED_DAYS 7

/* From this size on, a restore that was stopped goes on where it was. */
#define CONTINUED_SIZE (8 * RANGE_SIZE)

void
kp_restore_task_free (void *data)
{
  RestoreTask *task = data;

  g_free (task->key);
  g_free (task->from_key);
  g_free (task->version_id);
  g_free (task->etag);
  g_clear_pointer (&task->sha256, g_bytes_unref);
  g_clear_pointer (&task->chunks, g_array_unref);
  g_free (task->path);
  g_free (task->xattrs);
  g_free (task->hard_link);
  g_clear_error (&task->error);
  g_free (task);
}

/**
 * kp_restore_task_again:
 *
 * Returns: (transfer full): a task to do the same once more, as its outcome is not final
 */
RestoreTask *
kp_restore_task_again (const RestoreTask *task)
{
  RestoreTask *again = g_new0 (RestoreTask, 1);

  again->restore = task->restore;
  again->key = g_strdup (task->key);
  again->from_key = g_strdup (task->from_key);
  again->version_id = g_strdup (task->version_id);
  again->path = g_strdup (task->path);
  again->size = task->size;
  again->has_record = task->has_record;
  again->is_as_recorded = task->is_as_recorded;
  again->recorded = task->recorded;
  again->chunks = task->chunks != NULL ? g_array_ref (task->chunks) : NULL;
  again->sha256 = task->sha256 != NULL ? g_bytes_ref (task->sha256) : NULL;
  again->is_requested = task->is_requested;
  again->is_kept = task->is_kept;
  again->etag = g_strdup (task->etag);
  return again;
}

static void
download_free (RestoreDownload *download)
{
  g_clear_pointer (&download->file, kp_target_file_free);
  g_clear_pointer (&download->object, kp_s3_object_free);
  g_clear_error (&download->error);
  g_free (download->wrong_md5);
  g_mutex_clear (&download->lock);
  g_free (download);
}

/* For what is still in the queue when the pool ends. */
void
kp_restore_task_drop (void *data)
{
  RestoreTask *task = data;
  RestoreDownload *download = task->download;

  kp_restore_task_free (task);
  if (download != NULL && --download->left == 0)
    {
      kp_restore_task_free (download->task);
      download_free (download);
    }
}

static const char *
get_key (const RestoreTask *task)
{
  return task->from_key != NULL ? task->from_key : task->key;
}

/* The ETag that the object has to have: what is there now, of a moment of the past, may be another
 * in the next. */
static const char *
get_pin (const RestoreTask *task)
{
  return task->version_id == NULL && task->etag != NULL && *task->etag != '\0' ? task->etag : NULL;
}

static void
finish (RestoreTask *task)
{
  g_async_queue_push (task->restore->results, task);
}

static void
learn_etags (KpRestore *self, Etags etags)
{
  if (g_atomic_int_compare_and_exchange (&self->etags, ETAGS_UNKNOWN, etags)
      && etags == ETAGS_ARE_NOT_MD5)
    kp_report_notice (self->report,
                      "This server does not say the MD5s of its objects: what came twice the same "
                      "is taken for right, and the rest by its length");
}

/* One more object whose ETag was not its MD5, while it is not known whether any is. */
static void
doubt_etags (KpRestore *self)
{
  if (g_atomic_int_add (&self->etag_doubts, 1) + 1 >= DOUBTS_THAT_DECIDE)
    learn_etags (self, ETAGS_ARE_NOT_MD5);
}

/* Whether bytes with the checksum @md5 are those of the object. An ETag that looks like an MD5 need
 * not be one, as with keys of a key service (SSE-KMS), and not every server says so in its headers;
 * rclone takes them all for MD5s, and then cannot fetch such an object at all. So what came is
 * fetched once more when it does not fit: errors on the way do not come twice the same. Where one
 * object has had its MD5, or the provider is known to send MD5s, the bytes are wrong. Where none
 * has yet, a few objects that do not fit decide; until then, none of them takes a file's place.
 *
 * @wrong_md5: (inout): the checksum of what came before, or %NULL; set when @again
 * @again: (out): whether to fetch it once more; then there is no error
 */
static gboolean
check_md5 (const RestoreTask *task,
           const KpS3Object *object,
           const char *md5,
           char **wrong_md5,
           gboolean *again,
           GError **error)
{
  KpRestore *self = task->restore;
  Etags etags = (Etags) g_atomic_int_get (&self->etags);

  *again = FALSE;
  if (g_ascii_strcasecmp (md5, object->etag) == 0)
    {
      learn_etags (self, ETAGS_ARE_MD5);
      return TRUE;
    }
  if (etags == ETAGS_ARE_NOT_MD5)
    return TRUE;
  if (*wrong_md5 == NULL)
    {
      *wrong_md5 = g_strdup (md5);
      *again = TRUE;
      return TRUE;
    }
  if (etags == ETAGS_UNKNOWN && g_str_equal (*wrong_md5, md5))
    {
      doubt_etags (self);
      if (!task->replaces)
        {
          g_async_queue_push (self->doubtful, g_strdup (task->key));
          return TRUE;
        }
      g_set_error_literal (
          error, KP_ERROR, KP_ERROR_CORRUPT,
          "The bytes do not fit the object's ETag, and it is not known whether they "
          "should. The file that is there stays; --overwrite always takes the "
          "object's bytes");
      return FALSE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
               "The bytes that the server sent are not those that were stored (MD5 %s, not %s)",
               md5, object->etag);
  return FALSE;
}

static void
set_changed_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "The object changed in the bucket during the restore; restore again");
}

/* What was listed is what is fetched. A reply that does not say the object's size has it as 0. */
static gboolean
check_size (const RestoreTask *task, KpS3Object *object, guint64 length, GError **error)
{
  if (object->size != task->size && object->size != 0)
    {
      set_changed_error (error);
      return FALSE;
    }
  if (length != task->size)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
                   "The server sent %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes", length,
                   task->size);
      return FALSE;
    }
  object->size = length;
  return TRUE;
}

/* Takes what the object says its file is. */
static void
take_object (RestoreTask *task, const KpS3Object *object)
{
  kp_metadata_from_object (&task->info, object, task->key);
  g_free (task->xattrs);
  task->xattrs = g_strdup (kp_s3_object_get_metadata (object, "xattr"));
  g_free (task->hard_link);
  task->hard_link = g_strdup (kp_s3_object_get_metadata (object, "hardlink"));
}

/* A folder stands in the file's place. It is no file of the user's that could be kept instead, and
 * to remove it with all that is in it is not ours. */
static void
set_folder_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "In the target there is a folder of this name; move it away, or restore "
                       "into another target");
}

/* What is to become of the file, seeing what stands in its place: %OUTCOME_RESTORED for fetching
 * it.
 */
static RestoreOutcome
judge_existing (const RestoreTask *task, const KpFileInfo *existing)
{
  const KpFileInfo *info = &task->info;
  KpOverwrite overwrite = task->restore->options.overwrite;

  if (overwrite == KP_OVERWRITE_ALWAYS)
    return OUTCOME_RESTORED;
  if ((info->mode & S_IFMT) == (existing->mode & S_IFMT) && info->mtime == existing->mtime
      && info->size == existing->size && info->rdev == existing->rdev)
    return OUTCOME_UNCHANGED;
  if (overwrite == KP_OVERWRITE_OLDER
      && kp_metadata_compare_times (existing->mtime, info->mtime) <= 0)
    return OUTCOME_RESTORED;
  return OUTCOME_KEPT;
}

/* Whether the object says that it holds what was stored from here: then it has to. */
static gboolean
claims_to_be_as_recorded (const RestoreTask *task)
{
  return task->has_record && (task->sha256 != NULL || task->chunks != NULL)
         && S_ISREG (task->info.mode)
         && (task->is_as_recorded || task->info.mtime == task->recorded.mtime);
}

static gboolean
set_other_bytes_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CORRUPT,
                       "The bytes in the bucket are not those that were stored from this computer; "
                       "nothing was written");
  return FALSE;
}

/* Whether the bytes that came for a large object are those that were recorded. */
static gboolean
compare_with_record (const RestoreTask *task, KpTargetFile *file, gboolean *equal, GError **error)
{
  GCancellable *cancellable = task->restore->cancellable;

  *equal = TRUE;
  if (task->sha256 != NULL)
    {
      g_autoptr (GBytes) sha256
          = kp_target_file_digest (file, G_CHECKSUM_SHA256, 0, task->size, cancellable, error);
      *equal = sha256 != NULL && g_bytes_equal (sha256, task->sha256);
      return sha256 != NULL;
    }
  for (guint i = 0; *equal && i < task->chunks->len; i++)
    {
      const KpChunk *chunk = &g_array_index (task->chunks, KpChunk, i);
      g_autoptr (GBytes) sha256 = NULL;
      if (chunk->offset + chunk->length > task->size)
        {
          *equal = FALSE;
          return TRUE;
        }
      sha256 = kp_target_file_digest (file, G_CHECKSUM_SHA256, chunk->offset, chunk->length,
                                      cancellable, error);
      if (sha256 == NULL)
        return FALSE;
      *equal = memcmp (g_bytes_get_data (sha256, NULL), chunk->sha256, sizeof chunk->sha256) == 0;
    }
  return TRUE;
}

/* Whether @bytes are those that were recorded of the file. */
static gboolean
are_recorded_bytes (const RestoreTask *task, GBytes *bytes)
{
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned length;
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);

  EVP_Digest (data != NULL ? data : "", size, digest, &length, EVP_sha256 (), NULL);
  return length == g_bytes_get_size (task->sha256)
         && memcmp (digest, g_bytes_get_data (task->sha256, NULL), length) == 0;
}

static gboolean
check_bytes (const RestoreTask *task, GBytes *bytes, GError **error)
{
  return task->is_proved || !claims_to_be_as_recorded (task) || task->sha256 == NULL
         || are_recorded_bytes (task, bytes) || set_other_bytes_error (error);
}

/* What somebody else has put into the place of an object takes no file's place that is still as it
 * was stored. */
static gboolean
check_replaced (const RestoreTask *task, const KpFileInfo *existing, GError **error)
{
  if (!task->has_record || task->is_as_recorded
      || task->restore->options.overwrite == KP_OVERWRITE_ALWAYS
      || task->info.mtime == task->recorded.mtime || existing->mtime != task->recorded.mtime
      || existing->size != task->recorded.size || !S_ISREG (existing->mode))
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "The object was replaced in the bucket by something else than a backup from "
                       "this computer. The file here is as it was stored, and stays; --overwrite "
                       "always takes the other");
  return FALSE;
}

static gboolean
correct (RestoreTask *task, KpTargetFile *file, GError **error)
{
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (task->xattrs);
  gboolean changed;

  gboolean ok = kp_target_file_correct (file, &task->info, xattrs, &changed, &task->is_ours, error);
  task->outcome = changed ? OUTCOME_CORRECTED : OUTCOME_UNCHANGED;
  return ok;
}

static gboolean
commit (RestoreTask *task, KpTargetFile *file, GError **error)
{
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (task->xattrs);

  task->outcome = OUTCOME_RESTORED;
  return kp_target_file_commit (file, &task->info, xattrs, &task->is_ours, error);
}

/* Asks for an object that lies in an archive, if that is wanted. */
static void
request_archived (RestoreTask *task, KpS3Client *client)
{
  const KpRestoreOptions *options = &task->restore->options;
  g_autoptr (GError) error = NULL;

  if (options->retrieve == KP_S3_TIER_NONE || task->is_requested
      || !kp_error_is (task->error, KP_ERROR_ARCHIVED))
    return;
  task->is_requested
      = kp_s3_archive_retrieve (client, get_key (task), task->version_id, options->retrieve,
                                RETRIEVED_DAYS, task->restore->cancellable, &error);
  g_clear_error (&task->error);
  if (task->is_requested)
    g_set_error (&task->error, KP_ERROR, KP_ERROR_ARCHIVED,
                 "It lies in an archive, and was asked for: that takes %s. Restore again then",
                 kp_s3_tier_describe_wait (options->retrieve));
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    task->error = g_steal_pointer (&error);
  else
    g_set_error (&task->error, KP_ERROR, KP_ERROR_ARCHIVED,
                 "It lies in an archive, and cannot be asked for: %s", error->message);
}

/* Takes what is fetched next: how many bytes, or 0 for no more. What an earlier restore has fetched
 * is passed over. */
static guint64
take_range (RestoreDownload *download, guint64 *offset, guint64 *passed_over)
{
  guint64 size = download->task->size;

  *passed_over = 0;
  g_mutex_lock (&download->lock);
  while (download->next < size
         && kp_target_file_has_range (download->file, download->next / RANGE_SIZE))
    {
      guint64 present = MIN (RANGE_SIZE, size - download->next);
      download->next += present;
      *passed_over += present;
    }
  *offset = download->next;
  guint64 length = download->error == NULL ? MIN (RANGE_SIZE, size - download->next) : 0;
  download->next += length;
  g_mutex_unlock (&download->lock);
  return length;
}

static gboolean
fetch_range (RestoreDownload *download,
             KpS3Client *client,
             guint64 offset,
             guint64 length,
             GError **error)
{
  KpRestore *self = download->task->restore;
  gboolean ok = FALSE;

  if (!kp_budget_take (self->budget, length, self->cancellable, error))
    return FALSE;
  g_autoptr (GBytes) bytes
      = kp_s3_client_get (client, get_key (download->task), download->task->version_id, offset,
                          length, download->object->etag, NULL, self->cancellable, error);
  if (bytes != NULL && g_bytes_get_size (bytes) != length)
    g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
                 "The server sent %" G_GSIZE_FORMAT " of %" G_GUINT64_FORMAT " bytes",
                 g_bytes_get_size (bytes), length);
  else if (bytes != NULL)
    ok = kp_target_file_write (download->file, offset, bytes, error)
         && kp_target_file_mark_range (download->file, offset / RANGE_SIZE, error);
  g_clear_pointer (&bytes, g_bytes_unref);
  kp_budget_give_back (self->budget, length);
  return ok;
}

/* Few tasks for however many ranges: an object may be said to have 50 TB. */
static void
push_range_tasks (RestoreDownload *download)
{
  KpRestore *self = download->task->restore;
  guint64 n_ranges = (download->task->size + RANGE_SIZE - 1) / RANGE_SIZE;

  download->next = 0;
  download->left = (unsigned) MIN (n_ranges, KP_POOL_MAX_WORKERS);
  for (unsigned i = download->left; i > 0; i--)
    {
      RestoreTask *range = g_new0 (RestoreTask, 1);
      range->restore = self;
      range->download = download;
      kp_pool_push_first (self->pool, range);
    }
}

/* When all bytes are there. Returns FALSE with an error; @again when they are to be fetched once
 * more. */
static gboolean
prove_download (RestoreDownload *download, gboolean *again, GError **error)
{
  KpRestore *self = download->task->restore;
  guint64 size = download->task->size;

  *again = FALSE;
  if (claims_to_be_as_recorded (download->task))
    {
      gboolean equal;
      if (!compare_with_record (download->task, download->file, &equal, error))
        return FALSE;
      /* What an earlier restore has left may be what is wrong, or what happened on the way. */
      *again = !equal && !download->is_second;
      download->is_second = TRUE;
      if (!*again)
        return equal || set_other_bytes_error (error);
      return kp_target_file_restart (download->file, size, error);
    }
  if (!download->object->is_md5_etag)
    {
      g_atomic_int_inc (&self->unproved);
      return TRUE;
    }
  g_autoptr (GBytes) digest
      = kp_target_file_digest (download->file, G_CHECKSUM_MD5, 0, size, self->cancellable, error);
  g_autofree char *md5 = digest != NULL ? kp_content_to_hex (g_bytes_get_data (digest, NULL),
                                                             g_bytes_get_size (digest))
                                        : NULL;
  return md5 != NULL
         && check_md5 (download->task, download->object, md5, &download->wrong_md5, again, error)
         && (!*again || kp_target_file_restart (download->file, size, error));
}

/* Ends a large object in the worker that fetched its last range. */
static void
download_end (RestoreDownload *download, KpS3Client *client)
{
  RestoreTask *task = download->task;
  gboolean again = FALSE;

  if (download->error == NULL && prove_download (download, &again, &download->error) && !again
      && commit (task, download->file, &download->error))
    task->bytes = download->fetched;
  if (download->error != NULL || again)
    kp_report_add_bytes (task->restore->report, -(gint64) download->fetched);
  if (again && download->error == NULL)
    {
      download->fetched = 0;
      push_range_tasks (download);
      return;
    }
  /* What came is of no use. */
  if (kp_error_is (download->error, KP_ERROR_CORRUPT)
      || kp_error_is (download->error, KP_ERROR_CONFLICT)
      || kp_error_is (download->error, KP_ERROR_ARCHIVED))
    kp_target_file_discard (download->file);
  task->error = g_steal_pointer (&download->error);
  download_free (download);
  request_archived (task, client);
  finish (task);
}

/* Fetches one range, and goes to the end of the line for the next. */
static void
download_range (RestoreTask *range, KpS3Client *client)
{
  RestoreDownload *download = range->download;
  KpPool *pool = range->restore->pool;
  g_autoptr (GError) error = NULL;
  guint64 offset;
  guint64 passed_over;
  guint64 length = take_range (download, &offset, &passed_over);
  gboolean ok = length > 0 && fetch_range (download, client, offset, length, &error);

  if (passed_over > 0)
    kp_report_add_total (download->task->restore->report, 0, -(gint64) passed_over);
  if (ok)
    kp_report_add_bytes (download->task->restore->report, (gint64) length);
  g_mutex_lock (&download->lock);
  if (ok)
    download->fetched += length;
  else if (error != NULL && download->error == NULL)
    download->error = g_steal_pointer (&error);
  gboolean more = download->error == NULL && download->next < download->task->size;
  gboolean is_last = !more && --download->left == 0;
  g_mutex_unlock (&download->lock);

  if (more)
    {
      kp_pool_push_first (pool, range);
      return;
    }
  kp_restore_task_free (range);
  if (is_last)
    download_end (download, client);
}

/* Fetches a large object in ranges. Takes over @file and @object. */
static void
download_begin (RestoreTask *task, KpTargetFile *file, KpS3Object *object)
{
  RestoreDownload *download = g_new0 (RestoreDownload, 1);

  download->task = task;
  download->file = file;
  download->object = object;
  g_mutex_init (&download->lock);
  push_range_tasks (download);
}

/* What was recorded of this very object proves its bytes better than an MD5, which costs more than
 * twice as much: that is computed only until it is known what ETags are, for objects without a
 * record. */
static gboolean
prove_by_record (RestoreTask *task, const KpS3Object *object, GBytes *bytes)
{
  KpRestore *self = task->restore;

  task->is_proved
      = task->is_as_recorded && task->sha256 != NULL && are_recorded_bytes (task, bytes);
  if (task->is_proved && object->is_md5_etag
      && g_atomic_int_get (&self->etags) == (int) ETAGS_UNKNOWN)
    {
      g_autofree char *md5 = kp_content_md5 (bytes);
      if (g_ascii_strcasecmp (md5, object->etag) == 0)
        learn_etags (self, ETAGS_ARE_MD5);
      else
        doubt_etags (self);
    }
  return task->is_proved;
}

/* Fetches an object in one piece; once more when what came is not what was stored. */
static GBytes *
get_proved (RestoreTask *task, KpS3Client *client, KpS3Object **object, GError **error)
{
  KpRestore *self = task->restore;
  g_autofree char *wrong_md5 = NULL;

  for (int tries = 0;; tries++)
    {
      g_autoptr (GError) local_error = NULL;
      gboolean again = FALSE;
      g_autoptr (GBytes) bytes = kp_s3_client_get (client, get_key (task), task->version_id, 0,
                                                   MIN (task->size, RANGE_SIZE), get_pin (task),
                                                   object, self->cancellable, &local_error);

      if (bytes != NULL && check_size (task, *object, g_bytes_get_size (bytes), &local_error)
          && !prove_by_record (task, *object, bytes) && (*object)->is_md5_etag)
        {
          g_autofree char *md5 = kp_content_md5 (bytes);
          if (!check_md5 (task, *object, md5, &wrong_md5, &again, &local_error))
            tries = 1;
        }
      if (local_error == NULL && !again && bytes != NULL)
        {
          take_object (task, *object);
          check_bytes (task, bytes, &local_error);
        }
      if (local_error == NULL && !again)
        return g_steal_pointer (&bytes);
      g_clear_pointer (object, kp_s3_object_free);
      if (!again && (tries > 0 || !kp_error_is (local_error, KP_ERROR_CORRUPT)))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
    }
}

static char *
make_identity (const char *key, const char *etag, guint64 size)
{
  return g_strdup_printf ("%s\n%s\n%" G_GUINT64_FORMAT "\n%d", key, etag, size, RANGE_SIZE);
}

/**
 * kp_restore_get_fetched:
 *
 * Returns: bytes on the disk that an earlier restore has fetched of an object
 */
guint64
kp_restore_get_fetched (KpRestore *self,
                        const char *key,
                        const char *path,
                        const char *etag,
                        guint64 size)
{
  if (size < CONTINUED_SIZE || etag == NULL || *etag == '\0')
    return 0;
  g_autofree char *identity = make_identity (key, etag, size);
  return kp_target_get_partial_size (self->target_fd, path, identity);
}

/* Makes the file that ranges of an object are written to. What is fetched of it is of use only to a
 * restore of the very same object. */
static gboolean
create_large (RestoreTask *task, KpTargetFile *file, const KpS3Object *object, GError **error)
{
  g_autofree char *identity = NULL;

  if (task->size < CONTINUED_SIZE || *object->etag == '\0')
    return kp_target_file_create (file, &task->info, NULL, error);
  identity = make_identity (task->key, object->etag, task->size);
  return kp_target_file_create_partial (file, &task->info, identity,
                                        (task->size + RANGE_SIZE - 1) / RANGE_SIZE, error);
}

/* Asks about an object before anything is fetched of it. */
static KpS3Object *
look_at (RestoreTask *task, KpS3Client *client, GError **error)
{
  g_autoptr (KpS3Object) object = kp_s3_client_head (client, get_key (task), task->version_id,
                                                     task->restore->cancellable, error);

  if (object == NULL)
    return NULL;
  const char *pin = get_pin (task);
  if (object->size != task->size || (pin != NULL && g_strcmp0 (object->etag, pin) != 0))
    {
      set_changed_error (error);
      return NULL;
    }
  take_object (task, object);
  return g_steal_pointer (&object);
}

/* Fetches an object that is no folder. Returns FALSE with an error; @passed_on when its ranges will
 * finish the task. */
static gboolean
fetch_within_budget (RestoreTask *task, KpS3Client *client, gboolean *passed_on, GError **error)
{
  KpRestore *self = task->restore;
  g_autoptr (KpS3Object) object = NULL;
  g_autoptr (GBytes) bytes = NULL;
  KpFileInfo existing;
  gboolean exists;

  *passed_on = FALSE;
  g_autoptr (KpTargetFile) file = kp_target_file_new (self->target_fd, task->path, error);
  if (file == NULL)
    return FALSE;
  kp_target_file_protect (file, self->began);
  if (self->options.overwrite != KP_OVERWRITE_ALWAYS)
    kp_target_file_replace_only_what_was_seen (file);
  if (!kp_target_file_stat (file, &existing, &exists, error))
    return FALSE;
  if (exists && S_ISDIR (existing.mode))
    {
      set_folder_error (error);
      return FALSE;
    }

  /* A GET tells all that a HEAD does: one request for each small file that is not there yet. */
  gboolean in_one = task->size > 0 && task->size <= RANGE_SIZE;
  if (exists || !in_one)
    {
      object = look_at (task, client, error);
      if (object == NULL)
        return FALSE;
      task->outcome = exists ? judge_existing (task, &existing) : OUTCOME_RESTORED;
      if (task->outcome == OUTCOME_UNCHANGED)
        return self->options.overwrite == KP_OVERWRITE_NEVER || correct (task, file, error);
      if (task->outcome == OUTCOME_KEPT)
        return TRUE;
      task->replaces = exists && self->options.overwrite != KP_OVERWRITE_ALWAYS;
      if (exists && !check_replaced (task, &existing, error))
        return FALSE;
    }
  if (task->size > RANGE_SIZE && S_ISREG (task->info.mode))
    {
      if (!create_large (task, file, object, error))
        return FALSE;
      *passed_on = TRUE;
      download_begin (task, g_steal_pointer (&file), g_steal_pointer (&object));
      return TRUE;
    }

  if (task->size > 0)
    {
      g_clear_pointer (&object, kp_s3_object_free);
      bytes = get_proved (task, client, &object, error);
      if (bytes == NULL)
        return FALSE;
    }
  else
    {
      bytes = g_bytes_new (NULL, 0);
      if (!check_bytes (task, bytes, error))
        return FALSE;
    }
  if (!kp_target_file_create (file, &task->info, bytes, error)
      || (S_ISREG (task->info.mode) && !kp_target_file_write (file, 0, bytes, error))
      || !commit (task, file, error))
    return FALSE;
  task->bytes = g_bytes_get_size (bytes);
  kp_report_add_bytes (self->report, (gint64) task->bytes);
  return TRUE;
}

static gboolean
fetch (RestoreTask *task, KpS3Client *client, gboolean *passed_on, GError **error)
{
  KpRestore *self = task->restore;
  guint64 held = MIN (task->size, RANGE_SIZE);

  if (!kp_budget_take (self->budget, held, self->cancellable, error))
    return FALSE;
  gboolean ok = fetch_within_budget (task, client, passed_on, error);
  kp_budget_give_back (self->budget, held);
  return ok;
}

static gboolean
make_directory (RestoreTask *task, KpS3Client *client, GError **error)
{
  KpRestore *self = task->restore;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, get_key (task), task->version_id, self->cancellable, error);

  if (object == NULL)
    return FALSE;
  take_object (task, object);
  task->outcome = OUTCOME_DIRECTORY;
  if (*task->path != '\0' && !kp_beneath_is_safe (task->path))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME,
                           "The key is no path of a folder below the target folder");
      return FALSE;
    }
  int fd = kp_beneath_make_directories (self->target_fd, task->path);
  if (fd < 0)
    {
      int code = errno;
      g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT, "Cannot make the folder: %s",
                   code == ENOTDIR ? "there is a file of its name" : g_strerror (code));
      return FALSE;
    }
  close (fd);
  return TRUE;
}

/* Finds out what fetch() or make_directory() would do. */
static gboolean
preview (RestoreTask *task, KpS3Client *client, gboolean is_directory, GError **error)
{
  int root_fd = task->restore->target_fd;
  KpFileInfo existing;
  struct stat st;

  if (!kp_beneath_is_safe (task->path) && *task->path != '\0')
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME,
                           "The key is no path below the target folder");
      return FALSE;
    }
  int fd = root_fd >= 0 ? kp_beneath_open (root_fd, task->path, O_PATH | O_NOFOLLOW) : -1;
  gboolean exists = fd >= 0 && fstat (fd, &st) == 0;
  if (fd >= 0)
    close (fd);
  task->outcome = OUTCOME_RESTORED;
  task->bytes = is_directory ? 0 : task->size;
  if (!exists)
    return TRUE;
  if (is_directory || S_ISDIR (st.st_mode))
    {
      task->outcome = OUTCOME_UNCHANGED;
      if (is_directory != S_ISDIR (st.st_mode))
        set_folder_error (error);
      return is_directory == S_ISDIR (st.st_mode);
    }
  kp_file_info_from_stat (&existing, &st);
  g_autoptr (KpS3Object) object = look_at (task, client, error);
  if (object == NULL)
    return FALSE;
  task->outcome = judge_existing (task, &existing);
  if (task->outcome != OUTCOME_RESTORED)
    task->bytes = 0;
  return TRUE;
}

/* Runs in a worker. */
void
kp_restore_task_cb (KpS3Client *client, void *item, void *user_data)
{
  RestoreTask *task = item;
  gboolean passed_on = FALSE;
  gsize length;

  if (task->download != NULL)
    {
      download_range (task, client);
      return;
    }
  length = strlen (task->path);
  gboolean is_directory = length == 0 || task->path[length - 1] == '/';
  if (is_directory && length > 0)
    task->path[length - 1] = '\0';
  if (task->restore->options.dry_run)
    {
      if (!preview (task, client, is_directory, &task->error))
        g_assert (task->error != NULL);
    }
  else if (is_directory)
    {
      if (!make_directory (task, client, &task->error))
        g_assert (task->error != NULL);
    }
  else if (!fetch (task, client, &passed_on, &task->error))
    g_assert (task->error != NULL);
  if (passed_on)
    return;
  request_archived (task, client);
  finish (task);
}

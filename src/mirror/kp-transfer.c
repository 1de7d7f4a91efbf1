/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* The third phase: workers take actions, the job's thread feeds them and has each finished action
 * recorded. What was begun is finished before something new is begun, so that a job that is killed
 * leaves little half-done. */

#include "kp-compare.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-transfer-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

KpTask *
kp_task_new (KpTransfer *transfer, KpTaskKind kind)
{
  KpTask *task = g_new0 (KpTask, 1);

  task->kind = kind;
  task->transfer = transfer;
  return task;
}

void
kp_task_free (void *data)
{
  KpTask *task = data;

  kp_change_clear (&task->change);
  g_clear_pointer (&task->layout, kp_layout_free);
  g_clear_pointer (&task->chunks, g_array_unref);
  g_clear_pointer (&task->earlier, kp_upload_row_free);
  g_clear_pointer (&task->earlier_parts, g_hash_table_unref);
  kp_known_clear (&task->known);
  g_clear_error (&task->error);
  g_clear_pointer (&task->row, kp_upload_row_free);
  g_free (task->etag);
  g_free (task);
}

/* For what is still in the queue when the pool ends. */
static void
task_drop (void *data)
{
  KpTask *task = data;

  if (task->upload != NULL)
    kp_upload_drop_task (task);
  else
    kp_task_free (task);
}

static KpSource *
task_source (KpTask *task)
{
  return kp_mirror_get_source (task->transfer->mirror, task->change.local.source);
}

static GBytes *
sha256_from_hex (const char *hex)
{
  guint8 bytes[32];

  for (int i = 0; i < 32; i++)
    bytes[i]
        = (guint8) (g_ascii_xdigit_value (hex[2 * i]) << 4 | g_ascii_xdigit_value (hex[2 * i + 1]));
  return g_bytes_new (bytes, sizeof bytes);
}

void
kp_task_set_changed_error (GError **error)
{
  g_clear_error (error);
  g_set_error (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
               "The file changed while it was read, %d times; the next run tries again",
               KP_TRANSFER_MAX_READS);
}

/* Opens the task's file and says what it is now, which may not be what the scan saw. Leaves @fd at
 * -1 for what has no content to open. */
gboolean
kp_task_open_file (KpTask *task, int *fd, KpFileInfo *info, GError **error)
{
  const KpScanned *local = &task->change.local;
  gboolean has_content = S_ISREG (local->info.mode) || S_ISDIR (local->info.mode);

  task->opened_at = g_get_real_time ();
  *fd = kp_source_open_file (task_source (task), local->path, has_content ? O_RDONLY : O_PATH);
  task->has_no_xattrs = !has_content;
  if (*fd < 0 && errno == EACCES && S_ISDIR (local->info.mode))
    {
      /* The scan has reported it; its mode and times can be kept all the same. */
      *fd = kp_source_open_file (task_source (task), local->path, O_PATH);
      task->has_no_xattrs = TRUE;
    }
  if (*fd < 0)
    {
      task->vanished = errno == ENOENT || errno == ENOTDIR;
      g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE, "Cannot read: %s",
                   g_strerror (errno));
      return FALSE;
    }
  if (S_ISREG (local->info.mode) ? !kp_content_wait_settled (*fd, info, &task->opened_at, error)
                                 : !kp_content_stat (*fd, info, error))
    return FALSE;
  if ((info->mode & S_IFMT) != (local->info.mode & S_IFMT))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                           "It was replaced by something of another kind; the next run takes it");
      return FALSE;
    }
  /* It may have grown since. */
  return !S_ISREG (info->mode)
         || kp_layout_check_size (task->transfer->provider, info->size, error);
}

static void
close_file (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

/* All the headers of the object, and for the catalogue what they are made of. */
KpS3HeaderList *
kp_task_make_headers (KpTask *task, int fd, const KpFileInfo *info, GError **error)
{
  const KpScanned *local = &task->change.local;
  /* A copy without a class would be in the bucket's default one. */
  const char *storage_class = task->transfer->storage_class;
  if (storage_class == NULL && task->change.action != KP_ACTION_PUT && !task->class_refused)
    storage_class = task->change.storage_class;
  g_autoptr (GPtrArray) xattrs = task->has_no_xattrs ? NULL : kp_xattrs_read (fd, error);

  if (!task->has_no_xattrs && xattrs == NULL)
    return NULL;
  g_clear_pointer (&task->known.xattrs, g_bytes_unref);
  if (xattrs != NULL)
    task->known.xattrs = kp_xattrs_digest (xattrs);
  g_clear_pointer (&task->known.hard_link, g_free);
  if (local->is_linked && S_ISREG (info->mode) && info->nlink > 1)
    task->known.hard_link = kp_metadata_read_hard_link (fd);
  /* The next job may have nothing but the headers to go by. The ctime of a file that was still
   * changing must not be taken for the proof that it did not change since. */
  KpFileInfo written = *info;
  if (S_ISREG (info->mode) && !kp_content_is_settled (info, task->opened_at))
    written.ctime--;
  KpS3HeaderList *headers = kp_metadata_to_headers (&written, xattrs, task->known.hard_link,
                                                    *local->path != '\0' ? local->path : local->key,
                                                    storage_class, &task->xattrs_left_out);
  task->names_left_out
      = task->known.hard_link != NULL && !kp_s3_header_list_has (headers, KP_METADATA_HARD_LINK);
  return headers;
}

/* Fills in what the catalogue will know. The times are those before the bytes were read. A change
 * just before that could be followed by one just after it without a trace in them: then the next
 * job has to look at the bytes. To be called when the server has just replied. */
void
kp_task_set_known (KpTask *task, const KpFileInfo *info, char *etag, GBytes *sha256)
{
  g_free (task->known.etag);
  g_clear_pointer (&task->known.sha256, g_bytes_unref);
  task->known.etag = etag;
  task->known.info = *info;
  task->known.sha256 = sha256;
  /* Not earlier than what listings will say: the reply came after the object was stored, and an
   * upload in parts may count from its beginning. */
  task->known.stored = kp_s3_service_get_server_time (task->transfer->mirror->service);
  task->known.xattrs_left_out = task->xattrs_left_out;
  if (S_ISREG (info->mode) && !kp_content_is_settled (info, task->opened_at))
    task->known.info.ctime = 0;
}

/* Reads what goes into one request: headers and body. Returns NULL with an error, or without one
 * when the file changed meanwhile. */
static GBytes *
read_small (KpTask *task, int fd, const KpFileInfo *info, KpS3HeaderList **headers, GError **error)
{
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) local_error = NULL;
  KpFileInfo after;

  *headers = kp_task_make_headers (task, fd, info, &local_error);
  if (*headers != NULL && S_ISLNK (info->mode))
    {
      char *target
          = kp_source_read_link (task_source (task), task->change.local.path, &local_error);
      if (target != NULL)
        body = g_bytes_new_take (target, strlen (target));
    }
  else if (*headers != NULL)
    body = kp_content_read (fd, 0, S_ISREG (info->mode) ? info->size : 0, &local_error);

  /* A file that grew would be cut: fstat() must say the same as before. */
  if (body != NULL && kp_content_stat (fd, &after, &local_error)
      && kp_file_info_same_content (info, &after))
    return g_steal_pointer (&body);
  if (local_error != NULL && !kp_error_is (local_error, KP_ERROR_CHANGED_WHILE_READING))
    g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

static gboolean
send_small (KpTask *task,
            KpS3Client *client,
            const KpFileInfo *info,
            KpS3HeaderList *headers,
            GBytes *body,
            GError **error)
{
  KpMirror *mirror = task->transfer->mirror;
  g_autofree char *sha256
      = kp_s3_sha256_hex (g_bytes_get_data (body, NULL), g_bytes_get_size (body));

  if (!kp_task_keep (task, client, error))
    return FALSE;
  char *etag = kp_s3_client_put (client, task->change.local.key, headers, body, sha256,
                                 mirror->cancellable, error);
  if (etag == NULL)
    return FALSE;
  kp_task_set_known (task, info, etag, S_ISREG (info->mode) ? sha256_from_hex (sha256) : NULL);
  task->bytes = g_bytes_get_size (body);
  kp_report_add_bytes (mirror->report, (gint64) task->bytes);
  return TRUE;
}

/* A storage class that a lifecycle rule gave an object may be one that nobody can write. */
static gboolean
drop_class (KpTask *task, GError **error)
{
  if (!kp_error_is (*error, KP_ERROR_REFUSED) || task->class_refused
      || task->transfer->storage_class != NULL || task->change.storage_class == NULL
      || task->change.action == KP_ACTION_PUT)
    return FALSE;
  g_clear_error (error);
  task->class_refused = TRUE;
  return TRUE;
}

/* Sends what fits in one request: files up to a part, and all that is not a regular file. Returns
 * FALSE with an error; large files that only grew so large meanwhile are passed on. */
static gboolean
put_small (KpTask *task, KpS3Client *client, gboolean *passed_on, GError **error)
{
  KpTransfer *transfer = task->transfer;

  *passed_on = FALSE;
  for (int reads = 0; reads < KP_TRANSFER_MAX_READS; reads++)
    {
      g_autoptr (KpS3HeaderList) headers = NULL;
      g_autoptr (GError) read_error = NULL;
      KpFileInfo info;
      int fd = -1;

      if (!kp_task_open_file (task, &fd, &info, error))
        {
          close_file (&fd);
          return FALSE;
        }
      *passed_on = S_ISREG (info.mode) && info.size > KP_PART_SIZE;
      guint64 size = S_ISREG (info.mode) ? info.size : 0;
      if (*passed_on
          || !kp_budget_take (transfer->budget, size, transfer->mirror->cancellable, error))
        {
          close_file (&fd);
          return *passed_on;
        }

      g_autoptr (GBytes) body = read_small (task, fd, &info, &headers, &read_error);
      close_file (&fd);
      g_autoptr (GError) send_error = NULL;
      gboolean ok = body != NULL && send_small (task, client, &info, headers, body, &send_error);
      gboolean again = (body == NULL && read_error == NULL)
                       || (send_error != NULL && drop_class (task, &send_error));
      g_clear_pointer (&body, g_bytes_unref);
      kp_budget_give_back (transfer->budget, size);
      if (read_error != NULL)
        g_propagate_error (error, g_steal_pointer (&read_error));
      else if (send_error != NULL)
        g_propagate_error (error, g_steal_pointer (&send_error));
      if (!again)
        return ok;
    }
  kp_task_set_changed_error (error);
  return FALSE;
}

static void
put (KpTask *task, KpS3Client *client)
{
  gboolean is_large = FALSE;

  task->carried_out = KP_ACTION_PUT;
  if (!S_ISREG (task->change.local.info.mode) || task->change.local.info.size <= KP_PART_SIZE)
    {
      if (!put_small (task, client, &is_large, &task->error) || !is_large)
        {
          kp_task_finish (task);
          return;
        }
    }
  kp_upload_begin (task, client);
}

static gboolean
can_fall_back (const GError *error)
{
  return kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)
         || kp_error_is (error, KP_ERROR_CONFLICT) || kp_error_is (error, KP_ERROR_NOT_FOUND)
         || kp_error_is (error, KP_ERROR_ARCHIVED) || kp_error_is (error, KP_ERROR_SERVER)
         || kp_error_is (error, KP_ERROR_REFUSED)
         /* A key that may write and not read. */
         || kp_error_is (error, KP_ERROR_ACCESS_DENIED);
}

static gboolean
is_plain_md5 (const char *etag)
{
  return strlen (etag) == 32;
}

/* Whether the bytes that were copied are those we know. A provider that pins copies to an ETag has
 * seen to that; else the ETag of a copy must be the source's MD5. */
static gboolean
is_true_copy (KpTransfer *transfer, const KpKnown *known, const char *etag)
{
  return transfer->provider->copy_if_match
         || (is_plain_md5 (known->etag) && g_str_equal (known->etag, etag));
}

/* Whether the bytes of the object to be copied are those of the task's file. Of a rename or a copy,
 * the hash has proved it when comparing; another name of one file has its inode. */
static gboolean
has_equal_source (const KpChange *change)
{
  const KpFileInfo *known = &change->known.info;
  const KpFileInfo *local = &change->local.info;

  if (!change->has_known || *change->known.etag == '\0')
    return FALSE;
  if (change->action != KP_ACTION_LINK)
    return known->size == local->size;
  /* Equal size and mtime are no proof, and the object may be an older one whose successor failed.
   */
  return known->ino == local->ino && known->size == local->size && known->mtime == local->mtime
         && known->ctime == local->ctime;
}

/**
 * kp_task_check_object:
 * @error: %KP_ERROR_CONFLICT when it is not; any of a HEAD
 *
 * Whether an object is still the one with this ETag.
 */
gboolean
kp_task_check_object (KpTask *task,
                      KpS3Client *client,
                      const char *key,
                      const char *etag,
                      GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, key, NULL, task->transfer->mirror->cancellable, &local_error);

  if (object == NULL && !kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (object != NULL && g_str_equal (object->etag, etag))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT,
               "“%s” was changed or deleted in the bucket by somebody else", key);
  return FALSE;
}

/* Whether a copy that can be neither pinned nor made in parts can be made sure of by looking at its
 * source before and after it: not where it overwrites that source. */
static gboolean
can_watch_copy (KpTask *task, const char *from_key)
{
  const KpS3Provider *provider = task->transfer->provider;

  return provider->part_copy == KP_S3_SUPPORT_NO && !g_str_equal (from_key, task->change.local.key)
         && task->change.local.info.size <= provider->max_copy;
}

/* Sends the file after all: what was to be copied cannot be. */
static void
put_instead (KpTask *task, KpS3Client *client)
{
  task->only_names = FALSE;
  kp_report_add_total (task->transfer->mirror->report, 0, (gint64) task->change.local.info.size);
  put (task, client);
}

/* Whether the object would say all there is to say of the file, but for its other names: by
 * kp_task_make_headers() it is known what that is. */
static gboolean
lacks_only_names (const KpTask *task, const KpFileInfo *info)
{
  const KpChange *change = &task->change;
  const KpKnown *known = &change->known;

  return change->action == KP_ACTION_METADATA && S_ISREG (info->mode)
         && kp_compare_same_metadata (info, &known->info)
         && kp_xattrs_same_digest (task->known.xattrs, known->xattrs) && !task->xattrs_left_out
         && !known->xattrs_left_out && g_strcmp0 (task->known.hard_link, known->hard_link) != 0;
}

/**
 * kp_task_leave_names:
 * @error: (nullable): why the object cannot be copied onto itself
 *
 * Leaves an object as it is that was to be written again for the names of its file alone, where the
 * reason will be the same tomorrow: to send all its bytes would be too much for that. It counts as
 * said, so that the next job does not try it again. To be called when nothing was written.
 *
 * Returns: whether it is left, and the task handed back; %FALSE where there is more to write, the
 *   object is not the one any more, or another job may fare better
 */
gboolean
kp_task_leave_names (KpTask *task, const GError *error)
{
  const KpKnown *known = &task->change.known;
  gboolean is_lasting = error == NULL || kp_error_is (error, KP_ERROR_ARCHIVED)
                        || kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)
                        || kp_error_is (error, KP_ERROR_REFUSED);

  task->is_left = task->only_names && is_lasting;
  if (!task->is_left)
    return FALSE;
  kp_task_set_known (task, &task->change.local.info, g_strdup (known->etag),
                     known->sha256 != NULL ? g_bytes_ref (known->sha256) : NULL);
  kp_task_finish (task);
  return TRUE;
}

/* Copies an object that is too large for one request, or of which nothing but another look would
 * tell whether it was still the one that we know when it was copied. */
static void
copy_in_parts (KpTask *task, KpS3Client *client, const char *from_key)
{
  KpTransfer *transfer = task->transfer;

  if (transfer->provider->part_copy == KP_S3_SUPPORT_NO
      || !kp_layout_can_copy_from (transfer->provider, from_key)
      || g_atomic_int_get (&transfer->no_part_copy))
    {
      if (!kp_task_leave_names (task, NULL))
        put_instead (task, client);
      return;
    }
  task->layout = kp_layout_new_copy (from_key, task->change.known.etag,
                                     task->change.local.info.size, transfer->provider);
  kp_upload_begin (task, client);
}

/* Copies an object of equal content to the task's key, with the file's present headers: from a name
 * that is gone, from another name of the same file or the same bytes, or the same key for new
 * metadata. Where that cannot be, the file is sent. */
static void
copy (KpTask *task, KpS3Client *client)
{
  KpTransfer *transfer = task->transfer;
  KpChange *change = &task->change;
  const KpKnown *known = &change->known;
  const char *from_key = change->from_key != NULL ? change->from_key : change->local.key;
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3HeaderList) headers = NULL;
  g_autofree char *etag = NULL;
  KpFileInfo info;
  int fd = -1;

  if (!has_equal_source (change))
    {
      put_instead (task, client);
      return;
    }
  if (kp_task_open_file (task, &fd, &info, &error)
      && kp_file_info_same_content (&info, &change->local.info))
    headers = kp_task_make_headers (task, fd, &info, &error);
  close_file (&fd);
  task->only_names = headers != NULL && lacks_only_names (task, &info);
  gboolean needs_parts
      = kp_layout_needs_parts (transfer->provider, known->etag, change->local.info.size);
  gboolean is_watched = needs_parts && can_watch_copy (task, from_key);
  if (headers != NULL && needs_parts && !is_watched)
    {
      copy_in_parts (task, client, from_key);
      return;
    }
  if (headers != NULL
      && (!is_watched || kp_task_check_object (task, client, from_key, known->etag, &error))
      && kp_task_keep (task, client, &error))
    etag = kp_s3_client_copy (client, from_key, known->etag, change->local.key, headers,
                              transfer->mirror->cancellable, &error);
  if (etag != NULL
      && (is_watched ? kp_task_check_object (task, client, from_key, known->etag, &error)
                     : is_true_copy (transfer, known, etag)))
    {
      kp_task_set_known (task, &info, g_steal_pointer (&etag),
                         known->sha256 != NULL ? g_bytes_ref (known->sha256) : NULL);
      kp_task_finish (task);
    }
  else if (error != NULL && (task->keep_failed || !can_fall_back (error)))
    {
      task->error = g_steal_pointer (&error);
      kp_task_finish (task);
    }
  else if (etag != NULL || !kp_task_leave_names (task, error))
    put_instead (task, client);
}

/* Runs in a worker. */
static void
task_cb (KpS3Client *client, void *item, void *user_data)
{
  KpTask *task = item;

  if (task->kind == KP_TASK_PART)
    {
      kp_upload_do_part (task, client);
      return;
    }
  if (task->kind == KP_TASK_CHUNKS)
    {
      kp_upload_do_chunks (task, client);
      return;
    }

  task->carried_out = task->change.action;
  switch (task->change.action)
    {
    case KP_ACTION_PUT:
      put (task, client);
      break;
    case KP_ACTION_ASSEMBLE:
    case KP_ACTION_DELTA:
      kp_upload_begin (task, client);
      break;
    case KP_ACTION_RENAME:
    case KP_ACTION_COPY:
    case KP_ACTION_METADATA:
    case KP_ACTION_LINK:
      copy (task, client);
      break;
    case KP_ACTION_DELETE:
    default:
      g_assert_not_reached ();
    }
}

/* What is known beforehand of a large file: its chunks and the plan made from them, and an upload
 * that an earlier job began. */
static gboolean
prepare_large (KpTransfer *transfer, KpTask *task, GError **error)
{
  KpCatalogue *catalogue = transfer->mirror->catalogue;
  const KpChange *change = &task->change;
  const char *key = change->local.key;
  g_autoptr (GError) local_error = NULL;

  task->earlier = kp_catalogue_get_upload (catalogue, key, &local_error);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (task->earlier != NULL)
    {
      task->earlier_parts = kp_catalogue_get_upload_parts (catalogue, key, error);
      if (task->earlier_parts == NULL)
        return FALSE;
    }

  g_autoptr (GArray) chunks = kp_catalogue_get_new_chunks (catalogue, key, error);
  if (chunks == NULL)
    return FALSE;
  if (chunks->len == 0)
    return TRUE;
  task->chunks = g_steal_pointer (&chunks);
  if (change->action == KP_ACTION_PUT)
    return TRUE;
  task->layout = kp_layout_new_delta (catalogue, transfer->provider, key, change->listed_etag,
                                      task->chunks, error);
  return task->layout != NULL;
}

static gboolean
push_change (KpTransfer *transfer, KpChange *change, GError **error)
{
  g_autoptr (KpTask) task = kp_task_new (transfer, KP_TASK_ACTION);
  gboolean is_sent = change->action >= KP_ACTION_ASSEMBLE && change->action <= KP_ACTION_DELTA;

  task->change = *change;
  *change = (KpChange){ 0 };
  if (is_sent && S_ISREG (task->change.local.info.mode)
      && task->change.local.info.size > KP_PART_SIZE && !prepare_large (transfer, task, error))
    return FALSE;
  transfer->outstanding++;
  kp_pool_push (transfer->pool, g_steal_pointer (&task));
  return TRUE;
}

static gboolean
run_actions (KpTransfer *transfer, KpAction first, KpAction last, GError **error)
{
  g_autoptr (KpCursor) cursor
      = kp_catalogue_list_changes (transfer->mirror->catalogue, first, last, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 || transfer->outstanding > 0)
    {
      for (unsigned room = kp_pool_get_room (transfer->pool); result == 1 && room > 0; room--)
        {
          g_auto (KpChange) change = { 0 };
          result = kp_cursor_next_change (cursor, &change, error);
          if (result < 0 || (result == 1 && !push_change (transfer, &change, error)))
            return FALSE;
        }
      if (transfer->outstanding > 0 && !kp_transfer_take_results (transfer, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * kp_transfer_run:
 * @error: what makes it useless to go on: any #KpError for which kp_error_stops_job(), or
 *   %G_IO_ERROR_CANCELLED. Files that fail alone are reported and counted.
 *
 * Carries out the change set, but for deletions. What is copied from an object comes before that
 * object may be overwritten, and copies of other names come after the names that they are copied
 * from.
 */
gboolean
kp_transfer_run (KpMirror *mirror, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (mirror->service);
  const KpS3Provider *provider = kp_s3_location_get_provider (location);
  g_autoptr (GAsyncQueue) results = g_async_queue_new_full (kp_task_free);
  KpTransfer transfer = { .mirror = mirror,
                          .results = results,
                          .provider = provider,
                          .storage_class = mirror->options.storage_class,
                          .budget = kp_budget_new (KP_MEMORY_BUDGET) };

  g_mutex_init (&transfer.lock);
  g_cond_init (&transfer.recorded_more);
  g_cond_init (&transfer.enough_results);
  transfer.pool
      = kp_pool_new (mirror->service, mirror->options.jobs, task_cb, task_drop, &transfer);
  gboolean ok = kp_stale_end_uploads (mirror, error)
                && (provider->copy_if_match || kp_catalogue_add_doubts (mirror->catalogue, error))
                && run_actions (&transfer, KP_ACTION_RENAME, KP_ACTION_COPY, error)
                && run_actions (&transfer, KP_ACTION_ASSEMBLE, KP_ACTION_ASSEMBLE, error)
                && run_actions (&transfer, KP_ACTION_PUT, KP_ACTION_METADATA, error)
                && run_actions (&transfer, KP_ACTION_LINK, KP_ACTION_LINK, error)
                && kp_transfer_check_denials (&transfer, error);
  if (!ok)
    g_cancellable_cancel (mirror->cancellable);
  kp_pool_free (transfer.pool);
  kp_transfer_drain (&transfer);
  g_queue_clear_full (&transfer.denied, kp_task_free);
  kp_budget_free (transfer.budget);
  g_mutex_clear (&transfer.lock);
  g_cond_clear (&transfer.recorded_more);
  g_cond_clear (&transfer.enough_results);
  if (transfer.names_unsaid > 0)
    kp_report_notice (mirror->report,
                      "The bucket could not be told of which other names (hard links) a file has, "
                      "without sending it again: %u files may become files of their own by a "
                      "restore",
                      transfer.names_unsaid);
  if (transfer.names_left_out > 0)
    kp_report_notice (mirror->report,
                      "Beside their extended attributes there is no room to say which other names "
                      "(hard links) a file has: %u files become files of their own by a restore",
                      transfer.names_left_out);
  if (!kp_stale_remember (mirror, ok ? error : NULL))
    return FALSE;
  return ok && kp_catalogue_sweep_chunks (mirror->catalogue, error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* A large file on its way: an upload in parts, some sent, some copied by the server from objects
 * that it has. Its parts are tasks of their own; the worker that ends the last one completes the
 * upload.
 *
 * The upload's id and each confirmed part are recorded as they come, so that a job that was killed
 * is continued: the next one asks the server which parts it has and sends the rest. */

#include "kp-content.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-part-chunks.h"
#include "kp-transfer-private.h"

#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

struct _KpUpload
{
  KpTask *task; /* the action; owned until it is handed back */
  int fd;
  KpFileInfo info;
  KpS3HeaderList *headers;
  char *upload_id;
  KpLayout *layout;
  gboolean copy_refused;     /* it was UploadPartCopy that the server would not do */
  unsigned attempt;          /* how often the file was begun, from 1 */
  gboolean earlier_waits;    /* the upload of an earlier job is left for the next one */
  gboolean has_known_chunks; /* the chunks were there before: each part is held against them */
  KpPartChunks *part_chunks; /* finds them in the parts as they are sent; else NULL */

  GMutex lock;        /* guards what follows */
  char **etags;       /* of the parts that the server has */
  char **sent_hashes; /* SHA-256 of the parts that this job sent */
  char *
      *read_hashes; /* SHA-256 of what the chunks were made of, part by part; NULL: what was sent */
  GArray *chunks;   /* of the content; NULL until they are found */
  unsigned left;    /* tasks that have not ended */
  guint64 sent;     /* bytes that this job sent */
  guint64 counted;  /* bytes that the progress counts as done */
  GError *error;    /* the first */
};

static unsigned
n_parts (const KpUpload *upload)
{
  return upload->layout->parts->len;
}

static const KpPart *
get_part (const KpUpload *upload, unsigned i)
{
  return &g_array_index (upload->layout->parts, KpPart, i);
}

static void
free_texts (char **texts, unsigned n)
{
  for (unsigned i = 0; texts != NULL && i < n; i++)
    g_free (texts[i]);
  g_free (texts);
}

static void
upload_free (KpUpload *upload)
{
  if (upload->fd >= 0)
    close (upload->fd);
  if (upload->layout != NULL)
    {
      free_texts (upload->etags, n_parts (upload));
      free_texts (upload->sent_hashes, n_parts (upload));
      free_texts (upload->read_hashes, n_parts (upload));
    }
  g_free (upload->upload_id);
  g_clear_pointer (&upload->layout, kp_layout_free);
  g_clear_pointer (&upload->headers, kp_s3_header_list_free);
  g_clear_pointer (&upload->part_chunks, kp_part_chunks_free);
  g_clear_pointer (&upload->chunks, g_array_unref);
  g_clear_error (&upload->error);
  g_mutex_clear (&upload->lock);
  g_free (upload);
}

/**
 * kp_upload_drop_task:
 *
 * Frees the task of a part that nobody will do any more, and the upload with the last of them.
 */
void
kp_upload_drop_task (KpTask *task)
{
  KpUpload *upload = task->upload;

  kp_task_free (task);
  if (--upload->left == 0)
    {
      kp_task_free (upload->task);
      upload_free (upload);
    }
}

/* What an upload is told by: the parts, and what its object will say of the file's other names,
 * which may be others now though nothing of the file has changed. */
static char *
fingerprint (const KpTask *task, const KpLayout *layout)
{
  g_autofree char *parts = kp_layout_fingerprint (layout);

  return g_strconcat (parts, task->known.hard_link != NULL ? " " : NULL, task->known.hard_link,
                      NULL);
}

static KpTask *
new_record (KpUpload *upload, KpTaskKind kind, unsigned part, const char *etag)
{
  KpTask *task = kp_task_new (upload->task->transfer, kind);

  task->change.local.key = g_strdup (upload->task->change.local.key);
  task->row = g_new0 (KpUploadRow, 1);
  task->row->key = g_strdup (upload->task->change.local.key);
  task->row->upload_id = g_strdup (upload->upload_id);
  task->row->info = upload->info;
  /* A change in the same tick would not show: then it must not be gone on with. */
  if (!kp_content_is_settled (&upload->info, upload->task->opened_at))
    task->row->info.ctime = 0;
  task->row->layout = fingerprint (upload->task, upload->layout);
  task->part = part;
  task->etag = g_strdup (etag);
  return task;
}

/* Tells the job's thread what to record. */
static void
record (KpUpload *upload, KpTaskKind kind, unsigned part, const char *etag)
{
  kp_task_finish (new_record (upload, kind, part, etag));
}

static void
count_bytes (KpUpload *upload, guint64 bytes)
{
  upload->counted += bytes;
  kp_report_add_bytes (upload->task->transfer->mirror->report, (gint64) bytes);
}

/* The task ends, well or not; the upload is no more. */
static void
finish (KpUpload *upload)
{
  KpTask *task = upload->task;

  upload_free (upload);
  kp_task_finish (task);
}

static gboolean
is_retryable (const GError *error)
{
  return kp_error_is (error, KP_ERROR_CHANGED_WHILE_READING)
         /* The upload was ended by somebody else. */
         || kp_error_is (error, KP_ERROR_NOT_FOUND);
}

static gboolean
cannot_copy (const GError *error)
{
  return kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)
         || kp_error_is (error, KP_ERROR_CONFLICT) || kp_error_is (error, KP_ERROR_ARCHIVED)
         || kp_error_is (error, KP_ERROR_SERVER) || kp_error_is (error, KP_ERROR_REFUSED)
         || kp_error_is (error, KP_ERROR_ACCESS_DENIED);
}

/* Whether the objects that parts are copied from are still those that the plan was made for: where
 * the provider cannot pin copies to an ETag, this is asked before the first copy and after the
 * last.
 */
static gboolean
check_sources (KpUpload *upload, KpS3Client *client, GError **error)
{
  if (upload->task->transfer->provider->copy_if_match || !kp_layout_has_copies (upload->layout))
    return TRUE;
  for (guint i = 0; i < upload->layout->sources->len; i++)
    {
      gboolean used = FALSE;

      for (unsigned j = 0; j < n_parts (upload); j++)
        used |= get_part (upload, j)->source == (int) i;
      const KpLayoutSource *source = g_ptr_array_index (upload->layout->sources, i);
      if (used && !kp_task_check_object (upload->task, client, source->key, source->etag, error))
        return FALSE;
    }
  return TRUE;
}

/* What the server would not do for this file it will not do for others: they do without, and it is
 * said once. */
static void
give_up_copying (KpTransfer *transfer)
{
  if (g_atomic_int_compare_and_exchange (&transfer->no_part_copy, 0, 1))
    kp_report_notice (transfer->mirror->report,
                      "The server does not copy parts of objects; changed large files are sent as "
                      "a whole");
}

/* Says why a whole file is sent where a part of it would have done. */
static void
report_sent_whole (KpUpload *upload)
{
  KpReport *report = upload->task->transfer->mirror->report;
  g_autofree char *name = kp_name_display (upload->task->change.local.key);

  if (kp_error_is (upload->error, KP_ERROR_ARCHIVED))
    kp_report_notice (report, "“%s” is sent as a whole: what was to be copied is in an archive",
                      name);
  else if (kp_error_is (upload->error, KP_ERROR_CONFLICT))
    kp_report_notice (report,
                      "“%s” is sent as a whole: what was to be copied changed in the bucket", name);
  else
    kp_report_notice (report, "“%s” is sent as a whole: %s", name, upload->error->message);
}

static void
start_again (KpUpload *upload, KpS3Client *client)
{
  KpTask *task = upload->task;

  g_clear_pointer (&task->layout, kp_layout_free);
  task->part = upload->attempt;
  upload_free (upload);
  kp_upload_begin (task, client);
}

/* Copying was what failed: sends the file as a whole, or leaves the object as it is. */
static void
send_instead (KpUpload *upload, KpS3Client *client)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;

  /* That the server does not copy parts is worth knowing in any case. */
  if (upload->copy_refused)
    give_up_copying (transfer);
  if (kp_task_leave_names (task, upload->error))
    {
      upload_free (upload);
      return;
    }
  if (!upload->copy_refused)
    report_sent_whole (upload);
  /* What was announced was only what would have been sent beside the copies. */
  kp_report_add_total (transfer->mirror->report, 0,
                       (gint64) (upload->layout->size - upload->layout->to_send));
  task->carried_out = KP_ACTION_PUT;
  /* It was the headers that it did not like. */
  task->class_refused |= upload->upload_id == NULL;
  if (upload->has_known_chunks)
    task->chunks = g_steal_pointer (&upload->chunks);
  start_again (upload, client);
}

static void
fail (KpUpload *upload, KpS3Client *client)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;
  gboolean as_a_whole
      = !task->keep_failed && kp_layout_has_copies (upload->layout) && cannot_copy (upload->error);

  kp_report_add_bytes (transfer->mirror->report, -(gint64) upload->counted);
  /* A job that is stopped leaves its upload for the next one, and so does one that could not keep
   * what it would have replaced: all its parts are there. */
  gboolean is_left = !as_a_whole && (task->keep_failed || kp_error_stops_job (upload->error));
  if (!is_left && upload->upload_id != NULL)
    {
      g_autoptr (GError) abort_error = NULL;
      if (!kp_s3_client_abort_upload (client, task->change.local.key, upload->upload_id,
                                      transfer->mirror->cancellable, &abort_error))
        kp_stale_report_left (transfer->mirror, task->change.local.key, abort_error);
      else
        record (upload, KP_TASK_UPLOAD_GONE, 0, NULL);
    }

  if (as_a_whole)
    {
      send_instead (upload, client);
      return;
    }
  gboolean again = !task->keep_failed && is_retryable (upload->error);
  if (again && upload->attempt < KP_TRANSFER_MAX_READS)
    {
      start_again (upload, client);
      return;
    }
  if (again)
    kp_task_set_changed_error (&task->error);
  else
    task->error = g_steal_pointer (&upload->error);
  finish (upload);
}

/* Whether the chunks are those of the bytes that were sent: the file was read for them once more,
 * and not every change shows in the times at once. */
static gboolean
has_true_chunks (KpUpload *upload)
{
  for (unsigned i = 0; upload->read_hashes != NULL && i < n_parts (upload); i++)
    if (upload->sent_hashes[i] != NULL
        && g_strcmp0 (upload->sent_hashes[i], upload->read_hashes[i]) != 0)
      return FALSE;
  return TRUE;
}

/* All parts have ended: completes the upload, or gives it up. Runs in the worker that ended the
 * last. */
static void
end (KpUpload *upload, KpS3Client *client)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;
  KpFileInfo after;
  char *etag = NULL;

  if (upload->error == NULL && kp_content_stat (upload->fd, &after, &upload->error)
      && (!kp_file_info_same_content (&upload->info, &after) || !has_true_chunks (upload)))
    g_set_error_literal (&upload->error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING, "");
  if (upload->error == NULL && check_sources (upload, client, &upload->error)
      && kp_task_keep (task, client, &upload->error))
    etag = kp_s3_client_complete_upload (client, task->change.local.key, upload->upload_id,
                                         upload->headers, (const char *const *) upload->etags,
                                         n_parts (upload), transfer->mirror->cancellable,
                                         &upload->error);
  if (etag == NULL)
    {
      fail (upload, client);
      return;
    }

  kp_task_set_known (task, &upload->info, etag, NULL);
  g_clear_pointer (&task->chunks, g_array_unref);
  task->chunks = g_steal_pointer (&upload->chunks);
  task->bytes = upload->sent;
  finish (upload);
}

static KpTask *
new_chunks_task (KpUpload *upload)
{
  KpTask *task = kp_task_new (upload->task->transfer, KP_TASK_CHUNKS);

  task->upload = upload;
  return task;
}

/* Takes the chunks that were found in the parts. Returns FALSE where the file has to be read for
 * them after all, by a task that was handed to the pool. */
static gboolean
take_chunks (KpUpload *upload)
{
  if (upload->part_chunks == NULL || upload->error != NULL)
    return TRUE;
  upload->chunks = kp_part_chunks_finish (upload->part_chunks);
  g_clear_pointer (&upload->part_chunks, kp_part_chunks_free);
  if (upload->chunks != NULL)
    return TRUE;
  upload->left = 1;
  kp_pool_push_first (upload->task->transfer->pool, new_chunks_task (upload));
  return FALSE;
}

/* One task of the upload has ended. */
static void
end_task (KpUpload *upload, KpS3Client *client, GError *error)
{
  g_mutex_lock (&upload->lock);
  if (error != NULL && upload->error == NULL)
    upload->error = g_error_copy (error);
  gboolean is_last = --upload->left == 0;
  g_mutex_unlock (&upload->lock);
  if (is_last && take_chunks (upload))
    end (upload, client);
}

static gboolean
is_given_up (KpUpload *upload)
{
  g_mutex_lock (&upload->lock);
  gboolean given_up = upload->error != NULL;
  g_mutex_unlock (&upload->lock);
  return given_up;
}

/* The chunks that a part touches: the first, and the one behind the last. */
static void
find_touched (GArray *chunks, const KpPart *part, guint *first, guint *end)
{
  guint i = 0;

  while (i + 1 < chunks->len && g_array_index (chunks, KpChunk, i + 1).offset <= part->offset)
    i++;
  *first = i;
  while (i < chunks->len && g_array_index (chunks, KpChunk, i).offset < part->offset + part->length)
    i++;
  *end = i;
}

static gboolean
is_chunk (const guint8 *bytes, const KpChunk *chunk)
{
  guint8 hash[KP_CHUNK_HASH_SIZE];

  if (!EVP_Digest (bytes, chunk->length, hash, NULL, EVP_sha256 (), NULL))
    g_error ("libcrypto has no SHA-256");
  return memcmp (hash, chunk->sha256, sizeof hash) == 0;
}

/* Reads a part of a file whose chunks are known already, with the whole of the chunks that it
 * touches, and only believes what their hashes prove: the other parts were chosen, and the object
 * will be remembered, by these chunks. */
static GBytes *
read_proved (KpUpload *upload, const KpPart *part, guint first, guint end, GError **error)
{
  GArray *chunks = upload->chunks;
  const KpChunk *last = &g_array_index (chunks, KpChunk, end - 1);
  guint64 start = g_array_index (chunks, KpChunk, first).offset;
  g_autoptr (GBytes) bytes
      = kp_content_read (upload->fd, start, last->offset + last->length - start, error);

  if (bytes == NULL)
    return NULL;
  const guint8 *data = g_bytes_get_data (bytes, NULL);
  for (guint i = first; i < end; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      if (!is_chunk (data + (chunk->offset - start), chunk))
        {
          g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING, "");
          return NULL;
        }
    }
  return g_bytes_new_from_bytes (bytes, part->offset - start, part->length);
}

static char *
send_bytes (KpUpload *upload, KpS3Client *client, unsigned i, GBytes *body, GError **error)
{
  KpFileInfo after;

  if (!kp_content_stat (upload->fd, &after, error))
    return NULL;
  if (!kp_file_info_same_content (&upload->info, &after))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING, "");
      return NULL;
    }
  upload->sent_hashes[i]
      = kp_s3_sha256_hex (g_bytes_get_data (body, NULL), g_bytes_get_size (body));
  return kp_s3_client_upload_part (client, upload->task->change.local.key, upload->upload_id, i + 1,
                                   body, upload->sent_hashes[i],
                                   upload->task->transfer->mirror->cancellable, error);
}

/* Sends a part of a file whose chunks are found on the way, one after the other: which part it is
 * turns out when there is memory for one. */
static char *
send_next_part (KpUpload *upload, KpS3Client *client, unsigned *i, GError **error)
{
  KpTransfer *transfer = upload->task->transfer;
  /* The first is as large as any. */
  guint64 held = get_part (upload, 0)->length;
  char *etag = NULL;

  if (!kp_budget_take (transfer->budget, held, transfer->mirror->cancellable, error))
    return NULL;
  *i = kp_part_chunks_begin (upload->part_chunks);
  const KpPart *part = get_part (upload, *i);
  g_autoptr (GBytes) body = kp_content_read (upload->fd, part->offset, part->length, error);
  kp_part_chunks_add (upload->part_chunks, *i, body != NULL ? g_bytes_get_data (body, NULL) : NULL,
                      part->length, transfer->mirror->cancellable);
  if (body != NULL)
    etag = send_bytes (upload, client, *i, body, error);
  g_clear_pointer (&body, g_bytes_unref);
  kp_budget_give_back (transfer->budget, held);
  return etag;
}

static char *
send_part (KpUpload *upload, KpS3Client *client, unsigned i, GError **error)
{
  KpTransfer *transfer = upload->task->transfer;
  const KpPart *part = get_part (upload, i);
  guint64 held = part->length;
  guint first = 0;
  guint end = 0;
  char *etag = NULL;

  if (upload->has_known_chunks)
    {
      find_touched (upload->chunks, part, &first, &end);
      const KpChunk *last = &g_array_index (upload->chunks, KpChunk, end - 1);
      held = last->offset + last->length - g_array_index (upload->chunks, KpChunk, first).offset;
    }
  if (!kp_budget_take (transfer->budget, held, transfer->mirror->cancellable, error))
    return NULL;
  g_autoptr (GBytes) body = upload->has_known_chunks
                                ? read_proved (upload, part, first, end, error)
                                : kp_content_read (upload->fd, part->offset, part->length, error);
  if (body != NULL)
    etag = send_bytes (upload, client, i, body, error);
  g_clear_pointer (&body, g_bytes_unref);
  kp_budget_give_back (transfer->budget, held);
  return etag;
}

static char *
copy_part (KpUpload *upload, KpS3Client *client, unsigned i, GError **error)
{
  const KpPart *part = get_part (upload, i);
  const KpLayoutSource *source = g_ptr_array_index (upload->layout->sources, (guint) part->source);
  g_autoptr (GError) local_error = NULL;
  char *etag
      = kp_s3_client_copy_part (client, source->key, source->etag, part->source_offset,
                                part->length, upload->task->change.local.key, upload->upload_id,
                                i + 1, upload->task->transfer->mirror->cancellable, &local_error);

  if (kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)
      || kp_error_is (local_error, KP_ERROR_SERVER) || kp_error_is (local_error, KP_ERROR_REFUSED)
      || kp_error_is (local_error, KP_ERROR_ACCESS_DENIED))
    {
      g_mutex_lock (&upload->lock);
      upload->copy_refused = TRUE;
      g_mutex_unlock (&upload->lock);
    }
  /* Not found: the source, or the upload. */
  if (etag == NULL
      && (!kp_error_is (local_error, KP_ERROR_NOT_FOUND)
          || kp_task_check_object (upload->task, client, source->key, source->etag, error)))
    g_propagate_error (error, g_steal_pointer (&local_error));
  return etag;
}

/**
 * kp_upload_do_part:
 * @task: of the kind %KP_TASK_PART; owned
 */
void
kp_upload_do_part (KpTask *task, KpS3Client *client)
{
  KpUpload *upload = task->upload;
  unsigned i = task->part;
  g_autoptr (GError) error = NULL;
  char *etag = NULL;

  kp_task_free (task);
  if (!is_given_up (upload))
    etag = upload->part_chunks != NULL        ? send_next_part (upload, client, &i, &error)
           : get_part (upload, i)->source < 0 ? send_part (upload, client, i, &error)
                                              : copy_part (upload, client, i, &error);
  if (etag != NULL)
    {
      const KpPart *part = get_part (upload, i);
      record (upload, KP_TASK_PART_DONE, i, etag);
      g_mutex_lock (&upload->lock);
      upload->etags[i] = etag;
      if (part->source < 0)
        {
          upload->sent += part->length;
          count_bytes (upload, part->length);
        }
      g_mutex_unlock (&upload->lock);
    }
  end_task (upload, client, error);
}

/* The hashes of the parts of what is read from the first byte to the last. */
typedef struct
{
  KpUpload *upload;
  char **hashes;
  unsigned part;
  guint64 left; /* of the part */
  EVP_MD_CTX *digest;
} PartHashes;

static void
hash_parts_cb (const guint8 *bytes, gsize length, void *user_data)
{
  PartHashes *parts = user_data;

  while (length > 0)
    {
      gsize n = (gsize) MIN (length, parts->left);
      EVP_DigestUpdate (parts->digest, bytes, n);
      bytes += n;
      length -= n;
      parts->left -= n;
      if (parts->left > 0)
        continue;
      guint8 hash[EVP_MAX_MD_SIZE];
      EVP_DigestFinal_ex (parts->digest, hash, NULL);
      parts->hashes[parts->part++] = kp_content_to_hex (hash, KP_CHUNK_HASH_SIZE);
      if (parts->part < n_parts (parts->upload))
        parts->left = get_part (parts->upload, parts->part)->length;
      if (!EVP_DigestInit_ex (parts->digest, EVP_sha256 (), NULL))
        g_error ("libcrypto has no SHA-256");
    }
}

/**
 * kp_upload_do_chunks:
 * @task: of the kind %KP_TASK_CHUNKS; owned
 *
 * Reads the file for its chunks, where they could not be found in the parts that are sent. What is
 * found counts only when the file did not change until the upload's end, and when the bytes were
 * those that were sent.
 */
void
kp_upload_do_chunks (KpTask *task, KpS3Client *client)
{
  KpUpload *upload = task->upload;
  g_autoptr (GError) error = NULL;
  GArray *chunks = NULL;

  kp_task_free (task);
  PartHashes parts = { .upload = upload,
                       .hashes = g_new0 (char *, n_parts (upload)),
                       .left = get_part (upload, 0)->length,
                       .digest = EVP_MD_CTX_new () };
  if (!EVP_DigestInit_ex (parts.digest, EVP_sha256 (), NULL))
    g_error ("libcrypto has no SHA-256");
  if (!is_given_up (upload))
    chunks = kp_content_chunks (upload->fd, upload->info.size, hash_parts_cb, &parts,
                                upload->task->transfer->mirror->cancellable, &error);
  EVP_MD_CTX_free (parts.digest);
  g_mutex_lock (&upload->lock);
  upload->chunks = chunks;
  upload->read_hashes = parts.hashes;
  g_mutex_unlock (&upload->lock);
  end_task (upload, client, error);
}

/* Whether the server has what it should under this part's number: the ETag that it gave before, or
 * the MD5 of the bytes, for a part that was confirmed after the last record. */
static gboolean
has_part (KpUpload *upload, const KpS3Part *listed)
{
  KpTask *task = upload->task;
  const char *recorded
      = g_hash_table_lookup (task->earlier_parts, GUINT_TO_POINTER (listed->number - 1));
  const KpPart *part = get_part (upload, listed->number - 1);

  if (listed->size != part->length)
    return FALSE;
  if (recorded != NULL)
    return g_str_equal (recorded, listed->etag);
  if (part->source >= 0)
    return FALSE;
  g_autoptr (GBytes) bytes = kp_content_read (upload->fd, part->offset, part->length, NULL);
  g_autofree char *md5 = bytes != NULL ? kp_content_md5 (bytes) : NULL;
  return g_strcmp0 (md5, listed->etag) == 0;
}

static gboolean
is_same_file (const KpFileInfo *a, const KpFileInfo *b)
{
  return a->size == b->size && a->mtime == b->mtime && a->ctime == b->ctime && a->ino == b->ino;
}

/* Where an earlier job was sending the whole of this very file, and what is left of that is not
 * more than what a new plan would send, the old plan stays. */
static void
choose_layout (KpUpload *upload)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;

  if (task->earlier == NULL || upload->attempt > 1
      || !is_same_file (&task->earlier->info, &upload->info))
    return;
  g_autoptr (KpLayout) whole = kp_layout_new_whole (upload->info.size, transfer->provider);
  g_autofree char *of_whole = fingerprint (task, whole);
  guint64 left = 0;

  if (!g_str_equal (task->earlier->layout, of_whole) || !kp_layout_has_copies (upload->layout))
    return;
  for (unsigned i = 0; i < whole->parts->len; i++)
    if (!g_hash_table_contains (task->earlier_parts, GUINT_TO_POINTER (i)))
      left += g_array_index (whole->parts, KpPart, i).length;
  if (left > upload->layout->to_send)
    return;
  kp_report_add_total (transfer->mirror->report, 0,
                       (gint64) (upload->layout->size - upload->layout->to_send));
  kp_layout_free (upload->layout);
  upload->layout = g_steal_pointer (&whole);
  task->carried_out = KP_ACTION_PUT;
}

/* Ends an upload of an earlier job that is of no use any more. Where it cannot be ended, the file
 * is more important. */
static void
give_earlier_up (KpUpload *upload, KpS3Client *client)
{
  KpTask *task = upload->task;
  KpMirror *mirror = task->transfer->mirror;
  g_autoptr (GError) error = NULL;

  if (kp_s3_client_abort_upload (client, task->change.local.key, task->earlier->upload_id,
                                 mirror->cancellable, &error))
    record (upload, KP_TASK_UPLOAD_GONE, 0, NULL);
  else
    kp_stale_report_left (mirror, task->change.local.key, error);
}

/* Whether the next job may be told of the parts: this one stops, or the server is not well. Any
 * other answer, as that the key may not list them, would be the same each time and block the file.
 */
static gboolean
may_be_listed_later (const GError *error)
{
  return kp_error_is (error, KP_ERROR_SERVER)
         || (kp_error_stops_job (error) && !kp_error_is (error, KP_ERROR_ACCESS_DENIED));
}

/* Goes on with an upload of an earlier job, where file and plan are still the same and the server
 * says which parts it has. Returns FALSE with an error when the next job may go on with it. */
static gboolean
continue_earlier (KpUpload *upload, KpS3Client *client, GError **error)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;
  const KpUploadRow *earlier = task->earlier;
  g_autofree char *present = fingerprint (task, upload->layout);
  g_autoptr (GError) local_error = NULL;

  if (!is_same_file (&earlier->info, &upload->info) || !g_str_equal (earlier->layout, present))
    {
      give_earlier_up (upload, client);
      return TRUE;
    }

  g_autoptr (GPtrArray) parts
      = kp_s3_client_list_parts (client, task->change.local.key, earlier->upload_id,
                                 transfer->mirror->cancellable, &local_error);
  if (parts == NULL)
    {
      upload->earlier_waits = may_be_listed_later (local_error);
      if (upload->earlier_waits)
        g_propagate_error (error, g_steal_pointer (&local_error));
      else if (!kp_error_is (local_error, KP_ERROR_NOT_FOUND))
        give_earlier_up (upload, client);
      return !upload->earlier_waits;
    }
  upload->upload_id = g_strdup (earlier->upload_id);
  for (guint i = 0; i < parts->len; i++)
    {
      const KpS3Part *part = g_ptr_array_index (parts, i);
      if (part->number < 1 || part->number > n_parts (upload) || !has_part (upload, part))
        continue;
      upload->etags[part->number - 1] = g_strdup (part->etag);
      if (get_part (upload, part->number - 1)->source < 0)
        count_bytes (upload, part->size);
    }
  return TRUE;
}

/* Takes over what was found when comparing, as far as it is still true. */
static void
take_plan (KpUpload *upload)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;

  /* It is only true for the file that was compared. */
  if (!kp_file_info_same_content (&upload->info, &task->change.local.info))
    {
      g_clear_pointer (&task->layout, kp_layout_free);
      g_clear_pointer (&task->chunks, g_array_unref);
    }
  if (g_atomic_int_get (&transfer->no_part_copy) && task->layout != NULL
      && kp_layout_has_copies (task->layout))
    {
      kp_report_add_total (transfer->mirror->report, 0,
                           (gint64) (task->layout->size - task->layout->to_send));
      g_clear_pointer (&task->layout, kp_layout_free);
    }
  upload->layout = g_steal_pointer (&task->layout);
  if (upload->layout == NULL)
    {
      upload->layout = kp_layout_new_whole (upload->info.size, transfer->provider);
      task->carried_out = KP_ACTION_PUT;
      task->only_names = FALSE;
    }
  choose_layout (upload);
  upload->chunks = g_steal_pointer (&task->chunks);
  upload->has_known_chunks = upload->chunks != NULL && upload->chunks->len > 0;
  upload->etags = g_new0 (char *, n_parts (upload));
  upload->sent_hashes = g_new0 (char *, n_parts (upload));
}

/* Begins an upload at the server. That this is going to happen is recorded before, and its id
 * before any part is sent: so a job that is killed leaves nothing behind that the next one cannot
 * find. */
static gboolean
create (KpUpload *upload, KpS3Client *client, GError **error)
{
  KpTask *task = upload->task;
  KpTransfer *transfer = task->transfer;
  g_autoptr (GError) local_error = NULL;
  gint64 began = kp_s3_service_get_now (transfer->mirror->service);

  if (!kp_task_finish_and_wait (new_record (upload, KP_TASK_BEGINNING, 0, NULL), error))
    return FALSE;
  upload->upload_id = kp_s3_client_create_upload (client, task->change.local.key, upload->headers,
                                                  transfer->mirror->cancellable, &local_error);
  if (upload->upload_id != NULL)
    {
      if (!kp_task_finish_and_wait (new_record (upload, KP_TASK_UPLOAD_BEGUN, 0, NULL), error))
        return FALSE;
      kp_stale_end_twins (transfer->mirror, client, task->change.local.key, upload->upload_id,
                          kp_s3_client_get_attempts (client) - 1, began);
      return TRUE;
    }
  /* A server that says no has begun nothing. An earlier upload that could not be ended stays on
   * record. */
  if (local_error->domain == KP_ERROR && !kp_error_is (local_error, KP_ERROR_SERVER)
      && !kp_error_is (local_error, KP_ERROR_OFFLINE))
    record (upload, KP_TASK_NOT_BEGUN, 0, NULL);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
prepare (KpUpload *upload, KpS3Client *client, GError **error)
{
  KpTask *task = upload->task;

  if (!kp_task_open_file (task, &upload->fd, &upload->info, error))
    return FALSE;
  upload->headers = kp_task_make_headers (task, upload->fd, &upload->info, error);
  if (upload->headers == NULL)
    return FALSE;
  take_plan (upload);
  if (task->earlier != NULL && upload->attempt == 1 && !continue_earlier (upload, client, error))
    return FALSE;
  return upload->upload_id != NULL
         || (check_sources (upload, client, error) && create (upload, client, error));
}

/**
 * kp_upload_begin:
 * @task: an action whose file is large; its part number counts the attempts before
 *
 * Begins the upload, or goes on with an earlier one, and hands its parts to the pool.
 */
void
kp_upload_begin (KpTask *task, KpS3Client *client)
{
  KpTransfer *transfer = task->transfer;
  KpUpload *upload = g_new0 (KpUpload, 1);
  g_autoptr (GPtrArray) todo = g_ptr_array_new ();

  upload->task = task;
  upload->fd = -1;
  upload->attempt = task->part + 1;
  g_mutex_init (&upload->lock);
  if (!prepare (upload, client, &upload->error))
    {
      if (!upload->earlier_waits && upload->layout != NULL && kp_layout_has_copies (upload->layout)
          && cannot_copy (upload->error))
        {
          fail (upload, client);
          return;
        }
      task->error = g_steal_pointer (&upload->error);
      kp_report_add_bytes (transfer->mirror->report, -(gint64) upload->counted);
      finish (upload);
      return;
    }

  for (unsigned i = 0; i < n_parts (upload); i++)
    if (upload->etags[i] == NULL)
      {
        KpTask *part = kp_task_new (transfer, KP_TASK_PART);
        part->upload = upload;
        part->part = i;
        g_ptr_array_add (todo, part);
      }
  /* Those of a mere copy are known from what it is copied from. */
  if (upload->chunks == NULL && upload->layout->to_send > 0)
    {
      if (todo->len == n_parts (upload) && !kp_layout_has_copies (upload->layout))
        upload->part_chunks = kp_part_chunks_new (n_parts (upload));
      else
        g_ptr_array_add (todo, new_chunks_task (upload));
    }
  if (todo->len == 0)
    {
      end (upload, client);
      return;
    }
  upload->left = todo->len;
  kp_pool_push_all_first (transfer->pool, todo);
}

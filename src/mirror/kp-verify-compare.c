/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* One object of a verification: compared with the file, byte for byte, and where that is another by
 * now, or gone, with what was recorded when it was stored: the SHA-256 of the whole, or of its
 * chunks. Only what was read and found equal counts as proved. */

#include "kp-verify-private.h"

#include "kp-compare.h"
#include "kp-content.h"
#include "kp-error.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#define RANGE_SIZE KP_PART_SIZE

typedef EVP_MD_CTX Digest;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Digest, EVP_MD_CTX_free)

typedef enum
{
  ANSWER_NONE, /* there is nothing to compare with */
  ANSWER_SAME,
  ANSWER_DIFFERENT,
} Answer;

/* What a comparison goes by. */
typedef struct
{
  KpVerifyTask *task;
  KpS3Client *client;
  KpS3Object *object; /* as it is now */
  KpFileInfo stored;  /* what its headers say */
  gboolean unchanged; /* size and time of the file are those that were recorded */
  GError *file_error; /* why the file is nothing to compare with */
} Comparison;

static GBytes *
read_object (Comparison *comparison, guint64 offset, guint64 length, GError **error)
{
  KpVerifyTask *task = comparison->task;
  GBytes *bytes
      = kp_s3_client_get (comparison->client, task->candidate.row.local.key, NULL, offset, length,
                          comparison->object->etag, NULL, task->verify->cancellable, error);

  if (bytes != NULL)
    {
      task->bytes += g_bytes_get_size (bytes);
      kp_report_add_bytes (task->verify->report, (gint64) g_bytes_get_size (bytes));
    }
  return bytes;
}

static gboolean
has_file (const KpVerifyTask *task)
{
  return task->candidate.row.local.path != NULL;
}

/* --- with the file -------------------------------------------------------------------------- */

static gboolean
compare_range (Comparison *comparison,
               GBytes *expected,
               guint64 offset,
               gboolean *same,
               GError **error)
{
  g_autoptr (GBytes) stored = read_object (comparison, offset, g_bytes_get_size (expected), error);

  if (stored == NULL)
    return FALSE;
  *same = g_bytes_equal (stored, expected);
  return TRUE;
}

static gboolean
compare_link (Comparison *comparison, gboolean *same, GError **error)
{
  KpVerifyTask *task = comparison->task;
  const KpScanned *local = &task->candidate.row.local;
  char *target = kp_source_read_link (g_ptr_array_index (task->verify->sources, local->source),
                                      local->path, &comparison->file_error);

  if (target == NULL)
    return TRUE;
  g_autoptr (GBytes) bytes = g_bytes_new_take (target, strlen (target));
  if (g_bytes_get_size (bytes) == 0)
    return TRUE;
  return compare_range (comparison, bytes, 0, same, error);
}

/* What concerns the file goes to its own error. */
static gboolean
compare_open_file (Comparison *comparison, int fd, gboolean *same, GError **error)
{
  KpVerifyTask *task = comparison->task;
  const KpFileInfo *info = &task->candidate.row.local.info;
  guint64 end = task->offset + task->length;
  KpFileInfo after;

  for (guint64 offset = task->offset; *same && offset < end; offset += RANGE_SIZE)
    {
      g_autoptr (GBytes) bytes
          = kp_content_read (fd, offset, MIN (RANGE_SIZE, end - offset), &comparison->file_error);
      if (bytes == NULL)
        return TRUE;
      if (!compare_range (comparison, bytes, offset, same, error))
        return FALSE;
    }
  /* A file that changes now differs for a reason, and where it was equal, some of it was another
   * file than the rest. */
  if (kp_content_stat (fd, &after, &comparison->file_error)
      && !kp_file_info_same_content (info, &after))
    g_set_error_literal (&comparison->file_error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                         "The file changed while it was read");
  return TRUE;
}

/* Whether a file is here by now where a link was stored, say: then the bytes alone tell nothing. */
static gboolean
is_of_another_kind (const Comparison *comparison)
{
  const KpComparison *row = &comparison->task->candidate.row;
  guint32 kind = row->local.info.mode & S_IFMT;

  return row->has_known && (row->known.info.mode & S_IFMT) != kind
         && (comparison->stored.mode & S_IFMT) != kind;
}

static gboolean
compare_with_file (Comparison *comparison, Answer *answer, GError **error)
{
  KpVerifyTask *task = comparison->task;
  const KpScanned *local = &task->candidate.row.local;
  gboolean same = TRUE;
  gboolean ok;

  *answer = ANSWER_NONE;
  if (!has_file (task))
    return TRUE;
  if (is_of_another_kind (comparison)
      || comparison->object->size != kp_compare_object_size (&local->info))
    {
      *answer = ANSWER_DIFFERENT;
      return TRUE;
    }
  if (S_ISLNK (local->info.mode))
    ok = compare_link (comparison, &same, error);
  else
    {
      int fd = kp_source_open_file (g_ptr_array_index (task->verify->sources, local->source),
                                    local->path, O_RDONLY);
      if (fd < 0)
        {
          g_set_error_literal (&comparison->file_error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE,
                               "Cannot read the file");
          return TRUE;
        }
      ok = compare_open_file (comparison, fd, &same, error);
      close (fd);
    }
  if (ok && comparison->file_error == NULL)
    *answer = same ? ANSWER_SAME : ANSWER_DIFFERENT;
  return ok;
}

/* --- with what was recorded ----------------------------------------------------------------- */

static gboolean
has_chunks (const KpVerifyTask *task)
{
  return task->chunks != NULL && task->chunks->len > 0;
}

static gboolean
has_record (const KpVerifyTask *task)
{
  return task->candidate.row.has_known
         && (task->candidate.row.known.sha256 != NULL || has_chunks (task));
}

static gboolean
same_sha256 (const guint8 *bytes, gsize length, const guint8 *sha256)
{
  guint8 digest[EVP_MAX_MD_SIZE];

  if (!EVP_Digest (bytes, length, digest, NULL, EVP_sha256 (), NULL))
    g_error ("libcrypto has no SHA-256");
  return memcmp (digest, sha256, KP_CHUNK_HASH_SIZE) == 0;
}

/* Reads as many whole chunks at once as fit into a range. Sets the task's end where the last one
 * ended: a piece of a large object is a little longer then. */
static gboolean
compare_chunks (Comparison *comparison, gboolean *same, GError **error)
{
  KpVerifyTask *task = comparison->task;
  const KpChunk *chunks = (const KpChunk *) (void *) task->chunks->data;
  guint n = task->chunks->len;
  guint64 end = task->offset + task->length;
  guint i = 0;

  while (i < n && chunks[i].offset + chunks[i].length <= task->offset)
    i++;
  while (*same && i < n && chunks[i].offset < end)
    {
      guint64 start = chunks[i].offset;
      guint64 length = 0;
      guint first = i;

      for (; i < n && chunks[i].offset < end && length + chunks[i].length <= RANGE_SIZE; i++)
        length += chunks[i].length;
      g_autoptr (GBytes) bytes = read_object (comparison, start, length, error);
      if (bytes == NULL)
        return FALSE;
      const guint8 *data = g_bytes_get_data (bytes, NULL);
      for (guint j = first; *same && j < i; j++)
        *same = g_bytes_get_size (bytes) == length
                && same_sha256 (data + (chunks[j].offset - start), chunks[j].length,
                                chunks[j].sha256);
      task->length = start + length - task->offset;
    }
  return TRUE;
}

static gboolean
compare_sha256 (Comparison *comparison, gboolean *same, GError **error)
{
  guint64 size = comparison->object->size;
  g_autoptr (Digest) sha256 = EVP_MD_CTX_new ();
  guint8 digest[EVP_MAX_MD_SIZE];

  if (!EVP_DigestInit_ex (sha256, EVP_sha256 (), NULL))
    g_error ("libcrypto has no SHA-256");
  for (guint64 offset = 0; offset < size; offset += RANGE_SIZE)
    {
      g_autoptr (GBytes) bytes
          = read_object (comparison, offset, MIN (RANGE_SIZE, size - offset), error);
      if (bytes == NULL)
        return FALSE;
      EVP_DigestUpdate (sha256, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
    }
  EVP_DigestFinal_ex (sha256, digest, NULL);
  *same = memcmp (digest, g_bytes_get_data (comparison->task->candidate.row.known.sha256, NULL),
                  KP_CHUNK_HASH_SIZE)
          == 0;
  return TRUE;
}

static gboolean
compare_with_record (Comparison *comparison, Answer *answer, GError **error)
{
  KpVerifyTask *task = comparison->task;
  const KpKnown *known = &task->candidate.row.known;
  gboolean is_whole = task->offset == 0 && task->length == task->candidate.row.listed_size;
  gboolean same = TRUE;
  gboolean ok;

  *answer = ANSWER_NONE;
  if (!has_record (task))
    return TRUE;
  if (comparison->object->size != known->info.size)
    {
      *answer = ANSWER_DIFFERENT;
      return TRUE;
    }
  if (has_chunks (task))
    ok = compare_chunks (comparison, &same, error);
  else if (is_whole)
    ok = compare_sha256 (comparison, &same, error);
  else
    return TRUE;
  if (ok)
    *answer = same ? ANSWER_SAME : ANSWER_DIFFERENT;
  return ok;
}

/* --- what it means -------------------------------------------------------------------------- */

static gboolean
same_time (const KpFileInfo *a, const KpFileInfo *b)
{
  return (a->mode & S_IFMT) == (b->mode & S_IFMT) && a->size == b->size && a->mtime == b->mtime;
}

/* Stored after what was recorded, by a job that was cut off before it could say so, or by another
 * computer: with a time of its own. */
static gboolean
is_newer_than_recorded (const Comparison *comparison)
{
  const KpComparison *row = &comparison->task->candidate.row;

  return row->has_known && !comparison->unchanged
         && !g_str_equal (comparison->object->etag, row->known.etag)
         && comparison->stored.mtime != row->known.info.mtime;
}

/* Whether nothing is left that could explain a difference but damage. */
static gboolean
must_be_equal (const Comparison *comparison)
{
  const KpComparison *row = &comparison->task->candidate.row;

  if (row->has_known)
    return comparison->unchanged;
  return comparison->stored.mtime == row->local.info.mtime
         && comparison->object->size == kp_compare_object_size (&row->local.info);
}

static KpVerifyOutcome
judge (const Comparison *comparison, Answer file, Answer record)
{
  const KpComparison *row = &comparison->task->candidate.row;

  if (file == ANSWER_SAME)
    return KP_VERIFY_EQUAL;
  /* A file of the same inode, size and times, down to ctime, was not written by anybody. */
  if (record == ANSWER_SAME)
    return file == ANSWER_DIFFERENT && comparison->unchanged
                   && row->local.info.ctime == row->known.info.ctime
                   && row->local.info.ino == row->known.info.ino
               ? KP_VERIFY_LOCAL
               : KP_VERIFY_AS_STORED;
  if (record == ANSWER_DIFFERENT)
    return is_newer_than_recorded (comparison) ? KP_VERIFY_CHANGED : KP_VERIFY_DAMAGED;
  if (file == ANSWER_DIFFERENT && must_be_equal (comparison))
    return KP_VERIFY_DAMAGED;
  return KP_VERIFY_CHANGED;
}

static gboolean
compare (Comparison *comparison, GError **error)
{
  KpVerifyTask *task = comparison->task;
  Answer file = ANSWER_NONE;
  Answer record = ANSWER_NONE;
  gboolean file_first = !has_record (task) || comparison->unchanged;

  if (!task->candidate.row.has_known
      && comparison->stored.mtime != task->candidate.row.local.info.mtime)
    {
      task->outcome = KP_VERIFY_CHANGED;
      return TRUE;
    }
  if (file_first && !compare_with_file (comparison, &file, error))
    return FALSE;
  if (file != ANSWER_SAME && !compare_with_record (comparison, &record, error))
    return FALSE;
  if (!file_first && record != ANSWER_SAME && !compare_with_file (comparison, &file, error))
    return FALSE;
  task->outcome = judge (comparison, file, record);
  /* Who asks for the files is told of those that cannot be read, too. */
  if (comparison->file_error != NULL
      && (task->verify->options.strict
          || (task->outcome == KP_VERIFY_CHANGED
              && !kp_error_is (comparison->file_error, KP_ERROR_CHANGED_WHILE_READING))))
    {
      g_propagate_error (error, g_steal_pointer (&comparison->file_error));
      return FALSE;
    }
  return TRUE;
}

/* It is another than the one that was listed, and how much of it to read was said of that; and of
 * that one were the pieces that were proved before this one. */
static gboolean
is_replaced (const KpVerifyTask *task, const KpS3Object *object)
{
  const KpComparison *row = &task->candidate.row;

  return object->size != row->listed_size
         || (task->offset > 0 && g_strcmp0 (object->etag, row->listed_etag) != 0);
}

static void
take_replaced (KpVerifyTask *task)
{
  task->outcome = KP_VERIFY_CHANGED;
  if (task->verify->options.strict)
    g_set_error_literal (&task->error, KP_ERROR, KP_ERROR_CONFLICT,
                         "The object changed in the bucket during the verification; verify again");
}

/**
 * kp_verify_compare:
 *
 * Reads one object, or a piece of a large one, and fills in what came of it. Runs in a worker.
 */
void
kp_verify_compare (KpVerifyTask *task, KpS3Client *client)
{
  KpVerify *self = task->verify;
  const KpComparison *row = &task->candidate.row;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, row->local.key, NULL, self->cancellable, &task->error);
  /* Two ranges are in memory at once: the file's and the object's. */
  guint64 held = 2 * MIN (row->listed_size, RANGE_SIZE);

  if (object == NULL)
    {
      if (kp_error_is (task->error, KP_ERROR_NOT_FOUND))
        {
          g_clear_error (&task->error);
          task->outcome = KP_VERIFY_MISSING;
        }
      return;
    }
  task->etag = g_strdup (object->etag);
  if (is_replaced (task, object))
    {
      take_replaced (task);
      return;
    }
  Comparison comparison = { .task = task, .client = client, .object = object };
  kp_metadata_from_object (&comparison.stored, object, row->local.key);
  comparison.unchanged
      = has_file (task) && row->has_known && same_time (&row->local.info, &row->known.info);
  if (!kp_budget_take (self->budget, held, self->cancellable, &task->error))
    return;
  if (!compare (&comparison, &task->error))
    g_assert (task->error != NULL);
  kp_budget_give_back (self->budget, held);
  g_clear_error (&comparison.file_error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-look.h"

#include "kp-content.h"
#include "kp-error.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void
kp_look_free (void *data)
{
  KpLook *look = data;

  kp_comparison_clear (&look->row);
  kp_known_clear (&look->known);
  kp_known_clear (&look->as_stored);
  g_clear_pointer (&look->old_chunks, g_array_unref);
  g_clear_pointer (&look->chunks, g_array_unref);
  g_clear_error (&look->error);
  g_free (look);
}

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
read_hard_link (const KpLook *look, int fd)
{
  return look->row.local.is_linked && fd >= 0 ? kp_metadata_read_hard_link (fd) : NULL;
}

/* Hashes the file; the answer only counts when it is still the one of the scan. */
static gboolean
hash_file (KpLook *look, int fd, gboolean with_etag, KpContentHashes *hashes, GError **error)
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
find_chunks (KpLook *look, int fd, GError **error)
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
look_at_file (KpLook *look, int fd)
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
same_target (KpLook *look, const KpS3Object *object)
{
  KpSource *source = kp_mirror_get_source (look->mirror, look->row.local.source);
  g_autofree char *target = kp_source_read_link (source, look->row.local.path, NULL);
  g_autofree char *md5
      = target != NULL ? g_compute_checksum_for_string (G_CHECKSUM_MD5, target, -1) : NULL;

  return g_strcmp0 (md5, object->etag) == 0;
}

/* Whether the ETag of an object in one piece must be the MD5 of its bytes. */
static gboolean
proves_difference (KpLook *look, const char *etag)
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
has_bytes_of (KpLook *look, int fd, const KpS3Object *object, const KpFileInfo *stored)
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
compare_headers (KpLook *look, int fd, const KpS3Object *object, KpFileInfo *stored)
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
compare_names (KpLook *look)
{
  look->same_metadata
      = look->same_metadata && g_strcmp0 (look->known.hard_link, look->as_stored.hard_link) == 0;
}

/* Compares a file with an object that the catalogue does not know. */
static void
look_at_object (KpLook *look, int fd, const KpS3Object *object)
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
look_at_headers (KpLook *look, int fd, const KpS3Object *object)
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
take_for_ours (KpLook *look)
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
stored_time (const KpLook *look, const KpS3Object *object)
{
  gint64 time
      = MAX (look->row.listed_modified, object != NULL ? object->last_modified : (gint64) 0);

  if (object == NULL && !look->is_unseen && look->row.has_known && look->row.known.stored != 0)
    return look->row.known.stored;
  return time > 0 && time < look->listed_at ? time : 0;
}

/**
 * kp_look_closely:
 *
 * Answers the question of @look. What failed is the look's error, but for what says no more than
 * that the file has to be sent, or left to the transfer. Runs in a worker.
 */
void
kp_look_closely (KpLook *look, KpS3Client *client)
{
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
  look->known.stored = stored_time (look, object);
  /* Listed, but not there: deleted by somebody since. */
  if (kp_error_is (look->error, KP_ERROR_NOT_FOUND)
      /* A key that may write and not read: then the file is sent. */
      || kp_error_is (look->error, KP_ERROR_ACCESS_DENIED)
      || kp_error_is (look->error, KP_ERROR_CHANGED_WHILE_READING)
      || kp_error_is (look->error, KP_ERROR_SOURCE_UNREADABLE))
    g_clear_error (&look->error);
}

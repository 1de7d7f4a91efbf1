/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-content.h"

#include "kp-block.h"
#include "kp-error.h"
#include "kp-size.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define MEBIBYTE (1024 * 1024)

/* Kernel ticks are at most 10 ms. */
#define TICK (20 * G_TIME_SPAN_MILLISECOND)

/* A page stays dirty for so long at most, by what kernels do unless told otherwise
 * (vm.dirty_expire_centisecs, and the interval at which that is looked at), and some more. */
#define DIRTY_TIME (60 * G_TIME_SPAN_SECOND)

/**
 * kp_content_part_size:
 * @size: of the object in bytes
 * @max_parts: how many parts the provider allows
 *
 * Returns: bytes of each part but the last: whole MiB, and as few as @max_parts allows
 */
guint64
kp_content_part_size (guint64 size, unsigned max_parts)
{
  guint64 needed = (size + max_parts - 1) / max_parts;
  guint64 rounded = (needed + MEBIBYTE - 1) / MEBIBYTE * MEBIBYTE;

  return MAX (rounded, KP_PART_SIZE);
}

static gboolean
set_read_error (GError **error)
{
  g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE, "Cannot read: %s", g_strerror (errno));
  return FALSE;
}

gboolean
kp_content_stat (int fd, KpFileInfo *info, GError **error)
{
  struct stat st;

  if (fstat (fd, &st) < 0)
    return set_read_error (error);
  kp_file_info_from_stat (info, &st);
  return TRUE;
}

/**
 * kp_content_read_up_to:
 * @offset: first byte
 * @length: bytes that @buffer has room for
 *
 * Reads until @length bytes are there or the file ends.
 *
 * Returns: how many bytes it got, or -1 with errno set
 */
gssize
kp_content_read_up_to (int fd, guint64 offset, void *buffer, gsize length)
{
  guint8 *bytes = buffer;
  gsize done = 0;

  while (done < length)
    {
      ssize_t n = pread (fd, bytes + done, length - done, (off_t) (offset + done));
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return -1;
      if (n == 0)
        break;
      done += (gsize) n;
    }
  return (gssize) done;
}

/**
 * kp_content_read:
 * @offset: first byte
 * @length: bytes
 * @error: %KP_ERROR_CHANGED_WHILE_READING when the file ends earlier; %KP_ERROR_SOURCE_UNREADABLE;
 *   %KP_ERROR_FAILED when there is not so much memory, as parts of very large files have gigabytes
 */
GBytes *
kp_content_read (int fd, guint64 offset, guint64 length, GError **error)
{
  g_autofree char *buffer = kp_block_try_alloc (MAX (length, 1));

  if (buffer == NULL)
    {
      g_autofree char *size = kp_size_format (length);
      g_set_error (error, KP_ERROR, KP_ERROR_FAILED,
                   "There is not enough memory for %s of the file, which are sent as one part",
                   size);
      return NULL;
    }
  gssize n = kp_content_read_up_to (fd, offset, buffer, length);
  if (n < 0)
    {
      set_read_error (error);
      return NULL;
    }
  if ((guint64) n != length)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                           "The file became shorter while it was read");
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&buffer), length);
}

/* Microseconds. An mtime that is still to come was set by somebody and tells nothing. */
static gint64
last_change (const KpFileInfo *info, gint64 now)
{
  gint64 mtime = info->mtime / 1000;

  return MAX (info->ctime / 1000, mtime <= now ? mtime : G_MININT64);
}

/* A change that comes within so many microseconds of the one before leaves no trace in the times.
 */
static gint64
get_tick (const KpFileInfo *info)
{
  return MAX (TICK, kp_metadata_get_precision (info->ctime) / 1000);
}

/**
 * kp_content_is_settled:
 * @info: what the file was when its bytes had been read
 * @now: the wall clock then, in microseconds
 *
 * Whether its last change lies so far back that another one would show. If not, the next job has to
 * look at the bytes again.
 */
gboolean
kp_content_is_settled (const KpFileInfo *info, gint64 now)
{
  return now - last_change (info, now) > get_tick (info);
}

/**
 * kp_content_wait_settled:
 * @fd: a regular file
 * @info: (out): what the file is now
 * @at: (out) (optional): the wall clock at that moment, in microseconds
 *
 * Waits until a change that comes from now on would show: a few milliseconds, or two seconds where
 * times are that coarse. A file that changes all the time is not settled even then.
 *
 * Stores through a mapping show in the times only when a page becomes dirty, so pages that are
 * dirty already are written out behind the look at the times: from there on each store is seen.
 */
gboolean
kp_content_wait_settled (int fd, KpFileInfo *info, gint64 *at, GError **error)
{
  if (!kp_content_stat (fd, info, error))
    return FALSE;

  gint64 now = g_get_real_time ();
  if (!kp_content_is_settled (info, now))
    {
      g_usleep ((gulong) get_tick (info));
      now = g_get_real_time ();
      if (!kp_content_stat (fd, info, error))
        return FALSE;
    }
  if (now - last_change (info, now) < DIRTY_TIME)
    /* Not every file system can; then nothing is lost but this. */
    (void) sync_file_range (
        fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  if (at != NULL)
    *at = now;
  return TRUE;
}

/**
 * kp_content_chunks:
 * @size: bytes of the file
 * @func: (nullable): gets the very bytes that the chunks are made of
 * @error: as for kp_content_read(), or %G_IO_ERROR_CANCELLED
 *
 * Returns: (transfer full) (element-type KpChunk): the file's chunks in order, with their hashes
 */
GArray *
kp_content_chunks (int fd,
                   guint64 size,
                   KpContentFunc func,
                   void *user_data,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GArray) chunks = g_array_new (FALSE, FALSE, sizeof (KpChunk));
  gsize capacity = 2 * KP_CHUNK_MAX;
  g_autofree guint8 *buffer = kp_block_alloc (capacity);
  gsize filled = 0;    /* bytes in the buffer… */
  gsize start = 0;     /* …from here on not yet cut */
  guint64 read_to = 0; /* how far the file is read */
  guint64 offset = 0;  /* of the next chunk */

  while (offset < size)
    {
      if (filled - start < KP_CHUNK_MAX && read_to < size)
        {
          memmove (buffer, buffer + start, filled - start);
          filled -= start;
          start = 0;
          gsize wanted = (gsize) MIN (capacity - filled, size - read_to);
          gssize n = kp_content_read_up_to (fd, read_to, buffer + filled, wanted);
          if (n < 0)
            {
              set_read_error (error);
              return NULL;
            }
          if ((gsize) n != wanted)
            {
              g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                                   "The file became shorter while it was read");
              return NULL;
            }
          if (func != NULL)
            func (buffer + filled, wanted, user_data);
          filled += wanted;
          read_to += wanted;
        }
      KpChunk chunk = { .offset = offset };
      chunk.length = (guint32) kp_chunker_cut (buffer + start, filled - start);
      if (!EVP_Digest (buffer + start, chunk.length, chunk.sha256, NULL, EVP_sha256 (), NULL))
        g_error ("libcrypto has no SHA-256");
      g_array_append_val (chunks, chunk);
      start += chunk.length;
      offset += chunk.length;
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;
    }
  return g_steal_pointer (&chunks);
}

/**
 * kp_content_to_hex:
 *
 * Returns: (transfer full): @length bytes as small hexadecimal digits
 */
char *
kp_content_to_hex (const guint8 *bytes, gsize length)
{
  GString *text = g_string_sized_new (2 * length);

  for (gsize i = 0; i < length; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  return g_string_free (text, FALSE);
}

/**
 * kp_content_md5:
 *
 * libcrypto is twice as fast as GLib, which stands in for one that has no MD5 by some rule.
 *
 * Returns: (transfer full): the MD5 as servers that use it write an ETag
 */
char *
kp_content_md5 (GBytes *bytes)
{
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned length;
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);

  return EVP_Digest (data != NULL ? data : "", size, digest, &length, EVP_md5 (), NULL)
             ? kp_content_to_hex (digest, length)
             : g_compute_checksum_for_bytes (G_CHECKSUM_MD5, bytes);
}

typedef EVP_MD_CTX Digest;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Digest, EVP_MD_CTX_free)

static void
digest_start (Digest *digest, const EVP_MD *type)
{
  if (!EVP_DigestInit_ex (digest, type, NULL))
    g_error ("libcrypto has no %s", EVP_MD_get0_name (type));
}

/**
 * kp_content_hash:
 * @size: bytes of the file
 * @part_size: where an upload in parts would cut it; files up to %KP_PART_SIZE are not cut
 * @with_etag: whether to make the ETag too, which costs as much again
 * @hashes: (out): filled in
 * @error: as for kp_content_read(), or %G_IO_ERROR_CANCELLED
 */
gboolean
kp_content_hash (int fd,
                 guint64 size,
                 guint64 part_size,
                 gboolean with_etag,
                 KpContentHashes *hashes,
                 GCancellable *cancellable,
                 GError **error)
{
  g_autoptr (Digest) sha256 = EVP_MD_CTX_new ();
  g_autoptr (Digest) md5 = EVP_MD_CTX_new ();
  g_autoptr (Digest) md5_of_parts = EVP_MD_CTX_new ();
  g_autofree char *buffer = g_malloc (READ_SIZE);
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned length;
  guint64 offset = 0;
  guint64 part_end;
  unsigned parts = 0;

  *hashes = (KpContentHashes){ NULL };
  if (size <= KP_PART_SIZE)
    part_size = MAX (size, 1);
  part_end = part_size;
  digest_start (sha256, EVP_sha256 ());
  digest_start (md5, EVP_md5 ());
  digest_start (md5_of_parts, EVP_md5 ());

  while (offset < size)
    {
      gsize wanted = (gsize) MIN (MIN (READ_SIZE, part_end - offset), size - offset);
      gssize n = kp_content_read_up_to (fd, offset, buffer, wanted);

      if (n < 0)
        return set_read_error (error);
      if ((gsize) n != wanted)
        {
          g_set_error_literal (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING,
                               "The file became shorter while it was read");
          return FALSE;
        }
      EVP_DigestUpdate (sha256, buffer, wanted);
      if (with_etag)
        EVP_DigestUpdate (md5, buffer, wanted);
      offset += wanted;
      if (with_etag && (offset == part_end || offset == size))
        {
          EVP_DigestFinal_ex (md5, digest, &length);
          EVP_DigestUpdate (md5_of_parts, digest, length);
          if (offset < size)
            digest_start (md5, EVP_md5 ());
          parts++;
        }
      if (offset == part_end)
        part_end += part_size;
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
    }
  if (with_etag)
    {
      if (size == 0)
        EVP_DigestFinal_ex (md5, digest, &length);
      if (size > KP_PART_SIZE)
        EVP_DigestFinal_ex (md5_of_parts, digest, &length);
      g_autofree char *md5_text = kp_content_to_hex (digest, length);
      hashes->etag = size > KP_PART_SIZE ? g_strdup_printf ("%s-%u", md5_text, parts)
                                         : g_steal_pointer (&md5_text);
    }
  EVP_DigestFinal_ex (sha256, digest, &length);
  hashes->sha256 = g_bytes_new (digest, length);
  return TRUE;
}

void
kp_content_hashes_clear (KpContentHashes *hashes)
{
  g_clear_pointer (&hashes->sha256, g_bytes_unref);
  g_clear_pointer (&hashes->etag, g_free);
}

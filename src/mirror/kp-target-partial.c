/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* A large file is fetched in ranges. Behind its bytes are notes, one byte for each range: whether
 * it is there. A range is noted when its bytes are on the disk, so that what the notes say is true
 * after a power cut, too. Its name says which object the bytes are of. */

static char *
make_partial_name (const char *identity)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, identity, -1);

  return g_strdup_printf (PARTIAL_PREFIX "%.*s", PARTIAL_DIGITS, digest);
}

/* Whether it is of our making, nobody else can have written to it, and it has not been put into its
 * place by another restore. */
static gboolean
is_our_own (int parent_fd, const char *name, int fd, struct stat *st)
{
  struct stat named;

  return fstat (fd, st) == 0 && S_ISREG (st->st_mode) && st->st_uid == geteuid ()
         && st->st_nlink == 1 && (st->st_mode & 077) == 0
         && fstatat (parent_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0
         && named.st_ino == st->st_ino && named.st_dev == st->st_dev;
}

static gboolean
read_notes (KpTargetFile *file, const struct stat *st)
{
  guint64 length = 0;

  if ((guint64) st->st_size != file->size + file->n_ranges)
    return FALSE;
  while (length < file->n_ranges)
    {
      ssize_t n = pread (file->fd, file->done + length, file->n_ranges - length,
                         (off_t) (file->size + length));
      if (n <= 0)
        return FALSE;
      length += (guint64) n;
    }
  return TRUE;
}

/**
 * kp_target_file_create_partial:
 * @info: what it is going to be: a regular file
 * @identity: of the object, and of the cuts between its ranges
 * @n_ranges: in how many ranges it comes
 * @error: as for kp_target_file_create()
 *
 * As kp_target_file_create(), but what was written before somebody stopped it is there again, as
 * far as kp_target_file_has_range() says.
 */
gboolean
kp_target_file_create_partial (KpTargetFile *file,
                               const KpFileInfo *info,
                               const char *identity,
                               guint64 n_ranges,
                               GError **error)
{
  g_autofree char *name = make_partial_name (identity);
  struct stat st;
  int fd = openat (file->parent_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

  /* Another restore may be at it. */
  if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) < 0 || !is_our_own (file->parent_fd, name, fd, &st))
    {
      if (fd >= 0)
        close (fd);
      return kp_target_file_create (file, info, NULL, error);
    }
  file->fd = fd;
  file->temporary_name = g_steal_pointer (&name);
  file->size = info->size;
  file->n_ranges = n_ranges;
  file->done = g_malloc0 (n_ranges);
  return read_notes (file, &st) || kp_target_file_restart (file, file->size, error);
}

/**
 * kp_target_get_partial_size:
 * @path: where the file belongs, relative to @root_fd
 * @identity: as for kp_target_file_create_partial()
 *
 * Returns: bytes on the disk that are there of it
 */
guint64
kp_target_get_partial_size (int root_fd, const char *path, const char *identity)
{
  g_autofree char *name = make_partial_name (identity);
  const char *slash = strrchr (path, '/');
  g_autofree char *partial = slash != NULL
                                 ? g_strdup_printf ("%.*s/%s", (int) (slash - path), path, name)
                                 : g_steal_pointer (&name);
  struct stat st;

  if (fstatat (root_fd, partial, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG (st.st_mode))
    return 0;
  return (guint64) st.st_blocks * 512;
}

/**
 * kp_target_file_has_range:
 * @range: counted from 0
 *
 * Returns: whether the bytes of the range are there from an earlier restore
 */
gboolean
kp_target_file_has_range (KpTargetFile *file, guint64 range)
{
  return file->done != NULL && file->done[range] == 1;
}

/**
 * kp_target_file_mark_range:
 * @range: that was written
 * @error: %KP_ERROR_LOCAL_STORAGE, %KP_ERROR_FAILED
 *
 * Of a file of kp_target_file_create_partial(); of others it does nothing.
 */
gboolean
kp_target_file_mark_range (KpTargetFile *file, guint64 range, GError **error)
{
  static const guint8 is_there = 1;

  if (file->done == NULL)
    return TRUE;
  if (fdatasync (file->fd) < 0
      || pwrite (file->fd, &is_there, 1, (off_t) (file->size + range)) != 1)
    return kp_target_set_error (error, "Cannot write");
  return TRUE;
}

/**
 * kp_target_file_discard:
 *
 * Lets kp_target_file_free() leave nothing behind.
 */
void
kp_target_file_discard (KpTargetFile *file)
{
  g_clear_pointer (&file->done, g_free);
  file->n_ranges = 0;
}

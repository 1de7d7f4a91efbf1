/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target.h"

#include "kp-beneath.h"
#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NANOSECONDS 1000000000

/* Runs of zeros of this size, where they start at a multiple of it, become holes. */
#define HOLE_SIZE 4096

struct _KpTargetFile
{
  int parent_fd; /* O_PATH */
  char *name;
  char *temporary_name; /* NULL until created, and after the rename */
  int fd;               /* of a regular file */
};

static gboolean
set_error (GError **error, const char *what)
{
  int code = errno;

  switch (code)
    {
    case ENOSPC:
    case EDQUOT:
      g_set_error_literal (
          error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
          "The disk of the target folder is full; free some space, and restore again: "
          "what is there already is not fetched twice");
      break;
    case ELOOP:
      g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT, "%s: a symbolic link stands in the way",
                   what);
      break;
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
      g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT,
                   "%s: a file stands where a folder has to be, or a folder where a file", what);
      break;
    default:
      g_set_error (error, KP_ERROR, KP_ERROR_FAILED, "%s: %s", what, g_strerror (code));
      break;
    }
  return FALSE;
}

/**
 * kp_target_file_new:
 * @root_fd: the target folder
 * @path: where the file belongs, relative to it; folders on the way are made
 * @error: %KP_ERROR_BAD_NAME for a path that leads elsewhere, %KP_ERROR_CONFLICT when something
 *   stands in the way, %KP_ERROR_LOCAL_STORAGE, %KP_ERROR_FAILED
 */
KpTargetFile *
kp_target_file_new (int root_fd, const char *path, GError **error)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (path, (gsize) (slash - path)) : g_strdup ("");

  if (!kp_beneath_is_safe (path))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME,
                           "The key is no path of a file below the target folder");
      return NULL;
    }
  int parent_fd = kp_beneath_make_directories (root_fd, parent);
  if (parent_fd < 0)
    {
      set_error (error, "Cannot make the folder");
      return NULL;
    }

  KpTargetFile *file = g_new0 (KpTargetFile, 1);
  file->parent_fd = parent_fd;
  file->name = g_strdup (slash != NULL ? slash + 1 : path);
  file->fd = -1;
  return file;
}

/**
 * kp_target_file_free:
 *
 * What was not committed leaves nothing behind.
 */
void
kp_target_file_free (KpTargetFile *file)
{
  if (file->fd >= 0)
    close (file->fd);
  if (file->temporary_name != NULL && unlinkat (file->parent_fd, file->temporary_name, 0) < 0)
    g_debug ("Cannot remove %s: %s", file->temporary_name, g_strerror (errno));
  close (file->parent_fd);
  g_free (file->temporary_name);
  g_free (file->name);
  g_free (file);
}

/**
 * kp_target_file_stat:
 * @info: (out): what stands under the file's name now
 * @exists: (out): whether anything does
 */
gboolean
kp_target_file_stat (KpTargetFile *file, KpFileInfo *info, gboolean *exists, GError **error)
{
  struct stat st;

  *exists = fstatat (file->parent_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (!*exists && errno != ENOENT)
    return set_error (error, "Cannot look at what is there");
  if (*exists)
    kp_file_info_from_stat (info, &st);
  return TRUE;
}

static int
create_node (KpTargetFile *file, const char *name, const KpFileInfo *info, GBytes *link_target)
{
  if (S_ISREG (info->mode))
    {
      file->fd = openat (file->parent_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                         0600);
      return file->fd < 0 ? -1 : 0;
    }
  if (S_ISLNK (info->mode))
    {
      gsize length;
      const char *data = g_bytes_get_data (link_target, &length);
      g_autofree char *text = g_strndup (data != NULL ? data : "", length);
      return symlinkat (text, file->parent_fd, name);
    }
  return mknodat (file->parent_fd, name, (info->mode & S_IFMT) | 0600, info->rdev);
}

/**
 * kp_target_file_create:
 * @info: what it is going to be; a regular file gets its full length at once
 * @link_target: (nullable): of a symbolic link
 * @error: as for kp_target_file_new()
 */
gboolean
kp_target_file_create (KpTargetFile *file,
                       const KpFileInfo *info,
                       GBytes *link_target,
                       GError **error)
{
  for (int i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf (".keepsake-%08x", g_random_int ());

      if (create_node (file, name, info, link_target) == 0)
        {
          file->temporary_name = g_steal_pointer (&name);
          if (file->fd >= 0 && ftruncate (file->fd, (off_t) info->size) < 0)
            return set_error (error, "Cannot write");
          return TRUE;
        }
      if (errno != EEXIST)
        break;
    }
  return set_error (error, S_ISCHR (info->mode) || S_ISBLK (info->mode)
                               ? "Cannot make the device node, which only root may"
                               : "Cannot create");
}

static gboolean
is_zero (const char *data, gsize length)
{
  return length > 0 && data[0] == 0 && memcmp (data, data + 1, length - 1) == 0;
}

static gboolean
write_fully (int fd, const char *data, gsize length, guint64 offset)
{
  while (length > 0)
    {
      ssize_t n = pwrite (fd, data, length, (off_t) offset);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      data += n;
      length -= (gsize) n;
      offset += (guint64) n;
    }
  return TRUE;
}

/**
 * kp_target_file_write:
 * @offset: where in the file; several threads may write different places
 * @error: %KP_ERROR_LOCAL_STORAGE, %KP_ERROR_FAILED
 */
gboolean
kp_target_file_write (KpTargetFile *file, guint64 offset, GBytes *bytes, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length);
  gsize start = 0;

  /* The file is all hole; only what is not zero has to be written. */
  while (start < length)
    {
      gsize end = start;
      while (end < length && !is_zero (data + end, MIN (HOLE_SIZE, length - end)))
        end += MIN (HOLE_SIZE, length - end);
      if (end > start && !write_fully (file->fd, data + start, end - start, offset + start))
        return set_error (error, "Cannot write");
      start = end;
      while (start < length && is_zero (data + start, MIN (HOLE_SIZE, length - start)))
        start += MIN (HOLE_SIZE, length - start);
    }
  return TRUE;
}

static void
to_timespec (gint64 nanoseconds, struct timespec *time)
{
  time->tv_sec = (time_t) (nanoseconds / NANOSECONDS);
  time->tv_nsec = (long) (nanoseconds % NANOSECONDS);
  if (time->tv_nsec < 0)
    {
      time->tv_nsec += NANOSECONDS;
      time->tv_sec--;
    }
}

static gboolean
set_xattrs (int fd, GPtrArray *xattrs, GError **error)
{
  for (guint i = 0; xattrs != NULL && i < xattrs->len; i++)
    {
      const KpXattr *xattr = g_ptr_array_index (xattrs, i);
      gsize size;
      const void *value = g_bytes_get_data (xattr->value, &size);
      if (fsetxattr (fd, xattr->name, value != NULL ? value : "", size, 0) < 0)
        return set_error (error, "The contents are there, but an extended attribute cannot be set");
    }
  return TRUE;
}

/* Owner first, as that clears setuid; then mode; times last, as all else changes them. Only root
 * can give files away: others get what they restore. */
static gboolean
set_metadata (int directory_fd, const char *name, int fd, const KpFileInfo *info, GError **error)
{
  struct timespec times[2];

  if (geteuid () == 0
      && fchownat (directory_fd, name, (uid_t) info->uid, (gid_t) info->gid, AT_SYMLINK_NOFOLLOW)
             < 0)
    return set_error (error, "The contents are there, but the owner cannot be set");
  if (!S_ISLNK (info->mode)
      && (fd >= 0 ? fchmod (fd, info->mode & 07777)
                  : fchmodat (directory_fd, name, info->mode & 07777, 0))
             < 0)
    return set_error (error, "The contents are there, but the mode cannot be set");
  to_timespec (info->atime, &times[0]);
  to_timespec (info->mtime, &times[1]);
  if (utimensat (directory_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
    return set_error (error, "The contents are there, but the times cannot be set");
  return TRUE;
}

/**
 * kp_target_file_commit:
 * @info: the metadata to give it
 * @xattrs: (nullable) (element-type KpXattr): for a regular file
 * @error: as for kp_target_file_new()
 *
 * Makes the bytes durable and puts the file under its name, in place of what stands there.
 */
gboolean
kp_target_file_commit (KpTargetFile *file,
                       const KpFileInfo *info,
                       GPtrArray *xattrs,
                       GError **error)
{
  if (file->fd >= 0 && !set_xattrs (file->fd, xattrs, error))
    return FALSE;
  if (!set_metadata (file->parent_fd, file->temporary_name, file->fd, info, error))
    return FALSE;
  if (file->fd >= 0 && fsync (file->fd) < 0)
    return set_error (error, "Cannot write");
  if (renameat (file->parent_fd, file->temporary_name, file->parent_fd, file->name) < 0)
    return set_error (error, "Cannot put the file in its place");
  g_clear_pointer (&file->temporary_name, g_free);
  if (file->fd >= 0)
    {
      int fd = file->fd;
      file->fd = -1;
      if (close (fd) < 0)
        return set_error (error, "Cannot write");
    }
  return TRUE;
}

/**
 * kp_target_set_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 *
 * Gives a folder its metadata, when all that lies in it is there.
 */
gboolean
kp_target_set_directory (int root_fd,
                         const char *path,
                         const KpFileInfo *info,
                         GPtrArray *xattrs,
                         GError **error)
{
  int fd = kp_beneath_open (root_fd, path, O_RDONLY | O_DIRECTORY);

  if (fd < 0)
    return set_error (error, "Cannot open the folder");
  gboolean ok = set_xattrs (fd, xattrs, error) && set_metadata (fd, ".", fd, info, error);
  close (fd);
  return ok;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-error.h"
#include "kp-name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What set_metadata() says before all else, as its caller goes on. */
#define CONTENTS_ARE_THERE "The contents are there, but "

gboolean
kp_target_set_error (GError **error, const char *what)
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

static void
to_timespec (gint64 time, struct timespec *timespec)
{
  gint64 seconds;
  gint64 nanoseconds;

  kp_metadata_split_time (time, &seconds, &nanoseconds);
  *timespec = (struct timespec){ .tv_sec = (time_t) seconds, .tv_nsec = (long) nanoseconds };
}

/* The first thing that could not be set is the one that is told; the others are set all the same.
 */
void
kp_target_take_failure (GError **failure, const char *what)
{
  int code = errno;

  if (*failure == NULL)
    *failure = g_error_new (KP_ERROR, KP_ERROR_FAILED, CONTENTS_ARE_THERE "%s cannot be set: %s",
                            what, g_strerror (code));
}

/* The way to what @fd stands for, whatever its name leads to by now. Also when @fd is O_PATH. */
char *
kp_target_magic_link (int fd)
{
  return g_strdup_printf ("/proc/self/fd/%d", fd);
}

int
kp_target_change_mode (int fd, gboolean is_path_only, guint32 mode)
{
  if (!is_path_only)
    return fchmod (fd, mode);
  g_autofree char *path = kp_target_magic_link (fd);
  return chmod (path, mode);
}

static gboolean
has_xattr (int fd, const KpXattr *xattr)
{
  gsize size;
  const void *value = g_bytes_get_data (xattr->value, &size);
  g_autofree char *found = g_malloc (size + 1);
  ssize_t found_size = fgetxattr (fd, xattr->name, found, size + 1);

  return found_size == (ssize_t) size && (size == 0 || memcmp (found, value, size) == 0);
}

/* @fd is no O_PATH. */
gboolean
kp_target_has_xattrs (int fd, GPtrArray *xattrs)
{
  for (guint i = 0; i < xattrs->len; i++)
    if (!has_xattr (fd, g_ptr_array_index (xattrs, i)))
      return FALSE;
  return TRUE;
}

/* @fd is no O_PATH. Those that nobody asked for stay. */
void
kp_target_set_xattrs (int fd, GPtrArray *xattrs, gboolean *changed, GError **failure)
{
  for (guint i = 0; xattrs != NULL && i < xattrs->len; i++)
    {
      const KpXattr *xattr = g_ptr_array_index (xattrs, i);
      gsize size;
      const void *value = g_bytes_get_data (xattr->value, &size);

      if (has_xattr (fd, xattr))
        continue;
      *changed = TRUE;
      if (fsetxattr (fd, xattr->name, value != NULL ? value : "", size, 0) < 0)
        {
          int saved_errno = errno;
          g_autofree char *name = kp_name_display (xattr->name);
          g_autofree char *what = g_strdup_printf ("the extended attribute “%s”", name);
          errno = saved_errno;
          kp_target_take_failure (failure, what);
        }
    }
}

/* As rsync -a: root gives files to their owners, others only to groups of their own, and that they
 * cannot do more is no failure. */
static void
set_owner (int fd, const KpFileInfo *info, struct stat *st, gboolean *changed, GError **failure)
{
  gboolean is_root = geteuid () == 0;
  guint32 uid = is_root && info->uid != st->st_uid ? info->uid : (guint32) -1;
  guint32 gid = info->gid != st->st_gid ? info->gid : (guint32) -1;

  if (uid == (guint32) -1 && gid == (guint32) -1)
    return;
  if (fchownat (fd, "", uid, gid, AT_EMPTY_PATH) == 0)
    *changed = TRUE;
  else if (is_root || (errno != EPERM && errno != EINVAL))
    {
      int saved_errno = errno;
      g_autofree char *what = g_strdup_printf ("the owner (%u:%u)", info->uid, info->gid);
      errno = saved_errno;
      kp_target_take_failure (failure, what);
    }
  if (fstat (fd, st) < 0)
    kp_target_take_failure (failure, "the owner");
}

/* Owner first, as that clears setuid, then the mode. A program that runs as its owner, or its
 * group, must not become one that runs as somebody else. */
void
kp_target_set_owner_and_mode (int fd,
                              gboolean is_path_only,
                              const KpFileInfo *info,
                              gboolean *changed,
                              gboolean *is_ours,
                              GError **failure)
{
  guint32 mode = info->mode & 07777;
  struct stat st;

  if (fstat (fd, &st) < 0)
    {
      kp_target_take_failure (failure, "the owner");
      return;
    }
  set_owner (fd, info, &st, changed, failure);
  *is_ours = geteuid () != 0
             && ((info->uid != (guint32) -1 && info->uid != st.st_uid)
                 || (info->gid != (guint32) -1 && info->gid != st.st_gid));
  if (info->uid != st.st_uid)
    mode &= ~(guint32) S_ISUID;
  if (info->gid != st.st_gid && !S_ISDIR (info->mode))
    mode &= ~(guint32) S_ISGID;
  if (S_ISLNK (info->mode) || (st.st_mode & 07777) == mode)
    return;
  *changed = TRUE;
  if (kp_target_change_mode (fd, is_path_only, mode) < 0)
    kp_target_take_failure (failure, "the mode");
}

void
kp_target_set_times (int fd, gboolean is_path_only, const KpFileInfo *info, GError **failure)
{
  struct timespec times[2];
  struct stat st;
  int result;

  to_timespec (info->atime, &times[0]);
  to_timespec (info->mtime, &times[1]);
  if (is_path_only)
    {
      g_autofree char *path = kp_target_magic_link (fd);
      result = utimensat (AT_FDCWD, path, times, 0);
    }
  else
    result = futimens (fd, times);
  /* Linux sets the nearest time that the file system has, and says nothing. FAT counts in steps of
   * two seconds; a file system that ends in 2038 is further away. */
  if (result == 0 && fstat (fd, &st) == 0 && ABS (st.st_mtim.tv_sec - times[1].tv_sec) > 2)
    {
      result = -1;
      errno = EOVERFLOW;
    }
  if (result < 0)
    kp_target_take_failure (failure, "the time");
}

gboolean
kp_target_pass_on (GError *failure, GError **error)
{
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}

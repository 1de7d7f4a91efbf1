/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* A link or a node under such a name lives for moments; one of this age, in seconds, was left by
 * somebody who was killed. Of a regular file a lock tells. */
#define LEFT_BEHIND (10 * 60)

/* What was fetched of a large file waits so long, in seconds, for a restore that goes on with it.
 */
#define LONG_AGO (7 * 24 * 60 * 60)

static gboolean
is_temporary_name (const char *name)
{
  if (!g_str_has_prefix (name, TEMPORARY_PREFIX))
    return FALSE;
  name += strlen (TEMPORARY_PREFIX);
  return strspn (name, "0123456789abcdef") == 8 && name[8] == '\0';
}

static gboolean
is_partial_name (const char *name)
{
  if (!g_str_has_prefix (name, PARTIAL_PREFIX))
    return FALSE;
  name += strlen (PARTIAL_PREFIX);
  return strspn (name, "0123456789abcdef") == PARTIAL_DIGITS && name[PARTIAL_DIGITS] == '\0';
}

/**
 * kp_target_is_unfinished:
 * @name: of a file, without its folder
 *
 * Whether it is a name that a restore gives to what is not yet whole: nobody's file.
 */
gboolean
kp_target_is_unfinished (const char *name)
{
  return is_temporary_name (name) || is_partial_name (name);
}

/* Whether nobody is writing it any more, nor is going to. */
static gboolean
is_abandoned (int directory_fd, const char *name)
{
  gboolean is_partial = is_partial_name (name);
  struct stat st;

  if (fstatat (directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid ()
      || S_ISDIR (st.st_mode) || (is_partial && st.st_mtim.tv_sec >= time (NULL) - LONG_AGO))
    return FALSE;
  if (S_ISREG (st.st_mode))
    {
      int fd = openat (directory_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
      if (fd < 0)
        return FALSE;
      int result = flock (fd, LOCK_EX | LOCK_NB);
      int code = errno;
      close (fd);
      if (result == 0 || code == EWOULDBLOCK)
        return result == 0;
    }
  return st.st_ctim.tv_sec < time (NULL) - LEFT_BEHIND;
}

/* Removes what a restore that was killed has left. */
static void
sweep (int directory_fd)
{
  int fd = openat (directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd >= 0 ? fdopendir (fd) : NULL;
  const struct dirent *entry;

  if (directory == NULL)
    {
      if (fd >= 0)
        close (fd);
      return;
    }
  while ((entry = readdir (directory)) != NULL)
    if (kp_target_is_unfinished (entry->d_name) && is_abandoned (fd, entry->d_name)
        && unlinkat (fd, entry->d_name, 0) < 0)
      g_debug ("Cannot remove %s: %s", entry->d_name, g_strerror (errno));
  closedir (directory);
}

/**
 * kp_target_enter_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 * @made: (out): whether it was not there, or another restore has made it and did not finish it.
 *   Then it is for us alone, until it gets its mode
 * @mode: (out): the mode that it had, and should get back; 0 when @made
 *
 * Makes a folder ready for what belongs into it, before the first file does; the folder above it
 * comes first. One of our own that is read-only becomes writable for the time being; what a restore
 * that was killed has left in it is removed.
 *
 * Returns: whether there is such a folder. What stands in the way is told by those who need it
 */
gboolean
kp_target_enter_directory (int root_fd, const char *path, gboolean *made, guint32 *mode)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (path, (gsize) (slash - path)) : g_strdup ("");
  struct stat st;

  *made = FALSE;
  *mode = 0;
  if (*path != '\0')
    {
      int parent_fd = kp_beneath_is_safe (path)
                          ? kp_beneath_open (root_fd, parent, O_PATH | O_DIRECTORY)
                          : -1;
      if (parent_fd < 0)
        return FALSE;
      *made = mkdirat (parent_fd, slash != NULL ? slash + 1 : path, KP_TARGET_UNFINISHED_MODE) == 0;
      close (parent_fd);
    }
  int fd = kp_beneath_open (root_fd, path, O_PATH | O_DIRECTORY);
  if (fd < 0)
    return FALSE;
  gboolean ok = fstat (fd, &st) == 0;
  if (ok && !*made)
    {
      *mode = st.st_mode & 07777;
      if (geteuid () != 0 && st.st_uid == geteuid () && (*mode & 0700) != 0700
          && kp_target_change_mode (fd, TRUE, *mode | 0700) < 0)
        g_debug ("Cannot make %s writable: %s", path, g_strerror (errno));
      sweep (fd);
      *made = KP_TARGET_IS_UNFINISHED (*mode);
      *mode = *made ? 0 : *mode;
    }
  close (fd);
  return ok;
}

/* Some network file systems cannot do this to a directory, nor need it. */
static gboolean
sync_directory (int fd, GError **error)
{
  if (fsync (fd) == 0 || errno == EINVAL || errno == ENOTSUP)
    return TRUE;
  return kp_target_set_error (error, "Cannot write the folder");
}

/**
 * kp_target_leave_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 * @mode: permissions to give it
 *
 * Of a folder that no object tells about, when all that lies in it is there.
 */
gboolean
kp_target_leave_directory (int root_fd, const char *path, guint32 mode, GError **error)
{
  GError *failure = NULL;
  struct stat st;
  int fd = kp_beneath_open (root_fd, path, O_RDONLY | O_DIRECTORY);

  if (fd < 0)
    return kp_target_set_error (error, "Cannot open the folder");
  if ((fstat (fd, &st) < 0 || (st.st_mode & 07777) != mode) && fchmod (fd, mode) < 0)
    kp_target_take_failure (&failure, "the mode of the folder");
  gboolean is_durable = sync_directory (fd, failure == NULL ? &failure : NULL);
  close (fd);
  return kp_target_pass_on (failure, error) && is_durable;
}

/**
 * kp_target_stat_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 * @info: (out): what it is
 *
 * Returns: whether there is one
 */
gboolean
kp_target_stat_directory (int root_fd, const char *path, KpFileInfo *info)
{
  struct stat st;
  int fd = kp_beneath_open (root_fd, path, O_PATH | O_DIRECTORY);

  if (fd < 0)
    return FALSE;
  gboolean ok = fstat (fd, &st) == 0;
  close (fd);
  if (ok)
    kp_file_info_from_stat (info, &st);
  return ok;
}

/**
 * kp_target_put_back_times:
 * @path: of a folder below @root_fd; "" for the target itself
 * @info: what it was before something was put into it
 *
 * Of a folder that stays as it is. Where that is forbidden, as of one that belongs to somebody
 * else, it has changed as folders do.
 */
void
kp_target_put_back_times (int root_fd, const char *path, const KpFileInfo *info)
{
  g_autoptr (GError) failure = NULL;
  KpFileInfo now;
  int fd = kp_beneath_open (root_fd, path, O_RDONLY | O_DIRECTORY);

  if (fd < 0)
    return;
  if (kp_target_stat_directory (root_fd, path, &now) && now.mtime != info->mtime)
    kp_target_set_times (fd, FALSE, info, &failure);
  close (fd);
  if (failure != NULL)
    g_debug ("The time of %s cannot be put back: %s", path, failure->message);
}

/**
 * kp_target_set_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 * @is_ours: (out): as for kp_target_file_commit()
 *
 * Gives a folder its metadata, when all that lies in it is there, and makes that durable.
 */
gboolean
kp_target_set_directory (int root_fd,
                         const char *path,
                         const KpFileInfo *info,
                         GPtrArray *xattrs,
                         gboolean *is_ours,
                         GError **error)
{
  GError *failure = NULL;
  gboolean changed;
  int fd = kp_beneath_open (root_fd, path, O_RDONLY | O_DIRECTORY);

  *is_ours = FALSE;
  if (fd < 0)
    return kp_target_set_error (error, "Cannot open the folder");
  kp_target_set_xattrs (fd, xattrs, &changed, &failure);
  kp_target_set_owner_and_mode (fd, FALSE, info, &changed, is_ours, &failure);
  kp_target_set_times (fd, FALSE, info, &failure);
  gboolean is_durable = sync_directory (fd, failure == NULL ? &failure : NULL);
  close (fd);
  return kp_target_pass_on (failure, error) && is_durable;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * kp_beneath_is_safe:
 * @path: a relative path
 *
 * Whether @path has no empty, "." or ".." component and does not start with a slash.
 */
gboolean
kp_beneath_is_safe (const char *path)
{
  for (;;)
    {
      gsize length = strcspn (path, "/");

      if (length == 0 || (length == 1 && path[0] == '.')
          || (length == 2 && path[0] == '.' && path[1] == '.'))
        return FALSE;
      if (path[length] == '\0')
        return TRUE;
      path += length + 1;
    }
}

static int
close_keeping_errno (int fd)
{
  int saved_errno = errno;

  close (fd);
  errno = saved_errno;
  return -1;
}

/* The way that works without openat2(): one component at a time. */
static int
walk (int root_fd, const char *path, int flags, gboolean make)
{
  g_autofree char *name = g_strdup (path);
  int fd = fcntl (root_fd, F_DUPFD_CLOEXEC, 3);

  for (char *component = name; fd >= 0;)
    {
      char *slash = strchr (component, '/');
      if (slash != NULL)
        *slash = '\0';

      /* For us alone, until it is known who else may look into it. */
      if (make && mkdirat (fd, component, 0700) < 0 && errno != EEXIST)
        return close_keeping_errno (fd);
      int next = openat (fd, component,
                         slash != NULL ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
                                       : flags | O_NOFOLLOW | O_CLOEXEC);
      close_keeping_errno (fd);
      if (next < 0 || slash == NULL)
        return next;
      fd = next;
      component = slash + 1;
    }
  return fd;
}

/**
 * kp_beneath_open:
 * @root_fd: a directory
 * @path: a path below it; "" for the directory itself
 * @flags: as for open(); O_CLOEXEC and O_NOFOLLOW are implied
 *
 * Returns: a file descriptor, or -1 with errno set: ELOOP where a symbolic link stands in the way,
 *   EXDEV where @path is not safe
 */
int
kp_beneath_open (int root_fd, const char *path, int flags)
{
  if (*path == '\0')
    return openat (root_fd, ".", flags | O_CLOEXEC);
  if (!kp_beneath_is_safe (path))
    {
      errno = EXDEV;
      return -1;
    }

  struct open_how how = { .flags = (guint64) (flags | O_CLOEXEC | O_NOFOLLOW),
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
  long fd = syscall (SYS_openat2, root_fd, path, &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN))
    return (int) fd;
  /* An old kernel, a sandbox that forbids the call, or a rename on the way. */
  return walk (root_fd, path, flags, FALSE);
}

/**
 * kp_beneath_open_quietly:
 *
 * The same for reading. To back up or to compare a file is not to use it: its time of access stays
 * as it is, where it is ours to say so.
 */
int
kp_beneath_open_quietly (int root_fd, const char *path, int flags)
{
  int fd = kp_beneath_open (root_fd, path, flags | O_NOATIME);

  return fd >= 0 || errno != EPERM ? fd : kp_beneath_open (root_fd, path, flags);
}

/**
 * kp_beneath_make_directories:
 * @path: a path below @root_fd; "" for the directory itself
 *
 * Makes every directory of @path that does not exist, with mode 0700.
 *
 * Returns: a file descriptor of the last one (O_PATH), or -1 with errno set
 */
int
kp_beneath_make_directories (int root_fd, const char *path)
{
  int fd = kp_beneath_open (root_fd, path, O_PATH | O_DIRECTORY);

  if (fd >= 0 || errno != ENOENT)
    return fd;
  return walk (root_fd, path, O_PATH | O_DIRECTORY, TRUE);
}

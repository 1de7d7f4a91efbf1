/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-beneath.h"
#include "kp-content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)

static gboolean
have_same_bytes (int a, int b, GCancellable *cancellable)
{
  g_autofree guint8 *of_a = g_malloc (READ_SIZE);
  g_autofree guint8 *of_b = g_malloc (READ_SIZE);

  for (guint64 offset = 0; !g_cancellable_is_cancelled (cancellable); offset += READ_SIZE)
    {
      gssize n = kp_content_read_up_to (a, offset, of_a, READ_SIZE);
      if (n < 0 || kp_content_read_up_to (b, offset, of_b, READ_SIZE) != n
          || memcmp (of_a, of_b, (gsize) n) != 0)
        return FALSE;
      if (n < READ_SIZE)
        return TRUE;
    }
  return FALSE;
}

static gboolean
have_same_xattrs (int a, int b)
{
  g_autoptr (GPtrArray) of_a = kp_xattrs_read (a, NULL);
  g_autoptr (GPtrArray) of_b = kp_xattrs_read (b, NULL);

  if (of_a == NULL || of_b == NULL)
    return of_a == of_b;
  g_autofree char *text_of_a = kp_xattrs_format (of_a);
  g_autofree char *text_of_b = kp_xattrs_format (of_b);
  return g_strcmp0 (text_of_a, text_of_b) == 0;
}

static gboolean
is_same_time (const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static gboolean
have_same_metadata (const struct stat *a, const struct stat *b)
{
  return a->st_size == b->st_size && a->st_mode == b->st_mode && a->st_uid == b->st_uid
         && a->st_gid == b->st_gid && is_same_time (&a->st_mtim, &b->st_mtim);
}

/* Whether nobody has written to the file since. Its ctime is another when it got a name, or lost
 * one. */
static gboolean
is_unchanged (int fd, const struct stat *before, gboolean with_ctime)
{
  struct stat now;

  return fstat (fd, &now) == 0 && have_same_metadata (&now, before)
         && (!with_ctime || is_same_time (&now.st_ctim, &before->st_ctim));
}

/* Puts the file behind @fd under @name in the place of the one behind @old_fd, or leaves all as it
 * is. The two change their names in one step, and back when the old one turns out to be no longer
 * what was compared. */
static gboolean
exchange (int fd, int parent_fd, const char *name, int old_fd, const struct stat *old)
{
  g_autofree char *path = kp_target_magic_link (fd);
  g_autofree char *temporary = g_strdup_printf (TEMPORARY_PREFIX "%08x", g_random_int ());

  if (linkat (AT_FDCWD, path, parent_fd, temporary, AT_SYMLINK_FOLLOW) < 0)
    return FALSE;
  gboolean ok = renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) == 0;
  struct stat there;
  if (ok
      && (fstatat (parent_fd, temporary, &there, AT_SYMLINK_NOFOLLOW) < 0
          || there.st_ino != old->st_ino || there.st_dev != old->st_dev
          || !is_unchanged (old_fd, old, FALSE)))
    {
      ok = FALSE;
      /* What is under the temporary name is not ours to remove. */
      if (renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) < 0)
        return FALSE;
    }
  if (unlinkat (parent_fd, temporary, 0) < 0)
    g_debug ("Cannot remove %s: %s", temporary, g_strerror (errno));
  return ok;
}

static gboolean
join (int fd, int parent_fd, const char *name, GCancellable *cancellable)
{
  struct stat first;
  struct stat other;
  gboolean ok = FALSE;
  int other_fd = openat (parent_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

  if (other_fd < 0)
    return FALSE;
  if (fstat (fd, &first) == 0 && fstat (other_fd, &other) == 0 && S_ISREG (first.st_mode)
      && first.st_dev == other.st_dev)
    ok = first.st_ino == other.st_ino
         /* One with further names is left alone: they are somebody else's. */
         || (other.st_nlink == 1 && have_same_metadata (&first, &other)
             && have_same_xattrs (fd, other_fd) && have_same_bytes (fd, other_fd, cancellable)
             && is_unchanged (fd, &first, TRUE) && is_unchanged (other_fd, &other, TRUE)
             && exchange (fd, parent_fd, name, other_fd, &other));
  close (other_fd);
  return ok;
}

/**
 * kp_target_join:
 * @root_fd: the target folder
 * @first: the path of a file below it
 * @other: that of another
 *
 * Makes two files one that has two names, if they are equal in bytes, metadata and extended
 * attributes, and @other has no further name. Nothing is lost when it cannot be done, and nothing
 * is changed then.
 *
 * Returns: whether they are one file now
 */
gboolean
kp_target_join (int root_fd, const char *first, const char *other, GCancellable *cancellable)
{
  const char *slash = strrchr (other, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (other, (gsize) (slash - other)) : g_strdup ("");
  int fd = kp_beneath_open (root_fd, first, O_RDONLY | O_NONBLOCK);
  int parent_fd = kp_beneath_open (root_fd, parent, O_PATH | O_DIRECTORY);
  gboolean ok = fd >= 0 && parent_fd >= 0
                && join (fd, parent_fd, slash != NULL ? slash + 1 : other, cancellable);

  if (!ok)
    g_debug ("“%s” stays a file of its own beside “%s”", other, first);
  if (fd >= 0)
    close (fd);
  if (parent_fd >= 0)
    close (parent_fd);
  return ok;
}

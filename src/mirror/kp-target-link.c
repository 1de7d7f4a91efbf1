/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-beneath.h"
#include "kp-content.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)

/* Bytes of an attribute that is compared; of a longer one it is not known whether it is equal. */
#define ATTRIBUTE_MAX 4096

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
have_same_attribute (int a, int b, const char *name)
{
  guint8 of_a[ATTRIBUTE_MAX];
  guint8 of_b[ATTRIBUTE_MAX];
  ssize_t length_of_a = fgetxattr (a, name, of_a, sizeof of_a);
  gboolean none_of_a = length_of_a < 0 && (errno == ENODATA || errno == ENOTSUP);
  ssize_t length_of_b = fgetxattr (b, name, of_b, sizeof of_b);
  gboolean none_of_b = length_of_b < 0 && (errno == ENODATA || errno == ENOTSUP);

  return (none_of_a && none_of_b)
         || (length_of_a >= 0 && length_of_a == length_of_b
             && memcmp (of_a, of_b, (gsize) length_of_a) == 0);
}

/* Those of the backup, and those that say who may do what, which no backup has: a file that was
 * there before may have some. What cannot be read may be anything. */
static gboolean
have_same_xattrs (int a, int b)
{
  g_autoptr (GPtrArray) of_a = kp_xattrs_read (a, NULL);
  g_autoptr (GPtrArray) of_b = kp_xattrs_read (b, NULL);

  if (of_a == NULL || of_b == NULL)
    return FALSE;
  g_autofree char *text_of_a = kp_xattrs_format (of_a);
  g_autofree char *text_of_b = kp_xattrs_format (of_b);
  return g_strcmp0 (text_of_a, text_of_b) == 0
         && have_same_attribute (a, b, "system.posix_acl_access")
         && have_same_attribute (a, b, "security.capability");
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

/* Makes the kernel hold back whoever opens the file for writing, until it is closed here. FALSE
 * when somebody has it open for writing; where the disk cannot tell, that is believed of a file
 * that was there before. */
static gboolean
hold_back_writers (int fd, gboolean is_new, gboolean *held)
{
  /* The signal that says that somebody waits would end us, but for one that is ignored unless
   * somebody asks for it. */
  *held = fcntl (fd, F_SETSIG, SIGURG) == 0 && fcntl (fd, F_SETLEASE, F_RDLCK) == 0;
  return *held || (errno != EAGAIN && is_new);
}

/* Nobody has asked to write meanwhile. */
static gboolean
are_held_back (int fd)
{
  return fcntl (fd, F_GETLEASE) == F_RDLCK;
}

/* Whether what stands under @name is the file behind @fd, and still what was compared. */
static gboolean
is_still (int parent_fd, const char *name, int fd, const struct stat *before)
{
  struct stat there;

  return fstatat (parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0
         && there.st_ino == before->st_ino && there.st_dev == before->st_dev
         && is_unchanged (fd, before, FALSE);
}

/* Gives the file behind @temporary the name of the one behind @old_fd, which loses it, or leaves
 * all as it is. The two change their names in one step, and back when the old one turns out to be
 * no longer what was compared. */
static gboolean
exchange (int parent_fd,
          const char *temporary,
          const char *name,
          int old_fd,
          const struct stat *old,
          gboolean is_new,
          gboolean held)
{
  if (renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) < 0)
    /* Some disks, as those of other computers, cannot do this. Of a file that was written here a
     * moment ago nobody knows yet. */
    return errno == EINVAL && is_new && is_still (parent_fd, name, old_fd, old)
           && renameat (parent_fd, temporary, parent_fd, name) == 0;
  if (is_still (parent_fd, temporary, old_fd, old) && (!held || are_held_back (old_fd)))
    return TRUE;
  if (renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) < 0)
    g_warning ("Cannot put “%s” back under its name, it is “%s” now: %s", name, temporary,
               g_strerror (errno));
  return FALSE;
}

/* Puts the file behind @fd under @name in the place of the one behind @old_fd. */
static gboolean
replace (int fd,
         int parent_fd,
         const char *name,
         int old_fd,
         const struct stat *old,
         gboolean is_new,
         gboolean held)
{
  g_autofree char *path = kp_target_magic_link (fd);
  g_autofree char *temporary = g_strdup_printf (TEMPORARY_PREFIX "%08x", g_random_int ());
  struct stat first;
  struct stat left;

  if (linkat (AT_FDCWD, path, parent_fd, temporary, AT_SYMLINK_FOLLOW) < 0)
    return FALSE;
  gboolean ok = exchange (parent_fd, temporary, name, old_fd, old, is_new, held);
  /* What has the temporary name and is neither of the two is not ours to remove. */
  if (fstatat (parent_fd, temporary, &left, AT_SYMLINK_NOFOLLOW) == 0 && fstat (fd, &first) == 0
      && left.st_dev == first.st_dev
      && (left.st_ino == first.st_ino || (ok && left.st_ino == old->st_ino))
      && unlinkat (parent_fd, temporary, 0) < 0)
    g_debug ("Cannot remove %s: %s", temporary, g_strerror (errno));
  return ok;
}

/* To look at a file is not to use it: its atime is the backup's, where it is ours to say so. */
static int
open_quietly (int root_fd, const char *path)
{
  int fd = kp_beneath_open (root_fd, path, O_RDONLY | O_NONBLOCK | O_NOATIME);

  return fd >= 0 || errno != EPERM ? fd : kp_beneath_open (root_fd, path, O_RDONLY | O_NONBLOCK);
}

static KpJoin
join (int fd,
      int other_fd,
      const char *other,
      int parent_fd,
      gboolean is_new,
      GCancellable *cancellable)
{
  const char *slash = strrchr (other, '/');
  const char *name = slash != NULL ? slash + 1 : other;
  struct stat first;
  struct stat old;
  gboolean held;

  if (fstat (fd, &first) < 0 || fstat (other_fd, &old) < 0 || !S_ISREG (first.st_mode)
      || !S_ISREG (old.st_mode) || first.st_dev != old.st_dev)
    return KP_JOIN_IMPOSSIBLE;
  if (first.st_ino == old.st_ino)
    return KP_JOIN_DONE;
  /* One with further names is left alone: they are somebody else's. */
  if (old.st_nlink > 1 || !hold_back_writers (other_fd, is_new, &held))
    return KP_JOIN_IMPOSSIBLE;
  if (!have_same_metadata (&first, &old) || !have_same_xattrs (fd, other_fd)
      || !have_same_bytes (fd, other_fd, cancellable))
    return KP_JOIN_DIFFERENT;
  return is_unchanged (fd, &first, TRUE) && is_unchanged (other_fd, &old, TRUE)
                 && replace (fd, parent_fd, name, other_fd, &old, is_new, held)
             ? KP_JOIN_DONE
             : KP_JOIN_IMPOSSIBLE;
}

/**
 * kp_target_join:
 * @root_fd: the target folder
 * @first: the path of a file below it
 * @other: that of another
 * @is_new: whether this restore has written @other
 *
 * Makes two files one that has two names, if they are equal in bytes, metadata and extended
 * attributes, @other has no further name, and nobody is writing to it. Nothing is lost when it
 * cannot be done, and nothing is changed then.
 *
 * Returns: what became of it; %KP_JOIN_DONE also when they were one
 */
KpJoin
kp_target_join (int root_fd,
                const char *first,
                const char *other,
                gboolean is_new,
                GCancellable *cancellable)
{
  const char *slash = strrchr (other, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (other, (gsize) (slash - other)) : g_strdup ("");
  int fd = open_quietly (root_fd, first);
  int other_fd = open_quietly (root_fd, other);
  int parent_fd = kp_beneath_open (root_fd, parent, O_PATH | O_DIRECTORY);
  KpJoin result = KP_JOIN_IMPOSSIBLE;

  if (fd >= 0 && other_fd >= 0 && parent_fd >= 0)
    result = join (fd, other_fd, other, parent_fd, is_new, cancellable);
  if (result != KP_JOIN_DONE)
    g_debug ("“%s” stays a file of its own beside “%s”", other, first);
  if (fd >= 0)
    close (fd);
  if (other_fd >= 0)
    close (other_fd);
  if (parent_fd >= 0)
    close (parent_fd);
  return result;
}

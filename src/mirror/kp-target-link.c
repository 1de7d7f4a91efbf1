/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-beneath.h"
#include "kp-content.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)

/* Bytes of an attribute that is compared; of a longer one it is not known whether it is equal. */
#define ATTRIBUTE_MAX 4096

/* One of the two files. */
typedef struct
{
  int fd;
  gboolean is_new;
  gboolean is_held; /* whoever opens it for writing has to wait */
  struct stat st;   /* as it was before it was compared */
} File;

/* Makes the kernel hold back whoever opens the file for writing, until it is closed here. FALSE
 * when somebody has it open for writing; where the disk cannot tell, that is believed of a file
 * that was there before. Those of other computers say the same for both. */
static gboolean
hold_back_writers (File *file)
{
  struct statfs fs;

  /* The signal that says that somebody waits would end us, but for one that is ignored unless
   * somebody asks for it. */
  file->is_held
      = fcntl (file->fd, F_SETSIG, SIGURG) == 0 && fcntl (file->fd, F_SETLEASE, F_RDLCK) == 0;
  if (file->is_held)
    return TRUE;
  gboolean cannot_tell
      = errno != EAGAIN
        || (fstatfs (file->fd, &fs) == 0
            && (fs.f_type == NFS_SUPER_MAGIC || (guint32) fs.f_type == CIFS_SUPER_MAGIC
                || (guint32) fs.f_type == SMB2_SUPER_MAGIC));
  return cannot_tell && file->is_new;
}

/* Nobody has asked to write meanwhile. */
static gboolean
is_quiet (const File *file)
{
  return !file->is_held || fcntl (file->fd, F_GETLEASE) == F_RDLCK;
}

/* Gives up when somebody waits to write to one of them. */
static gboolean
have_same_bytes (const File *a, const File *b, GCancellable *cancellable)
{
  g_autofree guint8 *of_a = g_malloc (READ_SIZE);
  g_autofree guint8 *of_b = g_malloc (READ_SIZE);

  for (guint64 offset = 0;
       !g_cancellable_is_cancelled (cancellable) && is_quiet (a) && is_quiet (b);
       offset += READ_SIZE)
    {
      gssize n = kp_content_read_up_to (a->fd, offset, of_a, READ_SIZE);
      if (n < 0 || kp_content_read_up_to (b->fd, offset, of_b, READ_SIZE) != n
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
is_unchanged (const File *file, gboolean with_ctime)
{
  struct stat now;

  return fstat (file->fd, &now) == 0 && have_same_metadata (&now, &file->st)
         && (!with_ctime || is_same_time (&now.st_ctim, &file->st.st_ctim));
}

/* Whether what stands under @name is still the file that was compared, and so is the other. */
static gboolean
are_still (int parent_fd, const char *name, const File *old, const File *first)
{
  struct stat there;

  return fstatat (parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0
         && there.st_ino == old->st.st_ino && there.st_dev == old->st.st_dev
         && is_unchanged (old, FALSE) && is_quiet (old) && is_unchanged (first, FALSE)
         && is_quiet (first);
}

/* Gives the file behind @temporary, which is @first, the name of @old, which loses it, or leaves
 * all as it is. The two change their names in one step, and back when one of them turns out to be
 * no longer what was compared. */
static gboolean
exchange (int parent_fd,
          const char *temporary,
          const char *name,
          const File *first,
          const File *old)
{
  if (renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) < 0)
    /* Some disks, as those of other computers, cannot do this. Of a file that was written here a
     * moment ago nobody knows yet. */
    return errno == EINVAL && old->is_new && are_still (parent_fd, name, old, first)
           && renameat (parent_fd, temporary, parent_fd, name) == 0;
  if (are_still (parent_fd, temporary, old, first))
    return TRUE;
  if (renameat2 (parent_fd, temporary, parent_fd, name, RENAME_EXCHANGE) < 0)
    g_warning ("Cannot put “%s” back under its name, it is “%s” now: %s", name, temporary,
               g_strerror (errno));
  return FALSE;
}

/* Puts @first under @name in the place of @old. */
static gboolean
replace (int parent_fd, const char *name, const File *first, const File *old)
{
  g_autofree char *path = kp_target_magic_link (first->fd);
  g_autofree char *temporary = g_strdup_printf (TEMPORARY_PREFIX "%08x", g_random_int ());
  struct stat left;

  if (linkat (AT_FDCWD, path, parent_fd, temporary, AT_SYMLINK_FOLLOW) < 0)
    return FALSE;
  gboolean ok = exchange (parent_fd, temporary, name, first, old);
  /* What has the temporary name and is neither of the two is not ours to remove. */
  if (fstatat (parent_fd, temporary, &left, AT_SYMLINK_NOFOLLOW) == 0
      && left.st_dev == first->st.st_dev
      && (left.st_ino == first->st.st_ino || (ok && left.st_ino == old->st.st_ino))
      && unlinkat (parent_fd, temporary, 0) < 0)
    g_debug ("Cannot remove %s: %s", temporary, g_strerror (errno));
  return ok;
}

static KpJoin
join (File *first, File *old, int parent_fd, const KpJoinFile *other, GCancellable *cancellable)
{
  const char *slash = strrchr (other->path, '/');
  const char *name = slash != NULL ? slash + 1 : other->path;

  if (fstat (first->fd, &first->st) < 0 || fstat (old->fd, &old->st) < 0
      || !S_ISREG (first->st.st_mode) || !S_ISREG (old->st.st_mode)
      || first->st.st_dev != old->st.st_dev)
    return KP_JOIN_IMPOSSIBLE;
  if (first->st.st_ino == old->st.st_ino)
    return KP_JOIN_DONE;
  /* Further names that are not ours are somebody else's. */
  if ((old->st.st_nlink > 1 && !other->is_ours_alone) || !hold_back_writers (old))
    return KP_JOIN_IMPOSSIBLE;
  if (!hold_back_writers (first))
    return KP_JOIN_DIFFERENT;
  if (!have_same_metadata (&first->st, &old->st) || !have_same_xattrs (first->fd, old->fd)
      || !have_same_bytes (first, old, cancellable))
    return is_quiet (first) && is_quiet (old) ? KP_JOIN_DIFFERENT : KP_JOIN_IMPOSSIBLE;
  return is_unchanged (first, TRUE) && is_unchanged (old, TRUE)
                 && replace (parent_fd, name, first, old)
             ? KP_JOIN_DONE
             : KP_JOIN_IMPOSSIBLE;
}

/**
 * kp_target_join:
 * @root_fd: the target folder
 * @first: a file below it
 * @other: another
 *
 * Makes two files one that has two names, if they are equal in bytes, metadata and extended
 * attributes, @other has no names that are not ours, and nobody is writing to either. Nothing is
 * lost when it cannot be done, and nothing is changed then.
 *
 * Returns: what became of it; %KP_JOIN_DONE also when they were one
 */
KpJoin
kp_target_join (int root_fd,
                const KpJoinFile *first,
                const KpJoinFile *other,
                GCancellable *cancellable)
{
  const char *slash = strrchr (other->path, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (other->path, (gsize) (slash - other->path)) : g_strdup ("");
  int parent_fd = kp_beneath_open (root_fd, parent, O_PATH | O_DIRECTORY);
  File file
      = { kp_beneath_open_quietly (root_fd, first->path, O_RDONLY | O_NONBLOCK), first->is_new };
  File old
      = { kp_beneath_open_quietly (root_fd, other->path, O_RDONLY | O_NONBLOCK), other->is_new };
  KpJoin result = KP_JOIN_IMPOSSIBLE;

  if (file.fd >= 0 && old.fd >= 0 && parent_fd >= 0)
    result = join (&file, &old, parent_fd, other, cancellable);
  if (result != KP_JOIN_DONE)
    g_debug ("“%s” stays a file of its own beside “%s”", other->path, first->path);
  if (file.fd >= 0)
    close (file.fd);
  if (old.fd >= 0)
    close (old.fd);
  if (parent_fd >= 0)
    close (parent_fd);
  return result;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target.h"

#include "kp-beneath.h"
#include "kp-error.h"
#include "kp-name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Runs of zeros of this size, where they start at a multiple of it, become holes. */
#define HOLE_SIZE 4096

#define READ_SIZE (256 * 1024)

/* Temporary names: this and eight hexadecimal digits. */
#define TEMPORARY_PREFIX ".keepsake-"

/* A link or a node under such a name lives for moments; one of this age, in seconds, was left by
 * somebody who was killed. Of a regular file a lock tells. */
#define LEFT_BEHIND (10 * 60)

/* For kp_target_file_protect(): nothing is as young. */
#define NEVER G_MAXINT64

/* What set_metadata() says before all else, as its caller goes on. */
#define CONTENTS_ARE_THERE "The contents are there, but "

struct _KpTargetFile
{
  int parent_fd; /* O_PATH */
  char *name;
  char *temporary_name; /* NULL for none: before creation, after the rename, or for O_TMPFILE */
  int fd;               /* of a regular file */
  gint64 protected;     /* what was made from this time on is not replaced, in nanoseconds */
};

/* Held while a file gets its name, so that nobody takes the name between the look at it and that.
 */
static GMutex naming;

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
  file->protected = NEVER;
  return file;
}

/**
 * kp_target_file_protect:
 * @since: a time of kp_target_get_time()
 *
 * What stands under the file's name and was made at @since or later is left alone, and in
 * kp_target_file_stat() and kp_target_file_commit() %KP_ERROR_CONFLICT. A restore makes nothing
 * twice; but to a file system that does not tell capitals from small letters two names may be one.
 */
void
kp_target_file_protect (KpTargetFile *file, gint64 since)
{
  file->protected = since;
}

/* When it was made, in nanoseconds since 1970; where the file system does not keep that, when it
 * was changed last, be it its metadata. FALSE where there is nothing. */
static gboolean
get_birth (int parent_fd, const char *name, gint64 *birth)
{
  struct statx stx;

  if (statx (parent_fd, name,
             AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name == '\0' ? AT_EMPTY_PATH : 0),
             STATX_BTIME | STATX_CTIME, &stx)
      < 0)
    return FALSE;
  const struct statx_timestamp *time
      = (stx.stx_mask & STATX_BTIME) != 0 ? &stx.stx_btime : &stx.stx_ctime;
  *birth = time->tv_sec * G_GINT64_CONSTANT (1000000000) + time->tv_nsec;
  return TRUE;
}

static gboolean
check_protected (KpTargetFile *file, GError **error)
{
  gint64 birth;

  if (file->protected == NEVER || !get_birth (file->parent_fd, file->name, &birth)
      || birth < file->protected)
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "Something was put under this name since the restore began. Does the disk "
                       "tell capitals from small letters? If not, restore it into another folder");
  return FALSE;
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
 * @error: %KP_ERROR_CONFLICT as for kp_target_file_protect(); %KP_ERROR_FAILED
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
  return check_protected (file, error);
}

/* A regular file without a name, of which nothing is left when we are killed; it gets its name by
 * linkat(). Fails where the file system, or a system without /proc, cannot do that. */
static gboolean
create_nameless (KpTargetFile *file)
{
  if (access ("/proc/self/fd", X_OK) < 0)
    return FALSE;
  file->fd = openat (file->parent_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  return file->fd >= 0;
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

static char *
make_temporary_name (void)
{
  return g_strdup_printf (TEMPORARY_PREFIX "%08x", g_random_int ());
}

static gboolean
create_named (KpTargetFile *file, const KpFileInfo *info, GBytes *link_target)
{
  for (int i = 0; i < 100; i++)
    {
      g_autofree char *name = make_temporary_name ();

      if (create_node (file, name, info, link_target) == 0)
        {
          file->temporary_name = g_steal_pointer (&name);
          return TRUE;
        }
      if (errno != EEXIST)
        return FALSE;
    }
  return FALSE;
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
  if (!(S_ISREG (info->mode) && create_nameless (file)) && !create_named (file, info, link_target))
    return set_error (error, S_ISCHR (info->mode) || S_ISBLK (info->mode)
                                 ? "Cannot make the device node, which only root may"
                                 : "Cannot create");
  if (file->fd < 0)
    return TRUE;
  /* Tells kp_target_enter_directory() of another process that the file is not abandoned. Where
   * there are no locks, its age does. */
  if (flock (file->fd, LOCK_EX | LOCK_NB) < 0)
    g_debug ("Cannot lock: %s", g_strerror (errno));
  if (ftruncate (file->fd, (off_t) info->size) < 0)
    return set_error (error, "Cannot write");
  return TRUE;
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

/**
 * kp_target_file_restart:
 * @size: bytes
 * @error: as for kp_target_file_write()
 *
 * Forgets what was written: the file is all hole again.
 */
gboolean
kp_target_file_restart (KpTargetFile *file, guint64 size, GError **error)
{
  if (ftruncate (file->fd, 0) < 0 || ftruncate (file->fd, (off_t) size) < 0)
    return set_error (error, "Cannot write");
  return TRUE;
}

/**
 * kp_target_file_md5:
 * @size: bytes
 * @error: %KP_ERROR_FAILED, %G_IO_ERROR_CANCELLED
 *
 * Reads a regular file again that was written in pieces.
 *
 * Returns: (transfer full): the MD5 of its bytes, in hexadecimal
 */
char *
kp_target_file_md5 (KpTargetFile *file, guint64 size, GCancellable *cancellable, GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_MD5);
  g_autofree guchar *buffer = g_malloc (READ_SIZE);

  for (guint64 offset = 0; offset < size;)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;
      ssize_t n = pread (file->fd, buffer, READ_SIZE, (off_t) offset);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          errno = n == 0 ? EIO : errno;
          set_error (error, "Cannot read what was written");
          return NULL;
        }
      g_checksum_update (checksum, buffer, n);
      offset += (guint64) n;
    }
  return g_strdup (g_checksum_get_string (checksum));
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
static void
take_failure (GError **failure, const char *what)
{
  int code = errno;

  if (*failure == NULL)
    *failure = g_error_new (KP_ERROR, KP_ERROR_FAILED, CONTENTS_ARE_THERE "%s cannot be set: %s",
                            what, g_strerror (code));
}

/* The way to what @fd stands for, whatever its name leads to by now. Also when @fd is O_PATH. */
static char *
magic_link (int fd)
{
  return g_strdup_printf ("/proc/self/fd/%d", fd);
}

static int
change_mode (int fd, gboolean is_path_only, guint32 mode)
{
  if (!is_path_only)
    return fchmod (fd, mode);
  g_autofree char *path = magic_link (fd);
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

/* @fd is no O_PATH. Those that nobody asked for stay. */
static void
set_xattrs (int fd, GPtrArray *xattrs, gboolean *changed, GError **failure)
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
          take_failure (failure, what);
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
      take_failure (failure, what);
    }
  if (fstat (fd, st) < 0)
    take_failure (failure, "the owner");
}

/* Owner first, as that clears setuid, then the mode. A program that runs as its owner, or its
 * group, must not become one that runs as somebody else. */
static void
set_owner_and_mode (int fd,
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
      take_failure (failure, "the owner");
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
  if (change_mode (fd, is_path_only, mode) < 0)
    take_failure (failure, "the mode");
}

static void
set_times (int fd, gboolean is_path_only, const KpFileInfo *info, GError **failure)
{
  struct timespec times[2];
  struct stat st;
  int result;

  to_timespec (info->atime, &times[0]);
  to_timespec (info->mtime, &times[1]);
  if (is_path_only)
    {
      g_autofree char *path = magic_link (fd);
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
    take_failure (failure, "the time");
}

/* Opens a link or node that we have just made under a name which others may have taken over since.
 */
static int
open_own_node (KpTargetFile *file, const KpFileInfo *info)
{
  struct stat st;
  int fd = openat (file->parent_fd, file->temporary_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

  if (fd < 0)
    return -1;
  if (fstat (fd, &st) < 0 || (st.st_mode & S_IFMT) != (info->mode & S_IFMT) || st.st_nlink != 1)
    {
      close (fd);
      errno = ESTALE;
      return -1;
    }
  return fd;
}

/* Under its own name at once where nothing has it, else beside it to be renamed: linkat() replaces
 * nothing. */
static gboolean
give_name (KpTargetFile *file)
{
  g_autofree char *path = magic_link (file->fd);

  if (linkat (AT_FDCWD, path, file->parent_fd, file->name, AT_SYMLINK_FOLLOW) == 0)
    return TRUE;
  for (int i = 0; errno == EEXIST && i < 100; i++)
    {
      g_autofree char *name = make_temporary_name ();

      if (linkat (AT_FDCWD, path, file->parent_fd, name, AT_SYMLINK_FOLLOW) == 0)
        {
          file->temporary_name = g_steal_pointer (&name);
          return TRUE;
        }
    }
  return FALSE;
}

static gboolean
take_name (KpTargetFile *file, GError **error)
{
  if (!check_protected (file, error))
    return FALSE;
  if (file->temporary_name == NULL && !give_name (file))
    return set_error (error, "Cannot put the file in its place");
  if (file->temporary_name != NULL
      && renameat (file->parent_fd, file->temporary_name, file->parent_fd, file->name) < 0)
    return set_error (error, "Cannot put the file in its place");
  return TRUE;
}

static gboolean
put_in_place (KpTargetFile *file, GError **error)
{
  if (file->fd >= 0 && fsync (file->fd) < 0)
    return set_error (error, "Cannot write");
  g_mutex_lock (&naming);
  gboolean ok = take_name (file, error);
  g_mutex_unlock (&naming);
  if (!ok)
    return FALSE;
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

static gboolean
pass_on (GError *failure, GError **error)
{
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}

/**
 * kp_target_file_commit:
 * @info: the metadata to give it
 * @xattrs: (nullable) (element-type KpXattr): for a regular file
 * @is_ours: (out): whether it belongs to us, or a group of ours, as only root could have given it
 * to whom it belonged
 * @error: as for kp_target_file_new(); %KP_ERROR_FAILED also when the bytes are in place and some
 * of the metadata is not
 *
 * Makes the bytes durable and puts the file under its name, in place of what stands there. The
 * name itself is durable after kp_target_set_directory() or kp_target_leave_directory().
 */
gboolean
kp_target_file_commit (KpTargetFile *file,
                       const KpFileInfo *info,
                       GPtrArray *xattrs,
                       gboolean *is_ours,
                       GError **error)
{
  GError *failure = NULL;
  gboolean changed;
  int node_fd = file->fd < 0 ? open_own_node (file, info) : -1;
  int fd = file->fd < 0 ? node_fd : file->fd;

  *is_ours = FALSE;
  if (fd < 0)
    return set_error (error, "Cannot create");
  if (file->fd >= 0)
    set_xattrs (fd, xattrs, &changed, &failure);
  set_owner_and_mode (fd, node_fd >= 0, info, &changed, is_ours, &failure);
  /* Last, as all else changes them. */
  set_times (fd, node_fd >= 0, info, &failure);
  if (node_fd >= 0)
    close (node_fd);
  if (!put_in_place (file, error))
    {
      g_clear_error (&failure);
      return FALSE;
    }
  return pass_on (failure, error);
}

/* Reading and writing extended attributes asks for the permissions of the mode, owner or not. */
static int
open_for_xattrs (KpTargetFile *file, int path_fd, const struct stat *st)
{
  if (geteuid () != 0 && (st->st_mode & 0600) != 0600)
    if (change_mode (path_fd, TRUE, (st->st_mode & 07777) | 0600) < 0)
      return -1;
  return openat (file->parent_fd, file->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

/**
 * kp_target_file_correct:
 * @xattrs: (nullable) (element-type KpXattr): attributes that it has to have, among others
 * @changed: (out): whether anything had to be set
 * @is_ours: (out): as for kp_target_file_commit()
 * @error: %KP_ERROR_FAILED
 *
 * Gives the metadata to a file that stands there already with the right bytes and time.
 */
gboolean
kp_target_file_correct (KpTargetFile *file,
                        const KpFileInfo *info,
                        GPtrArray *xattrs,
                        gboolean *changed,
                        gboolean *is_ours,
                        GError **error)
{
  GError *failure = NULL;
  struct stat st;
  int path_fd = openat (file->parent_fd, file->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

  *changed = FALSE;
  *is_ours = FALSE;
  if (path_fd < 0 || fstat (path_fd, &st) < 0)
    take_failure (&failure, "the metadata");
  else if ((st.st_mode & S_IFMT) == (info->mode & S_IFMT))
    {
      if (S_ISREG (st.st_mode) && xattrs != NULL && xattrs->len > 0)
        {
          int fd = open_for_xattrs (file, path_fd, &st);
          if (fd < 0)
            take_failure (&failure, "the extended attributes");
          else
            {
              set_xattrs (fd, xattrs, changed, &failure);
              close (fd);
            }
        }
      set_owner_and_mode (path_fd, TRUE, info, changed, is_ours, &failure);
    }
  if (path_fd >= 0)
    close (path_fd);
  return pass_on (failure, error);
}

static gboolean
is_temporary_name (const char *name)
{
  if (!g_str_has_prefix (name, TEMPORARY_PREFIX))
    return FALSE;
  name += strlen (TEMPORARY_PREFIX);
  return strspn (name, "0123456789abcdef") == 8 && name[8] == '\0';
}

/* Whether nobody is writing it any more. */
static gboolean
is_abandoned (int directory_fd, const char *name)
{
  struct stat st;

  if (fstatat (directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid ()
      || S_ISDIR (st.st_mode))
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
    if (is_temporary_name (entry->d_name) && is_abandoned (fd, entry->d_name)
        && unlinkat (fd, entry->d_name, 0) < 0)
      g_debug ("Cannot remove %s: %s", entry->d_name, g_strerror (errno));
  closedir (directory);
}

/**
 * kp_target_get_time:
 *
 * Returns: the present time, in nanoseconds since 1970, as the file system of the target notes it
 *   down for what is made: it may be another computer's, or be rounded. Where it cannot be told,
 *   a time that never comes
 */
gint64
kp_target_get_time (int root_fd)
{
  const KpFileInfo info = { .mode = S_IFREG };
  g_autoptr (KpTargetFile) file = kp_target_file_new (root_fd, "probe", NULL);
  gint64 birth;

  if (file != NULL && kp_target_file_create (file, &info, NULL, NULL)
      && get_birth (file->fd, "", &birth))
    return birth;
  return NEVER;
}

/**
 * kp_target_enter_directory:
 * @path: of a folder below @root_fd; "" for the target itself
 * @made: (out): whether it was not there. Then it is for us alone, until it gets its mode
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
      *made = mkdirat (parent_fd, slash != NULL ? slash + 1 : path, 0700) == 0;
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
          && change_mode (fd, TRUE, *mode | 0700) < 0)
        g_debug ("Cannot make %s writable: %s", path, g_strerror (errno));
      sweep (fd);
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
  return set_error (error, "Cannot write the folder");
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
    return set_error (error, "Cannot open the folder");
  if ((fstat (fd, &st) < 0 || (st.st_mode & 07777) != mode) && fchmod (fd, mode) < 0)
    take_failure (&failure, "the mode of the folder");
  gboolean is_durable = sync_directory (fd, failure == NULL ? &failure : NULL);
  close (fd);
  return pass_on (failure, error) && is_durable;
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
    return set_error (error, "Cannot open the folder");
  set_xattrs (fd, xattrs, &changed, &failure);
  set_owner_and_mode (fd, FALSE, info, &changed, is_ours, &failure);
  set_times (fd, FALSE, info, &failure);
  gboolean is_durable = sync_directory (fd, failure == NULL ? &failure : NULL);
  close (fd);
  return pass_on (failure, error) && is_durable;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-target-private.h"

#include "kp-beneath.h"
#include "kp-error.h"
#include "kp-name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Runs of zeros of this size, where they start at a multiple of it, become holes. */
#define HOLE_SIZE 4096

#define READ_SIZE (256 * 1024)

/* For kp_target_file_protect(): nothing is as young. */
#define NEVER G_MAXINT64

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EVP_MD_CTX, EVP_MD_CTX_free)

/* Held while a file gets its name, so that nobody takes the name between the look at it and that.
 */
static GMutex naming;

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
      kp_target_set_error (error, "Cannot make the folder");
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
  *birth = kp_metadata_make_time (time->tv_sec, time->tv_nsec);
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
 * What was not committed leaves nothing behind, but for what was fetched of a large file, until
 * kp_target_file_discard().
 */
void
kp_target_file_free (KpTargetFile *file)
{
  if (file->fd >= 0)
    close (file->fd);
  if (file->temporary_name != NULL && file->done == NULL
      && unlinkat (file->parent_fd, file->temporary_name, 0) < 0)
    g_debug ("Cannot remove %s: %s", file->temporary_name, g_strerror (errno));
  close (file->parent_fd);
  g_free (file->temporary_name);
  g_free (file->done);
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
    return kp_target_set_error (error, "Cannot look at what is there");
  if (*exists)
    kp_file_info_from_stat (info, &st);
  file->saw_something = *exists;
  file->seen = *exists ? st : (struct stat){ 0 };
  return check_protected (file, error);
}

/**
 * kp_target_file_replace_only_what_was_seen:
 *
 * What stands under the file's name in kp_target_file_commit() and is not what
 * kp_target_file_stat() found there is left alone, and %KP_ERROR_CONFLICT: between the two there
 * may be hours, and what was decided is about the file that was there before.
 */
void
kp_target_file_replace_only_what_was_seen (KpTargetFile *file)
{
  file->only_what_was_seen = TRUE;
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

/* What cannot be the target of a symbolic link: nothing at all, more than a path can have, and a
 * NUL, behind which the rest would be lost, so that the link would lead elsewhere. */
static gboolean
check_link_target (GBytes *link_target, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (link_target, &length);

  if (length > 0 && length < PATH_MAX && memchr (data, '\0', length) == NULL)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
               "The object says that it is a symbolic link, but its %" G_GSIZE_FORMAT
               " bytes cannot be where one leads to",
               length);
  return FALSE;
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
 * @error: as for kp_target_file_new(); %KP_ERROR_CORRUPT for a @link_target that can be none
 */
gboolean
kp_target_file_create (KpTargetFile *file,
                       const KpFileInfo *info,
                       GBytes *link_target,
                       GError **error)
{
  if (S_ISLNK (info->mode) && !check_link_target (link_target, error))
    return FALSE;
  if (!(S_ISREG (info->mode) && create_nameless (file)) && !create_named (file, info, link_target))
    return kp_target_set_error (error, S_ISCHR (info->mode) || S_ISBLK (info->mode)
                                           ? "Cannot make the device node, which only root may"
                                           : "Cannot create");
  if (file->fd < 0)
    return TRUE;
  /* Tells kp_target_enter_directory() of another process that the file is not abandoned. Where
   * there are no locks, its age does. */
  if (flock (file->fd, LOCK_EX | LOCK_NB) < 0)
    g_debug ("Cannot lock: %s", g_strerror (errno));
  if (ftruncate (file->fd, (off_t) info->size) < 0)
    return kp_target_set_error (error, "Cannot write");
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
        return kp_target_set_error (error, "Cannot write");
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
  if (file->done != NULL)
    memset (file->done, 0, file->n_ranges);
  if (ftruncate (file->fd, 0) < 0 || ftruncate (file->fd, (off_t) (size + file->n_ranges)) < 0)
    return kp_target_set_error (error, "Cannot write");
  return TRUE;
}

/**
 * kp_target_file_digest:
 * @type: %G_CHECKSUM_MD5 or %G_CHECKSUM_SHA256
 * @start: where to begin
 * @size: bytes
 * @error: %KP_ERROR_FAILED, %G_IO_ERROR_CANCELLED
 *
 * Reads a regular file again that was written in pieces.
 *
 * Returns: (transfer full): the digest of its bytes
 */
GBytes *
kp_target_file_digest (KpTargetFile *file,
                       GChecksumType type,
                       guint64 start,
                       guint64 size,
                       GCancellable *cancellable,
                       GError **error)
{
  g_autoptr (EVP_MD_CTX) context = EVP_MD_CTX_new ();
  g_autofree guchar *buffer = g_malloc (READ_SIZE);
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned length;

  if (!EVP_DigestInit_ex (context, type == G_CHECKSUM_MD5 ? EVP_md5 () : EVP_sha256 (), NULL))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_FAILED,
                           "This computer's OpenSSL refuses to compute the digest");
      return NULL;
    }
  for (guint64 offset = 0; offset < size;)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;
      ssize_t n
          = pread (file->fd, buffer, MIN (READ_SIZE, size - offset), (off_t) (start + offset));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          errno = n == 0 ? EIO : errno;
          kp_target_set_error (error, "Cannot read what was written");
          return NULL;
        }
      EVP_DigestUpdate (context, buffer, (size_t) n);
      offset += (guint64) n;
    }
  EVP_DigestFinal_ex (context, digest, &length);
  return g_bytes_new (digest, length);
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

static gboolean
set_changed_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "What is under this name in the target changed during the restore, and "
                       "stays; restore again");
  return FALSE;
}

static gboolean
is_same_time (const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A file of several names has another ctime when one of them goes to another file, as when that is
 * restored. */
static gboolean
is_what_was_seen (const KpTargetFile *file, const struct stat *now)
{
  const struct stat *seen = &file->seen;
  gboolean has_one_name = seen->st_nlink <= 1 && now->st_nlink <= 1;

  return file->saw_something && now->st_dev == seen->st_dev && now->st_ino == seen->st_ino
         && now->st_size == seen->st_size && is_same_time (&now->st_mtim, &seen->st_mtim)
         && (!has_one_name || is_same_time (&now->st_ctim, &seen->st_ctim));
}

/* @may_replace: (out): whether the file may take another's place: of one that comes after the look
 *   nothing is known */
static gboolean
check_seen (KpTargetFile *file, gboolean *may_replace, GError **error)
{
  struct stat now;

  *may_replace = TRUE;
  if (!file->only_what_was_seen)
    return TRUE;
  *may_replace = fstatat (file->parent_fd, file->name, &now, AT_SYMLINK_NOFOLLOW) == 0;
  if (*may_replace)
    return is_what_was_seen (file, &now) || set_changed_error (error);
  return errno == ENOENT || kp_target_set_error (error, "Cannot look at what is there");
}

/* Under its own name at once where nothing has it, else, if it @may_replace that, beside it to be
 * renamed: linkat() replaces nothing. */
static gboolean
give_name (KpTargetFile *file, gboolean may_replace)
{
  g_autofree char *path = kp_target_magic_link (file->fd);

  if (linkat (AT_FDCWD, path, file->parent_fd, file->name, AT_SYMLINK_FOLLOW) == 0)
    return TRUE;
  for (int i = 0; may_replace && errno == EEXIST && i < 100; i++)
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

/* Some disks, as those of other computers, know no renaming that replaces nothing, but a second
 * name; and some know neither: then the look a moment ago is all there is. */
static gboolean
rename_without_replacing (int fd, const char *from, const char *to)
{
  if (renameat2 (fd, from, fd, to, RENAME_NOREPLACE) == 0)
    return TRUE;
  if (errno != EINVAL && errno != ENOSYS)
    return FALSE;
  if (linkat (fd, from, fd, to, 0) == 0)
    {
      if (unlinkat (fd, from, 0) < 0)
        g_debug ("Cannot remove %s: %s", from, g_strerror (errno));
      return TRUE;
    }
  return (errno == EPERM || errno == ENOTSUP || errno == ENOSYS)
         && renameat (fd, from, fd, to) == 0;
}

static gboolean
take_name (KpTargetFile *file, GError **error)
{
  gboolean may_replace;

  if (!check_protected (file, error) || !check_seen (file, &may_replace, error))
    return FALSE;
  gboolean ok = file->temporary_name != NULL || give_name (file, may_replace);
  if (ok && file->temporary_name != NULL)
    ok = may_replace
             ? renameat (file->parent_fd, file->temporary_name, file->parent_fd, file->name) == 0
             : rename_without_replacing (file->parent_fd, file->temporary_name, file->name);
  if (!ok && !may_replace && errno == EEXIST)
    return set_changed_error (error);
  return ok || kp_target_set_error (error, "Cannot put the file in its place");
}

static gboolean
put_in_place (KpTargetFile *file, GError **error)
{
  if (file->fd >= 0 && fsync (file->fd) < 0)
    return kp_target_set_error (error, "Cannot write");
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
        return kp_target_set_error (error, "Cannot write");
    }
  return TRUE;
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
    return kp_target_set_error (error, "Cannot create");
  /* The notes at the end. */
  if (file->done != NULL && ftruncate (fd, (off_t) file->size) < 0)
    return kp_target_set_error (error, "Cannot write");
  if (file->fd >= 0)
    kp_target_set_xattrs (fd, xattrs, &changed, &failure);
  kp_target_set_owner_and_mode (fd, node_fd >= 0, info, &changed, is_ours, &failure);
  /* Last, as all else changes them. */
  kp_target_set_times (fd, node_fd >= 0, info, &failure);
  if (node_fd >= 0)
    close (node_fd);
  if (!put_in_place (file, error))
    {
      g_clear_error (&failure);
      return FALSE;
    }
  return kp_target_pass_on (failure, error);
}

static int
open_again (KpTargetFile *file)
{
  return openat (file->parent_fd, file->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

/* Reading and writing extended attributes asks for the permissions of the mode, owner or not. Where
 * there is nothing to be written, the mode stays as it is. */
static void
correct_xattrs (KpTargetFile *file,
                int path_fd,
                const struct stat *st,
                GPtrArray *xattrs,
                gboolean *changed,
                GError **failure)
{
  gboolean needs_leave = geteuid () != 0 && (st->st_mode & 0600) != 0600;
  int fd = open_again (file);
  gboolean has_all = fd >= 0 && kp_target_has_xattrs (fd, xattrs);

  if (!has_all && needs_leave
      && kp_target_change_mode (path_fd, TRUE, (st->st_mode & 07777) | 0600) == 0 && fd < 0)
    fd = open_again (file);
  if (fd < 0)
    kp_target_take_failure (failure, "the extended attributes");
  else if (!has_all)
    kp_target_set_xattrs (fd, xattrs, changed, failure);
  if (fd >= 0)
    close (fd);
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
    kp_target_take_failure (&failure, "the metadata");
  else if ((st.st_mode & S_IFMT) == (info->mode & S_IFMT))
    {
      if (S_ISREG (st.st_mode) && xattrs != NULL && xattrs->len > 0)
        correct_xattrs (file, path_fd, &st, xattrs, changed, &failure);
      kp_target_set_owner_and_mode (path_fd, TRUE, info, changed, is_ours, &failure);
    }
  if (path_fd >= 0)
    close (path_fd);
  return kp_target_pass_on (failure, error);
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

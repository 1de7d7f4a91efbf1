/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-source.h"

#include "kp-beneath.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/**
 * kp_source_new:
 * @argument: a path as typed. As with rsync, with a slash at the end it stands for its contents
 * @stored_as: (nullable): the name below the prefix; %NULL for the folder's own
 * @location: where it goes
 */
KpSource *
kp_source_new (const char *argument, const char *stored_as, KpS3Location *location)
{
  KpSource *source = g_new0 (KpSource, 1);
  gsize length = strlen (argument);
  gboolean contents = length > 0
                      && (argument[length - 1] == '/' || g_str_has_suffix (argument, "/.")
                          || g_str_equal (argument, "."));

  source->fd = -1;
  source->path = g_canonicalize_filename (argument, NULL);
  g_autofree char *name = g_path_get_basename (source->path);
  if (stored_as == NULL)
    stored_as = contents || g_str_equal (source->path, "/") ? "" : name;

  g_autofree char *name_key = kp_name_to_key (stored_as);
  g_autofree char *below = *name_key != '\0' ? g_strconcat (name_key, "/", NULL) : g_strdup ("");
  source->key = kp_s3_location_get_key (location, below);
  source->folder_key = g_strdup (source->key);
  source->file_key = *name_key != '\0' ? kp_s3_location_get_key (location, name_key) : NULL;
  source->reserved = kp_kept_get_prefix (location);
  source->filter_path = *stored_as != '\0' ? g_strconcat (stored_as, "/", NULL) : g_strdup ("");
  return source;
}

static gboolean
set_open_error (KpSource *source, GError **error)
{
  KpError code
      = errno == ENOENT || errno == ENOTDIR ? KP_ERROR_SOURCE_MISSING : KP_ERROR_SOURCE_UNREADABLE;
  g_autofree char *name = kp_name_display (source->path);

  g_set_error (error, KP_ERROR, (int) code, "Cannot open “%s”: %s", name, g_strerror (errno));
  return FALSE;
}

static void
turn_into_file (KpSource *source)
{
  g_autofree char *directory = g_path_get_dirname (source->path);

  source->is_file = TRUE;
  source->file_name = g_path_get_basename (source->path);
  close (source->fd);
  source->fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_free (source->key);
  source->key = g_strdup (source->file_key);
}

/**
 * kp_source_covers:
 * @key: a whole key
 *
 * Whether the object is one of the source's, or was one when it was a file and not a folder, or the
 * reverse.
 */
gboolean
kp_source_covers (const KpSource *source, const char *key)
{
  return g_str_has_prefix (key, source->folder_key) || g_strcmp0 (key, source->file_key) == 0;
}

/**
 * kp_source_get_below:
 * @key: one that kp_source_covers()
 *
 * Returns: what of @key is below the source's name; "" of the name itself
 */
const char *
kp_source_get_below (const KpSource *source, const char *key)
{
  gsize length = strlen (source->folder_key);

  return strlen (key) > length ? key + length : "";
}

/**
 * kp_source_leave_out:
 * @folder: a path, which need not exist
 *
 * From here on the scan does not enter this folder, wherever it meets it.
 */
void
kp_source_leave_out (KpSource *source, const char *folder)
{
  struct stat st;

  if (stat (folder, &st) < 0)
    return;
  source->own_dev = st.st_dev;
  source->own_ino = st.st_ino;
}

/**
 * kp_source_identify:
 * @fd: a folder
 * @identity: (out): on which file system it is
 *
 * Returns: %FALSE with errno set
 */
gboolean
kp_source_identify (int fd, KpRootIdentity *identity)
{
  struct stat st;
  struct stat parent;
  struct statfs fs;
  guint32 fsid[2];

  if (fstat (fd, &st) < 0 || fstatfs (fd, &fs) < 0)
    return FALSE;
  memcpy (fsid, &fs.f_fsid, sizeof fsid);
  identity->dev = st.st_dev;
  identity->fsid = (guint64) fsid[0] << 32 | fsid[1];
  identity->is_mount_point
      = fstatat (fd, "..", &parent, AT_SYMLINK_NOFOLLOW) == 0 && parent.st_dev != st.st_dev;
  return TRUE;
}

/**
 * kp_source_open:
 * @error: %KP_ERROR_SOURCE_MISSING, %KP_ERROR_SOURCE_UNREADABLE
 *
 * Opens the folder, and keeps it open: whatever is renamed or mounted later, the job reads one
 * tree.
 */
gboolean
kp_source_open (KpSource *source, GError **error)
{
  struct stat st;

  if (kp_sandbox_hides (source->path))
    {
      g_autofree char *name = kp_name_display (source->path);
      g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE,
                   "“%s” of this computer cannot be seen from the sandbox of Flatpak, which has a "
                   "folder of its own there; leave it out, or install Keepsake without Flatpak",
                   name);
      return FALSE;
    }
  source->fd = open (source->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (source->fd < 0 || fstat (source->fd, &st) < 0)
    return set_open_error (source, error);
  if (!S_ISDIR (st.st_mode))
    {
      if (source->file_key == NULL)
        {
          /* "file/" has no contents. */
          errno = ENOTDIR;
          return set_open_error (source, error);
        }
      turn_into_file (source);
    }
  if (source->fd < 0 || !kp_source_identify (source->fd, &source->identity))
    return set_open_error (source, error);
  /* A file is none, wherever its folder is one. */
  if (source->is_file)
    source->identity.is_mount_point = FALSE;
  return TRUE;
}

/* Whether there is no such file, for sure. */
static gboolean
is_absence (int code)
{
  return code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENAMETOOLONG
         || code == EXDEV;
}

/* Whether a file has become a folder since it was opened, or the reverse. What cannot be looked at
 * may have. */
static gboolean
has_turned (const KpSource *source)
{
  struct stat st;

  return stat (source->path, &st) < 0 || (S_ISDIR (st.st_mode) ? TRUE : FALSE) == source->is_file;
}

/**
 * kp_source_has_key:
 * @key: one that kp_source_covers(), and not the source's own
 *
 * Whether there is a file for this object at this moment: a folder for a key that ends with a
 * slash, something else for one that does not. Where that cannot be told there may be one.
 */
gboolean
kp_source_has_key (KpSource *source, const char *key)
{
  if (source->is_file || g_strcmp0 (key, source->file_key) == 0)
    return has_turned (source);
  g_autofree char *path = kp_name_from_key (kp_source_get_below (source, key), NULL);
  gsize length = path != NULL ? strlen (path) : 0;
  gboolean is_folder = length > 0 && path[length - 1] == '/';
  struct stat st;

  if (length == 0)
    return FALSE;
  if (is_folder)
    path[length - 1] = '\0';
  int fd = kp_source_open_file (source, path, O_PATH);
  if (fd < 0)
    return !is_absence (errno);
  gboolean found = fstat (fd, &st) == 0 && (S_ISDIR (st.st_mode) ? TRUE : FALSE) == is_folder;
  close (fd);
  return found;
}

/**
 * kp_source_has_changed:
 * @path: of a folder below the source's root; "" for the root. It need not be there any more
 * @since: a time by the clock of file systems (CLOCK_REALTIME_COARSE), in nanoseconds
 *
 * Whether names in this folder, or in the nearest above that is there, may have come or gone at
 * @since or later. What cannot be looked at may have.
 */
gboolean
kp_source_has_changed (KpSource *source, const char *path, gint64 since)
{
  g_autofree char *folder = g_strdup (path);
  struct stat st;
  int fd;

  while ((fd = kp_source_open_file (source, folder, O_PATH | O_DIRECTORY)) < 0)
    {
      char *slash = strrchr (folder, '/');
      if (*folder == '\0' || !is_absence (errno))
        return TRUE;
      *(slash != NULL ? slash : folder) = '\0';
    }
  int result = fstat (fd, &st);
  close (fd);
  if (result < 0)
    return TRUE;
  gint64 changed = kp_metadata_make_time (st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
  return changed >= since - kp_metadata_get_precision (changed);
}

/**
 * kp_source_open_file:
 * @path: below the source's root; "" for the root
 * @flags: as for open()
 *
 * Returns: a file descriptor, or -1 with errno set
 */
int
kp_source_open_file (KpSource *source, const char *path, int flags)
{
  const char *name = source->is_file ? source->file_name : path;

  /* A fifo must not make us wait; openat2() refuses these flags where they mean nothing. */
  return (flags & O_PATH) == 0
             ? kp_beneath_open_quietly (source->fd, name, flags | O_NONBLOCK | O_NOCTTY)
             : kp_beneath_open (source->fd, name, flags);
}

/**
 * kp_source_read_link:
 * @path: of a symbolic link below the source's root
 * @error: %KP_ERROR_SOURCE_UNREADABLE
 *
 * Returns: (transfer full): its target, any bytes
 */
char *
kp_source_read_link (KpSource *source, const char *path, GError **error)
{
  char target[PATH_MAX + 1];
  ssize_t length = -1;
  int fd = kp_source_open_file (source, path, O_PATH);

  if (fd >= 0)
    {
      length = readlinkat (fd, "", target, sizeof target - 1);
      int saved_errno = errno;
      close (fd);
      errno = saved_errno;
    }
  if (length < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE, "Cannot read the link: %s",
                   g_strerror (errno));
      return NULL;
    }
  return g_strndup (target, (gsize) length);
}

/**
 * kp_source_full_path:
 *
 * Returns: (transfer full): the absolute path of @path below the source, for people to read
 */
char *
kp_source_full_path (KpSource *source, const char *path)
{
  if (source->is_file || *path == '\0')
    return g_strdup (source->path);
  return g_strconcat (source->path, g_str_has_suffix (source->path, "/") ? "" : "/", path, NULL);
}

void
kp_source_free (KpSource *source)
{
  if (source->fd >= 0)
    close (source->fd);
  g_free (source->path);
  g_free (source->folder_key);
  g_free (source->file_key);
  g_free (source->reserved);
  g_free (source->key);
  g_free (source->filter_path);
  g_free (source->file_name);
  g_free (source);
}

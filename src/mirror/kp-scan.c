/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-scan.h"

#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Names are sorted in pieces of so many, so that a folder of millions takes no memory of its own.
 */
#define NAMES_AT_ONCE 8192

/* Not in linux/magic.h, or not in all of them. */
#define ZFS_SUPER_MAGIC 0x2FC12FC1
#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xCA451A4E
#endif

/* Deeper than any key can be long. */
#define MAX_DEPTH (KP_KEY_MAX / 2)

typedef struct
{
  KpSource *source;
  guint index;
  KpFilter *filter;
  gboolean all_file_systems;
  KpCatalogue *catalogue;
  KpReport *report;
  KpScanResult *result;
  GCancellable *cancellable;
} Scan;

static void
report_unreadable (Scan *scan, const char *path, int code)
{
  g_autofree char *full_path = kp_source_full_path (scan->source, path);
  g_autoptr (GError) error
      = g_error_new (KP_ERROR, KP_ERROR_SOURCE_UNREADABLE, "Cannot read: %s", g_strerror (code));

  scan->result->unreadable++;
  kp_report_failed (scan->report, full_path, error);
}

/* Whether the name is where a mirror at the bucket's root keeps what was deleted. Says so: the file
 * is not in the backup. */
static gboolean
is_reserved (Scan *scan, const char *path)
{
  if (!g_str_has_prefix (scan->source->reserved, scan->source->key))
    return FALSE;
  g_autofree char *below = kp_name_to_key (path);
  g_autofree char *key = g_strconcat (scan->source->key, below, "/", NULL);

  if (!g_str_equal (key, scan->source->reserved))
    return FALSE;
  g_autofree char *full_path = kp_source_full_path (scan->source, path);
  g_autoptr (GError) error = g_error_new (
      KP_ERROR, KP_ERROR_BAD_NAME,
      "Not backed up: “%s” at the top of a bucket is where deleted and replaced files are kept; "
      "give it another name, or leave it out with --exclude",
      KP_KEPT_NAME);
  scan->result->too_long++;
  kp_report_failed (scan->report, full_path, error);
  return TRUE;
}

/* Returns FALSE for a name that the bucket cannot hold, after saying so. */
static gboolean
make_key (Scan *scan, const char *path, const KpFileInfo *info, char **key)
{
  g_autofree char *below = kp_name_to_key (path);
  g_autofree char *whole = g_strconcat (scan->source->key, below, NULL);
  char *with_slash = kp_metadata_key (whole, info->mode);

  if (strlen (with_slash) <= KP_KEY_MAX)
    {
      *key = with_slash;
      return TRUE;
    }

  g_autofree char *full_path = kp_source_full_path (scan->source, path);
  g_autoptr (GError) error = g_error_new (KP_ERROR, KP_ERROR_NAME_TOO_LONG,
                                          "The name is too long for S3: %" G_GSIZE_FORMAT
                                          " bytes as a key, %d are allowed; shorten it, "
                                          "or a folder above it",
                                          strlen (with_slash), KP_KEY_MAX);
  scan->result->too_long++;
  kp_report_failed (scan->report, full_path, error);
  g_free (with_slash);
  return FALSE;
}

static gboolean
add_entry (Scan *scan, const char *path, const KpFileInfo *info, GError **error)
{
  g_auto (KpScanned) scanned = { .source = scan->index, .path = g_strdup (path), .info = *info };

  if (!make_key (scan, path, info, &scanned.key))
    return TRUE;
  kp_report_add_scanned (scan->report, 1);
  /* A bucket has no object for its own root. */
  if (*scanned.key == '\0')
    return TRUE;
  return kp_catalogue_add_scanned (scan->catalogue, &scanned, error);
}

static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Reads up to NAMES_AT_ONCE names. Returns an empty array at the end, NULL with errno set. */
static GPtrArray *
read_names (DIR *directory)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  struct dirent *entry;

  errno = 0;
  while (names->len < NAMES_AT_ONCE && (entry = readdir (directory)) != NULL)
    if (!g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, ".."))
      g_ptr_array_add (names, g_strdup (entry->d_name));
  if (names->len < NAMES_AT_ONCE && errno != 0)
    return NULL;
  g_ptr_array_sort (names, compare_names);
  return g_steal_pointer (&names);
}

static void
mount_free (void *data)
{
  KpScanMount *mount = data;

  g_free (mount->path);
  g_free (mount);
}

/* The objects that are there of a folder that is not entered are not ours to delete. */
static void
leave_out (Scan *scan, const char *path, const KpFileInfo *info)
{
  char *key = NULL;

  if (make_key (scan, path, info, &key))
    g_ptr_array_add (scan->result->left_out, key);
}

/* Whether the file system is one of this computer's disks, and no share, no view of something else
 * and nothing in memory: it has a device, or is of a kind that spans several. */
static gboolean
is_disk (int fd, guint64 dev)
{
  struct statfs fs;

  if (fstatfs (fd, &fs) < 0)
    return major (dev) != 0;
  switch ((guint64) fs.f_type)
    {
    case SQUASHFS_MAGIC: /* packages, and images of discs */
    case ISOFS_SUPER_MAGIC:
      return FALSE;
    case BTRFS_SUPER_MAGIC:
    case ZFS_SUPER_MAGIC:
    case BCACHEFS_SUPER_MAGIC:
      return TRUE;
    default:
      return major (dev) != 0;
    }
}

/* Takes down what is mounted at this folder. Returns whether it is entered. */
static gboolean
enter_mount (Scan *scan, int fd, const char *path, const KpFileInfo *info)
{
  KpScanMount *mount = g_new0 (KpScanMount, 1);

  mount->source = scan->index;
  mount->path = kp_source_full_path (scan->source, path);
  mount->entered = scan->all_file_systems;
  if (!kp_source_identify (fd, &mount->identity))
    mount->identity.dev = info->dev;
  mount->identity.is_mount_point = TRUE;
  /* Of what is mounted when it is opened, the entry did not tell yet. */
  mount->is_disk = is_disk (fd, mount->identity.dev);
  g_ptr_array_add (scan->result->mounts, mount);
  if (!mount->entered)
    leave_out (scan, path, info);
  return mount->entered;
}

static gboolean scan_directory (Scan *scan,
                                int fd,
                                guint64 dev,
                                const char *path,
                                unsigned depth,
                                GError **error);

static gboolean
scan_entry (Scan *scan,
            int parent_fd,
            guint64 parent_dev,
            const char *path,
            const char *name,
            unsigned depth,
            GError **error)
{
  struct stat st;
  KpFileInfo info;

  if (fstatat (parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    {
      /* Deleted since the folder was read: then it simply is not there. */
      if (errno != ENOENT)
        report_unreadable (scan, path, errno);
      return TRUE;
    }

  kp_file_info_from_stat (&info, &st);
  g_autofree char *filter_path = g_strconcat (scan->source->filter_path, path, NULL);
  if (kp_filter_excludes (scan->filter, filter_path, S_ISDIR (info.mode)))
    return TRUE;
  /* A restore in place that was stopped leaves them, as long as what is to become of them. */
  if (kp_target_is_unfinished (name) && S_ISREG (info.mode) && info.uid == geteuid ())
    return TRUE;
  if (S_ISDIR (info.mode) && scan->source->own_ino != 0 && info.ino == scan->source->own_ino
      && info.dev == scan->source->own_dev)
    {
      leave_out (scan, path, &info);
      return TRUE;
    }
  scan->source->n_entries++;
  if (is_reserved (scan, path))
    return TRUE;
  if (!add_entry (scan, path, &info, error))
    return FALSE;
  if (!S_ISDIR (info.mode))
    return TRUE;

  int fd = openat (parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    {
      if (errno != ENOENT)
        report_unreadable (scan, path, errno);
      return TRUE;
    }
  if (info.dev != parent_dev && !enter_mount (scan, fd, path, &info))
    {
      close (fd);
      return TRUE;
    }
  return scan_directory (scan, fd, info.dev, path, depth + 1, error);
}

/* Owns @fd. */
static gboolean
scan_directory (Scan *scan, int fd, guint64 dev, const char *path, unsigned depth, GError **error)
{
  gboolean ok = TRUE;
  DIR *directory = depth <= MAX_DEPTH ? fdopendir (fd) : NULL;

  if (directory == NULL)
    {
      report_unreadable (scan, path, depth <= MAX_DEPTH ? errno : ELOOP);
      close (fd);
      return TRUE;
    }

  while (ok)
    {
      g_autoptr (GPtrArray) names = read_names (directory);
      if (names == NULL)
        {
          report_unreadable (scan, path, errno);
          break;
        }
      if (names->len == 0)
        break;
      for (guint i = 0; i < names->len && ok; i++)
        {
          const char *name = g_ptr_array_index (names, i);
          g_autofree char *entry_path
              = *path != '\0' ? g_strconcat (path, "/", name, NULL) : g_strdup (name);

          ok = !g_cancellable_set_error_if_cancelled (scan->cancellable, error)
               && scan_entry (scan, fd, dev, entry_path, name, depth, error);
        }
    }
  closedir (directory);
  return ok;
}

/**
 * kp_scan_source:
 * @source: an open source
 * @index: its number, kept in each row
 * @all_file_systems: whether to enter what is mounted below it
 * @result: added to
 * @error: %KP_ERROR_LOCAL_STORAGE, %G_IO_ERROR_CANCELLED. What cannot be read is reported and
 *   counted, and is no error.
 */
gboolean
kp_scan_source (KpSource *source,
                guint index,
                KpFilter *filter,
                gboolean all_file_systems,
                KpCatalogue *catalogue,
                KpReport *report,
                KpScanResult *result,
                GCancellable *cancellable,
                GError **error)
{
  Scan scan = { source, index, filter, all_file_systems, catalogue, report, result, cancellable };
  struct stat st;
  KpFileInfo info;

  if (result->left_out == NULL)
    {
      result->left_out = g_ptr_array_new_with_free_func (g_free);
      result->mounts = g_ptr_array_new_with_free_func (mount_free);
    }
  if (fstatat (source->fd, source->is_file ? source->file_name : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
    {
      report_unreadable (&scan, "", errno);
      return TRUE;
    }

  kp_file_info_from_stat (&info, &st);
  if (!add_entry (&scan, "", &info, error))
    return FALSE;
  if (source->is_file)
    {
      source->n_entries++;
      return TRUE;
    }

  int fd = openat (source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    {
      report_unreadable (&scan, "", errno);
      return TRUE;
    }
  return scan_directory (&scan, fd, info.dev, "", 1, error);
}

void
kp_scan_result_clear (KpScanResult *result)
{
  g_clear_pointer (&result->left_out, g_ptr_array_unref);
  g_clear_pointer (&result->mounts, g_ptr_array_unref);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Where the sources, and the disks mounted below them, are now and were before: a disk that is not
 * mounted looks like a folder from which everything was deleted. */

#include "kp-mirror-private.h"

#include "kp-error.h"
#include "kp-name.h"

#include <string.h>
#include <sys/stat.h>

/* Device numbers change at a reboot, and so does what some file systems give as their id: only both
 * together, or a disk that was mounted here and is not, mean another file system. */
static gboolean
has_moved (const KpRootIdentity *before, const KpRootIdentity *now)
{
  return (before->dev != now->dev && before->fsid != now->fsid)
         || (before->is_mount_point && !now->is_mount_point);
}

static const KpScanMount *
find_mount (KpMirror *mirror, const char *path)
{
  for (guint i = 0; mirror->scan.mounts != NULL && i < mirror->scan.mounts->len; i++)
    {
      const KpScanMount *mount = g_ptr_array_index (mirror->scan.mounts, i);
      if (g_str_equal (mount->path, path))
        return mount;
    }
  return NULL;
}

static gboolean
is_source (KpMirror *mirror, const char *path)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    if (g_str_equal (kp_mirror_get_source (mirror, i)->path, path))
      return TRUE;
  return FALSE;
}

/* The same, by whatever name. */
static gboolean
is_opened_source (KpMirror *mirror, const char *path)
{
  struct stat st;
  struct stat of_source;

  if (is_source (mirror, path))
    return TRUE;
  if (stat (path, &st) < 0)
    return FALSE;
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      const KpSource *source = kp_mirror_get_source (mirror, i);
      if (source->fd >= 0 && fstat (source->fd, &of_source) == 0 && of_source.st_dev == st.st_dev
          && of_source.st_ino == st.st_ino)
        return TRUE;
    }
  return FALSE;
}

/**
 * kp_roots_report_left_out:
 *
 * Says which file systems below the sources were not entered. To be called after the scan.
 */
void
kp_roots_report_left_out (KpMirror *mirror)
{
  for (guint i = 0; mirror->scan.mounts != NULL && i < mirror->scan.mounts->len; i++)
    {
      const KpScanMount *mount = g_ptr_array_index (mirror->scan.mounts, i);
      g_autofree char *name = kp_name_display (mount->path);
      g_autoptr (GError) error = NULL;

      if (mount->entered || is_opened_source (mirror, mount->path))
        continue;
      if (!mirror->options.misses_disks || !mount->is_disk)
        {
          kp_report_notice (
              mirror->report,
              "“%s” is another file system and was left out; use --all-file-systems to take it in",
              name);
          continue;
        }
      g_set_error_literal (
          &error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE,
          "Not backed up, as it is another disk or volume: add it to the plan as a folder of "
          "its own, or leave it out with a pattern");
      mirror->result.failed++;
      kp_report_failed (mirror->report, mount->path, error);
    }
}

/* What the keys of the disk mounted at @path, below the source, begin with. */
static char *
mount_key (const KpSource *source, const char *path)
{
  const char *below = path + strlen (source->path);
  g_autofree char *name = kp_name_to_key (*below == '/' ? below + 1 : below);

  return g_strconcat (source->folder_key, name, "/", NULL);
}

/* Whether the bucket has objects that lay on the disk mounted at @path, and they are not kept
 * anyway. */
static gboolean
has_objects_of (KpMirror *mirror,
                KpSource *source,
                const char *path,
                gboolean *found,
                GError **error)
{
  g_autofree char *key = mount_key (source, path);

  *found = FALSE;
  return kp_vanished_is_kept (mirror, source, key)
         || kp_catalogue_has_listed_below (mirror->catalogue, key, found, error);
}

/* Looks for disks that were mounted below the source and are not, or are others now. */
static gboolean
examine_mounts (KpMirror *mirror, KpSource *source, GError **error)
{
  g_autoptr (GPtrArray) paths
      = kp_catalogue_list_mounts_below (mirror->catalogue, source->path, error);

  if (paths == NULL)
    return FALSE;
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      const KpScanMount *mount = find_mount (mirror, path);
      KpRootIdentity before;
      gboolean found;

      if (is_source (mirror, path) || (mount != NULL && !mount->entered))
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, path, &before, &found, error))
        return FALSE;
      if (mount != NULL && !has_moved (&before, &mount->identity))
        continue;
      if (!has_objects_of (mirror, source, path, &found, error))
        return FALSE;
      if (found && mirror->moved_root == NULL)
        mirror->moved_root = g_strdup (path);
    }
  return TRUE;
}

/**
 * kp_roots_is_away:
 * @source: one that kp_source_covers() @key, and is open
 * @key: of a file that the scan did not see
 * @is_away: (out): whether it may be on a disk that was mounted before and was not looked at now
 *
 * To be called between kp_roots_begin() and kp_roots_remember(), which keeps the disk in mind then.
 */
gboolean
kp_roots_is_away (KpMirror *mirror,
                  KpSource *source,
                  const char *key,
                  gboolean *is_away,
                  GError **error)
{
  KpRootIdentity before;
  gboolean found;

  *is_away = FALSE;
  if (mirror->options.accept_new_file_system)
    return TRUE;
  if (!kp_catalogue_get_root (mirror->catalogue, source->path, &before, &found, error))
    return FALSE;
  *is_away = found && has_moved (&before, &source->identity);
  g_autoptr (GPtrArray) paths
      = kp_catalogue_list_mounts_below (mirror->catalogue, source->path, error);
  if (paths == NULL)
    return FALSE;
  for (guint i = 0; !*is_away && i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      const KpScanMount *mount = find_mount (mirror, path);
      g_autofree char *prefix = mount_key (source, path);

      if (!g_str_has_prefix (key, prefix))
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, path, &before, &found, error))
        return FALSE;
      *is_away = mount == NULL || !mount->entered || has_moved (&before, &mount->identity);
    }
  source->awaits_disk = source->awaits_disk || *is_away;
  return TRUE;
}

/* A source of which nothing is remembered: whether one of its folders is empty as if a disk was to
 * be mounted there. */
static gboolean
examine_folders (KpMirror *mirror, guint index, GError **error)
{
  g_autofree char *path = NULL;

  if (mirror->emptied_root != NULL)
    return TRUE;
  if (!kp_catalogue_find_emptied_folder (mirror->catalogue, index, &path, error))
    return FALSE;
  if (path != NULL)
    mirror->emptied_root = kp_source_full_path (kp_mirror_get_source (mirror, index), path);
  return TRUE;
}

/* Whether the bucket holds anything of a source, or what that was before it was a file or a folder;
 * but for the object that it has anyway. */
static gboolean
is_anything_listed (KpMirror *mirror, const KpSource *source, gboolean *found, GError **error)
{
  const char *turned = source->is_file ? source->folder_key : source->file_key;

  if (!kp_catalogue_has_listed_below (mirror->catalogue, source->folder_key, found, error))
    return FALSE;
  return *found || turned == NULL
         || kp_catalogue_is_listed (mirror->catalogue, turned, found, error);
}

/**
 * kp_roots_examine:
 *
 * Finds out whether a source, or a folder in one, is on another file system than before
 * (@moved_root of @mirror), or empty as if its disk was not mounted (@emptied_root).
 */
gboolean
kp_roots_examine (KpMirror *mirror, GError **error)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      KpRootIdentity before;
      gboolean has_objects;
      gboolean found;

      if (source->fd < 0)
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, source->path, &before, &found, error)
          || !is_anything_listed (mirror, source, &has_objects, error))
        return FALSE;
      /* Of a file nothing is deleted, unless it was a folder. */
      if (source->is_file && !has_objects)
        continue;
      if (source->n_entries == 0 && has_objects && mirror->emptied_root == NULL)
        mirror->emptied_root = g_strdup (source->path);
      if (mirror->options.accept_new_file_system)
        continue;
      if (found && has_moved (&before, &source->identity) && mirror->moved_root == NULL)
        mirror->moved_root = g_strdup (source->path);
      if (!examine_mounts (mirror, source, error)
          || (source->is_unknown && !examine_folders (mirror, i, error)))
        return FALSE;
    }
  return TRUE;
}

/**
 * kp_roots_begin:
 *
 * To be called when the sources are scanned and the bucket is listed, before anything else. A
 * source that is new to the bucket too is remembered at once: this job may be stopped. One that is
 * only new to the catalogue stays unknown until the guard agrees with what is missing.
 */
gboolean
kp_roots_begin (KpMirror *mirror, GError **error)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      KpRootIdentity before;
      gboolean found;

      if (source->fd < 0)
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, source->path, &before, &found, error))
        return FALSE;
      if (found)
        continue;
      if (!is_anything_listed (mirror, source, &source->is_unknown, error))
        return FALSE;
      if (!source->is_unknown && !mirror->options.dry_run
          && !kp_catalogue_put_root (mirror->catalogue, source->path, &source->identity, error))
        return FALSE;
    }
  for (guint i = 0; i < mirror->scan.mounts->len && !mirror->options.dry_run; i++)
    {
      const KpScanMount *mount = g_ptr_array_index (mirror->scan.mounts, i);
      KpRootIdentity before;
      gboolean found;

      if (!mount->entered)
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, mount->path, &before, &found, error)
          || (!found
              && !kp_catalogue_put_root (mirror->catalogue, mount->path, &mount->identity, error)))
        return FALSE;
    }
  return TRUE;
}

/* What is mounted now, in place of what was. */
static gboolean
remember_mounts (KpMirror *mirror, KpSource *source, GError **error)
{
  g_autoptr (GPtrArray) paths
      = kp_catalogue_list_mounts_below (mirror->catalogue, source->path, error);

  if (paths == NULL)
    return FALSE;
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      const KpScanMount *mount = find_mount (mirror, path);

      if (is_source (mirror, path))
        continue;
      if (!(mount != NULL ? kp_catalogue_put_root (mirror->catalogue, path, &mount->identity, error)
                          : kp_catalogue_remove_root (mirror->catalogue, path, error)))
        return FALSE;
    }
  return TRUE;
}

/* What was done is what the empty mount point called for, and nothing was kept safe. Where the
 * guard has a reason, that says so too. */
static void
report_missing_disk (KpMirror *mirror, KpSource *source)
{
  g_autoptr (GError) error
      = g_error_new_literal (KP_ERROR, KP_ERROR_SOURCE_MISSING,
                             "A disk was mounted here before and is not now, so nothing of it was "
                             "looked at; mount it, or say --accept-new-file-system once");

  mirror->result.failed++;
  kp_report_failed (mirror->report, source->path, error);
}

/**
 * kp_roots_remember:
 *
 * Where everything is now becomes what the next job compares with, unless the guard has doubts:
 * then the doubt must stay until it is settled. So must it where an upload waits for a disk.
 */
gboolean
kp_roots_remember (KpMirror *mirror, GError **error)
{
  gboolean deletes = mirror->options.delete_vanished;
  gboolean all_accepted = mirror->options.accept_new_file_system
                          || (mirror->options.delete_vanished && mirror->guard_reason == NULL);

  for (guint i = 0; i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      gboolean accepted = all_accepted && !source->awaits_disk;
      KpRootIdentity before;
      gboolean found;

      if (source->fd < 0)
        continue;
      if (!kp_catalogue_get_root (mirror->catalogue, source->path, &before, &found, error))
        return FALSE;
      /* Of a file it was once recorded that its folder is one. */
      if (source->is_file
          && (before.dev == source->identity.dev || before.fsid == source->identity.fsid))
        before = source->identity;
      gboolean is_same = found && before.dev == source->identity.dev
                         && before.is_mount_point == source->identity.is_mount_point;
      if (found && before.is_mount_point && !source->identity.is_mount_point && !accepted
          && mirror->guard_reason == NULL)
        report_missing_disk (mirror, source);
      /* A disk was mounted where there was none before. Where nothing is deleted, no doubt is lost
       * by that, and the next time that it is not there, it is missed. */
      gboolean is_mounted
          = found && !deletes && !before.is_mount_point && source->identity.is_mount_point;
      if ((accepted || is_same || is_mounted)
          && !kp_catalogue_put_root (mirror->catalogue, source->path, &source->identity, error))
        return FALSE;
      if (accepted && !remember_mounts (mirror, source, error))
        return FALSE;
    }
  return TRUE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-restore-private.h"

#include "kp-beneath.h"
#include "kp-cancel.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-sandbox.h"
#include "kp-size.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_SERVER_FAILURES 10

/* So many replaced objects are named: more than that is no longer read. */
#define MAX_REPLACED_NAMES 1000

/* How long an archive gets, in microseconds: half as long again as the slowest that there is. */
#define LONGEST_RETRIEVAL (3 * G_TIME_SPAN_DAY)

/* How long the folders get to be finished when the restore has ended before its time, in
 * microseconds. Those that do not get their turn are for their owner alone. */
#define LAST_MOMENTS (10 * G_TIME_SPAN_SECOND)

G_DEFINE_FINAL_TYPE (KpRestore, kp_restore, G_TYPE_OBJECT)

static void
kp_restore_finalize (GObject *object)
{
  KpRestore *self = KP_RESTORE (object);

  g_clear_object (&self->service);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->report, kp_report_free);
  g_clear_pointer (&self->options.filter, kp_filter_unref);
  g_strfreev (self->paths);
  g_free (self->state_dir);
  g_free (self->target);
  g_free (self->base);
  g_free (self->folder);
  G_OBJECT_CLASS (kp_restore_parent_class)->finalize (object);
}

static void
kp_restore_class_init (KpRestoreClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_restore_finalize;
}

static void
kp_restore_init (KpRestore *self)
{
  self->target_fd = -1;
}

/**
 * kp_overwrite_parse:
 * @text: "never", "older" or "always"
 * @overwrite: (out): unchanged on failure
 *
 * Returns: whether @text is one of them
 */
gboolean
kp_overwrite_parse (const char *text, KpOverwrite *overwrite)
{
  static const char *const names[] = {
    [KP_OVERWRITE_NEVER] = "never", [KP_OVERWRITE_OLDER] = "older", [KP_OVERWRITE_ALWAYS] = "always"
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (text, names[i]))
      {
        *overwrite = (KpOverwrite) i;
        return TRUE;
      }
  return FALSE;
}

/**
 * kp_restore_kind_parse:
 * @text: "file" or "folder"
 * @kind: (out): unchanged on failure
 *
 * Returns: whether @text is one of them
 */
gboolean
kp_restore_kind_parse (const char *text, KpRestoreKind *kind)
{
  if (!g_str_equal (text, "file") && !g_str_equal (text, "folder"))
    return FALSE;
  *kind = g_str_equal (text, "file") ? KP_RESTORE_FILE : KP_RESTORE_FOLDER;
  return TRUE;
}

/**
 * kp_restore_new:
 * @service: its location names what to restore: all below the prefix, or the one object
 * @target: a folder; made when missing
 * @options: copied; its filter sees paths below the target
 * @func: (nullable): called for each event, from any thread but one at a time
 */
KpRestore *
kp_restore_new (KpS3Service *service,
                const char *target,
                const KpRestoreOptions *options,
                KpEventFunc func,
                void *user_data)
{
  KpRestore *self = g_object_new (KP_TYPE_RESTORE, NULL);

  self->service = g_object_ref (service);
  self->target = g_strdup (target);
  self->options = *options;
  self->paths = g_strdupv ((char **) options->paths);
  self->state_dir = g_strdup (options->state_dir);
  if (options->filter != NULL)
    kp_filter_ref (options->filter);
  self->report = kp_report_new (service, func, user_data);
  return self;
}

/**
 * kp_restore_report_failure:
 * @key: of an object that could not be restored, or the path of a folder
 */
void
kp_restore_report_failure (KpRestore *self, const char *key, const GError *error)
{
  self->result.failed++;
  kp_report_failed (self->report, key, error);
}

/* Says by name what was restored and is not what this computer has stored, as far as it has a
 * record of that: what is there is all that there is, but whoever restores may expect another. An
 * object that has the recorded time was compared with the record. */
static void
report_replaced (KpRestore *self, const RestoreTask *task)
{
  if (!task->has_record || task->is_as_recorded || task->info.mtime == task->recorded.mtime
      || S_ISDIR (task->info.mode) || task->outcome != OUTCOME_RESTORED || self->options.dry_run)
    return;
  g_autofree char *name = kp_name_display (task->key);
  if (++self->replaced <= MAX_REPLACED_NAMES)
    kp_report_notice (self->report,
                      "“%s” is another file in the bucket than this computer has a record of; it "
                      "was restored as it is there",
                      name);
}

/* It is a folder by its key, and has bytes all the same, as other tools may write it. */
static void
report_bytes_of_folder (KpRestore *self, RestoreTask *task)
{
  g_autoptr (GError) error = g_error_new (
      KP_ERROR, KP_ERROR_CONFLICT,
      "The folder was made, but the object has %" G_GUINT64_FORMAT
      " bytes, too, which no folder can hold; fetch them with another tool if they are of use",
      task->size);

  kp_restore_report_failure (self, task->key, error);
}

static gboolean
take_result (KpRestore *self, RestoreTask *task, GError **error)
{
  self->outstanding--;
  if (task->error != NULL)
    {
      if (self->options.retrieve_poll > 0 && task->is_requested
          && kp_error_is (task->error, KP_ERROR_ARCHIVED))
        {
          g_queue_push_tail (&self->archived, kp_restore_task_again (task));
          return TRUE;
        }
      if (kp_error_is (task->error, KP_ERROR_SERVER))
        self->server_failures++;
      if (kp_error_stops_job (task->error) || self->server_failures >= MAX_SERVER_FAILURES)
        {
          g_propagate_error (error, g_steal_pointer (&task->error));
          return FALSE;
        }
      self->result.archived += kp_error_is (task->error, KP_ERROR_ARCHIVED) ? 1 : 0;
      self->result.requested += task->is_requested ? 1 : 0;
      kp_restore_report_failure (self, task->key, task->error);
      return TRUE;
    }

  self->server_failures = 0;
  if (!kp_restore_remember_link (self, task, error))
    return FALSE;
  self->is_ours |= task->is_ours;
  self->result.bytes += task->bytes;
  switch (task->outcome)
    {
    case OUTCOME_UNCHANGED:
      self->result.unchanged++;
      kp_report_add_total (self->report, -1, -(gint64) task->size);
      return TRUE;
    case OUTCOME_KEPT:
      self->result.kept++;
      kp_report_done (self->report, "kept", task->key, 0);
      kp_report_add_total (self->report, 0, -(gint64) task->size);
      return TRUE;
    case OUTCOME_CORRECTED:
      kp_report_add_total (self->report, 0, -(gint64) task->size);
      break;
    case OUTCOME_DIRECTORY:
      if (!kp_restore_remember_folder (self, task, error))
        return FALSE;
      if (task->size > 0)
        {
          report_bytes_of_folder (self, task);
          return TRUE;
        }
      if (!task->is_kept)
        break;
      self->result.unchanged++;
      kp_report_add_total (self->report, -1, 0);
      return TRUE;
    case OUTCOME_RESTORED:
    default:
      report_replaced (self, task);
      break;
    }
  self->result.restored++;
  kp_report_done (self->report, "restored", task->key, task->bytes);
  return TRUE;
}

static gboolean
take_results (KpRestore *self, GError **error)
{
  RestoreTask *next = g_async_queue_timeout_pop (self->results, 100 * G_TIME_SPAN_MILLISECOND);
  gboolean ok = TRUE;

  kp_pool_adapt (self->pool, g_get_monotonic_time ());
  while (ok && next != NULL)
    {
      g_autoptr (RestoreTask) task = next;
      ok = take_result (self, task, error);
      next = ok ? g_async_queue_try_pop (self->results) : NULL;
    }
  return ok && !g_cancellable_set_error_if_cancelled (self->cancellable, error);
}

/* The path below the target, or NULL with an error. */
static char *
path_of (KpRestore *self, const char *key, guint64 size, GError **error)
{
  if (size > KP_S3_MAX_OBJECT_SIZE)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CORRUPT,
                           "The server says that it has more bytes than any object can have");
      return NULL;
    }
  return kp_name_from_key (key + strlen (self->base), error);
}

static gboolean
is_left_out (KpRestore *self, const char *path)
{
  gsize length = strlen (path);
  gboolean is_directory = length > 0 && path[length - 1] == '/';
  g_autofree char *name = g_strndup (path, is_directory ? length - 1 : length);

  return self->options.filter != NULL && *name != '\0'
         && kp_filter_excludes_tree (self->options.filter, name, is_directory);
}

/* What was recorded of an object is about what there is now. */
static void
take_record (KpRestore *self, RestoreTask *task, const char *etag)
{
  g_auto (KpKnown) known = { 0 };

  if (self->record == NULL || !kp_record_find (self->record, task->key, &known))
    return;
  task->is_as_recorded = g_strcmp0 (known.etag, etag) == 0 && known.info.size == task->size;
  /* In the past there were others, of which nothing is recorded any more. */
  task->has_record = task->is_as_recorded || self->options.at == 0;
  if (!task->has_record)
    return;
  task->recorded = known.info;
  task->sha256 = g_steal_pointer (&known.sha256);
  if (task->sha256 == NULL)
    task->chunks = kp_record_find_chunks (self->record, task->key, known.etag);
  if (task->chunks != NULL && !kp_chunks_cover (task->chunks, known.info.size))
    g_clear_pointer (&task->chunks, g_array_unref);
}

static gboolean
is_folder_path (const char *path)
{
  return *path == '\0' || g_str_has_suffix (path, "/");
}

/* Takes @listed over, as far as it needs it. */
static gboolean
push_object (KpRestore *self, KpListed *listed, GError **error)
{
  g_autoptr (GError) key_error = NULL;
  g_autofree char *path = NULL;
  const char *key = listed->key;
  gboolean hidden;

  /* The root of a bucket has no object. */
  if (*key == '\0')
    return TRUE;
  path = path_of (self, key, listed->size, &key_error);
  if (path != NULL && is_left_out (self, path))
    {
      kp_report_add_total (self->report, -1, -(gint64) listed->size);
      return TRUE;
    }
  if (!kp_restore_is_hidden_by_folder (self, key, &hidden, error))
    return FALSE;
  if (path != NULL && hidden)
    g_set_error_literal (&key_error, KP_ERROR, KP_ERROR_CONFLICT, KP_RESTORE_HIDDEN_BY_FOLDER);
  if (path == NULL || key_error != NULL)
    {
      kp_restore_report_failure (self, key, key_error);
      return TRUE;
    }
  if (!self->options.dry_run && !kp_restore_enter_folders (self, path, error))
    return FALSE;
  RestoreTask *task = g_new0 (RestoreTask, 1);
  task->restore = self;
  task->key = g_steal_pointer (&listed->key);
  task->from_key = g_steal_pointer (&listed->from_key);
  task->version_id = g_steal_pointer (&listed->version_id);
  task->path = g_steal_pointer (&path);
  task->size = listed->size;
  task->etag = self->options.at > 0 ? g_strdup (listed->etag) : NULL;
  task->is_kept = self->options.overwrite == KP_OVERWRITE_NEVER && is_folder_path (task->path)
                  && !self->folder_is_new && !self->options.dry_run;
  take_record (self, task, listed->etag);
  self->outstanding++;
  kp_pool_push (self->pool, task);
  return TRUE;
}

/* Returns FALSE with an error when cancelled meanwhile. */
static gboolean
wait_for (KpRestore *self, unsigned seconds, GError **error)
{
  gint64 end = g_get_monotonic_time () + seconds * G_TIME_SPAN_SECOND;

  while (g_get_monotonic_time () < end && !g_cancellable_is_cancelled (self->cancellable))
    g_usleep (MIN (G_USEC_PER_SEC / 5, (gulong) MAX (end - g_get_monotonic_time (), 0)));
  return !g_cancellable_set_error_if_cancelled (self->cancellable, error);
}

/* Waits for a while, and hands out again what lay in the archive. What does not come in time is
 * waited for no longer. */
static gboolean
look_into_archive (KpRestore *self, gint64 *first_look, GError **error)
{
  gint64 now = g_get_monotonic_time ();
  RestoreTask *task;

  if (*first_look == 0)
    {
      *first_look = now;
      kp_report_notice (self->report,
                        "%u files lie in an archive and were asked for: that takes %s",
                        self->archived.length, kp_s3_tier_describe_wait (self->options.retrieve));
    }
  if (now - *first_look > LONGEST_RETRIEVAL)
    self->options.retrieve_poll = 0;
  else if (!wait_for (self, self->options.retrieve_poll, error))
    return FALSE;
  while ((task = g_queue_pop_head (&self->archived)) != NULL)
    {
      self->outstanding++;
      kp_pool_push (self->pool, task);
    }
  return TRUE;
}

static gboolean
fetch_all (KpRestore *self, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (self->catalogue, error);
  gint64 first_look = 0;
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 || self->outstanding > 0 || self->archived.length > 0)
    {
      if (result == 0 && self->outstanding == 0 && !look_into_archive (self, &first_look, error))
        return FALSE;
      for (unsigned room = kp_pool_get_room (self->pool); result == 1 && room > 0; room--)
        {
          g_auto (KpListed) listed = { 0 };
          result = kp_cursor_next_listed (cursor, &listed, error);
          if (result < 0 || (result == 1 && !push_object (self, &listed, error)))
            return FALSE;
        }
      if (self->outstanding > 0 && !take_results (self, error))
        return FALSE;
    }
  return TRUE;
}

/* What was taken for right while nothing was known of the server's ETags, and is wrong as they are
 * MD5s after all. */
static void
report_doubtful (KpRestore *self)
{
  char *key;

  while ((key = g_async_queue_try_pop (self->doubtful)) != NULL)
    {
      g_autofree char *owned = key;
      g_autoptr (GError) error = g_error_new_literal (
          KP_ERROR, KP_ERROR_CORRUPT,
          "It was restored as it is in the bucket, but these are not the bytes that were stored");
      if (g_atomic_int_get (&self->etags) == ETAGS_ARE_MD5)
        kp_restore_report_failure (self, owned, error);
    }
}

/* Names what was stored from here and is no longer in the bucket. */
static gboolean
report_missing (KpRestore *self, GError **error)
{
  g_autofree char *last = NULL;
  char *key;

  if (self->record == NULL || self->options.at > 0 || self->paths != NULL || self->is_object)
    return TRUE;
  while ((key = kp_record_next (self->record, self->base, last)) != NULL)
    {
      g_autofree char *path = kp_name_from_key (key + strlen (self->base), NULL);
      gboolean found;

      g_free (last);
      last = key;
      if (!kp_catalogue_is_listed (self->catalogue, key, &found, error))
        return FALSE;
      if (found || path == NULL || is_left_out (self, path))
        continue;
      g_autoptr (GError) missing
          = g_error_new_literal (KP_ERROR, KP_ERROR_NOT_FOUND,
                                 "It was stored from this computer, and is no longer in the "
                                 "bucket. If another computer has "
                                 "deleted it there, that is no fault");
      kp_restore_report_failure (self, key, missing);
    }
  return TRUE;
}

/* After an error, or when cancelled: what is known of folders is theirs all the same. */
static void
finish_early (KpRestore *self)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  for (void *item; ok && (item = g_async_queue_try_pop (self->results)) != NULL;)
    {
      g_autoptr (RestoreTask) task = item;
      if (task->error == NULL && task->outcome == OUTCOME_DIRECTORY)
        ok = kp_restore_remember_folder (self, task, &error);
    }
  if (!ok || !kp_restore_finish_folders (self, g_get_monotonic_time () + LAST_MOMENTS, &error))
    g_debug ("Cannot finish the folders: %s", error->message);
}

/* Whether what is listed need not be written: something of its size is there. */
static gboolean
is_there (KpRestore *self, const char *path, guint64 size)
{
  struct stat st;

  return self->target_fd >= 0 && fstatat (self->target_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0
         && (self->options.overwrite == KP_OVERWRITE_NEVER || (guint64) st.st_size == size);
}

/* Bytes that the restore is going to write at most. */
static gboolean
sum_needed (KpRestore *self, guint64 *bytes, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (self->catalogue, error);
  int result = cursor != NULL ? 1 : -1;

  *bytes = 0;
  while (result == 1)
    {
      g_auto (KpListed) listed = { 0 };
      g_autofree char *path = NULL;

      result = kp_cursor_next_listed (cursor, &listed, error);
      if (result == 1 && listed.size > 0)
        path = path_of (self, listed.key, listed.size, NULL);
      /* What leads out of the target is not written, and not looked at either. */
      if (path != NULL && kp_beneath_is_safe (path) && !is_left_out (self, path)
          && !is_there (self, path, listed.size))
        {
          guint64 fetched
              = kp_restore_get_fetched (self, listed.key, path, listed.etag, listed.size);
          /* A server may say that there is more than can be added up. */
          *bytes += MIN (listed.size - MIN (listed.size, fetched), G_MAXINT64 - *bytes);
        }
    }
  return result == 0;
}

static gboolean
check_space (KpRestore *self, GError **error)
{
  struct statvfs disk;
  guint64 needed;

  if (self->options.no_space_check || self->target_fd < 0 || fstatvfs (self->target_fd, &disk) < 0
      || disk.f_blocks == 0)
    return TRUE;
  if (!sum_needed (self, &needed, error))
    return FALSE;
  guint64 available = (geteuid () == 0 ? disk.f_bfree : disk.f_bavail) * disk.f_frsize;
  if (needed <= available)
    return TRUE;
  g_autofree char *wanted = kp_size_format (needed);
  g_autofree char *present = kp_size_format (available);
  g_autofree char *target = kp_name_display (self->target);
  g_set_error (
      error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
      "The files need %s, and the disk of “%s” has %s left. Free some space, choose another "
      "folder, or restore a part of them; if many of them have holes, they may fit all the "
      "same: --no-space-check tries it",
      wanted, target, present);
  return FALSE;
}

/* 0755 without what the user's umask forbids. To ask with umask() would change it for other threads
 * meanwhile. */
static guint32
get_default_mode (void)
{
  g_autofree char *status = NULL;
  const char *line;
  guint64 umask = 022;

  if (g_file_get_contents ("/proc/self/status", &status, NULL, NULL)
      && (line = strstr (status, "\nUmask:")) != NULL)
    umask = g_ascii_strtoull (line + strlen ("\nUmask:"), NULL, 8);
  return 0755 & ~(guint32) umask;
}

static gboolean
open_target (KpRestore *self, GError **error)
{
  for (gsize length = strlen (self->target); length > 1 && self->target[length - 1] == '/';)
    self->target[--length] = '\0';
  g_autofree char *parent = g_path_get_dirname (self->target);
  struct stat st;

  self->default_mode = get_default_mode ();
  if (kp_sandbox_hides (self->target))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "“%s” of this computer cannot be reached from the sandbox of Flatpak, which has "
                   "a folder of its own there; choose one in your home folder",
                   self->target);
      return FALSE;
    }
  if (self->options.dry_run)
    {
      self->target_fd = open (self->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      return TRUE;
    }
  self->target_is_new = g_mkdir_with_parents (parent, 0755) == 0
                        && mkdir (self->target, KP_TARGET_UNFINISHED_MODE) == 0;
  if (self->target_is_new || errno == EEXIST)
    self->target_fd = open (self->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->target_fd >= 0 && fstat (self->target_fd, &st) == 0)
    self->target_is_new |= KP_TARGET_IS_UNFINISHED (st.st_mode);
  if (self->target_fd >= 0)
    {
      self->began = kp_target_get_time (self->target_fd);
      return TRUE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot use “%s” as the target folder: %s",
               self->target, g_strerror (errno));
  return FALSE;
}

/* A new target that nothing was put into. */
static void
close_target (KpRestore *self)
{
  g_autoptr (GError) error = NULL;

  if (self->target_fd < 0)
    return;
  if (self->target_is_new && self->folder == NULL
      && !kp_target_leave_directory (self->target_fd, "", self->default_mode, &error))
    g_debug ("%s", error->message);
  close (self->target_fd);
  self->target_fd = -1;
}

static gboolean
run_phases (KpRestore *self, GError **error)
{
  guint64 objects;
  guint64 bytes;

  kp_report_begin_phase (self->report, KP_PHASE_SCANNING);
  if (!kp_catalogue_begin (self->catalogue, error) || !kp_restore_list (self, error)
      || !check_space (self, error)
      || !kp_catalogue_sum_listed (self->catalogue, &objects, &bytes, error))
    return FALSE;

  kp_report_set_total (self->report, objects, bytes);
  kp_report_begin_phase (self->report, KP_PHASE_TRANSFERRING);
  self->results = g_async_queue_new_full (kp_restore_task_free);
  self->doubtful = g_async_queue_new_full (g_free);
  self->budget = kp_budget_new (KP_MEMORY_BUDGET);
  self->pool = kp_pool_new (self->service, self->options.jobs, kp_restore_task_cb,
                            kp_restore_task_drop, self);
  gboolean ok = fetch_all (self, error);
  if (!ok)
    g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->pool, kp_pool_free);
  g_clear_pointer (&self->budget, kp_budget_free);
  ok = ok && kp_restore_join_links (self, error);
  if (ok)
    ok = kp_restore_finish_folders (self, 0, error) && report_missing (self, error)
         && kp_catalogue_commit (self->catalogue, error);
  else
    finish_early (self);
  if (ok)
    report_doubtful (self);
  if (ok && self->replaced > MAX_REPLACED_NAMES)
    kp_report_notice (self->report,
                      "All in all, %u files are others in the bucket than this computer has a "
                      "record of",
                      self->replaced);
  if (ok && self->unproved > 0)
    kp_report_notice (
        self->report,
        "Of %d large files the server has no checksum of all bytes: they were checked by "
        "their length",
        self->unproved);
  g_clear_pointer (&self->doubtful, g_async_queue_unref);
  g_clear_pointer (&self->results, g_async_queue_unref);
  g_queue_clear_full (&self->archived, kp_restore_task_free);
  if (ok && self->result.archived > 0 && self->options.retrieve == KP_S3_TIER_NONE)
    kp_report_notice (self->report,
                      "%" G_GUINT64_FORMAT " files lie in an archive and have to be asked for: "
                      "--retrieve standard (%s), bulk (%s) or expedited (%s)",
                      self->result.archived, kp_s3_tier_describe_wait (KP_S3_TIER_STANDARD),
                      kp_s3_tier_describe_wait (KP_S3_TIER_BULK),
                      kp_s3_tier_describe_wait (KP_S3_TIER_EXPEDITED));
  if (self->is_ours)
    kp_report_notice (self->report, "Only root can give files to other users and groups: what "
                                    "belonged to others belongs to you now");
  return ok;
}

/**
 * kp_restore_run:
 * @error: what ended the restore before its time: any #KpError for which kp_error_stops_job(),
 *   %KP_ERROR_NOT_FOUND when there is nothing to restore, %G_IO_ERROR_CANCELLED. Files that failed
 *   alone are in the result.
 *
 * Runs once. What is complete when it ends early is in place; nothing half-written is.
 */
gboolean
kp_restore_run (KpRestore *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  gulong handler = 0;

  g_return_val_if_fail (self->cancellable == NULL, FALSE);

  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  self->etags = kp_s3_location_get_provider (location)->md5_etag ? ETAGS_ARE_MD5 : ETAGS_UNKNOWN;
  if (!open_target (self, error))
    return FALSE;
  self->cancellable = g_cancellable_new ();
  self->catalogue = kp_catalogue_open_temporary (error);
  if (self->state_dir != NULL)
    self->record = kp_record_open (self->state_dir, location);
  gboolean ok = self->catalogue != NULL;
  handler = kp_cancel_follow (self->cancellable, cancellable);
  g_main_context_push_thread_default (context);
  ok = ok && run_phases (self, error);
  g_main_context_pop_thread_default (context);
  g_cancellable_disconnect (cancellable, handler);

  g_clear_pointer (&self->catalogue, kp_catalogue_free);
  g_clear_pointer (&self->record, kp_record_free);
  close_target (self);
  kp_report_begin_phase (self->report, KP_PHASE_FINISHED);
  return ok;
}

void
kp_restore_get_progress (KpRestore *self, KpProgress *progress)
{
  kp_report_get_progress (self->report, progress);
}

/**
 * kp_restore_get_result:
 * @result: (out): what came of it; to be called when kp_restore_run() has returned
 */
void
kp_restore_get_result (KpRestore *self, KpRestoreResult *result)
{
  *result = self->result;
}

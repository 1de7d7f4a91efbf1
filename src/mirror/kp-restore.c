/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-restore.h"

#include "kp-beneath.h"
#include "kp-budget.h"
#include "kp-catalogue.h"
#include "kp-content.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-pool.h"
#include "kp-s3-listing.h"
#include "kp-target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One range of a large object. */
#define RANGE_SIZE KP_PART_SIZE

#define FIRST_ATTEMPTS 4
#define MAX_SERVER_FAILURES 10

/* How long the folders get to be finished when the restore has ended before its time, in
 * microseconds. Those that do not get their turn are for their owner alone. */
#define LAST_MOMENTS (10 * G_TIME_SPAN_SECOND)

/* In the table of folders, in the place of an ETag: what is known of one. */
#define ONLY_MODE "mode"
#define ALL_METADATA "all"

/* Whether an ETag that looks like an MD5 is the MD5 of the bytes. It is at most providers; where
 * nothing is known of the provider, the first objects tell. */
typedef enum
{
  ETAGS_UNKNOWN,
  ETAGS_ARE_MD5,
  ETAGS_ARE_NOT_MD5,
} Etags;

struct _KpRestore
{
  GObject parent_instance;

  KpS3Service *service;
  char *target;
  KpRestoreOptions options;
  KpReport *report;

  /* Of the run. */
  KpCatalogue *catalogue; /* temporary: the listing, and the folders to finish at the end */
  char *base;             /* what is cut off the keys */
  int target_fd;
  gboolean target_is_new;
  gint64 began;         /* as the target's file system has the time */
  guint32 default_mode; /* of folders that no object tells about */
  char *folder;         /* below the target: that of the last object that was handed out, or NULL */
  int etags;            /* Etags; atomic */
  gboolean is_ours;     /* something belongs to us that belonged to others */
  GCancellable *cancellable;
  KpPool *pool;
  KpBudget *budget;
  GAsyncQueue *results; /* of Task */
  unsigned outstanding;
  unsigned server_failures; /* in a row */
  KpRestoreResult result;
};

G_DEFINE_FINAL_TYPE (KpRestore, kp_restore, G_TYPE_OBJECT)

typedef struct _Download Download;

typedef enum
{
  OUTCOME_RESTORED,
  OUTCOME_UNCHANGED,
  OUTCOME_CORRECTED, /* it was there, but for some of its metadata */
  OUTCOME_KEPT,
  OUTCOME_DIRECTORY, /* made; its metadata follows at the end */
} Outcome;

/* An object, or a range of one, on its way to a worker and back. */
typedef struct
{
  KpRestore *restore;
  char *key;
  char *path;   /* below the target */
  guint64 size; /* as listed */

  /* The outcome. */
  Outcome outcome;
  KpFileInfo info;
  char *xattrs; /* as the object has them */
  gboolean is_ours;
  guint64 bytes;
  GError *error;

  /* Of those that fetch the ranges of a large object, one after the other. */
  Download *download;
} Task;

/* A large object that is fetched in ranges, by a few tasks at once. The last of them completes it.
 */
struct _Download
{
  Task *task; /* owned until it is handed back */
  KpTargetFile *file;
  KpS3Object *object;
  char *wrong_md5; /* of the bytes that came first, when they are not what the ETag says; or NULL */

  GMutex lock;     /* guards what follows */
  unsigned left;   /* tasks */
  guint64 next;    /* the first byte that nobody fetches */
  guint64 fetched; /* bytes */
  GError *error;   /* the first */
};

static void
kp_restore_finalize (GObject *object)
{
  KpRestore *self = KP_RESTORE (object);

  g_clear_object (&self->service);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->report, kp_report_free);
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
 * kp_restore_new:
 * @service: its location names what to restore: all below the prefix, or the one object
 * @target: a folder; made when missing
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
  self->report = kp_report_new (service, func, user_data);
  return self;
}

static void
task_free (void *data)
{
  Task *task = data;

  g_free (task->key);
  g_free (task->path);
  g_free (task->xattrs);
  g_clear_error (&task->error);
  g_free (task);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Task, task_free)

static void
download_free (Download *download)
{
  g_clear_pointer (&download->file, kp_target_file_free);
  g_clear_pointer (&download->object, kp_s3_object_free);
  g_clear_error (&download->error);
  g_free (download->wrong_md5);
  g_mutex_clear (&download->lock);
  g_free (download);
}

/* For what is still in the queue when the pool ends. */
static void
task_drop (void *data)
{
  Task *task = data;
  Download *download = task->download;

  task_free (task);
  if (download != NULL && --download->left == 0)
    {
      task_free (download->task);
      download_free (download);
    }
}

static void
finish (Task *task)
{
  g_async_queue_push (task->restore->results, task);
}

static void
learn_etags (KpRestore *self, Etags etags)
{
  if (g_atomic_int_compare_and_exchange (&self->etags, ETAGS_UNKNOWN, etags)
      && etags == ETAGS_ARE_NOT_MD5)
    kp_report_notice (self->report,
                      "This server does not say the MD5s of its objects: what came twice the same "
                      "is taken for right, and the rest by its length");
}

/* Whether bytes with the checksum @md5 are those of the object. An ETag that looks like an MD5 need
 * not be one, as with keys of a key service (SSE-KMS), and not every server says so in its headers;
 * rclone takes them all for MD5s, and then cannot fetch such an object at all. So what came is
 * fetched once more when it does not fit: errors on the way do not come twice the same. Where no
 * object has had its MD5 yet, that decides; where one has, or the provider is known to send MD5s,
 * the bytes are wrong.
 *
 * @wrong_md5: (inout): the checksum of what came before, or %NULL; set when @again
 * @again: (out): whether to fetch it once more; then there is no error
 */
static gboolean
check_md5 (KpRestore *self,
           const KpS3Object *object,
           const char *md5,
           char **wrong_md5,
           gboolean *again,
           GError **error)
{
  Etags etags = (Etags) g_atomic_int_get (&self->etags);

  *again = FALSE;
  if (g_ascii_strcasecmp (md5, object->etag) == 0)
    {
      learn_etags (self, ETAGS_ARE_MD5);
      return TRUE;
    }
  if (etags == ETAGS_ARE_NOT_MD5)
    return TRUE;
  if (*wrong_md5 == NULL)
    {
      *wrong_md5 = g_strdup (md5);
      *again = TRUE;
      return TRUE;
    }
  if (etags == ETAGS_UNKNOWN && g_str_equal (*wrong_md5, md5))
    {
      learn_etags (self, ETAGS_ARE_NOT_MD5);
      return TRUE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
               "The bytes that the server sent are not those that were stored (MD5 %s, not %s)",
               md5, object->etag);
  return FALSE;
}

static void
set_changed_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "The object changed in the bucket during the restore; restore again");
}

/* What was listed is what is fetched. A reply that does not say the object's size has it as 0. */
static gboolean
check_size (const Task *task, KpS3Object *object, guint64 length, GError **error)
{
  if (object->size != task->size && object->size != 0)
    {
      set_changed_error (error);
      return FALSE;
    }
  if (length != task->size)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
                   "The server sent %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes", length,
                   task->size);
      return FALSE;
    }
  object->size = length;
  return TRUE;
}

/* Takes what the object says its file is. */
static void
take_object (Task *task, const KpS3Object *object)
{
  kp_metadata_from_object (&task->info, object, task->key);
  g_free (task->xattrs);
  task->xattrs = g_strdup (kp_s3_object_get_metadata (object, "xattr"));
}

/* A folder stands in the file's place. It is no file of the user's that could be kept instead, and
 * to remove it with all that is in it is not ours. */
static void
set_folder_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_CONFLICT,
                       "In the target there is a folder of this name; move it away, or restore "
                       "into another target");
}

/* What is to become of the file, seeing what stands in its place: %OUTCOME_RESTORED for fetching
 * it.
 */
static Outcome
judge_existing (const Task *task, const KpFileInfo *existing)
{
  const KpFileInfo *info = &task->info;
  KpOverwrite overwrite = task->restore->options.overwrite;

  if (overwrite == KP_OVERWRITE_ALWAYS)
    return OUTCOME_RESTORED;
  if ((info->mode & S_IFMT) == (existing->mode & S_IFMT) && info->mtime == existing->mtime
      && info->size == existing->size && info->rdev == existing->rdev)
    return OUTCOME_UNCHANGED;
  if (overwrite == KP_OVERWRITE_OLDER
      && kp_metadata_compare_times (existing->mtime, info->mtime) <= 0)
    return OUTCOME_RESTORED;
  return OUTCOME_KEPT;
}

static gboolean
correct (Task *task, KpTargetFile *file, GError **error)
{
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (task->xattrs);
  gboolean changed;

  gboolean ok = kp_target_file_correct (file, &task->info, xattrs, &changed, &task->is_ours, error);
  task->outcome = changed ? OUTCOME_CORRECTED : OUTCOME_UNCHANGED;
  return ok;
}

static gboolean
commit (Task *task, KpTargetFile *file, GError **error)
{
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (task->xattrs);

  task->outcome = OUTCOME_RESTORED;
  return kp_target_file_commit (file, &task->info, xattrs, &task->is_ours, error);
}

/* Takes what is fetched next: how many bytes, or 0 for no more. */
static guint64
take_range (Download *download, guint64 *offset)
{
  guint64 size = download->task->size;

  g_mutex_lock (&download->lock);
  *offset = download->next;
  guint64 length = download->error == NULL ? MIN (RANGE_SIZE, size - download->next) : 0;
  download->next += length;
  g_mutex_unlock (&download->lock);
  return length;
}

static gboolean
fetch_range (Download *download, KpS3Client *client, guint64 offset, guint64 length, GError **error)
{
  KpRestore *self = download->task->restore;
  gboolean ok = FALSE;

  if (!kp_budget_take (self->budget, length, self->cancellable, error))
    return FALSE;
  g_autoptr (GBytes) bytes
      = kp_s3_client_get (client, download->task->key, NULL, offset, length, download->object->etag,
                          NULL, self->cancellable, error);
  if (bytes != NULL && g_bytes_get_size (bytes) != length)
    g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
                 "The server sent %" G_GSIZE_FORMAT " of %" G_GUINT64_FORMAT " bytes",
                 g_bytes_get_size (bytes), length);
  else if (bytes != NULL)
    ok = kp_target_file_write (download->file, offset, bytes, error);
  g_clear_pointer (&bytes, g_bytes_unref);
  kp_budget_give_back (self->budget, length);
  return ok;
}

/* Few tasks for however many ranges: an object may be said to have 50 TB. */
static void
push_range_tasks (Download *download)
{
  KpRestore *self = download->task->restore;
  guint64 n_ranges = (download->task->size + RANGE_SIZE - 1) / RANGE_SIZE;

  download->next = 0;
  download->left = (unsigned) MIN (n_ranges, KP_POOL_MAX_WORKERS);
  for (unsigned i = download->left; i > 0; i--)
    {
      Task *range = g_new0 (Task, 1);
      range->restore = self;
      range->download = download;
      kp_pool_push_first (self->pool, range);
    }
}

/* When all bytes are there. Returns FALSE with an error; @again when they are to be fetched once
 * more. */
static gboolean
prove_download (Download *download, gboolean *again, GError **error)
{
  KpRestore *self = download->task->restore;
  guint64 size = download->task->size;

  *again = FALSE;
  if (!download->object->is_md5_etag)
    return TRUE;
  g_autofree char *md5 = kp_target_file_md5 (download->file, size, self->cancellable, error);
  return md5 != NULL && check_md5 (self, download->object, md5, &download->wrong_md5, again, error)
         && (!*again || kp_target_file_restart (download->file, size, error));
}

/* Ends a large object in the worker that fetched its last range. */
static void
download_end (Download *download)
{
  Task *task = download->task;
  gboolean again = FALSE;

  if (download->error == NULL && prove_download (download, &again, &download->error) && !again
      && commit (task, download->file, &download->error))
    task->bytes = download->fetched;
  if (download->error != NULL || again)
    kp_report_add_bytes (task->restore->report, -(gint64) download->fetched);
  if (again && download->error == NULL)
    {
      download->fetched = 0;
      push_range_tasks (download);
      return;
    }
  task->error = g_steal_pointer (&download->error);
  download_free (download);
  finish (task);
}

/* Fetches one range, and goes to the end of the line for the next. */
static void
download_range (Task *range, KpS3Client *client)
{
  Download *download = range->download;
  KpPool *pool = range->restore->pool;
  g_autoptr (GError) error = NULL;
  guint64 offset;
  guint64 length = take_range (download, &offset);
  gboolean ok = length > 0 && fetch_range (download, client, offset, length, &error);

  if (ok)
    kp_report_add_bytes (download->task->restore->report, (gint64) length);
  g_mutex_lock (&download->lock);
  if (ok)
    download->fetched += length;
  else if (error != NULL && download->error == NULL)
    download->error = g_steal_pointer (&error);
  gboolean more = download->error == NULL && download->next < download->task->size;
  gboolean is_last = !more && --download->left == 0;
  g_mutex_unlock (&download->lock);

  if (more)
    {
      kp_pool_push_first (pool, range);
      return;
    }
  task_free (range);
  if (is_last)
    download_end (download);
}

/* Fetches a large object in ranges. Takes over @file and @object. */
static void
download_begin (Task *task, KpTargetFile *file, KpS3Object *object)
{
  Download *download = g_new0 (Download, 1);

  download->task = task;
  download->file = file;
  download->object = object;
  g_mutex_init (&download->lock);
  push_range_tasks (download);
}

/* Fetches an object in one piece; once more when what came is not what was stored. */
static GBytes *
get_proved (Task *task, KpS3Client *client, KpS3Object **object, GError **error)
{
  KpRestore *self = task->restore;
  g_autofree char *wrong_md5 = NULL;

  for (int tries = 0;; tries++)
    {
      g_autoptr (GError) local_error = NULL;
      gboolean again = FALSE;
      g_autoptr (GBytes) bytes
          = kp_s3_client_get (client, task->key, NULL, 0, MIN (task->size, RANGE_SIZE), NULL,
                              object, self->cancellable, &local_error);

      if (bytes != NULL && check_size (task, *object, g_bytes_get_size (bytes), &local_error)
          && (*object)->is_md5_etag)
        {
          g_autofree char *md5 = g_compute_checksum_for_bytes (G_CHECKSUM_MD5, bytes);
          if (!check_md5 (self, *object, md5, &wrong_md5, &again, &local_error))
            tries = 1;
        }
      if (local_error == NULL && !again)
        return g_steal_pointer (&bytes);
      g_clear_pointer (object, kp_s3_object_free);
      if (!again && (tries > 0 || !kp_error_is (local_error, KP_ERROR_CORRUPT)))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
    }
}

/* Asks about an object before anything is fetched of it. */
static KpS3Object *
look_at (Task *task, KpS3Client *client, GError **error)
{
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, task->key, NULL, task->restore->cancellable, error);

  if (object == NULL)
    return NULL;
  if (object->size != task->size)
    {
      set_changed_error (error);
      return NULL;
    }
  take_object (task, object);
  return g_steal_pointer (&object);
}

/* Fetches an object that is no folder. Returns FALSE with an error; @passed_on when its ranges will
 * finish the task. */
static gboolean
fetch_within_budget (Task *task, KpS3Client *client, gboolean *passed_on, GError **error)
{
  KpRestore *self = task->restore;
  g_autoptr (KpS3Object) object = NULL;
  g_autoptr (GBytes) bytes = NULL;
  KpFileInfo existing;
  gboolean exists;

  *passed_on = FALSE;
  g_autoptr (KpTargetFile) file = kp_target_file_new (self->target_fd, task->path, error);
  if (file == NULL)
    return FALSE;
  kp_target_file_protect (file, self->began);
  if (!kp_target_file_stat (file, &existing, &exists, error))
    return FALSE;
  if (exists && S_ISDIR (existing.mode))
    {
      set_folder_error (error);
      return FALSE;
    }

  /* A GET tells all that a HEAD does: one request for each small file that is not there yet. */
  gboolean in_one = task->size > 0 && task->size <= RANGE_SIZE;
  if (exists || !in_one)
    {
      object = look_at (task, client, error);
      if (object == NULL)
        return FALSE;
      task->outcome = exists ? judge_existing (task, &existing) : OUTCOME_RESTORED;
      if (task->outcome == OUTCOME_UNCHANGED)
        return correct (task, file, error);
      if (task->outcome == OUTCOME_KEPT)
        return TRUE;
    }
  if (task->size > RANGE_SIZE && S_ISREG (task->info.mode))
    {
      if (!kp_target_file_create (file, &task->info, NULL, error))
        return FALSE;
      *passed_on = TRUE;
      download_begin (task, g_steal_pointer (&file), g_steal_pointer (&object));
      return TRUE;
    }

  if (task->size > 0)
    {
      g_clear_pointer (&object, kp_s3_object_free);
      bytes = get_proved (task, client, &object, error);
      if (bytes == NULL)
        return FALSE;
      take_object (task, object);
    }
  else
    bytes = g_bytes_new (NULL, 0);
  if (!kp_target_file_create (file, &task->info, bytes, error)
      || (S_ISREG (task->info.mode) && !kp_target_file_write (file, 0, bytes, error))
      || !commit (task, file, error))
    return FALSE;
  task->bytes = g_bytes_get_size (bytes);
  kp_report_add_bytes (self->report, (gint64) task->bytes);
  return TRUE;
}

static gboolean
fetch (Task *task, KpS3Client *client, gboolean *passed_on, GError **error)
{
  KpRestore *self = task->restore;
  guint64 held = MIN (task->size, RANGE_SIZE);

  if (!kp_budget_take (self->budget, held, self->cancellable, error))
    return FALSE;
  gboolean ok = fetch_within_budget (task, client, passed_on, error);
  kp_budget_give_back (self->budget, held);
  return ok;
}

static gboolean
make_directory (Task *task, KpS3Client *client, GError **error)
{
  KpRestore *self = task->restore;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, task->key, NULL, self->cancellable, error);

  if (object == NULL)
    return FALSE;
  take_object (task, object);
  task->outcome = OUTCOME_DIRECTORY;
  if (*task->path != '\0' && !kp_beneath_is_safe (task->path))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME,
                           "The key is no path of a folder below the target folder");
      return FALSE;
    }
  int fd = kp_beneath_make_directories (self->target_fd, task->path);
  if (fd < 0)
    {
      int code = errno;
      g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT, "Cannot make the folder: %s",
                   code == ENOTDIR ? "there is a file of its name" : g_strerror (code));
      return FALSE;
    }
  close (fd);
  return TRUE;
}

/* Runs in a worker. */
static void
task_cb (KpS3Client *client, void *item, void *user_data)
{
  Task *task = item;
  gboolean passed_on = FALSE;
  gsize length;

  if (task->download != NULL)
    {
      download_range (task, client);
      return;
    }
  length = strlen (task->path);
  if (length == 0 || task->path[length - 1] == '/')
    {
      if (length > 0)
        task->path[length - 1] = '\0';
      if (!make_directory (task, client, &task->error))
        g_assert (task->error != NULL);
    }
  else if (!fetch (task, client, &passed_on, &task->error))
    g_assert (task->error != NULL);
  if (!passed_on)
    finish (task);
}

static void
report_failure (KpRestore *self, const char *key, const GError *error)
{
  self->result.failed++;
  kp_report_failed (self->report, key, error);
}

/* Folders get their metadata when all that lies in them is there; until then they wait in a table.
 */
static gboolean
remember_directory (KpRestore *self, Task *task, GError **error)
{
  g_autoptr (GBytes) xattrs
      = task->xattrs != NULL ? g_bytes_new (task->xattrs, strlen (task->xattrs)) : NULL;
  KpKnown known = { .etag = (char *) ALL_METADATA, .info = task->info, .xattrs = xattrs };

  return kp_catalogue_put_known (self->catalogue, task->path, &known, error);
}

/* Makes a folder that is about to be filled, and notes down the mode that it has to have in the
 * end, unless its own object says more: where that cannot be fetched, a new one stays private. */
static gboolean
enter_folder (KpRestore *self, const char *path, gboolean has_object, GError **error)
{
  KpKnown known = { .etag = (char *) ONLY_MODE };
  gboolean is_new;
  guint32 mode;

  if (!kp_target_enter_directory (self->target_fd, path, &is_new, &mode))
    return TRUE;
  if (is_new || (*path == '\0' && self->target_is_new))
    mode = has_object ? 0700 : self->default_mode;
  known.info.mode = S_IFDIR | mode;
  return kp_catalogue_put_known (self->catalogue, path, &known, error);
}

/* Enters the folders on the way to an object that the last object did not lie in. In the order of
 * keys all that lies in a folder is together, and its own object comes first. */
static gboolean
enter_folders (KpRestore *self, const char *path, GError **error)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *folder = g_strndup (path, slash != NULL ? (gsize) (slash - path) : 0);
  gboolean has_object = slash == NULL ? *path == '\0' : slash[1] == '\0';
  const char *last = self->folder;
  gsize length = 0;

  /* Of a path that leads elsewhere, not even the first folder. */
  if (!kp_beneath_is_safe (has_object ? folder : path) && *path != '\0')
    return TRUE;
  if (last == NULL && !enter_folder (self, "", has_object && *folder == '\0', error))
    return FALSE;
  while (folder[length] != '\0')
    {
      gsize end = length + strcspn (folder + length, "/");
      gboolean is_in = last != NULL && strncmp (last, folder, end) == 0
                       && (last[end] == '/' || last[end] == '\0');
      if (!is_in)
        {
          g_autofree char *part = g_strndup (folder, end);
          last = NULL;
          if (!enter_folder (self, part, has_object && folder[end] == '\0', error))
            return FALSE;
        }
      length = end + (folder[end] == '/' ? 1 : 0);
    }
  g_free (self->folder);
  self->folder = g_steal_pointer (&folder);
  return TRUE;
}

static gboolean
take_result (KpRestore *self, Task *task, GError **error)
{
  self->outstanding--;
  if (task->error != NULL)
    {
      if (kp_error_is (task->error, KP_ERROR_SERVER))
        self->server_failures++;
      if (kp_error_stops_job (task->error) || self->server_failures >= MAX_SERVER_FAILURES)
        {
          g_propagate_error (error, g_steal_pointer (&task->error));
          return FALSE;
        }
      report_failure (self, task->key, task->error);
      return TRUE;
    }

  self->server_failures = 0;
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
      if (!remember_directory (self, task, error))
        return FALSE;
      break;
    case OUTCOME_RESTORED:
    default:
      break;
    }
  self->result.restored++;
  kp_report_done (self->report, "restored", task->key, task->bytes);
  return TRUE;
}

static gboolean
take_results (KpRestore *self, GError **error)
{
  Task *next = g_async_queue_timeout_pop (self->results, 100 * G_TIME_SPAN_MILLISECOND);
  gboolean ok = TRUE;

  kp_pool_adapt (self->pool, g_get_monotonic_time ());
  while (ok && next != NULL)
    {
      g_autoptr (Task) task = next;
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

/* Whether @key is that of a file and there is a folder of its name, too: one of them was the other
 * before, and was not deleted. A disk cannot hold both, and a folder holds more. */
static gboolean
is_hidden_by_folder (KpRestore *self, const char *key, gboolean *hidden, GError **error)
{
  g_autofree char *folder = g_strconcat (key, "/", NULL);

  *hidden = FALSE;
  return g_str_has_suffix (key, "/")
         || kp_catalogue_has_listed_below (self->catalogue, folder, hidden, error);
}

static gboolean
push_object (KpRestore *self, const char *key, guint64 size, GError **error)
{
  g_autoptr (GError) key_error = NULL;
  g_autofree char *path = NULL;
  gboolean hidden;

  /* The root of a bucket has no object. */
  if (*key == '\0')
    return TRUE;
  path = path_of (self, key, size, &key_error);
  if (!is_hidden_by_folder (self, key, &hidden, error))
    return FALSE;
  if (path != NULL && hidden)
    g_set_error_literal (&key_error, KP_ERROR, KP_ERROR_CONFLICT, KP_RESTORE_HIDDEN_BY_FOLDER);
  if (path == NULL || key_error != NULL)
    {
      report_failure (self, key, key_error);
      return TRUE;
    }
  if (!enter_folders (self, path, error))
    return FALSE;
  Task *task = g_new0 (Task, 1);
  task->restore = self;
  task->key = g_strdup (key);
  task->path = g_steal_pointer (&path);
  task->size = size;
  self->outstanding++;
  kp_pool_push (self->pool, task);
  return TRUE;
}

static gboolean
fetch_all (KpRestore *self, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (self->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 || self->outstanding > 0)
    {
      for (unsigned room = kp_pool_get_room (self->pool); result == 1 && room > 0; room--)
        {
          g_autofree char *key = NULL;
          guint64 size;
          result = kp_cursor_next_listed (cursor, &key, &size, error);
          if (result < 0 || (result == 1 && !push_object (self, key, size, error)))
            return FALSE;
        }
      if (self->outstanding > 0 && !take_results (self, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
finish_directory (KpRestore *self, const char *path, KpKnown *known, GError **error)
{
  if (g_str_equal (known->etag, ONLY_MODE))
    return kp_target_leave_directory (self->target_fd, path, known->info.mode & 07777, error);

  g_autofree char *text = known->xattrs != NULL ? g_strndup (g_bytes_get_data (known->xattrs, NULL),
                                                             g_bytes_get_size (known->xattrs))
                                                : NULL;
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);
  gboolean is_ours;

  known->info.atime = known->info.mtime;
  gboolean ok
      = kp_target_set_directory (self->target_fd, path, &known->info, xattrs, &is_ours, error);
  self->is_ours |= is_ours;
  return ok;
}

/* @deadline: monotonic; 0 for none */
static gboolean
finish_directories (KpRestore *self, gint64 deadline, GError **error)
{
  g_autoptr (KpCursor) cursor = kp_catalogue_list_known_backwards (self->catalogue, error);
  int result = 1;

  if (cursor == NULL)
    return FALSE;
  while (result == 1 && (deadline == 0 || g_get_monotonic_time () < deadline))
    {
      g_autofree char *path = NULL;
      g_auto (KpKnown) known = { 0 };
      g_autoptr (GError) local_error = NULL;

      result = kp_cursor_next_known (cursor, &path, &known, error);
      if (result == 1 && !finish_directory (self, path, &known, &local_error))
        report_failure (self, path, local_error);
    }
  return result >= 0;
}

/* After an error, or when cancelled: what is known of folders is theirs all the same. */
static void
finish_early (KpRestore *self)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  for (void *item; ok && (item = g_async_queue_try_pop (self->results)) != NULL;)
    {
      g_autoptr (Task) task = item;
      if (task->error == NULL && task->outcome == OUTCOME_DIRECTORY)
        ok = remember_directory (self, task, &error);
    }
  if (!ok || !finish_directories (self, g_get_monotonic_time () + LAST_MOMENTS, &error))
    g_debug ("Cannot finish the folders: %s", error->message);
}

static gboolean
list_prefix (KpRestore *self,
             KpS3Client *client,
             const char *prefix,
             guint64 *found,
             GError **error)
{
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, NULL, NULL);

  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, client, self->cancellable, error);
      if (page == NULL || !kp_catalogue_add_listed (self->catalogue, page, error))
        return FALSE;
      *found += page->len;
      kp_report_add_listed (self->report, page->len);
      kp_s3_client_set_max_attempts (client, KP_S3_MAX_ATTEMPTS);
    }
  return TRUE;
}

/* Below "prefix/", or else the single object "prefix". */
static gboolean
list_all (KpRestore *self, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (KpS3Client) client = kp_s3_client_new (self->service);
  const char *prefix = kp_s3_location_get_prefix (location);
  guint64 found = 0;

  kp_s3_client_set_max_attempts (client, FIRST_ATTEMPTS);
  self->base = kp_s3_location_get_key (location, "");
  if (!list_prefix (self, client, self->base, &found, error))
    return FALSE;
  if (found > 0)
    return TRUE;

  g_autofree char *name
      = g_strconcat ("s3://", kp_s3_location_get_bucket (location), "/", prefix, NULL);
  g_autoptr (KpS3Object) object
      = *prefix != '\0' ? kp_s3_client_head (client, prefix, NULL, self->cancellable, NULL) : NULL;
  if (object == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND,
                   "There is nothing at “%s”; keepsakectl ls shows what there is", name);
      return FALSE;
    }
  const char *slash = strrchr (prefix, '/');
  g_free (self->base);
  self->base = slash != NULL ? g_strndup (prefix, (gsize) (slash + 1 - prefix)) : g_strdup ("");
  g_autoptr (GPtrArray) page = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_entry_free);
  KpS3Entry *entry = kp_s3_entry_new ();
  entry->key = g_strdup (prefix);
  entry->size = object->size;
  entry->etag = g_strdup (object->etag);
  g_ptr_array_add (page, entry);
  return kp_catalogue_add_listed (self->catalogue, page, error);
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

  self->default_mode = get_default_mode ();
  self->target_is_new = g_mkdir_with_parents (parent, 0755) == 0 && mkdir (self->target, 0700) == 0;
  if (self->target_is_new || errno == EEXIST)
    self->target_fd = open (self->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
  if (!kp_catalogue_begin (self->catalogue, error) || !list_all (self, error)
      || !kp_catalogue_sum_listed (self->catalogue, &objects, &bytes, error))
    return FALSE;

  kp_report_set_total (self->report, objects, bytes);
  kp_report_begin_phase (self->report, KP_PHASE_TRANSFERRING);
  self->results = g_async_queue_new_full (task_free);
  self->budget = kp_budget_new (KP_MEMORY_BUDGET);
  self->pool = kp_pool_new (self->service, self->options.jobs, task_cb, task_drop, self);
  gboolean ok = fetch_all (self, error);
  if (!ok)
    g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->pool, kp_pool_free);
  g_clear_pointer (&self->budget, kp_budget_free);
  if (ok)
    ok = finish_directories (self, 0, error) && kp_catalogue_commit (self->catalogue, error);
  else
    finish_early (self);
  g_clear_pointer (&self->results, g_async_queue_unref);
  if (self->is_ours)
    kp_report_notice (self->report, "Only root can give files to other users and groups: what "
                                    "belonged to others belongs to you now");
  return ok;
}

static void
forward_cancel_cb (GCancellable *theirs, GCancellable *ours)
{
  g_cancellable_cancel (ours);
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
  gboolean ok = self->catalogue != NULL;
  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (forward_cancel_cb), self->cancellable,
                                     NULL);
  g_main_context_push_thread_default (context);
  ok = ok && run_phases (self, error);
  g_main_context_pop_thread_default (context);
  g_cancellable_disconnect (cancellable, handler);

  g_clear_pointer (&self->catalogue, kp_catalogue_free);
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

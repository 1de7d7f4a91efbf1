/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the files of a restore share: kp-restore.c lists, hands out and sums up,
 * kp-restore-folders.c makes folders and finishes them in the end, kp-restore-fetch.c fetches in
 * the workers, kp-restore-links.c makes files one again. */

#include "kp-budget.h"
#include "kp-catalogue.h"
#include "kp-content.h"
#include "kp-pool.h"
#include "kp-record.h"
#include "kp-restore.h"
#include "kp-target.h"

G_BEGIN_DECLS

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
  char **paths; /* of the options */
  char *state_dir;
  KpReport *report;

  /* Of the run. */
  KpCatalogue *catalogue; /* temporary: the listing, and the folders to finish at the end */
  KpRecord *record;       /* of what was stored; NULL where nothing is known */
  gboolean is_object;     /* the address is one object */
  char *base;             /* what is cut off the keys */
  int target_fd;          /* -1 with dry_run, where there is none */
  gboolean target_is_new;
  gint64 began;         /* as the target's file system has the time */
  guint32 default_mode; /* of folders that no object tells about */
  char *folder;         /* below the target: that of the last object that was handed out, or NULL */
  gboolean folder_is_new; /* of those that were entered, the last */
  int etags;              /* Etags; atomic */
  int unproved;           /* large files of which only the length is known; atomic */
  int etag_doubts;       /* objects whose ETag was not their MD5, while nothing was known; atomic */
  GAsyncQueue *doubtful; /* of char*: their keys */
  gboolean is_ours;      /* something belongs to us that belonged to others */
  GCancellable *cancellable;
  KpPool *pool;
  KpBudget *budget;
  GAsyncQueue *results; /* of Task */
  GQueue archived;      /* of RestoreTask: asked for, and waited for */
  unsigned outstanding;
  unsigned server_failures; /* in a row */
  unsigned replaced;        /* restored, and not what was stored from here */
  gboolean told_unsure;     /* that nothing of something is kept */
  gint64 told_gap;          /* since when the past is complete, as was said; Unix seconds */
  KpRestoreResult result;
};

typedef struct _RestoreDownload RestoreDownload;

typedef enum
{
  OUTCOME_RESTORED,
  OUTCOME_UNCHANGED,
  OUTCOME_CORRECTED, /* it was there, but for some of its metadata */
  OUTCOME_KEPT,
  OUTCOME_DIRECTORY, /* made; its metadata follows at the end */
} RestoreOutcome;

/* An object, or a range of one, on its way to a worker and back. */
typedef struct
{
  KpRestore *restore;
  char *key;        /* that it has, or had, in the mirror */
  char *from_key;   /* where it is kept now; NULL for under its key */
  char *version_id; /* or NULL */
  char *path;       /* below the target */
  guint64 size;     /* as listed */

  gboolean is_kept;  /* a folder that was there before, and stays as it is */
  gboolean replaces; /* a file stands in its place, and only what is proved may take it */
  char *etag;        /* as listed, of a moment of the past; or NULL */

  /* What was recorded of it. */
  gboolean has_record;
  gboolean is_as_recorded; /* the object, by its ETag and size */
  KpFileInfo recorded;     /* mode, size and mtime */
  GBytes *sha256;          /* of the bytes that were stored; NULL where that is not known */
  GArray *chunks;          /* of KpChunk, the same of a large file; or NULL */

  gboolean is_proved; /* its bytes are those that were recorded of this object */

  /* The outcome. */
  RestoreOutcome outcome;
  KpFileInfo info;
  char *xattrs;    /* as the object has them */
  char *hard_link; /* the same: who the file is, of which it was one name; or NULL */
  gboolean is_ours;
  gboolean is_requested; /* from the archive */
  guint64 bytes;
  GError *error;

  /* Of those that fetch the ranges of a large object, one after the other. */
  RestoreDownload *download;
} RestoreTask;

/* A large object that is fetched in ranges, by a few tasks at once. The last of them completes it.
 */
struct _RestoreDownload
{
  RestoreTask *task; /* owned until it is handed back */
  KpTargetFile *file;
  KpS3Object *object;
  char *wrong_md5; /* of the bytes that came first, when they are not what the ETag says; or NULL */

  GMutex lock;        /* guards what follows */
  gboolean is_second; /* what came first was not what was recorded */
  unsigned left;      /* tasks */
  guint64 next;       /* the first byte that nobody fetches */
  guint64 fetched;    /* bytes */
  GError *error;      /* the first */
};

void kp_restore_report_failure (KpRestore *restore, const char *key, const GError *error);
gboolean kp_restore_list (KpRestore *restore, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_restore_is_hidden_by_folder (KpRestore *restore,
                                         const char *key,
                                         gboolean *hidden,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_restore_enter_folders (KpRestore *restore, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_restore_remember_folder (KpRestore *restore, const RestoreTask *task, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_restore_finish_folders (KpRestore *restore, gint64 deadline, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
guint64 kp_restore_get_fetched (KpRestore *restore,
                                const char *key,
                                const char *path,
                                const char *etag,
                                guint64 size);
RestoreTask *kp_restore_task_again (const RestoreTask *task);
void kp_restore_task_free (void *data);
void kp_restore_task_drop (void *data);
gboolean kp_restore_remember_link (KpRestore *restore, const RestoreTask *task, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_restore_join_links (KpRestore *restore, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_restore_task_cb (KpS3Client *client, void *item, void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (RestoreTask, kp_restore_task_free)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-transfer.c (feeding, small files, copies), kp-upload.c (large files in parts) and
 * kp-transfer-record.c (what came of them) share. */

#include "kp-budget.h"
#include "kp-layout.h"
#include "kp-mirror-private.h"
#include "kp-pool.h"

G_BEGIN_DECLS

/* How often a file is read again that changed meanwhile. */
#define KP_TRANSFER_MAX_READS 3

typedef struct _KpUpload KpUpload;

typedef struct
{
  KpMirror *mirror;
  KpPool *pool;
  GAsyncQueue *results; /* of KpTask */
  GMutex lock;          /* guards what follows */
  GCond recorded_more;
  GCond enough_results;
  guint64 wake_at;    /* of n_results: when the job's thread wants to be woken */
  guint64 n_results;  /* put into the queue… */
  guint64 n_recorded; /* …and recorded, or failed to be; counted alike */

  unsigned outstanding;     /* actions with the workers */
  gboolean has_success;     /* some action was carried out */
  unsigned server_failures; /* in a row */
  unsigned refusals;        /* before the first success */
  unsigned denials;         /* in a row, since the first success */
  GQueue denied;            /* of KpTask: denied before the first success */
  const KpS3Provider *provider;
  const char *storage_class; /* asked for, or NULL */
  gint no_part_copy;         /* atomic: the server turned out not to copy parts */
  unsigned names_unsaid; /* objects left as they are, which do not say what other names there are */
  unsigned names_left_out; /* the same of objects that have no room for it */

  KpBudget *budget;
} KpTransfer;

typedef enum
{
  KP_TASK_ACTION,       /* a change: carried out by a worker, or its outcome */
  KP_TASK_PART,         /* one part of a large file, for a worker */
  KP_TASK_CHUNKS,       /* finding the chunks of a large file, for a worker */
  KP_TASK_BEGINNING,    /* to be recorded: an upload is about to be begun */
  KP_TASK_NOT_BEGUN,    /* to be recorded: the server would not begin it */
  KP_TASK_UPLOAD_BEGUN, /* to be recorded: the server has begun an upload */
  KP_TASK_PART_DONE,    /* to be recorded: the server has a part */
  KP_TASK_UPLOAD_GONE,  /* to be recorded: an upload was ended without an object */
} KpTaskKind;

/* What goes to the workers and comes back. */
typedef struct
{
  KpTaskKind kind;
  KpTransfer *transfer;

  /* Of an action. */
  KpChange change;
  KpAction carried_out;      /* what it came to: a link may have had to be a put */
  KpLayout *layout;          /* of a large file, where it is known before */
  GArray *chunks;            /* of KpChunk: of a large file, where they are known before */
  KpUploadRow *earlier;      /* an upload that an earlier job began for this key */
  GHashTable *earlier_parts; /* its parts' ETags by number */
  KpKnown known;             /* the outcome, to be recorded */
  gboolean has_no_xattrs;    /* of what is open: nothing that could have any, or not to be read */
  gboolean xattrs_left_out;
  gboolean only_names;     /* it is written again for what it says of the file's other names… */
  gboolean is_left;        /* …and was not, in the end */
  gboolean names_left_out; /* there was no room for what it would say of them */
  gboolean class_refused;  /* the object's storage class cannot be written */
  gboolean is_kept;        /* what its object replaces was looked after */
  gboolean keep_failed;    /* …or could not be: the error is of that */
  gboolean vanished;       /* the file was deleted since the scan */
  gint64 opened_at; /* wall clock in microseconds: when its times were looked at, before a byte was
                       read */
  guint64 bytes;    /* of bodies that the server confirmed */
  GError *error;

  /* Of a part, or of what is to be recorded about an upload. */
  KpUpload *upload;
  unsigned part;       /* from 0 */
  gboolean is_awaited; /* a worker waits until it is recorded */
  KpUploadRow *row;
  char *etag;
} KpTask;

void kp_task_free (void *task);
KpTask *kp_task_new (KpTransfer *transfer, KpTaskKind kind);
gboolean kp_task_open_file (KpTask *task, int *fd, KpFileInfo *info, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpS3HeaderList *kp_task_make_headers (KpTask *task, int fd, const KpFileInfo *info, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_task_set_known (KpTask *task, const KpFileInfo *info, char *etag, GBytes *sha256);
void kp_task_set_changed_error (GError **error);
gboolean kp_task_leave_names (KpTask *task, const GError *error);
gboolean kp_task_check_object (KpTask *task,
                               KpS3Client *client,
                               const char *key,
                               const char *etag,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_task_keep (KpTask *task, KpS3Client *client, GError **error) G_GNUC_WARN_UNUSED_RESULT;

void kp_task_finish (KpTask *task);
gboolean kp_task_finish_and_wait (KpTask *task, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_transfer_take_results (KpTransfer *transfer, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_transfer_check_denials (KpTransfer *transfer, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_transfer_drain (KpTransfer *transfer);

void kp_upload_begin (KpTask *task, KpS3Client *client);
void kp_upload_do_part (KpTask *task, KpS3Client *client);
void kp_upload_do_chunks (KpTask *task, KpS3Client *client);
void kp_upload_drop_task (KpTask *task);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpTask, kp_task_free)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a job tells while it runs and when it has ended: progress to be asked for at any time,
 * events as they happen, and a result. Thread-safe. Nothing that did not happen goes unsaid: each
 * file that failed is one event with its reason. */

#include "kp-s3-service.h"

G_BEGIN_DECLS

typedef enum
{
  KP_PHASE_STARTING,
  KP_PHASE_SCANNING,     /* walking the sources, listing the bucket */
  KP_PHASE_COMPARING,    /* looking at what may have changed */
  KP_PHASE_TRANSFERRING, /* sending or receiving */
  KP_PHASE_DELETING,
  KP_PHASE_FINISHED,
} KpPhase;

typedef struct
{
  KpPhase phase;
  guint64 files_scanned;
  guint64 objects_listed;
  guint64 compared;      /* files and objects that were looked at more closely */
  guint64 actions_total; /* known from the end of comparing on */
  guint64 actions_done;
  guint64 bytes_total; /* bodies to move, known from the end of comparing on */
  guint64 bytes_done;  /* of those, confirmed by the server, or safely on disk */
  guint64
      bytes_moved; /* of those, at least partly on the way: between bytes_done and bytes_total */
  guint64 failed;
  gint64 transfer_started; /* monotonic, microseconds; 0 before */
} KpProgress;

typedef enum
{
  KP_EVENT_PHASE,  /* a phase begins */
  KP_EVENT_DONE,   /* an action was carried out, or with --dry-run would be */
  KP_EVENT_FAILED, /* one file could not be handled; the job goes on */
  KP_EVENT_NOTICE, /* something the user should know */
} KpEventType;

typedef struct
{
  KpEventType type;
  KpPhase phase;
  const char *action;  /* "put", "delete" …; of DONE */
  const char *path;    /* file name bytes; of DONE and FAILED */
  guint64 bytes;       /* of DONE */
  const GError *error; /* of FAILED */
  const char *text;    /* of NOTICE */
} KpEvent;

/* Called from any thread, but never from two at once. */
typedef void (*KpEventFunc) (const KpEvent *event, void *user_data);

typedef struct _KpReport KpReport;

KpReport *kp_report_new (KpS3Service *service, KpEventFunc func, void *user_data);
void kp_report_free (KpReport *report);

void kp_report_begin_phase (KpReport *report, KpPhase phase);
void kp_report_done (KpReport *report, const char *action, const char *path, guint64 bytes);
void kp_report_failed (KpReport *report, const char *path, const GError *error);
void kp_report_notice (KpReport *report, const char *format, ...) G_GNUC_PRINTF (2, 3);
void kp_report_add_scanned (KpReport *report, guint64 files);
void kp_report_add_listed (KpReport *report, guint64 objects);
void kp_report_add_compared (KpReport *report, guint64 looks);
void kp_report_set_total (KpReport *report, guint64 actions, guint64 bytes);
void kp_report_add_total (KpReport *report, gint64 actions, gint64 bytes);
void kp_report_add_bytes (KpReport *report, gint64 bytes);
void kp_report_get_progress (KpReport *report, KpProgress *progress);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpReport, kp_report_free)

G_END_DECLS

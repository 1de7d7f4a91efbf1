/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Brings files back from a mirror into a folder. Needs nothing but the bucket: no catalogue, no
 * plan. Writes only below the target folder, whatever the keys say, and replaces no newer file
 * unless asked. Blocks; for a thread of its own. */

#include "kp-filter.h"
#include "kp-report.h"
#include "kp-s3-archive.h"

G_BEGIN_DECLS

/* Why a file is not restored, and cannot be. */
#define KP_RESTORE_HIDDEN_BY_FOLDER                                                                \
  "The bucket has a file and a folder of this name, of which a disk can hold only one; the "       \
  "folder "                                                                                        \
  "is restored. Delete from the bucket which of them is out of date, as mirroring with --delete "  \
  "does"

#define KP_TYPE_RESTORE (kp_restore_get_type ())
G_DECLARE_FINAL_TYPE (KpRestore, kp_restore, KP, RESTORE, GObject)

typedef enum
{
  KP_OVERWRITE_NEVER,  /* what exists stays */
  KP_OVERWRITE_OLDER,  /* what exists is replaced unless it is newer */
  KP_OVERWRITE_ALWAYS, /* what exists is replaced */
} KpOverwrite;

/* What is asked for by a name that a file and a folder of the bucket may have. */
typedef enum
{
  KP_RESTORE_ANY,    /* the folder, where there are both; that the file is left out is told */
  KP_RESTORE_FILE,   /* the file */
  KP_RESTORE_FOLDER, /* the folder, or the file where there is no folder */
} KpRestoreKind;

typedef struct
{
  KpOverwrite overwrite;
  KpRestoreKind kind;       /* of what the address, or each of the paths, names */
  unsigned jobs;            /* workers; 0 to find out */
  gint64 at;                /* the moment to restore, Unix seconds; 0 for now */
  gboolean dry_run;         /* only tell what would be done */
  gboolean no_space_check;  /* begin although the disk seems to be too small */
  KpFilter *filter;         /* or NULL: what it leaves out stays in the bucket */
  KpS3Tier retrieve;        /* how to ask for what lies in an archive */
  unsigned retrieve_poll;   /* seconds between looks for it; 0 not to wait for it */
  const char *state_dir;    /* or NULL: of the mirrors, whose records tell what was stored */
  const char *const *paths; /* or NULL: only these, file name bytes below the service's prefix */
} KpRestoreOptions;

typedef struct
{
  guint64 restored;  /* files, folders and links */
  guint64 unchanged; /* were there already */
  guint64 kept;      /* were there, differ, and were left as they are */
  guint64 failed;
  guint64 archived;  /* of those, lie in an archive */
  guint64 requested; /* of those, were asked for */
  guint64 bytes;     /* written */
} KpRestoreResult;

gboolean kp_overwrite_parse (const char *text, KpOverwrite *overwrite);
gboolean kp_restore_kind_parse (const char *text, KpRestoreKind *kind);

KpRestore *kp_restore_new (KpS3Service *service,
                           const char *target,
                           const KpRestoreOptions *options,
                           KpEventFunc func,
                           void *user_data);
gboolean kp_restore_run (KpRestore *restore, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_restore_get_progress (KpRestore *restore, KpProgress *progress);
void kp_restore_get_result (KpRestore *restore, KpRestoreResult *result);

G_END_DECLS

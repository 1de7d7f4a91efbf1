/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Writing one restored file so that no half of it ever stands under its name: a file without a name
 * or with a temporary one in the same folder, the bytes, metadata, fsync, then the name. Never
 * outside of the target folder. */

#include "kp-metadata.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _KpTargetFile KpTargetFile;

KpTargetFile *kp_target_file_new (int root_fd, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_target_file_free (KpTargetFile *file);
void kp_target_file_protect (KpTargetFile *file, gint64 since);
gboolean kp_target_file_stat (KpTargetFile *file,
                              KpFileInfo *info,
                              gboolean *exists,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_target_file_replace_only_what_was_seen (KpTargetFile *file);
gboolean kp_target_file_create (KpTargetFile *file,
                                const KpFileInfo *info,
                                GBytes *link_target,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_file_create_partial (KpTargetFile *file,
                                        const KpFileInfo *info,
                                        const char *identity,
                                        guint64 n_ranges,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_is_unfinished (const char *name);
guint64 kp_target_get_partial_size (int root_fd, const char *path, const char *identity);
gboolean kp_target_file_has_range (KpTargetFile *file, guint64 range);
gboolean kp_target_file_mark_range (KpTargetFile *file, guint64 range, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_target_file_discard (KpTargetFile *file);
gboolean kp_target_file_write (KpTargetFile *file, guint64 offset, GBytes *bytes, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_file_restart (KpTargetFile *file, guint64 size, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GBytes *kp_target_file_digest (KpTargetFile *file,
                               GChecksumType type,
                               guint64 start,
                               guint64 size,
                               GCancellable *cancellable,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_file_commit (KpTargetFile *file,
                                const KpFileInfo *info,
                                GPtrArray *xattrs,
                                gboolean *is_ours,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_file_correct (KpTargetFile *file,
                                 const KpFileInfo *info,
                                 GPtrArray *xattrs,
                                 gboolean *changed,
                                 gboolean *is_ours,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What becomes of two files that were names of one. */
typedef enum
{
  KP_JOIN_DONE,       /* they are names of one */
  KP_JOIN_DIFFERENT,  /* they are not equal, or the first is going to be another */
  KP_JOIN_IMPOSSIBLE, /* they may be, and stay apart all the same */
} KpJoin;

/* A file that was restored, or found as it has to be. */
typedef struct
{
  const char *path;       /* below the target */
  gboolean is_new;        /* this restore has written it */
  gboolean is_ours_alone; /* it has no further names than those that are being restored */
} KpJoinFile;

KpJoin kp_target_join (int root_fd,
                       const KpJoinFile *first,
                       const KpJoinFile *other,
                       GCancellable *cancellable);

/* The mode of a folder that a restore has made and not finished yet: for us alone, and with a bit
 * that says so to the next restore, as no other folder has it with this mode. */
#define KP_TARGET_UNFINISHED_MODE 01700

/* Below a folder that says so, a new one belongs to the same group, and says so, too (mkdir(2)). */
#define KP_TARGET_IS_UNFINISHED(mode) (((mode) &05777) == KP_TARGET_UNFINISHED_MODE)

gint64 kp_target_get_time (int root_fd);
gboolean kp_target_enter_directory (int root_fd, const char *path, gboolean *made, guint32 *mode)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_leave_directory (int root_fd, const char *path, guint32 mode, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_target_stat_directory (int root_fd, const char *path, KpFileInfo *info);
void kp_target_put_back_times (int root_fd, const char *path, const KpFileInfo *info);
gboolean kp_target_set_directory (int root_fd,
                                  const char *path,
                                  const KpFileInfo *info,
                                  GPtrArray *xattrs,
                                  gboolean *is_ours,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpTargetFile, kp_target_file_free)

G_END_DECLS

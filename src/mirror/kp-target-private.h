/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the files of the target share: kp-target.c writes one file, kp-target-directory.c enters and
 * leaves folders, kp-target-metadata.c gives both what belongs to them, kp-target-partial.c
 * remembers how far a large file has come, kp-target-link.c makes two equal files one. */

#include "kp-target.h"

#include <sys/stat.h>

G_BEGIN_DECLS

/* Temporary names: this and eight hexadecimal digits. */
#define TEMPORARY_PREFIX ".keepsake-"

/* What was fetched of a large file: this and so many hexadecimal digits. */
#define PARTIAL_PREFIX ".keepsake-part-"
#define PARTIAL_DIGITS 24

struct _KpTargetFile
{
  int parent_fd; /* O_PATH */
  char *name;
  char *temporary_name; /* NULL for none: before creation, after the rename, or for O_TMPFILE */
  int fd;               /* of a regular file */
  gint64 protected;     /* what was made from this time on is not replaced, in nanoseconds */

  gboolean only_what_was_seen; /* nothing else is replaced */
  gboolean saw_something;
  struct stat seen; /* if so: what kp_target_file_stat() found */

  /* Of a file that a later restore can go on with. */
  guint8 *done; /* for each range, whether it is there; NULL for any other file */
  guint64 n_ranges;
  guint64 size;
};

gboolean kp_target_set_error (GError **error, const char *what);
void kp_target_take_failure (GError **failure, const char *what);
gboolean kp_target_pass_on (GError *failure, GError **error);
char *kp_target_magic_link (int fd);
int kp_target_change_mode (int fd, gboolean is_path_only, guint32 mode);
gboolean kp_target_has_xattrs (int fd, GPtrArray *xattrs);
void kp_target_set_xattrs (int fd, GPtrArray *xattrs, gboolean *changed, GError **failure);
void kp_target_set_owner_and_mode (int fd,
                                   gboolean is_path_only,
                                   const KpFileInfo *info,
                                   gboolean *changed,
                                   gboolean *is_ours,
                                   GError **failure);
void kp_target_set_times (int fd, gboolean is_path_only, const KpFileInfo *info, GError **failure);

G_END_DECLS

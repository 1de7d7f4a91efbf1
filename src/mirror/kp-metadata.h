/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a file is besides its bytes, and how that is written on an object: the headers of s3fs,
 * which rclone reads too. docs/formats.md describes every one of them. Pure but for reading
 * attributes. */

#include "kp-s3-object.h"

#include <sys/stat.h>

G_BEGIN_DECLS

/* What headers of one object may hold of ours: names and values (Amazon S3 user guide, "Working
 * with object metadata"). */
#define KP_METADATA_MAX 2048

typedef struct
{
  guint32 mode; /* type and permissions, as st_mode */
  guint32 uid;
  guint32 gid;
  guint64 size; /* bytes; of a symbolic link: of its target's text; 0 for all but regular files */
  gint64 mtime; /* nanoseconds since 1970, modulo 2^64: see kp_metadata_make_time() */
  gint64 ctime;
  gint64 atime;
  guint64 dev;
  guint64 ino;
  guint64 rdev;
  guint64 nlink;
} KpFileInfo;

void kp_file_info_from_stat (KpFileInfo *info, const struct stat *st);
gboolean kp_file_info_same_content (const KpFileInfo *a, const KpFileInfo *b);

gint64 kp_metadata_make_time (gint64 seconds, gint64 nanoseconds);
gint64 kp_metadata_get_precision (gint64 ctime);
void kp_metadata_split_time (gint64 time, gint64 *seconds, gint64 *nanoseconds);
int kp_metadata_compare_times (gint64 a, gint64 b);
char *kp_metadata_format_time (gint64 nanoseconds);
gboolean kp_metadata_parse_time (const char *text, gint64 *nanoseconds);

/* Extended attributes of the user, sorted by name. */
typedef struct
{
  char *name; /* "user.…" */
  GBytes *value;
} KpXattr;

GPtrArray *kp_xattrs_read (int fd, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_xattrs_format (GPtrArray *xattrs);
GPtrArray *kp_xattrs_parse (const char *text);
gboolean kp_xattrs_same_digest (GBytes *a, GBytes *b);
GBytes *kp_xattrs_digest (GPtrArray *xattrs);

/* Says which names were one file: see kp_metadata_read_hard_link(). */
#define KP_METADATA_HARD_LINK "x-amz-meta-hardlink"

char *kp_metadata_read_hard_link (int fd);

KpS3HeaderList *kp_metadata_to_headers (const KpFileInfo *info,
                                        GPtrArray *xattrs,
                                        const char *hard_link,
                                        const char *path,
                                        const char *storage_class,
                                        gboolean *xattrs_left_out);
gboolean kp_metadata_from_object (KpFileInfo *info, const KpS3Object *object, const char *key);
char *kp_metadata_key (const char *key, guint32 mode);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* One folder, or single file, that a job mirrors, and where its names go in the bucket. */

#include "kp-catalogue.h"

G_BEGIN_DECLS

typedef struct
{
  char *path;        /* absolute */
  char *key;         /* of its contents: "prefix/name/"; of a single file: "prefix/name" */
  char *folder_key;  /* "prefix/name/", also of a single file: it may have been a folder */
  char *file_key;    /* "prefix/name"; NULL of contents, which can be no file */
  char *reserved;    /* below here are no files: what a mirror keeps, as ".keepsake-kept/" */
  char *filter_path; /* what patterns see before a name in it: "name/" or "" */
  gboolean is_file;
  int fd;          /* of the folder, or of the folder that holds the file; -1 until opened */
  char *file_name; /* of a single file */

  /* A folder that is not entered, as a job changes it: with its own records. 0: none. */
  guint64 own_dev;
  guint64 own_ino;

  /* Known after kp_source_open(). */
  KpRootIdentity identity;

  /* Known after the scan. */
  guint64 n_entries;   /* without the root itself */
  gboolean is_unknown; /* the bucket had objects of it, and the catalogue did not know it */

  /* Counted when comparing. */
  guint64 n_vanished;   /* objects that are gone for good */
  guint64 n_strange;    /* of these, those that the catalogue does not know of */
  guint64 n_foreign;    /* of these, those of a folder that would be a file now, or the reverse */
  gboolean awaits_disk; /* there is half an upload of a file on a disk that is away */
} KpSource;

KpSource *kp_source_new (const char *argument, const char *stored_as, KpS3Location *location);
gboolean kp_source_open (KpSource *source, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_source_leave_out (KpSource *source, const char *folder);
gboolean kp_source_covers (const KpSource *source, const char *key);
const char *kp_source_get_below (const KpSource *source, const char *key);
gboolean kp_source_identify (int fd, KpRootIdentity *identity) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_source_has_key (KpSource *source, const char *key);
gboolean kp_source_has_changed (KpSource *source, const char *path, gint64 since);
int kp_source_open_file (KpSource *source, const char *path, int flags);
char *kp_source_read_link (KpSource *source, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
char *kp_source_full_path (KpSource *source, const char *path);
void kp_source_free (KpSource *source);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpSource, kp_source_free)

G_END_DECLS

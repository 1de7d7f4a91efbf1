/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Reading a file's bytes while somebody may be writing them: whole into memory, in parts, or only
 * their hashes. What was read is only believed when the file was the same before and after. */

#include "kp-chunker.h"
#include "kp-metadata.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* The largest object sent in one piece, and the smallest part of those that are not, in bytes. */
#define KP_PART_SIZE (8 * 1024 * 1024)

/* Bytes of file contents that a job has in memory at once, over all workers. */
#define KP_MEMORY_BUDGET (4 * KP_PART_SIZE)

guint64 kp_content_part_size (guint64 size, unsigned max_parts);

gboolean kp_content_stat (int fd, KpFileInfo *info, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gssize kp_content_read_up_to (int fd, guint64 offset, void *buffer, gsize length);
GBytes *kp_content_read (int fd, guint64 offset, guint64 length, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_content_is_settled (const KpFileInfo *info, gint64 now);

/* Gets a file's bytes from the first to the last. */
typedef void (*KpContentFunc) (const guint8 *bytes, gsize length, void *user_data);

GArray *kp_content_chunks (int fd,
                           guint64 size,
                           KpContentFunc func,
                           void *user_data,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_content_wait_settled (int fd, KpFileInfo *info, gint64 *at, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  GBytes *sha256; /* 32 bytes */
  char *etag;     /* as servers make it that use MD5, when sent as we send it; or NULL */
} KpContentHashes;

gboolean kp_content_hash (int fd,
                          guint64 size,
                          guint64 part_size,
                          gboolean with_etag,
                          KpContentHashes *hashes,
                          GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_content_hashes_clear (KpContentHashes *hashes);
char *kp_content_md5 (GBytes *bytes) G_GNUC_WARN_UNUSED_RESULT;
char *kp_content_to_hex (const guint8 *bytes, gsize length);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpContentHashes, kp_content_hashes_clear)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The operations of S3, synchronous, with connections of their own: one client for each worker
 * thread, never shared. All errors are KpError, or G_IO_ERROR_CANCELLED.
 *
 * It knows nothing of files, plans or mirrors. */

#include "kp-s3-object.h"
#include "kp-s3-service.h"

G_BEGIN_DECLS

/* How often a request is sent before its error counts, unless told otherwise: about half a minute.
 */
#define KP_S3_MAX_ATTEMPTS 8

typedef struct _KpS3Client KpS3Client;

KpS3Client *kp_s3_client_new (KpS3Service *service);
void kp_s3_client_free (KpS3Client *client);
KpS3Service *kp_s3_client_get_service (KpS3Client *client);
SoupSession *kp_s3_client_get_session (KpS3Client *client);
unsigned kp_s3_client_get_max_attempts (KpS3Client *client);
void kp_s3_client_set_max_attempts (KpS3Client *client, unsigned attempts);
const guint8 *kp_s3_client_get_signing_key (KpS3Client *client,
                                            const char *date,
                                            const char *region);
gsize kp_s3_client_get_head_size (KpS3Client *client);
void kp_s3_client_set_head_size (KpS3Client *client, gsize bytes);
GSocket *kp_s3_client_get_socket (KpS3Client *client);
void kp_s3_client_set_socket (KpS3Client *client, GSocket *socket);
KpS3Watch *kp_s3_client_get_watch (KpS3Client *client);

char *kp_s3_client_put (KpS3Client *client,
                        const char *key,
                        KpS3HeaderList *headers,
                        GBytes *body,
                        const char *sha256,
                        GCancellable *cancellable,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
GBytes *kp_s3_client_get (KpS3Client *client,
                          const char *key,
                          const char *version_id,
                          guint64 offset,
                          guint64 length,
                          const char *if_match,
                          KpS3Object **object,
                          GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Object *kp_s3_client_head (KpS3Client *client,
                               const char *key,
                               const char *version_id,
                               GCancellable *cancellable,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_s3_client_copy (KpS3Client *client,
                         const char *source_key,
                         const char *source_etag,
                         const char *key,
                         KpS3HeaderList *headers,
                         GCancellable *cancellable,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_s3_client_copy_as_is (KpS3Client *client,
                               const char *source_key,
                               const char *source_etag,
                               const char *key,
                               const char *storage_class,
                               GCancellable *cancellable,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_s3_client_delete (KpS3Client *client,
                              const char *key,
                              GCancellable *cancellable,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How many keys one request can delete. A page of a listing may hold more. */
#define KP_S3_DELETE_AT_ONCE 1000

/* Called for each key that could not be deleted. */
typedef void (*KpS3DeleteErrorFunc) (const char *key, const GError *error, void *user_data);
gboolean kp_s3_client_delete_many (KpS3Client *client,
                                   const char *const *keys,
                                   guint n_keys,
                                   KpS3DeleteErrorFunc func,
                                   void *user_data,
                                   GCancellable *cancellable,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A part that the server has. */
typedef struct
{
  unsigned number; /* 1 … 10,000 */
  guint64 size;    /* bytes */
  char *etag;
} KpS3Part;

/* An upload that was begun and neither completed nor aborted. */
typedef struct
{
  char *key;
  char *upload_id;
  gint64 initiated; /* Unix seconds; 0 where unknown */
} KpS3Upload;

unsigned kp_s3_client_get_attempts (KpS3Client *client);
char *kp_s3_client_create_upload (KpS3Client *client,
                                  const char *key,
                                  KpS3HeaderList *headers,
                                  GCancellable *cancellable,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_s3_client_upload_part (KpS3Client *client,
                                const char *key,
                                const char *upload_id,
                                unsigned number,
                                GBytes *body,
                                const char *sha256,
                                GCancellable *cancellable,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_s3_client_copy_part (KpS3Client *client,
                              const char *source_key,
                              const char *source_etag,
                              guint64 offset,
                              guint64 length,
                              const char *key,
                              const char *upload_id,
                              unsigned number,
                              GCancellable *cancellable,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_s3_client_complete_upload (KpS3Client *client,
                                    const char *key,
                                    const char *upload_id,
                                    KpS3HeaderList *headers,
                                    const char *const *part_etags,
                                    guint n_parts,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_s3_client_abort_upload (KpS3Client *client,
                                    const char *key,
                                    const char *upload_id,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_s3_client_list_parts (KpS3Client *client,
                                    const char *key,
                                    const char *upload_id,
                                    GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_s3_client_list_uploads (KpS3Client *client,
                                      const char *prefix,
                                      GCancellable *cancellable,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_s3_client_get_versioning (KpS3Client *client,
                                      gboolean *enabled,
                                      gboolean *has_been,
                                      GCancellable *cancellable,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

void kp_s3_part_free (KpS3Part *part);
void kp_s3_upload_free (KpS3Upload *upload);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpS3Client, kp_s3_client_free)

G_END_DECLS

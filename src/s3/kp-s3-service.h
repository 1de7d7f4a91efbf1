/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What all connections to one destination share: where it is, who we are, both throttles, and what
 * was learnt on the way (the server's clock, the bucket's region, which calls it knows).
 * Thread-safe.
 *
 * It opens no connection itself: that is KpS3Client, one for each worker thread. */

#include "kp-s3-credentials.h"
#include "kp-s3-location.h"
#include "kp-s3-watchdog.h"
#include "kp-throttle.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_S3_SERVICE (kp_s3_service_get_type ())
G_DECLARE_FINAL_TYPE (KpS3Service, kp_s3_service, KP, S3_SERVICE, GObject)

typedef enum
{
  KP_S3_OPERATION_LIST,
  KP_S3_OPERATION_HEAD,
  KP_S3_OPERATION_GET,
  KP_S3_OPERATION_PUT,
  KP_S3_OPERATION_COPY,
  KP_S3_OPERATION_MULTIPART,
  KP_S3_OPERATION_DELETE,
  KP_S3_OPERATION_RETRIEVE, /* out of an archive */
  KP_S3_OPERATION_BUCKET,
} KpS3Operation;

#define KP_S3_N_OPERATIONS (KP_S3_OPERATION_BUCKET + 1)

typedef struct
{
  guint64 requests[KP_S3_N_OPERATIONS]; /* attempts that were sent */
  guint64 retries;
  guint64 slow_downs;
  guint64 bytes_up;   /* bodies and headers */
  guint64 bytes_down; /* bodies and headers */
} KpS3Statistics;

/* Called from any thread, with one sentence that the user should see once. */
typedef void (*KpS3NoticeFunc) (const char *sentence, void *user_data);

KpS3Service *kp_s3_service_new (KpS3Location *location,
                                KpS3Credentials *credentials,
                                const char *ca_bundle,
                                KpThrottle *upload,
                                KpThrottle *download,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_s3_service_set_notice_func (KpS3Service *service, KpS3NoticeFunc func, void *user_data);
void kp_s3_service_notice (KpS3Service *service, const char *format, ...) G_GNUC_PRINTF (2, 3);

void kp_s3_service_set_timeout (KpS3Service *service, unsigned seconds);
unsigned kp_s3_service_get_timeout (KpS3Service *service);

void kp_s3_service_set_held (KpS3Service *service, gboolean held);
gboolean kp_s3_service_is_held (KpS3Service *service);
gboolean kp_s3_service_wait_while_held (KpS3Service *service,
                                        GCancellable *cancellable,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

KpS3Location *kp_s3_service_ref_location (KpS3Service *service);
KpS3Credentials *kp_s3_service_get_credentials (KpS3Service *service);
GTlsDatabase *kp_s3_service_get_tls_database (KpS3Service *service);
KpThrottle *kp_s3_service_get_upload_throttle (KpS3Service *service);
KpThrottle *kp_s3_service_get_download_throttle (KpS3Service *service);

gint64 kp_s3_service_get_now (KpS3Service *service);
void kp_s3_service_learn_time (KpS3Service *service, gint64 server_time);
void kp_s3_service_hear_time (KpS3Service *service, const char *date);
gint64 kp_s3_service_get_server_time (KpS3Service *service);
void kp_s3_service_learn_versions (KpS3Service *service);
gboolean kp_s3_service_makes_versions (KpS3Service *service);
void kp_s3_service_learn_md5 (KpS3Service *service);
gboolean kp_s3_service_needs_md5 (KpS3Service *service);
KpS3Watchdog *kp_s3_service_get_watchdog (KpS3Service *self);

gboolean kp_s3_service_is_region (const char *region);
gboolean kp_s3_service_learn_region (KpS3Service *service, KpS3Location *used, const char *region);
unsigned kp_s3_service_get_list_version (KpS3Service *service);
void kp_s3_service_fall_back_to_list_v1 (KpS3Service *service);
gboolean kp_s3_service_lists_in_order (KpS3Service *service);
void kp_s3_service_learn_unordered (KpS3Service *service);
gboolean kp_s3_service_has_multi_delete (KpS3Service *service);
void kp_s3_service_give_up_multi_delete (KpS3Service *service);

void kp_s3_service_count (KpS3Service *service, KpS3Operation operation, gboolean is_retry);
void kp_s3_service_count_slow_down (KpS3Service *service);
guint64 kp_s3_service_count_large_body (KpS3Service *service);
void kp_s3_service_get_statistics (KpS3Service *service, KpS3Statistics *statistics);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Gives up requests that come to nothing slowly. The timeout of a socket is for one operation: a
 * server that sends a byte now and then holds a request for ever. So each attempt at a request is
 * watched, and cancelled when less than KP_S3_WATCH_MIN_BYTES were moved in so much time. Time that
 * we spend waiting for our own throttle does not count.
 *
 * One thread for all the attempts of a service; it sleeps while there are none. */

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_S3_WATCH_MIN_BYTES 1024

typedef struct _KpS3Watchdog KpS3Watchdog;
typedef struct _KpS3Watch KpS3Watch;

KpS3Watchdog *kp_s3_watchdog_new (void);
void kp_s3_watchdog_free (KpS3Watchdog *watchdog);

KpS3Watch *kp_s3_watch_new (KpS3Watchdog *watchdog);
void kp_s3_watch_free (KpS3Watch *watch);
void kp_s3_watch_begin (KpS3Watch *watch, unsigned seconds, GCancellable *cancellable);
gboolean kp_s3_watch_end (KpS3Watch *watch);
GCancellable *kp_s3_watch_get_cancellable (KpS3Watch *watch);
void kp_s3_watch_moved (KpS3Watch *watch, gsize bytes);
void kp_s3_watch_pause (KpS3Watch *watch);
void kp_s3_watch_resume (KpS3Watch *watch);

GInputStream *kp_s3_watch_inside (KpS3Watch *watch, GInputStream *base);

G_END_DECLS

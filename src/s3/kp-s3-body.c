/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-body.h"

#include <string.h>

struct _KpS3Body
{
  GInputStream parent_instance;

  GBytes *bytes;
  gsize offset; /* of the next byte to be read */
  KpThrottle *throttle;
  KpS3Watch *watch; /* outlives the reading */
};

G_DEFINE_FINAL_TYPE (KpS3Body, kp_s3_body, G_TYPE_INPUT_STREAM)

static gssize
kp_s3_body_read (GInputStream *stream,
                 void *buffer,
                 gsize count,
                 GCancellable *cancellable,
                 GError **error)
{
  KpS3Body *self = KP_S3_BODY (stream);
  gsize size;
  const guint8 *data = g_bytes_get_data (self->bytes, &size);
  gsize wanted = MIN (count, size - self->offset);

  if (wanted == 0)
    return 0;
  kp_s3_watch_pause (self->watch);
  gsize granted = kp_throttle_acquire (self->throttle, wanted, cancellable, error);
  kp_s3_watch_resume (self->watch);
  if (granted == 0)
    return -1;
  memcpy (buffer, data + self->offset, granted);
  self->offset += granted;
  return (gssize) granted;
}

static void
kp_s3_body_finalize (GObject *object)
{
  KpS3Body *self = KP_S3_BODY (object);

  g_bytes_unref (self->bytes);
  g_object_unref (self->throttle);
  G_OBJECT_CLASS (kp_s3_body_parent_class)->finalize (object);
}

static void
kp_s3_body_class_init (KpS3BodyClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_s3_body_finalize;
  G_INPUT_STREAM_CLASS (klass)->read_fn = kp_s3_body_read;
}

static void
kp_s3_body_init (KpS3Body *self)
{
}

/**
 * kp_s3_body_new:
 * @throttle: what holds the bytes back
 * @watch: is paused meanwhile, and counts none of the bytes: who sends them does
 *
 * Returns: (transfer full): a stream with @bytes, to be read synchronously
 */
GInputStream *
kp_s3_body_new (GBytes *bytes, KpThrottle *throttle, KpS3Watch *watch)
{
  KpS3Body *self = g_object_new (KP_TYPE_S3_BODY, NULL);

  self->bytes = g_bytes_ref (bytes);
  self->throttle = g_object_ref (throttle);
  self->watch = watch;
  return G_INPUT_STREAM (self);
}

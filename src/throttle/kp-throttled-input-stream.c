/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-throttle"

#include "kp-throttled-input-stream.h"

struct _KpThrottledInputStream
{
  GFilterInputStream parent_instance;

  KpThrottle *throttle; /* (owned) */
};

G_DEFINE_FINAL_TYPE (KpThrottledInputStream, kp_throttled_input_stream, G_TYPE_FILTER_INPUT_STREAM)

/* Tokens come first: read first, and the bytes would be lost when the wait is cancelled. What the
 * base did not deliver, at its end above all, goes back to the throttle.
 *
 * Skipping costs the same as reading: on a network the bytes come all the way here too. */
static gssize
read_or_skip (KpThrottledInputStream *self,
              void *buffer, /* (nullable): NULL to skip */
              gsize count,
              GCancellable *cancellable,
              GError **error)
{
  GInputStream *base = g_filter_input_stream_get_base_stream (G_FILTER_INPUT_STREAM (self));

  if (count == 0)
    return 0;

  gsize granted = kp_throttle_acquire (self->throttle, count, cancellable, error);
  if (granted == 0)
    return -1;

  gssize done = buffer != NULL ? g_input_stream_read (base, buffer, granted, cancellable, error)
                               : g_input_stream_skip (base, granted, cancellable, error);
  kp_throttle_refund (self->throttle, granted - (gsize) MAX (done, 0));
  return done;
}

static gssize
kp_throttled_input_stream_read (GInputStream *stream,
                                void *buffer,
                                gsize count,
                                GCancellable *cancellable,
                                GError **error)
{
  return read_or_skip (KP_THROTTLED_INPUT_STREAM (stream), buffer, count, cancellable, error);
}

static gssize
kp_throttled_input_stream_skip (GInputStream *stream,
                                gsize count,
                                GCancellable *cancellable,
                                GError **error)
{
  return read_or_skip (KP_THROTTLED_INPUT_STREAM (stream), NULL, count, cancellable, error);
}

static void
kp_throttled_input_stream_dispose (GObject *object)
{
  KpThrottledInputStream *self = KP_THROTTLED_INPUT_STREAM (object);

  /* Closes the stream, which may close the base. */
  G_OBJECT_CLASS (kp_throttled_input_stream_parent_class)->dispose (object);

  g_clear_object (&self->throttle);
}

static void
kp_throttled_input_stream_class_init (KpThrottledInputStreamClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GInputStreamClass *stream_class = G_INPUT_STREAM_CLASS (klass);

  object_class->dispose = kp_throttled_input_stream_dispose;
  stream_class->read_fn = kp_throttled_input_stream_read;
  stream_class->skip = kp_throttled_input_stream_skip;
}

static void
kp_throttled_input_stream_init (KpThrottledInputStream *self)
{
}

/**
 * kp_throttled_input_stream_new:
 * @base: where the bytes come from
 * @throttle: where they are counted and held back
 *
 * Closing the stream closes @base, unless #GFilterInputStream:close-base-stream is unset.
 *
 * Returns: (transfer full): a stream with the bytes of @base
 */
GInputStream *
kp_throttled_input_stream_new (GInputStream *base, KpThrottle *throttle)
{
  g_return_val_if_fail (G_IS_INPUT_STREAM (base), NULL);
  g_return_val_if_fail (KP_IS_THROTTLE (throttle), NULL);

  KpThrottledInputStream *self
      = g_object_new (KP_TYPE_THROTTLED_INPUT_STREAM, "base-stream", base, NULL);
  self->throttle = g_object_ref (throttle);
  return G_INPUT_STREAM (self);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A stream whose bytes go through a throttle: the body of a request, or the reply to one.
 *
 * The bytes are those of the base stream. Reading and skipping block until the throttle grants
 * bytes, and hear their cancellable while they do. It is made for synchronous use in a thread of
 * one's own; it cannot seek. */

#include "kp-throttle.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_THROTTLED_INPUT_STREAM (kp_throttled_input_stream_get_type ())
G_DECLARE_FINAL_TYPE (KpThrottledInputStream,
                      kp_throttled_input_stream,
                      KP,
                      THROTTLED_INPUT_STREAM,
                      GFilterInputStream)

GInputStream *kp_throttled_input_stream_new (GInputStream *base, KpThrottle *throttle);

G_END_DECLS

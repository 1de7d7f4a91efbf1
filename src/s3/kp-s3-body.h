/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The body of a request as libsoup reads it: bytes that go through a throttle, where the time that
 * is spent waiting for the throttle does not count against the server.
 *
 * One object does what a memory stream, a throttled and a watched one around it would do: each was
 * asked for every 8 KiB. */

#include "kp-s3-watchdog.h"
#include "kp-throttle.h"

G_BEGIN_DECLS

#define KP_TYPE_S3_BODY (kp_s3_body_get_type ())
G_DECLARE_FINAL_TYPE (KpS3Body, kp_s3_body, KP, S3_BODY, GInputStream)

GInputStream *kp_s3_body_new (GBytes *bytes, KpThrottle *throttle, KpS3Watch *watch);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The arithmetic of a token bucket, and nothing else: no lock, no clock, no waiting.
 *
 * Times are microseconds of a clock that never goes back, and are passed in. Only KpThrottle uses
 * this; it stands by itself so that its promises can be tested without waiting for them.
 *
 * Grants are at most 1/50 s of the rate and at most 1/25 s is saved up. The bucket holds 1/50 s
 * more than one grant: a waiter that the scheduler wakes late by less than that loses nothing, and
 * no second sees more than 104 % of the rate. What is missed beyond that, up to 1/5 s, is made up
 * for slowly, at no more than 5 % above the rate: the mean over ten seconds stays true also where a
 * server takes its time between two requests, no second sees more than 109 %, and no ten seconds
 * more than 102.4 %. What is left to 110 and 103 % covers the jitter between a grant and the wire.
 * Below 25 KiB/s a grant would become too small to be worth
 * a system call, so KP_TOKEN_BUCKET_MIN_QUANTUM takes over. */

#include <glib.h>

G_BEGIN_DECLS

/* The smallest full grant, in bytes. */
#define KP_TOKEN_BUCKET_MIN_QUANTUM 512

typedef struct
{
  guint64 rate;   /* bytes per second; 0 is no limit */
  gint64 credit;  /* what may be sent, in millionths of a byte; below 0 it is a debt */
  gint64 arrears; /* what could not be saved up, in the same unit; at least 0 */
  gint64 updated; /* the time for which credit is true */
} KpTokenBucket;

void kp_token_bucket_init (KpTokenBucket *bucket, guint64 rate, gint64 now);
void kp_token_bucket_set_rate (KpTokenBucket *bucket, guint64 rate, gint64 now);
gsize kp_token_bucket_quantum (const KpTokenBucket *bucket);
gsize kp_token_bucket_take (KpTokenBucket *bucket, gsize wanted, gint64 now);
gint64 kp_token_bucket_wait (KpTokenBucket *bucket, gsize wanted, gint64 now);
void kp_token_bucket_charge (KpTokenBucket *bucket, gsize bytes, gint64 now);
void kp_token_bucket_refund (KpTokenBucket *bucket, gsize bytes, gint64 now);

G_END_DECLS

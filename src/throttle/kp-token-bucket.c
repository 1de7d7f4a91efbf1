/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-token-bucket.h"

/* One byte in units of credit: bytes per second times microseconds gives millionths of a byte, so
 * that nothing is ever rounded. */
#define BYTE G_GINT64_CONSTANT (1000000)

/* Faster than any line, and slow enough that the capacity in units of credit fits in 64 bits. */
#define MAX_RATE G_GUINT64_CONSTANT (1000000000000)

/* A debt beyond this is forgotten; it stands for months at any rate that people set. */
#define MAX_DEBT (G_MAXINT64 / 4)

#define QUANTUMS_PER_SECOND 50

/* What the line missed while a waiter slept too long or a server kept everybody waiting, at most
 * 1/5 s of the rate, comes back over the next seconds: an eighth of it in the first, and so never
 * more than 1/40 of the rate on top. */
#define MAX_ARREARS_DIVISOR 5
#define ARREARS_TIME (8 * G_TIME_SPAN_SECOND)

static gint64
capacity (const KpTokenBucket *bucket)
{
  return (gint64) (kp_token_bucket_quantum (bucket) + bucket->rate / QUANTUMS_PER_SECOND) * BYTE;
}

static gint64
max_arrears (const KpTokenBucket *bucket)
{
  return (gint64) (bucket->rate / MAX_ARREARS_DIVISOR) * BYTE;
}

static void
refill (KpTokenBucket *bucket, gint64 now)
{
  if (now <= bucket->updated)
    return;

  gint64 elapsed = now - bucket->updated;
  bucket->updated = now;
  if (bucket->rate == 0)
    return;

  gint64 missing = capacity (bucket) - bucket->credit;
  gint64 rate = (gint64) bucket->rate;
  gint64 room = max_arrears (bucket) - bucket->arrears;

  /* Compared by division: after a night of idling the product would overflow. */
  if (elapsed > missing / rate)
    {
      gint64 late = elapsed - missing / rate;
      bucket->credit += missing;
      bucket->arrears += late > room / rate ? room : late * rate;
      return;
    }

  gint64 back = bucket->arrears / ARREARS_TIME * MIN (elapsed, ARREARS_TIME);
  back = MIN (back, missing - elapsed * rate);
  bucket->credit += elapsed * rate + back;
  bucket->arrears -= back;
}

/**
 * kp_token_bucket_init:
 * @rate: bytes per second; 0 is no limit
 * @now: microseconds
 *
 * The bucket starts empty: the first second is like any other.
 */
void
kp_token_bucket_init (KpTokenBucket *bucket, guint64 rate, gint64 now)
{
  bucket->rate = MIN (rate, MAX_RATE);
  bucket->credit = 0;
  bucket->arrears = 0;
  bucket->updated = now;
}

/**
 * kp_token_bucket_set_rate:
 * @rate: bytes per second; 0 is no limit
 * @now: microseconds
 *
 * What was earned at the old rate stays, up to the capacity at the new one. Debts stay too; only
 * switching the limit off forgets them. What was missed at the old rate is forgotten.
 */
void
kp_token_bucket_set_rate (KpTokenBucket *bucket, guint64 rate, gint64 now)
{
  refill (bucket, now);
  if (bucket->rate == 0 || rate == 0)
    bucket->credit = 0;
  bucket->arrears = 0;
  bucket->rate = MIN (rate, MAX_RATE);
  if (bucket->rate != 0)
    bucket->credit = MIN (bucket->credit, capacity (bucket));
}

/**
 * kp_token_bucket_quantum:
 *
 * Returns: the most that is granted at once, in bytes; without a limit there is no such thing, and
 *   the answer is %KP_TOKEN_BUCKET_MIN_QUANTUM
 */
gsize
kp_token_bucket_quantum (const KpTokenBucket *bucket)
{
  return (gsize) MAX (bucket->rate / QUANTUMS_PER_SECOND, KP_TOKEN_BUCKET_MIN_QUANTUM);
}

/**
 * kp_token_bucket_take:
 * @wanted: bytes
 * @now: microseconds
 *
 * Takes @wanted, or one quantum if that is less. There is nothing in between: were a bucket emptied
 * byte by byte as the bytes come in, every read would carry a few bytes and cost a wake-up.
 *
 * Returns: the bytes taken, or 0 when one has to wait for kp_token_bucket_wait()
 */
gsize
kp_token_bucket_take (KpTokenBucket *bucket, gsize wanted, gint64 now)
{
  if (bucket->rate == 0)
    return wanted;

  gsize bytes = MIN (wanted, kp_token_bucket_quantum (bucket));
  refill (bucket, now);
  if (bucket->credit < (gint64) bytes * BYTE)
    return 0;
  bucket->credit -= (gint64) bytes * BYTE;
  return bytes;
}

/**
 * kp_token_bucket_wait:
 * @wanted: bytes, as for kp_token_bucket_take()
 * @now: microseconds
 *
 * Returns: the microseconds after which kp_token_bucket_take() will succeed; 0 if it would now
 */
gint64
kp_token_bucket_wait (KpTokenBucket *bucket, gsize wanted, gint64 now)
{
  if (bucket->rate == 0)
    return 0;

  gint64 rate = (gint64) bucket->rate;
  gsize bytes = MIN (wanted, kp_token_bucket_quantum (bucket));
  refill (bucket, now);
  gint64 missing = (gint64) bytes * BYTE - bucket->credit;
  return missing > 0 ? (missing + rate - 1) / rate : 0;
}

/**
 * kp_token_bucket_charge:
 * @bytes: what was sent without asking
 * @now: microseconds
 */
void
kp_token_bucket_charge (KpTokenBucket *bucket, gsize bytes, gint64 now)
{
  if (bucket->rate == 0)
    return;

  /* Refilled first: a bucket that was full an hour ago is full now, not an hour deep. */
  refill (bucket, now);
  gint64 room = bucket->credit + MAX_DEBT;
  bucket->credit -= bytes < (gsize) (room / BYTE) ? (gint64) bytes * BYTE : room;
}

/**
 * kp_token_bucket_refund:
 * @bytes: what was taken and not sent
 * @now: microseconds
 */
void
kp_token_bucket_refund (KpTokenBucket *bucket, gsize bytes, gint64 now)
{
  if (bucket->rate == 0)
    return;

  refill (bucket, now);
  gint64 room = capacity (bucket) - bucket->credit;
  bucket->credit += bytes < (guint64) (room / BYTE) ? (gint64) bytes * BYTE : room;
}

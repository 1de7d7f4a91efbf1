/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-throttle"

#include "kp-throttle.h"

#include "kp-token-bucket.h"

#include <stdatomic.h>

/* How long the wall clock is believed, in microseconds. The monotonic clock, which says when to
 * look again, stands still while the computer sleeps and does not hear of a clock that was set. */
#define MAX_RECHECK (5 * G_TIME_SPAN_SECOND)

/* The shortest sleep worth a wake-up, in microseconds; far below what the bucket makes up for. */
#define MIN_SLEEP 2000

/* "There is no timetable to look at." */
#define NEVER G_MAXINT64

struct _KpThrottle
{
  GObject parent_instance;

  KpWallClockFunc clock;
  gpointer clock_data;

  GMutex lock; /* guards what follows, up to the atomics */
  KpTokenBucket bucket;
  GQueue waiters;         /* (element-type Waiter) (unowned): the head is served next */
  guint64 rate;           /* as set, in force without a timetable; 0 is none */
  KpTimetable *timetable; /* (owned) (nullable) */
  KpDirection direction;  /* the column of the timetable */
  gboolean suspended;

  /* Written with the lock held, read without it: an unlimited throttle costs no lock. */
  atomic_bool limited;
  _Atomic (gint64) recheck_at; /* monotonic; NEVER without a timetable */
  atomic_uint_least64_t total;
};

G_DEFINE_FINAL_TYPE (KpThrottle, kp_throttle, G_TYPE_OBJECT)

/* A thread inside of kp_throttle_acquire(), on its stack. Everybody has a condition of his own, so
 * that only the one whose turn it is wakes up. */
typedef struct
{
  KpThrottle *throttle;
  GList link; /* in the queue; its data is the waiter */
  GCond turn;
} Waiter;

static void
wake_head (KpThrottle *self)
{
  Waiter *head = g_queue_peek_head (&self->waiters);
  if (head != NULL)
    g_cond_signal (&head->turn);
}

/* Brings the bucket to the rate that is in force at @now. The lock is held. */
static void
apply_rate (KpThrottle *self, gint64 now)
{
  guint64 rate = self->rate;
  gint64 recheck_at = NEVER;

  if (self->suspended)
    {
      rate = 0;
    }
  else if (self->timetable != NULL)
    {
      g_autoptr (GDateTime) local = self->clock (self->clock_data);
      gint64 seconds = kp_timetable_next_change (self->timetable, local, self->direction);

      rate = kp_timetable_rate_at (self->timetable, local, self->direction);
      recheck_at = now + MAX_RECHECK;
      if (seconds >= 0)
        recheck_at = MIN (recheck_at, now + seconds * G_TIME_SPAN_SECOND);
    }

  kp_token_bucket_set_rate (&self->bucket, rate, now);
  atomic_store (&self->recheck_at, recheck_at);
  atomic_store (&self->limited, rate != 0);
  wake_head (self);
}

static void
apply_rate_if_due (KpThrottle *self, gint64 now)
{
  if (now >= atomic_load (&self->recheck_at))
    apply_rate (self, now);
}

/* Whether there is no limit at present. Takes no lock, and looks at a clock only if there is a
 * timetable. */
static gboolean
is_unlimited (KpThrottle *self)
{
  gint64 recheck_at = atomic_load (&self->recheck_at);

  return !atomic_load (&self->limited)
         && (recheck_at == NEVER || g_get_monotonic_time () < recheck_at);
}

static GDateTime *
local_time (gpointer user_data)
{
  return g_date_time_new_now_local ();
}

static void
kp_throttle_finalize (GObject *object)
{
  KpThrottle *self = KP_THROTTLE (object);

  g_assert (g_queue_is_empty (&self->waiters));
  g_clear_pointer (&self->timetable, kp_timetable_unref);
  g_mutex_clear (&self->lock);

  G_OBJECT_CLASS (kp_throttle_parent_class)->finalize (object);
}

static void
kp_throttle_class_init (KpThrottleClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = kp_throttle_finalize;
}

static void
kp_throttle_init (KpThrottle *self)
{
  g_mutex_init (&self->lock);
  g_queue_init (&self->waiters);
  atomic_init (&self->limited, FALSE);
  atomic_init (&self->recheck_at, NEVER);
  atomic_init (&self->total, 0);
}

/**
 * kp_throttle_new:
 * @bytes_per_second: the limit; 0 is none
 *
 * Returns: (transfer full): a throttle
 */
KpThrottle *
kp_throttle_new (guint64 bytes_per_second)
{
  return kp_throttle_new_with_clock (bytes_per_second, local_time, NULL);
}

/**
 * kp_throttle_new_with_clock:
 * @bytes_per_second: the limit; 0 is none
 * @clock: tells a timetable the time on the wall
 * @user_data: for @clock
 *
 * Returns: (transfer full): a throttle
 */
KpThrottle *
kp_throttle_new_with_clock (guint64 bytes_per_second, KpWallClockFunc clock, gpointer user_data)
{
  KpThrottle *self = g_object_new (KP_TYPE_THROTTLE, NULL);

  self->clock = clock;
  self->clock_data = user_data;
  self->rate = bytes_per_second;
  kp_token_bucket_init (&self->bucket, bytes_per_second, g_get_monotonic_time ());
  atomic_store (&self->limited, bytes_per_second != 0);
  return self;
}

/**
 * kp_throttle_set_rate:
 * @bytes_per_second: the limit; 0 is none
 *
 * Sets a limit that does not depend on the time, in place of the timetable if there is one. Streams
 * that wait feel it at once. While the throttle is suspended, the limit is remembered.
 */
void
kp_throttle_set_rate (KpThrottle *self, guint64 bytes_per_second)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  g_mutex_lock (&self->lock);
  self->rate = bytes_per_second;
  g_clear_pointer (&self->timetable, kp_timetable_unref);
  apply_rate (self, g_get_monotonic_time ());
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_get_rate:
 *
 * Returns: the limit in force now, in bytes per second; 0 is none
 */
guint64
kp_throttle_get_rate (KpThrottle *self)
{
  g_return_val_if_fail (KP_IS_THROTTLE (self), 0);

  g_mutex_lock (&self->lock);
  apply_rate_if_due (self, g_get_monotonic_time ());
  guint64 rate = self->bucket.rate;
  g_mutex_unlock (&self->lock);
  return rate;
}

/**
 * kp_throttle_set_timetable:
 * @timetable: (nullable): limits by the time on the wall; %NULL for the rate that was set last
 * @direction: which of the timetable's limits this throttle keeps
 *
 * From here on the rate changes by itself, also while streams wait.
 */
void
kp_throttle_set_timetable (KpThrottle *self, KpTimetable *timetable, KpDirection direction)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  g_mutex_lock (&self->lock);
  if (timetable != NULL)
    kp_timetable_ref (timetable);
  g_clear_pointer (&self->timetable, kp_timetable_unref);
  self->timetable = timetable;
  self->direction = direction;
  apply_rate (self, g_get_monotonic_time ());
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_recheck:
 *
 * Looks at the wall clock now and not within a few seconds: for those who know that it was set, or
 * that the computer woke up.
 */
void
kp_throttle_recheck (KpThrottle *self)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  g_mutex_lock (&self->lock);
  apply_rate (self, g_get_monotonic_time ());
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_set_suspended:
 * @suspended: %TRUE to lift the limit, %FALSE to restore it
 *
 * The rate and the timetable are not forgotten meanwhile. Takes a lock, so a signal has to go
 * through a main loop (g_unix_signal_add()) to get here.
 */
void
kp_throttle_set_suspended (KpThrottle *self, gboolean suspended)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  g_mutex_lock (&self->lock);
  self->suspended = suspended;
  apply_rate (self, g_get_monotonic_time ());
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_get_suspended:
 *
 * Returns: whether the limit is lifted by kp_throttle_set_suspended()
 */
gboolean
kp_throttle_get_suspended (KpThrottle *self)
{
  g_return_val_if_fail (KP_IS_THROTTLE (self), FALSE);

  g_mutex_lock (&self->lock);
  gboolean suspended = self->suspended;
  g_mutex_unlock (&self->lock);
  return suspended;
}

static void
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  Waiter *waiter = user_data;

  g_mutex_lock (&waiter->throttle->lock);
  g_cond_signal (&waiter->turn);
  g_mutex_unlock (&waiter->throttle->lock);
}

/* Sleeps until it is this waiter's turn and the bucket has enough. The lock is held; @waiter stands
 * in the queue. Returns 0 if cancelled. */
static gsize
wait_for_turn (KpThrottle *self, Waiter *waiter, gsize wanted, GCancellable *cancellable)
{
  while (!g_cancellable_is_cancelled (cancellable))
    {
      if (g_queue_peek_head (&self->waiters) != waiter)
        {
          g_cond_wait (&waiter->turn, &self->lock);
          continue;
        }

      gint64 now = g_get_monotonic_time ();
      apply_rate_if_due (self, now);
      gsize granted = kp_token_bucket_take (&self->bucket, wanted, now);
      if (granted > 0)
        return granted;

      gint64 sleep = MAX (kp_token_bucket_wait (&self->bucket, wanted, now), MIN_SLEEP);
      g_cond_wait_until (&waiter->turn, &self->lock,
                         MIN (now + sleep, atomic_load (&self->recheck_at)));
    }
  return 0;
}

static gsize
acquire_limited (KpThrottle *self, gsize wanted, GCancellable *cancellable)
{
  Waiter waiter = { .throttle = self, .link.data = &waiter };
  gsize granted = 0;

  g_mutex_lock (&self->lock);
  if (g_queue_is_empty (&self->waiters))
    {
      gint64 now = g_get_monotonic_time ();
      apply_rate_if_due (self, now);
      granted = kp_token_bucket_take (&self->bucket, wanted, now);
    }
  if (granted > 0)
    {
      g_mutex_unlock (&self->lock);
      return granted;
    }

  g_cond_init (&waiter.turn);
  g_queue_push_tail_link (&self->waiters, &waiter.link);
  g_mutex_unlock (&self->lock);

  /* Without the lock on both sides: connecting to a cancelled object calls back at once, and
   * disconnecting waits for a callback under way in another thread. Both want the lock. */
  gulong handler = 0;
  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (cancelled_cb), &waiter, NULL);

  g_mutex_lock (&self->lock);
  granted = wait_for_turn (self, &waiter, wanted, cancellable);
  g_queue_unlink (&self->waiters, &waiter.link);
  wake_head (self);
  g_mutex_unlock (&self->lock);

  g_cancellable_disconnect (cancellable, handler);
  g_cond_clear (&waiter.turn);
  return granted;
}

/**
 * kp_throttle_acquire:
 * @wanted: the bytes one would like to send now, at least 1
 * @error: %G_IO_ERROR_CANCELLED
 *
 * Waits until some bytes may be sent. When cancelled nothing is taken.
 *
 * Returns: the bytes that may be sent, 1 to @wanted; 0 if cancelled
 */
gsize
kp_throttle_acquire (KpThrottle *self, gsize wanted, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (KP_IS_THROTTLE (self), 0);
  g_return_val_if_fail (wanted > 0, 0);

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return 0;

  gsize granted = is_unlimited (self) ? wanted : acquire_limited (self, wanted, cancellable);
  if (granted == 0)
    g_cancellable_set_error_if_cancelled (cancellable, error);
  atomic_fetch_add_explicit (&self->total, granted, memory_order_relaxed);
  return granted;
}

/**
 * kp_throttle_refund:
 * @bytes: what was acquired and not sent
 */
void
kp_throttle_refund (KpThrottle *self, gsize bytes)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  atomic_fetch_sub_explicit (&self->total, bytes, memory_order_relaxed);
  if (bytes == 0 || is_unlimited (self))
    return;

  g_mutex_lock (&self->lock);
  kp_token_bucket_refund (&self->bucket, bytes, g_get_monotonic_time ());
  wake_head (self);
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_charge:
 * @bytes: what was sent without asking, such as the headers of a request
 *
 * Never waits. Those who acquire next wait the longer for it.
 */
void
kp_throttle_charge (KpThrottle *self, gsize bytes)
{
  g_return_if_fail (KP_IS_THROTTLE (self));

  atomic_fetch_add_explicit (&self->total, bytes, memory_order_relaxed);
  if (is_unlimited (self))
    return;

  g_mutex_lock (&self->lock);
  kp_token_bucket_charge (&self->bucket, bytes, g_get_monotonic_time ());
  g_mutex_unlock (&self->lock);
}

/**
 * kp_throttle_get_total:
 *
 * Returns: the bytes granted and charged so far, less those refunded; also without a limit
 */
guint64
kp_throttle_get_total (KpThrottle *self)
{
  g_return_val_if_fail (KP_IS_THROTTLE (self), 0);

  return atomic_load_explicit (&self->total, memory_order_relaxed);
}

/**
 * kp_throttle_get_waiting:
 *
 * Returns: how many threads wait in kp_throttle_acquire() at this moment
 */
guint
kp_throttle_get_waiting (KpThrottle *self)
{
  g_return_val_if_fail (KP_IS_THROTTLE (self), 0);

  g_mutex_lock (&self->lock);
  guint waiting = g_queue_get_length (&self->waiters);
  g_mutex_unlock (&self->lock);
  return waiting;
}

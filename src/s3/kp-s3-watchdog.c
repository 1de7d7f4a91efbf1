/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-watchdog.h"

#include "kp-cancel.h"

/* How often the thread looks while there is something to look at, in microseconds. */
#define LOOK_AGAIN (500 * G_TIME_SPAN_MILLISECOND)

struct _KpS3Watchdog
{
  GMutex lock; /* guards what follows, and all watches */
  GCond changed;
  GThread *thread;    /* NULL until there was something to watch */
  GPtrArray *watches; /* of KpS3Watch, not owned */
  gboolean stopping;
};

struct _KpS3Watch
{
  KpS3Watchdog *watchdog;
  GCancellable *cancellable; /* ours: the attempts hear this one */
  GCancellable *theirs;      /* of this attempt, or NULL */
  gulong handler;
  gint64 limit; /* microseconds */

  gint64 running_since; /* monotonic; 0 while paused */
  gint64 used;          /* microseconds before that, since the bytes were counted from 0 */
  gsize bytes;
  gboolean bit;
};

KpS3Watchdog *
kp_s3_watchdog_new (void)
{
  KpS3Watchdog *watchdog = g_new0 (KpS3Watchdog, 1);

  watchdog->watches = g_ptr_array_new ();
  g_mutex_init (&watchdog->lock);
  g_cond_init (&watchdog->changed);
  return watchdog;
}

/**
 * kp_s3_watchdog_free:
 *
 * When there are no watches any more.
 */
void
kp_s3_watchdog_free (KpS3Watchdog *watchdog)
{
  g_assert (watchdog->watches->len == 0);

  g_mutex_lock (&watchdog->lock);
  watchdog->stopping = TRUE;
  g_cond_signal (&watchdog->changed);
  g_mutex_unlock (&watchdog->lock);
  g_clear_pointer (&watchdog->thread, g_thread_join);
  g_ptr_array_unref (watchdog->watches);
  g_mutex_clear (&watchdog->lock);
  g_cond_clear (&watchdog->changed);
  g_free (watchdog);
}

static gint64
used_time (const KpS3Watch *watch, gint64 now)
{
  return watch->used + (watch->running_since != 0 ? now - watch->running_since : 0);
}

/* Whom to bite now; a reference each, as cancelling calls others, which must not meet our lock. */
static GPtrArray *
find_idle (KpS3Watchdog *watchdog)
{
  GPtrArray *idle = g_ptr_array_new_with_free_func (g_object_unref);
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < watchdog->watches->len; i++)
    {
      KpS3Watch *watch = g_ptr_array_index (watchdog->watches, i);
      if (watch->bit || used_time (watch, now) <= watch->limit)
        continue;
      watch->bit = TRUE;
      g_ptr_array_add (idle, g_object_ref (watch->cancellable));
    }
  return idle;
}

static void *
watchdog_main (void *data)
{
  KpS3Watchdog *watchdog = data;

  g_mutex_lock (&watchdog->lock);
  while (!watchdog->stopping)
    {
      if (watchdog->watches->len == 0)
        {
          g_cond_wait (&watchdog->changed, &watchdog->lock);
          continue;
        }
      g_cond_wait_until (&watchdog->changed, &watchdog->lock, g_get_monotonic_time () + LOOK_AGAIN);
      g_autoptr (GPtrArray) idle = find_idle (watchdog);
      g_mutex_unlock (&watchdog->lock);
      for (guint i = 0; i < idle->len; i++)
        g_cancellable_cancel (g_ptr_array_index (idle, i));
      g_mutex_lock (&watchdog->lock);
    }
  g_mutex_unlock (&watchdog->lock);
  return NULL;
}

/* Each wait for a socket would make a file descriptor for the cancellable and close it again: so
 * there is one for all attempts, until they are cancelled. */
static void
make_cancellable (KpS3Watch *watch)
{
  watch->cancellable = g_cancellable_new ();
  g_cancellable_get_fd (watch->cancellable);
}

static void
drop_cancellable (KpS3Watch *watch)
{
  g_cancellable_release_fd (watch->cancellable);
  g_clear_object (&watch->cancellable);
}

/**
 * kp_s3_watch_new:
 *
 * Returns: (transfer full): for the attempts of one thread, one after the other
 */
KpS3Watch *
kp_s3_watch_new (KpS3Watchdog *watchdog)
{
  KpS3Watch *watch = g_new0 (KpS3Watch, 1);

  watch->watchdog = watchdog;
  make_cancellable (watch);
  return watch;
}

/**
 * kp_s3_watch_free:
 *
 * Between two attempts.
 */
void
kp_s3_watch_free (KpS3Watch *watch)
{
  drop_cancellable (watch);
  g_free (watch);
}

/**
 * kp_s3_watch_begin:
 * @seconds: how long an attempt may go on without KP_S3_WATCH_MIN_BYTES
 * @cancellable: (nullable): the caller's own
 *
 * Begins to watch an attempt, in the thread that makes it.
 */
void
kp_s3_watch_begin (KpS3Watch *watch, unsigned seconds, GCancellable *cancellable)
{
  KpS3Watchdog *watchdog = watch->watchdog;

  watch->limit = seconds * G_TIME_SPAN_SECOND;
  watch->running_since = g_get_monotonic_time ();
  watch->used = 0;
  watch->bytes = 0;
  watch->bit = FALSE;
  if (cancellable != NULL)
    {
      watch->theirs = g_object_ref (cancellable);
      watch->handler = kp_cancel_follow (watch->cancellable, cancellable);
    }

  g_mutex_lock (&watchdog->lock);
  g_ptr_array_add (watchdog->watches, watch);
  if (watchdog->thread == NULL)
    watchdog->thread = g_thread_new ("keepsake-watchdog", watchdog_main, watchdog);
  /* Otherwise it looks soon enough. */
  else if (watchdog->watches->len == 1)
    g_cond_signal (&watchdog->changed);
  g_mutex_unlock (&watchdog->lock);
}

/**
 * kp_s3_watch_end:
 *
 * Ends it, when nothing uses its streams any more.
 *
 * Returns: whether the attempt was cancelled for being too slow
 */
gboolean
kp_s3_watch_end (KpS3Watch *watch)
{
  KpS3Watchdog *watchdog = watch->watchdog;

  g_mutex_lock (&watchdog->lock);
  g_ptr_array_remove_fast (watchdog->watches, watch);
  gboolean bit = watch->bit;
  g_mutex_unlock (&watchdog->lock);

  g_cancellable_disconnect (watch->theirs, watch->handler);
  watch->handler = 0;
  gboolean too_slow = bit && !g_cancellable_is_cancelled (watch->theirs);
  g_clear_object (&watch->theirs);
  /* One that was bitten may be cancelled only now, and that must not meet the next attempt. */
  if (bit || g_cancellable_is_cancelled (watch->cancellable))
    {
      drop_cancellable (watch);
      make_cancellable (watch);
    }
  return too_slow;
}

/**
 * kp_s3_watch_get_cancellable:
 *
 * Returns: (transfer none): what this attempt has to hear; the caller's own reaches it too
 */
GCancellable *
kp_s3_watch_get_cancellable (KpS3Watch *watch)
{
  return watch->cancellable;
}

void
kp_s3_watch_moved (KpS3Watch *watch, gsize bytes)
{
  g_mutex_lock (&watch->watchdog->lock);
  watch->bytes += bytes;
  if (watch->bytes >= KP_S3_WATCH_MIN_BYTES)
    {
      watch->bytes = 0;
      watch->used = 0;
      if (watch->running_since != 0)
        watch->running_since = g_get_monotonic_time ();
    }
  g_mutex_unlock (&watch->watchdog->lock);
}

/**
 * kp_s3_watch_pause:
 *
 * From here on it is not the server that we wait for.
 */
void
kp_s3_watch_pause (KpS3Watch *watch)
{
  g_mutex_lock (&watch->watchdog->lock);
  watch->used = used_time (watch, g_get_monotonic_time ());
  watch->running_since = 0;
  g_mutex_unlock (&watch->watchdog->lock);
}

void
kp_s3_watch_resume (KpS3Watch *watch)
{
  g_mutex_lock (&watch->watchdog->lock);
  if (watch->running_since == 0)
    watch->running_since = g_get_monotonic_time ();
  g_mutex_unlock (&watch->watchdog->lock);
}

/* ---- A reply that is read through a throttle ---- */

#define KP_TYPE_S3_WATCHED_STREAM (kp_s3_watched_stream_get_type ())
G_DECLARE_FINAL_TYPE (KpS3WatchedStream,
                      kp_s3_watched_stream,
                      KP,
                      S3_WATCHED_STREAM,
                      GFilterInputStream)

struct _KpS3WatchedStream
{
  GFilterInputStream parent_instance;

  KpS3Watch *watch; /* outlives the reading */
};

G_DEFINE_FINAL_TYPE (KpS3WatchedStream, kp_s3_watched_stream, G_TYPE_FILTER_INPUT_STREAM)

static gssize
kp_s3_watched_stream_read (GInputStream *stream,
                           void *buffer,
                           gsize count,
                           GCancellable *cancellable,
                           GError **error)
{
  KpS3WatchedStream *self = KP_S3_WATCHED_STREAM (stream);
  GInputStream *base = g_filter_input_stream_get_base_stream (G_FILTER_INPUT_STREAM (stream));

  kp_s3_watch_resume (self->watch);
  gssize n = g_input_stream_read (base, buffer, count, cancellable, error);
  kp_s3_watch_moved (self->watch, (gsize) MAX (n, 0));
  kp_s3_watch_pause (self->watch);
  return n;
}

static void
kp_s3_watched_stream_class_init (KpS3WatchedStreamClass *klass)
{
  G_INPUT_STREAM_CLASS (klass)->read_fn = kp_s3_watched_stream_read;
}

static void
kp_s3_watched_stream_init (KpS3WatchedStream *self)
{
}

/**
 * kp_s3_watch_inside:
 * @base: a reply as it comes in, to be read through a throttle
 *
 * From here on only the time in @base counts, and its bytes do.
 *
 * Returns: (transfer full): a stream with the bytes of @base
 */
GInputStream *
kp_s3_watch_inside (KpS3Watch *watch, GInputStream *base)
{
  KpS3WatchedStream *self = g_object_new (KP_TYPE_S3_WATCHED_STREAM, "base-stream", base, NULL);

  self->watch = watch;
  kp_s3_watch_pause (watch);
  return G_INPUT_STREAM (self);
}

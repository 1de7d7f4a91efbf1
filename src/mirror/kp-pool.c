/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-pool.h"

#define FIRST_WORKERS 8
#define MIN_WORKERS 2

/* How long an idle worker sleeps before it looks whether the job is paused, in microseconds. */
#define LOOK_AGAIN G_TIME_SPAN_SECOND

/* How long to watch before changing the number again, in microseconds. */
#define WINDOW (150 * G_TIME_SPAN_MILLISECOND)
#define TRY_AGAIN (5 * G_TIME_SPAN_SECOND)

/* A body of so many bytes weighs as much as one request. */
#define BYTES_PER_POINT (128 * 1024)

struct _KpPool
{
  KpS3Service *service;
  KpPoolFunc func;
  GDestroyNotify item_free;
  void *user_data;
  gboolean adapts;
  unsigned max_workers;

  GMutex lock; /* guards what follows */
  GCond cond;
  GQueue queue;
  GPtrArray *threads;
  unsigned n_allowed; /* workers that may run at once */
  unsigned n_running; /* workers that have an item */
  unsigned n_idle;    /* workers that wait for one */
  gboolean stopping;
  guint64 n_finished;

  /* Of kp_pool_adapt(), used by its caller's thread only. */
  gint64 window_start;
  guint64 window_finished;
  guint64 window_bytes;
  guint64 window_slow_downs;
  double best_rate; /* points a second with fewer workers than now */
  gint64 settled_at;
};

static void *
worker_main (void *data)
{
  KpPool *pool = data;
  /* libsoup wants a context of the thread's own; nobody has to run it. */
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (pool->service);

  g_mutex_lock (&pool->lock);
  while (!pool->stopping)
    {
      void *item = pool->n_running < pool->n_allowed ? g_queue_pop_head (&pool->queue) : NULL;
      if (item == NULL)
        {
          pool->n_idle++;
          /* While the job is paused, nobody keeps a connection. */
          if (kp_s3_service_is_held (pool->service))
            soup_session_abort (kp_s3_client_get_session (client));
          g_cond_wait_until (&pool->cond, &pool->lock, g_get_monotonic_time () + LOOK_AGAIN);
          pool->n_idle--;
          continue;
        }
      pool->n_running++;
      g_mutex_unlock (&pool->lock);
      pool->func (client, item, pool->user_data);
      g_mutex_lock (&pool->lock);
      pool->n_running--;
      pool->n_finished++;
    }
  g_mutex_unlock (&pool->lock);

  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/**
 * kp_pool_new:
 * @jobs: how many workers; 0 to find out
 * @item_free: (nullable): for items that nobody took
 */
KpPool *
kp_pool_new (KpS3Service *service,
             unsigned jobs,
             KpPoolFunc func,
             GDestroyNotify item_free,
             void *user_data)
{
  KpPool *pool = g_new0 (KpPool, 1);

  pool->service = g_object_ref (service);
  pool->func = func;
  pool->item_free = item_free;
  pool->user_data = user_data;
  pool->adapts = jobs == 0;
  pool->max_workers = jobs == 0 ? KP_POOL_MAX_WORKERS : MIN (jobs, KP_POOL_MAX_WORKERS);
  pool->n_allowed = jobs == 0 ? FIRST_WORKERS : pool->max_workers;
  pool->threads = g_ptr_array_new ();
  g_mutex_init (&pool->lock);
  g_cond_init (&pool->cond);
  return pool;
}

/**
 * kp_pool_free:
 *
 * Waits for the items that workers have in hand; those in the queue are dropped. To end soon,
 * cancel what the workers do first.
 */
void
kp_pool_free (KpPool *pool)
{
  g_mutex_lock (&pool->lock);
  pool->stopping = TRUE;
  g_cond_broadcast (&pool->cond);
  g_mutex_unlock (&pool->lock);

  for (guint i = 0; i < pool->threads->len; i++)
    g_thread_join (g_ptr_array_index (pool->threads, i));
  g_ptr_array_unref (pool->threads);
  if (pool->item_free != NULL)
    g_queue_clear_full (&pool->queue, pool->item_free);
  g_queue_clear (&pool->queue);
  g_mutex_clear (&pool->lock);
  g_cond_clear (&pool->cond);
  g_object_unref (pool->service);
  g_free (pool);
}

/* One item more is in the queue. The lock is held. */
static void
call_worker (KpPool *pool)
{
  /* Threads are made when there is work for them, so that a small job does not open 64 connections.
   */
  if (!pool->stopping && pool->threads->len < pool->n_allowed
      && pool->n_running + pool->queue.length > pool->threads->len)
    g_ptr_array_add (pool->threads, g_thread_new ("keepsake-worker", worker_main, pool));
  if (pool->n_idle > 0)
    g_cond_signal (&pool->cond);
}

void
kp_pool_push (KpPool *pool, void *item)
{
  g_mutex_lock (&pool->lock);
  g_queue_push_tail (&pool->queue, item);
  call_worker (pool);
  g_mutex_unlock (&pool->lock);
}

/**
 * kp_pool_push_first:
 *
 * Puts @item before all others: what was begun is finished before something new is begun.
 */
void
kp_pool_push_first (KpPool *pool, void *item)
{
  g_mutex_lock (&pool->lock);
  g_queue_push_head (&pool->queue, item);
  call_worker (pool);
  g_mutex_unlock (&pool->lock);
}

/**
 * kp_pool_push_all_first:
 * @items: not owned; its elements are
 *
 * Puts them before all others, in their order, before any worker takes one.
 */
void
kp_pool_push_all_first (KpPool *pool, GPtrArray *items)
{
  g_mutex_lock (&pool->lock);
  for (guint i = items->len; i-- > 0;)
    g_queue_push_head (&pool->queue, g_ptr_array_index (items, i));
  for (guint i = 0; i < items->len; i++)
    call_worker (pool);
  g_mutex_unlock (&pool->lock);
}

/**
 * kp_pool_get_room:
 *
 * Returns: how many items to push so that no worker runs dry, and the queue stays short
 */
unsigned
kp_pool_get_room (KpPool *pool)
{
  g_mutex_lock (&pool->lock);
  unsigned wanted = pool->n_allowed * 4;
  unsigned room = pool->queue.length < wanted ? wanted - pool->queue.length : 0;
  g_mutex_unlock (&pool->lock);
  return room;
}

unsigned
kp_pool_get_workers (KpPool *pool)
{
  g_mutex_lock (&pool->lock);
  unsigned workers = pool->n_allowed;
  g_mutex_unlock (&pool->lock);
  return workers;
}

/**
 * kp_pool_adapt:
 * @now: monotonic time in microseconds
 *
 * To be called ten times a second or so by the thread that pushes. Doubles the workers as long as
 * that moves at least a tenth more (requests and bytes, weighted); halves them when the server asks
 * to slow down. A limit on the line shows as "no gain", so a throttled job keeps few connections.
 */
void
kp_pool_adapt (KpPool *pool, gint64 now)
{
  KpS3Statistics statistics;

  if (!pool->adapts || now - pool->window_start < WINDOW)
    return;

  kp_s3_service_get_statistics (pool->service, &statistics);
  guint64 bytes = statistics.bytes_up + statistics.bytes_down;

  g_mutex_lock (&pool->lock);
  double seconds = (double) (now - pool->window_start) / G_USEC_PER_SEC;
  double points = (double) (pool->n_finished - pool->window_finished)
                  + (double) (bytes - pool->window_bytes) / BYTES_PER_POINT;
  double rate = points / seconds;
  gboolean is_busy = pool->queue.length > 0 && pool->n_running >= pool->n_allowed;

  if (statistics.slow_downs > pool->window_slow_downs)
    {
      pool->n_allowed = MAX (pool->n_allowed / 2, MIN_WORKERS);
      pool->settled_at = now;
      pool->best_rate = 0;
    }
  else if (pool->window_start != 0 && is_busy && pool->n_allowed < pool->max_workers)
    {
      if (pool->settled_at == 0 && rate > pool->best_rate * 1.1)
        {
          pool->best_rate = rate;
          pool->n_allowed = MIN (pool->n_allowed * 2, pool->max_workers);
        }
      else if (pool->settled_at == 0)
        pool->settled_at = now;
      else if (now - pool->settled_at > TRY_AGAIN)
        {
          pool->settled_at = 0;
          pool->best_rate = rate;
          pool->n_allowed = MIN (pool->n_allowed + pool->n_allowed / 2, pool->max_workers);
        }
      while (pool->threads->len < MIN (pool->n_allowed, pool->n_running + pool->queue.length))
        g_ptr_array_add (pool->threads, g_thread_new ("keepsake-worker", worker_main, pool));
      g_cond_broadcast (&pool->cond);
    }

  pool->window_start = now;
  pool->window_finished = pool->n_finished;
  pool->window_bytes = bytes;
  pool->window_slow_downs = statistics.slow_downs;
  g_mutex_unlock (&pool->lock);
}

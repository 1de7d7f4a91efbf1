/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Tells ThreadSanitizer what the distribution's GLib orders between threads.
 *
 * GLib is not built for ThreadSanitizer and its locks are futexes of its own, so that every use of
 * a GMutex would look like a race. This library is preloaded (see ./dev tsan) and stands in front
 * of GLib: it calls the real function and announces "released here", "acquired there". What GLib
 * calls inside itself does not pass here; that is what ignore_noninstrumented_modules is for. */

#include <dlfcn.h>
#include <gio/gio.h>

/* Only a program built with -fsanitize=thread has them. */
__attribute__ ((weak)) void __tsan_acquire (void *address);
__attribute__ ((weak)) void __tsan_release (void *address);

static void
acquire (gconstpointer address)
{
  if (__tsan_acquire != NULL && address != NULL)
    __tsan_acquire ((void *) address);
}

static void
release (gconstpointer address)
{
  if (__tsan_release != NULL && address != NULL)
    __tsan_release ((void *) address);
}

/* Macros that would hide the functions defined here. */
#undef g_once_init_enter
#undef g_once_init_leave

/* The real function, looked up once; two threads that look it up together find the same. */
#define REAL(function)                                                                             \
  static __typeof__ (&(function)) real;                                                            \
  if (real == NULL)                                                                                \
  real = (__typeof__ (&(function))) dlsym (RTLD_NEXT, #function)

#define LOCK(function, Type)                                                                       \
  void function (Type *lock)                                                                       \
  {                                                                                                \
    REAL (function);                                                                               \
    real (lock);                                                                                   \
    acquire (lock);                                                                                \
  }

#define TRYLOCK(function, Type)                                                                    \
  gboolean function (Type *lock)                                                                   \
  {                                                                                                \
    REAL (function);                                                                               \
    if (!real (lock))                                                                              \
      return FALSE;                                                                                \
    acquire (lock);                                                                                \
    return TRUE;                                                                                   \
  }

#define UNLOCK(function, Type)                                                                     \
  void function (Type *lock)                                                                       \
  {                                                                                                \
    REAL (function);                                                                               \
    release (lock);                                                                                \
    real (lock);                                                                                   \
  }

LOCK (g_mutex_lock, GMutex)
TRYLOCK (g_mutex_trylock, GMutex)
UNLOCK (g_mutex_unlock, GMutex)
LOCK (g_rec_mutex_lock, GRecMutex)
TRYLOCK (g_rec_mutex_trylock, GRecMutex)
UNLOCK (g_rec_mutex_unlock, GRecMutex)
LOCK (g_rw_lock_writer_lock, GRWLock)
TRYLOCK (g_rw_lock_writer_trylock, GRWLock)
UNLOCK (g_rw_lock_writer_unlock, GRWLock)
LOCK (g_rw_lock_reader_lock, GRWLock)
TRYLOCK (g_rw_lock_reader_trylock, GRWLock)
UNLOCK (g_rw_lock_reader_unlock, GRWLock)

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  REAL (g_cond_wait);
  release (mutex);
  real (cond, mutex);
  acquire (mutex);
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  REAL (g_cond_wait_until);
  release (mutex);
  gboolean signalled = real (cond, mutex, end_time);
  acquire (mutex);
  return signalled;
}

gboolean
g_once_init_enter (volatile void *location)
{
  REAL (g_once_init_enter);
  gboolean first = real (location);
  acquire ((void *) location);
  return first;
}

void
g_once_init_leave (volatile void *location, gsize result)
{
  REAL (g_once_init_leave);
  release ((void *) location);
  real (location, result);
}

/* Queues: whoever pops has seen what was done before the push. */
#define PUSH(function)                                                                             \
  void function (GAsyncQueue *queue, gpointer data)                                                \
  {                                                                                                \
    REAL (function);                                                                               \
    release (queue);                                                                               \
    real (queue, data);                                                                            \
  }

#define POP(function)                                                                              \
  gpointer function (GAsyncQueue *queue)                                                           \
  {                                                                                                \
    REAL (function);                                                                               \
    gpointer data = real (queue);                                                                  \
    acquire (queue);                                                                               \
    return data;                                                                                   \
  }

PUSH (g_async_queue_push)
PUSH (g_async_queue_push_unlocked)
PUSH (g_async_queue_push_front)
POP (g_async_queue_pop)
POP (g_async_queue_pop_unlocked)
POP (g_async_queue_try_pop)
LOCK (g_async_queue_lock, GAsyncQueue)
UNLOCK (g_async_queue_unlock, GAsyncQueue)

gpointer
g_async_queue_timeout_pop (GAsyncQueue *queue, guint64 timeout)
{
  REAL (g_async_queue_timeout_pop);
  gpointer data = real (queue, timeout);
  acquire (queue);
  return data;
}

/* Threads of a pool have seen what was done before the push, and who ends the pool what they did.
 */
typedef struct
{
  GFunc function;
  gpointer user_data;
} Work;

static int all_pools;

static void
work_run (gpointer data, gpointer user_data)
{
  Work *work = user_data;

  acquire (data);
  work->function (data, work->user_data);
  release (&all_pools);
}

GThreadPool *
g_thread_pool_new (GFunc function,
                   gpointer user_data,
                   int max_threads,
                   gboolean exclusive,
                   GError **error)
{
  REAL (g_thread_pool_new);
  Work *work = g_new (Work, 1); /* for as long as the process lives */
  *work = (Work){ function, user_data };
  return real (work_run, work, max_threads, exclusive, error);
}

gboolean
g_thread_pool_push (GThreadPool *pool, gpointer data, GError **error)
{
  REAL (g_thread_pool_push);
  release (data);
  return real (pool, data, error);
}

void
g_thread_pool_free (GThreadPool *pool, gboolean immediate, gboolean wait)
{
  REAL (g_thread_pool_free);
  real (pool, immediate, wait);
  acquire (&all_pools);
}

/* Reference counts: the last one to leave has seen what all others did. */
#define UNREF(function, Type)                                                                      \
  void function (Type object)                                                                      \
  {                                                                                                \
    REAL (function);                                                                               \
    release (object);                                                                              \
    acquire (object);                                                                              \
    real (object);                                                                                 \
  }

UNREF (g_object_unref, gpointer)
UNREF (g_bytes_unref, GBytes *)
UNREF (g_ptr_array_unref, GPtrArray *)
UNREF (g_hash_table_unref, GHashTable *)
UNREF (g_source_unref, GSource *)
UNREF (g_main_context_unref, GMainContext *)
UNREF (g_main_loop_unref, GMainLoop *)
UNREF (g_variant_unref, GVariant *)
UNREF (g_uri_unref, GUri *)
UNREF (g_date_time_unref, GDateTime *)

/* Callbacks in another thread's main context have seen what was done before they were asked for. */
typedef struct
{
  GSourceFunc function;
  gpointer data;
  GDestroyNotify notify;
} Callback;

static Callback *
callback_new (GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  Callback *callback = g_new (Callback, 1);
  *callback = (Callback){ function, data, notify };
  release (callback);
  return callback;
}

static gboolean
callback_run (gpointer data)
{
  Callback *callback = data;
  acquire (callback);
  return callback->function (callback->data);
}

static void
callback_free (gpointer data)
{
  Callback *callback = data;
  acquire (callback);
  if (callback->notify != NULL)
    callback->notify (callback->data);
  g_free (callback);
}

guint
g_idle_add_full (int priority, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  REAL (g_idle_add_full);
  return real (priority, callback_run, callback_new (function, data, notify), callback_free);
}

guint
g_idle_add (GSourceFunc function, gpointer data)
{
  return g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, function, data, NULL);
}

void
g_main_context_invoke_full (GMainContext *context,
                            int priority,
                            GSourceFunc function,
                            gpointer data,
                            GDestroyNotify notify)
{
  REAL (g_main_context_invoke_full);
  real (context, priority, callback_run, callback_new (function, data, notify), callback_free);
}

void
g_main_context_invoke (GMainContext *context, GSourceFunc function, gpointer data)
{
  g_main_context_invoke_full (context, G_PRIORITY_DEFAULT, function, data, NULL);
}

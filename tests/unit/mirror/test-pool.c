/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-pool.h"
#include "offline-service.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long anything that has to happen may take. */
#define PATIENCE (30 * G_TIME_SPAN_SECOND)

#define MILLISECOND G_TIME_SPAN_MILLISECOND

/* Items are numbers from 1; workers may be made to wait with theirs in hand. */
typedef struct
{
  KpS3Service *service;

  GMutex lock; /* guards what follows */
  GCond cond;
  GArray *begun;      /* of int, in order */
  GPtrArray *clients; /* that were seen */
  guint n_finished;
  guint n_freed;
  guint in_hand;
  guint most_in_hand;
  guint permits; /* items that may be finished */
} Work;

static void
work_init (Work *work)
{
  *work = (Work){ .service = offline_service_new (),
                  .begun = g_array_new (FALSE, FALSE, sizeof (int)),
                  .clients = g_ptr_array_new () };
  g_mutex_init (&work->lock);
  g_cond_init (&work->cond);
}

static void
work_clear (Work *work)
{
  g_assert_finalize_object (work->service);
  g_array_unref (work->begun);
  g_ptr_array_unref (work->clients);
  g_mutex_clear (&work->lock);
  g_cond_clear (&work->cond);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Work, work_clear)

/* Waits for @value to reach @at_least. */
static void
wait_for (Work *work, const guint *value, guint at_least)
{
  gint64 end = g_get_monotonic_time () + PATIENCE;

  g_mutex_lock (&work->lock);
  while (*value < at_least)
    if (!g_cond_wait_until (&work->cond, &work->lock, end))
      g_error ("waited in vain: %u, not %u", *value, at_least);
  g_mutex_unlock (&work->lock);
}

static void
permit (Work *work, guint n)
{
  g_mutex_lock (&work->lock);
  work->permits += n;
  g_cond_broadcast (&work->cond);
  g_mutex_unlock (&work->lock);
}

static Work *current_work; /* for free functions, which get nothing but the item */

static void
work_cb (KpS3Client *client, void *item, void *user_data)
{
  Work *work = user_data;
  int number = GPOINTER_TO_INT (item);
  gint64 end = g_get_monotonic_time () + PATIENCE;

  g_assert_true (kp_s3_client_get_service (client) == work->service);
  /* libsoup attaches its sources there. */
  g_assert_nonnull (g_main_context_get_thread_default ());

  g_mutex_lock (&work->lock);
  g_array_append_val (work->begun, number);
  if (!g_ptr_array_find (work->clients, client, NULL))
    g_ptr_array_add (work->clients, client);
  work->in_hand++;
  work->most_in_hand = MAX (work->most_in_hand, work->in_hand);
  g_cond_broadcast (&work->cond);
  while (work->permits == 0)
    if (!g_cond_wait_until (&work->cond, &work->lock, end))
      g_error ("nobody let item %d go", number);
  work->permits--;
  work->in_hand--;
  work->n_finished++;
  g_cond_broadcast (&work->cond);
  g_mutex_unlock (&work->lock);
}

static void
free_cb (void *item)
{
  g_assert_cmpint (GPOINTER_TO_INT (item), >, 0);
  current_work->n_freed++;
}

static KpPool *
new_pool (Work *work, unsigned jobs)
{
  current_work = work;
  return kp_pool_new (work->service, jobs, work_cb, free_cb, work);
}

static void
push (KpPool *pool, int first, int last)
{
  for (int i = first; i <= last; i++)
    kp_pool_push (pool, GINT_TO_POINTER (i));
}

static void
test_each_once (void)
{
  static const unsigned jobs[] = { 1, 2, 4, 16, 0 };
  static const guint n_items = 2000;

  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    {
      g_auto (Work) work = { 0 };
      g_autofree guint *seen = g_new0 (guint, n_items + 1);

      work_init (&work);
      KpPool *pool = new_pool (&work, jobs[i]);
      permit (&work, n_items);
      push (pool, 1, (int) n_items);
      wait_for (&work, &work.n_finished, n_items);
      kp_pool_free (pool);

      g_assert_cmpuint (work.begun->len, ==, n_items);
      for (guint j = 0; j < n_items; j++)
        seen[g_array_index (work.begun, int, j)]++;
      for (guint j = 1; j <= n_items; j++)
        g_assert_cmpuint (seen[j], ==, 1);
      g_assert_cmpuint (work.n_freed, ==, 0);
      /* Strictly as many at a time as were asked for. */
      g_assert_cmpuint (work.most_in_hand, <=, jobs[i] != 0 ? jobs[i] : 8);
      /* A client each. */
      g_assert_cmpuint (work.clients->len, <=, jobs[i] != 0 ? jobs[i] : 8);
    }
}

static void
test_order (void)
{
  static const int expected[] = { 1, 6, 7, 8, 5, 4, 2, 3 };
  g_auto (Work) work = { 0 };
  g_autoptr (GPtrArray) several = g_ptr_array_new ();

  work_init (&work);
  KpPool *pool = new_pool (&work, 1);
  push (pool, 1, 1);
  wait_for (&work, &work.in_hand, 1);
  push (pool, 2, 3);
  kp_pool_push_first (pool, GINT_TO_POINTER (4));
  kp_pool_push_first (pool, GINT_TO_POINTER (5));
  for (int i = 6; i <= 8; i++)
    g_ptr_array_add (several, GINT_TO_POINTER (i));
  kp_pool_push_all_first (pool, several);
  permit (&work, 8);
  wait_for (&work, &work.n_finished, 8);
  kp_pool_free (pool);

  g_assert_cmpuint (work.most_in_hand, ==, 1);
  g_assert_cmpmem (work.begun->data, work.begun->len * sizeof (int), expected, sizeof expected);
}

/* As many as were asked for really work side by side. */
static void
test_side_by_side (void)
{
  static const unsigned jobs[] = { 1, 3, 8, 64 };

  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    {
      g_auto (Work) work = { 0 };

      work_init (&work);
      KpPool *pool = new_pool (&work, jobs[i]);
      g_assert_cmpuint (kp_pool_get_workers (pool), ==, jobs[i]);
      push (pool, 1, (int) jobs[i] + 10);
      wait_for (&work, &work.in_hand, jobs[i]);
      permit (&work, jobs[i] + 10);
      wait_for (&work, &work.n_finished, jobs[i] + 10);
      kp_pool_free (pool);
      g_assert_cmpuint (work.most_in_hand, ==, jobs[i]);
      g_assert_cmpuint (work.clients->len, ==, jobs[i]);
    }
}

/* A small job opens few connections, and no job too many. */
static void
test_number_of_workers (void)
{
  g_auto (Work) work = { 0 };

  work_init (&work);
  KpPool *many = new_pool (&work, 100000);
  g_assert_cmpuint (kp_pool_get_workers (many), ==, KP_POOL_MAX_WORKERS);
  permit (&work, 50);
  for (int i = 1; i <= 50; i++)
    {
      push (many, i, i);
      wait_for (&work, &work.n_finished, (guint) i);
    }
  kp_pool_free (many);
  g_assert_cmpuint (work.most_in_hand, ==, 1);
  g_assert_cmpuint (work.clients->len, <=, 4);

  KpPool *unused = new_pool (&work, 0);
  g_assert_cmpuint (kp_pool_get_workers (unused), >, 0);
  kp_pool_free (unused);
}

static void
test_room (void)
{
  g_auto (Work) work = { 0 };

  work_init (&work);
  KpPool *pool = new_pool (&work, 2);
  unsigned room = kp_pool_get_room (pool);
  g_assert_cmpuint (room, >, 2);
  push (pool, 1, 2);
  wait_for (&work, &work.in_hand, 2);
  /* What workers have in hand takes no room. */
  g_assert_cmpuint (kp_pool_get_room (pool), ==, room);
  push (pool, 3, 5);
  g_assert_cmpuint (kp_pool_get_room (pool), ==, room - 3);
  push (pool, 6, 100);
  g_assert_cmpuint (kp_pool_get_room (pool), ==, 0);
  permit (&work, 100);
  wait_for (&work, &work.n_finished, 100);
  g_assert_cmpuint (kp_pool_get_room (pool), ==, room);
  kp_pool_free (pool);
}

typedef struct
{
  KpPool *pool;
  int tid; /* atomic */
} Ending;

static void *
ending_main (void *data)
{
  Ending *ending = data;

  g_atomic_int_set (&ending->tid, gettid ());
  kp_pool_free (ending->pool);
  return NULL;
}

/* Whether the thread sleeps: in the kernel's own words. */
static gboolean
is_asleep (int tid)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/stat", tid);
  g_autofree char *text = NULL;

  if (tid == 0 || !g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  const char *end = strrchr (text, ')');
  return end != NULL && strncmp (end, ") S", 3) == 0;
}

/* Frees the pool while workers have items in hand, and lets those go only then. */
static void
free_while_busy (KpPool *pool, Work *work)
{
  Ending ending = { pool, 0 };
  GThread *thread = g_thread_new ("ending", ending_main, &ending);
  gint64 end = g_get_monotonic_time () + PATIENCE;

  /* Until it waits for the workers, and for nothing else. */
  while (!is_asleep (g_atomic_int_get (&ending.tid)))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_usleep (1000);
    }
  g_assert_cmpuint (work->n_freed, ==, 0);
  permit (work, 100);
  g_thread_join (thread);
}

/* The items in hand are waited for, those in the queue dropped. */
static void
test_free_drops (void)
{
  g_auto (Work) work = { 0 };

  work_init (&work);
  KpPool *pool = new_pool (&work, 2);
  push (pool, 1, 20);
  wait_for (&work, &work.in_hand, 2);
  free_while_busy (pool, &work);
  g_assert_cmpuint (work.n_finished, ==, 2);
  g_assert_cmpuint (work.n_freed, ==, 18);
}

/* ---- How many work at once ---- */

static void
test_slow_down (void)
{
  static const unsigned workers[] = { 4, 2, 2, 2 };
  g_auto (Work) work = { 0 };
  gint64 now = 1000 * G_TIME_SPAN_SECOND;

  work_init (&work);
  KpPool *pool = new_pool (&work, 0);
  KpPool *fixed = new_pool (&work, 8);
  g_assert_cmpuint (kp_pool_get_workers (pool), ==, 8);
  kp_pool_adapt (pool, now);
  g_assert_cmpuint (kp_pool_get_workers (pool), ==, 8);
  for (gsize i = 0; i < G_N_ELEMENTS (workers); i++)
    {
      kp_s3_service_count_slow_down (work.service);
      /* Asked again at once it stays as it is: one word of the server counts once. */
      kp_pool_adapt (pool, now + MILLISECOND);
      now += 200 * MILLISECOND;
      kp_pool_adapt (pool, now);
      kp_pool_adapt (fixed, now);
      g_assert_cmpuint (kp_pool_get_workers (pool), ==, workers[i]);
      g_assert_cmpuint (kp_pool_get_workers (fixed), ==, 8);
    }
  /* Without another word it stays. */
  kp_pool_adapt (pool, now + 200 * MILLISECOND);
  g_assert_cmpuint (kp_pool_get_workers (pool), ==, 2);
  kp_pool_free (pool);
  kp_pool_free (fixed);
}

/* More workers as long as they move more, and no longer. */
static void
test_more_while_it_helps (void)
{
  static const struct
  {
    gsize bytes; /* that moved in this window */
    unsigned workers;
  } steps[] = {
    { 10 << 20, 16 },
    { 20 << 20, 32 },
    { 20 << 20, 32 },
    { 40 << 20, 32 },
  };
  g_auto (Work) work = { 0 };
  gint64 now = 1000 * G_TIME_SPAN_SECOND;

  work_init (&work);
  KpPool *pool = new_pool (&work, 0);
  push (pool, 1, 200);
  wait_for (&work, &work.in_hand, 8);
  kp_pool_adapt (pool, now);
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      kp_throttle_charge (kp_s3_service_get_upload_throttle (work.service), steps[i].bytes);
      now += 200 * MILLISECOND;
      kp_pool_adapt (pool, now);
      g_assert_cmpuint (kp_pool_get_workers (pool), ==, steps[i].workers);
      /* They are there, and not only allowed. */
      wait_for (&work, &work.in_hand, steps[i].workers);
    }
  /* After a while it is tried again. */
  kp_pool_adapt (pool, now + 10 * G_TIME_SPAN_SECOND);
  g_assert_cmpuint (kp_pool_get_workers (pool), >, 32);
  g_assert_cmpuint (kp_pool_get_workers (pool), <=, KP_POOL_MAX_WORKERS);
  permit (&work, 200);
  wait_for (&work, &work.n_finished, 200);
  kp_pool_free (pool);
}

/* Where there is nothing to do, more workers would do it no faster. */
static void
test_no_more_when_idle (void)
{
  g_auto (Work) work = { 0 };
  gint64 now = 1000 * G_TIME_SPAN_SECOND;

  work_init (&work);
  KpPool *pool = new_pool (&work, 0);
  push (pool, 1, 3);
  wait_for (&work, &work.in_hand, 3);
  for (int i = 0; i < 10; i++)
    {
      kp_throttle_charge (kp_s3_service_get_upload_throttle (work.service), (gsize) 1 << (20 + i));
      kp_pool_adapt (pool, now += 200 * MILLISECOND);
      g_assert_cmpuint (kp_pool_get_workers (pool), ==, 8);
    }
  permit (&work, 3);
  wait_for (&work, &work.n_finished, 3);
  kp_pool_free (pool);
}

/* Items that nobody has to free leave nothing behind either; the leak sanitizer looks. */
static void
test_free_without_function (void)
{
  g_auto (Work) work = { 0 };

  work_init (&work);
  KpPool *pool = kp_pool_new (work.service, 1, work_cb, NULL, &work);
  push (pool, 1, 50);
  wait_for (&work, &work.in_hand, 1);
  free_while_busy (pool, &work);
  g_assert_cmpuint (work.n_finished, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/pool/each-once", test_each_once);
  g_test_add_func ("/mirror/pool/order", test_order);
  g_test_add_func ("/mirror/pool/side-by-side", test_side_by_side);
  g_test_add_func ("/mirror/pool/number-of-workers", test_number_of_workers);
  g_test_add_func ("/mirror/pool/room", test_room);
  g_test_add_func ("/mirror/pool/free-drops", test_free_drops);
  g_test_add_func ("/mirror/pool/slow-down", test_slow_down);
  g_test_add_func ("/mirror/pool/more-while-it-helps", test_more_while_it_helps);
  g_test_add_func ("/mirror/pool/no-more-when-idle", test_no_more_when_idle);
  g_test_add_func ("/mirror/pool/free-without-function", test_free_without_function);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-throttle.h"

#include "kp-error.h"

/* At one byte per second nothing that these tests wait for comes about by itself. */
#define CRAWL 1

static void
acquire_exactly (KpThrottle *throttle, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (kp_throttle_acquire (throttle, bytes, NULL, &error), ==, bytes);
  g_assert_no_error (error);
}

static void
wait_until_waiting (KpThrottle *throttle, guint n)
{
  gint64 limit = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  while (kp_throttle_get_waiting (throttle) != n)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, limit);
      g_usleep (500);
    }
}

/* A thread that acquires once. */
typedef struct
{
  KpThrottle *throttle;
  GCancellable *cancellable;
  gsize wanted;
  int number;
  GAsyncQueue *finished;
  gsize granted;
  GError *error;
  GThread *thread;
} Stream;

static gpointer
stream_thread (gpointer data)
{
  Stream *stream = data;

  stream->granted
      = kp_throttle_acquire (stream->throttle, stream->wanted, stream->cancellable, &stream->error);
  if (stream->finished != NULL)
    g_async_queue_push (stream->finished, GINT_TO_POINTER (stream->number));
  return NULL;
}

static void
stream_start (Stream *stream)
{
  stream->thread = g_thread_new ("stream", stream_thread, stream);
}

static void
stream_join (Stream *stream)
{
  g_thread_join (g_steal_pointer (&stream->thread));
}

static void
test_unlimited (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (0);

  acquire_exactly (throttle, 1);
  acquire_exactly (throttle, 1 << 30);
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, (1 << 30) + 1);
  kp_throttle_charge (throttle, 100);
  kp_throttle_refund (throttle, 30);
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, (1 << 30) + 71);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 0);
}

/* N bytes never take less time than they must, however many streams there are. */
static void
test_lower_bound (void)
{
  enum
  {
    RATE = 1000000,
    ROUNDS = 10,
    N_STREAMS = 4,
    WANTED = 5000
  };
  g_autoptr (KpThrottle) throttle = kp_throttle_new (RATE);
  gint64 start = g_get_monotonic_time ();

  for (int round = 0; round < ROUNDS; round++)
    {
      Stream streams[N_STREAMS] = { 0 };

      for (int i = 0; i < N_STREAMS; i++)
        {
          streams[i].throttle = throttle;
          streams[i].wanted = WANTED;
          stream_start (&streams[i]);
        }
      for (int i = 0; i < N_STREAMS; i++)
        {
          stream_join (&streams[i]);
          g_assert_cmpuint (streams[i].granted, ==, WANTED);
        }
    }
  kp_throttle_charge (throttle, 20000);
  acquire_exactly (throttle, WANTED);

  guint64 total = kp_throttle_get_total (throttle);
  g_assert_cmpuint (total, ==, ROUNDS * N_STREAMS * WANTED + 20000 + WANTED);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, (gint64) total * G_TIME_SPAN_SECOND / RATE);
}

static void
test_quantum (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (1000000);

  gsize granted = kp_throttle_acquire (throttle, G_MAXSIZE, NULL, NULL);
  g_assert_cmpuint (granted, >=, 512);
  g_assert_cmpuint (granted, <=, 1000000 / 20);
}

/* A refund serves as the clock here: each hands exactly one waiter what he wants. */
static void
test_first_come_first_served (void)
{
  enum
  {
    N_STREAMS = 6
  };
  g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
  g_autoptr (GAsyncQueue) finished = g_async_queue_new ();
  Stream streams[N_STREAMS] = { 0 };

  for (int i = 0; i < N_STREAMS; i++)
    {
      streams[i].throttle = throttle;
      streams[i].finished = finished;
      streams[i].number = i + 1;
      streams[i].wanted = 200;
      stream_start (&streams[i]);
      wait_until_waiting (throttle, (guint) i + 1);
    }

  /* Enough for the last, who came too late. */
  for (int i = 0; i < N_STREAMS; i++)
    {
      g_assert_cmpint (g_async_queue_length (finished), <=, 0);
      kp_throttle_refund (throttle, 200);
      g_assert_cmpint (GPOINTER_TO_INT (g_async_queue_pop (finished)), ==, i + 1);
      wait_until_waiting (throttle, N_STREAMS - (guint) i - 1);
    }
  for (int i = 0; i < N_STREAMS; i++)
    {
      stream_join (&streams[i]);
      g_assert_cmpuint (streams[i].granted, ==, 200);
    }
}

/* Whoever comes while others wait stands behind them, even if there is enough for him. */
static void
test_no_overtaking (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
  g_autoptr (GAsyncQueue) finished = g_async_queue_new ();
  Stream large = { .throttle = throttle, .finished = finished, .number = 1, .wanted = 500 };
  Stream small = { .throttle = throttle, .finished = finished, .number = 2, .wanted = 1 };

  stream_start (&large);
  wait_until_waiting (throttle, 1);
  kp_throttle_refund (throttle, 300);
  stream_start (&small);
  wait_until_waiting (throttle, 2);
  kp_throttle_refund (throttle, 200);
  g_assert_cmpint (GPOINTER_TO_INT (g_async_queue_pop (finished)), ==, 1);
  kp_throttle_refund (throttle, 1);
  g_assert_cmpint (GPOINTER_TO_INT (g_async_queue_pop (finished)), ==, 2);
  stream_join (&large);
  stream_join (&small);
}

static void
test_cancelled_before (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  kp_throttle_charge (throttle, 100);
  kp_throttle_refund (throttle, 300);
  g_cancellable_cancel (cancellable);
  g_assert_cmpuint (kp_throttle_acquire (throttle, 100, cancellable, &error), ==, 0);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  acquire_exactly (throttle, 200);
}

/* The head of the queue and another; nobody behind them notices. */
static void
test_cancelled_while_waiting (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
  g_autoptr (GCancellable) one = g_cancellable_new ();
  g_autoptr (GCancellable) two = g_cancellable_new ();
  Stream streams[4] = { 0 };
  GCancellable *cancellables[4] = { one, NULL, two, NULL };

  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    {
      streams[i].throttle = throttle;
      streams[i].cancellable = cancellables[i];
      streams[i].wanted = 200;
      stream_start (&streams[i]);
      wait_until_waiting (throttle, i + 1);
    }

  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    if (cancellables[i] != NULL)
      {
        g_cancellable_cancel (cancellables[i]);
        stream_join (&streams[i]);
        g_assert_cmpuint (streams[i].granted, ==, 0);
        g_assert_error (streams[i].error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        g_clear_error (&streams[i].error);
      }
  g_assert_cmpuint (kp_throttle_get_waiting (throttle), ==, 2);
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, 0);

  kp_throttle_refund (throttle, 400);
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    if (cancellables[i] == NULL)
      {
        stream_join (&streams[i]);
        g_assert_no_error (streams[i].error);
        g_assert_cmpuint (streams[i].granted, ==, 200);
      }
}

static void
test_rate_changes_while_waiting (void)
{
  static const guint64 rates[] = { 100 << 20, 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (rates); i++)
    {
      g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
      Stream streams[3] = { 0 };

      for (guint j = 0; j < G_N_ELEMENTS (streams); j++)
        {
          streams[j].throttle = throttle;
          streams[j].wanted = 8192;
          stream_start (&streams[j]);
          wait_until_waiting (throttle, j + 1);
        }
      kp_throttle_set_rate (throttle, rates[i]);
      g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, rates[i]);
      for (guint j = 0; j < G_N_ELEMENTS (streams); j++)
        {
          stream_join (&streams[j]);
          g_assert_cmpuint (streams[j].granted, ==, 8192);
        }
    }

  /* And down: what a stream was promised at the old rate it waits for at the new one. */
  g_autoptr (KpThrottle) throttle = kp_throttle_new (10);
  Stream stream = { .throttle = throttle, .wanted = 512 };
  stream_start (&stream);
  wait_until_waiting (throttle, 1);
  gint64 start = g_get_monotonic_time ();
  kp_throttle_charge (throttle, 1000);
  kp_throttle_set_rate (throttle, 5000);
  stream_join (&stream);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 200 * 1000);
}

static void
test_suspended (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (CRAWL);
  Stream stream = { .throttle = throttle, .wanted = 8192 };

  stream_start (&stream);
  wait_until_waiting (throttle, 1);
  kp_throttle_set_suspended (throttle, TRUE);
  stream_join (&stream);
  g_assert_cmpuint (stream.granted, ==, 8192);
  g_assert_true (kp_throttle_get_suspended (throttle));
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 0);
  acquire_exactly (throttle, 1 << 20);

  kp_throttle_set_rate (throttle, 12345);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 0);
  kp_throttle_set_suspended (throttle, FALSE);
  g_assert_false (kp_throttle_get_suspended (throttle));
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 12345);
}

/* A wall clock that goes on by itself, and can be set. */
typedef struct
{
  gint64 start;
  int hours_ahead; /* atomic */
} FakeClock;

static GDateTime *
fake_clock (gpointer data)
{
  FakeClock *clock = data;
  double seconds = (double) (g_get_monotonic_time () - clock->start) / G_TIME_SPAN_SECOND;
  g_autoptr (GTimeZone) zone = g_time_zone_new_utc ();
  g_autoptr (GDateTime) monday = g_date_time_new (zone, 2026, 11, 2, 7, 59, 59);

  return g_date_time_add_seconds (monday, seconds + 3600 * g_atomic_int_get (&clock->hours_ahead));
}

static void
test_timetable (void)
{
  FakeClock clock = { .start = g_get_monotonic_time () };
  g_autoptr (KpThrottle) throttle = kp_throttle_new_with_clock (7, fake_clock, &clock);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpTimetable) timetable
      = kp_timetable_parse ("02:00,1B:2B 09:30,3B:4B 11:30,5B:6B", &error);

  g_assert_no_error (error);
  kp_throttle_set_timetable (throttle, timetable, KP_DIRECTION_UP);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 1);
  g_atomic_int_set (&clock.hours_ahead, 2);
  kp_throttle_recheck (throttle);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 3);
  kp_throttle_set_timetable (throttle, timetable, KP_DIRECTION_DOWN);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 4);
  kp_throttle_set_suspended (throttle, TRUE);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 0);
  g_atomic_int_set (&clock.hours_ahead, 4);
  kp_throttle_set_suspended (throttle, FALSE);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 6);

  kp_throttle_set_timetable (throttle, NULL, KP_DIRECTION_DOWN);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 7);
  kp_throttle_set_timetable (throttle, timetable, KP_DIRECTION_UP);
  kp_throttle_set_rate (throttle, 8);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 8);
  kp_throttle_recheck (throttle);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 8);
}

/* The limit goes at eight o'clock, a second away, and nobody tells the stream that waits. */
static void
test_timetable_while_waiting (void)
{
  FakeClock clock = { .start = g_get_monotonic_time () };
  g_autoptr (KpThrottle) throttle = kp_throttle_new_with_clock (0, fake_clock, &clock);
  g_autoptr (KpTimetable) timetable = kp_timetable_parse ("06:00,1B 08:00,off", NULL);
  Stream stream = { .throttle = throttle, .wanted = 8192 };

  kp_throttle_set_timetable (throttle, timetable, KP_DIRECTION_UP);
  stream_start (&stream);
  stream_join (&stream);
  g_assert_cmpuint (stream.granted, ==, 8192);
  g_assert_cmpint (g_get_monotonic_time () - clock.start, >=, G_TIME_SPAN_SECOND);
  g_assert_cmpuint (kp_throttle_get_rate (throttle), ==, 0);
}

/* The limit comes at eight o'clock, while nobody waits. */
static void
test_timetable_from_unlimited (void)
{
  FakeClock clock = { .start = g_get_monotonic_time () };
  g_autoptr (KpThrottle) throttle = kp_throttle_new_with_clock (0, fake_clock, &clock);
  g_autoptr (KpTimetable) timetable = kp_timetable_parse ("06:00,off 08:00,1000B", NULL);
  gsize granted;

  kp_throttle_set_timetable (throttle, timetable, KP_DIRECTION_UP);
  do
    {
      granted = kp_throttle_acquire (throttle, 8192, NULL, NULL);
      g_thread_yield ();
    }
  while (granted == 8192);
  g_assert_cmpuint (granted, ==, 512);
  g_assert_cmpint (g_get_monotonic_time () - clock.start, >=, G_TIME_SPAN_SECOND);
}

/* Everything at once: whatever goes wrong here hangs, or is found by the thread sanitizer. */
typedef struct
{
  KpThrottle *throttle;
  GCancellable *cancellable;
  guint64 granted;
} Worker;

static gpointer
worker_thread (gpointer data)
{
  Worker *worker = data;
  gsize granted;

  while ((granted = kp_throttle_acquire (worker->throttle, 8192, worker->cancellable, NULL)) > 0)
    {
      kp_throttle_charge (worker->throttle, 300);
      kp_throttle_refund (worker->throttle, granted / 2);
      worker->granted += granted - granted / 2 + 300;
    }
  return NULL;
}

static void
test_stress (void)
{
  enum
  {
    N_WORKERS = 8,
    ROUNDS = 20
  };
  FakeClock clock = { .start = g_get_monotonic_time () };
  g_autoptr (KpThrottle) throttle = kp_throttle_new_with_clock (1 << 20, fake_clock, &clock);
  g_autoptr (KpTimetable) timetable = kp_timetable_parse ("06:00,1M 08:00,off", NULL);
  guint64 granted = 0;

  for (int round = 0; round < ROUNDS; round++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      Worker workers[N_WORKERS] = { 0 };
      GThread *threads[N_WORKERS];

      for (int i = 0; i < N_WORKERS; i++)
        {
          workers[i].throttle = throttle;
          workers[i].cancellable = cancellable;
          threads[i] = g_thread_new ("worker", worker_thread, &workers[i]);
        }
      for (int i = 0; i < 20; i++)
        {
          switch (g_test_rand_int_range (0, 5))
            {
            case 0:
              kp_throttle_set_rate (throttle, (guint64) g_test_rand_int_range (1, 10000000));
              break;
            case 1:
              kp_throttle_set_rate (throttle, 0);
              break;
            case 2:
              kp_throttle_set_suspended (throttle, g_test_rand_bit ());
              break;
            case 3:
              kp_throttle_set_timetable (throttle, g_test_rand_bit () ? timetable : NULL,
                                         KP_DIRECTION_UP);
              break;
            default:
              kp_throttle_get_rate (throttle);
              break;
            }
          g_usleep (100);
        }
      g_cancellable_cancel (cancellable);
      for (int i = 0; i < N_WORKERS; i++)
        {
          g_thread_join (threads[i]);
          granted += workers[i].granted;
        }
      g_assert_cmpuint (kp_throttle_get_waiting (throttle), ==, 0);
    }
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, granted);
}

/* How true the limit is on this machine; "-m perf" prints it, nothing is asserted. */
typedef struct
{
  gint64 time;
  gsize bytes;
} Grant;

typedef struct
{
  KpThrottle *throttle;
  gint64 end;
  GArray *grants; /* (element-type Grant) */
} Meter;

static gpointer
meter_thread (gpointer data)
{
  Meter *meter = data;
  Grant grant = { 0 };

  do
    {
      grant.bytes = kp_throttle_acquire (meter->throttle, 8192, NULL, NULL);
      grant.time = g_get_monotonic_time ();
      g_array_append_val (meter->grants, grant);
    }
  while (grant.time < meter->end);
  return NULL;
}

static int
compare_grants (gconstpointer a, gconstpointer b)
{
  gint64 difference = ((const Grant *) a)->time - ((const Grant *) b)->time;
  return (difference > 0) - (difference < 0);
}

/* The most bytes in any window of this length, per second. */
static double
worst_window (GArray *grants, gint64 length)
{
  gsize inside = 0;
  gsize worst = 0;

  for (guint i = 0, tail = 0; i < grants->len; i++)
    {
      inside += g_array_index (grants, Grant, i).bytes;
      for (; g_array_index (grants, Grant, tail).time
             <= g_array_index (grants, Grant, i).time - length;
           tail++)
        inside -= g_array_index (grants, Grant, tail).bytes;
      worst = MAX (worst, inside);
    }
  return (double) worst * G_TIME_SPAN_SECOND / (double) length;
}

static void
measure (guint64 rate, guint n_threads, gint64 seconds)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (rate);
  g_autoptr (GArray) grants = g_array_new (FALSE, FALSE, sizeof (Grant));
  g_autofree Meter *meters = g_new0 (Meter, n_threads);
  g_autofree GThread **threads = g_new0 (GThread *, n_threads);
  gint64 start = g_get_monotonic_time ();
  double least = G_MAXDOUBLE;

  for (guint i = 0; i < n_threads; i++)
    {
      meters[i].throttle = throttle;
      meters[i].end = start + seconds * G_TIME_SPAN_SECOND;
      meters[i].grants = g_array_new (FALSE, FALSE, sizeof (Grant));
      threads[i] = g_thread_new ("meter", meter_thread, &meters[i]);
    }
  for (guint i = 0; i < n_threads; i++)
    {
      gsize bytes = 0;
      g_thread_join (threads[i]);
      for (guint j = 0; j < meters[i].grants->len; j++)
        bytes += g_array_index (meters[i].grants, Grant, j).bytes;
      least = MIN (least, (double) bytes);
      g_array_append_vals (grants, meters[i].grants->data, meters[i].grants->len);
      g_array_unref (meters[i].grants);
    }
  g_array_sort (grants, compare_grants);

  gint64 duration = g_array_index (grants, Grant, grants->len - 1).time - start;
  double total = (double) kp_throttle_get_total (throttle);
  double mean = total / (double) duration * G_TIME_SPAN_SECOND;
  double percent = 100.0 / (double) rate;
  g_test_message ("%7" G_GUINT64_FORMAT " B/s, %2u threads, %4.1f s: mean %.2f %%, worst second "
                  "%.2f %%, worst 100 ms %.2f %%, least stream %.2f %% of its share",
                  rate, n_threads, (double) duration / G_TIME_SPAN_SECOND, mean * percent,
                  worst_window (grants, G_TIME_SPAN_SECOND) * percent,
                  worst_window (grants, G_TIME_SPAN_SECOND / 10) * percent,
                  least * n_threads / total * 100);
}

static void
test_measure (void)
{
  static const guint64 rates[] = { 16 << 10, 256 << 10, 2 << 20, 100 << 20 };

  for (gsize i = 0; i < G_N_ELEMENTS (rates); i++)
    {
      measure (rates[i], 1, 12);
      measure (rates[i], 8, 12);
    }
}

/* The price of a throttle that does not limit: 64 threads, a grant each time. */
static gpointer
unlimited_thread (gpointer data)
{
  KpThrottle *throttle = data;

  for (int i = 0; i < 1000000; i++)
    if (kp_throttle_acquire (throttle, 8192, NULL, NULL) != 8192)
      return throttle;
  return NULL;
}

static void
test_measure_unlimited (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (0);
  GThread *threads[64];
  gint64 start = g_get_monotonic_time ();

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("unlimited", unlimited_thread, throttle);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_null (g_thread_join (threads[i]));
  g_test_message ("no limit, 64 threads: %.1f ns a call",
                  (double) (g_get_monotonic_time () - start) * 1000 / 64e6);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/throttle/throttle/unlimited", test_unlimited);
  g_test_add_func ("/throttle/throttle/lower-bound", test_lower_bound);
  g_test_add_func ("/throttle/throttle/quantum", test_quantum);
  g_test_add_func ("/throttle/throttle/first-come-first-served", test_first_come_first_served);
  g_test_add_func ("/throttle/throttle/no-overtaking", test_no_overtaking);
  g_test_add_func ("/throttle/throttle/cancelled-before", test_cancelled_before);
  g_test_add_func ("/throttle/throttle/cancelled-while-waiting", test_cancelled_while_waiting);
  g_test_add_func ("/throttle/throttle/rate-changes", test_rate_changes_while_waiting);
  g_test_add_func ("/throttle/throttle/suspended", test_suspended);
  g_test_add_func ("/throttle/throttle/timetable", test_timetable);
  g_test_add_func ("/throttle/throttle/timetable-while-waiting", test_timetable_while_waiting);
  g_test_add_func ("/throttle/throttle/timetable-from-unlimited", test_timetable_from_unlimited);
  g_test_add_func ("/throttle/throttle/stress", test_stress);
  if (g_test_perf ())
    {
      g_test_add_func ("/throttle/throttle/measure", test_measure);
      g_test_add_func ("/throttle/throttle/measure-unlimited", test_measure_unlimited);
    }
  return g_test_run ();
}

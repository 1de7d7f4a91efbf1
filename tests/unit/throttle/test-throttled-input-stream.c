/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-throttled-input-stream.h"

#include "kp-error.h"

#include <gio/gunixinputstream.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* A base that delivers a few bytes at a time, and fails when they are used up. */
#define TEST_TYPE_FAILING_STREAM (test_failing_stream_get_type ())
G_DECLARE_FINAL_TYPE (TestFailingStream, test_failing_stream, TEST, FAILING_STREAM, GInputStream)

struct _TestFailingStream
{
  GInputStream parent_instance;

  gsize left;
};

G_DEFINE_FINAL_TYPE (TestFailingStream, test_failing_stream, G_TYPE_INPUT_STREAM)

static gssize
test_failing_stream_read (GInputStream *stream,
                          void *buffer,
                          gsize count,
                          GCancellable *cancellable,
                          GError **error)
{
  TestFailingStream *self = TEST_FAILING_STREAM (stream);

  if (self->left == 0)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_CORRUPT, "The disk is on fire");
      return -1;
    }
  gsize n = MIN (MIN (count, self->left), 100);
  memset (buffer, 'x', n);
  self->left -= n;
  return (gssize) n;
}

static void
test_failing_stream_class_init (TestFailingStreamClass *klass)
{
  G_INPUT_STREAM_CLASS (klass)->read_fn = test_failing_stream_read;
}

static void
test_failing_stream_init (TestFailingStream *self)
{
  self->left = 250;
}

static GBytes *
random_bytes (gsize size)
{
  guint8 *data = g_malloc (size);

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) g_test_rand_int_range (0, 256);
  return g_bytes_new_take (data, size);
}

/* Reads to the end in blocks of @block bytes, and counts exactly what was read. */
static void
check_content (guint64 rate, gsize size, gsize block)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (rate);
  g_autoptr (GBytes) bytes = random_bytes (size);
  g_autoptr (GInputStream) base = g_memory_input_stream_new_from_bytes (bytes);
  g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
  g_autoptr (GByteArray) content = g_byte_array_new ();
  g_autofree guint8 *buffer = g_malloc (block);
  gssize n;

  do
    {
      g_autoptr (GError) error = NULL;
      n = g_input_stream_read (stream, buffer, block, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpint (n, >=, 0);
      g_byte_array_append (content, buffer, (guint) n);
      g_assert_cmpuint (kp_throttle_get_total (throttle), ==, content->len);
    }
  while (n > 0);

  g_assert_cmpmem (content->data, content->len, g_bytes_get_data (bytes, NULL), size);
}

static void
test_content (void)
{
  static const gsize sizes[] = { 0, 1, 8191, 8192, 100001 };
  static const gsize blocks[] = { 1000, 8192, 1 << 20 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (blocks); j++)
      {
        check_content (0, sizes[i], blocks[j]);
        check_content (10 << 20, sizes[i], blocks[j]);
      }
}

static void
test_lower_bound (void)
{
  gint64 start = g_get_monotonic_time ();

  check_content (200000, 50000, 8192);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, G_TIME_SPAN_SECOND / 4);
}

/* The end of a stream costs nothing: what was acquired for it is there for the next one. */
static void
test_end_is_refunded (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (1);
  g_autoptr (GInputStream) base = g_memory_input_stream_new ();
  g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
  g_autoptr (GError) error = NULL;
  char buffer[512];

  kp_throttle_refund (throttle, 512);
  guint64 before = kp_throttle_get_total (throttle);
  for (int i = 0; i < 3; i++)
    {
      g_assert_cmpint (g_input_stream_read (stream, buffer, sizeof buffer, NULL, &error), ==, 0);
      g_assert_no_error (error);
      g_assert_cmpint (g_input_stream_skip (stream, sizeof buffer, NULL, &error), ==, 0);
      g_assert_no_error (error);
    }
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, before);
}

static void
test_read_error (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (1 << 20);
  g_autoptr (GInputStream) base = g_object_new (TEST_TYPE_FAILING_STREAM, NULL);
  g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
  g_autoptr (GError) error = NULL;
  char buffer[8192];
  gsize n_read;

  g_assert_false (g_input_stream_read_all (stream, buffer, sizeof buffer, &n_read, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CORRUPT);
  g_assert_cmpuint (n_read, ==, 250);
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, 250);
}

typedef struct
{
  GInputStream *stream;
  GCancellable *cancellable;
  gboolean skip;
  gssize result;
  GError *error;
} Reader;

static gpointer
reader_thread (gpointer data)
{
  Reader *reader = data;
  char buffer[512];

  reader->result = reader->skip ? g_input_stream_skip (reader->stream, sizeof buffer,
                                                       reader->cancellable, &reader->error)
                                : g_input_stream_read (reader->stream, buffer, sizeof buffer,
                                                       reader->cancellable, &reader->error);
  return NULL;
}

static void
check_cancelled (GInputStream *base, KpThrottle *throttle, gboolean in_throttle, gboolean skip)
{
  g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Reader reader = { .stream = stream, .cancellable = cancellable, .skip = skip };
  guint64 before = kp_throttle_get_total (throttle);
  gint64 limit = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;
  GThread *thread = g_thread_new ("reader", reader_thread, &reader);

  /* Until it is where it should be cancelled: in the throttle's queue, or in the base. */
  while (in_throttle ? kp_throttle_get_waiting (throttle) == 0
                     : kp_throttle_get_total (throttle) == before)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, limit);
      g_usleep (500);
    }
  g_cancellable_cancel (cancellable);
  g_thread_join (thread);
  g_assert_cmpint (reader.result, ==, -1);
  g_assert_error (reader.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (kp_throttle_get_total (throttle), ==, before);
  g_clear_error (&reader.error);
}

static void
test_cancelled_while_waiting (void)
{
  g_autoptr (KpThrottle) throttle = kp_throttle_new (1);
  g_autoptr (GBytes) bytes = random_bytes (1000);

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GInputStream) base = g_memory_input_stream_new_from_bytes (bytes);
      check_cancelled (base, throttle, TRUE, i == 1);
      /* Nothing was taken from the base either. */
      g_assert_cmpint (g_seekable_tell (G_SEEKABLE (base)), ==, 0);
    }
}

static void
test_cancelled_while_reading (void)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (KpThrottle) throttle = kp_throttle_new (i == 0 ? 0 : 1 << 20);
      int fds[2];

      g_assert_cmpint (pipe (fds), ==, 0);
      g_autoptr (GInputStream) base = g_unix_input_stream_new (fds[0], TRUE);
      check_cancelled (base, throttle, FALSE, i == 1);
      g_close (fds[1], NULL);
    }
}

static void
test_skip (void)
{
  static const guint64 rates[] = { 0, 1 << 20 };

  for (gsize i = 0; i < G_N_ELEMENTS (rates); i++)
    {
      g_autoptr (KpThrottle) throttle = kp_throttle_new (rates[i]);
      g_autoptr (GInputStream) base = g_memory_input_stream_new_from_data ("0123456789", 10, NULL);
      g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
      char buffer[20];

      g_assert_cmpint (g_input_stream_skip (stream, 4, NULL, NULL), ==, 4);
      g_assert_cmpint (g_input_stream_read (stream, buffer, 3, NULL, NULL), ==, 3);
      g_assert_cmpmem (buffer, 3, "456", 3);
      g_assert_cmpint (g_input_stream_skip (stream, 100, NULL, NULL), ==, 3);
      g_assert_cmpint (g_input_stream_skip (stream, 100, NULL, NULL), ==, 0);
      g_assert_cmpuint (kp_throttle_get_total (throttle), ==, 10);
    }
}

static void
test_close (void)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (KpThrottle) throttle = kp_throttle_new (1);
      g_autoptr (GInputStream) base = g_memory_input_stream_new ();
      g_autoptr (GInputStream) stream = kp_throttled_input_stream_new (base, throttle);
      g_autoptr (GError) error = NULL;

      g_assert_true (G_IS_FILTER_INPUT_STREAM (stream));
      g_assert_false (G_IS_SEEKABLE (stream));
      if (i == 1)
        g_filter_input_stream_set_close_base_stream (G_FILTER_INPUT_STREAM (stream), FALSE);
      g_assert_true (g_input_stream_close (stream, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (g_input_stream_is_closed (base), ==, i == 0);
    }
}

static void
test_finalized (void)
{
  KpThrottle *throttle = kp_throttle_new (1);
  GInputStream *base = g_memory_input_stream_new ();
  GInputStream *stream = kp_throttled_input_stream_new (base, throttle);

  g_object_add_weak_pointer (G_OBJECT (throttle), (gpointer *) &throttle);
  g_object_add_weak_pointer (G_OBJECT (base), (gpointer *) &base);
  g_object_unref (throttle);
  g_object_unref (base);
  g_assert_nonnull (throttle);
  g_assert_nonnull (base);
  g_assert_finalize_object (stream);
  g_assert_null (throttle);
  g_assert_null (base);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/throttle/stream/content", test_content);
  g_test_add_func ("/throttle/stream/lower-bound", test_lower_bound);
  g_test_add_func ("/throttle/stream/end-is-refunded", test_end_is_refunded);
  g_test_add_func ("/throttle/stream/read-error", test_read_error);
  g_test_add_func ("/throttle/stream/cancelled-while-waiting", test_cancelled_while_waiting);
  g_test_add_func ("/throttle/stream/cancelled-while-reading", test_cancelled_while_reading);
  g_test_add_func ("/throttle/stream/skip", test_skip);
  g_test_add_func ("/throttle/stream/close", test_close);
  g_test_add_func ("/throttle/stream/finalized", test_finalized);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-body.h"

#include <string.h>

#define SIZE 20000
#define PATIENCE 60

typedef struct
{
  GBytes *bytes;
  KpThrottle *throttle;
  KpS3Watchdog *watchdog;
  KpS3Watch *watch;
  GInputStream *stream;
} Fixture;

static void
set_up (Fixture *fixture, const void *user_data)
{
  guint8 *data = g_malloc (SIZE);

  for (gsize i = 0; i < SIZE; i++)
    data[i] = (guint8) (i * 7 + i / 256);
  fixture->bytes = g_bytes_new_take (data, SIZE);
  fixture->throttle = kp_throttle_new (0);
  fixture->watchdog = kp_s3_watchdog_new ();
  fixture->watch = kp_s3_watch_new (fixture->watchdog);
  kp_s3_watch_begin (fixture->watch, PATIENCE, NULL);
  fixture->stream = kp_s3_body_new (fixture->bytes, fixture->throttle, fixture->watch);
}

static void
tear_down (Fixture *fixture, const void *user_data)
{
  g_assert_finalize_object (fixture->stream);
  g_assert_false (kp_s3_watch_end (fixture->watch));
  kp_s3_watch_free (fixture->watch);
  kp_s3_watchdog_free (fixture->watchdog);
  g_assert_finalize_object (fixture->throttle);
  g_bytes_unref (fixture->bytes);
}

/* Reads to the end, @piece bytes at a time, and returns how often there were some. */
static unsigned
read_all (Fixture *fixture, gsize piece)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_autofree guint8 *buffer = g_malloc (piece);
  unsigned reads = 0;
  gssize n;

  for (;;)
    {
      g_autoptr (GError) error = NULL;

      n = g_input_stream_read (fixture->stream, buffer, piece, NULL, &error);
      g_assert_no_error (error);
      if (n == 0)
        break;
      g_assert_cmpint (n, >, 0);
      g_assert_cmpuint ((gsize) n, <=, piece);
      g_byte_array_append (all, buffer, (guint) n);
      reads++;
    }
  g_assert_cmpmem (all->data, all->len, g_bytes_get_data (fixture->bytes, NULL), SIZE);
  g_assert_cmpuint (kp_throttle_get_total (fixture->throttle), ==, SIZE);
  return reads;
}

static void
test_in_pieces (Fixture *fixture, const void *user_data)
{
  gsize piece = GPOINTER_TO_SIZE (user_data);

  g_assert_cmpuint (read_all (fixture, piece), ==, (SIZE + piece - 1) / piece);
}

/* A limit gives less at a time than is asked for. */
static void
test_limited (Fixture *fixture, const void *user_data)
{
  kp_throttle_set_rate (fixture->throttle, 4 * SIZE);
  g_assert_cmpuint (read_all (fixture, SIZE), >, 1);
}

/* What is not read is not counted, and comes with the next reading. */
static void
test_cancelled (Fixture *fixture, const void *user_data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  char buffer[16];

  g_cancellable_cancel (cancellable);
  g_assert_cmpint (
      g_input_stream_read (fixture->stream, buffer, sizeof buffer, cancellable, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (kp_throttle_get_total (fixture->throttle), ==, 0);
  read_all (fixture, SIZE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/s3/body/bytewise", Fixture, GSIZE_TO_POINTER (1), set_up, test_in_pieces,
              tear_down);
  g_test_add ("/s3/body/in-pieces", Fixture, GSIZE_TO_POINTER (8192), set_up, test_in_pieces,
              tear_down);
  g_test_add ("/s3/body/at-once", Fixture, GSIZE_TO_POINTER (SIZE), set_up, test_in_pieces,
              tear_down);
  g_test_add ("/s3/body/more-than-there-is", Fixture, GSIZE_TO_POINTER (SIZE + 1), set_up,
              test_in_pieces, tear_down);
  g_test_add ("/s3/body/limited", Fixture, NULL, set_up, test_limited, tear_down);
  g_test_add ("/s3/body/cancelled", Fixture, NULL, set_up, test_cancelled, tear_down);
  return g_test_run ();
}

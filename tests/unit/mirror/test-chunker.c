/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-chunker.h"

#include <string.h>

#define MEBIBYTE (1024 * 1024)

/* Bytes that are the same on every machine and in every version of GLib. */
static guint8 *
make_bytes (gsize length, guint64 state)
{
  guint8 *bytes = g_malloc (length);

  for (gsize i = 0; i < length; i++)
    {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes[i] = (guint8) (state >> 32);
    }
  return bytes;
}

static GArray *
cut_all (const guint8 *data, gsize length)
{
  GArray *cuts = g_array_new (FALSE, FALSE, sizeof (gsize));

  for (gsize offset = 0; offset < length;)
    {
      offset += kp_chunker_cut (data + offset, length - offset);
      g_array_append_val (cuts, offset);
    }
  return cuts;
}

/* A file that was cut by one version must be cut the same by all others. */
static void
test_fixed_cuts (void)
{
  static const gsize expected[] = { 2386882,  3638641,  4787485,  5882114,  7396841,  8989534,
                                    10263464, 12184011, 13237572, 14617304, 15816017, 16777216 };
  g_autofree guint8 *data = make_bytes (16 * MEBIBYTE, 88172645463325252u);
  g_autoptr (GArray) cuts = cut_all (data, 16 * MEBIBYTE);

  g_assert_cmpuint (cuts->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < cuts->len; i++)
    g_assert_cmpuint (g_array_index (cuts, gsize, i), ==, expected[i]);
}

static void
test_bounds (void)
{
  g_autofree guint8 *zeros = g_malloc0 (10 * MEBIBYTE);
  g_autofree guint8 *data = make_bytes (64 * MEBIBYTE, 42);
  g_autoptr (GArray) cuts = cut_all (data, 64 * MEBIBYTE);
  gsize last = 0;

  g_assert_cmpuint (kp_chunker_cut (data, 0), ==, 0);
  g_assert_cmpuint (kp_chunker_cut (data, 1), ==, 1);
  g_assert_cmpuint (kp_chunker_cut (data, KP_CHUNK_MIN), ==, KP_CHUNK_MIN);
  /* What never asks for a cut is cut at the maximum. */
  g_assert_cmpuint (kp_chunker_cut (zeros, 10 * MEBIBYTE), ==, KP_CHUNK_MAX);
  for (guint i = 0; i < cuts->len; i++)
    {
      gsize end = g_array_index (cuts, gsize, i);
      g_assert_cmpuint (end - last, <=, KP_CHUNK_MAX);
      if (i < cuts->len - 1)
        g_assert_cmpuint (end - last, >=, KP_CHUNK_MIN);
      last = end;
    }
  g_assert_cmpuint (last, ==, 64 * MEBIBYTE);
  /* About 1 MiB on average. */
  g_assert_cmpuint (cuts->len, >, 45);
  g_assert_cmpuint (cuts->len, <, 90);
}

/* Of the bytes with this seed, the 64 before the first offset ask for a cut only behind the
 * average, and those before the second ask for one everywhere. */
#define EDGE_SEED 36
#define ASKS_BEHIND 13411
#define ASKS_EVERYWHERE 37635

/* Cuts zeros, which ask for none, with 64 bytes among them that do. */
static gsize
cut_zeros (gsize length, gsize place, const guint8 *asking)
{
  g_autofree guint8 *data = g_malloc0 (length);

  memcpy (data + place - 64, asking, 64);
  return kp_chunker_cut (data, length);
}

/* At even and at odd places beside every edge, and however much there is behind them. */
static void
test_edges (void)
{
  static const gsize places[]
      = { KP_CHUNK_MIN - 1,     KP_CHUNK_MIN,         KP_CHUNK_MIN + 1, KP_CHUNK_MIN + 2,
          KP_CHUNK_MIN + 3,     KP_CHUNK_AVERAGE - 1, KP_CHUNK_AVERAGE, KP_CHUNK_AVERAGE + 1,
          KP_CHUNK_AVERAGE + 2, KP_CHUNK_AVERAGE + 3, KP_CHUNK_MAX - 1, KP_CHUNK_MAX };
  g_autofree guint8 *data = make_bytes (ASKS_EVERYWHERE, EDGE_SEED);

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    for (gsize length = places[i]; length < places[i] + 4; length++)
      {
        gsize uncut = MIN (length, KP_CHUNK_MAX);
        g_assert_cmpuint (cut_zeros (length, places[i], data + ASKS_EVERYWHERE - 64), ==,
                          places[i] > KP_CHUNK_MIN ? places[i] : uncut);
        g_assert_cmpuint (cut_zeros (length, places[i], data + ASKS_BEHIND - 64), ==,
                          places[i] > KP_CHUNK_AVERAGE ? places[i] : uncut);
      }
}

/* After an insertion the cuts are the old ones again within a few chunks. */
static void
test_resynchronises (void)
{
  gsize length = 24 * MEBIBYTE;
  g_autofree guint8 *data = make_bytes (length, 7);
  g_autofree guint8 *longer = g_malloc (length + 1000);
  g_autoptr (GArray) cuts = cut_all (data, length);

  memset (longer, 'x', 1000);
  memcpy (longer + 1000, data, length);
  g_autoptr (GArray) moved = cut_all (longer, length + 1000);

  guint common = 0;
  for (guint i = 0; i < cuts->len; i++)
    for (guint j = 0; j < moved->len; j++)
      if (g_array_index (cuts, gsize, i) + 1000 == g_array_index (moved, gsize, j))
        common++;
  g_assert_cmpuint (common, >=, cuts->len - 4);
}

/* Measured, not judged: the machine may have other things to do. Without hashing, as the chunks'
 * hashes cost more than the cuts. */
static void
test_speed (void)
{
  gsize length = 64 * MEBIBYTE;
  g_autofree guint8 *data = make_bytes (length, 9);
  gint64 start = g_get_monotonic_time ();
  guint64 bytes = 0;

  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GArray) cuts = cut_all (data, length);
      bytes += g_array_index (cuts, gsize, cuts->len - 1);
    }
  double seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_assert_cmpuint (bytes, ==, 4 * length);
  g_test_maximized_result ((double) bytes / 1e6 / seconds, "%.0f MB/s on one core",
                           (double) bytes / 1e6 / seconds);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/chunker/fixed-cuts", test_fixed_cuts);
  g_test_add_func ("/mirror/chunker/bounds", test_bounds);
  g_test_add_func ("/mirror/chunker/edges", test_edges);
  g_test_add_func ("/mirror/chunker/resynchronises", test_resynchronises);
  g_test_add_func ("/mirror/chunker/speed", test_speed);
  return g_test_run ();
}

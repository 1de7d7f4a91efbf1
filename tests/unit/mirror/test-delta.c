/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-delta.h"

#include <string.h>

static const KpDeltaLimits small
    = { .min_part = 5, .max_copy = 40, .upload_part = 8, .max_parts = 1000 };

/* The parts are the object: no gap, no overlap, each within the limits, each copied byte the right
 * one. */
static void
check_parts (GArray *parts, const KpPiece *pieces, gsize n_pieces, const KpDeltaLimits *limits)
{
  guint64 offset = 0;
  gsize piece = 0;
  guint64 piece_start = 0;

  g_assert_cmpuint (parts->len, <=, limits->max_parts);
  for (guint i = 0; i < parts->len; i++)
    {
      const KpPart *part = &g_array_index (parts, KpPart, i);

      g_assert_cmpuint (part->offset, ==, offset);
      g_assert_cmpuint (part->length, >, 0);
      if (i < parts->len - 1)
        g_assert_cmpuint (part->length, >=, limits->min_part);
      if (part->source >= 0)
        g_assert_cmpuint (part->length, <=, limits->max_copy);
      for (guint64 b = 0; b < part->length; b++, offset++)
        {
          while (offset - piece_start >= pieces[piece].length)
            piece_start += pieces[piece++].length;
          g_assert_cmpuint (piece, <, n_pieces);
          if (part->source >= 0)
            {
              g_assert_cmpint (part->source, ==, pieces[piece].source);
              g_assert_cmpuint (part->source_offset + b, ==,
                                pieces[piece].source_offset + offset - piece_start);
            }
        }
    }
  guint64 size = 0;
  for (gsize i = 0; i < n_pieces; i++)
    size += pieces[i].length;
  g_assert_cmpuint (offset, ==, size);
}

static guint64
plan_cost (const KpPiece *pieces, gsize n_pieces, const KpDeltaLimits *limits)
{
  g_autoptr (GArray) parts = kp_delta_plan (pieces, n_pieces, limits);

  check_parts (parts, pieces, n_pieces, limits);
  return kp_delta_bytes_to_send (parts);
}

static void
test_examples (void)
{
  static const struct
  {
    KpPiece pieces[6];
    gsize n_pieces;
    guint64 sent;
  } cases[] = {
    /* nothing changed */
    { { { 100, 0, 0 } }, 1, 0 },
    /* nothing known */
    { { { 100, -1, 0 } }, 1, 100 },
    /* one byte in the middle: borrowed up to the smallest part */
    { { { 50, 0, 0 }, { 1, -1, 0 }, { 49, 0, 51 } }, 3, 5 },
    /* a few bytes inserted at the front */
    { { { 2, -1, 0 }, { 100, 0, 0 } }, 2, 5 },
    /* appended: the last part may be small */
    { { { 100, 0, 0 }, { 1, -1, 0 } }, 2, 1 },
    /* truncated: a short last copy */
    { { { 3, 0, 0 } }, 1, 0 },
    /* a copied run that is too short is sent with its neighbours */
    { { { 50, 0, 0 }, { 6, -1, 0 }, { 4, 0, 56 }, { 6, -1, 0 }, { 50, 0, 66 } }, 5, 16 },
    /* one that is just long enough can lend nothing, but the others can */
    { { { 50, 0, 0 }, { 1, -1, 0 }, { 5, 0, 51 }, { 1, -1, 0 }, { 50, 0, 57 } }, 5, 7 },
    /* a moved block: two copies from elsewhere side by side */
    { { { 20, 0, 80 }, { 80, 0, 0 } }, 2, 0 },
    /* from two objects */
    { { { 20, 0, 0 }, { 20, 1, 7 }, { 3, -1, 0 } }, 3, 3 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("case %" G_GSIZE_FORMAT, i);
      g_assert_cmpuint (plan_cost (cases[i].pieces, cases[i].n_pieces, &small), ==, cases[i].sent);
    }
}

/* The cheapest of all ways to say of each byte whether it is sent or copied, found by trying them:
 * dynamic programming over bytes, which is slow and cannot be wrong in the same way. A state is: in
 * a sent stretch, or in a copied one, and how long it is, up to the smallest part. */
static guint64
true_optimum (const KpPiece *pieces, gsize n_pieces, guint64 min_part)
{
  enum
  {
    MAX_LENGTH = 8
  };
  guint64 cost[2][MAX_LENGTH + 1]; /* [copied][length] */
  guint64 next[2][MAX_LENGTH + 1];
  gboolean first = TRUE;

  g_assert_cmpuint (min_part, <=, MAX_LENGTH);
  for (gsize p = 0; p < n_pieces; p++)
    for (guint64 b = 0; b < pieces[p].length; b++)
      {
        gboolean starts_run = b == 0;
        for (int c = 0; c < 2; c++)
          for (guint64 l = 0; l <= min_part; l++)
            next[c][l] = G_MAXUINT64;
        if (first)
          {
            next[0][1] = 1;
            if (pieces[p].source >= 0)
              next[1][1] = 0;
            first = FALSE;
          }
        else
          for (int c = 0; c < 2; c++)
            for (guint64 l = 1; l <= min_part; l++)
              {
                if (cost[c][l] == G_MAXUINT64)
                  continue;
                gboolean may_end = l >= min_part;
                /* Send this byte. */
                if (c == 0)
                  next[0][MIN (l + 1, min_part)]
                      = MIN (next[0][MIN (l + 1, min_part)], cost[c][l] + 1);
                else if (may_end)
                  next[0][1] = MIN (next[0][1], cost[c][l] + 1);
                /* Copy it. */
                if (pieces[p].source >= 0)
                  {
                    if (c == 1 && !starts_run)
                      next[1][MIN (l + 1, min_part)]
                          = MIN (next[1][MIN (l + 1, min_part)], cost[c][l]);
                    else if (may_end)
                      next[1][1] = MIN (next[1][1], cost[c][l]);
                  }
              }
        memcpy (cost, next, sizeof cost);
      }

  guint64 best = G_MAXUINT64;
  for (int c = 0; c < 2; c++)
    for (guint64 l = 1; l <= min_part; l++)
      best = MIN (best, cost[c][l]);
  return best;
}

static void
test_is_optimal (void)
{
  const KpDeltaLimits limits
      = { .min_part = 5, .max_copy = 1000, .upload_part = 8, .max_parts = 100000 };

  for (int round = 0; round < 20000; round++)
    {
      KpPiece pieces[12];
      gsize n = (gsize) g_test_rand_int_range (1, G_N_ELEMENTS (pieces) + 1);
      guint64 size = 0;

      for (gsize i = 0; i < n; i++)
        {
          pieces[i].length = (guint64) g_test_rand_int_range (1, 16);
          pieces[i].source = g_test_rand_bit () ? -1 : g_test_rand_int_range (0, 3);
          /* Never right behind the piece before, so that no two pieces are one run. */
          pieces[i].source_offset = (guint64) i * 1000;
          size += pieces[i].length;
        }
      guint64 sent = plan_cost (pieces, n, &limits);
      g_assert_cmpuint (sent, <=, size);
      g_assert_cmpuint (sent, ==, true_optimum (pieces, n, limits.min_part));
    }
}

/* Long files with changes everywhere: within the limits, and never more than everything. */
static void
test_many_runs (void)
{
  for (int round = 0; round < 30; round++)
    {
      gsize n = 3000;
      g_autofree KpPiece *pieces = g_new (KpPiece, n);
      KpDeltaLimits limits = small;
      guint64 size = 0;

      limits.max_parts = round % 2 == 0 ? 40 : 100000;
      for (gsize i = 0; i < n; i++)
        {
          pieces[i].length = (guint64) g_test_rand_int_range (1, 12);
          pieces[i].source = i % 2 == 0 ? -1 : 0;
          pieces[i].source_offset = (guint64) i * 100;
          size += pieces[i].length;
        }
      limits.max_copy = 100000;
      g_assert_cmpuint (plan_cost (pieces, n, &limits), <=, size);
    }
}

static void
test_whole (void)
{
  const KpDeltaLimits limits = {
    .min_part = 5u << 20, .max_copy = 512u << 20, .upload_part = 8u << 20, .max_parts = 1000
  };
  static const struct
  {
    guint64 size;
    guint parts;
    guint64 first;
  } cases[] = {
    { 1, 1, 1 },
    { 8u << 20, 1, 8u << 20 },
    { (8u << 20) + 1, 2, 8u << 20 },
    /* 8 MiB parts would be 1,280: 10.24 MiB each, rounded up to whole MiB */
    { G_GUINT64_CONSTANT (10) << 30, 931, 11u << 20 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GArray) parts = kp_delta_plan_whole (cases[i].size, &limits);
      guint64 sum = 0;

      g_assert_cmpuint (parts->len, ==, cases[i].parts);
      g_assert_cmpuint (g_array_index (parts, KpPart, 0).length, ==, cases[i].first);
      for (guint j = 0; j < parts->len; j++)
        sum += g_array_index (parts, KpPart, j).length;
      g_assert_cmpuint (sum, ==, cases[i].size);
      g_assert_cmpuint (kp_delta_bytes_to_send (parts), ==, cases[i].size);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/delta/examples", test_examples);
  g_test_add_func ("/mirror/delta/is-optimal", test_is_optimal);
  g_test_add_func ("/mirror/delta/many-runs", test_many_runs);
  g_test_add_func ("/mirror/delta/whole", test_whole);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-chunker.h"

/* Before the average a cut is made four times as rare, behind it four times as likely: that keeps
 * most chunks near the average. The bits tested are the highest, which depend on the last 64 bytes.
 */
#define BITS 20
#define MASK_BEFORE (((G_GUINT64_CONSTANT (1) << (BITS + 2)) - 1) << (64 - BITS - 2))
#define MASK_BEHIND (((G_GUINT64_CONSTANT (1) << (BITS - 2)) - 1) << (64 - BITS + 2))

/* 256 numbers without a pattern: the outputs of SplitMix64 (Steele, Lea, Flood 2014) from the state
 * 0. */
static const guint64 *
gear_table (void)
{
  static guint64 table[256];
  static gsize ready = 0;

  if (g_once_init_enter (&ready))
    {
      guint64 state = 0;
      for (int i = 0; i < 256; i++)
        {
          state += G_GUINT64_CONSTANT (0x9E3779B97F4A7C15);
          guint64 z = state;
          z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xBF58476D1CE4E5B9);
          z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94D049BB133111EB);
          table[i] = z ^ (z >> 31);
        }
      g_once_init_leave (&ready, 1);
    }
  return table;
}

/* Looks at the bytes of @data from @start to @end for a cut. Two at a time, in their order: that is
 * what one at a time would find, in half the steps. Where one is left over, it cannot tell
 * anything: there is an end behind it as it is.
 *
 * Returns: the length up to the cut; 0 for none, with @hash as it is behind them */
static gsize
find_cut (const guint8 *data, gsize start, gsize end, guint64 mask, guint64 *hash)
{
  const guint64 *gear = gear_table ();
  const guint8 *last = data + end - 1;
  guint64 h = *hash;

  for (const guint8 *byte = data + start; byte < last; byte += 2)
    {
      guint64 number = gear[byte[0]];
      if (((2 * h + number) & mask) == 0)
        return (gsize) (byte + 1 - data);
      /* From the hash before both, so that the processor need not wait for the first. */
      h = 4 * h + 2 * number + gear[byte[1]];
      if ((h & mask) == 0)
        return (gsize) (byte + 2 - data);
    }
  *hash = h;
  return 0;
}

/* Only at the end of the file one may be left over. */
G_STATIC_ASSERT ((KP_CHUNK_AVERAGE - KP_CHUNK_MIN) % 2 == 0);

/**
 * kp_chunker_cut:
 * @data: what follows the last cut
 * @length: bytes of @data: at least %KP_CHUNK_MAX, or all that is left of the file
 *
 * Returns: the length of the first chunk of @data, at most %KP_CHUNK_MAX
 */
gsize
kp_chunker_cut (const guint8 *data, gsize length)
{
  const guint64 *gear = gear_table ();
  gsize end = MIN (length, KP_CHUNK_MAX);
  gsize middle = MIN (end, KP_CHUNK_AVERAGE);
  guint64 hash = 0;

  if (length <= KP_CHUNK_MIN)
    return length;
  /* The hash has forgotten all but 64 bytes; those before the minimum need not be looked at. */
  for (gsize i = KP_CHUNK_MIN - 64; i < KP_CHUNK_MIN; i++)
    hash = (hash << 1) + gear[data[i]];
  gsize cut = find_cut (data, KP_CHUNK_MIN, middle, MASK_BEFORE, &hash);
  if (cut == 0)
    cut = find_cut (data, middle, end, MASK_BEHIND, &hash);
  return cut != 0 ? cut : end;
}

/**
 * kp_chunks_cover:
 * @chunks: (element-type KpChunk): in order
 * @size: bytes
 *
 * Returns: whether they are all of a file of this size, one behind the other: what a list does not
 *   tell of is not proved by it
 */
gboolean
kp_chunks_cover (const GArray *chunks, guint64 size)
{
  guint64 end = 0;

  for (guint i = 0; i < chunks->len; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      if (chunk->offset != end)
        return FALSE;
      end += chunk->length;
    }
  return end == size;
}

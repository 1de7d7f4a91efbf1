/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-part-chunks.h"

#include <string.h>

#define MEBIBYTE (1024 * 1024)
#define SIZE (20 * MEBIBYTE + 777)

static guint8 *
random_data (gsize size)
{
  guint8 *data = g_malloc (size);
  guint64 state = 1;

  for (gsize i = 0; i < size; i++)
    {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      data[i] = (guint8) state;
    }
  return data;
}

/* What the chunker says when it has the whole file in memory. */
static void
assert_chunks (GArray *chunks, const guint8 *data, gsize size)
{
  gsize offset = 0;

  for (guint i = 0; i < chunks->len; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
      guint8 sha256[KP_CHUNK_HASH_SIZE];
      gsize length = sizeof sha256;

      g_assert_cmpuint (chunk->offset, ==, offset);
      g_assert_cmpuint (chunk->length, ==, kp_chunker_cut (data + offset, size - offset));
      g_checksum_update (checksum, data + offset, chunk->length);
      g_checksum_get_digest (checksum, sha256, &length);
      g_assert_cmpmem (chunk->sha256, sizeof chunk->sha256, sha256, length);
      offset += chunk->length;
    }
  g_assert_cmpuint (offset, ==, size);
}

static unsigned
count_parts (gsize part_size)
{
  return (unsigned) ((SIZE + part_size - 1) / part_size);
}

/* However it is cut into parts, also where a part ends with a chunk. */
static void
test_sizes (void)
{
  g_autofree guint8 *random = random_data (SIZE);
  g_autofree guint8 *zeros = g_malloc0 (SIZE);
  gsize first = kp_chunker_cut (random, SIZE);
  const gsize part_sizes[] = {
    8 * MEBIBYTE, 5 * MEBIBYTE + 13, KP_CHUNK_MAX, MEBIBYTE, KP_CHUNK_MIN, 100000, SIZE, first
  };

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (part_sizes); i++)
    {
      const guint8 *data = i % 2 == 0 ? random : zeros;
      gsize part_size = part_sizes[i / 2];
      unsigned n = count_parts (part_size);
      g_autoptr (KpPartChunks) self = kp_part_chunks_new (n);

      for (unsigned j = 0; j < n; j++)
        {
          gsize offset = j * part_size;
          g_assert_cmpuint (kp_part_chunks_begin (self), ==, j);
          kp_part_chunks_add (self, j, data + offset, MIN (part_size, SIZE - offset), NULL);
        }
      g_autoptr (GArray) chunks = kp_part_chunks_finish (self);
      g_assert_nonnull (chunks);
      assert_chunks (chunks, data, SIZE);
    }
}

typedef struct
{
  KpPartChunks *parts;
  const guint8 *data;
  gsize part_size;
  int left;
  unsigned unreadable; /* number of a part; G_MAXUINT for none */
} Work;

static void *
worker_main (void *user_data)
{
  Work *work = user_data;

  while (g_atomic_int_add (&work->left, -1) > 0)
    {
      unsigned part = kp_part_chunks_begin (work->parts);
      gsize offset = part * work->part_size;
      const guint8 *bytes = part == work->unreadable ? NULL : work->data + offset;

      /* The later a part, the sooner it is there. */
      for (unsigned i = part % 8; i < 8; i++)
        g_thread_yield ();
      kp_part_chunks_add (work->parts, part, bytes, MIN (work->part_size, SIZE - offset), NULL);
    }
  return NULL;
}

static GArray *
run_workers (const guint8 *data, unsigned unreadable)
{
  gsize part_size = MEBIBYTE;
  unsigned n = count_parts (part_size);
  g_autoptr (KpPartChunks) parts = kp_part_chunks_new (n);
  Work work = { parts, data, part_size, (int) n, unreadable };
  GThread *threads[6];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("worker", worker_main, &work);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  return kp_part_chunks_finish (parts);
}

static void
test_side_by_side (void)
{
  g_autofree guint8 *data = random_data (SIZE);
  g_autoptr (GArray) chunks = run_workers (data, G_MAXUINT);

  g_assert_nonnull (chunks);
  assert_chunks (chunks, data, SIZE);
}

/* Nobody waits for what does not come. */
static void
test_unreadable (void)
{
  g_autofree guint8 *data = random_data (SIZE);

  g_assert_null (run_workers (data, 0));
  g_assert_null (run_workers (data, 7));
  g_assert_null (run_workers (data, count_parts (MEBIBYTE) - 1));
}

/* Nor does who is cancelled. */
static void
test_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KpPartChunks) self = kp_part_chunks_new (2);

  g_cancellable_cancel (cancellable);
  g_assert_cmpuint (kp_part_chunks_begin (self), ==, 0);
  g_assert_cmpuint (kp_part_chunks_begin (self), ==, 1);
  kp_part_chunks_add (self, 1, (const guint8 *) "x", 1, cancellable);
  g_assert_null (kp_part_chunks_finish (self));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/part-chunks/sizes", test_sizes);
  g_test_add_func ("/mirror/part-chunks/side-by-side", test_side_by_side);
  g_test_add_func ("/mirror/part-chunks/unreadable", test_unreadable);
  g_test_add_func ("/mirror/part-chunks/cancelled", test_cancelled);
  return g_test_run ();
}

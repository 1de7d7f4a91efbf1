/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-part-chunks.h"

#include <openssl/evp.h>
#include <string.h>

/* How soon a waiting worker hears that it is cancelled, in microseconds. */
#define LOOK_AGAIN (100 * G_TIME_SPAN_MILLISECOND)

/* A chunk that goes on in the next part is looked at again each time that so much has come. */
#define STEP KP_CHUNK_AVERAGE

struct _KpPartChunks
{
  unsigned n_parts;

  /* Of the worker whose turn it is. */
  GArray *chunks;   /* of KpChunk */
  GByteArray *rest; /* of the parts so far: what no cut was found behind */
  guint64 offset;   /* of the next chunk */

  GMutex lock; /* guards what follows */
  GCond changed;
  unsigned n_begun; /* parts that workers have taken */
  unsigned next;    /* the part whose turn it is */
  gboolean broken;  /* a part did not come */
};

KpPartChunks *
kp_part_chunks_new (unsigned n_parts)
{
  KpPartChunks *self = g_new0 (KpPartChunks, 1);

  self->n_parts = n_parts;
  self->chunks = g_array_new (FALSE, FALSE, sizeof (KpChunk));
  self->rest = g_byte_array_new ();
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  return self;
}

void
kp_part_chunks_free (KpPartChunks *self)
{
  g_clear_pointer (&self->chunks, g_array_unref);
  g_byte_array_unref (self->rest);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  g_free (self);
}

/**
 * kp_part_chunks_begin:
 *
 * To be called, once for each part, by a worker that has the memory for it and waits for nothing
 * that others hold from here on: those with later parts are going to wait for it.
 *
 * Returns: the number of the part that is the worker's, from 0; each once, in order
 */
unsigned
kp_part_chunks_begin (KpPartChunks *self)
{
  g_mutex_lock (&self->lock);
  g_assert (self->n_begun < self->n_parts);
  unsigned part = self->n_begun++;
  g_mutex_unlock (&self->lock);
  return part;
}

static void
take_chunk (KpPartChunks *self, const guint8 *bytes, gsize length)
{
  KpChunk chunk = { .offset = self->offset, .length = (guint32) length };

  if (!EVP_Digest (bytes, length, chunk.sha256, NULL, EVP_sha256 (), NULL))
    g_error ("libcrypto has no SHA-256");
  g_array_append_val (self->chunks, chunk);
  self->offset += length;
}

/* The length of the first chunk of @bytes, or 0 where what comes next may move its end. */
static gsize
find_cut (const guint8 *bytes, gsize length, gboolean is_end)
{
  gsize cut = length > 0 ? kp_chunker_cut (bytes, length) : 0;

  return cut < length || cut == KP_CHUNK_MAX || is_end ? cut : 0;
}

/* Ends the chunk that began in the parts before, if it ends in this one. Gives the bytes of this
 * one that are taken. */
static gsize
end_rest (KpPartChunks *self, const guint8 *bytes, gsize length, gboolean is_last)
{
  gsize before = self->rest->len;
  gsize taken = 0;

  while (before > 0 && taken < length)
    {
      gsize n = MIN (STEP, length - taken);
      g_byte_array_append (self->rest, bytes + taken, (guint) n);
      taken += n;
      gsize cut = find_cut (self->rest->data, self->rest->len, is_last && taken == length);
      if (cut == 0)
        continue;
      /* Not within what was there before: that had none, unless it was its end. */
      g_assert (cut >= before);
      take_chunk (self, self->rest->data, cut);
      g_byte_array_set_size (self->rest, 0);
      return cut - before;
    }
  return taken;
}

static void
cut_part (KpPartChunks *self, const guint8 *bytes, gsize length, gboolean is_last)
{
  gsize done = end_rest (self, bytes, length, is_last);
  gsize cut;

  if (is_last && length == 0 && self->rest->len > 0)
    {
      take_chunk (self, self->rest->data, self->rest->len);
      g_byte_array_set_size (self->rest, 0);
    }
  while ((cut = find_cut (bytes + done, length - done, is_last)) > 0)
    {
      take_chunk (self, bytes + done, cut);
      done += cut;
    }
  g_byte_array_append (self->rest, bytes + done, (guint) (length - done));
}

/**
 * kp_part_chunks_add:
 * @part: from kp_part_chunks_begin()
 * @bytes: (nullable): %NULL where they could not be read
 * @length: of @bytes
 *
 * Takes the bytes of a part, behind those of the parts before it.
 */
void
kp_part_chunks_add (KpPartChunks *self,
                    unsigned part,
                    const guint8 *bytes,
                    gsize length,
                    GCancellable *cancellable)
{
  g_mutex_lock (&self->lock);
  while (!self->broken && bytes != NULL && self->next < part
         && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&self->changed, &self->lock, g_get_monotonic_time () + LOOK_AGAIN);
  if (bytes == NULL || self->next != part)
    self->broken = TRUE;
  gboolean is_our_turn = !self->broken;
  g_mutex_unlock (&self->lock);

  /* Nobody else does anything to the chunks until the turn is passed on. */
  if (is_our_turn)
    cut_part (self, bytes, length, part + 1 == self->n_parts);

  g_mutex_lock (&self->lock);
  if (is_our_turn)
    self->next++;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

/**
 * kp_part_chunks_finish:
 *
 * Returns: (transfer full) (nullable) (element-type KpChunk): the chunks, the same that
 *   kp_content_chunks() finds; %NULL where some part did not come
 */
GArray *
kp_part_chunks_finish (KpPartChunks *self)
{
  g_mutex_lock (&self->lock);
  gboolean is_complete = !self->broken && self->next == self->n_parts;
  g_mutex_unlock (&self->lock);
  return is_complete ? g_steal_pointer (&self->chunks) : NULL;
}

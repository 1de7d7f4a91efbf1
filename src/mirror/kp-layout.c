/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-layout.h"

#include "kp-content.h"
#include "kp-error.h"
#include "kp-s3-object.h"
#include "kp-size.h"

#include <string.h>

/* Larger copies work, but one lost reply would cost minutes, and they go on side by side. Only very
 * large objects need larger ones. */
#define USUAL_COPY (512 * 1024 * 1024)

/* So many other objects are looked through for chunks of one file. */
#define MAX_SOURCES 8

/* An object whose chunks are at hand. */
typedef struct
{
  GArray *chunks;      /* of KpChunk */
  GHashTable *by_hash; /* KpChunk.sha256 → index + 1 of the first such chunk */
} Known;

static void
source_free (void *data)
{
  KpLayoutSource *source = data;

  g_free (source->key);
  g_free (source->etag);
  g_free (source);
}

static KpLayout *
layout_new (guint64 size)
{
  KpLayout *layout = g_new0 (KpLayout, 1);

  layout->sources = g_ptr_array_new_with_free_func (source_free);
  layout->size = size;
  return layout;
}

static void
add_source (KpLayout *layout, const char *key, const char *etag)
{
  KpLayoutSource *source = g_new (KpLayoutSource, 1);

  source->key = g_strdup (key);
  source->etag = g_strdup (etag);
  g_ptr_array_add (layout->sources, source);
}

void
kp_layout_free (KpLayout *layout)
{
  g_clear_pointer (&layout->parts, g_array_unref);
  g_ptr_array_unref (layout->sources);
  g_free (layout);
}

/* What parts of an object of @size bytes may be at a provider. Half of the parts are left to what
 * is sent, and to the ends of copied stretches. */
static KpDeltaLimits
get_limits (const KpS3Provider *provider, guint64 size)
{
  return (KpDeltaLimits){
    .min_part = provider->min_part,
    .max_copy
    = MIN (provider->max_copy, MAX (USUAL_COPY, size / MAX (provider->max_parts / 2, 1) + 1)),
    .upload_part = MAX (KP_PART_SIZE, provider->min_part),
    .max_parts = provider->max_parts,
  };
}

/**
 * kp_layout_can_copy_from:
 *
 * Whether parts, where the provider copies any, may be copied from the object @key. Ceph up to 16
 * decodes the name of the source of such a copy twice: for "100%41" it takes "100A", if there is
 * one, and says nothing. Where copies are pinned to an ETag this is refused; elsewhere such names
 * are not used.
 */
gboolean
kp_layout_can_copy_from (const KpS3Provider *provider, const char *key)
{
  return provider->copy_if_match || strchr (key, '%') == NULL;
}

/**
 * kp_layout_needs_parts:
 * @etag: of the object to be copied as a whole
 * @size: of it, in bytes
 *
 * Whether it has to be copied in parts: where it is too large for one copy, or where the copy
 * cannot be pinned and its ETag would not prove it, so that the source has to be looked at again
 * before the copy counts.
 */
gboolean
kp_layout_needs_parts (const KpS3Provider *provider, const char *etag, guint64 size)
{
  return size > provider->max_copy || (!provider->copy_if_match && strlen (etag) != 32);
}

/**
 * kp_layout_check_size:
 * @size: of a file, in bytes
 * @error: %KP_ERROR_UNSUPPORTED_BY_PROVIDER
 *
 * Whether a file is not larger than an object can be, nor than the parts that the provider allows
 * can hold. Sparse files easily are, and nothing of such a file may be read: that would take years,
 * and its parts more memory than there is.
 */
gboolean
kp_layout_check_size (const KpS3Provider *provider, guint64 size, GError **error)
{
  guint64 largest = MIN (KP_S3_MAX_OBJECT_SIZE, provider->max_parts * KP_S3_MAX_PART_SIZE);

  if (size <= largest)
    return TRUE;
  g_autofree char *present = kp_size_format (size);
  g_autofree char *allowed = kp_size_format (largest);
  g_set_error (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
               "The file is too large: it has %s, and the storage takes no object of more than %s",
               present, allowed);
  return FALSE;
}

/**
 * kp_layout_new_whole:
 * @size: one that passes kp_layout_check_size()
 *
 * Returns: (transfer full): a layout that sends everything
 */
KpLayout *
kp_layout_new_whole (guint64 size, const KpS3Provider *provider)
{
  KpLayout *layout = layout_new (size);
  KpDeltaLimits limits = get_limits (provider, size);

  layout->parts = kp_delta_plan_whole (MAX (size, 1), &limits);
  layout->to_send = size;
  return layout;
}

/**
 * kp_layout_new_copy:
 *
 * Returns: (transfer full): a layout that copies all of one object
 */
KpLayout *
kp_layout_new_copy (const char *key, const char *etag, guint64 size, const KpS3Provider *provider)
{
  KpLayout *layout = layout_new (size);
  KpDeltaLimits limits = get_limits (provider, size);
  KpPiece piece = { .length = size, .source = 0 };

  add_source (layout, key, etag);
  layout->parts = kp_delta_plan (&piece, 1, &limits);
  return layout;
}

static guint
hash_hash (const void *data)
{
  guint value;

  memcpy (&value, data, sizeof value);
  return value;
}

static gboolean
hash_equal (const void *a, const void *b)
{
  return memcmp (a, b, KP_CHUNK_HASH_SIZE) == 0;
}

static void
known_free (void *data)
{
  Known *known = data;

  g_hash_table_unref (known->by_hash);
  g_array_unref (known->chunks);
  g_free (known);
}

/* Takes over @chunks. */
static Known *
known_new (GArray *chunks)
{
  Known *known = g_new (Known, 1);

  known->chunks = chunks;
  known->by_hash = g_hash_table_new (hash_hash, hash_equal);
  for (guint i = chunks->len; i-- > 0;)
    g_hash_table_insert (known->by_hash, g_array_index (chunks, KpChunk, i).sha256,
                         GUINT_TO_POINTER (i + 1));
  return known;
}

/* Where @chunk is in one of the known objects: rather right behind the piece before, so that long
 * stretches stay in one copy. Returns the index in its chunks, or -1. */
static gssize
find_in (const Known *known, const KpChunk *chunk, gssize after)
{
  if (after >= 0 && (gsize) after + 1 < known->chunks->len
      && hash_equal (g_array_index (known->chunks, KpChunk, after + 1).sha256, chunk->sha256))
    return after + 1;
  return (gssize) GPOINTER_TO_UINT (g_hash_table_lookup (known->by_hash, chunk->sha256)) - 1;
}

/* Loads the chunks of another object that has @chunk, when there is one. */
static gboolean
load_source (KpLayout *layout,
             GPtrArray *known,
             KpCatalogue *catalogue,
             const KpS3Provider *provider,
             const KpChunk *chunk,
             GError **error)
{
  g_autofree char *key = NULL;
  g_autofree char *etag = NULL;

  if (known->len >= MAX_SOURCES)
    return TRUE;
  if (!kp_catalogue_find_chunk (catalogue, chunk->sha256, &key, &etag, error))
    return FALSE;
  if (key == NULL || !kp_layout_can_copy_from (provider, key))
    return TRUE;
  GArray *chunks = kp_catalogue_get_chunks (catalogue, key, etag, error);
  if (chunks == NULL)
    return FALSE;
  add_source (layout, key, etag);
  g_ptr_array_add (known, known_new (chunks));
  return TRUE;
}

/**
 * kp_layout_get_only_source:
 * @key: of the object that the layout is for
 *
 * Returns: (transfer none) (nullable): the other object that the layout is a copy of from end to
 *   end
 */
const KpLayoutSource *
kp_layout_get_only_source (const KpLayout *layout, const char *key)
{
  const KpPart *first = &g_array_index (layout->parts, KpPart, 0);
  const KpLayoutSource *source
      = first->source >= 0 ? g_ptr_array_index (layout->sources, (guint) first->source) : NULL;

  if (source == NULL || layout->to_send > 0 || g_str_equal (source->key, key))
    return NULL;
  for (guint i = 0; i < layout->parts->len; i++)
    {
      const KpPart *part = &g_array_index (layout->parts, KpPart, i);
      if (part->source != first->source || part->source_offset != part->offset)
        return NULL;
    }
  return source;
}

/**
 * kp_layout_new_delta:
 * @key: of the new object
 * @etag: (nullable): of the object that is there now; %NULL for none
 * @chunks: (element-type KpChunk): of the new content
 *
 * Returns: (transfer full): the layout that sends least, out of what the object there now and
 * others hold. Where the provider makes no object of parts of others, or none of unequal parts, it
 * is everything, or a copy of all of one other object to a key without one
 */
KpLayout *
kp_layout_new_delta (KpCatalogue *catalogue,
                     const KpS3Provider *provider,
                     const char *key,
                     const char *etag,
                     GArray *chunks,
                     GError **error)
{
  g_autoptr (KpLayout) layout = layout_new (0);
  g_autoptr (GPtrArray) known = g_ptr_array_new_with_free_func (known_free);
  g_autoptr (GArray) pieces = g_array_new (FALSE, FALSE, sizeof (KpPiece));
  int source = -1;   /* of the piece before */
  gssize index = -1; /* in that source's chunks */

  if (etag != NULL && kp_layout_can_copy_from (provider, key))
    {
      GArray *old = kp_catalogue_get_chunks (catalogue, key, etag, error);
      if (old == NULL)
        return NULL;
      add_source (layout, key, etag);
      g_ptr_array_add (known, known_new (old));
    }

  for (guint i = 0; i < chunks->len; i++)
    {
      const KpChunk *chunk = &g_array_index (chunks, KpChunk, i);
      int found = -1;

      if (source >= 0)
        {
          index = find_in (g_ptr_array_index (known, source), chunk, index);
          found = index >= 0 ? source : -1;
        }
      for (guint pass = 0; found < 0 && pass < 2; pass++)
        {
          if (pass == 1 && !load_source (layout, known, catalogue, provider, chunk, error))
            return NULL;
          for (guint j = 0; found < 0 && j < known->len; j++)
            {
              index = find_in (g_ptr_array_index (known, j), chunk, -1);
              found = index >= 0 ? (int) j : -1;
            }
        }
      source = found;

      KpPiece piece = { .length = chunk->length, .source = source };
      if (source >= 0)
        piece.source_offset
            = g_array_index (((Known *) g_ptr_array_index (known, source))->chunks, KpChunk, index)
                  .offset;
      g_array_append_val (pieces, piece);
      layout->size += chunk->length;
    }

  KpDeltaLimits limits = get_limits (provider, layout->size);
  layout->parts = kp_delta_plan ((const KpPiece *) pieces->data, pieces->len, &limits);
  layout->to_send = kp_delta_bytes_to_send (layout->parts);
  if ((provider->part_copy == KP_S3_SUPPORT_NO || provider->equal_parts) && layout->size > 0
      && (etag != NULL || kp_layout_get_only_source (layout, key) == NULL))
    return kp_layout_new_whole (layout->size, provider);
  return g_steal_pointer (&layout);
}

/**
 * kp_layout_fingerprint:
 *
 * Returns: (transfer full): a text that is the same only for the same parts from the same sources
 */
char *
kp_layout_fingerprint (const KpLayout *layout)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < layout->parts->len; i++)
    {
      const KpPart *part = &g_array_index (layout->parts, KpPart, i);
      g_string_append_printf (text, "%" G_GUINT64_FORMAT " %d %" G_GUINT64_FORMAT "\n",
                              part->length, part->source, part->source_offset);
    }
  for (guint i = 0; i < layout->sources->len; i++)
    {
      const KpLayoutSource *source = g_ptr_array_index (layout->sources, i);
      g_string_append_printf (text, "%s %s\n", source->key, source->etag);
    }
  return kp_s3_sha256_hex (text->str, text->len);
}

gboolean
kp_layout_has_copies (const KpLayout *layout)
{
  for (guint i = 0; i < layout->parts->len; i++)
    if (g_array_index (layout->parts, KpPart, i).source >= 0)
      return TRUE;
  return FALSE;
}

/**
 * kp_layout_copies_from_others:
 * @key: of the object that the layout is for
 *
 * Whether any part is copied from an object under another key.
 */
gboolean
kp_layout_copies_from_others (const KpLayout *layout, const char *key)
{
  for (guint i = 0; i < layout->parts->len; i++)
    {
      int number = g_array_index (layout->parts, KpPart, i).source;
      if (number < 0)
        continue;
      const KpLayoutSource *source = g_ptr_array_index (layout->sources, (guint) number);
      if (!g_str_equal (source->key, key))
        return TRUE;
    }
  return FALSE;
}

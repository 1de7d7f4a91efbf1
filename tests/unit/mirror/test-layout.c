/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-layout.h"

#include <string.h>

#define MIB (G_GUINT64_CONSTANT (1) << 20)
#define GIB (G_GUINT64_CONSTANT (1) << 30)
#define TIB (G_GUINT64_CONSTANT (1) << 40)

#define PLAIN_ETAG "0123456789abcdef0123456789abcdef"
#define PARTS_ETAG PLAIN_ETAG "-9"

static const KpPart *
get_part (const KpLayout *layout, guint i)
{
  return &g_array_index (layout->parts, KpPart, i);
}

static void
test_needs_parts (void)
{
  const KpS3Provider *aws = kp_s3_provider_find ("aws");
  const KpS3Provider *ceph = kp_s3_provider_find ("ceph");

  /* As much as one CopyObject takes. */
  g_assert_false (kp_layout_needs_parts (aws, PARTS_ETAG, 5 * GIB));
  g_assert_true (kp_layout_needs_parts (aws, PARTS_ETAG, 5 * GIB + 1));
  g_assert_true (kp_layout_needs_parts (aws, PLAIN_ETAG, 5 * GIB + 1));
  /* Without a pin, only the ETag of a plain object proves that its copy is one of it. */
  g_assert_false (kp_layout_needs_parts (ceph, PLAIN_ETAG, 5 * GIB));
  g_assert_true (kp_layout_needs_parts (ceph, PLAIN_ETAG, 5 * GIB + 1));
  g_assert_true (kp_layout_needs_parts (ceph, PARTS_ETAG, 9 * MIB));
}

/* Sizes at the limit of any store, and at that of one with fewer parts. */
static void
test_check_size (void)
{
  static const struct
  {
    const char *provider;
    guint64 most;
    const char *said;
  } cases[] = {
    { "aws", 10000 * 5 * GIB, "no object of more than 49 TiB" },
    { "scaleway", 1000 * 5 * GIB, "no object of more than 4.9 TiB" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpS3Provider *provider = kp_s3_provider_find (cases[i].provider);
      g_autoptr (GError) error = NULL;

      g_assert_true (kp_layout_check_size (provider, 0, NULL));
      g_assert_true (kp_layout_check_size (provider, cases[i].most, NULL));
      g_autoptr (KpLayout) layout = kp_layout_new_whole (cases[i].most, provider);
      g_assert_cmpuint (layout->parts->len, ==, provider->max_parts);
      g_assert_cmpuint (get_part (layout, 0)->length, ==, 5 * GIB);
      g_assert_false (kp_layout_check_size (provider, cases[i].most + 1, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER);
      g_assert_nonnull (strstr (error->message, cases[i].said));
      g_assert_false (kp_layout_check_size (provider, G_MAXUINT64, NULL));
    }
}

static void
test_can_copy_from (void)
{
  const KpS3Provider *aws = kp_s3_provider_find ("aws");
  const KpS3Provider *ceph = kp_s3_provider_find ("ceph");

  g_assert_true (kp_layout_can_copy_from (aws, "100%41"));
  g_assert_true (kp_layout_can_copy_from (ceph, "a+b c"));
  g_assert_false (kp_layout_can_copy_from (ceph, "100%41"));
  g_assert_false (kp_layout_can_copy_from (ceph, "100%"));
}

/* Too large for CopyObject: for new headers it is copied onto itself part by part, and no byte is
 * sent, whatever the provider's limits. */
static void
test_copy (void)
{
  static const struct
  {
    const char *provider;
    guint64 size;
  } cases[] = {
    { "aws", 5 * GIB + 1 },        { "aws", 6 * GIB },        { "aws", 5 * TIB },
    { "aws", 48 * TIB },           { "scaleway", 499 * GIB }, { "scaleway", 600 * GIB },
    { "scaleway", 4 * TIB + 777 }, { "ceph", 8 * MIB + 1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpS3Provider *provider = kp_s3_provider_find (cases[i].provider);
      g_autoptr (KpLayout) layout = kp_layout_new_copy ("key", PARTS_ETAG, cases[i].size, provider);
      guint64 offset = 0;

      g_assert_cmpuint (layout->size, ==, cases[i].size);
      g_assert_cmpuint (layout->to_send, ==, 0);
      g_assert_cmpuint (kp_delta_bytes_to_send (layout->parts), ==, 0);
      g_assert_cmpuint (layout->parts->len, <=, provider->max_parts);
      for (guint j = 0; j < layout->parts->len; j++)
        {
          const KpPart *part = get_part (layout, j);
          g_assert_cmpint (part->source, ==, 0);
          g_assert_cmpuint (part->offset, ==, offset);
          g_assert_cmpuint (part->source_offset, ==, offset);
          g_assert_cmpuint (part->length, >=, provider->min_part);
          g_assert_cmpuint (part->length, <=, provider->max_copy);
          offset += part->length;
        }
      g_assert_cmpuint (offset, ==, cases[i].size);
      const KpLayoutSource *source = g_ptr_array_index (layout->sources, 0);
      g_assert_cmpstr (source->key, ==, "key");
      g_assert_cmpstr (source->etag, ==, PARTS_ETAG);
      g_assert_false (kp_layout_copies_from_others (layout, "key"));
      g_assert_true (kp_layout_copies_from_others (layout, "another"));
    }
}

/* Chunks of 1 MiB whose hashes are made of one letter each. */
static GArray *
make_chunks (const char *letters)
{
  GArray *chunks = g_array_new (FALSE, FALSE, sizeof (KpChunk));

  for (gsize i = 0; letters[i] != '\0'; i++)
    {
      KpChunk chunk = { .offset = i * MIB, .length = (guint32) MIB };
      memset (chunk.sha256, letters[i], sizeof chunk.sha256);
      g_array_append_val (chunks, chunk);
    }
  return chunks;
}

/* An object that the catalogue knows inside, and what the listing says of it. */
static void
add_object (KpCatalogue *catalogue, const char *key, const char *listed_etag, const char *letters)
{
  g_autoptr (GArray) chunks = make_chunks (letters);
  g_autoptr (GPtrArray) entries
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_entry_free);
  g_autoptr (GError) error = NULL;
  KpS3Entry *entry = kp_s3_entry_new ();

  entry->key = g_strdup (key);
  entry->etag = g_strdup (listed_etag);
  entry->size = strlen (letters) * MIB;
  g_ptr_array_add (entries, entry);
  g_assert_true (kp_catalogue_put_chunks (catalogue, key, PARTS_ETAG, chunks, &error));
  g_assert_true (kp_catalogue_add_listed (catalogue, entries, &error));
  g_assert_no_error (error);
}

/* "new" is a key without an object. */
static KpLayout *
make_delta (KpCatalogue *catalogue, const char *provider, const char *key, const char *letters)
{
  g_autoptr (GArray) chunks = make_chunks (letters);
  g_autoptr (GError) error = NULL;
  KpLayout *layout
      = kp_layout_new_delta (catalogue, kp_s3_provider_find (provider), key,
                             g_str_equal (key, "new") ? NULL : PARTS_ETAG, chunks, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (layout->size, ==, strlen (letters) * MIB);
  g_assert_cmpuint (layout->to_send, ==, kp_delta_bytes_to_send (layout->parts));
  return layout;
}

static void
test_delta_of_itself (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (&error);

  g_assert_no_error (error);
  add_object (catalogue, "key", PARTS_ETAG, "abcdefghijklmnopqrstuvwxyz");
  g_autoptr (KpLayout) same = make_delta (catalogue, "aws", "key", "abcdefghijklmnopqrstuvwxyz");
  g_assert_cmpuint (same->to_send, ==, 0);
  g_autoptr (KpLayout) changed = make_delta (catalogue, "aws", "key", "abcdefghijkl!nopqrstuvwxyz");
  g_assert_cmpuint (changed->to_send, ==, 5 * MIB);
  g_assert_cmpuint (changed->parts->len, ==, 3);
  g_assert_false (kp_layout_copies_from_others (changed, "key"));
  g_assert_true (kp_layout_has_copies (changed));

  g_autofree char *one = kp_layout_fingerprint (same);
  g_autofree char *other = kp_layout_fingerprint (changed);
  g_assert_cmpstr (one, !=, other);
  g_autoptr (KpLayout) again = make_delta (catalogue, "aws", "key", "abcdefghijkl?nopqrstuvwxyz");
  g_autofree char *third = kp_layout_fingerprint (again);
  g_assert_cmpstr (third, ==, other);

  /* Servers that cannot, or want all parts equally long, copy whole objects and nothing else. */
  static const char *const providers[] = { "gcs", "r2" };
  for (gsize i = 0; i < G_N_ELEMENTS (providers); i++)
    {
      g_autoptr (KpLayout) whole
          = make_delta (catalogue, providers[i], "key", "abcdefghijkl!nopqrstuvwxyz");
      g_assert_cmpuint (whole->to_send, ==, 26 * MIB);
      g_assert_false (kp_layout_has_copies (whole));
      g_autoptr (KpLayout) renamed
          = make_delta (catalogue, providers[i], "new", "abcdefghijklmnopqrstuvwxyz");
      g_assert_cmpuint (renamed->to_send, ==, 0);
      g_assert_cmpstr (kp_layout_get_only_source (renamed, "new")->key, ==, "key");
      g_autoptr (KpLayout) longer
          = make_delta (catalogue, providers[i], "new", "abcdefghijklmnopqrstuvwxyz!");
      g_assert_cmpuint (longer->to_send, ==, 27 * MIB);
    }
}

static void
test_delta_of_others (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (&error);

  g_assert_no_error (error);
  add_object (catalogue, "one", PARTS_ETAG, "abcdefghij");
  add_object (catalogue, "100%", PARTS_ETAG, "ABCDEFGHIJ");
  /* Replaced by somebody since we knew it. */
  add_object (catalogue, "two", PLAIN_ETAG, "0123456789");

  g_autoptr (KpLayout) pinned
      = make_delta (catalogue, "aws", "new", "abcdefghijABCDEFGHIJ0123456789");
  g_assert_cmpuint (pinned->to_send, ==, 10 * MIB);
  g_assert_true (kp_layout_copies_from_others (pinned, "new"));
  for (guint i = 0; i < pinned->parts->len; i++)
    g_assert_true ((get_part (pinned, i)->source < 0)
                   == (get_part (pinned, i)->offset >= 20 * MIB));

  g_autoptr (KpLayout) looked_at
      = make_delta (catalogue, "ceph", "new", "abcdefghijABCDEFGHIJ0123456789");
  g_assert_cmpuint (looked_at->to_send, ==, 20 * MIB);
  for (guint i = 0; i < looked_at->parts->len; i++)
    if (get_part (looked_at, i)->source >= 0)
      {
        const KpLayoutSource *source
            = g_ptr_array_index (looked_at->sources, (guint) get_part (looked_at, i)->source);
        g_assert_cmpstr (source->key, ==, "one");
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/layout/needs-parts", test_needs_parts);
  g_test_add_func ("/mirror/layout/check-size", test_check_size);
  g_test_add_func ("/mirror/layout/can-copy-from", test_can_copy_from);
  g_test_add_func ("/mirror/layout/copy", test_copy);
  g_test_add_func ("/mirror/layout/delta-of-itself", test_delta_of_itself);
  g_test_add_func ("/mirror/layout/delta-of-others", test_delta_of_others);
  return g_test_run ();
}

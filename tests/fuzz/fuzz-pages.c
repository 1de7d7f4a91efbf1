/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What a hostile server may say is in a bucket: pages one after the other, each of which begins
 * with an XML declaration, and what the readers of pages promise of them. */

#include "kp-s3-listing.h"
#include "kp-s3-uploads.h"
#include "kp-s3-versioning.h"
#include "kp-s3-versions.h"

#include <string.h>

#define MAX_PAGES 16
#define OWN_ID "keepsake-"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

typedef struct
{
  gboolean of_versions;
  unsigned version;
  const char *prefix, *delimiter, *start_after, *end, *hidden, *hidden_last;
  gboolean unordered;
} Asked;

static const Asked all_asked[] = {
  { .version = 2, .prefix = "p/", .delimiter = "/" },
  { .version = 2, .prefix = "", .start_after = "b", .end = "p/m" },
  { .version = 2, .prefix = "p/", .hidden = "p/.k/", .hidden_last = "p/.k/~" },
  { .version = 1, .prefix = "p/", .start_after = "p/b" },
  { .of_versions = TRUE, .version = 2, .prefix = "p/" },
  { .of_versions = TRUE, .version = 2, .prefix = "p/", .end = "p/a", .unordered = TRUE },
  { .version = 1, .prefix = "", .start_after = "b", .end = "p/m", .unordered = TRUE },
};

static KpS3Listing *
new_listing (const Asked *asked)
{
  KpS3Listing *listing = asked->of_versions ? kp_s3_listing_new_of_versions (asked->prefix)
                                            : kp_s3_listing_new (asked->prefix, asked->delimiter,
                                                                 asked->start_after);

  if (asked->unordered)
    kp_s3_listing_set_unordered (listing);
  if (asked->end != NULL)
    kp_s3_listing_set_end (listing, asked->end);
  if (asked->hidden != NULL)
    kp_s3_listing_set_hidden (listing, asked->hidden, asked->hidden_last);
  return listing;
}

static void
check_entry (const Asked *asked, const KpS3Entry *entry)
{
  g_assert (*entry->key != '\0' && g_utf8_validate (entry->key, -1, NULL));
  g_assert (g_str_has_prefix (entry->key, asked->prefix));
  g_assert (asked->hidden == NULL || !g_str_has_prefix (entry->key, asked->hidden));
  g_assert (asked->end == NULL || strcmp (entry->key, asked->end) <= 0);
  g_assert (asked->start_after == NULL || entry->is_prefix
            || strcmp (entry->key, asked->start_after) > 0);
  g_assert (entry->size <= KP_S3_MAX_OBJECT_SIZE + 1);
  g_assert (entry->etag != NULL);
  g_assert (asked->of_versions || (entry->is_latest && entry->version_id == NULL));
  g_assert (asked->of_versions || !entry->is_delete_marker);
}

/* The last of a page by its bytes; NULL where it is empty. */
static const char *
find_last (GPtrArray *page)
{
  const char *last = NULL;

  for (guint i = 0; i < page->len; i++)
    {
      const KpS3Entry *entry = g_ptr_array_index (page, i);
      if (last == NULL || strcmp (entry->key, last) > 0)
        last = entry->key;
    }
  return last;
}

static GPtrArray *
read_page (KpS3Listing *listing, KpS3Xml *xml, unsigned *version, const Asked *asked)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *page = kp_s3_listing_read_page (listing, xml, version, &error);

  g_assert ((page == NULL) == (error != NULL));
  g_assert (*version == asked->version || *version == 1);
  for (guint i = 0; page != NULL && i < page->len; i++)
    check_entry (asked, g_ptr_array_index (page, i));
  return page;
}

static void
try_listing (const Asked *asked, GPtrArray *pages)
{
  g_autoptr (KpS3Listing) listing = new_listing (asked);
  g_autofree char *reached = NULL;
  unsigned version = asked->version;

  for (guint i = 0; i < pages->len && !kp_s3_listing_is_finished (listing); i++)
    {
      g_autoptr (GPtrArray) page
          = read_page (listing, g_ptr_array_index (pages, i), &version, asked);
      if (page == NULL)
        return;
      const char *last = find_last (page);
      /* Each page leads on, or says that keys are in no order; of versions, many may be about one
       * key. Of the page that passed the end, what led on was left out. */
      gboolean is_cut = asked->end != NULL && kp_s3_listing_is_finished (listing);
      if (last != NULL && reached != NULL && !is_cut && !kp_s3_listing_is_unordered (listing))
        g_assert (asked->of_versions || strcmp (last, reached) > 0);
      if (last != NULL)
        {
          g_free (reached);
          reached = g_strdup (last);
        }
    }
}

/* A server that says the same for ever is not followed for ever: one page more than the first, or
 * two where the listing leaps. */
static void
try_circle (const Asked *asked, KpS3Xml *xml)
{
  g_autoptr (KpS3Listing) listing = new_listing (asked);
  unsigned version = asked->version;

  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GPtrArray) page = read_page (listing, xml, &version, asked);
      if (page == NULL || kp_s3_listing_is_finished (listing))
        return;
    }
  g_assert_not_reached ();
}

static void
try_parts (GPtrArray *pages)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_part_free);
  g_autofree char *marker = NULL;
  gboolean more = TRUE;
  unsigned last = 0;

  for (guint i = 0; more && i < pages->len; i++)
    {
      g_autoptr (GError) error = NULL;
      guint64 before = marker != NULL ? g_ascii_strtoull (marker, NULL, 10) : 0;
      gboolean ok
          = kp_s3_parts_read_page (parts, g_ptr_array_index (pages, i), &marker, &more, &error);
      g_assert (ok == (error == NULL));
      if (!ok)
        return;
      g_assert (!more || g_ascii_strtoull (marker, NULL, 10) > before);
    }
  for (guint i = 0; i < parts->len; i++)
    {
      const KpS3Part *part = g_ptr_array_index (parts, i);
      g_assert (part->number > last && part->number <= 10000 && part->etag != NULL);
      last = part->number;
    }
}

static void
try_uploads (GPtrArray *pages)
{
  g_autoptr (KpS3UploadPages) read = kp_s3_upload_pages_new ("p/");
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; read->more && i < pages->len; i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean ok = kp_s3_upload_pages_read (read, g_ptr_array_index (pages, i), &error);
      g_assert (ok == (error == NULL));
      if (!ok)
        return;
      g_assert (!read->more || read->key_marker != NULL);
    }
  for (guint i = 0; i < read->uploads->len; i++)
    {
      const KpS3Upload *upload = g_ptr_array_index (read->uploads, i);
      g_assert (g_str_has_prefix (upload->key, "p/"));
      g_assert (g_hash_table_add (ids, upload->upload_id));
    }
}

/* What is deleted. */
static void
try_versions (KpS3Xml *xml)
{
  g_autoptr (GPtrArray) ids = kp_s3_versions_read_page (xml, "p/a");
  guint fitting = 0;

  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    if (g_strcmp0 (kp_s3_record_get (kp_s3_xml_get_record (xml, i), "Key"), "p/a") == 0)
      fitting++;
  g_assert (ids->len <= fitting);
}

static guint
count_rules_of_others (KpS3Xml *xml)
{
  guint n = 0;

  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      const char *id = kp_s3_record_get (record, "ID");
      if (g_str_equal (kp_s3_record_get_name (record), "Rule")
          && (id == NULL || !g_str_has_prefix (id, OWN_ID)))
        n++;
    }
  return n;
}

/* What is put back to the bucket has the rules of others, and is understood again. */
static void
try_lifecycle (KpS3Location *location, KpS3Xml *xml, const char *text)
{
  g_autoptr (GError) error = NULL;

  kp_s3_versioning_find_days (location, text);
  g_autofree char *added = kp_s3_versioning_add_rule (location, 30, text, &error);
  g_assert ((added == NULL) == (error != NULL));
  if (added == NULL)
    return;
  g_autoptr (GBytes) bytes = g_bytes_new_static (added, strlen (added));
  g_autoptr (KpS3Xml) again = kp_s3_xml_parse (bytes, NULL);
  g_assert (again != NULL);
  g_assert (count_rules_of_others (again) == count_rules_of_others (xml));
  g_assert (kp_s3_versioning_find_days (location, added) == 30);
  g_autofree char *changed = kp_s3_versioning_add_rule (location, 7, added, NULL);
  g_assert (changed == NULL || kp_s3_versioning_find_days (location, changed) == 7);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static KpS3Location *location = NULL;
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_auto (GStrv) texts = g_strsplit (text, "<?xml", MAX_PAGES + 1);
  g_autoptr (GPtrArray) pages = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_xml_free);

  if (location == NULL)
    location = kp_s3_location_new ("s3://bucket/p", "http://127.0.0.1:9", NULL, NULL, FALSE, NULL);
  g_assert (location != NULL);
  for (guint i = 0; texts[0] != NULL && texts[i + 1] != NULL; i++)
    {
      g_autofree char *document = g_strconcat ("<?xml", texts[i + 1], NULL);
      g_autoptr (GBytes) bytes = g_bytes_new_static (document, strlen (document));
      KpS3Xml *xml = kp_s3_xml_parse (bytes, NULL);
      if (xml == NULL)
        continue;
      g_ptr_array_add (pages, xml);
      try_versions (xml);
      try_lifecycle (location, xml, document);
      for (gsize j = 0; j < G_N_ELEMENTS (all_asked); j++)
        try_circle (&all_asked[j], xml);
    }
  for (gsize j = 0; j < G_N_ELEMENTS (all_asked); j++)
    try_listing (&all_asked[j], pages);
  try_parts (pages);
  try_uploads (pages);
  return 0;
}

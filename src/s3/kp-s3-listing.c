/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-listing.h"

#include "kp-error.h"
#include "kp-s3-request.h"

#include <string.h>

/* A page of 1,000 keys of 1,024 bytes, each percent-encoded, with its other fields. */
#define PAGE_LIMIT (8 * 1024 * 1024)

/* Pages without a key that may follow one another. Servers send them where they have gone through
 * keys that were deleted or belong to others. */
#define MAX_EMPTY_PAGES 1000

/* Pages that may be full of versions of one and the same key. */
#define MAX_PAGES_OF_ONE_KEY 10000

struct _KpS3Listing
{
  gboolean of_versions;
  char *prefix;
  char *delimiter;      /* or NULL */
  char *start_after;    /* or NULL */
  char *end;            /* the last key of interest, or NULL */
  char *hidden;         /* keys that start with it are left out, or NULL… */
  char *hidden_last;    /* …and lie before this one; NULL when that was made use of */
  char *token;          /* v2: where to go on; NULL at first */
  char *marker;         /* v1, versions: the last key or prefix seen; also guards v2 */
  char *version_marker; /* versions: which version of that key was the last, or NULL */
  unsigned pages_of_key;
  unsigned empty_pages; /* in a row */
  gboolean finished;
};

/**
 * kp_s3_listing_new:
 * @prefix: only keys that start with it
 * @delimiter: (nullable): "/" for one level of folders
 * @start_after: (nullable): only keys behind this one
 */
KpS3Listing *
kp_s3_listing_new (const char *prefix, const char *delimiter, const char *start_after)
{
  KpS3Listing *listing = g_new0 (KpS3Listing, 1);

  listing->prefix = g_strdup (prefix);
  listing->delimiter = g_strdup (delimiter);
  listing->start_after = g_strdup (start_after);
  return listing;
}

/**
 * kp_s3_listing_new_of_versions:
 * @prefix: only keys that start with it
 *
 * Lists all versions of all objects, and the marks of their deletion. Those of one key may come
 * with the newest or with the oldest first; times and %KpS3Entry.is_latest tell.
 */
KpS3Listing *
kp_s3_listing_new_of_versions (const char *prefix)
{
  KpS3Listing *listing = kp_s3_listing_new (prefix, NULL, NULL);

  listing->of_versions = TRUE;
  return listing;
}

/**
 * kp_s3_listing_set_end:
 * @end: (nullable): the last key of interest; the listing ends behind it
 */
void
kp_s3_listing_set_end (KpS3Listing *listing, const char *end)
{
  g_free (listing->end);
  listing->end = g_strdup (end);
}

/**
 * kp_s3_listing_set_hidden:
 * @prefix: keys that start with it are left out
 * @last: begins with @prefix, and no usual key with that prefix is behind it
 *
 * Where there are many such keys, most of their pages are not asked for.
 */
void
kp_s3_listing_set_hidden (KpS3Listing *listing, const char *prefix, const char *last)
{
  g_free (listing->hidden);
  listing->hidden = g_strdup (prefix);
  g_free (listing->hidden_last);
  listing->hidden_last = g_strdup (last);
}

void
kp_s3_listing_free (KpS3Listing *listing)
{
  g_free (listing->end);
  g_free (listing->hidden);
  g_free (listing->hidden_last);
  g_free (listing->prefix);
  g_free (listing->delimiter);
  g_free (listing->start_after);
  g_free (listing->token);
  g_free (listing->marker);
  g_free (listing->version_marker);
  g_free (listing);
}

gboolean
kp_s3_listing_is_finished (KpS3Listing *listing)
{
  return listing->finished;
}

/* Where the next page starts, unless there is a token. A server that does not know start-after may
 * have sent only keys before it so far. */
static const char *
get_start (KpS3Listing *listing)
{
  if (listing->marker == NULL
      || (listing->start_after != NULL && strcmp (listing->marker, listing->start_after) < 0))
    return listing->start_after;
  return listing->marker;
}

static KpS3Request *
page_request (KpS3Listing *listing, unsigned version, gboolean url_encoding)
{
  KpS3Request *request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", NULL);

  if (listing->of_versions)
    {
      kp_s3_request_add_query (request, "versions", "");
      kp_s3_request_add_query (request, "key-marker", listing->marker);
      kp_s3_request_add_query (request, "version-id-marker", listing->version_marker);
    }
  else if (version == 2)
    {
      kp_s3_request_add_query (request, "list-type", "2");
      kp_s3_request_add_query (request, "continuation-token", listing->token);
      if (listing->token == NULL)
        kp_s3_request_add_query (request, "start-after", get_start (listing));
    }
  else
    {
      kp_s3_request_add_query (request, "marker", get_start (listing));
    }
  kp_s3_request_add_query (request, "prefix", listing->prefix);
  kp_s3_request_add_query (request, "delimiter", listing->delimiter);
  if (url_encoding)
    kp_s3_request_add_query (request, "encoding-type", "url");
  kp_s3_request_set_reply_limit (request, PAGE_LIMIT);
  return request;
}

/* Undoes encoding-type=url, which writes a blank as "+" or as "%20". */
static GString *
decode (const char *text, gboolean is_encoded)
{
  if (!is_encoded || strpbrk (text, "%+") == NULL)
    return g_string_new (text);

  GString *decoded = g_string_sized_new (strlen (text));
  for (const char *p = text; *p != '\0'; p++)
    if (*p == '+')
      g_string_append_c (decoded, ' ');
    else if (*p == '%' && g_ascii_isxdigit (p[1]) && g_ascii_isxdigit (p[2]))
      {
        g_string_append_c (decoded,
                           (char) (g_ascii_xdigit_value (p[1]) << 4 | g_ascii_xdigit_value (p[2])));
        p += 2;
      }
    else
      g_string_append_c (decoded, *p);
  return decoded;
}

/* A size that no object can have is cut to one that still says so, and of which many can be added
 * up. */
static guint64
parse_size (const char *text)
{
  guint64 size;

  return text != NULL && g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT64, &size, NULL)
             ? MIN (size, KP_S3_MAX_OBJECT_SIZE + 1)
             : 0;
}

/* "2026-11-22T20:39:10.000Z", in microseconds since 1970 */
static gint64
parse_time (const char *text)
{
  g_autoptr (GDateTime) time = text != NULL ? g_date_time_new_from_iso8601 (text, NULL) : NULL;

  return time != NULL
             ? g_date_time_to_unix (time) * G_USEC_PER_SEC + g_date_time_get_microsecond (time)
             : 0;
}

/* What is wrong with a key, or NULL. Whoever asked for "a/" cuts that off every key he gets; and a
 * key that ends at a NUL would be another one. */
static const char *
find_fault (const GString *key, const char *prefix)
{
  if (key->len == 0)
    return "is empty";
  if (strlen (key->str) != key->len)
    return "goes on behind a NUL";
  if (!g_utf8_validate (key->str, (gssize) key->len, NULL))
    return "is not valid UTF-8";
  if (!g_str_has_prefix (key->str, prefix))
    return "does not begin as was asked for";
  return NULL;
}

static void
take_if_later (char **last, const char *key)
{
  if (*last != NULL && strcmp (key, *last) <= 0)
    return;
  g_free (*last);
  *last = g_strdup (key);
}

/* Adds what a record says to @page; nothing for a record that is no entry.
 *
 * @last: (inout): the last key that the server has sent, also of those that were not asked for: it
 *   tells whether the listing gets on */
static gboolean
read_entry (KpS3Listing *listing,
            const KpS3Record *record,
            gboolean is_encoded,
            GPtrArray *page,
            char **last,
            GError **error)
{
  const char *name = kp_s3_record_get_name (record);
  gboolean is_prefix = g_str_equal (name, "CommonPrefixes");
  gboolean is_marker = listing->of_versions && g_str_equal (name, "DeleteMarker");
  const char *text = kp_s3_record_get (record, is_prefix ? "Prefix" : "Key");
  const char *object = listing->of_versions ? "Version" : "Contents";

  if (text == NULL || (!is_prefix && !is_marker && !g_str_equal (name, object)))
    return TRUE;

  GString *key = decode (text, is_encoded);
  const char *fault = find_fault (key, listing->prefix);
  if (fault != NULL)
    {
      g_autofree char *shown = kp_s3_xml_display (key->str);
      g_string_free (key, TRUE);
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "The server's listing makes no sense: the key “%s” %s", shown, fault);
      return FALSE;
    }
  take_if_later (last, key->str);
  if (listing->hidden != NULL && g_str_has_prefix (key->str, listing->hidden))
    {
      g_string_free (key, TRUE);
      return TRUE;
    }
  /* A server may not know start-after. */
  if (!is_prefix && listing->start_after != NULL && strcmp (key->str, listing->start_after) <= 0)
    {
      g_string_free (key, TRUE);
      return TRUE;
    }

  KpS3Entry *entry = kp_s3_entry_new ();
  entry->is_prefix = is_prefix;
  entry->is_delete_marker = is_marker;
  entry->is_latest
      = !listing->of_versions || g_strcmp0 (kp_s3_record_get (record, "IsLatest"), "true") == 0;
  entry->version_id
      = listing->of_versions ? g_strdup (kp_s3_record_get (record, "VersionId")) : NULL;
  entry->key = g_string_free (key, FALSE);
  entry->size = parse_size (kp_s3_record_get (record, "Size"));
  entry->etag = kp_s3_etag_normalise (kp_s3_record_get (record, "ETag"));
  entry->modified_us = parse_time (kp_s3_record_get (record, "LastModified"));
  entry->last_modified = entry->modified_us / G_USEC_PER_SEC;
  entry->storage_class = g_strdup (kp_s3_record_get (record, "StorageClass"));
  g_ptr_array_add (page, entry);
  return TRUE;
}

static void
set_order_error (const char *key, GError **error)
{
  g_autofree char *shown = kp_s3_xml_display (key);

  g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
               "The server's listing repeats itself or is out of order at “%s”", shown);
}

/* What the next page has to start behind: the server's own word, or the last key.
 *
 * @last: (transfer full) (nullable): the last key or prefix of the page */
static gboolean
advance (KpS3Listing *listing,
         KpS3Xml *xml,
         char *last,
         unsigned version,
         gboolean is_encoded,
         GError **error)
{
  const char *next_marker = kp_s3_xml_get (xml, "NextMarker");
  const char *next_token = version == 2 ? kp_s3_xml_get (xml, "NextContinuationToken") : NULL;
  g_autofree char *reached = last;

  listing->finished = g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") != 0;
  listing->empty_pages = last == NULL ? listing->empty_pages + 1 : 0;
  if (last == NULL && next_marker != NULL && version == 1)
    reached = g_string_free (decode (next_marker, is_encoded), FALSE);

  if (listing->marker != NULL && reached != NULL && strcmp (reached, listing->marker) <= 0)
    {
      set_order_error (reached, error);
      return FALSE;
    }
  gboolean gets_on
      = reached != NULL || (next_token != NULL && g_strcmp0 (next_token, listing->token) != 0);
  if (!listing->finished && (!gets_on || listing->empty_pages > MAX_EMPTY_PAGES))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                           "The server's listing says again and again that there is more, and has "
                           "nothing");
      return FALSE;
    }

  g_free (listing->token);
  listing->token = g_strdup (next_token);
  if (reached != NULL)
    {
      g_free (listing->marker);
      listing->marker = g_steal_pointer (&reached);
    }
  return TRUE;
}

/* The same for versions: several pages may be about one key, of which each has to say another
 * version to go on behind.
 *
 * @last: (transfer full) (nullable): the last key of the page */
static gboolean
advance_versions (KpS3Listing *listing,
                  KpS3Xml *xml,
                  GPtrArray *page,
                  char *last,
                  gboolean is_encoded,
                  GError **error)
{
  const char *next_key = kp_s3_xml_get (xml, "NextKeyMarker");
  const char *next_version = kp_s3_xml_get (xml, "NextVersionIdMarker");
  g_autofree char *reached = next_key != NULL && *next_key != '\0'
                                 ? g_string_free (decode (next_key, is_encoded), FALSE)
                                 : g_strdup (last);
  gboolean is_same = g_strcmp0 (reached, listing->marker) == 0;
  g_autofree char *spare = last;

  listing->finished = g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") != 0;
  if (listing->finished)
    return TRUE;
  if (next_version == NULL && page->len > 0)
    next_version = ((KpS3Entry *) g_ptr_array_index (page, page->len - 1))->version_id;
  listing->pages_of_key = is_same ? listing->pages_of_key + 1 : 0;
  if (reached == NULL || (listing->marker != NULL && strcmp (reached, listing->marker) < 0)
      || (is_same
          && (g_strcmp0 (next_version, listing->version_marker) == 0
              || listing->pages_of_key > MAX_PAGES_OF_ONE_KEY)))
    {
      set_order_error (reached != NULL ? reached : "", error);
      return FALSE;
    }
  g_free (listing->version_marker);
  listing->version_marker = g_strdup (next_version);
  g_free (listing->marker);
  listing->marker = g_steal_pointer (&reached);
  return TRUE;
}

/* A page that ends among what is left out: the next one starts behind that. Once only, as a server
 * that does not know start-after begins anew, and has to be followed through all of it then. */
static void
leap_over_hidden (KpS3Listing *listing)
{
  if (listing->of_versions || listing->finished || listing->hidden_last == NULL
      || listing->delimiter != NULL || listing->marker == NULL
      || !g_str_has_prefix (listing->marker, listing->hidden)
      || strcmp (listing->marker, listing->hidden_last) >= 0)
    return;
  g_free (listing->start_after);
  listing->start_after = g_steal_pointer (&listing->hidden_last);
  g_clear_pointer (&listing->token, g_free);
  g_clear_pointer (&listing->marker, g_free);
}

/* A server that knows only the first version of the call ignores list-type, or refuses it. */
static gboolean
speaks_v1_only (const GError *error)
{
  return kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER);
}

/**
 * kp_s3_listing_read_page:
 * @xml: the page that was asked for
 * @version: (inout): of the call that it answers; 1 where the server knows no other. Of no meaning
 *   for versions
 * @error: %KP_ERROR_SERVER when the page makes no sense
 *
 * Takes in what a server has answered.
 *
 * Returns: (transfer full) (element-type KpS3Entry): up to 1,000 entries
 */
GPtrArray *
kp_s3_listing_read_page (KpS3Listing *listing, KpS3Xml *xml, unsigned *version, GError **error)
{
  if (!g_str_equal (kp_s3_xml_get_root (xml),
                    listing->of_versions ? "ListVersionsResult" : "ListBucketResult"))
    {
      g_autofree char *root = kp_s3_xml_display (kp_s3_xml_get_root (xml));
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "The server answered a listing with a document “%s”; is this an S3 endpoint?",
                   root);
      return NULL;
    }
  /* It answered as if list-type were not there: a truncated v2 listing must say where to go on. */
  if (!listing->of_versions && *version == 2
      && g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") == 0
      && kp_s3_xml_get (xml, "NextContinuationToken") == NULL)
    *version = 1;

  gboolean is_encoded = g_strcmp0 (kp_s3_xml_get (xml, "EncodingType"), "url") == 0;
  g_autoptr (GPtrArray) page = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_entry_free);
  g_autofree char *last = NULL;
  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    if (!read_entry (listing, kp_s3_xml_get_record (xml, i), is_encoded, page, &last, error))
      return NULL;
  if (listing->of_versions
          ? !advance_versions (listing, xml, page, g_steal_pointer (&last), is_encoded, error)
          : !advance (listing, xml, g_steal_pointer (&last), *version, is_encoded, error))
    return NULL;
  if (listing->end != NULL && listing->marker != NULL
      && strcmp (listing->marker, listing->end) >= 0)
    {
      listing->finished = TRUE;
      for (guint i = page->len; i-- > 0;)
        if (strcmp (((KpS3Entry *) g_ptr_array_index (page, i))->key, listing->end) > 0)
          g_ptr_array_remove_index_fast (page, i);
    }
  leap_over_hidden (listing);
  return g_steal_pointer (&page);
}

/**
 * kp_s3_listing_next_page:
 * @error: any #KpError of kp_s3_request_send(); %KP_ERROR_SERVER when the listing makes no sense
 *
 * Returns: (transfer full) (element-type KpS3Entry): up to 1,000 entries
 */
GPtrArray *
kp_s3_listing_next_page (KpS3Listing *listing,
                         KpS3Client *client,
                         GCancellable *cancellable,
                         GError **error)
{
  KpS3Service *service = kp_s3_client_get_service (client);
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (service);
  unsigned version = kp_s3_service_get_list_version (service);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Request) request
      = page_request (listing, version, kp_s3_location_get_provider (location)->url_encoding);
  g_autoptr (KpS3Xml) xml
      = kp_s3_request_send_for_document (request, client, cancellable, &local_error);

  if (xml == NULL)
    {
      if (listing->of_versions || version == 1 || !speaks_v1_only (local_error))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
      kp_s3_service_fall_back_to_list_v1 (service);
      return kp_s3_listing_next_page (listing, client, cancellable, error);
    }

  unsigned answered = version;
  g_autoptr (GPtrArray) page = kp_s3_listing_read_page (listing, xml, &answered, error);
  if (answered != version)
    kp_s3_service_fall_back_to_list_v1 (service);
  return g_steal_pointer (&page);
}

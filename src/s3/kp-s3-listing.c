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

/* Pages where the order of the keys does not tell whether the listing gets on: 200 million keys. */
#define MAX_UNORDERED_PAGES 200000

struct _KpS3Listing
{
  gboolean of_versions;
  char *prefix;
  char *delimiter;   /* or NULL */
  char *start_after; /* or NULL */
  char *end;         /* the last key of interest, or NULL */
  gboolean met_end;
  char *hidden;      /* keys that start with it are left out, or NULL… */
  char *hidden_last; /* …and lie before this one; NULL when that was made use of */
  char *leap;        /* what it was made use of for: the pages begin behind it; or NULL */
  char *leap_token;  /* where the listing was before, to go back there */
  char *leap_marker;
  char *token;          /* v2: where to go on; NULL at first */
  char *marker;         /* v1, versions: the last key or prefix seen; also guards v2 */
  char *version_marker; /* versions: which version of that key was the last, or NULL */
  char *first;          /* of the last page that had keys, what came first */
  unsigned pages_of_key;
  unsigned empty_pages; /* in a row */
  gboolean finished;

  gboolean unordered; /* keys may come in any order */
  GHashTable *seen;   /* then: digests of how pages begin, and of the places to go on at */
  unsigned n_unordered;
};

/* The order of these is looked at apart: a server may send all of one and then all of the other. */
typedef enum
{
  KIND_OBJECT,
  KIND_PREFIX,
  KIND_DELETE_MARKER,
  N_KINDS,
} Kind;

/* What a page says of the way that the listing takes, also by keys that were not asked for. */
typedef struct
{
  char *first;           /* what came first, of versions with the version; NULL where it is empty */
  char *largest;         /* by its bytes */
  char *latest[N_KINDS]; /* what came last of each kind */
  gboolean goes_back;    /* a key comes before another one, or one before it, that is larger */
  gboolean before_start; /* there are keys that the server was asked to leave out */
} Course;

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
  g_free (listing->leap);
  g_free (listing->leap_token);
  g_free (listing->leap_marker);
  g_free (listing->token);
  g_free (listing->marker);
  g_free (listing->version_marker);
  g_free (listing->first);
  g_clear_pointer (&listing->seen, g_hash_table_unref);
  g_free (listing);
}

gboolean
kp_s3_listing_is_finished (KpS3Listing *listing)
{
  return listing->finished;
}

/**
 * kp_s3_listing_has_met_end:
 *
 * Where pieces lie end to end, each of them begins behind a key that is there, and met its end in
 * the order of keys, nothing is between them in whatever order the server lists.
 *
 * Returns: whether the last key of interest was listed
 */
gboolean
kp_s3_listing_has_met_end (KpS3Listing *listing)
{
  return listing->met_end;
}

/**
 * kp_s3_listing_is_unordered:
 *
 * Returns: whether keys come, or came at some time, in another order than that of their bytes
 */
gboolean
kp_s3_listing_is_unordered (KpS3Listing *listing)
{
  return listing->unordered;
}

static void
course_clear (Course *course)
{
  g_free (course->first);
  g_free (course->largest);
  for (int i = 0; i < N_KINDS; i++)
    g_free (course->latest[i]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Course, course_clear)

/* Whether @text is met for the first time. @kind keeps texts of different meaning apart. */
static gboolean
remember (KpS3Listing *listing, const char *kind, const char *text)
{
  g_autofree char *whole = g_strconcat (kind, text, NULL);

  return g_hash_table_add (listing->seen,
                           g_compute_checksum_for_string (G_CHECKSUM_SHA256, whole, -1));
}

/**
 * kp_s3_listing_set_unordered:
 *
 * From here on keys may come in any order, as with servers that walk through folders or go by
 * encrypted names. Pages are then asked for from the first to the last, as a key tells nothing of
 * those behind it, and what is not asked for is left out key by key. A listing that has a start,
 * and has begun, begins anew.
 *
 * Returns: whether what was asked for last is not what comes next
 */
gboolean
kp_s3_listing_set_unordered (KpS3Listing *listing)
{
  gboolean moves = FALSE;

  if (listing->unordered)
    return FALSE;
  listing->unordered = TRUE;
  listing->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (listing->start_after != NULL)
    {
      moves = TRUE;
      g_clear_pointer (&listing->token, g_free);
      g_clear_pointer (&listing->marker, g_free);
      g_clear_pointer (&listing->first, g_free);
    }
  else if (listing->leap != NULL)
    {
      moves = TRUE;
      g_free (listing->token);
      listing->token = g_steal_pointer (&listing->leap_token);
      g_free (listing->marker);
      listing->marker = g_steal_pointer (&listing->leap_marker);
    }
  g_clear_pointer (&listing->leap, g_free);
  listing->empty_pages = 0;
  /* What came before was in order and has no circle, so the last page of it will do. */
  if (listing->first != NULL)
    remember (listing, "first ", listing->first);
  if (listing->token != NULL)
    remember (listing, "token ", listing->token);
  if (listing->marker != NULL && !listing->of_versions)
    remember (listing, "marker ", listing->marker);
  return moves;
}

/* Only keys behind it are asked for; or NULL. */
static const char *
get_first_start (KpS3Listing *listing)
{
  if (listing->unordered)
    return NULL;
  return listing->leap != NULL ? listing->leap : listing->start_after;
}

/* Where the next page starts, unless there is a token. A server that does not know start-after may
 * have sent only keys before it so far. */
static const char *
get_start (KpS3Listing *listing)
{
  const char *start = get_first_start (listing);

  if (listing->marker == NULL || (start != NULL && strcmp (listing->marker, start) < 0))
    return start;
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

static void
follow_course (KpS3Listing *listing,
               Course *course,
               Kind kind,
               const char *key,
               const char *version_id)
{
  const char *start = get_first_start (listing);
  const char *before = course->latest[kind];

  /* Of folders, the one that the marker lies in may be sent again. */
  if (before == NULL && kind != KIND_PREFIX)
    before = listing->marker;
  course->goes_back |= before != NULL && strcmp (key, before) < 0;
  course->before_start |= kind != KIND_PREFIX && start != NULL && strcmp (key, start) < 0;
  if (course->first == NULL)
    course->first = version_id != NULL ? g_strconcat (key, "\n", version_id, NULL) : g_strdup (key);
  take_if_later (&course->largest, key);
  g_free (course->latest[kind]);
  course->latest[kind] = g_strdup (key);
}

/* Whether a key of the listing is asked for. A server may not know start-after, and sends pages to
 * their end. */
static gboolean
is_wanted (KpS3Listing *listing, const char *key, gboolean is_prefix)
{
  const char *start = listing->leap != NULL ? listing->leap : listing->start_after;

  return (listing->hidden == NULL || !g_str_has_prefix (key, listing->hidden))
         && (is_prefix || start == NULL || strcmp (key, start) > 0)
         && (listing->end == NULL || strcmp (key, listing->end) <= 0);
}

/* Adds what a record says to @page; nothing for a record that is no entry. */
static gboolean
read_entry (KpS3Listing *listing,
            const KpS3Record *record,
            gboolean is_encoded,
            GPtrArray *page,
            Course *course,
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
  const char *version_id = listing->of_versions ? kp_s3_record_get (record, "VersionId") : NULL;
  follow_course (listing, course,
                 is_prefix   ? KIND_PREFIX
                 : is_marker ? KIND_DELETE_MARKER
                             : KIND_OBJECT,
                 key->str, version_id);
  listing->met_end |= g_strcmp0 (key->str, listing->end) == 0;
  if (!is_wanted (listing, key->str, is_prefix))
    {
      g_string_free (key, TRUE);
      return TRUE;
    }

  KpS3Entry *entry = kp_s3_entry_new ();
  entry->is_prefix = is_prefix;
  entry->is_delete_marker = is_marker;
  entry->is_latest
      = !listing->of_versions || g_strcmp0 (kp_s3_record_get (record, "IsLatest"), "true") == 0;
  entry->version_id = g_strdup (version_id);
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

static void
set_endless_error (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                       "The server's listing says again and again that there is more, and has "
                       "nothing");
}

/* What came last; where there are objects and folders, the larger one. */
static const char *
get_last (const Course *course)
{
  const char *last = NULL;

  for (int i = 0; i < N_KINDS; i++)
    if (course->latest[i] != NULL && (last == NULL || strcmp (course->latest[i], last) > 0))
      last = course->latest[i];
  return last;
}

/* Whether the keys are in another order than that of their bytes; or the listing repeats itself. */
static gboolean
is_out_of_order (KpS3Listing *listing, const Course *course)
{
  return course->goes_back || course->before_start
         || (!listing->of_versions && listing->marker != NULL && course->largest != NULL
             && strcmp (course->largest, listing->marker) <= 0);
}

/* Where there is no order that would tell, no page may begin as one before it, and the place to go
 * on at has to be another each time.
 *
 * @place: (nullable): that place
 * @key: (nullable): the last key */
static gboolean
check_unordered (KpS3Listing *listing,
                 const char *kind,
                 const char *place,
                 const char *key,
                 GError **error)
{
  if (listing->first != NULL && listing->empty_pages == 0
      && !remember (listing, "first ", listing->first))
    {
      set_order_error (key != NULL ? key : "", error);
      return FALSE;
    }
  if (listing->finished)
    return TRUE;
  if (place != NULL && remember (listing, kind, place) && listing->empty_pages <= MAX_EMPTY_PAGES
      && ++listing->n_unordered <= MAX_UNORDERED_PAGES)
    return TRUE;
  if (listing->empty_pages > 0 || place == NULL)
    set_endless_error (error);
  else
    set_order_error (key != NULL ? key : "", error);
  return FALSE;
}

static gboolean
check_ordered (KpS3Listing *listing, const char *reached, const char *token, GError **error)
{
  gboolean gets_on = reached != NULL || (token != NULL && g_strcmp0 (token, listing->token) != 0);

  if (listing->marker != NULL && reached != NULL && strcmp (reached, listing->marker) <= 0)
    {
      set_order_error (reached, error);
      return FALSE;
    }
  if (!listing->finished && (!gets_on || listing->empty_pages > MAX_EMPTY_PAGES))
    {
      set_endless_error (error);
      return FALSE;
    }
  return TRUE;
}

/* What the next page has to start behind: the server's own word, or the last key. Of the first
 * version of the call, most servers say it only for folders, and then it is the last key; where
 * keys are in no order, it comes first. */
static gboolean
advance (KpS3Listing *listing,
         KpS3Xml *xml,
         const Course *course,
         unsigned version,
         gboolean is_encoded,
         GError **error)
{
  const char *next_marker = version == 1 ? kp_s3_xml_get (xml, "NextMarker") : NULL;
  const char *next_token = version == 2 ? kp_s3_xml_get (xml, "NextContinuationToken") : NULL;
  gboolean is_told = next_marker != NULL && *next_marker != '\0'
                     && (listing->unordered || course->largest == NULL);
  g_autofree char *reached
      = is_told ? g_string_free (decode (next_marker, is_encoded), FALSE)
                : g_strdup (listing->unordered ? get_last (course) : course->largest);
  gboolean ok = listing->unordered
                    ? check_unordered (listing, version == 2 ? "token " : "marker ",
                                       version == 2 ? next_token : reached, reached, error)
                    : check_ordered (listing, reached, next_token, error);

  if (!ok)
    return FALSE;
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
 * version to go on behind. */
static gboolean
advance_versions (KpS3Listing *listing,
                  KpS3Xml *xml,
                  GPtrArray *page,
                  const Course *course,
                  gboolean is_encoded,
                  GError **error)
{
  const char *next_key = kp_s3_xml_get (xml, "NextKeyMarker");
  const char *next_version = kp_s3_xml_get (xml, "NextVersionIdMarker");
  g_autofree char *reached
      = next_key != NULL && *next_key != '\0'
            ? g_string_free (decode (next_key, is_encoded), FALSE)
            : g_strdup (listing->unordered ? get_last (course) : course->largest);
  gboolean is_same = g_strcmp0 (reached, listing->marker) == 0;

  if (next_version == NULL && page->len > 0)
    next_version = ((KpS3Entry *) g_ptr_array_index (page, page->len - 1))->version_id;
  g_autofree char *place
      = reached != NULL
            ? g_strdup_printf ("%s\n%s", reached, next_version != NULL ? next_version : "")
            : NULL;
  if (listing->unordered && !check_unordered (listing, "version ", place, reached, error))
    return FALSE;
  if (listing->finished)
    return TRUE;
  listing->pages_of_key = is_same ? listing->pages_of_key + 1 : 0;
  if (!listing->unordered
      && (reached == NULL || (listing->marker != NULL && strcmp (reached, listing->marker) < 0)
          || (is_same
              && (g_strcmp0 (next_version, listing->version_marker) == 0
                  || listing->pages_of_key > MAX_PAGES_OF_ONE_KEY))))
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

/* A page that ends among what is left out: the next one starts behind that. A server that does not
 * know start-after begins anew, and has to be followed through all of it then. */
static void
leap_over_hidden (KpS3Listing *listing)
{
  if (listing->of_versions || listing->finished || listing->unordered
      || listing->hidden_last == NULL || listing->delimiter != NULL || listing->marker == NULL
      || !g_str_has_prefix (listing->marker, listing->hidden)
      || strcmp (listing->marker, listing->hidden_last) >= 0)
    return;
  listing->leap = g_steal_pointer (&listing->hidden_last);
  listing->leap_token = g_steal_pointer (&listing->token);
  listing->leap_marker = g_steal_pointer (&listing->marker);
}

/* Behind the last key of interest there is nothing more to ask for. Of versions, those of that key
 * may go on. */
static void
end_where_wanted (KpS3Listing *listing)
{
  if (listing->unordered || listing->end == NULL || listing->marker == NULL)
    return;
  int order = strcmp (listing->marker, listing->end);
  if (order > 0 || (order == 0 && !listing->of_versions))
    listing->finished = TRUE;
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
  unsigned asked = *version;

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
  g_auto (Course) course = { NULL };
  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    if (!read_entry (listing, kp_s3_xml_get_record (xml, i), is_encoded, page, &course, error))
      return NULL;
  /* Whoever does not know list-type does not know start-after. */
  if (!listing->of_versions && *version != asked)
    course.before_start = FALSE;
  if (!listing->unordered && is_out_of_order (listing, &course)
      && kp_s3_listing_set_unordered (listing))
    {
      g_ptr_array_set_size (page, 0);
      return g_steal_pointer (&page);
    }

  listing->finished = g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") != 0;
  listing->empty_pages = course.first == NULL ? listing->empty_pages + 1 : 0;
  if (course.first != NULL)
    {
      g_free (listing->first);
      listing->first = g_steal_pointer (&course.first);
    }
  if (listing->of_versions ? !advance_versions (listing, xml, page, &course, is_encoded, error)
                           : !advance (listing, xml, &course, *version, is_encoded, error))
    return NULL;
  end_where_wanted (listing);
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

  if (!kp_s3_service_lists_in_order (service))
    kp_s3_listing_set_unordered (listing);
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
  if (listing->unordered)
    kp_s3_service_learn_unordered (service);
  return g_steal_pointer (&page);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "fake-server.h"
#include "kp-error.h"
#include "kp-s3-listing.h"

#include <string.h>

#define PAGE(fields, entries)                                                                      \
  FAKE_XML "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"                  \
           "<Name>bucket</Name>" fields entries "</ListBucketResult>"
#define ENCODED "<EncodingType>url</EncodingType>"
#define TRUNCATED "<IsTruncated>true</IsTruncated>"
#define COMPLETE "<IsTruncated>false</IsTruncated>"
#define TOKEN(token) "<NextContinuationToken>" token "</NextContinuationToken>"
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size><ETag>\"e\"</ETag></Contents>"
#define PREFIX(prefix) "<CommonPrefixes><Prefix>" prefix "</Prefix></CommonPrefixes>"

static const FakeReply not_implemented
    = { .status = 501, .body = FAKE_XML "<Error><Code>NotImplemented</Code></Error>" };

static int
compare_keys (const void *a, const void *b)
{
  return strcmp ((*(KpS3Entry *const *) a)->key, (*(KpS3Entry *const *) b)->key);
}

/* Asks for the next page and compares its keys, one a line; the order in a page is not promised. */
static void
assert_page (KpS3Listing *listing, Fixture *fixture, const char *expected, gboolean is_last)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, fixture->client, NULL, &error);
  g_autoptr (GString) keys = g_string_new (NULL);

  g_assert_no_error (error);
  g_assert_nonnull (page);
  g_ptr_array_sort (page, compare_keys);
  for (guint i = 0; i < page->len; i++)
    g_string_append_printf (keys, "%s\n", ((KpS3Entry *) g_ptr_array_index (page, i))->key);
  g_assert_cmpstr (keys->str, ==, expected);
  g_assert_cmpint (kp_s3_listing_is_finished (listing), ==, is_last);
}

static void
assert_error (KpS3Listing *listing, Fixture *fixture, KpError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (kp_s3_listing_next_page (listing, fixture->client, NULL, &error));
  g_assert_error (error, KP_ERROR, (int) code);
}

/* Unset for NULL. */
static void
assert_asked (Fixture *fixture, guint index, const char *name, const char *value)
{
  g_auto (GStrv) parameters = g_strsplit (sent (fixture, index)->query, "&", -1);
  g_autofree char *with_sign = g_strconcat (name, "=", NULL);
  const char *found = NULL;

  for (char **parameter = parameters; *parameter != NULL; parameter++)
    if (g_str_has_prefix (*parameter, with_sign))
      found = *parameter + strlen (with_sign);
  g_assert_cmpstr (found, ==, value);
}

static void
test_one_page (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (
          "<Prefix>p/</Prefix><KeyCount>3</KeyCount>" ENCODED COMPLETE,
          "<Contents><Key>p/a</Key><LastModified>2026-11-22T20:39:10.000Z</LastModified>"
          "<ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71-3&quot;</ETag><Size>5497558138880</Size>"
          "<Owner><ID>o</ID></Owner><StorageClass>GLACIER_IR</StorageClass></Contents>"
          "<Contents><Key>p/b</Key><LastModified>never</LastModified><Size>-1</Size></Contents>"
          "<Other><Key>p/c</Key></Other><Contents><Size>1</Size></Contents>" PREFIX ("p/d/")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  KpS3Listing *listing = kp_s3_listing_new ("p/", "/", NULL);

  fixture_script (fixture, replies);
  g_assert_false (kp_s3_listing_is_finished (listing));
  g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, fixture->client, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (kp_s3_listing_is_finished (listing));
  kp_s3_listing_free (listing);

  /* What is no entry, or has no key, is left out. */
  g_assert_cmpuint (page->len, ==, 3);
  const KpS3Entry *entry = g_ptr_array_index (page, 0);
  g_assert_cmpstr (entry->key, ==, "p/a");
  g_assert_cmpuint (entry->size, ==, 5497558138880);
  g_assert_cmpstr (entry->etag, ==, "70ee1738b6b21e2c8a43f3a5ab0eee71-3");
  g_assert_cmpint (entry->last_modified, ==, 1795379950);
  g_assert_cmpstr (entry->storage_class, ==, "GLACIER_IR");
  g_assert_true (entry->is_latest);
  g_assert_false (entry->is_prefix);
  g_assert_null (entry->version_id);
  entry = g_ptr_array_index (page, 1);
  g_assert_cmpstr (entry->key, ==, "p/b");
  g_assert_cmpuint (entry->size, ==, 0);
  g_assert_cmpstr (entry->etag, ==, "");
  g_assert_cmpint (entry->last_modified, ==, 0);
  g_assert_null (entry->storage_class);
  entry = g_ptr_array_index (page, 2);
  g_assert_cmpstr (entry->key, ==, "p/d/");
  g_assert_true (entry->is_prefix);

  g_assert_cmpstr (sent (fixture, 0)->path, ==, "/bucket");
  g_assert_cmpstr (sent (fixture, 0)->query, ==,
                   "delimiter=%2F&encoding-type=url&list-type=2&prefix=p%2F");
}

static void
test_empty_bucket (void)
{
  static const FakeReply replies[] = { { .body = PAGE (COMPLETE, "") }, { .body = PAGE ("", "") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);
      assert_page (listing, fixture, "", TRUE);
    }
}

static void
test_pages (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("1ueGc/+="), KEY ("b") KEY ("c")) },
    { .body = PAGE (TRUNCATED TOKEN ("second &amp; last"), KEY ("d")) },
    { .body = PAGE (COMPLETE, KEY ("e")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, "a b");

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "b\nc\n", FALSE);
  assert_page (listing, fixture, "d\n", FALSE);
  assert_page (listing, fixture, "e\n", TRUE);
  assert_asked (fixture, 0, "start-after", "a%20b");
  assert_asked (fixture, 0, "continuation-token", NULL);
  assert_asked (fixture, 1, "start-after", NULL);
  assert_asked (fixture, 1, "continuation-token", "1ueGc%2F%2B%3D");
  assert_asked (fixture, 2, "continuation-token", "second%20%26%20last");
  for (guint i = 0; i < 3; i++)
    {
      assert_asked (fixture, i, "list-type", "2");
      assert_asked (fixture, i, "prefix", "");
      assert_asked (fixture, i, "delimiter", NULL);
    }
}

/* A last page may be empty: the server did not know before. */
static void
test_empty_last_page (void)
{
  static const FakeReply replies[]
      = { { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a")) }, { .body = PAGE (COMPLETE, "") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a\n", FALSE);
  assert_page (listing, fixture, "", TRUE);
}

static void
test_encoded_keys (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (ENCODED COMPLETE, KEY ("%01%1F%7F") KEY ("100%25") KEY ("a%2Bb") KEY ("a+b%20c")
                                          KEY ("b%0D%0A") KEY ("caf%C3%A9") KEY ("d/%2E%2E/x") KEY (
                                              "e%2") KEY ("f%zz") KEY ("g%") PREFIX ("h+%2B/")) },
    /* as the server does not say that it encodes, it does not */
    { .body = PAGE (COMPLETE, KEY ("100%25") KEY ("a+b") KEY ("a&amp;b&#13;")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) encoded = kp_s3_listing_new ("", "/", NULL);
  g_autoptr (KpS3Listing) plain = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (encoded, fixture,
               "\x01\x1F\x7F\n100%\na b c\na+b\nb\r\n\ncaf\xC3\xA9\n"
               "d/../x\ne%2\nf%zz\ng%\nh +/\n",
               TRUE);
  assert_page (plain, fixture, "100%25\na&b\r\na+b\n", TRUE);
}

/* To some providers, encoding-type must not be said. */
static void
test_no_url_encoding (void)
{
  static const FakeReply replies[] = { { .body = PAGE (TRUNCATED, KEY ("a%20b") KEY ("c")) },
                                       { .body = PAGE (COMPLETE, KEY ("d")) } };
  g_autoptr (Fixture) fixture = fixture_new ("seaweedfs", NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a%20b\nc\n", FALSE);
  assert_page (listing, fixture, "d\n", TRUE);
  g_assert_cmpstr (sent (fixture, 0)->query, ==, "prefix=");
  g_assert_cmpstr (sent (fixture, 1)->query, ==, "marker=c&prefix=");
}

/* ---- The first version of the call ---- */

static void
test_fall_back (void)
{
  const FakeReply replies[] = {
    not_implemented,
    { .body = PAGE (ENCODED TRUNCATED, KEY ("p/b") KEY ("p/c%2B+d")) },
    { .body = PAGE (ENCODED COMPLETE, KEY ("p/e")) },
    /* it is remembered */
    { .body = PAGE (COMPLETE, KEY ("a")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("p", NULL, "a b");
  g_autoptr (KpS3Listing) next = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "p/b\np/c+ d\n", FALSE);
  assert_page (listing, fixture, "p/e\n", TRUE);
  assert_page (next, fixture, "a\n", TRUE);
  assert_asked (fixture, 0, "list-type", "2");
  g_assert_cmpstr (sent (fixture, 1)->query, ==, "encoding-type=url&marker=a%20b&prefix=p");
  g_assert_cmpstr (sent (fixture, 2)->query, ==, "encoding-type=url&marker=p%2Fc%2B%20d&prefix=p");
  g_assert_cmpstr (sent (fixture, 3)->query, ==, "encoding-type=url&prefix=");
  g_assert_cmpuint (kp_s3_service_get_list_version (fixture->service), ==, 1);
}

/* A server that does not know list-type answers as if it were not there. */
static void
test_answer_of_v1 (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE ("<Marker/>" TRUNCATED, KEY ("a") KEY ("b")) },
    { .body = PAGE ("<Marker>b</Marker>" COMPLETE, KEY ("c")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a\nb\n", FALSE);
  assert_page (listing, fixture, "c\n", TRUE);
  assert_asked (fixture, 1, "list-type", NULL);
  assert_asked (fixture, 1, "marker", "b");
}

static void
test_empty_answer_of_v1 (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED "<NextMarker>b/</NextMarker>", "") },
    { .body = PAGE (COMPLETE, KEY ("c")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", "/", NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "c\n", TRUE);
  assert_asked (fixture, 1, "list-type", NULL);
  assert_asked (fixture, 1, "marker", "b%2F");
}

static void
test_v1_folders (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED "<NextMarker>b/</NextMarker>", KEY ("a") PREFIX ("b/")) },
    { .body = PAGE (TRUNCATED "<NextMarker>c/</NextMarker>", PREFIX ("c/")) },
    /* nothing on this page, and still a place to go on */
    { .body = PAGE (ENCODED TRUNCATED "<NextMarker>d+d</NextMarker>", "") },
    { .body = PAGE (COMPLETE, KEY ("e")) },
  };
  g_autoptr (Fixture) fixture = fixture_new ("seaweedfs", NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", "/", NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a\nb/\n", FALSE);
  assert_page (listing, fixture, "c/\n", FALSE);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "e\n", TRUE);
  assert_asked (fixture, 1, "marker", "b%2F");
  assert_asked (fixture, 2, "marker", "c%2F");
  assert_asked (fixture, 3, "marker", "d%20d");
}

/* What both versions refuse is an error, not an endless exchange. */
static void
test_neither_version (void)
{
  const FakeReply replies[] = { not_implemented, not_implemented };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_error (listing, fixture, KP_ERROR_UNSUPPORTED_BY_PROVIDER);
}

/* Other errors say nothing about the version. */
static void
test_no_fall_back (void)
{
  static const FakeReply replies[] = {
    { .status = 403, .body = FAKE_XML "<Error><Code>AccessDenied</Code></Error>" },
    { .status = 404, .body = FAKE_XML "<Error><Code>NoSuchBucket</Code></Error>" },
    { .status = 500 },
    { .status = 500 },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_error (listing, fixture, KP_ERROR_ACCESS_DENIED);
  assert_error (listing, fixture, KP_ERROR_NO_SUCH_BUCKET);
  assert_error (listing, fixture, KP_ERROR_SERVER);
  g_assert_cmpuint (kp_s3_service_get_list_version (fixture->service), ==, 2);
}

/* ---- Listings that make no sense ---- */

static void
test_no_sense (void)
{
  static const struct
  {
    const char *provider;
    const char *first;
    const char *second;
  } cases[] = {
    /* the same page again */
    { NULL, PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("b")),
      PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("b")) },
    { NULL, PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("b")),
      PAGE (COMPLETE, KEY ("a") KEY ("b")) },
    { "seaweedfs", PAGE (TRUNCATED, KEY ("a") KEY ("b")), PAGE (TRUNCATED, KEY ("a") KEY ("b")) },
    { "seaweedfs", PAGE (TRUNCATED, KEY ("b") KEY ("a")), PAGE (COMPLETE, KEY ("b") KEY ("a")) },
    { "seaweedfs", PAGE (TRUNCATED "<NextMarker>c</NextMarker>", KEY ("b")),
      PAGE (TRUNCATED "<NextMarker>c</NextMarker>", KEY ("a")) },
    /* another key, but the way on is the same */
    { NULL, PAGE (TRUNCATED TOKEN ("t"), KEY ("b")), PAGE (TRUNCATED TOKEN ("t"), KEY ("a")) },
    /* more, but nothing and nowhere */
    { NULL, PAGE (TRUNCATED TOKEN ("t"), KEY ("b")), PAGE (TRUNCATED, "") },
    { NULL, PAGE (TRUNCATED TOKEN ("t"), ""), PAGE (TRUNCATED TOKEN ("t"), "") },
    { "seaweedfs", PAGE (TRUNCATED, KEY ("b")), PAGE (TRUNCATED, "") },
    { "seaweedfs", PAGE (TRUNCATED "<NextMarker>b</NextMarker>", KEY ("b")),
      PAGE (TRUNCATED "<NextMarker>b</NextMarker>", "") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply replies[] = { { .body = cases[i].first }, { .body = cases[i].second } };
      g_autoptr (Fixture) fixture = fixture_new (cases[i].provider, NULL);
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);
      g_autoptr (GError) error = NULL;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      fixture_script (fixture, replies);
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, fixture->client, NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (page);
      assert_error (listing, fixture, KP_ERROR_SERVER);
    }
}

static void
test_no_listing (void)
{
  static const FakeReply replies[] = {
    { .body = "<html><body>Welcome</body></html>" },
    { .body = "hello" },
    { .action = FAKE_SEND_CUT, .body = "<ListBucketResult>" KEY ("a") },
    { .body = "<ListAllMyBucketsResult/>" },
    { .body = FAKE_XML "<Error><Code>AccessDenied</Code></Error>" },
  };
  static const KpError codes[] = { KP_ERROR_SERVER, KP_ERROR_SERVER, KP_ERROR_SERVER,
                                   KP_ERROR_SERVER, KP_ERROR_ACCESS_DENIED };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  kp_s3_client_set_max_attempts (fixture->client, 1);
  fixture_script (fixture, replies);
  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    assert_error (listing, fixture, codes[i]);
}

/* After an error the same page can be asked for again. */
static void
test_again_after_error (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a")) },
    { .status = 500 },
    { .body = PAGE (COMPLETE, KEY ("b")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  kp_s3_client_set_max_attempts (fixture->client, 1);
  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a\n", FALSE);
  assert_error (listing, fixture, KP_ERROR_SERVER);
  assert_page (listing, fixture, "b\n", TRUE);
  assert_asked (fixture, 1, "continuation-token", "t");
  assert_asked (fixture, 2, "continuation-token", "t");
}

/* ---- A piece of the bucket ---- */

static void
test_end (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("b") KEY ("c")) },
    { .body = PAGE (TRUNCATED TOKEN ("u"), KEY ("d") KEY ("e") KEY ("f") KEY ("g")) },
    /* the end is the last key of a page */
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("b") KEY ("e")) },
    /* all of the first page lies behind the end */
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("f") KEY ("g")) },
    /* the bucket ends before */
    { .body = PAGE (COMPLETE, KEY ("b")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  g_autoptr (KpS3Listing) two_pages = kp_s3_listing_new ("", NULL, "a");
  kp_s3_listing_set_end (two_pages, "e");
  assert_page (two_pages, fixture, "b\nc\n", FALSE);
  assert_page (two_pages, fixture, "d\ne\n", TRUE);
  static const char *const others[] = { "b\ne\n", "", "b\n" };
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, "a");
      kp_s3_listing_set_end (listing, "e");
      assert_page (listing, fixture, others[i], TRUE);
    }
}

/* "Only keys behind this one", also of a server that knows no start-after: that costs requests. */
static void
test_start_after_ignored (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (COMPLETE, KEY ("a") KEY ("b") KEY ("c")) },
    { .body = PAGE (COMPLETE, KEY ("a") KEY ("b") KEY ("c")) },
    /* that it knows none is known now */
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("b")) },
    { .body = PAGE (TRUNCATED TOKEN ("u"), KEY ("c") KEY ("d")) },
    { .body = PAGE (TRUNCATED TOKEN ("v"), KEY ("e") KEY ("f")) },
    { .body = PAGE (COMPLETE, KEY ("g") KEY ("h")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) short_one = kp_s3_listing_new ("", NULL, "b");
  g_autoptr (KpS3Listing) long_one = kp_s3_listing_new ("", NULL, "e");

  fixture_script (fixture, replies);
  assert_page (short_one, fixture, "", FALSE);
  assert_page (short_one, fixture, "c\n", TRUE);
  kp_s3_listing_set_end (long_one, "g");
  assert_page (long_one, fixture, "", FALSE);
  assert_page (long_one, fixture, "", FALSE);
  assert_page (long_one, fixture, "f\n", FALSE);
  assert_page (long_one, fixture, "g\n", TRUE);
  assert_asked (fixture, 0, "start-after", "b");
  assert_asked (fixture, 1, "start-after", NULL);
  assert_asked (fixture, 5, "continuation-token", "v");
}

/* The same of one that does not know list-type either. It knows the marker. */
static void
test_start_after_ignored_by_v1 (void)
{
  static const FakeReply replies[] = { { .body = PAGE (TRUNCATED, KEY ("a") KEY ("b")) },
                                       { .body = PAGE (COMPLETE, KEY ("y") KEY ("z")) } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, "x");

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "y\nz\n", TRUE);
  assert_asked (fixture, 1, "marker", "x");
}

/* What is hidden is not asked for where there is much of it, and never in a page. */
static void
test_hidden (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("h/1") KEY ("h/2")) },
    { .body = PAGE (TRUNCATED TOKEN ("u"), KEY ("h/~~") KEY ("h0") KEY ("i")) },
    { .body = PAGE (COMPLETE, KEY ("j")) },
    { .body = PAGE (COMPLETE, KEY ("a") KEY ("h/1") KEY ("h0") KEY ("h")) },
    { .body = PAGE (COMPLETE, KEY ("a") PREFIX ("h/") PREFIX ("i/")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) much = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (KpS3Listing) little = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (KpS3Listing) folders = kp_s3_listing_new ("", "/", NULL);

  fixture_script (fixture, replies);
  kp_s3_listing_set_hidden (much, "h/", "h/~");
  kp_s3_listing_set_hidden (little, "h/", "h/~");
  kp_s3_listing_set_hidden (folders, "h/", "h/~");
  assert_page (much, fixture, "a\n", FALSE);
  assert_page (much, fixture, "h0\ni\n", FALSE);
  assert_page (much, fixture, "j\n", TRUE);
  assert_asked (fixture, 1, "start-after", "h%2F~");
  assert_asked (fixture, 1, "continuation-token", NULL);
  assert_asked (fixture, 2, "continuation-token", "u");
  assert_page (little, fixture, "a\nh\nh0\n", TRUE);
  assert_page (folders, fixture, "a\ni/\n", TRUE);
}

/* A server that knows no start-after begins anew when told to leap: then the listing goes back to
 * where it was. Nothing comes twice, and there is an end. */
static void
test_hidden_without_start_after (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("h/1")) },
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("h/1")) },
    { .body = PAGE (TRUNCATED TOKEN ("u"), KEY ("h/2") KEY ("h/3")) },
    { .body = PAGE (COMPLETE, KEY ("h/4") KEY ("i")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  kp_s3_listing_set_hidden (listing, "h/", "h/~");
  assert_page (listing, fixture, "a\n", FALSE);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "i\n", TRUE);
  assert_asked (fixture, 1, "start-after", "h%2F~");
  assert_asked (fixture, 2, "continuation-token", "t");
}

/* A page may be empty where the server has gone through what is no object any more. */
static void
test_empty_pages (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("1"), "") },
    { .body = PAGE (TRUNCATED TOKEN ("2"), KEY ("a")) },
    { .body = PAGE (TRUNCATED TOKEN ("3"), "") },
    { .body = PAGE (TRUNCATED TOKEN ("4"), "") },
    { .body = PAGE (COMPLETE, KEY ("b")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "a\n", FALSE);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "b\n", TRUE);
  assert_asked (fixture, 4, "continuation-token", "4");
}

/* But not for ever, though the token is always another. */
static void
test_empty_pages_without_end (void)
{
  static const FakeReply odd = { .body = PAGE (TRUNCATED TOKEN ("odd"), "") };
  static const FakeReply even = { .body = PAGE (TRUNCATED TOKEN ("even"), "") };
  g_autofree FakeReply *replies = g_new (FakeReply, 1001);
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

  for (int i = 0; i < 1001; i++)
    replies[i] = i % 2 == 0 ? even : odd;
  fake_server_script (fixture->server, replies, 1001);
  for (int i = 0; i < 1000; i++)
    assert_page (listing, fixture, "", FALSE);
  assert_error (listing, fixture, KP_ERROR_SERVER);
}

/* A key that no file can have must not turn into another one. */
static void
test_nul_in_key (void)
{
  static const FakeReply replies[]
      = { { .body = PAGE (ENCODED COMPLETE, KEY ("photos%00/2026") KEY ("z")) } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_listing_next_page (listing, fixture->client, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
  g_assert_nonnull (strstr (error->message, "“photos”"));
}

/* Whoever asks for "photos/" cuts as many bytes off each key. */
static void
test_keys_that_make_no_sense (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (ENCODED COMPLETE, KEY ("photos/a") KEY ("x")) },
    { .body = PAGE (ENCODED COMPLETE, KEY ("photos")) },
    { .body = PAGE (ENCODED COMPLETE, PREFIX ("phot/")) },
    { .body = PAGE (ENCODED COMPLETE, KEY ("")) },
    { .body = PAGE (ENCODED COMPLETE, PREFIX ("")) },
    { .body = PAGE (ENCODED COMPLETE, KEY ("photos/caf%E9")) },
    { .body = PAGE (ENCODED COMPLETE, KEY ("%00photos/x")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);

  fixture_script (fixture, replies);
  for (gsize i = 0; i < G_N_ELEMENTS (replies); i++)
    {
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("photos/", NULL, NULL);
      g_test_message ("%s", replies[i].body);
      assert_error (listing, fixture, KP_ERROR_SERVER);
    }
}

/* What is printed must not steer a terminal. */
static void
test_message_is_plain_text (void)
{
  static const FakeReply replies[] = { { .body = PAGE (ENCODED COMPLETE, KEY ("%1B[31mred")) } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("photos/", NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_assert_null (kp_s3_listing_next_page (listing, fixture->client, NULL, &error));
  g_assert_nonnull (strstr (error->message, "“\\033[31mred”"));
}

/* Added up, the sizes of a listing must not go beyond what a number holds. */
static void
test_absurd_sizes (void)
{
  static const FakeReply replies[]
      = { { .body = PAGE (COMPLETE, "<Contents><Key>a</Key><Size>54975581388800</Size></Contents>"
                                    "<Contents><Key>b</Key><Size>4611686018427387904</Size>"
                                    "</Contents>") } };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, fixture->client, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (((KpS3Entry *) g_ptr_array_index (page, 0))->size, ==, KP_S3_MAX_OBJECT_SIZE);
  g_assert_cmpuint (((KpS3Entry *) g_ptr_array_index (page, 1))->size, ==,
                    KP_S3_MAX_OBJECT_SIZE + 1);
}

#define VERSIONS(fields, entries)                                                                  \
  FAKE_XML "<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"                \
           "<Name>bucket</Name>" fields entries "</ListVersionsResult>"
#define VERSION(key, id)                                                                           \
  "<Version><Key>" key "</Key><VersionId>" id "</VersionId><IsLatest>false</IsLatest>"             \
  "<LastModified>2026-11-22T20:39:10.250Z</LastModified><Size>3</Size><ETag>\"e\"</ETag></"        \
  "Version>"
#define NEXT(key, id)                                                                              \
  "<NextKeyMarker>" key "</NextKeyMarker><NextVersionIdMarker>" id "</NextVersionIdMarker>"

static void
test_versions (void)
{
  static const FakeReply replies[] = {
    { .body = VERSIONS (
          ENCODED TRUNCATED NEXT ("p/a%2Fb", "v1"),
          "<DeleteMarker><Key>p/a%2Fb</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest>"
          "<LastModified>2026-11-22T20:39:11Z</LastModified></DeleteMarker>" VERSION ("p/a%2Fb",
                                                                                      "v1")) },
    /* Versions of one key go on; this server says only which key was the last. */
    { .body
      = VERSIONS (TRUNCATED "<NextKeyMarker>p/a/b</NextKeyMarker>", VERSION ("p/a/b", "v0")) },
    { .body = VERSIONS (COMPLETE, VERSION ("p/c", "null")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new_of_versions ("p/");
  g_autoptr (GError) error = NULL;

  fixture_script (fixture, replies);
  g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, fixture->client, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (page->len, ==, 2);
  const KpS3Entry *entry = g_ptr_array_index (page, 0);
  g_assert_cmpstr (entry->key, ==, "p/a/b");
  g_assert_cmpstr (entry->version_id, ==, "v2");
  g_assert_true (entry->is_delete_marker);
  g_assert_true (entry->is_latest);
  g_assert_cmpint (entry->modified_us, ==, G_GINT64_CONSTANT (1795379951) * G_USEC_PER_SEC);
  entry = g_ptr_array_index (page, 1);
  g_assert_cmpstr (entry->version_id, ==, "v1");
  g_assert_false (entry->is_delete_marker);
  g_assert_false (entry->is_latest);
  g_assert_cmpuint (entry->size, ==, 3);
  g_assert_cmpint (entry->last_modified, ==, 1795379950);
  g_assert_cmpint (entry->modified_us, ==,
                   G_GINT64_CONSTANT (1795379950) * G_USEC_PER_SEC + 250000);

  assert_page (listing, fixture, "p/a/b\n", FALSE);
  assert_page (listing, fixture, "p/c\n", TRUE);
  g_assert_cmpstr (sent (fixture, 0)->query, ==, "encoding-type=url&prefix=p%2F&versions=");
  assert_asked (fixture, 1, "key-marker", "p%2Fa%2Fb");
  assert_asked (fixture, 1, "version-id-marker", "v1");
  assert_asked (fixture, 2, "key-marker", "p%2Fa%2Fb");
  assert_asked (fixture, 2, "version-id-marker", "v0");
}

/* A server that would keep us for ever. */
static void
test_versions_that_repeat_themselves (void)
{
  static const FakeReply replies[] = {
    { .body = VERSIONS (TRUNCATED NEXT ("b", "v1"), VERSION ("b", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("b", "v1"), VERSION ("b", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("b", "v1"), VERSION ("b", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("a", "v1"), VERSION ("a", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("b", "v1"), VERSION ("b", "v1")) },
    { .body = VERSIONS (TRUNCATED, "") },
    { .body = PAGE (COMPLETE, KEY ("a")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) same = kp_s3_listing_new_of_versions ("");
  g_autoptr (KpS3Listing) back = kp_s3_listing_new_of_versions ("");
  g_autoptr (KpS3Listing) nowhere = kp_s3_listing_new_of_versions ("");
  g_autoptr (KpS3Listing) other = kp_s3_listing_new_of_versions ("");

  fixture_script (fixture, replies);
  assert_page (same, fixture, "b\n", FALSE);
  assert_error (same, fixture, KP_ERROR_SERVER);
  assert_page (back, fixture, "b\n", FALSE);
  assert_page (back, fixture, "a\n", FALSE); /* that may be, once */
  assert_error (back, fixture, KP_ERROR_SERVER);
  assert_error (nowhere, fixture, KP_ERROR_SERVER);
  assert_error (other, fixture, KP_ERROR_SERVER);
}

/* ---- Keys in another order than that of their bytes ---- */

/* As SeaweedFS does: names of one folder are in order, and folders are gone into on the way. */
#define WALK_1 KEY ("p/a/x") KEY ("p/a/z")
#define WALK_2 KEY ("p/a-b/1") KEY ("p/a-b/2")
#define WALK_3 KEY ("p/a-b/3") KEY ("p/b")

static void
test_order_of_folders (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED "<NextMarker>p/a/z</NextMarker>", WALK_1) },
    { .body = PAGE (TRUNCATED "<NextMarker>p/a-b/2</NextMarker>", WALK_2) },
    { .body = PAGE (COMPLETE, WALK_3) },
    /* one that does not say where to go on, and whose page has the largest key within */
    { .body = PAGE (TRUNCATED, WALK_1 KEY ("p/a-b/1")) },
    { .body = PAGE (TRUNCATED, KEY ("p/a-b/2")) },
    { .body = PAGE (COMPLETE, WALK_3) },
  };
  g_autoptr (Fixture) fixture = fixture_new ("seaweedfs", NULL);
  g_autoptr (KpS3Listing) told = kp_s3_listing_new ("p/", NULL, NULL);
  g_autoptr (KpS3Listing) untold = kp_s3_listing_new ("p/", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (told, fixture, "p/a/x\np/a/z\n", FALSE);
  assert_page (told, fixture, "p/a-b/1\np/a-b/2\n", FALSE);
  assert_page (told, fixture, "p/a-b/3\np/b\n", TRUE);
  assert_asked (fixture, 1, "marker", "p%2Fa%2Fz");
  assert_asked (fixture, 2, "marker", "p%2Fa-b%2F2");
  assert_page (untold, fixture, "p/a-b/1\np/a/x\np/a/z\n", FALSE);
  assert_page (untold, fixture, "p/a-b/2\n", FALSE);
  assert_page (untold, fixture, "p/a-b/3\np/b\n", TRUE);
  assert_asked (fixture, 4, "marker", "p%2Fa-b%2F1");
  assert_asked (fixture, 5, "marker", "p%2Fa-b%2F2");
}

/* What the profile says: the listing is of everything, and what is not asked for is left out. */
static void
test_order_and_pieces (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED "<NextMarker>h/1</NextMarker>", KEY ("a") KEY ("x") KEY ("h/1")) },
    { .body = PAGE (TRUNCATED "<NextMarker>z</NextMarker>", KEY ("h/2") KEY ("c") KEY ("z")) },
    { .body = PAGE (COMPLETE, KEY ("h0") KEY ("b") KEY ("d")) },
  };
  g_autoptr (Fixture) fixture = fixture_new ("seaweedfs", NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, "b");

  fixture_script (fixture, replies);
  kp_s3_listing_set_end (listing, "h0");
  kp_s3_listing_set_hidden (listing, "h/", "h/~");
  assert_page (listing, fixture, "", FALSE);
  assert_page (listing, fixture, "c\n", FALSE);
  assert_page (listing, fixture, "d\nh0\n", TRUE);
  g_assert_cmpstr (sent (fixture, 0)->query, ==, "prefix=");
  g_assert_cmpstr (sent (fixture, 1)->query, ==, "marker=h%2F1&prefix=");
  g_assert_cmpstr (sent (fixture, 2)->query, ==, "marker=z&prefix=");
}

/* Nobody has said so: the first key that is out of order shows it. Until then nothing was lost, and
 * the listing goes on where it is. */
static void
test_order_noticed (void)
{
  static const struct
  {
    const char *second;
    const char *expected;
  } cases[] = {
    { PAGE (TRUNCATED TOKEN ("u"), KEY ("a") KEY ("b")), "a\nb\n" },
    { PAGE (TRUNCATED TOKEN ("u"), KEY ("a") KEY ("z")), "a\nz\n" },
    { PAGE (TRUNCATED TOKEN ("u"), KEY ("e") KEY ("a") KEY ("f")), "a\ne\nf\n" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const FakeReply replies[] = {
        { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("c") KEY ("d")) },
        { .body = cases[i].second },
        { .body = PAGE (TRUNCATED TOKEN ("v"), KEY ("b1")) },
        { .body = PAGE (COMPLETE, KEY ("a1")) },
      };
      g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
      g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", NULL, NULL);

      fixture_script (fixture, replies);
      assert_page (listing, fixture, "c\nd\n", FALSE);
      g_assert_true (kp_s3_service_lists_in_order (fixture->service));
      assert_page (listing, fixture, cases[i].expected, FALSE);
      g_assert_true (kp_s3_listing_is_unordered (listing));
      g_assert_false (kp_s3_service_lists_in_order (fixture->service));
      assert_page (listing, fixture, "b1\n", FALSE);
      assert_page (listing, fixture, "a1\n", TRUE);
      assert_asked (fixture, 2, "continuation-token", "u");
      assert_asked (fixture, 3, "continuation-token", "v");
    }
}

/* Folders and objects come in two lists, each in order; so do versions and marks of deletion. */
static void
test_order_of_kinds (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("b") KEY ("d") PREFIX ("a/") PREFIX ("c/")) },
    { .body = PAGE (COMPLETE, PREFIX ("e/")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new ("", "/", NULL);

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "a/\nb\nc/\nd\n", FALSE);
  assert_page (listing, fixture, "e/\n", TRUE);
  g_assert_true (kp_s3_service_lists_in_order (fixture->service));
}

/* What was asked for is between two keys, but what is between them may be anywhere: from the start
 * again. And so with what was leapt over: from there. */
static void
test_order_noticed_in_a_piece (void)
{
  static const FakeReply replies[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("e") KEY ("f")) },
    { .body = PAGE (TRUNCATED TOKEN ("u"), KEY ("d") KEY ("g")) },
    { .body = PAGE (TRUNCATED TOKEN ("v"), KEY ("c1") KEY ("b")) },
    { .body = PAGE (COMPLETE, KEY ("e") KEY ("f") KEY ("d") KEY ("g")) },
  };
  static const FakeReply leaping[] = {
    { .body = PAGE (TRUNCATED TOKEN ("t"), KEY ("a") KEY ("h/1")) },
    { .body = PAGE (TRUNCATED TOKEN ("x"), KEY ("i") KEY ("b")) },
    { .body = PAGE (TRUNCATED TOKEN ("y"), KEY ("h/2") KEY ("c")) },
    { .body = PAGE (COMPLETE, KEY ("i") KEY ("b")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (Fixture) other = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) piece = kp_s3_listing_new ("", NULL, "c");
  g_autoptr (KpS3Listing) leap = kp_s3_listing_new ("", NULL, NULL);

  fixture_script (fixture, replies);
  assert_page (piece, fixture, "e\nf\n", FALSE);
  assert_page (piece, fixture, "", FALSE);
  assert_page (piece, fixture, "c1\n", FALSE);
  assert_page (piece, fixture, "d\ne\nf\ng\n", TRUE);
  assert_asked (fixture, 2, "start-after", NULL);
  assert_asked (fixture, 2, "continuation-token", NULL);

  fixture_script (other, leaping);
  kp_s3_listing_set_hidden (leap, "h/", "h/~");
  assert_page (leap, other, "a\n", FALSE);
  assert_page (leap, other, "", FALSE);
  assert_page (leap, other, "c\n", FALSE);
  assert_page (leap, other, "b\ni\n", TRUE);
  assert_asked (other, 1, "start-after", "h%2F~");
  assert_asked (other, 2, "continuation-token", "t");
}

static void
test_order_of_versions (void)
{
  static const FakeReply replies[] = {
    { .body = VERSIONS (TRUNCATED NEXT ("p/a/z", "v1"),
                        VERSION ("p/a/x", "v1") VERSION ("p/a/z", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("p/a-b", "v1"), VERSION ("p/a-b", "v1")) },
    { .body = VERSIONS (TRUNCATED NEXT ("p/a-b", "v0"), VERSION ("p/a-b", "v0")) },
    { .body = VERSIONS (COMPLETE, VERSION ("p/a", "v1")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new_of_versions ("p/");

  fixture_script (fixture, replies);
  assert_page (listing, fixture, "p/a/x\np/a/z\n", FALSE);
  assert_page (listing, fixture, "p/a-b\n", FALSE);
  assert_page (listing, fixture, "p/a-b\n", FALSE);
  assert_page (listing, fixture, "p/a\n", TRUE);
  assert_asked (fixture, 3, "key-marker", "p%2Fa-b");
  assert_asked (fixture, 3, "version-id-marker", "v0");
}

/* Of one key, all versions, be it on several pages; and nothing behind them. */
static void
test_end_of_versions (void)
{
  static const FakeReply replies[] = {
    { .body = VERSIONS (TRUNCATED NEXT ("a", "v2"), VERSION ("a", "v3") VERSION ("a", "v2")) },
    { .body = VERSIONS (TRUNCATED NEXT ("ab", "v1"), VERSION ("a", "v1") VERSION ("ab", "v1")) },
  };
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new_of_versions ("a");

  fixture_script (fixture, replies);
  kp_s3_listing_set_end (listing, "a");
  assert_page (listing, fixture, "a\na\n", FALSE);
  assert_page (listing, fixture, "a\n", TRUE);
}

/* Pages that go round in a circle, of any length, and pages without end. */
static void
test_order_without_end (void)
{
  static const char *const circle[] = {
    PAGE (TRUNCATED TOKEN ("t"), KEY ("c")),
    PAGE (TRUNCATED TOKEN ("u"), KEY ("b")),
    PAGE (TRUNCATED TOKEN ("v"), KEY ("a")),
  };
  FakeReply replies[4];
  g_autoptr (Fixture) fixture = fixture_new (NULL, NULL);
  g_autoptr (KpS3Listing) round = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (KpS3Listing) on = kp_s3_listing_new ("", NULL, NULL);
  g_autoptr (GError) error = NULL;
  int n_pages = 0;

  for (int i = 0; i < 4; i++)
    replies[i] = (FakeReply){ .body = circle[i % 3] };
  fixture_script (fixture, replies);
  for (int i = 0; i < 3; i++)
    g_assert_nonnull (kp_s3_listing_next_page (round, fixture->client, NULL, NULL));
  assert_error (round, fixture, KP_ERROR_SERVER);

  kp_s3_listing_set_unordered (on);
  while (error == NULL)
    {
      g_autofree char *text
          = g_strdup_printf (PAGE (TRUNCATED TOKEN ("%d"), KEY ("%d")), n_pages, n_pages);
      g_autoptr (GBytes) bytes = g_bytes_new_static (text, strlen (text));
      g_autoptr (KpS3Xml) xml = kp_s3_xml_parse (bytes, NULL);
      unsigned version = 2;
      g_autoptr (GPtrArray) page = kp_s3_listing_read_page (on, xml, &version, &error);
      g_assert_true ((page != NULL) == (error == NULL));
      n_pages++;
      g_assert_cmpint (n_pages, <=, 200001);
    }
  g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
  g_assert_cmpint (n_pages, ==, 200001);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/listing/one-page", test_one_page);
  g_test_add_func ("/s3/listing/empty-bucket", test_empty_bucket);
  g_test_add_func ("/s3/listing/pages", test_pages);
  g_test_add_func ("/s3/listing/empty-last-page", test_empty_last_page);
  g_test_add_func ("/s3/listing/encoded-keys", test_encoded_keys);
  g_test_add_func ("/s3/listing/no-url-encoding", test_no_url_encoding);
  g_test_add_func ("/s3/listing/fall-back", test_fall_back);
  g_test_add_func ("/s3/listing/answer-of-v1", test_answer_of_v1);
  g_test_add_func ("/s3/listing/empty-answer-of-v1", test_empty_answer_of_v1);
  g_test_add_func ("/s3/listing/v1-folders", test_v1_folders);
  g_test_add_func ("/s3/listing/neither-version", test_neither_version);
  g_test_add_func ("/s3/listing/no-fall-back", test_no_fall_back);
  g_test_add_func ("/s3/listing/no-sense", test_no_sense);
  g_test_add_func ("/s3/listing/no-listing", test_no_listing);
  g_test_add_func ("/s3/listing/again-after-error", test_again_after_error);
  g_test_add_func ("/s3/listing/end", test_end);
  g_test_add_func ("/s3/listing/start-after-ignored", test_start_after_ignored);
  g_test_add_func ("/s3/listing/start-after-ignored-by-v1", test_start_after_ignored_by_v1);
  g_test_add_func ("/s3/listing/hidden", test_hidden);
  g_test_add_func ("/s3/listing/hidden-without-start-after", test_hidden_without_start_after);
  g_test_add_func ("/s3/listing/empty-pages", test_empty_pages);
  g_test_add_func ("/s3/listing/empty-pages-without-end", test_empty_pages_without_end);
  g_test_add_func ("/s3/listing/nul-in-key", test_nul_in_key);
  g_test_add_func ("/s3/listing/keys-that-make-no-sense", test_keys_that_make_no_sense);
  g_test_add_func ("/s3/listing/message-is-plain-text", test_message_is_plain_text);
  g_test_add_func ("/s3/listing/absurd-sizes", test_absurd_sizes);
  g_test_add_func ("/s3/listing/versions", test_versions);
  g_test_add_func ("/s3/listing/versions/repeated", test_versions_that_repeat_themselves);
  g_test_add_func ("/s3/listing/versions/end", test_end_of_versions);
  g_test_add_func ("/s3/listing/order/folders", test_order_of_folders);
  g_test_add_func ("/s3/listing/order/pieces", test_order_and_pieces);
  g_test_add_func ("/s3/listing/order/noticed", test_order_noticed);
  g_test_add_func ("/s3/listing/order/kinds", test_order_of_kinds);
  g_test_add_func ("/s3/listing/order/noticed-in-a-piece", test_order_noticed_in_a_piece);
  g_test_add_func ("/s3/listing/order/versions", test_order_of_versions);
  g_test_add_func ("/s3/listing/order/without-end", test_order_without_end);
  return g_test_run ();
}

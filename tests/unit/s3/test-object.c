/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-object.h"

static void
test_etag (void)
{
  static const struct
  {
    const char *etag;
    const char *plain;
  } cases[] = {
    { NULL, "" },
    { "", "" },
    { "\"\"", "" },
    { "\"9b2cf535f27731c974343645a3985328\"", "9b2cf535f27731c974343645a3985328" },
    { "9b2cf535f27731c974343645a3985328", "9b2cf535f27731c974343645a3985328" },
    { "\"3858f62230ac3c915f300c664312c11f-9\"", "3858f62230ac3c915f300c664312c11f-9" },
    { "W/\"abc\"", "abc" },
    { "W/abc", "abc" },
    /* not ours to interpret */
    { "\"", "\"" },
    { "\"abc", "\"abc" },
    { "abc\"", "abc\"" },
    { "\"a\"b\"", "a\"b" },
    { "ABC", "ABC" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *plain = kp_s3_etag_normalise (cases[i].etag);
      g_assert_cmpstr (plain, ==, cases[i].plain);
    }
}

static void
test_header_list (void)
{
  g_autoptr (KpS3HeaderList) list = kp_s3_header_list_new ();
  char name[] = "x-amz-meta-a";
  char value[] = "1";

  g_assert_cmpuint (kp_s3_header_list_get_length (list), ==, 0);
  kp_s3_header_list_add (list, name, value);
  kp_s3_header_list_add (list, "x-amz-storage-class", NULL);
  kp_s3_header_list_add (list, "Content-Type", "");
  /* The list has copies. */
  name[0] = 'y';
  value[0] = '2';

  g_assert_cmpuint (kp_s3_header_list_get_length (list), ==, 2);
  g_assert_cmpstr (kp_s3_header_list_get (list, 0)->name, ==, "x-amz-meta-a");
  g_assert_cmpstr (kp_s3_header_list_get (list, 0)->value, ==, "1");
  g_assert_cmpstr (kp_s3_header_list_get (list, 1)->name, ==, "content-type");
  g_assert_cmpstr (kp_s3_header_list_get (list, 1)->value, ==, "");
}

typedef SoupMessageHeaders Headers;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Headers, soup_message_headers_unref)

static Headers *
make_headers (const char *first, ...)
{
  Headers *headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
  va_list arguments;

  va_start (arguments, first);
  for (const char *name = first; name != NULL; name = va_arg (arguments, const char *))
    soup_message_headers_append (headers, name, va_arg (arguments, const char *));
  va_end (arguments);
  return headers;
}

static void
test_head (void)
{
  g_autoptr (Headers) headers = make_headers (
      "Content-Length", "434234", "ETag", "\"d41d8cd98f00b204e9800998ecf8427e\"", "Last-Modified",
      "Wed, 25 Nov 2009 12:00:00 GMT", "Content-Type", "text/plain; charset=utf-8",
      "x-amz-storage-class", "GLACIER_IR", "X-Amz-Version-Id", "3HL4kqCxf3vjVBH40Nrjfkd",
      "x-amz-meta-mtime", "1700000000.123456789", "X-Amz-Meta-Mode", "33188", "X-AMZ-META-Empty",
      "", "x-amz-request-id", "318BC8BC143432E5", NULL);
  g_autoptr (KpS3Object) object = kp_s3_object_new_from_headers (headers);

  g_assert_cmpuint (object->size, ==, 434234);
  g_assert_cmpstr (object->etag, ==, "d41d8cd98f00b204e9800998ecf8427e");
  g_assert_cmpint (object->last_modified, ==, 1259150400);
  g_assert_cmpstr (object->content_type, ==, "text/plain; charset=utf-8");
  g_assert_cmpstr (object->storage_class, ==, "GLACIER_IR");
  g_assert_cmpstr (object->version_id, ==, "3HL4kqCxf3vjVBH40Nrjfkd");
  /* Servers write the names as they like; ours are lower case. */
  g_assert_cmpstr (kp_s3_object_get_metadata (object, "mtime"), ==, "1700000000.123456789");
  g_assert_cmpstr (kp_s3_object_get_metadata (object, "mode"), ==, "33188");
  g_assert_cmpstr (kp_s3_object_get_metadata (object, "empty"), ==, "");
  g_assert_null (kp_s3_object_get_metadata (object, "uid"));
  g_assert_null (kp_s3_object_get_metadata (object, "request-id"));
  g_assert_cmpuint (g_hash_table_size (object->metadata), ==, 3);
}

static void
test_nothing_said (void)
{
  g_autoptr (Headers) headers = make_headers (NULL, NULL);
  g_autoptr (KpS3Object) object = kp_s3_object_new_from_headers (headers);

  g_assert_cmpuint (object->size, ==, 0);
  g_assert_cmpstr (object->etag, ==, "");
  g_assert_cmpint (object->last_modified, ==, 0);
  g_assert_null (object->content_type);
  g_assert_null (object->storage_class);
  g_assert_null (object->version_id);
  g_assert_cmpuint (g_hash_table_size (object->metadata), ==, 0);
}

static void
test_size (void)
{
  static const struct
  {
    const char *content_length;
    const char *content_range;
    guint64 size;
  } cases[] = {
    { "0", NULL, 0 },
    { "5497558138880", NULL, 5497558138880 },
    /* Of a range: the object's size, not that of the range. */
    { "10", "bytes 0-9/443", 443 },
    { "1", "bytes 442-442/443", 443 },
    { "10", "bytes 5497558138870-5497558138879/5497558138880", 5497558138880 },
    /* The server does not say, or says nothing of use. */
    { "10", "bytes 0-9/*", 10 },
    { "10", "nonsense", 10 },
    { "-1", NULL, 0 },
    { "many", NULL, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Headers) headers = make_headers ("Content-Length", cases[i].content_length, NULL);
      if (cases[i].content_range != NULL)
        soup_message_headers_append (headers, "Content-Range", cases[i].content_range);
      g_autoptr (KpS3Object) object = kp_s3_object_new_from_headers (headers);

      g_test_message ("%s, %s", cases[i].content_length, cases[i].content_range);
      g_assert_cmpuint (object->size, ==, cases[i].size);
    }
}

static void
test_bad_date (void)
{
  static const char *const dates[] = { "", "yesterday", "0", "Wed, 99 Nov 2009 12:00:00 GMT" };

  for (gsize i = 0; i < G_N_ELEMENTS (dates); i++)
    {
      g_autoptr (Headers) headers = make_headers ("Last-Modified", dates[i], NULL);
      g_autoptr (KpS3Object) object = kp_s3_object_new_from_headers (headers);
      g_assert_cmpint (object->last_modified, ==, 0);
    }
}

static void
test_entry (void)
{
  g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();

  g_assert_null (entry->key);
  g_assert_false (entry->is_latest);
  g_assert_false (entry->is_prefix);
  g_assert_false (entry->is_delete_marker);
  entry->key = g_strdup ("key");
  entry->etag = g_strdup ("etag");
  entry->storage_class = g_strdup ("STANDARD");
  entry->version_id = g_strdup ("id");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/object/etag", test_etag);
  g_test_add_func ("/s3/object/header-list", test_header_list);
  g_test_add_func ("/s3/object/head", test_head);
  g_test_add_func ("/s3/object/nothing-said", test_nothing_said);
  g_test_add_func ("/s3/object/size", test_size);
  g_test_add_func ("/s3/object/bad-date", test_bad_date);
  g_test_add_func ("/s3/object/entry", test_entry);
  return g_test_run ();
}

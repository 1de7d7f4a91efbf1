/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-s3-xml.h"

#include <string.h>

#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

/* One document of each kind, as the API reference describes them. */
static const char list_v2[]
    = DECLARATION "<ListBucketResult " XMLNS ">"
                  "<Name>bucket</Name><Prefix>photos/</Prefix><StartAfter></StartAfter>"
                  "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="
                  "</NextContinuationToken>"
                  "<KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>"
                  "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                  "<Contents><Key>photos/a%2Bb.jpg</Key>"
                  "<LastModified>2026-11-22T20:39:10.000Z</LastModified>"
                  "<ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71&quot;</ETag>"
                  "<Size>142863</Size>"
                  "<Owner><ID>canonical-user-id</ID><DisplayName>someone</DisplayName></Owner>"
                  "<StorageClass>STANDARD</StorageClass></Contents>\n"
                  "<Contents>\n\t<Key>photos/b</Key>\n\t<Size>0</Size>\n</Contents>"
                  "<CommonPrefixes><Prefix>photos/2026/</Prefix></CommonPrefixes>"
                  "</ListBucketResult>";

static const char list_v1[]
    = DECLARATION "<ListBucketResult " XMLNS ">"
                  "<Name>bucket</Name><Prefix/><Marker/><NextMarker>b</NextMarker>"
                  "<MaxKeys>1</MaxKeys><IsTruncated>true</IsTruncated>"
                  "<Contents><Key>b</Key><Size>5</Size></Contents></ListBucketResult>";

static const char error_document[]
    = DECLARATION "<Error><Code>NoSuchKey</Code><Message>The resource you requested does not exist"
                  "</Message><Resource>/bucket/a&amp;b</Resource>"
                  "<RequestId>4442587FB7D0A2F9</RequestId></Error>";

static const char create_upload[]
    = DECLARATION "<InitiateMultipartUploadResult " XMLNS "><Bucket>bucket</Bucket><Key>k</Key>"
                  "<UploadId>VXBsb2FkIElE</UploadId></InitiateMultipartUploadResult>";

static const char complete_upload[]
    = DECLARATION "   \n  <CompleteMultipartUploadResult " XMLNS ">"
                  "<Location>http://bucket.s3.amazonaws.com/k</Location><Bucket>bucket</Bucket>"
                  "<Key>k</Key><ETag>\"3858f62230ac3c915f300c664312c11f-9\"</ETag>"
                  "</CompleteMultipartUploadResult>";

static const char copy_object[]
    = DECLARATION "<CopyObjectResult " XMLNS "><LastModified>2026-10-12T17:50:30.000Z"
                  "</LastModified><ETag>&#34;9b2cf535f27731c974343645a3985328&#34;</ETag>"
                  "</CopyObjectResult>";

static const char delete_result[]
    = DECLARATION "<DeleteResult " XMLNS "><Deleted><Key>a</Key></Deleted>"
                  "<Error><Key>b</Key><Code>AccessDenied</Code><Message>Access Denied</Message>"
                  "</Error></DeleteResult>";

static const char list_parts[]
    = DECLARATION "<ListPartsResult " XMLNS "><Bucket>bucket</Bucket><Key>k</Key>"
                  "<UploadId>VXBsb2FkIElE</UploadId>"
                  "<Initiator><ID>arn:aws:iam::1:user/x</ID></Initiator>"
                  "<Owner><ID>75aa57f09aa0c8ca</ID></Owner><StorageClass>STANDARD</StorageClass>"
                  "<PartNumberMarker>1</PartNumberMarker>"
                  "<NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>2</MaxParts>"
                  "<IsTruncated>true</IsTruncated>"
                  "<Part><PartNumber>2</PartNumber><ETag>\"7778aef8\"</ETag><Size>10485760</Size>"
                  "</Part><Part><PartNumber>3</PartNumber><ETag>\"aaaa18db\"</ETag>"
                  "<Size>10485760</Size></Part></ListPartsResult>";

static const char versioning[]
    = DECLARATION "<VersioningConfiguration " XMLNS "><Status>Enabled</Status>"
                  "</VersioningConfiguration>";

static const char versioning_never_set[] = "<VersioningConfiguration " XMLNS "/>";

static const char *const documents[] = {
  list_v2,     list_v1,       error_document, create_upload, complete_upload,
  copy_object, delete_result, list_parts,     versioning,    versioning_never_set,
};

/* Of exactly this length in memory, so that a sanitizer sees a reader that goes too far. */
static KpS3Xml *
parse_bytes (const char *text, gsize length, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (text, length);

  return kp_s3_xml_parse (bytes, error);
}

static KpS3Xml *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  KpS3Xml *xml = parse_bytes (text, strlen (text), &error);

  g_assert_no_error (error);
  g_assert_nonnull (xml);
  return xml;
}

static void
assert_refused (const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;

  if (parse_bytes (text, length, &error) != NULL)
    g_error ("was taken for a document: “%.*s”", (int) length, text);
  g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
}

static void
test_listing (void)
{
  g_autoptr (KpS3Xml) xml = parse (list_v2);
  const KpS3Record *record;

  g_assert_cmpstr (kp_s3_xml_get_root (xml), ==, "ListBucketResult");
  g_assert_cmpstr (kp_s3_xml_get (xml, "Name"), ==, "bucket");
  g_assert_cmpstr (kp_s3_xml_get (xml, "StartAfter"), ==, "");
  g_assert_cmpstr (kp_s3_xml_get (xml, "IsTruncated"), ==, "true");
  g_assert_cmpstr (kp_s3_xml_get (xml, "NextContinuationToken"), ==,
                   "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
  /* Fields of records are not fields of the document. */
  g_assert_null (kp_s3_xml_get (xml, "Key"));
  g_assert_null (kp_s3_xml_get (xml, "Contents"));
  g_assert_null (kp_s3_xml_get (xml, "Absent"));

  g_assert_cmpuint (kp_s3_xml_get_n_records (xml), ==, 3);
  record = kp_s3_xml_get_record (xml, 0);
  g_assert_cmpstr (kp_s3_record_get_name (record), ==, "Contents");
  g_assert_cmpstr (kp_s3_record_get (record, "Key"), ==, "photos/a%2Bb.jpg");
  g_assert_cmpstr (kp_s3_record_get (record, "ETag"), ==, "\"70ee1738b6b21e2c8a43f3a5ab0eee71\"");
  g_assert_cmpstr (kp_s3_record_get (record, "Size"), ==, "142863");
  g_assert_cmpstr (kp_s3_record_get (record, "StorageClass"), ==, "STANDARD");
  /* Deeper than a record: passed over, and nobody's field. */
  g_assert_null (kp_s3_record_get (record, "ID"));
  g_assert_null (kp_s3_record_get (record, "DisplayName"));

  record = kp_s3_xml_get_record (xml, 1);
  g_assert_cmpstr (kp_s3_record_get (record, "Key"), ==, "photos/b");
  g_assert_cmpstr (kp_s3_record_get (record, "Size"), ==, "0");
  g_assert_null (kp_s3_record_get (record, "ETag"));

  record = kp_s3_xml_get_record (xml, 2);
  g_assert_cmpstr (kp_s3_record_get_name (record), ==, "CommonPrefixes");
  g_assert_cmpstr (kp_s3_record_get (record, "Prefix"), ==, "photos/2026/");
}

static void
test_others (void)
{
  g_autoptr (KpS3Xml) failure = parse (error_document);
  g_assert_cmpstr (kp_s3_xml_get_root (failure), ==, "Error");
  g_assert_cmpstr (kp_s3_xml_get (failure, "Code"), ==, "NoSuchKey");
  g_assert_cmpstr (kp_s3_xml_get (failure, "Resource"), ==, "/bucket/a&b");
  g_assert_cmpuint (kp_s3_xml_get_n_records (failure), ==, 0);

  g_autoptr (KpS3Xml) created = parse (create_upload);
  g_assert_cmpstr (kp_s3_xml_get (created, "UploadId"), ==, "VXBsb2FkIElE");

  g_autoptr (KpS3Xml) completed = parse (complete_upload);
  g_assert_cmpstr (kp_s3_xml_get_root (completed), ==, "CompleteMultipartUploadResult");
  g_assert_cmpstr (kp_s3_xml_get (completed, "ETag"), ==, "\"3858f62230ac3c915f300c664312c11f-9\"");

  g_autoptr (KpS3Xml) copied = parse (copy_object);
  g_assert_cmpstr (kp_s3_xml_get (copied, "ETag"), ==, "\"9b2cf535f27731c974343645a3985328\"");

  g_autoptr (KpS3Xml) deleted = parse (delete_result);
  g_assert_cmpstr (kp_s3_xml_get_root (deleted), ==, "DeleteResult");
  g_assert_cmpuint (kp_s3_xml_get_n_records (deleted), ==, 2);
  g_assert_cmpstr (kp_s3_record_get_name (kp_s3_xml_get_record (deleted, 1)), ==, "Error");
  g_assert_cmpstr (kp_s3_record_get (kp_s3_xml_get_record (deleted, 1), "Code"), ==,
                   "AccessDenied");

  g_autoptr (KpS3Xml) parts = parse (list_parts);
  g_assert_cmpstr (kp_s3_xml_get (parts, "NextPartNumberMarker"), ==, "3");
  g_assert_cmpuint (kp_s3_xml_get_n_records (parts), ==, 4);
  g_assert_cmpstr (kp_s3_record_get (kp_s3_xml_get_record (parts, 3), "PartNumber"), ==, "3");

  g_autoptr (KpS3Xml) enabled = parse (versioning);
  g_assert_cmpstr (kp_s3_xml_get (enabled, "Status"), ==, "Enabled");
  g_autoptr (KpS3Xml) never_set = parse (versioning_never_set);
  g_assert_cmpstr (kp_s3_xml_get_root (never_set), ==, "VersioningConfiguration");
  g_assert_null (kp_s3_xml_get (never_set, "Status"));
}

/* libsoup takes a chunked reply that was cut short for a whole one: only the end tag tells. */
static void
test_cut (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (documents); i++)
    for (gsize length = 0; length < strlen (documents[i]); length++)
      assert_refused (documents[i], length);
}

static void
test_damaged (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (documents); i++)
    for (int round = 0; round < 3000; round++)
      {
        g_autofree char *text = g_strdup (documents[i]);
        gsize length = strlen (text);

        for (int n = g_test_rand_int_range (1, 4); n > 0; n--)
          text[g_test_rand_int_range (0, (gint32) length)] = (char) g_test_rand_int_range (0, 256);
        g_autoptr (GError) error = NULL;
        g_autoptr (KpS3Xml) xml = parse_bytes (text, length, &error);
        if (xml == NULL)
          {
            g_assert_error (error, KP_ERROR, KP_ERROR_SERVER);
            continue;
          }
        g_assert_no_error (error);
        g_assert_nonnull (kp_s3_xml_get_root (xml));
        for (guint j = 0; j < kp_s3_xml_get_n_records (xml); j++)
          {
            const KpS3Record *record = kp_s3_xml_get_record (xml, j);
            g_assert_nonnull (kp_s3_record_get_name (record));
            kp_s3_record_get (record, "Key");
          }
      }
}

static void
test_not_xml (void)
{
  static const char *const texts[] = {
    "",
    " ",
    " \n\t ",
    "hello",
    "{\"error\": \"not S3\"}",
    "<",
    "<>",
    "<a",
    "<a>",
    "</a>",
    "<a></b>",
    "<a><b></a></b>",
    "<a>&unknown;</a>",
    "<a>&#xFFFFFFFF;</a>",
    "<a>&</a>",
    "<a>a < b</a>",
    "<a b></a>",
    "<a b=c></a>",
    "<a>\xFF</a>",
    "<a>caf\xE9</a>",
    "<\xFF/>",
    "<?xml version=\"1.0\"?>",
    "<?xml version=\"1.0\"?>  \n ",
    "<!-- nothing -->",
    "<!DOCTYPE html><html><head><meta charset=utf-8><title>Login</title></head>",
    "text <a/>",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_refused (texts[i], strlen (texts[i]));
  assert_refused ("\0<a></a>", 1 + strlen ("<a></a>"));
  assert_refused ("<a></a>\0", strlen ("<a></a>") + 1);
}

static void
test_text (void)
{
  g_autoptr (KpS3Xml) xml = parse ("<R><A>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;&#xE9;&#13;&#10;</A>"
                                   "<B><![CDATA[<a> & ]] b]]></B>"
                                   "<C>one<!-- and a half --><![CDATA[ two]]> three</C>"
                                   "<D> kept as it is\n</D>"
                                   "<E/>"
                                   "<F attribute=\"x\">\xE2\x82\xAC</F>"
                                   "<A>second</A></R>");

  g_assert_cmpstr (kp_s3_xml_get (xml, "A"), ==, "<&>\"'AB\xC3\xA9\r\n");
  g_assert_cmpstr (kp_s3_xml_get (xml, "B"), ==, "<a> & ]] b");
  g_assert_cmpstr (kp_s3_xml_get (xml, "C"), ==, "one two three");
  g_assert_cmpstr (kp_s3_xml_get (xml, "D"), ==, " kept as it is\n");
  g_assert_cmpstr (kp_s3_xml_get (xml, "E"), ==, "");
  g_assert_cmpstr (kp_s3_xml_get (xml, "F"), ==, "\xE2\x82\xAC");
}

/* @depth elements within each other, with a text in the innermost. */
static char *
nested (guint depth)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < depth; i++)
    g_string_append (text, "<a>");
  g_string_append (text, "x");
  for (guint i = 0; i < depth; i++)
    g_string_append (text, "</a>");
  return g_string_free (text, FALSE);
}

static void
test_depth (void)
{
  static const guint too_deep[] = { 17, 18, 1000, 100000 };

  for (guint depth = 1; depth <= 16; depth++)
    {
      g_autofree char *text = nested (depth);
      g_autoptr (KpS3Xml) xml = parse (text);

      g_assert_cmpstr (kp_s3_xml_get (xml, "a"), ==, depth == 2 ? "x" : NULL);
      g_assert_cmpuint (kp_s3_xml_get_n_records (xml), ==, depth >= 3);
      if (depth >= 3)
        g_assert_cmpstr (kp_s3_record_get (kp_s3_xml_get_record (xml, 0), "a"), ==,
                         depth == 3 ? "x" : "");
    }
  for (gsize i = 0; i < G_N_ELEMENTS (too_deep); i++)
    {
      g_autofree char *text = nested (too_deep[i]);
      assert_refused (text, strlen (text));
    }
}

/* What is passed over must not spill into what comes behind it. */
static void
test_deeper_is_passed_over (void)
{
  g_autoptr (KpS3Xml) xml
      = parse ("<R><Contents><Owner>o<ID>id</ID><Key>not this</Key>p</Owner><Key>this</Key>"
               "<Grant><Grantee><Key>nor this</Key></Grantee></Grant><Size>1</Size></Contents>"
               "<After>yes</After></R>");
  const KpS3Record *record = kp_s3_xml_get_record (xml, 0);

  g_assert_cmpuint (kp_s3_xml_get_n_records (xml), ==, 1);
  g_assert_cmpstr (kp_s3_record_get (record, "Key"), ==, "this");
  g_assert_cmpstr (kp_s3_record_get (record, "Size"), ==, "1");
  g_assert_null (kp_s3_record_get (record, "ID"));
  g_assert_null (kp_s3_xml_get (xml, "Key"));
  g_assert_cmpstr (kp_s3_xml_get (xml, "After"), ==, "yes");
}

static void
test_unknown_elements (void)
{
  g_autoptr (KpS3Xml) xml
      = parse ("<R xmlns:x=\"http://example.com/\"><x:New>1</x:New><Contents x:a=\"b\">"
               "<x:Key>other</x:Key><Key>mine</Key><RestoreStatus><IsRestoreInProgress>false"
               "</IsRestoreInProgress></RestoreStatus></Contents><Contents/><?pi data?>"
               "<IsTruncated>false</IsTruncated></R>");

  g_assert_cmpuint (kp_s3_xml_get_n_records (xml), ==, 1);
  g_assert_cmpstr (kp_s3_record_get (kp_s3_xml_get_record (xml, 0), "Key"), ==, "mine");
  g_assert_cmpstr (kp_s3_xml_get (xml, "IsTruncated"), ==, "false");
}

static void
test_huge_field (void)
{
  const gsize length = 8 * 1024 * 1024;
  g_autofree char *filler = g_strnfill (length, 'x');
  g_autofree char *text = g_strconcat ("<R><A>", filler, "&amp;</A><B>b</B></R>", NULL);
  g_autoptr (KpS3Xml) xml = parse (text);

  g_assert_cmpuint (strlen (kp_s3_xml_get (xml, "A")), ==, length + 1);
  g_assert_cmpint (kp_s3_xml_get (xml, "A")[length], ==, '&');
  g_assert_cmpstr (kp_s3_xml_get (xml, "B"), ==, "b");
  assert_refused (text, strlen (text) - strlen ("</B></R>"));
}

static void
test_many_records (void)
{
  g_autoptr (GString) text = g_string_new ("<R>");

  for (int i = 0; i < 50000; i++)
    g_string_append_printf (text, "<Contents><Key>k%05d</Key></Contents>", i);
  g_string_append (text, "</R>");

  g_autoptr (KpS3Xml) xml = parse (text->str);
  g_assert_cmpuint (kp_s3_xml_get_n_records (xml), ==, 50000);
  g_assert_cmpstr (kp_s3_record_get (kp_s3_xml_get_record (xml, 49999), "Key"), ==, "k49999");
}

static char *
repeated (const char *what, guint times)
{
  GString *text = g_string_new ("<R>");

  for (guint i = 0; i < times; i++)
    g_string_append (text, what);
  g_string_append (text, "</R>");
  return g_string_free (text, FALSE);
}

/* Each costs many times the memory that it takes in the document. */
static void
test_too_many_elements (void)
{
  static const char *const elements[] = { "<a/>", "<a><b/></a>", "<a><b><c/></b></a>" };

  for (guint i = 0; i < G_N_ELEMENTS (elements); i++)
    {
      guint most = (200000 - 1) / (i + 1);
      g_autofree char *text = repeated (elements[i], most);
      g_autofree char *longer = repeated (elements[i], most + 1);
      g_autoptr (KpS3Xml) xml = parse (text);

      assert_refused (longer, strlen (longer));
    }
}

/* "Billion laughs": entities of entities. GMarkup knows none but XML's own five. */
static void
test_entities (void)
{
  static const char text[] = "<!DOCTYPE R [<!ENTITY a \"xxxxxxxxxx\"><!ENTITY b \"&a;&a;&a;&a;\">"
                             "<!ENTITY c \"&b;&b;&b;&b;\">]><R><A>&c;</A></R>";
  static const char file[] = "<!DOCTYPE R [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"
                             "<R><A>&a;</A></R>";

  assert_refused (text, strlen (text));
  assert_refused (file, strlen (file));
}

/* XML has no NUL, and what stands behind one must not get lost: it would leave another key. */
static void
test_nul (void)
{
  static const char text[] = "<R><Contents><Key>photos\0/2026</Key></Contents></R>";

  assert_refused (text, sizeof text - 1);
}

/* "One closed document" means one: a second root would take the place of the first. */
static void
test_two_roots (void)
{
  static const char *const texts[] = {
    "<A><x>1</x></A><B/>",
    "<A/><A/>",
    "<CopyObjectResult><ETag>e</ETag></CopyObjectResult><Error><Code>c</Code></Error>",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_refused (texts[i], strlen (texts[i]));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/xml/listing", test_listing);
  g_test_add_func ("/s3/xml/others", test_others);
  g_test_add_func ("/s3/xml/cut", test_cut);
  g_test_add_func ("/s3/xml/damaged", test_damaged);
  g_test_add_func ("/s3/xml/not-xml", test_not_xml);
  g_test_add_func ("/s3/xml/text", test_text);
  g_test_add_func ("/s3/xml/depth", test_depth);
  g_test_add_func ("/s3/xml/deeper-is-passed-over", test_deeper_is_passed_over);
  g_test_add_func ("/s3/xml/unknown-elements", test_unknown_elements);
  g_test_add_func ("/s3/xml/huge-field", test_huge_field);
  g_test_add_func ("/s3/xml/many-records", test_many_records);
  g_test_add_func ("/s3/xml/too-many-elements", test_too_many_elements);
  g_test_add_func ("/s3/xml/entities", test_entities);
  g_test_add_func ("/s3/xml/nul", test_nul);
  g_test_add_func ("/s3/xml/two-roots", test_two_roots);
  return g_test_run ();
}

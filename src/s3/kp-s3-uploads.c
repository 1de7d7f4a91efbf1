/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-uploads.h"

#include "kp-error.h"
#include "kp-s3-request.h"

/* A listing of 1,000 keys of 1,024 bytes, each percent-encoded, with its other fields. */
#define LISTING_LIMIT (8 * 1024 * 1024)

/* Part numbers are 1 … 10,000. */
#define MAX_PARTS 10000

/* Of uploads under one prefix; ours are few. */
#define MAX_UPLOAD_PAGES 1000

void
kp_s3_part_free (KpS3Part *part)
{
  g_free (part->etag);
  g_free (part);
}

void
kp_s3_upload_free (KpS3Upload *upload)
{
  g_free (upload->key);
  g_free (upload->upload_id);
  g_free (upload);
}

static guint64
parse_number (const char *text)
{
  guint64 number;

  return text != NULL && g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT64, &number, NULL)
             ? number
             : 0;
}

/* "2026-11-22T20:39:10.000Z" */
static gint64
parse_time (const char *text)
{
  g_autoptr (GDateTime) time = text != NULL ? g_date_time_new_from_iso8601 (text, NULL) : NULL;

  return time != NULL ? g_date_time_to_unix (time) : 0;
}

static gboolean
is_truncated (KpS3Xml *xml)
{
  return g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") == 0;
}

/* A server that says the same again, or for ever that there is more, is not asked for ever. */
static gboolean
fail_listing (KpError code, GError **error)
{
  g_set_error_literal (error, KP_ERROR, (int) code,
                       "The server's listing repeats itself or does not say where to go on");
  return FALSE;
}

static int
compare_parts (gconstpointer a, gconstpointer b)
{
  unsigned number_a = (*(KpS3Part *const *) a)->number;
  unsigned number_b = (*(KpS3Part *const *) b)->number;

  return (number_a > number_b) - (number_a < number_b);
}

/* Some servers keep what was sent again beside what came first, and list both. Nobody knows which
 * of them would count, so neither is there. */
static void
drop_twins (GPtrArray *parts, guint first)
{
  for (guint i = first; i < parts->len;)
    {
      guint end = i + 1;
      while (end < parts->len && compare_parts (&parts->pdata[i], &parts->pdata[end]) == 0)
        end++;
      if (end > i + 1)
        g_ptr_array_remove_range (parts, i, end - i);
      else
        i = end;
    }
}

/**
 * kp_s3_parts_read_page:
 * @parts: (element-type KpS3Part): of the pages before, by number; gets those of this one
 * @marker: (inout) (nullable): the highest number so far, behind which the next page starts
 * @more: (out): whether there is one
 * @error: %KP_ERROR_CORRUPT when the page makes no sense: unlike %KP_ERROR_SERVER, it will make
 * none the next time either
 *
 * Takes in a page of ListParts.
 */
gboolean
kp_s3_parts_read_page (GPtrArray *parts,
                       KpS3Xml *xml,
                       char **marker,
                       gboolean *more,
                       GError **error)
{
  guint before = parts->len;
  unsigned reached = (unsigned) parse_number (*marker);
  unsigned last = reached;

  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      if (!g_str_equal (kp_s3_record_get_name (record), "Part"))
        continue;
      KpS3Part *part = g_new0 (KpS3Part, 1);
      part->number
          = (unsigned) MIN (parse_number (kp_s3_record_get (record, "PartNumber")), MAX_PARTS + 1);
      part->size = parse_number (kp_s3_record_get (record, "Size"));
      part->etag = kp_s3_etag_normalise (kp_s3_record_get (record, "ETag"));
      g_ptr_array_add (parts, part);
    }
  *more = is_truncated (xml);
  if (*more && parts->len == before)
    return fail_listing (KP_ERROR_CORRUPT, error);
  if (parts->len > before)
    qsort (parts->pdata + before, parts->len - before, sizeof (void *), compare_parts);
  for (guint i = before; i < parts->len; i++)
    {
      unsigned number = ((KpS3Part *) g_ptr_array_index (parts, i))->number;
      if (number <= reached || number > MAX_PARTS)
        return fail_listing (KP_ERROR_CORRUPT, error);
      last = number;
    }
  drop_twins (parts, before);
  g_free (*marker);
  *marker = g_strdup_printf ("%u", last);
  return TRUE;
}

/**
 * kp_s3_client_list_parts:
 * @error: %KP_ERROR_NOT_FOUND when the upload is no more; %KP_ERROR_CORRUPT when the list makes no
 *   sense; others of kp_s3_request_send()
 *
 * Returns: (transfer full) (element-type KpS3Part): the parts that the server has, by number
 */
GPtrArray *
kp_s3_client_list_parts (KpS3Client *client,
                         const char *key,
                         const char *upload_id,
                         GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_part_free);
  g_autofree char *marker = NULL;
  gboolean more = TRUE;

  while (more)
    {
      g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", key);
      kp_s3_request_add_query (request, "uploadId", upload_id);
      kp_s3_request_add_query (request, "part-number-marker", marker);
      kp_s3_request_set_reply_limit (request, LISTING_LIMIT);
      g_autoptr (KpS3Xml) xml
          = kp_s3_request_send_for_document (request, client, cancellable, error);
      if (xml == NULL || !kp_s3_parts_read_page (parts, xml, &marker, &more, error))
        return NULL;
    }
  return g_steal_pointer (&parts);
}

/**
 * kp_s3_upload_pages_new:
 * @prefix: only uploads for keys that start with it
 */
KpS3UploadPages *
kp_s3_upload_pages_new (const char *prefix)
{
  KpS3UploadPages *pages = g_new0 (KpS3UploadPages, 1);

  pages->prefix = g_strdup (prefix);
  pages->uploads = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_upload_free);
  pages->ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  pages->more = TRUE;
  return pages;
}

void
kp_s3_upload_pages_free (KpS3UploadPages *pages)
{
  g_free (pages->prefix);
  g_ptr_array_unref (pages->uploads);
  g_hash_table_unref (pages->ids);
  g_free (pages->key_marker);
  g_free (pages->id_marker);
  g_free (pages);
}

/**
 * kp_s3_upload_pages_read:
 * @error: %KP_ERROR_SERVER when the page makes no sense
 *
 * Takes in a page of ListMultipartUploads. Uploads that were not asked for are left out: whoever
 * lists them ends them.
 */
gboolean
kp_s3_upload_pages_read (KpS3UploadPages *pages, KpS3Xml *xml, GError **error)
{
  guint known = g_hash_table_size (pages->ids);
  gboolean repeats = FALSE;

  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      const char *key = kp_s3_record_get (record, "Key");
      const char *id = kp_s3_record_get (record, "UploadId");
      if (!g_str_equal (kp_s3_record_get_name (record), "Upload") || key == NULL || id == NULL)
        continue;
      repeats = repeats || !g_hash_table_add (pages->ids, g_strdup (id));
      if (!g_str_has_prefix (key, pages->prefix))
        continue;
      KpS3Upload *upload = g_new0 (KpS3Upload, 1);
      upload->key = g_strdup (key);
      upload->upload_id = g_strdup (id);
      upload->initiated = parse_time (kp_s3_record_get (record, "Initiated"));
      g_ptr_array_add (pages->uploads, upload);
    }
  pages->more = is_truncated (xml);
  const char *next_key = kp_s3_xml_get (xml, "NextKeyMarker");
  if (repeats
      || (pages->more
          && (g_hash_table_size (pages->ids) == known || next_key == NULL
              || ++pages->n_pages > MAX_UPLOAD_PAGES)))
    return fail_listing (KP_ERROR_SERVER, error);
  g_free (pages->key_marker);
  pages->key_marker = g_strdup (next_key);
  g_free (pages->id_marker);
  pages->id_marker = g_strdup (kp_s3_xml_get (xml, "NextUploadIdMarker"));
  return TRUE;
}

/**
 * kp_s3_client_list_uploads:
 * @prefix: only uploads for keys that start with it
 *
 * ListMultipartUploads.
 *
 * Returns: (transfer full) (element-type KpS3Upload): uploads that were begun and not ended, by
 *   anybody
 */
GPtrArray *
kp_s3_client_list_uploads (KpS3Client *client,
                           const char *prefix,
                           GCancellable *cancellable,
                           GError **error)
{
  g_autoptr (KpS3UploadPages) pages = kp_s3_upload_pages_new (prefix);

  while (pages->more)
    {
      g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", NULL);
      kp_s3_request_add_query (request, "uploads", "");
      kp_s3_request_add_query (request, "prefix", prefix);
      kp_s3_request_add_query (request, "key-marker", pages->key_marker);
      kp_s3_request_add_query (request, "upload-id-marker", pages->id_marker);
      kp_s3_request_set_reply_limit (request, LISTING_LIMIT);
      g_autoptr (KpS3Xml) xml
          = kp_s3_request_send_for_document (request, client, cancellable, error);
      if (xml == NULL || !kp_s3_upload_pages_read (pages, xml, error))
        return NULL;
    }
  return g_ptr_array_ref (pages->uploads);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

/* What is there of uploads that were begun and not ended; a part of kp-s3-client.h. */

#include "kp-error.h"
#include "kp-s3-client.h"
#include "kp-s3-request.h"
#include "kp-s3-xml.h"

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
fail_listing (GError **error)
{
  g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                       "The server's listing repeats itself or does not say where to go on");
  return FALSE;
}

/**
 * kp_s3_client_list_parts:
 * @error: %KP_ERROR_NOT_FOUND when the upload is no more; others of kp_s3_request_send()
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
  unsigned listed = 0; /* the highest number on the pages before */
  gboolean more = TRUE;

  while (more)
    {
      unsigned last = listed;
      gboolean repeats = FALSE;
      g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", key);
      kp_s3_request_add_query (request, "uploadId", upload_id);
      kp_s3_request_add_query (request, "part-number-marker", marker);
      kp_s3_request_set_reply_limit (request, LISTING_LIMIT);
      g_autoptr (KpS3Xml) xml
          = kp_s3_request_send_for_document (request, client, cancellable, error);
      if (xml == NULL)
        return NULL;

      for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
        {
          const KpS3Record *record = kp_s3_xml_get_record (xml, i);
          if (!g_str_equal (kp_s3_record_get_name (record), "Part"))
            continue;
          KpS3Part *part = g_new0 (KpS3Part, 1);
          part->number = (unsigned) parse_number (kp_s3_record_get (record, "PartNumber"));
          part->size = parse_number (kp_s3_record_get (record, "Size"));
          part->etag = kp_s3_etag_normalise (kp_s3_record_get (record, "ETag"));
          last = MAX (last, part->number);
          repeats = repeats || part->number <= listed;
          g_ptr_array_add (parts, part);
        }
      more = is_truncated (xml);
      if (repeats || last > MAX_PARTS || (more && last == listed))
        {
          fail_listing (error);
          return NULL;
        }
      listed = last;
      const char *next = kp_s3_xml_get (xml, "NextPartNumberMarker");
      g_free (marker);
      marker = next != NULL ? g_strdup (next) : g_strdup_printf ("%u", listed);
    }
  return g_steal_pointer (&parts);
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
  g_autoptr (GPtrArray) uploads
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_upload_free);
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal); /* in uploads */
  g_autofree char *key_marker = NULL;
  g_autofree char *id_marker = NULL;
  unsigned pages = 0;
  gboolean more = TRUE;

  while (more)
    {
      guint listed = uploads->len;
      gboolean repeats = FALSE;
      g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", NULL);
      kp_s3_request_add_query (request, "uploads", "");
      kp_s3_request_add_query (request, "prefix", prefix);
      kp_s3_request_add_query (request, "key-marker", key_marker);
      kp_s3_request_add_query (request, "upload-id-marker", id_marker);
      kp_s3_request_set_reply_limit (request, LISTING_LIMIT);
      g_autoptr (KpS3Xml) xml
          = kp_s3_request_send_for_document (request, client, cancellable, error);
      if (xml == NULL)
        return NULL;

      for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
        {
          const KpS3Record *record = kp_s3_xml_get_record (xml, i);
          const char *key = kp_s3_record_get (record, "Key");
          const char *id = kp_s3_record_get (record, "UploadId");
          if (!g_str_equal (kp_s3_record_get_name (record), "Upload") || key == NULL || id == NULL)
            continue;
          KpS3Upload *upload = g_new0 (KpS3Upload, 1);
          upload->key = g_strdup (key);
          upload->upload_id = g_strdup (id);
          upload->initiated = parse_time (kp_s3_record_get (record, "Initiated"));
          repeats = repeats || !g_hash_table_add (ids, upload->upload_id);
          g_ptr_array_add (uploads, upload);
        }
      more = is_truncated (xml);
      const char *next_key = kp_s3_xml_get (xml, "NextKeyMarker");
      const char *next_id = kp_s3_xml_get (xml, "NextUploadIdMarker");
      if (repeats
          || (more && (uploads->len == listed || next_key == NULL || ++pages > MAX_UPLOAD_PAGES)))
        {
          fail_listing (error);
          return NULL;
        }
      g_free (key_marker);
      key_marker = g_strdup (next_key);
      g_free (id_marker);
      id_marker = g_strdup (next_id);
    }
  return g_steal_pointer (&uploads);
}

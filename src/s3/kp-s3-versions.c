/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-versions.h"

#include "kp-error.h"
#include "kp-s3-request.h"

#define LISTING_LIMIT (16 * 1024 * 1024)

/* A page has up to a thousand; whoever has more than this of one key does not want them deleted. */
#define MAX_PAGES 10

static KpS3Xml *
list_page (KpS3Client *client,
           const char *key,
           const char *key_marker,
           const char *version_marker,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_LIST, "GET", NULL);

  kp_s3_request_add_query (request, "versions", "");
  kp_s3_request_add_query (request, "prefix", key);
  kp_s3_request_add_query (request, "key-marker", key_marker);
  kp_s3_request_add_query (request, "version-id-marker", version_marker);
  kp_s3_request_set_reply_limit (request, LISTING_LIMIT);
  return kp_s3_request_send_for_document (request, client, cancellable, error);
}

static gboolean
delete_version (KpS3Client *client,
                const char *key,
                const char *version_id,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_DELETE, "DELETE", key);

  kp_s3_request_add_query (request, "versionId", version_id);
  return kp_s3_request_send_deletion (request, client, cancellable, error);
}

/**
 * kp_s3_versions_read_page:
 * @key: the whole key of an object
 *
 * Returns: (transfer full) (element-type utf8): the ids of its versions and delete markers on a
 *   page of ListObjectVersions, which may be about other objects, too
 */
GPtrArray *
kp_s3_versions_read_page (KpS3Xml *xml, const char *key)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      const char *name = kp_s3_record_get_name (record);
      const char *version_id = kp_s3_record_get (record, "VersionId");
      if ((g_str_equal (name, "Version") || g_str_equal (name, "DeleteMarker"))
          && version_id != NULL && g_strcmp0 (kp_s3_record_get (record, "Key"), key) == 0)
        g_ptr_array_add (ids, g_strdup (version_id));
    }
  return ids;
}

/**
 * kp_s3_versions_delete_all:
 * @key: of the object; the listing is asked without an encoding, so no key of somebody else's
 * making
 * @error: those of kp_s3_request_send()
 *
 * Deletes every version of one object and its delete markers, so that nothing of it stays.
 */
gboolean
kp_s3_versions_delete_all (KpS3Client *client,
                           const char *key,
                           GCancellable *cancellable,
                           GError **error)
{
  g_autofree char *key_marker = NULL;
  g_autofree char *version_marker = NULL;

  for (int page = 0; page < MAX_PAGES; page++)
    {
      g_autoptr (KpS3Xml) xml
          = list_page (client, key, key_marker, version_marker, cancellable, error);
      if (xml == NULL)
        return FALSE;
      g_autoptr (GPtrArray) ids = kp_s3_versions_read_page (xml, key);
      for (guint i = 0; i < ids->len; i++)
        if (!delete_version (client, key, g_ptr_array_index (ids, i), cancellable, error))
          return FALSE;
      if (ids->len == 0 && g_strcmp0 (kp_s3_xml_get (xml, "IsTruncated"), "true") != 0)
        return TRUE;

      /* From the start again, which finds what came in the meantime. Only behind a page without any
       * there is nothing but to go on: a server may send such a one, and it is not the end. */
      g_free (key_marker);
      g_free (version_marker);
      key_marker = ids->len == 0 ? g_strdup (kp_s3_xml_get (xml, "NextKeyMarker")) : NULL;
      version_marker = ids->len == 0 ? g_strdup (kp_s3_xml_get (xml, "NextVersionIdMarker")) : NULL;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_SERVER, "The versions of “%s” have no end", key);
  return FALSE;
}

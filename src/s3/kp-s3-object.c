/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-object.h"

#include <string.h>

#define METADATA_PREFIX "x-amz-meta-"

struct _KpS3HeaderList
{
  GArray *headers; /* of KpS3Header, owned */
};

static void
header_clear (void *data)
{
  KpS3Header *header = data;

  /* The value is behind it. */
  g_free ((char *) header->name);
}

KpS3HeaderList *
kp_s3_header_list_new (void)
{
  KpS3HeaderList *list = g_new0 (KpS3HeaderList, 1);

  list->headers = g_array_sized_new (FALSE, FALSE, sizeof (KpS3Header), 12);
  g_array_set_clear_func (list->headers, header_clear);
  return list;
}

void
kp_s3_header_list_free (KpS3HeaderList *list)
{
  g_array_unref (list->headers);
  g_free (list);
}

/**
 * kp_s3_header_list_add:
 * @name: is added in lower case, as it has to be signed
 * @value: (nullable): ASCII; %NULL adds nothing
 */
void
kp_s3_header_list_add (KpS3HeaderList *list, const char *name, const char *value)
{
  if (value == NULL)
    return;
  gsize name_size = strlen (name) + 1;
  gsize value_size = strlen (value) + 1;
  char *copy = g_malloc (name_size + value_size);
  KpS3Header header = { copy, copy + name_size };

  for (gsize i = 0; i < name_size; i++)
    copy[i] = g_ascii_tolower (name[i]);
  memcpy (copy + name_size, value, value_size);
  g_array_append_val (list->headers, header);
}

guint
kp_s3_header_list_get_length (KpS3HeaderList *list)
{
  return list->headers->len;
}

const KpS3Header *
kp_s3_header_list_get (KpS3HeaderList *list, guint index)
{
  return &g_array_index (list->headers, KpS3Header, index);
}

gboolean
kp_s3_header_list_has (KpS3HeaderList *list, const char *name)
{
  for (guint i = 0; i < kp_s3_header_list_get_length (list); i++)
    if (g_str_equal (kp_s3_header_list_get (list, i)->name, name))
      return TRUE;
  return FALSE;
}

/**
 * kp_s3_etag_normalise:
 * @etag: (nullable): an ETag as a header or a document has it
 *
 * Returns: (transfer full): the text between the quotes; "" for %NULL. To be compared, never
 *   interpreted.
 */
char *
kp_s3_etag_normalise (const char *etag)
{
  if (etag == NULL)
    return g_strdup ("");
  if (g_str_has_prefix (etag, "W/"))
    etag += 2;

  gsize length = strlen (etag);
  if (length >= 2 && etag[0] == '"' && etag[length - 1] == '"')
    return g_strndup (etag + 1, length - 2);
  return g_strdup (etag);
}

/**
 * kp_s3_etag_is_md5:
 * @etag: without quotes
 * @headers: of the reply that it came with
 *
 * Whether @etag looks like the MD5 of the bytes, and nothing in @headers says that it is none. That
 * of an object in several parts ends in "-N"; that of one which is encrypted with a key of its own
 * is no MD5 of the bytes that we see ("Object", Amazon S3 API reference; Google says the same of
 * keys of the customer).
 */
gboolean
kp_s3_etag_is_md5 (const char *etag, SoupMessageHeaders *headers)
{
  static const char *const own_key[]
      = { "x-amz-server-side-encryption-customer-algorithm", "x-goog-encryption-algorithm",
          "x-goog-encryption-kms-key-name" };
  const char *encryption = soup_message_headers_get_one (headers, "x-amz-server-side-encryption");

  for (gsize i = 0; i < G_N_ELEMENTS (own_key); i++)
    if (soup_message_headers_get_one (headers, own_key[i]) != NULL)
      return FALSE;
  return strlen (etag) == 32 && etag[strspn (etag, "0123456789abcdefABCDEF")] == '\0'
         && (encryption == NULL || g_ascii_strcasecmp (encryption, "AES256") == 0);
}

/**
 * kp_s3_object_new_from_headers:
 * @headers: the headers of a reply to GET or HEAD
 */
KpS3Object *
kp_s3_object_new_from_headers (SoupMessageHeaders *headers)
{
  KpS3Object *object = g_new0 (KpS3Object, 1);
  const char *date = soup_message_headers_get_one (headers, "Last-Modified");
  g_autoptr (GDateTime) time = date != NULL ? soup_date_time_new_from_http_string (date) : NULL;
  SoupMessageHeadersIter iter;
  const char *name;
  const char *value;
  goffset start, end, total;

  if (soup_message_headers_get_content_range (headers, &start, &end, &total) && total >= 0)
    object->size = (guint64) total;
  else
    object->size = (guint64) MAX (soup_message_headers_get_content_length (headers), 0);
  object->etag = kp_s3_etag_normalise (soup_message_headers_get_one (headers, "ETag"));
  object->is_md5_etag = kp_s3_etag_is_md5 (object->etag, headers);
  object->last_modified = time != NULL ? g_date_time_to_unix (time) : 0;
  object->content_type = g_strdup (soup_message_headers_get_one (headers, "Content-Type"));
  object->storage_class = g_strdup (soup_message_headers_get_one (headers, "x-amz-storage-class"));
  object->version_id = g_strdup (soup_message_headers_get_one (headers, "x-amz-version-id"));
  object->metadata = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  soup_message_headers_iter_init (&iter, headers);
  while (soup_message_headers_iter_next (&iter, &name, &value))
    if (g_ascii_strncasecmp (name, METADATA_PREFIX, strlen (METADATA_PREFIX)) == 0)
      g_hash_table_replace (object->metadata, g_ascii_strdown (name + strlen (METADATA_PREFIX), -1),
                            g_strdup (value));
  return object;
}

void
kp_s3_object_free (KpS3Object *object)
{
  g_free (object->etag);
  g_free (object->content_type);
  g_free (object->storage_class);
  g_free (object->version_id);
  g_hash_table_unref (object->metadata);
  g_free (object);
}

/**
 * kp_s3_object_get_metadata:
 * @name: without "x-amz-meta-", in lower case
 *
 * Returns: (nullable): the value
 */
const char *
kp_s3_object_get_metadata (const KpS3Object *object, const char *name)
{
  return g_hash_table_lookup (object->metadata, name);
}

/**
 * kp_s3_object_has_metadata_of:
 * @headers: what an object is written with
 *
 * Whether the object says of itself all the x-amz-meta-* that are in @headers.
 */
gboolean
kp_s3_object_has_metadata_of (const KpS3Object *object, KpS3HeaderList *headers)
{
  for (guint i = 0; i < kp_s3_header_list_get_length (headers); i++)
    {
      const KpS3Header *header = kp_s3_header_list_get (headers, i);

      if (g_ascii_strncasecmp (header->name, METADATA_PREFIX, strlen (METADATA_PREFIX)) != 0)
        continue;
      g_autofree char *name = g_ascii_strdown (header->name + strlen (METADATA_PREFIX), -1);
      if (g_strcmp0 (kp_s3_object_get_metadata (object, name), header->value) != 0)
        return FALSE;
    }
  return TRUE;
}

KpS3Entry *
kp_s3_entry_new (void)
{
  return g_new0 (KpS3Entry, 1);
}

void
kp_s3_entry_free (KpS3Entry *entry)
{
  g_free (entry->key);
  g_free (entry->etag);
  g_free (entry->storage_class);
  g_free (entry->version_id);
  g_free (entry);
}

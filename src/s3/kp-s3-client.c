/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "config.h"

#include "kp-s3-client.h"

#include "kp-error.h"
#include "kp-s3-request.h"
#include "kp-s3-xml.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

struct _KpS3Client
{
  KpS3Service *service;
  SoupSession *session;
  unsigned max_attempts;
  unsigned attempts; /* of the last request that began an upload */
  char key_day[9];   /* for which the signing key is; "" for none yet… */
  char *key_region;  /* …and in which region */
  guint8 signing_key[KP_S3_SIGNING_KEY_SIZE];
  gsize head_size; /* bytes of the last request's head; 0: none yet */
  GSocket *socket; /* of the newest connection, or NULL */
  KpS3Watch *watch;
};

/**
 * kp_s3_client_new:
 *
 * To be called in the thread that is going to use it, which must have a main context of its own as
 * thread-default: libsoup attaches the sources of its connections there.
 */
KpS3Client *
kp_s3_client_new (KpS3Service *service)
{
  KpS3Client *client = g_new0 (KpS3Client, 1);

  client->service = g_object_ref (service);
  client->max_attempts = KP_S3_MAX_ATTEMPTS;
  client->watch = kp_s3_watch_new (kp_s3_service_get_watchdog (service));
  client->session = soup_session_new_with_options (
      "max-conns", 2, "max-conns-per-host", 2, "timeout", kp_s3_service_get_timeout (service),
      /* Nobody runs the context in which a timeout would come, and each request would set it twice.
       * A connection that the server has closed is seen before it is used. */
      "idle-timeout", 0, "user-agent", "Keepsake/" KP_VERSION, NULL);
  if (kp_s3_service_get_tls_database (service) != NULL)
    soup_session_set_tls_database (client->session, kp_s3_service_get_tls_database (service));
  soup_session_remove_feature_by_type (client->session, SOUP_TYPE_CONTENT_DECODER);
  soup_session_remove_feature_by_type (client->session, SOUP_TYPE_AUTH_MANAGER);
  return client;
}

void
kp_s3_client_free (KpS3Client *client)
{
  soup_session_abort (client->session);
  g_object_unref (client->session);
  g_clear_object (&client->socket);
  kp_s3_watch_free (client->watch);
  g_object_unref (client->service);
  OPENSSL_cleanse (client->signing_key, sizeof client->signing_key);
  g_free (client->key_region);
  g_free (client);
}

KpS3Service *
kp_s3_client_get_service (KpS3Client *client)
{
  return client->service;
}

SoupSession *
kp_s3_client_get_session (KpS3Client *client)
{
  return client->session;
}

unsigned
kp_s3_client_get_max_attempts (KpS3Client *client)
{
  return client->max_attempts;
}

/**
 * kp_s3_client_set_max_attempts:
 * @attempts: how often a request is sent at most before its error is passed on
 */
void
kp_s3_client_set_max_attempts (KpS3Client *client, unsigned attempts)
{
  client->max_attempts = attempts;
}

/**
 * kp_s3_client_get_signing_key:
 * @date: the value of x-amz-date
 *
 * Returns: the key for that day and region, which is derived once for many requests
 */
const guint8 *
kp_s3_client_get_signing_key (KpS3Client *client, const char *date, const char *region)
{
  if (strncmp (client->key_day, date, sizeof client->key_day - 1) != 0
      || g_strcmp0 (client->key_region, region) != 0)
    {
      kp_s3_sign_derive_key (
          client->signing_key, date, region,
          kp_s3_credentials_get_secret_key (kp_s3_service_get_credentials (client->service)));
      g_strlcpy (client->key_day, date, sizeof client->key_day);
      g_free (client->key_region);
      client->key_region = g_strdup (region);
    }
  return client->signing_key;
}

gsize
kp_s3_client_get_head_size (KpS3Client *client)
{
  return client->head_size;
}

void
kp_s3_client_set_head_size (KpS3Client *client, gsize bytes)
{
  client->head_size = bytes;
}

/**
 * kp_s3_client_get_socket:
 *
 * Returns: (transfer none) (nullable): that of the connection that was made last, which the next
 * request uses if it is still open
 */
GSocket *
kp_s3_client_get_socket (KpS3Client *client)
{
  return client->socket;
}

void
kp_s3_client_set_socket (KpS3Client *client, GSocket *socket)
{
  g_set_object (&client->socket, socket);
}

/**
 * kp_s3_client_get_watch:
 *
 * Returns: (transfer none): what watches one request after the other
 */
KpS3Watch *
kp_s3_client_get_watch (KpS3Client *client)
{
  return client->watch;
}

static char *
reply_etag (KpS3Reply *reply)
{
  return kp_s3_etag_normalise (kp_s3_reply_get_header (reply, "ETag"));
}

/* Servers name no version, or "null", where the bucket keeps no versions. */
static void
learn_versions (KpS3Client *client, KpS3Reply *reply)
{
  const char *version = kp_s3_reply_get_header (reply, "x-amz-version-id");

  if (version != NULL && *version != '\0' && !g_str_equal (version, "null"))
    kp_s3_service_learn_versions (client->service);
}

/* Whether the object can be what was just sent. Its size is not enough: one that was there before
 * may have the same, and that of an empty one is in any empty reply. Neither is its metadata, where
 * a file is sent once more because its object was damaged. */
static gboolean
can_be_stored (KpS3Client *client, const KpS3Object *object, KpS3HeaderList *headers, GBytes *body)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (client->service);
  gsize size;
  const void *data = g_bytes_get_data (body, &size);

  if (object->size != size || (headers != NULL && !kp_s3_object_has_metadata_of (object, headers)))
    return FALSE;
  if (!kp_s3_location_get_provider (location)->md5_etag || !object->is_md5_etag)
    return TRUE;
  g_autofree char *md5 = kp_s3_md5_hex (data, size);
  return g_ascii_strcasecmp (object->etag, md5) == 0;
}

/* The ETag of an object that is said to be stored without one. Something on the way, as a filter of
 * uploads, may have taken the body and said so: then it would be recorded as stored, and what it
 * was to replace be deleted. So the object is asked, by the version that was made where there is
 * one. */
static char *
find_put_etag (KpS3Client *client,
               const char *key,
               KpS3HeaderList *headers,
               GBytes *body,
               const char *version_id,
               GCancellable *cancellable,
               GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, key, version_id, cancellable, &local_error);

  if (object != NULL && can_be_stored (client, object, headers, body))
    return g_strdup (object->etag);
  if (object == NULL && !kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (client->service);
  g_autofree char *shown = kp_s3_xml_display (key);
  g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
               "%s says that it has stored “%s”, without an ETag, and does not have it",
               kp_s3_location_get_endpoint (location), shown);
  return NULL;
}

/**
 * kp_s3_client_put:
 * @headers: (nullable): metadata, content type, storage class
 * @body: the whole object, at most 5 GiB
 * @sha256: (nullable): SHA-256 of @body in hexadecimal, where it is known
 * @error: %KP_ERROR_CORRUPT when the server says that it has stored something else;
 *   %KP_ERROR_SERVER also when it says that it has stored the object, and does not have it; any
 *   other #KpError of kp_s3_request_send()
 *
 * Returns: (transfer full): the ETag of the object; where the reply has none, that is asked for
 * with a HEAD
 */
char *
kp_s3_client_put (KpS3Client *client,
                  const char *key,
                  KpS3HeaderList *headers,
                  GBytes *body,
                  const char *sha256,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_PUT, "PUT", key);

  kp_s3_request_add_headers (request, headers);
  kp_s3_request_set_body (request, body, sha256);
  kp_s3_request_set_is_stored (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  if (reply == NULL)
    return NULL;
  learn_versions (client, reply);
  g_autofree char *etag = reply_etag (reply);
  if (*etag != '\0')
    return g_steal_pointer (&etag);
  return find_put_etag (client, key, headers, body,
                        kp_s3_reply_get_header (reply, "x-amz-version-id"), cancellable, error);
}

/**
 * kp_s3_client_get:
 * @version_id: (nullable): which version; %NULL for the latest
 * @offset: first byte
 * @length: how many bytes, at least 1. An object that ends earlier gives fewer.
 * @if_match: (nullable): the ETag that the object must still have
 * @object: (out) (optional): what the reply says of the object
 * @error: %KP_ERROR_NOT_FOUND; %KP_ERROR_CONFLICT when the ETag is another; others of
 *   kp_s3_request_send()
 *
 * Returns: (transfer full): the bytes
 */
GBytes *
kp_s3_client_get (KpS3Client *client,
                  const char *key,
                  const char *version_id,
                  guint64 offset,
                  guint64 length,
                  const char *if_match,
                  KpS3Object **object,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_GET, "GET", key);
  g_autofree char *range = g_strdup_printf ("bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                                            offset, offset + length - 1);
  g_autofree char *quoted = if_match != NULL ? g_strdup_printf ("\"%s\"", if_match) : NULL;

  g_return_val_if_fail (length > 0, NULL);

  kp_s3_request_add_query (request, "versionId", version_id);
  kp_s3_request_add_header (request, "range", range);
  kp_s3_request_add_header (request, "if-match", quoted);
  kp_s3_request_set_reply_limit (request, length);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  if (reply == NULL)
    return NULL;
  if (kp_s3_reply_get_status (reply) != 206 && offset > 0)
    {
      g_autofree char *shown = kp_s3_xml_display (key);
      g_set_error (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
                   "The server sent all of “%s” where a part was asked for", shown);
      return NULL;
    }
  goffset start, end, total;
  if (soup_message_headers_get_content_range (kp_s3_reply_get_headers (reply), &start, &end, &total)
      && (guint64) start != offset)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                           "The server sent another part of the object than was asked for");
      return NULL;
    }
  /* Not every server knows If-Match. */
  g_autofree char *etag = reply_etag (reply);
  if (if_match != NULL && *etag != '\0' && !g_str_equal (etag, if_match))
    {
      g_autofree char *shown = kp_s3_xml_display (key);
      g_set_error (error, KP_ERROR, KP_ERROR_CONFLICT,
                   "“%s” was changed in the bucket while it was read", shown);
      return NULL;
    }
  if (object != NULL)
    *object = kp_s3_object_new_from_headers (kp_s3_reply_get_headers (reply));
  return g_bytes_ref (kp_s3_reply_get_body (reply));
}

/**
 * kp_s3_client_head:
 * @version_id: (nullable): which version; %NULL for the latest
 * @error: %KP_ERROR_NOT_FOUND; others of kp_s3_request_send()
 */
KpS3Object *
kp_s3_client_head (KpS3Client *client,
                   const char *key,
                   const char *version_id,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_HEAD, "HEAD", key);

  kp_s3_request_add_query (request, "versionId", version_id);
  kp_s3_request_set_reply_limit (request, 0);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  return reply != NULL ? kp_s3_object_new_from_headers (kp_s3_reply_get_headers (reply)) : NULL;
}

static char *
copy_source (KpS3Client *client, const char *key)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (client->service);
  g_autofree char *encoded = kp_s3_uri_encode (key, TRUE);

  return g_strconcat (kp_s3_location_get_bucket (location), "/", encoded, NULL);
}

/* Adds the source of a copy, pinned to the version that we know where the provider can do that. */
static void
add_copy_source (KpS3Request *request,
                 KpS3Client *client,
                 const char *source_key,
                 const char *source_etag)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (client->service);
  g_autofree char *source = copy_source (client, source_key);

  kp_s3_request_add_header (request, "x-amz-copy-source", source);
  if (source_etag != NULL && kp_s3_location_get_provider (location)->copy_if_match)
    {
      g_autofree char *quoted = g_strdup_printf ("\"%s\"", source_etag);
      kp_s3_request_add_header (request, "x-amz-copy-source-if-match", quoted);
    }
}

/* The ETag of a CopyObjectResult or CopyPartResult. */
static char *
read_copy_result (KpS3Reply *reply, GError **error)
{
  KpS3Xml *xml = kp_s3_reply_get_xml (reply, error);

  if (xml == NULL)
    return NULL;
  const char *etag = kp_s3_xml_get (xml, "ETag");
  if (etag == NULL)
    {
      g_autofree char *root = kp_s3_xml_display (kp_s3_xml_get_root (xml));
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "The server answered a copy with a document “%s” that has no ETag", root);
      return NULL;
    }
  return kp_s3_etag_normalise (etag);
}

static char *
send_copy (KpS3Request *request, KpS3Client *client, GCancellable *cancellable, GError **error)
{
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  if (reply == NULL)
    return NULL;
  learn_versions (client, reply);
  return read_copy_result (reply, error);
}

/**
 * kp_s3_client_copy:
 * @source_etag: (nullable): the ETag that the source must have, honoured where the provider can
 * @headers: (nullable): replace all of the source's headers; %NULL keeps them
 * @error: %KP_ERROR_CONFLICT when the source has another ETag; others of kp_s3_request_send()
 *
 * CopyObject: at most 5 GiB.
 *
 * Returns: (transfer full): the ETag of the copy
 */
char *
kp_s3_client_copy (KpS3Client *client,
                   const char *source_key,
                   const char *source_etag,
                   const char *key,
                   KpS3HeaderList *headers,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_COPY, "PUT", key);

  add_copy_source (request, client, source_key, source_etag);
  if (headers != NULL)
    kp_s3_request_add_header (request, "x-amz-metadata-directive", "REPLACE");
  kp_s3_request_add_headers (request, headers);
  return send_copy (request, client, cancellable, error);
}

/**
 * kp_s3_client_copy_as_is:
 * @source_etag: (nullable): as for kp_s3_client_copy()
 * @storage_class: (nullable): of the copy; %NULL for the bucket's own
 * @error: as of kp_s3_client_copy()
 *
 * CopyObject with all headers that the source has: at most 5 GiB.
 *
 * Returns: (transfer full): the ETag of the copy
 */
char *
kp_s3_client_copy_as_is (KpS3Client *client,
                         const char *source_key,
                         const char *source_etag,
                         const char *key,
                         const char *storage_class,
                         GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_COPY, "PUT", key);

  add_copy_source (request, client, source_key, source_etag);
  kp_s3_request_add_header (request, "x-amz-metadata-directive", "COPY");
  kp_s3_request_add_header (request, "x-amz-storage-class", storage_class);
  return send_copy (request, client, cancellable, error);
}

/**
 * kp_s3_client_delete:
 *
 * DeleteObject. A key that does not exist is a success.
 */
gboolean
kp_s3_client_delete (KpS3Client *client, const char *key, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_DELETE, "DELETE", key);

  return kp_s3_request_send_deletion (request, client, cancellable, error);
}

/* XML 1.0 has no way to write most control characters, and readers turn a carriage return into a
 * line feed: in a DeleteObjects document such a key would be refused, or be another one. */
static gboolean
xml_can_hold (const char *key)
{
  if (!g_utf8_validate (key, -1, NULL))
    return FALSE;
  for (const char *p = key; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFE || c == 0xFFFF)
        return FALSE;
    }
  return TRUE;
}

/* Deletes one of many keys; FALSE with an error that ends them all. */
static gboolean
delete_one_of_many (KpS3Client *client,
                    const char *key,
                    KpS3DeleteErrorFunc func,
                    void *user_data,
                    GCancellable *cancellable,
                    GError **error)
{
  g_autoptr (GError) key_error = NULL;

  if (kp_s3_client_delete (client, key, cancellable, &key_error))
    return TRUE;
  if (kp_error_stops_job (key_error))
    {
      g_propagate_error (error, g_steal_pointer (&key_error));
      return FALSE;
    }
  if (func != NULL)
    func (key, key_error, user_data);
  return TRUE;
}

static KpS3Request *
delete_many_request (KpS3Client *client, GBytes *document)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (client->service);
  KpS3Request *request = kp_s3_request_new (KP_S3_OPERATION_DELETE, "POST", NULL);
  g_autofree char *md5
      = kp_s3_md5_base64 (g_bytes_get_data (document, NULL), g_bytes_get_size (document));

  kp_s3_request_add_query (request, "delete", "");
  kp_s3_request_add_header (request, "content-md5", md5);
  kp_s3_request_add_header (request, "content-type", "application/xml");
  kp_s3_request_set_body (request, document, NULL);
  kp_s3_request_set_hides_errors (request);
  if (kp_s3_location_get_provider (location)->quiet_delete_is_empty)
    kp_s3_request_set_may_be_empty (request);
  return request;
}

/* Passes on which keys the answer says were not deleted. */
static gboolean
read_delete_result (KpS3Reply *reply, KpS3DeleteErrorFunc func, void *user_data, GError **error)
{
  /* Where that may be, as the request has been told. */
  if (kp_s3_reply_is_empty (reply))
    return TRUE;

  KpS3Xml *xml = kp_s3_reply_get_xml (reply, error);
  if (xml == NULL)
    return FALSE;
  /* Of anything else, as a proxy's page, no silence about a key says that it is gone. */
  if (!g_str_equal (kp_s3_xml_get_root (xml), "DeleteResult"))
    {
      g_autofree char *root = kp_s3_xml_display (kp_s3_xml_get_root (xml));
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "The server answered a deletion with a document “%s”", root);
      return FALSE;
    }
  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      const char *key = kp_s3_record_get (record, "Key");
      const char *code = kp_s3_record_get (record, "Code");
      const char *message = kp_s3_record_get (record, "Message");

      if (!g_str_equal (kp_s3_record_get_name (record), "Error") || func == NULL)
        continue;
      g_autofree char *shown_code = kp_s3_xml_display (code != NULL ? code : "");
      g_autofree char *shown_message = kp_s3_xml_display (message != NULL ? message : "");
      g_autoptr (GError) key_error = g_error_new (
          KP_ERROR,
          g_strcmp0 (code, "AccessDenied") == 0 ? KP_ERROR_ACCESS_DENIED : KP_ERROR_SERVER,
          "The server did not delete it [%s: %s]", shown_code, shown_message);
      func (key != NULL ? key : "", key_error, user_data);
    }
  return TRUE;
}

/**
 * kp_s3_client_delete_many:
 * @keys: at most %KP_S3_DELETE_AT_ONCE keys
 * @func: (nullable): called for each key that could not be deleted
 * @error: the request as a whole failed
 *
 * DeleteObjects; keys that its document cannot hold are deleted by a request each, and so are all
 * where the server does not know DeleteObjects.
 *
 * Returns: whether the requests were carried out; @func tells of single keys
 */
gboolean
kp_s3_client_delete_many (KpS3Client *client,
                          const char *const *keys,
                          guint n_keys,
                          KpS3DeleteErrorFunc func,
                          void *user_data,
                          GCancellable *cancellable,
                          GError **error)
{
  gboolean one_by_one = !kp_s3_service_has_multi_delete (client->service);
  g_autofree const char **held = g_new (const char *, n_keys + 1);
  guint n_held = 0;

  g_return_val_if_fail (n_keys <= KP_S3_DELETE_AT_ONCE, FALSE);

  g_autoptr (GString) document
      = g_string_new ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                      "<Quiet>true</Quiet>");
  for (guint i = 0; i < n_keys; i++)
    if (!one_by_one && xml_can_hold (keys[i]))
      {
        g_autofree char *escaped = g_markup_escape_text (keys[i], -1);
        g_string_append_printf (document, "<Object><Key>%s</Key></Object>", escaped);
        held[n_held++] = keys[i];
      }
    else if (!delete_one_of_many (client, keys[i], func, user_data, cancellable, error))
      return FALSE;
  if (n_held == 0)
    return TRUE;
  g_string_append (document, "</Delete>");

  g_autoptr (GError) local_error = NULL;
  g_autoptr (GBytes) body = g_bytes_new (document->str, document->len);
  g_autoptr (KpS3Request) request = delete_many_request (client, body);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, &local_error);
  if (reply != NULL)
    return read_delete_result (reply, func, user_data, error);
  if (!kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  kp_s3_service_give_up_multi_delete (client->service);
  return kp_s3_client_delete_many (client, held, n_held, func, user_data, cancellable, error);
}

/**
 * kp_s3_client_get_attempts:
 *
 * Returns: how often the request of the last kp_s3_client_create_upload() that succeeded was sent.
 *   More than once means that the server may have begun uploads of which nobody heard
 */
unsigned
kp_s3_client_get_attempts (KpS3Client *client)
{
  return client->attempts;
}

/**
 * kp_s3_client_create_upload:
 * @headers: (nullable): all of the object's headers: they cannot be given later
 *
 * CreateMultipartUpload.
 *
 * Returns: (transfer full): the upload id
 */
char *
kp_s3_client_create_upload (KpS3Client *client,
                            const char *key,
                            KpS3HeaderList *headers,
                            GCancellable *cancellable,
                            GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_MULTIPART, "POST", key);

  kp_s3_request_add_query (request, "uploads", "");
  kp_s3_request_add_headers (request, headers);
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  if (reply == NULL)
    return NULL;
  client->attempts = kp_s3_reply_get_attempts (reply);

  KpS3Xml *xml = kp_s3_reply_get_xml (reply, error);
  if (xml == NULL)
    return NULL;
  const char *upload_id = kp_s3_xml_get (xml, "UploadId");
  if (upload_id == NULL || *upload_id == '\0')
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_SERVER,
                           "The server began an upload without saying its id");
      return NULL;
    }
  return g_strdup (upload_id);
}

static KpS3Request *
part_request (KpS3Operation operation, const char *key, const char *upload_id, unsigned number)
{
  KpS3Request *request = kp_s3_request_new (operation, "PUT", key);
  g_autofree char *text = g_strdup_printf ("%u", number);

  kp_s3_request_add_query (request, "partNumber", text);
  kp_s3_request_add_query (request, "uploadId", upload_id);
  return request;
}

/**
 * kp_s3_client_upload_part:
 * @number: 1 … 10,000
 * @body: 5 MiB to 5 GiB; the last part may be smaller
 * @sha256: (nullable): SHA-256 of @body in hexadecimal
 * @error: %KP_ERROR_NOT_FOUND when the upload is no more; %KP_ERROR_CORRUPT as for
 *   kp_s3_client_put(); others of kp_s3_request_send()
 *
 * Returns: (transfer full): the ETag of the part
 */
char *
kp_s3_client_upload_part (KpS3Client *client,
                          const char *key,
                          const char *upload_id,
                          unsigned number,
                          GBytes *body,
                          const char *sha256,
                          GCancellable *cancellable,
                          GError **error)
{
  g_autoptr (KpS3Request) request = part_request (KP_S3_OPERATION_PUT, key, upload_id, number);

  kp_s3_request_set_body (request, body, sha256);
  kp_s3_request_set_is_stored (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  return reply != NULL ? reply_etag (reply) : NULL;
}

/**
 * kp_s3_client_copy_part:
 * @source_etag: (nullable): as for kp_s3_client_copy()
 * @offset: first byte in the source
 * @length: bytes; 5 MiB to 5 GiB, the last part may be smaller
 * @error: %KP_ERROR_UNSUPPORTED_BY_PROVIDER; %KP_ERROR_CONFLICT when the source has another ETag;
 *   others of kp_s3_request_send()
 *
 * UploadPartCopy.
 *
 * Returns: (transfer full): the ETag of the part
 */
char *
kp_s3_client_copy_part (KpS3Client *client,
                        const char *source_key,
                        const char *source_etag,
                        guint64 offset,
                        guint64 length,
                        const char *key,
                        const char *upload_id,
                        unsigned number,
                        GCancellable *cancellable,
                        GError **error)
{
  g_autoptr (KpS3Request) request = part_request (KP_S3_OPERATION_COPY, key, upload_id, number);
  g_autofree char *range = g_strdup_printf ("bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                                            offset, offset + length - 1);

  add_copy_source (request, client, source_key, source_etag);
  kp_s3_request_add_header (request, "x-amz-copy-source-range", range);
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  return reply != NULL ? read_copy_result (reply, error) : NULL;
}

/* The ETag that most servers give an object of several parts: the MD5 of the parts' MD5s, "-",
 * their number. NULL when the parts' ETags are not MD5s. */
static char *
expected_upload_etag (const char *const *part_etags, guint n_parts)
{
  g_autoptr (GByteArray) digests = g_byte_array_new ();
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;

  for (guint i = 0; i < n_parts; i++)
    {
      if (strlen (part_etags[i]) != 32)
        return NULL;
      for (const char *p = part_etags[i]; *p != '\0'; p += 2)
        {
          int high = g_ascii_xdigit_value (p[0]);
          int low = g_ascii_xdigit_value (p[1]);
          if (high < 0 || low < 0)
            return NULL;
          guint8 byte = (guint8) (high << 4 | low);
          g_byte_array_append (digests, &byte, 1);
        }
    }
  if (!EVP_Digest (digests->data, digests->len, digest, &length, EVP_md5 (), NULL))
    return NULL;

  GString *etag = g_string_new (NULL);
  for (unsigned i = 0; i < length; i++)
    g_string_append_printf (etag, "%02x", digest[i]);
  g_string_append_printf (etag, "-%u", n_parts);
  return g_string_free (etag, FALSE);
}

/* The ETag of an object that was just put together. Some servers name another one in their answer
 * than in listings (Riak CS, SeaweedFS): recorded, it would make the object look like somebody
 * else's in the next job, and in all that follow. So where it is not the usual one, the object is
 * asked, by the version that we made where there is one. That it cannot be asked is no failure of
 * the upload; what has other metadata is an object that somebody else has put there since, whose
 * ETag recorded for ours would hide it for good.
 *
 * @headers: (nullable): what the upload was begun with
 * @said: (nullable): by the answer
 * @expected: (nullable): of most servers */
static char *
find_upload_etag (KpS3Client *client,
                  const char *key,
                  KpS3HeaderList *headers,
                  const char *said,
                  const char *expected,
                  const char *version_id,
                  GCancellable *cancellable)
{
  g_autofree char *etag = kp_s3_etag_normalise (said);

  /* Ceph 16 says none, and lists the usual one. */
  if (*etag == '\0' && expected != NULL)
    return g_strdup (expected);
  if (expected != NULL && g_ascii_strcasecmp (etag, expected) == 0)
    return g_steal_pointer (&etag);

  g_autoptr (KpS3Object) object = kp_s3_client_head (client, key, version_id, cancellable, NULL);
  if (object == NULL || *object->etag == '\0'
      || (headers != NULL && !kp_s3_object_has_metadata_of (object, headers)))
    return g_steal_pointer (&etag);
  return g_strdup (object->etag);
}

/**
 * kp_s3_client_complete_upload:
 * @headers: (nullable): what the upload was begun with
 * @part_etags: the ETags of the parts 1 … @n_parts, in order
 * @error: %KP_ERROR_NOT_FOUND when the upload is no more and the object is not the one that it
 * would have become; others of kp_s3_request_send()
 *
 * CompleteMultipartUpload. When an answer was lost on the way, the second attempt finds no upload:
 * then the object itself tells whether the first was carried out, by its bytes and its metadata.
 *
 * Returns: (transfer full): the ETag of the object, as listings have it; where it is not that of
 * its parts' MD5s, that is asked for with a HEAD
 */
char *
kp_s3_client_complete_upload (KpS3Client *client,
                              const char *key,
                              const char *upload_id,
                              KpS3HeaderList *headers,
                              const char *const *part_etags,
                              guint n_parts,
                              GCancellable *cancellable,
                              GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_MULTIPART, "POST", key);
  g_autoptr (GError) local_error = NULL;
  GString *document = g_string_new ("<CompleteMultipartUpload "
                                    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");

  for (guint i = 0; i < n_parts; i++)
    {
      g_autofree char *etag = g_markup_escape_text (part_etags[i], -1);
      g_string_append_printf (document,
                              "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag></Part>",
                              i + 1, etag);
    }
  g_string_append (document, "</CompleteMultipartUpload>");
  g_autoptr (GBytes) body = g_string_free_to_bytes (document);

  kp_s3_request_add_query (request, "uploadId", upload_id);
  kp_s3_request_add_header (request, "content-type", "application/xml");
  kp_s3_request_set_body (request, body, NULL);
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, &local_error);
  g_autofree char *expected = expected_upload_etag (part_etags, n_parts);

  if (reply != NULL)
    {
      KpS3Xml *xml = kp_s3_reply_get_xml (reply, error);
      if (xml == NULL)
        return NULL;
      /* Anything else, as a proxy's page, says nothing about the object. */
      if (!g_str_equal (kp_s3_xml_get_root (xml), "CompleteMultipartUploadResult"))
        {
          g_autofree char *root = kp_s3_xml_display (kp_s3_xml_get_root (xml));
          g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                       "The server answered the end of an upload with a document “%s”", root);
          return NULL;
        }
      return find_upload_etag (client, key, headers, kp_s3_xml_get (xml, "ETag"), expected,
                               kp_s3_reply_get_header (reply, "x-amz-version-id"), cancellable);
    }

  if (kp_error_is (local_error, KP_ERROR_NOT_FOUND) && expected != NULL)
    {
      g_autoptr (KpS3Object) object = kp_s3_client_head (client, key, NULL, cancellable, NULL);
      if (object != NULL && g_str_equal (object->etag, expected)
          && (headers == NULL || kp_s3_object_has_metadata_of (object, headers)))
        return g_steal_pointer (&expected);
    }
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/**
 * kp_s3_client_abort_upload:
 *
 * AbortMultipartUpload. An upload that is no more is a success.
 */
gboolean
kp_s3_client_abort_upload (KpS3Client *client,
                           const char *key,
                           const char *upload_id,
                           GCancellable *cancellable,
                           GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_MULTIPART, "DELETE", key);

  kp_s3_request_add_query (request, "uploadId", upload_id);
  return kp_s3_request_send_deletion (request, client, cancellable, error);
}

/**
 * kp_s3_client_get_versioning:
 * @enabled: (out): whether the bucket keeps old versions of its objects
 * @has_been: (out) (optional): whether it does, or did once: those versions are still there
 */
gboolean
kp_s3_client_get_versioning (KpS3Client *client,
                             gboolean *enabled,
                             gboolean *has_been,
                             GCancellable *cancellable,
                             GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_BUCKET, "GET", NULL);

  kp_s3_request_add_query (request, "versioning", "");
  g_autoptr (KpS3Xml) xml = kp_s3_request_send_for_document (request, client, cancellable, error);
  if (xml == NULL)
    return FALSE;
  const char *status = kp_s3_xml_get (xml, "Status");
  *enabled = g_strcmp0 (status, "Enabled") == 0;
  if (has_been != NULL)
    *has_been = *enabled || g_strcmp0 (status, "Suspended") == 0;
  return TRUE;
}

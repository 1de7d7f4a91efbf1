/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-request.h"

#include "kp-block.h"
#include "kp-error.h"
#include "kp-s3-body.h"
#include "kp-s3-complaint.h"
#include "kp-s3-cork.h"
#include "kp-s3-sign.h"
#include "kp-s3-verdict.h"
#include "kp-s3-watchdog.h"
#include "kp-s3-xml.h"
#include "kp-throttled-input-stream.h"

#include <string.h>

/* Error documents and small replies are read up to here. */
#define DEFAULT_REPLY_LIMIT (1024 * 1024)
#define READ_SIZE (64 * 1024)

/* How many times as long as others an operation may take of which the reply begins long before its
 * end. */
#define LONG_OPERATION 15

/* Bodies up to here have their MD5 held against the ETag each; of larger ones, one of so many.
 * Of every one it would cost more than a tenth of the CPU of a run that sends large files. */
#define ALWAYS_PROVED (64 * 1024)
#define PROVED_ONE_OF 8

/* What a first request is assumed to take for its head, until one was seen. */
#define TYPICAL_HEAD_SIZE 700

typedef struct
{
  char *name;
  char *value;
} Pair;

struct _KpS3Request
{
  KpS3Operation operation;
  const char *method;      /* static */
  char *key;               /* or NULL: the bucket */
  GArray *query;           /* of Pair, encoded */
  KpS3HeaderList *headers; /* names in lower case */
  KpS3HeaderList *more;    /* or NULL: the caller's */
  GBytes *body;            /* or NULL */
  char *sha256;
  char *md5; /* or NULL: see is_stored */
  gsize reply_limit;
  gboolean hides_errors;
  gboolean may_be_empty;
  gboolean is_stored; /* the ETag of the reply is that of the body */
  char *content_md5;  /* or NULL: the same in base64, where it is sent */
};

static void
pair_clear (void *data)
{
  Pair *pair = data;

  g_free (pair->name);
  g_free (pair->value);
}

static GArray *
pairs_new (void)
{
  GArray *pairs = g_array_new (FALSE, FALSE, sizeof (Pair));

  g_array_set_clear_func (pairs, pair_clear);
  return pairs;
}

/**
 * kp_s3_request_new:
 * @operation: for the statistics
 * @method: a string constant
 * @key: (nullable): a whole key; %NULL for the bucket
 */
KpS3Request *
kp_s3_request_new (KpS3Operation operation, const char *method, const char *key)
{
  KpS3Request *request = g_new0 (KpS3Request, 1);

  request->operation = operation;
  request->method = method;
  request->key = g_strdup (key);
  request->query = pairs_new ();
  request->headers = kp_s3_header_list_new ();
  request->sha256 = g_strdup (KP_S3_SHA256_EMPTY);
  request->reply_limit = DEFAULT_REPLY_LIMIT;
  return request;
}

void
kp_s3_request_free (KpS3Request *request)
{
  g_free (request->key);
  g_array_unref (request->query);
  kp_s3_header_list_free (request->headers);
  g_clear_pointer (&request->body, g_bytes_unref);
  g_free (request->sha256);
  g_free (request->md5);
  g_free (request->content_md5);
  g_free (request);
}

/**
 * kp_s3_request_add_query:
 * @value: (nullable): %NULL adds nothing
 */
void
kp_s3_request_add_query (KpS3Request *request, const char *name, const char *value)
{
  if (value == NULL)
    return;
  Pair pair = { kp_s3_uri_encode (name, FALSE), kp_s3_uri_encode (value, FALSE) };
  g_array_append_val (request->query, pair);
}

/**
 * kp_s3_request_add_header:
 * @name: in lower case
 * @value: (nullable): ASCII; %NULL adds nothing
 */
void
kp_s3_request_add_header (KpS3Request *request, const char *name, const char *value)
{
  kp_s3_header_list_add (request->headers, name, value);
}

/**
 * kp_s3_request_add_headers:
 * @headers: (nullable): must live as long as @request; once for each request
 */
void
kp_s3_request_add_headers (KpS3Request *request, KpS3HeaderList *headers)
{
  g_return_if_fail (request->more == NULL);

  request->more = headers;
}

static guint
count_headers (const KpS3Request *request)
{
  return kp_s3_header_list_get_length (request->headers)
         + (request->more != NULL ? kp_s3_header_list_get_length (request->more) : 0);
}

static const KpS3Header *
get_header (const KpS3Request *request, guint index)
{
  guint n = kp_s3_header_list_get_length (request->headers);

  return index < n ? kp_s3_header_list_get (request->headers, index)
                   : kp_s3_header_list_get (request->more, index - n);
}

/**
 * kp_s3_request_set_body:
 * @sha256: (nullable): its SHA-256 in hexadecimal, where the caller knows it already
 */
void
kp_s3_request_set_body (KpS3Request *request, GBytes *body, const char *sha256)
{
  gsize length;
  const void *data = g_bytes_get_data (body, &length);

  g_clear_pointer (&request->body, g_bytes_unref);
  request->body = g_bytes_ref (body);
  g_free (request->sha256);
  request->sha256 = sha256 != NULL ? g_strdup (sha256) : kp_s3_sha256_hex (data, length);
}

/**
 * kp_s3_request_set_is_stored:
 *
 * Says that the body becomes an object, or a part of one: the ETag in the reply then tells whether
 * the server has stored what was sent.
 */
void
kp_s3_request_set_is_stored (KpS3Request *request)
{
  request->is_stored = TRUE;
}

/**
 * kp_s3_request_set_reply_limit:
 * @bytes: a successful reply that is longer is an error, so that no server can fill our memory
 */
void
kp_s3_request_set_reply_limit (KpS3Request *request, gsize bytes)
{
  request->reply_limit = bytes;
}

/**
 * kp_s3_request_set_hides_errors:
 *
 * Says that a reply with status 200 may hold an <Error> document, and has to be XML.
 */
void
kp_s3_request_set_hides_errors (KpS3Request *request)
{
  request->hides_errors = TRUE;
}

/**
 * kp_s3_request_set_may_be_empty:
 *
 * Says that a reply which hides errors may as well have no document, if it says so by its length.
 */
void
kp_s3_request_set_may_be_empty (KpS3Request *request)
{
  request->may_be_empty = TRUE;
}

static int
compare_pairs (const void *a, const void *b)
{
  const Pair *x = a;
  const Pair *y = b;
  int order = strcmp (x->name, y->name);

  return order != 0 ? order : strcmp (x->value, y->value);
}

/* The query as it is both sent and signed: sorted by name, then by value. */
static char *
build_query (KpS3Request *request)
{
  if (request->query->len == 0)
    return NULL;

  g_array_sort (request->query, compare_pairs);
  GString *query = g_string_new (NULL);
  for (guint i = 0; i < request->query->len; i++)
    {
      const Pair *pair = &g_array_index (request->query, Pair, i);
      g_string_append_printf (query, "%s%s=%s", i > 0 ? "&" : "", pair->name, pair->value);
    }
  return g_string_free (query, FALSE);
}

/* One attempt, as seen by the handlers of its message. */
typedef struct
{
  KpS3Request *request;
  KpS3Client *client;
  KpS3Service *service;
  KpS3Location *location;
  GCancellable *cancellable;
  KpS3Watch *watch;
  gsize body_written; /* bytes of the body since the last "starting" */
  gboolean is_corked;
} Attempt;

static gsize
head_size (SoupMessage *message)
{
  SoupMessageHeadersIter iter;
  const char *name;
  const char *value;
  GUri *uri = soup_message_get_uri (message);
  const char *query = g_uri_get_query (uri);
  gsize size = strlen (g_uri_get_path (uri)) + (query != NULL ? strlen (query) : 0) + 20;

  soup_message_headers_iter_init (&iter, soup_message_get_request_headers (message));
  while (soup_message_headers_iter_next (&iter, &name, &value))
    size += strlen (name) + strlen (value) + 4;
  return size;
}

/* Waits for the throttle as if the head were a body. When cancelled it just returns: libsoup looks
 * at the same cancellable before it writes. */
static void
wait_for_tokens (KpThrottle *throttle, gsize bytes, GCancellable *cancellable)
{
  while (bytes > 0)
    {
      gsize granted = kp_throttle_acquire (throttle, bytes, cancellable, NULL);
      if (granted == 0)
        return;
      bytes -= granted;
    }
}

static char *
host_header (SoupMessage *message)
{
  const char *set
      = soup_message_headers_get_one (soup_message_get_request_headers (message), "Host");
  GUri *uri = soup_message_get_uri (message);
  int port = g_uri_get_port (uri);

  if (set != NULL)
    return g_strdup (set);
  if (port == -1 || port == (g_str_equal (g_uri_get_scheme (uri), "https") ? 443 : 80))
    return g_strdup (g_uri_get_host (uri));
  return g_strdup_printf ("%s:%d", g_uri_get_host (uri), port);
}

static void
sign (SoupMessage *message, const Attempt *attempt)
{
  KpS3Request *request = attempt->request;
  KpS3Credentials *credentials = kp_s3_service_get_credentials (attempt->service);
  const char *token = kp_s3_credentials_get_session_token (credentials);
  SoupMessageHeaders *sent = soup_message_get_request_headers (message);
  GUri *uri = soup_message_get_uri (message);
  g_autofree char *date = kp_s3_sign_date (kp_s3_service_get_now (attempt->service));
  g_autofree char *host = host_header (message);
  guint n_own = count_headers (request);
  g_autofree KpS3Header *headers = g_new (KpS3Header, n_own + 5);
  gsize n = 0;

  headers[n++] = (KpS3Header){ "host", host };
  headers[n++] = (KpS3Header){ "x-amz-content-sha256", request->sha256 };
  headers[n++] = (KpS3Header){ "x-amz-date", date };
  if (token != NULL)
    headers[n++] = (KpS3Header){ "x-amz-security-token", token };
  if (request->content_md5 != NULL)
    headers[n++] = (KpS3Header){ "content-md5", request->content_md5 };
  for (guint i = 0; i < n_own; i++)
    headers[n++] = *get_header (request, i);

  const char *region = kp_s3_location_get_region (attempt->location);
  g_autofree char *authorization = kp_s3_sign_with_key (
      request->method, g_uri_get_path (uri), g_uri_get_query (uri), headers, n, request->sha256,
      date, region, kp_s3_credentials_get_access_key (credentials),
      kp_s3_client_get_signing_key (attempt->client, date, region));

  soup_message_headers_replace (sent, "x-amz-date", date);
  soup_message_headers_replace (sent, "x-amz-content-sha256", request->sha256);
  if (token != NULL)
    soup_message_headers_replace (sent, "x-amz-security-token", token);
  if (request->content_md5 != NULL)
    soup_message_headers_replace (sent, "content-md5", request->content_md5);
  soup_message_headers_replace (sent, "Authorization", authorization);
}

/* Runs in the worker's thread just before the first byte goes out, and again for each restart by
 * libsoup. The throttle is waited for first, so that the signature is never older than the request.
 */
static void
starting_cb (SoupMessage *message, Attempt *attempt)
{
  KpThrottle *throttle = kp_s3_service_get_upload_throttle (attempt->service);
  gsize expected = kp_s3_client_get_head_size (attempt->client);

  attempt->body_written = 0;
  if (expected == 0)
    expected = TYPICAL_HEAD_SIZE;
  kp_s3_watch_pause (attempt->watch);
  wait_for_tokens (throttle, expected, attempt->cancellable);
  kp_s3_watch_resume (attempt->watch);

  if (attempt->request->body != NULL)
    {
      g_autoptr (GInputStream) body
          = kp_s3_body_new (attempt->request->body, throttle, attempt->watch);
      gsize size = g_bytes_get_size (attempt->request->body);
      soup_message_set_request_body (message, NULL, body, (gssize) size);
      /* Under a limit each piece has to go when its tokens are there. */
      attempt->is_corked = size > 0 && kp_throttle_get_rate (throttle) == 0
                           && kp_s3_cork_set (kp_s3_client_get_socket (attempt->client), TRUE);
    }
  sign (message, attempt);

  gsize actual = head_size (message);
  if (actual > expected)
    kp_throttle_charge (throttle, actual - expected);
  kp_s3_client_set_head_size (attempt->client, actual);
}

static void
wrote_body_data_cb (SoupMessage *message, guint chunk_size, Attempt *attempt)
{
  attempt->body_written += chunk_size;
  if (attempt->is_corked && attempt->body_written == g_bytes_get_size (attempt->request->body))
    kp_s3_cork_set (kp_s3_client_get_socket (attempt->client), FALSE);
  kp_s3_watch_moved (attempt->watch, chunk_size);
}

/* A connection is new: later requests use it without a word. */
static void
network_event_cb (SoupMessage *message,
                  GSocketClientEvent event,
                  GIOStream *connection,
                  Attempt *attempt)
{
  if (event == G_SOCKET_CLIENT_CONNECTED && G_IS_SOCKET_CONNECTION (connection))
    kp_s3_client_set_socket (attempt->client,
                             g_socket_connection_get_socket (G_SOCKET_CONNECTION (connection)));
}

/* Reads all of a reply. A reply that says its length gets just that much memory; the others are
 * short documents. */
static GBytes *
read_reply (GInputStream *stream,
            SoupMessage *message,
            gsize limit,
            GCancellable *cancellable,
            GError **error)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (message);
  gboolean is_announced
      = soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CONTENT_LENGTH;
  gsize announced = is_announced ? (gsize) soup_message_headers_get_content_length (headers) : 0;
  gsize capacity = is_announced ? MIN (announced, limit) + 1 : READ_SIZE;
  g_autofree char *buffer = kp_block_alloc (capacity);
  gsize length = 0;

  for (;;)
    {
      if (length > limit)
        {
          g_set_error (
              error, KP_ERROR, KP_ERROR_SERVER,
              "The server's reply is longer than the %" G_GSIZE_FORMAT " bytes it may have", limit);
          return NULL;
        }
      if (length == capacity)
        {
          capacity *= 2;
          buffer = g_realloc (buffer, capacity);
        }
      gssize n = g_input_stream_read (stream, buffer + length, MIN (capacity - length, READ_SIZE),
                                      cancellable, error);
      if (n < 0)
        return NULL;
      if (n == 0)
        return g_bytes_new_take (g_steal_pointer (&buffer), length);
      length += (gsize) n;
    }
}

static SoupMessage *
build_message (KpS3Request *request, KpS3Location *location, Attempt *attempt)
{
  g_autofree char *query = build_query (request);
  g_autoptr (GUri) uri = kp_s3_location_build_uri (location, request->key, query);
  SoupMessage *message = soup_message_new_from_uri (request->method, uri);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_IDEMPOTENT);
  for (guint i = 0; i < count_headers (request); i++)
    {
      const KpS3Header *header = get_header (request, i);
      soup_message_headers_append (headers, header->name, header->value);
    }
  g_signal_connect (message, "starting", G_CALLBACK (starting_cb), attempt);
  g_signal_connect (message, "network-event", G_CALLBACK (network_event_cb), attempt);
  if (request->body != NULL)
    g_signal_connect (message, "wrote-body-data", G_CALLBACK (wrote_body_data_cb), attempt);
  return message;
}

/* How long an attempt may go on and next to nothing comes, in seconds. S3 puts parts together and
 * copies objects for minutes, and sends a blank now and then meanwhile ("CompleteMultipartUpload",
 * Amazon S3 API reference). */
static unsigned
get_patience (KpS3Request *request, KpS3Service *service)
{
  unsigned timeout = kp_s3_service_get_timeout (service);
  gboolean is_long = request->operation == KP_S3_OPERATION_MULTIPART
                     || request->operation == KP_S3_OPERATION_COPY;

  /* The socket's own timeout comes first where nothing at all moves. */
  return is_long ? timeout * LONG_OPERATION : timeout + 1;
}

static GInputStream *
open_reply (GInputStream *raw, SoupMessage *message, KpS3Watch *watch, KpThrottle *throttle)
{
  /* As most replies to what is stored: there is nothing to hold back. */
  if (kp_s3_message_is_empty (message))
    return g_object_ref (raw);
  g_autoptr (GInputStream) watched = kp_s3_watch_inside (watch, raw);
  return kp_throttled_input_stream_new (watched, throttle);
}

static KpS3Reply *
send_watched (KpS3Request *request,
              KpS3Client *client,
              KpS3Location *location,
              KpS3Watch *watch,
              GError **error)
{
  KpS3Service *service = kp_s3_client_get_service (client);
  Attempt attempt = { .request = request,
                      .client = client,
                      .service = service,
                      .location = location,
                      .cancellable = kp_s3_watch_get_cancellable (watch),
                      .watch = watch };
  g_autoptr (SoupMessage) message = build_message (request, location, &attempt);
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GInputStream) raw
      = soup_session_send (kp_s3_client_get_session (client), message, attempt.cancellable, error);

  if (raw != NULL)
    {
      KpThrottle *throttle = kp_s3_service_get_download_throttle (service);
      g_autoptr (GInputStream) stream = open_reply (raw, message, watch, throttle);
      unsigned status = soup_message_get_status (message);
      gboolean success = status >= 200 && status < 300;

      kp_throttle_charge (throttle, 300);
      body = read_reply (stream, message, success ? request->reply_limit : DEFAULT_REPLY_LIMIT,
                         attempt.cancellable, error);
      /* The bytes are read or given up; an error of close() says nothing more. */
      g_input_stream_close (stream, NULL, NULL);

      gsize size = request->body != NULL ? g_bytes_get_size (request->body) : 0;
      if (body != NULL && success && attempt.body_written != size)
        {
          g_clear_pointer (&body, g_bytes_unref);
          g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                       "The connection took %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT " bytes",
                       attempt.body_written, size);
        }
    }
  g_signal_handlers_disconnect_by_data (message, &attempt);
  return body != NULL ? kp_s3_reply_new (g_steal_pointer (&message), g_steal_pointer (&body))
                      : NULL;
}

static KpS3Reply *
send_once (KpS3Request *request,
           KpS3Client *client,
           KpS3Location *location,
           GCancellable *cancellable,
           GError **error)
{
  KpS3Service *service = kp_s3_client_get_service (client);
  unsigned patience = get_patience (request, service);
  g_autoptr (GError) local_error = NULL;
  KpS3Watch *watch = kp_s3_client_get_watch (client);

  kp_s3_watch_begin (watch, patience, cancellable);
  KpS3Reply *reply = send_watched (request, client, location, watch, &local_error);
  gboolean too_slow = kp_s3_watch_end (watch);

  if (reply != NULL)
    return reply;
  if (too_slow && g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Next to nothing came in %u seconds",
                 patience);
  else
    g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

static gboolean
learn_from (KpS3Verdict verdict,
            KpS3Reply *reply,
            const KpS3Complaint *complaint,
            KpS3Service *service,
            KpS3Location *location)
{
  if (verdict == KP_S3_VERDICT_REGION)
    return complaint->region != NULL && *complaint->region != '\0'
           && kp_s3_service_learn_region (service, location, complaint->region);

  g_autoptr (GDateTime) time = kp_s3_reply_get_date (reply);
  if (time == NULL)
    return FALSE;
  kp_s3_service_learn_time (service, g_date_time_to_unix (time));
  return TRUE;
}

/* A HEAD has no body to hold a code. Where that hides a wrong clock or region, the Date and the
 * region header still tell. Nothing tells whether 400 is a RequestTimeout, or for good: temporary
 * keys that have expired, an object that is encrypted with a key of somebody else's. */
static KpS3Verdict
judge_head (KpS3Reply *reply,
            const KpS3Complaint *complaint,
            KpS3Service *service,
            KpS3Location *location,
            KpS3Verdict verdict,
            KpError *code)
{
  unsigned status = kp_s3_reply_get_status (reply);
  g_autoptr (GDateTime) time = kp_s3_reply_get_date (reply);

  if ((status == 400 || status == 301) && complaint->region != NULL
      && !g_str_equal (complaint->region, kp_s3_location_get_region (location)))
    {
      *code = KP_ERROR_WRONG_REGION;
      return KP_S3_VERDICT_REGION;
    }
  if (status == 403 && time != NULL
      && ABS (g_date_time_to_unix (time) - kp_s3_service_get_now (service)) > 10 * 60)
    {
      *code = KP_ERROR_CLOCK_SKEW;
      return KP_S3_VERDICT_CLOCK;
    }
  if (status == 400 && complaint->code == NULL)
    return KP_S3_VERDICT_UNCLEAR;
  return verdict;
}

/* Whether the server's ETag of what it has stored is the MD5 of what was sent, as far as that can
 * be told. The signature has the server check what it reads, not what it writes. */
static gboolean
is_stored_right (KpS3Request *request,
                 KpS3Service *service,
                 KpS3Location *location,
                 KpS3Reply *reply,
                 GError **error)
{
  g_autofree char *etag = kp_s3_etag_normalise (kp_s3_reply_get_header (reply, "ETag"));
  gsize size;
  const void *data = g_bytes_get_data (request->body, &size);

  /* Whoever stores something says its ETag and no more. A page of some gateway on the way does
   * neither, nor does an <Error> with status 200. */
  if (*etag == '\0' && g_bytes_get_size (kp_s3_reply_get_body (reply)) > 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                   "%s does not answer as S3 does; check the endpoint [no ETag, but a document]",
                   kp_s3_location_get_endpoint (location));
      return FALSE;
    }
  if (!kp_s3_location_get_provider (location)->md5_etag
      || !kp_s3_etag_is_md5 (etag, kp_s3_reply_get_headers (reply)))
    return TRUE;
  if (request->md5 == NULL && size > ALWAYS_PROVED
      && kp_s3_service_count_large_body (service) % PROVED_ONE_OF != 0)
    return TRUE;
  if (request->md5 == NULL)
    request->md5 = kp_s3_md5_hex (data, size);
  if (g_ascii_strcasecmp (etag, request->md5) == 0)
    return TRUE;
  g_autofree char *key = kp_s3_xml_display (request->key);
  g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
               "%s says that it has stored other bytes of “%s” than were sent (MD5 %s, not %s)",
               kp_s3_location_get_endpoint (location), key, etag, request->md5);
  return FALSE;
}

/* Takes one attempt's outcome apart: %KP_S3_VERDICT_OK with @reply kept, or a verdict with @error
 * set. */
static KpS3Verdict
judge (KpS3Request *request,
       KpS3Service *service,
       KpS3Location *location,
       KpS3Reply *reply,
       KpS3Complaint *complaint,
       GError **error)
{
  KpError code;
  unsigned status = kp_s3_reply_get_status (reply);
  gboolean success = status >= 200 && status < 300;

  if (success && request->may_be_empty && kp_s3_reply_is_empty (reply))
    return KP_S3_VERDICT_OK;
  if (success && request->hides_errors)
    {
      g_autoptr (GError) broken = NULL;

      if (kp_s3_reply_get_xml (reply, &broken) == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_SERVER,
                       "%s does not answer as S3 does; check the endpoint [%s]",
                       kp_s3_location_get_endpoint (location), broken->message);
          return KP_S3_VERDICT_TRANSIENT;
        }
    }
  if (!kp_s3_reply_is_whole (reply))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_SERVER, "%s broke off in the middle of its reply",
                   kp_s3_location_get_endpoint (location));
      return KP_S3_VERDICT_TRANSIENT;
    }
  if (!success || request->hides_errors)
    kp_s3_complaint_read (complaint, reply);

  KpS3Verdict verdict = kp_s3_judge_reply (status, complaint->code, &code);
  if (verdict != KP_S3_VERDICT_OK && g_str_equal (request->method, "HEAD"))
    verdict = judge_head (reply, complaint, service, location, verdict, &code);
  else if (request->is_stored && request->content_md5 == NULL
           && kp_s3_asks_for_md5 (status, complaint->code, complaint->message))
    verdict = KP_S3_VERDICT_MD5;
  if (verdict != KP_S3_VERDICT_OK)
    g_propagate_error (error, kp_s3_complaint_describe (complaint, code, request->operation,
                                                        request->key, service, location));
  else if (request->is_stored && !is_stored_right (request, service, location, reply, error))
    verdict = KP_S3_VERDICT_TRANSIENT;
  return verdict;
}

/* Temporary keys that have expired are refused with 400, which a HEAD has no words for: each file
 * would fail by itself, and nothing be said of keys. A GET of one byte has.
 *
 * Returns: (transfer full) (nullable): what it says about why a HEAD cannot be; NULL for nothing */
static GError *
ask_why (KpS3Request *head, KpS3Client *client, KpS3Location *location, GCancellable *cancellable)
{
  KpS3Service *service = kp_s3_client_get_service (client);
  g_autoptr (KpS3Request) get = kp_s3_request_new (KP_S3_OPERATION_GET, "GET", head->key);
  g_auto (KpS3Complaint) complaint = { 0 };
  g_autoptr (GError) error = NULL;

  if (head->key == NULL
      || kp_s3_credentials_get_session_token (kp_s3_service_get_credentials (service)) == NULL)
    return NULL;
  for (guint i = 0; i < head->query->len; i++)
    {
      const Pair *pair = &g_array_index (head->query, Pair, i);
      Pair copy = { g_strdup (pair->name), g_strdup (pair->value) };
      g_array_append_val (get->query, copy);
    }
  kp_s3_request_add_header (get, "range", "bytes=0-0");
  kp_s3_request_set_reply_limit (get, 1);
  kp_s3_service_count (service, KP_S3_OPERATION_GET, FALSE);
  g_autoptr (KpS3Reply) reply = send_once (get, client, location, cancellable, NULL);
  if (reply == NULL || kp_s3_reply_get_status (reply) != 400)
    return NULL;
  KpS3Verdict verdict = judge (get, service, location, reply, &complaint, &error);
  return verdict == KP_S3_VERDICT_PERMANENT && complaint.code != NULL ? g_steal_pointer (&error)
                                                                      : NULL;
}

/* Before an attempt: whether the MD5 has to go with it may have been learnt by another. */
static void
add_md5 (KpS3Request *request, KpS3Service *service)
{
  if (!request->is_stored || request->content_md5 != NULL || !kp_s3_service_needs_md5 (service))
    return;
  gsize size;
  const void *data = g_bytes_get_data (request->body, &size);
  request->content_md5 = kp_s3_md5_base64 (data, size);
}

/* Sleeps, but wakes at once when cancelled. */
static gboolean
pause_for (gint64 microseconds, GCancellable *cancellable, GError **error)
{
  GPollFD fd;
  gint64 end = g_get_monotonic_time () + microseconds;

  if (cancellable == NULL || !g_cancellable_make_pollfd (cancellable, &fd))
    {
      g_usleep ((gulong) microseconds);
      return TRUE;
    }
  gint64 left;
  while ((left = end - g_get_monotonic_time ()) > 0 && !g_cancellable_is_cancelled (cancellable))
    g_poll (&fd, 1, (int) (left / 1000) + 1);
  g_cancellable_release_fd (cancellable);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/**
 * kp_s3_request_send:
 * @error: a #KpError that says what failed and what to do, or %G_IO_ERROR_CANCELLED
 *
 * Sends the request until it succeeds, cannot succeed, or was tried often enough: the client says
 * how often. Blocks; to be called from the client's own thread.
 *
 * Returns: (transfer full): a reply with a status of 2xx that hides no error
 */
KpS3Reply *
kp_s3_request_send (KpS3Request *request,
                    KpS3Client *client,
                    GCancellable *cancellable,
                    GError **error)
{
  KpS3Service *service = kp_s3_client_get_service (client);
  unsigned max_attempts = kp_s3_client_get_max_attempts (client);
  unsigned sent = 0;
  unsigned failed = 0;
  gboolean clock_corrected = FALSE;
  gboolean region_followed = FALSE;
  gboolean was_unclear = FALSE;

  for (;;)
    {
      g_autoptr (GError) attempt_error = NULL;
      g_autoptr (KpS3Location) location = kp_s3_service_ref_location (service);
      g_auto (KpS3Complaint) complaint = { 0 };
      g_autoptr (KpS3Reply) reply = NULL;
      KpS3Verdict verdict;
      gint64 wait = 0;

      if (kp_s3_service_is_held (service))
        {
          soup_session_abort (kp_s3_client_get_session (client));
          if (!kp_s3_service_wait_while_held (service, cancellable, error))
            return NULL;
        }
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;

      add_md5 (request, service);
      kp_s3_service_count (service, request->operation, sent++ > 0);
      reply = send_once (request, client, location, cancellable, &attempt_error);
      if (reply != NULL)
        {
          kp_s3_service_hear_time (service, kp_s3_reply_get_header (reply, "Date"));
          verdict = judge (request, service, location, reply, &complaint, &attempt_error);
          wait = kp_s3_parse_retry_after (kp_s3_reply_get_header (reply, "Retry-After"),
                                          kp_s3_service_get_now (service));
        }
      else
        {
          KpError code;
          GError *transport_error = g_steal_pointer (&attempt_error);

          verdict = kp_s3_judge_transport (transport_error, &code);
          attempt_error = kp_s3_describe_transport (transport_error, code, location);
          g_error_free (transport_error);
        }

      switch (verdict)
        {
        case KP_S3_VERDICT_OK:
          kp_s3_reply_set_attempts (reply, sent);
          return g_steal_pointer (&reply);
        case KP_S3_VERDICT_CLOCK:
        case KP_S3_VERDICT_REGION:
          {
            gboolean *done = verdict == KP_S3_VERDICT_CLOCK ? &clock_corrected : &region_followed;
            if (!*done && learn_from (verdict, reply, &complaint, service, location))
              {
                *done = TRUE;
                continue;
              }
            g_propagate_error (error, g_steal_pointer (&attempt_error));
            return NULL;
          }
        case KP_S3_VERDICT_MD5:
          kp_s3_service_learn_md5 (service);
          continue;
        case KP_S3_VERDICT_SLOW_DOWN:
          kp_s3_service_count_slow_down (service);
          break;
        case KP_S3_VERDICT_TRANSIENT:
          break;
        case KP_S3_VERDICT_UNCLEAR:
          if (!was_unclear)
            {
              was_unclear = TRUE;
              break;
            }
          {
            GError *reason = ask_why (request, client, location, cancellable);
            g_propagate_error (error, reason != NULL ? reason : g_steal_pointer (&attempt_error));
            return NULL;
          }
        case KP_S3_VERDICT_PERMANENT:
        default:
          g_propagate_error (error, g_steal_pointer (&attempt_error));
          return NULL;
        }

      g_debug ("%s %s: %s", request->method, request->key != NULL ? request->key : "",
               attempt_error->message);
      if (++failed >= max_attempts)
        {
          g_propagate_error (error, g_steal_pointer (&attempt_error));
          return NULL;
        }
      wait = MAX (wait, kp_s3_backoff (failed, g_random_double ()));
      if (!pause_for (wait, cancellable, error))
        return NULL;
    }
}

/**
 * kp_s3_request_send_for_document:
 * @error: those of kp_s3_request_send()
 *
 * Sends a request whose answer is an XML document: with status 200 also where that says that it
 * failed.
 *
 * Returns: (transfer full): the document, which is no <Error>
 */
KpS3Xml *
kp_s3_request_send_for_document (KpS3Request *request,
                                 KpS3Client *client,
                                 GCancellable *cancellable,
                                 GError **error)
{
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  return reply != NULL ? kp_s3_reply_steal_xml (reply, error) : NULL;
}

/**
 * kp_s3_request_send_deletion:
 * @error: those of kp_s3_request_send(), but for %KP_ERROR_NOT_FOUND
 *
 * Sends a request that deletes something. That it is no more is a success.
 */
gboolean
kp_s3_request_send_deletion (KpS3Request *request,
                             KpS3Client *client,
                             GCancellable *cancellable,
                             GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, &local_error);

  if (reply != NULL || kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "fake-server.h"

#include <string.h>

/* How long anything that has to happen may take. */
#define PATIENCE (30 * G_TIME_SPAN_SECOND)

#define SHA256_SIZE 32

struct _FakeServer
{
  GSocketListener *listener;
  GCancellable *cancellable; /* ends everything */
  GThread *thread;
  guint16 port;

  GMutex lock; /* guards what follows */
  GCond cond;
  GPtrArray *threads;  /* of connections */
  GPtrArray *requests; /* of FakeRequest */
  GArray *replies;     /* of FakeReply, with strings of their own */
};

typedef struct
{
  FakeServer *server;
  GSocketConnection *connection;
  guint number;
} Connection;

static void
request_free (void *data)
{
  FakeRequest *request = data;

  g_free (request->method);
  g_free (request->path);
  g_free (request->query);
  g_hash_table_unref (request->headers);
  g_bytes_unref (request->body);
  g_free (request->region);
  g_free (request);
}

static void
reply_clear (void *data)
{
  FakeReply *reply = data;

  g_free ((char *) reply->headers);
  g_free ((char *) reply->body);
}

const char *
fake_request_get_header (const FakeRequest *request, const char *name)
{
  return g_hash_table_lookup (request->headers, name);
}

gboolean
fake_request_has_body (const FakeRequest *request, const char *text)
{
  gsize length;
  const void *data = g_bytes_get_data (request->body, &length);

  return length == strlen (text) && (length == 0 || memcmp (data, text, length) == 0);
}

/* ---- The signature, worked out once more ---- */

static void
hmac (const guint8 *key, gsize key_length, const char *text, guint8 *out)
{
  g_autoptr (GHmac) state = g_hmac_new (G_CHECKSUM_SHA256, key, key_length);
  gsize length = SHA256_SIZE;

  g_hmac_update (state, (const guchar *) text, -1);
  g_hmac_get_digest (state, out, &length);
}

static int
compare_parameters (const void *a, const void *b)
{
  g_auto (GStrv) x = g_strsplit (*(char *const *) a, "=", 2);
  g_auto (GStrv) y = g_strsplit (*(char *const *) b, "=", 2);
  int order = strcmp (x[0], y[0]);

  g_assert_nonnull (x[1]);
  g_assert_nonnull (y[1]);
  return order != 0 ? order : strcmp (x[1], y[1]);
}

/* A server sorts the query itself, so it has to come out sorted whatever the client sent. */
static char *
canonical_query (const char *query)
{
  g_auto (GStrv) parameters = g_strsplit (query, "&", -1);

  qsort (parameters, g_strv_length (parameters), sizeof *parameters, compare_parameters);
  return g_strjoinv ("&", parameters);
}

static char *
canonical_value (const char *value)
{
  GString *folded = g_string_new (NULL);
  g_auto (GStrv) words = g_strsplit_set (value, " \t", -1);

  for (char **word = words; *word != NULL; word++)
    if (**word != '\0')
      g_string_append_printf (folded, "%s%s", folded->len > 0 ? " " : "", *word);
  return g_string_free (folded, FALSE);
}

static void
check_all_signed (const FakeRequest *request, char **names)
{
  GHashTableIter iter;
  void *name;

  g_assert_true (g_strv_contains ((const char *const *) names, "host"));
  g_hash_table_iter_init (&iter, request->headers);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    if (g_str_has_prefix (name, "x-amz-") || g_str_has_prefix (name, "content-type")
        || g_str_has_prefix (name, "content-md5"))
      g_assert_true (g_strv_contains ((const char *const *) names, name));
  for (guint i = 1; i < g_strv_length (names); i++)
    g_assert_cmpint (strcmp (names[i - 1], names[i]), <, 0);
}

static char *
expected_signature (const FakeRequest *request,
                    char **names,
                    const char *signed_headers,
                    const char *const *scope)
{
  const char *date = fake_request_get_header (request, "x-amz-date");
  g_autofree char *query = canonical_query (request->query);
  g_autoptr (GString) canonical = g_string_new (NULL);
  guint8 key[SHA256_SIZE];
  guint8 next[SHA256_SIZE];

  g_string_append_printf (canonical, "%s\n%s\n%s\n", request->method, request->path, query);
  for (char **name = names; *name != NULL; name++)
    {
      const char *value = fake_request_get_header (request, *name);
      g_assert_nonnull (value);
      g_autofree char *folded = canonical_value (value);
      g_string_append_printf (canonical, "%s:%s\n", *name, folded);
    }
  g_string_append_printf (canonical, "\n%s\n%s", signed_headers,
                          fake_request_get_header (request, "x-amz-content-sha256"));

  g_autofree char *hash
      = g_compute_checksum_for_string (G_CHECKSUM_SHA256, canonical->str, (gssize) canonical->len);
  g_autofree char *to_sign = g_strdup_printf ("AWS4-HMAC-SHA256\n%s\n%s/%s/%s/%s\n%s", date,
                                              scope[1], scope[2], scope[3], scope[4], hash);
  static const char seed[] = "AWS4" FAKE_SECRET_KEY;
  hmac ((const guint8 *) seed, strlen (seed), scope[1], key);
  hmac (key, sizeof key, scope[2], next);
  hmac (next, sizeof next, scope[3], key);
  hmac (key, sizeof key, scope[4], next);
  g_autoptr (GHmac) last = g_hmac_new (G_CHECKSUM_SHA256, next, sizeof next);
  g_hmac_update (last, (const guchar *) to_sign, -1);
  return g_strdup (g_hmac_get_string (last));
}

/* "AWS4-HMAC-SHA256 Credential=KEY/DAY/REGION/s3/aws4_request,SignedHeaders=a;b,Signature=HEX" */
static void
check_signature (FakeRequest *request)
{
  const char *authorization = fake_request_get_header (request, "authorization");
  const char *date = fake_request_get_header (request, "x-amz-date");
  const char *sha256 = fake_request_get_header (request, "x-amz-content-sha256");

  g_assert_nonnull (authorization);
  g_assert_nonnull (date);
  g_assert_true (g_str_has_prefix (authorization, "AWS4-HMAC-SHA256 "));
  g_auto (GStrv) parts = g_strsplit (authorization + strlen ("AWS4-HMAC-SHA256 "), ",", -1);
  g_assert_cmpuint (g_strv_length (parts), ==, 3);
  g_assert_true (g_str_has_prefix (parts[0], "Credential="));
  g_assert_true (g_str_has_prefix (parts[1], "SignedHeaders="));
  g_assert_true (g_str_has_prefix (parts[2], "Signature="));
  const char *signed_headers = parts[1] + strlen ("SignedHeaders=");
  g_auto (GStrv) names = g_strsplit (signed_headers, ";", -1);
  g_auto (GStrv) scope = g_strsplit (parts[0] + strlen ("Credential="), "/", -1);
  g_assert_cmpuint (g_strv_length (scope), ==, 5);
  g_assert_cmpstr (scope[0], ==, FAKE_ACCESS_KEY);
  g_assert_true (g_str_has_prefix (date, scope[1]));
  g_assert_cmpstr (scope[3], ==, "s3");
  g_assert_cmpstr (scope[4], ==, "aws4_request");

  g_autofree char *body_sha256 = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, request->body);
  g_assert_cmpstr (sha256, ==, body_sha256);
  check_all_signed (request, names);
  g_autofree char *signature
      = expected_signature (request, names, signed_headers, (const char *const *) scope);
  g_assert_cmpstr (parts[2] + strlen ("Signature="), ==, signature);

  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (date, NULL);
  g_assert_nonnull (time);
  request->time = g_date_time_to_unix (time);
  request->region = g_strdup (scope[2]);
}

/* ---- HTTP ---- */

static char *
read_line (GDataInputStream *stream, GCancellable *cancellable)
{
  char *line = g_data_input_stream_read_line (stream, NULL, cancellable, NULL);

  if (line != NULL && g_str_has_suffix (line, "\r"))
    line[strlen (line) - 1] = '\0';
  return line;
}

/* Returns NULL at the end of the connection. */
static FakeRequest *
read_request (GDataInputStream *stream, GCancellable *cancellable)
{
  g_autofree char *first = read_line (stream, cancellable);

  if (first == NULL)
    return NULL;
  g_auto (GStrv) words = g_strsplit (first, " ", -1);
  g_assert_cmpuint (g_strv_length (words), ==, 3);
  g_assert_cmpstr (words[2], ==, "HTTP/1.1");
  const char *question_mark = strchrnul (words[1], '?');

  FakeRequest *request = g_new0 (FakeRequest, 1);
  request->method = g_strdup (words[0]);
  request->path = g_strndup (words[1], (gsize) (question_mark - words[1]));
  request->query = g_strdup (*question_mark == '?' ? question_mark + 1 : "");
  request->headers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (;;)
    {
      g_autofree char *line = read_line (stream, cancellable);
      g_assert_nonnull (line);
      if (*line == '\0')
        break;
      char *colon = strchr (line, ':');
      g_assert_nonnull (colon);
      /* A request that is sent again must not have the headers of its first attempt too. */
      g_assert_true (g_hash_table_insert (request->headers, g_ascii_strdown (line, colon - line),
                                          g_strdup (g_strstrip (colon + 1))));
    }

  const char *text = fake_request_get_header (request, "content-length");
  gsize length = text != NULL ? (gsize) g_ascii_strtoull (text, NULL, 10) : 0;
  gsize n_read;
  guint8 *body = g_malloc (length + 1);
  g_assert_null (fake_request_get_header (request, "transfer-encoding"));
  g_input_stream_read_all (G_INPUT_STREAM (stream), body, length, &n_read, cancellable, NULL);
  request->body = g_bytes_new_take (body, n_read);
  return request;
}

static GString *
build_reply (const FakeReply *reply, const char *method)
{
  GString *text = g_string_new (NULL);
  const char *body = reply->body != NULL ? reply->body : "";
  gboolean chunked = reply->action == FAKE_SEND_CHUNKED || reply->action == FAKE_SEND_CUT;
  gboolean is_head = strcmp (method, "HEAD") == 0;

  g_string_append_printf (text, "HTTP/1.1 %u Whatever\r\n%s",
                          reply->status != 0 ? reply->status : 200,
                          reply->headers != NULL ? reply->headers : "");
  if (chunked)
    g_string_append (text, "Transfer-Encoding: chunked\r\n");
  else if (reply->headers == NULL || strstr (reply->headers, "Content-Length:") == NULL)
    g_string_append_printf (text, "Content-Length: %zu\r\n", strlen (body));
  g_string_append (text, "\r\n");
  if (is_head)
    return text;

  if (chunked && *body != '\0')
    g_string_append_printf (text, "%zx\r\n%s\r\n", strlen (body), body);
  else
    g_string_append (text, body);
  if (reply->action == FAKE_SEND_CHUNKED)
    g_string_append (text, "0\r\n\r\n");
  if (reply->action == FAKE_SEND_SHORT)
    g_string_truncate (text, text->len - 1);
  return text;
}

/* Keeps @request, and finds what to answer. Takes over @request. */
static FakeReply
next_reply (FakeServer *server, FakeRequest *request)
{
  g_mutex_lock (&server->lock);
  if (server->requests->len >= server->replies->len)
    g_error ("a request that nobody expected: %s %s?%s", request->method, request->path,
             request->query);
  FakeReply reply = g_array_index (server->replies, FakeReply, server->requests->len);
  g_ptr_array_add (server->requests, request);
  g_cond_broadcast (&server->cond);
  g_mutex_unlock (&server->lock);
  return reply;
}

static void
trickle (FakeServer *server, GOutputStream *stream, GString *text)
{
  for (gsize i = 0; i < text->len; i++)
    {
      if (!g_output_stream_write_all (stream, text->str + i, 1, NULL, server->cancellable, NULL))
        return;
      g_usleep (G_USEC_PER_SEC / 10);
    }
}

static void *
connection_main (void *data)
{
  Connection *connection = data;
  FakeServer *server = connection->server;
  GIOStream *stream = G_IO_STREAM (connection->connection);
  g_autoptr (GDataInputStream) input
      = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  FakeRequest *request;
  gboolean go_on = TRUE;

  while (go_on && (request = read_request (input, server->cancellable)) != NULL)
    {
      request->connection = connection->number;
      check_signature (request);
      g_autofree char *method = g_strdup (request->method);
      FakeReply reply = next_reply (server, request);

      if (reply.hook != NULL)
        reply.hook (reply.data);
      go_on = reply.action == FAKE_SEND || reply.action == FAKE_SEND_CHUNKED;
      if (reply.action == FAKE_HANG)
        {
          /* Until the client closes the connection. */
          guint8 byte;
          g_input_stream_read (G_INPUT_STREAM (input), &byte, 1, server->cancellable, NULL);
        }
      else if (reply.action != FAKE_CLOSE)
        {
          g_autoptr (GString) text = build_reply (&reply, method);
          /* The client may have gone; then that is what the test is about. */
          if (reply.action == FAKE_TRICKLE)
            trickle (server, g_io_stream_get_output_stream (stream), text);
          else
            g_output_stream_write_all (g_io_stream_get_output_stream (stream), text->str, text->len,
                                       NULL, server->cancellable, NULL);
        }
    }
  g_io_stream_close (stream, NULL, NULL);
  g_object_unref (connection->connection);
  g_free (connection);
  return NULL;
}

static void *
server_main (void *data)
{
  FakeServer *server = data;
  GSocketConnection *accepted;
  guint number = 0;

  while ((accepted = g_socket_listener_accept (server->listener, NULL, server->cancellable, NULL))
         != NULL)
    {
      Connection *connection = g_new0 (Connection, 1);
      connection->server = server;
      connection->connection = accepted;
      connection->number = ++number;
      g_mutex_lock (&server->lock);
      g_ptr_array_add (server->threads, g_thread_new ("connection", connection_main, connection));
      g_mutex_unlock (&server->lock);
    }
  return NULL;
}

FakeServer *
fake_server_new (void)
{
  FakeServer *server = g_new0 (FakeServer, 1);
  g_autoptr (GSocketAddress) any_port = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GError) error = NULL;

  g_mutex_init (&server->lock);
  g_cond_init (&server->cond);
  server->cancellable = g_cancellable_new ();
  server->threads = g_ptr_array_new ();
  server->requests = g_ptr_array_new_with_free_func (request_free);
  server->replies = g_array_new (FALSE, FALSE, sizeof (FakeReply));
  g_array_set_clear_func (server->replies, reply_clear);
  server->listener = g_socket_listener_new ();
  g_socket_listener_add_address (server->listener, any_port, G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_TCP, NULL, &address, &error);
  g_assert_no_error (error);
  server->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
  server->thread = g_thread_new ("server", server_main, server);
  return server;
}

void
fake_server_free (FakeServer *server)
{
  g_cancellable_cancel (server->cancellable);
  g_thread_join (server->thread);
  for (guint i = 0; i < server->threads->len; i++)
    g_thread_join (g_ptr_array_index (server->threads, i));
  if (server->requests->len < server->replies->len)
    g_error ("only %u of %u requests came", server->requests->len, server->replies->len);

  g_ptr_array_unref (server->threads);
  g_ptr_array_unref (server->requests);
  g_array_unref (server->replies);
  g_object_unref (server->listener);
  g_object_unref (server->cancellable);
  g_mutex_clear (&server->lock);
  g_cond_clear (&server->cond);
  g_free (server);
}

/* Adds to what the server is going to answer. */
void
fake_server_script (FakeServer *server, const FakeReply *replies, gsize n_replies)
{
  g_mutex_lock (&server->lock);
  for (gsize i = 0; i < n_replies; i++)
    {
      FakeReply reply = replies[i];
      reply.headers = g_strdup (reply.headers);
      reply.body = g_strdup (reply.body);
      g_array_append_val (server->replies, reply);
    }
  g_mutex_unlock (&server->lock);
}

guint16
fake_server_get_port (FakeServer *server)
{
  return server->port;
}

guint
fake_server_get_n_requests (FakeServer *server)
{
  g_mutex_lock (&server->lock);
  guint n = server->requests->len;
  g_mutex_unlock (&server->lock);
  return n;
}

void
fake_server_wait_for_requests (FakeServer *server, guint n_requests)
{
  gint64 end = g_get_monotonic_time () + PATIENCE;

  g_mutex_lock (&server->lock);
  while (server->requests->len < n_requests)
    if (!g_cond_wait_until (&server->cond, &server->lock, end))
      g_error ("only %u of %u requests came in time", server->requests->len, n_requests);
  g_mutex_unlock (&server->lock);
}

const FakeRequest *
fake_server_get_request (FakeServer *server, guint index)
{
  g_mutex_lock (&server->lock);
  g_assert_cmpuint (index, <, server->requests->len);
  const FakeRequest *request = g_ptr_array_index (server->requests, index);
  g_mutex_unlock (&server->lock);
  return request;
}

/* ---- A client of it ---- */

static void
notice_cb (const char *sentence, void *user_data)
{
  Fixture *fixture = user_data;

  g_mutex_lock (&fixture->lock);
  g_ptr_array_add (fixture->notices, g_strdup (sentence));
  g_mutex_unlock (&fixture->lock);
}

Fixture *
fixture_new (const char *provider_id, const char *session_token)
{
  Fixture *fixture = g_new0 (Fixture, 1);
  g_autoptr (GError) error = NULL;

  g_mutex_init (&fixture->lock);
  fixture->notices = g_ptr_array_new_with_free_func (g_free);
  fixture->context = g_main_context_new ();
  g_main_context_push_thread_default (fixture->context);
  fixture->server = fake_server_new ();

  g_autofree char *endpoint
      = g_strdup_printf ("http://127.0.0.1:%u", fake_server_get_port (fixture->server));
  g_autoptr (KpS3Location) location
      = kp_s3_location_new ("s3://bucket", endpoint, "here-1", provider_id, FALSE, &error);
  g_assert_no_error (error);
  g_autoptr (KpS3Credentials) credentials
      = kp_s3_credentials_new (FAKE_ACCESS_KEY, FAKE_SECRET_KEY, session_token);
  g_autoptr (KpThrottle) upload = kp_throttle_new (0);
  g_autoptr (KpThrottle) download = kp_throttle_new (0);
  fixture->service = kp_s3_service_new (location, credentials, NULL, upload, download, &error);
  g_assert_no_error (error);
  kp_s3_service_set_notice_func (fixture->service, notice_cb, fixture);
  fixture->client = kp_s3_client_new (fixture->service);
  kp_s3_client_set_max_attempts (fixture->client, 2);
  return fixture;
}

void
fixture_free (Fixture *fixture)
{
  kp_s3_client_free (fixture->client);
  fake_server_free (fixture->server);
  g_assert_finalize_object (fixture->service);
  g_main_context_pop_thread_default (fixture->context);
  g_main_context_unref (fixture->context);
  g_ptr_array_unref (fixture->notices);
  g_mutex_clear (&fixture->lock);
  g_free (fixture);
}

void
fixture_get_statistics (Fixture *fixture, KpS3Statistics *statistics)
{
  kp_s3_service_get_statistics (fixture->service, statistics);
}

/* ---- What was sent ---- */

const FakeRequest *
sent (Fixture *fixture, guint index)
{
  return fake_server_get_request (fixture->server, index);
}

void
assert_sent (Fixture *fixture, guint index, const char *method, const char *path, const char *query)
{
  const FakeRequest *request = sent (fixture, index);

  g_assert_cmpstr (request->method, ==, method);
  g_assert_cmpstr (request->path, ==, path);
  g_assert_cmpstr (request->query, ==, query);
}

void
assert_sent_header (Fixture *fixture, guint index, const char *name, const char *value)
{
  g_assert_cmpstr (fake_request_get_header (sent (fixture, index), name), ==, value);
}

void
assert_sent_body (Fixture *fixture, guint index, const char *text)
{
  gsize length;
  const void *data = g_bytes_get_data (sent (fixture, index)->body, &length);

  g_assert_cmpmem (data, length, text, strlen (text));
}

KpS3HeaderList *
some_headers (void)
{
  KpS3HeaderList *headers = kp_s3_header_list_new ();

  kp_s3_header_list_add (headers, "content-type", "image/jpeg");
  kp_s3_header_list_add (headers, "x-amz-meta-mode", "33188");
  kp_s3_header_list_add (headers, "x-amz-storage-class", "STANDARD_IA");
  return headers;
}

void
assert_some_headers (Fixture *fixture, guint index)
{
  assert_sent_header (fixture, index, "content-type", "image/jpeg");
  assert_sent_header (fixture, index, "x-amz-meta-mode", "33188");
  assert_sent_header (fixture, index, "x-amz-storage-class", "STANDARD_IA");
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A server on 127.0.0.1 that plays a script: the n-th request gets the n-th reply, or is treated as
 * badly as the script says. Of each request it checks, with means of its own, that it is signed as
 * Amazon's API reference says: path, query, headers and body as they came over the wire.
 *
 * A request beyond the script, or a script that was not played to its end, fails the test. */

#include "kp-s3-client.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define FAKE_ACCESS_KEY "AKIAFAKE"
#define FAKE_SECRET_KEY "fake/secret+key"
#define FAKE_XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define ERROR_XML(code) FAKE_XML "<Error><Code>" code "</Code><Message>m</Message></Error>"

#define MD5_A "9b2cf535f27731c974343645a3985328"
#define MD5_B "70ee1738b6b21e2c8a43f3a5ab0eee71"

typedef enum
{
  FAKE_SEND,         /* a whole reply */
  FAKE_SEND_CHUNKED, /* the same, chunked */
  FAKE_SEND_CUT,     /* chunked, and the connection closed before the last chunk */
  FAKE_SEND_SHORT,   /* the connection closed one byte before the announced end */
  FAKE_CLOSE,        /* the connection closed without a word when the request is there */
  FAKE_HANG,         /* no answer, until the client gives up */
  FAKE_TRICKLE,      /* a whole reply, ten bytes a second, until the client gives up */
} FakeAction;

typedef struct
{
  FakeAction action;
  unsigned status;     /* 0: 200 */
  const char *headers; /* lines, each ended by "\r\n"; or NULL */
  const char *body;    /* or NULL */

  /* Called in the server's thread when the request is there and not yet answered; or NULL. */
  void (*hook) (void *data);
  void *data;
} FakeReply;

typedef struct
{
  char *method;
  char *path;          /* as on the wire */
  char *query;         /* as on the wire; "" for none */
  GHashTable *headers; /* by lower-case name */
  GBytes *body;
  guint connection; /* 1 = the first */
  char *region;     /* that it is signed for */
  gint64 time;      /* that it is signed with, in Unix seconds */
} FakeRequest;

typedef struct _FakeServer FakeServer;

FakeServer *fake_server_new (void);
void fake_server_free (FakeServer *server);
void fake_server_script (FakeServer *server, const FakeReply *replies, gsize n_replies);
guint16 fake_server_get_port (FakeServer *server);
guint fake_server_get_n_requests (FakeServer *server);
void fake_server_wait_for_requests (FakeServer *server, guint n_requests);
const FakeRequest *fake_server_get_request (FakeServer *server, guint index);

const char *fake_request_get_header (const FakeRequest *request, const char *name);
gboolean fake_request_has_body (const FakeRequest *request, const char *text);

/* A server with a client of it, for the calling thread: "s3://bucket" without a prefix. */
typedef struct
{
  GMainContext *context;
  FakeServer *server;
  KpS3Service *service;
  KpS3Client *client; /* tries everything twice at most */
  GPtrArray *notices; /* what the user was told */
  GMutex lock;        /* guards notices */
} Fixture;

Fixture *fixture_new (const char *provider_id, const char *session_token);
void fixture_free (Fixture *fixture);
void fixture_get_statistics (Fixture *fixture, KpS3Statistics *statistics);

#define fixture_script(fixture, replies)                                                           \
  fake_server_script ((fixture)->server, (replies), G_N_ELEMENTS (replies))

/* The @index-th request that came. */
const FakeRequest *sent (Fixture *fixture, guint index);
void assert_sent (Fixture *fixture,
                  guint index,
                  const char *method,
                  const char *path,
                  const char *query);
void assert_sent_header (Fixture *fixture, guint index, const char *name, const char *value);
void assert_sent_body (Fixture *fixture, guint index, const char *text);

/* Of an object that is sent, and that they came. */
KpS3HeaderList *some_headers (void);
void assert_some_headers (Fixture *fixture, guint index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FakeServer, fake_server_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

G_END_DECLS

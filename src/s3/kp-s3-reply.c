/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-reply.h"

struct _KpS3Reply
{
  SoupMessage *message;
  GBytes *body;
  KpS3Xml *xml; /* what the body says, or NULL: see kp_s3_reply_get_xml() */
  unsigned attempts;
};

/**
 * kp_s3_reply_new:
 * @message: (transfer full): has been sent, and answered
 * @body: (transfer full): of the answer
 */
KpS3Reply *
kp_s3_reply_new (SoupMessage *message, GBytes *body)
{
  KpS3Reply *reply = g_new0 (KpS3Reply, 1);

  reply->message = message;
  reply->body = body;
  return reply;
}

void
kp_s3_reply_free (KpS3Reply *reply)
{
  g_object_unref (reply->message);
  g_bytes_unref (reply->body);
  g_clear_pointer (&reply->xml, kp_s3_xml_free);
  g_free (reply);
}

unsigned
kp_s3_reply_get_status (KpS3Reply *reply)
{
  return soup_message_get_status (reply->message);
}

/**
 * kp_s3_reply_get_header:
 *
 * Returns: (nullable): the value of the header @name
 */
const char *
kp_s3_reply_get_header (KpS3Reply *reply, const char *name)
{
  return soup_message_headers_get_one (soup_message_get_response_headers (reply->message), name);
}

/**
 * kp_s3_reply_get_date:
 *
 * Returns: (transfer full) (nullable): the time that the server has, or %NULL where it does not say
 */
GDateTime *
kp_s3_reply_get_date (KpS3Reply *reply)
{
  const char *date = kp_s3_reply_get_header (reply, "Date");

  return date != NULL ? soup_date_time_new_from_http_string (date) : NULL;
}

SoupMessageHeaders *
kp_s3_reply_get_headers (KpS3Reply *reply)
{
  return soup_message_get_response_headers (reply->message);
}

GBytes *
kp_s3_reply_get_body (KpS3Reply *reply)
{
  return reply->body;
}

/**
 * kp_s3_reply_get_xml:
 * @error: that of kp_s3_xml_parse()
 *
 * Reads the body once, however often it is asked for: where nothing has changed, pages of a listing
 * are a good part of the work.
 *
 * Returns: (transfer none): the body as a document; %NULL where it is none
 */
KpS3Xml *
kp_s3_reply_get_xml (KpS3Reply *reply, GError **error)
{
  if (reply->xml == NULL)
    reply->xml = kp_s3_xml_parse (reply->body, error);
  return reply->xml;
}

/**
 * kp_s3_reply_steal_xml:
 * @error: that of kp_s3_xml_parse()
 *
 * Returns: (transfer full): the same, for who needs nothing else of the reply
 */
KpS3Xml *
kp_s3_reply_steal_xml (KpS3Reply *reply, GError **error)
{
  KpS3Xml *xml = kp_s3_reply_get_xml (reply, error);

  reply->xml = NULL;
  return xml;
}

/**
 * kp_s3_message_is_empty:
 *
 * Returns: whether the answer to @message says that it has no body; one that was cut does not
 */
gboolean
kp_s3_message_is_empty (SoupMessage *message)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (message);

  return soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CONTENT_LENGTH
         && soup_message_headers_get_content_length (headers) == 0;
}

gboolean
kp_s3_reply_is_empty (KpS3Reply *reply)
{
  return kp_s3_message_is_empty (reply->message);
}

/**
 * kp_s3_reply_is_whole:
 *
 * Returns: whether the body has its length, as far as that can be told: libsoup takes a chunked
 *   reply that was cut for a whole one; of a range, the head tells its length
 */
gboolean
kp_s3_reply_is_whole (KpS3Reply *reply)
{
  goffset start, end, total;

  return kp_s3_reply_get_status (reply) != 206
         || !soup_message_headers_get_content_range (kp_s3_reply_get_headers (reply), &start, &end,
                                                     &total)
         || g_bytes_get_size (reply->body) == (guint64) (end - start + 1);
}

void
kp_s3_reply_set_attempts (KpS3Reply *reply, unsigned attempts)
{
  reply->attempts = attempts;
}

/**
 * kp_s3_reply_get_attempts:
 *
 * Returns: how often the request was sent; more than once means that an earlier attempt may have
 * been carried out without our hearing of it
 */
unsigned
kp_s3_reply_get_attempts (KpS3Reply *reply)
{
  return reply->attempts;
}

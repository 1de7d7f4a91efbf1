/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-complaint.h"

#include "kp-s3-xml.h"

void
kp_s3_complaint_clear (KpS3Complaint *complaint)
{
  g_free (complaint->code);
  g_free (complaint->message);
  g_free (complaint->region);
}

static char *
display (const char *text)
{
  return text != NULL ? kp_s3_xml_display (text) : NULL;
}

/* NULL for what cannot be the name of a region. */
static char *
take_region (const char *text)
{
  return text != NULL && kp_s3_service_is_region (text) ? g_strdup (text) : NULL;
}

/**
 * kp_s3_complaint_read:
 * @complaint: (out): empty before; to be cleared by kp_s3_complaint_clear()
 *
 * Takes from a reply what it says about a failure.
 */
void
kp_s3_complaint_read (KpS3Complaint *complaint, KpS3Reply *reply)
{
  KpS3Xml *xml = kp_s3_reply_get_xml (reply, NULL);

  complaint->status = kp_s3_reply_get_status (reply);
  complaint->region = take_region (kp_s3_reply_get_header (reply, "x-amz-bucket-region"));
  if (xml == NULL || !g_str_equal (kp_s3_xml_get_root (xml), "Error"))
    return;
  complaint->code = display (kp_s3_xml_get (xml, "Code"));
  /* A success with an error in it is none, though it does not say which. */
  if (complaint->code == NULL && complaint->status < 300)
    complaint->code = g_strdup ("Error");
  complaint->message = display (kp_s3_xml_get (xml, "Message"));
  if (complaint->region == NULL)
    complaint->region = take_region (kp_s3_xml_get (xml, "Region"));
}

static const char *
operation_in_words (KpS3Operation operation)
{
  switch (operation)
    {
    case KP_S3_OPERATION_LIST:
      return "list the bucket";
    case KP_S3_OPERATION_HEAD:
    case KP_S3_OPERATION_GET:
      return "read objects";
    case KP_S3_OPERATION_PUT:
    case KP_S3_OPERATION_COPY:
    case KP_S3_OPERATION_MULTIPART:
      return "write objects";
    case KP_S3_OPERATION_DELETE:
      return "delete objects";
    case KP_S3_OPERATION_RETRIEVE:
      return "have objects brought out of the archive";
    case KP_S3_OPERATION_BUCKET:
    default:
      return "see and change the bucket's settings";
    }
}

/* Some servers check the signature before they look at the region that it is for. */
static char *
describe_signature (const char *access_key, KpS3Location *location)
{
  const char *endpoint = kp_s3_location_get_endpoint (location);

  if (kp_s3_location_guesses_region (location))
    return g_strdup_printf ("The secret key does not belong to the access key “%s” at %s, or the "
                            "region there is not %s; enter the secret key again, or give the "
                            "server's region with --region",
                            access_key, endpoint, kp_s3_location_get_region (location));
  return g_strdup_printf ("The secret key does not belong to the access key “%s” at %s; enter the "
                          "secret key again",
                          access_key, endpoint);
}

/* What servers say that do not take the bucket in the path. */
static char *
describe_style (const char *code, KpS3Location *location)
{
  static const char *const ids[][2] = {
    { "SecondLevelDomainForbidden", "alibaba" },
    { "PathStyleDomainForbidden", "tencent" },
  };
  const char *endpoint = kp_s3_location_get_endpoint (location);

  if (kp_s3_location_get_provider (location)->virtual_style)
    return g_strdup_printf ("%s wants the bucket in the host name, where “%s” cannot stand; use a "
                            "bucket whose name has nothing but small letters, digits and hyphens",
                            endpoint, kp_s3_location_get_bucket (location));
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    if (g_strcmp0 (code, ids[i][0]) == 0)
      return g_strdup_printf ("%s wants the bucket in the host name; choose the provider %s "
                              "(--provider %s)",
                              endpoint, kp_s3_provider_find (ids[i][1])->name, ids[i][1]);
  return g_strdup_printf ("%s wants the bucket in the host name; choose another provider",
                          endpoint);
}

/**
 * kp_s3_complaint_describe:
 * @code: what the complaint was found to mean
 * @operation: that failed
 * @key: (nullable): the whole key it was about; %NULL for the bucket
 *
 * Returns: (transfer full): one sentence with cause and remedy, as an error with @code. The
 *   server's own words come last, in brackets.
 */
GError *
kp_s3_complaint_describe (const KpS3Complaint *complaint,
                          KpError code,
                          KpS3Operation operation,
                          const char *key,
                          KpS3Service *service,
                          KpS3Location *location)
{
  const char *endpoint = kp_s3_location_get_endpoint (location);
  const char *bucket = kp_s3_location_get_bucket (location);
  const char *access_key
      = kp_s3_credentials_get_access_key (kp_s3_service_get_credentials (service));
  g_autofree char *shown = kp_s3_xml_display (key != NULL ? key : "");
  g_autofree char *said = NULL;
  g_autofree char *text = NULL;

  if (complaint->code != NULL)
    said = g_strdup_printf ("[%u %s%s%s]", complaint->status, complaint->code,
                            complaint->message != NULL && *complaint->message != '\0' ? ": " : "",
                            complaint->message != NULL ? complaint->message : "");
  else
    said = g_strdup_printf ("[%u]", complaint->status);

  switch ((int) code)
    {
    case KP_ERROR_USAGE:
      text = describe_style (complaint->code, location);
      break;
    case KP_ERROR_BAD_CREDENTIALS:
      if (g_strcmp0 (complaint->code, "SignatureDoesNotMatch") == 0)
        text = describe_signature (access_key, location);
      else if (g_strcmp0 (complaint->code, "ExpiredToken") == 0)
        text = g_strdup_printf ("The temporary keys for %s have expired; get new ones", endpoint);
      else
        text
            = g_strdup_printf ("%s does not know the access key “%s”; check the access key and the "
                               "endpoint",
                               endpoint, access_key);
      break;
    case KP_ERROR_ACCESS_DENIED:
      text = g_strdup_printf ("The access key “%s” may not %s in “%s”; ask the bucket's owner for "
                              "that permission",
                              access_key, operation_in_words (operation), bucket);
      break;
    case KP_ERROR_NO_SUCH_BUCKET:
      text = g_strdup_printf ("There is no bucket “%s” at %s; check the name, or create it there "
                              "first",
                              bucket, endpoint);
      break;
    case KP_ERROR_CLOCK_SKEW:
      text = g_strdup_printf ("%s says that this computer's clock is wrong, and setting it by the "
                              "server's did not help; set the clock",
                              endpoint);
      break;
    case KP_ERROR_WRONG_REGION:
      if (g_strcmp0 (complaint->region, kp_s3_location_get_region (location)) == 0)
        text = g_strdup_printf ("The bucket “%s” is in the region %s, and %s is not the address of "
                                "that; check --endpoint-url",
                                bucket, complaint->region, endpoint);
      else if (complaint->region != NULL)
        text = g_strdup_printf ("The bucket “%s” is in the region %s, not %s; use --region %s",
                                bucket, complaint->region, kp_s3_location_get_region (location),
                                complaint->region);
      else
        text = g_strdup_printf ("%s is not the right address or region for the bucket “%s”; check "
                                "--endpoint-url and --region",
                                endpoint, bucket);
      break;
    case KP_ERROR_QUOTA:
      text = g_strdup_printf ("The storage at %s is full; free some, or raise the quota", endpoint);
      break;
    case KP_ERROR_UNSUPPORTED_BY_PROVIDER:
      text = g_strdup_printf ("%s does not offer this operation", endpoint);
      break;
    case KP_ERROR_NOT_FOUND:
      text = g_strdup_printf ("“%s” does not exist in “%s”", shown, bucket);
      break;
    case KP_ERROR_CONFLICT:
      text = g_strdup_printf ("“%s” was changed in the bucket at the same time",
                              *shown != '\0' ? shown : bucket);
      break;
    case KP_ERROR_ARCHIVED:
      text = g_strdup_printf ("“%s” is archived; request its retrieval first", shown);
      break;
    case KP_ERROR_REFUSED:
      text = g_strdup_printf ("%s refuses to %s", endpoint, operation_in_words (operation));
      break;
    default:
      text = g_strdup_printf ("%s cannot %s at the moment", endpoint,
                              operation_in_words (operation));
      break;
    }
  return g_error_new (KP_ERROR, (int) code, "%s %s", text, said);
}

/**
 * kp_s3_describe_transport:
 * @transport_error: of libsoup, GIO, TLS or our own reading of the reply
 * @code: what it was found to mean
 *
 * The same for what did not get as far as a reply.
 *
 * Returns: (transfer full): an error with @code, or %G_IO_ERROR_CANCELLED
 */
GError *
kp_s3_describe_transport (const GError *transport_error, KpError code, KpS3Location *location)
{
  const char *endpoint = kp_s3_location_get_endpoint (location);

  if (g_error_matches (transport_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return g_error_copy (transport_error);
  if (code == KP_ERROR_TLS)
    return g_error_new (
        KP_ERROR, KP_ERROR_TLS,
        "The certificate of %s is not trusted; if it is your own server, name its CA "
        "with --ca-bundle FILE [%s]",
        endpoint, transport_error->message);
  /* Something is there. A head that is too long is to libsoup the same as one that is cut. */
  if (code == KP_ERROR_OFFLINE
      && (g_error_matches (transport_error, SOUP_SESSION_ERROR, SOUP_SESSION_ERROR_PARSING)
          || g_error_matches (transport_error, SOUP_SESSION_ERROR, SOUP_SESSION_ERROR_ENCODING)
          || g_error_matches (transport_error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT)))
    return g_error_new (KP_ERROR, KP_ERROR_OFFLINE,
                        "%s breaks off, or does not answer as a server does; check the network and "
                        "the endpoint [%s]",
                        endpoint, transport_error->message);
  if (code == KP_ERROR_OFFLINE)
    return g_error_new (KP_ERROR, KP_ERROR_OFFLINE,
                        "Cannot reach %s; check the network and the endpoint [%s]", endpoint,
                        transport_error->message);
  return g_error_new (KP_ERROR, (int) code, "%s [%s]", transport_error->message, endpoint);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-archive.h"

#include "kp-error.h"
#include "kp-s3-request.h"
#include "kp-s3-sign.h"

#include <string.h>

/* Names and waits as Amazon's user guide has them, "Archive retrieval options": of Flexible
 * Retrieval, and of Deep Archive. */
static const struct
{
  const char *name;    /* as people write it */
  const char *element; /* as the request has it */
  const char *wait;
} tiers[] = {
  [KP_S3_TIER_NONE] = { NULL, NULL, NULL },
  [KP_S3_TIER_STANDARD] = { "standard", "Standard", "3 to 5 hours, or 12 from a deep archive" },
  [KP_S3_TIER_BULK] = { "bulk", "Bulk", "5 to 12 hours, or 48 from a deep archive" },
  [KP_S3_TIER_EXPEDITED]
  = { "expedited", "Expedited", "1 to 5 minutes, but not from a deep archive" },
};

/**
 * kp_s3_tier_parse:
 * @text: "standard", "bulk" or "expedited"
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_s3_tier_parse (const char *text, KpS3Tier *tier, GError **error)
{
  for (gsize i = KP_S3_TIER_STANDARD; i < G_N_ELEMENTS (tiers); i++)
    if (g_str_equal (text, tiers[i].name))
      {
        *tier = (KpS3Tier) i;
        return TRUE;
      }
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is no way to retrieve from an archive; write standard, bulk or expedited",
               text);
  return FALSE;
}

/**
 * kp_s3_tier_describe_wait:
 *
 * Returns: how long it takes, as in "3 to 5 hours"
 */
const char *
kp_s3_tier_describe_wait (KpS3Tier tier)
{
  return tiers[tier].wait;
}

/**
 * kp_s3_archive_retrieve:
 * @version_id: (nullable): which version; %NULL for the latest
 * @days: for which a readable copy stays, at least 1
 * @error: those of kp_s3_request_send()
 *
 * RestoreObject. That it was asked for already is no error.
 */
gboolean
kp_s3_archive_retrieve (KpS3Client *client,
                        const char *key,
                        const char *version_id,
                        KpS3Tier tier,
                        unsigned days,
                        GCancellable *cancellable,
                        GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_RETRIEVE, "POST", key);
  g_autofree char *document = g_strdup_printf (
      "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>%u</Days>"
      "<GlacierJobParameters><Tier>%s</Tier></GlacierJobParameters></RestoreRequest>",
      days, tiers[tier].element);
  g_autoptr (GBytes) body = g_bytes_new (document, strlen (document));
  g_autofree char *md5 = kp_s3_md5_base64 (document, strlen (document));
  g_autoptr (GError) local_error = NULL;

  g_return_val_if_fail (tier != KP_S3_TIER_NONE, FALSE);

  kp_s3_request_add_query (request, "restore", "");
  kp_s3_request_add_query (request, "versionId", version_id);
  kp_s3_request_add_header (request, "content-md5", md5);
  kp_s3_request_add_header (request, "content-type", "application/xml");
  kp_s3_request_set_body (request, body, NULL);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, &local_error);
  /* 409 RestoreAlreadyInProgress */
  if (reply != NULL || kp_error_is (local_error, KP_ERROR_CONFLICT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

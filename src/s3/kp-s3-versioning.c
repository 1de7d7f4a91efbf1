/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-versioning.h"

#include "kp-error.h"
#include "kp-s3-request.h"
#include "kp-s3-sign.h"
#include "kp-s3-xml.h"

#include <string.h>

#define NAMESPACE "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define RULE_ID "keepsake"
#define CONFIGURATION_END "</LifecycleConfiguration>"

/* A thousand rules of a kilobyte. */
#define CONFIGURATION_LIMIT (2 * 1024 * 1024)

static char *
make_rule_id (KpS3Location *location)
{
  g_autofree char *base = kp_s3_location_get_key (location, "");
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, base, -1);

  /* One for each prefix of the bucket. */
  return g_strdup_printf (RULE_ID "-%.8s", digest);
}

/**
 * kp_s3_versioning_make_rule:
 * @days: for which an old version is kept, at least 1
 *
 * Returns: (transfer full): the <Rule> of the bucket's lifecycle that kp_s3_versioning_enable()
 *   sets, as Amazon's API reference has it; for people to read, too
 */
char *
kp_s3_versioning_make_rule (KpS3Location *location, unsigned days)
{
  g_autofree char *id = make_rule_id (location);
  g_autofree char *base = kp_s3_location_get_key (location, "");

  return g_markup_printf_escaped (
      "<Rule>\n"
      "  <ID>%s</ID>\n"
      "  <Filter><Prefix>%s</Prefix></Filter>\n"
      "  <Status>Enabled</Status>\n"
      "  <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\n"
      "  <NoncurrentVersionExpiration><NoncurrentDays>%u</NoncurrentDays>"
      "</NoncurrentVersionExpiration>\n"
      "  <AbortIncompleteMultipartUpload><DaysAfterInitiation>%d</DaysAfterInitiation>"
      "</AbortIncompleteMultipartUpload>\n"
      "</Rule>\n",
      id, base, days, KP_S3_UNFINISHED_DAYS);
}

static gboolean
put_document (KpS3Client *client,
              const char *query,
              const char *document,
              GCancellable *cancellable,
              GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_BUCKET, "PUT", NULL);
  g_autoptr (GBytes) body = g_bytes_new (document, strlen (document));
  g_autofree char *md5 = kp_s3_md5_base64 (document, strlen (document));

  kp_s3_request_add_query (request, query, "");
  kp_s3_request_add_header (request, "content-md5", md5);
  kp_s3_request_add_header (request, "content-type", "application/xml");
  kp_s3_request_set_body (request, body, NULL);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, error);
  return reply != NULL;
}

/* The bucket's lifecycle as text; "" where it has none. What others have put there, and we may not
 * know, stays word for word. */
static char *
get_lifecycle (KpS3Client *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Request) request = kp_s3_request_new (KP_S3_OPERATION_BUCKET, "GET", NULL);
  g_autoptr (GError) local_error = NULL;

  kp_s3_request_add_query (request, "lifecycle", "");
  kp_s3_request_set_reply_limit (request, CONFIGURATION_LIMIT);
  /* A text that was cut would be written back without the rules that it lacks. */
  kp_s3_request_set_hides_errors (request);
  g_autoptr (KpS3Reply) reply = kp_s3_request_send (request, client, cancellable, &local_error);
  if (reply == NULL && kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return g_strdup ("");
  if (reply == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  gsize length;
  const char *data = g_bytes_get_data (kp_s3_reply_get_body (reply), &length);
  return g_strndup (data != NULL ? data : "", length);
}

/* Takes the rule with our name out. Returns FALSE where the text is not what it should be. */
static gboolean
remove_rule (GString *lifecycle, const char *id)
{
  g_autofree char *element = g_strconcat ("<ID>", id, "</ID>", NULL);
  const char *found = strstr (lifecycle->str, element);

  if (found == NULL)
    return TRUE;
  const char *start = g_strrstr_len (lifecycle->str, found - lifecycle->str, "<Rule");
  const char *end = strstr (found, "</Rule>");
  if (start == NULL || end == NULL)
    return FALSE;
  end += strlen ("</Rule>");
  g_string_erase (lifecycle, start - lifecycle->str, end - start);
  return TRUE;
}

/**
 * kp_s3_versioning_find_days:
 * @lifecycle: of the bucket, as text; "" where it has none
 *
 * Returns: for how many days old versions are kept by our rule; 0 where there is none
 */
unsigned
kp_s3_versioning_find_days (KpS3Location *location, const char *lifecycle)
{
  static const char element[] = "<NoncurrentDays>";
  g_autofree char *id = make_rule_id (location);
  g_autofree char *named = g_strconcat ("<ID>", id, "</ID>", NULL);
  const char *rule = strstr (lifecycle, named);
  const char *end = rule != NULL ? strstr (rule, "</Rule>") : NULL;
  const char *found = end != NULL ? g_strstr_len (rule, end - rule, element) : NULL;

  /* Servers write the fields of a rule in an order of their own. */
  if (rule != NULL && found == NULL)
    {
      const char *start = g_strrstr_len (lifecycle, rule - lifecycle, "<Rule");
      found = start != NULL ? g_strstr_len (start, rule - start, element) : NULL;
    }
  return found != NULL
             ? (unsigned) MIN (g_ascii_strtoull (found + strlen (element), NULL, 10), G_MAXINT)
             : 0;
}

/* How many rules have our name, and how many another. */
static void
count_rules (const char *lifecycle, const char *id, guint *ours, guint *others)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (lifecycle, strlen (lifecycle));
  g_autoptr (KpS3Xml) xml = kp_s3_xml_parse (bytes, NULL);

  *ours = *others = 0;
  for (guint i = 0; xml != NULL && i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      if (!g_str_equal (kp_s3_record_get_name (record), "Rule"))
        continue;
      if (g_strcmp0 (kp_s3_record_get (record, "ID"), id) == 0)
        ++*ours;
      else
        ++*others;
    }
}

/**
 * kp_s3_versioning_add_rule:
 * @days: for which an old version is kept, at least 1
 * @present: the bucket's lifecycle as text, which is XML; "" where it has none
 * @error: %KP_ERROR_UNSUPPORTED_BY_PROVIDER where the rules that are there leave no place for ours
 *
 * Returns: (transfer full): @present with our rule, and with every rule of others as it is
 */
char *
kp_s3_versioning_add_rule (KpS3Location *location,
                           unsigned days,
                           const char *present,
                           GError **error)
{
  g_autofree char *id = make_rule_id (location);
  g_autofree char *rule = kp_s3_versioning_make_rule (location, days);
  g_autoptr (GString) lifecycle = g_string_new (present);
  guint ours, others_before, others;

  count_rules (present, id, &ours, &others_before);
  gboolean ok = remove_rule (lifecycle, id);
  const char *end = strstr (lifecycle->str, CONFIGURATION_END);
  gboolean has_others = ok && strstr (lifecycle->str, "Rule") != NULL;
  /* An element of another name would be one with a prefix, among which ours makes no sense. */
  if (has_others && strstr (lifecycle->str, "<Rule") == NULL)
    ok = FALSE;
  if (ok && !has_others)
    g_string_printf (lifecycle, "<LifecycleConfiguration " NAMESPACE ">%s" CONFIGURATION_END, rule);
  else if (ok && end != NULL)
    g_string_insert (lifecycle, end - lifecycle->str, rule);
  else
    ok = FALSE;
  /* That was done to the text. What stands in a comment, or where no rule belongs, shows now. */
  count_rules (lifecycle->str, id, &ours, &others);
  if (ok && ours == 1 && others == others_before
      && kp_s3_versioning_find_days (location, lifecycle->str) == days)
    return g_string_free (g_steal_pointer (&lifecycle), FALSE);
  g_set_error_literal (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
                       "The bucket has lifecycle rules that cannot be added to from here; set "
                       "the rule at your provider");
  return NULL;
}

static gboolean
set_rule (KpS3Client *client, unsigned days, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Location) location
      = kp_s3_service_ref_location (kp_s3_client_get_service (client));
  g_autofree char *present = get_lifecycle (client, cancellable, error);
  g_autofree char *lifecycle
      = present != NULL ? kp_s3_versioning_add_rule (location, days, present, error) : NULL;

  return lifecycle != NULL && put_document (client, "lifecycle", lifecycle, cancellable, error);
}

/**
 * kp_s3_versioning_get_days:
 * @days: (out): for which old versions are kept below the location's prefix, as far as
 *   kp_s3_versioning_enable() has set that; 0 for ever, or not known
 * @error: those of kp_s3_request_send()
 */
gboolean
kp_s3_versioning_get_days (KpS3Client *client,
                           unsigned *days,
                           GCancellable *cancellable,
                           GError **error)
{
  g_autoptr (KpS3Location) location
      = kp_s3_service_ref_location (kp_s3_client_get_service (client));
  g_autofree char *lifecycle = get_lifecycle (client, cancellable, error);

  *days = lifecycle != NULL ? kp_s3_versioning_find_days (location, lifecycle) : 0;
  return lifecycle != NULL;
}

/**
 * kp_s3_versioning_enable:
 * @days: for which an old version is kept; 0 for ever, without a rule
 * @error: %KP_ERROR_UNSUPPORTED_BY_PROVIDER where there are no versions, or no rules, to be had;
 *   %KP_ERROR_ACCESS_DENIED where the key may not change the bucket; those of kp_s3_request_send()
 *
 * Has the bucket keep old versions. The rule comes first, so that nothing is kept for ever by
 * accident; those of others stay. The rule is about what lies below the location's prefix, versions
 * are about the whole bucket.
 */
gboolean
kp_s3_versioning_enable (KpS3Client *client,
                         unsigned days,
                         GCancellable *cancellable,
                         GError **error)
{
  gboolean enabled = FALSE;

  if (days > 0 && !set_rule (client, days, cancellable, error))
    {
      g_prefix_error (error, "Old versions would stay for ever, so nothing was switched on: ");
      return FALSE;
    }
  if (!put_document (client, "versioning",
                     "<VersioningConfiguration " NAMESPACE "><Status>Enabled</Status>"
                     "</VersioningConfiguration>",
                     cancellable, error)
      || !kp_s3_client_get_versioning (client, &enabled, NULL, cancellable, error))
    return FALSE;
  if (enabled)
    return TRUE;
  g_set_error_literal (
      error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
      "The server was asked to keep versions, and does not; this provider has none. "
      "A mirror can keep what it deletes by itself: --keep-deleted 30d");
  return FALSE;
}

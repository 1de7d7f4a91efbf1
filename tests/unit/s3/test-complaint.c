/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* That each sentence names what can be changed. Most are seen by the tests of requests, with the
 * replies that bring them about. */

#include "kp-error.h"
#include "kp-s3-complaint.h"
#include "kp-s3-verdict.h"

#include <string.h>

#define AMAZON "https://s3.us-east-1.amazonaws.com"

static char *
describe_of (const char *address,
             const KpS3Complaint *complaint,
             KpError code,
             const char *endpoint,
             const char *region)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Location) location
      = kp_s3_location_new (address, endpoint, region, NULL, FALSE, &error);
  g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_new ("AKIA", "S", NULL);
  g_autoptr (KpThrottle) throttle = kp_throttle_new (0);
  g_assert_no_error (error);
  g_autoptr (KpS3Service) service
      = kp_s3_service_new (location, credentials, NULL, throttle, throttle, &error);
  g_assert_no_error (error);
  g_autoptr (GError) described
      = kp_s3_complaint_describe (complaint, code, KP_S3_OPERATION_LIST, NULL, service, location);

  g_assert_error (described, KP_ERROR, (int) code);
  return g_strdup (described->message);
}

static char *
describe (const KpS3Complaint *complaint, KpError code, const char *endpoint, const char *region)
{
  return describe_of ("s3://bucket", complaint, code, endpoint, region);
}

/* Whoever is told to use the region that he uses has no way on. */
static void
test_region (void)
{
  static const struct
  {
    const char *endpoint;
    const char *region;
    const char *named; /* by the server */
    const char *sentence;
  } cases[] = {
    { NULL, "us-east-1", "eu-north-1",
      "The bucket “bucket” is in the region eu-north-1, not us-east-1; use --region eu-north-1 "
      "[301]" },
    { AMAZON, "eu-north-1", "eu-north-1",
      "The bucket “bucket” is in the region eu-north-1, and " AMAZON
      " is not the address of that; check --endpoint-url [301]" },
    { AMAZON, NULL, NULL,
      AMAZON " is not the right address or region for the bucket “bucket”; check --endpoint-url "
             "and --region [301]" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpS3Complaint complaint = { .status = 301, .region = (char *) cases[i].named };
      g_autofree char *sentence
          = describe (&complaint, KP_ERROR_WRONG_REGION, cases[i].endpoint, cases[i].region);
      g_assert_cmpstr (sentence, ==, cases[i].sentence);
    }
}

static void
test_signature (void)
{
  static const struct
  {
    const char *endpoint;
    const char *region;
    const char *end; /* of the sentence */
  } cases[] = {
    { "https://s3.example.org", NULL,
      " at https://s3.example.org, or the region there is not us-east-1; enter the secret key "
      "again, or give the server's region with --region [403 SignatureDoesNotMatch]" },
    { "https://s3.example.org", "here-1",
      " at https://s3.example.org; enter the secret key again [403 SignatureDoesNotMatch]" },
    { AMAZON, NULL, " at " AMAZON "; enter the secret key again [403 SignatureDoesNotMatch]" },
    { NULL, NULL, " at " AMAZON "; enter the secret key again [403 SignatureDoesNotMatch]" },
  };
  const KpS3Complaint complaint = { .status = 403, .code = (char *) "SignatureDoesNotMatch" };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *sentence
          = describe (&complaint, KP_ERROR_BAD_CREDENTIALS, cases[i].endpoint, cases[i].region);
      g_autofree char *expected = g_strconcat (
          "The secret key does not belong to the access key “AKIA”", cases[i].end, NULL);
      g_assert_cmpstr (sentence, ==, expected);
    }
}

/* The keys are good for it, and the server says 403. */
static void
test_style (void)
{
  static const struct
  {
    const char *code;
    const char *endpoint;
    const char *address;
    const char *part; /* of the sentence */
  } cases[] = {
    { "SecondLevelDomainForbidden", "https://oss.example.org", "s3://bucket",
      "https://oss.example.org wants the bucket in the host name; choose the provider Alibaba "
      "Cloud "
      "OSS (--provider alibaba) [403 Second" },
    { "PathStyleDomainForbidden", "https://cos.example.org", "s3://bucket",
      "choose the provider Tencent Cloud COS (--provider tencent) [403 Path" },
    { "PathStyleDomainForbidden", "https://cos.ap-tokyo.myqcloud.com", "s3://a.bucket",
      "wants the bucket in the host name, where “a.bucket” cannot stand; use a bucket" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpS3Complaint complaint = { .status = 403, .code = (char *) cases[i].code };
      KpError code;

      g_assert_cmpint (kp_s3_judge_reply (403, cases[i].code, &code), ==, KP_S3_VERDICT_PERMANENT);
      g_autofree char *sentence
          = describe_of (cases[i].address, &complaint, code, cases[i].endpoint, NULL);
      g_test_message ("%s", sentence);
      g_assert_nonnull (strstr (sentence, cases[i].part));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/complaint/region", test_region);
  g_test_add_func ("/s3/complaint/signature", test_signature);
  g_test_add_func ("/s3/complaint/style", test_style);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "offline-service.h"

KpS3Location *
offline_location_new (const char *address)
{
  g_autoptr (GError) error = NULL;
  KpS3Location *location
      = kp_s3_location_new (address, "http://127.0.0.1:9", NULL, NULL, FALSE, &error);

  g_assert_no_error (error);
  return location;
}

KpS3Service *
offline_service_new (void)
{
  g_autoptr (KpS3Location) location = offline_location_new ("s3://bucket");
  g_autoptr (KpS3Credentials) credentials = kp_s3_credentials_new ("A", "S", NULL);
  g_autoptr (KpThrottle) upload = kp_throttle_new (0);
  g_autoptr (KpThrottle) download = kp_throttle_new (0);
  g_autoptr (GError) error = NULL;
  KpS3Service *service = kp_s3_service_new (location, credentials, NULL, upload, download, &error);

  g_assert_no_error (error);
  return service;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What a hostile server may answer. */

#include "kp-s3-xml.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Xml) xml = kp_s3_xml_parse (bytes, &error);

  g_assert ((xml == NULL) == (error != NULL));
  if (xml == NULL)
    return 0;
  g_assert (kp_s3_xml_get_root (xml) != NULL);
  kp_s3_xml_get (xml, "Code");
  for (guint i = 0; i < kp_s3_xml_get_n_records (xml); i++)
    {
      const KpS3Record *record = kp_s3_xml_get_record (xml, i);
      g_assert (kp_s3_record_get_name (record) != NULL);
      kp_s3_record_get (record, "Key");
    }
  return 0;
}

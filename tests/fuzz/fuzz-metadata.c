/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What an object of somebody else's may say of its file. */

#include "kp-metadata.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);
  g_autofree char *written = kp_xattrs_format (xattrs);
  g_autoptr (GPtrArray) again = kp_xattrs_parse (written);
  gint64 time;

  /* What was understood is written so that it is understood again. */
  g_assert (again->len == xattrs->len);
  if (kp_metadata_parse_time (text, &time))
    {
      g_autofree char *formatted = kp_metadata_format_time (time);
      gint64 back = 0;
      g_assert (kp_metadata_parse_time (formatted, &back) && back == time);
    }

  g_autoptr (SoupMessageHeaders) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
  static const char *const names[]
      = { "x-amz-meta-mode", "x-amz-meta-mtime", "x-amz-meta-uid", "x-amz-meta-rdev", "ETag" };
  g_auto (GStrv) values = g_strsplit_set (text, "\r\n", G_N_ELEMENTS (names) + 1);
  for (guint i = 0; i < G_N_ELEMENTS (names) && values[i] != NULL; i++)
    if (g_str_is_ascii (values[i]))
      soup_message_headers_replace (headers, names[i], values[i]);
  g_autoptr (KpS3Object) object = kp_s3_object_new_from_headers (headers);
  KpFileInfo info;
  kp_metadata_from_object (&info, object, "key");
  g_assert (S_ISREG (info.mode) || S_ISLNK (info.mode) || S_ISFIFO (info.mode)
            || S_ISSOCK (info.mode) || S_ISCHR (info.mode) || S_ISBLK (info.mode));
  g_assert ((info.mode & ~(guint32) (S_IFMT | 07777)) == 0);
  return 0;
}

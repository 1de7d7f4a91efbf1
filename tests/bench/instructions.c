/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Work for callgrind to count, in tests/e2e/test_bench.py.
 *
 *     bench-instructions chunker MIB
 *     bench-instructions signer REQUESTS */

#include "kp-chunker.h"
#include "kp-s3-sign.h"
#include "random-bytes.h"

#define MIB (1024 * 1024)

/* The same bytes each time, so that to make them is not counted with it. */
static void
cut (gsize times)
{
  g_autofree guint8 *data = random_bytes_new (MIB);

  for (gsize i = 0; i < times; i++)
    for (gsize offset = 0; offset < MIB;)
      offset += kp_chunker_cut (data + offset, MIB - offset);
}

static void
sign (gsize n)
{
  static const KpS3Header headers[] = {
    { "host", "127.0.0.1:8000" },
    { "x-amz-content-sha256", KP_S3_SHA256_EMPTY },
    { "x-amz-date", "20130524T000000Z" },
    { "content-type", "application/octet-stream" },
    { "x-amz-meta-mode", "33188" },
    { "x-amz-meta-uid", "1000" },
    { "x-amz-meta-gid", "1000" },
    { "x-amz-meta-mtime", "1700000000.123456789" },
    { "x-amz-meta-ctime", "1700000000.123456789" },
    { "x-amz-meta-atime", "1700000000.123456789" },
  };
  guint8 key[KP_S3_SIGNING_KEY_SIZE];

  kp_s3_sign_derive_key (key, "20130524T000000Z", "default", "secret");
  for (gsize i = 0; i < n; i++)
    {
      g_autofree char *value = kp_s3_sign_with_key ("PUT", "/bucket/folder/file", NULL, headers,
                                                    G_N_ELEMENTS (headers), KP_S3_SHA256_EMPTY,
                                                    "20130524T000000Z", "default", "access", key);
      g_assert_nonnull (value);
    }
}

int
main (int argc, char **argv)
{
  guint64 n = argc == 3 ? g_ascii_strtoull (argv[2], NULL, 10) : 0;

  if (n > 0 && n <= 1000 && g_str_equal (argv[1], "chunker"))
    cut (n);
  else if (n > 0 && g_str_equal (argv[1], "signer"))
    sign (n);
  else
    g_error ("usage: bench-instructions chunker|signer NUMBER");
  return 0;
}

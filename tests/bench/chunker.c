/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* How fast one core finds the cuts of a large file, without the hashes of the chunks and with them.
 *
 *     bench-chunker [MIB]      # 256 if left out
 *
 * The best of five runs over random bytes in memory, as what else runs can only slow it down. */

#include "kp-chunker.h"
#include "random-bytes.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MIB (1024 * 1024)
#define RUNS 5

static double
cpu_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static guint
cut_all (const guint8 *data, gsize size, gboolean hash)
{
  guint n = 0;

  for (gsize offset = 0; offset < size; n++)
    {
      guchar digest[EVP_MAX_MD_SIZE];
      gsize length = kp_chunker_cut (data + offset, size - offset);

      if (hash && !EVP_Digest (data + offset, length, digest, NULL, EVP_sha256 (), NULL))
        g_error ("libcrypto has no SHA-256");
      offset += length;
    }
  return n;
}

static void
measure (const char *what, const guint8 *data, gsize size, gboolean hash)
{
  double best = G_MAXDOUBLE;
  guint n = 0;

  for (int run = 0; run < RUNS; run++)
    {
      double start = cpu_seconds ();
      n = cut_all (data, size, hash);
      best = MIN (best, cpu_seconds () - start);
    }
  printf ("%-14s %6.0f MB/s of CPU time, %u chunks, %.0f KiB on average\n", what,
          (double) size / 1e6 / best, n, (double) size / 1024 / n);
}

int
main (int argc, char **argv)
{
  gsize size = (gsize) (argc > 1 ? CLAMP (atoi (argv[1]), 1, 4096) : 256) * MIB;
  g_autofree guint8 *data = random_bytes_new (size);

  measure ("cuts", data, size, FALSE);
  measure ("cuts, SHA-256", data, size, TRUE);
  return 0;
}

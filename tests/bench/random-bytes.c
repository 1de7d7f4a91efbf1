/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "random-bytes.h"

#include <string.h>

/**
 * random_bytes_new:
 * @size: bytes, a multiple of eight
 *
 * Returns: (transfer full): the same bytes in each run, by xorshift64
 */
guint8 *
random_bytes_new (gsize size)
{
  guint8 *data = g_malloc (size);
  guint64 state = 1;

  for (gsize i = 0; i + sizeof state <= size; i += sizeof state)
    {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      memcpy (data + i, &state, sizeof state);
    }
  return data;
}

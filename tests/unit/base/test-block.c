/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-block.h"

#include <string.h>

#define MIB (1024 * 1024)

/* Whatever the size, all of it is there, and g_realloc() and g_free() take it. */
static void
test_sizes (void)
{
  static const gsize sizes[]
      = { 1, 4096, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 8 * MIB, 8 * MIB + 1, 9 * MIB - 1 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      guint8 *block = kp_block_alloc (sizes[i]);
      memset (block, 'x', sizes[i]);
      block = g_realloc (block, 2 * sizes[i]);
      g_assert_cmpint (block[0], ==, 'x');
      g_assert_cmpint (block[sizes[i] - 1], ==, 'x');
      memset (block, 'y', 2 * sizes[i]);
      g_free (block);
    }
}

/* Whole huge pages only, from the first byte on: else the kernel has to take small ones. */
static void
test_large_ones_are_aligned (void)
{
  g_autofree guint8 *block = kp_block_alloc (8 * MIB + 1);

  g_assert_cmpuint (GPOINTER_TO_SIZE (block) % (2 * MIB), ==, 0);
}

/* More than any computer has: it is said, and ends nothing. */
static void
test_too_much (void)
{
  g_assert_null (kp_block_try_alloc ((gsize) G_MAXSSIZE / 8));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/block/sizes", test_sizes);
  g_test_add_func ("/base/block/large-ones-are-aligned", test_large_ones_are_aligned);
  g_test_add_func ("/base/block/too-much", test_too_much);
  return g_test_run ();
}

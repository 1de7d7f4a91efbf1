/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-base"

#include "kp-block.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* What processors map in one piece beside the usual 4 KiB: of x86-64, and of ARM with such pages.
 */
#define HUGE_PAGE (2 * 1024 * 1024)

/**
 * kp_block_try_alloc:
 * @size: bytes
 *
 * Like g_try_malloc(). Large blocks are asked for in huge pages: the kernel hands each page out
 * when it is touched first, and for a block that is read into once and given back that is a good
 * part of all work, the more so in a virtual machine. The end of it, less than a huge page, stays
 * in small ones, so that no block takes more memory than its size.
 *
 * Returns: (transfer full) (nullable): to be freed with g_free(); %NULL where there is not so much
 *   memory
 */
void *
kp_block_try_alloc (gsize size)
{
  void *block;

  if (size < HUGE_PAGE || posix_memalign (&block, HUGE_PAGE, size) != 0)
    return g_try_malloc (size);
  if (madvise (block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE) < 0)
    g_debug ("This kernel has no huge pages: %s", g_strerror (errno));
  return block;
}

/**
 * kp_block_alloc:
 * @size: bytes, not many
 *
 * The same, for what there has to be memory for. Like g_malloc(), ends the process where there is
 * none.
 */
void *
kp_block_alloc (gsize size)
{
  void *block = kp_block_try_alloc (size);

  return block != NULL ? block : g_malloc (size);
}

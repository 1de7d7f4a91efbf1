/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-process.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

/* Each worker has a connection, and a deep tree has a folder open at each level. */
static void
raise_file_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max)
    {
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_NOFILE, &limit);
    }
}

/* A core file of ours would hold the secret keys. Not PR_SET_DUMPABLE: portals read /proc/PID to
 * tell who calls them, and it hides that. The hard limit stays, for who has to look into a core:
 * prlimit --core=unlimited --pid PID. */
static void
write_no_core (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_CORE, &limit) == 0)
    {
      limit.rlim_cur = 0;
      setrlimit (RLIMIT_CORE, &limit);
    }
}

/* Without a fixed threshold the first large block that is freed teaches malloc() to keep such
 * blocks, in an arena for each worker: six times the memory for the same work. */
static void
give_large_blocks_back (void)
{
  if (mallopt (M_MMAP_THRESHOLD, 512 * 1024) == 0)
    g_debug ("mallopt() does not know M_MMAP_THRESHOLD");
}

/**
 * kp_process_prepare:
 *
 * To be the first that main() does: the environment is read by threads later.
 */
void
kp_process_prepare (void)
{
  /* libsoup 3.2 loses uploads over HTTP/2; it asks for this before the first session. */
  g_setenv ("SOUP_FORCE_HTTP1", "1", TRUE);
  if (signal (SIGPIPE, SIG_IGN) == SIG_ERR)
    g_error ("Cannot ignore SIGPIPE");
  raise_file_limit ();
  write_no_core ();
  give_large_blocks_back ();
}

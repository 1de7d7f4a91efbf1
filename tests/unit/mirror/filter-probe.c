/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Filters a list of paths, so that a script can compare the result with rsync's.
 *
 *   filter-probe [-x PATTERN | -i PATTERN | -X FILE | -I FILE]… <PATHS >KEPT
 *
 * -x and -i are --exclude and --include, -X and -I --exclude-from and --include-from. Standard
 * input is a list of "d path" (a directory) and "f path" (anything else), each ended by NUL; the
 * paths that are not excluded, neither themselves nor with a directory above, come out the same
 * way. Ends with 1 when a rule is refused, and 2 when it is called wrongly. */

#include "kp-filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static KpFilter *
parse_arguments (int argc, char **argv)
{
  g_autoptr (KpFilter) filter = kp_filter_new ();

  for (int i = 1; i + 1 < argc; i += 2)
    {
      g_autoptr (GError) error = NULL;
      gboolean added = FALSE;

      if (strcmp (argv[i], "-x") == 0)
        added = kp_filter_add_exclude (filter, argv[i + 1], &error);
      else if (strcmp (argv[i], "-i") == 0)
        added = kp_filter_add_include (filter, argv[i + 1], &error);
      else if (strcmp (argv[i], "-X") == 0)
        added = kp_filter_add_file (filter, argv[i + 1], TRUE, &error);
      else if (strcmp (argv[i], "-I") == 0)
        added = kp_filter_add_file (filter, argv[i + 1], FALSE, &error);
      else
        exit (2);

      if (!added)
        {
          g_printerr ("%s\n", error->message);
          return NULL;
        }
    }
  return g_steal_pointer (&filter);
}

int
main (int argc, char **argv)
{
  g_autoptr (KpFilter) filter = parse_arguments (argc, argv);
  char *line = NULL;
  size_t size = 0;

  if (filter == NULL)
    return 1;
  while (getdelim (&line, &size, '\0', stdin) > 2)
    if (!kp_filter_excludes_tree (filter, line + 2, line[0] == 'd')
        && fwrite (line, strlen (line) + 1, 1, stdout) != 1)
      return 2;
  free (line);
  return fflush (stdout) == 0 ? 0 : 2;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* The first line is a pattern, the rest a path. */

#include "kp-filter.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, MIN (size, 4096));
  char *path = strchr (text, '\n');
  g_autoptr (KpFilter) filter = kp_filter_new ();
  g_autoptr (GError) error = NULL;

  if (path == NULL)
    return 0;
  *path++ = '\0';
  if (!kp_filter_add_exclude (filter, text, &error))
    {
      g_assert (error != NULL);
      return 0;
    }
  kp_filter_excludes (filter, path, FALSE);
  kp_filter_excludes_tree (filter, path, TRUE);
  return 0;
}

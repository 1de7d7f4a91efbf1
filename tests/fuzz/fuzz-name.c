/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Every name comes back; every key is refused, or gives a name that is its own. */

#include "kp-name.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autofree char *key = kp_name_to_key (text);
  g_autofree char *back = kp_name_from_key (key, &error);
  g_autofree char *display = kp_name_display (text);

  g_assert (error == NULL && g_str_equal (back, text));
  g_assert (g_utf8_validate (display, -1, NULL) && strchr (display, '\n') == NULL);

  g_autofree char *name = kp_name_from_key (text, NULL);
  if (name != NULL)
    {
      /* A key cannot smuggle a slash in. */
      for (const char *p = text, *q = name; (q = strchr (q, '/')) != NULL; q++, p++)
        {
          p = strchr (p, '/');
          g_assert (p != NULL);
        }
    }
  return 0;
}

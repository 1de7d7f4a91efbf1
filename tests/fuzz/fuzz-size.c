/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-size.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  guint64 value = 0;
  g_autoptr (GError) size_error = NULL;
  g_autoptr (GError) rate_error = NULL;
  g_autoptr (GError) duration_error = NULL;

  g_assert (kp_size_parse (text, &value, &size_error) == (size_error == NULL));
  g_assert (kp_rate_parse (text, &value, &rate_error) == (rate_error == NULL));
  g_assert (kp_duration_parse (text, &value, &duration_error) == (duration_error == NULL));
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* A plan's file as somebody may have edited it, or as it comes from another computer. */

#include "kp-plan.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpPlan) plan = kp_plan_new_from_json (text, "plan.json", &error);

  g_assert ((plan == NULL) == (error != NULL));
  if (plan == NULL)
    return 0;

  /* What was taken is written so that it is taken again. */
  g_autofree char *written = kp_plan_to_json (plan);
  g_autoptr (KpPlan) again = kp_plan_new_from_json (written, "plan.json", &error);
  g_assert_no_error (error);
  g_autofree char *twice = kp_plan_to_json (again);
  g_assert_cmpstr (written, ==, twice);
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-exclude-preset.h"

static void
assert_split (const char *text, const char *const *expected)
{
  g_auto (GStrv) patterns = kp_exclude_split (text);

  g_assert_cmpstrv (patterns, expected);
}

static void
test_split (void)
{
  assert_split ("", (const char *[]){ NULL });
  assert_split ("   ", (const char *[]){ NULL });
  assert_split (" *.tmp  *.bak ", (const char *[]){ "*.tmp", "*.bak", NULL });
  assert_split ("\"Old Mail/\" *.o", (const char *[]){ "Old Mail/", "*.o", NULL });
  assert_split ("\"not closed *.o", (const char *[]){ "not closed *.o", NULL });
  assert_split ("\"\"", (const char *[]){ NULL });
  assert_split ("a\\*b", (const char *[]){ "a\\*b", NULL });
}

/* What somebody sees and does not change is what was there. */
static void
test_join (void)
{
  const char *const patterns[] = { "*.tmp", "VirtualBox VMs/", "a\\*b", NULL };
  g_autofree char *text = kp_exclude_join (patterns);
  const char *const bytes[] = { "caf\xe9/", NULL };
  g_autofree char *valid = kp_exclude_join (bytes);

  g_assert_cmpstr (text, ==, "*.tmp \"VirtualBox VMs/\" a\\*b");
  assert_split (text, patterns);
  g_assert_true (g_utf8_validate (valid, -1, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/exclude-preset/split", test_split);
  g_test_add_func ("/app/exclude-preset/join", test_join);
  return g_test_run ();
}

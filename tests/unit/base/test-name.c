/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-name.h"

#include <string.h>

static void
test_examples (void)
{
  static const struct
  {
    const char *name;
    const char *key;
  } cases[] = {
    { "", "" },
    { "photos/2026/a b.jpg", "photos/2026/a b.jpg" },
    { "\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9" },
    /* latin-1 "é": byte E9 becomes U+E0E9 */
    { "caf\xE9", "caf\xEE\x83\xA9" },
    /* a truncated sequence: each byte by itself */
    { "x\xE2\x82", "x\xEE\x83\xA2\xEE\x82\x82" },
    /* a real U+E0A5 is escaped byte by byte: EE 82 A5 */
    { "\xEE\x82\xA5", "\xEE\x83\xAE\xEE\x82\x82\xEE\x82\xA5" },
    /* U+E100 and U+EE00 lie outside of the range and stay */
    { "\xEE\x84\x80", "\xEE\x84\x80" },
    { "\xEE\xB8\x80\xFF", "\xEE\xB8\x80\xEE\x83\xBF" },
    /* an encoded surrogate is not UTF-8 */
    { "\xED\xA0\x80", "\xEE\x83\xAD\xEE\x82\xA0\xEE\x82\x80" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *key = kp_name_to_key (cases[i].name);
      g_autofree char *name = kp_name_from_key (key, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (key, ==, cases[i].key);
      g_assert_cmpstr (name, ==, cases[i].name);
    }
}

/* Random bytes, with those that make up escape sequences likelier than chance would have them. */
static void
test_round_trip (void)
{
  static const guchar likely[]
      = { 0xEE, 0x80, 0x81, 0x82, 0x83, 0x84, 0xBF, 0xC3, 0xE2, 0xF0, '/' };

  for (int round = 0; round < 20000; round++)
    {
      char name[64];
      int length = g_test_rand_int_range (0, sizeof name);

      for (int i = 0; i < length; i++)
        name[i] = g_test_rand_bit () ? (char) likely[g_test_rand_int_range (0, sizeof likely)]
                                     : (char) g_test_rand_int_range (1, 256);
      name[length] = '\0';

      g_autoptr (GError) error = NULL;
      g_autofree char *key = kp_name_to_key (name);
      g_assert_true (g_utf8_validate (key, -1, NULL));
      g_autofree char *back = kp_name_from_key (key, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (back, strlen (back), name, strlen (name));
    }
}

static void
test_refused (void)
{
  /* U+E000 (NUL), U+E02F ("/"), U+E07F, and bytes that are not UTF-8 */
  static const char *const keys[]
      = { "a\xEE\x80\x80", "..\xEE\x80\xAF..", "\xEE\x81\xBF", "\xFF", "\xED\xA0\x80" };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_name_from_key (keys[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_NAME);
    }
}

/* Of two keys for one name, one file would take the other's place. */
static void
test_second_key (void)
{
  static const char *const keys[] = {
    /* the bytes of "é", which is valid UTF-8 and stays itself */
    "\xEE\x83\x83\xEE\x82\xA9",
    "a/\xEE\x83\x83\xEE\x82\xA9",
    /* beside it */
    "\xC3\xA9\xEE\x83\x83\xEE\x82\xA9",
    /* the bytes of U+E100, which lies outside of the range */
    "\xEE\x83\xAE\xEE\x82\x84\xEE\x82\x80",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_name_from_key (keys[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_BAD_NAME);
    }
}

static void
test_display (void)
{
  g_autofree char *plain = kp_name_display ("Wedding \xE2\x9D\xA4.jpg");
  g_autofree char *steering = kp_name_display ("a\x1B[2J\n\xFF\\");

  g_assert_cmpstr (plain, ==, "Wedding \xE2\x9D\xA4.jpg");
  g_assert_cmpstr (steering, ==, "a\\033[2J\\012\\377\\134");
}

static void
test_is_within (void)
{
  g_assert_true (kp_name_is_within ("a/b", "a"));
  g_assert_true (kp_name_is_within ("a", "a"));
  g_assert_true (kp_name_is_within ("a", ""));
  g_assert_true (kp_name_is_within ("", ""));
  g_assert_false (kp_name_is_within ("ab", "a"));
  g_assert_false (kp_name_is_within ("a", "a/b"));
  g_assert_false (kp_name_is_within ("", "a"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/name/examples", test_examples);
  g_test_add_func ("/base/name/round-trip", test_round_trip);
  g_test_add_func ("/base/name/refused", test_refused);
  g_test_add_func ("/base/name/second-key", test_second_key);
  g_test_add_func ("/base/name/display", test_display);
  g_test_add_func ("/base/name/is-within", test_is_within);
  return g_test_run ();
}

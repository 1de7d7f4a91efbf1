/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-size.h"

typedef gboolean (*ParseFunc) (const char *, guint64 *, GError **);

typedef struct
{
  const char *text;
  guint64 value;
} ParseCase;

static void
check_parses (ParseFunc parse, const ParseCase *cases, gsize n_cases)
{
  for (gsize i = 0; i < n_cases; i++)
    {
      g_autoptr (GError) error = NULL;
      guint64 value = 12345;

      g_assert_true (parse (cases[i].text, &value, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (value, ==, cases[i].value);
    }
}

static void
check_refuses (ParseFunc parse, const char *const *texts)
{
  for (; *texts != NULL; texts++)
    {
      g_autoptr (GError) error = NULL;
      guint64 value;

      g_assert_false (parse (*texts, &value, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, *texts));
    }
}

static void
test_size (void)
{
  static const ParseCase good[] = {
    { "0", 0 },           { "1", 1 },           { "256K", 262144 },
    { "256k", 262144 },   { "1.5M", 1572864 },  { "2GiB", 2ull << 30 },
    { "3kB", 3072 },      { "10B", 10 },        { "0.5K", 512 },
    { "1T", 1ull << 40 }, { "7E", 7ull << 60 }, { ".5M", 524288 },
  };
  static const char *const bad[] = { "",     "K",   "-1", "1e3", "1X", "1KK",   "inf", "nan",
                                     "0x10", "8E9", " 1", "1 ",  "9E", "1.2.3", "off", NULL };

  check_parses (kp_size_parse, good, G_N_ELEMENTS (good));
  check_refuses (kp_size_parse, bad);
}

static void
test_rate (void)
{
  static const ParseCase good[]
      = { { "off", 0 }, { "OFF", 0 }, { "256K", 262144 }, { "2M/s", 2097152 }, { "1", 1 } };
  static const char *const bad[] = { "", "/s", "0", "0K", "fast", "1M/h", NULL };

  check_parses (kp_rate_parse, good, G_N_ELEMENTS (good));
  check_refuses (kp_rate_parse, bad);
}

static void
test_duration (void)
{
  static const ParseCase good[]
      = { { "90", 90 },    { "90s", 90 },     { "5m", 300 },    { "2h", 7200 },
          { "1d", 86400 }, { "1h30m", 5400 }, { "1.5h", 5400 }, { "2w", 1209600 } };
  static const char *const bad[] = { "", "m", "5x", "-5m", "5m-", NULL };

  check_parses (kp_duration_parse, good, G_N_ELEMENTS (good));
  check_refuses (kp_duration_parse, bad);
}

static void
test_format (void)
{
  static const struct
  {
    char *(*format) (guint64);
    guint64 value;
    const char *text;
  } cases[] = {
    { kp_size_format, 0, "0 B" },
    { kp_size_format, 1023, "1023 B" },
    { kp_size_format, 1024, "1.0 KiB" },
    { kp_size_format, 10137, "9.9 KiB" },
    { kp_size_format, 10240, "10 KiB" },
    { kp_size_format, 1048575, "1.0 MiB" },
    { kp_size_format, 262144, "256 KiB" },
    { kp_size_format, 23ull << 30, "23 GiB" },
    { kp_size_format, G_MAXUINT64, "16 EiB" },
    { kp_rate_format, 0, "no limit" },
    { kp_rate_format, 262144, "256 KiB/s" },
    { kp_duration_format, 0, "0 s" },
    { kp_duration_format, 200, "3 min 20 s" },
    { kp_duration_format, 7500, "2 h 5 min" },
    { kp_duration_format, 273600, "3 d 4 h" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = cases[i].format (cases[i].value);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/size/parse-size", test_size);
  g_test_add_func ("/base/size/parse-rate", test_rate);
  g_test_add_func ("/base/size/parse-duration", test_duration);
  g_test_add_func ("/base/size/format", test_format);
  return g_test_run ();
}

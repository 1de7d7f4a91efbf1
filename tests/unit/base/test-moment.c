/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-moment.h"

/* Winter time begins here on 2026-10-25 at 3:00, which is 2:00 then. */
static GDateTime *
in_berlin (int month, int day, int hour)
{
  g_autoptr (GTimeZone) zone = g_time_zone_new_identifier ("Europe/Berlin");

  g_assert_nonnull (zone);
  return g_date_time_new (zone, 2026, month, day, hour, 30, 0);
}

static void
test_good (void)
{
  static const struct
  {
    const char *text;
    const char *utc;
  } cases[] = {
    { "now", "2026-11-28T18:30:00Z" },
    { "yesterday 18:00", "2026-11-27T17:00:00Z" },
    { "Yesterday", "2026-11-27T22:59:59Z" },
    { "today 9:05", "2026-11-28T08:05:00Z" },
    { "today", "2026-11-28T18:30:00Z" },
    { "2026-11-28", "2026-11-28T18:30:00Z" },
    { "2026-11-27", "2026-11-27T22:59:59Z" },
    { "2026-10-25", "2026-10-25T22:59:59Z" },
    { "2026-10-24 12:00", "2026-10-24T10:00:00Z" },
    { "2026-11-27T18:00:30", "2026-11-27T17:00:30Z" },
    { "2026-11-27T18:00:30Z", "2026-11-27T18:00:30Z" },
    { "2026-11-27 18:00:30+03:00", "2026-11-27T15:00:30Z" },
    { "2 hours ago", "2026-11-28T16:30:00Z" },
    { "90m ago", "2026-11-28T17:00:00Z" },
    /* The same hour of the clock, on both sides of the change. */
    { "7 weeks ago", "2026-10-10T17:30:00Z" },
    { "1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z" },
    { "1 month ago", "2026-10-28T18:30:00Z" },
    { " 1 year ago ", "2025-11-28T18:30:00Z" },
  };
  g_autoptr (GDateTime) now = in_berlin (11, 28, 19);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 moment = 0;

      g_assert_true (kp_moment_parse (cases[i].text, now, &moment, &error));
      g_assert_no_error (error);
      g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (moment);
      g_autofree char *text = g_date_time_format_iso8601 (time);
      g_assert_cmpstr (text, ==, cases[i].utc);
    }
}

static void
test_bad (void)
{
  static const char *const texts[] = {
    "",
    "soon",
    "ago",
    "days ago",
    "-3 days ago",
    "3 fortnights ago",
    "99999999999999999999 days ago",
    "yesterday 25:00",
    "yesterday 18",
    "yesterday18:00",
    "2026-13-01",
    "2026-02-30 12:00",
    "2026-11-27x",
    "26-11-27",
    /* Before time began; 0 would mean now. */
    "1969-12-31",
    "1970-01-01T00:00:00Z",
    "0001-01-01",
    "100 years ago",
    /* Still to come. */
    "tomorrow",
    "2026-11-29",
    "today 20:00",
  };
  g_autoptr (GDateTime) now = in_berlin (11, 28, 19);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 moment;

      if (kp_moment_parse (texts[i], now, &moment, &error))
        g_error ("“%s” was taken for a time", texts[i]);
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/moment/good", test_good);
  g_test_add_func ("/base/moment/bad", test_bad);
  return g_test_run ();
}

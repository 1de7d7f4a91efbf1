/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-guard.h"

#include <string.h>

static void
test_numbers (void)
{
  static const struct
  {
    guint64 known;
    guint64 deletions;
    gboolean passes;
  } cases[] = {
    { 0, 0, TRUE },
    { 1, 1, TRUE },
    { 100, 100, TRUE },
    { 1000, 100, TRUE },
    /* more than 100, but not more than a quarter */
    { 404, 101, TRUE },
    { 1000, 250, TRUE },
    { 1000000, 250000, TRUE },
    /* more than both */
    { 101, 101, FALSE },
    { 403, 101, FALSE },
    { 1000, 251, FALSE },
    { 1000000, 250001, FALSE },
    { 1000000, 1000000, FALSE },
    { G_MAXINT64, G_MAXINT64, FALSE },
    /* what goes may be more than what we know of */
    { 0, 101, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpGuardCase guard_case = { .known = cases[i].known, .deletions = cases[i].deletions };
      g_autofree char *reason = kp_guard_judge (&guard_case);

      g_test_message ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT ": %s", cases[i].deletions,
                      cases[i].known, reason);
      g_assert_cmpint (reason == NULL, ==, cases[i].passes);
      if (reason == NULL)
        continue;
      /* What to say to let them pass. */
      g_autofree char *remedy
          = g_strdup_printf ("--max-delete %" G_GUINT64_FORMAT, cases[i].deletions);
      g_assert_nonnull (strstr (reason, remedy));
    }
}

static void
test_consent (void)
{
  static const struct
  {
    guint64 deletions;
    guint64 consent;
    gboolean passes;
  } cases[] = {
    { 0, 0, TRUE },
    { 1, 0, FALSE },
    { 1, 1, TRUE },
    { 100, 99, FALSE },
    { 1000, 1000, TRUE },
    { 1000, 999, FALSE },
    { 1000, G_MAXUINT64, TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpGuardCase guard_case = { .known = 1000,
                                       .deletions = cases[i].deletions,
                                       .has_consent = TRUE,
                                       .consent = cases[i].consent };
      g_autofree char *reason = kp_guard_judge (&guard_case);

      g_assert_cmpint (reason == NULL, ==, cases[i].passes);
      if (reason != NULL)
        g_assert_nonnull (strstr (reason, "--max-delete"));
    }
}

/* Each source counts for itself, and one of which nothing is remembered, or that was a folder and
 * is a file, counts sooner. */
static void
test_sources (void)
{
  static const struct
  {
    KpGuardSource source;
    gboolean passes;
  } cases[] = {
    { { "/b", 300, 100, 0, FALSE }, TRUE },       { { "/b", 300, 101, 0, FALSE }, FALSE },
    { { "/b", 1000, 250, 0, FALSE }, TRUE },      { { "/b", 10, 10, 0, TRUE }, TRUE },
    { { "/b", 20, 11, 0, TRUE }, FALSE },         { { "/b", 1000, 250, 0, TRUE }, TRUE },
    { { "/b", 1000, 251, 0, TRUE }, FALSE },      { { "/b", 1000, 100, 10, FALSE }, TRUE },
    { { "/b", 1000, 11, 11, FALSE }, FALSE },     { { "/b", 10, 10, 0, FALSE, TRUE }, TRUE },
    { { "/b", 11, 11, 0, FALSE, TRUE }, FALSE },  { { "/b", 9, 1, 1, FALSE, TRUE, 0 }, TRUE },
    { { "/b", 9, 1, 1, FALSE, TRUE, 1 }, FALSE }, { { "/b", 9, 1, 1, FALSE, FALSE, 1 }, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpGuardSource sources[] = { { "/a", 100000, 0, 0, FALSE }, cases[i].source };
      KpGuardCase guard_case = { .sources = sources,
                                 .n_sources = 2,
                                 .known = 100000 + cases[i].source.known,
                                 .deletions = cases[i].source.deletions };
      g_autofree char *reason = kp_guard_judge (&guard_case);
      g_autofree char *remedy
          = g_strdup_printf ("--max-delete %" G_GUINT64_FORMAT, guard_case.deletions);

      g_test_message ("%" G_GSIZE_FORMAT ": %s", i, reason);
      g_assert_cmpint (reason == NULL, ==, cases[i].passes);
      if (reason == NULL)
        continue;
      g_assert_nonnull (strstr (reason, "“/b”"));
      g_assert_nonnull (strstr (reason, remedy));
      guard_case.has_consent = TRUE;
      guard_case.consent = guard_case.deletions;
      g_assert_null (kp_guard_judge (&guard_case));
    }
}

/* What looks like an accident no number excuses, however few would go. */
static void
test_accidents (void)
{
  const struct
  {
    KpGuardCase guard_case;
    const char *said;
  } cases[] = {
    { { .source_missing = TRUE }, "missing" },
    { { .empty_source = "/home/a" }, "“/home/a” is empty" },
    { { .moved_source = "/home/a" }, "“/home/a” is on another file system" },
    { { .unreadable = 1 }, "1 files or folders could not be read" },
    { { .unsaved = 7 }, "7 files could not be stored" },
    /* A name is printed so that it cannot steer a terminal. */
    { { .empty_source = "/home/\x1B[2J\xFF" }, "“/home/\\033[2J\\377”" },
    { { .moved_source = "/home/\n" }, "“/home/\\012”" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpGuardCase guard_case = cases[i].guard_case;

      guard_case.known = 1000;
      guard_case.deletions = 1;
      g_autofree char *reason = kp_guard_judge (&guard_case);
      g_assert_nonnull (reason);
      g_assert_nonnull (strstr (reason, cases[i].said));

      guard_case.has_consent = TRUE;
      guard_case.consent = G_MAXUINT64;
      g_autofree char *despite_consent = kp_guard_judge (&guard_case);
      g_assert_cmpstr (despite_consent, ==, reason);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/guard/numbers", test_numbers);
  g_test_add_func ("/mirror/guard/consent", test_consent);
  g_test_add_func ("/mirror/guard/sources", test_sources);
  g_test_add_func ("/mirror/guard/accidents", test_accidents);
  return g_test_run ();
}

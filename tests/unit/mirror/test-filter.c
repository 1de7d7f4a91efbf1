/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What rsync itself answers is compared in tests/e2e/test_filter_rsync.py, at length; here stands
 * what each rule of the manual means. */

#include "kp-error.h"
#include "kp-filter.h"

#include <glib/gstdio.h>
#include <string.h>

static KpFilter *
filter_with (const char *const *excludes)
{
  KpFilter *filter = kp_filter_new ();

  for (; *excludes != NULL; excludes++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_true (kp_filter_add_exclude (filter, *excludes, &error));
      g_assert_no_error (error);
    }
  return filter;
}

/* Each line: a pattern, what it matches and what it does not; directories end with a slash. */
static const struct
{
  const char *pattern;
  const char *matches;
  const char *others;
} cases[] = {
  /* plain names: the last component, or as many as the pattern has */
  { "foo", "foo foo/ a/foo a/b/foo/", "fool afoo foo/a Foo" },
  { "foo/bar", "foo/bar a/foo/bar a/foo/bar/", "foo bar afoo/bar foo/bar/a foo/a/bar" },
  { "/foo", "foo foo/", "a/foo foo/foo" },
  { "/foo/bar", "foo/bar", "a/foo/bar foo" },
  { "foo/", "foo/ a/foo/", "foo a/foo foo/a" },
  { "/foo/bar/", "foo/bar/", "foo/bar a/foo/bar/" },
  { "foo//bar", NULL, "foo/bar" },
  { "./foo", NULL, "foo a/foo" },
  { "/", NULL, "a a/ a/b" },
  { "foo\\bar", "foo\\bar", "foobar" },
  { "a]", "a]", "a" },

  /* "*" and "?" stop at slashes */
  { "*.o", "x.o .o a/x.o x.o/", "x.oo x.o/a o" },
  { "*.o/", "x.o/ a/x.o/", "x.o" },
  { "/*", "a a/", "a/b" },
  { "/*/", "a/", "a a/b/" },
  { "/*/*", "a/b", "a a/b/c" },
  { "*/*", "a/b a/b/c", "a a/" },
  { "foo/*/bar", "foo/x/bar a/foo/x/bar", "foo/bar foo/x/y/bar" },
  { "f*r", "fr foor a/fr", "f/r fo/or" },
  { "a?c", "abc a.c", "ac a/c abbc" },
  { "caf?", "caf\xE9", "caf\xC3\xA9" },

  /* "**" does not, and makes the whole path count */
  { "**", "a a/ a/b/c", NULL },
  { "foo/**", "foo/a foo/a/b a/foo/b", "foo foo/ afoo/b" },
  { "/foo/**/bar", "foo/x/bar foo/x/y/bar", "foo/bar a/foo/x/bar" },
  { "foo**bar", "foobar foo/bar a/foo/x/bar path/foo-bar", "foo/barn afoo/bar" },
  { "**foo", "foo afoo a/foo a/b/xfoo/", "foo/a" },
  { "**/foo", "foo a/foo a/b/foo/", "afoo a/xfoo foo/a" },
  { "**/foo/", "foo/ a/foo/", "foo a/foo" },
  { "/**/foo", "a/foo a/b/foo", "foo a/xfoo" },
  { "**/foo/**", "foo/a a/foo/b/c", "foo/ a/foo/" },
  { "a/**/b/*/c", "a/x/b/x/c z/a/x/y/b/x/c a/b/b/x/c", "a/x/b/x/y/c a/b/x/c" },

  /* three stars: the directory and what is below */
  { "foo/***", "foo/ foo/a foo/a/b a/foo/ a/foo/b", "foo afoo/" },
  { "/foo/***", "foo/ foo/a", "foo a/foo/ a/foo/b" },

  /* classes */
  { "x[a-c]", "xa xb xc", "xd x x[ x/" },
  { "x[!a-c]", "xd x. x\xE9", "xa x x/" },
  { "x[^a-c]", "xd x^", "xa" },
  { "x[]a]", "x] xa", "x[ xb" },
  { "x[!]a]", "xb", "x] xa" },
  { "x[a-]", "xa x-", "xb" },
  { "x[-a]", "xa x-", "xb" },
  { "x[a-c-z]", "xb x- xz", "xd" },
  { "x[c-a]", "xc", "xa xb" },
  { "x[\\]a]", "x] xa", "x\\ xb" },
  { "x[a-\\c]", "xb xc", "x\\ x-" },
  { "x[[:alpha:]]", "xa xZ", "x1 x\xE9 x: x[" },
  { "x[[:digit:][:upper:]_]", "x0 xA x_", "xa x-" },
  { "x[![:alnum:]]", "x- x\xE9", "xa x0" },
  { "x[[:space:]]", "x\t", "x_" },
  { "x[[:punct:]]", "x! x` x~ x[", "xa x0" },
  { "x[[:xdigit:]]", "xf xF x9", "xg" },
  { "x[[:digit:]-a]", "x- x1 xa", "xb" },
  { "x[[:alpha]", "x[ x: xa xp", "xb" },
  { "a/[x/]b", NULL, "a/xb a//b" },

  /* what is malformed matches nothing, not even itself */
  { "x[a", NULL, "x[a xa" },
  { "x[", NULL, "x[" },
  { "x[]", NULL, "x[] x]" },
  { "x[a-\\", NULL, "xa x-" },
  { "x[[:bad:]]", NULL, "xb x[:bad:]" },
  { "x[a[:bad:]]", NULL, "xa" },
  { "x[[:alpha:]", NULL, "xa" },
  { "x*\\", NULL, "x\\ xa" },

  /* a backslash escapes, if there is a wildcard to escape from */
  { "a\\*b", "a*b", "a\\*b axb" },
  { "a\\\\*", "a\\b a\\", "ab" },
  { "a\\b*", "ab abc", "a\\b" },
  { "\\[a\\]*", "[a] [a]b", "a" },
  { "*\\*", "x* *", "x x\\" },
  { "*\\a", "xa a x\\a", "x\\b" },
};

static gboolean
matches (KpFilter *filter, const char *path)
{
  g_autofree char *bare = g_strdup (path);
  gsize length = strlen (bare);
  gboolean is_directory = bare[length - 1] == '/';

  if (is_directory)
    bare[length - 1] = '\0';
  return kp_filter_excludes (filter, bare, is_directory);
}

static void
check_paths (KpFilter *filter, const char *pattern, const char *paths, gboolean expected)
{
  g_auto (GStrv) each = g_strsplit (paths != NULL ? paths : "", " ", -1);

  for (char **path = each; *path != NULL; path++)
    if (matches (filter, *path) != expected)
      g_error ("“%s” %s “%s”", pattern, expected ? "does not match" : "matches", *path);
}

static void
test_patterns (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *excludes[] = { cases[i].pattern, NULL };
      g_autoptr (KpFilter) filter = filter_with (excludes);

      check_paths (filter, cases[i].pattern, cases[i].matches, TRUE);
      check_paths (filter, cases[i].pattern, cases[i].others, FALSE);
    }
}

static void
test_order (void)
{
  g_autoptr (KpFilter) filter = kp_filter_new ();

  g_assert_true (kp_filter_is_empty (filter));
  g_assert_false (kp_filter_excludes (filter, "a.c", FALSE));
  g_assert_true (kp_filter_add_include (filter, "*/", NULL));
  g_assert_true (kp_filter_add_include (filter, "*.c", NULL));
  g_assert_false (kp_filter_is_empty (filter));
  g_assert_true (kp_filter_add_exclude (filter, "*", NULL));
  g_assert_true (kp_filter_add_include (filter, "a.h", NULL));
  g_assert_false (kp_filter_excludes (filter, "a.c", FALSE));
  g_assert_false (kp_filter_excludes (filter, "a.h", TRUE));
  g_assert_true (kp_filter_excludes (filter, "a.h", FALSE));
}

static void
test_prefixes (void)
{
  static const struct
  {
    const char *rules[4];
    const char *kept;
    const char *excluded;
  } sets[] = {
    { { "- a" }, "b - +", "a" },    { { "- - a" }, "a b", NULL },
    { { "+ a", "*" }, "a", "b" },   { { "-a", "+b", "-_c" }, "a b c", "-a +b -_c" },
    { { "-" }, "a", "-" },          { { "a", "!", "b" }, "a !", "b" },
    { { "a", "- !" }, "b", "a !" }, { { "a", "!b" }, "b !", "a !b" },
    { { "" }, "a", NULL },          { { "+ *", "a" }, "a b", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (sets); i++)
    {
      g_autoptr (KpFilter) filter = filter_with (sets[i].rules);
      check_paths (filter, sets[i].rules[0], sets[i].kept, FALSE);
      check_paths (filter, sets[i].rules[0], sets[i].excluded, TRUE);
    }

  g_autoptr (KpFilter) filter = kp_filter_new ();
  g_assert_true (kp_filter_add_include (filter, "- a", NULL));
  g_assert_true (kp_filter_excludes (filter, "a", FALSE));
  g_assert_true (kp_filter_add_include (filter, "!", NULL));
  g_assert_true (kp_filter_is_empty (filter));
}

static void
test_refused (void)
{
  static const char *const bad[] = { "- ", "+ " };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (KpFilter) filter = kp_filter_new ();
      g_autoptr (GError) error = NULL;

      g_assert_false (kp_filter_add_exclude (filter, bad[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, bad[i]));
    }
}

static void
test_file (void)
{
  static const char content[]
      = "; a comment\n# another\r\n\r\n\n*.o\r\n+ keep\rk*\n ;x\n- #y\nlast";
  static const char bad[] = "a\n- \n";
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("keepsake-filter-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "excludes", NULL);
  g_autoptr (KpFilter) filter = kp_filter_new ();

  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (path, content, -1, &error));
  g_assert_true (kp_filter_add_file (filter, path, TRUE, &error));
  g_assert_no_error (error);
  check_paths (filter, "file", "x.o king last #y", TRUE);
  check_paths (filter, "file", "keep x # ; comment", FALSE);
  g_assert_true (kp_filter_excludes (filter, " ;x", FALSE));
  g_assert_false (kp_filter_excludes (filter, "; a comment", FALSE));
  g_assert_false (kp_filter_excludes (filter, "# another", FALSE));

  g_autoptr (KpFilter) includes = kp_filter_new ();
  g_assert_true (kp_filter_add_file (includes, path, FALSE, &error));
  g_assert_true (kp_filter_add_exclude (includes, "*", &error));
  check_paths (includes, "file", "x.o keep king last", FALSE);
  check_paths (includes, "file", "#y a", TRUE);

  g_assert_true (g_file_set_contents (path, bad, -1, &error));
  g_assert_false (kp_filter_add_file (filter, path, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_nonnull (strstr (error->message, path));
  g_clear_error (&error);

  g_assert_false (kp_filter_add_file (filter, folder, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_clear_error (&error);

  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_false (kp_filter_add_file (filter, path, TRUE, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_tree (void)
{
  static const char *const excludes[] = { "+ /cache/keep", "cache/", "/a/b", "/deep/***", NULL };
  g_autoptr (KpFilter) filter = filter_with (excludes);

  g_assert_true (kp_filter_excludes_tree (filter, "cache", TRUE));
  g_assert_false (kp_filter_excludes_tree (filter, "cache", FALSE));
  /* The include comes too late: nobody enters the directory. */
  g_assert_false (kp_filter_excludes (filter, "cache/keep", FALSE));
  g_assert_true (kp_filter_excludes_tree (filter, "cache/keep", FALSE));
  g_assert_true (kp_filter_excludes_tree (filter, "x/cache/y/z", FALSE));
  g_assert_false (kp_filter_excludes (filter, "x/cache/y/z", FALSE));
  g_assert_true (kp_filter_excludes_tree (filter, "a/b/c", FALSE));
  g_assert_false (kp_filter_excludes_tree (filter, "a/bc/c", FALSE));
  g_assert_false (kp_filter_excludes_tree (filter, "b/a/b/c", FALSE));
  g_assert_true (kp_filter_excludes_tree (filter, "deep/er/still", FALSE));
  g_assert_false (kp_filter_excludes_tree (filter, "deeper/still", FALSE));
  g_assert_false (kp_filter_excludes_tree (filter, "a", TRUE));
}

/* Patterns that take a backtracking matcher longer than the age of the universe. */
static void
test_no_explosion (void)
{
  g_autoptr (GString) stars = g_string_new (NULL);
  g_autoptr (GString) deep_stars = g_string_new (NULL);
  g_autoptr (GString) anywhere = g_string_new ("x");
  g_autofree char *name = g_strnfill (255, 'a');
  g_autoptr (GString) path = g_string_new (name);

  for (int i = 0; i < 60; i++)
    {
      g_string_append (stars, "*a");
      g_string_append (deep_stars, "**a*");
      g_string_append (anywhere, "**/*a");
    }
  g_string_append_c (stars, 'b');
  g_string_append_c (deep_stars, 'b');
  g_string_append_c (anywhere, 'b');
  for (int i = 0; i < 15; i++)
    g_string_append_printf (path, "/%s", name);

  const char *excludes[] = { stars->str, deep_stars->str, anywhere->str, NULL };
  g_autoptr (KpFilter) filter = filter_with (excludes);
  g_assert_false (kp_filter_excludes_tree (filter, path->str, FALSE));
  g_string_append_c (path, 'b');
  g_assert_true (kp_filter_excludes_tree (filter, path->str, FALSE));
}

static void
test_boxed (void)
{
  g_autoptr (KpFilter) filter = kp_filter_new ();
  KpFilter *copy = g_boxed_copy (KP_TYPE_FILTER, filter);

  g_assert_true (copy == filter);
  g_boxed_free (KP_TYPE_FILTER, copy);
}

/* "-m perf": what a million files cost with ten rules. */
static void
test_measure (void)
{
  static const char *const excludes[] = { "*.o",
                                          "*.tmp",
                                          "*~",
                                          "/cache/",
                                          ".git/",
                                          "Thumbs.db",
                                          "core.[0-9]*",
                                          "build/**/obj",
                                          "/home/*/.cache/***",
                                          "**/node_modules/**",
                                          NULL };
  g_autoptr (KpFilter) filter = filter_with (excludes);

  g_test_timer_start ();
  for (int i = 0; i < 1000000; i++)
    g_assert_false (
        kp_filter_excludes (filter, "Photos/2026/Summer holidays/IMG_20260714_101500.jpg", FALSE));
  g_test_message ("%.0f ns a file", g_test_timer_elapsed () * 1000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/filter/patterns", test_patterns);
  g_test_add_func ("/mirror/filter/order", test_order);
  g_test_add_func ("/mirror/filter/prefixes", test_prefixes);
  g_test_add_func ("/mirror/filter/refused", test_refused);
  g_test_add_func ("/mirror/filter/file", test_file);
  g_test_add_func ("/mirror/filter/tree", test_tree);
  g_test_add_func ("/mirror/filter/no-explosion", test_no_explosion);
  g_test_add_func ("/mirror/filter/boxed", test_boxed);
  if (g_test_perf ())
    g_test_add_func ("/mirror/filter/measure", test_measure);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-catalogue.h"

/* A version of an object: stored at a time, in microseconds. */
typedef struct
{
  const char *key;
  gint64 stored;
  const char *id;
  gboolean is_latest;
  gboolean is_delete_marker;
} Version;

static void
add (KpCatalogue *catalogue, const Version *version, gint64 at, gboolean oldest_first)
{
  g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();
  g_autoptr (GError) error = NULL;

  entry->key = g_strdup (version->key);
  entry->modified_us = version->stored;
  entry->version_id = g_strdup (version->id);
  entry->etag = g_strdup ("e");
  entry->is_latest = version->is_latest;
  entry->is_delete_marker = version->is_delete_marker;
  g_assert_true (kp_catalogue_add_version (catalogue, entry, at, oldest_first, &error));
  g_assert_no_error (error);
}

static void
add_kept (KpCatalogue *catalogue,
          const char *key,
          const char *from,
          gboolean deleted,
          gboolean there)
{
  g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();
  g_autoptr (GError) error = NULL;

  entry->key = g_strdup (from);
  entry->etag = g_strdup ("e");
  entry->is_latest = TRUE;
  g_assert_true (kp_catalogue_add_kept (catalogue, entry, key, deleted, 0, there, &error));
  g_assert_no_error (error);
}

/* The listing, as "key=version" or "key<kept". Returns how many there are. */
static guint64
assert_listed (KpCatalogue *catalogue, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (KpCursor) cursor = kp_catalogue_list_listed (catalogue, &error);
  guint64 n_listed = 0;

  for (;; n_listed++)
    {
      g_auto (KpListed) listed = { 0 };
      if (kp_cursor_next_listed (cursor, &listed, &error) != 1)
        break;
      g_string_append_printf (text, "%s%s%s ", listed.key, listed.from_key != NULL ? "<" : "=",
                              listed.from_key != NULL     ? listed.from_key
                              : listed.version_id != NULL ? listed.version_id
                                                          : "");
    }
  g_assert_no_error (error);
  g_assert_cmpstr (text->str, ==, expected);
  return n_listed;
}

/* What was there, in the same form. */
static void
assert_there (KpCatalogue *catalogue, const char *expected)
{
  g_autoptr (GError) error = NULL;
  guint64 found;

  g_assert_true (kp_catalogue_list_past (catalogue, &found, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (assert_listed (catalogue, expected), ==, found);
}

static const Version versions[] = {
  { "a", 30, "a3", TRUE, FALSE },   { "a", 20, "a2", FALSE, FALSE },
  { "a", 10, "a1", FALSE, FALSE },  { "b", 25, "b3", TRUE, TRUE },
  { "b", 10, "b1", FALSE, FALSE },  { "c", 22, "c3", TRUE, FALSE },
  { "c", 15, "c2", FALSE, TRUE },   { "c", 10, "null", FALSE, FALSE },
  { "d", 10, "null", TRUE, FALSE },
};

static void
test_either_order (void)
{
  static const struct
  {
    gint64 at;
    const char *there;
  } cases[] = {
    { 9, "" },
    { 10, "a=a1 b=b1 c=null d= " },
    { 15, "a=a1 b=b1 d= " },
    { 21, "a=a2 b=b1 d= " },
    { 24, "a=a2 b=b1 c=c3 d= " },
    { 25, "a=a2 c=c3 d= " },
    { 99, "a=a3 c=c3 d= " },
  };

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (cases); i++)
    {
      gboolean backwards = i % 2 == 1;
      g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);
      for (gsize k = 0; k < G_N_ELEMENTS (versions); k++)
        add (catalogue, &versions[backwards ? G_N_ELEMENTS (versions) - 1 - k : k], cases[i / 2].at,
             backwards);
      assert_there (catalogue, cases[i / 2].there);
    }
}

/* Times have seconds at many servers: the order of the listing tells then, and what is the latest.
 */
static void
test_same_time (void)
{
  static const Version same[] = { { "a", 10, "a3", TRUE, FALSE },
                                  { "a", 10, "a2", FALSE, FALSE },
                                  { "b", 20, "b4", TRUE, FALSE },
                                  { "b", 10, "b3", FALSE, FALSE },
                                  { "b", 10, "b2", FALSE, FALSE } };

  for (int backwards = 0; backwards < 2; backwards++)
    {
      g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);
      for (gsize k = 0; k < G_N_ELEMENTS (same); k++)
        add (catalogue, &same[backwards ? G_N_ELEMENTS (same) - 1 - k : k], 15, backwards);
      assert_there (catalogue, "a=a3 b=b3 ");
    }
}

/* At 20, of a bucket without versions, whose runs at 10, 18, 25 and 30 kept what they took away. */
static void
test_kept (void)
{
  static const Version today[] = {
    { "replaced-later", 25, NULL, TRUE, FALSE },
    { "replaced-twice", 30, NULL, TRUE, FALSE },
    { "replaced-meanwhile", 21, NULL, TRUE, FALSE },
    { "new", 25, NULL, TRUE, FALSE },
    { "same", 5, NULL, TRUE, FALSE },
    { "back", 25, NULL, TRUE, FALSE },
    { "killed", 5, NULL, TRUE, FALSE },
  };
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (today); i++)
    add (catalogue, &today[i], 20, FALSE);
  /* Before the moment: what it replaced is what was there until the new one came, at 21. */
  add_kept (catalogue, "back", "10/replaced/back", FALSE, FALSE);
  add_kept (catalogue, "back", "18/deleted/back", TRUE, FALSE);
  add_kept (catalogue, "gone-before", "18/deleted/gone-before", TRUE, FALSE);
  add_kept (catalogue, "replaced-meanwhile", "10/replaced/x", FALSE, FALSE);
  add_kept (catalogue, "replaced-meanwhile", "18/replaced/x", FALSE, FALSE);
  /* After it: the first has what was there. */
  add_kept (catalogue, "gone-later", "25/deleted/gone-later", TRUE, TRUE);
  add_kept (catalogue, "replaced-later", "25/replaced/y", FALSE, TRUE);
  add_kept (catalogue, "replaced-twice", "25/replaced/z", FALSE, TRUE);
  add_kept (catalogue, "replaced-twice", "30/replaced/z", FALSE, TRUE);
  /* Kept, and then the run was killed: it is where it was. */
  add_kept (catalogue, "killed", "25/replaced/killed", FALSE, TRUE);
  assert_there (catalogue, "gone-later<25/deleted/gone-later killed= replaced-later<25/replaced/y "
                           "replaced-meanwhile<18/replaced/x replaced-twice<25/replaced/z same= ");
}

/* The run at 10 replaced at 22 what it was named before, and at 18 there was another that deleted.
 */
static void
test_go_back (void)
{
  static const Version today[] = { { "replaced", 30, NULL, TRUE, FALSE },
                                   { "new", 30, NULL, TRUE, FALSE },
                                   { "deleted", 30, NULL, TRUE, FALSE } };
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);
  g_autoptr (GError) error = NULL;
  gboolean found;

  for (gsize i = 0; i < G_N_ELEMENTS (today); i++)
    add (catalogue, &today[i], 20, FALSE);
  add_kept (catalogue, "replaced", "5/replaced/x", FALSE, FALSE);
  add_kept (catalogue, "replaced", "10/replaced/x", FALSE, FALSE);
  add_kept (catalogue, "replaced", "30/replaced/x", FALSE, TRUE);
  add_kept (catalogue, "gone", "10/replaced/y", FALSE, FALSE);
  add_kept (catalogue, "gone", "30/deleted/y", TRUE, TRUE);
  add_kept (catalogue, "new", "30/replaced/z", FALSE, TRUE);
  add_kept (catalogue, "deleted", "10/replaced/d", FALSE, FALSE);
  add_kept (catalogue, "deleted", "18/deleted/d", TRUE, FALSE);
  add_kept (catalogue, "deleted", "30/replaced/d", FALSE, TRUE);
  assert_there (catalogue, "deleted<30/replaced/d gone<30/deleted/y new<30/replaced/z "
                           "replaced<30/replaced/x ");

  for (int i = 0; i < 4; i++)
    {
      static const char *const keys[] = { "deleted", "gone", "new", "replaced" };
      g_assert_true (kp_catalogue_go_back (catalogue, keys[i], &found, &error));
      g_assert_no_error (error);
      g_assert_cmpint (found, ==, i % 2);
    }
  assert_listed (catalogue, "gone<10/replaced/y replaced<10/replaced/x ");
  g_assert_true (kp_catalogue_go_back (catalogue, "gone", &found, &error));
  g_assert_false (found);
  assert_listed (catalogue, "replaced<10/replaced/x ");
}

/* A run keeps what it is going to replace just before it does. What was kept before the moment was
 * there no more, whatever came then, and was not kept. */
static void
test_kept_before (void)
{
  static const Version today = { "x", 30, NULL, TRUE, FALSE };

  for (gint64 kept_at = 19; kept_at <= 20; kept_at++)
    {
      g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);
      g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();
      g_autoptr (GError) error = NULL;
      gboolean found;

      add (catalogue, &today, 20, FALSE);
      entry->key = g_strdup ("5/replaced/x");
      entry->etag = g_strdup ("e");
      entry->last_modified = kept_at;
      g_assert_true (kp_catalogue_add_kept (catalogue, entry, "x", FALSE, 20, FALSE, &error));
      add_kept (catalogue, "x", "25/replaced/x", FALSE, TRUE);
      assert_there (catalogue, "x<25/replaced/x ");
      g_assert_true (kp_catalogue_go_back (catalogue, "x", &found, &error));
      g_assert_cmpint (found, ==, kept_at >= 20);
      assert_listed (catalogue, kept_at >= 20 ? "x<5/replaced/x " : "");
    }
}

/* What was found of one part is not found again with the next. */
static void
test_parts (void)
{
  static const Version today = { "b", 10, NULL, TRUE, FALSE };
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (NULL);
  g_autoptr (GError) error = NULL;
  gboolean found;

  add_kept (catalogue, "a", "25/deleted/a", TRUE, TRUE);
  assert_there (catalogue, "a<25/deleted/a ");
  g_assert_true (kp_catalogue_go_back (catalogue, "a", &found, &error));
  assert_listed (catalogue, "");
  add (catalogue, &today, 20, FALSE);
  add_kept (catalogue, "a", "25/deleted/a", TRUE, TRUE);
  assert_there (catalogue, "b= ");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/past/either-order", test_either_order);
  g_test_add_func ("/mirror/past/same-time", test_same_time);
  g_test_add_func ("/mirror/past/kept", test_kept);
  g_test_add_func ("/mirror/past/go-back", test_go_back);
  g_test_add_func ("/mirror/past/kept-before", test_kept_before);
  g_test_add_func ("/mirror/past/parts", test_parts);
  return g_test_run ();
}

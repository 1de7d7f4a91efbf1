/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-compare.h"

static KpFileInfo
info_of (guint32 type)
{
  return (KpFileInfo){ .mode = type | 0644,
                       .uid = 1000,
                       .gid = 100,
                       .size = type == S_IFREG || type == S_IFLNK ? 9 : 0,
                       .mtime = 1,
                       .ctime = 2,
                       .atime = 3,
                       .dev = 4,
                       .ino = 5,
                       .rdev = type == S_IFCHR ? 6 : 0,
                       .nlink = 1 };
}

/* A file that did not change since it was stored. */
static KpComparison
row_of (guint32 type)
{
  KpFileInfo info = info_of (type);

  return (KpComparison){ .local = { .key = (char *) "k", .path = (char *) "k", .info = info },
                         .listed = TRUE,
                         .listed_size = info.size,
                         .listed_etag = (char *) "e",
                         .has_known = TRUE,
                         .known = { .etag = (char *) "e", .info = info } };
}

static const guint32 types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };

static void
assert_decision (const KpComparison *row, KpDecision decision, KpDecision with_checksum)
{
  g_assert_cmpint (kp_compare_decide (row, FALSE), ==, decision);
  g_assert_cmpint (kp_compare_decide (row, TRUE), ==, with_checksum);
}

static void
test_unchanged (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpComparison row = row_of (types[i]);
      assert_decision (&row, KP_DECISION_UNCHANGED,
                       types[i] == S_IFREG ? KP_DECISION_LOOK_AT_FILE : KP_DECISION_UNCHANGED);

      /* That it was read, has another name or its file system another number is no change. */
      row.local.info.atime++;
      row.local.info.nlink++;
      row.local.info.dev++;
      assert_decision (&row, KP_DECISION_UNCHANGED,
                       types[i] == S_IFREG ? KP_DECISION_LOOK_AT_FILE : KP_DECISION_UNCHANGED);
    }
}

/* What an object says of the other names of its file has to be so; of what is no regular file, none
 * says anything. */
static void
test_hard_links (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpComparison unsaid = row_of (types[i]);
      KpComparison outdated = row_of (types[i]);
      KpComparison right = row_of (types[i]);
      gboolean is_file = types[i] == S_IFREG;

      unsaid.local.is_linked = is_file;
      outdated.known.hard_link = is_file ? (char *) "1-2" : NULL;
      right.local.is_linked = is_file;
      right.known.hard_link = outdated.known.hard_link;
      KpDecision decision = is_file ? KP_DECISION_LOOK_AT_FILE : KP_DECISION_UNCHANGED;
      assert_decision (&unsaid, decision, decision);
      assert_decision (&outdated, decision, decision);
      assert_decision (&right, KP_DECISION_UNCHANGED, decision);
    }
}

/* Not in the bucket: sent, whatever the catalogue believes. */
static void
test_not_listed (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpComparison row = row_of (types[i]);
      row.listed = FALSE;
      row.listed_size = 0;
      row.listed_etag = NULL;
      assert_decision (&row, KP_DECISION_PUT, KP_DECISION_PUT);
      row.has_known = FALSE;
      row.known = (KpKnown){ NULL };
      assert_decision (&row, KP_DECISION_PUT, KP_DECISION_PUT);
    }
}

static void
test_other_size (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpComparison row = row_of (types[i]);
      row.listed_size++;
      assert_decision (&row, KP_DECISION_PUT, KP_DECISION_PUT);
      row.has_known = FALSE;
      assert_decision (&row, KP_DECISION_PUT, KP_DECISION_PUT);
    }
}

/* An object that somebody else wrote, or that we wrote and could not note. */
static void
test_unknown_object (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpComparison unknown = row_of (types[i]);
      KpComparison replaced = row_of (types[i]);

      unknown.has_known = FALSE;
      unknown.known = (KpKnown){ NULL };
      assert_decision (&unknown, KP_DECISION_LOOK_AT_OBJECT, KP_DECISION_LOOK_AT_OBJECT);
      replaced.listed_etag = (char *) "other";
      assert_decision (&replaced, KP_DECISION_LOOK_AT_OBJECT, KP_DECISION_LOOK_AT_OBJECT);
    }
}

/* The object has the local size by chance: what the catalogue knows of was another file. */
static void
test_other_file (void)
{
  KpComparison size = row_of (S_IFREG);
  KpComparison type = row_of (S_IFREG);

  size.known.info.size++;
  assert_decision (&size, KP_DECISION_PUT, KP_DECISION_PUT);
  type.known.info.mode = S_IFLNK | 0777;
  assert_decision (&type, KP_DECISION_PUT, KP_DECISION_PUT);
}

/* Each of these may have come with other bytes, or not: of a regular file, look; send the others,
 * which are small. */
static void
test_moved (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    for (int field = 0; field < 8; field++)
      {
        KpComparison row = row_of (types[i]);
        KpFileInfo *known = &row.known.info;

        switch (field)
          {
          case 0:
            known->mtime++;
            break;
          case 1:
            known->ctime--;
            break;
          case 2:
            known->ino++;
            break;
          case 3:
            known->mode ^= 0111;
            break;
          case 4:
            known->uid++;
            break;
          case 5:
            known->gid++;
            break;
          case 6:
            known->rdev++;
            break;
          default:
            /* the file changed in the clock tick in which it was read */
            known->ctime = 0;
            break;
          }
        KpDecision expected = types[i] == S_IFREG ? KP_DECISION_LOOK_AT_FILE : KP_DECISION_PUT;
        assert_decision (&row, expected, expected);
      }
}

/* What another tool has written again since: by the server's times, as far as they can be. */
static void
test_touched (void)
{
  static const gint64 now = 1000000;
  static const struct
  {
    gint64 stored;
    gint64 listed;
    gboolean is_touched;
  } cases[] = {
    { now - 500, now - 500, FALSE },
    { now - 500, now - 500 + KP_COMPARE_CLOCK_SLACK, FALSE },
    { now - 500, now - 500 + KP_COMPARE_CLOCK_SLACK + 1, TRUE },
    { now - 500, now, TRUE },
    { now - 500, now + KP_COMPARE_CLOCK_SLACK, TRUE },
    /* Not yet. */
    { now - 500, now + KP_COMPARE_CLOCK_SLACK + 1, FALSE },
    { now - 500, G_MAXINT64, FALSE },
    /* An upload in parts that took its time, or an older version that is the present one again. */
    { now - 500, now - 9000, FALSE },
    { now - 500, 1, FALSE },
    /* Not known on either side. */
    { 0, now - 500, FALSE },
    { 0, 0, FALSE },
    { now - 500, 0, FALSE },
    { now - 500, -1, FALSE },
    { now - 500, G_MININT64, FALSE },
    { -1, now - 500, FALSE },
    { G_MAXINT64, now, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpComparison row = row_of (S_IFREG);
      row.known.stored = cases[i].stored;
      row.listed_modified = cases[i].listed;
      g_assert_cmpint (kp_compare_is_touched (&row, now), ==, cases[i].is_touched);
    }
}

static void
test_same_metadata (void)
{
  const KpFileInfo info = info_of (S_IFREG);
  KpFileInfo same[] = { info, info, info, info, info, info };
  KpFileInfo others[] = { info, info, info, info, info };

  same[0].ctime++;
  same[1].atime++;
  same[2].ino++;
  same[3].dev++;
  same[4].nlink++;
  same[5].size++;
  for (gsize i = 0; i < G_N_ELEMENTS (same); i++)
    g_assert_true (kp_compare_same_metadata (&info, &same[i]));
  others[0].mode ^= 1;
  others[1].uid++;
  others[2].gid++;
  others[3].mtime++;
  others[4].rdev++;
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    g_assert_false (kp_compare_same_metadata (&info, &others[i]));
}

static void
test_object_size (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      KpFileInfo info = info_of (types[i]);
      info.size = 4096;
      g_assert_cmpuint (kp_compare_object_size (&info), ==,
                        types[i] == S_IFREG || types[i] == S_IFLNK ? 4096 : 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/compare/unchanged", test_unchanged);
  g_test_add_func ("/mirror/compare/hard-links", test_hard_links);
  g_test_add_func ("/mirror/compare/not-listed", test_not_listed);
  g_test_add_func ("/mirror/compare/other-size", test_other_size);
  g_test_add_func ("/mirror/compare/unknown-object", test_unknown_object);
  g_test_add_func ("/mirror/compare/other-file", test_other_file);
  g_test_add_func ("/mirror/compare/moved", test_moved);
  g_test_add_func ("/mirror/compare/touched", test_touched);
  g_test_add_func ("/mirror/compare/same-metadata", test_same_metadata);
  g_test_add_func ("/mirror/compare/object-size", test_object_size);
  return g_test_run ();
}

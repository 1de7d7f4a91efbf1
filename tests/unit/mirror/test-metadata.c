/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-metadata.h"
#include "temporary-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SECOND G_GINT64_CONSTANT (1000000000)

static void
test_format_time (void)
{
  static const struct
  {
    gint64 nanoseconds;
    const char *text;
  } cases[] = {
    { 0, "0.000000000" },
    { 1, "0.000000001" },
    { 999999999, "0.999999999" },
    { SECOND, "1.000000000" },
    { 1700000000 * SECOND + 123456789, "1700000000.123456789" },
    { 1700000000 * SECOND + 1000, "1700000000.000001000" },
    { G_MAXINT64, "9223372036.854775807" },
    /* before 1970: a sign and the magnitude */
    { -1, "-0.000000001" },
    { -SECOND / 2, "-0.500000000" },
    { -SECOND, "-1.000000000" },
    { -3 * SECOND / 2, "-1.500000000" },
    { G_GINT64_CONSTANT (-2147483648) * SECOND, "-2147483648.000000000" },
    /* beyond 2262 the count goes on, modulo 2^64 */
    { G_MININT64, "9223372036.854775808" },
    { G_GINT64_CONSTANT (-2147483648) * SECOND - 1, "16299260425.709551615" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = kp_metadata_format_time (cases[i].nanoseconds);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

static void
test_parse_time (void)
{
  static const struct
  {
    const char *text;
    gint64 nanoseconds;
  } cases[] = {
    { "0", 0 },
    { "0.0", 0 },
    { "-0.0", 0 },
    { "00000000000000000001", SECOND },
    /* as s3fs writes it, with and without a fraction */
    { "1700000000", 1700000000 * SECOND },
    { "1700000000.123456789", 1700000000 * SECOND + 123456789 },
    /* as rclone does: zeros at the end left out, or more digits than we count */
    { "1700000000.5", 1700000000 * SECOND + 500000000 },
    { "1700000000.05", 1700000000 * SECOND + 50000000 },
    { "1700000000.", 1700000000 * SECOND },
    { "1.0000000009", SECOND },
    { "1.1234567899999999999999999999", SECOND + 123456789 },
    { "-0.500000000", -SECOND / 2 },
    { "-1.5", -3 * SECOND / 2 },
    { "-86400", -86400 * SECOND },
    { "9223372035.999999999", 9223372035 * SECOND + 999999999 },
    { "9223372036.854775808", G_MININT64 },
    { "-2147483648", G_GINT64_CONSTANT (-2147483648) * SECOND },
    { "-2147483647.999999999", G_GINT64_CONSTANT (-2147483648) * SECOND + 1 },
    { "16299260424.999999999", G_GINT64_CONSTANT (-2147483648) * SECOND - 709551617 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gint64 nanoseconds = 42;

      g_test_message ("%s", cases[i].text);
      g_assert_true (kp_metadata_parse_time (cases[i].text, &nanoseconds));
      g_assert_cmpint (nanoseconds, ==, cases[i].nanoseconds);
    }
}

static void
test_no_time (void)
{
  static const char *const texts[] = {
    NULL,
    "",
    " ",
    "-",
    "--1",
    "+1",
    ".",
    ".5",
    "-.5",
    " 1",
    "1 ",
    "1.5 ",
    "1..5",
    "1.5.5",
    "1.-5",
    "1,5",
    "1e9",
    "0x10",
    "1.5s",
    "yesterday",
    "2026-11-22T20:39:10Z",
    /* before 1901 and after 2486 */
    "-2147483648.000000001",
    "-2147483649",
    "-9223372037",
    "16299260425",
    "99999999999",
    "18446744073709551616",
    "-18446744073709551617",
    "99999999999999999999999999999999999999999999.5",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      gint64 nanoseconds = 42;

      g_test_message ("%s", texts[i]);
      g_assert_false (kp_metadata_parse_time (texts[i], &nanoseconds));
      g_assert_cmpint (nanoseconds, ==, 42);
    }
}

static void
test_time_round_trip (void)
{
  for (int i = 0; i < 20000; i++)
    {
      /* Each value is a time, but for the last fraction of a second. */
      gint64 time = (gint64) ((guint64) (guint32) g_test_rand_int () << 32
                              | (guint64) (guint32) g_test_rand_int ());
      if (i % 2 == 0)
        time %= 10 * SECOND;
      else if (time < G_GINT64_CONSTANT (-2147483648) * SECOND
               && time >= G_GINT64_CONSTANT (-2147483649) * SECOND)
        continue;
      gint64 back = 42;
      g_autofree char *text = kp_metadata_format_time (time);

      g_assert_true (kp_metadata_parse_time (text, &back));
      g_assert_cmpint (back, ==, time);
    }
}

static void
test_from_stat (void)
{
  const struct stat st = { .st_mode = S_IFREG | 04755,
                           .st_uid = 4294967294u,
                           .st_gid = 7,
                           .st_size = 5497558138880,
                           .st_mtim = { 1700000000, 123456789 },
                           .st_ctim = { -2, 500000000 },
                           .st_atim = { 0, 999999999 },
                           .st_dev = makedev (259, 3),
                           .st_ino = G_MAXUINT64,
                           .st_rdev = makedev (8, 17),
                           .st_nlink = 3 };
  KpFileInfo info;

  kp_file_info_from_stat (&info, &st);
  g_assert_cmpuint (info.mode, ==, S_IFREG | 04755);
  g_assert_cmpuint (info.uid, ==, 4294967294u);
  g_assert_cmpuint (info.gid, ==, 7);
  g_assert_cmpuint (info.size, ==, 5497558138880);
  g_assert_cmpint (info.mtime, ==, 1700000000 * SECOND + 123456789);
  g_assert_cmpint (info.ctime, ==, -3 * SECOND / 2);
  g_assert_cmpint (info.atime, ==, 999999999);
  g_assert_cmpuint (info.dev, ==, makedev (259, 3));
  g_assert_cmpuint (info.ino, ==, G_MAXUINT64);
  g_assert_cmpuint (info.nlink, ==, 3);

  /* A size only where there is a body, a device number only where there is a device. */
  static const struct
  {
    mode_t type;
    guint64 size;
    gboolean rdev;
  } types[] = {
    { S_IFREG, 9, FALSE },  { S_IFLNK, 9, FALSE }, { S_IFDIR, 0, FALSE }, { S_IFIFO, 0, FALSE },
    { S_IFSOCK, 0, FALSE }, { S_IFCHR, 0, TRUE },  { S_IFBLK, 0, TRUE },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      struct stat other
          = { .st_mode = types[i].type | 0644, .st_size = 9, .st_rdev = makedev (8, 17) };
      kp_file_info_from_stat (&info, &other);
      g_assert_cmpuint (info.size, ==, types[i].size);
      g_assert_cmpuint (info.rdev, ==, types[i].rdev ? makedev (8, 17) : 0);
    }
}

static void
test_same_content (void)
{
  const KpFileInfo file
      = { .mode = S_IFREG | 0644, .size = 9, .mtime = 1, .ctime = 2, .ino = 3, .dev = 4 };
  KpFileInfo others[] = { file, file, file, file, file, file };
  KpFileInfo same[] = { file, file, file, file, file };

  others[0].mode = S_IFLNK | 0644;
  others[1].size++;
  others[2].mtime++;
  others[3].ctime++;
  others[4].ino++;
  others[5].dev++;
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    g_assert_false (kp_file_info_same_content (&file, &others[i]));

  same[0].mode = S_IFREG | 0600;
  same[1].uid++;
  same[2].gid++;
  same[3].atime++;
  same[4].nlink++;
  for (gsize i = 0; i < G_N_ELEMENTS (same); i++)
    g_assert_true (kp_file_info_same_content (&file, &same[i]));
}

/* ---- Extended attributes ---- */

static const KpXattr *
xattr_at (GPtrArray *xattrs, guint index)
{
  return g_ptr_array_index (xattrs, index);
}

static void
assert_xattr (const KpXattr *xattr, const char *name, const char *value, gsize length)
{
  gsize found_length;
  const void *found = g_bytes_get_data (xattr->value, &found_length);

  g_assert_cmpstr (xattr->name, ==, name);
  g_assert_cmpmem (found, found_length, value, length);
}

/* Sets them on a file, and reads them from there. NULL where the file system has none. */
static GPtrArray *
xattrs_of_file (TemporaryTree *tree, const KpXattr *xattrs, gsize n_xattrs)
{
  g_autoptr (GError) error = NULL;
  int fd;

  temporary_tree_write (tree, "file", "", 0);
  fd = temporary_tree_open (tree, "file", O_RDONLY);
  for (gsize i = 0; i < n_xattrs; i++)
    {
      gsize length;
      const void *data = g_bytes_get_data (xattrs[i].value, &length);
      if (fsetxattr (fd, xattrs[i].name, data != NULL ? data : "", length, 0) < 0)
        {
          if (errno != ENOTSUP)
            g_error ("%s: %s", xattrs[i].name, g_strerror (errno));
          close (fd);
          return NULL;
        }
    }
  GPtrArray *read = kp_xattrs_read (fd, &error);
  g_assert_no_error (error);
  close (fd);
  return read;
}

/* What would confuse a reader that does not expect it in a name; sorted, as they come back. */
static const char *const nasty_names[] = {
  "user. blank at both ends ",
  "user.\",\"user.other\":\"QQ==",
  "user.\":\"",
  "user.\"quoted\"",
  "user.%",
  "user.%41",
  "user.%zz",
  "user.+",
  "user.,",
  "user.:",
  "user.=",
  "user.\\",
  "user.\\u0041",
  "user.a",
  "user.a,b",
  "user.caf\xC3\xA9",
  "user.caf\xE9",
  "user.line\nfeed",
  "user.slash/",
  "user.tab\t",
  "user.user.",
  "user.x\x01\x7F\xFF",
  "user.{\"a\":1}",
  "user.{}",
};

static void
test_xattrs_of_files (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  KpXattr xattrs[G_N_ELEMENTS (nasty_names)];
  guint8 all_bytes[256];

  for (int i = 0; i < 256; i++)
    all_bytes[i] = (guint8) i;
  for (gsize i = 0; i < G_N_ELEMENTS (nasty_names); i++)
    {
      xattrs[i].name = (char *) nasty_names[i];
      xattrs[i].value = g_bytes_new (all_bytes, i == 0 ? sizeof all_bytes : i - 1);
    }

  g_autoptr (GPtrArray) read = xattrs_of_file (tree, xattrs, G_N_ELEMENTS (xattrs));
  if (read == NULL)
    {
      g_test_skip ("the file system has no extended attributes");
      for (gsize i = 0; i < G_N_ELEMENTS (xattrs); i++)
        g_bytes_unref (xattrs[i].value);
      return;
    }
  g_autofree char *text = kp_xattrs_format (read);
  g_autoptr (GPtrArray) back = kp_xattrs_parse (text);

  g_assert_true (g_str_is_ascii (text));
  g_assert_cmpuint (read->len, ==, G_N_ELEMENTS (xattrs));
  g_assert_cmpuint (back->len, ==, G_N_ELEMENTS (xattrs));
  for (guint i = 0; i < G_N_ELEMENTS (xattrs); i++)
    {
      gsize length;
      const void *data = g_bytes_get_data (xattrs[i].value, &length);

      assert_xattr (xattr_at (read, i), nasty_names[i], data, length);
      assert_xattr (xattr_at (back, i), nasty_names[i], data, length);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (xattrs); i++)
    g_bytes_unref (xattrs[i].value);
}

static void
test_no_xattrs (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GPtrArray) none = xattrs_of_file (tree, NULL, 0);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (none->len, ==, 0);
  g_assert_null (kp_xattrs_format (none));
  g_assert_null (kp_xattrs_format (NULL));
  g_assert_null (kp_xattrs_digest (none));
  g_assert_null (kp_xattrs_digest (NULL));

  /* A folder may have them too. */
  g_autoptr (GPtrArray) of_folder = kp_xattrs_read (tree->fd, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (of_folder->len, ==, 0);

  g_assert_null (kp_xattrs_read (-1, &error));
  g_assert_nonnull (error);
}

static void
test_xattrs_format (void)
{
  static const struct
  {
    const char *text; /* as in the header */
    const char *name;
    const char *value;
  } cases[] = {
    { "%7B%22user.a%22%3A%22YQ%3D%3D%22%7D", "user.a", "a" },
    { "%7B%22user.a%22%3A%22%22%7D", "user.a", "" },
    { "%7B%22user.a/b%22%3A%22Pz8/%22%7D", "user.a/b", "\x3F\x3F\x3F" },
    { "%7B%22user.a%252Cb%22%3A%22YQ%3D%3D%22%7D", "user.a,b", "a" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (cases[i].text);
      g_assert_cmpuint (xattrs->len, ==, 1);
      assert_xattr (xattr_at (xattrs, 0), cases[i].name, cases[i].value, strlen (cases[i].value));
      g_autofree char *text = kp_xattrs_format (xattrs);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

/* What s3fs 1.90 writes for setfattr -n user.foo -v bar, and so on; and what its reader takes. */
static void
test_xattrs_of_s3fs (void)
{
  g_autoptr (GPtrArray) one = kp_xattrs_parse ("%7B%22user.foo%22%3A%22YmFy%22%7D");
  g_assert_cmpuint (one->len, ==, 1);
  assert_xattr (xattr_at (one, 0), "user.foo", "bar", 3);

  /* Other namespaces are not ours to set. */
  g_autoptr (GPtrArray) several = kp_xattrs_parse (
      "%7B%22security.selinux%22%3A%22eA%3D%3D%22%2C%22system.posix_acl_access%22%3A%22AgAAAA%3D"
      "%3D%22%2C%22user.b%22%3A%22AAEC/w%3D%3D%22%2C%22user.a%22%3A%22%22%2C%22trusted.x%22%3A%22"
      "eA%3D%3D%22%7D");
  g_assert_cmpuint (several->len, ==, 2);
  assert_xattr (xattr_at (several, 0), "user.a", "", 0);
  assert_xattr (xattr_at (several, 1), "user.b", "\x00\x01\x02\xFF", 4);

  g_autoptr (GPtrArray) plain = kp_xattrs_parse ("{ \"user.a\" : \"YQ==\" , \"user.b\":\"Yg==\"}");
  g_assert_cmpuint (plain->len, ==, 2);
  assert_xattr (xattr_at (plain, 1), "user.b", "b", 1);

  /* A colon in a name: s3fs splits at the last one. */
  g_autoptr (GPtrArray) colon = kp_xattrs_parse ("{\"user.a:b\":\"YQ==\"}");
  g_assert_cmpuint (colon->len, ==, 1);
  assert_xattr (xattr_at (colon, 0), "user.a:b", "a", 1);
}

static void
test_xattrs_garbage (void)
{
  static const char *const texts[] = {
    NULL,
    "",
    "{",
    "}",
    "{}",
    "}{",
    "{,}",
    "{:}",
    "{\"\"}",
    "{\"\":\"\"}",
    "{\":\"}",
    "{\"user.a\"}",
    "{\"user.a\":}",
    "{\"user.a\":\"}",
    "{\"user.a\":YQ==}",
    "{user.a:\"YQ==\"}",
    "{\"user.a:\"YQ==\"}",
    "{\"user.a\":\"Y!==\"}",
    "{\"user.a\":\"Y Q=\"}",
    "{\"user.a\":{\"b\":\"YQ==\"",
    "{\"user.%zz\":\"YQ==\"}",
    "{\"user.a%00b\":\"YQ==\"}",
    "{\"user\":\"YQ==\"}",
    "{\"USER.a\":\"YQ==\"}",
    "{\"trusted.a\":\"YQ==\"}",
    "[\"user.a\",\"YQ==\"]",
    "\"user.a\":\"YQ==\"",
    "%7B%22user.a%22%3A%22YQ%3D%3D%22",
    "%7B%22user.a%22%3A%22YQ%3D%3D%22%7",
    "%00",
    "%",
    "%zz",
    "hello",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (texts[i]);
      g_test_message ("%s", texts[i]);
      g_assert_cmpuint (xattrs->len, ==, 0);
    }

  /* One bad member does not cost the others. */
  g_autoptr (GPtrArray) xattrs
      = kp_xattrs_parse ("{\"user.a\":\"YQ==\",nonsense,\"user.b\":\"!\",\"user.c\":\"Yw==\"}");
  g_assert_cmpuint (xattrs->len, ==, 2);
}

static void
test_xattrs_damaged (void)
{
  static const char original[] = "%7B%22user.foo%22%3A%22YmFy%22%2C%22user.b%22%3A%22AAEC%22%7D";

  for (int round = 0; round < 50000; round++)
    {
      g_autofree char *text = g_strdup (original);

      for (int n = g_test_rand_int_range (1, 5); n > 0; n--)
        text[g_test_rand_int_range (0, sizeof original - 1)]
            = (char) g_test_rand_int_range (1, 256);
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);
      for (guint i = 0; i < xattrs->len; i++)
        {
          g_assert_true (g_str_has_prefix (xattr_at (xattrs, i)->name, "user."));
          g_assert_nonnull (xattr_at (xattrs, i)->value);
        }
    }
}

static void
test_xattrs_digest (void)
{
  static const char *const texts[] = {
    "{\"user.a\":\"YQ==\"}",
    "{\"user.a\":\"Yg==\"}",
    "{\"user.b\":\"YQ==\"}",
    "{\"user.a\":\"\"}",
    "{\"user.a\":\"YQ==\",\"user.b\":\"YQ==\"}",
  };
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (texts[i]);
      g_autoptr (GPtrArray) again = kp_xattrs_parse (texts[i]);
      g_autoptr (GBytes) digest = kp_xattrs_digest (again);
      GBytes *first = kp_xattrs_digest (xattrs);

      g_assert_true (g_bytes_equal (first, digest));
      g_assert_true (g_hash_table_add (seen, first));
    }

  /* The order in which the file system names them does not count. */
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (texts[4]);
  g_autoptr (GPtrArray) swapped = kp_xattrs_parse ("{\"user.b\":\"YQ==\",\"user.a\":\"YQ==\"}");
  g_autoptr (GBytes) digest = kp_xattrs_digest (xattrs);
  g_autoptr (GBytes) other = kp_xattrs_digest (swapped);
  g_assert_true (g_bytes_equal (digest, other));
}

/* ---- Headers ---- */

static const char *
header (KpS3HeaderList *headers, const char *name)
{
  const char *value = NULL;

  for (guint i = 0; i < kp_s3_header_list_get_length (headers); i++)
    if (g_str_equal (kp_s3_header_list_get (headers, i)->name, name))
      {
        g_assert_null (value);
        value = kp_s3_header_list_get (headers, i)->value;
      }
  return value;
}

static const KpFileInfo photo = { .mode = S_IFREG | 0644,
                                  .uid = 1000,
                                  .gid = 100,
                                  .size = 5,
                                  .mtime = 1700000000 * SECOND + 123456789,
                                  .ctime = 1700000001 * SECOND,
                                  .atime = -SECOND / 2,
                                  .nlink = 1 };

static void
test_headers (void)
{
  g_autoptr (GPtrArray) xattrs = kp_xattrs_parse ("{\"user.a\":\"YQ==\"}");
  gboolean left_out = TRUE;
  g_autoptr (KpS3HeaderList) headers
      = kp_metadata_to_headers (&photo, xattrs, NULL, "a/b.txt", "STANDARD_IA", &left_out);

  g_assert_false (left_out);
  g_assert_cmpuint (kp_s3_header_list_get_length (headers), ==, 9);
  g_assert_cmpstr (header (headers, "content-type"), ==, "text/plain");
  g_assert_cmpstr (header (headers, "x-amz-storage-class"), ==, "STANDARD_IA");
  g_assert_cmpstr (header (headers, "x-amz-meta-mode"), ==, "33188");
  g_assert_cmpstr (header (headers, "x-amz-meta-uid"), ==, "1000");
  g_assert_cmpstr (header (headers, "x-amz-meta-gid"), ==, "100");
  g_assert_cmpstr (header (headers, "x-amz-meta-mtime"), ==, "1700000000.123456789");
  g_assert_cmpstr (header (headers, "x-amz-meta-ctime"), ==, "1700000001.000000000");
  g_assert_cmpstr (header (headers, "x-amz-meta-atime"), ==, "-0.500000000");
  g_assert_cmpstr (header (headers, "x-amz-meta-xattr"), ==, "%7B%22user.a%22%3A%22YQ%3D%3D%22%7D");

  g_assert_null (header (headers, "x-amz-meta-hardlink"));
  g_autoptr (KpS3HeaderList) linked
      = kp_metadata_to_headers (&photo, NULL, "12-3.000000000", "x", NULL, &left_out);
  g_assert_cmpstr (header (linked, "x-amz-meta-hardlink"), ==, "12-3.000000000");

  /* Where only one of them fits, it is the attributes. */
  g_autofree char *long_text = g_strnfill (2000, 'x');
  KpXattr *large = g_ptr_array_index (xattrs, 0);
  for (gsize length = 2000; length > 0; length--)
    {
      g_bytes_unref (large->value);
      large->value = g_bytes_new (long_text, length);
      g_autoptr (KpS3HeaderList) full
          = kp_metadata_to_headers (&photo, xattrs, "12-3.000000000", "x", NULL, &left_out);
      if (left_out)
        continue;
      g_assert_nonnull (header (full, "x-amz-meta-xattr"));
      g_assert_null (header (full, "x-amz-meta-hardlink"));
      break;
    }
  g_assert_false (left_out);

  g_autoptr (KpS3HeaderList) fewest
      = kp_metadata_to_headers (&photo, NULL, NULL, "x", NULL, &left_out);
  g_assert_false (left_out);
  g_assert_cmpuint (kp_s3_header_list_get_length (fewest), ==, 7);
}

static void
test_content_type (void)
{
  static const struct
  {
    const char *path;
    mode_t type;
    const char *content_type;
  } cases[] = {
    { "a.txt", S_IFREG, "text/plain" },
    { "folder.txt/a.jpg", S_IFREG, "image/jpeg" },
    { "A.JPG", S_IFREG, "image/jpeg" },
    { "a.tar.gz", S_IFREG, "application/x-compressed-tar" },
    { "a", S_IFREG, "application/octet-stream" },
    { "a.unheard-of", S_IFREG, "application/octet-stream" },
    { "folder.txt/a", S_IFREG, "application/octet-stream" },
    { "caf\xE9.txt", S_IFREG, "application/octet-stream" },
    { "", S_IFREG, "application/octet-stream" },
    { "a.txt", S_IFLNK, "application/octet-stream" },
    { "a.txt", S_IFIFO, "application/octet-stream" },
    { "a.txt", S_IFDIR, "application/x-directory" },
    { "", S_IFDIR, "application/x-directory" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      KpFileInfo info = photo;
      gboolean left_out;

      info.mode = cases[i].type | 0644;
      g_autoptr (KpS3HeaderList) headers
          = kp_metadata_to_headers (&info, NULL, NULL, cases[i].path, NULL, &left_out);
      g_test_message ("%s", cases[i].path);
      g_assert_cmpstr (header (headers, "content-type"), ==, cases[i].content_type);
    }
}

/* Up to 2048 bytes of names and values fit; behind that, the attributes stay away and it is said.
 */
static void
test_size_limit (void)
{
  static const char xattr_name[] = "x-amz-meta-xattr";
  guint64 largest = 0;
  gboolean was_left_out = FALSE;

  for (gsize length = 1; length < 2100; length++)
    {
      g_autofree char *name = g_strnfill (length, 'a');
      g_autofree char *text = g_strdup_printf ("{\"user.%s\":\"YQ==\"}", name);
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);
      gboolean left_out;
      g_autoptr (KpS3HeaderList) headers
          = kp_metadata_to_headers (&photo, xattrs, NULL, "a", "STANDARD", &left_out);
      guint64 size = 0;

      for (guint i = 0; i < kp_s3_header_list_get_length (headers); i++)
        {
          const KpS3Header *each = kp_s3_header_list_get (headers, i);
          if (g_str_has_prefix (each->name, "x-amz-meta-"))
            size += strlen (each->name) + strlen (each->value);
        }
      g_assert_cmpuint (size, <=, 2048);
      g_assert_cmpint (left_out, ==, header (headers, xattr_name) == NULL);
      g_assert_cmpint (left_out, >=, was_left_out);
      was_left_out = left_out;
      largest = MAX (largest, size);
    }
  g_assert_true (was_left_out);
  g_assert_cmpuint (largest, ==, 2048);
}

/* ---- Objects ---- */

static KpS3Object *
object_with (guint64 size, const char *first, ...)
{
  SoupMessageHeaders *headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
  va_list arguments;

  va_start (arguments, first);
  for (const char *name = first; name != NULL; name = va_arg (arguments, const char *))
    {
      const char *value = va_arg (arguments, const char *);
      g_autofree char *whole_name = g_strconcat ("x-amz-meta-", name, NULL);
      if (value != NULL)
        soup_message_headers_append (headers, whole_name, value);
    }
  va_end (arguments);
  KpS3Object *object = kp_s3_object_new_from_headers (headers);
  object->size = size;
  object->last_modified = 1600000000;
  soup_message_headers_unref (headers);
  return object;
}

static KpS3Object *
object_from_list (KpS3HeaderList *list, guint64 size)
{
  SoupMessageHeaders *headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);

  for (guint i = 0; i < kp_s3_header_list_get_length (list); i++)
    soup_message_headers_append (headers, kp_s3_header_list_get (list, i)->name,
                                 kp_s3_header_list_get (list, i)->value);
  KpS3Object *object = kp_s3_object_new_from_headers (headers);
  object->size = size;
  soup_message_headers_unref (headers);
  return object;
}

static void
assert_same_info (const KpFileInfo *a, const KpFileInfo *b)
{
  g_assert_cmphex (a->mode, ==, b->mode);
  g_assert_cmpuint (a->uid, ==, b->uid);
  g_assert_cmpuint (a->gid, ==, b->gid);
  g_assert_cmpuint (a->size, ==, b->size);
  g_assert_cmpint (a->mtime, ==, b->mtime);
  g_assert_cmpint (a->ctime, ==, b->ctime);
  g_assert_cmpint (a->atime, ==, b->atime);
  g_assert_cmphex (a->rdev, ==, b->rdev);
  g_assert_cmpuint (a->nlink, ==, b->nlink);
}

static void
test_round_trip (void)
{
  static const guint32 types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };

  for (int round = 0; round < 2000; round++)
    for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
      {
        gboolean has_body = types[i] == S_IFREG || types[i] == S_IFLNK;
        gboolean is_device = types[i] == S_IFCHR || types[i] == S_IFBLK;
        KpFileInfo info = {
          .mode = types[i] | (guint32) g_test_rand_int_range (0, 010000),
          .uid = (guint32) g_test_rand_int (),
          .gid = (guint32) g_test_rand_int (),
          .size = has_body ? (guint64) g_test_rand_int_range (0, G_MAXINT32) : 0,
          .mtime = g_test_rand_int_range (G_MININT32, G_MAXINT32) * SECOND + round,
          .ctime = g_test_rand_int_range (G_MININT32, G_MAXINT32) * SECOND - round,
          .atime = g_test_rand_int_range (-2, 2) * SECOND / 3,
          .rdev = is_device ? makedev ((guint) g_test_rand_int_range (0, 4096),
                                       (guint) g_test_rand_int_range (1, 1 << 20))
                            : 0,
          .nlink = 1,
        };
        g_autofree char *key = kp_metadata_key ("p/a", info.mode);
        gboolean left_out;
        g_autoptr (KpS3HeaderList) headers
            = kp_metadata_to_headers (&info, NULL, NULL, "a", NULL, &left_out);
        g_autoptr (KpS3Object) object = object_from_list (headers, info.size);
        KpFileInfo back;

        g_assert_true (kp_metadata_from_object (&back, object, key));
        assert_same_info (&back, &info);
      }
}

static void
test_mode (void)
{
  static const struct
  {
    const char *text;
    const char *key;
    guint32 mode; /* 0: not said */
  } cases[] = {
    /* as s3fs writes it */
    { "33188", "a", S_IFREG | 0644 },
    { "16877", "a/", S_IFDIR | 0755 },
    { "41471", "a", S_IFLNK | 0777 },
    { "4516", "a", S_IFIFO | 0644 },
    { "35309", "a", S_IFREG | 04755 },
    { "17407", "a/", S_IFDIR | 01777 },
    /* without a type */
    { "420", "a", S_IFREG | 0644 },
    { "493", "a/", S_IFDIR | 0755 },
    { "0", "a", S_IFREG },
    /* absurd */
    { NULL, "a", 0 },
    { "", "a", 0 },
    { "-1", "a", 0 },
    { "-33188", "a", 0 },
    { "+33188", "a", 0 },
    { " 33188", "a", 0 },
    { "33188 ", "a", 0 },
    { "33188.0", "a", 0 },
    { "0x81a4", "a", 0 },
    { "100644", "a", 0 },
    { "rw-r--r--", "a", 0 },
    { "98724", "a", 0 },
    { "4294967295", "a", 0 },
    { "4295000484", "a", 0 },
    { "99999999999999999999", "a", 0 },
    { "12708", "a", 0 },
    { "61860", "a", 0 },
    /* a folder's key ends with a slash, and no other does */
    { "16877", "a", 0 },
    { "33188", "a/", 0 },
    { "41471", "a/", 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Object) object = object_with (0, "mode", cases[i].text, "mtime", "1", NULL);
      gboolean is_folder = g_str_has_suffix (cases[i].key, "/");
      guint32 otherwise = is_folder ? S_IFDIR | 0755 : S_IFREG | 0644;
      KpFileInfo info;

      g_test_message ("%s %s", cases[i].key, cases[i].text);
      g_assert_cmpint (kp_metadata_from_object (&info, object, cases[i].key), ==,
                       cases[i].text != NULL && (cases[i].mode != 0));
      g_assert_cmphex (info.mode, ==, cases[i].mode != 0 ? cases[i].mode : otherwise);
    }
}

/* What has bytes is a file, whatever else it is called. */
static void
test_bytes_are_kept (void)
{
  static const struct
  {
    const char *text;
    const char *key;
    guint32 mode;
  } cases[] = {
    { "33152", "a", S_IFREG | 0600 },  { "41471", "a", S_IFLNK | 0777 },
    { "4516", "a", S_IFREG | 0644 },   { "24992", "a", S_IFREG | 0640 },
    { "16832", "a/", S_IFREG | 0700 }, { NULL, "a/", S_IFREG | 0755 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Object) object = object_with (9, "mode", cases[i].text, "mtime", "1", NULL);
      KpFileInfo info;

      kp_metadata_from_object (&info, object, cases[i].key);
      g_assert_cmphex (info.mode, ==, cases[i].mode);
      g_assert_cmpuint (info.size, ==, 9);
    }
}

/* An object of another tool: a file of the time of its upload. */
static void
test_nothing_said (void)
{
  g_autoptr (KpS3Object) object = object_with (9, NULL);
  KpFileInfo info;

  g_assert_false (kp_metadata_from_object (&info, object, "a"));
  g_assert_cmphex (info.mode, ==, S_IFREG | 0644);
  g_assert_cmpuint (info.uid, ==, (guint32) -1);
  g_assert_cmpuint (info.gid, ==, (guint32) -1);
  g_assert_cmpuint (info.size, ==, 9);
  g_assert_cmpint (info.mtime, ==, 1600000000 * SECOND);
  g_assert_cmpint (info.atime, ==, info.mtime);
  g_assert_cmpint (info.ctime, ==, 0);
  g_assert_cmpuint (info.rdev, ==, 0);

  object->size = 0;
  g_assert_false (kp_metadata_from_object (&info, object, "a/"));
  g_assert_cmphex (info.mode, ==, S_IFDIR | 0755);
  g_assert_cmpuint (info.size, ==, 0);
}

static void
test_absurd_values (void)
{
  static const char *const absurd[]
      = { "", "-1", "4294967296", "1e3", "0x10", "root", " 1", "99999999999999999999999" };

  for (gsize i = 0; i < G_N_ELEMENTS (absurd); i++)
    {
      g_autoptr (KpS3Object) object
          = object_with (9, "mode", "33188", "uid", absurd[i], "gid", absurd[i], NULL);
      KpFileInfo info;

      g_assert_false (kp_metadata_from_object (&info, object, "a"));
      g_assert_cmpuint (info.uid, ==, (guint32) -1);
      g_assert_cmpuint (info.gid, ==, (guint32) -1);
    }

  g_autoptr (KpS3Object) times = object_with (9, "mode", "33188", "mtime", "now", "atime", "1..2",
                                              "ctime", "99999999999999", NULL);
  KpFileInfo info;
  g_assert_false (kp_metadata_from_object (&info, times, "a"));
  g_assert_cmpint (info.mtime, ==, 1600000000 * SECOND);
  g_assert_cmpint (info.atime, ==, 1600000000 * SECOND);
  g_assert_cmpint (info.ctime, ==, 0);
}

static void
test_device (void)
{
  const struct
  {
    const char *text;
    guint64 rdev;
  } cases[] = {
    { "8:17", makedev (8, 17) },
    { "1:3", makedev (1, 3) },
    { "259:1048575", makedev (259, 1048575) },
    { NULL, 0 },
    { "", 0 },
    { "8", 0 },
    { "8:", 0 },
    { ":17", 0 },
    { "8:17:1", 0 },
    { "8:1x", 0 },
    { "-1:1", 0 },
    { "8 : 17", 0 },
    { "4294967296:1", 0 },
    { "99999999999999999999:1", 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpS3Object) object
          = object_with (0, "mode", "24992", "mtime", "1", "rdev", cases[i].text, NULL);
      KpFileInfo info;

      g_test_message ("%s", cases[i].text);
      kp_metadata_from_object (&info, object, "a");
      g_assert_cmphex (info.mode, ==, S_IFBLK | 0640);
      g_assert_cmphex (info.rdev, ==, cases[i].rdev);
    }
}

static void
test_key (void)
{
  static const struct
  {
    const char *key;
    guint32 mode;
    const char *expected;
  } cases[] = {
    { "a", S_IFREG | 0644, "a" }, { "a", S_IFDIR | 0755, "a/" },    { "a/", S_IFDIR | 0755, "a/" },
    { "", S_IFDIR | 0755, "" },   { "a/b", S_IFLNK | 0777, "a/b" }, { "a", S_IFIFO, "a" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *key = kp_metadata_key (cases[i].key, cases[i].mode);
      g_assert_cmpstr (key, ==, cases[i].expected);
    }
}

/* ext4 goes from 1901 to 2446; other file systems further. What nothing can say becomes the nearest
 * time there is, and not one of another century. */
static void
test_far_times (void)
{
  static const struct
  {
    struct timespec time;
    const char *text;
  } cases[] = {
    { { 13583203200, 123456789 }, "13583203200.123456789" }, /* 2400-06-08 */
    { { 15032385535, 999999999 }, "15032385535.999999999" }, /* the last of ext4 */
    { { G_GINT64_CONSTANT (-2147483648), 1 }, "-2147483647.999999999" },
    { { 16299260425, 5 }, "16299260424.999999999" },
    { { G_MAXINT64, 999999999 }, "16299260424.999999999" },
    { { -15032385535, 0 }, "-2147483648.000000000" },
    { { G_MININT64, 0 }, "-2147483648.000000000" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const struct stat st = { .st_mode = S_IFREG, .st_mtim = cases[i].time };
      KpFileInfo info;
      gint64 back;

      kp_file_info_from_stat (&info, &st);
      g_autofree char *text = kp_metadata_format_time (info.mtime);
      g_assert_cmpstr (text, ==, cases[i].text);
      g_assert_true (kp_metadata_parse_time (text, &back));
      g_assert_cmpint (back, ==, info.mtime);
    }
}

static void
test_compare_times (void)
{
  static const gint64 seconds[] = { G_MININT32, -1, 0, 1, 1700000000, 9223372036, 13583203200 };

  for (gsize i = 0; i < G_N_ELEMENTS (seconds); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (seconds); j++)
      {
        int order = kp_metadata_compare_times (kp_metadata_make_time (seconds[i], 5),
                                               kp_metadata_make_time (seconds[j], 5));
        g_assert_cmpint (order, ==, i < j ? -1 : i > j);
      }
}

/* The same of a server's Last-Modified. */
static void
test_far_upload (void)
{
  g_autoptr (KpS3Object) object = object_with (9, NULL);
  KpFileInfo info;

  object->last_modified = 253402300799; /* the end of the year 9999 */
  kp_metadata_from_object (&info, object, "a");
  g_autofree char *text = kp_metadata_format_time (info.mtime);
  g_assert_cmpstr (text, ==, "16299260424.999999999");
}

/* Base64 that is cut or padded wrongly would give another value than the file had. */
static void
test_xattrs_bad_base64 (void)
{
  static const char *const values[] = { "YQ", "Y", "YWJjZ", "====", "Y=Q=", "=YQ=", "YWJj=" };

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"user.a\":\"%s\"}", values[i]);
      g_autoptr (GPtrArray) xattrs = kp_xattrs_parse (text);

      g_test_message ("%s", values[i]);
      g_assert_cmpuint (xattrs->len, ==, 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/metadata/format-time", test_format_time);
  g_test_add_func ("/mirror/metadata/parse-time", test_parse_time);
  g_test_add_func ("/mirror/metadata/no-time", test_no_time);
  g_test_add_func ("/mirror/metadata/time-round-trip", test_time_round_trip);
  g_test_add_func ("/mirror/metadata/from-stat", test_from_stat);
  g_test_add_func ("/mirror/metadata/same-content", test_same_content);
  g_test_add_func ("/mirror/metadata/xattrs-of-files", test_xattrs_of_files);
  g_test_add_func ("/mirror/metadata/no-xattrs", test_no_xattrs);
  g_test_add_func ("/mirror/metadata/xattrs-format", test_xattrs_format);
  g_test_add_func ("/mirror/metadata/xattrs-of-s3fs", test_xattrs_of_s3fs);
  g_test_add_func ("/mirror/metadata/xattrs-garbage", test_xattrs_garbage);
  g_test_add_func ("/mirror/metadata/xattrs-damaged", test_xattrs_damaged);
  g_test_add_func ("/mirror/metadata/xattrs-digest", test_xattrs_digest);
  g_test_add_func ("/mirror/metadata/headers", test_headers);
  g_test_add_func ("/mirror/metadata/content-type", test_content_type);
  g_test_add_func ("/mirror/metadata/size-limit", test_size_limit);
  g_test_add_func ("/mirror/metadata/round-trip", test_round_trip);
  g_test_add_func ("/mirror/metadata/mode", test_mode);
  g_test_add_func ("/mirror/metadata/bytes-are-kept", test_bytes_are_kept);
  g_test_add_func ("/mirror/metadata/nothing-said", test_nothing_said);
  g_test_add_func ("/mirror/metadata/absurd-values", test_absurd_values);
  g_test_add_func ("/mirror/metadata/device", test_device);
  g_test_add_func ("/mirror/metadata/key", test_key);
  g_test_add_func ("/mirror/metadata/far-times", test_far_times);
  g_test_add_func ("/mirror/metadata/compare-times", test_compare_times);
  g_test_add_func ("/mirror/metadata/far-upload", test_far_upload);
  g_test_add_func ("/mirror/metadata/xattrs-bad-base64", test_xattrs_bad_base64);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-content.h"
#include "kp-error.h"
#include "temporary-tree.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MEBIBYTE (1024 * 1024)
#define GIBIBYTE (1024 * G_GUINT64_CONSTANT (1048576))
#define TEBIBYTE (1024 * GIBIBYTE)
#define SECOND G_GINT64_CONSTANT (1000000000)

static void
test_part_size (void)
{
  static const struct
  {
    guint64 size;
    unsigned max_parts;
    guint64 mebibytes;
  } cases[] = {
    { 0, 10000, 8 },
    { 1, 10000, 8 },
    { KP_PART_SIZE, 10000, 8 },
    { KP_PART_SIZE + 1, 10000, 8 },
    { KP_PART_SIZE, 1, 8 },
    { KP_PART_SIZE + 1, 1, 9 },
    { 100 * MEBIBYTE, 1, 100 },
    { 80000 * (guint64) MEBIBYTE, 10000, 8 },
    { 80000 * (guint64) MEBIBYTE + 1, 10000, 9 },
    { 90000 * (guint64) MEBIBYTE, 10000, 9 },
    { 8000 * (guint64) MEBIBYTE, 1000, 8 },
    { 8000 * (guint64) MEBIBYTE + 1, 1000, 9 },
    { TEBIBYTE, 10000, 105 },
    { 5 * TEBIBYTE, 10000, 525 },
    { 50 * TEBIBYTE, 10000, 5243 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpuint (kp_content_part_size (cases[i].size, cases[i].max_parts), ==,
                      cases[i].mebibytes * MEBIBYTE);
}

/* Whole MiB, no more parts than allowed, and no larger than that takes. */
static void
test_part_size_bounds (void)
{
  for (int i = 0; i < 20000; i++)
    {
      guint64 size = (guint64) (guint32) g_test_rand_int () << g_test_rand_int_range (0, 16);
      unsigned max_parts = (unsigned) g_test_rand_int_range (1, 10001);
      guint64 part = kp_content_part_size (size, max_parts);
      guint64 smaller = part - MEBIBYTE;

      g_assert_cmpuint (part % MEBIBYTE, ==, 0);
      g_assert_cmpuint (part, >=, KP_PART_SIZE);
      g_assert_cmpuint ((size + part - 1) / part, <=, max_parts);
      if (part > KP_PART_SIZE)
        g_assert_cmpuint ((size + smaller - 1) / smaller, >, max_parts);
    }
}

/* ---- Hashes ---- */

/* The ETag of a multipart upload, as Amazon's documentation describes it. */
static char *
etag_of (const char *data, gsize size, gsize part_size)
{
  g_autoptr (GChecksum) of_parts = g_checksum_new (G_CHECKSUM_MD5);
  guint n_parts = 0;

  if (size <= KP_PART_SIZE)
    return g_compute_checksum_for_data (G_CHECKSUM_MD5, (const guchar *) data, size);
  for (gsize offset = 0; offset < size; offset += part_size, n_parts++)
    {
      g_autoptr (GChecksum) part = g_checksum_new (G_CHECKSUM_MD5);
      guint8 digest[16];
      gsize length = sizeof digest;

      g_checksum_update (part, (const guchar *) data + offset,
                         (gssize) MIN (part_size, size - offset));
      g_checksum_get_digest (part, digest, &length);
      g_checksum_update (of_parts, digest, sizeof digest);
    }
  return g_strdup_printf ("%s-%u", g_checksum_get_string (of_parts), n_parts);
}

static char *
hex (GBytes *bytes)
{
  GString *text = g_string_new (NULL);
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  for (gsize i = 0; i < length; i++)
    g_string_append_printf (text, "%02x", data[i]);
  return g_string_free (text, FALSE);
}

static char *
random_data (gsize size)
{
  char *data = g_malloc (size + 1);
  guint32 state = (guint32) g_test_rand_int () | 1;

  for (gsize i = 0; i < size; i++)
    {
      state = state * 1664525 + 1013904223;
      data[i] = (char) (state >> 24);
    }
  return data;
}

static void
test_hash (void)
{
  static const struct
  {
    gsize size;
    gsize part_size;
  } cases[] = {
    { 0, KP_PART_SIZE },
    { 1, KP_PART_SIZE },
    { 256 * 1024, KP_PART_SIZE },
    { 256 * 1024 + 1, KP_PART_SIZE },
    { KP_PART_SIZE - 1, KP_PART_SIZE },
    { KP_PART_SIZE, KP_PART_SIZE },
    { KP_PART_SIZE + 1, KP_PART_SIZE },
    { 2 * KP_PART_SIZE - 1, KP_PART_SIZE },
    { 2 * KP_PART_SIZE, KP_PART_SIZE },
    { 2 * KP_PART_SIZE + 12345, KP_PART_SIZE },
    { 2 * KP_PART_SIZE + 12345, 9 * MEBIBYTE },
    /* one piece, whatever the part size */
    { KP_PART_SIZE, 9 * MEBIBYTE },
    { KP_PART_SIZE, MEBIBYTE },
    { 5, 1 },
    /* parts longer than the file */
    { KP_PART_SIZE + 1, 9 * MEBIBYTE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (TemporaryTree) tree = temporary_tree_new ();
      g_autofree char *data = random_data (cases[i].size);
      g_autofree char *etag = etag_of (data, cases[i].size, cases[i].part_size);
      g_autofree char *sha256
          = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) data, cases[i].size);

      temporary_tree_write (tree, "file", data, (gssize) cases[i].size);
      int fd = temporary_tree_open (tree, "file", O_RDONLY);
      for (int with_etag = 0; with_etag < 2; with_etag++)
        {
          g_auto (KpContentHashes) hashes = { NULL };
          g_autoptr (GError) error = NULL;

          g_assert_true (kp_content_hash (fd, cases[i].size, cases[i].part_size, with_etag, &hashes,
                                          NULL, &error));
          g_assert_no_error (error);
          g_autofree char *found = hex (hashes.sha256);
          g_assert_cmpstr (found, ==, sha256);
          g_assert_cmpstr (hashes.etag, ==, with_etag ? etag : NULL);
        }
      close (fd);
    }
}

/* FIPS 180 and RFC 1321, so that not only our own arithmetic agrees with itself. */
static void
test_hash_vectors (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_auto (KpContentHashes) hashes = { NULL };
  g_autoptr (GError) error = NULL;

  temporary_tree_write (tree, "file", "abc", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  g_assert_true (kp_content_hash (fd, 3, KP_PART_SIZE, TRUE, &hashes, NULL, &error));
  close (fd);
  g_assert_no_error (error);
  g_autofree char *sha256 = hex (hashes.sha256);
  g_assert_cmpstr (sha256, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  g_assert_cmpstr (hashes.etag, ==, "900150983cd24fb0d6963f7d28e17f72");
}

/* The file that was measured is not the one that was read. */
static void
test_short_file (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  temporary_tree_write (tree, "file", "hello", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  for (guint64 size = 6; size < 3 * GIBIBYTE; size *= 1000)
    {
      g_auto (KpContentHashes) hashes = { NULL };
      g_autoptr (GError) error = NULL;

      g_assert_false (kp_content_hash (fd, size, KP_PART_SIZE, TRUE, &hashes, NULL, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING);
      g_assert_null (hashes.sha256);
      g_assert_null (hashes.etag);
    }
  close (fd);
}

static void
test_hash_cancelled (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (KpContentHashes) hashes = { NULL };
  g_autoptr (GError) error = NULL;

  temporary_tree_write (tree, "file", "hello", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  g_cancellable_cancel (cancellable);
  g_assert_false (kp_content_hash (fd, 5, KP_PART_SIZE, TRUE, &hashes, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  close (fd);
}

/* A part that is larger than memory is the matter of one file. */
static void
test_read_too_much (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GError) error = NULL;

  temporary_tree_write (tree, "file", "hello world", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  g_assert_null (kp_content_read (fd, 0, G_MAXINT64 / 8, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "not enough memory for 1.0 EiB"));
  close (fd);
}

static void
test_read (void)
{
  static const struct
  {
    guint64 offset;
    guint64 length;
    const char *text; /* NULL: the file ends earlier */
  } cases[] = {
    { 0, 11, "hello world" }, { 0, 0, "" },    { 11, 0, "" },  { 6, 5, "world" }, { 4, 3, "o w" },
    { 0, 12, NULL },          { 11, 1, NULL }, { 6, 6, NULL }, { 1000, 1, NULL },
  };
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();

  temporary_tree_write (tree, "file", "hello world", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = kp_content_read (fd, cases[i].offset, cases[i].length, &error);

      if (cases[i].text == NULL)
        {
          g_assert_null (bytes);
          g_assert_error (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING);
          continue;
        }
      gsize length;
      g_assert_no_error (error);
      const void *data = g_bytes_get_data (bytes, &length);
      g_assert_cmpmem (data, length, cases[i].text, strlen (cases[i].text));
    }
  close (fd);
}

static void
test_unreadable (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_auto (KpContentHashes) hashes = { NULL };
  g_autoptr (GError) error = NULL;
  KpFileInfo info;

  /* A folder opens, but cannot be read. */
  g_assert_null (kp_content_read (tree->fd, 0, 1, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE);
  g_clear_error (&error);
  g_assert_false (kp_content_hash (tree->fd, 1, KP_PART_SIZE, TRUE, &hashes, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE);
  g_clear_error (&error);
  g_assert_null (kp_content_chunks (tree->fd, 1, NULL, NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE);
  g_clear_error (&error);
  g_assert_false (kp_content_stat (-1, &info, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE);
}

static void
test_stat (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GError) error = NULL;
  KpFileInfo info;

  temporary_tree_write (tree, "file", "hello", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  g_assert_true (kp_content_stat (fd, &info, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (info.size, ==, 5);
  g_assert_true (S_ISREG (info.mode));

  /* After the wait another change shows, as the tick of this one is over. */
  KpFileInfo settled;
  g_assert_true (kp_content_wait_settled (fd, &settled, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (kp_content_is_settled (&settled, g_get_real_time ()));
  g_assert_true (kp_file_info_same_content (&info, &settled));
  close (fd);
}

/* ---- Chunks ---- */

static void
test_chunks (void)
{
  static const gsize sizes[] = { 0,
                                 1,
                                 KP_CHUNK_MIN - 1,
                                 KP_CHUNK_MIN,
                                 KP_CHUNK_MIN + 1,
                                 KP_CHUNK_MAX,
                                 KP_CHUNK_MAX + 1,
                                 2 * KP_CHUNK_MAX,
                                 2 * KP_CHUNK_MAX + 1,
                                 20 * MEBIBYTE + 777 };

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (sizes); i++)
    {
      gsize size = sizes[i / 2];
      g_autoptr (TemporaryTree) tree = temporary_tree_new ();
      g_autofree char *data = i % 2 == 0 ? random_data (size) : g_malloc0 (size + 1);
      g_autoptr (GError) error = NULL;
      gsize offset = 0;

      temporary_tree_write (tree, "file", data, (gssize) size);
      int fd = temporary_tree_open (tree, "file", O_RDONLY);
      g_autoptr (GArray) chunks = kp_content_chunks (fd, size, NULL, NULL, NULL, &error);
      close (fd);
      g_assert_no_error (error);
      for (guint j = 0; j < chunks->len; j++)
        {
          const KpChunk *chunk = &g_array_index (chunks, KpChunk, j);
          guint8 sha256[KP_CHUNK_HASH_SIZE];
          gsize length = sizeof sha256;
          g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);

          /* As the chunker cuts the whole file when it has it in memory. */
          g_assert_cmpuint (chunk->offset, ==, offset);
          g_assert_cmpuint (chunk->length, ==,
                            kp_chunker_cut ((const guint8 *) data + offset, size - offset));
          g_checksum_update (checksum, (const guchar *) data + offset, (gssize) chunk->length);
          g_checksum_get_digest (checksum, sha256, &length);
          g_assert_cmpmem (chunk->sha256, sizeof chunk->sha256, sha256, length);
          offset += chunk->length;
        }
      g_assert_cmpuint (offset, ==, size);
    }
}

static void
test_chunks_fail (void)
{
  g_autoptr (TemporaryTree) tree = temporary_tree_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  temporary_tree_write (tree, "file", "hello", -1);
  int fd = temporary_tree_open (tree, "file", O_RDONLY);
  g_assert_null (kp_content_chunks (fd, 6, NULL, NULL, NULL, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CHANGED_WHILE_READING);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  g_assert_null (kp_content_chunks (fd, 5, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  close (fd);
}

static void
test_is_settled (void)
{
  /* 2026, with a fraction; milliseconds after the change. */
  const gint64 changed = 1795000000 * SECOND + 123456789;
  static const struct
  {
    gint64 ctime_off; /* nanoseconds to add to the time of the change */
    gint64 mtime_off;
    gint64 after; /* milliseconds */
    gboolean settled;
  } cases[] = {
    { 0, 0, 0, FALSE },
    { 0, 0, 10, FALSE },
    { 0, 0, 19, FALSE },
    { 0, 0, 21, TRUE },
    { 0, 0, 100000, TRUE },
    /* a file that was given an old time of its own */
    { 0, -1000 * SECOND, 10, FALSE },
    { 0, -1000 * SECOND, 21, TRUE },
    /* whole seconds: the file system may count no finer */
    { -123456789, 0, 1500, FALSE },
    { -123456789, 0, 2500, TRUE },
    /* a clock that was set back */
    { 0, 0, -1000, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const KpFileInfo info = { .mode = S_IFREG,
                                .ctime = changed + cases[i].ctime_off,
                                .mtime = changed + cases[i].mtime_off };
      gint64 now = changed / 1000 + cases[i].after * 1000;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      g_assert_cmpint (kp_content_is_settled (&info, now), ==, cases[i].settled);
    }
}

/* RFC 1321, appendix A.5. */
static void
test_md5 (void)
{
  static const char *const vectors[][2]
      = { { "", "d41d8cd98f00b204e9800998ecf8427e" },
          { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" } };

  for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autoptr (GBytes) bytes = g_bytes_new_static (vectors[i][0], strlen (vectors[i][0]));
      g_autofree char *md5 = kp_content_md5 (bytes);
      g_assert_cmpstr (md5, ==, vectors[i][1]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/content/part-size", test_part_size);
  g_test_add_func ("/mirror/content/part-size-bounds", test_part_size_bounds);
  g_test_add_func ("/mirror/content/hash", test_hash);
  g_test_add_func ("/mirror/content/hash-vectors", test_hash_vectors);
  g_test_add_func ("/mirror/content/short-file", test_short_file);
  g_test_add_func ("/mirror/content/hash-cancelled", test_hash_cancelled);
  g_test_add_func ("/mirror/content/read", test_read);
  g_test_add_func ("/mirror/content/read-too-much", test_read_too_much);
  g_test_add_func ("/mirror/content/unreadable", test_unreadable);
  g_test_add_func ("/mirror/content/stat", test_stat);
  g_test_add_func ("/mirror/content/chunks", test_chunks);
  g_test_add_func ("/mirror/content/chunks-fail", test_chunks_fail);
  g_test_add_func ("/mirror/content/is-settled", test_is_settled);
  g_test_add_func ("/mirror/content/md5", test_md5);
  return g_test_run ();
}

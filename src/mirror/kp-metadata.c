/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-metadata.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define NANOSECONDS 1000000000

#define DIRECTORY_TYPE "application/x-directory"
#define DEFAULT_TYPE "application/octet-stream"

/* The times that a gint64 of nanoseconds can hold would end in 2262, and file systems go further:
 * ext4 from 1901 to 2446, XFS to 2486. So the values below the first second of a 32-bit time_t,
 * which no such file system has, stand for what comes after 2262 instead: the count of nanoseconds
 * simply goes on, modulo 2^64. Equal times are equal values; to tell which is later, ask
 * kp_metadata_compare_times(). */
#define FIRST_SECOND ((gint64) G_MININT32)            /* 1901-12-13 */
#define LAST_SECOND (G_GINT64_CONSTANT (16299260424)) /* 2486-07-02 */
#define FIRST_TIME (FIRST_SECOND * NANOSECONDS)

/**
 * kp_metadata_make_time:
 * @seconds: since 1970, negative before
 * @nanoseconds: 0 … 999,999,999, counted forwards from @seconds
 *
 * Returns: the time as #KpFileInfo has it; one that it cannot say becomes the nearest that it can
 */
gint64
kp_metadata_make_time (gint64 seconds, gint64 nanoseconds)
{
  if (seconds < FIRST_SECOND)
    return FIRST_TIME;
  if (seconds > LAST_SECOND)
    {
      seconds = LAST_SECOND;
      nanoseconds = NANOSECONDS - 1;
    }
  return (gint64) ((guint64) seconds * NANOSECONDS + (guint64) nanoseconds);
}

/**
 * kp_metadata_get_precision:
 * @ctime: as #KpFileInfo has it
 *
 * File systems that count whole seconds, or two, show it by times without a fraction.
 *
 * Returns: how many nanoseconds may have been cut off
 */
gint64
kp_metadata_get_precision (gint64 ctime)
{
  return ctime % NANOSECONDS == 0 ? 2 * NANOSECONDS : 0;
}

/**
 * kp_metadata_split_time:
 * @time: as #KpFileInfo has it
 * @seconds: (out): since 1970, rounded down
 * @nanoseconds: (out): 0 … 999,999,999, counted forwards from @seconds
 */
void
kp_metadata_split_time (gint64 time, gint64 *seconds, gint64 *nanoseconds)
{
  if (time < FIRST_TIME)
    {
      *seconds = (gint64) ((guint64) time / NANOSECONDS);
      *nanoseconds = (gint64) ((guint64) time % NANOSECONDS);
      return;
    }
  *seconds = time / NANOSECONDS;
  *nanoseconds = time % NANOSECONDS;
  if (*nanoseconds < 0)
    {
      *nanoseconds += NANOSECONDS;
      --*seconds;
    }
}

/**
 * kp_metadata_compare_times:
 *
 * Returns: less than 0, 0 or more than 0, as @a is before, equal to or after @b
 */
int
kp_metadata_compare_times (gint64 a, gint64 b)
{
  /* Counted from the first time there is. */
  guint64 from_first_a = (guint64) a - (guint64) FIRST_TIME;
  guint64 from_first_b = (guint64) b - (guint64) FIRST_TIME;

  return from_first_a < from_first_b ? -1 : from_first_a > from_first_b;
}

static gint64
from_timespec (const struct timespec *time)
{
  return kp_metadata_make_time (time->tv_sec, time->tv_nsec);
}

/**
 * kp_file_info_from_stat:
 * @info: (out): filled in
 */
void
kp_file_info_from_stat (KpFileInfo *info, const struct stat *st)
{
  *info = (KpFileInfo){
    .mode = st->st_mode,
    .uid = st->st_uid,
    .gid = st->st_gid,
    .size = S_ISREG (st->st_mode) || S_ISLNK (st->st_mode) ? (guint64) st->st_size : 0,
    .mtime = from_timespec (&st->st_mtim),
    .ctime = from_timespec (&st->st_ctim),
    .atime = from_timespec (&st->st_atim),
    .dev = st->st_dev,
    .ino = st->st_ino,
    .rdev = S_ISCHR (st->st_mode) || S_ISBLK (st->st_mode) ? st->st_rdev : 0,
    .nlink = st->st_nlink,
  };
}

/**
 * kp_file_info_same_content:
 *
 * Whether nothing says that the bytes changed between @a and @b: same file, size, and times of
 * change.
 */
gboolean
kp_file_info_same_content (const KpFileInfo *a, const KpFileInfo *b)
{
  return (a->mode & S_IFMT) == (b->mode & S_IFMT) && a->size == b->size && a->mtime == b->mtime
         && a->ctime == b->ctime && a->ino == b->ino && a->dev == b->dev;
}

/* Writes a number in front of @end, with zeros in front of it up to @digits. There are six in the
 * headers of each file, and printf takes many times as long. Returns where it begins. */
static char *
put_number (char *end, guint64 value, int digits)
{
  for (; value > 0 || digits > 0; value /= 10, digits--)
    *--end = (char) ('0' + value % 10);
  return end;
}

/**
 * kp_metadata_format_time:
 *
 * Returns: (transfer full): seconds with nine digits of fraction, "1700000000.123456789". Times
 * before 1970 have a sign and a magnitude, as rclone reads them: half a second before is
 * "-0.500000000".
 */
char *
kp_metadata_format_time (gint64 nanoseconds)
{
  char text[32] = "";
  char *p = text + sizeof text - 1;
  gint64 seconds;
  gint64 fraction;

  kp_metadata_split_time (nanoseconds, &seconds, &fraction);
  gboolean is_negative = seconds < 0;
  if (is_negative && fraction > 0)
    {
      seconds++;
      fraction = NANOSECONDS - fraction;
    }
  p = put_number (p, (guint64) fraction, 9);
  *--p = '.';
  p = put_number (p, (guint64) ABS (seconds), 1);
  if (is_negative)
    *--p = '-';
  return g_strdup (p);
}

/**
 * kp_metadata_parse_time:
 * @text: (nullable): seconds with any number of digits of fraction
 * @nanoseconds: (out): unchanged on failure
 *
 * Returns: whether @text is a time between 13 December 1901 and 2 July 2486
 */
gboolean
kp_metadata_parse_time (const char *text, gint64 *nanoseconds)
{
  gboolean negative;
  guint64 seconds = 0;
  guint64 fraction = 0;
  guint64 unit = NANOSECONDS;
  const char *p = text;

  if (text == NULL)
    return FALSE;
  negative = *p == '-';
  p += negative ? 1 : 0;
  if (!g_ascii_isdigit (*p))
    return FALSE;
  for (; g_ascii_isdigit (*p); p++)
    {
      seconds = seconds * 10 + (guint64) (*p - '0');
      if (seconds > (guint64) LAST_SECOND)
        return FALSE;
    }
  if (*p == '.')
    for (p++; g_ascii_isdigit (*p); p++)
      {
        unit /= 10;
        fraction += (guint64) (*p - '0') * unit;
      }
  if (*p != '\0')
    return FALSE;

  if (negative && seconds + (fraction > 0 ? 1 : 0) > (guint64) -FIRST_SECOND)
    return FALSE;
  *nanoseconds = (gint64) (negative ? -(seconds * NANOSECONDS + fraction)
                                    : seconds * NANOSECONDS + fraction);
  return TRUE;
}

static void
xattr_free (void *data)
{
  KpXattr *xattr = data;

  g_free (xattr->name);
  g_bytes_unref (xattr->value);
  g_free (xattr);
}

static GPtrArray *
xattrs_new (void)
{
  return g_ptr_array_new_with_free_func (xattr_free);
}

static int
compare_xattrs (const void *a, const void *b)
{
  return strcmp ((*(KpXattr *const *) a)->name, (*(KpXattr *const *) b)->name);
}

static gboolean
means_no_xattrs (int code)
{
  return code == ENOTSUP || code == ENOSYS || code == ENODATA;
}

static GBytes *
read_xattr (int fd, const char *name)
{
  /* Again when the value grew between asking for its size and reading it. */
  for (int i = 0; i < 3; i++)
    {
      ssize_t size = fgetxattr (fd, name, NULL, 0);
      if (size < 0)
        return NULL;
      g_autofree char *value = g_malloc ((gsize) size + 1);
      size = fgetxattr (fd, name, value, (gsize) size + 1);
      if (size >= 0)
        return g_bytes_new_take (g_steal_pointer (&value), (gsize) size);
      if (errno != ERANGE)
        return NULL;
    }
  return NULL;
}

/**
 * kp_xattrs_read:
 * @fd: an open file or directory
 * @error: %KP_ERROR_SOURCE_UNREADABLE
 *
 * Returns: (transfer full) (element-type KpXattr): the attributes in the namespace "user", sorted
 * by name; empty where the file system has none
 */
GPtrArray *
kp_xattrs_read (int fd, GError **error)
{
  g_autoptr (GPtrArray) xattrs = xattrs_new ();
  g_autofree char *names = NULL;
  ssize_t length = 0;

  for (int i = 0; i < 3; i++)
    {
      length = flistxattr (fd, NULL, 0);
      if (length <= 0)
        break;
      g_free (names);
      names = g_malloc ((gsize) length);
      length = flistxattr (fd, names, (gsize) length);
      if (length >= 0 || errno != ERANGE)
        break;
    }
  if (length < 0 && !means_no_xattrs (errno))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE,
                   "Cannot read extended attributes: %s", g_strerror (errno));
      return NULL;
    }

  for (const char *name = names; length > 0 && name < names + length; name += strlen (name) + 1)
    {
      if (!g_str_has_prefix (name, "user."))
        continue;
      GBytes *value = read_xattr (fd, name);
      if (value == NULL && means_no_xattrs (errno))
        continue; /* removed meanwhile */
      if (value == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_UNREADABLE,
                       "Cannot read the extended attribute %s: %s", name, g_strerror (errno));
          return NULL;
        }
      KpXattr *xattr = g_new (KpXattr, 1);
      xattr->name = g_strdup (name);
      xattr->value = value;
      g_ptr_array_add (xattrs, xattr);
    }
  g_ptr_array_sort (xattrs, compare_xattrs);
  return g_steal_pointer (&xattrs);
}

/* s3fs does not escape names in its object; what would confuse its reader, or ours, is written as
 * %XX. */
static void
append_xattr_name (GString *json, const char *name)
{
  for (const guchar *p = (const guchar *) name; *p != '\0'; p++)
    if (*p < 0x21 || *p > 0x7E || strchr ("%\",:{}\\", *p) != NULL)
      g_string_append_printf (json, "%%%02X", *p);
    else
      g_string_append_c (json, (char) *p);
}

/**
 * kp_xattrs_format:
 * @xattrs: (nullable) (element-type KpXattr): attributes
 *
 * Returns: (transfer full) (nullable): the value of x-amz-meta-xattr: {"name":"base64",…},
 *   percent-encoded as a whole; %NULL for no attributes
 */
char *
kp_xattrs_format (GPtrArray *xattrs)
{
  g_autoptr (GString) json = g_string_new ("{");

  if (xattrs == NULL || xattrs->len == 0)
    return NULL;
  for (guint i = 0; i < xattrs->len; i++)
    {
      const KpXattr *xattr = g_ptr_array_index (xattrs, i);
      gsize size;
      const void *data = g_bytes_get_data (xattr->value, &size);
      g_autofree char *base64 = g_base64_encode (data != NULL ? data : (const guchar *) "", size);

      g_string_append (json, i > 0 ? ",\"" : "\"");
      append_xattr_name (json, xattr->name);
      g_string_append_printf (json, "\":\"%s\"", base64);
    }
  g_string_append_c (json, '}');
  return kp_s3_uri_encode (json->str, TRUE);
}

/* GLib decodes whatever it is given; a value that was cut must not become another value. */
static gboolean
is_base64 (const char *text)
{
  gsize length = strspn (text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  gsize padding = strspn (text + length, "=");

  return text[length + padding] == '\0' && padding <= 2 && (length + padding) % 4 == 0;
}

/**
 * kp_xattrs_parse:
 * @text: (nullable): the value of x-amz-meta-xattr
 *
 * Returns: (transfer full) (element-type KpXattr): the attributes; what is not understood, or not
 * in the namespace "user", is left out
 */
GPtrArray *
kp_xattrs_parse (const char *text)
{
  GPtrArray *xattrs = xattrs_new ();
  g_autofree char *json = text != NULL ? g_uri_unescape_string (text, NULL) : NULL;
  gsize length = json != NULL ? strlen (json) : 0;

  if (length < 2 || json[0] != '{' || json[length - 1] != '}')
    return xattrs;
  json[length - 1] = '\0';

  g_auto (GStrv) members = g_strsplit (json + 1, ",", -1);
  for (char **member = members; *member != NULL; member++)
    {
      char *pair = g_strstrip (*member);
      char *colon = strrchr (pair, ':');
      if (colon == NULL)
        continue;
      *colon = '\0';
      char *name = g_strstrip (pair);
      char *value = g_strstrip (colon + 1);
      gsize name_length = strlen (name);
      gsize value_length = strlen (value);
      if (name_length < 2 || value_length < 2 || name[0] != '"' || name[name_length - 1] != '"'
          || value[0] != '"' || value[value_length - 1] != '"')
        continue;
      name[name_length - 1] = '\0';
      value[value_length - 1] = '\0';

      g_autofree char *plain = g_uri_unescape_string (name + 1, NULL);
      if (plain == NULL || !g_str_has_prefix (plain, "user.") || !is_base64 (value + 1))
        continue;
      gsize size;
      guchar *data = g_base64_decode (value + 1, &size);
      KpXattr *xattr = g_new (KpXattr, 1);
      xattr->name = g_steal_pointer (&plain);
      xattr->value = g_bytes_new_take (data, size);
      g_ptr_array_add (xattrs, xattr);
    }
  g_ptr_array_sort (xattrs, compare_xattrs);
  return xattrs;
}

/**
 * kp_xattrs_digest:
 *
 * Returns: (transfer full) (nullable): a short value that changes when the attributes change; %NULL
 * for no attributes
 */
GBytes *
kp_xattrs_digest (GPtrArray *xattrs)
{
  g_autofree char *text = kp_xattrs_format (xattrs);

  if (text == NULL)
    return NULL;
  g_autofree char *hex = kp_s3_sha256_hex (text, strlen (text));
  return g_bytes_new (hex, 32);
}

/**
 * kp_xattrs_same_digest:
 * @a: (nullable): of kp_xattrs_digest()
 * @b: (nullable): the same
 *
 * Returns: whether they are of the same attributes, or of none on either side
 */
gboolean
kp_xattrs_same_digest (GBytes *a, GBytes *b)
{
  return a == NULL || b == NULL ? a == b : g_bytes_equal (a, b);
}

/**
 * kp_metadata_read_hard_link:
 * @fd: an open file
 *
 * The number of its inode, and when that was made, where the file system keeps it: numbers are used
 * again, and the device's may be another after each start of the computer. A subvolume of btrfs and
 * a snapshot of it have both in common, and the number that tells them apart stays the same.
 *
 * Returns: (transfer full) (nullable): the value of x-amz-meta-hardlink, the same for all names of
 *   the file for as long as it lives; %NULL where it cannot be told
 */
char *
kp_metadata_read_hard_link (int fd)
{
  struct statx stx;

  if (statx (fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
    return NULL;
  if ((stx.stx_mask & STATX_BTIME) == 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT, (guint64) stx.stx_ino);
  g_autofree char *birth = kp_metadata_format_time (
      kp_metadata_make_time (stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec));
  struct statfs fs;
  if (fstatfs (fd, &fs) < 0 || fs.f_type != BTRFS_SUPER_MAGIC)
    return g_strdup_printf ("%" G_GUINT64_FORMAT "-%s", (guint64) stx.stx_ino, birth);
  return g_strdup_printf ("%" G_GUINT64_FORMAT "-%s-%08x%08x", (guint64) stx.stx_ino, birth,
                          (guint32) fs.f_fsid.__val[0], (guint32) fs.f_fsid.__val[1]);
}

/* By the name alone, as s3fs does: content is not looked at, so that the same file always gets the
 * same type. */
static char *
content_type (const KpFileInfo *info, const char *path)
{
  gboolean uncertain = TRUE;

  if (S_ISDIR (info->mode))
    return g_strdup (DIRECTORY_TYPE);
  if (!S_ISREG (info->mode) || !g_utf8_validate (path, -1, NULL))
    return g_strdup (DEFAULT_TYPE);

  g_autofree char *guessed = g_content_type_guess (path, NULL, 0, &uncertain);
  g_autofree char *mime = guessed != NULL ? g_content_type_get_mime_type (guessed) : NULL;
  return uncertain || mime == NULL || !g_str_is_ascii (mime) ? g_strdup (DEFAULT_TYPE)
                                                             : g_steal_pointer (&mime);
}

static void
add_number (KpS3HeaderList *headers, const char *name, guint64 value)
{
  char text[32] = "";

  kp_s3_header_list_add (headers, name, put_number (text + sizeof text - 1, value, 1));
}

static void
add_time (KpS3HeaderList *headers, const char *name, gint64 nanoseconds)
{
  g_autofree char *text = kp_metadata_format_time (nanoseconds);

  kp_s3_header_list_add (headers, name, text);
}

static gsize
metadata_size (KpS3HeaderList *headers)
{
  gsize size = 0;

  for (guint i = 0; i < kp_s3_header_list_get_length (headers); i++)
    {
      const KpS3Header *header = kp_s3_header_list_get (headers, i);
      if (g_str_has_prefix (header->name, "x-amz-meta-"))
        size += strlen (header->name) + strlen (header->value);
    }
  return size;
}

/**
 * kp_metadata_to_headers:
 * @xattrs: (nullable) (element-type KpXattr): attributes
 * @hard_link: (nullable): of a file with several names, see kp_metadata_read_hard_link(); left out
 *   where it does not fit
 * @path: for the content type
 * @storage_class: (nullable): %NULL for the bucket's default
 * @xattrs_left_out: (out): whether @xattrs did not fit and are not among the headers
 *
 * Returns: (transfer full): all the headers that an object for this file is written with
 */
KpS3HeaderList *
kp_metadata_to_headers (const KpFileInfo *info,
                        GPtrArray *xattrs,
                        const char *hard_link,
                        const char *path,
                        const char *storage_class,
                        gboolean *xattrs_left_out)
{
  KpS3HeaderList *headers = kp_s3_header_list_new ();
  g_autofree char *type = content_type (info, path);
  g_autofree char *xattr_text = kp_xattrs_format (xattrs);

  kp_s3_header_list_add (headers, "content-type", type);
  kp_s3_header_list_add (headers, "x-amz-storage-class", storage_class);
  add_number (headers, "x-amz-meta-mode", info->mode);
  add_number (headers, "x-amz-meta-uid", info->uid);
  add_number (headers, "x-amz-meta-gid", info->gid);
  add_time (headers, "x-amz-meta-mtime", info->mtime);
  add_time (headers, "x-amz-meta-ctime", info->ctime);
  add_time (headers, "x-amz-meta-atime", info->atime);
  if (info->rdev != 0)
    {
      g_autofree char *rdev = g_strdup_printf ("%u:%u", major (info->rdev), minor (info->rdev));
      kp_s3_header_list_add (headers, "x-amz-meta-rdev", rdev);
    }

  *xattrs_left_out = xattr_text != NULL
                     && metadata_size (headers) + strlen ("x-amz-meta-xattr") + strlen (xattr_text)
                            > KP_METADATA_MAX;
  if (!*xattrs_left_out)
    kp_s3_header_list_add (headers, "x-amz-meta-xattr", xattr_text);
  /* Attributes are data; which names were one file can be found again. */
  if (hard_link != NULL
      && metadata_size (headers) + strlen (KP_METADATA_HARD_LINK) + strlen (hard_link)
             <= KP_METADATA_MAX)
    kp_s3_header_list_add (headers, KP_METADATA_HARD_LINK, hard_link);
  return headers;
}

static gboolean
parse_u32 (const char *text, guint32 *value)
{
  guint64 number;

  if (text == NULL || !g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32, &number, NULL))
    return FALSE;
  *value = (guint32) number;
  return TRUE;
}

/* "major:minor"; 0 for anything else. */
static guint64
parse_device (const char *text)
{
  g_auto (GStrv) numbers = g_strsplit (text != NULL ? text : "", ":", -1);
  guint32 device_major, device_minor;

  if (g_strv_length (numbers) != 2 || !parse_u32 (numbers[0], &device_major)
      || !parse_u32 (numbers[1], &device_minor))
    return 0;
  return makedev (device_major, device_minor);
}

static gboolean
is_file_type (guint32 mode)
{
  return S_ISREG (mode) || S_ISDIR (mode) || S_ISLNK (mode) || S_ISFIFO (mode) || S_ISSOCK (mode)
         || S_ISCHR (mode) || S_ISBLK (mode);
}

/**
 * kp_metadata_from_object:
 * @info: (out): what the object says its file is. Where it says nothing, as for objects of other
 *   tools: a directory (0755) when @key ends with "/", else a file (0644), with the time of the
 * upload and the owner (guint32) -1, which means "not known"
 * @key: the object's key
 *
 * Absurd values count as not said.
 *
 * Returns: whether the object says its file's mode and time
 */
gboolean
kp_metadata_from_object (KpFileInfo *info, const KpS3Object *object, const char *key)
{
  gboolean is_directory = g_str_has_suffix (key, "/");
  guint32 mode;
  const char *rdev = kp_s3_object_get_metadata (object, "rdev");

  *info = (KpFileInfo){ .mode = is_directory ? S_IFDIR | 0755 : S_IFREG | 0644,
                        .uid = (guint32) -1,
                        .gid = (guint32) -1,
                        .size = object->size,
                        .mtime = kp_metadata_make_time (object->last_modified, 0),
                        .nlink = 1 };

  gboolean has_mode = parse_u32 (kp_s3_object_get_metadata (object, "mode"), &mode);
  if (has_mode && (mode & S_IFMT) == 0)
    mode |= info->mode & S_IFMT;
  has_mode = has_mode && (mode & ~(guint32) (S_IFMT | 07777)) == 0 && is_file_type (mode)
             && (S_ISDIR (mode) != 0) == is_directory;
  if (has_mode)
    info->mode = mode;
  /* What has bytes is a file, whatever else it is called: they must not be lost. */
  if (object->size > 0 && !S_ISLNK (info->mode))
    info->mode = S_IFREG | (info->mode & 07777);

  if (!parse_u32 (kp_s3_object_get_metadata (object, "uid"), &info->uid))
    info->uid = (guint32) -1;
  if (!parse_u32 (kp_s3_object_get_metadata (object, "gid"), &info->gid))
    info->gid = (guint32) -1;
  gboolean has_time
      = kp_metadata_parse_time (kp_s3_object_get_metadata (object, "mtime"), &info->mtime);
  if (!kp_metadata_parse_time (kp_s3_object_get_metadata (object, "atime"), &info->atime))
    info->atime = info->mtime;
  if (!kp_metadata_parse_time (kp_s3_object_get_metadata (object, "ctime"), &info->ctime))
    info->ctime = 0;
  info->rdev = parse_device (rdev);
  if (!S_ISREG (info->mode) && !S_ISLNK (info->mode))
    info->size = 0;
  return has_mode && has_time;
}

/**
 * kp_metadata_key:
 * @key: the key of a file's path
 * @mode: the file's mode
 *
 * Returns: (transfer full): @key, with a slash at the end for a directory
 */
char *
kp_metadata_key (const char *key, guint32 mode)
{
  return g_strconcat (
      key, S_ISDIR (mode) && *key != '\0' && !g_str_has_suffix (key, "/") ? "/" : "", NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-recovery.h"

#include "kp-name.h"

#include <string.h>

/* Marks what is to be translated; this room knows no gettext. */
#define N_(text) text

#define LINE_LENGTH 78
#define NARROW_LENGTH 36 /* fits where lines are broken again, as on a telephone */
#define LABEL_WIDTH 14   /* characters, of plain text */

typedef struct
{
  KpS3Location *location;
  KpPlan *plan; /* or NULL */
  KpRecoveryTranslate translate;
  KpRecoveryFormat format;
  GString *out;
} Page;

/* --- how it looks --------------------------------------------------------------------------- */

static const char style[]
    = "body{font:12pt/1.5 serif;max-width:46em;margin:2em auto;padding:0 1em;color:#000;"
      "background:#fff}h1{font-size:1.6em;line-height:1.2}h2{font-size:1.15em;margin-top:1.6em}"
      "pre,td{font-family:monospace;font-size:10pt}th{text-align:left;padding-right:1.5em;"
      "vertical-align:top;font-weight:normal}td{overflow-wrap:anywhere}"
      "pre{border:1px solid #999;padding:.6em;white-space:pre-wrap;overflow-wrap:anywhere}"
      "@media print{body{margin:0;max-width:none;font-size:10.5pt}h2{break-after:avoid}"
      "pre,table{break-inside:avoid}@page{margin:18mm}}";

static const char *
tr (const Page *page, const char *text)
{
  return page->translate != NULL ? page->translate (text) : text;
}

static void
add_escaped (Page *page, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *escaped = g_markup_escape_text (valid, -1);

  g_string_append (page->out, escaped);
}

/* Breaks lines where there are spaces. A word that is too long stays whole. */
static void
add_wrapped (GString *out, const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  glong column = 0;

  for (gsize i = 0; words[i] != NULL; i++)
    {
      glong length = g_utf8_strlen (words[i], -1);
      if (column > 0 && column + 1 + length > LINE_LENGTH)
        {
          g_string_append_c (out, '\n');
          column = 0;
        }
      else if (column > 0)
        {
          g_string_append_c (out, ' ');
          column++;
        }
      g_string_append (out, words[i]);
      column += length;
    }
  g_string_append_c (out, '\n');
}

static void
add_heading (Page *page, unsigned level, const char *text)
{
  const char *title = tr (page, text);

  if (page->format == KP_RECOVERY_HTML)
    {
      g_string_append_printf (page->out, "<h%u>", level);
      add_escaped (page, title);
      g_string_append_printf (page->out, "</h%u>\n", level);
      return;
    }
  g_string_append_printf (page->out, "%s%s\n", page->out->len > 0 ? "\n" : "", title);
  for (glong i = MIN (g_utf8_strlen (title, -1), NARROW_LENGTH); i > 0; i--)
    g_string_append_c (page->out, level == 1 ? '=' : '-');
  g_string_append (page->out, "\n\n");
}

static void
add_paragraph (Page *page, const char *text)
{
  if (page->format == KP_RECOVERY_HTML)
    {
      g_string_append (page->out, "<p>");
      add_escaped (page, tr (page, text));
      g_string_append (page->out, "</p>\n");
      return;
    }
  add_wrapped (page->out, tr (page, text));
  g_string_append_c (page->out, '\n');
}

static void
begin_table (Page *page)
{
  if (page->format == KP_RECOVERY_HTML)
    g_string_append (page->out, "<table>\n");
}

static void
end_table (Page *page)
{
  g_string_append (page->out, page->format == KP_RECOVERY_HTML ? "</table>\n" : "\n");
}

static void
add_row (Page *page, const char *label, const char *value)
{
  if (page->format == KP_RECOVERY_HTML)
    {
      g_string_append (page->out, "<tr><th scope=\"row\">");
      add_escaped (page, label);
      g_string_append (page->out, "</th><td>");
      add_escaped (page, value);
      g_string_append (page->out, "</td></tr>\n");
      return;
    }
  g_string_append (page->out, label);
  for (glong i = g_utf8_strlen (label, -1); i < LABEL_WIDTH; i++)
    g_string_append_c (page->out, ' ');
  g_string_append_printf (page->out, "  %s\n", value);
}

/* Lines for a shell, ready to be copied. */
static void
add_commands (Page *page, const char *commands)
{
  if (page->format == KP_RECOVERY_HTML)
    {
      g_string_append (page->out, "<pre>");
      add_escaped (page, commands);
      g_string_append (page->out, "</pre>\n");
      return;
    }
  g_auto (GStrv) lines = g_strsplit (commands, "\n", -1);
  for (gsize i = 0; lines[i] != NULL; i++)
    g_string_append_printf (page->out, "    %s\n", lines[i]);
  g_string_append_c (page->out, '\n');
}

/* --- what it says --------------------------------------------------------------------------- */

static gboolean
is_path_style (KpS3Location *location)
{
  return !kp_s3_location_is_virtual_style (location);
}

/* The address without its scheme. */
static const char *
get_host (KpS3Location *location)
{
  const char *endpoint = kp_s3_location_get_endpoint (location);
  const char *scheme_end = strstr (endpoint, "://");

  return scheme_end != NULL ? scheme_end + 3 : endpoint;
}

/* "BUCKET", or "BUCKET/PREFIX". */
static char *
get_place (KpS3Location *location)
{
  const char *prefix = kp_s3_location_get_prefix (location);

  return g_strconcat (kp_s3_location_get_bucket (location), *prefix != '\0' ? "/" : "", prefix,
                      NULL);
}

static char *
quote_address (KpS3Location *location, const char *ending)
{
  g_autofree char *place = get_place (location);
  g_autofree char *address = g_strconcat ("s3://", place, ending, NULL);

  return g_shell_quote (address);
}

static void
add_folders (Page *page)
{
  GPtrArray *sources = kp_plan_get_sources (page->plan);
  g_autofree char *place = get_place (page->location);

  add_heading (page, 2, N_ ("Which folder is where"));
  begin_table (page);
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      g_autofree char *path = g_filename_display_name (source->path);
      g_autofree char *key = kp_name_to_key (source->as);
      g_autofree char *address = g_strconcat ("s3://", place, *key != '\0' ? "/" : "", key, NULL);
      add_row (page, path, address);
    }
  end_table (page);
}

static void
add_place (Page *page, gint64 now)
{
  KpS3Location *location = page->location;
  const char *prefix = kp_s3_location_get_prefix (location);
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (now);
  g_autofree char *date = g_date_time_format (time, "%Y-%m-%d");

  add_heading (page, 2, N_ ("Where your files are"));
  begin_table (page);
  if (page->plan != NULL)
    add_row (page, tr (page, N_ ("Plan")), kp_plan_get_name (page->plan));
  add_row (page, tr (page, N_ ("Provider")), kp_s3_location_get_provider (location)->name);
  add_row (page, tr (page, N_ ("Endpoint")), kp_s3_location_get_endpoint (location));
  add_row (page, tr (page, N_ ("Region")), kp_s3_location_get_region (location));
  add_row (page, tr (page, N_ ("Bucket")), kp_s3_location_get_bucket (location));
  add_row (page, tr (page, N_ ("Prefix")), *prefix != '\0' ? prefix : tr (page, N_ ("(none)")));
  add_row (page, tr (page, N_ ("Addresses")),
           is_path_style (location)
               ? tr (page, N_ ("path style: the bucket stands behind the host"))
               : tr (page, N_ ("virtual host style: the bucket is part of the host name")));
  add_row (page, tr (page, N_ ("Written on")), date);
  end_table (page);
}

static void
add_keys (Page *page)
{
  add_heading (page, 2, N_ ("What you need"));
  add_paragraph (page, N_ ("The access key and the secret key of this storage. They are not on "
                           "this page, so that nobody who finds it can read your files. If you no "
                           "longer have them, sign in at the provider and make new ones: no file "
                           "is lost with a key."));
  add_paragraph (page, N_ ("Open a terminal, and type each key when its line waits for it. All "
                           "commands below take them from there, and put the files into a new "
                           "folder “restored”."));
  add_commands (page,
                "read -r AWS_ACCESS_KEY_ID       # then type the access key\n"
                "read -rs AWS_SECRET_ACCESS_KEY  # then type the secret key; it is not shown\n"
                "export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\n"
                "mkdir -p restored");
}

static void
add_keepsake (Page *page)
{
  KpS3Location *location = page->location;
  g_autofree char *address = quote_address (location, "");
  g_autofree char *endpoint = g_shell_quote (kp_s3_location_get_endpoint (location));
  g_autofree char *region = g_shell_quote (kp_s3_location_get_region (location));
  gboolean is_http = g_str_has_prefix (kp_s3_location_get_endpoint (location), "http://");
  g_autofree char *commands = g_strdup_printf (
      "keepsakectl restore %s restored --endpoint-url %s --region %s --provider %s%s", address,
      endpoint, region, kp_s3_location_get_provider (location)->id, is_http ? " --allow-http" : "");

  add_heading (page, 2, N_ ("With Keepsake, on any computer"));
  add_paragraph (page, N_ ("It brings back everything: times, permissions, links and names."));
  add_commands (page, commands);
}

/* The name under which rclone knows a provider; it finds its way with "Other", too. */
static const char *
get_rclone_provider (const KpS3Provider *provider)
{
  static const char *const names[][2] = {
    { "alibaba", "Alibaba" },
    { "aws", "AWS" },
    { "aws-cn", "AWS" },
    { "ceph", "Ceph" },
    { "digitalocean", "DigitalOcean" },
    { "minio", "Minio" },
    { "r2", "Cloudflare" },
    { "scaleway", "Scaleway" },
    { "tencent", "TencentCOS" },
    { "wasabi", "Wasabi" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (provider->id, names[i][0]))
      return names[i][1];
  return "Other";
}

static void
add_rclone (Page *page)
{
  KpS3Location *location = page->location;
  g_autofree char *place = get_place (location);
  g_autofree char *remote = g_strdup_printf (
      ":s3,provider=%s,env_auth=true,endpoint=\"%s\",region=\"%s\",force_path_style=%s:%s",
      get_rclone_provider (kp_s3_location_get_provider (location)),
      kp_s3_location_get_endpoint (location), kp_s3_location_get_region (location),
      is_path_style (location) ? "true" : "false", place);
  g_autofree char *quoted = g_shell_quote (remote);
  g_autofree char *commands = g_strdup_printf ("rclone copy %s restored", quoted);

  add_heading (page, 2, N_ ("With rclone"));
  add_paragraph (page, N_ ("rclone runs on Linux, macOS and Windows (rclone.org). Contents and "
                           "times come back. A symbolic link becomes a file that holds its "
                           "target."));
  add_commands (page, commands);
}

static void
add_aws (Page *page)
{
  KpS3Location *location = page->location;
  g_autofree char *address = quote_address (location, "/");
  g_autofree char *endpoint = g_shell_quote (kp_s3_location_get_endpoint (location));
  g_autofree char *region = g_shell_quote (kp_s3_location_get_region (location));
  g_autofree char *commands = g_strdup_printf (
      "%saws s3 sync %s restored --endpoint-url %s --region %s",
      is_path_style (location) ? "aws configure set default.s3.addressing_style path\n" : "",
      address, endpoint, region);

  add_heading (page, 2, N_ ("With the AWS command line"));
  add_paragraph (page, N_ ("Contents come back; times are those of the upload."));
  add_commands (page, commands);
}

static void
add_s3cmd (Page *page)
{
  KpS3Location *location = page->location;
  const char *host = get_host (location);
  gboolean is_http = g_str_has_prefix (kp_s3_location_get_endpoint (location), "http://");
  g_autofree char *address = quote_address (location, "/");
  g_autofree char *quoted_host = g_shell_quote (host);
  g_autofree char *bucket_host
      = is_path_style (location) ? g_strdup (host) : g_strconcat ("%(bucket)s.", host, NULL);
  g_autofree char *quoted_bucket_host = g_shell_quote (bucket_host);
  g_autofree char *region = g_shell_quote (kp_s3_location_get_region (location));
  g_autofree char *commands = g_strdup_printf (
      "s3cmd --config=/dev/null sync %s restored/ --host=%s --host-bucket=%s --region=%s%s",
      address, quoted_host, quoted_bucket_host, region, is_http ? " --no-ssl" : "");

  add_heading (page, 2, N_ ("With s3cmd"));
  add_paragraph (page, N_ ("Contents come back; times are those of the upload."));
  add_commands (page, commands);
}

static void
add_s3fs (Page *page)
{
  KpS3Location *location = page->location;
  const char *prefix = kp_s3_location_get_prefix (location);
  g_autofree char *bucket = g_shell_quote (kp_s3_location_get_bucket (location));
  g_autofree char *options = g_strdup_printf (
      "ro,use_wtf8,passwd_file=s3fs-keys,url=%s,endpoint=%s%s",
      kp_s3_location_get_endpoint (location), kp_s3_location_get_region (location),
      is_path_style (location) ? ",use_path_request_style" : "");
  g_autofree char *quoted_options = g_shell_quote (options);
  g_autofree char *below = g_strconcat ("mounted/", prefix, *prefix != '\0' ? "/." : ".", NULL);
  g_autofree char *quoted_below = g_shell_quote (below);
  g_autofree char *commands = g_strdup_printf (
      "(umask 077; printf '%%s:%%s\\n' \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\" "
      ">s3fs-keys)\n"
      "mkdir -p mounted\n"
      "s3fs %s mounted -o %s\n"
      "cp -a %s restored/\n"
      "fusermount -u mounted\n"
      "rm s3fs-keys",
      bucket, quoted_options, quoted_below);

  add_heading (page, 2, N_ ("With s3fs, as a folder"));
  add_paragraph (page, N_ ("On Linux. Shows the bucket as a folder, with times, permissions and "
                           "symbolic links, from which everything can be copied."));
  add_commands (page, commands);
}

static void
add_names (Page *page)
{
  add_heading (page, 2, N_ ("How names are written"));
  add_paragraph (page, N_ ("Each file is one ordinary object, not packed and not encrypted by "
                           "Keepsake. A file is stored under the prefix, the name of its folder "
                           "and its path in it. A folder is an empty object whose name ends with "
                           "a slash."));
  add_paragraph (page, N_ ("Names are UTF-8. In a name that is not, each byte that does not fit is "
                           "written as the character U+E000 plus its value; s3fs turns these back "
                           "with use_wtf8, and Keepsake does by itself."));
  add_paragraph (page, N_ ("Times, permissions and owners stand in the headers x-amz-meta-mtime, "
                           "-mode, -uid and -gid of each object, as s3fs writes them: mtime in "
                           "seconds since 1970, mode as a decimal number."));
}

/**
 * kp_recovery_compose:
 * @location: where the files are
 * @plan: (nullable): whose they are
 * @now: the date on the page, seconds since 1970
 * @translate: (nullable)
 *
 * Returns: (transfer full): the page, in UTF-8
 */
char *
kp_recovery_compose (KpS3Location *location,
                     KpPlan *plan,
                     gint64 now,
                     KpRecoveryTranslate translate,
                     KpRecoveryFormat format)
{
  Page page = { .location = location,
                .plan = plan,
                .translate = translate,
                .format = format,
                .out = g_string_new (NULL) };
  const char *title = N_ ("How to Get Your Files Back Without Keepsake");

  if (format == KP_RECOVERY_HTML)
    {
      g_string_append (page.out,
                       "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
      add_escaped (&page, tr (&page, title));
      g_string_append_printf (page.out, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
    }
  add_heading (&page, 1, title);
  add_paragraph (&page,
                 N_ ("Keep this page where it is safe when the computer is not: on paper, or "
                     "with somebody you trust. Your backup is made of ordinary files in a "
                     "bucket, and any program that speaks S3 can fetch them."));
  add_place (&page, now);
  if (plan != NULL)
    add_folders (&page);
  add_keys (&page);
  add_keepsake (&page);
  add_rclone (&page);
  add_s3fs (&page);
  add_s3cmd (&page);
  add_aws (&page);
  add_names (&page);
  if (format == KP_RECOVERY_HTML)
    g_string_append (page.out, "</body>\n</html>\n");
  return g_string_free (page.out, FALSE);
}

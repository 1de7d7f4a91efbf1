/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-location.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-s3-sign.h"

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <string.h>

struct _KpS3Location
{
  gatomicrefcount ref_count;
  const KpS3Provider *provider;
  char *endpoint;          /* as the user wrote it, without a slash at the end */
  gboolean from_template;  /* the endpoint is the provider's own for a region, and moves with it */
  gboolean was_written;    /* the endpoint, by the user */
  gboolean guesses_region; /* nobody has said it, and it is a server of somebody's own */
  char *scheme;
  char *host;      /* of the endpoint, without the bucket */
  int port;        /* -1: the scheme's own */
  char *base_path; /* "" or "/path" of the endpoint */
  char *region;
  char *bucket;
  char *prefix; /* "" or "a/b", never a slash at the end */
  gboolean virtual_style;
};

G_DEFINE_BOXED_TYPE (KpS3Location, kp_s3_location, kp_s3_location_ref, kp_s3_location_unref)

static gboolean
is_loopback (const char *host)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);

  if (address != NULL)
    return g_inet_address_get_is_loopback (address);
  return g_ascii_strcasecmp (host, "localhost") == 0;
}

/* The rules of Amazon's "Bucket naming", without those that other providers relax: underscores and
 * capitals are still met in old buckets. */
static gboolean
is_bucket_name (const char *bucket)
{
  gsize length = strlen (bucket);

  if (length < 3 || length > 63 || !g_ascii_isalnum (bucket[0]))
    return FALSE;
  for (const char *p = bucket; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("-._", *p) == NULL)
      return FALSE;
  return strstr (bucket, "..") == NULL;
}

/* A name can only stand before the host when it is a valid host name without dots: with a dot, no
 * wildcard certificate matches. */
static gboolean
bucket_fits_host (const char *bucket)
{
  for (const char *p = bucket; *p != '\0'; p++)
    if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && *p != '-')
      return FALSE;
  return TRUE;
}

/* Of what people write: capitals, dots and underscores are met in servers of their own. Part of a
 * host name and of a header, so nothing else. */
static gboolean
is_region (const char *region)
{
  gsize length = strlen (region);

  return length > 0 && length <= 64
         && strspn (region, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")
                == length;
}

static gboolean
parse_address (KpS3Location *location, const char *address, GError **error)
{
  if (!g_str_has_prefix (address, "s3://"))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is not an S3 address; write s3://BUCKET/PREFIX", address);
      return FALSE;
    }

  const char *rest = address + strlen ("s3://");
  const char *slash = strchrnul (rest, '/');
  location->bucket = g_strndup (rest, (gsize) (slash - rest));
  /* As other addresses have it, with a secret in front: not to be repeated. */
  if (strchr (location->bucket, '@') != NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "An address s3://BUCKET/PREFIX holds no keys; leave out what stands "
                           "before the “@”");
      return FALSE;
    }
  if (!is_bucket_name (location->bucket))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” in “%s” cannot be the name of a bucket (3 to 63 letters, digits, dots "
                   "and hyphens)",
                   location->bucket, address);
      return FALSE;
    }

  g_autofree char *prefix = g_strdup (*slash == '/' ? slash + 1 : "");
  while (g_str_has_suffix (prefix, "/"))
    prefix[strlen (prefix) - 1] = '\0';
  g_auto (GStrv) parts = g_strsplit (prefix, "/", -1);
  for (char **part = parts; *prefix != '\0' && *part != NULL; part++)
    if (g_str_equal (*part, "") || g_str_equal (*part, ".") || g_str_equal (*part, ".."))
      {
        g_set_error (
            error, KP_ERROR, KP_ERROR_USAGE,
            "The prefix in “%s” has an empty, “.” or “..” part, which no file system could "
            "show",
            address);
        return FALSE;
      }
  location->prefix = kp_name_to_key (prefix);
  return TRUE;
}

static char *
fill_in_template (const char *template, const char *region)
{
  g_auto (GStrv) parts = g_strsplit (template, "{region}", -1);

  return g_strjoinv (region, parts);
}

static gboolean
parse_endpoint (KpS3Location *location, gboolean allow_http, GError **error)
{
  /* What stands there may be a password: not to be repeated, whatever else is wrong. */
  if (strchr (location->endpoint, '@') != NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "An endpoint holds no user name or password; leave out what stands "
                           "before the “@”");
      return FALSE;
    }

  g_autofree char *with_scheme = strstr (location->endpoint, "://") != NULL
                                     ? g_strdup (location->endpoint)
                                     : g_strconcat ("https://", location->endpoint, NULL);
  g_autoptr (GUri) uri = g_uri_parse (with_scheme, SOUP_HTTP_URI_FLAGS, NULL);
  const char *scheme = uri != NULL ? g_uri_get_scheme (uri) : "";
  const char *host = uri != NULL ? g_uri_get_host (uri) : NULL;

  if (host == NULL || *host == '\0'
      || (!g_str_equal (scheme, "https") && !g_str_equal (scheme, "http"))
      || g_uri_get_query (uri) != NULL || g_uri_get_fragment (uri) != NULL
      || g_uri_get_userinfo (uri) != NULL)
    {
      g_set_error (
          error, KP_ERROR, KP_ERROR_USAGE,
          "“%s” is not an endpoint; write for example https://s3.eu-central-1.amazonaws.com",
          location->endpoint);
      return FALSE;
    }
  if (g_str_equal (scheme, "http") && !allow_http && !is_loopback (host))
    {
      g_set_error (
          error, KP_ERROR, KP_ERROR_USAGE,
          "The endpoint “%s” is not encrypted: everybody on the way could read your files. "
          "Use https://, or --allow-http if you know this network",
          location->endpoint);
      return FALSE;
    }

  location->scheme = g_strdup (scheme);
  location->host = g_strdup (host);
  location->port = g_uri_get_port (uri);
  location->base_path = g_strdup (g_uri_get_path (uri));
  while (g_str_has_suffix (location->base_path, "/"))
    location->base_path[strlen (location->base_path) - 1] = '\0';
  return TRUE;
}

/* The region in the endpoint, in small letters, where that is one of the provider's own, in
 * whichever region; or NULL. */
static char *
find_own_region (KpS3Location *location)
{
  g_autofree char *host = g_ascii_strdown (location->host, -1);
  g_autofree char *address = g_strconcat (location->scheme, "://", host, location->base_path, NULL);
  g_auto (GStrv) parts = g_strsplit (location->provider->endpoint, "{region}", -1);
  gsize length = strlen (address);

  if ((location->port != -1 && location->port != 443) || g_strv_length (parts) != 2
      || length <= strlen (parts[0]) + strlen (parts[1]) || !g_str_has_prefix (address, parts[0])
      || !g_str_has_suffix (address, parts[1]))
    return NULL;
  g_autofree char *region
      = g_strndup (address + strlen (parts[0]), length - strlen (parts[0]) - strlen (parts[1]));
  return strchr (region, '.') == NULL && is_region (region) ? g_steal_pointer (&region) : NULL;
}

/* An endpoint that was written, as it is in the provider's documentation, tells as much as a region
 * would have. */
static void
take_written_endpoint (KpS3Location *location, const char *region)
{
  g_autofree char *own_region = find_own_region (location);

  location->was_written = TRUE;
  location->from_template = own_region != NULL;
  location->guesses_region = region == NULL && own_region == NULL
                             && *kp_s3_provider_for_host (location->host)->hosts == NULL;
  if (region == NULL)
    region = own_region != NULL ? own_region : location->provider->regions[0];
  location->region = g_strdup (region);
}

/* Amazon's regions in China have accounts and a domain of their own. */
static const char *
get_amazon (const char *region)
{
  return region != NULL && g_str_has_prefix (region, "cn-") ? "aws-cn" : "aws";
}

/**
 * kp_s3_location_new:
 * @address: "s3://BUCKET/PREFIX"
 * @endpoint: (nullable): address of the server; %NULL for the provider's own, or Amazon's
 * @region: (nullable): region; %NULL for the one in the endpoint, or the provider's first
 * @provider_id: (nullable): a provider profile; %NULL to go by the endpoint's host
 * @allow_http: accept http:// to hosts other than this computer
 * @error: %KP_ERROR_USAGE, with what to write instead
 */
KpS3Location *
kp_s3_location_new (const char *address,
                    const char *endpoint,
                    const char *region,
                    const char *provider_id,
                    gboolean allow_http,
                    GError **error)
{
  g_autoptr (KpS3Location) location = g_new0 (KpS3Location, 1);
  g_atomic_ref_count_init (&location->ref_count);

  if (!parse_address (location, address, error))
    return NULL;
  if (region != NULL && !is_region (region))
    {
      g_autofree char *shown = kp_name_display (region);
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” cannot be the name of a region; write for example eu-central-1", shown);
      return NULL;
    }

  if (provider_id == NULL && endpoint == NULL)
    provider_id = get_amazon (region);
  if (provider_id != NULL)
    {
      location->provider = kp_s3_provider_find (provider_id);
      if (location->provider == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "There is no provider profile “%s”; leave it out, or write “other”",
                       provider_id);
          return NULL;
        }
    }

  if (endpoint == NULL)
    {
      const char *template = location->provider->endpoint;
      if (*template == '\0' || strstr (template, "{account}") != NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "%s needs --endpoint-url with the address of the server",
                       location->provider->name);
          return NULL;
        }
      location->from_template = TRUE;
      location->region = g_strdup (region != NULL ? region : location->provider->regions[0]);
      location->endpoint = fill_in_template (template, location->region);
    }
  else
    {
      location->endpoint = g_strdup (endpoint);
      while (g_str_has_suffix (location->endpoint, "/")
             && !g_str_has_suffix (location->endpoint, "://"))
        location->endpoint[strlen (location->endpoint) - 1] = '\0';
    }

  if (!parse_endpoint (location, allow_http, error))
    return NULL;
  if (location->provider == NULL)
    location->provider = kp_s3_provider_for_host (location->host);
  if (endpoint != NULL)
    take_written_endpoint (location, region);

  g_autoptr (GInetAddress) numeric = g_inet_address_new_from_string (location->host);
  location->virtual_style
      = location->provider->virtual_style && numeric == NULL && bucket_fits_host (location->bucket);
  return g_steal_pointer (&location);
}

static KpS3Location *
copy (KpS3Location *location, const char *endpoint, const char *region, const char *prefix)
{
  KpS3Location *copy = g_new0 (KpS3Location, 1);

  g_atomic_ref_count_init (&copy->ref_count);
  copy->provider = location->provider;
  copy->from_template = location->from_template;
  copy->was_written = location->was_written;
  copy->guesses_region = location->guesses_region;
  copy->endpoint = g_strdup (endpoint);
  copy->bucket = g_strdup (location->bucket);
  copy->prefix = g_strdup (prefix);
  copy->region = g_strdup (region);
  copy->virtual_style = location->virtual_style;
  if (!parse_endpoint (copy, TRUE, NULL))
    g_assert_not_reached ();
  return copy;
}

/**
 * kp_s3_location_with_region:
 * @region: letters, digits and hyphens
 *
 * Returns: (transfer full): the same place with another signing region; where the endpoint is the
 *   provider's own for a region, it follows
 */
KpS3Location *
kp_s3_location_with_region (KpS3Location *location, const char *region)
{
  g_autofree char *endpoint = location->from_template
                                  ? fill_in_template (location->provider->endpoint, region)
                                  : g_strdup (location->endpoint);
  KpS3Location *moved = copy (location, endpoint, region, location->prefix);

  moved->guesses_region = FALSE;
  return moved;
}

/**
 * kp_s3_location_with_prefix:
 * @prefix: without a slash at the end
 *
 * Returns: (transfer full): another place in the same bucket
 */
KpS3Location *
kp_s3_location_with_prefix (KpS3Location *location, const char *prefix)
{
  return copy (location, location->endpoint, location->region, prefix);
}

KpS3Location *
kp_s3_location_ref (KpS3Location *location)
{
  g_atomic_ref_count_inc (&location->ref_count);
  return location;
}

void
kp_s3_location_unref (KpS3Location *location)
{
  if (!g_atomic_ref_count_dec (&location->ref_count))
    return;
  g_free (location->endpoint);
  g_free (location->scheme);
  g_free (location->host);
  g_free (location->base_path);
  g_free (location->region);
  g_free (location->bucket);
  g_free (location->prefix);
  g_free (location);
}

const char *
kp_s3_location_get_bucket (KpS3Location *location)
{
  return location->bucket;
}

/**
 * kp_s3_location_get_prefix:
 *
 * Returns: the prefix as key text, without a slash at the end; "" for the whole bucket
 */
const char *
kp_s3_location_get_prefix (KpS3Location *location)
{
  return location->prefix;
}

const char *
kp_s3_location_get_region (KpS3Location *location)
{
  return location->region;
}

/**
 * kp_s3_location_guesses_region:
 *
 * Returns: whether the region is a guess: nobody has said it, and the server is somebody's own
 */
gboolean
kp_s3_location_guesses_region (KpS3Location *location)
{
  return location->guesses_region;
}

/**
 * kp_s3_location_was_written:
 *
 * Returns: whether the user has said the endpoint; otherwise it follows from provider and region
 */
gboolean
kp_s3_location_was_written (KpS3Location *location)
{
  return location->was_written;
}

const char *
kp_s3_location_get_endpoint (KpS3Location *location)
{
  return location->endpoint;
}

/**
 * kp_s3_location_is_virtual_style:
 *
 * Returns: whether the bucket is part of the host's name, and not of the path
 */
gboolean
kp_s3_location_is_virtual_style (KpS3Location *location)
{
  return location->virtual_style;
}

const KpS3Provider *
kp_s3_location_get_provider (KpS3Location *location)
{
  return location->provider;
}

/**
 * kp_s3_location_get_key:
 * @relative: key text below the prefix; "" for the prefix itself
 *
 * Returns: (transfer full): the whole key: "prefix/relative". For "" that is "prefix/", the object
 * of the mirror's root directory, or "" where there is no prefix.
 */
char *
kp_s3_location_get_key (KpS3Location *location, const char *relative)
{
  if (*location->prefix == '\0')
    return g_strdup (relative);
  return g_strconcat (location->prefix, "/", relative, NULL);
}

/**
 * kp_s3_location_to_string:
 *
 * Returns: (transfer full): "s3://bucket/prefix"
 */
char *
kp_s3_location_to_string (KpS3Location *location)
{
  return g_strconcat ("s3://", location->bucket, *location->prefix != '\0' ? "/" : "",
                      location->prefix, NULL);
}

/**
 * kp_s3_location_get_identity:
 *
 * Returns: (transfer full): a text that is the same for every spelling of one destination: host in
 *   small letters, port, path of the endpoint, bucket and prefix, each on a line. Where the name of
 *   a bucket says enough, the region does not matter, and the provider stands in place of the host:
 *   whoever learns the right region, and then writes it, has not moved.
 */
char *
kp_s3_location_get_identity (KpS3Location *location)
{
  g_autofree char *host = g_ascii_strdown (location->host, -1);
  g_autofree char *own_region = find_own_region (location);

  /* No host has a blank in its name. */
  if (location->provider->global_names && own_region != NULL)
    return g_strdup_printf ("provider %s\n\n\n%s\n%s", location->provider->id, location->bucket,
                            location->prefix);
  return g_strdup_printf ("%s\n%d\n%s\n%s\n%s", host, location->port, location->base_path,
                          location->bucket, location->prefix);
}

/**
 * kp_s3_location_has_server_of:
 *
 * Whether requests of both go to the same server, in the same way: scheme, host and port, and the
 * path of the endpoint. Unlike the identity, this tells apart what may see keys and files on the
 * way, and the servers of a provider's regions.
 */
gboolean
kp_s3_location_has_server_of (KpS3Location *location, KpS3Location *other)
{
  return g_str_equal (location->scheme, other->scheme)
         && g_ascii_strcasecmp (location->host, other->host) == 0 && location->port == other->port
         && g_str_equal (location->base_path, other->base_path);
}

/**
 * kp_s3_location_build_uri:
 * @key: (nullable): a whole key; %NULL for the bucket itself
 * @query: (nullable): an encoded query
 *
 * Returns: (transfer full): the address, whose path is the one to sign
 */
GUri *
kp_s3_location_build_uri (KpS3Location *location, const char *key, const char *query)
{
  g_autofree char *encoded = key != NULL ? kp_s3_uri_encode (key, TRUE) : g_strdup ("");
  g_autofree char *host = NULL;
  g_autofree char *path = NULL;

  if (location->virtual_style)
    {
      host = g_strconcat (location->bucket, ".", location->host, NULL);
      path = g_strconcat (location->base_path, "/", encoded, NULL);
    }
  else
    {
      host = g_strdup (location->host);
      path = g_strconcat (location->base_path, "/", location->bucket, key != NULL ? "/" : "",
                          encoded, NULL);
    }
  return g_uri_build (SOUP_HTTP_URI_FLAGS, location->scheme, NULL, host, location->port, path,
                      query, NULL);
}

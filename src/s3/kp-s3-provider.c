/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-provider.h"

#include "kp-s3-resources.h"
#include "kp-size.h"

#include <gio/gio.h>
#include <string.h>

#define RESOURCE_PATH "/io/github/keepsake_backup/Keepsake/s3/kp-s3-providers.ini"
#define DEFAULTS_GROUP "other"

/* The file is part of the program: a mistake in it is a programmer's error, found by the unit test
 * that loads it. */
static char *
get_value (GKeyFile *file, const char *group, const char *key)
{
  g_autoptr (GError) error = NULL;
  char *value = g_key_file_get_string (file, group, key, NULL);

  if (value == NULL)
    value = g_key_file_get_string (file, DEFAULTS_GROUP, key, &error);
  if (value == NULL)
    g_error ("kp-s3-providers.ini: %s", error->message);
  return value;
}

static const char *const *
get_words (GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *value = get_value (file, group, key);

  return (const char *const *) g_strsplit (value, ";", -1);
}

static guint64
get_size (GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *value = get_value (file, group, key);
  g_autoptr (GError) error = NULL;
  guint64 size = 0;

  if (!kp_size_parse (value, &size, &error))
    g_error ("kp-s3-providers.ini: [%s] %s: %s", group, key, error->message);
  return size;
}

static KpS3Support
get_support (GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *value = get_value (file, group, key);

  if (g_str_equal (value, "yes") || g_str_equal (value, "always"))
    return KP_S3_SUPPORT_YES;
  if (g_str_equal (value, "try"))
    return KP_S3_SUPPORT_TRY;
  if (g_str_equal (value, "no"))
    return KP_S3_SUPPORT_NO;
  g_error ("kp-s3-providers.ini: [%s] %s=%s", group, key, value);
}

static KpS3Provider *
load_provider (GKeyFile *file, const char *group)
{
  KpS3Provider *provider = g_new0 (KpS3Provider, 1);
  g_autofree char *style = get_value (file, group, "style");
  g_autofree char *versioning = get_value (file, group, "versioning");
  g_autofree char *names = get_value (file, group, "bucket-names");
  g_autofree char *quiet_delete = get_value (file, group, "quiet-delete");

  provider->id = g_strdup (group);
  provider->name = get_value (file, group, "name");
  provider->hosts = get_words (file, group, "hosts");
  provider->endpoint = get_value (file, group, "endpoint");
  provider->regions = get_words (file, group, "regions");
  provider->global_names = g_str_equal (names, "global");
  provider->virtual_style = g_str_equal (style, "virtual");
  provider->list_version = (unsigned) get_size (file, group, "list");
  provider->ordered = get_support (file, group, "ordered") == KP_S3_SUPPORT_YES;
  provider->url_encoding = get_support (file, group, "url-encoding") == KP_S3_SUPPORT_YES;
  provider->part_copy = get_support (file, group, "part-copy");
  provider->copy_if_match = get_support (file, group, "copy-if-match") == KP_S3_SUPPORT_YES;
  provider->equal_parts = get_support (file, group, "equal-parts") == KP_S3_SUPPORT_YES;
  provider->max_parts = (unsigned) get_size (file, group, "max-parts");
  provider->min_part = get_size (file, group, "min-part");
  provider->max_copy = get_size (file, group, "max-copy");
  provider->versioning = get_support (file, group, "versioning");
  provider->always_versioned = g_str_equal (versioning, "always");
  provider->md5_etag = get_support (file, group, "md5-etag") == KP_S3_SUPPORT_YES;
  provider->quiet_delete_is_empty = g_str_equal (quiet_delete, "nothing");
  provider->note = get_value (file, group, "note");
  return provider;
}

static void *
load_providers (void *data)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  /* To look it up by its path alone lets G_RESOURCE_OVERLAYS put another file in its place; to name
   * it links it in. */
  g_resources_register (kp_s3_get_resource ());
  g_autoptr (GBytes) bytes = g_resources_lookup_data (RESOURCE_PATH, 0, &error);

  if (bytes == NULL || !g_key_file_load_from_bytes (file, bytes, G_KEY_FILE_NONE, &error))
    g_error ("kp-s3-providers.ini: %s", error->message);

  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
  GPtrArray *providers = g_ptr_array_new ();
  for (char **group = groups; *group != NULL; group++)
    g_ptr_array_add (providers, load_provider (file, *group));
  g_ptr_array_add (providers, NULL);
  return g_ptr_array_free (providers, FALSE);
}

/**
 * kp_s3_provider_list:
 *
 * Returns: (transfer none): all providers, ended by %NULL; the first is "other"
 */
const KpS3Provider *const *
kp_s3_provider_list (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, load_providers, NULL);
}

/**
 * kp_s3_provider_find:
 * @id: "aws", "b2", …
 *
 * Returns: (nullable): the provider with that id
 */
const KpS3Provider *
kp_s3_provider_find (const char *id)
{
  for (const KpS3Provider *const *p = kp_s3_provider_list (); *p != NULL; p++)
    if (g_str_equal ((*p)->id, id))
      return *p;
  return NULL;
}

/**
 * kp_s3_provider_for_host:
 * @host: the host of an endpoint
 *
 * Returns: the provider that this endpoint belongs to, or "other"
 */
const KpS3Provider *
kp_s3_provider_for_host (const char *host)
{
  const KpS3Provider *const *providers = kp_s3_provider_list ();
  g_autofree char *lower = g_ascii_strdown (host, -1);

  for (const KpS3Provider *const *p = providers; *p != NULL; p++)
    for (const char *const *pattern = (*p)->hosts; *pattern != NULL; pattern++)
      if (g_pattern_match_simple (*pattern, lower))
        return *p;
  return providers[0];
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-plan.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-s3-provider.h"
#include "kp-size.h"

#include <string.h>
#include <sys/stat.h>

static gboolean
check_name (KpPlan *self, GError **error)
{
  const char *name = kp_plan_get_name (self);
  g_autofree char *stripped = g_strstrip (g_strdup (name));

  if (*stripped == '\0')
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "name: is empty; write what the plan is to be called");
      return FALSE;
    }
  if (!g_utf8_validate (name, -1, NULL))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "name: is not valid UTF-8");
      return FALSE;
    }
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      {
        g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                             "name: holds a line break or control character; write it in one line");
        return FALSE;
      }
  return TRUE;
}

static gboolean
is_name_below (const char *as)
{
  g_auto (GStrv) parts = g_strsplit (as, "/", -1);

  for (char **part = parts; *part != NULL; part++)
    if (g_str_equal (*part, "") || g_str_equal (*part, ".") || g_str_equal (*part, ".."))
      return FALSE;
  return TRUE;
}

static gboolean
check_source (GPtrArray *sources, guint i, GError **error)
{
  const KpPlanSource *source = sources->pdata[i];
  g_autofree char *path = kp_name_display (source->path);
  g_autofree char *as = kp_name_display (source->as);

  if (!g_path_is_absolute (source->path))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "sources[%u].path: “%s” is not an absolute path; write for example "
                   "\"/home/user/Pictures\"",
                   i, path);
      return FALSE;
    }
  if (*source->as != '\0' && !is_name_below (source->as))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "sources[%u].as: “%s” cannot be a name in the bucket; write for example "
                   "\"Pictures\", without a slash at either end",
                   i, as);
      return FALSE;
    }
  for (guint j = 0; j < i; j++)
    {
      const KpPlanSource *other = sources->pdata[j];
      g_autofree char *other_as = kp_name_display (other->as);

      if (kp_name_is_within (source->as, other->as) || kp_name_is_within (other->as, source->as))
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "sources[%u].as: “%s” and “%s” (of sources[%u]) would overwrite each other "
                       "in the bucket; write two different names",
                       i, as, other_as, j);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
check_sources (KpPlan *self, GError **error)
{
  GPtrArray *sources = kp_plan_get_sources (self);
  const char *const *exclude = kp_plan_get_exclude (self);

  if (sources->len == 0)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "sources: there is none; write at least one folder, as in "
                           "[ { \"path\": \"/home/user/Pictures\", \"as\": \"Pictures\" } ]");
      return FALSE;
    }
  for (guint i = 0; i < sources->len; i++)
    if (!check_source (sources, i, error))
      return FALSE;

  for (guint i = 0; exclude[i] != NULL; i++)
    if (*exclude[i] == '\0')
      {
        g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                     "exclude[%u]: is empty; write a pattern of rsync, as in \"*.tmp\"", i);
        return FALSE;
      }
  return TRUE;
}

static gboolean
check_storage_class (KpPlan *self, GError **error)
{
  const char *storage_class = kp_plan_get_storage_class (self);

  for (const char *p = storage_class; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && *p != '_' && *p != '-')
      {
        g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                     "destination.storage-class: “%s” cannot be one; write for example "
                     "\"STANDARD_IA\", or \"\" for the bucket's own",
                     storage_class);
        return FALSE;
      }
  return TRUE;
}

/* JSON can hold only UTF-8; and the region becomes part of a host name and of headers. */
static gboolean
check_texts (KpPlan *self, GError **error)
{
  const char *region = kp_plan_get_region (self);

  if (!g_utf8_validate (kp_plan_get_endpoint (self), -1, NULL)
      || !g_utf8_validate (kp_plan_get_prefix (self), -1, NULL))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           "destination: endpoint or prefix is not valid UTF-8");
      return FALSE;
    }
  for (const char *p = region; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("-_.", *p) == NULL)
      {
        g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                     "destination.region: “%s” cannot be one; write for example \"eu-central-1\", "
                     "or \"\" for the provider's first",
                     region);
        return FALSE;
      }
  return TRUE;
}

static gboolean
check_limits (KpPlan *self, GError **error)
{
  const char *limit = kp_plan_get_upload_limit (self);
  const char *text = kp_plan_get_timetable (self);
  guint64 rate;

  if (*limit != '\0' && !kp_rate_parse (limit, &rate, error))
    {
      g_prefix_error_literal (error, "upload-limit: ");
      return FALSE;
    }
  g_autoptr (KpTimetable) timetable = *text != '\0' ? kp_timetable_parse (text, error) : NULL;
  if (*text != '\0' && timetable == NULL)
    {
      g_prefix_error_literal (error, "timetable: ");
      return FALSE;
    }
  return TRUE;
}

/**
 * kp_plan_validate:
 * @error: %KP_ERROR_USAGE, naming the member and what to write instead
 *
 * Checks all that can be checked without the network and the file system. What rsync's patterns
 * may look like is for the mirror to say.
 */
gboolean
kp_plan_validate (KpPlan *self, GError **error)
{
  g_return_val_if_fail (KP_IS_PLAN (self), FALSE);

  if (!g_uuid_string_is_valid (kp_plan_get_id (self)))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "id: “%s” is not an identifier; write one as uuidgen prints it",
                   kp_plan_get_id (self));
      return FALSE;
    }
  if (!check_name (self, error) || !check_sources (self, error) || !check_texts (self, error))
    return FALSE;

  g_autoptr (KpS3Location) location = kp_plan_dup_location (self, error);
  return location != NULL && check_storage_class (self, error) && check_limits (self, error);
}

/* The key of a source, without a slash at its end. */
static char *
make_source_key (KpS3Location *location, const KpPlanSource *source)
{
  g_autofree char *name = kp_name_to_key (source->as);
  char *key = kp_s3_location_get_key (location, name);
  gsize length = strlen (key);

  if (length > 0 && key[length - 1] == '/')
    key[length - 1] = '\0';
  return key;
}

/* Whether both are one folder, by their names or by what is there. */
static gboolean
is_same_folder (const char *a, const char *b)
{
  struct stat first;
  struct stat second;

  return g_str_equal (a, b)
         || (stat (a, &first) == 0 && stat (b, &second) == 0 && first.st_dev == second.st_dev
             && first.st_ino == second.st_ino);
}

/* Whether what is stored as @inner_key lies in what is stored as @outer_key and is something else
 * than what the folder @outer has there. */
static gboolean
is_in_the_way (const char *inner_key,
               const KpPlanSource *inner,
               const char *outer_key,
               const KpPlanSource *outer)
{
  if (!kp_name_is_within (inner_key, outer_key))
    return FALSE;
  const char *below = inner_key + strlen (outer_key);
  g_autofree char *name = kp_name_from_key (*below == '/' ? below + 1 : below, NULL);
  g_autofree char *there = name != NULL ? g_build_filename (outer->path, name, NULL) : NULL;
  g_autofree char *expected = there != NULL ? g_canonicalize_filename (there, "/") : NULL;
  g_autofree char *path = g_canonicalize_filename (inner->path, "/");

  return expected == NULL || !is_same_folder (path, expected);
}

/* One place for two folders: what has the same name is replaced. A place within the other's: what
 * is there is deleted, if that deletes. */
static gboolean
do_clash (KpPlan *a,
          const char *a_key,
          const KpPlanSource *a_source,
          KpPlan *b,
          const char *b_key,
          const KpPlanSource *b_source)
{
  gboolean a_counts = g_str_equal (a_key, b_key) || kp_plan_get_delete (a) != KP_PLAN_DELETE_NEVER;
  gboolean b_counts = g_str_equal (a_key, b_key) || kp_plan_get_delete (b) != KP_PLAN_DELETE_NEVER;

  return (b_counts && is_in_the_way (a_key, a_source, b_key, b_source))
         || (a_counts && is_in_the_way (b_key, b_source, a_key, a_source));
}

static char *
get_bucket_identity (KpS3Location *location)
{
  g_autoptr (KpS3Location) bucket = kp_s3_location_with_prefix (location, "");

  return kp_s3_location_get_identity (bucket);
}

/* Whether the plan had this place already, and deletes no more than it did. */
static gboolean
had_place (KpPlan *before, KpPlan *now, const char *identity, const char *key)
{
  g_autoptr (KpS3Location) location = before != NULL ? kp_plan_dup_location (before, NULL) : NULL;
  GPtrArray *sources = before != NULL ? kp_plan_get_sources (before) : NULL;

  if (location == NULL
      || (kp_plan_get_delete (before) == KP_PLAN_DELETE_NEVER
          && kp_plan_get_delete (now) != KP_PLAN_DELETE_NEVER))
    return FALSE;
  g_autofree char *old_identity = get_bucket_identity (location);
  for (guint i = 0; i < sources->len && g_str_equal (old_identity, identity); i++)
    {
      g_autofree char *old_key = make_source_key (location, sources->pdata[i]);
      if (g_str_equal (old_key, key))
        return TRUE;
    }
  return FALSE;
}

/**
 * kp_plan_validate_beside:
 * @before: (nullable): what the plan was so far
 * @other: another plan, which is valid, as @self is
 * @error: %KP_ERROR_USAGE, naming the member and what to write instead
 *
 * Checks that the two can store what they have to in one bucket: where a folder of one gets a place
 * in the bucket that is taken by a different folder of the other, each run of one would replace or
 * delete what the other stored. One folder may be in several plans, and they may follow it one
 * after the other when it moves: of a place that the plan had nothing is said. Looks at the
 * folders, where they have different names.
 */
gboolean
kp_plan_validate_beside (KpPlan *self, KpPlan *before, KpPlan *other, GError **error)
{
  g_autoptr (KpS3Location) location = kp_plan_dup_location (self, NULL);
  g_autoptr (KpS3Location) other_location = kp_plan_dup_location (other, NULL);
  GPtrArray *sources = kp_plan_get_sources (self);
  GPtrArray *others = kp_plan_get_sources (other);

  if (location == NULL || other_location == NULL)
    return TRUE;
  g_autofree char *identity = get_bucket_identity (location);
  g_autofree char *other_identity = get_bucket_identity (other_location);
  if (!g_str_equal (identity, other_identity))
    return TRUE;

  for (guint i = 0; i < sources->len; i++)
    for (guint j = 0; j < others->len; j++)
      {
        const KpPlanSource *a = sources->pdata[i];
        const KpPlanSource *b = others->pdata[j];
        g_autofree char *key = make_source_key (location, a);
        g_autofree char *other_key = make_source_key (other_location, b);

        if (!do_clash (self, key, a, other, other_key, b)
            || had_place (before, self, identity, key))
          continue;
        g_autofree char *as = kp_name_display (a->as);
        g_autofree char *path = kp_name_display (b->path);
        g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                     "sources[%u].as: “%s” is where the plan “%s” stores “%s”, and they would "
                     "overwrite each other in the bucket; store it under another name or prefix",
                     i, as, kp_plan_get_name (other), path);
        return FALSE;
      }
  return TRUE;
}

/* Says of a provider that the user has to give its address, before KpS3Location says so in the
 * words of the command line. */
static gboolean
check_provider (KpPlan *self, GError **error)
{
  const char *id = kp_plan_get_provider (self);

  if (*id == '\0')
    return TRUE;
  const KpS3Provider *provider = kp_s3_provider_find (id);
  if (provider == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "destination.provider: “%s” is not known; write \"\", or \"other\"", id);
      return FALSE;
    }
  if (*kp_plan_get_endpoint (self) == '\0'
      && (*provider->endpoint == '\0' || strstr (provider->endpoint, "{account}") != NULL))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "destination.endpoint: is empty, but “%s” needs the address of the server; "
                   "write for example \"https://s3.example.org\"",
                   provider->name);
      return FALSE;
    }
  return TRUE;
}

static KpS3Location *
make_location (KpPlan *self, gboolean allow_http, GError **error)
{
  g_autofree char *address = g_strconcat ("s3://", kp_plan_get_bucket (self),
                                          *kp_plan_get_prefix (self) != '\0' ? "/" : "",
                                          kp_plan_get_prefix (self), NULL);
  const char *endpoint = kp_plan_get_endpoint (self);
  const char *region = kp_plan_get_region (self);
  const char *provider = kp_plan_get_provider (self);

  return kp_s3_location_new (address, *endpoint != '\0' ? endpoint : NULL,
                             *region != '\0' ? region : NULL, *provider != '\0' ? provider : NULL,
                             allow_http, error);
}

/**
 * kp_plan_dup_location:
 * @error: %KP_ERROR_USAGE, naming the member of the destination
 *
 * Returns: (transfer full): where the plan's objects go
 */
KpS3Location *
kp_plan_dup_location (KpPlan *self, GError **error)
{
  const char *bucket = kp_plan_get_bucket (self);
  g_autoptr (GError) local_error = NULL;

  if (*bucket == '\0' || strchr (bucket, '/') != NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "destination.bucket: “%s” is not the name of a bucket; write for example "
                   "\"my-backup\", and folders in it as \"prefix\"",
                   bucket);
      return NULL;
    }
  if (!check_provider (self, error))
    return NULL;

  g_autoptr (KpS3Location) location
      = make_location (self, kp_plan_get_allow_http (self), &local_error);
  if (location != NULL)
    return g_steal_pointer (&location);

  location = make_location (self, TRUE, NULL);
  if (location != NULL)
    g_set_error (
        error, KP_ERROR, KP_ERROR_USAGE,
        "destination.endpoint: “%s” is not encrypted: everybody on the way could read your "
        "files; write https://, or \"allow-http\": true below it if you know this network",
        kp_plan_get_endpoint (self));
  else
    g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "destination: ");
  return NULL;
}

/**
 * kp_plan_dup_limits:
 * @error: %KP_ERROR_USAGE for a plan that is not valid
 *
 * Returns: (transfer full): the limit that holds at any time: the timetable where there is one, the
 *   upload limit otherwise
 */
KpTimetable *
kp_plan_dup_limits (KpPlan *self, GError **error)
{
  if (!check_limits (self, error))
    return NULL;
  if (*kp_plan_get_timetable (self) != '\0')
    return kp_timetable_parse (kp_plan_get_timetable (self), error);
  if (*kp_plan_get_upload_limit (self) != '\0')
    {
      /* A rate limits uploads alone. */
      g_autofree char *upload = g_strconcat (kp_plan_get_upload_limit (self), ":off", NULL);
      return kp_timetable_parse (upload, error);
    }
  return kp_timetable_parse ("off", error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-kept.h"

#include <string.h>

#define RUN_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define RUN_LENGTH 20

/* Four digits of the year: 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
#define RUN_MAX G_GINT64_CONSTANT (253402300799)

static const char *const reason_names[] = {
  [KP_KEPT_DELETED] = "deleted",
  [KP_KEPT_REPLACED] = "replaced",
};

/**
 * kp_kept_get_prefix:
 * @location: the mirror's
 *
 * Returns: (transfer full): what all kept objects of this mirror begin with, with a slash at the
 *   end
 */
char *
kp_kept_get_prefix (KpS3Location *location)
{
  return g_strconcat (kp_s3_location_get_prefix (location), KP_KEPT_NAME "/", NULL);
}

/**
 * kp_kept_is_below:
 * @location: the mirror's
 * @key: a whole key
 *
 * Whether the key lies where kept objects are, even if it is none: it is nothing of the mirror.
 * Only of a mirror at the bucket's root is it in the mirror's own listing.
 */
gboolean
kp_kept_is_below (KpS3Location *location, const char *key)
{
  g_autofree char *prefix = kp_kept_get_prefix (location);

  return g_str_has_prefix (key, prefix);
}

/**
 * kp_kept_hide:
 * @location: the mirror's
 * @listing: of the mirror, or of a part of it
 *
 * Leaves what is kept out of a listing of what is in the mirror.
 */
void
kp_kept_hide (KpS3Location *location, KpS3Listing *listing)
{
  g_autofree char *own = kp_s3_location_get_key (location, "");
  g_autofree char *prefix = kp_kept_get_prefix (location);
  /* The names of runs are digits. */
  g_autofree char *last = g_strconcat (prefix, "~", NULL);

  if (g_str_has_prefix (prefix, own))
    kp_s3_listing_set_hidden (listing, prefix, last);
}

/**
 * kp_kept_run_to_string:
 * @run: seconds since 1970 UTC, at least 0
 *
 * Returns: (transfer full): the name of the run's folder, as "2026-11-28T18:30:05Z"
 */
char *
kp_kept_run_to_string (gint64 run)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (CLAMP (run, 0, RUN_MAX));

  return g_date_time_format (time, RUN_FORMAT);
}

/**
 * kp_kept_parse_run:
 * @run: (out): seconds since 1970 UTC
 *
 * Reads just what kp_kept_run_to_string() writes.
 */
gboolean
kp_kept_parse_run (const char *text, gint64 *run)
{
  static const char shape[RUN_LENGTH + 1] = "0000-00-00T00:00:00Z";
  int parts[6] = { 0 };
  int part = 0;

  if (strlen (text) != RUN_LENGTH)
    return FALSE;
  for (int i = 0; i < RUN_LENGTH; i++)
    {
      if (shape[i] != '0')
        {
          if (text[i] != shape[i])
            return FALSE;
          part++;
        }
      else if (!g_ascii_isdigit (text[i]))
        return FALSE;
      else
        parts[part] = parts[part] * 10 + g_ascii_digit_value (text[i]);
    }
  g_autoptr (GDateTime) time
      = g_date_time_new_utc (parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]);
  if (time == NULL || g_date_time_to_unix (time) < 0)
    return FALSE;
  *run = g_date_time_to_unix (time);
  return TRUE;
}

/**
 * kp_kept_key:
 * @location: the mirror's
 * @run: when the run began to transfer, in seconds since 1970 UTC
 * @mirror_key: the whole key of the mirror's object, with the mirror's prefix
 *
 * Returns: (transfer full): the whole key for what is kept of it. It may be longer than
 *   %KP_KEY_MAX: then it cannot be kept.
 */
char *
kp_kept_key (KpS3Location *location, gint64 run, KpKeptReason reason, const char *mirror_key)
{
  g_autofree char *own = kp_s3_location_get_key (location, "");
  g_autofree char *prefix = kp_kept_get_prefix (location);
  g_autofree char *name = kp_kept_run_to_string (run);

  g_return_val_if_fail (g_str_has_prefix (mirror_key, own), NULL);

  return g_strconcat (prefix, name, "/", reason_names[reason], "/", mirror_key + strlen (own),
                      NULL);
}

/**
 * kp_kept_find_run:
 * @key: a whole key
 * @run: (out): of the run that kept the object, seconds since 1970 UTC
 *
 * Returns: whether the key looks like one of an object that some mirror of the bucket keeps
 */
gboolean
kp_kept_find_run (const char *key, gint64 *run)
{
  static const char name[] = KP_KEPT_NAME "/";

  for (const char *found = strstr (key, name); found != NULL; found = strstr (found + 1, name))
    {
      g_autofree char *text = g_strndup (found + strlen (name), RUN_LENGTH);
      if (kp_kept_parse_run (text, run) && found[strlen (name) + RUN_LENGTH] == '/')
        return TRUE;
    }
  return FALSE;
}

/**
 * kp_kept_is_anybodys:
 * @key: a whole key
 *
 * Whether the key looks like one of an object that some mirror of the bucket keeps, be it another
 * one: a mirror at the bucket's root sees those of all.
 */
gboolean
kp_kept_is_anybodys (const char *key)
{
  gint64 run;

  return kp_kept_find_run (key, &run);
}

/**
 * kp_kept_parse:
 * @location: the mirror's
 * @key: a whole key
 * @run: (out) (optional): when the run began to transfer, in seconds since 1970 UTC
 * @was_deleted: (out) (optional): %FALSE: it was replaced
 * @mirror_key: (out) (optional) (transfer full): the whole key that it had in the mirror, with the
 *   mirror's prefix
 *
 * Returns: whether kp_kept_key() can have made this key. What else lies there is not ours, and
 *   nothing is set.
 */
gboolean
kp_kept_parse (KpS3Location *location,
               const char *key,
               gint64 *run,
               gboolean *was_deleted,
               char **mirror_key)
{
  g_autofree char *prefix = kp_kept_get_prefix (location);
  gint64 time;

  if (!g_str_has_prefix (key, prefix))
    return FALSE;
  const char *name = key + strlen (prefix);
  g_auto (GStrv) parts = g_strsplit (name, "/", 3);
  if (g_strv_length (parts) != 3 || !kp_kept_parse_run (parts[0], &time))
    return FALSE;
  gboolean is_deleted = g_str_equal (parts[1], reason_names[KP_KEPT_DELETED]);
  if (!is_deleted && !g_str_equal (parts[1], reason_names[KP_KEPT_REPLACED]))
    return FALSE;
  g_autofree char *own = kp_s3_location_get_key (location, parts[2]);
  /* The bucket itself is no object, and what lies here is not kept once more. */
  if (*own == '\0' || g_str_has_prefix (own, prefix))
    return FALSE;

  if (run != NULL)
    *run = time;
  if (was_deleted != NULL)
    *was_deleted = is_deleted;
  if (mirror_key != NULL)
    *mirror_key = g_steal_pointer (&own);
  return TRUE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What there is to restore: the listing of an address and of paths below it, now or at a moment. */

#include "kp-restore-private.h"

#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-past.h"
#include "kp-s3-listing.h"

#include <string.h>

#define FIRST_ATTEMPTS 4

/* Whether @key is that of a file and there is a folder of its name, too: one of them was the other
 * before, and was not deleted. A disk cannot hold both, and a folder holds more. */
gboolean
kp_restore_is_hidden_by_folder (KpRestore *self, const char *key, gboolean *hidden, GError **error)
{
  g_autofree char *folder = g_strconcat (key, "/", NULL);

  *hidden = FALSE;
  return g_str_has_suffix (key, "/")
         || kp_catalogue_has_listed_below (self->catalogue, folder, hidden, error);
}

static void
listed_cb (guint entries, void *user_data)
{
  KpRestore *self = user_data;

  kp_report_add_listed (self->report, entries);
}

static gboolean
list_past (KpRestore *self, KpS3Client *client, const char *prefix, gboolean is_key, GError **error)
{
  KpPastResult past;

  if (!kp_past_list (client, self->catalogue, prefix, is_key, self->options.at, &past, listed_cb,
                     self, self->cancellable, error))
    return FALSE;
  g_autofree char *gap = kp_past_describe_gap (&past, self->options.at);
  if (gap == NULL
      || (past.is_unsure ? self->told_unsure : past.complete_since < self->told_gap + 60))
    return TRUE;
  kp_report_notice (self->report, "%s", gap);
  self->told_unsure |= past.is_unsure;
  self->told_gap = MAX (self->told_gap, past.complete_since);
  return TRUE;
}

static gboolean
list_prefix (KpRestore *self, KpS3Client *client, const char *prefix, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (KpS3Listing) listing = NULL;

  if (self->options.at > 0)
    return list_past (self, client, prefix, FALSE, error);
  listing = kp_s3_listing_new (prefix, NULL, NULL);
  kp_kept_hide (location, listing);
  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, client, self->cancellable, error);
      if (page == NULL || !kp_catalogue_add_listed (self->catalogue, page, error))
        return FALSE;
      kp_report_add_listed (self->report, page->len);
      kp_s3_client_set_max_attempts (client, KP_S3_MAX_ATTEMPTS);
    }
  return TRUE;
}

static gboolean
add_object (KpRestore *self, const char *key, guint64 size, const char *etag, GError **error)
{
  g_autoptr (GPtrArray) page = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_s3_entry_free);
  KpS3Entry *entry = kp_s3_entry_new ();

  entry->key = g_strdup (key);
  entry->size = size;
  entry->etag = g_strdup (etag);
  g_ptr_array_add (page, entry);
  return kp_catalogue_add_listed (self->catalogue, page, error);
}

static gboolean
list_object (KpRestore *self, KpS3Client *client, const char *key, GError **error)
{
  if (self->options.at > 0)
    return list_past (self, client, key, TRUE, error);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (KpS3Object) object
      = kp_s3_client_head (client, key, NULL, self->cancellable, &local_error);
  if (object == NULL && kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return TRUE;
  if (object == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return add_object (self, key, object->size, object->etag, error);
}

static gboolean
has_listed_folder (KpRestore *self, const char *prefix, gboolean *found, GError **error)
{
  return kp_catalogue_is_listed (self->catalogue, prefix, found, error)
         && (*found || kp_catalogue_has_listed_below (self->catalogue, prefix, found, error));
}

/* Behind list_prefix(), which found that the past is kept, be it of what is below the key alone. */
static gboolean
list_object_too (KpRestore *self, KpS3Client *client, const char *key, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (list_object (self, client, key, &local_error)
      || (self->options.at > 0 && kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Whether the bucket has, or had, a file "key", which lies beside all of a folder "key/". Whose key
 * may be used only below the folder does not get to know, and restores that. */
static gboolean
find_file (KpRestore *self, KpS3Client *client, const char *key, gboolean *found, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  *found = FALSE;
  if (self->options.at > 0)
    {
      g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (error);
      KpPastResult past;
      if (catalogue == NULL || !kp_catalogue_begin (catalogue, error))
        return FALSE;
      if (kp_past_list (client, catalogue, key, TRUE, self->options.at, &past, NULL, NULL,
                        self->cancellable, &local_error))
        return kp_catalogue_is_listed (catalogue, key, found, error);
    }
  else
    {
      g_autoptr (KpS3Object) object
          = kp_s3_client_head (client, key, NULL, self->cancellable, &local_error);
      *found = object != NULL;
    }
  if (local_error == NULL || kp_error_is (local_error, KP_ERROR_NOT_FOUND)
      || kp_error_is (local_error, KP_ERROR_ACCESS_DENIED)
      || kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Of a folder that is restored, says that a file of its name is not. */
static gboolean
add_hidden_file (KpRestore *self, KpS3Client *client, const char *key, GError **error)
{
  gboolean found;

  if (!kp_catalogue_is_listed (self->catalogue, key, &found, error))
    return FALSE;
  if (found)
    return TRUE;
  if (!find_file (self, client, key, &found, error))
    return FALSE;
  if (!found)
    return TRUE;
  gboolean hidden_by_folder;
  if (!kp_restore_is_hidden_by_folder (self, key, &hidden_by_folder, error))
    return FALSE;
  /* Of what lies below the address, push_object() does, but where the folder is empty. */
  if (hidden_by_folder && self->paths != NULL && *self->paths != NULL)
    return add_object (self, key, 0, NULL, error);
  g_autoptr (GError) hidden
      = g_error_new_literal (KP_ERROR, KP_ERROR_CONFLICT, KP_RESTORE_HIDDEN_BY_FOLDER);
  kp_restore_report_failure (self, key, hidden);
  return TRUE;
}

/* Below "key/", or else the single object "key", unless @kind says which. An empty key is the
 * bucket's root. Some of it, or all, may be listed already, as a part of what else is asked for. */
static gboolean
list_at (KpRestore *self,
         KpS3Client *client,
         const char *key,
         KpRestoreKind kind,
         gboolean *is_object,
         GError **error)
{
  g_autofree char *prefix = *key != '\0' ? g_strconcat (key, "/", NULL) : g_strdup ("");
  gboolean is_folder = FALSE;

  *is_object = FALSE;
  if (kind != KP_RESTORE_FILE
      && (!list_prefix (self, client, prefix, error)
          || !has_listed_folder (self, prefix, &is_folder, error)))
    return FALSE;
  if (is_folder)
    return *key == '\0' || kind == KP_RESTORE_FOLDER || add_hidden_file (self, client, key, error);
  if (*key != '\0'
      && (!(kind == KP_RESTORE_FILE ? list_object : list_object_too) (self, client, key, error)
          || !kp_catalogue_is_listed (self->catalogue, key, is_object, error)))
    return FALSE;
  if (*is_object)
    return TRUE;
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND,
               self->options.at > 0
                   ? "There was nothing at “s3://%s/%s” at that time; keepsakectl ls --at shows "
                     "what there was"
                   : "There is nothing at “s3://%s/%s”; keepsakectl ls shows what there is",
               kp_s3_location_get_bucket (location), key);
  return FALSE;
}

/**
 * kp_restore_list:
 * @error: %KP_ERROR_NOT_FOUND where there is nothing of it; those of kp_past_list() and of
 *   kp_s3_listing_next_page(); %KP_ERROR_LOCAL_STORAGE
 *
 * Fills the listing with what is asked for, now or at the moment, and finds what the names of it
 * begin with.
 */
gboolean
kp_restore_list (KpRestore *self, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (KpS3Client) client = kp_s3_client_new (self->service);
  const char *prefix = kp_s3_location_get_prefix (location);
  gboolean is_object;

  kp_s3_client_set_max_attempts (client, FIRST_ATTEMPTS);
  self->base = kp_s3_location_get_key (location, "");
  for (char **path = self->paths; path != NULL && *path != NULL; path++)
    {
      g_autofree char *name = g_strdup (*path);
      gboolean has_slash = g_str_has_suffix (name, "/");
      for (gsize length = strlen (name); length > 0 && name[length - 1] == '/';)
        name[--length] = '\0';
      g_autofree char *relative = kp_name_to_key (name);
      g_autofree char *key = kp_s3_location_get_key (location, relative);
      KpRestoreKind kind = has_slash ? KP_RESTORE_FOLDER : self->options.kind;
      if (!list_at (self, client, key, kind, &is_object, error))
        return FALSE;
    }
  if (self->paths != NULL && *self->paths != NULL)
    return TRUE;
  if (!list_at (self, client, prefix, self->options.kind, &self->is_object, error))
    return FALSE;
  if (self->is_object)
    {
      const char *slash = strrchr (prefix, '/');
      g_free (self->base);
      self->base = slash != NULL ? g_strndup (prefix, (gsize) (slash + 1 - prefix)) : g_strdup ("");
    }
  return TRUE;
}

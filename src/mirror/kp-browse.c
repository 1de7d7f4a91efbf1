/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-browse.h"

#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-past.h"
#include "kp-s3-listing.h"
#include "kp-size.h"

#include <string.h>

void
kp_browse_entry_free (KpBrowseEntry *entry)
{
  g_free (entry->path);
  g_free (entry);
}

/* The key of what is at @path, bytes below the mirror's prefix. */
static char *
key_of (KpS3Service *service, const char *path, gboolean is_folder)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (service);
  g_autofree char *relative = kp_name_to_key (path);
  g_autofree char *below
      = is_folder && *relative != '\0' ? g_strconcat (relative, "/", NULL) : g_strdup (relative);

  return kp_s3_location_get_key (location, below);
}

static gboolean
matches (const char *path, const char *folded)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *valid = g_utf8_make_valid (slash != NULL ? slash + 1 : path, -1);
  g_autofree char *name = g_utf8_casefold (valid, -1);

  return strstr (name, folded) != NULL;
}

/* Returns NULL for what is no name of a file: the folder's own object, or what nobody of us wrote.
 */
static KpBrowseEntry *
to_entry (const KpS3Entry *listed, gsize base_length)
{
  const char *below = listed->key + base_length;
  gsize length = strlen (below);
  gboolean is_folder = length > 0 && below[length - 1] == '/';
  g_autofree char *key = g_strndup (below, is_folder ? length - 1 : length);
  g_autofree char *path = kp_name_from_key (key, NULL);

  if (path == NULL || *path == '\0')
    return NULL;
  KpBrowseEntry *entry = g_new0 (KpBrowseEntry, 1);
  entry->path = g_steal_pointer (&path);
  entry->is_folder = is_folder;
  entry->size = listed->size;
  entry->stored = listed->last_modified;
  return entry;
}

/* A folder has an object of its own and, in a listing by folders, is a common prefix too. */
static gboolean
is_repeated (GPtrArray *entries, const KpBrowseEntry *entry)
{
  const KpBrowseEntry *last
      = entries->len > 0 ? g_ptr_array_index (entries, entries->len - 1) : NULL;

  return last != NULL && last->is_folder == entry->is_folder
         && g_str_equal (last->path, entry->path);
}

/* Takes @entry over.
 *
 * @folded: (nullable): what has to be in the name */
static void
add_entry (GPtrArray *entries, KpBrowseEntry *entry, const char *folder, const char *folded)
{
  /* The folder's own object is not in it. */
  if (g_str_equal (entry->path, folder) || is_repeated (entries, entry)
      || (folded != NULL && !matches (entry->path, folded)))
    kp_browse_entry_free (entry);
  else
    g_ptr_array_add (entries, entry);
}

static gboolean
list_pages (KpS3Service *service,
            KpS3Client *client,
            KpS3Listing *listing,
            const char *folder,
            const KpBrowseOptions *options,
            GPtrArray *entries,
            GCancellable *cancellable,
            GError **error)
{
  g_autofree char *root = key_of (service, "", TRUE);
  g_autofree char *folded = options->match != NULL && *options->match != '\0'
                                ? g_utf8_casefold (options->match, -1)
                                : NULL;

  while (!kp_s3_listing_is_finished (listing) && entries->len <= options->limit)
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, client, cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len && entries->len <= options->limit; i++)
        {
          KpBrowseEntry *entry = to_entry (g_ptr_array_index (page, i), strlen (root));
          if (entry != NULL)
            add_entry (entries, entry, folder, folded);
        }
    }
  return TRUE;
}

static int
compare_entries (const void *a, const void *b)
{
  const KpBrowseEntry *one = *(KpBrowseEntry *const *) a;
  const KpBrowseEntry *two = *(KpBrowseEntry *const *) b;
  int order = strcmp (one->path, two->path);

  return order != 0 ? order : one->is_folder - two->is_folder;
}

/* Puts what came in another order into that of the names, each of them once. */
static void
sort_entries (GPtrArray *entries)
{
  g_ptr_array_sort (entries, compare_entries);
  for (guint i = entries->len; i-- > 1;)
    if (compare_entries (&entries->pdata[i - 1], &entries->pdata[i]) == 0)
      g_ptr_array_remove_index (entries, i);
}

/* The entry that a key of the past stands for: itself, or the folder on the way to it. */
static KpBrowseEntry *
to_past_entry (KpListed *listed, gsize base_length, gsize prefix_length, gboolean recursive)
{
  const char *slash = recursive ? NULL : strchr (listed->key + prefix_length, '/');
  KpS3Entry entry = { .key = listed->key, .size = listed->size, .last_modified = listed->stored };

  if (slash != NULL)
    {
      listed->key[slash + 1 - listed->key] = '\0';
      entry.size = 0;
    }
  return to_entry (&entry, base_length);
}

/* The same from what there was. All that is below the folder has to be listed: a folder that was
 * emptied has versions too. */
static gboolean
list_past (KpS3Service *service,
           KpS3Client *client,
           const char *folder,
           const KpBrowseOptions *options,
           GPtrArray *entries,
           gint64 *complete_since,
           GCancellable *cancellable,
           GError **error)
{
  g_autofree char *root = key_of (service, "", TRUE);
  g_autofree char *prefix = key_of (service, folder, TRUE);
  g_autofree char *folded = options->match != NULL && *options->match != '\0'
                                ? g_utf8_casefold (options->match, -1)
                                : NULL;
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (error);
  g_autoptr (KpCursor) cursor = NULL;
  KpPastResult past;
  int result = 1;

  if (catalogue == NULL || !kp_catalogue_begin (catalogue, error)
      || !kp_past_list (client, catalogue, prefix, FALSE, options->at, &past, NULL, NULL,
                        cancellable, error))
    return FALSE;
  *complete_since = past.complete_since;
  cursor = kp_catalogue_list_listed (catalogue, error);
  if (cursor == NULL)
    return FALSE;
  while (result == 1 && entries->len <= options->limit)
    {
      g_auto (KpListed) listed = { 0 };
      KpBrowseEntry *entry = NULL;

      result = kp_cursor_next_listed (cursor, &listed, error);
      if (result == 1)
        entry = to_past_entry (&listed, strlen (root), strlen (prefix), options->recursive);
      if (entry != NULL)
        add_entry (entries, entry, folder, folded);
    }
  return result >= 0;
}

/**
 * kp_browse_list:
 * @folder: file name bytes below the mirror's prefix, without a slash at the end; "" for the top
 * @complete: (out): whether that is all, or the limit was met
 * @complete_since: (out): Unix seconds; what was deleted or replaced before may be missing of the
 *   past; 0 for nothing known
 * @error: those of kp_s3_listing_next_page(), or of kp_past_list()
 *
 * Returns: (transfer full) (element-type KpBrowseEntry): in the order of their keys
 */
GPtrArray *
kp_browse_list (KpS3Service *service,
                const char *folder,
                const KpBrowseOptions *options,
                gboolean *complete,
                gint64 *complete_since,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GPtrArray) entries
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_browse_entry_free);
  g_autofree char *prefix = key_of (service, folder, TRUE);
  g_autoptr (KpS3Listing) listing
      = kp_s3_listing_new (prefix, options->recursive ? NULL : "/", NULL);

  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (service);
  kp_kept_hide (location, listing);
  *complete_since = 0;
  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (service);
  gboolean ok = options->at > 0 ? list_past (service, client, folder, options, entries,
                                             complete_since, cancellable, error)
                                : list_pages (service, client, listing, folder, options, entries,
                                              cancellable, error);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  if (!ok)
    return NULL;

  *complete
      = (options->at > 0 || kp_s3_listing_is_finished (listing)) && entries->len <= options->limit;
  if (kp_s3_listing_is_unordered (listing))
    sort_entries (entries);
  if (entries->len > options->limit)
    g_ptr_array_set_size (entries, (gint) options->limit);
  return g_steal_pointer (&entries);
}

/* Which object holds what was under @key at a moment. */
static gboolean
find_past (KpS3Client *client,
           const char *key,
           gint64 at,
           KpListed *listed,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (error);
  g_autoptr (KpCursor) cursor = NULL;
  KpPastResult past;

  if (catalogue == NULL || !kp_catalogue_begin (catalogue, error)
      || !kp_past_list (client, catalogue, key, TRUE, at, &past, NULL, NULL, cancellable, error))
    return FALSE;
  cursor = kp_catalogue_list_listed (catalogue, error);
  int result = cursor != NULL ? kp_cursor_next_listed (cursor, listed, error) : -1;
  if (result == 0)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_NOT_FOUND,
                         "There was no such file in the backup at that time");
  return result == 1;
}

static GBytes *
fetch_object (KpS3Client *client,
              const char *key,
              const char *version_id,
              guint64 limit,
              GCancellable *cancellable,
              GError **error)
{
  g_autoptr (KpS3Object) object = kp_s3_client_head (client, key, version_id, cancellable, error);

  if (object == NULL)
    return NULL;
  if (object->size > limit)
    {
      g_autofree char *size = kp_size_format (object->size);
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "The file has %s, which is too large for this",
                   size);
      return NULL;
    }
  if (object->size == 0)
    return g_bytes_new_static ("", 0);
  g_autoptr (GBytes) bytes = kp_s3_client_get (client, key, version_id, 0, object->size,
                                               object->etag, NULL, cancellable, error);
  if (bytes == NULL || g_bytes_get_size (bytes) == object->size)
    return g_steal_pointer (&bytes);
  g_set_error (error, KP_ERROR, KP_ERROR_CORRUPT,
               "The server sent %" G_GSIZE_FORMAT " of %" G_GUINT64_FORMAT " bytes",
               g_bytes_get_size (bytes), object->size);
  return NULL;
}

/**
 * kp_browse_fetch:
 * @path: file name bytes below the mirror's prefix
 * @at: as it was then, Unix seconds; 0 for now
 * @limit: bytes at most, which are held in memory
 * @error: %KP_ERROR_NOT_FOUND; %KP_ERROR_USAGE when the file is larger; %KP_ERROR_CORRUPT when the
 *   server sends less of it; those of kp_past_list()
 *
 * Returns: (transfer full): its contents
 */
GBytes *
kp_browse_fetch (KpS3Service *service,
                 const char *path,
                 gint64 at,
                 guint64 limit,
                 GCancellable *cancellable,
                 GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autofree char *key = key_of (service, path, FALSE);
  g_auto (KpListed) listed = { 0 };
  GBytes *bytes = NULL;

  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (service);
  if (at == 0 || find_past (client, key, at, &listed, cancellable, error))
    bytes = fetch_object (client, listed.from_key != NULL ? listed.from_key : key,
                          listed.version_id, limit, cancellable, error);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return bytes;
}

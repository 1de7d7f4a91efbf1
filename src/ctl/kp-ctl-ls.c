/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-name.h"
#include "kp-past.h"
#include "kp-s3-listing.h"
#include "kp-size.h"

#include <string.h>

static const char examples[]
    = "Examples:\n"
      "    keepsakectl ls s3://my-bucket/laptop\n"
      "    keepsakectl ls s3://my-bucket/laptop/Pictures -l -R\n"
      "    keepsakectl ls s3://my-bucket/laptop/Pictures --at 'yesterday 18:00'\n"
      "\n"
      "Names end with / for folders. -l shows size, and when the object was stored.";

typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
  gboolean long_form;
  gboolean recursive;
  gint64 at; /* Unix seconds; 0 for now */
  guint64 shown;
} Listing;

static void
print_entry (Listing *listing, const KpS3Entry *entry, const char *name)
{
  g_autofree char *shown = kp_name_display (name);
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (entry->last_modified);

  listing->shown++;
  if (kp_ctl_output_is_json (listing->output))
    {
      g_autofree char *date = entry->is_prefix ? NULL : g_date_time_format_iso8601 (time);
      g_autofree char *key = kp_name_display (entry->key);
      g_autofree char *etag = entry->etag != NULL ? kp_name_display (entry->etag) : NULL;
      g_autofree char *storage_class
          = entry->storage_class != NULL ? kp_name_display (entry->storage_class) : NULL;
      kp_ctl_output_json (listing->output, "entry", "name", "s", shown, "key", "s", key, "size",
                          "u", entry->size, "stored", "s", date, "etag", "s", etag, "storage_class",
                          "s", storage_class, "is_folder", "b", entry->is_prefix, NULL);
    }
  else if (!listing->long_form)
    kp_ctl_output_line (listing->output, "%s", shown);
  else if (entry->is_prefix)
    kp_ctl_output_line (listing->output, "%10s  %19s  %s", "-", "", shown);
  else
    {
      g_autofree char *date = g_date_time_format (time, "%Y-%m-%d %H:%M:%S");
      g_autofree char *size = kp_size_format (entry->size);
      kp_ctl_output_line (listing->output, "%10s  %s  %s", size, date, shown);
    }
}

static gboolean
print_below (Listing *listing,
             KpS3Client *client,
             const char *prefix,
             GCancellable *cancellable,
             GError **error)
{
  g_autoptr (KpS3Location) location
      = kp_s3_service_ref_location (kp_s3_client_get_service (client));
  g_autoptr (KpS3Listing) pages = kp_s3_listing_new (prefix, listing->recursive ? NULL : "/", NULL);

  kp_kept_hide (location, pages);
  while (!kp_s3_listing_is_finished (pages))
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (pages, client, cancellable, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const KpS3Entry *entry = g_ptr_array_index (page, i);
          g_autoptr (GError) bad_name = NULL;
          const char *below = entry->key + strlen (prefix);
          g_autofree char *name = kp_name_from_key (below, &bad_name);

          /* The folder's own object. */
          if (*below == '\0')
            continue;
          print_entry (listing, entry, name != NULL ? name : below);
        }
      /* As head does that has read enough. Each page is a request. */
      if (kp_ctl_output_is_lost ())
        return TRUE;
    }
  return TRUE;
}

/* An address may name a folder or a single object. */
static gboolean
print_object (Listing *listing,
              KpS3Client *client,
              const char *key,
              GCancellable *cancellable,
              GError **error)
{
  g_autoptr (KpS3Object) object = kp_s3_client_head (client, key, NULL, cancellable, error);
  const char *slash = strrchr (key, '/');

  if (object == NULL)
    return FALSE;
  g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();
  entry->key = g_strdup (key);
  entry->size = object->size;
  entry->etag = g_strdup (object->etag);
  entry->last_modified = object->last_modified;
  g_autofree char *name = kp_name_from_key (slash != NULL ? slash + 1 : key, NULL);
  print_entry (listing, entry, name != NULL ? name : key);
  return TRUE;
}

/* Shows a row of the past, or the folder that it lies in. */
static void
print_past (Listing *listing, const char *prefix, const KpListed *listed, char **folder)
{
  const char *below = listed->key + strlen (prefix);
  const char *slash = listing->recursive ? NULL : strchr (below, '/');
  g_autofree char *shown
      = slash != NULL ? g_strndup (below, (gsize) (slash + 1 - below)) : g_strdup (below);
  g_autoptr (KpS3Entry) entry = kp_s3_entry_new ();

  if (*below == '\0' || (slash != NULL && g_strcmp0 (*folder, shown) == 0))
    return;
  entry->is_prefix = slash != NULL;
  entry->key = g_strconcat (prefix, shown, NULL);
  entry->size = entry->is_prefix ? 0 : listed->size;
  entry->last_modified = listed->stored;
  entry->etag = g_strdup ("");
  entry->storage_class = g_strdup (listed->storage_class);
  g_autofree char *name = kp_name_from_key (shown, NULL);
  print_entry (listing, entry, name != NULL ? name : shown);
  if (slash != NULL)
    {
      g_free (*folder);
      *folder = g_steal_pointer (&shown);
    }
}

/* What there was below a prefix, or else, where there was nothing, the one object of that name. Of
 * the latter it does not matter that nothing is kept: the past of the prefix is. */
static gboolean
print_below_at (Listing *listing,
                KpS3Client *client,
                const char *prefix,
                gboolean is_key,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (KpCatalogue) catalogue = kp_catalogue_open_temporary (error);
  g_autoptr (KpCursor) cursor = NULL;
  g_autofree char *folder = NULL;
  g_autofree char *base = is_key ? g_strndup (prefix, strlen (prefix)
                                                          - strlen (strrchr (prefix, '/') != NULL
                                                                        ? strrchr (prefix, '/') + 1
                                                                        : prefix))
                                 : g_strdup (prefix);
  g_autoptr (GError) local_error = NULL;
  KpPastResult past;
  int result = 1;

  if (catalogue == NULL || !kp_catalogue_begin (catalogue, error))
    return FALSE;
  if (!kp_past_list (client, catalogue, prefix, is_key, listing->at, &past, NULL, NULL, cancellable,
                     &local_error))
    {
      if (is_key && kp_error_is (local_error, KP_ERROR_UNSUPPORTED_BY_PROVIDER))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  g_autofree char *gap = kp_past_describe_gap (&past, listing->at);
  if (gap != NULL && !is_key)
    kp_ctl_output_event_cb (&(KpEvent){ .type = KP_EVENT_NOTICE, .text = gap }, listing->output);
  cursor = kp_catalogue_list_listed (catalogue, error);
  if (cursor == NULL)
    return FALSE;
  while (result == 1)
    {
      g_auto (KpListed) listed = { 0 };
      result = kp_cursor_next_listed (cursor, &listed, error);
      if (result == 1)
        print_past (listing, base, &listed, &folder);
    }
  return result == 0;
}

static gboolean
print_at (Listing *listing, KpS3Client *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (listing->service);
  const char *prefix = kp_s3_location_get_prefix (location);
  g_autofree char *base = kp_s3_location_get_key (location, "");

  if (!print_below_at (listing, client, base, FALSE, cancellable, error)
      || (listing->shown == 0 && *prefix != '\0'
          && !print_below_at (listing, client, prefix, TRUE, cancellable, error)))
    return FALSE;
  if (listing->shown > 0)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND,
               "There was nothing at “s3://%s/%s” at that time",
               kp_s3_location_get_bucket (location), prefix);
  return FALSE;
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  Listing *listing = job;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (listing->service);
  const char *prefix = kp_s3_location_get_prefix (location);
  g_autofree char *base = kp_s3_location_get_key (location, "");

  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (listing->service);
  gboolean ok = listing->at > 0 ? print_at (listing, client, cancellable, error)
                                : print_below (listing, client, base, cancellable, error);
  if (ok && listing->at == 0 && listing->shown == 0 && *prefix != '\0')
    {
      g_autoptr (GError) not_found = NULL;
      ok = print_object (listing, client, prefix, cancellable, &not_found);
      if (!ok && kp_error_is (not_found, KP_ERROR_NOT_FOUND))
        {
          g_autoptr (KpS3Object) folder = kp_s3_client_head (client, base, NULL, cancellable, NULL);
          ok = folder != NULL;
        }
      if (!ok)
        g_propagate_error (error, g_steal_pointer (&not_found));
    }
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return ok;
}

KpExit
kp_ctl_ls (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  Listing listing = { NULL };
  g_autofree char *at = NULL;
  const GOptionEntry entries[] = {
    { "at", 0, 0, G_OPTION_ARG_STRING, &at,
      "What there was then: 'yesterday 18:00', '3 days ago', 2026-11-27T18:00", "TIME" },
    { "long", 'l', 0, G_OPTION_ARG_NONE, &listing.long_form, "Show size and time", NULL },
    { "recursive", 'R', 0, G_OPTION_ARG_NONE, &listing.recursive, "Show what lies in folders too",
      NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_option_context (
      &options, entries, NULL, "s3://BUCKET/PREFIX", "Lists what a bucket holds.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error) || !kp_ctl_parse_moment (at, &listing.at, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl ls s3://BUCKET/PREFIX; see keepsakectl ls --help");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, FALSE);
  listing.output = output;
  listing.service = service;
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, NULL, &listing, &error))
    return kp_ctl_fail (error);
  kp_ctl_output_statistics (output, started);
  return KP_EXIT_DONE;
}

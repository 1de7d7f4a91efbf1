/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-s3-listing.h"

#include <string.h>

#define MEBIBYTE (1024 * 1024)

static const char examples[]
    = "Examples:\n"
      "    keepsakectl probe s3://my-bucket\n"
      "    keepsakectl probe s3://my-bucket --endpoint-url https://s3.example.org\n"
      "\n"
      "Writes one small object and an upload of 10 MiB below the prefix, and deletes both.";

typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
  KpS3Client *client;
  char *key;
} Probe;

static void
say (Probe *probe, const char *what, gboolean works, const char *detail)
{
  if (kp_ctl_output_is_json (probe->output))
    kp_ctl_output_json (probe->output, "probe", "what", "s", what, "works", "b", works, "detail",
                        "s", detail, NULL);
  else
    kp_ctl_output_line (probe->output, "%-12s %s%s%s", what, works ? "yes" : "no",
                        detail != NULL ? "  " : "", detail != NULL ? detail : "");
}

static gboolean
probe_listing (Probe *probe, GCancellable *cancellable, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (probe->service);
  g_autofree char *base = kp_s3_location_get_key (location, "");
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (base, "/", NULL);
  g_autoptr (GPtrArray) page = kp_s3_listing_next_page (listing, probe->client, cancellable, error);

  if (page == NULL)
    return FALSE;
  say (probe, "reach", TRUE, kp_s3_location_get_endpoint (location));
  say (probe, "sign in", TRUE, NULL);
  say (probe, "list", TRUE,
       kp_s3_service_get_list_version (probe->service) == 2 ? "ListObjectsV2" : "ListObjects");
  return TRUE;
}

static gboolean
probe_object (Probe *probe, GCancellable *cancellable, GError **error)
{
  static const char text[] = "Keepsake was here.";
  g_autoptr (GBytes) body = g_bytes_new_static (text, strlen (text));
  g_autoptr (KpS3HeaderList) headers = kp_s3_header_list_new ();
  g_autoptr (KpS3Object) object = NULL;

  kp_s3_header_list_add (headers, "x-amz-meta-mtime", "1700000000.123456789");
  g_autofree char *etag
      = kp_s3_client_put (probe->client, probe->key, headers, body, NULL, cancellable, error);
  if (etag == NULL)
    return FALSE;
  say (probe, "write", TRUE, NULL);

  g_autoptr (GBytes) back = kp_s3_client_get (probe->client, probe->key, NULL, 0, strlen (text),
                                              NULL, &object, cancellable, error);
  if (back == NULL)
    return FALSE;
  say (probe, "read", g_bytes_equal (back, body), NULL);
  say (probe, "metadata",
       g_strcmp0 (kp_s3_object_get_metadata (object, "mtime"), "1700000000.123456789") == 0, NULL);
  return TRUE;
}

/* Two parts: one sent, one copied from it. */
static void
probe_parts (Probe *probe, GCancellable *cancellable)
{
  g_autofree char *key = g_strconcat (probe->key, "-parts", NULL);
  g_autofree char *whole_key = g_strconcat (probe->key, "-whole", NULL);
  g_autofree char *upload_id = NULL;
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  g_autofree char *whole = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *zeros = g_malloc0 (5 * MEBIBYTE + 1);
  g_autoptr (GBytes) body = g_bytes_new_take (g_steal_pointer (&zeros), 5 * MEBIBYTE + 1);

  upload_id = kp_s3_client_create_upload (probe->client, key, NULL, cancellable, &error);
  if (upload_id != NULL)
    first = kp_s3_client_upload_part (probe->client, key, upload_id, 1, body, NULL, cancellable,
                                      &error);
  say (probe, "parts", first != NULL, error != NULL ? error->message : NULL);
  if (first != NULL)
    whole = kp_s3_client_put (probe->client, whole_key, NULL, body, NULL, cancellable, &error);
  if (whole != NULL)
    second = kp_s3_client_copy_part (probe->client, whole_key, whole, 0, 5 * MEBIBYTE, key,
                                     upload_id, 2, cancellable, &error);
  say (probe, "part copy", second != NULL,
       second == NULL ? "a changed large file will be sent as a whole" : NULL);

  g_clear_error (&error);
  if (upload_id != NULL
      && !kp_s3_client_abort_upload (probe->client, key, upload_id, cancellable, &error))
    say (probe, "abort", FALSE, error->message);
  g_clear_error (&error);
  if (whole != NULL && !kp_s3_client_delete (probe->client, whole_key, cancellable, &error))
    say (probe, "delete", FALSE, error->message);
}

static void
probe_versioning (Probe *probe, GCancellable *cancellable)
{
  gboolean enabled = FALSE;
  g_autoptr (GError) error = NULL;

  if (!kp_s3_client_get_versioning (probe->client, &enabled, cancellable, &error))
    say (probe, "versions", FALSE, "the server does not say, or the key may not ask");
  else
    say (probe, "versions", enabled,
         enabled ? "old versions of files are kept" : "what is overwritten or deleted is gone");
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  Probe *probe = job;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (probe->service);
  g_autofree char *name = g_strdup_printf (".keepsake-probe-%08x", g_random_int ());

  g_main_context_push_thread_default (context);
  probe->client = kp_s3_client_new (probe->service);
  probe->key = kp_s3_location_get_key (location, name);
  kp_s3_client_set_max_attempts (probe->client, 3);

  gboolean ok
      = probe_listing (probe, cancellable, error) && probe_object (probe, cancellable, error);
  if (ok)
    {
      probe_parts (probe, cancellable);
      ok = kp_s3_client_delete (probe->client, probe->key, cancellable, error);
    }
  if (ok)
    {
      say (probe, "delete", TRUE, NULL);
      probe_versioning (probe, cancellable);
    }

  kp_s3_client_free (probe->client);
  g_free (probe->key);
  g_main_context_pop_thread_default (context);
  return ok;
}

KpExit
kp_ctl_probe (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, NULL, "s3://BUCKET[/PREFIX]",
                               "Finds out what a server can do, and says it in words.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    {
      g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                           "Usage: keepsakectl probe s3://BUCKET; see keepsakectl probe --help");
      return kp_ctl_fail (error);
    }
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, FALSE);
  Probe probe = { .output = output, .service = service };
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, NULL, &probe, &error))
    return kp_ctl_fail (error);
  kp_ctl_output_statistics (output, started);
  return KP_EXIT_DONE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-probe.h"

#include "kp-error.h"
#include "kp-s3-client.h"
#include "kp-s3-listing.h"
#include "kp-s3-versions.h"

#include <string.h>

/* The smallest part that is not the last. */
#define PART_SIZE (5 * 1024 * 1024)

#define MAX_ATTEMPTS 3
#define MTIME "1700000000.123456789"

/* S3 refuses at 15 minutes; a minute is worth a word. */
#define WORTH_TELLING 60

typedef struct
{
  KpS3Service *service;
  KpS3Client *client;
  KpS3ProbeFunc func;
  void *user_data;
  GCancellable *cancellable;
  GPtrArray *keys;  /* that may have been written */
  char *upload_key; /* of an upload that was begun, or NULL */
  char *upload_id;
  gboolean has_versions;
  gboolean versions_stay; /* of what was written: nobody may delete them */
  GError *versions_error; /* when that could not be found out */
} Probe;

static void
tell (Probe *probe, const char *what, gboolean works, const char *detail, const GError *error)
{
  KpS3ProbeResult result = { what, works, detail, error };

  probe->func (&result, probe->user_data);
}

/* Tells of an ability without which there is no backup. */
static gboolean
tell_necessary (Probe *probe, const char *what, gboolean works, GError **error)
{
  tell (probe, what, works, works ? NULL : (*error)->message, works ? NULL : *error);
  return works;
}

static char *
make_key (Probe *probe, const char *suffix)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (probe->service);
  g_autofree char *name = g_strdup_printf (".keepsake-probe-%08x%s", g_random_int (), suffix);
  char *key = kp_s3_location_get_key (location, name);

  g_ptr_array_add (probe->keys, g_strdup (key));
  return key;
}

static const char *
list_detail (Probe *probe)
{
  return kp_s3_service_get_list_version (probe->service) == 2 ? "ListObjectsV2"
                                                              : "ListObjects, the first version";
}

/* The first request tells three things apart: nobody there, key refused, listing refused. */
static gboolean
try_listing (Probe *probe, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (probe->service);
  g_autofree char *base = kp_s3_location_get_key (location, "");
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (base, "/", NULL);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GPtrArray) page
      = kp_s3_listing_next_page (listing, probe->client, probe->cancellable, &local_error);

  if (page == NULL)
    {
      gboolean reached = !kp_error_is (local_error, KP_ERROR_OFFLINE)
                         && !kp_error_is (local_error, KP_ERROR_TLS);
      gboolean known = reached && !kp_error_is (local_error, KP_ERROR_BAD_CREDENTIALS);
      const char *failed = !reached ? "reach" : !known ? "sign-in" : "list";
      if (reached)
        tell (probe, "reach", TRUE, kp_s3_location_get_endpoint (location), NULL);
      if (known)
        tell (probe, "sign-in", TRUE, NULL, NULL);
      tell (probe, failed, FALSE, local_error->message, local_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  tell (probe, "reach", TRUE, kp_s3_location_get_endpoint (location), NULL);
  tell (probe, "sign-in", TRUE, NULL, NULL);
  tell (probe, "list", TRUE, list_detail (probe), NULL);
  return TRUE;
}

static gboolean
try_object (Probe *probe, GError **error)
{
  static const char text[] = "Keepsake was here.";
  g_autofree char *key = make_key (probe, "");
  g_autoptr (GBytes) body = g_bytes_new_static (text, strlen (text));
  g_autoptr (KpS3HeaderList) headers = kp_s3_header_list_new ();
  g_autoptr (KpS3Object) object = NULL;

  kp_s3_header_list_add (headers, "x-amz-meta-mtime", MTIME);
  g_autofree char *etag
      = kp_s3_client_put (probe->client, key, headers, body, NULL, probe->cancellable, error);
  if (!tell_necessary (probe, "write", etag != NULL, error))
    return FALSE;

  g_autoptr (GBytes) back = kp_s3_client_get (probe->client, key, NULL, 0, strlen (text), NULL,
                                              &object, probe->cancellable, error);
  if (back != NULL && !g_bytes_equal (back, body))
    g_set_error_literal (error, KP_ERROR, KP_ERROR_CORRUPT,
                         "What was written comes back different");
  if (!tell_necessary (probe, "read", back != NULL && g_bytes_equal (back, body), error))
    return FALSE;
  gboolean kept = g_strcmp0 (kp_s3_object_get_metadata (object, "mtime"), MTIME) == 0;
  if (!kept)
    g_set_error_literal (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER,
                         "The server does not keep metadata: times and modes would be lost");
  return tell_necessary (probe, "metadata", kept, error);
}

/* Two parts: one sent, one copied by the server. */
static gboolean
try_parts (Probe *probe, GError **error)
{
  g_autofree char *whole_key = make_key (probe, "-whole");
  g_autofree char *first = NULL;
  g_autoptr (GBytes) body = g_bytes_new_take (g_malloc0 (PART_SIZE), PART_SIZE);
  g_autoptr (GError) copy_error = NULL;

  probe->upload_key = make_key (probe, "-parts");
  probe->upload_id = kp_s3_client_create_upload (probe->client, probe->upload_key, NULL,
                                                 probe->cancellable, error);
  if (probe->upload_id != NULL)
    first = kp_s3_client_upload_part (probe->client, probe->upload_key, probe->upload_id, 1, body,
                                      NULL, probe->cancellable, error);
  if (!tell_necessary (probe, "parts", first != NULL, error))
    return FALSE;

  g_autofree char *whole = kp_s3_client_put (probe->client, whole_key, NULL, body, NULL,
                                             probe->cancellable, &copy_error);
  g_autofree char *second = whole != NULL ? kp_s3_client_copy_part (
                                probe->client, whole_key, whole, 0, PART_SIZE, probe->upload_key,
                                probe->upload_id, 2, probe->cancellable, &copy_error)
                                          : NULL;
  if (g_cancellable_set_error_if_cancelled (probe->cancellable, error))
    return FALSE;
  tell (probe, "part-copy", second != NULL,
        second == NULL ? "a changed large file will be sent as a whole" : NULL, copy_error);
  return TRUE;
}

/* Asked first, as it decides how to clean up. */
static void
ask_for_versions (Probe *probe)
{
  if (!kp_s3_client_get_versioning (probe->client, &probe->has_versions, NULL, probe->cancellable,
                                    &probe->versions_error))
    probe->has_versions = FALSE;
}

static void
tell_versions (Probe *probe)
{
  if (probe->versions_error != NULL)
    tell (probe, "versions", FALSE, "the server does not say, or the key may not ask",
          probe->versions_error);
  else
    tell (probe, "versions", probe->has_versions,
          probe->has_versions ? "old versions of files are kept; --keep-deleted is not needed"
                              : "what is overwritten or deleted is gone",
          NULL);
}

static void
tell_clock (Probe *probe)
{
  gint64 ahead = g_get_real_time () / G_USEC_PER_SEC - kp_s3_service_get_now (probe->service);

  if (ABS (ahead) < WORTH_TELLING)
    {
      tell (probe, "clock", TRUE, NULL, NULL);
      return;
    }
  g_autofree char *detail
      = g_strdup_printf ("this computer's clock is %" G_GINT64_FORMAT " minutes %s",
                         ABS (ahead) / 60, ahead > 0 ? "ahead" : "behind");
  tell (probe, "clock", FALSE, detail, NULL);
}

/* Deletes one object of ours so that no version of it stays either. That they have to is no fault:
 * a bucket whose Object Lock has a retention period lets nobody delete them, nor need keys that are
 * for a backup be good for that. */
static gboolean
delete_object (Probe *probe, const char *key, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (!kp_s3_client_delete (probe->client, key, NULL, error))
    return FALSE;
  if (!probe->has_versions || kp_s3_versions_delete_all (probe->client, key, NULL, &local_error))
    return TRUE;
  if (kp_error_is (local_error, KP_ERROR_ACCESS_DENIED)
      || kp_error_is (local_error, KP_ERROR_REFUSED))
    {
      g_debug ("%s", local_error->message);
      probe->versions_stay = TRUE;
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Whatever happened: nothing of ours stays that can go. It cannot be cancelled. */
static gboolean
clean_up (Probe *probe, GError **error)
{
  g_autoptr (GError) first = NULL;

  if (probe->upload_id != NULL
      && !kp_s3_client_abort_upload (probe->client, probe->upload_key, probe->upload_id, NULL,
                                     &first))
    g_debug ("%s", first->message);
  for (guint i = 0; i < probe->keys->len; i++)
    {
      g_autoptr (GError) local_error = NULL;
      if (!delete_object (probe, g_ptr_array_index (probe->keys, i), &local_error) && first == NULL)
        first = g_steal_pointer (&local_error);
    }
  if (first == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&first));
  return FALSE;
}

/**
 * kp_s3_probe:
 * @func: called for each thing that was tried, in this thread
 * @error: what a backup cannot do without, and does not work; %G_IO_ERROR_CANCELLED
 *
 * Blocks; for a thread of its own. Writes an object of a few bytes, one of 5 MiB and a part of
 * 5 MiB.
 */
gboolean
kp_s3_probe (KpS3Service *service,
             KpS3ProbeFunc func,
             void *user_data,
             GCancellable *cancellable,
             GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  Probe probe = { .service = service,
                  .func = func,
                  .user_data = user_data,
                  .cancellable = cancellable,
                  .keys = keys };
  g_autoptr (GError) delete_error = NULL;

  g_main_context_push_thread_default (context);
  probe.client = kp_s3_client_new (service);
  kp_s3_client_set_max_attempts (probe.client, MAX_ATTEMPTS);
  gboolean ok = try_listing (&probe, error);
  if (ok)
    ask_for_versions (&probe);
  ok = ok && try_object (&probe, error) && try_parts (&probe, error);
  if (keys->len > 0 && !clean_up (&probe, &delete_error))
    {
      tell (&probe, "delete", FALSE, delete_error->message, delete_error);
      if (ok)
        g_propagate_error (error, g_steal_pointer (&delete_error));
      ok = FALSE;
    }
  else if (ok)
    tell (&probe, "delete", TRUE,
          probe.versions_stay
              ? "what this test wrote stays as old versions, which may not be deleted"
              : NULL,
          NULL);
  if (ok)
    {
      tell_versions (&probe);
      tell_clock (&probe);
    }
  kp_s3_client_free (probe.client);
  g_main_context_pop_thread_default (context);
  g_free (probe.upload_key);
  g_free (probe.upload_id);
  g_clear_error (&probe.versions_error);
  return ok;
}

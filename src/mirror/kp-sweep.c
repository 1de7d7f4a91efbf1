/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Deleting what was kept for long enough. Nothing but what kp_kept_parse() knows as ours, and only
 * when the server's clock and this computer's agree that the time is over. */

#include "kp-error.h"
#include "kp-keep.h"

#define DAY (24 * 60 * 60)

typedef struct
{
  KpMirror *mirror;
  KpS3Location *location;
  gint64 limit; /* runs up to here are over, in Unix seconds */
  guint64 n_failed;
  GError *error; /* the first, of a key or of all */
} Sweep;

/* A clock that runs ahead, whichever of both it is, must not end what should be there for weeks. */
static gboolean
find_limit (Sweep *sweep)
{
  KpMirror *mirror = sweep->mirror;
  gint64 server = kp_s3_service_get_server_time (mirror->service);
  gint64 own = g_get_real_time () / G_USEC_PER_SEC;

  if (server == 0 || ABS (server - own) > DAY)
    {
      kp_report_notice (mirror->report,
                        "Nothing that was kept is deleted today, however old: the clocks of the "
                        "server and of this computer do not agree. Set this computer's clock");
      return FALSE;
    }
  sweep->limit = server - (gint64) mirror->options.keep_days * DAY;
  return TRUE;
}

static void
delete_failed_cb (const char *key, const GError *error, void *user_data)
{
  Sweep *sweep = user_data;

  sweep->n_failed++;
  if (sweep->error == NULL)
    sweep->error = g_error_copy (error);
}

/* Whether the object was one of this mirror's sources: other plans may keep theirs in the same
 * place, and longer. */
static gboolean
is_ours (KpMirror *mirror, const char *key)
{
  for (guint i = 0; i < mirror->sources->len; i++)
    {
      if (kp_source_covers (kp_mirror_get_source (mirror, i), key))
        return TRUE;
    }
  return FALSE;
}

static gboolean
delete_batch (Sweep *sweep, KpS3Client *client, const char *const *keys, guint n_keys)
{
  g_autoptr (GError) error = NULL;
  guint64 failed_before = sweep->n_failed;

  if (!kp_s3_client_delete_many (client, keys, n_keys, delete_failed_cb, sweep,
                                 sweep->mirror->cancellable, &error))
    {
      /* A key before may have had one of its own. */
      if (sweep->error == NULL)
        sweep->error = g_steal_pointer (&error);
      return FALSE;
    }
  sweep->mirror->result.swept += n_keys - (sweep->n_failed - failed_before);
  return TRUE;
}

static gboolean
sweep_page (Sweep *sweep, KpS3Client *client, GPtrArray *page, gboolean *met_young)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();

  for (guint i = 0; i < page->len; i++)
    {
      const KpS3Entry *entry = g_ptr_array_index (page, i);
      g_autofree char *mirror_key = NULL;
      gint64 run;

      if (!kp_kept_parse (sweep->location, entry->key, &run, NULL, &mirror_key)
          || !is_ours (sweep->mirror, mirror_key))
        continue;
      if (run <= sweep->limit)
        g_ptr_array_add (keys, entry->key);
      else
        *met_young = TRUE;
    }
  for (guint i = 0; i < keys->len; i += KP_S3_DELETE_AT_ONCE)
    if (!delete_batch (sweep, client, (const char *const *) keys->pdata + i,
                       MIN (keys->len - i, KP_S3_DELETE_AT_ONCE)))
      return FALSE;
  return TRUE;
}

/* The names begin with the time: what comes first is the oldest, and behind the first that is young
 * enough nothing is over, unless the server lists in another order. */
static void
sweep_pages (Sweep *sweep)
{
  g_autofree char *prefix = kp_kept_get_prefix (sweep->location);
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, NULL, NULL);
  g_autoptr (KpS3Client) client = kp_s3_client_new (sweep->mirror->service);
  gboolean met_young = FALSE;

  while (!(met_young && !kp_s3_listing_is_unordered (listing))
         && !kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page = kp_s3_listing_next_page (
          listing, client, sweep->mirror->cancellable, sweep->error == NULL ? &sweep->error : NULL);
      if (page == NULL || !sweep_page (sweep, client, page, &met_young))
        return;
    }
}

/**
 * kp_keep_sweep:
 *
 * Deletes what the mirror kept longer ago than the plan says. To be called when all else has gone
 * well; that it fails is said, and harms nobody.
 */
void
kp_keep_sweep (KpMirror *mirror)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (mirror->service);
  Sweep sweep = { .mirror = mirror, .location = location };

  if (find_limit (&sweep))
    sweep_pages (&sweep);
  if (sweep.error != NULL)
    kp_report_notice (mirror->report,
                      "What was kept for %u days is not all deleted yet, the next run goes on: %s",
                      mirror->options.keep_days, sweep.error->message);
  g_clear_error (&sweep.error);
}

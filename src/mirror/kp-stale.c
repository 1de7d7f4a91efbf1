/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Uploads that earlier jobs began and nobody will go on with. They would be paid for, for ever.
 * Only ours are ended: those that the catalogue knows; and of those that a job was about to begin
 * when it was killed, the one that fits. */

#include "kp-content.h"
#include "kp-error.h"
#include "kp-kept.h"
#include "kp-mirror-private.h"
#include "kp-name.h"
#include "kp-s3-client.h"

/* How far the server's clock may be from what we take for it, and how long the request to begin an
 * upload may have been repeated, in seconds. */
#define CLOCK_TOLERANCE 60
#define BEGIN_WITHIN (5 * 60)

/* For so long a job asks for an upload that an earlier one was about to begin, where the server
 * does not answer; in seconds. */
#define FORGET_AFTER (7 * 24 * 60 * 60)

static gboolean
is_recorded (KpCatalogue *catalogue, const KpS3Upload *upload)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpUploadRow) row = kp_catalogue_get_upload (catalogue, upload->key, &error);

  return error != NULL || (row != NULL && g_str_equal (row->upload_id, upload->upload_id));
}

/* A job sends no part before the upload's id is recorded, so an upload that holds any is another's.
 */
static gboolean
look_whether_empty (KpMirror *mirror,
                    KpS3Client *client,
                    const KpS3Upload *upload,
                    gboolean *empty,
                    GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GPtrArray) parts = kp_s3_client_list_parts (client, upload->key, upload->upload_id,
                                                         mirror->cancellable, &local_error);

  *empty = parts != NULL && parts->len == 0;
  if (parts != NULL || kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Ends the uploads that a job began under this key, at about this time, without learning their ids:
 * at most @most of them, and without a part. If there is any doubt, nothing is ended. */
static gboolean
end_unknown (KpMirror *mirror,
             KpS3Client *client,
             const char *key,
             gint64 time,
             unsigned most,
             const char *own_id,
             GError **error)
{
  g_autoptr (GPtrArray) uploads
      = kp_s3_client_list_uploads (client, key, mirror->cancellable, error);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();

  if (uploads == NULL)
    return FALSE;
  for (guint i = 0; i < uploads->len; i++)
    {
      KpS3Upload *upload = g_ptr_array_index (uploads, i);
      gboolean is_known = own_id != NULL ? g_str_equal (upload->upload_id, own_id)
                                         : is_recorded (mirror->catalogue, upload);
      gboolean empty = FALSE;
      if (!g_str_equal (upload->key, key) || upload->initiated < time - CLOCK_TOLERANCE
          || upload->initiated > time + CLOCK_TOLERANCE + BEGIN_WITHIN || is_known)
        continue;
      if (!look_whether_empty (mirror, client, upload, &empty, error))
        return FALSE;
      if (empty)
        g_ptr_array_add (found, upload);
    }
  for (guint i = 0; found->len <= most && i < found->len; i++)
    {
      const KpS3Upload *upload = g_ptr_array_index (found, i);
      if (!kp_s3_client_abort_upload (client, upload->key, upload->upload_id, mirror->cancellable,
                                      error))
        return FALSE;
    }
  return TRUE;
}

/**
 * kp_stale_end_twins:
 * @upload_id: of the upload that was just begun and recorded
 * @most: how many requests to begin it got no answer
 * @began: the server's time before the first of them, in Unix seconds
 *
 * Those may have begun uploads as well, of which nobody knows. For workers.
 */
void
kp_stale_end_twins (KpMirror *mirror,
                    KpS3Client *client,
                    const char *key,
                    const char *upload_id,
                    unsigned most,
                    gint64 began)
{
  g_autoptr (GError) error = NULL;

  if (most > 0 && !end_unknown (mirror, client, key, began, most, upload_id, &error))
    g_debug ("Cannot look for another upload of %s: %s", key, error->message);
}

/* Whether it makes sense that a later job asks again. Not every key may list uploads, nor does
 * every server know how. */
static gboolean
may_pass (const GError *error)
{
  return kp_error_is (error, KP_ERROR_SERVER) || kp_error_is (error, KP_ERROR_WRONG_REGION)
         || kp_error_is (error, KP_ERROR_CORRUPT);
}

/* What cannot be looked for today is left for the next job; the backup goes on. */
static gboolean
end_beginnings (KpMirror *mirror, KpS3Client *client, GPtrArray *beginnings, GError **error)
{
  gint64 oldest = kp_s3_service_get_now (mirror->service) - FORGET_AFTER;

  for (guint i = 0; i < beginnings->len; i++)
    {
      KpBeginning *beginning = g_ptr_array_index (beginnings, i);
      g_autoptr (GError) local_error = NULL;

      /* One failure that may pass is enough: each takes half a minute. */
      if (mirror->beginnings_left == NULL
          && !end_unknown (mirror, client, beginning->key, beginning->time, 1, NULL, &local_error))
        {
          if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
              || kp_error_is (local_error, KP_ERROR_OFFLINE))
            {
              g_propagate_error (error, g_steal_pointer (&local_error));
              return FALSE;
            }
          g_debug ("Cannot look for an upload of %s: %s", beginning->key, local_error->message);
          if (may_pass (local_error))
            mirror->beginnings_left
                = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_beginning_free);
        }
      if (mirror->beginnings_left != NULL && beginning->time >= oldest)
        g_ptr_array_add (mirror->beginnings_left, kp_beginning_copy (beginning));
      else if (!kp_catalogue_remove_beginning (mirror->catalogue, beginning->key, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * kp_stale_remember:
 *
 * To be called when everything is sent: an upload of the same name that was begun meanwhile took
 * the place of what could not be looked for.
 */
gboolean
kp_stale_remember (KpMirror *mirror, GError **error)
{
  for (guint i = 0; mirror->beginnings_left != NULL && i < mirror->beginnings_left->len; i++)
    {
      const KpBeginning *beginning = g_ptr_array_index (mirror->beginnings_left, i);
      if (!kp_catalogue_put_beginning (mirror->catalogue, beginning->key, beginning->time, error))
        return FALSE;
    }
  return TRUE;
}

/* Whether a later job may go on with the upload, though this one does not send its file: the file
 * could not be compared, or was not seen and need not be gone for that. It is of a folder that is
 * not among this job's sources or is away, of a disk that is away, or of a folder that could not be
 * read. */
static gboolean
look_whether_wanted (KpMirror *mirror, const char *key, gboolean *is_wanted, GError **error)
{
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (mirror->service);
  gboolean is_scanned;
  gboolean is_covered = FALSE;

  *is_wanted = FALSE;
  /* What was to be kept is kept anew. */
  if (kp_kept_is_below (location, key))
    return TRUE;
  if (!kp_catalogue_is_scanned (mirror->catalogue, key, &is_scanned, error))
    return FALSE;
  *is_wanted = is_scanned ? mirror->look_failed : mirror->unreadable > 0;
  for (guint i = 0; !is_scanned && i < mirror->sources->len; i++)
    {
      KpSource *source = kp_mirror_get_source (mirror, i);
      gboolean is_away = source->fd < 0;
      if (!kp_source_covers (source, key))
        continue;
      if (!is_away && !kp_roots_is_away (mirror, source, key, &is_away, error))
        return FALSE;
      is_covered = TRUE;
      *is_wanted = *is_wanted || is_away;
    }
  *is_wanted = *is_wanted || (!is_scanned && !is_covered);
  return TRUE;
}

/**
 * kp_stale_report_left:
 * @error: why the upload of @key could not be ended
 */
void
kp_stale_report_left (KpMirror *mirror, const char *key, const GError *error)
{
  g_autofree char *name = kp_name_display (key);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    kp_report_notice (
        mirror->report,
        "An unfinished upload of “%s” could not be ended and goes on taking up storage: %s", name,
        error->message);
}

/* Ends an upload of ours that nobody will go on with. Where the server will not, it stays recorded,
 * and the next job tries again. */
static gboolean
end_upload (KpMirror *mirror, KpS3Client *client, const KpUploadRow *upload, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (kp_s3_client_abort_upload (client, upload->key, upload->upload_id, mirror->cancellable,
                                 &local_error))
    return kp_catalogue_remove_upload (mirror->catalogue, upload->key, error);
  if (kp_error_stops_job (local_error) && !kp_error_is (local_error, KP_ERROR_ACCESS_DENIED))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  kp_stale_report_left (mirror, upload->key, local_error);
  return TRUE;
}

/**
 * kp_stale_end_uploads:
 *
 * To be called when the change set is made and nothing is sent yet.
 */
gboolean
kp_stale_end_uploads (KpMirror *mirror, GError **error)
{
  g_autoptr (GPtrArray) beginnings = kp_catalogue_list_beginnings (mirror->catalogue, error);
  g_autoptr (GPtrArray) uploads = NULL;

  if (beginnings == NULL)
    return FALSE;
  uploads = kp_catalogue_list_stale_uploads (mirror->catalogue, KP_PART_SIZE, error);
  if (uploads == NULL)
    return FALSE;
  if (beginnings->len == 0 && uploads->len == 0)
    return TRUE;
  g_autoptr (KpS3Client) client = kp_s3_client_new (mirror->service);
  for (guint i = 0; i < uploads->len; i++)
    {
      const KpUploadRow *upload = g_ptr_array_index (uploads, i);
      gboolean is_wanted;
      if (!look_whether_wanted (mirror, upload->key, &is_wanted, error)
          || (!is_wanted && !end_upload (mirror, client, upload, error)))
        return FALSE;
    }
  return end_beginnings (mirror, client, beginnings, error);
}

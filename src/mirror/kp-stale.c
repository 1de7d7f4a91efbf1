/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

/* Uploads that earlier jobs began and nobody will go on with. They would be paid for, for ever.
 * Only ours are ended: those that the catalogue knows; and of those that a job was about to begin
 * when it was killed, the one that fits. */

#include "kp-content.h"
#include "kp-error.h"
#include "kp-mirror-private.h"
#include "kp-s3-client.h"

/* How far the server's clock may be from what we take for it, and how long the request to begin an
 * upload may have been repeated, in seconds. */
#define CLOCK_TOLERANCE 60
#define BEGIN_WITHIN (5 * 60)

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
is_empty (KpMirror *mirror, KpS3Client *client, const KpS3Upload *upload)
{
  g_autoptr (GPtrArray) parts
      = kp_s3_client_list_parts (client, upload->key, upload->upload_id, mirror->cancellable, NULL);

  return parts != NULL && parts->len == 0;
}

/* Ends the upload that a killed job began without learning its id: the only one under this key from
 * that moment, and without a part. If there is any doubt, nothing is ended. */
static gboolean
end_beginning (KpMirror *mirror, KpS3Client *client, const KpBeginning *beginning, GError **error)
{
  g_autoptr (GPtrArray) uploads
      = kp_s3_client_list_uploads (client, beginning->key, mirror->cancellable, error);
  const KpS3Upload *found = NULL;
  unsigned n_found = 0;

  if (uploads == NULL)
    return FALSE;
  for (guint i = 0; i < uploads->len; i++)
    {
      const KpS3Upload *upload = g_ptr_array_index (uploads, i);
      if (g_str_equal (upload->key, beginning->key)
          && upload->initiated >= beginning->time - CLOCK_TOLERANCE
          && upload->initiated <= beginning->time + CLOCK_TOLERANCE + BEGIN_WITHIN
          && !is_recorded (mirror->catalogue, upload) && is_empty (mirror, client, upload))
        {
          found = upload;
          n_found++;
        }
    }
  return n_found != 1
         || kp_s3_client_abort_upload (client, found->key, found->upload_id, mirror->cancellable,
                                       error);
}

static gboolean
end_beginnings (KpMirror *mirror, KpS3Client *client, GPtrArray *beginnings, GError **error)
{
  for (guint i = 0; i < beginnings->len; i++)
    {
      const KpBeginning *beginning = g_ptr_array_index (beginnings, i);
      g_autoptr (GError) local_error = NULL;

      if (!end_beginning (mirror, client, beginning, &local_error))
        {
          if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
              || kp_error_is (local_error, KP_ERROR_OFFLINE))
            {
              g_propagate_error (error, g_steal_pointer (&local_error));
              return FALSE;
            }
          /* Not every key may list uploads, nor every server. The backup goes on. */
          g_debug ("Cannot look for an upload of %s: %s", beginning->key, local_error->message);
        }
      if (!kp_catalogue_remove_beginning (mirror->catalogue, beginning->key, error))
        return FALSE;
    }
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
      if (!kp_s3_client_abort_upload (client, upload->key, upload->upload_id, mirror->cancellable,
                                      error)
          || !kp_catalogue_remove_upload (mirror->catalogue, upload->key, error))
        return FALSE;
    }
  return end_beginnings (mirror, client, beginnings, error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-mirror"

#include "kp-erase.h"

#include "kp-error.h"
#include "kp-kept.h"
#include "kp-s3-listing.h"
#include "kp-source.h"

#include <string.h>

/* Where another plan keeps a source. */
typedef struct
{
  KpS3Location *location;
  KpSource *source;
} Spared;

struct _KpErase
{
  GObject parent_instance;

  KpS3Service *service;
  KpS3Location *location; /* of the service */
  char *state_dir;
  GPtrArray *sources; /* of KpSource, none of which is opened: their files may be gone */
  GPtrArray *spared;  /* of Spared */
  gboolean has_consent;
  guint64 max_delete;
  KpReport *report;

  /* Of the run. */
  KpS3Client *client;
  KpCatalogue *catalogue;
  GCancellable *cancellable; /* (nullable) (transfer none) */
  GHashTable *refused;       /* (nullable): keys of the batch that are still there */
  gboolean has_begun;        /* to delete */
  KpEraseResult result;
};

G_DEFINE_FINAL_TYPE (KpErase, kp_erase, G_TYPE_OBJECT)

static void
spared_free (void *data)
{
  Spared *spared = data;

  kp_s3_location_unref (spared->location);
  kp_source_free (spared->source);
  g_free (spared);
}

/* --- whose an object is --------------------------------------------------------------------- */

/* Rather too much than too little: a server has several addresses, so a bucket of the same name is
 * taken for the same one. */
static gboolean
is_spared_by (KpErase *self, const Spared *spared, const char *key)
{
  g_autofree char *mirror_key = NULL;

  if (!g_str_equal (kp_s3_location_get_bucket (spared->location),
                    kp_s3_location_get_bucket (self->location)))
    return FALSE;
  if (!kp_kept_is_below (spared->location, key))
    return kp_source_covers (spared->source, key);
  /* What another mirror keeps is nothing of ours, whatever became of its sources. */
  if (!g_str_equal (kp_s3_location_get_prefix (spared->location),
                    kp_s3_location_get_prefix (self->location)))
    return TRUE;
  return kp_kept_parse (spared->location, key, NULL, NULL, &mirror_key)
         && kp_source_covers (spared->source, mirror_key);
}

static gboolean
is_spared (KpErase *self, const char *key)
{
  for (guint i = 0; i < self->spared->len; i++)
    if (is_spared_by (self, g_ptr_array_index (self->spared, i), key))
      return TRUE;
  return FALSE;
}

static gboolean
is_ours (KpErase *self, const char *key)
{
  g_autofree char *mirror_key = NULL;

  if (kp_kept_is_below (self->location, key))
    {
      if (!kp_kept_parse (self->location, key, NULL, NULL, &mirror_key))
        return FALSE;
      key = mirror_key;
    }
  for (guint i = 0; i < self->sources->len; i++)
    if (kp_source_covers (g_ptr_array_index (self->sources, i), key))
      return TRUE;
  return FALSE;
}

/* --- walking -------------------------------------------------------------------------------- */

/* One page of what lies where the plan's objects are. */
typedef gboolean (*PageFunc) (KpErase *self, GPtrArray *entries, GError **error);

/* @is_exact: only the object of this very name */
static gboolean
walk_prefix (KpErase *self, const char *prefix, gboolean is_exact, PageFunc func, GError **error)
{
  g_autoptr (KpS3Listing) listing = kp_s3_listing_new (prefix, NULL, NULL);

  if (is_exact)
    kp_s3_listing_set_end (listing, prefix);
  else if (!kp_kept_is_below (self->location, prefix))
    kp_kept_hide (self->location, listing);
  while (!kp_s3_listing_is_finished (listing))
    {
      g_autoptr (GPtrArray) page
          = kp_s3_listing_next_page (listing, self->client, self->cancellable, error);
      if (page == NULL || !func (self, page, error))
        return FALSE;
    }
  return TRUE;
}

/* Whether another source's listing has it already. */
static gboolean
is_listed_elsewhere (KpErase *self, guint index)
{
  const KpSource *source = g_ptr_array_index (self->sources, index);

  for (guint i = 0; i < self->sources->len; i++)
    {
      const KpSource *other = g_ptr_array_index (self->sources, i);
      if (i != index && g_str_has_prefix (source->key, other->key)
          && (i < index || !g_str_equal (source->key, other->key)))
        return TRUE;
    }
  return FALSE;
}

static gboolean
walk (KpErase *self, PageFunc func, GError **error)
{
  g_autofree char *kept = kp_kept_get_prefix (self->location);

  for (guint i = 0; i < self->sources->len; i++)
    {
      const KpSource *source = g_ptr_array_index (self->sources, i);

      if (is_listed_elsewhere (self, i))
        continue;
      if (!walk_prefix (self, source->key, FALSE, func, error)
          || (source->file_key != NULL && !walk_prefix (self, source->file_key, TRUE, func, error)))
        return FALSE;
    }
  return walk_prefix (self, kept, FALSE, func, error);
}

/* --- counting ------------------------------------------------------------------------------- */

static gboolean
count_page (KpErase *self, GPtrArray *entries, GError **error)
{
  for (guint i = 0; i < entries->len; i++)
    {
      const KpS3Entry *entry = g_ptr_array_index (entries, i);
      if (!is_ours (self, entry->key))
        continue;
      if (is_spared (self, entry->key))
        {
          self->result.spared++;
          continue;
        }
      self->result.objects++;
      self->result.bytes += entry->size;
    }
  kp_report_add_listed (self->report, entries->len);
  return TRUE;
}

static gboolean
count (KpErase *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  kp_report_begin_phase (self->report, KP_PHASE_SCANNING);
  self->result = (KpEraseResult){ 0 };
  if (!walk (self, count_page, error))
    return FALSE;
  /* Not every key may ask, nor every server answer. */
  self->result.tells_versions = kp_s3_client_get_versioning (
      self->client, &self->result.keeps_versions, NULL, self->cancellable, &local_error);
  if (!self->result.tells_versions)
    g_debug ("Whether the bucket keeps versions: %s", local_error->message);
  return TRUE;
}

/* --- deleting ------------------------------------------------------------------------------- */

/* As people know it: what lies beside the prefix, kept, is named in full. */
static const char *
get_shown (KpErase *self, const char *key)
{
  g_autofree char *own = kp_s3_location_get_key (self->location, "");

  return g_str_has_prefix (key, own) && key[strlen (own)] != '\0' ? key + strlen (own) : key;
}

static void
delete_failed_cb (const char *key, const GError *error, void *user_data)
{
  KpErase *self = user_data;

  if (!g_hash_table_add (self->refused, g_strdup (key)))
    return;
  self->result.failed++;
  kp_report_failed (self->report, get_shown (self, key), error);
}

static void
count_deleted (KpErase *self, GPtrArray *entries)
{
  for (guint i = 0; i < entries->len; i++)
    {
      const KpS3Entry *entry = g_ptr_array_index (entries, i);
      if (g_hash_table_contains (self->refused, entry->key))
        continue;
      self->result.deleted++;
      self->result.deleted_bytes += entry->size;
      kp_report_done (self->report, "delete", get_shown (self, entry->key), 0);
    }
}

static gboolean
delete_batch (KpErase *self, GPtrArray *batch, GError **error)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  g_autoptr (GHashTable) refused = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  if (batch->len == 0)
    return TRUE;
  for (guint i = 0; i < batch->len; i++)
    g_ptr_array_add (keys, ((KpS3Entry *) g_ptr_array_index (batch, i))->key);
  /* Something that was not there when they were counted: nobody said yes to that. */
  if (self->result.deleted + self->result.failed + keys->len > self->result.objects)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_DELETE_GUARD,
                           "Something writes to the bucket while the backup is being deleted; what "
                           "is new there stays");
      return FALSE;
    }
  if (!kp_catalogue_forget (self->catalogue, (const char *const *) keys->pdata, keys->len, error))
    return FALSE;
  self->refused = refused;
  gboolean ok
      = kp_s3_client_delete_many (self->client, (const char *const *) keys->pdata, keys->len,
                                  delete_failed_cb, self, self->cancellable, error);
  if (ok)
    count_deleted (self, batch);
  self->refused = NULL;
  return ok;
}

static gboolean
delete_page (KpErase *self, GPtrArray *entries, GError **error)
{
  g_autoptr (GPtrArray) batch = g_ptr_array_new ();

  for (guint i = 0; i < entries->len; i++)
    {
      KpS3Entry *entry = g_ptr_array_index (entries, i);
      if (!is_ours (self, entry->key) || is_spared (self, entry->key))
        continue;
      g_ptr_array_add (batch, entry);
      if (batch->len < KP_S3_DELETE_AT_ONCE)
        continue;
      if (!delete_batch (self, batch, error))
        return FALSE;
      g_ptr_array_set_size (batch, 0);
    }
  return delete_batch (self, batch, error);
}

static gboolean
end_uploads_below (KpErase *self, const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) uploads
      = kp_s3_client_list_uploads (self->client, prefix, self->cancellable, error);

  if (uploads == NULL)
    return FALSE;
  for (guint i = 0; i < uploads->len; i++)
    {
      const KpS3Upload *upload = g_ptr_array_index (uploads, i);
      if (!is_ours (self, upload->key) || is_spared (self, upload->key))
        continue;
      if (!kp_s3_client_abort_upload (self->client, upload->key, upload->upload_id,
                                      self->cancellable, error)
          || !kp_catalogue_remove_upload (self->catalogue, upload->key, error))
        return FALSE;
    }
  return TRUE;
}

/* Uploads that were never completed are in no listing of objects, and paid for all the same. */
static gboolean
end_uploads (KpErase *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean ok = TRUE;

  for (guint i = 0; ok && i < self->sources->len; i++)
    {
      const KpSource *source = g_ptr_array_index (self->sources, i);
      ok = end_uploads_below (self, source->file_key != NULL ? source->file_key : source->key,
                              &local_error);
    }
  g_autofree char *kept = kp_kept_get_prefix (self->location);
  ok = ok && end_uploads_below (self, kept, &local_error);
  if (ok)
    return TRUE;
  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
      || kp_error_is (local_error, KP_ERROR_OFFLINE))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  kp_report_notice (self->report,
                    "Whether unfinished uploads take up storage could not be found out: %s",
                    local_error->message);
  return TRUE;
}

/* Says yes or no before the first object goes. */
static gboolean
check_consent (KpErase *self, GError **error)
{
  if (!self->has_consent || self->result.objects <= self->max_delete)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_DELETE_GUARD,
               "Nothing was deleted: there are %" G_GUINT64_FORMAT
               " objects now, and only %" G_GUINT64_FORMAT " were to be deleted",
               self->result.objects, self->max_delete);
  return FALSE;
}

static void
tell_what_stays (KpErase *self)
{
  if (self->result.spared > 0)
    kp_report_notice (self->report,
                      "%" G_GUINT64_FORMAT " objects stay, as another plan covers them",
                      self->result.spared);
  if (self->result.keeps_versions)
    kp_report_notice (self->report,
                      "The bucket keeps old versions: what was deleted stays there as an old "
                      "version until a rule of the bucket, or somebody, deletes it");
}

static gboolean
erase (KpErase *self, GError **error)
{
  self->catalogue = kp_catalogue_open (self->state_dir, self->location, error);
  if (self->catalogue == NULL)
    return FALSE;
  if (!count (self, error) || !check_consent (self, error)
      || !kp_catalogue_make_durable (self->catalogue, error))
    return FALSE;
  kp_report_set_total (self->report, self->result.objects, 0);
  self->has_begun = TRUE;
  kp_report_begin_phase (self->report, KP_PHASE_DELETING);
  if (!walk (self, delete_page, error) || !end_uploads (self, error))
    return FALSE;
  tell_what_stays (self);
  return TRUE;
}

/* --- the object ----------------------------------------------------------------------------- */

static void
kp_erase_finalize (GObject *object)
{
  KpErase *self = KP_ERASE (object);

  g_clear_pointer (&self->sources, g_ptr_array_unref);
  g_clear_pointer (&self->spared, g_ptr_array_unref);
  g_clear_pointer (&self->report, kp_report_free);
  g_clear_pointer (&self->location, kp_s3_location_unref);
  g_clear_object (&self->service);
  g_free (self->state_dir);
  G_OBJECT_CLASS (kp_erase_parent_class)->finalize (object);
}

static void
kp_erase_class_init (KpEraseClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_erase_finalize;
}

static void
kp_erase_init (KpErase *self)
{
  self->sources = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_source_free);
  self->spared = g_ptr_array_new_with_free_func (spared_free);
}

/**
 * kp_erase_new:
 * @state_dir: (nullable): where catalogues are kept; not needed for counting
 * @func: (nullable): called for each event, from any thread but one at a time
 */
KpErase *
kp_erase_new (KpS3Service *service, const char *state_dir, KpEventFunc func, void *user_data)
{
  KpErase *self = g_object_new (KP_TYPE_ERASE, NULL);

  self->service = g_object_ref (service);
  self->location = kp_s3_service_ref_location (service);
  self->state_dir = g_strdup (state_dir);
  self->report = kp_report_new (service, func, user_data);
  return self;
}

/**
 * kp_erase_add_source:
 * @stored_as: (nullable): as for kp_mirror_add_source()
 *
 * Its objects are to go. The folder itself need not be there, and is not looked at.
 */
void
kp_erase_add_source (KpErase *self, const char *path, const char *stored_as)
{
  g_ptr_array_add (self->sources, kp_source_new (path, stored_as, self->location));
}

/**
 * kp_erase_spare:
 * @location: of another plan
 * @stored_as: (nullable): as for kp_mirror_add_source()
 *
 * The objects of that plan's source stay.
 */
void
kp_erase_spare (KpErase *self, KpS3Location *location, const char *path, const char *stored_as)
{
  Spared *spared = g_new0 (Spared, 1);

  spared->location = kp_s3_location_ref (location);
  spared->source = kp_source_new (path, stored_as, location);
  g_ptr_array_add (self->spared, spared);
}

/**
 * kp_erase_consent:
 * @max_delete: of how many objects somebody was told
 *
 * If there turn out to be more, nothing is deleted.
 */
void
kp_erase_consent (KpErase *self, guint64 max_delete)
{
  self->has_consent = TRUE;
  self->max_delete = max_delete;
}

static gboolean
run (KpErase *self,
     gboolean (*func) (KpErase *, GError **),
     GCancellable *cancellable,
     GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  self->cancellable = cancellable;
  g_main_context_push_thread_default (context);
  self->client = kp_s3_client_new (self->service);
  gboolean ok = func (self, error);
  g_clear_pointer (&self->client, kp_s3_client_free);
  g_clear_pointer (&self->catalogue, kp_catalogue_free);
  g_main_context_pop_thread_default (context);
  self->cancellable = NULL;
  kp_report_begin_phase (self->report, KP_PHASE_FINISHED);
  return ok;
}

/**
 * kp_erase_count:
 * @error: as of a listing
 *
 * Counts what there is to delete, and deletes nothing.
 */
gboolean
kp_erase_count (KpErase *self, GCancellable *cancellable, GError **error)
{
  return run (self, count, cancellable, error);
}

/**
 * kp_erase_run:
 * @error: %KP_ERROR_BUSY while another job uses the destination; %KP_ERROR_DELETE_GUARD when there
 *   is more than was consented to; what ended it before its time, or %G_IO_ERROR_CANCELLED. Objects
 *   that could not be deleted are in the result and no error.
 *
 * What has been deleted when it ends early is gone; to run it again goes on from there.
 */
gboolean
kp_erase_run (KpErase *self, GCancellable *cancellable, GError **error)
{
  return run (self, erase, cancellable, error);
}

void
kp_erase_get_progress (KpErase *self, KpProgress *progress)
{
  kp_report_get_progress (self->report, progress);
}

/**
 * kp_erase_get_result:
 * @result: (out): what came of it, when the run or the counting has returned
 */
void
kp_erase_get_result (KpErase *self, KpEraseResult *result)
{
  *result = self->result;
  if (self->has_begun)
    result->remaining = self->result.objects - self->result.deleted;
}

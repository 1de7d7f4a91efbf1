/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-s3-service.h"

#include "kp-error.h"
#include "kp-size.h"

#include <libsoup/soup.h>
#include <string.h>

/* Below this, nobody has to be told that the clock is wrong. S3 refuses at 15 minutes. */
#define WORTH_TELLING 60

/* Inactivity of one socket operation, in seconds. A throttle only slows our own reads and writes,
 * so that a limited request does not run into it. */
#define DEFAULT_TIMEOUT 60

struct _KpS3Service
{
  GObject parent_instance;

  KpS3Credentials *credentials;
  GTlsDatabase *tls_database; /* or NULL: the system's */
  KpThrottle *upload;
  KpThrottle *download;
  KpS3NoticeFunc notice_func;
  void *notice_data;
  unsigned timeout; /* seconds */
  KpS3Watchdog *watchdog;

  GMutex lock; /* guards what follows */
  KpS3Location *location;
  gint64 clock_offset; /* seconds to add to our clock */
  gint64 heard_time;   /* the latest Date of a reply, in Unix seconds; 0 for none */
  gint64 heard_at;     /* when that was, monotonic */
  unsigned list_version;
  gboolean no_multi_delete;
  gboolean held; /* no request may begin */
  GCond released;

  gint makes_versions; /* atomic: the bucket keeps versions */
  gint is_unordered;   /* atomic: the server does not list in the order of keys */
  gint needs_md5;      /* atomic: the bucket stores nothing without a Content-MD5 */

  /* Atomic, so that counting costs no lock. */
  guint64 requests[KP_S3_N_OPERATIONS];
  guint64 retries;
  guint64 slow_downs;
  guint64 large_bodies;
};

G_DEFINE_FINAL_TYPE (KpS3Service, kp_s3_service, G_TYPE_OBJECT)

static void
kp_s3_service_finalize (GObject *object)
{
  KpS3Service *self = KP_S3_SERVICE (object);

  kp_s3_watchdog_free (self->watchdog);
  kp_s3_credentials_unref (self->credentials);
  kp_s3_location_unref (self->location);
  g_clear_object (&self->tls_database);
  g_clear_object (&self->upload);
  g_clear_object (&self->download);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->released);
  G_OBJECT_CLASS (kp_s3_service_parent_class)->finalize (object);
}

static void
kp_s3_service_class_init (KpS3ServiceClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_s3_service_finalize;
}

static void
kp_s3_service_init (KpS3Service *self)
{
  self->watchdog = kp_s3_watchdog_new ();
  g_mutex_init (&self->lock);
  g_cond_init (&self->released);
}

/**
 * kp_s3_service_new:
 * @ca_bundle: (nullable): PEM file of certificate authorities to trust instead of the system's
 * @upload: limits what is sent
 * @download: limits what is received
 * @error: %KP_ERROR_USAGE when @ca_bundle cannot be used
 */
KpS3Service *
kp_s3_service_new (KpS3Location *location,
                   KpS3Credentials *credentials,
                   const char *ca_bundle,
                   KpThrottle *upload,
                   KpThrottle *download,
                   GError **error)
{
  g_autoptr (GTlsDatabase) tls_database = NULL;

  if (ca_bundle != NULL)
    {
      g_autoptr (GError) local_error = NULL;
      g_autofree char *path = g_canonicalize_filename (ca_bundle, NULL);

      tls_database = g_tls_file_database_new (path, &local_error);
      if (tls_database == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Cannot use the CA bundle “%s”: %s",
                       ca_bundle, local_error->message);
          return NULL;
        }
    }

  KpS3Service *self = g_object_new (KP_TYPE_S3_SERVICE, NULL);
  self->location = kp_s3_location_ref (location);
  self->credentials = kp_s3_credentials_ref (credentials);
  self->tls_database = g_steal_pointer (&tls_database);
  self->upload = g_object_ref (upload);
  self->download = g_object_ref (download);
  self->timeout = DEFAULT_TIMEOUT;
  self->list_version = kp_s3_location_get_provider (location)->list_version;
  self->is_unordered = !kp_s3_location_get_provider (location)->ordered;
  return self;
}

/**
 * kp_s3_service_set_notice_func:
 * @func: called from any thread; set before the first request
 */
void
kp_s3_service_set_notice_func (KpS3Service *self, KpS3NoticeFunc func, void *user_data)
{
  self->notice_func = func;
  self->notice_data = user_data;
}

/**
 * kp_s3_service_set_timeout:
 * @seconds: a connection on which nothing moves for so long is given up, or next to nothing: see
 *   kp-s3-watchdog.h; set before the first client
 */
void
kp_s3_service_set_timeout (KpS3Service *self, unsigned seconds)
{
  self->timeout = seconds;
}

/**
 * kp_s3_service_get_watchdog:
 *
 * Returns: (transfer none): who watches the requests
 */
KpS3Watchdog *
kp_s3_service_get_watchdog (KpS3Service *self)
{
  return self->watchdog;
}

unsigned
kp_s3_service_get_timeout (KpS3Service *self)
{
  return self->timeout;
}

void
kp_s3_service_notice (KpS3Service *self, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *sentence = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  if (self->notice_func != NULL)
    self->notice_func (sentence, self->notice_data);
}

/**
 * kp_s3_service_set_held:
 * @held: whether requests have to wait before they begin. Those under way go to their end
 */
void
kp_s3_service_set_held (KpS3Service *self, gboolean held)
{
  g_mutex_lock (&self->lock);
  self->held = held;
  g_cond_broadcast (&self->released);
  g_mutex_unlock (&self->lock);
}

gboolean
kp_s3_service_is_held (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  gboolean held = self->held;
  g_mutex_unlock (&self->lock);
  return held;
}

static void
wake_cb (GCancellable *cancellable, KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->released);
  g_mutex_unlock (&self->lock);
}

/**
 * kp_s3_service_wait_while_held:
 * @error: %G_IO_ERROR_CANCELLED
 */
gboolean
kp_s3_service_wait_while_held (KpS3Service *self, GCancellable *cancellable, GError **error)
{
  gulong handler = 0;

  /* Not with the lock held: for a cancellable that is cancelled already it calls us at once. */
  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (wake_cb), self, NULL);
  g_mutex_lock (&self->lock);
  while (self->held && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait (&self->released, &self->lock);
  g_mutex_unlock (&self->lock);
  g_cancellable_disconnect (cancellable, handler);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/**
 * kp_s3_service_ref_location:
 *
 * Returns: (transfer full): the location as it is known now; a region redirect replaces it
 */
KpS3Location *
kp_s3_service_ref_location (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  KpS3Location *location = kp_s3_location_ref (self->location);
  g_mutex_unlock (&self->lock);
  return location;
}

KpS3Credentials *
kp_s3_service_get_credentials (KpS3Service *self)
{
  return self->credentials;
}

/**
 * kp_s3_service_get_tls_database:
 *
 * Returns: (nullable): the authorities to trust; %NULL for the system's
 */
GTlsDatabase *
kp_s3_service_get_tls_database (KpS3Service *self)
{
  return self->tls_database;
}

KpThrottle *
kp_s3_service_get_upload_throttle (KpS3Service *self)
{
  return self->upload;
}

KpThrottle *
kp_s3_service_get_download_throttle (KpS3Service *self)
{
  return self->download;
}

/**
 * kp_s3_service_get_now:
 *
 * Returns: the server's time as far as we know it, in Unix seconds
 */
gint64
kp_s3_service_get_now (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  gint64 offset = self->clock_offset;
  g_mutex_unlock (&self->lock);
  return g_get_real_time () / G_USEC_PER_SEC + offset;
}

/**
 * kp_s3_service_learn_time:
 * @server_time: the Date of a reply, in Unix seconds
 */
void
kp_s3_service_learn_time (KpS3Service *self, gint64 server_time)
{
  gint64 offset = server_time - g_get_real_time () / G_USEC_PER_SEC;

  g_mutex_lock (&self->lock);
  gint64 change = offset - self->clock_offset;
  self->clock_offset = offset;
  g_mutex_unlock (&self->lock);

  /* Threads that were refused at the same time would all say so. */
  if (ABS (change) >= WORTH_TELLING)
    {
      g_autofree char *distance = kp_duration_format ((guint64) ABS (offset));
      kp_s3_service_notice (
          self,
          "This computer's clock is %s %s the server's; going on with the server's "
          "time. Set the clock, or let it be set from the network",
          distance, offset < 0 ? "ahead of" : "behind");
    }
}

/**
 * kp_s3_service_hear_time:
 * @date: (nullable): the Date of a reply
 *
 * Takes down what the server's clock says, whether or not it is ever needed to sign by it.
 */
void
kp_s3_service_hear_time (KpS3Service *self, const char *date)
{
  g_autoptr (GDateTime) time = date != NULL ? soup_date_time_new_from_http_string (date) : NULL;

  if (time == NULL)
    return;
  g_mutex_lock (&self->lock);
  self->heard_time = g_date_time_to_unix (time);
  self->heard_at = g_get_monotonic_time ();
  g_mutex_unlock (&self->lock);
}

/**
 * kp_s3_service_get_server_time:
 *
 * Unlike kp_s3_service_get_now() never a guess by the clock of this computer.
 *
 * Returns: the server's time by the Date of its latest reply, in Unix seconds; 0 where no reply had
 *   one
 */
gint64
kp_s3_service_get_server_time (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  gint64 passed = (g_get_monotonic_time () - self->heard_at) / G_USEC_PER_SEC;
  gint64 time = self->heard_time != 0 ? self->heard_time + passed : 0;
  g_mutex_unlock (&self->lock);
  return time;
}

/**
 * kp_s3_service_learn_versions:
 *
 * The bucket turned out to keep what is deleted and replaced as versions.
 */
void
kp_s3_service_learn_versions (KpS3Service *self)
{
  g_atomic_int_set (&self->makes_versions, 1);
}

/**
 * kp_s3_service_makes_versions:
 *
 * Returns: whether an answer to a copy has shown that the bucket keeps versions
 */
gboolean
kp_s3_service_makes_versions (KpS3Service *self)
{
  return g_atomic_int_get (&self->makes_versions) != 0;
}

/**
 * kp_s3_service_learn_md5:
 *
 * The bucket turned out to store nothing without the MD5 of its bytes, as those do of which the
 * Object Lock has a retention period by default ("PutObject", Amazon S3 API reference).
 */
void
kp_s3_service_learn_md5 (KpS3Service *self)
{
  g_atomic_int_set (&self->needs_md5, 1);
}

/**
 * kp_s3_service_needs_md5:
 *
 * Returns: whether what is to be stored has to be sent with its MD5; %FALSE until the server has
 *   said so, as it costs more than a tenth of the CPU of a run that sends large files
 */
gboolean
kp_s3_service_needs_md5 (KpS3Service *self)
{
  return g_atomic_int_get (&self->needs_md5) != 0;
}

/**
 * kp_s3_service_is_region:
 *
 * Returns: whether @region may be the name of a region that a server has told: it becomes part of a
 *   host name, and is printed
 */
gboolean
kp_s3_service_is_region (const char *region)
{
  gsize length = strlen (region);

  return length > 0 && length <= 40
         && strspn (region, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static gboolean
is_same_place (KpS3Location *location, KpS3Location *other)
{
  return g_str_equal (kp_s3_location_get_region (location), kp_s3_location_get_region (other))
         && kp_s3_location_has_server_of (location, other);
}

/* With what to write, so that the next time begins there. */
static void
tell_region (KpS3Service *self, KpS3Location *used, KpS3Location *moved)
{
  const char *region = kp_s3_location_get_region (moved);
  gboolean is_elsewhere
      = kp_s3_location_was_written (used) && !kp_s3_location_has_server_of (used, moved);

  if (is_elsewhere)
    kp_s3_service_notice (self,
                          "The bucket “%s” is in the region %s, which is not that of %s; going on "
                          "there. Write --endpoint-url %s to save a request",
                          kp_s3_location_get_bucket (used), region,
                          kp_s3_location_get_endpoint (used), kp_s3_location_get_endpoint (moved));
  else
    kp_s3_service_notice (self,
                          "The bucket “%s” is in the region %s, not %s; going on there. Write "
                          "--region %s to save a request",
                          kp_s3_location_get_bucket (used), region,
                          kp_s3_location_get_region (used), region);
}

/**
 * kp_s3_service_learn_region:
 * @used: the location of the request that was refused
 * @region: the region that the server named
 *
 * Returns: whether it makes sense to send the request again: %FALSE when it already went there, or
 *   that is no name of a region
 */
gboolean
kp_s3_service_learn_region (KpS3Service *self, KpS3Location *used, const char *region)
{
  gboolean learnt = FALSE;

  if (!kp_s3_service_is_region (region))
    return FALSE;
  g_autoptr (KpS3Location) moved = kp_s3_location_with_region (used, region);
  if (is_same_place (used, moved))
    return FALSE;

  g_mutex_lock (&self->lock);
  if (!is_same_place (self->location, moved))
    {
      kp_s3_location_unref (self->location);
      self->location = kp_s3_location_ref (moved);
      learnt = TRUE;
    }
  g_mutex_unlock (&self->lock);

  if (learnt)
    tell_region (self, used, moved);
  return TRUE;
}

unsigned
kp_s3_service_get_list_version (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  unsigned version = self->list_version;
  g_mutex_unlock (&self->lock);
  return version;
}

void
kp_s3_service_fall_back_to_list_v1 (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  self->list_version = 1;
  g_mutex_unlock (&self->lock);
}

/**
 * kp_s3_service_lists_in_order:
 *
 * Returns: whether the server lists keys in the order of their bytes, as far as is known: by the
 *   provider's profile, and until a listing has shown the contrary
 */
gboolean
kp_s3_service_lists_in_order (KpS3Service *self)
{
  return g_atomic_int_get (&self->is_unordered) == 0;
}

void
kp_s3_service_learn_unordered (KpS3Service *self)
{
  g_atomic_int_set (&self->is_unordered, 1);
}

/**
 * kp_s3_service_has_multi_delete:
 *
 * Returns: whether the server deletes many objects by one request; %TRUE until it has said no
 */
gboolean
kp_s3_service_has_multi_delete (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  gboolean has = !self->no_multi_delete;
  g_mutex_unlock (&self->lock);
  return has;
}

void
kp_s3_service_give_up_multi_delete (KpS3Service *self)
{
  g_mutex_lock (&self->lock);
  self->no_multi_delete = TRUE;
  g_mutex_unlock (&self->lock);
}

void
kp_s3_service_count (KpS3Service *self, KpS3Operation operation, gboolean is_retry)
{
  __atomic_add_fetch (&self->requests[operation], 1, __ATOMIC_RELAXED);
  if (is_retry)
    __atomic_add_fetch (&self->retries, 1, __ATOMIC_RELAXED);
}

void
kp_s3_service_count_slow_down (KpS3Service *self)
{
  __atomic_add_fetch (&self->slow_downs, 1, __ATOMIC_RELAXED);
}

/**
 * kp_s3_service_count_large_body:
 *
 * Returns: how many came before it: for looking closely at some of many
 */
guint64
kp_s3_service_count_large_body (KpS3Service *self)
{
  return __atomic_fetch_add (&self->large_bodies, 1, __ATOMIC_RELAXED);
}

void
kp_s3_service_get_statistics (KpS3Service *self, KpS3Statistics *statistics)
{
  for (int i = 0; i < KP_S3_N_OPERATIONS; i++)
    statistics->requests[i] = __atomic_load_n (&self->requests[i], __ATOMIC_RELAXED);
  statistics->retries = __atomic_load_n (&self->retries, __ATOMIC_RELAXED);
  statistics->slow_downs = __atomic_load_n (&self->slow_downs, __ATOMIC_RELAXED);
  statistics->bytes_up = kp_throttle_get_total (self->upload);
  statistics->bytes_down = kp_throttle_get_total (self->download);
}

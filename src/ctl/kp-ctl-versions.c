/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-name.h"
#include "kp-past.h"
#include "kp-size.h"

static const char examples[]
    = "Example:\n"
      "    keepsakectl versions s3://my-bucket/laptop/Pictures/cat.jpg\n"
      "\n"
      "Newest first: when each version was stored, until when it was there, and its size. To get\n"
      "one back, give restore the address and a time at which it was there:\n"
      "    keepsakectl restore s3://my-bucket/laptop/Pictures/cat.jpg . --at '2026-11-27 18:00'";

typedef struct
{
  KpCtlOutput *output;
  KpS3Service *service;
} Versions;

/* "2026-11-27 18:00:00" in local time, or @unknown */
static char *
format_time (gint64 time, const char *unknown)
{
  if (time == 0)
    return g_strdup (unknown);
  g_autoptr (GDateTime) moment = g_date_time_new_from_unix_local (time);
  return g_date_time_format (moment, "%Y-%m-%d %H:%M:%S");
}

static char *
format_iso (gint64 time)
{
  if (time == 0)
    return NULL;
  g_autoptr (GDateTime) moment = g_date_time_new_from_unix_utc (time);
  return g_date_time_format_iso8601 (moment);
}

static void
print_version (KpCtlOutput *output, const KpPastVersion *version)
{
  /* What a server says is no more to be trusted than a name. */
  g_autofree char *storage_class
      = version->storage_class != NULL ? kp_name_display (version->storage_class) : NULL;
  g_autofree char *version_id
      = version->version_id != NULL ? kp_name_display (version->version_id) : NULL;

  if (kp_ctl_output_is_json (output))
    {
      g_autofree char *stored = format_iso (version->stored);
      g_autofree char *until = format_iso (version->until);
      kp_ctl_output_json (output, "version", "stored", "s", stored, "until", "s", until, "size",
                          "u", version->size, "is_deletion", "b", version->is_deletion,
                          "version_id", "s", version_id, "kept_as", "s", version->from_key,
                          "storage_class", "s", storage_class, NULL);
      return;
    }
  g_autofree char *stored = format_time (version->stored, "?");
  g_autofree char *until = format_time (version->until, "now");
  g_autofree char *size = kp_size_format (version->size);
  kp_ctl_output_line (output, "%19s … %-19s  %10s%s%s", stored, until,
                      version->is_deletion ? "deleted" : size, storage_class != NULL ? "  " : "",
                      storage_class != NULL ? storage_class : "");
}

static gboolean
run_cb (void *job, GCancellable *cancellable, GError **error)
{
  Versions *self = job;
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (self->service);
  g_autoptr (GPtrArray) versions = kp_past_list_versions (
      self->service, kp_s3_location_get_prefix (location), cancellable, error);

  if (versions == NULL)
    return FALSE;
  for (guint i = 0; i < versions->len; i++)
    print_version (self->output, g_ptr_array_index (versions, i));
  return TRUE;
}

KpExit
kp_ctl_versions (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  g_autoptr (GOptionContext) context
      = kp_ctl_option_context (&options, NULL, NULL, "s3://BUCKET/PREFIX/PATH",
                               "Lists the versions of a file that can be restored.", examples);
  g_autoptr (GError) error = NULL;
  gint64 started = g_get_monotonic_time ();

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("s3://BUCKET/PREFIX/PATH");
  g_autoptr (KpS3Service) service = kp_ctl_connect (&options, arguments[1], &error);
  if (service == NULL)
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, service, FALSE);
  Versions versions = { .output = output, .service = service };
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, run_cb, NULL, &versions, &error))
    return kp_ctl_fail (error);
  kp_ctl_output_statistics (output, started);
  return KP_EXIT_DONE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "config.h"

#include "kp-ctl.h"
#include "kp-error.h"
#include "kp-moment.h"
#include "kp-plan.h"

#include <string.h>

#define MAX_TIMEOUT (24 * 60 * 60) /* seconds */

static const char *
get_environment (const char *name)
{
  const char *value = g_getenv (name);

  return value != NULL && *value != '\0' ? value : NULL;
}

/**
 * kp_ctl_option_context:
 * @entries: (nullable): the command's own options
 * @data: for the callbacks among these
 * @parameters: what follows the command's name, for the usage line
 * @summary: one sentence
 * @description: examples
 */
GOptionContext *
kp_ctl_option_context (KpCtlOptions *options,
                       const GOptionEntry *entries,
                       void *data,
                       const char *parameters,
                       const char *summary,
                       const char *description)
{
  const GOptionEntry common[] = {
    { "endpoint-url", 0, 0, G_OPTION_ARG_STRING, &options->endpoint_url,
      "Address of the server; that of the plan whose keys are taken, or Amazon's, if left out",
      "URL" },
    { "region", 0, 0, G_OPTION_ARG_STRING, &options->region, "Region of the bucket", "REGION" },
    { "provider", 0, 0, G_OPTION_ARG_STRING, &options->provider,
      "Provider profile (aws, b2, r2, minio, ceph, other …); found by the endpoint if left out",
      "NAME" },
    { "profile", 0, 0, G_OPTION_ARG_STRING, &options->profile,
      "Profile in ~/.aws/credentials and ~/.aws/config", "NAME" },
    { "passwd-file", 0, 0, G_OPTION_ARG_FILENAME, &options->passwd_file,
      "File with ACCESS:SECRET, as for s3fs; its mode must be 600", "FILE" },
    { "ca-bundle", 0, 0, G_OPTION_ARG_FILENAME, &options->ca_bundle,
      "Certificate authorities to trust (PEM)", "FILE" },
    { "allow-http", 0, 0, G_OPTION_ARG_NONE, &options->allow_http,
      "Accept an endpoint that is not encrypted", NULL },
    { "upload-limit", 0, 0, G_OPTION_ARG_STRING, &options->upload_limit,
      "256K, 1.5M … bytes per second, or a timetable: \"08:00,512K 19:00,off\"", "RATE" },
    { "download-limit", 0, 0, G_OPTION_ARG_STRING, &options->download_limit,
      "The same for what is received", "RATE" },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &options->timeout,
      "Give a connection up on which nothing moves for so long (60)", "SECONDS" },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose,
      "Name each file, and say at the end what it cost", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options->json, "Print a JSON object a line", NULL },
    { NULL },
  };
  GOptionContext *context = g_option_context_new (parameters);
  /* One group for all of them: --help shows the main one alone. */
  GOptionGroup *group = g_option_group_new (NULL, NULL, NULL, data, NULL);

  g_option_context_set_summary (context, summary);
  g_option_context_set_description (context, description);
  if (entries != NULL)
    g_option_group_add_entries (group, entries);
  g_option_group_add_entries (group, common);
  g_option_context_set_main_group (context, group);
  return context;
}

/**
 * kp_ctl_context_new:
 *
 * As kp_ctl_option_context() for commands that talk to no server: only their own options.
 */
GOptionContext *
kp_ctl_context_new (const GOptionEntry *entries,
                    const char *parameters,
                    const char *summary,
                    const char *description)
{
  GOptionContext *context = g_option_context_new (parameters);

  g_option_context_set_summary (context, summary);
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, entries, NULL);
  return context;
}

/* Whether the option has no value. A context can only be asked for its help: an option stands at
 * the beginning of a line, with a "=" behind it where it has a value. */
static gboolean
is_switch (GOptionContext *context, const char *name)
{
  g_autofree char *help = g_option_context_get_help (context, FALSE, NULL);
  g_autofree char *escaped = g_regex_escape_string (name, -1);
  g_autofree char *pattern = g_strdup_printf ("^  (-., )?--%s(\\s|$)", escaped);

  return g_regex_match_simple (pattern, help, G_REGEX_MULTILINE, 0);
}

/* GOption takes no notice of what stands behind the "=" of a switch: "--delete-objects=no" would
 * delete them. */
static gboolean
check_switch (GOptionContext *context, const char *argument, GError **error)
{
  const char *end = strchr (argument, '=');

  if (!g_str_has_prefix (argument, "--") || end == NULL)
    return TRUE;
  g_autofree char *name = g_strndup (argument + 2, (gsize) (end - argument) - 2);
  if (!is_switch (context, name))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               g_str_equal (name, "delete")
                   ? "“%s” is not known; --%s has no value, and --keep-deleted 30d says for how "
                     "long to keep what is deleted"
                   : "“%s” is not known; --%s has no value: write it alone, or leave it out",
               argument, name);
  return FALSE;
}

/**
 * kp_ctl_parse:
 * @arguments: (inout): the command's name and what follows; options are taken out
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_ctl_parse (GOptionContext *context, char ***arguments, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  for (char **argument = *arguments; *argument != NULL && !g_str_equal (*argument, "--");
       argument++)
    if (!check_switch (context, *argument, error))
      return FALSE;
  if (g_option_context_parse_strv (context, arguments, &local_error))
    {
      /* A variable that is not set, most of the time; as a path it would be the present folder. */
      for (char **argument = *arguments; *argument != NULL; argument++)
        if (**argument == '\0')
          {
            g_set_error_literal (
                error, KP_ERROR, KP_ERROR_USAGE,
                "An argument is empty; write the name, path or address that is meant");
            return FALSE;
          }
      return TRUE;
    }
  if (local_error->domain == KP_ERROR)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "%s; see %s --help", local_error->message,
               g_get_prgname ());
  return FALSE;
}

/**
 * kp_ctl_usage:
 * @parameters: of the command
 *
 * Says what the command expects, and returns its exit code.
 */
KpExit
kp_ctl_usage (const char *parameters)
{
  g_autofree char *message = g_strdup_printf ("Usage: %s %s; see %s --help", g_get_prgname (),
                                              parameters, g_get_prgname ());
  g_autoptr (GError) error = g_error_new_literal (KP_ERROR, KP_ERROR_USAGE, message);

  return kp_ctl_fail (error);
}

/**
 * kp_ctl_parse_share:
 * @text: (nullable): "5%"; %NULL leaves @share alone
 * @share: (out): above 0, up to 1
 */
gboolean
kp_ctl_parse_share (const char *text, double *share, GError **error)
{
  char *end;

  if (text == NULL)
    return TRUE;
  double percent = g_ascii_strtod (text, &end);
  if (end != text && (*end == '\0' || g_str_equal (end, "%")) && percent > 0 && percent <= 100)
    {
      *share = percent / 100;
      return TRUE;
    }
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is no share; write for example 5%%", text);
  return FALSE;
}

/**
 * kp_ctl_parse_objects:
 * @text: how many objects may be deleted
 */
gboolean
kp_ctl_parse_objects (const char *text, guint64 *objects, GError **error)
{
  if (g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT64, objects, NULL))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is not a number of objects", text);
  return FALSE;
}

/**
 * kp_ctl_add_pattern:
 * @option: "--exclude", "--include" or "--exclude-from", in the order in which they were given
 */
gboolean
kp_ctl_add_pattern (KpFilter *filter, const char *option, const char *value, GError **error)
{
  if (g_str_equal (option, "--exclude"))
    return kp_filter_add_exclude (filter, value, error);
  if (g_str_equal (option, "--include"))
    return kp_filter_add_include (filter, value, error);
  return kp_filter_add_file (filter, value, TRUE, error);
}

/**
 * kp_ctl_parse_moment:
 * @text: (nullable): as for kp_moment_parse()
 * @moment: (out): Unix seconds; 0 for none
 */
gboolean
kp_ctl_parse_moment (const char *text, gint64 *moment, GError **error)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();

  *moment = 0;
  return text == NULL || kp_moment_parse (text, now, moment, error);
}

/**
 * kp_ctl_parse_days:
 * @text: (nullable): for how long what is deleted is kept: 30d; %NULL leaves @days as it is
 * @days: (inout): 1 to %KP_PLAN_KEEP_DAYS_MAX
 */
gboolean
kp_ctl_parse_days (const char *text, unsigned *days, GError **error)
{
  if (text == NULL || kp_plan_parse_days (text, days))
    return TRUE;
  g_set_error (
      error, KP_ERROR, KP_ERROR_USAGE,
      "“%s” is no number of days to keep what is deleted; write for example 30d, with 1 to "
      "%d days",
      text, KP_PLAN_KEEP_DAYS_MAX);
  return FALSE;
}

void
kp_ctl_options_clear (KpCtlOptions *options)
{
  g_free (options->endpoint_url);
  g_free (options->region);
  g_free (options->provider);
  g_free (options->profile);
  g_free (options->passwd_file);
  g_free (options->ca_bundle);
  g_free (options->upload_limit);
  g_free (options->download_limit);
}

static char *
aws_file (const char *variable, const char *name)
{
  const char *path = get_environment (variable);

  return path != NULL ? g_strdup (path) : g_build_filename (g_get_home_dir (), ".aws", name, NULL);
}

static const char *
first_of (const char *a, const char *b, const char *c)
{
  return a != NULL ? a : b != NULL ? b : c;
}

static char *
bucket_of (const char *address)
{
  const char *start = g_str_has_prefix (address, "s3://") ? address + 5 : address;

  return g_strndup (start, strcspn (start, "/"));
}

/**
 * kp_ctl_find_credentials:
 * @profile: (nullable): that was asked for
 * @passwd_file: (nullable): that was asked for
 * @bucket: for which a passwd file may have a line of its own
 * @error: %KP_ERROR_NOT_FOUND when there are none anywhere; %KP_ERROR_BAD_CREDENTIALS
 *
 * The order of the AWS command line, and of s3fs behind it: what was asked for; the environment;
 * the default profile; ~/.passwd-s3fs.
 */
KpS3Credentials *
kp_ctl_find_credentials (const char *profile,
                         const char *passwd_file,
                         const char *bucket,
                         GError **error)
{
  g_autofree char *credentials_file = aws_file ("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  g_autofree char *config_file = aws_file ("AWS_CONFIG_FILE", "config");
  const char *usual_profile = first_of (get_environment ("AWS_PROFILE"), "default", NULL);
  g_autoptr (GError) local_error = NULL;

  if (passwd_file != NULL)
    return kp_s3_credentials_from_passwd_file (passwd_file, bucket, error);
  if (profile != NULL)
    return kp_s3_credentials_from_profile (credentials_file, config_file, profile, error);

  KpS3Credentials *credentials = kp_s3_credentials_from_environment ();
  if (credentials == NULL)
    credentials = kp_s3_credentials_from_profile (credentials_file, config_file, usual_profile,
                                                  &local_error);
  if (credentials == NULL && kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    {
      g_autofree char *usual_file = g_build_filename (g_get_home_dir (), ".passwd-s3fs", NULL);

      g_clear_error (&local_error);
      credentials = kp_s3_credentials_from_passwd_file (usual_file, bucket, &local_error);
    }
  if (credentials == NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return credentials;
}

/* A file that was named and is not there is a question of keys all the same. Where nothing was
 * named and nothing found, there may be a plan, whose server then takes the place of @location. */
static KpS3Credentials *
require_credentials (const KpCtlOptions *options,
                     const char *address,
                     gboolean has_endpoint,
                     KpS3Location **location,
                     GError **error)
{
  g_autofree char *bucket = bucket_of (address);
  g_autoptr (GError) local_error = NULL;
  KpS3Credentials *credentials
      = kp_ctl_find_credentials (options->profile, options->passwd_file, bucket, &local_error);

  if (credentials != NULL)
    return credentials;
  if (kp_error_is (local_error, KP_ERROR_NOT_FOUND) && options->profile == NULL
      && options->passwd_file == NULL)
    return kp_ctl_find_keys_of_address (options, address, has_endpoint, location, error);
  g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS, local_error->message);
  return NULL;
}

static KpThrottle *
make_throttle (const char *text, KpDirection direction, GError **error)
{
  g_autoptr (KpTimetable) timetable = NULL;
  g_autoptr (KpThrottle) throttle = kp_throttle_new (0);

  if (text == NULL)
    return g_steal_pointer (&throttle);
  timetable = kp_timetable_parse (text, error);
  if (timetable == NULL)
    return NULL;
  kp_throttle_set_timetable (throttle, timetable, direction);
  return g_steal_pointer (&throttle);
}

static gboolean
load_settings (const KpCtlOptions *options, KpS3ProfileSettings *settings, GError **error)
{
  g_autofree char *config_file = aws_file ("AWS_CONFIG_FILE", "config");

  return kp_s3_profile_settings_load (
      settings, config_file,
      first_of (options->profile, get_environment ("AWS_PROFILE"), "default"), error);
}

/* NULL where nobody has said which server. */
static const char *
find_endpoint (const KpCtlOptions *options, const KpS3ProfileSettings *settings)
{
  return first_of (options->endpoint_url,
                   first_of (get_environment ("AWS_ENDPOINT_URL_S3"),
                             get_environment ("AWS_ENDPOINT_URL"), NULL),
                   settings->endpoint);
}

static KpS3Location *
make_location (const KpCtlOptions *options,
               const char *address,
               const KpS3ProfileSettings *settings,
               GError **error)
{
  const char *endpoint = find_endpoint (options, settings);
  const char *region = first_of (
      options->region,
      first_of (get_environment ("AWS_REGION"), get_environment ("AWS_DEFAULT_REGION"), NULL),
      settings->region);

  return kp_s3_location_new (address, endpoint, region, options->provider, options->allow_http,
                             error);
}

/**
 * kp_ctl_find_location:
 * @address: "s3://BUCKET/PREFIX"
 * @error: %KP_ERROR_USAGE, %KP_ERROR_NOT_FOUND
 *
 * What options, environment and configuration files say of an address; without any key.
 */
KpS3Location *
kp_ctl_find_location (const KpCtlOptions *options, const char *address, GError **error)
{
  g_auto (KpS3ProfileSettings) settings = { NULL };

  return load_settings (options, &settings, error)
             ? make_location (options, address, &settings, error)
             : NULL;
}

static gboolean
check_timeout (const KpCtlOptions *options, GError **error)
{
  if (options->timeout >= 0 && options->timeout <= MAX_TIMEOUT)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "A timeout is a number of seconds up to %d, which is a day, not %d", MAX_TIMEOUT,
               options->timeout);
  return FALSE;
}

/**
 * kp_ctl_connect:
 * @address: "s3://BUCKET/PREFIX"
 * @error: %KP_ERROR_USAGE, %KP_ERROR_BAD_CREDENTIALS, %KP_ERROR_NOT_FOUND, %KP_ERROR_TLS
 *
 * Puts together what options, environment and configuration files say, and where these have no
 * keys, a plan. Sends nothing yet.
 */
KpS3Service *
kp_ctl_connect (const KpCtlOptions *options, const char *address, GError **error)
{
  g_auto (KpS3ProfileSettings) settings = { NULL };

  if (!check_timeout (options, error) || !load_settings (options, &settings, error))
    return NULL;
  g_autoptr (KpS3Location) location = make_location (options, address, &settings, error);
  if (location == NULL)
    return NULL;
  const char *ca_bundle
      = first_of (options->ca_bundle, get_environment ("AWS_CA_BUNDLE"), settings.ca_bundle);
  gboolean has_endpoint = find_endpoint (options, &settings) != NULL;
  g_autoptr (KpS3Credentials) credentials
      = require_credentials (options, address, has_endpoint, &location, error);
  if (credentials == NULL)
    return NULL;
  g_autoptr (KpThrottle) upload = make_throttle (options->upload_limit, KP_DIRECTION_UP, error);
  if (upload == NULL)
    return NULL;
  g_autoptr (KpThrottle) download
      = make_throttle (options->download_limit, KP_DIRECTION_DOWN, error);
  if (download == NULL)
    return NULL;
  KpS3Service *service
      = kp_s3_service_new (location, credentials, ca_bundle, upload, download, error);
  if (service != NULL && options->timeout > 0)
    kp_s3_service_set_timeout (service, (unsigned) options->timeout);
  return service;
}

/**
 * kp_ctl_state_dir:
 *
 * Returns: (transfer full): where catalogues are kept
 */
char *
kp_ctl_state_dir (void)
{
  return g_build_filename (g_get_user_state_dir (), "keepsake", NULL);
}

/**
 * kp_ctl_exit_code:
 * @error: what ended a command
 */
KpExit
kp_ctl_exit_code (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return KP_EXIT_CANCELLED;
  if (error->domain != KP_ERROR)
    return KP_EXIT_USAGE;

  switch (error->code)
    {
    case KP_ERROR_BAD_CREDENTIALS:
    case KP_ERROR_ACCESS_DENIED:
    case KP_ERROR_CLOCK_SKEW:
    case KP_ERROR_KEYRING_LOCKED:
      return KP_EXIT_PERMISSION;
    case KP_ERROR_DELETE_GUARD:
      return KP_EXIT_GUARD;
    case KP_ERROR_FAILED:
    case KP_ERROR_USAGE:
    case KP_ERROR_SOURCE_MISSING:
    case KP_ERROR_SOURCE_UNREADABLE:
    case KP_ERROR_LOCAL_STORAGE:
    case KP_ERROR_BUSY:
      return KP_EXIT_USAGE;
    default:
      return KP_EXIT_SERVER;
    }
}

/**
 * kp_ctl_fail:
 *
 * Says why a command ends, and returns its exit code.
 */
KpExit
kp_ctl_fail (const GError *error)
{
  KpExit code = kp_ctl_exit_code (error);
  gboolean is_cancelled = code == KP_EXIT_CANCELLED;
  const char *message = is_cancelled
                            ? "Stopped. What was finished is safe; the same command goes on from "
                              "there."
                            : error->message;

  g_printerr ("keepsakectl: %s\n", message);
  kp_ctl_output_error (is_cancelled                ? "cancelled"
                       : error->domain == KP_ERROR ? kp_error_name (error->code)
                                                   : "failed",
                       message, code);
  return code;
}

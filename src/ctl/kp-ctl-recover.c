/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-recovery.h"

#include <stdio.h>

static const char examples[]
    = "Examples:\n"
      "    keepsakectl recover Photos\n"
      "    keepsakectl recover Photos --html -o recovery.html\n"
      "    keepsakectl recover s3://my-bucket/laptop --endpoint-url https://s3.example.org\n"
      "\n"
      "The page has no keys on it. Print it, and keep it where it is safe when the computer is "
      "not.";

static gboolean
write_page (const char *path, const char *page, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (g_file_set_contents_full (path, page, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local_error))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot write the page to “%s”: %s", path,
               local_error->message);
  return FALSE;
}

KpExit
kp_ctl_recover (char **arguments)
{
  g_auto (KpCtlOptions) options = { NULL };
  gboolean html = FALSE;
  g_autofree char *path = NULL;
  const GOptionEntry entries[] = {
    { "html", 0, 0, G_OPTION_ARG_NONE, &html, "A page to print from a browser", NULL },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &path, "Write it there, for you alone to read",
      "FILE" },
    { "endpoint-url", 0, 0, G_OPTION_ARG_STRING, &options.endpoint_url,
      "Of an address: address of the server", "URL" },
    { "region", 0, 0, G_OPTION_ARG_STRING, &options.region, "Of an address: its region", "NAME" },
    { "provider", 0, 0, G_OPTION_ARG_STRING, &options.provider,
      "Of an address: its provider, as in the documentation", "NAME" },
    { "allow-http", 0, 0, G_OPTION_ARG_NONE, &options.allow_http,
      "Of an address: it is one without encryption", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "PLAN | s3://BUCKET/PREFIX",
      "Says how to get your files back without Keepsake, with any program that speaks S3.",
      examples);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpPlan) plan = NULL;
  g_autoptr (KpS3Location) location = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("PLAN | s3://BUCKET/PREFIX");
  if (g_str_has_prefix (arguments[1], "s3://"))
    location = kp_ctl_find_location (&options, arguments[1], &error);
  else
    {
      plan = kp_ctl_load_plan (arguments[1], &error);
      location = plan != NULL ? kp_plan_dup_location (plan, &error) : NULL;
    }
  if (location == NULL)
    return kp_ctl_fail (error);

  g_autofree char *page = kp_recovery_compose (location, plan, g_get_real_time () / G_USEC_PER_SEC,
                                               NULL, html ? KP_RECOVERY_HTML : KP_RECOVERY_TEXT);
  if (path != NULL)
    return write_page (path, page, &error) ? KP_EXIT_DONE : kp_ctl_fail (error);
  fputs (page, stdout);
  return KP_EXIT_DONE;
}

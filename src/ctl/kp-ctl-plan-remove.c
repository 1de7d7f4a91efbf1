/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "plan remove": the end of a plan, with or without its objects. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-keyring.h"
#include "kp-s3-service.h"
#include "kp-size.h"
#include "kp-stored.h"

#include <stdio.h>
#include <unistd.h>

static const char examples[]
    = "Examples:\n"
      "    keepsakectl plan remove Photos\n"
      "  And what the bucket holds of it; asks for the plan's name:\n"
      "    keepsakectl plan remove Photos --delete-objects\n"
      "\n"
      "With --delete-objects the objects of the plan's folders are counted and then deleted, and "
      "what\n"
      "was kept of them. What another plan covers stays, and so do old versions, where the bucket "
      "keeps\n"
      "such. Keys are found as by keepsakectl run --foreground. When it is stopped or fails the "
      "plan "
      "stays,\n"
      "and the same command goes on.";

static gboolean
check_not_running (KpHistory *history, KpPlan *plan, GError **error)
{
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (history, kp_plan_get_id (plan), 1, error);

  if (jobs == NULL)
    return FALSE;
  if (jobs->len == 0 || ((KpHistoryJob *) g_ptr_array_index (jobs, 0))->state != KP_HISTORY_RUNNING)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_BUSY,
               "A job of “%s” runs; wait for its end, or cancel it first", kp_plan_get_name (plan));
  return FALSE;
}

static gboolean
check_consent (KpPlan *plan, gboolean yes, GError **error)
{
  g_autofree char *address = kp_ctl_plan_address (plan);
  g_autofree char *question
      = g_strdup_printf ("Forget “%s”, its keys and its history? Its objects in %s stay.",
                         kp_plan_get_name (plan), address);

  if (yes)
    return TRUE;
  if (!isatty (STDIN_FILENO))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "This would forget “%s”, its keys and its history; if that is meant, add --yes",
                   kp_plan_get_name (plan));
      return FALSE;
    }
  if (kp_ctl_ask (question))
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "Nothing was removed");
  return FALSE;
}

/* Without a keyring there is nothing in it. */
static gboolean
clear_keys (KpCtlOutput *output, KpPlan *plan, gboolean objects_are_gone, GError **error)
{
  g_autoptr (KpS3Credentials) credentials = NULL;
  g_autoptr (GError) reason = NULL;
  const char *id = kp_plan_get_id (plan);

  switch (kp_keyring_lookup (id, FALSE, &credentials, NULL, &reason))
    {
    case KP_KEYRING_UNAVAILABLE:
      kp_ctl_output_event_cb (
          &(KpEvent){ .type = KP_EVENT_NOTICE,
                      .text = "There is no keyring in this session, so none was cleared of keys" },
          output);
      return TRUE;
    case KP_KEYRING_FOUND:
    case KP_KEYRING_MISSING:
    case KP_KEYRING_LOCKED:
    case KP_KEYRING_DISMISSED:
    case KP_KEYRING_FAILED:
    default:
      if (kp_keyring_clear (id, NULL, error))
        return TRUE;
      if (objects_are_gone)
        g_prefix_error (error,
                        "The objects are deleted, but the plan stays, as its keys could not be "
                        "removed; the same command goes on when the keyring can be used: ");
      else
        g_prefix_error (error, "Nothing was removed, as the keys of the plan would stay: ");
      return FALSE;
    }
}

/* The keys go first: once the plan is gone nobody knows whose they are. */
static gboolean
forget (KpCtlOutput *output,
        KpPlanStore *store,
        KpHistory *history,
        KpPlan *plan,
        gboolean objects_are_gone,
        GError **error)
{
  g_autofree char *id = g_strdup (kp_plan_get_id (plan));

  return clear_keys (output, plan, objects_are_gone, error)
         && kp_plan_store_remove (store, id, error) && kp_history_forget_plan (history, id, error);
}

/* --- its objects ---------------------------------------------------------------------------- */

/* A plan that cannot be read may cover the same objects. */
static gboolean
check_readable (KpPlanStore *store, GError **error)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (store);

  if (problems->len == 0)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_DELETE_GUARD,
               "Nothing is deleted while there is a plan that cannot be read, as it may cover the "
               "same objects: %s",
               ((KpPlanProblem *) g_ptr_array_index (problems, 0))->error->message);
  return FALSE;
}

static gboolean
count_cb (void *erase, GCancellable *cancellable, GError **error)
{
  return kp_erase_count (erase, cancellable, error);
}

/* What the storage holds of the plan, before anybody is asked. */
static gboolean
count_stored (KpCtlOutput *output,
              KpPlan *plan,
              const KpCtlRunOptions *options,
              KpEraseResult *stored,
              GError **error)
{
  g_autoptr (KpS3Credentials) credentials = kp_ctl_find_plan_keys (plan, options, error);
  g_autoptr (KpS3Location) location
      = credentials != NULL ? kp_plan_dup_location (plan, error) : NULL;
  g_autoptr (KpThrottle) upload = kp_throttle_new (0);
  g_autoptr (KpThrottle) download = kp_throttle_new (0);

  if (location == NULL)
    return FALSE;
  g_autoptr (KpS3Service) service
      = kp_s3_service_new (location, credentials, options->ca_bundle, upload, download, error);
  if (service == NULL)
    return FALSE;
  g_autoptr (GPtrArray) others = kp_stored_copy_others (plan, options->erase);
  g_autoptr (KpErase) erase = kp_stored_new_erase (plan, others, service, NULL, NULL, NULL);
  if (!kp_ctl_run_job (output, service, KP_DIRECTION_DOWN, count_cb, NULL, erase, error))
    return FALSE;
  kp_erase_get_result (erase, stored);
  return TRUE;
}

static void
explain_deletion (KpPlan *plan, const KpEraseResult *stored)
{
  g_autofree char *address = kp_ctl_plan_address (plan);
  g_autofree char *bytes = kp_size_format (stored->bytes);

  fprintf (stderr,
           "This deletes %" G_GUINT64_FORMAT " objects (%s) from %s%s, and forgets “%s”, its keys "
           "and its history.\n",
           stored->objects, bytes, address,
           stored->tells_versions && !stored->keeps_versions ? " for good" : "",
           kp_plan_get_name (plan));
  if (stored->spared > 0)
    fprintf (stderr, "%" G_GUINT64_FORMAT " objects stay, as another plan covers them.\n",
             stored->spared);
  if (stored->keeps_versions)
    fputs ("The bucket keeps old versions: they stay, and what is deleted becomes one.\n", stderr);
}

/* Somebody who types the name has read which plan it is. */
static gboolean
check_erase_consent (KpPlan *plan, const KpEraseResult *stored, gboolean yes, GError **error)
{
  char answer[1024] = "";

  if (yes)
    return TRUE;
  if (!isatty (STDIN_FILENO))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "This would delete %" G_GUINT64_FORMAT
                   " objects and forget “%s”; if that is meant, add --yes",
                   stored->objects, kp_plan_get_name (plan));
      return FALSE;
    }
  explain_deletion (plan, stored);
  fputs ("Type the plan's name to delete it: ", stderr);
  fflush (stderr);
  if (fgets (answer, sizeof answer, stdin) == NULL)
    fputc ('\n', stderr);
  if (g_str_equal (g_strchomp (answer), kp_plan_get_name (plan)))
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "Nothing was deleted");
  return FALSE;
}

/* Somebody may have thought about it for hours: what other plans cover is looked at once more, and
 * the plan has to be the one that was asked about. */
static gboolean
look_again (KpPlanStore **store, KpHistory *history, KpPlan *plan, GError **error)
{
  g_autoptr (KpPlanStore) again = kp_ctl_open_plans (error);
  KpPlan *found;

  if (again == NULL || !check_readable (again, error) || !check_not_running (history, plan, error))
    return FALSE;
  found = kp_plan_store_get (again, kp_plan_get_id (plan));
  g_autofree char *before = kp_plan_to_json (plan);
  g_autofree char *now = found != NULL ? kp_plan_to_json (found) : NULL;
  if (g_strcmp0 (before, now) != 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_DELETE_GUARD,
                   "Nothing was deleted: “%s” was changed or removed meanwhile",
                   kp_plan_get_name (plan));
      return FALSE;
    }
  g_set_object (store, again);
  return TRUE;
}

/* @store: (inout): as it is after the question
 *
 * Returns: %KP_EXIT_DONE when nothing is left of them but what is to stay */
static KpExit
delete_objects (KpCtlOutput *output,
                KpPlanStore **store,
                KpHistory *history,
                KpPlan *plan,
                KpCtlRunOptions *options,
                gboolean yes)
{
  KpEraseResult stored;
  g_autoptr (GError) error = NULL;

  options->erase = G_LIST_MODEL (*store);
  if (!check_readable (*store, &error) || !count_stored (output, plan, options, &stored, &error)
      || !check_erase_consent (plan, &stored, yes, &error)
      || !look_again (store, history, plan, &error))
    return kp_ctl_fail (error);
  options->erase = G_LIST_MODEL (*store);
  options->max_delete = stored.objects;
  return kp_ctl_run_here (output, plan, options);
}

/* --- the command ---------------------------------------------------------------------------- */

static void
report_removed (KpCtlOutput *output, KpPlan *plan, gboolean with_objects)
{
  g_autofree char *address = kp_ctl_plan_address (plan);

  if (kp_ctl_output_is_json (output))
    kp_ctl_output_json (output, "removed", "id", "s", kp_plan_get_id (plan), "name", "s",
                        kp_plan_get_name (plan), NULL);
  else if (with_objects)
    kp_ctl_output_line (output, "“%s” is forgotten.", kp_plan_get_name (plan));
  else
    kp_ctl_output_line (output, "“%s” is forgotten. Its objects stay in %s.",
                        kp_plan_get_name (plan), address);
}

static gboolean
check_options (gboolean objects, const KpCtlRunOptions *options, GError **error)
{
  if (objects
      || (options->profile == NULL && options->passwd_file == NULL && options->ca_bundle == NULL))
    return TRUE;
  g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                       "--profile, --passwd-file and --ca-bundle are for --delete-objects");
  return FALSE;
}

KpExit
kp_ctl_plan_remove (char **arguments)
{
  KpCtlOptions common = { .json = FALSE };
  g_autofree char *profile = NULL;
  g_autofree char *passwd_file = NULL;
  g_autofree char *ca_bundle = NULL;
  gboolean yes = FALSE;
  gboolean objects = FALSE;
  const GOptionEntry entries[] = {
    { "delete-objects", 0, 0, G_OPTION_ARG_NONE, &objects,
      "Delete what the bucket holds of it, too", NULL },
    { "yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask", NULL },
    { "profile", 0, 0, G_OPTION_ARG_STRING, &profile, "Profile in ~/.aws/credentials", "NAME" },
    { "passwd-file", 0, 0, G_OPTION_ARG_FILENAME, &passwd_file,
      "File with ACCESS:SECRET, as for s3fs; its mode must be 600", "FILE" },
    { "ca-bundle", 0, 0, G_OPTION_ARG_FILENAME, &ca_bundle,
      "Certificate authorities to trust (PEM)", "FILE" },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &common.verbose, "Name each object", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &common.json, "Print a JSON object a line", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "PLAN",
      "Forgets a plan, its keys and its history. Its objects in the bucket stay, unless asked\n"
      "otherwise.",
      examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("PLAN");
  KpCtlRunOptions options
      = { .profile = profile, .passwd_file = passwd_file, .ca_bundle = ca_bundle };
  if (!check_options (objects, &options, &error))
    return kp_ctl_fail (error);
  if (options.ca_bundle == NULL)
    options.ca_bundle = (char *) g_getenv ("AWS_CA_BUNDLE");
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (&error);
  KpPlan *found = store != NULL ? kp_ctl_find_plan (store, arguments[1], &error) : NULL;
  g_autoptr (KpHistory) history = found != NULL ? kp_ctl_open_history (&error) : NULL;
  if (history == NULL)
    return kp_ctl_fail (error);

  g_autoptr (KpPlan) plan = kp_plan_copy (found);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&common, NULL, FALSE);
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (NULL);
  if (!check_not_running (history, plan, &error)
      || (!objects && !check_consent (plan, yes, &error)))
    return kp_ctl_fail (error);
  KpExit code
      = objects ? delete_objects (output, &store, history, plan, &options, yes) : KP_EXIT_DONE;
  if (code != KP_EXIT_DONE)
    return code;
  if (!forget (output, store, history, plan, objects, &error))
    return kp_ctl_fail (error);
  report_removed (output, plan, objects);
  return KP_EXIT_DONE;
}

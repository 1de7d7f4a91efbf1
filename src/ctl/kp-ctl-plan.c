/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "plan", and its subcommands that change nothing: list, show. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-size.h"

static const char help[]
    = "Usage: keepsakectl plan COMMAND [OPTION…]\n"
      "\n"
      "Sets up what is to be kept safe: folders, a bucket, a schedule, limits.\n"
      "\n"
      "Commands:\n"
      "  add NAME SOURCE… s3://BUCKET/PREFIX   set up a new plan; prints its id\n"
      "  list                                  all plans\n"
      "  show PLAN                             what a plan says\n"
      "  edit PLAN                             change it\n"
      "  remove PLAN                           forget it; its objects stay, unless asked\n"
      "  export PLAN [FILE]                    write it down, without keys\n"
      "  import FILE                           set it up from there\n"
      "\n"
      "keepsakectl plan COMMAND --help explains each of them. PLAN is a name, the beginning of "
      "one,\n"
      "or an id. Plans are files in ~/.config/keepsake/plans; no agent is needed to change them.\n";

/* --- list ----------------------------------------------------------------------------------- */

static glong
find_name_width (GListModel *plans)
{
  glong width = 0;

  for (guint i = 0; i < g_list_model_get_n_items (plans); i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (plans, i);
      width = MAX (width, g_utf8_strlen (kp_plan_get_name (plan), -1));
    }
  return width;
}

static void
print_row (KpCtlOutput *output, KpPlan *plan, glong width)
{
  const char *name = kp_plan_get_name (plan);
  g_autofree char *address = kp_ctl_plan_address (plan);
  int padding = (int) (width - g_utf8_strlen (name, -1));

  if (kp_ctl_output_is_json (output))
    kp_ctl_print_plan_json (output, plan);
  else
    kp_ctl_output_line (output, "%s%*s  %-14s  %s%s", name, padding, "",
                        kp_schedule_to_string (kp_plan_get_schedule (plan)), address,
                        kp_plan_get_enabled (plan) ? "" : "  (switched off)");
}

static KpExit
list (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a JSON object a line", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "", "Shows all plans.", "Example:\n    keepsakectl plan list");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (arguments[1] != NULL)
    return kp_ctl_usage ("");
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (&error);
  if (store == NULL)
    return kp_ctl_fail (error);

  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  GListModel *plans = G_LIST_MODEL (store);
  glong width = find_name_width (plans);
  for (guint i = 0; i < g_list_model_get_n_items (plans); i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (plans, i);
      print_row (output, plan, width);
    }
  if (kp_ctl_print_problems (output, store))
    return KP_EXIT_INCOMPLETE;
  if (g_list_model_get_n_items (plans) == 0 && !options.json)
    kp_ctl_output_error_line (output, "There are no plans; keepsakectl plan add sets one up.");
  return KP_EXIT_DONE;
}

/* --- show ----------------------------------------------------------------------------------- */

static void
print_member (KpCtlOutput *output, const char *member, const char *value)
{
  kp_ctl_output_line (output, "  %-14s %s", member, value);
}

static void
print_sources (KpCtlOutput *output, KpPlan *plan)
{
  GPtrArray *sources = kp_plan_get_sources (plan);
  const char *const *exclude = kp_plan_get_exclude (plan);

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      g_autofree char *path = kp_name_display (source->path);
      g_autofree char *as = kp_name_display (source->as);
      g_autofree char *text
          = *as != '\0' ? g_strdup_printf ("%s, as %s", path, as)
                        : g_strdup_printf ("%s, its contents right below the prefix", path);
      print_member (output, i == 0 ? "folders" : "", text);
    }
  for (guint i = 0; exclude[i] != NULL; i++)
    {
      g_autofree char *pattern = kp_name_display (exclude[i]);
      print_member (output, i == 0 ? "without" : "", pattern);
    }
}

static void
print_destination (KpCtlOutput *output, KpPlan *plan)
{
  g_autofree char *address = kp_ctl_plan_address (plan);
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, NULL);

  print_member (output, "destination", address);
  if (location != NULL)
    {
      print_member (output, "endpoint", kp_s3_location_get_endpoint (location));
      print_member (output, "region", kp_s3_location_get_region (location));
      print_member (output, "provider", kp_s3_location_get_provider (location)->name);
    }
  if (*kp_plan_get_storage_class (plan) != '\0')
    print_member (output, "storage class", kp_plan_get_storage_class (plan));
}

static const char *
describe_conditions (KpPlan *plan)
{
  gboolean metered = kp_plan_get_metered (plan) == KP_PLAN_CONDITION_WAIT;
  gboolean battery = kp_plan_get_battery (plan) == KP_PLAN_CONDITION_WAIT;

  if (metered && battery)
    return "on metered lines, and on battery";
  if (metered)
    return "on metered lines";
  return battery ? "on battery" : "for neither metered lines nor battery";
}

static char *
describe_delete (KpPlan *plan)
{
  static const char what[] = "what is gone here, as far as the delete guard lets";
  unsigned days = kp_plan_get_keep_days (plan);

  switch (kp_plan_get_delete (plan))
    {
    case KP_PLAN_DELETE_MIRROR:
      return g_strdup (what);
    case KP_PLAN_DELETE_KEEP:
      return g_strdup_printf ("%s; keeps it, and what is replaced, for %u day%s", what, days,
                              days == 1 ? "" : "s");
    case KP_PLAN_DELETE_NEVER:
    default:
      return g_strdup ("never");
    }
}

static void
print_habits (KpCtlOutput *output, KpPlan *plan)
{
  static const char *const verify[] = { "never", "weekly", "monthly" };
  const char *limit = kp_plan_get_upload_limit (plan);
  guint64 rate = 0;
  g_autoptr (GError) error = NULL;

  if (*limit != '\0' && !kp_rate_parse (limit, &rate, &error))
    g_debug ("%s", error->message);
  g_autofree char *rate_text = kp_rate_format (rate);
  print_member (output, "schedule", kp_schedule_to_string (kp_plan_get_schedule (plan)));
  if (*kp_plan_get_timetable (plan) != '\0')
    print_member (output, "timetable", kp_plan_get_timetable (plan));
  else
    print_member (output, "upload limit", rate_text);
  print_member (output, "waits", describe_conditions (plan));
  g_autofree char *deletes = describe_delete (plan);
  print_member (output, "deletes", deletes);
  print_member (output, "verifies", verify[kp_plan_get_verify (plan)]);
  print_member (output, "switched", kp_plan_get_enabled (plan) ? "on" : "off");
}

static KpExit
show (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print it as its file has it", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "PLAN", "Shows what a plan says.", "Example:\n    keepsakectl plan show Photos");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("PLAN");
  g_autoptr (KpPlan) plan = kp_ctl_load_plan (arguments[1], &error);
  if (plan == NULL)
    return kp_ctl_fail (error);

  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  if (options.json)
    {
      kp_ctl_print_plan_json (output, plan);
      return KP_EXIT_DONE;
    }
  kp_ctl_output_line (output, "%s", kp_plan_get_name (plan));
  print_member (output, "id", kp_plan_get_id (plan));
  print_sources (output, plan);
  print_destination (output, plan);
  print_habits (output, plan);
  return KP_EXIT_DONE;
}

KpExit
kp_ctl_plan (char **arguments)
{
  static const char *const names[]
      = { "add", "list", "show", "edit", "remove", "export", "import", NULL };
  static KpExit (*const functions[]) (char **arguments)
      = { kp_ctl_plan_add,   list, show, kp_ctl_plan_edit, kp_ctl_plan_remove, kp_ctl_plan_export,
          kp_ctl_plan_import };

  return kp_ctl_dispatch (arguments, "plan", help, names, functions);
}

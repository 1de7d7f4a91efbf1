/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-size.h"
#include "kp-name.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_PER_DAY 86400

/**
 * kp_ctl_open_plans:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full): the plans of this user; broken files among them are problems of the
 *   store
 */
KpPlanStore *
kp_ctl_open_plans (GError **error)
{
  g_autofree char *directory
      = g_build_filename (g_get_user_config_dir (), "keepsake", "plans", NULL);
  g_autoptr (KpPlanStore) store = kp_plan_store_new (directory);

  return kp_plan_store_load (store, error) ? g_steal_pointer (&store) : NULL;
}

/**
 * kp_ctl_find_plan:
 * @text: an id, a name or the beginning of one
 * @error: %KP_ERROR_USAGE
 *
 * Returns: (transfer none): the store's plan
 */
KpPlan *
kp_ctl_find_plan (KpPlanStore *store, const char *text, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  KpPlan *plan = kp_plan_store_find (store, text, &local_error);

  if (plan != NULL)
    return plan;
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (store);
  if (!kp_error_is (local_error, KP_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (problems->len > 0)
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "%s among those that can be read; %s",
                 local_error->message,
                 ((KpPlanProblem *) g_ptr_array_index (problems, 0))->error->message);
  else
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "%s; keepsakectl plan list shows all",
                 local_error->message);
  return NULL;
}

/**
 * kp_ctl_load_plan:
 * @text: as for kp_ctl_find_plan()
 *
 * Returns: (transfer full): a copy, for commands that need no store
 */
KpPlan *
kp_ctl_load_plan (const char *text, GError **error)
{
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (error);
  KpPlan *plan = store != NULL ? kp_ctl_find_plan (store, text, error) : NULL;

  return plan != NULL ? kp_plan_copy (plan) : NULL;
}

/**
 * kp_ctl_check_name:
 * @id: (nullable): of the plan that is to have the name
 * @error: %KP_ERROR_USAGE
 *
 * A name has to tell one plan from the others, and must not be a folder that was meant as one.
 */
gboolean
kp_ctl_check_name (KpPlanStore *store, const char *name, const char *id, GError **error)
{
  g_autofree char *wanted = g_utf8_validate (name, -1, NULL) ? g_utf8_casefold (name, -1) : NULL;

  if (*name == '/' || *name == '.' || *name == '~' || g_str_has_prefix (name, "s3://"))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” looks like a folder or an address; the name of the plan comes first",
                   name);
      return FALSE;
    }
  if (wanted == NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "The name is not valid UTF-8");
      return FALSE;
    }
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (store)); i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (G_LIST_MODEL (store), i);
      g_autofree char *taken = g_utf8_casefold (kp_plan_get_name (plan), -1);

      if (!g_str_equal (taken, wanted) || g_strcmp0 (kp_plan_get_id (plan), id) == 0)
        continue;
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "There is a plan “%s” already; choose another name", kp_plan_get_name (plan));
      return FALSE;
    }
  return TRUE;
}

/**
 * kp_ctl_open_history:
 * @error: %KP_ERROR_LOCAL_STORAGE
 */
KpHistory *
kp_ctl_open_history (GError **error)
{
  g_autofree char *state_dir = kp_ctl_state_dir ();
  g_autofree char *path = g_build_filename (state_dir, KP_HISTORY_FILE_NAME, NULL);

  if (g_mkdir_with_parents (state_dir, 0700) != 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create the folder “%s”: %s",
                   state_dir, g_strerror (errno));
      return NULL;
    }
  return kp_history_open (path, error);
}

/**
 * kp_ctl_plan_address:
 *
 * Returns: (transfer full): "s3://BUCKET/PREFIX"
 */
char *
kp_ctl_plan_address (KpPlan *plan)
{
  const char *prefix = kp_plan_get_prefix (plan);

  return g_strconcat ("s3://", kp_plan_get_bucket (plan), *prefix != '\0' ? "/" : "", prefix, NULL);
}

/**
 * kp_ctl_print_plan_json:
 *
 * Prints a plan as its file has it.
 */
void
kp_ctl_print_plan_json (KpCtlOutput *output, KpPlan *plan)
{
  g_autofree char *text = kp_plan_to_json (plan);

  kp_ctl_output_json (output, "plan", "id", "s", kp_plan_get_id (plan), "name", "s",
                      kp_plan_get_name (plan), "plan", "n", json_from_string (text, NULL), NULL);
}

/**
 * kp_ctl_print_problems:
 *
 * Names the files that are no plans. Returns: whether there are any
 */
gboolean
kp_ctl_print_problems (KpCtlOutput *output, KpPlanStore *store)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (store);

  for (guint i = 0; i < problems->len; i++)
    {
      const KpPlanProblem *problem = g_ptr_array_index (problems, i);
      g_autofree char *path = kp_name_display (problem->path);

      if (kp_ctl_output_is_json (output))
        kp_ctl_output_json (output, "problem", "path", "s", path, "message", "s",
                            problem->error->message, NULL);
      else
        kp_ctl_output_error_line (output, "keepsakectl: Not a plan: %s", problem->error->message);
    }
  return problems->len > 0;
}

/* --- moments -------------------------------------------------------------------------------- */

static char *
format_local (gint64 time, const char *format)
{
  g_autoptr (GDateTime) local = g_date_time_new_from_unix_local (time);

  return local != NULL ? g_date_time_format (local, format) : g_strdup ("?");
}

/**
 * kp_ctl_format_time:
 *
 * Returns: (transfer full): "2026-11-24 12:30"
 */
char *
kp_ctl_format_time (gint64 time)
{
  return format_local (time, "%Y-%m-%d %H:%M");
}

/* Days since 1970 on the wall. */
static gint64
day_of (gint64 time)
{
  g_autoptr (GDateTime) local = g_date_time_new_from_unix_local (time);

  if (local == NULL)
    return 0;
  return (time + g_date_time_get_utc_offset (local) / G_TIME_SPAN_SECOND) / SECONDS_PER_DAY;
}

/**
 * kp_ctl_format_day:
 *
 * Returns: (transfer full): "today at 12:30", "tomorrow at 12:30", "on 2026-11-30 at 12:30"
 */
char *
kp_ctl_format_day (gint64 time, gint64 now)
{
  switch (day_of (time) - day_of (now))
    {
    case -1:
      return format_local (time, "yesterday at %H:%M");
    case 0:
      return format_local (time, "today at %H:%M");
    case 1:
      return format_local (time, "tomorrow at %H:%M");
    default:
      return format_local (time, "on %Y-%m-%d at %H:%M");
    }
}

/**
 * kp_ctl_format_ago:
 *
 * Returns: (transfer full): "a moment ago", "12 minutes ago", "3 hours ago", or the day
 */
char *
kp_ctl_format_ago (gint64 time, gint64 now)
{
  gint64 minutes = (now - time) / 60;

  if (minutes < 0 || minutes >= 12 * 60)
    return kp_ctl_format_day (time, now);
  if (minutes < 1)
    return g_strdup ("a moment ago");
  if (minutes < 60)
    return g_strdup_printf (minutes == 1 ? "%u minute ago" : "%u minutes ago", (unsigned) minutes);
  unsigned hours = (unsigned) (minutes / 60);
  return g_strdup_printf (hours == 1 ? "%u hour ago" : "%u hours ago", hours);
}

/* --- coverage ------------------------------------------------------------------------------- */

/**
 * kp_ctl_describe_coverage:
 * @now: seconds since 1970; 0 to leave out how long ago the oldest proof is
 *
 * Returns: (transfer full) (nullable): how much of what is stored was proved; %NULL where that is
 *   not known
 */
char *
kp_ctl_describe_coverage (const KpHistoryCoverage *coverage, gint64 now)
{
  g_autofree char *proved = kp_size_format (coverage->bytes_proved);
  g_autofree char *all = kp_size_format (coverage->bytes);
  g_autofree char *since = kp_ctl_format_ago (coverage->oldest_proof, now);
  gboolean is_all = coverage->objects_proved == coverage->objects;

  if (coverage->objects == 0)
    return NULL;
  return g_strdup_printf ("Proved since they were stored: %" G_GUINT64_FORMAT
                          " of %" G_GUINT64_FORMAT " files, %s of %s%s%s",
                          coverage->objects_proved, coverage->objects, proved, all,
                          is_all && now > 0 ? "; the oldest proof is of " : "",
                          is_all && now > 0 ? since : "");
}

/**
 * kp_ctl_coverage_node:
 *
 * Returns: (transfer full) (nullable): the same for scripts
 */
JsonNode *
kp_ctl_coverage_node (const KpHistoryCoverage *coverage)
{
  g_autoptr (JsonObject) object = NULL;

  if (coverage->objects == 0)
    return NULL;
  object = json_object_new ();
  json_object_set_int_member (object, "objects", (gint64) coverage->objects);
  json_object_set_int_member (object, "objects_proved", (gint64) coverage->objects_proved);
  json_object_set_int_member (object, "bytes", (gint64) coverage->bytes);
  json_object_set_int_member (object, "bytes_proved", (gint64) coverage->bytes_proved);
  json_object_set_int_member (object, "oldest_proof", coverage->oldest_proof);
  return json_node_init_object (json_node_alloc (), object);
}

/* --- questions ------------------------------------------------------------------------------ */

/**
 * kp_ctl_ask:
 * @question: without what may be answered
 *
 * For a terminal only. Returns: whether the answer was yes
 */
gboolean
kp_ctl_ask (const char *question)
{
  char answer[16] = "";

  fprintf (stderr, "%s [y/N] ", question);
  fflush (stderr);
  if (fgets (answer, sizeof answer, stdin) == NULL)
    fputc ('\n', stderr);
  return g_ascii_strcasecmp (g_strstrip (answer), "y") == 0
         || g_ascii_strcasecmp (answer, "yes") == 0;
}

/**
 * kp_ctl_add_remedy:
 * @error: (inout) (nullable): gets the other half of its sentence
 */
void
kp_ctl_add_remedy (GError **error, const char *remedy)
{
  if (error == NULL || *error == NULL)
    return;
  g_autofree char *cause = g_steal_pointer (&(*error)->message);
  (*error)->message = g_strconcat (cause, "; ", remedy, NULL);
}

/* --- subcommands ---------------------------------------------------------------------------- */

/**
 * kp_ctl_dispatch:
 * @arguments: "plan", the subcommand, and what follows
 * @names: of the subcommands, ended by %NULL
 * @functions: of each
 */
KpExit
kp_ctl_dispatch (char **arguments,
                 const char *command,
                 const char *help,
                 const char *const *names,
                 KpExit (*const *functions) (char **arguments))
{
  const char *name = arguments[1];
  g_autofree char *all = NULL;

  if (name == NULL)
    {
      fputs (help, stderr);
      return KP_EXIT_USAGE;
    }
  if (g_str_equal (name, "--help") || g_str_equal (name, "-h") || g_str_equal (name, "help"))
    {
      fputs (help, stdout);
      return KP_EXIT_DONE;
    }
  for (gsize i = 0; names[i] != NULL; i++)
    if (g_str_equal (names[i], name))
      {
        g_autofree char *program = g_strconcat ("keepsakectl ", command, " ", name, NULL);
        g_set_prgname (program);
        return functions[i](arguments + 1);
      }
  all = g_strjoinv (", ", (char **) names);
  g_autoptr (GError) error = g_error_new (KP_ERROR, KP_ERROR_USAGE,
                                          "There is no “%s %s”, but: %s; see keepsakectl %s --help",
                                          command, name, all, command);
  return kp_ctl_fail (error);
}

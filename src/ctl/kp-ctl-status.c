/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "status": from the files, and from the agent what only it can know. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-overdue.h"
#include "kp-size.h"

#include <string.h>
#include <sys/stat.h>

#define JOBS_TO_LOOK_AT 200

static const char examples[]
    = "Examples:\n"
      "    keepsakectl status\n"
      "    keepsakectl status --check >/dev/null || mail -s 'No backup' root </dev/null\n"
      "\n"
      "With --check the exit code is 2 when a plan that is switched on is overdue (without success "
      "for\n"
      "more than three of its periods, and a day), when its last backup or verification failed, "
      "was "
      "cut\n"
      "off, left files out or held deletions back, or when a file is no plan.";

/* How a plan stands. Texts are never NULL, times are seconds since 1970, 0 is never. */
typedef struct
{
  KpPlan *plan;
  char *state; /* "idle", "queued", "running", "paused", "held" or "disabled" */
  char *held_by;
  char *held_message;
  char *watch_note;
  gint64 due_since;
  gint64 next_run;
  gboolean overdue;
  KpHistorySummary summary;
  KpHistoryJob *running;      /* or NULL */
  KpHistoryJob *last_backup;  /* that ended, or NULL */
  KpHistoryJob *last_verify;  /* that ended, or NULL */
  KpHistoryJob *last_verdict; /* a verification that went to its end, or NULL */
  gboolean is_sent_again;     /* what that has found */
  char *job_text;             /* progress of the running job, or "" */
  double job_fraction;        /* from 0 to 1; -1 when not known */
} Status;

static void
status_free (Status *status)
{
  g_free (status->state);
  g_free (status->held_by);
  g_free (status->held_message);
  g_free (status->watch_note);
  g_free (status->job_text);
  g_clear_pointer (&status->running, kp_history_job_free);
  g_clear_pointer (&status->last_backup, kp_history_job_free);
  g_clear_pointer (&status->last_verify, kp_history_job_free);
  g_clear_pointer (&status->last_verdict, kp_history_job_free);
  g_clear_object (&status->plan);
  g_free (status);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Status, status_free)

static void
set (char **text, const char *value)
{
  g_free (*text);
  *text = g_strdup (value != NULL ? value : "");
}

/* --- from the files ------------------------------------------------------------------------- */

/* Since when the plan is known to exist: from then on it may be overdue. */
static gint64
find_beginning (KpPlanStore *store, KpPlan *plan, GPtrArray *jobs)
{
  const char *path = kp_plan_store_get_file (store, kp_plan_get_id (plan));
  struct stat info;

  if (jobs->len > 0)
    return ((KpHistoryJob *) g_ptr_array_index (jobs, jobs->len - 1))->started;
  return path != NULL && stat (path, &info) == 0 ? info.st_mtime : 0;
}

/* Takes the job out of the list. */
static void
take_first (GPtrArray *jobs, KpHistoryJob **first, KpHistoryKind kind, gboolean running)
{
  for (guint i = 0; i < jobs->len; i++)
    {
      const KpHistoryJob *job = g_ptr_array_index (jobs, i);

      if ((job->state == KP_HISTORY_RUNNING) != running || (!running && job->kind != kind))
        continue;
      *first = g_ptr_array_steal_index (jobs, i);
      return;
    }
}

/* One that did not go to its end says nothing of what was found before it. */
static void
find_verdict (Status *status, GPtrArray *jobs)
{
  for (guint i = 0; i < jobs->len && status->last_verdict == NULL; i++)
    {
      const KpHistoryJob *job = g_ptr_array_index (jobs, i);

      if (job->kind != KP_HISTORY_VERIFY || job->state != KP_HISTORY_FINISHED)
        continue;
      status->is_sent_again = kp_history_is_mended (jobs, job);
      status->last_verdict = kp_history_job_copy (job);
    }
}

static void
look_at_schedule (Status *status, gint64 beginning, gint64 now)
{
  KpSchedule *schedule = kp_plan_get_schedule (status->plan);
  g_autoptr (GTimeZone) zone = g_time_zone_new_local ();
  gint64 last_start = status->summary.last_start;

  if (!kp_plan_get_enabled (status->plan))
    return;
  gint64 next = kp_schedule_next_after (schedule, now, zone);
  if (next != G_MAXINT64)
    status->next_run = next;
  /* What changed only the agent sees. */
  if (kp_schedule_get_kind (schedule) != KP_SCHEDULE_WATCH)
    status->due_since = kp_schedule_due_since (schedule, last_start, now, zone);
  if (last_start == 0 && kp_schedule_get_kind (schedule) != KP_SCHEDULE_MANUAL)
    status->due_since = beginning;
  gint64 overdue = kp_overdue_since (schedule, &status->summary, beginning);
  status->overdue = overdue > 0 && now > overdue;
}

static Status *
look_at_files (KpPlanStore *store, KpHistory *history, KpPlan *plan, gint64 now, GError **error)
{
  g_autoptr (Status) status = g_new0 (Status, 1);
  const char *id = kp_plan_get_id (plan);

  status->plan = g_object_ref (plan);
  status->job_fraction = -1;
  set (&status->held_by, "");
  set (&status->held_message, "");
  set (&status->watch_note, "");
  set (&status->job_text, "");
  g_autoptr (GPtrArray) jobs = kp_history_list_past (history, id, JOBS_TO_LOOK_AT, error);
  if (jobs == NULL || !kp_history_get_summary (history, id, now, &status->summary, error))
    return NULL;
  gint64 beginning = find_beginning (store, plan, jobs);
  find_verdict (status, jobs);
  take_first (jobs, &status->running, KP_HISTORY_BACKUP, TRUE);
  take_first (jobs, &status->last_backup, KP_HISTORY_BACKUP, FALSE);
  take_first (jobs, &status->last_verify, KP_HISTORY_VERIFY, FALSE);
  look_at_schedule (status, beginning, now);
  set (&status->state, status->running != NULL       ? "running"
                       : !kp_plan_get_enabled (plan) ? "disabled"
                                                     : "idle");
  return g_steal_pointer (&status);
}

/* --- from the agent ------------------------------------------------------------------------- */

static void
describe_job (Status *status, KpDBusJob *job)
{
  GVariant *progress = kp_dbus_job_get_progress (job);
  const char *state = kp_dbus_job_get_state (job);
  const char *waiting = kp_dbus_job_get_waiting (job);
  guint64 moved = kp_dbus_get_count (progress, "bytes-moved");
  guint64 total = kp_dbus_get_count (progress, "bytes-total");
  g_autofree char *moved_text = kp_size_format (moved);
  g_autofree char *total_text = kp_size_format (total);
  g_autofree char *rate = kp_rate_format (MAX (kp_dbus_get_count (progress, "rate"), 1));
  g_autoptr (GString) text = g_string_new (state != NULL ? state : "running");
  gint64 left = -1;

  if (waiting != NULL && *waiting != '\0')
    g_string_append_printf (text, ": %s", waiting);
  if (total > 0)
    {
      status->job_fraction = MIN ((double) moved / (double) total, 1);
      g_string_append_printf (text, ", %u %%, %s of %s", (unsigned) (status->job_fraction * 100),
                              moved_text, total_text);
    }
  if (kp_dbus_get_count (progress, "rate") > 0)
    g_string_append_printf (text, " at %s", rate);
  if (progress != NULL && g_variant_lookup (progress, "left", "x", &left) && left >= 0)
    {
      g_autofree char *left_text = kp_duration_format ((guint64) left);
      g_string_append_printf (text, ", %s left", left_text);
    }
  set (&status->job_text, text->str);
}

/* What the agent says goes before what we think. */
static void
look_at_agent (Status *status, GDBusObjectManager *agent)
{
  g_autofree char *path = kp_dbus_plan_path (kp_plan_get_id (status->plan));
  g_autoptr (GDBusObject) object = g_dbus_object_manager_get_object (agent, path);
  g_autoptr (KpDBusPlan) plan
      = object != NULL ? kp_dbus_object_get_plan (KP_DBUS_OBJECT (object)) : NULL;

  if (plan == NULL)
    return;
  set (&status->state, kp_dbus_plan_get_state (plan));
  set (&status->held_by, kp_dbus_plan_get_held_by (plan));
  set (&status->held_message, kp_dbus_plan_get_held_message (plan));
  set (&status->watch_note, kp_dbus_plan_get_watch_note (plan));
  status->due_since = kp_dbus_plan_get_due_since (plan);
  status->next_run = kp_dbus_plan_get_next_run (plan);
  status->overdue = kp_dbus_plan_get_overdue (plan);

  const char *job_path = kp_dbus_plan_get_job (plan);
  g_autoptr (GDBusObject) job_object
      = job_path != NULL ? g_dbus_object_manager_get_object (agent, job_path) : NULL;
  g_autoptr (KpDBusJob) job
      = job_object != NULL ? kp_dbus_object_get_job (KP_DBUS_OBJECT (job_object)) : NULL;
  if (job != NULL)
    describe_job (status, job);
}

/* NULL when no agent runs: it is not started for being asked. */
static GDBusObjectManager *
find_agent (void)
{
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (NULL);
  g_autoptr (GError) error = NULL;

  if (bus == NULL || !kp_ctl_agent_runs (bus))
    return NULL;
  GDBusObjectManager *agent = kp_dbus_object_manager_client_new_sync (
      bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START, KP_AGENT_BUS_NAME,
      KP_AGENT_ROOT_PATH, NULL, &error);
  if (agent == NULL)
    g_debug ("%s", error->message);
  return agent;
}

/* --- in words ------------------------------------------------------------------------------- */

/* What is wrong with the last job of a kind, or NULL. */
static const char *
get_trouble (const KpHistoryJob *job)
{
  if (job == NULL)
    return NULL;
  switch (job->state)
    {
    case KP_HISTORY_FAILED:
      return "failed";
    case KP_HISTORY_INTERRUPTED:
      return "was cut off before its end";
    case KP_HISTORY_FINISHED:
      if (g_strcmp0 (job->reason, kp_error_name (KP_ERROR_DELETE_GUARD)) == 0)
        return "held deletions back";
      if (job->counts.failed > 0 && job->kind == KP_HISTORY_VERIFY)
        return "found something wrong";
      return job->counts.failed > 0 ? "left files out" : NULL;
    case KP_HISTORY_CANCELLED:
    case KP_HISTORY_RUNNING:
    default:
      return NULL;
    }
}

/* A verification that did not go to its end has found nothing that could be mended. */
static gboolean
is_alarming (const Status *status, const KpHistoryJob *verify)
{
  return verify != NULL && get_trouble (verify) != NULL
         && !(verify->state == KP_HISTORY_FINISHED && status->is_sent_again);
}

static gboolean
needs_attention (const Status *status)
{
  return kp_plan_get_enabled (status->plan)
         && (status->overdue || status->summary.erased_at > 0
             || get_trouble (status->last_backup) != NULL
             || is_alarming (status, status->last_verify)
             || is_alarming (status, status->last_verdict));
}

static void
print_trouble (KpCtlOutput *output, const char *what, const KpHistoryJob *job, gint64 now)
{
  const char *trouble = get_trouble (job);
  g_autofree char *ago = trouble != NULL ? kp_ctl_format_ago (job->started, now) : NULL;

  if (trouble != NULL)
    kp_ctl_output_line (output, "  The last %s, begun %s, %s%s%s", what, ago, trouble,
                        job->message != NULL ? ": " : "", job->message != NULL ? job->message : "");
}

static void
print_erased (KpCtlOutput *output, const KpHistorySummary *summary, gint64 now)
{
  g_autofree char *ago = kp_ctl_format_ago (summary->erased_at, now);

  if (summary->erased_at == 0)
    return;
  if (summary->erased_all)
    kp_ctl_output_line (output, "  Its objects were deleted %s, and the plan could not be", ago);
  else if (summary->erased > 0)
    kp_ctl_output_line (output,
                        "  Its backup is not complete: %" G_GUINT64_FORMAT " objects were deleted "
                        "%s. Run it, or remove it with --delete-objects again",
                        summary->erased, ago);
  else
    kp_ctl_output_line (output,
                        "  Its backup may not be complete: a deletion of it was cut off %s. Run "
                        "it, or remove it with --delete-objects again",
                        ago);
}

static void
print_last (KpCtlOutput *output, const Status *status, gint64 now)
{
  const KpHistorySummary *summary = &status->summary;
  g_autofree char *ago = kp_ctl_format_ago (summary->last_success, now);
  g_autofree char *verified = kp_ctl_format_ago (summary->last_verified, now);

  if (summary->last_success > 0)
    kp_ctl_output_line (output, "  Backed up %s", ago);
  else
    kp_ctl_output_line (output, "  Not backed up yet");
  print_erased (output, summary, now);
  if (summary->last_verified > 0)
    kp_ctl_output_line (output, "  Verified %s", verified);
  g_autofree char *coverage = kp_ctl_describe_coverage (&summary->coverage, now);
  if (coverage != NULL)
    kp_ctl_output_line (output, "  %s", coverage);
  print_trouble (output, "backup", status->last_backup, now);
  print_trouble (output, "verification", status->last_verify, now);
  if (status->last_verify != NULL && status->last_verify->state != KP_HISTORY_FINISHED
      && is_alarming (status, status->last_verdict))
    print_trouble (output, "verification that went to its end", status->last_verdict, now);
  if (get_trouble (status->last_verify) != NULL && !is_alarming (status, status->last_verify))
    kp_ctl_output_line (output, "  A backup went well since; the next verification begins with "
                                "these files");
}

static void
print_future (KpCtlOutput *output, const Status *status, gboolean agent_runs, gint64 now)
{
  g_autofree char *next = kp_ctl_format_day (status->next_run, now);
  g_autofree char *due = kp_ctl_format_ago (status->due_since, now);

  if (status->overdue)
    kp_ctl_output_line (output, "  Overdue: no backup for more than three of its periods");
  if (*status->held_message != '\0')
    kp_ctl_output_line (output, "  Waiting: %s", status->held_message);
  if (*status->watch_note != '\0')
    kp_ctl_output_line (output, "  %s", status->watch_note);
  if (status->running != NULL || g_str_equal (status->state, "disabled"))
    return;
  if (!agent_runs && status->due_since > 0)
    kp_ctl_output_line (output, "  Due since %s",
                        status->summary.last_start > 0 ? due : "it was set up");
  else if (status->next_run > 0)
    kp_ctl_output_line (output, "  Next backup %s", next);
}

static void
print_status (KpCtlOutput *output, const Status *status, gboolean agent_runs, gint64 now)
{
  kp_ctl_output_line (output, "%s", kp_plan_get_name (status->plan));
  if (*status->job_text != '\0')
    kp_ctl_output_line (output, "  Now %s", status->job_text);
  else if (status->running != NULL)
    {
      g_autofree char *ago = kp_ctl_format_ago (status->running->started, now);
      kp_ctl_output_line (output, "  A %s runs, begun %s",
                          kp_history_kind_name (status->running->kind), ago);
    }
  else if (g_str_equal (status->state, "disabled"))
    kp_ctl_output_line (output, "  Switched off");
  print_last (output, status, now);
  print_future (output, status, agent_runs, now);
}

static void
print_status_json (KpCtlOutput *output, const Status *status)
{
  const KpHistoryJob *last = status->last_backup;
  const KpHistoryJob *verify = status->last_verify;
  const char *result = last != NULL ? kp_history_state_name (last->state) : NULL;

  kp_ctl_output_json (
      output, "status", "id", "s", kp_plan_get_id (status->plan), "name", "s",
      kp_plan_get_name (status->plan), "state", "s", status->state, "needs_attention", "b",
      needs_attention (status), "overdue", "b", status->overdue, "held_by", "s",
      *status->held_by != '\0' ? status->held_by : NULL, "held_message", "s",
      *status->held_message != '\0' ? status->held_message : NULL, "due_since", "i",
      status->due_since, "next_run", "i", status->next_run, "last_start", "i",
      status->summary.last_start, "last_success", "i", status->summary.last_success,
      "last_complete", "i", status->summary.last_complete, "last_verified", "i",
      status->summary.last_verified, "erased_at", "i", status->summary.erased_at, "erased", "i",
      (gint64) status->summary.erased, "verify_result", "s",
      verify != NULL ? kp_history_state_name (verify->state) : NULL, "verify_failed", "i",
      verify != NULL ? (gint64) verify->counts.failed : 0, "verify_message", "s",
      verify != NULL ? verify->message : NULL, "coverage", "n",
      kp_ctl_coverage_node (&status->summary.coverage), "last_result", "s", result, "last_reason",
      "s", last != NULL ? last->reason : NULL, "last_message", "s",
      last != NULL ? last->message : NULL, "watch_note", "s",
      *status->watch_note != '\0' ? status->watch_note : NULL, "progress", "n",
      status->job_fraction >= 0 ? json_node_init_double (json_node_alloc (), status->job_fraction)
                                : NULL,
      NULL);
}

/* How the agent itself stands. */
static void
print_agent (KpCtlOutput *output, GDBusObjectManager *agent, gint64 now)
{
  g_autoptr (GDBusObject) object
      = agent != NULL ? g_dbus_object_manager_get_object (agent, KP_AGENT_MANAGER_PATH) : NULL;
  g_autoptr (KpDBusManager) manager
      = object != NULL ? kp_dbus_object_get_manager (KP_DBUS_OBJECT (object)) : NULL;
  gint64 paused = manager != NULL ? kp_dbus_manager_get_paused_until (manager) : 0;
  gint64 limit = manager != NULL ? kp_dbus_manager_get_upload_limit (manager) : -1;

  if (kp_ctl_output_is_json (output))
    {
      kp_ctl_output_json (output, "agent", "running", "b", agent != NULL, "paused_until", "i",
                          paused, "upload_limit", "i", limit, NULL);
      return;
    }
  g_autofree char *day = kp_ctl_format_day (paused, now);
  g_autofree char *rate = kp_rate_format (limit > 0 ? (guint64) limit : 0);
  if (agent == NULL)
    kp_ctl_output_line (output,
                        "The agent does not run: nothing begins by itself, unless a timer of "
                        "yours does it. keepsakectl autostart on starts it.");
  if (manager != NULL && !kp_dbus_manager_get_autostart (manager))
    kp_ctl_output_line (output, "The agent does not start at login: keepsakectl autostart on "
                                "changes that.");
  if (paused != 0)
    kp_ctl_output_line (output, "Paused%s%s",
                        paused > 0 ? "; goes on " : " until keepsakectl resume",
                        paused > 0 ? day : "");
  if (limit >= 0)
    kp_ctl_output_line (output, "Upload: %s", rate);
}

static gboolean
print_all (KpCtlOutput *output, gboolean *all_well, GError **error)
{
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (error);
  g_autoptr (KpHistory) history = store != NULL ? kp_ctl_open_history (error) : NULL;

  if (history == NULL)
    return FALSE;
  g_autoptr (GDBusObjectManager) agent = find_agent ();
  guint n = g_list_model_get_n_items (G_LIST_MODEL (store));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (G_LIST_MODEL (store), i);
      g_autoptr (Status) status = look_at_files (store, history, plan, now, error);

      if (status == NULL)
        return FALSE;
      if (agent != NULL)
        look_at_agent (status, agent);
      if (kp_ctl_output_is_json (output))
        print_status_json (output, status);
      else
        print_status (output, status, agent != NULL, now);
      *all_well &= !needs_attention (status);
    }
  *all_well &= !kp_ctl_print_problems (output, store);
  if (n == 0 && !kp_ctl_output_is_json (output))
    kp_ctl_output_line (output, "There are no plans; keepsakectl plan add sets one up.");
  if (n > 0 || kp_ctl_output_is_json (output))
    print_agent (output, agent, now);
  return TRUE;
}

KpExit
kp_ctl_status (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  gboolean check = FALSE;
  gboolean all_well = TRUE;
  const GOptionEntry entries[] = {
    { "check", 0, 0, G_OPTION_ARG_NONE, &check, "Exit with 2 when a plan needs attention", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a JSON object a line", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "", "Says how all plans stand.", examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (arguments[1] != NULL)
    return kp_ctl_usage ("[--check]");
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  if (!print_all (output, &all_well, &error))
    return kp_ctl_fail (error);
  return check && !all_well ? KP_EXIT_INCOMPLETE : KP_EXIT_DONE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-size.h"

#include <string.h>

#define DEFAULT_LIMIT 20

static const char examples[]
    = "Examples:\n"
      "    keepsakectl history Photos\n"
      "    keepsakectl history Photos --limit 100 --json\n"
      "    keepsakectl history Photos --failures 17    the files that failed in job 17\n"
      "\n"
      "Newest first. Also names each time a backup was due and held back, with the reason.";

static char *
describe_counts (const KpHistoryJob *job)
{
  const KpHistoryCounts *counts = &job->counts;
  g_autofree char *bytes = kp_size_format (counts->bytes_sent);
  g_autoptr (GString) text = g_string_new (NULL);

  switch (job->kind)
    {
    case KP_HISTORY_RESTORE:
      g_string_printf (text, "%" G_GUINT64_FORMAT " restored (%s)", counts->put, bytes);
      break;
    case KP_HISTORY_VERIFY:
      g_string_printf (
          text, "%" G_GUINT64_FORMAT " equal (%s compared), %" G_GUINT64_FORMAT " changed since",
          counts->unchanged, bytes, counts->put);
      break;
    case KP_HISTORY_ERASE:
      g_string_printf (text, "%" G_GUINT64_FORMAT " objects deleted", counts->deleted);
      break;
    case KP_HISTORY_BACKUP:
    default:
      g_string_printf (text,
                       "%" G_GUINT64_FORMAT " sent (%s), %" G_GUINT64_FORMAT
                       " deleted, %" G_GUINT64_FORMAT " unchanged",
                       counts->put + counts->delta, bytes, counts->deleted, counts->unchanged);
      break;
    }
  if (counts->failed > 0)
    g_string_append_printf (text, ", %" G_GUINT64_FORMAT " failed", counts->failed);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
print_job (KpCtlOutput *output, const KpHistoryJob *job)
{
  g_autofree char *time = kp_ctl_format_time (job->started);
  g_autofree char *counts = describe_counts (job);
  g_autofree char *lasted = kp_duration_format ((guint64) MAX (job->ended - job->started, 0));
  g_autofree char *after = job->ended > 0 ? g_strconcat (" after ", lasted, NULL) : g_strdup ("");

  kp_ctl_output_line (output, "%s  #%-5" G_GINT64_FORMAT " %s (%s) %s%s: %s", time, job->id,
                      kp_history_kind_name (job->kind), kp_history_trigger_name (job->trigger),
                      job->state == KP_HISTORY_RUNNING ? "runs"
                                                       : kp_history_state_name (job->state),
                      after, counts);
  if (job->message != NULL)
    kp_ctl_output_line (output, "%18s%s", "", job->message);
  g_autofree char *coverage = kp_ctl_describe_coverage (&job->coverage, 0);
  if (coverage != NULL)
    kp_ctl_output_line (output, "%18s%s", "", coverage);
}

static void
print_skip (KpCtlOutput *output, const KpHistorySkip *skip)
{
  g_autofree char *from = kp_ctl_format_time (skip->from);
  g_autofree char *until = kp_ctl_format_time (skip->until);
  gboolean is_one = g_str_equal (from, until);

  kp_ctl_output_line (output, "%s  held back%s%s: %s", from, is_one ? "" : " until ",
                      is_one ? "" : until, skip->message != NULL ? skip->message : skip->reason);
}

static void
print_job_json (KpCtlOutput *output, const KpHistoryJob *job)
{
  const KpHistoryCounts *counts = &job->counts;

  kp_ctl_output_json (
      output, "job", "id", "i", job->id, "plan", "s", job->plan_id, "kind", "s",
      kp_history_kind_name (job->kind), "trigger", "s", kp_history_trigger_name (job->trigger),
      "state", "s", kp_history_state_name (job->state), "started", "i", job->started, "ended", "i",
      job->ended, "reason", "s", job->reason, "message", "s", job->message, "put", "u", counts->put,
      "delta", "u", counts->delta, "copied", "u", counts->copied, "metadata", "u", counts->metadata,
      "deleted", "u", counts->deleted, "unchanged", "u", counts->unchanged, "failed", "u",
      counts->failed, "bytes_sent", "u", counts->bytes_sent, "bytes_saved", "u",
      counts->bytes_saved, "coverage", "n", kp_ctl_coverage_node (&job->coverage), NULL);
}

static void
print_skip_json (KpCtlOutput *output, const KpHistorySkip *skip)
{
  kp_ctl_output_json (output, "skip", "plan", "s", skip->plan_id, "from", "i", skip->from, "until",
                      "i", skip->until, "count", "u", skip->count, "reason", "s", skip->reason,
                      "message", "s", skip->message, NULL);
}

/* Jobs and skips in one row, newest first. */
static void
print_both (KpCtlOutput *output, GPtrArray *jobs, GPtrArray *skips, guint limit)
{
  gboolean json = kp_ctl_output_is_json (output);
  guint i = 0;
  guint j = 0;

  while (i + j < limit && (i < jobs->len || j < skips->len))
    {
      const KpHistoryJob *job = i < jobs->len ? g_ptr_array_index (jobs, i) : NULL;
      const KpHistorySkip *skip = j < skips->len ? g_ptr_array_index (skips, j) : NULL;

      if (job != NULL && (skip == NULL || job->started >= skip->from))
        {
          (json ? print_job_json : print_job) (output, job);
          i++;
        }
      else if (skip != NULL)
        {
          (json ? print_skip_json : print_skip) (output, skip);
          j++;
        }
    }
}

static gboolean
print_failures (KpCtlOutput *output,
                KpHistory *history,
                KpPlan *plan,
                gint64 job_id,
                guint limit,
                GError **error)
{
  g_autoptr (KpHistoryJob) job = kp_history_get_job (history, job_id, NULL);

  if (job == NULL || !g_str_equal (job->plan_id, kp_plan_get_id (plan)))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” has no job %" G_GINT64_FORMAT "; keepsakectl history names them",
                   kp_plan_get_name (plan), job_id);
      return FALSE;
    }
  g_autoptr (GPtrArray) failures = kp_history_list_failures (history, job_id, limit, error);
  if (failures == NULL)
    return FALSE;
  for (guint i = 0; i < failures->len; i++)
    {
      const KpHistoryFailure *failure = g_ptr_array_index (failures, i);
      g_autofree char *path = kp_name_display (failure->path);

      if (kp_ctl_output_is_json (output))
        kp_ctl_output_json (output, "failed", "path", "s", path, "error", "s", failure->reason,
                            "message", "s", failure->message, NULL);
      else
        kp_ctl_output_line (output, "%s: %s", path, failure->message);
    }
  if (job->counts.failed > failures->len && !kp_ctl_output_is_json (output))
    kp_ctl_output_line (output, "… and %" G_GUINT64_FORMAT " more",
                        job->counts.failed - failures->len);
  return TRUE;
}

static gboolean
print_history (KpCtlOutput *output, KpPlan *plan, gint64 failures_of, guint limit, GError **error)
{
  const char *id = kp_plan_get_id (plan);
  g_autoptr (KpHistory) history = kp_ctl_open_history (error);

  if (history == NULL)
    return FALSE;
  if (failures_of > 0)
    return print_failures (output, history, plan, failures_of,
                           limit > 0 ? limit : KP_HISTORY_MAX_FAILURES, error);
  if (limit == 0)
    limit = DEFAULT_LIMIT;
  g_autoptr (GPtrArray) jobs = kp_history_list_jobs (history, id, limit, error);
  g_autoptr (GPtrArray) skips
      = jobs != NULL ? kp_history_list_skips (history, id, limit, error) : NULL;
  if (skips == NULL)
    return FALSE;
  print_both (output, jobs, skips, limit);
  if (jobs->len + skips->len == 0 && !kp_ctl_output_is_json (output))
    kp_ctl_output_error_line (output, "“%s” has not run yet.", kp_plan_get_name (plan));
  return TRUE;
}

KpExit
kp_ctl_history (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  int limit = 0;
  gint64 failures_of = 0;
  const GOptionEntry entries[] = {
    { "limit", 0, 0, G_OPTION_ARG_INT, &limit, "Show so many; 20 if left out", "N" },
    { "failures", 0, 0, G_OPTION_ARG_INT64, &failures_of, "Name the files that failed in a job",
      "JOB" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a JSON object a line", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "PLAN", "Says what became of a plan, job by job.", examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2 || limit < 0 || failures_of < 0)
    return kp_ctl_usage ("PLAN [--limit N] [--failures JOB]");
  g_autoptr (KpPlan) plan = kp_ctl_load_plan (arguments[1], &error);
  if (plan == NULL)
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  if (!print_history (output, plan, failures_of, (guint) limit, &error))
    return kp_ctl_fail (error);
  return KP_EXIT_DONE;
}

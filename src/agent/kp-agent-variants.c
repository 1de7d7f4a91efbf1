/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-agent-variants.h"

#include "kp-dbus.h"

/* A sentence from elsewhere may quote what is not UTF-8, which the bus does not carry. */
static void
add_string (GVariantDict *dict, const char *name, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);

  g_variant_dict_insert (dict, name, "s", valid);
}

/**
 * kp_agent_variant_progress:
 *
 * Returns: (transfer floating): the Progress of the interface
 */
GVariant *
kp_agent_variant_progress (KpJob *job)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  KpProgress progress;

  kp_job_get_progress (job, &progress);
  g_variant_dict_insert (&dict, "bytes-total", "t", progress.bytes_total);
  g_variant_dict_insert (&dict, "bytes-done", "t", progress.bytes_done);
  g_variant_dict_insert (&dict, "bytes-moved", "t", progress.bytes_moved);
  g_variant_dict_insert (&dict, "files-total", "t", progress.actions_total);
  g_variant_dict_insert (&dict, "files-done", "t", progress.actions_done);
  g_variant_dict_insert (&dict, "files-scanned", "t", progress.files_scanned);
  g_variant_dict_insert (&dict, "objects-listed", "t", progress.objects_listed);
  g_variant_dict_insert (&dict, "failed", "t", progress.failed);
  g_variant_dict_insert (&dict, "rate", "t", kp_job_get_rate (job));
  g_variant_dict_insert (&dict, "left", "x", kp_job_get_seconds_left (job));
  return g_variant_dict_end (&dict);
}

static void
add_counts (GVariantDict *dict, const KpHistoryCounts *counts)
{
  g_variant_dict_insert (dict, "put", "t", counts->put);
  g_variant_dict_insert (dict, "delta", "t", counts->delta);
  g_variant_dict_insert (dict, "copied", "t", counts->copied);
  g_variant_dict_insert (dict, "metadata", "t", counts->metadata);
  g_variant_dict_insert (dict, "deleted", "t", counts->deleted);
  g_variant_dict_insert (dict, "unchanged", "t", counts->unchanged);
  g_variant_dict_insert (dict, "failed", "t", counts->failed);
  g_variant_dict_insert (dict, "bytes-sent", "t", counts->bytes_sent);
  g_variant_dict_insert (dict, "bytes-saved", "t", counts->bytes_saved);
}

/**
 * kp_agent_variant_result:
 * @job: that has ended
 */
GVariant *
kp_agent_variant_result (KpJob *job)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  const KpJobResult *result = kp_job_get_result (job);
  const char *reason;
  g_autofree char *message = kp_job_describe_end (job, &reason);

  add_counts (&dict, &result->counts);
  add_string (&dict, "reason", reason);
  add_string (&dict, "message", message);
  add_string (&dict, "guard", result->guard_reason);
  g_variant_dict_insert (&dict, "kept", "t", result->kept);
  g_variant_dict_insert (&dict, "swept", "t", result->swept);
  g_variant_dict_insert (&dict, "erased-bytes", "t", result->erased_bytes);
  g_variant_dict_insert (&dict, "spared", "t", result->spared);
  g_variant_dict_insert (&dict, "archived", "t", result->archived);
  g_variant_dict_insert (&dict, "requested", "t", result->requested);
  g_variant_dict_insert (&dict, "deletions-held", "t", result->deletions_held);
  if (result->coverage.objects > 0)
    g_variant_dict_insert_value (&dict, "coverage", kp_agent_variant_coverage (&result->coverage));
  return g_variant_dict_end (&dict);
}

/**
 * kp_agent_variant_failures:
 * @failures: (element-type KpHistoryFailure)
 */
GVariant *
kp_agent_variant_failures (GPtrArray *failures)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(ayss)"));
  for (guint i = 0; i < failures->len; i++)
    {
      const KpHistoryFailure *failure = g_ptr_array_index (failures, i);
      g_autofree char *message = g_utf8_make_valid (failure->message, -1);
      g_variant_builder_add (&builder, "(@ayss)", kp_dbus_bytes (failure->path), failure->reason,
                             message);
    }
  return g_variant_builder_end (&builder);
}

/**
 * kp_agent_variant_coverage:
 *
 * Returns: (transfer floating): empty where nothing is known
 */
GVariant *
kp_agent_variant_coverage (const KpHistoryCoverage *coverage)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  if (coverage->objects > 0)
    {
      g_variant_dict_insert (&dict, "objects", "t", coverage->objects);
      g_variant_dict_insert (&dict, "objects-proved", "t", coverage->objects_proved);
      g_variant_dict_insert (&dict, "bytes", "t", coverage->bytes);
      g_variant_dict_insert (&dict, "bytes-proved", "t", coverage->bytes_proved);
      g_variant_dict_insert (&dict, "oldest-proof", "x", coverage->oldest_proof);
    }
  return g_variant_dict_end (&dict);
}

/**
 * kp_agent_variant_erased:
 *
 * Returns: (transfer floating): empty where nothing was deleted
 */
GVariant *
kp_agent_variant_erased (const KpHistorySummary *summary)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  if (summary->erased_at > 0)
    {
      g_variant_dict_insert (&dict, "at", "x", summary->erased_at);
      g_variant_dict_insert (&dict, "objects", "t", summary->erased);
      g_variant_dict_insert (&dict, "complete", "b", summary->erased_all);
    }
  return g_variant_dict_end (&dict);
}

/**
 * kp_agent_variant_jobs:
 * @jobs: (element-type KpHistoryJob)
 */
GVariant *
kp_agent_variant_jobs (GPtrArray *jobs)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < jobs->len; i++)
    {
      const KpHistoryJob *job = g_ptr_array_index (jobs, i);
      g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
      g_variant_dict_insert (&dict, "id", "x", job->id);
      add_string (&dict, "kind", kp_history_kind_name (job->kind));
      add_string (&dict, "trigger", kp_history_trigger_name (job->trigger));
      add_string (&dict, "state", kp_history_state_name (job->state));
      g_variant_dict_insert (&dict, "started", "x", job->started);
      g_variant_dict_insert (&dict, "ended", "x", job->ended);
      add_string (&dict, "reason", job->reason);
      add_string (&dict, "message", job->message);
      add_counts (&dict, &job->counts);
      if (job->coverage.objects > 0)
        g_variant_dict_insert_value (&dict, "coverage", kp_agent_variant_coverage (&job->coverage));
      g_variant_builder_add_value (&builder, g_variant_dict_end (&dict));
    }
  return g_variant_builder_end (&builder);
}

/**
 * kp_agent_variant_skips:
 * @skips: (element-type KpHistorySkip)
 */
GVariant *
kp_agent_variant_skips (GPtrArray *skips)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < skips->len; i++)
    {
      const KpHistorySkip *skip = g_ptr_array_index (skips, i);
      g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
      g_variant_dict_insert (&dict, "from", "x", skip->from);
      g_variant_dict_insert (&dict, "until", "x", skip->until);
      g_variant_dict_insert (&dict, "count", "t", skip->count);
      add_string (&dict, "reason", skip->reason);
      add_string (&dict, "message", skip->message);
      g_variant_builder_add_value (&builder, g_variant_dict_end (&dict));
    }
  return g_variant_builder_end (&builder);
}

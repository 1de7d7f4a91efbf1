/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the commands that know plans share: where things are, who is meant, and how a moment reads.
 *
 * They work on the files themselves, so that a server without a message bus needs no agent; an
 * agent that runs notices what they change. */

#include "kp-ctl.h"
#include "kp-dbus.h"
#include "kp-history.h"
#include "kp-plan-store.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

KpPlanStore *kp_ctl_open_plans (GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpPlan *kp_ctl_find_plan (KpPlanStore *store, const char *text, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpPlan *kp_ctl_load_plan (const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_check_name (KpPlanStore *store, const char *name, const char *id, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpHistory *kp_ctl_open_history (GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_ctl_plan_address (KpPlan *plan);
void kp_ctl_print_plan_json (KpCtlOutput *output, KpPlan *plan);
gboolean kp_ctl_print_problems (KpCtlOutput *output, KpPlanStore *store);

char *kp_ctl_format_time (gint64 time);
char *kp_ctl_format_day (gint64 time, gint64 now);
char *kp_ctl_format_ago (gint64 time, gint64 now);

gboolean kp_ctl_ask (const char *question);
void kp_ctl_add_remedy (GError **error, const char *remedy);

/* The agent. */
GDBusConnection *kp_ctl_session_bus (GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_agent_runs (GDBusConnection *bus);
KpDBusManager *kp_ctl_call_agent (GDBusConnection *bus, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_ctl_explain_agent_error (GError **error);
void kp_ctl_tell_who_begins (KpCtlOutput *output, KpPlan *plan);

/* The subcommands of "plan". */
KpExit kp_ctl_plan_add (char **arguments);
KpExit kp_ctl_plan_edit (char **arguments);
KpExit kp_ctl_plan_remove (char **arguments);
KpExit kp_ctl_plan_export (char **arguments);
KpExit kp_ctl_plan_import (char **arguments);
gboolean kp_ctl_edit_in_editor (KpPlanStore *store, KpPlan *plan, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpExit kp_ctl_dispatch (char **arguments,
                        const char *command,
                        const char *help,
                        const char *const *names,
                        KpExit (*const *functions) (char **arguments));

JsonNode *kp_ctl_coverage_node (const KpHistoryCoverage *coverage);
char *kp_ctl_describe_coverage (const KpHistoryCoverage *coverage, gint64 now);

/* The two ways of "run". */
typedef struct
{
  gboolean verify;
  double sample;     /* above 0, up to 1 */
  guint64 max_files; /* 0: no bound */
  guint64 max_bytes; /* 0: no bound */
  gboolean has_max_delete;
  guint64 max_delete;
  gboolean accept_new_file_system;
  gboolean detach;
  gboolean scheduled;
  GListModel *erase; /* (nullable): delete what is stored instead; all plans there are */
  char *profile;
  char *passwd_file;
  char *ca_bundle;
} KpCtlRunOptions;

KpS3Credentials *kp_ctl_find_plan_keys (KpPlan *plan,
                                        const KpCtlRunOptions *options,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpExit kp_ctl_run_here (KpCtlOutput *output, KpPlan *plan, const KpCtlRunOptions *options);
KpExit kp_ctl_run_by_agent (KpCtlOutput *output, KpPlan *plan, const KpCtlRunOptions *options);
KpExit kp_ctl_report_counts (KpCtlOutput *output,
                             gboolean verify,
                             const KpHistoryCounts *counts,
                             const KpHistoryCoverage *coverage,
                             KpMirrorResult rest);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A job on the bus: a KpJob, its number, and the object that shows it. Emits nothing itself; who
 * wants to know listens to the KpJob. */

#include "kp-dbus.h"
#include "kp-job.h"

G_BEGIN_DECLS

#define KP_TYPE_AGENT_JOB (kp_agent_job_get_type ())
G_DECLARE_FINAL_TYPE (KpAgentJob, kp_agent_job, KP, AGENT_JOB, GObject)

KpAgentJob *kp_agent_job_new (KpJob *job, guint64 number, gint64 now);
void kp_agent_job_export (KpAgentJob *job, GDBusObjectManagerServer *server);
void kp_agent_job_unexport (KpAgentJob *job, GDBusObjectManagerServer *server);
KpJob *kp_agent_job_get_job (KpAgentJob *job);
const char *kp_agent_job_get_path (KpAgentJob *job);
const char *kp_agent_job_get_plan_id (KpAgentJob *job);
gboolean kp_agent_job_is_manual (KpAgentJob *job);
gboolean kp_agent_job_has_started (KpAgentJob *job);
gboolean kp_agent_job_is_notified (KpAgentJob *job);
void kp_agent_job_set_notified (KpAgentJob *job);
gint64 kp_agent_job_get_started (KpAgentJob *job);
gint64 kp_agent_job_find_standstill (KpAgentJob *job, gint64 now);
void kp_agent_job_forget_standstill (KpAgentJob *job);
void kp_agent_job_set_credentials (KpAgentJob *job, KpS3Credentials *credentials);
void kp_agent_job_start (KpAgentJob *job, GAsyncReadyCallback callback, void *user_data);

G_END_DECLS

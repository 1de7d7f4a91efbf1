/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The agent as the application sees it: whether it is there, its manager and its plans. Everything
 * is asynchronous; a stalled agent stalls nothing here. */

#include "kp-dbus.h"
#include "kp-plan-proxy.h"

G_BEGIN_DECLS

typedef enum
{
  KP_AGENT_STARTING, /* nobody knows yet */
  KP_AGENT_RUNNING,
  KP_AGENT_SILENT,  /* it is there and does not answer */
  KP_AGENT_STOPPED, /* it is not there */
} KpAgentPresence;

#define KP_TYPE_AGENT_CLIENT (kp_agent_client_get_type ())
G_DECLARE_FINAL_TYPE (KpAgentClient, kp_agent_client, KP, AGENT_CLIENT, GObject)

KpAgentClient *kp_agent_client_new (void);
void kp_agent_client_restart (KpAgentClient *client);
gboolean kp_agent_client_cannot_end (KpAgentClient *client);
void kp_agent_client_start (KpAgentClient *self);
KpAgentPresence kp_agent_client_get_presence (KpAgentClient *self);
gboolean kp_agent_client_is_connected (KpAgentClient *client);
const char *kp_agent_client_get_error (KpAgentClient *self);
KpDBusManager *kp_agent_client_get_manager (KpAgentClient *self);
GListModel *kp_agent_client_get_plans (KpAgentClient *self);
KpPlanProxy *kp_agent_client_find_plan (KpAgentClient *self, const char *id);
KpDBusJob *kp_agent_client_find_job (KpAgentClient *self, const char *path);
gboolean kp_agent_client_is_offline (KpAgentClient *self);

G_END_DECLS

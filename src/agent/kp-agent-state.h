/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The few numbers that the agent has to remember over a restart: until when it is paused, when it
 * first saw a plan. One small file, written anew at each change. Losing it loses no backup. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KpAgentState KpAgentState;

KpAgentState *kp_agent_state_open (const char *path);
void kp_agent_state_free (KpAgentState *state);
gint64 kp_agent_state_get (KpAgentState *state, const char *plan_id, const char *key);
void kp_agent_state_set (KpAgentState *state, const char *plan_id, const char *key, gint64 value);
void kp_agent_state_forget_plan (KpAgentState *state, const char *plan_id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpAgentState, kp_agent_state_free)

G_END_DECLS

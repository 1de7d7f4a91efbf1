/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The agent: brings together when plans are due (KpScheduler), whether they may run (KpReadiness),
 * the jobs that run, and what of all that is shown on the bus, in the tray and in notifications.
 *
 *   quit (): everything has come to rest, or will not, see kp_agent_has_left_jobs(); the process
 * may end */

#include "kp-clock.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_AGENT (kp_agent_get_type ())
G_DECLARE_FINAL_TYPE (KpAgent, kp_agent, KP, AGENT, GObject)

KpAgent *kp_agent_new (GDBusConnection *bus, KpClock *clock, gboolean at_login, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_agent_begin (KpAgent *agent);
void kp_agent_quit (KpAgent *agent);
gboolean kp_agent_has_left_jobs (KpAgent *agent);

G_END_DECLS

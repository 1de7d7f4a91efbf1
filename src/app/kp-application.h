/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The process: its one window, the actions that launchers and the agent call, and the client of the
 * agent. It can back up and pause without a window. */

#include "kp-agent-client.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_APPLICATION (kp_application_get_type ())
G_DECLARE_FINAL_TYPE (KpApplication, kp_application, KP, APPLICATION, AdwApplication)

KpApplication *kp_application_new (void);
KpApplication *kp_application_get (void);
KpAgentClient *kp_application_get_client (KpApplication *self);
GSettings *kp_application_get_settings (KpApplication *self);

G_END_DECLS

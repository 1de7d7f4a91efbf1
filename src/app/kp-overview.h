/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The first page: a card for each plan, or why there is none. */

#include "kp-agent-client.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_OVERVIEW (kp_overview_get_type ())
G_DECLARE_FINAL_TYPE (KpOverview, kp_overview, KP, OVERVIEW, AdwBin)

void kp_overview_set_client (KpOverview *self, KpAgentClient *client);
void kp_overview_refilter (KpOverview *self);

G_END_DECLS

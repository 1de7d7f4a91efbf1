/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The assistant: folders, storage, schedule and limits, review. It sets up a plan, or changes one.
 * Nothing is created before the last page is confirmed; keys that were stored for a test are
 * forgotten again when it is left. */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_SETUP (kp_setup_get_type ())
G_DECLARE_FINAL_TYPE (KpSetup, kp_setup, KP, SETUP, AdwBin)

GtkWidget *kp_setup_new (KpPlanProxy *plan);
void kp_setup_show_keys (KpSetup *self);
void kp_setup_go_back (KpSetup *self);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The folders and files that the bucket holds of a plan: to walk through, to search, to look at
 * pictures, and to choose one. "restore" is emitted with its path and whether it is a folder; "" is
 * everything. */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_RESTORE_BROWSER (kp_restore_browser_get_type ())
G_DECLARE_FINAL_TYPE (KpRestoreBrowser, kp_restore_browser, KP, RESTORE_BROWSER, AdwBin)

void kp_restore_browser_set_plan (KpRestoreBrowser *self, KpPlanProxy *plan);
gint64 kp_restore_browser_get_moment (KpRestoreBrowser *self);
char *kp_restore_browser_dup_moment_text (KpRestoreBrowser *self);
void kp_restore_browser_search (KpRestoreBrowser *self);
void kp_restore_browser_go_up (KpRestoreBrowser *self);

G_END_DECLS

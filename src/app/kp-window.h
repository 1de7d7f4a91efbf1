/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The main window: the overview, and above it whatever was opened from there, one page at a time.
 */

#include "kp-application.h"

G_BEGIN_DECLS

#define KP_TYPE_WINDOW (kp_window_get_type ())
G_DECLARE_FINAL_TYPE (KpWindow, kp_window, KP, WINDOW, AdwApplicationWindow)

KpWindow *kp_window_new (KpApplication *application);
KpWindow *kp_window_of (GtkWidget *widget);
KpAgentClient *kp_window_get_client (KpWindow *self);

void kp_window_show_plan (KpWindow *self, KpPlanProxy *plan);
void kp_window_show_plan_by_id (KpWindow *self, const char *id);
void kp_window_show_setup (KpWindow *self, KpPlanProxy *plan);
void kp_window_show_keys (KpWindow *self, KpPlanProxy *plan);
void kp_window_show_restore (KpWindow *self, KpPlanProxy *plan);
void kp_window_go_back (KpWindow *self);
void kp_window_ask_deletion (KpWindow *window, KpPlanProxy *plan);
void kp_window_delete_plan (KpWindow *self, KpPlanProxy *plan);
gboolean kp_window_is_being_deleted (KpWindow *self, KpPlanProxy *plan);

AdwToast *kp_window_make_toast (const char *text);
void kp_window_toast (KpWindow *self, const char *text);
void kp_window_show_error (KpWindow *self, const char *title, const GError *error);
void kp_window_help (KpWindow *self, KpPlanProxy *plan, KpHelp help);

G_END_DECLS

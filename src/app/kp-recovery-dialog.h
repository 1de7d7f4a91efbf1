/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The page that says how to get the files of a plan back without Keepsake: to read, copy, save and
 * print. */

#include "kp-plan.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_RECOVERY_DIALOG (kp_recovery_dialog_get_type ())
G_DECLARE_FINAL_TYPE (KpRecoveryDialog, kp_recovery_dialog, KP, RECOVERY_DIALOG, AdwWindow)

GtkWidget *kp_recovery_dialog_new (GtkWindow *parent, KpPlan *plan, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

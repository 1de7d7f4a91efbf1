/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The set-up's first page: folders, and what of them to leave out. Has the agent count in the
 * background: "measured" comes with each new size. */

#include "kp-plan.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_SETUP_FOLDERS (kp_setup_folders_get_type ())
G_DECLARE_FINAL_TYPE (KpSetupFolders, kp_setup_folders, KP, SETUP_FOLDERS, AdwBin)

void kp_setup_folders_load (KpSetupFolders *self, KpPlan *plan);
void kp_setup_folders_apply (KpSetupFolders *self, KpPlan *plan);
gboolean kp_setup_folders_check (KpSetupFolders *self);
gboolean kp_setup_folders_get_size (KpSetupFolders *self, guint64 *files, guint64 *bytes);

G_END_DECLS

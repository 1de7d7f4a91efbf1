/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the bucket holds of a plan, to browse and search; then where to restore it to; then how that
 * goes on. */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_RESTORE_PAGE (kp_restore_page_get_type ())
G_DECLARE_FINAL_TYPE (KpRestorePage, kp_restore_page, KP, RESTORE_PAGE, AdwBin)

GtkWidget *kp_restore_page_new (KpPlanProxy *plan);
KpPlanProxy *kp_restore_page_get_plan (KpRestorePage *self);
void kp_restore_page_go_back (KpRestorePage *self);

G_END_DECLS

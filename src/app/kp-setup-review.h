/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The set-up's last page: the name, and all that was chosen, in words. */

#include "kp-plan.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_SETUP_REVIEW (kp_setup_review_get_type ())
G_DECLARE_FINAL_TYPE (KpSetupReview, kp_setup_review, KP, SETUP_REVIEW, AdwBin)

void kp_setup_review_show (KpSetupReview *self, KpPlan *plan, guint64 bytes);
void kp_setup_review_apply (KpSetupReview *self, KpPlan *plan);
gboolean kp_setup_review_check (KpSetupReview *self);
void kp_setup_review_show_error (KpSetupReview *self, const char *text);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Which moment of the backup is shown: now, or a day and time in the past. "changed" is emitted
 * when the user has chosen another. */

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_MOMENT_BUTTON (kp_moment_button_get_type ())
G_DECLARE_FINAL_TYPE (KpMomentButton, kp_moment_button, KP, MOMENT_BUTTON, AdwBin)

gint64 kp_moment_button_get_moment (KpMomentButton *self);
char *kp_moment_button_dup_text (KpMomentButton *self);

G_END_DECLS

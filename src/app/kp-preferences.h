/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What holds for all plans: the start at login, and what new plans begin with. */

#include "kp-application.h"

G_BEGIN_DECLS

#define KP_TYPE_PREFERENCES (kp_preferences_get_type ())
G_DECLARE_FINAL_TYPE (KpPreferences, kp_preferences, KP, PREFERENCES, AdwPreferencesWindow)

KpPreferences *kp_preferences_new (KpApplication *application);

G_END_DECLS

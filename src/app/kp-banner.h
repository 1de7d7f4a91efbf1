/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What concerns all plans, and what can be done about it: that the agent does not answer, that
 * backups are paused, that there is no network. Takes no room while there is nothing to say.
 *
 *   agent-only (boolean): says no more than that the agent does not answer, on pages that say the
 *     rest of their plan
 *   problems-only (boolean): says no more than that there are files of plans that cannot be read,
 *     or what else is wrong with the agent's own files, as long as it answers. One of its own, as
 *     that lasts, and must not hide the button that ends a pause */

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_BANNER (kp_banner_get_type ())
G_DECLARE_FINAL_TYPE (KpBanner, kp_banner, KP, BANNER, AdwBin)

G_END_DECLS

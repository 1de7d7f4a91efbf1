/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Keeps the computer from suspending by itself while a transfer runs that somebody asked for:
 * a block lock of logind, in a sandbox the Inhibit portal. Where neither answers, it may suspend.
 */

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_INHIBITOR (kp_inhibitor_get_type ())
G_DECLARE_FINAL_TYPE (KpInhibitor, kp_inhibitor, KP, INHIBITOR, GObject)

KpInhibitor *kp_inhibitor_new (void);
void kp_inhibitor_set (KpInhibitor *inhibitor, gboolean active, const char *reason);
gboolean kp_inhibitor_is_held (KpInhibitor *inhibitor);

G_END_DECLS

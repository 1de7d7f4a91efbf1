/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* In a Flatpak some folders are the sandbox's own, and not those of the computer: a backup of its
 * /etc would go well, and be of the runtime; what is restored into its /tmp is gone when it ends.
 */

#include <glib.h>

G_BEGIN_DECLS

gboolean kp_sandbox_hides (const char *path);
void kp_sandbox_pretend (const char *info);

G_END_DECLS

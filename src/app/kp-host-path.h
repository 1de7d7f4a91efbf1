/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a folder really is that was chosen in a dialog. In a sandbox the desktop may hand over
 * another path to it, which shows neither owners nor extended attributes. */

char *kp_host_path_find (const char *path);

G_END_DECLS

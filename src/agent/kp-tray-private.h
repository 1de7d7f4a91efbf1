/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the tray needs and must not know how to make: interfaces and pixels out of our resources. */

#include "kp-tray.h"

G_BEGIN_DECLS

GDBusInterfaceInfo *kp_tray_interface (const char *name);
GVariant *kp_tray_pixmaps (KpTrayState state);

G_END_DECLS

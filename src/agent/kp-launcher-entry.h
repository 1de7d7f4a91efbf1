/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Progress on the application's icon in docks and task bars that know
 * com.canonical.Unity.LauncherEntry. A signal to whoever listens. */

#include <gio/gio.h>

G_BEGIN_DECLS

void kp_launcher_entry_update (GDBusConnection *bus, double fraction);

G_END_DECLS

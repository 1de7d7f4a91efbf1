/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-launcher-entry.h"

#include "config.h"

/* Listeners go by the name of the desktop file; any path will do. */
#define ENTRY_PATH "/io/github/keepsake_backup/Keepsake/LauncherEntry"
#define ENTRY_INTERFACE "com.canonical.Unity.LauncherEntry"

/**
 * kp_launcher_entry_update:
 * @bus: the session bus
 * @fraction: how much is done, 0 to 1; less than 0 when there is nothing to show
 *
 * Says it once. Docks and task bars that start later do not hear of it.
 */
void
kp_launcher_entry_update (GDBusConnection *bus, double fraction)
{
  g_return_if_fail (G_IS_DBUS_CONNECTION (bus));

  g_auto (GVariantDict) properties = G_VARIANT_DICT_INIT (NULL);
  gboolean is_visible = fraction >= 0;

  g_variant_dict_insert (&properties, "progress", "d", is_visible ? MIN (fraction, 1.0) : 0.0);
  g_variant_dict_insert (&properties, "progress-visible", "b", is_visible);

  g_autoptr (GError) error = NULL;
  if (!g_dbus_connection_emit_signal (bus, NULL, ENTRY_PATH, ENTRY_INTERFACE, "Update",
                                      g_variant_new ("(s@a{sv})",
                                                     "application://" KP_APPLICATION_ID ".desktop",
                                                     g_variant_dict_end (&properties)),
                                      &error))
    g_debug ("Cannot tell the progress: %s", error->message);
}

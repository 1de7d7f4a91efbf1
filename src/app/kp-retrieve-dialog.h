/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Asks how files that lie in an archive are to be asked for: fast and dear, or slowly and cheaply.
 */

#include <adwaita.h>

G_BEGIN_DECLS

/* @tier: as the agent's Restore knows it: "standard", "bulk" or "expedited" */
typedef void (*KpRetrieveFunc) (const char *tier, GObject *owner);

const char *kp_retrieve_describe_wait (const char *tier);
void kp_retrieve_dialog_show (GtkWindow *parent,
                              guint64 n_files,
                              KpRetrieveFunc func,
                              GObject *owner);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The end of an agent that no longer answers: it is asked to end, and ended when it does not. What
 * it had sent is recorded, and the next one goes on from there. Never another process, whatever a
 * bus says of its number. */

#include <gio/gio.h>

G_BEGIN_DECLS

gboolean kp_agent_process_can_end (void);
void kp_agent_process_end_async (GDBusConnection *bus,
                                 GAsyncReadyCallback callback,
                                 void *user_data);
gboolean kp_agent_process_end_finish (GAsyncResult *result);

G_END_DECLS

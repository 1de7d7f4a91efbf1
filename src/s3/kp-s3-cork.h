/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Has the kernel gather what is written to a connection, so that a head and a body of many small
 * writes go out in few packets. libsoup writes 8 KiB at a time and wants each sent at once. */

#include <gio/gio.h>

G_BEGIN_DECLS

gboolean kp_s3_cork_set (GSocket *socket, gboolean corked);

G_END_DECLS

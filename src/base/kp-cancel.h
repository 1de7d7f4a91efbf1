/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A cancellable of our own that the caller's cancels, too. */

#include <gio/gio.h>

G_BEGIN_DECLS

gulong kp_cancel_follow (GCancellable *ours, GCancellable *theirs);

G_END_DECLS

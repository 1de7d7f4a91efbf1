/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What each program that runs jobs has to set once, before anything else. */

#include <glib.h>

G_BEGIN_DECLS

void kp_process_prepare (void);

G_END_DECLS

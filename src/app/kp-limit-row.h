/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A switch and a slider for a limit of the upload: "limit" is bytes per second, 0 for none. The
 * slider goes by powers of two, as nobody can hit 256 KiB/s on a straight one. */

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_LIMIT_ROW (kp_limit_row_get_type ())
G_DECLARE_FINAL_TYPE (KpLimitRow, kp_limit_row, KP, LIMIT_ROW, AdwPreferencesRow)

guint64 kp_limit_row_get_limit (KpLimitRow *self);
void kp_limit_row_set_limit (KpLimitRow *self, guint64 limit);

G_END_DECLS

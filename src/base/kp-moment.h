/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Moments in the past as people write them: "yesterday 18:00", "3 days ago", "2026-11-27 18:00".
 * Pure: now is an argument. */

#include <glib.h>

G_BEGIN_DECLS

gboolean kp_moment_parse (const char *text, GDateTime *now, gint64 *moment, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

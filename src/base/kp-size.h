/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Sizes, rates and durations as people write and read them.
 *
 * Units are binary, as in trickle, rsync and rclone: K = 1024 bytes. All functions are pure. */

#include <glib.h>

G_BEGIN_DECLS

gboolean kp_size_parse (const char *text, guint64 *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_rate_parse (const char *text, guint64 *bytes_per_second, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_duration_parse (const char *text, guint64 *seconds, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

char *kp_size_format (guint64 bytes);
char *kp_rate_format (guint64 bytes_per_second);
char *kp_duration_format (guint64 seconds);

G_END_DECLS

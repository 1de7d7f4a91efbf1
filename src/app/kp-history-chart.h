/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Bars for the bytes that each of the last runs sent, oldest first; failed runs in the colour of
 * errors. Says the same in words to assistive technology. */

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define KP_TYPE_HISTORY_CHART (kp_history_chart_get_type ())
G_DECLARE_FINAL_TYPE (KpHistoryChart, kp_history_chart, KP, HISTORY_CHART, GtkWidget)

void kp_history_chart_clear (KpHistoryChart *self);
void kp_history_chart_prepend (KpHistoryChart *self, guint64 bytes, gboolean is_good);

G_END_DECLS

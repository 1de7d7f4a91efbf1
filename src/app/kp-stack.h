/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A GtkStack that has no page in it but the one that is shown: GTK 4.8 tells assistive technology
 * of all of them. The others are kept, without a window. */

#include <gtk/gtk.h>

G_BEGIN_DECLS

GtkWidget *kp_stack_show (GtkStack *stack, const char *name);

G_END_DECLS

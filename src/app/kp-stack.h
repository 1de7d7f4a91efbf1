/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A GtkStack whose other pages are hidden from assistive technology too, which GTK 4.8 leaves to
 * us. */

#include <gtk/gtk.h>

G_BEGIN_DECLS

void kp_stack_show (GtkStack *stack, const char *name);

G_END_DECLS

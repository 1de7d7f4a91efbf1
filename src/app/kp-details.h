/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A small window with a sentence for people and the technical text behind it, to read and copy.
 * Holds texts of any length. */

#include <adwaita.h>

G_BEGIN_DECLS

void kp_details_show (GtkWindow *parent, const char *title, const char *text);

G_END_DECLS

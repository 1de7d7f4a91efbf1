/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What is asked before a plan is deleted: whether what the storage holds of it goes too, and then,
 * with the numbers, once more. It counts the objects with the agent's help while the question is
 * read, and deletes nothing itself. */

#include "kp-plan-proxy.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* @with_objects: what is stored, too; @max_delete: of how many objects the user was told then */
typedef void (*KpDeleteFunc) (GtkWindow *window,
                              KpPlanProxy *plan,
                              gboolean with_objects,
                              guint64 max_delete);

void kp_delete_dialog_show (GtkWindow *window, KpPlanProxy *plan, KpDeleteFunc func);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* How many bytes of file contents a job's workers may hold in memory at once, however many they
 * are. Thread-safe. */

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _KpBudget KpBudget;

KpBudget *kp_budget_new (guint64 bytes);
void kp_budget_free (KpBudget *budget);
gboolean kp_budget_take (KpBudget *budget, guint64 bytes, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_budget_give_back (KpBudget *budget, guint64 bytes);
unsigned kp_budget_get_waiting (KpBudget *budget);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpBudget, kp_budget_free)

G_END_DECLS

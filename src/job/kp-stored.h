/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the storage holds of a plan, as somebody counts or deletes it when the plan is removed:
 * whose objects they are is a matter of all plans. */

#include "kp-erase.h"
#include "kp-plan.h"

#include <gio/gio.h>

G_BEGIN_DECLS

GPtrArray *kp_stored_copy_others (KpPlan *plan, GListModel *plans);
KpErase *kp_stored_new_erase (KpPlan *plan,
                              GPtrArray *others,
                              KpS3Service *service,
                              const char *state_dir,
                              KpEventFunc func,
                              void *user_data);

G_END_DECLS

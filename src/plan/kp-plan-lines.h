/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* In which line of a plan file a member stands: json-glib knows it only while it reads. */

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _KpPlanLines KpPlanLines;

KpPlanLines *kp_plan_lines_new (JsonParser *parser);
guint kp_plan_lines_find (KpPlanLines *lines, JsonObject *root, const char *path);
void kp_plan_lines_free (KpPlanLines *lines);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpPlanLines, kp_plan_lines_free)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Memory for the contents of files: large, used once, and given back. */

#include <glib.h>

G_BEGIN_DECLS

void *kp_block_try_alloc (gsize size) G_GNUC_WARN_UNUSED_RESULT G_GNUC_MALLOC;
void *kp_block_alloc (gsize size) G_GNUC_WARN_UNUSED_RESULT G_GNUC_MALLOC;

G_END_DECLS

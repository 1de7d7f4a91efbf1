/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What to do about one file, from what scan, listing and catalogue say of it. Pure. */

#include "kp-catalogue.h"

G_BEGIN_DECLS

typedef enum
{
  KP_DECISION_UNCHANGED,
  KP_DECISION_PUT,            /* the bytes differ, or nothing is there */
  KP_DECISION_LOOK_AT_FILE,   /* something moved; only the bytes can tell whether they did */
  KP_DECISION_LOOK_AT_OBJECT, /* an object that the catalogue does not know: a HEAD can tell */
} KpDecision;

KpDecision kp_compare_decide (const KpComparison *row, gboolean checksum);
gboolean kp_compare_same_metadata (const KpFileInfo *a, const KpFileInfo *b);
guint64 kp_compare_object_size (const KpFileInfo *info);

G_END_DECLS

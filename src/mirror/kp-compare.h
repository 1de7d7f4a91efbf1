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
  /* Somebody has written the object again since: a HEAD can tell whether it says another thing. */
  KP_DECISION_LOOK_AT_HEADERS,
} KpDecision;

/* How much later than recorded an object may be listed that nobody has touched, in seconds. The
 * computers of one storage have clocks of their own, the one that answers is not always the one
 * that stores, and times are rounded. Who touches an object so soon after us is not seen. */
#define KP_COMPARE_CLOCK_SLACK 10

KpDecision kp_compare_decide (const KpComparison *row, gboolean checksum);
gboolean kp_compare_is_touched (const KpComparison *row, gint64 now);
gboolean kp_compare_same_metadata (const KpFileInfo *a, const KpFileInfo *b);
guint64 kp_compare_object_size (const KpFileInfo *info);

G_END_DECLS

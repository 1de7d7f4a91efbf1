/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The walk over the sources: one fstatat() for each name, nothing opened but folders, no symbolic
 * link followed. What it finds goes into the catalogue's scan table. */

#include "kp-filter.h"
#include "kp-report.h"
#include "kp-source.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 entries;     /* without the source's root itself */
  guint64 unreadable;  /* folders and names that could not be looked at */
  guint64 too_long;    /* names that the bucket cannot hold */
  GPtrArray *left_out; /* keys of folders on other file systems, which were not entered */
} KpScanResult;

gboolean kp_scan_source (KpSource *source,
                         guint index,
                         KpFilter *filter,
                         gboolean all_file_systems,
                         KpCatalogue *catalogue,
                         KpReport *report,
                         KpScanResult *result,
                         GCancellable *cancellable,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_scan_result_clear (KpScanResult *result);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpScanResult, kp_scan_result_clear)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The walk over the sources: one fstatat() for each name, nothing opened but folders, no symbolic
 * link followed. What it finds goes into the catalogue's scan table. */

#include "kp-filter.h"
#include "kp-report.h"
#include "kp-source.h"

G_BEGIN_DECLS

/* A file system that is mounted below a source. */
typedef struct
{
  guint source; /* its number */
  char *path;   /* absolute */
  KpRootIdentity identity;
  gboolean entered; /* what is on it belongs to the scan */
  gboolean is_disk; /* of this computer */
} KpScanMount;

typedef struct
{
  guint64 unreadable;  /* folders and names that could not be looked at */
  guint64 too_long;    /* names that the bucket cannot hold */
  GPtrArray *left_out; /* keys of folders that were not entered: on other file systems, or own */
  GPtrArray *mounts;   /* of KpScanMount */
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

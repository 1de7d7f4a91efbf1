/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What this computer recorded of the objects that it stored, for a restore: it tells bytes that are
 * not those that were stored, and objects that are missing. Only reads, and takes no lock. */

#include "kp-catalogue.h"

G_BEGIN_DECLS

typedef struct _KpRecord KpRecord;

KpRecord *kp_record_open (const char *state_dir, KpS3Location *location);
void kp_record_free (KpRecord *record);
gboolean kp_record_find (KpRecord *record, const char *key, KpKnown *known);
GArray *kp_record_find_chunks (KpRecord *record, const char *key, const char *etag);
char *kp_record_next (KpRecord *record, const char *prefix, const char *after);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpRecord, kp_record_free)

G_END_DECLS

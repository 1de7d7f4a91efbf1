/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Where the objects are kept that a mirror deleted or replaced, beside the mirror of prefix P:
 *
 *   P.keepsake-kept/2026-11-28T18:30:05Z/deleted/KEY
 *   P.keepsake-kept/2026-11-28T18:30:05Z/replaced/KEY
 *
 * KEY is the object's key below the mirror's prefix ("" for the object "P/" of the mirror's own
 * folder). The time is UTC, and at most an hour before it was done: a long run has several, and
 * what it deletes has one of its own. Times sort as text, and no two runs of a destination have the
 * same. Of a mirror at the bucket's root it is
 * ".keepsake-kept/…".
 *
 * Names only: functions that ask no server. */

#include "kp-s3-listing.h"
#include "kp-s3-location.h"

G_BEGIN_DECLS

/* What stands behind the mirror's prefix. */
#define KP_KEPT_NAME ".keepsake-kept"

typedef enum
{
  KP_KEPT_DELETED,  /* the run left nothing under the key */
  KP_KEPT_REPLACED, /* the run put another object under the key */
} KpKeptReason;

char *kp_kept_get_prefix (KpS3Location *location);
gboolean kp_kept_is_below (KpS3Location *location, const char *key);
void kp_kept_hide (KpS3Location *location, KpS3Listing *listing);
char *kp_kept_run_to_string (gint64 run);
gboolean kp_kept_parse_run (const char *text, gint64 *run);
char *kp_kept_key (KpS3Location *location, gint64 run, KpKeptReason reason, const char *mirror_key);
gboolean kp_kept_find_run (const char *key, gint64 *run);
gboolean kp_kept_is_anybodys (const char *key);
gboolean kp_kept_parse (KpS3Location *location,
                        const char *key,
                        gint64 *run,
                        gboolean *was_deleted,
                        char **mirror_key);

G_END_DECLS

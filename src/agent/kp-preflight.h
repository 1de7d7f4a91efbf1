/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What has to be looked at just before a job starts, and can take its time: whether the folders are
 * there, and whether the keyring gives the keys. In a thread of its own, as a network mount may
 * hang. */

#include "kp-plan.h"
#include "kp-s3-credentials.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_HELD_SOURCE_MISSING "source-missing"

typedef struct
{
  const char *held_by;          /* reason for scripts, static; NULL when nothing is in the way */
  KpS3Credentials *credentials; /* NULL when something is */
} KpPreflight;

void kp_preflight_async (KpPlan *plan,
                         gboolean may_prompt,
                         gboolean needs_sources,
                         GAsyncReadyCallback callback,
                         void *user_data);
gboolean kp_preflight_finish (GAsyncResult *result, KpPreflight *preflight, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_preflight_set_patience (guint seconds);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What a mirror held at a moment: from the versions that the bucket keeps, or else from the objects
 * that were kept beside the mirror when others took their place. Blocks. */

#include "kp-catalogue.h"
#include "kp-s3-client.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 found;     /* objects that were there */
  gint64 kept_since; /* Unix seconds: the first of the runs that kept objects of it; 0 for none */
  gint64
      complete_since; /* Unix seconds: what ended before that may be missing; 0 for nothing known */
  gboolean is_unsure; /* others keep, and nothing of this is kept: perhaps nothing of it ended */
} KpPastResult;

/* Called for each page of a listing with the number of its entries. */
typedef void (*KpPastFunc) (guint entries, void *user_data);

gboolean kp_past_list (KpS3Client *client,
                       KpCatalogue *catalogue,
                       const char *prefix,
                       gboolean is_key,
                       gint64 at,
                       KpPastResult *result,
                       KpPastFunc func,
                       void *user_data,
                       GCancellable *cancellable,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

char *kp_past_describe_gap (const KpPastResult *result, gint64 at);

/* One of the versions of one file. */
typedef struct
{
  gint64 stored; /* Unix seconds; 0 where it is not known */
  gint64 until;  /* when it was replaced or deleted, Unix seconds; 0 for what is there now */
  guint64 size;
  char *version_id;    /* or NULL */
  char *from_key;      /* where it is kept instead, or NULL */
  char *storage_class; /* or NULL */
  gboolean is_deletion;
} KpPastVersion;

GPtrArray *kp_past_list_versions (KpS3Service *service,
                                  const char *key,
                                  GCancellable *cancellable,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_past_version_free (KpPastVersion *version);

G_END_DECLS

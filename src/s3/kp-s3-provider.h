/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What differs between S3-compatible stores, read from kp-s3-providers.ini: a new provider or quirk
 * is a line of data there, not an if here. Immutable and shared; never freed. */

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  KP_S3_SUPPORT_NO,
  KP_S3_SUPPORT_YES,
  KP_S3_SUPPORT_TRY, /* nobody knows: find out, and fall back */
} KpS3Support;

typedef struct
{
  const char *id;
  const char *name;
  const char *const *hosts;   /* patterns as for g_pattern_match_simple() */
  const char *endpoint;       /* template with {region} and {account}, or "" */
  const char *const *regions; /* at least one; the first is the default */
  gboolean global_names;      /* a bucket's name is enough to find it, whatever the region */
  gboolean virtual_style;
  unsigned list_version; /* 1 or 2 */
  gboolean ordered;      /* keys are listed in the order of their bytes */
  gboolean url_encoding;
  KpS3Support part_copy;
  gboolean copy_if_match;
  gboolean equal_parts; /* all parts of an upload but the last are equally long */
  unsigned max_parts;
  guint64 min_part; /* bytes */
  guint64 max_copy; /* bytes */
  KpS3Support versioning;
  gboolean always_versioned;
  gboolean md5_etag;
  gboolean quiet_delete_is_empty; /* an answer without a document says that all went well */
  const char *note;
} KpS3Provider;

const KpS3Provider *const *kp_s3_provider_list (void);
const KpS3Provider *kp_s3_provider_find (const char *id);
const KpS3Provider *kp_s3_provider_for_host (const char *host);

G_END_DECLS

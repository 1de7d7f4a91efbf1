/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Finds out what a server can do and a key may do, by trying it with small objects of its own below
 * the prefix, which it deletes again, also when it is stopped or fails in between. */

#include "kp-s3-service.h"

G_BEGIN_DECLS

typedef struct
{
  const char *what; /* "reach", "sign-in", "list" …, static */
  gboolean works;
  const char *detail;  /* a sentence, or NULL */
  const GError *error; /* why not, or NULL */
} KpS3ProbeResult;

typedef void (*KpS3ProbeFunc) (const KpS3ProbeResult *result, void *user_data);

gboolean kp_s3_probe (KpS3Service *service,
                      KpS3ProbeFunc func,
                      void *user_data,
                      GCancellable *cancellable,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

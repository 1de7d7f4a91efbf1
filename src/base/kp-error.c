/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"

#include <gio/gio.h>

G_DEFINE_QUARK (kp-error-quark, kp_error);

static const struct
{
  const char *name;
  gboolean stops_job;
} codes[KP_N_ERRORS] = {
  [KP_ERROR_FAILED] = { "failed", FALSE },
  [KP_ERROR_USAGE] = { "usage", TRUE },
  [KP_ERROR_BAD_CREDENTIALS] = { "bad-credentials", TRUE },
  [KP_ERROR_ACCESS_DENIED] = { "access-denied", TRUE },
  [KP_ERROR_NO_SUCH_BUCKET] = { "no-such-bucket", TRUE },
  [KP_ERROR_NOT_FOUND] = { "not-found", FALSE },
  [KP_ERROR_OFFLINE] = { "offline", TRUE },
  [KP_ERROR_SERVER] = { "server", FALSE },
  [KP_ERROR_TLS] = { "tls", TRUE },
  [KP_ERROR_CLOCK_SKEW] = { "clock-skew", TRUE },
  [KP_ERROR_WRONG_REGION] = { "wrong-region", TRUE },
  [KP_ERROR_QUOTA] = { "quota", TRUE },
  [KP_ERROR_SOURCE_MISSING] = { "source-missing", TRUE },
  [KP_ERROR_SOURCE_UNREADABLE] = { "source-unreadable", FALSE },
  [KP_ERROR_DELETE_GUARD] = { "delete-guard", FALSE },
  [KP_ERROR_CHANGED_WHILE_READING] = { "changed-while-reading", FALSE },
  [KP_ERROR_NAME_TOO_LONG] = { "name-too-long", FALSE },
  [KP_ERROR_METADATA_TOO_LARGE] = { "metadata-too-large", FALSE },
  [KP_ERROR_BAD_NAME] = { "bad-name", FALSE },
  [KP_ERROR_CORRUPT] = { "corrupt", FALSE },
  [KP_ERROR_CONFLICT] = { "conflict", FALSE },
  [KP_ERROR_UNSUPPORTED_BY_PROVIDER] = { "unsupported-by-provider", FALSE },
  [KP_ERROR_LOCAL_STORAGE] = { "local-storage", TRUE },
  [KP_ERROR_BUSY] = { "busy", TRUE },
  [KP_ERROR_KEYRING_LOCKED] = { "keyring-locked", TRUE },
  [KP_ERROR_ARCHIVED] = { "archived", FALSE },
  [KP_ERROR_REFUSED] = { "refused", FALSE },
};

/**
 * kp_error_name:
 * @code: a #KpError
 *
 * Returns: the name of the code as scripts see it ("bad-credentials"), never translated.
 */
const char *
kp_error_name (int code)
{
  g_return_val_if_fail (code >= 0 && code < KP_N_ERRORS, "failed");
  return codes[code].name;
}

/**
 * kp_error_stops_job:
 * @error: any error
 *
 * Whether going on with the next file would only meet the same error again: wrong keys, a full
 * account, no network, a cancelled job.
 */
gboolean
kp_error_stops_job (const GError *error)
{
  if (error->domain == KP_ERROR)
    return codes[error->code].stops_job;
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/**
 * kp_error_is:
 * @error: (nullable): any error
 * @code: a code of ours
 */
gboolean
kp_error_is (const GError *error, KpError code)
{
  return g_error_matches (error, KP_ERROR, (int) code);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The one error domain of the engine.
 *
 * A code says what a person or a script can do about it; the message says the rest. Errors of the
 * operating system (GIO, SQLite, libsoup) never leave a room unmapped. */

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  KP_ERROR_FAILED,                  /* none of the others */
  KP_ERROR_USAGE,                   /* the caller's words make no sense */
  KP_ERROR_BAD_CREDENTIALS,         /* key unknown or secret wrong */
  KP_ERROR_ACCESS_DENIED,           /* key known, but it may not do this */
  KP_ERROR_NO_SUCH_BUCKET,          /* the bucket does not exist */
  KP_ERROR_NOT_FOUND,               /* an object, upload or version does not exist */
  KP_ERROR_OFFLINE,                 /* the server cannot be reached */
  KP_ERROR_SERVER,                  /* the server answers, but not usefully, after all retries */
  KP_ERROR_TLS,                     /* the server's certificate is not trusted */
  KP_ERROR_CLOCK_SKEW,              /* this computer's clock is too far from the server's */
  KP_ERROR_WRONG_REGION,            /* the bucket lives in another region */
  KP_ERROR_QUOTA,                   /* the account or bucket is full */
  KP_ERROR_SOURCE_MISSING,          /* a source folder is not there */
  KP_ERROR_SOURCE_UNREADABLE,       /* a file or folder of the source cannot be read */
  KP_ERROR_DELETE_GUARD,            /* deletions were wanted and held back */
  KP_ERROR_CHANGED_WHILE_READING,   /* a file never stood still long enough */
  KP_ERROR_NAME_TOO_LONG,           /* the key would exceed 1024 bytes */
  KP_ERROR_METADATA_TOO_LARGE,      /* extended attributes exceed what headers can carry */
  KP_ERROR_BAD_NAME,                /* a key that names no file we would create */
  KP_ERROR_CORRUPT,                 /* bytes are not what they should be */
  KP_ERROR_CONFLICT,                /* something changed under us, or stands in the way */
  KP_ERROR_UNSUPPORTED_BY_PROVIDER, /* the server does not offer this operation */
  KP_ERROR_LOCAL_STORAGE,           /* catalogue or target: full, read-only, damaged */
  KP_ERROR_BUSY,                    /* another job works on the same destination */
  KP_ERROR_KEYRING_LOCKED,          /* the keyring holds the secret but is locked */
  KP_ERROR_ARCHIVED,                /* an object has to be retrieved from an archive first */
  KP_ERROR_REFUSED,                 /* the server will never do this, and says no more than that */
} KpError;

#define KP_N_ERRORS (KP_ERROR_REFUSED + 1)

#define KP_ERROR (kp_error_quark ())
GQuark kp_error_quark (void);

const char *kp_error_name (int code);
gboolean kp_error_stops_job (const GError *error);
gboolean kp_error_is (const GError *error, KpError code);

G_END_DECLS

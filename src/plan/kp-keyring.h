/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The keys of a plan in the user's keyring. Nothing is kept here, and no secret ever reaches a log,
 * a message, an attribute or a label.
 *
 * Each plan has an item for its access key, one for the secret and, with temporary keys, one for
 * the session token. Their attributes, which keyrings do not encrypt, are the id of the plan and
 * the kind of the item.
 *
 * The functions block, with a prompt for as long as the user thinks: call them from a thread of
 * your own, or use kp_keyring_lookup_async(). What runs by itself must not let them prompt. */

#include "kp-s3-credentials.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  KP_KEYRING_FOUND,
  KP_KEYRING_MISSING,     /* no keys for this plan, or not all: they have to be entered */
  KP_KEYRING_LOCKED,      /* there are keys; the user has to unlock the keyring */
  KP_KEYRING_DISMISSED,   /* the user was asked to, and did not */
  KP_KEYRING_UNAVAILABLE, /* no keyring runs in this session, or it does not answer */
  KP_KEYRING_FAILED,      /* none of the others, or cancelled */
} KpKeyringStatus;

KpKeyringStatus kp_keyring_lookup (const char *plan_id,
                                   gboolean may_prompt,
                                   KpS3Credentials **credentials,
                                   GCancellable *cancellable,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_keyring_lookup_async (const char *plan_id,
                              gboolean may_prompt,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              void *user_data);
KpKeyringStatus kp_keyring_lookup_finish (GAsyncResult *result,
                                          KpS3Credentials **credentials,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_keyring_store (const char *plan_id,
                           const char *plan_name,
                           KpS3Credentials *credentials,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_keyring_clear (const char *plan_id, GCancellable *cancellable, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

const char *kp_keyring_status_name (KpKeyringStatus status);
GStrv kp_keyring_list_aws_profiles (const char *credentials_file);

G_END_DECLS

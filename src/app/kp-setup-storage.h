/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The set-up's second page: where to, and with which keys; and whether that works, in words. Keys
 * go into the keyring under an id made for the test alone, and the page forgets them again when it
 * goes; kp_setup_storage_store_async() stores them under the plan's. */

#include "kp-plan.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_SETUP_STORAGE (kp_setup_storage_get_type ())
G_DECLARE_FINAL_TYPE (KpSetupStorage, kp_setup_storage, KP, SETUP_STORAGE, AdwBin)

void kp_setup_storage_load (KpSetupStorage *self, KpPlan *plan, gboolean has_keys);
void kp_setup_storage_apply (KpSetupStorage *self, KpPlan *plan);
gboolean kp_setup_storage_has_entered_keys (KpSetupStorage *self);
gboolean kp_setup_storage_is_tested (KpSetupStorage *self);
void kp_setup_storage_test (KpSetupStorage *self);
void kp_setup_storage_focus_keys (KpSetupStorage *self);
void kp_setup_storage_refuse_prefix (KpSetupStorage *self, const char *text);

void kp_setup_storage_store_async (KpSetupStorage *self,
                                   KpPlan *plan,
                                   GAsyncReadyCallback callback,
                                   void *user_data);
gboolean kp_setup_storage_store_finish (GAsyncResult *result, GError **error);

G_END_DECLS

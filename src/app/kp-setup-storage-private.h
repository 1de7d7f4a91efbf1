/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What kp-setup-storage.c (fields, the keyring) and kp-setup-storage-test.c (the test) share. */

#include "kp-setup-storage.h"

#include <libsecret/secret.h>

G_BEGIN_DECLS

struct _KpSetupStorage
{
  AdwBin parent_instance;

  char *test_id;     /* (nullable): what the keys are stored under during a test */
  gboolean has_keys; /* the plan has some already, in the keyring */
  char *plan_id;     /* of the plan that is being changed, or of the new one */
  gboolean is_loading;
  gboolean endpoint_is_ours; /* it was filled in from the provider's template */
  gboolean is_testing;
  gboolean is_tested;
  GCancellable *cancellable;
  unsigned versions_days; /* to be switched on before this test; 0 for not */
  char *tested_plan;      /* (nullable): while they are */
  char *details;          /* (nullable) */
  AdwComboRow *provider_row;
  GtkEditable *account_row;
  GtkEditable *region_row;
  GtkMenuButton *region_button;
  GtkEditable *endpoint_row;
  GtkWidget *http_row;
  GtkSwitch *http_switch;
  GtkEditable *bucket_row;
  GtkEditable *prefix_row;
  GtkWidget *place_notes;
  GtkLabel *place_error;
  GtkLabel *note_label;
  GtkEditable *access_row;
  GtkEditable *secret_row;
  GtkLabel *keys_error;
  GtkWidget *keys_note;
  GtkWidget *test_button;
  GtkSpinner *spinner;
  GtkLabel *test_label;
  GtkWidget *details_button;
  GtkWidget *results_group;
  GtkListBox *results;
};

/* kp-setup-storage.c */
char *kp_setup_storage_dup_text (GtkEditable *row);
SecretValue *kp_setup_storage_dup_secret (KpSetupStorage *self);
gboolean kp_setup_storage_is_plain_http (KpSetupStorage *self);
void kp_setup_storage_set_row_error (GtkEditable *row, gboolean is_wrong);
void kp_setup_storage_show_error (GtkLabel *label, const char *text);
void kp_setup_storage_show_place_error (KpSetupStorage *self, const char *text);
void kp_setup_storage_clear_errors (KpSetupStorage *self);
void kp_setup_storage_forget_test_keys (KpSetupStorage *self);
void kp_setup_storage_run_keys_job (KpSetupStorage *self,
                                    const char *id,
                                    const char *name,
                                    gboolean store,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    void *data);
void kp_setup_storage_emit_tested (KpSetupStorage *self, gboolean works);

/* kp-setup-storage-test.c */
void kp_setup_storage_begin_test (KpSetupStorage *self, unsigned versions_days);

G_END_DECLS

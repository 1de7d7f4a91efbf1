/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-storage-private.h"

#include "kp-details.h"
#include "kp-keyring.h"
#include "kp-s3-provider.h"
#include "kp-test-keys.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <string.h>

enum
{
  SIGNAL_TESTED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpSetupStorage, kp_setup_storage, ADW_TYPE_BIN)

void
kp_setup_storage_emit_tested (KpSetupStorage *self, gboolean works)
{
  g_signal_emit (self, signals[SIGNAL_TESTED], 0, works);
}

/* Every test that stored keys forgets them, however it ends. */
void
kp_setup_storage_forget_test_keys (KpSetupStorage *self)
{
  if (self->test_id != NULL)
    kp_test_keys_forget (self->test_id);
  g_clear_pointer (&self->test_id, g_free);
}

/* --- fields --------------------------------------------------------------------------------- */

static const KpS3Provider *
get_provider (KpSetupStorage *self)
{
  return kp_s3_provider_list ()[adw_combo_row_get_selected (self->provider_row)];
}

char *
kp_setup_storage_dup_text (GtkEditable *row)
{
  return g_strstrip (g_strdup (gtk_editable_get_text (row)));
}

/**
 * kp_setup_storage_dup_secret:
 *
 * Returns: (transfer full): the secret key, without blanks around it. It is in memory that is not
 *   paged out, and wiped, as is the row's own.
 */
SecretValue *
kp_setup_storage_dup_secret (KpSetupStorage *self)
{
  const char *text = gtk_editable_get_text (self->secret_row);
  gsize length;

  while (g_ascii_isspace (*text))
    text++;
  length = strlen (text);
  while (length > 0 && g_ascii_isspace (text[length - 1]))
    length--;
  return secret_value_new (text, (gssize) length, "text/plain");
}

gboolean
kp_setup_storage_is_plain_http (KpSetupStorage *self)
{
  g_autofree char *endpoint = kp_setup_storage_dup_text (self->endpoint_row);

  return g_str_has_prefix (endpoint, "http://") && strstr (endpoint, "://127.") == NULL
         && strstr (endpoint, "://localhost") == NULL && strstr (endpoint, "://[::1]") == NULL;
}

void
kp_setup_storage_set_row_error (GtkEditable *row, gboolean is_wrong)
{
  if (is_wrong)
    gtk_widget_add_css_class (GTK_WIDGET (row), "error");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (row), "error");
  gtk_accessible_update_state (
      GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_STATE_INVALID,
      is_wrong ? GTK_ACCESSIBLE_INVALID_TRUE : GTK_ACCESSIBLE_INVALID_FALSE, -1);
}

void
kp_setup_storage_show_error (GtkLabel *label, const char *text)
{
  gtk_label_set_label (label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (label), text != NULL);
}

/* An empty group would leave a gap. */
static void
show_notes (KpSetupStorage *self)
{
  gtk_widget_set_visible (self->place_notes,
                          gtk_widget_get_visible (GTK_WIDGET (self->place_error))
                              || gtk_widget_get_visible (GTK_WIDGET (self->note_label)));
}

void
kp_setup_storage_show_place_error (KpSetupStorage *self, const char *text)
{
  kp_setup_storage_show_error (self->place_error, text);
  show_notes (self);
}

void
kp_setup_storage_clear_errors (KpSetupStorage *self)
{
  GtkEditable *rows[] = { self->account_row, self->region_row, self->endpoint_row, self->bucket_row,
                          self->prefix_row,  self->access_row, self->secret_row };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    kp_setup_storage_set_row_error (rows[i], FALSE);
  kp_setup_storage_show_place_error (self, NULL);
  kp_setup_storage_show_error (self->keys_error, NULL);
  gtk_label_set_label (self->test_label, "");
  gtk_widget_set_visible (self->details_button, FALSE);
  gtk_widget_set_visible (self->results_group, FALSE);
}

/* What was found is of fields that were others. A test that runs ends, and whoever waits for it
 * hears of that. */
static void
forget_test (KpSetupStorage *self)
{
  gboolean was_testing = self->is_testing;

  self->is_tested = FALSE;
  if (was_testing)
    {
      g_cancellable_cancel (self->cancellable);
      g_clear_object (&self->cancellable);
      self->cancellable = g_cancellable_new ();
      self->is_testing = FALSE;
      kp_setup_storage_forget_test_keys (self);
      gtk_spinner_stop (self->spinner);
      gtk_widget_set_sensitive (self->test_button, TRUE);
    }
  kp_setup_storage_clear_errors (self);
  if (was_testing)
    kp_setup_storage_emit_tested (self, FALSE);
}

static void
edited_cb (KpSetupStorage *self)
{
  gtk_widget_set_visible (self->http_row, kp_setup_storage_is_plain_http (self));
  if (!self->is_loading)
    forget_test (self);
}

static void
endpoint_edited_cb (KpSetupStorage *self)
{
  if (!self->is_loading)
    self->endpoint_is_ours = FALSE;
  edited_cb (self);
}

static void
keys_edited_cb (KpSetupStorage *self)
{
  if (!self->is_loading)
    forget_test (self);
}

/* The address that the provider's template gives. */
static void
fill_endpoint (KpSetupStorage *self)
{
  const KpS3Provider *provider = get_provider (self);
  g_autofree char *region = kp_setup_storage_dup_text (self->region_row);
  g_autofree char *account = kp_setup_storage_dup_text (self->account_row);
  g_autoptr (GString) endpoint = g_string_new (provider->endpoint);
  gboolean was_loading = self->is_loading;

  g_string_replace (endpoint, "{region}", region, 0);
  g_string_replace (endpoint, "{account}", account, 0);
  self->is_loading = TRUE;
  gtk_editable_set_text (self->endpoint_row, endpoint->str);
  self->is_loading = was_loading;
  self->endpoint_is_ours = TRUE;
}

/* What the template's {account} is in the endpoint; empty where the template has none, %NULL where
 * the endpoint is not of the template. */
static char *
find_account (const char *template, const char *region, const char *endpoint)
{
  g_autoptr (GString) filled = g_string_new (template);
  g_auto (GStrv) around = NULL;
  g_autofree char *account = NULL;
  gsize before, after, length = strlen (endpoint);

  g_string_replace (filled, "{region}", region, 0);
  around = g_strsplit (filled->str, "{account}", 2);
  if (around[0] == NULL || around[1] == NULL)
    return g_str_equal (filled->str, endpoint) ? g_strdup ("") : NULL;
  before = strlen (around[0]);
  after = strlen (around[1]);
  if (length <= before + after || !g_str_has_prefix (endpoint, around[0])
      || !g_str_has_suffix (endpoint, around[1]))
    return NULL;
  account = g_strndup (endpoint + before, length - before - after);
  return strpbrk (account, "./:@") == NULL ? g_steal_pointer (&account) : NULL;
}

/* As it is in the plan. One that is of the template goes on following the fields that it has. */
static void
load_endpoint (KpSetupStorage *self, const char *endpoint)
{
  g_autofree char *region = kp_setup_storage_dup_text (self->region_row);
  g_autofree char *account = find_account (get_provider (self)->endpoint, region, endpoint);

  gtk_editable_set_text (self->account_row, account != NULL ? account : "");
  gtk_editable_set_text (self->endpoint_row, endpoint);
  self->endpoint_is_ours = account != NULL;
}

static void
region_cb (KpSetupStorage *self)
{
  if (self->is_loading)
    return;
  forget_test (self);
  if (self->endpoint_is_ours && *get_provider (self)->endpoint != '\0')
    fill_endpoint (self);
}

static void
region_chosen_cb (KpSetupStorage *self, GVariant *parameter)
{
  gtk_editable_set_text (self->region_row, g_variant_get_string (parameter, NULL));
}

static void
choose_region_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  region_chosen_cb (KP_SETUP_STORAGE (widget), parameter);
}

static void
show_provider (KpSetupStorage *self)
{
  const KpS3Provider *provider = get_provider (self);
  g_autoptr (GMenu) menu = g_menu_new ();

  for (gsize i = 0; provider->regions[i] != NULL; i++)
    {
      g_autoptr (GMenuItem) item = g_menu_item_new (provider->regions[i], NULL);
      g_menu_item_set_action_and_target (item, "storage.region", "s", provider->regions[i]);
      g_menu_append_item (menu, item);
    }
  gtk_menu_button_set_menu_model (self->region_button, G_MENU_MODEL (menu));
  gtk_widget_set_visible (GTK_WIDGET (self->region_button),
                          provider->regions[0] != NULL && provider->regions[1] != NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->account_row),
                          strstr (provider->endpoint, "{account}") != NULL);
  gtk_label_set_label (self->note_label, provider->note);
  gtk_widget_set_visible (GTK_WIDGET (self->note_label), *provider->note != '\0');
  show_notes (self);
}

static void
provider_cb (KpSetupStorage *self)
{
  if (self->is_loading)
    return;
  self->is_loading = TRUE;
  gtk_editable_set_text (self->region_row, get_provider (self)->regions[0]);
  self->is_loading = FALSE;
  show_provider (self);
  fill_endpoint (self);
  edited_cb (self);
  self->endpoint_is_ours = *get_provider (self)->endpoint != '\0';
}

/* --- the keyring, in threads ---------------------------------------------------------------- */

typedef struct
{
  char *id;
  char *name;
  KpS3Credentials *credentials; /* NULL to forget them */
} KeysJob;

static void
keys_job_free (void *data)
{
  KeysJob *job = data;

  g_free (job->id);
  g_free (job->name);
  g_clear_pointer (&job->credentials, kp_s3_credentials_unref);
  g_free (job);
}

static void *
keys_main (void *data)
{
  g_autoptr (GTask) task = data;
  KeysJob *job = g_task_get_task_data (task);
  GError *error = NULL;
  gboolean ok;

  if (job->credentials != NULL)
    ok = kp_keyring_store (job->id, job->name, job->credentials, g_task_get_cancellable (task),
                           &error);
  else
    ok = kp_keyring_clear (job->id, NULL, &error);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
  return NULL;
}

void
kp_setup_storage_run_keys_job (KpSetupStorage *self,
                               const char *id,
                               const char *name,
                               gboolean store,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               void *data)
{
  KeysJob *job = g_new0 (KeysJob, 1);
  GTask *task = g_task_new (self, cancellable, callback, data);

  job->id = g_strdup (id);
  job->name = g_strdup (name);
  if (store)
    {
      g_autofree char *access_key = kp_setup_storage_dup_text (self->access_row);
      g_autoptr (SecretValue) secret_key = kp_setup_storage_dup_secret (self);
      job->credentials
          = kp_s3_credentials_new (access_key, secret_value_get_text (secret_key), NULL);
    }
  g_task_set_task_data (task, job, keys_job_free);
  kp_test_keys_run (keys_main, task);
}

gboolean
kp_setup_storage_has_entered_keys (KpSetupStorage *self)
{
  return *gtk_editable_get_text (self->access_row) != '\0'
         || *gtk_editable_get_text (self->secret_row) != '\0';
}

/* --- what is pressed ---------------------------------------------------------------------------
 */

static void
test_cb (KpSetupStorage *self)
{
  kp_setup_storage_test (self);
}

static void
details_cb (KpSetupStorage *self)
{
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), _ ("What the Test Found"),
                   self->details);
}

/* --- life ----------------------------------------------------------------------------------- */

/* libadwaita 1.2 never frees the buffer of such a row, which would go on holding the key; and
 * GTK 4.8 empties a buffer by its first byte. */
static void
forget_secret (KpSetupStorage *self)
{
  g_autofree char *blank = g_strnfill (strlen (gtk_editable_get_text (self->secret_row)), '*');

  self->is_loading = TRUE;
  gtk_editable_set_text (self->secret_row, blank);
  gtk_editable_set_text (self->secret_row, "");
}

static void
kp_setup_storage_dispose (GObject *object)
{
  KpSetupStorage *self = KP_SETUP_STORAGE (object);

  if (self->secret_row != NULL)
    forget_secret (self);
  self->secret_row = NULL;
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  kp_setup_storage_forget_test_keys (self);
  g_clear_pointer (&self->test_id, g_free);
  g_clear_pointer (&self->plan_id, g_free);
  g_clear_pointer (&self->tested_plan, g_free);
  g_clear_pointer (&self->details, g_free);
  G_OBJECT_CLASS (kp_setup_storage_parent_class)->dispose (object);
}

static void
kp_setup_storage_class_init (KpSetupStorageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_setup_storage_dispose;
  signals[SIGNAL_TESTED] = g_signal_new ("tested", KP_TYPE_SETUP_STORAGE, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-setup-storage.ui");
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, provider_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, account_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, region_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, region_button);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, endpoint_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, http_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, http_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, bucket_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, prefix_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, place_notes);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, place_error);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, note_label);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, access_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, secret_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, keys_error);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, keys_note);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, test_button);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, spinner);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, test_label);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, details_button);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, results_group);
  gtk_widget_class_bind_template_child (widget_class, KpSetupStorage, results);
  gtk_widget_class_bind_template_callback (widget_class, provider_cb);
  gtk_widget_class_bind_template_callback (widget_class, region_cb);
  gtk_widget_class_bind_template_callback (widget_class, edited_cb);
  gtk_widget_class_bind_template_callback (widget_class, endpoint_edited_cb);
  gtk_widget_class_bind_template_callback (widget_class, keys_edited_cb);
  gtk_widget_class_bind_template_callback (widget_class, test_cb);
  gtk_widget_class_bind_template_callback (widget_class, details_cb);
  gtk_widget_class_install_action (widget_class, "storage.region", "s", choose_region_action);
}

static void
kp_setup_storage_init (KpSetupStorage *self)
{
  const KpS3Provider *const *providers = kp_s3_provider_list ();
  g_autoptr (GtkStringList) names = gtk_string_list_new (NULL);

  self->cancellable = g_cancellable_new ();
  self->is_loading = TRUE;
  gtk_widget_init_template (GTK_WIDGET (self));
  for (gsize i = 0; providers[i] != NULL; i++)
    gtk_string_list_append (names, providers[i]->name);
  adw_combo_row_set_model (self->provider_row, G_LIST_MODEL (names));
  self->is_loading = FALSE;
}

/* That of a plan which names none, as those have that were made by command, is found by where it
 * goes. */
static const char *
find_provider (KpPlan *plan)
{
  g_autoptr (KpS3Location) location = NULL;

  if (*kp_plan_get_provider (plan) != '\0')
    return kp_plan_get_provider (plan);
  location = kp_plan_dup_location (plan, NULL);
  return location != NULL ? kp_s3_location_get_provider (location)->id : "aws";
}

/**
 * kp_setup_storage_load:
 * @has_keys: whether the plan has keys in the keyring, so that none have to be entered
 */
void
kp_setup_storage_load (KpSetupStorage *self, KpPlan *plan, gboolean has_keys)
{
  const KpS3Provider *const *providers = kp_s3_provider_list ();
  const char *wanted = find_provider (plan);

  self->is_loading = TRUE;
  self->has_keys = has_keys;
  /* Who changes a schedule need not be online: what was not touched needs no test. */
  self->is_tested = has_keys;
  g_free (self->plan_id);
  self->plan_id = g_strdup (kp_plan_get_id (plan));
  gtk_widget_set_visible (self->keys_note, has_keys);
  for (guint i = 0; providers[i] != NULL; i++)
    if (g_str_equal (providers[i]->id, wanted))
      adw_combo_row_set_selected (self->provider_row, i);
  show_provider (self);
  gtk_editable_set_text (self->region_row, *kp_plan_get_region (plan) != '\0'
                                               ? kp_plan_get_region (plan)
                                               : get_provider (self)->regions[0]);
  gtk_editable_set_text (self->bucket_row, kp_plan_get_bucket (plan));
  gtk_editable_set_text (self->prefix_row, kp_plan_get_prefix (plan));
  gtk_switch_set_active (self->http_switch, kp_plan_get_allow_http (plan));
  if (*kp_plan_get_endpoint (plan) != '\0')
    load_endpoint (self, kp_plan_get_endpoint (plan));
  else
    fill_endpoint (self);
  self->is_loading = FALSE;
  gtk_widget_set_visible (self->http_row, kp_setup_storage_is_plain_http (self));
}

void
kp_setup_storage_apply (KpSetupStorage *self, KpPlan *plan)
{
  g_autofree char *endpoint = kp_setup_storage_dup_text (self->endpoint_row);
  g_autofree char *region = kp_setup_storage_dup_text (self->region_row);
  g_autofree char *bucket = kp_setup_storage_dup_text (self->bucket_row);
  g_autofree char *prefix = kp_setup_storage_dup_text (self->prefix_row);

  kp_plan_set_provider (plan, get_provider (self)->id);
  kp_plan_set_endpoint (plan, endpoint);
  kp_plan_set_region (plan, region);
  kp_plan_set_bucket (plan, bucket);
  kp_plan_set_prefix (plan, prefix);
  kp_plan_set_allow_http (plan, gtk_switch_get_active (self->http_switch));
}

gboolean
kp_setup_storage_is_tested (KpSetupStorage *self)
{
  return self->is_tested;
}

void
kp_setup_storage_focus_keys (KpSetupStorage *self)
{
  gtk_widget_grab_focus (GTK_WIDGET (self->access_row));
}

/**
 * kp_setup_storage_store_async:
 *
 * Stores the keys that were entered for @plan; none were, and those that are there stay.
 */
void
kp_setup_storage_store_async (KpSetupStorage *self,
                              KpPlan *plan,
                              GAsyncReadyCallback callback,
                              void *user_data)
{
  if (kp_setup_storage_has_entered_keys (self))
    {
      kp_setup_storage_run_keys_job (self, kp_plan_get_id (plan), kp_plan_get_name (plan), TRUE,
                                     NULL, callback, user_data);
      return;
    }
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_task_return_boolean (task, TRUE);
}

gboolean
kp_setup_storage_store_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

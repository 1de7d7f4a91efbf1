/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-storage.h"

#include "kp-details.h"
#include "kp-keyring.h"
#include "kp-s3-provider.h"
#include "kp-setup-versions.h"
#include "kp-test-keys.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <string.h>

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
  unsigned versions_days; /* to be switched on before the next test; 0 for not */
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

enum
{
  SIGNAL_TESTED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpSetupStorage, kp_setup_storage, ADW_TYPE_BIN)

/* Every test that stored keys forgets them, however it ends. */
static void
forget_test_keys (KpSetupStorage *self)
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

static char *
dup_text (GtkEditable *row)
{
  return g_strstrip (g_strdup (gtk_editable_get_text (row)));
}

static gboolean
is_plain_http (KpSetupStorage *self)
{
  g_autofree char *endpoint = dup_text (self->endpoint_row);

  return g_str_has_prefix (endpoint, "http://") && strstr (endpoint, "://127.") == NULL
         && strstr (endpoint, "://localhost") == NULL && strstr (endpoint, "://[::1]") == NULL;
}

static void
set_row_error (GtkEditable *row, gboolean is_wrong)
{
  if (is_wrong)
    gtk_widget_add_css_class (GTK_WIDGET (row), "error");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (row), "error");
  gtk_accessible_update_state (
      GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_STATE_INVALID,
      is_wrong ? GTK_ACCESSIBLE_INVALID_TRUE : GTK_ACCESSIBLE_INVALID_FALSE, -1);
}

static void
show_error (GtkLabel *label, const char *text)
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

static void
show_place_error (KpSetupStorage *self, const char *text)
{
  show_error (self->place_error, text);
  show_notes (self);
}

static void
clear_errors (KpSetupStorage *self)
{
  GtkEditable *rows[] = { self->account_row, self->region_row, self->endpoint_row, self->bucket_row,
                          self->prefix_row,  self->access_row, self->secret_row };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    set_row_error (rows[i], FALSE);
  show_place_error (self, NULL);
  show_error (self->keys_error, NULL);
  gtk_label_set_label (self->test_label, "");
  gtk_widget_set_visible (self->details_button, FALSE);
  gtk_widget_set_visible (self->results_group, FALSE);
}

static void
forget_test (KpSetupStorage *self)
{
  self->is_tested = FALSE;
  if (self->is_testing)
    {
      g_cancellable_cancel (self->cancellable);
      g_clear_object (&self->cancellable);
      self->cancellable = g_cancellable_new ();
      self->is_testing = FALSE;
      forget_test_keys (self);
      gtk_spinner_stop (self->spinner);
      gtk_widget_set_sensitive (self->test_button, TRUE);
    }
  clear_errors (self);
}

static void
edited_cb (KpSetupStorage *self)
{
  gtk_widget_set_visible (self->http_row, is_plain_http (self));
  if (self->is_loading)
    return;
  self->endpoint_is_ours = FALSE;
  forget_test (self);
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
  g_autofree char *region = dup_text (self->region_row);
  g_autofree char *account = dup_text (self->account_row);
  g_autoptr (GString) endpoint = g_string_new (provider->endpoint);
  gboolean was_loading = self->is_loading;

  g_string_replace (endpoint, "{region}", region, 0);
  g_string_replace (endpoint, "{account}", account, 0);
  self->is_loading = TRUE;
  gtk_editable_set_text (self->endpoint_row, endpoint->str);
  self->is_loading = was_loading;
  self->endpoint_is_ours = TRUE;
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

static void
run_keys_job (KpSetupStorage *self,
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
      g_autofree char *access_key = dup_text (self->access_row);
      g_autofree char *secret_key = dup_text (self->secret_row);
      job->credentials = kp_s3_credentials_new (access_key, secret_key, NULL);
      memset (secret_key, 0, strlen (secret_key));
    }
  g_task_set_task_data (task, job, keys_job_free);
  g_thread_unref (g_thread_new ("keepsake-keyring", keys_main, task));
}

gboolean
kp_setup_storage_has_entered_keys (KpSetupStorage *self)
{
  return *gtk_editable_get_text (self->access_row) != '\0'
         || *gtk_editable_get_text (self->secret_row) != '\0';
}

/* --- the test ------------------------------------------------------------------------------- */

static const char *
describe_check (const char *what, gboolean works)
{
  static const struct
  {
    const char *what;
    const char *good;
    const char *bad;
  } all[] = {
    { "reach", N_ ("The server answers"), N_ ("The server does not answer") },
    { "sign-in", N_ ("The keys are right"), N_ ("The keys are refused") },
    { "list", N_ ("The bucket can be listed"), N_ ("The bucket cannot be listed") },
    { "write", N_ ("Files can be stored"), N_ ("Files cannot be stored") },
    { "read", N_ ("Files come back as they were"), N_ ("Files cannot be read back") },
    { "metadata", N_ ("Times and permissions are kept"), N_ ("Times and permissions are lost") },
    { "parts", N_ ("Large files can be sent in parts"),
      N_ ("Large files cannot be sent in parts") },
    { "part-copy", N_ ("Of changed large files only the changes are sent"),
      N_ ("Changed large files are sent as a whole") },
    { "delete", N_ ("Files can be deleted"), N_ ("Files cannot be deleted") },
    { "versions", N_ ("Old versions of files are kept"),
      N_ ("Old versions of files are not kept") },
    { "clock", N_ ("The clock of this computer is right"),
      N_ ("The clock of this computer is wrong") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (g_str_equal (all[i].what, what))
      return _ (works ? all[i].good : all[i].bad);
  return what;
}

/* What a provider may lack without harm. */
static gboolean
is_optional (const char *what)
{
  return g_str_equal (what, "part-copy") || g_str_equal (what, "versions")
         || g_str_equal (what, "clock");
}

static void
keep_versions (unsigned days, void *data)
{
  KpSetupStorage *self = data;

  self->versions_days = days;
  kp_setup_storage_test (self);
}

static void
versions_cb (KpSetupStorage *self)
{
  g_autoptr (KpPlan) plan = kp_plan_new ();
  g_autoptr (KpS3Location) location = NULL;

  kp_setup_storage_apply (self, plan);
  location = kp_plan_dup_location (plan, NULL);
  if (location != NULL)
    kp_setup_versions_ask (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), location,
                           keep_versions, G_OBJECT (self));
}

static void
add_versions_button (KpSetupStorage *self, GtkWidget *row)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (_ ("_Keep Them…"));

  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  g_signal_connect_object (button, "clicked", G_CALLBACK (versions_cb), self, G_CONNECT_SWAPPED);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
}

static void
add_result (KpSetupStorage *self, const char *what, gboolean works, const char *detail)
{
  GtkWidget *row = adw_action_row_new ();
  gboolean is_bad = !works && !is_optional (what);
  GtkWidget *icon = gtk_image_new_from_icon_name (works    ? "object-select-symbolic"
                                                  : is_bad ? "dialog-error-symbolic"
                                                           : "dialog-information-symbolic");

  gtk_widget_add_css_class (icon, works ? "success" : is_bad ? "error" : "dim-label");
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), describe_check (what, works));
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 3);
  if (is_bad)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), detail);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), icon);
  if (g_str_equal (what, "versions") && !works)
    add_versions_button (self, row);
  gtk_list_box_append (self->results, row);
}

static void
fail_place (KpSetupStorage *self, GtkEditable *row, const char *text)
{
  set_row_error (row, TRUE);
  show_place_error (self, text);
  gtk_widget_grab_focus (GTK_WIDGET (row));
}

static void
fail_keys (KpSetupStorage *self, const char *text)
{
  set_row_error (self->access_row, TRUE);
  set_row_error (self->secret_row, TRUE);
  show_error (self->keys_error, text);
  gtk_widget_grab_focus (GTK_WIDGET (self->access_row));
}

/* Puts what is wrong beside the field that can change it. */
static void
explain (KpSetupStorage *self, const char *what, const char *reason, const char *detail)
{
  g_autofree char *bucket = dup_text (self->bucket_row);
  g_autofree char *text = NULL;

  gtk_label_set_label (self->test_label, _ ("This does not work yet."));
  g_free (self->details);
  self->details = g_strdup (detail);
  gtk_widget_set_visible (self->details_button, *detail != '\0');
  if (g_str_equal (reason, "offline"))
    fail_place (self, self->endpoint_row,
                _ ("The server cannot be reached. Check the address, and your network."));
  else if (g_str_equal (reason, "tls"))
    fail_place (self, self->endpoint_row,
                _ ("The server's certificate is not trusted, so nothing was sent to it."));
  else if (g_str_equal (reason, "no-such-bucket"))
    {
      /* Translators: %s is the name of a bucket */
      text = g_strdup_printf (_ ("There is no bucket “%s” there. Create it at your provider, or "
                                 "check its name and region."),
                              bucket);
      fail_place (self, self->bucket_row, text);
    }
  else if (g_str_equal (reason, "wrong-region"))
    fail_place (self, self->region_row, _ ("The bucket is in another region."));
  else if (g_str_equal (reason, "bad-credentials"))
    fail_keys (self, _ ("The storage does not accept these keys. Check both for typing errors."));
  else if (g_str_equal (reason, "access-denied") && g_str_equal (what, "delete"))
    fail_keys (self, _ ("These keys may store files and may not delete them. Keepsake needs that "
                        "to replace what it wrote."));
  else if (g_str_equal (reason, "access-denied") && g_str_equal (what, "list"))
    {
      /* Translators: %s is the name of a bucket */
      text = g_strdup_printf (_ ("These keys may not look into the bucket “%s”."), bucket);
      fail_keys (self, text);
    }
  else if (g_str_equal (reason, "access-denied"))
    {
      /* Translators: %s is the name of a bucket */
      text = g_strdup_printf (_ ("These keys may only read the bucket “%s”. A backup needs keys "
                                 "that may also write."),
                              bucket);
      fail_keys (self, text);
    }
  else if (g_str_equal (reason, "clock-skew"))
    show_error (self->keys_error,
                _ ("The clock of this computer is wrong, and the storage refuses to talk to it. "
                   "Set the clock first."));
  else if (g_str_equal (reason, "quota"))
    fail_place (self, self->bucket_row, _ ("The storage is full."));
  else if (g_str_equal (reason, "keyring-locked"))
    show_error (self->keys_error, _ ("The keyring is locked, and was not unlocked. Try again."));
  else
    {
      g_autofree char *start = kp_words_shorten (detail, 300);
      show_place_error (self, *start != '\0' ? start : describe_check (what, FALSE));
    }
}

static void
end_test (KpSetupStorage *self, gboolean works)
{
  forget_test_keys (self);
  self->is_testing = FALSE;
  self->is_tested = works;
  gtk_spinner_stop (self->spinner);
  gtk_widget_set_sensitive (self->test_button, TRUE);
  if (works)
    gtk_label_set_label (self->test_label, _ ("Everything works."));
  g_signal_emit (self, signals[SIGNAL_TESTED], 0, works);
}

static void
fail_test (KpSetupStorage *self, const GError *cause)
{
  g_autoptr (GError) error = g_error_copy (cause);

  g_dbus_error_strip_remote_error (error);
  explain (self, "", error->domain == KP_ERROR ? kp_error_name (error->code) : "", error->message);
  end_test (self, FALSE);
}

static void
show_results (KpSetupStorage *self, GVariant *results)
{
  GVariantIter iter;
  const char *what, *detail, *reason;
  gboolean works, all_work = TRUE;
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->results))) != NULL)
    gtk_list_box_remove (self->results, child);
  g_variant_iter_init (&iter, results);
  while (g_variant_iter_next (&iter, "(&sb&s&s)", &what, &works, &detail, &reason))
    {
      add_result (self, what, works, detail);
      if (works || is_optional (what) || !all_work)
        continue;
      all_work = FALSE;
      explain (self, what, reason, detail);
    }
  gtk_widget_set_visible (self->results_group, TRUE);
  end_test (self, all_work);
}

static void
probed_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GVariant) results = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  KpSetupStorage *self = data;
  if (answer == NULL)
    {
      fail_test (self, error);
      return;
    }
  g_variant_get (answer, "(@a(sbss))", &results);
  show_results (self, results);
}

static void
call_probe (KpSetupStorage *self, KpDBusManager *manager, const char *plan)
{
  GVariantDict options;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "prompt", "b", TRUE);
  g_dbus_proxy_call (G_DBUS_PROXY (manager), "Probe",
                     g_variant_new ("(s@a{sv})", plan, g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, self->cancellable, probed_cb, self);
}

/* The test follows with the same keys, and shows what has become of it. */
static void
versions_kept_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  KpSetupStorage *self = data;
  g_autofree char *plan = g_steal_pointer (&self->tested_plan);
  if (answer != NULL)
    {
      call_probe (self, KP_DBUS_MANAGER (source), plan);
      return;
    }
  g_dbus_error_strip_remote_error (error);
  g_free (self->details);
  self->details = g_strdup (error->message);
  gtk_widget_set_visible (self->details_button, TRUE);
  end_test (self, TRUE);
  gtk_label_set_label (self->test_label,
                       kp_error_is (error, KP_ERROR_ACCESS_DENIED)
                           ? _ ("These keys may not change the bucket. Switch versions on at your "
                                "provider.")
                           : _ ("The storage cannot keep old versions. The plan can keep deleted "
                                "files instead."));
}

/* What is tested: the plan's place with the keys that are stored under @id. */
static void
probe (KpSetupStorage *self, const char *id)
{
  KpAgentClient *client = kp_application_get_client (kp_application_get ());
  KpDBusManager *manager = kp_agent_client_get_manager (client);
  g_autoptr (KpPlan) plan = kp_plan_new ();
  unsigned days = self->versions_days;

  self->versions_days = 0;
  if (manager == NULL)
    {
      g_autoptr (GError) error = g_error_new_literal (
          KP_ERROR, KP_ERROR_FAILED, _ ("The background part of Keepsake is not running."));
      fail_test (self, error);
      return;
    }
  kp_setup_storage_apply (self, plan);
  kp_plan_set_name (plan, "test");
  kp_plan_add_source (plan, "/", "test");
  /* The id is the one thing of a plan that nobody can set. */
  g_autofree char *text = kp_plan_to_json (plan);
  g_auto (GStrv) parts = g_strsplit (text, kp_plan_get_id (plan), -1);
  g_autofree char *with_id = g_strjoinv (id, parts);
  if (days == 0)
    {
      call_probe (self, manager, with_id);
      return;
    }
  g_free (self->tested_plan);
  self->tested_plan = g_strdup (with_id);
  g_dbus_proxy_call (G_DBUS_PROXY (manager), "EnableVersioning",
                     g_variant_new ("(su@a{sv})", with_id, days, g_variant_new ("a{sv}", NULL)),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, self->cancellable, versions_kept_cb, self);
}

static void
stored_for_test_cb (GObject *source, GAsyncResult *result, void *data)
{
  KpSetupStorage *self = KP_SETUP_STORAGE (source);
  g_autoptr (GError) error = NULL;

  if (g_task_propagate_boolean (G_TASK (result), &error))
    probe (self, self->test_id);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) && self->is_testing)
    fail_test (self, error);
}

static gboolean
check_fields (KpSetupStorage *self)
{
  g_autofree char *endpoint = dup_text (self->endpoint_row);
  g_autofree char *bucket = dup_text (self->bucket_row);
  g_autofree char *access_key = dup_text (self->access_row);
  g_autofree char *secret_key = dup_text (self->secret_row);
  g_autofree char *account = dup_text (self->account_row);
  g_autoptr (KpPlan) plan = kp_plan_new ();
  g_autoptr (KpS3Location) location = NULL;
  g_autoptr (GError) error = NULL;

  if (gtk_widget_get_visible (GTK_WIDGET (self->account_row)) && *account == '\0')
    {
      fail_place (self, self->account_row, _ ("Enter the account ID that your provider shows."));
      return FALSE;
    }
  if (*endpoint == '\0')
    {
      fail_place (self, self->endpoint_row, _ ("Enter the address of the server."));
      return FALSE;
    }
  if (*bucket == '\0')
    {
      fail_place (self, self->bucket_row, _ ("Enter the name of a bucket."));
      return FALSE;
    }
  if (is_plain_http (self) && !gtk_switch_get_active (self->http_switch))
    {
      fail_place (self, self->endpoint_row,
                  _ ("This address does without encryption. Write https:// if the server can."));
      return FALSE;
    }
  kp_setup_storage_apply (self, plan);
  location = kp_plan_dup_location (plan, &error);
  if (location == NULL)
    {
      fail_place (self, self->endpoint_row, error->message);
      return FALSE;
    }
  if ((*access_key == '\0' || *secret_key == '\0')
      && (kp_setup_storage_has_entered_keys (self) || !self->has_keys))
    {
      fail_keys (self, _ ("Enter both keys. Your provider shows the secret key only once, when it "
                          "is made."));
      return FALSE;
    }
  return TRUE;
}

/**
 * kp_setup_storage_test:
 *
 * Tries everything; "tested" tells how it went.
 */
void
kp_setup_storage_test (KpSetupStorage *self)
{
  if (self->is_testing)
    return;
  clear_errors (self);
  if (!check_fields (self))
    {
      g_signal_emit (self, signals[SIGNAL_TESTED], 0, FALSE);
      return;
    }
  self->is_testing = TRUE;
  gtk_spinner_start (self->spinner);
  gtk_label_set_label (self->test_label, _ ("Testing…"));
  gtk_widget_set_sensitive (self->test_button, FALSE);
  if (kp_setup_storage_has_entered_keys (self))
    {
      /* Each test has an id of its own, so that the end of one takes nothing from the next. */
      g_autofree char *id = g_uuid_string_random ();
      forget_test_keys (self);
      self->test_id = g_steal_pointer (&id);
      run_keys_job (self, self->test_id, _ ("Test"), TRUE, self->cancellable, stored_for_test_cb,
                    NULL);
    }
  else
    probe (self, self->plan_id);
}

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

static void
kp_setup_storage_dispose (GObject *object)
{
  KpSetupStorage *self = KP_SETUP_STORAGE (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  forget_test_keys (self);
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

/**
 * kp_setup_storage_load:
 * @has_keys: whether the plan has keys in the keyring, so that none have to be entered
 */
void
kp_setup_storage_load (KpSetupStorage *self, KpPlan *plan, gboolean has_keys)
{
  const KpS3Provider *const *providers = kp_s3_provider_list ();
  const char *wanted = *kp_plan_get_provider (plan) != '\0' ? kp_plan_get_provider (plan) : "aws";

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
    gtk_editable_set_text (self->endpoint_row, kp_plan_get_endpoint (plan));
  else
    fill_endpoint (self);
  self->is_loading = FALSE;
  gtk_widget_set_visible (self->http_row, is_plain_http (self));
}

void
kp_setup_storage_apply (KpSetupStorage *self, KpPlan *plan)
{
  g_autofree char *endpoint = dup_text (self->endpoint_row);
  g_autofree char *region = dup_text (self->region_row);
  g_autofree char *bucket = dup_text (self->bucket_row);
  g_autofree char *prefix = dup_text (self->prefix_row);

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
      run_keys_job (self, kp_plan_get_id (plan), kp_plan_get_name (plan), TRUE, NULL, callback,
                    user_data);
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

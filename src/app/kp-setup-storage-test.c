/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

/* The test of the storage: what is tried, and what came of it in words, beside the field that can
 * change it. */

#include "kp-setup-storage-private.h"

#include "kp-setup-versions.h"
#include "kp-window.h"

#include <glib/gi18n.h>

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
  kp_setup_storage_begin_test (data, days);
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
  kp_setup_storage_set_row_error (row, TRUE);
  kp_setup_storage_show_place_error (self, text);
  gtk_widget_grab_focus (GTK_WIDGET (row));
}

/**
 * kp_setup_storage_refuse_prefix:
 * @text: why the folder in the bucket cannot be this one
 */
void
kp_setup_storage_refuse_prefix (KpSetupStorage *self, const char *text)
{
  fail_place (self, self->prefix_row, text);
}

static void
fail_keys (KpSetupStorage *self, const char *text)
{
  kp_setup_storage_set_row_error (self->access_row, TRUE);
  kp_setup_storage_set_row_error (self->secret_row, TRUE);
  kp_setup_storage_show_error (self->keys_error, text);
  gtk_widget_grab_focus (GTK_WIDGET (self->access_row));
}

/* Puts what is wrong beside the field that can change it. */
static void
explain (KpSetupStorage *self, const char *what, const char *reason, const char *detail)
{
  g_autofree char *bucket = kp_setup_storage_dup_text (self->bucket_row);
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
    kp_setup_storage_show_error (
        self->keys_error,
        _ ("The clock of this computer is wrong, and the storage refuses to talk to it. "
           "Set the clock first."));
  else if (g_str_equal (reason, "quota"))
    fail_place (self, self->bucket_row, _ ("The storage is full."));
  else if (g_str_equal (reason, "keyring-locked"))
    kp_setup_storage_show_error (self->keys_error,
                                 _ ("The keyring is locked, and was not unlocked. Try again."));
  else
    {
      g_autofree char *start = kp_words_shorten (detail, 300);
      kp_setup_storage_show_place_error (self,
                                         *start != '\0' ? start : describe_check (what, FALSE));
    }
}

static void
end_test (KpSetupStorage *self, gboolean works)
{
  kp_setup_storage_forget_test_keys (self);
  self->is_testing = FALSE;
  self->is_tested = works;
  gtk_spinner_stop (self->spinner);
  gtk_widget_set_sensitive (self->test_button, TRUE);
  if (works)
    gtk_label_set_label (self->test_label, _ ("Everything works."));
  kp_setup_storage_emit_tested (self, works);
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
  g_autofree char *endpoint = kp_setup_storage_dup_text (self->endpoint_row);
  g_autofree char *bucket = kp_setup_storage_dup_text (self->bucket_row);
  g_autofree char *access_key = kp_setup_storage_dup_text (self->access_row);
  g_autoptr (SecretValue) secret_key = kp_setup_storage_dup_secret (self);
  g_autofree char *account = kp_setup_storage_dup_text (self->account_row);
  g_autoptr (KpPlan) plan = kp_plan_new ();
  g_autoptr (KpS3Location) location = NULL;
  g_autoptr (GError) error = NULL;

  if (self->endpoint_is_ours && gtk_widget_get_visible (GTK_WIDGET (self->account_row))
      && *account == '\0')
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
  if (kp_setup_storage_is_plain_http (self) && !gtk_switch_get_active (self->http_switch))
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
  if ((*access_key == '\0' || *secret_value_get_text (secret_key) == '\0')
      && (kp_setup_storage_has_entered_keys (self) || !self->has_keys))
    {
      fail_keys (self, _ ("Enter both keys. Your provider shows the secret key only once, when it "
                          "is made."));
      return FALSE;
    }
  return TRUE;
}

/**
 * kp_setup_storage_begin_test:
 * @versions_days: how long old versions are to be kept from now on; 0 to leave that as it is. It
 * was agreed to for the bucket of this test, so it holds for no later one, however this one ends.
 */
void
kp_setup_storage_begin_test (KpSetupStorage *self, unsigned versions_days)
{
  if (self->is_testing)
    return;
  self->versions_days = versions_days;
  kp_setup_storage_clear_errors (self);
  if (!check_fields (self))
    {
      kp_setup_storage_emit_tested (self, FALSE);
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
      kp_setup_storage_forget_test_keys (self);
      self->test_id = g_steal_pointer (&id);
      kp_setup_storage_run_keys_job (self, self->test_id, _ ("Test"), TRUE, self->cancellable,
                                     stored_for_test_cb, NULL);
    }
  else
    probe (self, self->plan_id);
}

/**
 * kp_setup_storage_test:
 *
 * Tries everything; "tested" tells how it went.
 */
void
kp_setup_storage_test (KpSetupStorage *self)
{
  kp_setup_storage_begin_test (self, 0);
}

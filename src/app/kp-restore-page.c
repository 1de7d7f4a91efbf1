/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-restore-page.h"

#include "kp-banner.h"
#include "kp-details.h"
#include "kp-job-view.h"
#include "kp-restore-browser.h"
#include "kp-retrieve-dialog.h"
#include "kp-stack.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

struct _KpRestorePage
{
  AdwBin parent_instance;

  KpPlanProxy *plan;
  char *path; /* that was chosen; "" for everything */
  gboolean is_folder;
  char *original;     /* (nullable): where it was */
  char *target;       /* where it is restored to */
  char *details;      /* (nullable): of the end */
  guint64 n_archived; /* of the same: that have to be asked for */
  const char *tier;   /* (transfer none) (nullable): how that was done, if it was */
  GCancellable *cancellable;
  const char *shown; /* (transfer none): name of the page */
  char *job_path;    /* (nullable): of the restore that was begun */
  KpDBusJob *job;    /* (nullable): the same, once it is known */
  AdwWindowTitle *window_title;
  GtkStack *stack;
  KpRestoreBrowser *browser;
  AdwActionRow *what_row;
  GtkCheckButton *elsewhere_check;
  GtkEditable *target_row;
  AdwActionRow *in_place_row;
  GtkCheckButton *in_place_check;
  GtkLabel *error_label;
  AdwComboRow *conflict_row;
  GtkWidget *start_button;
  KpJobView *job_view;
  AdwStatusPage *report_page;
  GtkWidget *report_details;
  GtkWidget *retrieve_button;
  GtkWidget *open_button;
  GtkWidget *done_button;
};

G_DEFINE_FINAL_TYPE (KpRestorePage, kp_restore_page, ADW_TYPE_BIN)

static void
show (KpRestorePage *self, const char *page)
{
  GtkWidget *shown = kp_stack_show (self->stack, page);

  self->shown = page;
  if (gtk_widget_get_root (shown) != NULL)
    gtk_widget_child_focus (shown, GTK_DIR_TAB_FORWARD);
}

static void
show_error (KpRestorePage *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL);
  if (text == NULL)
    gtk_widget_remove_css_class (GTK_WIDGET (self->target_row), "error");
}

/* --- options -------------------------------------------------------------------------------- */

/* Where the path was on this computer; %NULL when it spans several folders. */
static char *
find_original (KpPlan *plan, const char *path)
{
  GPtrArray *sources = kp_plan_get_sources (plan);

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      gsize length = strlen (source->as);
      if (length == 0)
        return g_build_filename (source->path, path, NULL);
      if (strncmp (path, source->as, length) == 0 && (path[length] == '\0' || path[length] == '/'))
        return g_build_filename (source->path, path + length, NULL);
    }
  return NULL;
}

/* Which file or folder, and as of when. */
static void
show_choice (KpRestorePage *self, const char *name)
{
  g_autofree char *when = kp_restore_browser_dup_moment_text (self->browser);
  g_autofree char *both = g_strdup_printf ("%s\n%s", name, when);
  gboolean is_past = kp_restore_browser_get_moment (self->browser) > 0;

  adw_action_row_set_subtitle (self->what_row, is_past ? both : name);
}

static void
chosen_cb (KpRestoreBrowser *browser, const char *path, gboolean is_folder, KpRestorePage *self)
{
  KpPlan *plan = kp_plan_proxy_get_plan (self->plan);
  g_autofree char *name = *path != '\0' ? g_utf8_make_valid (path, -1) : NULL;

  g_free (self->path);
  self->path = g_strdup (path);
  self->is_folder = is_folder;
  g_free (self->original);
  self->original = plan != NULL ? find_original (plan, path) : NULL;
  show_choice (self, name != NULL ? name : _ ("Everything"));
  gtk_widget_set_visible (GTK_WIDGET (self->in_place_row), self->original != NULL);
  if (self->original != NULL)
    {
      g_autofree char *shown = g_filename_display_name (self->original);
      adw_action_row_set_subtitle (self->in_place_row, shown);
    }
  else
    gtk_check_button_set_active (self->elsewhere_check, TRUE);
  show_error (self, NULL);
  show (self, "options");
}

static void
where_cb (KpRestorePage *self)
{
  gtk_widget_set_sensitive (GTK_WIDGET (self->target_row),
                            gtk_check_button_get_active (self->elsewhere_check));
  show_error (self, NULL);
}

static void
target_changed_cb (KpRestorePage *self)
{
  show_error (self, NULL);
}

static void
target_chosen_cb (GtkNativeDialog *dialog, int response, KpRestorePage *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      const char *path = file != NULL ? g_file_peek_path (file) : NULL;
      if (path != NULL && g_utf8_validate (path, -1, NULL))
        gtk_editable_set_text (self->target_row, path);
    }
  g_object_unref (dialog);
}

static void
choose_target_cb (KpRestorePage *self)
{
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      _ ("Restore into a Folder"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
      GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("_Choose"), NULL);

  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (target_chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

/* What the agent is to restore into: a folder comes back under its own name, a file into it. */
static char *
make_target (KpRestorePage *self)
{
  g_autofree char *text = g_strstrip (g_strdup (gtk_editable_get_text (self->target_row)));
  g_autofree char *folder = NULL;
  g_autofree char *name = NULL;

  if (gtk_check_button_get_active (self->in_place_check))
    return self->is_folder ? g_strdup (self->original) : g_path_get_dirname (self->original);
  folder = g_str_has_prefix (text, "~/") ? g_build_filename (g_get_home_dir (), text + 2, NULL)
                                         : g_strdup (text);
  if (!self->is_folder || *self->path == '\0' || *folder == '\0')
    return g_steal_pointer (&folder);
  name = g_path_get_basename (self->path);
  return g_build_filename (folder, name, NULL);
}

/* --- the job -------------------------------------------------------------------------------- */

static void
failures_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GVariant) failures = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  GVariantIter iter;
  GVariant *path_variant;
  const char *reason, *message;

  if (!kp_dbus_job_call_get_failures_finish (KP_DBUS_JOB (source), &failures, result, &error))
    return;
  KpRestorePage *self = data;
  g_variant_iter_init (&iter, failures);
  while (g_variant_iter_next (&iter, "(@ay&s&s)", &path_variant, &reason, &message))
    {
      g_autoptr (GVariant) owned = path_variant;
      g_autofree char *bytes = kp_dbus_dup_bytes (owned);
      g_autofree char *path = g_utf8_make_valid (bytes, -1);
      g_string_append_printf (text, "%s: %s\n", path, message);
    }
  if (text->len == 0)
    return;
  g_free (self->details);
  self->details = g_string_free (g_steal_pointer (&text), FALSE);
  gtk_widget_set_visible (self->report_details, TRUE);
}

/* What lies in an archive: to be asked for, or asked for by now. */
static void
describe_archived (KpRestorePage *self, guint64 requested, GString *text)
{
  if (requested > 0)
    {
      g_string_append_c (text, '\n');
      g_string_append_printf (
          text,
          ngettext ("%'" PRIu64 " was requested from the archive. Restore it once more when it is "
                    "there:",
                    "%'" PRIu64
                    " were requested from the archive. Restore them once more when they "
                    "are there:",
                    (gulong) requested),
          requested);
      g_string_append_printf (text, "\n%s",
                              kp_retrieve_describe_wait (self->tier != NULL ? self->tier : ""));
    }
  if (self->n_archived > 0)
    {
      g_string_append_c (text, '\n');
      g_string_append_printf (
          text,
          ngettext ("%'" PRIu64 " of them lies in an archive and has to be requested first.",
                    "%'" PRIu64 " of them lie in an archive and have to be requested first.",
                    (gulong) self->n_archived),
          self->n_archived);
    }
}

static void
show_report (KpRestorePage *self, const char *state, GVariant *result)
{
  guint64 restored = kp_dbus_get_count (result, "put");
  guint64 kept = kp_dbus_get_count (result, "unchanged");
  guint64 failed = kp_dbus_get_count (result, "failed");
  const char *message = "";
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 requested = kp_dbus_get_count (result, "requested");
  self->n_archived = kp_dbus_get_count (result, "archived") - requested;
  gboolean is_good = g_str_equal (state, "finished") && failed == 0;

  g_variant_lookup (result, "message", "&s", &message);
  g_string_append_printf (text,
                          ngettext ("%'" PRIu64 " file or folder was restored.",
                                    "%'" PRIu64 " files and folders were restored.",
                                    (gulong) restored),
                          restored);
  if (kept > 0)
    {
      g_string_append_c (text, '\n');
      g_string_append_printf (text,
                              ngettext ("%'" PRIu64 " was there already and stayed as it was.",
                                        "%'" PRIu64 " were there already and stayed as they were.",
                                        (gulong) kept),
                              kept);
    }
  if (failed > requested)
    {
      g_string_append_c (text, '\n');
      g_string_append_printf (text,
                              ngettext ("%'" PRIu64 " could not be restored.",
                                        "%'" PRIu64 " could not be restored.",
                                        (gulong) (failed - requested)),
                              failed - requested);
    }
  describe_archived (self, requested, text);
  adw_status_page_set_icon_name (self->report_page,
                                 is_good ? "object-select-symbolic" : "dialog-warning-symbolic");
  adw_status_page_set_title (self->report_page,
                             is_good                            ? _ ("Restored")
                             : g_str_equal (state, "cancelled") ? _ ("Restore Cancelled")
                             : g_str_equal (state, "failed")    ? _ ("The Restore Failed")
                             : requested > 0 && requested == failed
                                 ? _ ("Requested from the Archive")
                                 : _ ("Not Everything Was Restored"));
  adw_status_page_set_description (self->report_page, text->str);
  g_free (self->details);
  self->details = g_strdup (message);
  gtk_widget_set_visible (self->report_details, *message != '\0');
  gtk_widget_set_visible (self->open_button, restored + kept > 0);
  /* Of the buttons, one is what helps. */
  gtk_widget_set_visible (self->retrieve_button, self->n_archived > 0);
  if (self->n_archived > 0)
    gtk_widget_remove_css_class (self->done_button, "suggested-action");
  else
    gtk_widget_add_css_class (self->done_button, "suggested-action");
  show (self, "report");
}

static void
job_notify_cb (KpRestorePage *self)
{
  const char *state = kp_dbus_job_get_state (self->job);
  GVariant *result = kp_dbus_job_get_result (self->job);

  if (state == NULL || result == NULL || g_variant_n_children (result) == 0
      || !g_str_equal (self->shown, "job"))
    return;
  if (!g_str_equal (state, "finished") && !g_str_equal (state, "failed")
      && !g_str_equal (state, "cancelled"))
    return;
  show_report (self, state, result);
  if (kp_dbus_get_count (result, "failed") > 0)
    kp_dbus_job_call_get_failures (self->job, g_variant_new ("a{sv}", NULL), self->cancellable,
                                   failures_cb, self);
}

/* The job's object may come after the answer that names it. */
static void
find_job (KpRestorePage *self)
{
  KpAgentClient *client = kp_application_get_client (kp_application_get ());

  if (self->job_path == NULL || self->job != NULL)
    return;
  KpDBusJob *job = kp_agent_client_find_job (client, self->job_path);
  if (job == NULL)
    return;
  self->job = g_object_ref (job);
  kp_job_view_set_job (self->job_view, job);
  g_signal_connect_swapped (job, "notify", G_CALLBACK (job_notify_cb), self);
  show (self, "job");
  job_notify_cb (self);
}

/* Of an earlier restore of this page. */
static void
forget_job (KpRestorePage *self)
{
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_clear_object (&self->job);
  g_clear_pointer (&self->job_path, g_free);
}

static void
started_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  KpRestorePage *self = data;
  gtk_widget_set_sensitive (self->start_button, TRUE);
  if (answer == NULL)
    {
      g_dbus_error_strip_remote_error (error);
      if (!g_str_equal (self->shown, "options"))
        show (self, "options");
      g_autofree char *text
          = g_strconcat (_ ("The restore could not begin."), "\n", error->message, NULL);
      show_error (self, kp_error_is (error, KP_ERROR_BUSY)
                            ? _ ("Another job of this plan runs. Wait for its end, or cancel it.")
                            : text);
      return;
    }
  forget_job (self);
  g_variant_get (answer, "(o)", &self->job_path);
  find_job (self);
}

/* @tier: (nullable): how what lies in an archive is asked for */
static void
restore (KpRestorePage *self, const char *tier)
{
  static const char *const conflicts[] = { "never", "older", "always" };
  GVariantDict options;

  show_error (self, NULL);
  gtk_widget_set_sensitive (self->start_button, FALSE);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "overwrite", "s",
                         conflicts[adw_combo_row_get_selected (self->conflict_row)]);
  g_variant_dict_insert (&options, "kind", "s", self->is_folder ? "folder" : "file");
  g_variant_dict_insert (&options, "at", "x", kp_restore_browser_get_moment (self->browser));
  if (tier != NULL)
    g_variant_dict_insert (&options, "retrieve", "s", tier);
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (self->plan)), "Restore",
                     g_variant_new ("(@ay@ay@a{sv})", kp_dbus_bytes (self->path),
                                    kp_dbus_bytes (self->target), g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, self->cancellable, started_cb, self);
}

static void
start_cb (KpRestorePage *self)
{

  g_free (self->target);
  self->target = make_target (self);
  if (!g_path_is_absolute (self->target))
    {
      gtk_widget_add_css_class (GTK_WIDGET (self->target_row), "error");
      gtk_label_set_label (self->error_label, _ ("Choose the folder that the files are put into."));
      gtk_widget_set_visible (GTK_WIDGET (self->error_label), TRUE);
      return;
    }
  restore (self, NULL);
}

/* The same restore once more: what is there by now stays, but where everything was to be replaced,
 * which is then done again. */
static void
tier_chosen_cb (const char *tier, GObject *owner)
{
  KP_RESTORE_PAGE (owner)->tier = tier;
  restore (KP_RESTORE_PAGE (owner), tier);
}

static void
retrieve_cb (KpRestorePage *self)
{
  kp_retrieve_dialog_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), self->n_archived,
                           tier_chosen_cb, G_OBJECT (self));
}

static void
report_details_cb (KpRestorePage *self)
{
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), _ ("What Happened"),
                   self->details);
}

static void
open_cb (KpRestorePage *self)
{
  g_autofree char *uri = g_filename_to_uri (self->target, NULL, NULL);

  if (uri != NULL)
    gtk_show_uri (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), uri, GDK_CURRENT_TIME);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
search_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  KpRestorePage *self = KP_RESTORE_PAGE (widget);

  if (g_str_equal (self->shown, "browse"))
    kp_restore_browser_search (self->browser);
}

static void
up_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  KpRestorePage *self = KP_RESTORE_PAGE (widget);

  if (g_str_equal (self->shown, "browse"))
    kp_restore_browser_go_up (self->browser);
}

static void
kp_restore_page_dispose (GObject *object)
{
  KpRestorePage *self = KP_RESTORE_PAGE (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  forget_job (self);
  if (self->plan != NULL)
    g_signal_handlers_disconnect_by_data (self->plan, self);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->original, g_free);
  g_clear_pointer (&self->target, g_free);
  g_clear_pointer (&self->details, g_free);
  G_OBJECT_CLASS (kp_restore_page_parent_class)->dispose (object);
}

static void
kp_restore_page_class_init (KpRestorePageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_restore_page_dispose;
  g_type_ensure (KP_TYPE_BANNER);
  g_type_ensure (KP_TYPE_RESTORE_BROWSER);
  g_type_ensure (KP_TYPE_JOB_VIEW);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-restore-page.ui");
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, window_title);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, stack);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, browser);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, what_row);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, elsewhere_check);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, target_row);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, in_place_row);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, in_place_check);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, error_label);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, conflict_row);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, start_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, job_view);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, report_page);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, report_details);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, retrieve_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, open_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestorePage, done_button);
  gtk_widget_class_bind_template_callback (widget_class, chosen_cb);
  gtk_widget_class_bind_template_callback (widget_class, where_cb);
  gtk_widget_class_bind_template_callback (widget_class, target_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, choose_target_cb);
  gtk_widget_class_bind_template_callback (widget_class, start_cb);
  gtk_widget_class_bind_template_callback (widget_class, report_details_cb);
  gtk_widget_class_bind_template_callback (widget_class, retrieve_cb);
  gtk_widget_class_bind_template_callback (widget_class, open_cb);
  gtk_widget_class_install_action (widget_class, "restore.search", NULL, search_action);
  gtk_widget_class_install_action (widget_class, "restore.up", NULL, up_action);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_f, GDK_CONTROL_MASK, "restore.search",
                                       NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Up, GDK_ALT_MASK, "restore.up", NULL);
}

static void
kp_restore_page_init (KpRestorePage *self)
{
  const char *home = g_get_home_dir ();
  g_autofree char *folder = NULL;

  self->cancellable = g_cancellable_new ();
  self->path = g_strdup ("");
  gtk_widget_init_template (GTK_WIDGET (self));
  /* Translators: the name of the folder in the home folder that files are restored into */
  folder = g_build_filename (home, _ ("Restored"), NULL);
  /* In a sandbox, only a folder that was chosen can be written to. */
  if (g_utf8_validate (folder, -1, NULL) && !g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS))
    gtk_editable_set_text (self->target_row, folder);
  show (self, "browse");
}

GtkWidget *
kp_restore_page_new (KpPlanProxy *plan)
{
  KpRestorePage *self = g_object_new (KP_TYPE_RESTORE_PAGE, NULL);

  self->plan = g_object_ref (plan);
  adw_window_title_set_title (self->window_title, _ ("Restore Files"));
  adw_window_title_set_subtitle (self->window_title, kp_plan_proxy_get_name (plan));
  g_signal_connect_swapped (plan, "changed", G_CALLBACK (find_job), self);
  kp_restore_browser_set_plan (self->browser, plan);
  return GTK_WIDGET (self);
}

KpPlanProxy *
kp_restore_page_get_plan (KpRestorePage *self)
{
  return self->plan;
}

/* From where to restore to, back to what; from elsewhere, out of here. */
void
kp_restore_page_go_back (KpRestorePage *self)
{
  if (g_str_equal (self->shown, "options"))
    show (self, "browse");
  else
    kp_window_go_back (kp_window_of (GTK_WIDGET (self)));
}

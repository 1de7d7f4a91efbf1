/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-plan-page.h"

#include "kp-banner.h"
#include "kp-details.h"
#include "kp-history-chart.h"
#include "kp-job-view.h"
#include "kp-limit-row.h"
#include "kp-recovery-dialog.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <string.h>

#define SHOWN_RUNS 10
#define CHARTED_RUNS 60
#define SHOWN_PROBLEMS 50
#define REFRESH_SECONDS 30

#define MAX_SHOWN_TEXT 600

struct _KpPlanPage
{
  AdwBin parent_instance;

  KpPlanProxy *plan;
  KpAgentClient *client; /* (nullable) */
  KpHelp help;
  const char *mood_class; /* (transfer none) */
  GCancellable *cancellable;
  char *shown_result; /* of what the history was read last */
  char *details;      /* (nullable): the whole of a long message */
  GString *problems_text;
  guint refresh;
  AdwWindowTitle *window_title;
  GtkImage *icon;
  GtkLabel *state_label;
  GtkLabel *detail_label;
  GtkWidget *details_button;
  GtkButton *help_button;
  GtkWidget *job_group;
  KpJobView *job_view;
  GtkWidget *limit_group;
  KpLimitRow *limit_row;
  guint limits_asked; /* that the agent has not answered yet */
  AdwActionRow *verify_row;
  GtkWidget *verify_button;
  AdwPreferencesGroup *problems_group;
  gboolean shows_damage; /* the problems are those of a verification */
  GtkListBox *problems;
  GtkWidget *history_group;
  KpHistoryChart *chart;
  GtkListBox *history;
  AdwActionRow *folders_row;
  AdwActionRow *storage_row;
  AdwActionRow *schedule_row;
};

G_DEFINE_FINAL_TYPE (KpPlanPage, kp_plan_page, ADW_TYPE_BIN)

static KpDBusPlan *
get_dbus (KpPlanPage *self)
{
  return kp_plan_proxy_get_dbus (self->plan);
}

/* --- history and problems ------------------------------------------------------------------- */

static void
clear_list (GtkListBox *list)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (list))) != NULL)
    gtk_list_box_remove (list, child);
}

static GtkWidget *
make_row (const char *title, const char *subtitle)
{
  GtkWidget *row = adw_action_row_new ();
  g_autofree char *shown = kp_words_shorten (subtitle, MAX_SHOWN_TEXT);

  g_object_set (row, "use-markup", FALSE, NULL);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), shown);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 2);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 4);
  return row;
}

static void
failures_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GVariant) failures = NULL;
  g_autoptr (GError) error = NULL;
  GVariantIter iter;
  GVariant *path_variant;
  const char *reason, *message;
  guint n = 0;

  if (!kp_dbus_plan_call_get_failures_finish (KP_DBUS_PLAN (source), &failures, result, &error))
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_message ("The problems of a job: %s", error->message);
      return;
    }
  KpPlanPage *self = data;
  clear_list (self->problems);
  g_string_truncate (self->problems_text, 0);
  g_variant_iter_init (&iter, failures);
  while (g_variant_iter_next (&iter, "(@ay&s&s)", &path_variant, &reason, &message))
    {
      g_autoptr (GVariant) owned = path_variant;
      g_autofree char *bytes = kp_dbus_dup_bytes (owned);
      g_autofree char *path = g_utf8_make_valid (bytes, -1);
      g_autofree char *advice
          = self->shows_damage ? kp_words_damage_advice (reason) : kp_words_problem_advice (reason);
      g_string_append_printf (self->problems_text, "%s\t%s\n", path, message);
      if (n++ < SHOWN_PROBLEMS)
        gtk_list_box_append (self->problems, make_row (path, *advice != '\0' ? advice : message));
    }
  if (n > SHOWN_PROBLEMS)
    {
      g_autofree char *more = g_strdup_printf (
          ngettext ("And %u more", "And %u more", n - SHOWN_PROBLEMS), n - SHOWN_PROBLEMS);
      gtk_list_box_append (self->problems, make_row (more, _ ("Copy the list to see all of them")));
    }
  adw_preferences_group_set_description (
      self->problems_group,
      self->shows_damage ? _ ("A verification could not prove that these files are stored well.")
                         : _ ("These files are not in the last backup."));
  gtk_widget_set_visible (GTK_WIDGET (self->problems_group), n > 0);
}

/* Whoever calls it keeps @row, in which the texts are. */
static void
read_history_row (GVariant *row, KpHistoryFacts *facts)
{
  *facts = (KpHistoryFacts){ .kind = "", .trigger = "", .state = "" };
  g_variant_lookup (row, "kind", "&s", &facts->kind);
  g_variant_lookup (row, "trigger", "&s", &facts->trigger);
  g_variant_lookup (row, "state", "&s", &facts->state);
  g_variant_lookup (row, "started", "x", &facts->started);
  g_variant_lookup (row, "ended", "x", &facts->ended);
  facts->changed = kp_dbus_get_count (row, "put") + kp_dbus_get_count (row, "delta")
                   + kp_dbus_get_count (row, "copied") + kp_dbus_get_count (row, "metadata");
  facts->unchanged = kp_dbus_get_count (row, "unchanged");
  facts->deleted = kp_dbus_get_count (row, "deleted");
  facts->failed = kp_dbus_get_count (row, "failed");
  facts->bytes_sent = kp_dbus_get_count (row, "bytes-sent");
  facts->bytes_saved = kp_dbus_get_count (row, "bytes-saved");
}

static void
message_clicked_cb (GtkWidget *button, const char *message)
{
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (button)), _ ("What Happened"), message);
}

static void
free_closure_data (void *data, GClosure *closure)
{
  g_free (data);
}

static GtkWidget *
make_history_row (GVariant *variant, const KpHistoryFacts *facts)
{
  g_autofree char *title = kp_words_history_title (facts);
  g_autofree char *detail = kp_words_history_detail (facts, kp_app_now ());
  GtkWidget *row = make_row (title, detail);
  const char *message = "";
  gboolean is_good = g_str_equal (facts->state, "finished") && facts->failed == 0;
  const char *icon = is_good                                   ? "object-select-symbolic"
                     : g_str_equal (facts->state, "failed")    ? "dialog-error-symbolic"
                     : g_str_equal (facts->state, "cancelled") ? "process-stop-symbolic"
                                                               : "dialog-warning-symbolic";
  GtkWidget *image = gtk_image_new_from_icon_name (icon);

  gtk_widget_add_css_class (image, is_good                                ? "success"
                                   : g_str_equal (facts->state, "failed") ? "error"
                                                                          : "dim-label");
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), image);
  g_variant_lookup (variant, "message", "&s", &message);
  if (*message != '\0')
    {
      GtkWidget *button = gtk_button_new_with_mnemonic (_ ("_Details"));
      gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
      gtk_widget_add_css_class (button, "flat");
      g_signal_connect_data (button, "clicked", G_CALLBACK (message_clicked_cb), g_strdup (message),
                             free_closure_data, 0);
      adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
    }
  return row;
}

static void
history_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GVariant) jobs = NULL;
  g_autoptr (GVariant) skips = NULL;
  g_autoptr (GError) error = NULL;
  gint64 last_with_problems = 0;
  gboolean seen_backup = FALSE;

  if (!kp_dbus_plan_call_get_history_finish (KP_DBUS_PLAN (source), &jobs, &skips, result, &error))
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_message ("The history: %s", error->message);
      return;
    }
  KpPlanPage *self = data;
  clear_list (self->history);
  kp_history_chart_clear (self->chart);
  gsize n = g_variant_n_children (jobs);
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (jobs, i);
      KpHistoryFacts facts;
      read_history_row (row, &facts);
      gboolean is_backup = g_str_equal (facts.kind, "backup");
      if (g_str_equal (facts.state, "running"))
        continue;
      if (i < SHOWN_RUNS)
        gtk_list_box_append (self->history, make_history_row (row, &facts));
      if (is_backup)
        kp_history_chart_prepend (self->chart, facts.bytes_sent,
                                  g_str_equal (facts.state, "finished")
                                      || g_str_equal (facts.state, "cancelled"));
      if (is_backup && !seen_backup && facts.failed > 0)
        g_variant_lookup (row, "id", "x", &last_with_problems);
      seen_backup = seen_backup || is_backup;
    }
  gtk_widget_set_visible (self->history_group, n > 0);
  gtk_widget_set_visible (GTK_WIDGET (self->problems_group), FALSE);
  self->shows_damage = kp_dbus_plan_get_verify_problem (get_dbus (self));
  if (self->shows_damage)
    last_with_problems = kp_dbus_plan_get_last_verify_job (get_dbus (self));
  if (last_with_problems != 0)
    kp_dbus_plan_call_get_failures (get_dbus (self), last_with_problems,
                                    g_variant_new ("a{sv}", NULL), self->cancellable, failures_cb,
                                    self);
}

/* Reads the history when it can have changed. */
static void
refresh_history (KpPlanPage *self)
{
  KpDBusPlan *dbus = get_dbus (self);
  GVariantDict options;
  g_autofree char *now = g_strdup_printf (
      "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
      " %d %s %d %u",
      kp_dbus_plan_get_last_start (dbus), kp_dbus_plan_get_last_success (dbus),
      kp_dbus_plan_get_last_verified (dbus), kp_dbus_plan_get_last_verify_job (dbus),
      kp_dbus_plan_get_verify_problem (dbus), kp_dbus_plan_get_last_result (dbus),
      kp_plan_proxy_get_job (self->plan) != NULL, kp_plan_proxy_get_jobs_seen (self->plan));

  if (g_strcmp0 (now, self->shown_result) == 0)
    return;
  g_free (self->shown_result);
  self->shown_result = g_steal_pointer (&now);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "limit", "u", (guint32) CHARTED_RUNS);
  kp_dbus_plan_call_get_history (dbus, g_variant_dict_end (&options), self->cancellable, history_cb,
                                 self);
}

static void
copy_problems_cb (KpPlanPage *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), self->problems_text->str);
  kp_window_toast (kp_window_of (GTK_WIDGET (self)), _ ("Copied"));
}

/* --- what is shown -------------------------------------------------------------------------- */

static void
show_standing (KpPlanPage *self)
{
  g_autoptr (KpStanding) standing = kp_plan_proxy_describe (self->plan);
  const char *mood_class = kp_words_mood_class (standing->mood);
  KpHelp help = standing->help;

  /* Here is always room to back up; on this page the problems are shown anyway. */
  if ((help == KP_HELP_NONE || help == KP_HELP_SHOW_PROBLEMS) && kp_plan_proxy_can_run (self->plan))
    help = KP_HELP_RUN;
  self->help = help;
  adw_window_title_set_title (self->window_title, kp_plan_proxy_get_name (self->plan));
  gtk_image_set_from_icon_name (self->icon, kp_words_mood_icon (standing->mood));
  if (self->mood_class != NULL)
    gtk_widget_remove_css_class (GTK_WIDGET (self->icon), self->mood_class);
  self->mood_class = mood_class;
  gtk_widget_add_css_class (GTK_WIDGET (self->icon), mood_class);
  gtk_label_set_label (self->state_label, standing->title);

  g_autofree char *detail = kp_words_shorten (standing->detail, MAX_SHOWN_TEXT);
  gtk_label_set_label (self->detail_label, detail);
  gtk_widget_set_visible (GTK_WIDGET (self->detail_label), *detail != '\0');
  /* What the label cuts off is a click away, and so is the technical cause. */
  gboolean is_long = g_utf8_strlen (standing->detail, -1) > MAX_SHOWN_TEXT / 3;
  const char *details = *standing->technical != '\0' ? standing->technical
                        : is_long                    ? standing->detail
                                                     : NULL;
  g_free (self->details);
  self->details = g_strdup (details);
  gtk_widget_set_visible (self->details_button, details != NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->help_button), help != KP_HELP_NONE);
  if (help != KP_HELP_NONE)
    gtk_button_set_label (self->help_button, kp_words_help_label (help));
}

static void
show_limit (KpPlanPage *self)
{
  KpDBusManager *manager = self->client != NULL ? kp_agent_client_get_manager (self->client) : NULL;
  gint64 by_hand = manager != NULL ? kp_dbus_manager_get_upload_limit (manager) : -1;
  KpPlan *plan = kp_plan_proxy_get_plan (self->plan);
  guint64 limit = 0;

  /* What the agent says is older than where the slider was moved to since: it would jump back, and
   * the next step would begin there. */
  if (self->limits_asked > 0)
    return;
  if (by_hand >= 0)
    limit = (guint64) by_hand;
  else if (plan != NULL && *kp_plan_get_upload_limit (plan) != '\0')
    {
      g_autoptr (KpTimetable) limits = kp_plan_dup_limits (plan, NULL);
      g_autoptr (GDateTime) now = g_date_time_new_now_local ();
      if (limits != NULL)
        limit = kp_timetable_rate_at (limits, now, KP_DIRECTION_UP);
    }
  if (limit != kp_limit_row_get_limit (self->limit_row))
    kp_limit_row_set_limit (self->limit_row, limit);
}

static void
show_settings (KpPlanPage *self)
{
  KpPlan *plan = kp_plan_proxy_get_plan (self->plan);
  g_autoptr (GString) folders = g_string_new (NULL);

  if (plan == NULL)
    return;
  GPtrArray *sources = kp_plan_get_sources (plan);
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      g_autofree char *name = g_filename_display_name (source->path);
      g_string_append_printf (folders, "%s%s", i > 0 ? "\n" : "", name);
    }
  adw_action_row_set_subtitle (self->folders_row, folders->str);
  const KpS3Provider *provider = kp_s3_provider_find (kp_plan_get_provider (plan));
  g_autofree char *place = kp_plan_proxy_dup_place (self->plan);
  g_autofree char *storage = g_strdup_printf (
      "%s\n%s", provider != NULL ? provider->name : kp_plan_get_endpoint (plan), place);
  adw_action_row_set_subtitle (self->storage_row, storage);
  g_autofree char *schedule
      = kp_words_schedule (kp_schedule_to_string (kp_plan_get_schedule (plan)));
  const char *note = kp_dbus_plan_get_watch_note (get_dbus (self));
  if (note != NULL && *note != '\0')
    {
      g_autofree char *text
          /* Translators: the first %s is a schedule, the second a sentence: why changes cannot be
           * seen as they happen */
          = g_strdup_printf (_ ("%s\nFor now once an hour: %s"), schedule, note);
      adw_action_row_set_subtitle (self->schedule_row, text);
    }
  else
    adw_action_row_set_subtitle (self->schedule_row, schedule);
}

static void
show_verification (KpPlanPage *self)
{
  KpDBusPlan *dbus = get_dbus (self);
  GVariant *coverage = kp_dbus_plan_get_verify_coverage (dbus);
  KpVerifyFacts facts = { .last_verified = kp_dbus_plan_get_last_verified (dbus) };

  if (kp_dbus_plan_get_verify_problem (dbus))
    facts.damaged = kp_dbus_plan_get_last_verify_failed (dbus);
  if (coverage != NULL)
    {
      g_variant_lookup (coverage, "objects", "t", &facts.objects);
      g_variant_lookup (coverage, "objects-proved", "t", &facts.objects_proved);
      g_variant_lookup (coverage, "oldest-proof", "x", &facts.oldest_proof);
    }
  g_autofree char *text = kp_words_verification (&facts, kp_app_now ());
  adw_action_row_set_subtitle (self->verify_row, text);
}

static void
update (KpPlanPage *self)
{
  KpDBusJob *job = kp_plan_proxy_get_job (self->plan);
  gboolean can_run = kp_plan_proxy_can_run (self->plan);

  show_standing (self);
  show_settings (self);
  gtk_widget_set_visible (self->job_group, job != NULL);
  /* A deletion sends next to nothing. */
  gtk_widget_set_visible (self->limit_group,
                          job != NULL && g_strcmp0 (kp_dbus_job_get_kind (job), "erase") != 0);
  kp_job_view_set_job (self->job_view, job);
  show_limit (self);
  show_verification (self);
  gtk_widget_set_sensitive (self->verify_button, can_run);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "plan.run", can_run);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "plan.verify", can_run);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "plan.delete", job == NULL);
  refresh_history (self);
}

static gboolean
refresh_cb (void *data)
{
  update (data);
  return G_SOURCE_CONTINUE;
}

/* --- what can be done ----------------------------------------------------------------------- */

static void
called_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpPlanPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  KpWindow *window = kp_window_of (GTK_WIDGET (self));

  if (answer == NULL && window != NULL)
    kp_window_show_error (window, _ ("That did not work"), error);
}

static void
limit_set_cb (GObject *source, GAsyncResult *result, void *data)
{
  KpPlanPage *self = data;

  self->limits_asked--;
  if (self->plan != NULL)
    show_limit (self);
  called_cb (source, result, self);
}

static void
limit_cb (KpPlanPage *self)
{
  KpDBusManager *manager = self->client != NULL ? kp_agent_client_get_manager (self->client) : NULL;

  GVariantDict options;

  if (manager == NULL)
    return;
  self->limits_asked++;
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "until-idle", "b", TRUE);
  g_dbus_proxy_call (G_DBUS_PROXY (manager), "SetUploadLimit",
                     g_variant_new ("(x@a{sv})", (gint64) kp_limit_row_get_limit (self->limit_row),
                                    g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, -1, NULL, limit_set_cb, g_object_ref (self));
}

static void
help_cb (KpPlanPage *self)
{
  kp_window_help (kp_window_of (GTK_WIDGET (self)), self->plan, self->help);
}

static void
details_cb (KpPlanPage *self)
{
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), _ ("What Happened"),
                   self->details);
}

static void
run_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  kp_window_help (kp_window_of (widget), KP_PLAN_PAGE (widget)->plan, KP_HELP_RUN);
}

static void
verify_cb (KpPlanPage *self)
{
  GVariantDict options;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "kind", "s", "verify");
  g_variant_dict_insert (&options, "bounded", "b", TRUE);
  g_dbus_proxy_call (G_DBUS_PROXY (get_dbus (self)), "Run",
                     g_variant_new ("(@a{sv})", g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, -1, NULL, called_cb, g_object_ref (self));
}

static void
verify_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  verify_cb (KP_PLAN_PAGE (widget));
}

static void
restore_cb (KpPlanPage *self)
{
  kp_window_show_restore (kp_window_of (GTK_WIDGET (self)), self->plan);
}

static void
restore_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  restore_cb (KP_PLAN_PAGE (widget));
}

static void
recover_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  KpPlanPage *self = KP_PLAN_PAGE (widget);
  KpPlan *plan = kp_plan_proxy_get_plan (self->plan);
  g_autoptr (GError) error = NULL;

  if (plan == NULL)
    return;
  GtkWidget *dialog
      = kp_recovery_dialog_new (GTK_WINDOW (gtk_widget_get_root (widget)), plan, &error);
  if (dialog != NULL)
    gtk_window_present (GTK_WINDOW (dialog));
  else
    kp_window_show_error (kp_window_of (widget), _ ("That did not work"), error);
}

static void
edit_cb (KpPlanPage *self)
{
  kp_window_show_setup (kp_window_of (GTK_WIDGET (self)), self->plan);
}

static void
edit_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  edit_cb (KP_PLAN_PAGE (widget));
}

static void
delete_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  kp_window_ask_deletion (kp_window_of (widget), KP_PLAN_PAGE (widget)->plan);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
kp_plan_page_root (GtkWidget *widget)
{
  KpPlanPage *self = KP_PLAN_PAGE (widget);
  KpWindow *window;

  GTK_WIDGET_CLASS (kp_plan_page_parent_class)->root (widget);
  window = kp_window_of (widget);
  if (window == NULL || self->client != NULL)
    return;
  self->client = g_object_ref (kp_window_get_client (window));
  g_signal_connect_swapped (self->client, "changed", G_CALLBACK (show_limit), self);
  show_limit (self);
}

static void
kp_plan_page_dispose (GObject *object)
{
  KpPlanPage *self = KP_PLAN_PAGE (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_handle_id (&self->refresh, g_source_remove);
  if (self->client != NULL)
    g_signal_handlers_disconnect_by_data (self->client, self);
  g_clear_object (&self->client);
  if (self->plan != NULL)
    g_signal_handlers_disconnect_by_data (self->plan, self);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->shown_result, g_free);
  g_clear_pointer (&self->details, g_free);
  if (self->problems_text != NULL)
    g_string_free (g_steal_pointer (&self->problems_text), TRUE);
  G_OBJECT_CLASS (kp_plan_page_parent_class)->dispose (object);
}

static void
kp_plan_page_class_init (KpPlanPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_plan_page_dispose;
  widget_class->root = kp_plan_page_root;
  g_type_ensure (KP_TYPE_BANNER);
  g_type_ensure (KP_TYPE_JOB_VIEW);
  g_type_ensure (KP_TYPE_LIMIT_ROW);
  g_type_ensure (KP_TYPE_HISTORY_CHART);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-plan-page.ui");
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, window_title);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, icon);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, state_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, detail_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, details_button);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, help_button);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, job_group);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, job_view);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, limit_group);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, limit_row);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, verify_row);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, verify_button);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, problems_group);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, problems);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, history_group);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, chart);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, history);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, folders_row);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, storage_row);
  gtk_widget_class_bind_template_child (widget_class, KpPlanPage, schedule_row);
  gtk_widget_class_bind_template_callback (widget_class, details_cb);
  gtk_widget_class_bind_template_callback (widget_class, help_cb);
  gtk_widget_class_bind_template_callback (widget_class, limit_cb);
  gtk_widget_class_bind_template_callback (widget_class, restore_cb);
  gtk_widget_class_bind_template_callback (widget_class, verify_cb);
  gtk_widget_class_bind_template_callback (widget_class, copy_problems_cb);
  gtk_widget_class_bind_template_callback (widget_class, edit_cb);
  gtk_widget_class_install_action (widget_class, "plan.run", NULL, run_action);
  gtk_widget_class_install_action (widget_class, "plan.verify", NULL, verify_action);
  gtk_widget_class_install_action (widget_class, "plan.restore", NULL, restore_action);
  gtk_widget_class_install_action (widget_class, "plan.recover", NULL, recover_action);
  gtk_widget_class_install_action (widget_class, "plan.edit", NULL, edit_action);
  gtk_widget_class_install_action (widget_class, "plan.delete", NULL, delete_action);
}

static void
kp_plan_page_init (KpPlanPage *self)
{
  self->cancellable = g_cancellable_new ();
  self->problems_text = g_string_new (NULL);
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_widget_set_visible (GTK_WIDGET (self->problems_group), FALSE);
  gtk_widget_set_visible (self->history_group, FALSE);
}

GtkWidget *
kp_plan_page_new (KpPlanProxy *plan)
{
  KpPlanPage *self = g_object_new (KP_TYPE_PLAN_PAGE, NULL);

  self->plan = g_object_ref (plan);
  g_signal_connect_swapped (plan, "changed", G_CALLBACK (update), self);
  self->refresh = g_timeout_add_seconds (REFRESH_SECONDS, refresh_cb, self);
  update (self);
  return GTK_WIDGET (self);
}

KpPlanProxy *
kp_plan_page_get_plan (KpPlanPage *self)
{
  return self->plan;
}

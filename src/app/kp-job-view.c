/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-job-view.h"

#include "kp-plan-proxy.h"
#include "kp-window.h"

#include <glib/gi18n.h>

#define MAX_SHOWN_TEXT 600

struct _KpJobView
{
  AdwBin parent_instance;

  KpDBusJob *job; /* (nullable) */
  GtkLabel *phase_label;
  GtkProgressBar *bar;
  GtkLabel *progress_label;
  GtkLabel *file_label;
  GtkLabel *notice_label;
  GtkButton *cancel_button;
  GtkButton *pause_button;
};

G_DEFINE_FINAL_TYPE (KpJobView, kp_job_view, ADW_TYPE_BIN)

static const char *
text_or_empty (const char *text)
{
  return text != NULL ? text : "";
}

static gboolean
is_paused (KpJobView *self)
{
  return g_strcmp0 (kp_dbus_job_get_state (self->job), "paused") == 0;
}

static void
show_text (GtkLabel *label, const char *text)
{
  gtk_label_set_label (label, text);
  gtk_widget_set_visible (GTK_WIDGET (label), *text != '\0');
}

static void
show_phase (KpJobView *self)
{
  const char *waiting = text_or_empty (kp_dbus_job_get_waiting (self->job));
  const char *state = text_or_empty (kp_dbus_job_get_state (self->job));
  g_autofree char *phase = kp_words_phase (text_or_empty (kp_dbus_job_get_kind (self->job)), state);

  /* Most of these sentences begin with "Waiting". */
  if (*waiting != '\0' && g_str_equal (state, "waiting"))
    show_text (self->phase_label, waiting);
  else if (*waiting != '\0')
    {
      /* Translators: how the job stands and why it would wait anyway, as in "Paused: There is no
       * network connection" */
      g_autofree char *text = g_strdup_printf (_ ("%s: %s"), phase, waiting);
      show_text (self->phase_label, text);
    }
  else
    show_text (self->phase_label, phase);
}

static void
update (KpJobView *self)
{
  const char *const *notices;
  KpJobFacts facts;

  if (self->job == NULL)
    return;
  kp_job_read_facts (self->job, &facts);
  double fraction = kp_words_fraction (&facts);
  g_autofree char *progress
      = kp_words_progress (text_or_empty (kp_dbus_job_get_kind (self->job)),
                           text_or_empty (kp_dbus_job_get_state (self->job)), &facts);
  show_phase (self);
  show_text (self->progress_label, progress);
  show_text (self->file_label, text_or_empty (kp_dbus_job_get_current_file (self->job)));
  notices = kp_dbus_job_get_notices (self->job);
  g_autofree char *joined = notices != NULL ? g_strjoinv ("\n", (char **) notices) : g_strdup ("");
  g_autofree char *shown = kp_words_shorten (joined, MAX_SHOWN_TEXT);
  show_text (self->notice_label, shown);
  if (fraction >= 0)
    gtk_progress_bar_set_fraction (self->bar, fraction);
  else if (!is_paused (self))
    gtk_progress_bar_pulse (self->bar);
  gtk_button_set_label (self->pause_button, is_paused (self) ? _ ("Res_ume") : _ ("_Pause"));
}

static void
called_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpJobView) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  KpWindow *window = kp_window_of (GTK_WIDGET (self));

  if (answer == NULL && window != NULL && !kp_error_is (error, KP_ERROR_CONFLICT))
    kp_window_show_error (window, _ ("That did not work"), error);
}

static void
call (KpJobView *self, const char *method)
{
  if (self->job != NULL)
    g_dbus_proxy_call (G_DBUS_PROXY (self->job), method, g_variant_new ("(a{sv})", NULL),
                       G_DBUS_CALL_FLAGS_NONE, -1, NULL, called_cb, g_object_ref (self));
}

static void
pause_cb (KpJobView *self)
{
  if (self->job != NULL)
    call (self, is_paused (self) ? "Resume" : "Pause");
}

static void
cancel_cb (KpJobView *self)
{
  call (self, "Cancel");
}

static void
kp_job_view_dispose (GObject *object)
{
  kp_job_view_set_job (KP_JOB_VIEW (object), NULL);
  G_OBJECT_CLASS (kp_job_view_parent_class)->dispose (object);
}

static void
kp_job_view_class_init (KpJobViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_job_view_dispose;
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-job-view.ui");
  gtk_widget_class_bind_template_child (widget_class, KpJobView, phase_label);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, bar);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, progress_label);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, file_label);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, notice_label);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, cancel_button);
  gtk_widget_class_bind_template_child (widget_class, KpJobView, pause_button);
  gtk_widget_class_bind_template_callback (widget_class, pause_cb);
  gtk_widget_class_bind_template_callback (widget_class, cancel_cb);
}

static void
kp_job_view_init (KpJobView *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

/* @job: (nullable): what was shown of the last one stays */
void
kp_job_view_set_job (KpJobView *self, KpDBusJob *job)
{
  if (self->job == job)
    return;
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_set_object (&self->job, job);
  if (job == NULL)
    return;
  g_signal_connect_swapped (job, "notify", G_CALLBACK (update), self);
  gtk_progress_bar_set_fraction (self->bar, 0);
  update (self);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-plan-card.h"

#include "kp-window.h"

#include <glib/gi18n.h>

/* "12 minutes ago" grows old. */
#define REFRESH_SECONDS 30

/* The plan's page shows more. */
#define MAX_SHOWN_TEXT 300

struct _KpPlanCard
{
  GtkListBoxRow parent_instance;

  KpPlanProxy *plan;
  KpHelp help;
  const char *mood_class; /* (transfer none) */
  guint refresh;
  GtkImage *icon;
  GtkLabel *name_label;
  GtkLabel *state_label;
  GtkLabel *detail_label;
  GtkWidget *progress_box;
  GtkProgressBar *progress_bar;
  GtkLabel *progress_label;
  GtkButton *help_button;
};

G_DEFINE_FINAL_TYPE (KpPlanCard, kp_plan_card, GTK_TYPE_LIST_BOX_ROW)

static void
show_progress (KpPlanCard *self)
{
  KpDBusJob *job = kp_plan_proxy_get_job (self->plan);
  KpJobFacts facts;

  gtk_widget_set_visible (self->progress_box, job != NULL);
  if (job == NULL)
    return;
  kp_job_read_facts (job, &facts);
  double fraction = kp_words_fraction (&facts);
  g_autofree char *text
      = kp_words_progress (kp_dbus_job_get_kind (job), kp_dbus_job_get_state (job), &facts);
  g_autofree char *phase = kp_words_phase (kp_dbus_job_get_kind (job), kp_dbus_job_get_state (job));
  if (fraction < 0)
    gtk_progress_bar_pulse (self->progress_bar);
  else
    gtk_progress_bar_set_fraction (self->progress_bar, fraction);
  gtk_label_set_label (self->progress_label, *text != '\0' ? text : phase);
}

static void
update (KpPlanCard *self)
{
  g_autoptr (KpStanding) standing = kp_plan_proxy_describe (self->plan);
  const char *name = kp_plan_proxy_get_name (self->plan);
  /* To resume is for all plans: the banner above has it. */
  const char *help = standing->help != KP_HELP_RESUME ? kp_words_help_label (standing->help) : NULL;
  const char *mood_class = kp_words_mood_class (standing->mood);

  self->help = standing->help;
  gtk_label_set_label (self->name_label, name);
  gtk_label_set_label (self->state_label, standing->title);
  g_autofree char *detail = kp_words_shorten (standing->detail, MAX_SHOWN_TEXT);
  gtk_label_set_label (self->detail_label, detail);
  gtk_widget_set_visible (GTK_WIDGET (self->detail_label), *standing->detail != '\0');
  gtk_image_set_from_icon_name (self->icon, kp_words_mood_icon (standing->mood));
  if (self->mood_class != NULL)
    gtk_widget_remove_css_class (GTK_WIDGET (self->icon), self->mood_class);
  self->mood_class = mood_class;
  gtk_widget_add_css_class (GTK_WIDGET (self->icon), mood_class);
  gtk_widget_set_visible (GTK_WIDGET (self->help_button), help != NULL);
  if (help != NULL)
    gtk_button_set_label (self->help_button, help);
  show_progress (self);
  /* Translators: the name of a plan and how it stands; for screen readers */
  g_autofree char *label = g_strdup_printf (_ ("%s: %s"), name, standing->title);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, label,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, detail, -1);
}

static gboolean
refresh_cb (void *data)
{
  update (data);
  return G_SOURCE_CONTINUE;
}

static void
help_clicked_cb (KpPlanCard *self)
{
  kp_window_help (kp_window_of (GTK_WIDGET (self)), self->plan, self->help);
}

static void
kp_plan_card_dispose (GObject *object)
{
  KpPlanCard *self = KP_PLAN_CARD (object);

  g_clear_handle_id (&self->refresh, g_source_remove);
  if (self->plan != NULL)
    g_signal_handlers_disconnect_by_data (self->plan, self);
  g_clear_object (&self->plan);
  G_OBJECT_CLASS (kp_plan_card_parent_class)->dispose (object);
}

static void
kp_plan_card_class_init (KpPlanCardClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_plan_card_dispose;
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-plan-card.ui");
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, icon);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, name_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, state_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, detail_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, progress_box);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, progress_bar);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, progress_label);
  gtk_widget_class_bind_template_child (widget_class, KpPlanCard, help_button);
  gtk_widget_class_bind_template_callback (widget_class, help_clicked_cb);
}

static void
kp_plan_card_init (KpPlanCard *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

GtkWidget *
kp_plan_card_new (KpPlanProxy *plan)
{
  KpPlanCard *self = g_object_new (KP_TYPE_PLAN_CARD, NULL);

  self->plan = g_object_ref (plan);
  g_signal_connect_swapped (plan, "changed", G_CALLBACK (update), self);
  self->refresh = g_timeout_add_seconds (REFRESH_SECONDS, refresh_cb, self);
  update (self);
  return GTK_WIDGET (self);
}

KpPlanProxy *
kp_plan_card_get_plan (KpPlanCard *self)
{
  return self->plan;
}

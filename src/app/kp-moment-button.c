/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-moment-button.h"

#include "kp-moment.h"
#include "kp-plan-proxy.h"
#include "kp-words.h"

#include <glib/gi18n.h>

/* As kp_moment_parse() reads it, and people, too. */
#define FORMAT "%Y-%m-%d %H:%M"

struct _KpMomentButton
{
  AdwBin parent_instance;

  gint64 moment; /* Unix seconds; 0 for now */
  GtkMenuButton *button;
  GtkLabel *label;
  GtkPopover *popover;
  GtkCalendar *calendar;
  GtkEditable *entry;
  GtkLabel *error_label;
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpMomentButton, kp_moment_button, ADW_TYPE_BIN)

static void
show_error (KpMomentButton *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL);
  if (text != NULL)
    gtk_widget_add_css_class (GTK_WIDGET (self->entry), "error");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self->entry), "error");
}

static void
show_moment (KpMomentButton *self)
{
  g_autofree char *text = kp_moment_button_dup_text (self);
  g_autofree char *when = self->moment > 0 ? kp_words_past (self->moment, kp_app_now ())
                                           : g_strdup (C_ ("moment of the backup", "Now"));

  gtk_label_set_label (self->label, when);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  text, -1);
}

static void
set_moment (KpMomentButton *self, gint64 moment)
{
  gboolean changed = moment != self->moment;

  self->moment = moment;
  show_moment (self);
  gtk_popover_popdown (self->popover);
  if (changed)
    g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* A day is meant with all that was backed up on it; the time of today is the present one. */
static void
day_selected_cb (KpMomentButton *self)
{
  g_autoptr (GDateTime) day = gtk_calendar_get_date (self->calendar);
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (kp_app_now ());
  g_autofree char *date = g_date_time_format (day, "%Y-%m-%d");
  gint64 moment;

  if (kp_moment_parse (date, now, &moment, NULL))
    {
      g_autoptr (GDateTime) end = g_date_time_new_from_unix_local (moment);
      g_autofree char *text = g_date_time_format (end, FORMAT);
      gtk_editable_set_text (self->entry, text);
    }
  else
    gtk_editable_set_text (self->entry, date);
}

static void
edited_cb (KpMomentButton *self)
{
  show_error (self, NULL);
}

static void
now_cb (KpMomentButton *self)
{
  set_moment (self, 0);
}

static void
show_cb (KpMomentButton *self)
{
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (kp_app_now ());
  gint64 moment;

  if (kp_moment_parse (gtk_editable_get_text (self->entry), now, &moment, NULL))
    set_moment (self, moment);
  else
    show_error (self, _ ("Write a time in the past, as in 2026-11-27 18:00."));
}

static void
kp_moment_button_class_init (KpMomentButtonClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_MOMENT_BUTTON, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-moment-button.ui");
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, button);
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, label);
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, popover);
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, calendar);
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, entry);
  gtk_widget_class_bind_template_child (widget_class, KpMomentButton, error_label);
  gtk_widget_class_bind_template_callback (widget_class, day_selected_cb);
  gtk_widget_class_bind_template_callback (widget_class, edited_cb);
  gtk_widget_class_bind_template_callback (widget_class, now_cb);
  gtk_widget_class_bind_template_callback (widget_class, show_cb);
}

static void
kp_moment_button_init (KpMomentButton *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  show_moment (self);
  day_selected_cb (self);
}

/**
 * kp_moment_button_get_moment:
 *
 * Returns: Unix seconds; 0 for now
 */
gint64
kp_moment_button_get_moment (KpMomentButton *self)
{
  return self->moment;
}

/**
 * kp_moment_button_dup_text:
 *
 * Returns: (transfer full): as of when the backup is shown, for people
 */
char *
kp_moment_button_dup_text (KpMomentButton *self)
{
  if (self->moment == 0)
    return g_strdup (_ ("As it is now"));

  g_autofree char *when = kp_words_past (self->moment, kp_app_now ());
  /* Translators: %s is as in "yesterday at 18:00" */
  return g_strdup_printf (_ ("As it was %s"), when);
}

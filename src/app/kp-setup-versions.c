/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-versions.h"

#include "kp-s3-versioning.h"

#include <glib/gi18n.h>

#define DEFAULT_DAYS 90
#define MAX_DAYS 3650

typedef struct
{
  KpS3Location *location;
  KpSetupVersionsFunc func;
  GWeakRef owner; /* of whom the function is */
  GtkSpinButton *days;
  GtkTextBuffer *rule;
} Question;

static void
question_free (void *data, GClosure *closure)
{
  Question *question = data;

  kp_s3_location_unref (question->location);
  g_weak_ref_clear (&question->owner);
  g_free (question);
}

static void
show_rule (Question *question)
{
  g_autofree char *rule = kp_s3_versioning_make_rule (
      question->location, (unsigned) gtk_spin_button_get_value_as_int (question->days));

  gtk_text_buffer_set_text (question->rule, rule, -1);
}

static void
days_changed_cb (GtkSpinButton *button, Question *question)
{
  show_rule (question);
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, void *data)
{
  Question *question = data;
  g_autoptr (GObject) owner = g_weak_ref_get (&question->owner);

  if (owner != NULL && g_str_equal (response, "enable"))
    question->func ((unsigned) gtk_spin_button_get_value_as_int (question->days), owner);
}

static GtkWidget *
make_days_box (Question *question)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("_Days to keep an old version:"));
  GtkWidget *days = gtk_spin_button_new_with_range (1, MAX_DAYS, 1);

  question->days = GTK_SPIN_BUTTON (days);
  gtk_spin_button_set_value (question->days, DEFAULT_DAYS);
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), days);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_set_hexpand (label, TRUE);
  gtk_box_append (GTK_BOX (box), label);
  gtk_box_append (GTK_BOX (box), days);
  return box;
}

static GtkWidget *
make_rule_view (Question *question)
{
  GtkWidget *expander = gtk_expander_new_with_mnemonic (_ ("_What is set at the storage"));
  GtkWidget *scrolled = gtk_scrolled_window_new ();
  GtkWidget *view = gtk_text_view_new ();

  question->rule = gtk_text_view_get_buffer (GTK_TEXT_VIEW (view));
  gtk_text_view_set_editable (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_cursor_visible (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (view), GTK_WRAP_WORD_CHAR);
  gtk_widget_add_css_class (view, "details");
  gtk_accessible_update_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Rule of the bucket's lifecycle"), -1);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scrolled), view);
  gtk_scrolled_window_set_min_content_height (GTK_SCROLLED_WINDOW (scrolled), 160);
  gtk_widget_add_css_class (scrolled, "card");
  gtk_accessible_update_property (GTK_ACCESSIBLE (expander), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("What is set at the storage"), -1);
  gtk_expander_set_child (GTK_EXPANDER (expander), scrolled);
  return expander;
}

/**
 * kp_setup_versions_ask:
 * @location: bucket and prefix
 * @func: called with the days when the user agrees, and @owner is still there
 * @owner: is given to @func
 */
void
kp_setup_versions_ask (GtkWindow *parent,
                       KpS3Location *location,
                       KpSetupVersionsFunc func,
                       GObject *owner)
{
  GtkWidget *dialog = adw_message_dialog_new (parent, _ ("Keep Old Versions?"), NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  Question *question = g_new0 (Question, 1);

  question->location = kp_s3_location_ref (location);
  question->func = func;
  g_weak_ref_init (&question->owner, owner);
  gtk_box_append (GTK_BOX (box), make_days_box (question));
  gtk_box_append (GTK_BOX (box), make_rule_view (question));
  show_rule (question);
  g_signal_connect (question->days, "value-changed", G_CALLBACK (days_changed_cb), question);
  adw_message_dialog_format_body (
      ADW_MESSAGE_DIALOG (dialog),
      /* Translators: %s is the name of a bucket */
      _ ("Files can then be restored as they were on a day of the past. The bucket “%s” keeps "
         "versions of everything in it, and old ones cost storage until they are deleted."),
      kp_s3_location_get_bucket (location));
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), box);
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "enable",
                                    _ ("_Keep Versions"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "enable",
                                              ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "enable");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_signal_connect_data (dialog, "response", G_CALLBACK (response_cb), question, question_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-retrieve-dialog.h"

#include <glib/gi18n.h>
#include <inttypes.h>

/* In the order in which they are offered; the first is chosen to begin with. */
static const struct
{
  const char *tier;
  const char *title;
  const char *wait;
} tiers[] = {
  { "standard", N_ ("_Standard"), N_ ("In 3 to 5 hours, or 12 from a deep archive") },
  { "bulk", N_ ("_Cheapest"), N_ ("In 5 to 12 hours, or 48 from a deep archive") },
  { "expedited", N_ ("_Fastest"),
    N_ ("In 1 to 5 minutes, but not from a deep archive; costs the most") },
};

typedef struct
{
  KpRetrieveFunc func;
  GWeakRef owner; /* of whom the function is */
  GtkCheckButton *checks[G_N_ELEMENTS (tiers)];
} Question;

static void
question_free (void *data, GClosure *closure)
{
  Question *question = data;

  g_weak_ref_clear (&question->owner);
  g_free (question);
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, Question *question)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&question->owner);

  if (owner == NULL || !g_str_equal (response, "request"))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (tiers); i++)
    if (gtk_check_button_get_active (question->checks[i]))
      question->func (tiers[i].tier, owner);
}

static GtkWidget *
make_tiers (Question *question)
{
  GtkWidget *list = gtk_list_box_new ();

  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  for (gsize i = 0; i < G_N_ELEMENTS (tiers); i++)
    {
      GtkWidget *row = adw_action_row_new ();
      GtkWidget *check = gtk_check_button_new ();

      question->checks[i] = GTK_CHECK_BUTTON (check);
      if (i > 0)
        gtk_check_button_set_group (question->checks[i], question->checks[0]);
      adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), _ (tiers[i].title));
      adw_preferences_row_set_use_underline (ADW_PREFERENCES_ROW (row), TRUE);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), _ (tiers[i].wait));
      adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 3);
      adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
      adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), check);
      gtk_accessible_update_relation (GTK_ACCESSIBLE (check), GTK_ACCESSIBLE_RELATION_LABELLED_BY,
                                      row, NULL, -1);
      gtk_list_box_append (GTK_LIST_BOX (list), row);
    }
  gtk_check_button_set_active (question->checks[0], TRUE);
  return list;
}

/**
 * kp_retrieve_describe_wait:
 *
 * Returns: how long it takes, a sentence without its full stop
 */
const char *
kp_retrieve_describe_wait (const char *tier)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tiers); i++)
    if (g_str_equal (tiers[i].tier, tier))
      return _ (tiers[i].wait);
  return "";
}

/**
 * kp_retrieve_dialog_show:
 * @n_files: that lie in the archive
 * @func: called when the user has chosen, and @owner is still there
 * @owner: is given to @func
 */
void
kp_retrieve_dialog_show (GtkWindow *parent, guint64 n_files, KpRetrieveFunc func, GObject *owner)
{
  GtkWidget *dialog = adw_message_dialog_new (parent, _ ("Request Files from the Archive?"), NULL);
  Question *question = g_new0 (Question, 1);

  question->func = func;
  g_weak_ref_init (&question->owner, owner);
  adw_message_dialog_format_body (
      ADW_MESSAGE_DIALOG (dialog),
      ngettext ("%'" PRIu64 " file has to be brought out of the archive before it can be restored. "
                "The storage charges for that. Restore it once more when it is there.",
                "%'" PRIu64 " files have to be brought out of the archive before they can be "
                "restored. The storage charges for that. Restore them once more when they are "
                "there.",
                (gulong) n_files),
      n_files);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), make_tiers (question));
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "request",
                                    _ ("_Request Files"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "request",
                                              ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "request");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_signal_connect_data (dialog, "response", G_CALLBACK (response_cb), question, question_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

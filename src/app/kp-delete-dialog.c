/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-delete-dialog.h"

#include "kp-error.h"
#include "kp-words.h"

#include <glib/gi18n.h>
#include <inttypes.h>

/* What the agent says of the objects. */
typedef enum
{
  COUNT_RUNS,
  COUNT_KNOWN,
  COUNT_FAILED,
} Count;

typedef struct
{
  GtkWindow *window; /* (transfer none): the dialogs are its own */
  KpPlanProxy *plan;
  KpDeleteFunc func;
  AdwMessageDialog *dialog; /* (transfer none): the first one, or NULL when it is closed */
  AdwMessageDialog *second; /* (transfer none): or NULL */
  GtkCheckButton *objects;  /* (transfer none): of the first */
  GtkLabel *count_label;    /* (transfer none): of the first */
  GtkWidget *unlock_button; /* (transfer none): of the first */
  GCancellable *cancellable;

  Count count;
  char *problem;      /* of COUNT_FAILED */
  gboolean is_locked; /* of the same: the keyring is */
  guint64 n_objects;
  guint64 bytes;
  guint64 spared;
  gboolean keeps_versions;
  gboolean tells_versions;
} Deletion;

static void
deletion_free (Deletion *self)
{
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  g_object_unref (self->plan);
  g_free (self->problem);
  g_free (self);
}

static char *
describe_count (const Deletion *self)
{
  g_autofree char *size = kp_words_size (self->bytes);

  if (self->count == COUNT_RUNS)
    return g_strdup (_ ("Counting what is stored…"));
  if (self->count == COUNT_FAILED)
    /* Translators: %s is why, a sentence */
    return g_strdup_printf (_ ("What is stored could not be counted. %s"), self->problem);
  /* Translators: objects in the storage; %s is a size */
  return g_strdup_printf (
      ngettext ("%'" PRIu64 " object, %s", "%'" PRIu64 " objects, %s", (gulong) self->n_objects),
      self->n_objects, size);
}

/* --- the second question -------------------------------------------------------------------- */

static void
show_second (Deletion *self)
{
  g_autoptr (GString) body = g_string_new (NULL);
  g_autofree char *count = describe_count (self);
  g_autofree char *place = kp_plan_proxy_dup_place (self->plan);
  g_autofree char *name = kp_words_shorten (kp_plan_proxy_get_name (self->plan), 60);
  /* Where old versions stay, or may stay, nothing of that is for good. */
  gboolean is_final = self->count == COUNT_KNOWN && self->tells_versions && !self->keeps_versions;

  adw_message_dialog_format_heading (self->second,
                                     /* Translators: %s is the name of a plan */
                                     is_final ? _ ("Delete the Backup of “%s” for Good?")
                                              /* Translators: %s is the name of a plan */
                                              : _ ("Delete the Backup of “%s”?"),
                                     name);
  adw_message_dialog_set_response_label (self->second, "delete",
                                         is_final ? _ ("_Delete for Good") : _ ("_Delete Backup"));
  g_string_append (body, count);
  if (self->count == COUNT_KNOWN)
    {
      /* Translators: %1$s is as "12 objects, 3 MB", %2$s is a bucket and a folder in it */
      g_string_printf (body, _ ("%1$s in “%2$s”."), count, place);
      if (is_final)
        g_string_append (body, _ (" They cannot be brought back."));
      if (self->spared > 0)
        g_string_append_printf (
            body,
            ngettext ("\n\n%'" PRIu64 " object stays, because another plan covers it.",
                      "\n\n%'" PRIu64 " objects stay, because another plan covers them.",
                      (gulong) self->spared),
            self->spared);
      /* Of the plans of other computers nothing is known here. */
      g_string_append (body, _ ("\n\nA computer that backs up the same folders to the same place "
                                "loses its backup, too."));
      if (self->keeps_versions)
        g_string_append (body, _ ("\n\nThe bucket keeps old versions. They stay there, and what is "
                                  "deleted becomes one, until a rule of the bucket deletes it."));
    }
  adw_message_dialog_set_body (self->second, body->str);
  adw_message_dialog_set_response_enabled (self->second, "delete", self->count == COUNT_KNOWN);
}

static void
second_response_cb (AdwMessageDialog *dialog, const char *response, Deletion *self)
{
  if (g_str_equal (response, "delete") && self->count == COUNT_KNOWN)
    self->func (self->window, self->plan, TRUE, self->n_objects);
  g_signal_handlers_disconnect_by_data (dialog, self);
  deletion_free (self);
}

static void
ask_again (Deletion *self)
{
  self->second = ADW_MESSAGE_DIALOG (adw_message_dialog_new (self->window, NULL, NULL));
  adw_message_dialog_add_responses (self->second, "keep", _ ("_Keep It"), "delete",
                                    _ ("_Delete Backup"), NULL);
  adw_message_dialog_set_response_appearance (self->second, "delete", ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (self->second, "keep");
  adw_message_dialog_set_close_response (self->second, "keep");
  g_signal_connect (self->second, "response", G_CALLBACK (second_response_cb), self);
  g_signal_connect_swapped (self->second, "destroy", G_CALLBACK (deletion_free), self);
  show_second (self);
  gtk_window_present (GTK_WINDOW (self->second));
}

/* --- the first question --------------------------------------------------------------------- */

static void
show_count (Deletion *self)
{
  g_autofree char *count = describe_count (self);

  if (self->dialog != NULL)
    {
      gtk_label_set_label (self->count_label, count);
      gtk_widget_set_sensitive (GTK_WIDGET (self->objects), self->count != COUNT_FAILED);
      gtk_widget_set_visible (self->unlock_button, self->is_locked);
      if (self->count == COUNT_FAILED)
        gtk_check_button_set_active (self->objects, FALSE);
    }
  if (self->second != NULL)
    show_second (self);
}

/* (transfer full): in the user's words where there are some */
static char *
describe_problem (const GError *error)
{
  if (kp_error_is (error, KP_ERROR_KEYRING_LOCKED))
    return g_strdup (_ ("The keyring is locked, in which the keys for the storage are."));
  if (kp_error_is (error, KP_ERROR_DELETE_GUARD))
    return g_strdup (_ ("There is a plan that cannot be read, and it may cover the same objects."));
  return kp_words_shorten (error->message, 300);
}

static void
counted_cb (GObject *source, GAsyncResult *result, void *data)
{
  Deletion *self = data;
  g_autoptr (GVariant) facts = NULL;
  g_autoptr (GError) error = NULL;

  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  if (answer == NULL)
    {
      /* With the dialogs, @self is gone too. */
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
      g_dbus_error_strip_remote_error (error);
      self->count = COUNT_FAILED;
      self->problem = describe_problem (error);
      self->is_locked = kp_error_is (error, KP_ERROR_KEYRING_LOCKED);
    }
  else
    {
      facts = g_variant_get_child_value (answer, 0);
      self->count = COUNT_KNOWN;
      g_variant_lookup (facts, "objects", "t", &self->n_objects);
      g_variant_lookup (facts, "bytes", "t", &self->bytes);
      g_variant_lookup (facts, "spared", "t", &self->spared);
      g_variant_lookup (facts, "keeps-versions", "b", &self->keeps_versions);
      g_variant_lookup (facts, "tells-versions", "b", &self->tells_versions);
    }
  show_count (self);
}

static void
count (Deletion *self)
{
  self->count = COUNT_RUNS;
  self->is_locked = FALSE;
  g_clear_pointer (&self->problem, g_free);
  show_count (self);
  /* As long as it takes: the question is there meanwhile. */
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (self->plan)), "MeasureStored",
                     g_variant_new ("(a{sv})", NULL), G_DBUS_CALL_FLAGS_NONE, G_MAXINT,
                     self->cancellable, counted_cb, self);
}

static void
unlocked_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  /* If it is still locked, counting says so. */
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    count (data);
}

static void
unlock_cb (Deletion *self)
{
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (self->plan)), "UnlockKeyring",
                     g_variant_new ("(a{sv})", NULL), G_DBUS_CALL_FLAGS_NONE, G_MAXINT,
                     self->cancellable, unlocked_cb, self);
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, Deletion *self)
{
  gboolean with_objects = gtk_check_button_get_active (self->objects);

  g_signal_handlers_disconnect_by_data (dialog, self);
  self->dialog = NULL;
  if (g_str_equal (response, "delete") && with_objects)
    {
      ask_again (self);
      return;
    }
  if (g_str_equal (response, "delete"))
    self->func (self->window, self->plan, FALSE, 0);
  deletion_free (self);
}

static GtkWidget *
make_objects_box (Deletion *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *check
      = gtk_check_button_new_with_mnemonic (_ ("Also delete the _backup in the bucket"));
  GtkWidget *label = gtk_label_new (NULL);

  self->objects = GTK_CHECK_BUTTON (check);
  self->count_label = GTK_LABEL (label);
  gtk_label_set_wrap (self->count_label, TRUE);
  gtk_label_set_wrap_mode (self->count_label, PANGO_WRAP_WORD_CHAR);
  gtk_label_set_xalign (self->count_label, 0);
  gtk_widget_set_margin_start (label, 28);
  gtk_widget_add_css_class (label, "dim-label");
  gtk_widget_add_css_class (label, "caption");
  gtk_accessible_update_relation (GTK_ACCESSIBLE (check), GTK_ACCESSIBLE_RELATION_DESCRIBED_BY,
                                  label, NULL, -1);
  gtk_box_append (GTK_BOX (box), check);
  gtk_box_append (GTK_BOX (box), label);
  self->unlock_button = gtk_button_new_with_mnemonic (_ ("_Unlock Keyring…"));
  gtk_widget_set_halign (self->unlock_button, GTK_ALIGN_START);
  gtk_widget_set_margin_start (self->unlock_button, 28);
  g_signal_connect_swapped (self->unlock_button, "clicked", G_CALLBACK (unlock_cb), self);
  gtk_box_append (GTK_BOX (box), self->unlock_button);
  return box;
}

/**
 * kp_delete_dialog_show:
 * @func: called when the user has said yes, for objects twice
 */
void
kp_delete_dialog_show (GtkWindow *window, KpPlanProxy *plan, KpDeleteFunc func)
{
  Deletion *self = g_new0 (Deletion, 1);
  g_autofree char *name = kp_words_shorten (kp_plan_proxy_get_name (plan), 60);

  self->window = window;
  self->plan = g_object_ref (plan);
  self->func = func;
  self->cancellable = g_cancellable_new ();
  self->dialog = ADW_MESSAGE_DIALOG (adw_message_dialog_new (window, NULL, NULL));
  /* Translators: %s is the name of a plan */
  adw_message_dialog_format_heading (self->dialog, _ ("Delete “%s”?"), name);
  adw_message_dialog_set_body (self->dialog,
                               _ ("Its folders are then no longer backed up. The files in them are "
                                  "not touched."));
  adw_message_dialog_set_extra_child (self->dialog, make_objects_box (self));
  adw_message_dialog_add_responses (self->dialog, "cancel", _ ("_Cancel"), "delete",
                                    _ ("_Delete Plan"), NULL);
  adw_message_dialog_set_response_appearance (self->dialog, "delete", ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (self->dialog, "cancel");
  adw_message_dialog_set_close_response (self->dialog, "cancel");
  g_signal_connect (self->dialog, "response", G_CALLBACK (response_cb), self);
  /* With its window, and without an answer. */
  g_signal_connect_swapped (self->dialog, "destroy", G_CALLBACK (deletion_free), self);
  count (self);
  gtk_window_present (GTK_WINDOW (self->dialog));
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-recovery-dialog.h"

#include "kp-plan-proxy.h"
#include "kp-recovery.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <string.h>

#define PRINTED_FONT "Monospace 9"

struct _KpRecoveryDialog
{
  AdwWindow parent_instance;

  char *text;
  char *html;
  char *file_name; /* that is proposed */
  AdwToastOverlay *toasts;
  GtkTextView *view;

  /* Of printing. */
  PangoLayout *layout;
  GArray *page_starts; /* of int: the first line of each page */
};

G_DEFINE_FINAL_TYPE (KpRecoveryDialog, kp_recovery_dialog, ADW_TYPE_WINDOW)

static void
toast (KpRecoveryDialog *self, const char *text)
{
  adw_toast_overlay_add_toast (self->toasts, kp_window_make_toast (text));
}

static void
copy_cb (KpRecoveryDialog *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), self->text);
  toast (self, _ ("Copied"));
}

/* --- saving --------------------------------------------------------------------------------- */

static void
saved_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpRecoveryDialog) self = data;
  g_autoptr (GError) error = NULL;

  if (g_file_replace_contents_finish (G_FILE (source), result, NULL, &error))
    {
      toast (self, _ ("Saved"));
      return;
    }
  /* Translators: %s is why, a sentence of the system */
  g_autofree char *text = g_strdup_printf (_ ("That could not be saved: %s"), error->message);
  toast (self, text);
}

static void
save_chosen_cb (GtkNativeDialog *dialog, int response, KpRecoveryDialog *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autoptr (GBytes) bytes = g_bytes_new (self->html, strlen (self->html));
      if (file != NULL)
        g_file_replace_contents_bytes_async (file, bytes, NULL, FALSE, G_FILE_CREATE_PRIVATE, NULL,
                                             saved_cb, g_object_ref (self));
    }
  g_object_unref (dialog);
}

static void
save_cb (KpRecoveryDialog *self)
{
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      _ ("Save the Page"), GTK_WINDOW (self), GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), NULL);

  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (dialog), self->file_name);
  g_signal_connect_object (dialog, "response", G_CALLBACK (save_chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

/* --- printing ------------------------------------------------------------------------------- */

static double
get_line_bottom (PangoLayoutLine *line, double top)
{
  PangoRectangle logical;

  pango_layout_line_get_extents (line, NULL, &logical);
  return top + (double) logical.height / PANGO_SCALE;
}

/* Lays the text out for the paper, and finds where each page begins. */
static void
begin_print_cb (KpRecoveryDialog *self, GtkPrintContext *context, GtkPrintOperation *operation)
{
  g_autoptr (PangoFontDescription) font = pango_font_description_from_string (PRINTED_FONT);
  double height = gtk_print_context_get_height (context);
  double bottom = 0;
  int start = 0;

  g_clear_object (&self->layout);
  self->layout = gtk_print_context_create_pango_layout (context);
  pango_layout_set_font_description (self->layout, font);
  pango_layout_set_width (self->layout,
                          (int) (gtk_print_context_get_width (context) * PANGO_SCALE));
  pango_layout_set_wrap (self->layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_text (self->layout, self->text, -1);

  g_array_set_size (self->page_starts, 0);
  g_array_append_val (self->page_starts, start);
  for (int i = 0; i < pango_layout_get_line_count (self->layout); i++)
    {
      PangoLayoutLine *line = pango_layout_get_line_readonly (self->layout, i);
      double next = get_line_bottom (line, bottom);
      if (next > height && bottom > 0)
        {
          g_array_append_val (self->page_starts, i);
          next = get_line_bottom (line, 0);
        }
      bottom = next;
    }
  gtk_print_operation_set_n_pages (operation, (int) self->page_starts->len);
}

static void
draw_page_cb (KpRecoveryDialog *self,
              GtkPrintContext *context,
              int page,
              GtkPrintOperation *operation)
{
  cairo_t *cr = gtk_print_context_get_cairo_context (context);
  guint next = (guint) page + 1;
  int end = next < self->page_starts->len ? g_array_index (self->page_starts, int, next)
                                          : pango_layout_get_line_count (self->layout);
  double top = 0;

  for (int i = g_array_index (self->page_starts, int, page); i < end; i++)
    {
      PangoLayoutLine *line = pango_layout_get_line_readonly (self->layout, i);
      PangoRectangle logical;
      pango_layout_line_get_extents (line, NULL, &logical);
      cairo_move_to (cr, 0, top - (double) logical.y / PANGO_SCALE);
      pango_cairo_show_layout_line (cr, line);
      top = get_line_bottom (line, top);
    }
}

static void
print_cb (KpRecoveryDialog *self)
{
  g_autoptr (GtkPrintOperation) operation = gtk_print_operation_new ();
  g_autoptr (GError) error = NULL;

  gtk_print_operation_set_job_name (operation, gtk_window_get_title (GTK_WINDOW (self)));
  gtk_print_operation_set_unit (operation, GTK_UNIT_POINTS);
  g_signal_connect_object (operation, "begin-print", G_CALLBACK (begin_print_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (operation, "draw-page", G_CALLBACK (draw_page_cb), self,
                           G_CONNECT_SWAPPED);
  if (gtk_print_operation_run (operation, GTK_PRINT_OPERATION_ACTION_PRINT_DIALOG,
                               GTK_WINDOW (self), &error)
      != GTK_PRINT_OPERATION_RESULT_ERROR)
    return;
  /* Translators: %s is why, a sentence of the system */
  g_autofree char *text = g_strdup_printf (_ ("That could not be printed: %s"), error->message);
  toast (self, text);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
kp_recovery_dialog_finalize (GObject *object)
{
  KpRecoveryDialog *self = KP_RECOVERY_DIALOG (object);

  g_clear_object (&self->layout);
  g_array_unref (self->page_starts);
  g_free (self->text);
  g_free (self->html);
  g_free (self->file_name);
  G_OBJECT_CLASS (kp_recovery_dialog_parent_class)->finalize (object);
}

static void
kp_recovery_dialog_class_init (KpRecoveryDialogClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = kp_recovery_dialog_finalize;
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-recovery-dialog.ui");
  gtk_widget_class_bind_template_child (widget_class, KpRecoveryDialog, toasts);
  gtk_widget_class_bind_template_child (widget_class, KpRecoveryDialog, view);
  gtk_widget_class_bind_template_callback (widget_class, copy_cb);
  gtk_widget_class_bind_template_callback (widget_class, print_cb);
  gtk_widget_class_bind_template_callback (widget_class, save_cb);
}

static void
kp_recovery_dialog_init (KpRecoveryDialog *self)
{
  self->page_starts = g_array_new (FALSE, FALSE, sizeof (int));
  gtk_widget_init_template (GTK_WIDGET (self));
}

static const char *
translate (const char *text)
{
  return gettext (text);
}

/**
 * kp_recovery_dialog_new:
 * @error: %KP_ERROR_USAGE when the plan has no destination that makes sense
 */
GtkWidget *
kp_recovery_dialog_new (GtkWindow *parent, KpPlan *plan, GError **error)
{
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, error);
  gint64 now = kp_app_now ();

  if (location == NULL)
    return NULL;
  KpRecoveryDialog *self = g_object_new (KP_TYPE_RECOVERY_DIALOG, "transient-for", parent, NULL);
  g_autofree char *name = g_strdelimit (g_strdup (kp_plan_get_name (plan)), "/", '-');
  self->text = kp_recovery_compose (location, plan, now, translate, KP_RECOVERY_TEXT);
  self->html = kp_recovery_compose (location, plan, now, translate, KP_RECOVERY_HTML);
  /* Translators: the name of a file; %s is the name of a plan */
  self->file_name = g_strdup_printf (_ ("How to get “%s” back.html"), name);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (self->view), self->text, -1);
  return GTK_WIDGET (self);
}

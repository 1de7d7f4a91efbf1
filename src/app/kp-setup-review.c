/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-review.h"

#include "kp-exclude-preset.h"
#include "kp-s3-provider.h"
#include "kp-size.h"
#include "kp-words.h"

#include <glib/gi18n.h>

struct _KpSetupReview
{
  AdwBin parent_instance;

  GtkEditable *name_row;
  GtkLabel *error_label;
  AdwActionRow *folders_row;
  AdwActionRow *exclude_row;
  AdwActionRow *storage_row;
  AdwActionRow *schedule_row;
  AdwActionRow *limit_row;
  AdwActionRow *delete_row;
};

G_DEFINE_FINAL_TYPE (KpSetupReview, kp_setup_review, ADW_TYPE_BIN)

static void
name_changed_cb (KpSetupReview *self)
{
  gtk_widget_remove_css_class (GTK_WIDGET (self->name_row), "error");
  kp_setup_review_show_error (self, NULL);
}

static void
kp_setup_review_class_init (KpSetupReviewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-setup-review.ui");
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, name_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, error_label);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, folders_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, exclude_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, storage_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, schedule_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, limit_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupReview, delete_row);
  gtk_widget_class_bind_template_callback (widget_class, name_changed_cb);
}

static void
kp_setup_review_init (KpSetupReview *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

static char *
describe_folders (KpPlan *plan)
{
  GPtrArray *sources = kp_plan_get_sources (plan);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      g_autofree char *path = g_filename_display_name (source->path);
      g_string_append_printf (text, "%s%s", i > 0 ? "\n" : "", path);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* Presets by their names, the rest as it is. */
static char *
describe_exclude (KpPlan *plan)
{
  const char *const *patterns = kp_plan_get_exclude (plan);
  g_autoptr (GPtrArray) presets = kp_exclude_preset_list ();
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < presets->len; i++)
    {
      const KpExcludePreset *preset = presets->pdata[i];
      if (!kp_exclude_preset_is_in (preset, patterns))
        continue;
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", preset->name);
      for (char **pattern = preset->patterns; *pattern != NULL; pattern++)
        g_hash_table_add (known, *pattern);
    }
  for (gsize i = 0; patterns[i] != NULL; i++)
    if (!g_hash_table_contains (known, patterns[i]))
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", patterns[i]);
  return text->len > 0 ? g_utf8_make_valid (text->str, -1) : g_strdup (_ ("Nothing"));
}

/* @bytes: that the first backup has to send; 0 while nobody knows */
void
kp_setup_review_show (KpSetupReview *self, KpPlan *plan, guint64 bytes)
{
  GPtrArray *sources = kp_plan_get_sources (plan);
  const KpS3Provider *provider = kp_s3_provider_find (kp_plan_get_provider (plan));
  const char *prefix = kp_plan_get_prefix (plan);
  guint64 limit = 0;

  if (*kp_plan_get_upload_limit (plan) != '\0'
      && !kp_rate_parse (kp_plan_get_upload_limit (plan), &limit, NULL))
    limit = 0;
  if (*gtk_editable_get_text (self->name_row) == '\0')
    {
      const KpPlanSource *source = sources->len > 0 ? sources->pdata[0] : NULL;
      g_autofree char *name = source != NULL ? g_filename_display_basename (source->path) : NULL;
      gtk_editable_set_text (self->name_row, *kp_plan_get_name (plan) != '\0'
                                                 ? kp_plan_get_name (plan)
                                             : name != NULL ? name
                                                            : "");
    }
  g_autofree char *folders = describe_folders (plan);
  g_autofree char *exclude = describe_exclude (plan);
  g_autofree char *storage = g_strdup_printf (
      "%s\n%s%s%s", provider != NULL ? provider->name : kp_plan_get_endpoint (plan),
      kp_plan_get_bucket (plan), *prefix != '\0' ? "/" : "", prefix);
  g_autofree char *schedule
      = kp_words_schedule (kp_schedule_to_string (kp_plan_get_schedule (plan)));
  g_autofree char *rate = kp_words_rate (limit);
  g_autofree char *estimate = kp_words_estimate (bytes, limit);
  adw_action_row_set_subtitle (self->folders_row, folders);
  adw_action_row_set_subtitle (self->exclude_row, exclude);
  adw_action_row_set_subtitle (self->storage_row, storage);
  adw_action_row_set_subtitle (self->schedule_row, schedule);
  adw_action_row_set_subtitle (self->limit_row, bytes > 0   ? estimate
                                                : limit > 0 ? rate
                                                            : _ ("As fast as the line allows"));
  g_autofree char *deletion = kp_words_deletion (
      kp_plan_get_delete (plan) != KP_PLAN_DELETE_NEVER,
      kp_plan_get_delete (plan) == KP_PLAN_DELETE_KEEP ? kp_plan_get_keep_days (plan) : 0);
  adw_action_row_set_subtitle (self->delete_row, deletion);
  kp_setup_review_show_error (self, NULL);
}

void
kp_setup_review_apply (KpSetupReview *self, KpPlan *plan)
{
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));

  kp_plan_set_name (plan, name);
}

gboolean
kp_setup_review_check (KpSetupReview *self)
{
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));

  if (*name != '\0')
    return TRUE;
  gtk_widget_add_css_class (GTK_WIDGET (self->name_row), "error");
  kp_setup_review_show_error (self, _ ("Give the plan a name."));
  return FALSE;
}

/* @text: (nullable): why it could not be created */
void
kp_setup_review_show_error (KpSetupReview *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL);
}

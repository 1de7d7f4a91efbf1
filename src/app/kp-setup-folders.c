/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-folders.h"

#include "kp-exclude-preset.h"
#include "kp-host-path.h"
#include "kp-sandbox.h"
#include "kp-window.h"

#include <glib/gi18n.h>
#include <string.h>

#define MEASURE_DELAY_MS 400

/* A folder that was chosen. */
typedef struct
{
  char *path;
  char *as;
  GtkWidget *row;
} Folder;

struct _KpSetupFolders
{
  AdwBin parent_instance;

  GPtrArray *folders;  /* of Folder */
  GPtrArray *presets;  /* of KpExcludePreset */
  GPtrArray *switches; /* of GtkSwitch, as many */
  GCancellable *measuring;
  GPtrArray *questions; /* of KpPlan: what is measured, and then without each preset */
  guint measure_source;
  char *own_text; /* (nullable): of own_patterns, as long as nobody changes it */
  GStrv own_patterns;
  gboolean is_loading;
  gboolean is_measured;
  guint64 files;
  guint64 bytes;
  AdwPreferencesGroup *folders_group;
  AdwEntryRow *path_row;
  GtkLabel *folders_error;
  GtkSpinner *spinner;
  GtkLabel *size_label;
  AdwPreferencesGroup *presets_group;
  AdwEntryRow *patterns_row;
};

enum
{
  SIGNAL_MEASURED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpSetupFolders, kp_setup_folders, ADW_TYPE_BIN)

static void
folder_free (void *data)
{
  Folder *folder = data;

  g_free (folder->path);
  g_free (folder->as);
  g_free (folder);
}

static void
show_error (KpSetupFolders *self, const char *text)
{
  gtk_label_set_label (self->folders_error, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->folders_error), text != NULL);
}

/* --- measuring ------------------------------------------------------------------------------ */

/* A question about the size of what is left out by one preset, or of all that remains. */
typedef struct
{
  KpSetupFolders *self;
  int preset; /* -1 for the whole */
} Question;

static void
show_size (KpSetupFolders *self)
{
  g_autofree char *files = kp_words_files (self->files);
  g_autofree char *bytes = kp_words_size (self->bytes);
  /* Translators: "1,234 files" and a size */
  g_autofree char *text = g_strdup_printf (_ ("%s, %s to keep"), files, bytes);

  gtk_label_set_label (self->size_label, text);
}

static AdwActionRow *
get_preset_row (KpSetupFolders *self, guint i)
{
  return ADW_ACTION_ROW (gtk_widget_get_ancestor (self->switches->pdata[i], ADW_TYPE_ACTION_ROW));
}

static void
measured_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autofree Question *question = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  guint64 files = 0, bytes = 0, excluded_files = 0, excluded_bytes = 0;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  KpSetupFolders *self = question->self;
  if (question->preset < 0)
    gtk_spinner_stop (self->spinner);
  if (answer == NULL)
    {
      g_dbus_error_strip_remote_error (error);
      if (question->preset < 0)
        gtk_label_set_label (self->size_label, _ ("The size could not be found out"));
      g_message ("Measuring: %s", error->message);
      return;
    }
  g_variant_get (answer, "(tttt)", &files, &bytes, &excluded_files, &excluded_bytes);
  if (question->preset < 0)
    {
      self->files = files;
      self->bytes = bytes;
      self->is_measured = TRUE;
      show_size (self);
      g_signal_emit (self, signals[SIGNAL_MEASURED], 0);
      return;
    }
  g_autofree char *size = kp_words_size (excluded_bytes);
  g_autofree char *text = excluded_files > 0
                              /* Translators: %s is a size */
                              ? g_strdup_printf (_ ("Saves %s"), size)
                              : g_strdup (_ ("Nothing of this kind found"));
  adw_action_row_set_subtitle (get_preset_row (self, (guint) question->preset), text);
}

/* Only folders and patterns matter; the rest makes it a plan. */
static void
ask (KpSetupFolders *self, KpDBusManager *manager, int preset, const char *const *patterns)
{
  Question *question = g_new0 (Question, 1);
  g_autoptr (GPtrArray) sources
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
  guint number = (guint) (preset + 1);

  /* The same question comes from the same plan, so that the agent ends counting for it once it is
   * asked anew. */
  while (self->questions->len <= number)
    g_ptr_array_add (self->questions, kp_plan_new ());
  KpPlan *plan = self->questions->pdata[number];
  for (guint i = 0; i < self->folders->len; i++)
    {
      const Folder *folder = self->folders->pdata[i];
      g_ptr_array_add (sources, kp_plan_source_new (folder->path, folder->as));
    }
  kp_plan_set_sources (plan, sources);
  kp_plan_set_exclude (plan, patterns);
  kp_plan_set_name (plan, "measure");
  kp_plan_set_provider (plan, "other");
  kp_plan_set_endpoint (plan, "https://localhost");
  kp_plan_set_region (plan, "us-east-1");
  kp_plan_set_bucket (plan, "measure");
  g_autofree char *text = kp_plan_to_json (plan);
  question->self = self;
  question->preset = preset;
  g_dbus_proxy_call (G_DBUS_PROXY (manager), "Measure", g_variant_new ("(sa{sv})", text, NULL),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, self->measuring, measured_cb, question);
}

static GStrv
collect_patterns (KpSetupFolders *self)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  const char *text = gtk_editable_get_text (GTK_EDITABLE (self->patterns_row));
  /* What nobody touched stays as it was, also where a line of text cannot show it. */
  g_auto (GStrv) own = g_strcmp0 (text, self->own_text) == 0 ? g_strdupv (self->own_patterns)
                                                             : kp_exclude_split (text);

  for (guint i = 0; i < self->presets->len; i++)
    {
      const KpExcludePreset *preset = self->presets->pdata[i];
      if (gtk_switch_get_active (self->switches->pdata[i]))
        g_strv_builder_addv (builder, (const char **) preset->patterns);
    }
  for (char **pattern = own; *pattern != NULL; pattern++)
    g_strv_builder_add (builder, *pattern);
  return g_strv_builder_end (builder);
}

static gboolean
measure_cb (void *data)
{
  KpSetupFolders *self = data;
  KpAgentClient *client = kp_application_get_client (kp_application_get ());
  KpDBusManager *manager = kp_agent_client_get_manager (client);
  g_auto (GStrv) patterns = collect_patterns (self);

  self->measure_source = 0;
  g_cancellable_cancel (self->measuring);
  g_clear_object (&self->measuring);
  self->measuring = g_cancellable_new ();
  if (manager == NULL)
    return G_SOURCE_REMOVE;
  gtk_spinner_start (self->spinner);
  gtk_label_set_label (self->size_label, _ ("Counting…"));
  ask (self, manager, -1, (const char *const *) patterns);
  for (guint i = 0; i < self->presets->len; i++)
    {
      const KpExcludePreset *preset = self->presets->pdata[i];
      ask (self, manager, (int) i, (const char *const *) preset->patterns);
    }
  return G_SOURCE_REMOVE;
}

static void
measure_soon (KpSetupFolders *self)
{
  self->is_measured = FALSE;
  g_clear_handle_id (&self->measure_source, g_source_remove);
  g_cancellable_cancel (self->measuring);
  gtk_spinner_stop (self->spinner);
  gtk_label_set_label (self->size_label, "");
  if (self->folders->len == 0)
    for (guint i = 0; i < self->presets->len; i++)
      adw_action_row_set_subtitle (get_preset_row (self, i), "");
  else
    self->measure_source = g_timeout_add (MEASURE_DELAY_MS, measure_cb, self);
}

static void
preset_switched_cb (KpSetupFolders *self)
{
  if (!self->is_loading)
    measure_soon (self);
}

static void
patterns_changed_cb (KpSetupFolders *self)
{
  if (!self->is_loading)
    measure_soon (self);
}

/* --- folders -------------------------------------------------------------------------------- */

static void
remove_cb (GtkButton *button, KpSetupFolders *self)
{
  for (guint i = 0; i < self->folders->len; i++)
    {
      Folder *folder = self->folders->pdata[i];
      if (gtk_widget_is_ancestor (GTK_WIDGET (button), folder->row))
        {
          adw_preferences_group_remove (self->folders_group, folder->row);
          g_ptr_array_remove_index (self->folders, i);
          break;
        }
    }
  show_error (self, NULL);
  measure_soon (self);
}

static gboolean
has_name (KpSetupFolders *self, const char *as)
{
  for (guint i = 0; i < self->folders->len; i++)
    if (g_str_equal (((Folder *) self->folders->pdata[i])->as, as))
      return TRUE;
  return FALSE;
}

/* A name in the bucket that no other folder of the plan has. */
static char *
make_name (KpSetupFolders *self, const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  char *name = g_strdup (g_str_equal (base, "/") ? "root" : base);

  for (guint i = 2; has_name (self, name); i++)
    {
      g_free (name);
      name = g_strdup_printf ("%s-%u", base, i);
    }
  return name;
}

static void
append (KpSetupFolders *self, const char *path, const char *as)
{
  Folder *folder = g_new0 (Folder, 1);
  g_autofree char *name = g_filename_display_basename (path);
  g_autofree char *shown = g_filename_display_name (path);
  GtkWidget *button = gtk_button_new_from_icon_name ("user-trash-symbolic");
  /* Translators: %s is a folder; for screen readers */
  g_autofree char *label = g_strdup_printf (_ ("Remove %s from the Plan"), name);

  folder->path = g_strdup (path);
  folder->as = as != NULL ? g_strdup (as) : make_name (self, path);
  folder->row = adw_action_row_new ();
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (folder->row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (folder->row), name);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (folder->row), shown);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (folder->row), 1);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (folder->row), 2);
  adw_action_row_set_icon_name (ADW_ACTION_ROW (folder->row), "folder-symbolic");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_tooltip_text (button, label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, label,
                                  -1);
  g_signal_connect (button, "clicked", G_CALLBACK (remove_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (folder->row), button);
  adw_preferences_group_add (self->folders_group, folder->row);
  g_ptr_array_add (self->folders, folder);
}

static gboolean
add_folder (KpSetupFolders *self, const char *chosen)
{
  g_autofree char *path = kp_host_path_find (chosen);

  for (guint i = 0; i < self->folders->len; i++)
    if (g_str_equal (((Folder *) self->folders->pdata[i])->path, path))
      return TRUE;
  append (self, path, NULL);
  show_error (self, NULL);
  measure_soon (self);
  return TRUE;
}

static void
chosen_cb (GtkNativeDialog *dialog, int response, KpSetupFolders *self)
{
  g_autoptr (GListModel) files = NULL;

  if (response == GTK_RESPONSE_ACCEPT)
    {
      files = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (dialog));
      for (guint i = 0; i < g_list_model_get_n_items (files); i++)
        {
          g_autoptr (GFile) file = g_list_model_get_item (files, i);
          if (g_file_peek_path (file) != NULL)
            add_folder (self, g_file_peek_path (file));
        }
    }
  g_object_unref (dialog);
}

static void
add_cb (KpSetupFolders *self)
{
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      _ ("Choose Folders"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
      GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("_Add"), NULL);

  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

static void
path_changed_cb (KpSetupFolders *self)
{
  gtk_widget_remove_css_class (GTK_WIDGET (self->path_row), "error");
  show_error (self, NULL);
}

static void
refuse_path (KpSetupFolders *self, const char *text)
{
  gtk_widget_add_css_class (GTK_WIDGET (self->path_row), "error");
  show_error (self, text);
}

/* Network file systems may keep one waiting for an answer. */
static void
path_known_cb (GObject *source, GAsyncResult *result, void *data)
{
  GFile *file = G_FILE (source);
  g_autoptr (KpSetupFolders) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GFileInfo) info = g_file_query_info_finish (file, result, &error);

  if (self->folders == NULL)
    return;
  if (info == NULL)
    {
      g_autofree char *name = g_filename_display_name (g_file_peek_path (file));
      g_autofree char *text
          = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)
                /* Translators: %s is a path */
                ? g_strdup_printf (_ ("There is no folder “%s”."), name)
                /* Translators: a path, and why it cannot be used */
                : g_strdup_printf (_ ("“%s” cannot be used: %s"), name, error->message);
      refuse_path (self, text);
      return;
    }
  add_folder (self, g_file_peek_path (file));
  gtk_editable_set_text (GTK_EDITABLE (self->path_row), "");
}

static void
path_apply_cb (KpSetupFolders *self)
{
  g_autofree char *text
      = g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->path_row))));
  g_autofree char *path = NULL;
  g_autoptr (GFile) file = NULL;

  if (*text == '\0')
    return;
  path = g_str_has_prefix (text, "~/") ? g_build_filename (g_get_home_dir (), text + 2, NULL)
                                       : g_strdup (text);
  if (!g_path_is_absolute (path))
    {
      refuse_path (self, _ ("Write the whole path, beginning with a slash."));
      return;
    }
  if (kp_sandbox_hides (path))
    {
      refuse_path (self, _ ("This folder of the computer cannot be seen from the sandbox that "
                            "Keepsake runs in. Add it with the button."));
      return;
    }
  file = g_file_new_for_path (path);
  g_file_query_info_async (file, G_FILE_ATTRIBUTE_STANDARD_TYPE, G_FILE_QUERY_INFO_NONE,
                           G_PRIORITY_DEFAULT, NULL, path_known_cb, g_object_ref (self));
}

/* --- presets -------------------------------------------------------------------------------- */

static void
add_preset (KpSetupFolders *self, const KpExcludePreset *preset)
{
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *button = gtk_switch_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), preset->name);
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  preset->name, -1);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), button);
  g_signal_connect_swapped (button, "notify::active", G_CALLBACK (preset_switched_cb), self);
  adw_preferences_group_add (self->presets_group, row);
  g_ptr_array_add (self->switches, button);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
kp_setup_folders_dispose (GObject *object)
{
  KpSetupFolders *self = KP_SETUP_FOLDERS (object);

  g_cancellable_cancel (self->measuring);
  g_clear_object (&self->measuring);
  g_clear_handle_id (&self->measure_source, g_source_remove);
  g_clear_pointer (&self->folders, g_ptr_array_unref);
  g_clear_pointer (&self->presets, g_ptr_array_unref);
  g_clear_pointer (&self->questions, g_ptr_array_unref);
  g_clear_pointer (&self->switches, g_ptr_array_unref);
  g_clear_pointer (&self->own_text, g_free);
  g_clear_pointer (&self->own_patterns, g_strfreev);
  G_OBJECT_CLASS (kp_setup_folders_parent_class)->dispose (object);
}

static void
kp_setup_folders_class_init (KpSetupFoldersClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_setup_folders_dispose;
  signals[SIGNAL_MEASURED] = g_signal_new ("measured", KP_TYPE_SETUP_FOLDERS, G_SIGNAL_RUN_LAST, 0,
                                           NULL, NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-setup-folders.ui");
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, folders_group);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, path_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, folders_error);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, spinner);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, size_label);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, presets_group);
  gtk_widget_class_bind_template_child (widget_class, KpSetupFolders, patterns_row);
  gtk_widget_class_bind_template_callback (widget_class, add_cb);
  gtk_widget_class_bind_template_callback (widget_class, path_apply_cb);
  gtk_widget_class_bind_template_callback (widget_class, path_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, patterns_changed_cb);
}

static void
kp_setup_folders_init (KpSetupFolders *self)
{
  self->folders = g_ptr_array_new_with_free_func (folder_free);
  self->presets = kp_exclude_preset_list ();
  self->questions = g_ptr_array_new_with_free_func (g_object_unref);
  self->switches = g_ptr_array_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
  for (guint i = 0; i < self->presets->len; i++)
    add_preset (self, self->presets->pdata[i]);
}

void
kp_setup_folders_load (KpSetupFolders *self, KpPlan *plan)
{
  GPtrArray *sources = kp_plan_get_sources (plan);
  const char *const *patterns = kp_plan_get_exclude (plan);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);

  self->is_loading = TRUE;
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      append (self, source->path, source->as);
    }
  for (guint i = 0; i < self->presets->len; i++)
    {
      const KpExcludePreset *preset = self->presets->pdata[i];
      gboolean is_in = kp_exclude_preset_is_in (preset, patterns);
      gtk_switch_set_active (self->switches->pdata[i], is_in);
      for (char **pattern = preset->patterns; is_in && *pattern != NULL; pattern++)
        g_hash_table_add (known, *pattern);
    }
  g_autoptr (GStrvBuilder) own = g_strv_builder_new ();
  for (gsize i = 0; patterns[i] != NULL; i++)
    if (!g_hash_table_contains (known, patterns[i]))
      g_strv_builder_add (own, patterns[i]);
  g_strfreev (self->own_patterns);
  self->own_patterns = g_strv_builder_end (own);
  g_free (self->own_text);
  self->own_text = kp_exclude_join ((const char *const *) self->own_patterns);
  gtk_editable_set_text (GTK_EDITABLE (self->patterns_row), self->own_text);
  self->is_loading = FALSE;
  measure_soon (self);
}

void
kp_setup_folders_apply (KpSetupFolders *self, KpPlan *plan)
{
  g_autoptr (GPtrArray) sources
      = g_ptr_array_new_with_free_func ((GDestroyNotify) (void (*) (void)) kp_plan_source_free);
  g_auto (GStrv) patterns = collect_patterns (self);

  for (guint i = 0; i < self->folders->len; i++)
    {
      const Folder *folder = self->folders->pdata[i];
      g_ptr_array_add (sources, kp_plan_source_new (folder->path, folder->as));
    }
  kp_plan_set_sources (plan, sources);
  kp_plan_set_exclude (plan, (const char *const *) patterns);
}

/* Whether one can go on; says what is missing otherwise. */
gboolean
kp_setup_folders_check (KpSetupFolders *self)
{
  g_autofree char *typed
      = g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->path_row))));

  /* Somebody typed it and did not press Enter: nobody would see that it is not in the plan. */
  if (*typed != '\0')
    path_apply_cb (self);
  else if (self->folders->len == 0)
    show_error (self, _ ("Add at least one folder."));
  return *typed == '\0' && self->folders->len > 0;
}

gboolean
kp_setup_folders_get_size (KpSetupFolders *self, guint64 *files, guint64 *bytes)
{
  *files = self->files;
  *bytes = self->bytes;
  return self->is_measured;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-preferences.h"

#include "kp-limit-row.h"
#include "kp-settings.h"

#include <glib/gi18n.h>

struct _KpPreferences
{
  AdwPreferencesWindow parent_instance;

  KpAgentClient *client;
  GSettings *settings;
  gboolean is_showing; /* the agent's state, and not somebody's wish */
  GtkWidget *autostart_row;
  GtkSwitch *autostart_switch;
  AdwActionRow *tray_row;
  AdwComboRow *finished_row;
  GtkSwitch *problems_switch;
  GtkSwitch *overdue_switch;
  KpLimitRow *limit_row;
  GtkSwitch *metered_switch;
  GtkSwitch *battery_switch;
};

G_DEFINE_FINAL_TYPE (KpPreferences, kp_preferences, ADW_TYPE_PREFERENCES_WINDOW)

static void
update (KpPreferences *self)
{
  KpDBusManager *manager = kp_agent_client_get_manager (self->client);
  gboolean autostart = manager != NULL && kp_dbus_manager_get_autostart (manager);

  gtk_widget_set_sensitive (self->autostart_row, manager != NULL);
  self->is_showing = TRUE;
  gtk_switch_set_active (self->autostart_switch, autostart);
  gtk_switch_set_state (self->autostart_switch, autostart);
  self->is_showing = FALSE;
  adw_action_row_set_subtitle (
      self->tray_row, manager == NULL ? _ ("Backups are not running")
                      : kp_dbus_manager_get_tray_visible (manager)
                          ? _ ("Shown; it has a menu to back up and to pause")
                          : _ ("This desktop has no place for it. Backups run all the same."));
}

static void
autostart_set_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpPreferences) self = data;
  g_autoptr (GError) error = NULL;

  if (self->client == NULL)
    {
      kp_dbus_manager_call_set_autostart_finish (KP_DBUS_MANAGER (source), result, NULL);
      return;
    }
  if (!kp_dbus_manager_call_set_autostart_finish (KP_DBUS_MANAGER (source), result, &error))
    {
      AdwToast *toast = adw_toast_new (_ ("The desktop does not allow that"));
      adw_preferences_window_add_toast (ADW_PREFERENCES_WINDOW (self), toast);
      g_message ("Autostart: %s", error->message);
    }
  update (self);
}

/* The switch follows when the agent has done it. */
static gboolean
autostart_cb (GtkSwitch *button, gboolean state, KpPreferences *self)
{
  KpDBusManager *manager = self->client != NULL ? kp_agent_client_get_manager (self->client) : NULL;

  if (self->is_showing || manager == NULL)
    return FALSE;
  kp_dbus_manager_call_set_autostart (manager, state, g_variant_new ("a{sv}", NULL), NULL,
                                      autostart_set_cb, g_object_ref (self));
  return TRUE;
}

/* The choices of the row are in the order of KpNotifyFinished. */
static void
finished_chosen_cb (KpPreferences *self, GParamSpec *pspec, AdwComboRow *row)
{
  if (!self->is_showing)
    g_settings_set_enum (self->settings, KP_SETTING_NOTIFY_FINISHED,
                         (int) adw_combo_row_get_selected (row));
}

static void
show_finished (KpPreferences *self)
{
  self->is_showing = TRUE;
  adw_combo_row_set_selected (self->finished_row,
                              (guint) kp_settings_get_notify_finished (self->settings));
  self->is_showing = FALSE;
}

static void
kp_preferences_dispose (GObject *object)
{
  KpPreferences *self = KP_PREFERENCES (object);

  if (self->client != NULL)
    g_signal_handlers_disconnect_by_data (self->client, self);
  g_clear_object (&self->client);
  if (self->settings != NULL)
    g_signal_handlers_disconnect_by_data (self->settings, self);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (kp_preferences_parent_class)->dispose (object);
}

static void
kp_preferences_class_init (KpPreferencesClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_preferences_dispose;
  g_type_ensure (KP_TYPE_LIMIT_ROW);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-preferences.ui");
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, autostart_row);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, autostart_switch);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, tray_row);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, finished_row);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, problems_switch);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, overdue_switch);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, limit_row);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, metered_switch);
  gtk_widget_class_bind_template_child (widget_class, KpPreferences, battery_switch);
  gtk_widget_class_bind_template_callback (widget_class, autostart_cb);
}

static void
kp_preferences_init (KpPreferences *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

KpPreferences *
kp_preferences_new (KpApplication *application)
{
  KpPreferences *self = g_object_new (KP_TYPE_PREFERENCES, NULL);
  GSettings *settings = kp_application_get_settings (application);

  self->client = g_object_ref (kp_application_get_client (application));
  g_signal_connect_swapped (self->client, "changed", G_CALLBACK (update), self);
  self->settings = g_object_ref (settings);
  g_signal_connect_swapped (settings, "changed::" KP_SETTING_NOTIFY_FINISHED,
                            G_CALLBACK (show_finished), self);
  show_finished (self);
  g_signal_connect_swapped (self->finished_row, "notify::selected", G_CALLBACK (finished_chosen_cb),
                            self);
  g_settings_bind (settings, KP_SETTING_NOTIFY_PROBLEMS, self->problems_switch, "active",
                   G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, KP_SETTING_NOTIFY_OVERDUE, self->overdue_switch, "active",
                   G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "default-upload-limit", self->limit_row, "limit",
                   G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "default-wait-metered", self->metered_switch, "active",
                   G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "default-wait-battery", self->battery_switch, "active",
                   G_SETTINGS_BIND_DEFAULT);
  update (self);
  return self;
}

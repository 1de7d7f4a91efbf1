/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-application.h"

#include "kp-preferences.h"
#include "kp-settings.h"
#include "kp-test-keys.h"
#include "kp-window.h"

#include <glib/gi18n.h>

struct _KpApplication
{
  AdwApplication parent_instance;

  KpAgentClient *client;
  GSettings *settings;
};

G_DEFINE_FINAL_TYPE (KpApplication, kp_application, ADW_TYPE_APPLICATION)

/* --- the window ----------------------------------------------------------------------------- */

static KpWindow *
present_window (KpApplication *self)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));

  while (window != NULL && !KP_IS_WINDOW (window))
    window = gtk_window_get_transient_for (window);
  if (window == NULL)
    window = GTK_WINDOW (kp_window_new (self));
  gtk_window_present (window);
  return KP_WINDOW (window);
}

/* --- jobs without a window ------------------------------------------------------------------ */

/* Called once the agent is there; holds the application until its call is through. */
typedef void (*ManagerFunc) (KpApplication *self, KpDBusManager *manager);

typedef struct
{
  KpApplication *application;
  ManagerFunc func;
  gulong handler;
  guint patience;
} WhenReady;

static void
when_ready_free (WhenReady *when)
{
  g_signal_handler_disconnect (when->application->client, when->handler);
  g_clear_handle_id (&when->patience, g_source_remove);
  g_application_release (G_APPLICATION (when->application));
  g_object_unref (when->application);
  g_free (when);
}

static void
ready_changed_cb (KpAgentClient *client, WhenReady *when)
{
  KpDBusManager *manager = kp_agent_client_get_manager (client);

  if (manager != NULL)
    when->func (when->application, manager);
  else if (kp_agent_client_get_presence (client) == KP_AGENT_STOPPED)
    present_window (when->application); /* which says what is wrong */
  else
    return;
  when_ready_free (when);
}

static gboolean
out_of_patience_cb (void *data)
{
  WhenReady *when = data;

  when->patience = 0;
  present_window (when->application);
  when_ready_free (when);
  return G_SOURCE_REMOVE;
}

static void
call_when_ready (KpApplication *self, ManagerFunc func)
{
  KpDBusManager *manager = kp_agent_client_get_manager (self->client);
  WhenReady *when;

  if (manager != NULL)
    {
      func (self, manager);
      return;
    }
  when = g_new0 (WhenReady, 1);
  when->application = g_object_ref (self);
  when->func = func;
  g_application_hold (G_APPLICATION (self));
  when->handler = g_signal_connect (self->client, "changed", G_CALLBACK (ready_changed_cb), when);
  when->patience = g_timeout_add_seconds (10, out_of_patience_cb, when);
  if (kp_agent_client_get_presence (self->client) == KP_AGENT_STOPPED)
    kp_agent_client_start (self->client);
}

static void
called_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GApplication) application = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (answer == NULL && !kp_error_is (error, KP_ERROR_BUSY))
    {
      KpWindow *window = present_window (KP_APPLICATION (application));
      kp_window_show_error (window, _ ("That did not work"), error);
    }
  g_application_release (application);
}

static void
call (KpApplication *self, void *proxy, const char *method, GVariant *parameters)
{
  g_application_hold (G_APPLICATION (self));
  g_dbus_proxy_call (proxy, method, parameters, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, called_cb,
                     g_object_ref (self));
}

static void
back_up_all (KpApplication *self, KpDBusManager *manager)
{
  GListModel *plans = kp_agent_client_get_plans (self->client);
  guint n = g_list_model_get_n_items (plans);

  if (n == 0)
    present_window (self);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (plans, i);
      /* What somebody switched off is run by its own button alone. */
      if (kp_plan_proxy_can_run (plan) && kp_dbus_plan_get_enabled (kp_plan_proxy_get_dbus (plan)))
        call (self, kp_plan_proxy_get_dbus (plan), "Run", g_variant_new ("(a{sv})", NULL));
    }
}

static void
pause_all (KpApplication *self, KpDBusManager *manager)
{
  call (self, manager, "Pause", g_variant_new ("(ta{sv})", (guint64) 0, NULL));
}

static void
resume_all (KpApplication *self, KpDBusManager *manager)
{
  call (self, manager, "Resume", g_variant_new ("(a{sv})", NULL));
}

/* --- actions -------------------------------------------------------------------------------- */

static void
show_plan_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  kp_window_show_plan_by_id (present_window (data), g_variant_get_string (parameter, NULL));
}

static void
new_plan_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  kp_window_show_setup (present_window (data), NULL);
}

static void
back_up_now_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  call_when_ready (data, back_up_all);
}

static void
pause_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  call_when_ready (data, pause_all);
}

static void
resume_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  call_when_ready (data, resume_all);
}

static void
preferences_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  KpApplication *self = data;
  KpWindow *window = present_window (self);
  KpPreferences *preferences = kp_preferences_new (self);

  gtk_window_set_transient_for (GTK_WINDOW (preferences), GTK_WINDOW (window));
  gtk_window_present (GTK_WINDOW (preferences));
}

static void
about_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  adw_show_about_window (GTK_WINDOW (present_window (data)), "application-name", "Keepsake",
                         "application-icon", KP_APPLICATION_ID, "version", KP_VERSION,
                         "developer-name", _ ("The Keepsake authors"), "copyright",
                         _ ("© The Keepsake authors"), "license-type", GTK_LICENSE_GPL_3_0,
                         "website", "https://github.com/keepsake-backup/keepsake", "issue-url",
                         "https://github.com/keepsake-backup/keepsake/issues", "comments",
                         _ ("Keeps your folders safe in Amazon S3 and other "
                            "S3-compatible storage, as ordinary files that any tool "
                            "can read."),
                         /* Translators: your name, one line for each translator */
                         "translator-credits", _ ("translator-credits"), NULL);
}

static void
quit_cb (GSimpleAction *action, GVariant *parameter, void *data)
{
  GList *windows = gtk_application_get_windows (data);

  /* What a window has to settle first, it does when it is closed. */
  for (GList *item = windows, *next; item != NULL; item = next)
    {
      next = item->next;
      gtk_window_close (item->data);
    }
  g_application_quit (data);
}

static const GActionEntry actions[] = {
  { "show-plan", show_plan_cb, "s", NULL, NULL },
  { "new-plan", new_plan_cb, NULL, NULL, NULL },
  { "back-up-now", back_up_now_cb, NULL, NULL, NULL },
  { "pause", pause_cb, NULL, NULL, NULL },
  { "resume", resume_cb, NULL, NULL, NULL },
  { "preferences", preferences_cb, NULL, NULL, NULL },
  { "about", about_cb, NULL, NULL, NULL },
  { "quit", quit_cb, NULL, NULL, NULL },
};

/* --- life ----------------------------------------------------------------------------------- */

/* GTK takes the direction of text from the locale alone, and few machines have one that goes from
 * right to left. */
static void
set_direction (void)
{
#ifdef KP_FAULT_INJECTION
  if (g_getenv ("KEEPSAKE_TEST_RIGHT_TO_LEFT") != NULL)
    gtk_widget_set_default_direction (GTK_TEXT_DIR_RTL);
#endif
}

static void
kp_application_startup (GApplication *application)
{
  KpApplication *self = KP_APPLICATION (application);
  GtkApplication *gtk = GTK_APPLICATION (application);

  G_APPLICATION_CLASS (kp_application_parent_class)->startup (application);
  set_direction ();
  gtk_window_set_default_icon_name (KP_APPLICATION_ID);
  self->settings = kp_settings_open ();
  if (self->settings == NULL)
    g_error ("Keepsake is not installed as it should be; install it again: no settings in %s",
             KP_DATA_DIR);
  self->client = kp_agent_client_new ();
  g_action_map_add_action_entries (G_ACTION_MAP (self), actions, G_N_ELEMENTS (actions), self);
  gtk_application_set_accels_for_action (gtk, "app.new-plan",
                                         (const char *[]){ "<Control>n", NULL });
  gtk_application_set_accels_for_action (gtk, "app.preferences",
                                         (const char *[]){ "<Control>comma", NULL });
  gtk_application_set_accels_for_action (gtk, "app.quit", (const char *[]){ "<Control>q", NULL });
  gtk_application_set_accels_for_action (gtk, "window.close",
                                         (const char *[]){ "<Control>w", NULL });
  gtk_application_set_accels_for_action (gtk, "win.show-help-overlay",
                                         (const char *[]){ "F1", "<Control>question", NULL });
  gtk_application_set_accels_for_action (gtk, "win.back", (const char *[]){ "<Alt>Left", NULL });
}

static void
kp_application_activate (GApplication *application)
{
  present_window (KP_APPLICATION (application));
}

static void
kp_application_shutdown (GApplication *application)
{
  G_APPLICATION_CLASS (kp_application_parent_class)->shutdown (application);
  kp_test_keys_wait ();
}

static void
kp_application_dispose (GObject *object)
{
  KpApplication *self = KP_APPLICATION (object);

  g_clear_object (&self->client);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (kp_application_parent_class)->dispose (object);
}

/* Needs neither a display nor a bus. */
static int
kp_application_handle_local_options (GApplication *application, GVariantDict *options)
{
  if (!g_variant_dict_contains (options, "version"))
    return -1;
  g_print ("keepsake %s\n", KP_VERSION);
  return 0;
}

static void
kp_application_class_init (KpApplicationClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kp_application_dispose;
  G_APPLICATION_CLASS (klass)->startup = kp_application_startup;
  G_APPLICATION_CLASS (klass)->activate = kp_application_activate;
  G_APPLICATION_CLASS (klass)->shutdown = kp_application_shutdown;
  G_APPLICATION_CLASS (klass)->handle_local_options = kp_application_handle_local_options;
}

static void
kp_application_init (KpApplication *self)
{
  g_application_add_main_option (G_APPLICATION (self), "version", 0, G_OPTION_FLAG_NONE,
                                 G_OPTION_ARG_NONE, _ ("Print the version"), NULL);
}

KpApplication *
kp_application_new (void)
{
  return g_object_new (KP_TYPE_APPLICATION, "application-id", KP_APPLICATION_ID,
                       "resource-base-path", "/io/github/keepsake_backup/Keepsake", NULL);
}

KpApplication *
kp_application_get (void)
{
  return KP_APPLICATION (g_application_get_default ());
}

KpAgentClient *
kp_application_get_client (KpApplication *self)
{
  return self->client;
}

GSettings *
kp_application_get_settings (KpApplication *self)
{
  return self->settings;
}

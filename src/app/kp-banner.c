/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-banner.h"

#include "kp-agent-process.h"
#include "kp-application.h"
#include "kp-details.h"
#include "kp-history.h"
#include "kp-window.h"

#include <gio/gdesktopappinfo.h>
#include <glib/gi18n.h>

#define REFRESH_SECONDS 30

struct _KpBanner
{
  AdwBin parent_instance;

  gboolean agent_only;
  gboolean problems_only;
  KpAgentClient *client;
  guint refresh; /* while the text says how long something lasts yet */
  GtkRevealer *revealer;
  GtkLabel *label;
  GtkButton *button;
};

enum
{
  PROP_AGENT_ONLY = 1,
  PROP_PROBLEMS_ONLY,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (KpBanner, kp_banner, ADW_TYPE_BIN)

static void
show (KpBanner *self, const char *text, const char *button)
{
  /* What is not revealed would yet be there for a screen reader. */
  gtk_widget_set_visible (GTK_WIDGET (self->revealer), text != NULL);
  gtk_revealer_set_reveal_child (self->revealer, text != NULL);
  if (text == NULL)
    return;
  gtk_label_set_label (self->label, text);
  gtk_widget_set_visible (GTK_WIDGET (self->button), button != NULL);
  if (button != NULL)
    gtk_button_set_label (self->button, button);
}

/* (nullable) (transfer full): what the desktop has for that */
static GAppInfo *
find_network_settings (void)
{
  static const char *const ids[]
      = { "gnome-network-panel.desktop", "gnome-wifi-panel.desktop",
          "kcm_networkmanagement.desktop", "cinnamon-settings-network.desktop",
          "nm-connection-editor.desktop" };

  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      GDesktopAppInfo *info = g_desktop_app_info_new (ids[i]);
      if (info != NULL)
        return G_APP_INFO (info);
    }
  return NULL;
}

/* (nullable) (transfer none): a(ays), of which there is at least one */
static GVariant *
get_problems (KpBanner *self)
{
  KpDBusManager *manager = kp_agent_client_get_manager (self->client);
  GVariant *problems = manager != NULL ? kp_dbus_manager_get_problems (manager) : NULL;

  return problems != NULL && g_variant_n_children (problems) > 0 ? problems : NULL;
}

/* Which files these are is in the details: their names say nothing to most people. */
static void
show_problems (KpBanner *self)
{
  GVariant *problems = get_problems (self);
  gsize n = problems != NULL ? g_variant_n_children (problems) : 0;
  guint plans = 0;
  gboolean has_history = FALSE; /* the rest is the folder of the plans, which is not watched */
  g_autofree char *text = NULL;

  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GVariant) bytes = NULL;
      g_variant_get_child (problems, i, "(@ay&s)", &bytes, NULL);
      g_autofree char *path = kp_dbus_dup_bytes (bytes);
      plans += g_str_has_suffix (path, ".json") ? 1 : 0;
      has_history |= g_str_has_suffix (path, "/" KP_HISTORY_FILE_NAME);
    }
  if (plans > 0)
    text = g_strdup_printf (
        ngettext ("The file of a plan cannot be read. Its folders may not be backed up.",
                  "The files of %u plans cannot be read. Their folders may not be backed up.",
                  plans),
        plans);
  else if (has_history)
    text = g_strdup (_ ("The record of past backups is damaged or cannot be read."));
  else if (n > 0)
    text = g_strdup (_ ("When plans are changed outside of Keepsake, it does not notice."));
  show (self, text, _ ("Show _Details"));
}

static void
show_problem_details (KpBanner *self)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GVariant *problems = get_problems (self);
  GVariantIter iter;
  GVariant *path_variant;
  const char *reason;

  if (problems == NULL)
    return;
  g_variant_iter_init (&iter, problems);
  while (g_variant_iter_next (&iter, "(@ay&s)", &path_variant, &reason))
    {
      g_autoptr (GVariant) owned = path_variant;
      g_autofree char *bytes = kp_dbus_dup_bytes (owned);
      g_autofree char *path = g_filename_display_name (bytes);
      g_string_append_printf (text, "%s%s\n%s\n", text->len > 0 ? "\n" : "", path, reason);
    }
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), _ ("Problems"), text->str);
}

static void update (KpBanner *self);

static gboolean
refresh_cb (void *data)
{
  KpBanner *self = data;

  self->refresh = 0;
  update (self);
  return G_SOURCE_REMOVE;
}

static void
update (KpBanner *self)
{
  KpDBusManager *manager = kp_agent_client_get_manager (self->client);
  gint64 paused_until = manager != NULL ? kp_dbus_manager_get_paused_until (manager) : 0;

  g_clear_handle_id (&self->refresh, g_source_remove);
  if (self->problems_only)
    {
      if (kp_agent_client_get_presence (self->client) == KP_AGENT_SILENT)
        show (self, NULL, NULL);
      else
        show_problems (self);
    }
  else if (kp_agent_client_get_presence (self->client) == KP_AGENT_SILENT
           && kp_agent_client_cannot_end (self->client))
    show (self,
          _ ("The background part of Keepsake does not answer, and it could not be "
             "restarted. Log out and in again."),
          _ ("_Try Again"));
  else if (kp_agent_client_get_presence (self->client) == KP_AGENT_SILENT)
    show (self, _ ("The background part of Keepsake does not answer. What you see may be old."),
          /* In a sandbox its process is out of reach. */
          kp_agent_process_can_end () ? _ ("_Restart It") : _ ("_Try Again"));
  else if (self->agent_only)
    show (self, NULL, NULL);
  else if (manager != NULL && paused_until != 0)
    {
      g_autofree char *time
          = paused_until > 0 ? kp_words_future (paused_until, kp_app_now ()) : NULL;
      g_autofree char *text = time != NULL
                                  /* Translators: %s is a time, as in "tomorrow at 05:00" */
                                  ? g_strdup_printf (_ ("Backups are paused. They go on %s."), time)
                                  : g_strdup (_ ("Backups are paused."));
      show (self, text, _ ("_Resume Backups"));
      if (time != NULL)
        self->refresh = g_timeout_add_seconds (REFRESH_SECONDS, refresh_cb, self);
    }
  else if (manager != NULL && kp_agent_client_is_offline (self->client))
    {
      g_autoptr (GAppInfo) settings = find_network_settings ();
      show (self, _ ("You are offline. Backups go on when there is a network again."),
            settings != NULL ? _ ("_Network Settings") : NULL);
    }
  else
    show (self, NULL, NULL);
}

static void
open_network_settings (KpBanner *self)
{
  g_autoptr (GAppInfo) settings = find_network_settings ();
  g_autoptr (GdkAppLaunchContext) context
      = gdk_display_get_app_launch_context (gtk_widget_get_display (GTK_WIDGET (self)));
  g_autoptr (GError) error = NULL;

  if (settings == NULL
      || g_app_info_launch (settings, NULL, G_APP_LAUNCH_CONTEXT (context), &error))
    return;
  kp_window_show_error (kp_window_of (GTK_WIDGET (self)), _ ("That did not work"), error);
}

static void
clicked_cb (KpBanner *self)
{
  KpDBusManager *manager = kp_agent_client_get_manager (self->client);

  if (self->problems_only)
    show_problem_details (self);
  else if (kp_agent_client_get_presence (self->client) == KP_AGENT_SILENT)
    kp_agent_client_restart (self->client);
  else if (manager != NULL && kp_dbus_manager_get_paused_until (manager) != 0)
    gtk_widget_activate_action (GTK_WIDGET (self), "app.resume", NULL);
  else
    open_network_settings (self);
}

static void
kp_banner_set_property (GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
  KpBanner *self = KP_BANNER (object);

  switch (id)
    {
    case PROP_AGENT_ONLY:
      self->agent_only = g_value_get_boolean (value);
      break;
    case PROP_PROBLEMS_ONLY:
      self->problems_only = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, spec);
    }
}

static void
kp_banner_constructed (GObject *object)
{
  KpBanner *self = KP_BANNER (object);

  G_OBJECT_CLASS (kp_banner_parent_class)->constructed (object);
  self->client = g_object_ref (kp_application_get_client (kp_application_get ()));
  g_signal_connect_object (self->client, "changed", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  update (self);
}

static void
kp_banner_dispose (GObject *object)
{
  g_clear_handle_id (&KP_BANNER (object)->refresh, g_source_remove);
  g_clear_object (&KP_BANNER (object)->client);
  G_OBJECT_CLASS (kp_banner_parent_class)->dispose (object);
}

static void
kp_banner_class_init (KpBannerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->set_property = kp_banner_set_property;
  object_class->constructed = kp_banner_constructed;
  object_class->dispose = kp_banner_dispose;
  props[PROP_AGENT_ONLY]
      = g_param_spec_boolean ("agent-only", NULL, NULL, FALSE,
                              G_PARAM_WRITABLE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  props[PROP_PROBLEMS_ONLY]
      = g_param_spec_boolean ("problems-only", NULL, NULL, FALSE,
                              G_PARAM_WRITABLE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/keepsake_backup/Keepsake/kp-banner.ui");
  gtk_widget_class_bind_template_child (widget_class, KpBanner, revealer);
  gtk_widget_class_bind_template_child (widget_class, KpBanner, label);
  gtk_widget_class_bind_template_child (widget_class, KpBanner, button);
  gtk_widget_class_bind_template_callback (widget_class, clicked_cb);
}

static void
kp_banner_init (KpBanner *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-tray.h"

#include "config.h"

#include "kp-tray-menu.h"
#include "kp-tray-private.h"

#include <glib/gi18n.h>

#define ITEM_PATH "/StatusNotifierItem"
#define ITEM_INTERFACE "org.kde.StatusNotifierItem"
#define MENU_PATH "/MenuBar"

#define WATCHER_NAME "org.kde.StatusNotifierWatcher"
#define WATCHER_PATH "/StatusNotifierWatcher"

/* A tray asks for all properties, pixels too, each time it hears of a new tooltip. */
#define TOOLTIP_INTERVAL_SECONDS 1

#define HOUR (60 * 60)

struct _KpTray
{
  GObject parent_instance;

  GDBusConnection *bus;
  guint registration;
  guint watch;               /* of the watcher's name */
  GCancellable *cancellable; /* (nullable): of the call that registers us */
  gboolean is_visible;

  KpTrayState state;
  gboolean is_paused;
  char *title;
  char *text;
  guint tooltip_timer;         /* runs for an interval after the tooltip was told */
  gboolean is_tooltip_pending; /* to be told when it ends */
  char *activation_token;      /* or NULL */

  KpTrayMenu *menu;
  GPtrArray *plans; /* (element-type Plan): in the menu */
  GPtrArray *next;  /* (element-type Plan) (nullable): between begin and end */
};

typedef struct
{
  char *id;
  char *name;
  gboolean can_run;
} Plan;

enum
{
  PROP_VISIBLE = 1,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

enum
{
  SIGNAL_OPEN,
  SIGNAL_BACKUP,
  SIGNAL_PAUSE,
  SIGNAL_PAUSE_UNTIL_TOMORROW,
  SIGNAL_RESUME,
  SIGNAL_QUIT,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpTray, kp_tray, G_TYPE_OBJECT)

static void
plan_free (void *data)
{
  Plan *plan = data;

  g_free (plan->id);
  g_free (plan->name);
  g_free (plan);
}

static void
emit (KpTray *self, const char *signal, GVariant *parameters)
{
  /* Fails only when the connection is closed, and then nobody can hear it. */
  g_dbus_connection_emit_signal (self->bus, NULL, ITEM_PATH, ITEM_INTERFACE, signal, parameters,
                                 NULL);
}

/* --- the menu -------------------------------------------------------------------------------- */

/* Returns (transfer full): @name in a label, where an underscore means something. */
static char *
escape_label (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "_", -1);

  return g_strjoinv ("__", parts);
}

static void
fill_menu (KpTray *self)
{
  KpTrayMenu *menu = self->menu;

  kp_tray_menu_begin (menu);
  for (guint i = 0; i < self->plans->len; i++)
    {
      const Plan *plan = self->plans->pdata[i];
      g_autofree char *name = escape_label (plan->name);
      /* Translators: an entry of a menu; %s is the name of a backup plan, such as “Photos” */
      g_autofree char *label = g_strdup_printf (_ ("Back Up %s Now"), name);
      kp_tray_menu_add (menu, "backup", plan->id, label, plan->can_run);
    }
  if (self->plans->len > 0)
    kp_tray_menu_add_separator (menu);

  if (self->is_paused || self->state == KP_TRAY_PAUSED)
    {
      kp_tray_menu_add (menu, "resume", NULL, _ ("Resume Backups"), TRUE);
    }
  else
    {
      kp_tray_menu_add (menu, "pause", "hour", _ ("Pause for an Hour"), TRUE);
      kp_tray_menu_add (menu, "pause", "tomorrow", _ ("Pause until Tomorrow"), TRUE);
      kp_tray_menu_add (menu, "pause", "resumed", _ ("Pause until Resumed"), TRUE);
    }
  kp_tray_menu_add_separator (menu);
  kp_tray_menu_add (menu, "open", NULL, _ ("Open Keepsake"), TRUE);
  kp_tray_menu_add (menu, "quit", NULL, _ ("Quit"), TRUE);
  kp_tray_menu_end (menu);
}

static void
menu_activated_cb (KpTrayMenu *menu, const char *action, const char *target, KpTray *self)
{
  if (g_str_equal (action, "backup"))
    g_signal_emit (self, signals[SIGNAL_BACKUP], 0, target);
  else if (g_str_equal (action, "resume"))
    g_signal_emit (self, signals[SIGNAL_RESUME], 0);
  else if (g_str_equal (action, "open"))
    g_signal_emit (self, signals[SIGNAL_OPEN], 0);
  else if (g_str_equal (action, "quit"))
    g_signal_emit (self, signals[SIGNAL_QUIT], 0);
  else if (g_str_equal (target, "tomorrow"))
    g_signal_emit (self, signals[SIGNAL_PAUSE_UNTIL_TOMORROW], 0);
  else
    g_signal_emit (self, signals[SIGNAL_PAUSE], 0, g_str_equal (target, "hour") ? HOUR : 0);
}

/* --- the item -------------------------------------------------------------------------------- */

static const char *
get_icon_name (KpTrayState state)
{
  /* In a sandbox only names that begin with the application ID are seen outside of it. */
  static const char *const names[] = {
    [KP_TRAY_IDLE] = KP_APPLICATION_ID "-idle-symbolic",
    [KP_TRAY_RUNNING] = KP_APPLICATION_ID "-running-symbolic",
    [KP_TRAY_PAUSED] = KP_APPLICATION_ID "-paused-symbolic",
    [KP_TRAY_ATTENTION] = KP_APPLICATION_ID "-attention-symbolic",
  };

  return names[state];
}

static const char *
get_status (KpTray *self)
{
  return self->state == KP_TRAY_ATTENTION ? "NeedsAttention" : "Active";
}

static GVariant *
no_pixmaps (void)
{
  return g_variant_new_array (G_VARIANT_TYPE ("(iiay)"), NULL, 0);
}

/* The text may hold markup, the title not (StatusNotifierItem, "ToolTip"). Quotes stay as they are:
 * they mean nothing there, and some trays show the text as it comes. */
static GVariant *
get_tooltip (KpTray *self)
{
  g_autoptr (GString) text = g_string_new (self->text);

  g_string_replace (text, "&", "&amp;", 0);
  g_string_replace (text, "<", "&lt;", 0);
  g_string_replace (text, ">", "&gt;", 0);
  return g_variant_new ("(s@a(iiay)ss)", "", no_pixmaps (), self->title, text->str);
}

static GVariant *
property_cb (GDBusConnection *bus,
             const char *sender,
             const char *path,
             const char *interface,
             const char *property,
             GError **error,
             void *user_data)
{
  KpTray *self = user_data;

  if (g_str_equal (property, "Category"))
    return g_variant_new_string ("SystemServices");
  if (g_str_equal (property, "Id"))
    return g_variant_new_string (KP_APPLICATION_ID);
  if (g_str_equal (property, "Title"))
    return g_variant_new_string ("Keepsake");
  if (g_str_equal (property, "Status"))
    return g_variant_new_string (get_status (self));
  if (g_str_equal (property, "WindowId"))
    return g_variant_new_int32 (0);
  if (g_str_equal (property, "IconName"))
    return g_variant_new_string (get_icon_name (self->state));
  if (g_str_equal (property, "IconPixmap"))
    return kp_tray_pixmaps (self->state);
  if (g_str_equal (property, "AttentionIconName"))
    return g_variant_new_string (get_icon_name (KP_TRAY_ATTENTION));
  if (g_str_equal (property, "AttentionIconPixmap"))
    return kp_tray_pixmaps (KP_TRAY_ATTENTION);
  if (g_str_equal (property, "OverlayIconPixmap"))
    return no_pixmaps ();
  if (g_str_equal (property, "ToolTip"))
    return get_tooltip (self);
  if (g_str_equal (property, "Menu"))
    return g_variant_new_object_path (MENU_PATH);
  /* With it a click would show the menu; without, it comes to us. */
  if (g_str_equal (property, "ItemIsMenu"))
    return g_variant_new_boolean (FALSE);
  return g_variant_new_string (""); /* OverlayIconName, AttentionMovieName, IconThemePath */
}

static void
method_cb (GDBusConnection *bus,
           const char *sender,
           const char *path,
           const char *interface,
           const char *method,
           GVariant *parameters,
           GDBusMethodInvocation *invocation,
           void *user_data)
{
  g_autoptr (KpTray) self = g_object_ref (user_data);
  gboolean is_activation = g_str_equal (method, "Activate");

  if (g_str_equal (method, "ProvideXdgActivationToken"))
    {
      g_free (self->activation_token);
      g_variant_get (parameters, "(s)", &self->activation_token);
    }
  /* SecondaryActivate, ContextMenu and Scroll mean nothing here, and are no errors. */
  g_dbus_method_invocation_return_value (invocation, NULL);
  if (is_activation)
    g_signal_emit (self, signals[SIGNAL_OPEN], 0);
}

/* --- the watcher ----------------------------------------------------------------------------- */

static void
set_visible (KpTray *self, gboolean is_visible)
{
  if (self->is_visible == is_visible)
    return;
  self->is_visible = is_visible;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_VISIBLE]);
}

static void
registered_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  /* Then the tray may be gone. */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;

  KpTray *self = user_data;
  g_clear_object (&self->cancellable);
  if (reply == NULL)
    g_info ("The tray does not take the icon: %s", error->message);
  set_visible (self, reply != NULL);
}

static void
forget_registration (KpTray *self)
{
  if (self->cancellable != NULL)
    g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
}

static void
watcher_appeared_cb (GDBusConnection *bus, const char *name, const char *owner, void *user_data)
{
  KpTray *self = user_data;
  const char *us = g_dbus_connection_get_unique_name (bus);

  /* Our unique name will do, so that no name has to be owned (which a sandbox forbids). */
  forget_registration (self);
  self->cancellable = g_cancellable_new ();
  g_dbus_connection_call (bus, owner, WATCHER_PATH, WATCHER_NAME, "RegisterStatusNotifierItem",
                          g_variant_new ("(s)", us), NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                          self->cancellable, registered_cb, self);
}

static void
watcher_vanished_cb (GDBusConnection *bus, const char *name, void *user_data)
{
  KpTray *self = user_data;

  forget_registration (self);
  set_visible (self, FALSE);
}

/* --- the object ------------------------------------------------------------------------------ */

static void
kp_tray_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  KpTray *self = KP_TRAY (object);

  if (prop_id == PROP_VISIBLE)
    g_value_set_boolean (value, self->is_visible);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
}

static void
kp_tray_dispose (GObject *object)
{
  KpTray *self = KP_TRAY (object);

  g_clear_handle_id (&self->watch, g_bus_unwatch_name);
  forget_registration (self);
  g_clear_handle_id (&self->tooltip_timer, g_source_remove);
  if (self->registration != 0)
    g_dbus_connection_unregister_object (self->bus, self->registration);
  self->registration = 0;
  if (self->menu != NULL)
    g_signal_handlers_disconnect_by_data (self->menu, self);
  g_clear_object (&self->menu);
  G_OBJECT_CLASS (kp_tray_parent_class)->dispose (object);
}

static void
kp_tray_finalize (GObject *object)
{
  KpTray *self = KP_TRAY (object);

  g_clear_object (&self->bus);
  g_free (self->title);
  g_free (self->text);
  g_free (self->activation_token);
  g_ptr_array_unref (self->plans);
  g_clear_pointer (&self->next, g_ptr_array_unref);
  G_OBJECT_CLASS (kp_tray_parent_class)->finalize (object);
}

static guint
add_signal (const char *name, guint n_params, GType type)
{
  return g_signal_new (name, KP_TYPE_TRAY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                       n_params, type);
}

static void
kp_tray_class_init (KpTrayClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = kp_tray_get_property;
  object_class->dispose = kp_tray_dispose;
  object_class->finalize = kp_tray_finalize;

  props[PROP_VISIBLE] = g_param_spec_boolean ("visible", NULL, NULL, FALSE,
                                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  signals[SIGNAL_OPEN] = add_signal ("open", 0, G_TYPE_NONE);
  signals[SIGNAL_BACKUP] = add_signal ("backup", 1, G_TYPE_STRING);
  signals[SIGNAL_PAUSE] = add_signal ("pause", 1, G_TYPE_UINT);
  signals[SIGNAL_PAUSE_UNTIL_TOMORROW] = add_signal ("pause-until-tomorrow", 0, G_TYPE_NONE);
  signals[SIGNAL_RESUME] = add_signal ("resume", 0, G_TYPE_NONE);
  signals[SIGNAL_QUIT] = add_signal ("quit", 0, G_TYPE_NONE);
}

static void
kp_tray_init (KpTray *self)
{
  self->plans = g_ptr_array_new_with_free_func (plan_free);
  self->title = g_strdup ("Keepsake");
  self->text = g_strdup ("");
}

/**
 * kp_tray_new:
 * @bus: the session bus
 * @error: %G_IO_ERROR_EXISTS when the connection has a tray icon already
 *
 * Returns: (transfer full): an idle icon without plans; it shows as soon as there is a tray
 */
KpTray *
kp_tray_new (GDBusConnection *bus, GError **error)
{
  static const GDBusInterfaceVTable vtable = { method_cb, property_cb, NULL, { NULL } };
  g_autoptr (KpTray) self = g_object_new (KP_TYPE_TRAY, NULL);
  GDBusInterfaceInfo *info = kp_tray_interface (ITEM_INTERFACE);

  self->bus = g_object_ref (bus);
  self->registration
      = g_dbus_connection_register_object (bus, ITEM_PATH, info, &vtable, self, NULL, error);
  g_dbus_interface_info_unref (info);
  if (self->registration == 0)
    return NULL;
  self->menu = kp_tray_menu_new (bus, MENU_PATH, error);
  if (self->menu == NULL)
    return NULL;
  g_signal_connect (self->menu, "activated", G_CALLBACK (menu_activated_cb), self);
  fill_menu (self);
  self->watch
      = g_bus_watch_name_on_connection (bus, WATCHER_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                        watcher_appeared_cb, watcher_vanished_cb, self, NULL);
  return g_steal_pointer (&self);
}

/**
 * kp_tray_set_state:
 *
 * Says by the icon how things stand. %KP_TRAY_PAUSED implies kp_tray_set_paused().
 */
void
kp_tray_set_state (KpTray *self, KpTrayState state)
{
  g_return_if_fail (KP_IS_TRAY (self));

  if (self->state == state)
    return;
  gboolean is_new_status = (self->state == KP_TRAY_ATTENTION) != (state == KP_TRAY_ATTENTION);
  self->state = state;
  emit (self, "NewIcon", NULL);
  if (is_new_status)
    {
      emit (self, "NewAttentionIcon", NULL);
      emit (self, "NewStatus", g_variant_new ("(s)", get_status (self)));
      kp_tray_menu_set_notice (self->menu, state == KP_TRAY_ATTENTION);
    }
  fill_menu (self);
}

/**
 * kp_tray_set_paused:
 * @is_paused: whether backups are paused, whatever the icon says
 *
 * Then the menu offers to resume instead of to pause.
 */
void
kp_tray_set_paused (KpTray *self, gboolean is_paused)
{
  g_return_if_fail (KP_IS_TRAY (self));

  self->is_paused = is_paused;
  fill_menu (self);
}

static gboolean
tooltip_timer_cb (void *user_data)
{
  KpTray *self = user_data;

  if (!self->is_tooltip_pending)
    {
      self->tooltip_timer = 0;
      return G_SOURCE_REMOVE;
    }
  self->is_tooltip_pending = FALSE;
  emit (self, "NewToolTip", NULL);
  return G_SOURCE_CONTINUE;
}

/**
 * kp_tray_set_tooltip:
 * @title: (nullable): what is going on; %NULL for the name of the application
 * @text: (nullable): more about it; no markup
 *
 * May be called as often as one likes: the tray hears of it at most once a second.
 */
void
kp_tray_set_tooltip (KpTray *self, const char *title, const char *text)
{
  g_return_if_fail (KP_IS_TRAY (self));

  /* The names of files get here, which are any bytes. */
  g_autofree char *new_title = g_utf8_make_valid (title != NULL ? title : "Keepsake", -1);
  g_autofree char *new_text = g_utf8_make_valid (text != NULL ? text : "", -1);

  if (g_str_equal (new_title, self->title) && g_str_equal (new_text, self->text))
    return;
  g_free (self->title);
  g_free (self->text);
  self->title = g_steal_pointer (&new_title);
  self->text = g_steal_pointer (&new_text);
  if (self->tooltip_timer != 0)
    {
      self->is_tooltip_pending = TRUE;
      return;
    }
  emit (self, "NewToolTip", NULL);
  self->tooltip_timer = g_timeout_add_seconds (TOOLTIP_INTERVAL_SECONDS, tooltip_timer_cb, self);
}

/**
 * kp_tray_begin_plans:
 *
 * From here to kp_tray_end_plans() the plans of the menu are added anew.
 */
void
kp_tray_begin_plans (KpTray *self)
{
  g_return_if_fail (KP_IS_TRAY (self));

  g_clear_pointer (&self->next, g_ptr_array_unref);
  self->next = g_ptr_array_new_with_free_func (plan_free);
}

/**
 * kp_tray_add_plan:
 * @id: what the signal "backup" says
 * @name: what the user calls it, in UTF-8
 * @can_run: whether it can be clicked
 */
void
kp_tray_add_plan (KpTray *self, const char *id, const char *name, gboolean can_run)
{
  g_return_if_fail (KP_IS_TRAY (self));
  g_return_if_fail (self->next != NULL);

  Plan *plan = g_new0 (Plan, 1);
  plan->id = g_strdup (id);
  plan->name = g_strdup (name);
  plan->can_run = can_run;
  g_ptr_array_add (self->next, plan);
}

/**
 * kp_tray_end_plans:
 *
 * The menu has the new plans. Nothing is told to the tray when they are those it had.
 */
void
kp_tray_end_plans (KpTray *self)
{
  g_return_if_fail (KP_IS_TRAY (self));
  g_return_if_fail (self->next != NULL);

  g_ptr_array_unref (self->plans);
  self->plans = g_steal_pointer (&self->next);
  fill_menu (self);
}

/**
 * kp_tray_is_visible:
 *
 * Returns: whether there is a tray and it took the icon
 */
gboolean
kp_tray_is_visible (KpTray *self)
{
  g_return_val_if_fail (KP_IS_TRAY (self), FALSE);

  return self->is_visible;
}

/**
 * kp_tray_take_activation_token:
 *
 * Returns: (transfer full) (nullable): what a window needs to get the focus on Wayland, if the tray
 *   gave it before the signal "open". It is good for one time.
 */
char *
kp_tray_take_activation_token (KpTray *self)
{
  g_return_val_if_fail (KP_IS_TRAY (self), NULL);

  return g_steal_pointer (&self->activation_token);
}

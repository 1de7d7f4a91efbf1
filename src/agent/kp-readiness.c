/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-readiness.h"

#define UPOWER "org.freedesktop.UPower"
#define LOGIND "org.freedesktop.login1"

struct _KpReadiness
{
  GObject parent_instance;

  GNetworkMonitor *network;      /* (transfer none) */
  GPowerProfileMonitor *profile; /* or NULL */
  GCancellable *cancellable;
  GDBusProxy *upower; /* or NULL: not there, or not yet */
  GDBusConnection *system_bus;
  guint logind_subscription;
  KpConditions conditions;
};

enum
{
  SIGNAL_CHANGED,
  SIGNAL_RESUMED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpReadiness, kp_readiness, G_TYPE_OBJECT)

static gboolean
is_on_battery (KpReadiness *self)
{
  if (self->upower == NULL)
    return FALSE;
  g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (self->upower, "OnBattery");
  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN)
         && g_variant_get_boolean (value);
}

static void
update (KpReadiness *self)
{
  KpConditions conditions = 0;

  if (!g_network_monitor_get_network_available (self->network))
    conditions |= KP_CONDITION_OFFLINE;
  if (g_network_monitor_get_network_metered (self->network))
    conditions |= KP_CONDITION_METERED;
  if (is_on_battery (self))
    conditions |= KP_CONDITION_BATTERY;
  if (self->profile != NULL && g_power_profile_monitor_get_power_saver_enabled (self->profile))
    conditions |= KP_CONDITION_POWER_SAVER;

  if (conditions == self->conditions)
    return;
  self->conditions = conditions;
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

static void
upower_ready_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  GDBusProxy *proxy = g_dbus_proxy_new_for_bus_finish (result, &error);

  if (proxy == NULL)
    {
      g_debug ("UPower: %s", error->message);
      return;
    }
  KpReadiness *self = data;
  self->upower = proxy;
  g_signal_connect_object (proxy, "g-properties-changed", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (proxy, "notify::g-name-owner", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  update (self);
}

static void
sleep_cb (GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *signal,
          GVariant *parameters,
          void *data)
{
  gboolean begins = TRUE;

  if (g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(b)")))
    g_variant_get (parameters, "(b)", &begins);
  if (!begins)
    g_signal_emit (data, signals[SIGNAL_RESUMED], 0);
}

static void
system_bus_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus = g_bus_get_finish (result, &error);

  if (bus == NULL)
    {
      g_debug ("There is no system bus: %s", error->message);
      return;
    }
  KpReadiness *self = data;
  /* One can go on without the system's bus. */
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  self->system_bus = bus;
  self->logind_subscription = g_dbus_connection_signal_subscribe (
      bus, LOGIND, LOGIND ".Manager", "PrepareForSleep", "/org/freedesktop/login1", NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, sleep_cb, self, NULL);
  g_dbus_proxy_new (bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, NULL, UPOWER,
                    "/org/freedesktop/UPower", UPOWER, self->cancellable, upower_ready_cb, self);
}

static void
kp_readiness_dispose (GObject *object)
{
  KpReadiness *self = KP_READINESS (object);

  g_cancellable_cancel (self->cancellable);
  if (self->logind_subscription != 0)
    g_dbus_connection_signal_unsubscribe (self->system_bus, self->logind_subscription);
  self->logind_subscription = 0;
  g_clear_object (&self->upower);
  g_clear_object (&self->profile);
  g_clear_object (&self->system_bus);
  G_OBJECT_CLASS (kp_readiness_parent_class)->dispose (object);
}

static void
kp_readiness_finalize (GObject *object)
{
  g_clear_object (&KP_READINESS (object)->cancellable);
  G_OBJECT_CLASS (kp_readiness_parent_class)->finalize (object);
}

static void
kp_readiness_class_init (KpReadinessClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kp_readiness_dispose;
  G_OBJECT_CLASS (klass)->finalize = kp_readiness_finalize;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_READINESS, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_RESUMED] = g_signal_new ("resumed", KP_TYPE_READINESS, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
}

static void
kp_readiness_init (KpReadiness *self)
{
  self->cancellable = g_cancellable_new ();
}

/**
 * kp_readiness_new:
 *
 * Knows of battery and sleep a moment later, once the system bus has answered; until then it takes
 * them for all right.
 */
KpReadiness *
kp_readiness_new (void)
{
  KpReadiness *self = g_object_new (KP_TYPE_READINESS, NULL);

  self->network = g_network_monitor_get_default ();
  self->profile = g_power_profile_monitor_dup_default ();
  g_signal_connect_object (self->network, "network-changed", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->network, "notify", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  if (self->profile != NULL)
    g_signal_connect_object (self->profile, "notify::power-saver-enabled", G_CALLBACK (update),
                             self, G_CONNECT_SWAPPED);
  g_bus_get (G_BUS_TYPE_SYSTEM, self->cancellable, system_bus_cb, self);
  update (self);
  return self;
}

KpConditions
kp_readiness_get_conditions (KpReadiness *self)
{
  return self->conditions;
}

/**
 * kp_conditions_to_strv:
 *
 * Returns: (transfer full): their names for scripts
 */
GStrv
kp_conditions_to_strv (KpConditions conditions)
{
  static const char *const names[] = { "offline", "metered", "battery", "power-saver" };
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (conditions & (1u << i))
      g_strv_builder_add (builder, names[i]);
  return g_strv_builder_end (builder);
}

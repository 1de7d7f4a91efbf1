/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "private-bus.h"

#define PATIENCE (30 * G_TIME_SPAN_SECOND)

static gboolean
tick_cb (void *user_data)
{
  return G_SOURCE_CONTINUE;
}

gint64
wait_deadline (void)
{
  return g_get_monotonic_time () + PATIENCE;
}

/* One turn of the main loop, of a limited time. */
void
wait_once (gint64 deadline, const char *what)
{
  guint tick = g_timeout_add (100, tick_cb, NULL);

  if (g_get_monotonic_time () > deadline)
    g_error ("waited in vain for %s", what);
  g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
}

GDBusConnection *
private_bus_connect (PrivateBus *bus)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_sync (
      g_test_dbus_get_bus_address (bus->daemon),
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
          | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
      NULL, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

void
private_bus_up (PrivateBus *bus)
{
  bus->daemon = g_test_dbus_new (G_TEST_DBUS_NONE);
  g_test_dbus_up (bus->daemon);
  bus->ours = private_bus_connect (bus);
  bus->theirs = private_bus_connect (bus);
}

void
private_bus_down (PrivateBus *bus)
{
  g_dbus_connection_close_sync (bus->ours, NULL, NULL);
  g_dbus_connection_close_sync (bus->theirs, NULL, NULL);
  g_clear_object (&bus->ours);
  g_clear_object (&bus->theirs);
  /* What was started and not answered lets go of its things. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_test_dbus_stop (bus->daemon);
  g_clear_object (&bus->daemon);
}

static void
call_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Returns (transfer full) (nullable): the answer, or NULL with @error set */
GVariant *
private_bus_call (GDBusConnection *connection,
                  const char *name,
                  const char *path,
                  const char *interface,
                  const char *method,
                  GVariant *parameters,
                  GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  g_dbus_connection_call (connection, name, path, interface, method, parameters, NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, call_cb, &result);
  wait_for (result != NULL);
  return g_dbus_connection_call_finish (connection, result, error);
}

static void
call_bus (GDBusConnection *connection, const char *method, GVariant *parameters)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = private_bus_call (connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", method, parameters, &error);

  g_assert_no_error (error);
}

void
private_bus_own (GDBusConnection *connection, const char *name)
{
  call_bus (connection, "RequestName", g_variant_new ("(su)", name, 0));
}

void
private_bus_disown (GDBusConnection *connection, const char *name)
{
  call_bus (connection, "ReleaseName", g_variant_new ("(s)", name));
}

GVariant *
private_bus_get (GDBusConnection *connection,
                 const char *name,
                 const char *path,
                 const char *interface,
                 const char *property)
{
  g_autoptr (GError) error = NULL;
  GVariant *value = NULL;
  g_autoptr (GVariant) reply
      = private_bus_call (connection, name, path, "org.freedesktop.DBus.Properties", "Get",
                          g_variant_new ("(ss)", interface, property), &error);

  g_assert_no_error (error);
  g_variant_get (reply, "(v)", &value);
  return value;
}

/* Lets @connection have an object with the one interface in @xml. */
guint
private_bus_export (GDBusConnection *connection,
                    const char *path,
                    const char *xml,
                    GDBusInterfaceMethodCallFunc method_cb,
                    void *user_data)
{
  GDBusInterfaceVTable vtable = { .method_call = method_cb };
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (xml, &error);

  g_assert_no_error (error);
  guint id = g_dbus_connection_register_object (connection, path, node->interfaces[0], &vtable,
                                                user_data, NULL, &error);
  g_assert_no_error (error);
  return id;
}

/* Until all that either side said before has reached the other, and was answered: a message there
 * and one back pass whatever was on the way. */
void
private_bus_settle (PrivateBus *bus)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GVariant) there
          = private_bus_call (bus->ours, g_dbus_connection_get_unique_name (bus->theirs), "/",
                              "org.freedesktop.DBus.Peer", "Ping", NULL, NULL);
      g_autoptr (GVariant) back
          = private_bus_call (bus->theirs, g_dbus_connection_get_unique_name (bus->ours), "/",
                              "org.freedesktop.DBus.Peer", "Ping", NULL, NULL);
      g_assert_nonnull (there);
      g_assert_nonnull (back);
    }
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

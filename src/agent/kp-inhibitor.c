/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-inhibitor.h"

#include "config.h"

#include "kp-portal.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"

#define PORTAL_INTERFACE "org.freedesktop.portal.Inhibit"
#define PORTAL_SUSPEND 4u /* of its flags */

struct _KpInhibitor
{
  GObject parent_instance;

  gboolean is_active;   /* what was asked for last */
  guint generation;     /* counts the times that something was asked for */
  int fd;               /* logind's lock; it holds until this is closed. -1 for none */
  GDBusConnection *bus; /* (nullable): where the portal's is to be closed */
  char *handle;         /* the portal's lock, or NULL */
};

G_DEFINE_FINAL_TYPE (KpInhibitor, kp_inhibitor, G_TYPE_OBJECT)

/* One attempt to get a lock. It is never cancelled: who gave up waiting has to release what comes
 * all the same. */
typedef struct
{
  GWeakRef inhibitor;
  guint generation;
  char *reason;
} Attempt;

static void
attempt_free (Attempt *attempt)
{
  g_weak_ref_clear (&attempt->inhibitor);
  g_free (attempt->reason);
  g_free (attempt);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Attempt, attempt_free)

/* Returns (transfer full) (nullable): who still wants what this attempt brings */
static KpInhibitor *
attempt_get_taker (Attempt *attempt)
{
  KpInhibitor *self = g_weak_ref_get (&attempt->inhibitor);

  if (self != NULL && self->generation != attempt->generation)
    g_clear_object (&self);
  return self;
}

static void
closed_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply == NULL)
    g_info ("The computer may not suspend after the transfer: %s", error->message);
}

/* Waits for the answer, as nobody else may hold the connection until the call is out. */
static void
close_handle (GDBusConnection *bus, const char *handle)
{
  g_dbus_connection_call (bus, KP_PORTAL_NAME, handle, KP_PORTAL_REQUEST, "Close", NULL, NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, closed_cb, NULL);
}

static void
release (KpInhibitor *self)
{
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  if (self->handle != NULL)
    close_handle (self->bus, self->handle);
  g_clear_pointer (&self->handle, g_free);
  g_clear_object (&self->bus);
}

/* --- logind ---------------------------------------------------------------------------------- */

static void
locked_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (Attempt) attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish (
      G_DBUS_CONNECTION (source), &fds, result, &error);
  int index;
  int fd = -1;

  if (reply != NULL && fds != NULL)
    {
      g_variant_get (reply, "(h)", &index);
      fd = g_unix_fd_list_get (fds, index, &error);
    }
  if (fd < 0)
    {
      g_info ("The computer may suspend during the transfer: %s",
              error != NULL ? error->message : "logind sent no lock");
      return;
    }

  g_autoptr (KpInhibitor) self = attempt_get_taker (attempt);
  if (self == NULL)
    close (fd);
  else
    self->fd = fd;
}

static void
system_bus_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (Attempt) attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = g_bus_get_finish (result, &error);
  g_autoptr (KpInhibitor) self = attempt_get_taker (attempt);

  if (bus == NULL)
    g_info ("The computer may suspend during the transfer: %s", error->message);
  if (bus == NULL || self == NULL)
    return;
  /* One can go on without the system's bus. */
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  g_dbus_connection_call_with_unix_fd_list (
      bus, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit",
      g_variant_new ("(ssss)", "sleep", "Keepsake", attempt->reason, "block"),
      G_VARIANT_TYPE ("(h)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, locked_cb, attempt);
  g_steal_pointer (&attempt);
}

/* --- the portal ------------------------------------------------------------------------------ */

static void
handle_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  GDBusConnection *bus = G_DBUS_CONNECTION (source);
  g_autoptr (Attempt) attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (bus, result, &error);
  const char *handle;

  if (reply == NULL)
    {
      g_info ("The computer may suspend during the transfer: %s", error->message);
      return;
    }
  g_variant_get (reply, "(&o)", &handle);

  g_autoptr (KpInhibitor) self = attempt_get_taker (attempt);
  if (self == NULL)
    {
      close_handle (bus, handle);
      return;
    }
  self->bus = g_object_ref (bus);
  self->handle = g_strdup (handle);
}

static void
session_bus_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (Attempt) attempt = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = g_bus_get_finish (result, &error);
  g_autoptr (KpInhibitor) self = attempt_get_taker (attempt);
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  if (bus == NULL)
    g_info ("The computer may suspend during the transfer: %s", error->message);
  if (bus == NULL || self == NULL)
    return;
  g_variant_dict_insert (&options, "reason", "s", attempt->reason);
  g_dbus_connection_call (
      bus, KP_PORTAL_NAME, KP_PORTAL_PATH, PORTAL_INTERFACE, "Inhibit",
      g_variant_new ("(su@a{sv})", "", PORTAL_SUSPEND, g_variant_dict_end (&options)),
      G_VARIANT_TYPE ("(o)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, handle_cb, attempt);
  g_steal_pointer (&attempt);
}

/* --- the object ------------------------------------------------------------------------------ */

static void
kp_inhibitor_finalize (GObject *object)
{
  release (KP_INHIBITOR (object));
  G_OBJECT_CLASS (kp_inhibitor_parent_class)->finalize (object);
}

static void
kp_inhibitor_class_init (KpInhibitorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_inhibitor_finalize;
}

static void
kp_inhibitor_init (KpInhibitor *self)
{
  self->fd = -1;
}

/**
 * kp_inhibitor_new:
 *
 * Returns: (transfer full): an inhibitor that is not active; what it holds it releases at its end
 */
KpInhibitor *
kp_inhibitor_new (void)
{
  return g_object_new (KP_TYPE_INHIBITOR, NULL);
}

/**
 * kp_inhibitor_set:
 * @active: whether the computer is to stay awake
 * @reason: (nullable): a sentence for people, when @active
 *
 * Returns at once; the lock comes a little later. That it is set again is no error, and the reason
 * stays what it was.
 */
void
kp_inhibitor_set (KpInhibitor *self, gboolean active, const char *reason)
{
  g_return_if_fail (KP_IS_INHIBITOR (self));
  g_return_if_fail (!active || reason != NULL);

  if (!active == !self->is_active)
    return;
  self->is_active = active;
  self->generation++;
  if (!active)
    {
      release (self);
      return;
    }

  Attempt *attempt = g_new0 (Attempt, 1);
  g_weak_ref_init (&attempt->inhibitor, self);
  attempt->generation = self->generation;
  attempt->reason = g_strdup (reason);
  if (kp_portal_is_needed ())
    g_bus_get (G_BUS_TYPE_SESSION, NULL, session_bus_cb, attempt);
  else
    g_bus_get (G_BUS_TYPE_SYSTEM, NULL, system_bus_cb, attempt);
}

/**
 * kp_inhibitor_is_held:
 *
 * Returns: whether there is a lock now
 */
gboolean
kp_inhibitor_is_held (KpInhibitor *self)
{
  g_return_val_if_fail (KP_IS_INHIBITOR (self), FALSE);

  return self->fd >= 0 || self->handle != NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-notifier.h"

#include "config.h"

#include "kp-portal.h"

#include <glib/gi18n.h>

#define SERVER_NAME "org.freedesktop.Notifications"
#define SERVER_PATH "/org/freedesktop/Notifications"
#define SERVER_INTERFACE "org.freedesktop.Notifications"

#define PORTAL_INTERFACE "org.freedesktop.portal.Notification"

/* The shortest time between two that go out, in microseconds. */
#define INTERVAL G_TIME_SPAN_SECOND

/* Why a server closed one (Desktop Notifications Specification, NotificationClosed). */
#define REASON_DISMISSED 2

/* When a server is to close one (the same, Notify), in milliseconds. */
#define EXPIRE_BY_SERVER (-1)
#define EXPIRE_NEVER 0

/* How it stands with what the server can do. */
typedef enum
{
  SERVER_UNKNOWN,
  SERVER_ASKED,
  SERVER_KNOWN,
  SERVER_ABSENT, /* was asked and is not there */
} ServerState;

/* What to show; a KpNotification of our own. */
typedef struct
{
  char *title;
  char *body;
  KpNotificationUrgency urgency;
  int percent;
  char **buttons;
} Content;

/* What there is under one id. */
typedef struct
{
  KpNotifier *notifier; /* (unowned) */
  char *id;
  Content *pending;      /* (nullable): to go out next; then the entry is in the queue */
  Content *shown;        /* (nullable): what went out last */
  guint32 server_id;     /* 0 when the server shows nothing */
  gboolean is_busy;      /* its call is under way */
  gboolean is_withdrawn; /* while it was; to be closed when the call returns */
  gboolean is_dismissed; /* the user closed it while it showed progress */
} Entry;

struct _KpNotifier
{
  GObject parent_instance;

  GDBusConnection *bus;
  gboolean use_portal;
  GCancellable *cancellable;
  guint watch;            /* of the server's name */
  guint subscriptions[3]; /* to signals */

  ServerState server;
  gboolean has_actions;
  gboolean has_markup;

  GHashTable *entries; /* (element-type utf8 Entry): by id */
  GQueue queue;        /* (element-type Entry) (unowned): those with something pending */
  gint64 last_sent;    /* monotonic; 0 for never */
  guint timer;         /* runs while something waits for its second */
  char *activation_token;
};

enum
{
  SIGNAL_ACTION,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpNotifier, kp_notifier, G_TYPE_OBJECT)

static void
content_free (Content *content)
{
  g_free (content->title);
  g_free (content->body);
  g_strfreev (content->buttons);
  g_free (content);
}

static Content *
content_new (const KpNotification *notification)
{
  Content *content = g_new0 (Content, 1);

  /* The names of files get here, which are any bytes. */
  content->title = g_utf8_make_valid (notification->title, -1);
  content->body = g_utf8_make_valid (notification->body != NULL ? notification->body : "", -1);
  content->urgency = notification->urgency;
  content->percent = notification->percent;
  content->buttons = g_strdupv ((char **) notification->buttons);
  return content;
}

static void
entry_free (void *data)
{
  Entry *entry = data;

  g_clear_pointer (&entry->pending, content_free);
  g_clear_pointer (&entry->shown, content_free);
  g_free (entry->id);
  g_free (entry);
}

static void
drop_pending (KpNotifier *self, Entry *entry)
{
  g_queue_remove (&self->queue, entry);
  g_clear_pointer (&entry->pending, content_free);
}

/* Calls that tell something and whose answer changes nothing. */
static void
call_and_forget (KpNotifier *self, const char *method, GVariant *parameters)
{
  if (self->use_portal)
    g_dbus_connection_call (self->bus, KP_PORTAL_NAME, KP_PORTAL_PATH, PORTAL_INTERFACE, method,
                            parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  else
    g_dbus_connection_call (self->bus, SERVER_NAME, SERVER_PATH, SERVER_INTERFACE, method,
                            parameters, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL,
                            NULL);
}

/* --- sending to the server ------------------------------------------------------------------- */

static void send_pending (KpNotifier *self);

static const char *
get_category (const Content *content)
{
  if (content->percent >= 0)
    return "transfer";
  return content->urgency == KP_NOTIFICATION_CRITICAL ? "transfer.error" : "transfer.complete";
}

static GVariant *
get_hints (const Content *content)
{
  GVariantDict hints = G_VARIANT_DICT_INIT (NULL);
  gboolean is_progress = content->percent >= 0;

  g_variant_dict_insert (&hints, "urgency", "y", (guint8) content->urgency);
  g_variant_dict_insert (&hints, "desktop-entry", "s", KP_APPLICATION_ID);
  g_variant_dict_insert (&hints, "category", "s", get_category (content));
  if (is_progress)
    {
      g_variant_dict_insert (&hints, "value", "i", MIN (content->percent, 100));
      /* A button must not take it away while the transfer goes on. */
      g_variant_dict_insert (&hints, "resident", "b", TRUE);
    }
  if (content->urgency == KP_NOTIFICATION_LOW)
    {
      g_variant_dict_insert (&hints, "suppress-sound", "b", TRUE);
      g_variant_dict_insert (&hints, "transient", "b", !is_progress);
    }
  return g_variant_dict_end (&hints);
}

static GVariant *
get_actions (KpNotifier *self, const Content *content)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);

  if (self->has_actions)
    {
      g_variant_builder_add (&builder, "s", "default");
      g_variant_builder_add (&builder, "s", _ ("Open Keepsake"));
      for (gsize i = 0; content->buttons != NULL && content->buttons[i] != NULL; i++)
        g_variant_builder_add (&builder, "s", content->buttons[i]);
    }
  return g_variant_builder_end (&builder);
}

/* The owner's entry after its call has returned, or NULL if there is no owner any more: then
 * @result is cancelled, and @entry is gone. */
static Entry *
end_call (GObject *source, GAsyncResult *result, Entry *entry, guint32 *server_id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return NULL;
  if (reply == NULL)
    g_info ("A notification was not shown: %s", error->message);
  *server_id = 0;
  if (reply != NULL && g_variant_is_of_type (reply, G_VARIANT_TYPE ("(u)")))
    g_variant_get (reply, "(u)", server_id);
  entry->is_busy = FALSE;
  return entry;
}

static void
take_away (KpNotifier *self, Entry *entry)
{
  if (entry->server_id != 0)
    call_and_forget (self, "CloseNotification", g_variant_new ("(u)", entry->server_id));
  if (self->use_portal && entry->shown != NULL)
    call_and_forget (self, "RemoveNotification", g_variant_new ("(s)", entry->id));
}

static void
notified_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  guint32 server_id;
  Entry *entry = end_call (source, result, user_data, &server_id);

  if (entry == NULL)
    return;

  KpNotifier *self = entry->notifier;
  entry->server_id = server_id;
  if (entry->is_withdrawn)
    {
      take_away (self, entry);
      entry->server_id = 0;
      entry->is_withdrawn = FALSE;
      g_clear_pointer (&entry->shown, content_free);
      if (entry->pending == NULL)
        g_hash_table_remove (self->entries, entry->id);
    }
  send_pending (self);
}

static void
send_to_server (KpNotifier *self, Entry *entry)
{
  const Content *content = entry->shown;
  g_autofree char *body
      = self->has_markup ? g_markup_escape_text (content->body, -1) : g_strdup (content->body);
  gboolean stays = content->urgency == KP_NOTIFICATION_CRITICAL || content->percent >= 0;

  entry->is_busy = TRUE;
  g_dbus_connection_call (
      self->bus, SERVER_NAME, SERVER_PATH, SERVER_INTERFACE, "Notify",
      g_variant_new ("(susss@as@a{sv}i)", "Keepsake", entry->server_id, KP_APPLICATION_ID,
                     content->title, body, get_actions (self, content), get_hints (content),
                     stays ? EXPIRE_NEVER : EXPIRE_BY_SERVER),
      G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, self->cancellable, notified_cb, entry);
}

/* --- sending to the portal ------------------------------------------------------------------- */

static const char *
get_priority (KpNotificationUrgency urgency)
{
  switch (urgency)
    {
    case KP_NOTIFICATION_LOW:
      return "low";
    case KP_NOTIFICATION_CRITICAL:
      return "urgent";
    case KP_NOTIFICATION_NORMAL:
    default:
      return "normal";
    }
}

/* Only what the first version of the portal knows: what it does not know it refuses. The portal
 * works on each call in a thread of its own, so two for one id may overtake each other: the next
 * waits for the answer. */
static void
send_to_portal (KpNotifier *self, Entry *entry)
{
  const Content *content = entry->shown;
  g_auto (GVariantDict) notification = G_VARIANT_DICT_INIT (NULL);
  GVariantBuilder buttons = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));
  g_autoptr (GIcon) icon = g_themed_icon_new (KP_APPLICATION_ID);
  g_autoptr (GVariant) serialized_icon = g_icon_serialize (icon);

  for (gsize i = 0; content->buttons != NULL && content->buttons[i] != NULL; i += 2)
    {
      GVariantDict button = G_VARIANT_DICT_INIT (NULL);
      g_variant_dict_insert (&button, "action", "s", content->buttons[i]);
      g_variant_dict_insert (&button, "label", "s", content->buttons[i + 1]);
      g_variant_builder_add_value (&buttons, g_variant_dict_end (&button));
    }
  g_variant_dict_insert (&notification, "title", "s", content->title);
  g_variant_dict_insert (&notification, "body", "s", content->body);
  g_variant_dict_insert (&notification, "priority", "s", get_priority (content->urgency));
  g_variant_dict_insert (&notification, "default-action", "s", "default");
  g_variant_dict_insert_value (&notification, "icon", serialized_icon);
  g_variant_dict_insert_value (&notification, "buttons", g_variant_builder_end (&buttons));
  entry->is_busy = TRUE;
  g_dbus_connection_call (
      self->bus, KP_PORTAL_NAME, KP_PORTAL_PATH, PORTAL_INTERFACE, "AddNotification",
      g_variant_new ("(s@a{sv})", entry->id, g_variant_dict_end (&notification)), NULL,
      G_DBUS_CALL_FLAGS_NONE, -1, self->cancellable, notified_cb, entry);
}

/* --- one a second ---------------------------------------------------------------------------- */

static gboolean
timer_cb (void *user_data)
{
  KpNotifier *self = user_data;

  self->timer = 0;
  send_pending (self);
  return G_SOURCE_REMOVE;
}

static Entry *
find_ready (KpNotifier *self)
{
  for (GList *link = self->queue.head; link != NULL; link = link->next)
    if (!((Entry *) link->data)->is_busy)
      return link->data;
  return NULL;
}

static gboolean
has_capability (const char *const *capabilities, const char *name)
{
  return g_strv_contains (capabilities, name);
}

/* What comes and goes is not worth showing later; what should stay waits for a server. */
static void
give_up (KpNotifier *self)
{
  g_autoptr (GList) waiting = g_list_copy (self->queue.head);

  self->server = SERVER_ABSENT;
  for (GList *link = waiting; link != NULL; link = link->next)
    {
      Entry *entry = link->data;
      if (entry->pending->urgency != KP_NOTIFICATION_CRITICAL)
        drop_pending (self, entry);
    }
}

static void
capabilities_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  g_autofree const char **capabilities = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;

  KpNotifier *self = user_data;
  if (reply == NULL)
    {
      g_debug ("There is nobody to show notifications: %s", error->message);
      give_up (self);
      return;
    }
  g_variant_get (reply, "(^a&s)", &capabilities);
  self->has_actions = has_capability (capabilities, "actions");
  self->has_markup = has_capability (capabilities, "body-markup");
  self->server = SERVER_KNOWN;
  send_pending (self);
}

/* Whether one may send now; else, when that changes, send_pending() is called again. */
static gboolean
is_server_ready (KpNotifier *self)
{
  if (self->use_portal || self->server == SERVER_KNOWN)
    return TRUE;
  if (self->server == SERVER_UNKNOWN)
    {
      self->server = SERVER_ASKED;
      g_dbus_connection_call (self->bus, SERVER_NAME, SERVER_PATH, SERVER_INTERFACE,
                              "GetCapabilities", NULL, G_VARIANT_TYPE ("(as)"),
                              G_DBUS_CALL_FLAGS_NONE, -1, self->cancellable, capabilities_cb, self);
    }
  return FALSE;
}

/* Sends what has waited longest, and sees to it that the rest follows. */
static void
send_pending (KpNotifier *self)
{
  Entry *entry = find_ready (self);

  if (entry == NULL || self->timer != 0 || !is_server_ready (self))
    return;

  gint64 wait = self->last_sent + INTERVAL - g_get_monotonic_time ();
  if (self->last_sent == 0 || wait <= 0)
    {
      g_queue_remove (&self->queue, entry);
      g_clear_pointer (&entry->shown, content_free);
      entry->shown = g_steal_pointer (&entry->pending);
      self->last_sent = g_get_monotonic_time ();
      if (self->use_portal)
        send_to_portal (self, entry);
      else
        send_to_server (self, entry);
      if (find_ready (self) == NULL)
        return;
      wait = INTERVAL;
    }
  self->timer = g_timeout_add ((guint) (wait / 1000 + 1), timer_cb, self);
}

/* --- what the server says -------------------------------------------------------------------- */

static Entry *
find_by_server_id (KpNotifier *self, guint32 server_id)
{
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->entries);
  while (server_id != 0 && g_hash_table_iter_next (&iter, NULL, &value))
    if (((Entry *) value)->server_id == server_id)
      return value;
  return NULL;
}

static void
handle_closed (KpNotifier *self, GVariant *parameters)
{
  guint32 server_id, reason;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(uu)")))
    return;
  g_variant_get (parameters, "(uu)", &server_id, &reason);

  Entry *entry = find_by_server_id (self, server_id);
  if (entry == NULL)
    return;
  entry->server_id = 0;
  if (reason == REASON_DISMISSED && entry->shown != NULL && entry->shown->percent >= 0)
    {
      entry->is_dismissed = TRUE;
      if (entry->pending != NULL && entry->pending->percent >= 0)
        drop_pending (self, entry);
    }
}

static void
handle_action (KpNotifier *self, GVariant *parameters)
{
  guint32 server_id;
  const char *action;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(us)")))
    return;
  g_variant_get (parameters, "(u&s)", &server_id, &action);

  const Entry *entry = find_by_server_id (self, server_id);
  if (entry == NULL)
    return;
  /* Who listens may withdraw it. */
  g_autofree char *id = g_strdup (entry->id);
  g_signal_emit (self, signals[SIGNAL_ACTION], 0, id, action);
}

/* Comes before the action. */
static void
handle_token (KpNotifier *self, GVariant *parameters)
{
  guint32 server_id;
  const char *token;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(us)")))
    return;
  g_variant_get (parameters, "(u&s)", &server_id, &token);
  if (find_by_server_id (self, server_id) == NULL)
    return;
  g_free (self->activation_token);
  self->activation_token = g_strdup (token);
}

static void
server_signal_cb (GDBusConnection *bus,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *signal,
                  GVariant *parameters,
                  void *user_data)
{
  g_autoptr (KpNotifier) self = g_object_ref (user_data);

  if (g_str_equal (signal, "NotificationClosed"))
    handle_closed (self, parameters);
  else if (g_str_equal (signal, "ActionInvoked"))
    handle_action (self, parameters);
  else if (g_str_equal (signal, "ActivationToken"))
    handle_token (self, parameters);
}

static void
portal_action_cb (GDBusConnection *bus,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *signal,
                  GVariant *parameters,
                  void *user_data)
{
  g_autoptr (KpNotifier) self = g_object_ref (user_data);
  const char *id, *action;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(ssav)")))
    return;
  g_variant_get_child (parameters, 0, "&s", &id);
  g_variant_get_child (parameters, 1, "&s", &action);
  /* It may be one that another process of ours has left: the portal keeps them. */
  g_signal_emit (self, signals[SIGNAL_ACTION], 0, id, action);
}

static void
server_appeared_cb (GDBusConnection *bus, const char *name, const char *owner, void *user_data)
{
  KpNotifier *self = user_data;

  if (self->server == SERVER_ABSENT)
    self->server = SERVER_UNKNOWN;
  send_pending (self);
}

/* A server that is started anew counts from the beginning and shows nothing of before. */
static void
server_vanished_cb (GDBusConnection *bus, const char *name, void *user_data)
{
  KpNotifier *self = user_data;
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Entry *entry = value;
      entry->server_id = 0;
      entry->is_dismissed = FALSE;
    }
  if (self->server == SERVER_KNOWN)
    self->server = SERVER_UNKNOWN;
}

/* --- the object ------------------------------------------------------------------------------ */

static void
kp_notifier_dispose (GObject *object)
{
  KpNotifier *self = KP_NOTIFIER (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_handle_id (&self->watch, g_bus_unwatch_name);
  g_clear_handle_id (&self->timer, g_source_remove);
  for (gsize i = 0; i < G_N_ELEMENTS (self->subscriptions); i++)
    if (self->subscriptions[i] != 0)
      {
        g_dbus_connection_signal_unsubscribe (self->bus, self->subscriptions[i]);
        self->subscriptions[i] = 0;
      }
  G_OBJECT_CLASS (kp_notifier_parent_class)->dispose (object);
}

static void
kp_notifier_finalize (GObject *object)
{
  KpNotifier *self = KP_NOTIFIER (object);

  g_queue_clear (&self->queue);
  g_hash_table_unref (self->entries);
  g_free (self->activation_token);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->bus);
  G_OBJECT_CLASS (kp_notifier_parent_class)->finalize (object);
}

static void
kp_notifier_class_init (KpNotifierClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = kp_notifier_dispose;
  object_class->finalize = kp_notifier_finalize;

  signals[SIGNAL_ACTION] = g_signal_new ("action", KP_TYPE_NOTIFIER, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static void
kp_notifier_init (KpNotifier *self)
{
  self->cancellable = g_cancellable_new ();
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  g_queue_init (&self->queue);
}

static void
subscribe_to_server (KpNotifier *self)
{
  static const char *const names[] = { "NotificationClosed", "ActionInvoked", "ActivationToken" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    self->subscriptions[i] = g_dbus_connection_signal_subscribe (
        self->bus, SERVER_NAME, SERVER_INTERFACE, names[i], SERVER_PATH, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, server_signal_cb, self, NULL);
  self->watch
      = g_bus_watch_name_on_connection (self->bus, SERVER_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                        server_appeared_cb, server_vanished_cb, self, NULL);
}

/**
 * kp_notifier_new:
 * @bus: the session bus
 *
 * Returns: (transfer full): a notifier. What it shows stays when it ends, as far as the desktop
 *   keeps what belongs to nobody.
 */
KpNotifier *
kp_notifier_new (GDBusConnection *bus)
{
  KpNotifier *self = g_object_new (KP_TYPE_NOTIFIER, NULL);

  self->bus = g_object_ref (bus);
  self->use_portal = kp_portal_is_needed ();
  if (self->use_portal)
    self->subscriptions[0] = g_dbus_connection_signal_subscribe (
        bus, KP_PORTAL_NAME, PORTAL_INTERFACE, "ActionInvoked", KP_PORTAL_PATH, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, portal_action_cb, self, NULL);
  else
    subscribe_to_server (self);
  return self;
}

/* Whether there is no point in showing @notification, as the one who would see it does not want to
 * or sees no difference. */
static gboolean
is_in_vain (KpNotifier *self, Entry *entry, const KpNotification *notification)
{
  if (notification->percent < 0)
    return FALSE;
  if (entry->is_dismissed)
    return TRUE;
  /* The portal has nothing to show progress with. */
  const Content *last = entry->pending != NULL ? entry->pending : entry->shown;
  return self->use_portal && last != NULL && last->percent >= 0
         && g_str_equal (last->title, notification->title);
}

/**
 * kp_notifier_show:
 * @id: what it is called in "action" and kp_notifier_withdraw(); what was shown under it before is
 *   replaced
 * @notification: what to show; copied
 *
 * Returns at once. What was to be shown under @id and did not get out in its second never will.
 */
void
kp_notifier_show (KpNotifier *self, const char *id, const KpNotification *notification)
{
  g_return_if_fail (KP_IS_NOTIFIER (self));
  g_return_if_fail (id != NULL && notification != NULL && notification->title != NULL);

  Entry *entry = g_hash_table_lookup (self->entries, id);
  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      entry->notifier = self;
      entry->id = g_strdup (id);
      g_hash_table_insert (self->entries, entry->id, entry);
    }
  if (is_in_vain (self, entry, notification))
    return;

  entry->is_dismissed = FALSE;
  if (entry->pending == NULL)
    g_queue_push_tail (&self->queue, entry);
  g_clear_pointer (&entry->pending, content_free);
  entry->pending = content_new (notification);
  if (self->server == SERVER_ABSENT)
    self->server = SERVER_UNKNOWN;
  send_pending (self);
}

/**
 * kp_notifier_withdraw:
 * @id: as in kp_notifier_show(); one that is not there is no error
 *
 * Takes away what is shown under @id, and what was going to be.
 */
void
kp_notifier_withdraw (KpNotifier *self, const char *id)
{
  g_return_if_fail (KP_IS_NOTIFIER (self));

  Entry *entry = g_hash_table_lookup (self->entries, id);
  if (entry == NULL)
    {
      /* The same here. */
      if (self->use_portal)
        call_and_forget (self, "RemoveNotification", g_variant_new ("(s)", id));
      return;
    }
  drop_pending (self, entry);
  if (entry->is_busy)
    {
      entry->is_withdrawn = TRUE;
      entry->is_dismissed = FALSE;
      return;
    }
  take_away (self, entry);
  g_hash_table_remove (self->entries, id);
}

/**
 * kp_notifier_take_activation_token:
 *
 * Returns: (transfer full) (nullable): what a window needs to get the focus on Wayland, if the
 *   server gave it before the signal "action". It is good for one time.
 */
char *
kp_notifier_take_activation_token (KpNotifier *self)
{
  g_return_val_if_fail (KP_IS_NOTIFIER (self), NULL);

  return g_steal_pointer (&self->activation_token);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-tray-menu.h"

#include "config.h"

#include "kp-tray-private.h"

#include <glib/gi18n.h>

#define INTERFACE "com.canonical.dbusmenu"
#define PROTOCOL_VERSION 3

/* The id of the menu itself; it is no entry. */
#define ROOT_ID 0

#define SEPARATOR "separator"

typedef struct
{
  int id;
  char *action; /* SEPARATOR for a separator */
  char *target; /* or NULL */
  char *label;
  gboolean is_enabled;
} Item;

struct _KpTrayMenu
{
  GObject parent_instance;

  GDBusConnection *bus;
  char *path;
  guint registration;
  gboolean is_notice;
  GPtrArray *items; /* (element-type Item): what the bus sees */
  GPtrArray *next;  /* (element-type Item) (nullable): between begin and end */
  GHashTable *ids;  /* (element-type utf8 int): of every action with target there ever was */
  guint32 revision;
};

enum
{
  SIGNAL_ACTIVATED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpTrayMenu, kp_tray_menu, G_TYPE_OBJECT)

static void
item_free (void *data)
{
  Item *item = data;

  g_free (item->action);
  g_free (item->target);
  g_free (item->label);
  g_free (item);
}

static gboolean
is_separator (const Item *item)
{
  return g_str_equal (item->action, SEPARATOR);
}

static Item *
find_item (KpTrayMenu *self, int id)
{
  for (guint i = 0; i < self->items->len; i++)
    {
      Item *item = self->items->pdata[i];
      if (item->id == id)
        return item;
    }
  return NULL;
}

static gboolean
knows (KpTrayMenu *self, int id)
{
  return id == ROOT_ID || find_item (self, id) != NULL;
}

/* --- properties of entries ------------------------------------------------------------------- */

/* Those that are not what they are by default, and among @names if there are any.
 * @item: (nullable): %NULL for the menu itself */
static GVariant *
get_properties (const Item *item, const char *const *names)
{
  GVariantDict all = G_VARIANT_DICT_INIT (NULL);

  if (item == NULL)
    g_variant_dict_insert (&all, "children-display", "s", "submenu");
  else if (is_separator (item))
    g_variant_dict_insert (&all, "type", "s", SEPARATOR);
  else
    {
      g_variant_dict_insert (&all, "label", "s", item->label);
      if (!item->is_enabled)
        g_variant_dict_insert (&all, "enabled", "b", FALSE);
    }

  g_autoptr (GVariant) properties = g_variant_ref_sink (g_variant_dict_end (&all));
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, properties);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value))
    if (names == NULL || *names == NULL || g_strv_contains (names, name))
      g_variant_builder_add (&builder, "{sv}", name, value);
  return g_variant_builder_end (&builder);
}

/* Returns (transfer floating) (nullable): what @name is where an entry does not say it */
static GVariant *
get_default (const char *name)
{
  if (g_str_equal (name, "type"))
    return g_variant_new_string ("standard");
  if (g_str_equal (name, "enabled") || g_str_equal (name, "visible"))
    return g_variant_new_boolean (TRUE);
  if (g_str_equal (name, "toggle-state"))
    return g_variant_new_int32 (-1);
  if (g_str_equal (name, "label") || g_str_equal (name, "icon-name")
      || g_str_equal (name, "toggle-type") || g_str_equal (name, "children-display"))
    return g_variant_new_string ("");
  return NULL;
}

static GVariant *
get_layout (KpTrayMenu *self, int id, int depth, const char *const *names)
{
  const Item *item = id == ROOT_ID ? NULL : find_item (self, id);
  GVariantBuilder children = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));

  if (id == ROOT_ID && depth != 0)
    for (guint i = 0; i < self->items->len; i++)
      {
        const Item *child = self->items->pdata[i];
        g_variant_builder_add (&children, "v", get_layout (self, child->id, 0, names));
      }
  return g_variant_new ("(i@a{sv}@av)", id, get_properties (item, names),
                        g_variant_builder_end (&children));
}

/* --- methods --------------------------------------------------------------------------------- */

static void
return_unknown (GDBusMethodInvocation *invocation, int id)
{
  g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                         "The menu has no entry %d", id);
}

static void
handle_get_layout (KpTrayMenu *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
  g_autofree const char **names = NULL;
  int id, depth;

  g_variant_get (parameters, "(ii^a&s)", &id, &depth, &names);
  if (knows (self, id))
    g_dbus_method_invocation_return_value (
        invocation,
        g_variant_new ("(u@(ia{sv}av))", self->revision, get_layout (self, id, depth, names)));
  else
    return_unknown (invocation, id);
}

static void
handle_get_group_properties (KpTrayMenu *self,
                             GVariant *parameters,
                             GDBusMethodInvocation *invocation)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(ia{sv})"));
  g_autoptr (GVariantIter) iter = NULL;
  g_autofree const char **names = NULL;
  gboolean all, found;
  int id = 0;

  g_variant_get (parameters, "(ai^a&s)", &iter, &names);
  all = found = g_variant_iter_n_children (iter) == 0;
  if (all)
    g_variant_builder_add (&builder, "(i@a{sv})", ROOT_ID, get_properties (NULL, names));
  for (guint i = 0; all && i < self->items->len; i++)
    {
      const Item *item = self->items->pdata[i];
      g_variant_builder_add (&builder, "(i@a{sv})", item->id, get_properties (item, names));
    }
  while (g_variant_iter_next (iter, "i", &id))
    if (knows (self, id))
      {
        found = TRUE;
        g_variant_builder_add (&builder, "(i@a{sv})", id,
                               get_properties (find_item (self, id), names));
      }

  g_autoptr (GVariant) reply
      = g_variant_ref_sink (g_variant_new ("(@a(ia{sv}))", g_variant_builder_end (&builder)));
  if (found)
    g_dbus_method_invocation_return_value (invocation, reply);
  else
    return_unknown (invocation, id);
}

static void
handle_get_property (KpTrayMenu *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
  const char *name;
  int id;

  g_variant_get (parameters, "(i&s)", &id, &name);
  if (!knows (self, id))
    {
      return_unknown (invocation, id);
      return;
    }

  g_autoptr (GVariant) properties
      = g_variant_ref_sink (get_properties (find_item (self, id), NULL));
  g_autoptr (GVariant) value = g_variant_lookup_value (properties, name, NULL);
  if (value == NULL)
    {
      value = get_default (name);
      if (value != NULL)
        g_variant_ref_sink (value);
    }
  if (value != NULL)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(v)", value));
  else
    g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                           "Entries have no property “%s”", name);
}

static void
emit_activated (KpTrayMenu *self, int id, const char *event)
{
  const Item *item = find_item (self, id);

  if (!g_str_equal (event, "clicked") || item == NULL || is_separator (item) || !item->is_enabled)
    return;

  /* Who listens may fill the menu anew. */
  g_autofree char *action = g_strdup (item->action);
  g_autofree char *target = g_strdup (item->target);
  g_signal_emit (self, signals[SIGNAL_ACTIVATED], 0, action, target);
}

static void
handle_event (KpTrayMenu *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
  g_autofree char *event = NULL;
  int id;

  g_variant_get (parameters, "(isvu)", &id, &event, NULL, NULL);
  if (!knows (self, id))
    {
      return_unknown (invocation, id);
      return;
    }
  /* The answer first: who quits does not come back to give it. */
  g_dbus_method_invocation_return_value (invocation, NULL);
  emit_activated (self, id, event);
}

static void
handle_event_group (KpTrayMenu *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
  GVariantBuilder unknown = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("ai"));
  g_autoptr (GVariant) events = g_variant_get_child_value (parameters, 0);
  gboolean found = g_variant_n_children (events) == 0;
  GVariantIter iter;
  const char *event;
  int id = 0;

  g_variant_iter_init (&iter, events);
  while (g_variant_iter_next (&iter, "(i&svu)", &id, &event, NULL, NULL))
    if (knows (self, id))
      found = TRUE;
    else
      g_variant_builder_add (&unknown, "i", id);

  g_autoptr (GVariant) reply
      = g_variant_ref_sink (g_variant_new ("(@ai)", g_variant_builder_end (&unknown)));
  if (!found)
    {
      return_unknown (invocation, id);
      return;
    }
  g_dbus_method_invocation_return_value (invocation, reply);
  g_variant_iter_init (&iter, events);
  while (g_variant_iter_next (&iter, "(i&svu)", &id, &event, NULL, NULL))
    emit_activated (self, id, event);
}

/* The menu is always as it should be, so that nothing has to be done when it is about to show. */
static void
handle_about_to_show (KpTrayMenu *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
  int id;

  g_variant_get (parameters, "(i)", &id);
  if (knows (self, id))
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(b)", FALSE));
  else
    return_unknown (invocation, id);
}

static void
handle_about_to_show_group (KpTrayMenu *self,
                            GVariant *parameters,
                            GDBusMethodInvocation *invocation)
{
  GVariantBuilder unknown = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("ai"));
  g_autoptr (GVariantIter) iter = NULL;
  gboolean found;
  int id = 0;

  g_variant_get (parameters, "(ai)", &iter);
  found = g_variant_iter_n_children (iter) == 0;
  while (g_variant_iter_next (iter, "i", &id))
    if (knows (self, id))
      found = TRUE;
    else
      g_variant_builder_add (&unknown, "i", id);

  g_autoptr (GVariant) reply = g_variant_ref_sink (
      g_variant_new ("(@ai@ai)", g_variant_new_array (G_VARIANT_TYPE_INT32, NULL, 0),
                     g_variant_builder_end (&unknown)));
  if (found)
    g_dbus_method_invocation_return_value (invocation, reply);
  else
    return_unknown (invocation, id);
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
  static const struct
  {
    const char *name;
    void (*handle) (KpTrayMenu *, GVariant *, GDBusMethodInvocation *);
  } methods[] = {
    { "GetLayout", handle_get_layout },
    { "GetGroupProperties", handle_get_group_properties },
    { "GetProperty", handle_get_property },
    { "Event", handle_event },
    { "EventGroup", handle_event_group },
    { "AboutToShow", handle_about_to_show },
    { "AboutToShowGroup", handle_about_to_show_group },
  };
  g_autoptr (KpTrayMenu) self = g_object_ref (user_data);

  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    if (g_str_equal (method, methods[i].name))
      {
        methods[i].handle (self, parameters, invocation);
        return;
      }
  g_assert_not_reached (); /* GDBus lets nothing pass that is not in the interface */
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
  KpTrayMenu *self = user_data;

  if (g_str_equal (property, "Version"))
    return g_variant_new_uint32 (PROTOCOL_VERSION);
  if (g_str_equal (property, "Status"))
    return g_variant_new_string (self->is_notice ? "notice" : "normal");
  if (g_str_equal (property, "TextDirection"))
    {
      /* Translators: the direction of your script: "ltr" from left to right, or "rtl" */
      gboolean is_rtl = g_str_equal (C_ ("text direction", "ltr"), "rtl");
      return g_variant_new_string (is_rtl ? "rtl" : "ltr");
    }
  g_assert (g_str_equal (property, "IconThemePath"));
  return g_variant_new_strv (NULL, 0);
}

/* --- the object ------------------------------------------------------------------------------ */

static void
emit (KpTrayMenu *self, const char *interface, const char *signal, GVariant *parameters)
{
  /* Fails only when the connection is closed, and then nobody can hear it. */
  g_dbus_connection_emit_signal (self->bus, NULL, self->path, interface, signal, parameters, NULL);
}

static void
kp_tray_menu_dispose (GObject *object)
{
  KpTrayMenu *self = KP_TRAY_MENU (object);

  if (self->registration != 0)
    g_dbus_connection_unregister_object (self->bus, self->registration);
  self->registration = 0;
  G_OBJECT_CLASS (kp_tray_menu_parent_class)->dispose (object);
}

static void
kp_tray_menu_finalize (GObject *object)
{
  KpTrayMenu *self = KP_TRAY_MENU (object);

  g_clear_object (&self->bus);
  g_free (self->path);
  g_ptr_array_unref (self->items);
  g_clear_pointer (&self->next, g_ptr_array_unref);
  g_hash_table_unref (self->ids);
  G_OBJECT_CLASS (kp_tray_menu_parent_class)->finalize (object);
}

static void
kp_tray_menu_class_init (KpTrayMenuClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = kp_tray_menu_dispose;
  object_class->finalize = kp_tray_menu_finalize;

  signals[SIGNAL_ACTIVATED]
      = g_signal_new ("activated", KP_TYPE_TRAY_MENU, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                      G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static void
kp_tray_menu_init (KpTrayMenu *self)
{
  self->items = g_ptr_array_new_with_free_func (item_free);
  self->ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->revision = 1;
}

/**
 * kp_tray_menu_new:
 * @bus: the session bus
 * @path: of the object
 * @error: %G_IO_ERROR_EXISTS when there is such an object already
 *
 * Returns: (transfer full): an empty menu
 */
KpTrayMenu *
kp_tray_menu_new (GDBusConnection *bus, const char *path, GError **error)
{
  static const GDBusInterfaceVTable vtable = { method_cb, property_cb, NULL, { NULL } };
  g_autoptr (KpTrayMenu) self = g_object_new (KP_TYPE_TRAY_MENU, NULL);
  GDBusInterfaceInfo *info = kp_tray_interface (INTERFACE);

  self->bus = g_object_ref (bus);
  self->path = g_strdup (path);
  self->registration
      = g_dbus_connection_register_object (bus, path, info, &vtable, self, NULL, error);
  g_dbus_interface_info_unref (info);
  return self->registration != 0 ? g_steal_pointer (&self) : NULL;
}

/**
 * kp_tray_menu_set_notice:
 * @is_notice: whether the menu holds something that the user should look at
 */
void
kp_tray_menu_set_notice (KpTrayMenu *self, gboolean is_notice)
{
  g_return_if_fail (KP_IS_TRAY_MENU (self));

  if (!self->is_notice == !is_notice)
    return;
  self->is_notice = is_notice;

  GVariantDict changed = G_VARIANT_DICT_INIT (NULL);
  g_variant_dict_insert (&changed, "Status", "s", is_notice ? "notice" : "normal");
  emit (self, "org.freedesktop.DBus.Properties", "PropertiesChanged",
        g_variant_new ("(s@a{sv}as)", INTERFACE, g_variant_dict_end (&changed), NULL));
}

/**
 * kp_tray_menu_begin:
 *
 * From here to kp_tray_menu_end() the entries are added anew. The bus sees the old ones meanwhile.
 */
void
kp_tray_menu_begin (KpTrayMenu *self)
{
  g_return_if_fail (KP_IS_TRAY_MENU (self));

  g_clear_pointer (&self->next, g_ptr_array_unref);
  self->next = g_ptr_array_new_with_free_func (item_free);
}

/**
 * kp_tray_menu_add:
 * @action: what it does
 * @target: (nullable): what it does it to. No two entries have the same action and target.
 * @label: with underscores doubled, where they are none of a mnemonic
 * @is_enabled: whether it can be clicked
 */
void
kp_tray_menu_add (KpTrayMenu *self,
                  const char *action,
                  const char *target,
                  const char *label,
                  gboolean is_enabled)
{
  g_return_if_fail (KP_IS_TRAY_MENU (self));
  g_return_if_fail (self->next != NULL);

  g_autofree char *key = g_strjoin ("\n", action, target, NULL);
  void *id = g_hash_table_lookup (self->ids, key);
  Item *item = g_new0 (Item, 1);

  if (id == NULL)
    {
      id = GINT_TO_POINTER ((int) g_hash_table_size (self->ids) + 1);
      g_hash_table_insert (self->ids, g_steal_pointer (&key), id);
    }
  item->id = GPOINTER_TO_INT (id);
  item->action = g_strdup (action);
  item->target = g_strdup (target);
  item->label = g_strdup (label);
  item->is_enabled = is_enabled;
  g_ptr_array_add (self->next, item);
}

void
kp_tray_menu_add_separator (KpTrayMenu *self)
{
  g_return_if_fail (KP_IS_TRAY_MENU (self));
  g_return_if_fail (self->next != NULL);

  g_autofree char *number = g_strdup_printf ("%u", self->next->len);
  kp_tray_menu_add (self, SEPARATOR, number, "", TRUE);
}

/* Tells what is another in entries that are the same as before, one by one. */
static void
emit_properties (KpTrayMenu *self, GPtrArray *old)
{
  GVariantBuilder updated = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(ia{sv})"));
  GVariantBuilder removed = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(ias)"));
  static const char *const enabled[] = { "enabled", NULL };
  gboolean any = FALSE;

  for (guint i = 0; i < old->len; i++)
    {
      const Item *before = old->pdata[i];
      const Item *now = self->items->pdata[i];
      gboolean is_same = g_str_equal (before->label, now->label);

      if (is_same && !before->is_enabled == !now->is_enabled)
        continue;
      any = TRUE;
      if (!is_same || !now->is_enabled)
        g_variant_builder_add (&updated, "(i@a{sv})", now->id, get_properties (now, NULL));
      if (!before->is_enabled && now->is_enabled)
        g_variant_builder_add (&removed, "(i^as)", now->id, enabled);
    }

  g_autoptr (GVariant) parameters = g_variant_ref_sink (g_variant_new (
      "(@a(ia{sv})@a(ias))", g_variant_builder_end (&updated), g_variant_builder_end (&removed)));
  if (any)
    emit (self, INTERFACE, "ItemsPropertiesUpdated", parameters);
}

/**
 * kp_tray_menu_end:
 *
 * Now the bus sees the entries that were added, and hears what is different. A menu that is the
 * same as before is not told.
 */
void
kp_tray_menu_end (KpTrayMenu *self)
{
  g_return_if_fail (KP_IS_TRAY_MENU (self));
  g_return_if_fail (self->next != NULL);

  g_autoptr (GPtrArray) old = g_steal_pointer (&self->items);
  self->items = g_steal_pointer (&self->next);

  gboolean is_same = old->len == self->items->len;
  for (guint i = 0; is_same && i < old->len; i++)
    is_same = ((Item *) old->pdata[i])->id == ((Item *) self->items->pdata[i])->id;
  if (is_same)
    {
      emit_properties (self, old);
      return;
    }
  self->revision++;
  emit (self, INTERFACE, "LayoutUpdated", g_variant_new ("(ui)", self->revision, ROOT_ID));
}

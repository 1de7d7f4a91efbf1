/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-notifier.h"
#include "kp-portal.h"

#include "private-bus.h"

#define SERVER "org.freedesktop.Notifications"
#define SERVER_PATH "/org/freedesktop/Notifications"
#define PORTAL_INTERFACE "org.freedesktop.portal.Notification"

static const char server_xml[] = "<node><interface name='" SERVER "'>"
                                 "<method name='GetCapabilities'><arg type='as' direction='out'/>"
                                 "</method>"
                                 "<method name='Notify'>"
                                 "<arg type='s' direction='in'/><arg type='u' direction='in'/>"
                                 "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
                                 "<arg type='s' direction='in'/><arg type='as' direction='in'/>"
                                 "<arg type='a{sv}' direction='in'/><arg type='i' direction='in'/>"
                                 "<arg type='u' direction='out'/></method>"
                                 "<method name='CloseNotification'>"
                                 "<arg type='u' direction='in'/></method>"
                                 "</interface></node>";

static const char portal_xml[] = "<node><interface name='" PORTAL_INTERFACE "'>"
                                 "<method name='AddNotification'>"
                                 "<arg type='s' direction='in'/><arg type='a{sv}' direction='in'/>"
                                 "</method><method name='RemoveNotification'>"
                                 "<arg type='s' direction='in'/></method></interface></node>";

typedef struct
{
  PrivateBus bus;
  KpNotifier *notifier;
  const char *const *capabilities;
  GPtrArray *shown;   /* (element-type GVariant): parameters of each Notify, AddNotification */
  GString *closed;    /* what was to be closed, each with a space */
  GString *actions;   /* the signals of the notifier, each with a space */
  guint32 next_id;    /* of the server */
  gboolean is_silent; /* Notify and AddNotification are answered later: */
  GDBusMethodInvocation *unanswered;
} Fixture;

static const char *const all_capabilities[] = { "actions", "body", "body-markup", NULL };
static const char *const no_capabilities[] = { NULL };

static void
server_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *method,
           GVariant *parameters,
           GDBusMethodInvocation *invocation,
           void *user_data)
{
  Fixture *fixture = user_data;
  guint32 id;

  if (g_str_equal (method, "GetCapabilities"))
    {
      g_dbus_method_invocation_return_value (invocation,
                                             g_variant_new ("(^as)", fixture->capabilities));
    }
  else if (g_str_equal (method, "CloseNotification"))
    {
      g_variant_get (parameters, "(u)", &id);
      g_string_append_printf (fixture->closed, "%u ", id);
      g_dbus_method_invocation_return_value (invocation, NULL);
    }
  else
    {
      g_ptr_array_add (fixture->shown, g_variant_ref (parameters));
      g_variant_get_child (parameters, 1, "u", &id);
      if (fixture->is_silent)
        fixture->unanswered = invocation;
      else
        g_dbus_method_invocation_return_value (
            invocation, g_variant_new ("(u)", id != 0 ? id : fixture->next_id++));
    }
}

static void
portal_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *method,
           GVariant *parameters,
           GDBusMethodInvocation *invocation,
           void *user_data)
{
  Fixture *fixture = user_data;
  const char *id;

  g_variant_get_child (parameters, 0, "&s", &id);
  if (g_str_equal (method, "AddNotification"))
    g_ptr_array_add (fixture->shown, g_variant_ref (parameters));
  else
    g_string_append_printf (fixture->closed, "%s ", id);
  if (fixture->is_silent)
    fixture->unanswered = invocation;
  else
    g_dbus_method_invocation_return_value (invocation, NULL);
}

static void
action_cb (KpNotifier *notifier, const char *id, const char *action, Fixture *fixture)
{
  g_string_append_printf (fixture->actions, "%s:%s ", id, action);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  gboolean use_portal = data != NULL;

  private_bus_up (&fixture->bus);
  fixture->capabilities = all_capabilities;
  fixture->shown = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  fixture->closed = g_string_new ("");
  fixture->actions = g_string_new ("");
  fixture->next_id = 11;
  private_bus_export (fixture->bus.theirs, SERVER_PATH, server_xml, server_cb, fixture);
  private_bus_export (fixture->bus.theirs, KP_PORTAL_PATH, portal_xml, portal_cb, fixture);
  private_bus_own (fixture->bus.theirs, use_portal ? KP_PORTAL_NAME : SERVER);

  kp_portal_pretend (use_portal);
  fixture->notifier = kp_notifier_new (fixture->bus.ours);
  g_signal_connect (fixture->notifier, "action", G_CALLBACK (action_cb), fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_finalize_object (g_steal_pointer (&fixture->notifier));
  private_bus_down (&fixture->bus);
  g_ptr_array_unref (fixture->shown);
  g_string_free (fixture->closed, TRUE);
  g_string_free (fixture->actions, TRUE);
}

static void
show (Fixture *fixture, const char *id, const char *title, int percent)
{
  KpNotification notification
      = { .title = title, .body = "", .urgency = KP_NOTIFICATION_LOW, .percent = percent };

  kp_notifier_show (fixture->notifier, id, &notification);
}

/* One part of what was shown as the @index-th, in GVariant's text form. */
static char *
get_part (Fixture *fixture, guint index, gsize part)
{
  g_assert_cmpuint (index, <, fixture->shown->len);
  g_autoptr (GVariant) value = g_variant_get_child_value (fixture->shown->pdata[index], part);

  return g_variant_print (value, FALSE);
}

static void
assert_part (Fixture *fixture, guint index, gsize part, const char *expected)
{
  g_autofree char *text = get_part (fixture, index, part);

  g_assert_cmpstr (text, ==, expected);
}

#define REPLACES 1
#define TITLE 3
#define BODY 4
#define ACTIONS 5
#define HINTS 6
#define EXPIRES 7

static void
assert_hint (Fixture *fixture, guint index, const char *hint, const char *expected)
{
  g_autoptr (GVariant) hints = g_variant_get_child_value (fixture->shown->pdata[index], HINTS);
  g_autoptr (GVariant) value = g_variant_lookup_value (hints, hint, NULL);
  g_autofree char *text = value != NULL ? g_variant_print (value, TRUE) : NULL;

  g_assert_cmpstr (text, ==, expected);
}

static void
say (Fixture *fixture, const char *path, const char *interface, const char *signal, GVariant *what)
{
  g_autoptr (GError) error = NULL;

  g_dbus_connection_emit_signal (fixture->bus.theirs, NULL, path, interface, signal, what, &error);
  g_assert_no_error (error);
  private_bus_settle (&fixture->bus);
}

static void
test_content (Fixture *fixture, gconstpointer data)
{
  static const char *const buttons[] = { "backup", "Back Up Now", NULL };
  const KpNotification failure
      = { "Failed <1>", "a & \xff", KP_NOTIFICATION_CRITICAL, -1, buttons };
  const KpNotification progress = { "Going", NULL, KP_NOTIFICATION_LOW, 42, NULL };
  const KpNotification success = { "Done", NULL, KP_NOTIFICATION_LOW, -1, NULL };

  kp_notifier_show (fixture->notifier, "a", &failure);
  kp_notifier_show (fixture->notifier, "b", &progress);
  kp_notifier_show (fixture->notifier, "c", &success);
  wait_for (fixture->shown->len == 3);

  assert_part (fixture, 0, TITLE, "'Failed <1>'");
  assert_part (fixture, 0, BODY, "'a &amp; \357\277\275'");
  assert_part (fixture, 0, ACTIONS, "['default', 'Open Keepsake', 'backup', 'Back Up Now']");
  assert_part (fixture, 0, EXPIRES, "0");
  assert_hint (fixture, 0, "urgency", "byte 0x02");
  assert_hint (fixture, 0, "category", "'transfer.error'");
  assert_hint (fixture, 0, "desktop-entry", "'io.github.keepsake_backup.Keepsake'");
  assert_hint (fixture, 0, "value", NULL);
  assert_hint (fixture, 0, "transient", NULL);

  assert_hint (fixture, 1, "value", "42");
  assert_hint (fixture, 1, "category", "'transfer'");
  assert_hint (fixture, 1, "resident", "true");
  assert_hint (fixture, 1, "transient", "false");

  assert_part (fixture, 2, EXPIRES, "-1");
  assert_hint (fixture, 2, "urgency", "byte 0x00");
  assert_hint (fixture, 2, "category", "'transfer.complete'");
  assert_hint (fixture, 2, "transient", "true");
}

static void
test_poor_server (Fixture *fixture, gconstpointer data)
{
  static const char *const buttons[] = { "backup", "Back Up Now", NULL };
  const KpNotification failure = { "Failed", "a & b", KP_NOTIFICATION_CRITICAL, -1, buttons };

  fixture->capabilities = no_capabilities;
  kp_notifier_show (fixture->notifier, "a", &failure);
  wait_for (fixture->shown->len == 1);
  assert_part (fixture, 0, BODY, "'a & b'");
  assert_part (fixture, 0, ACTIONS, "[]");
}

static void
test_replaces (Fixture *fixture, gconstpointer data)
{
  show (fixture, "a", "one", 1);
  wait_for (fixture->shown->len == 1);
  show (fixture, "a", "two", 2);
  wait_for (fixture->shown->len == 2);
  show (fixture, "b", "other", -1);
  wait_for (fixture->shown->len == 3);
  assert_part (fixture, 0, REPLACES, "0");
  assert_part (fixture, 1, REPLACES, "11");
  assert_part (fixture, 2, REPLACES, "0");

  /* The server took it away when its time was over. */
  say (fixture, SERVER_PATH, SERVER, "NotificationClosed", g_variant_new ("(uu)", 11, 1));
  show (fixture, "a", "three", 3);
  wait_for (fixture->shown->len == 4);
  assert_part (fixture, 3, REPLACES, "0");
}

static void
test_only_the_last_goes_out (Fixture *fixture, gconstpointer data)
{
  show (fixture, "a", "one", 1);
  wait_for (fixture->shown->len == 1);
  show (fixture, "a", "two", 2);
  show (fixture, "b", "other", -1);
  show (fixture, "a", "three", 3);
  show (fixture, "a", "four", 4);
  wait_for (fixture->shown->len >= 3);
  private_bus_settle (&fixture->bus);

  g_assert_cmpuint (fixture->shown->len, ==, 3);
  assert_part (fixture, 1, TITLE, "'four'");
  assert_part (fixture, 2, TITLE, "'other'");
}

/* Asking twice before the first answer would show two. */
static void
test_slow_server (Fixture *fixture, gconstpointer data)
{
  fixture->is_silent = TRUE;
  show (fixture, "a", "one", 1);
  wait_for (fixture->unanswered != NULL);
  show (fixture, "a", "two", 2);
  show (fixture, "b", "other", -1);
  fixture->is_silent = FALSE;
  wait_for (fixture->shown->len == 2);
  assert_part (fixture, 1, TITLE, "'other'");

  g_dbus_method_invocation_return_value (fixture->unanswered, g_variant_new ("(u)", 99));
  wait_for (fixture->shown->len == 3);
  assert_part (fixture, 2, TITLE, "'two'");
  assert_part (fixture, 2, REPLACES, "99");
}

static void
test_withdraw (Fixture *fixture, gconstpointer data)
{
  kp_notifier_withdraw (fixture->notifier, "unknown");
  show (fixture, "a", "one", 1);
  wait_for (fixture->shown->len == 1);
  private_bus_settle (&fixture->bus);
  show (fixture, "a", "two", 2);
  kp_notifier_withdraw (fixture->notifier, "a");
  wait_for (fixture->closed->len > 0);
  g_assert_cmpstr (fixture->closed->str, ==, "11 ");

  /* Before the server has answered. */
  fixture->is_silent = TRUE;
  show (fixture, "b", "other", 1);
  wait_for (fixture->unanswered != NULL);
  g_assert_cmpuint (fixture->shown->len, ==, 2);
  kp_notifier_withdraw (fixture->notifier, "b");
  g_dbus_method_invocation_return_value (fixture->unanswered, g_variant_new ("(u)", 99));
  wait_for (fixture->closed->len > 3);
  g_assert_cmpstr (fixture->closed->str, ==, "11 99 ");
}

static void
test_dismissed_progress_stays_away (Fixture *fixture, gconstpointer data)
{
  show (fixture, "a", "one", 1);
  wait_for (fixture->shown->len == 1);
  private_bus_settle (&fixture->bus);
  say (fixture, SERVER_PATH, SERVER, "NotificationClosed", g_variant_new ("(uu)", 11, 2));
  show (fixture, "a", "two", 2);
  show (fixture, "b", "other", -1);
  wait_for (fixture->shown->len == 2);
  assert_part (fixture, 1, TITLE, "'other'");

  show (fixture, "a", "the end", -1);
  wait_for (fixture->shown->len == 3);
  assert_part (fixture, 2, TITLE, "'the end'");
}

static void
test_actions (Fixture *fixture, gconstpointer data)
{
  show (fixture, "a", "one", -1);
  wait_for (fixture->shown->len == 1);
  private_bus_settle (&fixture->bus);

  say (fixture, SERVER_PATH, SERVER, "ActionInvoked", g_variant_new ("(us)", 77, "default"));
  say (fixture, SERVER_PATH, SERVER, "ActivationToken", g_variant_new ("(us)", 77, "not-ours"));
  say (fixture, SERVER_PATH, SERVER, "ActionInvoked", g_variant_new ("(s)", "what?"));
  g_assert_cmpstr (fixture->actions->str, ==, "");
  g_assert_null (kp_notifier_take_activation_token (fixture->notifier));

  say (fixture, SERVER_PATH, SERVER, "ActivationToken", g_variant_new ("(us)", 11, "token"));
  say (fixture, SERVER_PATH, SERVER, "ActionInvoked", g_variant_new ("(us)", 11, "backup"));
  g_assert_cmpstr (fixture->actions->str, ==, "a:backup ");
  g_autofree char *token = kp_notifier_take_activation_token (fixture->notifier);
  g_assert_cmpstr (token, ==, "token");
}

static void
test_server_restarts (Fixture *fixture, gconstpointer data)
{
  show (fixture, "a", "one", 1);
  wait_for (fixture->shown->len == 1);
  private_bus_settle (&fixture->bus);
  private_bus_disown (fixture->bus.theirs, SERVER);
  private_bus_own (fixture->bus.theirs, SERVER);
  private_bus_settle (&fixture->bus);

  fixture->capabilities = no_capabilities;
  show (fixture, "a", "two", 2);
  wait_for (fixture->shown->len == 2);
  assert_part (fixture, 1, REPLACES, "0");
  assert_part (fixture, 1, ACTIONS, "[]");
}

/* What should stay is shown when there is somebody to show it; what comes and goes is gone. */
static void
test_no_server_at_first (Fixture *fixture, gconstpointer data)
{
  const KpNotification failure = { "Failed", NULL, KP_NOTIFICATION_CRITICAL, -1, NULL };

  private_bus_disown (fixture->bus.theirs, SERVER);
  kp_notifier_show (fixture->notifier, "a", &failure);
  show (fixture, "b", "one", 1);
  private_bus_settle (&fixture->bus);
  private_bus_own (fixture->bus.theirs, SERVER);
  wait_for (fixture->shown->len == 1);
  assert_part (fixture, 0, TITLE, "'Failed'");
  show (fixture, "c", "other", -1);
  wait_for (fixture->shown->len == 2);
  assert_part (fixture, 1, TITLE, "'other'");
}

static void
test_portal (Fixture *fixture, gconstpointer data)
{
  static const char *const buttons[] = { "backup", "Back Up Now", NULL };
  const KpNotification failure = { "Failed", "a & b", KP_NOTIFICATION_CRITICAL, -1, buttons };

  kp_notifier_show (fixture->notifier, "a", &failure);
  wait_for (fixture->shown->len == 1);
  assert_part (fixture, 0, 0, "'a'");
  g_autoptr (GVariant) content = g_variant_get_child_value (fixture->shown->pdata[0], 1);
  g_autoptr (GVariant) got_buttons = g_variant_lookup_value (content, "buttons", NULL);
  g_autofree char *text = g_variant_print (got_buttons, FALSE);
  const char *priority = NULL;
  const char *body = NULL;
  g_assert_true (g_variant_lookup (content, "priority", "&s", &priority));
  g_assert_true (g_variant_lookup (content, "body", "&s", &body));
  g_assert_cmpstr (priority, ==, "urgent");
  g_assert_cmpstr (body, ==, "a & b");
  g_assert_cmpstr (text, ==, "[{'action': <'backup'>, 'label': <'Back Up Now'>}]");

  GVariantBuilder none = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));
  say (fixture, KP_PORTAL_PATH, PORTAL_INTERFACE, "ActionInvoked",
       g_variant_new ("(ssav)", "a", "backup", &none));
  g_assert_cmpstr (fixture->actions->str, ==, "a:backup ");

  /* It cannot show progress; only other words are worth another notification. */
  show (fixture, "p", "Going", 1);
  show (fixture, "p", "Going", 2);
  wait_for (fixture->shown->len == 2);
  show (fixture, "p", "Going", 3);
  show (fixture, "q", "Other", 3);
  wait_for (fixture->shown->len == 3);
  assert_part (fixture, 2, 0, "'q'");

  kp_notifier_withdraw (fixture->notifier, "a");
  wait_for (fixture->closed->len > 0);
  g_assert_cmpstr (fixture->closed->str, ==, "a ");

  /* The portal keeps what an agent has shown that is no more. */
  g_variant_builder_init (&none, G_VARIANT_TYPE ("av"));
  say (fixture, KP_PORTAL_PATH, PORTAL_INTERFACE, "ActionInvoked",
       g_variant_new ("(ssav)", "old", "details", &none));
  g_assert_cmpstr (fixture->actions->str, ==, "a:backup old:details ");
  kp_notifier_withdraw (fixture->notifier, "old");
  wait_for (fixture->closed->len > 2);
  g_assert_cmpstr (fixture->closed->str, ==, "a old ");
}

/* The portal has a thread for each call: two at once may come in any order. */
static void
test_slow_portal (Fixture *fixture, gconstpointer data)
{
  fixture->is_silent = TRUE;
  show (fixture, "a", "Going", 1);
  wait_for (fixture->unanswered != NULL);
  show (fixture, "a", "the end", -1);
  show (fixture, "b", "other", -1);
  fixture->is_silent = FALSE;
  wait_for (fixture->shown->len == 2);
  assert_part (fixture, 1, 0, "'b'");
  g_dbus_method_invocation_return_value (fixture->unanswered, NULL);
  wait_for (fixture->shown->len == 3);
  assert_part (fixture, 2, 0, "'a'");

  fixture->is_silent = TRUE;
  fixture->unanswered = NULL;
  show (fixture, "c", "Going", 1);
  wait_for (fixture->unanswered != NULL);
  fixture->is_silent = FALSE;
  kp_notifier_withdraw (fixture->notifier, "c");
  private_bus_settle (&fixture->bus);
  g_assert_cmpstr (fixture->closed->str, ==, "");
  g_dbus_method_invocation_return_value (fixture->unanswered, NULL);
  wait_for (fixture->closed->len > 0);
  g_assert_cmpstr (fixture->closed->str, ==, "c ");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  ADD ("/agent/notifier/content", test_content);
  ADD ("/agent/notifier/poor-server", test_poor_server);
  ADD ("/agent/notifier/replaces", test_replaces);
  ADD ("/agent/notifier/only-the-last-goes-out", test_only_the_last_goes_out);
  ADD ("/agent/notifier/slow-server", test_slow_server);
  ADD ("/agent/notifier/withdraw", test_withdraw);
  ADD ("/agent/notifier/dismissed-progress-stays-away", test_dismissed_progress_stays_away);
  ADD ("/agent/notifier/actions", test_actions);
  ADD ("/agent/notifier/server-restarts", test_server_restarts);
  ADD ("/agent/notifier/no-server-at-first", test_no_server_at_first);
  g_test_add ("/agent/notifier/portal", Fixture, "portal", set_up, test_portal, tear_down);
  g_test_add ("/agent/notifier/slow-portal", Fixture, "portal", set_up, test_slow_portal,
              tear_down);

  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-tray.h"

#include "private-bus.h"

#include <string.h>

#define WATCHER "org.kde.StatusNotifierWatcher"
#define ITEM "org.kde.StatusNotifierItem"
#define ITEM_PATH "/StatusNotifierItem"
#define MENU "com.canonical.dbusmenu"
#define MENU_PATH "/MenuBar"

#define APPLICATION "io.github.keepsake_backup.Keepsake"

typedef struct
{
  PrivateBus bus;
  KpTray *tray;
  gboolean refuses;    /* the watcher does */
  GString *registered; /* what it was told, each with a space */
  GString *heard;      /* the signals of item and menu, each with a space */
  GString *clicked;    /* the signals of the tray */
} Fixture;

/* --- the other side -------------------------------------------------------------------------- */

static void
watcher_cb (GDBusConnection *connection,
            const char *sender,
            const char *path,
            const char *interface,
            const char *method,
            GVariant *parameters,
            GDBusMethodInvocation *invocation,
            void *user_data)
{
  Fixture *fixture = user_data;
  const char *name;

  g_variant_get (parameters, "(&s)", &name);
  g_assert_cmpstr (name, ==, sender);
  g_string_append_printf (fixture->registered, "%s ", name);
  if (fixture->refuses)
    g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "full");
  else
    g_dbus_method_invocation_return_value (invocation, NULL);
}

static void
heard_cb (GDBusConnection *connection,
          const char *sender,
          const char *path,
          const char *interface,
          const char *signal,
          GVariant *parameters,
          void *user_data)
{
  Fixture *fixture = user_data;

  g_string_append (fixture->heard, signal);
  if (g_str_equal (signal, "NewStatus"))
    g_string_append (fixture->heard, g_variant_get_data (parameters));
  g_string_append_c (fixture->heard, ' ');
}

static void
clicked_cb (Fixture *fixture, const char *what)
{
  g_string_append_printf (fixture->clicked, "%s ", what);
}

static void
open_cb (KpTray *tray, Fixture *fixture)
{
  clicked_cb (fixture, "open");
}

static void
backup_cb (KpTray *tray, const char *id, Fixture *fixture)
{
  g_autofree char *what = g_strconcat ("backup:", id, NULL);
  clicked_cb (fixture, what);
}

static void
pause_cb (KpTray *tray, guint seconds, Fixture *fixture)
{
  g_autofree char *what = g_strdup_printf ("pause:%u", seconds);
  clicked_cb (fixture, what);
}

static void
tomorrow_cb (KpTray *tray, Fixture *fixture)
{
  clicked_cb (fixture, "tomorrow");
}

static void
resume_cb (KpTray *tray, Fixture *fixture)
{
  clicked_cb (fixture, "resume");
}

static void
quit_cb (KpTray *tray, Fixture *fixture)
{
  clicked_cb (fixture, "quit");
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  private_bus_up (&fixture->bus);
  fixture->registered = g_string_new ("");
  fixture->heard = g_string_new ("");
  fixture->clicked = g_string_new ("");
  private_bus_export (fixture->bus.theirs, "/StatusNotifierWatcher",
                      "<node><interface name='" WATCHER "'>"
                      "<method name='RegisterStatusNotifierItem'>"
                      "<arg type='s' direction='in'/></method></interface></node>",
                      watcher_cb, fixture);
  const char *us = g_dbus_connection_get_unique_name (fixture->bus.ours);
  g_dbus_connection_signal_subscribe (fixture->bus.theirs, us, ITEM, NULL, ITEM_PATH, NULL,
                                      G_DBUS_SIGNAL_FLAGS_NONE, heard_cb, fixture, NULL);
  g_dbus_connection_signal_subscribe (fixture->bus.theirs, us, MENU, NULL, MENU_PATH, NULL,
                                      G_DBUS_SIGNAL_FLAGS_NONE, heard_cb, fixture, NULL);
  private_bus_settle (&fixture->bus);

  fixture->tray = kp_tray_new (fixture->bus.ours, &error);
  g_assert_no_error (error);
  g_signal_connect (fixture->tray, "open", G_CALLBACK (open_cb), fixture);
  g_signal_connect (fixture->tray, "backup", G_CALLBACK (backup_cb), fixture);
  g_signal_connect (fixture->tray, "pause", G_CALLBACK (pause_cb), fixture);
  g_signal_connect (fixture->tray, "pause-until-tomorrow", G_CALLBACK (tomorrow_cb), fixture);
  g_signal_connect (fixture->tray, "resume", G_CALLBACK (resume_cb), fixture);
  g_signal_connect (fixture->tray, "quit", G_CALLBACK (quit_cb), fixture);
  private_bus_settle (&fixture->bus);
  g_string_truncate (fixture->heard, 0);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_finalize_object (g_steal_pointer (&fixture->tray));
  private_bus_down (&fixture->bus);
  g_string_free (fixture->registered, TRUE);
  g_string_free (fixture->heard, TRUE);
  g_string_free (fixture->clicked, TRUE);
}

static GVariant *
call (Fixture *fixture,
      const char *path,
      const char *interface,
      const char *method,
      GVariant *parameters,
      GError **error)
{
  return private_bus_call (fixture->bus.theirs,
                           g_dbus_connection_get_unique_name (fixture->bus.ours), path, interface,
                           method, parameters, error);
}

static void
call_item (Fixture *fixture, const char *method, GVariant *parameters)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call (fixture, ITEM_PATH, ITEM, method, parameters, &error);

  g_assert_no_error (error);
}

/* The answer in GVariant's text form; an error as its name. */
static char *
call_menu (Fixture *fixture, const char *method, const char *parameters)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = call (fixture, MENU_PATH, MENU, method, g_variant_new_parsed (parameters, NULL), &error);

  return reply != NULL ? g_variant_print (reply, FALSE) : g_dbus_error_get_remote_error (error);
}

static GVariant *
get (Fixture *fixture, const char *property)
{
  return private_bus_get (fixture->bus.theirs,
                          g_dbus_connection_get_unique_name (fixture->bus.ours), ITEM_PATH, ITEM,
                          property);
}

static void
assert_property (Fixture *fixture, const char *property, const char *expected)
{
  g_autoptr (GVariant) value = get (fixture, property);
  g_autofree char *text = g_variant_print (value, FALSE);

  g_assert_cmpstr (text, ==, expected);
}

static void
assert_heard (Fixture *fixture, const char *expected)
{
  private_bus_settle (&fixture->bus);
  g_assert_cmpstr (fixture->heard->str, ==, expected);
  g_string_truncate (fixture->heard, 0);
}

/* "1 Label|2 ---|3 (Disabled)|" */
static char *
print_menu (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = call (fixture, MENU_PATH, MENU, "GetLayout", g_variant_new ("(iias)", 0, -1, NULL), &error);
  g_autoptr (GVariantIter) children = NULL;
  GString *text = g_string_new ("");
  GVariant *child;

  g_assert_no_error (error);
  g_variant_get (reply, "(u(ia{sv}av))", NULL, NULL, NULL, &children);
  while (g_variant_iter_loop (children, "v", &child))
    {
      g_autoptr (GVariant) properties = g_variant_get_child_value (child, 1);
      const char *label = "---";
      gboolean is_enabled = TRUE;
      int id;

      g_variant_get_child (child, 0, "i", &id);
      g_variant_lookup (properties, "label", "&s", &label);
      g_variant_lookup (properties, "enabled", "b", &is_enabled);
      g_string_append_printf (text, is_enabled ? "%d %s|" : "%d (%s)|", id, label);
    }
  return g_string_free (text, FALSE);
}

static void
assert_menu (Fixture *fixture, const char *expected)
{
  g_autofree char *text = print_menu (fixture);

  g_assert_cmpstr (text, ==, expected);
}

static void
click (Fixture *fixture, const char *label)
{
  g_autofree char *text = print_menu (fixture);
  g_autofree char *end = g_strconcat (" ", label, "|", NULL);
  char *found = strstr (text, end);

  g_assert_nonnull (found);
  *found = '\0';
  char *begin = strrchr (text, '|');
  g_autofree char *parameters
      = g_strdup_printf ("(%s, 'clicked', <0>, uint32 0)", begin != NULL ? begin + 1 : text);
  g_autofree char *reply = call_menu (fixture, "Event", parameters);
  g_assert_cmpstr (reply, ==, "()");
}

static void
set_two_plans (Fixture *fixture, gboolean can_run)
{
  kp_tray_begin_plans (fixture->tray);
  kp_tray_add_plan (fixture->tray, "id-1", "my_photos", can_run);
  kp_tray_add_plan (fixture->tray, "id-2", "Letters", TRUE);
  kp_tray_end_plans (fixture->tray);
}

/* --- the item -------------------------------------------------------------------------------- */

static void
test_registers_when_there_is_a_tray (Fixture *fixture, gconstpointer data)
{
  g_autofree char *once
      = g_strconcat (g_dbus_connection_get_unique_name (fixture->bus.ours), " ", NULL);
  g_autofree char *twice = g_strconcat (once, once, NULL);
  int notified = 0;

  g_signal_connect_swapped (fixture->tray, "notify::visible", G_CALLBACK (g_atomic_int_inc),
                            &notified);
  g_assert_false (kp_tray_is_visible (fixture->tray));
  g_assert_cmpstr (fixture->registered->str, ==, "");

  private_bus_own (fixture->bus.theirs, WATCHER);
  wait_for (kp_tray_is_visible (fixture->tray));
  g_assert_cmpstr (fixture->registered->str, ==, once);

  private_bus_disown (fixture->bus.theirs, WATCHER);
  wait_for (!kp_tray_is_visible (fixture->tray));

  private_bus_own (fixture->bus.theirs, WATCHER);
  wait_for (kp_tray_is_visible (fixture->tray));
  g_assert_cmpstr (fixture->registered->str, ==, twice);
  g_assert_cmpint (notified, ==, 3);
}

static void
test_is_not_visible_when_refused (Fixture *fixture, gconstpointer data)
{
  fixture->refuses = TRUE;
  private_bus_own (fixture->bus.theirs, WATCHER);
  wait_for (fixture->registered->len > 0);
  private_bus_settle (&fixture->bus);
  g_assert_false (kp_tray_is_visible (fixture->tray));

  fixture->refuses = FALSE;
  private_bus_disown (fixture->bus.theirs, WATCHER);
  private_bus_own (fixture->bus.theirs, WATCHER);
  wait_for (kp_tray_is_visible (fixture->tray));
}

static void
test_second_icon_fails (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpTray) tray = kp_tray_new (fixture->bus.ours, &error);

  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS);
  g_assert_null (tray);
}

static void
test_properties (Fixture *fixture, gconstpointer data)
{
  assert_property (fixture, "Id", "'" APPLICATION "'");
  assert_property (fixture, "Title", "'Keepsake'");
  assert_property (fixture, "Category", "'SystemServices'");
  assert_property (fixture, "Status", "'Active'");
  assert_property (fixture, "ItemIsMenu", "false");
  assert_property (fixture, "Menu", "'" MENU_PATH "'");
  assert_property (fixture, "AttentionIconName", "'" APPLICATION "-attention-symbolic'");
  assert_property (fixture, "OverlayIconName", "''");
  assert_property (fixture, "OverlayIconPixmap", "[]");

  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) all = call (fixture, ITEM_PATH, "org.freedesktop.DBus.Properties", "GetAll",
                                   g_variant_new ("(s)", ITEM), &error);
  g_assert_no_error (error);
  g_autoptr (GVariant) properties = g_variant_get_child_value (all, 0);
  g_assert_cmpuint (g_variant_n_children (properties), ==, 16);
}

static void
test_states (Fixture *fixture, gconstpointer data)
{
  assert_property (fixture, "IconName", "'" APPLICATION "-idle-symbolic'");

  kp_tray_set_state (fixture->tray, KP_TRAY_RUNNING);
  assert_heard (fixture, "NewIcon ");
  assert_property (fixture, "IconName", "'" APPLICATION "-running-symbolic'");
  kp_tray_set_state (fixture->tray, KP_TRAY_RUNNING);
  assert_heard (fixture, "");

  kp_tray_set_state (fixture->tray, KP_TRAY_ATTENTION);
  assert_heard (fixture, "NewIcon NewAttentionIcon NewStatusNeedsAttention ");
  assert_property (fixture, "Status", "'NeedsAttention'");
  assert_property (fixture, "IconName", "'" APPLICATION "-attention-symbolic'");

  kp_tray_set_state (fixture->tray, KP_TRAY_IDLE);
  assert_heard (fixture, "NewIcon NewAttentionIcon NewStatusActive ");
  assert_property (fixture, "Status", "'Active'");
}

/* Each state has four sizes, none of them empty or full, and none like another's. */
static void
test_pixmaps (Fixture *fixture, gconstpointer data)
{
  static const int sizes[] = { 16, 22, 32, 48 };
  g_autoptr (GVariant) before = NULL;

  for (int state = KP_TRAY_IDLE; state <= KP_TRAY_ATTENTION; state++)
    {
      kp_tray_set_state (fixture->tray, (KpTrayState) state);
      g_autoptr (GVariant) pixmaps = get (fixture, "IconPixmap");

      g_assert_true (g_variant_is_of_type (pixmaps, G_VARIANT_TYPE ("a(iiay)")));
      g_assert_cmpuint (g_variant_n_children (pixmaps), ==, G_N_ELEMENTS (sizes));
      g_assert_true (before == NULL || !g_variant_equal (before, pixmaps));
      for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
        {
          g_autoptr (GVariant) pixels = NULL;
          int width, height;
          gsize length, opaque = 0;

          g_variant_get_child (pixmaps, i, "(ii@ay)", &width, &height, &pixels);
          const guint8 *bytes = g_variant_get_fixed_array (pixels, &length, 1);
          g_assert_cmpint (width, ==, sizes[i]);
          g_assert_cmpint (height, ==, sizes[i]);
          g_assert_cmpuint (length, ==, (gsize) (width * height * 4));
          /* The first byte of each pixel is its opacity; a box fills a good part. */
          for (gsize pixel = 0; pixel < length; pixel += 4)
            opaque += bytes[pixel] > 127;
          g_assert_cmpuint (opaque, >, length / 4 * 2 / 5);
          g_assert_cmpuint (opaque, <, length / 4 * 9 / 10);
        }
      g_clear_pointer (&before, g_variant_unref);
      before = g_steal_pointer (&pixmaps);
    }
}

static void
test_tooltip (Fixture *fixture, gconstpointer data)
{
  assert_property (fixture, "ToolTip", "('', [], 'Keepsake', '')");

  kp_tray_set_tooltip (fixture->tray, "A & B", "42 % of <x> & \"y\"");
  assert_heard (fixture, "NewToolTip ");
  assert_property (fixture, "ToolTip", "('', [], 'A & B', '42 % of &lt;x&gt; &amp; \"y\"')");
  kp_tray_set_tooltip (fixture->tray, "A & B", "42 % of <x> & \"y\"");

  /* Names need not be UTF-8. */
  kp_tray_set_tooltip (fixture->tray, NULL, "bad \xff");
  assert_property (fixture, "ToolTip", "('', [], 'Keepsake', 'bad \357\277\275')");

  /* Told together in the second after the first. */
  kp_tray_set_tooltip (fixture->tray, NULL, "more");
  kp_tray_set_tooltip (fixture->tray, NULL, "most");
  wait_for (fixture->heard->len > 0);
  assert_heard (fixture, "NewToolTip ");
  assert_property (fixture, "ToolTip", "('', [], 'Keepsake', 'most')");
}

static void
test_clicks_on_the_icon (Fixture *fixture, gconstpointer data)
{
  g_assert_null (kp_tray_take_activation_token (fixture->tray));
  call_item (fixture, "SecondaryActivate", g_variant_new ("(ii)", 1, 2));
  call_item (fixture, "ContextMenu", g_variant_new ("(ii)", 1, 2));
  call_item (fixture, "Scroll", g_variant_new ("(is)", 120, "vertical"));
  call_item (fixture, "ProvideXdgActivationToken", g_variant_new ("(s)", "a-token"));
  g_assert_cmpstr (fixture->clicked->str, ==, "");
  call_item (fixture, "Activate", g_variant_new ("(ii)", 1, 2));
  g_assert_cmpstr (fixture->clicked->str, ==, "open ");

  g_autofree char *token = kp_tray_take_activation_token (fixture->tray);
  g_assert_cmpstr (token, ==, "a-token");
  g_assert_null (kp_tray_take_activation_token (fixture->tray));
}

/* --- the menu -------------------------------------------------------------------------------- */

#define PAUSES "1 Pause for an Hour|2 Pause until Tomorrow|3 Pause until Resumed|"
#define OPEN_AND_QUIT "5 Open Keepsake|6 Quit|"

static void
test_menu (Fixture *fixture, gconstpointer data)
{
  assert_menu (fixture, PAUSES "4 ---|" OPEN_AND_QUIT);

  set_two_plans (fixture, TRUE);
  assert_heard (fixture, "LayoutUpdated ");
  g_autofree char *whole = print_menu (fixture);
  g_assert_true (g_str_has_prefix (whole, "7 Back Up my__photos Now|8 Back Up Letters Now|"));
  set_two_plans (fixture, TRUE);
  assert_heard (fixture, "");

  /* Ids stay with their entries. */
  set_two_plans (fixture, FALSE);
  assert_heard (fixture, "ItemsPropertiesUpdated ");
  g_autofree char *disabled = print_menu (fixture);
  g_assert_true (g_str_has_prefix (disabled, "7 (Back Up my__photos Now)|8 Back Up Letters Now|"));
  kp_tray_begin_plans (fixture->tray);
  kp_tray_add_plan (fixture->tray, "id-2", "Letters", TRUE);
  kp_tray_end_plans (fixture->tray);
  g_autofree char *shorter = print_menu (fixture);
  g_assert_true (g_str_has_prefix (shorter, "8 Back Up Letters Now|"));
}

static void
test_paused_menu (Fixture *fixture, gconstpointer data)
{
  kp_tray_set_state (fixture->tray, KP_TRAY_PAUSED);
  click (fixture, "Resume Backups");
  kp_tray_set_state (fixture->tray, KP_TRAY_IDLE);
  g_autofree char *text = print_menu (fixture);
  g_assert_null (strstr (text, "Resume Backups"));

  kp_tray_set_state (fixture->tray, KP_TRAY_ATTENTION);
  kp_tray_set_paused (fixture->tray, TRUE);
  click (fixture, "Resume Backups");
  g_assert_cmpstr (fixture->clicked->str, ==, "resume resume ");
  kp_tray_set_paused (fixture->tray, FALSE);
  assert_menu (fixture, PAUSES "4 ---|" OPEN_AND_QUIT);
}

static void
test_clicks_on_the_menu (Fixture *fixture, gconstpointer data)
{
  set_two_plans (fixture, TRUE);
  click (fixture, "Back Up Letters Now");
  click (fixture, "Pause for an Hour");
  click (fixture, "Pause until Tomorrow");
  click (fixture, "Pause until Resumed");
  click (fixture, "Open Keepsake");
  click (fixture, "Quit");
  g_assert_cmpstr (fixture->clicked->str, ==, "backup:id-2 pause:3600 tomorrow pause:0 open quit ");

  /* None of these is a click on something that can be clicked. */
  g_string_truncate (fixture->clicked, 0);
  set_two_plans (fixture, FALSE);
  static const char *const events[]
      = { "(7, 'clicked', <0>, uint32 0)", "(8, 'hovered', <0>, uint32 0)",
          "(0, 'opened', <''>, uint32 0)", "(9, 'clicked', <0>, uint32 0)" };
  for (gsize i = 0; i < G_N_ELEMENTS (events); i++)
    {
      g_autofree char *reply = call_menu (fixture, "Event", events[i]);
      g_assert_cmpstr (reply, ==, "()");
    }
  g_assert_cmpstr (fixture->clicked->str, ==, "");
}

static void
assert_reply (Fixture *fixture, const char *method, const char *parameters, const char *expected)
{
  g_autofree char *reply = call_menu (fixture, method, parameters);

  g_assert_cmpstr (reply, ==, expected);
}

#define INVALID "org.freedesktop.DBus.Error.InvalidArgs"
#define NO_NAMES "@as []"

static void
test_menu_methods (Fixture *fixture, gconstpointer data)
{
  assert_reply (fixture, "GetLayout", "(0, 0, " NO_NAMES ")",
                "(2, (0, {'children-display': <'submenu'>}, []))");
  assert_reply (fixture, "GetLayout", "(6, -1, ['label', 'enabled'])",
                "(2, (6, {'label': <'Quit'>}, []))");
  assert_reply (fixture, "GetLayout", "(6, 1, ['visible'])", "(2, (6, {}, []))");
  assert_reply (fixture, "GetGroupProperties", "([4, 99, 6], " NO_NAMES ")",
                "([(4, {'type': <'separator'>}), (6, {'label': <'Quit'>})],)");
  assert_reply (fixture, "GetProperty", "(6, 'label')", "(<'Quit'>,)");
  assert_reply (fixture, "GetProperty", "(6, 'enabled')", "(<true>,)");
  assert_reply (fixture, "GetProperty", "(4, 'type')", "(<'separator'>,)");
  assert_reply (fixture, "AboutToShow", "(0,)", "(false,)");
  assert_reply (fixture, "AboutToShowGroup", "([0, 99],)", "([], [99])");
  assert_reply (fixture, "EventGroup",
                "([(99, 'clicked', <0>, uint32 0), (6, 'clicked', <0>, uint32 0)],)", "([99],)");
  g_assert_cmpstr (fixture->clicked->str, ==, "quit ");

  g_autoptr (GVariant) version
      = private_bus_get (fixture->bus.theirs, g_dbus_connection_get_unique_name (fixture->bus.ours),
                         MENU_PATH, MENU, "Version");
  g_assert_cmpuint (g_variant_get_uint32 (version), ==, 3);
}

static void
test_wrong_ids (Fixture *fixture, gconstpointer data)
{
  assert_reply (fixture, "GetLayout", "(99, -1, " NO_NAMES ")", INVALID);
  assert_reply (fixture, "GetLayout", "(-1, -1, " NO_NAMES ")", INVALID);
  assert_reply (fixture, "GetGroupProperties", "([99, 98], " NO_NAMES ")", INVALID);
  assert_reply (fixture, "GetProperty", "(99, 'label')", INVALID);
  assert_reply (fixture, "GetProperty", "(6, 'colour')", INVALID);
  assert_reply (fixture, "Event", "(99, 'clicked', <0>, uint32 0)", INVALID);
  assert_reply (fixture, "EventGroup", "([(99, 'clicked', <0>, uint32 0)],)", INVALID);
  assert_reply (fixture, "AboutToShow", "(99,)", INVALID);
  assert_reply (fixture, "AboutToShowGroup", "([99],)", INVALID);
  g_assert_cmpstr (fixture->clicked->str, ==, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  ADD ("/agent/tray/registers-when-there-is-a-tray", test_registers_when_there_is_a_tray);
  ADD ("/agent/tray/is-not-visible-when-refused", test_is_not_visible_when_refused);
  ADD ("/agent/tray/second-icon-fails", test_second_icon_fails);
  ADD ("/agent/tray/properties", test_properties);
  ADD ("/agent/tray/states", test_states);
  ADD ("/agent/tray/pixmaps", test_pixmaps);
  ADD ("/agent/tray/tooltip", test_tooltip);
  ADD ("/agent/tray/clicks-on-the-icon", test_clicks_on_the_icon);
  ADD ("/agent/tray/menu", test_menu);
  ADD ("/agent/tray/paused-menu", test_paused_menu);
  ADD ("/agent/tray/clicks-on-the-menu", test_clicks_on_the_menu);
  ADD ("/agent/tray/menu-methods", test_menu_methods);
  ADD ("/agent/tray/wrong-ids", test_wrong_ids);

  return g_test_run ();
}

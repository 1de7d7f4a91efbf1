/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-autostart.h"

#include "config.h"

#include "kp-error.h"
#include "kp-portal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#define FILE_NAME KP_APPLICATION_ID ".Agent.desktop"
#define PORTAL_INTERFACE "org.freedesktop.portal.Background"

/* The longest that the portal takes, in characters (SetStatus). */
#define MAX_STATUS 96

#define KEY_GNOME_ENABLED "X-GNOME-Autostart-enabled"

static char *
get_path (void)
{
  return g_build_filename (g_get_user_config_dir (), "autostart", FILE_NAME, NULL);
}

/**
 * kp_autostart_is_enabled:
 *
 * Returns: whether the agent starts at login. In a sandbox this is what the desktop said when it
 *   was asked last.
 */
gboolean
kp_autostart_is_enabled (void)
{
  g_autofree char *path = get_path ();
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL)
      || !g_key_file_has_group (file, G_KEY_FILE_DESKTOP_GROUP))
    return FALSE;
  if (g_key_file_get_boolean (file, G_KEY_FILE_DESKTOP_GROUP, G_KEY_FILE_DESKTOP_KEY_HIDDEN, NULL))
    return FALSE;
  /* Older programs that edit this list do not hide. */
  gboolean enabled
      = g_key_file_get_boolean (file, G_KEY_FILE_DESKTOP_GROUP, KEY_GNOME_ENABLED, &error);
  return enabled || error != NULL;
}

/* --- the file -------------------------------------------------------------------------------- */

/* As Exec wants it (Desktop Entry Specification, "The Exec key"): in double quotes, with a
 * backslash before those that mean something there; a percent sign is doubled. */
static char *
quote_for_exec (const char *path)
{
  GString *quoted = g_string_new ("\"");

  for (const char *p = path; *p != '\0'; p++)
    {
      if (strchr ("\"`$\\", *p) != NULL)
        g_string_append_c (quoted, '\\');
      g_string_append_c (quoted, *p);
      if (*p == '%')
        g_string_append_c (quoted, '%');
    }
  g_string_append_c (quoted, '"');
  return g_string_free (quoted, FALSE);
}

/* What somebody added to the file stays. */
static gboolean
write_file (const char *path, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *quoted = quote_for_exec (KP_AGENT_PATH);
  g_autofree char *exec = g_strconcat (quoted, " --autostart", NULL);
  const char *group = G_KEY_FILE_DESKTOP_GROUP;
  gsize length;

  g_key_file_load_from_file (file, path, G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS,
                             NULL);
  g_key_file_remove_key (file, group, G_KEY_FILE_DESKTOP_KEY_HIDDEN, NULL);
  g_key_file_remove_key (file, group, KEY_GNOME_ENABLED, NULL);
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_TYPE, "Application");
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_NAME, "Keepsake");
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_COMMENT, _ ("Backs up your folders"));
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_ICON, KP_APPLICATION_ID);
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_EXEC, exec);
  /* Keepsake may be removed and the file stay. */
  g_key_file_set_string (file, group, G_KEY_FILE_DESKTOP_KEY_TRY_EXEC, KP_AGENT_PATH);
  g_key_file_set_boolean (file, group, G_KEY_FILE_DESKTOP_KEY_NO_DISPLAY, TRUE);
  g_key_file_set_boolean (file, group, "X-GNOME-UsesNotifications", TRUE);
  g_autofree char *text = g_key_file_to_data (file, &length, NULL);

  if (g_mkdir_with_parents (folder, 0700) < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create the folder “%s”: %s",
                   folder, g_strerror (errno));
      return FALSE;
    }
  if (!g_file_set_contents_full (path, text, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT, 0644,
                                 &local_error))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot start at login: %s",
                   local_error->message);
      return FALSE;
    }
  return TRUE;
}

static gboolean
set_file (gboolean enabled, GError **error)
{
  g_autofree char *path = get_path ();

  if (enabled)
    return write_file (path, error);
  if (g_unlink (path) < 0 && errno != ENOENT && errno != ENOTDIR)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot remove “%s”: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  return TRUE;
}

/* --- the portal ------------------------------------------------------------------------------ */

static void
answered_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GTask) task = user_data;
  gboolean wanted = GPOINTER_TO_INT (g_task_get_task_data (task));
  gboolean granted = FALSE;
  GError *error = NULL;
  g_autoptr (GVariant) results = kp_portal_request_finish (result, &error);

  if (results == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  g_variant_lookup (results, "autostart", "b", &granted);
  /* The portal wrote its own file, outside and out of our sight. This one, in the sandbox, only
   * remembers. There are desktops that say "true" for what they did, also when it was to end it. */
  if (!set_file (wanted && granted, &error))
    g_task_return_error (task, error);
  else if (wanted && !granted)
    g_task_return_new_error (task, KP_ERROR, KP_ERROR_FAILED,
                             "The desktop does not let Keepsake start at login");
  else
    g_task_return_boolean (task, TRUE);
}

static void
ask_portal (GDBusConnection *bus, gboolean enabled, GTask *task)
{
  static const char *const command[] = { KP_AGENT_PATH, "--autostart", NULL };
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&options, "reason", "s",
                         _ ("Keepsake backs up your folders on schedule."));
  g_variant_dict_insert (&options, "autostart", "b", enabled);
  g_variant_dict_insert (&options, "commandline", "^as", command);
  /* Activation would start the window. */
  g_variant_dict_insert (&options, "dbus-activatable", "b", FALSE);
  kp_portal_request_async (bus, PORTAL_INTERFACE, "RequestBackground", &options, answered_cb,
                           g_object_ref (task));
}

/**
 * kp_autostart_set_async:
 * @bus: the session bus
 * @enabled: whether the agent is to start at login
 *
 * In a sandbox this is also how one asks to be let run without a window, which is to be asked at
 * each start: then @enabled has to be what kp_autostart_is_enabled() says, as "false" would undo
 * it.
 */
void
kp_autostart_set_async (GDBusConnection *bus,
                        gboolean enabled,
                        GAsyncReadyCallback callback,
                        void *user_data)
{
  g_return_if_fail (G_IS_DBUS_CONNECTION (bus));

  g_autoptr (GTask) task = g_task_new (bus, NULL, callback, user_data);
  GError *error = NULL;

  g_task_set_source_tag (task, kp_autostart_set_async);
  g_task_set_task_data (task, GINT_TO_POINTER (enabled), NULL);
  if (kp_portal_is_needed ())
    ask_portal (bus, enabled, task);
  else if (!set_file (enabled, &error))
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

/**
 * kp_autostart_set_finish:
 * @error: %KP_ERROR_LOCAL_STORAGE when the file cannot be written; %KP_ERROR_FAILED when the
 *   desktop or the user says no, or there is no portal
 */
gboolean
kp_autostart_set_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* Returns (transfer full): @message as the portal takes it */
static char *
fit_status (const char *message)
{
  g_autofree char *text = g_utf8_make_valid (message, -1);

  for (char *p = text; *p != '\0'; p++)
    if (g_ascii_iscntrl (*p))
      *p = ' ';
  if (g_utf8_strlen (text, -1) <= MAX_STATUS)
    return g_steal_pointer (&text);

  g_autofree char *head = g_utf8_substring (text, 0, MAX_STATUS - 1);
  return g_strconcat (g_strchomp (head), "…", NULL);
}

/**
 * kp_autostart_set_status:
 * @bus: the session bus
 * @message: what the agent is at, for the desktop's list of programs that run in the background;
 *   long ones are cut
 *
 * Outside of a sandbox there is no such list, and nothing is done.
 */
void
kp_autostart_set_status (GDBusConnection *bus, const char *message)
{
  g_return_if_fail (G_IS_DBUS_CONNECTION (bus));
  g_return_if_fail (message != NULL);

  if (!kp_portal_is_needed ())
    return;

  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *status = fit_status (message);

  g_variant_dict_insert (&options, "message", "s", status);
  g_dbus_connection_call (bus, KP_PORTAL_NAME, KP_PORTAL_PATH, PORTAL_INTERFACE, "SetStatus",
                          g_variant_new ("(@a{sv})", g_variant_dict_end (&options)), NULL,
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

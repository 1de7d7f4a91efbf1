/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-portal.h"

#include "config.h"

#include "kp-error.h"

/* What Response says (org.freedesktop.portal.Request). */
#define RESPONSE_SUCCESS 0
#define RESPONSE_CANCELLED 1

/* -1: not looked yet */
static int is_sandboxed = -1;

/**
 * kp_portal_is_needed:
 *
 * Returns: whether we run in a Flatpak, where services of the desktop are only to be had through
 *   portals
 */
gboolean
kp_portal_is_needed (void)
{
  if (is_sandboxed < 0)
    is_sandboxed = g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS);
#ifdef KP_FAULT_INJECTION
  if (g_getenv ("KEEPSAKE_TEST_SANDBOX") != NULL)
    return TRUE;
#endif
  return is_sandboxed;
}

/**
 * kp_portal_pretend:
 * @is_needed: what kp_portal_is_needed() is to say from now on
 *
 * For tests, which do not run in a sandbox.
 */
void
kp_portal_pretend (gboolean is_needed)
{
  is_sandboxed = is_needed;
}

/* The request that a task waits for. */
typedef struct
{
  GDBusConnection *bus;
  guint subscription; /* to Response */
} Request;

static void
request_free (void *data)
{
  Request *request = data;

  if (request->subscription != 0)
    g_dbus_connection_signal_unsubscribe (request->bus, request->subscription);
  g_object_unref (request->bus);
  g_free (request);
}

/* Answers the task once, and hears nothing more. */
static void
complete (GTask *task, GVariant *results, GError *error)
{
  Request *request = g_task_get_task_data (task);

  if (request->subscription == 0)
    {
      g_clear_pointer (&results, g_variant_unref);
      g_clear_error (&error);
      return;
    }
  g_dbus_connection_signal_unsubscribe (request->bus, request->subscription);
  request->subscription = 0;
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, results, (GDestroyNotify) g_variant_unref);
}

static void
response_cb (GDBusConnection *bus,
             const char *sender,
             const char *path,
             const char *interface,
             const char *signal,
             GVariant *parameters,
             void *user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);
  g_autoptr (GVariant) results = NULL;
  guint32 response;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(ua{sv})")))
    return;
  g_variant_get (parameters, "(u@a{sv})", &response, &results);
  if (response == RESPONSE_SUCCESS)
    complete (task, g_steal_pointer (&results), NULL);
  else if (response == RESPONSE_CANCELLED)
    complete (
        task, NULL,
        g_error_new (KP_ERROR, KP_ERROR_FAILED, "The desktop's question was answered with no"));
  else
    complete (task, NULL, g_error_new (KP_ERROR, KP_ERROR_FAILED, "The desktop did not allow it"));
}

static void
call_cb (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply == NULL)
    {
      g_dbus_error_strip_remote_error (error);
      complete (task, NULL,
                g_error_new (KP_ERROR, KP_ERROR_FAILED, "The desktop cannot be asked: %s",
                             error->message));
    }
}

/**
 * kp_portal_request_async:
 * @bus: the session bus
 * @interface: of the portal
 * @method: takes the handle of a window, of which we have none, and @options
 * @options: (transfer none): without "handle_token"; empty afterwards
 *
 * Makes a request and waits for its response.
 */
void
kp_portal_request_async (GDBusConnection *bus,
                         const char *interface,
                         const char *method,
                         GVariantDict *options,
                         GAsyncReadyCallback callback,
                         void *user_data)
{
  g_autoptr (GTask) task = g_task_new (bus, NULL, callback, user_data);
  Request *request = g_new0 (Request, 1);
  g_autofree char *token = g_strdup_printf ("keepsake%u", g_random_int ());
  /* The path is known before the call, so that no response is missed: the name of the connection
   * without its colon, dots as underscores (org.freedesktop.portal.Request). */
  g_autofree char *sender = g_strdup (g_dbus_connection_get_unique_name (bus) + 1);
  g_autofree char *path
      = g_strdup_printf (KP_PORTAL_PATH "/request/%s/%s", g_strdelimit (sender, ".", '_'), token);

  g_task_set_source_tag (task, kp_portal_request_async);
  request->bus = g_object_ref (bus);
  g_task_set_task_data (task, request, request_free);
  request->subscription = g_dbus_connection_signal_subscribe (
      bus, KP_PORTAL_NAME, KP_PORTAL_REQUEST, "Response", path, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
      response_cb, g_object_ref (task), g_object_unref);

  g_variant_dict_insert (options, "handle_token", "s", token);
  g_dbus_connection_call (bus, KP_PORTAL_NAME, KP_PORTAL_PATH, interface, method,
                          g_variant_new ("(s@a{sv})", "", g_variant_dict_end (options)),
                          G_VARIANT_TYPE ("(o)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, call_cb,
                          g_object_ref (task));
}

/**
 * kp_portal_request_finish:
 * @error: %KP_ERROR_FAILED when there is no portal, or it or the user said no
 *
 * Returns: (transfer full): the results, a dictionary with variants
 */
GVariant *
kp_portal_request_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

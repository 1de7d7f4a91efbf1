/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-dbus.h"

#include <string.h>

/* The end of the year 9999. */
#define LATEST_MOMENT G_GINT64_CONSTANT (253402300799)

/* "bad-credentials" becomes "BadCredentials". */
static char *
error_dbus_name (int code)
{
  GString *name = g_string_new (KP_AGENT_ERROR_PREFIX);
  gboolean upper = TRUE;

  for (const char *c = kp_error_name (code); *c != '\0'; c++)
    if (*c == '-')
      upper = TRUE;
    else
      {
        g_string_append_c (name, upper ? g_ascii_toupper (*c) : *c);
        upper = FALSE;
      }
  return g_string_free (name, FALSE);
}

/**
 * kp_dbus_register_errors:
 *
 * Makes GDBus translate each #KpError into an error name of the bus, and back. To be called once,
 * before the bus is used.
 */
void
kp_dbus_register_errors (void)
{
  for (int code = 0; code < KP_N_ERRORS; code++)
    {
      g_autofree char *name = error_dbus_name (code);
      g_dbus_error_register_error (KP_ERROR, code, name);
    }
}

/**
 * kp_dbus_plan_path:
 *
 * Returns: (transfer full): where the plan's object is
 */
char *
kp_dbus_plan_path (const char *plan_id)
{
  g_autofree char *element = g_strdelimit (g_strdup (plan_id), "-", '_');

  return g_strconcat (KP_AGENT_ROOT_PATH "/Plan/", element, NULL);
}

char *
kp_dbus_job_path (guint64 number)
{
  return g_strdup_printf (KP_AGENT_ROOT_PATH "/Job/%" G_GUINT64_FORMAT, number);
}

/**
 * kp_dbus_bytes:
 *
 * Returns: (transfer floating): @bytes, a file name or path, as "ay" without the zero at the end
 */
GVariant *
kp_dbus_bytes (const char *bytes)
{
  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, strlen (bytes), 1);
}

/**
 * kp_dbus_dup_bytes:
 * @bytes: of the type "ay"
 *
 * Returns: (transfer full): what kp_dbus_bytes() was given; nothing behind a zero
 */
char *
kp_dbus_dup_bytes (GVariant *bytes)
{
  gsize length;
  const char *data = g_variant_get_fixed_array (bytes, &length, 1);

  return g_strndup (data != NULL ? data : "", length);
}

/**
 * kp_dbus_get_count:
 * @dict: (nullable): of the type "a{sv}"
 *
 * Returns: the number of the type "t" that it has for @name; 0 for none
 */
guint64
kp_dbus_get_count (GVariant *dict, const char *name)
{
  guint64 value = 0;

  if (dict != NULL)
    g_variant_lookup (dict, name, "t", &value);
  return value;
}

/**
 * kp_dbus_return_error:
 * @invocation: (transfer full): from any thread
 * @error: (transfer full)
 *
 * Answers with an error. What is none of ours becomes one, so that callers meet one family of
 * names.
 */
void
kp_dbus_return_error (GDBusMethodInvocation *invocation, GError *error)
{
  g_assert (error != NULL);

  if (error->domain == KP_ERROR)
    {
      g_dbus_method_invocation_take_error (invocation, error);
      return;
    }
  g_dbus_method_invocation_return_error_literal (invocation, KP_ERROR, KP_ERROR_FAILED,
                                                 error->message);
  g_error_free (error);
}

/**
 * kp_dbus_options_check:
 * @options: a{sv}
 * @known: pairs of a name and a type, ended by %NULL
 * @error: %KP_ERROR_USAGE, naming the option that is not known or of the wrong type
 */
gboolean
kp_dbus_options_check (GVariant *options, const char *const *known, GError **error)
{
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value))
    {
      g_autoptr (GVariant) owned = value;
      const char *type = NULL;

      for (gsize i = 0; known[i] != NULL; i += 2)
        if (g_str_equal (known[i], name))
          type = known[i + 1];
      if (type == NULL)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "There is no option “%s” here", name);
          return FALSE;
        }
      if (!g_variant_is_of_type (owned, G_VARIANT_TYPE (type)))
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "The option “%s” must have the type “%s”, not “%s”", name, type,
                       g_variant_get_type_string (owned));
          return FALSE;
        }
    }
  return TRUE;
}

/**
 * kp_dbus_options_get_moment:
 * @options: a{sv}, checked
 * @moment: (out): "at" of @options, Unix seconds; 0 for now, also where it is left out
 * @error: %KP_ERROR_USAGE for what is no time of the past
 */
gboolean
kp_dbus_options_get_moment (GVariant *options, gint64 *moment, GError **error)
{
  *moment = 0;
  g_variant_lookup (options, "at", "x", moment);
  if (*moment >= 0 && *moment <= LATEST_MOMENT)
    return TRUE;
  g_set_error (
      error, KP_ERROR, KP_ERROR_USAGE,
      "“at” is a moment of the past in seconds since 1970, or 0 for now, not %" G_GINT64_FORMAT,
      *moment);
  return FALSE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "pause", "resume", "limit" and "autostart": what is asked of the agent as a whole. */

#include "kp-ctl-plans.h"
#include "kp-size.h"

static const char pause_examples[]
    = "Examples:\n"
      "    keepsakectl pause              until keepsakectl resume\n"
      "    keepsakectl pause 1h           for an hour\n"
      "    keepsakectl pause --until-tomorrow\n"
      "\n"
      "Jobs that run close their connections after their present requests, and go on later where "
      "they\n"
      "were. What is due waits. A pause survives a restart.";

static const char limit_examples[]
    = "Examples:\n"
      "    keepsakectl limit 256K         256 KiB a second for whatever runs, from now on\n"
      "    keepsakectl limit off          no limit\n"
      "    keepsakectl limit plans        what each plan says";

static const char autostart_examples[]
    = "Examples:\n"
      "    keepsakectl autostart          say whether it does\n"
      "    keepsakectl autostart on       now and at each login\n"
      "    keepsakectl autostart off      it ends with this session\n"
      "\n"
      "The agent begins what the schedules of the plans say. Without a desktop, a timer does: see\n"
      "keepsakectl(1).";

/* Asked anew: what the proxy knows may be older than the call. */
static GVariant *
get_property (KpDBusManager *manager, const char *property)
{
  GDBusProxy *proxy = G_DBUS_PROXY (manager);
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      g_dbus_proxy_get_connection (proxy), KP_AGENT_BUS_NAME, KP_AGENT_MANAGER_PATH,
      "org.freedesktop.DBus.Properties", "Get",
      g_variant_new ("(ss)", g_dbus_proxy_get_interface_name (proxy), property),
      G_VARIANT_TYPE ("(v)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  g_autoptr (GVariant) value = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(v)", &value);
  return g_steal_pointer (&value);
}

static gint64
get_number (KpDBusManager *manager, const char *property)
{
  g_autoptr (GVariant) value = get_property (manager, property);

  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_INT64)
             ? g_variant_get_int64 (value)
             : 0;
}

/* Says how the agent stands now. */
static void
report (KpDBusManager *manager, gboolean json, const char *sentence)
{
  KpCtlOptions options = { .json = json };
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);

  if (json)
    kp_ctl_output_json (output, "agent", "running", "b", TRUE, "paused_until", "i",
                        get_number (manager, "PausedUntil"), "upload_limit", "i",
                        get_number (manager, "UploadLimit"), NULL);
  else
    kp_ctl_output_line (output, "%s", sentence);
}

static GVariant *
no_options (void)
{
  return g_variant_new ("a{sv}", NULL);
}

static KpExit
fail_call (GError **error)
{
  kp_ctl_explain_agent_error (error);
  return kp_ctl_fail (*error);
}

static KpDBusManager *
find_agent (GError **error)
{
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (error);

  if (bus != NULL)
    return kp_ctl_call_agent (bus, error);
  kp_ctl_add_remedy (error, "this is for the agent, which lives in a desktop session");
  return NULL;
}

static gboolean
parse_duration (const char *text, guint64 *seconds, GError **error)
{
  if (text == NULL)
    return TRUE;
  if (!kp_duration_parse (text, seconds, error))
    return FALSE;
  if (*seconds > 0)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "A pause of “%s” is none; write for example 1h, or nothing until keepsakectl resume",
               text);
  return FALSE;
}

static char *
describe_pause (KpDBusManager *manager)
{
  gint64 until = get_number (manager, "PausedUntil");

  if (until <= 0)
    return g_strdup ("Paused until keepsakectl resume");
  g_autofree char *day = kp_ctl_format_day (until, g_get_real_time () / G_USEC_PER_SEC);
  return g_strconcat ("Paused; goes on ", day, NULL);
}

KpExit
kp_ctl_pause (char **arguments)
{
  gboolean until_tomorrow = FALSE;
  gboolean json = FALSE;
  guint64 seconds = 0;
  const GOptionEntry entries[] = {
    { "until-tomorrow", 0, 0, G_OPTION_ARG_NONE, &until_tomorrow, "Until five in the morning",
      NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "[DURATION]", "Holds all jobs.", pause_examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  unsigned n = g_strv_length (arguments);
  if (n > 2 || (n == 2 && until_tomorrow))
    return kp_ctl_usage ("[DURATION|--until-tomorrow]");
  if (!parse_duration (arguments[1], &seconds, &error))
    return kp_ctl_fail (error);

  g_autoptr (KpDBusManager) manager = find_agent (&error);
  if (manager == NULL)
    return kp_ctl_fail (error);
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  if (until_tomorrow)
    g_variant_dict_insert (&options, "until-tomorrow", "b", TRUE);
  if (!kp_dbus_manager_call_pause_sync (manager, seconds, g_variant_dict_end (&options), NULL,
                                        &error))
    return fail_call (&error);
  g_autofree char *sentence = describe_pause (manager);
  report (manager, json, sentence);
  return KP_EXIT_DONE;
}

KpExit
kp_ctl_resume (char **arguments)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "", "Ends a pause.", "Example:\n    keepsakectl resume");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (arguments[1] != NULL)
    return kp_ctl_usage ("");
  g_autoptr (KpDBusManager) manager = find_agent (&error);
  if (manager == NULL)
    return kp_ctl_fail (error);
  if (!kp_dbus_manager_call_resume_sync (manager, no_options (), NULL, &error))
    return fail_call (&error);
  report (manager, json, "Not paused: what is due runs");
  return KP_EXIT_DONE;
}

static gboolean
parse_limit (const char *text, gint64 *rate, GError **error)
{
  guint64 bytes;

  if (g_str_equal (text, "plans"))
    {
      *rate = -1;
      return TRUE;
    }
  if (!kp_rate_parse (text, &bytes, error))
    {
      kp_ctl_add_remedy (error, "or plans, for what each plan says");
      return FALSE;
    }
  *rate = (gint64) MIN (bytes, G_MAXINT64);
  return TRUE;
}

KpExit
kp_ctl_limit (char **arguments)
{
  gboolean json = FALSE;
  gint64 rate;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "RATE|off|plans", "Limits the upload of whatever runs.", limit_examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("RATE|off|plans");
  if (!parse_limit (arguments[1], &rate, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpDBusManager) manager = find_agent (&error);
  if (manager == NULL)
    return kp_ctl_fail (error);
  if (!kp_dbus_manager_call_set_upload_limit_sync (manager, rate, no_options (), NULL, &error))
    return fail_call (&error);

  g_autofree char *text = kp_rate_format (rate > 0 ? (guint64) rate : 0);
  g_autofree char *sentence
      = rate < 0 ? g_strdup ("Each plan has its own limit") : g_strconcat ("Upload: ", text, NULL);
  report (manager, json, sentence);
  return KP_EXIT_DONE;
}

/* --- autostart ------------------------------------------------------------------------------ */

static gboolean
starts_at_login (KpDBusManager *manager)
{
  g_autoptr (GVariant) value = get_property (manager, "Autostart");

  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN)
         && g_variant_get_boolean (value);
}

KpExit
kp_ctl_autostart (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "[on|off]", "Starts the agent at login.", autostart_examples);
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  const char *wanted = arguments[1];
  if (wanted != NULL
      && (arguments[2] != NULL || (!g_str_equal (wanted, "on") && !g_str_equal (wanted, "off"))))
    return kp_ctl_usage ("[on|off]");
  g_autoptr (KpDBusManager) manager = find_agent (&error);
  if (manager == NULL)
    return kp_ctl_fail (error);
  if (wanted != NULL
      && !kp_dbus_manager_call_set_autostart_sync (manager, g_str_equal (wanted, "on"),
                                                   no_options (), NULL, &error))
    return fail_call (&error);

  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  gboolean starts = starts_at_login (manager);
  if (options.json)
    kp_ctl_output_json (output, "agent", "running", "b", TRUE, "autostart", "b", starts, NULL);
  else
    kp_ctl_output_line (output, "%s",
                        starts ? "The agent runs, and starts at login"
                               : "The agent runs until this session ends; it does not start at "
                                 "login");
  return KP_EXIT_DONE;
}

/**
 * kp_ctl_tell_who_begins:
 * @output: where to say it
 * @plan: a new one
 *
 * Says so where nothing, or nothing from the next login on, begins what the schedule says.
 */
void
kp_ctl_tell_who_begins (KpCtlOutput *output, KpPlan *plan)
{
  if (!kp_plan_get_enabled (plan)
      || kp_schedule_get_kind (kp_plan_get_schedule (plan)) == KP_SCHEDULE_MANUAL)
    return;
  g_autoptr (GDBusConnection) bus = kp_ctl_session_bus (NULL);
  g_autoptr (KpDBusManager) manager
      = bus != NULL && kp_ctl_agent_runs (bus) ? kp_ctl_call_agent (bus, NULL) : NULL;
  if (manager == NULL)
    kp_ctl_output_error_line (output,
                              "Nothing begins it yet: keepsakectl autostart on has the agent "
                              "do so, or a timer, see keepsakectl(1)");
  else if (!starts_at_login (manager))
    kp_ctl_output_error_line (output, "It begins by itself until this session ends; always, after "
                                      "keepsakectl autostart on");
}

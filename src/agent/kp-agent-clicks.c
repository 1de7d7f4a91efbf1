/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

/* What comes of a click on the tray icon, its menu, or a notification. */

#include "kp-agent-private.h"

#include "kp-autostart.h"
#include "kp-error.h"
#include "kp-portal.h"
#include "kp-preflight.h"

#include <glib/gi18n.h>

#define APPLICATION_PATH "/io/github/keepsake_backup/Keepsake"

/* --- the application ------------------------------------------------------------------------ */

static void
opened_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (answer == NULL)
    g_info ("The application does not open: %s", error->message);
}

/* Opens the window, on a plan's page if @plan_id is given. */
static void
open_application (KpAgent *self, const char *plan_id)
{
  GVariantBuilder parameters;
  g_auto (GVariantDict) platform_data = G_VARIANT_DICT_INIT (NULL);
  GVariant *empty = g_variant_dict_end (&platform_data);

  if (plan_id == NULL)
    {
      g_dbus_connection_call (self->bus, KP_APPLICATION_ID, APPLICATION_PATH,
                              "org.freedesktop.Application", "Activate",
                              g_variant_new ("(@a{sv})", empty), NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                              NULL, opened_cb, NULL);
      return;
    }
  g_variant_builder_init (&parameters, G_VARIANT_TYPE ("av"));
  g_variant_builder_add (&parameters, "v", g_variant_new_string (plan_id));
  g_dbus_connection_call (
      self->bus, KP_APPLICATION_ID, APPLICATION_PATH, "org.freedesktop.Application",
      "ActivateAction",
      g_variant_new ("(s@av@a{sv})", "show-plan", g_variant_builder_end (&parameters), empty), NULL,
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, opened_cb, NULL);
}

/* --- clicks --------------------------------------------------------------------------------- */

static void
run_done_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autofree char *plan_id = data;
  KpAgent *self = KP_AGENT (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpAgentJob) job = kp_agent_run_finish (result, &error);
  KpAgentPlan *plan = kp_agent_find_plan (self, plan_id);

  if (job != NULL || plan == NULL || kp_error_is (error, KP_ERROR_BUSY))
    return;
  g_autofree char *title
      /* Translators: %s is the name of a plan */
      = g_strdup_printf (_ ("“%s” could not be backed up"), kp_plan_get_name (plan->plan));
  kp_notifier_show (
      self->notifier, plan_id,
      &(KpNotification){ .title = title,
                         .body = error->message,
                         .urgency = KP_NOTIFICATION_CRITICAL,
                         .percent = -1,
                         .buttons = (const char *const[]){ ACTION_RUN, _ ("Try Again"),
                                                           ACTION_DETAILS, _ ("Details"), NULL } });
}

static void
run_plan (KpAgent *self, const char *plan_id)
{
  KpAgentPlan *plan = kp_agent_find_plan (self, plan_id);

  if (plan != NULL)
    kp_agent_run_async (plan, kp_agent_make_manual_backup, NULL, NULL, TRUE, TRUE, run_done_cb,
                        g_strdup (plan_id));
}

static void
unlocked_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgent) self = data;
  g_autoptr (GError) error = NULL;
  KpPreflight preflight;

  if (!kp_preflight_finish (result, &preflight, &error))
    g_info ("The keyring: %s", error->message);
  g_clear_pointer (&preflight.credentials, kp_s3_credentials_unref);
  kp_agent_recheck_held_plans (self);
}

static void
action_cb (KpNotifier *notifier, const char *id, const char *action, KpAgent *self)
{
  KpAgentPlan *plan = kp_agent_find_plan (self, id);

  if (g_str_equal (id, PLAN_PROBLEMS_ID))
    open_application (self, NULL);
  if (plan == NULL)
    return;
  if (g_str_equal (action, ACTION_RUN))
    run_plan (self, id);
  else if (g_str_equal (action, ACTION_UNLOCK))
    kp_preflight_async (plan->plan, TRUE, FALSE, unlocked_cb, g_object_ref (self));
  else
    open_application (self, id);
}

static void
tray_open_cb (KpTray *tray, KpAgent *self)
{
  open_application (self, NULL);
}

static void
tray_backup_cb (KpTray *tray, const char *plan_id, KpAgent *self)
{
  run_plan (self, plan_id);
}

static void
tray_pause_cb (KpTray *tray, guint seconds, KpAgent *self)
{
  kp_agent_set_paused (self, seconds > 0 ? kp_clock_get_now (self->clock) + seconds
                                         : KP_PAUSED_UNTIL_RESUMED);
}

static void
tray_pause_until_tomorrow_cb (KpTray *tray, KpAgent *self)
{
  kp_agent_set_paused (self, kp_agent_next_morning (self));
}

static void
tray_resume_cb (KpTray *tray, KpAgent *self)
{
  kp_agent_set_paused (self, 0);
}

static void
tray_quit_cb (KpTray *tray, KpAgent *self)
{
  kp_agent_quit (self);
}

static void
tray_visible_cb (KpTray *tray, GParamSpec *pspec, KpAgent *self)
{
  kp_dbus_manager_set_tray_visible (self->manager, kp_tray_is_visible (tray));
}

static void
background_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgent) self = data;
  g_autoptr (GError) error = NULL;

  if (!kp_autostart_set_finish (result, &error))
    g_info ("Running in the background: %s", error->message);
  kp_dbus_manager_set_autostart (self->manager, kp_autostart_is_enabled ());
}

/**
 * kp_agent_announce_start:
 *
 * Makes what the user sees: tray and notifications. Without a desktop there is neither, and the
 * agent works all the same.
 */
void
kp_agent_announce_start (KpAgent *self)
{
  g_autoptr (GError) error = NULL;

  self->notifier = kp_notifier_new (self->bus);
  self->settings = kp_settings_open ();
  self->inhibitor = kp_inhibitor_new ();
  g_signal_connect_object (self->notifier, "action", G_CALLBACK (action_cb), self, 0);
  /* What did not ask the portal may be killed by it. What it is asked has to say how autostart is
   * now, or that would be switched off. */
  if (kp_portal_is_needed ())
    kp_autostart_set_async (self->bus, kp_autostart_is_enabled (), background_cb,
                            g_object_ref (self));
  self->tray = kp_tray_new (self->bus, &error);
  if (self->tray == NULL)
    {
      g_warning ("There will be no tray icon: %s", error->message);
      return;
    }
  g_signal_connect_object (self->tray, "open", G_CALLBACK (tray_open_cb), self, 0);
  g_signal_connect_object (self->tray, "backup", G_CALLBACK (tray_backup_cb), self, 0);
  g_signal_connect_object (self->tray, "pause", G_CALLBACK (tray_pause_cb), self, 0);
  g_signal_connect_object (self->tray, "pause-until-tomorrow",
                           G_CALLBACK (tray_pause_until_tomorrow_cb), self, 0);
  g_signal_connect_object (self->tray, "resume", G_CALLBACK (tray_resume_cb), self, 0);
  g_signal_connect_object (self->tray, "quit", G_CALLBACK (tray_quit_cb), self, 0);
  g_signal_connect_object (self->tray, "notify::visible", G_CALLBACK (tray_visible_cb), self, 0);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-agent-client.h"

#include "kp-agent-process.h"

#define PING_INTERVAL_SECONDS 5
#define PING_TIMEOUT_MS 4000

/* In which a process that was asked to end, and killed if it did not, is gone. */
#define RESTART_SECONDS 15

struct _KpAgentClient
{
  GObject parent_instance;

  GDBusConnection *bus; /* (nullable) */
  guint watch;
  guint ping;
  GCancellable *connecting;    /* (nullable): while objects are asked for */
  GDBusObjectManager *objects; /* (nullable) */
  KpDBusManager *manager;      /* (nullable) */
  GListStore *plans;           /* of KpPlanProxy, by name */
  KpAgentPresence presence;
  gboolean is_starting;
  guint restarting;    /* it is being ended, to be started again: the source that gives up */
  gboolean cannot_end; /* it does not answer, and could not be ended either */
  gboolean was_here;   /* it has been running since we look */
  char *error;         /* (nullable): why it did not start */
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpAgentClient, kp_agent_client, G_TYPE_OBJECT)

static void
changed (KpAgentClient *self)
{
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* What answers is not being ended. */
static void
answers (KpAgentClient *self)
{
  g_clear_handle_id (&self->restarting, g_source_remove);
  self->cannot_end = FALSE;
}

static void
set_presence (KpAgentClient *self, KpAgentPresence presence)
{
  if (presence == KP_AGENT_RUNNING)
    answers (self);
  if (self->presence == presence)
    return;
  self->presence = presence;
  changed (self);
}

/* --- plans and their jobs ------------------------------------------------------------------- */

static int
compare_plans (const void *a, const void *b, void *data)
{
  return g_utf8_collate (kp_plan_proxy_get_name ((void *) a), kp_plan_proxy_get_name ((void *) b));
}

/* Where the plan is among ours; %FALSE if it is not. */
static gboolean
find_position (KpAgentClient *self, KpDBusPlan *dbus, guint *position)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->plans));

  for (*position = 0; *position < n; (*position)++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (G_LIST_MODEL (self->plans), *position);
      if (kp_plan_proxy_get_dbus (plan) == dbus)
        return TRUE;
    }
  return FALSE;
}

static void
link_jobs (KpAgentClient *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->plans));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (G_LIST_MODEL (self->plans), i);
      const char *path = kp_dbus_plan_get_job (kp_plan_proxy_get_dbus (plan));
      kp_plan_proxy_set_job (plan, kp_agent_client_find_job (self, path));
    }
}

static void
job_changed_cb (KpAgentClient *self)
{
  link_jobs (self);
}

static void
name_changed_cb (KpAgentClient *self)
{
  g_list_store_sort (self->plans, compare_plans, NULL);
}

/* A job can come and go between two looks at its plan's Job. Its object stays a while. */
static void
job_result_cb (KpDBusJob *job, GParamSpec *pspec, KpAgentClient *self)
{
  const char *path = kp_dbus_job_get_plan (job);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->plans));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (G_LIST_MODEL (self->plans), i);
      if (g_strcmp0 (path,
                     g_dbus_proxy_get_object_path (G_DBUS_PROXY (kp_plan_proxy_get_dbus (plan))))
          == 0)
        kp_plan_proxy_note_job (plan, job);
    }
}

static void
add_job (KpAgentClient *self, KpDBusJob *job)
{
  g_signal_connect_object (job, "notify::result", G_CALLBACK (job_result_cb), self, 0);
  job_result_cb (job, NULL, self);
}

static void
add_object (KpAgentClient *self, GDBusObject *object)
{
  KpDBusPlan *dbus = kp_dbus_object_peek_plan (KP_DBUS_OBJECT (object));
  KpDBusJob *job = kp_dbus_object_peek_job (KP_DBUS_OBJECT (object));

  if (job != NULL)
    add_job (self, job);

  if (dbus != NULL && kp_dbus_plan_get_id (dbus) != NULL)
    {
      g_autoptr (KpPlanProxy) plan = kp_plan_proxy_new (dbus);
      if (self->manager != NULL)
        kp_plan_proxy_set_paused_until (plan, kp_dbus_manager_get_paused_until (self->manager));
      g_signal_connect_object (dbus, "notify::job", G_CALLBACK (job_changed_cb), self,
                               G_CONNECT_SWAPPED);
      g_signal_connect_object (dbus, "notify::name", G_CALLBACK (name_changed_cb), self,
                               G_CONNECT_SWAPPED);
      g_list_store_insert_sorted (self->plans, plan, compare_plans, NULL);
    }
}

static void
object_added_cb (GDBusObjectManager *objects, GDBusObject *object, KpAgentClient *self)
{
  add_object (self, object);
  link_jobs (self);
}

static void
object_removed_cb (GDBusObjectManager *objects, GDBusObject *object, KpAgentClient *self)
{
  KpDBusPlan *dbus = kp_dbus_object_peek_plan (KP_DBUS_OBJECT (object));
  guint position;

  if (dbus != NULL && find_position (self, dbus, &position))
    g_list_store_remove (self->plans, position);
  link_jobs (self);
}

static void
manager_notify_cb (KpAgentClient *self)
{
  gint64 paused_until = kp_dbus_manager_get_paused_until (self->manager);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->plans));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (G_LIST_MODEL (self->plans), i);
      kp_plan_proxy_set_paused_until (plan, paused_until);
    }
  changed (self);
}

/* --- whether it is there -------------------------------------------------------------------- */

static void
forget (KpAgentClient *self)
{
  g_cancellable_cancel (self->connecting);
  g_clear_object (&self->connecting);
  g_clear_handle_id (&self->ping, g_source_remove);
  if (self->objects != NULL)
    g_signal_handlers_disconnect_by_data (self->objects, self);
  if (self->manager != NULL)
    g_signal_handlers_disconnect_by_data (self->manager, self);
  g_clear_object (&self->manager);
  g_clear_object (&self->objects);
  g_list_store_remove_all (self->plans);
}

static void
pong_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgentClient) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (self->objects == NULL)
    return;
  set_presence (self, g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ? KP_AGENT_SILENT
                                                                                : KP_AGENT_RUNNING);
}

static gboolean
ping_cb (void *data)
{
  KpAgentClient *self = data;

  g_dbus_connection_call (self->bus, KP_AGENT_BUS_NAME, KP_AGENT_MANAGER_PATH,
                          "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, PING_TIMEOUT_MS, NULL, pong_cb,
                          g_object_ref (self));
  return G_SOURCE_CONTINUE;
}

static void
connected_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgentClient) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusObjectManager) objects
      = kp_dbus_object_manager_client_new_finish (result, &error);
  g_autolist (GDBusObject) list = NULL;

  if (objects == NULL)
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_message ("The agent's objects: %s", error->message);
      return;
    }
  if (g_cancellable_is_cancelled (self->connecting) || self->connecting == NULL)
    return;
  g_clear_object (&self->connecting);
  self->objects = g_steal_pointer (&objects);
  g_autoptr (GDBusInterface) manager = g_dbus_object_manager_get_interface (
      self->objects, KP_AGENT_MANAGER_PATH, "io.github.keepsake_backup.Keepsake.Manager");
  if (manager != NULL)
    {
      self->manager = KP_DBUS_MANAGER (g_object_ref (manager));
      g_signal_connect_swapped (self->manager, "notify", G_CALLBACK (manager_notify_cb), self);
    }
  g_signal_connect (self->objects, "object-added", G_CALLBACK (object_added_cb), self);
  g_signal_connect (self->objects, "object-removed", G_CALLBACK (object_removed_cb), self);
  list = g_dbus_object_manager_get_objects (self->objects);
  for (GList *item = list; item != NULL; item = item->next)
    add_object (self, item->data);
  link_jobs (self);
  g_clear_handle_id (&self->ping, g_source_remove); /* silent_cb() */
  self->ping = g_timeout_add_seconds (PING_INTERVAL_SECONDS, ping_cb, self);
  self->was_here = TRUE;
  self->is_starting = FALSE;
  g_clear_pointer (&self->error, g_free);
  answers (self);
  self->presence = KP_AGENT_RUNNING;
  changed (self);
}

static gboolean
silent_cb (void *data)
{
  KpAgentClient *self = data;

  self->ping = 0;
  set_presence (self, KP_AGENT_SILENT);
  return G_SOURCE_REMOVE;
}

/* The object manager is bound to this one process, and is made anew for the next: so it never asks
 * for objects by itself, which it would do in the main loop. */
static void
appeared_cb (GDBusConnection *bus, const char *name, const char *owner, void *data)
{
  KpAgentClient *self = data;

  forget (self);
  g_set_object (&self->bus, bus);
  self->connecting = g_cancellable_new ();
  self->ping = g_timeout_add (PING_TIMEOUT_MS, silent_cb, self);
  kp_dbus_object_manager_client_new (bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START,
                                     owner, KP_AGENT_ROOT_PATH, self->connecting, connected_cb,
                                     g_object_ref (self));
}

static void
started_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgentClient) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  self->is_starting = FALSE;
  if (answer != NULL)
    return;
  g_dbus_error_strip_remote_error (error);
  g_free (self->error);
  self->error = g_strdup (error->message);
  if (self->objects == NULL)
    set_presence (self, KP_AGENT_STOPPED);
}

static void
vanished_cb (GDBusConnection *bus, const char *name, void *data)
{
  KpAgentClient *self = data;

  forget (self);
  g_set_object (&self->bus, bus);
  if (bus == NULL)
    {
      g_free (self->error);
      self->error = g_strdup ("There is no session bus");
      self->presence = KP_AGENT_STOPPED;
      changed (self);
      return;
    }
  /* Once by ourselves; what ended after that did so for a reason, and somebody should know. */
  if (self->restarting != 0 || (!self->was_here && !self->is_starting && self->error == NULL))
    {
      answers (self);
      kp_agent_client_start (self);
      return;
    }
  if (!self->is_starting)
    {
      self->presence = KP_AGENT_STOPPED;
      changed (self);
    }
}

/**
 * kp_agent_client_start:
 *
 * Lets the session bus start the agent.
 */
void
kp_agent_client_start (KpAgentClient *self)
{
  if (self->bus == NULL || self->is_starting)
    return;
  self->is_starting = TRUE;
  g_clear_pointer (&self->error, g_free);
  self->presence = KP_AGENT_STARTING;
  changed (self);
  g_dbus_connection_call (self->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "StartServiceByName",
                          g_variant_new ("(su)", KP_AGENT_BUS_NAME, 0), NULL,
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, started_cb, g_object_ref (self));
}

static void
give_up_restart (KpAgentClient *self)
{
  g_clear_handle_id (&self->restarting, g_source_remove);
  self->cannot_end = TRUE;
  changed (self);
}

static gboolean
restart_over_cb (void *data)
{
  give_up_restart (data);
  return G_SOURCE_REMOVE;
}

static void
ended_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpAgentClient) self = data;

  if (!kp_agent_process_end_finish (result) && self->restarting != 0)
    give_up_restart (self);
}

/**
 * kp_agent_client_restart:
 *
 * For one that is silent. Ends it and has it started again; where its process is out of reach, asks
 * it once more at once.
 */
void
kp_agent_client_restart (KpAgentClient *self)
{
  if (self->bus == NULL)
    return;
  if (!kp_agent_process_can_end ())
    {
      ping_cb (self);
      return;
    }
  g_clear_handle_id (&self->restarting, g_source_remove);
  self->restarting = g_timeout_add_seconds (RESTART_SECONDS, restart_over_cb, self);
  kp_agent_process_end_async (self->bus, ended_cb, g_object_ref (self));
}

/* Whether it is silent, and somebody tried to restart it in vain. */
gboolean
kp_agent_client_cannot_end (KpAgentClient *self)
{
  return self->cannot_end;
}

static void
kp_agent_client_dispose (GObject *object)
{
  KpAgentClient *self = KP_AGENT_CLIENT (object);

  g_clear_handle_id (&self->watch, g_bus_unwatch_name);
  g_clear_handle_id (&self->restarting, g_source_remove);
  if (self->plans != NULL)
    forget (self);
  g_clear_object (&self->plans);
  g_clear_object (&self->bus);
  g_clear_pointer (&self->error, g_free);
  G_OBJECT_CLASS (kp_agent_client_parent_class)->dispose (object);
}

static void
kp_agent_client_class_init (KpAgentClientClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kp_agent_client_dispose;
  /* Presence, or a property of the manager. The list of plans tells of its own changes. */
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_AGENT_CLIENT, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kp_agent_client_init (KpAgentClient *self)
{
  self->plans = g_list_store_new (KP_TYPE_PLAN_PROXY);
}

KpAgentClient *
kp_agent_client_new (void)
{
  KpAgentClient *self = g_object_new (KP_TYPE_AGENT_CLIENT, NULL);

  self->watch
      = g_bus_watch_name (G_BUS_TYPE_SESSION, KP_AGENT_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                          appeared_cb, vanished_cb, self, NULL);
  return self;
}

KpAgentPresence
kp_agent_client_get_presence (KpAgentClient *self)
{
  return self->presence;
}

/* Whether what is in the list of plans, and what is gone from it, is the agent's word: with the
 * agent all plans go. */
gboolean
kp_agent_client_is_connected (KpAgentClient *self)
{
  GDBusObjectManagerClient *objects = (GDBusObjectManagerClient *) self->objects;
  g_autofree char *owner
      = objects != NULL ? g_dbus_object_manager_client_get_name_owner (objects) : NULL;

  return owner != NULL;
}

/* (nullable): why it did not start */
const char *
kp_agent_client_get_error (KpAgentClient *self)
{
  return self->error;
}

/* (nullable) */
KpDBusManager *
kp_agent_client_get_manager (KpAgentClient *self)
{
  return self->manager;
}

GListModel *
kp_agent_client_get_plans (KpAgentClient *self)
{
  return G_LIST_MODEL (self->plans);
}

/* (nullable) (transfer none) */
KpPlanProxy *
kp_agent_client_find_plan (KpAgentClient *self, const char *id)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->plans));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (KpPlanProxy) plan = g_list_model_get_item (G_LIST_MODEL (self->plans), i);
      if (g_str_equal (kp_plan_proxy_get_id (plan), id))
        return plan; /* the list holds it */
    }
  return NULL;
}

/* (nullable) (transfer none): the job at @path, which may be "/" for none */
KpDBusJob *
kp_agent_client_find_job (KpAgentClient *self, const char *path)
{
  if (self->objects == NULL || path == NULL || g_str_equal (path, "/"))
    return NULL;
  g_autoptr (GDBusInterface) job = g_dbus_object_manager_get_interface (
      self->objects, path, "io.github.keepsake_backup.Keepsake.Job");
  return (KpDBusJob *) job; /* its object holds it */
}

gboolean
kp_agent_client_is_offline (KpAgentClient *self)
{
  const char *const *conditions
      = self->manager != NULL ? kp_dbus_manager_get_conditions (self->manager) : NULL;

  return conditions != NULL && g_strv_contains (conditions, "offline");
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-plan-proxy.h"

struct _KpPlanProxy
{
  GObject parent_instance;

  KpDBusPlan *dbus;
  KpDBusJob *job; /* (nullable): that runs or waits */
  KpPlan *plan;   /* (nullable): what Plan says, if we understand it */
  char *id;
  gint64 paused_until;
  guint jobs_seen;
  guint erasures_failed;
  guint idle;
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpPlanProxy, kp_plan_proxy, G_TYPE_OBJECT)

/* Seconds since 1970 UTC. */
gint64
kp_app_now (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

static const char *
text_or_empty (const char *text)
{
  return text != NULL ? text : "";
}

static void
read_plan (KpPlanProxy *self)
{
  const char *text = kp_dbus_plan_get_plan (self->dbus);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpPlan) plan = text != NULL ? kp_plan_new_from_json (text, "plan", &error) : NULL;

  if (plan != NULL)
    g_set_object (&self->plan, plan);
  else if (error != NULL)
    g_warning ("A plan of the agent: %s", error->message);
}

static gboolean
idle_cb (void *data)
{
  KpPlanProxy *self = data;

  self->idle = 0;
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
  return G_SOURCE_REMOVE;
}

static void
changed (KpPlanProxy *self)
{
  if (self->idle == 0)
    self->idle = g_idle_add (idle_cb, self);
}

static void
notify_cb (GObject *object, GParamSpec *pspec, KpPlanProxy *self)
{
  if (g_str_equal (pspec->name, "plan"))
    read_plan (self);
  changed (self);
}

static void
kp_plan_proxy_dispose (GObject *object)
{
  KpPlanProxy *self = KP_PLAN_PROXY (object);

  g_clear_handle_id (&self->idle, g_source_remove);
  kp_plan_proxy_set_job (self, NULL);
  g_clear_handle_id (&self->idle, g_source_remove);
  if (self->dbus != NULL)
    g_signal_handlers_disconnect_by_data (self->dbus, self);
  g_clear_object (&self->dbus);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->id, g_free);
  G_OBJECT_CLASS (kp_plan_proxy_parent_class)->dispose (object);
}

static void
kp_plan_proxy_class_init (KpPlanProxyClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = kp_plan_proxy_dispose;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_PLAN_PROXY, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
}

static void
kp_plan_proxy_init (KpPlanProxy *self)
{
}

KpPlanProxy *
kp_plan_proxy_new (KpDBusPlan *dbus)
{
  KpPlanProxy *self = g_object_new (KP_TYPE_PLAN_PROXY, NULL);

  self->dbus = g_object_ref (dbus);
  self->id = g_strdup (text_or_empty (kp_dbus_plan_get_id (dbus)));
  read_plan (self);
  g_signal_connect (dbus, "notify", G_CALLBACK (notify_cb), self);
  return self;
}

const char *
kp_plan_proxy_get_id (KpPlanProxy *self)
{
  return self->id;
}

const char *
kp_plan_proxy_get_name (KpPlanProxy *self)
{
  return text_or_empty (kp_dbus_plan_get_name (self->dbus));
}

/* (transfer full): "bucket/prefix" */
char *
kp_plan_proxy_dup_place (KpPlanProxy *self)
{
  const char *prefix = self->plan != NULL ? kp_plan_get_prefix (self->plan) : "";

  if (self->plan == NULL)
    return g_strdup ("");
  return g_strconcat (kp_plan_get_bucket (self->plan), *prefix != '\0' ? "/" : "", prefix, NULL);
}

KpDBusPlan *
kp_plan_proxy_get_dbus (KpPlanProxy *self)
{
  return self->dbus;
}

/* (nullable) */
KpPlan *
kp_plan_proxy_get_plan (KpPlanProxy *self)
{
  return self->plan;
}

/* (nullable) */
KpDBusJob *
kp_plan_proxy_get_job (KpPlanProxy *self)
{
  return self->job;
}

/* Whether a job that somebody asks for can begin: the agent lets one that it began itself make way
 * while that stands still. */
gboolean
kp_plan_proxy_can_run (KpPlanProxy *self)
{
  const char *state = self->job != NULL ? kp_dbus_job_get_state (self->job) : NULL;

  if (self->job == NULL)
    return TRUE;
  return g_strcmp0 (kp_dbus_job_get_trigger (self->job), "manual") != 0
         && (g_strcmp0 (state, "queued") == 0 || g_strcmp0 (state, "waiting") == 0
             || (g_strcmp0 (state, "paused") == 0 && self->paused_until != 0));
}

void
kp_plan_proxy_set_job (KpPlanProxy *self, KpDBusJob *job)
{
  if (self->job == job)
    return;
  if (self->job != NULL)
    g_signal_handlers_disconnect_by_data (self->job, self);
  g_set_object (&self->job, job);
  if (job != NULL)
    g_signal_connect (job, "notify", G_CALLBACK (notify_cb), self);
  changed (self);
}

/* @job of this plan has come or ended, perhaps both since anybody looked. */
void
kp_plan_proxy_note_job (KpPlanProxy *self, KpDBusJob *job)
{
  GVariant *result = kp_dbus_job_get_result (job);
  const char *kind = text_or_empty (kp_dbus_job_get_kind (job));
  guint64 failed = 0;

  self->jobs_seen++;
  if (result != NULL && g_variant_n_children (result) > 0 && g_str_equal (kind, "erase"))
    {
      g_variant_lookup (result, "failed", "t", &failed);
      if (failed > 0 || g_strcmp0 (kp_dbus_job_get_state (job), "finished") != 0)
        self->erasures_failed++;
    }
  changed (self);
}

/* How many deletions of what is stored did not come to their end. One that did takes the plan. */
guint
kp_plan_proxy_get_erasures_failed (KpPlanProxy *self)
{
  return self->erasures_failed;
}

/* Another number means another history. */
guint
kp_plan_proxy_get_jobs_seen (KpPlanProxy *self)
{
  return self->jobs_seen;
}

void
kp_plan_proxy_set_paused_until (KpPlanProxy *self, gint64 paused_until)
{
  if (self->paused_until == paused_until)
    return;
  self->paused_until = paused_until;
  changed (self);
}

/* Returns: (transfer full): how the plan stands now, in words */
KpStanding *
kp_plan_proxy_describe (KpPlanProxy *self)
{
  KpDBusPlan *dbus = self->dbus;
  KpPlanFacts facts = {
    .state = text_or_empty (kp_dbus_plan_get_state (dbus)),
    .held_by = text_or_empty (kp_dbus_plan_get_held_by (dbus)),
    .held_message = text_or_empty (kp_dbus_plan_get_held_message (dbus)),
    .due_since = kp_dbus_plan_get_due_since (dbus),
    .next_run = kp_dbus_plan_get_next_run (dbus),
    .last_success = kp_dbus_plan_get_last_success (dbus),
    .last_complete = kp_dbus_plan_get_last_complete (dbus),
    .last_result = text_or_empty (kp_dbus_plan_get_last_result (dbus)),
    .last_reason = text_or_empty (kp_dbus_plan_get_last_reason (dbus)),
    .last_message = text_or_empty (kp_dbus_plan_get_last_message (dbus)),
    .deletions_held = kp_dbus_plan_get_deletions_held (dbus),
    .damaged
    = kp_dbus_plan_get_verify_problem (dbus) ? kp_dbus_plan_get_last_verify_failed (dbus) : 0,
    .overdue = kp_dbus_plan_get_overdue (dbus),
    .last_start = kp_dbus_plan_get_last_start (dbus),
    .paused_until = self->paused_until,
    .job_kind = "",
    .job_state = "",
    .job_waiting = "",
  };

  GVariant *erased = kp_dbus_plan_get_erased (dbus);
  if (erased != NULL)
    {
      g_variant_lookup (erased, "at", "x", &facts.erased_at);
      g_variant_lookup (erased, "objects", "t", &facts.erased);
      g_variant_lookup (erased, "complete", "b", &facts.erased_all);
    }
  if (self->job != NULL)
    {
      facts.job_kind = text_or_empty (kp_dbus_job_get_kind (self->job));
      facts.job_state = text_or_empty (kp_dbus_job_get_state (self->job));
      facts.job_waiting = text_or_empty (kp_dbus_job_get_waiting (self->job));
    }
  return kp_words_describe_plan (&facts, kp_app_now ());
}

void
kp_job_read_facts (KpDBusJob *job, KpJobFacts *facts)
{
  GVariant *progress = kp_dbus_job_get_progress (job);

  *facts = (KpJobFacts){ .left = -1 };
  if (progress == NULL)
    return;
  g_variant_lookup (progress, "bytes-total", "t", &facts->bytes_total);
  g_variant_lookup (progress, "bytes-moved", "t", &facts->bytes_moved);
  g_variant_lookup (progress, "files-total", "t", &facts->files_total);
  g_variant_lookup (progress, "files-done", "t", &facts->files_done);
  g_variant_lookup (progress, "files-scanned", "t", &facts->files_scanned);
  g_variant_lookup (progress, "objects-listed", "t", &facts->objects_listed);
  g_variant_lookup (progress, "failed", "t", &facts->failed);
  g_variant_lookup (progress, "rate", "t", &facts->rate);
  g_variant_lookup (progress, "left", "x", &facts->left);
}

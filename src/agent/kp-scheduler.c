/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-scheduler.h"

#include "kp-error.h"
#include "kp-job.h"
#include "kp-overdue.h"
#include "kp-tree-watch.h"

#define SECONDS_PER_DAY 86400
#define SECONDS_PER_HOUR 3600

/* The most that a plan is delayed so that not everybody knocks at the same second. */
#define SPREAD 300

/* A run so much after its time makes up for a missed one. */
#define LATE (30 * 60)

/* Waits after failures that may pass by themselves: doubled each time. */
#define FIRST_RETRY (5 * 60)
#define LAST_RETRY SECONDS_PER_HOUR

/* A job that ended with its process is tried again at once, but not for ever. */
#define MAX_INTERRUPTED 3

/* What is never quiet for so long as @watch waits is looked at after so many of its waits, but no
 * more often than each hour. */
#define MAX_WAITS 12

/* A new watch in place of one that misses something: no more often, as it makes the plan due. What
 * mounts a folder when it is looked at, and unmounts it soon, would have no end. */
#define WATCH_AGAIN SECONDS_PER_HOUR

/* Enough to see a row of failures. */
#define JOBS_TO_LOOK_AT 200

/* So that a whole home folder does not use up what the system has for everybody. */
#define MAX_WATCHES 50000

/* A job that ended while we looked. */
typedef struct
{
  KpHistoryJob *job;
  gint64 after; /* the last job of the plan in the history when it ended; itself, if it is there */
} Seen;

typedef struct
{
  KpPlan *plan; /* the store's */
  KpTreeWatch *watch;
  gint64 changed_at;    /* last change that @watch saw, or 0 */
  gint64 unquiet_at;    /* the first of those that no job has looked at yet */
  gint64 watched_again; /* when @watch took the place of one that missed something, or 0 */
  gint64 known_since;   /* when this plan was met first */
  gint64 moved_at;      /* when it got a destination that no job has been to yet, or 0 */
  gboolean failures_forgotten;
  GPtrArray *seen;  /* (element-type Seen): oldest first */
  gint64 newest_id; /* of the plan's jobs in the history, as far as it could be read */
  KpTiming timing;
} Entry;

struct _KpScheduler
{
  GObject parent_instance;

  KpClock *clock;
  KpHistory *history;
  KpAgentState *state;
  char *own_folder;
  GHashTable *entries;   /* (element-type utf8 Entry): by plan id */
  gint64 look_again;     /* G_MAXINT64: not by itself */
  char *history_problem; /* why the history of a plan could not be read, or NULL */
};

enum
{
  SIGNAL_DUE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpScheduler, kp_scheduler, G_TYPE_OBJECT)

static void
timing_clear (KpTiming *timing)
{
  g_clear_pointer (&timing->last, kp_history_job_free);
  g_clear_pointer (&timing->last_verify, kp_history_job_free);
  g_clear_pointer (&timing->last_verdict, kp_history_job_free);
  *timing = (KpTiming){ 0 };
}

static void
seen_free (void *data)
{
  Seen *seen = data;

  kp_history_job_free (seen->job);
  g_free (seen);
}

static void
entry_free (void *data)
{
  Entry *entry = data;

  g_clear_pointer (&entry->seen, g_ptr_array_unref);
  g_clear_object (&entry->watch);
  g_clear_object (&entry->plan);
  timing_clear (&entry->timing);
  g_free (entry);
}

/* --- one plan ------------------------------------------------------------------------------- */

static KpSchedule *
get_schedule (const Entry *entry)
{
  return kp_plan_get_schedule (entry->plan);
}

static gboolean
has_clock (KpSchedule *schedule)
{
  KpScheduleKind kind = kp_schedule_get_kind (schedule);

  return kind != KP_SCHEDULE_MANUAL && kind != KP_SCHEDULE_WATCH;
}

/* Failures that may be over by themselves. The others wait for the next regular time, or for
 * somebody who does something about them. */
static gboolean
may_pass (const KpHistoryJob *job)
{
  static const KpError codes[]
      = { KP_ERROR_OFFLINE, KP_ERROR_SERVER,         KP_ERROR_TLS,   KP_ERROR_CLOCK_SKEW,
          KP_ERROR_BUSY,    KP_ERROR_SOURCE_MISSING, KP_ERROR_FAILED };

  for (gsize i = 0; job->reason != NULL && i < G_N_ELEMENTS (codes); i++)
    if (g_str_equal (job->reason, kp_error_name ((int) codes[i])))
      return TRUE;
  return FALSE;
}

/* What the jobs of the past mean: the last one, how many in a row went wrong, the last
 * verification. */
typedef struct
{
  KpHistoryJob *last;     /* of the list */
  guint failed;           /* in a row */
  guint interrupted;      /* in a row */
  KpHistoryJob *verified; /* the last that came to an end, or was cancelled; of the list, or NULL */
  KpHistoryJob *verdict;  /* the last that went to its end; of the list, or NULL */
  gboolean verify_again;
} Past;

static void
look_back (GPtrArray *jobs, Past *past)
{
  gboolean row_ended = FALSE;

  *past = (Past){ 0 };
  for (guint i = 0; i < jobs->len; i++)
    {
      KpHistoryJob *job = g_ptr_array_index (jobs, i);
      if (job->state == KP_HISTORY_RUNNING)
        continue;
      if (job->kind == KP_HISTORY_VERIFY && past->verified == NULL
          && job->state != KP_HISTORY_INTERRUPTED)
        {
          /* What was not as it should be is looked at again soon, when it was sent again. */
          past->verified = job;
          past->verify_again
              = job->state != KP_HISTORY_FINISHED || (job->counts.failed > 0 && past->last != NULL);
        }
      if (job->kind == KP_HISTORY_VERIFY && past->verdict == NULL
          && job->state == KP_HISTORY_FINISHED)
        past->verdict = job;
      if (job->kind != KP_HISTORY_BACKUP)
        continue;
      if (past->last == NULL)
        past->last = job;
      row_ended |= job->state == KP_HISTORY_FINISHED || job->state == KP_HISTORY_CANCELLED;
      if (!row_ended && job->state == KP_HISTORY_FAILED)
        past->failed++;
      /* Not those that made way, or whose session ended: this is about what takes its process
       * along, and could not say so. */
      if (!row_ended && job->state == KP_HISTORY_INTERRUPTED && job->ended == 0)
        past->interrupted++;
    }
}

/* When the last backup to the destination of today began; 0 for never. */
static gint64
find_last_start (const Entry *entry)
{
  return entry->moved_at > 0 ? 0 : entry->timing.summary.last_start;
}

static void
decide_by_clock (Entry *entry, gint64 now)
{
  KpTiming *timing = &entry->timing;
  KpSchedule *schedule = get_schedule (entry);
  g_autoptr (GTimeZone) zone = g_time_zone_new_local ();
  gint64 spread = kp_schedule_spread (kp_plan_get_id (entry->plan), SPREAD);
  gint64 last = find_last_start (entry);
  gint64 next = kp_schedule_next_after (schedule, now, zone);

  if (next != G_MAXINT64)
    timing->next_run = next + spread;
  timing->trigger = KP_HISTORY_SCHEDULED;
  /* The first run of a new plan is wanted at once, and so is that to a new destination. */
  if (last == 0)
    {
      timing->due_since = MAX (entry->known_since, entry->moved_at);
      return;
    }
  gint64 due = kp_schedule_due_since (schedule, last, now, zone);
  if (due == 0)
    return;
  /* From the first that was missed: where times are closer together than the spread is wide, there
   * is always one that has just been. */
  gint64 begin = kp_schedule_next_after (schedule, last, zone) + spread;
  if (now < begin)
    {
      timing->next_run = begin;
      return;
    }
  timing->due_since = due;
  timing->trigger = now - due > LATE ? KP_HISTORY_CATCH_UP : KP_HISTORY_SCHEDULED;
}

/* When it is due, going by what was seen; G_MAXINT64 for never. Nobody sees all changes: a disk
 * that is mounted over a folder, a server's files, what happened before the agent began. So the
 * plan looks once a day anyway. */
static gint64
find_watch_moment (const Entry *entry, gint64 last)
{
  gint64 quiet = (gint64) kp_schedule_get_quiet_seconds (get_schedule (entry));
  gint64 patience = MAX (MAX_WAITS * quiet, SECONDS_PER_HOUR);

  /* A change in the second in which a job began may have come after it looked. */
  if (entry->changed_at >= last)
    return MIN (entry->changed_at + quiet, MAX (entry->unquiet_at, last) + patience);
  if (entry->watch != NULL && kp_tree_watch_get_complaint (entry->watch) != NULL)
    return last + SECONDS_PER_HOUR;
  return G_MAXINT64;
}

static void
decide_by_watch (Entry *entry, gint64 now)
{
  KpTiming *timing = &entry->timing;
  gint64 last = find_last_start (entry);
  gint64 seen = find_watch_moment (entry, last);

  timing->trigger = KP_HISTORY_WATCH;
  timing->look_at = last + SECONDS_PER_DAY;
  if (last == 0)
    timing->due_since = MAX (entry->known_since, entry->moved_at);
  else if (now >= MIN (seen, timing->look_at))
    {
      timing->due_since = MIN (seen, timing->look_at);
      timing->trigger = seen <= timing->look_at ? KP_HISTORY_WATCH : KP_HISTORY_SCHEDULED;
    }
  else if (seen != G_MAXINT64)
    timing->next_run = seen;
}

/* A job that was cut off, or failed in a way that may pass, is to be done again. */
static void
decide_by_past (Entry *entry, const Past *past, gint64 now)
{
  KpTiming *timing = &entry->timing;
  const KpHistoryJob *last = past->last;
  gboolean is_manual = kp_schedule_get_kind (get_schedule (entry)) == KP_SCHEDULE_MANUAL;

  if (last == NULL)
    return;
  if (last->state == KP_HISTORY_INTERRUPTED && past->interrupted <= MAX_INTERRUPTED)
    {
      if (timing->due_since == 0)
        timing->due_since = MIN (last->started, now);
      timing->trigger = KP_HISTORY_CATCH_UP;
    }
  else if (last->state == KP_HISTORY_FAILED && may_pass (last) && !is_manual)
    {
      if (timing->due_since == 0)
        {
          timing->due_since = MIN (last->started, now);
          timing->trigger = KP_HISTORY_CATCH_UP;
        }
      /* What a wrong clock has put into the future is not waited for. */
      if (!entry->failures_forgotten && last->ended <= now && entry->moved_at == 0)
        timing->retry_at
            = last->ended + MIN ((gint64) FIRST_RETRY << MIN (past->failed - 1, 10u), LAST_RETRY);
    }
}

static void
decide_verify (Entry *entry, const Past *past, gint64 now)
{
  KpTiming *timing = &entry->timing;
  gint64 period;

  switch (kp_plan_get_verify (entry->plan))
    {
    case KP_PLAN_VERIFY_WEEKLY:
      period = 7 * SECONDS_PER_DAY;
      break;
    case KP_PLAN_VERIFY_MONTHLY:
      period = 30 * SECONDS_PER_DAY;
      break;
    case KP_PLAN_VERIFY_OFF:
    default:
      return;
    }
  /* What is in the bucket only partly, or in another one, is not worth the comparison yet. */
  if (past->last == NULL || past->last->state != KP_HISTORY_FINISHED
      || timing->summary.erased_at > 0 || find_last_start (entry) == 0)
    return;
  if (past->verify_again)
    period = SECONDS_PER_DAY;
  /* One that a wrong clock has put into the future is not waited for. */
  gint64 last = past->verified != NULL ? past->verified->started : 0;
  gint64 due = last > 0 && last <= now ? last + period : MIN (past->last->ended, now);
  if (now >= due)
    timing->verify_due = due;
}

static void
decide_overdue (Entry *entry, gint64 now)
{
  KpTiming *timing = &entry->timing;

  timing->overdue_at
      = kp_overdue_since (get_schedule (entry), &timing->summary, entry->known_since);
  timing->overdue = timing->overdue_at > 0 && now > timing->overdue_at;
}

/* When there is no history yet, a plan is as old as we have known it. */
static gint64
find_beginning (KpScheduler *self, const char *id, gint64 now)
{
  gint64 first_seen = kp_agent_state_get (self->state, id, "first-seen");

  if (first_seen > 0 && first_seen <= now)
    return first_seen;
  kp_agent_state_set (self->state, id, "first-seen", now);
  return now;
}

/* A plan whose destination is another one has nothing there yet, whatever its history says. By a
 * number, as that is all that is kept. */
static void
note_destination (KpScheduler *self, KpPlan *plan)
{
  const char *id = kp_plan_get_id (plan);
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, NULL);

  if (location == NULL)
    return;
  g_autofree char *identity = kp_s3_location_get_identity (location);
  gint64 here = MAX (g_str_hash (identity), 1u);
  gint64 before = kp_agent_state_get (self->state, id, "destination");
  if (before == here)
    return;
  kp_agent_state_set (self->state, id, "destination", here);
  if (before != 0)
    kp_agent_state_set (self->state, id, "moved", kp_clock_get_now (self->clock));
}

/**
 * kp_scheduler_note_backup:
 * @is_here: whether it went to the destination that the plan has
 *
 * To be called when a backup has ended, however. One that waited in the queue may have gone to
 * where the plan was before.
 */
void
kp_scheduler_note_backup (KpScheduler *self, const char *plan_id, gboolean is_here)
{
  if (is_here)
    kp_agent_state_set (self->state, plan_id, "moved", 0);
  else if (kp_agent_state_get (self->state, plan_id, "moved") == 0)
    kp_agent_state_set (self->state, plan_id, "moved", kp_clock_get_now (self->clock));
}

/* --- what the history may not have ----------------------------------------------------------- */

static void
add_to_summary (KpHistorySummary *summary, const KpHistoryJob *job, gint64 now)
{
  gboolean went_well = job->state == KP_HISTORY_FINISHED && job->counts.failed == 0;

  if (job->coverage.objects > 0)
    summary->coverage = job->coverage;
  if (job->kind == KP_HISTORY_VERIFY && went_well && job->ended <= now)
    summary->last_verified = MAX (summary->last_verified, job->ended);
  if (job->kind == KP_HISTORY_ERASE
      && (job->counts.deleted > 0
          || (job->counts.unchanged > 0 && job->state != KP_HISTORY_FINISHED)))
    {
      summary->erased_at = job->ended;
      summary->erased += job->counts.deleted;
      summary->erased_all = went_well;
    }
  if (job->kind != KP_HISTORY_BACKUP || job->started > now)
    return;
  summary->last_start = MAX (summary->last_start, job->started);
  if (job->state != KP_HISTORY_FINISHED)
    {
      if (summary->failing_since == 0 && job->started >= summary->last_success)
        summary->failing_since = job->started;
      return;
    }
  if (job->ended > now)
    return;
  /* The history may have something that came later. */
  if (summary->failing_since <= job->ended)
    summary->failing_since = 0;
  if (summary->erased_at <= job->ended)
    {
      summary->erased_at = 0;
      summary->erased = 0;
      summary->erased_all = FALSE;
    }
  summary->last_success = MAX (summary->last_success, job->ended);
  if (went_well)
    summary->last_complete = MAX (summary->last_complete, job->ended);
}

/* A job whose beginning or end could not be recorded counts like any other: it must neither be
 * begun again and again nor tried no more. */
static void
add_seen (Entry *entry, GPtrArray *jobs, gint64 now)
{
  for (guint i = 0; i < entry->seen->len; i++)
    {
      const Seen *seen = g_ptr_array_index (entry->seen, i);
      const KpHistoryJob *recorded = NULL;
      guint place = 0;

      while (place < jobs->len && (recorded = g_ptr_array_index (jobs, place))->id > seen->after)
        place++;
      if (place < jobs->len && seen->job->id != 0 && recorded->id == seen->job->id)
        {
          if (recorded->state != KP_HISTORY_RUNNING)
            continue;
          g_ptr_array_remove_index (jobs, place);
        }
      g_ptr_array_insert (jobs, (int) place, kp_history_job_copy (seen->job));
      add_to_summary (&entry->timing.summary, seen->job, now);
    }
}

/* (transfer full) (nullable): takes the job out of the list that owns it */
static KpHistoryJob *
steal_job (GPtrArray *jobs, KpHistoryJob *job)
{
  guint index;

  return job != NULL && g_ptr_array_find (jobs, job, &index) ? g_ptr_array_steal_index (jobs, index)
                                                             : NULL;
}

/* A plan whose history cannot be read is one that was never backed up, but for what we have seen
 * ourselves: better once too often.
 *
 * Returns: (transfer full): the jobs, newest first */
static GPtrArray *
read_history (KpScheduler *self, Entry *entry, gint64 now)
{
  const char *id = kp_plan_get_id (entry->plan);
  KpHistorySummary *summary = &entry->timing.summary;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) jobs = kp_history_list_past (self->history, id, JOBS_TO_LOOK_AT, &error);

  if (jobs != NULL && kp_history_get_summary (self->history, id, now, summary, &error))
    {
      if (jobs->len > 0)
        entry->newest_id = ((const KpHistoryJob *) jobs->pdata[0])->id;
      return g_steal_pointer (&jobs);
    }
  if (self->history_problem == NULL)
    self->history_problem = g_strdup (error->message);
  *summary = (KpHistorySummary){ 0 };
  return g_ptr_array_new_with_free_func ((GDestroyNotify) kp_history_job_free);
}

static void
refresh_entry (KpScheduler *self, Entry *entry, gint64 now)
{
  KpTiming *timing = &entry->timing;
  Past past;

  timing_clear (timing);
  entry->known_since = find_beginning (self, kp_plan_get_id (entry->plan), now);
  entry->moved_at
      = MIN (kp_agent_state_get (self->state, kp_plan_get_id (entry->plan), "moved"), now);
  g_autoptr (GPtrArray) jobs = read_history (self, entry, now);
  add_seen (entry, jobs, now);
  look_back (jobs, &past);
  /* A plan that is still there though all that was stored of it is deleted was to go with it: only
   * somebody who asks for it brings all that back. */
  if (kp_plan_get_enabled (entry->plan) && !timing->summary.erased_all)
    {
      if (has_clock (get_schedule (entry)))
        decide_by_clock (entry, now);
      else if (kp_schedule_get_kind (get_schedule (entry)) == KP_SCHEDULE_WATCH)
        decide_by_watch (entry, now);
      decide_by_past (entry, &past, now);
      decide_verify (entry, &past, now);
      decide_overdue (entry, now);
    }
  timing->is_mended = past.verdict != NULL && kp_history_is_mended (jobs, past.verdict);
  timing->last_verdict = past.verdict != NULL ? kp_history_job_copy (past.verdict) : NULL;
  timing->last = steal_job (jobs, past.last);
  timing->last_verify = steal_job (jobs, past.verified);
}

static gint64
next_moment (const Entry *entry, gint64 now)
{
  const KpTiming *timing = &entry->timing;
  gint64 candidates[]
      = { timing->next_run, timing->retry_at, timing->look_at, timing->overdue_at + 1 };
  gint64 next = G_MAXINT64;

  for (gsize i = 0; i < G_N_ELEMENTS (candidates); i++)
    if (candidates[i] > now)
      next = MIN (next, candidates[i]);
  return next;
}

/* --- watching ------------------------------------------------------------------------------- */

static void
note_change (Entry *entry, gint64 now)
{
  if (entry->changed_at < entry->timing.summary.last_start || entry->unquiet_at > now)
    entry->unquiet_at = now;
  entry->changed_at = now;
}

static void
tree_changed_cb (KpTreeWatch *watch, KpScheduler *self)
{
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Entry *entry = value;
      if (entry->watch == watch)
        note_change (entry, kp_clock_get_now (self->clock));
    }
  kp_scheduler_refresh (self);
  g_signal_emit (self, signals[SIGNAL_DUE], 0);
}

static void
complaint_cb (KpTreeWatch *watch, GParamSpec *pspec, KpScheduler *self)
{
  kp_scheduler_refresh (self);
  g_signal_emit (self, signals[SIGNAL_DUE], 0);
}

static void
watch_tree (KpScheduler *self, Entry *entry)
{
  const char *const *patterns = kp_plan_get_exclude (entry->plan);
  g_autoptr (KpFilter) filter = kp_filter_new ();

  for (gsize i = 0; patterns[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      if (!kp_filter_add_exclude (filter, patterns[i], &error))
        g_debug ("%s", error->message);
    }
  entry->watch = kp_tree_watch_new (kp_plan_get_sources (entry->plan), filter, self->own_folder,
                                    MAX_WATCHES);
  /* Nobody knows what happened before we looked. */
  entry->unquiet_at = entry->changed_at = kp_clock_get_now (self->clock) - 1;
  g_signal_connect_object (entry->watch, "changed", G_CALLBACK (tree_changed_cb), self, 0);
  g_signal_connect_object (entry->watch, "notify::complaint", G_CALLBACK (complaint_cb), self, 0);
}

/* A disk that was not there is there again: a backup of it went to its end. Between the look of
 * that at a folder and now nobody watched it, so one more is due. */
static void
watch_what_came (KpScheduler *self, Entry *entry, const KpHistoryJob *job)
{
  gint64 now = kp_clock_get_now (self->clock);
  gboolean is_too_soon = entry->watched_again != 0 && now >= entry->watched_again
                         && now - entry->watched_again < WATCH_AGAIN;

  if (entry->watch == NULL || job->kind != KP_HISTORY_BACKUP || job->state != KP_HISTORY_FINISHED
      || is_too_soon || !kp_tree_watch_would_see_more (entry->watch))
    return;
  g_clear_object (&entry->watch);
  watch_tree (self, entry);
  entry->watched_again = now;
  /* Due however short the job was. */
  entry->unquiet_at = entry->changed_at = MAX (now, job->started);
}

/* --- the object ----------------------------------------------------------------------------- */

static void
clock_cb (KpScheduler *self)
{
  kp_scheduler_refresh (self);
  g_signal_emit (self, signals[SIGNAL_DUE], 0);
}

static void
kp_scheduler_finalize (GObject *object)
{
  KpScheduler *self = KP_SCHEDULER (object);

  g_clear_pointer (&self->entries, g_hash_table_unref);
  g_clear_object (&self->clock);
  g_clear_pointer (&self->history, kp_history_unref);
  g_free (self->own_folder);
  g_free (self->history_problem);
  G_OBJECT_CLASS (kp_scheduler_parent_class)->finalize (object);
}

static void
kp_scheduler_class_init (KpSchedulerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_scheduler_finalize;
  signals[SIGNAL_DUE] = g_signal_new ("due", KP_TYPE_SCHEDULER, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                      NULL, G_TYPE_NONE, 0);
}

static void
kp_scheduler_init (KpScheduler *self)
{
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  self->look_again = G_MAXINT64;
}

/**
 * kp_scheduler_new:
 * @state: (transfer none): has to outlive the scheduler
 * @own_folder: (nullable): where the agent and its jobs write, which makes no plan due
 */
KpScheduler *
kp_scheduler_new (KpClock *clock, KpHistory *history, KpAgentState *state, const char *own_folder)
{
  KpScheduler *self = g_object_new (KP_TYPE_SCHEDULER, NULL);

  self->clock = g_object_ref (clock);
  self->history = kp_history_ref (history);
  self->state = state;
  self->own_folder = g_strdup (own_folder);
  g_signal_connect_object (clock, "alarm", G_CALLBACK (clock_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (clock, "jumped", G_CALLBACK (clock_cb), self, G_CONNECT_SWAPPED);
  return self;
}

/**
 * kp_scheduler_set_plan:
 *
 * Adds a plan, or takes up what was changed in it. To be followed by kp_scheduler_refresh().
 */
void
kp_scheduler_set_plan (KpScheduler *self, KpPlan *plan)
{
  Entry *entry = g_new0 (Entry, 1);
  Entry *old = g_hash_table_lookup (self->entries, kp_plan_get_id (plan));

  note_destination (self, plan);
  entry->plan = g_object_ref (plan);
  entry->seen
      = old != NULL ? g_ptr_array_ref (old->seen) : g_ptr_array_new_with_free_func (seen_free);
  entry->newest_id = old != NULL ? old->newest_id : 0;
  if (kp_plan_get_enabled (plan)
      && kp_schedule_get_kind (kp_plan_get_schedule (plan)) == KP_SCHEDULE_WATCH)
    watch_tree (self, entry);
  g_hash_table_replace (self->entries, g_strdup (kp_plan_get_id (plan)), entry);
}

void
kp_scheduler_remove_plan (KpScheduler *self, const char *plan_id)
{
  g_hash_table_remove (self->entries, plan_id);
}

/**
 * kp_scheduler_refresh:
 *
 * Computes the timing of all plans anew and sets the alarm. Emits nothing.
 */
void
kp_scheduler_refresh (KpScheduler *self)
{
  gint64 now = kp_clock_get_now (self->clock);
  gint64 next = now + SECONDS_PER_DAY;
  g_autofree char *old_problem = g_steal_pointer (&self->history_problem);
  GHashTableIter iter;
  void *value;

  if (self->look_again <= now)
    self->look_again = G_MAXINT64;
  next = MIN (next, self->look_again);
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      refresh_entry (self, value, now);
      next = MIN (next, next_moment (value, now));
    }
  if (self->history_problem != NULL && g_strcmp0 (self->history_problem, old_problem) != 0)
    g_warning ("%s", self->history_problem);
  kp_clock_set_alarm (self->clock, next);
}

/**
 * kp_scheduler_look_again_at:
 * @unix_seconds: when to emit "due" at the latest
 */
void
kp_scheduler_look_again_at (KpScheduler *self, gint64 unix_seconds)
{
  self->look_again = MIN (self->look_again, unix_seconds);
  if (self->look_again < kp_clock_get_alarm (self->clock))
    kp_clock_set_alarm (self->clock, self->look_again);
}

/**
 * kp_scheduler_forget_failures:
 *
 * What made jobs fail may be over: the network is another one, somebody resumed. No waits until
 * the next failure.
 */
void
kp_scheduler_forget_failures (KpScheduler *self)
{
  GHashTableIter iter;
  void *value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    ((Entry *) value)->failures_forgotten = TRUE;
}

/**
 * kp_scheduler_job_ended:
 * @job: (nullable): as it should be in the history; %NULL when it had not begun
 *
 * A job of the plan came to its end; its failures count again. It is remembered, in case that the
 * history does not have it, or cannot be read any more. A backup that found a folder which was not
 * there before lets that be watched from now on.
 */
void
kp_scheduler_job_ended (KpScheduler *self, const char *plan_id, const KpHistoryJob *job)
{
  Entry *entry = g_hash_table_lookup (self->entries, plan_id);

  if (entry == NULL)
    return;
  entry->failures_forgotten = FALSE;
  if (job == NULL)
    return;
  Seen *seen = g_new0 (Seen, 1);
  entry->newest_id = MAX (entry->newest_id, job->id);
  seen->job = kp_history_job_copy (job);
  seen->after = job->id != 0 ? job->id : entry->newest_id;
  g_ptr_array_add (entry->seen, seen);
  if (entry->seen->len > JOBS_TO_LOOK_AT)
    g_ptr_array_remove_index (entry->seen, 0);
  watch_what_came (self, entry, job);
}

/**
 * kp_scheduler_get_history_problem:
 *
 * Returns: (nullable): why the history could not be read at the last refresh
 */
const char *
kp_scheduler_get_history_problem (KpScheduler *self)
{
  return self->history_problem;
}

/**
 * kp_scheduler_get_timing:
 *
 * Returns: (transfer none) (nullable): as of the last refresh
 */
const KpTiming *
kp_scheduler_get_timing (KpScheduler *self, const char *plan_id)
{
  Entry *entry = g_hash_table_lookup (self->entries, plan_id);

  return entry != NULL ? &entry->timing : NULL;
}

/**
 * kp_scheduler_get_watch_note:
 *
 * Returns: (nullable): why changes of the plan's folders cannot be seen as they happen
 */
const char *
kp_scheduler_get_watch_note (KpScheduler *self, const char *plan_id)
{
  Entry *entry = g_hash_table_lookup (self->entries, plan_id);

  return entry != NULL && entry->watch != NULL ? kp_tree_watch_get_complaint (entry->watch) : NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The sentences of the interface: what a plan and its job say on the bus, turned into words for
 * people. Pure functions: the time is passed in, and nothing is looked up. */

#include <glib.h>

G_BEGIN_DECLS

/* The one thing that helps in a state. */
typedef enum
{
  KP_HELP_NONE,
  KP_HELP_RUN,        /* back up now */
  KP_HELP_RUN_ANYWAY, /* … although something speaks against it */
  KP_HELP_TRY,        /* … once more, as things may be better now */
  KP_HELP_RESUME,     /* end the pause of everything */
  KP_HELP_UNLOCK,     /* the keyring */
  KP_HELP_ENTER_KEYS,
  KP_HELP_EDIT, /* the folders or the storage */
  KP_HELP_CONSENT,
  KP_HELP_SHOW_PROBLEMS,
} KpHelp;

typedef enum
{
  KP_MOOD_FINE,
  KP_MOOD_BUSY,
  KP_MOOD_WAITING,
  KP_MOOD_WARNING,
  KP_MOOD_ERROR,
} KpMood;

/* What the agent says of a plan, as in its D-Bus interface. Texts are never %NULL. */
typedef struct
{
  const char *state;
  const char *held_by;
  const char *held_message;
  gint64 due_since;
  gint64 next_run;
  gint64 last_success;
  gint64 last_complete;
  const char *last_result;
  const char *last_reason;
  const char *last_message;
  guint64 deletions_held;
  guint64 damaged; /* files that a verification found to be, and no backup has sent again */
  gboolean overdue;
  gint64 last_start;    /* of a backup */
  gint64 erased_at;     /* when what is stored was deleted, or a part of it; 0: it was not */
  guint64 erased;       /* objects of that, as far as is known */
  gboolean erased_all;  /* nothing is left */
  gint64 paused_until;  /* of the agent as a whole */
  const char *job_kind; /* "" without one */
  const char *job_state;
  const char *job_waiting; /* what a job waits for, the agent's sentence, or "" */
} KpPlanFacts;

/* How a plan stands. */
typedef struct
{
  char *title;
  char *detail;    /* "" when there is nothing to add */
  char *technical; /* the cause for those who want to know it, or "" */
  KpMood mood;
  KpHelp help;
} KpStanding;

KpStanding *kp_words_describe_plan (const KpPlanFacts *facts, gint64 now);
void kp_standing_free (KpStanding *standing);
const char *kp_words_mood_icon (KpMood mood);
const char *kp_words_mood_class (KpMood mood);
const char *kp_words_help_label (KpHelp help);

/* Of a job, as in its Progress. */
typedef struct
{
  guint64 bytes_total;
  guint64 bytes_moved; /* at least on the way, as the tray and the time that is left have it */
  guint64 files_total;
  guint64 files_done;
  guint64 files_scanned;
  guint64 objects_listed;
  guint64 failed;
  guint64 rate; /* bytes per second */
  gint64 left;  /* seconds, -1 when not known */
} KpJobFacts;

char *kp_words_phase (const char *kind, const char *state);
char *kp_words_progress (const char *kind, const char *state, const KpJobFacts *facts);
double kp_words_fraction (const KpJobFacts *facts);

char *kp_words_past (gint64 time, gint64 now);
char *kp_words_future (gint64 time, gint64 now);
char *kp_words_size (guint64 bytes);
char *kp_words_rate (guint64 bytes_per_second);
char *kp_words_duration (guint64 seconds);
char *kp_words_estimate (guint64 bytes, guint64 bytes_per_second);
char *kp_words_files (guint64 n);
char *kp_words_schedule (const char *schedule);

/* Of a row of the history. */
typedef struct
{
  const char *kind;
  const char *trigger;
  const char *state;
  gint64 started;
  gint64 ended;
  guint64 changed; /* files that were sent, copied or brought up to date */
  guint64 unchanged;
  guint64 deleted;
  guint64 failed;
  guint64 bytes_sent;
  guint64 bytes_saved;
} KpHistoryFacts;

char *kp_words_history_title (const KpHistoryFacts *facts);
char *kp_words_history_detail (const KpHistoryFacts *facts, gint64 now);

char *kp_words_deletion (gboolean deletes, unsigned keep_days);
/* Of the verifications of a plan. */
typedef struct
{
  gint64 last_verified; /* 0: never, or never without a fault */
  guint64 damaged;      /* as in KpPlanFacts */
  guint64 objects;      /* 0: nothing is known of what was proved */
  guint64 objects_proved;
  gint64 oldest_proof;
} KpVerifyFacts;

char *kp_words_verification (const KpVerifyFacts *facts, gint64 now);
char *kp_words_damage_advice (const char *reason);

char *kp_words_shorten (const char *text, glong limit);
char *kp_words_problem_advice (const char *reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpStanding, kp_standing_free)

G_END_DECLS

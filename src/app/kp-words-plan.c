/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "config.h"

#include "kp-words.h"

#include <glib/gi18n.h>
#include <inttypes.h>

/* --- how a plan stands ---------------------------------------------------------------------- */

static KpStanding *
make_standing (KpMood mood, KpHelp help, char *title, char *detail)
{
  KpStanding *standing = g_new0 (KpStanding, 1);

  standing->title = title;
  standing->detail = detail != NULL ? detail : g_strdup ("");
  standing->technical = g_strdup ("");
  standing->mood = mood;
  standing->help = help;
  return standing;
}

void
kp_standing_free (KpStanding *standing)
{
  g_free (standing->title);
  g_free (standing->detail);
  g_free (standing->technical);
  g_free (standing);
}

static char *
describe_last_success (const KpPlanFacts *facts, gint64 now)
{
  if (facts->last_success == 0)
    return g_strdup (_ ("There is no backup yet."));
  if (facts->erased_at > 0)
    return g_strdup (facts->erased_all   ? _ ("Its backup is deleted.")
                     : facts->erased > 0 ? _ ("Its backup is deleted in part.")
                                         : _ ("Its backup may be deleted in part."));
  g_autofree char *time = kp_words_past (facts->last_success, now);
  /* Translators: %s is a time, as in "12 minutes ago" or "yesterday at 15:30" */
  return g_strdup_printf (_ ("The last backup was %s."), time);
}

static char *
describe_next_run (const KpPlanFacts *facts, gint64 now)
{
  if (facts->next_run == 0)
    return g_strdup ("");
  g_autofree char *time = kp_words_future (facts->next_run, now);
  /* Translators: %s is a time, as in "tomorrow at 12:30" */
  return g_strdup_printf (_ ("The next one is due %s."), time);
}

/* Since when nothing was backed up matters more than what is in the way now. */
static char *
make_overdue_title (const KpPlanFacts *facts, gint64 now)
{
  if (facts->last_success == 0)
    return g_strdup (_ ("Overdue: there is no backup yet"));
  g_autofree char *time = kp_words_past (facts->last_success, now);
  /* Translators: %s is a time, as in "on Tuesday at 15:30" */
  return g_strdup_printf (_ ("Overdue: the last backup was %s"), time);
}

static KpStanding *
describe_job (const KpPlanFacts *facts)
{
  if (g_str_equal (facts->job_state, "paused"))
    return make_standing (KP_MOOD_WAITING, facts->paused_until != 0 ? KP_HELP_RESUME : KP_HELP_NONE,
                          g_strdup (_ ("Paused")), NULL);
  if (g_str_equal (facts->job_state, "queued"))
    return make_standing (KP_MOOD_WAITING, KP_HELP_NONE,
                          g_strdup (_ ("Waiting for another job to end")), NULL);
  if (g_str_equal (facts->job_state, "waiting"))
    return make_standing (
        KP_MOOD_WAITING, KP_HELP_NONE,
        g_strdup (*facts->job_waiting != '\0' ? facts->job_waiting : _ ("Waiting")), NULL);
  if (g_str_equal (facts->job_kind, "restore"))
    return make_standing (KP_MOOD_BUSY, KP_HELP_NONE, g_strdup (_ ("Restoring…")), NULL);
  if (g_str_equal (facts->job_kind, "verify"))
    return make_standing (KP_MOOD_BUSY, KP_HELP_NONE, g_strdup (_ ("Verifying…")), NULL);
  if (g_str_equal (facts->job_kind, "erase"))
    return make_standing (KP_MOOD_BUSY, KP_HELP_NONE, g_strdup (_ ("Deleting the backup…")), NULL);
  return make_standing (KP_MOOD_BUSY, KP_HELP_NONE, g_strdup (_ ("Backing up…")), NULL);
}

/* The cause as the engine puts it, for those who want to know it; not where it is said already. */
static KpStanding *
add_technical (KpStanding *standing, const char *message)
{
  if (*message != '\0' && !g_str_equal (message, standing->detail))
    {
      g_free (standing->technical);
      standing->technical = g_strdup (message);
    }
  return standing;
}

/* What holds the plan back, and what can be done about it. */
static KpStanding *
describe_held (const KpPlanFacts *facts, gint64 now)
{
  static const struct
  {
    const char *held_by;
    const char *title;
    const char
        *detail; /* NULL: the agent's sentence, which is translated, "": nothing is missing */
    KpMood mood;
    KpHelp help;
  } reasons[] = {
    { "offline", N_ ("Waiting: there is no network connection"), "", KP_MOOD_WAITING,
      KP_HELP_NONE },
    { "metered", N_ ("Waiting: on a metered network"), "", KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "battery", N_ ("Waiting: running on battery"), "", KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "power-saver", N_ ("Waiting: power saving is on"), "", KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "keyring-locked", N_ ("The keyring is locked"),
      N_ ("The keys for the storage are in it. Backups wait until you unlock it."), KP_MOOD_ERROR,
      KP_HELP_UNLOCK },
    { "keyring-missing", N_ ("The keys for the storage are missing"),
      N_ ("Enter them once more. They are kept in the keyring."), KP_MOOD_ERROR,
      KP_HELP_ENTER_KEYS },
    { "keyring-unavailable", N_ ("There is no keyring in this session"),
      N_ ("The keys for the storage are kept in one. Backups wait until it is there."),
      KP_MOOD_ERROR, KP_HELP_TRY },
    { "paused", N_ ("Backups are paused"), NULL, KP_MOOD_WAITING, KP_HELP_RESUME },
    { "another-job", N_ ("Waiting for another job to end"), "", KP_MOOD_WAITING, KP_HELP_NONE },
    { "source-missing", N_ ("A folder is not there"),
      N_ ("It was moved or deleted, or is on a disk that is not connected."), KP_MOOD_ERROR,
      KP_HELP_EDIT },
    { "waking-up", N_ ("Waiting a moment after the start"), "", KP_MOOD_WAITING, KP_HELP_NONE },
    { "back-off", N_ ("The last try failed"), N_ ("It is tried again by itself in a while."),
      KP_MOOD_ERROR, KP_HELP_TRY },
    { NULL, N_ ("Waiting"), NULL, KP_MOOD_WAITING, KP_HELP_TRY },
  };
  gsize i = 0;

  while (reasons[i].held_by != NULL && !g_str_equal (reasons[i].held_by, facts->held_by))
    i++;
  const char *title = _ (reasons[i].title);
  gboolean tells = reasons[i].detail == NULL && *facts->held_message != '\0';
  gboolean has_own = reasons[i].detail != NULL && *reasons[i].detail != '\0';
  KpStanding *standing;
  if (facts->overdue)
    standing = make_standing (KP_MOOD_WARNING, reasons[i].help, make_overdue_title (facts, now),
                              g_strdup (tells ? facts->held_message : title));
  else
    standing = make_standing (reasons[i].mood, reasons[i].help, g_strdup (title),
                              tells     ? g_strdup (facts->held_message)
                              : has_own ? g_strdup (_ (reasons[i].detail))
                                        : describe_last_success (facts, now));
  /* What the engine says, which is not translated, is for those who want to know it. */
  return add_technical (standing, g_str_equal (facts->held_by, "back-off") ? facts->last_message
                                  : has_own                                ? facts->held_message
                                                                           : "");
}

static KpStanding *
describe_failure (const KpPlanFacts *facts, gint64 now)
{
  static const struct
  {
    const char *reason;
    const char *title;
    const char *detail; /* NULL where nothing more is known */
    KpHelp help;
  } reasons[] = {
    { "offline", N_ ("The storage could not be reached"),
      N_ ("Check your network, and the address of the storage."), KP_HELP_TRY },
    { "bad-credentials", N_ ("The storage refused the keys"),
      N_ ("Enter them again, or make new ones at your provider."), KP_HELP_ENTER_KEYS },
    { "access-denied", N_ ("The keys may not do what a backup needs"),
      N_ ("Let them list, read, write and delete in the bucket, or enter others."),
      KP_HELP_ENTER_KEYS },
    { "tls", N_ ("The server is not trusted"),
      N_ ("Its certificate is not valid for this address, so nothing was sent to it."),
      KP_HELP_EDIT },
    { "no-such-bucket", N_ ("The bucket is not there"),
      N_ ("Create it again at your provider, or choose another one."), KP_HELP_EDIT },
    { "clock-skew", N_ ("The clock of this computer is wrong"),
      N_ ("The storage refuses to talk to it. Set the clock first."), KP_HELP_TRY },
    { "quota", N_ ("The storage is full"), N_ ("Make room at your provider, then try again."),
      KP_HELP_TRY },
    { "source-missing", N_ ("A folder is not there"),
      N_ ("It was moved or deleted, or is on a disk that is not connected."), KP_HELP_EDIT },
    { NULL, N_ ("The last backup failed"), NULL, KP_HELP_TRY },
  };
  gsize i = 0;

  while (reasons[i].reason != NULL && !g_str_equal (reasons[i].reason, facts->last_reason))
    i++;
  char *detail = reasons[i].detail != NULL ? g_strdup (_ (reasons[i].detail))
                                           : describe_last_success (facts, now);
  return add_technical (
      make_standing (KP_MOOD_ERROR, reasons[i].help, g_strdup (_ (reasons[i].title)), detail),
      facts->last_message);
}

/* Somebody wanted all of it to go, with the plan, and that did not come to its end. */
static KpStanding *
describe_erased (const KpPlanFacts *facts)
{
  if (facts->erased_all)
    return make_standing (KP_MOOD_WARNING, KP_HELP_RUN, g_strdup (_ ("Its backup is deleted")),
                          g_strdup (_ ("The plan itself could not be deleted. It does nothing by "
                                       "itself any more; delete it again, or back up again.")));
  if (facts->erased == 0)
    return make_standing (
        KP_MOOD_WARNING, KP_HELP_RUN, g_strdup (_ ("Its backup may be deleted in part")),
        g_strdup (_ ("Deleting it was cut off. Back up again to make it whole, or "
                     "delete the plan again to delete the rest.")));
  return make_standing (
      KP_MOOD_WARNING, KP_HELP_RUN, g_strdup (_ ("Its backup is deleted in part")),
      g_strdup_printf (
          ngettext ("%'" PRIu64 " object is gone. Back up again to make it whole, or delete the "
                    "plan again to delete the rest.",
                    "%'" PRIu64 " objects are gone. Back up again to make it whole, or delete the "
                    "plan again to delete the rest.",
                    (gulong) facts->erased),
          facts->erased));
}

static KpStanding *
describe_guard (const KpPlanFacts *facts)
{
  return make_standing (
      KP_MOOD_WARNING, KP_HELP_CONSENT,
      g_strdup_printf (ngettext ("%" PRIu64 " deletion needs your consent",
                                 "%" PRIu64 " deletions need your consent",
                                 (gulong) facts->deletions_held),
                       facts->deletions_held),
      g_strdup (_ ("Many files are gone from your folders. They stay in the backup until you say "
                   "that this is right.")));
}

static KpStanding *
describe_damage (const KpPlanFacts *facts)
{
  return make_standing (
      KP_MOOD_ERROR, KP_HELP_RUN,
      g_strdup_printf (ngettext ("%'" PRIu64 " file in the backup is damaged or missing",
                                 "%'" PRIu64 " files in the backup are damaged or missing",
                                 (gulong) facts->damaged),
                       facts->damaged),
      g_strdup (_ ("A verification has found it. The next backup sends again what is still "
                   "here.")));
}

static KpStanding *
describe_overdue (const KpPlanFacts *facts, gint64 now)
{
  if (facts->due_since == 0)
    return make_standing (KP_MOOD_WARNING, KP_HELP_RUN, make_overdue_title (facts, now), NULL);
  g_autofree char *time = kp_words_past (facts->due_since, now);
  return make_standing (KP_MOOD_WARNING, KP_HELP_RUN, make_overdue_title (facts, now),
                        /* Translators: %s is a time, as in "3 hours ago" */
                        g_strdup_printf (_ ("The next one was due %s."), time));
}

static KpStanding *
describe_success (const KpPlanFacts *facts, gint64 now)
{
  g_autofree char *time = kp_words_past (facts->last_success, now);
  gboolean some_failed = facts->last_complete < facts->last_success;

  if (some_failed)
    return make_standing (KP_MOOD_WARNING, KP_HELP_SHOW_PROBLEMS,
                          /* Translators: %s is a time, as in "12 minutes ago" */
                          g_strdup_printf (_ ("Backed up %s, but not all files"), time),
                          g_strdup (_ ("The others are safe. These are tried again with the next "
                                       "backup.")));
  return make_standing (KP_MOOD_FINE, KP_HELP_NONE,
                        /* Translators: %s is a time, as in "12 minutes ago" */
                        g_strdup_printf (_ ("Backed up %s"), time), describe_next_run (facts, now));
}

/**
 * kp_words_describe_plan:
 * @now: seconds since 1970 UTC
 *
 * What matters most comes first: a job that runs, then what somebody has to do, then the past.
 */
KpStanding *
kp_words_describe_plan (const KpPlanFacts *facts, gint64 now)
{
  if (*facts->job_kind != '\0')
    return describe_job (facts);
  if (g_str_equal (facts->state, "disabled"))
    return make_standing (KP_MOOD_WAITING, KP_HELP_EDIT, g_strdup (_ ("Switched off")),
                          describe_last_success (facts, now));
  if (*facts->held_by != '\0')
    return describe_held (facts, now);
  if (facts->paused_until != 0)
    return make_standing (KP_MOOD_WAITING, KP_HELP_RESUME, g_strdup (_ ("Backups are paused")),
                          describe_last_success (facts, now));
  /* What failed since then is in the way of making it whole. */
  gboolean failed = g_str_equal (facts->last_result, "failed");
  if (facts->erased_at > 0 && !(failed && facts->last_start > facts->erased_at))
    return describe_erased (facts);
  if (facts->deletions_held > 0)
    return describe_guard (facts);
  if (failed)
    return describe_failure (facts, now);
  if (facts->damaged > 0)
    return describe_damage (facts);
  if (facts->overdue)
    return describe_overdue (facts, now);
  if (facts->last_success > 0)
    return describe_success (facts, now);
  if (g_str_equal (facts->last_result, "cancelled"))
    return make_standing (KP_MOOD_WAITING, KP_HELP_RUN, g_strdup (_ ("The backup was cancelled")),
                          g_strdup (_ ("There is no backup yet. What was sent is kept, and the "
                                       "next one goes on from there.")));
  return make_standing (KP_MOOD_WAITING, KP_HELP_RUN, g_strdup (_ ("No backup yet")),
                        describe_next_run (facts, now));
}

const char *
kp_words_mood_icon (KpMood mood)
{
  switch (mood)
    {
    case KP_MOOD_FINE:
      return "object-select-symbolic";
    case KP_MOOD_BUSY:
      return "view-refresh-symbolic";
    case KP_MOOD_WAITING:
      return "content-loading-symbolic";
    case KP_MOOD_WARNING:
      return "dialog-warning-symbolic";
    case KP_MOOD_ERROR:
    default:
      return "dialog-error-symbolic";
    }
}

/* A style class of libadwaita, or of ours. */
const char *
kp_words_mood_class (KpMood mood)
{
  switch (mood)
    {
    case KP_MOOD_FINE:
      return "success";
    case KP_MOOD_BUSY:
      return "accent";
    case KP_MOOD_WAITING:
      return "dim-label";
    case KP_MOOD_WARNING:
      return "warning";
    case KP_MOOD_ERROR:
    default:
      return "error";
    }
}

/**
 * kp_words_help_label:
 *
 * Returns: (nullable): what the button says, with a mnemonic
 */
const char *
kp_words_help_label (KpHelp help)
{
  switch (help)
    {
    case KP_HELP_RUN:
      return _ ("_Back Up Now");
    case KP_HELP_RUN_ANYWAY:
      return _ ("_Back Up Anyway");
    case KP_HELP_TRY:
      return _ ("_Try Again");
    case KP_HELP_RESUME:
      return _ ("_Resume Backups");
    case KP_HELP_UNLOCK:
      return _ ("_Unlock Keyring…");
    case KP_HELP_ENTER_KEYS:
      return _ ("Enter _Keys…");
    case KP_HELP_EDIT:
      return _ ("_Edit Plan…");
    case KP_HELP_CONSENT:
      return _ ("_Review Deletions…");
    case KP_HELP_SHOW_PROBLEMS:
      return _ ("Show _Problems");
    case KP_HELP_NONE:
    default:
      return NULL;
    }
}

/* --- jobs ----------------------------------------------------------------------------------- */

/**
 * kp_words_phase:
 *
 * Returns: (transfer full): what the job is doing
 */
char *
kp_words_phase (const char *kind, const char *state)
{
  if (g_str_equal (state, "queued"))
    return g_strdup (_ ("Waiting for another job to end"));
  if (g_str_equal (state, "paused"))
    return g_strdup (_ ("Paused"));
  if (g_str_equal (state, "waiting"))
    return g_strdup (_ ("Waiting"));
  if (g_str_equal (state, "finished"))
    return g_strdup (_ ("Done"));
  if (g_str_equal (state, "failed"))
    return g_strdup (_ ("Failed"));
  if (g_str_equal (state, "cancelled"))
    return g_strdup (_ ("Cancelled"));
  if (g_str_equal (state, "comparing"))
    return g_strdup (_ ("Comparing with the backup"));
  if (g_str_equal (state, "scanning"))
    return g_strdup (g_str_equal (kind, "restore") || g_str_equal (kind, "erase")
                         ? _ ("Listing the backup")
                         : _ ("Looking for changes"));
  if (g_str_equal (kind, "restore"))
    return g_strdup (_ ("Restoring files"));
  if (g_str_equal (kind, "verify"))
    return g_strdup (_ ("Reading the backup again"));
  if (g_str_equal (kind, "erase"))
    return g_strdup (_ ("Deleting what is stored"));
  return g_strdup (_ ("Sending changes"));
}

/**
 * kp_words_fraction:
 *
 * Returns: how much is done, 0 to 1; below 0 as long as nobody can know
 */
double
kp_words_fraction (const KpJobFacts *facts)
{
  if (facts->bytes_total > 0)
    return CLAMP ((double) facts->bytes_moved / (double) facts->bytes_total, 0, 1);
  if (facts->files_total > 0)
    return CLAMP ((double) facts->files_done / (double) facts->files_total, 0, 1);
  return -1;
}

static void
add_part (GString *text, const char *part)
{
  if (text->len > 0)
    g_string_append (text, " · ");
  g_string_append (text, part);
}

/**
 * kp_words_progress:
 *
 * Returns: (transfer full): "12 of 60 files · 1.2 MiB of 3.0 MiB · 256 KiB/s · 5 min left"
 */
char *
kp_words_progress (const char *kind, const char *state, const KpJobFacts *facts)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean is_erase = g_str_equal (kind, "erase");
  gboolean moves = g_str_equal (state, "transferring");

  if (facts->files_total == 0 && facts->bytes_total == 0)
    {
      if (is_erase && facts->objects_listed > 0)
        {
          g_autofree char *seen = g_strdup_printf (ngettext ("%'" PRIu64 " object counted",
                                                             "%'" PRIu64 " objects counted",
                                                             (gulong) facts->objects_listed),
                                                   facts->objects_listed);
          add_part (text, seen);
        }
      else if (facts->files_scanned > 0)
        {
          g_autofree char *files = kp_words_files (facts->files_scanned);
          /* Translators: %s is as "1,234 files" */
          g_autofree char *seen = g_strdup_printf (_ ("%s looked at"), files);
          add_part (text, seen);
        }
      return g_string_free (g_steal_pointer (&text), FALSE);
    }
  g_autofree char *files = g_strdup_printf (
      is_erase
          ? ngettext ("%'" PRIu64 " of %'" PRIu64 " object deleted",
                      "%'" PRIu64 " of %'" PRIu64 " objects deleted", (gulong) facts->files_total)
          : ngettext ("%'" PRIu64 " of %'" PRIu64 " file", "%'" PRIu64 " of %'" PRIu64 " files",
                      (gulong) facts->files_total),
      facts->files_done, facts->files_total);
  add_part (text, files);
  if (facts->bytes_total > 0)
    {
      g_autofree char *done = kp_words_size (facts->bytes_moved);
      g_autofree char *total = kp_words_size (facts->bytes_total);
      /* Translators: two sizes */
      g_autofree char *bytes = g_strdup_printf (_ ("%s of %s"), done, total);
      add_part (text, bytes);
    }
  if (moves && facts->rate > 0)
    {
      g_autofree char *rate = kp_words_rate (facts->rate);
      add_part (text, rate);
    }
  if (moves && facts->left >= 0 && facts->bytes_moved < facts->bytes_total)
    {
      g_autofree char *duration = kp_words_duration ((guint64) facts->left);
      /* Translators: %s is a duration, as in "5 min" or "less than a minute" */
      g_autofree char *left = g_strdup_printf (_ ("%s left"), duration);
      add_part (text, left);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* --- history -------------------------------------------------------------------------------- */

static char *
describe_finished (const KpHistoryFacts *facts)
{
  if (g_str_equal (facts->kind, "restore"))
    return g_strdup_printf (ngettext ("Restored %'" PRIu64 " file", "Restored %'" PRIu64 " files",
                                      (gulong) facts->changed),
                            facts->changed);
  if (g_str_equal (facts->kind, "verify"))
    return g_strdup_printf (ngettext ("Verified %'" PRIu64 " file", "Verified %'" PRIu64 " files",
                                      (gulong) facts->unchanged),
                            facts->unchanged);
  if (g_str_equal (facts->kind, "erase"))
    return g_strdup_printf (ngettext ("Deleted %'" PRIu64 " object", "Deleted %'" PRIu64 " objects",
                                      (gulong) facts->deleted),
                            facts->deleted);
  if (facts->changed == 0 && facts->deleted == 0 && facts->failed == 0)
    return g_strdup (_ ("Nothing had changed"));
  return g_strdup_printf (ngettext ("Backed up %'" PRIu64 " file", "Backed up %'" PRIu64 " files",
                                    (gulong) facts->changed),
                          facts->changed);
}

char *
kp_words_history_title (const KpHistoryFacts *facts)
{
  gboolean is_backup = g_str_equal (facts->kind, "backup");

  if (g_str_equal (facts->state, "finished"))
    return describe_finished (facts);
  if (g_str_equal (facts->state, "running"))
    return g_strdup (_ ("Running"));
  if (g_str_equal (facts->state, "cancelled"))
    return g_strdup (is_backup                            ? _ ("Backup cancelled")
                     : g_str_equal (facts->kind, "erase") ? _ ("Deletion cancelled")
                                                          : _ ("Cancelled"));
  if (g_str_equal (facts->state, "interrupted"))
    return g_strdup (_ ("Interrupted: the computer or the program ended"));
  if (g_str_equal (facts->kind, "restore"))
    return g_strdup (_ ("Restore failed"));
  if (g_str_equal (facts->kind, "verify"))
    return g_strdup (_ ("Verification failed"));
  if (g_str_equal (facts->kind, "erase"))
    return g_strdup (_ ("Deletion failed"));
  return g_strdup (_ ("Backup failed"));
}

/* "Today 15:30" for a list, where "5 minutes ago" would grow old. */
static char *
describe_moment (gint64 time, gint64 now)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time);
  g_autoptr (GDateTime) today = g_date_time_new_from_unix_local (now);

  if (g_date_time_get_day_of_year (then) == g_date_time_get_day_of_year (today)
      && g_date_time_get_year (then) == g_date_time_get_year (today))
    /* Translators: g_date_time_format(), in a list of times */
    return g_date_time_format (then, _ ("Today %H:%M"));
  /* Translators: g_date_time_format(), in a list of times: day and time */
  return g_date_time_format (then, _ ("%-d %B, %H:%M"));
}

char *
kp_words_history_detail (const KpHistoryFacts *facts, gint64 now)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *moment = describe_moment (facts->started, now);

  add_part (text, moment);
  if (facts->bytes_sent > 0)
    {
      g_autofree char *size = kp_words_size (facts->bytes_sent);
      g_autofree char *sent = g_strdup_printf (g_str_equal (facts->kind, "backup")
                                                   /* Translators: %s is a size */
                                                   ? _ ("%s sent")
                                                   /* Translators: %s is a size */
                                                   : _ ("%s received"),
                                               size);
      add_part (text, sent);
    }
  if (facts->bytes_saved > 0)
    {
      g_autofree char *size = kp_words_size (facts->bytes_saved);
      /* Translators: %s is a size that did not have to be sent again */
      g_autofree char *saved = g_strdup_printf (_ ("%s saved"), size);
      add_part (text, saved);
    }
  if (facts->deleted > 0)
    {
      g_autofree char *deleted = g_strdup_printf (
          ngettext ("%" PRIu64 " deleted", "%" PRIu64 " deleted", (gulong) facts->deleted),
          facts->deleted);
      add_part (text, deleted);
    }
  if (facts->failed > 0)
    {
      g_autofree char *failed = g_strdup_printf (
          ngettext ("%" PRIu64 " problem", "%" PRIu64 " problems", (gulong) facts->failed),
          facts->failed);
      add_part (text, failed);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/**
 * kp_words_problem_advice:
 * @reason: the name of an error
 *
 * Returns: (transfer full): what somebody can do about a file that failed, or ""
 */
char *
kp_words_problem_advice (const char *reason)
{
  static const struct
  {
    const char *reason;
    const char *advice;
  } all[] = {
    { "source-unreadable", N_ ("You may not read it. Change its permissions, or exclude it.") },
    { "changed-while-reading",
      N_ ("It was being written all the time. It is tried again with the next backup.") },
    { "name-too-long", N_ ("Its path is too long for the storage. Use shorter names.") },
    { "metadata-too-large", N_ ("Its extended attributes are too large for the storage.") },
    { "corrupt", N_ ("What the storage holds is not what was sent. Back up again.") },
    { "bad-name", N_ ("Its name cannot be used here.") },
    { "conflict", N_ ("Something else was in its place.") },
    { "local-storage", N_ ("The disk is full or cannot be written.") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (g_str_equal (all[i].reason, reason))
      return g_strdup (_ (all[i].advice));
  return g_strdup ("");
}

/* --- verification --------------------------------------------------------------------------- */

static char *
describe_coverage (const KpVerifyFacts *facts, gint64 now)
{
  unsigned days = (unsigned) (MAX (now - facts->oldest_proof, 0) / (24 * 60 * 60));

  if (facts->objects_proved < facts->objects)
    return g_strdup_printf (
        /* Translators: how many files were proved, and how many there are */
        ngettext ("%'" PRIu64 " of %'" PRIu64 " file proved since it was stored",
                  "%'" PRIu64 " of %'" PRIu64 " files proved since they were stored",
                  (gulong) facts->objects),
        facts->objects_proved, facts->objects);
  if (days < 1)
    return g_strdup (_ ("All files were proved within the last day"));
  return g_strdup_printf (ngettext ("All files were proved within the last %u day",
                                    "All files were proved within the last %u days", days + 1),
                          days + 1);
}

/**
 * kp_words_verification:
 *
 * Returns: (transfer full): what was found when the backup was read again, in one line or a few
 */
char *
kp_words_verification (const KpVerifyFacts *facts, gint64 now)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (facts->damaged > 0)
    g_string_append_printf (text,
                            ngettext ("%'" PRIu64 " file is damaged or missing in the storage",
                                      "%'" PRIu64 " files are damaged or missing in the storage",
                                      (gulong) facts->damaged),
                            facts->damaged);
  else if (facts->last_verified > 0)
    {
      g_autofree char *when = kp_words_past (facts->last_verified, now);
      g_string_append (text, when);
    }
  if (facts->objects > 0)
    {
      g_autofree char *coverage = describe_coverage (facts, now);
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", coverage);
    }
  if (text->len == 0)
    g_string_append (text, _ ("Never: nothing has been read back from the storage yet"));
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/**
 * kp_words_damage_advice:
 * @reason: the name of an error
 *
 * Returns: (transfer full): what somebody can do about a file that a verification could not prove,
 *   or ""
 */
char *
kp_words_damage_advice (const char *reason)
{
  if (g_str_equal (reason, "corrupt"))
    return g_strdup (_ ("What the storage holds is not what was sent. The next backup sends it "
                        "again, if the file is still here."));
  if (g_str_equal (reason, "not-found"))
    return g_strdup (_ ("It is no longer in the storage. The next backup sends it again."));
  if (g_str_equal (reason, "conflict"))
    return g_strdup (_ ("The file here is not as it was stored, though nobody has changed it: this "
                        "disk may be failing. Restore it into another folder and compare."));
  return kp_words_problem_advice (reason);
}

/**
 * kp_words_deletion:
 * @deletes: whether what is deleted here is deleted in the backup
 * @keep_days: for how many days it is kept there; 0: not at all
 *
 * Returns: (transfer full): what becomes of files that were deleted here
 */
char *
kp_words_deletion (gboolean deletes, unsigned keep_days)
{
  if (!deletes)
    return g_strdup (_ ("Stay in the backup"));
  if (keep_days == 0)
    return g_strdup (_ ("Are deleted from the backup too"));
  return g_strdup_printf (
      ngettext (
          "Are deleted from the backup too; they, and what was replaced, are kept for %u day",
          "Are deleted from the backup too; they, and what was replaced, are kept for %u days",
          keep_days),
      keep_days);
}

/**
 * kp_words_shorten:
 * @limit: characters
 *
 * Returns: (transfer full): @text, or its beginning and an ellipsis. A label lays all of its text
 *   out, also what it does not show.
 */
char *
kp_words_shorten (const char *text, glong limit)
{
  g_autofree char *start = NULL;

  if (g_utf8_strlen (text, -1) <= limit)
    return g_strdup (text);
  start = g_utf8_substring (text, 0, limit);
  return g_strconcat (start, "…", NULL);
}

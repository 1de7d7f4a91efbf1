/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-words.h"

#include <locale.h>

/* Wednesday, 4 March 2026, 15:00 UTC */
#define NOW G_GINT64_CONSTANT (1772636400)
#define HOUR 3600
#define DAY (24 * HOUR)

#define KIB G_GUINT64_CONSTANT (1024)

#define LAST "The last backup was 2 hours ago."
#define SAID "The agent's sentence."

/* A plan that is well; tests change what they are about. */
static KpPlanFacts
make_facts (void)
{
  return (KpPlanFacts){
    .state = "idle",
    .held_by = "",
    .held_message = "",
    .next_run = NOW + DAY,
    .last_success = NOW - 2 * HOUR,
    .last_complete = NOW - 2 * HOUR,
    .last_result = "finished",
    .last_reason = "",
    .last_message = "",
    .job_kind = "",
    .job_state = "",
    .job_waiting = "",
  };
}

static void
assert_standing (const KpPlanFacts *facts,
                 const char *title,
                 const char *detail,
                 KpMood mood,
                 KpHelp help)
{
  g_autoptr (KpStanding) standing = kp_words_describe_plan (facts, NOW);

  g_assert_cmpstr (standing->title, ==, title);
  g_assert_cmpstr (standing->detail, ==, detail);
  g_assert_cmpint (standing->mood, ==, mood);
  g_assert_cmpint (standing->help, ==, help);
}

static void
test_fine (void)
{
  KpPlanFacts facts = make_facts ();

  assert_standing (&facts, "Backed up 2 hours ago", "The next one is due tomorrow at 15:00.",
                   KP_MOOD_FINE, KP_HELP_NONE);
  facts.next_run = 0;
  assert_standing (&facts, "Backed up 2 hours ago", "", KP_MOOD_FINE, KP_HELP_NONE);
  facts.last_complete = NOW - DAY;
  assert_standing (&facts, "Backed up 2 hours ago, but not all files",
                   "The others are safe. These are tried again with the next backup.",
                   KP_MOOD_WARNING, KP_HELP_SHOW_PROBLEMS);
}

static void
test_new (void)
{
  KpPlanFacts facts = make_facts ();

  facts.last_success = facts.last_complete = 0;
  facts.last_result = "";
  assert_standing (&facts, "No backup yet", "The next one is due tomorrow at 15:00.",
                   KP_MOOD_WAITING, KP_HELP_RUN);
  facts.last_result = "cancelled";
  g_autoptr (KpStanding) cancelled = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (cancelled->title, ==, "The backup was cancelled");
  g_assert_cmpint (cancelled->help, ==, KP_HELP_RUN);
}

/* The plan was to go with its backup. */
static void
test_erased (void)
{
  KpPlanFacts facts = make_facts ();

  facts.last_start = NOW - 2 * HOUR;
  facts.erased_at = NOW - HOUR;
  assert_standing (&facts, "Its backup may be deleted in part",
                   "Deleting it was cut off. Back up again to make it whole, or delete the plan "
                   "again to delete the rest.",
                   KP_MOOD_WARNING, KP_HELP_RUN);
  facts.erased = 7;
  facts.overdue = TRUE;
  assert_standing (&facts, "Its backup is deleted in part",
                   "7 objects are gone. Back up again to make it whole, or delete the plan again "
                   "to delete the rest.",
                   KP_MOOD_WARNING, KP_HELP_RUN);
  facts.held_by = "offline";
  facts.overdue = FALSE;
  assert_standing (&facts, "Waiting: there is no network connection",
                   "Its backup is deleted in part.", KP_MOOD_WAITING, KP_HELP_NONE);
  facts.held_by = "";
  facts.last_result = "failed";
  facts.last_reason = "bad-credentials";
  g_autoptr (KpStanding) before = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (before->title, ==, "Its backup is deleted in part");
  facts.last_start = NOW - 60;
  g_autoptr (KpStanding) since = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (since->title, ==, "The storage refused the keys");
  facts.last_result = "finished";
  facts.erased_all = TRUE;
  g_autoptr (KpStanding) all = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (all->title, ==, "Its backup is deleted");
}

/* What runs comes before all that is wrong otherwise. */
static void
test_job (void)
{
  KpPlanFacts facts = make_facts ();

  facts.last_result = "failed";
  facts.overdue = TRUE;
  facts.job_kind = "backup";
  facts.job_state = "transferring";
  assert_standing (&facts, "Backing up…", "", KP_MOOD_BUSY, KP_HELP_NONE);
  facts.job_kind = "restore";
  assert_standing (&facts, "Restoring…", "", KP_MOOD_BUSY, KP_HELP_NONE);
  facts.job_kind = "verify";
  assert_standing (&facts, "Verifying…", "", KP_MOOD_BUSY, KP_HELP_NONE);
  facts.job_kind = "erase";
  assert_standing (&facts, "Deleting the backup…", "", KP_MOOD_BUSY, KP_HELP_NONE);
  facts.job_state = "waiting";
  assert_standing (&facts, "Waiting", "", KP_MOOD_WAITING, KP_HELP_NONE);
  facts.job_waiting = SAID;
  assert_standing (&facts, SAID, "", KP_MOOD_WAITING, KP_HELP_NONE);
  facts.job_state = "queued";
  assert_standing (&facts, "Waiting for another job to end", "", KP_MOOD_WAITING, KP_HELP_NONE);
  facts.job_state = "paused";
  assert_standing (&facts, "Paused", "", KP_MOOD_WAITING, KP_HELP_NONE);
  facts.paused_until = -1;
  assert_standing (&facts, "Paused", "", KP_MOOD_WAITING, KP_HELP_RESUME);
}

/* Each reason has its title and its one button; what the title says in full is not said again. */
static void
test_held (void)
{
  static const struct
  {
    const char *held_by;
    const char *title;
    const char *detail;
    KpMood mood;
    KpHelp help;
  } all[] = {
    { "offline", "Waiting: there is no network connection", LAST, KP_MOOD_WAITING, KP_HELP_NONE },
    { "metered", "Waiting: on a metered network", LAST, KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "battery", "Waiting: running on battery", LAST, KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "power-saver", "Waiting: power saving is on", LAST, KP_MOOD_WAITING, KP_HELP_RUN_ANYWAY },
    { "keyring-locked", "The keyring is locked",
      "The keys for the storage are in it. Backups wait until you unlock it.", KP_MOOD_ERROR,
      KP_HELP_UNLOCK },
    { "keyring-missing", "The keys for the storage are missing",
      "Enter them once more. They are kept in the keyring.", KP_MOOD_ERROR, KP_HELP_ENTER_KEYS },
    { "keyring-unavailable", "There is no keyring in this session",
      "The keys for the storage are kept in one. Backups wait until it is there.", KP_MOOD_ERROR,
      KP_HELP_TRY },
    { "paused", "Backups are paused", SAID, KP_MOOD_WAITING, KP_HELP_RESUME },
    { "another-job", "Waiting for another job to end", LAST, KP_MOOD_WAITING, KP_HELP_NONE },
    { "source-missing", "A folder is not there",
      "It was moved or deleted, or is on a disk that is not connected.", KP_MOOD_ERROR,
      KP_HELP_EDIT },
    { "waking-up", "Waiting a moment after the start", LAST, KP_MOOD_WAITING, KP_HELP_NONE },
    { "back-off", "The last try failed", "It is tried again by itself in a while.", KP_MOOD_ERROR,
      KP_HELP_TRY },
    { "a-reason-of-the-future", "Waiting", SAID, KP_MOOD_WAITING, KP_HELP_TRY },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    {
      KpPlanFacts facts = make_facts ();
      facts.state = "held";
      facts.held_by = all[i].held_by;
      facts.held_message = SAID;
      assert_standing (&facts, all[i].title, all[i].detail, all[i].mood, all[i].help);
      facts.held_message = "";
      assert_standing (&facts, all[i].title,
                       g_str_equal (all[i].detail, SAID) ? LAST : all[i].detail, all[i].mood,
                       all[i].help);
    }
}

/* Since when there is no backup comes first, then what is in the way, with its button. */
static void
test_overdue (void)
{
  KpPlanFacts facts = make_facts ();

  facts.overdue = TRUE;
  facts.last_success = facts.last_complete = NOW - 5 * DAY;
  facts.due_since = NOW - 4 * DAY;
  assert_standing (&facts, "Overdue: the last backup was on Friday at 15:00",
                   "The next one was due on Saturday at 15:00.", KP_MOOD_WARNING, KP_HELP_RUN);
  facts.state = "held";
  facts.held_by = "keyring-locked";
  facts.held_message = "The keyring is locked, says the agent.";
  assert_standing (&facts, "Overdue: the last backup was on Friday at 15:00",
                   "The keyring is locked", KP_MOOD_WARNING, KP_HELP_UNLOCK);
  facts.held_by = "source-missing";
  facts.held_message = "The folder is gone, says the agent.";
  assert_standing (&facts, "Overdue: the last backup was on Friday at 15:00",
                   "A folder is not there", KP_MOOD_WARNING, KP_HELP_EDIT);
  g_autoptr (KpStanding) missing = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (missing->technical, ==, "The folder is gone, says the agent.");
  facts.held_by = "offline";
  assert_standing (&facts, "Overdue: the last backup was on Friday at 15:00",
                   "Waiting: there is no network connection", KP_MOOD_WARNING, KP_HELP_NONE);
  facts.held_by = "";
  facts.due_since = facts.last_success = facts.last_complete = 0;
  assert_standing (&facts, "Overdue: there is no backup yet", "", KP_MOOD_WARNING, KP_HELP_RUN);
}

static void
test_paused_and_off (void)
{
  KpPlanFacts facts = make_facts ();

  facts.paused_until = NOW + HOUR;
  assert_standing (&facts, "Backups are paused", "The last backup was 2 hours ago.",
                   KP_MOOD_WAITING, KP_HELP_RESUME);
  facts.state = "disabled";
  assert_standing (&facts, "Switched off", "The last backup was 2 hours ago.", KP_MOOD_WAITING,
                   KP_HELP_EDIT);
}

static void
test_guard (void)
{
  KpPlanFacts facts = make_facts ();
  g_autoptr (KpStanding) standing = NULL;

  facts.deletions_held = 1234;
  standing = kp_words_describe_plan (&facts, NOW);
  g_assert_cmpstr (standing->title, ==, "1234 deletions need your consent");
  g_assert_cmpint (standing->mood, ==, KP_MOOD_WARNING);
  g_assert_cmpint (standing->help, ==, KP_HELP_CONSENT);
}

/* What is known is said in our words, and the engine's are a click away. */
static void
test_failed (void)
{
  static const struct
  {
    const char *reason;
    const char *title;
    const char *detail; /* NULL for what was last */
    KpHelp help;
  } all[] = {
    { "offline", "The storage could not be reached",
      "Check your network, and the address of the storage.", KP_HELP_TRY },
    { "bad-credentials", "The storage refused the keys",
      "Enter them again, or make new ones at your provider.", KP_HELP_ENTER_KEYS },
    { "access-denied", "The keys may not do what a backup needs",
      "Let them list, read, write and delete in the bucket, or enter others.", KP_HELP_ENTER_KEYS },
    { "tls", "The server is not trusted",
      "Its certificate is not valid for this address, so nothing was sent to it.", KP_HELP_EDIT },
    { "no-such-bucket", "The bucket is not there",
      "Create it again at your provider, or choose another one.", KP_HELP_EDIT },
    { "clock-skew", "The clock of this computer is wrong",
      "The storage refuses to talk to it. Set the clock first.", KP_HELP_TRY },
    { "quota", "The storage is full", "Make room at your provider, then try again.", KP_HELP_TRY },
    { "source-missing", "A folder is not there",
      "It was moved or deleted, or is on a disk that is not connected.", KP_HELP_EDIT },
    { "server", "The last backup failed", NULL, KP_HELP_TRY },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    {
      KpPlanFacts facts = make_facts ();
      facts.last_result = "failed";
      facts.last_reason = all[i].reason;
      assert_standing (&facts, all[i].title, all[i].detail != NULL ? all[i].detail : LAST,
                       KP_MOOD_ERROR, all[i].help);
      facts.last_message = "The cause.";
      g_autoptr (KpStanding) standing = kp_words_describe_plan (&facts, NOW);
      g_assert_cmpstr (standing->detail, ==, all[i].detail != NULL ? all[i].detail : LAST);
      g_assert_cmpstr (standing->technical, ==, "The cause.");
    }
}

/* Whatever somebody is to do has a button that says it; every mood an icon and a class. */
static void
test_labels (void)
{
  g_assert_null (kp_words_help_label (KP_HELP_NONE));
  for (int help = KP_HELP_NONE + 1; help <= KP_HELP_SHOW_PROBLEMS; help++)
    {
      const char *label = kp_words_help_label ((KpHelp) help);
      g_assert_nonnull (label);
      g_assert_nonnull (g_strstr_len (label, -1, "_"));
    }
  for (int mood = KP_MOOD_FINE; mood <= KP_MOOD_ERROR; mood++)
    {
      g_assert_true (g_str_has_suffix (kp_words_mood_icon ((KpMood) mood), "-symbolic"));
      g_assert_cmpint (kp_words_mood_class ((KpMood) mood)[0], !=, '\0');
    }
}

/* Takes @text. */
static void
assert_words (char *text, const char *expected)
{
  g_assert_cmpstr (text, ==, expected);
  g_free (text);
}

static void
test_phase (void)
{
  assert_words (kp_words_phase ("backup", "scanning"), "Looking for changes");
  assert_words (kp_words_phase ("restore", "scanning"), "Listing the backup");
  assert_words (kp_words_phase ("backup", "comparing"), "Comparing with the backup");
  assert_words (kp_words_phase ("backup", "transferring"), "Sending changes");
  assert_words (kp_words_phase ("restore", "transferring"), "Restoring files");
  assert_words (kp_words_phase ("verify", "transferring"), "Reading the backup again");
  assert_words (kp_words_phase ("erase", "scanning"), "Listing the backup");
  assert_words (kp_words_phase ("erase", "transferring"), "Deleting what is stored");
  assert_words (kp_words_phase ("backup", "waiting"), "Waiting");
  assert_words (kp_words_phase ("backup", "paused"), "Paused");
  assert_words (kp_words_phase ("backup", "finished"), "Done");
}

static void
test_progress (void)
{
  KpJobFacts facts = { .left = -1 };

  g_assert_cmpfloat (kp_words_fraction (&facts), <, 0);
  assert_words (kp_words_progress ("backup", "scanning", &facts), "");
  facts.files_scanned = 1234;
  assert_words (kp_words_progress ("backup", "scanning", &facts), "1234 files looked at");
  facts.files_total = 60;
  facts.files_done = 15;
  g_assert_cmpfloat (kp_words_fraction (&facts), ==, 0.25);
  assert_words (kp_words_progress ("backup", "transferring", &facts), "15 of 60 files");
  assert_words (kp_words_progress ("erase", "transferring", &facts), "15 of 60 objects deleted");
  facts.bytes_total = 2048 * KIB;
  facts.bytes_moved = 1024 * KIB;
  facts.rate = 256 * KIB;
  facts.left = 300;
  g_assert_cmpfloat (kp_words_fraction (&facts), ==, 0.5);
  assert_words (kp_words_progress ("backup", "transferring", &facts),
                "15 of 60 files · 1.0 MiB of 2.0 MiB · 256 KiB/s · 5 min left");
  /* Nothing moves: no rate and no time that would be a lie. */
  assert_words (kp_words_progress ("backup", "waiting", &facts),
                "15 of 60 files · 1.0 MiB of 2.0 MiB");
  facts.bytes_moved = facts.bytes_total;
  assert_words (kp_words_progress ("backup", "transferring", &facts),
                "15 of 60 files · 2.0 MiB of 2.0 MiB · 256 KiB/s");
}

static void
test_history (void)
{
  KpHistoryFacts facts = { .kind = "backup", .trigger = "", .state = "finished" };

  facts.started = NOW - HOUR;
  assert_words (kp_words_history_title (&facts), "Nothing had changed");
  facts.changed = 3;
  facts.bytes_sent = 1536;
  facts.bytes_saved = 5 * 1024 * KIB;
  facts.deleted = 2;
  facts.failed = 1;
  assert_words (kp_words_history_title (&facts), "Backed up 3 files");
  assert_words (kp_words_history_detail (&facts, NOW),
                "Today 14:00 · 1.5 KiB sent · 5.0 MiB saved · 2 deleted · 1 problem");
  facts.kind = "restore";
  assert_words (kp_words_history_title (&facts), "Restored 3 files");
  facts.kind = "verify";
  facts.unchanged = 60;
  assert_words (kp_words_history_title (&facts), "Verified 60 files");
  facts.kind = "erase";
  assert_words (kp_words_history_title (&facts), "Deleted 2 objects");
  facts.kind = "verify";
  facts.state = "failed";
  assert_words (kp_words_history_title (&facts), "Verification failed");
  facts.kind = "erase";
  assert_words (kp_words_history_title (&facts), "Deletion failed");
  facts.kind = "backup";
  assert_words (kp_words_history_title (&facts), "Backup failed");
  facts.state = "interrupted";
  assert_words (kp_words_history_title (&facts), "Interrupted: the computer or the program ended");
  facts.started = NOW - DAY;
  facts.bytes_sent = facts.bytes_saved = facts.deleted = facts.failed = 0;
  assert_words (kp_words_history_detail (&facts, NOW), "3 March, 15:00");
}

static void
test_advice (void)
{
  assert_words (kp_words_problem_advice ("source-unreadable"),
                "You may not read it. Change its permissions, or exclude it.");
  assert_words (kp_words_problem_advice ("nobody-knows"), "");
}

static void
test_deletion (void)
{
  assert_words (kp_words_deletion (FALSE, 0), "Stay in the backup");
  assert_words (kp_words_deletion (FALSE, 30), "Stay in the backup");
  assert_words (kp_words_deletion (TRUE, 0), "Are deleted from the backup too");
  assert_words (kp_words_deletion (TRUE, 1), "Are deleted from the backup too; they, and what was "
                                             "replaced, are kept for 1 day");
  assert_words (kp_words_deletion (TRUE, 30), "Are deleted from the backup too; they, and what was "
                                              "replaced, are kept for 30 days");
}

static void
test_verification (void)
{
  KpPlanFacts plan = make_facts ();
  KpVerifyFacts facts = { 0 };

  plan.damaged = 2;
  assert_standing (&plan, "2 files in the backup are damaged or missing",
                   "A verification has found it. The next backup sends again what is still here.",
                   KP_MOOD_ERROR, KP_HELP_RUN);

  assert_words (kp_words_verification (&facts, NOW),
                "Never: nothing has been read back from the storage yet");
  facts.last_verified = NOW - 2 * HOUR;
  assert_words (kp_words_verification (&facts, NOW), "2 hours ago");
  facts.objects = 1200;
  facts.objects_proved = 200;
  facts.oldest_proof = NOW - 20 * DAY - HOUR;
  assert_words (kp_words_verification (&facts, NOW),
                "2 hours ago\n200 of 1200 files proved since they were stored");
  facts.objects_proved = 1200;
  assert_words (kp_words_verification (&facts, NOW),
                "2 hours ago\nAll files were proved within the last 21 days");
  facts.oldest_proof = NOW - HOUR;
  facts.damaged = 1;
  assert_words (kp_words_verification (&facts, NOW), "1 file is damaged or missing in the storage\n"
                                                     "All files were proved within the last day");

  assert_words (kp_words_damage_advice ("not-found"),
                "It is no longer in the storage. The next backup sends it again.");
  assert_words (kp_words_damage_advice ("source-unreadable"),
                "You may not read it. Change its permissions, or exclude it.");
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  setlocale (LC_ALL, "C.UTF-8");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/words-plan/fine", test_fine);
  g_test_add_func ("/app/words-plan/new", test_new);
  g_test_add_func ("/app/words-plan/erased", test_erased);
  g_test_add_func ("/app/words-plan/job", test_job);
  g_test_add_func ("/app/words-plan/held", test_held);
  g_test_add_func ("/app/words-plan/overdue", test_overdue);
  g_test_add_func ("/app/words-plan/paused-and-off", test_paused_and_off);
  g_test_add_func ("/app/words-plan/guard", test_guard);
  g_test_add_func ("/app/words-plan/failed", test_failed);
  g_test_add_func ("/app/words-plan/labels", test_labels);
  g_test_add_func ("/app/words-plan/phase", test_phase);
  g_test_add_func ("/app/words-plan/progress", test_progress);
  g_test_add_func ("/app/words-plan/history", test_history);
  g_test_add_func ("/app/words-plan/advice", test_advice);
  g_test_add_func ("/app/words-plan/deletion", test_deletion);
  g_test_add_func ("/app/words-plan/verification", test_verification);
  return g_test_run ();
}

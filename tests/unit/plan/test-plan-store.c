/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-plan-store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_SECONDS 20

/* What the C library is asked for, in its order; NULL: nobody wants to know. These two take the
 * place of its own. */
static GString *calls;
static gboolean folders_fail; /* as on some network shares */

int
fsync (int fd)
{
  struct stat st;

  if (calls != NULL && fstat (fd, &st) == 0)
    g_string_append (calls, S_ISDIR (st.st_mode) ? "sync folder; " : "sync file; ");
  if (folders_fail && fstat (fd, &st) == 0 && S_ISDIR (st.st_mode))
    {
      errno = EINVAL;
      return -1;
    }
  return (int) syscall (SYS_fsync, fd);
}

int
rename (const char *from, const char *to)
{
  if (calls != NULL)
    g_string_append_printf (calls, "rename to %s; ", strrchr (to, '.'));
  return (int) syscall (SYS_rename, from, to);
}

typedef struct
{
  char *home;
  char *directory; /* in it, not there yet */
  KpPlanStore *store;
  GString *log; /* what the signals said since the last look */
} Fixture;

static void
delete_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inner = g_build_filename (path, name, NULL);
      delete_tree (inner);
    }
  g_remove (path);
}

static void
plan_cb (KpPlanStore *store, KpPlan *plan, gpointer data)
{
  Fixture *fixture = data;
  GSignalInvocationHint *hint = g_signal_get_invocation_hint (store);

  g_string_append_printf (fixture->log, "%s %s; ", g_signal_name (hint->signal_id),
                          kp_plan_get_name (plan));
}

static void
problem_cb (KpPlanStore *store, const char *path, const GError *error, gpointer data)
{
  Fixture *fixture = data;
  g_autofree char *name = g_path_get_basename (path);

  g_string_append_printf (fixture->log, "%s %s; ", error != NULL ? "problem" : "solved", name);
}

static KpPlanStore *
new_store (Fixture *fixture)
{
  KpPlanStore *store = kp_plan_store_new (fixture->directory);

  g_signal_connect (store, "added", G_CALLBACK (plan_cb), fixture);
  g_signal_connect (store, "changed", G_CALLBACK (plan_cb), fixture);
  g_signal_connect (store, "removed", G_CALLBACK (plan_cb), fixture);
  g_signal_connect (store, "problem", G_CALLBACK (problem_cb), fixture);
  return store;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->home = g_dir_make_tmp ("keepsake-plans-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->directory = g_build_filename (fixture->home, "keepsake", "plans", NULL);
  fixture->log = g_string_new (NULL);
  fixture->store = new_store (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_finalize_object (fixture->store);
  delete_tree (fixture->home);
  g_free (fixture->home);
  g_free (fixture->directory);
  g_string_free (fixture->log, TRUE);
}

static void
assert_log (Fixture *fixture, const char *expected)
{
  g_assert_cmpstr (fixture->log->str, ==, expected);
  g_string_truncate (fixture->log, 0);
}

static gboolean
give_up_cb (gpointer data)
{
  gboolean *in_time = data;

  *in_time = FALSE;
  return G_SOURCE_REMOVE;
}

/* Until the signals have said as much as @expected is long. */
static void
wait_for_log (Fixture *fixture, const char *expected)
{
  gboolean in_time = TRUE;
  guint limit = g_timeout_add_seconds (PATIENCE_SECONDS, give_up_cb, &in_time);

  while (in_time && fixture->log->len < strlen (expected))
    g_main_context_iteration (NULL, TRUE);
  if (in_time)
    g_source_remove (limit);
  assert_log (fixture, expected);
}

static KpPlan *
new_plan (const char *name)
{
  KpPlan *plan = kp_plan_new ();

  kp_plan_set_name (plan, name);
  kp_plan_add_source (plan, "/home/user/Pictures", NULL);
  kp_plan_set_bucket (plan, "my-backup");
  return plan;
}

static void
save (KpPlanStore *store, KpPlan *plan)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = kp_plan_store_save (store, plan, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
}

static void
load (KpPlanStore *store)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = kp_plan_store_load (store, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
}

/* As somebody with an editor. */
static void
write_text (Fixture *fixture, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (fixture->directory, name, NULL);

  g_assert_true (
      g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static void
write_plan (Fixture *fixture, const char *name, KpPlan *plan)
{
  g_autofree char *text = kp_plan_to_json (plan);

  write_text (fixture, name, text);
}

static char *
file_of (Fixture *fixture, KpPlan *plan)
{
  return g_strdup_printf ("%s/%s.json", fixture->directory, kp_plan_get_id (plan));
}

static char *
list_names (KpPlanStore *store)
{
  g_autoptr (GString) names = g_string_new (NULL);
  GListModel *model = G_LIST_MODEL (store);

  for (guint i = 0; i < g_list_model_get_n_items (model); i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (model, i);
      g_string_append_printf (names, "%s ", kp_plan_get_name (plan));
    }
  return g_string_free (g_steal_pointer (&names), FALSE);
}

static void
assert_names (KpPlanStore *store, const char *expected)
{
  g_autofree char *names = list_names (store);

  g_assert_cmpstr (names, ==, expected);
}

static void
assert_problem (KpPlanStore *store, guint i, const char *message)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (store);

  g_assert_cmpuint (problems->len, >, i);
  const KpPlanProblem *problem = problems->pdata[i];
  if (!g_str_has_prefix (problem->error->message, message))
    g_assert_cmpstr (problem->error->message, ==, message);
}

static guint
count_problems (KpPlanStore *store)
{
  g_autoptr (GPtrArray) problems = kp_plan_store_get_problems (store);

  return problems->len;
}

static guint
count_files (Fixture *fixture)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->directory, 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

static void
test_empty (Fixture *fixture, gconstpointer data)
{
  load (fixture->store);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->store)), ==, 0);
  g_assert_true (g_list_model_get_item_type (G_LIST_MODEL (fixture->store)) == KP_TYPE_PLAN);
  g_assert_null (g_list_model_get_item (G_LIST_MODEL (fixture->store), 0));
  /* Looking makes no folder. */
  g_assert_false (g_file_test (fixture->directory, G_FILE_TEST_EXISTS));
  assert_log (fixture, "");
}

static void
test_save (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autofree char *path = file_of (fixture, plan);
  g_autofree char *text = NULL;
  g_autofree char *expected = kp_plan_to_json (plan);
  struct stat st;

  mode_t mask = umask (0);
  save (fixture->store, plan);
  umask (mask);
  assert_log (fixture, "added Photos; ");
  g_assert_cmpint (g_stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
  g_assert_cmpint (g_stat (fixture->directory, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0700);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, expected);
  g_assert_cmpuint (count_files (fixture), ==, 1);

  /* The store has its own; the one that was saved may go on to be edited. */
  KpPlan *stored = kp_plan_store_get (fixture->store, kp_plan_get_id (plan));
  g_assert_true (stored != plan);
  g_assert_true (kp_plan_equal (stored, plan));
  kp_plan_set_name (plan, "Fotos");
  g_assert_cmpstr (kp_plan_get_name (stored), ==, "Photos");

  save (fixture->store, plan);
  assert_log (fixture, "changed Fotos; ");
  g_assert_cmpstr (kp_plan_get_name (stored), ==, "Fotos");
  save (fixture->store, plan);
  load (fixture->store);
  assert_log (fixture, "");
  g_assert_cmpuint (count_files (fixture), ==, 1);

  /* A folder that others could look into is closed. */
  g_assert_cmpint (g_chmod (fixture->directory, 0755), ==, 0);
  save (fixture->store, plan);
  g_assert_cmpint (g_stat (fixture->directory, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0700);

  g_autoptr (KpPlanStore) other = kp_plan_store_new (fixture->directory);
  load (other);
  g_assert_true (kp_plan_equal (kp_plan_store_get (other, kp_plan_get_id (plan)), plan));
}

/* A power cut leaves the old plan or the new one, and it leaves no plan that was removed. */
static void
test_durable (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (GError) error = NULL;

  calls = g_string_new ("");
  save (fixture->store, plan);
  g_assert_cmpstr (calls->str, ==, "sync file; rename to .json; sync folder; ");
  g_string_truncate (calls, 0);
  kp_plan_set_name (plan, "Fotos");
  save (fixture->store, plan);
  g_assert_cmpstr (calls->str, ==, "sync file; rename to .json; sync folder; ");
  g_string_truncate (calls, 0);
  g_assert_true (kp_plan_store_remove (fixture->store, kp_plan_get_id (plan), &error));
  g_assert_no_error (error);
  g_assert_cmpstr (calls->str, ==, "sync folder; ");
  g_string_free (g_steal_pointer (&calls), TRUE);
}

/* What is renamed or deleted is so. */
static void
test_folder_without_sync (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (GError) error = NULL;

  folders_fail = TRUE;
  for (int i = 0; i < 2; i++)
    g_test_expect_message ("keepsake-plan", G_LOG_LEVEL_WARNING, "Cannot make sure that*");
  save (fixture->store, plan);
  g_assert_true (kp_plan_store_remove (fixture->store, kp_plan_get_id (plan), &error));
  g_assert_no_error (error);
  folders_fail = FALSE;
  g_test_assert_expected_messages ();
  assert_log (fixture, "added Photos; removed Photos; ");
}

static void
test_remove (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (GError) error = NULL;
  g_autofree char *path = file_of (fixture, plan);

  save (fixture->store, plan);
  assert_log (fixture, "added Photos; ");
  g_assert_true (kp_plan_store_remove (fixture->store, kp_plan_get_id (plan), &error));
  g_assert_no_error (error);
  assert_log (fixture, "removed Photos; ");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_null (kp_plan_store_get (fixture->store, kp_plan_get_id (plan)));
  assert_names (fixture->store, "");

  g_assert_false (kp_plan_store_remove (fixture->store, kp_plan_get_id (plan), &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_NOT_FOUND);
}

static void
items_changed_cb (GListModel *model, guint position, guint removed, guint added, gpointer data)
{
  g_string_append_printf (data, "%u-%u+%u ", position, removed, added);
}

static void
test_list (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GString) changes = g_string_new (NULL);
  static const char *const names[] = { "music", "Photos", "archive", "Zebra", "photos" };
  g_autoptr (GPtrArray) plans = g_ptr_array_new_with_free_func (g_object_unref);

  g_signal_connect (fixture->store, "items-changed", G_CALLBACK (items_changed_cb), changes);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_ptr_array_add (plans, new_plan (names[i]));
      save (fixture->store, plans->pdata[i]);
    }
  g_autofree char *all = list_names (fixture->store);
  g_assert_true (g_str_equal (all, "archive music Photos photos Zebra ")
                 || g_str_equal (all, "archive music photos Photos Zebra "));

  g_string_truncate (changes, 0);
  kp_plan_set_name (plans->pdata[0], "zoo");
  save (fixture->store, plans->pdata[0]);
  g_assert_cmpstr (changes->str, ==, "1-1+0 4-0+1 ");
  g_string_truncate (changes, 0);
  kp_plan_set_name (plans->pdata[0], "zoom");
  save (fixture->store, plans->pdata[0]);
  g_assert_cmpstr (changes->str, ==, "");
}

static void
test_broken (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) photos = new_plan ("Photos");
  g_autoptr (KpPlan) music = new_plan ("Music");
  g_autofree char *directory = g_build_filename (fixture->directory, "folder.json", NULL);
  g_autofree char *pipe = g_build_filename (fixture->directory, "pipe.json", NULL);
  g_autofree char *large = g_strnfill (1024 * 1024 + 1, ' ');

  save (fixture->store, photos);
  write_plan (fixture, "b.json", music);
  write_text (fixture, "a.json", "{ \"version\": 1,\n  \"id\" 7 }");
  write_text (fixture, "large.json", large);
  write_text (fixture, "notes.txt", "not ours");
  write_text (fixture, "c.json~", "not ours");
  g_assert_cmpint (g_mkdir (directory, 0700), ==, 0);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_string_truncate (fixture->log, 0);

  load (fixture->store);
  assert_names (fixture->store, "Music Photos ");
  assert_log (fixture, "problem a.json; added Music; problem folder.json; problem large.json; "
                       "problem pipe.json; ");
  g_assert_cmpuint (count_problems (fixture->store), ==, 4);
  assert_problem (fixture->store, 0, "a.json: line 2: unexpected");
  assert_problem (fixture->store, 1, "“");

  /* The same problems are not news. */
  load (fixture->store);
  assert_log (fixture, "");

  /* What was good before still holds, until it is good again. */
  write_text (fixture, "b.json", "");
  load (fixture->store);
  assert_log (fixture, "problem b.json; ");
  assert_names (fixture->store, "Music Photos ");

  /* What somebody is writing by hand is not written over. */
  g_autoptr (GError) error = NULL;
  g_autofree char *b = g_build_filename (fixture->directory, "b.json", NULL);
  g_autofree char *text = NULL;
  g_assert_false (kp_plan_store_save (fixture->store, music, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_CONFLICT);
  g_assert_nonnull (strstr (error->message, b));
  g_assert_true (g_file_get_contents (b, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "");
  write_plan (fixture, "b.json", music);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  g_assert_cmpint (g_unlink (pipe), ==, 0);
  load (fixture->store);
  assert_log (fixture, "solved folder.json; solved pipe.json; solved b.json; ");

  write_text (fixture, "a.json", "{ \"version\": 2 }");
  load (fixture->store);
  assert_log (fixture, "problem a.json; ");
  assert_problem (fixture->store, 0, "a.json: version: the plan was written by a newer Keepsake");
}

static void
test_same_id (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (KpPlan) other = kp_plan_copy_as_new (plan);
  g_autofree char *copied = g_build_filename (fixture->directory, "copied.json", NULL);
  g_autofree char *path = file_of (fixture, plan);

  save (fixture->store, plan);
  kp_plan_set_name (plan, "Copied");
  write_plan (fixture, "copied.json", plan);
  load (fixture->store);
  assert_log (fixture, "added Photos; problem copied.json; ");
  assert_problem (fixture->store, 0, "copied.json: id: the plan in “");

  /* The other one is gone: now it is a plan, and is saved where it is. */
  g_assert_cmpint (g_unlink (path), ==, 0);
  load (fixture->store);
  assert_log (fixture, "removed Photos; solved copied.json; added Copied; ");
  save (fixture->store, plan);
  g_assert_cmpuint (count_files (fixture), ==, 1);

  /* A file that is renamed, and one that becomes another plan. */
  g_assert_cmpint (g_rename (copied, path), ==, 0);
  load (fixture->store);
  assert_log (fixture, "removed Copied; added Copied; ");
  g_autofree char *name = g_path_get_basename (path);
  kp_plan_set_name (other, "Other");
  write_plan (fixture, name, other);
  load (fixture->store);
  assert_log (fixture, "removed Copied; added Other; ");

  /* Two that change places. */
  write_plan (fixture, "a.json", plan);
  load (fixture->store);
  assert_log (fixture, "added Copied; ");
  write_plan (fixture, name, plan);
  write_plan (fixture, "a.json", other);
  load (fixture->store);
  assert_names (fixture->store, "Copied Other ");
  g_assert_cmpuint (count_problems (fixture->store), ==, 0);
}

/* Two folders for one place in the bucket. */
static void
test_in_the_way (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (KpPlan) other = new_plan ("Other");
  g_autoptr (GPtrArray) sources = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;

  save (fixture->store, plan);
  save (fixture->store, plan);
  KpPlanSource *source = kp_plan_source_new ("/media/disk/Pictures", NULL);
  g_ptr_array_add (sources, source);
  kp_plan_set_sources (other, sources);
  kp_plan_source_free (source);
  g_assert_false (kp_plan_store_save (fixture->store, other, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_cmpuint (count_files (fixture), ==, 1);

  /* What somebody wrote counts; and a place that a plan has, it may keep. */
  write_plan (fixture, "other.json", other);
  load (fixture->store);
  assert_names (fixture->store, "Other Photos ");
  save (fixture->store, other);
  save (fixture->store, plan);

  /* A new place, and there it is again in the way. */
  kp_plan_set_prefix (other, "disk");
  save (fixture->store, other);
  kp_plan_set_prefix (other, "");
  g_clear_error (&error);
  g_assert_false (kp_plan_store_save (fixture->store, other, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
}

static void
test_left_over (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autofree char *id = g_strdup (kp_plan_get_id (plan));
  g_autofree char *text = kp_plan_to_json (plan);

  save (fixture->store, plan);
  /* Killed while it wrote: the new text is there, or half of it, but not under the name. */
  g_autofree char *temporary = g_strdup_printf (".%s.json.Ab12Cd", id);
  text[strlen (text) / 2] = '\0';
  write_text (fixture, temporary, text);

  g_autoptr (KpPlanStore) other = kp_plan_store_new (fixture->directory);
  load (other);
  g_assert_true (kp_plan_equal (kp_plan_store_get (other, id), plan));
  g_assert_cmpuint (count_problems (other), ==, 0);
  assert_names (other, "Photos ");
}

/* The disk is full, or as good as: what was there before is still there. */
static void
test_no_space (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");
  g_autoptr (GError) error = NULL;
  g_autofree char *path = file_of (fixture, plan);
  g_autofree char *before = kp_plan_to_json (plan);
  g_autofree char *text = NULL;
  struct rlimit limit;

  save (fixture->store, plan);
  assert_log (fixture, "added Photos; ");
  kp_plan_set_name (plan, "Fotos");

  signal (SIGXFSZ, SIG_IGN);
  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  const struct rlimit small = { .rlim_cur = 100, .rlim_max = limit.rlim_max };
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &small), ==, 0);
  gboolean ok = kp_plan_store_save (fixture->store, plan, &error);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  signal (SIGXFSZ, SIG_DFL);

  g_assert_false (ok);
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, before);
  g_assert_cmpuint (count_files (fixture), ==, 1);
  assert_log (fixture, "");
  assert_names (fixture->store, "Photos ");
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = kp_plan_new ();
  g_autoptr (KpPlan) good = new_plan ("Photos");
  g_autoptr (GError) error = NULL;

  g_assert_false (kp_plan_store_save (fixture->store, plan, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_false (g_file_test (fixture->directory, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  /* A file stands where the folder should be. */
  g_autofree char *in_the_way = g_build_filename (fixture->home, "keepsake", NULL);
  g_assert_true (g_file_set_contents (in_the_way, "", 0, NULL));
  g_assert_false (kp_plan_store_save (fixture->store, good, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_false (kp_plan_store_load (fixture->store, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
  g_clear_error (&error);
  g_assert_false (kp_plan_store_watch (fixture->store, &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE);
}

static void
test_find (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = { "Photos", "Photos of Ann", "Papers", "Ärzte" };
  static const struct
  {
    const char *text;
    const char *name; /* or NULL */
    int code;
  } cases[] = {
    { "Photos", "Photos", 0 },
    { "photos", "Photos", 0 },
    { "photos o", "Photos of Ann", 0 },
    { "pap", "Papers", 0 },
    { "ärz", "Ärzte", 0 },
    { "p", NULL, KP_ERROR_USAGE },
    { "Phot", NULL, KP_ERROR_USAGE },
    { "apers", NULL, KP_ERROR_NOT_FOUND },
    { "", NULL, KP_ERROR_NOT_FOUND },
    { "\xff", NULL, KP_ERROR_NOT_FOUND },
    { "../x", NULL, KP_ERROR_NOT_FOUND },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (KpPlan) plan = new_plan (names[i]);
      g_autoptr (GError) error = NULL;

      save (fixture->store, plan);
      KpPlan *found = kp_plan_store_find (fixture->store, kp_plan_get_id (plan), &error);
      g_assert_no_error (error);
      g_assert_cmpstr (kp_plan_get_name (found), ==, names[i]);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      KpPlan *found = kp_plan_store_find (fixture->store, cases[i].text, &error);

      if (cases[i].name != NULL)
        {
          g_assert_no_error (error);
          g_assert_cmpstr (kp_plan_get_name (found), ==, cases[i].name);
        }
      else
        {
          g_assert_null (found);
          g_assert_error (error, KP_ERROR, cases[i].code);
        }
    }

  g_autoptr (GError) error = NULL;
  g_assert_null (kp_plan_store_find (fixture->store, "ph", &error));
  g_assert_nonnull (strstr (error->message, "“ph” may mean any of Photos ("));
  g_assert_nonnull (strstr (error->message, ", Photos of Ann ("));
}

static void
test_monitor (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) photos = new_plan ("Photos");
  g_autoptr (KpPlan) music = new_plan ("Music");
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  /* The folder is not there yet. */
  g_assert_true (kp_plan_store_watch (fixture->store, &error));
  g_assert_no_error (error);
  write_plan (fixture, "music.json", music);
  wait_for_log (fixture, "added Music; ");

  /* Our own writes are told once, at once; somebody else's in the same breath come on top. */
  save (fixture->store, photos);
  assert_log (fixture, "added Photos; ");
  kp_plan_set_name (photos, "Fotos");
  save (fixture->store, photos);
  assert_log (fixture, "changed Fotos; ");
  kp_plan_set_enabled (music, FALSE);
  write_plan (fixture, "music.json", music);
  wait_for_log (fixture, "changed Music; ");
  g_assert_false (kp_plan_get_enabled (kp_plan_store_get (fixture->store, kp_plan_get_id (music))));

  write_text (fixture, "music.json", "{");
  wait_for_log (fixture, "problem music.json; ");

  /* Written in place, without a rename. */
  path = g_build_filename (fixture->directory, "music.json", NULL);
  g_autofree char *text = kp_plan_to_json (music);
  FILE *file = g_fopen (path, "w");
  g_assert_cmpint (fputs (text, file), >=, 0);
  g_assert_cmpint (fclose (file), ==, 0);
  wait_for_log (fixture, "solved music.json; ");

  g_assert_true (kp_plan_store_remove (fixture->store, kp_plan_get_id (photos), &error));
  assert_log (fixture, "removed Fotos; ");
  g_assert_cmpint (g_unlink (path), ==, 0);
  wait_for_log (fixture, "removed Music; ");
  assert_names (fixture->store, "");
}

/* Something is still to be looked at when the last reference goes. */
static void
test_monitor_ends (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");

  g_assert_true (kp_plan_store_watch (fixture->store, NULL));
  write_plan (fixture, "a.json", plan);
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
}

static void
remove_cb (KpPlanStore *store, KpPlan *plan, gpointer data)
{
  g_assert_true (kp_plan_store_remove (store, kp_plan_get_id (plan), NULL));
}

static void
remove_first_cb (KpPlanStore *store, const char *path, const GError *error, gpointer data)
{
  g_autoptr (KpPlan) plan = g_list_model_get_item (G_LIST_MODEL (store), 0);

  if (plan != NULL)
    g_assert_true (kp_plan_store_remove (store, kp_plan_get_id (plan), NULL));
}

/* Who is told may change the store at once. */
static void
test_change_while_told (Fixture *fixture, gconstpointer data)
{
  g_autoptr (KpPlan) plan = new_plan ("Photos");

  save (fixture->store, plan);
  for (int i = 0; i < 5; i++)
    {
      g_autoptr (KpPlan) other = kp_plan_copy_as_new (plan);
      g_autofree char *name = g_strdup_printf ("%d.json", i);
      write_plan (fixture, name, other);
    }
  write_text (fixture, "3.json", "");
  gulong added = g_signal_connect (fixture->store, "added", G_CALLBACK (remove_cb), NULL);
  gulong problem = g_signal_connect (fixture->store, "problem", G_CALLBACK (remove_first_cb), NULL);
  load (fixture->store);
  assert_names (fixture->store, "");
  g_assert_cmpuint (count_files (fixture), ==, 1);

  /* The news that its problem is over removes it. */
  write_plan (fixture, "3.json", plan);
  g_signal_handler_disconnect (fixture->store, added);
  load (fixture->store);
  assert_names (fixture->store, "Photos ");
  write_text (fixture, "3.json", "");
  g_signal_handler_block (fixture->store, problem);
  load (fixture->store);
  g_signal_handler_unblock (fixture->store, problem);
  write_plan (fixture, "3.json", plan);
  load (fixture->store);
  g_assert_cmpuint (count_problems (fixture->store), ==, 0);
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/plan/plan-store/empty", test_empty);
  ADD ("/plan/plan-store/save", test_save);
  ADD ("/plan/plan-store/durable", test_durable);
  ADD ("/plan/plan-store/folder-without-sync", test_folder_without_sync);
  ADD ("/plan/plan-store/remove", test_remove);
  ADD ("/plan/plan-store/list", test_list);
  ADD ("/plan/plan-store/broken", test_broken);
  ADD ("/plan/plan-store/same-id", test_same_id);
  ADD ("/plan/plan-store/in-the-way", test_in_the_way);
  ADD ("/plan/plan-store/left-over", test_left_over);
  ADD ("/plan/plan-store/no-space", test_no_space);
  ADD ("/plan/plan-store/refused", test_refused);
  ADD ("/plan/plan-store/find", test_find);
  ADD ("/plan/plan-store/monitor", test_monitor);
  ADD ("/plan/plan-store/monitor-ends", test_monitor_ends);
  ADD ("/plan/plan-store/change-while-told", test_change_while_told);
  return g_test_run ();
}

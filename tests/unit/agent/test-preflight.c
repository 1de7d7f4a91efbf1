/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "private-bus.h"

#include "kp-error.h"
#include "kp-preflight.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

/* Below these, everybody who looks waits, as at a mount that has lost its server. */
#define DEAD "/dead/"

static GMutex lock;
static GCond cond;
static gboolean is_alive;
static int n_waiting;

/* Takes the place of that of the C library. */
int
stat (const char *restrict path, struct stat *restrict result)
{
  if (g_str_has_prefix (path, DEAD))
    {
      g_mutex_lock (&lock);
      n_waiting++;
      while (!is_alive)
        g_cond_wait (&cond, &lock);
      n_waiting--;
      g_mutex_unlock (&lock);
      errno = ENOENT;
      return -1;
    }
  return fstatat (AT_FDCWD, path, result, 0);
}

static int
count_waiting (void)
{
  g_mutex_lock (&lock);
  int n = n_waiting;
  g_mutex_unlock (&lock);
  return n;
}

static void
set_alive (gboolean alive)
{
  g_mutex_lock (&lock);
  is_alive = alive;
  g_cond_broadcast (&cond);
  g_mutex_unlock (&lock);
}

static KpPlan *
new_plan (const char *first, const char *second)
{
  KpPlan *plan = kp_plan_new ();

  kp_plan_add_source (plan, first, "first");
  if (second != NULL)
    kp_plan_add_source (plan, second, "second");
  return plan;
}

static void
result_cb (GObject *source, GAsyncResult *result, void *data)
{
  GAsyncResult **found = data;

  g_assert_null (*found);
  *found = g_object_ref (result);
}

/* What a preflight says; the keyring is asked only when the folders are there. */
static char *
ask (KpPlan *plan, gboolean needs_sources, const char **held_by)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  KpPreflight preflight;

  kp_preflight_async (plan, FALSE, needs_sources, result_cb, &result);
  wait_for (result != NULL);
  gboolean ok = kp_preflight_finish (result, &preflight, &error);
  g_assert_true (ok == (error == NULL));
  g_clear_pointer (&preflight.credentials, kp_s3_credentials_unref);
  *held_by = preflight.held_by;
  return g_strdup (error != NULL ? error->message : "");
}

static void
test_folder_that_does_not_answer (void)
{
  g_autoptr (KpPlan) plan = new_plan (DEAD "share", NULL);
  g_autoptr (KpPlan) other = new_plan ("/", NULL);
  const char *held_by;

  kp_preflight_set_patience (1);
  g_autofree char *message = ask (plan, TRUE, &held_by);
  g_assert_cmpstr (held_by, ==, KP_HELD_SOURCE_MISSING);
  g_assert_true (g_str_has_prefix (message, "“" DEAD "share” does not answer; "));

  /* It is not waited for twice, and in nobody's way. */
  g_assert_cmpint (count_waiting (), ==, 1);
  g_autofree char *again = ask (plan, TRUE, &held_by);
  g_assert_cmpstr (again, ==, message);
  g_assert_cmpint (count_waiting (), ==, 1);
  g_autofree char *of_other = ask (other, TRUE, &held_by);
  g_assert_cmpstr (held_by, !=, KP_HELD_SOURCE_MISSING);
  /* A restore needs no folder. */
  g_autofree char *of_restore = ask (plan, FALSE, &held_by);
  g_assert_cmpstr (held_by, !=, KP_HELD_SOURCE_MISSING);

  /* It answers at last: looked at anew. */
  set_alive (TRUE);
  wait_for (count_waiting () == 0);
  kp_preflight_set_patience (60);
  g_autofree char *late = NULL;
  do
    {
      g_free (late);
      late = ask (plan, TRUE, &held_by);
    }
  while (strstr (late, "does not answer") != NULL);
  g_assert_true (g_str_has_prefix (late, "“" DEAD "share” cannot be found ("));
  set_alive (FALSE);
}

static void
test_one_of_two (const void *data)
{
  const char *const *folders = data;
  g_autoptr (KpPlan) plan = new_plan (folders[0], folders[1]);
  const char *held_by;

  set_alive (FALSE);
  kp_preflight_set_patience (1);
  g_autofree char *message = ask (plan, TRUE, &held_by);
  g_assert_cmpstr (held_by, ==, KP_HELD_SOURCE_MISSING);
  g_assert_nonnull (strstr (message, "”, or another folder of the plan, does not answer; "));
  /* Without it, the plan is as good as any. */
  g_autoptr (GPtrArray) rest
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
  g_ptr_array_add (rest, kp_plan_source_new ("/", "rest"));
  kp_plan_set_sources (plan, rest);
  g_autofree char *again = ask (plan, TRUE, &held_by);
  g_assert_cmpstr (held_by, !=, KP_HELD_SOURCE_MISSING);
  set_alive (TRUE);
  wait_for (count_waiting () == 0);
}

int
main (int argc, char **argv)
{
  /* There is no keyring here, whatever the session has. */
  g_setenv ("DBUS_SESSION_BUS_ADDRESS", "disabled:", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agent/preflight/folder-that-does-not-answer",
                   test_folder_that_does_not_answer);
  static const char *const dead_first[] = { DEAD "share", "/" };
  static const char *const dead_last[] = { "/", DEAD "share" };
  g_test_add_data_func ("/agent/preflight/first-of-two", dead_first, test_one_of_two);
  g_test_add_data_func ("/agent/preflight/second-of-two", dead_last, test_one_of_two);
  return g_test_run ();
}

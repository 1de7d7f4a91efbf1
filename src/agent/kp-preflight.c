/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-preflight.h"

#include "kp-error.h"
#include "kp-keyring.h"
#include "kp-name.h"

#include <errno.h>
#include <gio/gunixmounts.h>
#include <string.h>
#include <sys/stat.h>

/* A network mount that has lost its server may keep one waiting for good; so long is looked on. */
#define PATIENCE_SECONDS 60

enum
{
  STAGE_FOLDERS,
  STAGE_KEYS,
  STAGE_GIVEN_UP,
};

typedef struct
{
  char *plan_id;
  GStrv paths;     /* of the sources, or NULL when they do not matter */
  char *waits_for; /* the plan and these, or NULL */
  gboolean may_prompt;
  int stage;   /* atomic: whoever ends STAGE_FOLDERS goes on with the outcome */
  guint timer; /* of the main thread */
  KpPreflight outcome;
} Check;

static guint patience = PATIENCE_SECONDS;

/* What somebody still waits for, in threads that nobody can end: none waits beside them. */
static GMutex waiting_lock;
static GHashTable *waiting; /* (element-type utf8) */

static void
set_waiting (const char *what, gboolean is_waiting)
{
  g_mutex_lock (&waiting_lock);
  if (waiting == NULL)
    waiting = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (is_waiting)
    g_hash_table_add (waiting, g_strdup (what));
  else
    g_hash_table_remove (waiting, what);
  g_mutex_unlock (&waiting_lock);
}

static gboolean
is_waiting (const char *what)
{
  g_mutex_lock (&waiting_lock);
  gboolean found = waiting != NULL && g_hash_table_contains (waiting, what);
  g_mutex_unlock (&waiting_lock);
  return found;
}

static void
check_free (void *data)
{
  Check *check = data;

  g_assert (check->timer == 0);
  g_free (check->plan_id);
  g_strfreev (check->paths);
  g_free (check->waits_for);
  g_clear_pointer (&check->outcome.credentials, kp_s3_credentials_unref);
  g_free (check);
}

static gboolean
is_empty_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);

  return dir != NULL && g_dir_read_name (dir) == NULL;
}

/* Whether the empty folder at @path is only where something is to be mounted, by the table of the
 * system (fstab(5)). A backup of it would go well, and be of nothing. */
static gboolean
is_not_mounted (const char *path)
{
  g_autofree char *full = g_canonicalize_filename (path, "/");
  gboolean found = FALSE;

  if (!is_empty_folder (full))
    return FALSE;
  GList *points = g_unix_mount_points_get (NULL);
  for (GList *link = points; link != NULL; link = link->next)
    {
      const char *point = g_unix_mount_point_get_mount_path (link->data);
      gsize length = strlen (point);
      g_autoptr (GUnixMountEntry) mounted = NULL;

      if (*point != '/' || length == 1 || strncmp (full, point, length) != 0
          || (full[length] != '/' && full[length] != '\0'))
        continue;
      mounted = g_unix_mount_at (point, NULL);
      found |= mounted == NULL;
    }
  g_list_free_full (points, (GDestroyNotify) g_unix_mount_point_free);
  return found;
}

/* One folder that is there is worth a job: of the others the job says that they are missing. */
static gboolean
check_sources (const Check *check, GError **error)
{
  if (check->paths == NULL || check->paths[0] == NULL)
    return TRUE;
  const char *first_reason = "";
  gboolean found = FALSE;
  /* Each has to answer, or the job would wait for it. */
  for (guint i = 0; check->paths[i] != NULL; i++)
    {
      struct stat info;
      gboolean is_there = stat (check->paths[i], &info) == 0;
      int error_number = errno;
      found |= is_there && !is_not_mounted (check->paths[i]);
      if (i == 0)
        first_reason = is_there ? "nothing is mounted there" : g_strerror (error_number);
    }
  if (found)
    return TRUE;
  g_autofree char *name = kp_name_display (check->paths[0]);
  g_set_error (error, KP_ERROR, KP_ERROR_SOURCE_MISSING,
               "“%s” cannot be found (%s); if it is on another disk, connect it", name,
               first_reason);
  return FALSE;
}

/* The late answer is nobody's any more. */
static void
give_up (GTask *task)
{
  Check *check = g_task_get_task_data (task);
  g_autofree char *name = kp_name_display (check->paths[0]);

  check->outcome.held_by = KP_HELD_SOURCE_MISSING;
  g_task_return_new_error (task, KP_ERROR, KP_ERROR_SOURCE_MISSING,
                           check->paths[1] == NULL
                               ? "“%s” does not answer; if it is on another computer or disk, look "
                                 "whether that is connected"
                               : "“%s”, or another folder of the plan, does not answer; if it is "
                                 "on another computer or disk, look whether that is connected",
                           name);
}

static gboolean
timer_cb (void *data)
{
  GTask *task = data;
  Check *check = g_task_get_task_data (task);

  check->timer = 0;
  if (g_atomic_int_compare_and_exchange (&check->stage, STAGE_FOLDERS, STAGE_GIVEN_UP))
    give_up (task);
  return G_SOURCE_REMOVE;
}

static const char *
held_by_keyring (KpKeyringStatus status)
{
  switch (status)
    {
    case KP_KEYRING_FOUND:
      return NULL;
    case KP_KEYRING_MISSING:
      return "keyring-missing";
    case KP_KEYRING_LOCKED:
    case KP_KEYRING_DISMISSED:
      return "keyring-locked";
    case KP_KEYRING_UNAVAILABLE:
    case KP_KEYRING_FAILED:
    default:
      return "keyring-unavailable";
    }
}

static void *
check_main (void *data)
{
  g_autoptr (GTask) task = data;
  Check *check = g_task_get_task_data (task);
  GError *error = NULL;

  if (check->waits_for != NULL)
    set_waiting (check->waits_for, TRUE);
  gboolean are_there = check_sources (check, &error);
  if (check->waits_for != NULL)
    set_waiting (check->waits_for, FALSE);
  if (!g_atomic_int_compare_and_exchange (&check->stage, STAGE_FOLDERS, STAGE_KEYS))
    {
      g_clear_error (&error);
      return NULL;
    }
  if (!are_there)
    check->outcome.held_by = KP_HELD_SOURCE_MISSING;
  else
    check->outcome.held_by = held_by_keyring (kp_keyring_lookup (
        check->plan_id, check->may_prompt, &check->outcome.credentials, NULL, &error));
  /* Who asks for a job must not think that its plan is not there. */
  if (kp_error_is (error, KP_ERROR_NOT_FOUND))
    error->code = KP_ERROR_BAD_CREDENTIALS;
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
  return NULL;
}

/**
 * kp_preflight_async:
 * @may_prompt: whether the user may be asked to unlock the keyring: only when he asked for the job
 * @needs_sources: a restore needs none
 *
 * Folders that do not answer within a minute count as missing.
 */
void
kp_preflight_async (KpPlan *plan,
                    gboolean may_prompt,
                    gboolean needs_sources,
                    GAsyncReadyCallback callback,
                    void *user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  Check *check = g_new0 (Check, 1);

  check->plan_id = g_strdup (kp_plan_get_id (plan));
  check->may_prompt = may_prompt;
  if (needs_sources)
    {
      GPtrArray *sources = kp_plan_get_sources (plan);
      g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
      for (guint i = 0; i < sources->len; i++)
        g_strv_builder_add (paths, ((KpPlanSource *) g_ptr_array_index (sources, i))->path);
      check->paths = g_strv_builder_end (paths);
      g_autofree char *all = g_strjoinv ("\n", check->paths);
      check->waits_for = g_strconcat (check->plan_id, "\n", all, NULL);
    }
  g_task_set_task_data (task, check, check_free);
  if (check->waits_for != NULL && is_waiting (check->waits_for))
    {
      check->stage = STAGE_GIVEN_UP;
      give_up (task);
      g_object_unref (task);
      return;
    }
  if (check->paths != NULL)
    check->timer = g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, patience, timer_cb,
                                               g_object_ref (task), g_object_unref);
  g_thread_unref (g_thread_new ("keepsake-preflight", check_main, task));
}

/**
 * kp_preflight_set_patience:
 * @seconds: how long the next preflights wait for folders
 *
 * For tests.
 */
void
kp_preflight_set_patience (guint seconds)
{
  patience = seconds;
}

/**
 * kp_preflight_finish:
 * @preflight: (out): its reason is set also when this fails; its keys are the caller's
 * @error: %KP_ERROR_SOURCE_MISSING, %KP_ERROR_KEYRING_LOCKED, %KP_ERROR_BAD_CREDENTIALS when there
 *   are no keys, %KP_ERROR_FAILED when there is no keyring
 */
gboolean
kp_preflight_finish (GAsyncResult *result, KpPreflight *preflight, GError **error)
{
  Check *check = g_task_get_task_data (G_TASK (result));

  g_clear_handle_id (&check->timer, g_source_remove);
  *preflight = check->outcome;
  check->outcome.credentials = NULL;
  return g_task_propagate_boolean (G_TASK (result), error);
}

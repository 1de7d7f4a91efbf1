/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "plan edit --editor": the user's editor on a copy. What was typed is lost only when it has been
 * saved. */

#include "kp-ctl-plans.h"

#include "kp-error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* A folder of its own, as editors write backups and swap files beside what they edit. */
typedef struct
{
  char *folder;
  char *path;
} Copy;

static void
copy_clear (Copy *copy)
{
  g_free (copy->folder);
  g_free (copy->path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Copy, copy_clear)

static gboolean
make_copy (Copy *copy, const char *text, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  copy->folder = g_dir_make_tmp ("keepsake-plan-XXXXXX", &local_error);
  if (copy->folder != NULL)
    copy->path = g_build_filename (copy->folder, "plan.json", NULL);
  if (copy->path != NULL
      && g_file_set_contents_full (copy->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                   &local_error))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot write a copy of the plan: %s",
               local_error->message);
  return FALSE;
}

static void
remove_copy (const Copy *copy)
{
  g_unlink (copy->path);
  /* Not empty where an editor left a backup of its own. */
  if (g_rmdir (copy->folder) != 0)
    g_debug ("%s: %s", copy->folder, g_strerror (errno));
}

static const char *
find_editor (void)
{
  static const char *const variables[] = { "VISUAL", "EDITOR" };

  for (gsize i = 0; i < G_N_ELEMENTS (variables); i++)
    if (g_getenv (variables[i]) != NULL && *g_getenv (variables[i]) != '\0')
      return g_getenv (variables[i]);
  return "editor";
}

/* $EDITOR may have arguments: a shell takes it apart, and never sees the path as words. */
static gboolean
run_editor (const char *path, GError **error)
{
  const char *editor = find_editor ();
  g_autofree char *script = g_strconcat (editor, " \"$1\"", NULL);
  const char *const argv[] = { "/bin/sh", "-c", script, "sh", path, NULL };
  g_autoptr (GError) local_error = NULL;
  int status = 0;

  if (!g_spawn_sync (NULL, (char **) argv, NULL,
                     G_SPAWN_CHILD_INHERITS_STDIN | G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL,
                     NULL, NULL, &status, &local_error)
      || !g_spawn_check_wait_status (status, &local_error))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "The editor “%s” failed (%s); set EDITOR to another", editor,
                   local_error->message);
      return FALSE;
    }
  return TRUE;
}

/* Whether there is anything in it to lose. */
static gboolean
is_changed (const Copy *copy, const char *text)
{
  g_autofree char *now = NULL;

  return !g_file_get_contents (copy->path, &now, NULL, NULL) || !g_str_equal (now, text);
}

static KpPlan *
read_copy (const Copy *copy, const char *id, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!g_file_get_contents (copy->path, &text, NULL, &local_error))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot read “%s”: %s", copy->path,
                   local_error->message);
      return NULL;
    }
  g_autoptr (KpPlan) plan = kp_plan_new_from_json (text, "plan.json", error);
  if (plan == NULL)
    return NULL;
  if (!g_str_equal (kp_plan_get_id (plan), id))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "plan.json: id: is not to be changed; write “%s”", id);
      return NULL;
    }
  return g_steal_pointer (&plan);
}

/* Somebody else may have saved the plan meanwhile. */
static gboolean
save (KpPlanStore *store, KpPlan *plan, KpPlan *before, GError **error)
{
  if (!kp_ctl_check_name (store, kp_plan_get_name (plan), kp_plan_get_id (plan), error)
      || !kp_plan_store_load (store, error))
    return FALSE;
  KpPlan *now = kp_plan_store_get (store, kp_plan_get_id (plan));
  if (now == NULL || !kp_plan_equal (now, before))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BUSY,
                           "The plan was changed by somebody else meanwhile");
      return FALSE;
    }
  return kp_plan_store_save (store, plan, error);
}

static gboolean
edit_once (KpPlanStore *store, const Copy *copy, KpPlan *before, GError **error)
{
  if (!run_editor (copy->path, error))
    return FALSE;
  g_autoptr (KpPlan) plan = read_copy (copy, kp_plan_get_id (before), error);
  return plan != NULL && save (store, plan, before, error);
}

/**
 * kp_ctl_edit_in_editor:
 * @plan: as the editor is to show it
 * @error: %KP_ERROR_USAGE, %KP_ERROR_LOCAL_STORAGE, %KP_ERROR_BUSY: where the copy is
 *
 * Saves what the user made of it. On a terminal mistakes can be put right at once.
 */
gboolean
kp_ctl_edit_in_editor (KpPlanStore *store, KpPlan *plan, GError **error)
{
  g_auto (Copy) copy = { NULL };
  g_autofree char *text = kp_plan_to_json (plan);
  g_autoptr (KpPlan) before = kp_plan_copy (kp_plan_store_get (store, kp_plan_get_id (plan)));
  gboolean again;

  if (!make_copy (&copy, text, error))
    return FALSE;
  do
    {
      g_autoptr (GError) local_error = NULL;

      if (edit_once (store, &copy, before, &local_error))
        {
          remove_copy (&copy);
          return TRUE;
        }
      again = FALSE;
      if (isatty (STDIN_FILENO))
        {
          g_printerr ("keepsakectl: %s\n", local_error->message);
          again = kp_ctl_ask ("Edit it again?");
        }
      if (!again && !is_changed (&copy, text))
        {
          remove_copy (&copy);
          g_propagate_error (error, g_steal_pointer (&local_error));
        }
      else if (!again)
        g_set_error (error, KP_ERROR, local_error->code,
                     "%s. The plan is as it was; what you wrote is in %s", local_error->message,
                     copy.path);
    }
  while (again);
  return FALSE;
}

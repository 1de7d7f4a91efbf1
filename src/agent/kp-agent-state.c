/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-agent-state.h"

#include <glib/gstdio.h>

#define GROUP_AGENT "agent"

struct _KpAgentState
{
  char *path;
  GKeyFile *file;
};

/**
 * kp_agent_state_open:
 *
 * A file that is not there, or cannot be read, is an empty one.
 */
KpAgentState *
kp_agent_state_open (const char *path)
{
  KpAgentState *state = g_new0 (KpAgentState, 1);
  g_autoptr (GError) error = NULL;

  state->path = g_strdup (path);
  state->file = g_key_file_new ();
  if (!g_key_file_load_from_file (state->file, path, G_KEY_FILE_NONE, &error)
      && !g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    g_warning ("Cannot read “%s”: %s", path, error->message);
  return state;
}

void
kp_agent_state_free (KpAgentState *state)
{
  g_key_file_free (state->file);
  g_free (state->path);
  g_free (state);
}

static void
save (KpAgentState *state)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = g_path_get_dirname (state->path);
  gsize length;
  g_autofree char *text = g_key_file_to_data (state->file, &length, NULL);

  if (g_mkdir_with_parents (directory, 0700) != 0
      || !g_file_set_contents_full (state->path, text, (gssize) length,
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    g_warning ("Cannot write “%s”: %s", state->path, error != NULL ? error->message : "no folder");
}

/**
 * kp_agent_state_get:
 * @plan_id: (nullable): %NULL for what concerns the agent
 *
 * Returns: the value, 0 if there is none
 */
gint64
kp_agent_state_get (KpAgentState *state, const char *plan_id, const char *key)
{
  return g_key_file_get_int64 (state->file, plan_id != NULL ? plan_id : GROUP_AGENT, key, NULL);
}

void
kp_agent_state_set (KpAgentState *state, const char *plan_id, const char *key, gint64 value)
{
  if (kp_agent_state_get (state, plan_id, key) == value)
    return;
  g_key_file_set_int64 (state->file, plan_id != NULL ? plan_id : GROUP_AGENT, key, value);
  save (state);
}

void
kp_agent_state_forget_plan (KpAgentState *state, const char *plan_id)
{
  if (g_key_file_remove_group (state->file, plan_id, NULL))
    save (state);
}

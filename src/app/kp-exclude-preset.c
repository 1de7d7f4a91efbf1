/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-exclude-preset.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#define RESOURCE "/io/github/keepsake_backup/Keepsake/exclude-presets.desktop"

static void
preset_free (void *data)
{
  KpExcludePreset *preset = data;

  g_free (preset->id);
  g_free (preset->name);
  g_strfreev (preset->patterns);
  g_free (preset);
}

/**
 * kp_exclude_preset_list:
 *
 * Returns: (transfer full) (element-type KpExcludePreset)
 */
GPtrArray *
kp_exclude_preset_list (void)
{
  GPtrArray *presets = g_ptr_array_new_with_free_func (preset_free);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_resources_lookup_data (RESOURCE, 0, &error);
  g_auto (GStrv) groups = NULL;

  if (bytes == NULL || !g_key_file_load_from_bytes (file, bytes, G_KEY_FILE_NONE, &error))
    {
      g_critical ("%s: %s", RESOURCE, error->message);
      return presets;
    }
  groups = g_key_file_get_groups (file, NULL);
  for (char **group = groups; *group != NULL; group++)
    {
      KpExcludePreset *preset = g_new0 (KpExcludePreset, 1);
      g_autofree char *name = g_key_file_get_string (file, *group, "Name", NULL);
      preset->id = g_strdup (*group);
      preset->name = g_strdup (_ (name));
      preset->patterns = g_key_file_get_string_list (file, *group, "Patterns", NULL, NULL);
      g_ptr_array_add (presets, preset);
    }
  return presets;
}

/* Whether @patterns has all of the preset's. */
gboolean
kp_exclude_preset_is_in (const KpExcludePreset *preset, const char *const *patterns)
{
  for (char **pattern = preset->patterns; *pattern != NULL; pattern++)
    if (!g_strv_contains (patterns, *pattern))
      return FALSE;
  return TRUE;
}

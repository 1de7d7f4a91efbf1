/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-exclude-preset.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

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

/**
 * kp_exclude_split:
 * @text: patterns, with spaces between them; one that has spaces itself stands in double quotes
 *
 * Returns: (transfer full)
 */
GStrv
kp_exclude_split (const char *text)
{
  g_autoptr (GStrvBuilder) patterns = g_strv_builder_new ();
  g_autoptr (GString) word = g_string_new (NULL);
  gboolean is_quoted = FALSE;

  for (const char *c = text;; c++)
    {
      if (*c == '"')
        is_quoted = !is_quoted;
      else if (*c != '\0' && (is_quoted || *c != ' '))
        g_string_append_c (word, *c);
      else if (word->len > 0)
        {
          g_strv_builder_add (patterns, word->str);
          g_string_truncate (word, 0);
        }
      if (*c == '\0')
        return g_strv_builder_end (patterns);
    }
}

/**
 * kp_exclude_join:
 *
 * Returns: (transfer full): what kp_exclude_split() makes @patterns of, for people: a double quote
 *   in a pattern is lost, and so are bytes that are not UTF-8
 */
char *
kp_exclude_join (const char *const *patterns)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (gsize i = 0; patterns[i] != NULL; i++)
    {
      const char *quote = strchr (patterns[i], ' ') != NULL ? "\"" : "";
      g_string_append_printf (text, "%s%s%s%s", text->len > 0 ? " " : "", quote, patterns[i],
                              quote);
    }
  return g_utf8_make_valid (text->str, (gssize) text->len);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-settings.h"

/**
 * kp_settings_open:
 *
 * Of the system, if it knows their schema; else those that were installed with us.
 *
 * Returns: (transfer full) (nullable): %NULL when neither is there
 */
GSettings *
kp_settings_open (void)
{
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();
  g_autoptr (GSettingsSchemaSource) own = NULL;
  g_autoptr (GSettingsSchema) schema = NULL;

  if (source != NULL)
    schema = g_settings_schema_source_lookup (source, KP_APPLICATION_ID, TRUE);
  if (schema == NULL)
    {
      own = g_settings_schema_source_new_from_directory (KP_DATA_DIR, source, FALSE, NULL);
      if (own != NULL)
        schema = g_settings_schema_source_lookup (own, KP_APPLICATION_ID, FALSE);
    }
  return schema != NULL ? g_settings_new_full (schema, NULL, NULL) : NULL;
}

/* A schema of an older version may lie in the way; to ask it for what it does not know would end
 * the process. */
static gboolean
has_key (GSettings *settings, const char *key)
{
  g_autoptr (GSettingsSchema) schema = NULL;

  if (settings == NULL)
    return FALSE;
  g_object_get (settings, "settings-schema", &schema, NULL);
  return g_settings_schema_has_key (schema, key);
}

/**
 * kp_settings_get_notify_finished:
 * @settings: (nullable)
 */
KpNotifyFinished
kp_settings_get_notify_finished (GSettings *settings)
{
  if (!has_key (settings, KP_SETTING_NOTIFY_FINISHED))
    return KP_NOTIFY_ASKED;
  return (KpNotifyFinished) g_settings_get_enum (settings, KP_SETTING_NOTIFY_FINISHED);
}

/**
 * kp_settings_get_boolean:
 * @settings: (nullable)
 * @otherwise: when nobody can know
 */
gboolean
kp_settings_get_boolean (GSettings *settings, const char *key, gboolean otherwise)
{
  return has_key (settings, key) ? g_settings_get_boolean (settings, key) : otherwise;
}

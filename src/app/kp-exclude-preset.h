/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the set-up offers to leave out of a backup, read from exclude-presets.desktop. Immutable. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  char *id;
  char *name; /* translated */
  GStrv patterns;
} KpExcludePreset;

GPtrArray *kp_exclude_preset_list (void);
gboolean kp_exclude_preset_is_in (const KpExcludePreset *preset, const char *const *patterns);
GStrv kp_exclude_split (const char *text);
char *kp_exclude_join (const char *const *patterns);

G_END_DECLS

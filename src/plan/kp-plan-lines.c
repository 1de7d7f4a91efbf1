/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-plan-lines.h"

#include <string.h>

struct _KpPlanLines
{
  GHashTable *lines; /* char * "POINTER MEMBER" or "POINTER INDEX" → line of the value's end */
};

static char *
make_key (const void *holder, const char *name)
{
  return g_strdup_printf ("%p %s", holder, name);
}

static void
member_cb (JsonParser *parser, JsonObject *object, const char *member, void *data)
{
  KpPlanLines *lines = data;

  g_hash_table_insert (lines->lines, make_key (object, member),
                       GUINT_TO_POINTER (json_parser_get_current_line (parser)));
}

static void
element_cb (JsonParser *parser, JsonArray *array, int index, void *data)
{
  KpPlanLines *lines = data;
  g_autofree char *name = g_strdup_printf ("%d", index);

  g_hash_table_insert (lines->lines, make_key (array, name),
                       GUINT_TO_POINTER (json_parser_get_current_line (parser)));
}

/**
 * kp_plan_lines_new:
 * @parser: that has not read anything yet; the lines must live as long
 */
KpPlanLines *
kp_plan_lines_new (JsonParser *parser)
{
  KpPlanLines *lines = g_new0 (KpPlanLines, 1);

  lines->lines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_signal_connect (parser, "object-member", G_CALLBACK (member_cb), lines);
  g_signal_connect (parser, "array-element", G_CALLBACK (element_cb), lines);
  return lines;
}

static guint
look_up (KpPlanLines *lines, const void *holder, const char *name)
{
  g_autofree char *key = make_key (holder, name);

  return GPOINTER_TO_UINT (g_hash_table_lookup (lines->lines, key));
}

/* The value of a member, or of an element of one: "sources[1]". @line is where it ends. */
static JsonNode *
descend (KpPlanLines *lines, JsonObject *object, const char *step, guint *line)
{
  g_auto (GStrv) parts = g_strsplit_set (step, "[]", 3);
  JsonNode *node = json_object_get_member (object, parts[0]);

  *line = look_up (lines, object, parts[0]);
  if (node == NULL || parts[1] == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    return node;
  JsonArray *array = json_node_get_array (node);
  guint64 index = g_ascii_strtoull (parts[1], NULL, 10);
  if (index >= json_array_get_length (array))
    return node;
  *line = look_up (lines, array, parts[1]);
  return json_array_get_element (array, (guint) index);
}

/**
 * kp_plan_lines_find:
 * @root: what was read
 * @path: "name", "destination.bucket", "sources[0].path"
 *
 * Returns: the line in which the member's value ends, from 1; where it is missing, that of the
 * object it is missing in; 0 where nothing is known
 */
guint
kp_plan_lines_find (KpPlanLines *lines, JsonObject *root, const char *path)
{
  g_auto (GStrv) steps = g_strsplit (path, ".", -1);
  JsonObject *object = root;
  guint line = 0;

  for (char **step = steps; *step != NULL && object != NULL; step++)
    {
      guint found;
      JsonNode *node = descend (lines, object, *step, &found);

      if (node == NULL)
        break;
      line = found;
      object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    }
  return line;
}

void
kp_plan_lines_free (KpPlanLines *lines)
{
  g_hash_table_unref (lines->lines);
  g_free (lines);
}

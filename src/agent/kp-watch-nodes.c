/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-watch-nodes.h"

static guint
hash_name (gconstpointer data)
{
  const KpWatchNode *node = data;

  return g_direct_hash (node->parent) ^ g_str_hash (node->name);
}

static gboolean
equal_names (gconstpointer a, gconstpointer b)
{
  const KpWatchNode *node_a = a;
  const KpWatchNode *node_b = b;

  return node_a->parent == node_b->parent && g_str_equal (node_a->name, node_b->name);
}

/**
 * kp_watch_nodes_init:
 *
 * Has no folders then, and is to be cleared with kp_watch_nodes_clear().
 */
void
kp_watch_nodes_init (KpWatchNodes *nodes)
{
  nodes->by_wd = g_hash_table_new (g_direct_hash, g_direct_equal);
  nodes->by_name = g_hash_table_new (hash_name, equal_names);
  nodes->roots = g_ptr_array_new ();
  g_queue_init (&nodes->queue);
}

void
kp_watch_nodes_clear (KpWatchNodes *nodes)
{
  while (nodes->roots->len > 0)
    kp_watch_nodes_remove (nodes, nodes->roots->pdata[0], NULL, NULL);
  g_clear_pointer (&nodes->roots, g_ptr_array_unref);
  g_clear_pointer (&nodes->by_wd, g_hash_table_unref);
  g_clear_pointer (&nodes->by_name, g_hash_table_unref);
}

static KpWatchNode *
node_new (KpWatchNodes *nodes, const char *name, int wd)
{
  KpWatchNode *node = g_new0 (KpWatchNode, 1);

  node->name = g_strdup (name);
  node->wd = wd;
  node->alias = kp_watch_nodes_find_wd (nodes, wd);
  node->link.data = node;
  g_hash_table_insert (nodes->by_wd, GINT_TO_POINTER (wd), node);
  return node;
}

static void
push (KpWatchNodes *nodes, KpWatchNode *node)
{
  g_queue_push_tail_link (&nodes->queue, &node->link);
  node->is_queued = TRUE;
}

/**
 * kp_watch_nodes_add_root:
 * @path: absolute
 * @seen_as: what stands before its names for the filter
 * @only: (nullable): the one file in it that counts; then it has not to be visited
 * @wd: its watch
 *
 * Returns: (transfer none): a folder that waits to be visited
 */
KpWatchNode *
kp_watch_nodes_add_root (KpWatchNodes *nodes,
                         const char *path,
                         const char *seen_as,
                         const char *only,
                         int wd)
{
  KpWatchNode *node = node_new (nodes, path, wd);

  node->seen_as = g_strdup (seen_as);
  node->only = g_strdup (only);
  g_ptr_array_add (nodes->roots, node);
  if (only == NULL)
    push (nodes, node);
  return node;
}

/**
 * kp_watch_nodes_add:
 * @parent: has no folder @name yet
 * @wd: its watch
 *
 * Returns: (transfer none): a folder that waits to be visited
 */
KpWatchNode *
kp_watch_nodes_add (KpWatchNodes *nodes, KpWatchNode *parent, const char *name, int wd)
{
  KpWatchNode *node = node_new (nodes, name, wd);

  node->parent = parent;
  node->next = parent->first_child;
  if (node->next != NULL)
    node->next->previous = node;
  parent->first_child = node;
  g_hash_table_add (nodes->by_name, node);
  push (nodes, node);
  return node;
}

KpWatchNode *
kp_watch_nodes_find (KpWatchNodes *nodes, KpWatchNode *parent, const char *name)
{
  KpWatchNode key = { .parent = parent, .name = (char *) name };

  return g_hash_table_lookup (nodes->by_name, &key);
}

KpWatchNode *
kp_watch_nodes_find_wd (KpWatchNodes *nodes, int wd)
{
  return g_hash_table_lookup (nodes->by_wd, GINT_TO_POINTER (wd));
}

/* Takes @node out of those with its watch. Returns whether it was the last. */
static gboolean
release_watch (KpWatchNodes *nodes, KpWatchNode *node)
{
  KpWatchNode *first = kp_watch_nodes_find_wd (nodes, node->wd);

  if (first != node)
    {
      while (first->alias != node)
        first = first->alias;
      first->alias = node->alias;
      return FALSE;
    }
  if (node->alias != NULL)
    {
      g_hash_table_insert (nodes->by_wd, GINT_TO_POINTER (node->wd), node->alias);
      return FALSE;
    }
  g_hash_table_remove (nodes->by_wd, GINT_TO_POINTER (node->wd));
  return TRUE;
}

/**
 * kp_watch_nodes_remove:
 * @unused: (nullable): hears of each watch that is not needed any more
 * @user_data: for @unused
 *
 * Forgets @node with all below it. No deeper than a path is long, so it may call itself.
 */
void
kp_watch_nodes_remove (KpWatchNodes *nodes,
                       KpWatchNode *node,
                       KpWatchUnusedFunc unused,
                       void *user_data)
{
  while (node->first_child != NULL)
    kp_watch_nodes_remove (nodes, node->first_child, unused, user_data);

  if (node->is_queued)
    g_queue_unlink (&nodes->queue, &node->link);
  if (node->parent == NULL)
    {
      g_ptr_array_remove (nodes->roots, node);
    }
  else
    {
      g_hash_table_remove (nodes->by_name, node);
      if (node->previous != NULL)
        node->previous->next = node->next;
      else
        node->parent->first_child = node->next;
      if (node->next != NULL)
        node->next->previous = node->previous;
    }
  if (release_watch (nodes, node) && unused != NULL)
    unused (node->wd, user_data);
  g_free (node->name);
  g_free (node->seen_as);
  g_free (node->only);
  g_free (node);
}

static void
append_names (const KpWatchNode *node, GString *path)
{
  if (node->parent == NULL)
    return;
  append_names (node->parent, path);
  g_string_append (path, node->name);
  g_string_append_c (path, '/');
}

/**
 * kp_watch_node_path:
 * @name: (nullable): of something in it
 *
 * Returns: (transfer full): the absolute path of @name, or of the folder itself
 */
char *
kp_watch_node_path (const KpWatchNode *node, const char *name)
{
  GString *path = g_string_new (kp_watch_node_root (node)->name);

  if (path->str[path->len - 1] != '/')
    g_string_append_c (path, '/');
  append_names (node, path);
  if (name != NULL)
    g_string_append (path, name);
  else if (path->len > 1)
    g_string_truncate (path, path->len - 1);
  return g_string_free (path, FALSE);
}

/**
 * kp_watch_node_filter_path:
 * @name: of something in it
 *
 * Returns: (transfer full): @name as the filter knows it
 */
char *
kp_watch_node_filter_path (const KpWatchNode *node, const char *name)
{
  GString *path = g_string_new (kp_watch_node_root (node)->seen_as);

  append_names (node, path);
  g_string_append (path, name);
  return g_string_free (path, FALSE);
}

const KpWatchNode *
kp_watch_node_root (const KpWatchNode *node)
{
  while (node->parent != NULL)
    node = node->parent;
  return node;
}

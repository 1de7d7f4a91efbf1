/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The folders that KpTreeWatch watches, as a tree: which watch belongs to which folder. It knows
 * nothing of inotify. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KpWatchNode KpWatchNode;

/* A folder. The root of a tree is a source of the plan. */
struct _KpWatchNode
{
  KpWatchNode *parent; /* NULL for a root */
  KpWatchNode *first_child;
  KpWatchNode *previous;
  KpWatchNode *next;
  KpWatchNode *alias; /* the next one with the same watch: the same folder by another path */
  int wd;
  char *name;     /* of a root: its absolute path */
  char *seen_as;  /* of a root: what stands before its names for the filter, "name/" or "" */
  char *only;     /* of a root: the one file in it that counts, or NULL */
  guint64 device; /* of a root: where all of its tree is */
  GList link;     /* in the queue of those to be visited, when is_queued */
  gboolean is_queued;
};

typedef struct
{
  GHashTable *by_wd;   /* (element-type int KpWatchNode): the first of its aliases */
  GHashTable *by_name; /* (element-type KpWatchNode): a set, by parent and name; not the roots */
  GPtrArray *roots;    /* (element-type KpWatchNode) */
  GQueue queue;        /* (element-type KpWatchNode) (unowned): to be visited */
} KpWatchNodes;

/* Called for each watch that no folder needs any more. */
typedef void (*KpWatchUnusedFunc) (int wd, void *user_data);

void kp_watch_nodes_init (KpWatchNodes *nodes);
void kp_watch_nodes_clear (KpWatchNodes *nodes);
KpWatchNode *kp_watch_nodes_add_root (KpWatchNodes *nodes,
                                      const char *path,
                                      const char *seen_as,
                                      const char *only,
                                      int wd);
KpWatchNode *kp_watch_nodes_add (KpWatchNodes *nodes,
                                 KpWatchNode *parent,
                                 const char *name,
                                 int wd);
KpWatchNode *kp_watch_nodes_find (KpWatchNodes *nodes, KpWatchNode *parent, const char *name);
KpWatchNode *kp_watch_nodes_find_wd (KpWatchNodes *nodes, int wd);
void kp_watch_nodes_remove (KpWatchNodes *nodes,
                            KpWatchNode *node,
                            KpWatchUnusedFunc unused,
                            void *user_data);

char *kp_watch_node_path (const KpWatchNode *node, const char *name);
char *kp_watch_node_filter_path (const KpWatchNode *node, const char *name);
const KpWatchNode *kp_watch_node_root (const KpWatchNode *node);

G_END_DECLS

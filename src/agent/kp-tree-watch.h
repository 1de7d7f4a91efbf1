/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Watches the sources of a plan with all that is in them by inotify, for @watch. It tells that
 * something changed, not what: the next job finds that out. The number of watches is bounded; where
 * the bound or the system's is met, or where inotify cannot see (network file systems), it says so,
 * and its owner has to look from time to time instead. What it complained of it does not try again:
 * that takes a new one, and it tells when that would see more.
 *
 * Like a job it stays on the file systems of its sources, and what the filter leaves out it does
 * not see.
 *
 *   changed (): something changed; told again at each change, at most once a second
 *   notify::complaint
 *   notify::ready: every folder has been visited; until then some changes are missed */

#include "kp-filter.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define KP_TYPE_TREE_WATCH (kp_tree_watch_get_type ())
G_DECLARE_FINAL_TYPE (KpTreeWatch, kp_tree_watch, KP, TREE_WATCH, GObject)

KpTreeWatch *kp_tree_watch_new (GPtrArray *sources,
                                KpFilter *filter,
                                const char *own_folder,
                                guint max_watches);
const char *kp_tree_watch_get_complaint (KpTreeWatch *watch);
gboolean kp_tree_watch_would_see_more (KpTreeWatch *watch);
guint kp_tree_watch_get_n_watches (KpTreeWatch *watch);
gboolean kp_tree_watch_is_ready (KpTreeWatch *watch);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Opening what lies beneath a directory, and never anything else: no symbolic link on the way is
 * followed, no ".." climbs out. Used on the source, where a link could show us another file than
 * the one scanned, and on the target of a restore, where a key could name any path. */

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

int kp_beneath_open (int root_fd, const char *path, int flags);
int kp_beneath_open_quietly (int root_fd, const char *path, int flags);
int kp_beneath_make_directories (int root_fd, const char *path);
gboolean kp_beneath_is_safe (const char *path);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A folder of its own for a test, removed with all that lies in it. Paths are relative to it. */

#include <glib.h>

#include <sys/stat.h>

G_BEGIN_DECLS

typedef struct
{
  char *path; /* absolute */
  int fd;
} TemporaryTree;

TemporaryTree *temporary_tree_new (void);
void temporary_tree_free (TemporaryTree *tree);

char *temporary_tree_path (TemporaryTree *tree, const char *path);
void temporary_tree_make_directory (TemporaryTree *tree, const char *path);
void temporary_tree_write (TemporaryTree *tree, const char *path, const char *data, gssize length);
void temporary_tree_link (TemporaryTree *tree, const char *target, const char *path);
void temporary_tree_make_fifo (TemporaryTree *tree, const char *path);
int temporary_tree_open (TemporaryTree *tree, const char *path, int flags);
gboolean temporary_tree_stat (TemporaryTree *tree, const char *path, struct stat *st);
gboolean temporary_tree_has (TemporaryTree *tree, const char *path, const char *data, gsize length);
guint temporary_tree_count (TemporaryTree *tree, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TemporaryTree, temporary_tree_free)

G_END_DECLS

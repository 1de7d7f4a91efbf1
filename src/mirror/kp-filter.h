/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What is left out of a mirror: the --exclude, --include and --exclude-from of rsync, and every
 * pattern means exactly what it means there (rsync(1), "Pattern matching rules"). Of the rule
 * prefixes rsync's options know "+ ", "- " and "!"; its --filter language is not part of this.
 *
 * The first rule that matches decides; without one an entry is kept. Paths are relative to the root
 * of the transfer: below a source "photos/" that is "2026/a.jpg", but below a source "photos",
 * which is mirrored with its own name, "photos/2026/a.jpg". Paths and patterns are bytes, in no
 * encoding: "?" matches one byte.
 *
 * A filter is filled by one thread; once it is, any number of threads may ask it. */

#include <glib-object.h>

G_BEGIN_DECLS

#define KP_TYPE_FILTER (kp_filter_get_type ())

typedef struct _KpFilter KpFilter;

GType kp_filter_get_type (void);
KpFilter *kp_filter_new (void);
KpFilter *kp_filter_ref (KpFilter *self);
void kp_filter_unref (KpFilter *self);

gboolean kp_filter_add_exclude (KpFilter *self, const char *pattern, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_filter_add_include (KpFilter *self, const char *pattern, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_filter_add_file (KpFilter *self, const char *path, gboolean is_exclude, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_filter_is_empty (KpFilter *self);
gboolean kp_filter_excludes (KpFilter *self, const char *relative_path, gboolean is_directory);
gboolean kp_filter_excludes_tree (KpFilter *self, const char *relative_path, gboolean is_directory);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpFilter, kp_filter_unref)

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The delete guard: whether the deletions that a mirror wants look like what a person did, or like
 * an accident. Pure. Nothing is ever deleted that it has not passed. */

#include <glib.h>

G_BEGIN_DECLS

/* Above both, deletions need consent. */
#define KP_GUARD_PERCENT 25
#define KP_GUARD_COUNT 100

/* The same for a source of which nothing is remembered, as on a new computer or without the
 * catalogue: nobody knows then what should be mounted where. And more objects than that which this
 * computer does not remember to have stored need consent by themselves: its files and its records
 * may be of an older time, and the objects be the only copies. So do more than that of a folder
 * that is a file now: like one that is empty, it may not be what was meant. */
#define KP_GUARD_COUNT_UNKNOWN 10

/* What would go of one source. */
typedef struct
{
  const char *path;
  guint64 known;       /* objects below its key */
  guint64 deletions;   /* of them, how many would go */
  guint64 strange;     /* of these, how many are not remembered to have been stored */
  gboolean is_unknown; /* where it was before is not remembered, and the bucket had objects of it */
  gboolean was_folder; /* and is a file now: all of its objects would go */
  guint64 foreign;     /* of the strange: of a folder, and it is a file, or the reverse, so that
                        * they may be another backup's */
} KpGuardSource;

typedef struct
{
  const KpGuardSource *sources;
  gsize n_sources;
  gboolean source_missing;  /* a source could not be opened */
  const char *empty_source; /* path of a source that is empty and was not, or NULL */
  const char *moved_source; /* path of a source on another file system than before, or NULL */
  guint64 unreadable;       /* files and folders that could not be read */
  guint64 unsaved;          /* files that are nowhere in the bucket, as sending them failed */
  guint64 known;            /* objects that the mirror has, of all sources */
  guint64 deletions;        /* of them, how many would go */
  gboolean has_consent;     /* the user named a number… */
  guint64 consent;          /* …up to which deletions are meant */
} KpGuardCase;

char *kp_guard_judge (const KpGuardCase *guard_case);

G_END_DECLS

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* The catalogue: a SQLite file that records what the bucket holds as we last left it, and the work
 * tables of the job that runs (scan, listing, changes), so that memory does not grow with the
 * number of files. Thread-safe: each call takes a lock.
 *
 * It is never needed for a restore; losing it costs a round of HEAD requests. docs/formats.md
 * describes the tables. */

#include "kp-chunker.h"
#include "kp-metadata.h"
#include "kp-s3-location.h"
#include "kp-s3-object.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _KpCatalogue KpCatalogue;

/* What the scan found. */
typedef struct
{
  char *key; /* whole key */
  guint source;
  char *path; /* below the source's root; "" for the root itself */
  KpFileInfo info;
  gboolean is_linked; /* a regular file of which the scan has other names, too */
} KpScanned;

/* What an object holds, as we wrote it or made sure of it. */
typedef struct
{
  char *etag;
  KpFileInfo info; /* of the file that it was made from; ctime 0 forces a look at the bytes */
  GBytes *sha256;  /* 32 bytes; NULL for what is not a regular file, or was never hashed */
  GBytes *xattrs;  /* digest; NULL for none */
  gboolean xattrs_left_out; /* they did not fit: each job has to say so again */
  char *hard_link;          /* as the object says it; NULL for none */
  gint64 stored; /* Unix seconds by the server's clock: not touched by others until then, as far as
                    we know; 0: not known */
} KpKnown;

/* Scan, listing and catalogue side by side for one key of the scan. */
typedef struct
{
  KpScanned local;
  gboolean listed; /* in the bucket */
  guint64 listed_size;
  char *listed_etag;
  gint64 listed_modified; /* Unix seconds by the server's clock; 0: not said */
  gboolean has_known;     /* in the catalogue */
  KpKnown known;
} KpComparison;

/* In the order in which they are carried out: what is copied from is not yet overwritten. */
typedef enum
{
  KP_ACTION_RENAME,   /* copy the object of a name that is gone */
  KP_ACTION_COPY,     /* copy an object of equal bytes */
  KP_ACTION_ASSEMBLE, /* send what is new of a large file, copy the rest, also from other objects */
  KP_ACTION_PUT,      /* send the whole file */
  KP_ACTION_DELTA,    /* send what changed of a large file, copy the rest of its own object */
  KP_ACTION_METADATA, /* copy the object onto itself with new headers */
  KP_ACTION_LINK,     /* copy the object of another name of the same file */
  KP_ACTION_DELETE,
} KpAction;

#define KP_N_ACTIONS (KP_ACTION_DELETE + 1)

/* An object that an action ends, as the listing has it. */
typedef struct
{
  char *etag; /* NULL: there is none */
  guint64 size;
  char *storage_class; /* NULL for STANDARD */
} KpEnded;

/* One row of the change set. */
typedef struct
{
  KpAction action;
  guint64 bytes;       /* of bodies that it will send */
  KpScanned local;     /* but for deletions: only the key */
  char *from_key;      /* of renames, copies and links, or NULL */
  char *storage_class; /* of the object under from_key, or key; NULL for STANDARD, or none */
  char *listed_etag;   /* of the object under from_key, or key, in the listing; NULL for none */
  KpEnded old;         /* the object under key itself, which the action ends */
  gboolean has_known;
  KpKnown known; /* of the key itself, or of from_key */
} KpChange;

/* One row of the listing, be it of now or of the past. */
typedef struct
{
  char *key;
  guint64 size;
  char *etag;
  gint64 stored;       /* Unix seconds; 0 in a listing of now */
  char *storage_class; /* or NULL */
  char *version_id;    /* of the past: or NULL for the object as it is now */
  char *from_key;      /* of the past: where the object is kept instead, or NULL */
} KpListed;

/* Where a source was when we last saw it. */
typedef struct
{
  guint64 dev;
  guint64 fsid;
  gboolean is_mount_point;
} KpRootIdentity;

/* How much of what is stored was read back since. */
typedef struct
{
  guint64 objects; /* with bytes of their own: of files and links */
  guint64 objects_proved;
  guint64 bytes;
  guint64 bytes_proved;
  gint64 oldest_proof; /* seconds since 1970; 0 for none */
} KpCoverage;

/* An object that a verification can compare with something. */
typedef struct
{
  KpComparison row;    /* its key is always set; has no path when there is no file */
  guint64 offset;      /* how many bytes from its start on were proved by an earlier verification */
  gboolean is_damaged; /* as an earlier verification has found */
} KpCandidate;

gboolean kp_catalogue_exists (const char *state_dir, KpS3Location *location);
KpCatalogue *kp_catalogue_open (const char *state_dir, KpS3Location *location, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCatalogue *kp_catalogue_open_temporary (GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_catalogue_dup_path (const char *state_dir, KpS3Location *location);
void kp_catalogue_free (KpCatalogue *catalogue);
const char *kp_catalogue_get_path (KpCatalogue *catalogue);
const char *kp_catalogue_get_set_aside (KpCatalogue *catalogue);

gboolean kp_catalogue_begin (KpCatalogue *catalogue, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_commit (KpCatalogue *catalogue, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_sync (KpCatalogue *catalogue, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_make_durable (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_catalogue_add_scanned (KpCatalogue *catalogue, const KpScanned *scanned, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_trust_links (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_linked (KpCatalogue *catalogue,
                                  const char *name,
                                  const char *path,
                                  gboolean is_new,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_listed (KpCatalogue *catalogue, GPtrArray *entries, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_change (KpCatalogue *catalogue,
                                  KpAction action,
                                  const char *key,
                                  guint64 bytes,
                                  const char *from_key,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_catalogue_put_known (KpCatalogue *catalogue,
                                 const char *key,
                                 const KpKnown *known,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_stored (KpCatalogue *catalogue,
                                  const char *key,
                                  gint64 stored,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_known (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_forget (KpCatalogue *catalogue,
                              const char *const *keys,
                              gsize n,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_sweep_doomed (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_hold_deletion (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_hold_deletions (KpCatalogue *catalogue, guint64 *n_held, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_end_deletion (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Cursors. A next function gives 1 for a row, 0 at the end, -1 with an error. */
typedef struct _KpCursor KpCursor;

KpCursor *kp_catalogue_compare (KpCatalogue *catalogue, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_comparison (KpCursor *cursor, KpComparison *row, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_changes (KpCatalogue *catalogue,
                                     KpAction first,
                                     KpAction last,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_change (KpCursor *cursor, KpChange *row, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_vanished (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_key (KpCursor *cursor, char **key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What the catalogue knows of an object whose file is gone. */
typedef struct
{
  gboolean is_remembered; /* it was stored by this computer, as it is, or was to be deleted */
  gboolean was_gone;      /* when an earlier job looked, too */
} KpVanished;

int kp_cursor_next_vanished (KpCursor *cursor, char **key, KpVanished *vanished, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_linked (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_linked (KpCursor *cursor,
                           char **name,
                           char **path,
                           gboolean *is_new,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_listed (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_listed (KpCursor *cursor, KpListed *row, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_known_backwards (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_known (KpCursor *cursor, char **key, KpKnown *known, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_candidates (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
int kp_cursor_next_candidate (KpCursor *cursor, KpCandidate *candidate, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_damaged (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpCursor *kp_catalogue_list_lost (KpCatalogue *catalogue,
                                  const char *first,
                                  const char *end,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_cursor_free (KpCursor *cursor);

/* What was verified. */
gboolean kp_catalogue_put_proof (KpCatalogue *catalogue,
                                 const char *key,
                                 const char *etag,
                                 gint64 now,
                                 guint64 offset,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_attempt (KpCatalogue *catalogue,
                                   const char *key,
                                   const char *etag,
                                   gint64 now,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_proof (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_damaged (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_damaged (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_has_damaged (KpCatalogue *catalogue, gboolean *found, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_count_damaged (KpCatalogue *catalogue, guint64 *n_damaged, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_damaged (KpCatalogue *catalogue,
                                  const char *key,
                                  gboolean *found,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_find_candidates (KpCatalogue *catalogue,
                                       guint64 *n_candidates,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_coverage (KpCatalogue *catalogue,
                                    const char *first,
                                    const char *end,
                                    KpCoverage *coverage,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_sweep_proofs (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

char *kp_catalogue_find_first_link (KpCatalogue *catalogue, const KpFileInfo *info, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_sum_listed (KpCatalogue *catalogue,
                                  guint64 *n_objects,
                                  guint64 *bytes,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_count (KpCatalogue *catalogue,
                             guint64 *n_scanned,
                             guint64 *n_listed,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_listed (KpCatalogue *catalogue,
                                 const char *key,
                                 gboolean *found,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_has_listed_below (KpCatalogue *catalogue,
                                        const char *prefix,
                                        gboolean *found,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_listed (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remembers (KpCatalogue *catalogue,
                                 const char *key,
                                 gboolean *found,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_catalogue_get_root (KpCatalogue *catalogue,
                                const char *path,
                                KpRootIdentity *identity,
                                gboolean *found,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_root (KpCatalogue *catalogue,
                                const char *path,
                                const KpRootIdentity *identity,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_root (KpCatalogue *catalogue, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_catalogue_list_mounts_below (KpCatalogue *catalogue, const char *path, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_find_emptied_folder (KpCatalogue *catalogue,
                                           guint source,
                                           char **path,
                                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_count_listed_below (KpCatalogue *catalogue,
                                          const char *prefix,
                                          guint64 *count,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The listing of a moment in the past. */
gboolean kp_catalogue_add_version (KpCatalogue *catalogue,
                                   const KpS3Entry *entry,
                                   gint64 at,
                                   gboolean oldest_first,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_kept (KpCatalogue *catalogue,
                                const KpS3Entry *entry,
                                const char *mirror_key,
                                gboolean was_deleted,
                                gint64 at,
                                gboolean was_there,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_list_past (KpCatalogue *catalogue, guint64 *n_objects, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

gboolean kp_catalogue_go_back (KpCatalogue *catalogue,
                               const char *key,
                               gboolean *found,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The insides of large objects. */
gboolean kp_catalogue_put_chunks (KpCatalogue *catalogue,
                                  const char *key,
                                  const char *etag,
                                  GArray *chunks,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
GArray *kp_catalogue_get_chunks (KpCatalogue *catalogue,
                                 const char *key,
                                 const char *etag,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_new_chunks (KpCatalogue *catalogue,
                                      const char *key,
                                      GArray *chunks,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
GArray *kp_catalogue_get_new_chunks (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_find_chunk (KpCatalogue *catalogue,
                                  const guint8 *sha256,
                                  char **key,
                                  char **etag,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_has_chunks (KpCatalogue *catalogue, gboolean *found, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_has_content (KpCatalogue *catalogue,
                                   guint64 size,
                                   gboolean *found,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_find_content (KpCatalogue *catalogue,
                                    guint64 size,
                                    GBytes *sha256,
                                    char **key,
                                    gboolean *is_vanished,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_scanned (KpCatalogue *catalogue,
                                  const char *key,
                                  gboolean *found,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_renamed (KpCatalogue *catalogue,
                                  const char *key,
                                  gboolean *found,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_set_rename_done (KpCatalogue *catalogue,
                                       const char *from_key,
                                       const char *key,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_rename_open (KpCatalogue *catalogue,
                                      const char *key,
                                      gboolean *open,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_add_doubts (KpCatalogue *catalogue, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_is_doubted (KpCatalogue *catalogue,
                                  const char *key,
                                  gboolean *found,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_doubt (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_sweep_chunks (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* An upload in parts that was begun and not ended. */
typedef struct
{
  char *key;
  char *upload_id;
  KpFileInfo info; /* of the file that it was begun for */
  char *layout;    /* which parts it is made of */
} KpUploadRow;

/* An upload that was about to be begun. */
typedef struct
{
  char *key;
  gint64 time; /* the server's, in Unix seconds */
} KpBeginning;

KpBeginning *kp_beginning_copy (const KpBeginning *beginning);
void kp_beginning_free (KpBeginning *beginning);

gboolean kp_catalogue_put_beginning (KpCatalogue *catalogue,
                                     const char *key,
                                     gint64 time,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_beginning (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_catalogue_list_beginnings (KpCatalogue *catalogue, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_upload (KpCatalogue *catalogue, const KpUploadRow *upload, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpUploadRow *kp_catalogue_get_upload (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_catalogue_list_stale_uploads (KpCatalogue *catalogue,
                                            guint64 larger_than,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_remove_upload (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_catalogue_put_upload_part (KpCatalogue *catalogue,
                                       const char *key,
                                       unsigned number,
                                       const char *etag,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
GHashTable *kp_catalogue_get_upload_parts (KpCatalogue *catalogue, const char *key, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_upload_row_free (KpUploadRow *upload);

gboolean kp_catalogue_count_known (KpCatalogue *catalogue, guint64 *n_objects, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *kp_catalogue_get_split_keys (KpCatalogue *catalogue,
                                        const char *prefix,
                                        unsigned n,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

void kp_listed_clear (KpListed *row);
void kp_scanned_clear (KpScanned *scanned);
void kp_known_clear (KpKnown *known);
void kp_known_copy (KpKnown *to, const KpKnown *from);
void kp_comparison_clear (KpComparison *row);
void kp_candidate_clear (KpCandidate *candidate);
void kp_change_clear (KpChange *row);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpCatalogue, kp_catalogue_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpCursor, kp_cursor_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpUploadRow, kp_upload_row_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpListed, kp_listed_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpScanned, kp_scanned_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpKnown, kp_known_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpComparison, kp_comparison_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpCandidate, kp_candidate_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpChange, kp_change_clear)

G_END_DECLS

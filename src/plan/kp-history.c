/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-history-private.h"

#include "kp-error.h"
#include "kp-sql.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define APPLICATION_ID 0x4B704869 /* "KpHi" */
#define PATIENCE_MILLISECONDS 10000

/* An enumeration is stored as the word that scripts see, so that nothing depends on its order.
 *
 * after_job is the last job of the plan when a series of skips began: skips for one reason are one
 * row until a job or another reason comes between, whatever the clock says. */
static const char schema[]
    = "CREATE TABLE IF NOT EXISTS job ("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT, plan TEXT NOT NULL, kind TEXT NOT NULL,"
      "  trigger TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0,"
      "  state TEXT NOT NULL, reason TEXT, message TEXT,"
      "  put INTEGER NOT NULL DEFAULT 0, delta INTEGER NOT NULL DEFAULT 0,"
      "  copied INTEGER NOT NULL DEFAULT 0, metadata INTEGER NOT NULL DEFAULT 0,"
      "  deleted INTEGER NOT NULL DEFAULT 0, unchanged INTEGER NOT NULL DEFAULT 0,"
      "  failed INTEGER NOT NULL DEFAULT 0, bytes_sent INTEGER NOT NULL DEFAULT 0,"
      "  bytes_saved INTEGER NOT NULL DEFAULT 0);"
      "CREATE INDEX IF NOT EXISTS job_by_plan ON job (plan, id);"
      "CREATE INDEX IF NOT EXISTS job_running ON job (id) WHERE state = 'running';"
      "CREATE TABLE IF NOT EXISTS failure ("
      "  id INTEGER PRIMARY KEY, job INTEGER NOT NULL, path BLOB NOT NULL, reason TEXT,"
      "  message TEXT);"
      "CREATE INDEX IF NOT EXISTS failure_by_job ON failure (job, id);"
      /* Of jobs that verified; an older Keepsake does without. */
      "CREATE TABLE IF NOT EXISTS coverage ("
      "  job INTEGER PRIMARY KEY, objects INTEGER NOT NULL, objects_proved INTEGER NOT NULL,"
      "  bytes INTEGER NOT NULL, bytes_proved INTEGER NOT NULL, oldest_proof INTEGER NOT NULL);"
      "CREATE TABLE IF NOT EXISTS skip ("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT, plan TEXT NOT NULL, since INTEGER NOT NULL,"
      "  until INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT,"
      "  after_job INTEGER NOT NULL);"
      "CREATE INDEX IF NOT EXISTS skip_by_plan ON skip (plan, id);";

/* --- SQL ------------------------------------------------------------------------------------ */

static gboolean
set_error (KpHistory *self, GError **error)
{
  const char *message = sqlite3_errmsg (self->db);

  switch (sqlite3_errcode (self->db) & 0xFF)
    {
    case SQLITE_FULL:
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "The disk is full that holds the history “%s”; free some space", self->path);
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      self->is_damaged = TRUE;
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "The history “%s” is damaged (%s); delete it, and a new one begins", self->path,
                   message);
      break;
    default:
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot use the history “%s”: %s",
                   self->path, message);
      break;
    }
  return FALSE;
}

/* Prepares a statement and binds to it one argument for each letter of @types: "i" a gint64, "s" a
 * text or NULL, "b" bytes that end with NUL. They are not copied. */
static Statement *
prepare (KpHistory *self, GError **error, const char *sql, const char *types, va_list arguments)
{
  Statement *statement = NULL;

  if (sqlite3_prepare_v2 (self->db, sql, -1, &statement, NULL) != SQLITE_OK)
    {
      set_error (self, error);
      return NULL;
    }
  for (int i = 0; types[i] != '\0'; i++)
    if (types[i] == 'i')
      {
        sqlite3_bind_int64 (statement, i + 1, va_arg (arguments, gint64));
      }
    else
      {
        const char *text = va_arg (arguments, const char *);
        if (types[i] == 'b')
          sqlite3_bind_blob64 (statement, i + 1, text, strlen (text), SQLITE_STATIC);
        else
          sqlite3_bind_text (statement, i + 1, text, -1, SQLITE_STATIC);
      }
  return statement;
}

Statement *
kp_history_query (KpHistory *self, GError **error, const char *sql, const char *types, ...)
{
  va_list arguments;

  va_start (arguments, types);
  Statement *statement = prepare (self, error, sql, types, arguments);
  va_end (arguments);
  return statement;
}

static gboolean
run (KpHistory *self, GError **error, const char *sql, const char *types, ...)
{
  va_list arguments;

  va_start (arguments, types);
  g_autoptr (Statement) statement = prepare (self, error, sql, types, arguments);
  va_end (arguments);
  if (statement == NULL)
    return FALSE;
  return sqlite3_step (statement) == SQLITE_DONE || set_error (self, error);
}

/* Steps to the next row. FALSE with an error, or without one after the last. */
gboolean
kp_history_next_row (KpHistory *self, Statement *statement, GError **error)
{
  int result = sqlite3_step (statement);

  if (result != SQLITE_ROW && result != SQLITE_DONE)
    set_error (self, error);
  return result == SQLITE_ROW;
}

/* The number in the first column of the first row; @fallback where there is none. */
static gboolean
fetch_number (KpHistory *self,
              Statement *statement,
              gint64 fallback,
              gint64 *number,
              GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (statement == NULL)
    return FALSE;
  *number = fallback;
  if (kp_history_next_row (self, statement, &local_error))
    *number = sqlite3_column_int64 (statement, 0);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* At once the only writer, so that what is read within is still true when it is written. */
static gboolean
begin (KpHistory *self, GError **error)
{
  return run (self, error, "BEGIN IMMEDIATE", "");
}

/* Ends a transaction: for good, or, where @ok says that something has failed, as if it had not
 * been. */
static gboolean
finish (KpHistory *self, gboolean ok, GError **error)
{
  if (ok && run (self, error, "COMMIT", ""))
    return TRUE;
  sqlite3_exec (self->db, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* --- who still lives ------------------------------------------------------------------------ */

/* A process that has begun a job holds a lock on one byte of the lock file, whose offset is the id
 * of the job. It belongs to the open file, so the kernel takes it back whatever ends the process.
 * The first byte, as no job has that id, is shared by all that have the history open: only who has
 * it alone may put another file in its place. */
#define PLACE 0

static gboolean
lock_job (KpHistory *self, gint64 id, short type)
{
  struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = id, .l_len = 1 };

  return self->lock_fd >= 0 && fcntl (self->lock_fd, F_OFD_SETLK, &lock) == 0;
}

static gboolean
is_alive (KpHistory *self, gint64 id)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = id, .l_len = 1 };

  if (g_hash_table_contains (self->open, &id))
    return TRUE;
  return self->lock_fd >= 0 && fcntl (self->lock_fd, F_OFD_GETLK, &lock) == 0
         && lock.l_type != F_UNLCK;
}

static gboolean
mark_interrupted (KpHistory *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GArray) dead = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (Statement) running
      = kp_history_query (self, error, "SELECT id FROM job WHERE state = 'running'", "");

  if (running == NULL)
    return FALSE;
  while (kp_history_next_row (self, running, &local_error))
    {
      gint64 id = sqlite3_column_int64 (running, 0);
      if (!is_alive (self, id))
        g_array_append_val (dead, id);
    }
  for (guint i = 0; i < dead->len && local_error == NULL; i++)
    if (!run (self, &local_error, "UPDATE job SET state = 'interrupted' WHERE id = ?", "i",
              g_array_index (dead, gint64, i)))
      break;
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/**
 * kp_history_mark_interrupted:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Looks for jobs whose process has ended without saying how, as kp_history_open() does.
 */
gboolean
kp_history_mark_interrupted (KpHistory *self, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return begin (self, error) && finish (self, mark_interrupted (self, error), error);
}

/* --- opening -------------------------------------------------------------------------------- */

/* A file that has nothing of ours in it is only touched when it has nothing in it at all. */
static gboolean
check_version (KpHistory *self, gboolean *is_new, GError **error)
{
  gint64 application_id;
  gint64 version;
  gint64 n_tables = 0;
  g_autoptr (Statement) get_id = kp_history_query (self, error, "PRAGMA application_id", "");
  if (!fetch_number (self, get_id, 0, &application_id, error))
    return FALSE;
  g_autoptr (Statement) get_version = kp_history_query (self, error, "PRAGMA user_version", "");
  if (!fetch_number (self, get_version, 0, &version, error))
    return FALSE;

  *is_new = FALSE;
  /* Before its tables are looked at: there may be something that this SQLite takes for damage. */
  if (application_id == APPLICATION_ID && version != SCHEMA_VERSION)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "The history “%s” was written by a newer Keepsake (format %" G_GINT64_FORMAT
                   ", and this one knows up to %d); update Keepsake",
                   self->path, version, SCHEMA_VERSION);
      return FALSE;
    }
  g_autoptr (Statement) count
      = kp_history_query (self, error, "SELECT count(*) FROM sqlite_schema", "");
  if (!fetch_number (self, count, 0, &n_tables, error))
    return FALSE;
  *is_new = application_id == 0 && version == 0 && n_tables == 0;
  if (*is_new || application_id == APPLICATION_ID)
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
               "“%s” is not a history of Keepsake; move it away, and a new one begins", self->path);
  return FALSE;
}

static gboolean
create_tables (KpHistory *self, GError **error)
{
  g_autofree char *text = g_strdup_printf ("%sPRAGMA application_id = %d; PRAGMA user_version = %d",
                                           schema, APPLICATION_ID, SCHEMA_VERSION);

  return sqlite3_exec (self->db, text, NULL, NULL, NULL) == SQLITE_OK || set_error (self, error);
}

/* SQLite would make it as the umask says; its other files then get the same mode. An existing file
 * is never opened here: closing it would take away the locks of another connection in this
 * process (sqlite.org/howtocorrupt.html, 2.2). */
static gboolean
create_private (const char *path, GError **error)
{
  struct stat st;
  int fd;

  fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0)
    {
      close (fd);
      return TRUE;
    }
  if (errno == EEXIST
      && (stat (path, &st) < 0 || (st.st_mode & 077) == 0 || chmod (path, 0600) == 0))
    return TRUE;
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create the history “%s”: %s", path,
               g_strerror (errno));
  return FALSE;
}

/* Reads the whole file, which is some megabytes after years. */
static gboolean
check_soundness (KpHistory *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Statement) check = kp_history_query (self, error, "PRAGMA quick_check (1)", "");

  if (check == NULL)
    return FALSE;
  if (!kp_history_next_row (self, check, &local_error))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  const char *verdict = (const char *) sqlite3_column_text (check, 0);
  if (g_strcmp0 (verdict, "ok") == 0)
    return TRUE;
  self->is_damaged = TRUE;
  g_info ("%s", verdict);
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
               "The history “%s” is damaged; delete it, and a new one begins", self->path);
  return FALSE;
}

/* WAL with synchronous=NORMAL: what is recorded survives a kill; a power cut may take the last
 * seconds, and then a plan is due once more than it had to be. */
static gboolean
open_database (KpHistory *self, const char *path, gboolean thoroughly, GError **error)
{
  gboolean is_new;

  if (sqlite3_open_v2 (path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)
      != SQLITE_OK)
    return set_error (self, error);
  sqlite3_busy_timeout (self->db, PATIENCE_MILLISECONDS);
  if (!check_version (self, &is_new, error) || (thoroughly && !check_soundness (self, error)))
    return FALSE;
  if (sqlite3_exec (self->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", NULL, NULL,
                    NULL)
      != SQLITE_OK)
    return set_error (self, error);
  if (!begin (self, error))
    return FALSE;
  return finish (self, (!is_new || create_tables (self, error)) && mark_interrupted (self, error),
                 error);
}

static void
close_database (KpHistory *self)
{
  g_clear_pointer (&self->db, sqlite3_close);
}

static void
history_clear (gpointer data)
{
  KpHistory *self = data;

  close_database (self);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  g_hash_table_unref (self->open);
  g_mutex_clear (&self->lock);
  g_free (self->path);
}

static KpHistory *
history_new (const char *path)
{
  KpHistory *self = g_atomic_rc_box_new0 (KpHistory);

  self->path = g_strdup (path);
  self->lock_fd = -1;
  self->open = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  g_mutex_init (&self->lock);
  return self;
}

static gboolean
open_file (KpHistory *self, gboolean thoroughly, GError **error)
{
  g_autofree char *lock_path = g_strconcat (self->path, ".lock", NULL);
  g_autofree char *directory = g_path_get_dirname (self->path);
  struct flock place = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = PLACE, .l_len = 1 };

  if (g_mkdir_with_parents (directory, 0700) < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot create the folder “%s”: %s",
                   directory, g_strerror (errno));
      return FALSE;
    }
  /* Without it a job of another process may be called interrupted until it ends: no reason to have
   * no history. Whoever puts a new file in the place of a damaged one is waited for. */
  self->lock_fd = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (self->lock_fd < 0 || fcntl (self->lock_fd, F_OFD_SETLKW, &place) < 0)
    g_info ("Cannot lock “%s”: %s", lock_path, g_strerror (errno));
  return create_private (self->path, error) && open_database (self, self->path, thoroughly, error);
}

/**
 * kp_history_open:
 * @path: usually $XDG_STATE_HOME/keepsake/%KP_HISTORY_FILE_NAME; made when missing, for the user
 * alone
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: (transfer full): the history
 */
KpHistory *
kp_history_open (const char *path, GError **error)
{
  g_autoptr (KpHistory) self = history_new (path);

  return open_file (self, FALSE, error) ? g_steal_pointer (&self) : NULL;
}

/* A new file in the place of a damaged one, unless somebody else still has that open. */
static gboolean
begin_anew (KpHistory *self, char **aside, GError **error)
{
  close_database (self);
  if (!lock_job (self, PLACE, F_WRLCK))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BUSY, "Somebody else has it open");
      return FALSE;
    }
  *aside = kp_sql_set_aside (self->path, error);
  gboolean ok = *aside != NULL && create_private (self->path, error)
                && open_database (self, self->path, FALSE, error);
  if (!lock_job (self, PLACE, F_RDLCK))
    g_info ("Cannot lock the history “%s”: %s", self->path, g_strerror (errno));
  return ok;
}

/* Ends with the process. */
static void
open_in_memory (KpHistory *self)
{
  g_autoptr (GError) error = NULL;

  close_database (self);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  self->lock_fd = -1;
  if (!open_database (self, ":memory:", FALSE, &error))
    g_error ("%s", error->message);
}

/**
 * kp_history_open_in_any_case:
 * @path: as for kp_history_open()
 * @problem: (out) (nullable): a sentence for people about what is wrong with the file, and what was
 *   done about it
 *
 * For who must not give up because of it. A damaged file is set aside, and a new one begins. One
 * that cannot be used for another reason, as a newer Keepsake has written it, is left as it is:
 * what is recorded then is forgotten when the process ends.
 *
 * Returns: (transfer full): the history
 */
KpHistory *
kp_history_open_in_any_case (const char *path, char **problem)
{
  g_autoptr (KpHistory) self = history_new (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) anew_error = NULL;
  g_autofree char *aside = NULL;

  *problem = NULL;
  if (open_file (self, TRUE, &error))
    return g_steal_pointer (&self);
  if (self->is_damaged && begin_anew (self, &aside, &anew_error))
    {
      *problem = g_strdup_printf (
          "The history was damaged and is set aside as “%s”; a new one has begun", aside);
      return g_steal_pointer (&self);
    }
  open_in_memory (self);
  *problem = g_strdup_printf ("%s. Until then the jobs are not recorded",
                              aside != NULL ? anew_error->message : error->message);
  if (anew_error != NULL)
    g_info ("The damaged history stays where it is: %s", anew_error->message);
  return g_steal_pointer (&self);
}

KpHistory *
kp_history_ref (KpHistory *self)
{
  return g_atomic_rc_box_acquire (self);
}

void
kp_history_unref (KpHistory *self)
{
  g_atomic_rc_box_release_full (self, history_clear);
}

/* --- recording ------------------------------------------------------------------------------ */

static gboolean
insert_job (KpHistory *self,
            const char *plan_id,
            KpHistoryKind kind,
            KpHistoryTrigger trigger,
            gint64 now,
            gint64 *id,
            GError **error)
{
  if (!run (self, error,
            "INSERT INTO job (plan, kind, trigger, started, state) VALUES (?, ?, ?, ?, 'running')",
            "sssi", plan_id, kp_history_kind_name (kind), kp_history_trigger_name (trigger), now))
    return FALSE;
  *id = sqlite3_last_insert_rowid (self->db);
  /* Before anybody can see the row. */
  if (!lock_job (self, *id, F_WRLCK) && self->lock_fd >= 0)
    g_info ("Cannot lock job %" G_GINT64_FORMAT ": %s", *id, g_strerror (errno));
  return TRUE;
}

/**
 * kp_history_begin_job:
 * @now: when the job begins
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Returns: the id of the job, from 1; 0 with an error. Until kp_history_end_job() the job is
 *   running, as long as the process lives and has @history open.
 */
gint64
kp_history_begin_job (KpHistory *self,
                      const char *plan_id,
                      KpHistoryKind kind,
                      KpHistoryTrigger trigger,
                      gint64 now,
                      GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  gint64 id = 0;

  g_return_val_if_fail (plan_id != NULL, 0);

  if (!begin (self, error))
    return 0;
  if (!finish (self, insert_job (self, plan_id, kind, trigger, now, &id, error), error))
    {
      if (id != 0)
        lock_job (self, id, F_UNLCK);
      return 0;
    }
  g_hash_table_add (self->open, g_memdup2 (&id, sizeof id));
  return id;
}

/**
 * kp_history_add_failure:
 * @replaced: (nullable): one that is kept for the job, and matters less where there are too many:
 * it stays counted, and gives up its place
 * @path: the file, as the file system has it
 * @reason: name of an error
 * @message: for people
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Counts a file that could not be handled, and keeps its name unless there are too many.
 */
gboolean
kp_history_add_failure (KpHistory *self,
                        gint64 job_id,
                        const KpHistoryFailure *replaced,
                        const char *path,
                        const char *reason,
                        const char *message,
                        GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autofree char *text = g_utf8_make_valid (message, -1);
  gboolean ok;

  if (!begin (self, error))
    return FALSE;
  if (replaced != NULL)
    ok = run (self, error,
              "UPDATE failure SET path = ?4, reason = ?5, message = ?6 WHERE id ="
              " (SELECT min(id) FROM failure WHERE job = ?1 AND path = ?2 AND reason = ?3)",
              "ibsbss", job_id, replaced->path, replaced->reason, path, reason, text);
  else
    ok = run (self, error,
              "INSERT INTO failure (job, path, reason, message)"
              " SELECT id, ?2, ?3, ?4 FROM job WHERE id = ?1"
              " AND failed < " G_STRINGIFY (KP_HISTORY_MAX_FAILURES), "ibss", job_id, path, reason,
                                            text);
  ok = ok && run (self, error, "UPDATE job SET failed = failed + 1 WHERE id = ?", "i", job_id);
  return finish (self, ok, error);
}

static gboolean
set_counts (KpHistory *self, gint64 job_id, const KpHistoryCounts *counts, GError **error)
{
  return run (self, error,
              "UPDATE job SET put = ?, delta = ?, copied = ?, metadata = ?, deleted = ?,"
              " unchanged = ?, failed = ?, bytes_sent = ?, bytes_saved = ? WHERE id = ?",
              "iiiiiiiiii", (gint64) counts->put, (gint64) counts->delta, (gint64) counts->copied,
              (gint64) counts->metadata, (gint64) counts->deleted, (gint64) counts->unchanged,
              (gint64) counts->failed, (gint64) counts->bytes_sent, (gint64) counts->bytes_saved,
              job_id);
}

/**
 * kp_history_set_counts:
 * @counts: what the job, which runs, has done or is about to do
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * For what has to be known even of a job that never says how it ended.
 */
gboolean
kp_history_set_counts (KpHistory *self,
                       gint64 job_id,
                       const KpHistoryCounts *counts,
                       GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return set_counts (self, job_id, counts, error);
}

/**
 * kp_history_end_job:
 * @state: any but running
 * @reason: (nullable): name of the error that ended it, or that it ended with
 * @message: (nullable): for people
 * @counts: what it did
 * @now: when it ended
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * That the job is not there any more, as its plan was forgotten while it ran, is no error.
 */
gboolean
kp_history_end_job (KpHistory *self,
                    gint64 job_id,
                    KpHistoryState state,
                    const char *reason,
                    const char *message,
                    const KpHistoryCounts *counts,
                    gint64 now,
                    GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autofree char *text = message != NULL ? g_utf8_make_valid (message, -1) : NULL;

  g_return_val_if_fail (state != KP_HISTORY_RUNNING, FALSE);

  if (!begin (self, error))
    return FALSE;
  gboolean ok = set_counts (self, job_id, counts, error)
                && run (self, error,
                        "UPDATE job SET state = ?, ended = ?, reason = ?, message = ? WHERE id = ?",
                        "sissi", kp_history_state_name (state), now, reason, text, job_id);
  if (!finish (self, ok, error))
    return FALSE;
  g_hash_table_remove (self->open, &job_id);
  lock_job (self, job_id, F_UNLCK);
  return TRUE;
}

static gboolean
insert_skip (KpHistory *self,
             const char *plan_id,
             const char *reason,
             const char *message,
             gint64 now,
             GError **error)
{
  gint64 last_job;
  gint64 series;
  g_autoptr (Statement) get_job
      = kp_history_query (self, error, "SELECT max(id) FROM job WHERE plan = ?", "s", plan_id);
  if (!fetch_number (self, get_job, 0, &last_job, error))
    return FALSE;
  g_autoptr (Statement) get_series = kp_history_query (
      self, error,
      "SELECT id FROM (SELECT * FROM skip WHERE plan = ? ORDER BY id DESC LIMIT 1)"
      " WHERE reason = ? AND after_job = ?",
      "ssi", plan_id, reason, last_job);
  if (!fetch_number (self, get_series, 0, &series, error))
    return FALSE;

  if (series == 0)
    return run (self, error,
                "INSERT INTO skip (plan, since, until, count, reason, message, after_job)"
                " VALUES (?1, ?2, ?2, 1, ?3, ?4, ?5)",
                "sissi", plan_id, now, reason, message, last_job);
  return run (self, error,
              "UPDATE skip SET until = max(until, ?2), count = count + 1, message = ?3"
              " WHERE id = ?1",
              "iis", series, now, message);
}

/**
 * kp_history_set_coverage:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Records what a verification says of all that is stored.
 */
gboolean
kp_history_set_coverage (KpHistory *self,
                         gint64 job_id,
                         const KpHistoryCoverage *coverage,
                         GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return run (self, error, "INSERT OR REPLACE INTO coverage VALUES (?, ?, ?, ?, ?, ?)", "iiiiii",
              job_id, (gint64) coverage->objects, (gint64) coverage->objects_proved,
              (gint64) coverage->bytes, (gint64) coverage->bytes_proved, coverage->oldest_proof);
}

/**
 * kp_history_add_skip:
 * @reason: why the plan did not run though it was due: "metered", "keyring-locked" …
 * @message: for people
 * @now: when it was held back
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * One reason after another is one entry with a beginning and an end, until a job begins.
 */
gboolean
kp_history_add_skip (KpHistory *self,
                     const char *plan_id,
                     const char *reason,
                     const char *message,
                     gint64 now,
                     GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  g_autofree char *text = g_utf8_make_valid (message, -1);

  g_return_val_if_fail (plan_id != NULL && reason != NULL, FALSE);

  return begin (self, error)
         && finish (self, insert_skip (self, plan_id, reason, text, now, error), error);
}

/* --- forgetting ----------------------------------------------------------------------------- */

/**
 * kp_history_prune:
 * @before: older jobs and skips go
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * Keeps the latest of each plan whatever their age, what runs, and what the summary speaks of: a
 * plan that runs every hour has 500 jobs in three weeks, and is verified once a month.
 */
gboolean
kp_history_prune (KpHistory *self, gint64 before, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (!begin (self, error))
    return FALSE;
  gboolean ok = run (
      self, error,
      "DELETE FROM job WHERE started < ? AND state != 'running'"
      " AND id NOT IN (SELECT id FROM"
      "  (SELECT id, row_number() OVER (PARTITION BY plan ORDER BY id DESC) AS n FROM job)"
      "  WHERE n <= " G_STRINGIFY (KP_HISTORY_MIN_KEPT) ")"
                               " AND id NOT IN (SELECT max(id) FROM job WHERE state = 'finished' "
                               "GROUP BY plan, kind)"
                               " AND id NOT IN (SELECT max(id) FROM job WHERE state = 'finished' "
                               "AND failed = 0"
                               "  GROUP BY plan, kind)",
          "i", before)
      && run (self, error, "DELETE FROM failure WHERE job NOT IN (SELECT id FROM job)", "")
      && run (self, error, "DELETE FROM coverage WHERE job NOT IN (SELECT id FROM job)", "")
      && run (self, error,
              "DELETE FROM skip WHERE until < ?"
              " AND id NOT IN (SELECT id FROM"
              "  (SELECT id, row_number() OVER (PARTITION BY plan ORDER BY id DESC) AS n FROM skip)"
              "  WHERE n <= " G_STRINGIFY (KP_HISTORY_MIN_KEPT) ")", "i", before);
  return finish (self, ok, error);
}

/**
 * kp_history_forget_plan:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * For a plan that is deleted.
 */
gboolean
kp_history_forget_plan (KpHistory *self, const char *plan_id, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (!begin (self, error))
    return FALSE;
  gboolean ok
      = run (self, error, "DELETE FROM failure WHERE job IN (SELECT id FROM job WHERE plan = ?)",
             "s", plan_id)
        && run (self, error,
                "DELETE FROM coverage WHERE job IN (SELECT id FROM job WHERE plan = ?)", "s",
                plan_id)
        && run (self, error, "DELETE FROM job WHERE plan = ?", "s", plan_id)
        && run (self, error, "DELETE FROM skip WHERE plan = ?", "s", plan_id);
  return finish (self, ok, error);
}

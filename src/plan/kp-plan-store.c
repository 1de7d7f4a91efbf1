/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-plan-store.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_SIZE (1024 * 1024)

/* An editor saves in several steps: look when it has been quiet, but do not wait for ever. */
#define QUIET_MILLISECONDS 200
#define PATIENCE_MICROSECONDS (1000 * 1000)

/* A file of the folder. */
typedef struct
{
  char *path;
  char *text;    /* as it was read last, or NULL */
  KpPlan *plan;  /* what it said when it was last good, or NULL */
  GError *error; /* or NULL */
} Entry;

struct _KpPlanStore
{
  GObject parent_instance;

  char *directory;
  GHashTable *entries; /* (element-type utf8 Entry): by path */
  GPtrArray *plans;    /* (element-type KpPlan): those of the entries, by name */
  GFileMonitor *monitor;
  guint timer;
  gint64 first_event; /* monotonic: that the timer runs for */
};

enum
{
  SIGNAL_ADDED,
  SIGNAL_CHANGED,
  SIGNAL_REMOVED,
  SIGNAL_PROBLEM,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

static GType
get_item_type (GListModel *model)
{
  return KP_TYPE_PLAN;
}

static guint
get_n_items (GListModel *model)
{
  return KP_PLAN_STORE (model)->plans->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  KpPlanStore *self = KP_PLAN_STORE (model);

  return position < self->plans->len ? g_object_ref (self->plans->pdata[position]) : NULL;
}

static void
implement_list_model (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (KpPlanStore,
                               kp_plan_store,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, implement_list_model))

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->path);
  g_free (entry->text);
  g_clear_object (&entry->plan);
  g_clear_error (&entry->error);
  g_free (entry);
}

void
kp_plan_problem_free (KpPlanProblem *problem)
{
  g_free (problem->path);
  g_clear_error (&problem->error);
  g_free (problem);
}

static gboolean
set_storage_error (const char *what, const char *path, int error_number, GError **error)
{
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot %s “%s”: %s", what, path,
               g_strerror (error_number));
  return FALSE;
}

/* --- the list ------------------------------------------------------------------------------- */

static int
compare_plans (KpPlan *a, KpPlan *b)
{
  g_autofree char *name_a = g_utf8_casefold (kp_plan_get_name (a), -1);
  g_autofree char *name_b = g_utf8_casefold (kp_plan_get_name (b), -1);
  int order = strcmp (name_a, name_b);

  return order != 0 ? order : strcmp (kp_plan_get_id (a), kp_plan_get_id (b));
}

static void
insert_into_list (KpPlanStore *self, KpPlan *plan)
{
  guint position = 0;

  while (position < self->plans->len && compare_plans (self->plans->pdata[position], plan) < 0)
    position++;
  g_ptr_array_insert (self->plans, (int) position, g_object_ref (plan));
  g_list_model_items_changed (G_LIST_MODEL (self), position, 0, 1);
}

static void
take_from_list (KpPlanStore *self, KpPlan *plan)
{
  guint position;

  if (!g_ptr_array_find (self->plans, plan, &position))
    return;
  g_ptr_array_remove_index (self->plans, position);
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
}

/* After its name may have changed. */
static void
sort_into_list (KpPlanStore *self, KpPlan *plan)
{
  guint position;

  if (!g_ptr_array_find (self->plans, plan, &position))
    return;
  gboolean after_previous
      = position == 0 || compare_plans (self->plans->pdata[position - 1], plan) < 0;
  gboolean before_next = position + 1 == self->plans->len
                         || compare_plans (plan, self->plans->pdata[position + 1]) < 0;
  if (after_previous && before_next)
    return;
  take_from_list (self, plan);
  insert_into_list (self, plan);
}

/* --- files into plans ----------------------------------------------------------------------- */

static Entry *
find_entry (KpPlanStore *self, const char *id)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Entry *entry = value;
      if (entry->plan != NULL && g_str_equal (kp_plan_get_id (entry->plan), id))
        return entry;
    }
  return NULL;
}

static Entry *
ensure_entry (KpPlanStore *self, const char *path)
{
  Entry *entry = g_hash_table_lookup (self->entries, path);

  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      entry->path = g_strdup (path);
      g_hash_table_insert (self->entries, entry->path, entry);
    }
  return entry;
}

/* Each of the following changes the state first and tells it last: who listens may call us again,
 * and the entry may be gone by then. */

static void
set_problem (KpPlanStore *self, Entry *entry, GError *problem)
{
  g_autoptr (GError) old = g_steal_pointer (&entry->error);
  g_autofree char *path = g_strdup (entry->path);

  entry->error = problem;
  if (old != NULL && problem != NULL && g_str_equal (old->message, problem->message))
    return;
  if (old != NULL || problem != NULL)
    {
      g_autoptr (GError) copy = problem != NULL ? g_error_copy (problem) : NULL;
      g_signal_emit (self, signals[SIGNAL_PROBLEM], 0, path, copy);
    }
}

static void
drop_plan (KpPlanStore *self, Entry *entry)
{
  g_autoptr (KpPlan) plan = g_steal_pointer (&entry->plan);

  if (plan == NULL)
    return;
  take_from_list (self, plan);
  g_signal_emit (self, signals[SIGNAL_REMOVED], 0, plan);
}

static void
drop_entry (KpPlanStore *self, const char *path)
{
  Entry *entry = NULL;

  if (!g_hash_table_steal_extended (self->entries, path, NULL, (gpointer *) &entry))
    return;
  set_problem (self, entry, NULL);
  drop_plan (self, entry);
  entry_free (entry);
}

static void
take_plan (KpPlanStore *self, Entry *entry, KpPlan *loaded)
{
  if (entry->plan != NULL && g_str_equal (kp_plan_get_id (entry->plan), kp_plan_get_id (loaded)))
    {
      g_autoptr (KpPlan) plan = g_object_ref (entry->plan);

      if (kp_plan_equal (plan, loaded))
        return;
      kp_plan_assign (plan, loaded);
      sort_into_list (self, plan);
      g_signal_emit (self, signals[SIGNAL_CHANGED], 0, plan);
      return;
    }

  g_autoptr (KpPlan) old = g_steal_pointer (&entry->plan);
  entry->plan = g_object_ref (loaded);
  if (old != NULL)
    {
      take_from_list (self, old);
      g_signal_emit (self, signals[SIGNAL_REMOVED], 0, old);
    }
  insert_into_list (self, loaded);
  g_signal_emit (self, signals[SIGNAL_ADDED], 0, loaded);
}

/* Another file that holds the plan @id, or NULL. */
static const Entry *
find_other_entry (KpPlanStore *self, const Entry *entry, const char *id)
{
  const Entry *other = find_entry (self, id);

  return other != entry ? other : NULL;
}

/* Takes @text for the content of the file. */
static void
take_text (KpPlanStore *self, const char *path, char *text)
{
  Entry *entry = ensure_entry (self, path);
  g_autofree char *name = g_path_get_basename (path);
  GError *error = NULL;

  g_free (entry->text);
  entry->text = text;
  g_autoptr (KpPlan) plan = kp_plan_new_from_json (text, name, &error);
  if (plan == NULL)
    {
      set_problem (self, entry, error);
      return;
    }

  const Entry *other = find_other_entry (self, entry, kp_plan_get_id (plan));
  if (other != NULL)
    {
      g_autofree char *other_name = g_path_get_basename (other->path);

      g_set_error (&error, KP_ERROR, KP_ERROR_USAGE,
                   "%s: id: the plan in “%s” has the same; write another, as uuidgen prints it",
                   name, other_name);
      /* It is good, but not what it was. */
      drop_plan (self, entry);
      set_problem (self, ensure_entry (self, path), error);
      return;
    }

  if (entry->error != NULL)
    {
      set_problem (self, entry, NULL);
      entry = ensure_entry (self, path);
    }
  take_plan (self, entry, plan);
}

/* A pipe must not make us wait, and a mistaken gigabyte must not be read. */
static char *
read_file (const char *path, gboolean *is_missing, GError **error)
{
  struct stat st;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  g_autofree char *text = NULL;
  gsize length = 0;
  gssize n = -1;

  *is_missing = fd < 0 && errno == ENOENT;
  if (fd < 0 || fstat (fd, &st) < 0)
    set_storage_error ("read the plan", path, errno, error);
  else if (!S_ISREG (st.st_mode) || st.st_size > MAX_FILE_SIZE)
    g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                 "“%s” is too large for a plan, or not a file", path);
  else
    {
      text = g_malloc0 (MAX_FILE_SIZE + 1);
      while (length < MAX_FILE_SIZE
             && ((n = read (fd, text + length, MAX_FILE_SIZE - length)) > 0
                 || (n < 0 && errno == EINTR)))
        length += n > 0 ? (gsize) n : 0;
      if (n < 0)
        set_storage_error ("read the plan", path, errno, error);
    }
  if (fd >= 0)
    close (fd);
  return n >= 0 ? g_strndup (text, length) : NULL;
}

static void
look_at_file (KpPlanStore *self, const char *path)
{
  const Entry *entry = g_hash_table_lookup (self->entries, path);
  gboolean is_missing;
  GError *error = NULL;
  char *text = read_file (path, &is_missing, &error);

  if (text != NULL)
    {
      /* A problem may have been that of another file, which has changed meanwhile. */
      if (entry != NULL && entry->error == NULL && g_strcmp0 (entry->text, text) == 0)
        g_free (text);
      else
        take_text (self, path, text);
    }
  else if (is_missing)
    {
      g_error_free (error);
      drop_entry (self, path);
    }
  else
    {
      set_problem (self, ensure_entry (self, path), error);
    }
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The paths of all plan files, sorted. A missing folder has none. */
static GPtrArray *
list_files (KpPlanStore *self, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GDir) dir = g_dir_open (self->directory, 0, &local_error);
  const char *name;

  if (dir == NULL && g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return g_steal_pointer (&paths);
  if (dir == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot read the plans: %s",
                   local_error->message);
      return NULL;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    if (*name != '.' && g_str_has_suffix (name, ".json"))
      g_ptr_array_add (paths, g_build_filename (self->directory, name, NULL));
  g_ptr_array_sort (paths, compare_paths);
  return g_steal_pointer (&paths);
}

/* The paths of our entries that are not in @paths any more, sorted. */
static GPtrArray *
find_gone (KpPlanStore *self, GPtrArray *paths)
{
  GPtrArray *gone = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer path;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    if (!g_ptr_array_find_with_equal_func (paths, path, g_str_equal, NULL))
      g_ptr_array_add (gone, g_strdup (path));
  g_ptr_array_sort (gone, compare_paths);
  return gone;
}

/**
 * kp_plan_store_load:
 * @error: %KP_ERROR_LOCAL_STORAGE when the folder cannot be read. That it is missing is no error,
 *   and broken files are problems, not errors.
 *
 * Looks at all files; those that have changed since the last time are read again.
 */
gboolean
kp_plan_store_load (KpPlanStore *self, GError **error)
{
  g_return_val_if_fail (KP_IS_PLAN_STORE (self), FALSE);

  g_autoptr (GPtrArray) paths = list_files (self, error);
  if (paths == NULL)
    return FALSE;

  /* What is gone first, so that a file that was renamed is not one id too many. */
  g_autoptr (GPtrArray) gone = find_gone (self, paths);
  for (guint i = 0; i < gone->len; i++)
    drop_entry (self, gone->pdata[i]);

  for (guint i = 0; i < paths->len; i++)
    look_at_file (self, paths->pdata[i]);
  /* Two plans may have exchanged their ids. */
  for (guint i = 0; i < paths->len; i++)
    {
      const Entry *entry = g_hash_table_lookup (self->entries, paths->pdata[i]);
      if (entry != NULL && entry->error != NULL)
        look_at_file (self, paths->pdata[i]);
    }
  return TRUE;
}

/* --- the monitor ---------------------------------------------------------------------------- */

static gboolean
timer_cb (gpointer data)
{
  KpPlanStore *self = data;
  g_autoptr (GError) error = NULL;

  self->timer = 0;
  if (!kp_plan_store_load (self, &error) && error != NULL)
    g_info ("%s", error->message);
  return G_SOURCE_REMOVE;
}

static void
monitor_cb (GFileMonitor *monitor,
            GFile *file,
            GFile *other_file,
            GFileMonitorEvent event,
            gpointer data)
{
  KpPlanStore *self = data;
  gint64 now = g_get_monotonic_time ();

  if (self->timer == 0)
    self->first_event = now;
  else if (now - self->first_event > PATIENCE_MICROSECONDS)
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  self->timer = g_timeout_add (QUIET_MILLISECONDS, timer_cb, self);
}

/* The folder belongs to the user alone. */
static gboolean
ensure_directory (KpPlanStore *self, GError **error)
{
  struct stat st;

  if (g_mkdir_with_parents (self->directory, 0700) < 0)
    return set_storage_error ("create the folder", self->directory, errno, error);
  if (stat (self->directory, &st) == 0 && (st.st_mode & 077) != 0
      && chmod (self->directory, 0700) < 0)
    return set_storage_error ("make private the folder", self->directory, errno, error);
  return TRUE;
}

/**
 * kp_plan_store_watch:
 * @error: %KP_ERROR_LOCAL_STORAGE
 *
 * From now on changes made by others are noticed, within a second or so. Creates the folder.
 */
gboolean
kp_plan_store_watch (KpPlanStore *self, GError **error)
{
  g_return_val_if_fail (KP_IS_PLAN_STORE (self), FALSE);

  if (self->monitor != NULL)
    return TRUE;
  if (!ensure_directory (self, error))
    return FALSE;

  g_autoptr (GFile) file = g_file_new_for_path (self->directory);
  g_autoptr (GError) local_error = NULL;
  self->monitor = g_file_monitor_directory (file, G_FILE_MONITOR_NONE, NULL, &local_error);
  if (self->monitor == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE,
                   "Cannot notice changes of the plans in “%s”: %s", self->directory,
                   local_error->message);
      return FALSE;
    }
  g_file_monitor_set_rate_limit (self->monitor, QUIET_MILLISECONDS);
  g_signal_connect (self->monitor, "changed", G_CALLBACK (monitor_cb), self);
  return TRUE;
}

/* --- plans into files ----------------------------------------------------------------------- */

static gboolean
write_all (int fd, const char *text)
{
  gsize length = strlen (text);

  while (length > 0)
    {
      gssize n = write (fd, text, length);
      if (n < 0 && errno != EINTR)
        return FALSE;
      text += MAX (n, 0);
      length -= (gsize) MAX (n, 0);
    }
  return TRUE;
}

/* What is renamed or gone is so, whatever comes of this: then it may not be after a power failure.
 */
static void
sync_directory (KpPlanStore *self)
{
  int fd = open (self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0 || fsync (fd) != 0)
    g_warning ("Cannot make sure that “%s” is on the disk: %s", self->directory,
               g_strerror (errno));
  if (fd >= 0)
    close (fd);
}

/* Under @path there is the old text or the new one, whatever happens: written beside it under a
 * name that load() skips, made durable, and renamed. */
static gboolean
write_file (KpPlanStore *self, const char *path, const char *text, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *temporary = g_strdup_printf ("%s/.%s.XXXXXX", self->directory, name);
  int fd = g_mkstemp_full (temporary, O_RDWR | O_CLOEXEC, 0600);

  if (fd < 0)
    return set_storage_error ("write the plan", path, errno, error);

  gboolean ok = write_all (fd, text) && fsync (fd) == 0;
  int saved_errno = errno;
  if (close (fd) < 0 && ok)
    {
      ok = FALSE;
      saved_errno = errno;
    }
  if (ok && g_rename (temporary, path) < 0)
    {
      ok = FALSE;
      saved_errno = errno;
    }
  if (!ok)
    {
      g_unlink (temporary);
      return set_storage_error ("write the plan", path, saved_errno, error);
    }
  sync_directory (self);
  return TRUE;
}

/* Whether the plan can be stored beside all others. @before is what it was, or NULL. A file that
 * somebody wrote is not asked: which of two plans is the one to go on is not for us to say. */
static gboolean
check_beside_others (KpPlanStore *self, KpPlan *before, KpPlan *plan, GError **error)
{
  for (guint i = 0; i < self->plans->len; i++)
    if (self->plans->pdata[i] != before
        && !kp_plan_validate_beside (plan, before, self->plans->pdata[i], error))
      return FALSE;
  return TRUE;
}

/**
 * kp_plan_store_save:
 * @plan: a new plan, or a changed copy of one of ours; copied
 * @error: %KP_ERROR_USAGE for a plan that is not valid; %KP_ERROR_CONFLICT when its file is broken;
 *   %KP_ERROR_LOCAL_STORAGE when it cannot be written. Then what was there before is still there
 *
 * Returns after the plan is safely on the disk, and told to all who listen.
 */
gboolean
kp_plan_store_save (KpPlanStore *self, KpPlan *plan, GError **error)
{
  g_return_val_if_fail (KP_IS_PLAN_STORE (self), FALSE);
  g_return_val_if_fail (KP_IS_PLAN (plan), FALSE);

  const Entry *entry = find_entry (self, kp_plan_get_id (plan));
  if (entry != NULL)
    {
      g_autofree char *known = g_strdup (entry->path);
      look_at_file (self, known);
      entry = find_entry (self, kp_plan_get_id (plan));
    }
  if (entry != NULL && entry->error != NULL)
    {
      g_set_error (
          error, KP_ERROR, KP_ERROR_CONFLICT,
          "The plan is not saved, as its file was changed by hand and cannot be read; mend "
          "it first, or delete “%s” [%s]",
          entry->path, entry->error->message);
      return FALSE;
    }
  if (!kp_plan_validate (plan, error)
      || !check_beside_others (self, entry != NULL ? entry->plan : NULL, plan, error)
      || !ensure_directory (self, error))
    return FALSE;

  g_autofree char *path
      = entry != NULL ? g_strdup (entry->path)
                      : g_strdup_printf ("%s/%s.json", self->directory, kp_plan_get_id (plan));
  g_autofree char *text = kp_plan_to_json (plan);

  if (!write_file (self, path, text, error))
    return FALSE;
  take_text (self, path, g_steal_pointer (&text));
  return TRUE;
}

/**
 * kp_plan_store_remove:
 * @id: of a plan
 * @error: %KP_ERROR_NOT_FOUND; %KP_ERROR_LOCAL_STORAGE
 *
 * Deletes the file of the plan. Its objects in the bucket, its keys and its history stay.
 */
gboolean
kp_plan_store_remove (KpPlanStore *self, const char *id, GError **error)
{
  g_return_val_if_fail (KP_IS_PLAN_STORE (self), FALSE);

  const Entry *entry = find_entry (self, id);
  if (entry == NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND, "There is no plan “%s”", id);
      return FALSE;
    }
  g_autofree char *path = g_strdup (entry->path);
  if (g_unlink (path) < 0 && errno != ENOENT)
    return set_storage_error ("delete the plan", path, errno, error);
  drop_entry (self, path);
  sync_directory (self);
  return TRUE;
}

/* --- asking --------------------------------------------------------------------------------- */

/**
 * kp_plan_store_get:
 *
 * Returns: (transfer none) (nullable): the plan with this id
 */
KpPlan *
kp_plan_store_get (KpPlanStore *self, const char *id)
{
  const Entry *entry = find_entry (self, id);

  return entry != NULL ? entry->plan : NULL;
}

/**
 * kp_plan_store_get_file:
 * @id: of a plan
 *
 * Returns: (nullable): the path of its file
 */
const char *
kp_plan_store_get_file (KpPlanStore *self, const char *id)
{
  const Entry *entry = find_entry (self, id);

  return entry != NULL ? entry->path : NULL;
}

static KpPlan *
refuse_to_choose (GPtrArray *found, const char *text, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < found->len; i++)
    g_string_append_printf (names, "%s%s (%s)", i > 0 ? ", " : "",
                            kp_plan_get_name (found->pdata[i]), kp_plan_get_id (found->pdata[i]));
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” may mean any of %s; write more of the name, or the id", text, names->str);
  return NULL;
}

/**
 * kp_plan_store_find:
 * @text: an id, a name, or the beginning of a name that no other plan's begins with; in any case
 * @error: %KP_ERROR_NOT_FOUND; %KP_ERROR_USAGE when several fit
 *
 * Returns: (transfer none): the plan that a person means
 */
KpPlan *
kp_plan_store_find (KpPlanStore *self, const char *text, GError **error)
{
  g_autofree char *wanted = g_utf8_make_valid (text, -1);
  g_autofree char *folded = g_utf8_casefold (wanted, -1);
  g_autoptr (GPtrArray) same = g_ptr_array_new ();
  g_autoptr (GPtrArray) alike = g_ptr_array_new ();
  KpPlan *plan = kp_plan_store_get (self, text);

  if (plan != NULL)
    return plan;
  for (guint i = 0; i < self->plans->len; i++)
    {
      g_autofree char *name = g_utf8_casefold (kp_plan_get_name (self->plans->pdata[i]), -1);

      if (g_str_equal (name, folded))
        g_ptr_array_add (same, self->plans->pdata[i]);
      else if (*folded != '\0' && g_str_has_prefix (name, folded))
        g_ptr_array_add (alike, self->plans->pdata[i]);
    }

  GPtrArray *found = same->len > 0 ? same : alike;
  if (found->len == 1)
    return found->pdata[0];
  if (found->len > 1)
    return refuse_to_choose (found, wanted, error);
  g_set_error (error, KP_ERROR, KP_ERROR_NOT_FOUND, "There is no plan “%s”", wanted);
  return NULL;
}

static int
compare_problems (gconstpointer a, gconstpointer b)
{
  const KpPlanProblem *const *problem_a = a;
  const KpPlanProblem *const *problem_b = b;

  return strcmp ((*problem_a)->path, (*problem_b)->path);
}

/**
 * kp_plan_store_get_problems:
 *
 * Returns: (transfer full) (element-type KpPlanProblem): the files that are no plans, by path
 */
GPtrArray *
kp_plan_store_get_problems (KpPlanStore *self)
{
  GPtrArray *problems = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_problem_free);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const Entry *entry = value;
      if (entry->error == NULL)
        continue;
      KpPlanProblem *problem = g_new0 (KpPlanProblem, 1);
      problem->path = g_strdup (entry->path);
      problem->error = g_error_copy (entry->error);
      g_ptr_array_add (problems, problem);
    }
  g_ptr_array_sort (problems, compare_problems);
  return problems;
}

/* --- the object ----------------------------------------------------------------------------- */

static void
kp_plan_store_dispose (GObject *object)
{
  KpPlanStore *self = KP_PLAN_STORE (object);

  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->monitor != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->monitor, self);
      g_file_monitor_cancel (self->monitor);
      g_clear_object (&self->monitor);
    }
  G_OBJECT_CLASS (kp_plan_store_parent_class)->dispose (object);
}

static void
kp_plan_store_finalize (GObject *object)
{
  KpPlanStore *self = KP_PLAN_STORE (object);

  g_free (self->directory);
  g_hash_table_unref (self->entries);
  g_ptr_array_unref (self->plans);
  G_OBJECT_CLASS (kp_plan_store_parent_class)->finalize (object);
}

static void
kp_plan_store_class_init (KpPlanStoreClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = kp_plan_store_dispose;
  object_class->finalize = kp_plan_store_finalize;

  signals[SIGNAL_ADDED] = g_signal_new ("added", KP_TYPE_PLAN_STORE, G_SIGNAL_RUN_LAST, 0, NULL,
                                        NULL, NULL, G_TYPE_NONE, 1, KP_TYPE_PLAN);
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_PLAN_STORE, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, KP_TYPE_PLAN);
  signals[SIGNAL_REMOVED] = g_signal_new ("removed", KP_TYPE_PLAN_STORE, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, KP_TYPE_PLAN);
  signals[SIGNAL_PROBLEM] = g_signal_new ("problem", KP_TYPE_PLAN_STORE, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_ERROR);
}

static void
kp_plan_store_init (KpPlanStore *self)
{
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  self->plans = g_ptr_array_new_with_free_func (g_object_unref);
}

/**
 * kp_plan_store_new:
 * @directory: usually $XDG_CONFIG_HOME/keepsake/plans
 *
 * Returns: (transfer full): a store that is empty until kp_plan_store_load()
 */
KpPlanStore *
kp_plan_store_new (const char *directory)
{
  KpPlanStore *self = g_object_new (KP_TYPE_PLAN_STORE, NULL);

  self->directory = g_canonicalize_filename (directory, NULL);
  return self;
}

const char *
kp_plan_store_get_directory (KpPlanStore *self)
{
  return self->directory;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-tree-watch.h"

#include "config.h"

#include "kp-name.h"
#include "kp-plan.h"
#include "kp-watch-nodes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixmounts.h>
#include <glib/gi18n.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* How long the main loop may be kept in one go while folders are visited, in microseconds; and
 * after how many names one looks at the clock. */
#define SLICE 5000
#define SLICE_NAMES 64

/* The shortest time between two "changed", in microseconds. */
#define CHANGED_INTERVAL G_TIME_SPAN_SECOND

/* How long events collect after some were read, in microseconds: somebody who writes a large file
 * must not wake us up at each write. The kernel joins those that are equal meanwhile. */
#define REST (250 * G_TIME_SPAN_MILLISECOND)

/* Of events read at a time, in bytes; and how many times before others have their turn. */
#define BUFFER_SIZE (64 * 1024)
#define MAX_BUFFERS 4

#define EVENTS                                                                                     \
  (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO    \
   | IN_DELETE_SELF | IN_MOVE_SELF)

struct _KpTreeWatch
{
  GObject parent_instance;

  GPtrArray *sources; /* (element-type KpPlanSource) */
  KpFilter *filter;
  char *own_folder; /* where we write ourselves, which is no change; or NULL */
  guint max_watches;
  char *complaint;    /* the first one; or NULL */
  GPtrArray *missing; /* (element-type utf8): the sources that it found not to be there */

  int fd; /* inotify's; -1 when it is not to be had */
  void *fd_tag;
  GSource *source;    /* hears of events, and of the times below */
  gint64 rest_until;  /* monotonic: until then nothing is read; 0 for no rest */
  gint64 tell_at;     /* monotonic: when "changed" is told; 0 when there is nothing to tell */
  gint64 last_told;   /* monotonic */
  gboolean is_full;   /* no more watches */
  gboolean has_lost;  /* events were lost: all has to be visited again */
  gboolean is_second; /* all is visited again now */
  gboolean is_ready;

  KpWatchNodes nodes;
  GSource *walk; /* visits folders while there are any to be visited */
  DIR *dir;      /* the one that is being read, or NULL */
  KpWatchNode *dir_node;
};

/* Hears of inotify and of times. */
typedef struct
{
  GSource source;
  KpTreeWatch *watch; /* (unowned): destroys the source at its end */
} EventSource;

enum
{
  PROP_COMPLAINT = 1,
  PROP_READY,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpTreeWatch, kp_tree_watch, G_TYPE_OBJECT)

/* @complaint: (transfer full) */
static void
complain (KpTreeWatch *self, char *complaint)
{
  if (self->complaint != NULL)
    {
      g_free (complaint);
      return;
    }
  g_info ("%s", complaint);
  self->complaint = complaint;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_COMPLAINT]);
}

static void
complain_of_folder (KpTreeWatch *self, const char *path, int error_number)
{
  g_autofree char *name = kp_name_display (path);

  complain (self,
            g_strdup_printf (_ ("“%s” cannot be watched: %s"), name, g_strerror (error_number)));
}

/* One that is not there may come, or come back: a disk that is plugged in. */
static void
complain_of_missing (KpTreeWatch *self, const char *path)
{
  if (!g_ptr_array_find_with_equal_func (self->missing, path, g_str_equal, NULL))
    g_ptr_array_add (self->missing, g_strdup (path));
  complain_of_folder (self, path, ENOENT);
}

/* --- what is on a network -------------------------------------------------------------------- */

/* Type of the file system that @path is on, by the table of mounts: looking at @path itself could
 * wait for ever for a server that is gone. */
static char *
find_mount_type (const char *path)
{
  g_autolist (GUnixMountEntry) mounts = g_unix_mounts_get (NULL);
  const GUnixMountEntry *best = NULL;
  gsize best_length = 0;

  for (GList *link = mounts; link != NULL; link = link->next)
    {
      const char *mount = g_unix_mount_get_mount_path (link->data);
      gsize length = g_str_equal (mount, "/") ? 0 : strlen (mount);

      /* Of those at one place the last is the one that is seen. */
      if (strncmp (path, mount, length) == 0 && (path[length] == '/' || path[length] == '\0')
          && length >= best_length)
        {
          best = link->data;
          best_length = length;
        }
    }
  return best != NULL ? g_strdup (g_unix_mount_get_fs_type ((GUnixMountEntry *) best)) : NULL;
}

static gboolean
is_network_type (const char *type)
{
  static const char *const types[]
      = { "9p", "afs", "ceph", "cifs", "coda", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", NULL };

  /* Among what FUSE brings are sshfs, s3fs and the clouds; "fuseblk" is a local disk. */
  return type != NULL
         && (g_strv_contains (types, type) || g_str_equal (type, "fuse")
             || g_str_has_prefix (type, "fuse."));
}

/* A link may lead where the table did not say. */
static gboolean
is_network_magic (const char *path, const char *type)
{
  struct statfs fs;

  if (statfs (path, &fs) < 0)
    return FALSE;
  switch ((guint32) fs.f_type)
    {
    case AFS_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case NCP_SUPER_MAGIC:
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case V9FS_MAGIC:
      return TRUE;
    case FUSE_SUPER_MAGIC:
      return g_strcmp0 (type, "fuseblk") != 0;
    default:
      return FALSE;
    }
}

/* --- adding ---------------------------------------------------------------------------------- */

/* Returns the watch, or -1; then it has complained if there is reason to. */
static int
add_watch (KpTreeWatch *self, const char *path, gboolean is_root)
{
  if (self->is_full || self->fd < 0)
    return -1;
  if (kp_tree_watch_get_n_watches (self) >= self->max_watches)
    {
      self->is_full = TRUE;
      complain (self,
                g_strdup_printf (
                    /* Translators: %u is always a large number */
                    _ ("There are more folders to watch for changes than %u"), self->max_watches));
      return -1;
    }

  guint32 mask = EVENTS | IN_ONLYDIR | IN_EXCL_UNLINK | (is_root ? 0 : IN_DONT_FOLLOW);
  int wd = inotify_add_watch (self->fd, path, mask);
  if (wd >= 0)
    return wd;
  if (errno == ENOSPC)
    {
      self->is_full = TRUE;
      complain (self, g_strdup (_ ("The system does not allow to watch so many folders for changes "
                                   "(see fs.inotify.max_user_watches)")));
    }
  /* What is gone again has been told, and what may not be read no job can read. */
  else if (is_root || (errno != ENOENT && errno != ENOTDIR && errno != EACCES))
    {
      complain_of_folder (self, path, errno);
    }
  return -1;
}

static void
unused_cb (int wd, void *user_data)
{
  KpTreeWatch *self = user_data;

  /* Fails when the kernel was faster. */
  if (self->fd >= 0)
    inotify_rm_watch (self->fd, wd);
}

static void
close_dir (KpTreeWatch *self)
{
  g_clear_pointer (&self->dir, closedir);
  self->dir_node = NULL;
}

static void
remove_node (KpTreeWatch *self, KpWatchNode *node)
{
  for (const KpWatchNode *n = self->dir_node; n != NULL; n = n->parent)
    if (n == node)
      {
        close_dir (self);
        break;
      }
  kp_watch_nodes_remove (&self->nodes, node, unused_cb, self);
}

static void start_walk (KpTreeWatch *self);

/* Looks each time, as the folder may be made anew; and not at its name, as links may lead to it. */
static gboolean
is_own_folder (KpTreeWatch *self, const struct stat *st)
{
  struct stat own;

  return self->own_folder != NULL && stat (self->own_folder, &own) == 0 && own.st_dev == st->st_dev
         && own.st_ino == st->st_ino;
}

/* Watches the folder @name in @parent, unless it is so already; it is visited later. */
static void
add_folder (KpTreeWatch *self, KpWatchNode *parent, const char *name)
{
  g_autofree char *path = kp_watch_node_path (parent, name);
  struct stat st;

  if (lstat (path, &st) < 0 || !S_ISDIR (st.st_mode)
      || st.st_dev != kp_watch_node_root (parent)->device || is_own_folder (self, &st))
    return;

  int wd = add_watch (self, path, FALSE);
  if (wd < 0)
    return;

  KpWatchNode *old = kp_watch_nodes_find (&self->nodes, parent, name);
  if (old != NULL && old->wd == wd)
    return;
  if (old != NULL)
    {
      /* What took its place may have been below it, and has lost its watch then. */
      remove_node (self, old);
      wd = add_watch (self, path, FALSE);
    }
  if (wd < 0)
    return;
  kp_watch_nodes_add (&self->nodes, parent, name, wd);
  start_walk (self);
}

/* A file is watched in its folder: who saves one writes another and renames it. */
static void
add_source (KpTreeWatch *self, const KpPlanSource *source)
{
  g_autofree char *path = g_canonicalize_filename (source->path, "/");
  g_autofree char *type = find_mount_type (path);
  g_autofree char *display = kp_name_display (path);
  g_autofree char *seen_as
      = *source->as != '\0' ? g_strconcat (source->as, "/", NULL) : g_strdup ("");
  struct stat st;

  if (is_network_type (type) || is_network_magic (path, type))
    {
      complain (self, g_strdup_printf (_ ("“%s” is on a network, where changes cannot be seen"),
                                       display));
      return;
    }
  if (stat (path, &st) < 0)
    {
      if (errno == ENOENT)
        complain_of_missing (self, path);
      else
        complain_of_folder (self, path, errno);
      return;
    }

  if (is_own_folder (self, &st))
    {
      complain (self, g_strdup_printf (
                          /* Translators: %s is a folder */
                          _ ("“%s” holds Keepsake's own records, which change with each backup"),
                          display));
      return;
    }

  g_autofree char *only = S_ISDIR (st.st_mode) ? NULL : g_path_get_basename (path);
  g_autofree char *folder = only != NULL ? g_path_get_dirname (path) : g_strdup (path);
  int wd = add_watch (self, folder, TRUE);
  if (wd < 0)
    return;
  KpWatchNode *root
      = kp_watch_nodes_add_root (&self->nodes, folder, only != NULL ? "" : seen_as, only, wd);
  root->device = st.st_dev;
}

/* --- visiting -------------------------------------------------------------------------------- */

static void
note_change (KpTreeWatch *self)
{
  if (self->tell_at == 0)
    self->tell_at = MAX (g_get_monotonic_time (), self->last_told + CHANGED_INTERVAL);
}

static void
schedule (KpTreeWatch *self)
{
  gint64 time = self->rest_until;

  if (self->tell_at != 0 && (time == 0 || self->tell_at < time))
    time = self->tell_at;
  g_source_set_ready_time (self->source, time != 0 ? time : -1);
}

/* The next folder that waits and can be opened. */
static gboolean
open_next (KpTreeWatch *self)
{
  GList *link;

  while ((link = g_queue_pop_head_link (&self->nodes.queue)) != NULL)
    {
      KpWatchNode *node = link->data;
      g_autofree char *path = kp_watch_node_path (node, NULL);
      int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (node->parent != NULL ? O_NOFOLLOW : 0);

      node->is_queued = FALSE;
      int fd = open (path, flags);
      if (fd < 0)
        continue;
      self->dir = fdopendir (fd);
      if (self->dir == NULL)
        {
          close (fd);
          continue;
        }
      self->dir_node = node;
      return TRUE;
    }
  return FALSE;
}

/* Looks at one name in the open folder. */
static void
visit (KpTreeWatch *self, const struct dirent *entry)
{
  if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
    return;
  if (g_str_equal (entry->d_name, ".") || g_str_equal (entry->d_name, ".."))
    return;

  g_autofree char *filter_path = kp_watch_node_filter_path (self->dir_node, entry->d_name);
  if (!kp_filter_excludes (self->filter, filter_path, TRUE))
    add_folder (self, self->dir_node, entry->d_name);
}

static void begin (KpTreeWatch *self);

static void
end_walk (KpTreeWatch *self)
{
  g_clear_pointer (&self->walk, g_source_unref);
  if (self->has_lost)
    {
      begin (self);
      return;
    }
  /* What happened between the loss and now nobody saw. */
  if (self->is_second)
    note_change (self);
  self->is_second = FALSE;
  schedule (self);
  if (!self->is_ready)
    {
      self->is_ready = TRUE;
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_READY]);
    }
}

static gboolean
walk_cb (void *user_data)
{
  g_autoptr (KpTreeWatch) self = g_object_ref (user_data);
  gint64 end = g_get_monotonic_time () + SLICE;

  for (guint n = 1; n % SLICE_NAMES != 0 || g_get_monotonic_time () < end; n++)
    {
      if (self->dir == NULL && (self->is_full || !open_next (self)))
        {
          end_walk (self);
          return G_SOURCE_REMOVE;
        }
      const struct dirent *entry = readdir (self->dir);
      if (entry == NULL)
        close_dir (self);
      else
        visit (self, entry);
    }
  return G_SOURCE_CONTINUE;
}

static void
start_walk (KpTreeWatch *self)
{
  if (self->walk != NULL)
    return;
  self->walk = g_idle_source_new ();
  g_source_set_priority (self->walk, G_PRIORITY_LOW);
  g_source_set_callback (self->walk, walk_cb, self, NULL);
  g_source_attach (self->walk, g_main_context_get_thread_default ());
}

static void
end (KpTreeWatch *self)
{
  close_dir (self);
  if (self->walk != NULL)
    g_source_destroy (self->walk);
  g_clear_pointer (&self->walk, g_source_unref);
  if (self->fd_tag != NULL)
    g_source_remove_unix_fd (self->source, self->fd_tag);
  self->fd_tag = NULL;
  /* With it all watches are gone at once. */
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  kp_watch_nodes_clear (&self->nodes);
}

/* From the beginning, or from the beginning again. */
static void
begin (KpTreeWatch *self)
{
  end (self);
  kp_watch_nodes_init (&self->nodes);
  self->is_full = FALSE;
  self->is_second = self->has_lost;
  self->has_lost = FALSE;
  self->rest_until = 0;

  self->fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  if (self->fd < 0)
    complain (self,
              g_strdup_printf (_ ("The system does not allow to watch folders for changes: %s"),
                               g_strerror (errno)));
  else
    self->fd_tag = g_source_add_unix_fd (self->source, self->fd, G_IO_IN);
  for (guint i = 0; self->fd >= 0 && i < self->sources->len; i++)
    add_source (self, self->sources->pdata[i]);
  start_walk (self);
}

/* --- events ---------------------------------------------------------------------------------- */

static void
handle_self_event (KpTreeWatch *self, KpWatchNode *node, guint32 mask)
{
  /* Other folders are told of by those they are in. */
  if (node->parent != NULL)
    return;
  if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0)
    {
      complain_of_missing (self, node->name);
      note_change (self);
      remove_node (self, node);
    }
  else if (node->only == NULL)
    {
      note_change (self);
    }
}

static void
handle_name_event (KpTreeWatch *self, KpWatchNode *node, const struct inotify_event *event)
{
  gboolean is_directory = (event->mask & IN_ISDIR) != 0;

  if (node->only != NULL && !g_str_equal (node->only, event->name))
    return;

  g_autofree char *filter_path = kp_watch_node_filter_path (node, event->name);
  if (kp_filter_excludes (self->filter, filter_path, is_directory))
    return;
  note_change (self);
  if (!is_directory || node->only != NULL)
    return;

  KpWatchNode *child = kp_watch_nodes_find (&self->nodes, node, event->name);
  if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
    add_folder (self, node, event->name);
  else if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0 && child != NULL)
    remove_node (self, child);
}

static void
handle_event (KpTreeWatch *self, const struct inotify_event *event)
{
  KpWatchNode *node = kp_watch_nodes_find_wd (&self->nodes, event->wd);

  if ((event->mask & IN_Q_OVERFLOW) != 0)
    {
      self->has_lost = TRUE;
      note_change (self);
      return;
    }
  if ((event->mask & IN_IGNORED) != 0)
    {
      while (node != NULL)
        {
          remove_node (self, node);
          node = kp_watch_nodes_find_wd (&self->nodes, event->wd);
        }
      return;
    }
  while (node != NULL)
    {
      /* It may be removed; the others with its watch are not below it. */
      KpWatchNode *alias = node->alias;
      if (event->len > 0)
        handle_name_event (self, node, event);
      else
        handle_self_event (self, node, event->mask);
      node = alias;
    }
}

/* Returns whether there were any. */
static gboolean
read_events (KpTreeWatch *self)
{
  g_autofree char *buffer = g_malloc (BUFFER_SIZE);
  gssize length = read (self->fd, buffer, BUFFER_SIZE);

  for (gssize offset = 0; offset < length;)
    {
      /* The kernel aligns them; what malloc() returns is aligned too. */
      const struct inotify_event *event = (const void *) (buffer + offset);
      offset += (gssize) (sizeof *event + event->len);
      handle_event (self, event);
    }
  return length > 0;
}

static gboolean
dispatch (GSource *source, GSourceFunc callback, void *user_data)
{
  g_autoptr (KpTreeWatch) self = g_object_ref (((EventSource *) source)->watch);
  gint64 now = g_get_monotonic_time ();

  if (self->rest_until != 0 && now >= self->rest_until)
    {
      self->rest_until = 0;
      if (self->fd_tag != NULL)
        g_source_modify_unix_fd (source, self->fd_tag, G_IO_IN);
    }
  guint n = 0;
  while (self->rest_until == 0 && self->fd >= 0 && n < MAX_BUFFERS && read_events (self))
    n++;
  if (n > 0 && n < MAX_BUFFERS)
    {
      self->rest_until = now + REST;
      g_source_modify_unix_fd (source, self->fd_tag, 0);
    }
  if (self->has_lost && self->walk == NULL)
    begin (self);
  if (self->tell_at != 0 && g_get_monotonic_time () >= self->tell_at)
    {
      self->tell_at = 0;
      self->last_told = g_get_monotonic_time ();
      g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
    }
  if (!g_source_is_destroyed (source))
    schedule (self);
  return G_SOURCE_CONTINUE;
}

/* --- the object ------------------------------------------------------------------------------ */

static void
kp_tree_watch_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  KpTreeWatch *self = KP_TREE_WATCH (object);

  switch (prop_id)
    {
    case PROP_COMPLAINT:
      g_value_set_string (value, self->complaint);
      break;
    case PROP_READY:
      g_value_set_boolean (value, self->is_ready);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
kp_tree_watch_dispose (GObject *object)
{
  KpTreeWatch *self = KP_TREE_WATCH (object);

  if (self->source != NULL)
    {
      end (self);
      kp_watch_nodes_init (&self->nodes);
      g_source_destroy (self->source);
    }
  g_clear_pointer (&self->source, g_source_unref);
  G_OBJECT_CLASS (kp_tree_watch_parent_class)->dispose (object);
}

static void
kp_tree_watch_finalize (GObject *object)
{
  KpTreeWatch *self = KP_TREE_WATCH (object);

  kp_watch_nodes_clear (&self->nodes);
  g_ptr_array_unref (self->sources);
  g_ptr_array_unref (self->missing);
  kp_filter_unref (self->filter);
  g_free (self->own_folder);
  g_free (self->complaint);
  G_OBJECT_CLASS (kp_tree_watch_parent_class)->finalize (object);
}

static void
kp_tree_watch_class_init (KpTreeWatchClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = kp_tree_watch_get_property;
  object_class->dispose = kp_tree_watch_dispose;
  object_class->finalize = kp_tree_watch_finalize;

  props[PROP_COMPLAINT] = g_param_spec_string ("complaint", NULL, NULL, NULL,
                                               G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_READY] = g_param_spec_boolean ("ready", NULL, NULL, FALSE,
                                            G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  signals[SIGNAL_CHANGED] = g_signal_new ("changed", KP_TYPE_TREE_WATCH, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
}

static void
kp_tree_watch_init (KpTreeWatch *self)
{
  static GSourceFuncs funcs = { NULL, NULL, dispatch, NULL, NULL, NULL };

  self->fd = -1;
  self->missing = g_ptr_array_new_with_free_func (g_free);
  kp_watch_nodes_init (&self->nodes);
  self->source = g_source_new (&funcs, sizeof (EventSource));
  g_source_set_static_name (self->source, "KpTreeWatch");
  ((EventSource *) self->source)->watch = self;
}

/**
 * kp_tree_watch_new:
 * @sources: (element-type KpPlanSource): what to watch, folders and files
 * @filter: (nullable): what to leave out
 * @own_folder: (nullable): where what is written is no change, with all below it: a backup writes
 *   there, and would be the reason for the next one
 * @max_watches: how many folders at most
 *
 * Signals come in the main context that is the thread's default now. A source that is not there,
 * or is on a network, it has complained of already when this returns.
 *
 * Returns: (transfer full): a watch that has begun
 */
KpTreeWatch *
kp_tree_watch_new (GPtrArray *sources, KpFilter *filter, const char *own_folder, guint max_watches)
{
  KpTreeWatch *self = g_object_new (KP_TYPE_TREE_WATCH, NULL);

  self->sources = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
  for (guint i = 0; i < sources->len; i++)
    g_ptr_array_add (self->sources, kp_plan_source_copy (sources->pdata[i]));
  self->filter = filter != NULL ? kp_filter_ref (filter) : kp_filter_new ();
  self->own_folder = g_strdup (own_folder);
  self->max_watches = max_watches;
  g_source_attach (self->source, g_main_context_get_thread_default ());
  begin (self);
  return self;
}

/**
 * kp_tree_watch_get_complaint:
 *
 * Returns: (nullable): why not all changes are noticed, a sentence for people; %NULL when they are
 */
const char *
kp_tree_watch_get_complaint (KpTreeWatch *self)
{
  g_return_val_if_fail (KP_IS_TREE_WATCH (self), NULL);

  return self->complaint;
}

/* Whether something is at @path, on another file system than @device. What is on a network is not
 * looked at: the new watch says so then. */
static gboolean
is_there_beside (const char *path, guint64 device)
{
  g_autofree char *type = find_mount_type (path);
  struct stat st;

  return is_network_type (type) || (stat (path, &st) == 0 && st.st_dev != device);
}

/**
 * kp_tree_watch_would_see_more:
 *
 * To be called when the sources have just been read, as this looks at them.
 *
 * Returns: whether a source that was missing, or went away, is there now, or something is mounted
 *   over one, so that a new watch would see what this one does not
 */
gboolean
kp_tree_watch_would_see_more (KpTreeWatch *self)
{
  g_return_val_if_fail (KP_IS_TREE_WATCH (self), FALSE);

  for (guint i = 0; i < self->missing->len; i++)
    if (is_there_beside (self->missing->pdata[i], 0))
      return TRUE;
  for (guint i = 0; i < self->nodes.roots->len; i++)
    {
      const KpWatchNode *root = self->nodes.roots->pdata[i];
      if (root->only == NULL && is_there_beside (root->name, root->device))
        return TRUE;
    }
  return FALSE;
}

/**
 * kp_tree_watch_get_n_watches:
 *
 * Returns: how many folders are watched now
 */
guint
kp_tree_watch_get_n_watches (KpTreeWatch *self)
{
  g_return_val_if_fail (KP_IS_TREE_WATCH (self), 0);

  return g_hash_table_size (self->nodes.by_wd);
}

/**
 * kp_tree_watch_is_ready:
 *
 * Returns: whether every folder has been visited once
 */
gboolean
kp_tree_watch_is_ready (KpTreeWatch *self)
{
  g_return_val_if_fail (KP_IS_TREE_WATCH (self), FALSE);

  return self->is_ready;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-restore-browser.h"

#include "kp-details.h"
#include "kp-moment-button.h"
#include "kp-stack.h"
#include "kp-window.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixinputstream.h>
#include <glib/gi18n.h>
#include <string.h>

/* --- one row -------------------------------------------------------------------------------- */

#define KP_TYPE_RESTORE_ENTRY (kp_restore_entry_get_type ())
G_DECLARE_FINAL_TYPE (KpRestoreEntry, kp_restore_entry, KP, RESTORE_ENTRY, GObject)

struct _KpRestoreEntry
{
  GObject parent_instance;

  char *path; /* below the plan's prefix, any bytes */
  char *name; /* for people */
  char *key;  /* for sorting */
  gboolean is_folder;
  guint64 size;
  gint64 stored;
};

G_DEFINE_FINAL_TYPE (KpRestoreEntry, kp_restore_entry, G_TYPE_OBJECT)

static void
kp_restore_entry_finalize (GObject *object)
{
  KpRestoreEntry *self = KP_RESTORE_ENTRY (object);

  g_free (self->path);
  g_free (self->name);
  g_free (self->key);
  G_OBJECT_CLASS (kp_restore_entry_parent_class)->finalize (object);
}

static void
kp_restore_entry_class_init (KpRestoreEntryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = kp_restore_entry_finalize;
}

static void
kp_restore_entry_init (KpRestoreEntry *self)
{
}

static int
compare_entries (const void *a, const void *b)
{
  const KpRestoreEntry *x = *(KpRestoreEntry *const *) a;
  const KpRestoreEntry *y = *(KpRestoreEntry *const *) b;

  if (x->is_folder != y->is_folder)
    return x->is_folder ? -1 : 1;
  return strcmp (x->key, y->key);
}

/* --- the list ------------------------------------------------------------------------------- */

struct _KpRestoreBrowser
{
  AdwBin parent_instance;

  KpPlanProxy *plan;
  char *folder;  /* that is shown; "" for the top */
  char *details; /* (nullable): of the last error */
  gboolean needs_unlocking;
  gboolean is_clearing; /* the search, which is not to list anything */
  GCancellable *listing;
  GCancellable *fetching;
  GListStore *entries; /* of KpRestoreEntry */
  GtkSingleSelection *selection;
  GtkEditable *search_entry;
  GtkWidget *up_button;
  GtkLabel *place_label;
  GtkSpinner *spinner;
  KpMomentButton *moment_button;
  GtkStack *stack;
  GtkListView *list;
  AdwStatusPage *empty_page;
  AdwStatusPage *error_page;
  GtkButton *retry_button;
  GtkRevealer *preview_revealer;
  GtkPicture *preview;
  GtkLabel *note_label;
  GtkLabel *gap_label;
  GtkWidget *restore_button;
  GtkLabel *restore_label;
};

enum
{
  SIGNAL_RESTORE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (KpRestoreBrowser, kp_restore_browser, ADW_TYPE_BIN)

static const char *
get_search (KpRestoreBrowser *self)
{
  return gtk_editable_get_text (self->search_entry);
}

static KpRestoreEntry *
get_selected (KpRestoreBrowser *self)
{
  return gtk_single_selection_get_selected_item (self->selection);
}

static void
show_place (KpRestoreBrowser *self)
{
  g_autofree char *name = g_utf8_make_valid (self->folder, -1);

  gtk_label_set_label (self->place_label, *get_search (self) != '\0' ? _ ("Found")
                                          : *name != '\0'            ? name
                                                                     : _ ("All Folders"));
  gtk_widget_set_visible (self->up_button, *get_search (self) == '\0' && *self->folder != '\0');
}

static void
show_choice (KpRestoreBrowser *self)
{
  KpRestoreEntry *entry = get_selected (self);
  g_autofree char *text = NULL;

  /* Of what was found, nothing is chosen; the folder that was open before is not meant. */
  gtk_widget_set_visible (self->restore_button,
                          entry != NULL
                              || (*get_search (self) == '\0'
                                  && g_list_model_get_n_items (G_LIST_MODEL (self->entries)) > 0));
  if (entry == NULL && *self->folder == '\0')
    text = g_strdup (_ ("_Restore Everything…"));
  else if (entry == NULL)
    text = g_strdup (_ ("_Restore This Folder…"));
  else
    {
      g_auto (GStrv) parts = g_strsplit (entry->name, "_", -1);
      g_autofree char *escaped = g_strjoinv ("__", parts);
      /* Translators: %s is the name of a file or folder */
      text = g_strdup_printf (_ ("_Restore “%s”…"), escaped);
    }
  gtk_label_set_label (self->restore_label, text);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->restore_button),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  gtk_label_get_text (self->restore_label), -1);
}

/* --- preview -------------------------------------------------------------------------------- */

static void
hide_preview (KpRestoreBrowser *self)
{
  g_cancellable_cancel (self->fetching);
  g_clear_object (&self->fetching);
  gtk_revealer_set_reveal_child (self->preview_revealer, FALSE);
}

/* Decoding a large picture takes a while: in a thread of its own. */
typedef struct
{
  int fd;
} Decoding;

static void
decoding_free (void *data)
{
  g_free (data);
}

static void *
decode_main (void *data)
{
  g_autoptr (GTask) task = data;
  Decoding *decoding = g_task_get_task_data (task);
  g_autoptr (GInputStream) stream = g_unix_input_stream_new (decoding->fd, TRUE);
  GError *error = NULL;
  GdkPixbuf *picture = gdk_pixbuf_new_from_stream_at_scale (stream, 1024, 512, TRUE,
                                                            g_task_get_cancellable (task), &error);

  if (picture != NULL)
    g_task_return_pointer (task, picture, g_object_unref);
  else
    g_task_return_error (task, error);
  return NULL;
}

static void
decoded_cb (GObject *source, GAsyncResult *result, void *data)
{
  KpRestoreBrowser *self = KP_RESTORE_BROWSER (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) picture = g_task_propagate_pointer (G_TASK (result), &error);

  if (picture == NULL)
    {
      g_debug ("A preview: %s", error->message);
      return;
    }
  g_autoptr (GdkTexture) texture = gdk_texture_new_for_pixbuf (picture);
  gtk_picture_set_paintable (self->preview, GDK_PAINTABLE (texture));
  gtk_revealer_set_reveal_child (self->preview_revealer, TRUE);
}

static void
fetched_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpRestoreBrowser) self = data;
  g_autoptr (GVariant) contents = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  if (!kp_dbus_plan_call_fetch_finish (KP_DBUS_PLAN (source), &contents, &fds, result, &error))
    {
      g_debug ("A preview: %s", error->message);
      return;
    }
  if (self->fetching == NULL)
    return;
  fd = g_unix_fd_list_get (fds, g_variant_get_handle (contents), &error);
  if (fd < 0)
    return;
  GTask *task = g_task_new (self, self->fetching, decoded_cb, NULL);
  Decoding *decoding = g_new0 (Decoding, 1);
  decoding->fd = fd;
  g_task_set_task_data (task, decoding, decoding_free);
  g_thread_unref (g_thread_new ("keepsake-picture", decode_main, task));
}

static void
show_preview (KpRestoreBrowser *self)
{
  KpRestoreEntry *entry = get_selected (self);
  g_autofree char *type = entry != NULL ? g_content_type_guess (entry->name, NULL, 0, NULL) : NULL;
  g_autofree char *mime = type != NULL ? g_content_type_get_mime_type (type) : NULL;
  GVariantDict options;

  hide_preview (self);
  if (entry == NULL || entry->is_folder || mime == NULL || !g_str_has_prefix (mime, "image/"))
    return;
  self->fetching = g_cancellable_new ();
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->preview), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  entry->name, -1);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "at", "x", kp_moment_button_get_moment (self->moment_button));
  kp_dbus_plan_call_fetch (kp_plan_proxy_get_dbus (self->plan), kp_dbus_bytes (entry->path),
                           g_variant_dict_end (&options), NULL, self->fetching, fetched_cb,
                           g_object_ref (self));
}

static void
selected_cb (KpRestoreBrowser *self)
{
  show_choice (self);
  show_preview (self);
}

/* --- listing -------------------------------------------------------------------------------- */

static KpRestoreEntry *
make_entry (GVariant *path_variant, const char *kind, guint64 size, gint64 stored, gboolean whole)
{
  KpRestoreEntry *entry = g_object_new (KP_TYPE_RESTORE_ENTRY, NULL);
  const char *slash;

  entry->path = kp_dbus_dup_bytes (path_variant);
  slash = strrchr (entry->path, '/');
  entry->name = g_utf8_make_valid (whole || slash == NULL ? entry->path : slash + 1, -1);
  entry->key = g_utf8_collate_key_for_filename (entry->name, -1);
  entry->is_folder = g_str_equal (kind, "folder");
  entry->size = size;
  entry->stored = stored;
  return entry;
}

/* What was deleted or replaced before @complete_since is no longer kept. */
static void
show_gap (KpRestoreBrowser *self, gint64 complete_since)
{
  gint64 moment = kp_moment_button_get_moment (self->moment_button);
  gboolean is_shown = moment > 0 && complete_since > moment;

  gtk_widget_set_visible (GTK_WIDGET (self->gap_label), is_shown);
  if (!is_shown)
    return;
  g_autoptr (GDateTime) since = g_date_time_new_from_unix_local (complete_since);
  /* Translators: g_date_time_format(); a date with its year, and a time */
  g_autofree char *time = g_date_time_format (since, _ ("%-d %B %Y, %H:%M"));
  g_autofree char *text = g_strdup_printf (
      /* Translators: %s is a date and a time */
      _ ("Files may be missing here: what was deleted or replaced before %s is no longer kept."),
      time);
  gtk_label_set_label (self->gap_label, text);
}

static gboolean
is_focus_in_list (KpRestoreBrowser *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  return focus != NULL && gtk_widget_is_ancestor (focus, GTK_WIDGET (self->list));
}

/* Rows that go leave the focus to one by chance. */
static void
focus_first (KpRestoreBrowser *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self->list), "list.scroll-to-item", "u", 0);
  GtkWidget *first = gtk_widget_get_first_child (GTK_WIDGET (self->list));

  if (first != NULL)
    gtk_widget_grab_focus (first);
}

static void
show_entries (KpRestoreBrowser *self, GVariant *rows, gboolean complete)
{
  gboolean is_search = *get_search (self) != '\0';
  gboolean was_in_list = is_focus_in_list (self);
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (g_object_unref);
  GVariantIter iter;
  GVariant *path;
  const char *kind;
  guint64 size;
  gint64 stored;

  g_variant_iter_init (&iter, rows);
  while (g_variant_iter_next (&iter, "(@ay&stx)", &path, &kind, &size, &stored))
    {
      g_autoptr (GVariant) owned = path;
      g_ptr_array_add (entries, make_entry (owned, kind, size, stored, is_search));
    }
  if (entries->len > 0)
    qsort (entries->pdata, entries->len, sizeof (void *), compare_entries);
  g_list_store_splice (self->entries, 0, g_list_model_get_n_items (G_LIST_MODEL (self->entries)),
                       entries->pdata, entries->len);
  gtk_single_selection_set_selected (self->selection, GTK_INVALID_LIST_POSITION);
  gtk_widget_set_visible (GTK_WIDGET (self->note_label), !complete);
  if (!complete)
    {
      g_autofree char *files = kp_words_files (entries->len);
      /* Translators: %s is as in "10,000 files" */
      g_autofree char *text
          = g_strdup_printf (_ ("Only %s are shown. Search for a name to find the others."), files);
      gtk_label_set_label (self->note_label, text);
    }
  adw_status_page_set_title (self->empty_page,
                             is_search ? _ ("Nothing Found") : _ ("Nothing Here"));
  adw_status_page_set_description (self->empty_page,
                                   is_search ? _ ("No name in the backup has this text in it.")
                                   : gtk_widget_get_visible (GTK_WIDGET (self->gap_label))
                                       ? _ ("Nothing is kept of that time.")
                                   : kp_moment_button_get_moment (self->moment_button) > 0
                                       ? _ ("At that time there were no files here.")
                                       : _ ("The storage holds no files of this plan yet."));
  kp_stack_show (self->stack, entries->len > 0 ? "list" : "empty");
  show_choice (self);
  if (was_in_list && entries->len > 0)
    focus_first (self);
}

static void
show_error (KpRestoreBrowser *self, const GError *cause)
{
  g_autoptr (GError) error = g_error_copy (cause);
  const char *sentence;

  g_dbus_error_strip_remote_error (error);
  self->needs_unlocking = kp_error_is (error, KP_ERROR_KEYRING_LOCKED);
  g_free (self->details);
  self->details = g_strdup (error->message);
  gboolean has_no_past = kp_error_is (error, KP_ERROR_UNSUPPORTED_BY_PROVIDER)
                         && kp_moment_button_get_moment (self->moment_button) > 0;
  adw_status_page_set_title (self->error_page, has_no_past ? _ ("There Is No Past to Show")
                                                           : _ ("The Backup Cannot Be Read Now"));
  gtk_widget_set_visible (GTK_WIDGET (self->retry_button), !has_no_past);
  if (has_no_past)
    sentence
        = _ ("This storage keeps no old versions of files, and the plan keeps no deleted ones. "
             "What is in it now can be restored.");
  else if (self->needs_unlocking)
    sentence = _ ("The keyring with the keys for the storage is locked.");
  else if (kp_error_is (error, KP_ERROR_BAD_CREDENTIALS))
    sentence = _ ("The keys for the storage are missing, or are not right.");
  else if (kp_error_is (error, KP_ERROR_OFFLINE))
    sentence = _ ("The storage cannot be reached. Check your network.");
  else if (kp_error_is (error, KP_ERROR_NO_SUCH_BUCKET))
    sentence = _ ("The bucket is not there.");
  else
    sentence = _ ("The storage did not answer as it should.");
  adw_status_page_set_description (self->error_page, sentence);
  gtk_button_set_label (self->retry_button,
                        self->needs_unlocking ? _ ("_Unlock Keyring…") : _ ("_Try Again"));
  gtk_widget_set_visible (self->restore_button, FALSE);
  gtk_widget_set_visible (GTK_WIDGET (self->note_label), FALSE);
  kp_stack_show (self->stack, "error");
}

static void
listed_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) rows = NULL;
  g_autoptr (GVariant) facts = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  gboolean complete = FALSE;
  gint64 complete_since = 0;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  KpRestoreBrowser *self = data;
  gtk_spinner_stop (self->spinner);
  if (answer == NULL)
    {
      show_gap (self, 0);
      show_error (self, error);
      return;
    }
  g_variant_get (answer, "(@a(aystx)@a{sv})", &rows, &facts);
  g_variant_lookup (facts, "complete", "b", &complete);
  g_variant_lookup (facts, "complete-since", "x", &complete_since);
  show_gap (self, complete_since);
  show_entries (self, rows, complete);
}

static void
list (KpRestoreBrowser *self)
{
  const char *search = get_search (self);
  GVariantDict options;

  hide_preview (self);
  show_place (self);
  g_cancellable_cancel (self->listing);
  g_clear_object (&self->listing);
  self->listing = g_cancellable_new ();
  gtk_spinner_start (self->spinner);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "at", "x", kp_moment_button_get_moment (self->moment_button));
  if (*search != '\0')
    {
      g_variant_dict_insert (&options, "recursive", "b", TRUE);
      g_variant_dict_insert (&options, "match", "s", search);
    }
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (self->plan)), "Browse",
                     g_variant_new ("(@ay@a{sv})",
                                    kp_dbus_bytes (*search != '\0' ? "" : self->folder),
                                    g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, self->listing, listed_cb, self);
}

static void
enter (KpRestoreBrowser *self, const char *folder)
{
  g_autofree char *copy = g_strdup (folder);

  g_free (self->folder);
  self->folder = g_steal_pointer (&copy);
  list (self);
}

static void
activate_cb (KpRestoreBrowser *self, guint position)
{
  g_autoptr (KpRestoreEntry) entry
      = g_list_model_get_item (G_LIST_MODEL (self->selection), position);

  if (entry == NULL)
    return;
  if (!entry->is_folder)
    {
      g_signal_emit (self, signals[SIGNAL_RESTORE], 0, entry->path, FALSE);
      return;
    }
  g_autofree char *path = g_strdup (entry->path);
  /* Emptied first, so that the folder is listed once. */
  self->is_clearing = TRUE;
  gtk_editable_set_text (self->search_entry, "");
  self->is_clearing = FALSE;
  enter (self, path);
}

static void
search_changed_cb (KpRestoreBrowser *self)
{
  if (self->plan != NULL && !self->is_clearing)
    list (self);
}

/* The folder may not have been there then: the way down begins at the top again. */
static void
moment_changed_cb (KpRestoreBrowser *self)
{
  if (self->plan != NULL)
    enter (self, "");
}

static void
up_cb (KpRestoreBrowser *self)
{
  char *slash = strrchr (self->folder, '/');
  g_autofree char *parent
      = slash != NULL ? g_strndup (self->folder, (gsize) (slash - self->folder)) : g_strdup ("");

  if (*self->folder != '\0')
    enter (self, parent);
}

static void
restore_cb (KpRestoreBrowser *self)
{
  KpRestoreEntry *entry = get_selected (self);

  if (entry != NULL)
    g_signal_emit (self, signals[SIGNAL_RESTORE], 0, entry->path, entry->is_folder);
  else if (*get_search (self) == '\0')
    g_signal_emit (self, signals[SIGNAL_RESTORE], 0, self->folder, TRUE);
}

static void
unlocked_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpRestoreBrowser) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (self->plan == NULL)
    return;
  if (answer == NULL)
    show_error (self, error);
  else
    list (self);
}

static void
retry_cb (KpRestoreBrowser *self)
{
  if (self->needs_unlocking)
    g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (self->plan)), "UnlockKeyring",
                       g_variant_new ("(a{sv})", NULL), G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL,
                       unlocked_cb, g_object_ref (self));
  else
    list (self);
}

static void
details_cb (KpRestoreBrowser *self)
{
  kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), _ ("What Happened"),
                   self->details != NULL ? self->details : "");
}

/* --- rows ----------------------------------------------------------------------------------- */

static void
setup_row_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *icon = gtk_image_new ();
  GtkWidget *texts = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
  GtkWidget *name = gtk_label_new (NULL);
  GtkWidget *detail = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_xalign (GTK_LABEL (detail), 0);
  gtk_label_set_ellipsize (GTK_LABEL (detail), PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (detail, "dim-label");
  gtk_widget_add_css_class (detail, "caption");
  gtk_widget_set_hexpand (texts, TRUE);
  gtk_widget_set_valign (texts, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (texts), name);
  gtk_box_append (GTK_BOX (texts), detail);
  gtk_box_append (GTK_BOX (box), icon);
  gtk_box_append (GTK_BOX (box), texts);
  gtk_list_item_set_child (item, box);
}

static char *
describe_entry (KpRestoreEntry *entry)
{
  g_autofree char *size = kp_words_size (entry->size);
  g_autofree char *when
      = entry->stored > 0 ? kp_words_past (entry->stored, kp_app_now ()) : g_strdup ("");

  if (entry->is_folder)
    return g_strdup (_ ("Folder"));
  /* Translators: a size, and when the file was backed up, as in "12 minutes ago" */
  return g_strdup_printf (_ ("%s · backed up %s"), size, when);
}

static void
bind_row_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  KpRestoreEntry *entry = gtk_list_item_get_item (item);
  GtkWidget *icon = gtk_widget_get_first_child (gtk_list_item_get_child (item));
  GtkWidget *texts = gtk_widget_get_next_sibling (icon);
  GtkWidget *name = gtk_widget_get_first_child (texts);
  g_autofree char *detail = describe_entry (entry);

  gtk_image_set_from_icon_name (GTK_IMAGE (icon),
                                entry->is_folder ? "folder-symbolic" : "text-x-generic-symbolic");
  gtk_label_set_label (GTK_LABEL (name), entry->name);
  gtk_label_set_label (GTK_LABEL (gtk_widget_get_next_sibling (name)), detail);
  /* GTK 4.8 has no better way to name the row itself, which is what gets the focus. */
  gtk_accessible_update_property (
      GTK_ACCESSIBLE (gtk_widget_get_parent (gtk_list_item_get_child (item))),
      GTK_ACCESSIBLE_PROPERTY_LABEL, entry->name, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, detail, -1);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
kp_restore_browser_dispose (GObject *object)
{
  KpRestoreBrowser *self = KP_RESTORE_BROWSER (object);

  g_cancellable_cancel (self->listing);
  g_clear_object (&self->listing);
  g_cancellable_cancel (self->fetching);
  g_clear_object (&self->fetching);
  if (self->selection != NULL)
    g_signal_handlers_disconnect_by_data (self->selection, self);
  g_clear_object (&self->selection);
  g_clear_object (&self->entries);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->folder, g_free);
  g_clear_pointer (&self->details, g_free);
  G_OBJECT_CLASS (kp_restore_browser_parent_class)->dispose (object);
}

static void
kp_restore_browser_class_init (KpRestoreBrowserClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_restore_browser_dispose;
  g_type_ensure (KP_TYPE_MOMENT_BUTTON);
  signals[SIGNAL_RESTORE]
      = g_signal_new ("restore", KP_TYPE_RESTORE_BROWSER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                      G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_BOOLEAN);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-restore-browser.ui");
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, search_entry);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, up_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, place_label);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, spinner);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, moment_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, stack);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, list);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, empty_page);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, error_page);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, retry_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, preview_revealer);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, preview);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, note_label);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, gap_label);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, restore_button);
  gtk_widget_class_bind_template_child (widget_class, KpRestoreBrowser, restore_label);
  gtk_widget_class_bind_template_callback (widget_class, search_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, moment_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, up_cb);
  gtk_widget_class_bind_template_callback (widget_class, activate_cb);
  gtk_widget_class_bind_template_callback (widget_class, details_cb);
  gtk_widget_class_bind_template_callback (widget_class, retry_cb);
  gtk_widget_class_bind_template_callback (widget_class, restore_cb);
}

static void
kp_restore_browser_init (KpRestoreBrowser *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  self->folder = g_strdup ("");
  self->entries = g_list_store_new (KP_TYPE_RESTORE_ENTRY);
  self->selection = gtk_single_selection_new (g_object_ref (G_LIST_MODEL (self->entries)));
  gtk_single_selection_set_autoselect (self->selection, FALSE);
  gtk_single_selection_set_can_unselect (self->selection, TRUE);
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_row_cb), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_row_cb), NULL);
  gtk_list_view_set_factory (self->list, factory);
  g_object_unref (factory);
  gtk_list_view_set_model (self->list, GTK_SELECTION_MODEL (self->selection));
  g_signal_connect_swapped (self->selection, "notify::selected", G_CALLBACK (selected_cb), self);
}

void
kp_restore_browser_set_plan (KpRestoreBrowser *self, KpPlanProxy *plan)
{
  g_set_object (&self->plan, plan);
  list (self);
}

void
kp_restore_browser_search (KpRestoreBrowser *self)
{
  gtk_widget_grab_focus (GTK_WIDGET (self->search_entry));
}

void
kp_restore_browser_go_up (KpRestoreBrowser *self)
{
  up_cb (self);
}

/**
 * kp_restore_browser_get_moment:
 *
 * Returns: as of when the backup is shown, Unix seconds; 0 for now
 */
gint64
kp_restore_browser_get_moment (KpRestoreBrowser *self)
{
  return kp_moment_button_get_moment (self->moment_button);
}

/**
 * kp_restore_browser_dup_moment_text:
 *
 * Returns: (transfer full): the same for people
 */
char *
kp_restore_browser_dup_moment_text (KpRestoreBrowser *self)
{
  return kp_moment_button_dup_text (self->moment_button);
}

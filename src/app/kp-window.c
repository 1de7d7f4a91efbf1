/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-window.h"

#include "kp-delete-dialog.h"
#include "kp-details.h"
#include "kp-overview.h"
#include "kp-plan-page.h"
#include "kp-restore-page.h"
#include "kp-setup.h"

#include <glib/gi18n.h>
#include <inttypes.h>

#define UNDO_SECONDS 6

struct _KpWindow
{
  AdwApplicationWindow parent_instance;

  KpApplication *application; /* lives longer */
  AdwToastOverlay *toasts;
  AdwLeaflet *leaflet;
  gboolean is_pushing;
  KpOverview *overview;
  GPtrArray *deletions; /* of Deletion: that can be undone yet */
  GPtrArray *erasures;  /* of Erasure: of plans whose objects are being deleted, and then they */
};

/* A plan that is gone from the list and not yet from the agent. */
typedef struct
{
  KpWindow *window; /* (transfer none) */
  KpPlanProxy *plan;
  AdwToast *toast; /* (transfer none): only while it is shown */
  gboolean undone;
} Deletion;

/* A plan whose objects somebody wanted to be deleted, and who is to hear of it. */
typedef struct
{
  KpPlanProxy *plan;
  guint failed_before; /* deletions of it that did not come to their end */
} Erasure;

G_DEFINE_FINAL_TYPE (KpWindow, kp_window, ADW_TYPE_APPLICATION_WINDOW)

static void
erasure_free (void *data)
{
  Erasure *erasure = data;

  g_object_unref (erasure->plan);
  g_free (erasure);
}

static void
deletion_free (void *data)
{
  Deletion *deletion = data;

  g_object_unref (deletion->plan);
  g_free (deletion);
}

/* --- pages ---------------------------------------------------------------------------------- */

/* Drops the pages behind @first, but from @end on, if that is one. */
static void
drop_pages (KpWindow *self, GtkWidget *first, GtkWidget *end)
{
  g_autoptr (GtkSelectionModel) pages = adw_leaflet_get_pages (self->leaflet);
  gboolean is_behind = end == NULL;

  for (guint i = g_list_model_get_n_items (G_LIST_MODEL (pages)); i > 1; i--)
    {
      g_autoptr (AdwLeafletPage) page = g_list_model_get_item (G_LIST_MODEL (pages), i - 1);
      GtkWidget *child = adw_leaflet_page_get_child (page);
      if (child == first)
        break;
      if (is_behind)
        adw_leaflet_remove (self->leaflet, child);
      is_behind = is_behind || child == end;
    }
}

/* The leaflet's own keys, the mouse's Back button and swipes leave a whole page. One that has pages
 * in it goes back page by page, and one that saves stays: back_action(). */
static void
allow_leaving (KpWindow *self, GtkWidget *page)
{
  gboolean is_one_page = !KP_IS_SETUP (page) && !KP_IS_RESTORE_PAGE (page);

  adw_leaflet_set_can_navigate_back (self->leaflet, is_one_page);
}

/* Drops the pages that somebody has gone back from. */
static void
page_changed_cb (KpWindow *self)
{
  GtkWidget *visible = adw_leaflet_get_visible_child (self->leaflet);

  if (visible != NULL)
    allow_leaving (self, visible);
  if (visible != NULL && self->overview != NULL && !self->is_pushing
      && !adw_leaflet_get_child_transition_running (self->leaflet))
    drop_pages (self, visible, NULL);
}

static void
push (KpWindow *self, GtkWidget *page)
{
  GtkWidget *from = adw_leaflet_get_visible_child (self->leaflet);

  adw_leaflet_append (self->leaflet, page);
  /* Where another page still slides, that ends now, and is told before this one is the visible one:
   * it must not be dropped for it. */
  self->is_pushing = TRUE;
  adw_leaflet_set_visible_child (self->leaflet, page);
  self->is_pushing = FALSE;
  drop_pages (self, from, page);
  gtk_widget_child_focus (page, GTK_DIR_TAB_FORWARD);
}

static GtkWidget *
get_page (KpWindow *self)
{
  return adw_leaflet_get_visible_child (self->leaflet);
}

static void
go_home (KpWindow *self)
{
  adw_leaflet_set_visible_child (self->leaflet, GTK_WIDGET (self->overview));
}

/* Whether the page is one of a plan that is no longer there, or that an agent had that is no more:
 * nothing on it works. A set-up is not: what was entered there is not lost with the plan. */
static gboolean
is_dead (KpWindow *self, GtkWidget *page)
{
  GListModel *plans = kp_agent_client_get_plans (kp_window_get_client (self));
  KpPlanProxy *plan = NULL;

  if (KP_IS_PLAN_PAGE (page))
    plan = kp_plan_page_get_plan (KP_PLAN_PAGE (page));
  else if (KP_IS_RESTORE_PAGE (page))
    plan = kp_restore_page_get_plan (KP_RESTORE_PAGE (page));
  if (plan == NULL)
    return FALSE;
  for (guint i = 0; i < g_list_model_get_n_items (plans); i++)
    {
      g_autoptr (KpPlanProxy) other = g_list_model_get_item (plans, i);
      if (other == plan)
        return FALSE;
    }
  return TRUE;
}

/**
 * kp_window_go_back:
 *
 * Leaves the page, whatever it shows: for a page that has come to its end. What somebody presses is
 * the action "win.back".
 */
void
kp_window_go_back (KpWindow *self)
{
  GtkWidget *below = adw_leaflet_get_adjacent_child (self->leaflet, ADW_NAVIGATION_DIRECTION_BACK);

  /* Its plan may have gone while another page was above it. */
  if (below != NULL && is_dead (self, below))
    go_home (self);
  else
    adw_leaflet_navigate (self->leaflet, ADW_NAVIGATION_DIRECTION_BACK);
}

static void
back_action (GtkWidget *widget, const char *action, GVariant *parameter)
{
  KpWindow *self = KP_WINDOW (widget);
  GtkWidget *page = get_page (self);

  if (KP_IS_SETUP (page))
    kp_setup_go_back (KP_SETUP (page));
  else if (KP_IS_RESTORE_PAGE (page))
    kp_restore_page_go_back (KP_RESTORE_PAGE (page));
  else
    kp_window_go_back (self);
}

static void
forget_erasure (KpWindow *self, KpPlanProxy *plan)
{
  for (guint i = self->erasures->len; i-- > 0;)
    if (((Erasure *) self->erasures->pdata[i])->plan == plan)
      g_ptr_array_remove_index (self->erasures, i);
}

/* Says so when a plan is gone that was deleted with its objects: that took its time. One that goes
 * after its deletion was stopped, or has failed, goes without them. */
static void
tell_erased (KpWindow *self)
{
  KpAgentClient *client = kp_window_get_client (self);

  /* With the agent its deletions end, and nobody tells how. */
  if (!kp_agent_client_is_connected (client))
    g_ptr_array_set_size (self->erasures, 0);
  for (guint i = self->erasures->len; i-- > 0;)
    {
      const Erasure *erasure = self->erasures->pdata[i];
      gboolean is_there
          = kp_agent_client_find_plan (client, kp_plan_proxy_get_id (erasure->plan)) != NULL;
      gboolean failed = kp_plan_proxy_get_erasures_failed (erasure->plan) != erasure->failed_before;
      if (!is_there && !failed)
        {
          g_autofree char *name = kp_words_shorten (kp_plan_proxy_get_name (erasure->plan), 30);
          /* Translators: %s is the name of a plan */
          g_autofree char *text = g_strdup_printf (_ ("“%s” and its backup are deleted."), name);
          kp_window_toast (self, text);
        }
      if (!is_there || failed)
        g_ptr_array_remove_index (self->erasures, i);
    }
}

/* Leaves a page whose plan is gone; kp_window_go_back() passes over those below it. */
static void
plans_changed_cb (GListModel *plans, guint position, guint removed, guint added, KpWindow *self)
{
  if (removed == 0)
    return;
  tell_erased (self);
  if (is_dead (self, get_page (self)))
    go_home (self);
}

void
kp_window_show_plan (KpWindow *self, KpPlanProxy *plan)
{
  GtkWidget *page = get_page (self);

  if (KP_IS_PLAN_PAGE (page) && kp_plan_page_get_plan (KP_PLAN_PAGE (page)) == plan)
    return;
  if (KP_IS_SETUP (page))
    return; /* what was typed there is not to be lost */
  if (page != GTK_WIDGET (self->overview))
    go_home (self);
  push (self, kp_plan_page_new (plan));
}

/* The agent may not be there yet, when it is what opened us. */
typedef struct
{
  KpWindow *window;
  char *id;
  gulong handler;
} ShowLater;

static void
show_later_free (void *data, GClosure *closure)
{
  ShowLater *later = data;

  g_free (later->id);
  g_free (later);
}

static void
show_later_cb (KpAgentClient *client, ShowLater *later)
{
  KpPlanProxy *plan = kp_agent_client_find_plan (client, later->id);

  if (kp_agent_client_get_presence (client) == KP_AGENT_STARTING)
    return;
  if (plan != NULL)
    kp_window_show_plan (later->window, plan);
  g_signal_handler_disconnect (client, later->handler);
}

void
kp_window_show_plan_by_id (KpWindow *self, const char *id)
{
  KpAgentClient *client = kp_window_get_client (self);
  KpPlanProxy *plan = kp_agent_client_find_plan (client, id);
  ShowLater *later;

  if (plan != NULL)
    {
      kp_window_show_plan (self, plan);
      return;
    }
  if (kp_agent_client_get_presence (client) != KP_AGENT_STARTING)
    return;
  later = g_new0 (ShowLater, 1);
  later->window = self;
  later->id = g_strdup (id);
  later->handler = g_signal_connect_data (client, "changed", G_CALLBACK (show_later_cb), later,
                                          show_later_free, 0);
}

/* @plan: to change, or %NULL for a new one */
void
kp_window_show_setup (KpWindow *self, KpPlanProxy *plan)
{
  if (KP_IS_SETUP (get_page (self)))
    return;
  push (self, kp_setup_new (plan));
}

/* The set-up, where keys are entered. */
void
kp_window_show_keys (KpWindow *self, KpPlanProxy *plan)
{
  GtkWidget *setup;

  if (KP_IS_SETUP (get_page (self)))
    return;
  setup = kp_setup_new (plan);
  push (self, setup);
  kp_setup_show_keys (KP_SETUP (setup));
}

void
kp_window_show_restore (KpWindow *self, KpPlanProxy *plan)
{
  push (self, kp_restore_page_new (plan));
}

/* --- messages ------------------------------------------------------------------------------- */

/**
 * kp_window_make_toast:
 * @text: no markup
 *
 * A toast's own title is cut off in a narrow window, just where it says what matters, and is empty
 * where a name in it looks like broken markup.
 *
 * Returns: (transfer full): a toast of two lines
 */
AdwToast *
kp_window_make_toast (const char *text)
{
  AdwToast *toast = adw_toast_new ("");
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_natural_wrap_mode (GTK_LABEL (label), GTK_NATURAL_WRAP_NONE);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_label_set_lines (GTK_LABEL (label), 2);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_add_css_class (label, "caption-heading");
  adw_toast_set_custom_title (toast, label);
  return toast;
}

void
kp_window_toast (KpWindow *self, const char *text)
{
  adw_toast_overlay_add_toast (self->toasts, kp_window_make_toast (text));
}

/* An error that has no place of its own: a toast, and the rest behind its button. */
typedef struct
{
  char *title;
  char *message;
} ToastError;

static void
toast_error_free (void *data, GClosure *closure)
{
  ToastError *toast = data;

  g_free (toast->title);
  g_free (toast->message);
  g_free (toast);
}

static void
toast_details_cb (AdwToast *toast, ToastError *error)
{
  KpWindow *self = g_object_get_data (G_OBJECT (toast), "window");

  kp_details_show (GTK_WINDOW (self), error->title, error->message);
}

void
kp_window_show_error (KpWindow *self, const char *title, const GError *error)
{
  AdwToast *toast;
  ToastError *data;
  g_autoptr (GError) copy = g_error_copy (error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  g_dbus_error_strip_remote_error (copy);
  toast = kp_window_make_toast (title);
  adw_toast_set_button_label (toast, _ ("_Details"));
  adw_toast_set_priority (toast, ADW_TOAST_PRIORITY_HIGH);
  adw_toast_set_timeout (toast, 10);
  data = g_new0 (ToastError, 1);
  data->title = g_strdup (title);
  data->message = g_strdup (copy->message);
  g_object_set_data (G_OBJECT (toast), "window", self);
  g_signal_connect_data (toast, "button-clicked", G_CALLBACK (toast_details_cb), data,
                         toast_error_free, 0);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

/* --- calls to the agent --------------------------------------------------------------------- */

/* What the agent says is not translated; it is behind the toast's button. */
static const char *
describe_call_error (const GError *error)
{
  static const struct
  {
    KpError code;
    const char *sentence;
  } sentences[] = {
    { KP_ERROR_BUSY, N_ ("Another job of this plan runs. Wait for its end, or cancel it.") },
    { KP_ERROR_SOURCE_MISSING, N_ ("A folder is not there") },
    { KP_ERROR_BAD_CREDENTIALS, N_ ("The keys for the storage are missing") },
    { KP_ERROR_OFFLINE, N_ ("The storage could not be reached") },
    { KP_ERROR_DELETE_GUARD, N_ ("Nothing was deleted") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (sentences); i++)
    if (kp_error_is (error, (int) sentences[i].code))
      return _ (sentences[i].sentence);
  return _ ("That did not work");
}

static void
show_call_error (KpWindow *self, GError *error)
{
  g_dbus_error_strip_remote_error (error);
  if (kp_error_is (error, KP_ERROR_KEYRING_LOCKED))
    {
      kp_window_toast (self, _ ("The keyring is still locked"));
      return;
    }
  kp_window_show_error (self, describe_call_error (error), error);
}

static void
called_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (answer == NULL && !gtk_widget_in_destruction (GTK_WIDGET (self)))
    show_call_error (self, error);
}

static void
call (KpWindow *self, void *proxy, const char *method, GVariant *parameters)
{
  g_dbus_proxy_call (proxy, method, parameters, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, called_cb,
                     g_object_ref (self));
}

/* The number that somebody has read, and no other. */
#define CONSENT_KEY "kp-shown"

static void
consent_cb (AdwMessageDialog *dialog, const char *response, KpPlanProxy *plan)
{
  KpWindow *self = KP_WINDOW (gtk_window_get_transient_for (GTK_WINDOW (dialog)));
  const guint64 *shown = g_object_get_data (G_OBJECT (dialog), CONSENT_KEY);
  GVariantDict options;

  if (!g_str_equal (response, "delete"))
    return;
  if (kp_dbus_plan_get_deletions_held (kp_plan_proxy_get_dbus (plan)) > *shown)
    {
      kp_window_help (self, plan, KP_HELP_CONSENT);
      return;
    }
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "max-delete", "t", *shown);
  call (self, kp_plan_proxy_get_dbus (plan), "Run",
        g_variant_new ("(@a{sv})", g_variant_dict_end (&options)));
}

static void
ask_consent (KpWindow *self, KpPlanProxy *plan)
{
  guint64 n = kp_dbus_plan_get_deletions_held (kp_plan_proxy_get_dbus (plan));
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (self), NULL, NULL);

  adw_message_dialog_format_heading (ADW_MESSAGE_DIALOG (dialog),
                                     ngettext ("Delete %" PRIu64 " File from the Backup?",
                                               "Delete %" PRIu64 " Files from the Backup?",
                                               (gulong) n),
                                     n);
  adw_message_dialog_format_body (
      ADW_MESSAGE_DIALOG (dialog),
      /* Translators: %s is the name of a plan */
      _ ("They are no longer in the folders of “%s”. If you did not delete them yourself, keep "
         "them: a disk may not be connected, or something went wrong."),
      kp_plan_proxy_get_name (plan));
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "keep", _ ("_Keep Them"), "delete",
                                    _ ("_Delete from Backup"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "delete",
                                              ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "keep");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "keep");
  g_object_set_data_full (G_OBJECT (dialog), CONSENT_KEY, g_memdup2 (&n, sizeof n), g_free);
  g_signal_connect_object (dialog, "response", G_CALLBACK (consent_cb), plan, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/**
 * kp_window_help:
 *
 * Does the one thing that helps the plan in its state.
 */
void
kp_window_help (KpWindow *self, KpPlanProxy *plan, KpHelp help)
{
  KpDBusManager *manager = kp_agent_client_get_manager (kp_window_get_client (self));

  switch (help)
    {
    case KP_HELP_RUN:
    case KP_HELP_RUN_ANYWAY:
    case KP_HELP_TRY:
      call (self, kp_plan_proxy_get_dbus (plan), "Run", g_variant_new ("(a{sv})", NULL));
      break;
    case KP_HELP_RESUME:
      if (manager != NULL)
        call (self, manager, "Resume", g_variant_new ("(a{sv})", NULL));
      break;
    case KP_HELP_UNLOCK:
      call (self, kp_plan_proxy_get_dbus (plan), "UnlockKeyring", g_variant_new ("(a{sv})", NULL));
      break;
    case KP_HELP_ENTER_KEYS:
      kp_window_show_keys (self, plan);
      break;
    case KP_HELP_EDIT:
      kp_window_show_setup (self, plan);
      break;
    case KP_HELP_CONSENT:
      ask_consent (self, plan);
      break;
    case KP_HELP_SHOW_PROBLEMS:
      kp_window_show_plan (self, plan);
      break;
    case KP_HELP_NONE:
    default:
      break;
    }
}

/* --- deletion of plans ---------------------------------------------------------------------- */

gboolean
kp_window_is_being_deleted (KpWindow *self, KpPlanProxy *plan)
{
  for (guint i = 0; i < self->deletions->len; i++)
    if (((Deletion *) self->deletions->pdata[i])->plan == plan)
      return TRUE;
  return FALSE;
}

static void
undo_cb (AdwToast *toast, Deletion *deletion)
{
  deletion->undone = TRUE;
}

static void
settle (KpWindow *self, Deletion *deletion)
{
  if (!deletion->undone)
    call (self, kp_plan_proxy_get_dbus (deletion->plan), "Remove", g_variant_new ("(a{sv})", NULL));
  g_ptr_array_remove (self->deletions, deletion);
  kp_overview_refilter (self->overview);
}

static void
dismissed_cb (AdwToast *toast, Deletion *deletion)
{
  settle (deletion->window, deletion);
}

static void
erase_called_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (answer != NULL || gtk_widget_in_destruction (GTK_WIDGET (self)))
    return;
  /* It did not begin. */
  for (guint i = self->erasures->len; i-- > 0;)
    {
      const Erasure *erasure = self->erasures->pdata[i];
      if ((GObject *) kp_plan_proxy_get_dbus (erasure->plan) == source)
        g_ptr_array_remove_index (self->erasures, i);
    }
  show_call_error (self, error);
}

static void
delete_cb (GtkWindow *window, KpPlanProxy *plan, gboolean with_objects, guint64 max_delete)
{
  KpWindow *self = KP_WINDOW (window);
  Erasure *erasure;
  GVariantDict options;

  forget_erasure (self, plan);
  if (!with_objects)
    {
      kp_window_delete_plan (self, plan);
      return;
    }
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "delete-objects", "b", TRUE);
  g_variant_dict_insert (&options, "max-delete", "t", max_delete);
  erasure = g_new0 (Erasure, 1);
  erasure->plan = g_object_ref (plan);
  erasure->failed_before = kp_plan_proxy_get_erasures_failed (plan);
  g_ptr_array_add (self->erasures, erasure);
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (plan)), "Remove",
                     g_variant_new ("(@a{sv})", g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, erase_called_cb, g_object_ref (self));
}

/**
 * kp_window_ask_deletion:
 *
 * Asks whether the plan is to be deleted, and with what, and does so.
 */
void
kp_window_ask_deletion (KpWindow *self, KpPlanProxy *plan)
{
  kp_delete_dialog_show (GTK_WINDOW (self), plan, delete_cb);
}

/**
 * kp_window_delete_plan:
 *
 * Takes the plan off the list, and has the agent remove it once nobody can undo that any more.
 */
void
kp_window_delete_plan (KpWindow *self, KpPlanProxy *plan)
{
  Deletion *deletion = g_new0 (Deletion, 1);
  AdwToast *toast;

  g_autofree char *name = kp_words_shorten (kp_plan_proxy_get_name (plan), 30);
  /* Translators: %s is the name of a plan */
  g_autofree char *title
      = g_strdup_printf (_ ("“%s” deleted. Its files stay in the storage."), name);
  toast = kp_window_make_toast (title);
  adw_toast_set_button_label (toast, _ ("_Undo"));
  adw_toast_set_timeout (toast, UNDO_SECONDS);
  adw_toast_set_priority (toast, ADW_TOAST_PRIORITY_HIGH);
  deletion->window = self;
  deletion->plan = g_object_ref (plan);
  deletion->toast = toast;
  g_ptr_array_add (self->deletions, deletion);
  g_signal_connect (toast, "button-clicked", G_CALLBACK (undo_cb), deletion);
  g_signal_connect (toast, "dismissed", G_CALLBACK (dismissed_cb), deletion);
  adw_toast_overlay_add_toast (self->toasts, toast);
  go_home (self);
  kp_overview_refilter (self->overview);
}

static void
settle_all (KpWindow *self)
{
  while (self->deletions->len > 0)
    {
      Deletion *deletion = self->deletions->pdata[0];
      g_signal_handlers_disconnect_by_data (deletion->toast, deletion);
      settle (self, deletion);
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static void
save_size (KpWindow *self)
{
  GSettings *settings = kp_application_get_settings (self->application);
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  g_settings_set (settings, "window-size", "(ii)", width, height);
  g_settings_set_boolean (settings, "window-maximized",
                          gtk_window_is_maximized (GTK_WINDOW (self)));
}

/* Says once that backups go on without the window. */
static void
tell_that_backups_go_on (KpWindow *self)
{
  GSettings *settings = kp_application_get_settings (self->application);
  KpAgentClient *client = kp_window_get_client (self);
  g_autoptr (GNotification) notification = NULL;

  if (g_settings_get_boolean (settings, "told-that-backups-go-on")
      || g_list_model_get_n_items (kp_agent_client_get_plans (client)) == 0)
    return;
  g_settings_set_boolean (settings, "told-that-backups-go-on", TRUE);
  notification = g_notification_new (_ ("Backups go on without this window"));
  g_notification_set_body (notification, _ ("Keepsake stays active in the background and backs up "
                                            "when it is time."));
  g_application_send_notification (G_APPLICATION (self->application), "goes-on", notification);
}

static gboolean
kp_window_close_request (GtkWindow *window)
{
  KpWindow *self = KP_WINDOW (window);

  settle_all (self);
  save_size (self);
  tell_that_backups_go_on (self);
  return GTK_WINDOW_CLASS (kp_window_parent_class)->close_request (window);
}

static void
kp_window_dispose (GObject *object)
{
  KpWindow *self = KP_WINDOW (object);

  if (self->application != NULL)
    {
      KpAgentClient *client = kp_application_get_client (self->application);
      g_signal_handlers_disconnect_by_data (kp_agent_client_get_plans (client), self);
      g_signal_handlers_disconnect_matched (client, G_SIGNAL_MATCH_FUNC, 0, 0, NULL,
                                            G_CALLBACK (show_later_cb), NULL);
    }
  self->application = NULL;
  g_clear_pointer (&self->deletions, g_ptr_array_unref);
  g_clear_pointer (&self->erasures, g_ptr_array_unref);
  G_OBJECT_CLASS (kp_window_parent_class)->dispose (object);
}

static void
kp_window_class_init (KpWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_window_dispose;
  GTK_WINDOW_CLASS (klass)->close_request = kp_window_close_request;
  g_type_ensure (KP_TYPE_OVERVIEW);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/keepsake_backup/Keepsake/kp-window.ui");
  gtk_widget_class_bind_template_child (widget_class, KpWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, KpWindow, leaflet);
  gtk_widget_class_bind_template_child (widget_class, KpWindow, overview);
  gtk_widget_class_bind_template_callback (widget_class, page_changed_cb);
  gtk_widget_class_install_action (widget_class, "win.back", NULL, back_action);
}

static void
kp_window_init (KpWindow *self)
{
  self->deletions = g_ptr_array_new_with_free_func (deletion_free);
  self->erasures = g_ptr_array_new_with_free_func (erasure_free);
  gtk_widget_init_template (GTK_WIDGET (self));
}

KpWindow *
kp_window_new (KpApplication *application)
{
  KpWindow *self = g_object_new (KP_TYPE_WINDOW, "application", application, NULL);
  GSettings *settings = kp_application_get_settings (application);
  KpAgentClient *client = kp_application_get_client (application);
  int width, height;

  self->application = application;
  g_settings_get (settings, "window-size", "(ii)", &width, &height);
  gtk_window_set_default_size (GTK_WINDOW (self), width, height);
  if (g_settings_get_boolean (settings, "window-maximized"))
    gtk_window_maximize (GTK_WINDOW (self));
  g_signal_connect (kp_agent_client_get_plans (client), "items-changed",
                    G_CALLBACK (plans_changed_cb), self);
  kp_overview_set_client (self->overview, client);
  return self;
}

/* (nullable): the window in which @widget is */
KpWindow *
kp_window_of (GtkWidget *widget)
{
  GtkRoot *root = gtk_widget_get_root (widget);

  return KP_IS_WINDOW (root) ? KP_WINDOW (root) : NULL;
}

KpAgentClient *
kp_window_get_client (KpWindow *self)
{
  return kp_application_get_client (self->application);
}

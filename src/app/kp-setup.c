/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup.h"

#include "kp-error.h"
#include "kp-setup-folders.h"
#include "kp-setup-review.h"
#include "kp-setup-schedule.h"
#include "kp-setup-storage.h"
#include "kp-size.h"
#include "kp-stack.h"
#include "kp-test-keys.h"
#include "kp-window.h"

#include <glib/gi18n.h>

enum
{
  PAGE_FOLDERS,
  PAGE_STORAGE,
  PAGE_SCHEDULE,
  PAGE_REVIEW,
  N_PAGES,
};

struct _KpSetup
{
  AdwBin parent_instance;

  KpPlanProxy *proxy; /* (nullable): that is changed */
  KpPlan *plan;       /* what is going to be created or saved */
  char *before;       /* what the plan was, as its file has it; NULL for a new one */
  guint page;
  gboolean goes_on_after_test;
  gboolean is_saving;
  gboolean had_schedule;    /* before it was edited */
  gboolean keys_were_wrong; /* when it was saved */
  gboolean keys_are_unsure; /* nobody said whether the plan that they are for has been made */
  AdwWindowTitle *window_title;
  GtkButton *back_button;
  GtkButton *next_button;
  GtkSpinner *spinner;
  GtkStack *stack;
  KpSetupFolders *folders;
  KpSetupStorage *storage;
  KpSetupSchedule *schedule;
  KpSetupReview *review;
};

G_DEFINE_FINAL_TYPE (KpSetup, kp_setup, ADW_TYPE_BIN)

/* --- pages ---------------------------------------------------------------------------------- */

static void
show_page (KpSetup *self, guint page)
{
  static const char *const names[N_PAGES] = { "folders", "storage", "schedule", "review" };
  const char *const titles[N_PAGES]
      = { _ ("Folders"), _ ("Storage"), _ ("Schedule"), _ ("Review") };
  /* Translators: the number of a step and how many there are */
  g_autofree char *step = g_strdup_printf (_ ("Step %u of %u"), page + 1, (guint) N_PAGES);

  self->page = page;
  adw_window_title_set_title (self->window_title, titles[page]);
  adw_window_title_set_subtitle (self->window_title, step);
  gtk_button_set_label (self->back_button, page == 0 ? _ ("_Cancel") : _ ("_Back"));
  gtk_button_set_label (self->next_button, page < PAGE_REVIEW    ? _ ("_Next")
                                           : self->proxy != NULL ? _ ("_Save")
                                                                 : _ ("_Create"));
  if (page == PAGE_REVIEW)
    {
      guint64 files, bytes;
      gboolean is_known = kp_setup_folders_get_size (self->folders, &files, &bytes);
      kp_setup_folders_apply (self->folders, self->plan);
      kp_setup_storage_apply (self->storage, self->plan);
      kp_setup_schedule_apply (self->schedule, self->plan);
      kp_setup_review_show (self->review, self->plan, is_known && self->proxy == NULL ? bytes : 0);
    }
  GtkWidget *shown = kp_stack_show (self->stack, names[page]);
  if (gtk_widget_get_root (shown) != NULL)
    gtk_widget_child_focus (shown, GTK_DIR_TAB_FORWARD);
}

static void
set_busy (KpSetup *self, gboolean is_busy)
{
  gtk_spinner_set_spinning (self->spinner, is_busy);
  gtk_widget_set_sensitive (GTK_WIDGET (self->next_button), !is_busy);
}

static void
measured_cb (KpSetup *self)
{
  guint64 files, bytes;

  if (kp_setup_folders_get_size (self->folders, &files, &bytes))
    kp_setup_schedule_set_bytes (self->schedule, self->proxy == NULL ? bytes : 0);
}

static void
tested_cb (KpSetupStorage *storage, gboolean works, KpSetup *self)
{
  gboolean goes_on = self->goes_on_after_test && works;

  self->goes_on_after_test = FALSE;
  set_busy (self, FALSE);
  if (goes_on && self->page == PAGE_STORAGE)
    show_page (self, PAGE_SCHEDULE);
}

/* --- the end -------------------------------------------------------------------------------- */

/* @sentence: of ours, translated */
static void
fail_with (KpSetup *self, const char *sentence)
{
  self->is_saving = FALSE;
  set_busy (self, FALSE);
  kp_setup_review_show_error (self->review, sentence);
}

/* @cause: with a sentence of the engine */
static void
fail (KpSetup *self, const GError *cause)
{
  g_autoptr (GError) error = g_error_copy (cause);

  g_dbus_error_strip_remote_error (error);
  g_autofree char *start = kp_words_shorten (error->message, 400);
  g_autofree char *text = g_strconcat (_ ("This could not be saved."), "\n", start, NULL);
  fail_with (self, text);
}

static void
begun_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  /* It may have begun by itself already; the card says why when it did not. */
  if (answer == NULL)
    g_message ("The first backup: %s", error->message);
}

static KpAgentClient *
get_client (void)
{
  return kp_application_get_client (kp_application_get ());
}

/* Goes before what the plan would wait for: only where nothing else lets it begin. */
static void
run (KpSetup *self)
{
  KpDBusManager *manager = kp_agent_client_get_manager (get_client ());
  g_autofree char *path = kp_dbus_plan_path (kp_plan_get_id (self->plan));

  if (manager != NULL)
    g_dbus_connection_call (g_dbus_proxy_get_connection (G_DBUS_PROXY (manager)), KP_AGENT_BUS_NAME,
                            path, "io.github.keepsake_backup.Keepsake.Plan", "Run",
                            g_variant_new ("(a{sv})", NULL), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                            begun_cb, NULL);
}

/* Whether other keys are what it takes to back up, and the clock alone would not try them soon.
 * What is held for another reason is due, and begins when that is over. */
static gboolean
lacks_keys (KpPlanProxy *plan)
{
  KpDBusPlan *dbus = kp_plan_proxy_get_dbus (plan);
  const char *held_by = kp_dbus_plan_get_held_by (dbus);
  const char *reason = kp_dbus_plan_get_last_reason (dbus);

  if (held_by != NULL && *held_by != '\0')
    return g_str_has_prefix (held_by, "keyring-");
  return g_strcmp0 (kp_dbus_plan_get_last_result (dbus), "failed") == 0
         && (g_strcmp0 (reason, kp_error_name (KP_ERROR_BAD_CREDENTIALS)) == 0
             || g_strcmp0 (reason, kp_error_name (KP_ERROR_ACCESS_DENIED)) == 0);
}

static gboolean
is_manual (KpPlan *plan)
{
  return kp_schedule_get_kind (kp_plan_get_schedule (plan)) == KP_SCHEDULE_MANUAL;
}

/* Whether this is the first plan that something else than somebody is to begin. */
static gboolean
is_first_with_schedule (KpSetup *self)
{
  GListModel *plans = kp_agent_client_get_plans (get_client ());

  if (self->had_schedule || is_manual (self->plan))
    return FALSE;
  for (guint i = 0; i < g_list_model_get_n_items (plans); i++)
    {
      g_autoptr (KpPlanProxy) proxy = g_list_model_get_item (plans, i);
      KpPlan *plan = kp_plan_proxy_get_plan (proxy);

      if (plan != NULL && !g_str_equal (kp_plan_get_id (plan), kp_plan_get_id (self->plan))
          && !is_manual (plan) && kp_plan_get_enabled (plan))
        return FALSE;
    }
  return TRUE;
}

static void
autostart_set_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpWindow) window = data; /* or NULL, if it was closed by then */
  g_autoptr (GError) error = NULL;
  gboolean ok
      = kp_dbus_manager_call_set_autostart_finish (KP_DBUS_MANAGER (source), result, &error);

  if (!ok)
    g_message ("Autostart: %s", error->message);
  if (window == NULL || !gtk_widget_get_visible (GTK_WIDGET (window)))
    return;
  /* Both have to fit into a narrow window. */
  kp_window_toast (window, ok ? _ ("Keepsake starts at login from now on")
                              : _ ("Keepsake cannot start at login here"));
}

/* Nothing would begin a backup after the next login. Who has switched that off is not asked again:
 * that is, when there is another plan already. */
static void
start_at_login (KpSetup *self, KpWindow *window)
{
  KpDBusManager *manager = kp_agent_client_get_manager (get_client ());

  if (is_first_with_schedule (self) && manager != NULL && !kp_dbus_manager_get_autostart (manager))
    kp_dbus_manager_call_set_autostart (manager, TRUE, g_variant_new ("a{sv}", NULL), NULL,
                                        autostart_set_cb,
                                        window != NULL ? g_object_ref (window) : NULL);
}

/* A new plan with a schedule is due at once by itself, and waits for what it was told to. */
static void
finish (KpSetup *self)
{
  KpWindow *window = kp_window_of (GTK_WIDGET (self));
  gboolean runs = self->proxy == NULL
                      ? is_manual (self->plan)
                      : self->keys_were_wrong && kp_setup_storage_has_entered_keys (self->storage);

  self->keys_are_unsure = FALSE;
  if (runs)
    run (self);
  start_at_login (self, window);
  if (window == NULL)
    return;
  if (self->proxy == NULL)
    kp_window_toast (window, runs ? _ ("Plan created; the first backup begins")
                                  /* Its card says whether it begins, or what it waits for. */
                                  : _ ("Plan created"));
  else
    kp_window_toast (window, runs ? _ ("Saved; a backup begins")
                                  : _ ("Saved; it holds from the next backup on"));
  kp_window_go_back (window);
}

/* Whether the agent may have done what it was asked for, or do it yet. */
static gboolean
is_unsure (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY);
}

static void
fail_unsure (KpSetup *self)
{
  fail_with (self,
             _ ("The background part of Keepsake does not answer. It may do this yet: look at "
                "the plans before you try again."));
}

/* Keys of a plan that has not come to be belong to nobody. */
static void
forget_new_keys (KpSetup *self)
{
  if (self->proxy == NULL)
    kp_test_keys_forget (kp_plan_get_id (self->plan));
  self->keys_are_unsure = FALSE;
}

static void
added_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpSetup) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);
  const char *id = kp_plan_get_id (self->plan);

  if (answer != NULL || kp_agent_client_find_plan (get_client (), id) != NULL)
    finish (self);
  else if (is_unsure (error))
    fail_unsure (self);
  else
    {
      forget_new_keys (self);
      fail (self, error);
    }
}

static void
stored_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpSetup) self = data;
  g_autoptr (GError) error = NULL;
  KpDBusManager *manager = kp_agent_client_get_manager (get_client ());

  if (!kp_setup_storage_store_finish (result, &error))
    {
      fail (self, error);
      return;
    }
  if (kp_agent_client_find_plan (get_client (), kp_plan_get_id (self->plan)) != NULL)
    {
      finish (self);
      return;
    }
  if (manager == NULL)
    {
      forget_new_keys (self);
      fail_with (self, _ ("The background part of Keepsake is not running."));
      return;
    }
  g_autofree char *text = kp_plan_to_json (self->plan);
  self->keys_are_unsure = TRUE;
  g_dbus_proxy_call (G_DBUS_PROXY (manager), "AddPlan", g_variant_new ("(sa{sv})", text, NULL),
                     G_DBUS_CALL_FLAGS_NONE, -1, NULL, added_cb, g_object_ref (self));
}

/* The keys of a plan that is there come last: should it stay as it was, its own are still right. */
static void
updated_cb (GObject *source, GAsyncResult *result, void *data)
{
  g_autoptr (KpSetup) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (answer != NULL)
    {
      g_free (self->before);
      self->before = kp_plan_to_json (self->plan);
      kp_setup_storage_store_async (self->storage, self->plan, stored_cb, g_object_ref (self));
    }
  else if (is_unsure (error))
    fail_unsure (self);
  else
    fail (self, error);
}

static void
save (KpSetup *self)
{
  g_autoptr (GError) error = NULL;
  /* Not the proxy that the page was opened with: that one is of an agent that may be no more. */
  KpPlanProxy *now = kp_agent_client_find_plan (get_client (), kp_plan_get_id (self->plan));

  if (self->is_saving || !kp_setup_review_check (self->review))
    return;
  kp_setup_review_apply (self->review, self->plan);
  if (!kp_plan_validate (self->plan, &error))
    {
      fail (self, error);
      return;
    }
  if (self->proxy != NULL && now == NULL)
    {
      fail_with (self, kp_agent_client_is_connected (get_client ())
                           ? _ ("The plan is no longer there: somebody has deleted it.")
                           : _ ("The background part of Keepsake is not running."));
      return;
    }
  self->is_saving = TRUE;
  self->keys_were_wrong = now != NULL && lacks_keys (now);
  set_busy (self, TRUE);
  if (now == NULL)
    {
      kp_setup_storage_store_async (self->storage, self->plan, stored_cb, g_object_ref (self));
      return;
    }
  g_autofree char *text = kp_plan_to_json (self->plan);
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  if (self->before != NULL)
    g_variant_dict_insert (&options, "before", "s", self->before);
  g_dbus_proxy_call (G_DBUS_PROXY (kp_plan_proxy_get_dbus (now)), "Update",
                     g_variant_new ("(s@a{sv})", text, g_variant_dict_end (&options)),
                     G_DBUS_CALL_FLAGS_NONE, -1, NULL, updated_cb, g_object_ref (self));
}

/* Whether the folders have places in the bucket that no different folder of another plan has. */
static gboolean
check_place (KpSetup *self)
{
  g_autoptr (KpPlan) plan = kp_plan_copy (self->plan);
  KpPlanProxy *now = kp_agent_client_find_plan (get_client (), kp_plan_get_id (plan));
  GListModel *others = kp_agent_client_get_plans (get_client ());

  kp_setup_folders_apply (self->folders, plan);
  kp_setup_storage_apply (self->storage, plan);
  for (guint i = 0; i < g_list_model_get_n_items (others); i++)
    {
      g_autoptr (KpPlanProxy) proxy = g_list_model_get_item (others, i);
      KpPlan *other = kp_plan_proxy_get_plan (proxy);

      if (other == NULL || g_str_equal (kp_plan_get_id (other), kp_plan_get_id (plan))
          || kp_plan_validate_beside (plan, now != NULL ? kp_plan_proxy_get_plan (now) : NULL,
                                      other, NULL))
        continue;
      /* Translators: %s is the name of a plan */
      g_autofree char *text = g_strdup_printf (
          _ ("“%s” already stores another folder under this name here, and each would replace what "
             "the other has stored. Enter another folder in the bucket."),
          kp_plan_get_name (other));
      kp_setup_storage_refuse_prefix (self->storage, text);
      return FALSE;
    }
  return TRUE;
}

static void
next_cb (KpSetup *self)
{
  switch (self->page)
    {
    case PAGE_FOLDERS:
      if (kp_setup_folders_check (self->folders))
        show_page (self, PAGE_STORAGE);
      break;
    case PAGE_STORAGE:
      if (!check_place (self))
        break;
      if (kp_setup_storage_is_tested (self->storage))
        show_page (self, PAGE_SCHEDULE);
      else
        {
          self->goes_on_after_test = TRUE;
          set_busy (self, TRUE);
          kp_setup_storage_test (self->storage);
        }
      break;
    case PAGE_SCHEDULE:
      if (kp_setup_schedule_check (self->schedule))
        show_page (self, PAGE_REVIEW);
      break;
    default:
      save (self);
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static void
kp_setup_dispose (GObject *object)
{
  KpSetup *self = KP_SETUP (object);

  /* An agent that answers has done by now what it was asked for. */
  if (self->keys_are_unsure && kp_application_get () != NULL
      && kp_agent_client_get_presence (get_client ()) == KP_AGENT_RUNNING
      && kp_agent_client_find_plan (get_client (), kp_plan_get_id (self->plan)) == NULL)
    forget_new_keys (self);
  g_clear_object (&self->proxy);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->before, g_free);
  G_OBJECT_CLASS (kp_setup_parent_class)->dispose (object);
}

static void
kp_setup_class_init (KpSetupClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_setup_dispose;
  g_type_ensure (KP_TYPE_SETUP_FOLDERS);
  g_type_ensure (KP_TYPE_SETUP_STORAGE);
  g_type_ensure (KP_TYPE_SETUP_SCHEDULE);
  g_type_ensure (KP_TYPE_SETUP_REVIEW);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/keepsake_backup/Keepsake/kp-setup.ui");
  gtk_widget_class_bind_template_child (widget_class, KpSetup, window_title);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, back_button);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, next_button);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, spinner);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, stack);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, folders);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, storage);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, schedule);
  gtk_widget_class_bind_template_child (widget_class, KpSetup, review);
  gtk_widget_class_bind_template_callback (widget_class, next_cb);
  gtk_widget_class_bind_template_callback (widget_class, measured_cb);
  gtk_widget_class_bind_template_callback (widget_class, tested_cb);
}

static void
kp_setup_init (KpSetup *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

/* What a new plan begins with. */
static void
fill_defaults (KpPlan *plan)
{
  GSettings *settings = kp_application_get_settings (kp_application_get ());
  guint64 limit = g_settings_get_uint64 (settings, "default-upload-limit");
  g_autoptr (KpSchedule) daily = kp_schedule_parse ("@daily 12:30", NULL);
  /* Not of the computer alone, which may have several users: each would have the others' files
   * below the same names, and delete them with a plan. */
  g_autofree char *place
      = g_strdelimit (g_strconcat (g_get_host_name (), "-", g_get_user_name (), NULL), "/ ", '-');

  kp_plan_set_schedule (plan, daily);
  kp_plan_set_prefix (plan, place);
  kp_plan_set_verify (plan, KP_PLAN_VERIFY_MONTHLY);
  kp_plan_set_metered (plan, g_settings_get_boolean (settings, "default-wait-metered")
                                 ? KP_PLAN_CONDITION_WAIT
                                 : KP_PLAN_CONDITION_RUN);
  kp_plan_set_battery (plan, g_settings_get_boolean (settings, "default-wait-battery")
                                 ? KP_PLAN_CONDITION_WAIT
                                 : KP_PLAN_CONDITION_RUN);
  if (limit > 0)
    {
      g_autofree char *rate = g_strdup_printf ("%" G_GUINT64_FORMAT, limit);
      kp_plan_set_upload_limit (plan, rate);
    }
}

/**
 * kp_setup_new:
 * @proxy: (nullable): the plan to change; %NULL for a new one
 */
GtkWidget *
kp_setup_new (KpPlanProxy *proxy)
{
  KpSetup *self = g_object_new (KP_TYPE_SETUP, NULL);
  KpPlan *old = proxy != NULL ? kp_plan_proxy_get_plan (proxy) : NULL;

  if (old != NULL)
    {
      self->proxy = g_object_ref (proxy);
      self->plan = kp_plan_copy (old);
      self->before = kp_plan_to_json (old);
      self->had_schedule = !is_manual (old);
    }
  else
    {
      self->plan = kp_plan_new ();
      fill_defaults (self->plan);
    }
  kp_setup_folders_load (self->folders, self->plan);
  kp_setup_storage_load (self->storage, self->plan, self->proxy != NULL);
  kp_setup_schedule_load (self->schedule, self->plan);
  show_page (self, PAGE_FOLDERS);
  return GTK_WIDGET (self);
}

/* Goes to where keys are entered. */
void
kp_setup_show_keys (KpSetup *self)
{
  show_page (self, PAGE_STORAGE);
  kp_setup_storage_focus_keys (self->storage);
}

/* To the step before; from the first one, out of here. What is being saved is waited for. */
void
kp_setup_go_back (KpSetup *self)
{
  if (self->is_saving)
    return;
  self->goes_on_after_test = FALSE;
  set_busy (self, FALSE);
  if (self->page == PAGE_FOLDERS)
    kp_window_go_back (kp_window_of (GTK_WIDGET (self)));
  else
    show_page (self, self->page - 1);
}

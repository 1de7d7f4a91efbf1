/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-overview.h"

#include "kp-banner.h"
#include "kp-details.h"
#include "kp-plan-card.h"
#include "kp-stack.h"
#include "kp-window.h"

#include <glib/gi18n.h>

#define SPINNER_DELAY_MS 500

struct _KpOverview
{
  AdwBin parent_instance;

  KpAgentClient *client;
  GtkFilterListModel *shown; /* without those that are being deleted */
  GtkWidget *new_button;
  GtkStack *stack;
  GtkSpinner *spinner;
  guint patience;
  GtkWidget *stopped_details;
  GtkListBox *list;
};

G_DEFINE_FINAL_TYPE (KpOverview, kp_overview, ADW_TYPE_BIN)

static const char *
find_page (KpOverview *self)
{
  GListModel *plans = G_LIST_MODEL (self->shown);

  switch (kp_agent_client_get_presence (self->client))
    {
    case KP_AGENT_STOPPED:
      return "stopped";
    case KP_AGENT_SILENT:
    case KP_AGENT_STARTING:
      return g_list_model_get_n_items (plans) > 0 ? "plans" : "starting";
    case KP_AGENT_RUNNING:
    default:
      return g_list_model_get_n_items (plans) > 0 ? "plans" : "empty";
    }
}

static gboolean
patience_cb (void *data)
{
  KpOverview *self = data;

  self->patience = 0;
  gtk_spinner_start (self->spinner);
  return G_SOURCE_REMOVE;
}

/* An answer usually comes at once: a spinner before it would only flicker, and every turn of it
 * costs time that the start needs. */
static void
show_spinner (KpOverview *self, gboolean is_shown)
{
  if (!is_shown)
    {
      g_clear_handle_id (&self->patience, g_source_remove);
      gtk_spinner_stop (self->spinner);
    }
  else if (self->patience == 0 && !gtk_spinner_get_spinning (self->spinner))
    self->patience = g_timeout_add (SPINNER_DELAY_MS, patience_cb, self);
}

static void
update (KpOverview *self)
{
  const char *page = find_page (self);
  gboolean is_running = kp_agent_client_get_manager (self->client) != NULL;

  kp_stack_show (self->stack, page);
  show_spinner (self, g_str_equal (page, "starting"));
  gtk_widget_set_visible (self->stopped_details, kp_agent_client_get_error (self->client) != NULL);
  gtk_widget_set_visible (self->new_button, is_running);
}

static void
start_clicked_cb (KpOverview *self)
{
  kp_agent_client_start (self->client);
}

static void
stopped_details_cb (KpOverview *self)
{
  const char *error = kp_agent_client_get_error (self->client);

  if (error != NULL)
    kp_details_show (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                     _ ("Backups Could Not Be Started"), error);
}

static void
row_activated_cb (KpOverview *self, GtkListBoxRow *row)
{
  kp_window_show_plan (kp_window_of (GTK_WIDGET (self)),
                       kp_plan_card_get_plan (KP_PLAN_CARD (row)));
}

static GtkWidget *
make_card (void *item, void *data)
{
  return kp_plan_card_new (item);
}

static gboolean
is_shown (void *item, void *data)
{
  KpWindow *window = kp_window_of (data);

  return window == NULL || !kp_window_is_being_deleted (window, item);
}

static void
kp_overview_dispose (GObject *object)
{
  KpOverview *self = KP_OVERVIEW (object);

  g_clear_handle_id (&self->patience, g_source_remove);
  if (self->client != NULL)
    g_signal_handlers_disconnect_by_data (self->client, self);
  g_clear_object (&self->client);
  g_clear_object (&self->shown);
  G_OBJECT_CLASS (kp_overview_parent_class)->dispose (object);
}

static void
kp_overview_class_init (KpOverviewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = kp_overview_dispose;
  g_type_ensure (KP_TYPE_BANNER);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-overview.ui");
  gtk_widget_class_bind_template_child (widget_class, KpOverview, new_button);
  gtk_widget_class_bind_template_child (widget_class, KpOverview, stack);
  gtk_widget_class_bind_template_child (widget_class, KpOverview, spinner);
  gtk_widget_class_bind_template_child (widget_class, KpOverview, stopped_details);
  gtk_widget_class_bind_template_child (widget_class, KpOverview, list);
  gtk_widget_class_bind_template_callback (widget_class, start_clicked_cb);
  gtk_widget_class_bind_template_callback (widget_class, stopped_details_cb);
  gtk_widget_class_bind_template_callback (widget_class, row_activated_cb);
}

static void
kp_overview_init (KpOverview *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

void
kp_overview_set_client (KpOverview *self, KpAgentClient *client)
{
  GtkCustomFilter *filter = gtk_custom_filter_new (is_shown, self, NULL);
  GListModel *plans = kp_agent_client_get_plans (client);

  self->client = g_object_ref (client);
  self->shown = gtk_filter_list_model_new (g_object_ref (plans), GTK_FILTER (filter));
  gtk_list_box_bind_model (self->list, G_LIST_MODEL (self->shown), make_card, NULL, NULL);
  g_signal_connect_swapped (client, "changed", G_CALLBACK (update), self);
  g_signal_connect_object (self->shown, "items-changed", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  update (self);
}

/* Looks again which plans are being deleted. */
void
kp_overview_refilter (KpOverview *self)
{
  gtk_filter_changed (gtk_filter_list_model_get_filter (self->shown), GTK_FILTER_CHANGE_DIFFERENT);
}

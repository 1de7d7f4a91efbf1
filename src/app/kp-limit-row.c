/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-limit-row.h"

#include "kp-words.h"

#include <glib/gi18n.h>
#include <math.h>

struct _KpLimitRow
{
  AdwPreferencesRow parent_instance;

  guint64 limit;
  gboolean is_setting;
  GtkLabel *rate_label;
  GtkSwitch *active_switch;
  GtkScale *scale;
  GtkAdjustment *adjustment;
};

enum
{
  PROP_0,
  PROP_LIMIT,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_FINAL_TYPE (KpLimitRow, kp_limit_row, ADW_TYPE_PREFERENCES_ROW)

/* The slider's exponent as a rate in steps that people would choose. */
static guint64
rate_of (double exponent)
{
  double rate = exp2 (exponent);
  double step = exp2 (floor (exponent) - 2);

  return (guint64) (round (rate / step) * step);
}

static void
show (KpLimitRow *self)
{
  g_autofree char *rate = kp_words_rate (self->limit);

  gtk_label_set_label (self->rate_label, self->limit > 0 ? rate : _ ("As fast as the line allows"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->scale), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT,
                                  rate, -1);
}

static void
take (KpLimitRow *self)
{
  guint64 limit = gtk_switch_get_active (self->active_switch)
                      ? rate_of (gtk_adjustment_get_value (self->adjustment))
                      : 0;

  if (self->is_setting || limit == self->limit)
    return;
  self->limit = limit;
  show (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LIMIT]);
}

static void
switched_cb (KpLimitRow *self)
{
  take (self);
}

static void
moved_cb (KpLimitRow *self)
{
  take (self);
}

static void
kp_limit_row_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  KpLimitRow *self = KP_LIMIT_ROW (object);

  switch (id)
    {
    case PROP_LIMIT:
      g_value_set_uint64 (value, self->limit);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
kp_limit_row_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  KpLimitRow *self = KP_LIMIT_ROW (object);

  switch (id)
    {
    case PROP_LIMIT:
      kp_limit_row_set_limit (self, g_value_get_uint64 (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
kp_limit_row_class_init (KpLimitRowClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = kp_limit_row_get_property;
  object_class->set_property = kp_limit_row_set_property;
  properties[PROP_LIMIT] = g_param_spec_uint64 ("limit", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-limit-row.ui");
  gtk_widget_class_bind_template_child (widget_class, KpLimitRow, rate_label);
  gtk_widget_class_bind_template_child (widget_class, KpLimitRow, active_switch);
  gtk_widget_class_bind_template_child (widget_class, KpLimitRow, scale);
  gtk_widget_class_bind_template_child (widget_class, KpLimitRow, adjustment);
  gtk_widget_class_bind_template_callback (widget_class, switched_cb);
  gtk_widget_class_bind_template_callback (widget_class, moved_cb);
}

static void
kp_limit_row_init (KpLimitRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  show (self);
}

guint64
kp_limit_row_get_limit (KpLimitRow *self)
{
  return self->limit;
}

/* Without telling anybody: whoever sets it knows it. */
void
kp_limit_row_set_limit (KpLimitRow *self, guint64 limit)
{
  self->is_setting = TRUE;
  self->limit = limit;
  gtk_switch_set_active (self->active_switch, limit > 0);
  if (limit > 0)
    gtk_adjustment_set_value (self->adjustment, log2 ((double) limit));
  self->is_setting = FALSE;
  show (self);
}

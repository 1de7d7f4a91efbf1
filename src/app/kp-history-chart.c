/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-history-chart.h"

#include "kp-words.h"

#include <glib/gi18n.h>
#include <math.h>

#define HEIGHT 72
#define MAX_BARS 60
#define MAX_BAR_WIDTH 18.0f
#define GAP 2.0f
#define MIN_BAR_HEIGHT 2.0f

typedef struct
{
  guint64 bytes;
  gboolean is_good;
} Bar;

struct _KpHistoryChart
{
  GtkWidget parent_instance;

  GArray *bars; /* of Bar, newest first */
};

G_DEFINE_FINAL_TYPE (KpHistoryChart, kp_history_chart, GTK_TYPE_WIDGET)

static guint64
find_largest (KpHistoryChart *self)
{
  guint64 largest = 0;

  for (guint i = 0; i < self->bars->len; i++)
    largest = MAX (largest, g_array_index (self->bars, Bar, i).bytes);
  return largest;
}

static void
look_up (GtkWidget *widget, const char *name, GdkRGBA *colour)
{
  if (!gtk_style_context_lookup_color (gtk_widget_get_style_context (widget), name, colour))
    gtk_style_context_get_color (gtk_widget_get_style_context (widget), colour);
}

static void
kp_history_chart_snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  KpHistoryChart *self = KP_HISTORY_CHART (widget);
  gboolean is_rtl = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;
  float width = (float) gtk_widget_get_width (widget);
  float height = (float) gtk_widget_get_height (widget);
  double largest = (double) find_largest (self);
  float step = MIN (MAX_BAR_WIDTH + GAP, width / (float) MAX (self->bars->len, 1));
  GdkRGBA good, bad, line;

  look_up (widget, "accent_bg_color", &good);
  look_up (widget, "error_bg_color", &bad);
  gtk_style_context_get_color (gtk_widget_get_style_context (widget), &line);
  line.alpha *= 0.15f;
  gtk_snapshot_append_color (snapshot, &line, &GRAPHENE_RECT_INIT (0, height - 1, width, 1));
  for (guint i = 0; i < self->bars->len; i++)
    {
      const Bar *bar = &g_array_index (self->bars, Bar, i);
      /* The root lets a day of 3 MiB be seen beside the first backup of 300 GiB. */
      double share = largest > 0 ? sqrt (sqrt ((double) bar->bytes / largest)) : 0;
      float bar_height = MAX (MIN_BAR_HEIGHT, (float) share * (height - 1));
      float offset = (float) (self->bars->len - 1 - i) * step;
      float left = is_rtl ? width - offset - step : offset;
      GskRoundedRect outline;

      gsk_rounded_rect_init_from_rect (
          &outline,
          &GRAPHENE_RECT_INIT (left, height - 1 - bar_height, MAX (step - GAP, 1), bar_height), 2);
      gtk_snapshot_push_rounded_clip (snapshot, &outline);
      gtk_snapshot_append_color (snapshot, bar->is_good ? &good : &bad, &outline.bounds);
      gtk_snapshot_pop (snapshot);
    }
}

static void
kp_history_chart_measure (GtkWidget *widget,
                          GtkOrientation orientation,
                          int for_size,
                          int *minimum,
                          int *natural,
                          int *minimum_baseline,
                          int *natural_baseline)
{
  *minimum = *natural = orientation == GTK_ORIENTATION_VERTICAL ? HEIGHT : 60;
}

static void
kp_history_chart_finalize (GObject *object)
{
  g_array_unref (KP_HISTORY_CHART (object)->bars);
  G_OBJECT_CLASS (kp_history_chart_parent_class)->finalize (object);
}

static void
kp_history_chart_class_init (KpHistoryChartClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = kp_history_chart_finalize;
  widget_class->snapshot = kp_history_chart_snapshot;
  widget_class->measure = kp_history_chart_measure;
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
}

static void
kp_history_chart_init (KpHistoryChart *self)
{
  self->bars = g_array_new (FALSE, FALSE, sizeof (Bar));
}

static void
tell (KpHistoryChart *self)
{
  g_autofree char *largest = kp_words_size (find_largest (self));
  g_autofree char *text = g_strdup_printf (
      /* Translators: %s is a size; for screen readers */
      ngettext ("Chart of what %u run sent; at most %s", "Chart of what %u runs sent; at most %s",
                self->bars->len),
      self->bars->len, largest);

  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, text, -1);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), text);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
kp_history_chart_clear (KpHistoryChart *self)
{
  g_array_set_size (self->bars, 0);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

/* To be called from the newest run to the oldest; more than fit are left out. */
void
kp_history_chart_prepend (KpHistoryChart *self, guint64 bytes, gboolean is_good)
{
  Bar bar = { bytes, is_good };

  if (self->bars->len == MAX_BARS)
    return;
  g_array_append_val (self->bars, bar);
  tell (self);
}

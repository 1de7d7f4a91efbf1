/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-setup-schedule.h"

#include "kp-limit-row.h"
#include "kp-size.h"
#include "kp-window.h"
#include "kp-words.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

/* As in the list of the .ui file. */
enum
{
  KIND_WATCH,
  KIND_HOURLY,
  KIND_DAILY,
  KIND_WEEKLY,
  KIND_MONTHLY,
  KIND_MANUAL,
  KIND_CRON,
};

static const char *const weekdays[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

struct _KpSetupSchedule
{
  AdwBin parent_instance;

  guint64 bytes;
  guint64 loaded_limit;
  char *watch; /* the schedule of a plan that waits for changes: how long, no row tells */
  AdwPreferencesRow *enabled_row;
  GtkSwitch *enabled_switch;
  AdwComboRow *kind_row;
  AdwComboRow *weekday_row;
  GtkWidget *day_row;
  GtkSpinButton *day_spin;
  GtkWidget *time_row;
  GtkSpinButton *hour_spin;
  GtkSpinButton *minute_spin;
  GtkEditable *cron_row;
  KpLimitRow *limit_row;
  AdwPreferencesRow *estimate_row;
  GtkSwitch *metered_switch;
  GtkSwitch *battery_switch;
  GtkSwitch *delete_switch;
  GtkSwitch *keep_switch;
  GtkSpinButton *keep_spin;
  AdwComboRow *verify_row;
};

G_DEFINE_FINAL_TYPE (KpSetupSchedule, kp_setup_schedule, ADW_TYPE_BIN)

static void
kind_cb (KpSetupSchedule *self)
{
  guint kind = adw_combo_row_get_selected (self->kind_row);

  gtk_widget_set_visible (GTK_WIDGET (self->weekday_row), kind == KIND_WEEKLY);
  gtk_widget_set_visible (self->day_row, kind == KIND_MONTHLY);
  gtk_widget_set_visible (self->time_row,
                          kind == KIND_DAILY || kind == KIND_WEEKLY || kind == KIND_MONTHLY);
  gtk_widget_set_visible (GTK_WIDGET (self->cron_row), kind == KIND_CRON);
}

static gboolean
two_digits_cb (GtkSpinButton *button)
{
  g_autofree char *text = g_strdup_printf (
      "%02d", (int) gtk_adjustment_get_value (gtk_spin_button_get_adjustment (button)));

  gtk_editable_set_text (GTK_EDITABLE (button), text);
  return TRUE;
}

static void
show_estimate (KpSetupSchedule *self)
{
  g_autofree char *text = kp_words_estimate (self->bytes, kp_limit_row_get_limit (self->limit_row));

  gtk_widget_set_visible (GTK_WIDGET (self->estimate_row), self->bytes > 0);
  adw_preferences_row_set_title (self->estimate_row, text);
}

static void
limit_cb (KpSetupSchedule *self)
{
  show_estimate (self);
}

static char *
make_schedule (KpSetupSchedule *self)
{
  /* What was typed, and not left yet. */
  gtk_spin_button_update (self->hour_spin);
  gtk_spin_button_update (self->minute_spin);
  gtk_spin_button_update (self->day_spin);
  int hour = gtk_spin_button_get_value_as_int (self->hour_spin);
  int minute = gtk_spin_button_get_value_as_int (self->minute_spin);

  switch (adw_combo_row_get_selected (self->kind_row))
    {
    case KIND_WATCH:
      return g_strdup (self->watch != NULL ? self->watch : "@watch");
    case KIND_HOURLY:
      return g_strdup ("@hourly");
    case KIND_WEEKLY:
      return g_strdup_printf ("@weekly %s %02d:%02d",
                              weekdays[adw_combo_row_get_selected (self->weekday_row)], hour,
                              minute);
    case KIND_MONTHLY:
      return g_strdup_printf ("@monthly %d %02d:%02d",
                              gtk_spin_button_get_value_as_int (self->day_spin), hour, minute);
    case KIND_MANUAL:
      return g_strdup ("manual");
    case KIND_CRON:
      return g_strstrip (g_strdup (gtk_editable_get_text (self->cron_row)));
    case KIND_DAILY:
    default:
      return g_strdup_printf ("@daily %02d:%02d", hour, minute);
    }
}

static void
mark_cron (KpSetupSchedule *self, gboolean is_wrong)
{
  if (is_wrong)
    gtk_widget_add_css_class (GTK_WIDGET (self->cron_row), "error");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self->cron_row), "error");
  gtk_accessible_update_state (
      GTK_ACCESSIBLE (self->cron_row), GTK_ACCESSIBLE_STATE_INVALID,
      is_wrong ? GTK_ACCESSIBLE_INVALID_TRUE : GTK_ACCESSIBLE_INVALID_FALSE, -1);
}

static void
cron_cb (KpSetupSchedule *self)
{
  g_autofree char *text = make_schedule (self);
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, NULL);

  mark_cron (self, schedule == NULL && *text != '\0');
}

static double
number_of (const char *text)
{
  return (double) g_ascii_strtoull (text, NULL, 10);
}

static void
load_words (KpSetupSchedule *self, const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);

  for (char **word = words + (words[0] != NULL); *word != NULL; word++)
    {
      const char *colon = strchr (*word, ':');
      if (colon != NULL)
        {
          gtk_spin_button_set_value (self->hour_spin, number_of (*word));
          gtk_spin_button_set_value (self->minute_spin, number_of (colon + 1));
        }
      else if (g_ascii_isdigit (**word))
        gtk_spin_button_set_value (self->day_spin, number_of (*word));
      else
        for (guint i = 0; i < G_N_ELEMENTS (weekdays); i++)
          if (g_ascii_strncasecmp (*word, weekdays[i], 3) == 0)
            adw_combo_row_set_selected (self->weekday_row, i);
    }
}

static guint
find_kind (KpSchedule *schedule)
{
  switch (kp_schedule_get_kind (schedule))
    {
    case KP_SCHEDULE_WATCH:
      return KIND_WATCH;
    case KP_SCHEDULE_HOURLY:
      return KIND_HOURLY;
    case KP_SCHEDULE_WEEKLY:
      return KIND_WEEKLY;
    case KP_SCHEDULE_MONTHLY:
      return KIND_MONTHLY;
    case KP_SCHEDULE_MANUAL:
      return KIND_MANUAL;
    case KP_SCHEDULE_CRON:
      return KIND_CRON;
    case KP_SCHEDULE_DAILY:
    default:
      return KIND_DAILY;
    }
}

static void
kp_setup_schedule_finalize (GObject *object)
{
  g_free (KP_SETUP_SCHEDULE (object)->watch);
  G_OBJECT_CLASS (kp_setup_schedule_parent_class)->finalize (object);
}

static void
kp_setup_schedule_class_init (KpSetupScheduleClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = kp_setup_schedule_finalize;
  g_type_ensure (KP_TYPE_LIMIT_ROW);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/keepsake_backup/Keepsake/kp-setup-schedule.ui");
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, enabled_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, enabled_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, kind_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, weekday_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, day_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, day_spin);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, time_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, hour_spin);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, minute_spin);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, cron_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, limit_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, estimate_row);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, metered_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, battery_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, delete_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, keep_switch);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, keep_spin);
  gtk_widget_class_bind_template_child (widget_class, KpSetupSchedule, verify_row);
  gtk_widget_class_bind_template_callback (widget_class, kind_cb);
  gtk_widget_class_bind_template_callback (widget_class, two_digits_cb);
  gtk_widget_class_bind_template_callback (widget_class, cron_cb);
  gtk_widget_class_bind_template_callback (widget_class, limit_cb);
}

static void
kp_setup_schedule_init (KpSetupSchedule *self)
{
  g_autoptr (GtkStringList) days = gtk_string_list_new (NULL);

  gtk_widget_init_template (GTK_WIDGET (self));
  for (int i = 0; i < 7; i++)
    {
      /* 1 January 2024 was a Monday. */
      g_autoptr (GDateTime) date = g_date_time_new_utc (2024, 1, 1 + i, 0, 0, 0);
      g_autofree char *name = g_date_time_format (date, "%A");
      gtk_string_list_append (days, name);
    }
  adw_combo_row_set_model (self->weekday_row, G_LIST_MODEL (days));
  kind_cb (self);
  show_estimate (self);
}

/* Who has never deleted anything so far is offered to keep it first. */
static void
load_delete (KpSetupSchedule *self, KpPlan *plan)
{
  KpPlanDelete delete = kp_plan_get_delete (plan);

  gtk_switch_set_active (self->delete_switch, delete != KP_PLAN_DELETE_NEVER);
  gtk_switch_set_active (self->keep_switch, delete != KP_PLAN_DELETE_MIRROR);
  gtk_spin_button_set_value (self->keep_spin, kp_plan_get_keep_days (plan));
}

static void
apply_delete (KpSetupSchedule *self, KpPlan *plan)
{
  gboolean keeps = gtk_switch_get_active (self->keep_switch);

  if (!gtk_switch_get_active (self->delete_switch))
    kp_plan_set_delete (plan, KP_PLAN_DELETE_NEVER);
  else
    kp_plan_set_delete (plan, keeps ? KP_PLAN_DELETE_KEEP : KP_PLAN_DELETE_MIRROR);
  if (kp_plan_get_delete (plan) != KP_PLAN_DELETE_KEEP)
    return;
  /* What was typed, and not left yet. */
  gtk_spin_button_update (self->keep_spin);
  kp_plan_set_keep_days (plan, (unsigned) gtk_spin_button_get_value_as_int (self->keep_spin));
}

/* Whether one can go on; says what is wrong otherwise. */
gboolean
kp_setup_schedule_check (KpSetupSchedule *self)
{
  g_autofree char *text = make_schedule (self);
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, NULL);

  if (schedule != NULL)
    return TRUE;
  mark_cron (self, TRUE);
  gtk_widget_grab_focus (GTK_WIDGET (self->cron_row));
  kp_window_toast (kp_window_of (GTK_WIDGET (self)),
                   _ ("This is not a timetable. Write five fields, as in “30 12 * * *”."));
  return FALSE;
}

void
kp_setup_schedule_load (KpSetupSchedule *self, KpPlan *plan)
{
  KpSchedule *schedule = kp_plan_get_schedule (plan);
  const char *limit = kp_plan_get_upload_limit (plan);
  guint kind = find_kind (schedule);
  guint64 rate = 0;

  adw_combo_row_set_selected (self->kind_row, kind);
  if (kind == KIND_CRON)
    gtk_editable_set_text (self->cron_row, kp_schedule_to_string (schedule));
  else if (kind != KIND_WATCH)
    load_words (self, kp_schedule_to_string (schedule));
  g_free (self->watch);
  self->watch = kind == KIND_WATCH ? g_strdup (kp_schedule_to_string (schedule)) : NULL;
  gtk_switch_set_active (self->enabled_switch, kp_plan_get_enabled (plan));
  gtk_widget_set_visible (GTK_WIDGET (self->enabled_row), !kp_plan_get_enabled (plan));
  kind_cb (self);
  if (*limit != '\0' && !kp_rate_parse (limit, &rate, NULL))
    rate = 0;
  self->loaded_limit = rate;
  kp_limit_row_set_limit (self->limit_row, rate);
  gtk_switch_set_active (self->metered_switch,
                         kp_plan_get_metered (plan) == KP_PLAN_CONDITION_WAIT);
  gtk_switch_set_active (self->battery_switch,
                         kp_plan_get_battery (plan) == KP_PLAN_CONDITION_WAIT);
  load_delete (self, plan);
  adw_combo_row_set_selected (self->verify_row, (guint) kp_plan_get_verify (plan));
}

void
kp_setup_schedule_apply (KpSetupSchedule *self, KpPlan *plan)
{
  guint64 limit = kp_limit_row_get_limit (self->limit_row);
  g_autofree char *text = make_schedule (self);
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, NULL);

  if (schedule != NULL)
    kp_plan_set_schedule (plan, schedule);
  kp_plan_set_enabled (plan, gtk_switch_get_active (self->enabled_switch));
  if (limit != self->loaded_limit)
    {
      g_autofree char *rate
          = limit > 0 ? g_strdup_printf ("%" G_GUINT64_FORMAT, limit) : g_strdup ("off");
      if (limit > 0 && limit % 1024 == 0)
        {
          g_free (rate);
          rate = g_strdup_printf ("%" G_GUINT64_FORMAT "K", limit / 1024);
        }
      kp_plan_set_upload_limit (plan, rate);
    }
  kp_plan_set_metered (plan, gtk_switch_get_active (self->metered_switch) ? KP_PLAN_CONDITION_WAIT
                                                                          : KP_PLAN_CONDITION_RUN);
  kp_plan_set_battery (plan, gtk_switch_get_active (self->battery_switch) ? KP_PLAN_CONDITION_WAIT
                                                                          : KP_PLAN_CONDITION_RUN);
  apply_delete (self, plan);
  kp_plan_set_verify (plan, (KpPlanVerify) adw_combo_row_get_selected (self->verify_row));
}

/* @bytes: that the first backup has to send; 0 while nobody knows */
void
kp_setup_schedule_set_bytes (KpSetupSchedule *self, guint64 bytes)
{
  self->bytes = bytes;
  show_estimate (self);
}

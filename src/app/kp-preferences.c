#include "kp-preferences.h"
struct _KpPreferences
{
  AdwPreferencesWindow parent_instance;
  KpPlanProxy *plan;
};
G_DEFINE_FINAL_TYPE (KpPreferences, kp_preferences, ADW_TYPE_PREFERENCES_WINDOW)
static void
kp_preferences_class_init (KpPreferencesClass *k)
{
}
static void
kp_preferences_init (KpPreferences *s)
{
}
KpPreferences *
kp_preferences_new (KpApplication *a)
{
  return g_object_new (KP_TYPE_PREFERENCES, NULL);
}

#include "kp-restore-page.h"
struct _KpRestorePage
{
  AdwBin parent_instance;
  KpPlanProxy *plan;
};
G_DEFINE_FINAL_TYPE (KpRestorePage, kp_restore_page, ADW_TYPE_BIN)
static void
kp_restore_page_class_init (KpRestorePageClass *k)
{
}
static void
kp_restore_page_init (KpRestorePage *s)
{
}
GtkWidget *
kp_restore_page_new (KpPlanProxy *p)
{
  return g_object_new (KP_TYPE_RESTORE_PAGE, NULL);
}
KpPlanProxy *
kp_restore_page_get_plan (KpRestorePage *s)
{
  return s->plan;
}

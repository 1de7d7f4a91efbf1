#include "kp-setup.h"
struct _KpSetup { AdwBin parent_instance; KpPlanProxy *plan; };
G_DEFINE_FINAL_TYPE (KpSetup, kp_setup, ADW_TYPE_BIN)
static void kp_setup_class_init (KpSetupClass *k) {}
static void kp_setup_init (KpSetup *s) {}
GtkWidget *kp_setup_new (KpPlanProxy *p) { return g_object_new (KP_TYPE_SETUP, NULL); } void kp_setup_show_keys (KpSetup *s) {}

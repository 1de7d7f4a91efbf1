/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-application.h"
#include "kp-dbus.h"
#include "kp-process.h"

#include <glib/gi18n.h>
#include <locale.h>

/* Tests look at translations before anything is installed. */
static const char *
find_locale_dir (void)
{
#ifdef KP_FAULT_INJECTION
  const char *of_test = g_getenv ("KEEPSAKE_TEST_LOCALE_DIR");

  if (of_test != NULL)
    return of_test;
#endif
  return KP_LOCALE_DIR;
}

int
main (int argc, char **argv)
{
  g_autoptr (KpApplication) application = NULL;

  kp_process_prepare ();
  if (setlocale (LC_ALL, "") == NULL)
    g_debug ("The locale is not installed");
  bindtextdomain (GETTEXT_PACKAGE, find_locale_dir ());
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_set_application_name ("Keepsake");
  kp_dbus_register_errors ();

  application = kp_application_new ();
  return g_application_run (G_APPLICATION (application), argc, argv);
}

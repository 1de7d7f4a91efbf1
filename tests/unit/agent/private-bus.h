/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A bus of a test's own, with a connection for what is tested and one for what the test pretends to
 * be. Both live in this thread, so nothing may wait for an answer but by wait_for(). */

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  GTestDBus *daemon;
  GDBusConnection *ours;
  GDBusConnection *theirs;
} PrivateBus;

void private_bus_up (PrivateBus *bus);
void private_bus_down (PrivateBus *bus);
GDBusConnection *private_bus_connect (PrivateBus *bus);

void private_bus_own (GDBusConnection *connection, const char *name);
void private_bus_disown (GDBusConnection *connection, const char *name);
GVariant *private_bus_call (GDBusConnection *connection,
                            const char *name,
                            const char *path,
                            const char *interface,
                            const char *method,
                            GVariant *parameters,
                            GError **error);
GVariant *private_bus_get (GDBusConnection *connection,
                           const char *name,
                           const char *path,
                           const char *interface,
                           const char *property);
guint private_bus_export (GDBusConnection *connection,
                          const char *path,
                          const char *xml,
                          GDBusInterfaceMethodCallFunc method_cb,
                          void *user_data);
void private_bus_settle (PrivateBus *bus);

void wait_once (gint64 deadline, const char *what);
gint64 wait_deadline (void);

/* Runs the main loop until @condition is true. */
#define wait_for(condition)                                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 wait_deadline_ = wait_deadline ();                                                      \
    while (!(condition))                                                                           \
      wait_once (wait_deadline_, #condition);                                                      \
  }                                                                                                \
  G_STMT_END

G_END_DECLS

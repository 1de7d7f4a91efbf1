/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Keys that were stored for a test, or for a plan that did not come to be, leave the keyring again:
 * in a thread, as the keyring may take its time, and not before they have come to it. */

#include <glib.h>

G_BEGIN_DECLS

void kp_test_keys_run (GThreadFunc func, void *data);
void kp_test_keys_forget (const char *id);
void kp_test_keys_wait (void);

G_END_DECLS

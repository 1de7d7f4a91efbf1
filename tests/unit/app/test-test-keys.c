/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-test-keys.h"

static GMutex lock;
static GCond changed;
static GString *done; /* guarded by lock */

/* As slow as a keyring that asks somebody: whoever is not made to wait goes first. */
static void *
store_main (void *data)
{
  gint64 patience = g_get_monotonic_time () + G_USEC_PER_SEC / 2;

  g_mutex_lock (&lock);
  while (done->len == 0 && g_cond_wait_until (&changed, &lock, patience))
    ;
  g_string_append (done, "store ");
  g_mutex_unlock (&lock);
  return NULL;
}

static void *
clear_main (void *data)
{
  g_mutex_lock (&lock);
  g_string_append (done, "clear ");
  g_cond_signal (&changed);
  g_mutex_unlock (&lock);
  return NULL;
}

static void
test_order (void)
{
  done = g_string_new (NULL);
  kp_test_keys_run (store_main, NULL);
  kp_test_keys_run (clear_main, NULL);
  kp_test_keys_wait ();
  g_assert_cmpstr (done->str, ==, "store clear ");
  g_string_free (done, TRUE);
  kp_test_keys_wait ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/test-keys/order", test_order);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-test-keys.h"

#include "kp-keyring.h"

static GPtrArray *threads; /* of GThread: those that were begun; of the main thread alone */

static void *
forget_main (void *data)
{
  g_autofree char *id = data;
  g_autoptr (GError) error = NULL;

  if (!kp_keyring_clear (id, NULL, &error))
    g_message ("Keys of a plan that does not exist: %s", error->message);
  return NULL;
}

/**
 * kp_test_keys_forget:
 * @id: that they are stored under
 */
void
kp_test_keys_forget (const char *id)
{
  if (threads == NULL)
    threads = g_ptr_array_new ();
  g_ptr_array_add (threads, g_thread_new ("keepsake-keyring", forget_main, g_strdup (id)));
}

/* For the end of the process, which would end the threads too. */
void
kp_test_keys_wait (void)
{
  for (guint i = 0; threads != NULL && i < threads->len; i++)
    g_thread_join (threads->pdata[i]);
  g_clear_pointer (&threads, g_ptr_array_unref);
}

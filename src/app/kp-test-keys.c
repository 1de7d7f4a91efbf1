/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "config.h"

#include "kp-test-keys.h"

#include "kp-keyring.h"

/* What is done to the keyring, one after the other and in the order in which it was asked for: keys
 * that are forgotten while they are still being stored would stay otherwise. */
static GThreadPool *thread; /* of one thread; of the main thread alone */

typedef struct
{
  GThreadFunc func;
  void *data;
} Deed;

static void
deed_cb (void *data, void *unused)
{
  g_autofree Deed *deed = data;

  deed->func (deed->data);
}

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
 * kp_test_keys_run:
 * @func: called in a thread, when all that was asked for before is done
 * @data: is given to @func
 */
void
kp_test_keys_run (GThreadFunc func, void *data)
{
  g_autofree Deed *deed = g_new0 (Deed, 1);

  if (thread == NULL)
    thread = g_thread_pool_new (deed_cb, NULL, 1, TRUE, NULL);
  deed->func = func;
  deed->data = data;
  g_thread_pool_push (thread, g_steal_pointer (&deed), NULL);
}

/**
 * kp_test_keys_forget:
 * @id: that they are stored under
 */
void
kp_test_keys_forget (const char *id)
{
  kp_test_keys_run (forget_main, g_strdup (id));
}

/* For the end of the process, which would end the thread too. */
void
kp_test_keys_wait (void)
{
  if (thread != NULL)
    g_thread_pool_free (g_steal_pointer (&thread), FALSE, TRUE);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-budget.h"

/* How soon a waiting thread hears that it is cancelled, in microseconds. */
#define LOOK_AGAIN (100 * G_TIME_SPAN_MILLISECOND)

struct _KpBudget
{
  guint64 size;
  GMutex lock; /* guards what follows */
  GCond cond;
  guint64 left;
  GQueue waiting; /* threads in the order in which they came, each by an address of its own */
};

KpBudget *
kp_budget_new (guint64 bytes)
{
  KpBudget *budget = g_new0 (KpBudget, 1);

  budget->size = bytes;
  budget->left = bytes;
  g_mutex_init (&budget->lock);
  g_cond_init (&budget->cond);
  return budget;
}

void
kp_budget_free (KpBudget *budget)
{
  g_mutex_clear (&budget->lock);
  g_cond_clear (&budget->cond);
  g_free (budget);
}

/**
 * kp_budget_take:
 * @bytes: what is going to be held; what exceeds the whole budget gets all of it, alone
 * @error: %G_IO_ERROR_CANCELLED; then nothing is taken
 *
 * Waits until there is room, behind those who came before. Whoever has taken some must not take
 * more.
 */
gboolean
kp_budget_take (KpBudget *budget, guint64 bytes, GCancellable *cancellable, GError **error)
{
  guint64 wanted = MIN (bytes, budget->size);
  GList place = { .data = &wanted };

  g_mutex_lock (&budget->lock);
  g_queue_push_tail_link (&budget->waiting, &place);
  while ((budget->left < wanted || budget->waiting.head != &place)
         && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&budget->cond, &budget->lock, g_get_monotonic_time () + LOOK_AGAIN);
  g_queue_unlink (&budget->waiting, &place);
  gboolean ok = !g_cancellable_set_error_if_cancelled (cancellable, error);
  if (ok)
    budget->left -= wanted;
  /* There may be room for the next one, too. Waking nobody costs a system call all the same. */
  if (budget->waiting.length > 0)
    g_cond_broadcast (&budget->cond);
  g_mutex_unlock (&budget->lock);
  return ok;
}

/**
 * kp_budget_give_back:
 * @bytes: as they were taken
 */
void
kp_budget_give_back (KpBudget *budget, guint64 bytes)
{
  g_mutex_lock (&budget->lock);
  budget->left += MIN (bytes, budget->size);
  if (budget->waiting.length > 0)
    g_cond_broadcast (&budget->cond);
  g_mutex_unlock (&budget->lock);
}

/**
 * kp_budget_get_waiting:
 *
 * Returns: how many threads wait in kp_budget_take() at this moment
 */
unsigned
kp_budget_get_waiting (KpBudget *budget)
{
  g_mutex_lock (&budget->lock);
  unsigned waiting = budget->waiting.length;
  g_mutex_unlock (&budget->lock);
  return waiting;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-budget.h"

/* How long to look whether something happens that must not, in microseconds. */
#define A_WHILE (50 * G_TIME_SPAN_MILLISECOND)
#define LIMIT (30 * G_TIME_SPAN_SECOND)

typedef struct
{
  KpBudget *budget;
  GCancellable *cancellable;
  guint64 bytes;
  int has_it;
} Taker;

static void *
take_main (void *data)
{
  Taker *taker = data;
  g_autoptr (GError) error = NULL;

  if (kp_budget_take (taker->budget, taker->bytes, taker->cancellable, &error))
    g_atomic_int_set (&taker->has_it, 1);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  return NULL;
}

static gboolean
comes_to_wait (KpBudget *budget, unsigned n, gint64 limit)
{
  gint64 end = g_get_monotonic_time () + limit;

  while (kp_budget_get_waiting (budget) != n && g_get_monotonic_time () < end)
    g_usleep (1000);
  return kp_budget_get_waiting (budget) == n;
}

static GThread *
start (Taker *taker, unsigned n_waiting)
{
  GThread *thread = g_thread_new ("taker", take_main, taker);

  g_assert_true (comes_to_wait (taker->budget, n_waiting, LIMIT));
  return thread;
}

/* Who wants little does not overtake who wants much: that one might wait for ever. */
static void
test_in_order (void)
{
  KpBudget *budget = kp_budget_new (10);
  Taker large = { .budget = budget, .bytes = 12 };
  Taker small = { .budget = budget, .bytes = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_budget_take (budget, 10, NULL, &error));
  GThread *first = start (&large, 1);
  GThread *second = start (&small, 2);
  kp_budget_give_back (budget, 5);
  g_assert_false (comes_to_wait (budget, 1, A_WHILE));
  kp_budget_give_back (budget, 5);
  g_thread_join (first);
  g_assert_true (large.has_it);
  g_assert_true (comes_to_wait (budget, 1, LIMIT));
  kp_budget_give_back (budget, 12);
  g_thread_join (second);
  g_assert_true (small.has_it);
  kp_budget_free (budget);
}

/* Who is cancelled makes room for those behind. */
static void
test_cancelled (void)
{
  KpBudget *budget = kp_budget_new (10);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Taker large = { .budget = budget, .bytes = 10, .cancellable = cancellable };
  Taker small = { .budget = budget, .bytes = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_true (kp_budget_take (budget, 9, NULL, &error));
  GThread *first = start (&large, 1);
  GThread *second = start (&small, 2);
  g_cancellable_cancel (cancellable);
  g_thread_join (first);
  g_assert_false (large.has_it);
  g_thread_join (second);
  g_assert_true (small.has_it);
  kp_budget_free (budget);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mirror/budget/in-order", test_in_order);
  g_test_add_func ("/mirror/budget/cancelled", test_cancelled);
  return g_test_run ();
}

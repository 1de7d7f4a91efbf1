/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-cancel.h"

static void
cancelled_cb (GCancellable *theirs, GCancellable *ours)
{
  g_cancellable_cancel (ours);
}

/**
 * kp_cancel_follow:
 * @ours: cancelled from now on when @theirs is, or at once; must live until the disconnection
 * @theirs: (nullable): the caller's
 *
 * Returns: what ends it, with g_cancellable_disconnect() of @theirs, which takes %NULL and 0, too
 */
gulong
kp_cancel_follow (GCancellable *ours, GCancellable *theirs)
{
  return theirs != NULL ? g_cancellable_connect (theirs, G_CALLBACK (cancelled_cb), ours, NULL) : 0;
}

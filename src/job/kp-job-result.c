/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-job"

/* What came of a job, in words: for the history, and for whoever asks. */

#include "kp-job-private.h"

#include "kp-error.h"
#include "kp-name.h"

/* Files that the end of a verification names; the others are in the list of failures. */
#define MAX_NAMED 3

/* Whether a verification found damage, and not only what could not be read. */
static gboolean
has_mismatch (KpJob *self)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return self->n_mismatches > 0;
}

/* The first files that a verification found something wrong with. */
static char *
describe_mismatches (KpJob *self)
{
  guint64 n = self->result.counts.failed;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  guint named = MIN (self->failures->len, MAX_NAMED);

  g_string_printf (text,
                   n == 1 ? "%" G_GUINT64_FORMAT " file could not be proved"
                          : "%" G_GUINT64_FORMAT " files could not be proved",
                   n);
  for (guint i = 0; i < named; i++)
    {
      const KpHistoryFailure *failure = g_ptr_array_index (self->failures, i);
      g_autofree char *name = kp_name_display (failure->path);
      g_string_append_printf (text, "%s“%s”", i == 0 ? ": " : ", ", name);
    }
  if (named > 0 && n > named)
    g_string_append_printf (text, " and %" G_GUINT64_FORMAT " more", n - named);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static char *
describe_early_end (KpJob *self, const char **reason)
{
  const KpHistoryCounts *counts = &self->result.counts;
  gboolean is_erase = self->kind == KP_HISTORY_ERASE;
  const char *sentence;

  *reason
      = self->result.error->domain == KP_ERROR ? kp_error_name (self->result.error->code) : NULL;
  if (*reason != NULL)
    sentence = self->result.error->message;
  else if (self->made_way && !is_erase)
    {
      *reason = KP_JOB_REASON_MADE_WAY;
      sentence = "Interrupted while it waited; the next job goes on from there";
    }
  else if (self->interrupted && !is_erase)
    sentence = "Interrupted when its process was ended; the next job goes on from there";
  else if (self->interrupted)
    sentence = "Interrupted when its process was ended";
  else
    sentence = "Stopped before its end";
  /* No job goes on with a deletion by itself. */
  if (!is_erase || counts->deleted + counts->unchanged == 0)
    return g_strdup (sentence);
  return g_strdup_printf ("%s. Of %" G_GUINT64_FORMAT " objects, %" G_GUINT64_FORMAT
                          " were deleted",
                          sentence, counts->deleted + counts->unchanged, counts->deleted);
}

/**
 * kp_job_describe_result:
 * @reason: (out) (nullable): name of an error, for scripts
 *
 * To be called when the job's thread has done its work.
 *
 * Returns: (transfer full) (nullable): what did not go well, as a sentence
 */
char *
kp_job_describe_result (KpJob *self, const char **reason)
{
  const KpJobResult *result = &self->result;

  *reason = NULL;
  if (result->error != NULL)
    return describe_early_end (self, reason);
  if (result->guard_reason != NULL)
    {
      /* Of the two, what nobody can answer: see kp_history_is_mended(). */
      *reason
          = kp_error_name (result->still_damaged > 0 ? KP_ERROR_CORRUPT : KP_ERROR_DELETE_GUARD);
      return g_strdup_printf ("Nothing was deleted (%" G_GUINT64_FORMAT
                              " objects have no file any more): %s",
                              result->deletions_held, result->guard_reason);
    }
  if (result->counts.failed > 0 && self->kind == KP_HISTORY_VERIFY)
    {
      *reason = kp_error_name (has_mismatch (self) ? KP_ERROR_CORRUPT : KP_ERROR_FAILED);
      return describe_mismatches (self);
    }
  if (result->requested > 0 && result->requested == result->counts.failed)
    {
      *reason = kp_error_name (KP_ERROR_ARCHIVED);
      return g_strdup_printf ("%" G_GUINT64_FORMAT " files lie in an archive and were asked for: "
                              "that takes %s. Restore again then",
                              result->requested,
                              kp_s3_tier_describe_wait (self->restore_options.retrieve));
    }
  if (result->counts.failed > 0)
    {
      *reason = kp_error_name (KP_ERROR_FAILED);
      return g_strdup_printf (self->kind == KP_HISTORY_ERASE ? "%" G_GUINT64_FORMAT
                                                               " objects could not be deleted"
                                                             : "%" G_GUINT64_FORMAT " files failed",
                              result->counts.failed);
    }
  /* For who asks whether what a verification has found is mended. The backup itself went well. */
  if (result->still_damaged > 0)
    *reason = kp_error_name (KP_ERROR_CORRUPT);
  return NULL;
}

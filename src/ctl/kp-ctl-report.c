/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* What "mirror" and "run" both say at their end. */

#include "kp-ctl.h"
#include "kp-size.h"

KpExit
kp_ctl_backup_exit_code (const KpMirrorResult *result)
{
  if (result->guard_reason != NULL)
    return KP_EXIT_GUARD;
  return result->failed > 0 ? KP_EXIT_INCOMPLETE : KP_EXIT_DONE;
}

/**
 * kp_ctl_report_backup:
 *
 * Says what was done, or would be.
 */
void
kp_ctl_report_backup (KpCtlOutput *output, const KpMirrorResult *result, gboolean dry_run)
{
  g_autofree char *bytes = kp_size_format (result->bytes_sent);

  if (kp_ctl_output_is_json (output))
    {
      kp_ctl_output_json (
          output, "result", "exit_code", "u", (guint64) kp_ctl_backup_exit_code (result), "dry_run",
          "b", dry_run, "put", "u", result->put, "delta", "u", result->delta, "copied", "u",
          result->copied, "metadata", "u", result->metadata, "deleted", "u", result->deleted,
          "kept", "u", result->kept, "swept", "u", result->swept, "unchanged", "u",
          result->unchanged, "failed", "u", result->failed, "bytes_sent", "u", result->bytes_sent,
          "bytes_saved", "u", result->bytes_saved, "deletions_held", "u", result->deletions_held,
          "guard_reason", "s", result->guard_reason, NULL);
      return;
    }

  kp_ctl_output_line (output,
                      "%s %" G_GUINT64_FORMAT " sent (%s), %" G_GUINT64_FORMAT
                      " copied by the server, %" G_GUINT64_FORMAT " deleted, %" G_GUINT64_FORMAT
                      " unchanged, %" G_GUINT64_FORMAT " failed",
                      dry_run ? "Would be:" : "Done:", result->put + result->delta, bytes,
                      result->metadata + result->copied, result->deleted, result->unchanged,
                      result->failed);
  if (result->kept > 0)
    kp_ctl_output_line (output, "%s %" G_GUINT64_FORMAT " deleted or replaced objects for a while",
                        dry_run ? "Would keep" : "Kept", result->kept);
  if (result->swept > 0)
    kp_ctl_output_line (output, "Deleted %" G_GUINT64_FORMAT " kept objects whose time was over",
                        result->swept);
  if (result->bytes_saved > 0)
    {
      g_autofree char *total = kp_size_format (result->bytes_sent + result->bytes_saved);
      kp_ctl_output_line (output, "Sent %s for %s of changed files", bytes, total);
    }
}

/**
 * kp_ctl_report_guard:
 *
 * Says what was not deleted, and why.
 */
void
kp_ctl_report_guard (KpCtlOutput *output, const KpMirrorResult *result)
{
  if (result->guard_reason != NULL && !kp_ctl_output_is_json (output))
    kp_ctl_output_error_line (output,
                              "keepsakectl: Nothing was deleted (%" G_GUINT64_FORMAT
                              " objects have no file any more): %s.",
                              result->deletions_held, result->guard_reason);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the commands of keepsakectl share: options that name a destination, output, and running a
 * job in a thread while signals are heard. Each command is one file and one function. */

#include "kp-filter.h"
#include "kp-mirror.h"
#include "kp-report.h"

G_BEGIN_DECLS

/* Exit codes; part of the interface, see keepsakectl(1). */
typedef enum
{
  KP_EXIT_DONE = 0,
  KP_EXIT_USAGE = 1, /* also: something of this computer, as a full disk */
  KP_EXIT_INCOMPLETE = 2,
  KP_EXIT_GUARD = 3,
  KP_EXIT_PERMISSION = 4,
  KP_EXIT_SERVER = 5,
  KP_EXIT_CANCELLED = 6,
} KpExit;

KpExit kp_ctl_exit_code (const GError *error);
KpExit kp_ctl_fail (const GError *error);
KpExit kp_ctl_usage (const char *parameters);

/* Options of all commands. */
typedef struct
{
  char *endpoint_url;
  char *region;
  char *provider;
  char *profile;
  char *passwd_file;
  char *ca_bundle;
  gboolean allow_http;
  char *upload_limit;
  char *download_limit;
  int timeout; /* seconds */
  gboolean verbose;
  gboolean json;
} KpCtlOptions;

GOptionContext *kp_ctl_option_context (KpCtlOptions *options,
                                       const GOptionEntry *entries,
                                       void *data,
                                       const char *parameters,
                                       const char *summary,
                                       const char *description);
GOptionContext *kp_ctl_context_new (const GOptionEntry *entries,
                                    const char *parameters,
                                    const char *summary,
                                    const char *description);
gboolean kp_ctl_parse (GOptionContext *context, char ***arguments, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_parse_share (const char *text, double *share, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_parse_days (const char *text, unsigned *days, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_parse_objects (const char *text, guint64 *objects, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_add_pattern (KpFilter *filter,
                             const char *option,
                             const char *value,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_ctl_parse_moment (const char *text, gint64 *moment, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void kp_ctl_options_clear (KpCtlOptions *options);

KpS3Location *kp_ctl_find_location (const KpCtlOptions *options,
                                    const char *address,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Service *kp_ctl_connect (const KpCtlOptions *options, const char *address, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
KpS3Credentials *kp_ctl_find_credentials (const char *profile,
                                          const char *passwd_file,
                                          const char *bucket,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpS3Credentials *kp_ctl_find_keys_of_address (const KpCtlOptions *options,
                                              const char *address,
                                              gboolean has_endpoint,
                                              KpS3Location **location,
                                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_ctl_state_dir (void);

/* Output. */
typedef struct _KpCtlOutput KpCtlOutput;

KpCtlOutput *kp_ctl_output_new (const KpCtlOptions *options,
                                KpS3Service *service,
                                gboolean dry_run);
void kp_ctl_output_free (KpCtlOutput *output);
void kp_ctl_output_event_cb (const KpEvent *event, void *user_data);
void kp_ctl_output_line (KpCtlOutput *output, const char *format, ...) G_GNUC_PRINTF (2, 3);
void kp_ctl_output_error_line (KpCtlOutput *output, const char *format, ...) G_GNUC_PRINTF (2, 3);
void kp_ctl_output_json (KpCtlOutput *output, const char *type, ...) G_GNUC_NULL_TERMINATED;
gboolean kp_ctl_output_is_json (KpCtlOutput *output);
gboolean kp_ctl_output_is_lost (void);
void kp_ctl_output_expect_json (char **arguments);
void kp_ctl_output_error (const char *name, const char *message, KpExit code);
unsigned kp_ctl_output_get_interval (KpCtlOutput *output);
void kp_ctl_output_progress (KpCtlOutput *output,
                             const KpProgress *progress,
                             guint64 rate,
                             gint64 seconds_left);
void kp_ctl_output_draw (KpCtlOutput *output, const char *text);
void kp_ctl_output_end_progress (KpCtlOutput *output);
int kp_ctl_output_close (void);
void kp_ctl_output_statistics (KpCtlOutput *output, gint64 started);

/* A job: something that blocks and can be cancelled. */
typedef gboolean (*KpCtlJobFunc) (void *job, GCancellable *cancellable, GError **error);
typedef void (*KpCtlProgressFunc) (void *job, KpProgress *progress);

gboolean kp_ctl_run_job (KpCtlOutput *output,
                         KpS3Service *service,
                         KpDirection direction,
                         KpCtlJobFunc func,
                         KpCtlProgressFunc progress_func,
                         void *job,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kp_ctl_toggle_limits (KpCtlOutput *output, KpThrottle *upload, KpThrottle *download);

/* The end of a backup, in words. */
KpExit kp_ctl_backup_exit_code (const KpMirrorResult *result);
void kp_ctl_report_backup (KpCtlOutput *output, const KpMirrorResult *result, gboolean dry_run);
void kp_ctl_report_guard (KpCtlOutput *output, const KpMirrorResult *result);

/* The commands. */
KpExit kp_ctl_mirror (char **arguments);
KpExit kp_ctl_restore (char **arguments);
KpExit kp_ctl_ls (char **arguments);
KpExit kp_ctl_versions (char **arguments);
KpExit kp_ctl_recover (char **arguments);
KpExit kp_ctl_verify (char **arguments);
KpExit kp_ctl_probe (char **arguments);
KpExit kp_ctl_plan (char **arguments);
KpExit kp_ctl_run (char **arguments);
KpExit kp_ctl_status (char **arguments);
KpExit kp_ctl_history (char **arguments);
KpExit kp_ctl_pause (char **arguments);
KpExit kp_ctl_resume (char **arguments);
KpExit kp_ctl_limit (char **arguments);
KpExit kp_ctl_autostart (char **arguments);
KpExit kp_ctl_credentials (char **arguments);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KpCtlOptions, kp_ctl_options_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpCtlOutput, kp_ctl_output_free)

G_END_DECLS

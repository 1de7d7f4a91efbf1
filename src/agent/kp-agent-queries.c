/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "config.h"

#include "kp-agent-private.h"

#include "kp-browse.h"
#include "kp-error.h"
#include "kp-measure.h"
#include "kp-name.h"
#include "kp-past.h"
#include "kp-preflight.h"
#include "kp-s3-probe.h"
#include "kp-s3-versioning.h"
#include "kp-stored.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_LIST_LIMIT 10000
#define DEFAULT_FETCH_LIMIT (20 * 1024 * 1024)
/* A file is held in memory. */
#define MAX_FETCH_LIMIT (64 * 1024 * 1024)

/* Questions that take their time: each has a thread of its own, and answers from there. */
typedef struct _Query Query;

/* Returns the answer; NULL with an error. */
typedef GVariant *(*QueryFunc) (Query *query, GUnixFDList *fds, GError **error);

struct _Query
{
  GDBusMethodInvocation *invocation;
  QueryFunc func;
  KpPlan *plan;
  KpS3Credentials *credentials; /* NULL where none are needed */

  /* Of List, Fetch and EnableVersioning, whose limit is the days. */
  char *path;
  KpBrowseOptions browse;
  char *match;
  guint64 limit;

  GPtrArray *others; /* of KpPlan, of MeasureStored */

  /* Of what counts; NULL of others. */
  KpAgent *agent;
  GCancellable *cancellable;
};

/* --- counting -------------------------------------------------------------------------------- */

/* What takes minutes ends with whoever asked for it, and when the same is asked for once more. */
typedef struct
{
  char *key; /* what is counted, for whom */
  GCancellable *cancellable;
  guint watch; /* of the caller's name on the bus */
} Count;

static void
count_free (void *data)
{
  Count *count = data;

  g_bus_unwatch_name (count->watch);
  g_object_unref (count->cancellable);
  g_free (count->key);
  g_free (count);
}

static void
caller_gone_cb (GDBusConnection *bus, const char *name, void *data)
{
  g_cancellable_cancel (data);
}

static void
begin_count (KpAgent *self, Query *query, const char *what)
{
  const char *sender = g_dbus_method_invocation_get_sender (query->invocation);
  Count *count = g_new0 (Count, 1);

  if (self->counts == NULL)
    self->counts = g_ptr_array_new_with_free_func (count_free);
  count->key = g_strjoin (" ", what, sender, kp_plan_get_id (query->plan), NULL);
  count->cancellable = g_cancellable_new ();
  count->watch = g_bus_watch_name_on_connection (self->bus, sender, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                 NULL, caller_gone_cb,
                                                 g_object_ref (count->cancellable), g_object_unref);
  for (guint i = 0; i < self->counts->len; i++)
    {
      const Count *other = g_ptr_array_index (self->counts, i);
      if (g_str_equal (other->key, count->key))
        g_cancellable_cancel (other->cancellable);
    }
  g_ptr_array_add (self->counts, count);
  query->agent = g_object_ref (self);
  query->cancellable = g_object_ref (count->cancellable);
}

typedef struct
{
  KpAgent *agent;
  GCancellable *cancellable;
} CountOver;

static gboolean
count_over_cb (void *data)
{
  CountOver *over = data;
  GPtrArray *counts = over->agent->counts;

  for (guint i = counts != NULL ? counts->len : 0; i-- > 0;)
    if (((Count *) g_ptr_array_index (counts, i))->cancellable == over->cancellable)
      g_ptr_array_remove_index (counts, i);
  g_object_unref (over->cancellable);
  g_object_unref (over->agent);
  g_free (over);
  return G_SOURCE_REMOVE;
}

/* From any thread; what is known of counts belongs to the main one. */
static void
end_count (Query *query)
{
  g_autofree CountOver *over = g_new0 (CountOver, 1);

  over->agent = g_steal_pointer (&query->agent);
  over->cancellable = g_steal_pointer (&query->cancellable);
  g_idle_add (count_over_cb, g_steal_pointer (&over));
}

/* --- threads --------------------------------------------------------------------------------- */

static void
query_free (Query *query)
{
  if (query->agent != NULL)
    end_count (query);
  g_clear_pointer (&query->credentials, kp_s3_credentials_unref);
  g_clear_object (&query->plan);
  g_free (query->path);
  g_free (query->match);
  g_clear_pointer (&query->others, g_ptr_array_unref);
  g_free (query);
}

static void *
query_main (void *data)
{
  Query *query = data;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GError *error = NULL;
  GVariant *answer = query->func (query, fds, &error);

  if (answer != NULL)
    g_dbus_method_invocation_return_value_with_unix_fd_list (query->invocation, answer, fds);
  else
    kp_dbus_return_error (query->invocation, error);
  query_free (query);
  return NULL;
}

static void
start (Query *query)
{
  g_thread_unref (g_thread_new ("keepsake-query", query_main, query));
}

static void
keys_cb (GObject *source, GAsyncResult *result, void *data)
{
  Query *query = data;
  GError *error = NULL;
  KpPreflight preflight;

  if (!kp_preflight_finish (result, &preflight, &error))
    {
      kp_dbus_return_error (query->invocation, error);
      query_free (query);
      return;
    }
  query->credentials = preflight.credentials;
  start (query);
}

static Query *
query_new (GDBusMethodInvocation *invocation, KpPlan *plan, QueryFunc func)
{
  Query *query = g_new0 (Query, 1);

  query->invocation = invocation;
  query->plan = kp_plan_copy (plan);
  query->func = func;
  return query;
}

/* What somebody waits for at the screen is not limited. */
static KpS3Service *
connect_to (Query *query, GError **error)
{
  g_autoptr (KpS3Location) location = kp_plan_dup_location (query->plan, error);
  g_autoptr (KpThrottle) upload = kp_throttle_new (0);
  g_autoptr (KpThrottle) download = kp_throttle_new (0);

  if (location == NULL)
    return NULL;
  return kp_s3_service_new (location, query->credentials, NULL, upload, download, error);
}

static char *
dup_path (GVariant *bytes, GError **error)
{
  gsize length;
  const char *data = g_variant_get_fixed_array (bytes, &length, 1);

  if (length > 0 && memchr (data, '\0', length) != NULL)
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE, "A path cannot hold a zero byte");
      return NULL;
    }
  return g_strndup (length > 0 ? data : "", length);
}

/* --- probe and measure ---------------------------------------------------------------------- */

static void
probed_cb (const KpS3ProbeResult *result, void *user_data)
{
  g_autofree char *detail = g_utf8_make_valid (result->detail != NULL ? result->detail : "", -1);
  const char *reason = result->error != NULL && result->error->domain == KP_ERROR
                           ? kp_error_name (result->error->code)
                           : "";

  g_variant_builder_add (user_data, "(sbss)", result->what, result->works, detail, reason);
}

static GVariant *
probe (Query *query, GUnixFDList *fds, GError **error)
{
  GVariantBuilder results;
  g_autoptr (GError) probe_error = NULL;
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_variant_builder_init (&results, G_VARIANT_TYPE ("a(sbss)"));
  /* What does not work is in the results. */
  if (!kp_s3_probe (service, probed_cb, &results, NULL, &probe_error))
    g_debug ("%s", probe_error->message);
  return g_variant_new ("(a(sbss))", &results);
}

static KpPlan *
read_plan (const char *text, GVariant *options, const char *const *known, GError **error)
{
  if (!kp_dbus_options_check (options, known, error))
    return NULL;
  return kp_plan_new_from_json (text, "plan", error);
}

static gboolean
probe_cb (KpDBusManager *manager,
          GDBusMethodInvocation *invocation,
          const char *text,
          GVariant *options,
          KpAgent *self)
{
  GError *error = NULL;
  gboolean prompt = FALSE;
  g_autoptr (KpPlan) plan
      = read_plan (text, options, (const char *[]){ "prompt", "b", NULL }, &error);

  if (plan == NULL)
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  g_variant_lookup (options, "prompt", "b", &prompt);
  kp_preflight_async (plan, prompt, FALSE, keys_cb, query_new (invocation, plan, probe));
  return TRUE;
}

static GVariant *
enable_versioning (Query *query, GUnixFDList *fds, GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_main_context_push_thread_default (context);
  KpS3Client *client = kp_s3_client_new (service);
  gboolean ok = kp_s3_versioning_enable (client, (unsigned) query->limit, NULL, error);
  kp_s3_client_free (client);
  g_main_context_pop_thread_default (context);
  return ok ? g_variant_new ("()") : NULL;
}

static gboolean
enable_versioning_cb (KpDBusManager *manager,
                      GDBusMethodInvocation *invocation,
                      const char *text,
                      guint days,
                      GVariant *options,
                      KpAgent *self)
{
  GError *error = NULL;
  g_autoptr (KpPlan) plan = read_plan (text, options, (const char *[]){ NULL }, &error);

  if (plan != NULL && days == 0)
    g_set_error_literal (&error, KP_ERROR, KP_ERROR_USAGE,
                         "Old versions are kept for at least one day");
  if (error != NULL)
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan, enable_versioning);
  query->limit = days;
  kp_preflight_async (plan, FALSE, FALSE, keys_cb, query);
  return TRUE;
}

static GVariant *
measure (Query *query, GUnixFDList *fds, GError **error)
{
  g_autoptr (KpFilter) filter = kp_filter_new ();
  const char *const *patterns = kp_plan_get_exclude (query->plan);
  GPtrArray *sources = kp_plan_get_sources (query->plan);
  KpMeasure sum = { 0 };

  for (gsize i = 0; patterns[i] != NULL; i++)
    if (!kp_filter_add_exclude (filter, patterns[i], error))
      return NULL;
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      if (!kp_measure (source->path, source->as, filter, &sum, query->cancellable, error))
        return NULL;
    }
  return g_variant_new ("(tttt)", sum.files, sum.bytes, sum.excluded_files, sum.excluded_bytes);
}

static gboolean
measure_cb (KpDBusManager *manager,
            GDBusMethodInvocation *invocation,
            const char *text,
            GVariant *options,
            KpAgent *self)
{
  GError *error = NULL;
  g_autoptr (KpPlan) plan = read_plan (text, options, (const char *[]){ NULL }, &error);

  if (plan == NULL)
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan, measure);
  begin_count (self, query, "measure");
  start (query);
  return TRUE;
}

/* --- list and fetch ------------------------------------------------------------------------- */

/* Returns: (transfer floating): a(aystx) */
static GVariant *
list_entries (Query *query, gboolean *complete, gint64 *complete_since, GError **error)
{
  GVariantBuilder builder;
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_autoptr (GPtrArray) entries = kp_browse_list (service, query->path, &query->browse, complete,
                                                  complete_since, NULL, error);
  if (entries == NULL)
    return NULL;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(aystx)"));
  for (guint i = 0; i < entries->len; i++)
    {
      const KpBrowseEntry *entry = g_ptr_array_index (entries, i);
      g_variant_builder_add (&builder, "(@aystx)", kp_dbus_bytes (entry->path),
                             entry->is_folder ? "folder" : "file", entry->size, entry->stored);
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
list (Query *query, GUnixFDList *fds, GError **error)
{
  gboolean complete;
  gint64 complete_since;
  GVariant *entries = list_entries (query, &complete, &complete_since, error);

  return entries != NULL ? g_variant_new ("(@a(aystx)b)", entries, complete) : NULL;
}

static GVariant *
browse (Query *query, GUnixFDList *fds, GError **error)
{
  gboolean complete;
  gint64 complete_since;
  GVariantDict facts;
  GVariant *entries = list_entries (query, &complete, &complete_since, error);

  if (entries == NULL)
    return NULL;
  g_variant_dict_init (&facts, NULL);
  g_variant_dict_insert (&facts, "complete", "b", complete);
  g_variant_dict_insert (&facts, "complete-since", "x", complete_since);
  return g_variant_new ("(@a(aystx)@a{sv})", entries, g_variant_dict_end (&facts));
}

static gboolean
start_list (QueryFunc func,
            GDBusMethodInvocation *invocation,
            GVariant *folder,
            GVariant *options,
            KpAgentPlan *plan)
{
  static const char *const known[]
      = { "recursive", "b", "match", "s", "limit", "u", "at", "x", NULL };
  GError *error = NULL;
  gint64 at;
  g_autofree char *path = dup_path (folder, &error);

  if (path == NULL || !kp_dbus_options_check (options, known, &error)
      || !kp_dbus_options_get_moment (options, &at, &error))
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan->plan, func);
  query->path = g_steal_pointer (&path);
  query->browse.limit = DEFAULT_LIST_LIMIT;
  g_variant_lookup (options, "recursive", "b", &query->browse.recursive);
  g_variant_lookup (options, "limit", "u", &query->browse.limit);
  query->browse.at = at;
  g_variant_lookup (options, "match", "s", &query->match);
  query->browse.match = query->match;
  kp_preflight_async (plan->plan, FALSE, FALSE, keys_cb, query);
  return TRUE;
}

static gboolean
list_cb (KpDBusPlan *skeleton,
         GDBusMethodInvocation *invocation,
         GVariant *folder,
         GVariant *options,
         KpAgentPlan *plan)
{
  return start_list (list, invocation, folder, options, plan);
}

static gboolean
browse_cb (KpDBusPlan *skeleton,
           GDBusMethodInvocation *invocation,
           GVariant *folder,
           GVariant *options,
           KpAgentPlan *plan)
{
  return start_list (browse, invocation, folder, options, plan);
}

/* The bytes as a file without a name. */
static int
to_file (GBytes *bytes, GError **error)
{
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);
  int fd = memfd_create ("keepsake-preview", MFD_CLOEXEC);
  gsize written = 0;

  while (fd >= 0 && written < size)
    {
      gssize n = write (fd, data + written, size - written);
      if (n < 0)
        break;
      written += (gsize) n;
    }
  if (fd >= 0 && written == size && lseek (fd, 0, SEEK_SET) == 0)
    return fd;
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot keep the file: %s",
               g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

static GVariant *
fetch (Query *query, GUnixFDList *fds, GError **error)
{
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_autoptr (GBytes) bytes
      = kp_browse_fetch (service, query->path, query->browse.at, query->limit, NULL, error);
  int fd = bytes != NULL ? to_file (bytes, error) : -1;
  if (fd < 0)
    return NULL;
  int index = g_unix_fd_list_append (fds, fd, error);
  close (fd);
  return index >= 0 ? g_variant_new ("(h)", index) : NULL;
}

static gboolean
fetch_cb (KpDBusPlan *skeleton,
          GDBusMethodInvocation *invocation,
          GUnixFDList *fds,
          GVariant *file,
          GVariant *options,
          KpAgentPlan *plan)
{
  GError *error = NULL;
  gint64 at;
  g_autofree char *path = dup_path (file, &error);

  if (path == NULL
      || !kp_dbus_options_check (options, (const char *[]){ "limit", "t", "at", "x", NULL }, &error)
      || !kp_dbus_options_get_moment (options, &at, &error))
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan->plan, fetch);
  query->path = g_steal_pointer (&path);
  query->limit = DEFAULT_FETCH_LIMIT;
  g_variant_lookup (options, "limit", "t", &query->limit);
  query->limit = MIN (query->limit, MAX_FETCH_LIMIT);
  query->browse.at = at;
  kp_preflight_async (plan->plan, FALSE, FALSE, keys_cb, query);
  return TRUE;
}

static GVariant *
versions (Query *query, GUnixFDList *fds, GError **error)
{
  GVariantBuilder builder;
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_autoptr (KpS3Location) location = kp_s3_service_ref_location (service);
  g_autofree char *relative = kp_name_to_key (query->path);
  g_autofree char *key = kp_s3_location_get_key (location, relative);
  g_autoptr (GPtrArray) found = kp_past_list_versions (service, key, NULL, error);
  if (found == NULL)
    return NULL;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(xxtb)"));
  for (guint i = 0; i < found->len; i++)
    {
      const KpPastVersion *version = g_ptr_array_index (found, i);
      g_variant_builder_add (&builder, "(xxtb)", version->stored, version->until, version->size,
                             version->is_deletion);
    }
  return g_variant_new ("(a(xxtb))", &builder);
}

static gboolean
versions_cb (KpDBusPlan *skeleton,
             GDBusMethodInvocation *invocation,
             GVariant *file,
             GVariant *options,
             KpAgentPlan *plan)
{
  GError *error = NULL;
  g_autofree char *path = dup_path (file, &error);

  if (path == NULL || !kp_dbus_options_check (options, (const char *[]){ NULL }, &error))
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan->plan, versions);
  query->path = g_steal_pointer (&path);
  kp_preflight_async (plan->plan, FALSE, FALSE, keys_cb, query);
  return TRUE;
}

/* --- what removing the plan would delete ---------------------------------------------------- */

static GVariant *
measure_stored (Query *query, GUnixFDList *fds, GError **error)
{
  KpEraseResult result;
  GVariantDict facts;
  g_autoptr (KpS3Service) service = connect_to (query, error);

  if (service == NULL)
    return NULL;
  g_autoptr (KpErase) erase
      = kp_stored_new_erase (query->plan, query->others, service, NULL, NULL, NULL);
  if (!kp_erase_count (erase, query->cancellable, error))
    return NULL;
  kp_erase_get_result (erase, &result);
  g_variant_dict_init (&facts, NULL);
  g_variant_dict_insert (&facts, "objects", "t", result.objects);
  g_variant_dict_insert (&facts, "bytes", "t", result.bytes);
  g_variant_dict_insert (&facts, "spared", "t", result.spared);
  g_variant_dict_insert (&facts, "keeps-versions", "b", result.keeps_versions);
  g_variant_dict_insert (&facts, "tells-versions", "b", result.tells_versions);
  return g_variant_new ("(@a{sv})", g_variant_dict_end (&facts));
}

static gboolean
measure_stored_cb (KpDBusPlan *skeleton,
                   GDBusMethodInvocation *invocation,
                   GVariant *options,
                   KpAgentPlan *plan)
{
  GError *error = NULL;

  if (!kp_dbus_options_check (options, (const char *[]){ NULL }, &error)
      || !kp_agent_check_plans_readable (plan->agent, &error))
    {
      kp_dbus_return_error (invocation, error);
      return TRUE;
    }
  Query *query = query_new (invocation, plan->plan, measure_stored);
  query->others = kp_stored_copy_others (plan->plan, G_LIST_MODEL (plan->agent->store));
  begin_count (plan->agent, query, "stored");
  kp_preflight_async (plan->plan, FALSE, FALSE, keys_cb, query);
  return TRUE;
}

/**
 * kp_agent_connect_manager_queries:
 *
 * Has the manager answer what takes its time.
 */
void
kp_agent_connect_manager_queries (KpAgent *self)
{
  g_signal_connect_object (self->manager, "handle-probe", G_CALLBACK (probe_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-enable-versioning",
                           G_CALLBACK (enable_versioning_cb), self, 0);
  g_signal_connect_object (self->manager, "handle-measure", G_CALLBACK (measure_cb), self, 0);
}

void
kp_agent_connect_plan_queries (KpAgentPlan *plan)
{
  g_signal_connect (plan->skeleton, "handle-list", G_CALLBACK (list_cb), plan);
  g_signal_connect (plan->skeleton, "handle-browse", G_CALLBACK (browse_cb), plan);
  g_signal_connect (plan->skeleton, "handle-fetch", G_CALLBACK (fetch_cb), plan);
  g_signal_connect (plan->skeleton, "handle-measure-stored", G_CALLBACK (measure_stored_cb), plan);
  g_signal_connect (plan->skeleton, "handle-list-versions", G_CALLBACK (versions_cb), plan);
}

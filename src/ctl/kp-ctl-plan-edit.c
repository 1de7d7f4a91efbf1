/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "plan add" and "plan edit": the same options, once for a new plan and once for one that is there.
 */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-size.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADD_PARAMETERS "NAME SOURCE… s3://BUCKET/PREFIX"

static const char add_examples[]
    = "Examples:\n"
      "  Every day at half past twelve, at 256 KiB/s:\n"
      "    keepsakectl plan add Photos ~/Pictures s3://my-bucket/laptop \\\n"
      "      --schedule '@daily 12:30' --upload-limit 256K\n"
      "  To a server of your own, what is deleted here to be deleted there:\n"
      "    keepsakectl plan add Work ~/Documents ~/Projects s3://backup/work --delete \\\n"
      "      --endpoint-url https://s3.example.org --exclude '*.o' --exclude /Projects/cache/\n"
      "\n"
      "A SOURCE without a slash at the end is stored as PREFIX/NAME; with one, its contents go "
      "into\n"
      "PREFIX. Schedules: manual, '@watch 5m' (after changes), @hourly, '@daily 12:30',\n"
      "'@weekly Mon 12:30', '@monthly 1 12:30', or five fields as in crontab(5).\n"
      "Then: keepsakectl credentials set NAME.";

static const char edit_examples[]
    = "Examples:\n"
      "    keepsakectl plan edit Photos --schedule @hourly --upload-limit off\n"
      "    keepsakectl plan edit Photos --add-source ~/Videos --add-exclude '*.part'\n"
      "    keepsakectl plan edit Photos --disable\n"
      "    keepsakectl plan edit Photos --editor\n"
      "\n"
      "What is not named stays as it is. A job that runs goes on as it began.";

typedef struct
{
  char *name;
  char *destination;
  char *endpoint_url;
  char *region;
  char *provider;
  char *storage_class;
  char *schedule;
  char *upload_limit;
  char *timetable;
  char *verify;
  char *on_metered;
  char *on_battery;
  char *keep_deleted;
  char **exclude;
  char **add_exclude;
  char **remove_exclude;
  char **add_source;
  char **remove_source;
  gboolean delete;
  gboolean no_delete;
  gboolean allow_http;
  gboolean enable;
  gboolean disable;
  gboolean editor;
  gboolean json;
} Edits;

static void
edits_clear (Edits *edits)
{
  char **const texts[]
      = { &edits->name,        &edits->destination,   &edits->endpoint_url, &edits->region,
          &edits->provider,    &edits->storage_class, &edits->schedule,     &edits->upload_limit,
          &edits->timetable,   &edits->verify,        &edits->on_metered,   &edits->on_battery,
          &edits->keep_deleted };
  char ***const lists[] = { &edits->exclude, &edits->add_exclude, &edits->remove_exclude,
                            &edits->add_source, &edits->remove_source };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_clear_pointer (texts[i], g_free);
  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    g_clear_pointer (lists[i], g_strfreev);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Edits, edits_clear)

/* The options of both. */
static void
add_common_entries (GOptionContext *context, Edits *edits)
{
  const GOptionEntry entries[] = {
    { "endpoint-url", 0, 0, G_OPTION_ARG_STRING, &edits->endpoint_url,
      "Address of the server; Amazon's if left out", "URL" },
    { "region", 0, 0, G_OPTION_ARG_STRING, &edits->region, "Region of the bucket", "REGION" },
    { "provider", 0, 0, G_OPTION_ARG_STRING, &edits->provider,
      "Provider profile; found by the endpoint if left out", "NAME" },
    { "allow-http", 0, 0, G_OPTION_ARG_NONE, &edits->allow_http,
      "Accept an endpoint that is not encrypted", NULL },
    { "schedule", 0, 0, G_OPTION_ARG_STRING, &edits->schedule,
      "When: @daily if left out; see the end", "WHEN" },
    { "upload-limit", 0, 0, G_OPTION_ARG_STRING, &edits->upload_limit,
      "256K, 1.5M … bytes per second, off, or a timetable: \"08:00,512K 19:00,off\"", "RATE" },
    { "timetable", 0, 0, G_OPTION_ARG_STRING, &edits->timetable,
      "The same as a timetable as --upload-limit", "TIMETABLE" },
    { "exclude", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &edits->exclude,
      "Leave out what matches, as rsync does; may be given often", "PATTERN" },
    { "delete", 0, 0, G_OPTION_ARG_NONE, &edits->delete,
      "Delete objects whose files are gone, as far as the delete guard lets", NULL },
    { "keep-deleted", 0, 0, G_OPTION_ARG_STRING, &edits->keep_deleted,
      "With --delete: keep what is deleted or replaced for so long, as in 30d", "DAYS" },
    { "storage-class", 0, 0, G_OPTION_ARG_STRING, &edits->storage_class,
      "STANDARD_IA, GLACIER_IR …", "CLASS" },
    { "verify", 0, 0, G_OPTION_ARG_STRING, &edits->verify,
      "How often to read back what is there: off, weekly or monthly", "WHEN" },
    { "on-metered", 0, 0, G_OPTION_ARG_STRING, &edits->on_metered,
      "What to do on a metered line: wait or run", "WHAT" },
    { "on-battery", 0, 0, G_OPTION_ARG_STRING, &edits->on_battery,
      "What to do on battery: wait or run", "WHAT" },
    { "disable", 0, 0, G_OPTION_ARG_NONE, &edits->disable, "Switch it off", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &edits->json, "Print the plan as a JSON object", NULL },
    { NULL },
  };

  g_option_context_add_main_entries (context, entries, NULL);
}

static GOptionContext *
make_edit_context (Edits *edits)
{
  const GOptionEntry entries[] = {
    { "editor", 0, 0, G_OPTION_ARG_NONE, &edits->editor,
      "Open the whole plan in $VISUAL or $EDITOR", NULL },
    { "name", 0, 0, G_OPTION_ARG_STRING, &edits->name, "Call it otherwise", "NAME" },
    { "destination", 0, 0, G_OPTION_ARG_STRING, &edits->destination, "Another bucket or prefix",
      "s3://BUCKET/PREFIX" },
    { "add-source", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &edits->add_source, "One more folder",
      "SOURCE" },
    { "remove-source", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &edits->remove_source,
      "A folder that is not to be kept any more", "SOURCE" },
    { "add-exclude", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &edits->add_exclude,
      "One more pattern; --exclude replaces all of them", "PATTERN" },
    { "remove-exclude", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &edits->remove_exclude,
      "A pattern to take away", "PATTERN" },
    { "no-delete", 0, 0, G_OPTION_ARG_NONE, &edits->no_delete, "Never delete anything", NULL },
    { "enable", 0, 0, G_OPTION_ARG_NONE, &edits->enable, "Switch it on", NULL },
    { NULL },
  };
  GOptionContext *context = kp_ctl_context_new (entries, "PLAN", "Changes a plan.", edit_examples);

  add_common_entries (context, edits);
  return context;
}

/* As the plan's file has it: --delete "keep 30 days". */
static void
take_delete_words (Edits *edits, char **arguments)
{
  static const char keep[] = "keep ";
  static const char in_one[] = "--delete=keep ";

  for (char **argument = arguments; argument[0] != NULL; argument++)
    if (g_str_has_prefix (argument[0], in_one))
      {
        g_free (edits->keep_deleted);
        edits->keep_deleted = g_strdup (argument[0] + strlen (in_one));
        g_free (argument[0]);
        argument[0] = g_strdup ("--delete");
      }
  for (char **argument = arguments; argument[0] != NULL && argument[1] != NULL; argument++)
    if (g_str_equal (argument[0], "--delete") && g_str_has_prefix (argument[1], keep))
      {
        g_free (edits->keep_deleted);
        edits->keep_deleted = g_strdup (argument[1] + strlen (keep));
        g_free (argument[1]);
        for (char **next = argument + 1; next[0] != NULL; next++)
          next[0] = next[1];
      }
}

/* --- what the options do -------------------------------------------------------------------- */

static gboolean
refuse (GError **error, const char *format, const char *text)
{
  g_autofree char *shown = g_filename_display_name (text);
  g_auto (GStrv) parts = g_strsplit (format, "%s", 2);

  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "%s%s%s", parts[0], shown, parts[1]);
  return FALSE;
}

/* A word of an enumeration: "weekly". */
static gboolean
parse_word (GType type, const char *option, const char *text, int *value, GError **error)
{
  GEnumClass *klass = g_type_class_ref (type);
  const GEnumValue *found = g_enum_get_value_by_nick (klass, text);
  g_autoptr (GString) words = g_string_new (NULL);

  for (guint i = 0; i < klass->n_values; i++)
    g_string_append_printf (words, "%s%s", i > 0 ? ", " : "", klass->values[i].value_nick);
  if (found != NULL)
    *value = found->value;
  else
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "“%s” is no answer to %s; write one of: %s", text,
                 option, words->str);
  g_type_class_unref (klass);
  return found != NULL;
}

static gboolean
set_destination (KpPlan *plan, const char *address, GError **error)
{
  if (!g_str_has_prefix (address, "s3://"))
    return refuse (error, "“%s” is not an S3 address; write s3://BUCKET/PREFIX", address);
  const char *rest = address + strlen ("s3://");
  gsize length = strcspn (rest, "/");
  g_autofree char *bucket = g_strndup (rest, length);
  g_autofree char *prefix = g_strdup (rest[length] == '/' ? rest + length + 1 : "");

  while (g_str_has_suffix (prefix, "/"))
    prefix[strlen (prefix) - 1] = '\0';
  kp_plan_set_bucket (plan, bucket);
  kp_plan_set_prefix (plan, prefix);
  return TRUE;
}

static const char *
null_if_empty (const char *text)
{
  return *text != '\0' ? text : NULL;
}

/* Says in the words of options what the plan would say in those of its file. */
static gboolean
check_destination (KpPlan *plan, GError **error)
{
  g_autofree char *address = kp_ctl_plan_address (plan);
  g_autoptr (KpS3Location) location = kp_s3_location_new (
      address, null_if_empty (kp_plan_get_endpoint (plan)),
      null_if_empty (kp_plan_get_region (plan)), null_if_empty (kp_plan_get_provider (plan)),
      kp_plan_get_allow_http (plan), error);

  return location != NULL;
}

static gboolean
apply_destination (KpPlan *plan, const Edits *edits, GError **error)
{
  if (edits->destination != NULL && !set_destination (plan, edits->destination, error))
    return FALSE;
  if (edits->endpoint_url != NULL)
    kp_plan_set_endpoint (plan, edits->endpoint_url);
  if (edits->region != NULL)
    kp_plan_set_region (plan, edits->region);
  if (edits->provider != NULL)
    kp_plan_set_provider (plan, edits->provider);
  if (edits->allow_http)
    kp_plan_set_allow_http (plan, TRUE);
  if (edits->storage_class != NULL)
    kp_plan_set_storage_class (plan, edits->storage_class);
  return check_destination (plan, error);
}

/* As rsync takes it: with a slash at the end it stands for its contents. */
static gboolean
add_source (KpPlan *plan, const char *argument, GError **error)
{
  gboolean contents = g_str_has_suffix (argument, "/") || g_str_has_suffix (argument, "/.")
                      || g_str_equal (argument, ".");
  g_autofree char *path = g_canonicalize_filename (argument, NULL);
  struct stat info;

  if (*argument == '\0' || g_str_has_prefix (argument, "s3://"))
    return refuse (error, "“%s” is no folder to keep", argument);
  if (stat (path, &info) != 0)
    {
      g_autofree char *shown = g_filename_display_name (path);
      g_printerr ("note     “%s” cannot be found now.\n", shown);
    }
  kp_plan_add_source (plan, path, contents ? "" : NULL);
  return TRUE;
}

static gboolean
remove_source (KpPlan *plan, const char *argument, GError **error)
{
  g_autofree char *path = g_canonicalize_filename (argument, NULL);
  GPtrArray *sources = kp_plan_get_sources (plan);
  g_autoptr (GPtrArray) left
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = g_ptr_array_index (sources, i);
      if (!g_str_equal (source->path, path))
        g_ptr_array_add (left, kp_plan_source_copy (source));
    }
  if (left->len == sources->len)
    return refuse (error, "“%s” is not in the plan; keepsakectl plan show names its folders", path);
  kp_plan_set_sources (plan, left);
  return TRUE;
}

static gboolean
apply_sources (KpPlan *plan, const Edits *edits, GError **error)
{
  for (guint i = 0; edits->remove_source != NULL && edits->remove_source[i] != NULL; i++)
    if (!remove_source (plan, edits->remove_source[i], error))
      return FALSE;
  for (guint i = 0; edits->add_source != NULL && edits->add_source[i] != NULL; i++)
    if (!add_source (plan, edits->add_source[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
contains (char **list, const char *text)
{
  return list != NULL && g_strv_contains ((const char *const *) list, text);
}

static gboolean
apply_exclude (KpPlan *plan, const Edits *edits, GError **error)
{
  const char *const *old
      = edits->exclude != NULL ? (const char *const *) edits->exclude : kp_plan_get_exclude (plan);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autoptr (KpFilter) filter = kp_filter_new ();

  for (guint i = 0; edits->remove_exclude != NULL && edits->remove_exclude[i] != NULL; i++)
    if (!g_strv_contains (old, edits->remove_exclude[i]))
      return refuse (error, "The pattern “%s” is not in the plan", edits->remove_exclude[i]);
  for (guint i = 0; old[i] != NULL; i++)
    if (!contains (edits->remove_exclude, old[i]))
      g_strv_builder_add (builder, old[i]);
  for (guint i = 0; edits->add_exclude != NULL && edits->add_exclude[i] != NULL; i++)
    g_strv_builder_add (builder, edits->add_exclude[i]);

  g_auto (GStrv) patterns = g_strv_builder_end (builder);
  for (guint i = 0; patterns[i] != NULL; i++)
    if (!kp_filter_add_exclude (filter, patterns[i], error))
      return FALSE;
  kp_plan_set_exclude (plan, (const char *const *) patterns);
  return TRUE;
}

static gboolean
set_timetable (KpPlan *plan, const char *text, GError **error)
{
  g_autoptr (KpTimetable) timetable = *text != '\0' ? kp_timetable_parse (text, error) : NULL;

  if (*text != '\0' && timetable == NULL)
    return FALSE;
  kp_plan_set_timetable (plan, text);
  return TRUE;
}

/* A rate, or a timetable as the commands without plans take it. The two exclude each other: the
 * one that is given takes the place of the other. */
static gboolean
set_upload_limit (KpPlan *plan, const char *text, GError **error)
{
  guint64 rate;

  if (strpbrk (text, ",:") != NULL)
    return set_timetable (plan, text, error);
  if (!kp_rate_parse (text, &rate, error))
    return FALSE;
  kp_plan_set_upload_limit (plan, text);
  kp_plan_set_timetable (plan, "");
  return TRUE;
}

static gboolean
apply_times (KpPlan *plan, const Edits *edits, GError **error)
{
  g_autoptr (KpSchedule) schedule = NULL;

  if (edits->schedule != NULL)
    {
      schedule = kp_schedule_parse (edits->schedule, error);
      if (schedule == NULL)
        return FALSE;
      kp_plan_set_schedule (plan, schedule);
    }
  /* An empty timetable takes one away, but none that is given beside it. */
  return (edits->timetable == NULL || set_timetable (plan, edits->timetable, error))
         && (edits->upload_limit == NULL || set_upload_limit (plan, edits->upload_limit, error));
}

static gboolean
apply_words (KpPlan *plan, const Edits *edits, GError **error)
{
  int verify = (int) kp_plan_get_verify (plan);
  int metered = (int) kp_plan_get_metered (plan);
  int battery = (int) kp_plan_get_battery (plan);
  unsigned days = kp_plan_get_keep_days (plan);

  if (edits->verify != NULL
      && !parse_word (KP_TYPE_PLAN_VERIFY, "--verify", edits->verify, &verify, error))
    return FALSE;
  if (edits->on_metered != NULL
      && !parse_word (KP_TYPE_PLAN_CONDITION, "--on-metered", edits->on_metered, &metered, error))
    return FALSE;
  if (edits->on_battery != NULL
      && !parse_word (KP_TYPE_PLAN_CONDITION, "--on-battery", edits->on_battery, &battery, error))
    return FALSE;
  if (!kp_ctl_parse_days (edits->keep_deleted, &days, error))
    return FALSE;
  kp_plan_set_keep_days (plan, days);
  kp_plan_set_verify (plan, (KpPlanVerify) verify);
  kp_plan_set_metered (plan, (KpPlanCondition) metered);
  kp_plan_set_battery (plan, (KpPlanCondition) battery);
  if (edits->delete || edits->no_delete)
    kp_plan_set_delete (plan, edits->no_delete              ? KP_PLAN_DELETE_NEVER
                              : edits->keep_deleted != NULL ? KP_PLAN_DELETE_KEEP
                                                            : KP_PLAN_DELETE_MIRROR);
  if (edits->enable || edits->disable)
    kp_plan_set_enabled (plan, edits->enable);
  return TRUE;
}

static gboolean
check_contradictions (const Edits *edits, GError **error)
{
  const char *both = NULL;

  if (edits->delete &&edits->no_delete)
    both = "--delete and --no-delete";
  else if (edits->keep_deleted != NULL && !edits->delete)
    return refuse (error, "%s says what becomes of what --delete deletes; give both",
                   "--keep-deleted");
  else if (edits->enable && edits->disable)
    both = "--enable and --disable";
  else if (edits->upload_limit != NULL && edits->timetable != NULL && *edits->timetable != '\0')
    both = "--upload-limit and --timetable";
  return both == NULL || refuse (error, "%s together make no sense; give one of them", both);
}

static gboolean
apply (KpPlan *plan, const Edits *edits, GError **error)
{
  return check_contradictions (edits, error) && apply_destination (plan, edits, error)
         && apply_sources (plan, edits, error) && apply_exclude (plan, edits, error)
         && apply_times (plan, edits, error) && apply_words (plan, edits, error);
}

static void
print_plan (KpPlan *plan, gboolean json, gboolean is_new)
{
  KpCtlOptions options = { .json = json };
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);

  if (json)
    kp_ctl_print_plan_json (output, plan);
  else if (is_new)
    kp_ctl_output_line (output, "%s", kp_plan_get_id (plan));
  if (!is_new || json || !isatty (STDERR_FILENO))
    return;
  kp_ctl_output_error_line (output, "Next: keepsakectl credentials set '%s'",
                            kp_plan_get_name (plan));
  kp_ctl_tell_who_begins (output, plan);
}

/* --- the commands --------------------------------------------------------------------------- */

/* What the commands without plans take from the environment: a plan has to know it by itself. */
static void
take_environment (KpPlan *plan)
{
  static const char *const endpoints[] = { "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL" };
  static const char *const regions[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };

  for (gsize i = G_N_ELEMENTS (endpoints); i-- > 0;)
    if (g_getenv (endpoints[i]) != NULL && *g_getenv (endpoints[i]) != '\0')
      kp_plan_set_endpoint (plan, g_getenv (endpoints[i]));
  for (gsize i = G_N_ELEMENTS (regions); i-- > 0;)
    if (g_getenv (regions[i]) != NULL && *g_getenv (regions[i]) != '\0')
      kp_plan_set_region (plan, g_getenv (regions[i]));
}

KpExit
kp_ctl_plan_add (char **arguments)
{
  g_auto (Edits) edits = { NULL };
  const GOptionEntry none[] = { { NULL } };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (none, ADD_PARAMETERS, "Sets up a plan; prints its id.", add_examples);
  g_autoptr (GError) error = NULL;

  add_common_entries (context, &edits);
  take_delete_words (&edits, arguments);
  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  unsigned n = g_strv_length (arguments);
  if (n < 4)
    return kp_ctl_usage (ADD_PARAMETERS);
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (&error);
  if (store == NULL || !kp_ctl_check_name (store, arguments[1], NULL, &error))
    return kp_ctl_fail (error);

  g_autoptr (KpPlan) plan = kp_plan_new ();
  kp_plan_set_name (plan, arguments[1]);
  take_environment (plan);
  edits.destination = g_strdup (arguments[n - 1]);
  for (unsigned i = 2; i < n - 1; i++)
    if (!add_source (plan, arguments[i], &error))
      return kp_ctl_fail (error);
  if (!apply (plan, &edits, &error) || !kp_plan_store_save (store, plan, &error))
    return kp_ctl_fail (error);
  print_plan (plan, edits.json, TRUE);
  return KP_EXIT_DONE;
}

KpExit
kp_ctl_plan_edit (char **arguments)
{
  g_auto (Edits) edits = { NULL };
  g_autoptr (GOptionContext) context = make_edit_context (&edits);
  g_autoptr (GError) error = NULL;

  take_delete_words (&edits, arguments);
  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("PLAN");
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (&error);
  KpPlan *found = store != NULL ? kp_ctl_find_plan (store, arguments[1], &error) : NULL;
  if (found == NULL)
    return kp_ctl_fail (error);

  g_autoptr (KpPlan) plan = kp_plan_copy (found);
  if (edits.name != NULL)
    {
      if (!kp_ctl_check_name (store, edits.name, kp_plan_get_id (plan), &error))
        return kp_ctl_fail (error);
      kp_plan_set_name (plan, edits.name);
    }
  if (!apply (plan, &edits, &error))
    return kp_ctl_fail (error);
  if (edits.editor ? !kp_ctl_edit_in_editor (store, plan, &error)
                   : !kp_plan_store_save (store, plan, &error))
    return kp_ctl_fail (error);
  found = kp_plan_store_get (store, kp_plan_get_id (plan));
  print_plan (found != NULL ? found : plan, edits.json, FALSE);
  return KP_EXIT_DONE;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-plan-private.h"

#include "kp-error.h"
#include "kp-name.h"
#include "kp-plan-lines.h"

#include <string.h>

#define FORMAT_VERSION 1

/* json-glib goes down one call for each bracket. Ours has three levels. */
#define MAX_DEPTH 32

/* Of "delete"; the days stand behind it. */
#define KEEP "keep "

static const char *const top_members[]
    = { "version",   "id",          "name",   "kind",     "sources",
        "exclude",   "destination", "delete", "schedule", "upload-limit",
        "timetable", "conditions",  "verify", "enabled",  NULL };
static const char *const source_members[] = { "path", "as", NULL };
#define N_DESTINATION_TEXTS 6
static const char *const destination_members[]
    = { "provider", "endpoint", "region", "bucket", "prefix", "storage-class", "allow-http", NULL };
static const char *const condition_members[] = { "metered", "battery", NULL };

/* --- reading -------------------------------------------------------------------------------- */

/* An object of the file while its members are read. Of the first that is wrong, the error names the
 * path. */
typedef struct
{
  JsonObject *object;
  char *path; /* "" or "destination." */
} Reader;

static void
reader_clear (Reader *reader)
{
  g_free (reader->path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

static gboolean
refuse (const Reader *reader, const char *member, const char *reason, GError **error)
{
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "%s%s: %s", reader->path, member, reason);
  return FALSE;
}

/* The node of a member, or NULL where it is missing or of another type. Only the latter is an
 * error. */
static JsonNode *
get_node (const Reader *reader,
          const char *member,
          JsonNodeType type,
          GType value_type,
          const char *what,
          gboolean *ok,
          GError **error)
{
  JsonNode *node = json_object_get_member (reader->object, member);

  *ok = TRUE;
  if (node == NULL)
    return NULL;
  if (json_node_get_node_type (node) == type
      && (type != JSON_NODE_VALUE || json_node_get_value_type (node) == value_type))
    return node;

  g_autofree char *reason = g_strdup_printf ("is not %s", what);
  *ok = refuse (reader, member, reason, error);
  return NULL;
}

/* The text stays the parser's. It is left alone where the member is missing. */
static gboolean
read_text (const Reader *reader, const char *member, const char **text, GError **error)
{
  gboolean ok;
  JsonNode *node
      = get_node (reader, member, JSON_NODE_VALUE, G_TYPE_STRING, "a text in quotes", &ok, error);

  if (node != NULL)
    *text = json_node_get_string (node);
  return ok;
}

static gboolean
require_text (const Reader *reader,
              const char *member,
              const char *example,
              const char **text,
              GError **error)
{
  g_autofree char *reason = NULL;

  if (json_object_has_member (reader->object, member))
    return read_text (reader, member, text, error);
  reason = g_strdup_printf ("is missing; write for example \"%s\": \"%s\"", member, example);
  return refuse (reader, member, reason, error);
}

static gboolean
read_boolean (const Reader *reader, const char *member, gboolean *value, GError **error)
{
  gboolean ok;
  JsonNode *node
      = get_node (reader, member, JSON_NODE_VALUE, G_TYPE_BOOLEAN, "true or false", &ok, error);

  if (node != NULL)
    *value = json_node_get_boolean (node);
  return ok;
}

/* A word that is the nick of an enumeration's value. */
static gboolean
read_word (const Reader *reader, const char *member, GType type, int *value, GError **error)
{
  g_autoptr (GString) reason = NULL;
  const char *text = NULL;

  if (!read_text (reader, member, &text, error))
    return FALSE;
  if (text == NULL)
    return TRUE;

  GEnumClass *klass = g_type_class_ref (type);
  GEnumValue *found = g_enum_get_value_by_nick (klass, text);
  if (found != NULL)
    {
      *value = found->value;
    }
  else
    {
      reason = g_string_new (NULL);
      g_string_printf (reason, "“%s” is not known; write ", text);
      for (guint i = 0; i < klass->n_values; i++)
        g_string_append_printf (reason, "%s\"%s\"",
                                i == 0                     ? ""
                                : i + 1 == klass->n_values ? " or "
                                                           : ", ",
                                klass->values[i].value_nick);
      refuse (reader, member, reason->str, error);
    }
  g_type_class_unref (klass);
  return found != NULL;
}

/* Opens an object within. Returns FALSE with no error where it is missing. */
static gboolean
read_object (const Reader *reader, const char *member, Reader *inner, GError **error)
{
  gboolean ok;
  JsonNode *node = get_node (reader, member, JSON_NODE_OBJECT, 0, "an object { … }", &ok, error);

  if (node == NULL)
    return FALSE;
  inner->object = json_node_get_object (node);
  inner->path = g_strconcat (reader->path, member, ".", NULL);
  return TRUE;
}

/* The members that are not in @known, or NULL where there is none. */
static JsonObject *
find_unknown (JsonObject *object, const char *const *known)
{
  JsonObject *unknown = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!g_strv_contains (known, name))
      {
        if (unknown == NULL)
          unknown = json_object_new ();
        json_object_set_member (unknown, name, json_node_copy (node));
      }
  return unknown;
}

static void
keep_unknown (KpPlan *plan, KpPlanLevel level, const Reader *reader, const char *const *known)
{
  g_autoptr (JsonObject) unknown = find_unknown (reader->object, known);

  kp_plan_set_unknown (plan, level, unknown);
}

/* Paths and patterns are any bytes, JSON is UTF-8: they are written as kp-name.h says. */
static char *
decode_bytes (const Reader *reader, const char *member, const char *text, GError **error)
{
  char *bytes = kp_name_from_key (text, NULL);

  if (bytes == NULL)
    refuse (reader, member,
            "holds a character from U+E000 to U+E07F, which stands for no byte of a file name; "
            "write the name itself",
            error);
  return bytes;
}

static KpPlanSource *
read_source (const Reader *reader, GError **error)
{
  const char *path = NULL;
  const char *as = NULL;

  if (!require_text (reader, "path", "/home/user/Pictures", &path, error)
      || !read_text (reader, "as", &as, error))
    return NULL;

  g_autofree char *path_bytes = decode_bytes (reader, "path", path, error);
  if (path_bytes == NULL)
    return NULL;
  g_autofree char *as_bytes = as != NULL ? decode_bytes (reader, "as", as, error) : NULL;
  if (as != NULL && as_bytes == NULL)
    return NULL;

  KpPlanSource *source = kp_plan_source_new (path_bytes, as_bytes);
  source->unknown = find_unknown (reader->object, source_members);
  return source;
}

static gboolean
read_sources (KpPlan *plan, const Reader *reader, GError **error)
{
  g_autoptr (GPtrArray) sources
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
  gboolean ok;
  JsonNode *node = get_node (reader, "sources", JSON_NODE_ARRAY, 0, "a list [ … ]", &ok, error);

  if (!ok)
    return FALSE;
  JsonArray *array = node != NULL ? json_node_get_array (node) : NULL;
  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      g_auto (Reader) inner = { .path = g_strdup_printf ("sources[%u].", i) };
      g_autofree char *member = g_strdup_printf ("sources[%u]", i);

      if (!JSON_NODE_HOLDS_OBJECT (element))
        return refuse (reader, member,
                       "is not an object; write for example "
                       "{ \"path\": \"/home/user/Pictures\", \"as\": \"Pictures\" }",
                       error);
      inner.object = json_node_get_object (element);
      KpPlanSource *source = read_source (&inner, error);
      if (source == NULL)
        return FALSE;
      g_ptr_array_add (sources, source);
    }
  kp_plan_set_sources (plan, sources);
  return TRUE;
}

static gboolean
read_exclude (KpPlan *plan, const Reader *reader, GError **error)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  gboolean ok;
  JsonNode *node = get_node (reader, "exclude", JSON_NODE_ARRAY, 0, "a list [ … ]", &ok, error);

  if (node == NULL)
    return ok;
  JsonArray *array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      g_autofree char *member = g_strdup_printf ("exclude[%u]", i);

      if (json_node_get_value_type (element) != G_TYPE_STRING)
        return refuse (reader, member, "is not a text in quotes; write for example \"*.tmp\"",
                       error);
      g_autofree char *pattern
          = decode_bytes (reader, member, json_node_get_string (element), error);
      if (pattern == NULL)
        return FALSE;
      g_strv_builder_add (builder, pattern);
    }
  g_auto (GStrv) patterns = g_strv_builder_end (builder);
  kp_plan_set_exclude (plan, (const char *const *) patterns);
  return TRUE;
}

static gboolean
read_destination (KpPlan *plan, const Reader *reader, GError **error)
{
  g_auto (Reader) inner = { NULL };
  const char *texts[N_DESTINATION_TEXTS] = { "", "", "", "", "", "" };
  const char *bucket = NULL;
  gboolean allow_http = FALSE;

  if (!json_object_has_member (reader->object, "destination"))
    return refuse (reader, "destination",
                   "is missing; write for example \"destination\": { \"provider\": \"aws\", "
                   "\"region\": \"eu-central-1\", \"bucket\": \"my-backup\" }",
                   error);
  if (!read_object (reader, "destination", &inner, error))
    return FALSE;
  if (!require_text (&inner, "bucket", "my-backup", &bucket, error))
    return FALSE;
  for (guint i = 0; i < N_DESTINATION_TEXTS; i++)
    if (!read_text (&inner, destination_members[i], &texts[i], error))
      return FALSE;
  if (!read_boolean (&inner, "allow-http", &allow_http, error))
    return FALSE;

  kp_plan_set_provider (plan, texts[0]);
  kp_plan_set_endpoint (plan, texts[1]);
  kp_plan_set_region (plan, texts[2]);
  kp_plan_set_bucket (plan, texts[3]);
  kp_plan_set_prefix (plan, texts[4]);
  kp_plan_set_storage_class (plan, texts[5]);
  kp_plan_set_allow_http (plan, allow_http);
  keep_unknown (plan, KP_PLAN_LEVEL_DESTINATION, &inner, destination_members);
  return TRUE;
}

static gboolean
read_conditions (KpPlan *plan, const Reader *reader, GError **error)
{
  g_auto (Reader) inner = { NULL };
  g_autoptr (GError) local_error = NULL;
  int metered = KP_PLAN_CONDITION_WAIT;
  int battery = KP_PLAN_CONDITION_WAIT;

  if (!read_object (reader, "conditions", &inner, &local_error))
    {
      if (local_error == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (!read_word (&inner, "metered", KP_TYPE_PLAN_CONDITION, &metered, error)
      || !read_word (&inner, "battery", KP_TYPE_PLAN_CONDITION, &battery, error))
    return FALSE;
  kp_plan_set_metered (plan, (KpPlanCondition) metered);
  kp_plan_set_battery (plan, (KpPlanCondition) battery);
  keep_unknown (plan, KP_PLAN_LEVEL_CONDITIONS, &inner, condition_members);
  return TRUE;
}

static gboolean
read_schedule (KpPlan *plan, const Reader *reader, GError **error)
{
  const char *text = NULL;

  if (!read_text (reader, "schedule", &text, error))
    return FALSE;
  if (text == NULL)
    return TRUE;
  g_autoptr (KpSchedule) schedule = kp_schedule_parse (text, error);
  if (schedule == NULL)
    {
      g_prefix_error_literal (error, "schedule: ");
      return FALSE;
    }
  kp_plan_set_schedule (plan, schedule);
  return TRUE;
}

/* "never", "mirror", or "keep 30 days". */
static gboolean
read_delete (KpPlan *plan, const Reader *reader, GError **error)
{
  const char *text = "never";
  unsigned days = kp_plan_get_keep_days (plan);

  if (!read_text (reader, "delete", &text, error))
    return FALSE;
  if (g_str_has_prefix (text, KEEP) && kp_plan_parse_days (text + strlen (KEEP), &days))
    kp_plan_set_delete (plan, KP_PLAN_DELETE_KEEP);
  else if (g_str_equal (text, "mirror"))
    kp_plan_set_delete (plan, KP_PLAN_DELETE_MIRROR);
  else if (g_str_equal (text, "never"))
    kp_plan_set_delete (plan, KP_PLAN_DELETE_NEVER);
  else
    {
      g_autofree char *reason
          = g_str_has_prefix (text, KEEP)
                ? g_strdup_printf ("“%s” does not say how long; write \"keep 30 days\", with 1 to "
                                   "%d days",
                                   text, KP_PLAN_KEEP_DAYS_MAX)
                : g_strdup_printf (
                    "“%s” is not known; write \"never\", \"mirror\" or \"keep 30 days\"", text);
      return refuse (reader, "delete", reason, error);
    }
  kp_plan_set_keep_days (plan, days);
  return TRUE;
}

static gboolean
read_words (KpPlan *plan, const Reader *reader, GError **error)
{
  int kind = KP_PLAN_KIND_MIRROR;
  int verify = KP_PLAN_VERIFY_MONTHLY;
  const char *limit = "off";
  const char *timetable = "";
  gboolean enabled = TRUE;

  if (!read_word (reader, "kind", KP_TYPE_PLAN_KIND, &kind, error)
      || !read_delete (plan, reader, error)
      || !read_word (reader, "verify", KP_TYPE_PLAN_VERIFY, &verify, error)
      || !read_text (reader, "upload-limit", &limit, error)
      || !read_text (reader, "timetable", &timetable, error)
      || !read_boolean (reader, "enabled", &enabled, error))
    return FALSE;
  kp_plan_set_verify (plan, (KpPlanVerify) verify);
  kp_plan_set_upload_limit (plan, limit);
  kp_plan_set_timetable (plan, timetable);
  kp_plan_set_enabled (plan, enabled);
  return TRUE;
}

static gboolean
check_version (const Reader *reader, GError **error)
{
  gboolean ok;
  JsonNode *node
      = get_node (reader, "version", JSON_NODE_VALUE, G_TYPE_INT64, "a whole number", &ok, error);

  if (!ok)
    return FALSE;
  if (node == NULL)
    return refuse (reader, "version",
                   "is missing; write \"version\": " G_STRINGIFY (FORMAT_VERSION), error);

  gint64 version = json_node_get_int (node);
  if (version > FORMAT_VERSION)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "version: the plan was written by a newer Keepsake (format %" G_GINT64_FORMAT
                   ", and this one knows up to %d); update Keepsake",
                   version, FORMAT_VERSION);
      return FALSE;
    }
  if (version < 1)
    return refuse (reader, "version",
                   "there was no such format; write " G_STRINGIFY (FORMAT_VERSION), error);
  return TRUE;
}

static KpPlan *
read_plan (JsonObject *object, GError **error)
{
  g_auto (Reader) reader = { object, g_strdup ("") };
  const char *id = NULL;
  const char *name = NULL;

  if (!check_version (&reader, error)
      || !require_text (&reader, "id", "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a", &id, error)
      || !require_text (&reader, "name", "Photos", &name, error))
    return NULL;

  g_autoptr (KpPlan) plan = kp_plan_new_with_id (id);
  kp_plan_set_name (plan, name);
  if (!read_sources (plan, &reader, error) || !read_exclude (plan, &reader, error)
      || !read_destination (plan, &reader, error) || !read_words (plan, &reader, error)
      || !read_schedule (plan, &reader, error) || !read_conditions (plan, &reader, error))
    return NULL;
  keep_unknown (plan, KP_PLAN_LEVEL_TOP, &reader, top_members);
  return kp_plan_validate (plan, error) ? g_steal_pointer (&plan) : NULL;
}

/* What json-glib lets pass or cannot bear: brackets too deep for its recursion, and something after
 * the end, which would be gone when the plan is saved. Strings are skipped as its scanner does, so
 * what is wrong with them it will say. */
static gboolean
check_shape (const char *text, GError **error)
{
  guint line = 1;
  guint depth = 0;
  gboolean ended = FALSE;

  for (const char *p = text; *p != '\0'; p++)
    {
      const char quote = *p;

      if (*p == '\n')
        line++;
      if (g_ascii_isspace (*p))
        continue;
      if (ended)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                       "line %u: the plan has ended before; take away what follows", line);
          return FALSE;
        }
      if (*p == '"' || *p == '\'')
        {
          for (p++; *p != '\0' && *p != quote; p++)
            {
              if (*p == '\\' && p[1] != '\0')
                p++;
              if (*p == '\n')
                line++;
            }
          if (*p == '\0')
            return TRUE;
        }
      else if (*p == '{' || *p == '[')
        {
          if (++depth > MAX_DEPTH)
            {
              g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                           "line %u: the brackets are nested too deeply for a plan", line);
              return FALSE;
            }
        }
      else if ((*p == '}' || *p == ']') && depth > 0)
        {
          ended = --depth == 0;
        }
    }
  return TRUE;
}

/* "<data>:3:4: Parse error: unexpected …" becomes "line 3: unexpected …". */
static void
set_syntax_error (const GError *cause, GError **error)
{
  static const char prefix[] = "<data>:";
  static const char marker[] = "Parse error: ";
  const char *reason = strstr (cause->message, marker);

  if (reason != NULL && g_str_has_prefix (cause->message, prefix))
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "line %" G_GUINT64_FORMAT ": %s",
                 g_ascii_strtoull (cause->message + strlen (prefix), NULL, 10),
                 reason + strlen (marker));
  else
    g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "is not JSON: %s", cause->message);
}

/* An error that begins with a member's path gets the line where that stands in front, where there
 * is more than one. */
static void
add_line (KpPlanLines *lines, JsonObject *root, const char *text, GError **error)
{
  g_autofree char *path = NULL;
  guint line;

  if (error == NULL || strchr (text, '\n') == NULL)
    return;
  path = g_strndup ((*error)->message, strcspn ((*error)->message, ":"));
  line = kp_plan_lines_find (lines, root, path);
  if (line > 0)
    g_prefix_error (error, "line %u: ", line);
}

static KpPlan *
parse_plan (const char *text, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (KpPlanLines) lines = kp_plan_lines_new (parser);
  g_autoptr (GError) local_error = NULL;

  if (!check_shape (text, error))
    return NULL;
  if (!json_parser_load_from_data (parser, text, -1, &local_error))
    {
      set_syntax_error (local_error, error);
      return NULL;
    }
  JsonNode *root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_USAGE,
                           root == NULL ? "is empty" : "is not an object { … }");
      return NULL;
    }
  KpPlan *plan = read_plan (json_node_get_object (root), error);
  if (plan == NULL)
    add_line (lines, json_node_get_object (root), text, error);
  return plan;
}

/**
 * kp_plan_new_from_json:
 * @text: the content of a plan file
 * @file_name: for messages
 * @error: %KP_ERROR_USAGE: "FILE: LINE: MEMBER: what is wrong; what to write"
 *
 * Returns: (transfer full): a plan that is valid
 */
KpPlan *
kp_plan_new_from_json (const char *text, const char *file_name, GError **error)
{
  g_autoptr (KpPlan) plan = parse_plan (text, error);

  if (plan == NULL)
    g_prefix_error (error, "%s: ", file_name);
  return g_steal_pointer (&plan);
}

/* --- writing -------------------------------------------------------------------------------- */

static void
write_bytes (JsonObject *object, const char *member, const char *bytes)
{
  g_autofree char *text = kp_name_to_key (bytes);

  json_object_set_string_member (object, member, text);
}

static void
write_word (JsonObject *object, const char *member, GType type, int value)
{
  GEnumClass *klass = g_type_class_ref (type);

  json_object_set_string_member (object, member, g_enum_get_value (klass, value)->value_nick);
  g_type_class_unref (klass);
}

static void
write_unknown (JsonObject *object, JsonObject *unknown)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (unknown == NULL)
    return;
  json_object_iter_init_ordered (&iter, unknown);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    json_object_set_member (object, name, json_node_copy (node));
}

static JsonArray *
write_sources (KpPlan *plan)
{
  GPtrArray *sources = kp_plan_get_sources (plan);
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      JsonObject *object = json_object_new ();

      write_bytes (object, "path", source->path);
      write_bytes (object, "as", source->as);
      write_unknown (object, source->unknown);
      json_array_add_object_element (array, object);
    }
  return array;
}

static JsonArray *
write_exclude (KpPlan *plan)
{
  JsonArray *array = json_array_new ();

  for (const char *const *pattern = kp_plan_get_exclude (plan); *pattern != NULL; pattern++)
    {
      g_autofree char *text = kp_name_to_key (*pattern);
      json_array_add_string_element (array, text);
    }
  return array;
}

static JsonObject *
write_destination (KpPlan *plan)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "provider", kp_plan_get_provider (plan));
  json_object_set_string_member (object, "endpoint", kp_plan_get_endpoint (plan));
  json_object_set_string_member (object, "region", kp_plan_get_region (plan));
  json_object_set_string_member (object, "bucket", kp_plan_get_bucket (plan));
  json_object_set_string_member (object, "prefix", kp_plan_get_prefix (plan));
  json_object_set_string_member (object, "storage-class", kp_plan_get_storage_class (plan));
  if (kp_plan_get_allow_http (plan))
    json_object_set_boolean_member (object, "allow-http", TRUE);
  write_unknown (object, kp_plan_get_unknown (plan, KP_PLAN_LEVEL_DESTINATION));
  return object;
}

static JsonObject *
write_conditions (KpPlan *plan)
{
  JsonObject *object = json_object_new ();

  write_word (object, "metered", KP_TYPE_PLAN_CONDITION, (int) kp_plan_get_metered (plan));
  write_word (object, "battery", KP_TYPE_PLAN_CONDITION, (int) kp_plan_get_battery (plan));
  write_unknown (object, kp_plan_get_unknown (plan, KP_PLAN_LEVEL_CONDITIONS));
  return object;
}

static void
write_delete (JsonObject *object, KpPlan *plan)
{
  unsigned days = kp_plan_get_keep_days (plan);

  if (kp_plan_get_delete (plan) == KP_PLAN_DELETE_KEEP)
    {
      g_autofree char *text = g_strdup_printf (KEEP "%u %s", days, days == 1 ? "day" : "days");
      json_object_set_string_member (object, "delete", text);
    }
  else
    write_word (object, "delete", KP_TYPE_PLAN_DELETE, (int) kp_plan_get_delete (plan));
}

/**
 * kp_plan_to_json:
 *
 * Returns: (transfer full): the plan as the content of its file: members in the order of the
 *   documentation, then those that we do not know, in theirs
 */
char *
kp_plan_to_json (KpPlan *plan)
{
  g_autoptr (JsonObject) object = json_object_new ();

  g_return_val_if_fail (KP_IS_PLAN (plan), NULL);

  json_object_set_int_member (object, "version", FORMAT_VERSION);
  json_object_set_string_member (object, "id", kp_plan_get_id (plan));
  json_object_set_string_member (object, "name", kp_plan_get_name (plan));
  write_word (object, "kind", KP_TYPE_PLAN_KIND, (int) kp_plan_get_kind (plan));
  json_object_set_array_member (object, "sources", write_sources (plan));
  json_object_set_array_member (object, "exclude", write_exclude (plan));
  json_object_set_object_member (object, "destination", write_destination (plan));
  write_delete (object, plan);
  json_object_set_string_member (object, "schedule",
                                 kp_schedule_to_string (kp_plan_get_schedule (plan)));
  json_object_set_string_member (object, "upload-limit", kp_plan_get_upload_limit (plan));
  json_object_set_string_member (object, "timetable", kp_plan_get_timetable (plan));
  json_object_set_object_member (object, "conditions", write_conditions (plan));
  write_word (object, "verify", KP_TYPE_PLAN_VERIFY, (int) kp_plan_get_verify (plan));
  json_object_set_boolean_member (object, "enabled", kp_plan_get_enabled (plan));
  write_unknown (object, kp_plan_get_unknown (plan, KP_PLAN_LEVEL_TOP));

  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  json_node_set_object (root, object);
  g_autofree char *text = json_to_string (root, TRUE);
  return g_strconcat (text, "\n", NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-plan"

#include "kp-plan-private.h"

#include <string.h>

/* Texts first and then numbers, so that each kind is one row of fields. */
enum
{
  PROP_0,
  PROP_ID,
  PROP_NAME,
  PROP_PROVIDER,
  PROP_ENDPOINT,
  PROP_REGION,
  PROP_BUCKET,
  PROP_PREFIX,
  PROP_STORAGE_CLASS,
  PROP_UPLOAD_LIMIT,
  PROP_TIMETABLE,
  N_TEXTS,

  PROP_KIND = N_TEXTS,
  PROP_DELETE,
  PROP_METERED,
  PROP_BATTERY,
  PROP_VERIFY,
  PROP_KEEP_DAYS,
  PROP_ALLOW_HTTP,
  PROP_ENABLED,
  N_NUMBERS,

  PROP_SOURCES = N_NUMBERS,
  PROP_EXCLUDE,
  PROP_SCHEDULE,
  N_PROPERTIES,
};

struct _KpPlan
{
  GObject parent_instance;

  char *texts[N_TEXTS];   /* never NULL after construction, but the first */
  int numbers[N_NUMBERS]; /* enumerations and booleans, from N_TEXTS on */
  GPtrArray *sources;     /* (element-type KpPlanSource): never changed, only replaced */
  char **exclude;
  KpSchedule *schedule;
  JsonObject *unknown[KP_PLAN_N_LEVELS]; /* or NULL */
};

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (KpPlan, kp_plan, G_TYPE_OBJECT)

G_DEFINE_BOXED_TYPE (KpPlanSource, kp_plan_source, kp_plan_source_copy, kp_plan_source_free)

/* The nicks are the words of the file. */
G_DEFINE_ENUM_TYPE (KpPlanKind, kp_plan_kind, G_DEFINE_ENUM_VALUE (KP_PLAN_KIND_MIRROR, "mirror"))

G_DEFINE_ENUM_TYPE (KpPlanDelete,
                    kp_plan_delete,
                    G_DEFINE_ENUM_VALUE (KP_PLAN_DELETE_NEVER, "never"),
                    G_DEFINE_ENUM_VALUE (KP_PLAN_DELETE_MIRROR, "mirror"),
                    /* In the file there are the days behind it. */
                    G_DEFINE_ENUM_VALUE (KP_PLAN_DELETE_KEEP, "keep"))

G_DEFINE_ENUM_TYPE (KpPlanCondition,
                    kp_plan_condition,
                    G_DEFINE_ENUM_VALUE (KP_PLAN_CONDITION_WAIT, "wait"),
                    G_DEFINE_ENUM_VALUE (KP_PLAN_CONDITION_RUN, "run"))

G_DEFINE_ENUM_TYPE (KpPlanVerify,
                    kp_plan_verify,
                    G_DEFINE_ENUM_VALUE (KP_PLAN_VERIFY_OFF, "off"),
                    G_DEFINE_ENUM_VALUE (KP_PLAN_VERIFY_WEEKLY, "weekly"),
                    G_DEFINE_ENUM_VALUE (KP_PLAN_VERIFY_MONTHLY, "monthly"))

/**
 * kp_plan_source_new:
 * @path: of a folder or file
 * @as: (nullable): the name below the prefix; %NULL for its own
 */
KpPlanSource *
kp_plan_source_new (const char *path, const char *as)
{
  KpPlanSource *source = g_new0 (KpPlanSource, 1);

  source->path = g_strdup (path);
  if (as != NULL)
    source->as = g_strdup (as);
  else
    source->as = g_str_equal (path, "/") ? g_strdup ("") : g_path_get_basename (path);
  return source;
}

KpPlanSource *
kp_plan_source_copy (const KpPlanSource *source)
{
  KpPlanSource *copy = kp_plan_source_new (source->path, source->as);

  if (source->unknown != NULL)
    copy->unknown = json_object_ref (source->unknown);
  return copy;
}

void
kp_plan_source_free (KpPlanSource *source)
{
  g_free (source->path);
  g_free (source->as);
  g_clear_pointer ((JsonObject **) &source->unknown, json_object_unref);
  g_free (source);
}

static void
free_source (gpointer data)
{
  kp_plan_source_free (data);
}

static void
set_text (KpPlan *self, guint property, const char *text)
{
  if (text == NULL)
    text = "";
  if (g_str_equal (self->texts[property], text))
    return;
  g_free (self->texts[property]);
  self->texts[property] = g_strdup (text);
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

static void
set_number (KpPlan *self, guint property, int number)
{
  if (self->numbers[property] == number)
    return;
  self->numbers[property] = number;
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

static void
kp_plan_constructed (GObject *object)
{
  KpPlan *self = KP_PLAN (object);

  G_OBJECT_CLASS (kp_plan_parent_class)->constructed (object);
  if (self->texts[PROP_ID] == NULL)
    self->texts[PROP_ID] = g_uuid_string_random ();
}

static void
kp_plan_finalize (GObject *object)
{
  KpPlan *self = KP_PLAN (object);

  for (guint i = 0; i < N_TEXTS; i++)
    g_free (self->texts[i]);
  for (guint i = 0; i < KP_PLAN_N_LEVELS; i++)
    g_clear_pointer (&self->unknown[i], json_object_unref);
  g_clear_pointer (&self->sources, g_ptr_array_unref);
  g_clear_pointer (&self->exclude, g_strfreev);
  g_clear_pointer (&self->schedule, kp_schedule_unref);
  G_OBJECT_CLASS (kp_plan_parent_class)->finalize (object);
}

static void
kp_plan_get_property (GObject *object, guint property, GValue *value, GParamSpec *pspec)
{
  KpPlan *self = KP_PLAN (object);

  if (property < N_TEXTS)
    g_value_set_string (value, self->texts[property]);
  else if (property == PROP_SOURCES)
    g_value_set_boxed (value, self->sources);
  else if (property == PROP_EXCLUDE)
    g_value_set_boxed (value, self->exclude);
  else if (property == PROP_SCHEDULE)
    g_value_set_boxed (value, self->schedule);
  else if (G_VALUE_HOLDS_BOOLEAN (value))
    g_value_set_boolean (value, self->numbers[property]);
  else if (G_VALUE_HOLDS_INT (value))
    g_value_set_int (value, self->numbers[property]);
  else
    g_value_set_enum (value, self->numbers[property]);
}

static void
kp_plan_set_property (GObject *object, guint property, const GValue *value, GParamSpec *pspec)
{
  KpPlan *self = KP_PLAN (object);

  if (property == PROP_ID)
    self->texts[PROP_ID] = g_value_dup_string (value);
  else if (property < N_TEXTS)
    set_text (self, property, g_value_get_string (value));
  else if (property == PROP_SOURCES)
    kp_plan_set_sources (self, g_value_get_boxed (value));
  else if (property == PROP_EXCLUDE)
    kp_plan_set_exclude (self, g_value_get_boxed (value));
  else if (property == PROP_SCHEDULE)
    kp_plan_set_schedule (self, g_value_get_boxed (value));
  else if (G_VALUE_HOLDS_BOOLEAN (value))
    set_number (self, property, g_value_get_boolean (value));
  else if (G_VALUE_HOLDS_INT (value))
    set_number (self, property, g_value_get_int (value));
  else
    set_number (self, property, g_value_get_enum (value));
}

static void
install_text (guint property, const char *name)
{
  properties[property] = g_param_spec_string (
      name, NULL, NULL, "", G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
}

static void
install_enum (guint property, const char *name, GType type, int value)
{
  properties[property]
      = g_param_spec_enum (name, NULL, NULL, type, value,
                           G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
}

static void
install_boolean (guint property, const char *name, gboolean value)
{
  properties[property]
      = g_param_spec_boolean (name, NULL, NULL, value,
                              G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
}

static void
install_boxed (guint property, const char *name, GType type)
{
  properties[property] = g_param_spec_boxed (
      name, NULL, NULL, type, G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
}

static void
kp_plan_class_init (KpPlanClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = kp_plan_constructed;
  object_class->finalize = kp_plan_finalize;
  object_class->get_property = kp_plan_get_property;
  object_class->set_property = kp_plan_set_property;

  properties[PROP_ID] = g_param_spec_string (
      "id", NULL, NULL, NULL, G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  properties[PROP_KIND]
      = g_param_spec_enum ("kind", NULL, NULL, KP_TYPE_PLAN_KIND, KP_PLAN_KIND_MIRROR,
                           G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  install_text (PROP_NAME, "name");
  install_text (PROP_PROVIDER, "provider");
  install_text (PROP_ENDPOINT, "endpoint");
  install_text (PROP_REGION, "region");
  install_text (PROP_BUCKET, "bucket");
  install_text (PROP_PREFIX, "prefix");
  install_text (PROP_STORAGE_CLASS, "storage-class");
  install_text (PROP_UPLOAD_LIMIT, "upload-limit");
  install_text (PROP_TIMETABLE, "timetable");
  install_enum (PROP_DELETE, "delete", KP_TYPE_PLAN_DELETE, KP_PLAN_DELETE_NEVER);
  install_enum (PROP_METERED, "metered", KP_TYPE_PLAN_CONDITION, KP_PLAN_CONDITION_WAIT);
  install_enum (PROP_BATTERY, "battery", KP_TYPE_PLAN_CONDITION, KP_PLAN_CONDITION_WAIT);
  install_enum (PROP_VERIFY, "verify", KP_TYPE_PLAN_VERIFY, KP_PLAN_VERIFY_MONTHLY);
  properties[PROP_KEEP_DAYS] = g_param_spec_int (
      "keep-days", NULL, NULL, 1, KP_PLAN_KEEP_DAYS_MAX, KP_PLAN_KEEP_DAYS_USUAL,
      G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  install_boolean (PROP_ALLOW_HTTP, "allow-http", FALSE);
  install_boolean (PROP_ENABLED, "enabled", TRUE);
  install_boxed (PROP_SOURCES, "sources", G_TYPE_PTR_ARRAY);
  install_boxed (PROP_EXCLUDE, "exclude", G_TYPE_STRV);
  install_boxed (PROP_SCHEDULE, "schedule", KP_TYPE_SCHEDULE);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
kp_plan_init (KpPlan *self)
{
  for (guint i = PROP_NAME; i < N_TEXTS; i++)
    self->texts[i] = g_strdup ("");
  self->numbers[PROP_VERIFY] = KP_PLAN_VERIFY_MONTHLY;
  self->numbers[PROP_KEEP_DAYS] = KP_PLAN_KEEP_DAYS_USUAL;
  self->numbers[PROP_ENABLED] = TRUE;
  self->sources = g_ptr_array_new_with_free_func (free_source);
  self->exclude = g_new0 (char *, 1);
  self->schedule = kp_schedule_parse ("@daily", NULL);
}

KpPlan *
kp_plan_new_with_id (const char *id)
{
  return g_object_new (KP_TYPE_PLAN, "id", id, NULL);
}

/**
 * kp_plan_new:
 *
 * Returns: (transfer full): a plan with an id of its own and what suits most people: daily, no
 *   limit, nothing deleted, verified once a month. Name, sources and destination are to be filled
 *   in.
 */
KpPlan *
kp_plan_new (void)
{
  return kp_plan_new_with_id (NULL);
}

JsonObject *
kp_plan_get_unknown (KpPlan *self, KpPlanLevel level)
{
  return self->unknown[level];
}

void
kp_plan_set_unknown (KpPlan *self, KpPlanLevel level, JsonObject *members)
{
  if (members != NULL)
    json_object_ref (members);
  g_clear_pointer (&self->unknown[level], json_object_unref);
  self->unknown[level] = members;
}

/**
 * kp_plan_assign:
 * @from: another plan, or another version of this one
 *
 * Takes over everything but the id.
 */
void
kp_plan_assign (KpPlan *self, KpPlan *from)
{
  g_return_if_fail (KP_IS_PLAN (self));
  g_return_if_fail (KP_IS_PLAN (from));

  g_object_freeze_notify (G_OBJECT (self));
  for (guint i = PROP_NAME; i < N_TEXTS; i++)
    set_text (self, i, from->texts[i]);
  for (guint i = N_TEXTS; i < N_NUMBERS; i++)
    set_number (self, i, from->numbers[i]);
  kp_plan_set_sources (self, from->sources);
  kp_plan_set_exclude (self, (const char *const *) from->exclude);
  kp_plan_set_schedule (self, from->schedule);
  for (guint i = 0; i < KP_PLAN_N_LEVELS; i++)
    kp_plan_set_unknown (self, (KpPlanLevel) i, from->unknown[i]);
  g_object_thaw_notify (G_OBJECT (self));
}

/**
 * kp_plan_copy:
 *
 * Returns: (transfer full): the same plan, to be edited or handed to a job
 */
KpPlan *
kp_plan_copy (KpPlan *self)
{
  KpPlan *copy = kp_plan_new_with_id (self->texts[PROP_ID]);

  kp_plan_assign (copy, self);
  return copy;
}

/**
 * kp_plan_copy_as_new:
 *
 * Returns: (transfer full): another plan, with an id of its own, that says the same
 */
KpPlan *
kp_plan_copy_as_new (KpPlan *self)
{
  KpPlan *copy = kp_plan_new ();

  kp_plan_assign (copy, self);
  return copy;
}

/**
 * kp_plan_equal:
 *
 * Returns: whether both would be written as the same file
 */
gboolean
kp_plan_equal (KpPlan *a, KpPlan *b)
{
  g_autofree char *text_a = kp_plan_to_json (a);
  g_autofree char *text_b = kp_plan_to_json (b);

  return g_str_equal (text_a, text_b);
}

const char *
kp_plan_get_id (KpPlan *self)
{
  return self->texts[PROP_ID];
}

KpPlanKind
kp_plan_get_kind (KpPlan *self)
{
  return (KpPlanKind) self->numbers[PROP_KIND];
}

const char *
kp_plan_get_name (KpPlan *self)
{
  return self->texts[PROP_NAME];
}

void
kp_plan_set_name (KpPlan *self, const char *name)
{
  set_text (self, PROP_NAME, name);
}

/**
 * kp_plan_get_sources:
 *
 * Returns: (transfer none) (element-type KpPlanSource): not to be changed
 */
GPtrArray *
kp_plan_get_sources (KpPlan *self)
{
  return self->sources;
}

static gboolean
has_same_sources (GPtrArray *a, GPtrArray *b)
{
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++)
    {
      const KpPlanSource *source_a = a->pdata[i];
      const KpPlanSource *source_b = b->pdata[i];
      if (!g_str_equal (source_a->path, source_b->path) || !g_str_equal (source_a->as, source_b->as)
          || source_a->unknown != source_b->unknown)
        return FALSE;
    }
  return TRUE;
}

static const KpPlanSource *
find_source (GPtrArray *sources, const char *path)
{
  for (guint i = 0; i < sources->len; i++)
    {
      const KpPlanSource *source = sources->pdata[i];
      if (g_str_equal (source->path, path))
        return source;
    }
  return NULL;
}

/**
 * kp_plan_set_sources:
 * @sources: (element-type KpPlanSource): copied. What the file says of a path beyond what we know
 *   goes on with it.
 */
void
kp_plan_set_sources (KpPlan *self, GPtrArray *sources)
{
  g_autoptr (GPtrArray) copies = g_ptr_array_new_with_free_func (free_source);

  for (guint i = 0; sources != NULL && i < sources->len; i++)
    {
      KpPlanSource *copy = kp_plan_source_copy (sources->pdata[i]);
      const KpPlanSource *old = find_source (self->sources, copy->path);

      if (copy->unknown == NULL && old != NULL && old->unknown != NULL)
        copy->unknown = json_object_ref (old->unknown);
      g_ptr_array_add (copies, copy);
    }
  if (has_same_sources (self->sources, copies))
    return;
  g_ptr_array_unref (self->sources);
  self->sources = g_steal_pointer (&copies);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SOURCES]);
}

/**
 * kp_plan_add_source:
 * @path: of a folder or file
 * @as: (nullable): the name below the prefix; %NULL for its own
 */
void
kp_plan_add_source (KpPlan *self, const char *path, const char *as)
{
  g_autoptr (GPtrArray) sources = g_ptr_array_new_with_free_func (free_source);

  for (guint i = 0; i < self->sources->len; i++)
    g_ptr_array_add (sources, kp_plan_source_copy (self->sources->pdata[i]));
  g_ptr_array_add (sources, kp_plan_source_new (path, as));
  kp_plan_set_sources (self, sources);
}

/**
 * kp_plan_get_exclude:
 *
 * Returns: (transfer none): the patterns, ended by %NULL
 */
const char *const *
kp_plan_get_exclude (KpPlan *self)
{
  return (const char *const *) self->exclude;
}

/**
 * kp_plan_set_exclude:
 * @patterns: (nullable): as rsync's --exclude takes them, ended by %NULL
 */
void
kp_plan_set_exclude (KpPlan *self, const char *const *patterns)
{
  static const char *const none[] = { NULL };

  if (patterns == NULL)
    patterns = none;
  if (g_strv_equal (patterns, (const char *const *) self->exclude))
    return;
  char **copy = g_strdupv ((char **) patterns);
  g_strfreev (self->exclude);
  self->exclude = copy;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_EXCLUDE]);
}

const char *
kp_plan_get_provider (KpPlan *self)
{
  return self->texts[PROP_PROVIDER];
}

void
kp_plan_set_provider (KpPlan *self, const char *provider_id)
{
  set_text (self, PROP_PROVIDER, provider_id);
}

const char *
kp_plan_get_endpoint (KpPlan *self)
{
  return self->texts[PROP_ENDPOINT];
}

void
kp_plan_set_endpoint (KpPlan *self, const char *endpoint)
{
  set_text (self, PROP_ENDPOINT, endpoint);
}

const char *
kp_plan_get_region (KpPlan *self)
{
  return self->texts[PROP_REGION];
}

void
kp_plan_set_region (KpPlan *self, const char *region)
{
  set_text (self, PROP_REGION, region);
}

const char *
kp_plan_get_bucket (KpPlan *self)
{
  return self->texts[PROP_BUCKET];
}

void
kp_plan_set_bucket (KpPlan *self, const char *bucket)
{
  set_text (self, PROP_BUCKET, bucket);
}

const char *
kp_plan_get_prefix (KpPlan *self)
{
  return self->texts[PROP_PREFIX];
}

void
kp_plan_set_prefix (KpPlan *self, const char *prefix)
{
  set_text (self, PROP_PREFIX, prefix);
}

const char *
kp_plan_get_storage_class (KpPlan *self)
{
  return self->texts[PROP_STORAGE_CLASS];
}

void
kp_plan_set_storage_class (KpPlan *self, const char *storage_class)
{
  set_text (self, PROP_STORAGE_CLASS, storage_class);
}

/**
 * kp_plan_get_allow_http:
 *
 * Returns: whether the user agreed to send everything unencrypted through the network
 */
gboolean
kp_plan_get_allow_http (KpPlan *self)
{
  return self->numbers[PROP_ALLOW_HTTP];
}

void
kp_plan_set_allow_http (KpPlan *self, gboolean allow_http)
{
  set_number (self, PROP_ALLOW_HTTP, !!allow_http);
}

KpPlanDelete
kp_plan_get_delete (KpPlan *self)
{
  return (KpPlanDelete) self->numbers[PROP_DELETE];
}

void
kp_plan_set_delete (KpPlan *self, KpPlanDelete what)
{
  set_number (self, PROP_DELETE, (int) what);
  /* What is not in the file is not in the plan. */
  if (what != KP_PLAN_DELETE_KEEP)
    set_number (self, PROP_KEEP_DAYS, KP_PLAN_KEEP_DAYS_USUAL);
}

/**
 * kp_plan_get_keep_days:
 *
 * Returns: for how many days what is deleted or replaced is kept, with %KP_PLAN_DELETE_KEEP
 */
unsigned
kp_plan_get_keep_days (KpPlan *self)
{
  return (unsigned) self->numbers[PROP_KEEP_DAYS];
}

/**
 * kp_plan_set_keep_days:
 * @days: 1 to %KP_PLAN_KEEP_DAYS_MAX
 */
void
kp_plan_set_keep_days (KpPlan *self, unsigned days)
{
  set_number (self, PROP_KEEP_DAYS, (int) CLAMP (days, 1, KP_PLAN_KEEP_DAYS_MAX));
}

/**
 * kp_plan_parse_days:
 * @text: "30", "30d", "1 day", "30 days"
 * @days: (out): 1 to %KP_PLAN_KEEP_DAYS_MAX
 *
 * Returns: whether that is a number of days for which something can be kept
 */
gboolean
kp_plan_parse_days (const char *text, unsigned *days)
{
  static const char *const units[] = { "", "d", "day", "days", NULL };
  gsize length = strspn (text, "0123456789");
  g_autofree char *number = g_strndup (text, length);
  const char *unit = text + length + (text[length] == ' ' && text[length + 1] != '\0' ? 1 : 0);
  guint64 value;

  if (!g_strv_contains (units, unit)
      || !g_ascii_string_to_unsigned (number, 10, 1, KP_PLAN_KEEP_DAYS_MAX, &value, NULL))
    return FALSE;
  *days = (unsigned) value;
  return TRUE;
}

KpSchedule *
kp_plan_get_schedule (KpPlan *self)
{
  return self->schedule;
}

void
kp_plan_set_schedule (KpPlan *self, KpSchedule *schedule)
{
  g_return_if_fail (schedule != NULL);

  if (kp_schedule_equal (self->schedule, schedule))
    return;
  kp_schedule_ref (schedule);
  kp_schedule_unref (self->schedule);
  self->schedule = schedule;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SCHEDULE]);
}

const char *
kp_plan_get_upload_limit (KpPlan *self)
{
  return self->texts[PROP_UPLOAD_LIMIT];
}

/**
 * kp_plan_set_upload_limit:
 * @rate: bytes per second as kp_rate_parse() reads them; "" is "off"
 */
void
kp_plan_set_upload_limit (KpPlan *self, const char *rate)
{
  set_text (self, PROP_UPLOAD_LIMIT, rate);
}

const char *
kp_plan_get_timetable (KpPlan *self)
{
  return self->texts[PROP_TIMETABLE];
}

/**
 * kp_plan_set_timetable:
 * @timetable: limits by weekday and hour as kp_timetable_parse() reads them; "" for none
 */
void
kp_plan_set_timetable (KpPlan *self, const char *timetable)
{
  set_text (self, PROP_TIMETABLE, timetable);
}

KpPlanCondition
kp_plan_get_metered (KpPlan *self)
{
  return (KpPlanCondition) self->numbers[PROP_METERED];
}

void
kp_plan_set_metered (KpPlan *self, KpPlanCondition condition)
{
  set_number (self, PROP_METERED, (int) condition);
}

KpPlanCondition
kp_plan_get_battery (KpPlan *self)
{
  return (KpPlanCondition) self->numbers[PROP_BATTERY];
}

void
kp_plan_set_battery (KpPlan *self, KpPlanCondition condition)
{
  set_number (self, PROP_BATTERY, (int) condition);
}

KpPlanVerify
kp_plan_get_verify (KpPlan *self)
{
  return (KpPlanVerify) self->numbers[PROP_VERIFY];
}

void
kp_plan_set_verify (KpPlan *self, KpPlanVerify verify)
{
  set_number (self, PROP_VERIFY, (int) verify);
}

gboolean
kp_plan_get_enabled (KpPlan *self)
{
  return self->numbers[PROP_ENABLED];
}

void
kp_plan_set_enabled (KpPlan *self, gboolean enabled)
{
  set_number (self, PROP_ENABLED, !!enabled);
}

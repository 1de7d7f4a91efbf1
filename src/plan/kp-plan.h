/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* What the user set up: folders, excludes, destination, schedule, limits. One JSON file each, whose
 * format is in docs/formats.md; what a newer version wrote into it and we do not know is kept.
 *
 * Setters take anything, so that a form can be filled in any order; kp_plan_validate() says what is
 * still wrong, and nothing invalid is ever loaded or saved. A text that is not set is "", never
 * %NULL. Paths, names below the prefix and patterns are bytes as the file system has them.
 *
 * A plan holds no secret, runs nothing, and belongs to one thread: a job gets a copy. */

#include "kp-s3-location.h"
#include "kp-schedule.h"
#include "kp-timetable.h"

#include <glib-object.h>

G_BEGIN_DECLS

typedef enum
{
  KP_PLAN_KIND_MIRROR,
} KpPlanKind;

typedef enum
{
  KP_PLAN_DELETE_NEVER,  /* what vanishes here stays there */
  KP_PLAN_DELETE_MIRROR, /* as rsync --delete, as far as the delete guard lets it */
  KP_PLAN_DELETE_KEEP,   /* the same, but what is deleted or replaced is kept for some days */
} KpPlanDelete;

typedef enum
{
  KP_PLAN_CONDITION_WAIT,
  KP_PLAN_CONDITION_RUN,
} KpPlanCondition;

typedef enum
{
  KP_PLAN_VERIFY_OFF,
  KP_PLAN_VERIFY_WEEKLY,
  KP_PLAN_VERIFY_MONTHLY,
} KpPlanVerify;

/* For how many days what is deleted may be kept. */
#define KP_PLAN_KEEP_DAYS_MAX 3650
#define KP_PLAN_KEEP_DAYS_USUAL 30

#define KP_TYPE_PLAN_KIND (kp_plan_kind_get_type ())
#define KP_TYPE_PLAN_DELETE (kp_plan_delete_get_type ())
#define KP_TYPE_PLAN_CONDITION (kp_plan_condition_get_type ())
#define KP_TYPE_PLAN_VERIFY (kp_plan_verify_get_type ())

GType kp_plan_kind_get_type (void);
GType kp_plan_delete_get_type (void);
GType kp_plan_condition_get_type (void);
GType kp_plan_verify_get_type (void);

/* A folder, or a single file, and its name below the prefix. Immutable. */
typedef struct
{
  char *path; /* absolute */
  char *as;   /* "Pictures", "a/b", or "": its contents go right below the prefix */

  /*< private >*/
  gpointer unknown; /* (nullable): JsonObject with the members that we do not know */
} KpPlanSource;

#define KP_TYPE_PLAN_SOURCE (kp_plan_source_get_type ())

GType kp_plan_source_get_type (void);
KpPlanSource *kp_plan_source_new (const char *path, const char *as);
KpPlanSource *kp_plan_source_copy (const KpPlanSource *source);
void kp_plan_source_free (KpPlanSource *source);

#define KP_TYPE_PLAN (kp_plan_get_type ())
G_DECLARE_FINAL_TYPE (KpPlan, kp_plan, KP, PLAN, GObject)

KpPlan *kp_plan_new (void);
KpPlan *kp_plan_new_from_json (const char *text, const char *file_name, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
char *kp_plan_to_json (KpPlan *plan);
KpPlan *kp_plan_copy (KpPlan *plan);
KpPlan *kp_plan_copy_as_new (KpPlan *plan);
void kp_plan_assign (KpPlan *plan, KpPlan *from);
gboolean kp_plan_equal (KpPlan *a, KpPlan *b);
gboolean kp_plan_validate (KpPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean kp_plan_validate_beside (KpPlan *plan, KpPlan *before, KpPlan *other, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

const char *kp_plan_get_id (KpPlan *plan);
KpPlanKind kp_plan_get_kind (KpPlan *plan);
const char *kp_plan_get_name (KpPlan *plan);
void kp_plan_set_name (KpPlan *plan, const char *name);
GPtrArray *kp_plan_get_sources (KpPlan *plan);
void kp_plan_set_sources (KpPlan *plan, GPtrArray *sources);
void kp_plan_add_source (KpPlan *plan, const char *path, const char *as);
const char *const *kp_plan_get_exclude (KpPlan *plan);
void kp_plan_set_exclude (KpPlan *plan, const char *const *patterns);

const char *kp_plan_get_provider (KpPlan *plan);
void kp_plan_set_provider (KpPlan *plan, const char *provider_id);
const char *kp_plan_get_endpoint (KpPlan *plan);
void kp_plan_set_endpoint (KpPlan *plan, const char *endpoint);
const char *kp_plan_get_region (KpPlan *plan);
void kp_plan_set_region (KpPlan *plan, const char *region);
const char *kp_plan_get_bucket (KpPlan *plan);
void kp_plan_set_bucket (KpPlan *plan, const char *bucket);
const char *kp_plan_get_prefix (KpPlan *plan);
void kp_plan_set_prefix (KpPlan *plan, const char *prefix);
const char *kp_plan_get_storage_class (KpPlan *plan);
void kp_plan_set_storage_class (KpPlan *plan, const char *storage_class);
gboolean kp_plan_get_allow_http (KpPlan *plan);
void kp_plan_set_allow_http (KpPlan *plan, gboolean allow_http);
KpS3Location *kp_plan_dup_location (KpPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;

KpPlanDelete kp_plan_get_delete (KpPlan *plan);
void kp_plan_set_delete (KpPlan *plan, KpPlanDelete what);
unsigned kp_plan_get_keep_days (KpPlan *plan);
void kp_plan_set_keep_days (KpPlan *plan, unsigned days);
gboolean kp_plan_parse_days (const char *text, unsigned *days) G_GNUC_WARN_UNUSED_RESULT;
KpSchedule *kp_plan_get_schedule (KpPlan *plan);
void kp_plan_set_schedule (KpPlan *plan, KpSchedule *schedule);
const char *kp_plan_get_upload_limit (KpPlan *plan);
void kp_plan_set_upload_limit (KpPlan *plan, const char *rate);
const char *kp_plan_get_timetable (KpPlan *plan);
void kp_plan_set_timetable (KpPlan *plan, const char *timetable);
KpTimetable *kp_plan_dup_limits (KpPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
KpPlanCondition kp_plan_get_metered (KpPlan *plan);
void kp_plan_set_metered (KpPlan *plan, KpPlanCondition condition);
KpPlanCondition kp_plan_get_battery (KpPlan *plan);
void kp_plan_set_battery (KpPlan *plan, KpPlanCondition condition);
KpPlanVerify kp_plan_get_verify (KpPlan *plan);
void kp_plan_set_verify (KpPlan *plan, KpPlanVerify verify);
gboolean kp_plan_get_enabled (KpPlan *plan);
void kp_plan_set_enabled (KpPlan *plan, gboolean enabled);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpPlanSource, kp_plan_source_free)

G_END_DECLS

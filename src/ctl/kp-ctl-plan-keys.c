/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* Where a command is given an address and nobody has said which keys, those of the plan serve that
 * has stored something there. They are for that plan's server and bucket, and are never sent to
 * another one, whatever else is asked for: a plan counts only if its place, as the options have it,
 * is on the server that the plan itself names. */

#include "kp-ctl-plans.h"

#include "kp-error.h"
#include "kp-kept.h"
#include "kp-keyring.h"
#include "kp-name.h"

#include <string.h>

typedef struct
{
  KpPlan *plan;
  KpS3Location *place; /* the address, on the plan's server */
  char *identity;      /* of the place */
  gsize fit;           /* how well the plan's prefix fits that of the address */
} Candidate;

static void
candidate_free (Candidate *candidate)
{
  g_clear_object (&candidate->plan);
  g_clear_pointer (&candidate->place, kp_s3_location_unref);
  g_free (candidate->identity);
  g_free (candidate);
}

/* The longer the part of the prefix that both have, the better; and what a plan has stored is
 * better than what lies above it. What a plan keeps of its deletions is its own, too. */
static gboolean
measure_fit (KpS3Location *own, KpS3Location *asked, gsize *fit)
{
  const char *plans = kp_s3_location_get_prefix (own);
  const char *wanted = kp_s3_location_get_prefix (asked);
  g_autofree char *kept = g_strconcat (plans, KP_KEPT_NAME, NULL);
  gboolean is_plans = kp_name_is_within (wanted, plans) || kp_name_is_within (wanted, kept);

  *fit = is_plans ? 2 * strlen (plans) + 1 : 2 * strlen (wanted);
  return g_str_equal (kp_s3_location_get_bucket (own), kp_s3_location_get_bucket (asked))
         && (is_plans || kp_name_is_within (plans, wanted));
}

static const char *
first_of (const char *given, const char *plans)
{
  return given != NULL ? given : *plans != '\0' ? plans : NULL;
}

/* NULL where the plan does not fit. */
static Candidate *
make_candidate (KpPlan *plan,
                const KpCtlOptions *options,
                const char *address,
                KpS3Location *asked,
                gboolean has_endpoint)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KpS3Location) own = kp_plan_dup_location (plan, &error);
  g_autoptr (KpS3Location) place = NULL;
  gsize fit;

  if (own != NULL && !measure_fit (own, asked, &fit))
    return NULL;
  if (own != NULL)
    place = kp_s3_location_new (address, first_of (NULL, kp_plan_get_endpoint (plan)),
                                first_of (options->region, kp_plan_get_region (plan)),
                                first_of (options->provider, kp_plan_get_provider (plan)),
                                kp_plan_get_allow_http (plan), &error);
  if (place == NULL)
    {
      g_debug ("The plan “%s” has no place here: %s", kp_plan_get_name (plan), error->message);
      return NULL;
    }
  /* A region or a provider can lead to another server where the plan names none by its address. */
  if (!kp_s3_location_has_server_of (place, own)
      || (has_endpoint && !kp_s3_location_has_server_of (asked, own)))
    return NULL;

  Candidate *candidate = g_new0 (Candidate, 1);
  candidate->plan = g_object_ref (plan);
  candidate->identity = kp_s3_location_get_identity (place);
  candidate->place = g_steal_pointer (&place);
  candidate->fit = fit;
  return candidate;
}

static int
compare_fit (const void *a, const void *b)
{
  const Candidate *first = *(Candidate *const *) a;
  const Candidate *second = *(Candidate *const *) b;

  return first->fit > second->fit ? -1 : first->fit < second->fit;
}

/* The best first; those of the same fit as the store has them. */
static GPtrArray *
find_candidates (const KpCtlOptions *options,
                 const char *address,
                 KpS3Location *asked,
                 gboolean has_endpoint)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func ((GDestroyNotify) candidate_free);
  g_autoptr (GError) error = NULL;
  g_autoptr (KpPlanStore) store = kp_ctl_open_plans (&error);

  if (store == NULL)
    g_debug ("%s", error->message);
  for (guint i = 0; store != NULL && i < g_list_model_get_n_items (G_LIST_MODEL (store)); i++)
    {
      g_autoptr (KpPlan) plan = g_list_model_get_item (G_LIST_MODEL (store), i);
      Candidate *candidate = make_candidate (plan, options, address, asked, has_endpoint);
      if (candidate != NULL)
        g_ptr_array_add (found, candidate);
    }
  g_ptr_array_sort (found, compare_fit);
  return g_steal_pointer (&found);
}

/* Whether one fits as well as the best, and means another place by the address. */
static gboolean
is_ambiguous (GPtrArray *candidates, GError **error)
{
  const Candidate *best = g_ptr_array_index (candidates, 0);

  for (guint i = 1; i < candidates->len; i++)
    {
      const Candidate *other = g_ptr_array_index (candidates, i);
      if (other->fit == best->fit && !g_str_equal (other->identity, best->identity))
        {
          g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
                       "The plans “%s” and “%s” fit this address, at %s and %s; say with "
                       "--endpoint-url URL which server is meant",
                       kp_plan_get_name (best->plan), kp_plan_get_name (other->plan),
                       kp_s3_location_get_endpoint (best->place),
                       kp_s3_location_get_endpoint (other->place));
          return TRUE;
        }
    }
  return FALSE;
}

static void
set_no_keys (KpKeyringStatus status, const Candidate *best, GError **error)
{
  g_autofree char *remedy = NULL;

  if (status == KP_KEYRING_LOCKED)
    remedy = g_strdup_printf ("or unlock the keyring, which has those of “%s”",
                              kp_plan_get_name (best->plan));
  else if (status == KP_KEYRING_MISSING)
    remedy = g_strdup_printf ("or have the keyring keep those of “%s” (keepsakectl credentials "
                              "set)",
                              kp_plan_get_name (best->plan));
  g_set_error (error, KP_ERROR, KP_ERROR_BAD_CREDENTIALS,
               "There are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use "
               "--profile NAME or --passwd-file FILE%s%s",
               remedy != NULL ? ", " : "", remedy != NULL ? remedy : "");
}

/**
 * kp_ctl_find_keys_of_address:
 * @address: "s3://BUCKET/PREFIX"
 * @has_endpoint: whether somebody has said which server is meant
 * @location: (inout): the address as options and environment have it; as the plan has it afterwards
 * @error: %KP_ERROR_BAD_CREDENTIALS
 *
 * Returns: (transfer full): the keys of a plan that has the address, or something above or below
 *   it, if the keyring is open. Nobody is asked to unlock it.
 */
KpS3Credentials *
kp_ctl_find_keys_of_address (const KpCtlOptions *options,
                             const char *address,
                             gboolean has_endpoint,
                             KpS3Location **location,
                             GError **error)
{
  g_autoptr (GPtrArray) candidates = find_candidates (options, address, *location, has_endpoint);
  const Candidate *best = candidates->len > 0 ? g_ptr_array_index (candidates, 0) : NULL;
  /* The end of the session must not be ours: libsecret uses the same connection. */
  g_autoptr (GDBusConnection) bus = best != NULL ? kp_ctl_session_bus (NULL) : NULL;
  KpKeyringStatus said = KP_KEYRING_UNAVAILABLE;

  for (guint i = 0; bus != NULL && i < candidates->len; i++)
    {
      const Candidate *candidate = g_ptr_array_index (candidates, i);
      g_autoptr (KpS3Credentials) credentials = NULL;
      g_autoptr (GError) reason = NULL;

      if (!g_str_equal (candidate->identity, best->identity))
        continue;
      KpKeyringStatus status = kp_keyring_lookup (kp_plan_get_id (candidate->plan), FALSE,
                                                  &credentials, NULL, &reason);
      if (i == 0)
        said = status;
      /* Without a keyring, it does not matter whose keys it might have. */
      if (status == KP_KEYRING_UNAVAILABLE)
        break;
      if (i == 0 && is_ambiguous (candidates, error))
        return NULL;
      if (status == KP_KEYRING_FOUND)
        {
          g_debug ("Taking the keys of “%s”", kp_plan_get_name (candidate->plan));
          kp_s3_location_unref (*location);
          *location = kp_s3_location_ref (candidate->place);
          return g_steal_pointer (&credentials);
        }
    }
  set_no_keys (said, best, error);
  return NULL;
}

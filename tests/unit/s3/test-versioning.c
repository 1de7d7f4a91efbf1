/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-s3-versioning.h"

#include <string.h>

#define LIFECYCLE(rules)                                                                           \
  "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" rules               \
  "</LifecycleConfiguration>"
#define RULE(id)                                                                                   \
  "<Rule><ID>" id "</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status></Rule>"

static KpS3Location *
new_location (const char *address)
{
  g_autoptr (GError) error = NULL;
  KpS3Location *location
      = kp_s3_location_new (address, "http://127.0.0.1:9", NULL, NULL, FALSE, &error);

  g_assert_no_error (error);
  return location;
}

static char *
add (KpS3Location *location, unsigned days, const char *present)
{
  g_autoptr (GError) error = NULL;
  char *lifecycle = kp_s3_versioning_add_rule (location, days, present, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (kp_s3_versioning_find_days (location, lifecycle), ==, days);
  return lifecycle;
}

static void
test_add (void)
{
  g_autoptr (KpS3Location) location = new_location ("s3://bucket/p");
  g_autoptr (KpS3Location) other = new_location ("s3://bucket/q");

  g_assert_cmpuint (kp_s3_versioning_find_days (location, ""), ==, 0);
  g_autofree char *first = add (location, 30, "");
  g_autofree char *none = add (location, 30, LIFECYCLE (""));
  g_assert_cmpstr (first, ==, none);
  g_autofree char *both = add (other, 7, first);
  g_assert_cmpuint (kp_s3_versioning_find_days (location, both), ==, 30);
  g_autofree char *changed = add (location, 9, both);
  g_assert_cmpuint (kp_s3_versioning_find_days (other, changed), ==, 7);
}

/* The rules of others stay, word for word. */
static void
test_others (void)
{
  g_autoptr (KpS3Location) location = new_location ("s3://bucket/p");
  g_autofree char *lifecycle = add (location, 30, LIFECYCLE (RULE ("a") "<!-- b -->" RULE ("b")));
  g_autofree char *changed = add (location, 31, lifecycle);

  g_assert_nonnull (strstr (lifecycle, RULE ("a") "<!-- b -->" RULE ("b")));
  g_assert_nonnull (strstr (changed, RULE ("a") "<!-- b -->" RULE ("b")));
}

static void
test_refused (void)
{
  g_autoptr (KpS3Location) location = new_location ("s3://bucket/p");
  g_autofree char *own = kp_s3_versioning_make_rule (location, 30);
  g_autofree char *start = g_strdup (strstr (own, "<ID>"));
  g_autofree char *id = g_strndup (start, (gsize) (strstr (start, "</ID>") - start) + 5);
  /* Our name where no rule of ours is; a place for ours that is none; other elements. */
  g_autofree char *between = g_strdup_printf (LIFECYCLE (RULE ("a") "%s" RULE ("b")), id);
  g_autofree char *comment = g_strdup_printf (LIFECYCLE ("<!-- %s</Rule> -->" RULE ("b")), id);
  const char *const all[] = {
    between,
    comment,
    LIFECYCLE (RULE ("a") "<!-- </LifecycleConfiguration> -->"),
    "<l:LifecycleConfiguration><l:Rule><l:ID>a</l:ID></l:Rule></l:LifecycleConfiguration>",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (kp_s3_versioning_add_rule (location, 30, all[i], &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_UNSUPPORTED_BY_PROVIDER);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/s3/versioning/add", test_add);
  g_test_add_func ("/s3/versioning/others", test_others);
  g_test_add_func ("/s3/versioning/refused", test_refused);
  return g_test_run ();
}

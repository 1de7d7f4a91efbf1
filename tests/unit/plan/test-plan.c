/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-error.h"
#include "kp-plan.h"

#include <string.h>

#define ID "6f0e1d3a-8a35-4a0e-9f0c-3d5b6f0e1d3a"

/* As the documentation shows it, and as it is written. */
static const char documented[] = "{\n"
                                 "  \"version\" : 1,\n"
                                 "  \"id\" : \"" ID "\",\n"
                                 "  \"name\" : \"Photos\",\n"
                                 "  \"kind\" : \"mirror\",\n"
                                 "  \"sources\" : [\n"
                                 "    {\n"
                                 "      \"path\" : \"/home/user/Pictures\",\n"
                                 "      \"as\" : \"Pictures\"\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"exclude\" : [\n"
                                 "    \"*.tmp\",\n"
                                 "    \"/cache/\"\n"
                                 "  ],\n"
                                 "  \"destination\" : {\n"
                                 "    \"provider\" : \"aws\",\n"
                                 "    \"endpoint\" : \"https://s3.eu-central-1.amazonaws.com\",\n"
                                 "    \"region\" : \"eu-central-1\",\n"
                                 "    \"bucket\" : \"my-backup\",\n"
                                 "    \"prefix\" : \"laptop\",\n"
                                 "    \"storage-class\" : \"STANDARD_IA\"\n"
                                 "  },\n"
                                 "  \"delete\" : \"never\",\n"
                                 "  \"schedule\" : \"@daily 12:30\",\n"
                                 "  \"upload-limit\" : \"256K\",\n"
                                 "  \"timetable\" : \"\",\n"
                                 "  \"conditions\" : {\n"
                                 "    \"metered\" : \"wait\",\n"
                                 "    \"battery\" : \"run\"\n"
                                 "  },\n"
                                 "  \"verify\" : \"weekly\",\n"
                                 "  \"enabled\" : false\n"
                                 "}\n";

static KpPlan *
plan_from_json (const char *text)
{
  g_autoptr (GError) error = NULL;
  KpPlan *plan = kp_plan_new_from_json (text, "photos.json", &error);

  g_assert_no_error (error);
  return plan;
}

/* @text with one place changed. */
static char *
edit (const char *text, const char *from, const char *to)
{
  g_autoptr (GString) edited = g_string_new (text);

  g_assert_cmpuint (g_string_replace (edited, from, to, 1), ==, 1);
  return g_string_free (g_steal_pointer (&edited), FALSE);
}

static void
test_documented (void)
{
  g_autoptr (KpPlan) plan = plan_from_json (documented);
  GPtrArray *sources = kp_plan_get_sources (plan);
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, NULL);
  g_autofree char *text = kp_plan_to_json (plan);

  g_assert_cmpstr (kp_plan_get_id (plan), ==, ID);
  g_assert_cmpstr (kp_plan_get_name (plan), ==, "Photos");
  g_assert_cmpint (kp_plan_get_kind (plan), ==, KP_PLAN_KIND_MIRROR);
  g_assert_cmpuint (sources->len, ==, 1);
  const KpPlanSource *source = sources->pdata[0];
  g_assert_cmpstr (source->path, ==, "/home/user/Pictures");
  g_assert_cmpstr (source->as, ==, "Pictures");
  g_assert_cmpstrv (kp_plan_get_exclude (plan), ((const char *[]){ "*.tmp", "/cache/", NULL }));
  g_assert_cmpstr (kp_plan_get_provider (plan), ==, "aws");
  g_assert_cmpstr (kp_plan_get_endpoint (plan), ==, "https://s3.eu-central-1.amazonaws.com");
  g_assert_cmpstr (kp_plan_get_region (plan), ==, "eu-central-1");
  g_assert_cmpstr (kp_plan_get_bucket (plan), ==, "my-backup");
  g_assert_cmpstr (kp_plan_get_prefix (plan), ==, "laptop");
  g_assert_cmpstr (kp_plan_get_storage_class (plan), ==, "STANDARD_IA");
  g_assert_false (kp_plan_get_allow_http (plan));
  g_assert_cmpint (kp_plan_get_delete (plan), ==, KP_PLAN_DELETE_NEVER);
  g_assert_cmpstr (kp_schedule_to_string (kp_plan_get_schedule (plan)), ==, "@daily 12:30");
  g_assert_cmpstr (kp_plan_get_upload_limit (plan), ==, "256K");
  g_assert_cmpstr (kp_plan_get_timetable (plan), ==, "");
  g_assert_cmpint (kp_plan_get_metered (plan), ==, KP_PLAN_CONDITION_WAIT);
  g_assert_cmpint (kp_plan_get_battery (plan), ==, KP_PLAN_CONDITION_RUN);
  g_assert_cmpint (kp_plan_get_verify (plan), ==, KP_PLAN_VERIFY_WEEKLY);
  g_assert_false (kp_plan_get_enabled (plan));
  g_assert_cmpstr (kp_s3_location_get_bucket (location), ==, "my-backup");
  g_assert_cmpstr (kp_s3_location_get_prefix (location), ==, "laptop");
  g_assert_cmpstr (text, ==, documented);
}

/* What becomes of what is deleted, as the file has it. */
static void
test_delete (void)
{
  static const struct
  {
    const char *text;
    KpPlanDelete what;
    unsigned days;
    const char *written; /* or NULL: the same */
  } cases[] = {
    { "never", KP_PLAN_DELETE_NEVER, 30, NULL },
    { "mirror", KP_PLAN_DELETE_MIRROR, 30, NULL },
    { "keep 30 days", KP_PLAN_DELETE_KEEP, 30, NULL },
    { "keep 1 day", KP_PLAN_DELETE_KEEP, 1, NULL },
    { "keep 3650 days", KP_PLAN_DELETE_KEEP, 3650, NULL },
    { "keep 1 days", KP_PLAN_DELETE_KEEP, 1, "keep 1 day" },
    { "keep 007d", KP_PLAN_DELETE_KEEP, 7, "keep 7 days" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *quoted = g_strdup_printf ("\"%s\"", cases[i].text);
      g_autofree char *text = edit (documented, "\"never\"", quoted);
      g_autofree char *again
          = g_strdup_printf ("\"%s\"", cases[i].written != NULL ? cases[i].written : cases[i].text);
      g_autofree char *expected = edit (documented, "\"never\"", again);
      g_autoptr (KpPlan) plan = plan_from_json (text);
      g_autofree char *written = kp_plan_to_json (plan);
      g_autoptr (KpPlan) copy = kp_plan_copy (plan);

      g_assert_cmpint (kp_plan_get_delete (plan), ==, cases[i].what);
      g_assert_cmpuint (kp_plan_get_keep_days (plan), ==, cases[i].days);
      g_assert_cmpstr (written, ==, expected);
      g_assert_true (kp_plan_equal (plan, copy));
      kp_plan_set_delete (copy, KP_PLAN_DELETE_KEEP);
      kp_plan_set_keep_days (copy, 5);
      g_assert_false (kp_plan_equal (plan, copy));
      /* Of days that mean nothing, none are remembered. */
      kp_plan_set_delete (copy, KP_PLAN_DELETE_MIRROR);
      g_assert_cmpuint (kp_plan_get_keep_days (copy), ==, 30);
    }
}

/* Only what there is no sensible answer to has to be there. */
static void
test_defaults (void)
{
  g_autoptr (KpPlan) plan = plan_from_json ("{\"version\":1,\"id\":\"" ID "\",\"name\":\"A\","
                                            "\"sources\":[{\"path\":\"/srv/data\"}],"
                                            "\"destination\":{\"bucket\":\"my-backup\"}}");
  const KpPlanSource *source = kp_plan_get_sources (plan)->pdata[0];
  g_autoptr (KpS3Location) location = kp_plan_dup_location (plan, NULL);
  g_autoptr (KpPlan) fresh = kp_plan_new ();

  g_assert_cmpstr (source->as, ==, "data");
  g_assert_cmpstr (kp_plan_get_provider (plan), ==, "");
  g_assert_cmpstr (kp_s3_location_get_region (location), ==, "us-east-1");
  g_assert_cmpstr (kp_s3_location_get_prefix (location), ==, "");
  g_assert_cmpstr (kp_plan_get_upload_limit (plan), ==, "off");
  g_assert_cmpint (kp_plan_get_verify (plan), ==, KP_PLAN_VERIFY_MONTHLY);
  g_assert_true (kp_plan_get_enabled (plan));
  g_assert_true (g_uuid_string_is_valid (kp_plan_get_id (fresh)));
  g_assert_cmpstr (kp_schedule_to_string (kp_plan_get_schedule (plan)), ==, "@daily 12:30");
  g_assert_cmpstr (kp_schedule_to_string (kp_plan_get_schedule (fresh)), ==, "@daily 12:30");
}

static void
test_unknown_members (void)
{
  g_autofree char *top = edit (documented, "\"enabled\" : false\n",
                               "\"enabled\" : false,\n"
                               "  \"from-tomorrow\" : [\n    1,\n    {\n      \"a\" : null\n    }\n"
                               "  ],\n"
                               "  \"another\" : -2.5\n");
  g_autofree char *source
      = edit (top, "\"as\" : \"Pictures\"\n", "\"as\" : \"Pictures\",\n      \"depth\" : 3\n");
  g_autofree char *destination
      = edit (source, "\"STANDARD_IA\"\n", "\"STANDARD_IA\",\n    \"ca-bundle\" : \"/x\"\n");
  g_autofree char *all = edit (destination, "\"battery\" : \"run\"\n",
                               "\"battery\" : \"run\",\n    \"wifi\" : [\n      \"home\"\n    ]\n");
  g_autoptr (KpPlan) plan = plan_from_json (all);
  g_autofree char *text = kp_plan_to_json (plan);
  g_assert_cmpstr (text, ==, all);

  g_autoptr (KpPlan) copy = kp_plan_copy (plan);
  g_autofree char *copy_text = kp_plan_to_json (copy);
  g_assert_cmpstr (copy_text, ==, all);

  /* A list made by a form, with another name for the same folder. */
  g_autoptr (GPtrArray) sources
      = g_ptr_array_new_with_free_func ((GDestroyNotify) kp_plan_source_free);
  g_ptr_array_add (sources, kp_plan_source_new ("/home/user/Pictures", "Fotos"));
  kp_plan_set_sources (copy, sources);
  g_autofree char *edited_text = kp_plan_to_json (copy);
  g_autofree char *expected = edit (all, "\"as\" : \"Pictures\"", "\"as\" : \"Fotos\"");
  g_assert_cmpstr (edited_text, ==, expected);
}

/* What the names of files are made of is not always UTF-8. */
static void
test_bytes (void)
{
  static const char path[] = "/srv/caf\xe9/\xee\x82\x80/a\"b\\c\n\x01";
  static const char *const patterns[] = { "*.\xff", "t\xc3\xa9", NULL };
  g_autoptr (KpPlan) plan = plan_from_json (documented);

  kp_plan_add_source (plan, path, "na\xefve");
  kp_plan_set_exclude (plan, patterns);
  g_autofree char *text = kp_plan_to_json (plan);
  g_assert_true (g_utf8_validate (text, -1, NULL));

  g_autoptr (KpPlan) again = plan_from_json (text);
  const KpPlanSource *source = kp_plan_get_sources (again)->pdata[1];
  g_assert_cmpstr (source->path, ==, path);
  g_assert_cmpstr (source->as, ==, "na\xefve");
  g_assert_cmpstrv (kp_plan_get_exclude (again), patterns);
}

/* One place of the documented plan is changed; the message is what follows "photos.json: ". */
static const struct
{
  const char *from;
  const char *to;
  const char *message;
} bad[] = {
  /* the file as such */
  { "\"name\" : \"Photos\",\n", "\"name\" \"Photos\",\n",
    "line 4: unexpected string constant \"name\", expected character `:'" },
  { "\"enabled\" : false\n}\n", "\"enabled\" : false\n", "line 33: unexpected" },
  { "\"enabled\" : false\n}", "\"enabled\" : false\n}\n}",
    "line 35: the plan has ended before; take away what follows" },
  { "\"enabled\" : false\n}", "\"enabled\" : \"}\n\"}\n \"x\"",
    "line 35: the plan has ended before" },
  { "\"*.tmp\",", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "line 13: the brackets are nested too deeply" },
  { "\"Photos\"", "\"Phot\xff\"", "is not JSON: " },

  { "\"version\" : 1", "\"version\" : 2",
    "version: the plan was written by a newer Keepsake (format 2, and this one knows up to 1); "
    "update Keepsake" },
  { "\"version\" : 1", "\"version\" : 0", "version: there was no such format; write 1" },
  { "\"version\" : 1", "\"version\" : \"1\"", "version: is not a whole number" },
  { "\"version\" : 1", "\"version\" : 1.5", "version: is not a whole number" },
  { "\"version\" : 1,\n", "\n", "version: is missing; write \"version\": 1" },

  { "\"id\" : \"" ID "\",\n", "\n", "id: is missing; write for example \"id\": \"6f0e" },
  { ID, "photos", "id: “photos” is not an identifier; write one as uuidgen prints it" },
  { ID, "../6f0e1d3a", "id: “../6f0e1d3a” is not an identifier" },
  { "\"name\" : \"Photos\",\n", "\n", "name: is missing; write for example \"name\": \"Photos\"" },
  { "\"Photos\"", "7", "name: is not a text in quotes" },
  { "\"Photos\"", "null", "name: is not a text in quotes" },
  { "\"Photos\"", "\"  \"", "name: is empty; write what the plan is to be called" },
  { "\"Photos\"", "\"a\\nb\"", "name: holds a line break or control character" },
  { "\"kind\" : \"mirror\"", "\"kind\" : \"snapshots\"",
    "kind: “snapshots” is not known; write \"mirror\"" },

  { "\"sources\" : [", "\"source\" : [",
    "sources: there is none; write at least one folder, as in [ { \"path\"" },
  { "{\n      \"path\" : \"/home/user/Pictures\",\n      \"as\" : \"Pictures\"\n    }", "",
    "sources: there is none; write at least one folder" },
  { "{\n      \"path\" : \"/home/user/Pictures\",\n      \"as\" : \"Pictures\"\n    }",
    "\"/home/user\"", "sources[0]: is not an object; write for example { \"path\"" },
  { "[\n    {\n      \"path\" : \"/home/user/Pictures\",\n      \"as\" : \"Pictures\"\n    }\n  ]",
    "\"/home/user\"", "sources: is not a list [ … ]" },
  { "\"path\" : \"/home/user/Pictures\",\n", "",
    "sources[0].path: is missing; write for example \"path\": \"/home/user/Pictures\"" },
  { "\"/home/user/Pictures\"", "[]", "sources[0].path: is not a text in quotes" },
  { "\"/home/user/Pictures\"", "\"Pictures\"",
    "sources[0].path: “Pictures” is not an absolute path; write for example" },
  { "\"/home/user/Pictures\"", "\"/\xee\x80\x8a\"",
    "sources[0].path: holds a character from U+E000" },
  { "\"as\" : \"Pictures\"", "\"as\" : false", "sources[0].as: is not a text in quotes" },
  { "\"as\" : \"Pictures\"", "\"as\" : \"/Pictures\"",
    "sources[0].as: “/Pictures” cannot be a name in the bucket; write for example \"Pictures\"" },
  { "\"as\" : \"Pictures\"", "\"as\" : \"a/../b\"", "sources[0].as: “a/../b” cannot be" },
  { "\"as\" : \"Pictures\"\n    }", "\"as\" : \"P\" }, { \"path\" : \"/b\", \"as\" : \"P\" }",
    "sources[1].as: “P” and “P” (of sources[0]) would overwrite each other in the bucket" },
  { "\"as\" : \"Pictures\"\n    }", "\"as\" : \"P/Q\" }, { \"path\" : \"/b\", \"as\" : \"P\" }",
    "sources[1].as: “P” and “P/Q” (of sources[0]) would overwrite" },
  { "\"as\" : \"Pictures\"\n    }", "\"as\" : \"P\" }, { \"path\" : \"/b\", \"as\" : \"\" }",
    "sources[1].as: “” and “P” (of sources[0]) would overwrite" },

  { "\"*.tmp\"", "7", "exclude[0]: is not a text in quotes; write for example \"*.tmp\"" },
  { "\"/cache/\"", "\"\"", "exclude[1]: is empty; write a pattern of rsync, as in \"*.tmp\"" },
  { "[\n    \"*.tmp\",\n    \"/cache/\"\n  ]", "\"*.tmp\"", "exclude: is not a list [ … ]" },

  { "\"destination\" : {", "\"target\" : {",
    "destination: is missing; write for example \"destination\": { \"provider\": \"aws\"" },
  { "\"aws\"", "\"azure\"",
    "destination.provider: “azure” is not known; write \"\", or \"other\"" },
  { "\"aws\"", "7", "destination.provider: is not a text in quotes" },
  { "\"aws\",\n    \"endpoint\" : \"https://s3.eu-central-1.amazonaws.com\"", "\"other\"",
    "destination.endpoint: is empty, but “Other S3-compatible storage” needs the address of the "
    "server; write for example \"https://s3.example.org\"" },
  { "https://s3.eu-central-1.amazonaws.com", "ftp://example.org",
    "destination: “ftp://example.org” is not an endpoint; write for example https://" },
  { "https://s3.eu-central-1.amazonaws.com", "http://nas.local:9000",
    "destination.endpoint: “http://nas.local:9000” is not encrypted: everybody on the way could "
    "read your files; write https://, or \"allow-http\": true" },
  { "\"region\" : \"eu-central-1\"", "\"region\" : {}",
    "destination.region: is not a text in quotes" },
  { "\"eu-central-1\"", "\"eu central\"",
    "destination.region: “eu central” cannot be one; write for example \"eu-central-1\"" },
  { "\"bucket\" : \"my-backup\",\n", "",
    "destination.bucket: is missing; write for example \"bucket\": \"my-backup\"" },
  { "\"my-backup\"", "\"\"", "destination.bucket: “” is not the name of a bucket" },
  { "\"my-backup\"", "\"my-backup/laptop\"",
    "destination.bucket: “my-backup/laptop” is not the name of a bucket; write for example "
    "\"my-backup\", and folders in it as \"prefix\"" },
  { "\"my-backup\"", "\"b\"", "destination: “b” in “s3://b/laptop” cannot be the name of a" },
  { "\"laptop\"", "\"/laptop\"",
    "destination: The prefix in “s3://my-backup//laptop” has an empty" },
  { "\"laptop\"", "\"a/../b\"", "destination: The prefix in “s3://my-backup/a/../b” has" },
  { "STANDARD_IA", "CHEAP ONE",
    "destination.storage-class: “CHEAP ONE” cannot be one; write for example \"STANDARD_IA\"" },
  { "\"prefix\"", "\"allow-http\" : \"yes\", \"prefix\"",
    "destination.allow-http: is not true or false" },

  { "\"never\"", "\"always\"",
    "delete: “always” is not known; write \"never\", \"mirror\" or \"keep 30 days\"" },
  { "\"never\"", "\"keep\"",
    "delete: “keep” is not known; write \"never\", \"mirror\" or \"keep 30 days\"" },
  { "\"never\"", "\"keep x days\"",
    "delete: “keep x days” does not say how long; write \"keep 30 days\", with 1 to 3650 days" },
  { "\"never\"", "\"keep 0 days\"", "delete: “keep 0 days” does not say how long" },
  { "\"never\"", "\"keep 3651 days\"", "delete: “keep 3651 days” does not say how long" },
  { "\"never\"", "\"keep 30 weeks\"", "delete: “keep 30 weeks” does not say how long" },
  { "\"never\"", "\"keep  30 days\"", "delete: “keep  30 days” does not say how long" },
  { "\"never\"", "false", "delete: is not a text in quotes" },
  { "@daily 12:30", "@daily 25:00",
    "schedule: In the schedule “@daily 25:00”: “25:00” is not a time; write it from 00:00" },
  { "\"@daily 12:30\"", "[]", "schedule: is not a text in quotes" },
  { "256K", "fast", "upload-limit: “fast” is not a rate; write for example 256K" },
  { "256K", "0", "upload-limit: A rate of “0” would never send anything; write off" },
  { "256K", "1M:2M", "upload-limit: “1M:2M” is not a rate" },
  { "\"timetable\" : \"\"", "\"timetable\" : \"08:00,1M 25:00,off\"",
    "timetable: In the timetable entry “25:00,off”: “25:00” is not a time" },
  { "\"metered\" : \"wait\"", "\"metered\" : \"stop\"",
    "conditions.metered: “stop” is not known; write \"wait\" or \"run\"" },
  { "\"battery\" : \"run\"", "\"battery\" : true", "conditions.battery: is not a text in quotes" },
  { "{\n    \"metered\" : \"wait\",\n    \"battery\" : \"run\"\n  }", "[]",
    "conditions: is not an object { … }" },
  { "\"weekly\"", "\"daily\"",
    "verify: “daily” is not known; write \"off\", \"weekly\" or \"monthly\"" },
  { "\"enabled\" : false", "\"enabled\" : \"no\"", "enabled: is not true or false" },
};

/* Returns the line that the error names, 0 for none. */
static guint
assert_refused (const char *text, const char *message)
{
  static const char file[] = "photos.json: ";
  g_autoptr (GError) error = NULL;
  guint line = 0;

  g_assert_null (kp_plan_new_from_json (text, "photos.json", &error));
  g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
  g_assert_true (g_str_has_prefix (error->message, file));
  const char *said = error->message + strlen (file);
  if (!g_str_has_prefix (message, "line ") && g_str_has_prefix (said, "line "))
    {
      line = (guint) g_ascii_strtoull (said + strlen ("line "), NULL, 10);
      said = strstr (said, ": ") + 2;
    }
  if (!g_str_has_prefix (said, message))
    g_assert_cmpstr (said, ==, message);
  return line;
}

/* Of a member that is there, its own; of one that is missing, that of the object around it. */
static void
test_lines (void)
{
  static const struct
  {
    const char *from;
    const char *to;
    guint line;
  } cases[] = {
    { "\"version\" : 1", "\"version\" : 9", 2 },
    { "\"Photos\"", "\n\n7", 6 },
    { "\"/home/user/Pictures\"", "[]", 8 },
    { "\"as\" : \"Pictures\"", "\"as\" : false", 9 },
    { "\"path\" : \"/home/user/Pictures\",\n", "", 9 },
    { "\"bucket\" : \"my-backup\"", "\"bucket\" : 1", 20 },
    { "\"metered\" : \"wait\"", "\"metered\" : \"perhaps\"", 29 },
    { "\"name\" : \"Photos\",\n", "\n", 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = edit (documented, cases[i].from, cases[i].to);
      g_test_message ("%s", cases[i].to);
      g_assert_cmpuint (assert_refused (text, ""), ==, cases[i].line);
    }
  /* Of one line, the line says nothing. */
  g_assert_cmpuint (assert_refused ("{ \"version\": 9 }", "version: "), ==, 0);
}

static void
test_refused (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_test_message ("%s", bad[i].message);
      g_autofree char *text = edit (documented, bad[i].from, bad[i].to);
      assert_refused (text, bad[i].message);
    }
  assert_refused ("", "is empty");
  assert_refused (" \n", "is empty");
  assert_refused ("[]", "is not an object { … }");
  assert_refused ("\"plan\"", "is not an object { … }");
  assert_refused ("{}", "version: is missing");
  assert_refused ("{\"version\":1", "line 1: unexpected");
  assert_refused ("{\"version", "line 1: ");

  g_autofree char *brackets = g_strnfill (1000000, '[');
  assert_refused (brackets, "line 1: the brackets are nested too deeply");
}

/* Cut anywhere, or with any byte changed, it is read or refused; what is read can be written. */
static void
test_damaged (void)
{
  gsize length = strlen (documented);

  for (gsize i = 0; i < length; i++)
    {
      g_autofree char *cut = g_strndup (documented, i);
      g_autoptr (GError) error = NULL;

      g_assert_true (i == length - 1 || kp_plan_new_from_json (cut, "x", &error) == NULL);
      g_assert_true (i == length - 1 || error != NULL);
    }
  for (int n = 0; n < 5000; n++)
    {
      g_autofree char *damaged = g_strdup (documented);
      g_autoptr (GError) error = NULL;

      damaged[g_test_rand_int_range (0, (int) length)] = (char) g_test_rand_int_range (1, 256);
      g_autoptr (KpPlan) plan = kp_plan_new_from_json (damaged, "x", &error);
      g_assert_true ((plan != NULL) == (error == NULL));
      if (plan != NULL)
        {
          g_autofree char *text = kp_plan_to_json (plan);
          g_autoptr (KpPlan) again = plan_from_json (text);
          g_assert_true (kp_plan_equal (plan, again));
        }
    }
}

static void
count_cb (GObject *object, GParamSpec *pspec, gpointer data)
{
  GString *names = data;

  g_string_append_printf (names, "%s ", pspec->name);
}

static void
test_properties (void)
{
  g_autoptr (KpPlan) plan = plan_from_json (documented);
  g_autoptr (KpPlan) copy = kp_plan_copy (plan);
  g_autoptr (KpPlan) other = kp_plan_copy_as_new (plan);
  g_autoptr (GString) names = g_string_new (NULL);
  g_autoptr (KpSchedule) hourly = kp_schedule_parse ("@hourly", NULL);
  g_autoptr (KpSchedule) daily = kp_schedule_parse ("@daily", NULL);

  g_assert_true (kp_plan_equal (plan, copy));
  g_assert_false (kp_plan_equal (plan, other));
  g_assert_cmpstr (kp_plan_get_id (other), !=, ID);

  /* Only a change is told. */
  g_signal_connect (copy, "notify", G_CALLBACK (count_cb), names);
  kp_plan_set_name (copy, "Photos");
  kp_plan_set_enabled (copy, FALSE);
  kp_plan_set_schedule (copy, daily);
  kp_plan_set_sources (copy, kp_plan_get_sources (plan));
  kp_plan_set_exclude (copy, kp_plan_get_exclude (plan));
  kp_plan_assign (copy, plan);
  g_assert_cmpstr (names->str, ==, "");

  kp_plan_set_name (copy, "Fotos");
  kp_plan_set_enabled (copy, 2);
  kp_plan_set_schedule (copy, hourly);
  kp_plan_add_source (copy, "/b/c", NULL);
  kp_plan_set_exclude (copy, NULL);
  kp_plan_set_delete (copy, KP_PLAN_DELETE_MIRROR);
  g_object_set (copy, "verify", KP_PLAN_VERIFY_OFF, NULL);
  g_object_set (copy, "bucket", "another", NULL);
  g_assert_cmpstr (names->str, ==, "name enabled schedule sources exclude delete verify bucket ");
  g_assert_true (kp_plan_get_enabled (copy));
  const KpPlanSource *source = kp_plan_get_sources (copy)->pdata[1];
  g_assert_cmpstr (source->as, ==, "c");
  g_assert_false (kp_plan_equal (plan, copy));

  g_string_truncate (names, 0);
  kp_plan_assign (copy, plan);
  g_assert_true (kp_plan_equal (plan, copy));
  g_assert_nonnull (strstr (names->str, "sources "));
  g_assert_null (strstr (names->str, "region "));

  /* Every property can be asked for by name. */
  guint n_specs;
  g_autofree GParamSpec **specs
      = g_object_class_list_properties (G_OBJECT_GET_CLASS (plan), &n_specs);
  g_assert_cmpuint (n_specs, ==, 21);
  for (guint i = 0; i < n_specs; i++)
    {
      g_auto (GValue) value = G_VALUE_INIT;
      g_object_get_property (G_OBJECT (plan), specs[i]->name, &value);
      if ((specs[i]->flags & G_PARAM_WRITABLE) != 0 && !g_str_equal (specs[i]->name, "id"))
        g_object_set_property (G_OBJECT (copy), specs[i]->name, &value);
    }
  g_assert_true (kp_plan_equal (plan, copy));
}

static void
test_validate (void)
{
  g_autoptr (KpPlan) plan = kp_plan_new ();
  static const char *const messages[]
      = { "name: is empty", "sources: there is none", "destination.bucket: “” is not the name" };

  for (gsize i = 0; i < G_N_ELEMENTS (messages); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (kp_plan_validate (plan, &error));
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_true (g_str_has_prefix (error->message, messages[i]));
      if (i == 0)
        kp_plan_set_name (plan, "Photos");
      else if (i == 1)
        kp_plan_add_source (plan, "/", NULL);
      else
        kp_plan_set_bucket (plan, "my-backup");
    }
  g_assert_true (kp_plan_validate (plan, NULL));
  g_assert_cmpstr (((KpPlanSource *) kp_plan_get_sources (plan)->pdata[0])->as, ==, "");

  kp_plan_set_endpoint (plan, "http://nas.local:9000");
  g_assert_false (kp_plan_validate (plan, NULL));
  kp_plan_set_allow_http (plan, TRUE);
  g_assert_true (kp_plan_validate (plan, NULL));
  g_autofree char *text = kp_plan_to_json (plan);
  g_autoptr (KpPlan) again = plan_from_json (text);
  g_assert_true (kp_plan_get_allow_http (again));

  kp_plan_set_prefix (plan, "caf\xe9");
  g_assert_false (kp_plan_validate (plan, NULL));
  kp_plan_set_prefix (plan, "caf\xc3\xa9");
  g_assert_true (kp_plan_validate (plan, NULL));

  kp_plan_set_allow_http (plan, FALSE);
  kp_plan_set_endpoint (plan, "http://127.0.0.1:9000");
  g_assert_true (kp_plan_validate (plan, NULL));
}

static KpPlan *
plan_of_place (const char *path, const char *as, const char *bucket, const char *prefix)
{
  KpPlan *plan = kp_plan_new ();

  kp_plan_set_name (plan, "Other");
  kp_plan_add_source (plan, path, as);
  kp_plan_set_bucket (plan, bucket);
  kp_plan_set_prefix (plan, prefix);
  kp_plan_set_delete (plan, KP_PLAN_DELETE_MIRROR);
  return plan;
}

static void
test_validate_beside (void)
{
  static const struct
  {
    const char *path;
    const char *as;
    const char *bucket;
    const char *prefix;
    gboolean is_good;
  } cases[] = {
    /* Beside a plan of /home/user/Pictures, stored as my-backup/all/Pictures. */
    { "/media/disk/Pictures", "Pictures", "my-backup", "all", FALSE },
    { "/media/disk/Pictures", "Pictures", "my-backup", "", TRUE },
    { "/media/disk/Pictures", "Pictures", "other-backup", "all", TRUE },
    { "/media/disk/Pictures", "Pictures2", "my-backup", "all", TRUE },
    { "/home/user/Pictures", "Pictures", "my-backup", "all", TRUE },
    { "/home/user/Pictures/", "Pictures", "my-backup", "all", TRUE },
    { "/home/user/Pictures", "all/Pictures", "my-backup", "", TRUE },
    { "/home/user/Pictures", "", "my-backup", "all/Pictures", TRUE },
    /* Within it. */
    { "/home/user/Pictures/2026", "Pictures/2026", "my-backup", "all", TRUE },
    { "/home/user/Pictures/2026", "2026", "my-backup", "all/Pictures", TRUE },
    { "/home/user/Pictures/2025", "Pictures/2026", "my-backup", "all", FALSE },
    { "/home/user/2026", "2026", "my-backup", "all/Pictures", FALSE },
    { "/home/user/Pictures/caf\xe9", "Pictures/caf\xe9", "my-backup", "all", TRUE },
    /* Around it. */
    { "/home/user", "", "my-backup", "all", TRUE },
    { "/home/user", "all", "my-backup", "", TRUE },
    { "/home", "", "my-backup", "all", FALSE },
    { "/home", "", "my-backup", "", FALSE },
    { "/srv", "all", "my-backup", "", FALSE },
    { "/", "", "my-backup", "", FALSE },
  };
  g_autoptr (KpPlan) plan = plan_of_place ("/home/user/Pictures", "Pictures", "my-backup", "all");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (KpPlan) other
          = plan_of_place (cases[i].path, cases[i].as, cases[i].bucket, cases[i].prefix);
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) reverse = NULL;

      g_test_message ("%s as “%s”", cases[i].path, cases[i].as);
      g_assert_true (kp_plan_validate (other, NULL));
      g_assert_true (kp_plan_validate_beside (plan, NULL, other, &error) == cases[i].is_good);
      g_assert_true (kp_plan_validate_beside (other, NULL, plan, &reverse) == cases[i].is_good);
      if (cases[i].is_good)
        continue;
      g_assert_error (error, KP_ERROR, KP_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, cases[i].path));
      g_assert_nonnull (strstr (reverse->message, "“/home/user/Pictures”"));
    }

  /* The whole disk, each folder under its own path. */
  g_autoptr (KpPlan) root = plan_of_place ("/", "", "my-backup", "all");
  g_autoptr (KpPlan) inner = plan_of_place ("/etc", "etc", "my-backup", "all");
  g_assert_true (kp_plan_validate_beside (root, NULL, inner, NULL));

  /* Another name of the same folder. */
  g_autoptr (KpPlan) other_name = plan_of_place ("/proc/self/root/etc", "etc", "my-backup", "all");
  g_assert_true (kp_plan_validate_beside (inner, NULL, other_name, NULL));
  g_assert_true (kp_plan_validate_beside (root, NULL, other_name, NULL));
}

/* What does not delete may have others in its place, but not in the very same. */
static void
test_validate_beside_never_deletes (void)
{
  g_autoptr (KpPlan) outer = plan_of_place ("/srv", "", "my-backup", "");
  g_autoptr (KpPlan) inner = plan_of_place ("/home/user/Pictures", "Pictures", "my-backup", "");
  g_autoptr (KpPlan) same = plan_of_place ("/media/Pictures", "Pictures", "my-backup", "");
  g_autoptr (KpPlan) before = NULL;

  g_assert_false (kp_plan_validate_beside (outer, NULL, inner, NULL));
  g_assert_false (kp_plan_validate_beside (inner, NULL, outer, NULL));
  kp_plan_set_delete (outer, KP_PLAN_DELETE_NEVER);
  kp_plan_set_delete (same, KP_PLAN_DELETE_NEVER);
  g_assert_true (kp_plan_validate_beside (outer, NULL, inner, NULL));
  g_assert_true (kp_plan_validate_beside (inner, NULL, outer, NULL));
  g_assert_false (kp_plan_validate_beside (same, NULL, inner, NULL));

  /* Of a place that it had, it may keep the name; but from now on it deletes. */
  before = kp_plan_copy (outer);
  kp_plan_set_delete (outer, KP_PLAN_DELETE_KEEP);
  g_assert_false (kp_plan_validate_beside (outer, before, inner, NULL));
  kp_plan_set_delete (before, KP_PLAN_DELETE_MIRROR);
  g_assert_true (kp_plan_validate_beside (outer, before, inner, NULL));
  kp_plan_set_prefix (before, "elsewhere");
  g_assert_false (kp_plan_validate_beside (outer, before, inner, NULL));
}

/* Two plans of one folder, which has moved: one follows it, then the other. */
static void
test_validate_beside_moved (void)
{
  g_autoptr (KpPlan) first = plan_of_place ("/home/user/Pictures", "Pictures", "my-backup", "");
  g_autoptr (KpPlan) moved = plan_of_place ("/home/user/Photos", "Pictures", "my-backup", "");
  g_autoptr (KpPlan) second = kp_plan_copy_as_new (first);

  g_assert_true (kp_plan_validate_beside (first, NULL, second, NULL));
  g_assert_false (kp_plan_validate_beside (moved, NULL, second, NULL));
  g_assert_true (kp_plan_validate_beside (moved, first, second, NULL));
  g_assert_true (kp_plan_validate_beside (moved, second, moved, NULL));
}

static void
test_limits (void)
{
  static const struct
  {
    const char *upload_limit;
    const char *timetable;
    guint64 up;
    guint64 down;
  } cases[] = {
    { "", "", 0, 0 },
    { "off", "", 0, 0 },
    { "256K", "", 262144, 0 },
    { "1M/s", "", 1048576, 0 },
    { "256K", "08:00,1M:2M", 1048576, 2097152 },
    { "", "512K", 524288, 524288 },
  };
  g_autoptr (KpPlan) plan = plan_from_json (documented);
  g_autoptr (GTimeZone) utc = g_time_zone_new_utc ();
  g_autoptr (GDateTime) noon = g_date_time_new (utc, 2026, 11, 2, 12, 0, 0);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      kp_plan_set_upload_limit (plan, cases[i].upload_limit);
      kp_plan_set_timetable (plan, cases[i].timetable);
      g_autoptr (KpTimetable) limits = kp_plan_dup_limits (plan, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (kp_timetable_rate_at (limits, noon, KP_DIRECTION_UP), ==, cases[i].up);
      g_assert_cmpuint (kp_timetable_rate_at (limits, noon, KP_DIRECTION_DOWN), ==, cases[i].down);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/plan/documented", test_documented);
  g_test_add_func ("/plan/plan/delete", test_delete);
  g_test_add_func ("/plan/plan/defaults", test_defaults);
  g_test_add_func ("/plan/plan/unknown-members", test_unknown_members);
  g_test_add_func ("/plan/plan/bytes", test_bytes);
  g_test_add_func ("/plan/plan/refused", test_refused);
  g_test_add_func ("/plan/plan/lines", test_lines);
  g_test_add_func ("/plan/plan/damaged", test_damaged);
  g_test_add_func ("/plan/plan/properties", test_properties);
  g_test_add_func ("/plan/plan/validate", test_validate);
  g_test_add_func ("/plan/plan/validate-beside", test_validate_beside);
  g_test_add_func ("/plan/plan/validate-beside-never-deletes", test_validate_beside_never_deletes);
  g_test_add_func ("/plan/plan/validate-beside-moved", test_validate_beside_moved);
  g_test_add_func ("/plan/plan/limits", test_limits);
  return g_test_run ();
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

/* "plan export" and "plan import": a plan as a file that can go to another computer. */

#include "kp-ctl-plans.h"

#include "kp-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_SIZE (1024 * 1024)

/* --- export --------------------------------------------------------------------------------- */

static gboolean
write_all (int fd, const char *text)
{
  gsize length = strlen (text);

  while (length > 0)
    {
      gssize n = write (fd, text, length);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      text += n;
      length -= (gsize) n;
    }
  return TRUE;
}

/* For the user alone; never over something else. */
static gboolean
write_new_file (const char *path, const char *text, GError **error)
{
  g_autofree char *name = g_filename_display_name (path);
  int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

  if (fd < 0 && errno == EEXIST)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” exists already; delete it, or write to another file", name);
      return FALSE;
    }
  gboolean ok = fd >= 0 && write_all (fd, text) && fsync (fd) == 0;
  int saved_errno = errno;
  if (fd >= 0 && close (fd) != 0 && ok)
    {
      ok = FALSE;
      saved_errno = errno;
    }
  if (ok)
    return TRUE;
  if (fd >= 0)
    g_unlink (path);
  g_set_error (error, KP_ERROR, KP_ERROR_LOCAL_STORAGE, "Cannot write “%s”: %s", name,
               g_strerror (saved_errno));
  return FALSE;
}

KpExit
kp_ctl_plan_export (char **arguments)
{
  const GOptionEntry entries[] = { { NULL } };
  g_autoptr (GOptionContext) context
      = kp_ctl_context_new (entries, "PLAN [FILE]", "Writes a plan down as JSON, without its keys.",
                            "Examples:\n"
                            "    keepsakectl plan export Photos photos.json\n"
                            "    keepsakectl plan export Photos | ssh server keepsakectl plan "
                            "import -");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  unsigned n = g_strv_length (arguments);
  if (n != 2 && n != 3)
    return kp_ctl_usage ("PLAN [FILE]");
  g_autoptr (KpPlan) plan = kp_ctl_load_plan (arguments[1], &error);
  if (plan == NULL)
    return kp_ctl_fail (error);

  g_autofree char *text = kp_plan_to_json (plan);
  if (n == 2 || g_str_equal (arguments[2], "-"))
    fputs (text, stdout);
  else if (!write_new_file (arguments[2], text, &error))
    return kp_ctl_fail (error);
  return KP_EXIT_DONE;
}

/* --- import --------------------------------------------------------------------------------- */

/* A text that is not longer than a plan can be. */
static char *
read_text (int fd, const char *name, GError **error)
{
  g_autofree char *text = g_malloc (MAX_FILE_SIZE + 1);
  gsize length = 0;
  gssize n;

  while (length <= MAX_FILE_SIZE
         && ((n = read (fd, text + length, MAX_FILE_SIZE + 1 - length)) > 0
             || (n < 0 && errno == EINTR)))
    length += n > 0 ? (gsize) n : 0;
  if (length <= MAX_FILE_SIZE && n < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Cannot read “%s”: %s", name,
                   g_strerror (errno));
      return NULL;
    }
  if (length > MAX_FILE_SIZE || memchr (text, '\0', length) != NULL
      || !g_utf8_validate_len (text, length, NULL))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is no plan: it is too large, or not text in UTF-8", name);
      return NULL;
    }
  text[length] = '\0';
  return g_steal_pointer (&text);
}

static KpPlan *
read_plan (const char *path, GError **error)
{
  gboolean is_stdin = g_str_equal (path, "-");
  g_autofree char *name = is_stdin ? g_strdup ("standard input") : g_filename_display_name (path);
  int fd = is_stdin ? STDIN_FILENO : open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE, "Cannot read “%s”: %s", name,
                   g_strerror (errno));
      return NULL;
    }
  g_autofree char *text = read_text (fd, name, error);
  if (!is_stdin)
    close (fd);
  return text != NULL ? kp_plan_new_from_json (text, name, error) : NULL;
}

/* Whether the plan can stand beside the others. */
static gboolean
check_place (KpPlanStore *store, KpPlan *plan, GError **error)
{
  KpPlan *other = kp_plan_store_get (store, kp_plan_get_id (plan));

  if (other != NULL)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "The plan “%s” has this id; remove it first, or import without --keep-id",
                   kp_plan_get_name (other));
      return FALSE;
    }
  if (kp_ctl_check_name (store, kp_plan_get_name (plan), NULL, error))
    return TRUE;
  kp_ctl_add_remedy (error, "--name gives the imported one another");
  return FALSE;
}

KpExit
kp_ctl_plan_import (char **arguments)
{
  KpCtlOptions options = { .json = FALSE };
  gboolean keep_id = FALSE;
  g_autofree char *name = NULL;
  const GOptionEntry entries[] = {
    { "keep-id", 0, 0, G_OPTION_ARG_NONE, &keep_id,
      "Keep the id, for a plan that moves with its keys and history", NULL },
    { "name", 0, 0, G_OPTION_ARG_STRING, &name, "Call it otherwise", "NAME" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a JSON object", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = kp_ctl_context_new (
      entries, "FILE", "Sets up a plan from a file that plan export wrote; prints its id.",
      "Examples:\n"
      "    keepsakectl plan import photos.json\n"
      "    keepsakectl plan import - --name 'Photos of the laptop' <photos.json\n"
      "\n"
      "Keys are not in the file: keepsakectl credentials set.");
  g_autoptr (GError) error = NULL;

  if (!kp_ctl_parse (context, &arguments, &error))
    return kp_ctl_fail (error);
  if (g_strv_length (arguments) != 2)
    return kp_ctl_usage ("FILE");
  g_autoptr (KpPlan) read = read_plan (arguments[1], &error);
  g_autoptr (KpPlanStore) store = read != NULL ? kp_ctl_open_plans (&error) : NULL;
  if (store == NULL)
    return kp_ctl_fail (error);

  g_autoptr (KpPlan) plan = keep_id ? kp_plan_copy (read) : kp_plan_copy_as_new (read);
  if (name != NULL)
    kp_plan_set_name (plan, name);
  if (!check_place (store, plan, &error) || !kp_plan_store_save (store, plan, &error))
    return kp_ctl_fail (error);
  g_autoptr (KpCtlOutput) output = kp_ctl_output_new (&options, NULL, FALSE);
  if (options.json)
    kp_ctl_print_plan_json (output, plan);
  else
    kp_ctl_output_line (output, "%s", kp_plan_get_id (plan));
  return KP_EXIT_DONE;
}

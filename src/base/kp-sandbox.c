/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "kp-sandbox.h"

#include <stdlib.h>
#include <string.h>

/* What Flatpak says about the sandbox (flatpak-metadata(5)), in each. */
#define INFO "/.flatpak-info"

/* Folders below the root that "--filesystem=host" leaves out, by flatpak-metadata(5) and
 * flatpak-exports.c: the sandbox has others by these names, or none. */
static const char *const own[]
    = { "/app",  "/bin",  "/boot", "/dev",  "/etc", "/lib", "/lib32", "/lib64", "/libx32",
        "/proc", "/root", "/run",  "/sbin", "/sys", "/tmp", "/usr",   "/var",   NULL };

/* The computer's all the same: other disks, what somebody has chosen in a dialog, and the
 * computer's own system where that is granted. */
static const char *const exported[] = { "/run/media", "/run/flatpak/doc", "/run/host", NULL };

/* Where the computer may keep these, as below /var, they are exported, too. */
static const char *const linked[] = { "/home", "/media", "/mnt", "/opt", "/srv", NULL };

static char *pretended;

static gboolean
is_below (const char *path, const char *folder)
{
  gsize length = strlen (folder);

  while (length > 0 && folder[length - 1] == '/')
    length--;
  return strncmp (path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static gboolean
is_below_any (const char *path, const char *const *folders)
{
  for (gsize i = 0; folders[i] != NULL; i++)
    if (is_below (path, folders[i]))
      return TRUE;
  return FALSE;
}

static gboolean
is_below_real (const char *path, const char *folder)
{
  g_autofree char *real = realpath (folder, NULL);

  return real != NULL && !g_str_equal (real, "/") && is_below (path, real);
}

/* Whether somebody has granted this folder, or one above it, by its path. */
static gboolean
is_granted (GKeyFile *info, const char *path)
{
  g_auto (GStrv) granted = g_key_file_get_string_list (info, "Context", "filesystems", NULL, NULL);

  for (gsize i = 0; granted != NULL && granted[i] != NULL; i++)
    {
      char *mode = strrchr (granted[i], ':');

      if (mode != NULL)
        *mode = '\0';
      g_autofree char *folder = g_str_has_prefix (granted[i], "xdg-run/")
                                    ? g_build_filename (g_get_user_runtime_dir (),
                                                        granted[i] + strlen ("xdg-run/"), NULL)
                                    : g_strdup (granted[i]);
      if (*folder == '/' && is_below (path, folder))
        return TRUE;
    }
  return FALSE;
}

static gboolean
is_own (GKeyFile *info, const char *path)
{
  g_autofree char *documents = g_build_filename (g_get_user_runtime_dir (), "doc", NULL);
  const char *home = g_get_home_dir ();

  /* Made for the sandbox, whatever of the computer is mounted in it. */
  if (g_str_equal (path, "/"))
    return TRUE;
  if (!is_below_any (path, own) || is_below_any (path, exported) || is_below (path, documents)
      || is_below (path, home) || is_below_real (path, home) || is_granted (info, path))
    return FALSE;
  for (gsize i = 0; linked[i] != NULL; i++)
    if (is_below_real (path, linked[i]))
      return FALSE;
  return TRUE;
}

/* Follows links as far as there is something. */
static char *
resolve (const char *path)
{
  g_autofree char *folder = g_strdup (path);
  char *slash;
  char *real;

  while ((real = realpath (folder, NULL)) == NULL && (slash = strrchr (folder, '/')) != NULL
         && slash != folder)
    *slash = '\0';
  if (real == NULL)
    return g_strdup (path);
  g_autofree char *owned = real;
  return g_build_filename (owned, path + strlen (folder), NULL);
}

/**
 * kp_sandbox_hides:
 * @path: need not be there
 *
 * Returns: whether we run in a Flatpak in which @path is not what it is on the computer
 */
gboolean
kp_sandbox_hides (const char *path)
{
  g_autoptr (GKeyFile) info = g_key_file_new ();
  g_autofree char *full = g_canonicalize_filename (path, NULL);

  if (!g_key_file_load_from_file (info, pretended != NULL ? pretended : INFO, G_KEY_FILE_NONE,
                                  NULL))
    return FALSE;
  g_autofree char *real = resolve (full);
  return is_own (info, full) || is_own (info, real);
}

/**
 * kp_sandbox_pretend:
 * @info: a file to take for what Flatpak says about the sandbox
 *
 * For tests, which do not run in one.
 */
void
kp_sandbox_pretend (const char *info)
{
  g_free (pretended);
  pretended = g_strdup (info);
}

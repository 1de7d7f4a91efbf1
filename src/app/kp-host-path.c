/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake"

#include "kp-host-path.h"

#include "kp-sandbox.h"

#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What the document portal says of its files (xdg-desktop-portal, document-portal-fuse.c). */
#define ATTRIBUTE "user.document-portal.host-path"

/* Returns (transfer full) (nullable): the value, without the zero that it may end with */
static char *
read_attribute (const char *path)
{
  char value[4096 + 1];
  ssize_t length = getxattr (path, ATTRIBUTE, value, sizeof value - 1);

  if (length <= 0)
    return NULL;
  value[length] = '\0';
  return strlen (value) + 1 >= (gsize) length ? g_strdup (value) : NULL;
}

/**
 * kp_host_path_find:
 * @path: of a folder, as a dialog gave it
 *
 * Returns: (transfer full): the folder's path outside of the sandbox, if @path is one of the
 *   document portal's and the other can be read too; else @path. Some folders of the sandbox only
 *   have the name of one outside.
 */
char *
kp_host_path_find (const char *path)
{
  g_autofree char *documents = g_build_filename (g_get_user_runtime_dir (), "doc/", NULL);

  if (!g_str_has_prefix (path, documents))
    return g_strdup (path);

  g_autofree char *host_path = read_attribute (path);
  if (host_path == NULL || !g_path_is_absolute (host_path) || access (host_path, R_OK) != 0
      || kp_sandbox_hides (host_path))
    return g_strdup (path);
  return g_steal_pointer (&host_path);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* File names (any bytes) to S3 keys (UTF-8) and back, as s3fs does with "use_wtf8".
 *
 * Each byte b that is not part of valid UTF-8 becomes the code point U+E000 + b. The three bytes of
 * a character U+E000..U+E0FF that really stands in a name are escaped the same way, so that the
 * mapping loses nothing. (s3fs-fuse, string_util.cpp.) Nothing is ever normalised. */

#include <glib.h>

G_BEGIN_DECLS

/* The longest key of S3, in bytes of UTF-8. */
#define KP_KEY_MAX 1024

char *kp_name_to_key (const char *name);
char *kp_name_from_key (const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kp_name_display (const char *name);
gboolean kp_name_is_within (const char *name, const char *folder);

G_END_DECLS

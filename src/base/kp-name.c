/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-name.h"

#include "kp-error.h"

#include <string.h>

#define ESCAPE_BASE 0xE000u
#define ESCAPE_LAST 0xE0FFu

/* U+E000..U+E0FF is EE 80 80 .. EE 83 BF. */
static gboolean
is_escape_sequence (const guchar *p)
{
  return p[0] == 0xEE && p[1] >= 0x80 && p[1] <= 0x83 && (p[2] & 0xC0) == 0x80;
}

static void
append_escaped (GString *key, guchar byte)
{
  g_string_append_unichar (key, ESCAPE_BASE + byte);
}

/**
 * kp_name_to_key:
 * @name: a file name or relative path; any bytes, ended by NUL
 *
 * Returns: (transfer full): the name as valid UTF-8. ASCII stays itself, so "/" does too.
 */
char *
kp_name_to_key (const char *name)
{
  const char *end;

  if (g_utf8_validate (name, -1, &end) && strstr (name, "\xEE") == NULL)
    return g_strdup (name);

  GString *key = g_string_sized_new (strlen (name) + 16);
  const char *p = name;
  while (*p != '\0')
    {
      g_utf8_validate (p, -1, &end);
      while (p < end)
        {
          if (is_escape_sequence ((const guchar *) p))
            {
              for (int i = 0; i < 3; i++)
                append_escaped (key, (guchar) p[i]);
              p += 3;
            }
          else
            {
              const char *next = g_utf8_next_char (p);
              g_string_append_len (key, p, next - p);
              p = next;
            }
        }
      if (*p != '\0')
        append_escaped (key, (guchar) *p++);
    }
  return g_string_free (key, FALSE);
}

/**
 * kp_name_from_key:
 * @key: a key, or the part of it below a prefix
 * @error: %KP_ERROR_BAD_NAME when @key is not UTF-8, or carries an escape that kp_name_to_key()
 *   does not write: of a byte below 0x80, which would let a key smuggle in "/" or NUL, or of bytes
 *   that are valid UTF-8, which would be a second key of one name.
 *
 * Returns: (transfer full): the bytes of the name
 */
char *
kp_name_from_key (const char *key, GError **error)
{
  if (!g_utf8_validate (key, -1, NULL))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME, "The key is not valid UTF-8");
      return NULL;
    }
  if (strstr (key, "\xEE") == NULL)
    return g_strdup (key);

  g_autoptr (GString) name = g_string_sized_new (strlen (key));
  for (const char *p = key; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c < ESCAPE_BASE || c > ESCAPE_LAST)
        {
          g_string_append_len (name, p, g_utf8_next_char (p) - p);
        }
      else if (c < ESCAPE_BASE + 0x80)
        {
          g_set_error (error, KP_ERROR, KP_ERROR_BAD_NAME,
                       "The key holds the code point U+%04X, which stands for no byte of a name",
                       c);
          return NULL;
        }
      else
        {
          g_string_append_c (name, (char) (c - ESCAPE_BASE));
        }
    }

  g_autofree char *written = kp_name_to_key (name->str);
  if (!g_str_equal (written, key))
    {
      g_set_error_literal (error, KP_ERROR, KP_ERROR_BAD_NAME,
                           "The key is not the one that a file of this name is stored under");
      return NULL;
    }
  return g_string_free (g_steal_pointer (&name), FALSE);
}

/**
 * kp_name_display:
 * @name: a file name or path; any bytes
 *
 * Returns: (transfer full): @name for one line of text: bytes that are not UTF-8, control
 *   characters and backslashes as octal escapes, so that what is printed can be told apart and
 *   cannot steer a terminal.
 */
char *
kp_name_display (const char *name)
{
  GString *text = g_string_new (NULL);

  for (const char *p = name; *p != '\0';)
    {
      gunichar c = g_utf8_get_char_validated (p, -1);

      if (c == (gunichar) -1 || c == (gunichar) -2)
        {
          g_string_append_printf (text, "\\%03o", (guchar) *p);
          p++;
          continue;
        }
      const char *next = g_utf8_next_char (p);
      if (c == '\\' || g_unichar_iscntrl (c))
        for (; p < next; p++)
          g_string_append_printf (text, "\\%03o", (guchar) *p);
      else
        g_string_append_len (text, p, next - p);
      p = next;
    }
  return g_string_free (text, FALSE);
}

/**
 * kp_name_is_within:
 * @name: a path or key
 * @folder: another one of the same kind, without a slash at the end; "" has everything in it
 *
 * Returns: whether @name is @folder, or lies in it
 */
gboolean
kp_name_is_within (const char *name, const char *folder)
{
  gsize length = strlen (folder);

  return length == 0
         || (strncmp (name, folder, length) == 0 && (name[length] == '/' || name[length] == '\0'));
}

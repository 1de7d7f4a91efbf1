/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-size.h"

#include "kp-error.h"

#include <math.h>
#include <string.h>

static const char size_units[] = "KMGTPE";

/* Reads the number at the start of @text. Only plain decimals: no sign, no exponent, no "inf",
 * all of which strtod() would take. */
static gboolean
parse_number (const char *text, double *value, const char **rest)
{
  const char *p = text;
  gboolean digits = FALSE;

  for (; g_ascii_isdigit (*p); p++)
    digits = TRUE;
  if (*p == '.')
    for (p++; g_ascii_isdigit (*p); p++)
      digits = TRUE;
  if (!digits || p - text > 40)
    return FALSE;

  g_autofree char *number = g_strndup (text, (gsize) (p - text));
  *value = g_ascii_strtod (number, NULL);
  *rest = p;
  return TRUE;
}

static gboolean
parse_bytes (const char *text, guint64 *bytes)
{
  double value;
  const char *rest;

  if (!parse_number (text, &value, &rest))
    return FALSE;

  if (*rest != '\0')
    {
      const char *unit = strchr (size_units, g_ascii_toupper (*rest));
      if (unit != NULL)
        {
          value *= exp2 (10.0 * (double) (unit - size_units + 1));
          rest++;
          if (*rest == 'i')
            rest++;
        }
    }
  if (*rest == 'B' || *rest == 'b')
    rest++;
  if (*rest != '\0' || !(value < 9.2e18))
    return FALSE;

  *bytes = (guint64) llround (value);
  return TRUE;
}

/**
 * kp_size_parse:
 * @text: "4096", "256K", "1.5M", "2GiB"; K = 1024 bytes
 * @bytes: (out): the size in bytes
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_size_parse (const char *text, guint64 *bytes, GError **error)
{
  if (parse_bytes (text, bytes))
    return TRUE;

  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is not a size; write for example 512K, 1.5M or 2G", text);
  return FALSE;
}

/**
 * kp_rate_parse:
 * @text: as for kp_size_parse(), with an optional "/s", or "off"
 * @bytes_per_second: (out): the rate; 0 for "off", which means no limit
 * @error: %KP_ERROR_USAGE; a rate of zero is refused, as nothing would ever move
 */
gboolean
kp_rate_parse (const char *text, guint64 *bytes_per_second, GError **error)
{
  if (g_ascii_strcasecmp (text, "off") == 0)
    {
      *bytes_per_second = 0;
      return TRUE;
    }

  gsize length = strlen (text);
  if (length > 2 && g_str_has_suffix (text, "/s"))
    length -= 2;
  g_autofree char *size = g_strndup (text, length);

  if (!parse_bytes (size, bytes_per_second))
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "“%s” is not a rate; write for example 256K or 1.5M (bytes per second), or off",
                   text);
      return FALSE;
    }
  if (*bytes_per_second == 0)
    {
      g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
                   "A rate of “%s” would never send anything; write off for no limit", text);
      return FALSE;
    }
  return TRUE;
}

/**
 * kp_duration_parse:
 * @text: "90", "90s", "5m", "2h", "1d", or several of them: "1h30m"; a bare number is seconds
 * @seconds: (out): the duration in seconds
 * @error: %KP_ERROR_USAGE
 */
gboolean
kp_duration_parse (const char *text, guint64 *seconds, GError **error)
{
  static const struct
  {
    char unit;
    guint64 seconds;
  } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
  double total = 0;
  const char *p = text;

  do
    {
      double value;
      double factor = 0;

      if (!parse_number (p, &value, &p))
        goto bad;
      for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
        if (*p == units[i].unit)
          factor = (double) units[i].seconds;
      if (factor > 0)
        p++;
      else if (*p == '\0')
        factor = 1;
      else
        goto bad;
      total += value * factor;
    }
  while (*p != '\0');

  if (total < 1e12)
    {
      *seconds = (guint64) llround (total);
      return TRUE;
    }

bad:
  g_set_error (error, KP_ERROR, KP_ERROR_USAGE,
               "“%s” is not a duration; write for example 90s, 5m, 2h or 1d", text);
  return FALSE;
}

/**
 * kp_size_format:
 *
 * Returns: (transfer full): "0 B", "999 B", "1.5 KiB", "23 MiB": three significant digits, and
 *   never more precise than is true.
 */
char *
kp_size_format (guint64 bytes)
{
  double value = (double) bytes;
  int unit = -1;

  if (bytes < 1024)
    return g_strdup_printf ("%u B", (unsigned) bytes);
  /* 1023.5 would print as "1024 KiB" */
  while (value >= 1023.5 && size_units[unit + 1] != '\0')
    {
      value /= 1024;
      unit++;
    }
  return g_strdup_printf (value < 9.95 ? "%.1f %ciB" : "%.0f %ciB", value,
                          size_units[MAX (unit, 0)]);
}

/**
 * kp_rate_format:
 *
 * Returns: (transfer full): "256 KiB/s", or "no limit" for 0
 */
char *
kp_rate_format (guint64 bytes_per_second)
{
  if (bytes_per_second == 0)
    return g_strdup ("no limit");
  g_autofree char *size = kp_size_format (bytes_per_second);
  return g_strconcat (size, "/s", NULL);
}

/**
 * kp_duration_format:
 *
 * Returns: (transfer full): the two largest units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"
 */
char *
kp_duration_format (guint64 seconds)
{
  if (seconds < 60)
    return g_strdup_printf ("%u s", (unsigned) seconds);
  if (seconds < 3600)
    return g_strdup_printf ("%u min %u s", (unsigned) (seconds / 60), (unsigned) (seconds % 60));
  if (seconds < 86400)
    return g_strdup_printf ("%u h %u min", (unsigned) (seconds / 3600),
                            (unsigned) (seconds / 60 % 60));
  return g_strdup_printf ("%" G_GUINT64_FORMAT " d %u h", seconds / 86400,
                          (unsigned) (seconds / 3600 % 24));
}

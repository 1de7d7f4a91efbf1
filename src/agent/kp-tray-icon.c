/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-agent"

#include "kp-tray-private.h"

#include "kp-tray-resources.h"

#define RESOURCES "/io/github/keepsake_backup/Keepsake/tray/"

/* The sizes in a mask, in pixels (data/icons/make-masks.sh). */
static const int sizes[] = { 16, 22, 32, 48 };

/* Pixels are seen where a tray does not find our icons by name, and then nobody recolours them:
 * so each has a contrast of 3 to 1 or more to white and to black. */
static const struct
{
  const char *mask;
  guint8 rgb[3];
} looks[] = {
  [KP_TRAY_IDLE] = { RESOURCES "idle.mask", { 0x35, 0x84, 0xe4 } },
  [KP_TRAY_RUNNING] = { RESOURCES "running.mask", { 0x35, 0x84, 0xe4 } },
  [KP_TRAY_PAUSED] = { RESOURCES "paused.mask", { 0x80, 0x80, 0x80 } },
  [KP_TRAY_ATTENTION] = { RESOURCES "attention.mask", { 0xe6, 0x61, 0x00 } },
};

static GBytes *
get_resource (const char *path)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = g_resource_lookup_data (kp_tray_get_resource (), path,
                                          G_RESOURCE_LOOKUP_FLAGS_NONE, &error);

  g_assert_no_error (error);
  return bytes;
}

/**
 * kp_tray_interface:
 * @name: of the interface
 *
 * Returns: (transfer full): its description
 */
GDBusInterfaceInfo *
kp_tray_interface (const char *name)
{
  g_autofree char *path = g_strconcat (RESOURCES, name, ".xml", NULL);
  g_autoptr (GBytes) xml = get_resource (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusNodeInfo) node
      = g_dbus_node_info_new_for_xml (g_bytes_get_data (xml, NULL), &error);

  g_assert_no_error (error);
  return g_dbus_interface_info_ref (g_dbus_node_info_lookup_interface (node, name));
}

/* Returns (transfer full): @n opacities in one colour: alpha, red, green, blue for each, which is
 * ARGB32 in the order of the network */
static GVariant *
colour (const guint8 *mask, gsize n, const guint8 rgb[3])
{
  g_autofree guint8 *pixels = g_malloc (n * 4);

  for (gsize i = 0; i < n; i++)
    {
      pixels[i * 4] = mask[i];
      for (int channel = 0; channel < 3; channel++)
        pixels[i * 4 + 1 + channel] = rgb[channel];
    }
  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, pixels, n * 4, 1);
}

/**
 * kp_tray_pixmaps:
 *
 * Returns: (transfer floating): the icon in all sizes as the tray's protocol wants it, a(iiay)
 */
GVariant *
kp_tray_pixmaps (KpTrayState state)
{
  g_autoptr (GBytes) mask = get_resource (looks[state].mask);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(iiay)"));
  gsize length;
  const guint8 *data = g_bytes_get_data (mask, &length);
  gsize offset = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      gsize n = (gsize) sizes[i] * (gsize) sizes[i];

      g_assert (offset + n <= length);
      g_variant_builder_add (&builder, "(ii@ay)", sizes[i], sizes[i],
                             colour (data + offset, n, looks[state].rgb));
      offset += n;
    }
  return g_variant_builder_end (&builder);
}

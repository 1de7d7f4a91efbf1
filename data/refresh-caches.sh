#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
#
#     refresh-caches.sh DATADIR
#
# Run by "meson install", and by hand after an uninstall. Tells the desktop's caches of what is there
# now, where there are any. It makes none, as nobody would take them away again; and into a DESTDIR
# nothing is told, as packages do.
set -eu
[ -z "${DESTDIR:-}" ] || exit 0

icons=$1/icons/hicolor
schemas=$1/glib-2.0/schemas
if [ -e "$icons/icon-theme.cache" ]; then
  # Where neither program is, GTK sees that the cache is older than the folders and does without it.
  gtk4-update-icon-cache -q -t -f "$icons" || gtk-update-icon-cache -q -t -f "$icons" || true
fi
if [ -e "$schemas/gschemas.compiled" ]; then
  glib-compile-schemas "$schemas"
fi

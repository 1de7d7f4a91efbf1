#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
#
# Draws the tray icons anew into masks/, for trays that do not find our icons by name. Run it by
# hand after a change to one of them; needs the Debian packages librsvg2-bin and imagemagick.
#
# A mask is the opacity of each pixel in a byte, row after row, of the icon in 16, 22, 32 and 48
# pixels, one after the other. src/agent/kp-tray-icon.c lays colour into it.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

for state in idle running paused attention; do
  svg=hicolor/symbolic/apps/io.github.keepsake_backup.Keepsake-$state-symbolic.svg
  for size in 16 22 32 48; do
    rsvg-convert --width "$size" --height "$size" "$svg" \
      | /usr/bin/convert png:- -alpha extract -depth 8 gray:-
  done >"masks/$state.mask"
done

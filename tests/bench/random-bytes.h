/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

#include <glib.h>

guint8 *random_bytes_new (gsize size);

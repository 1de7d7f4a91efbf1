/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Asks whether the bucket is to keep old versions of files, and for how long, and shows what that
 * sets before it is set. */

#include "kp-s3-location.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* @days: at least 1 */
typedef void (*KpSetupVersionsFunc) (unsigned days, void *user_data);

void kp_setup_versions_ask (GtkWindow *parent,
                            KpS3Location *location,
                            KpSetupVersionsFunc func,
                            GObject *owner);

G_END_DECLS

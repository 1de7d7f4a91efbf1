/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A job that runs: its phase, progress and present file, and the buttons to pause and cancel it. */

#include "kp-dbus.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define KP_TYPE_JOB_VIEW (kp_job_view_get_type ())
G_DECLARE_FINAL_TYPE (KpJobView, kp_job_view, KP, JOB_VIEW, AdwBin)

void kp_job_view_set_job (KpJobView *self, KpDBusJob *job);

G_END_DECLS

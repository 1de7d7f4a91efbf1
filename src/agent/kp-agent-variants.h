/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Jobs and history in the words of the bus. */

#include "kp-job.h"

G_BEGIN_DECLS

GVariant *kp_agent_variant_progress (KpJob *job);
GVariant *kp_agent_variant_result (KpJob *job);
GVariant *kp_agent_variant_failures (GPtrArray *failures);
GVariant *kp_agent_variant_erased (const KpHistorySummary *summary);
GVariant *kp_agent_variant_coverage (const KpHistoryCoverage *coverage);
GVariant *kp_agent_variant_jobs (GPtrArray *jobs);
GVariant *kp_agent_variant_skips (GPtrArray *skips);

G_END_DECLS

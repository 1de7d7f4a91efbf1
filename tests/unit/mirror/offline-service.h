/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* A service for what needs one and sends nothing. */

#include "kp-s3-service.h"

G_BEGIN_DECLS

KpS3Location *offline_location_new (const char *address);
KpS3Service *offline_service_new (void);

G_END_DECLS

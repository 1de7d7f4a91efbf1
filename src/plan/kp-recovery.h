/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* "How to get your files back without Keepsake": a page to be printed and kept where it does not
 * burn together with the computer. It says where the files are and how to fetch them with programs
 * that everybody has. There is never a secret on it, nor room for one. Pure. */

#include "kp-plan.h"

G_BEGIN_DECLS

/* Translates a text; NULL as a function leaves it in English. */
typedef const char *(*KpRecoveryTranslate) (const char *text);

typedef enum
{
  KP_RECOVERY_TEXT, /* plain, lines of at most 80 characters but for commands */
  KP_RECOVERY_HTML, /* a page that needs nothing from elsewhere */
} KpRecoveryFormat;

char *kp_recovery_compose (KpS3Location *location,
                           KpPlan *plan,
                           gint64 now,
                           KpRecoveryTranslate translate,
                           KpRecoveryFormat format);

G_END_DECLS

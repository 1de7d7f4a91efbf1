/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#pragma once

/* Worker threads, each with connections of its own, that take items from one queue. How many work
 * at once follows what the line gives: more while that moves more, fewer when the server asks for
 * it.
 *
 * The pool knows nothing of files. Items come back to whoever pushed them through the function's
 * own means, usually a GAsyncQueue. */

#include "kp-s3-client.h"

G_BEGIN_DECLS

#define KP_POOL_MAX_WORKERS 64

typedef struct _KpPool KpPool;

/* Runs in a worker's thread; owns @item. */
typedef void (*KpPoolFunc) (KpS3Client *client, void *item, void *user_data);

KpPool *kp_pool_new (KpS3Service *service,
                     unsigned jobs,
                     KpPoolFunc func,
                     GDestroyNotify item_free,
                     void *user_data);
void kp_pool_free (KpPool *pool);
void kp_pool_push (KpPool *pool, void *item);
void kp_pool_push_first (KpPool *pool, void *item);
void kp_pool_push_all_first (KpPool *pool, GPtrArray *items);
unsigned kp_pool_get_room (KpPool *pool);
unsigned kp_pool_get_workers (KpPool *pool);
void kp_pool_adapt (KpPool *pool, gint64 now);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KpPool, kp_pool_free)

G_END_DECLS

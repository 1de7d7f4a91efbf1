/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#define G_LOG_DOMAIN "keepsake-s3"

#include "kp-s3-cork.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

/**
 * kp_s3_cork_set:
 * @socket: (nullable): may be closed already
 * @corked: %TRUE before the first byte, %FALSE right behind the last
 *
 * What is forgotten goes out by itself after 200 ms: tcp(7), TCP_CORK.
 *
 * Returns: whether the kernel does
 */
gboolean
kp_s3_cork_set (GSocket *socket, gboolean corked)
{
  return socket != NULL && !g_socket_is_closed (socket)
         && g_socket_set_option (socket, IPPROTO_TCP, TCP_CORK, corked ? 1 : 0, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Is this a socket whose bytes can be received, and which one is it? */
#ifndef ZRX_SOCKET_H
#define ZRX_SOCKET_H

#include <stdint.h>

#include "zcrx.h"

/* Returns 0 and the socket's cookie, or the errors that zrx_receiver_add documents. */
int zrx_socket_check(int fd, uint64_t *cookie, struct zrx_error *error);

/* Whether it is a TCP socket that listens: 0, or the errors that zrx_group_listen documents. */
int zrx_socket_check_listens(int fd, struct zrx_error *error);

#endif

/* SPDX-License-Identifier: MIT */
/* The other end: `sender`, which sends as many bytes as it is asked for, and closes. */
#ifndef BENCH_NIC_PEER_H
#define BENCH_NIC_PEER_H

#include <stdint.h>

/* Connect from the local port that the NIC steers by. A socket, or a negative errno. */
int peer_connect(const char *host, const char *port, uint16_t local_port);

/* Let it send. 0, or a negative errno. */
int peer_ask(int socket, uint64_t bytes);

/* Wait until it has closed, so that it is the one whose port rests. 0, or a negative errno. */
int peer_wait_closed(int socket);

#endif

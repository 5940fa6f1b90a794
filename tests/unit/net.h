/* SPDX-License-Identifier: MIT */
/* What several tests need of the system: connections over loopback, counts of what is open. */
#ifndef NET_H
#define NET_H

/* A connected TCP pair. [0]: the accepted side, to be received from; [1]: the peer. */
void tcp_pair(int pair[2]);

/* A socket that listens on a free port of loopback. */
int tcp_listener(void);

void close_pair(const int pair[2]);

/* Send all of it. */
void send_bytes(int fd, const void *bytes, unsigned long count);

/* Descriptors that this process has open. */
int open_descriptors(void);

#endif

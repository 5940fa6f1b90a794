/* SPDX-License-Identifier: MIT */
/* The other side: a child process with connections to a listener on loopback. */
#ifndef PEER_H
#define PEER_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	int listener;
	pid_t process;
};

/* Listen, and run body in a child; it ends with the child's success when body returns. */
void peer_start(struct peer *peer,
		void (*body)(const struct sockaddr_in *address, const void *argument),
		const void *argument);
int peer_accept(const struct peer *peer);
void peer_wait(struct peer *peer); /* anything but success ends this process */

/* For bodies. source: a number that spreads connections over addresses, for more than one has
 * ports. */
int peer_connect(const struct sockaddr_in *address, uint32_t source);
void peer_send(int fd, const void *bytes, size_t length); /* all of it, or the end of the child */

#endif

/* SPDX-License-Identifier: MIT */
/* The other side of a scenario: the sender, a child process, and the connections it makes. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <sys/types.h>

#include "scenario.h"

struct peer {
	int listener;
	uint16_t port;
	pid_t sender;
};

void peer_listen(struct peer *peer, const struct scenario *scenario);

/* Start the sender at `program` with the scenario's words. */
void peer_start(struct peer *peer, const struct scenario *scenario, const char *program);

/* The next connection. The sender makes the one after it only once it has been let go on. */
int peer_accept(struct peer *peer);
void peer_go_on(int fd);

/* Wait for the sender; anything but success within 20 s fails the scenario. */
void peer_wait(struct peer *peer);

#endif

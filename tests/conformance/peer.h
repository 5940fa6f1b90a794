/* SPDX-License-Identifier: MIT */
/* The other side of a scenario: the sender, a child process. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <sys/types.h>

#include "scenario.h"

/* Listen on a free port of the address in ZRX_RIG_LOCAL, or of 127.0.0.1. Returns the socket, or
 * -1. */
int peer_listen(uint16_t *port);

/* The interpreter that python3 stands for, found once: what PATH has may be a script that takes
 * long to find it. NULL: there is none. */
const char *peer_interpreter(void);

/* Start the sender, a Python program, with the scenario's words. */
pid_t peer_start(const struct scenario *scenario, const char *python, const char *program,
		 uint16_t port);

/* Wait for the sender; anything but success within 20 s fails the scenario. */
void peer_wait(pid_t sender);

#endif

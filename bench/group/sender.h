/* SPDX-License-Identifier: MIT */
/* Sending sides: each sender is a process. */
#ifndef BENCH_GROUP_SENDER_H
#define BENCH_GROUP_SENDER_H

#include <netinet/in.h>
#include <stdint.h>

#include "tally.h"

struct sender_job {
	struct sockaddr_in6 address; /* of the receivers; IPv4 is mapped */
	uint32_t senders;
	int pin;              /* each to a processor */
	uint64_t connections; /* of all senders */
	uint64_t rate; /* of all senders, connections a second; 0: as fast as they are served */
	uint32_t most_open; /* begun and not yet ended, of all senders */
	int ready;          /* pipe: a byte for each sender that can begin */
	int go;             /* pipe: at its end when they shall */
	struct tallies *tallies;
};

/* Each of these runs in a process of its own, the index-th. 0, or a negative errno. */

/* Its share of connections, all of which send as much as goes until tallies->stop. */
int sender_flood(const struct sender_job *job, uint32_t index);

/* Its share of connections, one after the other, which send a greeting and are closed. */
int sender_greet(const struct sender_job *job, uint32_t index);

/* Say that it can begin, and wait for the word. 0, or a negative errno. */
int sender_ready(const struct sender_job *job);

/* How many of so many belong to this sender. */
uint64_t sender_share(const struct sender_job *job, uint32_t index);

#endif

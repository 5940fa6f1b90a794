/* SPDX-License-Identifier: MIT */
/*
 * Processes with a group of receivers each, on queues of one NIC. Who runs the scenario has no
 * area: it starts the senders, accepts their connections, and gives each to one of the processes,
 * which adds it to its group and checks every byte.
 */
#ifndef DATAPATH_CREW_H
#define DATAPATH_CREW_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <zcrx.h>

#include "flow.h"

#define CREW_WORKERS   3u
#define CREW_RECEIVERS 3u
#define CREW_FLOWS     48u

#define CREW_GIVEN  0 /* to a worker, which has not added it yet */
#define CREW_ADDED  1
#define CREW_ENDED  2
#define CREW_FAILED 3 /* with an error */
#define CREW_LEFT   4 /* its receiver was closed before its end */

/* Of a flow, and of a worker: what its process tells. */
struct crew_seen {
	_Atomic uint64_t received;
	atomic_uint receiver;
	atomic_int state, error, copied;
};

struct crew_told {
	atomic_uint open;  /* receivers */
	atomic_uint leave; /* bits: those that shall be closed, whatever flows */
	atomic_uint left;  /* bits: those that are */
	uint32_t queue[CREW_RECEIVERS];
	struct zrx_group_stats stats; /* after its end */
	struct zrx_stats sum;
};

struct crew_shared {
	struct flow_ends ends;
	struct crew_seen seen[CREW_FLOWS];
	struct crew_told told[CREW_WORKERS];
};

struct crew_worker {
	pid_t process; /* 0: there is none */
	int channel;
	uint32_t count;
	struct listener listener;
};

struct crew {
	struct crew_shared *shared;
	struct crew_worker workers[CREW_WORKERS];
	struct flow flows[CREW_FLOWS];
	uint32_t worker[CREW_FLOWS]; /* of each flow */
	uint32_t count;
};

void crew_open(struct crew *crew);

/* A process with so many receivers; with the listener of another it shares the port of that. */
void crew_start(struct crew *crew, uint32_t worker, uint32_t receivers,
		const struct listener *shared);

/* One more flow to that worker; port shared: to the one at whose queue it arrives. Its number. */
uint32_t crew_connect(struct crew *crew, uint32_t worker);
uint32_t crew_connect_shared(struct crew *crew, uint32_t worker);

/* Connections until each receiver of each worker has two; those of one port if shared. */
void crew_connect_all(struct crew *crew, int shared);

/* A while of those that are waited for this; fails after too many, or if a worker has ended. */
void crew_pause(struct crew *crew, unsigned pauses, const char *what, uint32_t number);
void crew_until_added(struct crew *crew, uint32_t flow);

int crew_state(const struct crew *crew, uint32_t flow);

/* Until each flow that a worker has has got some bytes more. */
void crew_until_flowing(struct crew *crew);

void crew_kill(struct crew *crew, uint32_t worker);

/* Flows come to their ends; workers too. Returns how many flows ended in each state. */
void crew_finish(struct crew *crew, unsigned ended[CREW_LEFT + 1]);

void crew_close(struct crew *crew);

#endif

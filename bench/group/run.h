/* SPDX-License-Identifier: MIT */
/* A run: receivers and senders are started, watched, and held to account for what was sent. */
#ifndef BENCH_GROUP_RUN_H
#define BENCH_GROUP_RUN_H

#include <sys/types.h>

#include "sender.h"
#include "server.h"

struct run {
	const struct server *server;
	struct server_job serving;
	struct sender_job sending;
	double seconds;
	int is_first;           /* before all other programs of the machine */
	int is_elsewhere;       /* the address is not in a network namespace of its own */
	const char *peer_space; /* network namespace of the senders; NULL: that of the receivers */
	pid_t receivers[RECEIVERS_MOST];
	pid_t senders[SENDERS_MOST];
	uint32_t processes; /* of receivers */
	int over;           /* pipe: closed when all is over */
};

/* Of each 0, or a negative errno: -EBADMSG if something was lost. */
int run_throughput(struct run *run);
int run_connections(struct run *run);

#endif

/* SPDX-License-Identifier: MIT */
/* A receiving side: one or several processes that accept connections, and receive until all is
 * over. */
#ifndef BENCH_GROUP_SERVER_H
#define BENCH_GROUP_SERVER_H

#include <stdint.h>

#include "tally.h"

struct server_job {
	uint32_t count;        /* of receivers */
	int pin;               /* each receiver to a processor */
	int greetings;         /* connections send greetings, else bytes that nobody looks at */
	int shared;            /* group: all receivers take from one queue */
	int level;             /* reuseport: level-triggered, one recv at a time */
	const char *engine;    /* group */
	const char *interface; /* group; NULL: none */
	uint16_t port;         /* group, on an interface */
	int listeners[RECEIVERS_MOST];
	int ready; /* pipe: a byte for each process that can accept */
	int over;  /* pipe: at its end when all is over */
	struct tallies *tallies;
};

struct server {
	const char *name;
	const char *what;
	int one_process; /* else one for each receiver, with a listening socket of its own */
	/* In a process of its own, which may leave things behind. 0, or a negative errno. */
	int (*serve)(const struct server_job *job, uint32_t index);
};

extern const struct server server_group;
extern const struct server server_reuseport;

/* Say that this process can accept. 0, or a negative errno. */
int server_ready(const struct server_job *job);

#endif

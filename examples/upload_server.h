/* SPDX-License-Identifier: MIT */
#ifndef UPLOAD_SERVER_H
#define UPLOAD_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <zcrx.h>

struct server {
	struct zrx_group *group;
	int listener, metrics; /* no metrics: -1 */
	int signals, failures; /* descriptors that tell of them */
	atomic_int draining;   /* nothing more is accepted */
	atomic_int stopping;   /* receivers are closed, whatever is under way */
	atomic_int failed;
	atomic_uint_least64_t ended; /* uploads that have */
	atomic_int cut_off;          /* uploads that never will */
	pthread_mutex_t closing;     /* the main thread's until it has woken all receivers */
	struct worker *workers;
	uint32_t started;
};

void say(const char *what, const char *why);

/* What the library has against it, and what to do about it. */
void say_error(const char *what, const struct zrx_error *error);

/* A thread for each receiver of the group. Returns 0, or -1; those that were started have to be
 * stopped then, too. */
int workers_start(struct server *server);

/* Each closes its receiver; uploads under way are cut off. */
void workers_stop(struct server *server);

/*
 * Accept one connection and answer its GET /metrics. Blocks for a few seconds at most, whatever the
 * peer does.
 */
void metrics_answer(int listener, struct zrx_group *group);

#endif

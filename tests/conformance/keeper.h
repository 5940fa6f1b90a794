/* SPDX-License-Identifier: MIT */
/* Knows which buffers the executor holds, and has them released in the order and by the threads
 * that a scenario asks for. */
#ifndef KEEPER_H
#define KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "judge.h"
#include "scenario.h"

/* A buffer that is out. */
struct held {
	uint64_t id;     /* the executor's */
	uint64_t stream; /* where in which stream its bytes belong */
	uint64_t offset, length;
};

struct held_list {
	struct held *items;
	size_t count, capacity;
};

struct keeper;

struct releaser {
	struct keeper *keeper;
	struct channel *channel;
	pthread_t thread;
};

struct keeper {
	const struct scenario *scenario;
	struct judge *judge;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct held_list held;
	struct held_list kept; /* not to be released until keeper_let_go */
	struct held_list due;  /* to be released by the release threads */
	uint64_t *out;         /* bytes of each stream that are held, or kept */
	unsigned busy;         /* release threads that are at it */
	int closing;
	uint32_t random;
	struct releaser releasers[RELEASE_THREADS];
	pthread_t watcher;
	atomic_int watching;
};

void keeper_start(struct keeper *keeper, const struct scenario *scenario, struct judge *judge);

/* Hold a buffer, or, with `keep`, keep it. Returns how many bytes of its stream are out then. */
uint64_t keeper_hold(struct keeper *keeper, const struct held *item, int keep);

/* From now on what is kept is held. */
void keeper_let_go(struct keeper *keeper);

/* How many bytes of a stream are held or kept. */
uint64_t keeper_out(struct keeper *keeper, uint64_t stream);

size_t keeper_held(struct keeper *keeper);

/* Have all but `left` of the held buffers released: by the release threads, or on this channel. */
void keeper_release(struct keeper *keeper, struct channel *channel, size_t left);

/* End the thread of hold=parked and hold=paused. Before the receiver is closed. */
void keeper_stop_watching(struct keeper *keeper);

/* Have all that is held released, and wait until that is done. */
void keeper_drain(struct keeper *keeper);

/* Drain, and end the threads. */
void keeper_stop(struct keeper *keeper);

/* The executor forks; the child checks and releases what is held, which must do no harm. */
void keeper_fork(struct keeper *keeper);

#endif

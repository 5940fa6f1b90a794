/* SPDX-License-Identifier: MIT */
/* Holds received buffers and releases them in the order and by the threads that a scenario asks
 * for. */
#ifndef KEEPER_H
#define KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <zcrx.h>

#include "scenario.h"

#define KEEPER_THREADS 16

/* A buffer that is out, and where in which stream its bytes belong. */
struct held {
	struct zrx_buffer buffer;
	uint64_t stream;
	uint64_t offset;
};

struct held_list {
	struct held *items;
	size_t count, capacity;
};

struct keeper {
	const struct scenario *scenario;
	struct zrx_receiver *receiver; /* for the watcher, while it is open */
	pthread_mutex_t lock;          /* of what follows */
	pthread_cond_t changed;
	struct held_list held;
	struct held_list due; /* to be released by the release threads */
	unsigned busy;        /* release threads that are at it */
	int closing;
	uint32_t random;
	pthread_t threads[KEEPER_THREADS];
	pthread_t watcher;
	atomic_int watching;
};

void keeper_start(struct keeper *keeper, const struct scenario *scenario,
		  struct zrx_receiver *receiver);

void keeper_hold(struct keeper *keeper, const struct held *item);

size_t keeper_held(struct keeper *keeper);

/* Have all but `left` of the held buffers released. */
void keeper_release(struct keeper *keeper, size_t left);

/* End the thread of hold=parked. Before the receiver is closed. */
void keeper_stop_watching(struct keeper *keeper);

/* Release all that is held, and wait until that is done. */
void keeper_drain(struct keeper *keeper);

/* Drain, and end the threads. */
void keeper_stop(struct keeper *keeper);

/* Fork; the child checks and releases what is held, which must do no harm. Waits for the child. */
void keeper_fork(struct keeper *keeper);

#endif

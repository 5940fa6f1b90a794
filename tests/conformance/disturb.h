/* SPDX-License-Identifier: MIT */
/* Disturbs a receiving thread: wakes from another thread, signals. */
#ifndef DISTURB_H
#define DISTURB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <zcrx.h>

#include "scenario.h"

struct disturber {
	struct zrx_receiver *receiver;
	uint64_t wake_ms, signal_ms;
	pthread_t target, thread;
	atomic_int running;
};

/* Disturb the calling thread as the scenario asks, until disturb_stop. */
void disturb_start(struct disturber *disturber, const struct scenario *scenario,
		   struct zrx_receiver *receiver);
void disturb_stop(struct disturber *disturber);

#endif

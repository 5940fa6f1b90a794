/* SPDX-License-Identifier: MIT */
/* Disturbs an executor: wakes on another thread, signals. */
#ifndef DISTURB_H
#define DISTURB_H

#include <pthread.h>
#include <stdatomic.h>

#include "judge.h"
#include "scenario.h"

struct disturber {
	const struct scenario *scenario;
	struct judge *judge;
	pthread_t thread;
	atomic_int running;
};

/* Disturb as the scenario asks, until disturb_stop. */
void disturb_start(struct disturber *disturber, const struct scenario *scenario,
		   struct judge *judge);
void disturb_stop(struct disturber *disturber);

#endif

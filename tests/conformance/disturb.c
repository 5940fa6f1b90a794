/* SPDX-License-Identifier: MIT */
#include "disturb.h"
#include "thread.h"

#include <signal.h>
#include <time.h>

static void ignore(int number)
{
	(void)number;
}

static void *disturb(void *argument)
{
	struct disturber *disturber = argument;
	uint64_t ms = disturber->wake_ms ? disturber->wake_ms : disturber->signal_ms;
	struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	while (atomic_load(&disturber->running)) {
		nanosleep(&pause, NULL);
		if (disturber->wake_ms)
			zrx_receiver_wake(disturber->receiver);
		if (disturber->signal_ms)
			pthread_kill(disturber->target, SIGUSR1);
	}
	return NULL;
}

void disturb_start(struct disturber *disturber, const struct scenario *scenario,
		   struct zrx_receiver *receiver)
{
	struct sigaction action = {.sa_handler = ignore};

	*disturber = (struct disturber){
		.receiver = receiver,
		.wake_ms = scenario->wake_ms,
		.signal_ms = scenario->signal_ms,
		.target = pthread_self(),
	};
	if (!scenario->wake_ms && !scenario->signal_ms)
		return;
	sigaction(SIGUSR1, &action, NULL); /* without SA_RESTART: a wait is interrupted */
	atomic_store(&disturber->running, 1);
	thread_start(&disturber->thread, disturb, disturber);
}

void disturb_stop(struct disturber *disturber)
{
	if (atomic_exchange(&disturber->running, 0))
		pthread_join(disturber->thread, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Other threads, real ones: in place of the coroutines of ../others.c, for the thread sanitizer.
 * What they do does not follow from the seed. The owner keeps to its part: the last release is
 * always its own.
 */
#include <pthread.h>
#include <sched.h>

#include "app.h"
#include "others.h"
#include "uring.h"

#define THREADS    2
#define QUEUE_MOST 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct released {
	struct app *of; /* app is the owner's to change */
	struct app_view view;
} queue[QUEUE_MOST];
static uint32_t queued;
static pthread_t owner;

static uint32_t take_batch(struct released *batch)
{
	uint32_t count = 0;

	pthread_mutex_lock(&lock);
	while (!queued)
		pthread_cond_wait(&filled, &lock);
	while (queued && count < APP_BATCH)
		batch[count++] = queue[--queued];
	pthread_mutex_unlock(&lock);
	return count;
}

static void *live(void *unused)
{
	struct released batch[APP_BATCH];
	struct zrx_buffer buffers[APP_BATCH];

	for (;;) {
		uint32_t count = take_batch(batch);

		for (uint32_t i = 0; i < count; i++) {
			app_check_view(&batch[i].view, "on another thread");
			buffers[i] = batch[i].view.buffer;
		}
		if (zrx_buffer_release(buffers, count))
			sim_fail("a release on another thread fails");
		for (uint32_t i = 0; i < count; i++)
			atomic_fetch_sub(&batch[i].of->releasing, 1);
	}
	return unused;
}

void others_begin(void)
{
	static int started;
	pthread_t thread;

	sim.threads = 1;
	owner = pthread_self();
	for (; started < THREADS; started++) {
		if (pthread_create(&thread, NULL, live, NULL))
			sim_fail("cannot start a thread");
	}
}

int others_release(uint32_t count)
{
	uint32_t given = 0;

	pthread_mutex_lock(&lock);
	while (given < count && app->view_count > 1 && queued < QUEUE_MOST) {
		atomic_fetch_add(&app->releasing, 1);
		queue[queued++] = (struct released){app, app_take_view()};
		given++;
	}
	pthread_cond_broadcast(&filled);
	pthread_mutex_unlock(&lock);
	return given != 0;
}

/* The owner does so itself: what a real thread adds when would not follow from the seed. */
int others_add(void)
{
	return 0;
}

int others_step(void)
{
	if (!atomic_load(&app->releasing))
		return 0;
	sched_yield();
	sim_uring_work(); /* of the eventfd that they signalled */
	sim_progressed();
	return 1;
}

void others_finish(void)
{
	while (others_step())
		;
}

int others_running(void)
{
	return !pthread_equal(pthread_self(), owner);
}

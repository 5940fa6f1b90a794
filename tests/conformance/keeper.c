/* SPDX-License-Identifier: MIT */
#include "keeper.h"
#include "payload.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NS 1000000

/* ---- lists ---- */

static void list_append(struct held_list *list, const struct held *items, size_t count)
{
	if (count > list->capacity - list->count) {
		list->capacity = 2 * (list->count + count);
		list->items = realloc(list->items, list->capacity * sizeof(*items));
		CHECK(list->items, "no memory for the held buffers");
	}
	memcpy(list->items + list->count, items, count * sizeof(*items));
	list->count += count;
}

static void list_drop_first(struct held_list *list, size_t count)
{
	list->count -= count;
	memmove(list->items, list->items + count, list->count * sizeof(*list->items));
}

static void swap(struct held *a, struct held *b)
{
	struct held copy = *a;

	*a = *b;
	*b = copy;
}

static uint32_t next_random(struct keeper *keeper)
{
	keeper->random = keeper->random * 1664525u + 1013904223u;
	return keeper->random >> 8;
}

/* Bring the buffers that are to be released to the front of the held list, in the order of release.
 */
static void arrange(struct keeper *keeper, size_t count)
{
	struct held_list *held = &keeper->held;

	if (keeper->scenario->order == ORDER_LIFO) {
		for (size_t i = 0; i < held->count / 2; i++)
			swap(&held->items[i], &held->items[held->count - 1 - i]);
	} else if (keeper->scenario->order == ORDER_RANDOM) {
		for (size_t i = 0; i < count; i++)
			swap(&held->items[i],
			     &held->items[i + next_random(keeper) % (held->count - i)]);
	}
}

/* What LIFO turned round is put back oldest first. */
static void restore_order(struct keeper *keeper)
{
	if (keeper->scenario->order == ORDER_LIFO)
		for (size_t i = 0; i < keeper->held.count / 2; i++)
			swap(&keeper->held.items[i],
			     &keeper->held.items[keeper->held.count - 1 - i]);
}

/* ---- release ---- */

static void check_contents(const struct scenario *scenario, const struct held *item)
{
	size_t length = item->buffer.length;
	size_t good = payload_check(item->buffer.data, length, scenario->seed, item->stream,
				    item->offset);

	CHECK(good == length,
	      "a held buffer has changed: stream %" PRIu64 ", offset %" PRIu64 ", slot %u",
	      item->stream, item->offset + good, item->buffer.slot);
}

static void release_once(const struct keeper *keeper, const struct held *items, size_t count)
{
	struct zrx_buffer *buffers = malloc(count * sizeof(*buffers));
	int result;

	CHECK(buffers, "no memory for a release");
	for (size_t i = 0; i < count; i++) {
		check_contents(keeper->scenario, &items[i]);
		buffers[i] = items[i].buffer;
	}
	result = zrx_buffer_release(buffers, (uint32_t)count);
	CHECK(result == 0, "release: %s", strerror(-result));
	if (keeper->scenario->double_release) {
		result = zrx_buffer_release(buffers, (uint32_t)count);
		CHECK(result == -EALREADY, "second release: %d, not EALREADY", result);
	}
	free(buffers);
}

static void release_items(const struct keeper *keeper, const struct held *items, size_t count)
{
	size_t batch = keeper->scenario->release_batch;

	for (size_t done = 0; done < count;) {
		size_t part = batch && batch < count - done ? batch : count - done;

		release_once(keeper, items + done, part);
		done += part;
	}
}

void keeper_release(struct keeper *keeper, size_t left)
{
	struct held_list going = {0};
	size_t count;

	pthread_mutex_lock(&keeper->lock);
	if (keeper->held.count > left) {
		count = keeper->held.count - left;
		arrange(keeper, count);
		list_append(keeper->scenario->release_threads ? &keeper->due : &going,
			    keeper->held.items, count);
		list_drop_first(&keeper->held, count);
		restore_order(keeper);
		pthread_cond_broadcast(&keeper->changed);
	}
	pthread_mutex_unlock(&keeper->lock);
	release_items(keeper, going.items, going.count);
	free(going.items);
}

/* A release thread: takes from the due list until the keeper stops. */
static void *release_due(void *argument)
{
	struct keeper *keeper = argument;
	size_t batch = keeper->scenario->release_batch ? keeper->scenario->release_batch : 64;
	struct held_list mine = {0};

	pthread_mutex_lock(&keeper->lock);
	while (keeper->due.count || !keeper->closing) {
		size_t count = keeper->due.count < batch ? keeper->due.count : batch;

		if (!count) {
			pthread_cond_wait(&keeper->changed, &keeper->lock);
			continue;
		}
		mine.count = 0;
		list_append(&mine, keeper->due.items, count);
		list_drop_first(&keeper->due, count);
		keeper->busy++;
		pthread_mutex_unlock(&keeper->lock);
		release_items(keeper, mine.items, mine.count);
		pthread_mutex_lock(&keeper->lock);
		keeper->busy--;
		pthread_cond_broadcast(&keeper->changed);
	}
	pthread_mutex_unlock(&keeper->lock);
	free(mine.items);
	return NULL;
}

/* The thread of hold=parked. */
static void *watch(void *argument)
{
	struct keeper *keeper = argument;
	struct timespec pause = {.tv_nsec = WATCH_NS};
	struct timespec park = {
		.tv_sec = (time_t)(keeper->scenario->park_ms / 1000),
		.tv_nsec = (long)(keeper->scenario->park_ms % 1000) * 1000000,
	};

	while (atomic_load(&keeper->watching)) {
		struct zrx_stats stats = ZRX_STATS_INIT;

		nanosleep(&pause, NULL);
		zrx_receiver_stats(keeper->receiver, &stats);
		if (!stats.parked)
			continue;
		nanosleep(&park, NULL);
		keeper_release(keeper, 0);
	}
	return NULL;
}

/* ---- life ---- */

void keeper_start(struct keeper *keeper, const struct scenario *scenario,
		  struct zrx_receiver *receiver)
{
	*keeper = (struct keeper){
		.scenario = scenario,
		.receiver = receiver,
		.random = (uint32_t)scenario->seed,
	};
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_cond_init(&keeper->changed, NULL);
	CHECK(scenario->release_threads <= KEEPER_THREADS, "too many release threads");
	for (uint64_t i = 0; i < scenario->release_threads; i++)
		thread_start(&keeper->threads[i], release_due, keeper);
	if (scenario->hold == HOLD_PARKED) {
		atomic_store(&keeper->watching, 1);
		thread_start(&keeper->watcher, watch, keeper);
	}
}

void keeper_hold(struct keeper *keeper, const struct held *item)
{
	pthread_mutex_lock(&keeper->lock);
	list_append(&keeper->held, item, 1);
	pthread_mutex_unlock(&keeper->lock);
}

size_t keeper_held(struct keeper *keeper)
{
	size_t count;

	pthread_mutex_lock(&keeper->lock);
	count = keeper->held.count;
	pthread_mutex_unlock(&keeper->lock);
	return count;
}

void keeper_stop_watching(struct keeper *keeper)
{
	if (atomic_exchange(&keeper->watching, 0))
		pthread_join(keeper->watcher, NULL);
}

void keeper_drain(struct keeper *keeper)
{
	keeper_release(keeper, 0);
	pthread_mutex_lock(&keeper->lock);
	while (keeper->due.count || keeper->busy)
		pthread_cond_wait(&keeper->changed, &keeper->lock);
	pthread_mutex_unlock(&keeper->lock);
}

void keeper_stop(struct keeper *keeper)
{
	keeper_drain(keeper);
	pthread_mutex_lock(&keeper->lock);
	keeper->closing = 1;
	pthread_cond_broadcast(&keeper->changed);
	pthread_mutex_unlock(&keeper->lock);
	for (uint64_t i = 0; i < keeper->scenario->release_threads; i++)
		pthread_join(keeper->threads[i], NULL);
	free(keeper->held.items);
	free(keeper->due.items);
	pthread_mutex_destroy(&keeper->lock);
	pthread_cond_destroy(&keeper->changed);
}

static void be_forked_child(const struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->held.count; i++) {
		const struct held *item = &keeper->held.items[i];
		int result;

		check_contents(keeper->scenario, item);
		result = zrx_buffer_release(&item->buffer, 1);
		CHECK(result == 0, "release in a forked child: %s", strerror(-result));
	}
	_exit(0);
}

void keeper_fork(struct keeper *keeper)
{
	int status = 0;
	pid_t child;

	pthread_mutex_lock(&keeper->lock);
	child = fork();
	CHECK(child >= 0, "fork: %s", strerror(errno));
	if (child == 0)
		be_forked_child(keeper);
	waitpid(child, &status, 0);
	pthread_mutex_unlock(&keeper->lock);
	CHECK(status == 0, "the forked child failed: status %x", status);
}

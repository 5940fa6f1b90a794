/* SPDX-License-Identifier: MIT */
#include "keeper.h"
#include "thread.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WATCH_NS 1000000

/* ---- lists ---- */

static void list_append(struct held_list *list, const struct held *items, size_t count)
{
	if (count > list->capacity - list->count) {
		list->capacity = 2 * (list->count + count);
		list->items = realloc(list->items, list->capacity * sizeof(*items));
		CHECK(list->items, "no memory for the held buffers");
	}
	if (count)
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

/* "VERB ID ID ...", to be freed. */
static char *list_request(const char *verb, const struct held *items, size_t count)
{
	char *request = malloc(strlen(verb) + 21 * count + 1), *at;

	CHECK(request, "no memory for a request");
	at = stpcpy(request, verb);
	for (size_t i = 0; i < count; i++)
		at += sprintf(at, " %" PRIu64, items[i].id);
	return request;
}

/* changed ID GOOD: its byte number GOOD is not the payload's any more. */
static void note_changed(void *context, char *line)
{
	const struct held_list *list = context;
	uint64_t id, good;

	CHECK(sscanf(line, "changed %" SCNu64 " %" SCNu64, &id, &good) == 2,
	      "release: answered by: %.200s", line);
	for (size_t i = 0; i < list->count; i++)
		CHECK(list->items[i].id != id,
		      "a held buffer has changed: stream %" PRIu64 ", offset %" PRIu64,
		      list->items[i].stream, list->items[i].offset + good);
	fail("release: %.200s: no such buffer", line);
}

static void release_once(const struct keeper *keeper, struct channel *channel, struct held *items,
			 size_t count)
{
	int twice = keeper->scenario->double_release;
	char *request = list_request(twice ? "twice" : "release", items, count);
	struct held_list list = {.items = items, .count = count};
	const char *text;
	int result = call_line(channel, note_changed, &list, &text, request);

	CHECK(result == 0, "release: %s: %.400s", strerror(-result), text);
	CHECK(!twice || atoi(text) == EALREADY, "second release: %.40s, not EALREADY", text);
	free(request);
}

static void release_items(const struct keeper *keeper, struct channel *channel,
			  const struct held_list *going)
{
	size_t batch = keeper->scenario->release_batch;

	for (size_t done = 0; done < going->count;) {
		size_t left = going->count - done;
		size_t part = batch && batch < left ? batch : left;

		release_once(keeper, channel, going->items + done, part);
		done += part;
	}
}

void keeper_release(struct keeper *keeper, struct channel *channel, size_t left)
{
	struct held_list going = {0};
	size_t count;

	pthread_mutex_lock(&keeper->lock);
	if (keeper->held.count > left) {
		count = keeper->held.count - left;
		arrange(keeper, count);
		for (size_t i = 0; i < count; i++)
			keeper->out[keeper->held.items[i].stream] -= keeper->held.items[i].length;
		list_append(keeper->scenario->release_threads ? &keeper->due : &going,
			    keeper->held.items, count);
		list_drop_first(&keeper->held, count);
		restore_order(keeper);
		pthread_cond_broadcast(&keeper->changed);
	}
	pthread_mutex_unlock(&keeper->lock);
	release_items(keeper, channel, &going);
	free(going.items);
}

/* A release thread: takes from the due list until the keeper stops. */
static void *release_due(void *argument)
{
	const struct releaser *releaser = argument;
	struct keeper *keeper = releaser->keeper;
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
		release_items(keeper, releaser->channel, &mine);
		pthread_mutex_lock(&keeper->lock);
		keeper->busy--;
		pthread_cond_broadcast(&keeper->changed);
	}
	pthread_mutex_unlock(&keeper->lock);
	free(mine.items);
	return NULL;
}

/* hold=parked: nobody can go on for want of chunks, or some have taken them all, up to their
 * windows. */
static int is_stuck(const struct keeper *keeper, const char *stats)
{
	int parked = keeper->scenario->hold == HOLD_PARKED && stats_value(stats, "parked");

	return parked || stats_value(stats, "paused");
}

/* The thread of hold=parked and hold=paused. */
static void *watch(void *argument)
{
	struct keeper *keeper = argument;
	struct channel *channel = &keeper->judge->channels[WATCHER];
	struct timespec pause = {.tv_nsec = WATCH_NS};
	struct timespec park = {
		.tv_sec = (time_t)(keeper->scenario->park_ms / 1000),
		.tv_nsec = (long)(keeper->scenario->park_ms % 1000) * 1000000,
	};

	while (atomic_load(&keeper->watching)) {
		const char *stats;

		nanosleep(&pause, NULL);
		CHECK(call(channel, NULL, NULL, &stats, "stats") == 0, "stats: %s", stats);
		if (!is_stuck(keeper, stats))
			continue;
		nanosleep(&park, NULL);
		keeper_release(keeper, channel, 0);
	}
	return NULL;
}

/* ---- life ---- */

void keeper_start(struct keeper *keeper, const struct scenario *scenario, struct judge *judge)
{
	*keeper = (struct keeper){
		.scenario = scenario,
		.judge = judge,
		.random = (uint32_t)scenario->seed,
	};
	keeper->out = calloc(scenario->connections + 1, sizeof(*keeper->out));
	CHECK(keeper->out, "no memory for %" PRIu64 " streams", scenario->connections);
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_cond_init(&keeper->changed, NULL);
	CHECK(scenario->release_threads <= RELEASE_THREADS, "too many release threads");
	for (uint64_t i = 0; i < scenario->release_threads; i++) {
		struct releaser *releaser = &keeper->releasers[i];

		*releaser = (struct releaser){keeper, &judge->channels[RELEASERS + i], 0};
		thread_start(&releaser->thread, release_due, releaser);
	}
	if (scenario->hold == HOLD_PARKED || scenario->hold == HOLD_PAUSED) {
		atomic_store(&keeper->watching, 1);
		thread_start(&keeper->watcher, watch, keeper);
	}
}

uint64_t keeper_hold(struct keeper *keeper, const struct held *item, int keep)
{
	uint64_t out;

	pthread_mutex_lock(&keeper->lock);
	list_append(keep ? &keeper->kept : &keeper->held, item, 1);
	out = keeper->out[item->stream] += item->length;
	pthread_mutex_unlock(&keeper->lock);
	return out;
}

void keeper_let_go(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	list_append(&keeper->held, keeper->kept.items, keeper->kept.count);
	keeper->kept.count = 0;
	pthread_mutex_unlock(&keeper->lock);
}

uint64_t keeper_out(struct keeper *keeper, uint64_t stream)
{
	uint64_t out;

	pthread_mutex_lock(&keeper->lock);
	out = keeper->out[stream];
	pthread_mutex_unlock(&keeper->lock);
	return out;
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
	keeper_release(keeper, &keeper->judge->channels[OWNER], 0);
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
		pthread_join(keeper->releasers[i].thread, NULL);
	free(keeper->held.items);
	free(keeper->due.items);
	free(keeper->kept.items);
	free(keeper->out);
	pthread_mutex_destroy(&keeper->lock);
	pthread_cond_destroy(&keeper->changed);
}

void keeper_fork(struct keeper *keeper)
{
	const char *text;
	char *request;
	int result;

	pthread_mutex_lock(&keeper->lock);
	request = list_request("fork", keeper->held.items, keeper->held.count);
	result = call_line(&keeper->judge->channels[OWNER], NULL, NULL, &text, request);
	pthread_mutex_unlock(&keeper->lock);
	CHECK(result == 0, "fork: %s: %.400s", strerror(-result), text);
	CHECK(!strcmp(text, "0"), "the forked child failed: status %.40s", text);
	free(request);
}

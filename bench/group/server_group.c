/* SPDX-License-Identifier: MIT */
/* zcrx's own: a group, one thread for each receiver. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <zcrx.h>

#include "server.h"

#define EVENT_BATCH 128u

struct worker {
	pthread_t thread;
	struct zrx_receiver *receiver;
	struct tally *tally;
	const struct server_job *job;
	int result;
};

static _Atomic int is_over;

/* Its own reference keeps the socket: so nobody has to remember which descriptor a stream has. */
static void take_event(const struct worker *worker, const struct zrx_event *event)
{
	struct tally *tally = worker->tally;

	switch (event->kind) {
	case ZRX_EVENT_DATA:
		tally_add(&tally->bytes, event->buffer.length);
		if (worker->job->greetings)
			tally_greeting(tally, event->buffer.data, event->buffer.length);
		break;
	case ZRX_EVENT_ADDED:
		tally_add(&tally->accepted, 1);
		close(event->error);
		break;
	case ZRX_EVENT_END:
		tally_add(&tally->ended, 1);
		break;
	default:
		tally_add(&tally->failed, 1);
		break;
	}
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct zrx_event events[EVENT_BATCH];

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		int count = zrx_receiver_receive(worker->receiver, events, EVENT_BATCH, -1);

		if (count < 0 && count != -EINTR) {
			worker->result = count;
			break;
		}
		for (int i = 0; i < count; i++)
			take_event(worker, &events[i]);
		if (count > 0)
			zrx_event_release(events, (uint32_t)count);
	}
	return NULL;
}

static int open_group(const struct server_job *job, struct zrx_group **group)
{
	struct zrx_options receiver = ZRX_OPTIONS_INIT;
	struct zrx_group_options options = ZRX_GROUP_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = zrx_engine_by_name(job->engine, &receiver.engine);

	options.count = job->count;
	options.flags = (job->pin ? ZRX_GROUP_PIN : 0) | (job->shared ? ZRX_GROUP_SHARED_QUEUE : 0);
	options.receiver = &receiver;
	if (job->interface) {
		receiver.interface = job->interface;
		receiver.steer = ZRX_STEER_PORT;
		receiver.steer_port = job->port;
	}
	if (!result)
		result = zrx_group_open(group, &options, &error);
	if (!result) {
		result = zrx_group_listen(*group, job->listeners[0], NULL, &error);
		if (result)
			zrx_group_close(*group);
	}
	if (result)
		fprintf(stderr, "%s: %s (%s)\n", job->engine, error.message, error.hint);
	return result;
}

static int start_workers(const struct server_job *job, struct zrx_group *group,
			 struct worker *workers)
{
	int result = 0;

	for (uint32_t i = 0; !result && i < job->count; i++) {
		workers[i] = (struct worker){
			.receiver = zrx_group_receiver(group, i),
			.tally = &job->tallies->receivers[i],
			.job = job,
		};
		result = -pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	return result;
}

/* They leave their receivers to be closed with the group: one that is being woken must be there. */
static int finish_workers(const struct server_job *job, struct worker *workers)
{
	int result = 0;

	atomic_store_explicit(&is_over, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < job->count; i++)
		zrx_receiver_wake(workers[i].receiver);
	for (uint32_t i = 0; i < job->count; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].result)
			result = workers[i].result;
	}
	return result;
}

static int count_refused(const struct server_job *job, struct zrx_group *group)
{
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	int result = zrx_group_stats(group, &stats);

	if (!result && stats.refused)
		fprintf(stderr, "%s: %llu connections were refused\n", job->engine,
			(unsigned long long)stats.refused);
	return !result && stats.refused ? -ECONNREFUSED : result;
}

static int serve_group(const struct server_job *job, uint32_t index)
{
	struct worker workers[RECEIVERS_MOST];
	struct zrx_group *group;
	int result = open_group(job, &group), refused;
	char byte;

	(void)index;
	if (!result)
		result = start_workers(job, group, workers);
	if (!result)
		result = server_ready(job);
	if (result)
		return result;
	while (read(job->over, &byte, 1) < 0 && errno == EINTR)
		;
	result = finish_workers(job, workers);
	refused = count_refused(job, group);
	zrx_group_close(group);
	return result ? result : refused;
}

const struct server server_group = {
	"group", "a group of zcrx: one process, a thread for each receiver", 1, serve_group};

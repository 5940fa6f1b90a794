/* SPDX-License-Identifier: MIT */
/* zcrx itself. */
#include <stdio.h>
#include <unistd.h>
#include <zcrx.h>

#include "engine_multishot.h"
#include "side.h"
#include "take.h"

static int open_receiver(struct bench_job *job)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver;
	int result = zrx_engine_by_name(job->engine, &options.engine);

	options.buffer_bytes = job->buffer_bytes;
	if (!result)
		result = zrx_receiver_open(&receiver, &options, &error);
	if (result) {
		fprintf(stderr, "%s: %s (%s)\n", job->engine, error.message, error.hint);
		return result;
	}
	job->state = receiver;
	return 0;
}

/* The receiver holds its own reference to each socket: two of ten thousand may be too many. */
static int open_side(struct bench_job *job)
{
	int result = open_receiver(job);

	for (uint32_t i = 0; !result && i < job->streams; i++) {
		result = zrx_receiver_add(job->state, job->sockets[i], NULL, NULL);
		close(job->sockets[i]);
	}
	return result;
}

static int receive(struct bench_job *job)
{
	struct bench_taken taken = {0};
	int result = bench_take(job->state, job->bytes, job->singly, &taken);

	job->buffers += taken.buffers;
	return result;
}

/* How many chunks engine multishot came to keep in the kernel's hands. */
static uint32_t hot_set(struct zrx_receiver *receiver, uint32_t streams)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	uint32_t most, posted = ZRX_HOT_SET_FIRST;

	zrx_receiver_stats(receiver, &stats);
	zrx_receiver_info(receiver, &info);
	most = (uint32_t)(info.area_bytes / info.buffer_bytes) - 1;
	for (uint64_t i = 0; i < stats.rearms_no_buffer && posted < most &&
			     zrx_hot_set_grows(posted, info.buffer_bytes, streams);
	     i++)
		posted *= 2;
	return posted < most ? posted : most;
}

static void close_side(struct bench_job *job)
{
	job->posted = hot_set(job->state, job->streams);
	zrx_receiver_close(job->state);
}

const struct bench_side bench_side_zrx = {"zrx", "zcrx, engine as given", open_side, receive,
					  close_side};

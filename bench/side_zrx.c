/* SPDX-License-Identifier: MIT */
/* zcrx itself. */
#include <errno.h>
#include <stdio.h>
#include <zcrx.h>

#include "side.h"

#define BATCH 128

static int loop(struct bench_job *job, struct zrx_receiver *receiver)
{
	static struct zrx_event events[BATCH];
	uint64_t got = 0;

	while (got < job->bytes) {
		int count = zrx_receiver_receive(receiver, events, BATCH, -1);

		if (count == -EINTR)
			continue;
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			if (events[i].kind != ZRX_EVENT_DATA)
				return -EIO;
			bench_touch(job, events[i].buffer.data, events[i].buffer.length);
			got += events[i].buffer.length;
		}
		zrx_event_release(events, (uint32_t)count);
	}
	return 0;
}

static int receive(struct bench_job *job)
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
	for (uint32_t i = 0; !result && i < job->streams; i++)
		result = zrx_receiver_add(receiver, job->sockets[i], NULL, NULL);
	if (!result)
		result = loop(job, receiver);
	zrx_receiver_close(receiver);
	return result;
}

const struct bench_side bench_side_zrx = {"zrx", "zcrx, engine as given", receive};

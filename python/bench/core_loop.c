/* SPDX-License-Identifier: MIT */
/* The C core's own receive loop, to be compared with: receive a batch, release it, to the end. */
#include <stdlib.h>
#include <time.h>

#include "zcrx.h"

#define BATCH 64

struct core_result {
	uint64_t bytes;
	uint64_t buffers;
	int64_t cpu_ns;
};

static int64_t cpu_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int loop(struct zrx_receiver *receiver, struct core_result *result)
{
	struct zrx_event events[BATCH];

	for (;;) {
		int count = zrx_receiver_receive(receiver, events, BATCH, -1);

		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			if (events[i].kind != ZRX_EVENT_DATA)
				return events[i].error;
			result->bytes += events[i].buffer.length;
			result->buffers++;
		}
		zrx_event_release(events, (uint32_t)count);
	}
}

ZRX_API int core_loop(int fd, uint32_t engine, uint32_t buffer_bytes, struct core_result *result);

int core_loop(int fd, uint32_t engine, uint32_t buffer_bytes, struct core_result *result)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_receiver *receiver;
	int64_t begin;
	int error;

	options.engine = engine;
	options.buffer_bytes = buffer_bytes;
	*result = (struct core_result){0};
	error = zrx_receiver_open(&receiver, &options, NULL);
	if (error)
		return error;
	begin = cpu_now();
	error = zrx_receiver_add(receiver, fd, NULL, NULL);
	if (!error)
		error = loop(receiver, result);
	result->cpu_ns = cpu_now() - begin;
	zrx_receiver_close(receiver);
	return error;
}

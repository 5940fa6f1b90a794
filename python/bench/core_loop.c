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

/* Receive and release until there are so many bytes, or to the end. */
static int loop(struct zrx_receiver *receiver, uint64_t most, struct core_result *result)
{
	struct zrx_event events[BATCH];

	while (result->bytes < most) {
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
	return 0;
}

ZRX_API int core_open(int fd, uint32_t engine, uint32_t buffer_bytes,
		      struct zrx_receiver **receiver);
ZRX_API int core_receive(struct zrx_receiver *receiver, uint64_t most, struct core_result *result);
ZRX_API int core_close(struct zrx_receiver *receiver);

int core_open(int fd, uint32_t engine, uint32_t buffer_bytes, struct zrx_receiver **receiver)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	int error;

	options.engine = engine;
	options.buffer_bytes = buffer_bytes;
	error = zrx_receiver_open(receiver, &options, NULL);
	if (error)
		return error;
	error = zrx_receiver_add(*receiver, fd, NULL, NULL);
	if (error)
		zrx_receiver_close(*receiver);
	return error;
}

int core_receive(struct zrx_receiver *receiver, uint64_t most, struct core_result *result)
{
	int64_t begin = cpu_now();
	int error;

	*result = (struct core_result){0};
	error = loop(receiver, most, result);
	result->cpu_ns = cpu_now() - begin;
	return error;
}

int core_close(struct zrx_receiver *receiver)
{
	return zrx_receiver_close(receiver);
}

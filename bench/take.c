/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <zcrx.h>

#include "take.h"

static int take_batch(const struct zrx_event *events, int count, struct bench_taken *taken)
{
	uint64_t bytes = 0;

	for (const struct zrx_event *event = events; event != events + count; event++) {
		if (event->kind != ZRX_EVENT_DATA)
			return -EPIPE;
		bytes += event->buffer.length;
	}
	taken->bytes += bytes;
	taken->buffers += (uint64_t)count;
	return 0;
}

static void release_singly(const struct zrx_event *events, int count)
{
	for (int i = 0; i < count; i++)
		zrx_buffer_release(&events[i].buffer, 1);
}

int bench_take(struct zrx_receiver *receiver, uint64_t bytes, int singly, struct bench_taken *taken)
{
	struct zrx_event events[BENCH_BATCH];

	while (taken->bytes < bytes) {
		int count = zrx_receiver_receive(receiver, events, BENCH_BATCH, -1);
		int result;

		if (count == -EINTR)
			continue;
		if (count < 0)
			return count;
		result = take_batch(events, count, taken);
		if (result)
			return result;
		if (singly)
			release_singly(events, count);
		else
			zrx_event_release(events, (uint32_t)count);
	}
	return 0;
}

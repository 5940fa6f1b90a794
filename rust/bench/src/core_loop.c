/* SPDX-License-Identifier: MIT */
/* What a program in C does: receive, look at each buffer, release the batch, or one by one. */
#include <errno.h>
#include <zcrx.h>

struct counts {
	uint64_t bytes;
	uint64_t buffers;
	uint64_t sum; /* of the first bytes */
};

/* Look at the events and count. Returns 0, 1 at the stream's end, or what it ended with. */
static inline int take(const struct zrx_event *events, int count, struct counts *counts)
{
	for (int i = 0; i < count; i++) {
		if (events[i].kind != ZRX_EVENT_DATA)
			return events[i].error ? events[i].error : 1;
		counts->bytes += events[i].buffer.length;
		counts->sum += *(const unsigned char *)events[i].buffer.data;
		counts->buffers++;
	}
	return 0;
}

/* Receive until so many bytes have come, or the stream's end. Returns 0 or a negative errno. */
int bench_core_loop(struct zrx_receiver *rx, struct zrx_event *events, uint32_t capacity,
		    uint64_t until, struct counts *counts)
{
	while (counts->bytes < until) {
		int count = zrx_receiver_receive(rx, events, capacity, -1);
		int end;

		if (count < 0 && count != -EINTR)
			return count;
		end = take(events, count, counts);
		zrx_event_release(events, count > 0 ? (uint32_t)count : 0);
		if (end)
			return end < 0 ? end : 0;
	}
	return 0;
}

/* The same, but each buffer is released by a call of its own. */
int bench_core_single_loop(struct zrx_receiver *rx, struct zrx_event *events, uint32_t capacity,
			   uint64_t until, struct counts *counts)
{
	while (counts->bytes < until) {
		int count = zrx_receiver_receive(rx, events, capacity, -1);

		if (count < 0 && count != -EINTR)
			return count;
		for (int i = 0; i < count; i++) {
			int end = take(&events[i], 1, counts);

			if (end)
				return end < 0 ? end : 0;
			zrx_buffer_release(&events[i].buffer, 1);
		}
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* What a program in C does: receive, look at each buffer, release the batch. */
#include <errno.h>
#include <zcrx.h>

struct counts {
	uint64_t bytes;
	uint64_t buffers;
	uint64_t sum; /* of the first bytes */
};

/* Receive until so many bytes have come, or the stream's end. Returns 0 or a negative errno. */
int bench_core_loop(struct zrx_receiver *rx, struct zrx_event *events, uint32_t capacity,
		    uint64_t until, struct counts *counts)
{
	while (counts->bytes < until) {
		int count = zrx_receiver_receive(rx, events, capacity, -1);

		if (count < 0 && count != -EINTR)
			return count;
		for (int i = 0; i < count; i++) {
			if (events[i].kind != ZRX_EVENT_DATA)
				return events[i].error;
			counts->bytes += events[i].buffer.length;
			counts->sum += *(const unsigned char *)events[i].buffer.data;
			counts->buffers++;
		}
		zrx_event_release(events, count > 0 ? (uint32_t)count : 0);
	}
	return 0;
}

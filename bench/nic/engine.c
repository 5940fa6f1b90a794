/* SPDX-License-Identifier: MIT */
/* The library: engine zcrx on the queue, and engine multishot. */
#include <errno.h>
#include <stdio.h>
#include <zcrx.h>

#include "method.h"

#define BATCH 128

static int open_receiver(struct nic_job *job, struct zrx_options *options)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	struct zrx_receiver *receiver;
	int result = zrx_receiver_open(&receiver, options, &error);

	if (result) {
		fprintf(stderr, "%s (%s)\n", error.message, error.hint);
		return result;
	}
	job->state = receiver;
	zrx_receiver_info(receiver, &info);
	if (job->buffer_bytes && info.buffer_bytes != job->buffer_bytes) {
		fprintf(stderr,
			"buffers of %u bytes are not to be had; they need a driver that can, and "
			"huge "
			"pages: sysctl -w vm.nr_hugepages=%u\n",
			job->buffer_bytes, NIC_AREA_BYTES >> 21);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int open_multishot(struct nic_job *job)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.engine = ZRX_ENGINE_MULTISHOT;
	return open_receiver(job, &options);
}

static int open_zcrx(struct nic_job *job)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.engine = ZRX_ENGINE_ZCRX;
	options.interface = job->interface;
	options.flags = ZRX_QUEUE;
	options.queue = job->queue;
	options.nic_mode = ZRX_NIC_PREPARED;
	options.area_bytes = NIC_AREA_BYTES;
	options.buffer_bytes = job->buffer_bytes;
	return open_receiver(job, &options);
}

static int start(struct nic_job *job)
{
	return zrx_receiver_add(job->state, job->socket, NULL, NULL);
}

static int receive(struct nic_job *job)
{
	struct zrx_event events[BATCH];
	struct zrx_stats stats = ZRX_STATS_INIT;

	while (job->got < job->bytes) {
		int count = zrx_receiver_receive(job->state, events, BATCH, -1);

		if (count == -EINTR)
			continue;
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			/* The end may come in the batch of the last bytes. */
			if (events[i].kind == ZRX_EVENT_DATA)
				nic_take(job, events[i].buffer.data, events[i].buffer.length);
			else if (job->got < job->bytes)
				return events[i].error ? events[i].error : -EPIPE;
		}
		zrx_event_release(events, (uint32_t)count);
	}
	zrx_receiver_stats(job->state, &stats);
	job->copied = stats.copied_bytes;
	return 0;
}

static void close_method(struct nic_job *job)
{
	zrx_receiver_close(job->state);
}

const struct nic_method nic_method_multishot = {
	"multishot", "zcrx's engine multishot", open_multishot, start, receive, close_method};
const struct nic_method nic_method_zcrx = {"zcrx",  "zcrx's engine zcrx", open_zcrx, start,
					   receive, close_method};

/* SPDX-License-Identifier: MIT */
/* Info, statistics and errors of a receiver; its descriptor for event loops; wake. */
#include <errno.h>

#include "error.h"
#include "receiver.h"
#include "refill.h"
#include "sys.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

int zrx_receiver_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	const struct zrx_counters *counters = &receiver->counters;
	int64_t references =
		atomic_load_explicit(&receiver->area->references, memory_order_relaxed);
	uint64_t outstanding = references > 0 ? (uint64_t)references - 1 : 0;
	struct zrx_stats filled = {
		.size = sizeof(filled),
		.stall = atomic_load_explicit(&counters->stall, memory_order_relaxed),
		.bytes = load(&counters->bytes),
		.buffers = load(&counters->buffers),
		.outstanding = outstanding,
		.streams = load(&counters->streams),
		.parked = load(&counters->parked),
		.parks = load(&counters->parks),
		.rearms_ring_full = load(&counters->rearms_ring_full),
		.rearms_no_buffer = load(&counters->rearms_no_buffer),
		.rearms_silent = load(&counters->rearms_silent),
		.rearms_interrupted = load(&counters->rearms_interrupted),
		.copied_bytes = ZRX_UNKNOWN,
		.copied_buffers = ZRX_UNKNOWN,
		.alloc_failures = ZRX_UNKNOWN,
		.waits = load(&counters->waits),
		.wakes = load(&counters->wakes),
		.paused = load(&counters->paused),
		.pauses = load(&counters->pauses),
		.held_bytes = load(&counters->held_bytes),
		.area_bytes = load(&counters->area_bytes),
	};

	/* The two counters are read one after the other: never let their difference wrap. */
	filled.released = filled.buffers > outstanding ? filled.buffers - outstanding : 0;
	receiver->engine->stats(receiver, &filled);
	return zrx_copy_out(stats, &filled, sizeof(filled));
}

int zrx_stream_stats(const struct zrx_receiver *receiver, uint64_t handle,
		     struct zrx_stream_stats *stats)
{
	const struct zrx_stream *stream;
	struct zrx_stream_stats filled = {.size = sizeof(filled)};
	int result = zrx_check_thread(receiver);

	if (result)
		return result;
	stream = zrx_stream_find(&receiver->streams, handle);
	if (!stream)
		return -ENOENT;
	filled.at_window = !!(stream->flags & ZRX_STREAM_AT_WINDOW);
	filled.paused = !!(stream->flags & ZRX_STREAM_BY_HAND);
	filled.bytes = stream->bytes;
	filled.held_bytes = stream->held;
	filled.window_bytes = zrx_window_now(receiver, stream);
	filled.receive_buffer = stream->receive_buffer;
	return zrx_copy_out(stats, &filled, sizeof(filled));
}

void zrx_info_describe(struct zrx_receiver *receiver)
{
	const struct zrx_options *options = &receiver->options;
	struct zrx_info *info = &receiver->info;

	info->area_base = receiver->area->base;
	info->area_max_bytes = receiver->area->max_bytes;
	info->window_bytes = options->window_bytes;
	info->numa_node = receiver->area->node;
	info->processor = options->flags & ZRX_PROCESSOR ? (int32_t)options->processor : -1;
}

int zrx_receiver_info(const struct zrx_receiver *receiver, struct zrx_info *info)
{
	return zrx_copy_out(info, &receiver->info, sizeof(receiver->info));
}

int zrx_receiver_refusal(const struct zrx_receiver *receiver, uint32_t engine,
			 struct zrx_error *refusal)
{
	return zrx_error_tell(engine < ZRX_ENGINE_COUNT ? &receiver->refused[engine] : NULL,
			      refusal);
}

int zrx_receiver_error(const struct zrx_receiver *receiver, struct zrx_error *error)
{
	struct zrx_error filled = ZRX_ERROR_INIT;

	if (!zrx_check_thread(receiver))
		return zrx_error_copy(error, &receiver->last);
	/* What the owner's calls failed with is the owner's to read. */
	zrx_error_set(&filled, -EPERM, ZRX_STAGE_THREAD,
		      "call it on the thread that received first, or open one receiver per thread",
		      "another thread owns this receiver");
	return zrx_error_copy(error, &filled);
}

int zrx_receiver_fd(const struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;

	int ring = area->poll_fd >= 0;

	/*
	 * The owner attaches it to the ring in its next receive. Readable until then, so that there
	 * is one. (Engine recv: its epoll instance, which watches wake_fd.)
	 */
	if (!atomic_exchange_explicit(&area->polled, 1, memory_order_relaxed))
		zrx_sys_eventfd_signal(ring ? area->poll_fd : area->wake_fd);
	return ring ? area->poll_fd : area->ring_fd;
}

int zrx_receiver_wake(struct zrx_receiver *receiver)
{
	struct zrx_area *area = receiver->area;

	if (area->forked)
		return 0;
	/*
	 * Pairs with zrx_receiver_receive: asked comes before the signal, so what it wakes finds
	 * it.
	 */
	if (!atomic_exchange_explicit(&area->wake_asked, 1, memory_order_seq_cst))
		zrx_area_nudge(area);
	return 0;
}

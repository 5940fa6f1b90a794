/* SPDX-License-Identifier: MIT */
/*
 * Engine multishot: one io_uring receive request per stream that completes again and again, each
 * time with bytes that the kernel copied into a chunk of the provided-buffer ring.
 *
 * Only a hot set of chunks is in the kernel's hands, the last released first, so that the copy
 * lands in cache. It doubles when the kernel runs out while others are free, as far as there are
 * streams to share it.
 */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#include "engine.h"
#include "error.h"
#include "fill.h"
#include "engine_multishot.h"
#include "options.h"
#include "receiver.h"
#include "ring.h"
#include "uapi.h"

#define GROUP           0
#define MULTISHOT_WIDE  0      /* completions of 16 bytes */
#define MAX_CHUNKS      65536u /* buffer ids have 16 bits */
#define MAX_BUFFER_RING 32768u

struct multishot_state {
	struct zrx_ring ring;
	struct zrx_chunks chunks;
	struct zrx_fill
		fill; /* streams with a limit are received by recv: it alone stops at a byte */
	struct io_uring_buf_ring *buffers;
	uint32_t buffer_entries;
	uint32_t posted;  /* chunks in the kernel's hands, as far as completions have told */
	uint32_t hot_set; /* how many that should be */
	uint8_t incremental;
};

/* ---- open and close ---- */

static size_t buffer_ring_bytes(const struct multishot_state *state)
{
	return state->buffer_entries * sizeof(struct io_uring_buf);
}

static int register_buffers(struct multishot_state *state, uint16_t flags)
{
	struct zrx_uapi_buf_reg registration = {
		.ring_addr = (uint64_t)(uintptr_t)state->buffers,
		.ring_entries = state->buffer_entries,
		.bgid = GROUP,
		.flags = flags,
	};

	return zrx_sys_ring_register(&state->ring.uring, ZRX_UAPI_REGISTER_PBUF_RING, &registration,
				     1);
}

static int open_buffers(struct multishot_state *state, struct zrx_receiver *receiver,
			struct zrx_error *error)
{
	int result = 0;

	state->buffer_entries = zrx_options_refill_entries(
		&receiver->options, zrx_area_chunks(receiver->area), MAX_BUFFER_RING);
	state->buffers = zrx_sys_map(buffer_ring_bytes(state), 0, &result);
	if (!state->buffers)
		return zrx_error_set(error, result, ZRX_STAGE_RING, NULL,
				     "cannot map the buffer ring");
	result = zrx_sys_advise(state->buffers, buffer_ring_bytes(state), MADV_DONTFORK);
	if (result)
		return zrx_error_set(error, result, ZRX_STAGE_RING, NULL,
				     "cannot keep the buffer ring from children");
	io_uring_buf_ring_init(state->buffers);
	result = register_buffers(state, ZRX_UAPI_PBUF_RING_INC);
	state->incremental = !result;
	if (result == -EINVAL) /* before 6.12 */
		result = register_buffers(state, 0);
	if (result)
		return zrx_error_set(error, result == -EINVAL ? -EOPNOTSUPP : result,
				     ZRX_STAGE_RING, "use Linux 6.0 or newer, or engine recv",
				     "the kernel takes no provided-buffer ring");
	return 0;
}

static void free_state(struct multishot_state *state)
{
	if (state->buffers)
		zrx_sys_unmap(state->buffers, buffer_ring_bytes(state));
	zrx_chunks_close(&state->chunks);
	zrx_sys_free(state);
}

static uint32_t chunk_for(const struct zrx_options *options)
{
	uint32_t chunk = zrx_options_copy_chunk(options);

	while (options->area_bytes / chunk > MAX_CHUNKS)
		chunk *= 2;
	return chunk;
}

static void multishot_describe(struct zrx_receiver *receiver, const struct multishot_state *state)
{
	struct zrx_info *info = &receiver->info;

	info->engine = ZRX_ENGINE_MULTISHOT;
	info->area_kind = receiver->area->kind;
	info->area_bytes = receiver->area->bytes;
	info->buffer_bytes = 1u << receiver->area->chunk_shift;
	info->refill_entries = state->buffer_entries;
	if (state->incremental)
		info->features |= ZRX_FEATURE_INCREMENTAL;
}

static int multishot_open(struct zrx_receiver *receiver, struct zrx_error *error)
{
	struct multishot_state *state;
	int result = zrx_area_open(&receiver->area, &receiver->options,
				   chunk_for(&receiver->options), error);

	if (result)
		return result;
	state = zrx_sys_alloc(sizeof(*state));
	if (!state || zrx_chunks_open(&state->chunks, zrx_area_chunks(receiver->area))) {
		result = zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
		goto abandon;
	}
	state->hot_set = ZRX_HOT_SET_FIRST;
	result = zrx_ring_open(&state->ring, receiver, MULTISHOT_WIDE, error);
	if (result)
		goto abandon;
	result = open_buffers(state, receiver, error);
	if (result) {
		zrx_ring_close(&state->ring, receiver);
		goto abandon;
	}
	receiver->state = state;
	multishot_describe(receiver, state);
	return 0;
abandon:
	if (state)
		free_state(state);
	zrx_area_abandon(receiver->area);
	return result;
}

static int multishot_start(struct zrx_receiver *receiver)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_start(&state->ring);
}

static int multishot_close(struct zrx_receiver *receiver)
{
	struct multishot_state *state = receiver->state;

	zrx_ring_close(&state->ring, receiver);
	free_state(state);
	return 0;
}

static int multishot_stop(struct zrx_receiver *receiver)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_stop(&state->ring);
}

/* ---- chunks to the kernel ---- */

/* One chunk always stays with us: streams with a limit are filled from there. */
static uint32_t most_posted(const struct multishot_state *state)
{
	uint32_t most = state->chunks.total - 1;

	if (most > state->buffer_entries)
		most = state->buffer_entries;
	return most < state->hot_set ? most : state->hot_set;
}

static void post(struct multishot_state *state, struct zrx_area *area)
{
	struct zrx_chunks chunks = state->chunks; /* what the loop writes could alias it */
	int mask = io_uring_buf_ring_mask(state->buffer_entries);
	uint32_t most = most_posted(state);
	uint32_t count = most > state->posted ? most - state->posted : 0;

	if (count > chunks.free_count)
		count = chunks.free_count;
	if (!count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t chunk = zrx_chunk_take(&chunks);
		uint8_t *memory = area->base + ((uint64_t)chunk << area->chunk_shift);

		io_uring_buf_ring_add(state->buffers, memory, 1u << area->chunk_shift,
				      (uint16_t)chunk, mask, (int)i);
	}
	state->chunks.free_count = chunks.free_count;
	state->posted += count;
	/* A store-release: pairs with the kernel's load-acquire of the tail. */
	io_uring_buf_ring_advance(state->buffers, (int)count);
}

static uint32_t multishot_available(struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	const struct multishot_state *state = receiver->state;

	if (stream->remaining != UINT64_MAX)
		return zrx_fill_available(&state->fill, &state->chunks);
	return state->posted + state->chunks.free_count;
}

static void multishot_take_back(struct zrx_receiver *receiver, struct zrx_chain chain)
{
	struct multishot_state *state = receiver->state;

	zrx_fill_take_back(&state->chunks, receiver->area, chain);
}

static void multishot_collect(struct zrx_receiver *receiver)
{
	struct multishot_state *state = receiver->state;

	post(state, receiver->area);
}

/* ---- requests ---- */

static int multishot_arm(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct multishot_state *state = receiver->state;
	int limited = stream->remaining != UINT64_MAX;
	struct io_uring_sqe *sqe =
		zrx_ring_request(&state->ring, limited ? IORING_OP_POLL_ADD : IORING_OP_RECV,
				 stream->fd, zrx_stream_handle(stream));

	if (!sqe)
		return -EAGAIN;
	if (limited) {
		sqe->poll32_events = POLLIN | POLLRDHUP;
		return 0;
	}
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	return 0;
}

static int multishot_cancel(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_cancel(&state->ring, stream);
}

static int multishot_wait(struct zrx_receiver *receiver, int64_t timeout_ns)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_wait(&state->ring, receiver, timeout_ns);
}

/* ---- completions ---- */

/* A completion that carries bytes, in a chunk of ours. */
static inline int has_bytes(const struct io_uring_cqe *cqe)
{
	return cqe->res > 0 && cqe->flags & IORING_CQE_F_BUFFER;
}

/*
 * Deliver the row of completions of one stream that carry bytes, from *head (which does) on; *head
 * is then behind it. Only its last one can be the last of its request, which is not made again
 * before that was seen. Returns 0, or -ENOMEM: nothing was consumed.
 */
static int multishot_deliver(struct multishot_state *state, struct zrx_receiver *receiver,
			     const struct zrx_stream *stream, unsigned *head, unsigned tail,
			     struct zrx_sink *sink)
{
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, MULTISHOT_WIDE);
	const struct io_uring_cqe *cqe = zrx_completion(&completions, *head);
	struct zrx_chunk *chunks = state->chunks.chunks;
	uint32_t shift = receiver->area->chunk_shift;
	uint32_t posted = state->posted;
	unsigned at = *head, end = at + zrx_row_most(sink, tail - at);
	struct zrx_row row;
	int result = zrx_row_begin(&row, receiver, sink, stream);

	if (result)
		return result;
	do {
		uint32_t index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		struct zrx_chunk *chunk = &chunks[index];

		zrx_row_add(&row, ((uint64_t)index << shift) + chunk->position, (uint32_t)cqe->res);
		if (cqe->flags & ZRX_UAPI_CQE_F_BUF_MORE) {
			chunk->position += (uint32_t)cqe->res;
			chunk->references++;
		} else {
			posted--; /* what the kernel held is now the buffer's */
		}
		if (++at == end || !row.free)
			break;
		cqe = zrx_completion(&completions, at);
	} while (cqe->user_data == row.stream && has_bytes(cqe));
	zrx_row_end(&row, sink);
	state->posted = posted;
	*head = at;
	return 0;
}

/* A stream with a limit has bytes: receive them up to the limit. Returns 0 or -ENOMEM. */
static int serve_limited(struct multishot_state *state, struct zrx_receiver *receiver,
			 struct zrx_stream *stream, struct zrx_sink *sink)
{
	uint64_t asked = 0;
	int64_t result =
		zrx_fill_receive(&state->fill, &state->chunks, receiver, stream, sink, &asked);

	if (result == -ENOMEM)
		return -ENOMEM;
	state->ring.in_flight--;
	/* Polled once: positive and not at its limit, it is armed again. */
	if (result > 0 && stream->remaining) {
		stream->state = ZRX_STREAM_QUEUED;
		zrx_list_append(&receiver->queued, stream);
	} else {
		zrx_stream_final(receiver, stream, (int)result);
	}
	return 0;
}

/*
 * Out of chunks in the ring, but not out of chunks. The hot set may be too small for so many
 * streams; but one fast stream uses up any, and a request more costs less than memory that left the
 * cache.
 */
static void grow_hot_set(struct multishot_state *state, const struct zrx_receiver *receiver)
{
	uint64_t streams = atomic_load_explicit(&receiver->counters.streams, memory_order_relaxed);

	if (state->chunks.free_count && state->hot_set < state->chunks.total &&
	    zrx_hot_set_grows(state->hot_set, 1ull << receiver->area->chunk_shift, streams))
		state->hot_set *= 2;
}

/* The last completion of a request. */
static void multishot_end(struct multishot_state *state, struct zrx_receiver *receiver,
			  struct zrx_stream *stream, int32_t result)
{
	state->ring.in_flight--;
	if (result == -ENOBUFS)
		grow_hot_set(state, receiver);
	zrx_stream_final(receiver, stream, result);
}

/* A limited stream is polled. Returns 0, or -ENOMEM: then the completion was not consumed. */
static int complete_limited(struct multishot_state *state, struct zrx_receiver *receiver,
			    struct zrx_stream *stream, const struct io_uring_cqe *cqe,
			    struct zrx_sink *sink)
{
	if (cqe->res > 0 && !(stream->flags & ZRX_STREAM_REMOVING))
		return serve_limited(state, receiver, stream, sink);
	multishot_end(state, receiver, stream, cqe->res > 0 ? -ECANCELED : cqe->res);
	return 0;
}

/*
 * The completion of a stream at *head, with the rest of a row that it begins; *head is then behind
 * it. Returns 0, or -ENOMEM: nothing was consumed.
 */
static int complete(struct multishot_state *state, struct zrx_receiver *receiver, unsigned *head,
		    unsigned tail, struct zrx_sink *sink)
{
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, MULTISHOT_WIDE);
	const struct io_uring_cqe *cqe = zrx_completion(&completions, *head);
	struct zrx_stream *stream = zrx_stream_at(&receiver->streams, cqe->user_data);
	int result = 0;

	if (stream->remaining != UINT64_MAX) {
		result = complete_limited(state, receiver, stream, cqe, sink);
		*head += !result;
		return result;
	}
	if (has_bytes(cqe)) {
		result = multishot_deliver(state, receiver, stream, head, tail, sink);
		if (result)
			return result;
		cqe = zrx_completion(&completions, *head - 1);
	} else {
		++*head;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		multishot_end(state, receiver, stream, cqe->res);
	return 0;
}

static int multishot_harvest(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct multishot_state *state = receiver->state;
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, MULTISHOT_WIDE);
	unsigned head = *state->ring.uring.cq.khead;
	unsigned tail = zrx_ring_tail(&state->ring);
	int result = 0;

	while (!result && head != tail && sink->count < sink->capacity) {
		uint64_t user_data = zrx_completion(&completions, head)->user_data;

		if (user_data >> 32) {
			result = complete(state, receiver, &head, tail, sink);
		} else {
			zrx_ring_internal(&state->ring, receiver, user_data);
			head++;
		}
	}
	zrx_ring_consumed(&state->ring, head);
	return result;
}

static void multishot_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	(void)receiver;
	stats->copied_bytes = stats->bytes;
	stats->copied_buffers = stats->buffers;
}

const struct zrx_engine zrx_engine_multishot = {
	.id = ZRX_ENGINE_MULTISHOT,
	.open = multishot_open,
	.start = multishot_start,
	.arm = multishot_arm,
	.cancel = multishot_cancel,
	.available = multishot_available,
	.harvest = multishot_harvest,
	.wait = multishot_wait,
	.take_back = multishot_take_back,
	.collect = multishot_collect,
	.stop = multishot_stop,
	.close = multishot_close,
	.stats = multishot_stats,
};

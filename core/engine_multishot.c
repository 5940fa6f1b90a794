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
#include "row.h"
#include "uapi.h"

#define GROUP           0
#define MULTISHOT_WIDE  0      /* completions of 16 bytes */
#define MAX_CHUNKS      65536u /* buffer ids have 16 bits */
#define MAX_BUFFER_RING 32768u

struct multishot_state {
	struct zrx_ring ring;
	struct io_uring_buf_ring *buffers;
	uint32_t buffer_entries;
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
		&receiver->options, zrx_area_chunks_most(receiver->area), MAX_BUFFER_RING);
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
	zrx_sys_free(state);
}

static uint32_t chunk_for(const struct zrx_options *options)
{
	uint32_t chunk = zrx_options_copy_chunk(options);
	uint64_t most = options->area_max_bytes ? options->area_max_bytes : options->area_bytes;

	while (most / chunk > MAX_CHUNKS)
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
	if (!state) {
		result = zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
		goto abandon;
	}
	result = zrx_fill_open(receiver, error);
	if (result)
		goto abandon;
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
	zrx_chunks_close(&receiver->chunks);
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
static uint32_t most_posted(const struct multishot_state *state,
			    const struct zrx_receiver *receiver)
{
	uint32_t most = receiver->chunks.total - 1, ready = zrx_window_ready(receiver);

	if (most > state->buffer_entries)
		most = state->buffer_entries;
	if (most > ready)
		most = ready;
	return most < state->hot_set ? most : state->hot_set;
}

static struct io_uring_buf *post_place(const struct multishot_state *state)
{
	return &state->buffers->bufs[state->buffers->tail & (state->buffer_entries - 1)];
}

/* The last field is, in the first entry, the tail. */
static inline void set_post(struct io_uring_buf *entry, uint64_t chunk, uint32_t shift,
			    uint64_t base)
{
	entry->bid = (uint16_t)chunk;
	entry->len = 1u << shift;
	entry->addr = base + (chunk << shift);
}

/* So many entries are set. */
static void posted(struct multishot_state *state, struct zrx_chunks *chunks, uint32_t count)
{
	chunks->posted += count;
	/* A store-release: pairs with the kernel's load-acquire of the tail. */
	io_uring_buf_ring_advance(state->buffers, (int)count);
}

/* There are so many free, and so many entries until the ring begins again. */
static ZRX_APART void post_row(struct multishot_state *state, struct zrx_chunks *chunks,
			       uint32_t count, const struct zrx_area *area)
{
	struct io_uring_buf *entry = post_place(state);
	const uint32_t *free = chunks->free + chunks->free_count;
	const uint32_t shift = area->chunk_shift;
	const uint64_t base = (uintptr_t)area->base;

	for (struct io_uring_buf *end = entry + count; entry != end; entry++)
		set_post(entry, *--free, shift, base);
	chunks->free_count -= count;
	posted(state, chunks, count);
}

/* How many more should be posted. */
static uint32_t to_post(const struct multishot_state *state, const struct zrx_receiver *receiver)
{
	uint32_t now = receiver->chunks.posted, most;

	if (now >= state->hot_set)
		return 0;
	most = most_posted(state, receiver);
	return most > now ? most - now : 0;
}

/* Of so many, those up to where the ring begins again. */
static uint32_t in_row(const struct multishot_state *state, uint32_t count)
{
	uint32_t row = (uint32_t)(state->buffers->bufs + state->buffer_entries - post_place(state));

	return count < row ? count : row;
}

static void post(struct multishot_state *state, struct zrx_receiver *receiver)
{
	struct zrx_chunks *chunks = &receiver->chunks;
	uint32_t count = to_post(state, receiver);

	if (count > chunks->free_count)
		count = chunks->free_count;
	while (count) {
		uint32_t row = in_row(state, count);

		post_row(state, chunks, row, receiver->area);
		count -= row;
	}
}

static ZRX_INTO uint32_t post_run(struct multishot_state *state, struct zrx_area *area,
				  struct zrx_run *run, uint32_t owner, uint32_t room,
				  uint32_t shift)
{
	/* Kept apart from what the loop writes, which could alias it. */
	const struct zrx_holds holds = area->holds;
	const uint64_t base = (uintptr_t)area->base;
	struct io_uring_buf *entry = post_place(state);
	const size_t stride = run->stride, most = room * stride;
	const char *at = run->at, *end = run->end;
	uint32_t count;

	if ((size_t)(end - at) > most)
		end = at + most;
	for (; at != end; at += stride, entry++) {
		const struct zrx_buffer *buffer = (const void *)at;
		uint32_t chunk;

		if (buffer->area != area ||
		    !zrx_hold_take_whole(&holds, buffer->slot, buffer->generation, owner, &chunk))
			break;
		set_post(entry, chunk, shift, base);
	}
	/* Looked up again: the loop needs all registers. */
	state = area->receiver->state;
	count = (uint32_t)(entry - post_place(state));
	run->at = at;
	posted(state, &area->receiver->chunks, count);
	return count;
}

/* As zrx_engine.take_back, into so many entries in a row. */
static ZRX_APART uint32_t post_released(struct multishot_state *state, struct zrx_area *area,
					struct zrx_run *run, uint32_t owner, uint32_t room)
{
	if (area->chunk_shift == ZRX_PAGE_SHIFT)
		return post_run(state, area, run, owner, room, ZRX_PAGE_SHIFT);
	return post_run(state, area, run, owner, room, area->chunk_shift);
}

/* Straight to the kernel, as far as it should have them: what was used last is still in the cache.
 */
static uint32_t multishot_take_back(struct zrx_area *area, struct zrx_run *run, uint32_t owner)
{
	struct zrx_receiver *receiver = area->receiver;
	struct multishot_state *state = receiver->state;
	uint32_t room = to_post(state, receiver), count = 0, row;

	while ((row = in_row(state, room - count))) {
		uint32_t taken = post_released(state, area, run, owner, row);

		count += taken;
		if (taken != row)
			break;
	}
	if (run->at != run->end)
		count += zrx_fill_take_back(area, run, owner);
	return count;
}

static uint32_t multishot_available(struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	if (stream->remaining != UINT64_MAX)
		return zrx_fill_available(receiver);
	return receiver->chunks.posted + receiver->chunks.free_count;
}

static void multishot_collect(struct zrx_receiver *receiver)
{
	struct multishot_state *state = receiver->state;

	post(state, receiver);
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

static int multishot_watch(struct zrx_receiver *receiver, int fd, uint32_t listener)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_watch(&state->ring, fd, listener);
}

static int multishot_remind(struct zrx_receiver *receiver, uint64_t at_ns)
{
	struct multishot_state *state = receiver->state;

	return zrx_ring_set_timer(&state->ring, at_ns);
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
 * The usual case: completions of the row's stream, from the first of these on, that each filled a
 * chunk nobody else has a part of (partial: some are filled in part; NULL: none is). The kernel's
 * reference to it becomes the view's. Returns how many there were.
 */
static ZRX_INTO uint32_t run_of_whole(struct zrx_row *out, const struct io_uring_cqe *cqe,
				      uint32_t most, const struct zrx_chunk *partial,
				      uint32_t shift, int some_partial)
{
	const uint32_t wanted = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
	const struct io_uring_cqe *const first = cqe, *const end = cqe + most;
	/* Kept apart from what the loop writes, which could alias it. */
	struct zrx_event_same same = out->same;
	const struct zrx_holds holds = *out->holds;
	const uint32_t owner = out->owner | ZRX_HOLD_WHOLE | 1;
	const uint64_t stream = out->stream;
	const uint8_t *const base = out->base;
	struct zrx_event *event = out->at;
	uint64_t bytes = 0;

	for (; cqe != end && cqe->user_data == stream; cqe++) {
		uint32_t flags = cqe->flags, index = flags >> IORING_CQE_BUFFER_SHIFT;
		uint32_t length = (uint32_t)cqe->res;
		uint64_t where = (uint64_t)index << shift;

		if ((flags & (wanted | ZRX_UAPI_CQE_F_BUF_MORE)) != wanted ||
		    (some_partial && partial[index].position))
			break;
		/* A chunk that the kernel had has no holds: its own is idle. */
		zrx_event_fill(event++, &same, base + where, where, length, index,
			       zrx_hold_begin(&holds, index, zrx_hold_word(&holds, index), owner));
		bytes += length;
	}
	out->at = event;
	out->bytes += bytes;
	out->end = UINT64_MAX;
	out->begun += (uint32_t)(cqe - first);
	return (uint32_t)(cqe - first);
}

/* The test for chunks that are filled in part is left out of the loop where there are none. */
static ZRX_APART uint32_t whole_chunks(struct zrx_row *row, const struct io_uring_cqe *cqe,
				       uint32_t most, const struct zrx_chunks *chunks,
				       uint32_t shift)
{
	if (chunks->partial)
		return run_of_whole(row, cqe, most, chunks->chunks, shift, 1);
	if (shift == ZRX_PAGE_SHIFT)
		return run_of_whole(row, cqe, most, NULL, ZRX_PAGE_SHIFT, 0);
	return run_of_whole(row, cqe, most, NULL, shift, 0);
}

/*
 * Any other completion's bytes become a view, or more of the last one. Returns 0, or -ENOBUFS:
 * there is no hold for one more view of a shared chunk.
 */
static int part_of_chunk(struct zrx_row *row, struct zrx_chunks *chunks, uint32_t shift,
			 const struct io_uring_cqe *cqe)
{
	uint32_t index = cqe->flags >> IORING_CQE_BUFFER_SHIFT, length = (uint32_t)cqe->res;
	struct zrx_chunk *chunk = &chunks->chunks[index];
	uint64_t where = ((uint64_t)index << shift) + chunk->position;

	if (chunk->position && where == row->end) {
		zrx_row_extend(row, length);
	} else {
		if (!chunk->references)
			chunk->references = 1; /* the kernel's, which fills it */
		if (zrx_row_part(row, chunk, index, where, length))
			return -ENOBUFS;
	}
	if (cqe->flags & ZRX_UAPI_CQE_F_BUF_MORE) {
		chunks->partial += !chunk->position;
		chunk->position += length;
		return 0;
	}
	chunks->partial -= !!chunk->position;
	chunks->posted--;
	zrx_chunk_put(chunks, index);
	return 0;
}

/*
 * Deliver the row of completions of one stream that carry bytes, from *head (which does) on; *head
 * is then behind it. Only its last one can be the last of its request, which is not made again
 * before that was seen. Returns 0, or -ENOBUFS: nothing was consumed.
 */
static int multishot_deliver(struct multishot_state *state, struct zrx_receiver *receiver,
			     struct zrx_stream *stream, unsigned *head, unsigned tail,
			     struct zrx_sink *sink)
{
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, MULTISHOT_WIDE);
	struct zrx_chunks *chunks = &receiver->chunks;
	uint32_t shift = receiver->area->chunk_shift;
	unsigned at = *head, end = at + zrx_row_most(sink, tail - at);
	struct zrx_row row;
	int result = 0;

	zrx_row_begin(&row, receiver, sink, stream);
	do {
		const struct io_uring_cqe *cqe = zrx_completion(&completions, at);
		uint32_t count = whole_chunks(
			&row, cqe, zrx_completions_in_row(&completions, at, end), chunks, shift);

		chunks->posted -= count;
		at += count;
		if (count)
			continue;
		if (cqe->user_data != row.stream || !has_bytes(cqe))
			break;
		result = part_of_chunk(&row, chunks, shift, cqe);
		at += !result;
	} while (!result && at != end);
	if (at == *head)
		return result;
	zrx_row_end(&row, receiver, stream, sink);
	*head = at;
	return 0;
}

/* A stream with a limit has bytes: receive them by recv, which alone stops at a byte. */
static void serve_limited(struct multishot_state *state, struct zrx_receiver *receiver,
			  struct zrx_stream *stream, struct zrx_sink *sink)
{
	uint64_t asked = 0;
	int64_t result = zrx_fill_receive(receiver, stream, sink, &asked);

	state->ring.in_flight--;
	/* Polled once: positive and not at its limit, it is armed again. */
	if (result > 0 && stream->remaining)
		zrx_stream_continue(receiver, stream);
	else
		zrx_stream_final(receiver, stream, (int)result);
}

/*
 * Out of chunks in the ring, but not out of chunks. The hot set may be too small for so many
 * streams; but one fast stream uses up any, and a request more costs less than memory that left the
 * cache.
 */
static void grow_hot_set(struct multishot_state *state, const struct zrx_receiver *receiver)
{
	uint64_t streams = atomic_load_explicit(&receiver->counters.streams, memory_order_relaxed);

	if (receiver->chunks.free_count && state->hot_set < receiver->chunks.total &&
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

/* A limited stream is polled. */
static void complete_limited(struct multishot_state *state, struct zrx_receiver *receiver,
			     struct zrx_stream *stream, const struct io_uring_cqe *cqe,
			     struct zrx_sink *sink)
{
	if (cqe->res > 0 && !(stream->flags & (ZRX_STREAM_REMOVING | ZRX_STREAM_RESTING)))
		serve_limited(state, receiver, stream, sink);
	else
		multishot_end(state, receiver, stream, cqe->res > 0 ? -ECANCELED : cqe->res);
}

/*
 * The completion of a stream at *head, with the rest of a row that it begins; *head is then behind
 * it. Returns 0, or -ENOBUFS: nothing was consumed.
 */
static int complete(struct multishot_state *state, struct zrx_receiver *receiver, unsigned *head,
		    unsigned tail, struct zrx_sink *sink)
{
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, MULTISHOT_WIDE);
	const struct io_uring_cqe *cqe = zrx_completion(&completions, *head);
	struct zrx_stream *stream = zrx_stream_at(&receiver->streams, cqe->user_data);

	if (stream->remaining != UINT64_MAX) {
		complete_limited(state, receiver, stream, cqe, sink);
		++*head;
		return 0;
	}
	if (has_bytes(cqe)) {
		int result = multishot_deliver(state, receiver, stream, head, tail, sink);
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
	.watch = multishot_watch,
	.remind = multishot_remind,
	.available = multishot_available,
	.extend = zrx_fill_extend,
	.harvest = multishot_harvest,
	.wait = multishot_wait,
	.take_back = multishot_take_back,
	.take_one = zrx_fill_take_one,
	.collect = multishot_collect,
	.stop = multishot_stop,
	.close = multishot_close,
	.stats = multishot_stats,
};

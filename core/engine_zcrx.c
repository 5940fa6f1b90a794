/* SPDX-License-Identifier: MIT */
/*
 * Engines zcrx and zcrx-nodev: the kernel's zero-copy receive, on a NIC's queue or on none.
 * Completions say where in the area the bytes are; released buffers go back through the refill
 * ring.
 */
#include <errno.h>

#include "engine_zcrx.h"
#include "error.h"
#include "nic/nic.h"
#include "options.h"
#include "refill.h"
#include "row.h"
#include "share.h"

#define FLUSH_PART \
	4u /* flush when a fourth of the chunks that nobody holds lies in the refill ring */
/* What nobody announces is looked for again at most so late. */
#define RETRY_LAST_NS 64000000u
#define WATCH_NS      100000000u /* after traffic: look once for streams that stopped silently */
#define ARMS_MOST     (UINT32_MAX / 4)
#define ASK_MOST      (1u << 30) /* a request's limit has 32 bits */

/* ---- streams ---- */

/* A group refuses no socket because the NIC has room for no more rules. */
static int steer(struct zrx_zcrx *state, struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	int result =
		zrx_nic_steer_add(state->queue.nic, stream->fd, &stream->rule, &receiver->last);

	if (result)
		zrx_share_give(&state->budget, stream);
	return result == -ENOSPC && receiver->options.flags & ZRX_IN_GROUP ? ZRX_SHARE_COPIED
									   : result;
}

static int zcrx_adopt(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct zrx_zcrx *state = receiver->state;
	int result;

	stream->rule = ZRX_NIC_NO_RULE;
	if (state->nodev)
		return 0;
	result = zrx_nic_admit(state->queue.nic, stream->fd, &receiver->last);
	if (result)
		return result;
	do {
		result =
			zrx_share_take(&state->budget, stream, &receiver->options, &receiver->last);
	} while ((result == -ENOBUFS || result == ZRX_SHARE_COPIED) && zrx_grow(receiver));
	if (!result)
		result = steer(state, receiver, stream);
	if (result != ZRX_SHARE_COPIED)
		return result;
	stream->flags |= ZRX_STREAM_COPIED;
	return 0;
}

static void zcrx_leave(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct zrx_zcrx *state = receiver->state;

	if (stream->rule != ZRX_NIC_NO_RULE)
		zrx_nic_steer_remove(state->queue.nic, stream->rule);
	zrx_share_give(&state->budget, stream);
	zrx_shares_grow(&state->budget, &receiver->streams);
}

static int zcrx_arm(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct zrx_zcrx *state = receiver->state;
	struct io_uring_sqe *sqe;

	if (!state->arms_left || zrx_ring_overflowed(&state->ring))
		return -EAGAIN;
	sqe = zrx_ring_request(&state->ring, ZRX_UAPI_OP_RECV_ZC, stream->fd,
			       zrx_stream_handle(stream));
	if (!sqe)
		return -EAGAIN;
	state->arms_left--;
	stream->taken = zrx_refill_taken(zrx_zcrx_refill(receiver));
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->splice_fd_in = (int32_t)state->queue.id; /* the kernel's zcrx_ifq_idx has this place */
	/* The kernel stops at that byte, and no later: what it delivers beyond a window nobody
	 * could give back. */
	stream->asked = zrx_window_credit(receiver, stream);
	if (stream->asked > stream->remaining)
		stream->asked = stream->remaining;
	if (stream->asked > ASK_MOST)
		stream->asked = ASK_MOST;
	sqe->len = (uint32_t)stream->asked;
	return 0;
}

static int zcrx_cancel(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct zrx_zcrx *state = receiver->state;

	return zrx_ring_cancel(&state->ring, stream);
}

static int zcrx_watch(struct zrx_receiver *receiver, int fd, uint32_t listener)
{
	struct zrx_zcrx *state = receiver->state;

	return zrx_ring_watch(&state->ring, fd, listener);
}

static int zcrx_remind(struct zrx_receiver *receiver, uint64_t at_ns)
{
	struct zrx_zcrx *state = receiver->state;

	return zrx_ring_set_timer(&state->ring, at_ns);
}

/* ---- chunks ---- */

static uint64_t filled(const struct zrx_receiver *receiver)
{
	return atomic_load_explicit(&zrx_zcrx_refill(receiver)->filled, memory_order_relaxed);
}

/* Without a device each completion has a chunk to itself, so what is left can be counted. */
static uint32_t nodev_free(const struct zrx_receiver *receiver)
{
	const struct zrx_zcrx *state = receiver->state;
	/* Delivered and not yet taken out of the refill ring, and what waits to be harvested. */
	uint64_t taken = state->delivered -
			 (filled(receiver) - zrx_refill_pending(zrx_zcrx_refill(receiver))) +
			 (zrx_ring_tail(&state->ring) - *state->ring.uring.cq.khead);
	uint64_t chunks = zrx_area_chunks(receiver->area);

	return taken < chunks ? (uint32_t)(chunks - taken) : 0;
}

/* On a queue the driver holds most chunks: all that can be told is what it took back since. */
static uint32_t zcrx_available(struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	const struct zrx_zcrx *state = receiver->state;
	(void)stream;
	if (state->counted)
		return nodev_free(receiver);
	if (state->retry)
		return UINT32_MAX;
	return zrx_refill_taken(zrx_zcrx_refill(receiver)) - state->spent;
}

/* Those that streams do not hold: where many have stalled, what is left goes round faster. */
static uint64_t chunks_in_turn(const struct zrx_receiver *receiver)
{
	uint64_t chunks = zrx_area_chunks(receiver->area) / receiver->sharing.parts;
	uint64_t held = receiver->windows.held_bytes >> receiver->area->chunk_shift;

	return chunks > held ? chunks - held : 1;
}

/*
 * Copies take their chunks from the free list, and only a flush moves released ones there: do it
 * before they run out, and whenever streams wait.
 */
static void flush_if_due(struct zrx_zcrx *state, struct zrx_receiver *receiver)
{
	uint32_t pending = zrx_refill_pending(zrx_zcrx_refill(receiver));
	int due = state->shortage || zrx_any_parked(receiver);

	state->shortage = 0;
	if (!zrx_area_has_owner(receiver->area) || !(state->queue.features & ZRX_FEATURE_FLUSH) ||
	    !pending)
		return;
	if (state->nodev && (uint64_t)pending * FLUSH_PART >= chunks_in_turn(receiver))
		due = 1;
	if (state->nodev && pending * 2 >= state->queue.entries)
		due = 1;
	if (!due || zrx_ifq_flush(&state->queue, &state->ring))
		return;
	zrx_count(&state->flushes, 1);
	zrx_refill_drain(receiver->area); /* there is room for the backlog now */
}

/*
 * The kernel has one area more. Copies find chunks in it now; the page pool takes them when it
 * needs some.
 */
static int zcrx_extend(struct zrx_receiver *receiver, uint64_t bytes)
{
	struct zrx_zcrx *state = receiver->state;
	uint32_t shift = receiver->area->chunk_shift;
	int result = zrx_ifq_extend(&state->queue, &state->ring, &zrx_zcrx_refill(receiver)->parts,
				    receiver->area, bytes);

	if (result)
		return result;
	state->retry = 1;
	state->suspect = 1;
	if (!state->nodev) {
		zrx_budget_resize(&state->budget, (uint32_t)(bytes >> shift));
		bytes = (uint64_t)zrx_budget_views(&state->budget) << shift;
	}
	receiver->windows.pool_bytes = bytes;
	return 0;
}

static void zcrx_collect(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;

	zrx_refill_serve_left(zrx_zcrx_refill(receiver));
	flush_if_due(state, receiver);
	if (state->notice && zrx_area_has_owner(receiver->area))
		zrx_grow(receiver); /* the NIC found no chunk */
	if (state->notice && zrx_area_has_owner(receiver->area) &&
	    !zrx_ifq_rearm_event(&state->queue, &state->ring, ZRX_UAPI_EVENT_ALLOC_FAIL))
		state->notice = 0;
}

/* ---- waiting ---- */

static void kick_silent(void *context, struct zrx_stream *stream)
{
	struct zrx_receiver *receiver = context;

	if (stream->state == ZRX_STREAM_ARMED && zrx_sys_socket_polls(stream->fd) > 0)
		zrx_stream_kick(receiver, stream);
}

/*
 * Kernels without the fix for it leave a request armed, and silent, after a delivery that was cut
 * short by a full completion ring or an empty free list. All of them (6.15 to 7.3) may do so when a
 * reset comes while bytes are read: io_zcrx_tcp_recvmsg tries again for an end, not for an error.
 * What waits in the socket gives it away.
 */
static void look_for_silent(struct zrx_zcrx *state, struct zrx_receiver *receiver)
{
	if (!state->suspect)
		return;
	state->suspect = 0;
	zrx_streams_each(&receiver->streams, kick_silent, receiver);
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
	return one - 1 < other - 1 ? one : other; /* 0, never, is the last */
}

/* So long; the time after it twice as long. */
static uint64_t look_after(uint64_t *wait_ns)
{
	uint64_t at = zrx_sys_now_ns() + *wait_ns;

	if (*wait_ns < RETRY_LAST_NS)
		*wait_ns *= 2;
	return at;
}

/* When the next look is due, by what there is to look for now; 0: never. */
static uint64_t next_look(struct zrx_zcrx *state, struct zrx_receiver *receiver)
{
	int parked = !state->counted && zrx_any_parked(receiver);
	int backlog = zrx_refill_backlog(zrx_zcrx_refill(receiver)) != 0;

	if (!parked)
		state->retry_at = 0;
	else if (!state->retry_at)
		state->retry_at = look_after(&state->retry_ns);
	if (!backlog)
		state->backlog_at = 0;
	else if (!state->backlog_at)
		state->backlog_at = look_after(&state->backlog_ns);
	if (state->active && !state->watch_at)
		state->watch_at = zrx_sys_now_ns() + WATCH_NS;
	return sooner(state->watch_at, sooner(state->retry_at, state->backlog_at));
}

/* The timer went off: do what is due. */
static void looks_due(struct zrx_zcrx *state)
{
	uint64_t now = zrx_sys_now_ns();

	if (state->retry_at && state->retry_at <= now) {
		state->retry_at = 0;
		state->retry = 1;
	}
	if (state->backlog_at <= now)
		state->backlog_at = 0; /* coming here was all */
	if (state->watch_at && state->watch_at <= now) {
		state->watch_at = 0;
		state->active = 0;
		state->suspect = 1;
	}
}

static int zcrx_needs_wait(struct zrx_receiver *receiver)
{
	struct zrx_zcrx *state = receiver->state;
	uint64_t next = next_look(state, receiver);

	return state->suspect || (next && (!state->ring.timer_at || next < state->ring.timer_at));
}

static int zcrx_wait(struct zrx_receiver *receiver, int64_t timeout_ns)
{
	struct zrx_zcrx *state = receiver->state;
	uint64_t next;

	look_for_silent(state, receiver);
	next = next_look(state, receiver);
	if ((next && !zrx_ring_set_timer(&state->ring, next)) || receiver->cancels.first)
		timeout_ns = 0;
	state->arms_left = state->arms;
	return zrx_ring_wait(&state->ring, receiver, timeout_ns);
}

/* ---- completions ---- */

static void zcrx_own_completion(struct zrx_zcrx *state, struct zrx_receiver *receiver,
				const struct io_uring_cqe *cqe)
{
	zrx_ring_internal(&state->ring, receiver, cqe->user_data);
	if (cqe->user_data == ZRX_RING_TIMER) {
		looks_due(state);
	} else if (cqe->user_data == ZRX_RING_NOTICE &&
		   cqe->res == (int)ZRX_UAPI_EVENT_ALLOC_FAIL) {
		zrx_count(&state->alloc_failures, 1);
		state->notice = 1;
	}
}

/* Where its bytes are, as the kernel says. */
static inline uint64_t offset_of(const struct io_uring_cqe *cqe)
{
	const struct zrx_uapi_zcrx_cqe *second = (const void *)(cqe + 1);

	return second->off;
}

/*
 * The usual case: completions of the row's stream, from the first of these on, with bytes of a
 * chunk of which nothing is out. Returns how many there were.
 */
static ZRX_INTO uint32_t run_of_plain(struct zrx_row *row, const struct zrx_parts *parts,
				      const struct io_uring_cqe *const cqes, uint32_t most,
				      uint32_t shift, int linear)
{
	/* Kept apart from what the loop writes, which could alias it. */
	const struct io_uring_cqe *cqe = cqes, *const end = cqe + (most << ZRX_ZCRX_WIDE);
	const uint64_t stream = row->stream;
	const uint32_t owner = row->owner | ZRX_HOLD_WHOLE | 1;
	struct zrx_event_same same = row->same;
	const struct zrx_holds holds = *row->holds;
	const uint8_t *const base = row->base;
	struct zrx_event *event = row->at;
	uint64_t bytes = 0;
	uint32_t count;

	for (; cqe != end && cqe->user_data == stream && cqe->flags & IORING_CQE_F_MORE;
	     cqe += 1 << ZRX_ZCRX_WIDE) {
		uint64_t offset = offset_of(cqe), word, chunk;
		uint32_t length = (uint32_t)cqe->res;

		if (!linear)
			offset = zrx_parts_linear(parts, offset);
		chunk = offset >> shift;
		word = zrx_hold_word(&holds, chunk);
		if (!zrx_hold_idle(word))
			break;
		zrx_event_fill(event++, &same, base + offset, offset, length, chunk,
			       zrx_hold_begin(&holds, chunk, word, owner));
		bytes += length;
	}
	count = (uint32_t)((cqe - cqes) >> ZRX_ZCRX_WIDE);
	if (!count)
		return 0;
	row->at = event;
	row->bytes += bytes;
	row->end = event[-1].buffer.offset + event[-1].buffer.length;
	row->hold = event[-1].buffer.slot; /* its first view */
	row->begun += count;
	return count;
}

/* Of an area that has not grown no part has to be looked up; of pages, the usual chunk, the shift
 * is known. */
static ZRX_APART uint32_t plain_views(struct zrx_row *row, const struct zrx_parts *parts,
				      const struct io_uring_cqe *cqe, uint32_t most, uint32_t shift)
{
	if (!row->base)
		return 0; /* no CPU view of it: known from here on */
	if (!zrx_parts_linear_all(parts))
		return run_of_plain(row, parts, cqe, most, shift, 0);
	if (shift == ZRX_PAGE_SHIFT)
		return run_of_plain(row, parts, cqe, most, ZRX_PAGE_SHIFT, 1);
	return run_of_plain(row, parts, cqe, most, shift, 1);
}

/* Any other's bytes become a view, or more of the last one. Returns 0, or -ENOBUFS: no hold is
 * left. */
static int shared_view(struct zrx_row *row, const struct zrx_parts *parts, uint32_t shift,
		       const struct io_uring_cqe *cqe)
{
	uint64_t where = zrx_parts_linear(parts, offset_of(cqe));
	uint32_t chunk = (uint32_t)(where >> shift), hold = chunk + 1;

	if (where == row->end && where & ((1u << shift) - 1) &&
	    zrx_hold_refer(row->holds, row->hold)) {
		zrx_row_extend(row, (uint32_t)cqe->res);
		return 0;
	}
	return zrx_row_shared(row, chunk, &hold, where, (uint32_t)cqe->res) < 0 ? -ENOBUFS : 0;
}

/* Kernels that overshoot a limit (CVE-2025-40046) deliver more than was asked for. */
static uint64_t less(uint64_t from, uint64_t bytes)
{
	return from > bytes ? from - bytes : 0;
}

/*
 * Deliver the row of completions of one stream that carry bytes, from *head (which does) on; *head
 * is then behind it. Returns 0, or -ENOBUFS: nothing was consumed.
 */
static int zcrx_deliver(struct zrx_zcrx *state, struct zrx_receiver *receiver,
			struct zrx_stream *stream, unsigned *head, unsigned tail,
			struct zrx_sink *sink)
{
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, ZRX_ZCRX_WIDE);
	const struct zrx_parts *parts = &zrx_zcrx_refill(receiver)->parts;
	uint32_t shift = receiver->area->chunk_shift;
	unsigned at = *head, end = at + zrx_row_most(sink, tail - at);
	struct zrx_row row;
	int result = 0;

	zrx_row_begin(&row, receiver, sink, stream);
	do {
		const struct io_uring_cqe *cqe = zrx_completion(&completions, at);
		uint32_t count = plain_views(&row, parts, cqe,
					     zrx_completions_in_row(&completions, at, end), shift);

		at += count;
		if (count)
			continue;
		if (cqe->user_data != row.stream || !(cqe->flags & IORING_CQE_F_MORE))
			break;
		result = shared_view(&row, parts, shift, cqe);
		at += !result;
	} while (!result && at != end);
	if (at == *head)
		return result;
	zrx_row_end(&row, receiver, stream, sink);
	stream->asked = less(stream->asked, row.bytes);
	if (stream->remaining != UINT64_MAX)
		stream->remaining = less(stream->remaining, row.bytes);
	state->delivered += at - *head;
	state->active = 1;
	state->retry_ns = ZRX_ZCRX_FIRST_NS;
	state->backlog_ns = ZRX_ZCRX_FIRST_NS;
	*head = at;
	return 0;
}

/*
 * What the kernel had taken back when the stream was armed did not help. What it took since may: it
 * may have taken it after the copy failed.
 */
static void copy_failed(struct zrx_zcrx *state, struct zrx_receiver *receiver,
			const struct zrx_stream *stream)
{
	state->retry = 0;
	if (stream->taken - state->spent <= INT32_MAX)
		state->spent = stream->taken;
	state->shortage = 1;
	flush_if_due(state, receiver);
}

static void zcrx_final(struct zrx_zcrx *state, struct zrx_receiver *receiver,
		       struct zrx_stream *stream, const struct io_uring_cqe *cqe)
{
	int result = cqe->res;

	state->ring.in_flight--;
	zrx_window_asked(receiver, stream);
	if (result == -ENOSPC || result == -ENOMEM)
		state->suspect = 1; /* others may have been cut short by the same */
	/*
	 * All those that a full ring ended, armed again at once, would find it full of each other's
	 * ends: begin again with one.
	 */
	if (result == -ENOSPC)
		state->arms = 0;
	if (result == -ENOMEM)
		copy_failed(state, receiver, stream);
	/* Result 0 is the end of the stream, and of a request that had all that it asked for. */
	if (result == 0 && !stream->asked && stream->remaining)
		zrx_stream_continue(receiver, stream);
	else
		zrx_stream_final(receiver, stream, result);
	/* Nothing of ours is out, so nothing of ours can help. */
	if (stream->state == ZRX_STREAM_PARKED && !state->nodev && !state->shared &&
	    atomic_load_explicit(&receiver->area->references, memory_order_relaxed) == 1)
		atomic_store_explicit(&receiver->counters.stall, ZRX_STALL_COPIES,
				      memory_order_relaxed);
}

static int zcrx_harvest(struct zrx_receiver *receiver, struct zrx_sink *sink)
{
	struct zrx_zcrx *state = receiver->state;
	const struct zrx_completions completions =
		zrx_ring_completions(&state->ring, ZRX_ZCRX_WIDE);
	unsigned head = *state->ring.uring.cq.khead;
	unsigned tail = zrx_ring_tail(&state->ring);
	int result = 0;

	while (!result && head != tail && sink->count < sink->capacity) {
		const struct io_uring_cqe *cqe = zrx_completion(&completions, head);

		if (!(cqe->user_data >> 32)) {
			zcrx_own_completion(state, receiver, cqe);
			head++;
		} else if (cqe->flags & IORING_CQE_F_MORE) {
			result = zcrx_deliver(state, receiver,
					      zrx_stream_at(&receiver->streams, cqe->user_data),
					      &head, tail, sink);
		} else {
			zcrx_final(state, receiver,
				   zrx_stream_at(&receiver->streams, cqe->user_data), cqe);
			head++;
		}
	}
	zrx_ring_consumed(&state->ring, head);
	state->arms = state->arms < ARMS_MOST ? state->arms * 2 + 1 : ARMS_MOST;
	if (state->ring.was_full || (state->counted && !nodev_free(receiver)))
		state->suspect = 1;
	state->ring.was_full = 0;
	return result;
}

static void zcrx_stats(const struct zrx_receiver *receiver, struct zrx_stats *stats)
{
	const struct zrx_zcrx *state = receiver->state;
	struct zrx_refill *refill = zrx_zcrx_refill(receiver);
	const volatile struct zrx_uapi_zcrx_stats *kernel = state->queue.stats;

	stats->backlog = zrx_refill_backlog(refill);
	stats->backlog_high = atomic_load_explicit(&refill->backlog_high, memory_order_relaxed);
	stats->flushes = atomic_load_explicit(&state->flushes, memory_order_relaxed);
	if (state->nodev) {
		stats->copied_bytes = stats->bytes;
		stats->copied_buffers = stats->buffers;
	} else if (kernel) {
		stats->copied_bytes = kernel->copy_bytes;
		stats->copied_buffers = kernel->copy_count;
	}
	if (kernel && !state->nodev)
		stats->alloc_failures =
			atomic_load_explicit(&state->alloc_failures, memory_order_relaxed);
}

const struct zrx_engine zrx_engine_zcrx = {
	.id = ZRX_ENGINE_ZCRX,
	.zero_copy = 1,
	.open = zrx_zcrx_open,
	.adopt = zcrx_adopt,
	.leave = zcrx_leave,
	.start = zrx_zcrx_start,
	.arm = zcrx_arm,
	.cancel = zcrx_cancel,
	.watch = zcrx_watch,
	.remind = zcrx_remind,
	.available = zcrx_available,
	.extend = zcrx_extend,
	.harvest = zcrx_harvest,
	.wait = zcrx_wait,
	.take_back = zrx_refill_whole,
	.take_one = zrx_refill_one,
	.collect = zcrx_collect,
	.needs_wait = zcrx_needs_wait,
	.stop = zrx_zcrx_stop,
	.retire = zrx_zcrx_retire,
	.close = zrx_zcrx_close,
	.stats = zcrx_stats,
};

const struct zrx_engine zrx_engine_zcrx_nodev = {
	.id = ZRX_ENGINE_ZCRX_NODEV,
	.open = zrx_zcrx_nodev_open,
	.adopt = zcrx_adopt,
	.leave = zcrx_leave,
	.start = zrx_zcrx_start,
	.arm = zcrx_arm,
	.cancel = zcrx_cancel,
	.watch = zcrx_watch,
	.remind = zcrx_remind,
	.available = zcrx_available,
	.extend = zcrx_extend,
	.harvest = zcrx_harvest,
	.wait = zcrx_wait,
	.take_back = zrx_refill_whole,
	.take_one = zrx_refill_one,
	.collect = zcrx_collect,
	.needs_wait = zcrx_needs_wait,
	.stop = zrx_zcrx_stop,
	.close = zrx_zcrx_close,
	.stats = zcrx_stats,
};

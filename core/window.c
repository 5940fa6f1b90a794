/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "error.h"
#include "receiver.h"
#include "window.h"

#define FACTOR 2u /* of what is free beyond the reserve: what one stream may hold */
/* Chunks of an automatic window: many keep one buffer until they have the next. */
#define LEAST          2u
#define PARTS          8u /* of the pool */
#define RESERVE_ALONE  2u /* such parts: what windows leave alone, with one stream */
#define RESERVE_SHARED 5u /* the same, with more of them */
#define EARNED_PART    2u /* of what is free of the upper half of the reserve: one consumer's */
#define BURST_PART     8u /* of what is free: the most that is asked for beyond a window */
#define BURST_MAX      (1u << 20)
#define LEVEL_PART     4u   /* of a window must be free again before its stream goes on */
#define DENSE_FIRST    64u  /* such a part of a chunk comes in each, until more is known */
#define RECENT         256u /* chunks by which the density of a stream is judged */

/*
 * What no buffer holds. Of the copying engines' chunks it is known which are free; streams that
 * share one are each charged for it. Holds that cannot be told apart any more are memory that is
 * not there.
 */
static uint64_t free_bytes(const struct zrx_receiver *receiver)
{
	const struct zrx_windows *windows = &receiver->windows;
	uint64_t holds = receiver->area->holds.spare_left * windows->chunk_bytes, bytes;

	if (receiver->chunks.total)
		bytes = zrx_chunks_left(&receiver->chunks) * windows->chunk_bytes;
	else if (windows->pool_bytes > windows->held_bytes)
		bytes = windows->pool_bytes - windows->held_bytes;
	else
		bytes = 0;
	return bytes < holds ? bytes : holds;
}

/*
 * So that each stream can begin, however much others hold: also those that come when the others
 * have taken theirs, as the connections of a server do, one after the other. As many streams as a
 * fourth of the chunks may stall: with the least each they hold half of the pool, those that came
 * first have three eighths beyond it, and an eighth is left.
 */
static uint64_t reserve(const struct zrx_receiver *receiver)
{
	uint64_t parts = receiver->streams.live > 1 ? RESERVE_SHARED : RESERVE_ALONE;

	return receiver->windows.pool_bytes / PARTS * parts;
}

static uint64_t beyond(uint64_t bytes, uint64_t others)
{
	return bytes > others ? bytes - others : 0;
}

/* Whole chunks: a part of one is of no use. */
static uint64_t automatic(const struct zrx_receiver *receiver, uint64_t bytes)
{
	uint64_t chunk = receiver->windows.chunk_bytes;
	uint64_t window = beyond(bytes, reserve(receiver)) * FACTOR;

	window = (window + chunk - 1) & ~(chunk - 1);
	return window > LEAST * chunk ? window : LEAST * chunk;
}

/* The upper half of the reserve is theirs who consume: the lower one stays for those who begin. */
static void refresh(const struct zrx_receiver *receiver, struct zrx_windows *windows)
{
	uint64_t bytes = free_bytes(receiver);

	windows->automatic = automatic(receiver, bytes);
	windows->earned = beyond(bytes, reserve(receiver) / 2) / EARNED_PART;
}

void zrx_windows_refresh(struct zrx_receiver *receiver)
{
	refresh(receiver, &receiver->windows);
}

/* Streams that do not rest: any of them may take what lies ready. */
static uint64_t active(const struct zrx_receiver *receiver)
{
	return beyond(receiver->streams.live,
		      atomic_load_explicit(&receiver->counters.paused, memory_order_relaxed));
}

/*
 * A stream may take all that lies ready before it is stopped at its window: so of the reserve there
 * is one chunk at a time.
 */
uint32_t zrx_window_ready(const struct zrx_receiver *receiver)
{
	uint64_t spare = beyond(free_bytes(receiver), reserve(receiver)) / 2;
	uint64_t chunks = spare / receiver->windows.chunk_bytes;

	return chunks ? (uint32_t)chunks : 1;
}

int zrx_window_check(uint64_t window, uint64_t chunk_bytes, uint64_t area_max_bytes,
		     struct zrx_error *error)
{
	char hint[120];

	if (!window || (window >= chunk_bytes && window <= area_max_bytes))
		return 0;
	snprintf(hint, sizeof(hint),
		 "take %" PRIu64 " (a chunk) to %" PRIu64
		 " (the area at its largest), or 0: automatic",
		 chunk_bytes, area_max_bytes);
	return zrx_error_set(error, -EINVAL, ZRX_STAGE_OPTIONS, hint,
			     "option window_bytes: %" PRIu64 " will not do", window);
}

uint64_t zrx_window_now(const struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	struct zrx_windows now = receiver->windows;

	refresh(receiver, &now);
	return zrx_window_of(&now, stream);
}

void zrx_windows_open(struct zrx_receiver *receiver, uint64_t pool_bytes)
{
	receiver->windows.chunk_bytes = 1ull << receiver->area->chunk_shift;
	receiver->windows.pool_bytes = pool_bytes;
	receiver->windows.resume_at = UINT64_MAX;
	receiver->windows.earned_at = UINT64_MAX;
	zrx_windows_refresh(receiver);
}

/* ---- who rests ---- */

static int rests(const struct zrx_stream *stream)
{
	return stream->flags & (ZRX_STREAM_BY_HAND | ZRX_STREAM_AT_WINDOW);
}

static void set_rest(struct zrx_receiver *receiver, struct zrx_stream *stream, uint8_t flag)
{
	if (!rests(stream))
		zrx_count(&receiver->counters.paused, 1);
	if (flag == ZRX_STREAM_AT_WINDOW && !(stream->flags & ZRX_STREAM_AT_WINDOW))
		zrx_count(&receiver->counters.pauses, 1);
	stream->flags |= flag;
}

static void end_rest(struct zrx_receiver *receiver, struct zrx_stream *stream, uint8_t flags)
{
	if (rests(stream) && !(rests(stream) & ~flags))
		zrx_count(&receiver->counters.paused, (uint64_t)-1);
	stream->flags &= (uint8_t)~flags;
}

void zrx_window_leave(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	end_rest(receiver, stream, ZRX_STREAM_BY_HAND | ZRX_STREAM_AT_WINDOW);
}

/* The window at which a stream that holds so much goes on: not at its edge, where it would rest
 * again at once. */
static uint64_t level(const struct zrx_receiver *receiver, uint64_t held)
{
	uint64_t chunk = receiver->windows.chunk_bytes;
	uint64_t part = held / (LEVEL_PART - 1);

	return held ? held + (part > chunk ? part : chunk) : 0;
}

static int may_go_on(const struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	return zrx_window_of(&receiver->windows, stream) >= level(receiver, stream->held);
}

/* It stays at its window: note at which automatic one it will not. */
static void note_level(struct zrx_receiver *receiver, const struct zrx_stream *stream)
{
	uint64_t at = level(receiver, stream->held);

	if (stream->window)
		return;
	if (at < receiver->windows.resume_at)
		receiver->windows.resume_at = at;
	if (stream->bytes / ZRX_WINDOW_EARNS >= at && at < receiver->windows.earned_at)
		receiver->windows.earned_at = at;
}

void zrx_window_go_on(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	struct zrx_windows *windows = &receiver->windows;

	if (zrx_window_full(windows, stream)) {
		set_rest(receiver, stream, ZRX_STREAM_AT_WINDOW);
		note_level(receiver, stream);
	} else {
		end_rest(receiver, stream, ZRX_STREAM_AT_WINDOW);
	}
	if (!rests(stream)) {
		stream->state = ZRX_STREAM_QUEUED;
		zrx_list_append(&receiver->queued, stream);
		return;
	}
	stream->state = ZRX_STREAM_PAUSED;
	zrx_list_append(stream->flags & ZRX_STREAM_BY_HAND ? &windows->by_hand
							   : &windows->at_window,
			stream);
}

void zrx_window_pause(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	set_rest(receiver, stream, ZRX_STREAM_BY_HAND);
	if (stream->state == ZRX_STREAM_ARMED)
		zrx_stream_stop_to_rest(receiver, stream);
	else
		zrx_window_go_on(receiver, stream);
}

void zrx_window_resume(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	end_rest(receiver, stream, ZRX_STREAM_BY_HAND);
	if (stream->state == ZRX_STREAM_PAUSED)
		zrx_window_go_on(receiver, stream);
}

/* It holds its window. */
static void rest(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	if (stream->state != ZRX_STREAM_ARMED || !zrx_window_full(&receiver->windows, stream))
		return; /* another is asked for only if it fits */
	if (!stream->window && zrx_grow(receiver) && !zrx_window_full(&receiver->windows, stream))
		return;
	stream->burst = 0;
	set_rest(receiver, stream, ZRX_STREAM_AT_WINDOW);
	zrx_stream_stop_to_rest(receiver, stream);
}

static void look_at_full(struct zrx_receiver *receiver)
{
	struct zrx_stream *stream = receiver->windows.over;

	receiver->windows.over = NULL;
	while (stream) {
		struct zrx_stream *next = stream->next_over;

		stream->flags &= (uint8_t)~ZRX_STREAM_OVER;
		if (stream->state != ZRX_STREAM_GONE)
			rest(receiver, stream);
		else if (!stream->held)
			zrx_stream_free(&receiver->streams, stream);
		stream = next;
	}
}

static int some_may_go_on(const struct zrx_windows *windows)
{
	return windows->automatic >= windows->resume_at || windows->earned >= windows->earned_at;
}

static void look_at_resting(struct zrx_receiver *receiver)
{
	struct zrx_stream *stream = receiver->windows.at_window.first;

	receiver->windows.resume_at = UINT64_MAX;
	receiver->windows.earned_at = UINT64_MAX;
	while (stream) {
		struct zrx_stream *next = stream->next;

		if (may_go_on(receiver, stream))
			zrx_window_go_on(receiver, stream);
		else
			note_level(receiver, stream);
		stream = next;
	}
}

void zrx_windows_look(struct zrx_receiver *receiver)
{
	struct zrx_windows *windows = &receiver->windows;
	int grows;

	zrx_windows_refresh(receiver);
	if (windows->over)
		look_at_full(receiver);
	if (!windows->at_window.first)
		return;
	grows = zrx_growth_next(receiver->area) != receiver->area->bytes;
	if (grows || some_may_go_on(windows))
		look_at_resting(receiver);
	/* Until one of them can go on. */
	while (windows->automatic < windows->resume_at && windows->resume_at != UINT64_MAX &&
	       zrx_grow(receiver))
		continue;
	if (grows && some_may_go_on(windows))
		look_at_resting(receiver);
}

/* ---- what comes back ---- */

void zrx_window_credited(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	if (stream->state == ZRX_STREAM_GONE) {
		if (!stream->held && !(stream->flags & ZRX_STREAM_OVER))
			zrx_stream_free(&receiver->streams, stream);
	} else if (stream->list == &receiver->windows.at_window) {
		zrx_windows_refresh(receiver);
		if (may_go_on(receiver, stream))
			zrx_window_go_on(receiver, stream);
		else
			note_level(receiver, stream);
	}
}

/* A hold of a chunk of a copying engine came back: whether its stream is charged for the chunk no
 * more. */
static inline int put_chunk(struct zrx_chunks *chunks, const struct zrx_holds *holds,
			    uint32_t index)
{
	uint32_t number = zrx_hold_chunk(holds, index), owner = holds->owners[index];
	struct zrx_chunk *chunk = &chunks->chunks[number];
	int credited;

	if (owner & ZRX_HOLD_WHOLE) {
		zrx_chunk_free(chunks, number);
		return 1;
	}
	credited = owner & ZRX_HOLD_ALONE || !--chunk->charged;
	if (chunk->hold == index + 1)
		chunk->hold = 0;
	zrx_chunk_put(chunks, number);
	return credited;
}

void zrx_windows_settle(struct zrx_receiver *receiver, struct zrx_chain chain)
{
	struct zrx_holds *holds = &receiver->area->holds;
	struct zrx_chunks chunks = receiver->chunks; /* what the loop writes could alias it */
	uint32_t at = chain.head, owner = UINT32_MAX, count = 0;

	while (at) {
		uint32_t index = at - 1;
		uint32_t stream = holds->owners[index] >> ZRX_HOLD_OWNER_BITS;

		if (stream != owner && count) {
			zrx_window_credit_holds(receiver, owner, count);
			count = 0;
		}
		owner = stream;
		count += chunks.total ? put_chunk(&chunks, holds, index) : 1;
		at = holds->next[index];
		zrx_hold_rest(holds, index);
	}
	receiver->chunks.free_count = chunks.free_count;
	if (count)
		zrx_window_credit_holds(receiver, owner, count);
}

/* ---- what may be asked for ---- */

/*
 * How much memory a request may take: a share of what is pledged to none, within the window. A
 * consumer that has given back all of what was asked for has earned twice as much; where many
 * others have stalled this may be more than its window.
 */
static uint64_t room_of(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	const struct zrx_windows *windows = &receiver->windows;
	uint64_t chunk = windows->chunk_bytes, bytes = free_bytes(receiver);
	uint64_t left = beyond(bytes, windows->pledged_bytes + reserve(receiver));
	uint64_t room = beyond(zrx_window_of(windows, stream), stream->held);
	uint64_t share = left / (2 * (active(receiver) + 1));
	uint64_t most = left / 2 > bytes / BURST_PART ? left / 2 : bytes / BURST_PART;
	uint64_t earned;

	if (!stream->window) {
		if (!stream->held && stream->burst < BURST_MAX)
			stream->burst *= 2;
		earned = stream->burst * chunk < most ? stream->burst * chunk : most;
		room = room < share ? room : share;
		room = room > earned ? room : earned;
	}
	room = room < chunk ? chunk : room - room % chunk;
	if (stream->burst < room / chunk)
		stream->burst = (uint32_t)(room / chunk);
	return room;
}

void zrx_window_asked(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	receiver->windows.pledged_bytes -= stream->pledged;
	stream->pledged = 0;
}

uint64_t zrx_window_credit(struct zrx_receiver *receiver, struct zrx_stream *stream)
{
	uint64_t chunk = receiver->windows.chunk_bytes, room = room_of(receiver, stream);
	uint64_t credit = room, dense;

	stream->pledged = room;
	receiver->windows.pledged_bytes += room;
	if (stream->recent_chunks > RECENT) {
		stream->recent_bytes /= 2;
		stream->recent_chunks /= 2;
	}
	/* In a window that was asked for the least is taken for granted, until a stream shows: its
	 * peer may send small pieces. */
	if (stream->recent_chunks)
		dense = stream->recent_bytes / stream->recent_chunks;
	else
		dense = stream->window ? chunk / DENSE_FIRST : chunk;
	if (dense < chunk)
		credit = room / chunk * dense;
	/* Little comes in a chunk also because little was asked for: the more so where all of it
	 * came in one. */
	if ((!stream->held || (stream->since_asked == 1 && !stream->asked)) &&
	    credit < stream->granted * 2)
		credit = stream->granted * 2 < room ? stream->granted * 2 : room;
	stream->granted = credit ? credit : 1;
	stream->since_asked = 0;
	return stream->granted;
}

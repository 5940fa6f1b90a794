/* SPDX-License-Identifier: MIT */
/*
 * Windows: how much of the area the buffers of each stream may hold, and which streams rest because
 * they hold it, or because they were paused by hand. The owner's alone.
 */
#ifndef ZRX_WINDOW_H
#define ZRX_WINDOW_H

#include <stdint.h>

#include "hold.h"
#include "stream.h"

struct zrx_error;
struct zrx_receiver;

struct zrx_windows {
	uint64_t chunk_bytes;
	uint64_t pool_bytes; /* of the area, what buffers may hold: not what a NIC holds standing */
	uint64_t held_bytes;
	uint64_t pledged_bytes; /* what armed requests may take */
	uint64_t automatic;     /* window of streams without one of their own, at the last look */
	uint64_t earned;        /* at least, of those of them that have given back enough */
	uint64_t resume_at;     /* an automatic window that lets one of those that rest go on */
	uint64_t earned_at;     /* the same of earned, for one that has given back enough for it */
	struct zrx_stream_list at_window;
	struct zrx_stream_list by_hand;
	struct zrx_stream *over; /* held their window: to be looked at; linked by next_over */
};

/* At open: the area is there. */
void zrx_windows_open(struct zrx_receiver *receiver, uint64_t pool_bytes);

/* From a chunk to the area, or 0: automatic; else -EINVAL with the error filled. */
int zrx_window_check(uint64_t window, uint64_t chunk_bytes, uint64_t area_max_bytes,
		     struct zrx_error *error);

/* How much a stream may hold now. One that has given back many times as much as it holds may have
 * more, where many others have stalled. */
#define ZRX_WINDOW_EARNS 16u
static inline uint64_t zrx_window_of(const struct zrx_windows *windows,
				     const struct zrx_stream *stream)
{
	uint64_t earned = stream->bytes / ZRX_WINDOW_EARNS;

	if (stream->window)
		return stream->window;
	if (earned > windows->earned)
		earned = windows->earned;
	return windows->automatic > earned ? windows->automatic : earned;
}

/* The same as it would be if it were looked at now; changes nothing. */
uint64_t zrx_window_now(const struct zrx_receiver *receiver, const struct zrx_stream *stream);

/* There is no room for one chunk more. */
static inline int zrx_window_full(const struct zrx_windows *windows,
				  const struct zrx_stream *stream)
{
	return stream->held && stream->held + windows->chunk_bytes > zrx_window_of(windows, stream);
}

/* It is to be looked at. */
static inline void zrx_window_note(struct zrx_windows *windows, struct zrx_stream *stream)
{
	if (stream->flags & ZRX_STREAM_OVER)
		return;
	stream->flags |= ZRX_STREAM_OVER;
	stream->next_over = windows->over;
	windows->over = stream;
}

/* Bytes came that began so many holds. */
static inline void zrx_window_charge(struct zrx_windows *windows, struct zrx_stream *stream,
				     uint64_t bytes, uint64_t holds)
{
	uint64_t more = holds * windows->chunk_bytes;

	stream->bytes += bytes;
	stream->recent_bytes += bytes;
	stream->recent_chunks += holds;
	stream->since_asked += holds;
	stream->held += more;
	windows->held_bytes += more;
	if (zrx_window_full(windows, stream))
		zrx_window_note(windows, stream);
}

/* Holds came back: their chunks are free, their streams may go on. */
void zrx_windows_settle(struct zrx_receiver *receiver, struct zrx_chain chain);

/* A stream that is over, or rests, holds less than before. */
void zrx_window_credited(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* Look at the streams that held their window: who still does is to rest. Those for whom it has
 * grown go on. */
void zrx_windows_look(struct zrx_receiver *receiver);

/* A stream that nothing is asked for: it is to be armed, or to rest. */
void zrx_window_go_on(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* By hand. */
void zrx_window_pause(struct zrx_receiver *receiver, struct zrx_stream *stream);
void zrx_window_resume(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* A stream ends: it rests no more. */
void zrx_window_leave(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* For engines that receive one by one: the automatic window by what is free now. */
void zrx_windows_refresh(struct zrx_receiver *receiver);

/* How many chunks may lie ready for whoever sends first, whom windows cannot tell apart (engine
 * multishot). */
uint32_t zrx_window_ready(const struct zrx_receiver *receiver);

/*
 * For engines whose requests have a limit: how many bytes the request that is about to be armed may
 * ask for, so that, with as many bytes in a chunk as so far, the window is not passed, and all that
 * are armed leave something free. At least 1. The memory is pledged until the request ends.
 */
uint64_t zrx_window_credit(struct zrx_receiver *receiver, struct zrx_stream *stream);
void zrx_window_asked(struct zrx_receiver *receiver, struct zrx_stream *stream); /* it has ended */

#endif

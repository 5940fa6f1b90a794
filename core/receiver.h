/* SPDX-License-Identifier: MIT */
/* A receiver from the inside, and what engines call to report. */
#ifndef ZRX_RECEIVER_H
#define ZRX_RECEIVER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "area.h"
#include "chunk.h"
#include "engine.h"
#include "grow.h"
#include "stream.h"
#include "window.h"
#include "zcrx.h"

struct zrx_inbox;

/* Written by the owner alone, read by any thread: plain loads and stores that cannot tear. */
struct zrx_counters {
	_Atomic uint64_t bytes;
	_Atomic uint64_t buffers;
	_Atomic uint64_t streams;
	_Atomic uint64_t parked;
	_Atomic uint64_t parks;
	_Atomic uint64_t rearms_ring_full;
	_Atomic uint64_t rearms_no_buffer;
	_Atomic uint64_t rearms_silent;
	_Atomic uint64_t rearms_interrupted;
	_Atomic uint64_t waits;
	_Atomic uint64_t wakes;
	_Atomic uint64_t paused;
	_Atomic uint64_t pauses;
	_Atomic uint64_t held_bytes;
	_Atomic uint64_t area_bytes;
	_Atomic uint32_t stall;
};

static inline void zrx_store(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline void zrx_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

/* A queue that several receivers share. */
struct zrx_sharing {
	uint32_t parts;                   /* how many; 1: it is not shared */
	const struct zrx_receiver *first; /* with whom; NULL: this is the first */
};

struct zrx_receiver {
	const struct zrx_engine *engine;
	struct zrx_inbox *inbox; /* of its group; NULL: it is in none */
	void *state;             /* the engine's own */
	struct zrx_area *area;
	struct zrx_chunks
		chunks; /* of the copying engines; of the others the kernel keeps account */
	struct zrx_windows windows;
	struct zrx_growth growth;
	struct zrx_options options; /* checked, defaults filled in */
	struct zrx_sharing sharing; /* as it was opened */
	struct zrx_streams streams;
	struct zrx_stream_list queued;  /* to be armed */
	struct zrx_stream_list cancels; /* armed, to be cancelled */
	/*
	 * Waiting for buffers: without and with a limit. Apart, because an engine may have buffers
	 * for one kind and none for the other.
	 */
	struct zrx_stream_list parked[2];
	uint32_t resume_first;       /* the list whose turn it is to be looked at first */
	struct zrx_stream_list done; /* last event not yet received */
	int unsettled; /* the kernel did not take every request, or did not run what was due */
	struct zrx_counters counters;
	struct zrx_info info;
	struct zrx_error
		refused[ZRX_ENGINE_COUNT]; /* code != 0: why that better engine is not used */
	struct zrx_error last;
};

/*
 * As zrx_receiver_open, of a group whose receivers share a queue. Engines that copy share nothing.
 */
int zrx_receiver_open_sharing(struct zrx_receiver **receiver, const struct zrx_options *options,
			      struct zrx_sharing sharing, struct zrx_error *error);

/*
 * The request of an armed stream is over. result: 0 at the end of the stream, a negative errno, or
 * positive where the kernel ended it for no reason of the stream's. Decides between end, error,
 * park and arming again.
 */
void zrx_stream_final(struct zrx_receiver *receiver, struct zrx_stream *stream, int result);

/* A stream that cannot even be asked for: its last event is this error (negative errno). */
void zrx_stream_fail(struct zrx_receiver *receiver, struct zrx_stream *stream, int error);

/* No event of it is due any more: its entry waits for its buffers, if any are out. */
void zrx_stream_drop(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* Cancel an armed stream that may have stopped without saying so, and arm it again. */
void zrx_stream_kick(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* The same, to rest: what was delivered before still comes. */
void zrx_stream_stop_to_rest(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* A request ended because it had all that it asked for: the stream goes on. */
void zrx_stream_continue(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* 0, also before the first receive; -EPERM: another thread owns it. Changes nothing. */
static inline int zrx_check_thread(const struct zrx_receiver *receiver)
{
	const struct zrx_area *area = receiver->area;

	return zrx_area_has_owner(area) && !zrx_area_owned(area) ? -EPERM : 0;
}

/* So many holds that a stream was charged for came back. */
static inline void zrx_window_credit_holds(struct zrx_receiver *receiver, uint32_t index,
					   uint32_t holds)
{
	struct zrx_stream *stream = zrx_stream_entry(&receiver->streams, index);
	uint64_t bytes = holds * receiver->windows.chunk_bytes;

	stream->held -= bytes;
	receiver->windows.held_bytes -= bytes;
	zrx_store(&receiver->counters.held_bytes, receiver->windows.held_bytes);
	if (stream->state != ZRX_STREAM_ARMED)
		zrx_window_credited(receiver, stream);
}

/* What is told of a receiver that is open, beside what its engine says. */
void zrx_info_describe(struct zrx_receiver *receiver);

static inline int zrx_any_parked(const struct zrx_receiver *receiver)
{
	return receiver->parked[0].first || receiver->parked[1].first;
}

/* The lists of parked streams have changed: tell the stats. */
void zrx_parked_changed(struct zrx_receiver *receiver);

/*
 * Free a receiver whose owner is done with it, or cannot be: ring, NIC, tables. Not its area.
 * Returns 0, or -EBUSY if the NIC has not let go of the area's memory, which is then kept for ever.
 */
int zrx_receiver_destroy(struct zrx_receiver *receiver);

#endif

/* SPDX-License-Identifier: MIT */
/* A receiver from the inside, and what engines call to report. */
#ifndef ZRX_RECEIVER_H
#define ZRX_RECEIVER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "area.h"
#include "engine.h"
#include "stream.h"
#include "zcrx.h"

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
	_Atomic uint32_t stall;
};

static inline void zrx_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

struct zrx_receiver {
	const struct zrx_engine *engine;
	void *state; /* the engine's own */
	struct zrx_area *area;
	struct zrx_options options; /* checked, defaults filled in */
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

/* Where events go during one receive. */
struct zrx_sink {
	struct zrx_event *events;
	uint32_t capacity;
	uint32_t count;
	uint32_t buffers; /* of them with a buffer */
	int error;        /* why what is left could not be harvested */
	uint64_t bytes;
};

/*
 * A row of data events of one stream. What they share is kept here, apart from the memory that
 * events lie in: so it is looked up once.
 */
struct zrx_row {
	struct zrx_event *at;
	struct zrx_area *area;
	uint8_t *base;
	uint64_t stream;
	uint64_t tag;
	uint64_t bytes;
	uint32_t free; /* the slots' free list: when it is empty, the row is over */
};

/* How many events of so many completions fit into a row. */
static inline uint32_t zrx_row_most(const struct zrx_sink *sink, uint32_t completions)
{
	uint32_t room = sink->capacity - sink->count;

	return completions < room ? completions : room;
}

/* The sink must have room. Returns 0, or -ENOMEM without a slot. */
static inline int zrx_row_begin(struct zrx_row *row, struct zrx_receiver *receiver,
				const struct zrx_sink *sink, const struct zrx_stream *stream)
{
	struct zrx_area *area = receiver->area;
	int result = area->slots.free ? 0 : zrx_slots_reserve(&area->slots);

	row->at = &sink->events[sink->count];
	row->area = area;
	row->base = area->base;
	row->stream = zrx_stream_handle(stream);
	row->tag = stream->tag;
	row->bytes = 0;
	row->free = area->slots.free;
	return result;
}

/*
 * Add an event: length bytes at offset where of the area. Field by field: it is written once, not
 * zeroed first.
 */
static inline void zrx_row_add(struct zrx_row *row, uint64_t where, uint32_t length)
{
	struct zrx_event *event = row->at++;

	event->kind = ZRX_EVENT_DATA;
	event->flags = 0;
	event->error = 0;
	event->stream = row->stream;
	event->tag = row->tag;
	event->buffer.data = row->base ? row->base + where : NULL;
	event->buffer.offset = where;
	event->buffer.area = row->area;
	event->buffer.slot =
		zrx_slot_take(&row->area->slots, &row->free, where, &event->buffer.generation);
	event->buffer.length = length;
	event->buffer.reserved = 0;
	row->bytes += length;
}

static inline void zrx_row_end(const struct zrx_row *row, struct zrx_sink *sink)
{
	uint32_t count = (uint32_t)(row->at - sink->events);

	sink->buffers += count - sink->count;
	sink->bytes += row->bytes;
	sink->count = count;
	row->area->slots.free = row->free;
}

/*
 * The request of an armed stream is over. result: 0 at the end of the stream, a negative errno, or
 * positive where the kernel ended it for no reason of the stream's. Decides between end, error,
 * park and arming again.
 */
void zrx_stream_final(struct zrx_receiver *receiver, struct zrx_stream *stream, int result);

/* A stream that cannot even be asked for: its last event is this error (negative errno). */
void zrx_stream_fail(struct zrx_receiver *receiver, struct zrx_stream *stream, int error);

/* Cancel an armed stream that may have stopped without saying so, and arm it again. */
void zrx_stream_kick(struct zrx_receiver *receiver, struct zrx_stream *stream);

/* 0, also before the first receive; -EPERM: another thread owns it. Changes nothing. */
static inline int zrx_check_thread(const struct zrx_receiver *receiver)
{
	const struct zrx_area *area = receiver->area;

	return zrx_area_has_owner(area) && !zrx_area_owned(area) ? -EPERM : 0;
}

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

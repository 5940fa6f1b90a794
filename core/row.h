/* SPDX-License-Identifier: MIT */
/* Completions become events: in rows, those of one stream that come one after the other. */
#ifndef ZRX_ROW_H
#define ZRX_ROW_H

#include <string.h>

#include "receiver.h"

/* Where events go during one receive. */
struct zrx_sink {
	struct zrx_event *events;
	uint32_t capacity;
	uint32_t count;
	uint32_t buffers; /* of them with a buffer */
	int error;        /* why what is left could not be harvested */
	uint64_t bytes;
};

/* What the events of a row share, as it lies in them: two words and two words, each stored at once.
 */
typedef uint64_t zrx_two_words __attribute__((vector_size(16)));

/* The compiler has them in a register that is large enough, and does not take them apart. */
#if defined(__SSE2__)
#define ZRX_KEEP_TWO(words) __asm__("" : "+x"(words))
#elif defined(__aarch64__)
#define ZRX_KEEP_TWO(words) __asm__("" : "+w"(words))
#else
#define ZRX_KEEP_TWO(words) ((void)0)
#endif

struct zrx_event_same {
	zrx_two_words head; /* kind, flags, error; stream */
	zrx_two_words more; /* tag; area */
};

/*
 * A row of data events of one stream. What they share is kept here, apart from the memory that
 * events lie in: so it is looked up once.
 */
struct zrx_row {
	struct zrx_event *at;
	struct zrx_holds *holds;
	uint8_t *base;
	uint64_t stream;
	struct zrx_event_same same;
	uint64_t bytes;
	uint64_t end;   /* offset where its last view ends; UINT64_MAX: there is none */
	uint32_t hold;  /* the last view's */
	uint32_t begun; /* holds */
	uint32_t owner; /* what its holds note: stream, ZRX_HOLD_ALONE */
};

/* How many events of so many completions fit into a row. */
static inline uint32_t zrx_row_most(const struct zrx_sink *sink, uint32_t completions)
{
	uint32_t room = sink->capacity - sink->count;

	return completions < room ? completions : room;
}

static inline struct zrx_event_same zrx_event_same(uint64_t stream, uint64_t tag,
						   const struct zrx_area *area)
{
	static const struct zrx_event data = {.kind = ZRX_EVENT_DATA};
	uint64_t first;

	memcpy(&first, &data, sizeof(first));
	return (struct zrx_event_same){{first, stream}, {tag, (uintptr_t)area}};
}

/* The sink must have room. */
static inline void zrx_row_begin(struct zrx_row *row, struct zrx_receiver *receiver,
				 const struct zrx_sink *sink, const struct zrx_stream *stream)
{
	struct zrx_area *area = receiver->area;

	row->at = &sink->events[sink->count];
	row->holds = &area->holds;
	row->base = area->base;
	row->stream = zrx_stream_handle(stream);
	row->same = zrx_event_same(row->stream, stream->tag, area);
	row->bytes = 0;
	row->end = UINT64_MAX;
	row->hold = 0;
	row->begun = 0;
	row->owner = stream->index << ZRX_HOLD_OWNER_BITS | ZRX_HOLD_ALONE;
}

/*
 * Field by field, pairs of small ones at once: it is written once, not zeroed first. epoch:
 * shifted, as in the hold's word.
 */
static inline void zrx_event_fill(struct zrx_event *event, struct zrx_event_same *same,
				  const uint8_t *at, uint64_t where, uint32_t length, uint64_t slot,
				  uint64_t epoch)
{
	uint64_t handle = zrx_pair(slot, epoch), size = zrx_pair(length, 0), area;

	ZRX_KEEP_TWO(same->more);
	area = same->more[1];
	memcpy(event, &same->head, sizeof(same->head));
	event->tag = same->more[0];
	event->buffer.data = at;
	event->buffer.offset = where;
	memcpy(&event->buffer.area, &area, sizeof(event->buffer.area));
	memcpy(&event->buffer.slot, &handle, sizeof(handle)); /* and generation */
	memcpy(&event->buffer.length, &size, sizeof(size));   /* and reserved */
}

/* The next event, to which a later completion may be joined. */
static inline void zrx_row_view(struct zrx_row *row, uint64_t where, uint32_t length, uint32_t hold,
				uint32_t view, uint64_t epoch)
{
	zrx_event_fill(row->at++, &row->same, row->base ? row->base + where : NULL, where, length,
		       zrx_slot(hold, view), epoch);
	row->bytes += length;
	row->end = where + length;
	row->hold = hold;
}

/* A view in an idle hold. Returns 0 if it is not idle. */
static inline int zrx_row_first(struct zrx_row *row, uint32_t index, uint64_t where,
				uint32_t length)
{
	uint64_t word = zrx_hold_word(row->holds, index);

	if (!zrx_hold_idle(word))
		return 0;
	row->begun++;
	zrx_row_view(row, where, length, index, 0,
		     zrx_hold_begin(row->holds, index, word, row->owner));
	return 1;
}

/*
 * A view in a chunk of which others may be out. *hold is the index + 1 of the one to join, if it
 * has the same owner; it is set to the one that was taken. Returns how many holds were begun, 0 or
 * 1, or -ENOBUFS if all are out.
 */
int zrx_row_shared(struct zrx_row *row, uint32_t chunk, uint32_t *hold, uint64_t where,
		   uint32_t length);

/*
 * The same in a chunk of a copying engine, which is charged to a stream once, however many of its
 * views are in it. Returns 0 or -ENOBUFS.
 */
int zrx_row_part(struct zrx_row *row, struct zrx_chunk *chunk, uint32_t index, uint64_t where,
		 uint32_t length);

/* The last view of the row goes on by so many bytes. */
static inline void zrx_row_extend(struct zrx_row *row, uint32_t length)
{
	row->at[-1].buffer.length += length;
	row->bytes += length;
	row->end += length;
}

static inline void zrx_row_end(const struct zrx_row *row, struct zrx_receiver *receiver,
			       struct zrx_stream *stream, struct zrx_sink *sink)
{
	uint32_t count = (uint32_t)(row->at - sink->events);

	sink->buffers += count - sink->count;
	sink->bytes += row->bytes;
	sink->count = count;
	zrx_window_charge(&receiver->windows, stream, row->bytes, row->begun);
}

#endif

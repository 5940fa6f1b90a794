/* SPDX-License-Identifier: MIT */
/*
 * Streams: the table of added sockets, their handles, and the lists they wait in. The owner's
 * alone.
 */
#ifndef ZRX_STREAM_H
#define ZRX_STREAM_H

#include <stdint.h>

#define ZRX_STREAM_SLAB_SHIFT 8
#define ZRX_STREAM_SLAB       (1u << ZRX_STREAM_SLAB_SHIFT)

enum zrx_stream_state {
	ZRX_STREAM_FREE,
	ZRX_STREAM_QUEUED, /* waits to be armed: in receiver->queued */
	ZRX_STREAM_ARMED,  /* the engine will tell when it ends; perhaps in ->cancels or an engine's
			      list */
	ZRX_STREAM_PARKED, /* waits for buffers: in receiver->parked */
	ZRX_STREAM_PAUSED, /* rests: in windows.at_window or windows.by_hand */
	ZRX_STREAM_DONE,   /* its last event waits to be received: in receiver->done */
	ZRX_STREAM_GONE,   /* it has ended; its entry waits for buffers that are out */
};

#define ZRX_STREAM_REMOVING  1u  /* the caller asked for its end */
#define ZRX_STREAM_KICKED    2u  /* cancelled only to be armed again */
#define ZRX_STREAM_RESTING   4u  /* cancelled to rest */
#define ZRX_STREAM_BY_HAND   8u  /* zrx_receiver_pause */
#define ZRX_STREAM_AT_WINDOW 16u /* its buffers hold its window */
#define ZRX_STREAM_OVER      32u /* in windows.over */
#define ZRX_STREAM_COPIED    64u /* its flow is not led to the queue: its bytes are copied */

struct zrx_stream_list;

struct zrx_stream {
	struct zrx_stream *next;
	struct zrx_stream *previous;
	struct zrx_stream_list *list; /* the one it is in, or NULL */
	uint64_t tag;
	uint64_t cookie;       /* the kernel's name of the socket, never reused */
	uint64_t remaining;    /* bytes until its limit; UINT64_MAX: no limit */
	uint64_t asked;        /* of them, those of the request that is armed (engines zcrx) */
	uint64_t window;       /* bytes that its buffers may hold; 0: automatic */
	uint64_t held;         /* bytes that they hold, in whole chunks */
	uint64_t bytes;        /* delivered */
	uint64_t recent_bytes; /* by how many bytes come in a chunk, what a request may ask for is
				  judged */
	uint64_t recent_chunks;
	uint64_t granted;     /* bytes that its last request could ask for */
	uint64_t since_asked; /* chunks that came of it */
	uint64_t pledged;     /* memory that the request that is armed may take (engines zcrx) */
	struct zrx_stream *next_over;
	uint32_t burst; /* chunks that it has earned: twice as many each time that all were given
			   back */
	uint32_t index;
	uint32_t generation;     /* never 0, so that a handle is never below 1 << 32 */
	uint32_t hash_next;      /* index + 1 */
	uint32_t rule;           /* NIC flow rule, 0: none */
	uint32_t taken;          /* the refill ring's head when it was last armed (engine zcrx) */
	int32_t fd;              /* our own duplicate */
	uint32_t receive_buffer; /* its share of the queue's budget; 0: left alone */
	uint32_t buffer_before;  /* that the caller had set; 0: none (core/share.c) */
	int32_t error;           /* of the last event */
	uint16_t end_flags;      /* likewise */
	uint8_t state;
	uint8_t flags;
};

struct zrx_stream_list {
	struct zrx_stream *first;
	struct zrx_stream *last;
	uint32_t count;
};

struct zrx_streams {
	struct zrx_stream **slabs;
	uint32_t slab_count;
	uint32_t slab_room;
	uint32_t live;
	struct zrx_stream *free; /* linked by next */
	uint32_t *buckets;       /* by cookie: index + 1 */
	uint32_t bucket_count;   /* a power of two, or 0 */
};

/* A stream that has an entry, by its index. */
static inline struct zrx_stream *zrx_stream_entry(const struct zrx_streams *streams, uint32_t index)
{
	return &streams->slabs[index >> ZRX_STREAM_SLAB_SHIFT][index & (ZRX_STREAM_SLAB - 1)];
}

static inline uint64_t zrx_stream_handle(const struct zrx_stream *stream)
{
	return (uint64_t)stream->generation << 32 | stream->index;
}

/* A stream known to be live, by its handle. */
static inline struct zrx_stream *zrx_stream_at(const struct zrx_streams *streams, uint64_t handle)
{
	return zrx_stream_entry(streams, (uint32_t)handle);
}

/* The live stream of this handle, or NULL. */
struct zrx_stream *zrx_stream_find(const struct zrx_streams *streams, uint64_t handle);

/* The live stream of this socket, or NULL. */
struct zrx_stream *zrx_stream_by_cookie(const struct zrx_streams *streams, uint64_t cookie);

/* A new stream, state QUEUED but in no list; NULL when out of memory. */
struct zrx_stream *zrx_stream_new(struct zrx_streams *streams, uint64_t cookie);

/*
 * It has ended: neither handle nor socket lead to it any more. Its entry is used again once it
 * holds nothing (zrx_stream_free).
 */
void zrx_stream_retire(struct zrx_streams *streams, struct zrx_stream *stream);
void zrx_stream_free(struct zrx_streams *streams, struct zrx_stream *stream); /* after retire */

/* Call visit for each live stream. */
void zrx_streams_each(struct zrx_streams *streams,
		      void (*visit)(void *context, struct zrx_stream *stream), void *context);
void zrx_streams_destroy(struct zrx_streams *streams);

void zrx_list_append(struct zrx_stream_list *list, struct zrx_stream *stream);
void zrx_list_remove(struct zrx_stream *stream); /* from the list it is in, if any */

#endif

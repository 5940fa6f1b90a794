/* SPDX-License-Identifier: MIT */
/*
 * Receiving by recv() into chunks: bytes of all streams one after the other, so that few bytes pin
 * little.
 */
#ifndef ZRX_FILL_H
#define ZRX_FILL_H

#include "chunk.h"
#include "receiver.h"

struct zrx_fill {
	uint32_t chunk; /* index + 1 of the chunk that is being filled; 0: none */
};

/*
 * One recv for this stream, delivered as one event. The sink must have room.
 * Returns the bytes, 0 at the end of the stream, -ENOBUFS when there is no chunk, or what recv
 * returns. *asked is how many bytes there was room for: less received means that the socket is
 * empty for now.
 */
int64_t zrx_fill_receive(struct zrx_fill *fill, struct zrx_chunks *chunks,
			 struct zrx_receiver *receiver, struct zrx_stream *stream,
			 struct zrx_sink *sink, uint64_t *asked);

/* Whether a stream could get bytes now. */
uint32_t zrx_fill_available(const struct zrx_fill *fill, const struct zrx_chunks *chunks);

/* The owner's take_back of both copying engines: slots to the table, chunks to the stack. */
void zrx_fill_take_back(struct zrx_chunks *chunks, struct zrx_area *area, struct zrx_chain chain);

#endif

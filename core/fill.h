/* SPDX-License-Identifier: MIT */
/*
 * Receiving by recv() into chunks: bytes of all streams one after the other, so that few bytes pin
 * little.
 */
#ifndef ZRX_FILL_H
#define ZRX_FILL_H

#include <stdint.h>

struct zrx_area;
struct zrx_buffer;
struct zrx_error;
struct zrx_receiver;
struct zrx_run;
struct zrx_sink;
struct zrx_stream;

/* At open of a copying engine: chunks, holds and windows of its area. */
int zrx_fill_open(struct zrx_receiver *receiver, struct zrx_error *error);

/* Its area has memory for so many bytes: zrx_engine.extend of both. Returns 0. */
int zrx_fill_extend(struct zrx_receiver *receiver, uint64_t bytes);

/*
 * One recv for this stream, delivered as one event. The sink must have room.
 * Returns the bytes, 0 at the end of the stream, -ENOBUFS when there is no chunk, or what recv
 * returns. *asked is how many bytes there was room for: less received means that the socket is
 * empty for now.
 */
int64_t zrx_fill_receive(struct zrx_receiver *receiver, struct zrx_stream *stream,
			 struct zrx_sink *sink, uint64_t *asked);

/* Their chunks are free: zrx_engine.take_back and take_one. */
uint32_t zrx_fill_take_back(struct zrx_area *area, struct zrx_run *run, uint32_t owner);
int zrx_fill_take_one(struct zrx_area *area, const struct zrx_buffer *buffer, uint32_t owner);

/* Whether a stream could get bytes now. */
uint32_t zrx_fill_available(const struct zrx_receiver *receiver);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The chunks of the copying engines: which are free, and how many views each free one waits for.
 * The owner's alone. Last released, first used: that chunk is still in the cache.
 */
#ifndef ZRX_CHUNK_H
#define ZRX_CHUNK_H

#include <stdint.h>

struct zrx_chunk {
	uint32_t references; /* buffers out, and one while it is being filled */
	uint32_t position;   /* bytes of it that are filled */
};

struct zrx_chunks {
	struct zrx_chunk *chunks;
	uint32_t *free; /* a stack of indexes */
	uint32_t free_count;
	uint32_t total;
};

int zrx_chunks_open(struct zrx_chunks *chunks, uint32_t total); /* 0 or -ENOMEM */
void zrx_chunks_close(struct zrx_chunks *chunks);

/* Take a free chunk to be filled; it is held once. There must be one. */
static inline uint32_t zrx_chunk_take(struct zrx_chunks *chunks)
{
	uint32_t index = chunks->free[--chunks->free_count];

	chunks->chunks[index].references = 1;
	chunks->chunks[index].position = 0;
	return index;
}

static inline void zrx_chunk_hold(struct zrx_chunks *chunks, uint32_t index)
{
	chunks->chunks[index].references++;
}

static inline void zrx_chunk_put(struct zrx_chunks *chunks, uint32_t index)
{
	if (!--chunks->chunks[index].references)
		chunks->free[chunks->free_count++] = index;
}

#endif

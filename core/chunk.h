/* SPDX-License-Identifier: MIT */
/*
 * The chunks of the copying engines: which are free, and how many holds each other one waits for.
 * The owner's alone. Last released, first used: that chunk is still in the cache.
 */
#ifndef ZRX_CHUNK_H
#define ZRX_CHUNK_H

#include <stdint.h>

/* Zero while it is free, or whole: not yet filled, or all of it one view's. As large as slots are
 * apart. */
struct zrx_chunk {
	uint32_t references; /* holds that are out, and one while it is being filled */
	uint32_t position;   /* bytes of it that are filled */
	uint32_t hold;       /* index + 1 of the hold that the next view may join; 0: none */
	uint32_t charged;    /* holds out of one stream, which is charged once for all of them */
	uint32_t charged_to; /* that stream */
	uint32_t unused[3];
};

struct zrx_chunks {
	struct zrx_chunk *chunks;
	uint32_t *free; /* a stack of indexes */
	uint32_t free_count;
	uint32_t posted;  /* in the kernel's hands, as far as completions have told (engine
			     multishot) */
	uint32_t partial; /* of them, those that are filled in part */
	uint32_t filling; /* index + 1 of the one that is filled by recv; 0: none */
	uint32_t total;
};

/* Of an area that may grow: for as many as most. Returns 0 or -ENOMEM. */
int zrx_chunks_open(struct zrx_chunks *chunks, uint32_t total, uint64_t most);

/* It has grown: so many there are now. */
void zrx_chunks_extend(struct zrx_chunks *chunks, uint32_t total);
void zrx_chunks_close(struct zrx_chunks *chunks);

/* Take a free chunk to be filled. There must be one. */
static inline uint32_t zrx_chunk_take(struct zrx_chunks *chunks)
{
	return chunks->free[--chunks->free_count];
}

/* How many may still take bytes for anyone: the one that is begun too, unless views of it are out.
 */
static inline uint32_t zrx_chunks_left(const struct zrx_chunks *chunks)
{
	uint32_t left = chunks->free_count + chunks->posted;

	if (chunks->filling && chunks->chunks[chunks->filling - 1].references <= 1)
		left++;
	return left;
}

/* Nothing of a chunk is out any more, and nobody fills it. */
static inline void zrx_chunk_free(struct zrx_chunks *chunks, uint32_t index)
{
	chunks->free[chunks->free_count++] = index;
}

/* One of those that a chunk waits for is done with it. */
static inline void zrx_chunk_put(struct zrx_chunks *chunks, uint32_t index)
{
	struct zrx_chunk *chunk = &chunks->chunks[index];

	if (--chunk->references)
		return;
	*chunk = (struct zrx_chunk){0};
	zrx_chunk_free(chunks, index);
}

#endif

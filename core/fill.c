/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "fill.h"
#include "sys.h"

/*
 * Views begin on cache lines of their own, and well behind where the last one ended: a copy to an
 * address a few bytes ahead of its source, modulo a page, takes several times as long on some
 * processors.
 */
#define ALIGNMENT  512u
#define LEAST_PART 4u /* a chunk with less than a fourth of room left is not filled further */

static uint32_t chunk_bytes(const struct zrx_receiver *receiver)
{
	return 1u << receiver->area->chunk_shift;
}

int64_t zrx_fill_receive(struct zrx_fill *fill, struct zrx_chunks *chunks,
			 struct zrx_receiver *receiver, struct zrx_stream *stream,
			 struct zrx_sink *sink, uint64_t *asked)
{
	struct zrx_chunk *chunk;
	struct zrx_row row;
	uint64_t where, room;
	int64_t result;

	if (!fill->chunk) {
		if (!chunks->free_count)
			return -ENOBUFS;
		fill->chunk = zrx_chunk_take(chunks) + 1;
	}
	result = zrx_row_begin(&row, receiver, sink, stream);
	if (result)
		return result;
	chunk = &chunks->chunks[fill->chunk - 1];
	where = ((uint64_t)(fill->chunk - 1) << receiver->area->chunk_shift) + chunk->position;
	room = chunk_bytes(receiver) - chunk->position;
	*asked = room < stream->remaining ? room : stream->remaining;
	result = zrx_sys_recv(stream->fd, receiver->area->base + where, *asked);
	if (result <= 0)
		return result;
	zrx_row_add(&row, where, (uint32_t)result);
	zrx_row_end(&row, sink);
	if (stream->remaining != UINT64_MAX)
		stream->remaining -= (uint64_t)result;
	zrx_chunk_hold(chunks, fill->chunk - 1);
	chunk->position = (chunk->position + (uint32_t)result + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (chunk->position + chunk_bytes(receiver) / LEAST_PART > chunk_bytes(receiver)) {
		zrx_chunk_put(chunks, fill->chunk - 1);
		fill->chunk = 0;
	}
	return result;
}

uint32_t zrx_fill_available(const struct zrx_fill *fill, const struct zrx_chunks *chunks)
{
	return chunks->free_count + !!fill->chunk;
}

void zrx_fill_take_back(struct zrx_chunks *chunks, struct zrx_area *area, struct zrx_chain chain)
{
	struct zrx_chunks local = *chunks; /* what the loop writes could alias it */
	uint32_t shift = area->chunk_shift;
	uint32_t at = chain.head;

	for (uint32_t left = chain.count; left; left--) {
		const struct zrx_slot *slot = zrx_slot_at(&area->slots, at - 1);

		zrx_chunk_put(&local, (uint32_t)(slot->where >> shift));
		at = slot->next;
	}
	chunks->free_count = local.free_count;
	zrx_slots_free(&area->slots, chain);
}

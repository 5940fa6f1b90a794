/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "error.h"
#include "fill.h"
#include "receiver.h"
#include "row.h"
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

int zrx_fill_open(struct zrx_receiver *receiver, struct zrx_error *error)
{
	int result = zrx_area_hold(receiver->area, error);

	if (result)
		return result;
	if (zrx_chunks_open(&receiver->chunks, zrx_area_chunks(receiver->area),
			    zrx_area_chunks_most(receiver->area)))
		return zrx_error_set(error, -ENOMEM, ZRX_STAGE_AREA, NULL, "out of memory");
	zrx_windows_open(receiver, receiver->area->bytes);
	return 0;
}

int zrx_fill_extend(struct zrx_receiver *receiver, uint64_t bytes)
{
	zrx_chunks_extend(&receiver->chunks, (uint32_t)(bytes >> receiver->area->chunk_shift));
	receiver->windows.pool_bytes = bytes;
	return 0;
}

/* Bytes that were received into the chunk become a view of it. There is a hold for it. */
static void add_view(struct zrx_receiver *receiver, struct zrx_stream *stream,
		     struct zrx_sink *sink, uint64_t where, uint32_t length)
{
	uint32_t index = receiver->chunks.filling - 1;
	struct zrx_chunk *chunk = &receiver->chunks.chunks[index];
	struct zrx_row row;

	if (!chunk->position)
		chunk->references = 1; /* ours, while it is being filled */
	zrx_row_begin(&row, receiver, sink, stream);
	zrx_row_part(&row, chunk, index, where, length);
	zrx_row_end(&row, receiver, stream, sink);
}

int64_t zrx_fill_receive(struct zrx_receiver *receiver, struct zrx_stream *stream,
			 struct zrx_sink *sink, uint64_t *asked)
{
	struct zrx_chunks *chunks = &receiver->chunks;
	struct zrx_chunk *chunk;
	uint64_t where, room;
	int64_t result;

	if (!zrx_holds_room(&receiver->area->holds))
		return -ENOBUFS;
	if (!chunks->filling) {
		if (!chunks->free_count)
			return -ENOBUFS;
		chunks->filling = zrx_chunk_take(chunks) + 1;
	}
	chunk = &chunks->chunks[chunks->filling - 1];
	where = ((uint64_t)(chunks->filling - 1) << receiver->area->chunk_shift) + chunk->position;
	room = chunk_bytes(receiver) - chunk->position;
	*asked = room < stream->remaining ? room : stream->remaining;
	result = zrx_sys_recv(stream->fd, receiver->area->base + where, *asked);
	if (result <= 0)
		return result;
	add_view(receiver, stream, sink, where, (uint32_t)result);
	if (stream->remaining != UINT64_MAX)
		stream->remaining -= (uint64_t)result;
	chunk->position = (chunk->position + (uint32_t)result + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (chunk->position + chunk_bytes(receiver) / LEAST_PART > chunk_bytes(receiver)) {
		zrx_chunk_put(chunks, chunks->filling - 1);
		chunks->filling = 0;
	}
	return result;
}

static uint32_t *free_top(const struct zrx_area *area)
{
	const struct zrx_chunks *chunks = &area->receiver->chunks;

	return chunks->free + chunks->free_count;
}

uint32_t zrx_fill_take_back(struct zrx_area *area, struct zrx_run *run, uint32_t owner)
{
	const struct zrx_holds holds = area->holds;
	uint32_t *free = free_top(area);
	const char *at = run->at, *const end = run->end;
	size_t stride = run->stride;
	uint32_t count;

	for (; at != end; at += stride, free++) {
		const struct zrx_buffer *buffer = (const void *)at;

		if (buffer->area != area ||
		    !zrx_hold_take_whole(&holds, buffer->slot, buffer->generation, owner, free))
			break;
	}
	/* Looked up again: the loop needs all registers. */
	count = (uint32_t)(free - free_top(area));
	run->at = at;
	area->receiver->chunks.free_count += count;
	return count;
}

int zrx_fill_take_one(struct zrx_area *area, const struct zrx_buffer *buffer, uint32_t owner)
{
	uint32_t index;

	if (!zrx_hold_take_whole(&area->holds, buffer->slot, buffer->generation, owner, &index))
		return 0;
	zrx_chunk_free(&area->receiver->chunks, index);
	return 1;
}

uint32_t zrx_fill_available(const struct zrx_receiver *receiver)
{
	const struct zrx_chunks *chunks = &receiver->chunks;

	return zrx_holds_room(&receiver->area->holds) ? chunks->free_count + !!chunks->filling : 0;
}

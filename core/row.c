/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "row.h"

static int row_join(struct zrx_row *row, uint32_t hold, uint64_t where, uint32_t length)
{
	uint64_t epoch;
	uint32_t view = zrx_hold_join(row->holds, hold, row->owner, &epoch);

	if (view == ZRX_HOLD_VIEWS)
		return 0;
	zrx_row_view(row, where, length, hold, view, epoch);
	return 1;
}

int zrx_row_shared(struct zrx_row *row, uint32_t chunk, uint32_t *hold, uint64_t where,
		   uint32_t length)
{
	uint32_t spare;

	if (*hold && row_join(row, *hold - 1, where, length))
		return 0;
	if (zrx_row_first(row, chunk, where, length)) {
		*hold = chunk + 1;
		return 1;
	}
	spare = zrx_hold_spare(row->holds, chunk);
	if (spare == UINT32_MAX)
		return -ENOBUFS;
	/* A spare hold is idle: its first view is as any chunk's first. */
	zrx_row_first(row, spare, where, length);
	*hold = spare + 1;
	return 1;
}

int zrx_row_part(struct zrx_row *row, struct zrx_chunk *chunk, uint32_t index, uint64_t where,
		 uint32_t length)
{
	int begun = zrx_row_shared(row, index, &chunk->hold, where, length);

	if (begun <= 0)
		return begun;
	chunk->references++;
	if (chunk->charged && chunk->charged_to != row->owner)
		return 0; /* by itself */
	row->holds->owners[row->hold] &= ~ZRX_HOLD_ALONE;
	if (chunk->charged++)
		row->begun--;
	chunk->charged_to = row->owner;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "parts.h"

int zrx_parts_room(const struct zrx_parts *parts)
{
	return parts->count == ZRX_PARTS_MAX ? -ENOSPC : 0;
}

uint64_t zrx_parts_end(const struct zrx_parts *parts)
{
	return parts->count ? parts->added[parts->count - 1].end : parts->end;
}

void zrx_parts_add(struct zrx_parts *parts, uint64_t end, uint64_t token)
{
	uint64_t start = zrx_parts_end(parts);

	parts->added[parts->count++] = (struct zrx_part){start, end, token};
}

uint64_t zrx_parts_search_offset(const struct zrx_parts *parts, uint64_t linear)
{
	const struct zrx_part *part = parts->added;

	while (linear >= part->end)
		part++;
	return linear - part->start + part->token;
}

uint64_t zrx_parts_search_linear(const struct zrx_parts *parts, uint64_t offset)
{
	/* The last ones are the largest. */
	for (uint32_t i = parts->count; i-- > 0;) {
		const struct zrx_part *part = &parts->added[i];

		if (offset - part->token < part->end - part->start)
			return offset - part->token + part->start;
	}
	return offset - parts->token; /* none of the area's: no kernel gives one */
}

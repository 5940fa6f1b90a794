/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "chunk.h"
#include "sys.h"

int zrx_chunks_open(struct zrx_chunks *chunks, uint32_t total, uint64_t most)
{
	chunks->chunks = zrx_sys_alloc(most * sizeof(*chunks->chunks));
	chunks->free = zrx_sys_alloc(most * sizeof(*chunks->free));
	if (!chunks->chunks || !chunks->free) {
		zrx_chunks_close(chunks);
		return -ENOMEM;
	}
	/* The lowest on top. */
	for (uint32_t i = 0; i < total; i++)
		chunks->free[i] = total - 1 - i;
	chunks->free_count = total;
	chunks->total = total;
	return 0;
}

void zrx_chunks_extend(struct zrx_chunks *chunks, uint32_t total)
{
	uint32_t more = total - chunks->total;

	/* Below those that were in use: they are taken last. */
	memmove(chunks->free + more, chunks->free, chunks->free_count * sizeof(*chunks->free));
	for (uint32_t i = 0; i < more; i++)
		chunks->free[i] = total - 1 - i;
	chunks->free_count += more;
	chunks->total = total;
}

void zrx_chunks_close(struct zrx_chunks *chunks)
{
	zrx_sys_free(chunks->chunks);
	zrx_sys_free(chunks->free);
	*chunks = (struct zrx_chunks){0};
}

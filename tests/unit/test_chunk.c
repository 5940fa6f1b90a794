/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "chunk.h"

int main(void)
{
	struct zrx_chunks chunks = {0};

	CHECK_EQUAL(zrx_chunks_open(&chunks, 3), 0);
	CHECK_EQUAL(chunks.free_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_EQUAL(zrx_chunk_take(&chunks), i);
	CHECK_EQUAL(chunks.free_count, 0);

	/* Free only when everyone has let go. */
	zrx_chunk_hold(&chunks, 1);
	zrx_chunk_hold(&chunks, 1);
	zrx_chunk_put(&chunks, 1);
	zrx_chunk_put(&chunks, 1);
	CHECK_EQUAL(chunks.free_count, 0);
	zrx_chunk_put(&chunks, 1);
	CHECK_EQUAL(chunks.free_count, 1);

	/* The last released is the first used, and begins anew. */
	chunks.chunks[0].position = 77;
	zrx_chunk_put(&chunks, 0);
	CHECK_EQUAL(zrx_chunk_take(&chunks), 0);
	CHECK_EQUAL(chunks.chunks[0].position, 0);
	CHECK_EQUAL(zrx_chunk_take(&chunks), 1);
	zrx_chunks_close(&chunks);
	CHECK(!chunks.free && !chunks.total);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "chunk.h"

int main(void)
{
	struct zrx_chunks chunks = {0};

	CHECK_EQUAL(zrx_chunks_open(&chunks, 3, 8), 0);
	CHECK_EQUAL(chunks.free_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_EQUAL(zrx_chunk_take(&chunks), i);
	CHECK_EQUAL(chunks.free_count, 0);

	/* Free only when everyone has let go. */
	chunks.chunks[1].references = 3;
	zrx_chunk_put(&chunks, 1);
	zrx_chunk_put(&chunks, 1);
	CHECK_EQUAL(chunks.free_count, 0);
	zrx_chunk_put(&chunks, 1);
	CHECK_EQUAL(chunks.free_count, 1);

	/* The last released is the first used, and begins anew. */
	chunks.chunks[0].position = 77;
	chunks.chunks[0].references = 1;
	zrx_chunk_put(&chunks, 0);
	CHECK_EQUAL(zrx_chunk_take(&chunks), 0);
	CHECK_EQUAL(chunks.chunks[0].position, 0);
	CHECK_EQUAL(zrx_chunk_take(&chunks), 1);

	/* Those that are new lie below those that were in use. */
	zrx_chunk_free(&chunks, 1);
	zrx_chunks_extend(&chunks, 8);
	CHECK_EQUAL(chunks.total, 8);
	CHECK_EQUAL(chunks.free_count, 6);
	CHECK_EQUAL(zrx_chunk_take(&chunks), 1);
	for (uint32_t i = 3; i < 8; i++)
		CHECK_EQUAL(zrx_chunk_take(&chunks), i);
	CHECK_EQUAL(chunks.free_count, 0);
	zrx_chunks_close(&chunks);
	CHECK(!chunks.free && !chunks.total);
	return 0;
}

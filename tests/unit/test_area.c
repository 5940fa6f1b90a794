/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "net.h"
#include "area.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES (1u << 20)
#define CHUNK 4096u

static int freed;

static void count_free(void *memory, uint64_t bytes, void *context)
{
	CHECK(context == &freed);
	CHECK_EQUAL(bytes, BYTES);
	CHECK(!munmap(memory, bytes));
	freed++;
}

static struct zrx_options caller_memory(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;

	options.area_bytes = BYTES;
	options.area_kind = ZRX_AREA_CALLER;
	options.area_memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	options.area_free = count_free;
	options.area_context = &freed;
	CHECK(options.area_memory != MAP_FAILED);
	return options;
}

static void test_lives_to_the_last_reference(void)
{
	struct zrx_options options = caller_memory();
	int descriptors = open_descriptors();
	struct zrx_area *area;

	freed = 0;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, NULL), 0);
	CHECK(area->base == options.area_memory);
	CHECK_EQUAL(area->kind, ZRX_AREA_CALLER);
	CHECK_EQUAL(zrx_area_chunks(area), BYTES / CHUNK);
	area->references += 5; /* as buffers that are out */
	zrx_area_put(area, 1);
	zrx_area_put(area, 3);
	CHECK_EQUAL(freed, 0);
	area->base[BYTES - 1] = 1;
	zrx_area_put(area, 2);
	CHECK_EQUAL(freed, 1);
	CHECK_EQUAL(open_descriptors(), descriptors);
}

/* An open that fails later leaves the caller's memory to the caller. */
static void test_abandon_does_not_free(void)
{
	struct zrx_options options = caller_memory();
	struct zrx_area *area;

	freed = 0;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, NULL), 0);
	zrx_area_abandon(area);
	CHECK_EQUAL(freed, 0);
	count_free(options.area_memory, BYTES, &freed);
}

static void test_refusals(void)
{
	struct zrx_options options = caller_memory();
	struct zrx_error error = ZRX_ERROR_INIT;
	int descriptors = open_descriptors();
	void *memory = options.area_memory;
	struct zrx_area *area;

	options.area_memory = (char *)memory + 1;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -EINVAL);
	CHECK_EQUAL(error.stage, ZRX_STAGE_AREA);
	CHECK_SAYS(error.message, "area_memory");
	options.area_memory = NULL;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -EINVAL);
	options.area_kind = ZRX_AREA_DMABUF;
	options.dmabuf_fd = -1;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -EBADF);
	CHECK_SAYS(error.message, "dmabuf_fd");
	options.area_kind = ZRX_AREA_PAGES;
	options.area_bytes = 1ull << 46;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -ENOMEM);
	CHECK(error.hint[0]);
	options.area_kind = ZRX_AREA_HUGETLB;
	options.area_bytes = 3 << 20;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, &error), -EINVAL);
	CHECK_SAYS(error.hint, "2 MiB");
	CHECK_EQUAL(open_descriptors(), descriptors);
	munmap(memory, BYTES);
}

/* The library's own memory begins where huge pages can. */
static void test_anonymous(void)
{
	static const uint32_t kinds[] = {ZRX_AREA_AUTO, ZRX_AREA_THP, ZRX_AREA_PAGES};
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_area *area;

	options.area_bytes = 8 << 20;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		options.area_kind = kinds[i];
		CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, NULL), 0);
		CHECK(area->kind != ZRX_AREA_AUTO);
		if (kinds[i] == ZRX_AREA_PAGES)
			CHECK_EQUAL(area->kind, ZRX_AREA_PAGES);
		CHECK_EQUAL((uintptr_t)area->base % (2 << 20), 0);
		memset(area->base, 1, options.area_bytes);
		zrx_area_put(area, 1);
	}
}

/* Addresses for the most that it may become, memory for what it is: as far as it is used. */
static void test_growth(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_area *area;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char there;
	uint8_t *base;

	options.area_kind = ZRX_AREA_PAGES;
	options.area_bytes = BYTES;
	options.area_max_bytes = 8 * BYTES;
	CHECK_EQUAL(zrx_area_open(&area, &options, CHUNK, NULL), 0);
	CHECK_EQUAL(area->bytes, BYTES);
	CHECK_EQUAL(zrx_area_chunks(area), BYTES / CHUNK);
	CHECK_EQUAL(zrx_area_chunks_most(area), 8 * BYTES / CHUNK);
	base = area->base;
	memset(base, 1, BYTES);
	CHECK_EQUAL(zrx_area_take(area, 2 * BYTES), 0);
	memset(base + BYTES, 2, BYTES);
	zrx_area_give_up(area, 2 * BYTES);
	CHECK_EQUAL(base[BYTES - 1], 1);
	CHECK_EQUAL(zrx_area_take(area, 8 * BYTES), 0);
	CHECK_EQUAL(base[BYTES], 0); /* what was given up is gone */
	base[8 * BYTES - 1] = 3;
	zrx_area_put(area, 1);
	CHECK(mincore(base, 1, &there) && errno == ENOMEM);
	CHECK(mincore(base + 8 * BYTES - page, 1, &there) && errno == ENOMEM);
}

int main(void)
{
	test_lives_to_the_last_reference();
	test_abandon_does_not_free();
	test_refusals();
	test_anonymous();
	test_growth();
	return 0;
}

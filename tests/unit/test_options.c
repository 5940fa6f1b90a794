/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "options.h"

#include <errno.h>
#include <unistd.h>

/* One field that will not do, and the word that the message must hold. */
#define REFUSED(field, value, word)                                                \
	do {                                                                       \
		struct zrx_options given = ZRX_OPTIONS_INIT, checked;              \
		struct zrx_error error = ZRX_ERROR_INIT;                           \
		given.field = value;                                               \
		CHECK_EQUAL(zrx_options_check(&checked, &given, &error), -EINVAL); \
		CHECK_EQUAL(error.stage, ZRX_STAGE_OPTIONS);                       \
		CHECK_SAYS(error.message, word);                                   \
		CHECK(error.hint[0]);                                              \
	} while (0)

static void test_defaults(void)
{
	struct zrx_options checked;

	CHECK_EQUAL(zrx_options_check(&checked, NULL, NULL), 0);
	CHECK_EQUAL(checked.area_bytes, 64 << 20);
	CHECK_EQUAL(checked.ring_entries, 4096);
	CHECK_EQUAL(checked.engine, ZRX_ENGINE_AUTO);
}

static void test_refusals(void)
{
	REFUSED(engine, ZRX_ENGINE_COUNT, "engine");
	REFUSED(flags, 1u << 31, "flags");
	REFUSED(area_kind, ZRX_AREA_DMABUF + 1, "area_kind");
	REFUSED(nic_mode, ZRX_NIC_PREPARED + 1, "nic_mode");
	REFUSED(steer, ZRX_STEER_NONE + 1, "steer");
	REFUSED(steer, ZRX_STEER_PORT, "port");
	REFUSED(steer_port, 65536, "steer_port");
	REFUSED(area_bytes, 4097, "area_bytes");
	REFUSED(area_bytes, 1, "area_bytes");
	REFUSED(area_bytes, 1ull << 60, "area_bytes");
	REFUSED(area_bytes, UINT64_MAX, "area_bytes");
	REFUSED(buffer_bytes, 65537, "buffer_bytes");
	REFUSED(buffer_bytes, 16, "buffer_bytes");
	REFUSED(buffer_bytes, 1u << 31, "buffer_bytes");
	REFUSED(buffer_bytes, 1u << 27, "area_bytes"); /* more than the default area */
	REFUSED(ring_entries, 32769, "ring_entries");
	REFUSED(refill_entries, 32769, "refill_entries");
	REFUSED(engine, ZRX_ENGINE_ZCRX, "interface");
	REFUSED(flags, ZRX_QUEUE, "interface");
	REFUSED(reserved, 1, "reserved");
	REFUSED(busy_poll_us, 1000001, "busy_poll_us");
}

/* area_max_bytes of an area of 64 MiB. */
static void test_growth(void)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	struct zrx_options given = ZRX_OPTIONS_INIT, checked;
	struct zrx_error error = ZRX_ERROR_INIT;

	REFUSED(area_max_bytes, (64 << 20) + 1, "area_max_bytes");
	REFUSED(area_max_bytes, 1ull << 60, "area_max_bytes");
	given.area_bytes = 64 << 20;
	given.area_max_bytes = 63 << 20;
	CHECK_EQUAL(zrx_options_check(&checked, &given, &error), -EINVAL);
	CHECK_SAYS(error.message, "area_max_bytes: 66060288");
	CHECK_SAYS(error.hint, "67108864");
	given.area_max_bytes = (64u << 20) + page;
	given.buffer_bytes = 2 * page;
	CHECK_EQUAL(zrx_options_check(&checked, &given, &error), -EINVAL);
	CHECK_SAYS(error.message, "area_max_bytes");
	given.buffer_bytes = 0;
	CHECK_EQUAL(zrx_options_check(&checked, &given, &error), 0);
	for (uint32_t kind = ZRX_AREA_CALLER; kind <= ZRX_AREA_DMABUF; kind++) {
		given.area_kind = kind;
		CHECK_EQUAL(zrx_options_check(&checked, &given, &error), -EINVAL);
		CHECK_SAYS(error.message, "area_max_bytes");
	}
}

/* What is not named is no larger than the area may become. */
static void test_growth_from_default(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT, checked;

	given.area_max_bytes = 8 << 20;
	CHECK_EQUAL(zrx_options_check(&checked, &given, NULL), 0);
	CHECK_EQUAL(checked.area_bytes, 8 << 20);
	given.area_max_bytes = 128 << 20;
	CHECK_EQUAL(zrx_options_check(&checked, &given, NULL), 0);
	CHECK_EQUAL(checked.area_bytes, 64 << 20);
}

/* A caller built against another version of the header. */
static void test_other_sizes(void)
{
	struct {
		struct zrx_options options;
		uint64_t tail;
	} newer = {ZRX_OPTIONS_INIT, 0};
	struct zrx_options older = ZRX_OPTIONS_INIT, checked;

	newer.options.size = sizeof(newer);
	CHECK_EQUAL(zrx_options_check(&checked, &newer.options, NULL), 0);
	newer.tail = 1ull << 63;
	CHECK_EQUAL(zrx_options_check(&checked, &newer.options, NULL), -E2BIG);
	older.size = offsetof(struct zrx_options, area_bytes);
	older.area_bytes = 12345; /* beyond what it says it has */
	older.engine = ZRX_ENGINE_RECV;
	CHECK_EQUAL(zrx_options_check(&checked, &older, NULL), 0);
	CHECK_EQUAL(checked.area_bytes, 64 << 20);
	CHECK_EQUAL(checked.engine, ZRX_ENGINE_RECV);
	older.size = 0;
	CHECK_EQUAL(zrx_options_check(&checked, &older, NULL), -EINVAL);
}

static void test_chunk_fits_the_area(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	long page = sysconf(_SC_PAGESIZE);

	options.area_bytes = 64 << 20;
	CHECK_EQUAL(zrx_options_copy_chunk(&options), 64 << 10);
	options.area_bytes = 256 << 10;
	CHECK_EQUAL(zrx_options_copy_chunk(&options), page > 16 << 10 ? page : 16 << 10);
	options.buffer_bytes = 128 << 10;
	CHECK_EQUAL(zrx_options_copy_chunk(&options), 128 << 10);
}

int main(void)
{
	test_defaults();
	test_refusals();
	test_growth();
	test_growth_from_default();
	test_other_sizes();
	test_chunk_fits_the_area();
	return 0;
}

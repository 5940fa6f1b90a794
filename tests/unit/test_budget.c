/* SPDX-License-Identifier: MIT */
#include "budget.h"
#include "check.h"

#include <errno.h>

#define PAGE     4096u
#define KIB      1024u
#define MIB      (1024u * KIB)
#define CHUNKS   16384u /* 64 MiB */
#define STANDING 2048u  /* 2048 descriptors */
#define MANY     1000u

static uint32_t pins(uint32_t bytes)
{
	return bytes / PAGE + 16;
}

static struct zrx_budget opened(uint32_t chunks, uint32_t standing)
{
	struct zrx_budget budget;

	zrx_budget_open(&budget, PAGE, 0, chunks, standing);
	return budget;
}

/* All parts together are the area; receive buffers never take more than their half. */
static void test_sums(uint32_t chunks, uint32_t standing)
{
	struct zrx_budget budget = opened(chunks, standing);
	uint32_t free = chunks - standing - zrx_budget_headroom(&budget), reserved = 0, bytes;

	CHECK_EQUAL(zrx_budget_pool(&budget), free / 2);
	CHECK_EQUAL(zrx_budget_views(&budget), free - free / 2);
	while ((bytes = zrx_budget_take(&budget, 0))) {
		CHECK(bytes >= 256 * KIB && bytes <= 6 * MIB);
		reserved += pins(bytes);
		CHECK_EQUAL(budget.reserved, reserved);
	}
	CHECK(reserved <= free / 2);
	CHECK(free / 2 - reserved < pins(256 * KIB));
}

/* Each takes a part of what is left, so that the last ones find some. */
static void test_shares(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);
	uint32_t bytes[MANY], count = 0;

	CHECK_EQUAL(zrx_budget_headroom(&budget), 2048);
	CHECK_EQUAL(zrx_budget_pool(&budget), 6144);
	while ((bytes[count] = zrx_budget_take(&budget, 0)))
		count++;
	CHECK_EQUAL(bytes[0], (6144 / 16 - 16) * PAGE);
	for (uint32_t i = 1; i < count; i++)
		CHECK(bytes[i] <= bytes[i - 1]);
	CHECK_EQUAL(budget.shares, count);
	CHECK(count >= 38 && count <= 76);

	/* What one leaves is there for the next one. */
	zrx_budget_give(&budget, bytes[0]);
	CHECK(zrx_budget_take(&budget, 0) >= 256 * KIB);
	for (uint32_t i = 1; i < count; i++)
		zrx_budget_give(&budget, bytes[i]);
	CHECK_EQUAL(budget.shares, 1);
}

static void test_ceiling(void)
{
	struct zrx_budget budget = opened(1u << 20, STANDING);

	CHECK_EQUAL(zrx_budget_headroom(&budget), (1u << 20) / 8);
	CHECK_EQUAL(zrx_budget_take(&budget, 0), 6 * MIB);
}

/* Large pages may come in pieces; large buffers that were asked for do not. */
static void test_charge(void)
{
	struct zrx_budget pages, buffers;

	zrx_budget_open(&pages, 65536, 0, CHUNKS, STANDING);
	zrx_budget_open(&buffers, 32768, 1, CHUNKS, STANDING);
	CHECK_EQUAL(zrx_budget_take(&pages, 0), (6144 / 16 - 16) * PAGE);
	CHECK_EQUAL(zrx_budget_take(&buffers, 0), 6 * MIB);
	CHECK_EQUAL(buffers.reserved, 6 * MIB / 32768 + 16);
}

/* Who has a buffer of his own keeps it, as long as others find some beside it. */
static void test_own(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);

	CHECK_EQUAL(zrx_budget_take(&budget, 8 * MIB), 8 * MIB);
	CHECK_EQUAL(budget.reserved, pins(8 * MIB));
	CHECK(zrx_budget_take(&budget, 12 * MIB) < 3 * MIB); /* more than half of the rest */
	CHECK(zrx_budget_take(&budget, 64 * KIB) > 256 * KIB);
	CHECK_EQUAL(zrx_budget_grow(&budget, 8 * MIB), 0);
}

static void test_growth(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);
	uint32_t bytes[MANY], count = 0, last, grown;

	while ((bytes[count] = zrx_budget_take(&budget, 0)))
		count++;
	last = bytes[count - 1];
	CHECK_EQUAL(zrx_budget_grow(&budget, last), 0);
	CHECK(!zrx_budget_may_grow(&budget));
	zrx_budget_give(&budget, last);
	CHECK(!zrx_budget_may_grow(&budget)); /* a little */
	CHECK_EQUAL(zrx_budget_take(&budget, 0), last);
	for (uint32_t i = 0; i < count - 1; i++)
		zrx_budget_give(&budget, bytes[i]);
	CHECK(zrx_budget_may_grow(&budget));
	CHECK(!zrx_budget_may_grow(&budget)); /* seen */
	grown = zrx_budget_grow(&budget, last);
	CHECK(grown >= 2 * last);
	CHECK_EQUAL(budget.shares, 1);
	CHECK_EQUAL(budget.reserved, pins(grown));
	/* As large as the first of all was. */
	CHECK_EQUAL(grown, bytes[0]);
	CHECK_EQUAL(zrx_budget_grow(&budget, grown), 0);
	CHECK_EQUAL(zrx_budget_take(&budget, 0), (5760 / 16 - 16) * PAGE);
	zrx_budget_give(&budget, (5760 / 16 - 16) * PAGE);
	/* The kernel granted less. */
	zrx_budget_correct(&budget, grown, MIB);
	CHECK_EQUAL(budget.reserved, pins(MIB));
	zrx_budget_give(&budget, MIB);
	CHECK_EQUAL(budget.reserved, 0);
	CHECK_EQUAL(budget.shares, 0);
}

/* Those that stay have as much as the first of all; whoever comes finds most of the pool. */
static void test_growth_of_many(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);
	uint32_t bytes[MANY], count = 0, few = 6;

	while ((bytes[count] = zrx_budget_take(&budget, 0)))
		count++;
	for (uint32_t i = 0; i < count - few; i++)
		zrx_budget_give(&budget, bytes[i]);
	for (uint32_t i = count - few; i < count; i++) {
		CHECK_EQUAL(bytes[i], 256 * KIB);
		CHECK_EQUAL(zrx_budget_grow(&budget, bytes[i]),
			    (384 - 16) * PAGE); /* as the first of all */
	}
	CHECK_EQUAL(budget.reserved, few * 384);
	CHECK_EQUAL(zrx_budget_take(&budget, 0), ((6144 - few * 384) / 16 - 16) * PAGE);
}

/* A small area has a small headroom; the smallest have no budget, and refuse nobody. */
static void test_small(void)
{
	struct zrx_budget budget = opened(2048, 512);

	CHECK_EQUAL(zrx_budget_headroom(&budget), 384);
	CHECK(!zrx_budget_is_idle(&budget));
	CHECK_EQUAL(zrx_budget_take(&budget, 0), 256 * KIB);
	budget = opened(512, 320);
	CHECK(zrx_budget_is_idle(&budget));
	CHECK_EQUAL(zrx_budget_take(&budget, 0), 0);
	CHECK_EQUAL(zrx_budget_views(&budget), 256);
	budget = opened(512, 2048); /* ZRX_SMALL_AREA */
	CHECK(zrx_budget_is_idle(&budget));
	CHECK_EQUAL(zrx_budget_pool(&budget), 0);
	CHECK_EQUAL(zrx_budget_views(&budget), 256);
}

/* A grown area has room for more. */
static void test_resize(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);

	while (zrx_budget_take(&budget, 0))
		continue;
	zrx_budget_resize(&budget, 2 * CHUNKS);
	CHECK(zrx_budget_take(&budget, 0));
}

/* An area of so many chunks has that many shares, and one of a fourth less has not. */
static void check_would_do(const struct zrx_budget *refused)
{
	uint32_t chunks = zrx_budget_chunks_for_one_more(refused), wanted = refused->shares + 1;
	struct zrx_budget other = *refused;

	CHECK(chunks > refused->chunks);
	CHECK(chunks <= 2 * refused->chunks);
	zrx_budget_resize(&other, chunks);
	CHECK(zrx_budget_take(&other, 0)); /* beside those that are out */
	other = opened(chunks, refused->standing);
	for (uint32_t i = 0; i < wanted; i++)
		CHECK(zrx_budget_take(&other, 0)); /* and from the start */
}

static void test_refusal(void)
{
	struct zrx_budget budget = opened(CHUNKS, STANDING);
	struct zrx_error error = ZRX_ERROR_INIT;
	char number[32];

	while (zrx_budget_take(&budget, 0))
		continue;
	check_would_do(&budget);
	CHECK_EQUAL(zrx_budget_refuse(&budget, &error), -ENOBUFS);
	CHECK_EQUAL(error.code, -ENOBUFS);
	CHECK_EQUAL(error.stage, ZRX_STAGE_SOCKET);
	CHECK(strlen(error.message) < sizeof(error.message) - 1);
	CHECK_SAYS(error.message, "of 16384 chunks of 4096 bytes 2048 are standing, 2048 headroom");
	CHECK_SAYS(error.message, "one more takes 80");
	snprintf(number, sizeof(number), "area_bytes %llu",
		 zrx_budget_chunks_for_one_more(&budget) * 4096ull);
	CHECK_SAYS(error.hint, number);
}

int main(void)
{
	static const uint32_t areas[] = {1024, 2048, 8192, CHUNKS, 100000, 1u << 22};

	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
		test_sums(areas[i], 0);
		test_sums(areas[i], areas[i] / 4);
	}
	test_shares();
	test_ceiling();
	test_charge();
	test_own();
	test_growth();
	test_growth_of_many();
	test_small();
	test_resize();
	test_refusal();
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "parts.h"
#include "uapi.h"

#include <errno.h>

#define PAGE 4096u

static uint64_t token(uint64_t id)
{
	return id << ZRX_UAPI_AREA_SHIFT;
}

/* There and back. */
static void check_at(const struct zrx_parts *parts, uint64_t linear, uint64_t offset)
{
	CHECK_EQUAL(zrx_parts_offset(parts, linear), offset);
	CHECK_EQUAL(zrx_parts_linear(parts, offset), linear);
}

static void test_one(void)
{
	struct zrx_parts parts = {.token = token(3), .end = 2 * PAGE};

	check_at(&parts, 0, token(3));
	check_at(&parts, 2 * PAGE - 1, token(3) + 2 * PAGE - 1);
	CHECK_EQUAL(zrx_parts_end(&parts), 2 * PAGE);
}

/* Ids need not ascend; offsets of each part begin at its token. */
static void test_several(void)
{
	struct zrx_parts parts = {.token = token(0), .end = 2 * PAGE};

	zrx_parts_add(&parts, 3 * PAGE, token(7));
	zrx_parts_add(&parts, 9 * PAGE, token(1));
	zrx_parts_add(&parts, 10 * PAGE, token(0xffff));
	CHECK_EQUAL(zrx_parts_end(&parts), 10 * PAGE);
	check_at(&parts, PAGE, PAGE);
	check_at(&parts, 2 * PAGE, token(7));
	check_at(&parts, 3 * PAGE - 1, token(7) + PAGE - 1);
	check_at(&parts, 3 * PAGE, token(1));
	check_at(&parts, 8 * PAGE + 5, token(1) + 5 * PAGE + 5);
	check_at(&parts, 9 * PAGE, token(0xffff));
	check_at(&parts, 10 * PAGE - 1, token(0xffff) + PAGE - 1);
}

static void test_full(void)
{
	struct zrx_parts parts = {.end = PAGE};

	for (uint64_t i = 1; i <= ZRX_PARTS_MAX; i++) {
		CHECK_EQUAL(zrx_parts_room(&parts), 0);
		zrx_parts_add(&parts, (i + 1) * PAGE, token(i));
	}
	CHECK_EQUAL(zrx_parts_room(&parts), -ENOSPC);
	for (uint64_t i = 0; i <= ZRX_PARTS_MAX; i++)
		check_at(&parts, i * PAGE, token(i));
}

int main(void)
{
	test_one();
	test_several();
	test_full();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Callers and libraries of different releases: structs of one size are filled from structs of
 * another. */
#include "check.h"
#include "../../kernel/check.h"
#include "error.h"

#include <errno.h>
#include <stddef.h>

#define GUARD 0x5555555555555555u

/* What a later release makes of a struct: a field is appended. */
struct later_stats {
	struct zrx_stats first;
	uint64_t appended;
};

struct later_capabilities {
	struct zrx_capabilities first;
	uint64_t appended;
};

/* A caller of this release, a library of the next. */
static void test_older_caller(void)
{
	struct later_stats from = {{.size = sizeof(from), .stall = 2, .bytes = 3, .wakes = 4}, 5};
	struct later_stats to = {{.size = sizeof(to.first)}, GUARD};

	CHECK_EQUAL(zrx_copy_out(&to, &from, sizeof(from)), 0);
	CHECK_EQUAL(to.first.size, sizeof(to.first));
	CHECK_EQUAL(to.first.stall, 2);
	CHECK_EQUAL(to.first.bytes, 3);
	CHECK_EQUAL(to.first.wakes, 4);
	CHECK(to.appended == GUARD);
}

/* The other way round: what the library does not know stays as the caller set it. */
static void test_newer_caller(void)
{
	struct zrx_stats from = {.size = sizeof(from), .bytes = 3, .wakes = 4};
	struct later_stats to = {{.size = sizeof(to)}, GUARD};

	CHECK_EQUAL(zrx_copy_out(&to, &from, sizeof(from)), 0);
	CHECK_EQUAL(to.first.size, sizeof(to));
	CHECK_EQUAL(to.first.wakes, 4);
	CHECK(to.appended == GUARD);
}

/* The same of a struct with checks, of which there may be more than the caller has room for. */
static void test_checks(uint32_t room)
{
	struct zrx_check known[3] = {{.name = "one"}, {.name = "two"}, {.name = "three"}};
	struct zrx_check checks[4];
	struct later_capabilities from = {{sizeof(from), 3, known, 3, 1, 2, 4096, 0x70300, 0}, 5};
	struct later_capabilities to = {{.size = sizeof(to.first)}, GUARD};

	memset(checks, 0x55, sizeof(checks));
	to.first.check_capacity = room;
	to.first.checks = checks;
	CHECK_EQUAL(zrx_check_copy_out(&to, &from, sizeof(from)), 0);
	CHECK_EQUAL(to.first.size, sizeof(to.first));
	CHECK_EQUAL(to.first.check_capacity, room);
	CHECK(to.first.checks == checks);
	CHECK_EQUAL(to.first.check_count, 3);
	CHECK_EQUAL(to.first.engines, 1);
	CHECK_EQUAL(to.first.kernel_version, 0x70300);
	CHECK(to.appended == GUARD);
	for (uint32_t i = 0; i < 4; i++)
		CHECK(i < room && i < 3 ? !memcmp(&checks[i], &known[i], sizeof(known[i]))
					: (unsigned char)checks[i].name[0] == 0x55);
}

static void test_no_checks(void)
{
	struct zrx_check known = {.name = "one"};
	struct zrx_capabilities from = {.size = sizeof(from), .checks = &known, .check_count = 1};
	struct zrx_capabilities to = {.size = sizeof(to), .check_capacity = 7};

	from.engines = 9;
	CHECK_EQUAL(zrx_check_copy_out(&to, &from, sizeof(from)), 0);
	CHECK(!to.checks);
	CHECK_EQUAL(to.check_count, 1);
	CHECK_EQUAL(to.engines, 9);
	to.size = offsetof(struct zrx_capabilities, check_count);
	CHECK_EQUAL(zrx_check_copy_out(&to, &from, sizeof(from)), -EINVAL);
	CHECK_EQUAL(zrx_check_copy_out(NULL, &from, sizeof(from)), -EINVAL);
}

/* By the public call: with little room nothing else is lost. */
static void test_probe(void)
{
	struct zrx_check all[ZRX_PROBE_CHECKS], few[3];
	struct zrx_capabilities whole = {.size = sizeof(whole)}, part = {.size = sizeof(part)};

	whole.checks = all;
	whole.check_capacity = ZRX_PROBE_CHECKS;
	memset(few, 0x55, sizeof(few));
	part.checks = few;
	part.check_capacity = 2;
	CHECK_EQUAL(zrx_probe(&whole), 0);
	CHECK_EQUAL(zrx_probe(&part), 0);
	CHECK(whole.check_count > 3 && whole.check_count <= ZRX_PROBE_CHECKS);
	CHECK_EQUAL(part.check_count, whole.check_count);
	CHECK_EQUAL(part.engines, whole.engines);
	CHECK_EQUAL(part.features, whole.features);
	CHECK_EQUAL(part.page_bytes, whole.page_bytes);
	CHECK_EQUAL(part.kernel_version, whole.kernel_version);
	CHECK(!memcmp(few, all, 2 * sizeof(few[0])));
	CHECK_EQUAL((unsigned char)few[2].name[0], 0x55);
}

int main(void)
{
	test_older_caller();
	test_newer_caller();
	for (uint32_t room = 0; room <= 4; room++)
		test_checks(room);
	test_no_checks();
	test_probe();
	return 0;
}

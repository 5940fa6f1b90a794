/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "place.h"

#include <sched.h>

static void test_lists(void)
{
	struct zrx_processors set;

	CHECK_EQUAL(zrx_processors_parse("0-3,8,10-11\n", &set), 7);
	CHECK(zrx_processors_has(&set, 0) && zrx_processors_has(&set, 3));
	CHECK(!zrx_processors_has(&set, 4) && zrx_processors_has(&set, 8));
	CHECK(!zrx_processors_has(&set, 9) && zrx_processors_has(&set, 11));
	CHECK(!zrx_processors_has(&set, 1u << 20));
	CHECK_EQUAL(zrx_processors_parse("5", &set), 1);
	CHECK_EQUAL(zrx_processors_parse("\n", &set), 0);
	CHECK_EQUAL(zrx_processors_parse("", &set), 0);
	/* Beyond what there is room for. */
	CHECK_EQUAL(zrx_processors_parse("1022-5000,9000", &set), 2);
}

static void test_sets(void)
{
	struct zrx_processors a, b, both, less;

	zrx_processors_parse("0-9", &a);
	zrx_processors_parse("8-20", &b);
	both = zrx_processors_common(&a, &b);
	CHECK_EQUAL(zrx_processors_count(&both), 2);
	CHECK(zrx_processors_has(&both, 8) && zrx_processors_has(&both, 9));
	less = zrx_processors_without(&a, &b);
	CHECK_EQUAL(zrx_processors_count(&less), 8);
	CHECK(!zrx_processors_has(&less, 8));
}

static void test_here(void)
{
	struct zrx_processors allowed, node;
	cpu_set_t set;

	CHECK(!sched_getaffinity(0, sizeof(set), &set));
	zrx_place_allowed(&allowed);
	CHECK_EQUAL(zrx_processors_count(&allowed), CPU_COUNT(&set));
	CHECK_EQUAL(zrx_place_node(-1, &node), 0);
	CHECK_EQUAL(zrx_place_node(100000, &node), 0);
	CHECK_EQUAL(zrx_place_interface("lo"), -1);
	CHECK_EQUAL(zrx_place_interface("no-such-nic"), -1);
	CHECK_EQUAL(zrx_place_interface("../../evil"), -1);
	CHECK_EQUAL(zrx_place_interrupt(0), -1);
	CHECK_EQUAL(zrx_place_interrupt(4000000000u), -1);
}

int main(void)
{
	test_lists();
	test_sets();
	test_here();
	return 0;
}

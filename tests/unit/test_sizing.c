/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "options.h"
#include "sizing.h"

#include <errno.h>

#define MIB (1ull << 20)

/* What a queue with 2044 descriptors of a page would tell. */
static const struct zrx_nic_demand demand = {
	.size = sizeof(demand),
	.ring_entries = 2044,
	.chunk_bytes = 4096,
	.demand_bytes = 2044 * 4096ull + 128 * 4096ull,
	.area_bytes = 64 * MIB,
	.arithmetic = "2044 x 4 KiB of descriptors",
};

/* As the caller gives them, checked, and then decided. */
static struct zrx_options decided(struct zrx_options given, const struct zrx_nic_demand *of,
				  int expected, struct zrx_error *error)
{
	struct zrx_options checked;

	given.interface = "eth9";
	CHECK_EQUAL(zrx_options_check(&checked, &given, error), 0);
	CHECK_EQUAL(zrx_sizing_decide(&checked, of, error), expected);
	return checked;
}

static void test_defaults(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT, checked;
	struct zrx_nic_demand large = demand;

	checked = decided(given, &demand, 0, NULL);
	CHECK_EQUAL(checked.area_bytes, 64 * MIB);
	CHECK_EQUAL(checked.ring_entries, 4096);
	large.ring_entries = 2049;
	large.area_bytes = 178 * MIB;
	large.demand_bytes = 128 * MIB;
	checked = decided(given, &large, 0, NULL);
	CHECK_EQUAL(checked.area_bytes, 178 * MIB);
	CHECK_EQUAL(checked.ring_entries, 8192);
	large.ring_entries = 100000;
	CHECK_EQUAL(decided(given, &large, 0, NULL).ring_entries, 32768);
}

/* What the caller names stays. */
static void test_explicit(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT, checked;

	given.area_bytes = 9 * MIB;
	given.ring_entries = 512;
	checked = decided(given, &demand, 0, NULL);
	CHECK_EQUAL(checked.area_bytes, 9 * MIB);
	CHECK_EQUAL(checked.ring_entries, 512);
	given.area_bytes = demand.demand_bytes;
	decided(given, &demand, 0, NULL);
}

static void test_refusal(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;

	given.area_bytes = 8 * MIB;
	decided(given, &demand, -ENOBUFS, &error);
	CHECK_EQUAL(error.code, -ENOBUFS);
	CHECK_EQUAL(error.stage, ZRX_STAGE_AREA);
	CHECK_SAYS(error.message, "eth9: area_bytes 8388608");
	CHECK_SAYS(error.message, "2044 x 4 KiB of descriptors");
	CHECK_SAYS(error.hint, "67108864");
	CHECK_SAYS(error.hint, "8896512");
	CHECK_SAYS(error.hint, "ethtool -G eth9");
	CHECK_SAYS(error.hint, "ZRX_SMALL_AREA");
	given.flags = ZRX_SMALL_AREA;
	CHECK_EQUAL(decided(given, &demand, 0, NULL).area_bytes, 8 * MIB);
}

/* Memory that is the caller's is as large as it is; growth bounds what is taken by default. */
static void test_bounds(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT;
	struct zrx_nic_demand large = demand;

	large.area_bytes = 178 * MIB;
	large.demand_bytes = 60 * MIB;
	given.area_kind = ZRX_AREA_CALLER;
	CHECK_EQUAL(decided(given, &large, 0, NULL).area_bytes, 64 * MIB);
	given.area_kind = ZRX_AREA_DMABUF;
	CHECK_EQUAL(decided(given, &large, 0, NULL).area_bytes, 64 * MIB);
	large.demand_bytes = 65 * MIB;
	decided(given, &large, -ENOBUFS, NULL);
	given.area_kind = ZRX_AREA_AUTO;
	given.area_max_bytes = 100 * MIB;
	CHECK_EQUAL(decided(given, &large, 0, NULL).area_bytes, 100 * MIB);
}

/* An interface that tells nothing is no reason to refuse, nor to enlarge. */
static void test_unknown(void)
{
	struct zrx_options given = ZRX_OPTIONS_INIT, checked;
	uint64_t bytes = 1;

	given.interface = "lo";
	given.area_bytes = 2 * MIB;
	CHECK_EQUAL(zrx_options_check(&checked, &given, NULL), 0);
	CHECK_EQUAL(zrx_sizing_apply(&checked, &bytes, NULL), 0);
	CHECK_EQUAL(bytes, 0);
	CHECK_EQUAL(checked.area_bytes, 2 * MIB);
	CHECK_EQUAL(checked.ring_entries, 4096);
	checked.interface = "there-is-none";
	CHECK_EQUAL(zrx_sizing_apply(&checked, &bytes, NULL), 0);
}

/* All engines tell where the area lies, and how far it may grow. */
static void test_info(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_info info = ZRX_INFO_INIT;
	struct zrx_receiver *receiver;

	options.engine = ZRX_ENGINE_RECV;
	options.area_bytes = 4 * MIB;
	options.window_bytes = 1 * MIB;
	CHECK_EQUAL(zrx_receiver_open(&receiver, &options, NULL), 0);
	CHECK_EQUAL(zrx_receiver_info(receiver, &info), 0);
	CHECK(info.area_base);
	CHECK_EQUAL(info.area_max_bytes, 4 * MIB);
	CHECK_EQUAL(info.window_bytes, 1 * MIB);
	CHECK_EQUAL(info.demand_bytes, 0);
	CHECK_EQUAL(zrx_receiver_close(receiver), 0);
}

static void test_public_call(void)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_nic_demand found = {.size = sizeof(found)};
	struct zrx_error error = ZRX_ERROR_INIT;

	CHECK_EQUAL(zrx_nic_demand(&options, NULL, &error), -EINVAL);
	CHECK_EQUAL(zrx_nic_demand(&options, &found, &error), -ENODEV);
	options.interface = "there-is-none";
	CHECK_EQUAL(zrx_nic_demand(&options, &found, &error), -ENODEV);
	options.interface = "lo";
	CHECK_EQUAL(zrx_nic_demand(&options, &found, &error), -EOPNOTSUPP);
	CHECK_EQUAL(error.stage, ZRX_STAGE_NIC);
	CHECK_SAYS(error.message, "lo");
	CHECK(error.hint[0]);
}

int main(void)
{
	test_defaults();
	test_explicit();
	test_refusal();
	test_bounds();
	test_unknown();
	test_info();
	test_public_call();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* The standing demand of a queue: each driver's formula by a table of values, and how it is read.
 */
#include <errno.h>

#include "check.h"
#include "fake_nic.h"
#include "nic/demand.h"
#include "nic/inspect.h"

#define KIB 1024u
#define MIB (1024u * KIB)

struct demand_case {
	struct zrx_demand_facts facts;
	uint64_t descriptor_bytes;
	uint64_t pool_bytes;
	uint32_t chunk_bytes;
	uint32_t descriptors;
};

/* driver, page, rx, jumbo, buf_len, split, mtu, buffer_bytes */
/* clang-format off */
static const struct demand_case cases[] = {
	/* Measured in the rig on 7.3: 2048 chunks with 511 descriptors, of which 4 are in the pool.
	 */
	{{"bnxt_en", 4096, 511, 2044, 0, ZRX_SPLIT_ON, 4168, 0}, 2044 * 4 * KIB, 768 * KIB, 4096, 2044},
	{{"bnxt_en", 4096, 511, 0, 0, ZRX_SPLIT_OFF, 1500, 0}, 2044 * 4 * KIB, 768 * KIB, 4096, 2044},
	/* A ring that jumbo packets alone have made is longer once there is split. */
	{{"bnxt_en", 4096, 511, 1022, 0, ZRX_SPLIT_ON, 5000, 0}, 2044 * 4 * KIB, 768 * KIB, 4096, 2044},
	{{"bnxt_en", 4096, 256, 1024, 0, ZRX_SPLIT_ON, 9000, 0}, 4 * MIB, 768 * KIB, 4096, 1024},
	{{"bnxt_en", 4096, 2047, 8188, 0, ZRX_SPLIT_ON, 1500, 0}, 8188 * 4 * KIB, 768 * KIB, 4096, 8188},
	/* The driver shortens it when split comes. */
	{{"bnxt_en", 4096, 8191, 0, 0, ZRX_SPLIT_OFF, 1500, 0}, 8188 * 4 * KIB, 768 * KIB, 4096, 8188},
	/* Larger buffers, so many fewer. */
	{{"bnxt_en", 4096, 511, 2044, 0, ZRX_SPLIT_ON, 9000, 8 * KIB}, 1022 * 8 * KIB, 1536 * KIB, 8 * KIB, 2044},
	{{"bnxt_en", 4096, 511, 2044, 0, ZRX_SPLIT_ON, 9000, 32 * KIB}, 255 * 32 * KIB, 6 * MIB, 32 * KIB, 2044},
	{{"bnxt_en", 4096, 511, 2044, 0, ZRX_SPLIT_ON, 9000, 64 * KIB}, 2044 * 4 * KIB, 768 * KIB, 4096, 2044},
	{{"bnxt_en", 65536, 256, 512, 0, ZRX_SPLIT_ON, 1500, 0}, 16 * MIB, 768 * KIB, 64 * KIB, 512},

	{{"gve", 4096, 512, 0, 4096, ZRX_SPLIT_ON, 1460, 0}, 511 * 4 * KIB, 768 * KIB, 4096, 512},
	{{"gve", 4096, 1024, 0, 2048, ZRX_SPLIT_ON, 1460, 0}, 2 * MIB, 768 * KIB, 4096, 1024},
	/* What it is before split is no promise; nor before the driver told. */
	{{"gve", 4096, 1024, 0, 2048, ZRX_SPLIT_OFF, 1460, 0}, 1023 * 4 * KIB, 768 * KIB, 4096, 1024},
	{{"gve", 4096, 4096, 0, 0, ZRX_SPLIT_ON, 8900, 0}, 4095 * 4 * KIB, 768 * KIB, 4096, 4096},
	{{"gve", 4096, 512, 0, 4096, ZRX_SPLIT_ON, 1460, 32 * KIB}, 511 * 4 * KIB, 768 * KIB, 4096, 512},

	/* Measured on a model with 6.18 to 7.3: entries of 256 KiB, one fewer than there is room
	   for. */
	{{"mlx5_core", 4096, 512, 0, 0, ZRX_SPLIT_ON, 1500, 0}, 768 * KIB, 1536 * KIB, 4096, 512},
	{{"mlx5_core", 4096, 1024, 0, 0, ZRX_SPLIT_ON, 1500, 0}, 1792 * KIB, 1536 * KIB, 4096, 1024},
	{{"mlx5_core", 4096, 8192, 0, 0, ZRX_SPLIT_ON, 1500, 0}, 16128 * KIB, 1536 * KIB, 4096, 8192},
	{{"mlx5_core", 4096, 64, 0, 0, ZRX_SPLIT_ON, 4168, 0}, 768 * KIB, 1536 * KIB, 4096, 64},
	{{"mlx5_core", 4096, 1024, 0, 0, ZRX_SPLIT_ON, 4168, 0}, 7936 * KIB, 1536 * KIB, 4096, 1024},
	{{"mlx5_core", 4096, 8192, 0, 0, ZRX_SPLIT_ON, 4168, 0}, 65280 * KIB, 1536 * KIB, 4096, 8192},
	{{"mlx5_core", 4096, 256, 0, 0, ZRX_SPLIT_ON, 9000, 0}, 3840 * KIB, 1536 * KIB, 4096, 256},
	{{"mlx5_core", 4096, 4096, 0, 0, ZRX_SPLIT_ON, 9000, 0}, 65280 * KIB, 1536 * KIB, 4096, 4096},
	{{"mlx5_core", 4096, 8192, 0, 0, ZRX_SPLIT_ON, 9000, 0}, 130816 * KIB, 1536 * KIB, 4096, 8192},
	{{"mlx5_core", 4096, 1024, 0, 0, ZRX_SPLIT_ON, 9000, 64 * KIB}, 16128 * KIB, 13056 * KIB, 64 * KIB, 1024},

	{{"fbnic", 4096, 256, 1024, 0, ZRX_SPLIT_ON, 1500, 0}, 4 * MIB, 768 * KIB, 4096, 1024},
	{{"fbnic", 65536, 256, 1024, 0, ZRX_SPLIT_ON, 1500, 0}, 4 * MIB, 768 * KIB, 64 * KIB, 1024},

	/* Unknown: the longest packet at each descriptor. */
	{{"other", 4096, 1024, 0, 0, ZRX_SPLIT_ON, 1500, 0}, 4 * MIB, 768 * KIB, 4096, 1024},
	{{"other", 4096, 1024, 0, 0, ZRX_SPLIT_ON, 9000, 0}, 12 * MIB, 768 * KIB, 4096, 1024},
	{{"other", 4096, 1024, 1024, 0, ZRX_SPLIT_ON, 1500, 16 * KIB}, 32 * MIB, 3 * MIB, 16 * KIB, 2048},
};
/* clang-format on */

static void test_formulas(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct demand_case *at = &cases[i];
		struct zrx_nic_demand demand = {0};

		zrx_demand_compute(&at->facts, &demand);
		CHECK(demand.descriptor_bytes == at->descriptor_bytes, "case %zu, %s: %lu", i,
		      at->facts.driver, (unsigned long)demand.descriptor_bytes);
		CHECK(demand.pool_bytes == at->pool_bytes, "case %zu, %s: %lu", i, at->facts.driver,
		      (unsigned long)demand.pool_bytes);
		CHECK(demand.demand_bytes == at->descriptor_bytes + at->pool_bytes, "case %zu", i);
		CHECK(demand.chunk_bytes == at->chunk_bytes, "case %zu: %u", i, demand.chunk_bytes);
		CHECK(demand.ring_entries == at->descriptors, "case %zu: %u", i,
		      demand.ring_entries);
		CHECK(demand.area_bytes >= 64 * MIB && demand.area_bytes % (2 * MIB) == 0 &&
			      demand.area_bytes >= demand.demand_bytes + 48 * MIB,
		      "case %zu: an area of %lu", i, (unsigned long)demand.area_bytes);
		CHECK_HAS(demand.arithmetic, at->facts.driver);
		CHECK(strlen(demand.arithmetic) < sizeof(demand.arithmetic) - 1, "cut off: %s",
		      demand.arithmetic);
	}
}

/* Where a packet takes a whole large buffer, there is room for some thousand all the same. */
static void test_room(void)
{
	struct zrx_demand_facts facts = {"bnxt_en", 4096,         511,  2044,
					 0,         ZRX_SPLIT_ON, 1500, 32 * KIB};
	struct zrx_nic_demand demand;

	zrx_demand_compute(&facts, &demand);
	CHECK((demand.area_bytes - demand.demand_bytes) / (32 * KIB) >= 4096, "%lu",
	      (unsigned long)demand.area_bytes);
	facts.buffer_bytes = 0;
	zrx_demand_compute(&facts, &demand);
	CHECK(demand.area_bytes == 64 * MIB, "%lu", (unsigned long)demand.area_bytes);
}

static void test_words(void)
{
	struct zrx_demand_facts facts = {"bnxt_en", 4096, 511, 2044, 0, ZRX_SPLIT_ON, 4168, 0};
	struct zrx_nic_demand demand;

	zrx_demand_compute(&facts, &demand);
	CHECK(!strcmp(demand.arithmetic, "bnxt_en, MTU 4168: 2044 x 4 KiB of descriptors + 192 x 4 "
					 "KiB of page pool = 8944 KiB"),
	      "%s", demand.arithmetic);
	facts.driver = "mlx5_core";
	facts.rx = 8192;
	facts.mtu = 9000;
	facts.buffer_bytes = 128 * KIB;
	zrx_demand_compute(&facts, &demand);
	CHECK_HAS(demand.arithmetic, "511 x 256 KiB of descriptors");
	CHECK_HAS(demand.arithmetic, "768 KiB of entries used up");
	CHECK_HAS(demand.arithmetic, " KiB"); /* to the end: the sum is not cut off */
	CHECK(strrchr(demand.arithmetic, 'B')[1] == '\0', "%s", demand.arithmetic);
}

static void test_reading(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_nic_demand demand = {0};

	fake->driver = "bnxt_en";
	fake->rx_ring = 511;
	fake->jumbo_ring = 2044;
	fake->mtu = 9000;
	fake->state.hw_gro = 1;
	CHECK(!zrx_demand_read(&fake->base, 0, &demand), "read");
	CHECK(demand.descriptor_bytes == 2044 * 4 * KIB && demand.mtu == 9000 && demand.hw_gro,
	      "%lu", (unsigned long)demand.descriptor_bytes);
	fake->driver = "gve";
	fake->state.split = ZRX_SPLIT_ON;
	fake->buf_len = 2048;
	fake->rx_ring = 512;
	CHECK(!zrx_demand_read(&fake->base, 0, &demand), "read");
	CHECK(demand.descriptor_bytes == 1 * MIB, "%lu", (unsigned long)demand.descriptor_bytes);
	fake->rx_ring = 0;
	CHECK(zrx_demand_read(&fake->base, 0, &demand) == -EOPNOTSUPP, "no rings told");
	fake->no_rings = 1;
	CHECK(zrx_demand_read(&fake->base, 0, &demand) == -EOPNOTSUPP, "no rings");
	fake->gone = 1;
	fake->no_rings = 0;
	CHECK(zrx_demand_read(&fake->base, 0, &demand) < 0, "gone");
	fake_free(fake);
}

/* The report has it, in words; what cannot be told is no check. */
static void test_report(void)
{
	struct fake_nic *fake = fake_new();
	struct zrx_check checks[ZRX_NIC_CHECKS];
	struct zrx_nic_report report = {.checks = checks};
	const struct zrx_check *found = NULL;

	fake->driver = "bnxt_en";
	fake->rx_ring = 511;
	zrx_nic_report_make(&fake->base, 2, &report);
	for (uint32_t i = 0; i < report.check_count; i++)
		if (!strcmp(checks[i].name, "area"))
			found = &checks[i];
	CHECK(found && found->state == ZRX_CHECK_OK, "no check of the area");
	if (found) {
		CHECK_HAS(found->detail, "2044 x 4 KiB of descriptors");
		CHECK_HAS(found->detail, "64 MiB");
	}
	fake->no_rings = 1;
	zrx_nic_report_make(&fake->base, 2, &report);
	for (uint32_t i = 0; i < report.check_count; i++)
		CHECK(strcmp(checks[i].name, "area"), "a check of what is not told");
	CHECK(report.check_count <= ZRX_NIC_CHECKS, "%u", report.check_count);
	fake_free(fake);
}

void test_demand(void)
{
	test_formulas();
	test_room();
	test_words();
	test_reading();
	test_report();
}

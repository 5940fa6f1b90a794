/* SPDX-License-Identifier: MIT */
/*
 * Read in the drivers of Linux 7.3 (drivers/net/ethernet/), and measured where a rig has the NIC
 * (tests/datapath/sizing.c compares with the page pool's own count). A table of it is in
 * kernel/README.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nic/demand.h"
#include "sys.h"

#define FRAME_4K       4096u
#define BNXT_RING_MOST 2047u  /* BNXT_MAX_RX_DESC_CNT_JUM_ENA, pages of 4 KiB */
#define BNXT_AGG_MOST  8191u  /* BNXT_MAX_RX_JUM_DESC_CNT */
#define BNXT_LARGEST   32768u /* BNXT_MAX_RX_PAGE_SIZE */
#define MLX5_ENTRY     (256u << 10)
#define MLX5_ENTRY_LOW 4u /* entries, at least */
#define MLX5_LARGEST   (128u << 10)
#define MLX5_EMPTYING  3u /* entries used up that are not yet posted again */

#define AREA_LEAST     (64ull << 20)
#define AREA_STEP      (2ull << 20)
#define WINDOWS_ROOM   (48ull << 20)
#define WINDOWS_FRAMES 4096ull /* or so many packets, where one takes more than it is long */

/* What the descriptors hold. */
struct demand_held {
	uint32_t count;        /* of what the driver posts */
	uint32_t each;         /* bytes of the area for one */
	uint32_t packet_bytes; /* of the area that a short packet takes; 0: they share */
	uint64_t extra_bytes;  /* out besides, in the driver's own books */
	uint32_t descriptors;  /* pieces that can come, which completions there are for */
};

struct demand_driver {
	const char *name;
	uint32_t largest; /* rx_buf_len that it takes; 0: pages only */
	void (*hold)(const struct zrx_demand_facts *facts, uint32_t chunk,
		     struct demand_held *held);
};

static uint32_t demand_least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t demand_most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t demand_power_of_two(uint32_t value)
{
	uint32_t power = 1;

	while (power < value && power < 1u << 31)
		power *= 2;
	return power;
}

/*
 * broadcom/bnxt/bnxt.c, bnxt_set_ring_params: with header/data split an aggregation ring of
 * min(4, 65536 / page) descriptors for each of the receive ring, more for an MTU above four pages;
 * headers have a pool of their own. bnxt_rx_agg_ring_fill_level: of larger buffers so many fewer
 * are posted, so that the bytes stay. Without split the ring may not be there yet, or shorter.
 */
static void demand_bnxt(const struct zrx_demand_facts *facts, uint32_t chunk,
			struct demand_held *held)
{
	uint32_t page = facts->page_bytes, buffer = demand_least(page, BNXT_LARGEST);
	uint32_t factor = demand_least(4, 65536 / buffer), rx = facts->rx, agg;

	if (facts->mtu > 40)
		factor = demand_most(factor, (facts->mtu - 40 + page - 1) / page);
	if (page == FRAME_4K)
		rx = demand_least(rx, BNXT_RING_MOST);
	agg = demand_most(facts->jumbo, rx * factor);
	if (page == FRAME_4K)
		agg = demand_least(agg, BNXT_AGG_MOST);
	held->each = chunk > buffer && chunk <= BNXT_LARGEST ? chunk : buffer;
	held->count = agg / (held->each / buffer);
	held->packet_bytes = held->each;
	held->descriptors = agg;
}

/*
 * google/gve/gve_rx_dqo.c, gve_rx_post_buffers_dqo: one buffer for each descriptor but one.
 * gve_buffer_mgmt_dqo.c, gve_alloc_from_page_pool: buffers of 2 or 4 KiB (ethtool -g, "RX Buf
 * Len"), as many to a page as it has room for. Until split is on it may be the smaller one.
 */
static void demand_gve(const struct zrx_demand_facts *facts, uint32_t chunk,
		       struct demand_held *held)
{
	uint32_t buffer =
		facts->split == ZRX_SPLIT_ON && facts->buf_len ? facts->buf_len : FRAME_4K;

	(void)chunk;
	held->count = facts->rx ? facts->rx - 1 : 0;
	held->each = buffer * 2 > facts->page_bytes ? facts->page_bytes : buffer;
	held->packet_bytes = held->each;
	held->descriptors = facts->rx;
}

/*
 * mellanox/mlx5/core/en/params.c, mlx5e_mpwqe_get_log_rq_size: entries of 256 KiB
 * (MLX5_MPWRQ_MAX_LOG_WQE_SZ), so many that the packets asked for have room, each in a power of two
 * above MTU, headers and skb; at least four, of which one is never posted (mlx5_wq_ll_missing).
 * Large buffers change nothing. An entry used up keeps its chunks until it is posted again, by twos
 * (mlx5e_post_rx_mpwqes; up to 7.3 that counts in 8 bits and posts at most 255: then it is half as
 * much with the largest ring and frames).
 */
static void demand_mlx5(const struct zrx_demand_facts *facts, uint32_t chunk,
			struct demand_held *held)
{
	uint32_t frame = (facts->mtu + 22 + 64 + 63) / 64 * 64 + 320;
	uint32_t packets = MLX5_ENTRY / demand_power_of_two(demand_least(frame, MLX5_ENTRY));
	uint32_t entries = demand_power_of_two(facts->rx) / packets;

	(void)chunk;
	held->count = demand_most(entries, MLX5_ENTRY_LOW) - 1;
	held->each = MLX5_ENTRY;
	held->extra_bytes = MLX5_EMPTYING * MLX5_ENTRY;
	held->descriptors = facts->rx;
}

/*
 * meta/fbnic/fbnic_txrx.c, fbnic_alloc_rx_ring_desc: the payload ring ("RX Jumbo") counts pieces of
 * 4 KiB (FBNIC_BD_FRAG_SIZE), and is filled page by page; headers have a pool of their own
 * (fbnic_alloc_qt_page_pools). Packets share a page.
 */
static void demand_fbnic(const struct zrx_demand_facts *facts, uint32_t chunk,
			 struct demand_held *held)
{
	(void)chunk;
	held->count = demand_most(facts->jumbo, facts->page_bytes / FRAME_4K);
	held->each = FRAME_4K;
	held->descriptors = facts->jumbo;
}

/* Not read: whole chunks for the longest packet at each descriptor, a chunk at each of a second
 * ring. */
static void demand_any(const struct zrx_demand_facts *facts, uint32_t chunk,
		       struct demand_held *held)
{
	uint32_t chunks = (facts->mtu + 22 + chunk - 1) / chunk;

	held->each = chunk * demand_most(chunks, 1);
	held->count =
		facts->rx + (facts->jumbo + demand_most(chunks, 1) - 1) / demand_most(chunks, 1);
	held->packet_bytes = chunk;
	held->descriptors = facts->rx + facts->jumbo;
}

static const struct demand_driver demand_drivers[] = {
	{"bnxt_en", BNXT_LARGEST, demand_bnxt},
	{"gve", 0, demand_gve},
	{"mlx5_core", MLX5_LARGEST, demand_mlx5},
	{"fbnic", 0, demand_fbnic},
};

static const struct demand_driver *demand_driver_find(const char *name)
{
	static const struct demand_driver other = {"", UINT32_MAX, demand_any};

	for (size_t i = 0; i < sizeof(demand_drivers) / sizeof(demand_drivers[0]); i++)
		if (!strcmp(demand_drivers[i].name, name))
			return &demand_drivers[i];
	return &other;
}

/*
 * include/net/page_pool/types.h: a pool keeps up to 128 chunks (PP_ALLOC_CACHE_SIZE), and takes 64
 * at a time (PP_ALLOC_CACHE_REFILL; a fourth of both with pages of 16 KiB, a sixteenth with 64
 * KiB). Both count: however full the cache is, copies find chunks too.
 */
static uint32_t demand_pool_chunks(uint32_t page_bytes)
{
	return page_bytes >= 65536 ? 12 : page_bytes >= 16384 ? 48 : 192;
}

static uint64_t demand_round(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

static void demand_words(const struct demand_held *held, const struct zrx_demand_facts *facts,
			 struct zrx_nic_demand *demand)
{
	char extra[48] = "";

	if (held->extra_bytes)
		snprintf(extra, sizeof(extra), " + %" PRIu64 " KiB of entries used up",
			 held->extra_bytes >> 10);
	snprintf(demand->arithmetic, sizeof(demand->arithmetic),
		 "%.15s, MTU %u: %u x %u KiB of descriptors + %u x %u KiB of page pool%s = %" PRIu64
		 " KiB",
		 facts->driver, facts->mtu, held->count, held->each >> 10,
		 demand_pool_chunks(facts->page_bytes), demand->chunk_bytes >> 10, extra,
		 demand->demand_bytes >> 10);
}

void zrx_demand_compute(const struct zrx_demand_facts *facts, struct zrx_nic_demand *demand)
{
	const struct demand_driver *driver = demand_driver_find(facts->driver);
	uint32_t chunk = demand_most(facts->buffer_bytes, facts->page_bytes);
	struct demand_held held = {0};
	uint64_t room;

	if (chunk > driver->largest)
		chunk = facts->page_bytes; /* it falls back to pages */
	driver->hold(facts, chunk, &held);
	demand->chunk_bytes = chunk;
	demand->mtu = facts->mtu;
	demand->ring_entries = held.descriptors;
	demand->descriptor_bytes = demand_round((uint64_t)held.count * held.each, chunk);
	demand->pool_bytes = (uint64_t)demand_pool_chunks(facts->page_bytes) * chunk +
			     demand_round(held.extra_bytes, chunk);
	demand->demand_bytes = demand->descriptor_bytes + demand->pool_bytes;
	room = WINDOWS_FRAMES * held.packet_bytes;
	if (room < WINDOWS_ROOM)
		room = WINDOWS_ROOM;
	demand->area_bytes = demand_round(demand->demand_bytes + room, AREA_STEP);
	if (demand->area_bytes < AREA_LEAST)
		demand->area_bytes = AREA_LEAST;
	demand_words(&held, facts, demand);
}

int zrx_demand_read(struct zrx_nic_device *device, uint32_t buffer_bytes,
		    struct zrx_nic_demand *demand)
{
	struct zrx_ethtool_driver driver;
	struct zrx_ethtool_rings rings;
	struct zrx_demand_facts facts = {
		.page_bytes = (uint32_t)zrx_sys_page_bytes(),
		.buffer_bytes = buffer_bytes,
	};
	uint32_t state = 0;
	int result = device->ops->driver(device, &driver);

	if (!result)
		result = device->ops->rings(device, &rings);
	if (!result && !rings.rx)
		result = -EOPNOTSUPP;
	if (!result)
		result = device->ops->mtu(device, &facts.mtu);
	if (result)
		return result;
	facts.driver = driver.driver;
	facts.rx = rings.rx;
	facts.jumbo = rings.jumbo;
	facts.buf_len = rings.buf_len;
	facts.split = rings.split;
	device->ops->feature(device, ZRX_NIC_HW_GRO, &state);
	demand->hw_gro = !!(state & ZRX_FEATURE_STATE_ON);
	zrx_demand_compute(&facts, demand);
	return 0;
}

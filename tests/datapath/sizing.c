/* SPDX-License-Identifier: MIT */
/*
 * What a queue holds of an area before a byte is read, and areas and rings sized by it: the formula
 * of kernel/nic/demand.c against the page pool's own count, and every size of rings, frames and
 * buffers with the defaults, and with the smallest area that is accepted.
 */
#include "nic.h"
#include "netlink/netdev.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES       (4u << 20)
#define COPIED      (12u << 20)
#define COPIED_ONCE (128u << 10) /* so much fits beside the demand */
#define POOLS       64
#define LARGE_MTU   9000
#define EARLY_NS    100000000 /* the peer sends so long before its socket is added */
#define GAP_NS      64000000
#define GAP_TRIES   8 /* a machine with much else to do makes gaps of its own: not each time */

int sizing_whole;
uint32_t sizing_ring;

struct cell {
	uint32_t ring; /* descriptors, as ethtool -G takes them */
	int mtu;
	uint32_t buffer;
	int gro;
};

/* ---- what is there ---- */

/* What the pool of the bound queue has out. */
static struct zrx_netdev_pool pool_of_queue(void)
{
	struct zrx_netdev_pool pools[POOLS], found = {0};
	struct zrx_genl netdev;
	int count = zrx_genl_open(&netdev, "netdev");

	CHECK(!count, "family netdev: %s", strerror(-count));
	count = zrx_netdev_pools(&netdev, nic_ifindex(), pools, POOLS);
	CHECK(count >= 0, "page pools: %s", strerror(-count));
	for (int i = 0; i < count; i++)
		if (pools[i].io_uring && !pools[i].detached)
			found = pools[i];
	zrx_genl_close(&netdev);
	CHECK(found.id, "no page pool of a zcrx queue");
	return found;
}

static struct zrx_nic_demand demand_of_queue(const struct zrx_options *options)
{
	struct zrx_nic_demand demand = {.size = sizeof(demand)};
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = zrx_nic_demand(options, &demand, &error);

	CHECK(!result, "demand: %s", error.message);
	return demand;
}

/* ---- one cell ---- */

static void cell_name(const struct cell *cell, char *name, size_t size)
{
	snprintf(name, size, "ring %u MTU %d buffers %u KiB HW-GRO %s", cell->ring, cell->mtu,
		 cell->buffer >> 10, cell->gro ? "on" : "off");
}

/*
 * The page pool counts chunks in descriptors and in its cache, which it fills by lots. Buffers that
 * the driver did not take became pages.
 */
static void check_demand(const struct rx *rx, const struct zrx_nic_demand *demand, const char *name)
{
	struct zrx_netdev_pool pool = pool_of_queue();
	uint64_t held = pool.inflight * rx->info.buffer_bytes;
	int same = rx->info.buffer_bytes == demand->chunk_bytes;

	CHECK(held <= demand->demand_bytes, "%s: the pool has %" PRIu64 " KiB out: %s", name,
	      held >> 10, demand->arithmetic);
	CHECK(!same || held >= demand->descriptor_bytes,
	      "%s: the pool has only %" PRIu64 " KiB out: %s", name, held >> 10,
	      demand->arithmetic);
	CHECK(rx->info.demand_bytes == demand->demand_bytes, "%s: info tells %" PRIu64, name,
	      rx->info.demand_bytes);
	printf("  %s: %s; in the pool %" PRIu64 " KiB, area %" PRIu64 " MiB, ring %u\n", name,
	       demand->arithmetic, held >> 10, rx->info.area_bytes >> 20, rx->info.ring_entries);
}

static void wait_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Defaults, and a peer that sends at once: nothing hangs, nothing starves. */
static void receive_early(const struct cell *cell, const char *name)
{
	struct zrx_options options = rx_options();
	struct zrx_nic_demand demand;
	struct listener listener;
	struct zrx_stats stats;
	struct flow flow;
	struct rx rx;

	options.area_bytes = 0;
	options.buffer_bytes = cell->buffer;
	listener_open(&listener, AF_INET6);
	options.steer = ZRX_STEER_PORT;
	options.steer_port = listener.port;
	demand = demand_of_queue(&options);
	rx_open(&rx, &options);
	check_demand(&rx, &demand, name);
	CHECK(rx.info.area_bytes == demand.area_bytes, "%s: an area of %" PRIu64, name,
	      rx.info.area_bytes);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	flow_go(&flow);
	flow_wait_pending(&flow);
	wait_ns(EARLY_NS);
	rx_add(&rx, &flow);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	rx_check_uncopied(&rx);
	stats = rx_stats(&rx);
	CHECK(stats.alloc_failures == ZRX_UNKNOWN || !stats.alloc_failures,
	      "%s: the driver found no chunk %" PRIu64 " times", name, stats.alloc_failures);
	CHECK(!stats.parks, "%s: %" PRIu64 " times no chunk for a copy", name, stats.parks);
	rx_close(&rx);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static int is_waiting(const struct flow *flow)
{
	int bytes = 0;

	CHECK(!ioctl(flow->fd, FIONREAD, &bytes), "FIONREAD: %s", strerror(errno));
	return bytes > 0;
}

/*
 * The longest receive of an unsteered flow, all of which is copied, that began with bytes in the
 * socket and every buffer released: what else makes it wait is the peer.
 */
static uint64_t longest_gap(const struct zrx_options *given)
{
	struct zrx_options options = *given;
	struct listener listener;
	uint64_t bytes, longest = 0;
	struct flow flow;
	struct rx rx;

	options.steer = ZRX_STEER_NONE;
	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	/* Before 6.19 nothing moves released chunks to where copies find them, however many there
	 * are. */
	bytes = rx.info.features & ZRX_FEATURE_FLUSH ? COPIED : COPIED_ONCE;
	flow_connect(&flow, &listener, 0, bytes);
	listener_close(&listener);
	rx_start(&rx, &flow);
	rx_until(&rx, &flow, 1);
	while (!flow.ended) {
		int waiting = is_waiting(&flow);
		uint64_t begun = now_ns(), took;

		rx_turn(&rx, SECOND_NS);
		took = now_ns() - begun;
		if (waiting && took > longest)
			longest = took;
	}
	rx_check_whole(&rx);
	rx_close(&rx);
	return longest;
}

/* With the smallest area that is accepted copies do not wait for a timer. */
static void receive_copied(const struct cell *cell, const char *name)
{
	struct zrx_options options = rx_options();
	uint64_t gap = UINT64_MAX;

	options.buffer_bytes = cell->buffer;
	options.area_bytes = demand_of_queue(&options).demand_bytes;
	for (int i = 0; i < GAP_TRIES && gap >= GAP_NS; i++) {
		uint64_t longest = longest_gap(&options);

		if (longest < gap)
			gap = longest;
	}
	printf("  %s: copied, area %" PRIu64 " KiB: longest gap %" PRIu64 " ms\n", name,
	       options.area_bytes >> 10, gap / 1000000);
	CHECK(gap < GAP_NS, "%s: an area of %" PRIu64 " is accepted, with gaps of %" PRIu64 " ms",
	      name, options.area_bytes, gap / 1000000);
}

/* Below the demand it is refused, with the numbers; nothing is left. */
static void open_refused(const struct cell *cell, const char *name)
{
	struct zrx_options options = rx_options();
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_nic_demand demand;
	struct zrx_receiver *receiver;
	struct nic_state before;
	char number[32];
	int result;

	nic_look(&before);
	options.buffer_bytes = cell->buffer;
	demand = demand_of_queue(&options);
	options.area_bytes = demand.demand_bytes - (uint32_t)sysconf(_SC_PAGESIZE);
	result = zrx_receiver_open(&receiver, &options, &error);
	CHECK(result == -ENOBUFS && error.stage == ZRX_STAGE_AREA, "%s: %d: %s", name, result,
	      error.message);
	CHECK(strstr(error.message, demand.arithmetic), "%s: %s", name, error.message);
	snprintf(number, sizeof(number), "%" PRIu64, demand.area_bytes);
	CHECK(strstr(error.hint, number), "%s: %s", name, error.hint);
	nic_compare(&before);
	options.flags |= ZRX_SMALL_AREA;
	result = zrx_receiver_open(&receiver, &options, &error);
	CHECK(!result, "%s: %s", name, error.message);
	zrx_receiver_close(receiver);
}

static void ask_beyond(void)
{
	struct zrx_options options = rx_options();
	struct zrx_nic_demand demand = {.size = sizeof(demand)};
	struct zrx_error error = ZRX_ERROR_INIT;

	options.flags = ZRX_QUEUE;
	options.queue = nic_queue_count();
	CHECK(zrx_nic_demand(&options, &demand, &error) == -ERANGE && error.hint[0],
	      "a queue that is not there: %d: %s", error.code, error.message);
	options.queue--;
	CHECK(!zrx_nic_demand(&options, &demand, &error) && demand.queue == options.queue,
	      "queue %u: %s", options.queue, error.message);
}

static void run_cell(const struct cell *cell)
{
	char name[96];

	cell_name(cell, name, sizeof(name));
	nic_set_mtu(cell->mtu);
	nic_set_rx_ring(cell->ring);
	if (!nic_set_hw_gro(cell->gro)) {
		/* An MTU or buffers may rule it out. */
		printf("  %s: the driver keeps HW-GRO %s\n", name, cell->gro ? "off" : "on");
		return;
	}
	receive_early(cell, name);
	open_refused(cell, name);
	receive_copied(cell, name);
}

/* ---- which ---- */

static void run_cells(const struct cell *cells, size_t count)
{
	uint32_t ring = nic_set_rx_ring(cells[0].ring);
	int gro = nic_hw_gro();

	ask_beyond();
	for (size_t i = 0; i < count; i++)
		run_cell(&cells[i]);
	nic_set_hw_gro(gro);
	nic_set_rx_ring(ring);
	nic_set_mtu(atoi(nic_environment("MTU")));
}

/* All that can differ together, for each driver: rings, frames, buffers, merging. */
static void run_all(void)
{
	static const uint32_t bnxt_rings[] = {256, 511, 1023, 2047},
			      gve_rings[] = {256, 512, 1024, 2048};
	static const uint32_t buffers[] = {4096, 8192, 16384, 32768};
	static const int mtus[] = {1500, 4168, LARGE_MTU};
	const uint32_t *rings = nic_is("gve") ? gve_rings : bnxt_rings;
	size_t buffer_count = nic_is("gve") ? 1 : 4, count = 0;
	struct cell cells[4 * 3 * 4 * 2];

	for (size_t ring = 0; ring < 4; ring++) {
		if (sizing_ring && rings[ring] != sizing_ring)
			continue;
		for (size_t mtu = 0; mtu < 3; mtu++)
			for (size_t buffer = 0; buffer < buffer_count; buffer++)
				for (int gro = 0; gro < 2; gro++)
					cells[count++] = (struct cell){rings[ring], mtus[mtu],
								       buffers[buffer], gro};
	}
	CHECK(count, "no ring of %u is among those tried", sizing_ring);
	run_cells(cells, count);
}

void sizes_by_default(void)
{
	static const struct cell bnxt[] = {
		{511, 4168, 4096, 0},
		{2047, 1500, 4096, 1},
		{1023, LARGE_MTU, 32768, 0},
		{256, 1500, 16384, 0},
	};
	static const struct cell gve[] = {
		{512, 4168, 4096, 0},
		{2048, 1500, 4096, 0},
		{256, LARGE_MTU, 4096, 0},
	};

	if (sizing_whole)
		run_all();
	else if (nic_is("gve"))
		run_cells(gve, sizeof(gve) / sizeof(gve[0]));
	else
		run_cells(bnxt, sizeof(bnxt) / sizeof(bnxt[0]));
}

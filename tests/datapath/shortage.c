/* SPDX-License-Identifier: MIT */
/* Too few chunks: nothing is lost, nothing spins, and it ends by itself. */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <inttypes.h>
#include <sys/socket.h>

#define BYTES       (24u << 20)
#define SMALL_AREA  (8u << 20)
#define TINY_AREA   (2u << 20)
#define QUIET_TURNS 3
#define CALM_WAITS  100 /* system calls in a second of waiting: more would be spinning */

/* Descriptors for which the driver wants all chunks of a tiny area, and for which it does not. */
static uint32_t greedy_ring(void)
{
	return nic_is("gve") ? 2048 : 1024;
}

static uint32_t modest_ring(void)
{
	return nic_is("gve") ? 256 : 64; /* bnxt_en: four chunks for each */
}

/* It rests, nothing comes any more, and the NIC has not run dry, as far as that is told (7.2). */
static void hold_until_at_rest(struct rx *rx)
{
	unsigned quiet = 0;
	uint64_t failures;

	rx->hold = 1;
	while (quiet < QUIET_TURNS) {
		uint64_t waits = rx_stats(rx).waits;

		if (rx_turn(rx, SECOND_NS)) {
			quiet = 0;
			continue;
		}
		waits = rx_stats(rx).waits - waits;
		CHECK(waits < CALM_WAITS, "%" PRIu64 " system calls in a second", waits);
		quiet += rx_stats(rx).paused == 1;
	}
	rx->hold = 0;
	failures = rx_stats(rx).alloc_failures;
	CHECK(!failures || failures == ZRX_UNKNOWN, "the NIC found no chunk %" PRIu64 " times",
	      failures);
}

/* The program holds all buffers, then gives them back: in TCP's own time the stream goes on. */
void buffers_held(void)
{
	struct zrx_options options = rx_options();
	uint32_t entries = nic_set_rx_ring(modest_ring());
	struct listener listener;
	struct flow flow;
	struct rx rx;

	options.area_bytes = SMALL_AREA;
	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	rx_start(&rx, &flow);
	hold_until_at_rest(&rx);
	CHECK(flow.received < BYTES, "an area of %u bytes held %u", SMALL_AREA, BYTES);
	rx_release(&rx);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	rx_check_uncopied(&rx);
	nic_set_rx_ring(entries);
	rx_close(&rx);
}

/*
 * An unsteered flow must be copied, and the driver has every chunk of the area: the receiver says
 * so, and goes on once the driver lets some go.
 */
void copies_starve(void)
{
	struct zrx_options options = rx_options();
	struct listener listener;
	struct zrx_stats stats;
	struct flow flow;
	uint32_t entries = nic_set_rx_ring(greedy_ring());
	struct rx rx;

	options.area_bytes = TINY_AREA;
	options.flags |= ZRX_SMALL_AREA;
	options.steer = ZRX_STEER_NONE;
	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	rx_start(&rx, &flow);
	do
		rx_turn(&rx, SECOND_NS);
	while (rx_stats(&rx).stall != ZRX_STALL_COPIES);
	stats = rx_stats(&rx);
	CHECK(stats.parked == 1, "%" PRIu64 " streams are parked", stats.parked);
	/* Before 6.19 nothing moves released chunks to where copies find them. */
	if (rx.info.features & ZRX_FEATURE_FLUSH) {
		nic_set_rx_ring(modest_ring());
		rx_until_ended(&rx);
		rx_check_whole(&rx);
	}
	nic_set_rx_ring(entries);
	rx_close(&rx);
}

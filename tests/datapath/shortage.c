/* SPDX-License-Identifier: MIT */
/* Too few chunks, by whoever's fault: nothing is lost, nothing spins, and it ends by itself. */
#include "model.h"
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <inttypes.h>
#include <sys/socket.h>

#define BYTES       (24u << 20)
#define SMALL_AREA  (8u << 20)
#define TINY_AREA   (1u << 20)
#define SMALL_RING  32 /* descriptors: few enough for a tiny area to have chunks left over */
#define QUIET_TURNS 3
#define CALM_WAITS  100 /* system calls in a second of waiting: more would be spinning */

/* Nothing comes any more, and where the driver's distress shows (7.2), it has shown. */
static void hold_until_dry(struct rx *rx)
{
	unsigned quiet = 0;

	rx->hold = 1;
	while (quiet < QUIET_TURNS) {
		uint64_t waits = rx_stats(rx).waits;

		if (rx_turn(rx, SECOND_NS)) {
			quiet = 0;
			continue;
		}
		waits = rx_stats(rx).waits - waits;
		CHECK(waits < CALM_WAITS, "%" PRIu64 " system calls in a second", waits);
		quiet += rx_stats(rx).alloc_failures > 0; /* unknown is more than 0, too */
	}
	rx->hold = 0;
}

/* The program holds all buffers, then gives them back: in TCP's own time the stream goes on. */
void buffers_held(void)
{
	struct zrx_options options = rx_options();
	struct listener listener;
	struct flow flow;
	struct rx rx;

	options.area_bytes = SMALL_AREA;
	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	rx_start(&rx, &flow);
	hold_until_dry(&rx);
	CHECK(flow.received < BYTES, "an area of %u bytes held %u", SMALL_AREA, BYTES);
	rx_release(&rx);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	rx_check_uncopied(&rx);
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
	uint32_t entries;
	struct rx rx;

	options.area_bytes = TINY_AREA;
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
	entries = nic_set_rx_ring(SMALL_RING);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	nic_set_rx_ring(entries);
	rx_close(&rx);
}

/* The NIC itself finds no buffer for some packets. */
void packets_without_buffer(void)
{
	struct zrx_options options = rx_options();
	struct listener listener;
	struct flow flow;
	struct rx rx;

	listener_open(&listener, AF_INET6);
	rx_open(&rx, &options);
	flow_connect(&flow, &listener, 0, BYTES);
	listener_close(&listener);
	model_ask("\"do\": \"starve\", \"port\": 1, \"queue\": %u, \"count\": 20", rx.info.queue);
	rx_start(&rx, &flow);
	rx_until_ended(&rx);
	rx_check_whole(&rx);
	CHECK(model_faults_taken("starve") >= 20, "no packet was without a buffer");
	rx_close(&rx);
}

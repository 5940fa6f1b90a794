/* SPDX-License-Identifier: MIT */
/* The cable, the card or an administrator disturbs a flow in its midst: it comes whole. */
#include "model.h"
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <inttypes.h>
#include <sys/socket.h>

/* More than a socket holds, so that the disturbance finds the flow under way. */
#define BYTES   (64u << 20)
#define MIDST   (1u << 20)
#define PACKETS 5u
#define LINK_MS 300

struct bench {
	struct rx rx;
	struct flow flow;
};

/* A flow that has begun. Over IPv4, for a change. */
static void begin(struct bench *bench)
{
	struct zrx_options options = rx_options();
	struct listener listener;

	listener_open(&listener, AF_INET);
	rx_open(&bench->rx, &options);
	flow_connect(&bench->flow, &listener, 0, BYTES);
	listener_close(&listener);
	rx_start(&bench->rx, &bench->flow);
	rx_until(&bench->rx, &bench->flow, MIDST);
}

static void finish(struct bench *bench)
{
	rx_until_ended(&bench->rx);
	rx_check_whole(&bench->rx);
	rx_close(&bench->rx);
}

/* ---- the cable ---- */

void packets_lost(void)
{
	uint64_t lost = model_cable_counter("lost");
	struct bench bench;

	begin(&bench);
	model_ask("\"do\": \"cable\", \"loss\": 0.002, \"reorder\": 0.002, \"seed\": 1");
	rx_until(&bench.rx, &bench.flow, BYTES / 2);
	model_ask("\"do\": \"cable\"");
	finish(&bench);
	CHECK(model_cable_counter("lost") > lost, "nothing was lost");
}

void packets_late(void)
{
	struct bench bench;

	begin(&bench);
	model_ask("\"do\": \"cable\", \"delay_ns\": 2000000");
	rx_until(&bench.rx, &bench.flow, BYTES / 2);
	model_ask("\"do\": \"cable\"");
	finish(&bench);
}

void link_flaps(void)
{
	uint64_t dropped = model_cable_counter("dropped_link_down");
	struct bench bench;

	begin(&bench);
	model_ask("\"do\": \"link\", \"up\": false, \"for_ms\": %u", LINK_MS);
	finish(&bench);
	CHECK(model_cable_counter("dropped_link_down") > dropped, "the link was never down");
}

/* ---- the card ---- */

/* PACKETS of the flow's packets go wrong; what else is to be said about it is in `more`. */
static void packets_go_wrong(const char *kind, const char *more)
{
	uint64_t taken = model_faults_taken(kind);
	struct bench bench;

	begin(&bench);
	model_ask("\"do\": \"%s\", \"port\": 1, \"queue\": %u, \"count\": %u%s", kind,
		  bench.rx.info.queue, PACKETS, more);
	finish(&bench);
	taken = model_faults_taken(kind) - taken;
	CHECK(taken == PACKETS, "%s: %" PRIu64 " packets of %u", kind, taken, PACKETS);
}

void packets_without_buffer(void)
{
	packets_go_wrong("starve", "");
}

void packets_unsplit(void)
{
	packets_go_wrong("unsplit", "");
}

void packets_misdirected(void)
{
	packets_go_wrong("misdirect", ", \"value\": 0");
}

void lengths_wrong(void)
{
	packets_go_wrong("bad-length", ", \"value\": -3");
}

/*
 * gve sets no flow rule again after a reset, so that what follows is copied; and before 6.19
 * nothing moves released chunks to where copies find them.
 */
static int copies_run_out(const struct rx *rx)
{
	return nic_is("gve") && !(rx->info.features & ZRX_FEATURE_FLUSH);
}

/* The receiver says why nothing comes. */
static void finish_starved(struct bench *bench)
{
	while (rx_stats(&bench->rx).stall != ZRX_STALL_COPIES)
		rx_turn(&bench->rx, SECOND_NS);
	CHECK(bench->flow.received < BYTES && !bench->flow.ended, "it has not stalled");
	CHECK(!zrx_receiver_remove(bench->rx.receiver, bench->flow.handle), "remove");
	rx_until_ended(&bench->rx); /* then the sender is cut off as its socket is closed */
	rx_close(&bench->rx);
}

void device_reset(void)
{
	uint64_t resets = model_port_counter("resets");
	struct bench bench;

	begin(&bench);
	model_ask("\"do\": \"reset\", \"port\": 1");
	if (copies_run_out(&bench.rx))
		finish_starved(&bench);
	else
		finish(&bench);
	CHECK(model_port_counter("resets") > resets, "the driver has not reset the card");
}

/* ---- the administrator ---- */

void interface_down_and_up(void)
{
	struct bench bench;

	begin(&bench);
	nic_set_up(0);
	nic_set_up(1);
	finish(&bench);
}

/* At close the receiver finds the NIC under its new name, and puts it back as it was. */
void interface_renamed(void)
{
	struct bench bench;

	begin(&bench);
	nic_rename(nic_interface(), "renamed0");
	finish(&bench);
	nic_rename("renamed0", nic_interface());
}

void ring_resized(void)
{
	uint32_t entries;
	struct bench bench;

	begin(&bench);
	entries = nic_set_rx_ring(256);
	rx_until(&bench.rx, &bench.flow, BYTES / 2);
	nic_set_rx_ring(entries);
	finish(&bench);
}

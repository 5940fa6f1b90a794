/* SPDX-License-Identifier: MIT */
/*
 * More sockets than a queue's area has receive buffers for: they are served by copies, or refused
 * with the arithmetic; those that are there go on, and have more once others have left.
 */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS      32u /* more than fit into the area */
#define TURN_NS    10000000
#define TURNS      4000u
#define SOME_BYTES (1u << 20) /* that a stream gets to show that it flows */
#define COPIED     (4u << 20)

struct share_bench {
	struct rx rx;
	struct flow flows[FLOWS];
	uint16_t port;
	unsigned added; /* flows, the last of which may have been one too many */
};

static uint64_t share_of(const struct rx *rx, const struct flow *flow)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;
	int result = zrx_stream_stats(rx->receiver, flow->handle, &stats);

	CHECK(!result, "stats of stream %" PRIu64 ": %s", flow->number, strerror(-result));
	return stats.receive_buffer;
}

/*
 * All senders first: a child that is forked later has a copy of the area, whose pages are pinned.
 * The last flow is the only one that ends by itself.
 */
static void connect_all(struct share_bench *bench)
{
	struct listener listener;

	memset(bench, 0, sizeof(*bench));
	listener_open(&listener, AF_INET6);
	for (unsigned i = 0; i < FLOWS; i++)
		flow_connect(&bench->flows[i], &listener, i,
			     i == FLOWS - 1 ? COPIED : FLOW_ENDLESS);
	listener_close(&listener);
	bench->port = listener.port;
}

static struct flow *next_flow(struct share_bench *bench)
{
	CHECK(bench->added < FLOWS - 1, "%u sockets, and none is too many", FLOWS - 1);
	return &bench->flows[bench->added++];
}

/* The receiver, and those that it was not given. */
static void close_all(struct share_bench *bench)
{
	unsigned used[FLOWS] = {0};

	for (unsigned i = 0; i < bench->rx.count; i++)
		used[bench->rx.flows[i] - bench->flows] = 1;
	rx_close(&bench->rx);
	for (unsigned i = 0; i < FLOWS; i++)
		if (!used[i])
			flow_abandon(&bench->flows[i]);
}

/* Each of them flows on while it is read. */
static void check_flowing(struct share_bench *bench, unsigned first, unsigned end)
{
	uint64_t before[FLOWS];
	unsigned turns = 0, flowing = 0;

	for (unsigned i = first; i < end; i++)
		before[i] = bench->flows[i].received;
	while (flowing < end - first && turns++ < TURNS) {
		flowing = 0;
		rx_turn(&bench->rx, TURN_NS);
		for (unsigned i = first; i < end; i++)
			flowing += bench->flows[i].received - before[i] >= SOME_BYTES;
	}
	CHECK(flowing == end - first, "%u of %u streams do not flow", end - first - flowing,
	      end - first);
}

/* By connection: whoever finds no share is not led to the queue, and is copied. */
void shares_by_connection(void)
{
	struct zrx_options options = rx_options();
	struct share_bench bench;
	struct flow *beyond;
	uint64_t copied;
	unsigned live;

	connect_all(&bench);
	rx_open(&bench.rx, &options);
	do {
		beyond = next_flow(&bench);
		rx_add(&bench.rx, beyond);
	} while (share_of(&bench.rx, beyond));
	live = bench.added - 1;
	CHECK(live > 1, "an area of %" PRIu64 " bytes has %u shares", bench.rx.info.area_bytes,
	      live);
	for (unsigned i = 0; i < live; i++)
		flow_go(&bench.flows[i]);
	check_flowing(&bench, 0, live);
	rx_check_uncopied(&bench.rx);
	beyond = &bench.flows[FLOWS - 1];
	rx_add(&bench.rx, beyond);
	CHECK(!share_of(&bench.rx, beyond), "a share after there was none");
	flow_go(beyond);
	while (!beyond->ended)
		rx_turn(&bench.rx, TURN_NS);
	CHECK(beyond->received == COPIED, "%" PRIu64 " bytes came", beyond->received);
	copied = rx_stats(&bench.rx).copied_bytes; /* not those beside a packet's header */
	CHECK(copied == ZRX_UNKNOWN || (copied > COPIED / 2 && copied <= COPIED),
	      "%" PRIu64 " bytes were copied, %u came without a share", copied, COPIED);
	check_flowing(&bench, 0, live);
	close_all(&bench);
}

/* Add until one is refused; returns the area that would do. */
static uint64_t add_all(struct share_bench *bench)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	const char *number;
	int result;

	do
		result = rx_try_add(&bench->rx, next_flow(bench), &error);
	while (!result);
	CHECK(result == -ENOBUFS, "add: %s: %s", strerror(-result), error.message);
	CHECK(strstr(error.message, "standing") && strstr(error.message, "reserved"),
	      "no arithmetic: %s", error.message);
	number = strstr(error.hint, "area_bytes ");
	CHECK(number, "no area that would do: %s", error.hint);
	return strtoull(number + strlen("area_bytes "), NULL, 10);
}

/* Three of four leave: those that stay have more, and the one that was refused finds some. */
static void leave_most(struct share_bench *bench, unsigned live)
{
	uint64_t before = share_of(&bench->rx, &bench->flows[live - 1]), after;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct flow *beyond = &bench->flows[live];
	unsigned left = live / 4 * 3;

	for (unsigned i = 0; i < left; i++) {
		CHECK(!zrx_receiver_remove(bench->rx.receiver, bench->flows[i].handle), "remove");
		while (!bench->flows[i].ended)
			rx_turn(&bench->rx, TURN_NS);
	}
	after = share_of(&bench->rx, &bench->flows[live - 1]);
	CHECK(after > before, "a share of %" PRIu64 " bytes is %" PRIu64 " after others left",
	      before, after);
	CHECK(!rx_try_add(&bench->rx, beyond, &error), "add after others left: %s", error.message);
	CHECK(share_of(&bench->rx, beyond), "it has no share");
	flow_go(beyond);
	check_flowing(bench, left, live + 1);
}

/* With the area that was named there is room for one more. */
static void open_larger(unsigned live, uint64_t area_bytes)
{
	struct zrx_options options = rx_options();
	struct share_bench bench;

	connect_all(&bench);
	options.area_bytes = area_bytes;
	options.steer = ZRX_STEER_PORT;
	options.steer_port = bench.port;
	rx_open(&bench.rx, &options);
	for (unsigned i = 0; i <= live; i++)
		rx_add(&bench.rx, next_flow(&bench));
	for (unsigned i = 0; i <= live; i++)
		flow_go(&bench.flows[i]);
	check_flowing(&bench, 0, bench.added);
	rx_check_uncopied(&bench.rx);
	close_all(&bench);
}

/* By port: whoever finds no share is refused, and told what would do. */
void shares_by_port(void)
{
	struct zrx_options options = rx_options();
	struct share_bench bench;
	uint64_t area_bytes;
	unsigned live;

	connect_all(&bench);
	options.steer = ZRX_STEER_PORT;
	options.steer_port = bench.port;
	rx_open(&bench.rx, &options);
	area_bytes = add_all(&bench);
	live = bench.added - 1;
	CHECK(live > 1 && area_bytes > bench.rx.info.area_bytes,
	      "%u shares in %" PRIu64 " bytes; %" PRIu64 " would do", live,
	      bench.rx.info.area_bytes, area_bytes);
	for (unsigned i = 0; i < live; i++)
		flow_go(&bench.flows[i]);
	check_flowing(&bench, 0, live);
	leave_most(&bench, live);
	rx_check_uncopied(&bench.rx);
	close_all(&bench);
	open_larger(live, area_bytes);
}

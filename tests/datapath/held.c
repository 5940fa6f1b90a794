/* SPDX-License-Identifier: MIT */
/* Views that are held across close, while peers send on: none may change until it is released. */
#include "nic.h"
#include "payload.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VIEWS          1000u /* at least ... */
#define VIEWS_MOST     2000u /* ... and at most, about: with more, streams rest */
#define AREA_BYTES     (64u << 20)
#define FLOWING        2u /* when the receiver is closed ... */
#define FLOWS          6u /* ... and those that are let go just before */
#define BURST_BYTES    (1u << 20)
#define WATCHED_MS     1000
#define SMALL_RING     32u  /* descriptors: one that is posted again is soon written to */
#define SMALL_RING_GVE 256u /* the driver takes no less */

unsigned held_repetitions = 1;

struct held_bench {
	struct rx rx;
	struct flow flows[FLOWS];
	struct listener listener;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Kernels that tell of events stop the queue first. */
static int must_defer(const struct rx *rx)
{
	return !(rx->info.features & ZRX_FEATURE_EVENTS);
}

/* Somebody who looks at the NIC all the time, and so holds the lock that a closing queue needs. */
static pid_t start_reader(void)
{
	pid_t reader = fork();
	struct nic_state state;

	CHECK(reader >= 0, "fork: %s", strerror(errno));
	while (!reader)
		nic_look(&state);
	return reader;
}

static void stop_reader(pid_t reader)
{
	kill(reader, SIGKILL);
	CHECK(waitpid(reader, NULL, 0) == reader, "the reader of settings is gone");
}

/* Two flow, and then all; what has come is kept. */
static void begin(struct held_bench *bench)
{
	struct zrx_options options = rx_options();

	options.area_bytes = AREA_BYTES;
	listener_open(&bench->listener, AF_INET6);
	rx_open(&bench->rx, &options);
	for (unsigned i = 0; i < FLOWS; i++)
		flow_connect(&bench->flows[i], &bench->listener, i, FLOW_ENDLESS);
	listener_close(&bench->listener);
	for (unsigned i = 0; i < FLOWS; i++)
		rx_add(&bench->rx, &bench->flows[i]);
	bench->rx.hold = 1;
	for (unsigned i = 0; i < FLOWING; i++)
		flow_go(&bench->flows[i]);
	while (bench->rx.held_count < VIEWS)
		rx_turn(&bench->rx, SECOND_NS);
	/* In their first burst the new ones are at their fastest. */
	for (unsigned i = FLOWING; i < FLOWS; i++)
		flow_go(&bench->flows[i]);
	while (bench->flows[FLOWS - 1].received < BURST_BYTES) {
		bench->rx.hold = bench->rx.held_count < VIEWS_MOST;
		rx_turn(&bench->rx, SECOND_NS);
	}
}

/* Returns how many views have changed, at most, in the time that they are watched. */
static size_t watch(const struct rx *rx)
{
	uint64_t until = now_ms() + WATCHED_MS;
	size_t changed = 0;

	while (now_ms() < until) {
		size_t now = rx_changed(rx);

		if (now > changed)
			changed = now;
	}
	return changed;
}

/* Who closes on a kernel that is not known to stop the queue first leads nothing to it any more. */
static void check_unsteered(uint32_t rules)
{
	struct nic_state state;

	nic_look(&state);
	CHECK(state.rules.count == rules, "%u flow rules after close, were %u before open",
	      state.rules.count, rules);
}

/* Returns how many views have changed. */
static size_t close_and_watch(void)
{
	struct held_bench bench;
	struct nic_state before;
	size_t changed;
	int result, deferred;

	nic_look(&before);
	begin(&bench);
	deferred = must_defer(&bench.rx);
	result = rx_close_receiver(&bench.rx);
	changed = watch(&bench.rx);
	if (changed)
		rx_forget(&bench.rx);
	CHECK(changed || result == (deferred ? ZRX_CLOSE_DEFERRED : 0), "close gives %d", result);
	check_unsteered(before.rules.count);
	rx_release(&bench.rx);
	for (unsigned i = 0; i < FLOWS; i++)
		flow_abandon(&bench.flows[i]);
	nic_compare(&before);
	return changed;
}

static void repeat(void)
{
	pid_t reader = start_reader();
	unsigned repetitions = 0;
	size_t changed, most = 0;

	for (unsigned i = 0; i < held_repetitions; i++) {
		changed = close_and_watch();
		repetitions += changed != 0;
		if (changed > most)
			most = changed;
	}
	stop_reader(reader);
	printf("%u of %u repetitions changed views\n", repetitions, held_repetitions);
	CHECK(!repetitions, "in %u of %u repetitions views changed, in one %zu", repetitions,
	      held_repetitions, most);
}

void views_held_across_close(void)
{
	repeat();
}

void views_held_small_ring(void)
{
	uint32_t entries = nic_set_rx_ring(nic_is("gve") ? SMALL_RING_GVE : SMALL_RING);

	repeat();
	nic_set_rx_ring(entries);
}

/* ---- what else hangs on a queue that stays ---- */

static struct zrx_options port_options(const struct listener *listener)
{
	struct zrx_options options = rx_options();

	options.steer = ZRX_STEER_PORT;
	options.steer_port = listener->port;
	return options;
}

/* A flow without end, of which some is kept. */
static void hold_some(struct rx *rx, struct flow *flow, const struct listener *listener)
{
	flow_connect(flow, listener, 0, FLOW_ENDLESS);
	rx->hold = 1;
	rx_start(rx, flow);
	rx_until(rx, flow, 1);
}

/* Who comes after a receiver that is closed, and has views out, has the port for itself. */
void port_left_at_close(void)
{
	struct flow first, flows[FLOWING + 2];
	struct listener listener;
	struct zrx_options options;
	struct rx closed, next;
	size_t count = sizeof(flows) / sizeof(*flows);

	listener_open(&listener, AF_INET6);
	options = port_options(&listener);
	rx_open(&closed, &options);
	hold_some(&closed, &first, &listener);
	CHECK(rx_close_receiver(&closed) == (must_defer(&closed) ? ZRX_CLOSE_DEFERRED : 0),
	      "close");
	rx_open(&next, &options);
	CHECK(!must_defer(&next) || next.info.queue != closed.info.queue, "both on queue %u",
	      next.info.queue);
	for (unsigned i = 0; i < count; i++)
		flow_connect(&flows[i], &listener, i + 1, BURST_BYTES);
	listener_close(&listener);
	for (unsigned i = 0; i < count; i++)
		rx_start(&next, &flows[i]);
	rx_until_ended(&next);
	rx_check_whole(&next);
	rx_check_uncopied(&next);
	CHECK(!rx_changed(&closed), "views changed");
	rx_release(&closed);
	flow_abandon(&first);
	rx_close(&next);
}

/* The caller's memory comes back when no queue is bound to it any more. */
static void take_back(void *memory, uint64_t bytes, void *context)
{
	unsigned *times = context;
	struct nic_state state;

	nic_look(&state);
	CHECK(!state.bound_queues, "memory is given back while a queue is bound to it");
	CHECK(!munmap(memory, bytes), "munmap: %s", strerror(errno));
	(*times)++;
}

static void undo(uint32_t queue, int expected)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	int result = zrx_nic_undo(nic_interface(), queue, &error);

	CHECK(result == expected, "undo gives %d: %s", result, error.message);
	CHECK(result >= 0 || strstr(error.hint, "release the buffers"), "it says: %s", error.hint);
}

static void close_prepared(int held)
{
	struct zrx_error error = ZRX_ERROR_INIT;
	struct listener listener;
	struct zrx_options options;
	struct flow flow;
	unsigned taken_back = 0;
	struct rx rx;
	int deferred;

	listener_open(&listener, AF_INET6);
	options = port_options(&listener);
	CHECK(!zrx_nic_apply(&options, &options.queue, &error), "apply: %s", error.message);
	options.flags |= ZRX_QUEUE;
	options.nic_mode = ZRX_NIC_PREPARED;
	options.area_kind = ZRX_AREA_CALLER;
	options.area_memory = mmap(NULL, options.area_bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	options.area_free = take_back;
	options.area_context = &taken_back;
	rx_open(&rx, &options);
	hold_some(&rx, &flow, &listener);
	listener_close(&listener);
	if (!held)
		rx_release(&rx);
	deferred = held && must_defer(&rx);
	CHECK(rx_close_receiver(&rx) == (deferred ? ZRX_CLOSE_DEFERRED : 0), "close");
	CHECK(taken_back == !held, "memory was given back %u times at close", taken_back);
	if (deferred)
		undo(options.queue, -EBUSY);
	CHECK(!rx_changed(&rx), "views changed");
	rx_release(&rx);
	CHECK(taken_back == 1, "memory was given back %u times", taken_back);
	flow_abandon(&flow);
	undo(options.queue, 1);
}

void prepared_and_closed(void)
{
	close_prepared(0);
	close_prepared(1);
}

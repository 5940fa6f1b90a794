/* SPDX-License-Identifier: MIT */
/*
 * Seven of eight connections of a queue are not read: the eighth flows on, nobody's peer sends in
 * vain, and the seven go on once their buffers are released.
 */
#include "nic.h"
#include "rx.h"
#include "scenarios.h"
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define FLOWS       8u
#define STALLED     7u
#define REPETITIONS 32u
#define RETRIES     3u /* repetitions of which the median has to do, before it is a failure */
#define TURN_NS     10000000
#define WARM_NS     SECOND_NS
#define MEASURED_NS (3 * SECOND_NS)
#define WINDOWS     12u /* of each, in turns: whatever else the machine does meets both */
#define WINDOW_NS   (SECOND_NS / 2)
#define SETTLED_NS  (SECOND_NS / 10) /* of a window: what lay in the socket is through */
#define REST_NS     (5 * SECOND_NS)  /* for all of them to come to rest */
#define RESUMED_NS  (10 * SECOND_NS)
#define PACKET      (128u << 10) /* the kernel takes one, merged, beyond a receive buffer */

/* What is demanded. */
#define LEAST_SHARE        0.5
#define MOST_FIRST_MS      150.0
#define MOST_NEW_MS        1000.0
#define MORE_RETRANSMITTED 0.002 /* of the segments, beyond those of a run without a stall */

unsigned stalled_repetitions = 1;

struct stall_bench {
	struct rx rx;
	struct flow flows[FLOWS];
};

/* What one repetition found. */
struct stall_result {
	double alone, beside;      /* MB/s of the eighth */
	double share;              /* what that leaves to it */
	double spread;             /* of alone, between every other window and the rest */
	double unstalled, stalled; /* segments retransmitted, of those sent */
	double first_ms, new_ms;   /* of the slowest of the seven */
};

struct segments {
	uint64_t sent, again;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- the senders' side ---- */

static uint64_t snmp_number(const char *names, const char *numbers, const char *name)
{
	char header[1024], values[1024], *header_rest = NULL, *values_rest = NULL;
	const char *at, *value;

	snprintf(header, sizeof(header), "%s", names);
	snprintf(values, sizeof(values), "%s", numbers);
	at = strtok_r(header, " \n", &header_rest);
	value = strtok_r(values, " \n", &values_rest);
	while (at && value && strcmp(at, name)) {
		at = strtok_r(NULL, " \n", &header_rest);
		value = strtok_r(NULL, " \n", &values_rest);
	}
	CHECK(at && value, "no %s in /proc/net/snmp", name);
	return strtoull(value, NULL, 10);
}

/* Counted in the network namespace of a flow's sender. */
static struct segments count_segments(const struct flow *flow)
{
	char path[64], names[1024] = "", numbers[1024] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/net/snmp", flow->sender);
	file = fopen(path, "re");
	CHECK(file, "%s: %s", path, strerror(errno));
	while (fgets(names, sizeof(names), file) && strncmp(names, "Tcp:", 4))
		continue;
	CHECK(fgets(numbers, sizeof(numbers), file), "%s has no Tcp:", path);
	fclose(file);
	return (struct segments){snmp_number(names, numbers, "OutSegs"),
				 snmp_number(names, numbers, "RetransSegs")};
}

static double retransmitted_since(const struct flow *flow, struct segments before)
{
	struct segments now = count_segments(flow);

	return (double)(now.again - before.again) / (double)(now.sent - before.sent + 1);
}

/* ---- this side ---- */

/* The senders first: a child that is forked later has a copy of the area, whose pages are pinned.
 */
static void stall_connect(struct stall_bench *bench)
{
	struct listener listener;

	memset(bench, 0, sizeof(*bench));
	listener_open(&listener, AF_INET6);
	for (unsigned i = 0; i < FLOWS; i++)
		flow_connect(&bench->flows[i], &listener, i, FLOW_ENDLESS);
	listener_close(&listener);
}

static void stall_open(struct stall_bench *bench)
{
	struct zrx_options options = rx_options();

	options.area_bytes = 0; /* the default has to do */
	rx_open(&bench->rx, &options);
	for (unsigned i = 0; i < FLOWS; i++)
		rx_add(&bench->rx, &bench->flows[i]);
}

static void run_for(struct rx *rx, int64_t ns)
{
	uint64_t until = now_ns() + (uint64_t)ns;

	while (now_ns() < until)
		rx_turn(rx, TURN_NS);
}

/* MB/s of the eighth flow, in one window. */
static double measure(struct stall_bench *bench)
{
	const struct flow *flow = &bench->flows[STALLED];
	uint64_t begun, before;

	run_for(&bench->rx, SETTLED_NS);
	begun = now_ns();
	before = flow->received;
	run_for(&bench->rx, WINDOW_NS - SETTLED_NS);
	return (double)(flow->received - before) * 1e3 / (double)(now_ns() - begun);
}

/* Returns how much of what was sent was sent again while all are read. */
static double run_unstalled(void)
{
	struct stall_bench bench;
	struct segments before;
	double share;

	stall_connect(&bench);
	stall_open(&bench);
	before = count_segments(&bench.flows[0]);
	for (unsigned i = 0; i < FLOWS; i++)
		flow_go(&bench.flows[i]);
	run_for(&bench.rx, WARM_NS + MEASURED_NS);
	share = retransmitted_since(&bench.flows[0], before);
	rx_close(&bench.rx);
	return share;
}

/* ---- is it told truly? ---- */

static struct zrx_stream_stats stream_stats(const struct rx *rx, const struct flow *flow)
{
	struct zrx_stream_stats stats = ZRX_STREAM_STATS_INIT;
	int result = zrx_stream_stats(rx->receiver, flow->handle, &stats);

	CHECK(!result, "stats of stream %" PRIu64 ": %s", flow->number, strerror(-result));
	return stats;
}

/* Memory that is held of a flow, in whole chunks. */
static uint64_t held_of(const struct rx *rx, const struct flow *flow)
{
	uint64_t chunk = rx->info.buffer_bytes, count = 0;
	uint8_t *seen = calloc(rx->info.area_bytes / chunk, 1);

	CHECK(seen, "out of memory");
	for (size_t i = 0; i < rx->held_count; i++) {
		uint64_t at = rx->held[i].buffer.offset / chunk;

		count += rx->held[i].flow == flow->number && !seen[at];
		seen[at] |= rx->held[i].flow == flow->number;
	}
	free(seen);
	return count * chunk;
}

/* Bytes of memory that a socket's receive queue is charged with. */
static uint32_t socket_memory(const struct flow *flow)
{
	uint32_t figures[16] = {0};
	socklen_t length = sizeof(figures);

	CHECK(!getsockopt(flow->fd, SOL_SOCKET, SO_MEMINFO, figures, &length), "SO_MEMINFO: %s",
	      strerror(errno));
	return figures[0];
}

static uint64_t check_stalled(const struct rx *rx, const struct flow *flow)
{
	struct zrx_stream_stats stats = stream_stats(rx, flow);
	uint64_t held = held_of(rx, flow);
	uint32_t memory = socket_memory(flow);

	CHECK(stats.at_window && !stats.paused, "stream %" PRIu64 ": at its window %u, paused %u",
	      flow->number, stats.at_window, stats.paused);
	CHECK(stats.held_bytes == held, "stream %" PRIu64 ": %" PRIu64 " bytes held, not %" PRIu64,
	      flow->number, stats.held_bytes, held);
	CHECK(stats.bytes == flow->received, "stream %" PRIu64 ": %" PRIu64 " bytes, not %" PRIu64,
	      flow->number, stats.bytes, flow->received);
	CHECK(stats.receive_buffer, "stream %" PRIu64 " has no receive buffer", flow->number);
	CHECK(memory <= stats.receive_buffer + PACKET,
	      "stream %" PRIu64 ": %u bytes in a receive buffer of %" PRIu64, flow->number, memory,
	      stats.receive_buffer);
	return held;
}

static void check_told(const struct stall_bench *bench)
{
	struct zrx_stream_stats live = stream_stats(&bench->rx, &bench->flows[STALLED]);
	struct zrx_stats stats = rx_stats(&bench->rx);
	uint64_t held = 0;

	CHECK(stats.paused == STALLED, "%" PRIu64 " streams rest, not %u", stats.paused, STALLED);
	CHECK(stats.pauses >= STALLED, "%" PRIu64 " times at a window", stats.pauses);
	CHECK(stats.stall == ZRX_STALL_NONE && !stats.parked, "stall %u, %" PRIu64 " parked",
	      stats.stall, stats.parked);
	for (unsigned i = 0; i < STALLED; i++)
		held += check_stalled(&bench->rx, &bench->flows[i]);
	CHECK(!live.at_window && !live.paused, "the one that is read rests");
	/* Of the one that is read, the owner has not yet seen all come back. */
	CHECK(stats.held_bytes >= held && stats.held_bytes <= held + live.window_bytes,
	      "%" PRIu64 " bytes are held, %" PRIu64 " of them by the seven", stats.held_bytes,
	      held);
}

/* ---- and how does it go on? ---- */

static void let_go(struct stall_bench *bench, struct stall_result *result)
{
	uint64_t before[STALLED], unread[STALLED], begun;
	unsigned first = 0, fresh = 0;

	CHECK(!rx_changed(&bench->rx), "views have changed");
	for (unsigned i = 0; i < STALLED; i++) {
		int pending = 0;

		ioctl(bench->flows[i].fd, FIONREAD, &pending);
		before[i] = bench->flows[i].received;
		unread[i] = (uint64_t)pending;
		bench->flows[i].hold = 0;
	}
	begun = now_ns();
	rx_forget(&bench->rx);
	while (fresh < STALLED && now_ns() - begun < RESUMED_NS) {
		unsigned firsts = 0, news = 0;

		rx_turn(&bench->rx, TURN_NS);
		for (unsigned i = 0; i < STALLED; i++) {
			uint64_t more = bench->flows[i].received - before[i];

			firsts += more > 0;
			news += more > unread[i];
		}
		if (firsts > first)
			result->first_ms = (double)(now_ns() - begun) / 1e6;
		if (news > fresh)
			result->new_ms = (double)(now_ns() - begun) / 1e6;
		first = firsts;
		fresh = news;
	}
	CHECK(first == STALLED, "%u of the seven have no byte after they were released",
	      STALLED - first);
	CHECK(fresh == STALLED, "%u of the seven have nothing new after they were released",
	      STALLED - fresh);
}

/* The eighth of both in turns: with seven that are still, and with seven that are not read. */
static void compare(struct stall_bench *alone, struct stall_bench *beside,
		    struct stall_result *result)
{
	double sums[2] = {0, 0};

	for (unsigned i = 0; i < WINDOWS; i++) {
		sums[i % 2] += measure(alone);
		result->beside += measure(beside) / WINDOWS;
	}
	result->alone = (sums[0] + sums[1]) / WINDOWS;
	result->share = result->beside / result->alone;
	result->spread = sums[0] > sums[1] ? 1 - sums[1] / sums[0] : 1 - sums[0] / sums[1];
}

/* Seven are not read until all of them rest. */
static void stall(struct stall_bench *bench)
{
	uint64_t begun = now_ns();

	for (unsigned i = 0; i < STALLED; i++) {
		bench->flows[i].hold = 1;
		flow_go(&bench->flows[i]);
	}
	while (rx_stats(&bench->rx).paused < STALLED && now_ns() - begun < REST_NS)
		rx_turn(&bench->rx, TURN_NS);
}

static struct stall_result repeat_stall(void)
{
	struct stall_result result = {.unstalled = run_unstalled()};
	struct stall_bench alone, beside;
	struct segments before;
	struct zrx_stats stats;

	stall_connect(&alone);
	stall_connect(&beside);
	stall_open(&alone);
	stall_open(&beside);
	flow_go(&alone.flows[STALLED]);
	flow_go(&beside.flows[STALLED]);
	run_for(&alone.rx, WARM_NS);
	run_for(&beside.rx, WARM_NS);
	before = count_segments(&beside.flows[STALLED]);
	stall(&beside);
	compare(&alone, &beside, &result);
	result.stalled = retransmitted_since(&beside.flows[STALLED], before);
	stats = rx_stats(&beside.rx);
	printf("alone %.1f MB/s, beside seven that are not read %.1f; retransmitted %.5f, "
	       "unstalled %.5f; paused %" PRIu64 ", held %" PRIu64 ", alloc_failures %" PRId64 "\n",
	       result.alone, result.beside, result.stalled, result.unstalled, stats.paused,
	       stats.held_bytes, (int64_t)stats.alloc_failures);
	CHECK(result.beside > 0, "the eighth stands still");
	check_told(&beside);
	let_go(&beside, &result);
	rx_close(&beside.rx);
	rx_close(&alone.rx);
	return result;
}

/* ---- figures ---- */

static int by_size(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

struct summary {
	double least, median, most;
};

/* Of one member of all results. */
static struct summary summarise(const struct stall_result *results, unsigned count, size_t member)
{
	double values[REPETITIONS];

	for (unsigned i = 0; i < count; i++)
		memcpy(&values[i], (const char *)&results[i] + member, sizeof(values[i]));
	qsort(values, count, sizeof(*values), by_size);
	return (struct summary){values[0], values[count / 2], values[count - 1]};
}

/* A line that stalled-figures reads, if it is to be shown. Returns whether the bar is met. */
static int figure(int show, const char *name, double value, double spread, const char *sense,
		  double bar)
{
	if (show)
		printf("figure %s %.5f %.5f %s %.5f\n", name, value, spread, sense, bar);
	return *sense == '<' ? value <= bar : value >= bar;
}

#define OF(member) summarise(results, count, offsetof(struct stall_result, member))

/* Whether all bars are met. */
static int judge(const struct stall_result *results, unsigned count, int show)
{
	struct summary share = OF(share), spread = OF(spread), first = OF(first_ms);
	struct summary fresh = OF(new_ms), again = OF(stalled), usual = OF(unstalled);
	int met = figure(show, "stalled_neighbours_throughput_zcrx", share.median, spread.median,
			 ">=", LEAST_SHARE);

	met &= figure(show, "stalled_first_data_ms", first.median, first.most - first.least,
		      "<=", MOST_FIRST_MS);
	met &= figure(show, "stalled_new_data_ms", fresh.median, fresh.most - fresh.least,
		      "<=", MOST_NEW_MS);
	met &= figure(show, "stalled_retransmitted", again.median, usual.most - usual.least,
		      "<=", usual.median + MORE_RETRANSMITTED);
	return met;
}

void stalled_neighbours(void)
{
	unsigned wanted = stalled_repetitions < REPETITIONS ? stalled_repetitions : REPETITIONS;
	struct stall_result results[REPETITIONS];
	unsigned count = 0;

	do
		results[count++] = repeat_stall();
	while (count < wanted || (count < RETRIES && !judge(results, count, 0)));
	CHECK(judge(results, count, 1), "a figure is beyond its bar: see above");
}

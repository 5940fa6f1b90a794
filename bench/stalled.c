/* SPDX-License-Identifier: MIT */
/*
 * One stream that is consumed, beside others whose buffers are never released: one for each fourth
 * chunk, or none. Prints one line of JSON: seconds and bytes of the one, which is not waited for
 * when nothing comes for seconds.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zcrx.h>

#include "machine.h"
#include "sender.h"
#include "take.h"

#define QUIET_NS    100000000   /* the others get no more */
#define PATIENCE_NS 3000000000u /* the one gets no more */
#define MOST_S      20          /* of either: it gets next to nothing */
#define PART        4u

struct stalled_run {
	const char *engine;
	uint64_t area_bytes; /* 0: the default */
	uint64_t bytes;      /* to receive of the one */
	int beside;          /* the others are there */
	int processor;       /* of the receiver */
	int realtime;
	struct bench_sender sender;
	struct zrx_receiver *receiver;
	uint64_t got;  /* bytes of the one */
	uint64_t held; /* buffers of the others */
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Release what is of the one (tag 0), and keep the rest for good. Returns 0 or -EPIPE. */
static int sort_out(struct stalled_run *run, struct zrx_event *events, int count)
{
	uint32_t consumed = 0;

	for (int i = 0; i < count; i++) {
		if (events[i].kind != ZRX_EVENT_DATA)
			return -EPIPE;
		if (events[i].tag) {
			run->held++;
		} else {
			run->got += events[i].buffer.length;
			events[consumed++] = events[i];
		}
	}
	zrx_event_release(events, consumed);
	return 0;
}

/* Until the one has so many bytes, nothing comes for so long, or it takes too long. */
static int take_until(struct stalled_run *run, uint64_t bytes, int64_t patience_ns)
{
	struct zrx_event events[BENCH_BATCH];
	double end = seconds() + MOST_S;
	int result = 0;

	while (!result && run->got < bytes && seconds() < end) {
		int count = zrx_receiver_receive(run->receiver, events, BENCH_BATCH, patience_ns);

		if (!count)
			return 0;
		if (count > 0)
			result = sort_out(run, events, count);
		else if (count != -EINTR)
			result = count;
	}
	return result;
}

static int open_receiver(struct stalled_run *run)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_info info = {.size = sizeof(info)};
	int result = zrx_engine_by_name(run->engine, &options.engine);

	options.area_bytes = run->area_bytes;
	if (!result)
		result = zrx_receiver_open(&run->receiver, &options, &error);
	if (result) {
		fprintf(stderr, "stalled: %s: %s (%s)\n", run->engine, error.message, error.hint);
		return result;
	}
	zrx_receiver_info(run->receiver, &info);
	if (run->beside)
		run->sender.stalled = (uint32_t)(info.area_bytes / info.buffer_bytes / PART);
	run->sender.streams = run->sender.stalled + 1;
	return 0;
}

static int add_all(struct stalled_run *run)
{
	int *sockets = calloc(run->sender.streams, sizeof(*sockets));
	int result = sockets ? bench_sender_start(&run->sender, sockets) : -ENOMEM;

	for (uint32_t i = 0; !result && i < run->sender.streams; i++) {
		struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;

		options.tag = i;
		result = zrx_receiver_add(run->receiver, sockets[i], &options, NULL);
		close(sockets[i]);
	}
	free(sockets);
	return result;
}

/* The others come first, until they get no more. */
static int stall(struct stalled_run *run)
{
	int result = bench_sender_go(&run->sender);

	return result ? result : take_until(run, UINT64_MAX, QUIET_NS);
}

static int measure(struct stalled_run *run)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	double begun;
	int result;

	bench_pin(run->processor);
	result = run->beside ? stall(run) : 0;
	if (!result)
		result = bench_sender_go(&run->sender);
	begun = seconds();
	if (!result)
		result = take_until(run, run->bytes, PATIENCE_NS);
	if (result)
		return result;
	zrx_receiver_stats(run->receiver, &stats);
	printf("{\"seconds\": %.6f, \"bytes\": %llu, \"stalled\": %u, \"held\": %llu, "
	       "\"paused\": %llu}\n",
	       seconds() - begun, (unsigned long long)run->got, run->sender.stalled,
	       (unsigned long long)run->held, (unsigned long long)stats.paused);
	return 0;
}

/* Returns 0 if the option makes no sense. */
static int take_option(struct stalled_run *run, int option)
{
	switch (option) {
	case 'e':
		run->engine = optarg;
		return 1;
	case 'a':
		run->area_bytes = strtoull(optarg, NULL, 0);
		return 1;
	case 'b':
		run->bytes = strtoull(optarg, NULL, 0);
		return 1;
	case 's':
		run->beside = 1;
		return 1;
	case 'c':
		return sscanf(optarg, "%d,%d", &run->processor, &run->sender.processor) == 2;
	case 'r':
		run->realtime = 1;
		return 1;
	default:
		return 0;
	}
}

static int parse(struct stalled_run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{"engine", 1, NULL, 'e'}, {"area", 1, NULL, 'a'},       {"bytes", 1, NULL, 'b'},
		{"beside", 0, NULL, 's'}, {"processors", 1, NULL, 'c'}, {"realtime", 0, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	int option, good = 1;

	while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		good = take_option(run, option);
	return good && optind == argc && run->bytes;
}

int main(int argc, char **argv)
{
	struct stalled_run run = {
		.engine = "auto", .bytes = 512ull << 20, .processor = 1, .sender = {.active = 1}};
	int result;

	if (!parse(&run, argc, argv)) {
		fprintf(stderr, "usage: stalled [--engine E] [--area N] [--bytes N] [--beside] "
				"[--realtime]\n"
				"               [--processors RECEIVER,SENDER]\n");
		return 2;
	}
	run.sender.bytes = run.bytes;
	bench_raise_descriptor_limit();
	if (run.realtime)
		bench_go_first();
	result = open_receiver(&run);
	if (!result)
		result = add_all(&run);
	if (!result)
		result = measure(&run);
	bench_sender_finish(&run.sender, 1);
	if (result)
		fprintf(stderr, "stalled: %s: %s\n", run.engine, strerror(-result));
	return result ? 1 : 0;
}

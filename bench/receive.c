/* SPDX-License-Identifier: MIT */
/*
 * One run of one side: a sender on one processor, the receiver on another, loopback. Prints one
 * line of JSON: seconds, CPU seconds of the receiving thread, bytes, receives.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine.h"
#include "sender.h"
#include "side.h"

static const struct bench_side *const sides[] = {&bench_side_recv, &bench_side_epoll,
						 &bench_side_bare, &bench_side_zrx};

struct setup {
	struct bench_job job;
	struct bench_sender sender;
	int processor;
	int realtime;
};

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int measure(const struct bench_side *side, struct setup *setup)
{
	struct bench_job *job = &setup->job;
	double wall, cpu;
	int result = side->open(job);

	if (!result)
		result = bench_sender_go(&setup->sender);
	if (result)
		return result;
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	result = side->receive(job);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	if (result)
		return result;
	side->close(job);
	printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"bytes\": %llu, \"buffers\": %llu, "
	       "\"posted\": %u}\n",
	       wall, cpu, (unsigned long long)job->bytes, (unsigned long long)job->buffers,
	       job->posted);
	return 0;
}

static int run(const struct bench_side *side, struct setup *setup)
{
	int result = bench_sender_start(&setup->sender, setup->job.sockets);
	int finished;

	if (!result) {
		bench_pin(setup->processor);
		result = measure(side, setup);
	}
	finished = bench_sender_finish(&setup->sender, result);
	if (!result)
		result = finished;
	if (result)
		fprintf(stderr, "receive: %s: %s\n", side->name, strerror(-result));
	return result ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: receive SIDE [--bytes N] [--buffer N] [--posted N] [--engine E]\n"
			"               [--streams N] [--active N] [--processors RECEIVER,SENDER]\n"
			"               [--realtime] [--singly] [--receive-buffer N]\n");
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		fprintf(stderr, "  %-6s %s\n", sides[i]->name, sides[i]->what);
	return 2;
}

static const struct bench_side *side_named(const char *name)
{
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		if (!strcmp(name, sides[i]->name))
			return sides[i];
	return NULL;
}

/* Returns 0 if the option makes no sense. */
static int take_option(struct setup *setup, int option)
{
	switch (option) {
	case 'b':
		setup->job.bytes = strtoull(optarg, NULL, 0);
		return 1;
	case 'u':
		setup->job.buffer_bytes = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'p':
		setup->job.posted = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'e':
		setup->job.engine = optarg;
		return 1;
	case 's':
		setup->job.streams = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'a':
		setup->sender.active = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'c':
		return sscanf(optarg, "%d,%d", &setup->processor, &setup->sender.processor) == 2;
	case 'r':
		setup->realtime = 1;
		return 1;
	case 'i':
		setup->job.singly = 1;
		return 1;
	case 'f':
		setup->sender.buffer_bytes = (int)strtol(optarg, NULL, 0);
		return 1;
	default:
		return 0;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"bytes", 1, NULL, 'b'},      {"buffer", 1, NULL, 'u'},
		{"posted", 1, NULL, 'p'},     {"engine", 1, NULL, 'e'},
		{"streams", 1, NULL, 's'},    {"active", 1, NULL, 'a'},
		{"processors", 1, NULL, 'c'}, {"realtime", 0, NULL, 'r'},
		{"singly", 0, NULL, 'i'},     {"receive-buffer", 1, NULL, 'f'},
		{NULL, 0, NULL, 0},
	};
	struct setup setup = {
		.job = {.streams = 1, .bytes = 512ull << 20, .posted = 64, .engine = "auto"},
		.sender = {.active = 1, .processor = 0},
		.processor = 1,
	};
	const struct bench_side *side;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(&setup, option))
			return usage();
	side = optind < argc ? side_named(argv[optind]) : NULL;
	if (!side || !setup.job.bytes || !setup.sender.active ||
	    setup.sender.active > setup.job.streams)
		return usage();
	bench_raise_descriptor_limit();
	if (setup.realtime)
		bench_go_first();
	setup.sender.streams = setup.job.streams;
	setup.sender.bytes = setup.job.bytes;
	setup.job.sockets = calloc(setup.job.streams, sizeof(int));
	return setup.job.sockets ? run(side, &setup) : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * One run of one receiving side, with several receivers: how much it receives, or how fast it takes
 * connections in. Receivers and senders are processes of their own. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../machine.h"
#include "run.h"
#include "server.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct server *const servers[] = {&server_group, &server_reuseport};

static const struct measure {
	const char *name;
	const char *what;
	int (*run)(struct run *run);
} measures[] = {
	{"throughput", "connections that send all the time: bytes, and CPU seconds",
	 run_throughput},
	{"connections", "short ones: their rate, and the time until their first bytes",
	 run_connections},
};

static int usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: group MEASURE SIDE [--count N] [--senders N] [--connections N]\n"
		"             [--pin] [--first] [--seconds S] [--rate N] [--most-open N] [--engine "
		"E] [--shared] [--level]\n"
		"             [--address A [--port P] [--interface I] [--peer-netns NAME]]\n"
		"  --count        receivers (2)\n"
		"  --senders      processes that send (as many)\n"
		"  --connections  of all senders (8 for each receiver)\n"
		"  --pin          each receiver to a processor, and each sender\n"
		"  --first        before all other programs of the machine\n"
		"  --seconds      throughput: how long is measured (2)\n"
		"  --rate         connections: so many a second; without it as many as are served\n"
		"  --most-open    connections: so many at a time (1024)\n"
		"  --engine       group: its engine (auto)\n"
		"  --shared       group: all receivers take from one queue\n"
		"  --level        reuseport: level-triggered, one recv at a time\n"
		"  --address      listen there, not in a network namespace of its own\n"
		"  --interface    group: receive from its queues\n"
		"  --peer-netns   network namespace of the senders\n");
	for (size_t i = 0; i < COUNT_OF(measures); i++)
		fprintf(status ? stderr : stdout, "  %-12s %s\n", measures[i].name,
			measures[i].what);
	for (size_t i = 0; i < COUNT_OF(servers); i++)
		fprintf(status ? stderr : stdout, "  %-12s %s\n", servers[i]->name,
			servers[i]->what);
	return status;
}

static const struct measure *measure_named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(measures); i++)
		if (!strcmp(name, measures[i].name))
			return &measures[i];
	return NULL;
}

static const struct server *server_named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(servers); i++)
		if (!strcmp(name, servers[i]->name))
			return servers[i];
	return NULL;
}

/* IPv4 is mapped: then all sockets are of one family. Returns 0 if it is none. */
static int take_address(struct run *run, const char *text)
{
	char mapped[INET6_ADDRSTRLEN + 8];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	return inet_pton(AF_INET6, mapped, &run->sending.address.sin6_addr) == 1;
}

/* Returns 0 if the option makes no sense. */
static int take_network_option(struct run *run, int option)
{
	switch (option) {
	case 'a':
		run->is_elsewhere = 1;
		return take_address(run, optarg);
	case 'p':
		run->serving.port = (uint16_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'i':
		run->serving.interface = optarg;
		return 1;
	case 'N':
		run->peer_space = optarg;
		return 1;
	default:
		return 0;
	}
}

/* Returns 0 if the option makes no sense. */
static int take_option(struct run *run, int option)
{
	switch (option) {
	case 'n':
		run->serving.count = (uint32_t)strtoul(optarg, NULL, 0);
		return run->serving.count && run->serving.count <= RECEIVERS_MOST;
	case 's':
		run->sending.senders = (uint32_t)strtoul(optarg, NULL, 0);
		return run->sending.senders && run->sending.senders <= SENDERS_MOST;
	case 'c':
		run->sending.connections = strtoull(optarg, NULL, 0);
		return run->sending.connections > 0;
	case 'P':
		run->serving.pin = run->sending.pin = 1;
		return 1;
	case 'f':
		run->is_first = 1;
		return 1;
	case 't':
		run->seconds = strtod(optarg, NULL);
		return run->seconds > 0;
	case 'r':
		run->sending.rate = strtoull(optarg, NULL, 0);
		return 1;
	case 'o':
		run->sending.most_open = (uint32_t)strtoul(optarg, NULL, 0);
		return run->sending.most_open > 0;
	case 'e':
		run->serving.engine = optarg;
		return 1;
	case 'S':
		run->serving.shared = 1;
		return 1;
	case 'l':
		run->serving.level = 1;
		return 1;
	default:
		return take_network_option(run, option);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", 1, NULL, 'n'},     {"senders", 1, NULL, 's'},
		{"pin", 0, NULL, 'P'},       {"connections", 1, NULL, 'c'},
		{"seconds", 1, NULL, 't'},   {"rate", 1, NULL, 'r'},
		{"most-open", 1, NULL, 'o'}, {"engine", 1, NULL, 'e'},
		{"level", 0, NULL, 'l'},     {"address", 1, NULL, 'a'},
		{"port", 1, NULL, 'p'},      {"interface", 1, NULL, 'i'},
		{"help", 0, NULL, 'h'},      {"peer-netns", 1, NULL, 'N'},
		{"first", 0, NULL, 'f'},     {"shared", 0, NULL, 'S'},
		{NULL, 0, NULL, 0},
	};
	struct run run = {
		.serving = {.count = 2, .engine = "auto"},
		.sending = {.address = {.sin6_family = AF_INET6}, .most_open = 1024},
		.seconds = 2,
	};
	const struct measure *measure;
	int option, result;

	take_address(&run, "127.0.0.1");
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == 'h' || !take_option(&run, option))
			return usage(option == 'h' ? 0 : 2);
	measure = optind < argc ? measure_named(argv[optind]) : NULL;
	run.server = measure && optind + 1 < argc ? server_named(argv[optind + 1]) : NULL;
	if (!run.server || optind + 2 != argc)
		return usage(2);
	if (!run.sending.senders)
		run.sending.senders = run.serving.count;
	if (!run.sending.connections)
		run.sending.connections = 8ull * run.serving.count;
	bench_raise_descriptor_limit();
	if (run.is_first)
		bench_go_before_others();
	result = measure->run(&run);
	if (result)
		fprintf(stderr, "group: %s: %s: %s\n", measure->name, run.server->name,
			strerror(-result));
	return result ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * One run of one side: a sender thread pinned to one processor, the side on another, over loopback.
 * Prints one line of JSON: seconds, CPU seconds of the receiving thread, bytes, receives.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "side.h"

#define PAYLOAD (256u << 10)

static const struct bench_side *const sides[] = {&bench_side_recv, &bench_side_epoll,
						 &bench_side_bare, &bench_side_zrx};

struct sender {
	int *sockets;
	uint32_t active;
	uint64_t bytes;
	int processor;
	pthread_t thread;
};

static void pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)processor, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *send_all(void *argument)
{
	struct sender *sender = argument;
	char *payload = calloc(1, PAYLOAD);
	uint64_t sent = 0;
	uint32_t turn = 0;

	pin(sender->processor);
	while (payload && sent < sender->bytes) {
		uint64_t length = sender->bytes - sent < PAYLOAD ? sender->bytes - sent : PAYLOAD;
		ssize_t result = send(sender->sockets[turn], payload, length, MSG_NOSIGNAL);

		if (result < 0)
			break; /* the receiver gave up, and says so */
		sent += (uint64_t)result;
		turn = (turn + 1) % sender->active;
	}
	free(payload);
	return NULL;
}

static int connect_pair(int listener, const struct sockaddr_in *address, int *one, int *other)
{
	*one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*one < 0 || connect(*one, (const void *)address, sizeof(*address)))
		return -errno;
	*other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return *other < 0 ? -errno : 0;
}

static int connect_all(struct bench_job *job, int *peers)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = 0;

	if (listener < 0 || bind(listener, (void *)&address, length) || listen(listener, 1024) ||
	    getsockname(listener, (void *)&address, &length))
		return -errno;
	for (uint32_t i = 0; !result && i < job->streams; i++)
		result = connect_pair(listener, &address, &peers[i], &job->sockets[i]);
	close(listener);
	return result;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(const struct bench_side *side, struct bench_job *job, struct sender *sender,
	       int processor)
{
	double started, cpu;
	int result = connect_all(job, sender->sockets);

	if (result) {
		fprintf(stderr, "receive: cannot connect: %s\n", strerror(-result));
		return 1;
	}
	pin(processor);
	pthread_create(&sender->thread, NULL, send_all, sender);
	started = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	result = side->receive(job);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	started = seconds(CLOCK_MONOTONIC) - started;
	if (result)
		for (uint32_t i = 0; i < job->streams; i++)
			shutdown(job->sockets[i], SHUT_RDWR);
	pthread_join(sender->thread, NULL);
	if (result) {
		fprintf(stderr, "receive: %s: %s\n", side->name, strerror(-result));
		return 1;
	}
	printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"bytes\": %llu, \"buffers\": %llu}\n",
	       started, cpu, (unsigned long long)job->bytes, (unsigned long long)job->buffers);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: receive SIDE [--bytes N] [--buffer N] [--posted N] [--engine E]\n"
			"               [--streams N] [--active N] [--touch] [--processors "
			"RECEIVER,SENDER]\n");
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

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"bytes", 1, NULL, 'b'},  {"buffer", 1, NULL, 'u'},     {"posted", 1, NULL, 'p'},
		{"engine", 1, NULL, 'e'}, {"streams", 1, NULL, 's'},    {"active", 1, NULL, 'a'},
		{"touch", 0, NULL, 't'},  {"processors", 1, NULL, 'c'}, {NULL, 0, NULL, 0},
	};
	struct bench_job job = {.streams = 1,
				.bytes = 512ull << 20,
				.buffer_bytes = 65536,
				.posted = 64,
				.engine = "auto"};
	struct sender sender = {.active = 1, .processor = 0};
	const struct bench_side *side;
	int option, processor = 1;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			job.bytes = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			job.buffer_bytes = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'p':
			job.posted = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'e':
			job.engine = optarg;
			break;
		case 's':
			job.streams = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'a':
			sender.active = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 't':
			job.touch = 1;
			break;
		case 'c':
			sscanf(optarg, "%d,%d", &processor, &sender.processor);
			break;
		default:
			return usage();
		}
	}
	side = optind < argc ? side_named(argv[optind]) : NULL;
	if (!side || !job.streams || !sender.active || sender.active > job.streams)
		return usage();
	job.sockets = calloc(job.streams, sizeof(int));
	sender.sockets = calloc(job.streams, sizeof(int));
	sender.bytes = job.bytes;
	return job.sockets && sender.sockets ? run(side, &job, &sender, processor) : 1;
}

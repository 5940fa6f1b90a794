/* SPDX-License-Identifier: MIT */
/*
 * One run of one method: connect to the sender, receive, and tell what the processors were busy
 * with meanwhile. Prints one line of JSON. Also sets the NIC up, and puts it back.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../plugin/marker.h"
#include "method.h"
#include "peer.h"
#include "processor.h"
#include "setup.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct nic_method *const methods[] = {
	&nic_method_epoll, &nic_method_tzr,  &nic_method_multishot,
	&nic_method_zcrx,  &nic_method_bare,
};

struct run {
	const struct nic_method *method;
	struct nic_job job;
	const char *peer;
	const char *peer_port;
	uint16_t local_port;
	int processors[2]; /* that of the program, that of the interrupts; may be one */
};

/* ---- measuring ---- */

struct moment {
	double wall;
	struct processor_times busy;
};

static int look(const struct run *run, struct moment *moment)
{
	size_t count = run->processors[0] == run->processors[1] ? 1 : 2;
	struct timespec now;

	MARKER();
	clock_gettime(CLOCK_MONOTONIC, &now);
	memset(moment, 0, sizeof(*moment));
	moment->wall = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	for (size_t i = 0; i < count; i++) {
		struct processor_times times;
		int result = processor_read(run->processors[i], &times);

		if (result)
			return result;
		moment->busy.user += times.user;
		moment->busy.system += times.system;
		moment->busy.softirq += times.softirq;
	}
	return 0;
}

static void print_result(const struct nic_job *job, const struct moment *before,
			 const struct moment *after)
{
	printf("{\"bytes\": %llu, \"buffers\": %llu, \"seconds\": %.6f, \"user\": %.3f, "
	       "\"system\": %.3f, \"softirq\": %.3f, \"copied\": ",
	       (unsigned long long)job->got, (unsigned long long)job->buffers,
	       after->wall - before->wall, after->busy.user - before->busy.user,
	       after->busy.system - before->busy.system,
	       after->busy.softirq - before->busy.softirq);
	if (job->copied == UINT64_MAX)
		puts("null}");
	else
		printf("%llu}\n", (unsigned long long)job->copied);
}

static int measure(struct run *run)
{
	struct nic_job *job = &run->job;
	struct moment before, after;
	int result = look(run, &before);

	if (!result)
		result = peer_ask(job->socket, job->bytes);
	if (!result)
		result = run->method->receive(job);
	if (!result)
		result = look(run, &after);
	if (result)
		return result;
	if (job->got != job->bytes ||
	    (job->sum && job->checksum != nic_expected_checksum(job->bytes)))
		return -EBADMSG;
	print_result(job, &before, &after);
	return 0;
}

static int receive(struct run *run)
{
	struct nic_job *job = &run->job;
	int result = processor_pin(run->processors[0]);

	job->copied = UINT64_MAX;
	if (!result)
		result = run->method->open(job);
	if (!result) {
		job->socket = peer_connect(run->peer, run->peer_port, run->local_port);
		result = job->socket < 0 ? job->socket : run->method->start(job);
	}
	if (!result)
		result = measure(run);
	if (!result)
		result = peer_wait_closed(job->socket);
	if (result) {
		fprintf(stderr, "%s: %s\n", run->method->name, strerror(-result));
		return 1;
	}
	run->method->close(job);
	close(job->socket);
	return 0;
}

/* ---- arguments ---- */

static int usage(void)
{
	fprintf(stderr, "usage: nic receive METHOD --peer HOST --peer-port P --interface I --queue "
			"Q --port P\n"
			"                   --bytes N [--buffer N] [--sum] --processors "
			"PROGRAM,INTERRUPTS\n"
			"       nic prepare --interface I --port P       prints the queue\n"
			"       nic restore --interface I --queue Q\n");
	for (size_t i = 0; i < COUNT_OF(methods); i++)
		fprintf(stderr, "  %-10s %s\n", methods[i]->name, methods[i]->what);
	return 2;
}

static const struct nic_method *method_named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(methods); i++)
		if (!strcmp(name, methods[i]->name))
			return methods[i];
	return NULL;
}

/* Returns 0 if the option makes no sense. */
static int take_option(struct run *run, int option)
{
	switch (option) {
	case 'a':
		run->peer = optarg;
		return 1;
	case 'o':
		run->peer_port = optarg;
		return 1;
	case 'i':
		run->job.interface = optarg;
		return 1;
	case 'q':
		run->job.queue = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'p':
		run->local_port = (uint16_t)strtoul(optarg, NULL, 0);
		return 1;
	case 'b':
		run->job.bytes = strtoull(optarg, NULL, 0);
		return run->job.bytes && run->job.bytes % NIC_BLOCK == 0;
	case 'u':
		run->job.buffer_bytes = (uint32_t)strtoul(optarg, NULL, 0);
		return 1;
	case 's':
		run->job.sum = 1;
		return 1;
	case 'c':
		return sscanf(optarg, "%d,%d", &run->processors[0], &run->processors[1]) == 2;
	default:
		return 0;
	}
}

static int execute(const char *command, const char *method, struct run *run)
{
	if (!run->job.interface)
		return usage();
	if (!strcmp(command, "prepare") && run->local_port)
		return setup_prepare(run->job.interface, run->local_port);
	if (!strcmp(command, "restore"))
		return setup_restore(run->job.interface, run->job.queue);
	run->method = method ? method_named(method) : NULL;
	if (strcmp(command, "receive") || !run->method || !run->peer || !run->peer_port ||
	    !run->local_port || !run->job.bytes)
		return usage();
	return receive(run);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"peer", 1, NULL, 'a'},   {"peer-port", 1, NULL, 'o'}, {"interface", 1, NULL, 'i'},
		{"queue", 1, NULL, 'q'},  {"port", 1, NULL, 'p'},      {"bytes", 1, NULL, 'b'},
		{"buffer", 1, NULL, 'u'}, {"sum", 0, NULL, 's'},       {"processors", 1, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	struct run run = {0};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(&run, option))
			return usage();
	if (optind >= argc)
		return usage();
	return execute(argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, &run);
}

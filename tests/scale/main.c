/* SPDX-License-Identifier: MIT */
/* Run the scale cases on one engine. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "scale.h"

#define DESCRIPTORS_BESIDE 100u /* what a process needs beside one for each stream */

static const struct {
	const char *name;
	void (*run)(const struct scale *scale);
} cases[] = {
	{"streams", scale_streams},
	{"churn", scale_churn},
	{"threads", scale_threads},
	{"fairness", scale_fairness},
};

void scale_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_exit(1);
}

static uint8_t byte_at(uint64_t stream, uint64_t offset)
{
	return (uint8_t)(stream * 101 + offset * 13 + (offset >> 8) * 7);
}

void scale_fill(uint8_t *bytes, size_t length, uint64_t stream, uint64_t offset)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = byte_at(stream, offset + i);
}

void scale_check(const struct zrx_buffer *buffer, uint64_t stream, uint64_t offset)
{
	const uint8_t *bytes = buffer->data;

	for (uint32_t i = 0; i < buffer->length; i++)
		REQUIRE(bytes[i] == byte_at(stream, offset + i),
			"stream %llu: wrong byte at offset %llu", (unsigned long long)stream,
			(unsigned long long)offset + i);
}

struct zrx_receiver *scale_open(const struct scale *scale, uint64_t area_bytes)
{
	struct zrx_options options = ZRX_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;
	struct zrx_receiver *receiver;

	options.engine = scale->engine;
	options.area_bytes = area_bytes;
	options.buffer_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	REQUIRE(!zrx_receiver_open(&receiver, &options, &error), "open: %s (%s)", error.message,
		error.hint);
	return receiver;
}

void scale_add(struct zrx_receiver *receiver, int fd, uint64_t tag)
{
	struct zrx_stream_options options = ZRX_STREAM_OPTIONS_INIT;
	struct zrx_error error = ZRX_ERROR_INIT;

	options.tag = tag;
	if (zrx_receiver_add(receiver, fd, &options, NULL)) {
		zrx_receiver_error(receiver, &error);
		scale_fail("add: %s (%s)", error.message, error.hint);
	}
	close(fd);
}

static void raise_descriptor_limit(uint32_t streams)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	REQUIRE(limit.rlim_cur >= streams + DESCRIPTORS_BESIDE,
		"%u streams need %u descriptors, the hard limit is %llu: raise it (ulimit -Hn)",
		streams, streams + DESCRIPTORS_BESIDE, (unsigned long long)limit.rlim_cur);
}

static int usage(void)
{
	fprintf(stderr, "usage: scale --engine E [--streams N] [--connections N] [--bytes N]\n"
			"             [--milliseconds N] [--timeout SECONDS] [CASE...]\n");
	return 2;
}

static int take_option(struct scale *scale, int option)
{
	switch (option) {
	case 'e':
		return !zrx_engine_by_name(optarg, &scale->engine);
	case 's':
		scale->streams = (uint32_t)strtoul(optarg, NULL, 0);
		return scale->streams > 0;
	case 'c':
		scale->connections = (uint32_t)strtoul(optarg, NULL, 0);
		return scale->connections > 0;
	case 'b':
		scale->bytes = strtoull(optarg, NULL, 0);
		return scale->bytes > 0;
	case 'm':
		scale->milliseconds = (uint32_t)strtoul(optarg, NULL, 0);
		return scale->milliseconds > 0;
	case 't':
		alarm((unsigned)strtoul(optarg, NULL, 0)); /* the children go with us */
		return 1;
	default:
		return 0;
	}
}

static int wanted(const char *name, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return 1;
	return !count;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"engine", 1, NULL, 'e'},  {"streams", 1, NULL, 's'},
		{"bytes", 1, NULL, 'b'},   {"connections", 1, NULL, 'c'},
		{"timeout", 1, NULL, 't'}, {"milliseconds", 1, NULL, 'm'},
		{NULL, 0, NULL, 0},
	};
	struct scale scale = {.engine = ZRX_ENGINE_MULTISHOT,
			      .streams = 10000,
			      .connections = 10000,
			      .bytes = 8u << 20,
			      .milliseconds = 1000};
	int option, ran = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(&scale, option))
			return usage();
	raise_descriptor_limit(scale.streams);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		time_t started = time(NULL);

		if (!wanted(cases[i].name, argv + optind, argc - optind))
			continue;
		printf("%s %s: ", zrx_engine_name(scale.engine), cases[i].name);
		fflush(stdout);
		cases[i].run(&scale);
		printf(" (%ld s)\n", (long)(time(NULL) - started));
		ran++;
	}
	return ran ? 0 : usage();
}

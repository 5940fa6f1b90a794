/* SPDX-License-Identifier: MIT */
#include "connections.h"

#include <stdlib.h>
#include <string.h>

static struct stream *streams; /* the numbers are tags */
static uint64_t stream_count;

struct stream *connection_at(uint64_t number)
{
	return number < stream_count ? &streams[number] : NULL;
}

void connections_reserve(uint64_t count)
{
	if (count <= stream_count)
		return;
	streams = realloc(streams, count * sizeof(*streams));
	if (!streams)
		abort();
	memset(streams + stream_count, 0, (count - stream_count) * sizeof(*streams));
	stream_count = count;
}

struct stream *connection_new(uint64_t number)
{
	connections_reserve(number + 1);
	return &streams[number];
}

void connections_free(void)
{
	free(streams);
}

void answer(FILE *out, int result, const char *text)
{
	if (result < 0)
		fprintf(out, "failed %d %s\n", -result, text ? text : strerror(-result));
	else
		fprintf(out, "ok%s%s\n", text ? " " : "", text ? text : "");
}

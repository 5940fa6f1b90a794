/* SPDX-License-Identifier: MIT */
/* The counters of a group by HTTP, in the text format of Prometheus. */
#include "upload_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_BYTES 8192
#define HEAD_PARTS 4 /* a head that comes in more is not waited for */

struct metric {
	const char *name, *kind, *help;
	size_t offset;
};

/* Of the group: in struct zrx_group_stats. */
static const struct metric of_group[] = {
	{"connections_total", "counter", "Connections added to receivers.",
	 offsetof(struct zrx_group_stats, added)},
	{"connections_copied_total", "counter",
	 "Connections that arrived at a queue that is no receiver's.",
	 offsetof(struct zrx_group_stats, copied)},
	{"connections_refused_total", "counter", "Connections that could not be added.",
	 offsetof(struct zrx_group_stats, refused)},
	{"accept_retries_total", "counter", "Times accepting had to wait.",
	 offsetof(struct zrx_group_stats, accept_retries)},
};

/* Of each receiver, and their sum: in struct zrx_stats. */
static const struct metric of_receiver[] = {
	{"connections", "gauge", "Connections that are received from.",
	 offsetof(struct zrx_stats, streams)},
	{"connections_paused", "gauge", "Connections that rest at their window.",
	 offsetof(struct zrx_stats, paused)},
	{"received_bytes_total", "counter", "Bytes received.", offsetof(struct zrx_stats, bytes)},
	{"received_buffers_total", "counter", "Buffers received.",
	 offsetof(struct zrx_stats, buffers)},
	{"copied_bytes_total", "counter",
	 "Bytes that the kernel copied; missing where it does not tell.",
	 offsetof(struct zrx_stats, copied_bytes)},
	{"held_bytes", "gauge", "Memory that buffers hold.",
	 offsetof(struct zrx_stats, held_bytes)},
	{"area_bytes", "gauge", "Memory to receive into.", offsetof(struct zrx_stats, area_bytes)},
};

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static uint64_t value_at(const void *stats, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + offset, sizeof(value));
	return value;
}

static void write_head(FILE *to, const char *prefix, const struct metric *metric)
{
	fprintf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, metric->name, metric->help, prefix,
		metric->name, metric->kind);
}

static void write_whole(FILE *to, const struct metric *metric, const void *stats)
{
	uint64_t value = value_at(stats, metric->offset);

	write_head(to, "zcrx_", metric);
	if (value != ZRX_UNKNOWN)
		fprintf(to, "zcrx_%s %" PRIu64 "\n", metric->name, value);
}

/* Names of their own: a query that sums up the receivers does not count the sum as well. */
static void write_each(FILE *to, const struct metric *metric, const struct zrx_stats *receivers,
		       uint32_t count)
{
	write_head(to, "zcrx_receiver_", metric);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = value_at(&receivers[i], metric->offset);

		if (value != ZRX_UNKNOWN)
			fprintf(to, "zcrx_receiver_%s{receiver=\"%u\"} %" PRIu64 "\n", metric->name,
				i, value);
	}
}

static void write_metrics(FILE *to, struct zrx_group *group)
{
	static const struct metric open_receivers = {"receivers", "gauge",
						     "Receivers that are open.", 0};
	struct zrx_stats receivers[ZRX_GROUP_RECEIVERS] = {ZRX_STATS_INIT}, sum = ZRX_STATS_INIT;
	struct zrx_group_stats stats = ZRX_GROUP_STATS_INIT;
	uint32_t count = zrx_group_count(group);

	stats.receivers = receivers;
	stats.receiver_capacity = ZRX_GROUP_RECEIVERS;
	stats.sum = &sum;
	zrx_group_stats(group, &stats); /* any thread: those that receive do not wait for it */
	for (size_t i = 0; i < LENGTH(of_group); i++)
		write_whole(to, &of_group[i], &stats);
	write_head(to, "zcrx_", &open_receivers);
	fprintf(to, "zcrx_receivers %u\n", stats.receiver_count);
	for (size_t i = 0; i < LENGTH(of_receiver); i++) {
		write_whole(to, &of_receiver[i], &sum);
		write_each(to, &of_receiver[i], receivers, count);
	}
}

/* To the empty line: what is not read would reset the connection. Returns the part before it. */
static int read_head(int socket, char *head, size_t size)
{
	size_t length = 0;

	for (int part = 0; part < HEAD_PARTS && length < size - 1; part++) {
		ssize_t count = recv(socket, head + length, size - 1 - length, 0);

		if (count <= 0)
			return -1;
		length += (size_t)count;
		head[length] = '\0';
		if (strstr(head, "\r\n\r\n"))
			return 0;
	}
	return -1;
}

static void answer_request(int socket, struct zrx_group *group)
{
	char head[HEAD_BYTES], *body = NULL;
	size_t body_bytes;
	FILE *text;
	int found;

	if (read_head(socket, head, sizeof(head)))
		return;
	text = open_memstream(&body, &body_bytes);
	if (!text)
		return;
	found = !strncmp(head, "GET /metrics ", strlen("GET /metrics "));
	if (found)
		write_metrics(text, group);
	else
		fputs("there is only GET /metrics\n", text);
	if (!fclose(text)) {
		int length = snprintf(head, sizeof(head),
				      "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
				      "Content-Length: %zu\r\nConnection: close\r\n\r\n",
				      found ? "200 OK" : "404 Not Found", body_bytes);

		/* A peer that is gone, or does not read, gets less. */
		if (send(socket, head, (size_t)length, MSG_NOSIGNAL | MSG_MORE) == length)
			send(socket, body, body_bytes, MSG_NOSIGNAL);
	}
	free(body);
}

void metrics_answer(int listener, struct zrx_group *group)
{
	const struct timeval patience = {.tv_sec = 1};
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (socket < 0) /* it has left, or there are no descriptors now: it will ask again */
		return;
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	answer_request(socket, group);
	close(socket);
}

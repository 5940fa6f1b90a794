/* SPDX-License-Identifier: MIT */
/*
 * Many more streams than chunks, all of them with bytes, and a consumer that holds every buffer
 * until nothing more comes: streams wait for buffers again and again, and none may lose its turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"
#include "scale.h"

#define AREA     (1u << 20)
#define MESSAGE  2048u
#define ROUNDS   3u
#define BATCH    128
#define QUIET_NS 2000000

struct progress {
	uint64_t *received; /* of each stream */
	uint64_t total;
	uint32_t ended;
};

static void send_rounds(const struct sockaddr_in *address, const void *argument)
{
	const struct scale *scale = argument;
	int *sockets = calloc(scale->streams, sizeof(*sockets));
	uint8_t message[MESSAGE];

	for (uint32_t i = 0; i < scale->streams; i++)
		sockets[i] = peer_connect(address, 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < scale->streams; i++) {
			scale_fill(message, MESSAGE, i, round * MESSAGE);
			peer_send(sockets[i], message, MESSAGE);
		}
	}
	free(sockets); /* the sockets close with the process */
}

static void take(struct progress *progress, const struct zrx_event *event)
{
	uint64_t *received = &progress->received[event->tag];

	REQUIRE(event->kind != ZRX_EVENT_ERROR, "stream %llu: error %d",
		(unsigned long long)event->tag, event->error);
	if (event->kind == ZRX_EVENT_DATA) {
		scale_check(&event->buffer, event->tag, *received);
		*received += event->buffer.length;
		progress->total += event->buffer.length;
		return;
	}
	REQUIRE(*received == ROUNDS * MESSAGE, "stream %llu ended after %llu bytes",
		(unsigned long long)event->tag, (unsigned long long)*received);
	progress->ended++;
}

static void receive_all(struct zrx_receiver *receiver, struct progress *progress, uint32_t streams)
{
	/* A buffer has at least a byte, so there cannot be more of them out. */
	struct zrx_buffer *held = malloc(AREA * sizeof(*held));
	struct zrx_event events[BATCH];
	uint32_t count = 0;

	REQUIRE(held, "out of memory");
	while (progress->ended < streams) {
		int got = zrx_receiver_receive(receiver, events, BATCH, QUIET_NS);

		REQUIRE(got >= 0, "receive: %d", got);
		for (int i = 0; i < got; i++) {
			take(progress, &events[i]);
			if (events[i].kind == ZRX_EVENT_DATA)
				held[count++] = events[i].buffer;
		}
		if (!got) {
			REQUIRE(!zrx_buffer_release(held, count), "release failed");
			count = 0;
		}
	}
	REQUIRE(!zrx_buffer_release(held, count), "release failed");
	free(held);
}

void scale_streams(const struct scale *scale)
{
	struct zrx_stats stats = ZRX_STATS_INIT;
	struct progress progress = {.received = calloc(scale->streams, sizeof(uint64_t))};
	struct zrx_receiver *receiver;
	struct peer peer;

	REQUIRE(progress.received, "out of memory");
	peer_start(&peer, send_rounds, scale);
	receiver = scale_open(scale, AREA);
	for (uint32_t i = 0; i < scale->streams; i++)
		scale_add(receiver, peer_accept(&peer), i);
	receive_all(receiver, &progress, scale->streams);
	zrx_receiver_stats(receiver, &stats);
	REQUIRE(progress.total == (uint64_t)scale->streams * ROUNDS * MESSAGE, "bytes are missing");
	REQUIRE(!stats.outstanding && !stats.streams, "something is left");
	REQUIRE(stats.parks, "no stream ever had to wait: this tested nothing");
	zrx_receiver_close(receiver);
	peer_wait(&peer);
	free(progress.received);
	printf("%u streams, %u chunks, %llu waits for a buffer", scale->streams,
	       AREA / (uint32_t)sysconf(_SC_PAGESIZE), (unsigned long long)stats.parks);
}
